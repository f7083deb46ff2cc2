#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/retention.h"
#include "repo/base/mem.h"

/*
 * Retention: a policy is applied to each group of snapshots, from the newest
 * to the oldest.  A rule such as "daily 7" keeps the newest snapshot of each of
 * the last seven days that have one.
 */

#define NS_SECOND INT64_C(1000000000)
#define NS_DAY (86400 * NS_SECOND)
#define MIN_AGE_DEFAULT (7 * NS_DAY)
#define DISPUTE_NS NS_DAY
#define RUN_NS_MAX (30 * NS_DAY) /* no backup takes so long */
#define SPAN_MAX 100000u /* of one unit */
#define LABEL_MAX 48

/* --- spans ----------------------------------------------------------------------*/

int engine_span_parse(const char *text, bool zero, struct engine_span *ret,
    struct err *err)
{
	struct engine_span s = { 0 };
	const char *p = text;
	uint64_t all = 0;

	while (*p != '\0') {
		char *end;
		unsigned long n = strtoul(p, &end, 10);
		unsigned *to = NULL;

		if (*p < '0' || *p > '9' || n > SPAN_MAX)
			break;
		if (*end == 'y')
			to = &s.years;
		else if (*end == 'm')
			to = &s.months;
		else if (*end == 'w' || *end == 'd')
			to = &s.days;
		else if (*end == 'h')
			to = &s.hours;
		if (to == NULL)
			break;
		*to += (unsigned)(*end == 'w' ? 7 * n : n);
		if (*to > 7 * SPAN_MAX)
			break;
		all += n;
		p = end + 1;
	}
	if (p == text || *p != '\0' || (all == 0 && !zero))
		return err_set(err, ERR_USAGE, "'%s' is no span of time (as in "
		    "1y6m, 2w, 30d or 36h)", text);
	*ret = s;
	return 0;
}

int64_t engine_span_ns(const struct engine_span *s)
{
	uint64_t hours = s->hours + 24 * ((uint64_t)s->days +
	    31 * (uint64_t)s->months + 366 * (uint64_t)s->years);

	return hours > INT64_MAX / NS_SECOND / 3600 ? INT64_MAX :
	    (int64_t)hours * 3600 * NS_SECOND;
}

static bool span_given(const struct engine_span *s)
{
	return s->years + s->months + s->days + s->hours > 0;
}

static void span_text(char *dst, size_t cap, const struct engine_span *s)
{
	const struct { unsigned n; char unit; } part[] = {
		{ s->years, 'y' }, { s->months, 'm' }, { s->days, 'd' },
		{ s->hours, 'h' },
	};
	size_t used = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < 4 && used < cap; i++)
		if (part[i].n > 0)
			used += (size_t)snprintf(dst + used, cap - used, "%u%c",
			    part[i].n, part[i].unit);
}

static time_t seconds(int64_t ns)
{
	return (time_t)(ns / NS_SECOND - (ns % NS_SECOND < 0));
}

/* The time that lies s before t by the calendar of the time zone. */
static int64_t before(int64_t t, const struct engine_span *s)
{
	time_t sec = seconds(t);
	struct tm tm;
	int day;

	if (localtime_r(&sec, &tm) == NULL)
		return t;
	/* A month before the 31st is the last day of the month, not the next. */
	day = tm.tm_mday;
	tm.tm_mday = 1;
	tm.tm_year -= (int)s->years;
	tm.tm_mon -= (int)s->months;
	tm.tm_isdst = -1;
	for (struct tm probe; day > 28; day--) {
		probe = tm;
		probe.tm_mday = day;
		probe.tm_hour = 12;
		if (mktime(&probe) != -1 && probe.tm_mday == day)
			break;
	}
	tm.tm_mday = day - (int)s->days;
	/* Hours are hours, whatever the clocks on the wall did. */
	sec = mktime(&tm);
	if (sec > INT64_MAX / NS_SECOND || sec < INT64_MIN / NS_SECOND + 1)
		return INT64_MIN;
	return (int64_t)sec * NS_SECOND + (t - (int64_t)seconds(t) * NS_SECOND) -
	    (int64_t)s->hours * 3600 * NS_SECOND;
}

/* --- one snapshot ------------------------------------------------------------------*/

/* A snapshot while it is judged. */
struct retained {
	const struct store_snapshot *sn;
	struct engine_verdict *v;
	int64_t time;
	bool leaves_out; /* its time is not known: it takes no part */
};

