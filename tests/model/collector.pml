/*
 * A collector: mark (R5), wait (R6), verdict (R7), deletions (R8); again and
 * again while runs are left.
 */

/* One key after the other, in any order: what comes meanwhile may be missed. */
#ifdef WITH_SLOW_LISTINGS
#define SEE(k, cond, set) atomic { left = left & ~(1 << k); \
	if :: cond -> set = set | (1 << k) :: else fi }
#define READ_SNAPSHOTS(set) \
	set = 0; left = 15; \
	do \
	:: left & 1 -> SEE(0, LIVE(0), set) \
	:: left & 2 -> SEE(1, LIVE(1), set) \
	:: left & 4 -> SEE(2, LIVE(2), set) \
	:: left & 8 -> SEE(3, LIVE(3), set) \
	:: left == 0 -> break \
	od; \
	printf("C%d: listed snapshots %x\n", me, set)
#define READ_SESSIONS(set) \
	set = 0; left = 14; \
	do \
	:: left & 2 -> SEE(1, AWAITED(1), set) \
	:: left & 4 -> SEE(2, AWAITED(2), set) \
	:: left & 8 -> SEE(3, AWAITED(3), set) \
	:: left == 0 -> break \
	od; \
	printf("C%d: sessions that did not declare %d: %x\n", me, g, set)
#else
#define READ_SNAPSHOTS(set) \
	atomic { set = LIVE_SET; \
	    printf("C%d: read snapshots %x\n", me, set) }
#define READ_SESSIONS(set) \
	atomic { set = (AWAITED(1) -> 2 : 0) | (AWAITED(2) -> 4 : 0) | \
	        (AWAITED(3) -> 8 : 0); \
	    printf("C%d: sessions that did not declare %d: %x\n", me, g, set) }
#endif
#define AWAITED(k) (session[k] && session[k] != 1 + g)

/* A manifest, then the segments beside it: two moments. */
#ifdef MERGERS
#define READ_INDEX(set) \
	atomic { set = MERGED; \
	    printf("C%d: read manifest %d\n", me, IN_FORCE) }; \
	atomic { set = set | indexed; printf("C%d: read index %x\n", me, set) }
#else
#define READ_INDEX(set) \
	atomic { set = indexed; printf("C%d: read index %x\n", me, set) }
#endif

#define NEEDED(snaps, b) \
	(((snaps & 1) && NEEDS(0) == b) || ((snaps & 2) && NEEDS(1) == b) || \
	 ((snaps & 4) && NEEDS(2) == b) || ((snaps & 8) && NEEDS(3) == b))

/* R7: copies that a delete verdict names do not exist for anyone. */
#ifdef BREAK_R7_NAMED_COPIES_COUNT
#define COUNTS (~0)
#else
#define COUNTS (~named)
#endif
/* R8: what was not opened and verified replaces nothing. */
#ifdef BREAK_R8_UNVERIFIED_COPY
#define VERIFIED (~0)
#else
#define VERIFIED READABLE
#endif
/* R1: an id that is not resolved aborts; it never means dead. */
#ifdef BREAK_R1_UNRESOLVED_IS_DEAD
#define UNRESOLVED skip
#else
#define UNRESOLVED printf("C%d: unresolved, aborts\n", me); goto again
#endif

/* Take one copy of blob b that is in `have` out of `dead`. */
#define KEEP_ONE(b) \
	if \
	:: have & PACK(0) & COPIES(b) -> dead = dead & ~(PACK(0) & COPIES(b)) \
	:: have & PACK(1) & COPIES(b) -> dead = dead & ~(PACK(1) & COPIES(b)) \
	:: have & PACK(2) & COPIES(b) -> dead = dead & ~(PACK(2) & COPIES(b)) \
	:: have & PACK(3) & COPIES(b) -> dead = dead & ~(PACK(3) & COPIES(b)) \
	:: have & PACK(4) & COPIES(b) -> dead = dead & ~(PACK(4) & COPIES(b)) \
	:: have & PACK(5) & COPIES(b) -> dead = dead & ~(PACK(5) & COPIES(b)) \
	:: (have & COPIES(b)) == 0 -> UNRESOLVED \
	fi

