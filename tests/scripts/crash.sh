#!/bin/bash
# Backups that are killed at any time: what was committed stays whole, the
# repository checks clean, the next run goes on and stores little again.
# ROUNDS (40) and SEED (1) may be given, and STORE_URL for a repository there.
# timeout: 300
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin "${STORE_URL:-}"
rounds=${ROUNDS:-40}
seed=${SEED:-1}
RANDOM=$seed
echo "seed $seed"

"$TOOLS/treestress" -s "$seed" -n 300 -D 10 -z 600000 -F no-huge,no-devices \
	tree >/dev/null
head -c 12000000 /dev/urandom >tree/random
backup tree --volume v
base=$id
size=$(du -sk repo | cut -f 1)

# How long does a run take that stores all of it anew?
begun=$(date +%s%N)
"$WHERRY" init --quiet --repo other -p pass
"$WHERRY" backup --repo other -p pass --quiet tree || fail "the other repository"
span=$((($(date +%s%N) - begun) / 1000000 + 30))
rm -rf other

snapshots() {
	"$WHERRY" snapshots -k key --json | wc -l
}

killed=0
for round in $(seq "$rounds"); do
	"$TOOLS/treestress" -m -s $((seed * 1000 + round)) -n 20 \
		-F no-huge,no-devices tree >/dev/null
	head -c 6000000 /dev/urandom >tree/random
	before=$(snapshots)
	"$WHERRY" backup -k key --quiet tree --volume v 2>err &
	pid=$!
	# The earlier half of the time is seen more often: most things begin there.
	ms=$((RANDOM % span * (RANDOM % span) / span))
	sleep "$(printf '0.%03d' $((ms % 1000)))"
	case $((round % 4)) in
	3) signal=TERM ;;
	2) signal=INT ;;
	*) signal=KILL ;;
	esac
	kill -$signal $pid 2>/dev/null
	got=0
	wait $pid || got=$?
	case $signal:$got in
	KILL:137) killed=$((killed + 1)) ;;
	TERM:130 | INT:130 | TERM:143) killed=$((killed + 1)) ;;
	*:0 | *:3) ;;
	*)
		fail "round $round: ended with $got by $signal"
		cat err
		;;
	esac
	if [ $((round % 5)) = 0 ]; then
		run 0 check --quiet --read-data || echo "  round $round"
	else
		run 0 check --quiet || echo "  round $round"
	fi
	now=$(snapshots)
	[ "$got" = 0 ] || [ "$got" = 3 ] || [ "$now" = "$before" ] ||
		[ "$now" = $((before + 1)) ] || fail "round $round: $now snapshots"
done 2>/dev/null
echo "$killed of $rounds were killed"
backup tree --volume v
rm -rf back
run 0 restore "$id" --target back --quiet && same_tree tree back
run 0 check --read-data --quiet
# The first one is as it was.
run 0 ls "$base"

# --- what was sent is found by the next run ---------------------------------------------
head -c 60000000 /dev/urandom >tree/big
# What is young is read again, and where a run went on it is cut otherwise.
sleep 2.1
"$WHERRY" backup -k key tree --volume v --limit-upload 20M --memory 128M \
	>out 2>err &
pid=$!
sleep 2
kill -INT $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "an interrupted run ended with $got"
grep -q "goes on from here" err || fail "it did not say that the next run goes on"
backup tree --volume v
[ "$(field new_bytes)" -lt 55000000 ] ||
	fail "an interrupted run's work was lost: $(field new_bytes) bytes are new"
backup tree --volume v
[ "$(field new_bytes)" = 0 ] || fail "stored twice"
exit $failed
