#!/bin/bash
# Snapshots mounted: the trees are what was backed up, for several readers at
# once, in large directories and in little memory; damage is an error of the
# file that it is in; it ends by umount and by a signal.
# timeout: 300
set -u
. "$SRC/tests/scripts/whole/begin.sh"

if [ ! -e /dev/fuse ] || [ "$(id -u)" != 0 ]; then
	echo "skipped: mounting needs /dev/fuse and root"
	exit 77
fi
mkdir mp
mounted=
cleanup() {
	umount -l "$TMPDIR/mp" 2>/dev/null
	[ -z "$mounted" ] || kill -9 "$mounted" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
begin

# mount_it ARGUMENTS...: mounted at mp; what it says goes to mount.out, mount.err.
mount_it() {
	"$WHERRY" mount -k "$TMPDIR/key" "$@" mp >mount.out 2>mount.err </dev/null &
	mounted=$!
	for _ in $(seq 300); do
		grep -q mounted mount.out && return
		kill -0 "$mounted" 2>/dev/null || break
		sleep 0.1
	done
	fail "it does not mount"
	cat mount.out mount.err
	exit 1
}

# ended CODE: the mount has ended, with that code.
ended() {
	local got=0
	wait "$mounted" || got=$?
	mounted=
	[ "$got" = "$1" ] || { fail "mount ended with $got"; cat mount.err; }
	mountpoint -q mp && fail "it is mounted still"
}

unmount() {
	umount mp || fail "it cannot be unmounted"
	ended 0
}

"$TOOLS/treestress" -s "${SEED:-11}" -n 1500 -D 100 -z 3000000 src >/dev/null ||
	fail "treestress"
mkdir many
(cd many && seq 100000 | xargs touch)
head -c 40M /dev/urandom >large
mkdir two
head -c 2M /dev/urandom >two/first
printf tiny >two/tiny
head -c 3M /dev/urandom >image
truncate -s 20M image
truncate -s 30M two/sparse
printf end >>two/sparse
backup src --volume 'a/../b' --tag tree
whole=$id
backup many --volume ..
backup large --volume large
backup --device image --volume disk
disk=$id
ls repo/packs/*/* | sort >packs.before
backup two --volume two
ls repo/packs/*/* | sort >packs.after
head -c 2M /dev/urandom >two/second
sleep 2.1 # what is younger than two seconds is read again
backup two --volume two
both=$id

# --- what is there --------------------------------------------------------------
mount_it
[ "$(ls mp)" = "$(printf 'ids\nlatest\nvolumes')" ] || fail "the top: $(ls mp)"
[ "$(ls mp/ids | wc -l)" = 6 ] || fail "ids: $(ls mp/ids)"
[ -f "mp/ids/$disk.img" ] || fail "no image of the block volume"
[ "$(LC_ALL=C ls -A mp/volumes | tr '\n' ' ')" = "_. a_.._b disk large two " ] ||
	fail "volumes: $(ls -A mp/volumes)"
[ "$(ls mp/volumes/two | wc -l)" = 2 ] || fail "two: $(ls mp/volumes/two)"
[ "$(readlink mp/latest/two)" = "../volumes/two/$(ls mp/volumes/two | tail -n 1)" ] ||
	fail "latest/two leads to $(readlink mp/latest/two)"
ls mp/ids/0000000000000000 2>/dev/null && fail "a snapshot that is not there"
touch mp/x 2>/dev/null && fail "it was written to"
touch "mp/ids/$both/x" 2>/dev/null && fail "a snapshot was written to"
same_tree src "mp/ids/$whole"
same_tree src "mp/latest/a_.._b/." -H
same_tree two "mp/latest/two/."
cmp image "mp/latest/disk" || fail "the image differs"
cmp large mp/latest/large/large || fail "the large file differs"
python3 - two/sparse mp/latest/two/sparse image mp/latest/disk <<-'E' || fail "holes"
	import os, sys
	def runs(path):
	    f, at, found = os.open(path, os.O_RDONLY), 0, []
	    end = os.fstat(f).st_size
	    while at < end:
	        try:
	            data = os.lseek(f, at, os.SEEK_DATA)
	        except OSError:
	            break
	        at = os.lseek(f, data, os.SEEK_HOLE)
	        found.append((data // 65536, -(-at // 65536)))
	    return found
	a, b, c, d = map(runs, sys.argv[1:])
	sys.exit(0 if a == b and c == d and len(a) == 1 else (a, b, c, d).__repr__())
	E

# --- many names, several readers ---------------------------------------------------
python3 - mp/latest/_. <<-'E' || fail "the large directory"
	import os, sys
	want = sorted(str(i) for i in range(1, 100001))
	for _ in range(2):
	    assert sorted(os.listdir(sys.argv[1])) == want
	with os.scandir(sys.argv[1]) as it:
	    some = [next(it).name for _ in range(30000)]
	assert len(set(some)) == len(some)
	for name in ("1", "50000", "100000"):
	    assert os.stat(sys.argv[1] + "/" + name).st_size == 0
	assert not os.path.exists(sys.argv[1] + "/100001")
	E
unmount

# names_of DIR: what find sees in it.
names_of() {
	find "$1" -type f -printf '%P %y %m %U %s %T@\n' | LC_ALL=C sort
}

mount_it --memory 128M
pids=
for i in 1 2 3 4; do
	{
		"$TOOLS/treesum" "mp/ids/$whole" >"sum.$i"
		cmp large mp/latest/large/large || echo "large" >>"sum.$i"
		names_of mp/latest/_./ >"many.$i"
	} &
	pids="$pids $!"
done
"$TOOLS/treesum" src >sum.0
names_of many/ >many.0
wait $pids
for i in 1 2 3 4; do
	cmp -s sum.0 "sum.$i" || fail "reader $i saw another tree"
	cmp -s many.0 "many.$i" || fail "reader $i saw other names"
done
peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$mounted/status")
[ "$peak" -le $((128 << 10)) ] || fail "it took $peak KiB of 131072"

# --- what comes and goes -------------------------------------------------------------
backup two --volume new
[ -e "mp/ids/$id/tiny" ] || { sleep 1.1; [ -e "mp/ids/$id/tiny" ]; } ||
	fail "a new snapshot does not appear"
cmp two/second mp/latest/new/second || fail "a new snapshot differs"
[ ! -s mount.err ] || { fail "it complains"; cat mount.err; }
exec 7<mp/latest/two/second
kill -INT "$mounted"
ended 0
exec 7<&-

# --- others --------------------------------------------------------------------------
mkdir closed open
chmod 700 closed
printf closed >closed/file
printf open >open/open
printf closed >open/closed
chmod 755 open
chmod 644 open/open
chmod 600 open/closed
backup closed --volume closed
backup open --volume open
chmod 755 . mp
nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@" 2>/dev/null
}
mount_it --volume open
[ "$(ls mp/volumes)" = open ] || fail "--volume shows $(ls mp/volumes)"
nobody ls "$TMPDIR/mp" && fail "everybody may look into it"
unmount
mount_it -o allow_other
if nobody test -x "$TMPDIR/mp"; then
	[ "$(nobody cat mp/latest/open/open)" = open ] || fail "others cannot read"
	nobody cat mp/latest/open/closed && fail "others read what is closed"
	nobody ls mp/latest/closed/ && fail "others list what is closed"
	nobody cat mp/latest/disk >read.out && fail "others read a volume"
fi
unmount
run 2 mount -o rw mp
says "cannot be written"
run 2 mount -o nonsense mp
run 1 mount absent
says "absent"

# --- what is refused, and an end by force -----------------------------------------------
mkdir full
touch full/file
run 1 mount full
says "is not empty"
mount_it
dd if=mp/latest/many/1 of=/dev/null status=none
kill -STOP "$mounted"
timeout 20 cat mp/latest/large/large >/dev/null 2>&1 &
reader=$!
kill -INT "$mounted"
kill -TERM "$mounted"
kill -CONT "$mounted"
got=0
wait "$mounted" || got=$?
mounted=
wait "$reader"
[ "$got" = 0 ] || [ "$got" = 130 ] || fail "stopped twice, it ended with $got"
mountpoint -q mp && fail "stopped twice, it left its mount behind"
grep -q " $TMPDIR/mp " /proc/mounts && fail "a dead mount is left"

# --- damage --------------------------------------------------------------------------
# damage PACK WHERE: some bytes of it are others.
damage() {
	chmod u+w "$1"
	printf damage | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# The pack of the snapshot that brought two/first, and nothing of second.
for pack in $(comm -13 packs.before packs.after); do
	[ "$(stat -c %s "$pack")" -lt 1000000 ] || damage "$pack" 700000
done
mount_it
cat "mp/ids/$both/first" >/dev/null 2>read.err && fail "damage was not noticed"
grep -q 'Input/output error' read.err || { fail "no EIO"; cat read.err; }
grep -q "$both:first: .*packs/" mount.err ||
	{ fail "the damage is not named"; cat mount.err; }
cat "mp/ids/$both/first" >/dev/null 2>&1 && fail "damage was not noticed again"
[ "$(grep -c "$both:first" mount.err)" = 1 ] || fail "it was named twice"
cmp two/second "mp/ids/$both/second" || fail "another file is damaged"
cmp two/tiny "mp/ids/$both/tiny" || fail "a tiny file is damaged"
same_tree src "mp/ids/$whole"
unmount

# A page of a catalog: the names that are left are shown, and then an error.
ls repo/packs/*/* | sort >packs.before
mkdir names
(cd names && seq 20000 | sed 's/$/-a-name-of-some-length/' | xargs touch)
backup names --volume names
for pack in $(ls repo/packs/*/* | sort | comm -13 packs.before -); do
	damage "$pack" $(($(stat -c %s "$pack") / 3))
done
mount_it
ls mp/latest/names/ >names.out 2>names.err &&
	fail "a damaged directory is told as whole"
[ "$(wc -l <names.out)" -lt 20000 ] || fail "no name was lost"
[ "$(wc -l <names.out)" -gt 1000 ] || fail "no name is left"
grep -q "page.*packs/" mount.err || { fail "a damaged page is not named"; cat mount.err; }
same_tree src "mp/ids/$whole"
unmount
exit $failed
