/*
 * Packs with parity that are damaged in every way, up to what it puts back and
 * beyond; parity that is damaged itself.
 */

#define REPOSITORY_PARITY 10

#include <errno.h>

#include "repo/store/store_parity_internal.h"
#include "tests/unit/store_repair_world.h"

/* What check said of ranges. */
struct ranges { unsigned n, healable; char text[400]; };

static void on_ranges(void *ctx, const char *key, const char *what,
    bool healable)
{
	struct ranges *r = ctx;

	(void)key;
	r->n++;
	r->healable += healable;
	snprintf(r->text, sizeof(r->text), "%s", what);
}

static void no_damage(void *ctx, const char *key, const uint8_t *id,
    const char *what)
{
	(void)ctx, (void)key, (void)id, (void)what;
}

static struct ranges ranges_of(struct backend *mem)
{
	struct ranges said = { 0 };
	struct store_check_options o = { .read_percent = 100,
		.ranges = on_ranges, .ctx = &said };
	struct store_check_result res;
	struct store *st = reopen(mem);
	struct err err = ERR_INIT;

	ok(store_check(st, &o, no_damage, NULL, &res, &err));
	store_close(st);
	return said;
}

static void put_back(struct backend *mem, const char *key, const uint8_t *p,
    size_t len)
{
	struct err err = ERR_INIT;

	ok(backend_put_over(mem, key, p, len, &err));
}

static uint8_t *bytes_of(struct backend *mem, const char *key, size_t *len)
{
	struct err err = ERR_INIT;
	uint8_t *p;

	ok(backend_get_all(mem, key, 64 << 20, &p, len, &err));
	return p;
}

static void parity_key(const char *pack, char ret[120])
{
	snprintf(ret, 120, "parity/%.100s", pack + strlen("packs/"));
}

/* Drop all that begins with prefix. */
static void drop_all(struct backend *mem, const char *prefix)
{
	struct objects o = objects_of(mem, prefix);

	for (size_t i = 0; i < o.n; i++)
		drop(mem, o.key[i]);
}

/* A copy of all that is stored, to begin from again. */
static struct backend *copy_of(struct backend *mem)
{
	struct objects o = objects_of(mem, "");
	struct err err = ERR_INIT;
	struct backend *be = backend_mem_new(&err);

	assert_non_null(be);
	for (size_t i = 0; i < o.n; i++) {
		size_t len;
		uint8_t *p = bytes_of(mem, o.key[i], &len);

		put_back(be, o.key[i], p, len);
		free(p);
	}
	return be;
}

static void each_pack_has_parity(void **state)
{
	struct world w;
	struct objects packs, parity;
	struct told told;

	(void)state;
	make_world(&w);
	packs = objects_of(w.mem, "packs/");
	parity = objects_of(w.mem, "parity/");
	assert_true(packs.n >= 3);
	assert_int_equal(packs.n, parity.n);
	for (size_t i = 0; i < packs.n; i++) {
		assert_string_equal(packs.key[i] + 6, parity.key[i] + 7);
		assert_in_range(size_of(w.mem, parity.key[i]),
		    size_of(w.mem, packs.key[i]) / 10,
		    size_of(w.mem, packs.key[i]) / 9 + 16384);
	}
	assert_int_equal(expect_sound(w.mem).unprotected, 0);
	drop(w.mem, parity.key[0]);
	assert_int_equal(expect_sound(w.mem).unprotected, 1);
	/* A repair makes it again, of the same bytes. */
	assert_int_equal(repair(w.mem, true, false, NULL, &told).parity, 1);
	assert_int_equal(objects_of(w.mem, "parity/").n, packs.n - 1);
	assert_int_equal(repair(w.mem, false, false, NULL, &told).parity, 1);
	assert_int_equal(expect_sound(w.mem).unprotected, 0);
	backend_close(w.mem);
}

