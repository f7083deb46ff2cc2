#!/bin/sh
# The verbs do their work end to end, say what they did as JSON, and end with
# the exit codes that the man page names.
# goals: check check-quick
set -eu
cd "$TMPDIR"
export WHERRY_REPOSITORY="$TMPDIR/repo" WHERRY_PASSWORD_FILE="$TMPDIR/pass"
echo "correct horse" >pass
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

# ends CODE COMMAND...: the command ends with that code.
ends() {
	want=$1
	shift
	got=0
	"$@" >out 2>err </dev/null || got=$?
	if [ "$got" != "$want" ]; then
		fail "$* ended with $got, not $want"
		cat out err
	fi
}

# has TEXT: the last command's stdout or stderr holds it.
has() {
	grep -qF -e "$1" out err || {
		fail "nowhere: $1"
		cat out err
	}
}

# Each line of the last command's stdout is a JSON object; EXPRESSION on the
# list l of them is true.
json() {
	python3 - "$1" <<-'E' || { fail "json: $1"; cat out; }
	import json, sys
	l = [json.loads(x) for x in open("out", encoding="utf-8")]
	assert all(isinstance(o, dict) for o in l)
	sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)
	E
	# The shape that any reader of JSON takes.
	while read -r line; do
		printf '%s\n' "$line" | python3 -m json.tool >/dev/null ||
			fail "no JSON: $line"
	done <<-E
	$(head -n 3 out)
	E
}

make_source() {
	mkdir -p src/sub/deep src/empty
	seq 1 20000 >src/sub/numbers
	head -c 3000000 /dev/urandom >src/random
	truncate -s 4M src/sparse
	printf x >src/sub/deep/small
	ln -s ../random src/sub/link
	ln src/random src/again
	printf evil >"src/$(printf 'a\033[31m\377b')"
	chmod 4711 src/sub/numbers
	touch -d '1969-12-31 23:59:58.123456789' src/sub/deep/small
	mkfifo src/fifo
}

make_source

# --- nothing there yet ----------------------------------------------------------
ends 10 "$WHERRY" snapshots
has "wherry init"
ends 2 "$WHERRY" backup
ends 2 "$WHERRY" frobnicate
ends 0 "$WHERRY" key --help
has "key rotate"
ends 0 "$WHERRY" init --json --label root
json 'l[0]["message_type"] == "initialized" and len(l[0]["id"]) == 32'
ends 11 "$WHERRY" init
ends 0 "$WHERRY" snapshots
has "no snapshots"
ends 0 "$WHERRY" snapshots --json
[ ! -s out ] || fail "snapshots --json of none printed something"

# --- secrets -----------------------------------------------------------------------
echo wrong >wrong
ends 12 "$WHERRY" snapshots -p wrong
has "wrong passphrase"
ends 12 "$WHERRY" snapshots -p wrong --json
json 'l[0]["message_type"] == "error" and l[0]["exit_code"] == 12'
ends 1 "$WHERRY" snapshots -p absent
: >empty
ends 2 "$WHERRY" snapshots -p empty
ends 2 env WHERRY_PASSWORD_FILE= "$WHERRY" snapshots
has "WHERRY_PASSWORD_FILE is set, but empty"
ends 0 env -u WHERRY_PASSWORD_FILE WHERRY_PASSWORD_COMMAND='cat pass' \
	"$WHERRY" snapshots
ends 2 env -u WHERRY_PASSWORD_FILE setsid "$WHERRY" snapshots
has "WHERRY_PASSWORD_FILE"

