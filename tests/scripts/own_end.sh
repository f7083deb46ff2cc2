#!/bin/bash
# A backup that fails by itself ends its session, so the collection after it does
# not wait: a parent that is not there, a source that is not or is of another
# kind, a list of extents that ends in the midst, a full disk, a request to stop.
# timeout: 300
# goals: check check-asan check-tsan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
cleanup() {
	umount "$TMPDIR/full" 2>/dev/null
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
begin
mkdir -p tree/sub full
seq 20000 >tree/numbers
head -c 3M /dev/urandom >tree/sub/random
head -c 3M /dev/urandom >image
head -c 3M /dev/urandom >image2

# collects: there is something to collect, and nobody is waited for.
collects() {
	backup tree/sub --volume "rubbish$RANDOM"
	run 0 forget --id "$id" --quiet
	run 0 gc --json
	python3 - <<'P' || { fail "after $1"; cat out; }
import json
o = [json.loads(l) for l in open("out")]
s = [x for x in o if x["message_type"] == "summary"][-1]
assert s["waiting_sessions"] == 0 and s["revoked_sessions"] == 0, s
P
}

# none_open WHEN: no session is open.
none_open() {
	ends 0 "$WHERRY" session list -k key --json
	grep -q '"state": *"open"' out && { fail "open $1"; cat out; }
}

backup tree --volume t
backup --device image --volume d
collects "nothing"
run 1,2 backup tree --volume t --parent 0123456789abcdef
collects "a parent that is not there"
run 1,2 backup tree --volume t --parent 'what is this'
collects "a parent that is none"
run 1 backup absent --volume t
collects "a source that is not there"
run 1 backup --device absent --volume d
collects "a device that is not there"
run 2 backup --device tree --volume d
collects "a directory for a device"
printf '0 4096\n4096' >cut
run 2 backup --device image2 --volume d --changed cut
collects "a list of extents that was cut off"
mkfifo pipe
"$WHERRY" backup -k key --volume s --stdin-name s <pipe >out 2>err &
pid=$!
exec 7>pipe
for _ in $(seq 100); do
	ls repo/sessions/*/* >/dev/null 2>&1 && break
	sleep 0.1
done
kill -INT $pid
wait $pid
[ $? = 130 ] || fail "a stopped run ended otherwise"
exec 7>&-
collects "a request to stop"
none_open "in the end"
run 0 check --read-data --quiet
# So does the independent reader, where it can be had.
if python=$("$SRC/tests/deps/venv.sh"); then
	"$python" "$SRC/tests/reader/reader.py" --key-file key verify repo \
		>verify.txt || { fail "the reader"; tail -n 5 verify.txt; }
fi

if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=24M none full 2>/dev/null; then
	cp -a repo full/repo
	head -c 60M /dev/urandom >large
	WHERRY_REPOSITORY=$TMPDIR/full/repo
	run 1 backup large --volume l
	says "space"
	none_open "on a full disk"
	rm large
	run 0 gc --json
	grep -q '"waiting_sessions": *0' out || fail "a full disk: $(cat out)"
	run 0 check --read-data --quiet
else
	echo "no tmpfs here: a full disk is left out"
fi
exit $failed
