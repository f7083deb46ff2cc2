#include "agent/engine/backup_internal.h"
#include "agent/engine/runs.h"

void runs_init(struct runs *r, struct backup *b, unsigned self)
{
	*r = (struct runs){ .list = FMT_LIST_BUF_INIT };
	r->page = (struct page_ctx){ b, self };
	r->io = (struct archive_io){ .get = backup_page_get, .put = backup_page_put,
	    .ctx = &r->page };
}

void runs_release(struct runs *r)
{
	fmt_list_release(&r->list);
	archive_map_free(r->map);
	r->map = NULL;
}

/* Turn the list into the beginning of a byte map. */
static int runs_to_map(struct runs *r, struct err *err)
{
	struct fmt_list list = fmt_list_of(&r->list);
	struct fmt_run run;

	r->map = archive_map_begin(&r->io, r->page.b->order_key, err);
	if (r->map == NULL)
		return -1;
	while (fmt_run_next(&list, &run) == 0)
		if (archive_map_add(r->map, &run, err) < 0)
			return -1;
	fmt_list_release(&r->list);
	return 0;
}

int runs_add(void *ctx, const struct fmt_run *run, struct err *err)
{
	struct runs *r = ctx;

	if (r->map == NULL) {
		if (r->list.n < RUNS_MAX) {
			fmt_list_add_run(&r->list, run);
			return buf_check(&r->list.b, "a file's chunk list", err);
		}
		if (runs_to_map(r, err) < 0)
			return -1;
	}
	return archive_map_add(r->map, run, err);
}

int runs_finish(struct runs *r, struct content *c, struct err *err)
{
	if (r->map != NULL) {
		if (archive_map_finish(r->map, &c->map, err) < 0)
			return -1;
		c->kind = FMT_CONTENT_MAP;
		return 0;
	}

	struct fmt_list list = fmt_list_of(&r->list);
	struct fmt_run run;

	c->kind = FMT_CONTENT_RUNS;
	if (list.n == 0 || (list.n == 1 && fmt_run_next(&list, &run) == 0 &&
	    run.kind == FMT_RUN_HOLE)) {
		c->kind = FMT_CONTENT_HOLE;
		return 0;
	}
	c->runs = r->list;
	r->list = (struct fmt_list_buf)FMT_LIST_BUF_INIT;
	return 0;
}
