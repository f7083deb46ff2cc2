#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/engine/measure.h"
#include "repo/crypto/crypto.h"

/* The measurement counts right; how fast anything is no test says. */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/wherry-measure-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static const char *const names[] = { "a", "b", "c", "l", "z", "s" };

static int remove_dir(void **state)
{
	char path[96];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

/* Write len bytes made from seed; seed 0: zeros. */
static void put(const char *name, size_t len, uint64_t seed)
{
	uint8_t *p = calloc(1, len);
	char path[96];

	assert_non_null(p);
	for (size_t i = 0; seed != 0 && i < len; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (uint8_t)(seed >> 56);
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);

	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, len, f), len);
	fclose(f);
	free(p);
}

static struct engine_sample *sample(uint64_t max)
{
	const char *paths[] = { dir };
	struct err err = ERR_INIT;
	struct engine_sample *s = engine_sample_new(max, &err);

	assert_non_null(s);
	assert_int_equal(engine_sample_add(s, paths, 1, NULL, NULL, &err), 0);
	return s;
}

static void a_sample_takes_each_file_once(void **state)
{
	struct engine_sample_info info;
	struct engine_sample *s;
	char a[96], b[96];

	(void)state;
	put("a", 100000, 1);
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/l", dir);
	assert_int_equal(link(a, b), 0);
	snprintf(b, sizeof(b), "%s/s", dir);
	assert_int_equal(symlink(a, b), 0);
	s = sample(1 << 20);
	engine_sample_look(s, &info);
	assert_int_equal(info.files, 1);
	assert_int_equal(info.bytes, 100000);
	assert_int_equal(info.found_bytes, 100000);
	engine_sample_free(s);
}

static void a_sample_stays_in_its_room(void **state)
{
	struct engine_sample_info info;
	struct engine_sample *s;

	(void)state;
	put("a", 300000, 1);
	put("b", 300000, 2);
	put("c", 300000, 3);
	s = sample(400000);
	engine_sample_look(s, &info);
	assert_true(info.bytes > 0 && info.bytes <= 400000);
	assert_int_equal(info.found_bytes, 900000);
	engine_sample_free(s);
	s = sample(100000);
	engine_sample_look(s, &info);
	assert_int_equal(info.bytes, 100000);
	engine_sample_free(s);
}

static void a_path_that_is_missing_is_told(void **state)
{
	const char *paths[] = { "/nonexistent/x" };
	struct err err = ERR_INIT;
	struct engine_sample *s = engine_sample_new(1 << 20, &err);

	(void)state;
	assert_int_equal(engine_sample_add(s, paths, 1, NULL, NULL, &err), -1);
	assert_int_equal(err.class, ERR_NOTFOUND);
	engine_sample_free(s);
}

static void cuts_find_copies_and_zeros(void **state)
{
	struct engine_cuts v[] = {
		{ .mode = CHUNKER_STREAM, .avg = 64 << 10 },
		{ .mode = CHUNKER_BLOCK, .avg = 64 << 10 },
		{ .mode = CHUNKER_STREAM, .avg = 1 << 20 },
	};
	struct err err = ERR_INIT;
	struct engine_sample *s;

	(void)state;
	put("a", 3 << 20, 7);
	put("b", 3 << 20, 7);
	put("z", 2 << 20, 0);
	s = sample(16 << 20);
	assert_int_equal(engine_measure_cuts(s, 2, v, 3, &err), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(v[i].bytes, 8 << 20);
		assert_int_equal(v[i].zero_bytes, 2 << 20);
		assert_int_equal(v[i].unique_bytes, 3 << 20);
		assert_int_equal(v[i].chunks, 2 * v[i].unique_chunks);
		/* Random bytes do not shrink. */
		assert_int_equal(v[i].packed_bytes, v[i].unique_bytes);
	}
	engine_sample_free(s);
}

