#!/bin/bash
# The independent reader opens repositories whose keys were changed: several
# epochs, a new family secret, removed credentials, rubbish in the way; so does
# the program itself, which restores every snapshot of every age.
# timeout: 240
# Exit: 0 passed, 1 failed, 77 no packages for the reader.
set -eu

python=$("$SRC/tests/deps/venv.sh") || {
	echo "$python"
	exit 77
}
cd "$TMPDIR"
export WHERRY_PASSWORD=keys WHERRY_REPOSITORY=$TMPDIR/repo
export XDG_CACHE_HOME=$TMPDIR/cache

own=$TMPDIR/own.key

fail() {
	echo "failed: $*"
	exit 1
}

# With the administrator's key file, or with another.
reader() {
	[ "$1" = --key-file ] || set -- --key-file "$own" "$@"
	"$python" "$SRC/tests/reader/reader.py" "$@"
}

# w VERB...: the same for the program
w() {
	"$WHERRY" "$@" --key-file "$own"
}

ids() {
	w snapshots --json |
	    sed -n 's/.*"id": *"\([0-9a-f]*\)".*/\1/p'
}

# age NAME KEY: change the tree, back it up with that key, keep what it was.
age() {
	echo "$1" >>tree/changed
	echo "$1" >"tree/$1"
	if [ "$2" = own ]; then
		w backup -q tree
	else
		"$WHERRY" backup -q --key-file "$2" tree
	fi
	cp -a tree "was-$(ids | tail -n 1)"
}

mkdir -p tree/sub
for i in 1 2 3; do
	seq "$i"0000 >"tree/sub/$i"
done
"$WHERRY" init -q
"$WHERRY" key add -q --write --read --admin --new-key-file "$own"
unset WHERRY_PASSWORD
for k in one two; do
	w key add -q --write --new-key-file $k.key
done
w key add -q --write --domain apart --new-key-file apart.key
w key add -q --read --new-key-file reader.key
age a own
age b one.key
age c apart.key
w key rotate -q
age d own
age e one.key
age f apart.key
w key add -q --read --new-key-file late.key
w key remove -q "$(cut -d' ' -f2 two.key)"
w key rotate -q --new-ids
age g own
age h one.key
age i apart.key
w key remove -q "$(cut -d' ' -f2 one.key)"
w key rotate -q
age j own
age k apart.key

# What nobody signed lies about, under every kind of name.
echo rubbish >repo/config/ffffffff
printf 'WHRY\1\2\0\0\1\0\0\0\0\0\0\0' >repo/config/000000aa
mkdir -p repo/epochs/00000009/0123456789abcdef repo/keys/0123456789abcdef
echo rubbish >repo/epochs/00000009/0123456789abcdef/0123456789abcdef
cp repo/config/00000001 repo/keys/0123456789abcdef/cert

ids >all.txt
[ "$(wc -l <all.txt)" = 11 ] || fail "not all 11 snapshots are listed"
reader list repo >list.txt || fail "reader: list"
[ "$(wc -l <list.txt)" = 11 ] || fail "the reader does not list all 11"
while read -r id; do
	reader restore repo "$id" "r-$id" || fail "reader: restore of $id"
	diff -r "was-$id" "r-$id" || fail "reader: $id is another tree"
	w restore -q "$id" --target "w-$id" || fail "restore of $id"
	diff -r "was-$id" "w-$id" || fail "$id is another tree"
done <all.txt

# The oldest and the youngest reader read all of their domain.
for k in reader late; do
	n=0
	while read -r id; do
		rm -rf out
		if "$WHERRY" restore -q --key-file $k.key "$id" --target out \
		    2>no.txt; then
			diff -r "was-$id" out || fail "$k.key: $id is another"
			reader --key-file $k.key restore repo "$id" "$k-$id" ||
				fail "reader: $k.key: $id"
			n=$((n + 1))
		fi
	done <all.txt
	[ "$n" = 7 ] || fail "$k.key reads $n snapshots, not 7"
done
for k in one two; do
	if reader --key-file $k.key list repo 2>no.txt; then
		fail "$k.key was removed, and the reader opens it"
	fi
	if "$WHERRY" snapshots --key-file $k.key 2>no.txt; then
		fail "$k.key was removed, and opens it"
	fi
done
reader verify repo >verify.txt && fail "verify: rubbish is not told"
grep -v "config/\|0123456789abcdef" verify.txt | grep -q "faults$" ||
	fail "verify"
rm -r repo/config/ffffffff repo/config/000000aa \
    repo/epochs/00000009 repo/keys/0123456789abcdef
reader verify repo >verify.txt || {
	head -n 20 verify.txt
	fail "verify"
}
w check --read-data -q || fail "check"
# The volume of one slot is one volume, before and after the new secret.
n=$(w snapshots --json --latest 1 | wc -l)
[ "$n" = 2 ] || fail "$n volumes, not 2"
