/* Check: every object that is small, then the index, then the packs. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_check_internal.h"

void store_check_tell(struct check *c, const char *key, const uint8_t *id,
    const char *what)
{
	pthread_mutex_lock(&c->lock);
	c->ret->damaged++;
	if (c->report != NULL)
		c->report(c->report_ctx, key, id, what);
	pthread_mutex_unlock(&c->lock);
}

/* Is it suspected because it is listed?  Else a collection may have it. */
static bool is_listed(const struct check *c, const char *key)
{
	struct fmt_key at;

	return fmt_key_parse(key, &at) == 0 &&
	    store_bad_touches(c->bad, at.name);
}

void store_check_suspect(struct check *c, const char *key, const uint8_t *id)
{
	pthread_mutex_lock(&c->lock);
	if (is_listed(c, key))
		c->ret->known++;
	else
		c->ret->collected++;
	if (c->opt->suspect != NULL)
		c->opt->suspect(c->opt->ctx, key, id);
	pthread_mutex_unlock(&c->lock);
}

bool store_check_is_damage(const struct err *why)
{
	return why->class == ERR_CORRUPT || why->class == ERR_NOTFOUND ||
	    why->class == ERR_UNSUPPORTED ||
	    (why->class == ERR_IO && why->errnum == EIO);
}

int store_check_judge(struct check *c, const char *key, const struct err *why)
{
	const char *what = why->msg;
	size_t n = strlen(key);

	if (!store_check_is_damage(why))
		return -1;
	/* Messages often begin with the key, which report is given anyway. */
	if (strncmp(what, key, n) == 0 && strncmp(what + n, ": ", 2) == 0)
		what += n + 2;
	store_check_tell(c, key, NULL, what);
	return 0;
}

int store_check_cancelled(struct check *c, struct err *err)
{
	if (c->opt->cancelled != NULL && c->opt->cancelled(c->opt->ctx))
		return err_set(err, ERR_CANCELLED, "the check was stopped");
	return 0;
}

/* --- small objects -----------------------------------------------------------------*/

/* What a place holds and how that is verified; decoders' results are dropped. */
static int verify_signed(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len, struct err *err)
{
	union {
		struct fmt_config config;
		struct fmt_cert cert;
		struct fmt_note note;
		struct fmt_mark mark;
		struct fmt_verdict verdict;
		struct fmt_bad bad;
		struct fmt_manifest manifest;
		struct fmt_list list;
	} u;
	static const uint8_t kinds[] = {
		[FMT_AT_CONFIG] = FMT_CONFIG, [FMT_AT_CERT] = FMT_CERT,
		[FMT_AT_GRANT] = FMT_GRANT,
		[FMT_AT_MANIFEST] = FMT_MANIFEST, [FMT_AT_NOTE] = FMT_NOTE,
		[FMT_AT_MARK] = FMT_MARK, [FMT_AT_VERDICT] = FMT_VERDICT,
		[FMT_AT_BAD] = FMT_BAD, [FMT_AT_CHECKED] = FMT_CHECKED,
	};

	if (store_admin_signed(st, key, obj, len,
	        (enum fmt_kind)kinds[at->place], err) != 0)
		return -1;
	switch (at->place) {
	case FMT_AT_CONFIG:
		return fmt_config_decode(obj, len, &u.config, err);
	case FMT_AT_CERT:
		return fmt_cert_decode(obj, len, &u.cert, err);
	case FMT_AT_NOTE:
		return fmt_note_decode(obj, len, &u.note, err);
	case FMT_AT_MARK:
		return fmt_mark_decode(obj, len, &u.mark, err);
	case FMT_AT_VERDICT:
		return fmt_verdict_decode(obj, len, &u.verdict, err);
	case FMT_AT_MANIFEST:
		return fmt_manifest_decode(obj, len, &u.manifest, err);
	case FMT_AT_BAD:
		return fmt_bad_decode(obj, len, &u.bad, err);
	case FMT_AT_CHECKED:
		return fmt_checked_decode(obj, len, NULL, &u.list, err);
	default:
		return 0; /* a grant: what is in it is sealed to its slot */
	}
}

