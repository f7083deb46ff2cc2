/* A writer's run: its beginning (R1), its signs of life, its end. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/base/rand.h"
#include "repo/store/store_bad_internal.h"
#include "repo/store/store_parity_internal.h"
#include "repo/store/store_session_internal.h"

#define BUFFERS_MIN 4
#define BUFFERS_DEFAULT 6
#define PACK_STEP ((uint32_t)64 << 10)
#define STORE_START_MAX ((UINT64_C(1) << 48) - 1) /* what a name can hold */
#define PACK_MIN ((uint32_t)256 << 10)

int store_session_fail(struct store_session *s, const struct err *why)
{
	pthread_mutex_lock(&s->lock);
	if (!s->failed) {
		s->failed = true;
		s->why = *why;
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return -1;
}

int store_session_failed(const struct store_session *s, struct err *err)
{
	if (!s->failed)
		return 0;
	*err = s->why;
	return -1;
}

static void session_free(struct store_session *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < s->nbufs && s->bufs != NULL; i++) {
		if (s->bufs[i].mem != NULL)
			mem_pages_free(s->bufs[i].mem, s->buf_len);
		if (s->bufs[i].parity != NULL)
			mem_pages_free(s->bufs[i].parity, s->parity_len);
	}
	free(s->bufs);
	crypto_secret_free(s->keys);
	for (uint32_t i = 0; i < s->npacks; i++)
		store_pack_free(s->packs[i]);
	free(s->packs);
	store_table_release(&s->table);
	store_dead_free(s->dead);
	store_bad_free(s->bad);
	store_snapshot_free(s->parent);
	store_snapshot_free(s->rest);
	buf_release(&s->pack_names);
	free(s->seen);
	free(s->host);
	free(s->volume);
	free(s->domain);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}

/* --- beginning ---------------------------------------------------------------------*/

static int session_memory(struct store_session *s, unsigned buffers,
    struct err *err)
{
	const struct store *st = s->st;

	s->pack_size = st->opt.pack_size != 0 ? st->opt.pack_size :
	    st->info.pack_size;
	s->pack_size = s->pack_size / PACK_STEP * PACK_STEP;
	if (s->pack_size < PACK_MIN)
		return err_set(err, ERR_USAGE, "packs of %u bytes",
		    s->pack_size);
	/* The last pack of a kind is padded to a Padmé size. */
	s->buf_len = (uint32_t)fmt_padme(s->pack_size);
	s->parity_len = store_parity_room(st, s->buf_len);
	s->nbufs = buffers == 0 ? BUFFERS_DEFAULT :
	    buffers < BUFFERS_MIN ? BUFFERS_MIN : buffers;
	s->bufs = mem_array(s->nbufs, sizeof(*s->bufs), "packs", err);
	if (s->bufs == NULL)
		return -1;
	s->keys = crypto_secret_new((size_t)s->nbufs * STORE_KEY_LEN, err);
	if (s->keys == NULL)
		return -1;
	for (unsigned i = 0; i < s->nbufs; i++)
		s->bufs[i].key = s->keys + (size_t)i * STORE_KEY_LEN;
	return store_table_init(&s->table, err);
}

/* What stands for the volume in names, by the keys of the session's domain. */
static int session_volume(struct store_session *s, struct err *err)
{
	struct store_family *f = store_family_at(s->st, s->st->info.epoch);
	uint8_t volume[32], state[32];
	const uint8_t *order;

	if (strcmp(s->domain, s->st->info.domain) == 0) {
		fmt_volume_hash(s->volume_hash, s->st->own->volume,
		    fmt_str(s->volume));
		return 0;
	}
	order = store_order_of(s->st, f, s->domain, err);
	if (order == NULL)
		return -1;
	fmt_order_derive(volume, state, order);
	fmt_volume_hash(s->volume_hash, volume, fmt_str(s->volume));
	mem_wipe(volume, sizeof(volume));
	mem_wipe(state, sizeof(state));
	return 0;
}

