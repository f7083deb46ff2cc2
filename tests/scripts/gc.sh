#!/bin/bash
# Collections from outside: what was forgotten gives its space back, also when
# gc is killed at any time, beside backups, and after a backup that died.
# ROUNDS (9) and SEED (1) may be given.
# timeout: 240
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
rounds=${ROUNDS:-9}
seed=${SEED:-1}
RANDOM=$seed
backs=0
echo "seed $seed"

stored() {
	du -sb repo/packs | cut -f 1
}

# sum NAME: that member of the summary of the last gc --json.
sum() {
	grep '"summary"' "$TMPDIR/out" | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# change N: another tree, and bytes that no run before had.
change() {
	"$TOOLS/treestress" -m -s $((seed * 1000 + $1)) -n 30 \
		-F no-huge,no-devices tree/stress >/dev/null
	head -c 3000000 /dev/urandom >"tree/random$(($1 % 3))"
}

# whole: nothing is damaged, and the newest snapshot is the tree.
whole() {
	run 0 check --read-data
	says 'no damage'
	backs=$((backs + 1))
	run 0 restore latest@v --target "back$backs"
	same_tree tree "back$backs"
}

mkdir tree
"$TOOLS/treestress" -s "$seed" -n 200 -D 8 -z 400000 -F no-huge,no-devices \
	tree/stress >/dev/null
run 0 gc
says 'nothing to free'
for i in 1 2 3 4 5; do
	change $i
	backup tree --volume v
done
run 0 gc --json
[ "$(sum outcome)" = nothing ] || fail "something was dead before forgetting"

# Who may not, and what makes no sense.
ends 0 "$WHERRY" key add -k key --read --write --quiet --new-key-file node
ends 12 "$WHERRY" gc -k node
ends 2 "$WHERRY" gc -k key --abandon --wait
ends 2 "$WHERRY" gc -k key --max-waste=101

# The dry run says what the real one does, and does nothing.
run 0 forget --keep-last 1 --volume v
find repo -type f | sort >before
run 0 gc --dry-run --json
bytes=$(sum deleted_bytes)
find repo -type f | sort | cmp -s before - || fail "a dry run changed something"
was=$(stored)
run 0 gc --json
[ "$(sum outcome)" = done ] || fail "outcome $(sum outcome)"
[ "$(sum deleted_bytes)" = "$bytes" ] || fail "the dry run told another sum"
[ "$(stored)" -lt $((was - 6000000)) ] || fail "no space came back"
whole
run 0 gc
says 'nothing to free'

# A backup that died: gc names it and waits, until it is revoked.
head -c 200000000 /dev/urandom >tree/large
touch begun
"$WHERRY" backup -k key --quiet tree --volume dying --host ghost &
pid=$!
for _ in $(seq 400); do
	[ -z "$(find repo/packs -newer begun -size +4000k)" ] || break
	sleep 0.02
done
kill -9 $pid
wait $pid 2>/dev/null
rm tree/large
ends 0 "$WHERRY" session list -k key --json
session=$(python3 -c 'import json, sys
for line in sys.stdin:
    s = json.loads(line)
    if s.get("host") == "ghost" and s.get("state") == "open":
        print(s["session"])' <out)
if [ -n "$session" ]; then
	run 0 gc
	says "run 'wherry gc' again"
	says 'of ghost'
	run 0 gc --json
	[ "$(sum outcome)" = waiting ] || fail "it did not wait"
	run 0 gc --abandon
	says 'nothing was deleted'
	run 0 gc
	ends 0 "$WHERRY" session revoke -k key "${session##*-}"
	was=$(stored)
	run 0 gc --json
	[ "$(sum outcome)" = done ] || fail "not done: $(sum outcome)"
	[ "$(stored)" -lt "$was" ] || fail "a dead backup's packs stayed"
else
	fail "the backup that was to die was faster"
fi
backup tree --volume v
whole

# Killed at any time, and beside backups.
for round in $(seq "$rounds"); do
	change $((100 + round))
	backup tree --volume v
	run 0 forget --keep-last 1 --volume v
	"$WHERRY" gc -k key --quiet 2>err.gc &
	pid=$!
	if [ $((round % 3)) = 0 ]; then
		CODE=0,3 backup tree --volume "beside$round"
		wait $pid || fail "gc beside a backup: $(cat err.gc)"
		continue
	fi
	sleep "$(printf '0.%03d' $((RANDOM % 120)))"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	if [ $((round % 4)) = 0 ]; then
		run 0 check
		says 'no damage'
	fi
done
run 0 gc --wait
run 0 gc --wait
run 0 gc --json
[ "$(sum outcome)" = nothing ] || fail "after all: $(sum outcome)"
[ -z "$(find repo/gc -name 'dead-*')" ] || fail "lists are left"

# What is left takes about as much as if there had never been anything else.
"$WHERRY" snapshots -k key --json | python3 -c 'import json, sys
for line in sys.stdin:
    s = json.loads(line)
    if s["volume"] != "v":
        print(s["id"])' >others
while read -r other; do
	run 0 forget --id "$other"
done <others
run 0 gc
was=$(stored)
"$WHERRY" init --quiet --repo fresh -p pass
"$WHERRY" backup --repo fresh -p pass --quiet tree || fail "the fresh repository"
fresh=$(du -sb fresh/packs | cut -f 1)
[ "$was" -lt $((fresh * 14 / 10 + 1000000)) ] ||
	fail "$was bytes are stored where $fresh would do"
whole
exit $failed
