#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "agent/engine/measure_internal.h"
#include "repo/base/clock.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/*
 * The speed of each stage.  zstd is called here directly: level 3, which other
 * programs use, is none of the zip room's.
 */

/* Data that a stage runs over again and again: more than the caches hold. */
#define LAP (64u << 20)
/* Slow stages see less of it at a time. */
#define SLOW_LAP (8u << 20)
/* What is compressed and sealed at once: the default average chunk. */
#define STEP (1u << 20)

static const uint8_t key[32] = "wherry measures";

/* What the stages work with. */
struct bench {
	const uint8_t *p;
	size_t len;
	uint8_t *out;              /* as long, and some */
	size_t out_len;
	struct chunker chunker;
	struct crypto_idkey *id;
	struct crypto_aead *aead;
	ZSTD_CCtx *zstd;
	int level;
	uint64_t packed;           /* bytes that came out of a lap */
	size_t step;
	bool failed;
};

typedef void stage_fn(struct bench *b);

static void do_copy(struct bench *b)
{
	memcpy(b->out, b->p, b->len);
	/* Else the compiler may see that nobody reads it. */
	__asm__ volatile("" : : "r"(b->out) : "memory");
}

static void do_zero(struct bench *b)
{
	b->failed |= chunker_zero_prefix(b->out, b->len) != b->len;
}

static void do_cut(struct bench *b)
{
	for (size_t at = 0; at < b->len;) {
		size_t n = chunker_next(&b->chunker, b->p + at, b->len - at,
		    true);

		b->failed |= n == 0;
		at += n ? n : b->len;
	}
}

static void do_id(struct bench *b)
{
	uint8_t id[CRYPTO_ID_LEN];

	for (size_t at = 0; at < b->len; at += b->step) {
		size_t n = b->len - at < b->step ? b->len - at : b->step;

		crypto_id(b->id, 1, b->p + at, n, id);
	}
}

static void do_compress(struct bench *b)
{
	b->packed = 0;
	for (size_t at = 0; at < b->len; at += b->step) {
		size_t n = b->len - at < b->step ? b->len - at : b->step;
		size_t r = ZSTD_compressCCtx(b->zstd, b->out, b->out_len,
		    b->p + at, n, b->level);

		b->failed |= ZSTD_isError(r) != 0;
		b->packed += r < n ? r : n;
	}
}

static void do_seal(struct bench *b)
{
	uint8_t nonce[CRYPTO_BLOB_NONCE_LEN] = { 0 };

	for (size_t at = 0; at < b->len; at += b->step) {
		size_t n = b->len - at < b->step ? b->len - at : b->step;

		b->failed |= crypto_blob_seal(b->aead, key, nonce, "", 0,
		    b->p + at, n, b->out, NULL) < 0;
	}
}

/* Opens the one blob that prepare_open left in out, into its second half. */
static void do_open(struct bench *b)
{
	uint8_t nonce[CRYPTO_BLOB_NONCE_LEN] = { 0 };

	for (size_t at = 0; at < b->len; at += b->step) {
		size_t n = b->len < b->step ? b->len : b->step;

		b->failed |= crypto_blob_open(b->aead, key, nonce, "", 0,
		    b->out, n + CRYPTO_TAG_LEN, b->out + 2 * STEP, NULL) < 0;
	}
}

/* The best lap of at least two, within about ns; bytes a second. */
static double time_stage(struct bench *b, stage_fn *fn, int64_t ns)
{
	int64_t begin = clock_mono_ns(), now = begin, best = INT64_MAX;

	for (int lap = 0; lap < 2 || now - begin < ns; lap++) {
		int64_t t = now;

		fn(b);
		now = clock_mono_ns();
		if (now - t < best)
			best = now - t;
	}
	return (double)b->len / ((double)(best ? best : 1) / 1e9);
}

/* --- the whole on several threads ------------------------------------------------*/

struct lane {
	struct bench b;
	int64_t stop_ns;
	uint64_t done;
	pthread_t thread;
	bool started;
};

/* Cut, id, compress and seal chunk by chunk, each while it is in the cache. */
static void *run_lane(void *arg)
{
	struct lane *l = arg;
	struct bench *b = &l->b;
	uint8_t nonce[CRYPTO_BLOB_NONCE_LEN] = { 0 };
	uint8_t id[CRYPTO_ID_LEN];

	while (clock_mono_ns() < l->stop_ns || l->done == 0) {
		for (size_t at = 0; at < b->len;) {
			size_t n = chunker_next(&b->chunker, b->p + at,
			    b->len - at, true);

			crypto_id(b->id, 1, b->p + at, n, id);

			size_t r = ZSTD_compressCCtx(b->zstd, b->out,
			    b->out_len, b->p + at, n, 2);
			bool raw = ZSTD_isError(r) || r >= n;

			b->failed |= n == 0 || crypto_blob_seal(b->aead, key,
			    nonce, "", 0, raw ? b->p + at : b->out,
			    raw ? n : r, b->out, NULL) < 0;
			at += n ? n : b->len;
		}
		l->done += b->len;
	}
	return NULL;
}

