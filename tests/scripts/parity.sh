#!/bin/bash
# Parity of packs from outside: what init promises is there beside every pack;
# damage is told by its bytes, read through and put back by repair, and by the
# independent reader; collections and killed runs leave none without its pack.
# ROUNDS (4) and SEED (1) may be given.
# timeout: 240
# goals: check check-asan
set -u
. "$SRC/tests/scripts/whole/begin.sh"
begin
rounds=${ROUNDS:-4}
seed=${SEED:-1}
RANDOM=$seed
echo "seed $seed"

# --- without it nothing changes -----------------------------------------------------------
mkdir few
head -c 300000 /dev/urandom >few/file
backup few --volume v
[ ! -e repo/parity ] || fail "parity that nobody asked for"
run 0 check --json
says '"unprotected_packs":0'
run 0 repair --json
says '"parity_written":0'

# --- with it -------------------------------------------------------------------------------
export WHERRY_PASSWORD_FILE=$TMPDIR/pass
for bad in 0% 51% many ""; do
	ends 2 "$WHERRY" init --quiet --repo other --parity "$bad"
	[ ! -e other ] || fail "--parity '$bad' made a repository"
done
export WHERRY_REPOSITORY=$TMPDIR/whole
rm key
ends 0 "$WHERRY" init --parity 10%
says "10 % of each pack"
ends 0 "$WHERRY" key add --read --write --admin --quiet --new-key-file key
unset WHERRY_PASSWORD_FILE
repo=whole

names() {
	(cd "$repo/$1" && find . -type f | sort)
}

# pairs WHEN: every pack has parity, and there is no other.
pairs() {
	diff <(names packs) <(names parity) >differ || {
		fail "$1: packs and parity are not the same"
		head -n 5 differ
	}
}

mkdir -p tree/small
for i in $(seq 50); do
	head -c $((i * 137 + 300)) /dev/urandom >tree/small/f$i
done
for i in 1 2 3; do
	head -c 9000000 /dev/urandom >tree/large$i
done
backup tree --volume v
pairs "after a backup"
cp -a "$repo" sound

reader=$("$SRC/tests/deps/venv.sh") || reader=
read_by() {
	WHERRY_PASSWORD=$(cat pass) "$reader" "$SRC/tests/reader/reader.py" "$@"
}
if [ -n "$reader" ]; then
	read_by verify "$repo" >out || fail "the reader: $(tail -n 3 out)"
else
	echo "no packages for the reader: not asked"
fi

