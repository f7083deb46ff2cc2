#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend.h"
#include "repo/base/bytes.h"
#include "repo/base/rand.h"
#include "repo/store/store.h"

/*
 * Fills the index of a repository: stores COUNT tiny chunks, each different, as
 * a backup would that was stopped before its commit. All of it is real: the
 * packs hold them, the segments name them, and check reads them. The store
 * needs about 130 bytes for each. The packs that are open at the end are given
 * up, so a few ten thousand of COUNT are not in the index.
 *
 * usage: WHERRY_PASSWORD=... large_index REPOSITORY COUNT [MiB of memory]
 *
 * Run twice, it adds other chunks.
 */

#define WORKERS 2
#define CHUNK 16 /* bytes */
/* As small as may be: tables of packs should be long, too. */
#define PACK_SIZE (256u << 10)

struct work {
	struct store *st;
	struct store_session *session;
	uint64_t first, count, salt;
	struct err err;
	int result;
};

static void *put_all(void *arg)
{
	struct work *w = arg;
	struct store_worker *tools = store_worker_new(w->st, ZIP_OFF, CHUNK,
	    NULL, &w->err);

	w->result = tools == NULL ? -1 : 0;
	for (uint64_t i = 0; i < w->count && w->result == 0; i++) {
		struct store_put_result put;
		uint8_t data[CHUNK];

		le64_put(data, w->salt);
		le64_put(data + 8, w->first + i);
		w->result = store_put(w->session, tools, STORE_DATA, data,
		    sizeof(data), false, &put, &w->err);
		if (w->result == 0 && i % 4096 == 0)
			w->result = store_session_alive(w->session,
			    i * CHUNK, i, &w->err);
	}
	store_worker_free(tools);
	return NULL;
}

static int fill(struct store *st, uint64_t count, struct err *err)
{
	struct store_session_options opt = {
		.volume = "bench: a large index",
		.host = "bench",
		.content = STORE_TREE,
		.parent = "none",
	};
	struct store_session *s = store_session_begin(st, &opt, err);
	struct store_session_stats stats;
	struct work w[WORKERS];
	pthread_t threads[WORKERS];
	unsigned started = 0;
	uint64_t salt;
	int r = 0;

	if (s == NULL)
		return -1;
	rand_bytes(&salt, sizeof(salt));
	for (unsigned i = 0; i < WORKERS; i++) {
		w[i] = (struct work){
			.st = st, .session = s,
			.first = count / WORKERS * i,
			.count = i + 1 < WORKERS ? count / WORKERS :
			    count - count / WORKERS * i,
			.salt = salt,
			.err = ERR_INIT,
		};
		if (pthread_create(&threads[i], NULL, put_all, &w[i]) != 0) {
			r = err_set(err, ERR_FULL, "no thread could be made");
			break;
		}
		started++;
	}
	for (unsigned i = 0; i < started; i++) {
		pthread_join(threads[i], NULL);
		if (w[i].result < 0 && r == 0) {
			*err = w[i].err;
			r = -1;
		}
	}
	store_session_stats(s, &stats);
	/* No snapshot: what segments name stays findable without one. */
	store_session_abort(s);
	if (r == 0)
		printf("{\"chunks\":%" PRIu64 ",\"segments\":%" PRIu64
		    ",\"sent_bytes\":%" PRIu64 "}\n", stats.blobs_new,
		    stats.segments, stats.bytes_sent);
	return r;
}

int main(int argc, char **argv)
{
	const char *pass = getenv("WHERRY_PASSWORD");
	struct store_options opt = {
		.memory = (size_t)64 << 20,
		.pack_size = PACK_SIZE,
	};
	struct store_secret secret = { .passphrase = pass };
	struct err err = ERR_INIT;
	struct backend *be;
	struct store *st;

	if (argc < 3 || argc > 4 || pass == NULL) {
		fprintf(stderr, "usage: WHERRY_PASSWORD=... large_index "
		    "REPOSITORY COUNT [MiB]\n");
		return 2;
	}
	if (argc > 3)
		opt.memory = (size_t)strtoull(argv[3], NULL, 10) << 20;
	secret.passphrase_len = strlen(pass);
	be = backend_open(argv[1], NULL, &err);
	st = be != NULL ? store_open(be, &secret, &opt, &err) : NULL;
	if (st == NULL || fill(st, strtoull(argv[2], NULL, 10), &err) < 0) {
		fprintf(stderr, "large_index: %s\n", err.msg);
		store_close(st);
		return 1;
	}
	store_close(st);
	return 0;
}
