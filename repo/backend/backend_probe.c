/* What a store does, tried out. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_probe.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"

#define RACERS 8

/*
 * A store that looks and then writes is open to a race as long as the body
 * comes: versitygw is found out in nine of ten runs, with 64 KiB in seven.
 * What is near has no such time, and in memory there is no network to wait for.
 */
#define ROUNDS 8
#define BODY ((size_t)256 << 10)
#define NEAR_ROUNDS 3
#define NEAR_BODY ((size_t)4 << 10)

struct probe {
	struct backend *be;
	char name[40]; /* "probe/<32 hex>" */
	size_t body;   /* bytes of each object */
	unsigned rounds;
	int64_t now_ns; /* by the store's clock, when the first was put */
	struct backend_probe *ret;
};

/* Round 0 is the sequence, the others are races. */
static void key_of(const struct probe *p, unsigned round,
    char key[BACKEND_KEY_MAX + 1])
{
	snprintf(key, BACKEND_KEY_MAX + 1, "%s-%u", p->name, round);
}

/* Put-if-absent does not hold, for this reason (the first one is kept). */
static void found_weak(struct probe *p, const char *why)
{
	p->ret->atomic_create = false;
	if (p->ret->why[0] == '\0')
		snprintf(p->ret->why, sizeof(p->ret->why), "%s", why);
}

/* Return 0 when the object has these bytes, 1 when not, -1. */
static int holds(struct probe *p, const char *key, const uint8_t *want,
    struct err *err)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int r = backend_get_all(p->be, key, p->body * 2, &data, &len, err);

	if (r == 0)
		r = len == p->body && memcmp(data, want, len) == 0 ? 0 : 1;
	free(data);
	return r;
}

/* --- one after the other ---------------------------------------------------------*/

static int see(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	(void)key, (void)st, (void)err;
	*(bool *)ctx = true;
	return 0;
}

/* What is there is put again, which must be told and change nothing. */
static int try_twice(struct probe *p, const char *key, const uint8_t *first,
    const uint8_t *other, struct err *err)
{
	int r = backend_put(p->be, key, first, p->body, err);

	if (r > 0)
		found_weak(p, "an object that was not there is said to exist");
	if (r >= 0)
		r = backend_put(p->be, key, other, p->body, err);
	if (r == 0)
		found_weak(p, "an object that exists may be put again");
	if (r >= 0)
		r = holds(p, key, first, err);
	if (r > 0)
		found_weak(p, "an object that exists was replaced");
	return r < 0 ? -1 : 0;
}

/* A refusal by policy is an answer; any other failure is one. */
static int allowed(int r, bool *ret, struct err *err)
{
	*ret = r >= 0;
	if (r >= 0)
		return 0;
	if (err->class != ERR_AUTH && err->class != ERR_CONFLICT)
		return -1;
	err_clear(err);
	return 0;
}

static int try_sequence(struct probe *p, const uint8_t *first,
    const uint8_t *other, struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct backend_stat st;
	int64_t before = clock_real_ns(), after;
	int r;

	key_of(p, 0, key);
	r = try_twice(p, key, first, other, err);
	if (r == 0)
		r = backend_stat(p->be, key, &st, err);
	if (r > 0)
		return err_set(err, ERR_IO, "%s: %s was put and is not there",
		    p->be->name, key);
	if (r < 0)
		return -1;
	after = clock_real_ns();
	p->now_ns = st.mtime_ns;
	p->ret->skew_ns = st.mtime_ns < before - 1000000000 ?
	    st.mtime_ns - before : st.mtime_ns > after ?
	    st.mtime_ns - after : 0;
	if (backend_list(p->be, key, see, &p->ret->lists_at_once, err) < 0)
		return -1;
	return allowed(backend_put_over(p->be, key, other, p->body, err),
	    &p->ret->may_replace, err);
}

/* --- racing ------------------------------------------------------------------------*/

struct race {
	struct probe *probe;
	const char *key;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool go;
};

struct racer {
	struct race *race;
	pthread_t thread;
	int result;
	struct err err;
	uint8_t data[BODY]; /* as many as the probe's body */
};

static void *run(void *arg)
{
	struct racer *r = arg;
	struct race *race = r->race;

	pthread_mutex_lock(&race->lock);
	while (!race->go)
		pthread_cond_wait(&race->changed, &race->lock);
	pthread_mutex_unlock(&race->lock);
	r->result = backend_put(race->probe->be, race->key, r->data,
	    race->probe->body, &r->err);
	return NULL;
}

static int judge(struct probe *p, const char *key, const struct racer *v,
    unsigned n, struct err *err)
{
	const struct racer *winner = NULL;
	unsigned wins = 0;
	char why[80];
	int r;

	for (unsigned i = 0; i < n; i++) {
		if (v[i].result < 0) {
			*err = v[i].err;
			return -1;
		}
		if (v[i].result == 0) {
			winner = &v[i];
			wins++;
		}
	}
	if (wins != 1) {
		snprintf(why, sizeof(why), "of %u puts at once %u won", n,
		    wins);
		found_weak(p, why);
		return 0;
	}
	r = holds(p, key, winner->data, err);
	if (r > 0)
		found_weak(p, "of puts at once one won, and another is there");
	return r < 0 ? -1 : 0;
}

