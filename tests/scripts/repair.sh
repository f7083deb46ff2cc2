#!/bin/bash
# What is damaged is named by check, listed by repair and stored again by the
# next backup, also where a file is unchanged and would be carried over: small
# files, large ones, the catalog, block volumes read by their changed extents.
# Repair is killed at random times, and finds a full disk.
# ROUNDS (12) and SEED (1) may be given.
# timeout: 300
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
rounds=${ROUNDS:-12}
RANDOM=${SEED:-1}
echo "seed ${SEED:-1}"

# flip FILE [OFFSET]: one bit of it, in the middle without an offset.
flip() {
	chmod u+w "$1"
	python3 - "$@" <<'E'
import os, sys
size = os.path.getsize(sys.argv[1])
at = int(sys.argv[2]) if len(sys.argv) > 2 else size // 2
with open(sys.argv[1], "r+b") as f:
    f.seek(at % size)
    b = f.read(1)[0]
    f.seek(at % size)
    f.write(bytes([b ^ 4]))
E
}

# packs KIND: those of blob kind 1 data, 2 catalog, 3 state.
packs() {
	local p
	for p in repo/packs/*/*; do
		[ "$(od -An -tu1 -j16 -N1 "$p" | tr -d ' ')" != "$1" ] || echo "$p"
	done
}

mkdir -p tree/small tree/deep/er
for i in $(seq 60); do
	head -c $((i * 37 + 300)) /dev/urandom >tree/small/f$i
done
for i in 1 2 3; do
	head -c 5000000 /dev/urandom >tree/deep/er/large$i
done
head -c 3000000 /dev/urandom >image
sleep 2.1 # so that everything is old enough to be carried over
backup tree --volume v
first=$id
backup --device image --volume d
block=$id

# healed WHAT: all that check finds is listed, and the next backups heal it.
healed() {
	run 13 check --read-data
	run 0,13 repair
	run 0,13 repair --quiet
	# Nobody has touched the sources: without the list all is carried over.
	backup tree --volume v
	last=$id
	: >none
	run 0 backup --quiet --device image --volume d --changed none
	run 0 check --read-data || echo "  after $1"
	run 0 repair || echo "  after $1"
	rm -rf back
	run 0 restore "$last" --target back --quiet && same_tree tree back
	rm -rf back
	run 0 restore "$first" --target back --quiet && same_tree tree back
	rm -f back.img
	run 0 restore latest@d --target back.img --quiet && cmp image back.img ||
		fail "$1: the volume came back otherwise"
	run 0 snapshots
	! grep -q damaged out || fail "$1: a snapshot is still marked"
}

for p in $(packs 1); do
	flip "$p"
done
run 13 check --read-data
says "damage in packs/"
run 13 repair
says "has lost"
run 0 snapshots
says damaged
healed "a bit in each data pack"

for p in $(packs 2); do
	flip "$p" 4000
done
healed "a bit in each catalog pack"

for p in $(packs 3); do
	flip "$p" 2000
done
healed "a bit in each state pack"

rm -f $(packs 1 | head -n 1)
healed "a data pack removed"

for p in $(packs 1 | tail -n 2); do
	truncate -s 300000 "$p"
done
healed "two data packs cut off"

for p in repo/packs/*/*; do
	flip "$p" -3
done
healed "the end of every pack"

rm -rf repo/index
healed "no index"

# --- what is gone from the source stays lost, and is named -------------------------------
rm tree/deep/er/large2
sleep 2.1
backup tree --volume v
second=$id
# Often enough to hit each chunk, wherever chance has put it.
for p in $(packs 1); do
	for at in $(seq 100000 200000 "$(stat -c %s "$p")"); do
		flip "$p" "$at"
	done
done
run 13 check --read-data --quiet
run 13 repair --json
backup tree --volume v
run 0 backup --quiet --device image --volume d
run 13 repair --json
python3 - out "$second" <<'E' || fail "repair names something else"
import json, sys
said = [json.loads(x) for x in open(sys.argv[1])]
lost = {(o["snapshot_id"], o["path"]) for o in said
        if o["message_type"] == "lost_path"}
assert lost, "nothing"
for snapshot, path in lost:
    assert path == "deep/er/large2", path
    assert snapshot != sys.argv[2], "a snapshot that does not have it"
E
run 0 restore latest@v --target back2 --quiet && same_tree tree back2

# --- what is listed and not healed is told by every check --------------------------------
"$WHERRY" init --quiet --repo listed -p pass
# at CODE VERB ARGUMENTS...
at() {
	ends "$1" "$WHERRY" "$2" --repo listed -p pass "${@:3}"
}
mkdir few
for i in 1 2 3; do
	head -c 3000 /dev/urandom >few/f$i
done
at 0 backup few --volume v --quiet
for p in listed/packs/*/*; do
	[ "$(od -An -tu1 -j16 -N1 "$p" | tr -d ' ')" != 1 ] || flip "$p" 500
done
at 13 check --read-data
at 13 repair
at 13 restore latest@v --target back3 --quiet
rm -rf back3
for how in "" --read-data; do
	at 13 check $how --json
	python3 - out <<'E' || fail "check $how does not name what is lost"
import json, sys
said = [json.loads(x) for x in open(sys.argv[1])]
end = said[-1]
assert end["message_type"] == "summary" and end["damage"] is True, end
assert end["damaged_objects"] == 0 and end["damaged_snapshots"] == 1, end
assert end["known_damages"] == 1 and end["needed_damages"] == 1, end
paths = {o["path"] for o in said if o["message_type"] == "damaged_path"}
assert paths == {"f1", "f2", "f3"} and end["damaged_paths"] == 3, paths
E
	at 13 check $how
	! grep -q "nothing relies" out || fail "check $how: nothing relies on it?"
	says "snapshots need 1 blob of them"
done
at 0 backup few --volume v --quiet
at 0 check --json
says '"known_damages":1,"needed_damages":0'
at 0 check --read-data
says "nothing relies on it"
at 0 restore latest@v --target back3 --quiet

# --- oldest first -------------------------------------------------------------------------
"$WHERRY" init --quiet --repo turn -p pass
"$WHERRY" key add --repo turn -p pass --read --write --admin --quiet \
	--new-key-file turnkey
"$WHERRY" key add --repo turn -p pass --read --quiet --new-key-file readkey
for i in $(seq 10); do
	head -c 2000000 /dev/urandom >one
	"$WHERRY" backup --repo turn -k turnkey --quiet one
done
for i in 1 2 3 4 5; do
	ends 0 "$WHERRY" check --repo turn -k turnkey --read-data=25% --json
done
python3 - turn <<'E' || fail "not every pack had its turn"
import glob, os, struct, sys
packs = {os.path.basename(p) for p in glob.glob(sys.argv[1] + "/packs/*/*")}
lists = glob.glob(sys.argv[1] + "/checked/*")
assert len(lists) == 1, lists
b = open(lists[0], "rb").read()[16:-72]
n, at = 0, 0
while True:
    n |= (b[at] & 127) << 7 * at
    at += 1
    if not b[at - 1] & 128:
        break
seen = {b[at + i * 24:at + i * 24 + 16].hex() for i in range(n)}
assert seen == packs, (len(seen), len(packs))
E
before=$(ls turn/checked)
ends 0 "$WHERRY" check --repo turn -k readkey --read-data=25% --json
says '"verified_packs":0'
[ "$(ls turn/checked)" = "$before" ] || fail "a reader has written"

# --- killed at any time ----------------------------------------------------------------------
cp -a repo sound
killed=0
for round in $(seq "$rounds"); do
	rm -rf repo
	cp -a sound repo
	for p in $(packs 1 | shuf -n 3 --random-source=<(yes $round)); do
		flip "$p" $((RANDOM * 40))
	done
	for p in $(packs 3 | tail -n 1); do
		flip "$p" -3
	done
	rm -f $(find repo/index -type f | sort | head -n $((round % 4)))
	"$WHERRY" repair -k key --quiet --read-data >/dev/null 2>&1 &
	pid=$!
	sleep "0.$(printf %03d $((RANDOM % 400)))"
	kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
	wait $pid 2>/dev/null
	run 0,13 repair --quiet --read-data
	run 0 backup --quiet tree --volume v
	run 0,13 check --read-data --quiet
	rm -rf back
	run 0 restore latest@v --target back --quiet && same_tree tree back ||
		echo "  round $round"
done 2>/dev/null
echo "$killed of $rounds were killed"

exit $failed
