#ifndef REPO_STORE_STORE_CHECK_INTERNAL_H
#define REPO_STORE_STORE_CHECK_INTERNAL_H

#include "repo/store/store_bad_internal.h"
#include "repo/store/store_check.h"

/* What the files of check share. */

/* A pack that is listed, named by the index, or both. */
struct check_pack {
	uint8_t name[FMT_PACK_NAME_LEN];
	uint64_t size;       /* as listed; 0: not there */
	int64_t time_ns;     /* last found whole; 0: never, or damaged */
	uint32_t first_ref;  /* in refs, after they are sorted */
	uint32_t nrefs;
	uint16_t flags;      /* CHECK_..., each set by who looks at the pack */
};
enum {
	CHECK_CHOSEN = 1,    /* to be read */
	CHECK_DIRECTORY = 2, /* it opened */
	CHECK_NAMED = 4,     /* a good segment says what the directory says */
	CHECK_BROKEN = 8,    /* its structure is damaged */
	CHECK_BAD = 16,      /* a blob in it is damaged */
	CHECK_WHOLE = 32,    /* read, and nothing found */
	CHECK_SUSPECT = 64,  /* a check found it damaged before */
	CHECK_LISTED = 128,  /* in the list of what is damaged */
	CHECK_PARITY = 256,  /* it has parity */
	CHECK_PARITY_BAD = 512, /* which is damaged */
};

/*
 * What one segment says of a pack: how many blobs, and a sum over them (of
 * SipHash under a random key) and its record, to be compared with the pack's
 * own directory and head without holding either.
 */
struct check_ref {
	uint32_t pack;
	uint32_t size, count;
	uint64_t sum;
	uint32_t segment;    /* in segments */
};

struct check {
	struct store *st;
	const struct store_check_options *opt;
	void (*report)(void *ctx, const char *key, const uint8_t *id,
	    const char *what);
	void *report_ctx;
	struct store_check_result *ret;
	uint8_t sum_key[16];
	struct store_dead *dead;      /* packs that collections named */
	struct store_keys segments;   /* those that were looked at */
	uint8_t *unreadable;          /* by segment: it is damaged */
	struct store_bad *bad;        /* the list in force */
	bool mending;                 /* for a repair: also what is listed */
	uint64_t checked_n;           /* highest list of times that was read */
	bool deletes;                 /* a collection has deleted something */
	struct buf found;             /* mending: damaged copies, as in a list */
	uint64_t nfound;
	struct buf small;             /* mending: keys of damaged small objects */
	struct check_pack *packs;
	uint32_t npacks, cappacks;
	uint32_t *slots, nslots;      /* packs by name */
	struct check_ref *refs;
	uint32_t nrefs, caprefs;

	pthread_mutex_t lock;         /* all that follows, report, ret */
	pthread_cond_t changed;
	uint32_t next, done;          /* packs taken, packs looked at */
	unsigned jobs;
	bool failed;
	struct err why;
};

/* Tell a damage.  Takes the lock. */
void store_check_tell(struct check *c, const char *key, const uint8_t *id,
    const char *what);
/*
 * An error while looking at key: told when it is a damage (0), else -1: the
 * look cannot go on.
 */
int store_check_judge(struct check *c, const char *key, const struct err *why);
/* Return -1 with class CANCELLED when it is time to stop. */
int store_check_cancelled(struct check *c, struct err *err);

/* Set c->deletes when a collection has come to a verdict to delete.  0 or -1. */
int store_check_deletes(struct check *c, struct err *err);
/* Tell what is no damage by itself.  Takes the lock. */
void store_check_suspect(struct check *c, const char *key, const uint8_t *id);
/* Does the failure tell of damage, not of this machine or the way to it? */
bool store_check_is_damage(const struct err *why);
/* Fill what is not the caller's; then release is called in any case. */
void store_check_init(struct check *c);
/*
 * The whole look, up to all jobs being done.  What c holds after it stays until
 * store_check_release.
 */
int store_check_run(struct check *c, struct err *err);
void store_check_release(struct check *c);

/* When packs were verified (store_checked.c): fill time_ns and CHECK_SUSPECT. */
int store_checked_read(struct check *c, struct err *err);
/* Write down what this check has found, and remove lists that are older. */
int store_checked_write(struct check *c, struct err *err);
/* Set CHECK_CHOSEN. */
int store_checked_choose(struct check *c, struct err *err);

/* What an entry adds to a pack's sum. */
uint64_t store_check_sum(const struct check *c, const uint8_t *id,
    uint32_t ordinal, uint32_t offset, uint32_t sealed, uint32_t plain);
/* The pack of that name, made when unknown; NULL with err. */
struct check_pack *store_check_pack(struct check *c,
    const uint8_t name[FMT_PACK_NAME_LEN], struct err *err);

/* The same, NULL when it is unknown. */
struct check_pack *store_check_find(struct check *c,
    const uint8_t name[FMT_PACK_NAME_LEN]);

/* --- parity (store_check_parity.c) --------------------------------------------------------*/

struct check_parity;
/* Which packs have parity?  CHECK_PARITY, and how many lack it.  0 or -1. */
int store_check_parities(struct check *c, struct err *err);
/*
 * Compare p's parity with the pack while that is read: begin, then all of its
 * bytes, then end.  A parity that cannot be used is told.  *ret is NULL when
 * there is none.  0 or -1.
 */
int store_check_parity_begin(struct check *c, struct check_pack *p,
    struct check_parity **ret, struct err *err);
void store_check_parity_add(struct check_parity *x, const void *p, size_t len);
/* The pack has been read, and was it found whole?  Tells what is wrong. */
int store_check_parity_end(struct check_parity *x, bool whole, struct err *err);
void store_check_parity_free(struct check_parity *x); /* NULL is fine */
/* Tell which ranges of a damaged pack are damaged and can be healed.  0 or -1. */
int store_check_ranges(struct check *c, const struct check_pack *p,
    struct err *err);

/* Look at every segment and gather what they say of packs. */
int store_check_index(struct check *c, struct err *err);
/* The job: take packs until none is left. */
void store_check_packs(void *arg);

/* --- one pack, also for repair (store_check_look.c) -------------------------------------*/

struct store_heal; /* store_parity_internal.h */

/* The pack that is looked at. */
struct store_look {
	char key[FMT_KEY_MAX];
	uint64_t size;
	struct store_heal *heal; /* read by its parity; NULL: as it is */
	uint8_t head_bytes[FMT_PACK_HEAD_MAX];
	struct fmt_pack_head head;
	size_t head_len;
	struct store_epoch *epoch;
	const struct store_slot *slot;
	struct fmt_pack_layout lay;
	const uint8_t *entries; /* in dir */
	uint32_t count;
};
/*
 * Read head, footer and directory of the pack of that name and size; dir
 * receives the directory's plain text.  -1: NOTFOUND, CORRUPT, or as the
 * backend says.
 */
int store_look_open(struct store *st, const uint8_t name[FMT_PACK_NAME_LEN],
    uint64_t size, struct buf *dir, struct store_look *ret, struct err *err);
/* The same, where damage is put back by parity; the size is what it was. */
int store_look_open_healed(struct store *st, struct store_heal *heal,
    struct buf *dir, struct store_look *ret, struct err *err);
/* What its head says, as a segment would; borrows from l. */
struct fmt_pack_record store_look_record(const struct store_look *l,
    const uint8_t name[FMT_PACK_NAME_LEN]);

#endif
