/*
 * retention_state.h - what is known of a ring of files. For retention.c (when, and for whom),
 * retention_going.c (how they go) and retention_which.c (which ones go next), each of which calls
 * only those behind it; others hold one and go through retention.h. Keepers' threads, where nothing
 * else is said.
 */
#ifndef DAOREC_RECORD_RETENTION_STATE_H
#define DAOREC_RECORD_RETENTION_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/books.h"
#include "record/kept.h"
#include "record/retention_limits.h"

#define RETENTION_TO_CLOSE 32u /* more are closed at once */

struct retention {
    /* set by the session; borrowed */
    struct retention_limits limits;
    const char *root, *session;
    struct books *books;
    struct room *room;
    struct record_stream *const *streams;
    unsigned count;
    /* kept here */
    int root_fd;
    pthread_mutex_t removing; /* one at a time; taken before the other */
    pthread_mutex_t lock;
    struct kept_list *lists;          /* one a stream */
    struct retention_stream *known;   /* the same; session's thread */
    int to_close[RETENTION_TO_CLOSE]; /* files without a name */
    unsigned to_close_count;
    bool left_said, closed_said, trouble_said;
    int64_t begin_real_ns, begin_boot_ns; /* the same instant, by two clocks */
    int64_t looked_ns;                    /* monotonic: at files that were left */
    int64_t survey_ns;                    /* how long that took */
    uint64_t surveys;                     /* how often */
    struct kept_file held; /* what retention_make_way() gave away last, for its folder */
    unsigned held_stream;
};

#endif
