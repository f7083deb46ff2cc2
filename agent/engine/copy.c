#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/copy_ids.h"
#include "agent/engine/copy_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"

/*
 * Which snapshots are there already, one session for each that is not, and
 * what is told of it.
 */

/* The largest page, beside what chunks may be. */
#define PLAIN_MIN ((size_t)4 << 20)

/* --- what the files share ----------------------------------------------------------*/

struct copy_hand *copy_main(struct copy *c)
{
	return &c->hands[c->nhands - 1];
}

struct archive_ref copy_ref(const struct store_ref *r)
{
	struct archive_ref x = { .level = r->level, .entries = r->entries };

	memcpy(x.id, r->id, sizeof(x.id));
	return x;
}

bool copy_is_damage(const struct err *err)
{
	return err->class == ERR_CORRUPT || err->class == ERR_NOTFOUND ||
	    (err->class == ERR_IO && err->errnum == EIO);
}

int copy_alive(struct copy *c, struct err *err)
{
	if (engine_cancelled(c->e))
		return err_set(err, ERR_CANCELLED, "stopped on request; the next "
		    "run goes on from here");
	if (c->ss == NULL)
		return 0;
	return store_session_alive(c->ss,
	    atomic_load(&c->e->progress.bytes_done), 0, err);
}

int copy_lost(struct copy *c, const uint8_t id[STORE_ID_LEN],
    const struct err *why, struct err *err)
{
	int r;

	pthread_mutex_lock(&c->lock);
	if (c->lost.len == 0)
		c->why = *why;
	buf_add(&c->lost, id, STORE_ID_LEN);
	r = buf_check(&c->lost, "what is damaged", err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* Was it forgotten while it was copied?  Then nothing is damaged. */
static bool is_gone(struct copy *c)
{
	struct store_snapshot *sn = NULL;
	struct err ignored = ERR_INIT;
	char spec[40], slot[17];
	bool gone;

	hex_encode(slot, c->sn->slot, STORE_SLOT_LEN);
	snprintf(spec, sizeof(spec), "%s/%s", slot, c->sn->id);
	gone = store_snapshot_find(c->from, spec, &sn, &ignored) < 0 &&
	    ignored.class == ERR_NOTFOUND;
	store_snapshot_free(sn);
	return gone;
}

void copy_damaged(struct copy *c, bool far, const struct archive_path *dir,
    const struct fmt_entry *entry, const struct err *why)
{
	struct buf path = BUF_INIT;

	if (!far && c->damages == 0)
		c->gone = is_gone(c);
	if (!far && c->gone) {
		c->damages++;
		return;
	}
	for (size_t i = 0; dir != NULL && i < dir->n; i++) {
		buf_add(&path, dir->c[i].name, dir->c[i].len);
		buf_u8(&path, '/');
	}
	if (entry != NULL)
		buf_add(&path, entry->name.name, entry->name.len);
	if (path.len == 0)
		buf_str(&path, c->sn->content == STORE_BLOCK ?
		    "(the volume)" : ".");
	buf_u8(&path, 0);
	/* A file of many chunks is told once. */
	if (!path.failed && path.len == c->told_path.len && c->damages > 0 &&
	    memcmp(path.p, c->told_path.p, path.len) == 0) {
		buf_release(&path);
		return;
	}
	buf_reset(&c->told_path);
	buf_add(&c->told_path, path.p, path.len);
	c->damages++;
	atomic_fetch_add(&c->e->progress.errors, 1);
	if (c->opt->damage != NULL)
		c->opt->damage(c->opt->ctx, c->sn, far,
		    path.failed ? "?" : (const char *)path.p, why);
	buf_release(&path);
}

int copy_get(struct copy *c, struct copy_hand *h, enum store_kind kind,
    const uint8_t id[STORE_ID_LEN], struct err *err)
{
	struct err why = ERR_INIT;
	int r = store_get(c->from, h->from, kind, id, &h->plain, &why);

	if (r == 0)
		return 0;
	if (r > 0)
		err_set(&why, ERR_CORRUPT, "no segment of the index names its "
		    "chunk");
	if (!copy_is_damage(&why)) {
		*err = why;
		return -1;
	}
	return copy_lost(c, id, &why, err) < 0 ? -1 : 1;
}

/* --- naming what was lost -------------------------------------------------------------*/

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, STORE_ID_LEN);
}

static int name_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry,
    struct err *err)
{
	struct copy *c = ctx;

	(void)kind, (void)err;
	if (!page && bsearch(id, c->lost.p, c->lost.len / STORE_ID_LEN,
	        STORE_ID_LEN, id_cmp) != NULL)
		copy_damaged(c, false, dir, entry, &c->why);
	return 0;
}

