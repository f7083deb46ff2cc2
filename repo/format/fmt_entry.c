#include "repo/format/fmt_internal.h"

#define BITS 511u
#define NS_MAX 999999999u

/* --- names and xattrs -------------------------------------------------------*/

void fmt_dec_check_name(struct fmt_dec *d, const char *p, size_t len,
    bool may_be_empty)
{
	if (d->bad)
		return;
	fmt_dec_check(d, len != 0 || may_be_empty, "name", "is empty");
	fmt_dec_check(d, !(len == 1 && p[0] == '.') &&
	    !(len == 2 && p[0] == '.' && p[1] == '.'), "name", "is . or ..");
	for (size_t i = 0; i < len; i++)
		if (p[i] == '/' || p[i] == '\0') {
			fmt_dec_fail(d, "name", "has a / or a NUL in it");
			return;
		}
}

void fmt_list_add_xattr(struct fmt_list_buf *l, struct fmt_str name,
    struct fmt_str value)
{
	fmt_add_str(&l->b, name);
	fmt_add_str(&l->b, value);
	l->n++;
}

int fmt_xattr_next(struct fmt_list *l, struct fmt_str *ret_name,
    struct fmt_str *ret_value)
{
	struct fmt_dec d = { fmt_list_rd(l), "entry", NULL, l->n == 0 };

	*ret_name = fmt_dec_str(&d, "name of an xattr");
	*ret_value = fmt_dec_str(&d, "value of an xattr");
	return fmt_list_took(l, &d.rd);
}

static void elem_xattr(struct fmt_dec *d, void *ctx)
{
	struct fmt_str *last = ctx;
	struct fmt_str name = fmt_dec_str(d, "name of an xattr");
	size_t n = name.len < last->len ? name.len : last->len;
	int c;

	fmt_dec_str(d, "value of an xattr");
	if (d->bad)
		return;
	c = last->p == NULL ? 1 : memcmp(name.p, last->p, n);
	fmt_dec_check(d, c > 0 || (c == 0 && name.len > last->len),
	    "names of xattrs", "do not ascend");
	fmt_dec_check(d, name.len != 0 && memchr(name.p, '\0', name.len) ==
	    NULL, "name of an xattr", "is empty or has a NUL in it");
	*last = name;
}

/* --- an entry of a catalog --------------------------------------------------*/

static void time_add(struct buf *b, int64_t s, uint32_t ns)
{
	buf_var(b, zigzag(s));
	buf_var(b, ns);
}

static int64_t time_dec(struct fmt_dec *d, uint32_t *ret_ns,
    const char *field)
{
	int64_t s = unzigzag(fmt_dec_var(d, field));

	*ret_ns = (uint32_t)fmt_dec_var_max(d, NS_MAX, field);
	return s;
}

/* The bits that an entry of that type may have. */
static uint32_t bits_of(uint8_t type)
{
	uint32_t any = FMT_HAS_LINKS | FMT_HAS_XATTRS | FMT_HAS_FLAGS |
	    FMT_HAS_PROJECT | FMT_CHANGED | FMT_UNREAD;

	switch (type) {
	case FMT_FILE:
		return any | FMT_HAS_CONTENT;
	case FMT_SYMLINK:
		return any | FMT_HAS_TARGET;
	case FMT_CHAR_DEVICE:
	case FMT_BLOCK_DEVICE:
		return any | FMT_HAS_DEVICE;
	default:
		return any;
	}
}

/* What stands there by bits. */
static void by_bits_dec(struct fmt_dec *d, struct fmt_entry *e)
{
	struct fmt_str last = { NULL, 0 };

	if (e->bits & FMT_HAS_LINKS) {
		e->device = fmt_dec_var(d, "device");
		e->inode = fmt_dec_var(d, "inode");
	}
	if (e->bits & FMT_HAS_XATTRS)
		e->xattrs = fmt_dec_list(d, 2, elem_xattr, &last, "xattrs");
	if (e->bits & FMT_HAS_FLAGS)
		e->flags = (uint32_t)fmt_dec_var_max(d, UINT32_MAX, "flags");
	if (e->bits & FMT_HAS_PROJECT)
		e->project = (uint32_t)fmt_dec_var_max(d, UINT32_MAX,
		    "project id");
	if (e->bits & FMT_HAS_TARGET) {
		e->target = fmt_dec_str(d, "link target");
		fmt_dec_check(d, d->bad || memchr(e->target.p, '\0',
		    e->target.len) == NULL, "link target", "has a NUL in it");
	}
	if (e->bits & FMT_HAS_DEVICE) {
		e->major = (uint32_t)fmt_dec_var_max(d, UINT32_MAX, "major");
		e->minor = (uint32_t)fmt_dec_var_max(d, UINT32_MAX, "minor");
	}
	if (e->bits & FMT_HAS_CONTENT)
		fmt_dec_content(d, &e->content, false);
}

