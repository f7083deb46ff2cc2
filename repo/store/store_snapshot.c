/* Snapshots: reading and verifying one, going through all. */

#include <stdlib.h>
#include <string.h>

#include "repo/backend/backend_ahead.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_internal.h"

static void strings_release(struct store_strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct store_strings){ NULL, 0 };
}

void store_snapshot_free(struct store_snapshot *sn)
{
	if (sn == NULL)
		return;
	free(sn->domain);
	free(sn->predecessor);
	free(sn->parent);
	free(sn->volume);
	free(sn->host);
	free(sn->user);
	free(sn->program);
	free(sn->origin);
	strings_release(&sn->paths);
	strings_release(&sn->tags);
	free(sn);
}

static int copy_str(char **dst, struct fmt_str s, struct err *err)
{
	*dst = mem_memdup0(s.p == NULL ? "" : s.p, s.len, err);
	return *dst == NULL ? -1 : 0;
}

static int copy_strings(struct store_strings *dst, struct fmt_list l,
    struct err *err)
{
	struct fmt_str s;

	dst->v = mem_array(l.n + 1, sizeof(*dst->v), "a snapshot", err);
	if (dst->v == NULL)
		return -1;
	while (fmt_str_next(&l, &s) == 0) {
		if (copy_str(&dst->v[dst->n], s, err) != 0)
			return -1;
		dst->n++;
	}
	return 0;
}

static struct store_ref ref_of(const struct fmt_ref *r)
{
	struct store_ref x = { .level = r->level, .entries = r->entries };

	memcpy(x.id, r->id, sizeof(x.id));
	return x;
}

static int take_origin(struct store_snapshot *sn, const struct fmt_s1 *s,
    struct err *err)
{
	struct buf b = BUF_INIT;
	char hex[2 * FMT_REPOSITORY_LEN + 1], slot[FMT_HEX_SLOT];
	int r;

	if (s->copied) {
		hex_encode(hex, s->origin_repository, FMT_REPOSITORY_LEN);
		hex_encode(slot, s->origin_slot, FMT_SLOT_LEN);
		buf_printf(&b, "%s/%s/%s", hex, slot, s->origin_session);
	}
	r = buf_check(&b, "a snapshot", err);
	if (r == 0)
		r = copy_str(&sn->origin,
		    (struct fmt_str){ (const char *)b.p, b.len }, err);
	buf_release(&b);
	return r;
}

static int take_s1(struct store_snapshot *sn, const struct fmt_s1 *s,
    struct err *err)
{
	sn->checkpoint = s->type == FMT_CHECKPOINT;
	sn->flags = s->flags;
	sn->content = (enum store_content)s->content;
	memcpy(sn->volume_hash, s->volume_hash, 32);
	sn->start_ns = s->start_ns;
	sn->end_ns = s->end_ns;
	sn->counter = s->counter;
	memcpy(sn->predecessor_hash, s->predecessor_hash, 32);
	sn->generation = s->generation;
	sn->state = ref_of(&s->state);
	sn->size = s->size;
	sn->entries = s->entries;
	if (copy_str(&sn->domain, s->domain, err) != 0 ||
	    copy_str(&sn->predecessor, fmt_str(s->predecessor), err) != 0 ||
	    copy_str(&sn->parent, fmt_str(s->parent), err) != 0)
		return -1;
	return take_origin(sn, s, err);
}

static int take_s2(struct store_snapshot *sn, const struct fmt_s2 *s,
    struct err *err)
{
	sn->catalog = ref_of(&s->catalog);
	sn->files = s->files;
	sn->dirs = s->directories;
	sn->others = s->others;
	sn->bytes_read = s->bytes_read;
	sn->bytes_new = s->bytes_new;
	sn->bytes_stored = s->bytes_stored;
	if (copy_str(&sn->volume, s->volume, err) != 0 ||
	    copy_str(&sn->host, s->host, err) != 0 ||
	    copy_str(&sn->user, s->user, err) != 0 ||
	    copy_str(&sn->program, s->program, err) != 0 ||
	    copy_strings(&sn->paths, s->paths, err) != 0 ||
	    copy_strings(&sn->tags, s->tags, err) != 0)
		return -1;
	return 0;
}

