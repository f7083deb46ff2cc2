#!/bin/sh
# What writes, reads and runs in threads, under AddressSanitizer with
# UndefinedBehaviourSanitizer, and under ThreadSanitizer: some unit programs of the
# archive, the engine, the store and the backends, and a whole round trip.  All
# of them run in `make check-asan` and `make check-tsan`.
# timeout: 2400
set -eu
jobs=$(nproc)

asan="archive_cursor archive_diff archive_map archive_path archive_walk
    archive_writer backend_conformance backend_decorators backend_local
    engine_attack engine_checkpoint engine_faults engine_io engine_lies engine_links
    engine_restore_parts engine_split engine_walk store_attack store_check
    store_forget store_gc_kill store_gc_odd store_gc_parts store_gc_rules
    store_hostile store_index store_keys store_merge_leaves store_remove
    store_repair store_roundtrip store_session store_stolen store_threads"
tsan="backend_decorators backend_local engine_checkpoint engine_io engine_lies
    engine_restore_parts engine_walk store_roundtrip store_session store_threads"

# sanitized KIND SLOW PROGRAM...: build them, and run them and a round trip.
sanitized() {
	kind=$1
	slow=$2
	shift 2
	make -C "$SRC" --no-print-directory -j"$jobs" O="$O" PROGRAMS="$*" \
	    "$kind" >"$TMPDIR/$kind.log" 2>&1 || {
		tail -n 40 "$TMPDIR/$kind.log"
		echo "$kind cannot be built"
		return 1
	}
	only="--only scripts/cli_roundtrip.sh"
	for name in "$@"; do
		only="$only --only unit/$name"
	done
	# ThreadSanitizer wants its shadow where random addresses may lie.
	setarch -R python3 "$SRC/tests/run.py" --out "$O/$kind" --slow "$slow" $only
}

failed=0
sanitized asan 4 $asan || failed=1
sanitized tsan 8 $tsan || failed=1
exit $failed