static int verify_session(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct store_epoch *ep;
	struct fmt_session f;
	int r = store_slot_signed(st, key, obj, len, FMT_SESSION, at->slot,
	    at->session, &ep, err);

	if (r == 0)
		r = fmt_session_open(obj, len, key, ep->sec->k.session, &plain,
		    &f, err);
	buf_release(&plain);
	return r;
}

/* An end counts by the hash that its name has, when config lists it. */
static int verify_end(const struct fmt_key *at, const void *obj, size_t len,
    struct err *err)
{
	uint8_t hash[32];
	struct fmt_end end;

	crypto_sha256(hash, obj, len);
	if (memcmp(hash, at->hash, sizeof(hash)) != 0)
		return err_set(err, ERR_CORRUPT, "its hash is not its name's");
	if (fmt_end_decode(obj, len, &end, err) != 0)
		return -1;
	return memcmp(end.slot, at->slot, sizeof(end.slot)) == 0 ? 0 :
	    err_set(err, ERR_CORRUPT, "is of another slot");
}

static int verify_dead(struct store *st, const struct fmt_key *at,
    const void *obj, size_t len, struct err *err)
{
	struct buf plain = BUF_INIT;
	struct store_epoch *ep;
	struct fmt_dead dead;
	uint32_t epoch;
	int r = fmt_header_read(obj, len, FMT_DEAD, &epoch, err);

	if (r == 0) {
		ep = store_epoch_find(st, epoch, err);
		r = ep == NULL ? -1 : fmt_dead_open(obj, len, at->n, at->hash,
		    ep->sec->k.dead, &plain, &dead, err);
	}
	buf_release(&plain);
	return r;
}

/* What the object's bytes tell: 0, -1 with why. */
static int verify_bytes(struct store *st, const char *key,
    const struct fmt_key *at, const void *obj, size_t len, struct err *why)
{
	struct store_epoch *ep;
	struct fmt_wrap wrap;
	enum fmt_kind kind;

	switch (at->place) {
	case FMT_AT_SNAPSHOT:
		if (fmt_header_any(obj, len, &kind, NULL, why) != 0)
			return -1;
		if (kind == FMT_REVOCATION)
			return store_revocation_signed(st, key, at, obj, len,
			    why);
		return store_slot_signed(st, key, obj, len, FMT_SNAPSHOT,
		    at->slot, at->session, &ep, why);
	case FMT_AT_END:
		return verify_end(at, obj, len, why);
	case FMT_AT_WRAP:
		return fmt_wrap_decode(obj, len, &wrap, why);
	case FMT_AT_SESSION:
		return verify_session(st, key, at, obj, len, why);
	case FMT_AT_DEAD:
		return verify_dead(st, at, obj, len, why);
	default:
		return verify_signed(st, key, at, obj, len, why);
	}
}

/*
 * It says that it is of a newer format.  If what is signed is right but for
 * that byte, it is a damage: why says so then.
 */
static void newer_or_damaged(struct check *c, const char *key,
    const struct fmt_key *at, struct err *why)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct err none = ERR_INIT;
	size_t len;

	if (backend_get_all(c->st->be, key, STORE_LARGE_OBJECT, &obj, &len,
	        &none) != 0 || len <= FMT_VERSION_AT)
		return;
	obj[FMT_VERSION_AT] = FMT_VERSION;
	if (verify_bytes(c->st, key, at, obj, len, &none) == 0)
		err_set(why, ERR_CORRUPT, "its format version is damaged");
}

