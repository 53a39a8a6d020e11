#!/usr/bin/env bash
# Kills real nodes with SIGKILL under load and checks that every acknowledged write is there afterwards, once.
#   scripts/chaos-kill.sh [--rounds N] [--tries N] [--ops N] [--puts N]
#     --rounds N  rounds of killing all three nodes at once (default 5; the long run: 50)
#     --tries N   leaders killed one at a time, with the time to the next acknowledged write (default 3; 100)
#     --ops N     operations of a history under random kills, judged by porcupine (default 8000; 100000)
#     --puts N    writes before the first fault (default 2000; 10000)
# A failure keeps the nodes' data and logs and says where.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=5 tries=3 ops=8000 puts=2000
while [ $# -gt 0 ]; do
	case "$1" in
	--rounds) rounds=$2 ;;
	--tries) tries=$2 ;;
	--ops) ops=$2 ;;
	--puts) puts=$2 ;;
	--help | -h)
		sed -n '2,8p' scripts/chaos-kill.sh | sed 's/^# \{0,1\}//'
		exit
		;;
	*)
		scripts/chaos-kill.sh --help >&2
		exit 2
		;;
	esac
	shift 2
done
exec go test ./integration -count=1 -v -timeout 3h \
	-run '^(TestKillAllAtOnce|TestLeaderKilled|TestLinearizableUnderKills|TestStaleReadsAreFound|TestPausedMetadataLeader)$' \
	-rounds "$rounds" -tries "$tries" -ops "$ops" -puts "$puts"