static int lane_init(struct lane *l, const struct bench *b, struct err *err)
{
	l->b = *b;
	l->b.out_len = ZSTD_compressBound(8u << 20) + CRYPTO_TAG_LEN;
	l->b.out = mem_array(1, l->b.out_len, "a buffer", err);
	l->b.aead = l->b.out ? crypto_aead_new(err) : NULL;
	l->b.zstd = l->b.aead ? ZSTD_createCCtx() : NULL;
	if (l->b.zstd == NULL)
		return l->b.aead ? err_nomem(err, "a compressor") : -1;
	return 0;
}

/* Bytes a second of all lanes together, or -1. */
static double time_whole(const struct bench *b, unsigned cpus, int64_t ns,
    struct err *err)
{
	struct lane *lanes = mem_array(cpus, sizeof(*lanes), "threads", err);
	int64_t begin;
	uint64_t done = 0;
	bool ok = lanes != NULL;

	for (unsigned i = 0; ok && i < cpus; i++)
		ok = lane_init(&lanes[i], b, err) == 0;
	begin = clock_mono_ns();
	for (unsigned i = 0; ok && i < cpus; i++) {
		lanes[i].stop_ns = begin + ns;
		lanes[i].started = pthread_create(&lanes[i].thread, NULL,
		    run_lane, &lanes[i]) == 0;
		if (!lanes[i].started)
			ok = err_set(err, ERR_FULL, "no more threads can be "
			    "started") == 0;
	}
	for (unsigned i = 0; lanes != NULL && i < cpus; i++) {
		if (lanes[i].started)
			pthread_join(lanes[i].thread, NULL);
		done += lanes[i].done;
		if (lanes[i].b.failed)
			ok = err_set(err, ERR_BUG, "a stage failed while it "
			    "was measured") == 0;
	}

	double seconds = (double)(clock_mono_ns() - begin) / 1e9;

	for (unsigned i = 0; lanes != NULL && i < cpus; i++) {
		ZSTD_freeCCtx(lanes[i].b.zstd);
		crypto_aead_free(lanes[i].b.aead);
		free(lanes[i].b.out);
	}
	free(lanes);
	return ok ? (double)done / seconds : -1;
}

/* --- all stages --------------------------------------------------------------------*/

struct report {
	int (*fn)(void *ctx, const struct engine_speed *speed, struct err *err);
	void *ctx;
	double cost; /* seconds a byte of what the whole is made of */
};

static int tell(struct report *r, enum engine_stage stage, const char *name,
    double speed, double ratio, struct err *err)
{
	struct engine_speed s = {
		.stage = stage, .speed = speed, .ratio = ratio, .cpus = 1,
	};

	snprintf(s.name, sizeof(s.name), "%s", name);
	return r->fn(r->ctx, &s, err);
}

static int measure_cutting(struct bench *b, struct report *r, int64_t ns,
    struct err *err)
{
	int ret = 0;

	for (int m = CHUNKER_STREAM; ret == 0 && m <= CHUNKER_BLOCK; m++) {
		enum chunker_mode mode = (enum chunker_mode)m;
		bool stream = mode == CHUNKER_STREAM;
		struct chunker_params params;
		size_t len = b->len;

		if (chunker_params_default(mode, stream ? 1u << 20 : 64u << 10,
		    &params) < 0)
			return err_set(err, ERR_BUG, "no default chunk size");
		for (int p = 1; ret == 0 && p <= CHUNKER_PATH_MAX; p++) {
			enum chunker_path path = (enum chunker_path)p;
			char name[48];

			if (!chunker_path_available(path))
				continue;
			if (chunker_init_path(&b->chunker, mode, key, &params,
			    path) < 0)
				return err_set(err, ERR_BUG, "no code path %s",
				    chunker_path_name(path));
			if (path == CHUNKER_PATH_SCALAR && len > SLOW_LAP)
				b->len = SLOW_LAP;
			snprintf(name, sizeof(name), "cut %s, %s",
			    stream ? "files" : "blocks",
			    chunker_path_name(path));
			ret = tell(r, stream ? ENGINE_STAGE_STREAM :
			    ENGINE_STAGE_BLOCK, name, time_stage(b, do_cut,
			    ns), 0, err);
			b->len = len;
		}
		/* What the whole uses: the fastest path, cutting files. */
		if (ret == 0 && stream) {
			chunker_init(&b->chunker, mode, key, &params);
			r->cost += 1 / time_stage(b, do_cut, ns / 2);
		}
	}
	return ret;
}

/* Steps from all over the data, for what is too slow to see all of it. */
static uint8_t *spread(const struct bench *b, struct err *err)
{
	uint8_t *p = mem_array(1, SLOW_LAP, "a buffer", err);
	size_t n = SLOW_LAP / STEP;

	for (size_t i = 0; p != NULL && i < n; i++)
		memcpy(p + i * STEP, b->p + (b->len - STEP) / (n - 1) * i,
		    STEP);
	return p;
}

