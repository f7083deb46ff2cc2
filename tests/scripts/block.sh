#!/bin/bash
# Images and block devices: holes, odd sizes, runs of zeros; changed extents
# that are right, too wide, out of order, beyond the end, cut off.  Whatever way
# a backup went, what comes back is equal to what was there.
# timeout: 240
# goals: check check-asan check-tsan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
loop=
trap '[ -z "$loop" ] || losetup -d "$loop"' EXIT
trap 'exit 1' INT TERM HUP

# comes_back FILE: the last snapshot's device is equal to it.
comes_back() {
	rm -f restored
	run 0 restore "$id" --target restored --quiet &&
		cmp "$1" restored || fail "$1 comes back otherwise"
}

# --- images of all sorts ------------------------------------------------------------
python3 - <<'P'
import random
r = random.Random(7)
K, M = 1 << 10, 1 << 20
def image(name, size, parts):
    with open(name, "wb") as f:
        for at, n, what in parts:
            f.seek(at)
            f.write(r.randbytes(n) if what == "r" else bytes(n) if what == "z"
                    else (b"text %d " % at * n)[:n])
        f.truncate(size)
image("empty.img", 0, [])
image("one.img", 1, [(0, 1, "r")])
image("odd.img", 5 * M + 4097, [(0, 5 * M + 4097, "r")])
image("sector.img", 3 * M + 512, [(0, 3 * M + 512, "t")])
image("hole.img", 64 * M, [])
image("zero.img", 20 * M, [(0, 20 * M, "z")])
image("mix.img", 96 * M + 512, [(0, 7 * M, "r"), (7 * M + 3, 99 * K, "z"),
      (20 * M, 9 * M, "t"), (40 * M + 4096, 64 * K, "r"), (50 * M, 5 * M, "z"),
      (60 * M - 1, 2 * M, "r"), (96 * M, 512, "r")])
P
for f in empty one odd sector hole zero mix; do
	backup --device $f.img --volume $f
	[ "$(field total_bytes)" = "$(stat -c %s $f.img)" ] || fail "$f: the size"
	comes_back $f.img
	backup --device $f.img --volume $f --io threads --memory 128M
	[ "$(field new_bytes)" = 0 ] || fail "$f: stored twice"
	comes_back $f.img
done
[ "$(stat -c %b restored)" -lt 150000 ] || fail "holes were filled"

# --- changed extents ------------------------------------------------------------------
base=mix.img
cp --sparse=always $base disk.img
backup --device disk.img --volume disk