/*
 * Nothing comes of this session any more, for that reason: say so in its
 * snapshot's place (R6), or a collector waits until it has been silent for long.
 * It is the last object of the session.  A store that did not answer is not asked
 * again.  Where creating is not atomic, a commit that was sent may be on its way.
 */
static void session_give_up(struct store_session *s, const struct err *because)
{
	struct fmt_revocation rv = { .generation = s->generation };
	struct err err = *because;
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	int r = -1;

	if (!s->declared || because->class == ERR_CONFLICT ||
	    (s->sent && s->st->info.weak_store))
		return;
	fmt_key_snapshot(key, s->st->info.slot, s->name);
	rv.epoch = s->epoch->n;
	rv.time_ns = clock_real_ns();
	if (because->class != ERR_TRANSIENT) {
		r = fmt_revocation_encode(&obj, &rv, &err);
		if (r == 0)
			r = fmt_sign_append(&obj, s->st->info.repository, key,
			    s->st->info.slot, s->st->own->half.sign_seed, &err);
		if (r == 0)
			r = store_object_put(s->st->be, key, obj.p, obj.len, &err);
		buf_release(&obj);
	}
	if (r < 0)
		log_msg(LOG_WARN, "%s stays open, so a collection may wait for it "
		    "('wherry session revoke' ends it): %s", s->object, err.msg);
}

static struct store_session *session_alloc(struct store *st,
    const struct store_session_options *opt, struct err *err)
{
	struct store_session *s = mem_zalloc(sizeof(*s), "a session", err);

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->st = st;
	s->executor = opt->executor;
	s->cancelled = opt->cancelled;
	s->cancelled_ctx = opt->cancelled_ctx;
	s->look = opt->look;
	s->content = opt->content;
	s->next_segment = 1;
	s->last_segment_ns = s->last_alive_ns = clock_mono_ns();
	s->name_ns = opt->name_ns;
	s->host = mem_strdup(opt->host == NULL ? "" : opt->host, err);
	if (s->host != NULL)
		s->volume = mem_strdup(opt->volume, err);
	if (s->volume != NULL)
		s->domain = mem_strdup(opt->domain == NULL ? st->info.domain :
		    opt->domain, err);
	if (s->domain == NULL ||
	    session_memory(s, opt->pack_buffers, err) != 0 ||
	    session_volume(s, err) != 0) {
		session_free(s);
		return NULL;
	}
	return s;
}

/*
 * The time in the name of the chain's last session, or 0 when all are before
 * `now`.  A name alone is nobody's word: only what the slot or an administrator
 * signed is believed.
 */
static int last_start(struct store_session *s, const struct store_keys *keys,
    uint64_t now, uint64_t *ret_ms, struct err *err)
{
	*ret_ms = 0;
	for (size_t i = keys->n; i > 0; i--) {
		const char *key = store_keys_at(keys, i - 1);
		struct store_snapshot *sn = NULL;
		struct fmt_session_name n;
		int r;

		if (fmt_session_parse(strrchr(key, '/') + 1, &n) != 0)
			continue;
		if (n.start_ms < now)
			return 0; /* and so are those before it */
		r = store_snapshot_load(s->st, key, &sn, NULL, err);
		store_snapshot_free(sn);
		if (r >= 0) {
			*ret_ms = n.start_ms;
			return 0;
		}
		if (err->class != ERR_CORRUPT)
			return -1;
	}
	return 0;
}

/*
 * Its name.  Times in the names of a chain go forward even when the clock
 * does not, so that the newest is always found last.
 */
static int session_name(struct store_session *s, const struct store_keys *keys,
    struct err *err)
{
	struct fmt_session_name name;
	uint64_t last;
	int64_t ns;

