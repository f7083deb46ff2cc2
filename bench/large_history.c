#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/archive/archive.h"
#include "repo/backend/backend.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/store/store.h"
#include "repo/store/store_gc.h"

/*
 * Makes a repository with years behind it: ENTRIES tiny chunks in the index,
 * referred to by SNAPSHOTS snapshots of block volumes. Each volume has a chain
 * of up to 100; each snapshot overwrites four short parts of the volume and
 * shares all other chunks, and nearly all pages of its map, with the one
 * before. All of it is real: snapshots can be listed, checked, forgotten and
 * restored. The index is merged now and then, as upkeep would; the sessions
 * since the last time are left as they are. A chunk takes about 150 bytes of
 * the store, pages of maps included.
 *
 * usage: WHERRY_PASSWORD=... large_history REPOSITORY ENTRIES SNAPSHOTS
 *        [MiB of memory [BYTES of a chunk]]
 *
 * Chunks of more than 16 bytes cannot be compressed; packs have then the size
 * that the repository says.
 */

#define WORKERS 2
#define CHUNK_MIN 16u      /* bytes */
#define CHUNK_MAX (64u << 10)
#define CHAIN 100
#define PARTS 4         /* that a snapshot overwrites */
#define FIRST_PERCENT 80 /* of a volume's chunks are its first snapshot's */
#define MERGE_EVERY 500 /* snapshots */
/* As small as may be: tables of packs should be long, too. */
#define PACK_SIZE (256u << 10)

struct volume {
	char name[32];
	struct archive_ref root;
	uint64_t chunks; /* of the volume: its length */
	uint64_t made;   /* chunks put so far: each gets a number of its own */
};

struct history {
	struct store *st;
	struct store_worker *tools[WORKERS];
	struct volume *v;
	uint32_t nv;
	uint64_t each;     /* chunks that a snapshot overwrites */
	size_t memory;
	uint32_t chunk;    /* bytes */
	struct store_session *s; /* at work */
	uint64_t chunks, pages, merged;
	int64_t merge_ns;
};

/* --- chunks and pages -------------------------------------------------------------*/

static int put_chunk(struct history *h, struct store_worker *w, uint32_t volume,
    uint64_t number, uint8_t ret_id[STORE_ID_LEN], struct err *err)
{
	struct store_put_result put;
	uint8_t data[CHUNK_MAX];
	uint64_t x = (uint64_t)volume << 40 ^ number;

	le64_put(data, volume);
	le64_put(data + 8, number);
	for (uint32_t i = CHUNK_MIN; i < h->chunk; i += 8) {
		/* splitmix64 */
		uint64_t z = x += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		le64_put(data + i, z ^ z >> 31);
	}
	if (store_put(h->s, w, STORE_DATA, data, h->chunk, false, &put,
	        err) != 0)
		return -1;
	memcpy(ret_id, put.id, STORE_ID_LEN);
	return 0;
}

static int page_get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err)
{
	struct history *h = ctx;
	int r = store_get(h->st, h->tools[0], (enum store_kind)kind, id,
	    ret_page, err);

	return r > 0 ? err_set(err, ERR_NOTFOUND, "a page is missing") : r;
}

static int page_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err)
{
	struct history *h = ctx;
	struct store_put_result put;

	if (store_put(h->s, h->tools[0], (enum store_kind)kind, page, len,
	        false, &put, err) != 0)
		return -1;
	memcpy(ret_id, put.id, STORE_ID_LEN);
	h->pages++;
	return 0;
}

/* A share of the chunks of a first snapshot. */
struct share {
	struct history *h;
	struct store_worker *w;
	uint32_t volume;
	uint64_t from, to;
	uint8_t (*ids)[STORE_ID_LEN];
	struct err err;
	int result;
};

static void *put_share(void *arg)
{
	struct share *s = arg;

	for (uint64_t i = s->from; i < s->to && s->result == 0; i++)
		s->result = put_chunk(s->h, s->w, s->volume, i, s->ids[i],
		    &s->err);
	return NULL;
}

static int put_first(struct history *h, uint32_t volume, uint64_t n,
    uint8_t (*ids)[STORE_ID_LEN], struct err *err)
{
	struct share s[WORKERS];
	pthread_t threads[WORKERS];
	unsigned started = 0;
	int r = 0;

	for (unsigned i = 0; i < WORKERS && r == 0; i++) {
		s[i] = (struct share){ .h = h, .w = h->tools[i],
			.volume = volume, .from = n / WORKERS * i,
			.to = i + 1 < WORKERS ? n / WORKERS * (i + 1) : n,
			.ids = ids, .err = ERR_INIT };
		if (pthread_create(&threads[i], NULL, put_share, &s[i]) != 0)
			r = err_set(err, ERR_FULL, "no thread could be made");
		else
			started++;
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		if (s[i].result != 0 && r == 0) {
			*err = s[i].err;
			r = -1;
		}
	}
	return r;
}

