#!/bin/sh
# Lint sees what it is there to see: a small clean tree passes, and each way
# of spoiling it is told with its file and line.
# goals: check check-quick
set -eu
lint=$SRC/tests/lint
good=$TMPDIR/good
bad=$TMPDIR/bad
failed=0
h=home # so that this file names no such path itself

mkdir -p "$good/repo/base" "$good/repo/zip" "$good/repo/store" \
    "$good/agent/cli" "$good/chunker" "$good/tests/lint" "$good/tests/unit"
cp "$lint/floors" "$good/tests/lint/"
cat >"$good/repo/base/err.h" <<'E'
#ifndef REPO_BASE_ERR_H
#define REPO_BASE_ERR_H

struct err {
	int class;
};

/* Say what. */
int err_set(struct err *err, const char *fmt, ...);

#endif
E
cat >"$good/repo/zip/zip.h" <<'E'
#ifndef REPO_ZIP_ZIP_H
#define REPO_ZIP_ZIP_H

#include <stddef.h>

/* Make smaller. */
int zip_pack(size_t len);

#endif
E
cat >"$good/repo/zip/zip.c" <<'E'
#include "repo/base/err.h"
#include "repo/zip/zip.h"

static const int table[] = { 1, 2 };

static int half(int n)
{
	return n / 2; /* no exit(), no "printf(" in here */
}

int zip_pack(size_t len)
{
	return half((int)len) + table[0];
}
E
printf '#include "repo/zip/zip.h"\n' >"$good/repo/store/store.c"
printf '/* Cuts. */\nint chunker_cut(int n)\n{\n\treturn n;\n}\n' \
    >"$good/chunker/chunker.c"
cat >"$good/agent/cli/main.c" <<'E'
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	printf("hello\n");
	exit(0);
}
E
printf -- '- `err.h` - errors\n' >"$good/repo/base/README.md"
printf -- '- `zip.c`, `zip.h` - smaller\n' >"$good/repo/zip/README.md"
printf -- '- `store.c` - keeps\n' >"$good/repo/store/README.md"
printf -- '- `main.c` - begins\n' >"$good/agent/cli/README.md"
printf -- '- `chunker.c` - cuts\n' >"$good/chunker/README.md"

if ! python3 "$lint/lint.py" --root "$good" >"$TMPDIR/out"; then
	echo "the clean tree is not clean:"
	cat "$TMPDIR/out"
	exit 1
fi

# spoil CHECK EXPECTED < shell commands that run inside the copy
spoil() {
	rm -rf "$bad"
	cp -r "$good" "$bad"
	(cd "$bad" && sh -eu)
	if python3 "$lint/lint.py" --root "$bad" "$1" >"$TMPDIR/out"; then
		echo "$1 passes over: $2"
		failed=1
	elif ! grep -qF -- "$2" "$TMPDIR/out"; then
		echo "$1 does not say: $2"
		sed 's/^/    /' "$TMPDIR/out"
		failed=1
	fi
}

