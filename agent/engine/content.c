#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/content.h"

void content_release(struct content *c)
{
	free(c->bytes);
	if (c->bundle != NULL)
		bundle_unref(c->bundle);
	fmt_list_release(&c->runs);
	*c = (struct content){ .kind = CONTENT_NONE };
}

void content_tell(const struct content *c, uint64_t size, struct fmt_content *ret)
{
	*ret = (struct fmt_content){ .kind = c->kind, .size = size };
	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		ret->bytes = c->bytes;
		break;
	case FMT_CONTENT_SLICE:
		ret->id = c->bundle ? c->bundle->id : c->id;
		ret->chunk_len = c->bundle ? c->bundle->len : c->chunk_len;
		ret->off = c->off;
		break;
	case FMT_CONTENT_RUNS:
		ret->runs = fmt_list_of(&c->runs);
		break;
	case FMT_CONTENT_MAP:
		ret->id = c->map.id;
		ret->level = c->map.level;
		ret->entries = c->map.entries;
		break;
	default:
		break;
	}
}

int content_copy(const struct fmt_content *c, struct content *ret, struct err *err)
{
	*ret = (struct content){ .kind = c->kind, .off = c->off, .chunk_len = c->chunk_len };
	switch (c->kind) {
	case FMT_CONTENT_INLINE:
		ret->bytes = malloc(c->size);
		if (ret->bytes == NULL)
			return err_nomem(err, "a linked file");
		memcpy(ret->bytes, c->bytes, c->size);
		break;
	case FMT_CONTENT_SLICE:
		memcpy(ret->id, c->id, sizeof(ret->id));
		break;
	case FMT_CONTENT_RUNS:
		buf_add(&ret->runs.b, c->runs.p, c->runs.len);
		ret->runs.n = c->runs.n;
		if (buf_check(&ret->runs.b, "a linked file", err) < 0)
			return -1;
		break;
	case FMT_CONTENT_MAP:
		memcpy(ret->map.id, c->id, sizeof(ret->map.id));
		ret->map.level = c->level;
		ret->map.entries = c->entries;
		break;
	default:
		break;
	}
	return 0;
}
