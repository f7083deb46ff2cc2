/*
 * A stolen write credential adds index segments that lie about what others
 * stored: whose bytes are where, and how long they are.  Reading believes none
 * of it: every file comes back right.
 */

#include "tests/unit/engine_attack.h"
#include "tests/unit/store_attack.h"

#define FILES 40

/* What the lie is about: files' chunks, or the catalog's page. */
enum lie { SWAPPED, SAME_PLACE, NO_LENGTH, PLAIN_LONGER, PLAIN_SHORTER, PLAIN_HUGE,
	SEALED_LONGER, BEYOND_THE_END, LIES };

static int entry_cmp(const void *a, const void *b)
{
	return memcmp(((const struct fmt_index_entry *)a)->id,
	    ((const struct fmt_index_entry *)b)->id, 32);
}

static void tell_lie(enum lie lie, struct fmt_index_entry *e, uint32_t n, uint32_t i,
    const struct fmt_index_entry *truth)
{
	const struct fmt_index_entry *other = &truth[(i + 1) % n];

	switch (lie) {
	case SWAPPED:
		*e = *other;
		break;
	case SAME_PLACE:
		*e = truth[0];
		break;
	case NO_LENGTH:
		e->sealed_len = 0;
		break;
	case PLAIN_LONGER:
		e->plain_len += 100;
		break;
	case PLAIN_SHORTER:
		e->plain_len -= 100;
		break;
	case PLAIN_HUGE:
		e->plain_len = 0xffffff;
		break;
	case SEALED_LONGER:
		e->sealed_len += 1000;
		break;
	default:
		e->offset = 0xfff00000;
		e->sealed_len = i % 4 < 2 ? 0 : e->sealed_len;
	}
	memcpy(e->id, truth[i].id, 32);
}

/* The thief's segment: of these blobs, all said to be in the right packs. */
static void put_lies(struct crafter *c, const char *line, enum lie lie,
    const uint8_t (*ids)[32], uint32_t n)
{
	struct store *thief = reopen_with(c->mem,
	    &(struct store_secret){ .key_file = line }, 0);
	struct fmt_index_entry *truth = calloc(n, sizeof(*truth));
	struct fmt_index_entry *told = calloc(n, sizeof(*told));
	struct fmt_pack_record *rec = calloc(n, sizeof(*rec));
	uint8_t (*sealed)[FMT_SEALED_KEY_BOX] = calloc(n, sizeof(*sealed));
	char name[FMT_SESSION_MAX], key[FMT_KEY_MAX];

	assert_true(truth != NULL && told != NULL && rec != NULL && sealed != NULL);
	for (uint32_t i = 0; i < n; i++) {
		where(thief, ids[i], &truth[i], &rec[i], sealed[i]);
		truth[i].pack = i;
	}
	for (uint32_t i = 0; i < n; i++) {
		told[i] = truth[i];
		tell_lie(lie, &told[i], n, i, truth);
	}
	qsort(told, n, sizeof(*told), entry_cmp);
	make_name(thief, LATE_MS, 0xee, name);
	fmt_key_segment(key, thief->info.slot, name, 1);
	forge_segment(thief, key, rec, n, told, n);
	store_close(thief);
	free(truth);
	free(told);
	free(rec);
	free(sealed);
}

static void expect_file(const char *name, uint64_t n, size_t len)
{
	char path[PATH_LEN];
	uint8_t *want = malloc(len), *have = malloc(len + 1);
	FILE *f;

	path_of(path, name);
	f = fopen(path, "r");
	assert_true(f != NULL && want != NULL && have != NULL);
	fill(want, len, n);
	assert_int_equal(fread(have, 1, len + 1, f), len);
	assert_memory_equal(want, have, len);
	fclose(f);
	free(want);
	free(have);
}

