#!/bin/bash
# What goes wrong around a backup is named, ends with the code that the man page
# gives, and leaves the repository whole: secrets, repositories that are none or
# newer, sources that cannot be read or change, targets that are full.
# timeout: 240
set -u
. "$SRC/tests/scripts/whole/begin.sh"
open=
trap 'umount small 2>/dev/null; rm -rf "$open"' EXIT
trap 'exit 1' INT TERM HUP
begin
mkdir src
seq 1 5000 >src/numbers
head -c 300000 /dev/urandom >src/random
backup src
good=$id

# --- secrets and repositories ----------------------------------------------------------
echo "wrong" >wrong
for verb in snapshots check 'backup src' "ls $good"; do
	ends 12 "$WHERRY" $verb -p wrong
	says "wrong passphrase"
done
head -c 80 key >cut.key
ends 1,2,12 "$WHERRY" snapshots -k cut.key
: >none.key
got=0
"$WHERRY" snapshots -k none.key >out 2>err || got=$?
[ $got != 0 ] && [ $got -lt 20 ] || fail "an empty key file: $got"
"$WHERRY" init --quiet --repo other -p pass
ends 0 "$WHERRY" key add --repo other -p pass --write --read --admin \
	--new-key-file other.key
ends 12 "$WHERRY" snapshots -k other.key
"$WHERRY" key add -q -k key --read --new-key-file gone.key
"$WHERRY" key remove -q -k key "$(cut -d' ' -f2 gone.key)"
ends 12 "$WHERRY" snapshots -k gone.key
says "has been removed"
ends 10 "$WHERRY" snapshots -k key --repo nowhere
says "wherry init"
ends 10 "$WHERRY" backup src -k key --repo src
mkdir nothing
ends 10 "$WHERRY" snapshots -k key --repo nothing
[ -z "$(ls -A nothing)" ] || fail "reading made something"
ends 2 "$WHERRY" snapshots -k key --repo src/numbers
ends 11 "$WHERRY" init -p pass
ends 11 "$WHERRY" init -p pass --repo "$PWD/./repo/"
ends 2 "$WHERRY" init -p pass --repo src/numbers
# Half a repository: config alone, keys alone.
cp -r repo half
rm -r half/keys
got=0
"$WHERRY" snapshots -k key --repo half >out 2>err || got=$?
[ $got != 0 ] && [ $got -lt 20 ] || fail "without keys: $got"
rm -r half
cp -r repo half
rm -r half/config
ends 13 "$WHERRY" snapshots -k key --repo half
says "no config"
rm -r half
for lost in keys/*/cert epochs; do
	cp -r repo half
	eval rm -r half/$lost
	ends 13 "$WHERRY" snapshots -k key --repo half
	says "is missing"
	says "copy of the repository"
	rm -r half
done
# A newer program's: the byte behind magic and kind is the version.
cp -r repo newer
chmod -R u+w newer
for f in newer/config/*; do
	python3 - "$f" <<'P'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
assert b[:6].isascii(), b[:8]
at = 8 if b[8] == 1 else 7
b[at] = 99
open(sys.argv[1], "wb").write(b)
P
done
got=0
"$WHERRY" snapshots -k key --repo newer >out 2>err || got=$?
[ $got != 0 ] && grep -qi "newer\|version" err || {
	fail "a newer repository is not told as such ($got)"
	cat out err
}

# --- usage ------------------------------------------------------------------------------
for bad in 'backup' 'backup src --memory 1' 'backup src --memory x' \
		'backup src --cpus 0' 'backup src --cpus -1' 'backup src --io fast' \
		'backup src --compression 9' 'backup src --frob' 'backup src --tag' \
		"restore $good" 'restore' 'dump' "ls" 'diff x' 'nothing' \
		'backup src --stdin-name x' 'backup src --device src/random' \
		'backup src --changed src/numbers' 'check --read-data=101' \
		'check --read-data=x' 'backup --stdin-name a/b'; do
	got=0
	timeout 30 "$WHERRY" $bad -k key >out 2>err </dev/null || got=$?
	[ $got = 2 ] || {
		fail "'$bad' ended with $got, not 2"
		cat out err
	}
	[ -s err ] || fail "'$bad' said nothing"
done
ends 1 "$WHERRY" restore -k key "$good:absent" --target t1
ends 1 "$WHERRY" restore -k key 0123456789abcdef --target t1
ends 1 "$WHERRY" restore -k key zz --target t1
ends 1 "$WHERRY" restore -k key "$good" --target src
says src
ends 1,2 "$WHERRY" restore -k key "$good" --target src/numbers
cmp -s <(seq 1 5000) src/numbers || fail "a refused target was changed"
ends 1 "$WHERRY" restore -k key "$good" --target /proc/nothing/here

# --- sources that cannot be read ----------------------------------------------------------
if [ "$(id -u)" = 0 ]; then
	# Nobody else may come by here: all that is needed goes elsewhere.
	open=$(mktemp -d /tmp/wherry-faults-XXXXXX)
	chmod 755 "$open"
	mkdir -p "$open/src/closed" "$open/src/open"
	echo a >"$open/src/open/readable"
	echo b >"$open/src/open/secret"
	echo c >"$open/src/closed/inner"
	chmod 0 "$open/src/open/secret" "$open/src/closed"
	cp -r repo key "$open"
	cp "$WHERRY" "$open/program"
	chown -R 65534:65534 "$open/repo" "$open/key"
	nobody="setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/nonexistent"
	if $nobody "$open/program" version >/dev/null 2>&1; then
		ends 3 $nobody "$open/program" backup "$open/src" -k "$open/key" \
			--repo "$open/repo" --volume nobody
		says open/secret
		says closed
		! grep -q readable err || fail "a file that could be read is named"
		ends 0 "$WHERRY" snapshots -k key --repo "$open/repo" \
			--volume nobody --json
		grep -q '"incomplete":true' out || fail "not marked incomplete"
		# The next one, as root, sees all.
		backup "$open/src" --repo "$open/repo" --volume nobody
		run 0 restore "$id" --repo "$open/repo" --target back --quiet
		same_tree "$open/src" back
		rm -rf back
	fi
fi
# What is neither here nor there; a file that is a directory's name.
run 1 backup src/numbers/x
run 1,2 backup "$(printf 'x%.0s' $(seq 5000))"

# --- sources that change while they are read ------------------------------------------------
mkdir moving
python3 - moving <<'P' &
import os, random, signal, sys, time
signal.alarm(100)
r = random.Random(3)
top = sys.argv[1]
n = 0
while True:
    n += 1
    p = "%s/d%d" % (top, r.randrange(8))
    f = "%s/f%d" % (p, r.randrange(40))
    k = r.randrange(12)
    try:
        if k < 5:
            os.makedirs(p, exist_ok=True)
            with open(f, "wb") as o:
                o.write(os.urandom(r.choice([0, 10, 300, 5000, 150000, 2000000])))
        elif k < 7:
            with open(f, "r+b") as o:
                o.truncate(r.randrange(200000))
        elif k < 9:
            os.unlink(f)
        elif k == 9:
            os.rename(p, p + "x")
            os.rename(p + "x", "%s/d%d" % (top, r.randrange(8)))
        elif k == 10:
            os.unlink(f)
            os.mkfifo(f) if n % 2 else os.symlink("/dev/zero", f)
        else:
            os.link(f, f + "l")
    except OSError:
        pass
P
mutator=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
	got=0
	timeout -s ABRT 60 "$WHERRY" backup -k key moving --volume moving \
		--json >out 2>err </dev/null || got=$?
	case $got in
	0 | 3) ;;
	*) fail "a moving source: ended with $got"; tail -n 5 out err ;;
	esac
	[ $got = 3 ] && ! grep -q '"message_type":"problem"' out &&
		fail "exit code 3 and nothing named"
done
kill $mutator
wait $mutator 2>/dev/null
run 0 check --quiet --read-data
backup moving --volume moving
rm -rf back
run 0 restore "$id" --target back --quiet && same_tree moving back

# --- what has no end, what blocks -----------------------------------------------------------
mkdir odd
mkfifo odd/fifo
ln -s /dev/zero odd/zero
ln -s loop odd/loop
[ "$(id -u)" != 0 ] || mknod odd/null c 1 5
LIMIT=30 backup odd
LIMIT=30
for p in /proc/self /proc/sys/kernel /sys/kernel/mm; do
	[ -d $p ] || continue
	got=0
	timeout -s ABRT 30 "$WHERRY" backup -k key $p --volume kernel --quiet \
		>out 2>err </dev/null || got=$?
	[ $got = 0 ] || [ $got = 3 ] || fail "$p: ended with $got"
done
# An endless stream ends when it is told to.
"$WHERRY" backup -k key --volume zero --stdin-name zero </dev/zero >out 2>err &
pid=$!
sleep 1
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "an endless stream: ended with $got"
run 2 backup --device /dev/zero --volume zero
run 2 backup --device odd/fifo --volume zero

# --- names ------------------------------------------------------------------------------------
mkdir names
python3 - <<'P'
import os
for c in range(1, 256):
    if c not in (0x2e, 0x2f):
        open(b"names/" + bytes([c]), "w").close()
        os.mkdir(b"names/d" + bytes([c]))
        open(b"names/d" + bytes([c]) + b"/" + bytes([c]) * 255, "w").close()
P
backup names
rm -rf back
run 0 restore "$id" --target back --quiet && same_tree names back
run 0 ls -R "$id"
LC_ALL=C grep -q "$(printf '[\001-\011\013-\037\177]')" out && fail "raw bytes were shown"

# --- a repository that may not be written ---------------------------------------------------------
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=6m tmpfs small; then
	"$WHERRY" init --quiet --repo small/repo -p pass || fail "init on tmpfs"
	ends 0 "$WHERRY" key add --repo small/repo -p pass --write --read \
		--admin --new-key-file small.key
	small() {
		local code=$1 verb=$2
		shift 2
		ends "$code" "$WHERRY" "$verb" --repo small/repo -k small.key "$@"
	}
	small 0 backup src --volume v
	mkdir much
	head -c 12000000 /dev/urandom >much/random
	small 1 backup much --volume much
	grep -qi "space\|full" err || { fail "full, but not told so"; cat err; }
	small 0 check --read-data
	small 0 snapshots --json
	[ "$(wc -l <out)" = 1 ] || fail "a failed backup left a snapshot"
	[ -z "$(ls -A small/repo/tmp 2>/dev/null)" ] || fail "left in tmp: $(ls small/repo/tmp)"
	# Not a byte left: nothing can be written, all can be read.
	cat /dev/zero >small/filler 2>/dev/null
	small 1 backup src --volume w
	small 0 check
	small 0 restore latest@v --target back2 --quiet
	rm small/filler
	mount -o remount,size=40m small
	small 0 backup much --volume much
	small 0 check --read-data
	# Into a target that is full.
	mkdir small/target
	mount -o remount,size=20m small
	small 1,3 restore latest@much --target small/target
	grep -qi "space\|full" err || { fail "a full target, but not told so"; cat err; }
	# Read-only.
	mount -o remount,ro small
	small 0 check
	small 0 snapshots
	small 1 backup src --volume v
	grep -qi "read-only" err || { fail "read-only, but not told so"; cat err; }
	small 1 restore latest@v --target small/back
	umount small
fi
run 0 check --quiet --read-data
exit $failed