/* Pages that cannot be read were told when they were met. */
static int name_bad(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	(void)ctx, (void)kind, (void)id, (void)dir, (void)entry;
	(void)why, (void)err;
	return 0;
}

int copy_name_lost(struct copy *c, struct err *err)
{
	const struct archive_walk look = { name_blob, name_bad, c };
	const uint8_t *order = store_snapshot_order(c->from, c->sn, err);
	struct archive_ref ref = copy_ref(c->sn->content == STORE_BLOCK ?
	    &c->sn->state : &c->sn->catalog);
	uint64_t before = c->damages;
	int r;

	if (c->lost.len == 0)
		return 0;
	c->gone = is_gone(c);
	if (c->gone)
		return 0;
	if (order == NULL)
		return -1;
	qsort(c->lost.p, c->lost.len / STORE_ID_LEN, STORE_ID_LEN, id_cmp);
	r = c->sn->content == STORE_BLOCK ?
	    archive_walk_map(pages_io(c->pages), &ref, &look, err) :
	    archive_walk_catalog(pages_io(c->pages), order, &ref, &look, err);
	if (r == 0 && c->damages == before)
		copy_damaged(c, false, NULL, NULL, &c->why);
	return r;
}

/* --- tools ------------------------------------------------------------------------------*/

static void hands_free(struct copy *c)
{
	for (unsigned i = 0; c->hands != NULL && i < c->nhands; i++) {
		store_worker_free(c->hands[i].from);
		store_worker_free(c->hands[i].to);
		buf_release(&c->hands[i].plain);
	}
	free(c->hands);
	free(c->domain);
	pages_free(c->pages);
	c->hands = NULL;
	c->domain = NULL;
	c->pages = NULL;
}

static size_t plain_max(const struct store *st)
{
	const struct store_info *i = store_info(st);
	size_t most = i->stream.max > i->block.max ? i->stream.max :
	    i->block.max;

	return most > PLAIN_MIN ? most : PLAIN_MIN;
}

/* Tools for snapshots of that domain; `to` when they get other ids there. */
static int hands_make(struct copy *c, const char *domain, bool to,
    struct err *err)
{
	size_t most = plain_max(c->from);

	if (c->hands != NULL && strcmp(c->domain, domain) == 0 &&
	    (!to || copy_main(c)->to != NULL))
		return 0;
	hands_free(c);
	c->nhands = pool_size(c->e->pool) + 1;
	c->hands = mem_array(c->nhands, sizeof(*c->hands), "a copy", err);
	if (c->hands == NULL)
		return -1;
	for (unsigned i = 0; i < c->nhands; i++) {
		struct copy_hand *h = &c->hands[i];

		h->from = store_worker_new(c->from, c->opt->level, most, domain,
		    err);
		if (h->from != NULL && to)
			h->to = store_worker_new(c->to, c->opt->level, most,
			    NULL, err);
		if (h->from == NULL || (to && h->to == NULL))
			return -1;
	}
	c->domain = mem_strdup(domain, err);
	if (c->domain != NULL)
		c->pages = pages_new(c->from, domain, err);
	return c->pages == NULL ? -1 : 0;
}

/* --- what is there ------------------------------------------------------------------------*/

/* Origins and names of the far snapshots, with where each is. */
struct there { char **v; size_t n, cap; struct copy *c; };

static int there_add(struct there *t, const char *origin,
    const struct store_snapshot *sn, struct err *err)
{
	if (t->n == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		char **v = realloc(t->v, cap * sizeof(*v));

		if (v == NULL)
			return err_nomem(err, "the list of snapshots");
		t->v = v;
		t->cap = cap;
	}
	/* Behind the end of the origin stands the id of what is there. */
	t->v[t->n] = mem_array(strlen(origin) + 18, 1, "the list of snapshots",
	    err);
	if (t->v[t->n] == NULL)
		return -1;
	memcpy(t->v[t->n], origin, strlen(origin) + 1);
	memcpy(t->v[t->n] + strlen(origin) + 1, sn->id, 17);
	t->n++;
	return 0;
}

static int there_each(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct there *t = ctx;
	char origin[STORE_ORIGIN_MAX];
	struct store_snapshot self = **sn;

	self.origin = (char[1]){ "" };
	store_copy_origin(t->c->to, &self, origin);
	if (there_add(t, origin, *sn, err) < 0)
		return -1;
	if ((*sn)->origin[0] != '\0' && store_copy_believed(t->c->to, *sn))
		return there_add(t, (*sn)->origin, *sn, err);
	return 0;
}

