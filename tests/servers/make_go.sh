#!/bin/sh
# Makes MinIO or versitygw, which tests run against, in a new folder; get.sh
# calls it.  What it makes is named by this file, too: a change here makes it anew.
#
# usage: make_go.sh NAME DIR CACHE    CACHE holds what is kept while it is made
# Exit status 77, with a reason on stdout, when it cannot be made.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$3

# Compile module NAME of pins into the folder OUT.  The modules and what was
# compiled are kept until all is made, so that a killed run goes on.
make_go() {
	name=$1 out=$2
	go=$cache/go
	mkdir -p "$go"
	bin=$("$here/go.sh" "$go") || {
		echo "$bin"
		return 77
	}
	export PATH="$bin:$PATH" GOPATH="$go" GOMODCACHE="$go/pkg/mod" \
	    GOCACHE="$go/build" GOTOOLCHAIN=local CGO_ENABLED=0 \
	    GOFLAGS="-modcacherw -buildvcs=false -trimpath -p=2"
	unset GOROOT
	# shellcheck disable=SC2046 # the words of the line
	set -- $(grep "^$name " "$here/pins")
	cd "$go"
	got=$(go mod download -json "$2@$3") || {
		echo "$2 cannot be fetched:" \
		    "$(echo "$got" | sed -n 's/.*"Error": //p')"
		return 77
	}
	sum=$(echo "$got" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')
	if [ "$sum" != "$4" ]; then
		echo "$2@$3 has the checksum $sum, not $4"
		return 77
	fi
	src=$go/src-$name
	rm -rf "$src"
	cp -r "$(echo "$got" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')" "$src"
	chmod -R u+w "$src"
	cd "$src"
	case $name in
	minio)
		# Compiled among MinIO's own, it needs no modules besides.
		mkdir tests-admin
		cp "$here/admin/main.go" tests-admin/
		go build -ldflags "-s -w" -o "$out/minio-admin" ./tests-admin &&
			go build -ldflags "-s -w" -o "$out/minio" .
		;;
	versitygw)
		go build -ldflags "-s -w" -o "$out/versitygw" ./cmd/versitygw
		;;
	esac >"$cache/$name.log" 2>&1 || {
		echo "$name does not compile: $(tail -n 1 "$cache/$name.log")"
		return 77
	}
	cd "$cache"
	rm -rf "$src"
}

make_go "$1" "$2"
