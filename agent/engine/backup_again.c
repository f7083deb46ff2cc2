#include <string.h>

#include "agent/engine/backup_internal.h"
#include "repo/base/log.h"

/*
 * A parent only saves work.  When its state cannot be read, or is not what a
 * backup writes, the source is read whole: a run that failed for it would fail
 * every night until somebody looks, and it is this run that heals the damage.
 */

static void progress_reset(struct engine_progress *p)
{
	atomic_store(&p->files_done, 0);
	atomic_store(&p->files_new, 0);
	atomic_store(&p->files_changed, 0);
	atomic_store(&p->files_same, 0);
	atomic_store(&p->dirs_done, 0);
	atomic_store(&p->others_done, 0);
	atomic_store(&p->bytes_done, 0);
	atomic_store(&p->bytes_read, 0);
	atomic_store(&p->bytes_new, 0);
	atomic_store(&p->bytes_stored, 0);
	atomic_store(&p->files_total, 0);
	atomic_store(&p->bytes_total, 0);
	atomic_store(&p->errors, 0);
	atomic_store(&p->total_known, false);
}

int engine_backup(struct engine *e, struct store *st,
    const struct engine_backup_options *opt,
    struct engine_backup_result *ret, struct err *err)
{
	struct engine_backup_options again = *opt;
	int r = backup_once(e, st, opt, ret, err);

	/* A stream cannot be read twice, and goes by no parent. */
	if (r == 0 || err->class != ERR_CORRUPT || ret->parent[0] == '\0' ||
	    opt->stream_name != NULL || engine_cancelled(e))
		return r;
	log_msg(LOG_WARN, "the parent %s is of no use, and all is read: %s", ret->parent,
	    err->msg);
	err_clear(err);
	progress_reset(&e->progress);
	again.parent = "none";
	again.changed = (struct extent_source){ .next = NULL };
	r = backup_once(e, st, &again, ret, err);
	ret->way_reason = "the parent is damaged";
	return r;
}
