/*
 * habit.pml - a reader in the field's habit: trusts the head, and checks once, after the copy,
 * write and count. Part of fifo.pml.
 */

/* That no whole lap falls between the two loads that set its tail is taken for granted. */
#ifdef TAIL_IN_TWO
#define SET_TAIL slot = head; count = cnt[slot]
#else
#define SET_TAIL d_step { slot = head; count = cnt[slot] }
#endif

active proctype reader()
{
    byte slot, count;
    byte x0, x1, h, a, c;
    bool w, was_done;
    bool torn, false_repeat, false_overwrite, behind;

    SET_TAIL;

look:
    skip;
    d_step { was_done = done; x0 = 0; x1 = 0; h = 0; c = 0; w = 0; a = NEXT(slot) }
#if N > 1
    h = head;
    if
    :: h == slot -> goto nothing
    :: else
    fi;
    c = cnt[a];
#else
    c = cnt[a];
    if
    :: c == count -> goto nothing
    :: else
    fi;
#endif
    w = write[a];
    if
    :: w || c != count + 1 -> /* DAO_OVERWRITE: to the newest */
#if CLAIM_HABIT
        d_step {
            false_overwrite = !IS_OVERWRITTEN(count + 1);
            assert(!false_overwrite)
        }
        c = count;
#endif
        SET_TAIL;
#if CLAIM_HABIT
        false_repeat = count <= c;
        assert(!false_repeat);
#endif
        goto look
    :: else -> d_step { slot = a; count = c; w = 0; c = 0; h = 0 }
    fi;
    x0 = pixel0[a];
    x1 = pixel1[a];
#ifdef COUNT_FIRST
    c = cnt[a];
    w = write[a];
#else
    w = write[a];
    c = cnt[a];
#endif
    d_step {
#if CLAIM_TORN
        torn = !w && c == count && (x0 != count || x1 != count);
        assert(!torn);
#endif
#if CLAIM_HABIT
        false_overwrite = (w || c != count) && !IS_OVERWRITTEN(count);
        assert(!false_overwrite);
#endif
        x0 = 0; x1 = 0
    }
    goto look;

nothing:
    if
    :: was_done -> /* whole laps behind it does not notice */
        behind = (last - count) % N != 0;
        assert(!behind)
    :: else -> goto look
    fi
}
