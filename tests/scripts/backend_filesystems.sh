#!/bin/bash
# The local directory's conformance on real file systems, and what happens
# when one of them is full: ext4, xfs and btrfs in loop-mounted images, tmpfs.
# timeout: 600
# Exit: 0 passed, 1 failed, 77 skipped (all or some; the last line says which).
set -u

O=${O:-build}
test=$O/tests/unit/backend_conformance
dir=$(mktemp -d)
mnt=$dir/mnt
mkdir "$mnt"

cleanup() {
	mountpoint -q "$mnt" && umount "$mnt"
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

if [ ! -x "$test" ]; then
	echo "failed: no $test"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "skipped: mounting needs root"
	exit 77
fi

failed=0
missing=

# run LOG VARIABLE: run the test in the mounted file system.
run() {
	if ! env "$2=$mnt" "$test" >"$dir/$1.log" 2>&1; then
		tail -n 50 "$dir/$1.log"
		echo "failed: $1"
		failed=1
	fi
}

# image NAME MIB MKFS...: mount a new image, or note that it cannot be had.
image() {
	local name=$1 mib=$2
	shift 2
	if ! command -v "$1" >/dev/null; then
		missing="$missing $name (no $1)"
		return 1
	fi
	rm -f "$dir/image"
	truncate -s "${mib}M" "$dir/image"
	if ! "$@" "$dir/image" >"$dir/mkfs.log" 2>&1; then
		cat "$dir/mkfs.log"
		echo "failed: $1"
		failed=1
		return 1
	fi
	if ! mount -o loop "$dir/image" "$mnt" 2>"$dir/mount.log"; then
		missing="$missing $name ($(tr '\n' ' ' <"$dir/mount.log"))"
		return 1
	fi
}

both() {
	run "$1" WHERRY_TEST_DIR
	run "$1-full" WHERRY_TEST_FULL
	umount "$mnt"
}

image ext4 256 mkfs.ext4 -q && both ext4
image xfs 320 mkfs.xfs -q && both xfs
image btrfs 320 mkfs.btrfs -q && both btrfs
if mount -t tmpfs -o size=256m tmpfs "$mnt" 2>/dev/null; then
	run tmpfs WHERRY_TEST_DIR
	umount "$mnt"
	mount -t tmpfs -o size=8m tmpfs "$mnt"
	run tmpfs-full WHERRY_TEST_FULL
	umount "$mnt"
else
	missing="$missing tmpfs"
fi

if [ "$failed" = 1 ]; then
	exit 1
fi
if [ -n "$missing" ]; then
	echo "skipped: cannot mount$missing"
	exit 77
fi
