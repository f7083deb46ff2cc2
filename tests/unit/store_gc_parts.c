/* The parts of a collection that work within a bound: sorting, scanning. */

#include "repo/base/rand.h"
#include "repo/store/store_gc_internal.h"
#include "tests/unit/store_gc_world.h"

/* --- sorting ----------------------------------------------------------------------*/

static int id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, GC_SHORT_ID);
}

/* n ids of which some come again, and all as alike as `mask` makes them. */
static void sort_case(size_t n, size_t memory, uint8_t mask)
{
	uint8_t (*all)[GC_SHORT_ID] = calloc(n + 1, sizeof(*all));
	struct gc_sort *s;
	struct err err = ERR_INIT;
	uint8_t id[GC_SHORT_ID];
	size_t m = 0;

	assert_non_null(all);
	s = store_sort_new(memory, NULL, &err);
	assert_non_null(s);
	for (size_t i = 0; i < n; i++) {
		rand_bytes(all[i], sizeof(*all));
		for (size_t b = 0; b < 8; b++)
			all[i][b] &= mask;
		if (i % 7 == 6)
			memcpy(all[i], all[i / 2], sizeof(*all));
		ok(store_sort_add(s, all[i], &err));
	}
	qsort(all, n, sizeof(*all), id_cmp);
	for (size_t i = 0; i < n; i++)
		if (m == 0 || memcmp(all[m - 1], all[i], sizeof(*all)) != 0)
			memmove(all[m++], all[i], sizeof(*all));
	for (int round = 0; round < 2; round++) {
		ok(store_sort_rewind(s, &err));
		for (size_t i = 0; i < m; i++) {
			ok(store_sort_next(s, id, &err));
			assert_memory_equal(id, all[i], sizeof(id));
		}
		assert_int_equal(store_sort_next(s, id, &err), 1);
		assert_int_equal(store_sort_next(s, id, &err), 1);
	}
	store_sort_free(s);
	free(all);
}

static void ids_come_sorted_and_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 25, 4095, 4096, 4097, 50000,
		200000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		sort_case(sizes[i], 0, 0xff);
		sort_case(sizes[i], 64 << 20, 0xff);
	}
	/* Whoever may write can make them alike. */
	sort_case(100000, 0, 0);
	sort_case(100000, 1 << 20, 0x01);
}

static void what_is_spilled_comes_back(void **state)
{
	struct gc_spill s;
	struct err err = ERR_INIT;
	uint32_t got;

	(void)state;
	for (uint32_t n = 0; n <= 1000000; n = n * 10 + 1) {
		store_spill_init(&s, NULL);
		for (uint32_t i = 0; i < n; i++)
			ok(store_spill_add(&s, &i, sizeof(i), &err));
		for (int round = 0; round < 2; round++) {
			ok(store_spill_rewind(&s, &err));
			for (uint32_t i = 0; i < n; i++) {
				ok(store_spill_get(&s, &got, sizeof(got), &err));
				assert_int_equal(got, i);
			}
			assert_int_equal(store_spill_get(&s, &got, sizeof(got),
			    &err), 1);
		}
		store_spill_release(&s);
	}
}

static void no_place_to_spill_is_told(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(store_spill_file("/nowhere/at/all", &err), -1);
	assert_non_null(strstr(err.msg, "/nowhere/at/all"));
}

/* --- pages that were seen ---------------------------------------------------------*/

static void a_page_is_walked_once_or_again_but_never_left_out(void **state)
{
	struct err err = ERR_INIT;
	struct store_live *l = store_live_new(1 << 20, NULL, &err);
	struct gc_sort *ids;
	uint8_t id[32] = { 0 }, out[GC_SHORT_ID];
	unsigned again = 0, n = 0;

	(void)state;
	assert_non_null(l);
	/* Alike in the bytes that choose the place: one set for all. */
	for (unsigned i = 1; i <= 100; i++) {
		id[0] = (uint8_t)i;
		assert_int_equal(store_live_page(l, STORE_STATE, id, &err), 0);
		assert_int_equal(store_live_page(l, STORE_STATE, id, &err), 1);
	}
	for (unsigned i = 1; i <= 100; i++) {
		id[0] = (uint8_t)i;
		again += store_live_page(l, STORE_STATE, id, &err) == 0;
	}
	assert_true(again >= 92);
	ids = store_live_sorted(l);
	ok(store_sort_rewind(ids, &err));
	while (store_sort_next(ids, out, &err) == 0)
		assert_int_equal(out[0], ++n);
	assert_int_equal(n, 100);
	store_live_free(l);
}

/* --- the index in order ---------------------------------------------------------------*/

/* All of it, with room for everything and with room for nothing. */
static uint64_t scan_sum(struct store *st, size_t memory, size_t *ret_n)
{
	struct gc_packs packs = { 0 };
	struct err err = ERR_INIT;
	struct gc_scan *s;
	const struct gc_copy *v;
	uint8_t id[32], last[32] = { 0 };
	uint64_t sum = 0;
	size_t n;
	int r;

	*ret_n = 0;
	ok(store_index_refresh(st, 0, &err));
	ok(store_gc_packs_list(st, &packs, &err));
	ok(store_gc_scan_new(st, &packs, memory, NULL, &s, &err));
	while ((r = store_gc_scan_next(s, id, &v, &n, &err)) == 0) {
		assert_true(memcmp(last, id, 32) < 0);
		memcpy(last, id, 32);
		for (size_t i = 0; i < n; i++)
			sum += (v[i].pack + 1) * 1000003u + v[i].ordinal * 17 +
			    v[i].sealed + id[0];
		*ret_n += n;
	}
	assert_int_equal(r, 1);
	store_gc_scan_free(s);
	store_gc_packs_release(&packs);
	return sum;
}

static void many_segments_are_folded(void **state)
{
	struct backend *mem = new_repository();
	struct store *st = reopen(mem);
	struct store_worker *w = worker(st);
	uint64_t sum;
	size_t n, m;

	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		struct store_session *s = begin_of(st, "v");
		char snap[17];

		for (unsigned j = 0; j < 30; j++)
			put_n(s, w, STORE_DATA, i * 25 + j, 200, NULL);
		commit_n(s, NULL, snap);
	}
	store_worker_free(w);
	store_close(st);
	st = reopen(mem);
	sum = scan_sum(st, 64 << 20, &n);
	assert_int_equal(n, 40 * 25 + 5);
	assert_int_equal(scan_sum(st, 0, &m), sum);
	assert_int_equal(m, n);
	assert_int_equal(scan_sum(st, 30000, &m), sum);
	assert_int_equal(m, n);
	store_close(st);
	backend_close(mem);
}

static void bits_say_what_was_set(void **state)
{
	struct err err = ERR_INIT;
	uint64_t *bits = NULL;
	uint32_t words = 0;

	(void)state;
	assert_false(store_gc_bit(bits, words, 0));
	for (uint32_t i = 0; i < 5000; i += 3)
		ok(store_gc_bit_set(&bits, &words, i, &err));
	for (uint32_t i = 0; i < 6000; i++)
		assert_int_equal(store_gc_bit(bits, words, i), i < 5000 && i % 3 == 0);
	free(bits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_come_sorted_and_once),
		cmocka_unit_test(what_is_spilled_comes_back),
		cmocka_unit_test(no_place_to_spill_is_told),
		cmocka_unit_test(
		    a_page_is_walked_once_or_again_but_never_left_out),
		cmocka_unit_test(many_segments_are_folded),
		cmocka_unit_test(bits_say_what_was_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
