#!/bin/sh
# Writers, collectors and kills, all at once, in repositories in object stores:
# chaos.py with fewer rounds. STORES and ROUNDS (12) may be given.
# timeout: 420
code=0
for store in ${STORES:-minio azurite}; do
	mkdir "$TMPDIR/$store" && cd "$TMPDIR/$store" || exit 1
	echo "$store:"
	STORE=$store ROUNDS=${ROUNDS:-12} python3 "$SRC/tests/scripts/chaos.py" || code=$?
done
exit $code
