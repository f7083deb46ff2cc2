#ifndef TESTS_UNIT_STORE_WRITERS_H
#define TESTS_UNIT_STORE_WRITERS_H

#include "repo/store/store_session_internal.h"
#include "tests/unit/store_world.h"

/* The tasks of actors, and those who back up. */

/* One task of an actor; what it needs of these. */
struct task {
	struct world *w;
	const char *volume, *parent;  /* of a writer; parent NULL: "auto" */
	uint64_t chunks;              /* those that it wants: one bit each */
	unsigned rounds;              /* how often; 0: once */
	bool checkpoints;             /* all but the last round */
	bool gives_up;                /* aborts instead of committing */
	struct store_gc_options gc;
	bool force;                   /* of a merge */
	char session[STORE_SESSION_MAX]; /* to be forgotten; "": any */
	int result;                   /* of the last call */
	struct store_gc_result gc_result;
	struct err err;
};

static inline void actor_say(struct actor *a, const char *what, int r,
    const struct err *err)
{
	sched_say(a->s, a->name, what, r == 0 ? "" : err->msg, r < 0 ? -1 : r);
}

/* --- writers -------------------------------------------------------------------*/

static inline bool page_has(const struct buf *page, const uint8_t *id)
{
	for (size_t i = 0; i < page->len; i += STORE_ID_LEN)
		if (memcmp(page->p + i, id, STORE_ID_LEN) == 0)
			return true;
	return false;
}

/* Make sure that a chunk will be there: by the parent, or by looking it up. */
static inline int writer_chunk(struct task *t, struct store_session *s,
    struct store_worker *worker, unsigned n, bool of_parent, bool carry)
{
	struct store_put_result res;

	if (of_parent && carry)
		return 0;
	if (of_parent) {
		int r = store_present(s, t->w->id[n], &t->err);

		if (r <= 0)
			return r;
	}
	return put_as(s, worker, STORE_DATA, 2 * n + 1, CHUNK_LEN, &res, &t->err);
}

/* The chunks, then the page with their ids; its id is in root. */
static inline int writer_content(struct task *t, struct store *st,
    struct store_session *s, struct store_worker *worker, uint8_t root[32])
{
	struct buf page = BUF_INIT, old = BUF_INIT;
	struct store_put_result res;
	const struct store_snapshot *parent;
	bool carry;
	int r = 0;

	parent = store_session_parent(s, &carry);
	if (parent != NULL && store_get(st, worker, STORE_STATE,
	        parent->state.id, &old, &t->err) != 0)
		buf_reset(&old);
	for (unsigned n = 0; n < CHUNKS && r == 0; n++) {
		if (!(t->chunks >> n & 1))
			continue;
		r = writer_chunk(t, s, worker, n, page_has(&old, t->w->id[n]),
		    carry);
		buf_add(&page, t->w->id[n], STORE_ID_LEN);
	}
	if (r == 0 && carry && old.len == page.len &&
	    memcmp(old.p, page.p, page.len) == 0) {
		memcpy(root, parent->state.id, 32); /* a page, carried over whole */
	} else if (r == 0) {
		r = store_put(s, worker, STORE_STATE, page.p, page.len, false,
		    &res, &t->err);
		memcpy(root, res.id, 32);
	}
	buf_release(&page);
	buf_release(&old);
	return r;
}

static inline void writer_done(struct actor *a, struct task *t, const char *name,
    bool checkpoint)
{
	struct world *w = t->w;

	actor_say(a, checkpoint ? "checkpointed" : "committed", 0, NULL);
	w->commits++;
	if (w->ndone < sizeof(w->done) / sizeof(w->done[0]))
		snprintf(w->done[w->ndone++], STORE_SESSION_MAX, "%s", name);
}

/* One session.  0 or -1 with t->err. */
static inline int writer_session(struct actor *a, struct store *st, bool last)
{
	struct task *t = a->arg;
	struct store_session_options opt = {
		.volume = t->volume, .host = a->name, .content = STORE_TREE,
		.parent = t->parent, .pack_buffers = 4,
	};
	struct store_commit c = { .checkpoint = !last && t->checkpoints };
	struct store_worker *worker = store_worker_new(st, ZIP_OFF, MAX_PLAIN,
	    NULL, &t->err);
	struct store_session *s = NULL;
	char snap[17], name[STORE_SESSION_MAX];
	int r = worker == NULL ? -1 : 0;

	if (r == 0)
		s = store_session_begin(st, &opt, &t->err);
	if (s == NULL)
		r = -1;
	else
		snprintf(name, sizeof(name), "%s", s->name);
	if (r == 0)
		r = writer_content(t, st, s, worker, c.state.id);
	if (r == 0)
		r = store_session_alive(s, 1, 1, &t->err);
	c.state.entries = 1;
	if (s != NULL && (r != 0 || t->gives_up))
		store_session_abort(s);
	else if (s != NULL)
		r = store_session_commit(s, &c, snap, &t->err);
	if (r == 0 && !t->gives_up)
		writer_done(a, t, name, c.checkpoint);
	store_worker_free(worker);
	return r;
}

static inline void run_writer(struct actor *a)
{
	struct task *t = a->arg;
	unsigned rounds = t->rounds == 0 ? 1 : t->rounds;
	struct store *st = NULL;

	t->result = -1;
	st = world_open(stepped_new(a, &t->err), &t->err);
	for (unsigned i = 0; i < rounds && st != NULL; i++) {
		t->result = writer_session(a, st, i + 1 == rounds);
		if (t->result != 0)
			break;
	}
	if (t->result != 0)
		actor_say(a, "backup", -1, &t->err);
	store_close(st);
}

#endif
