#ifndef AGENT_ENGINE_BACKUP_INTERNAL_H
#define AGENT_ENGINE_BACKUP_INTERNAL_H

#include "agent/engine/backup_run.h"

/* What the files of a backup do for each other. */

/* --- shared by its files ------------------------------------------------------*/

/* The run fails with this; the first one counts.  Wakes everyone. */
void backup_fail(struct backup *b, const struct err *why);
bool backup_failed(struct backup *b);
/*
 * Nothing more is to be read: the run was asked to stop, or its session ends.
 * From the main thread's ending on it stays true.
 */
bool backup_stopping(struct backup *b);
/* Tell main that something has changed. */
void backup_wake(struct backup *b);
/*
 * Let the session tell that it lives; main only, at least every few minutes.
 * Return 0, or -1: CANCELLED, or the session was revoked.
 */
int backup_alive(struct backup *b, struct err *err);
/* Queue a task, which calls backup_task_end as its very last act. */
void backup_submit(struct backup *b, struct pool_task *task, bool urgent);
/* Count *busy (may be NULL) down by one, end the task and wake main. */
void backup_task_end(struct backup *b, atomic_uint *busy);

/* Move one of main's places to the next item; NULL: walk has made none yet. */
void backup_advance(struct backup *b, struct item *_Atomic *place);
/* The walk has ended and that place stands behind the last item. */
bool backup_walk_over(struct backup *b, struct item *_Atomic *place);
/* The walk makes no more items before some are encoded; all are merged. */
bool backup_stuck(struct backup *b);

/* Report a path that could not be read or not wholly; once for each path. */
void backup_report(struct backup *b, struct dir *dir, const char *name,
    const struct err *why);
void backup_report_path(struct backup *b, const char *path, const struct err *why);

/* backup_items.c: the walk's thread; arg is the backup. */
void *backup_walk(void *arg);

/*
 * Store a chunk or page as thread self; in a dry run only its id is made.
 */
int backup_put(struct backup *b, unsigned self, enum store_kind kind,
    const void *data, size_t len, uint8_t ret_id[32], struct err *err);
/* archive_io's put and get; ctx is a page_ctx. */
int backup_page_put(void *ctx, enum archive_kind kind, const void *page,
    size_t len, uint8_t ret_id[32], struct err *err);
int backup_page_get(void *ctx, enum archive_kind kind, const uint8_t id[32],
    struct buf *ret_page, struct err *err);

/*
 * backup_carry.c: may a reference of the parent be carried over?  Or all that a
 * byte map holds, which is followed.  0; 1 when it has to be read again; -1.
 * For the main thread.
 */
int backup_may_carry(struct backup *b, const uint8_t id[32], struct err *err);
int backup_may_carry_map(struct backup *b, const struct archive_ref *root,
    struct err *err);

/* item.c: look (statx), and read metadata and content.  Any worker. */
void item_look(struct backup *b, struct item *it, int dirfd);
void item_fetch(struct backup *b, unsigned self, struct item *it, bool content);
void item_free(struct item *it);
/* Queue the reading of it as a task of its own. */
void item_submit_fetch(struct backup *b, struct item *it, bool content);

/* file.c: content of files that are not small. */
void file_store(struct backup *b, unsigned self, struct item *it, int fd);
void file_submit_big(struct backup *b, struct item *it);

/* merge.c, bundle.c, encode.c: main thread.  1: did something, 0: must wait, -1. */
int merge_begin(struct backup *b, const struct store_snapshot *parent,
    struct err *err);
int merge_step(struct backup *b, struct err *err);
/* Leave what was decided about the whole parent to the run's next session. */
void merge_tell(struct backup *b);
/* The group's leaf cannot be carried over: its items are encoded anew. */
void merge_spoil(struct backup *b, struct group *g);
/* Too many items wait: decide about this one by what is known. */
void merge_force(struct backup *b, struct item *it);
void merge_group_unref(struct group *g);
/* One of the things that the item waited for is decided. */
void merge_settle(struct backup *b, struct item *it);
int bundle_step(struct backup *b, struct err *err);
/* End the bundle that is open, which there is, and let it be stored. */
void bundle_flush(struct backup *b);
void bundle_unref(struct bundle *bd);
void bundle_release(struct backup *b); /* the spare buffers */
int encode_step(struct backup *b, struct err *err);

/* The item comes after those that were encoded: the checkpoint may end in it. */
int encode_partial(struct backup *b, struct err *err);

/* resume.c: content that an earlier session has stored. */
struct runs;
/*
 * Append the runs of c to r, up to the first chunk that is not present any more
 * unless `trusted`.  *ret_end: bytes appended.  0 or -1.
 */
int resume_runs(struct backup *b, struct runs *r, const struct fmt_content *c,
    bool trusted, uint64_t *ret_end, struct err *err);
/*
 * Append to w what the map at root holds: whole pages when `trusted`; else
 * reread (ctx) stores a chunk that is not present any more and sets run->id.
 */
int resume_map(struct backup *b, const struct archive_ref *root,
    struct archive_map_writer *w, bool trusted,
    int (*reread)(void *ctx, uint64_t off, struct fmt_run *run, struct err *err),
    void *ctx, struct err *err);

/* rounds.c: sessions of a run, one after the other. */
/* Begin one: b->ss, b->carry, b->rest_of.  The parent, or NULL, in *ret_parent. */
int rounds_open(struct backup *b, const struct store_snapshot **ret_parent,
    struct err *err);
/*
 * End the session with the checkpoint c and begin another.  *ret_trusted: what
 * the checkpoint refers to needs no asking (R3).
 */
int rounds_next(struct backup *b, struct store_commit *c, bool *ret_trusted,
    struct err *err);
/* When the session will have lasted as long as one may, by clock_mono_ns. */
int64_t rounds_end(struct backup *b);
/* It could not end: ask again some time later. */
void rounds_put_off(struct backup *b);
/*
 * Commit it: 0; 1 with the id of a checkpoint in rounds->checkpoint, when
 * c->checkpoint or the run was asked to stop; -1.
 */
int rounds_commit(struct backup *b, struct store_commit *c, struct err *err);

/*
 * Both end as backup_once does: 0 when c is what to commit, 1 when the session
 * was given up for another, -1.
 * backup_block.c: a block device or image; backup_stream.c: a stream of bytes.
 */
int backup_device(struct backup *b, const struct store_snapshot *parent,
    struct store_commit *commit, struct err *err);
/* Can it be opened, and is it one?  0, or -1: USAGE, or why it cannot. */
int backup_device_look(const char *path, struct err *err);
int backup_finish_tree(struct archive_tree_writer *w, struct store_commit *commit,
    struct err *err); /* ends w; commit gets both roots */
int backup_stream(struct backup *b, struct store_commit *commit, struct err *err);

/* --- a run (backup.c) --------------------------------------------------------------*/

/*
 * engine_backup, but what is wrong with the parent ends it: class CORRUPT; and
 * 1 when its last session has ended before the source did: it is to be called
 * again, and goes on from rounds->checkpoint.
 */
int backup_once(struct engine *e, struct store *st,
    const struct engine_backup_options *opt, struct rounds *rounds,
    struct engine_backup_result *ret, struct err *err);

#endif