static int measure_level(struct bench *b, struct report *r, int level,
    int64_t ns, struct err *err)
{
	const uint8_t *p = b->p;
	size_t len = b->len;
	uint8_t *part = NULL;
	char name[48];

	b->level = level;
	if (level > 3 && len > SLOW_LAP) {
		part = spread(b, err);
		if (part == NULL)
			return -1;
		b->p = part;
		b->len = SLOW_LAP;
	}

	double speed = time_stage(b, do_compress, ns);
	double ratio = (double)b->len / (double)(b->packed ? b->packed : 1);

	b->p = p;
	b->len = len;
	free(part);
	if (level == 2)
		r->cost += 1 / speed;
	snprintf(name, sizeof(name), "zstd level %d", level);
	return tell(r, ENGINE_STAGE_COMPRESS, name, speed, ratio, err);
}

static int measure_zstd(struct bench *b, struct report *r, int64_t ns,
    struct err *err)
{
	static const int levels[] = { 1, 2, 3, 9 };
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(levels) / sizeof(*levels);
	    i++)
		ret = measure_level(b, r, levels[i], ns, err);
	return ret;
}

static int measure_crypto(struct bench *b, struct report *r, int64_t ns,
    struct err *err)
{
	size_t len = b->len;
	double speed = time_stage(b, do_id, ns);

	r->cost += 1 / speed;
	if (tell(r, ENGINE_STAGE_ID, "id (HMAC-SHA256)", speed, 0, err) != 0 ||
	    measure_zstd(b, r, ns, err) != 0)
		return -1;
	speed = time_stage(b, do_seal, ns);

	/* Only what compression leaves is sealed. */
	b->level = 2;
	do_compress(b);
	r->cost += (double)b->packed / (double)b->len / speed;
	if (tell(r, ENGINE_STAGE_SEAL, "seal (ChaCha20-Poly1305)", speed, 0,
	    err) != 0)
		return -1;

	b->len = len < b->step ? len : b->step;
	do_seal(b);
	b->len = len;
	return tell(r, ENGINE_STAGE_OPEN, "open (ChaCha20-Poly1305)",
	    time_stage(b, do_open, ns), 0, err);
}

static int measure_all(struct bench *b, unsigned cpus, struct report *r,
    int64_t ns, struct err *err)
{
	memset(b->out, 1, b->out_len); /* so that its pages are there */
	if (tell(r, ENGINE_STAGE_COPY, "memcpy", time_stage(b, do_copy, ns), 0,
	    err) != 0)
		return -1;
	memset(b->out, 0, b->out_len);
	if (tell(r, ENGINE_STAGE_ZERO, "zero test", time_stage(b, do_zero, ns),
	    0, err) != 0 || measure_cutting(b, r, ns, err) != 0 ||
	    measure_crypto(b, r, ns, err) != 0)
		return -1;
	if (b->failed)
		return err_set(err, ERR_BUG, "a stage failed while it was "
		    "measured");

	struct chunker_params params;

	if (chunker_params_default(CHUNKER_STREAM, STEP, &params) < 0 ||
	    chunker_init(&b->chunker, CHUNKER_STREAM, key, &params) < 0)
		return err_set(err, ERR_BUG, "no default chunk size");
	for (unsigned n = 1; n <= cpus; n = n == 1 && cpus > 1 ? cpus :
	    cpus + 1) {
		struct engine_speed s = {
			.stage = ENGINE_STAGE_WHOLE, .cpus = n,
			.limit = n / r->cost,
		};

		s.speed = time_whole(b, n, 4 * ns, err);
		if (s.speed < 0)
			return -1;
		snprintf(s.name, sizeof(s.name), "all together, %u thread%s",
		    n, n == 1 ? "" : "s");
		if (r->fn(r->ctx, &s, err) != 0)
			return -1;
	}
	return 0;
}

int engine_measure_stages(const struct engine_sample *s, unsigned cpus,
    int64_t ns_each,
    int (*fn)(void *ctx, const struct engine_speed *speed, struct err *err),
    void *ctx, struct err *err)
{
	struct report r = { .fn = fn, .ctx = ctx };
	struct bench b = { .p = s->p, .step = STEP };
	int ret = -1;

	b.len = s->len < LAP ? s->len : LAP;
	b.out_len = b.len > 4 * STEP ? b.len + STEP : 5 * STEP;
	if (b.len == 0)
		return err_set(err, ERR_USAGE, "there is no data to measure "
		    "with (name files that are not empty)");
	b.out = mem_pages(b.out_len, "a buffer", err);
	b.id = b.out ? crypto_idkey_new(key, err) : NULL;
	b.aead = b.id ? crypto_aead_new(err) : NULL;
	b.zstd = b.aead ? ZSTD_createCCtx() : NULL;
	if (b.zstd != NULL)
		ret = measure_all(&b, cpus ? cpus : 1, &r, ns_each, err);
	else if (b.aead != NULL)
		err_nomem(err, "a compressor");
	ZSTD_freeCCtx(b.zstd);
	crypto_aead_free(b.aead);
	crypto_idkey_free(b.id);
	mem_pages_free(b.out, b.out_len);
	return ret;
}
