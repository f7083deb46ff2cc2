#!/bin/bash
# Sessions that end after a moment: what many of them make is what one makes,
# and what a run that dies or is stopped leaves is gone on from.
# timeout: 300
# goals: check check-asan check-tsan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
LIMIT=200
cp -a repo pristine
# Shorter than it takes to look at the tree: each session ends as soon as it has
# got further than the one before.
short="--checkpoint-interval 0.02s --memory 128M --compression off"
# The same on a link so slow that no machine is done before the sessions counted.
slow="$short --limit-upload 40M"

# fresh: a repository in which nothing is stored.
fresh() {
	rm -rf repo
	cp -a pristine repo
}

# checkpoints: how many there are now.
checkpoints() {
	"$WHERRY" snapshots -k key --checkpoints --json | grep -c '"checkpoint": *true'
}

# last MEMBER VOLUME: of the newest checkpoint or snapshot.
last() {
	"$WHERRY" snapshots -k key --checkpoints --volume "$2" --json | tail -n 1 |
		python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# ended N SIGNAL CODE ARGUMENTS...: a backup that gets that signal when it has
# made N checkpoints, and ends with that code.
ended() {
	python3 - "$@" <<'P' || fail "backup with $2 after $1 checkpoints"
import os, signal, subprocess, sys
n, sig, code = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
p = subprocess.Popen([os.environ["WHERRY"], "backup", "-k", "key", "--json"] + sys.argv[4:],
                     stdout=subprocess.PIPE, stderr=open("err", "w"), text=True)
lines = []
for line in p.stdout:
    lines.append(line)
    n -= "checkpoint_id" in line
    if n == 0:
        p.send_signal(getattr(signal, "SIG" + sig))
        n = -1
open("out", "w").writelines(lines)
got = p.wait()
if got != code:
    print("it ended with %d" % got, lines[-1:])
    sys.exit(1)
P
}

# --- a time that is none ------------------------------------------------------------
mkdir none
for t in 0 0s -1s 5 h 4x '' 1hh 1e3s; do
	run 2 backup none --checkpoint-interval "$t"
done
run 2 backup none --checkpoint-interval 0s
says "time span above 0"
run 0 backup none --checkpoint-interval 0.5h --quiet
fresh

# --- a tree: large files and such as stand in the catalog, so no bundle has a seam -----
mkdir tree
python3 - <<'P'
import os, random
r = random.Random(7)
for d in range(8):
    os.mkdir("tree/d%d" % d)
    for i in range(60):
        n = r.choice([9, 100, 250, 131072, 300000, 500000])
        with open("tree/d%d/f%d" % (d, i), "wb") as f:
            f.write(r.randbytes(n))
for i in range(4):
    os.link("tree/d0/f%d" % i, "tree/d7/link%d" % i)
with open("tree/d3/large", "wb") as f:
    f.write(r.randbytes(9 << 20))
P
bytes=$(find tree -type f ! -name 'link*' -printf '%s\n' | awk '{n += $1} END {print n}')
sleep 2.1
backup tree --volume many $slow
many=$id
n=$(field checkpoints)
[ "$n" -ge 3 ] || fail "only $n checkpoints"
[ "$(checkpoints)" = "$n" ] || fail "$(checkpoints) checkpoints are listed, not $n"
[ "$(field files_new)" = 485 ] || fail "$(field files_new) new files"
[ "$(field files_changed)" = 0 ] || fail "$(field files_changed) changed files"
run 0 snapshots --json
[ "$(grep -c . out)" = 1 ] || fail "checkpoints are listed as snapshots"
# One session makes the same pages, so nothing of them is new.
backup tree --volume one --parent none --compression off
run 0 diff --json "$many" "$id"
[ "$(grep -c '"path"' out)" = 0 ] || fail "many sessions made another snapshot than one"
[ "$(field stored_bytes)" -le 8192 ] ||
	fail "one session made $(field stored_bytes) bytes of other pages"
run 0 restore "$many" --target back --quiet
same_tree tree back
rm -rf back
# What unchanged files need is there: nothing is read, all leaves are carried.
backup tree --volume many
[ "$(field read_bytes)" -lt 200000 ] || fail "$(field read_bytes) bytes were read again"
run 0 check --read-data --quiet

# --- killed, and the tree changed in between ---------------------------------------------
fresh
ended 3 KILL -9 tree --volume killed $slow
kept=$(last size_bytes killed)
head -c 400000 /dev/urandom >tree/d1/new
rm tree/d2/f1*
echo changed >>tree/d5/f50
backup tree --volume killed
[ "$(field read_bytes)" -le $((bytes - kept + 1500000)) ] ||
	fail "of $bytes bytes, $kept kept, $(field read_bytes) were read"
[ "$(field checkpoints)" = 0 ] || fail "a checkpoint for no reason"
killed=$id
backup tree --volume fresh --parent none
run 0 diff --json "$killed" "$id"
[ "$(grep -c '"path"' out)" = 0 ] || fail "going on made another snapshot"
run 0 restore "$killed" --target back --quiet
same_tree tree back
rm -rf back

# --- the second backup of a volume dies: both parents are of use --------------------------
find tree/d[0-3] -type f ! -name 'link*' -exec sh -c 'head -c 20000 /dev/urandom >>"$1"' - {} \;
changed=$(find tree/d[0-3] -type f ! -name 'link*' -printf '%s\n' |
	awk '{n += $1} END {print n}')
all=$(find tree -type f -printf '%s\n' | awk '{n += $1} END {print n}')
sleep 2.1
ended 1 KILL -9 tree --volume killed $slow
backup tree --volume killed
[ "$(field read_bytes)" -lt $((changed + 1500000)) ] ||
	fail "of $all bytes, $changed changed, $(field read_bytes) were read"
[ "$(field files_unmodified)" -gt 150 ] || fail "the older parent was of no use"
run 0 restore "$id" --target back --quiet
same_tree tree back
rm -rf back

# --- stopped on request -------------------------------------------------------------------
fresh
before=$(checkpoints)
"$WHERRY" backup -k key tree --volume stopped --limit-upload 10M --memory 128M \
	--compression off --json >out 2>err &
pid=$!
sleep 1
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "an interrupted run ended with $got"
says "goes on from checkpoint"
[ "$(checkpoints)" = $((before + 1)) ] || fail "it left no checkpoint"
point=$(grep checkpoint_id out | python3 -c 'import json, sys
print(json.loads(sys.stdin.readline())["checkpoint_id"])')
run 3 restore "$point" --target part
says "is a checkpoint"
[ -n "$(ls part)" ] || fail "nothing in the checkpoint"
rm -rf part
run 1 restore latest@stopped --target part
[ ! -e part ] || fail "a restore of nothing left a directory"
run 0 check --quiet
backup tree --volume stopped
[ "$(field parent_id)" = "$point" ] || fail "it went on from $(field parent_id)"
# Nothing is worth a checkpoint when nothing was stored.
before=$(checkpoints)
"$WHERRY" backup -k key tree --volume stopped --quiet 2>err &
pid=$!
kill -INT $pid
wait $pid
[ "$(checkpoints)" = "$before" ] || fail "a checkpoint of nothing"

# --- a file that takes longer than many sessions --------------------------------------------
mkdir huge
head -c 60000000 /dev/urandom >huge/file
# Runs of holes and zeros, so that sessions end beside them too.
truncate -s 70000000 huge/file
head -c 10000000 /dev/zero >>huge/file
head -c 5000000 /dev/urandom >>huge/file
echo small >huge/small
sleep 2.1
fresh
backup huge --volume huge $slow
[ "$(field checkpoints)" -ge 2 ] || fail "$(field checkpoints) checkpoints in a file"
# Each session reads again what the one before had read and not encoded: no more
# than a few chunks, so that a slow machine, which makes many, reads more.
[ "$(field read_bytes)" -lt $((130000000 + $(field checkpoints) * 8388608)) ] ||
	fail "$(field read_bytes) bytes were read of 75 million that are no hole"
run 0 restore "$id" --target back --quiet
same_tree huge back
rm -rf back
huge=$id
backup huge --volume huge2 --parent none --compression off
run 0 diff --json "$huge" "$id"
[ "$(grep -c '"path"' out)" = 0 ] || fail "a large file has other content after many sessions"
# Killed in its midst: the next run goes on in it.  Its checkpoint shows a part.
head -c 60000000 /dev/urandom >huge/file
sleep 2.1
ended 3 KILL -9 huge --volume huge $slow
kept=$(last size_bytes huge)
[ "$kept" -gt 2000000 ] || fail "only $kept bytes in the third checkpoint"
backup huge --volume huge
[ "$(field read_bytes)" -le $((60000100 - kept)) ] || fail "$(field read_bytes) bytes were read again"
run 0 restore "$id" --target back --quiet
same_tree huge back
rm -rf back
# Changed since: nothing of the part counts.
head -c 60000000 /dev/urandom >huge/file
sleep 2.1
ended 3 KILL -9 huge --volume huge $slow
point=$(last id huge)
run 3 restore "$point" --target part --quiet
size=$(stat -c %s part/file)
[ "$size" -gt 1000000 ] && cmp -n "$size" huge/file part/file || fail "the part of a file"
rm -rf part
printf x | dd of=huge/file bs=1 seek=1000 conv=notrunc status=none
sleep 2.1
backup huge --volume huge
run 0 restore "$id" --target back --quiet
same_tree huge back
rm -rf back
run 0 check --read-data --quiet

# --- devices and streams ----------------------------------------------------------------------
python3 - <<'P'
import random
r = random.Random(3)
with open("image", "wb") as f:
    for i in range(30):
        f.write(r.randbytes(2000000))
        f.seek(700000, 1)
        f.write(bytes(300000))
    f.truncate(f.tell() + 5000000)
P
backup --device image --volume image $slow
[ "$(field checkpoints)" -ge 2 ] || fail "$(field checkpoints) checkpoints of an image"
[ "$(field read_bytes)" -le "$(stat -c %s image)" ] || fail "an image was read twice"
"$WHERRY" dump -k key "$id" | cmp - image || fail "the image differs"
backup --device image --volume image1 --parent none --compression off
[ "$(field stored_bytes)" -le 8192 ] || fail "one session made another map of the image"
base=$id
# Only extents; sessions end between and within them.
cp image image2
python3 - <<'P'
import random
r = random.Random(4)
with open("image2", "r+b") as f, open("extents", "w") as x:
    for off, n in (100000, 9000), (3000000, 30000000), (50000000, 20000000), (85000000, 4096):
        f.seek(off)
        f.write(r.randbytes(n))
        x.write("%d %d\n" % (off, n))
P
"$WHERRY" backup -k key --device image2 --volume image1 --changed extents --json \
	$slow >out 2>err || fail "extents"
cp out summary
id=$(field snapshot_id)
[ "$(field way)" = changed ] || fail "it was read whole: $(field way_reason)"
[ "$(field checkpoints)" -ge 1 ] || fail "no checkpoint among extents"
"$WHERRY" dump -k key "$id" | cmp - image2 || fail "the changed image differs"
# A checkpoint is no parent for extents: they are told against the snapshot.
head -c "$(stat -c %s image2)" /dev/urandom >image3
ended 2 KILL -9 --device image3 --volume image1 $slow
: >nothing
backup --device image2 --volume image1 --changed nothing
[ "$(field way)" = changed ] || fail "it was read whole: $(field way_reason)"
"$WHERRY" dump -k key "$id" | cmp - image2 || fail "extents went by a checkpoint"
# Stopped: what was stored is kept, the next run stores the rest.
fresh
ended 2 TERM 130 --device image3 --volume fresh $slow
kept=$(last size_bytes fresh)
backup --device image3 --volume fresh
[ "$(field new_bytes)" -le $(($(stat -c %s image3) - kept)) ] ||
	fail "$kept bytes kept, $(field new_bytes) new"

head -c 50000000 /dev/urandom >dump
"$WHERRY" backup -k key --stdin-name dump --volume dump --json $slow <dump >out 2>err || fail "a stream"
cp out summary
id=$(field snapshot_id)
[ "$(field checkpoints)" -ge 1 ] || fail "no checkpoint of a stream"
"$WHERRY" dump -k key "$id:dump" | cmp - dump || fail "the stream differs"
# One that says nothing for a while.
(head -c 5000000 dump; sleep 1.5; tail -c +5000001 dump | head -c 3000000) |
	"$WHERRY" backup -k key --stdin-name dump --volume slow --json \
		--checkpoint-interval 0.3s >out 2>err || fail "a slow stream"
cp out summary
id=$(field snapshot_id)
[ "$(field checkpoints)" -ge 1 ] || fail "a silent stream kept its session"
head -c 8000000 dump >want
"$WHERRY" dump -k key "$id:dump" | cmp - want || fail "the slow stream differs"
run 0 check --read-data --quiet
exit $failed
