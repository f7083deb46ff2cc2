#ifndef AGENT_ENGINE_RETENTION_H
#define AGENT_ENGINE_RETENTION_H

#include "repo/store/store.h"

/*
 * Which snapshots a policy keeps.  Pure: it reads no clock and no store, but
 * the time zone of the process.  README.md says what was decided and why.
 */

/* A span by the calendar: "1y6m", "30d", "36h", "2w". */
struct engine_span { unsigned years, months, days, hours; };

/*
 * Parse numbers each with its unit: y, m (months), w, d, h.  Class USAGE when
 * text is none, or is nothing in all and may not be.
 */
int engine_span_parse(const char *text, bool zero, struct engine_span *ret,
    struct err *err);
/* In ns, a year as 366 days and a month as 31: never too short. */
int64_t engine_span_ns(const struct engine_span *s);

/* What groups are made by, beside slot and volume; or-ed. */
enum engine_group_by {
	ENGINE_BY_HOST = 1, ENGINE_BY_TAGS = 2, ENGINE_BY_PATHS = 4,
};

/* Whose time counts where a snapshot's own and the store's differ. */
enum engine_clock { ENGINE_CLOCK_NONE, ENGINE_CLOCK_OWN, ENGINE_CLOCK_STORE };

#define ENGINE_KEEP_ALL UINT32_MAX

struct engine_policy {
	/* How many of each to keep; ENGINE_KEEP_ALL: as many as there are. */
	unsigned last, hourly, daily, weekly, monthly, yearly;
	struct engine_span within;  /* of the newest of the group */
	const char *const *tags;    /* each with one of them is kept */
	size_t ntags;
	bool allow_none;            /* a group may lose all */
	unsigned group_by;          /* enum engine_group_by */
	bool has_min_age;           /* min_age_ns was given: for every slot */
	int64_t min_age_ns;         /* else 7 days, for slots without admin */
	enum engine_clock clock;
	int64_t now_ns;             /* for the minimum age */
};

struct engine_verdict {
	const struct store_snapshot *sn; /* borrowed */
	size_t group;      /* groups are numbered from 0 as they first appear */
	bool keep;
	bool disputed;     /* its own time and the store's differ by over a day */
	struct store_strings why; /* "daily 2026-11-01", ...; at least one */
};

/*
 * Judge the n snapshots of sn, none of them a checkpoint, in any order.
 * *ret receives n verdicts in the same order; free with the other.  Class USAGE
 * when the policy keeps nothing and that was not allowed.
 */
int engine_retain(const struct engine_policy *p,
    struct store_snapshot *const *sn, size_t n, struct engine_verdict **ret,
    struct err *err);
/* Return true when p's minimum age protects it; of p no rule counts. */
bool engine_retain_young(const struct engine_policy *p,
    const struct store_snapshot *sn);
void engine_verdicts_free(struct engine_verdict *v, size_t n);

#endif
