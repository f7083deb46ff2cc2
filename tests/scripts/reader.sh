#!/bin/bash
# The independent reader, written from FORMAT.md alone, verifies what wherry
# stores and restores it to the last bit: trees with all that file systems
# allow, before and after changes; what a write-only credential sent; small
# pages and large ones; a block volume, whole and by its changed extents; an
# index that was merged and collected.
# timeout: 240
# Exit: 0 passed, 1 failed, 77 no packages for the reader.
set -eu

python=$("$SRC/tests/deps/venv.sh") || {
	echo "$python"
	exit 77
}
cd "$TMPDIR"
tool=$TOOLS
repo=repo
export WHERRY_PASSWORD=reader WHERRY_REPOSITORY=$TMPDIR/repo
trap 'for t in tree restored-*; do
	[ ! -d "$t" ] || "$tool/treestress" -d "$t"; done' EXIT

reader() {
	"$python" "$SRC/tests/reader/reader.py" "$@"
}

fail() {
	echo "failed: $*"
	exit 1
}

# latest: the id of the last snapshot
latest() {
	reader list "$repo" >list.txt || fail "list"
	tail -n 1 list.txt | cut -d' ' -f1
}

# note TREE: keep what it holds now as the expected content.
note() {
	"$tool/treesum" -v "$1" >want.txt || fail "treesum $1"
}

# same SNAPSHOT WHAT [NOTE]: the snapshot restores to the tree noted.
same() {
	local to=restored-$1

	reader restore repo "$1" "$to" || fail "$2: restore"
	"$tool/treesum" -v "$to" >got.txt || fail "$2: treesum"
	if ! cmp -s "${3:-want.txt}" got.txt; then
		diff "${3:-want.txt}" got.txt | cut -c1-300 | head -n 20
		fail "$2: another tree"
	fi
	"$tool/treestress" -d "$to"
}

"$python" "$SRC/tests/reader/selftest.py" 2>selftest.txt || {
	cat selftest.txt
	fail "selftest"
}

"$tool/treestress" -s 7 -n 800 -D 300 -z 1000000 -F no-huge tree
# A directory large enough for inner pages, and files for long content lists.
mkdir tree/many
for i in $(seq 1500); do
	echo "$i" >"tree/many/a name that takes its share of a page $i"
done
# Long entries, so that pages also end by their greatest size.
target=$(printf '%4000s' | tr ' ' x)
mkdir tree/long
for i in $(seq 150); do
	ln -s "$target$i" tree/long/$i
done
head -c 9000000 /dev/urandom >tree/noise
truncate -s 600M tree/sparse
for i in $(seq 0 40); do
	echo "$i" | dd of=tree/sparse bs=1 seek=$((i * 14234567)) conv=notrunc \
	    status=none
done

"$WHERRY" init -q
"$WHERRY" backup -q tree
note tree
first=$(latest)
same "$first" "first backup"
mv want.txt first.txt

"$tool/treestress" -m -s 8 -n 200 -z 1000000 tree
"$WHERRY" backup -q tree
note tree
cmp -s want.txt first.txt && fail "nothing was changed"
same "$(latest)" "second backup"
same "$first" "first backup after the second" first.txt

# A credential that may only write; it changes the tree once more.
"$WHERRY" key add -q --write --new-key-file node.key
"$tool/treestress" -m -s 9 -n 100 -z 1000000 tree
(unset WHERRY_PASSWORD; "$WHERRY" backup -q --key-file node.key tree)
note tree
third=$(latest)
same "$third" "write-only credential"
reader --key-file node.key list repo >node.txt || fail "list by the writer"
[ "$(wc -l <node.txt)" = 3 ] || fail "the writer does not see 3 snapshots"
if reader --key-file node.key restore repo "$third" restored-no 2>no.txt; then
	fail "who may only write reads"
fi

# Another domain shares nothing; who has all rights reads it nonetheless.
"$WHERRY" key add -q --write --domain elsewhere --new-key-file other.key
(unset WHERRY_PASSWORD; "$WHERRY" backup -q --key-file other.key tree)
same "$(latest)" "another domain"
"$WHERRY" key add -q --read --new-key-file auditor.key
reader --key-file auditor.key restore repo "$third:many" restored-many ||
	fail "who may only read does not"
[ "$("$tool/treesum" -x links tree/many)" = \
    "$("$tool/treesum" -x links restored-many)" ] || fail "another folder"

# A passphrase that was changed.
echo changed >new.txt
"$WHERRY" key passwd -q --new-password-file new.txt
if reader list repo 2>no.txt; then
	fail "the old passphrase opens it"
fi
export WHERRY_PASSWORD=changed

# A block volume of 64 MiB: noise, text, holes.
truncate -s 64M image
dd if=/dev/urandom of=image bs=1M count=20 seek=3 conv=notrunc status=none
seq 2000000 | dd of=image bs=1M seek=40 conv=notrunc status=none
"$WHERRY" backup -q --device image --volume disk
disk=$(latest)
reader restore repo "$disk" image.out || fail "restore of an image"
cmp image image.out || fail "another image"

dd if=/dev/urandom of=image bs=4096 count=30 seek=5000 conv=notrunc status=none
dd if=/dev/urandom of=image bs=512 count=3 seek=100001 conv=notrunc status=none
printf '%d %d\n' $((5000 * 4096)) $((30 * 4096)) \
    $((100001 * 512)) $((3 * 512)) >changed.txt
"$WHERRY" backup -q --device image --volume disk --changed changed.txt
again=$(latest)
[ "$again" != "$disk" ] || fail "no second snapshot of the image"
reader restore repo "$again" image.out2 || fail "restore of extents"
cmp image image.out2 || fail "another image after changed extents"
cmp -s image image.out && fail "the image did not change"

# A stream.
seq 300000 | "$WHERRY" backup -q --stdin-name numbers --volume stream
reader restore repo "$(latest):numbers" restored-stream || fail "stream"
seq 300000 | cmp - restored-stream/numbers || fail "another stream"

reader verify repo >verify.txt || {
	head -n 20 verify.txt
	fail "verify"
}
cat verify.txt

# A merged index: after a collection, and after backups and one more of them.
export WHERRY_REPOSITORY=$TMPDIR/merged
repo=merged
mkdir grows
"$WHERRY" init -q
for i in 1 2 3 4 5 6 7 8; do
	head -c 300000 /dev/urandom >grows/$i
	rm -f grows/$((i - 2))
	"$WHERRY" backup -q grows
	[ $((i % 4)) != 0 ] || { "$WHERRY" forget -q --keep-last 2 &&
		"$WHERRY" gc -q; }
done
ls merged/index/merged/* merged/index/manifest/* >/dev/null ||
	fail "nothing was merged"
reader verify merged >verify.txt || {
	head -n 20 verify.txt
	fail "verify of a merged index"
}
cat verify.txt
reader restore merged "$(latest)" restored-merged ||
	fail "restore by a merged index"
[ "$("$tool/treesum" -x links grows)" = \
    "$("$tool/treesum" -x links restored-merged)" ] || fail "merged: another tree"

# What is altered is found, wherever it is.
export WHERRY_REPOSITORY=$TMPDIR/small
mkdir few
for i in 1 2 3; do
	seq "$i"0000 >few/$i
done
mkdir few/sub
touch few/sub/empty
"$WHERRY" init -q
"$WHERRY" key add -q --write --read --admin --new-key-file small.key
"$WHERRY" backup -q --key-file small.key few
"$WHERRY" backup -q --key-file small.key few
"$python" "$SRC/tests/reader/tamper.py" small small.key || fail "tamper"
