#!/bin/bash
# Forgetting by policy and by name: what stays and why, what is refused, what a
# wrong clock does and does not do; sessions that are listed and revoked.
# timeout: 120
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
mkdir src
seq 1 5000 >src/a

${CC:-cc} -shared -fPIC -O1 -D_GNU_SOURCE -o clock.so \
	"$SRC/tests/scripts/preload/clock.c" -ldl || exit 1
if ! CLOCK_AHEAD=0 LD_PRELOAD=$PWD/clock.so "$WHERRY" version >/dev/null 2>&1 ||
    ldd "$WHERRY" | grep -q 'lib[at]san'; then
	clocks=no # no call can be taken over here
else
	clocks=yes
fi
day=86400

# at SECONDS VERB...: the same with a clock so far ahead.
at() {
	local ahead=$1
	shift
	CLOCK_AHEAD=$ahead LD_PRELOAD=$TMPDIR/clock.so "$@"
}

# json EXPRESSION: true of the list l of objects that the last command printed.
json() {
	python3 - "$1" <<-'E' || { fail "json: $1"; cat "$TMPDIR/out"; }
	import json, os, sys
	l = [json.loads(x) for x in open(os.environ["TMPDIR"] + "/out")]
	s = [o for o in l if o.get("message_type") == "snapshot"]
	end = l[-1] if l else {}
	sys.exit(0 if eval("(" + sys.argv[1] + ")") else 1)
	E
}

# session CODE list|revoke ARGUMENTS...: as run does it.
session() {
	local code=$1 verb=$2
	shift 2
	ends "$code" "$WHERRY" session "$verb" -k key "$@"
}

count() {
	wherry snapshots --json "$@" | wc -l
}

# --- what is refused ---
backup src --volume v
run 2 forget
says "nothing says what to keep"
run 2 forget --keep-last 0
says "keeps nothing"
run 2 forget --keep-last x
run 2 forget --keep-within 5
run 2 forget --keep-last 1 --group-by nothing
run 2 forget --keep-last 1 --min-age week
run 2 forget --id "$id" --keep-last 1
run 1 forget --id 0000000000000000
[ "$(count)" = 1 ] || fail "a refused policy removed something"

# --- by policy; nothing changes in a dry run ---
for i in 1 2 3; do
	echo "$i" >>src/a
	backup src --volume v
done
backup src --volume w
find repo | sort >before
run 0 forget --keep-last 2 --dry-run --json
json 'len(s) == 5 and [o["keep"] for o in s] == [False, False, True, True, True]'
json 's[3]["reasons"] == ["last 1"] and s[4]["group"] == 1'
json 's[0]["reasons"] == ["no rule keeps it"]'
json 'end["dry_run"] and end["kept"] == 3 and end["forgotten"] == 2'
find repo | sort | cmp -s - before || fail "a dry run changed the repository"
run 1 forget --keep-last 2 --volume typo
says "no snapshot matches --volume typo"
run 0 forget --keep-last 2 --volume w
[ "$(count)" = 5 ] || fail "a filter did not hold"
run 0 forget --keep-last 2
says "3 snapshots stay, 2 are forgotten"
[ "$(count)" = 3 ] || fail "not those of the policy are left"
[ "$(find repo/forgotten -type f | wc -l)" = 2 ] || fail "not two notes"
run 0 forget --keep-last 2 --json
json 'end["forgotten"] == 0'
run 0 check
id=$(wherry snapshots --json --volume v | tail -n 1 |
	python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["id"])')
run 0 restore "$id" --target back
same_tree src back

# --- by name ---
run 0 forget --id "$id" --dry-run
[ "$(count --volume v)" = 2 ] || fail "a dry run by name removed one"
run 0 forget --id "${id:0:10}"
says "$id is forgotten"
[ "$(count --volume v)" = 1 ] || fail "it is not forgotten by name"
run 1 restore "$id" --target nothing
run 0 forget --keep-tag none --volume w
says "the last of its volume"
run 0 forget --keep-tag none --allow-none --volume w
[ "$(count --volume w)" = 0 ] || fail "--allow-none kept one"

# --- a credential that may only write: nothing young is displaced ---
ends 0 "$WHERRY" key add -k key --write --new-key-file node.key
for i in 1 2; do
	ends 0 "$WHERRY" backup -k node.key --quiet src --volume n
