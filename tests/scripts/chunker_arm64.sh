#!/bin/sh
# The chunker's unit tests on arm64, under qemu: the same golden vectors, and
# its own code path against the scalar one.
# Exit: 0 passed, 1 failed, 77 skipped.
set -eu

cd "$(dirname "$0")/../.."
cc=${ARM64_CC:-aarch64-linux-gnu-gcc}
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)

if ! command -v "$cc" >/dev/null; then
	echo "skipped: no $cc"
	exit 77
fi
if [ -z "$qemu" ]; then
	echo "skipped: no qemu-aarch64"
	exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Skip where the cross compiler has no C library to link with.
echo 'int main(void) { return 0; }' >"$dir/empty.c"
if ! "$cc" -static -o "$dir/empty" "$dir/empty.c" 2>/dev/null; then
	echo "skipped: $cc cannot link a static program"
	exit 77
fi

for test in vectors paths cuts; do
	"$cc" -std=c17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static \
	    '-DLEN=(4u << 20)' -I. -Itests/scripts/cmocka_alone \
	    -o "$dir/$test" "tests/unit/chunker_$test.c" chunker/*.c
	"$qemu" -cpu max "$dir/$test" >"$dir/$test.out" || {
		cat "$dir/$test.out"
		echo "failed: chunker_$test on arm64"
		exit 1
	}
done
grep -q '^arm64: tested' "$dir/paths.out" || {
	echo "failed: the arm64 path was not taken"
	exit 1
}
echo "passed: $(cat "$dir"/*.out | grep -c '^ok') tests on arm64"
