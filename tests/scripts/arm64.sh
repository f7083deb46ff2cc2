#!/bin/sh
# The program builds for arm64 and runs there, under qemu: what one machine
# writes, the other restores.
# timeout: 900
set -eu
cross=/usr/aarch64-linux-gnu
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)

if ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -d $cross/lib ]; then
	echo "no aarch64-linux-gnu-gcc with a C library"
	exit 77
fi
if [ -z "$qemu" ]; then
	echo "no qemu-aarch64"
	exit 77
fi
root=$("$SRC/deploy/arm64-root.sh") || {
	echo "$root"
	exit 77
}
make -C "$SRC" --no-print-directory O="$O" arm64 >"$TMPDIR/make.log" 2>&1 || {
	tail -n 40 "$TMPDIR/make.log"
	exit 1
}

arm() {
	"$qemu" -cpu max -L $cross -E LD_LIBRARY_PATH="$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu" \
	    "$O-arm64/wherry" "$@"
}
arm version

export WHERRY_PASSWORD=arm64 WHERRY_REPOSITORY="$TMPDIR/repo"
"$TOOLS/treestress" -s 64 -n 120 -D 50 -z 200000 -F no-huge "$TMPDIR/tree"
want=$("$TOOLS/treesum" -x root "$TMPDIR/tree")
arm init
arm backup "$TMPDIR/tree"
"$WHERRY" restore latest --target "$TMPDIR/here"
"$WHERRY" backup "$TMPDIR/tree"
arm restore latest --target "$TMPDIR/there"
for t in here there; do
	got=$("$TOOLS/treesum" -x root "$TMPDIR/$t")
	if [ "$got" != "$want" ]; then
		echo "$t: another tree"
		"$TOOLS/treesum" -v -x root "$TMPDIR/tree" >"$TMPDIR/want.txt"
		"$TOOLS/treesum" -v -x root "$TMPDIR/$t" >"$TMPDIR/got.txt"
		diff "$TMPDIR/want.txt" "$TMPDIR/got.txt" | cut -c1-300 | head
		exit 1
	fi
done