static int64_t distance(int64_t a, int64_t b)
{
	int64_t d;

	if (__builtin_sub_overflow(a, b, &d) || d == INT64_MIN)
		return INT64_MAX;
	return d < 0 ? -d : d;
}

/*
 * How far a snapshot's own time and the store's differ, when that is more than
 * they may; else 0.  It is stored when it ends, so that is what is compared;
 * its start may be as much earlier as a backup may take.  A copy was stored
 * whenever it was copied, which says nothing.
 */
static int64_t disputed_by(const struct store_snapshot *sn)
{
	bool copy = sn->origin != NULL && sn->origin[0] != '\0';
	int64_t end = distance(sn->end_ns, sn->stored_ns);
	int64_t start = distance(sn->start_ns, sn->stored_ns);
	int64_t most = sn->start_ns > sn->stored_ns ? DISPUTE_NS : RUN_NS_MAX;

	if (copy || sn->stored_ns == 0)
		return 0;
	return start > most ? start : end > DISPUTE_NS ? end : 0;
}

static int because(struct engine_verdict *v, bool keep, struct err *err,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int because(struct engine_verdict *v, bool keep, struct err *err,
    const char *fmt, ...)
{
	char **list = realloc(v->why.v, (v->why.n + 1) * sizeof(*list));
	char *text;
	va_list ap;
	int r;

	if (list == NULL)
		return err_nomem(err, "reasons");
	v->why.v = list;
	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0)
		return err_nomem(err, "reasons");
	list[v->why.n++] = text;
	v->keep |= keep;
	return 0;
}

static int judge_time(struct retained *x, const struct engine_policy *p,
    struct err *err)
{
	const struct store_snapshot *sn = x->sn;
	int64_t by = disputed_by(sn);

	x->v->disputed = by > 0;
	x->time = x->v->disputed && p->clock == ENGINE_CLOCK_STORE ?
	    sn->stored_ns : sn->start_ns;
	if (!x->v->disputed || p->clock != ENGINE_CLOCK_NONE)
		return 0;
	x->leaves_out = true;
	return because(x->v, true, err, "its own time and the store's differ "
	    "by %lld day%s (say --clock own or --clock store)",
	    (long long)(by / NS_DAY), by / NS_DAY == 1 ? "" : "s");
}

static int64_t min_age(const struct engine_policy *p,
    const struct store_snapshot *sn)
{
	if (p->has_min_age)
		return p->min_age_ns;
	return sn->slot_rights & STORE_ADMIN ? 0 : MIN_AGE_DEFAULT;
}

/*
 * Whoever stole a credential without the admin right can add snapshots, so
 * that a policy takes older, good ones away; those of the last days stay, in
 * whatever way the thief's are dated.
 */
bool engine_retain_young(const struct engine_policy *p,
    const struct store_snapshot *sn)
{
	int64_t min = min_age(p, sn), made = sn->end_ns, age;

	if (disputed_by(sn) > 0)
		made = p->clock == ENGINE_CLOCK_STORE ? sn->stored_ns : made;
	else if (sn->stored_ns > made)
		made = sn->stored_ns;
	if (min <= 0)
		return false;
	if (__builtin_sub_overflow(p->now_ns, made, &age))
		return made >= 0;
	return age < min;
}

static int judge_age(struct retained *x, const struct engine_policy *p,
    struct err *err)
{
	int64_t min = min_age(p, x->sn);
	bool days = min % NS_DAY == 0;
	int64_t n = days ? min / NS_DAY : min / NS_SECOND / 3600;

	if (!engine_retain_young(p, x->sn))
		return 0;
	return because(x->v, true, err, "younger than %lld %s%s%s",
	    (long long)n, days ? "day" : "hour", n == 1 ? "" : "s",
	    p->has_min_age ? "" : " (its slot has no admin right)");
}

/* --- rules ----------------------------------------------------------------------------*/

enum { RULE_LAST, RULE_HOURLY, RULE_DAILY, RULE_WEEKLY, RULE_MONTHLY,
	RULE_YEARLY, RULES };

static const char *const rule_names[RULES] = {
	"last", "hourly", "daily", "weekly", "monthly", "yearly",
};

struct rule { unsigned left; char last[LABEL_MAX]; };

/*
 * Which hour, day, ... a time is in, as text; equal texts are the same one.
 * Both hours are kept that a clock shows twice: the distance to UTC differs.
 */
