#!/bin/bash
# What several snapshots say of one thing: find tells each version of a file
# once, with the snapshots that have it, and reads what they share once; diff
# tells what changed, in files and in block volumes.
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin

# json EXPRESSION: true of the list l of the objects that the last command printed.
json() {
	python3 - "$1" "$TMPDIR/out" <<-'E' || { fail "json: $1"; head -n 20 out; }
	import json, sys
	l = [json.loads(x) for x in open(sys.argv[2], encoding="utf-8")]
	sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)
	E
}

# --- find ---------------------------------------------------------------------
mkdir -p a/deep/deeper b
(cd a/deep && for i in $(seq 3000); do echo "$i" >"file-with-a-name-$i"; done)
echo one >a/deep/deeper/report.txt
echo REPORT >a/Report.md
mkdir a/reports
ln -s deep a/link
echo b >b/report.txt
touch -d '2020-05-05 12:00Z' a/deep/deeper/report.txt
sleep 2.1 # what is younger than two seconds is read again
backup a --volume a
first=$id
backup a --volume a
backup b --volume b
echo two >a/deep/deeper/report.txt
sleep 2.1
backup a --volume a
third=$id
backup a --volume a
rm a/deep/deeper/report.txt
backup a --volume a
mkdir -p a/deep/deeper && echo one >a/deep/deeper/report.txt
touch -d '2020-05-05 12:00Z' a/deep/deeper/report.txt
backup a --volume a --tag last
last=$id

run 0 find --json 'report*'
json '[(o["volume"], o["path"], o["size_bytes"] if "size_bytes" in o else 0, len(o["snapshot_ids"])) for o in l] ==
[("a", "deep/deeper/report.txt", 4, 3), ("a", "deep/deeper/report.txt", 4, 2), ("a", "reports", 0, 6), ("b", "report.txt", 2, 1)]'
json 'l[0]["snapshot_ids"][0] == "'"$first"'" and l[0]["snapshot_ids"][-1] == "'"$last"'" and l[1]["snapshot_ids"][0] == "'"$third"'"'
run 0 find 'report*'
says "in 3 snapshots: $first of "
says "not in all between"
run 0 find --json -i 'report*' '*.nothing' --type f,l
json '{o["path"] for o in l} == {"deep/deeper/report.txt", "Report.md", "report.txt"}'
run 0 find --json --type d '*'
json '{o["path"] for o in l} == {"deep", "deep/deeper", "reports"}'
run 0 find --json 'deep/*/report.txt' 'link'
json '{o["path"] for o in l} == {"deep/deeper/report.txt", "link"}'
run 0 find --json --before 2020-05-05T12:00:01Z '*'
json '{o["path"] for o in l} == {"deep/deeper/report.txt"}'
run 0 find --json --after 2020-05-05T12:00:00Z --before 2020-05-06 '*'
json 'len(l) == 1'
run 0 find --json --after 2020-05-06 'report.txt'
json 'len(l) == 2 and l[0]["snapshot_ids"][0] == "'"$third"'"'
run 0 find --json --tag last 'report.txt'
json '[o["snapshot_ids"] for o in l] == [["'"$last"'"]]'
run 0 find --json -s "$first" -s "$first" -s "$third" 'report.txt'
json 'len(l) == 2'
run 0 find 'nothing at all'
says "nothing matches"
run 2 find --type x y
run 2 find --after tomorrow y
run 2 find -s latest --tag x y

# Every name, where the way of each snapshot for itself is the judge.
run 0 find --json --memory 128M '*'
cp out all
python3 - "$WHERRY" all <<-'E' || fail "find tells other files than ls"
	import collections, json, subprocess, sys
	run = lambda *a: [json.loads(x) for x in subprocess.run(
	    [sys.argv[1], *a, "-k", "key", "--json"], stdout=subprocess.PIPE,
	    check=True).stdout.splitlines()]
	found = collections.Counter((o["path"], o["mtime"], i)
	    for o in map(json.loads, open(sys.argv[2])) for i in o["snapshot_ids"])
	listed = collections.Counter((o["path"], o["mtime"], s["id"])
	    for s in run("snapshots") for o in run("ls", "-R", s["id"]))
	assert found == listed, (found - listed, listed - found)
	E

