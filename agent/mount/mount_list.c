#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/mount/mount_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/clock.h"
#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_recent.h"

/* What the number of a node has room for. */
#define SNAPS_MAX ((size_t)1 << 20)
#define NAME_LEN_MAX 200 /* of a volume's, before what tells it from others */

int mount_list_init(struct mount_list *l, struct err *err)
{
	int e = pthread_rwlock_init(&l->lock, NULL);

	if (e == 0)
		e = pthread_mutex_init(&l->look, NULL);
	return e == 0 ? 0 : err_sys(err, e, "the list of snapshots");
}

void mount_list_release(struct mount_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->snap[i]);
	free(l->snap);
	for (size_t i = 0; i < l->nvolumes; i++) {
		free(l->volume[i].name);
		free(l->volume[i].plain);
		free(l->volume[i].v);
	}
	free(l->volume);
	for (size_t i = 0; i < l->ndomains; i++)
		free(l->domain[i]);
	free(l->domain);
	pthread_rwlock_destroy(&l->lock);
	pthread_mutex_destroy(&l->look);
}

/* --- finding ----------------------------------------------------------------*/

bool mount_snap_shown(const struct mount_snap *sn)
{
	return !sn->hidden && !atomic_load(&sn->gone);
}

struct mount_snap *mount_list_latest(const struct mount_volume *v)
{
	struct mount_snap *best = NULL;

	for (size_t i = 0; i < v->n; i++) {
		if (mount_snap_shown(v->v[i]) &&
		    (best == NULL || v->v[i]->start_ns >= best->start_ns))
			best = v->v[i];
	}
	return best;
}

struct mount_snap *mount_list_id(const struct mount_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->snap[i]->id, name) == 0 && mount_snap_shown(l->snap[i]))
			return l->snap[i];
	return NULL;
}

struct mount_snap *mount_list_time(const struct mount_volume *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i]->time, name) == 0 && mount_snap_shown(v->v[i]))
			return v->v[i];
	return NULL;
}

ssize_t mount_list_volume(const struct mount_list *l, const char *name)
{
	for (size_t i = 0; i < l->nvolumes; i++)
		if (l->volume[i].name != NULL && strcmp(l->volume[i].name, name) == 0)
			return (ssize_t)i;
	return -1;
}

/* --- names ------------------------------------------------------------------*/

/*
 * A volume's name as that of a directory: what cannot be in one, or would be
 * hidden, becomes "_".  The names come from the repository: anything may be in
 * them.
 */
static void safe_name(char dst[NAME_LEN_MAX + 1], const char *volume)
{
	size_t n = 0;

	for (; volume[n] != '\0' && n < NAME_LEN_MAX; n++) {
		unsigned char c = (unsigned char)volume[n];

		dst[n] = c == '/' || c < ' ' || c == 0x7f || (c == '.' && n == 0) ? '_' :
		    (char)c;
	}
	if (n == 0)
		dst[n++] = '_';
	dst[n] = '\0';
}

/*
 * Our own slot's volume has the plain name, and so has one whose name no other
 * slot uses.  Else the slot is told, whoever was first: a slot may claim any
 * name and time, and must not pass for another.
 */
static char *volume_name(struct mount *m, const struct mount_volume *v,
    struct err *err)
{
	const struct mount_list *l = &m->list;
	bool own = memcmp(v->slot, store_info(m->st)->slot, sizeof(v->slot)) == 0;
	char slot[2 * STORE_SLOT_LEN + 1], id[9], name[NAME_LEN_MAX + 64];
	size_t alike = 0;

	for (size_t i = 0; i < l->nvolumes; i++)
		alike += strcmp(l->volume[i].plain, v->plain) == 0;
	hex_encode(slot, v->slot, STORE_SLOT_LEN);
	hex_encode(id, v->id, 4);
	snprintf(name, sizeof(name), "%s", v->plain);
	if ((!own && alike > 1) || mount_list_volume(l, name) >= 0)
		snprintf(name, sizeof(name), "%s~%s", v->plain, slot);
	if (mount_list_volume(l, name) >= 0)
		snprintf(name, sizeof(name), "%s~%s~%s", v->plain, slot, id);
	for (unsigned i = 2; mount_list_volume(l, name) >= 0; i++)
		snprintf(name, sizeof(name), "%s~%s~%s~%u", v->plain, slot, id, i);
	return mem_strdup(name, err);
}