static void rule_label(int rule, size_t n, int64_t t, char dst[LABEL_MAX])
{
	static const char *const form[RULES] = {
		NULL, "%Y-%m-%d %H:00 %z", "%Y-%m-%d", "%G-W%V", "%Y-%m", "%Y",
	};
	time_t sec = seconds(t);
	struct tm tm;

	if (rule == RULE_LAST)
		snprintf(dst, LABEL_MAX, "%zu", n);
	else if (localtime_r(&sec, &tm) == NULL ||
	    strftime(dst, LABEL_MAX, form[rule], &tm) == 0)
		snprintf(dst, LABEL_MAX, "?");
}

/* Apply the rules that count to the i-th of n, the newest being the first. */
static int judge_counts(struct rule *rules, struct retained *x, size_t i,
    size_t n, struct err *err)
{
	for (int k = 0; k < RULES; k++) {
		struct rule *r = &rules[k];
		char label[LABEL_MAX];
		int e;

		if (r->left == 0)
			continue;
		rule_label(k, i + 1, x->time, label);
		if (strcmp(label, r->last) != 0)
			e = because(x->v, true, err, "%s %s", rule_names[k],
			    label);
		else if (i + 1 == n)
			e = because(x->v, true, err, "oldest, while %s has room",
			    rule_names[k]);
		else
			continue;
		if (e != 0)
			return -1;
		memcpy(r->last, label, sizeof(label));
		if (r->left != ENGINE_KEEP_ALL)
			r->left--;
	}
	return 0;
}

static int judge_tags(const struct engine_policy *p, struct retained *x,
    struct err *err)
{
	for (size_t i = 0; i < p->ntags; i++)
		for (size_t k = 0; k < x->sn->tags.n; k++)
			if (strcmp(p->tags[i], x->sn->tags.v[k]) == 0)
				return because(x->v, true, err, "tag %s",
				    p->tags[i]);
	return 0;
}

/*
 * What is incomplete counts as any other: a source with one file that nobody
 * can read would never be thinned out else.  But the newest that is complete
 * stays for as long as only incomplete ones came after it.
 */
static int judge_complete(struct retained *x, size_t n, struct err *err)
{
	bool after = false;

	for (size_t i = 0; i < n; i++) {
		if (x[i].sn->flags & STORE_INCOMPLETE) {
			after |= x[i].v->keep;
			continue;
		}
		if (!after || x[i].v->keep)
			return 0;
		return because(x[i].v, true, err, "the newest that is complete");
	}
	return 0;
}

static int judge_group(const struct engine_policy *p, struct retained *x,
    size_t n, struct err *err)
{
	struct rule rules[RULES] = {
		{ p->last, "" }, { p->hourly, "" }, { p->daily, "" },
		{ p->weekly, "" }, { p->monthly, "" }, { p->yearly, "" },
	};
	bool within = span_given(&p->within), any = false;
	int64_t from = within ? before(x[0].time, &p->within) : 0;
	char span[64];

	span_text(span, sizeof(span), &p->within);
	for (size_t i = 0; i < n; i++) {
		if (judge_counts(rules, &x[i], i, n, err) != 0 ||
		    judge_tags(p, &x[i], err) != 0)
			return -1;
		if (within && x[i].time >= from && because(x[i].v, true, err,
		        "within %s of the newest", span) != 0)
			return -1;
		if (judge_age(&x[i], p, err) != 0)
			return -1;
		any |= x[i].v->keep;
	}
	if (judge_complete(x, n, err) != 0)
		return -1;
	if (!any && !p->allow_none && because(x[0].v, true, err, "the last of "
	        "its volume (--allow-none lets it go)") != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!x[i].v->keep && because(x[i].v, false, err,
		        "no rule keeps it") != 0)
			return -1;
	return 0;
}

/* --- groups ----------------------------------------------------------------------------*/

static int strings_cmp(const struct store_strings *a,
    const struct store_strings *b)
{
	size_t n = a->n < b->n ? a->n : b->n;

	for (size_t i = 0; i < n; i++) {
		int c = strcmp(a->v[i], b->v[i]);

		if (c != 0)
			return c;
	}
	return a->n < b->n ? -1 : a->n > b->n;
}

