#ifndef TESTS_UNIT_ENGINE_ATTACK_H
#define TESTS_UNIT_ENGINE_ATTACK_H

#include "agent/engine/engine.h"
#include "agent/engine/query.h"
#include "agent/engine/restore.h"
#include "repo/format/fmt_derive.h"
#include "repo/format/fmt_order.h"
#include "repo/format/fmt_page.h"
#include "tests/unit/engine_attack_world.h"

/* Catalogs that no backup makes, and who reads them. */

/* --- making catalogs -------------------------------------------------------------------*/

struct crafter {
	struct backend *mem;
	char line[128];
	struct store *thief;
	struct store_session *s;
	struct store_worker *w;
	uint8_t chunk[32];       /* a data blob of 5000 bytes: fill(5000, 1) */
	char id[17];
};

static inline void crafter_begin(struct crafter *c)
{
	struct store_secret none = { .slot = NULL };
	struct err err = ERR_INIT;
	struct store *st;
	char slot[17];

	fresh_world();
	c->mem = new_repository();
	st = reopen(c->mem);
	ok(store_key_add(st, STORE_WRITE, "", "node", &none, slot, c->line, &err));
	store_close(st);
	c->thief = reopen_with(c->mem, &(struct store_secret){ .key_file = c->line }, 0);
	c->w = worker(c->thief);
	c->s = begin(c->thief);
	put_n(c->s, c->w, STORE_DATA, 1, 5000, c->chunk);
}

/* Names as they are to be, after what the encoder accepts was written. */
struct patch { const char *from; const void *to; };

/* A place for an entry: the directory as "a/b", "" for the root's. */
struct craft {
	const char *dir;
	struct fmt_entry e;
};

#define COMPS 64

static inline size_t split_dir(const uint8_t *key, const char *dir, struct fmt_comp *c)
{
	size_t n = 0;

	while (*dir != '\0') {
		size_t len = strcspn(dir, "/");

		assert_true(n < COMPS);
		c[n++] = (struct fmt_comp){ dir, len, fmt_name_hash(key, dir, len) };
		dir += len + (dir[len] == '/');
	}
	return n;
}

static const uint8_t *sort_key;

static inline int craft_cmp(const void *pa, const void *pb)
{
	const struct craft *a = pa, *b = pb;
	struct fmt_comp ca[COMPS], cb[COMPS], na = a->e.name, nb = b->e.name;
	size_t la = split_dir(sort_key, a->dir, ca), lb = split_dir(sort_key, b->dir, cb);

	for (size_t i = 0; i < la && i < lb; i++) {
		int c = fmt_name_cmp(&ca[i], &cb[i]);

		if (c != 0)
			return c;
	}
	if (la != lb)
		return la < lb ? -1 : 1;
	na.h = fmt_name_hash(sort_key, na.name, na.len);
	nb.h = fmt_name_hash(sort_key, nb.name, nb.len);
	return fmt_name_cmp(&na, &nb);
}

/* One catalog leaf of these entries; its bytes are changed as patch says. */
static inline void put_leaf(struct crafter *c, struct craft *v, size_t n,
    const struct patch *patch, uint8_t ret_id[32])
{
	struct fmt_page_writer pw;
	struct store_put_result res;
	struct err err = ERR_INIT;
	const uint8_t *page;
	uint8_t *own;
	size_t len;

	sort_key = store_order_key(c->thief);
	qsort(v, n, sizeof(*v), craft_cmp);
	fmt_page_writer_init(&pw);
	fmt_page_begin(&pw, FMT_PAGE_CATALOG, 0);
	for (size_t i = 0; i < n; i++) {
		struct fmt_comp comps[COMPS];
		size_t nc = split_dir(sort_key, v[i].dir, comps);
		struct buf b = BUF_INIT;

		ok(fmt_entry_encode(&b, &v[i].e, &err));
		ok(fmt_page_add(&pw, comps, nc, NULL, b.p, b.len, &err));
		buf_release(&b);
	}
	ok(fmt_page_end(&pw, &page, &len, &err));
	own = malloc(len);
	assert_non_null(own);
	memcpy(own, page, len);
	if (patch != NULL) {
		uint8_t *at = memmem(own, len, patch->from, strlen(patch->from));

		assert_non_null(at);
		memcpy(at, patch->to, strlen(patch->from));
	}
	ok(store_put(c->s, c->w, STORE_CATALOG, own, len, false, &res, &err));
	memcpy(ret_id, res.id, 32);
	free(own);
	fmt_page_writer_release(&pw);
}

static inline void commit_root(struct crafter *c, const uint8_t id[32], uint8_t level,
    uint64_t entries)
{
	const char *paths[] = { "/data" };
	struct store_commit sc = {
		.size = 5, .entries = entries, .paths = paths, .npaths = 1,
		.catalog = { .level = level, .entries = entries },
	};
	struct err err = ERR_INIT;

	memcpy(sc.catalog.id, id, 32);
	ok(store_session_commit(c->s, &sc, c->id, &err));
	c->s = NULL;
	store_worker_free(c->w);
	store_close(c->thief);
}

