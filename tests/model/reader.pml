/*
 * reader.pml - our readers: dao_reader_begin() and _finish(), and daoShmGetNextSegment() followed
 * by daoShmCheckSegmentOverwrite(). lib/reader.c, lib/slots.c, lib/api_read.c. Part of fifo.pml.
 */

/* dao_slots_newest_at(): slot in a, count in b. */
inline find_newest_at(from)
{
    d_step { a = from; b = cnt[a] }
    c = cnt[BEFORE(a)];
#if N == 2
    /* there the slot before is the next one too: stamped by a writer of ours, not published yet */
    if
    :: b < c && write[BEFORE(a)] -> d_step { b = cnt[a]; c = 0 }
    :: else
    fi;
#endif
    d_step {
        if
        :: b < c -> a = BEFORE(a); b = c
#ifndef BREAK_FIRST_FRAME
        /* nothing published: where creation left it, though a first frame may be unstamped */
        :: b == 0 && c == 0 -> a = N - 1
#endif
        :: else
        fi;
        c = 0
    }
}

/* dao_reader_init(): at the newest frame or (backlog) before the oldest provable one. */
inline attach()
{
#ifdef EARLY
    slot = N - 1;
#else
    h = head;
    find_newest_at(h);
    d_step { slot = a; count = b; h = 0; a = 0; b = 0 }
    if
    :: true
    :: count > 0 -> /* dao_slots_oldest_of_run() */
        h = head;
        do
        :: steps < N - 1 ->
            b = cnt[BEFORE(slot)];
            if
            :: BEFORE(BEFORE(slot)) == h || b == 0 || b >= count -> break
            :: else -> d_step { slot = BEFORE(slot); count = b; steps++ }
            fi
        :: else -> break
        od;
        h = 0;
        d_step { slot = BEFORE(slot); count--; b = 0; steps = 0 }
    fi;
#endif
    total = count
}

/* Snapshot and payload of slot a. */
inline copy()
{
    if
    :: t = atime[a]; x0 = pixel0[a]; x1 = pixel1[a]
    :: x0 = pixel0[a]; x1 = pixel1[a]; t = atime[a]
    fi
}

/* What a candidate says about the frames before it must be true when it is said. */
inline judge_candidate()
{
    d_step {
        false_repeat = t_count <= count;
        assert(!false_repeat);
        first = FIRST_AFTER(count);
        if
        :: lapped ->
#if defined(JUMPS) && !CLAIM_JUMP
            false_overwrite = NUMBER(first) + N - 1 > begun;
#elif defined(NEWEST) || N == 1
            false_overwrite = first >= t_count || !IS_OVERWRITTEN(first);
#else
            false_overwrite = first >= t_count || !IS_UNPROVABLE(first, 0);
#endif
            assert(!false_overwrite);
#ifndef NEWEST
            /* Where the head has not moved meanwhile, nothing is given up but the margin. */
            lost_needlessly = led == led_then && !IS_OVERWRITTEN(LAST_BEFORE(t_count)) &&
                              !IS_UNPROVABLE(LAST_BEFORE(t_count), margin);
            assert(!lost_needlessly)
#endif
        :: jumped ->
            false_jump = first != t_count;
            assert(!false_jump)
        :: else ->
            unnoticed_loss = t_count != count + 1;
            assert(!unnoticed_loss)
        fi;
        first = 0; margin = 0; led_then = 0
    }
}

/* The loads of the proof, and what each says. */
#define LOAD_HEAD  h = head
#define LOAD_PRED  b = cnt[BEFORE(a)]
#define LOAD_WRITE w = write[a]
#define LOAD_COUNT c = cnt[a]
#ifndef L1
#define L1 HEAD
#define L2 PRED
#define L3 WRITE
#define L4 COUNT
#endif
#define LOAD(which)  LOAD_(which)
#define LOAD_(which) LOAD_##which

