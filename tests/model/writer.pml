/*
 * writer.pml - the writers: ours (lib/writer.c and the writing functions of dao.h) and the field's.
 * Part of fifo.pml.
 */

/* The stores of one frame, and which of them each needs before it. */
#define UP  1  /* write = 1 */
#define P0  2  /* payload */
#define P1  4
#define AT  8  /* atime */
#define CN  16 /* cnt0 */
#define DN  32 /* write = 0 */
#define HD  64 /* head */
#define ALL (UP | P0 | P1 | AT | CN | DN | HD)

#ifdef OURS
/* write = 1, release fence, payload and atime, then with release each: cnt0, write = 0, head */
#define NEEDS_UP 0
#ifdef BREAK_RELEASE_FENCE
#define NEEDS_P 0
#else
#define NEEDS_P UP
#endif
#define NEEDS_AT NEEDS_P
#ifdef BREAK_COUNT_RELEASE
#define NEEDS_CN UP
#else
#define NEEDS_CN (UP | P0 | P1 | AT)
#endif
#ifdef BREAK_FLAG_RELEASE
#define NEEDS_DN UP
#else
#define NEEDS_DN (UP | P0 | P1 | AT | CN)
#endif
#ifdef BREAK_HEAD_RELEASE
#define NEEDS_HD UP
#else
#define NEEDS_HD (UP | P0 | P1 | AT | CN | DN)
#endif
#endif

#ifdef FIELD
/* write = 1, payload (memcpy: in any order), write = 0, head, atime, cnt0 */
#define NEEDS_UP 0
#define NEEDS_P  UP
#define NEEDS_DN (UP | P0 | P1)
#define NEEDS_HD (UP | P0 | P1 | DN)
#define NEEDS_AT (UP | P0 | P1 | DN | HD)
#define NEEDS_CN (UP | P0 | P1 | DN | HD | AT)
#endif

#ifdef WEAK
/* the same program; only stores to one address keep their order */
#define NEEDS_UP 0
#define NEEDS_P  0
#define NEEDS_DN UP
#define NEEDS_HD 0
#define NEEDS_AT 0
#define NEEDS_CN 0
#endif

#define CAN(bit, needs) (!(stored & (bit)) && (stored & (needs)) == (needs))
#define STORE(bit)      stored = stored | (bit); begun = (begun < seq -> seq : begun)

/* Does a quiet write lower the flag? Ours, at depth 2 and up, leaves it to the frame. */
#if defined(FIELD) || N == 1 || defined(BREAK_QUIET_FLAG)
#define LOWER_QUIETLY write[s] = 0
#else
#define LOWER_QUIETLY raised = 1
#endif

/* Pixels of no frame in the slot of the next one: a quiet write, or packets of a frame given up. */
inline write_quietly()
{
    s = NEXT(head);
    d_step { write[s] = 1; begun = seq + 1 }
    if
    :: pixel0[s] = JUNK; if :: pixel1[s] = JUNK :: true fi
    :: pixel1[s] = JUNK; if :: pixel0[s] = JUNK :: true fi
    fi;
    LOWER_QUIETLY
}

/* Loads of what the writer alone stores. */
inline choose_frame()
{
    atomic {
        seq++;
        s = NEXT(head);
        k = cnt[head] + 1;
#ifdef JUMPS
        if
        :: true
        :: jat == NEVER -> jat = k - 1; k = k + JUMP
        fi;
#endif
        stored = (raised -> UP : 0);
        raised = 0
    }
}

inline write_frame()
{
    do
    :: CAN(UP, NEEDS_UP) -> d_step { write[s] = 1; STORE(UP) }
    :: CAN(P0, NEEDS_P)  -> d_step { pixel0[s] = k; STORE(P0) }
    :: CAN(P1, NEEDS_P)  -> d_step { pixel1[s] = k; STORE(P1) }
    :: CAN(AT, NEEDS_AT) -> d_step { atime[s] = k; STORE(AT) }
    :: CAN(CN, NEEDS_CN) -> d_step { cnt[s] = k; STORE(CN) }
    :: CAN(DN, NEEDS_DN) -> d_step { write[s] = 0; STORE(DN) }
    :: CAN(HD, NEEDS_HD) -> d_step { head = s; led = seq; STORE(HD) }
#ifdef OURS
    /* write = 1 of the next frame is relaxed and stands behind no fence but this frame's: it may
     * become visible early. (At depth 1 it is this frame's flag, and keeps its place.) */
    :: N > 1 && (stored & UP) && !raised && seq < FRAMES ->
        d_step { write[NEXT(s)] = 1; raised = 1; begun = seq + 1 }
#endif
#if defined(FIELD) && defined(EXTRAS)
    /* between two packets */
    :: (stored == (UP | P0) || stored == (UP | P1)) && write[s] -> write[s] = 0; write[s] = 1
#endif
    :: stored == ALL -> break
    od
}

active proctype writer()
{
    byte seq, s, k, stored;
    bool raised; /* write = 1 of the next frame is stored already */

    do
    :: seq < FRAMES ->
#ifdef EXTRAS
        if
        :: true
        :: write_quietly()
        fi;
#endif
        choose_frame();
        write_frame();
#if defined(EXTRAS) && !defined(JUMPS) && N > 1
        /* daoShmTimestampShm(): what is there, once more. (After a jump it takes the count back:
         * for a reader a restart.) */
        if
        :: true
        :: cnt[s] = cnt[BEFORE(s)] + 1; write[s] = 0
        fi
#endif
    :: else -> break
    od;
#ifdef EXTRAS
    if
    :: true
    :: write_quietly()
    fi;
#endif
    last = cnt[head];
    done = 1
}
