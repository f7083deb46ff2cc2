#ifndef TESTS_UNIT_STORE_SCHED_BACKEND_H
#define TESTS_UNIT_STORE_SCHED_BACKEND_H

#include "tests/unit/store_sched.h"

/*
 * The backend that an actor sees: each call is a step.  Where the world says
 * so, listings take several steps and come in any order, puts lose their
 * answers, and what was sent may arrive minutes later, or twice.
 */

struct stepped {
	struct backend be;
	struct actor *a;
};

static inline int step_in(struct backend *be, const char *op, const char *key,
    struct err *err)
{
	struct actor *a = ((struct stepped *)be)->a;

	/* The dead do not wait for their turn. */
	if (!a->killed)
		actor_pause(a, op, key);
	if (a->killed)
		return err_set(err, ERR_IO, "%s is dead", a->name);
	sim_skew_ns = 0; /* what memory stamps is the store's time */
	return 0;
}

static inline int step_out(struct backend *be, const char *op, const char *key,
    int r, bool changes)
{
	struct actor *a = ((struct stepped *)be)->a;

	sim_skew_ns = a->skew_ns;
	sched_say(a->s, a->name, op, key, r);
	if (changes && r == 0 && a->s->changed != NULL)
		a->s->changed(a->s->ctx, op, key);
	return r;
}

static inline void late_add(struct sched *s, const char *key, const void *data,
    size_t len)
{
	struct late_put *l = &s->late[s->nlate];

	if (s->nlate == sizeof(s->late) / sizeof(s->late[0]))
		return;
	snprintf(l->key, sizeof(l->key), "%s", key);
	l->data = malloc(len + 1);
	memcpy(l->data, data, len);
	l->len = len;
	l->until_ns = sim.ns + 9 * SIM_MIN;
	s->nlate++;
}

/* A late put arrives (or is lost): as a step of its own. */
static inline void late_take(struct sched *s, unsigned i, bool arrives)
{
	struct late_put l = s->late[i];
	struct err err = ERR_INIT;
	int r = 1;

	s->late[i] = s->late[--s->nlate];
	if (arrives)
		r = backend_put(s->mem, l.key, l.data, l.len, &err);
	sched_say(s, "late", arrives ? "put" : "lost", l.key, arrives ? r : 0);
	if (r == 0 && s->changed != NULL)
		s->changed(s->ctx, "put", l.key);
	free(l.data);
}

static inline int step_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	struct sched *s = ((struct stepped *)be)->a->s;
	bool commit = strncmp(key, "snapshots/", 10) == 0;
	unsigned rare = commit ? s->lose : 8 * s->lose;
	unsigned how = commit && s->lost != LOST_NOT ? s->lost :
	    rare != 0 && draw(rare) == 0 ? 1 + draw(3) : LOST_NOT;
	int r;

	if (step_in(be, "put", key, err) != 0)
		return -1;
	if (commit)
		s->lost = LOST_NOT;
	if (how >= LOST_LATE)
		late_add(s, key, data, len);
	if (how == LOST_LATE) {
		step_out(be, "put (under way)", key, -1, false);
		return err_set(err, ERR_TRANSIENT, "%s: no answer", key);
	}
	r = backend_put(s->mem, key, data, len, err);
	step_out(be, "put", key, r, true);
	if (how != LOST_NOT)
		return err_set(err, ERR_TRANSIENT, "%s: answer lost", key);
	return r;
}

static inline int step_put_over(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	if (step_in(be, "put_over", key, err) != 0)
		return -1;
	return step_out(be, "put_over", key, backend_put_over(
	    ((struct stepped *)be)->a->s->mem, key, data, len, err), true);
}

static inline int step_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	if (step_in(be, "get", key, err) != 0)
		return -1;
	return step_out(be, "get", key, backend_get(
	    ((struct stepped *)be)->a->s->mem, key, off, dst, len, err), false);
}

static inline int step_stat(struct backend *be, const char *key,
    struct backend_stat *ret, struct err *err)
{
	if (step_in(be, "stat", key, err) != 0)
		return -1;
	return step_out(be, "stat", key, backend_stat(
	    ((struct stepped *)be)->a->s->mem, key, ret, err), false);
}

static inline int step_del(struct backend *be, const char *key, struct err *err)
{
	if (step_in(be, "del", key, err) != 0)
		return -1;
	return step_out(be, "del", key, backend_del(
	    ((struct stepped *)be)->a->s->mem, key, err), true);
}

