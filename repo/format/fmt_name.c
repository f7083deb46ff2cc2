#include <assert.h>
#include <stdio.h>

#include "repo/base/bytes.h"
#include "repo/format/fmt_name.h"

/* The longest: keys/<16>/end-<64>, and index/<16>/<46>/<8>. */
static_assert(5 + 16 + 5 + 64 < FMT_KEY_MAX && 6 + 16 + 1 + 46 + 9 < FMT_KEY_MAX,
    "every key has room");

/* --- sessions ---------------------------------------------------------------*/

void fmt_session_text(char dst[FMT_SESSION_MAX],
    const struct fmt_session_name *n)
{
	char volume[17], random[17];

	hex_encode(volume, n->volume, 8);
	hex_encode(random, n->random, 8);
	snprintf(dst, FMT_SESSION_MAX, "%s-%012llx-%s", volume,
	    (unsigned long long)(n->start_ms & 0xffffffffffffu), random);
}

/*
 * Take exactly 2*len hex digits off the front of *s, which then stands behind
 * them.
 */
static bool take_hex(const char **s, void *dst, size_t len)
{
	char t[65];
	size_t n = strnlen(*s, 2 * len);

	if (n != 2 * len || n >= sizeof(t))
		return false;
	memcpy(t, *s, n);
	t[n] = '\0';
	*s += n;
	return hex_decode(dst, len, t) == 0;
}

/* A number of len bytes in hex, the highest first. */
static bool take_number(const char **s, uint64_t *ret, size_t len)
{
	uint8_t b[8];

	if (!take_hex(s, b, len))
		return false;
	*ret = 0;
	for (size_t i = 0; i < len; i++)
		*ret = *ret << 8 | b[i];
	return true;
}

static bool take(const char **s, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*s, text, n) != 0)
		return false;
	*s += n;
	return true;
}

static bool take_session(const char **s, struct fmt_session_name *ret)
{
	return take_hex(s, ret->volume, 8) && take(s, "-") &&
	    take_number(s, &ret->start_ms, 6) && take(s, "-") &&
	    take_hex(s, ret->random, 8);
}

int fmt_session_parse(const char *text, struct fmt_session_name *ret)
{
	return take_session(&text, ret) && *text == '\0' ? 0 : -1;
}

/* --- making keys ------------------------------------------------------------*/

#define KEY(...) (void)snprintf(dst, FMT_KEY_MAX, __VA_ARGS__)

static void of_slot(char dst[FMT_KEY_MAX], const char *before,
    const uint8_t slot[FMT_SLOT_LEN], const char *after)
{
	char hex[FMT_HEX_SLOT];

	hex_encode(hex, slot, FMT_SLOT_LEN);
	KEY("%s%s%s", before, hex, after);
}

static void of_session(char dst[FMT_KEY_MAX], const char *before,
    const uint8_t slot[FMT_SLOT_LEN], const char *session)
{
	char hex[FMT_HEX_SLOT];

	hex_encode(hex, slot, FMT_SLOT_LEN);
	KEY("%s/%s/%.*s", before, hex, FMT_SESSION_MAX - 1, session);
}

static void of_pack(char dst[FMT_KEY_MAX], const char *before,
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	char hex[2 * FMT_PACK_NAME_LEN + 1];

	hex_encode(hex, name, FMT_PACK_NAME_LEN);
	KEY("%s/%.2s/%s", before, hex, hex);
}

static void of_number(char dst[FMT_KEY_MAX], const char *before, uint64_t n,
    const char *after)
{
	KEY("%s/%016llx%s", before, (unsigned long long)n, after);
}

void fmt_key_config(char dst[FMT_KEY_MAX], uint32_t m)
{
	KEY("config/%08x", m);
}

void fmt_key_cert(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN])
{
	of_slot(dst, "keys/", slot, "/cert");
}

void fmt_key_wrap(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    uint32_t k)
{
	char after[16];

	snprintf(after, sizeof(after), "/wrap/%08x", k);
	of_slot(dst, "keys/", slot, after);
}

void fmt_key_end(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const uint8_t hash[32])
{
	char after[5 + 64 + 1] = "/end-";

	hex_encode(after + 5, hash, 32);
	of_slot(dst, "keys/", slot, after);
}

void fmt_key_grant(char dst[FMT_KEY_MAX], uint32_t epoch,
    const uint8_t tag[FMT_TAG_LEN], const uint8_t slot[FMT_SLOT_LEN])
{
	char before[48], hex[2 * FMT_TAG_LEN + 1];

	hex_encode(hex, tag, FMT_TAG_LEN);
	snprintf(before, sizeof(before), "epochs/%08x/%s/", epoch, hex);
	of_slot(dst, before, slot, "");
}

void fmt_key_pack(char dst[FMT_KEY_MAX],
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	of_pack(dst, "packs", name);
}

void fmt_key_segment(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session, uint32_t k)
{
	char hex[FMT_HEX_SLOT];

	hex_encode(hex, slot, FMT_SLOT_LEN);
	KEY("index/%s/%.*s/%08x", hex, FMT_SESSION_MAX - 1, session, k);
}

void fmt_key_merged(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "index/merged", n, "");
}

void fmt_key_manifest(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "index/manifest", n, "");
}

