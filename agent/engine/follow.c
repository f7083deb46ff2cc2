#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine_internal.h"
#include "agent/engine/follow.h"
#include "agent/engine/query.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_repair.h"

/* Slots of the sets; a power of two.  Full sets only cost time. */
#define SEEN_SLOTS (1u << 20)
#define BAD_SLOTS (1u << 18)
#define GONE_SLOTS (1u << 12)

struct set {
	uint64_t *v;
	uint32_t slots, used;
	bool overflow;
};

struct follow {
	struct engine *e;
	struct store *st;
	struct follow_told told;
	struct follow_count n;
	char *domain;          /* of pages and w */
	struct engine_pages *pages;
	struct store_worker *w;
	struct set seen, bad_ids, bad_packs, lost, gone;
	const struct store_snapshot *sn;
	bool in_state;         /* of a tree: nothing that is restored */
	uint8_t last_id[32];   /* the same bundle is named by many files */
	bool last_bad, sn_damaged, sn_lost;
	struct buf scratch, path;
};

/* --- sets --------------------------------------------------------------------------*/

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

void follow_suspect(struct follow *f, const char *key, const uint8_t *id)
{
	if (id != NULL)
		set_add(&f->bad_ids, le64_get(id), true);
	else
		set_add(&f->bad_packs, hash_text(key), true);
}

/* --- is it whole? --------------------------------------------------------------------*/

/* Does the failure tell of the repository?  Want of memory does not. */
static bool is_damage(const struct err *why)
{
	return why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND ||
	    why->class == ERR_IO || why->class == ERR_UNSUPPORTED;
}

static int tell_lost(struct follow *f, uint8_t kind, const uint8_t *id, struct err *err)
{
	return f->told.lost != NULL ? f->told.lost(f->told.ctx, kind, id, err) : 0;
}

/*
 * A blob that may be damaged turned out to be.  Where it was listed, that is
 * counted, once for each.
 */
static void found_lost(struct follow *f, const uint8_t *id, bool listed)
{
	if (!set_add(&f->lost, le64_get(id), true) && listed)
		f->n.listed++;
}

/* Was the blob, or the pack at key, found or said to be damaged? */
static bool is_suspect(struct follow *f, const char *key, const uint8_t *id)
{
	return set_add(&f->bad_ids, le64_get(id), false) ||
	    set_add(&f->bad_packs, hash_text(key), false) ||
	    f->bad_ids.overflow || f->bad_packs.overflow;
}

/* Is the blob there and whole, by all that is known?  1: it is not. */
static int blob_bad(struct follow *f, uint8_t kind, const uint8_t *id, const char **what,
    struct err *err)
{
	struct err why = ERR_INIT;
	struct store_loc loc;
	bool listed = false;
	char key[64];
	int r = store_locate(f->st, id, &loc, &why);

	if (r < 0 && !is_damage(&why)) {
		*err = why;
		return -1;
	}
	if (r != 0) {
		*what = r == 1 ? "a chunk that no index segment names" :
		    "a chunk that no readable index segment names";
		f->n.missing++;
		return 1;
	}
	store_pack_name(f->st, loc.pack, key, sizeof(key));
	*what = "a damaged chunk";
	/* It was made sure of before: not read again for each that needs it. */
	if (set_add(&f->lost, le64_get(id), false))
		return 1;
	/* Located is a copy that is not listed, when there is one. */
	if (store_bad_has(f->st, id, loc.pack, &listed, err) < 0)
		return -1;
	if (!listed && !is_suspect(f, key, id))
		return 0;
	r = store_get(f->st, f->w, (enum store_kind)kind, id, &f->scratch, &why);
	/* Who may not read it goes by the list. */
	if (r < 0 && !is_damage(&why) && !(listed && why.class == ERR_AUTH)) {
		*err = why;
		return -1;
	}
	if (r != 0)
		found_lost(f, id, listed);
	if (r < 0 && why.class == ERR_NOTFOUND) {
		*what = "a chunk whose pack is missing";
		if (!set_add(&f->gone, hash_text(key), true) && f->told.object != NULL)
			f->told.object(f->told.ctx, key, NULL,
			    "is missing, and snapshots need it");
	}
	return r != 0;
}

