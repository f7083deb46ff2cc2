#!/bin/bash
# What a restore promises beyond bringing everything back: what stays of a
# target in place, what patterns leave alone, what a dry run does not do, what
# is told of damage, and that an archive unpacks to the same tree.
# timeout: 240
# goals: check check-asan check-tsan
# Exit: 0 passed, 1 failed, 77 skipped (some; the last line says which).
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
skipped=
loop=
trap '[ -z "$loop" ] || losetup -d "$loop"' EXIT
trap 'exit 1' INT TERM HUP

# --- the tree ------------------------------------------------------------------------
mkdir -p src/a/b src/c/empty src/d
python3 - <<'P'
import os, random
r = random.Random(5)
def put(name, data):
    with open("src/" + name, "wb") as f:
        f.write(data)
put("a/small", b"small\n")
put("a/slice", r.randbytes(20000))
put("a/b/text", b"".join(b"line %d\n" % i for i in range(20000)))
put("c/medium", r.randbytes(3000000))
# Written around the page cache: its chunks end anywhere in a block.
put("d/large", r.randbytes((24 << 20) + 1234))
put("d/zeros", bytes(1 << 20) + r.randbytes(70000) + bytes(3 << 20))
put("nothing", b"")
with open("src/d/holes", "wb") as f:
    f.write(r.randbytes(20 << 20))
    f.seek(40 << 20)
    f.write(r.randbytes(5000))
    f.truncate((60 << 20) + 77)
P
ln src/a/slice src/c/linked
ln -s ../a/small src/c/link
mkfifo src/c/fifo
chmod 4755 src/a/small
touch -d '2001-02-03 04:05:06.123456789' src/a/small src/c
sleep 2.1
backup src --volume v
first=$id

tree() { # tree NAME: it equals the source
	same_tree src "$1" || echo "  ($2)"
}
inode() { stat -c %i "$1"; }

run 0 restore "$first" --target full --quiet --verify
tree full "a whole restore"
[ "$(inode full/a/slice)" = "$(inode full/c/linked)" ] || fail "the hard link is none"
[ "$(stat -c %b full/d/holes)" -lt 50000 ] || fail "the holes were filled"

# More blocks wait for their other part than memory is given to them: small
# chunks that lie in two packs by turns.
"$WHERRY" init -r fine --chunk-size 64K --quiet --password-file pass || fail "init"
python3 - <<'P'
import random
with open("fine.data", "wb") as f:
    f.write(random.Random(9).randbytes((100 << 20) + 4095))
P
"$WHERRY" backup -r fine --password-file pass --quiet fine.data || fail "fine chunks"
"$WHERRY" restore -r fine --password-file pass latest --target finer --quiet ||
	fail "fine chunks are not restored"
cmp fine.data finer/fine.data || fail "fine chunks come back otherwise"
rm -r fine fine.data finer

# --- a part --------------------------------------------------------------------------------
run 0 restore "$first:a" --target part --quiet
same_tree src/a part -x links
run 0 restore "$first:a/b/text" --target one --quiet
cmp src/a/b/text one/text || fail "one file"
run 1 restore "$first:absent" --target none --quiet
[ ! -e none ] || fail "something absent was restored"
run 0 restore "$first" --target sparse --sparse --quiet
cmp src/d/zeros sparse/d/zeros || fail "the sparse file differs"
[ "$(stat -c %b sparse/d/zeros)" -lt 2000 ] || fail "--sparse made no holes"
mkdir short
truncate -s 64K short/f
printf x | dd of=short/f bs=1 seek=30000 conv=notrunc 2>/dev/null
backup short
run 0 restore "$id" --target short2 --sparse --quiet
cmp short/f short2/f || fail "short zero runs differ"
[ "$(stat -c %b short2/f)" -le 16 ] || fail "--sparse made no short holes"

# --- patterns -------------------------------------------------------------------------------
run 0 restore "$first" --target inc --include 'text' --quiet
[ "$(cd inc && find . -type f)" = ./a/b/text ] || fail "--include: $(find inc)"
[ "$(stat -c %Y%a inc/a/b)" = "$(stat -c %Y%a src/a/b)" ] ||
	fail "a directory above what was included has other metadata"
run 0 restore "$first" --target exc --exclude '/a' --exclude 'large' --quiet
[ ! -e exc/a ] && [ ! -e exc/d/large ] && [ -e exc/c/medium ] || fail "--exclude"

