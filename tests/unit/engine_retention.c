/* Retention: policies over tables of snapshots. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/engine/retention.h"

#define MAX 16
#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)
#define CET "CET-1CEST,M3.5.0,M10.5.0/3"

static char host[] = "host", none[] = "";

/* Seconds since 1970 of "2026-11-01T12:00" in UTC. */
static int64_t at(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M", &tm);

	assert_true(end != NULL && *end == '\0');
	return (int64_t)timegm(&tm) * SECOND;
}

static void zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

struct world {
	struct store_snapshot sn[MAX], *p[MAX];
	char *tag[MAX];
	size_t n;
	struct engine_policy policy;
	struct engine_verdict *v;
};

/* Snapshots at these times; made by a slot with all rights. */
static void fill(struct world *w, const char *const *times)
{
	*w = (struct world){ .n = 0 };
	for (; times[w->n] != NULL; w->n++) {
		struct store_snapshot *s = &w->sn[w->n];

		assert_true(w->n < MAX);
		s->start_ns = s->end_ns = s->stored_ns = at(times[w->n]);
		s->slot_rights = STORE_WRITE | STORE_READ | STORE_ADMIN;
		s->volume = s->host = host;
		s->origin = none;
		snprintf(s->session, sizeof(s->session), "session-%02zu", w->n);
		w->p[w->n] = s;
	}
	w->policy.now_ns = at("2040-01-01T00:00");
}

static void tag(struct world *w, size_t i, const char *text)
{
	static char room[MAX][16];

	snprintf(room[i], sizeof(room[i]), "%s", text);
	w->tag[i] = room[i];
	w->sn[i].tags = (struct store_strings){ &w->tag[i], 1 };
}

static void judge(struct world *w)
{
	struct err err;

	engine_verdicts_free(w->v, w->n);
	w->v = NULL;
	if (engine_retain(&w->policy, w->p, w->n, &w->v, &err) != 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < w->n; i++) {
		assert_ptr_equal(w->v[i].sn, w->p[i]);
		assert_true(w->v[i].why.n > 0);
	}
}

/* Judge; "+-+" says which are kept. */
static void expect(struct world *w, const char *kept)
{
	char got[MAX + 1] = "";

	judge(w);
	for (size_t i = 0; i < w->n; i++)
		got[i] = w->v[i].keep ? '+' : '-';
	assert_string_equal(got, kept);
}

static void expect_why(const struct world *w, size_t i, const char *why)
{
	char all[512] = "";

	for (size_t k = 0; k < w->v[i].why.n; k++) {
		strncat(all, k > 0 ? "; " : "", sizeof(all) - strlen(all) - 1);
		strncat(all, w->v[i].why.v[k], sizeof(all) - strlen(all) - 1);
	}
	assert_string_equal(all, why);
}

static void done(struct world *w)
{
	engine_verdicts_free(w->v, w->n);
}

#define TIMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* --- counts -----------------------------------------------------------------------*/

static void the_newest_of_each_period_stays(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-30T08:00", "2026-10-31T10:00",
	    "2026-10-31T23:59", "2026-11-01T00:00", "2026-11-01T00:30",
	    "2026-11-01T12:00"));
	w.policy.last = 2;
	expect(&w, "----++");
	expect_why(&w, 5, "last 1");
	expect_why(&w, 0, "no rule keeps it");
	w.policy.last = 0;
	w.policy.daily = 2;
	expect(&w, "--+--+");
	expect_why(&w, 5, "daily 2026-11-01");
	w.policy.hourly = 3;
	expect(&w, "--+-++");
	expect_why(&w, 5, "hourly 2026-11-01 12:00 +0000; daily 2026-11-01");
	w.policy.hourly = w.policy.daily = 0;
	w.policy.last = ENGINE_KEEP_ALL;
	expect(&w, "++++++");
	done(&w);
}

