#!/bin/bash
# What a backup takes and leaves out, and that all of it comes back: several
# paths, single files, patterns, other file systems, caches, hard links of every
# sort, files of just the sizes where something else begins, holes and zeros.
# timeout: 240
# goals: check check-asan check-tsan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin

# restored ID: into back, which is made anew.
restored() {
	rm -rf back
	run 0 restore "$1" --target back --quiet
}

# listed ID: all paths of a snapshot, in the order of bytes.
listed() {
	run 0 ls -R --json "$1"
	python3 -c 'import json, sys
for x in sorted(json.loads(l)["path"] for l in open("out")):
    print(x)'
}

# holds ID PATHS...: the snapshot has these entries and no others.
holds() {
	local s=$1
	shift
	listed "$s" >listed
	printf "${1:+%s\n}" "$@" | LC_ALL=C sort | cmp -s - listed || {
		fail "$s holds $(tr '\n' ' ' <listed), not $*"
	}
}

# --- several paths, single ones, none ------------------------------------------
mkdir -p p/one/sub p/two/sub p/three
echo 1 >p/one/sub/a
echo 2 >p/two/sub/b
echo 3 >p/two/c
ln -s sub p/two/link
backup p/one p/two/sub p/two/c
holds "$id" one one/sub one/sub/a two two/c two/sub two/sub/b
restored "$id"
same_tree p/one back/one
same_tree p/two/sub back/two/sub
backup p/two/c
holds "$id" c
restored "$id"
cmp p/two/c back/c || fail "a single file differs"
backup p/two/link p/two/link p/two
holds "$id" c link sub sub/b
backup p/two/link
holds "$id" link
backup p/three
holds "$id"
restored "$id"
same_tree p/three back
(cd p/one && backup . ../one/sub/../../two && echo "$id" >../../id && exit "$failed") ||
	failed=1
holds "$(cat id)" one one/sub one/sub/a two two/c two/link two/sub two/sub/b
backup p/two/../one//sub/
holds "$id" a
ends 2 "$WHERRY" backup -k key
run 1 backup p/absent
run 1 backup p/one p/absent
run 1 backup ''

# --- patterns -----------------------------------------------------------------------
mkdir -p e/keep/cache e/drop/deep e/tmp
for f in e/a.o e/a.c e/keep/b.o e/keep/cache/x e/drop/deep/y e/tmp/z e/keep/big; do
	echo "$f" >"$f"
done
head -c 5000 /dev/zero >e/keep/big
backup e --exclude '*.o' --exclude '/drop' -e 'cache/'
holds "$id" a.c keep keep/big tmp tmp/z
printf '# a comment\n*.o\n!b.o\n\ntmp/\r\n' >patterns
backup e --exclude-file patterns
holds "$id" a.c drop drop/deep drop/deep/y keep keep/b.o keep/big keep/cache \
	keep/cache/x
backup e --exclude-larger-than 4K -e 'e' -e '/keep/cache/*'
holds "$id" a.c a.o drop drop/deep drop/deep/y keep keep/b.o keep/cache tmp tmp/z
backup e -e '*'
holds "$id"
run 2 backup e -e '/'
run 1 backup e --exclude-file absent
# Of a leaf in which a file is left out each time nothing is read again.
sleep 2.1
backup e --exclude-larger-than 4K --volume larger
backup e --exclude-larger-than 4K --volume larger
[ "$(field read_bytes)" = 0 ] || fail "$(field read_bytes) bytes around a file left out"
holds "$id" a.c a.o drop drop/deep drop/deep/y keep keep/b.o keep/cache keep/cache/x \
	tmp tmp/z
backup e --volume larger
[ "$(field read_bytes)" -ge 5000 ] || fail "a file that is no longer left out is missing"
backup e --exclude-larger-than 4K --volume larger
holds "$id" a.c a.o drop drop/deep drop/deep/y keep keep/b.o keep/cache keep/cache/x \
	tmp tmp/z
# What is left out now and not the next time comes back into the merge.
backup e -e '*.o' -e drop --volume e
backup e --volume e
merged=$id
backup e --volume e2
run 0 diff --json "$merged" "$id"
[ "$(wc -l <out)" = 1 ] || fail "patterns taken back leave a difference"

# --- caches ---------------------------------------------------------------------------
mkdir -p k/cache/sub k/not
echo 'Signature: 8a477f597d28d172789f06886806bc55' >k/cache/CACHEDIR.TAG
echo 'Signature: 8a477f597d28d172789f06886806bc5x' >k/not/CACHEDIR.TAG
echo x >k/cache/x
echo x >k/cache/sub/y
echo x >k/not/x
backup k --exclude-caches
holds "$id" cache cache/CACHEDIR.TAG not not/CACHEDIR.TAG not/x

# --- another file system --------------------------------------------------------------
if [ "$(id -u)" = 0 ] && mkdir -p m/other && echo x >m/x &&
    mount -t tmpfs tmpfs m/other; then
	echo y >m/other/y
	backup m --one-file-system
	holds "$id" other x
	backup m
	holds "$id" other other/y x
	umount m/other
fi

# --- hard links -----------------------------------------------------------------------
mkdir -p h/first h/second
head -c 300000 /dev/urandom >h/first/big
head -c 3000 /dev/urandom >h/first/small
echo tiny >h/first/tiny
head -c 9000000 /dev/urandom >h/first/huge
: >h/first/empty
mkfifo h/first/fifo
ln -s target h/first/link
for f in big small tiny huge empty fifo link; do
	ln -P h/first/$f h/second/$f
	ln -P h/first/$f h/$f
