#!/bin/sh
# Makes the stores that tests run against, from package registries, with the
# versions of pins and azurite/.  They are made once and kept outside of the
# tree, named by the content of what makes them.
#
# usage: get.sh [--quiet] [NAME...]    make those that are missing
#        get.sh --have NAME            print the folder of one that is made
#
# NAME is minio, versitygw or azurite; all without one.  Exit status 77, with a
# reason on stdout, when one cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wherry-tests}/servers
all="azurite versitygw minio"

parts() {
	case $1 in
	minio) cat "$here/make_go.sh" "$here/admin/main.go" ;;
	versitygw) cat "$here/make_go.sh" ;;
	azurite) cat "$here/make_azurite.sh" "$here"/azurite/* ;;
	esac
	grep "^$1 " "$here/pins" || true
	uname -m
}

# Print where NAME is or will be.
place() {
	echo "$cache/$1-$(parts "$1" | sha256sum | cut -c1-16)"
}

# Is NAME made?  Azurite may lean on a Node that has gone.
made() {
	to=$(place "$1")
	[ -d "$to" ] && { [ "$1" != azurite ] || [ -x "$to/node/node" ]; }
}

make_one() {
	name=$1 to=$(place "$1")
	new=$cache/new-$name
	rm -rf "$new"
	mkdir -p "$new"
	[ $quiet = yes ] || echo "making $name"
	case $name in
	azurite) "$here/make_azurite.sh" "$name" "$new" "$cache" ;;
	*) "$here/make_go.sh" "$name" "$new" "$cache" ;;
	esac || return
	# Another tree may use others; those that nobody does are removed.
	find "$cache" -maxdepth 1 -name "$name-*" -mtime +30 -exec rm -rf {} +
	rm -rf "$to"
	mv "$new" "$to"
}

quiet=no have=no names=
for a; do
	case $a in
	--quiet) quiet=yes ;;
	--have) have=yes ;;
	minio | versitygw | azurite) names="$names $a" ;;
	*)
		echo "usage: get.sh [--quiet] [--have] [minio|versitygw|azurite]..." >&2
		exit 2
		;;
	esac
done

if [ $have = yes ]; then
	for name in $names; do
		if ! made "$name"; then
			echo "$name is not made (tests/servers/get.sh $name makes it)"
			exit 77
		fi
		place "$name"
	done
	exit 0
fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
code=0
for name in ${names:-$all}; do
	if made "$name"; then
		touch "$(place "$name")"
		continue
	fi
	make_one "$name" 9>&- || code=$?
done
[ $code != 0 ] || rm -rf "$cache/go"
exit $code
