/*
 * pulse.h - does a thread still move? For a watchdog.
 *
 * The thread says when it has got on with its work, and when it goes to sleep with nothing to do.
 * Who watches it finds out for how long it has been at work without getting on; a thread at rest is
 * never late. One thread moves a pulse, one watches it. Zeroed: at rest.
 */
#ifndef DAOREC_BASE_PULSE_H
#define DAOREC_BASE_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

struct pulse {
    _Atomic uint64_t beats; /* odd: at work */
    /* the watcher's */
    uint64_t seen;
    int64_t moved_ns;
};

/* At work, and got on with it. Costs a store: only its own thread writes `beats`. */
static inline void pulse_move(struct pulse *pulse)
{
    uint64_t beats = atomic_load_explicit(&pulse->beats, memory_order_relaxed);

    atomic_store_explicit(&pulse->beats, (beats | 1) + 2, memory_order_relaxed);
}

/* At rest: there is nothing that it should get on with. */
static inline void pulse_rest(struct pulse *pulse)
{
    uint64_t beats = atomic_load_explicit(&pulse->beats, memory_order_relaxed);

    atomic_store_explicit(&pulse->beats, (beats | 1) + 1, memory_order_relaxed);
}

/* For how long it has not moved, in ns of the clock of `now_ns`; 0: it did since the look before,
 * or is at rest. */
static inline int64_t pulse_look(struct pulse *pulse, int64_t now_ns)
{
    uint64_t beats = atomic_load_explicit(&pulse->beats, memory_order_relaxed);

    if (beats % 2 == 0 || beats != pulse->seen) {
        pulse->seen = beats;
        pulse->moved_ns = now_ns;
    }
    return now_ns - pulse->moved_ns;
}

#endif