static int take_volume_id(struct store_snapshot *sn, struct err *err)
{
	struct buf b = BUF_INIT;
	int r;

	buf_add(&b, sn->domain, strlen(sn->domain) + 1);
	buf_str(&b, sn->volume);
	r = buf_check(&b, "a snapshot", err);
	if (r == 0)
		crypto_sha256(sn->volume_id, b.p, b.len);
	buf_release(&b);
	return r;
}

/* What stands in for the sealed part when it may not be read. */
static int take_no_s2(struct store_snapshot *sn, struct err *err)
{
	struct fmt_s2 none = { .files = 0 };

	sn->sealed = true;
	memcpy(sn->volume_id, sn->volume_hash, sizeof(sn->volume_id));
	return take_s2(sn, &none, err);
}

static int snapshot_open(const char *key, const struct store_epoch *ep,
    const void *obj, size_t len, struct store_snapshot *sn, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct fmt_s1 s1;
	struct fmt_s2 s2;
	int r = fmt_snapshot_open1(obj, len, key, ep->sec->k.snapshot, &plain,
	    &s1, err);

	if (r == 0)
		r = take_s1(sn, &s1, err);
	if (r == 0 && !ep->sec->has_content)
		r = take_no_s2(sn, err);
	else if (r == 0) {
		r = fmt_snapshot_open2(obj, len, ep->sec->content, &plain,
		    &s2, err);
		if (r == 0)
			r = take_s2(sn, &s2, err);
		if (r == 0)
			r = take_volume_id(sn, err);
	}
	buf_release(&plain);
	return r;
}

static void snapshot_free_p(struct store_snapshot **sn)
{
	store_snapshot_free(*sn);
}

int store_revocation_signed(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len, struct err *err)
{
	uint8_t signer[FMT_SLOT_LEN];
	struct store_epoch *ep;
	int r = fmt_signed_signer(obj, len, signer, err);

	if (r < 0)
		return -1;
	if (r > 0)
		return store_admin_signed(st, key, obj, len, FMT_REVOCATION, err);
	return store_slot_signed(st, key, obj, len, FMT_REVOCATION, at->slot,
	    at->session, &ep, err);
}

/* The object is there: is it a snapshot, and whose?  0, 1 revoked, -1. */
static int snapshot_verify(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len,
    struct store_epoch **ret_ep, struct err *err)
{
	enum fmt_kind kind;

	if (fmt_header_any(obj, len, &kind, NULL, err) != 0) {
		if (err->class != ERR_UNSUPPORTED)
			return -1;
		/* It is told as of a later version only when it is signed. */
		kind = ((const uint8_t *)obj)[4];
	}
	if (kind == FMT_REVOCATION)
		return store_revocation_signed(st, key, at, obj, len, err) == 0 ?
		    1 : -1;
	return store_slot_signed(st, key, obj, len, FMT_SNAPSHOT, at->slot,
	    at->session, ret_ep, err);
}

int store_snapshot_look(struct store *st, const char *key,
    enum store_snapshot_state *ret, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct store_epoch *ep;
	struct fmt_key at;
	size_t len;
	int r;

	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_SNAPSHOT)
		return err_set(err, ERR_BUG, "%s: no snapshot's key", key);
	*ret = STORE_SNAP_NONE;
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r > 0)
		return 0;
	if (r == 0)
		r = snapshot_verify(st, key, &at, obj, len, &ep, err);
	if (r < 0 && err->class != ERR_CORRUPT && err->class != ERR_NOTFOUND)
		return err_wrap(err, "%s", key);
	*ret = r < 0 ? STORE_SNAP_UNBELIEVED :
	    r > 0 ? STORE_SNAP_REVOKED : STORE_SNAP_REAL;
	return 0;
}

