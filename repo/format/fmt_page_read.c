#include <stdlib.h>

#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_page.h"

void fmt_page_reader_init(struct fmt_page_reader *r)
{
	memset(r, 0, sizeof(*r));
}

void fmt_page_reader_release(struct fmt_page_reader *r)
{
	free(r->dir);
	free(r->hdir);
	free(r->dir2);
	fmt_page_reader_init(r);
}

static const char *page_name(uint8_t type)
{
	return type == FMT_PAGE_CATALOG ? "catalog page" :
	    type == FMT_PAGE_STATE ? "state page" : "byte map page";
}

int fmt_page_open(struct fmt_page_reader *r, const void *page, size_t len,
    enum fmt_page_type type, const uint8_t *order_key, struct err *err)
{
	struct fmt_dec d = fmt_dec_init(page_name((uint8_t)type), page, len,
	    err);

	r->type = fmt_dec_u8(&d, "type");
	fmt_dec_check(&d, r->type == type, "type", "is another one");
	r->level = fmt_dec_u8(&d, "level");
	r->left = fmt_dec_var(&d, "count");
	fmt_dec_check(&d, r->left != 0, "count", "is 0");
	fmt_dec_check(&d, r->left <= d.rd.left, "count",
	    "is more than the bytes hold");
	r->rd = d.rd;
	r->ndir = r->ndir2 = r->kept = 0;
	r->new_dir = r->started = false;
	r->mark = NULL;
	r->order_key = order_key;
	r->last = (struct fmt_comp){ NULL, 0, 0 };
	r->last_off = 0;
	return d.bad ? -1 : 0;
}

/*
 * Begin a step: 0 with *d going on where the page was left, 1 at the end, -1.
 */
static int step(struct fmt_page_reader *r, enum fmt_page_type type, bool leaf,
    struct fmt_dec *d, struct err *err)
{
	*d = (struct fmt_dec){ r->rd, page_name((uint8_t)type), err,
	    r->rd.bad };
	if (r->type != type || (r->level == 0) != leaf)
		return err_set(err, ERR_BUG,
		    "a page is read as what it is not");
	if (r->rd.bad)
		return err_set(err, ERR_CORRUPT, "%s: was bad before",
		    d->what);
	if (r->left > 0)
		return 0;
	return fmt_dec_end(d) < 0 ? -1 : 1;
}

/* End a step. */
static int stepped(struct fmt_page_reader *r, const struct fmt_dec *d)
{
	r->rd = d->rd;
	r->rd.bad = d->bad;
	r->left--;
	r->started = true;
	return d->bad ? -1 : 0;
}

static int no_memory(struct fmt_page_reader *r, struct err *err)
{
	r->rd.bad = true;
	return err_nomem(err, "a directory's path");
}

/* --- directories ------------------------------------------------------------*/

/*
 * The counts of a directory item.  What is kept must be all that is common,
 * and the new directory greater, so it is no part of the one before.
 */
static uint64_t dir_counts(struct fmt_page_reader *r, struct fmt_dec *d,
    size_t size)
{
	uint64_t kept = fmt_dec_var_max(d, r->ndir, "kept components");
	uint64_t n = fmt_dec_var(d, "components");

	fmt_dec_check(d, n <= d->rd.left / size, "components",
	    "are more than the bytes left hold");
	fmt_dec_check(d, !r->started || n > 0, "directory",
	    "is not greater than the one before");
	r->kept = (size_t)kept;
	return d->bad ? 0 : n;
}

static void comp_dec(struct fmt_page_reader *r, struct fmt_dec *d,
    struct fmt_comp *ret)
{
	struct fmt_str s = fmt_dec_str(d, "component");

	fmt_dec_check_name(d, s.p, s.len, false);
	*ret = (struct fmt_comp){ s.p, s.len, 0 };
	if (r->order_key != NULL && !d->bad)
		ret->h = fmt_name_hash(r->order_key, s.p, s.len);
}

static int comp_cmp(const struct fmt_page_reader *r, const struct fmt_comp *a,
    const struct fmt_comp *b)
{
	if (r->order_key != NULL)
		return fmt_name_cmp(a, b);
	/* Without a key all that can be told is that they are equal. */
	return a->len == b->len && memcmp(a->name, b->name, a->len) == 0 ? 0 :
	    -1;
}

static int catalog_dir(struct fmt_page_reader *r, struct fmt_dec *d,
    struct err *err)
{
	uint64_t n = dir_counts(r, d, 2);
	struct fmt_comp c;

