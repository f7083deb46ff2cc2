/*
 * Commit and collection, the rules R1 to R12: README.md says what is modelled,
 * which flags there are, and which mutant breaks which rule.
 */
#include "state.pml"

/* One generation by name: mark and verdict, then the list that counts. */
#define READ_GENERATION(n) \
	atomic { copy = verdict[n]; \
	    if \
	    :: marked[n] && copy == NONE -> open = 1; listed = considered[n] \
	    :: else \
	    fi }; \
	atomic { if \
	    :: lists[n] && copy == DELETE -> dead = dead | FINAL_READ(n) \
	    :: lists[n] && copy != DELETE -> dead = dead | mark_list[n] \
	    :: !lists[n] -> skip \
	    fi; \
	    copy = 0; \
	    printf("W%d: read generation %d: dead %x\n", first, n, dead) }

#include "writer.pml"
#include "collector.pml"
#include "others.pml"

init {
	atomic {
#if defined(START_EMPTY)
	    skip;
#else
	    exists = (BLOBS == 2 -> 3 : 1); indexed = exists;
#ifndef START_ORPHAN
	    snapshot[0] = COMMIT;
#endif
#endif
#if defined(START_TWO_COPIES) || defined(START_BAD_COPY)
	    exists = exists | PACK(SECOND); indexed = indexed | PACK(SECOND);
#endif
	    run Writer(1);
#if WRITERS > 1
	    run Writer(2);
#endif
#if COLLECTORS > 0
	    run Collector(0);
#endif
#if COLLECTORS > 1
	    run Collector(1);
#endif
#if FORGETS > 0
	    run Forget();
#endif
#if FORGETS > 1
	    run Forget();
#endif
#ifdef WITH_CHECKPOINT
	    run Supersede();
#endif
#ifdef WITH_RESENT_COMMIT
	    run Network(1);
#if WRITERS > 1
	    run Network(2);
#endif
#endif
#ifdef MERGERS
	    run Merge(0);
#if MERGERS > 1
	    run Merge(1);
#endif
#endif
	}
}
