/*
 * feed.h - the thread that reads ahead: rows of all streams in the order of their times, each with
 * its due time and its count, pixels into the ring.
 *
 *     rows --timeline--> when --merge--> due, count --> ring --> player
 *
 * One clock for all streams: due times count from the first frame of all, in the order in which the
 * frames were. What never is waited for: a pause of all streams together that is longer than
 * pause_ns_max is cut to it (clocks that jumped look like one).
 *
 * Counts are those recorded. Where a source restarted (RESET), or the shape or the keywords
 * changed, the segment is made anew in the middle of the time between (RING_RECREATE). In the next
 * pass of a loop counts go on from the last one. Counts that do not rise without RESET (files of
 * others) are numbered on.
 *
 * What can go wrong: a frame that cannot be read is left out and counted; one whose DSUM does not
 * fit is played and counted. Either is told once a stream.
 */
#ifndef DAOREC_REPLAY_FEED_H
#define DAOREC_REPLAY_FEED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "series/range.h"
#include "series/series.h"
#include "replay/ring.h"
#include "replay/timeline.h"

struct feed_rules {
    double rate_hz;       /* above 0: evenly, each stream by itself, whatever was recorded */
    double speed;         /* recorded intervals are divided by it */
    bool close_gaps;      /* counts are consecutive; a single stream's gaps take no time */
    uint64_t passes;      /* 0: for ever */
    int64_t pause_ns_max; /* recorded time */
};

/* What is told of a stream at the end. Valid once the thread has ended. */
struct feed_tally {
    uint64_t unreadable; /* frames left out */
    uint64_t damaged;    /* played, though DSUM does not fit */
    uint64_t torn;       /* played, flagged TORN */
    uint64_t gaps, lost; /* rows that tell of lost frames, but for the first one; how many */
    uint64_t restarts,
        reshapes;        /* segments made anew; as a restart counts one with other keywords */
    uint64_t renumbered; /* counts that did not rise */
};

struct feed_stream {
    const struct series *series;
    struct series_reader *reader; /* owned */
    uint64_t begin, end;          /* frames to play */
    struct feed_tally tally;
    uint64_t first_cnt0; /* of the first frame; for who creates the segment */
    /* the feed's own: */
    uint64_t next; /* frame that `row` is of; `end`: none left in this pass */
    struct fits_row row;
    struct timeline timeline;
    const struct series_part *part; /* that the segment is made from */
    int64_t when_ns;                /* of the frame, POSIX */
    int64_t key_ns, last_key_ns;    /* by which streams are merged: of the next event, the last */
    bool needs_segment;             /* the next event is that the segment is made anew */
    bool has_last, begins_pass;
    uint64_t cnt0, seed;   /* of the frame, and of the slot before if that is made anew */
    uint64_t last_cnt0;    /* of the frame played last */
    int64_t recorded_cnt0; /* of the row before */
    uint64_t shift;        /* from recorded counts to those played, modulo 2^64 */
    uint64_t ordinal;      /* frames played; the same for all streams where a pass begins */
    bool told_unreadable, told_damaged, told_renumbered;
};

struct feed {
    struct feed_rules rules;
    struct feed_stream *streams; /* borrowed */
    unsigned count;
    struct ring *ring;       /* borrowed */
    const atomic_bool *stop; /* borrowed */
    pthread_t thread;
    /* of the merged streams: */
    uint64_t pass;
    bool has_first;
    int64_t first_ns, last_ns; /* of the very first event and the last frame, in ns of keys */
    int64_t pass_first_ns;     /* of the first one of the pass */
    int64_t pass_shift_ns;     /* from recorded times to keys */
    unsigned pauses_told;
    /* told to others: */
    int64_t cut_ns;       /* pauses left out; valid at the end */
    atomic_bool is_ahead; /* the ring was full once, or all is in it */
    atomic_bool is_over;  /* no item comes any more */
};

/* Prepare a stream to be read as a whole. 0 or negative errno with a text; closing is safe. */
int feed_stream_open(struct feed_stream *stream, const struct series *series, uint64_t ahead_bytes,
                     struct dao_text *text);
void feed_stream_close(struct feed_stream *stream); /* safe on a zeroed one */

/* Only the frames of a range (begin == end: none of the stream's), and look at the first of them:
 * `part` and `first_cnt0` are then valid. first_ns: when the first frame of all streams was. 0 or
 * negative errno with a text. */
int feed_stream_limit(struct feed_stream *stream, const struct range *range, int64_t first_ns,
                      struct dao_text *text);

/* The thread's function; ctx is a feed whose first five members are set, the rest zeroed. */
void *feed_run(void *ctx);

#endif
