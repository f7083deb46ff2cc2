#!/bin/bash
# The model of increments and the test of bundles against a program whose limits
# are so low that every decision which only memory forces is forced all the
# time: items, batches, bundles' spans, the rule about inodes.
# timeout: 400
# Exit: 0 passed, 1 failed.
set -eu

# The source may not be writable, and is not to be.
make -C "$SRC" -j2 O="$TMPDIR/small" EXTRA_CFLAGS="-DITEMS_MAX=64 \
 -DBATCH_MAX=4 -DINODE_SAMPLE=20 -DINODE_PROOF=5 -DBUNDLE_SPAN=16 -DOLD_MAX=2 \
 -DGONE_MAX=4" all >make.txt 2>&1 || {
	tail -n 20 make.txt
	echo "failed: build"
	exit 1
}
export WHERRY=$TMPDIR/small/wherry
mkdir model changing
(cd model && python3 "$SRC/tests/scripts/incremental_model.py" \
	"${1:-$RANDOM}" 15)
(cd changing && python3 "$SRC/tests/scripts/backup_changing.py" \
	"${1:-$RANDOM}" 2)