/* Look at one object: 0, -1 with why. */
static int verify(struct check *c, const char *key, const struct fmt_key *at,
    struct err *why)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct store_snapshot *sn = NULL;
	size_t len;
	int r;

	if (at->place == FMT_AT_SNAPSHOT) {
		r = store_snapshot_load(c->st, key, &sn, NULL, why);
		store_snapshot_free(sn);
		c->ret->snapshots += r <= 0;
	} else {
		r = backend_get_all(c->st->be, key, STORE_LARGE_OBJECT, &obj,
		    &len, why);
		if (r == 0)
			r = verify_bytes(c->st, key, at, obj, len, why);
	}
	if (r >= 0)
		return 0; /* also when it went while we looked */
	if (why->class == ERR_UNSUPPORTED)
		newer_or_damaged(c, key, at, why);
	return -1;
}

/* Is at a certificate whose end config lists, and nobody has?  Tell its key. */
static bool end_missing(struct check *c, const struct store_keys *keys,
    const struct fmt_key *at, char end[FMT_KEY_MAX], struct err *why)
{
	const uint8_t *hash;

	end[0] = '\0';
	if (at->place != FMT_AT_CERT)
		return false;
	hash = store_config_ended(store_config_now(c->st), at->slot);
	if (hash == NULL)
		return false;
	fmt_key_end(end, at->slot, hash);
	if (store_keys_has(keys, end)) {
		end[0] = '\0';
		return false;
	}
	err_set(why, ERR_CORRUPT, "config names it, but it is missing: what "
	    "stands of that removed credential is not known ('wherry key "
	    "remove' of it makes a new list of what is there now)");
	return true;
}

static int check_prefix(struct check *c, const char *prefix, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_keys_list(c->st->be, prefix, &keys, err);

	for (size_t i = 0; i < keys.n && r == 0; i++) {
		const char *key = store_keys_at(&keys, i);
		struct err why = ERR_INIT;
		char end[FMT_KEY_MAX];
		struct fmt_key at;

		r = store_check_cancelled(c, err);
		if (r != 0)
			break;
		if (fmt_key_parse(key, &at) != 0) {
			log_msg(LOG_WARN, "%s is no object of a repository",
			    key);
			continue;
		}
		if (at.place == FMT_AT_SEGMENT || at.place == FMT_AT_MERGED)
			continue; /* looked at with all their blocks */
		if (verify(c, key, &at, &why) == 0 &&
		    !end_missing(c, &keys, &at, end, &why))
			continue;
		if (at.place == FMT_AT_CERT && end[0] != '\0')
			key = end;
		r = store_check_judge(c, key, &why);
		if (r != 0)
			*err = why;
		else if (c->mending && why.class != ERR_UNSUPPORTED)
			buf_add(&c->small, key, strlen(key) + 1);
	}
	store_keys_release(&keys);
	return r;
}

