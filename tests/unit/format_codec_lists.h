#ifndef TESTS_UNIT_FORMAT_CODEC_LISTS_H
#define TESTS_UNIT_FORMAT_CODEC_LISTS_H

/* The codecs of format_codecs.h for objects that are mostly one list. */

#include <stdlib.h>

#include "repo/format/fmt_gc.h"

/* Give the rebuilt list to `use`, then free it. */
#define WITH_LIST(l, add, use) do { \
	struct fmt_list_buf lb_ = FMT_LIST_BUF_INIT; \
	add; \
	(l) = fmt_list_of(&lb_); \
	rc = (use); \
	fmt_list_release(&lb_); \
} while (0)

static inline void partial_again(struct fmt_list l, struct fmt_list_buf *to)
{
	struct fmt_partial x;

	while (fmt_partial_next(&l, &x) == 0) {
		uint32_t *v = calloc(x.ordinals.n + 1, sizeof(*v)), at = 0;
		size_t n = 0;

		if (v == NULL)
			return;
		while (fmt_ordinal_next(&x.ordinals, &at, &v[n]) == 0)
			n++;
		fmt_list_add_partial(to, x.pack, v, n);
		free(v);
	}
}

static inline int codec_dead(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_dead d;
	int rc;

	if (fmt_dead_plain_decode(p, len, &d, err) < 0)
		return -1;
	WITH_LIST(d.partial, partial_again(d.partial, &lb_),
	    fmt_dead_plain_encode(ret, &d, err));
	return rc;
}

static inline int codec_bad(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_list_buf snaps = FMT_LIST_BUF_INIT;
	char session[FMT_SESSION_MAX];
	uint8_t slot[FMT_SLOT_LEN];
	struct fmt_bad_entry e;
	struct fmt_list l;
	struct fmt_bad b;
	int rc;

	if (fmt_bad_decode(p, len, &b, err) < 0)
		return -1;
	while (fmt_mark_next(&b.snapshots, slot, session) == 0)
		fmt_list_add_snapshot(&snaps, slot, session);
	b.snapshots = fmt_list_of(&snaps);
	l = b.blobs;
	WITH_LIST(l, while (fmt_bad_next(&l, &e) == 0)
	    fmt_list_add_bad(&lb_, &e),
	    (b.blobs = l, fmt_bad_encode(ret, &b, err)));
	fmt_list_release(&snaps);
	return rc;
}

static inline int codec_checked(const uint8_t *p, size_t len, struct buf *ret,
    struct err *err)
{
	struct fmt_checked_entry e;
	struct fmt_list l;
	uint32_t epoch;
	int rc;

	if (fmt_checked_decode(p, len, &epoch, &l, err) < 0)
		return -1;
	WITH_LIST(l, while (fmt_checked_next(&l, &e) == 0)
	    fmt_list_add_checked(&lb_, &e),
	    fmt_checked_encode(ret, epoch, &l, err));
	return rc;
}

static inline int codec_manifest(const uint8_t *p, size_t len,
    struct buf *ret, struct err *err)
{
	struct fmt_list_buf covered = FMT_LIST_BUF_INIT;
	struct fmt_manifest m;
	struct fmt_list l;
	struct fmt_str s;
	uint64_t n;
	int rc;

	if (fmt_manifest_decode(p, len, &m, err) < 0)
		return -1;
	while (fmt_str_next(&m.covered, &s) == 0)
		fmt_list_add_str(&covered, s);
	m.covered = fmt_list_of(&covered);
	l = m.merged;
	WITH_LIST(l, while (fmt_number_next(&l, &n) == 0)
	    fmt_list_add_number(&lb_, n),
	    (m.merged = l, fmt_manifest_encode(ret, &m, err)));
	fmt_list_release(&covered);
	return rc;
}

#endif
