#!/usr/bin/env bash
# npm.sh FOLDER: install the packages that the folder's package-lock.json names, unless they are there already.
# A folder that does not exist has no packages; one without a lock file is a mistake.
set -euo pipefail

folder=${1:?usage: npm.sh FOLDER}
cd "$(dirname "$0")/.."
[[ -d $folder ]] || exit 0
cd "$folder"
if [[ ! -f package.json ]]; then
	exit 0
fi
if [[ ! -f package-lock.json ]]; then
	echo "npm: $folder has no package-lock.json: run npm install there and commit the file" >&2
	exit 1
fi
stamp=node_modules/.installed
if [[ -f $stamp ]] && cmp -s package-lock.json "$stamp"; then
	exit 0
fi
echo "npm: installing the packages of $folder"
npm ci --no-audit --no-fund --loglevel=error </dev/null
mkdir -p node_modules
cp package-lock.json "$stamp"
