#!/bin/sh
# Measures wherry beside other backup programs and beside what this machine
# allows. `bench/run.sh --help` lists the options; README.md tells what is
# measured and how.
#
# usage: [O=build] bench/run.sh [OPTION...]
set -eu
here=$(dirname "$0")
if ! command -v python3 >/dev/null; then
	echo "run.sh: no python3 (deploy/deps.sh bench installs it)" >&2
	exit 1
fi
PYTHONDONTWRITEBYTECODE=1 exec python3 "$here/run.py" "$@"
