#!/usr/bin/env bash
# Plants known faults, one at a time, and shows which check finds each (internal/mutant). A survivor is a failure.
# usage: scripts/mutants.sh [-quick] [-list] [-json FILE] [-jobs N] [name ...]
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./internal/mutant/cmd/mutants "$@"