void fmt_dec_entry(struct fmt_dec *d, struct fmt_entry *ret)
{
	struct fmt_str name = fmt_dec_str(d, "name");

	memset(ret, 0, sizeof(*ret));
	fmt_dec_check_name(d, name.p, name.len, true);
	ret->name = (struct fmt_comp){ name.p, name.len, 0 };
	ret->type = fmt_dec_u8(d, "type");
	fmt_dec_check(d, ret->type >= FMT_FILE && ret->type <= FMT_SOCKET,
	    "type", "is none that exists");
	ret->bits = (uint32_t)fmt_dec_var_max(d, BITS, "bits");
	fmt_dec_check(d, (ret->bits & ~bits_of(ret->type)) == 0, "bits",
	    "are none that such an entry has");
	ret->mode = (uint32_t)fmt_dec_var_max(d, 07777, "mode");
	ret->uid = (uint32_t)fmt_dec_var_max(d, UINT32_MAX, "uid");
	ret->gid = (uint32_t)fmt_dec_var_max(d, UINT32_MAX, "gid");
	ret->mtime_s = time_dec(d, &ret->mtime_ns, "mtime");
	ret->ctime_s = time_dec(d, &ret->ctime_ns, "ctime");
	by_bits_dec(d, ret);
}

static void by_bits_add(struct buf *b, const struct fmt_entry *e)
{
	if (e->bits & FMT_HAS_LINKS) {
		buf_var(b, e->device);
		buf_var(b, e->inode);
	}
	if (e->bits & FMT_HAS_XATTRS)
		fmt_add_list(b, &e->xattrs);
	if (e->bits & FMT_HAS_FLAGS)
		buf_var(b, e->flags);
	if (e->bits & FMT_HAS_PROJECT)
		buf_var(b, e->project);
	if (e->bits & FMT_HAS_TARGET)
		fmt_add_str(b, e->target);
	if (e->bits & FMT_HAS_DEVICE) {
		buf_var(b, e->major);
		buf_var(b, e->minor);
	}
	if (e->bits & FMT_HAS_CONTENT)
		fmt_content_add(b, &e->content, false);
}

/*
 * What was appended from at on is decoded, so that nothing is stored that
 * cannot be read; what it refuses is taken back.
 */
static int check_encoded(struct buf *b, size_t at, struct fmt_dec *d,
    struct err *err)
{
	int rc = fmt_encoded(b, "an entry", fmt_dec_end(d), err);

	if (rc < 0)
		b->len = at;
	return rc;
}

int fmt_entry_encode(struct buf *b, const struct fmt_entry *e,
    struct err *err)
{
	size_t at = b->len;
	struct fmt_entry t;
	struct fmt_dec d;

	buf_u8(b, FMT_ITEM_ENTRY);
	fmt_add_str(b, (struct fmt_str){ e->name.name, e->name.len });
	buf_u8(b, e->type);
	buf_var(b, e->bits);
	buf_var(b, e->mode);
	buf_var(b, e->uid);
	buf_var(b, e->gid);
	time_add(b, e->mtime_s, e->mtime_ns);
	time_add(b, e->ctime_s, e->ctime_ns);
	by_bits_add(b, e);
	if (buf_check(b, "an entry", err) < 0) {
		b->len = at;
		return -1;
	}
	d = fmt_dec_init("entry", b->p + at + 1, b->len - at - 1, err);
	fmt_dec_entry(&d, &t);
	return check_encoded(b, at, &d, err);
}

/* --- an entry of a state ----------------------------------------------------*/

void fmt_dec_state_entry(struct fmt_dec *d, struct fmt_state_entry *ret)
{
	ret->h = fmt_dec_u64(d, "name's hash");
	ret->type = fmt_dec_u8(d, "type");
	fmt_dec_check(d, ret->type >= FMT_FILE && ret->type <= FMT_SOCKET,
	    "type", "is none that exists");
	ret->bits = (uint8_t)fmt_dec_var_max(d,
	    FMT_NO_CARRY | FMT_STATE_PARTIAL | FMT_STATE_CONTENT, "bits");
	fmt_dec_check(d, (ret->bits & ~(FMT_NO_CARRY |
	    (ret->type == FMT_FILE ? FMT_STATE_CONTENT | FMT_STATE_PARTIAL : 0))) == 0,
	    "bits", "are none that such an entry has");
	fmt_dec_check(d, !(ret->bits & FMT_STATE_PARTIAL) || ret->bits ==
	    (FMT_NO_CARRY | FMT_STATE_PARTIAL | FMT_STATE_CONTENT), "bits",
	    "say that content ends early which is not there, or may be carried");
	fmt_dec_copy(d, ret->digest, FMT_DIGEST_LEN, "digest");
	if (ret->bits & FMT_STATE_CONTENT)
		fmt_dec_content(d, &ret->content, true);
	else
		memset(&ret->content, 0, sizeof(ret->content));
}

int fmt_state_entry_encode(struct buf *b, const struct fmt_state_entry *e,
    struct err *err)
{
	size_t at = b->len;
	struct fmt_state_entry t;
	struct fmt_dec d;

	buf_u8(b, FMT_ITEM_ENTRY);
	buf_u64(b, e->h);
	buf_u8(b, e->type);
	buf_var(b, e->bits);
	buf_add(b, e->digest, FMT_DIGEST_LEN);
	if (e->bits & FMT_STATE_CONTENT)
		fmt_content_add(b, &e->content, true);
	if (buf_check(b, "an entry", err) < 0) {
		b->len = at;
		return -1;
	}
	d = fmt_dec_init("entry", b->p + at + 1, b->len - at - 1, err);
	fmt_dec_state_entry(&d, &t);
	return check_encoded(b, at, &d, err);
}