# --- a dry run changes nothing --------------------------------------------------------------
run 0 restore "$first" --target dry --dry-run --quiet
[ ! -e dry ] || fail "a dry run made its target"
cp -a full dry
echo more >>dry/a/small
rm dry/nothing
echo extra >dry/extra
"$TOOLS/treesum" dry >dry.sum
run 0 restore "$first" --target dry --in-place --delete --dry-run --json
"$TOOLS/treesum" dry | cmp -s - dry.sum || fail "a dry run changed something"
python3 - <<'P' || fail "what a dry run tells"
import json
did = {}
for line in open("out"):
    o = json.loads(line)
    if o["message_type"] == "action" and o["action"] != "same":
        did[o["path"]] = o["action"]
want = {"a/small": "update", "nothing": "create", "extra": "delete"}
for path, action in want.items():
    if did.pop(path, None) != action:
        print(path, "is not", action)
        raise SystemExit(1)
# Directories have changed with them; no file has.
bad = {p: a for p, a in did.items() if a != "metadata"}
print(bad)
raise SystemExit(1 if bad else 0)
P

# --- in place ------------------------------------------------------------------------------------
run 1 restore "$first" --target full --quiet
says "not empty"
run 0 restore "$first" --target full --in-place --json
python3 - <<'P' || fail "restored in place, but nothing had changed"
import json
s = json.loads(open("out").read().splitlines()[-1])
raise SystemExit(s["written_bytes"] or s["fetched_bytes"])
P

python3 - <<'P'
import os
with open("full/d/large", "r+b") as f:     # 3 bytes in one chunk
    f.seek(10 << 20)
    f.write(b"***")
with open("full/c/medium", "ab") as f:
    f.write(b"more")
os.truncate("full/d/holes", 1 << 20)
P
before=$(inode full/d/large)
echo extra >full/a/extra
mkdir -p full/old/older full/c/empty/not
echo x >full/old/older/x
chmod 0600 full/a/small
# Of the same size and time, and somebody else's.
[ "$(id -u)" != 0 ] || chown 4321:4322 full/a/small full/c/medium
rm full/c/link && mkdir full/c/link
run 0 restore "$first" --target full --in-place --verify --json
python3 - <<'P' || fail "more was written in place than what differs"
import json
s = json.loads(open("out").read().splitlines()[-1])
# One chunk of the large file, the end of another file, the rest of a third.
raise SystemExit(not 0 < s["written_bytes"] < 30 << 20)
P
[ "$(inode full/d/large)" = "$before" ] || fail "it was not updated in place"
[ -e full/a/extra ] && [ -e full/old/older/x ] || fail "what is extra was not kept"
run 0 restore "$first" --target full --in-place --delete --exclude old --quiet
[ -e full/old/older/x ] || fail "what is excluded was deleted"
run 0 restore "$first" --target full --in-place --delete --quiet
tree full "in place, and what is extra deleted"

# A file's other name, outside of the target, keeps what it had.
ln full/a/b/text outside
echo changed >>outside
cp outside outside.copy
run 0 restore "$first" --target full --in-place --quiet
cmp -s outside outside.copy || fail "a file outside of the target was written"
tree full "a file that had a name outside"

# Links in the target are not followed; a directory with something in it
# gives way to a file only by --delete.
mkdir elsewhere
rm -r full/d && ln -s ../elsewhere full/d
ln -sf "$TMPDIR/elsewhere/x" full/nothing
rm full/a/small && mkdir full/a/small && echo x >full/a/small/x
run 3 restore "$first" --target full --in-place --quiet
says "a/small"
[ -z "$(ls elsewhere)" ] || fail "a link led out of the target"
run 0 restore "$first" --target full --in-place --delete --quiet
tree full "after links in the way"

# Deeper than there are descriptors.
python3 - <<'P'
import os
os.chdir("full")
for i in range(3000):
    os.mkdir("deep")
    os.chdir("deep")
open("bottom", "w").close()
P
run 0 restore "$first" --target full --in-place --delete --quiet
tree full "after a deep tree was deleted"

