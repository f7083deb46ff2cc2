#!/bin/bash
# Sizes of snapshots add up to what is stored, and what is called unique is what
# forgetting gives back: for trees from seeds that grow and change, and a volume.
# timeout: 120
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin

# sizes: a line for each snapshot, "ID UNIQUE SHARED"; then "sum LIVE UNNEEDED".
sizes() {
	run 0 snapshots --sizes --json || return
	python3 - "$TMPDIR/out" <<-'E'
	import json, sys
	live = 0
	for line in open(sys.argv[1]):
	    o = json.loads(line)
	    if o.get("message_type") == "summary":
	        assert live + o["checkpoint_bytes"] == o["live_bytes"], (live, o)
	        print("sum", o["live_bytes"], o["unneeded_bytes"])
	    else:
	        assert not o["damaged"]
	        live += o["unique_bytes"] + o["shared_bytes"]
	        print(o["id"], o["unique_bytes"], o["shared_bytes"])
	E
}

# of ID FILE: its unique bytes.
of() {
	sed -n "s/^$1 \([0-9]*\) .*/\1/p" "$2"
}

# Small files enough that maps have several pages, of which some stay the same.
for seed in 1 2; do
	"$TOOLS/treestress" -s $seed -n $((seed * 700 - 500)) -D 10 -z 60000 \
		-F no-huge,no-flags,no-devices t$seed >/dev/null || fail "treestress"
done
head -c 6000000 /dev/urandom >big
truncate -s 20M volume
dd if=big of=volume bs=4096 seek=100 conv=notrunc status=none
backup t1 big --volume one
backup t2 --volume two
for round in 1 2 3 4; do
	echo "$round" >>t1/new
	head -c $((round * 100000)) /dev/urandom >t2/file$round
	dd if=/dev/urandom of=big bs=1M count=1 seek=$round conv=notrunc status=none
	dd if=/dev/urandom of=volume bs=4096 count=20 seek=$((round * 500)) \
		conv=notrunc status=none
	backup t1 big --volume one
	backup t2 --volume two
	backup --device volume --volume dev
done
# The same once more, with the very same maps, and then made anew.
sleep 2.1
backup t2 --volume two
backup t2 --volume two
backup t2 --volume two --parent none
sizes >all || fail "the sizes do not add up"
[ "$(sed -n 's/^sum [0-9]* //p' all)" = 0 ] || {
	fail "something is not needed, and nothing was forgotten"
	cat all
}

# What the index names is what the sizes add up to: another way of counting.
run 0 stats --json
stored=$(python3 -c 'import json, sys
o = json.loads(open(sys.argv[1]).readlines()[-1])
print(sum(o[k]["sealed_bytes"] for k in ("data", "catalog", "state")))' out)
[ "$(sed -n 's/^sum \([0-9]*\) .*/\1/p' all)" = "$stored" ] ||
	fail "live is not the $stored bytes of the index"

# Forgetting gives back what was unique, whichever is forgotten: first two of
# the copies, then from everywhere.
for step in 15 14 3 8 2 1 6 4 3; do
	n=$(($(wc -l <all) - 1))
	id=$(sed -n "$(((step + n - 1) % n + 1))p" all | cut -d ' ' -f 1)
	unique=$(of "$id" all)
	live=$(sed -n 's/^sum \([0-9]*\) .*/\1/p' all)
	run 0 forget --id "$id" || break
	sizes >less || fail "the sizes do not add up after forgetting $id"
	now=$(sed -n 's/^sum \([0-9]*\) .*/\1/p' less)
	[ "$now" = $((live - unique)) ] ||
		fail "forgetting $id: $live - $unique is not $now"
	mv less all
done
run 0 gc --wait
sizes >all
run 0 check

# A credential that may not read cannot follow snapshots.
ends 0 "$WHERRY" key add -k key --write --quiet --new-key-file node.key
ends 12 "$WHERRY" snapshots -k node.key --sizes
run 0 snapshots --sizes
says "in all: unique and shared"
run 0 snapshots --sizes --memory 128M --latest 1

exit $failed
