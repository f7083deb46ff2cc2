#!/bin/sh
# Deduplication by the chunker beside FastCDC, on real data: several versions of
# three packages (as tar streams) and file-system images made anew of two. The
# rule of stream mode was chosen on django and typescript; aws-sdk had no part in
# that, so it is the fair judge.
#
# usage: [O=build] sh bench/dedup.sh [DIRECTORY]
#
# The data is fetched by pip and npm and made in DIRECTORY (a temporary one that
# is removed, if none is given); what is there already is used again.
set -eu

cd "$(dirname "$0")/.."
bench=${O:-build}/bench/chunker_dedup
if [ ! -x "$bench" ]; then
	echo "dedup.sh: no $bench (make benches)" >&2
	exit 1
fi
if [ $# -gt 0 ]; then
	dir=$1
	mkdir -p "$dir"
else
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
fi

django="4.2.1 4.2.2 4.2.3 4.2.4 4.2.5 4.2.6 4.2.7 4.2.8"
typescript="5.4.2 5.4.3 5.4.4 5.4.5 5.5.2 5.5.3 5.5.4"
aws_sdk="2.1500.0 2.1510.0 2.1520.0 2.1530.0"

for v in $django; do
	[ -e "$dir/django-$v.tar" ] && continue
	(cd "$dir" && pip download -q --disable-pip-version-check --no-deps \
	    --no-binary :all: "Django==$v")
	gunzip -c "$dir/Django-$v.tar.gz" >"$dir/t"
	mv "$dir/t" "$dir/django-$v.tar"
	rm "$dir/Django-$v.tar.gz"
done
npm_tars() { # PACKAGE VERSION...
	package=$1
	shift
	for v; do
		[ -e "$dir/$package-$v.tar" ] && continue
		(cd "$dir" && npm pack --silent "$package@$v" >/dev/null)
		gunzip -c "$dir/$package-$v.tgz" >"$dir/t"
		mv "$dir/t" "$dir/$package-$v.tar"
		rm "$dir/$package-$v.tgz"
	done
}
# shellcheck disable=SC2086 # lists of words
npm_tars typescript $typescript
# shellcheck disable=SC2086
npm_tars aws-sdk $aws_sdk

# Images of both packages, each made from nothing: other places, other tables,
# and the small changes between two releases.
image() { # NUMBER DJANGO TYPESCRIPT
	[ -e "$dir/image-$1.ext4" ] && return
	rm -rf "$dir/tree"
	mkdir -p "$dir/tree/django" "$dir/tree/typescript"
	tar -C "$dir/tree/django" -xf "$dir/django-$2.tar"
	tar -C "$dir/tree/typescript" -xf "$dir/typescript-$3.tar"
	head -c "$((4096 * 37 * $1))" "$dir/django-$2.tar" >"$dir/tree/a-file"
	truncate -s 320M "$dir/t"
	mkfs.ext4 -q -F -b 4096 -d "$dir/tree" "$dir/t"
	mv "$dir/t" "$dir/image-$1.ext4"
	rm -rf "$dir/tree"
}
image 1 4.2.1 5.4.2
image 2 4.2.2 5.4.2
image 3 4.2.2 5.4.3
image 4 4.2.3 5.4.3

for avg in 16 64 256 1024; do
	for set in django typescript aws-sdk; do
		echo "== $set, versions as tar"
		"$bench" stream "$avg" "$dir/$set"-*.tar
	done
done
for avg in 16 64 256; do
	echo "== ext4 images made anew"
	"$bench" block "$avg" "$dir"/image-*.ext4
done
