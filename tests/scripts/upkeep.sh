#!/bin/bash
# Upkeep: its steps in order, each told; one that fails does not prevent the
# others; several at once beside backups harm nobody.
# timeout: 180
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin

# json EXPRESSION: true of the list l of objects that the last command printed;
# ends are the steps' ends.
json() {
	python3 - "$1" <<-'E' || { fail "json: $1"; cat "$TMPDIR/out" "$TMPDIR/err"; }
	import json, os, sys
	l = [json.loads(x) for x in open(os.environ["TMPDIR"] + "/out")]
	ends = [(o["step"], o["exit_code"]) for o in l
	        if o.get("message_type") == "step_end"]
	sums = [o for o in l if o.get("message_type") == "summary"]
	sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)
	E
}

stored() {
	du -sb repo/packs | cut -f 1
}

run 2 upkeep --volume x
run 2 upkeep --no-check --check-percent 3
run 2 upkeep --keep-last x
ends 0 "$WHERRY" key add -k key --write --quiet --new-key-file node.key
ends 12 "$WHERRY" upkeep -k node.key
run 0 upkeep --json
json 'ends == [("merge", 0), ("gc", 0), ("check", 0)]'

mkdir src
for round in 1 2 3 4 5 6; do
	head -c 3000000 /dev/urandom >src/new
	echo "$round" >>src/old
	backup src --volume v
done
before=$(stored)
segments=$(find repo/index -type f | wc -l)
run 0 upkeep --keep-last 2 --check-percent 100 --json
json 'ends == [("forget", 0), ("merge", 0), ("gc", 0), ("check", 0)]'
json 'sums[0]["forgotten"] == 4 and sums[0]["kept"] == 2'
json 'sums[2]["deleted_bytes"] > 9000000'
json 'sums[3]["packs_read"] == sums[3]["packs"] and not sums[3]["damage"]'
[ "$(stored)" -lt $((before - 9000000)) ] || fail "no space came back"
[ "$(find repo/index -type f | wc -l)" -lt "$segments" ] ||
	fail "the index was not merged"
run 0 restore latest@v --target back
same_tree src back
run 0 upkeep --keep-last 2 --no-check --json
json 'ends == [("forget", 0), ("merge", 0), ("gc", 0)]'
json 'sums[0]["forgotten"] == 0 and sums[2]["outcome"] == "nothing"'

# --- several at once, beside backups ---
for i in 1 2 3; do
	mkdir "w$i"
	(
		for round in 1 2 3 4; do
			head -c 1500000 /dev/urandom >"w$i/new"
			timeout 60 "$WHERRY" backup -k key --quiet "w$i" --volume "w$i" ||
				echo "backup w$i"
		done
	) >"w$i.log" 2>&1 &
	(
		for round in 1 2 3; do
			timeout 100 "$WHERRY" upkeep -k key --quiet --keep-last 1 \
				--check-percent 50 || echo "upkeep $i ended with $?"
		done
	) >"u$i.log" 2>&1 &
done
wait
grep -H . w?.log u?.log | grep -v "passed over\|not believed" &&
	fail "several at once"
run 0 upkeep --keep-last 1 --check-percent 100
run 0 upkeep --keep-last 1 --check-percent 100
run 0 check --read-data
for i in 1 2 3; do
	run 0 restore "latest@w$i" --target "back$i"
	same_tree "w$i" "back$i"
done

# --- a step that fails does not prevent the others ---
snapshot=$(find repo/snapshots -type f | sort | tail -n 1)
chmod u+w "$snapshot"
printf rubbish >"$snapshot"
run 13 upkeep --keep-last 1 --json
json '[s for s, _ in ends] == ["forget", "merge", "gc", "check"]'
json 'ends[0][1] == 13 and ends[1][1] == 0 and ends[3][1] == 13'
[ -e "$snapshot" ] || fail "upkeep removed what it cannot read"
# What has to be done is said so that it can be copied; then all is well.
what=$(sed -n "s/.*'wherry forget --id \([0-9a-f/]*\)'.*/\1/p" err | head -n 1)
run 0 forget --id "$what"
run 0 upkeep --keep-last 1 --check-percent 100
run 0 upkeep --keep-last 1 --check-percent 100
run 0 check --read-data

exit $failed