enum how { FLIPS, BURST, CUT, CUT_HEAD, LONGER, EMPTY_ENDS, HOWS };

/* Damage a pack so that its parity suffices.  What it was is given back. */
static void hurt(struct backend *mem, const char *key, enum how how, int round)
{
	struct parity_shape s;
	struct err err = ERR_INIT;
	size_t len;
	uint8_t *p = bytes_of(mem, key, &len);
	uint8_t *more;

	ok(parity_shape_for(&s, (uint32_t)len, 100, 10, &err));
	switch (how) {
	case FLIPS: /* ten places, each in a shard of its own */
		for (unsigned i = 0; i < 10 && i * 10 < s.data; i++)
			p[((size_t)i * 10 * s.shard + (size_t)round * 977) %
			    len] ^= 0x41;
		break;
	case BURST:
		memset(p + (size_t)round * 7001 % (len - 9 * s.shard), 0xff,
		    9 * s.shard);
		break;
	case CUT:
		len -= 1 + (size_t)round * s.shard;
		break;
	case CUT_HEAD: /* head and directory */
		memset(p, 0, 700);
		memset(p + len - 700, 0, 700);
		break;
	case LONGER:
		more = realloc(p, len + 500);
		assert_non_null(more);
		p = more;
		memset(p + len, 7, 500);
		len += 500;
		break;
	default: /* every shard's first byte is too much, these are not */
		memset(p + len - 5 * s.shard, 0, 5 * s.shard);
		memset(p, 0, 4 * s.shard);
		break;
	}
	put_back(mem, key, p, len);
	free(p);
}

/*
 * It is told; blobs can be read before a repair, after it without the parity,
 * too.
 */
static void whole_after(struct world *w, const char *key, const char *what)
{
	struct world c = *w;
	struct store_repair_result res;
	struct ranges said;
	struct told told;
	char parity[120];

	c.mem = copy_of(w->mem);
	res.check = check(c.mem, 100, false, &told);
	if (told.damage == 0)
		fail_msg("%s: not told", what);
	said = ranges_of(c.mem);
	if (said.n != 1 || said.healable != 1)
		fail_msg("%s: %u ranges, %u healable: %s", what, said.n,
		    said.healable, said.text);
	expect_blobs(&c, NULL);
	res = repair(c.mem, true, true, NULL, &told);
	assert_int_equal(res.rescued, 0);
	res = repair(c.mem, false, true, NULL, &told);
	if (res.lost != 0)
		fail_msg("%s: lost", what);
	expect_sound(c.mem);
	expect_blobs(&c, NULL);
	/* What repair stored has parity as well. */
	assert_int_equal(objects_of(c.mem, "packs/").n,
	    objects_of(c.mem, "parity/").n);
	/* And what was damaged needs its own no more. */
	parity_key(key, parity);
	drop(c.mem, parity);
	expect_blobs(&c, NULL);
	backend_close(c.mem);
}

static void damage_is_put_back(void **state)
{
	struct objects packs;
	struct world w;

	(void)state;
	make_world(&w);
	packs = objects_of(w.mem, "packs/");
	for (size_t i = 0; i < packs.n; i++) {
		char key[120];
		size_t len;
		uint8_t *p;

		memcpy(key, packs.key[i], sizeof(key));
		p = bytes_of(w.mem, key, &len);
		for (enum how how = FLIPS; how < HOWS; how++) {
			for (int round = 0; round < 4; round++) {
				char what[160];

				snprintf(what, sizeof(what), "%s: %d, %d", key,
				    (int)how, round);
				hurt(w.mem, key, how, round);
				whole_after(&w, key, what);
				put_back(w.mem, key, p, len);
				packs = objects_of(w.mem, "packs/");
			}
		}
		free(p);
	}
	backend_close(w.mem);
}