	s->start_ns = clock_real_ns();
	ns = s->name_ns != 0 ? s->name_ns : s->start_ns;
	name.start_ms = ns < 0 ? 0 : (uint64_t)ns / 1000000;
	if (last_start(s, keys, name.start_ms, &last, err) != 0)
		return -1;
	if (last >= name.start_ms)
		name.start_ms = last < STORE_START_MAX ? last + 1 : last;
	memcpy(name.volume, s->volume_hash, sizeof(name.volume));
	rand_bytes(name.random, sizeof(name.random));
	fmt_session_text(s->name, &name);
	fmt_key_session(s->object, s->st->info.slot, s->name);
	return 0;
}

/* Encode the session object. */
static int session_object(struct store_session *s, uint64_t bytes_read,
    uint64_t entries, struct buf *obj, struct err *err)
{
	struct fmt_session f = {
		.generation = s->generation,
		.start_ns = s->start_ns,
		.updated_ns = clock_real_ns(),
		.bytes_read = bytes_read,
		.entries = entries,
		.host = fmt_str(s->host),
	};

	if (fmt_session_encode(obj, s->object, s->epoch->n,
	        s->epoch->sec->k.session, &f, err) != 0)
		return -1;
	return fmt_sign_append(obj, s->st->info.repository, s->object,
	    s->st->info.slot, s->st->own->half.sign_seed, err);
}

static int session_declare(struct store_session *s, struct err *err)
{
	struct buf obj = BUF_INIT;
	int r = session_object(s, 0, 0, &obj, err);

	if (r == 0)
		r = store_object_put(s->st->be, s->object, obj.p, obj.len, err);
	buf_release(&obj);
	if (r > 0)
		r = err_set(err, ERR_CONFLICT,
		    "another session has its random name");
	s->declared = r == 0;
	return r == 0 ? 0 : err_wrap(err, "%s", s->object);
}

/*
 * Under which epoch is to be written, when this program and credential may?  A
 * store may be open for weeks, so this is asked anew for each session.
 */
static int session_epoch(struct store *st, struct store_epoch **ret_epoch,
    struct err *err)
{
	const struct store_config *cfg;

	if (store_config_refresh(st, err) != 0 || store_config_own(st, err) != 0)
		return -1;
	cfg = store_config_now(st);
	*ret_epoch = store_epoch_known(st, cfg->c.epoch);
	if (*ret_epoch == NULL)
		return err_set(err, ERR_BUG, "no keys of epoch %u",
		    cfg->c.epoch);
	/* What is open here makes ids, cuts and orders by the old secret. */
	if (store_family_at(st, cfg->c.epoch) !=
	    store_family_at(st, st->info.epoch))
		return err_set(err, ERR_CONFLICT, "the repository got a new "
		    "family secret since it was opened (open it again)");
	return fmt_config_usable(&cfg->c, 1, err);
}

/*
 * The name, and its declaration: the highest generation is read before and gc/
 * after it (R1).
 */
static int begin_declare(struct store_session *s, struct err *err)
{
	struct store_keys keys = { 0 };
	int r = store_begin_list(s, false, &keys, err);

	if (r == 0)
		r = store_dead_generation(s->st, &s->generation, err);
	if (r == 0)
		r = session_name(s, &keys, err);
	store_keys_release(&keys);
	if (r == 0 && !s->look)
		r = session_declare(s, err);
	return r;
}

/* What begins once the right to write is sure. */
static struct store_session *begin(struct store *st,
    const struct store_session_options *opt, struct store_epoch *epoch,
    bool mends, struct err *err)
{
	struct store_session *s;

	if (opt->volume == NULL || opt->volume[0] == '\0' ||
	    (opt->content != STORE_TREE && opt->content != STORE_BLOCK)) {
		err_set(err, ERR_USAGE, "a session needs a volume and a kind");
		return NULL;
	}
	s = session_alloc(st, opt, err);
	if (s == NULL)
		return NULL;
	s->epoch = epoch;
	/* R1, in this order and no other. */
	if (begin_declare(s, err) != 0 || store_begin_read(s, opt, mends, err) != 0)
		goto fail;
	return s;
fail:
	session_give_up(s, err);
	session_free(s);
	return NULL;
}

