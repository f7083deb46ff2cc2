#!/bin/bash
# Copies in another repository: of the same family and of another, trees and
# volumes, day after day; stopped, killed, beside collections; of what is
# damaged; by credentials that may no more than they must; verified.
# timeout: 400
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
key=$TMPDIR/key
far=$TMPDIR/far
backs=0

# make NAME OPTIONS...: a repository and a key file NAME.key for all of it.
make() {
	local name=$1
	shift
	WHERRY_PASSWORD=far ends 0 "$WHERRY" init --quiet -r "$name" "$@"
	WHERRY_PASSWORD=far ends 0 "$WHERRY" key add -r "$name" --read --write \
		--admin --quiet --new-key-file "$name.key"
}

# copy CODE OPTIONS...: to $far by its key.
copy() {
	local code=$1
	shift
	ends "$code" "$WHERRY" copy -k "$key" --to "$far" \
		--to-key-file "$far.key" --json "$@"
}

# sum NAME: that member of the summary of the last copy.
sum() {
	grep '"summary"' "$TMPDIR/out" | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# counts NAME N...: members of the summary are these numbers.
counts() {
	while [ $# -gt 0 ]; do
		[ "$(sum "$1")" = "$2" ] || fail "$1 is $(sum "$1"), not $2"
		shift 2
	done
}

# there REPO: nothing is damaged there.
there() {
	ends 0 "$WHERRY" check -r "$1" -k "$1.key" --read-data
	says 'no damage'
}

# back REPO SPEC TREE: that snapshot there restores to the tree.
back() {
	backs=$((backs + 1))
	ends 0 "$WHERRY" restore -q -r "$1" -k "$1.key" "$2" \
		--target "back$backs"
	same_tree "$3" "back$backs"
	"$TOOLS/treestress" -d "back$backs"
}

# told REPO: what snapshots there say of themselves, but for their ids.
told() {
	"$WHERRY" snapshots -r "$1" -k "${2:-$1.key}" --json | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    print([o.get(k) for k in ("volume", "host", "tags", "paths", "start_time",
          "end_time", "flags", "content", "files", "incomplete", "size_bytes")])' |
	    LC_ALL=C sort
}

"$TOOLS/treestress" -s 5 -n 60 -z 100000 -F no-huge,no-devices tree \
	>/dev/null
head -c 3000000 /dev/urandom >tree/large
head -c 200000 /dev/urandom | tee tree/one >tree/two
head -c 3000000 /dev/urandom >image
truncate -s 5000000 image
head -c 100000 /dev/urandom >>image
run 0 backup -q --volume home --tag first tree
run 0 backup -q --volume disk --device image

# --- a repository of the same family -------------------------------------------

make "$far" --family-of "$WHERRY_REPOSITORY" --from-key-file "$key"
copy 0 --dry-run
counts copied 2 there 0
[ -z "$(find "$far" -path "*/packs/*" -type f)" ] || fail "a dry run has stored something"
[ -z "$(find "$far" -path "*/sessions/*" -type f)" ] || fail "a dry run has begun something"
copy 0 --verify
counts copied 2 there 0 verified 2 differ 0 between_families False
cmp <(told "$WHERRY_REPOSITORY" "$key") <(told "$far") ||
	fail "copies are described otherwise"
there "$far"
back "$far" latest@home tree
ends 0 "$WHERRY" restore -q -r "$far" -k "$far.key" latest@disk --target disk
cmp image disk || fail "the volume came back otherwise"
before=$(du -sb "$far/packs" | cut -f 1)
copy 0
counts copied 0 there 2 stored_bytes 0
[ "$(du -sb "$far/packs" | cut -f 1)" = "$before" ] || fail "sent again"

# The next days: little changed, little is sent; and what is shared by chains.
for day in 1 2; do
	echo "$day" >>tree/day
	run 0 backup -q --volume home tree
done
cp -a tree/large tree/other
run 0 backup -q --volume other tree
copy 0
counts copied 3 there 2
[ "$(sum stored_bytes)" -lt 800000 ] || fail "$(sum stored_bytes) sent for two days"
copy 0 --verify
counts copied 0 there 5 verified 5 differ 0
there "$far"

back "$far" latest@other tree


# A backup goes on in the copy: it reads what has changed, no more.
echo later >tree/later
ends 0 "$WHERRY" backup -r "$far" -k "$far.key" --volume home --json tree
cp "$TMPDIR/out" "$TMPDIR/summary"
[ "$(field files_new)" = 2 ] && [ "$(field files_changed)" = 0 ] ||
	fail "in the copy $(field files_new) were new, $(field files_changed) changed"
[ "$(field way)" = incremental ] || fail "it went $(field way)"

# --- credentials that may no more than they must -------------------------------

WHERRY_PASSWORD=far ends 0 "$WHERRY" key add -r "$far" --write --quiet \
	--new-key-file push.key
ends 0 "$WHERRY" key add -k "$key" --read --quiet --new-key-file pull.key
run 0 backup -q --volume home tree
push() {
	ends 0 "$WHERRY" copy -k pull.key --to "$far" --to-key-file push.key \
		--json "$@"
}
push
counts copied 1 there 5 # what an administrator copied is believed
[ "$(sum stored_bytes)" -lt 100000 ] || fail "a push sent $(sum stored_bytes)"
push
counts copied 0 there 6
copy 0
counts copied 1 there 5 # what another slot says is not
ends 12 "$WHERRY" copy -k "$key" --to "$far" --to-key-file push.key --verify
ends 12 "$WHERRY" copy -k "$key" --to "$far" --to-key-file pull.key
there "$far"

# --- filters, and what cannot be ------------------------------------------------

copy 0 --volume disk
counts copied 0 there 1
copy 1 --volume nothing
says 'no snapshot matches'
copy 0 latest@disk
counts there 1
copy 2 latest@disk --volume disk
ends 2 "$WHERRY" copy -k "$key" --to "$WHERRY_REPOSITORY" --to-key-file "$key"
says 'same repository'
ends 10 "$WHERRY" copy -k "$key" --to nowhere --to-key-file "$key"
says 'nowhere'

# A copy of a copy names the first, and goes back to nowhere.
make "$TMPDIR/third" --family-of "$far" --from-key-file "$far.key"
ends 0 "$WHERRY" copy -r "$far" -k "$far.key" --to third --to-key-file \
	third.key --json --volume disk
counts copied 1
ends 0 "$WHERRY" copy -k "$key" --to third --to-key-file third.key --json \
	--volume disk
counts copied 0 there 1
ends 0 "$WHERRY" copy -r "$far" -k "$far.key" --to "$WHERRY_REPOSITORY" \
	--to-key-file "$key" --json --volume disk
counts copied 0 there 1
ends 0 "$WHERRY" copy -r "$far" -k "$far.key" --to third --to-key-file \
	third.key --json latest@other
there "$TMPDIR/third"

# --- domains of the family -------------------------------------------------------

ends 0 "$WHERRY" key add -k "$key" --write --read --domain team --quiet \
	--new-key-file team.key
ends 0 "$WHERRY" backup -q -k team.key --volume team tree
copy 12 --volume team
says "no credential of deduplication domain 'team'"
WHERRY_PASSWORD=far ends 0 "$WHERRY" key add -r "$far" --write --read \
	--domain team --quiet --new-key-file farteam.key
copy 0 --volume team --verify
counts copied 1 verified 1
there "$far"
ends 0 "$WHERRY" restore -q -r "$far" -k farteam.key latest@team --target team
same_tree tree team
"$TOOLS/treestress" -d team

# --- another family ---------------------------------------------------------------

alien=$TMPDIR/alien
make "$alien"
near=$far far=$alien
copy 0 --verify
counts differ 0 between_families True
[ "$(sum copied)" -gt 5 ] && [ "$(sum copied)" = "$(sum verified)" ] ||
	fail "$(sum copied) copied, $(sum verified) verified"
there "$alien"
back "$alien" latest@team tree
ends 0 "$WHERRY" restore -q -r "$alien" -k "$alien.key" latest@disk --target disk2
cmp image disk2 || fail "the volume came back otherwise from another family"
copy 0
counts copied 0
echo again >>tree/day
run 0 backup -q --volume home tree
copy 0
counts copied 1
[ "$(sum stored_bytes)" -lt 200000 ] ||
	fail "$(sum stored_bytes) sent to another family for a line"
there "$alien"
# A backup in it reads all, stores little.
ends 0 "$WHERRY" backup -r "$alien" -k "$alien.key" --volume home --json tree
cp "$TMPDIR/out" "$TMPDIR/summary"
[ "$(field files_unmodified)" = 0 ] || fail "carried over from another family"
back "$alien" latest@home tree
there "$alien"

# After a new family secret here the older copies still grow.
far=$near
ends 0 "$WHERRY" key rotate -k "$key" --new-ids --quiet
run 0 backup -q --volume disk --device image
copy 0 --volume disk --verify
counts copied 1 verified 2 differ 0 between_families True
there "$far"

# --- stopped, killed ----------------------------------------------------------------

head -c 40000000 /dev/urandom >image
run 0 backup -q --volume slow --device image
slow=$TMPDIR/slow
make "$slow" --family-of "$WHERRY_REPOSITORY" --from-key-file "$key"
far=$slow
# start: a copy that would take some seconds, in packs of 8 MiB.
start() {
	"$WHERRY" copy -k "$key" --to "$slow" --to-key-file "$slow.key" --json \
		--volume slow --memory 128M --limit-upload 3M >out 2>err </dev/null &
	pid=$!
}
# arrived N: wait until there are so many packs more than before.
arrived() {
	for _ in $(seq 600); do
		[ "$(count)" -ge $((had + $1)) ] && return
		sleep 0.05
	done
	fail "no $1 packs after 30 s"
}
count() {
	find "$slow" -path "*/packs/*" -type f | wc -l
}
had=$(count)
start
arrived 1
kill -9 $pid
wait $pid 2>/dev/null
[ -z "$(find "$slow" -path "*/snapshots/*" -type f)" ] ||
	fail "killed, and yet committed"
had=$(count)
start
arrived 1
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "a stopped copy ended otherwise"
copy 0 --volume slow --verify
counts copied 1 verified 1
[ "$(sum stored_bytes)" -lt 36000000 ] ||
	fail "after a stop $(sum stored_bytes) were sent again"
there "$slow"

# --- beside collections ----------------------------------------------------------------

# Here one that repacks what is read, there one that waits for the session.
for i in 1 2 3 4; do
	head -c 4000000 /dev/urandom >"tree/random$i"
	run 0 backup -q --volume many tree
done
run 0 forget -q --volume many --keep-last 2 --min-age 0d
"$WHERRY" copy -k "$key" --to "$slow" --to-key-file "$slow.key" --volume many \
	--limit-upload 6M --json >copy.out 2>copy.err </dev/null &
pid=$!
for i in 1 2 3; do
	run 0 gc -q --max-waste=1%
	"$WHERRY" gc -q -r "$slow" -k "$slow.key" >gc.out 2>&1 ||
		{ fail "gc there"; cat gc.out; }
	sleep 0.5
done
wait $pid || { fail "a copy beside collections"; cat copy.err; }
copy 0 --verify --volume many
counts copied 0 there 2 verified 2 differ 0
there "$slow"
run 0 check --read-data

# Forgotten here, and its blobs deleted, while it is copied: no damage.
head -c 24000000 /dev/urandom >image
backup --volume gone --device image
gone=$id
had=$(find "$slow" -path "*/sessions/*" -type f | wc -l)
"$WHERRY" copy -k "$key" --to "$slow" --to-key-file "$slow.key" --volume gone \
	--memory 128M --limit-download 1M --json >copy.out 2>copy.err </dev/null &
pid=$!
for _ in $(seq 600); do
	[ "$(find "$slow" -path "*/sessions/*" -type f | wc -l)" -gt "$had" ] && break
	sleep 0.05
done
run 0 forget -q --id "$gone" --min-age 0d
run 0 gc -q
wait $pid || { fail "a copy of what is forgotten"; cat copy.err; }
grep -q '"outcome":"gone"' copy.out || { fail "not told as gone"; cat copy.out; }
grep -q damaged_path copy.out && fail "what was forgotten is told as damage"
there "$slow"

# --- damage --------------------------------------------------------------------------------

# packs REPO: those of data that are there.
packs() {
	find "$1" -path "*/packs/*" -type f -size +200k | LC_ALL=C sort
}

# spoil REPO: the largest of the packs that `before` lists not.
spoil() {
	spoilt=$(comm -13 before <(packs "$1") | xargs ls -S | head -n 1)
	cp "$spoilt" kept
	chmod u+w "$spoilt"
	printf 'damage' | dd of="$spoilt" bs=1 seek=150000 conv=notrunc 2>/dev/null
}

head -c 2000000 /dev/urandom >victim
packs repo >before
run 0 backup -q --volume victim victim
spoil repo
head -c 100000 /dev/urandom >sound
run 0 backup -q --volume sound sound
copy 13 --volume victim --volume sound
counts copied 1 damaged 1
says '"path":"victim"'
says 'is not copied'
ends 0 "$WHERRY" snapshots -r "$far" -k "$far.key"
grep -q victim out && fail "a damaged snapshot was copied"
there "$far"
cp kept "$spoilt"
packs "$far" >before
copy 0 --volume victim --volume sound
counts copied 1 there 1

# What is damaged there: a copy run sees no change, --verify does, by name.
spoil "$far"
copy 0 --volume victim
copy 13 --volume victim --volume sound --verify
counts differ 1 verified 1
says '"in_copy":true,"path":"victim"'
cp kept "$spoilt"
copy 0 --volume victim --verify

# --- by the reader -------------------------------------------------------------------------

python=$("$SRC/tests/deps/venv.sh") || python=
if [ -n "$python" ]; then
	make "$TMPDIR/fourth"
	ends 0 "$WHERRY" copy -q -r "$near" -k "$near.key" --to fourth \
		--to-key-file fourth.key latest@other
	for r in third fourth; do
		WHERRY_PASSWORD=far "$python" "$SRC/tests/reader/reader.py" verify \
			"$r" >reader.out 2>&1 || { fail "reader: $r"; tail -3 reader.out; }
	done
fi
"$TOOLS/treestress" -d tree
exit "$failed"
