#!/usr/bin/env bash
# Grows and shrinks a cluster of real processes under load, kills whoever matters at ten places of a join and of a removal, wipes
# a node's disk, removes one that is down, copies a directory; judges what clients saw with porcupine.
#   scripts/members.sh [--places N]
#     --places N  at how many of the ten places somebody is killed (default 10)
# A failure keeps the nodes' data and logs and says where.
set -euo pipefail
cd "$(dirname "$0")/.."
places=10
while [ $# -gt 0 ]; do
	case "$1" in
	--places) places=$2 ;;
	--help | -h)
		sed -n '2,6p' scripts/members.sh | sed 's/^# \{0,1\}//'
		exit
		;;
	*)
		scripts/members.sh --help >&2
		exit 2
		;;
	esac
	shift 2
done
exec go test ./integration -count=1 -v -timeout 30m \
	-run '^(TestMembersUnderLoad|TestMembersUnderKills|TestWipedNodeRejoins|TestRemovedWhileDown|TestCopiedDirectory)$' -places "$places"