z=repo/zip/zip.c
spoil floors "$z:1: repo/zip (floor 1) includes repo/store" <<'E'
touch repo/store/store.h
sed -i '1i #include "repo/store/store.h"' repo/zip/zip.c
E
spoil floors "$z:1: repo/zip (floor 1) includes repo/crypto" <<'E'
mkdir repo/crypto
touch repo/crypto/crypto.h
sed -i '1i #include "repo/crypto/crypto.h"' repo/zip/zip.c
E
spoil floors "chunker/chunker.c:1: chunker (floor 0) includes repo/base" <<'E'
sed -i '1i #include "repo/base/err.h"' chunker/chunker.c
E
spoil floors "$z:1: no file \"zip.h\" at the root" <<'E'
sed -i '1i #include "zip.h"' repo/zip/zip.c
E
spoil floors "repo/store/store.c:1: repo/zip/zip_internal.h is private" <<'E'
touch repo/zip/zip_internal.h
sed -i '1i #include "repo/zip/zip_internal.h"' repo/store/store.c
E
spoil floors "repo/zip/zip.c:1: tests/unit/x.h is in no room" <<'E'
touch tests/unit/x.h
sed -i '1i #include "tests/unit/x.h"' repo/zip/zip.c
E
spoil floors "repo/utils/x.c:1: this folder is no room" <<'E'
mkdir repo/utils
echo 'int x;' >repo/utils/x.c
E
spoil prefixes "$z:16: pack has none of the prefixes" <<'E'
printf '\nint pack(void)\n{\n\treturn 0;\n}\n' >>repo/zip/zip.c
E
spoil prefixes "$z:16: counter has none of the prefixes" <<'E'
printf '\nint counter;\n' >>repo/zip/zip.c
E
spoil prefixes "repo/zip/zip.h:7: pack has none" <<'E'
sed -i 's/zip_pack/pack/' repo/zip/zip.h
E
spoil prefixes "$z:6: main has none" <<'E'
sed -i 's/^static int half(int n)/int main(void)/' repo/zip/zip.c
E
spoil guards "repo/zip/zip.h:1: the include guard is not REPO_ZIP_ZIP_H" <<'E'
sed -i 's/REPO_ZIP_ZIP_H/ZIP_H/' repo/zip/zip.h
E
spoil headers "repo/zip/zip.h:6: does not compile alone" <<'E'
sed -i '/stddef/d' repo/zip/zip.h
E
spoil sizes "$z:800: " <<'E'
for i in $(seq 800); do echo "/* $i */"; done >>repo/zip/zip.c
E
spoil sizes "repo/zip/zip.h:300: " <<'E'
for i in $(seq 300); do echo "/* $i */"; done >>repo/zip/zip.h
E
spoil sizes "$z:16: zip_long has 124 lines" <<'E'
{ echo; echo 'void zip_long(void)'; echo '{'
for i in $(seq 121); do echo "	zip_pack($i);"; done; echo '}'; } >>repo/zip/zip.c
E
spoil maps "repo/zip/README.md:1: more.c is not on the map" <<'E'
echo 'extern int zip_x;' >repo/zip/more.c
E
spoil maps "repo/zip/README.md:2: gone.c is on the map but not here" <<'E'
echo '- `gone.c` - was here' >>repo/zip/README.md
E
spoil maps "repo/zip/README.md:1: the room has no map" <<'E'
rm repo/zip/README.md
E
for f in sprintf strcpy strcat gets alloca strtok atoi system popen tmpnam \
    mktemp; do
	spoil banned "$z:8: $f is not used here" <<E
sed -i 's/return n \/ 2/return $f(n)/' repo/zip/zip.c
E
done
spoil banned "tests/unit/t.c:1: strcpy is not used here" <<'E'
echo 'void t(void) { strcpy(a, b); }' >tests/unit/t.c
E
spoil banned "$z:8: a library does not call exit" <<'E'
sed -i 's/return n \/ 2/exit(1)/' repo/zip/zip.c
E
spoil banned "$z:8: a library does not call abort" <<'E'
sed -i 's/return n \/ 2/abort()/' repo/zip/zip.c
E
spoil banned "$z:8: a library does not print (printf)" <<'E'
sed -i 's/return n \/ 2/return printf("x")/' repo/zip/zip.c
E
spoil banned "$z:8: a library does not know stderr" <<'E'
sed -i 's/return n \/ 2/return fputs("x", stderr)/' repo/zip/zip.c
E
spoil secrets "$z:8: err_set may be told password" <<'E'
sed -i 's/return n \/ 2/return err_set(0, "no: %s", password)/' repo/zip/zip.c
E
spoil chunker "chunker/chunker.c:1: needs the symbol malloc" <<'E'
printf 'void *malloc(unsigned long);\nvoid *chunker_a(void)\n{\n\treturn malloc(1);\n}\n' \
    >>chunker/chunker.c
E
spoil chunker "chunker/chunker.c:1: needs the symbol __errno_location" <<'E'
printf '#include <errno.h>\nint chunker_e(void)\n{\n\treturn errno;\n}\n' \
    >>chunker/chunker.c
E
spoil text "$z:8: spaces at the end of the line" <<'E'
sed -i '8s/$/ /' repo/zip/zip.c
E
spoil text "$z:8: indented with spaces" <<'E'
sed -i '8s/^	/        /' repo/zip/zip.c
E
spoil text "repo/zip/README.md:1: no newline at the end" <<'E'
printf -- '- `zip.c`, `zip.h` - smaller' >repo/zip/README.md
E
spoil text "$z:8: 124 columns" <<'E'
sed -i '8s/^.*/	\/* 45678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123 *\//' repo/zip/zip.c
E
spoil paths "README.md:1: /$h/pat/ is a path of one machine" <<E
echo 'built in /$h/pat/src' >README.md
E
spoil paths "README.md:1: $bad is a path of one machine" <<'E'
echo "built in $PWD/build" >README.md
E
spoil links "repo/zip/README.md:2: ../../../x.md is outside" <<'E'
echo "see ../../../x.md" >>repo/zip/README.md
E
spoil links "README.md:1: the link to repo/none.md leads nowhere" <<'E'
echo "see [this](repo/none.md)" >README.md
E
exit $failed