struct listed { char (*key)[BACKEND_KEY_MAX + 1]; struct backend_stat *st; size_t n; };

static inline int listed_add(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct listed *l = ctx;

	(void)err;
	l->key = realloc(l->key, (l->n + 1) * sizeof(*l->key));
	l->st = realloc(l->st, (l->n + 1) * sizeof(*l->st));
	snprintf(l->key[l->n], sizeof(l->key[0]), "%s", key);
	l->st[l->n++] = *st;
	return 0;
}

static inline void listed_release(struct listed *l)
{
	free(l->key);
	free(l->st);
}

static inline bool listed_has(const struct listed *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->key[i], key) == 0)
			return true;
	return false;
}

static inline void listed_swap(struct listed *l, size_t i, size_t j)
{
	struct listed t = { .n = 0 };

	listed_add(&t, l->key[i], &l->st[i], NULL);
	memmove(l->key[i], l->key[j], sizeof(l->key[0]));
	l->st[i] = l->st[j];
	memcpy(l->key[j], t.key[0], sizeof(l->key[0]));
	l->st[j] = t.st[0];
	listed_release(&t);
}

/*
 * A listing over a while: what was there all the time is in it, what came or
 * went may be.
 */
static inline void list_slowly(struct sched *s, struct listed *first,
    const struct listed *last)
{
	struct listed l = { .n = 0 };

	for (size_t i = 0; i < first->n; i++)
		if (listed_has(last, first->key[i]) || draw(2) == 0)
			listed_add(&l, first->key[i], &first->st[i], NULL);
	for (size_t i = 0; i < last->n; i++)
		if (!listed_has(first, last->key[i]) && draw(2) == 0)
			listed_add(&l, last->key[i], &last->st[i], NULL);
	for (size_t i = l.n; i > 1; i--)
		listed_swap(&l, i - 1, draw((unsigned)i));
	listed_release(first);
	*first = l;
	(void)s;
}

static inline int step_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct actor *a = ((struct stepped *)be)->a;
	struct sched *s = a->s;
	struct listed l = { .n = 0 }, end = { .n = 0 };
	int r = step_in(be, "list", prefix, err);

	if (r == 0)
		r = backend_list(s->mem, prefix, listed_add, &l, err);
	for (unsigned n = r == 0 && s->slow_lists ? draw(3) : 0; n > 0; n--) {
		step_out(be, "list (begins)", prefix, 0, false);
		r = step_in(be, "list on", prefix, err);
		listed_release(&end);
		end = (struct listed){ .n = 0 };
		if (r == 0)
			r = backend_list(s->mem, prefix, listed_add, &end, err);
		if (r == 0 && n == 1)
			list_slowly(s, &l, &end);
		if (r != 0)
			break;
	}
	if (r == 0)
		step_out(be, "list", prefix, 0, false);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = fn(ctx, l.key[i], &l.st[i], err);
	listed_release(&l);
	listed_release(&end);
	return r;
}

static inline void step_caps(struct backend *be, struct backend_caps *ret)
{
	const struct sched *s = ((struct stepped *)be)->a->s;

	backend_caps(s->mem, ret);
	ret->local = true; /* believed, not probed: that takes threads */
	ret->ordered_list = !s->slow_lists;
}

static inline void step_close(struct backend *be)
{
	free(be->name);
	free(be);
}

static const struct backend_ops step_ops = {
	.put = step_put, .put_over = step_put_over, .get = step_get,
	.stat = step_stat, .list = step_list, .del = step_del,
	.caps = step_caps, .close = step_close,
};

/* Sleeping is a step, and takes the time that it takes. */
static inline void step_sleep(void *ctx, int64_t ns)
{
	struct actor *a = ctx;

	if (!a->killed)
		actor_pause(a, "sleep", "");
	sim_pass(ns);
}

/* The memory of a's world as a sees it, with what repeats lost calls over it. */
static inline struct backend *stepped_new(struct actor *a, struct err *err)
{
	struct backend_retry_options opt = {
		.sleep_ns = step_sleep, .sleep_ctx = a,
	};
	struct stepped *x = calloc(1, sizeof(*x));

	x->be.ops = &step_ops;
	x->be.name = strdup("memory");
	x->a = a;
	return backend_retry_new(&x->be, &opt, err);
}

#endif