static inline void commit_leaf(struct crafter *c, struct craft *v, size_t n,
    const struct patch *patch)
{
	uint8_t id[32];

	put_leaf(c, v, n, patch, id);
	commit_root(c, id, 0, n);
}

static inline struct fmt_entry file(const char *name, const char *text)
{
	return (struct fmt_entry){ .name = { name, strlen(name), 0 }, .type = FMT_FILE,
		.bits = FMT_HAS_CONTENT, .mode = 0666, .mtime_s = 77,
		.content = { .kind = FMT_CONTENT_INLINE, .size = strlen(text),
		    .bytes = (const uint8_t *)text } };
}

static inline struct fmt_entry directory(const char *name)
{
	return (struct fmt_entry){ .name = { name, strlen(name), 0 },
		.type = FMT_DIRECTORY, .mode = 0777, .mtime_s = 77 };
}

static inline struct fmt_entry link_to(const char *name, const char *target)
{
	return (struct fmt_entry){ .name = { name, strlen(name), 0 },
		.type = FMT_SYMLINK, .bits = FMT_HAS_TARGET, .mode = 0777,
		.target = { target, strlen(target) } };
}

static inline struct fmt_entry slice(const char *name, const uint8_t *id, uint64_t size,
    uint32_t chunk_len, uint32_t off)
{
	return (struct fmt_entry){ .name = { name, strlen(name), 0 }, .type = FMT_FILE,
		.bits = FMT_HAS_CONTENT, .mode = 0600,
		.content = { .kind = FMT_CONTENT_SLICE, .size = size, .id = id,
		    .chunk_len = chunk_len, .off = off } };
}

/* --- the victim ------------------------------------------------------------------------*/

static inline void on_report(void *ctx, const char *path, const struct err *why)
{
	(void)path;
	(void)why;
	(*(int *)ctx)++;
}

static inline int on_entry(void *ctx, const char *path, const struct fmt_entry *e, struct err *err)
{
	(void)e;
	(void)err;
	assert_true(strstr(path, "..") == NULL);
	(*(int *)ctx)++;
	return 0;
}

struct victim {
	struct engine *e;
	struct store *st;
	struct store_snapshot *sn;
	struct engine_budget budget;
};

static inline void victim_open(struct victim *v, struct crafter *c)
{
	struct engine_options eo = { .memory = 128 << 20, .cpus = 2 };
	struct err err = ERR_INIT;

	ok(engine_budget(&eo, 4 << 20, &v->budget, &err));
	v->e = engine_new(&eo, &v->budget, &err);
	assert_non_null(v->e);
	v->st = reopen_with(c->mem, &by_pass, v->budget.index);
	ok(store_snapshot_find(v->st, c->id, &v->sn, &err));
}

static inline void victim_close(struct victim *v)
{
	store_snapshot_free(v->sn);
	store_close(v->st);
	engine_free(v->e);
}

static inline void restore_one(struct crafter *c, struct engine_restore_options *opt,
    struct engine_restore_result *ret)
{
	struct victim v;
	struct err err = ERR_INIT;
	char target[PATH_LEN];
	int told = 0;

	victim_open(&v, c);
	path_of(target, "target");
	opt->snapshot = v.sn;
	opt->target = target;
	opt->report = on_report;
	opt->report_ctx = &told;
	if (engine_restore(v.e, v.st, opt, ret, &err) != 0)
		ret->errors++;
	victim_close(&v);
}

/* Fresh, in place, by name; then a list and an archive.  Returns what failed. */
static inline uint64_t use_all(struct crafter *c, const char *what)
{
	struct engine_restore_options o = { .path = NULL };
	struct engine_restore_result res;
	struct err err = ERR_INIT;
	struct victim v;
	uint64_t errors = 0;
	int n = 0, fd;

	restore_one(c, &o, &res);
	errors += res.errors;
	expect_outside_untouched(what);
	o = (struct engine_restore_options){ .in_place = true, .delete_extra = true };
	restore_one(c, &o, &res);
	expect_outside_untouched(what);
	o = (struct engine_restore_options){ .in_place = true, .verify = true };
	restore_one(c, &o, &res);
	expect_outside_untouched(what);
	o = (struct engine_restore_options){ .in_place = true, .dry_run = true };
	restore_one(c, &o, &res);
	expect_outside_untouched(what);
	victim_open(&v, c);
	if (engine_list(v.st, v.sn, "", true, true, on_entry, on_report, &n, &err) != 0)
		errors++;
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (engine_dump(v.e, v.st, v.sn, "", fd, &err) != 0)
		errors++;
	close(fd);
	victim_close(&v);
	backend_close(c->mem);
	return errors;
}

#endif
