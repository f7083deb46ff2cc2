#ifndef REPO_STORE_STORE_REPAIR_H
#define REPO_STORE_STORE_REPAIR_H

#include "repo/store/store_check.h"

/*
 * Mending what can be mended: the index from pack directories, damaged blobs
 * declared absent so that the next backup stores them again.
 */

struct store_repair_options {
	bool dry_run;            /* tell, put nothing */
	bool read_data;          /* verify every blob, not only structure */
	bool sole_administrator; /* needed on a weak store (R12) */
	unsigned threads;
	struct store_executor executor;
	bool (*cancelled)(void *ctx);
	void (*progress)(void *ctx, uint64_t done, uint64_t total); /* packs */
	void *ctx;
};

struct store_repair_result {
	struct store_check_result check;
	uint64_t indexed;   /* packs that no good segment named, named again */
	uint64_t segments;  /* written */
	uint64_t bad;       /* blobs newly listed as damaged */
	uint64_t healed;    /* listed before, with a good copy now */
};

/*
 * Look as store_check does and mend.  Each damage, and what was done, is told
 * to report.  Needs admin.  What it writes is added (segments, a bad list);
 * nothing is removed, and it can be ended and run again at any moment.
 */
int store_repair(struct store *st, const struct store_repair_options *opt,
    void (*report)(void *ctx, const char *key, const uint8_t *id,
        const char *what),
    void *ctx, struct store_repair_result *ret, struct err *err);

/*
 * Blobs that were found damaged: a session takes them for absent, a reader
 * tries their copies last.  *ret_bad is true when the copy of that id in that
 * pack is listed.
 */
int store_bad_has(struct store *st, const uint8_t id[STORE_ID_LEN],
    uint32_t pack, bool *ret_bad, struct err *err);

#endif