# What is shared is read once: two snapshots alike cost no page more than one.
run 0 find -vv -s "$third" '*.txt'
one=$(grep -c 'packs/' err)
run 0 find -vv -s "$third" -s "$(run 0 snapshots --json --volume a && python3 -c 'import json
print([json.loads(x)["id"] for x in open("out")][3])')" '*.txt'
two=$(grep -c 'packs/' err)
[ "$one" -gt 0 ] && [ "$two" -le "$one" ] || fail "pages read: $one of one, $two of two alike"

# --- diff ---------------------------------------------------------------------
mkdir d
for n in content size mode owner time xattr link type gone; do echo "$n" >"d/$n"; done
ln -s old d/target
sleep 2.1
backup d --volume d
before=$id
echo CONTENT >d/content
echo longer >>d/size
chmod 601 d/mode
touch -d '2001-02-03' d/time
setfattr -n user.x -v y d/xattr 2>/dev/null || touch -d '2001-02-03' d/xattr
ln d/link d/other
rm d/type d/gone d/target
mkdir d/type
ln -s new d/target
printf 1234567890 >d/added
chown 1:2 d/owner 2>/dev/null || touch d/owner
backup d --volume d
run 0 diff "$before" "$id"
cp out text
for line in '+  added$' '+  other$' '-  gone$' 'M  content  (content' \
	'M  size  (content, size 5 -> 12' 'U  mode  (mode 06[04][04] -> 0601)' \
	'U  time  (mtime .* -> 2001-02-03' 'T  type/  (file -> directory' \
	'M  target  (.*link -> new' 'U  link  (inode)'; do
	grep -q "^$line" text || { fail "diff lacks $line"; cat text; }
done
[ "$(id -u)" != 0 ] || grep -q '^U  owner  (owner 0:0 -> 1:2)' text || fail "no owner"
run 0 diff --json "$before" "$id"
json 'l[-1]["added"] == {"files": 2, "directories": 0, "others": 0, "bytes": 15, "before_bytes": 0}'
json 'l[-1]["removed"] == {"files": 1, "directories": 0, "others": 0, "bytes": 0, "before_bytes": 5}'
json 'l[-1]["modified"] == {"files": 2, "directories": 0, "others": 1, "bytes": 20, "before_bytes": 13}'
json 'l[-1]["type_changed"]["directories"] == 1'
json '[(o["differs"], o["before"]["mode"] != o["mode"]) for o in l[:-1] if o["path"] == "mode"] == [(["mode", "ctime"], True)]'
run 0 diff --json --no-metadata "$before" "$id"
json 'all(o["change"] != "U" for o in l[:-1]) and l[-1]["metadata_only"]["files"] >= 5'
run 0 diff --json "$before" "$id" mode
json 'len(l) == 2'
run 0 diff "$id" "$id"
says "no difference"

head -c 8M /dev/urandom >image
truncate -s 64M image
backup --device image --volume disk
before=$id
dd if=/dev/urandom of=image bs=4096 seek=300 count=2 conv=notrunc 2>/dev/null
dd if=/dev/urandom of=image bs=4096 seek=10000 count=1 conv=notrunc 2>/dev/null
cp image changed.image
backup --device image --volume disk
run 0 diff "$before" "$id"
grep -v '^#' out >ranges
says "64.0 MiB before, 64.0 MiB now"
run 0 diff --json "$before" "$id"
json 'len(l) >= 3 and l[-1]["ranges"] == len(l) - 1 and l[-1]["changed_bytes"] < 1 << 20'
json 'any(o["offset_bytes"] <= 300 * 4096 and o["offset_bytes"] + o["length_bytes"] >= 302 * 4096 for o in l[:-1])'
# The ranges are all that is needed to come from the one to the other.
run 0 restore "$before" --target was.image --quiet
while read -r off len; do
	dd if=changed.image of=was.image bs=4096 skip=$((off / 4096)) \
		seek=$((off / 4096)) count=$(((len + 4095) / 4096)) conv=notrunc 2>/dev/null
done <ranges
cmp was.image changed.image || fail "the ranges do not make the one of the other"
run 0 diff "$id" "$id"
says "# 0 ranges"
truncate -s 65M image
backup --device image --volume disk
run 0 diff "$before" "$id"
says "65.0 MiB now"
run 2 diff "$before" "$first"
says "no block volume"
run 2 diff "$before" "$id" etc
exit $failed
