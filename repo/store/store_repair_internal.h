#ifndef REPO_STORE_STORE_REPAIR_INTERNAL_H
#define REPO_STORE_STORE_REPAIR_INTERNAL_H

#include "repo/store/store_check_internal.h"
#include "repo/store/store_repair.h"
#include "repo/store/store_session_internal.h"

/* What the files of repair share. */

struct store_repair {
	struct store *st;
	struct store_repair_options opt;
	struct store_check_options co;
	struct check c;               /* the look; what it found */
	struct store_repair_result ret;
	struct store_session *s;      /* while it mends; NULL before it must */
	bool wrote;                   /* there was a session */
	uint64_t unnamed;             /* packs that could not be named again */
	struct fmt_list_buf blobs;    /* the list to come */
	struct fmt_list_buf snapshots;
	uint8_t *old_obj;             /* the list in force; NULL: none */
	struct fmt_bad old;
	uint64_t old_n;
	uint64_t *lost;               /* ids told by store_repair_lost */
};

/* Tell what was done, or in a dry run would be. */
void store_repair_tell(struct store_repair *r, const char *key,
    const char *what);
/* Return -1 with class CANCELLED when it is time to stop. */
int store_repair_cancelled(struct store_repair *r, struct err *err);
/* Begin the session, if there is none yet.  0 or -1. */
int store_repair_session(struct store_repair *r, struct err *err);

/* Name again what no good segment names (store_repair_index.c).  0 or -1. */
int store_repair_index(struct store_repair *r, struct err *err);
/* Take whole blobs out of damaged packs (store_repair_rescue.c).  0 or -1. */
int store_repair_rescue(struct store_repair *r, struct err *err);
/* Parity that is missing or damaged (store_repair_parity.c).  0 or -1. */
int store_repair_parity(struct store_repair *r, struct err *err);
/* Objects that nobody can read (store_repair_small.c).  0 or -1. */
int store_repair_small(struct store_repair *r, struct err *err);

#endif
