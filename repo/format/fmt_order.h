#ifndef REPO_FORMAT_FMT_ORDER_H
#define REPO_FORMAT_FMT_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The keyed hashes behind order, cuts and digests of the maps (FORMAT.md 8).
 * order_key is K_ord and state_key K_state; the first 16 bytes count.
 */

/*
 * One component of a path.  h is fmt_name_hash of the name; what needs no h
 * does not look at it, and what needs no name (states) not at that.
 */
struct fmt_comp {
	const char *name;
	size_t len;
	uint64_t h;
};

/* h of a name; 0 for the empty one. */
uint64_t fmt_name_hash(const uint8_t order_key[32], const void *name,
    size_t len);

/* The order of two names, by h, then by bytes: <0, 0, >0. */
int fmt_name_cmp(const struct fmt_comp *a, const struct fmt_comp *b);

/*
 * c of a key (directory, name) in catalog and state.  A context, as the
 * directory's part is the same for many names: set the directory when it
 * changes, then ask for each name.
 */
struct fmt_cutter {
	uint8_t key[16];
	uint8_t *msg; /* 0xff, then the h of each component, then room for one */
	size_t len, cap;
};
void fmt_cutter_init(struct fmt_cutter *c, const uint8_t order_key[32]);
void fmt_cutter_release(struct fmt_cutter *c);
/* Return 0, or -1 when there is no memory (then the directory is unset). */
int fmt_cutter_dir(struct fmt_cutter *c, const struct fmt_comp *dir, size_t n);
/* c of the name whose hash is h, in that directory. */
uint64_t fmt_cutter_ask(struct fmt_cutter *c, uint64_t h);

/* c of an offset in a byte map. */
uint64_t fmt_cut_map(const uint8_t order_key[32], uint64_t off);

#define FMT_PAGE_MIN 16384  /* bytes of encoded items, before a cut counts */
#define FMT_PAGE_MAX 262144 /* and that only a single larger entry exceeds */

/* Whether a page of that level ends after the key of c, being of that size. */
static inline bool fmt_cut(uint64_t c, unsigned level, size_t page_size)
{
	return page_size >= FMT_PAGE_MIN && c % 256 == level % 251;
}

/* What a state tells a file's change by. */
struct fmt_digest_input {
	uint8_t type;  /* enum fmt_type */
	uint64_t size; /* bytes */
	int64_t mtime_s;
	uint32_t mtime_ns;
	int64_t ctime_s;
	uint32_t ctime_ns;
	uint64_t inode;
};
#define FMT_DIGEST_LEN 16
void fmt_digest(uint8_t ret[FMT_DIGEST_LEN], const uint8_t state_key[32],
    const struct fmt_digest_input *in);

/* Parts of a digest that two may agree in. */
enum fmt_digest_part {
	FMT_SAME_DATA = 1,  /* type, size and mtime */
	FMT_SAME_CTIME = 2,
	FMT_SAME_INODE = 4,
};
unsigned fmt_digest_same(const uint8_t a[FMT_DIGEST_LEN],
    const uint8_t b[FMT_DIGEST_LEN]);

#endif