/* The index is gone, too: the directory comes from parity. */
static void without_an_index(void **state)
{
	struct objects packs;
	struct told told;
	struct world w;

	(void)state;
	make_world(&w);
	packs = objects_of(w.mem, "packs/");
	for (size_t i = 0; i < packs.n; i++)
		hurt(w.mem, packs.key[i], CUT_HEAD, 0);
	drop_all(w.mem, "index/");
	repair(w.mem, false, true, NULL, &told);
	expect_sound(w.mem);
	expect_blobs(&w, NULL);
	backend_close(w.mem);
}

static void too_much_is_said(void **state)
{
	struct objects packs, all;
	struct ranges said;
	struct told told;
	struct world w;
	uint64_t before;
	char key[120];
	uint8_t *p;
	size_t len;

	(void)state;
	make_world(&w);
	/* The pack of a data blob, more than a tenth of it. */
	pack_of(w.mem, w.id[0][0], key, &(struct store_loc){ 0 });
	p = bytes_of(w.mem, key, &len);
	memset(p, 0x55, len / 4);
	put_back(w.mem, key, p, len);
	free(p);
	said = ranges_of(w.mem);
	assert_int_equal(said.n, 1);
	assert_int_equal(said.healable, 0);
	repair(w.mem, false, true, NULL, &told);
	expect_sound(w.mem);
	assert_true(told.damage > 0);
	/* What lies behind the damage was saved, by the index. */
	packs = objects_of(w.mem, "packs/");
	assert_true(packs.n > 3);
	/* A whole pack cannot be put back. */
	drop(w.mem, packs.key[packs.n - 1]);
	said = ranges_of(w.mem);
	assert_int_equal(said.healable, 0);
	/* Parity of two packs exchanged: nothing wrong comes of it. */
	backend_close(w.mem);
	make_world(&w);
	all = objects_of(w.mem, "parity/");
	p = bytes_of(w.mem, all.key[0], &len);
	put_back(w.mem, all.key[1], p, len);
	free(p);
	before = digest_of(w.mem);
	assert_true(ranges_of(w.mem).n == 0);
	check(w.mem, 100, false, &told);
	assert_true(told.damage > 0);
	assert_int_equal(digest_of(w.mem), before);
	expect_blobs(&w, NULL);
	assert_int_equal(repair(w.mem, false, true, NULL, &told).parity, 1);
	expect_sound(w.mem);
	backend_close(w.mem);
}

/* One way to damage the parity at key; false when there are no more. */
static bool hurt_parity(struct backend *mem, const char *key, size_t way)
{
	size_t len;
	uint8_t *p = bytes_of(mem, key, &len);
	size_t heads = FMT_PARITY_HEAD, spread = 40;

	if (way < heads) {
		p[way] ^= 1 << (way % 8);
		put_back(mem, key, p, len);
	} else if (way < heads + spread) {
		p[heads + (way - heads) * (len - heads - 1) / (spread - 1)] ^=
		    2;
		put_back(mem, key, p, len);
	} else if (way < heads + spread + 4) {
		static const size_t cut[] = { 1, 16, 27, 0 };
		size_t n = cut[way - heads - spread];

		put_back(mem, key, p, n == 0 ? len - 1 : n);
	} else if (way == heads + spread + 4) {
		uint8_t *more = realloc(p, len + 1);

		assert_non_null(more);
		p = more;
		p[len] = 0;
		put_back(mem, key, p, len + 1);
	} else {
		free(p);
		return false;
	}
	free(p);
	return true;
}