static int there_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void there_free(struct there *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
}

/* What was copied just now is there, too. */
static int there_more(struct there *t, const char *origin, const char *id,
    struct err *err)
{
	struct store_snapshot sn = { .size = 0 };
	size_t lo = 0, hi = t->n;
	char *last;

	memcpy(sn.id, id, sizeof(sn.id));
	if (there_add(t, origin, &sn, err) < 0)
		return -1;
	last = t->v[t->n - 1];
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(t->v[mid], last) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	memmove(&t->v[lo + 1], &t->v[lo], (t->n - 1 - lo) * sizeof(*t->v));
	t->v[lo] = last;
	return 0;
}

static int there_read(struct copy *c, struct there *t, struct err *err)
{
	t->c = c;
	if (store_snapshots(c->to, false, there_each, NULL, t, err) < 0)
		return -1;
	qsort(t->v, t->n, sizeof(*t->v), there_cmp);
	return 0;
}

/* The id of the copy of that origin, or NULL. */
static const char *there_find(const struct there *t, const char *origin)
{
	char **at = t->n == 0 ? NULL : bsearch(&origin, t->v, t->n,
	    sizeof(*t->v), there_cmp);

	return at == NULL ? NULL : *at + strlen(*at) + 1;
}

/* --- one snapshot ---------------------------------------------------------------------------*/

static struct store_commit commit_of(const struct store_snapshot *sn,
    const char *origin)
{
	return (struct store_commit){
		.flags = sn->flags,
		.size = sn->size,
		.entries = sn->entries,
		.files = sn->files,
		.dirs = sn->dirs,
		.others = sn->others,
		.bytes_read = sn->bytes_read,
		.bytes_new = sn->bytes_new,
		.start_ns = sn->start_ns,
		.end_ns = sn->end_ns,
		.user = sn->user,
		.program = sn->program,
		.origin = origin,
		.paths = (const char *const *)sn->paths.v,
		.npaths = sn->paths.n,
		.tags = (const char *const *)sn->tags.v,
		.ntags = sn->tags.n,
	};
}

static int session_begin(struct copy *c, bool same, struct err *err)
{
	const struct store_session_options so = {
		.volume = c->sn->volume,
		.host = c->sn->host,
		.content = c->sn->content,
		.parent = "auto",
		.look = c->opt->dry_run,
		.domain = same ? c->sn->domain : NULL,
		.name_ns = c->sn->start_ns,
		.pack_buffers = c->e->budget.pack_buffers,
		.executor = { uploads_submit, c->e->uploads },
	};

	c->ss = store_session_begin(c->to, &so, err);
	return c->ss == NULL ? err_wrap(err, "%s",
	    store_backend(c->to)->name) : 0;
}

/* All was sent, as far as it could be read: commit, or leave it. */
static int session_finish(struct copy *c, struct store_commit *commit,
    struct err *err)
{
	struct store_session *ss = c->ss;
	struct store_session_stats stats;

	store_session_stats(ss, &stats);
	if (!c->opt->dry_run) {
		c->told.blobs_new = stats.blobs_new;
		c->told.bytes_stored = stats.bytes_packed;
	}
	c->ss = NULL;
	if (c->damages > 0 || c->lost.len > 0) {
		c->told.outcome = c->gone ? ENGINE_COPY_GONE :
		    ENGINE_COPY_DAMAGED;
		/* The others need most of it, too. */
		if (c->opt->dry_run) {
			store_session_abort(ss);
			return 0;
		}
		return store_copy_leave(ss, err);
	}
	c->told.outcome = ENGINE_COPY_DONE;
	if (c->opt->dry_run) {
		store_session_abort(ss);
		return 0;
	}
	return store_session_commit(ss, commit, c->told.copy, err) < 0 ? -1 : 0;
}

static int copy_one(struct copy *c, const char *origin, struct err *err)
{
	struct store_commit commit = commit_of(c->sn, origin);
	const struct store_snapshot *parent;
	struct err ignored = ERR_INIT;
	bool carry, same = c->told.same;
	int r = session_begin(c, same, err);

	if (r == 0) {
		parent = store_session_parent(c->ss, &carry);
		r = same ? copy_same(c, parent, carry, &commit, err) :
		    copy_anew(c, &commit, err);
	}
	if (r == 0)
		r = copy_name_lost(c, err);
	if (r == 0)
		return session_finish(c, &commit, err);
	if (c->ss != NULL && !c->opt->dry_run &&
	    err->class == ERR_CANCELLED)
		store_copy_leave(c->ss, &ignored);
	else
		store_session_abort(c->ss);
	c->ss = NULL;
	return -1;
}

