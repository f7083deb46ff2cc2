#!/bin/bash
# A repository of each format version that there ever was is read by this
# program and by the reader: opened by passphrase and by key file, checked, each
# snapshot restored; and a copy of it is written to.
# timeout: 240
set -u
cd "$TMPDIR" || exit 1
failed=0
export XDG_CACHE_HOME=$TMPDIR/cache

fail() {
	echo "FAIL: $*"
	failed=1
}

# same SUMS DIR: the files of DIR are those of the list.
same() {
	(cd "$2" && find . -type f -print0 | LC_ALL=C sort -z |
	    xargs -0 sha256sum) >now.sums
	cmp -s "$1" now.sums || fail "$1: restored is not what was saved"
}

python=$("$SRC/tests/deps/venv.sh") || python=
for old in "$SRC"/tests/old/v*/; do
	name=$(basename "$old")
	rm -rf repo back
	cp -r "${old}repo" repo
	chmod -R u+w repo
	export WHERRY_REPOSITORY=$TMPDIR/repo
	export WHERRY_PASSWORD="an old passphrase"
	"$WHERRY" check -q --read-data || fail "$name: check"
	for sums in "$old"sums/*; do
		id=$(basename "$sums")
		for key in "" "${old}restore.key"; do
			rm -rf back && mkdir back
			"$WHERRY" restore -q ${key:+-k "$key"} "$id" \
			    --target back/image 2>err || {
				fail "$name: restore $id"
				cat err
			}
			if [ -d back/image ]; then
				same "$sums" back/image
			else
				same "$sums" back
			fi
		done
	done
	if [ -n "$python" ]; then
		"$python" "$SRC/tests/reader/reader.py" verify repo >reader.out 2>&1 || {
			fail "$name: the reader"
			tail -n 5 reader.out
		}
	fi
	mkdir -p tree
	echo new >tree/new
	"$WHERRY" backup -q --volume tree tree || fail "$name: backup"
	"$WHERRY" gc -q || fail "$name: gc"
	"$WHERRY" check -q --read-data || fail "$name: check after a backup"
done
exit $failed
