#!/bin/sh
# Each fuzz program for a short while, beginning with its committed corpus.
# FUZZ_SECONDS (15) is the time of each; an input that makes one fail is kept in
# the build's tests/fuzz-found and named.
# timeout: 900
set -eu
seconds=${FUZZ_SECONDS:-15}
built=$O-fuzz/tests/fuzz
found=$O/tests/fuzz-found
failed=0

if ! command -v clang >/dev/null; then
	echo "no clang"
	exit 77
fi
for source in "$SRC"/tests/fuzz/*.c; do
	[ -e "$source" ] || break
	name=$(basename "$source" .c)
	if [ ! -x "$built/$name" ]; then
		echo "$name is not built: make fuzzers"
		failed=1
		continue
	fi
	corpus=$SRC/tests/fuzz/corpus/$name
	if [ ! -d "$corpus" ]; then
		echo "$name has no corpus: tests/fuzz/corpus/$name"
		failed=1
		continue
	fi
	mkdir -p "$found/$name" "$TMPDIR/$name"
	# The first folder takes what is new; the committed one stays as it is.
	if ! "$built/$name" -max_total_time="$seconds" -timeout=10 \
	    -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix="$found/$name/" "$TMPDIR/$name" "$corpus" \
	    >"$TMPDIR/$name.log" 2>&1; then
		echo "$name failed; the input is in $found/$name"
		tail -n 60 "$TMPDIR/$name.log"
		failed=1
		continue
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' \
	    "$TMPDIR/$name.log")
	echo "$name: $runs runs"
done
exit $failed
