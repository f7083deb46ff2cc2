#!/bin/bash
# Each object store: the suite that every backend passes, and a whole life of a
# repository: init, backups, restore, dump, mount's relatives, check, forget, gc.
# With TLS by an authority of its own; a certificate that has expired or is
# another host's, a wrong secret and missing rights are told. STORES may be given.
# timeout: 420
set -u
. "$SRC/tests/scripts/whole/begin.sh"
up=$SRC/tests/servers/store.py
conformance=$O/tests/unit/backend_conformance
end() { kill "$STORE_PID"; wait_gone "$STORE_PID"; }

wait_gone() {
	for _ in $(seq 300); do
		kill -0 "$1" 2>/dev/null || return
		sleep 0.1
	done
	fail "a store does not end"
}

# start OPTIONS... KIND: the store's variables are set.
start() {
	vars=$("$up" --for $$ "$@") || {
		local got=$?
		echo "$vars"
		[ $got = 77 ] && exit 77
		exit 1
	}
	eval "$vars"
}

# A repository's whole life; more options go with every verb.
life() {
	"$TOOLS/treestress" -s 11 -n 250 -D 40 -z 2000000 -F no-huge,no-devices \
		tree >/dev/null
	head -c 5000000 /dev/urandom >tree/random
	backup tree --volume v "$@"
	local first=$id
	"$TOOLS/treestress" -m -s 12 -n 40 -F no-huge,no-devices tree >/dev/null
	sleep 2.2 # what is young is read again, and bundled anew
	backup tree --volume v "$@"
	run 0 restore "$id" --target back --quiet "$@" && same_tree tree back
	run 0 check --read-data --quiet "$@"
	backup tree --volume v "$@"
	[ "$(field new_bytes)" = 0 ] || fail "stored twice: $(field new_bytes)"
	run 0 dump "$id:random" "$@"
	cmp -s out tree/random || fail "dump"
	run 0 find '*' "$@"
	run 0 diff "$first" "$id" "$@"
	run 0 stats "$@"
	run 0 forget --id "$first" --quiet "$@"
	run 0 gc --quiet ${SOLE:-} "$@"
	run 0 snapshots --json "$@"
	[ "$(wc -l <out)" = 2 ] || fail "not two snapshots"
	run 1 ls "$first" "$@"
	run 0 check --read-data --quiet "$@"
	"$TOOLS/treestress" -d back
	"$TOOLS/treestress" -d tree
}

for kind in ${STORES:-minio versitygw azurite}; do
	echo "# $kind"
	start "$kind"
	unset INIT SOLE
	if [ "$kind" = versitygw ]; then # it looks first, and then writes
		export WHERRY_TEST_RACY=1
		INIT=--allow-weak-store SOLE=--sole-administrator
	fi
	WHERRY_TEST_STORES=$STORE_URL "$conformance" >suite 2>&1 || {
		fail "$kind: the suite"
		grep -v 'RUN\|  OK' suite
	}
	unset WHERRY_TEST_RACY
	begin "$STORE_URL"
	life
	# What is not there, and what is.
	ends 11 "$WHERRY" init -p pass
	ends 10 "$WHERRY" snapshots -k key -r "${STORE_URL/wherry-test/no-such-place}"
	says no-such-place
	if [ "$kind" = azurite ]; then
		AZURE_STORAGE_KEY=$(printf wrong | base64) run 12 snapshots
		says "azure://devstoreaccount1/wherry-test"
	else
		AWS_SECRET_ACCESS_KEY=wrong run 12 snapshots
		says "s3://wherry-test"
	fi
	rm -f key
	end
done

# --- TLS --------------------------------------------------------------------------------
unset WHERRY_REPOSITORY
for kind in ${STORES:-minio azurite}; do
	echo "# $kind by TLS"
	start --tls good "$kind"
	export WHERRY_REPOSITORY=$STORE_URL WHERRY_PASSWORD_FILE=$TMPDIR/pass
	ends 0 "$WHERRY" init --quiet --ca-file "$STORE_CA"
	mkdir -p small && echo hello >small/file
	ends 0 "$WHERRY" backup --quiet --ca-file "$STORE_CA" small
	ends 0 "$WHERRY" dump latest:file --ca-file "$STORE_CA"
	cmp -s out small/file || fail "dump by TLS"
	# Without its authority nothing is said to it.
	ends 1,2,12 "$WHERRY" snapshots
	says "--ca-file"
	end
done
for how in expired other-host; do
	start --tls $how "${STORES:-versitygw}"
	ends 1,2,12 "$WHERRY" init -r "$STORE_URL" -p pass --ca-file "$STORE_CA"
	says certificate
	end
done

# --- rights -----------------------------------------------------------------------------
# One may add, and remove nothing: backups go on, collecting is refused.
if [ -z "${STORES:-}" ] || [ "$STORES" = minio ]; then
	start minio
	begin "$STORE_URL"
	mkdir -p small && echo one >small/file
	backup small --volume v
	cat >policy <<-'END'
	{"Version": "2012-10-17", "Statement": [
	 {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]},
	 {"Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": ["arn:aws:s3:::*"]}]}
	END
	$STORE_ADMIN user adder adder-secret policy || fail "making a user"
	admin=$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY
	export AWS_ACCESS_KEY_ID=adder AWS_SECRET_ACCESS_KEY=adder-secret
	head -c 300000 /dev/urandom >small/file
	backup small --volume v
	run 0 check --read-data --quiet
	run 0 restore "$id" --target back --quiet && same_tree small back
	run 12 forget --id "$id"
	says "s3:DeleteObject"
	run 12 gc
	says "s3:DeleteObject"
	export AWS_ACCESS_KEY_ID=${admin%%:*} AWS_SECRET_ACCESS_KEY=${admin#*:}
	run 0 gc --quiet
	run 0 check --read-data --quiet
	end
fi
exit $failed