void fmt_key_snapshot(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session)
{
	of_session(dst, "snapshots", slot, session);
}

void fmt_key_note(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session)
{
	of_session(dst, "forgotten", slot, session);
}

void fmt_key_session(char dst[FMT_KEY_MAX], const uint8_t slot[FMT_SLOT_LEN],
    const char *session)
{
	of_session(dst, "sessions", slot, session);
}

void fmt_key_mark(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "gc", n, "/mark");
}

void fmt_key_verdict(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "gc", n, "/verdict");
}

void fmt_key_dead(char dst[FMT_KEY_MAX], uint64_t n, const uint8_t hash[32])
{
	char after[6 + 64 + 1] = "/dead-";

	hex_encode(after + 6, hash, 32);
	of_number(dst, "gc", n, after);
}

void fmt_key_bad(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "bad", n, "");
}

void fmt_key_checked(char dst[FMT_KEY_MAX], uint64_t n)
{
	of_number(dst, "checked", n, "");
}

void fmt_key_parity(char dst[FMT_KEY_MAX],
    const uint8_t name[FMT_PACK_NAME_LEN])
{
	of_pack(dst, "parity", name);
}

/* --- taking them apart ------------------------------------------------------*/

/* The tails of FORMAT.md's table, each behind its first folder. */

static bool keys_tail(const char **s, struct fmt_key *k)
{
	if (!take_hex(s, k->slot, FMT_SLOT_LEN))
		return false;
	if (take(s, "/cert"))
		k->place = FMT_AT_CERT;
	else if (take(s, "/end-") && take_hex(s, k->hash, 32))
		k->place = FMT_AT_END;
	else if (take(s, "/wrap/") && take_number(s, &k->n, 4))
		k->place = FMT_AT_WRAP;
	else
		return false;
	return true;
}

static bool pack_tail(const char **s, struct fmt_key *k)
{
	uint8_t first;

	return take_hex(s, &first, 1) && take(s, "/") &&
	    take_hex(s, k->name, FMT_PACK_NAME_LEN) && k->name[0] == first;
}

static bool session_tail(const char **s, struct fmt_key *k)
{
	struct fmt_session_name n;

	if (!take_hex(s, k->slot, FMT_SLOT_LEN) || !take(s, "/"))
		return false;

	const char *at = *s;

	if (!take_session(s, &n))
		return false;
	memcpy(k->session, at, (size_t)(*s - at));
	return true;
}

static bool index_tail(const char **s, struct fmt_key *k)
{
	if (take(s, "merged/")) {
		k->place = FMT_AT_MERGED;
		return take_number(s, &k->n, 8);
	}
	if (take(s, "manifest/")) {
		k->place = FMT_AT_MANIFEST;
		return take_number(s, &k->n, 8);
	}
	k->place = FMT_AT_SEGMENT;
	return session_tail(s, k) && take(s, "/") && take_number(s, &k->n, 4);
}

static bool gc_tail(const char **s, struct fmt_key *k)
{
	if (!take_number(s, &k->n, 8))
		return false;
	if (take(s, "/mark"))
		k->place = FMT_AT_MARK;
	else if (take(s, "/verdict"))
		k->place = FMT_AT_VERDICT;
	else if (take(s, "/dead-") && take_hex(s, k->hash, 32))
		k->place = FMT_AT_DEAD;
	else
		return false;
	return true;
}

static bool number_tail(const char **s, struct fmt_key *k)
{
	return take_number(s, &k->n, 8);
}

static bool config_tail(const char **s, struct fmt_key *k)
{
	return take_number(s, &k->n, 4);
}

static bool grant_tail(const char **s, struct fmt_key *k)
{
	return take_number(s, &k->n, 4) && take(s, "/") &&
	    take_hex(s, k->tag, FMT_TAG_LEN) && take(s, "/") &&
	    take_hex(s, k->slot, FMT_SLOT_LEN);
}

static const struct {
	const char *folder;
	enum fmt_place place; /* may be changed by tail */
	bool (*tail)(const char **s, struct fmt_key *k);
} folders[] = {
	{ "packs/", FMT_AT_PACK, pack_tail },
	{ "index/", FMT_AT_SEGMENT, index_tail },
	{ "snapshots/", FMT_AT_SNAPSHOT, session_tail },
	{ "config/", FMT_AT_CONFIG, config_tail },
	{ "keys/", FMT_AT_CERT, keys_tail },
	{ "epochs/", FMT_AT_GRANT, grant_tail },
	{ "forgotten/", FMT_AT_NOTE, session_tail },
	{ "sessions/", FMT_AT_SESSION, session_tail },
	{ "gc/", FMT_AT_MARK, gc_tail },
	{ "bad/", FMT_AT_BAD, number_tail },
	{ "checked/", FMT_AT_CHECKED, number_tail },
	{ "parity/", FMT_AT_PARITY, pack_tail },
};

int fmt_key_parse(const char *key, struct fmt_key *ret)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		const char *s = key;

		if (!take(&s, folders[i].folder))
			continue;
		memset(ret, 0, sizeof(*ret));
		ret->place = folders[i].place;
		return folders[i].tail(&s, ret) && *s == '\0' ? 0 : 1;
	}
	return 1;
}