/* Name the volumes that came with a look. */
static int name_volumes(struct mount *m, struct err *err)
{
	struct mount_list *l = &m->list;
	int r = 0;

	pthread_rwlock_wrlock(&l->lock);
	for (size_t i = 0; i < l->nvolumes && r == 0; i++) {
		if (l->volume[i].name != NULL)
			continue;
		l->volume[i].name = volume_name(m, &l->volume[i], err);
		r = l->volume[i].name != NULL ? 0 : -1;
	}
	pthread_rwlock_unlock(&l->lock);
	return r;
}

static bool id_taken(const struct mount_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->snap[i]->id, name) == 0)
			return true;
	return false;
}

/* Names that stay for as long as it is mounted. */
static void name_snapshot(struct mount_list *l, const struct mount_volume *v,
    struct mount_snap *s, const char *id)
{
	char slot[2 * STORE_SLOT_LEN + 1], when[32];

	hex_encode(slot, s->slot, STORE_SLOT_LEN);
	snprintf(s->id, sizeof(s->id), "%s", id);
	if (id_taken(l, s->id))
		snprintf(s->id, sizeof(s->id), "%s~%s", id, slot);
	clock_format_utc(when, sizeof(when), s->start_ns);
	snprintf(s->time, sizeof(s->time), "%s", when);
	for (size_t i = 0; i < v->n; i++)
		if (strcmp(v->v[i]->time, s->time) == 0)
			snprintf(s->time, sizeof(s->time), "%s~%s", when, id);
}

/* --- growing ----------------------------------------------------------------*/

static int grow(void *pv, size_t *cap, size_t n, size_t size, struct err *err)
{
	void **v = pv, *more;
	size_t want = *cap ? *cap * 2 : 16;

	if (n < *cap)
		return 0;
	more = reallocarray(*v, want, size);
	if (more == NULL)
		return err_nomem(err, "the list of snapshots");
	*v = more;
	*cap = want;
	return 0;
}

static const char *intern_domain(struct mount_list *l, const char *domain,
    struct err *err)
{
	char **v;

	for (size_t i = 0; i < l->ndomains; i++)
		if (strcmp(l->domain[i], domain) == 0)
			return l->domain[i];
	v = reallocarray(l->domain, l->ndomains + 1, sizeof(*v));
	if (v == NULL) {
		err_nomem(err, "the list of snapshots");
		return NULL;
	}
	l->domain = v;
	v[l->ndomains] = mem_strdup(domain, err);
	return v[l->ndomains] != NULL ? v[l->ndomains++] : NULL;
}

static struct mount_volume *volume_of(struct mount_list *l,
    const struct store_snapshot *sn, struct err *err)
{
	char plain[NAME_LEN_MAX + 1];
	struct mount_volume *v;

	for (size_t i = 0; i < l->nvolumes; i++) {
		v = &l->volume[i];
		if (memcmp(v->slot, sn->slot, sizeof(v->slot)) == 0 &&
		    memcmp(v->id, sn->volume_id, sizeof(v->id)) == 0)
			return v;
	}
	if (grow(&l->volume, &l->volumecap, l->nvolumes, sizeof(*v), err) < 0)
		return NULL;
	v = &l->volume[l->nvolumes];
	safe_name(plain, sn->volume);
	*v = (struct mount_volume){ .plain = mem_strdup(plain, err) };
	if (v->plain == NULL)
		return NULL;
	memcpy(v->slot, sn->slot, sizeof(v->slot));
	memcpy(v->id, sn->volume_id, sizeof(v->id));
	l->nvolumes++;
	return v;
}

static struct mount_snap **bucket_of(struct mount_list *l, const char *session)
{
	uint32_t h = 2166136261u;

