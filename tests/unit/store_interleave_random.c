/*
 * Writers, collectors and all others at once on the real code, interleaved as a
 * seed says, with crashes, clocks that jump, answers that are lost and listings
 * that take a while.  At every moment what is live is whole; in the end nothing
 * is left over.
 *
 * RUNS is how many seeds are tried, SEED the first of them (drawn without it);
 * a failure names its seed, with which the same run comes again.
 */

#include <time.h>
#include <unistd.h>

#include "repo/base/log.h"
#include "tests/unit/store_lookers.h"
#include "tests/unit/store_quiet.h"

#define RUNS_DEFAULT 250
#define STEPS_MAX 60000

/* How the next actor is chosen. */
enum policy { UNIFORM, STICKY, PRIORITIES, POLICIES };

struct chaos {
	struct world w;
	struct task task[ACTORS];
	enum policy policy;
	unsigned current;           /* STICKY: who goes on */
	unsigned rank[ACTORS];      /* PRIORITIES: the highest that can goes on */
	bool jumps, skewed;
	unsigned kills;
	unsigned chunks;            /* so many are there: the fewer, the more is shared */
};

static uint64_t of_env(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return v == NULL ? otherwise : strtoull(v, NULL, 10);
}

/* --- who takes part --------------------------------------------------------------*/

static struct task *chaos_task(struct chaos *c)
{
	struct task *t = &c->task[c->w.s.n];

	*t = (struct task){ .w = &c->w };
	return t;
}

static int64_t chaos_skew(struct chaos *c)
{
	static const int64_t by[] = { 0, 0, -400 * SIM_DAY, 3 * SIM_DAY };

	return c->skewed ? by[draw(4)] : 0;
}

static void add_writer(struct chaos *c)
{
	static const char *const volume[] = { "a", "a", "b" };
	struct task *t = chaos_task(c);

	t->volume = volume[draw(3)];
	t->parent = draw(4) == 0 ? "none" : NULL;
	t->chunks = draw(1 << c->chunks);
	if (t->chunks == 0)
		t->chunks = 1;
	t->rounds = 1 + draw(3);
	t->checkpoints = draw(3) == 0;
	t->gives_up = draw(6) == 0;
	sched_add(&c->w.s, "W", run_writer, t, chaos_skew(c));
}

static void add_collector(struct chaos *c)
{
	static const unsigned waste[] = { 1, 20, 50 };
	struct task *t = chaos_task(c);

	t->rounds = 1 + draw(4);
	t->gc.max_waste = waste[draw(3)];
	t->gc.abandon = draw(8) == 0;
	t->gc.max_repack = draw(4) == 0;
	sched_add(&c->w.s, "C", run_collector, t, chaos_skew(c));
}

static void add_other(struct chaos *c)
{
	static const struct {
		const char *name;
		void (*run)(struct actor *a);
	} others[] = {
		{ "F", run_forgetter }, { "F", run_forgetter },
		{ "F", run_forgetter }, { "M", run_merger },
		{ "M", run_merger }, { "R", run_reader },
		{ "K", run_checker }, { "P", run_repairer },
		{ "E", run_rotator },
	};
	unsigned which = draw(sizeof(others) / sizeof(others[0]));
	struct task *t = chaos_task(c);

	t->rounds = draw(3);
	t->force = draw(2) == 0;
	sched_add(&c->w.s, others[which].name, others[which].run, t,
	    chaos_skew(c));
}

/* Tell actors of one kind apart in the trace. */
static void name_actors(struct chaos *c)
{
	for (unsigned i = 0; i < c->w.s.n; i++)
		snprintf(c->w.s.a[i].name + 1, sizeof(c->w.s.a[i].name) - 1,
		    "%u", i);
}

/* --- the run -----------------------------------------------------------------------*/

static bool can_go(const struct chaos *c, unsigned i)
{
	return !c->w.s.a[i].done;
}

static unsigned any_actor(const struct chaos *c)
{
	unsigned i;

	do
		i = draw(c->w.s.n);
	while (!can_go(c, i));
	return i;
}

static unsigned next_actor(struct chaos *c)
{
	unsigned best = ACTORS;

	if (c->policy == UNIFORM)
		return any_actor(c);
	if (c->policy == STICKY) {
		if (!can_go(c, c->current) || draw(12) == 0)
			c->current = any_actor(c);
		return c->current;
	}
	/* Now and then the one that runs falls behind all others. */
	for (unsigned i = 0; i < c->w.s.n; i++)
		if (can_go(c, i) && (best == ACTORS || c->rank[i] > c->rank[best]))
			best = i;
	if (draw(40) == 0) {
		c->rank[best] = draw(1000);
		for (unsigned i = 0; i < c->w.s.n; i++)
			c->rank[i] += 1000;
		c->rank[best] -= 1000;
	}
	return best;
}

