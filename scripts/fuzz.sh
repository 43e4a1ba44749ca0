#!/usr/bin/env bash
# fuzz.sh [TIME] [PATTERN]: run every fuzz target of the packages for TIME each. Inputs that break something are left in
# the package's testdata/fuzz, to be committed with the repair.
set -euo pipefail

time=${1:-30s}
pattern=${2:-./...}
GO=${GO:-go}
cd "$(dirname "$0")/.."

targets=()
while IFS= read -r dir; do
	# A package without tests has no files for grep to find anything in.
	while IFS= read -r name; do
		targets+=("$dir $name")
	done < <(grep -hoE '^func Fuzz[A-Za-z0-9_]+\(f \*testing\.F\)' "$dir"/*_test.go 2>/dev/null |
		sed -E 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/' | sort)
done < <("$GO" list -f '{{.Dir}}' "$pattern")

if [[ ${#targets[@]} -eq 0 ]]; then
	echo "fuzz: no target in $pattern" >&2
	exit 1
fi
echo "fuzz: ${#targets[@]} targets, $time each"
failed=()
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for target in "${targets[@]}"; do
	dir=${target% *} name=${target##* }
	where=./${dir#"$PWD"/}
	echo "== $where $name"
	"$GO" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 20x "$where" </dev/null 2>&1 | tee "$said" && continue
	# The fuzzer of Go may give up over its own end when the machine is busy. That is no finding: those are written down.
	if grep -q 'context deadline exceeded' "$said" && ! grep -q 'Failing input written' "$said"; then
		echo "== $where $name: the fuzzer did not end in time, once more"
		"$GO" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 20x "$where" </dev/null && continue
	fi
	failed+=("$where $name")
done
if [[ ${#failed[@]} -gt 0 ]]; then
	printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
