#!/usr/bin/env bash
# npm.sh FOLDER: install the packages that the folder's package-lock.json names, and those of its tarballs.txt, unless they are
# there already.
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
wanted=$(cat package-lock.json tarballs.txt 2>/dev/null || true)
if [[ -f $stamp && $wanted == "$(cat "$stamp")" ]]; then
	exit 0
fi
echo "npm: installing the packages of $folder"
npm ci --no-audit --no-fund --loglevel=error </dev/null

# unpack NAME@VERSION CHECKSUM: a package without its dependencies.
unpack() {
	local name=${1%@*} file
	file=$(npm pack "$1" --silent --pack-destination node_modules </dev/null)
	if [[ sha512-$(openssl dgst -sha512 -binary "node_modules/$file" | base64 -w0) != "$2" ]]; then
		echo "npm: $1 is not the package that tarballs.txt names" >&2
		exit 1
	fi
	mkdir -p "node_modules/$name"
	tar -xzf "node_modules/$file" -C "node_modules/$name" --strip-components=1
	rm "node_modules/$file"
}
mkdir -p node_modules
if [[ -f tarballs.txt ]]; then
	while read -r package checksum; do
		[[ $package == '#'* || -z $package ]] || unpack "$package" "$checksum"
	done <tarballs.txt
fi
printf '%s\n' "$wanted" >"$stamp"