static void the_oldest_stays_while_a_rule_is_not_full(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-03-01T08:00", "2026-05-01T08:00",
	    "2026-10-31T23:00", "2026-11-01T12:00"));
	w.policy.yearly = 3;
	expect(&w, "+--+");
	expect_why(&w, 0, "oldest, while yearly has room");
	w.policy.yearly = 1;
	expect(&w, "---+");
	done(&w);
}

static void months_end_where_the_calendar_says(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	/* 2028 is a leap year, 2027 is not. */
	fill(&w, TIMES("2027-01-31T23:59", "2027-02-28T23:59",
	    "2027-03-01T00:00", "2028-02-28T12:00", "2028-02-29T12:00",
	    "2028-03-01T00:00", "2028-12-31T23:59"));
	w.policy.monthly = 6;
	expect(&w, "+++-+++");
	w.policy.monthly = 4;
	expect(&w, "--+-+++");
	expect_why(&w, 4, "monthly 2028-02");
	w.policy.monthly = 0;
	w.policy.yearly = 2;
	expect(&w, "--+---+");
	done(&w);
}

static void weeks_are_those_of_the_calendar(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	/* Thursday, Friday, Sunday, Monday: three in week 53 of 2026. */
	fill(&w, TIMES("2026-12-20T12:00", "2026-12-31T12:00",
	    "2027-01-01T12:00", "2027-01-03T23:59", "2027-01-04T00:00"));
	w.policy.weekly = 2;
	expect(&w, "---++");
	expect_why(&w, 3, "weekly 2026-W53");
	expect_why(&w, 4, "weekly 2027-W01");
	done(&w);
}

/* --- zones -------------------------------------------------------------------------*/

static void days_are_those_of_the_time_zone(void **state)
{
	struct world w;

	(void)state;
	fill(&w, TIMES("2026-10-30T12:00", "2026-10-31T22:30",
	    "2026-10-31T23:30", "2026-11-01T01:00"));
	w.policy.daily = 2;
	zone("UTC");
	expect(&w, "--++");
	zone(CET); /* 23:30 and 00:30 there */
	expect(&w, "-+-+");
	zone("EST5EDT,M3.2.0,M11.1.0"); /* the evening before */
	expect(&w, "+--+");
	done(&w);
}

static void the_hour_that_comes_twice_counts_twice(void **state)
{
	struct world w;

	(void)state;
	zone(CET);
	/* 02:30 CEST, 02:30 CET, 03:30 CET on 2026-10-25. */
	fill(&w, TIMES("2026-10-24T20:00", "2026-10-25T00:30",
	    "2026-10-25T01:30", "2026-10-25T02:30"));
	w.policy.hourly = 3;
	expect(&w, "-+++");
	expect_why(&w, 1, "hourly 2026-10-25 02:00 +0200");
	expect_why(&w, 2, "hourly 2026-10-25 02:00 +0100");
	/* That day has 25 hours and is one day; the one in March has 23. */
	w.policy.hourly = 0;
	w.policy.daily = 1;
	expect(&w, "---+");
	done(&w);
	fill(&w, TIMES("2026-03-28T22:30", "2026-03-28T23:30",
	    "2026-03-29T21:59", "2026-03-29T22:01"));
	w.policy.daily = 3;
	expect(&w, "+-++");
	done(&w);
}

/* --- spans --------------------------------------------------------------------------*/

static struct engine_span span(const char *text)
{
	struct engine_span s;
	struct err err;

	if (engine_span_parse(text, false, &s, &err) != 0)
		fail_msg("%s", err.msg);
	return s;
}

