#!/bin/sh
# Prints the path of a folder with the libraries of arm64, for `make arm64`.
#
# They are the packages that deploy/packages names, fetched by apt for that
# architecture with lists of its own and unpacked into a cache: the machine's
# own apt and dpkg do not come to know of another architecture.  Exit status
# 77 with a reason on stdout when it cannot be done here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wherry-tests}
triplet=aarch64-linux-gnu

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "arm64's libraries come by apt, which is not here"
	exit 77
fi
names=$("$here/deps.sh" --list runtime build | grep '^lib.*-dev$' |
    grep -v '^libc6-dev$')
sum=$({ cat "$0" /etc/os-release; echo "$names"; } | sha256sum | cut -c1-16)
root=$cache/arm64-$sum

mkdir -p "$cache"
exec 9>"$cache/lock-arm64"
flock 9
if [ -e "$root/complete" ]; then
	echo "$root"
	exit 0
fi
rm -rf "$root"
apt=$root/apt
mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
: >"$apt/status"
# apt drops to a user of its own, who cannot write here.
arm64_apt() {
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
	    -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" \
	    -o Dir::Cache="$apt/cache" -o Debug::NoLocking=1 \
	    -o APT::Sandbox::User=root -o APT::Install-Recommends=0 \
	    -o Acquire::Languages=none "$@" 9>&-
}
if ! { arm64_apt update && arm64_apt -y -d install $names; } \
    >"$cache/arm64.log" 2>&1; then
	echo "apt cannot fetch for arm64: $(tail -n 1 "$cache/arm64.log")"
	rm -rf "$root"
	exit 77
fi
for deb in "$apt"/cache/archives/*.deb; do
	case ${deb##*/} in
	# The cross compiler has its own C library.
	libc6_*|libc6-dev_*|linux-libc-dev_*) ;;
	lib*|zlib1g_*) dpkg-deb -x "$deb" "$root" ;;
	esac
done
rm -rf "$apt"
# Links that begin at the machine's root are meant to begin at this one.
find "$root" -type l -lname '/*' | while read -r link; do
	ln -sfn "$root$(readlink "$link")" "$link"
done
if [ ! -d "$root/usr/lib/$triplet/pkgconfig" ]; then
	echo "the packages for arm64 hold no libraries"
	rm -rf "$root"
	exit 77
fi
touch "$root/complete"
echo "$root"
