#!/usr/bin/env bash
# Runs all tests but those in the browser, with the race detector.
#
# End-to-end tests have other people's encoders and players beside them, and bounds in real time, on a machine that may do more than
# they can know. One or two of them that fail get one more attempt, alone, and the last lines say so: such a failure is to be understood,
# not to be forgotten. Nobody gets a second attempt whose program or test had a data race, a panic, a leak or no end, nor any test of a package
# beneath internal/, where time is simulated.
set -euo pipefail

go=${GO:-go}
flags=(-race -tags netgo -timeout 15m)
export CGO_ENABLED=1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
$go test "${flags[@]}" -p 2 -skip '^TestBrowser' ./... 2>&1 | tee "$log" && exit 0

if grep -E '^FAIL[[:space:]]+[^[:space:]]+' "$log" | grep -qvE '/e2e[[:space:]]+[0-9.]+s$' ||
	grep -qE 'DATA RACE|race detected|the program is ill|^panic:|fatal error:|test timed out|unexpected goroutines' "$log"; then
	exit 1
fi
mapfile -t failed < <(sed -nE 's/^--- FAIL: (Test[A-Za-z0-9_]+) .*/\1/p' "$log" | sort -u)
if ((${#failed[@]} == 0 || ${#failed[@]} > 2)); then
	exit 1
fi
printf 'test: %s failed beside the others; now alone\n' "${failed[@]}"
names=$(IFS='|' && printf '%s' "${failed[*]}")
$go test "${flags[@]}" -count=1 -parallel 1 -run "^($names)\$" ./e2e
printf 'test: %s passed only at the second attempt, alone: find out why\n' "${failed[@]}"
