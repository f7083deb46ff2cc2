/*
 * Who shares a slot with others can commit a snapshot whose state is not what
 * any backup wrote; so can a disk.  The next backup takes it as its parent:
 * whatever is in it, that run makes a snapshot, without the parent when that is
 * found to be wrong; and one without parent is whole again.
 */

#include "agent/engine/backup.h"
#include "tests/unit/engine_attack.h"

#define ROUNDS 250

static uint64_t seed = 0x2545f4914f6cdd1d;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Change a page in one of several ways; it has room for 64 bytes more. */
static size_t change(uint8_t *p, size_t len)
{
	size_t at = next_random() % len, n = 1 + next_random() % 16, from;

	switch (next_random() % 6) {
	case 0:
		p[at] ^= (uint8_t)(1 << next_random() % 8);
		return len;
	case 1:
		p[at] = next_random() % 2 ? 0xff : 0x80;
		return len;
	case 2: /* a number that is as large as it goes */
		for (size_t i = at; i < len && i < at + 9; i++)
			p[i] = 0xff;
		return len;
	case 3: /* bytes from elsewhere */
		from = next_random() % len;
		n = n < len - at ? n : len - at;
		n = n < len - from ? n : len - from;
		memmove(p + at, p + from, n);
		return len;
	case 4: /* bytes out */
		n = n < len - at ? n : len - at;
		memmove(p + at, p + at + n, len - at - n);
		return len - n > 3 ? len - n : len;
	default: /* bytes in */
		memmove(p + at + n, p + at, len - at);
		for (size_t i = 0; i < n; i++)
			p[at + i] = (uint8_t)next_random();
		return len + n;
	}
}

static void make_source(void)
{
	char name[64], text[256];

	make_dir("src");
	for (int d = 0; d < 5; d++) {
		snprintf(name, sizeof(name), "src/d%d", d);
		make_dir(name);
		for (int i = 0; i < 6; i++) {
			snprintf(name, sizeof(name), "src/d%d/f%d", d, i);
			memset(text, 'a' + i, sizeof(text) - 1);
			text[i == 0 ? 3 : 200 + i] = '\0';
			write_file(name, text);
		}
	}
	char path[PATH_LEN];
	FILE *f;

	path_of(path, "src/large");
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 300000; i++)
		fprintf(f, "%u\n", (unsigned)i * 7919);
	fclose(f);
	path_of(path, "src/sparse");
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), 3 << 20), 0);
	fclose(f);
}

static int backup(struct engine *e, struct store *st, const char *parent,
    struct engine_backup_result *res, struct err *err)
{
	char path[PATH_LEN];
	const char *paths[] = { path };
	int told = 0;
	struct engine_backup_options o = { .paths = paths, .npaths = 1, .volume = "vol",
		.host = "h", .user = "u", .program = "p", .parent = parent,
		.stream_fd = -1, .level = ZIP_FAST, .report = on_report,
		.report_ctx = &told };

	path_of(path, "src");
	return engine_backup(e, st, &o, res, err);
}

static struct store_snapshot *snapshot(struct store *st, const char *id)
{
	struct store_snapshot *sn = NULL;
	struct err err = ERR_INIT;

	ok(store_snapshot_find(st, id, &sn, &err));
	return sn;
}

/* Commit a state like that of sn, but changed; its catalog is kept. */
static void commit_changed(struct store *st, const struct store_snapshot *sn,
    const struct buf *page, unsigned times)
{
	struct store_session *s = begin(st);
	struct store_worker *w = worker(st);
	struct store_put_result put;
	struct store_commit c = { .size = sn->size, .entries = sn->entries,
		.state = sn->state, .catalog = sn->catalog };
	struct err err = ERR_INIT;
	uint8_t *own = malloc(page->len + 64 * times);
	size_t len = page->len;
	char id[17];

	assert_non_null(own);
	memcpy(own, page->p, len);
	for (unsigned i = 0; i < times; i++)
		len = change(own, len);
	ok(store_put(s, w, STORE_STATE, own, len, false, &put, &err));
	memcpy(c.state.id, put.id, 32);
	/* A reader of S2 is not at hand: any catalog does. */
	memcpy(c.catalog.id, put.id, 32);
	c.catalog.entries = sn->state.entries;
	ok(store_session_commit(s, &c, id, &err));
	store_worker_free(w);
	free(own);
}

static void a_state_that_lies_stops_no_backup(void **state)
{
	struct engine_options eo = { .memory = 128 << 20, .cpus = 2 };
	struct engine_budget budget;
	struct engine_backup_result res;
	struct store_snapshot *sn;
	struct buf page = BUF_INIT;
	struct store_worker *w;
	struct err err = ERR_INIT;
	struct crafter c;
	struct engine *e;
	struct store *st;
	unsigned aside = 0;

	(void)state;
	crafter_begin(&c);
	store_session_abort(c.s);
	store_worker_free(c.w);
	st = c.thief;
	make_source();
	ok(engine_budget(&eo, 4 << 20, &budget, &err));
	e = engine_new(&eo, &budget, &err);
	assert_non_null(e);
	ok(backup(e, st, "none", &res, &err));
	sn = snapshot(st, res.id);
	w = worker(st);
	ok(store_get(st, w, STORE_STATE, sn->state.id, &page, &err));
	store_worker_free(w);
	for (unsigned i = 0; i < ROUNDS; i++) {
		commit_changed(st, sn, &page, 1 + i % 3);
		err_clear(&err);
		if (backup(e, st, "auto", &res, &err) != 0)
			fail_msg("round %u: %s", i, err.msg);
		if (strcmp(res.way_reason, "the parent is damaged") == 0) {
			aside++;
			assert_string_equal(res.parent, "");
			assert_int_equal(res.errors, 0);
			assert_int_equal(res.files_new, 32);
		}
	}
	assert_true(aside > ROUNDS / 2);
	ok(backup(e, st, "none", &res, &err));
	assert_int_equal(res.errors, 0);
	store_close(st);
	engine_free(e);
	memcpy(c.id, res.id, sizeof(c.id));

	struct engine_restore_options o = { .verify = true };
	struct engine_restore_result restored;

	restore_one(&c, &o, &restored);
	assert_int_equal(restored.errors, 0);
	assert_int_equal(restored.files, 32);
	expect_outside_untouched("a parent");
	store_snapshot_free(sn);
	buf_release(&page);
	backend_close(c.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_that_lies_stops_no_backup),
	};

	choose_world("engine_parent");
	return cmocka_run_group_tests(tests, NULL, remove_world);
}
