#!/usr/bin/env bash
# Install what the tests need from Debian's packages: encoders and players of other makers, node, make, a C compiler for
# the race detector. Says nothing when nothing is missing. With --check it installs nothing and only tells.
set -euo pipefail

# What is needed: "command NAME" or "element NAME" (a GStreamer plugin), and the packages that bring it.
needs=(
	'command gcc|gcc libc6-dev'
	'command make|make'
	'command ffmpeg|ffmpeg'
	'command ffprobe|ffmpeg'
	'command rtmpdump|rtmpdump'
	'command gst-launch-1.0|gstreamer1.0-tools'
	'command gst-inspect-1.0|gstreamer1.0-tools'
	'element videotestsrc|gstreamer1.0-plugins-base'
	'element flvmux|gstreamer1.0-plugins-good'
	'element rtmp2sink|gstreamer1.0-plugins-bad'
	'element x264enc|gstreamer1.0-plugins-ugly'
	'element avdec_h264|gstreamer1.0-libav'
	'element rtspclientsink|gstreamer1.0-rtsp'
	'element souphttpsrc|gstreamer1.0-plugins-good'
	'element tsdemux|gstreamer1.0-plugins-bad'
	'command cvlc|vlc-bin vlc-plugin-base'
	'command setpriv|util-linux'
	'command node|nodejs npm'
	'command npm|npm'
	'command chromium|chromium'
	'command openssl|openssl'
)

present() { # present KIND NAME
	case $1 in
	command) command -v "$2" >/dev/null ;;
	element) command -v gst-inspect-1.0 >/dev/null && gst-inspect-1.0 --exists "$2" 2>/dev/null ;;
	esac
}

# missing prints the packages of all needs that are not met, once each; node that came from elsewhere is as good as Debian's.
missing() {
	local need what package found=' '
	for need in "${needs[@]}"; do
		what=${need%%|*}
		present "${what%% *}" "${what##* }" && continue
		for package in ${need##*|}; do
			[[ $found == *" $package "* ]] || found+="$package "
		done
	done
	echo "$found"
}

list=$(missing)
read -ra packages <<<"$list"
[[ ${#packages[@]} -gt 0 ]] || exit 0

line="apt-get install -y --no-install-recommends ${packages[*]}"
if [[ ${1:-} == --check ]]; then
	echo "deps: missing: ${packages[*]}" >&2
	echo "deps: install them with: $line" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "deps: this machine has no apt-get; install what Debian calls: ${packages[*]}" >&2
	exit 1
fi
if [[ $(id -u) -ne 0 ]]; then
	echo "deps: not root, so nothing was installed; run: sudo $line" >&2
	exit 1
fi

echo "deps: installing ${packages[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt() {
	apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >>"$log" 2>&1
}
if ! { apt update && apt install -y --no-install-recommends "${packages[@]}"; }; then
	tail -n 40 "$log" >&2
	echo "deps: the installation failed; by hand: apt-get update && $line" >&2
	exit 1
fi

list=$(missing)
read -ra packages <<<"$list"
if [[ ${#packages[@]} -gt 0 ]]; then
	echo "deps: installed, but these still do not bring what they should: ${packages[*]}" >&2
	exit 1
fi