static void damaged_parity_is_made_anew(void **state)
{
	struct objects all;
	struct world w;

	(void)state;
	make_world(&w);
	all = objects_of(w.mem, "parity/");
	for (size_t i = 0; i < 2; i++) {
		char key[120];
		uint8_t *was, *now;
		size_t len, n;

		memcpy(key, all.key[i], sizeof(key));
		was = bytes_of(w.mem, key, &len);
		for (size_t way = 0; hurt_parity(w.mem, key, way); way++) {
			struct told told;

			check(w.mem, 100, true, &told);
			if (told.damage != 1 || strstr(told.last, key) == NULL)
				fail_msg("%s, %zu: %u told: %s", key, way,
				    told.damage, told.last);
			/* The check has written that down: it need not read all. */
			assert_int_equal(repair(w.mem, false, false, NULL,
			    &told).parity, 1);
			now = bytes_of(w.mem, key, &n);
			assert_int_equal(n, len);
			assert_memory_equal(now, was, len);
			free(now);
			drop_all(w.mem, "checked/");
		}
		free(was);
		all = objects_of(w.mem, "parity/");
	}
	expect_sound(w.mem);
	expect_blobs(&w, NULL);
	backend_close(w.mem);
}

/* Pack and parity are both damaged, as much as they may be. */
static void both_are_damaged(void **state)
{
	struct parity_shape s;
	struct err err = ERR_INIT;
	struct world w;
	char key[120], parity[120];
	uint8_t *p;
	size_t len, at;

	(void)state;
	make_world(&w);
	pack_of(w.mem, w.id[0][0], key, &(struct store_loc){ 0 });
	parity_key(key, parity);
	p = bytes_of(w.mem, key, &len);
	ok(parity_shape_for(&s, (uint32_t)len, 100, 10, &err));
	memset(p + 30 * s.shard, 0, 4 * s.shard);
	put_back(w.mem, key, p, len);
	free(p);
	p = bytes_of(w.mem, parity, &len);
	at = FMT_PARITY_HEAD + parity_cells(&s) * 8;
	memset(p + at + 2 * s.shard, 0, 6 * s.shard);
	put_back(w.mem, parity, p, len);
	free(p);
	whole_after(&w, key, "both");
	backend_close(w.mem);
}

/* A medium that cannot read some bytes of an object. */
static char sick_key[120];
static uint64_t sick_off, sick_len;

static int sick_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	if (strcmp(key, sick_key) == 0 && off < sick_off + sick_len &&
	    sick_off < off + len)
		return err_sys(err, EIO, "%s", key);
	return keep_get(be, key, off, dst, len, err);
}

static void unreadable_sectors_are_put_back(void **state)
{
	struct backend_ops ops = keep_ops;
	struct store_repair_result res;
	struct ranges said;
	struct told told;
	struct world w, sick;
	size_t len;

	(void)state;
	ops.get = sick_get;
	make_world(&w);
	pack_of(w.mem, w.id[0][0], sick_key, &(struct store_loc){ 0 });
	len = size_of(w.mem, sick_key);
	sick = w;
	sick.mem = keep_new(w.mem);
	sick.mem->ops = &ops;
	for (int i = 0; i < 3; i++) {
		sick_len = 8192;
		/* Whole sectors: a pack of one blob has shards of 1 KiB. */
		sick_off = (i == 0 ? 0 : i == 1 ? len / 2 : len - 3000) / 4096 *
		    4096;
		check(sick.mem, 100, false, &told);
		assert_true(told.damage > 0);
		said = ranges_of(sick.mem);
		assert_int_equal(said.n, 1);
		assert_int_equal(said.healable, 1);
		expect_blobs(&sick, NULL);
	}
	res = repair(sick.mem, false, true, NULL, &told);
	assert_true(res.rescued > 0);
	assert_int_equal(res.lost, 0);
	expect_sound(sick.mem);
	/* All of it was stored again. */
	sick_off = 0;
	sick_len = len;
	expect_blobs(&sick, NULL);
	sick_len = 0;
	backend_close(sick.mem);
	backend_close(w.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pack_has_parity),
		cmocka_unit_test(damage_is_put_back),
		cmocka_unit_test(without_an_index),
		cmocka_unit_test(too_much_is_said),
		cmocka_unit_test(damaged_parity_is_made_anew),
		cmocka_unit_test(both_are_damaged),
		cmocka_unit_test(unreadable_sectors_are_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