# --- backup --------------------------------------------------------------------------
touch src/random
ends 0 "$WHERRY" backup src --tag one --json
json 'l[-1]["message_type"] == "summary" and l[-1]["files_new"] >= 6 and
l[-1]["errors"] == 0 and len(l[-1]["snapshot_id"]) == 16'
first=$(python3 -c 'import json
print(json.loads(open("out").read().split("\n")[-2])["snapshot_id"])')
sleep 2.1 # what changed less than 2 s before is read again
ends 0 "$WHERRY" backup src --tag one
has "looked unchanged and"
grep -q " 0 new, 0 changed, " out || fail "what was only read again has changed"
ends 0 "$WHERRY" backup src --tag two --json
json 'l[-1]["files_new"] == 0 and l[-1]["files_changed"] == 0 and
l[-1]["new_bytes"] == 0 and l[-1]["parent_id"] != ""'
find repo | sort >before
ends 0 "$WHERRY" backup src --dry-run
has "none (dry run)"
has "only what may have changed was read"
ends 0 "$WHERRY" backup src --dry-run --json
json 'l[-1]["files_new"] + l[-1]["files_changed"] == 0 and l[-1]["parent_id"] and
l[-1]["read_bytes"] == 0 and l[-1]["snapshot_id"] == ""'
find repo | sort | cmp - before || fail "a dry run left something"
ends 0 "$WHERRY" backup src --quiet
[ ! -s out ] && [ ! -s err ] || fail "a quiet backup said something"
seq 1 1000 | "$WHERRY" backup --stdin-name numbers.txt --volume piped >out
head -c 24M /dev/urandom >image
truncate -s 32M image
ends 0 "$WHERRY" backup --device image --volume disk --json
json 'l[-1]["total_bytes"] == 32 << 20'
printf 'there' | dd of=image bs=1 seek=20000000 conv=notrunc 2>/dev/null
echo '19996672 4096' >changed
ends 0 "$WHERRY" backup --device image --volume disk --changed changed --json
json 'l[-1]["way"] == "changed" and l[-1]["read_bytes"] < 8 << 20'
printf '0 10' >changed
ends 2 "$WHERRY" backup --device image --volume disk --changed changed
has "cut off"

# --- looking ---------------------------------------------------------------------------
ends 0 "$WHERRY" snapshots --json
json 'len(l) == 7 and sum("one" in o["tags"] for o in l) == 2'
ends 0 "$WHERRY" snapshots --tag two
[ "$(wc -l <out)" = 2 ] || fail "--tag two shows $(wc -l <out) lines"
ends 0 "$WHERRY" snapshots --volume disk --latest 1 --json
json 'len(l) == 1 and l[0]["content"] == "block"'
ends 2 "$WHERRY" ls latest
ends 1 "$WHERRY" ls ffffffffffffffff
ends 0 "$WHERRY" ls "$first"
has 'a\x1b[31m\xffb'
grep -q "$(printf '\033')" out && fail "an escape sequence reached the terminal"
ends 0 "$WHERRY" ls -l "$first:sub"
has "-rws--x--x"
has "link -> ../random"
ends 1 "$WHERRY" ls "$first:absent"
ends 0 "$WHERRY" ls -R --json "$first"
json '"sub/deep/small" in [o["path"] for o in l] and
[o["mtime"] for o in l if o["path"] == "sub/deep/small"] ==
["1969-12-31T23:59:58.123456789Z"] and
sum("path_base64" in o for o in l) == 1'
ends 0 "$WHERRY" find --json '*mber*'
json '{o["path"] for o in l} == {"sub/numbers", "numbers.txt"}'
ends 0 "$WHERRY" find -s "$first" 'sub/*/small'
has "sub/deep/small"
ends 0 "$WHERRY" stats --json --snapshots
json 'l[-1]["snapshots"] == 7 and l[-1]["data"]["blobs"] > 0'
ends 0 "$WHERRY" stats

# --- differences ------------------------------------------------------------------------
echo more >>src/sub/numbers
rm src/sub/link
mkdir src/sub/link
chmod 600 src/sub/deep/small
rmdir src/empty
echo new >src/new
ends 0 "$WHERRY" backup src --tag three --json
last=$(python3 -c 'import json
print(json.loads(open("out").read().split("\n")[-2])["snapshot_id"])')
ends 0 "$WHERRY" diff "$first" "$last"
for line in '+  new' '-  empty/' 'M  sub/numbers  (content, size ' \
	'T  sub/link/  (symlink -> directory' \
	'U  sub/deep/small  (mode 0644 -> 0600)'; do
	grep -qF -e "$line" out || { fail "diff lacks $line"; cat out; }
done
sed -n 's/^.  \([^/ ]*\)  *.*$/\1/p' out | LC_ALL=C sort -c ||
	fail "a directory of diff is not sorted"
ends 0 "$WHERRY" diff "$first" "$last" --json
json 'l[-1]["added"]["files"] == 1 and l[-1]["removed"]["directories"] == 1 and
l[-1]["modified"]["files"] == 1 and l[-1]["type_changed"]["directories"] == 1'
ends 0 "$WHERRY" diff "$first" "$first" --json
json 'len(l) == 1'

# --- getting it back ----------------------------------------------------------------------
ends 0 "$WHERRY" restore "$last" -t back --json
json 'l[-1]["message_type"] == "summary" and l[-1]["errors"] == 0'
rm src/fifo back/fifo # diff would wait for them
diff -r --no-dereference src back || fail "what was restored differs"
[ "$(stat -c %Y:%a back/sub/deep/small)" = "-2:600" ] ||
	fail "time or mode were lost"
[ "$(stat -c %h back/again)" = 2 ] || fail "a hard link was lost"
ends 1 "$WHERRY" restore "$last" -t back
ends 0 "$WHERRY" restore "$last" -t back --in-place --delete
ends 0 "$WHERRY" restore "$last:sub" -t part
[ -e part/numbers ] || [ -e part/sub/numbers ] || fail "no part was restored"
ends 0 "$WHERRY" restore "$last" -t nothing --dry-run
[ ! -e nothing ] || fail "a dry run made its target"
ends 0 "$WHERRY" restore latest@disk -t disk.img
cmp image disk.img || fail "the image differs"
"$WHERRY" dump "$last:sub/numbers" | cmp - src/sub/numbers ||
	fail "the dumped file differs"
"$WHERRY" dump latest@piped:numbers.txt | cmp - src/sub/numbers >/dev/null 2>&1 &&
	fail "another file came"
"$WHERRY" dump latest@disk | cmp - image || fail "the dumped device differs"
mkdir tar
"$WHERRY" dump "$last" | tar -C tar --warning=no-timestamp -xf - || fail "no tar came"
cmp tar/random src/random || fail "the archive differs"
ends 1 "$WHERRY" dump "$last:absent"

# --- keys ---------------------------------------------------------------------------------
ends 0 "$WHERRY" key add --write --label node --new-key-file node.key --json
json 'l[0]["rights"] == "write"'
[ "$(stat -c %a node.key)" = 400 ] || fail "the key file may be read by others"
ends 1 "$WHERRY" key add --write --new-key-file node.key
echo second >second
ends 0 "$WHERRY" key add --read --label reader --new-password-file second
ends 0 "$WHERRY" key list --json
json 'len(l) == 3 and sum(o["own"] for o in l) == 1'
ends 0 "$WHERRY" backup src -k node.key --volume node
ends 12 "$WHERRY" ls "$last" -k node.key
ends 12 "$WHERRY" key add --read --new-key-file x.key -k node.key
[ ! -e x.key ] || fail "a key file was left behind"
ends 0 "$WHERRY" snapshots -k node.key --json
json 'all(o["sealed"] for o in l)'
ends 0 "$WHERRY" ls "$last" -p second
ends 12 "$WHERRY" backup src -p second
echo third >third
ends 0 "$WHERRY" key passwd -p second --new-password-file third
ends 12 "$WHERRY" snapshots -p second
ends 0 "$WHERRY" snapshots -p third

# --- what could not be read, what is damaged ----------------------------------------------
ends 1 "$WHERRY" backup absent
if [ "$(id -u)" != 0 ]; then
	chmod 0 src/new
	ends 3 "$WHERRY" backup src
	has "new"
	chmod 600 src/new
fi
ends 0 "$WHERRY" check --json
json 'l[-1]["damage"] is False and l[-1]["complete"] is True'
ends 0 "$WHERRY" check --read-data
has "no damage"
find repo/packs -type f -size +1M | while read -r pack; do
	chmod u+w "$pack"
	printf 'damage' | dd of="$pack" bs=1 seek=500000 conv=notrunc 2>/dev/null
done
ends 13 "$WHERRY" check --read-data --json
json 'l[-1]["damage"] is True and
any(o["message_type"] == "damaged_path" for o in l)'
ends 13 "$WHERRY" restore "$last" -t damaged

# --- a full pipe is told -------------------------------------------------------------------
ends 1 sh -c '"$WHERRY" ls -R "$1" >/dev/full' sh "$last"
has "standard output"

# --- interrupted ----------------------------------------------------------------------------
head -c 64M /dev/urandom >big
"$WHERRY" backup big --volume big --memory 128M \
	--limit-upload 8M >out 2>err &
pid=$!
sleep 1.5
kill -INT $pid
got=0
wait $pid || got=$?
[ "$got" = 130 ] || { fail "interrupted: ended with $got"; cat out err; }
has "goes on from here"

exit $failed