# hurt FILE HOW N: damage it as parity still puts back.
hurt() {
	chmod u+w "$1"
	python3 - "$@" "$seed" <<'E'
import random, sys
path, how, n, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
rng = random.Random(how + seed)
b = bytearray(open(path, "rb").read())
size = len(b)
if how == "places":
    for _ in range(n):
        at, many = rng.randrange(size), min(4096, size // 100)
        b[at:at + many] = rng.randbytes(len(b[at:at + many]))
elif how == "burst":
    at = rng.randrange(size - size // 13)
    b[at:at + size // 13] = bytes(size // 13)
elif how == "cut":
    del b[-(size // 13):]
elif how == "ends":
    b[:600] = rng.randbytes(600)
    b[-600:] = rng.randbytes(600)
elif how == "hole":
    b[3 << 20:4 << 20] = bytes(1 << 20)
open(path, "wb").write(b)
E
}

# mended WHAT: a restore ends well before repair, it is told, it is put back by
# repair; then all is well without the parity of the damaged packs, too.
mended() {
	local p
	rm -rf back
	run 0 restore latest --target back --quiet
	same_tree tree back || echo "  $1, before repair"
	run 13 check --read-data
	says "can put them back by parity"
	! grep -q "more than parity" out err || fail "$1: more than parity"
	find "$repo" -type f | sort >before
	run 13 repair --dry-run --read-data
	says "can be put back"
	find "$repo" -type f | sort | cmp -s before - ||
		fail "$1: a dry run has written"
	run 0 repair --quiet --read-data
	run 0 check --read-data
	says "no damage"
	pairs "$1, after repair"
	for p in "${damaged[@]}"; do
		rm "${p/packs/parity}"
	done
	rm -rf back
	run 0 restore latest --target back --quiet
	same_tree tree back || echo "  $1, after repair"
	rm -rf "$repo"
	cp -a sound "$repo"
}

for how in "places 4" "burst 1" "cut 1" "ends 1" "hole 1"; do
	damaged=($(find "$repo/packs" -type f))
	[ "$how" != "hole 1" ] ||
		damaged=($(find "$repo/packs" -type f -size +12000k))
	for p in "${damaged[@]}"; do
		hurt "$p" $how
		[ -n "$reader" ] || continue
		name=${p##*/}
		read_by mend "$repo" "$name" mended.pack &&
			cmp mended.pack "sound/packs/${name:0:2}/$name" ||
			fail "$how: the reader mends $name otherwise"
	done
	mended "$how"
done

# --- repair is killed at any time -------------------------------------------------------------
killed=0
for round in $(seq "$rounds"); do
	for p in $(find "$repo/packs" -type f); do
		hurt "$p" places $((round + 1))
	done
	"$WHERRY" repair -k key --quiet --read-data >/dev/null 2>&1 &
	pid=$!
	sleep "0.$(printf %03d $((RANDOM % 300)))"
	kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
	wait $pid 2>/dev/null
	run 0 repair --quiet --read-data
	run 0 check --read-data --quiet
	rm -rf back
	run 0 restore latest --target back --quiet
	same_tree tree back || echo "  repair killed, round $round"
	rm -rf "$repo"
	cp -a sound "$repo"
done 2>/dev/null
echo "$killed of $rounds repairs were killed"

# --- parity that is damaged, and a pack that is more than that --------------------------------
for p in $(names parity); do
	hurt "$repo/parity/$p" places 1
done
run 13 check --read-data
says "damage in parity/"
rm -rf back
run 0 restore latest --target back --quiet
same_tree tree back
run 0 repair
says "made anew of its pack"
run 0 check --read-data
for p in $(names parity); do
	cmp "$repo/parity/$p" "sound/parity/$p" || fail "$p: other parity"
done

large=$(find "$repo/packs" -type f -size +12000k | head -n 1)
[ -n "$large" ] || fail "no large pack"
chmod u+w "$large"
truncate -s 6000000 "$large"
run 13 check --read-data
says "more than parity can put back"
run 13 repair
says "more is damaged than its parity can put back"
rm -rf "$repo"
cp -a sound "$repo"
rm -f "$large"
run 13 check
says "is missing"
says "more than parity can put back"
rm -rf "$repo"
cp -a sound "$repo"

# --- collected, and killed ----------------------------------------------------------------------
# over: end the sessions of what was killed.
over() {
	local session
	ends 0 "$WHERRY" session list -k key --json
	python3 -c 'import json, sys
for line in sys.stdin:
    s = json.loads(line)
    if s.get("state") == "open":
        print(s["session"][-16:])' <out >open
	while read -r session; do
		ends 0 "$WHERRY" session revoke -k key "$session"
	done <open
}

killed=0
for round in $(seq "$rounds"); do
	head -c 40000000 /dev/urandom >tree/large1
	"$WHERRY" backup -k key --quiet tree --volume v 2>/dev/null &
	pid=$!
	sleep "0.$(printf %03d $((RANDOM % 300)))"
	kill -KILL $pid 2>/dev/null && killed=$((killed + 1))
	wait $pid 2>/dev/null
	over
	head -c 3000000 /dev/urandom >tree/large2
	backup tree --volume v
	run 0 forget --keep-last 1 --volume v
	if [ $((round % 2)) = 0 ]; then
		"$WHERRY" gc -k key --quiet 2>/dev/null &
		pid=$!
		sleep "0.$(printf %03d $((RANDOM % 120)))"
		kill -KILL $pid 2>/dev/null
		wait $pid 2>/dev/null
	fi
	# What no pack belongs to, as a program that knows no parity leaves it.
	mkdir -p "$repo/parity/0a"
	cp "$(find "$repo/parity" -type f | head -n 1)" \
		"$repo/parity/0a/0a$(printf %030d "$round")"
	run 0 gc --quiet
	pairs "round $round"
	run 0 check --read-data
	says "no damage"
done
echo "$killed of $rounds were killed"
rm -rf back
run 0 restore latest --target back --quiet
same_tree tree back
[ -z "$reader" ] || read_by verify "$repo" >out ||
	fail "the reader, at the end: $(tail -n 3 out)"

exit $failed
