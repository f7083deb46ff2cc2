#!/bin/sh
# The second opinion can be trusted: a seed gives one tree, treesum sees every
# kind of change, and treestress removes what it made.
# goals: check check-quick
set -eu
sum=$TOOLS/treesum
stress=$TOOLS/treestress
a=$TMPDIR/a
b=$TMPDIR/b
failed=0

"$stress" -s 42 -n 600 -D 600 "$a"
"$stress" -s 42 -n 600 -D 600 "$b" >/dev/null
for round in 0 1 2 3; do
	if [ "$("$sum" "$a")" != "$("$sum" "$b")" ]; then
		echo "seed 42, round $round: two trees differ:"
		"$sum" -v "$a" >"$TMPDIR/a.txt"
		"$sum" -v "$b" >"$TMPDIR/b.txt"
		diff "$TMPDIR/a.txt" "$TMPDIR/b.txt" | cut -c1-400 | head -20
		failed=1
	fi
	"$stress" -m -s $round -n 150 "$a" >/dev/null
	"$stress" -m -s $round -n 150 "$b" >/dev/null
done
"$stress" -s 43 -n 600 -D 0 "$TMPDIR/c" >/dev/null
"$stress" -s 44 -n 600 -D 0 "$TMPDIR/d" >/dev/null
if [ "$("$sum" "$TMPDIR/c")" = "$("$sum" "$TMPDIR/d")" ]; then
	echo "two seeds give one tree"
	failed=1
fi
for t in a b c d; do
	"$stress" -d "$TMPDIR/$t"
	[ ! -e "$TMPDIR/$t" ]
done

# Each change of a small tree is seen, and left out when it is asked for.
t=$TMPDIR/t
mkdir -p "$t/dir"
printf 'hello' >"$t/file"
ln "$t/file" "$t/dir/name"
ln -s target "$t/link"
truncate -s 1M "$t/sparse"
touch -d @1000000000.5 "$t"/* "$t/dir" "$t"

# sees WHAT COMMAND: the digest changes, and does not with -x WHAT.
sees() {
	before=$("$sum" "$t")
	without=$("$sum" -x "$1" "$t")
	if ! sh -euc "cd '$t'; $2" 2>"$TMPDIR/why"; then
		echo "cannot be tried here: $2: $(cat "$TMPDIR/why")"
		return
	fi
	if [ "$before" = "$("$sum" "$t")" ]; then
		echo "not seen: $2"
		failed=1
	fi
	if [ "$without" != "$("$sum" -x "$1" "$t")" ]; then
		echo "not left out by -x $1: $2"
		failed=1
	fi
}
sees mode 'chmod 600 file'
sees mtime 'touch -d @1000000000.500000001 file'
sees mtime 'touch -h -d @-5 link'
sees xattrs 'setfattr -n user.x -v 1 file'
sees xattrs 'setfattr -n user.x -v 2 file'
sees acl,mode 'setfacl -m u:1000:r file'
sees flags 'chattr +d file'
sees data,mtime 'printf j | dd of=file conv=notrunc status=none'
sees data,mtime 'printf x | dd of=sparse bs=1 seek=500000 conv=notrunc status=none'
sees data,mtime 'printf "\001" | dd of=sparse bs=1 seek=1048575 conv=notrunc status=none'
if [ "$(id -u)" = 0 ]; then
	sees uid 'chown 7 file'
	sees gid 'chgrp 7 file'
	sees trusted 'setfattr -n trusted.x -v 1 dir'
	sees security 'setfattr -n security.x -v 1 file'
	sees security 'setcap cap_net_raw+ep file'
	if mknod "$t/dev" c 1 3; then
		sees rdev,mtime 'rm dev && mknod dev c 1 5'
	fi
fi
same=$("$sum" -x mtime "$t")
cp -a "$t" "$TMPDIR/copy"
rm "$TMPDIR/copy/dir/name"
cp -a "$TMPDIR/copy/file" "$TMPDIR/copy/dir/name"
if [ "$same" = "$("$sum" -x mtime "$TMPDIR/copy")" ]; then
	echo "a copy in place of a hard link is not seen"
	failed=1
fi
# Written zeros are data of the same content; only -H tells.
cp -a "$t" "$TMPDIR/full"
cp --sparse=never -p "$t/sparse" "$TMPDIR/full/sparse"
touch -r "$t" "$TMPDIR/full"
cp -a "$t" "$TMPDIR/sparse"
if [ "$("$sum" "$TMPDIR/full")" != "$("$sum" "$TMPDIR/sparse")" ]; then
	echo "written zeros are not as a hole without -H"
	failed=1
fi
if [ "$("$sum" -H "$TMPDIR/full")" = "$("$sum" -H "$TMPDIR/sparse")" ]; then
	echo "-H does not tell written zeros from a hole"
	failed=1
fi
exit $failed