#ifdef BREAK_COUNT
#define IS_ANOTHER false
#else
#define IS_ANOTHER (c != t_count)
#endif
#ifdef BREAK_WRITE
#define IS_OPEN false
#else
#define IS_OPEN w
#endif
#ifdef BREAK_BESIDE
#define IS_BESIDE false
#else
#define IS_BESIDE (a == NEXT(h))
#endif
#if defined(BREAK_PREDECESSOR)
#define IS_UNSTAMPED false
#elif defined(PROOF)
#define IS_UNSTAMPED (a == h && b >= t_count)
#else /* at depth 1 the slot before is the same one */
#define IS_UNSTAMPED (a == h && b > c)
#endif

/* What happens here, for -DWITNESS= */
#define SEES(what)   SEES_(what)
#define SEES_(what)  SEES_##what
#define SEES_LAPPED       (!refused && lapped)
#define SEES_JUMPED       (!refused && jumped)
#define SEES_REFUSED      refused
#define SEES_LAPPED_AGAIN (refused && lapped)

active proctype reader()
{
    byte slot, count;    /* the position: slot and count of the frame last taken */
    byte total;          /* taken and lost, from the frame attached at */
    byte t_count, t;     /* the take: its count and time; the slot is in a */
    byte x0, x1;         /* the copy */
    bool lapped, jumped; /* what the take says */
    bool copied;         /* before the head was loaded */
    bool was_done;       /* this look began after the last store */
    byte h, a, b, c, steps, first, margin, led_then;
    bool w, refused;
    bool torn, false_repeat, false_overwrite, false_jump, false_restart, unnoticed_loss,
        lost_needlessly, false_alarm, stuck, inexact, witness;

    attach();

look: /* examine() */
    skip;
    d_step {
        was_done = done;
        lapped = 0; jumped = 0; copied = 0; t_count = 0; t = 0; x0 = 0; x1 = 0;
        h = 0; b = 0; c = 0; w = 0; margin = 0; led_then = 0;
        a = NEXT(slot)
    }
    t_count = cnt[a];
    if
    :: t_count <= count -> goto nothing_new
    :: t_count == count + 1
    :: else -> /* examine_candidate() */
        c = cnt[slot];
#ifdef BREAK_LAP_DECISION
        goto after_lap;
#endif
        if
        :: c == count -> jumped = 1
        :: else -> goto after_lap
        fi;
        c = 0
    fi;
    /* The head is loaded relaxed: the copy may be done before it. */
    if
    :: true
    :: copy(); copied = 1
    fi;
    h = head;
    if
    :: N > 1 && a == NEXT(h) -> goto beyond_head
    :: else -> goto offer
    fi;

beyond_head: /* examine_beyond_head() */
    skip;
    d_step { copied = 0; t = 0; x0 = 0; x1 = 0; steps = a }
#if N == 2
    b = cnt[h];
#else
    find_newest_at(h);
#endif
    d_step { h = 0; a = steps; steps = 0 }
    if
    :: t_count > b -> goto nothing
    :: else -> b = 0
    fi;
#ifndef BREAK_SECOND_HEAD
    h = head;
    if
    :: a != NEXT(h) -> goto nothing
    :: else -> h = 0
    fi;
#endif
#ifdef NEWEST
    w = write[a];
    if
    :: !w -> goto offer
    :: else -> w = 0
    fi;
#endif

after_lap: /* examine_after_lap() */
    skip;
    d_step { lapped = 1; jumped = 0; t_count = 0; c = 0; h = 0 }
    d_step { h = head; led_then = led }
    find_newest_at(h);
    if
    :: b <= count -> goto nothing
    :: else
    fi;
#ifdef NEWEST
    t_count = b;
#else
    /* dao_slots_oldest_after(). With any margin: the code's is one of these. */
    if
    :: margin = 0
    :: N > 2 -> margin = 1
    :: N > 3 -> margin = 2
    fi;
    steps = (N > 1 -> N - 2 - margin : 0); /* the age */
    do
    :: a = (h + N - steps) % N;
        t_count = cnt[a];
        if
        :: t_count > count && t_count <= b && !(steps == 0 && t_count < b) ->
            w = write[a];
            if
            :: !w -> break
            :: else -> w = 0
            fi
        :: else
        fi;
        if
        :: steps == 0 -> goto nothing
        :: else -> steps--
        fi
    od;
    steps = 0;
#endif

offer:
    skip;
    judge_candidate();
    d_step { h = 0; b = 0 }
#ifdef PLAIN
    /* GetNext moves the tail; the caller copies, and checks. */
    d_step { total = total + (t_count - count); count = t_count; slot = a }
#endif
    if
    :: copied
    :: else -> copy()
    fi;
    copied = 0;

    /* finish(), or Check; here the acquire fence */
#if N == 1 && defined(PROOF)
#ifdef BREAK_ALONE /* one look, and the count first */
    c = cnt[a];
    w = write[a];
#else
    w = write[a];
    c = cnt[a];
    if
    :: !IS_OPEN && !IS_ANOTHER -> /* the second look */
        w = write[a];
        c = cnt[a]
    :: else
    fi;
#endif
#else
    LOAD(L1);
    LOAD(L2);
    LOAD(L3);
    LOAD(L4);
#endif
#ifdef BREAK_ACQUIRE_FENCE
    x1 = pixel1[a];
#endif
    d_step {
#if N == 1 && defined(PROOF)
        refused = IS_OPEN || IS_ANOTHER; /* taken all the same, flagged as torn */
#elif defined(PROOF)
        refused = IS_ANOTHER || IS_OPEN || IS_BESIDE || IS_UNSTAMPED;
#if CLAIM_STUCK
        stuck = refused && was_done;
        assert(!stuck);
#endif
#else
        refused = IS_ANOTHER || IS_OPEN || IS_UNSTAMPED;
#if CLAIM_ALARM
        false_alarm = refused && !IS_OVERWRITTEN(t_count);
        assert(!false_alarm);
#endif
#endif
#if CLAIM_TORN
        torn = !refused && (t != t_count || x0 != t_count || x1 != t_count);
        assert(!torn);
#endif
#ifdef WITNESS
        witness = SEES(WITNESS);
        assert(!witness);
#endif
#ifdef PROOF
        if
        :: !refused || N == 1 -> total = total + (t_count - count); count = t_count; slot = a
        :: else
        fi;
#endif
        refused = 0; h = 0; b = 0; c = 0; w = 0
    }
    goto look;

nothing_new: /* went_back(): there is one run only, so no restart is a true one */
    w = write[slot];
    b = cnt[slot];
    if
    :: b < count -> goto restart
    :: b >= count && N == 1 -> goto nothing
    :: else
    fi;
    h = head;
    c = cnt[a];
    if
    :: c > count || c == 0 -> goto nothing
    :: else
    fi;
    if
    :: b > count ->
        if
        :: w -> goto nothing
        :: else -> goto restart
        fi
    :: b == count && N >= 3 && (h + N - slot) % N >= 2 -> /* is_later() */
        if
        :: x0 = atime[a]; x1 = atime[slot]
        :: x1 = atime[slot]; x0 = atime[a]
        fi;
        if
        :: x0 != 0 && x1 != 0 && x0 < x1 -> goto nothing
        :: else
        fi;
#ifndef BREAK_RESTART
        /* acquire fence; is it still the frame whose time that was? */
        w = write[a];
        c = cnt[a];
        if
        :: w || c > count -> goto nothing
        :: else
        fi;
#endif
        goto restart
    :: else -> goto nothing
    fi;

restart:
    false_restart = 1;
    assert(!false_restart);

nothing:
    if
    :: was_done -> /* all there ever was is accounted for */
        inexact = total != last || count != last;
        assert(!inexact)
    :: else -> goto look
    fi
}
