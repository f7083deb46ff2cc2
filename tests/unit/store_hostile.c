/*
 * A hostile or broken object store: what it serves is right, or is refused
 * with an error that names it; it never takes more memory than was allowed.
 */

#include "tests/unit/store_attack.h"

static int count_fn(void *ctx, struct store_snapshot **sn, struct err *err)
{
	(void)sn;
	(void)err;
	(*(int *)ctx)++;
	return 0;
}

struct listed { struct buf names; size_t n; };

static int list_fn(void *ctx, const char *key, const struct backend_stat *bs,
    struct err *err)
{
	struct listed *l = ctx;

	(void)bs;
	(void)err;
	buf_add(&l->names, key, strlen(key) + 1);
	l->n++;
	return 0;
}

/*
 * Open and read what is there: each step is right, or an error with a class
 * that blames the store.
 */
static void read_or_refuse(struct scene *sc, const char *what)
{
	struct store_options opt = { .memory = 4 << 20, .argon_memory = 1 << 20 };
	struct err err = ERR_INIT;
	struct store *st = store_open(keep_new(sc->mem), &by_pass, &opt, &err);
	static const enum store_kind kinds[] = { STORE_DATA, STORE_STATE };
	const uint8_t *ids[] = { sc->data, sc->state };
	struct buf got = BUF_INIT;
	uint8_t want[BLOB_LEN];
	struct store_worker *w;
	int n = 0;

	if (st == NULL) {
		if (err.class != ERR_CORRUPT && err.class != ERR_NOTFOUND &&
		    err.class != ERR_AUTH && err.class != ERR_UNSUPPORTED)
			fail_msg("%s: %d %s", what, err.class, err.msg);
		return;
	}
	w = worker(st);
	for (int i = 0; i < 2; i++) {
		int r = store_get(st, w, kinds[i], ids[i], &got, &err);

		fill(want, sizeof(want), (uint64_t)i + 1);
		if (r == 0 && (got.len != sizeof(want) ||
		    memcmp(got.p, want, sizeof(want)) != 0))
			fail_msg("%s: wrong bytes", what);
		if (r < 0 && err.class != ERR_CORRUPT &&
		    err.class != ERR_NOTFOUND && err.class != ERR_UNSUPPORTED)
			fail_msg("%s: %d %s", what, err.class, err.msg);
	}
	if (store_snapshots(st, true, count_fn, NULL, &n, &err) != 0 &&
	    err.class != ERR_CORRUPT && err.class != ERR_UNSUPPORTED)
		fail_msg("%s: %d %s", what, err.class, err.msg);
	assert_true(n <= 1);
	buf_release(&got);
	store_worker_free(w);
	store_close(st);
}

/* Every object changed in many ways, each on its own. */
static void no_altered_object_gives_wrong_bytes(void **state)
{
	struct scene sc;
	struct listed l = { BUF_INIT, 0 };
	struct err err = ERR_INIT;
	uint64_t x = 88172645463325252u;
	const char *key;
	size_t i;

	(void)state;
	scene_make(&sc);
	ok(backend_list(sc.mem, "", list_fn, &l, &err));
	key = (const char *)l.names.p;
	for (i = 0; i < l.n; i++, key += strlen(key) + 1) {
		uint8_t *obj, *evil, *other = NULL;
		size_t len, olen = 0;

		ok(backend_get_all(sc.mem, key, 64 << 20, &obj, &len, &err));
		if (i > 0)
			ok(backend_get_all(sc.mem, (const char *)l.names.p,
			    64 << 20, &other, &olen, &err));
		evil = malloc(len + 64);
		assert_non_null(evil);
		for (int k = 0; k < 40; k++) {
			size_t n = len;

			memcpy(evil, obj, len);
			memset(evil + len, 0, 64);
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			if (k < 16 && (size_t)k < len)
				evil[k] ^= (uint8_t)(1 << x % 8); /* header */
			else if (k < 28)
				evil[x % len] ^= (uint8_t)(1 << (x >> 32) % 8);
			else if (k < 32)
				n = x % len;
			else if (k < 34)
				n = len + 1 + x % 60;
			else if (k < 37)
				memset(evil + 16, k == 34 ? 0xff : 0,
				    len > 80 ? 64 : len - 16);
			else if (k == 37)
				n = 0;
			else
				memset(evil, 0xff, len);
			ok(backend_put_over(sc.mem, key, evil, n, &err));
			read_or_refuse(&sc, key);
		}
		if (other != NULL) {
			ok(backend_put_over(sc.mem, key, other, olen, &err));
			read_or_refuse(&sc, key);
		}
		backend_del(sc.mem, key, &err);
		read_or_refuse(&sc, key);
		ok(backend_put(sc.mem, key, obj, len, &err));
		free(obj);
		free(evil);
		free(other);
	}
	expect_all(&sc);
	buf_release(&l.names);
	scene_free(&sc);
}

