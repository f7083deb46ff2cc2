#ifndef AGENT_ENGINE_RUNS_H
#define AGENT_ENGINE_RUNS_H

#include "agent/engine/backup_internal.h"

/* A list of runs that becomes a byte map when it is long. */
struct runs {
	struct fmt_list_buf list;
	struct archive_map_writer *map;
	struct archive_io io;
	struct page_ctx page;
};
void runs_init(struct runs *r, struct backup *b, unsigned self);
void runs_release(struct runs *r);
int runs_add(void *runs, const struct fmt_run *run, struct err *err);
/* Move what was collected into c. */
int runs_finish(struct runs *r, struct content *c, struct err *err);

#endif