static void a_span_counts_from_the_newest_by_the_calendar(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-02-27T12:00", "2026-02-28T11:59",
	    "2026-02-28T12:00", "2026-03-31T12:00"));
	w.policy.now_ns = at("2036-01-01T00:00");
	w.policy.within = span("1m");
	expect(&w, "--++");
	expect_why(&w, 2, "within 1m of the newest");
	w.policy.within = span("30d");
	expect(&w, "---+");
	w.policy.within = span("1m1d"); /* 2026-02-27T12:00: just so */
	expect(&w, "++++");
	w.policy.within = span("744h");
	expect(&w, "--++"); /* 31 days: from 2026-02-28T12:00 */
	done(&w);
	/* A leap day a year later. */
	fill(&w, TIMES("2027-02-27T12:00", "2027-02-28T12:00",
	    "2028-02-29T12:00"));
	w.policy.within = span("1y");
	expect(&w, "-++");
	done(&w);
	/* Days are of the calendar, hours are hours. */
	zone(CET);
	fill(&w, TIMES("2026-10-24T10:30", "2026-10-24T11:30",
	    "2026-10-25T11:00"));
	w.policy.within = span("1d"); /* 12:00 CET back to 12:00 CEST */
	expect(&w, "+++");
	w.policy.within = span("24h");
	expect(&w, "-++");
	done(&w);
}

static void spans_are_read(void **state)
{
	static const char *const bad[] = {
		"", "d", "7", "7x", "-1d", "1d ", " 1d", "1.5d", "0d",
		"999999999d", "99999999999999999999d", "1D",
	};
	struct engine_span s;
	struct err err;

	(void)state;
	s = span("1y2m3w4d5h");
	assert_true(s.years == 1 && s.months == 2 && s.days == 25 &&
	    s.hours == 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(engine_span_parse(bad[i], false, &s, &err), -1);
		assert_int_equal(err.class, ERR_USAGE);
	}
	assert_int_equal(engine_span_parse("0d", true, &s, &err), 0);
	assert_int_equal(engine_span_ns(&s), 0);
	s = span("7d");
	assert_int_equal(engine_span_ns(&s), 7 * DAY);
	s = span("100000y100000m");
	assert_int_equal(engine_span_ns(&s), INT64_MAX);
}

/* --- ties, tags, groups --------------------------------------------------------------*/

static void equal_times_are_told_apart_by_name(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-11-01T12:00", "2026-11-01T12:00",
	    "2026-11-01T12:00"));
	w.policy.last = 1;
	expect(&w, "--+");
	/* In whatever order they come. */
	w.p[0] = &w.sn[2];
	w.p[2] = &w.sn[0];
	expect(&w, "+--");
	done(&w);
}

static void the_order_of_the_list_changes_nothing(void **state)
{
	struct world w;
	char kept[MAX + 1] = "";
	unsigned x = 12345;

	(void)state;
	zone(CET);
	fill(&w, TIMES("2025-12-31T23:30", "2026-01-01T00:30",
	    "2026-03-29T01:30", "2026-06-01T00:00", "2026-06-30T22:30",
	    "2026-07-01T00:00", "2026-10-25T00:30", "2026-10-25T01:30",
	    "2026-10-31T23:30", "2026-11-01T00:30"));
	w.policy = (struct engine_policy){ .hourly = 2, .daily = 3,
		.monthly = 3, .yearly = 2, .now_ns = w.policy.now_ns };
	judge(&w);
	for (size_t i = 0; i < w.n; i++)
		kept[i] = w.v[i].keep ? '+' : '-';
	for (int round = 0; round < 50; round++) {
		for (size_t i = w.n; i > 1; i--) {
			size_t k = (x = x * 1103515245 + 12345) / 65536 % i;
			struct store_snapshot *t = w.p[i - 1];

			w.p[i - 1] = w.p[k];
			w.p[k] = t;
		}
		judge(&w);
		for (size_t i = 0; i < w.n; i++)
			assert_int_equal(w.v[i].keep ? '+' : '-',
			    kept[w.p[i] - w.sn]);
	}
	done(&w);
}