struct store_session *store_session_begin(struct store *st,
    const struct store_session_options *opt, struct err *err)
{
	struct store_epoch *epoch;

	if (store_need(st, STORE_WRITE, "to write", err) != 0)
		return NULL;
	store_begin_ahead(st, opt);
	if (session_epoch(st, &epoch, err) != 0)
		return NULL;
	return begin(st, opt, epoch, false, err);
}

struct store_session *store_session_begin_mend(struct store *st,
    struct err *err)
{
	static const struct store_session_options opt = {
		.volume = "(repair)", .host = "repair", .content = STORE_TREE,
		.parent = "none", .pack_buffers = BUFFERS_MIN,
	};

	struct store_epoch *epoch;

	if (store_need(st, STORE_ADMIN, "to repair", err) != 0)
		return NULL;
	store_begin_ahead(st, &opt);
	if (session_epoch(st, &epoch, err) != 0)
		return NULL;
	return begin(st, &opt, epoch, true, err);
}

const struct store_snapshot *store_session_parent(const struct store_session *s,
    bool *ret_carry)
{
	*ret_carry = s->parent != NULL && s->carry;
	return s->parent;
}

const struct store_snapshot *store_session_rest(const struct store_session *s,
    bool *ret_carry)
{
	*ret_carry = s->rest != NULL && s->rest_carry;
	return s->rest;
}

int store_session_collected(const struct store_session *s, struct err *err)
{
	uint64_t n;

	if (store_dead_generation(s->st, &n, err) != 0)
		return -1;
	return n > s->generation;
}

/* --- under way ----------------------------------------------------------------------*/

/* Has someone taken this session's snapshot key?  0 no, -1 with CONFLICT. */
static int session_revoked(struct store_session *s, struct err *err)
{
	char key[FMT_KEY_MAX];
	struct backend_stat bs;
	int r;

	fmt_key_snapshot(key, s->st->info.slot, s->name);
	r = backend_stat(s->st->be, key, &bs, err);
	if (r == 1)
		return 0;
	if (r == 0)
		err_set(err, ERR_CONFLICT, "%s: this run was silent for too "
		    "long and has been revoked", s->object);
	return -1;
}

int store_session_alive(struct store_session *s, uint64_t bytes_read,
    uint64_t entries, struct err *err)
{
	struct buf obj = BUF_INIT;
	int64_t now = clock_mono_ns();
	bool due;
	int r;

	pthread_mutex_lock(&s->lock);
	due = !s->look && now - s->last_alive_ns >= STORE_ALIVE_NS;
	if (due)
		s->last_alive_ns = now;
	pthread_mutex_unlock(&s->lock);
	if (!due)
		return 0;
	r = session_revoked(s, err);
	if (r == 0)
		r = session_object(s, bytes_read, entries, &obj, err);
	if (r == 0)
		r = backend_put_over(s->st->be, s->object, obj.p, obj.len, err);
	buf_release(&obj);
	if (r == 0)
		r = store_segment_flush(s, false, err);
	return r == 0 ? 0 : store_session_fail(s, err);
}

void store_session_stats(struct store_session *s, struct store_session_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}

/* --- its end --------------------------------------------------------------------------*/

