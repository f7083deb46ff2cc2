# Sourced by the tests of the whole program (bash).  After `begin [URL]` there is
# a repository, $TMPDIR/repo where no URL is given, opened by a key file because
# that takes no time, and the repository's passphrase is in $TMPDIR/pass.  INIT
# may hold options of init.

cd "$TMPDIR" || exit 1
failed=0

fail() {
	echo "FAIL: $*"
	failed=1
}

# ends CODES COMMAND...: the command ends with that code, or one of those that
# commas part, and in time.  What it printed is in the files out and err.
ends() {
	local want=$1 got=0
	shift
	timeout -s ABRT "${LIMIT:-60}" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null || got=$?
	if [[ ,$want, != *,$got,* ]]; then
		fail "'${*:1:20}' ended with $got, not $want"
		head -n 20 "$TMPDIR/out" "$TMPDIR/err"
		return 1
	fi
}

# says TEXT: the last command printed it, on either way.
says() {
	grep -qF -e "$1" "$TMPDIR/out" "$TMPDIR/err" || {
		fail "nowhere: $1"
		head -n 20 "$TMPDIR/out" "$TMPDIR/err"
	}
}

# field NAME: that member of the last backup's summary.
field() {
	tail -n 1 "$TMPDIR/summary" | python3 -c 'import json, sys
print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Whole files are written as if the disk kept nothing back: what a power cut
# does is not what these tests are about.
begin() {
	echo "correct horse" >pass
	export WHERRY_REPOSITORY=${1:-$TMPDIR/repo}
	export WHERRY_PASSWORD_FILE=$TMPDIR/pass
	# shellcheck disable=SC2086 # words
	ends 0 "$WHERRY" init --quiet ${INIT:-} || exit 1
	ends 0 "$WHERRY" key add --read --write --admin --quiet \
		--new-key-file "$TMPDIR/key" || exit 1
	unset WHERRY_PASSWORD_FILE
}

# The slot's key goes with every verb.
wherry() {
	local verb=$1
	shift
	"$WHERRY" "$verb" -k "$TMPDIR/key" "$@"
}

# run CODE VERB ARGUMENTS...: the same, as `ends` does it.
run() {
	local code=$1 verb=$2
	shift 2
	ends "$code" "$WHERRY" "$verb" -k "$TMPDIR/key" "$@"
}

# backup ARGUMENTS...: a snapshot that leaves nothing out; its id is in $id.
backup() {
	id=
	run "${CODE:-0}" backup --json "$@" || return
	cp "$TMPDIR/out" "$TMPDIR/summary"
	id=$(field snapshot_id)
}

# same_tree LEFT RIGHT [TREESUM-OPTIONS...]: two trees are equal in all that
# counts, as judged by a program that shares no code with this one.
same_tree() {
	local left=$1 right=$2
	shift 2
	"$TOOLS/treesum" -v "$@" "$left" >left.sum || fail "treesum $left"
	"$TOOLS/treesum" -v "$@" "$right" >right.sum || fail "treesum $right"
	cmp -s left.sum right.sum || {
		fail "$left and $right differ"
		diff -a left.sum right.sum | head -n 20 | cut -c "1-${WIDTH:-300}"
		return 1
	}
}
