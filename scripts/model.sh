#!/usr/bin/env bash
# model.sh checks the specifications of docs/model with spin: every state of small worlds, safety and liveness. It demands
# also that each known limit is found. With --bite it breaks one rule at a time, and each must be found by the property it belongs to.
#
#   scripts/model.sh           what holds, and the limits
#   scripts/model.sh --bite    the broken rules
#   scripts/model.sh --ready   whether spin and gcc are here, or could be installed
#
# Needs spin and gcc; as root on Debian it installs what is missing. A run that found something it should not have found
# leaves a trail: the commands to read it are printed.
set -euo pipefail
cd "$(dirname "$0")/../docs/model"

mode=${1:-}
usage() { sed -n '2,10s/^# \{0,1\}//p' ../../scripts/model.sh; }
case "$mode" in "" | --bite | --ready) ;; --help | -h) usage; exit ;; *) usage >&2; exit 2 ;; esac
if ! { command -v spin && command -v gcc; } >/dev/null; then
	{ apt-get update -qq && apt-get install -qq -y --no-install-recommends spin gcc libc6-dev; } >/dev/null
fi
[ "$mode" != --ready ] || exit 0
work=$(mktemp -d)
trap '[ -n "${keep:-}" ] || rm -rf "$work"' EXIT
models=$PWD
failed=0

# run SPEC WANT SWITCHES...: WANT is PASS, or the property that must be found broken. A property called after -N is one
# of liveness: it is looked for in fair runs only.
run() {
	local spec=$1 want=$2 switches=() build=(-DSAFETY -DNOCLAIM) check=() out states got
	shift 2
	while [ $# -gt 0 ]; do
		case "$1" in
		-N) build=(-DNFAIR=4) check=(-a -f -N "$2") switches+=(-DLIVENESS); shift ;;
		*) switches+=("-D$1") ;;
		esac
		shift
	done
	cd "$work"
	spin "${switches[@]}" -a "$models/$spec.pml" >/dev/null
	gcc -w -O1 "${build[@]}" -DMEMLIM=2048 -o pan pan.c
	out=$(./pan -m100000 "${check[@]}" || true)
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' <<<"$out")
	case "$out" in
	*"search depth too small"* | *"out of memory"* | *"Search not completed"*"errors: 0"*) got="an incomplete search" ;;
	*"assertion violated"*) got=$(sed -n 's/.*assertion violated \([A-Za-z]*\).*/\1/p' <<<"$out") ;;
	*"acceptance cycle (at"*) got=${check[3]} ;;
	*"errors: 0"*) got=PASS ;;
	*) got="no answer" ;;
	esac
	local what="${check[3]:-safety} ${switches[*]#-D}"
	if [ "$got" = "$want" ]; then
		[ "$want" = PASS ] && printf 'PASS   %-10s %-52s %9s states\n' "$spec" "$what" "$states" ||
			printf 'FOUND  %-10s %-52s %9s states: %s\n' "$spec" "$what" "$states" "$got"
		return
	fi
	printf 'FAIL   %-10s %-52s want %s, got %s\n' "$spec" "$what" "$want" "$got"
	printf '       cd %s && spin %s -a %s/%s.pml && spin %s -t -p %s/%s.pml\n' "$work" "${switches[*]}" "$models" "$spec" "${switches[*]}" "$models" "$spec"
	cp "$work/$spec.pml.trail" "$models" 2>/dev/null || true
	keep=1 failed=1
}

if [ "$mode" = --bite ]; then
	run fence NothingStale BUG_NO_REFUSAL
	run fence RisesByOne BUG_TWICE_PER_TERM
	run fence RisesByOne BUG_ANY_TERM
	run fence SavedTogether BUG_APART
	run fence NeverFalls BUG_FENCE_FIRST
	run fence NoStaleAuthority BUG_AUTHORITY_BY_OBSERVED
	run fence HealsInOneRoundTrip BUG_SILENT_REFUSAL
	run fence HealsInOneRoundTrip LIAR BUG_REFUSE_BY_OBSERVED ENTRIES=2
	run fence HealsInOneRoundTrip LIAR BUG_NO_LEAD ENTRIES=2
	run fence CatchesUp LIAR BUG_AUTHORITY_AGAINST_OBSERVED TERMS=1 ENTRIES=2 CRASHES=1 -N CatchesUp
	run generation OneLeaderPerTerm BUG_NOT_COMPARED
	run generation OneLeaderPerTerm BUG_FORGOTTEN
	run generation OneLeaderPerTerm BUG_LOG_LOST
	run generation OneLeaderPerTerm MEET BUG_NOT_COMPARED TERMS=2 ENTRIES=1 WIPES=2
	run anew Agreement BUG_FOLLOW
	run anew NoStaleRead BUG_FOLLOW ONLY_READS ENTRIES=5
	run anew OneLeaderPerTerm BUG_ELECT
	run anew OneLeaderPerTerm BUG_STAND
else
	run fence PASS
	run fence PASS LIAR ENTRIES=2 CRASHES=1
	run fence PASS ENTRIES=2 CRASHES=1 -N CatchesUp
	run fence PASS ENTRIES=2 CRASHES=1 -N Administrable
	run fence PASS LIAR TERMS=1 ENTRIES=2 CRASHES=1 -N CatchesUp
	run fence HealsInOneRoundTrip LIMIT_LAG ENTRIES=2
	run fence Administrable LIAR TERMS=1 ENTRIES=2 CRASHES=1 -N Administrable
	run generation PASS
	run generation PASS REJOIN TERMS=2
	run generation PASS MEET TERMS=2 ENTRIES=1 WIPES=2
	run generation OneLeaderPerTerm LIMIT_EARLY
	run generation NothingLost LIMIT_EARLY ONLY_LOSS
	run generation NothingLost LIMIT_READY ONLY_LOSS TERMS=2 ENTRIES=3
	run generation NothingLost LIMIT_TWO ONLY_LOSS TERMS=2 ENTRIES=3 WIPES=2
	run generation OneLeaderPerTerm LIMIT_CLONE TERMS=2
	run anew PASS ENTRIES=5
fi
[ "$failed" = 0 ] || exit 1
printf 'done in %ss\n' "$SECONDS"
