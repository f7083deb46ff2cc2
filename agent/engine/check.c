#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine_internal.h"
#include "agent/engine/query.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/*
 * After the objects have been looked at one by one, each snapshot is followed
 * to every blob that it needs.  What was found damaged is remembered by a
 * short hash: a hit is made sure of by reading the blob before it is told.
 */

/* Slots of the two sets; a power of two.  Full sets only cost time. */
#define SEEN_SLOTS (1u << 20)
#define BAD_SLOTS (1u << 18)

/* Packs that are read at once; each holds a few MiB. */
#define CHECK_JOBS 3u

struct set {
	uint64_t *v;
	uint32_t slots, used;
	bool overflow;
};

struct checking {
	struct engine *e;
	struct store *st;
	const struct engine_check_options *opt;
	struct engine_check_result *res;
	char *domain;          /* of pages and w */
	struct engine_pages *pages;
	struct store_worker *w;
	struct set seen, bad_ids, bad_packs;
	const struct store_snapshot *sn;
	uint8_t last_id[32];   /* the same bundle is named by many files */
	bool last_bad, sn_damaged;
	uint64_t paths_before;
	struct buf scratch, path;
};

static int set_init(struct set *s, uint32_t slots, struct err *err)
{
	s->slots = slots;
	s->v = mem_array(slots, sizeof(*s->v), "the check", err);
	return s->v ? 0 : -1;
}

/* Add h (not 0); return true when it was there. */
static bool set_add(struct set *s, uint64_t h, bool add)
{
	uint32_t i = (uint32_t)h & (s->slots - 1);

	h |= 1;
	while (s->v[i] != 0) {
		if (s->v[i] == h)
			return true;
		i = (i + 1) & (s->slots - 1);
	}
	if (!add)
		return false;
	if (s->used >= s->slots / 4 * 3) {
		s->overflow = true;
		return false;
	}
	s->v[i] = h;
	s->used++;
	return false;
}

static uint64_t hash_text(const char *s)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return h ^ h >> 29;
}

static void on_object(void *ctx, const char *key, const uint8_t *id, const char *what)
{
	struct checking *c = ctx;

	if (id != NULL)
		set_add(&c->bad_ids, le64_get(id), true);
	else
		set_add(&c->bad_packs, hash_text(key), true);
	if (c->opt->object != NULL)
		c->opt->object(c->opt->ctx, key, id, what);
}

/* Does the failure tell of the repository?  Want of memory does not. */
static bool is_damage(const struct err *why)
{
	return why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND ||
	    why->class == ERR_IO || why->class == ERR_UNSUPPORTED;
}

/* Is the blob there and whole, by all that is known?  1: it is not. */
static int blob_bad(struct checking *c, uint8_t kind, const uint8_t *id, const char **what,
    struct err *err)
{
	struct store_loc loc;
	char key[64];
	int r = store_locate(c->st, id, &loc, err);

	if (r < 0)
		return -1;
	if (r == 1) {
		*what = "a chunk that no index segment names";
		c->res->missing++;
		return 1;
	}
	store_pack_name(c->st, loc.pack, key, sizeof(key));
	if (!set_add(&c->bad_ids, le64_get(id), false) &&
	    !set_add(&c->bad_packs, hash_text(key), false) &&
	    !c->bad_ids.overflow && !c->bad_packs.overflow)
		return 0;
	*what = "a damaged chunk";

	struct err why;

	r = store_get(c->st, c->w, (enum store_kind)kind, id, &c->scratch, &why);
	if (r < 0 && !is_damage(&why)) {
		*err = why;
		return -1;
	}
	return r != 0;
}

static void tell_path(struct checking *c, const struct archive_path *dir,
    const struct fmt_entry *entry, const char *what)
{
	const char *text = "(the whole volume)";

	c->sn_damaged = true;
	if (dir != NULL && entry != NULL) {
		buf_reset(&c->path);
		for (size_t i = 0; i < dir->n; i++) {
			buf_add(&c->path, dir->c[i].name, dir->c[i].len);
			buf_u8(&c->path, '/');
		}
		buf_add(&c->path, entry->name.len ? entry->name.name : ".",
		    entry->name.len ? entry->name.len : 1);
		buf_u8(&c->path, 0);
		text = c->path.failed ? "?" : (const char *)c->path.p;
		c->res->paths_damaged++;
	} else if (dir != NULL || c->sn->content == STORE_TREE) {
		text = "(a part of the catalog)";
	}
	if (c->opt->path != NULL)
		c->opt->path(c->opt->ctx, c->sn->id, text, what);
}

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry, struct err *err)
{
	struct checking *c = ctx;
	const char *what = "";

	if (engine_cancelled(c->e))
		return err_set(err, ERR_CANCELLED, "stopped on request");
	/* A page that was whole below needs no second look. */
	if (page && set_add(&c->seen, le64_get(id), true))
		return 1;
	if (!page && memcmp(id, c->last_id, 32) == 0) {
		if (c->last_bad)
			tell_path(c, dir, entry, "a damaged chunk");
		return 0;
	}

	int bad = blob_bad(c, kind, id, &what, err);

	if (bad < 0)
		return -1;
	if (!page) {
		memcpy(c->last_id, id, 32);
		c->last_bad = bad > 0;
	}
	if (bad > 0)
		tell_path(c, dir, entry, what);
	return 0;
}