	if (fmt_grow(&r->dir, &r->cap, r->kept + (size_t)n,
	    sizeof(*r->dir)) < 0)
		return no_memory(r, err);
	for (size_t i = 0; i < n && !d->bad; i++) {
		comp_dec(r, d, &c);
		if (i == 0 && r->kept < r->ndir && !d->bad)
			fmt_dec_check(d, comp_cmp(r, &r->dir[r->kept], &c) < 0,
			    "directory", "is not greater than the one before");
		r->dir[r->kept + i] = c;
	}
	r->ndir = r->kept + (size_t)n;
	return 0;
}

static int state_dir(struct fmt_page_reader *r, struct fmt_dec *d,
    struct err *err)
{
	uint64_t n = dir_counts(r, d, 8);

	if (fmt_grow(&r->hdir, &r->hcap, r->kept + (size_t)n,
	    sizeof(*r->hdir)) < 0)
		return no_memory(r, err);
	for (size_t i = 0; i < n && !d->bad; i++) {
		uint64_t h = fmt_dec_u64(d, "component");

		if (i == 0 && r->kept < r->ndir)
			fmt_dec_check(d, r->hdir[r->kept] < h, "directory",
			    "is not greater than the one before");
		r->hdir[r->kept + i] = h;
	}
	r->ndir = r->kept + (size_t)n;
	return 0;
}

/* --- leaves -----------------------------------------------------------------*/

/*
 * Read what stands before the next entry, and its first byte.
 */
static int items(struct fmt_page_reader *r, struct fmt_dec *d,
    struct err *err)
{
	uint8_t item = fmt_dec_u8(d, "item");

	r->new_dir = false;
	r->mark = NULL;
	if (item == FMT_ITEM_DIR) {
		if ((r->type == FMT_PAGE_CATALOG ? catalog_dir(r, d, err) :
		    state_dir(r, d, err)) < 0)
			return -1;
		r->new_dir = true;
		item = fmt_dec_u8(d, "item");
	}
	fmt_dec_check(d, r->new_dir || r->started, "first item",
	    "is no directory");
	if (item == FMT_ITEM_MARK && r->type == FMT_PAGE_STATE) {
		r->mark = fmt_dec_bytes(d, FMT_ID_LEN, "catalog leaf");
		item = fmt_dec_u8(d, "item");
	}
	fmt_dec_check(d, item == FMT_ITEM_ENTRY, "item",
	    "is none that may stand there");
	return 0;
}

int fmt_catalog_next(struct fmt_page_reader *r, struct fmt_entry *ret,
    struct err *err)
{
	struct fmt_dec d;
	const uint8_t *raw;
	int rc = step(r, FMT_PAGE_CATALOG, true, &d, err);

	if (rc != 0)
		return rc;
	if (items(r, &d, err) < 0)
		return -1;
	raw = d.rd.p - 1;
	fmt_dec_entry(&d, ret);
	if (!d.bad) {
		fmt_dec_check(&d, ret->name.len != 0 || r->ndir == 0, "name",
		    "is empty");
		ret->raw = raw;
		ret->raw_len = (size_t)(d.rd.p - raw);
		if (r->order_key != NULL)
			ret->name.h = fmt_name_hash(r->order_key,
			    ret->name.name, ret->name.len);
		fmt_dec_check(&d, r->new_dir ||
		    comp_cmp(r, &r->last, &ret->name) < 0, "name",
		    "is not greater than the one before");
		r->last = ret->name;
	}
	return stepped(r, &d);
}

int fmt_state_next(struct fmt_page_reader *r, struct fmt_state_entry *ret,
    struct err *err)
{
	struct fmt_dec d;
	int rc = step(r, FMT_PAGE_STATE, true, &d, err);

	if (rc != 0)
		return rc;
	if (items(r, &d, err) < 0)
		return -1;
	fmt_dec_state_entry(&d, ret);
	fmt_dec_check(&d, r->new_dir || r->last.h < ret->h, "name's hash",
	    "is not greater than the one before");
	r->last.h = ret->h;
	return stepped(r, &d);
}

int fmt_map_next(struct fmt_page_reader *r, uint64_t *ret_off,
    struct fmt_run *ret, struct err *err)
{
	struct fmt_dec d;
	int rc = step(r, FMT_PAGE_MAP, true, &d, err);

	if (rc != 0)
		return rc;
	*ret_off = fmt_dec_var(&d, "offset");
	fmt_dec_check(&d, !r->started || *ret_off == r->last_off, "offset",
	    "is not where the run before ends");
	fmt_dec_run(&d, ret);
	fmt_dec_check(&d, ret->len <= UINT64_MAX - *ret_off,
	    "length of a run", "is too large");
	r->last_off = *ret_off + ret->len;
	return stepped(r, &d);
}