static int add_chunk(const struct history *h, struct archive_map_writer *map,
    const uint8_t *id, struct err *err)
{
	struct fmt_run run = { .kind = FMT_RUN_CHUNK, .len = h->chunk };

	memcpy(run.id, id, STORE_ID_LEN);
	return archive_map_add(map, &run, err);
}

/* --- snapshots --------------------------------------------------------------------*/

static int write_first(struct history *h, uint32_t volume,
    struct archive_map_writer *map, struct err *err)
{
	struct volume *v = &h->v[volume];
	uint8_t (*ids)[STORE_ID_LEN] = calloc(v->chunks, STORE_ID_LEN);
	int r = ids == NULL ? err_nomem(err, "ids") :
	    put_first(h, volume, v->chunks, ids, err);

	for (uint64_t i = 0; i < v->chunks && r == 0; i++)
		r = add_chunk(h, map, ids[i], err);
	free(ids);
	v->made = v->chunks;
	h->chunks += v->chunks;
	return r;
}

/* Carry what the parent has up to byte `end`. */
static int carry(struct archive_map_writer *map, struct archive_map *parent,
    uint64_t end, struct err *err)
{
	while (archive_map_tell(map) < end) {
		struct fmt_run run;
		uint64_t off;

		if (archive_map_carry(map, parent, end, &off, err) != 0)
			return -1;
		if (off >= end)
			break;
		if (archive_map_next(parent, &off, &run, err) != 0)
			return err->class != ERR_NONE ? -1 : err_set(err,
			    ERR_BUG, "a map that ends at %" PRIu64, off);
		if (archive_map_add(map, &run, err) != 0)
			return -1;
	}
	return 0;
}

static int write_next(struct history *h, uint32_t volume,
    const struct archive_io *io, struct archive_map_writer *map,
    struct err *err)
{
	struct volume *v = &h->v[volume];
	struct archive_map *parent = archive_map_open(io, &v->root, err);
	uint64_t part = h->each / PARTS, room = v->chunks / PARTS;
	int r = parent == NULL ? -1 : 0;

	for (unsigned i = 0; i < PARTS && r == 0; i++) {
		/* Where, follows from what was made: the same every time. */
		uint64_t at = i * room + (v->made * 0x9e3779b97f4a7c15u >> 11) %
		    (room - part);

		r = carry(map, parent, at * h->chunk, err);
		for (uint64_t k = 0; k < part && r == 0; k++) {
			uint8_t id[STORE_ID_LEN];

			r = put_chunk(h, h->tools[0], volume, v->made++, id,
			    err);
			if (r == 0)
				r = add_chunk(h, map, id, err);
		}
		h->chunks += part;
		if (r == 0)
			r = archive_map_seek(parent, (at + part) * h->chunk, err);
	}
	if (r == 0)
		r = carry(map, parent, v->chunks * h->chunk, err);
	archive_map_close(parent);
	return r;
}

static int commit(struct history *h, struct volume *v, struct err *err)
{
	struct store_commit c = {
		.size = v->chunks * h->chunk, .entries = v->root.entries,
		.start_ns = clock_real_ns(), .end_ns = clock_real_ns(),
		.user = "bench", .program = "large_history",
	};
	struct store_session *s = h->s;
	char id[17];

	memcpy(c.state.id, v->root.id, STORE_ID_LEN);
	c.state.level = v->root.level;
	c.state.entries = v->root.entries;
	h->s = NULL;
	return store_session_commit(s, &c, id, err);
}

static int snapshot(struct history *h, uint32_t volume, struct err *err)
{
	struct volume *v = &h->v[volume];
	struct archive_io io = { .get = page_get, .put = page_put, .ctx = h };
	struct store_session_options opt = {
		.volume = v->name, .host = "bench", .content = STORE_BLOCK,
		.parent = "auto",
	};
	struct archive_map_writer *map;
	int r = -1;

	h->s = store_session_begin(h->st, &opt, err);
	if (h->s == NULL)
		return -1;
	map = archive_map_begin(&io, store_order_key(h->st), err);
	if (map != NULL)
		r = v->made == 0 ? write_first(h, volume, map, err) :
		    write_next(h, volume, &io, map, err);
	if (r == 0)
		r = archive_map_finish(map, &v->root, err);
	archive_map_free(map);
	if (r == 0)
		return commit(h, v, err);
	store_session_abort(h->s);
	return -1;
}

