#!/bin/bash
# Memory runs out at each allocation, and the disk at each write, of init,
# backup, check and restore: nothing crashes, nothing hangs, nothing that failed
# is called done, and the repository stays whole.  TRIES (70) places of each are
# looked at, all of the first ones and then fewer; DENSE=1 looks at every one.
# timeout: 300
set -u
. "$SRC/tests/scripts/whole/begin.sh"
tries=${TRIES:-70}
unset MALLOC_PERTURB_ MALLOC_CHECK_
${CC:-cc} -shared -fPIC -O1 -D_GNU_SOURCE -o fail.so \
	"$SRC/tests/scripts/preload/fail.c" -ldl || exit 1
if ! LD_PRELOAD=$PWD/fail.so "$WHERRY" version >/dev/null 2>&1 ||
    ldd "$WHERRY" | grep -q 'lib[at]san'; then
	echo "skipped: no call can be taken over here"
	exit 77
fi
begin
mkdir src src/d
seq 1 300 >src/a
head -c 100 /dev/urandom >src/b
head -c 300000 /dev/urandom >src/d/c
ln -s a src/link
ln src/a src/d/again
[ "$(id -u)" != 0 ] || setfattr -n user.x -v y src/a 2>/dev/null
backup src --volume v
base=$id
cp -a repo saved

# one KIND AT COMMAND...: that call fails.  0: the command ended well.
one() {
	local kind=$1 at=$2
	shift 2
	got=0
	timeout -s ABRT 20 env FAIL_KIND="$kind" FAIL_AT="$at" \
		LD_PRELOAD="$TMPDIR/fail.so" "$@" >out 2>err </dev/null || got=$?
	case $got in
	0 | 1 | 2 | 3 | 10 | 12 | 13) return "$got" ;;
	esac
	# The C library itself gives up where its list of name services has no room.
	if [ $got = 134 ] && grep -q 'nss_[a-z]*\.c:.*Assertion' err; then
		return 1
	fi
	fail "$kind $at: '${*:2:1}' ended with $got"
	tail -n 5 err
	return 99
}

# A place for each step: dense first, then wider, to the end.
places() {
	local n=$1 i
	if [ -n "${DENSE:-}" ] || [ "$n" -le "$tries" ]; then
		seq 1 "$n"
		return
	fi
	python3 -c 'import sys
n, tries = int(sys.argv[1]), int(sys.argv[2])
print(*sorted({max(i + 1, round(n * (i / (tries - 1)) ** 1.6)) for i in range(tries)}))' \
		"$n" "$tries"
}

# number KIND COMMAND...: how many such calls it makes.
number() {
	local kind=$1
	shift
	timeout 30 env FAIL_KIND="$kind" FAIL_COUNT="$TMPDIR/count" \
		LD_PRELOAD="$TMPDIR/fail.so" "$@" >out 2>err </dev/null || fail "'$*' without a fault"
	cat "$TMPDIR/count"
}

whole() {
	run 0 check --quiet || echo "  after $1"
}

for kind in memory write; do
	rm -rf new
	n=$(number $kind "$WHERRY" init --repo new -p pass --quiet)
	for at in $(places "$n"); do
		rm -rf new
		if one $kind "$at" "$WHERRY" init --repo new -p pass --quiet; then
			ends 0 "$WHERRY" check --repo new -p pass --quiet ||
				echo "  init said done: $kind $at"
		else
			# It can be tried again, or is there.
			ends 0,11 "$WHERRY" init --repo new -p pass --quiet ||
				echo "  $kind $at"
			ends 0 "$WHERRY" snapshots --repo new -p pass ||
				echo "  $kind $at"
		fi
	done

	echo x >src/new
	n=$(number $kind "$WHERRY" backup src -k key --volume v --quiet --io threads)
	echo "backup: $n calls of $kind"
	for at in $(places "$n"); do
		rm -rf repo
		cp -a saved repo
		echo "$at" >src/new
		head -c $((50000 + at)) /dev/urandom >src/d/c
		if one $kind "$at" "$WHERRY" backup src -k key --volume v --quiet \
				--io threads; then
			rm -rf back
			run 0 restore latest@v --target back --quiet &&
				same_tree src back || echo "  backup said done: $kind $at"
		elif [ $got != 3 ]; then
			[ -s err ] || fail "backup, $kind $at: nothing said"
		fi
		whole "backup, $kind $at"
		run 0 ls "$base" || echo "  $kind $at"
	done
	rm -rf repo
	cp -a saved repo

	# No one of these writes.
	for verb in "check --read-data" "ls -R $base" snapshots; do
		[ $kind = memory ] || continue
		n=$(number $kind "$WHERRY" $verb -k key)
		for at in $(places "$n"); do
			if one $kind "$at" "$WHERRY" $verb -k key; then :; fi
			[ "$got" != 13 ] || {
				fail "$verb: want of $kind is told as damage ($at)"
				cat err
			}
		done
	done

	rm -rf whole
	run 0 restore "$base" --target whole --quiet
	rm -rf back
	n=$(number $kind "$WHERRY" restore "$base" -k key --target back --quiet --io threads)
	echo "restore: $n calls of $kind"
	for at in $(places "$n"); do
		rm -rf back
		if one $kind "$at" "$WHERRY" restore "$base" -k key --target back \
				--quiet --io threads; then
			same_tree whole back || echo "  restore said done: $kind $at"
		else
			[ -s err ] || fail "restore, $kind $at: nothing said"
		fi
	done
	whole "restore, $kind"
done
exit $failed
