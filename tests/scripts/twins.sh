#!/bin/sh
# Small files of equal content are stored once, whichever bundles they fall in,
# and each comes back.
# goals: check check-asan check-tsan
set -eu
export WHERRY_PASSWORD=twins WHERRY_REPOSITORY="$TMPDIR/repo"
tree=$TMPDIR/tree

# 400 copies of 4 files of 20 kB among 400 others, in 40 directories.
python3 - "$tree" <<'END'
import os, random, sys
r = random.Random(7)
same = [r.randbytes(20000 + i) for i in range(4)]
for d in range(40):
    os.makedirs("%s/d%d" % (sys.argv[1], d))
    for i in range(10):
        with open("%s/d%d/own%d" % (sys.argv[1], d, i), "wb") as f:
            f.write(r.randbytes(r.randrange(300, 40000)))
        with open("%s/d%d/copy%d" % (sys.argv[1], d, i), "wb") as f:
            f.write(same[(d + i) % 4])
END
own=$(cat "$tree"/*/own* | wc -c)
"$WHERRY" init -q
"$WHERRY" backup -q "$tree"
packs=$(cat "$WHERRY_REPOSITORY"/packs/*/* | wc -c)
if [ "$packs" -gt $((own + 80000 + 600000)) ]; then
	echo "$packs bytes are stored of $own and 80 kB that differ"
	exit 1
fi
"$WHERRY" restore -q latest --target "$TMPDIR/out"
diff -r "$tree" "$TMPDIR/out"

# A copy that changes leaves the others as they were.
echo more >>"$tree/d7/copy3"
rm "$tree/d0/copy0" "$tree/d1/copy1"
"$WHERRY" backup -q "$tree"
"$WHERRY" restore -q latest --target "$TMPDIR/again"
diff -r "$tree" "$TMPDIR/again"
"$WHERRY" check -q --read-data