# changes SEED COUNT: overwrite so many places, one 'OFFSET LENGTH' a line.
changes() {
	python3 - "$1" "$2" <<'P'
import random, sys
r = random.Random(int(sys.argv[1]))
size = 96 * (1 << 20) + 512
last = 0
spots = sorted(r.sample(range(size // 4096), int(sys.argv[2])))
with open("disk.img", "r+b") as f:
    for p in spots:
        n = min(4096 * r.choice([1, 1, 1, 2, 9, 40, 300]), size - p * 4096)
        if p * 4096 < last:
            continue
        f.seek(p * 4096)
        f.write(bytes(n) if r.random() < .3 else r.randbytes(n))
        last = p * 4096 + n
        print(p * 4096, n)
P
}

# delta WAY FILE: a backup by these extents went that way, and all is right.
delta() {
	backup --device disk.img --volume disk --changed "$2" &&
	[ "$(field way)" = "$1" ] || fail "$2: $(field way), not $1"
	comes_back disk.img
}

for seed in 1 2 3 4 5 6; do
	changes $seed $((seed * seed * 3)) >right
	delta changed right
	[ "$seed" -gt 2 ] || [ "$(field read_bytes)" -lt 30000000 ] ||
		fail "$(field read_bytes) bytes were read for a few changes"
done
# What was read again meets the parent's cuts: nothing is stored for too much.
changes 7 5 >right
awk '{ o = $1 - 1000000; if (o < 0) o = 0; e = $1 + $2 + 3000000;
	if (o < last) o = last; if (e > o) { print o, e - o; last = e } }' right >wide
delta changed wide
: >none
delta changed none
[ "$(field read_bytes)" = 0 ] || fail "read without a change"
echo "0 $((200 << 20))" >all
delta changed all
[ "$(field new_bytes)" = 0 ] ||
	fail "stored again, though known: $(field new_bytes) bytes"
printf '{"offset":0,"length":4096}\n{"offset":1048576,"length":512}\n' >json
delta changed json
printf '4194304 4096\n0 4096\n' >order
run 2 backup --device disk.img --volume disk --changed order
says order
printf '4194304 8192\n4198400 4096\n' >overlap
run 2 backup --device disk.img --volume disk --changed overlap
printf '%s 4096\n' $((1 << 40)) $((1 << 62)) >beyond
delta rescan beyond
[ "$(field way_reason)" = "a changed extent lies beyond the volume's end" ] ||
	fail "beyond: $(field way_reason)"
printf '4096 4096\n' >within
"$WHERRY" backup -k key --json --device disk.img --volume disk --changed - \
	<within >summary 2>err || { fail "a list on standard input"; cat err; }
[ "$(field way)" = changed ] || fail "by standard input: $(field way)"
cat within | "$WHERRY" backup -k key --json --device disk.img --volume disk \
	--changed - >summary 2>err || { fail "a list from a pipe"; cat err; }
[ "$(field way)" = changed ] || fail "from a pipe: $(field way)"
printf '4096 4096\n8192' | "$WHERRY" backup -k key --device disk.img --volume disk \
	--changed - >out 2>err
[ $? = 2 ] || fail "half a list from a pipe is taken"
for bad in '0' '0 40' '-1 5' 'x 5' '99999999999999999999 5' \
		'18446744073709551615 18446744073709551615' '{"offset":0' '{"offset":0}'; do
	printf '%s' "$bad" >cut
	run 2 backup --device disk.img --volume disk --changed cut
	# Also where it would not be gone by.
	run 2 backup --device disk.img --volume nothing-yet --changed cut
done
: >empty
run 1 backup --device disk.img --volume disk --changed absent
# No parent, another size: all is read.
delta_new() {
	backup --device disk.img --volume "$1" --changed none
	[ "$(field way)" = "$2" ] || fail "$1: $(field way)"
	comes_back disk.img
}
delta_new another full
truncate -s $((100 << 20)) disk.img
delta_new disk rescan
truncate -s $((90 << 20)) disk.img
delta_new disk rescan
truncate -s $((96 * 1048576 + 512)) disk.img
delta_new disk rescan
# Three gaps beyond each other, with zeros where a zero run of the parent ends.
changes 11 40 >right
delta changed right

# --- a block device -------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show mix.img 2>/dev/null); then
	backup --device "$loop" --volume loop
	comes_back mix.img
	backup --device "$loop" --volume loop --io threads
	comes_back mix.img
	echo '0 4096' >one
	backup --device "$loop" --volume loop --changed one
	comes_back mix.img
	# Onto a device that holds something else.
	losetup -d "$loop"
	head -c $((96 * 1048576 + 512)) /dev/urandom >target.img
	loop=$(losetup -f --show target.img)
	run 0 restore "$id" --target "$loop" --quiet
	sync target.img
	cmp mix.img target.img || fail "the device differs"
	losetup -d "$loop"
	truncate -s 50M target.img
	loop=$(losetup -f --show target.img)
	run 1 restore "$id" --target "$loop"
	losetup -d "$loop"
	loop=
else
	loop=
	echo "no loop device: left out"
fi
run 2 backup --device /dev/null --volume x
run 2 backup --device . --volume x

# --- a stream ----------------------------------------------------------------------------
LIMIT=60
for n in 0 1 100 257 131072 4194304 30000001; do
	head -c $n mix.img >part
	timeout 60 "$WHERRY" backup -k key --volume s --stdin-name s --quiet <part ||
		fail "a stream of $n bytes"
	timeout 60 "$WHERRY" dump -k key latest@s:s | cmp - part ||
		fail "$n bytes differ"
	# Slowly, in pieces.
	(for i in 1 2 3; do head -c $((n / 3)) part; sleep 0.1; done) |
		timeout 60 "$WHERRY" backup -k key --volume p --stdin-name s --quiet ||
		fail "a slow stream of $n bytes"
done
for name in a/b .. . '' "$(printf 'x%.0s' $(seq 256))"; do
	run 2 backup --stdin-name "$name" --volume bad
done
# One that does not end is stopped when asked to, also while it says nothing.
mkfifo endless
sleep 60 >endless &
sleeper=$!
"$WHERRY" backup -k key --volume p --stdin-name s <endless >out 2>err &
pid=$!
sleep 0.7
kill -INT $pid
for i in $(seq 50); do
	kill -0 $pid 2>/dev/null || break
	sleep 0.1
done
kill -KILL $pid 2>/dev/null && fail "a silent stream cannot be stopped"
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "a stopped stream ended with $got"
kill $sleeper
wait $sleeper 2>/dev/null
run 0 check --read-data --quiet
exit $failed
