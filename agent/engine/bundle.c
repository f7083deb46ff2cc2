#include <stdlib.h>
#include <string.h>

#include "agent/engine/backup_internal.h"
#include "agent/engine/twins.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/crypto/crypto.h"

/*
 * Small files that follow each other share a chunk.  Where a bundle ends is
 * decided by a keyed hash of the file's beginning and size, so that copies and
 * renamed trees make equal bundles, and by three bounds.
 */
#define BUNDLE_MIN (256u << 10) /* bytes, before the hash counts */
#define BUNDLE_CUT 32u          /* one file in so many ends a bundle */
#define BUNDLE_HEAD 4096u       /* bytes of the file that are hashed */

void bundle_unref(struct bundle *bd)
{
	if (--bd->refs > 0)
		return;
	free(bd->data);
	free(bd);
}

/*
 * Buffers go round: given back to the system, each would be paged in anew,
 * which costs as much as compressing a tenth of it.
 */
static uint8_t *buffer_get(struct backup *b)
{
	uint8_t *p = NULL;

	pthread_mutex_lock(&b->lock);
	if (b->bundle_nspare > 0)
		p = b->bundle_spare[--b->bundle_nspare];
	pthread_mutex_unlock(&b->lock);
	return p != NULL ? p : malloc(BUNDLE_MAX);
}

static void buffer_put(struct backup *b, uint8_t *p)
{
	pthread_mutex_lock(&b->lock);
	if (b->bundle_nspare < BUNDLE_SPARES) {
		b->bundle_spare[b->bundle_nspare++] = p;
		p = NULL;
	}
	pthread_mutex_unlock(&b->lock);
	free(p);
}

void bundle_release(struct backup *b)
{
	while (b->bundle_nspare > 0)
		free(b->bundle_spare[--b->bundle_nspare]);
}

static void store_bundle(struct pool_task *task, unsigned self)
{
	struct bundle *bd = (struct bundle *)((char *)task - offsetof(struct bundle, task));
	struct backup *b = bd->b;
	struct err err;

	if (!backup_failed(b) &&
	    backup_put(b, self, STORE_DATA, bd->data, bd->len, bd->id, &err) < 0)
		backup_fail(b, &err);
	buffer_put(b, bd->data);
	bd->data = NULL;
	atomic_fetch_sub(&b->held, bd->len);
	atomic_store_explicit(&bd->stored, true, memory_order_release);
	backup_task_end(b, NULL);
}

void bundle_flush(struct backup *b)
{
	struct bundle *bd = b->bundle;

	b->bundle = NULL;
	b->bundle_span = 0;
	bd->task.fn = store_bundle;
	/* Before more is read: what is stored makes room. */
	backup_submit(b, &bd->task, true);
	/* The items that are in it hold it until they are encoded. */
	bundle_unref(bd);
}

static bool ends_bundle(struct backup *b, const struct item *it)
{
	uint8_t head[BUNDLE_HEAD + 8];
	size_t n = it->size < BUNDLE_HEAD ? (size_t)it->size : BUNDLE_HEAD;

	if (b->bundle->len < BUNDLE_MIN)
		return false;
	memcpy(head, it->content.bytes, n);
	le64_put(head + n, it->size);
	return crypto_siphash(b->seed, head, n + 8) % BUNDLE_CUT == 0;
}

/* The same content stands in a bundle of this run already: 1, else 0. */
static int use_twin(struct backup *b, struct item *it)
{
	struct content *c = &it->content;
	struct bundle *bd = twins_find(b->twins, c->hash, it->size, &c->off);

	if (bd == NULL)
		return 0;
	bd->refs++;
	c->bundle = bd;
	free(c->bytes);
	c->bytes = NULL;
	atomic_fetch_sub(&b->held, it->size);
	return 1;
}

static int bundle_add(struct backup *b, struct item *it, struct err *err)
{
	struct bundle *bd = b->bundle;

	if (bd != NULL && (bd->len + it->size > BUNDLE_MAX || bd->files == BUNDLE_FILES)) {
		bundle_flush(b);
		bd = NULL;
	}
	if (bd == NULL) {
		bd = mem_zalloc(sizeof(*bd), "a bundle of small files", err);
		if (bd == NULL)
			return -1;
		bd->data = buffer_get(b);
		if (bd->data == NULL) {
			free(bd);
			return err_nomem(err, "a bundle of small files");
		}
		bd->b = b;
		bd->refs = 1;
		b->bundle = bd;
	}
	memcpy(bd->data + bd->len, it->content.bytes, it->size);
	twins_add(b->twins, it->content.hash, it->size, bd, bd->len);
	it->content.off = bd->len;
	it->content.bundle = bd;
	bd->refs++;
	bd->len += (uint32_t)it->size;
	bd->files++;

	bool end = ends_bundle(b, it);

	free(it->content.bytes);
	it->content.bytes = NULL;
	if (end)
		bundle_flush(b);
	return 0;
}

/* Has what may be read of it been read?  Others may still be at work. */
static bool settled(struct item *it)
{
	if (!it->decided)
		return false;
	return !it->small || atomic_load_explicit(&it->busy, memory_order_acquire) == 0;
}

int bundle_step(struct backup *b, struct err *err)
{
	int did = 0;
	struct item *it;

	while ((it = b->bundle_at) != NULL && it != b->merge_at && settled(it)) {
		if (it->small && it->content.kind == FMT_CONTENT_SLICE &&
		    it->content.bytes != NULL && !use_twin(b, it) &&
		    bundle_add(b, it, err) < 0)
			return -1;
		if (b->bundle != NULL && ++b->bundle_span > BUNDLE_SPAN)
			bundle_flush(b);
		it->bundled = true;
		did = 1;
		backup_advance(b, &b->bundle_at);
	}
	if (it == NULL && b->merge_ended && b->bundle != NULL) {
		bundle_flush(b);
		did = 1;
	}
	return did;
}
