#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/cli_repo.h"
#include "repo/base/clock.h"
#include "repo/store/store_sessions.h"

/* What the options say of keeping snapshots. */

#define POLICY_MAX 1000000u

bool cli_policy_given(const struct cli *cli)
{
	const struct cli_policy *p = &cli->policy;

	return p->last || p->hourly || p->daily || p->weekly || p->monthly ||
	    p->yearly || p->within || p->tags.n > 0 || p->allow_none;
}

static int read_count(const char *name, const char *text, unsigned *ret,
    struct err *err)
{
	char *end;
	unsigned long n;

	if (text == NULL)
		return 0;
	if (strcmp(text, "all") == 0) {
		*ret = ENGINE_KEEP_ALL;
		return 0;
	}
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || n > POLICY_MAX)
		return err_set(err, ERR_USAGE, "--keep-%s=%s is no number (give "
		    "one up to %u, or all)", name, text, POLICY_MAX);
	*ret = (unsigned)n;
	return 0;
}

static int read_groups(const char *text, unsigned *ret, struct err *err)
{
	static const struct { const char *name; unsigned bit; } known[] = {
		{ "host", ENGINE_BY_HOST }, { "tags", ENGINE_BY_TAGS },
		{ "paths", ENGINE_BY_PATHS },
	};

	for (const char *p = text; p != NULL && *p != '\0';) {
		size_t n = strcspn(p, ","), i = 0;

		while (i < 3 && (strlen(known[i].name) != n ||
		    memcmp(known[i].name, p, n) != 0))
			i++;
		if (i == 3)
			return err_set(err, ERR_USAGE, "--group-by=%s is not "
			    "known (it is a list of host, tags, paths)", text);
		*ret |= known[i].bit;
		p += n + (p[n] == ',');
	}
	return 0;
}

int cli_policy_read(const struct cli *cli, struct engine_policy *ret,
    struct err *err)
{
	const struct cli_policy *p = &cli->policy;
	struct engine_span age;

	*ret = (struct engine_policy){
		.tags = p->tags.v, .ntags = p->tags.n,
		.allow_none = p->allow_none,
		.clock = (enum engine_clock)p->clock,
	};
	if (read_count("last", p->last, &ret->last, err) != 0 ||
	    read_count("hourly", p->hourly, &ret->hourly, err) != 0 ||
	    read_count("daily", p->daily, &ret->daily, err) != 0 ||
	    read_count("weekly", p->weekly, &ret->weekly, err) != 0 ||
	    read_count("monthly", p->monthly, &ret->monthly, err) != 0 ||
	    read_count("yearly", p->yearly, &ret->yearly, err) != 0 ||
	    read_groups(p->group_by, &ret->group_by, err) != 0)
		return -1;
	if (p->within != NULL &&
	    engine_span_parse(p->within, false, &ret->within, err) != 0)
		return err_wrap(err, "--keep-within");
	if (p->min_age == NULL)
		return 0;
	if (engine_span_parse(p->min_age, true, &age, err) != 0)
		return err_wrap(err, "--min-age");
	ret->has_min_age = true;
	ret->min_age_ns = engine_span_ns(&age);
	return 0;
}

int cli_policy_now(struct store *st, bool write, int64_t *ret_ns,
    struct err *err)
{
	const int64_t day = (int64_t)86400 * 1000000000;
	int64_t own = clock_real_ns(), its;

	*ret_ns = own;
	if (!write)
		return 0;
	if (store_clock(st, &its, err) != 0)
		return -1;
	if (own - its > day || its - own > day)
		cli_warn("the clock of this machine and the store's differ by "
		    "more than a day: ages go by the earlier one");
	if (its < own)
		*ret_ns = its;
	return 0;
}
