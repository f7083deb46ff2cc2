/* Repair of the index: packs that no good segment names are named again. */

#include <stdlib.h>
#include <string.h>

#include "repo/base/log.h"
#include "repo/base/mem.h"
#include "repo/store/store_repair_internal.h"

/* Under lock: a pack that is stored already becomes one of the session's. */
static int adopt_locked(struct store_session *s, struct store_pack *p,
    struct err *err)
{
	if (store_pack_remember(s, p, err) != 0)
		return -1;
	for (uint32_t i = 0; i < p->n; i++) {
		if (store_table_room(&s->table, s->packs, err) != 0) {
			s->npacks--; /* the last one; what it has in the table */
			return -1;   /* is not looked at: the session fails */
		}
		store_table_add(&s->table, s->packs, p->index, i);
	}
	s->unnamed_entries += p->n;
	return 0;
}

/* The session's next segment names the pack that l is of. */
static int adopt(struct store_session *s, const struct store_look *l,
    const uint8_t *name, struct err *err)
{
	struct store_pack *p;
	int r;

	if (l->head.sealed_len > FMT_SEALED_KEY_BOX)
		return err_set(err, ERR_CORRUPT, "has a sealed key of %u bytes",
		    l->head.sealed_len);
	p = mem_zalloc(sizeof(*p), "a pack", err);
	if (p == NULL)
		return -1;
	p->ent = mem_array((size_t)l->count + 1, sizeof(*p->ent), "a pack",
	    err);
	if (p->ent == NULL) {
		store_pack_free(p);
		return -1;
	}
	p->s = s;
	p->rec = store_look_record(l, name);
	memcpy(p->sealed_key, l->head.sealed_key, l->head.sealed_len);
	p->rec.sealed_key = p->sealed_key;
	p->kind = (enum store_kind)l->head.blob_kind;
	p->closed = p->arrived = true;
	for (uint32_t i = 0; i < l->count; i++) {
		struct fmt_dir_entry e;

		fmt_dir_entry_get(l->entries + (size_t)i * FMT_DIR_ENTRY_LEN,
		    &e);
		memcpy(p->ent[i].id, e.id, sizeof(e.id));
		p->ent[i].offset = e.offset;
		p->ent[i].sealed = e.sealed_len;
		p->ent[i].plain = e.plain_len;
	}
	p->n = l->count;
	pthread_mutex_lock(&s->lock);
	r = adopt_locked(s, p, err);
	pthread_mutex_unlock(&s->lock);
	if (r != 0)
		store_pack_free(p);
	return r == 0 ? store_segment_flush(s, false, err) : -1;
}

/*
 * Name one pack.  It is opened once more now that the session has begun and
 * gc/ was read: as with any writer, what is named exists after that (R1).
 */
static int name_pack(struct store_repair *r, struct check_pack *p,
    struct buf *dir, struct err *err)
{
	struct err why = ERR_INIT;
	struct store_look l;

	if (r->opt.dry_run) {
		r->ret.indexed++;
		return 0;
	}
	if (store_repair_session(r, err) != 0)
		return -1;
	if (store_dead_has(r->s->dead, p->name, 0))
		return 0; /* a collection has taken it for dead meanwhile */
	if (store_look_open(r->st, p->name, p->size, dir, &l, &why) != 0) {
		if (!store_check_is_damage(&why)) {
			*err = why;
			return -1;
		}
		r->unnamed += why.class != ERR_NOTFOUND;
		return 0;
	}
	if (adopt(r->s, &l, p->name, err) != 0)
		return err_wrap(err, "%s", l.key);
	r->ret.indexed++;
	return 0;
}

/*
 * May its directory be believed?  What a slot that has ended stored is believed
 * where its segments are listed to stand; a pack says nothing of its session.
 * 1, 0 or -1.
 */
static int believed(struct store_repair *r, const struct check_pack *p,
    struct buf *dir, struct err *err)
{
	struct err why = ERR_INIT;
	struct store_look l;

	if (store_look_open(r->st, p->name, p->size, dir, &l, &why) != 0) {
		if (store_check_is_damage(&why))
			return 0;
		*err = why;
		return -1;
	}
	/* All of it was read and each blob proved itself by its id. */
	return !l.slot->ended || (p->flags & CHECK_WHOLE);
}

static bool wants_name(const struct store_repair *r,
    const struct check_pack *p)
{
	return p->size > 0 && (p->flags & CHECK_DIRECTORY) &&
	    !(p->flags & (CHECK_NAMED | CHECK_BROKEN)) &&
	    !store_dead_has(r->c.dead, p->name, 0);
}

int store_repair_index(struct store_repair *r, struct err *err)
{
	struct buf dir = BUF_INIT;
	int x = 0;

	for (uint32_t i = 0; i < r->c.npacks && x == 0; i++) {
		struct check_pack *p = &r->c.packs[i];
		char key[FMT_KEY_MAX];

		if (!wants_name(r, p))
			continue;
		x = store_repair_cancelled(r, err);
		if (x == 0)
			x = believed(r, p, &dir, err);
		if (x == 0) {
			fmt_key_pack(key, p->name);
			log_msg(LOG_WARN, "%s: is of a slot that was removed "
			    "and not verified; with --read-data it is named "
			    "again", key);
			r->unnamed++;
		} else if (x > 0) {
			x = name_pack(r, p, &dir, err);
		}
	}
	buf_release(&dir);
	return x < 0 ? -1 : 0;
}
