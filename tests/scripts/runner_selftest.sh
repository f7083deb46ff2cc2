#!/bin/sh
# The runner counts what it should, and fails what it should.
# goals: check check-quick
set -eu
tree=$TMPDIR/tree
failed=0
mkdir -p "$tree/tests/lint" "$tree/tests/unit" "$tree/tests/scripts" \
    "$tree/out/tests/unit"
cp "$SRC/tests/run.py" "$tree/tests/"
echo 'scripts/allowed.sh  cannot be had everywhere' >"$tree/tests/ci-may-skip"
echo 'print("lint: clean")' >"$tree/tests/lint/lint.py"

# script NAME: its text comes from stdin
script() {
	cat >"$tree/tests/scripts/$1"
}

# expect STATUS LINE [ENVIRONMENT...]: how the runner ends
expect() {
	status=$1
	line=$2
	shift 2
	got=0
	env "$@" python3 "$tree/tests/run.py" --out "$tree/out" \
	    >"$TMPDIR/said" 2>&1 || got=$?
	last=$(tail -n 1 "$TMPDIR/said")
	if [ "$got" != "$status" ] || [ "$last" != "$line" ]; then
		echo "expected status $status and '$line', got $got:"
		sed 's/^/    /' "$TMPDIR/said"
		failed=1
	fi
}

# says TEXT: the last run's output has it
says() {
	if ! grep -qF -- "$1" "$TMPDIR/said"; then
		echo "not said: $1"
		sed 's/^/    /' "$TMPDIR/said"
		failed=1
	fi
}

expect 0 '1 passed, 0 failed, 0 skipped' CI=
printf 'test -d "$TMPDIR" && test "$PWD" = "$TMPDIR" && test -n "$WHERRY"\n' |
    script good.sh
printf 'print("from Python")\n' | script good.py
printf 'exit 0\n# goals: check-tsan\n' | script elsewhere.sh
expect 0 '3 passed, 0 failed, 0 skipped' CI=

printf 'echo no such machine\nexit 77\n' | script allowed.sh
expect 0 '3 passed, 0 failed, 1 skipped' CI=
says 'no such machine'
expect 0 '3 passed, 0 failed, 1 skipped' CI=true
printf 'echo no such tool\nexit 77\n' | script skips.sh
expect 0 '3 passed, 0 failed, 2 skipped' CI=
expect 1 '3 passed, 1 failed, 1 skipped' CI=true
says 'ci-may-skip'
rm "$tree/tests/scripts/allowed.sh" "$tree/tests/scripts/skips.sh"

printf 'echo this is wrong\nexit 3\n' | script bad.sh
expect 1 '3 passed, 1 failed, 0 skipped' CI=
says 'this is wrong'
says 'exit status 3'
says 'failed: scripts/bad.sh'
rm "$tree/tests/scripts/bad.sh"

printf '# timeout: 1\nsleep 60\n' | script slow.sh
expect 1 '3 passed, 1 failed, 0 skipped' CI=
says 'longer than its limit of 1 s'
printf 'kill -SEGV $$\n' | script slow.sh
expect 1 '3 passed, 1 failed, 0 skipped' CI=
says 'ended by SIGSEGV'
rm "$tree/tests/scripts/slow.sh"

# What a test leaves running ends with it.
printf 'sleep 1000 & echo $! >%s/pid\n' "$TMPDIR" | script leaves.sh
expect 0 '4 passed, 0 failed, 0 skipped' CI=
sleep 0.2
if kill -0 "$(cat "$TMPDIR/pid")" 2>/dev/null &&
    ! grep -q '^State:.Z' "/proc/$(cat "$TMPDIR/pid")/status"; then
	echo "a process outlived its test"
	failed=1
fi
rm "$tree/tests/scripts/leaves.sh"

# A unit program that was not built is a failure, not a pass.
echo 'int main(void) { return 0; }' >"$tree/tests/unit/none.c"
expect 1 '3 passed, 1 failed, 0 skipped' CI=
says 'cannot be started'
rm "$tree/tests/unit/none.c"

if [ "$(id -u)" = 0 ] && mkdir "$TMPDIR/m" &&
    mount -t tmpfs none "$TMPDIR/m" 2>/dev/null; then
	umount "$TMPDIR/m"
	printf 'mkdir m && mount -t tmpfs none m\n' | script mounts.sh
	expect 1 '3 passed, 1 failed, 0 skipped' CI=
	says 'left a mount behind: m'
fi
exit $failed