int store_snapshot_load(struct store *st, const char *key,
    struct store_snapshot **ret_sn, uint8_t *hash, struct err *err)
{
	CLEANUP(snapshot_free_p) struct store_snapshot *sn = NULL;
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_session_name name;
	const struct store_slot *sl;
	struct store_epoch *ep;
	struct fmt_key at;
	size_t len;
	int r;

	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_SNAPSHOT ||
	    fmt_session_parse(at.session, &name) != 0)
		return err_set(err, ERR_BUG, "%s: no snapshot's key", key);
	r = backend_get_all(st->be, key, STORE_LARGE_OBJECT, &obj, &len, err);
	if (r != 0)
		return r;
	r = snapshot_verify(st, key, &at, obj, len, &ep, err);
	if (r != 0)
		return r < 0 ? err_wrap(err, "%s", key) : 1;
	sn = mem_zalloc(sizeof(*sn), "a snapshot", err);
	if (sn == NULL)
		return -1;
	sl = store_slot_find(st, at.slot, err); /* known: it was verified by it */
	if (sl == NULL)
		return -1;
	sn->slot_rights = sl->rights;
	memcpy(sn->slot, at.slot, sizeof(sn->slot));
	sn->epoch = ep->n;
	memcpy(sn->session, at.session, sizeof(at.session));
	hex_encode(sn->id, name.random, sizeof(name.random));
	if (snapshot_open(key, ep, obj, len, sn, err) != 0)
		return err_wrap(err, "%s", key);
	if (memcmp(name.volume, sn->volume_hash, sizeof(name.volume)) != 0)
		return err_set(err, ERR_CORRUPT,
		    "%s: is of another volume than its name says", key);
	if (hash != NULL)
		crypto_sha256(hash, obj, len);
	store_index_stale(st);
	store_seen_note(st, sn->slot, sn->volume_hash, sn->counter,
	    sn->session);
	*ret_sn = STEAL_PTR(sn);
	return 0;
}

const uint8_t *store_order_of(struct store *st, struct store_family *f,
    const char *domain, struct err *err)
{
	struct fmt_domain_keys dk;
	struct store_order *o;

	if (strcmp(domain, st->info.domain) == 0)
		return f->sec->order;
	if (!f->has_family) {
		if (store_need(st, STORE_ADMIN, "to read another domain",
		        err) == 0)
			err_set(err, ERR_BUG, "no family secret");
		return NULL;
	}
	pthread_mutex_lock(&st->keys_lock);
	for (o = st->orders; o != NULL; o = o->next)
		if (o->family == f && strcmp(o->domain, domain) == 0)
			break;
	pthread_mutex_unlock(&st->keys_lock);
	if (o != NULL)
		return o->key;
	if (fmt_domain_derive(&dk, f->sec->family, fmt_str(domain), err) != 0)
		return NULL;
	o = crypto_secret_new(sizeof(*o), err);
	if (o != NULL) {
		o->family = f;
		memcpy(o->key, dk.order, sizeof(o->key));
		o->domain = mem_strdup(domain, err);
	}
	mem_wipe(&dk, sizeof(dk));
	if (o == NULL || o->domain == NULL) {
		crypto_secret_free(o);
		return NULL;
	}
	pthread_mutex_lock(&st->keys_lock);
	o->next = st->orders;
	st->orders = o;
	pthread_mutex_unlock(&st->keys_lock);
	return o->key;
}

void store_orders_free(struct store *st)
{
	while (st->orders != NULL) {
		struct store_order *o = st->orders;

		st->orders = o->next;
		free(o->domain);
		crypto_secret_free(o);
	}
}

const uint8_t *store_snapshot_order(struct store *st,
    const struct store_snapshot *sn, struct err *err)
{
	struct store_family *f = store_family_at(st, sn->epoch);

	if (f == NULL) {
		err_set(err, ERR_AUTH, "the snapshot is from before the "
		    "repository got a new family secret, of which this "
		    "credential has no earlier one");
		return NULL;
	}
	return store_order_of(st, f, sn->domain, err);
}