/* Each pair of objects exchanged: keys are bound to what is stored there. */
static void no_exchanged_objects_give_wrong_bytes(void **state)
{
	struct scene sc;
	struct listed l = { BUF_INIT, 0 };
	struct err err = ERR_INIT;
	const char *a, *b;
	size_t i, j;

	(void)state;
	scene_make(&sc);
	ok(backend_list(sc.mem, "", list_fn, &l, &err));
	a = (const char *)l.names.p;
	for (i = 0; i < l.n; i++, a += strlen(a) + 1) {
		b = a + strlen(a) + 1;
		for (j = i + 1; j < l.n; j++, b += strlen(b) + 1) {
			uint8_t *oa, *ob;
			size_t la, lb;

			ok(backend_get_all(sc.mem, a, 64 << 20, &oa, &la, &err));
			ok(backend_get_all(sc.mem, b, 64 << 20, &ob, &lb, &err));
			ok(backend_put_over(sc.mem, a, ob, lb, &err));
			ok(backend_put_over(sc.mem, b, oa, la, &err));
			read_or_refuse(&sc, a);
			ok(backend_put_over(sc.mem, a, oa, la, &err));
			ok(backend_put_over(sc.mem, b, ob, lb, &err));
			free(oa);
			free(ob);
		}
	}
	expect_all(&sc);
	buf_release(&l.names);
	scene_free(&sc);
}

/* A backend that says of one object that it is as long as it likes. */
struct huge {
	struct backend be;
	struct backend *inner;
	const char *key;
	uint8_t head[FMT_SEGMENT_HEAD];
	uint64_t size, most; /* most: the longest read asked for */
};

static int huge_get(struct backend *be, const char *key, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	struct huge *h = (struct huge *)be;

	if (strcmp(key, h->key) != 0)
		return backend_get(h->inner, key, off, dst, len, err);
	if (len > h->most)
		h->most = len;
	memset(dst, 0, len);
	if (off < sizeof(h->head))
		memcpy(dst, h->head + off, len < sizeof(h->head) - off ? len :
		    sizeof(h->head) - off);
	return 0;
}

static int huge_stat(struct backend *be, const char *key,
    struct backend_stat *ret, struct err *err)
{
	struct huge *h = (struct huge *)be;

	if (strcmp(key, h->key) != 0)
		return backend_stat(h->inner, key, ret, err);
	*ret = (struct backend_stat){ .size = h->size };
	return 0;
}

static int huge_put(struct backend *be, const char *key, const void *data,
    size_t len, struct err *err)
{
	return backend_put(((struct huge *)be)->inner, key, data, len, err);
}

static int huge_list(struct backend *be, const char *prefix,
    backend_list_fn *fn, void *ctx, struct err *err)
{
	struct huge *h = (struct huge *)be;
	struct backend_stat bs = { .size = h->size };

	if (strncmp(h->key, prefix, strlen(prefix)) == 0 &&
	    fn(ctx, h->key, &bs, err) != 0)
		return -1;
	return backend_list(h->inner, prefix, fn, ctx, err);
}

static struct backend *huge_new(struct huge *h, struct backend *inner,
    const char *key, uint64_t size)
{
	static struct backend_ops ops;

	ops = keep_ops;
	ops.get = huge_get;
	ops.stat = huge_stat;
	ops.put = huge_put;
	ops.put_over = huge_put;
	ops.list = huge_list;
	struct keep *k = (struct keep *)keep_new(inner);

	free(k->be.name);
	free(k);
	memset(h, 0, sizeof(*h));
	h->be.ops = &ops;
	h->inner = inner;
	h->key = key;
	h->size = size;
	return &h->be;
}

static void huge_close(struct backend *be)
{
	free(be->name);
}