/* A step that is not an actor's: time, the network, a crash. */
static void chaos_event(struct chaos *c)
{
	static const int64_t jump[] = { 5 * SIM_S, 6 * SIM_MIN, 31 * SIM_MIN,
		31 * SIM_MIN, 31 * SIM_MIN, 300 * SIM_MIN, 31 * SIM_DAY };

	if (c->jumps && draw(60) == 0)
		world_jump(&c->w, jump[draw(7)]);
	if (c->w.s.nlate > 0 && draw(20) == 0)
		late_take(&c->w.s, draw(c->w.s.nlate), draw(4) != 0);
	if (c->kills > 0 && draw(80) == 0) {
		c->kills--;
		sched_kill(&c->w.s.a[any_actor(c)]);
	}
}

static bool all_done(const struct chaos *c)
{
	for (unsigned i = 0; i < c->w.s.n; i++)
		if (!c->w.s.a[i].done)
			return false;
	return true;
}

static void chaos_run(struct chaos *c)
{
	unsigned steps = 0;

	while (!all_done(c) && !c->w.broken) {
		if (++steps > STEPS_MAX)
			world_break(&c->w, "no end", "somebody runs for ever");
		chaos_event(c);
		if (!all_done(c))
			sched_step(&c->w.s.a[next_actor(c)]);
	}
	for (unsigned i = 0; i < c->w.s.n; i++)
		if (!c->w.s.a[i].done)
			sched_kill(&c->w.s.a[i]);
}

static void chaos_begin(struct chaos *c, uint64_t seed)
{
	unsigned n;

	world_init(&c->w, seed);
	c->policy = draw(POLICIES);
	c->current = 0;
	c->jumps = draw(3) != 0;
	c->skewed = draw(4) == 0;
	c->chunks = draw(2) == 0 ? 10 : 1 + draw(4);
	c->kills = draw(2) == 0 ? draw(3) : 0;
	c->w.s.slow_lists = draw(2) == 0;
	c->w.s.lose = draw(2) == 0 ? 2 + draw(3) : 0;
	/* Something to begin with: snapshots, and what is left of others. */
	for (n = draw(4); n > 0; n--) {
		add_writer(c);
		run_out(&c->w.s.a[c->w.s.n - 1]);
	}
	if (draw(3) != 0) {
		struct task *t = chaos_task(c);

		t->rounds = 1 + draw(3);
		run_out(sched_add(&c->w.s, "F", run_forgetter, t, 0));
		world_jump(&c->w, draw(2) * 31 * SIM_MIN);
	}
	for (n = 1 + draw(3); n > 0; n--)
		add_writer(c);
	for (n = 1 + draw(2); n > 0; n--)
		add_collector(c);
	for (n = draw(4); n > 0; n--)
		add_other(c);
	for (unsigned i = 0; i < c->w.s.n; i++)
		c->rank[i] = draw(1000);
	name_actors(c);
}

static unsigned total[7];
static struct chaos c;

/* What the code itself says stands in the trace where it says it. */
static void into_trace(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	if (c.w.s.mem != NULL)
		sched_say(&c.w.s, " ", line, "", 0);
}

static void one_run(uint64_t seed)
{
	/* Every other one as of a store far away. */
	world_readers = seed % 2 == 0 ? 0 : STORE_READERS_INLINE;
	chaos_begin(&c, seed);
	chaos_run(&c);
	if (!c.w.broken)
		world_quiet(&c.w, !c.skewed);
	world_judge(&c.w, "interleaving", seed);
	total[0] += c.w.looks;
	total[1] += c.w.commits;
	total[2] += c.w.forgets;
	total[3] += c.w.collections;
	total[4] += c.w.deleted;
	total[5] += c.w.merges;
	total[6] += c.w.rotations;
	world_release(&c.w);
}

static void nothing_live_is_ever_lost(void **state)
{
	uint64_t runs = of_env("RUNS", RUNS_DEFAULT / of_env("SLOW", 1));
	uint64_t first = of_env("SEED", (uint64_t)time(NULL) * 1000 +
	    (uint64_t)getpid() % 1000);

	(void)state;
	printf("first seed %llu, %llu runs\n", (unsigned long long)first,
	    (unsigned long long)runs);
	fflush(stdout);
	for (uint64_t i = 0; i < runs; i++) {
		one_run(first + i);
		if ((i + 1) % 1000 == 0) {
			printf("%llu runs\n", (unsigned long long)i + 1);
			fflush(stdout);
		}
	}
	printf("%u looks, %u commits, %u forgotten, %u collections, "
	    "%u packs deleted, %u merges, %u new epochs\n", total[0], total[1],
	    total[2], total[3], total[4], total[5], total[6]);
	/* It was about something. */
	if (runs >= 100)
		for (int i = 0; i < 7; i++)
			assert_true(total[i] > runs / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_live_is_ever_lost),
	};

	log_set_sink(into_trace, NULL, LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
