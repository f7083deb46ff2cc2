/*
 * Pieces of restore and dump that keep memory bounded: the table that moves
 * to a file, and the directories of an archive that wait for their turn.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine/restore_internal.h"
#include "agent/engine/waiting.h"
#include "agent/engine/table.h"

/* --- the table -------------------------------------------------------------------------*/

/* A key of which many are alike in one half. */
static void key_of(uint64_t i, uint64_t key[2])
{
	key[0] = i % 7;
	key[1] = i * 0x10001;
}

static void fill_and_look(size_t limit, uint64_t n)
{
	struct err err = ERR_INIT;
	struct table *t = table_new(limit, &err);
	uint64_t key[2], value;

	assert_non_null(t);
	for (uint64_t i = 0; i < n; i++) {
		key_of(i, key);
		assert_int_equal(table_add(t, key[0], key[1], i, &value, &err), 0);
	}
	for (uint64_t i = 0; i < n; i++) {
		key_of(i, key);
		assert_int_equal(table_get(t, key[0], key[1], &value, &err), 0);
		assert_int_equal(value, i);
		/* What is there stays as it is. */
		assert_int_equal(table_add(t, key[0], key[1], i + 1, &value, &err), 1);
		assert_int_equal(value, i);
	}
	for (uint64_t i = n; i < n + 100; i++) {
		key_of(i, key);
		assert_int_equal(table_get(t, key[0], key[1], &value, &err), 1);
	}
	table_free(t);
}

static void a_table_keeps_what_was_added(void **state)
{
	(void)state;
	fill_and_look(SIZE_MAX, 20000);
}

static void a_table_in_a_file_is_the_same(void **state)
{
	(void)state;
	fill_and_look(64 << 10, 20000);
	fill_and_look(0, 3000);
}

static void zero_is_a_key_and_a_value(void **state)
{
	struct err err = ERR_INIT;
	struct table *t = table_new(0, &err);
	uint64_t value = 9;

	(void)state;
	assert_int_equal(table_get(t, 0, 0, &value, &err), 1);
	assert_int_equal(table_add(t, 0, 0, 0, &value, &err), 0);
	assert_int_equal(table_get(t, 0, 0, &value, &err), 0);
	assert_int_equal(value, 0);
	table_free(t);
}

/* --- directories that wait ----------------------------------------------------------------*/

struct told {
	struct buf text;
	uint32_t next_mode;
};

static int tell(void *ctx, const struct buf *path, const struct fmt_entry *e, struct err *err)
{
	struct told *t = ctx;

	buf_printf(&t->text, "%.*s %o\n", (int)path->len, (const char *)path->p, e->mode);
	return buf_check(&t->text, "text", err);
}

static void enter(struct waiting *w, struct told *t, const char *dir)
{
	struct err err = ERR_INIT;
	struct buf path = BUF_INIT;

	buf_str(&path, dir);
	assert_int_equal(waiting_enter(w, &path, &err), 0);
	buf_printf(&t->text, "in %s\n", dir);
	buf_release(&path);
}

static void add(struct waiting *w, struct told *t, const char *name)
{
	struct err err = ERR_INIT;
	struct fmt_entry e = { .type = FMT_DIRECTORY, .mode = ++t->next_mode };

	assert_int_equal(waiting_add(w, name, strlen(name), &e, &err), 0);
}

static void expect(struct waiting *w, struct told *t, const char *text)
{
	struct err err = ERR_INIT;

	assert_int_equal(waiting_end(w, &err), 0);
	buf_u8(&t->text, 0);
	assert_string_equal((const char *)t->text.p, text);
	buf_release(&t->text);
	waiting_free(w);
}

static void a_directory_is_told_just_before_what_is_in_it(void **state)
{
	struct told t = { .text = BUF_INIT };
	struct err err = ERR_INIT;
	struct waiting *w = waiting_new(tell, &t, &err);

	(void)state;
	enter(w, &t, "");
	add(w, &t, "empty");
	add(w, &t, "full");
	add(w, &t, "hollow");
	enter(w, &t, "full/");
	add(w, &t, "a");
	add(w, &t, "b");
	enter(w, &t, "full/b/");
	add(w, &t, "c");
	expect(w, &t, "in \nempty/ 1\nfull/ 2\nin full/\nfull/a/ 4\nfull/b/ 5\nin full/b/\n"
	    "full/b/c/ 6\nhollow/ 3\n");
}

static void names_that_begin_alike_are_not_mixed_up(void **state)
{
	struct told t = { .text = BUF_INIT };
	struct err err = ERR_INIT;
	struct waiting *w = waiting_new(tell, &t, &err);

	(void)state;
	enter(w, &t, "");
	add(w, &t, "a");
	add(w, &t, "ab");
	enter(w, &t, "a/");
	add(w, &t, "ab");
	enter(w, &t, "ab/");
	expect(w, &t, "in \na/ 1\nin a/\na/ab/ 3\nab/ 2\nin ab/\n");
}

