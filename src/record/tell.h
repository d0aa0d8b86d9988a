/*
 * tell.h - what happens to the sources of a session, in lines on stderr: each thing is said once,
 * and a source that does the same again and again does not fill the screen. And that the disk is
 * back, with what its absence has cost. Session thread only.
 */
#ifndef DAOREC_RECORD_TELL_H
#define DAOREC_RECORD_TELL_H

#include <stdbool.h>
#include <stdint.h>

#include "record/stream.h"

struct tell_stream {
    int condition; /* last said */
    uint64_t events[ACCOUNT_EVENTS];
    int64_t said_ns[ACCOUNT_EVENTS], gone_ns; /* monotonic, 0: never */
    unsigned lately[ACCOUNT_EVENTS]; /* how often it was said, less one for each AGAIN_NS since */
    uint64_t troubles;               /* of the disk: how many are known */
    bool is_in_trouble;
    uint64_t disk_lost; /* frames, before the trouble */
    uint64_t recorded;
    int64_t frame_ns; /* monotonic: when `recorded` was last seen to change, or what hinders it */
    uint64_t frame_lost; /* to the disk, then */
    int64_t patience_ns; /* silence of this length is said; doubled each time */
    bool is_silent;      /* said */
    bool is_stalled;     /* at the look before: there are frames, and no memory free for them */
    bool is_thinning;    /* said */
    int64_t thinned_ns;  /* monotonic: when that was said last, 0: never */
    uint64_t left_out;   /* frames, when it was said */
};

struct teller {
    struct record_stream *const *streams;
    unsigned count;
    bool quiet;
    bool any_unfit; /* a stream has ended because its new shape cannot be recorded */
    struct tell_stream *told;
};

/* Streams are borrowed; `quiet`: only warnings and errors. 0 or -ENOMEM. */
int teller_init(struct teller *teller, struct record_stream *const *streams, unsigned count,
                bool quiet);
void teller_fini(struct teller *teller); /* safe on a zeroed one */

/* Say what is new. `is_last`: nothing is kept back for being said too often. */
void teller_look(struct teller *teller, int64_t now_ns, bool is_last);

#endif