# --- without rights ---------------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir -p shut/in/side/deeper && echo x >shut/in/side/f
	chmod 0500 shut/in && chmod 0000 shut/in/side
	chown -R 12345:12345 shut
	backup shut --volume shut
	mkdir open && chown 12345:12345 open
	# By relative paths: the directories above may be shut to others.
	chmod 755 . && chmod -R a+rX repo && chmod a+r key && cp "$WHERRY" program
	other() { # other CODE VERB...
		local code=$1 verb=$2
		shift 2
		ends "$code" setpriv --reuid 12345 --regid 12345 --clear-groups \
			./program "$verb" -r repo -k key "$@"
	}
	other 0 restore "$id" --target open/t --quiet
	same_tree shut open/t
	# Others' files: the owner is lost, and told, and no set-id bit stays.
	other 3 restore "$first:a" --target open/a --quiet
	says "owner"
	[ "$(stat -c %a open/a/small)" = 755 ] || fail "a set-id bit went to another owner"
	other 0 restore "$first:a" --target open/b --no-owner --quiet
	chmod -R u+rwx open shut
else
	skipped="$skipped; becoming another user needs root"
fi

# --- archives -----------------------------------------------------------------------------------
mkdir tar
wherry dump "$first" >all.tar || fail "dump"
tar --numeric-owner -xpf all.tar -C tar 2>/dev/null || fail "tar -x"
same_tree src tar -x flags
wherry dump "$first:a" | tar -tf - >list
[ "$(sort list | tr '\n' ' ')" = "./ b/ b/text slice small " ] || fail "an archive holds $(cat list)"
wherry dump "$first:d/large" | cmp - src/d/large || fail "dump of a large file"
wherry dump "$first:d/holes" | cmp - src/d/holes || fail "dump of a file with holes"
run 2 dump "$first:c/link"

# --- a volume -------------------------------------------------------------------------------------
python3 - <<'P'
import random
r = random.Random(6)
with open("vol.img", "wb") as f:
    f.write(r.randbytes(9 << 20))
    f.seek(20 << 20)
    f.write(r.randbytes(1 << 20))
    f.truncate(24 << 20)
P
backup --device vol.img --volume dev
vol=$id
cp vol.img have.img
printf '***' | dd of=have.img bs=1 seek=5000000 conv=notrunc status=none
printf '***' | dd of=have.img bs=1 seek=15000000 conv=notrunc status=none
run 1 restore "$vol" --target have.img --quiet
says "not empty"
run 0 restore "$vol" --target have.img --in-place --verify --json
cmp vol.img have.img || fail "the volume differs, in place"
python3 - <<'P' || fail "more of the volume was written than what differs"
import json
s = json.loads(open("out").read().splitlines()[-1])
raise SystemExit(not 0 < s["written_bytes"] < 2 << 20)
P
# Long runs of zeros and of holes, in which little differs: only that is written.
python3 - <<'P'
with open("zeros.img", "wb") as f:
    f.write(b"begin" + bytes(12 << 20))
    f.truncate(28 << 20)
P
backup --device zeros.img --volume zeros
zeros=$id
# little TARGET: it is made different in two places, and then as it was.
little() {
	local at
	for at in 5000000 20000000; do
		printf '***' | dd of="$1" bs=1 seek=$at conv=notrunc status=none
	done
	run 0 restore "$zeros" --target "$1" --in-place --json --verbose
	python3 - <<'P' || { fail "$1: too much was written"; cat out; }
import json
v = [json.loads(x) for x in open("out")]
n = [x for x in v if x.get("action") == "update"]
raise SystemExit(len(n) != 1 or not 0 < n[0]["size_bytes"] <= 4 * (64 << 10))
P
	cmp -n $((28 << 20)) zeros.img "$1" || fail "$1 differs"
}
cp --sparse=never zeros.img zeroed.img
run 0 restore "$zeros" --target zeroed.img --in-place --quiet
little zeroed.img
truncate -s 30M dev.img
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show dev.img 2>/dev/null); then
	tr '\0' 'x' </dev/zero | dd of="$loop" bs=1M count=30 iflag=fullblock status=none
	run 0 restore "$vol" --target "$loop" --verify --quiet
	cmp -n $((24 << 20)) "$loop" vol.img || fail "the device differs"
	[ "$(dd if="$loop" bs=1M skip=24 count=1 status=none | tr -d x | wc -c)" = 0 ] ||
		fail "it wrote behind the volume"
	run 0 restore "$zeros" --target "$loop" --quiet
	little "$loop"
	losetup -d "$loop"
	truncate -s 8M dev.img
	loop=$(losetup -f --show dev.img)
	run 1 restore "$vol" --target "$loop" --quiet
	says "only"
	losetup -d "$loop"
	loop=