static int check_objects(struct check *c, struct err *err)
{
	static const char *const prefixes[] = {
		"config/", "keys/", "epochs/", "index/", "snapshots/",
		"forgotten/", "sessions/", "gc/", "bad/", "checked/",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (check_prefix(c, prefixes[i], err) != 0)
			return -1;
	return 0;
}

/* --- packs ---------------------------------------------------------------------------*/

static int pack_listed(void *ctx, const char *key,
    const struct backend_stat *bs, struct err *err)
{
	struct check *c = ctx;
	struct check_pack *p;
	struct fmt_key at;

	if (fmt_key_parse(key, &at) != 0 || at.place != FMT_AT_PACK)
		return 0;
	p = store_check_pack(c, at.name, err);
	if (p == NULL)
		return -1;
	if (bs->size == 0)
		store_check_tell(c, key, NULL, "is empty");
	p->size = bs->size;
	c->ret->packs++;
	if (p->nrefs == 0)
		c->ret->unindexed++;
	return 0;
}

/* Does a believed verdict of that generation say to delete?  1, 0 or -1. */
static int verdict_deletes(struct store *st, const char *key, struct err *err)
{
	CLEANUP_FREE uint8_t *obj = NULL;
	struct err why = ERR_INIT;
	struct fmt_verdict v;
	size_t len;
	int r = backend_get_all(st->be, key, STORE_SMALL_OBJECT, &obj, &len,
	    &why);

	if (r == 0 && store_admin_signed(st, key, obj, len, FMT_VERDICT,
	        &why) == 0 && fmt_verdict_decode(obj, len, &v, &why) == 0)
		return v.what == FMT_DELETE;
	if (r > 0 || store_check_is_damage(&why))
		return 0;
	*err = why;
	return -1;
}

int store_check_deletes(struct check *c, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (!c->deletes)
		r = store_keys_list(c->st->be, "gc/", &keys, err);
	for (size_t i = keys.n; i > 0 && r == 0 && !c->deletes; i--) {
		const char *key = store_keys_at(&keys, i - 1);
		struct fmt_key at;

		if (fmt_key_parse(key, &at) != 0 ||
		    at.place != FMT_AT_VERDICT)
			continue;
		r = verdict_deletes(c->st, key, err);
		if (r > 0) {
			c->deletes = true;
			r = 0;
		}
	}
	pthread_mutex_unlock(&c->lock);
	store_keys_release(&keys);
	return r;
}

/* Give the jobs to the executor and wait for them. */
static int check_packs(struct check *c, struct err *err)
{
	unsigned jobs = c->opt->threads == 0 ? 1 : c->opt->threads;

	/* The index first: a pack that it names was there before. */
	if (backend_list(c->st->be, "packs/", pack_listed, c, err) != 0 ||
	    store_check_parities(c, err) != 0 ||
	    store_checked_read(c, err) != 0 ||
	    store_checked_choose(c, err) != 0)
		return -1;
	c->jobs = jobs;
	for (unsigned i = 0; i < jobs; i++) {
		if (c->opt->executor.submit != NULL)
			c->opt->executor.submit(c->opt->executor.ctx,
			    store_check_packs, c);
		else
			store_check_packs(c);
	}
	pthread_mutex_lock(&c->lock);
	while (c->jobs > 0)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	if (!c->failed)
		return 0;
	*err = c->why;
	return -1;
}

void store_check_release(struct check *c)
{
	store_dead_free(c->dead);
	store_bad_free(c->bad);
	store_keys_release(&c->segments);
	buf_release(&c->found);
	buf_release(&c->small);
	free(c->unreadable);
	free(c->packs);
	free(c->slots);
	free(c->refs);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

void store_check_init(struct check *c)
{
	rand_bytes(c->sum_key, sizeof(c->sum_key));
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
}

int store_check_run(struct check *c, struct err *err)
{
	c->bad = store_bad_read(c->st, err);
	/* Snapshots before the index, as every reader. */
	if (c->bad == NULL || check_objects(c, err) != 0)
		return -1;
	c->dead = store_dead_read(c->st, err);
	if (c->dead == NULL || store_check_index(c, err) != 0)
		return -1;
	if (check_packs(c, err) != 0)
		return -1;
	return buf_check(&c->found, "what is damaged", err) != 0 ||
	    buf_check(&c->small, "what is damaged", err) != 0 ? -1 : 0;
}

int store_check(struct store *st, const struct store_check_options *opt,
    void (*report)(void *ctx, const char *key, const uint8_t *id,
        const char *what),
    void *ctx, struct store_check_result *ret, struct err *err)
{
	struct check c = {
		.st = st, .opt = opt, .report = report, .report_ctx = ctx,
		.ret = ret,
	};
	struct err why = ERR_INIT;
	int r;

	*ret = (struct store_check_result){ 0 };
	store_check_init(&c);
	r = store_check_run(&c, err);
	/* What was found whole before it was stopped is worth knowing, too. */
	if (opt->record && (st->info.rights & STORE_ADMIN) &&
	    store_checked_write(&c, &why) != 0)
		log_msg(LOG_WARN, "when packs were verified cannot be written "
		    "down: %s", why.msg);
	store_check_release(&c);
	return r;
}
