/* Check of packs: there, of the right size, directory, and every blob. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/mem.h"
#include "repo/store/store_check_internal.h"

#define PIECE ((size_t)1 << 20)
#define PLAIN_MIN ((size_t)4 << 20)

/* What one job holds. */
struct job {
	struct check *c;
	struct store_worker *w;
	uint8_t *plain;       /* w->max_plain bytes */
	uint8_t *window;      /* the longest sealed blob and a piece */
	size_t window_cap;
	struct buf dir;       /* opened directory */
};

/* The pack that is looked at. */
struct look {
	char key[FMT_KEY_MAX];
	const struct check_pack *p;
	uint8_t head_bytes[FMT_PACK_HEAD_MAX];
	struct fmt_pack_head head;
	size_t head_len;
	struct store_epoch *epoch;
	const struct store_slot *slot;
	struct fmt_pack_layout lay;
	const uint8_t *entries;
	uint32_t count;
};

static int look_read(struct job *j, const struct look *l, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	int r = backend_get(j->c->st->be, l->key, off, dst, len, err);

	return r > 0 ? err_set(err, ERR_NOTFOUND, "is missing") : r;
}

/* Head, footer and directory. */
static int look_directory(struct job *j, struct look *l, struct err *err)
{
	struct store *st = j->c->st;
	size_t n = l->p->size < sizeof(l->head_bytes) ? l->p->size :
	    sizeof(l->head_bytes);
	uint8_t footer[FMT_FOOTER_LEN];
	uint8_t *sealed;
	int r;

	if (n == 0 || l->p->size < FMT_PACK_HEAD_MIN + FMT_FOOTER_LEN)
		return err_set(err, ERR_CORRUPT, "is too small for a pack");
	if (look_read(j, l, 0, l->head_bytes, n, err) != 0 ||
	    fmt_pack_head_decode(l->head_bytes, n, &l->head, err) != 0 ||
	    look_read(j, l, l->p->size - sizeof(footer), footer,
	        sizeof(footer), err) != 0)
		return -1;
	l->head_len = FMT_PACK_HEAD_MIN + l->head.sealed_len;
	l->epoch = store_epoch_find(st, l->head.epoch, err);
	if (l->epoch == NULL || fmt_footer_open(l->key, l->head_bytes, footer,
	        l->p->size, l->epoch->sec->k.footer, &l->lay, err) != 0)
		return -1;
	l->slot = store_slot_find(st, l->head.slot, err);
	if (l->slot == NULL)
		return -1;
	sealed = malloc(l->lay.dir_len + 1);
	if (sealed == NULL)
		return err_nomem(err, "a pack's directory");
	r = look_read(j, l, l->lay.dir_off, sealed, l->lay.dir_len, err);
	if (r == 0)
		r = fmt_dir_open(l->key, st->info.repository, l->head_bytes,
		    l->head_len, l->lay.dir_off, sealed, l->lay.dir_len,
		    l->slot->sign_pub, l->epoch->sec->k.directory, &j->dir,
		    &l->entries, &l->count, err);
	free(sealed);
	return r;
}