done
backup h
restored "$id"
same_tree h back
# Only some names of an inode are there: the first in order left out, or the last.
for x in first second; do
	backup h --exclude "$x" --volume "without-$x"
	restored "$id"
	for f in big small tiny huge empty; do
		cmp "h/$f" "back/$f" || fail "$f differs without $x"
	done
	[ "$(stat -c %h back/small)" = 2 ] || fail "links are lost without $x"
done
sleep 2.1
backup h --volume h
ln h/second/big h/again
ln h/second/small h/second/again
rm h/first/tiny
rm h/huge
backup h --volume h
restored "$id"
same_tree h back
backup h --volume h
restored "$id"
same_tree h back

# --- sizes where something else begins --------------------------------------------------
mkdir z
python3 - <<'P'
import random
r = random.Random(5)
K, M = 1 << 10, 1 << 20
for n in (0, 1, 255, 256, 257, 4095, 4096, 4097, 64 * K - 1, 64 * K, 64 * K + 1,
          128 * K - 1, 128 * K, 128 * K + 1, 256 * K, 512 * K - 1, 512 * K,
          M - 1, M, M + 1, 4 * M - 1, 4 * M, 4 * M + 1, 8 * M - 1, 8 * M,
          8 * M + 1, 9 * M + 12345):
    with open("z/random-%d" % n, "wb") as f:
        f.write(r.randbytes(n))
    if n < 5 * M:
        with open("z/text-%d" % n, "wb") as f:
            f.write((b"%d " % n * (n // 2 + 1))[:n])
    with open("z/zero-%d" % n, "wb") as f:
        f.write(bytes(n))
    with open("z/hole-%d" % n, "wb") as f:
        f.truncate(n)
# Zeros and holes in the midst of bytes, on the grid and beside it.
for i, (at, n) in enumerate([(0, M), (1, M), (64 * K, 64 * K), (64 * K - 1, M + 1),
                             (M, M), (M + 1, 3 * M), (5 * M, 3 * M), (100, 64 * K),
                             (3 * M, 70 * K), (128 * K, 2 * M - 1)]):
    b = bytearray(r.randbytes(8 * M + 999))
    b[at:at + n] = bytes(n)
    with open("z/inner-%d" % i, "wb") as f:
        f.write(b)
    with open("z/sparse-%d" % i, "wb") as f:
        f.write(b[:at])
        f.seek(at + n)
        f.write(b[at + n:])
# Many holes: as many runs as make a map of its own.
with open("z/holes", "wb") as f:
    for i in range(700):
        f.seek(i * 128 * K)
        f.write(r.randbytes(4096))
    f.truncate(700 * 128 * K + 5)
P
backup z --volume z
first=$id
restored "$id"
same_tree z back
backup z --volume stream --block-files '*' --memory 128M
restored "$id"
same_tree z back
sleep 2.1
backup z --volume z
touch z/again
backup z --volume z --io threads --cpus 1
restored "$id"
same_tree z back
if [ "$(stat -f -c %T .)" != tmpfs ]; then
	[ "$(stat -c %b back/hole-9449529)" -lt 64 ] || fail "a hole was filled"
	[ "$(stat -c %b back/holes)" -lt 100000 ] || fail "many holes were filled"
fi
run 0 diff --json "$first" "$id"

# --- a change that times do not show ------------------------------------------------------
mkdir c
echo one >c/f
touch -d '2020-01-01' c/f
sleep 2.1
backup c --volume c
chmod 600 c/f # the content's ctime
backup c --volume c
[ "$(field files_changed)" = 1 ] || fail "a new ctime was overlooked"
sleep 2.1
backup c --volume c
chmod 640 c/f
backup c --volume c --ignore-ctime
[ "$(field files_changed)" = 0 ] || fail "--ignore-ctime did not"
printf 'two\n' >c/f
touch -d '2020-01-01' c/f
backup c --volume c
restored "$id"
same_tree c back

# A file that had just changed may change again without its times telling.
head -c 70000 /dev/urandom >c/fresh
backup c --volume fresh
backup c --volume fresh
[ "$(field read_bytes)" -ge 70000 ] || fail "a fresh file was believed"
sleep 2.1
backup c --volume fresh
backup c --volume fresh
[ "$(field read_bytes)" = 0 ] || fail "an old file was read again"

# --- inodes that all moved: a copy with everything kept ------------------------------------
# Few files and so many other things that the walk comes to its limit before it
# is known whether inodes count; among them new files that wait for a bundle.
python3 - <<'P'
import os
for d, new in ("i", 0), ("j", 18000):
    os.mkdir(d)
    for i in range(2000):
        os.symlink("x", "%s/link%d" % (d, i))
        os.utime("%s/link%d" % (d, i), (1, 1), follow_symlinks=False)
    for i in range(new):
        with open("%s/new%d" % (d, i), "w") as f:
            f.write("y" * 300 + str(i))
P
for way in auto uring threads; do
	[ $way = uring ] && ! "$WHERRY" backup i --io uring -k key -n -q 2>err &&
		continue
	backup i --volume "moved-$way"
	backup j --volume "moved-$way" --ignore-ctime --io $way
	[ "$(field files_new)" = 18000 ] || fail "$(field files_new) new files"
done
run 0 check --read-data --quiet
exit $failed
