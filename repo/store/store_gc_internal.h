#ifndef REPO_STORE_STORE_GC_INTERNAL_H
#define REPO_STORE_STORE_GC_INTERNAL_H

#include "repo/store/store_gc.h"
#include "repo/store/store_internal.h"

/* What the files of a collection share.  One thread runs a collection. */

#define GC_NONE UINT32_MAX

/* --- what does not fit in memory (store_spill.c) ----------------------------------*/

/*
 * Bytes that are appended, then read from the start: the first `keep` in
 * memory, the rest in an unnamed file.
 */
struct gc_spill {
	const char *dir;     /* NULL: TMPDIR, else /var/tmp, else /tmp */
	int fd;              /* -1: none yet */
	uint64_t len, at;    /* written, read */
	uint64_t on_disk;    /* of len */
	uint8_t *buf;        /* what is not on disk, or was read ahead */
	size_t cap, fill, pos;
};

/* Open an unnamed file.  A descriptor, or -1 with err. */
int store_spill_file(const char *dir, struct err *err);
int store_spill_pread(int fd, void *dst, size_t len, uint64_t off,
    struct err *err);
int store_spill_pwrite(int fd, const void *src, size_t len, uint64_t off,
    struct err *err);

void store_spill_init(struct gc_spill *s, const char *dir);
void store_spill_release(struct gc_spill *s);
int store_spill_add(struct gc_spill *s, const void *p, size_t len,
    struct err *err);
/* Read from the start from now on; may be asked again. */
int store_spill_rewind(struct gc_spill *s, struct err *err);
/* The next len bytes: 0, 1 when there are none left, -1. */
int store_spill_get(struct gc_spill *s, void *dst, size_t len, struct err *err);

/* --- the live set (store_live.c, store_live_sort.c) -------------------------------*/

/*
 * Ids are told apart by their first 16 bytes.  Where two ids had the same, a
 * blob too many would stay; copies of one id are compared in full.
 */
#define GC_SHORT_ID 16

/* Sorts short ids; what does not fit is spilled as sorted runs. */
struct gc_sort;
struct gc_sort *store_sort_new(size_t memory, const char *dir, struct err *err);
void store_sort_free(struct gc_sort *s);
int store_sort_add(struct gc_sort *s, const uint8_t id[GC_SHORT_ID],
    struct err *err);
/* No more is added; read from the first one.  May be asked again. */
int store_sort_rewind(struct gc_sort *s, struct err *err);
/* The next one, ascending, each once: 0, 1 at the end, -1. */
int store_sort_next(struct gc_sort *s, uint8_t ret_id[GC_SHORT_ID],
    struct err *err);

/* memory: bytes, of which a quarter is for pages that were seen. */
struct store_live *store_live_new(size_t memory, const char *dir,
    struct err *err);
void store_live_free(struct store_live *l);
/* The ids told; the memory of what was seen is given back. */
struct gc_sort *store_live_sorted(struct store_live *l);

/* --- packs (store_gc_packs.c) -----------------------------------------------------*/

enum {
	GC_INDEXED = 1,  /* a segment names it, with the size it has */
	GC_WHOLE = 2,    /* the mark's list names it */
	GC_PART = 4,     /* it names some of its ordinals */
	GC_MOVED = 8,    /* what is needed of it stands elsewhere, too */
	GC_TAKE = 16,    /* this generation is about it */
};

/* A pack that is listed. */
struct gc_pack {
	uint8_t name[FMT_PACK_NAME_LEN];
	uint64_t *bits;      /* by ordinal: live; NULL: none */
	uint64_t *dead;      /* by ordinal: named by the mark; with GC_PART */
	uint32_t words, dead_words; /* of 64 */
	uint32_t size;       /* bytes */
	uint32_t all, live_bytes; /* sealed bytes of its indexed blobs, at most
	                             UINT32_MAX: whoever may write may lie */
	uint32_t own;        /* of live ones of which there is no other copy */
	uint32_t n;          /* highest indexed ordinal + 1 */
	uint32_t live;       /* ordinals that are */
	uint8_t flags;
	uint8_t kind;        /* by the index; 0: not indexed */
};

struct gc_packs {
	struct gc_pack *v;   /* by name */
	uint32_t n, cap;
	uint64_t bytes;      /* of all objects */
};

/* List packs/; what was known is forgotten. */
int store_gc_packs_list(struct store *st, struct gc_packs *p, struct err *err);
void store_gc_packs_release(struct gc_packs *p);
/* Its number, or GC_NONE. */
uint32_t store_gc_packs_find(const struct gc_packs *p,
    const uint8_t name[FMT_PACK_NAME_LEN]);
bool store_gc_bit(const uint64_t *bits, uint32_t words, uint32_t i);
int store_gc_bit_set(uint64_t **bits, uint32_t *words, uint32_t i, struct err *err);
/* This blob of the pack is indexed. */
void store_gc_pack_indexed(struct gc_pack *p, uint32_t ordinal,
    uint32_t sealed);
/* This blob of the pack is live. */
int store_gc_pack_live(struct gc_pack *p, uint32_t ordinal, uint32_t sealed,
    struct err *err);
/* Percent of its indexed bytes that are dead. */
unsigned store_gc_pack_waste(const struct gc_pack *p);

/* --- the index in the order of ids (store_gc_scan.c) -------------------------------*/

