/*
 * What is in the store, as far as the rules of commit and collection need it.
 *
 * A blob's copies are bits.  With BLOBS 1 every session needs the one blob and
 * a copy is a pack; with BLOBS 2 a pack holds up to two blobs, two bits a pack,
 * and only session 1 needs the second.
 */

#ifndef BLOBS
#define BLOBS 1
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef COLLECTORS
#define COLLECTORS 2
#endif
#ifndef RUNS
#define RUNS 3         /* runs of gc, of all collectors together */
#endif
#ifndef GENERATIONS
#define GENERATIONS 3  /* the highest number that a mark may get */
#endif
#ifndef FORGETS
#define FORGETS 1
#endif

/* Packs. */
#define OLD     0      /* was there before; no session that runs owns it */
#define SECOND  3      /* a second old one, or what session 3 puts */
#define REPACK(c) (4 + (c)) /* what collector c writes */

#if BLOBS == 1
#define PACK(p)     (1 << (p))
#define COPY(p, b)  (1 << (p))
#define COPIES(b)   63
#define NEEDS(k)    0
#else
#define PACK(p)     (3 << (2 * (p)))
#define COPY(p, b)  (1 << (2 * (p) + (b)))
#define COPIES(b)   (1365 << (b))
#define NEEDS(k)    ((k) == 1)
#endif

short exists;          /* copies whose pack is there */
short indexed;         /* copies that a segment of a session names */
short named;           /* copies that some delete verdict names (R7) */

/* snapshots/: one key a session, 0 is an old session's. */
#define FREE     0
#define COMMIT   1
#define REVOKED  2
byte snapshot[4];
bit note[4];           /* forgotten/ */
bit sending[4];        /* its commit may arrive once more (R9) */

/* sessions/: 0 is no object, else 1 + the generation that it declares. */
byte session[4];

/* gc/: a generation's mark with its list and the snapshots considered. */
#define NONE     0
#define VOID     1
#define DELETE   2
byte newest;           /* the highest generation that has a mark */
bit marked[4];
short mark_list[4];
byte considered[4];
byte verdict[4];
short final_list[4];   /* the list that the verdict names */
bit lists[4];          /* the lists are there */
byte runs = RUNS;

#ifdef BREAK_R5_ADOPT_LIST
bit dead_key[4];       /* a list under the generation's number, not its hash */
short dead_list[4];
#endif
#ifdef BREAK_R7_FINAL_LIST_BY_NUMBER
bit final_key[4];
short final_found[4];
#endif

/*
 * index/: by number, whether the manifest is there and what the merged segments
 * that it lists name.  The highest that is there is in force.
 */
#ifdef MERGERS
#define MANIFESTS 5
bit manifest[MANIFESTS];
short merged[MANIFESTS];
byte merges = MERGES;  /* rounds of all mergers together */
#define IN_FORCE \
	(manifest[4] -> 4 : (manifest[3] -> 3 : (manifest[2] -> 2 : \
	    (manifest[1] -> 1 : 0))))
#define MERGED  merged[IN_FORCE]
#else
#define MERGED  0
#endif
#define INDEX   (indexed | MERGED)

#ifdef START_BAD_COPY
#define READABLE (~PACK(SECOND)) /* the second old copy is damaged, or forged */
#else
#define READABLE (~0)
#endif

#define LIVE(k)     (snapshot[k] == COMMIT && !note[k])
#define LIVE_SET    ((LIVE(0) -> 1 : 0) | (LIVE(1) -> 2 : 0) | \
                     (LIVE(2) -> 4 : 0) | (LIVE(3) -> 8 : 0))

/* The property: what is live has a copy that exists, is indexed, and opens. */
#define WHOLE(k)    (!LIVE(k) || \
                     (exists & INDEX & READABLE & COPIES(NEEDS(k))) != 0)
#define NOTHING_LOST assert(WHOLE(0) && WHOLE(1) && WHOLE(2) && WHOLE(3))

/* What a reader of generation g takes for dead: the list its verdict names. */
#ifdef BREAK_R7_FINAL_LIST_BY_NUMBER
#define FINAL_READ(g) final_found[g]
#else
#define FINAL_READ(g) final_list[g]
#endif
#define LISTED(g)   (!lists[g] -> 0 : \
                     (verdict[g] == DELETE -> FINAL_READ(g) : mark_list[g]))

/* Leave one of `set`'s copies, the one in the first pack that has any. */
#define FIRST_PACK(set) \
	if \
	:: (set) & PACK(0) -> set = set & PACK(0) \
	:: (set) & PACK(1) -> set = set & PACK(1) \
	:: (set) & PACK(2) -> set = set & PACK(2) \
	:: (set) & PACK(3) -> set = set & PACK(3) \
	:: (set) & PACK(4) -> set = set & PACK(4) \
	:: (set) & PACK(5) -> set = set & PACK(5) \
	:: (set) == 0 -> skip \
	fi
