#!/bin/bash
# A node is stolen: what its credential can do with the program, what it
# cannot, and what the advice of the handbook does about it.
# timeout: 120
# goals: check check-quick
set -eu

export WHERRY_REPOSITORY=$TMPDIR/repo XDG_CACHE_HOME=$TMPDIR/cache
own=$TMPDIR/own.key
cd "$TMPDIR"

fail() {
	echo "failed: $*"
	cat err.txt
	exit 1
}

# as KEY VERB...: by that key file
as() {
	local key=$1

	shift
	"$WHERRY" "$@" --key-file "$key" >out.txt 2>err.txt
}

may() {
	as "$@" || fail "may not: $*"
}

# refused KEY VERB...: ends with 12, not allowed
refused() {
	local code=0

	as "$@" || code=$?
	[ "$code" = 12 ] || fail "$code instead of 12: $*"
}

ids() {
	"$WHERRY" snapshots --json --key-file "$own" 2>err.txt |
	    sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p'
}

mkdir tree
seq 30000 >tree/a
WHERRY_PASSWORD=x "$WHERRY" init -q
WHERRY_PASSWORD=x "$WHERRY" key add -q --write --read --admin \
    --new-key-file "$own"
for k in honest thief; do
	may "$own" key add -q --write --label $k --new-key-file $k.key
done
slot=$(cut -d' ' -f2 thief.key)
may honest.key backup -q --volume data tree
honest=$(ids)
may thief.key backup -q --volume mine tree

# What it may not.
refused thief.key restore "$honest" --target out
refused thief.key ls "$honest"
refused thief.key dump "$honest:a"
refused thief.key find a
refused thief.key forget --id "$honest"
refused thief.key gc
refused thief.key key add --read --new-key-file more.key
refused thief.key key remove "$(cut -d' ' -f2 honest.key)"
refused thief.key key rotate
refused thief.key repair
[ ! -e more.key ] || fail "a key file was made"
[ ! -e out ] || fail "something was restored"
may thief.key snapshots
grep -q "tree\|data" out.txt && fail "it sees names"

# What it adds under another's volume displaces nothing, and is told.
for i in 1 2 3; do
	echo "$i" >tree/b
	may thief.key backup -q --volume data tree
done
may "$own" forget -q --volume data --keep-last 1 --min-age 0d
ids | grep -q "^$honest$" || fail "the honest snapshot was displaced"
may "$own" ls latest@data
grep -q "of several slots" err.txt || fail "no word of two slots"
may "$own" gc -q
may "$own" check -q --read-data
mkdir out
may "$own" restore -q "$honest" --target out
seq 30000 | cmp - out/a || fail "another content"

# What the handbook says.
cp -a repo copy
may "$own" key remove "$slot"
may "$own" key rotate --new-ids
refused thief.key snapshots
refused thief.key backup -q --volume data tree
# The other node needs nothing, and stores under the new keys by itself.
echo 5 >tree/c
may honest.key backup -q --volume data tree
may "$own" check -q --read-data
rm -r out
mkdir out
may "$own" restore -q "$(ids | tail -n 1)" --target out
diff -r tree out || fail "another tree"
# It is not made to forget: a copy from before opens as it did.
WHERRY_REPOSITORY=$TMPDIR/copy may thief.key snapshots
[ "$(grep -c . out.txt)" -ge 3 ] || fail "the copy does not open"
