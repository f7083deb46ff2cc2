#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/uploads.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"

/*
 * A session lasts a few hours at most, for collections wait for those that are
 * open.  So a run is a chain of sessions: each but the last commits a
 * checkpoint, and the next one has that as its parent, with the whole snapshot
 * before it for what it has not reached.  A tree is walked anew each time:
 * what is in the checkpoint is carried over, leaf by leaf.
 */

#define SESSION_NS ((int64_t)4 * 3600 * 1000000000)
#define PUT_OFF_NS ((int64_t)60 * 1000000000)

static bool run_cancelled(void *ctx)
{
	return engine_cancelled(ctx);
}

/* Remember what the run goes by, as its first session found it. */
static void first_session(struct backup *b, const struct store_snapshot *parent)
{
	struct rounds *rd = b->rounds;
	const struct store_snapshot *rest = parent;

	if (parent == NULL)
		return;
	memcpy(rd->parent, parent->id, sizeof(rd->parent));
	if (parent->checkpoint) {
		rest = b->rest_of;
		rd->flags |= parent->flags & STORE_INODES_IGNORED;
	}
	if (rest != NULL)
		memcpy(rd->rest, rest->id, sizeof(rd->rest));
}

int rounds_open(struct backup *b, const struct store_snapshot **ret_parent,
    struct err *err)
{
	const struct engine_backup_options *o = b->opt;
	struct rounds *rd = b->rounds;
	struct store_session_options so = {
		.volume = b->volume,
		.host = o->host,
		.content = o->device ? STORE_BLOCK : STORE_TREE,
		.parent = o->parent ? o->parent : "auto",
		.pack_buffers = b->e->budget.pack_buffers,
		.executor = { uploads_submit, b->e->uploads },
		.cancelled = run_cancelled,
		.cancelled_ctx = b->e,
		.look = o->dry_run,
	};

	*ret_parent = NULL;
	b->session_ns = clock_mono_ns();
	if (rd->checkpoint[0] != '\0') {
		so.parent = rd->checkpoint;
		so.rest = rd->rest[0] != '\0' ? rd->rest : "none";
	}
	b->ss = store_session_begin(b->st, &so, err);
	/* Another run of the volume may have superseded it, and a collection removed. */
	if (b->ss == NULL && err->class == ERR_NOTFOUND && so.parent == rd->checkpoint) {
		log_msg(LOG_INFO, "checkpoint %s is no more: %s", rd->checkpoint, err->msg);
		err_clear(err);
		so.parent = "auto";
		so.rest = NULL;
		b->ss = store_session_begin(b->st, &so, err);
	}
	if (b->ss == NULL)
		return -1;
	*ret_parent = store_session_parent(b->ss, &b->carry);
	b->healing = store_session_healing(b->ss);
	b->rest_of = store_session_rest(b->ss, &b->rest_carry);
	if (!rd->opened)
		first_session(b, *ret_parent);
	rd->opened = true;
	memcpy(b->res->parent, rd->parent, sizeof(b->res->parent));
	return 0;
}

int rounds_next(struct backup *b, struct store_commit *c, bool *ret_trusted,
    struct err *err)
{
	const struct store_snapshot *parent;

	c->checkpoint = true;
	c->start_ns = b->rounds->start_ns;
	if (rounds_commit(b, c, err) < 0 || rounds_open(b, &parent, err) < 0)
		return -1;
	*ret_trusted = b->carry && !b->healing && parent != NULL &&
	    strcmp(parent->id, b->rounds->checkpoint) == 0;
	return 0;
}

static int64_t longest(const struct backup *b)
{
	return b->opt->session_ns > 0 ? b->opt->session_ns : SESSION_NS;
}

int64_t rounds_end(struct backup *b)
{
	int64_t ns = longest(b), most = INT64_MAX / 4, end;

	if (b->opt->dry_run)
		return INT64_MAX;
	for (unsigned i = 0; i < b->rounds->stretch && ns < most; i++)
		ns *= 2;
	end = b->session_ns + (ns < most ? ns : most);
	return end > b->put_off_ns ? end : b->put_off_ns;
}

void rounds_put_off(struct backup *b)
{
	b->put_off_ns = clock_mono_ns() + (longest(b) < PUT_OFF_NS ? longest(b) : PUT_OFF_NS);
}

/* What the result says, and what of it the snapshot keeps. */
static void fill_commit(struct backup *b, struct store_commit *c)
{
	struct engine_backup_result *r = b->res;
	struct engine_progress *p = &b->e->progress;

	r->errors = atomic_load(&p->errors);
	if (r->errors > 0)
		r->flags |= STORE_INCOMPLETE;
	if (b->opt->ignore_ctime)
		r->flags |= STORE_CTIME_IGNORED;
	r->flags |= b->rounds->flags;
	r->bytes_read = atomic_load(&p->bytes_read);
	r->bytes_new = atomic_load(&p->bytes_new);
	c->flags = r->flags;
	c->size = r->bytes;
	c->entries = r->entries;
	c->files = r->files_new + r->files_changed + r->files_reread + r->files_same;
	c->dirs = r->dirs;
	c->others = r->others;
	c->bytes_read = r->bytes_read;
	c->bytes_new = r->bytes_new;
	c->end_ns = clock_real_ns();
	c->user = b->opt->user ? b->opt->user : "";
	c->program = b->opt->program ? b->opt->program : "";
	c->paths = (const char *const *)b->paths;
	c->npaths = b->npaths;
	c->tags = b->opt->tags;
	c->ntags = b->opt->ntags;
}