/* A directory whose own entry was lost comes all the same. */
static void a_directory_that_nobody_named_is_entered(void **state)
{
	struct told t = { .text = BUF_INIT };
	struct err err = ERR_INIT;
	struct waiting *w = waiting_new(tell, &t, &err);

	(void)state;
	enter(w, &t, "");
	add(w, &t, "known");
	enter(w, &t, "lost/deep/");
	add(w, &t, "x");
	expect(w, &t, "in \nknown/ 1\nin lost/deep/\nlost/deep/x/ 2\n");
}

#define MANY 40000

struct many {
	unsigned told, entered;
	bool wrong;
};

static int tell_many(void *ctx, const struct buf *path, const struct fmt_entry *e,
    struct err *err)
{
	struct many *m = ctx;
	char want[64];

	(void)err;
	/* Sub-directories of a directory come right behind it. */
	if (e->mode < MANY) {
		snprintf(want, sizeof(want), "directory-%05u/", e->mode);
		m->wrong |= e->mode != m->told;
		m->told++;
	} else {
		snprintf(want, sizeof(want), "directory-%05u/sub/", e->mode - MANY);
		m->wrong |= e->mode - MANY != m->told - 1;
		m->entered++;
	}
	m->wrong |= path->len != strlen(want) || memcmp(path->p, want, path->len) != 0;
	return 0;
}

static void more_than_memory_is_kept_in_order(void **state)
{
	struct many m = { 0 };
	struct err err = ERR_INIT;
	struct waiting *w = waiting_new(tell_many, &m, &err);
	struct buf path = BUF_INIT;
	char name[64];

	(void)state;
	assert_int_equal(waiting_enter(w, &path, &err), 0);
	for (unsigned i = 0; i < MANY; i++) {
		struct fmt_entry e = { .type = FMT_DIRECTORY, .mode = i };

		snprintf(name, sizeof(name), "directory-%05u", i);
		assert_int_equal(waiting_add(w, name, strlen(name), &e, &err), 0);
	}
	for (unsigned i = 0; i < MANY; i += 3) {
		struct fmt_entry e = { .type = FMT_DIRECTORY, .mode = MANY + i };

		buf_reset(&path);
		buf_printf(&path, "directory-%05u/", i);
		assert_int_equal(waiting_enter(w, &path, &err), 0);
		assert_int_equal(waiting_add(w, "sub", 3, &e, &err), 0);
	}
	assert_int_equal(waiting_end(w, &err), 0);
	assert_false(m.wrong);
	assert_int_equal(m.told, MANY);
	assert_int_equal(m.entered, (MANY + 2) / 3);
	buf_release(&path);
	waiting_free(w);
}

struct odd_write {
	pthread_barrier_t *start;
	int fd, result;
	unsigned at;
};

static void *write_oddly(void *arg)
{
	static const uint8_t byte = 7;
	struct odd_write *w = arg;

	pthread_barrier_wait(w->start);
	w->result = restore_pwrite(w->fd, &byte, 1, 4097u * w->at);
	return NULL;
}

/* What does not lie on blocks leaves O_DIRECT, for all threads at once. */
static void several_threads_leave_direct_writing_together(void **state)
{
	char name[] = "direct-XXXXXX";
	int fd = mkstemp(name);
	pthread_barrier_t start;

	(void)state;
	assert_true(fd >= 0);
	unlink(name);
	if (fcntl(fd, F_SETFL, O_RDWR | O_DIRECT) < 0) {
		close(fd);
		skip();
	}
	pthread_barrier_init(&start, NULL, 4);
	for (unsigned round = 0; round < 300; round++) {
		struct odd_write w[4];
		pthread_t t[4];

		fcntl(fd, F_SETFL, O_RDWR | O_DIRECT);
		for (unsigned i = 0; i < 4; i++) {
			w[i] = (struct odd_write){ &start, fd, 0, i };
			assert_int_equal(pthread_create(&t[i], NULL, write_oddly, &w[i]), 0);
		}
		for (unsigned i = 0; i < 4; i++) {
			pthread_join(t[i], NULL);
			assert_int_equal(w[i].result, 0);
		}
	}
	pthread_barrier_destroy(&start);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_keeps_what_was_added),
		cmocka_unit_test(a_table_in_a_file_is_the_same),
		cmocka_unit_test(zero_is_a_key_and_a_value),
		cmocka_unit_test(a_directory_is_told_just_before_what_is_in_it),
		cmocka_unit_test(names_that_begin_alike_are_not_mixed_up),
		cmocka_unit_test(a_directory_that_nobody_named_is_entered),
		cmocka_unit_test(more_than_memory_is_kept_in_order),
		cmocka_unit_test(several_threads_leave_direct_writing_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
