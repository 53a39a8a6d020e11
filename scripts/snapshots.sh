#!/usr/bin/env bash
# Snapshots between real processes: a node that was down while much was written catches up under load, a node is killed at each named
# step of receiving and installing, disks stay bounded under writing at full speed.
#   scripts/snapshots.sh [--state-mib N] [--installs N] [--soak DURATION]
#     --state-mib N  written while the node is down (default 1024; from 1024 on the limits are checked)
#     --installs N   kills at each of the ten steps (default 10)
#     --soak D       how long to write at full speed (default 10m)
# A failure keeps the nodes' data and logs and says where.
set -euo pipefail
cd "$(dirname "$0")/.."
state=1024 installs=10 soak=10m
while [ $# -gt 0 ]; do
	case "$1" in
	--state-mib) state=$2 ;;
	--installs) installs=$2 ;;
	--soak) soak=$2 ;;
	--help | -h)
		sed -n '2,8p' scripts/snapshots.sh | sed 's/^# \{0,1\}//'
		exit
		;;
	*)
		scripts/snapshots.sh --help >&2
		exit 2
		;;
	esac
	shift 2
done
exec go test ./integration -count=1 -v -timeout 120m \
	-run '^(TestCatchUpBySnapshot|TestKilledWhileInstalling|TestDiskStaysBounded)$' \
	-state-mib "$state" -installs "$installs" -soak "$soak"
