#!/bin/sh
# Installs the packages that are missing, with apt.
#
# usage: deps.sh [--quiet|--list] GROUP...
#
# GROUP is runtime, build, test, servers or bench (deploy/packages).  --quiet says
# nothing when all is there.  --list only prints the names.  Where there is no
# apt, or no right to use it, it prints what is missing and fails if something
# of the group build is.
set -eu
here=$(dirname "$0")
quiet=no
list=no
groups=
for a; do
	case $a in
	--quiet) quiet=yes ;;
	--list) list=yes ;;
	runtime|build|test|servers|bench) groups="$groups $a" ;;
	*)
		echo "usage: deps.sh [--quiet|--list] runtime|build|test|servers|bench..." >&2
		exit 2
		;;
	esac
done

# Print the words of the groups, alternatives still joined.
wanted() {
	for g in $groups; do
		sed -n "s/^$g://p" "$here/packages"
	done | tr -s ' ' '\n' | sed '/^$/d'
}

if [ $list = yes ]; then
	wanted
	exit 0
fi

# Without dpkg, the libraries themselves are asked for.
if ! command -v dpkg-query >/dev/null; then
	if command -v cc >/dev/null && pkg-config --exists libzstd libsodium \
	    libcrypto liburing jansson libisal fuse3 \
	    libcurl expat; then
		exit 0
	fi
	echo "wherry: this machine has no apt; install what is the same as:" >&2
	wanted | sed 's/^/  /' >&2
	exit 1
fi

# Print those of the words of which no alternative is installed.
missing() {
	have=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' \
	    $(wanted | tr '|' '\n') 2>/dev/null || true)"
	for w in $(wanted); do
		found=no
		for p in $(echo "$w" | tr '|' ' '); do
			case $have in
			*" installed:$p "*) found=yes ;;
			esac
		done
		[ $found = yes ] || echo "$w"
	done
}

lack=$(missing)
if [ -z "$lack" ]; then
	[ $quiet = yes ] || echo "all packages are installed:$groups"
	exit 0
fi

root=
if [ "$(id -u)" != 0 ]; then
	root=sudo
fi
if ! command -v apt-get >/dev/null || { [ -n "$root" ] && ! sudo -n true \
    2>/dev/null && ! { [ -t 0 ] && command -v sudo >/dev/null; }; }; then
	echo "wherry: these packages are missing and cannot be installed from" \
	    "here:" >&2
	echo "  apt-get install" $lack | sed 's/|[^ ]*//g' >&2
	groups=build
	if [ -n "$(missing)" ] || [ "${CI:-}" = true ]; then
		exit 1
	fi
	exit 0
fi

# Print for each missing word the first package that apt knows.
known() {
	for w in $lack; do
		for p in $(echo "$w" | tr '|' ' '); do
			if apt-cache show --no-all-versions "$p" >/dev/null 2>&1; then
				echo "$p"
				break
			fi
		done
	done
}

install() {
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
	    --no-install-recommends $names
}

echo "installing:" $lack
names=$(known)
if [ "$(echo "$names" | wc -w)" != "$(echo "$lack" | wc -w)" ] ||
    ! install; then
	# Old lists name packages that have gone.
	$root apt-get update -q
	names=$(known)
	install
fi
lack=$(missing)
if [ -n "$lack" ]; then
	echo "wherry: apt does not know:" $lack >&2
	exit 1
fi
