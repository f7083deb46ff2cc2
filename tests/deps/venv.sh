#!/bin/sh
# Prints the path of a Python that has the packages of the independent reader
# (tests/reader/requirements.txt).  The environment is made once, outside of
# the tree, named by the content of the list.  Exit status 77 with a reason on
# stdout when it cannot be made here.
set -eu
list=$(cd "$(dirname "$0")/../reader" && pwd)/requirements.txt
cache=${TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wherry-tests}
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
sum=$({ echo "$version"; cat "$list"; } | sha256sum | cut -c1-16)
venv=$cache/venv-$sum

# Whom this machine trusts, not only whom pip does.
if [ -z "${PIP_CERT:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
	export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -e "$venv/complete" ]; then
	rm -rf "$venv"
	log=$cache/venv.log
	if ! { python3 -m venv "$venv" && "$venv/bin/python3" -m pip install \
	    --quiet --disable-pip-version-check -r "$list"; } >"$log" 2>&1 9>&-
	then
		rm -rf "$venv"
		echo "the reader's packages cannot be installed:" \
		    "$(tail -n 1 "$log")"
		exit 77
	fi
	touch "$venv/complete"
fi
echo "$venv/bin/python3"