done
ends 12 "$WHERRY" forget -k node.key --keep-last 1
run 0 forget --keep-last 1 --volume n --json
json 'all(o["keep"] for o in s) and "younger than 7 days" in s[0]["reasons"][0]'
if [ $clocks = yes ]; then
	# The clock of who forgets may have jumped; the store's has not.
	at $((365 * day)) "$WHERRY" forget -k key --keep-last 1 --volume n \
		>out 2>err || fail "forget with a wrong clock"
	says "differ by more than a day"
	[ "$(count --volume n)" = 2 ] ||
		fail "a clock that jumped ahead removed what is young"
fi
id=$(wherry snapshots --json --volume n | head -n 1 |
	python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["id"])')
run 2 forget --id "$id"
says "--min-age 0d"
run 0 forget --id "$id" --min-age 0d
[ "$(count --volume n)" = 1 ] || fail "--min-age 0d"

# --- clocks that jump a year ahead and back ---
if [ $clocks = yes ]; then
	rm -f ids
	for ahead in 0 365 0 -365 0; do
		echo "$ahead" >>src/a
		at $((ahead * day)) "$WHERRY" backup -k key --json --volume c src \
			>summary 2>err || fail "backup with a clock $ahead days ahead"
		field snapshot_id >>ids
	done
	# Whatever the clock says: each has the one before as its parent.
	wherry snapshots --json --volume c >out
	json '[o["counter"] for o in l] == [1, 2, 3, 4, 5]'
	json 'all(a["session"] == b["parent_session"] for a, b in zip(l, l[1:]))'
	run 0 forget --keep-last 1 --volume c --dry-run --json
	json '[o["keep"] for o in s] == [False, True, False, True, True]'
	json '[o["disputed_time"] for o in s] == [False, True, False, True, False]'
	json '"differ by 36" in s[1]["reasons"][0]'
	run 0 forget --keep-last 1 --volume c --dry-run --json --clock own
	json '[o["keep"] for o in s] == [False, True, False, False, False]'
	run 0 forget --keep-last 2 --volume c --dry-run --json --clock store
	json '[o["keep"] for o in s] == [False, False, False, True, True]'
	# Rules count from the newest: who forgets a year late or early does the same.
	for ahead in 365 -365; do
		at $((ahead * day)) "$WHERRY" forget -k key --keep-within 1d \
			--keep-daily 2 --volume c --dry-run --json >out 2>err
		json '[o["keep"] for o in s] == [True] * 5'
	done
	run 0 forget --keep-last 1 --clock store --volume c
	run 0 restore latest@c --target c
	same_tree src c
	echo again >>src/a
	backup src --volume c
	[ "$(count --volume c)" = 2 ] || fail "the chain does not go on"
	run 0 check
fi

# --- what is no snapshot any more ---
snapshot=$(find repo/snapshots -type f | head -n 1)
name=${snapshot#repo/snapshots/}
chmod u+w "$snapshot"
printf rubbish >"$snapshot"
run 13 snapshots
run 13 forget --keep-last 1
[ -e "$snapshot" ] || fail "a policy removed what cannot be read"
run 13 forget --id "${name##*-}"
says "SLOT/ID"
run 0 forget --id "${name%%/*}/${name##*-}"
run 0 snapshots

# --- sessions ---
mkfifo pipe
timeout 60 "$WHERRY" backup -k key --stdin-name x --volume p \
	<pipe >writer 2>&1 &
exec 3>pipe
for i in $(seq 300); do
	name=$("$WHERRY" session list -k key --json | python3 -c 'import json, sys
for x in sys.stdin: print(json.loads(x)["session"])')
	[ -z "$name" ] || break
	sleep 0.1
done
session 0 list --json
json 'len(l) == 1 and l[0]["state"] == "open" and l[0]["believed"]'
session 1 revoke ffffffffffff
session 0 revoke "${name##*-}"
session 0 revoke "$name"
says "was over"
session 0 list --json
json 'l == []'
session 0 list --json --all
json '[o for o in l if o["state"] == "revoked"]'
head -c 100000 /dev/urandom >&3
exec 3>&-
wait $! && fail "the writer of a revoked session is content"
grep -q "revoked" writer || { fail "it is not told why"; cat writer; }
[ "$(count --volume p)" = 0 ] || fail "a revoked session committed"
run 0 check

exit $failed
