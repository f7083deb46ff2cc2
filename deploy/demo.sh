#!/bin/sh
# Shows a backup and a restore, command by command, in a temporary directory
# that is removed at the end.
#
# usage: [DIR=...] [O=build] deploy/demo.sh
#
# DIR is what is backed up; without it, the documentation of this system and
# this source tree. Only a copy of it is made: nothing of DIR is changed.
set -eu

src=$(cd "$(dirname "$0")/.." && pwd -P)
O=${O:-build}
case $O in
/*) ;;
*) O=$src/$O ;;
esac
PATH=$O:$PATH
treesum=$O/tests/tools/treesum
for program in "$O/wherry" "$treesum"; do
	if [ ! -x "$program" ]; then
		echo "demo.sh: no $program (make demo builds it)" >&2
		exit 1
	fi
done

tmp=$(mktemp -d)
trap 'chmod -R u+rwX "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m')
	plain=$(printf '\033[0m')
else
	bold=
	plain=
fi

say() {
	printf '\n%s\n' "$*"
}

# show WORD...: print a command as one would type it.
show() {
	line=
	for word; do
		case $word in
		*[!A-Za-z0-9_/.,:=@%+-]*)
			word="'$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
			;;
		esac
		line="$line $word"
	done
	printf '%s$%s%s\n' "$bold" "$line" "$plain"
}

# try COMMAND...: show it, run it, and pass status 3 over: part of the source
# could not be read, which is named.
try() {
	show "$@"
	status=0
	"$@" || status=$?
	if [ $status = 3 ]; then
		echo "(exit status 3: what is named above was left out)"
	elif [ $status != 0 ]; then
		echo "demo.sh: that ended with status $status" >&2
		exit 1
	fi
}

# --- what to back up ----------------------------------------------------------

if [ -n "${DIR:-}" ]; then
	if [ ! -d "$DIR" ]; then
		echo "demo.sh: $DIR is no directory" >&2
		exit 2
	fi
	set -- "$(cd "$DIR" && pwd -P)"
else
	set -- "$src"
	# Some systems are installed without documentation.
	for d in /usr/share/doc /usr/share; do
		if [ -d $d ] && [ -n "$(ls -A $d)" ]; then
			set -- $d "$src"
			break
		fi
	done
fi

# Names in the snapshot begin at the deepest directory that holds all paths.
root=$1
if [ $# = 2 ]; then
	while [ "${2#"${root%/}"/}" = "$2" ] && [ "$root" != "$2" ]; do
		root=$(dirname "$root")
	done
fi

kib=$(du -skx "$@" 2>/dev/null | awk '{ sum += $1 } END { print sum }')
free=$(df -Pk "$tmp" | awk 'NR == 2 { print $4 }')
if [ "$((kib * 2))" -gt "$free" ]; then
	echo "demo.sh: $((kib >> 10)) MiB and as much again for the restore do" \
	    "not fit into $tmp (set TMPDIR, or take a smaller DIR)" >&2
	exit 1
fi

say "Wherry keeps backups in a repository: here, a directory. Two variables say
where it is and what opens it, so that no command needs to."
WHERRY_REPOSITORY=$tmp/repository
WHERRY_PASSWORD_FILE=$tmp/passphrase
export WHERRY_REPOSITORY WHERRY_PASSWORD_FILE
show export "WHERRY_REPOSITORY=$WHERRY_REPOSITORY"
show export "WHERRY_PASSWORD_FILE=$WHERRY_PASSWORD_FILE"
printf '%s$ %s%s\n' "$bold" 'head -c 24 /dev/urandom | base64 > $WHERRY_PASSWORD_FILE' \
	"$plain"
(umask 077 && head -c 24 /dev/urandom | base64 >"$WHERRY_PASSWORD_FILE")
try wherry init

say "The first backup reads everything ($((kib >> 10)) MiB)."
try wherry backup "$@"

say "What changed less than two seconds before it was read is read again the
next time, so a little patience (2 s) now."
sleep 2.1

say "Again: nothing changed, so no file is read, and next to nothing is stored.
It is a full snapshot all the same, and does not need the first one."
try wherry backup "$@"

say "What is there:"
try wherry snapshots
try wherry stats

say "What the last snapshot holds at its top:"
try wherry ls -l latest

say "Between the two:"
first=$(wherry snapshots | awk 'NR == 2 { print $1 }')
try wherry diff "$first" latest

say "Every byte that is stored can be verified:"
try wherry check --read-data

say "Back into an empty directory:"
owner=
if [ "$(id -u)" != 0 ]; then
	owner=--no-owner # only root may give files away
fi
try wherry restore latest --target "$tmp/restored" $owner

# --- is it the same? ------------------------------------------------------------

# Another file system may have no such flags; only root sees all attributes.
leave_out=root,flags,project
if [ "$(id -u)" != 0 ]; then
	leave_out=$leave_out,uid,gid,security,trusted
fi
wrong=0

# same SOURCE: what came back equals it.
same() {
	back=$tmp/restored/${1#"${root%/}"}
	if [ "$1" = "$root" ]; then
		back=$tmp/restored
	fi
	back=$(cd "$back" && pwd -P)
	show treesum -x $leave_out "$1"
	"$treesum" -x $leave_out "$1" | tee "$tmp/a"
	show treesum -x $leave_out "$back"
	"$treesum" -x $leave_out "$back" | tee "$tmp/b"
	if ! cmp -s "$tmp/a" "$tmp/b"; then
		wrong=1
		"$treesum" -v -x $leave_out "$1" >"$tmp/a" || true
		"$treesum" -v -x $leave_out "$back" >"$tmp/b" || true
		diff "$tmp/a" "$tmp/b" | head -n 20
	fi
	# diff compares no devices, and would wait at a pipe.
	if [ -z "$(find "$1" ! -type f ! -type d ! -type l 2>/dev/null |
	    head -n 1)" ]; then
		show diff -r --no-dereference "$1" "$back"
		diff -r --no-dereference "$1" "$back" >"$tmp/c" 2>&1 || wrong=1
		head -n 20 "$tmp/c"
	fi
}

say "Two programs that know nothing of wherry compare it with the source.
treesum makes one digest of names, content and all metadata; diff compares
byte by byte and prints what differs."
for path; do
	same "$path"
done
if [ $wrong != 0 ]; then
	say "NOT EQUAL. If the source did not change meanwhile, and all of it could
be read, this is a fault of wherry's. Please report what is printed above." >&2
	exit 1
fi

say "Equal. Everything that this made is removed now.

What next:
  make install                    the program, man pages, completion
  wherry help                     all verbs; wherry help VERB, man wherry-backup
  wherry init --repo /backup      a repository of your own: choose a passphrase
                                  and keep it elsewhere, too. Without it nobody
                                  can restore.
  wherry backup --repo /backup /home
  make check                      the tests
README.md has the tasks by example."
