#!/bin/sh
# Prints the bin folder of a Go that is new enough for the modules in pins:
# the machine's own, or one that an older Go has fetched as a module.
#
# usage: go.sh DIR      DIR is where modules are kept (GOPATH)
# Exit status 77 with a reason on stdout where there is none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
gopath=$1
least=25    # 1.25

minor() {
	"$1" version 2>/dev/null |
		sed -n 's/.* go1\.\([0-9][0-9]*\).*/\1/p'
}

if ! command -v go >/dev/null; then
	"$here/../../deploy/deps.sh" --quiet servers >&2 || true
fi
if ! own=$(command -v go); then
	echo "there is no Go here (apt-get install golang-go)"
	exit 77
fi
have=$(minor "$own")
if [ "${have:-0}" -ge $least ]; then
	dirname "$own"
	exit 0
fi

case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*)
	echo "no newer Go is pinned for $(uname -m)"
	exit 77
	;;
esac
line=$(grep "^toolchain .*linux-$arch " "$here/pins")
# shellcheck disable=SC2086 # the words of the line
set -- $line
cd "$gopath"
got=$(GOPATH=$gopath GOMODCACHE=$gopath/pkg/mod GOTOOLCHAIN=local \
    GOFLAGS=-modcacherw "$own" mod download -json "$2@$3") || {
	echo "a newer Go cannot be fetched:" \
	    "$(echo "$got" | sed -n 's/.*"Error": //p')"
	exit 77
}
sum=$(echo "$got" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')
dir=$(echo "$got" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
if [ "$sum" != "$4" ]; then
	echo "$2@$3 has the checksum $sum, not $4"
	exit 77
fi
# Modules keep no execute bits.
chmod -R u+w "$dir"
chmod u+x "$dir"/bin/* "$dir"/pkg/tool/*/*
echo "$dir/bin"
