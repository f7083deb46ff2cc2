#ifndef TESTS_UNIT_STORE_LOOKERS_H
#define TESTS_UNIT_STORE_LOOKERS_H

#include "repo/store/store_repair.h"
#include "tests/unit/store_actors.h"

/*
 * Actors who look for damage while all others are at work.  There is none, so
 * what they find would be a false alarm, and what they mended a loss.
 */

static inline void false_alarm(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	struct actor *a = ctx;
	struct task *t = a->arg;
	char text[BACKEND_KEY_MAX + 40];

	(void)id;
	if (a->killed)
		return; /* what the dead cannot read is not damaged */
	snprintf(text, sizeof(text), "%s takes %s for damaged", a->name, key);
	world_break(t->w, text, what);
}

static inline void run_checker(struct actor *a)
{
	struct task *t = a->arg;
	struct store_check_options opt = { .read_percent = t->force ? 100 : 0 };
	struct store_check_result res;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);

	t->result = -1;
	if (st != NULL)
		t->result = store_check(st, &opt, false_alarm, a, &res, &t->err);
	actor_say(a, "check ends", t->result, &t->err);
	store_close(st);
}

static inline void run_repairer(struct actor *a)
{
	struct task *t = a->arg;
	struct store_repair_options opt = { .read_data = t->force,
		.report = false_alarm, .ctx = a };
	struct store_repair_result res = { .bad = 0 };
	struct store_repair *r = NULL;
	struct store *st = world_open(stepped_new(a, &t->err), &t->err);

	t->result = -1;
	if (st != NULL)
		r = store_repair_begin(st, &opt, &t->err);
	if (r != NULL)
		t->result = store_repair_end(r, &res, &t->err);
	actor_say(a, "repair ends", t->result, &t->err);
	if (t->result == 0 && (res.bad != 0 || res.lost != 0 ||
	        res.removed != 0 || res.rewritten != 0))
		world_break(t->w, a->name, "mended what was whole");
	store_close(st);
}

#endif