static int verify_one(struct copy *c, bool same, struct err *err)
{
	struct store_snapshot *copy = NULL;
	int r;

	if (!c->opt->verify || c->opt->dry_run || c->told.copy[0] == '\0')
		return 0;
	r = store_snapshot_find(c->to, c->told.copy, &copy, err);
	if (r == 0)
		r = copy_verify(c, copy, same, err);
	store_snapshot_free(copy);
	return r;
}

static void count(struct copy *c)
{
	struct engine_copy_result *ret = c->ret;
	struct engine_progress *p = &c->e->progress;

	ret->copied += c->told.outcome == ENGINE_COPY_DONE;
	ret->there += c->told.outcome == ENGINE_COPY_THERE;
	ret->damaged += c->told.outcome == ENGINE_COPY_DAMAGED;
	ret->gone += c->told.outcome == ENGINE_COPY_GONE;
	ret->verified += c->told.verified;
	ret->differ += c->told.differs;
	ret->blobs_new += c->told.blobs_new;
	ret->bytes_stored += c->told.bytes_stored;
	ret->anew |= !c->told.same && c->told.outcome == ENGINE_COPY_DONE;
	c->bytes_before += c->sn->size;
	atomic_store(&p->bytes_done, c->bytes_before);
	atomic_fetch_add(&p->files_done, c->sn->files);
	if (c->opt->told != NULL)
		c->opt->told(c->opt->ctx, &c->told);
}

static int one(struct copy *c, const struct store_snapshot *sn,
    struct there *t, struct err *err)
{
	char origin[STORE_ORIGIN_MAX];
	const char *id;
	int r;

	c->sn = sn;
	c->damages = 0;
	c->gone = false;
	buf_reset(&c->lost);
	c->told = (struct engine_copy_told){ .sn = sn };
	store_copy_origin(c->from, sn, origin);
	id = there_find(t, origin);
	if (id != NULL) {
		c->told.outcome = ENGINE_COPY_THERE;
		memcpy(c->told.copy, id, sizeof(c->told.copy));
	}
	if (id != NULL && !c->opt->verify) {
		count(c);
		return 0;
	}
	r = store_copy_same(c->from, sn, c->to, err);
	c->told.same = r > 0;
	if (r >= 0)
		r = hands_make(c, sn->domain, !c->told.same, err);
	if (r == 0 && id == NULL)
		r = copy_one(c, origin, err);
	if (r == 0 && id == NULL && c->told.outcome == ENGINE_COPY_DONE)
		r = there_more(t, origin, c->told.copy, err);
	if (r == 0)
		r = verify_one(c, c->told.same, err);
	if (r < 0)
		return err_wrap(err, "snapshot %s", sn->id);
	count(c);
	return 0;
}

/* --- the run --------------------------------------------------------------------------------*/

static void progress_begin(struct copy *c, struct store_snapshot *const *v,
    size_t n)
{
	struct engine_progress *p = &c->e->progress;
	uint64_t bytes = 0, files = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += v[i]->size;
		files += v[i]->files;
	}
	atomic_store(&p->bytes_total, bytes);
	atomic_store(&p->files_total, files);
	atomic_store(&p->total_known, true);
}

int engine_copy(struct engine *e, const struct engine_copy_options *opt,
    struct store_snapshot *const *v, size_t n, struct engine_copy_result *ret,
    struct err *err)
{
	struct copy c = { .e = e, .opt = opt, .from = opt->from, .to = opt->to,
		.ret = ret, .memory = e->budget.read / 4 };
	int64_t began = clock_mono_ns();
	struct there t = { .n = 0 };
	int r;

	*ret = (struct engine_copy_result){ .copied = 0 };
	if (store_need(c.from, STORE_READ, "to copy from there", err) < 0 ||
	    store_need(c.to, STORE_WRITE, "to copy to there", err) < 0 ||
	    (opt->verify && store_need(c.to, STORE_READ, "to verify what was "
	        "copied there", err) < 0))
		return -1;
	pthread_mutex_init(&c.lock, NULL);
	progress_begin(&c, v, n);
	r = there_read(&c, &t, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = one(&c, v[i], &t, err);
	there_free(&t);
	hands_free(&c);
	table_free(c.checked);
	copy_ids_free(c.ids);
	buf_release(&c.lost);
	buf_release(&c.told_path);
	pthread_mutex_destroy(&c.lock);
	ret->elapsed_ns = clock_mono_ns() - began;
	return r;
}
