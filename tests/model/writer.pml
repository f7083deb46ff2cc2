/*
 * A writer: declares itself, reads gc/ and the index, stores its blob or finds
 * it present, commits.  It may stop for ever at any step, as every process
 * here: the search visits the states in which the others went on without it.
 *
 * With WITH_OWN_END it may also give up at its commit, and say so at the key of
 * its snapshot (R6).
 *
 * With WITH_CHECKPOINT session 1 ends in a checkpoint and the same writer goes
 * on with session 3, whose parent that checkpoint is (R11).
 */
proctype Writer(byte first)
{
	byte me = first;        /* the session */
	byte parent = 9;        /* 9: none */
	byte declares, listed;  /* listed: snapshots an open mark considered */
	short dead, copy;
	bit open, parent_lives;

begin:
	/* R1: the highest number, the session object, then gc/, then index. */
	atomic { declares = newest;
	    printf("W%d: read generation %d\n", first, declares) };
#ifndef BREAK_R1_SESSION_AFTER_GC
	atomic { session[me] = 1 + declares;
	    printf("W%d: session %d declares %d\n", first, me, declares) };
#endif

#ifdef PARENT_OF
	atomic { if
	    :: first == PARENT_OF && me == first -> parent = PARENT
	    :: else
	    fi };
#endif
#ifdef BREAK_R3_PARENT_BEFORE_GC
	atomic { if
	    :: parent < 4 -> parent_lives = LIVE(parent);
		printf("W%d: parent %d is there: %d\n", first, parent, parent_lives)
	    :: else
	    fi };
#endif
#ifdef BREAK_R1_INDEX_BEFORE_GC
	atomic { copy = INDEX; printf("W%d: read index %x\n", first, copy) };
#endif

#ifdef WITH_SLOW_LISTINGS
	READ_GENERATION(1);
	READ_GENERATION(2);
	READ_GENERATION(3);
#else
	atomic { dead = LISTED(1) | LISTED(2) | LISTED(3);
	    if
	    :: newest > 0 && verdict[newest] == NONE ->
		open = 1; listed = considered[newest]
	    :: else -> open = 0; listed = 0
	    fi;
	    printf("W%d: read gc: dead %x, open %d\n", first, dead, open) };
#endif
#ifdef BREAK_R2_LISTS_NOT_READ
	dead = 0;
#endif
#ifdef BREAK_R1_SESSION_AFTER_GC
	atomic { session[me] = 1 + declares;
	    printf("W%d: session %d declares %d\n", first, me, declares) };
#endif
#ifdef BREAK_R6_DECLARATION_RISES
	if
	:: atomic { session[me] = 1 + newest;
	    printf("W%d: now declares %d\n", first, newest) }
	:: skip
	fi;
#endif

#if defined(PARENT_OF) || defined(WITH_CHECKPOINT)
	/* R3: looked up after gc/ was read. */
#ifndef BREAK_R3_PARENT_BEFORE_GC
	atomic { if
	    :: parent < 4 -> parent_lives = LIVE(parent);
		printf("W%d: parent %d is there: %d\n", first, parent, parent_lives)
	    :: else
	    fi };
#endif
#ifdef BREAK_R3_OPEN_GENERATION_IGNORED
	open = 0;
#endif
#ifdef BREAK_R3_PARENT_NOT_LOOKED_UP
	parent_lives = 1;
#endif
#ifdef BREAK_R11_OWN_CHECKPOINT_TRUSTED
	if
	:: me == 3 -> parent_lives = 1; open = 0
	:: else
	fi;
#endif
	atomic { if
	    :: parent < 4 && parent_lives && NEEDS(parent) == NEEDS(me) &&
	       (!open || (listed & (1 << parent))) ->
		printf("W%d: carries over from %d\n", first, parent);
		goto commit
	    :: else
	    fi };
#endif

	/* R2: a candidate from the index, then one look at its pack. */
	atomic {
#ifndef BREAK_R1_INDEX_BEFORE_GC
	    copy = INDEX;
#endif
	    copy = copy & ~dead & COPIES(NEEDS(me)) & READABLE;
	    printf("W%d: read index: candidates %x\n", first, copy);
	    if
	    :: copy & PACK(0) -> copy = copy & PACK(0)
	    :: copy & PACK(1) -> copy = copy & PACK(1)
	    :: copy & PACK(2) -> copy = copy & PACK(2)
	    :: copy & PACK(3) -> copy = copy & PACK(3)
	    :: copy & PACK(4) -> copy = copy & PACK(4)
	    :: copy & PACK(5) -> copy = copy & PACK(5)
	    :: copy = 0 /* a writer may work with any subset of the index */
	    fi };
#ifdef BREAK_R2_PACK_NOT_LOOKED_AT
	if
	:: copy -> goto commit
	:: else
	fi;
#else
	atomic { if
	    :: copy & exists -> printf("W%d: copy %x is present\n", first, copy);
		copy = 0; goto commit
	    :: else -> copy = 0
	    fi };
#endif
	/* The writing order: pack, segment, snapshot. */
	atomic { exists = exists | COPY(me, NEEDS(me));
	    printf("W%d: put pack %d\n", first, me) };
	atomic { indexed = indexed | COPY(me, NEEDS(me));
	    printf("W%d: put segment %d\n", first, me) };

commit:
#ifdef WITH_OWN_END
	if
	:: atomic { snapshot[me] == FREE -> snapshot[me] = REVOKED;
	    printf("W%d: ends session %d itself\n", first, me); goto end }
	:: skip
	fi;
#endif
#ifdef BREAK_R6_OWN_END_WITHOUT_KEY
	/* Only the session object goes, and a commit that was sent arrives. */
	if
	:: atomic { session[me] = 0;
	    printf("W%d: removes session %d\n", first, me) }
	:: skip
	fi;
#endif
	atomic { dead = 0; copy = 0; open = 0; listed = 0; parent_lives = 0;
	    declares = 0;
	    if
	    :: snapshot[me] == FREE -> snapshot[me] = COMMIT;
		printf("W%d: COMMIT of %d lands\n", first, me); NOTHING_LOST;
#ifdef WITH_RESENT_COMMIT
		sending[me] = 1
#endif
	    :: snapshot[me] == REVOKED ->
		printf("W%d: commit of %d finds a revocation\n", first, me);
#ifdef BREAK_R9_EXISTS_IS_SUCCESS
		printf("W%d: reports success\n", first); assert(false);
#endif
#ifdef BREAK_R12_PUT_REPLACES
		snapshot[me] = COMMIT; NOTHING_LOST;
#endif
		goto end
	    fi };
#ifdef WITH_CHECKPOINT
	if
	:: me == 1 -> atomic { me = 3; parent = 1; goto begin }
	:: else
	fi;
#endif
end:
	skip
}
