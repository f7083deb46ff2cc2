#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/mem.h"

/* Bytes a bucket stands for: the chains stay short. */
#define BUCKET_BYTES ((size_t)32 << 10)

int mount_blobs_init(struct mount_blobs *b, size_t most, struct err *err)
{
	size_t n = 256;

	while (n < most / BUCKET_BYTES)
		n *= 2;
	*b = (struct mount_blobs){ .most = most, .mask = n - 1 };
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->loaded, NULL);
	b->bucket = mem_array(n, sizeof(*b->bucket), "a cache", err);
	return b->bucket != NULL ? 0 : -1;
}

static void blob_free(struct mount_blob *x)
{
	buf_release(&x->data);
	free(x);
}

void mount_blobs_release(struct mount_blobs *b)
{
	for (size_t i = 0; b->bucket != NULL && i <= b->mask; i++) {
		while (b->bucket[i] != NULL) {
			struct mount_blob *x = b->bucket[i];

			b->bucket[i] = x->chain;
			blob_free(x);
		}
	}
	free(b->bucket);
	b->bucket = NULL;
	pthread_cond_destroy(&b->loaded);
	pthread_mutex_destroy(&b->lock);
}

/* --- under the lock ---------------------------------------------------------*/

static struct mount_blob **bucket_of(struct mount_blobs *b, const uint8_t *id)
{
	return &b->bucket[le64_get(id) & b->mask];
}

static struct mount_blob *blob_find(struct mount_blobs *b, const uint8_t *id)
{
	struct mount_blob *x = *bucket_of(b, id);

	while (x != NULL && memcmp(x->id, id, STORE_ID_LEN) != 0)
		x = x->chain;
	return x;
}

static void blob_unchain(struct mount_blobs *b, struct mount_blob *x)
{
	struct mount_blob **at = bucket_of(b, x->id);

	while (*at != x)
		at = &(*at)->chain;
	*at = x->chain;
}

/* The list of those that nobody holds, by when they were given back. */
static void idle_put(struct mount_blobs *b, struct mount_blob *x)
{
	x->older = b->newest;
	x->newer = NULL;
	*(b->newest != NULL ? &b->newest->newer : &b->oldest) = x;
	b->newest = x;
}

static void idle_take(struct mount_blobs *b, struct mount_blob *x)
{
	*(x->older != NULL ? &x->older->newer : &b->oldest) = x->newer;
	*(x->newer != NULL ? &x->newer->older : &b->newest) = x->older;
}

static void make_room(struct mount_blobs *b)
{
	while (b->bytes > b->most && b->oldest != NULL) {
		struct mount_blob *x = b->oldest;

		idle_take(b, x);
		blob_unchain(b, x);
		b->bytes -= x->data.cap;
		blob_free(x);
	}
}

/* --- reading ----------------------------------------------------------------*/

static int tool_domain(struct mount_tool *t, const char *domain, struct err *err)
{
	if (t->domain == domain)
		return 0;
	store_worker_free(t->w);
	t->domain = NULL;
	t->w = store_worker_new(t->m->st, ZIP_OFF, t->m->max_blob, domain, err);
	if (t->w == NULL)
		return -1;
	t->domain = domain;
	return 0;
}

static int blob_read(struct mount_tool *t, enum store_kind kind,
    const char *domain, struct mount_blob *x, struct err *err)
{
	struct store_loc loc;
	char hex[2 * STORE_ID_LEN + 1];
	int r;

	if (tool_domain(t, domain, err) < 0)
		return -1;
	r = store_locate(t->m->st, x->id, &loc, err);
	if (r == 0) {
		/* Just as much as it takes, for that is what is counted. */
		x->data.p = malloc(loc.plain_len + 1);
		if (x->data.p == NULL)
			return err_nomem(err, "a chunk");
		x->data.cap = loc.plain_len + 1;
		r = store_get(t->m->st, t->w, kind, x->id, &x->data, err);
	}
	if (r == 0)
		return 0;
	hex_encode(hex, x->id, STORE_ID_LEN);
	if (r == 1)
		return err_set(err, ERR_CORRUPT, "blob %.16s: the repository has lost it",
		    hex);
	return err_wrap(err, "blob %.16s", hex);
}

int mount_blob_hold(struct mount_tool *t, enum store_kind kind,
    const char *domain, const uint8_t id[STORE_ID_LEN],
    struct mount_blob **ret, struct err *err)
{
	struct mount_blobs *b = kind == STORE_DATA ? &t->m->chunks : &t->m->pages;
	struct mount_blob *x, **at;

	pthread_mutex_lock(&b->lock);
	while ((x = blob_find(b, id)) != NULL && x->loading)
		pthread_cond_wait(&b->loaded, &b->lock);
	if (x != NULL) {
		if (x->holders++ == 0)
			idle_take(b, x);
		pthread_mutex_unlock(&b->lock);
		*ret = x;
		return 0;
	}
	x = mem_zalloc(sizeof(*x), "a chunk", err);
	if (x == NULL) {
		pthread_mutex_unlock(&b->lock);
		return -1;
	}
	memcpy(x->id, id, STORE_ID_LEN);
	x->loading = true;
	x->holders = 1;
	at = bucket_of(b, id);
	x->chain = *at;
	*at = x;
	pthread_mutex_unlock(&b->lock);

	int r = blob_read(t, kind, domain, x, err);

	pthread_mutex_lock(&b->lock);
	x->loading = false;
	if (r < 0) {
		/* Who waits finds nothing, tries it and learns why. */
		blob_unchain(b, x);
	} else {
		b->bytes += x->data.cap;
		make_room(b);
	}
	pthread_cond_broadcast(&b->loaded);
	pthread_mutex_unlock(&b->lock);
	if (r < 0)
		blob_free(x);
	else
		*ret = x;
	return r;
}

void mount_blob_drop(struct mount *m, enum store_kind kind, struct mount_blob *x)
{
	struct mount_blobs *b = kind == STORE_DATA ? &m->chunks : &m->pages;

	pthread_mutex_lock(&b->lock);
	if (--x->holders == 0) {
		idle_put(b, x);
		make_room(b);
	}
	pthread_mutex_unlock(&b->lock);
}

/* --- tools ------------------------------------------------------------------*/

int mount_tool_init(struct mount_tool *t, struct mount *m, bool replies,
    struct err *err)
{
	*t = (struct mount_tool){ .m = m };
	if (!replies)
		return 0;
	t->reply = malloc(MOUNT_READ_MAX);
	return t->reply != NULL ? 0 : err_nomem(err, "a thread's buffer");
}

void mount_tool_release(struct mount_tool *t)
{
	store_worker_free(t->w);
	free(t->reply);
	mount_path_release(&t->path);
	buf_release(&t->text);
}
