/*
 * judge.h - what a reader under test did, judged from outside: by the counts in the segment and by
 * the pixels, never by what the reader's library thinks. For sources that write the ramp (ramp.h)
 * and raise the count by one a frame. One judge is for one thread.
 *
 * A writer begins frame c + N (N: the depth), which overwrites frame c, only after it has stamped
 * frame c + N - 1. So as long as no slot holds a count of c + N - 1 or more, frame c is whole and
 * will be for a while: who calls it overwritten is wrong. That is what "false" means here, and the
 * counts are looked at after the reader has spoken, so that it is given the benefit of the doubt.
 * At depth 1 frame c can be overwritten as soon as it is there, and this rule never says "false".
 * A reader that insists on a proof can have none for the slot after the head, so that for it frame
 * c is lost as soon as the head is at frame c + N - 1, stamped or not.
 */
#ifndef TESTS_JUDGE_H
#define TESTS_JUDGE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/dao.h"
#include "tests/support/ramp.h"

struct judge {
    const IMAGE_METADATA *md; /* of slot 0 */
    uint32_t depth;
    uint8_t atype;
    uint64_t nelement, frame_bytes;
    bool insists;         /* the reader on a proof */
    uint64_t first, last; /* counts: of the tail at the beginning, and of the frame last given */
    void *copy;           /* the reader's copy of a frame, to be judged */
    void *expected;
    /* frames and their counts */
    uint64_t taken;    /* frames given */
    uint64_t repeated; /* with a count not above the one before: zero */
    uint64_t laps;     /* "frames before this one were overwritten" */
    uint64_t lost;     /* counts left out, told or not */
    uint64_t silent;   /* counts left out without a word: zero */
    uint64_t
        false_lapped; /* a lap, although nothing is missing, or what is missing is there: zero */
    /* the copies */
    uint64_t refused;       /* "this frame was overwritten while you copied" */
    uint64_t refused_good;  /* of these, right pixels: the writer came after the copy. A figure */
    uint64_t false_refused; /* of these, the writer had not even come near: zero */
    uint64_t torn_told;     /* "perhaps not whole", wrong pixels or not (depth 1) */
    uint64_t torn_passed;   /* wrong pixels passed as good */
};

static inline void judge_init(struct judge *j, const IMAGE_METADATA *md, uint64_t tail_cnt0,
                              bool insists)
{
    *j = (struct judge){
        .md = md, .depth = md[0].fifo_size, .atype = md[0].atype, .insists = insists};
    j->nelement = md[0].nelement;
    j->frame_bytes = j->nelement * ramp_types[j->atype].bytes;
    j->first = j->last = tail_cnt0;
    j->copy = malloc(j->frame_bytes);
    j->expected = malloc(j->frame_bytes);
    if (!j->copy || !j->expected)
        exit(1);
}

static inline void judge_fini(struct judge *j)
{
    free(j->copy);
    free(j->expected);
}

/* The largest count that any slot holds. */
static inline uint64_t judge_newest(const struct judge *j)
{
    uint64_t newest = 0;

    for (uint32_t i = 0; i < j->depth; i++) {
        uint64_t cnt0 = __atomic_load_n(&j->md[i].cnt0, __ATOMIC_ACQUIRE);

        newest = cnt0 > newest ? cnt0 : newest;
    }
    return newest;
}

/* The count that a field writer is about to stamp on the frame at the head; 0 where it has. */
static inline uint64_t judge_unstamped(const struct judge *j)
{
    uint32_t head = __atomic_load_n(&j->md[0].fifo_last_written, __ATOMIC_ACQUIRE) % j->depth;
    uint64_t at_head = __atomic_load_n(&j->md[head].cnt0, __ATOMIC_ACQUIRE);
    uint32_t slot_before = (head + j->depth - 1) % j->depth;
    uint64_t before = __atomic_load_n(&j->md[slot_before].cnt0, __ATOMIC_ACQUIRE);

    return at_head < before ? before + 1 : 0;
}

/* Could frame cnt0, by now, be lost to this reader? */
static inline bool judge_is_in_danger(const struct judge *j, uint64_t cnt0)
{
    uint64_t unstamped = j->insists ? judge_unstamped(j) : 0, newest = judge_newest(j);

    return (newest > unstamped ? newest : unstamped) >= cnt0 + j->depth - 1;
}

/* A frame was given; `is_lap`: with the word that frames before it were overwritten. */
static inline void judge_frame(struct judge *j, uint64_t cnt0, bool is_lap)
{
    uint64_t expected = j->last + 1;

    j->taken++;
    j->laps += is_lap;
    if (is_lap && (cnt0 <= expected || !judge_is_in_danger(j, expected)))
        j->false_lapped++;
    if (cnt0 <= j->last) {
        j->repeated++;
    } else {
        j->lost += cnt0 - expected;
        j->silent += cnt0 > expected && !is_lap;
    }
    j->last = cnt0;
}

/* A frame was given by a reader that goes to the newest one, and leaves out what it likes. */
static inline void judge_newest_frame(struct judge *j, uint64_t cnt0)
{
    j->taken++;
    if (cnt0 <= j->last)
        j->repeated++;
    else
        j->lost += cnt0 - j->last - 1;
    j->last = cnt0;
}

/* j->copy is the reader's copy of frame cnt0; `is_refused`: the reader says it is no good. */
static inline void judge_copy(struct judge *j, uint64_t cnt0, bool is_refused)
{
    bool is_in_danger = !is_refused || judge_is_in_danger(j, cnt0);
    bool is_good;

    ramp_fill(j->expected, j->atype, cnt0, j->nelement);
    is_good = memcmp(j->copy, j->expected, j->frame_bytes) == 0;
    j->refused += is_refused;
    j->refused_good += is_refused && is_good;
    j->false_refused += !is_in_danger;
    j->torn_passed += !is_refused && !is_good;
}

/* One line of figures, "name value" pairs. */
static inline void judge_print(const struct judge *j, const char *way)
{
    printf("%s taken %" PRIu64 " lost %" PRIu64 " laps %" PRIu64 " refused %" PRIu64
           " refused_good %" PRIu64 " torn_told %" PRIu64 " torn_passed %" PRIu64
           " repeated %" PRIu64 " silent %" PRIu64 " false_lap %" PRIu64 " false_check %" PRIu64
           " last %" PRIu64 "\n",
           way, j->taken, j->lost, j->laps, j->refused, j->refused_good, j->torn_told,
           j->torn_passed, j->repeated, j->silent, j->false_lapped, j->false_refused, j->last);
}

static inline void judge_sleep_us(uint64_t us)
{
    struct timespec rest = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000) * 1000};

    nanosleep(&rest, NULL);
}

#endif