static int merge(struct history *h, struct err *err)
{
	struct store_merge_options opt = { .memory = h->memory };
	struct store_merge_result res;
	int64_t begun = clock_mono_ns();

	if (store_merge(h->st, &opt, &res, err) != 0)
		return -1;
	h->merge_ns += clock_mono_ns() - begun;
	h->merged += res.entries;
	return 0;
}

static int make(struct history *h, uint64_t snapshots, struct err *err)
{
	uint64_t done = 0;

	while (done < snapshots) {
		for (uint32_t i = 0; i < h->nv && done < snapshots; i++) {
			uint64_t before = h->chunks;

			if (snapshot(h, i, err) != 0)
				return -1;
			done++;
			/* What has just begun is left to upkeep. */
			if ((done % MERGE_EVERY == 0 ||
			        h->chunks - before > 500000) &&
			    done + MERGE_EVERY / 2 < snapshots &&
			    merge(h, err) != 0)
				return -1;
		}
	}
	return 0;
}

static int history_init(struct history *h, uint64_t entries,
    uint64_t snapshots, struct err *err)
{
	uint64_t share;

	h->nv = (uint32_t)((snapshots + CHAIN - 1) / CHAIN);
	h->v = calloc(h->nv, sizeof(*h->v));
	if (h->v == NULL)
		return err_nomem(err, "volumes");
	share = entries / h->nv;
	h->each = share * (100 - FIRST_PERCENT) / 100 /
	    (snapshots / h->nv > 1 ? snapshots / h->nv : 1);
	if (h->each < PARTS || share < 1000)
		return err_set(err, ERR_USAGE, "too few entries for so many "
		    "snapshots");
	for (uint32_t i = 0; i < h->nv; i++) {
		snprintf(h->v[i].name, sizeof(h->v[i].name), "volume-%u", i);
		h->v[i].chunks = share * FIRST_PERCENT / 100;
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		h->tools[i] = store_worker_new(h->st, ZIP_OFF, 256 << 10, NULL,
		    err);
		if (h->tools[i] == NULL)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *pass = getenv("WHERRY_PASSWORD");
	size_t memory = argc > 4 ? (size_t)strtoull(argv[4], NULL, 10) << 20 :
	    (size_t)512 << 20;
	uint32_t chunk = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) & ~7u :
	    CHUNK_MIN;
	struct store_options opt = {
		.memory = memory / 2,
		.pack_size = chunk == CHUNK_MIN ? PACK_SIZE : 0,
	};
	struct backend_options local = { .local = { .no_sync = true } };
	struct history h = { .memory = memory / 2, .chunk = chunk };
	struct store_secret secret = { .passphrase = pass };
	struct err err = ERR_INIT;
	struct backend *be;
	int r = 1;

	if (argc < 4 || argc > 6 || pass == NULL || chunk < CHUNK_MIN ||
	    chunk > CHUNK_MAX) {
		fprintf(stderr, "usage: WHERRY_PASSWORD=... large_history "
		    "REPOSITORY ENTRIES SNAPSHOTS [MiB [BYTES]]\n");
		return 2;
	}
	secret.passphrase_len = strlen(pass);
	/* What is made here may be made again: nothing is synced. */
	be = backend_open(argv[1], &local, &err);
	h.st = be != NULL ? store_open(be, &secret, &opt, &err) : NULL;
	if (h.st != NULL) {
		uint64_t snapshots = strtoull(argv[3], NULL, 10);

		r = history_init(&h, strtoull(argv[2], NULL, 10), snapshots,
		    &err) != 0 || make(&h, snapshots, &err) != 0;
	}
	if (r == 0)
		printf("{\"chunks\":%" PRIu64 ",\"pages\":%" PRIu64
		    ",\"volumes\":%u,\"merge_seconds\":%.3f,"
		    "\"entries_merged\":%" PRIu64 "}\n", h.chunks, h.pages,
		    h.nv, (double)h.merge_ns / 1e9, h.merged);
	else
		fprintf(stderr, "large_history: %s\n", err.msg);
	for (unsigned i = 0; i < WORKERS; i++)
		store_worker_free(h.tools[i]);
	free(h.v);
	store_close(h.st);
	return r;
}
