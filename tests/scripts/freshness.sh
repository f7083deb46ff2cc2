#!/bin/bash
# A machine that was there before notices when an older state of a repository
# is put in place of a newer one; what is forgotten on purpose alarms nobody.
# timeout: 120
# goals: check check-quick
set -eu

export WHERRY_PASSWORD=fresh WHERRY_REPOSITORY=$TMPDIR/repo
export XDG_CACHE_HOME=$TMPDIR/cache
cd "$TMPDIR"

fail() {
	echo "failed: $*"
	cat err.txt
	exit 1
}

# warns TEXT COMMAND...: it succeeds, with a warning that has the text.
warns() {
	local text=$1

	shift
	"$@" >out.txt 2>err.txt || fail "$*"
	grep -q "$text" err.txt || fail "no warning of '$text': $*"
}

silent() {
	"$@" >out.txt 2>err.txt || fail "$*"
	if grep -q "older state" err.txt; then
		fail "a warning: $*"
	fi
}

mkdir tree
echo 1 >tree/a
silent "$WHERRY" init -q
silent "$WHERRY" backup -q tree
cp -a repo older
echo 2 >tree/b
silent "$WHERRY" backup -q tree
silent "$WHERRY" snapshots
id=$("$WHERRY" snapshots --json | sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p' |
    tail -n 1)

# Rolled back: each run says so until it is told that all is well.
mv repo newer
cp -a older repo
for i in 1 2; do
	warns "snapshot [0-9a-f]*/$id was here and is gone" "$WHERRY" snapshots
done
# Many of them make one line.
mv repo rolled
mv newer repo
for i in 1 2 3 4 5; do
	silent "$WHERRY" backup -q tree --volume "v$i"
done
mv repo newer
mv rolled repo
warns "^wherry: 6 snapshots: .*, \\.\\.\\. (-v names them) were here" \
    "$WHERRY" snapshots
[ "$(wc -l <err.txt)" = 1 ] || fail "more than a line"
warns "6 snapshots: .*$id.* were here" "$WHERRY" snapshots -v
# Somebody who was never there cannot know.
silent "$WHERRY" snapshots --cache-dir "$TMPDIR/other"
[ -d other/seen ] || fail "--cache-dir is not used"
mv repo rolled
mv newer repo
silent "$WHERRY" snapshots
rm -r cache
mv repo newer
mv rolled repo
silent "$WHERRY" snapshots
rm -r repo cache
mv newer repo

# Forgotten on purpose, newest and all.
silent "$WHERRY" snapshots
silent "$WHERRY" forget --id "$id"
silent "$WHERRY" snapshots
silent "$WHERRY" backup -q tree
silent "$WHERRY" snapshots

# An older config: a removed credential would count again.
silent "$WHERRY" key add -q --write --new-key-file node.key
slot=$(cut -d' ' -f2 node.key)
silent "$WHERRY" key remove -q "$slot"
mv repo/config/00000002 .
warns "removed credentials count again" "$WHERRY" snapshots
mv 00000002 repo/config
silent "$WHERRY" key rotate -q
silent "$WHERRY" backup -q tree
mkdir aside
mv repo/config/00000003 repo/config/00000004 aside
warns "of epoch 2 (config 4)" "$WHERRY" key list
mv aside/* repo/config
silent "$WHERRY" snapshots

# What is remembered is never in the way.
file=$(ls cache/wherry/seen/*)
for junk in "" "rubbish" "config x y" "chain 00 00 1 x" \
    "$(head -c 5000 /dev/zero | tr '\0' c)"; do
	echo "$junk" >"$file"
	silent "$WHERRY" snapshots
done
grep -q "^chain" "$file" || fail "not remembered again"
rm -r cache
echo "no folder" >cache
silent "$WHERRY" snapshots
(unset XDG_CACHE_HOME HOME; silent "$WHERRY" snapshots)
