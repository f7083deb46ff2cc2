#!/bin/bash
# A tree with all that the file system allows comes back from a backup as it
# was, on ext4, xfs and btrfs: whole, after changes and an incremental backup,
# and into a tree that is there already.
# timeout: 400
# Exit: 0 passed, 1 failed, 77 skipped (some; the last line says which).
set -u
. "$SRC/tests/scripts/whole/begin.sh"

if [ "$(id -u)" != 0 ]; then
	echo "skipped: mounting needs root"
	exit 77
fi
mkdir from to
cleanup() {
	umount "$TMPDIR/from" 2>/dev/null
	umount "$TMPDIR/to" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
begin
missing=
entries=${ENTRIES:-3000}

# image NAME DIR MKFS...: mount a new file system.
image() {
	local name=$1 dir=$2
	shift 2
	command -v "$1" >/dev/null || {
		missing="$missing $name (no $1)"
		return 1
	}
	rm -f "$dir.img"
	truncate -s 2G "$dir.img"
	"$@" "$dir.img" >mkfs.log 2>&1 || {
		cat mkfs.log
		fail "$1"
		return 1
	}
	mount -o loop "$dir.img" "$dir" 2>mount.log || {
		missing="$missing $name ($(tr '\n' ' ' <mount.log))"
		return 1
	}
}

# back ID OPTIONS...: restore it beside what is there, and compare.  A hole
# stays one, in blocks of 64 KiB; zeros that were written may become one.
back() {
	local s=$1
	shift
	run 0 restore "$s" --target to/tree --quiet "$@" || return
	same_tree from/tree to/tree || return
	"$TOOLS/treesum" -vH from/tree >left.sum
	"$TOOLS/treesum" -vH to/tree >right.sum
	python3 - <<-'P' || fail "holes were filled"
	import sys
	def blocks(line):
	    last = line.split()[-1:] or [b""]
	    if not last[0].startswith(b"blocks=") or last[0] == b"blocks=":
	        return set()
	    s = set()
	    for r in last[0][7:].split(b","):
	        a, b = r.split(b"-")
	        s |= set(range(int(a), int(b) + 1))
	    return s
	more = [a for a, b in zip(open("left.sum", "rb"), open("right.sum", "rb"))
	        if blocks(b) - blocks(a)]
	for line in more[:10]:
	    print(line[:300])
	sys.exit(1 if more else 0)
	P
}

# one NAME SEED MKFS...
one() {
	local name=$1 seed=$2 i
	shift 2
	image "$name" from "$@" || return
	image "$name" to "$@" || { umount from; return; }
	"$TOOLS/treestress" -s "$seed" -n "$entries" -D 300 from/tree >made ||
		fail "treestress on $name"
	backup from/tree --volume "$name"
	back "$id" || echo "  $name: the first"
	"$TOOLS/treestress" -d to/tree
	sleep 2.1
	"$TOOLS/treestress" -m -s $((seed + 100)) -n 300 from/tree >made ||
		fail "treestress -m on $name"
	backup from/tree --volume "$name"
	[ "$(field way)" = incremental ] || fail "$name: not incremental"
	back "$id" || echo "  $name: after changes"
	for i in 1 2 3 4; do
		"$TOOLS/treestress" -m -s $((seed + 200 + i)) -n $((i * i * 4)) \
			from/tree >made || fail "treestress -m on $name"
		backup from/tree --volume "$name"
	done
	# Over what an older snapshot brought: only what differs is written.
	back "$id" --in-place --delete --verify || echo "  $name: in place"
	backup from/tree --volume "whole-$name" --parent none
	run 0 diff --json "latest@$name" "$id"
	[ "$(wc -l <out)" = 1 ] || fail "$name: the merged catalog differs"
	umount from
	umount to
}

one ext4 "${SEED:-1}" mkfs.ext4 -q -i 4096
one xfs $((${SEED:-1} + 1)) mkfs.xfs -q
one btrfs $((${SEED:-1} + 2)) mkfs.btrfs -q
run 0 check --read-data --quiet

[ "$failed" = 0 ] || exit 1
if [ -n "$missing" ]; then
	echo "skipped: cannot mount$missing"
	exit 77
fi
