/*
 * The network that brings a commit twice, those who forget, who remove
 * superseded checkpoints, who merge the index.
 */

#ifdef WITH_RESENT_COMMIT
/* R9: an answer was lost, the commit is sent again, and arrives late or never. */
proctype Network(byte k)
{
	sending[k];
	if
	:: atomic { if
	    :: snapshot[k] == FREE -> snapshot[k] = COMMIT;
		printf("N: commit of %d lands again\n", k); NOTHING_LOST
	    :: else -> printf("N: commit of %d, sent again: exists\n", k)
	    fi;
	    sending[k] = 0 }
	:: sending[k] = 0
	fi
}
#endif

/* R10: the note, then the key; 30 days later the key once more, then the note. */
proctype Forget()
{
	byte k;

	atomic { if
	    :: LIVE(0) -> k = 0
	    :: LIVE(1) -> k = 1
	    :: LIVE(2) -> k = 2
	    :: LIVE(3) -> k = 3
	    fi;
#ifdef BREAK_R10_NO_NOTE
	    snapshot[k] = FREE; printf("F: removes snapshot %d\n", k)
#else
	    note[k] = 1; printf("F: note on %d\n", k)
#endif
	};
#ifndef BREAK_R10_NO_NOTE
	atomic { if
	    :: snapshot[k] == COMMIT -> snapshot[k] = FREE
	    :: else
	    fi;
	    printf("F: removes snapshot %d\n", k) };
#ifdef WITH_NOTE_EXPIRY
	/* By then no commit is on its way any more (R9). */
	atomic {
#ifndef BREAK_R9_SENT_AGAIN_AFTER_THE_HOUR
	    (!sending[0] && !sending[1] && !sending[2] && !sending[3]);
#endif
	    printf("F: 30 days later\n") };
#ifndef BREAK_R10_NOTE_GOES_ALONE
	atomic { if
	    :: snapshot[k] == COMMIT -> snapshot[k] = FREE
	    :: else
	    fi;
	    printf("F: removes snapshot %d once more\n", k) };
#endif
	atomic { note[k] = 0; printf("F: the note on %d goes\n", k); NOTHING_LOST }
#endif
#endif
}

#ifdef WITH_CHECKPOINT
/* Removes checkpoint 1 once session 3, its successor, is committed (R10). */
proctype Supersede()
{
	atomic { LIVE(3) && snapshot[1] == COMMIT;
#ifndef BREAK_R10_CHECKPOINT_WITHOUT_NOTE
	    note[1] = 1; printf("S: note on checkpoint 1\n") };
	atomic {
#endif
	    if
	    :: snapshot[1] == COMMIT -> snapshot[1] = FREE
	    :: else
	    fi;
	    printf("S: removes checkpoint 1\n") }
}
#endif

#ifdef MERGERS
/*
 * Merges some segments of sessions that are over under the next manifest, then
 * removes them and the manifests below.  An entry leaves only when a delete
 * verdict names its pack and the pack is gone.  As lower manifests go, a number
 * that is free says nothing: who put it looks whether it is the highest.
 */
#define OVER(k) (snapshot[k] != FREE || note[k])
#define SEGMENTS_OVER \
	(indexed & (PACK(OLD) | PACK(4) | PACK(5) | \
	    (OVER(1) -> PACK(1) : 0) | (OVER(2) -> PACK(2) : 0) | \
	    (OVER(3) -> PACK(3) : 0)))
#define DROP_MANIFEST(i) \
	atomic { if \
	    :: i < n -> manifest[i] = 0; merged[i] = 0 \
	    :: else \
	    fi }
proctype Merge(byte me)
{
	byte n;
	short out, sources, drop;

again:
	atomic { n = 0; out = 0; sources = 0; drop = 0;
	    if
	    :: merges == 0 -> goto end
	    :: merges > 0 -> merges--
	    fi };
	atomic { n = IN_FORCE; out = MERGED;
	    if
	    :: n + 1 >= MANIFESTS -> goto end
	    :: else
	    fi;
	    printf("M%d: read manifest %d: %x\n", me, n, out) };
	atomic { sources = SEGMENTS_OVER;
	    if
	    :: true
	    :: sources = sources & PACK(OLD)
	    :: sources = sources & ~PACK(OLD)
	    fi;
	    printf("M%d: takes segments %x\n", me, sources) };
#ifdef BREAK_MERGE_DROPS_UNREACHED
	atomic { drop = ((LIVE_SET == 0) -> (out | sources) : 0);
	    printf("M%d: read snapshots %x\n", me, LIVE_SET) };
#else
	atomic { drop = (out | sources) & named & ~exists };
#endif
#ifdef BREAK_MERGE_SOURCES_FIRST
	atomic { indexed = indexed & ~sources;
	    printf("M%d: removes segments %x\n", me, sources); NOTHING_LOST };
#endif
	n++;
	atomic { if
	    :: !manifest[n] -> manifest[n] = 1;
		merged[n] = (out | sources) & ~drop;
		printf("M%d: MANIFEST %d: %x\n", me, n, merged[n]); NOTHING_LOST
	    :: else -> printf("M%d: manifest %d exists\n", me, n);
#ifndef BREAK_MERGE_LOSER_GOES_ON
		goto again
#endif
	    fi;
	    out = 0; drop = 0 };
#ifndef BREAK_MERGE_STALE_GOES_ON
	atomic { if
	    :: IN_FORCE != n -> printf("M%d: manifest %d is not the highest\n",
		me, n);
		goto again
	    :: else
	    fi };
#endif
	atomic { indexed = indexed & ~sources; sources = 0;
	    printf("M%d: removes segments\n", me); NOTHING_LOST };
	DROP_MANIFEST(1);
	DROP_MANIFEST(2);
	DROP_MANIFEST(3);
	atomic { printf("M%d: removed manifests below %d\n", me, n);
	    NOTHING_LOST; goto again };
end:
	skip
}
#endif
