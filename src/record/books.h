/*
 * books.h - a session's ledger while it is kept: which files there are, what the streams say, and
 * session.json. Keepers call books_file_*(); one lock serialises everything.
 */
#ifndef DAOREC_RECORD_BOOKS_H
#define DAOREC_RECORD_BOOKS_H

#include <pthread.h>
#include <stdbool.h>

#include "record/stream.h"
#include "recording/ledger.h"

struct books {
    /* facts, set by the session before anything is booked; strings are borrowed */
    const char *session, *uuid, *host, *root;
    int dir_fd;
    int64_t start_ns, end_ns; /* POSIX */
    struct record_stream *const *streams;
    unsigned count;
    /* kept here */
    pthread_mutex_t lock;
    struct ledger_file **files; /* [count], each growing */
    size_t *file_counts;
    bool is_written;   /* session.json is as it should be since the last try */
    bool trouble_said; /* that it could not be written */
    bool failed;       /* a file could not be written as it should */
};

/* For `count` streams. 0 or -ENOMEM. books_fini() is safe on zeroed and half-built books. */
int books_init(struct books *books, struct record_stream *const *streams, unsigned count);
void books_fini(struct books *books);

void books_file_opened(struct books *books, const struct record_file *f);
/* Books the end of a file and writes session.json; result as recording_file_close() gave it. A
 * file that was removed is not listed any more. */
void books_file_closed(struct books *books, const struct record_file *f, int result);

/* Write session.json as things stand; a failure is said once and remembered. */
void books_write(struct books *books);

/* Everything as it stands, for printing; valid while nothing is booked. Release with
 * free(ledger.streams). 0 or -ENOMEM. */
int books_view(struct books *books, struct ledger *ret);

#endif