static void tags_keep(void **state)
{
	static const char *const want[] = { "x", "y" };
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-01T12:00", "2026-10-02T12:00",
	    "2026-10-03T12:00", "2026-10-04T12:00"));
	tag(&w, 0, "y");
	tag(&w, 1, "z");
	w.policy.last = 1;
	w.policy.tags = want;
	w.policy.ntags = 2;
	expect(&w, "+--+");
	expect_why(&w, 0, "tag y");
	done(&w);
}

static void a_slot_never_displaces_another_and_groups_are_refined(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-01T12:00", "2026-10-02T12:00",
	    "2026-10-03T12:00", "2026-10-04T12:00"));
	w.policy.last = 1;
	w.sn[0].slot[7] = 1;
	w.sn[1].volume_id[31] = 1;
	expect(&w, "++-+");
	assert_int_equal(w.v[0].group, 0);
	assert_int_equal(w.v[1].group, 1);
	assert_int_equal(w.v[2].group, 2);
	assert_int_equal(w.v[3].group, 2);
	tag(&w, 2, "t");
	expect(&w, "++-+");
	w.policy.group_by = ENGINE_BY_TAGS;
	expect(&w, "++++");
	w.policy.group_by = ENGINE_BY_HOST;
	expect(&w, "++-+");
	w.sn[2].host = none;
	expect(&w, "++++");
	w.policy.group_by = ENGINE_BY_PATHS;
	expect(&w, "++-+");
	w.sn[2].paths = w.sn[2].tags;
	expect(&w, "++++");
	done(&w);
}

/* --- what protects ---------------------------------------------------------------------*/

static void the_young_of_weak_slots_stay(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-20T12:00", "2026-10-25T11:59",
	    "2026-10-25T12:01", "2026-10-31T12:00"));
	w.policy.now_ns = at("2026-11-01T12:00");
	w.policy.last = 1;
	expect(&w, "---+");
	for (size_t i = 0; i < w.n; i++)
		w.sn[i].slot_rights = STORE_WRITE;
	expect(&w, "--++");
	expect_why(&w, 2, "younger than 7 days (its slot has no admin right)");
	/* What was only stored lately is young, as far as they agree. */
	w.sn[1].stored_ns += DAY / 2;
	expect(&w, "-+++");
	w.policy.has_min_age = true;
	expect(&w, "---+");
	w.policy.min_age_ns = 10 * DAY;
	expect(&w, "-+++");
	for (size_t i = 0; i < w.n; i++)
		w.sn[i].slot_rights |= STORE_ADMIN;
	expect(&w, "-+++");
	expect_why(&w, 1, "younger than 10 days");
	/* A thief's snapshots, dated as it likes, take nothing young away. */
	w.policy.has_min_age = false;
	for (size_t i = 0; i < w.n; i++)
		w.sn[i].slot_rights = STORE_WRITE;
	w.sn[3].start_ns += DAY - 1;
	expect(&w, "-+++");
	/* One that is dated further away takes no part. */
	w.sn[3].start_ns = INT64_MAX;
	expect(&w, "-+++");
	assert_true(w.v[3].disputed);
	w.policy.within = span("1d");
	expect(&w, "-+++");
	expect_why(&w, 2, "last 1; within 1d of the newest; younger than 7 days "
	    "(its slot has no admin right)");
	done(&w);
}

