#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/measure_internal.h"
#include "agent/engine/split.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/*
 * What chunk sizes find in a sample: each configuration cuts all pieces, keeps
 * a set of ids, and compresses what is new to it.
 */

/* The rule that ends bundles, as bundle.c has it. */
#define BUNDLE_CUT 32u
#define BUNDLE_LEAST (256u << 10)
#define BUNDLE_HEAD 4096u

/* The first 8 bytes of ids in open addressing; 0 is empty. */
struct set { uint64_t *v; size_t n, cap; };

struct run {
	const struct engine_sample *s;
	struct engine_cuts *c;
	struct split split;
	struct chunker chunker;
	struct crypto_idkey *key;
	struct zip *zip;
	uint8_t *packed, *bundle;
	size_t bundle_len, bundle_files;
	struct set set;
};

/* Return 1 when v is new, 0 when it was there, -1 without memory. */
static int set_add(struct set *set, uint64_t v)
{
	if (2 * set->n >= set->cap) {
		size_t cap = set->cap ? 2 * set->cap : 4096;
		uint64_t *to = mem_zalloc(cap * sizeof(*to), "ids", NULL);

		if (to == NULL)
			return -1;
		for (size_t i = 0; i < set->cap; i++) {
			size_t at = (size_t)set->v[i] & (cap - 1);

			while (set->v[i] != 0 && to[at] != 0)
				at = (at + 1) & (cap - 1);
			if (set->v[i] != 0)
				to[at] = set->v[i];
		}
		free(set->v);
		set->v = to;
		set->cap = cap;
	}
	v += v == 0;

	size_t at = (size_t)v & (set->cap - 1);

	while (set->v[at] != 0) {
		if (set->v[at] == v)
			return 0;
		at = (at + 1) & (set->cap - 1);
	}
	set->v[at] = v;
	set->n++;
	return 1;
}

static int on_chunk(void *ctx, const uint8_t *p, size_t len, struct err *err)
{
	struct run *r = ctx;
	enum zip_method method;
	uint8_t id[CRYPTO_ID_LEN];
	size_t packed;

	crypto_id(r->key, 1, p, len, id);
	r->c->chunks++;

	int is_new = set_add(&r->set, le64_get(id));

	if (is_new < 0)
		return err_nomem(err, "the ids of a measurement");
	if (is_new == 0)
		return 0;
	if (zip_pack(r->zip, p, len, false, r->packed, &method, &packed,
	    err) < 0)
		return -1;
	r->c->unique_chunks++;
	r->c->unique_bytes += len;
	r->c->packed_bytes += packed;
	return 0;
}

static int on_zero(void *ctx, uint64_t len, struct err *err)
{
	struct run *r = ctx;

	(void)err;
	r->c->zero_bytes += len;
	return 0;
}

static int end_bundle(struct run *r, struct err *err)
{
	size_t len = r->bundle_len;

	r->bundle_len = r->bundle_files = 0;
	return len > 0 ? on_chunk(r, r->bundle, len, err) : 0;
}

/* A small file goes into a bundle; where that ends depends on the file. */
static int add_small(struct run *r, const uint8_t *p, size_t len,
    struct err *err)
{
	uint8_t head[BUNDLE_HEAD + 8], seed[16] = { 1 };
	size_t n = len < BUNDLE_HEAD ? len : BUNDLE_HEAD;

	if (r->bundle_len + len > BUNDLE_MAX && end_bundle(r, err) < 0)
		return -1;
	memcpy(r->bundle + r->bundle_len, p, len);
	r->bundle_len += len;
	r->bundle_files++;
	memcpy(head, p, n);
	le64_put(head + n, len);
	if (r->bundle_files == BUNDLE_FILES ||
	    (r->bundle_len >= BUNDLE_LEAST &&
	    crypto_siphash(seed, head, n + 8) % BUNDLE_CUT == 0))
		return end_bundle(r, err);
	return 0;
}

static int cut_all(struct run *r, struct err *err)
{
	size_t start = 0, used;

	for (size_t i = 0; i < r->s->n; i++) {
		const uint8_t *p = r->s->p + start;
		size_t len = r->s->ends[i] - start;

		start = r->s->ends[i];
		r->c->bytes += len;
		if (len <= INLINE_MAX)
			continue; /* stands in the catalog */
		if ((len < SMALL_MAX ? add_small(r, p, len, err) :
		    split_feed(&r->split, p, len, 0, true, &used, err)) < 0)
			return -1;
	}
	return end_bundle(r, err);
}

static int measure_one(const struct engine_sample *s, struct engine_cuts *c,
    struct err *err)
{
	static const uint8_t key[CHUNKER_KEY_LEN] = "wherry measures";
	enum chunker_mode mode = c->mode;
	uint32_t avg = c->avg;
	struct chunker_params params;
	struct run r = { .s = s, .c = c };
	int ret = -1;

	memset(c, 0, sizeof(*c));
	c->mode = mode;
	c->avg = avg;
	if (chunker_params_default(mode, avg, &params) < 0 ||
	    chunker_init(&r.chunker, mode, key, &params) < 0)
		return err_set(err, ERR_USAGE, "%u bytes are no average that "
		    "can be cut by", avg);
	size_t max = params.max > BUNDLE_MAX ? params.max : BUNDLE_MAX;

	r.split = (struct split){
		.chunker = &r.chunker, .max = params.max,
		.zeros = split_zeros(mode, avg),
		.chunk = on_chunk, .zero = on_zero, .ctx = &r,
	};
	r.key = crypto_idkey_new(key, err);
	r.zip = r.key ? zip_new(ZIP_DEFAULT, max, err) : NULL;
	r.packed = r.zip ? mem_array(1, zip_bound(max), "a chunk", err) : NULL;
	r.bundle = r.packed ? mem_array(1, BUNDLE_MAX, "a bundle", err) : NULL;
	if (r.bundle != NULL)
		ret = cut_all(&r, err);
	free(r.bundle);
	free(r.packed);
	zip_free(r.zip);
	crypto_idkey_free(r.key);
	free(r.set.v);
	return ret;
}

/* Configurations wait in one list for whoever is free. */
struct work {
	const struct engine_sample *s;
	struct engine_cuts *v;
	size_t n;
	atomic_size_t next;
	pthread_mutex_t lock;
	struct err err;
	bool failed;
};

static void *work(void *arg)
{
	struct work *w = arg;
	struct err err = ERR_INIT;

	for (;;) {
		size_t i = atomic_fetch_add(&w->next, 1);

		if (i >= w->n)
			return NULL;
		if (measure_one(w->s, &w->v[i], &err) == 0)
			continue;
		pthread_mutex_lock(&w->lock);
		w->err = err;
		w->failed = true;
		pthread_mutex_unlock(&w->lock);
		return NULL;
	}
}

int engine_measure_cuts(const struct engine_sample *s, unsigned cpus,
    struct engine_cuts *v, size_t n, struct err *err)
{
	struct work w = { .s = s, .v = v, .n = n };
	pthread_t threads[64];
	size_t started = 0;

	pthread_mutex_init(&w.lock, NULL);
	while (started + 1 < cpus && started + 1 < n && started < 64 &&
	    pthread_create(&threads[started], NULL, work, &w) == 0)
		started++;
	work(&w); /* this thread is one of them */
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&w.lock);
	if (!w.failed)
		return 0;
	if (err != NULL)
		*err = w.err;
	return -1;
}