/* Close what is open (when `finish`) and wait for what is under way. */
static void settle(struct store_session *s, bool finish)
{
	pthread_mutex_lock(&s->lock);
	for (int k = STORE_DATA; k <= STORE_STATE && finish; k++) {
		for (int i = 0; i < 2; i++) {
			struct store_pack *p = s->open[k][i];

			if (p != NULL) {
				p->last = true;
				store_pack_close(p);
			}
		}
	}
	store_pack_drain(s);
	while (s->jobs > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

void store_session_abort(struct store_session *s)
{
	struct err err = ERR_INIT;

	if (s == NULL)
		return;
	settle(s, false);
	if (!s->look && store_segment_flush(s, true, &err) != 0)
		log_msg(LOG_WARN, "what was sent stays unnamed: %s", err.msg);
	pthread_mutex_lock(&s->lock);
	store_session_failed(s, &err);
	pthread_mutex_unlock(&s->lock);
	session_give_up(s, &err);
	session_free(s);
}

int store_session_end(struct store_session *s, struct err *err)
{
	int r;

	settle(s, true);
	pthread_mutex_lock(&s->lock);
	r = store_session_failed(s, err);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		r = store_segment_flush(s, true, err);
	session_free(s);
	return r;
}

static struct fmt_ref ref_of(const struct store_ref *r)
{
	struct fmt_ref x = { .level = r->level, .entries = r->entries };

	memcpy(x.id, r->id, sizeof(x.id));
	return x;
}

static void list_strings(struct fmt_list_buf *l, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fmt_list_add_str(l, fmt_str(v[i]));
}

/* "REPOSITORY/SLOT/SESSION" into its parts; "" or NULL: it is no copy. */
static int take_origin(struct fmt_s1 *s1, const char *text, struct err *err)
{
	enum { SLOT = 2 * FMT_REPOSITORY_LEN + 1,
		SESSION = SLOT + 2 * FMT_SLOT_LEN + 1 };
	struct fmt_session_name n;
	char hex[SESSION];

	if (text == NULL || text[0] == '\0')
		return 0;
	if (strlen(text) <= SESSION || text[SLOT - 1] != '/' ||
	    text[SESSION - 1] != '/' ||
	    fmt_session_parse(text + SESSION, &n) != 0)
		return err_set(err, ERR_BUG, "'%s' is no origin", text);
	memcpy(hex, text, sizeof(hex));
	hex[SLOT - 1] = hex[SESSION - 1] = '\0';
	if (hex_decode(s1->origin_repository, FMT_REPOSITORY_LEN, hex) != 0 ||
	    hex_decode(s1->origin_slot, FMT_SLOT_LEN, hex + SLOT) != 0)
		return err_set(err, ERR_BUG, "'%s' is no origin", text);
	s1->copied = true;
	fmt_session_text(s1->origin_session, &n);
	return 0;
}

static struct fmt_s1 make_s1(const struct store_session *s,
    const struct store_commit *c, const struct fmt_list_buf *packs)
{
	struct fmt_s1 s1 = {
		.type = c->checkpoint ? FMT_CHECKPOINT : FMT_COMMIT,
		.flags = c->flags,
		.content = (uint8_t)s->content,
		.domain = fmt_str(s->domain),
		.start_ns = c->start_ns,
		.end_ns = c->end_ns,
		.counter = s->counter,
		.generation = s->generation,
		.state = ref_of(&c->state),
		.size = c->size,
		.entries = c->entries,
		.packs = fmt_list_of(packs),
	};

	memcpy(s1.volume_hash, s->volume_hash, 32);
	memcpy(s1.predecessor_hash, s->predecessor_hash, 32);
	memcpy(s1.predecessor, s->predecessor, sizeof(s1.predecessor));
	if (s->parent != NULL)
		memcpy(s1.parent, s->parent->session, sizeof(s1.parent));
	return s1;
}

/* Encode and sign the snapshot. */
static int make_snapshot(struct store_session *s, const struct store_commit *c,
    const char *key, struct buf *obj, struct err *err)
{
	struct fmt_list_buf packs = FMT_LIST_BUF_INIT;
	struct fmt_list_buf paths = FMT_LIST_BUF_INIT;
	struct fmt_list_buf tags = FMT_LIST_BUF_INIT;
	struct fmt_s2 s2 = {
		.catalog = ref_of(&c->catalog),
		.volume = fmt_str(s->volume),
		.host = fmt_str(s->host),
		.user = fmt_str(c->user),
		.program = fmt_str(c->program),
		.files = c->files,
		.directories = c->dirs,
		.others = c->others,
		.bytes_read = c->bytes_read,
		.bytes_new = c->bytes_new,
		.bytes_stored = s->stats.bytes_packed,
	};
	struct fmt_s1 s1;
	int r;

	list_strings(&paths, c->paths, c->npaths);
	list_strings(&tags, c->tags, c->ntags);
	for (size_t i = 0; c->checkpoint && i < s->pack_names.len; i += 16)
		fmt_list_add_pack(&packs, s->pack_names.p + i);
	s2.paths = fmt_list_of(&paths);
	s2.tags = fmt_list_of(&tags);
	s1 = make_s1(s, c, &packs);
	r = take_origin(&s1, c->origin, err);
	if (r == 0)
		r = buf_check(&packs.b, "a snapshot", err);
	if (r == 0)
		r = buf_check(&paths.b, "a snapshot", err);
	if (r == 0)
		r = buf_check(&tags.b, "a snapshot", err);
	if (r == 0)
		r = fmt_snapshot_encode(obj, key, s->epoch->n,
		    s->epoch->sec->k.snapshot, s->epoch->content_pub, &s1,
		    &s2, err);
	if (r == 0)
		r = fmt_sign_append(obj, s->st->info.repository, key,
		    s->st->info.slot, s->st->own->half.sign_seed, err);
	fmt_list_release(&packs);
	fmt_list_release(&paths);
	fmt_list_release(&tags);
	return r;
}

/*
 * Whoever removes this credential lists what stands after the config has said
 * so.  So what is committed stands when no such config is there now.
 */
static int session_stood(struct store_session *s, struct err *err)
{
	const struct store_slot *sl;

	if (store_config_refresh(s->st, err) != 0)
		return err_wrap(err, "the snapshot is there, but whether this "
		    "credential still counts is not known");
	if (store_config_ended(store_config_now(s->st), s->st->info.slot) ==
	    NULL)
		return 0;
	sl = store_slot_find(s->st, s->st->info.slot, err);
	if (sl != NULL && store_slot_stands(sl, s->name))
		return 0;
	store_config_own(s->st, err);
	return err_wrap(err, "the snapshot may not count");
}

/* The one step that makes all of it exist. */
static int put_snapshot(struct store_session *s, const struct store_commit *c,
    struct err *err)
{
	struct buf obj = BUF_INIT;
	char key[FMT_KEY_MAX];
	int r;

	fmt_key_snapshot(key, s->st->info.slot, s->name);
	r = make_snapshot(s, c, key, &obj, err);
	if (r == 0) {
		s->sent = true;
		r = store_object_put(s->st->be, key, obj.p, obj.len, err);
	}
	buf_release(&obj);
	if (r > 0)
		return err_set(err, ERR_CONFLICT, "%s: this run was silent for "
		    "too long and has been revoked", s->object);
	if (r != 0)
		return err_wrap(err, "%s", key);
	store_seen_note(s->st, s->st->info.slot, s->volume_hash, s->counter,
	    s->name);
	return session_stood(s, err);
}

int store_session_commit(struct store_session *s, const struct store_commit *c,
    char ret_id[17], struct err *err)
{
	struct store_commit as = *c;
	struct err ignored = ERR_INIT;
	bool stopped = false;
	int r;

	settle(s, true);
	pthread_mutex_lock(&s->lock);
	r = s->look ? err_set(err, ERR_BUG, "a session that only looks cannot "
	    "commit") : store_session_failed(s, err);
	if (r == 0)
		r = buf_check(&s->pack_names, "a snapshot", err);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		r = store_segment_flush(s, true, err);
	else
		store_segment_flush(s, true, &ignored); /* as abort does */
	/* The packs may have taken long.  Who asked to stop wants no snapshot. */
	if (r == 0 && !c->checkpoint && s->cancelled != NULL)
		stopped = s->cancelled(s->cancelled_ctx);
	as.checkpoint = c->checkpoint || stopped;
	if (r == 0)
		r = put_snapshot(s, &as, err);
	if (r == 0)
		memcpy(ret_id, strrchr(s->name, '-') + 1, 17);
	else
		session_give_up(s, err);
	session_free(s);
	return r == 0 && stopped ? 1 : r;
}
