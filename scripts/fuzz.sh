#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (default 10s), one after another.
#   FUZZTIME=1m scripts/fuzz.sh [package pattern]
# A target fails with all that go said. One thing is no finding: at the end of the time go may take its own deadline for a
# failure, "context deadline exceeded", without an input that fails (golang.org/issue/75804, mended in Go 1.27). Such a
# target runs again, three times at most: a busy machine can meet it twice in a row. A finding is never forgiven.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${FUZZTIME:-10s}
pattern=${1:-.}
usage() { sed -n '2,6p' scripts/fuzz.sh | sed 's/^# \{0,1\}//'; }
case "$pattern" in --help | -h) usage; exit ;; -*) usage >&2; exit 2 ;; esac
said=$(mktemp)
trap 'rm -f "$said"' EXIT

fuzz() { # fuzz NAME PACKAGE
	go test "$2" -run '^$' -fuzz "^$1\$" -fuzztime "$fuzztime" -fuzzminimizetime 2s >"$said" 2>&1
}

ran_out() { # the end of the time was all there was to tell
	grep -q '^ *context deadline exceeded$' "$said" && ! grep -qE 'Failing input written|panic|fatal error|DATA RACE|_test\.go:' "$said"
}

count=0
while IFS=: read -r file name; do
	pkg=./$(dirname "$file")
	printf '%-40s %s\n' "$name" "$pkg"
	again=3
	until fuzz "$name" "$pkg"; do
		cat "$said"
		ran_out && [ "$again" -gt 0 ] || exit 1
		again=$((again - 1))
		echo "no finding, only the end of the time: again"
	done
	count=$((count + 1))
done < <(grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' "$pattern" | sed -E 's/:[0-9]+:func /:/')
[ "$count" -gt 0 ] || { echo "no fuzz target found under $pattern" >&2; exit 1; }
echo "$count fuzz targets, $fuzztime each: no failure"