int rounds_commit(struct backup *b, struct store_commit *c, struct err *err)
{
	struct store_session *ss = b->ss;
	struct rounds *rd = b->rounds;
	char id[17] = "";
	int r = 0;

	fill_commit(b, c);
	b->ss = NULL;
	b->rest_of = NULL;
	if (b->opt->dry_run)
		store_session_abort(ss);
	else
		r = store_session_commit(ss, c, id, err);
	if (r < 0)
		return -1;
	b->res->bytes_stored = atomic_load(&b->e->progress.bytes_stored);
	if (r == 0 && !c->checkpoint) {
		memcpy(b->res->id, id, sizeof(id));
		return 0;
	}
	memcpy(rd->checkpoint, id, sizeof(id));
	rd->checkpoints++;
	rd->flags |= b->res->flags & STORE_INODES_IGNORED;
	rd->files_new += b->res->files_new;
	rd->files_changed += b->res->files_changed;
	rd->files_reread += b->res->files_reread;
	if (b->opt->checkpoint != NULL)
		b->opt->checkpoint(b->opt->report_ctx, id);
	return 1;
}

/* --- a run --------------------------------------------------------------------------*/

/* Counters of what is done begin anew; those of what was read and stored go on. */
static void progress_again(struct engine_progress *p)
{
	atomic_store(&p->files_done, 0);
	atomic_store(&p->files_new, 0);
	atomic_store(&p->files_changed, 0);
	atomic_store(&p->files_same, 0);
	atomic_store(&p->dirs_done, 0);
	atomic_store(&p->others_done, 0);
	atomic_store(&p->bytes_done, 0);
	atomic_store(&p->errors, 0);
}

static void progress_reset(struct engine_progress *p)
{
	progress_again(p);
	atomic_store(&p->bytes_read, 0);
	atomic_store(&p->bytes_new, 0);
	atomic_store(&p->bytes_stored, 0);
	atomic_store(&p->files_total, 0);
	atomic_store(&p->bytes_total, 0);
	atomic_store(&p->total_known, false);
}

/* Add what earlier sessions have stored to *n, and take it off *rest. */
static void tell_earlier(uint64_t *n, uint64_t earlier, uint64_t *rest)
{
	*n = *n + earlier < *rest ? *n + earlier : *rest;
	*rest -= *n;
}

/* Make the last session's result that of the run. */
static void tell_run(const struct rounds *rd, struct engine_backup_result *ret)
{
	uint64_t files = ret->files_new + ret->files_changed + ret->files_reread +
	    ret->files_same;

	memcpy(ret->checkpoint, rd->checkpoint, sizeof(ret->checkpoint));
	ret->checkpoints = rd->checkpoints;
	ret->elapsed_ns = clock_mono_ns() - rd->began_ns;
	if (rd->n == 0)
		return;
	/* What an earlier session has stored was unchanged for the next ones. */
	ret->way = rd->way;
	ret->way_reason = rd->way_reason;
	tell_earlier(&ret->files_new, rd->files_new, &files);
	tell_earlier(&ret->files_changed, rd->files_changed, &files);
	tell_earlier(&ret->files_reread, rd->files_reread, &files);
	ret->files_same = files;
}

/*
 * May the run go on after this failure?  A parent only saves work: when its
 * state cannot be read, or is not what a backup writes, the source is read
 * whole; a run that failed for it would fail every night until somebody looks,
 * and it is this run that heals the damage.  A session that was revoked for its
 * silence is followed by another; what it has sent is found.
 */
static bool again(struct engine *e, struct engine_backup_options *o, struct rounds *rd,
    bool *damaged, bool *revoked, struct err *err)
{
	bool useless = err->class == ERR_CORRUPT && rd->parent[0] != '\0';

	/* A stream cannot be read twice. */
	if (o->stream_name != NULL || engine_cancelled(e))
		return false;
	if (useless) {
		log_msg(LOG_WARN, "the parent %s is of no use, and all is read: %s",
		    rd->parent, err->msg);
		*damaged = true;
		o->parent = "none";
		*rd = (struct rounds){ .start_ns = rd->start_ns, .began_ns = rd->began_ns };
		progress_reset(&e->progress);
	} else if (err->class == ERR_CONFLICT && !*revoked) {
		log_msg(LOG_WARN, "%s; it begins anew", err->msg);
		*revoked = true;
		progress_again(&e->progress);
	} else {
		return false;
	}
	/* The extents have been taken from their source. */
	o->changed = (struct extent_source){ .next = NULL };
	err_clear(err);
	return true;
}

int engine_backup(struct engine *e, struct store *st,
    const struct engine_backup_options *opt,
    struct engine_backup_result *ret, struct err *err)
{
	struct engine_backup_options o = *opt;
	struct rounds *rd = mem_zalloc(sizeof(*rd), "the run", err);
	bool damaged = false, revoked = false;
	int r;

	*ret = (struct engine_backup_result){ .way_reason = "" };
	if (rd == NULL)
		return -1;
	rd->start_ns = clock_real_ns();
	rd->began_ns = clock_mono_ns();
	for (;;) {
		r = backup_once(e, st, &o, rd, ret, err);
		if (r == 1) {
			if (rd->n == 1) {
				rd->way = ret->way;
				rd->way_reason = ret->way_reason;
			}
			revoked = false;
			progress_again(&e->progress);
		} else if (r == 0 || !again(e, &o, rd, &damaged, &revoked, err)) {
			break;
		}
	}
	tell_run(rd, ret);
	if (damaged)
		ret->way_reason = "the parent is damaged";
	free(rd);
	return r;
}
