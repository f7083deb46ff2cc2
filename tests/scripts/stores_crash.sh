#!/bin/sh
# Backups into object stores that are killed at any time, and objects there that
# are damaged: crash.sh and damage.py with fewer rounds. STORES may be given.
# timeout: 420
code=0
for store in ${STORES:-minio azurite}; do
	mkdir "$TMPDIR/$store" && cd "$TMPDIR/$store" || exit 1
	echo "$store, killed:"
	TMPDIR=$PWD ROUNDS=${ROUNDS:-8} "$SRC/tests/servers/store.py" "$store" -- \
		bash "$SRC/tests/scripts/crash.sh" || code=$?
	mkdir damage && cd damage || exit 1
	echo "$store, damaged:"
	STORE=$store CASES=${CASES:-20} REPAIRS=${REPAIRS:-3} \
		python3 "$SRC/tests/scripts/damage.py" || code=$?
done
exit $code
