#!/usr/bin/env bash
# tagged.sh TAG TIMEOUT: run the tests that only a build tag brings in (//go:build faults), one package after the other.
set -euo pipefail

tag=${1:?usage: tagged.sh TAG TIMEOUT}
timeout=${2:?usage: tagged.sh TAG TIMEOUT}
GO=${GO:-go}
cd "$(dirname "$0")/.."

mapfile -t dirs < <(grep -rlE --include='*_test.go' --exclude-dir=node_modules "^//go:build .*\\b$tag\\b" . |
	xargs -r -n1 dirname | sort -u)
if [[ ${#dirs[@]} -eq 0 ]]; then
	echo "$tag: no test carries the build tag '$tag' yet" >&2
	exit 1
fi
CGO_ENABLED=1 "$GO" test -race -tags "netgo,$tag" -timeout "$timeout" -count 1 -p 1 -v "${dirs[@]}"
