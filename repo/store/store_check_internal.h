#ifndef REPO_STORE_STORE_CHECK_INTERNAL_H
#define REPO_STORE_STORE_CHECK_INTERNAL_H

#include "repo/store/store_check.h"
#include "repo/store/store_internal.h"

/* What the files of check share. */

/* A pack that is listed, named by the index, or both. */
struct check_pack {
	uint8_t name[FMT_PACK_NAME_LEN];
	uint64_t size;       /* as listed; 0: not there */
	uint32_t first_ref;  /* in refs, after they are sorted */
	uint32_t nrefs;
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

/* What an entry adds to a pack's sum. */
uint64_t store_check_sum(const struct check *c, const uint8_t *id,
    uint32_t ordinal, uint32_t offset, uint32_t sealed, uint32_t plain);
/* The pack of that name, made when unknown; NULL with err. */
struct check_pack *store_check_pack(struct check *c,
    const uint8_t name[FMT_PACK_NAME_LEN], struct err *err);

/* Look at every segment and gather what they say of packs. */
int store_check_index(struct check *c, struct err *err);
/* The job: take packs until none is left. */
void store_check_packs(void *arg);

#endif