else
	loop=
	skipped="$skipped; there are no loop devices"
fi

# --- files with several names, in place ------------------------------------------------------------
mkdir -p linked/sub
printf tiny >linked/tiny
seq 3000 >linked/small
seq 4000 >linked/small2
head -c 9M /dev/urandom >linked/large
head -c 300M /dev/zero | tr '\0' x >linked/long
truncate -s 310M linked/long
truncate -s 5M linked/hole
for f in tiny small small2 large long hole; do
	ln linked/$f linked/sub/$f
done
backup linked --volume linked
linked=$id
run 0 restore "$linked" --target linked2 --quiet
inodes() {
	(cd "$1" && find . -type f -printf '%p %i\n' | sort)
}
inodes linked2 >inodes.before
run 0 restore "$linked" --target linked2 --in-place --verify --json
[ "$(tail -n 1 out | python3 -c 'import json; print(json.loads(input())["written_bytes"])')" = 0 ] ||
	fail "linked files were written: $(cat out)"
inodes linked2 >inodes.after
cmp inodes.before inodes.after || fail "linked files were replaced"
# Others of the same size and time, one of them linked from outside, are.
ln linked2/small beside
for f in small large long; do
	touch -r linked2/$f when
	printf '***' | dd of=linked2/$f bs=1 seek=5000 conv=notrunc status=none
	touch -r when linked2/$f
done
run 0 restore "$linked" --target linked2 --in-place --verify --quiet
same_tree linked linked2
grep -qF '***' beside || fail "what is outside was written to"
for f in tiny small small2 large long hole; do
	[ "$(inode linked2/$f)" = "$(inode linked2/sub/$f)" ] || fail "$f has one name"
done
rm -rf linked2

# --- damage ---------------------------------------------------------------------------------------
# One byte in the middle of each large pack: what lies there is told by name,
# everything else comes back, and nothing is wrong without a word.
cp -r repo whole
find repo/packs -type f -size +1000k | while read -r p; do
	chmod u+w "$p"
	size=$(stat -c %s "$p")
	printf '\xff' | dd of="$p" bs=1 seek=$((size / 2)) conv=notrunc status=none
	printf '\x00' | dd of="$p" bs=1 seek=$((size / 2 + 1)) conv=notrunc status=none
done
run 13 restore "$first" --target hurt --json
python3 - <<'P' || fail "damage is not told as it should be"
import filecmp, json, os
told = set()
for line in open("out"):
    o = json.loads(line)
    if o["message_type"] == "problem":
        assert o["class"] == "corrupt", o
        told.add(o["path"])
assert told, "no path was told"
wrong = set()
for top, _, names in os.walk("src"):
    for n in names:
        p = os.path.relpath(os.path.join(top, n), "src")
        q = os.path.join("hurt", p)
        if os.path.islink("src/" + p) or not os.path.isfile("src/" + p):
            continue
        assert os.path.getsize(q) == os.path.getsize("src/" + p), p
        if not filecmp.cmp("src/" + p, q, shallow=False):
            wrong.add(p)
# All names of a hard-linked file, too.
for w in wrong:
    assert w in told, "%s is wrong, and nobody said so" % w
assert len(wrong) < 7, wrong
P
run 13 restore "$linked" --target hurt2 --json
for f in large sub/large; do
	cmp -s linked/large hurt2/$f && fail "hurt2/$f is whole"
	grep -q "\"path\":\"$f\".*corrupt\|corrupt.*\"path\":\"$f\"" out ||
		{ fail "$f is damaged, and nobody said so"; cut -c 1-300 out; }
done
wherry dump "$first" >hurt.tar 2>err && fail "a dump of damaged files ended well"
[ "$(stat -c %s hurt.tar)" = "$(stat -c %s all.tar)" ] || fail "the archive was cut off"
rm -rf repo && mv whole repo
run 0 restore "$first" --target hurt --in-place --verify --quiet
tree hurt "healed in place"

[ "$failed" = 0 ] || exit 1
if [ -n "$skipped" ]; then
	echo "skipped: ${skipped#; }"
	exit 77
fi