proctype Collector(byte me)
{
	byte g;                /* the generation */
	byte snaps, later;     /* considered by the mark; read for the verdict */
	byte open;             /* sessions that are awaited */
	byte left, i;
	short dead, final, index, have;
	bit only_deletes;      /* carries out another's verdict */

again:
	atomic { g = 0; snaps = 0; later = 0; open = 0; left = 0; i = 0;
	    dead = 0; final = 0; index = 0; have = 0; only_deletes = 0;
	    if
	    :: runs == 0 -> goto end
	    :: runs > 0 -> runs--
	    fi;
	    printf("C%d: a new run\n", me) };

look:
	/* R4: one generation at a time. */
	atomic { g = newest; only_deletes = 0;
	    if
	    :: g > 0 && verdict[g] == NONE ->
#ifdef BREAK_R4_NEW_ONE_BESIDE_AN_OPEN_ONE
		if
		:: g < GENERATIONS -> g++; goto mark
		:: else -> goto again
		fi
#else
		dead = mark_list[g]; snaps = considered[g];
		printf("C%d: takes over generation %d\n", me, g);
		goto wait
#endif
	    :: g > 0 && verdict[g] == DELETE && lists[g] ->
#ifdef BREAK_R4_VERDICT_NOT_CARRIED_OUT_FIRST
		if
		:: g < GENERATIONS -> g++; goto mark
		:: else -> goto again
		fi
#else
		final = final_list[g]; only_deletes = 1;
		printf("C%d: carries out generation %d\n", me, g);
		goto delete
#endif
	    :: else -> if
		:: g < GENERATIONS -> g++
		:: else -> goto again
		fi
	    fi };

mark:
	/* R5: snapshots, index, the list, the mark. */
#ifdef BREAK_R6_SESSIONS_BEFORE_MARK
	READ_SESSIONS(open);
#endif
#ifdef BREAK_R1_COLLECTOR_INDEX_FIRST
	READ_INDEX(index);
#endif
	READ_SNAPSHOTS(snaps);
#ifndef BREAK_R1_COLLECTOR_INDEX_FIRST
	READ_INDEX(index);
#endif
	atomic { have = index & exists & COUNTS & VERIFIED; dead = exists;
	    printf("C%d: listed packs %x\n", me, exists);
	    i = 0;
	    do
	    :: i < BLOBS && NEEDED(snaps, i) -> KEEP_ONE(i); i++
	    :: i < BLOBS && !NEEDED(snaps, i) -> i++
	    :: i >= BLOBS -> break
	    od;
	    i = 0; index = 0; have = 0 };
#ifdef BREAK_R5_ADOPT_LIST
	atomic { if
	    :: dead_key[g] -> dead = dead_list[g];
		printf("C%d: list of %d exists, takes it\n", me, g)
	    :: else -> dead_key[g] = 1; dead_list[g] = dead;
		printf("C%d: put list of %d: %x\n", me, g, dead)
	    fi };
#endif
	atomic { if
	    :: marked[g] -> printf("C%d: mark %d exists, stops\n", me, g);
		goto again
	    :: else -> marked[g] = 1; mark_list[g] = dead; considered[g] = snaps;
		lists[g] = 1; verdict[g] = NONE; final_list[g] = 0;
		if
		:: newest < g -> newest = g
		:: else
		fi;
		printf("C%d: MARK %d dead %x snapshots %x\n", me, g, dead, snaps)
	    fi };

wait:
	/* R6: each session that did not declare g is over, or is revoked. */
#ifndef BREAK_R6_NO_WAIT
#ifndef BREAK_R6_SESSIONS_BEFORE_MARK
	READ_SESSIONS(open);
#endif
	do
	:: open == 0 -> break
	:: atomic { open != 0 ->
		if
		:: open & 2 -> i = 1
		:: !(open & 2) && (open & 4) -> i = 2
		:: !(open & 6) -> i = 3
		fi;
		if
		:: snapshot[i] != FREE || note[i] -> open = open & ~(1 << i)
		:: else -> if
		    :: printf("C%d: revokes session %d\n", me, i);
#ifndef BREAK_R6_REVOKED_ELSEWHERE
			snapshot[i] = REVOKED;
#endif
			open = open & ~(1 << i)
		    :: printf("C%d: session %d is open, ends\n", me, i); goto again
		    :: printf("C%d: abandons %d\n", me, g);
			if
			:: verdict[g] == NONE -> verdict[g] = VOID
			:: else
			fi;
			goto again
		    fi
		fi;
		i = 0 }
	od;
#endif

	/* R7: snapshots that the mark does not list, then index and packs. */
#ifdef BREAK_R7_SNAPSHOTS_NOT_READ
	later = 0;
	READ_INDEX(index);
#elif defined(BREAK_R7_INDEX_BEFORE_SNAPSHOTS)
	READ_INDEX(index);
	READ_SNAPSHOTS(later);
#else
	READ_SNAPSHOTS(later);
	READ_INDEX(index);
#endif
#ifdef BREAK_R5_DEAD_SET_GROWS
	atomic { dead = exists & ~(index & COPIES(0));
	    if
	    :: later -> dead = dead & ~index
	    :: else -> dead = exists
	    fi;
	    printf("C%d: computes the list anew: %x\n", me, dead) };
#endif
	atomic { later = later & ~snaps;
	    have = index & exists & COUNTS & VERIFIED;
	    i = 0;
	    do
	    :: i < BLOBS && NEEDED(later, i) && (have & ~dead & COPIES(i)) == 0 ->
		KEEP_ONE(i); i++
	    :: i < BLOBS &&
	       !(NEEDED(later, i) && (have & ~dead & COPIES(i)) == 0) -> i++
	    :: i >= BLOBS -> break
	    od;
	    i = 0; index = 0; have = 0; later = 0; final = dead };
#if BLOBS == 2
	/* The old pack is partly dead: leave it, or write anew what lives in it. */
	if
	:: (dead & PACK(OLD)) && (PACK(OLD) & exists & ~dead) -> if
	    :: final = dead & ~PACK(OLD)
	    :: have = PACK(OLD) & exists & ~dead;
#ifdef BREAK_R7_REPACK_ONLY_WHAT_IS_NEEDED
		atomic { have = have &
		    ((NEEDED(LIVE_SET, 0) -> COPIES(0) : 0) |
		     (NEEDED(LIVE_SET, 1) -> COPIES(1) : 0)) };
#endif
		final = dead | PACK(OLD);
#ifndef BREAK_R7_REPACK_AFTER_VERDICT
		atomic { exists = exists | (have << (2 * REPACK(me)));
		    printf("C%d: put repacked %x\n", me, have) };
		atomic { indexed = indexed | (have << (2 * REPACK(me)));
		    have = 0; printf("C%d: put its segment\n", me) };
#endif
	    fi
	:: else
	fi;
#endif
#ifdef BREAK_R7_FINAL_LIST_BY_NUMBER
	atomic { if
	    :: final_key[g] -> printf("C%d: final list of %d exists\n", me, g)
	    :: else -> final_key[g] = 1; final_found[g] = final;
		printf("C%d: put final list of %d: %x\n", me, g, final)
	    fi };
#endif
	/* One verdict wins, and who loses stops. */
	atomic {
#ifdef BREAK_R7_VERDICT_REPLACES
	    verdict[g] = DELETE; final_list[g] = final; named = named | final;
	    printf("C%d: VERDICT %d delete %x\n", me, g, final)
#else
	    if
	    :: verdict[g] != NONE || !marked[g] ->
		printf("C%d: verdict %d exists\n", me, g);
#ifndef BREAK_R7_LOSER_GOES_ON
		goto again
#endif
	    :: else -> verdict[g] = DELETE; final_list[g] = final;
		named = named | final;
		printf("C%d: VERDICT %d delete %x\n", me, g, final)
	    fi
#endif
	};
#ifdef BREAK_R7_REPACK_AFTER_VERDICT
	if
	:: have -> atomic { exists = exists | (have << (2 * REPACK(me)));
	    indexed = indexed | (have << (2 * REPACK(me))); have = 0 }
	:: else
	fi;
#endif

delete:
	/* R8: the packs, then the lists. */
#ifdef BREAK_R8_LISTS_FIRST
	atomic { lists[g] = 0; printf("C%d: removes the lists of %d\n", me, g) };
#endif
	atomic { exists = exists & ~final;
	    printf("C%d: deletes %x\n", me, final); NOTHING_LOST };
#ifndef BREAK_R8_LISTS_FIRST
	atomic { lists[g] = 0; printf("C%d: removes the lists of %d\n", me, g) };
#endif
#ifdef BREAK_R5_MARKS_REMOVED
	atomic { marked[g] = 0; mark_list[g] = 0; considered[g] = 0;
	    verdict[g] = NONE;
	    if
	    :: newest == g -> newest = g - 1
	    :: else
	    fi;
	    printf("C%d: removes mark and verdict %d\n", me, g) };
#endif
#ifdef BREAK_R6_REVOCATIONS_REMOVED
	atomic { i = 1;
	    do
	    :: i < 3 -> if
		:: snapshot[i] == REVOKED -> snapshot[i] = FREE; session[i] = 0
		:: else
		fi;
		i++
	    :: else -> break
	    od;
	    i = 0; printf("C%d: removes revocations\n", me) };
#endif
#ifdef WITH_SESSIONS_REMOVED
	/* The session objects of what is over. */
	atomic { i = 1;
	    do
	    :: i < 4 -> if
		:: snapshot[i] != FREE || note[i] -> session[i] = 0
		:: else
		fi;
		i++
	    :: else -> break
	    od;
	    i = 0; printf("C%d: removes session objects\n", me) };
#endif
	atomic { if
	    :: only_deletes -> g = 0; final = 0; goto look
	    :: else -> goto again
	    fi };
end:
	skip
}
