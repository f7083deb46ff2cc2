#!/bin/bash
# After `key rotate --new-ids` ids, cuts and the order of names are others, and
# what was backed up before is looked at as ever: find, mount, diff.
# timeout: 240
set -u
. "$SRC/tests/scripts/whole/begin.sh"
mounted=
cleanup() {
	umount -l "$TMPDIR/mp" 2>/dev/null
	[ -z "$mounted" ] || kill -9 "$mounted" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
begin
ends 0 "$WHERRY" key add -k key --write --domain apart --quiet --new-key-file "$TMPDIR/apart.key"

# Several pages of names, several chunks, several directories.
mkdir -p tree/many tree/sub/deep
(cd tree/many && seq 6000 | sed 's/$/-a-name-of-some-length/' | xargs touch)
for i in 1 2 3 4 5 6 7 8 9; do
	mkdir "tree/sub/$i"
	seq "$i"000 >"tree/sub/$i/numbers"
	echo "$i" >"tree/sub/$i/small"
done
head -c 5M /dev/urandom >tree/large
truncate -s 3M tree/sub/deep/hole
ln -s small tree/sub/1/link
head -c 3M /dev/urandom >image
truncate -s 8M image

# both TREE VOLUME: a backup under the slot's own domain, and under "apart".
both() {
	sleep 2.1 # what is younger than two seconds is read again
	backup "$1" --volume tree
	own="${own:-} $id"
	ends 0 "$WHERRY" backup -k apart.key --json --volume tree "$1"
	apart="${apart:-} $(python3 -c 'import json
print(json.loads(open("out").readlines()[-1])["snapshot_id"])')"
	cp -a "$1" "was-$id"
}

both tree
backup --device image --volume disk
old_disk=$id
ends 0 "$WHERRY" key rotate -k key --new-ids --quiet
echo more >>tree/sub/2/small
printf x | dd of=tree/large bs=1 seek=3000000 conv=notrunc 2>/dev/null
rm tree/sub/3/numbers tree/many/77-a-name-of-some-length
rm -r tree/sub/4
mkdir tree/sub/new
echo new >tree/sub/new/file
chmod 600 tree/sub/5/small
touch tree/sub/6/numbers
rm tree/sub/7/small
ln -s numbers tree/sub/7/small
both tree
printf changed | dd of=image bs=1 seek=2500000 conv=notrunc 2>/dev/null
backup --device image --volume disk
new_disk=$id
set -- $own
old=$1 new=$2
set -- $apart
old_apart=$1 new_apart=$2

# --- find -------------------------------------------------------------------------
run 0 find --json 'sub/[12]/small' large '42-a*'
python3 - "$old" "$new" "$old_apart" "$new_apart" <<'P' || fail "find"
import json, sys
old, new, olda, newa = sys.argv[1:]
got = {}
for line in open("out"):
    m = json.loads(line)
    got.setdefault(m["path"], []).append(sorted(m["snapshot_ids"]))
want = {}
for a, b in ((old, new), (olda, newa)):
    for path in "sub/1/small", "many/42-a-name-of-some-length":
        want.setdefault(path, []).append(sorted([a, b]))
    for path in "sub/2/small", "large":
        want.setdefault(path, []).extend([[a], [b]])
assert sorted(got) == sorted(want), got
for path in want:
    assert sorted(got[path]) == sorted(want[path]), (path, got[path])
P

# --- diff -------------------------------------------------------------------------
# differs A B [PATH]: what 'diff' tells, sorted, in out.sorted.
differs() {
	run 0 diff "$@"
	grep '^[-+MTU]  ' out | sed 's/  (.*//' | LC_ALL=C sort >out.sorted
}
cat >want <<W
+  sub/new/
+  sub/new/file
-  many/77-a-name-of-some-length
-  sub/3/numbers
-  sub/4/
-  sub/4/numbers
-  sub/4/small
M  large
M  sub/2/small
T  sub/7/small
U  many/
U  sub/
U  sub/3/
U  sub/5/small
U  sub/6/numbers
U  sub/7/
W
differs "$old" "$new"
cmp want out.sorted || fail "diff over new ids: $(cat out)"
differs "$old_apart" "$new"
cmp want out.sorted || fail "diff over domains: $(cat out)"
differs "$new" "$old"
sed 'y/+-/-+/; s/many.77+a+name+of+some+length/many\/77-a-name-of-some-length/' <want | LC_ALL=C sort | cmp - out.sorted || fail "diff backwards: $(cat out)"
differs "$new_apart" "$new"
[ ! -s out.sorted ] || fail "equal trees differ over domains: $(cat out)"
says "no difference"
differs "$old" "$new" sub
grep -w sub want | cmp - out.sorted || fail "diff below a path: $(cat out)"
differs "$old" "$new" sub/2/small
grep sub/2 want | cmp - out.sorted || fail "diff of a file: $(cat out)"
run 0 diff "$old_disk" "$new_disk"
read -r from len <out
[ "$(wc -l <out)" = 2 ] && [ "$from" -le 2500000 ] && [ "$len" -le 65536 ] &&
	[ $((from + len)) -ge 2500007 ] || fail "diff of volumes: $(cat out)"

# --- mount ------------------------------------------------------------------------
if [ -e /dev/fuse ] && [ "$(id -u)" = 0 ]; then
	mkdir mp
	"$WHERRY" mount -k key mp >mount.out 2>mount.err </dev/null &
	mounted=$!
	for _ in $(seq 300); do
		grep -q mounted mount.out && break
		sleep 0.1
	done
	# A volume is shown once, with all its snapshots; the newest is the latest.
	[ "$(ls mp/volumes | wc -l)" = 3 ] || fail "volumes: $(ls mp/volumes)"
	for v in mp/volumes/*; do
		[ "$(ls "$v" | wc -l)" = 2 ] || fail "$v: $(ls "$v")"
	done
	for i in $old $new; do
		same_tree "was-$i" "mp/ids/$i"
	done
	same_tree "was-$old" "mp/ids/$old_apart"
	same_tree "was-$new" "mp/ids/$new_apart"
	same_tree "was-$new" mp/latest/tree/. -H
	cmp image mp/latest/disk || fail "the latest image"
	cmp -s image "mp/ids/$old_disk.img" && fail "the old image is the new one"
	[ ! -s mount.err ] || { fail "mount complains"; cat mount.err; }
	umount mp
	wait "$mounted" || fail "mount ended with $?"
	mounted=
else
	echo "no FUSE here: mount is left out"
fi

exit $failed