struct gc_copy { uint32_t pack, ordinal, sealed; };

struct gc_scan;
/*
 * Go through all segments at once within `memory`.  Copies in packs that are
 * not listed, or not with the size that the index says, are left out.  Return
 * 0; 2 when a segment has gone (merged meanwhile: list the index and begin
 * again); -1.
 */
int store_gc_scan_new(struct store *st, struct gc_packs *packs, size_t memory,
    const char *dir, struct gc_scan **ret, struct err *err);
void store_gc_scan_free(struct gc_scan *s);
/*
 * The next id with its copies, each once, borrowed until the next call.
 * Return 0; 1 at the end; 2 as above; -1.
 */
int store_gc_scan_next(struct gc_scan *s, uint8_t ret_id[FMT_ID_LEN],
    const struct gc_copy **ret_v, size_t *ret_n, struct err *err);

/* --- a collection ------------------------------------------------------------------*/

struct gc {
	struct store *st;
	const struct store_gc_options *opt;
	struct store_gc_result *ret;
	size_t memory;
	unsigned max_waste;
	uint64_t list_max;
	bool weak;               /* sessions are not revoked (R12) */
	bool more;               /* another generation has more to do */
	bool full;               /* there was no room to repack */
	unsigned retries;        /* after that */

	uint64_t n;              /* the generation at hand */
	uint8_t mark_hash[32];   /* SHA-256 of its mark */
	struct buf mark;         /* the object */
	struct fmt_list considered; /* of the mark; borrowed from it */
	uint8_t list_hash[32];   /* of the mark's list */
	uint64_t freed;          /* bytes deleted in this run */
	struct buf list;         /* its plain text */
	struct fmt_dead dead;    /* borrowed from list */

	struct gc_packs packs;
	struct store_worker *w;  /* for verifying ids of all domains */
	struct buf sealed, plain;
};

/* Return -1 with class CANCELLED when it is time to stop. */
int store_gc_cancelled(const struct gc *g, struct err *err);
void store_gc_progress(const struct gc *g, const char *stage, uint64_t done,
    uint64_t total);

/*
 * Walk snapshots; with `fresh` only those that the mark does not list.  Those
 * walked are added to considered (may be NULL).  *ret_live is the caller's.
 */
int store_gc_walk(struct gc *g, bool fresh, struct fmt_list_buf *considered,
    struct store_live **ret_live, struct err *err);

/* Read, open and verify that copy: 0, 1 when it is not what it should be, -1. */
int store_gc_verify(struct gc *g, const uint8_t id[FMT_ID_LEN],
    const struct gc_copy *c, struct err *err);
/* A worker for ids of all domains, made once. */
int store_gc_tools(struct gc *g, struct err *err);
void store_gc_tools_release(struct gc *g);

/*
 * R5: find what is dead: bits and GC_TAKE of g->packs.  *ret_any: there is
 * something to do.
 */
int store_gc_find_dead(struct gc *g, struct store_live *live, bool *ret_any,
    struct err *err);
/*
 * R7: reprieve what live needs, by the list in g->dead; bits of its packs say
 * what has to stay.
 */
int store_gc_find_needed(struct gc *g, struct store_live *live, struct err *err);

/* Repack what has to be and may be (GC_MOVED then); R7, R8. */
int store_gc_repack(struct gc *g, struct err *err);

struct store_session;
/*
 * A session without session object, parent and commit: what puts packs and
 * segments alone (store_session_unsaid.c).  Ended by store_session_abort.
 */
struct store_session *store_session_unsaid(struct store *st, const char *name,
    uint32_t pack_size, unsigned buffers, struct err *err);
/* Store all packs that are open and name them by a segment.  0 or -1. */
int store_session_settle(struct store_session *s, struct err *err);

/* --- generations (store_gc_gens.c) ---------------------------------------------------*/

enum gc_state {
	GC_OPEN,     /* a mark and no verdict */
	GC_BLOCKED,  /* a mark, and under the verdict's key what nobody signed */
	GC_UNDONE,   /* a verdict, and lists */
};

struct gc_gens {
	uint64_t undone, open;   /* the lowest of each, or 0 */
	bool blocked;            /* the open one is GC_BLOCKED */
	uint64_t next;           /* for the next mark */
};
/* Read gc/: which generations have to be looked after. */
int store_gc_gens_read(struct store *st, struct gc_gens *ret, struct err *err);
/* Read mark and list of g->n into g.  A list that is missing is CORRUPT. */
int store_gc_load(struct gc *g, struct err *err);
/* Put list and mark of GC_TAKE packs as generation g->n: 0, 1 lost, -1. */
int store_gc_put_mark(struct gc *g, const struct fmt_list_buf *considered,
    struct err *err);
/* Put the verdict: 0, 1 lost, -1. */
int store_gc_put_verdict(struct gc *g, enum fmt_verdict_what what, struct err *err);
/* Carry out the verdict of generation n, remove its lists (R8). */
int store_gc_carry_out(struct gc *g, uint64_t n, struct err *err);

/* Remove the parity of packs that are gone (store_gc_parity.c).  0 or -1. */
int store_gc_parity(struct gc *g, struct err *err);

/* R6: 0 when all are over, 1 when some are not, -1. */
int store_gc_wait(struct gc *g, struct err *err);

#endif