/* --- inner pages ------------------------------------------------------------*/

/*
 * The order of the child before (in dir2 and last) and this one; for a catalog
 * without order key only whether they are equal (0).
 */
static int child_cmp(const struct fmt_page_reader *r,
    const struct fmt_comp *name)
{
	size_t n = r->ndir < r->ndir2 ? r->ndir : r->ndir2;

	for (size_t i = 0; i < n; i++) {
		int c = comp_cmp(r, &r->dir2[i], &r->dir[i]);

		if (c != 0)
			return c;
	}
	if (r->ndir != r->ndir2)
		return r->order_key == NULL || r->ndir2 < r->ndir ? -1 : 1;
	return comp_cmp(r, &r->last, name);
}

/* The same by hashes alone. */
static int child_hcmp(const struct fmt_page_reader *r, uint64_t h)
{
	size_t n = r->ndir < r->ndir2 ? r->ndir : r->ndir2;

	for (size_t i = 0; i < n; i++)
		if (r->dir2[i].h != r->dir[i].h)
			return r->dir2[i].h < r->dir[i].h ? -1 : 1;
	if (r->ndir != r->ndir2)
		return r->ndir2 < r->ndir ? -1 : 1;
	return r->last.h < h ? -1 : r->last.h > h;
}

/* Keep the child before in dir2 and make dir ready for n components. */
static int turn(struct fmt_page_reader *r, uint64_t n)
{
	struct fmt_comp *dir = r->dir2;
	size_t cap = r->cap2;

	r->dir2 = r->dir;
	r->cap2 = r->cap;
	r->ndir2 = r->ndir;
	r->dir = dir;
	r->cap = cap;
	r->ndir = 0;
	return fmt_grow(&r->dir, &r->cap, (size_t)n, sizeof(*r->dir));
}

static int key_dec(struct fmt_page_reader *r, struct fmt_dec *d,
    struct fmt_comp *ret_name, struct err *err)
{
	bool state = r->type == FMT_PAGE_STATE;
	uint64_t n = fmt_dec_var(d, "components");

	fmt_dec_check(d, n <= d->rd.left / (state ? 8 : 2), "components",
	    "are more than the bytes left hold");
	if (turn(r, d->bad ? 0 : n) < 0)
		return no_memory(r, err);
	for (size_t i = 0; i < n && !d->bad; i++) {
		if (state)
			r->dir[i] = (struct fmt_comp){ NULL, 0,
			    fmt_dec_u64(d, "component") };
		else
			comp_dec(r, d, &r->dir[i]);
	}
	if (d->bad)
		return 0;
	r->ndir = (size_t)n;
	*ret_name = (struct fmt_comp){ NULL, 0, 0 };
	if (state) {
		ret_name->h = fmt_dec_u64(d, "name's hash");
		fmt_dec_check(d, !r->started ||
		    child_hcmp(r, ret_name->h) < 0, "key",
		    "is not greater than the one before");
	} else {
		struct fmt_str s = fmt_dec_str(d, "name");

		fmt_dec_check_name(d, s.p, s.len, r->ndir == 0);
		ret_name->name = s.p;
		ret_name->len = s.len;
		if (r->order_key != NULL && !d->bad)
			ret_name->h = fmt_name_hash(r->order_key, s.p, s.len);
		fmt_dec_check(d, d->bad || !r->started ||
		    child_cmp(r, ret_name) < 0, "key",
		    "is not greater than the one before");
	}
	r->last = *ret_name;
	return 0;
}

int fmt_child_next(struct fmt_page_reader *r, struct fmt_child *ret,
    struct err *err)
{
	struct fmt_dec d;
	int rc = step(r, r->type, false, &d, err);

	if (rc != 0)
		return rc;
	memset(ret, 0, sizeof(*ret));
	if (r->type == FMT_PAGE_MAP) {
		ret->off = fmt_dec_var(&d, "offset");
		fmt_dec_check(&d, !r->started || ret->off > r->last_off,
		    "offset", "is not greater than the one before");
		r->last_off = ret->off;
	} else {
		if (key_dec(r, &d, &ret->name, err) < 0)
			return -1;
		ret->dir = r->dir;
		ret->ndir = r->ndir;
	}
	ret->entries = fmt_dec_var(&d, "entries below");
	fmt_dec_check(&d, ret->entries != 0, "entries below", "are none");
	fmt_dec_copy(&d, ret->id, FMT_ID_LEN, "page id");
	return stepped(r, &d);
}
