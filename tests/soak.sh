#!/bin/bash
# Hours of what `make check` does for seconds: writers, collectors and others side
# by side and killed (ROUNDS 10000 in all), each fuzz program (FUZZ_SECONDS 600), calls that fail one by one, trees
# and changes from ever other seeds.  SOAK_MINUTES bounds the whole; O is where
# make built.  Each part runs by the ordinary runner, with its log.
set -u
cd "$(dirname "$0")/.." || exit 1
O=${O:-build}
end=$(($(date +%s) + ${SOAK_MINUTES:-720} * 60))
rounds=${ROUNDS:-10000}
failed=0

left() {
	echo $((end - $(date +%s)))
}

# part SLOW TEST VARIABLE=VALUE...: one test, with more time, by these settings.
part() {
	local slow=$1 test=$2
	shift 2
	[ "$(left)" -gt 0 ] || return
	echo "--- $test $*"
	env "$@" python3 tests/run.py --out "$O" --only "$test" --slow "$slow" || {
		failed=1
		cp "$O/tests/log/$(echo "$test" | tr / -)" \
			"$O/tests/log/soak-$(date +%s)-$(basename "$test")" 2>/dev/null
	}
}

part 100 scripts/fuzz_short.sh FUZZ_SECONDS="${FUZZ_SECONDS:-600}"
part 40 scripts/alloc.sh DENSE=1
part 20 scripts/damage.py PLACES=60 CASES=0 REPAIRS=0
part 40 scripts/model.py MODEL=soak
part 40 unit/store_interleave_random RUNS=20000
part 20 scripts/filter_git.py ROUNDS=3000 SEED=$$
seed=$(($(date +%s) % 100000))
done=0
while [ "$(left)" -gt 0 ] && { [ $done -lt "$rounds" ] || [ -n "${SOAK_MINUTES:-}" ]; }; do
	seed=$((seed + 1))
	if [ $done -lt "$rounds" ]; then
		part 10 scripts/crash.sh ROUNDS=250 SEED=$seed
		part 10 scripts/chaos.py ROUNDS=1000 SEED=$seed
		part 20 scripts/stores_chaos.sh ROUNDS=100 SEED=$seed
		part 10 scripts/stores_crash.sh ROUNDS=40 CASES=100 REPAIRS=20 SEED=$seed
		part 10 scripts/store_faults.py SEED=$seed
		done=$((done + 1000))
	fi
	part 20 scripts/power.py SEED=$seed CHANCES=12
	part 10 scripts/merge.sh FIRST_SEED=$((seed * 10)) ROUNDS=6
	part 10 scripts/filesystems.sh SEED=$seed ENTRIES=8000
	part 10 scripts/backup_changing.py SEED=$seed
done
echo "$done rounds of chaos; $([ $failed = 0 ] && echo no failure || echo FAILED)"
exit $failed