static void no_lie_of_the_index_changes_a_file(void **state)
{
	(void)state;
	for (int lie = 0; lie < LIES; lie++) {
		struct crafter c;
		struct craft v[FILES + 1] = { { "", directory("") } };
		uint8_t ids[FILES + 1][32], page[32];
		char names[FILES][16], slot[17], line[128];
		struct engine_restore_options o = { .verify = true };
		struct engine_restore_result res;

		crafter_begin(&c);
		for (int i = 0; i < FILES; i++) {
			size_t len = 4000 + (size_t)i / 2;

			put_n(c.s, c.w, STORE_DATA, (uint64_t)i + 10, len, ids[i]);
			snprintf(names[i], sizeof(names[i]), "file%d", i);
			v[i + 1] = (struct craft){ "", slice(names[i], ids[i], len,
			    (uint32_t)len, 0) };
		}
		put_leaf(&c, v, FILES + 1, NULL, page);
		memcpy(ids[FILES], page, 32);
		commit_root(&c, page, 0, FILES + 1);
		add_file(c.mem, STORE_WRITE, slot, line);
		put_lies(&c, line, (enum lie)lie, ids, FILES + 1);
		restore_one(&c, &o, &res);
		if (res.errors != 0)
			fail_msg("lie %d: %ju errors", lie, (uintmax_t)res.errors);
		for (int i = 0; i < FILES; i++) {
			char name[32];

			snprintf(name, sizeof(name), "target/file%d", i);
			expect_file(name, (uint64_t)i + 10, 4000 + (size_t)i / 2);
		}
		o = (struct engine_restore_options){ .in_place = true, .verify = true };
		restore_one(&c, &o, &res);
		assert_int_equal(res.errors, 0);
		backend_close(c.mem);
	}
}

/* Many pages in one pack, read ahead: the lies are about those. */
static void no_lie_of_the_index_changes_a_catalog(void **state)
{
	(void)state;
	for (int lie = 0; lie < LIES; lie++) {
		struct crafter c;
		uint8_t ids[FILES + 1][32];
		struct fmt_page_writer pw;
		struct store_put_result put;
		struct err err = ERR_INIT;
		const uint8_t *page;
		char names[FILES][16], slot[17], line[128];
		struct craft all[FILES];
		struct engine_restore_options o = { .path = NULL };
		struct engine_restore_result res;
		size_t len;

		crafter_begin(&c);
		sort_key = store_order_key(c.thief);
		for (int i = 0; i < FILES; i++) {
			snprintf(names[i], sizeof(names[i]), "file%d", i);
			all[i] = (struct craft){ "", file(names[i], names[i]) };
		}
		qsort(all, FILES, sizeof(all[0]), craft_cmp);
		fmt_page_writer_init(&pw);
		fmt_page_begin(&pw, FMT_PAGE_CATALOG, 1);
		for (int i = 0; i < FILES; i++) {
			struct fmt_child ch = { .name = all[i].e.name, .entries = 1 };
			struct buf b = BUF_INIT;

			put_leaf(&c, &all[i], 1, NULL, ids[i]);
			memcpy(ch.id, ids[i], 32);
			ok(fmt_child_encode(&b, FMT_PAGE_CATALOG, &ch, &err));
			ok(fmt_page_add(&pw, NULL, 0, NULL, b.p, b.len, &err));
			buf_release(&b);
		}
		ok(fmt_page_end(&pw, &page, &len, &err));
		ok(store_put(c.s, c.w, STORE_CATALOG, page, len, false, &put, &err));
		memcpy(ids[FILES], put.id, 32);
		fmt_page_writer_release(&pw);
		commit_root(&c, put.id, 1, FILES);
		add_file(c.mem, STORE_WRITE, slot, line);
		put_lies(&c, line, (enum lie)lie, ids, FILES + 1);
		restore_one(&c, &o, &res);
		if (res.errors != 0 || res.files != FILES)
			fail_msg("lie %d: %ju errors, %ju files", lie,
			    (uintmax_t)res.errors, (uintmax_t)res.files);
		backend_close(c.mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_lie_of_the_index_changes_a_file),
		cmocka_unit_test(no_lie_of_the_index_changes_a_catalog),
	};

	choose_world("engine_lies");
	return cmocka_run_group_tests(tests, NULL, remove_world);
}
