#!/bin/sh
# The demonstration does what it says, on one small directory, and leaves
# nothing behind.
# timeout: 60
set -eu
here=$TMPDIR
mkdir tree work
cp -a "$SRC/chunker" "$SRC/Makefile" tree/
ln -s nowhere tree/link
TMPDIR="$here/work" DIR="$here/tree" sh "$SRC/deploy/demo.sh" >out 2>&1 || {
	echo "FAIL: ended with $?"
	cat out
	exit 1
}
failed=0
for text in 'wherry init' 'wherry backup' 'Again: nothing changed' \
	'no damage' 'wherry restore' 'Equal.'; do
	grep -qF -e "$text" out || {
		echo "FAIL: nowhere: $text"
		failed=1
	}
done
[ -z "$(ls -A work)" ] || {
	echo "FAIL: left behind: $(ls -A work)"
	failed=1
}
# A fault would be told: what is restored wrongly ends the demonstration.
mkdir -p fake/tests/tools
cat >fake/wherry <<-E
	#!/bin/sh
	"$O/wherry" "\$@" || exit
	for a; do target=\$a; done
	[ "\$1" != restore ] || echo more >>"\$target/Makefile"
E
chmod +x fake/wherry
cp "$TOOLS/treesum" fake/tests/tools/
if TMPDIR="$here/work" DIR="$here/tree" O="$here/fake" \
	sh "$SRC/deploy/demo.sh" >out 2>&1; then
	echo "FAIL: a wrong restore was called equal"
	failed=1
fi
grep -q 'NOT EQUAL' out || {
	echo "FAIL: a wrong restore is not told"
	cat out
	failed=1
}
exit $failed
