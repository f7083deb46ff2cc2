#!/bin/sh
# The bench runs, writes a result that names no path of this machine, prints it
# as Markdown, and removes what it made; also when it is stopped.
# timeout: 180
set -eu
if [ -n "$(ls -A "$SRC/bench/results" 2>/dev/null)" ]; then
	before=$(cat "$SRC"/bench/results/* | cksum)
else
	before=none
fi
make -C "$SRC" --no-print-directory O="$O" benches >out 2>&1 || {
	echo "the bench programs do not build here:"
	cat out
	exit 1
}
failed=0
fail() {
	echo "FAIL: $*"
	failed=1
}
mkdir scratch
run() {
	O=$O sh "$SRC/bench/run.sh" --quick --peer none --scratch scratch "$@"
}
run --case small --case block --json result.json >out 2>err ||
	{ fail "ended with $?"; cat out err; }
[ -z "$(ls -A scratch)" ] || fail "left behind: $(ls -A scratch)"
python3 - <<-'E' || fail "the result"
	import json, os, sys
	text = open("result.json", encoding="utf-8").read()
	r = json.loads(text)
	rows = {(x["case"], x["step"]): x for x in r["rows"]}
	assert all(x["ok"] for x in r["rows"]), rows
	assert rows["small", "restore"]["restored"] == "exactly"
	assert rows["small", "unchanged"]["stored_bytes"] < 20000
	changed = rows["block", "changed"]
	assert changed["way"] == "changed"
	assert changed["read_bytes"] < r["cases"]["block"]["bytes"]
	assert os.environ["TMPDIR"] not in text and os.uname().nodename not in \
	    json.dumps([r["machine"], r["machine_kind"], r["rows"]])
E
run --markdown --json result.json >out || fail "--markdown ended with $?"
grep -q '^|  | changed | ' out || { fail "no table"; cat out; }
O=$O sh "$SRC/bench/run.sh" --quick --peer none --scratch scratch \
	--case random >out 2>err &
pid=$!
sleep 4
kill -TERM $pid
wait $pid && fail "it went on"
[ -z "$(ls -A scratch)" ] || fail "left behind when stopped: $(ls -A scratch)"
if [ "$before" != none ]; then
	[ "$(cat "$SRC"/bench/results/* | cksum)" = "$before" ] ||
		fail "--quick wrote into bench/results"
elif [ -n "$(ls -A "$SRC/bench/results" 2>/dev/null)" ]; then
	fail "--quick wrote into bench/results"
fi
exit $failed