static int on_bad_page(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct checking *c = ctx;

	(void)kind, (void)id;
	if (!is_damage(why)) {
		*err = *why;
		return -1;
	}
	tell_path(c, dir, entry, why->msg);
	return 0;
}

static int follow(struct checking *c, const struct archive_walk *walk, struct err *err)
{
	const struct store_snapshot *sn = c->sn;
	const struct archive_io *io = engine_pages_io(c->pages);
	const uint8_t *key;
	struct archive_ref ref = { .level = sn->state.level, .entries = sn->state.entries };

	memcpy(ref.id, sn->state.id, sizeof(ref.id));
	if (sn->content == STORE_BLOCK)
		return archive_walk_map(io, &ref, walk, err);

	int r = archive_walk_state(io, &ref, walk, err);

	if (r != 0 || sn->sealed)
		return r;
	key = store_snapshot_order(c->st, sn, err);
	if (key == NULL)
		return -1;
	memcpy(ref.id, sn->catalog.id, sizeof(ref.id));
	ref.level = sn->catalog.level;
	ref.entries = sn->catalog.entries;
	memset(c->last_id, 0, sizeof(c->last_id));
	return archive_walk_catalog(io, key, &ref, walk, err);
}

static void check_tools_free(struct checking *c)
{
	engine_pages_free(c->pages);
	store_worker_free(c->w);
	free(c->domain);
	c->pages = NULL;
	c->w = NULL;
	c->domain = NULL;
}

/* Blobs are read, and their ids checked, in the snapshot's own domain. */
static int check_tools(struct checking *c, const char *domain, struct err *err)
{
	if (c->w != NULL && strcmp(c->domain, domain) == 0)
		return 0;
	check_tools_free(c);
	c->domain = mem_strdup(domain, err);
	if (c->domain != NULL)
		c->pages = engine_pages_new(c->st, domain, err);
	if (c->pages != NULL)
		c->w = store_worker_new(c->st, ZIP_OFF, store_info(c->st)->stream.max, domain,
		    err);
	return c->w != NULL ? 0 : -1;
}

static int check_snapshot(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct checking *c = ctx;
	struct archive_walk look = { on_blob, on_bad_page, c };

	c->sn = *sn;
	c->sn_damaged = false;
	/* Another domain's ids can be made by an administrator only. */
	if (strcmp((*sn)->domain, store_info(c->st)->domain) != 0 &&
	    !(store_info(c->st)->rights & STORE_ADMIN)) {
		c->res->snapshots++;
		c->res->complete = false;
		return 0;
	}
	if (check_tools(c, (*sn)->domain, err) < 0)
		return -1;
	memset(c->last_id, 0, sizeof(c->last_id));
	c->res->snapshots++;
	if ((*sn)->sealed)
		c->res->complete = false;
	if (follow(c, &look, err) != 0)
		return -1;
	if (c->sn_damaged) {
		c->res->snapshots_damaged++;
		/* What is not whole has to be told for each snapshot. */
		memset(c->seen.v, 0, c->seen.slots * sizeof(*c->seen.v));
		c->seen.used = 0;
	}
	return 0;
}

static bool check_cancelled(void *ctx)
{
	struct checking *c = ctx;

	return engine_cancelled(c->e);
}

static void check_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct checking *c = ctx;
	struct engine_progress *p = engine_progress(c->e);

	atomic_store(&p->files_done, done);
	atomic_store(&p->files_total, total);
	atomic_store(&p->total_known, true);
}

static int check_run(struct checking *c, struct err *err)
{
	struct store_check_options so = {
		.read_percent = c->opt->read_percent,
		.cancelled = check_cancelled,
		.progress = check_progress,
		.ctx = c,
		/* Packs are read and opened by the threads that send them else. */
		.threads = pool_size(c->e->pool) < CHECK_JOBS ? pool_size(c->e->pool) :
		    CHECK_JOBS,
		.executor = { uploads_submit, c->e->uploads },
	};

	if (set_init(&c->seen, SEEN_SLOTS, err) < 0 ||
	    set_init(&c->bad_ids, BAD_SLOTS, err) < 0 ||
	    set_init(&c->bad_packs, BAD_SLOTS, err) < 0)
		return -1;
	if (store_check(c->st, &so, on_object, c, &c->res->store, err) < 0)
		return -1;
	return store_snapshots(c->st, true, check_snapshot, NULL, c, err);
}

int engine_check(struct engine *e, struct store *st,
    const struct engine_check_options *opt, struct engine_check_result *ret,
    struct err *err)
{
	struct checking c = { .e = e, .st = st, .opt = opt, .res = ret };

	*ret = (struct engine_check_result){ .complete = true };

	int r = check_run(&c, err);

	check_tools_free(&c);
	free(c.seen.v);
	free(c.bad_ids.v);
	free(c.bad_packs.v);
	buf_release(&c.scratch);
	buf_release(&c.path);
	return r != 0 ? -1 : 0;
}