static void small_files_share_chunks(void **state)
{
	struct engine_cuts v[] = {
		{ .mode = CHUNKER_STREAM, .avg = 64 << 10 },
	};
	struct err err = ERR_INIT;
	struct engine_sample *s;

	(void)state;
	put("a", 20000, 1);
	put("b", 20000, 2);
	put("c", 100, 3); /* stands in the catalog */
	s = sample(1 << 20);
	assert_int_equal(engine_measure_cuts(s, 1, v, 1, &err), 0);
	assert_int_equal(v[0].chunks, 1);
	assert_int_equal(v[0].unique_bytes, 40000);
	assert_int_equal(v[0].bytes, 40100);
	engine_sample_free(s);
}

static void threads_change_nothing(void **state)
{
	struct engine_cuts one[8], many[8];
	struct err err = ERR_INIT;
	struct engine_sample *s = engine_sample_new(16 << 20, &err);

	(void)state;
	assert_int_equal(engine_sample_generate(s, &err), 0);
	for (int i = 0; i < 8; i++) {
		one[i] = (struct engine_cuts){ .mode = i % 2 ? CHUNKER_STREAM :
			CHUNKER_BLOCK, .avg = (64u << 10) << i / 2 };
		many[i] = one[i];
	}
	assert_int_equal(engine_measure_cuts(s, 1, one, 8, &err), 0);
	assert_int_equal(engine_measure_cuts(s, 4, many, 8, &err), 0);
	assert_memory_equal(one, many, sizeof(one));
	assert_true(one[0].unique_bytes < one[0].bytes);
	engine_sample_free(s);
}

static void an_impossible_average_is_refused(void **state)
{
	struct engine_cuts v[] = { { .mode = CHUNKER_BLOCK, .avg = 100 } };
	struct err err = ERR_INIT;
	struct engine_sample *s;

	(void)state;
	put("a", 5000, 1);
	s = sample(1 << 20);
	assert_int_equal(engine_measure_cuts(s, 1, v, 1, &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	engine_sample_free(s);
}

struct seen { unsigned stages; double slowest; };

static int see(void *ctx, const struct engine_speed *speed, struct err *err)
{
	struct seen *seen = ctx;

	(void)err;
	seen->stages |= 1u << speed->stage;
	assert_true(speed->speed > 0);
	assert_true((speed->limit > 0) ==
	    (speed->stage == ENGINE_STAGE_WHOLE));
	assert_true((speed->ratio > 0) ==
	    (speed->stage == ENGINE_STAGE_COMPRESS));
	return 0;
}

static void every_stage_is_measured(void **state)
{
	struct err err = ERR_INIT;
	struct engine_sample *s;
	struct seen seen = { 0 };

	(void)state;
	put("a", 300000, 1);
	s = sample(1 << 20);
	assert_int_equal(engine_measure_stages(s, 2, 1000000, see, &seen,
	    &err), 0);
	assert_int_equal(seen.stages, (1u << (ENGINE_STAGE_WHOLE + 1)) - 1);
	engine_sample_free(s);
}

static void nothing_cannot_be_measured(void **state)
{
	struct err err = ERR_INIT;
	struct engine_sample *s = sample(1 << 20);
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(engine_measure_stages(s, 1, 1000000, see, &seen,
	    &err), -1);
	assert_int_equal(err.class, ERR_USAGE);
	engine_sample_free(s);
}

#define IN_DIR(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(a_sample_takes_each_file_once),
		IN_DIR(a_sample_stays_in_its_room),
		IN_DIR(a_path_that_is_missing_is_told),
		IN_DIR(cuts_find_copies_and_zeros),
		IN_DIR(small_files_share_chunks),
		IN_DIR(threads_change_nothing),
		IN_DIR(an_impossible_average_is_refused),
		IN_DIR(every_stage_is_measured),
		IN_DIR(nothing_cannot_be_measured),
	};

	if (crypto_init(NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
