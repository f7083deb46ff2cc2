/* Which segments make up the index: listings, and the manifest in force. */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/cleanup.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

#define LISTINGS_MAX 32 /* merges do not come that fast */

void store_manifest_release(struct store_manifest *m)
{
	free(m->merged);
	free(m->text);
	free(m->covered);
	*m = (struct store_manifest){ 0 };
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Copy what an encoded manifest says, to be searched. */
static int manifest_take(struct store_manifest *m, uint64_t n,
    struct fmt_manifest *f, struct err *err)
{
	struct fmt_str s;
	uint64_t x;
	char *at;

	m->merged = mem_array(f->merged.n + 1, sizeof(*m->merged),
	    "a manifest", err);
	m->text = mem_zalloc(f->covered.len + f->covered.n + 1, "a manifest",
	    err);
	m->covered = mem_array(f->covered.n + 1, sizeof(*m->covered),
	    "a manifest", err);
	if (m->merged == NULL || m->text == NULL || m->covered == NULL)
		return -1;
	while (fmt_number_next(&f->merged, &x) == 0)
		m->merged[m->nmerged++] = x;
	at = m->text;
	while (fmt_str_next(&f->covered, &s) == 0) {
		memcpy(at, s.p, s.len);
		m->covered[m->ncovered++] = at;
		at += s.len + 1;
	}
	if (m->ncovered > 1)
		qsort(m->covered, m->ncovered, sizeof(*m->covered), text_cmp);
	m->n = n;
	return 0;
}

/* Read one manifest: 0, 1 when it is not there, -1. */
static int manifest_read(struct store *st, const char *key, uint64_t n,
    struct store_manifest *ret, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_manifest f;
	size_t len;
	int r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len,
	    err);

	if (r != 0)
		return r;
	if (store_admin_signed(st, key, obj, len, FMT_MANIFEST, err) != 0 ||
	    fmt_manifest_decode(obj, len, &f, err) != 0)
		return err_wrap(err, "%s", key);
	return manifest_take(ret, n, &f, err);
}

/*
 * The highest of a listing that is believed (ret->n 0: none).  1 when one went
 * while it was read, as a lower one does once a higher one is there.
 */
static int manifest_find(struct store *st, const struct store_keys *keys,
    struct store_manifest *ret, struct err *err)
{
	for (size_t i = keys->n; i > 0; i--) {
		const char *key = store_keys_at(keys, i - 1);
		struct fmt_key at;
		int r;

		if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_MANIFEST)
			continue;
		r = manifest_read(st, key, at.n, ret, err);
		if (r >= 0)
			return r;
		store_manifest_release(ret);
		if (err->class != ERR_CORRUPT)
			return -1;
		store_index_broken(st, err);
	}
	return 0;
}

int store_manifest_number(struct store *st, uint64_t *ret_n, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = 1;

	*ret_n = 0;
	for (int i = 0; i < LISTINGS_MAX && r > 0; i++) {
		struct store_manifest m = { 0 };

		r = store_keys_list(st->be, "index/manifest/", &keys, err);
		if (r == 0)
			r = manifest_find(st, &keys, &m, err);
		*ret_n = m.n;
		store_manifest_release(&m);
	}
	store_keys_release(&keys);
	if (r > 0)
		return err_set(err, ERR_TRANSIENT, "index/manifest/: manifests "
		    "come and go faster than they are read");
	return r;
}

/*
 * Has another manifest come since `m` was listed?  1 yes, 0 no, -1.  Only keys
 * are looked at first: mostly none is higher, and nothing need be read.
 */
static int manifest_passed(struct store *st, const struct store_manifest *m,
    const struct store_keys *before, struct err *err)
{
	struct store_keys now = { 0 };
	bool other = false;
	uint64_t n;
	int r = store_keys_list(st->be, "index/manifest/", &now, err);

	for (size_t i = 0; i < now.n && !other; i++) {
		struct fmt_key at;

		other = fmt_key_parse(store_keys_at(&now, i), &at) == 0 &&
		    at.place == FMT_AT_MANIFEST && at.n > m->n &&
		    !store_keys_has(before, store_keys_at(&now, i));
	}
	store_keys_release(&now);
	if (r != 0 || !other)
		return r;
	r = store_manifest_number(st, &n, err);
	return r != 0 ? -1 : n != m->n;
}

int store_manifest_list(struct store *st, struct store_keys *ret_keys,
    struct store_manifest *ret, struct err *err)
{
	for (int i = 0; i < LISTINGS_MAX; i++) {
		bool early = i == 0 && ret_keys->n > 0;
		int r = 0;

		store_manifest_release(ret);
		if (!early) {
			/* Nothing from before this listing may follow it. */
			backend_ahead_forget(st->be, "index/manifest/");
			r = store_keys_list(st->be, "index/", ret_keys, err);
		}
		if (r == 0 && !early)
			store_ahead_index(st, ret_keys);
		if (r == 0)
			r = manifest_find(st, ret_keys, ret, err);
		if (r == 0)
			r = manifest_passed(st, ret, ret_keys, err);
		if (r <= 0)
			return r;
	}
	return err_set(err, ERR_TRANSIENT, "index/: it is merged faster than "
	    "it is listed");
}

bool store_manifest_counts(const struct store_manifest *m, const char *key)
{
	struct fmt_key at;

	if (fmt_key_parse(key, &at) != 0)
		return false;
	if (at.place == FMT_AT_SEGMENT)
		return m->ncovered == 0 || bsearch(&key, m->covered,
		    m->ncovered, sizeof(*m->covered), text_cmp) == NULL;
	if (at.place != FMT_AT_MERGED)
		return false;
	for (size_t lo = 0, hi = m->nmerged; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->merged[mid] == at.n)
			return true;
		if (m->merged[mid] < at.n)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}