int store_snapshot_noted(struct store *st, const char *note_key,
    struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct fmt_note note;
	struct fmt_key at;
	size_t len;
	int r = backend_get_all(st->be, note_key, STORE_SMALL_OBJECT, &obj,
	    &len, err);

	if (r > 0)
		return 0;
	if (r == 0 && store_admin_signed(st, note_key, obj, len, FMT_NOTE, err) == 0 &&
	    fmt_note_decode(obj, len, &note, err) == 0 &&
	    fmt_key_parse(note_key, &at) == 0 &&
	    strcmp(at.session, note.session) == 0)
		return 1;
	if (err->class != ERR_CORRUPT && err->class != ERR_NONE)
		return err_wrap(err, "%s", note_key);
	log_msg(LOG_WARN, "passed over: %s: %s", note_key, err->msg);
	return 0;
}

/* --- all of them --------------------------------------------------------------------*/

static int snapkey_cmp(const void *pa, const void *pb, void *ctx)
{
	const struct store_snapkey *a = pa, *b = pb;
	const struct store_keys *keys = ctx;

	if (a->start_ms != b->start_ms)
		return a->start_ms < b->start_ms ? -1 : 1;
	return strcmp(store_keys_at(keys, a->key), store_keys_at(keys, b->key));
}

int store_snapshot_keys(struct store *st, struct store_keys *keys,
    struct store_snapkey **ret, size_t *ret_n, struct err *err)
{
	struct store_keys notes = { 0 };
	int64_t since;
	int r = 0;

	*ret_n = 0;
	*ret = NULL;
	if (!store_early_take(st, false, keys, &since)) {
		r = store_keys_list(st->be, "snapshots/", keys, err);
		if (r == 0)
			store_ahead_listed(st);
	}
	/* What stands is judged by the newest config: whose slot has ended. */
	if (r == 0)
		r = store_config_refresh(st, err);
	/* Notes after snapshots: a note comes before its snapshot goes. */
	if (r == 0)
		r = store_keys_list(st->be, "forgotten/", &notes, err);
	if (r == 0) {
		*ret = mem_array(keys->n + 1, sizeof(**ret), "snapshots", err);
		r = *ret == NULL ? -1 : 0;
	}
	for (size_t i = 0; i < keys->n && r == 0; i++) {
		struct fmt_session_name name;
		char note[FMT_KEY_MAX];
		struct fmt_key at;

		if (fmt_key_parse(store_keys_at(keys, i), &at) != 0 ||
		    at.place != FMT_AT_SNAPSHOT ||
		    fmt_session_parse(at.session, &name) != 0)
			continue;
		fmt_key_note(note, at.slot, at.session);
		if (store_keys_has(&notes, note)) {
			r = store_snapshot_noted(st, note, err);
			if (r != 0) {
				r = r < 0 ? -1 : 0;
				continue;
			}
		}
		(*ret)[(*ret_n)++] = (struct store_snapkey){ name.start_ms, i };
	}
	if (r == 0 && *ret_n > 1)
		qsort_r(*ret, *ret_n, sizeof(**ret), snapkey_cmp, keys);
	store_keys_release(&notes);
	return r;
}

int store_snapshots(struct store *st, bool checkpoints,
    int (*fn)(void *ctx, struct store_snapshot **sn, struct err *err),
    void (*bad)(void *ctx, const char *key, const struct err *why),
    void *ctx, struct err *err)
{
	struct store_snapkey *v;
	struct store_keys keys = { 0 };
	size_t n;
	int r = store_snapshot_keys(st, &keys, &v, &n, err);

	for (size_t i = 0; i < n && r == 0; i++) {
		const char *key = store_keys_at(&keys, v[i].key);
		struct store_snapshot *sn = NULL;

		store_ahead_snapshots(st, &keys, v, i, n);
		r = store_snapshot_load(st, key, &sn, NULL, err);
		if (r == 0)
			sn->stored_ns = keys.v[v[i].key].mtime_ns;
		if (r == 0 && (checkpoints || !sn->checkpoint))
			r = fn(ctx, &sn, err);
		else if (r > 0)
			r = 0;
		else if (r < 0 && (err->class == ERR_CORRUPT ||
		        err->class == ERR_NOTFOUND ||
		        err->class == ERR_UNSUPPORTED)) {
			if (bad != NULL)
				bad(ctx, key, err);
			r = 0;
		}
		store_snapshot_free(sn);
	}
	backend_ahead_forget(st->be, "snapshots/");
	free(v);
	store_keys_release(&keys);
	return r;
}
