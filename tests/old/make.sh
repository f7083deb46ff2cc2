#!/bin/bash
# Makes tests/old/vN: a small repository with everything that its format has,
# and what its snapshots hold. Run once for each format version, by the program
# that brings it; what it made is kept as it is for ever.
#
# usage: WHERRY=build/wherry tests/old/make.sh DIR
set -eu
WHERRY=$(realpath "$WHERRY")
mkdir -p "$1"
cd "$1"
[ -z "$(ls -A)" ] || {
	echo "make.sh: $1 is not empty" >&2
	exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WHERRY_REPOSITORY=$PWD/repo WHERRY_PASSWORD="an old passphrase"
export XDG_CACHE_HOME=$work/cache
tree=$work/tree

w() {
	"$WHERRY" "$@"
}

# keep NAME ID...: what the snapshot of that name holds.
keep() {
	mkdir -p sums
	(cd "$work/$1" && find . -type f -print0 | LC_ALL=C sort -z |
	    xargs -0 sha256sum) >"sums/$2"
}

id_of() {
	python3 -c 'import json, sys
print(json.loads(sys.stdin.read().splitlines()[-1])["snapshot_id"])'
}

save() {
	keep tree "$(w backup --json --volume tree "$@" "$tree" | id_of)"
}

mkdir -p "$tree/sub/empty"
for i in $(seq 30); do
	seq "$i" $((i * 40)) >"$tree/sub/file-$i"
done
head -c 70000 /dev/urandom >"$tree/random"
truncate -s 300000 "$tree/sparse"
echo end >>"$tree/sparse"
ln "$tree/random" "$tree/sub/other-name"
ln -s ../random "$tree/sub/link"
printf 'odd' >"$tree/$(printf 'a\nb\377')"

w init -q
save --tag first
w key add -q --write --label node --new-key-file node.key
echo more >>"$tree/sub/file-3"
save -k node.key
first=$(w snapshots --json | python3 -c 'import json, sys
print(json.loads(sys.stdin.readline())["id"])')
rm "$tree/sub/file-4"
save --compression off
mkdir "$work/image"
head -c 200000 /dev/urandom >"$work/image/image"
truncate -s 400000 "$work/image/image"
id=$(w backup --json --device "$work/image/image" --volume image | id_of)
keep image "$id"
w key add -q --read --label restore --new-key-file restore.key
w key rotate -q
echo rotated >"$tree/rotated"
save
w key remove -q "$(cut -d ' ' -f 2 node.key)"
w forget -q --id "$first"
rm "sums/$first"
w upkeep -q --max-waste=1% --check-percent=100%
w key rotate -q --new-ids
echo anew >"$tree/anew"
save
w check -q --read-data
rm -f node.key
du -sh repo