static void a_disputed_time_takes_no_part_until_it_is_decided(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-01T12:00", "2026-10-02T12:00",
	    "2026-10-03T12:00", "2026-10-04T12:00"));
	w.policy.last = 1;
	/* Its clock was a year ahead: it says that it is the newest. */
	w.sn[1].start_ns += 365 * DAY;
	w.sn[1].end_ns = w.sn[1].start_ns;
	expect(&w, "-+-+");
	assert_true(w.v[1].disputed && !w.v[0].disputed);
	expect_why(&w, 1, "its own time and the store's differ by 365 days "
	    "(say --clock own or --clock store)");
	w.policy.clock = ENGINE_CLOCK_OWN;
	expect(&w, "-+--");
	w.policy.clock = ENGINE_CLOCK_STORE;
	expect(&w, "---+");
	/* A year back. */
	w.sn[1].start_ns -= 730 * DAY;
	w.sn[1].end_ns = w.sn[1].start_ns;
	w.policy.clock = ENGINE_CLOCK_NONE;
	expect(&w, "-+-+");
	w.policy.clock = ENGINE_CLOCK_STORE;
	expect(&w, "---+");
	/* A backup that took three days was stored when it ended. */
	w.policy.clock = ENGINE_CLOCK_NONE;
	w.sn[1].end_ns = w.sn[1].stored_ns;
	expect(&w, "-+-+"); /* it did not take a year */
	w.sn[1].start_ns = w.sn[1].end_ns - 3 * DAY;
	expect(&w, "---+");
	assert_false(w.v[1].disputed);
	w.sn[1].start_ns = w.sn[1].end_ns - 365 * DAY;
	/* A copy was stored when it was copied. */
	w.sn[1].end_ns = w.sn[1].start_ns -= 365 * DAY;
	w.sn[1].origin = host;
	expect(&w, "---+");
	done(&w);
}

static void the_newest_complete_one_stays(void **state)
{
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-01T12:00", "2026-10-02T12:00",
	    "2026-10-03T12:00", "2026-10-04T12:00"));
	w.policy.last = 1;
	w.sn[3].flags = w.sn[2].flags = STORE_INCOMPLETE;
	expect(&w, "-+-+");
	expect_why(&w, 1, "the newest that is complete");
	w.sn[3].flags = 0;
	expect(&w, "---+");
	for (size_t i = 0; i < w.n; i++)
		w.sn[i].flags = STORE_INCOMPLETE;
	expect(&w, "---+");
	done(&w);
}

static void a_policy_that_keeps_nothing_is_refused(void **state)
{
	static const char *const want[] = { "x" };
	struct engine_verdict *v;
	struct err err = ERR_INIT;
	struct world w;

	(void)state;
	zone("UTC");
	fill(&w, TIMES("2026-10-01T12:00", "2026-10-02T12:00"));
	assert_int_equal(engine_retain(&w.policy, w.p, w.n, &v, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	/* One that keeps nothing here keeps the last. */
	w.policy.tags = want;
	w.policy.ntags = 1;
	expect(&w, "-+");
	expect_why(&w, 1, "the last of its volume (--allow-none lets it go)");
	w.policy.allow_none = true;
	expect(&w, "--");
	w.policy.ntags = 0;
	expect(&w, "--");
	w.policy.now_ns = at("2026-10-03T12:00");
	w.sn[1].slot_rights = STORE_WRITE;
	expect(&w, "-+");
	done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_of_each_period_stays),
		cmocka_unit_test(the_oldest_stays_while_a_rule_is_not_full),
		cmocka_unit_test(months_end_where_the_calendar_says),
		cmocka_unit_test(weeks_are_those_of_the_calendar),
		cmocka_unit_test(days_are_those_of_the_time_zone),
		cmocka_unit_test(the_hour_that_comes_twice_counts_twice),
		cmocka_unit_test(a_span_counts_from_the_newest_by_the_calendar),
		cmocka_unit_test(spans_are_read),
		cmocka_unit_test(equal_times_are_told_apart_by_name),
		cmocka_unit_test(the_order_of_the_list_changes_nothing),
		cmocka_unit_test(tags_keep),
		cmocka_unit_test(
		    a_slot_never_displaces_another_and_groups_are_refined),
		cmocka_unit_test(the_young_of_weak_slots_stay),
		cmocka_unit_test(
		    a_disputed_time_takes_no_part_until_it_is_decided),
		cmocka_unit_test(the_newest_complete_one_stays),
		cmocka_unit_test(a_policy_that_keeps_nothing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
