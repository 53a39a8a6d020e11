#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each (default 10s), one after another.
#   FUZZTIME=1m scripts/fuzz.sh [package pattern]
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${FUZZTIME:-10s}
pattern=${1:-.}

count=0
while IFS=: read -r file name; do
	pkg=./$(dirname "$file")
	printf '%-40s %s\n' "$name" "$pkg"
	go test "$pkg" -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" -fuzzminimizetime 2s >/tmp/flotilla-fuzz.$$ 2>&1 || {
		cat /tmp/flotilla-fuzz.$$
		rm -f /tmp/flotilla-fuzz.$$
		exit 1
	}
	count=$((count + 1))
done < <(grep -rnoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' "$pattern" | sed -E 's/:[0-9]+:func /:/')
rm -f /tmp/flotilla-fuzz.$$
[ "$count" -gt 0 ] || { echo "no fuzz target found under $pattern" >&2; exit 1; }
echo "$count fuzz targets, $fuzztime each: no failure"
