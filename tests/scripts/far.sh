#!/bin/bash
# A repository that is far away: how many requests a process waits for, one
# after the other; the local cache helps, and may be spoilt, too small or gone.
# timeout: 240
# goals: check
set -eu

export WHERRY_PASSWORD=far WHERRY_REPOSITORY=$TMPDIR/repo
export XDG_CACHE_HOME=$TMPDIR/cache
cd "$TMPDIR"

fail() {
	echo "failed: $*"
	cat err.txt
	exit 1
}

# waits MOST COMMAND...: it succeeds, and waits no more often than that.
waits() {
	local most=$1 n

	shift
	WHERRY_TEST_LATENCY=30 "$WHERRY" "$@" -v >out.txt 2>err.txt ||
		fail "$*"
	n=$(sed -n 's/.*: \([0-9]*\) waits for .*/\1/p' err.txt)
	echo "$n waits: $*"
	[ "$n" -le "$most" ] || fail "$n waits where $most are enough: $*"
}

# Enough files for a catalog of two levels, and one that is not bundled.
mkdir -p tree/many
for i in $(seq 3000); do
	echo "content of $i" >"tree/many/a-name-that-takes-some-room-$i"
done
head -c 1048576 /dev/urandom >tree/one
# What changed just before it is read is read again the next time.
sleep 3
"$WHERRY" init -q
"$WHERRY" backup -q tree

# The first fills the cache; skew between threads may cost one more.
waits 15 backup tree
waits 14 backup tree
waits 9 restore latest:one --target out
cmp tree/one out/one
waits 8 restore latest:one --target out2
waits 15 backup --no-cache tree
waits 10 restore --no-cache latest:one --target out3
cmp tree/one out3/one

# Whatever is in the cache, what comes out is right, and nothing is told.
objects=cache/wherry/objects
[ -n "$(find $objects -type f -print -quit)" ] || fail "nothing is cached"
find $objects -type f | while read -r f; do
	head -c "$(stat -c %s "$f")" /dev/zero >"$f"
done
waits 20 restore latest --target all
diff -r tree all
find $objects -type f -exec truncate -s 1 {} +
waits 20 backup tree
rm -r cache
waits 20 restore latest --target all2 --cache-size 64K
diff -r tree all2
[ "$(du -s --block-size=1024 --exclude=seen cache | cut -f1)" -lt 2048 ] ||
	fail "the cache is not bounded"
rm -r cache
waits 20 restore latest --target all3 --no-cache
diff -r tree all3
[ ! -e $objects ] || fail "--no-cache keeps something"
"$WHERRY" check -q || fail "check"
