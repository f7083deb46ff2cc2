/*
 * Every object that is read before anything about it can be believed.  The
 * first byte chooses the decoder; what it accepts must be made again alike.
 * Keys of objects and key files go the same way.
 */

#include <stdio.h>
#include <stdlib.h>

#include "repo/base/bytes.h"
#include "repo/crypto/crypto.h"
#include "tests/unit/format_codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void try_codec(const struct codec *c, const uint8_t *p, size_t len)
{
	struct err err = ERR_INIT;
	struct buf again = BUF_INIT;

	if (c->again(p, len, &again, &err) < 0) {
		must(err.class == ERR_CORRUPT || err.class == ERR_UNSUPPORTED);
		must(err.msg[0] != '\0');
	} else {
		must(again.len + c->tail == len);
		must(memcmp(again.p, p, again.len) == 0);
	}
	buf_release(&again);
}

/* A key that parses is built again from what it was taken apart to. */
static void key_again(char dst[FMT_KEY_MAX], const struct fmt_key *k)
{
	switch (k->place) {
	case FMT_AT_CONFIG: fmt_key_config(dst, (uint32_t)k->n); break;
	case FMT_AT_CERT: fmt_key_cert(dst, k->slot); break;
	case FMT_AT_WRAP: fmt_key_wrap(dst, k->slot, (uint32_t)k->n); break;
	case FMT_AT_END: fmt_key_end(dst, k->slot, k->hash); break;
	case FMT_AT_GRANT:
		fmt_key_grant(dst, (uint32_t)k->n, k->tag, k->slot);
		break;
	case FMT_AT_PACK: fmt_key_pack(dst, k->name); break;
	case FMT_AT_SEGMENT:
		fmt_key_segment(dst, k->slot, k->session, (uint32_t)k->n);
		break;
	case FMT_AT_MERGED: fmt_key_merged(dst, k->n); break;
	case FMT_AT_MANIFEST: fmt_key_manifest(dst, k->n); break;
	case FMT_AT_SNAPSHOT: fmt_key_snapshot(dst, k->slot, k->session); break;
	case FMT_AT_NOTE: fmt_key_note(dst, k->slot, k->session); break;
	case FMT_AT_SESSION: fmt_key_session(dst, k->slot, k->session); break;
	case FMT_AT_MARK: fmt_key_mark(dst, k->n); break;
	case FMT_AT_VERDICT: fmt_key_verdict(dst, k->n); break;
	case FMT_AT_DEAD: fmt_key_dead(dst, k->n, k->hash); break;
	case FMT_AT_BAD: fmt_key_bad(dst, k->n); break;
	case FMT_AT_CHECKED: fmt_key_checked(dst, k->n); break;
	case FMT_AT_PARITY: fmt_key_parity(dst, k->name); break;
	}
}

static void try_text(const uint8_t *p, size_t len)
{
	uint8_t slot[FMT_SLOT_LEN], secret[32];
	char again[FMT_KEY_MAX], line[FMT_KEY_FILE_MAX];
	struct fmt_key k;
	char *s = malloc(len + 1);

	if (s == NULL)
		return;
	memcpy(s, p, len);
	s[len] = '\0';
	if (fmt_key_parse(s, &k) == 0) {
		key_again(again, &k);
		must(strcmp(again, s) == 0);
	}
	if (fmt_key_file_parse(s, slot, secret, NULL) == 0) {
		fmt_key_file_line(line, slot, secret);
		must(strncmp(line, s, 94) == 0);
	}
	free(s);
}

/* What is opened by keys goes through the same hands after its seal. */
static void try_opened(const uint8_t *p, size_t len)
{
	static const uint8_t key[32] = { 1 };
	struct buf plain = BUF_INIT;
	struct fmt_s1 s1;
	struct fmt_s2 s2;
	struct fmt_session s;
	struct fmt_dead d;
	struct fmt_grant g;
	struct fmt_secret w;
	uint8_t slot[FMT_SLOT_LEN];

	must(fmt_snapshot_open1(p, len, "k", key, &plain, &s1, NULL) < 0);
	must(fmt_snapshot_open2(p, len, key, &plain, &s2, NULL) < 0);
	must(fmt_session_open(p, len, "k", key, &plain, &s, NULL) < 0);
	must(fmt_dead_open(p, len, 1, key, key, &plain, &d, NULL) < 0);
	must(fmt_grant_open(p, len, key, &plain, &g, NULL, NULL, NULL) < 0);
	must(fmt_wrap_open(p, len, "k", key, &w, NULL) < 0);
	must(fmt_signed_check(p, len, key, "k", key, NULL) < 0);
	fmt_signed_signer(p, len, slot, NULL);
	buf_release(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || crypto_init(NULL) < 0)
		return 0;

	unsigned which = data[0] % (CODECS + 2);

	if (which < CODECS)
		try_codec(&codecs[which], data + 1, size - 1);
	else if (which == CODECS)
		try_text(data + 1, size - 1);
	else
		try_opened(data + 1, size - 1);
	return 0;
}
