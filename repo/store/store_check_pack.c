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
	struct store_look o;
	struct check_pack *p;
	uint8_t *hurt;        /* a bit for each MiB where that explains its sum */
	struct check_parity *parity; /* NULL: none to compare with */
	bool news;            /* a damage was told that is not listed */
};

static int look_read(struct job *j, const struct look *l, uint64_t off,
    void *dst, size_t len, struct err *err)
{
	int r = backend_get(j->c->st->be, l->o.key, off, dst, len, err);

	return r > 0 ? err_set(err, ERR_NOTFOUND, "is missing") : r;
}

/* Does each segment say of this pack what its directory says? */
static void look_compare(struct job *j, const struct look *l)
{
	struct check *c = j->c;
	struct fmt_pack_record rec = store_look_record(&l->o, l->p->name);
	struct fmt_dir_entry e;
	uint8_t said[8];
	uint64_t sum;

	store_record_said(&rec, said);
	sum = le64_get(said);
	for (uint32_t i = 0; i < l->o.count; i++) {
		fmt_dir_entry_get(l->o.entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		sum += store_check_sum(c, e.id, i, e.offset, e.sealed_len,
		    e.plain_len);
	}
	for (uint32_t i = 0; i < l->p->nrefs; i++) {
		const struct check_ref *r = &c->refs[l->p->first_ref + i];

		if (r->count == l->o.count && r->sum == sum) {
			l->p->flags |= CHECK_NAMED;
			continue;
		}
		store_check_tell(c, store_keys_at(&c->segments, r->segment),
		    NULL, "says something else of a pack than its directory");
		store_check_tell(c, l->o.key, NULL,
		    "its directory is not what the index says");
	}
}

/* --- reading all of it --------------------------------------------------------------*/

/* Buffers for blobs of that plain length, and the ids' domain. */
static int job_prepare(struct job *j, const struct look *l, struct err *err)
{
	struct store *st = j->c->st;
	size_t most = PLAIN_MIN;
	/*
	 * A pack does not say whose ids it has: its slot does, but what an
	 * administrator repacked may be of any domain.
	 */
	bool known = st->own->has_family ||
	    (strcmp(l->o.slot->domain, st->info.domain) == 0 &&
	     !(l->o.slot->rights & STORE_ADMIN));

	if (st->info.stream.max > most)
		most = st->info.stream.max;
	if (st->info.block.max > most)
		most = st->info.block.max;
	for (uint32_t i = 0; i < l->o.count; i++) {
		struct fmt_dir_entry e;

		fmt_dir_entry_get(l->o.entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		if (e.plain_len > most)
			most = e.plain_len;
		if (e.sealed_len > most)
			most = e.sealed_len;
	}
	if (most > FMT_BLOB_MAX - FMT_BLOB_EXTRA)
		most = FMT_BLOB_MAX - FMT_BLOB_EXTRA;
	if (j->w != NULL && j->w->max_plain >= most &&
	    (j->w->idkey != NULL) == known)
		return 0;
	store_worker_free(j->w);
	free(j->plain);
	free(j->window);
	j->window_cap = most + FMT_BLOB_EXTRA + PIECE;
	j->plain = malloc(most);
	j->window = malloc(j->window_cap);
	j->w = store_worker_new(st, ZIP_OFF, most, NULL, err);
	if (j->w == NULL || store_worker_all_domains(j->w, err) != 0)
		return -1;
	if (!known)
		j->w->idkey = NULL; /* the seal has to do */
	if (j->plain == NULL || j->window == NULL)
		return err_nomem(err, "checking packs");
	return 0;
}

/* The data key, when this credential can open it: 0, 1 when not, -1. */
static int look_key(const struct look *l, uint8_t key[STORE_KEY_LEN],
    struct err *err)
{
	const struct store_epoch_secret *sec = l->o.epoch->sec;

	if (l->o.head.key_method == FMT_KEY_BOX && !sec->has_content)
		return 1;
	return fmt_pack_key_open(l->o.key, &l->o.head, sec->has_content ?
	    sec->content : NULL, sec->k.pack, key, err);
}

/* Its bytes explain that the sums of these MiB are wrong. */
static void look_hurt(struct look *l, const struct fmt_dir_entry *e)
{
	uint64_t last = ((uint64_t)e->offset + e->sealed_len - 1) >> 20;

	for (uint64_t i = e->offset >> 20; e->sealed_len > 0 && i <= last &&
	    i < l->o.lay.nsums; i++)
		l->hurt[i / 8] |= (uint8_t)(1 << i % 8);
}

/* A blob that cannot be opened: told, unless it is listed. */
static void look_bad_blob(struct job *j, struct look *l,
    const struct fmt_dir_entry *e, const struct err *why)
{
	struct check *c = j->c;
	struct fmt_bad_entry x = { l->o.head.blob_kind, e->id, l->p->name };
	struct fmt_list_buf add = FMT_LIST_BUF_INIT;

	look_hurt(l, e);
	l->p->flags |= CHECK_BAD;
	if (store_bad_copy(c->bad, e->id, l->p->name)) {
		store_check_suspect(c, l->o.key, e->id);
	} else {
		store_check_tell(c, l->o.key, e->id, why->msg);
		l->news = true;
	}
	if (!c->mending)
		return;
	fmt_list_add_bad(&add, &x);
	pthread_mutex_lock(&c->lock);
	if (c->nfound < STORE_BAD_MAX)
		buf_add(&c->found, add.b.p, add.b.len);
	c->nfound++;
	pthread_mutex_unlock(&c->lock);
	fmt_list_release(&add);
}

/* Open the blobs from *at on that are whole in the window. */
static void look_blobs(struct job *j, struct look *l, const uint8_t *key,
    uint64_t window_off, size_t window_len, uint32_t *at)
{
	while (*at < l->o.count) {
		struct fmt_dir_entry e;
		struct err why = ERR_INIT;

		fmt_dir_entry_get(l->o.entries + (size_t)*at *
		    FMT_DIR_ENTRY_LEN, &e);
		if (e.offset + e.sealed_len > window_off + window_len)
			return;
		if (key == NULL) {
			if (store_bad_copy(j->c->bad, e.id, l->p->name))
				look_hurt(l, &e);
		} else if (store_blob_open_with(j->c->st, j->w,
		        (enum store_kind)l->o.head.blob_kind, e.id, *at, key,
		        j->window + (e.offset - window_off), e.sealed_len,
		        j->plain, e.plain_len, &why) != 0) {
			look_bad_blob(j, l, &e, &why);
		}
		(*at)++;
	}
}

/* Compare the checksums stored with those of what was read. */
static int look_sums(struct job *j, struct look *l,
    const struct fmt_sums *sums, struct err *err)
{
	uint8_t *want = malloc(sums->out.len + 1);
	char what[80];

	if (want == NULL)
		return err_nomem(err, "checksums");
	if (look_read(j, l, l->o.lay.sums_off, want, sums->out.len, err) != 0) {
		free(want);
		return -1;
	}
	for (size_t i = 0; i < sums->out.len / 8; i++) {
		if (memcmp(want + i * 8, sums->out.p + i * 8, 8) == 0 ||
		    (l->hurt[i / 8] & 1 << i % 8))
			continue;
		snprintf(what, sizeof(what),
		    "its bytes from %zu MiB on have another checksum", i);
		store_check_tell(j->c, l->o.key, NULL, what);
		l->p->flags |= CHECK_BROKEN;
		l->news = true;
	}
	free(want);
	return 0;
}

/* What follows the sums' bytes, and then its parity against all of it. */
static int look_parity(struct job *j, struct look *l, struct err *err)
{
	size_t n = (size_t)(l->o.size - l->o.lay.sums_off);
	uint8_t *tail;
	int r;

	if (l->parity == NULL)
		return 0;
	tail = malloc(n);
	if (tail == NULL)
		return err_nomem(err, "parity");
	r = look_read(j, l, l->o.lay.sums_off, tail, n, err);
	store_check_parity_add(l->parity, tail, n);
	free(tail);
	return r != 0 ? -1 : store_check_parity_end(l->parity,
	    !(l->p->flags & (CHECK_BAD | CHECK_BROKEN)), err);
}

/* Stream the pack through checksums and, with a key, open every blob. */
static int look_content(struct job *j, struct look *l, const uint8_t *key,
    struct err *err)
{
	uint64_t end = l->o.lay.sums_off, at = 0, window_off = 0;
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
		store_check_parity_add(l->parity, j->window + len, n);
		len += n;
		at += n;
		look_blobs(j, l, key, window_off, len, &blob);
		if (blob < l->o.count) {
			fmt_dir_entry_get(l->o.entries +
			    (size_t)blob * FMT_DIR_ENTRY_LEN, &e);
			if (e.offset < keep)
				keep = e.offset;
		}
		len = at - keep;
		memmove(j->window, j->window + (keep - window_off), len);
		window_off = keep;
	}
	if (r == 0)
		r = fmt_sums_end(&sums, l->o.lay.nsums, err);
	if (r == 0)
		r = look_sums(j, l, &sums, err);
	if (r == 0)
		r = look_parity(j, l, err);
	fmt_sums_release(&sums);
	return r;
}

/* --- one pack ------------------------------------------------------------------------*/

/*
 * A pack that the index names but that is not there.  Of what a collection
 * removed entries stay until the index is merged, long after its list of them
 * is gone; so then it is a damage only when something needs it.
 */
static int look_missing(struct job *j, struct look *l, struct err *err)
{
	struct check *c = j->c;
	char what[96];
	uint32_t most = 0;

	if (store_dead_has(c->dead, l->p->name, 0))
		return 0;
	if (store_check_deletes(c, err) != 0)
		return -1;
	if (!c->deletes)
		l->p->flags |= CHECK_BROKEN; /* it is listed, or stays so */
	if (c->deletes || store_bad_pack(c->bad, l->p->name)) {
		store_check_suspect(c, l->o.key, NULL);
		return 0;
	}
	for (uint32_t i = 0; i < l->p->nrefs; i++)
		if (c->refs[l->p->first_ref + i].count > most)
			most = c->refs[l->p->first_ref + i].count;
	snprintf(what, sizeof(what), "is missing (%u blobs)", most);
	store_check_tell(c, l->o.key, NULL, what);
	l->news = true;
	return 0;
}

/* Head, footer and directory; what the index says of it. */
static int look_structure(struct job *j, struct look *l, struct err *err)
{
	struct check *c = j->c;

	if (store_look_open(c->st, l->p->name, l->p->size, &j->dir, &l->o,
	        err) != 0) {
		for (uint32_t i = 0; i < l->p->nrefs; i++)
			if (store_check_is_damage(err) &&
			    c->refs[l->p->first_ref + i].size != l->p->size)
				return err_set(err, ERR_CORRUPT, "has %" PRIu64
				    " bytes, not %u as the index says",
				    l->p->size,
				    c->refs[l->p->first_ref + i].size);
		return -1;
	}
	l->p->flags |= CHECK_DIRECTORY;
	look_compare(j, l);
	pthread_mutex_lock(&c->lock);
	c->ret->blobs += l->o.count;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* How many of its blobs are listed as damaged?  For a pack that is not read. */
static void look_listed(struct job *j, const struct look *l)
{
	struct check *c = j->c;
	uint64_t n = 0;

	if (!store_bad_touches(c->bad, l->p->name))
		return;
	for (uint32_t i = 0; i < l->o.count; i++) {
		struct fmt_dir_entry e;

		fmt_dir_entry_get(l->o.entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		n += store_bad_copy(c->bad, e.id, l->p->name);
	}
	pthread_mutex_lock(&c->lock);
	c->ret->known += n;
	pthread_mutex_unlock(&c->lock);
}

static int look_at(struct job *j, struct look *l, struct err *err)
{
	struct check *c = j->c;
	uint8_t key[STORE_KEY_LEN];
	int r;

	if (look_structure(j, l, err) != 0)
		return -1;
	if (!(l->p->flags & CHECK_CHOSEN)) {
		look_listed(j, l);
		return 0;
	}
	l->hurt = mem_zalloc(l->o.lay.nsums / 8 + 1, "checksums", err);
	if (l->hurt == NULL)
		return -1;
	r = look_key(l, key, err);
	if (r < 0 || job_prepare(j, l, err) != 0 ||
	    store_check_parity_begin(c, l->p, &l->parity, err) != 0)
		return -1;
	r = look_content(j, l, r == 0 ? key : NULL, err);
	mem_wipe(key, sizeof(key));
	if (r == 0 && !(l->p->flags & (CHECK_BAD | CHECK_BROKEN |
	        CHECK_PARITY_BAD)))
		l->p->flags |= CHECK_WHOLE;
	pthread_mutex_lock(&c->lock);
	c->ret->packs_read++;
	c->ret->bytes_read += l->p->size;
	pthread_mutex_unlock(&c->lock);
	return r;
}

/* The next pack to look at, or NULL when all are taken or it is over. */
static struct check_pack *take(struct check *c)
{
	struct check_pack *p = NULL;
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

/* One pack: 0, also when it is damaged, which was told; -1. */
static int look_pack(struct job *j, struct look *l, struct err *err)
{
	struct check *c = j->c;

	fmt_key_pack(l->o.key, l->p->name);
	if (l->p->size == 0)
		return look_missing(j, l, err);
	if (store_bad_pack(c->bad, l->p->name)) {
		l->p->flags |= CHECK_LISTED;
		store_check_suspect(c, l->o.key, NULL);
		/* It may have been brought back: a repair looks again. */
		if (!c->mending)
			return 0;
	}
	if (look_at(j, l, err) == 0)
		return 0;
	if (!store_check_is_damage(err))
		return -1;
	if (err->class == ERR_NOTFOUND)
		return look_missing(j, l, err); /* it went while we looked */
	/* Of a newer format: told, and left alone. */
	if (err->class != ERR_UNSUPPORTED)
		l->p->flags |= CHECK_BROKEN;
	if (l->p->flags & CHECK_LISTED)
		return 0;
	l->news = true;
	return store_check_judge(c, l->o.key, err);
}

void store_check_packs(void *arg)
{
	struct job j = { .c = arg };
	struct check *c = arg;
	struct check_pack *p;

	while ((p = take(c)) != NULL) {
		struct look l = { .p = p };
		struct err why = ERR_INIT;

		if (look_pack(&j, &l, &why) != 0 || (l.news &&
		        store_check_ranges(c, l.p, &why) != 0)) {
			pthread_mutex_lock(&c->lock);
			if (!c->failed)
				c->why = why;
			c->failed = true;
			pthread_mutex_unlock(&c->lock);
		}
		free(l.hurt);
		store_check_parity_free(l.parity);
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