static int try_race(struct probe *p, unsigned round, struct racer *v,
    struct err *err)
{
	char key[BACKEND_KEY_MAX + 1];
	struct race race = { .probe = p, .key = key };
	unsigned n = 0;

	key_of(p, round, key);
	pthread_mutex_init(&race.lock, NULL);
	pthread_cond_init(&race.changed, NULL);
	for (; n < RACERS; n++) {
		v[n].race = &race;
		v[n].err = (struct err)ERR_INIT;
		rand_bytes(v[n].data, p->body);
		if (pthread_create(&v[n].thread, NULL, run, &v[n]) != 0)
			break;
	}
	pthread_mutex_lock(&race.lock);
	race.go = true;
	pthread_cond_broadcast(&race.changed);
	pthread_mutex_unlock(&race.lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(v[i].thread, NULL);
	pthread_cond_destroy(&race.changed);
	pthread_mutex_destroy(&race.lock);
	return n < 2 ? err_set(err, ERR_FULL, "no threads to probe the store "
	    "with") : judge(p, key, v, n, err);
}

/* --- all of it --------------------------------------------------------------------*/

/* Remove what was put, in rounds up to this one. */
static int clean(struct probe *p, unsigned rounds, struct err *err)
{
	char text[ROUNDS + 1][BACKEND_KEY_MAX + 1];
	const char *keys[ROUNDS + 1];

	for (unsigned i = 0; i < rounds; i++) {
		key_of(p, i, text[i]);
		keys[i] = text[i];
	}
	return backend_del_many(p->be, keys, rounds, err);
}

/* What probes that were killed have left is removed once it is so old, ns. */
#define LEFT_NS (INT64_C(3600) * 1000000000)
#define LEFT_MAX 64 /* by one probe */

struct left {
	const struct probe *p;
	char keys[LEFT_MAX][BACKEND_KEY_MAX + 1];
	size_t n;
};

static int note_left(void *ctx, const char *key, const struct backend_stat *st,
    struct err *err)
{
	struct left *l = ctx;

	(void)err;
	if (st->mtime_ns < l->p->now_ns - LEFT_NS)
		snprintf(l->keys[l->n++], sizeof(l->keys[0]), "%s", key);
	return l->n == LEFT_MAX;
}

/* Failing is no matter: the next probe comes here again. */
static void remove_left(const struct probe *p)
{
	struct err ignored = ERR_INIT;
	const char *keys[LEFT_MAX];
	struct left *l = mem_zalloc(sizeof(*l), "keys", &ignored);

	if (l == NULL)
		return;
	l->p = p;
	if (backend_list(p->be, "probe/", note_left, l, &ignored) >= 0) {
		for (size_t i = 0; i < l->n; i++)
			keys[i] = l->keys[i];
		backend_del_many(p->be, keys, l->n, &ignored);
	}
	free(l);
}

static int try_all(struct probe *p, struct racer *v, struct err *err)
{
	struct err ignored = ERR_INIT;
	unsigned round = 1;
	int r;

	rand_bytes(v[0].data, p->body);
	rand_bytes(v[1].data, p->body);
	r = try_sequence(p, v[0].data, v[1].data, err);
	for (; r == 0 && p->ret->atomic_create && round <= p->rounds; round++)
		r = try_race(p, round, v, err);
	if (r == 0) {
		r = allowed(clean(p, round, err), &p->ret->may_delete, err);
		if (r == 0 && p->ret->may_delete)
			remove_left(p);
		return r;
	}
	if (clean(p, round <= p->rounds ? round + 1 : round, &ignored) < 0)
		log_msg(LOG_WARN, "%s: %s-... could not be removed: %s",
		    p->be->name, p->name, ignored.msg);
	return -1;
}

int backend_probe(struct backend *be, struct backend_probe *ret_probe,
    struct err *err)
{
	struct probe p = { .be = be, .ret = ret_probe };
	struct backend_caps caps;
	struct racer *v;
	uint8_t name[16];
	int r;

	memset(ret_probe, 0, sizeof(*ret_probe));
	backend_caps(be, &caps);
	ret_probe->atomic_create = caps.atomic_create;
	if (caps.local) {
		if (!caps.atomic_create)
			found_weak(&p, "its file system is a network's");
		return 0;
	}
	p.rounds = caps.cheap_ranges ? NEAR_ROUNDS : ROUNDS;
	p.body = caps.cheap_ranges ? NEAR_BODY : BODY;
	memcpy(p.name, "probe/", 6);
	rand_bytes(name, sizeof(name));
	hex_encode(p.name + 6, name, sizeof(name));
	v = mem_array(RACERS, sizeof(*v), "a probe", err);
	if (v == NULL)
		return -1;
	ret_probe->tried = true;
	r = try_all(&p, v, err);
	free(v);
	backend_caps(be, &caps); /* it may have learnt */
	if (!caps.atomic_create)
		found_weak(&p, "it has no put-if-absent");
	return r < 0 ? err_wrap(err, "probing the store") : 0;
}
