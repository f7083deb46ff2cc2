#include "repo/format/fmt_internal.h"
#include "repo/format/fmt_pack.h"

/* --- runs -------------------------------------------------------------------*/

void fmt_run_add(struct buf *b, const struct fmt_run *run)
{
	buf_u8(b, run->kind);
	buf_var(b, run->len);
	if (run->kind == FMT_RUN_CHUNK)
		buf_add(b, run->id, FMT_ID_LEN);
}

void fmt_dec_run(struct fmt_dec *d, struct fmt_run *ret)
{
	ret->kind = fmt_dec_u8(d, "kind of a run");
	fmt_dec_check(d, ret->kind <= FMT_RUN_CHUNK, "kind of a run",
	    "is none that exists");
	ret->len = fmt_dec_var(d, "length of a run");
	fmt_dec_check(d, ret->len != 0, "length of a run", "is 0");
	if (ret->kind == FMT_RUN_CHUNK) {
		fmt_dec_check(d, ret->len <= FMT_BLOB_MAX, "length of a run",
		    "is more than a chunk can have");
		fmt_dec_copy(d, ret->id, FMT_ID_LEN, "chunk id");
	} else {
		memset(ret->id, 0, FMT_ID_LEN);
	}
}

void fmt_list_add_run(struct fmt_list_buf *l, const struct fmt_run *run)
{
	fmt_run_add(&l->b, run);
	l->n++;
}

int fmt_run_next(struct fmt_list *l, struct fmt_run *ret)
{
	struct fmt_dec d = { fmt_list_rd(l), "content", NULL, l->n == 0 };

	fmt_dec_run(&d, ret);
	return fmt_list_took(l, &d.rd);
}

/* --- content ----------------------------------------------------------------*/

void fmt_content_add(struct buf *b, const struct fmt_content *c, bool state)
{
	buf_var(b, c->size);
	buf_u8(b, c->kind);
	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		if (!state && c->bytes != NULL)
			buf_add(b, c->bytes, (size_t)c->size);
		break;
	case FMT_CONTENT_SLICE:
		buf_add(b, c->id, FMT_ID_LEN);
		buf_var(b, c->chunk_len);
		buf_var(b, c->off);
		break;
	case FMT_CONTENT_RUNS:
		fmt_add_list(b, &c->runs);
		break;
	case FMT_CONTENT_MAP:
		buf_add(b, c->id, FMT_ID_LEN);
		buf_u8(b, c->level);
		buf_u64(b, c->entries);
		break;
	default:
		break;
	}
}

/* Sums up the lengths of runs. */
static void elem_run(struct fmt_dec *d, void *ctx)
{
	uint64_t *sum = ctx;
	struct fmt_run run;

	fmt_dec_run(d, &run);
	fmt_dec_check(d, run.len <= UINT64_MAX - *sum, "length of a run",
	    "is too large");
	*sum += run.len;
}

static void slice_dec(struct fmt_dec *d, struct fmt_content *ret)
{
	ret->id = fmt_dec_bytes(d, FMT_ID_LEN, "chunk id");
	ret->chunk_len = (uint32_t)fmt_dec_var_max(d, FMT_BLOB_MAX,
	    "length of a chunk");
	ret->off = (uint32_t)fmt_dec_var_max(d, FMT_BLOB_MAX,
	    "offset in a chunk");
	fmt_dec_check(d, ret->off <= ret->chunk_len &&
	    ret->size <= ret->chunk_len - ret->off, "slice",
	    "is not within its chunk");
}

void fmt_dec_content(struct fmt_dec *d, struct fmt_content *ret, bool state)
{
	uint64_t sum = 0;

	memset(ret, 0, sizeof(*ret));
	ret->size = fmt_dec_var(d, "size");
	ret->kind = fmt_dec_u8(d, "kind of content");
	if (d->bad)
		return;
	switch (ret->kind) {
	case FMT_CONTENT_HOLE:
		break;
	case FMT_CONTENT_INLINE:
		if (state)
			break;
		fmt_dec_check(d, ret->size <= d->rd.left, "inline content",
		    "is longer than the bytes left");
		if (!d->bad)
			ret->bytes = fmt_dec_bytes(d, (size_t)ret->size,
			    "inline content");
		break;
	case FMT_CONTENT_SLICE:
		slice_dec(d, ret);
		break;
	case FMT_CONTENT_RUNS:
		ret->runs = fmt_dec_list(d, 2, elem_run, &sum, "runs");
		fmt_dec_check(d, sum == ret->size, "runs",
		    "do not add up to the size");
		break;
	case FMT_CONTENT_MAP:
		ret->id = fmt_dec_bytes(d, FMT_ID_LEN, "byte map");
		ret->level = fmt_dec_u8(d, "byte map");
		ret->entries = fmt_dec_u64(d, "byte map");
		fmt_dec_check(d, ret->entries != 0, "byte map",
		    "has no entries");
		break;
	default:
		fmt_dec_fail(d, "kind of content", "is none that exists");
	}
}