static int group_cmp(const struct engine_policy *p,
    const struct store_snapshot *a, const struct store_snapshot *b)
{
	int c = memcmp(a->slot, b->slot, sizeof(a->slot));

	if (c == 0)
		c = memcmp(a->volume_id, b->volume_id, 32);
	if (c == 0 && (p->group_by & ENGINE_BY_HOST))
		c = strcmp(a->host, b->host);
	if (c == 0 && (p->group_by & ENGINE_BY_TAGS))
		c = strings_cmp(&a->tags, &b->tags);
	if (c == 0 && (p->group_by & ENGINE_BY_PATHS))
		c = strings_cmp(&a->paths, &b->paths);
	return c;
}

/* By group; in it what takes part first, from the newest to the oldest. */
static int retained_cmp(const void *pa, const void *pb, void *ctx)
{
	const struct retained *a = pa, *b = pb;
	int c = group_cmp(ctx, a->sn, b->sn);

	if (c != 0)
		return c;
	if (a->leaves_out != b->leaves_out)
		return a->leaves_out ? 1 : -1;
	if (a->time != b->time)
		return a->time > b->time ? -1 : 1;
	/* Names of one chain go forward where clocks do not. */
	return -strcmp(a->sn->session, b->sn->session);
}

/* Number the groups as they appear in the order of the caller's list. */
static void number_groups(const struct engine_policy *p, struct retained *x,
    size_t n, struct engine_verdict *v)
{
	size_t next = 0;

	for (size_t i = 0; i < n; i++)
		v[i].group = SIZE_MAX;
	/* x is sorted: a group's number is its first in the list's order. */
	for (size_t i = 0; i < n;) {
		size_t end = i + 1, first = (size_t)(x[i].v - v);

		while (end < n && group_cmp(p, x[i].sn, x[end].sn) == 0) {
			size_t at = (size_t)(x[end++].v - v);

			first = at < first ? at : first;
		}
		for (; i < end; i++)
			x[i].v->group = first;
	}
	/* Places in the list become numbers without gaps. */
	for (size_t i = 0; i < n; i++)
		v[i].group = v[i].group == i ? next++ : v[v[i].group].group;
}

static int retain_sorted(const struct engine_policy *p, struct retained *x,
    size_t n, struct err *err)
{
	for (size_t i = 0; i < n;) {
		size_t end = i, all = i + 1;

		while (all < n && group_cmp(p, x[i].sn, x[all].sn) == 0)
			all++;
		while (end < all && !x[end].leaves_out)
			end++;
		if (end > i && judge_group(p, x + i, end - i, err) != 0)
			return -1;
		i = all;
	}
	return 0;
}

/* Would it keep nothing at all, whatever there is? */
static bool policy_empty(const struct engine_policy *p)
{
	return (p->last | p->hourly | p->daily | p->weekly | p->monthly |
	    p->yearly) == 0 && !span_given(&p->within) && p->ntags == 0;
}

int engine_retain(const struct engine_policy *p,
    struct store_snapshot *const *sn, size_t n, struct engine_verdict **ret,
    struct err *err)
{
	struct engine_verdict *v;
	struct retained *x;
	int r = 0;

	if (policy_empty(p) && !p->allow_none)
		return err_set(err, ERR_USAGE, "the policy keeps nothing (give "
		    "--keep-last, -daily, ..., or --allow-none if all shall "
		    "go)");
	v = mem_array(n + 1, sizeof(*v), "verdicts", err);
	x = mem_array(n + 1, sizeof(*x), "verdicts", err);
	if (v == NULL || x == NULL) {
		free(v);
		free(x);
		return -1;
	}
	tzset();
	for (size_t i = 0; i < n && r == 0; i++) {
		v[i].sn = sn[i];
		x[i] = (struct retained){ .sn = sn[i], .v = &v[i] };
		r = judge_time(&x[i], p, err);
	}
	if (r == 0) {
		qsort_r(x, n, sizeof(*x), retained_cmp, (void *)(uintptr_t)p);
		number_groups(p, x, n, v);
		r = retain_sorted(p, x, n, err);
	}
	free(x);
	if (r == 0)
		*ret = v;
	else
		engine_verdicts_free(v, n);
	return r;
}

void engine_verdicts_free(struct engine_verdict *v, size_t n)
{
	for (size_t i = 0; v != NULL && i < n; i++) {
		for (size_t k = 0; k < v[i].why.n; k++)
			free(v[i].why.v[k]);
		free(v[i].why.v);
	}
	free(v);
}