static void tell_path(struct follow *f, const struct archive_path *dir,
    const struct fmt_entry *entry, const char *what)
{
	const char *text = "(the whole volume)";

	f->sn_damaged = true;
	f->sn_lost |= !f->in_state;
	if (dir != NULL && entry != NULL) {
		buf_reset(&f->path);
		for (size_t i = 0; i < dir->n; i++) {
			buf_add(&f->path, dir->c[i].name, dir->c[i].len);
			buf_u8(&f->path, '/');
		}
		buf_add(&f->path, entry->name.len ? entry->name.name : ".",
		    entry->name.len ? entry->name.len : 1);
		buf_u8(&f->path, 0);
		text = f->path.failed ? "?" : (const char *)f->path.p;
		f->n.paths_damaged++;
	} else if (f->in_state) {
		text = "(what the next backup goes by; no file)";
	} else if (dir != NULL || f->sn->content == STORE_TREE) {
		text = "(a part of the catalog)";
	}
	if (f->told.path != NULL)
		f->told.path(f->told.ctx, f->sn->id, text, what);
}

/* --- one snapshot -----------------------------------------------------------------------*/

static int on_blob(void *ctx, uint8_t kind, const uint8_t id[32], bool page,
    const struct archive_path *dir, const struct fmt_entry *entry, struct err *err)
{
	struct follow *f = ctx;
	const char *what = "";

	if (engine_cancelled(f->e))
		return err_set(err, ERR_CANCELLED, "stopped on request");
	/* A page that was whole below needs no second look. */
	if (page && set_add(&f->seen, le64_get(id), true))
		return 1;
	if (!page && memcmp(id, f->last_id, 32) == 0) {
		if (f->last_bad && !f->in_state)
			tell_path(f, dir, entry, "a damaged chunk");
		return 0;
	}

	int bad = blob_bad(f, kind, id, &what, err);

	if (bad < 0)
		return -1;
	if (!page) {
		memcpy(f->last_id, id, 32);
		f->last_bad = bad > 0;
	}
	if (bad == 0)
		return 0;
	/* A file's chunks are told by the catalog, where that can be read. */
	if (page || !f->in_state || f->sn->sealed)
		tell_path(f, dir, entry, what);
	/* What is below a lost page is not known. */
	return tell_lost(f, kind, id, err) < 0 ? -1 : page;
}

static int on_bad_page(void *ctx, uint8_t kind, const uint8_t id[32],
    const struct archive_path *dir, const struct fmt_entry *entry,
    const struct err *why, struct err *err)
{
	struct follow *f = ctx;

	if (!is_damage(why)) {
		*err = *why;
		return -1;
	}
	tell_path(f, dir, entry, why->msg);
	return tell_lost(f, kind, id, err);
}

static int follow_maps(struct follow *f, const struct archive_walk *walk, struct err *err)
{
	const struct store_snapshot *sn = f->sn;
	const struct archive_io *io = engine_pages_io(f->pages);
	const uint8_t *key;
	struct archive_ref ref = { .level = sn->state.level, .entries = sn->state.entries };

	memcpy(ref.id, sn->state.id, sizeof(ref.id));
	if (sn->content == STORE_BLOCK)
		return archive_walk_map(io, &ref, walk, err);
	f->in_state = true;

	int r = archive_walk_state(io, &ref, walk, err);

	f->in_state = false;
	if (r != 0 || sn->sealed)
		return r;
	key = store_snapshot_order(f->st, sn, err);
	if (key == NULL)
		return -1;
	memcpy(ref.id, sn->catalog.id, sizeof(ref.id));
	ref.level = sn->catalog.level;
	ref.entries = sn->catalog.entries;
	memset(f->last_id, 0, sizeof(f->last_id));
	return archive_walk_catalog(io, key, &ref, walk, err);
}