/* A segment's head with the greatest numbers there are. */
static void a_head_of_absurd_numbers_takes_no_memory(void **state)
{
	struct scene sc;
	struct store *st;
	struct huge h;
	struct backend *be;
	struct buf head = BUF_INIT;
	struct fmt_segment_head sh = { .epoch = 1, .entries = UINT32_MAX,
		.packs = FMT_SEGMENT_PACKS_MAX, .record = FMT_BLOCK_PLAIN,
		.bits = FMT_BUCKET_BITS_MAX };
	struct fmt_segment_layout lay;
	struct store_options opt = { .memory = 16 << 20 };
	struct err err = ERR_INIT;
	struct store_worker *w;
	struct backend_ops ops;
	char key[FMT_KEY_MAX], name[FMT_SESSION_MAX];

	(void)state;
	scene_make(&sc);
	st = open_file(sc.mem, sc.thief_line);
	make_name(st, LATE_MS, 0xcc, name);
	fmt_key_segment(key, st->info.slot, name, 1);
	memcpy(sh.slot, st->info.slot, 8);
	store_close(st);
	ok(fmt_segment_layout(&sh, &lay, &err));
	fmt_segment_head_add(&head, &sh);
	/* Once as long as it says, once much shorter. */
	for (int i = 0; i < 2; i++) {
		be = huge_new(&h, sc.mem, key, i == 0 ? lay.size : 4096);
		ops = *be->ops;
		ops.close = huge_close;
		be->ops = &ops;
		be->name = strdup("huge");
		memcpy(h.head, head.p, sizeof(h.head));
		st = store_open(be, &by_pass, &opt, &err);
		if (st == NULL)
			fail_msg("%s", err.msg);
		w = worker(st);
		expect_n(st, w, STORE_DATA, sc.data, 1, BLOB_LEN);
		assert_true(h.most <= opt.memory);
		store_worker_free(w);
		store_close(st);
	}
	buf_release(&head);
	scene_free(&sc);
}

/* Four gigabytes where a small object belongs are not read. */
static void an_object_of_gigabytes_is_not_read(void **state)
{
	static const char *const keys[] = { "config/ffffffff",
		"keys/aaaaaaaaaaaaaaaa/wrap/00000001",
		"gc/ffffffffffffffff/mark", "index/manifest/ffffffffffffffff" };
	struct scene sc;

	(void)state;
	scene_make(&sc);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct store_session_options so = { .volume = "vol",
			.content = STORE_TREE, .parent = "auto" };
		struct huge h;
		struct backend *be = huge_new(&h, sc.mem, keys[i],
		    UINT64_C(4) << 30);
		struct backend_ops ops = *be->ops;
		struct err err = ERR_INIT;
		struct store_session *s;
		struct store *st;

		ops.close = huge_close;
		be->ops = &ops;
		be->name = strdup("huge");
		st = store_open(be, &by_pass, NULL, &err);
		if (st == NULL)
			fail_msg("%s: %s", keys[i], err.msg);
		s = store_session_begin(st, &so, &err);
		if (s == NULL)
			fail_msg("%s: %s", keys[i], err.msg);
		assert_int_equal(h.most, 0);
		store_session_abort(s);
		store_close(st);
	}
	scene_free(&sc);
}

/* Wraps that would take an hour, or all memory, to try. */
static void absurd_argon2_parameters_are_refused(void **state)
{
	static const struct { uint32_t ops, mem_kib; } p[] = {
		{ UINT32_MAX, 8 }, { 65, 64 }, { 1, UINT32_MAX },
		{ 1, 1 << 22 }, { 0, 0 }, { 0, 1024 }, { 1, 0 },
	};
	struct scene sc;
	struct err err = ERR_INIT;

	(void)state;
	scene_make(&sc);
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		struct fmt_wrap wr = { .method = FMT_BY_PASSPHRASE,
			.ops = p[i].ops, .mem_kib = p[i].mem_kib };
		struct fmt_secret half = { .epoch = 1 };
		uint8_t slot[8] = { (uint8_t)i }, k[32] = { 1 };
		struct buf obj = BUF_INIT;
		char key[FMT_KEY_MAX];

		fmt_key_wrap(key, slot, 1);
		if (fmt_wrap_encode(&obj, key, &wr, k, &half, &err) == 0)
			ok(backend_put(sc.mem, key, obj.p, obj.len, &err));
		buf_release(&obj);
	}
	expect_all(&sc);
	scene_free(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_altered_object_gives_wrong_bytes),
		cmocka_unit_test(no_exchanged_objects_give_wrong_bytes),
		cmocka_unit_test(a_head_of_absurd_numbers_takes_no_memory),
		cmocka_unit_test(an_object_of_gigabytes_is_not_read),
		cmocka_unit_test(absurd_argon2_parameters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