/* Does each segment say of this pack what its directory says? */
static void look_compare(struct job *j, const struct look *l)
{
	struct check *c = j->c;
	struct fmt_pack_record rec = {
		.size = (uint32_t)l->p->size, .epoch = l->head.epoch,
		.blob_kind = l->head.blob_kind,
		.key_method = l->head.key_method,
		.sealed_key = l->head.sealed_key,
		.sealed_len = l->head.sealed_len,
	};
	struct fmt_dir_entry e;
	uint8_t said[8];
	uint64_t sum;

	memcpy(rec.name, l->p->name, sizeof(rec.name));
	memcpy(rec.slot, l->head.slot, sizeof(rec.slot));
	store_record_said(&rec, said);
	sum = le64_get(said);
	for (uint32_t i = 0; i < l->count; i++) {
		fmt_dir_entry_get(l->entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		sum += store_check_sum(c, e.id, i, e.offset, e.sealed_len,
		    e.plain_len);
	}
	for (uint32_t i = 0; i < l->p->nrefs; i++) {
		const struct check_ref *r = &c->refs[l->p->first_ref + i];

		if (r->count == l->count && r->sum == sum)
			continue;
		store_check_tell(c, store_keys_at(&c->segments, r->segment),
		    NULL, "says something else of a pack than its directory");
		store_check_tell(c, l->key, NULL,
		    "its directory is not what the index says");
	}
}

/* --- reading all of it --------------------------------------------------------------*/

/* Buffers for blobs of that plain length, and the ids' domain. */
static int job_prepare(struct job *j, const struct look *l, struct err *err)
{
	struct store *st = j->c->st;
	size_t most = PLAIN_MIN;
	const char *domain = NULL;
	bool foreign = strcmp(l->slot->domain, st->info.domain) != 0;

	if (st->info.stream.max > most)
		most = st->info.stream.max;
	if (st->info.block.max > most)
		most = st->info.block.max;
	for (uint32_t i = 0; i < l->count; i++) {
		struct fmt_dir_entry e;

		fmt_dir_entry_get(l->entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		if (e.plain_len > most)
			most = e.plain_len;
		if (e.sealed_len > most)
			most = e.sealed_len;
	}
	if (most > FMT_BLOB_MAX - FMT_BLOB_EXTRA)
		most = FMT_BLOB_MAX - FMT_BLOB_EXTRA;
	if (j->w != NULL && j->w->max_plain >= most &&
	    (j->w->own_idkey != NULL) == foreign && !foreign)
		return 0;
	store_worker_free(j->w);
	free(j->plain);
	free(j->window);
	if (foreign && st->own->has_family)
		domain = l->slot->domain;
	j->window_cap = most + FMT_BLOB_EXTRA + PIECE;
	j->plain = malloc(most);
	j->window = malloc(j->window_cap);
	j->w = store_worker_new(st, ZIP_OFF, most, domain, err);
	if (j->w == NULL)
		return -1;
	if (foreign && domain == NULL)
		j->w->idkey = NULL;
	if (j->plain == NULL || j->window == NULL)
		return err_nomem(err, "checking packs");
	return 0;
}

/* The data key, when this credential can open it: 0, 1 when not, -1. */
static int look_key(const struct look *l, uint8_t key[STORE_KEY_LEN],
    struct err *err)
{
	const struct store_epoch_secret *sec = l->epoch->sec;

	if (l->head.key_method == FMT_KEY_BOX && !sec->has_content)
		return 1;
	return fmt_pack_key_open(l->key, &l->head, sec->has_content ?
	    sec->content : NULL, sec->k.pack, key, err);
}

/* Open the blobs from *at on that are whole in the window. */
static void look_blobs(struct job *j, const struct look *l,
    const uint8_t *key, uint64_t window_off, size_t window_len, uint32_t *at)
{
	while (*at < l->count) {
		struct fmt_dir_entry e;
		struct err why = ERR_INIT;

		fmt_dir_entry_get(l->entries + (size_t)*at * FMT_DIR_ENTRY_LEN,
		    &e);
		if (e.offset + e.sealed_len > window_off + window_len)
			return;
		if (key != NULL && store_blob_open_with(j->c->st, j->w,
		        (enum store_kind)l->head.blob_kind, e.id, *at, key,
		        j->window + (e.offset - window_off), e.sealed_len,
		        j->plain, e.plain_len, &why) != 0)
			store_check_tell(j->c, l->key, e.id, why.msg);
		(*at)++;
	}
}

/* Compare the checksums stored with those of what was read. */
static int look_sums(struct job *j, const struct look *l,
    const struct fmt_sums *sums, struct err *err)
{
	uint8_t *want = malloc(sums->out.len + 1);
	char what[80];

	if (want == NULL)
		return err_nomem(err, "checksums");
	if (look_read(j, l, l->lay.sums_off, want, sums->out.len, err) != 0) {
		free(want);
		return -1;
	}
	for (size_t i = 0; i + 8 <= sums->out.len; i += 8) {
		if (memcmp(want + i, sums->out.p + i, 8) == 0)
			continue;
		snprintf(what, sizeof(what),
		    "its bytes from %zu MiB on have another checksum", i / 8);
		store_check_tell(j->c, l->key, NULL, what);
	}
	free(want);
	return 0;
}

/* Stream the pack through checksums and, with a key, open every blob. */
static int look_content(struct job *j, const struct look *l,
    const uint8_t *key, struct err *err)
{
	uint64_t end = l->lay.sums_off, at = 0, window_off = 0;
	struct fmt_sums sums;
	size_t len = 0;
	uint32_t blob = 0;
	int r = 0;

	fmt_sums_init(&sums);
	while (at < end && r == 0) {
		size_t n = end - at < PIECE ? end - at : PIECE;
		struct fmt_dir_entry e;
		uint64_t keep = at + n;

		if (len + n > j->window_cap) {
			r = err_set(err, ERR_CORRUPT, "a blob is too long");
			break;
		}
		r = look_read(j, l, at, j->window + len, n, err);
		if (r != 0)
			break;
		fmt_sums_add(&sums, j->window + len, n);
		len += n;
		at += n;
		look_blobs(j, l, key, window_off, len, &blob);
		if (blob < l->count) {
			fmt_dir_entry_get(l->entries +
			    (size_t)blob * FMT_DIR_ENTRY_LEN, &e);
			if (e.offset < keep)
				keep = e.offset;
		}
		len = at - keep;
		memmove(j->window, j->window + (keep - window_off), len);
		window_off = keep;
	}
	if (r == 0)
		r = fmt_sums_end(&sums, l->lay.nsums, err);
	if (r == 0)
		r = look_sums(j, l, &sums, err);
	fmt_sums_release(&sums);
	return r;
}

/* --- one pack ------------------------------------------------------------------------*/

static bool chosen(const struct check *c, const struct check_pack *p)
{
	uint8_t m[FMT_PACK_NAME_LEN];

	memcpy(m, p->name, sizeof(m));
	return crypto_siphash(c->sum_key, m, sizeof(m)) % 100 <
	    c->opt->read_percent;
}

/* A pack that the index names but that is not there. */
static void look_missing(struct job *j, const struct look *l)
{
	char what[96];
	uint32_t most = 0;

	/* Entries of what a collection removed go when the index is merged. */
	if (store_dead_has(j->c->dead, l->p->name, 0))
		return;
	for (uint32_t i = 0; i < l->p->nrefs; i++)
		if (j->c->refs[l->p->first_ref + i].count > most)
			most = j->c->refs[l->p->first_ref + i].count;
	snprintf(what, sizeof(what), "is missing (%u blobs)", most);
	store_check_tell(j->c, l->key, NULL, what);
}

static int look_at(struct job *j, struct look *l, struct err *err)
{
	struct check *c = j->c;
	uint8_t key[STORE_KEY_LEN];
	int r;

	for (uint32_t i = 0; i < l->p->nrefs; i++)
		if (c->refs[l->p->first_ref + i].size != l->p->size)
			return err_set(err, ERR_CORRUPT, "has %" PRIu64
			    " bytes, not %u as the index says", l->p->size,
			    c->refs[l->p->first_ref + i].size);
	if (look_directory(j, l, err) != 0)
		return -1;
	look_compare(j, l);
	pthread_mutex_lock(&c->lock);
	c->ret->blobs += l->count;
	pthread_mutex_unlock(&c->lock);
	if (!chosen(c, l->p))
		return 0;
	r = look_key(l, key, err);
	if (r < 0 || job_prepare(j, l, err) != 0)
		return -1;
	r = look_content(j, l, r == 0 ? key : NULL, err);
	mem_wipe(key, sizeof(key));
	pthread_mutex_lock(&c->lock);
	c->ret->packs_read++;
	c->ret->bytes_read += l->p->size;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* The next pack to look at, or NULL when all are taken or it is over. */
static const struct check_pack *take(struct check *c)
{
	const struct check_pack *p = NULL;
	struct err err = ERR_INIT;
	bool stop = store_check_cancelled(c, &err) != 0;

	pthread_mutex_lock(&c->lock);
	if (stop && !c->failed) {
		c->failed = true;
		c->why = err;
	}
	if (!c->failed && c->next < c->npacks)
		p = &c->packs[c->next++];
	pthread_mutex_unlock(&c->lock);
	return p;
}

static void look_done(struct check *c)
{
	pthread_mutex_lock(&c->lock);
	c->done++;
	if (c->opt->progress != NULL)
		c->opt->progress(c->opt->ctx, c->done, c->npacks);
	pthread_mutex_unlock(&c->lock);
}

void store_check_packs(void *arg)
{
	struct job j = { .c = arg };
	struct check *c = arg;
	const struct check_pack *p;

	while ((p = take(c)) != NULL) {
		struct look l = { .p = p };
		struct err why = ERR_INIT;

		fmt_key_pack(l.key, p->name);
		if (p->size == 0)
			look_missing(&j, &l);
		else if (look_at(&j, &l, &why) != 0 &&
		    store_check_judge(c, l.key, &why) != 0) {
			pthread_mutex_lock(&c->lock);
			if (!c->failed)
				c->why = why;
			c->failed = true;
			pthread_mutex_unlock(&c->lock);
		}
		look_done(c);
	}
	store_worker_free(j.w);
	free(j.plain);
	free(j.window);
	buf_release(&j.dir);
	pthread_mutex_lock(&c->lock);
	c->jobs--;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}