static void tools_free(struct follow *f)
{
	engine_pages_free(f->pages);
	store_worker_free(f->w);
	free(f->domain);
	f->pages = NULL;
	f->w = NULL;
	f->domain = NULL;
}

/* Blobs are read, and their ids checked, in the snapshot's own domain. */
static int tools(struct follow *f, const char *domain, struct err *err)
{
	if (f->w != NULL && strcmp(f->domain, domain) == 0)
		return 0;
	tools_free(f);
	f->domain = mem_strdup(domain, err);
	if (f->domain != NULL)
		f->pages = engine_pages_new(f->st, domain, err);
	if (f->pages != NULL)
		f->w = store_worker_new(f->st, ZIP_OFF, store_info(f->st)->stream.max, domain,
		    err);
	return f->w != NULL ? 0 : -1;
}

static int follow_snapshot(void *ctx, struct store_snapshot **sn, struct err *err)
{
	struct follow *f = ctx;
	struct archive_walk look = { on_blob, on_bad_page, f };

	f->sn = *sn;
	f->sn_damaged = f->sn_lost = false;
	f->n.snapshots++;
	/* Another domain's ids can be made by an administrator only. */
	if (strcmp((*sn)->domain, store_info(f->st)->domain) != 0 &&
	    !(store_info(f->st)->rights & STORE_ADMIN)) {
		f->n.complete = false;
		return 0;
	}
	if (tools(f, (*sn)->domain, err) < 0)
		return -1;
	memset(f->last_id, 0, sizeof(f->last_id));
	if ((*sn)->sealed)
		f->n.complete = false;
	if (follow_maps(f, &look, err) != 0)
		return -1;
	if (!f->sn_damaged)
		return 0;
	f->n.snapshots_damaged++;
	/* What is not whole has to be told for each snapshot. */
	memset(f->seen.v, 0, f->seen.slots * sizeof(*f->seen.v));
	f->seen.used = 0;
	return f->sn_lost && f->told.snapshot != NULL ?
	    f->told.snapshot(f->told.ctx, *sn, err) : 0;
}

/* --- all of them --------------------------------------------------------------------------*/

struct follow *follow_new(struct engine *e, struct store *st, const struct follow_told *told,
    struct err *err)
{
	struct follow *f = mem_zalloc(sizeof(*f), "the check", err);

	if (f == NULL)
		return NULL;
	f->e = e;
	f->st = st;
	f->told = *told;
	f->n.complete = true;
	if (set_init(&f->seen, SEEN_SLOTS, err) < 0 ||
	    set_init(&f->bad_ids, BAD_SLOTS, err) < 0 ||
	    set_init(&f->bad_packs, BAD_SLOTS, err) < 0 ||
	    set_init(&f->lost, BAD_SLOTS, err) < 0 ||
	    set_init(&f->gone, GONE_SLOTS, err) < 0) {
		follow_free(f);
		return NULL;
	}
	return f;
}

void follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	tools_free(f);
	free(f->seen.v);
	free(f->bad_ids.v);
	free(f->bad_packs.v);
	free(f->lost.v);
	free(f->gone.v);
	buf_release(&f->scratch);
	buf_release(&f->path);
	free(f);
}

static void on_unreadable(void *ctx, const char *key, const struct err *why)
{
	struct follow *f = ctx;

	if (f->told.unreadable != NULL)
		f->told.unreadable(f->told.ctx, key, why);
}

int follow_all(struct follow *f, struct follow_count *ret, struct err *err)
{
	int r = store_snapshots(f->st, true, follow_snapshot, on_unreadable, f, err);

	*ret = f->n;
	return r != 0 ? -1 : 0;
}