	/* Its end is random. */
	for (const char *p = session; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return &l->bucket[h % (sizeof(l->bucket) / sizeof(l->bucket[0]))];
}

static int place(struct mount_list *l, struct mount_snap *s,
    const struct store_snapshot *sn, struct err *err)
{
	struct mount_volume *v;

	if (grow(&l->snap, &l->cap, l->n, sizeof(*l->snap), err) < 0)
		return -1;
	if (!s->hidden) {
		v = volume_of(l, sn, err);
		if (v == NULL || grow(&v->v, &v->cap, v->n, sizeof(*v->v), err) < 0)
			return -1;
		name_snapshot(l, v, s, sn->id);
		s->volume = (uint32_t)(v - l->volume);
		v->v[v->n++] = s;
	}
	s->number = (uint32_t)l->n;
	l->snap[l->n++] = s;
	return 0;
}

static int add(void *ctx, struct store_snapshot **psn, struct err *err)
{
	const struct store_snapshot *sn = *psn;
	const struct store_ref *root;
	struct mount *m = ctx;
	struct mount_list *l = &m->list;
	struct mount_snap *s;
	struct err closed;
	int r;

	if (l->n >= SNAPS_MAX) {
		if (!l->told_full)
			log_msg(LOG_WARN, "more than %zu snapshots: the rest is not "
			    "shown", SNAPS_MAX);
		l->told_full = true;
		return 0;
	}
	s = mem_zalloc(sizeof(*s), "a snapshot", err);
	if (s == NULL)
		return -1;
	memcpy(s->slot, sn->slot, sizeof(s->slot));
	snprintf(s->session, sizeof(s->session), "%s", sn->session);
	s->start_ns = sn->start_ns;
	s->seen = l->looks;
	s->block = sn->content == STORE_BLOCK;
	s->hidden = sn->sealed ||
	    (m->opt.wanted != NULL && !m->opt.wanted(m->opt.ctx, sn));
	s->size = sn->size;
	s->entries = sn->entries;
	root = s->block ? &sn->state : &sn->catalog;
	memcpy(s->root.id, root->id, sizeof(s->root.id));
	s->root.level = root->level;
	s->root.entries = root->entries;
	/* Each has the order of the family secret under which it was made. */
	s->order = store_snapshot_order(m->st, sn, &closed);
	if (s->order == NULL && closed.class != ERR_AUTH) {
		*err = closed;
		free(s);
		return -1;
	}
	s->domain = intern_domain(l, sn->domain, err);
	if (s->domain == NULL) {
		free(s);
		return -1;
	}
	pthread_rwlock_wrlock(&l->lock);
	r = place(l, s, sn, err);
	pthread_rwlock_unlock(&l->lock);
	if (r < 0) {
		free(s);
		return -1;
	}

	struct mount_snap **at = bucket_of(l, s->session);

	s->chain = *at;
	*at = s;
	return 0;
}

/* --- looking ----------------------------------------------------------------*/

static bool known(void *ctx, const uint8_t slot[STORE_SLOT_LEN], const char *session)
{
	struct mount *m = ctx;
	struct mount_snap *s = *bucket_of(&m->list, session);

	while (s != NULL && (strcmp(s->session, session) != 0 ||
	    memcmp(s->slot, slot, sizeof(s->slot)) != 0))
		s = s->chain;
	if (s != NULL)
		s->seen = m->list.looks;
	return s != NULL;
}

static void unreadable(void *ctx, const char *key, const struct err *why)
{
	struct mount *m = ctx;

	m->opt.report(m->opt.ctx, key, why);
}

int mount_list_look(struct mount *m, int64_t age, struct err *err)
{
	struct mount_list *l = &m->list;
	bool first;
	int r = 0;

	pthread_mutex_lock(&l->look);
	first = l->last_ns == 0;
	if (!first && clock_mono_ns() - l->last_ns < age)
		goto out;
	l->looks++;
	/* What cannot be read is told at the first look only. */
	r = store_snapshots_recent(m->st, known, add, first ? unreadable : NULL, m, err);
	if (r == 0)
		r = name_volumes(m, err);
	for (size_t i = 0; r == 0 && i < l->n; i++)
		if (l->snap[i]->seen != l->looks)
			atomic_store(&l->snap[i]->gone, true);
	l->last_ns = clock_mono_ns();
out:
	pthread_mutex_unlock(&l->look);
	return r;
}
