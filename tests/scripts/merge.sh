#!/bin/bash
# A backup that merges with its parent makes the catalog that reading all would
# make: trees from ten seeds, changed five times over, each time compared with a
# backup that has no parent; the last of each restored.
# timeout: 240
# goals: check check-asan check-tsan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin

seeds=${SEEDS:-10}
rounds=${ROUNDS:-5}
first=${FIRST_SEED:-1}
last=$((first + seeds - 1))
small="-F no-huge,no-flags,no-devices"

# Does the merged snapshot tell what a whole reading tells?
compare() {
	local s=$1 what=$2 merged
	backup "t$s" --volume "v$s" || { echo "seed $s, $what"; return; }
	merged=$id
	[ "$what" = "round 1" ] || [ "$(field parent_id)" != "" ] ||
		fail "seed $s, $what: no parent"
	backup "t$s" --volume "whole$s" --parent none || return
	run 0 diff --json "$merged" "$id" || return
	[ "$(wc -l <out)" = 1 ] || {
		fail "seed $s, $what: the merged catalog differs"
		head -n 10 out
	}
}

for s in $(seq "$first" "$last"); do
	"$TOOLS/treestress" -s "$s" -n $((150 + s * 40)) -D 20 -z 400000 \
		$small "t$s" >/dev/null || fail "treestress -s $s"
done
for round in $(seq "$rounds"); do
	# What changed in the last two seconds is read again, never merged.
	sleep 2.1
	for s in $(seq "$first" "$last"); do
		compare "$s" "round $round"
		"$TOOLS/treestress" -m -s $((s * 100 + round)) \
			-n $((1 << (2 * (round - 1)))) $small "t$s" >/dev/null ||
			fail "treestress -m, seed $s"
	done
done
# Right after the change, too, when times tell nothing.
for s in $(seq "$first" "$last"); do
	compare "$s" last
	run 0 restore "latest@v$s" --target "back$s" --quiet &&
		same_tree "t$s" "back$s"
	rm -rf "back$s"
done
run 0 check --read-data --quiet
exit $failed
