/*
 * books.h - a session's ledger while it is kept: which files there are, what the streams say, and
 * session.json. Keepers call books_file_*(), books_write() and books_catch_up(), the session's
 * thread the others.
 *
 * session.json is written whole, and grows with the files: written at every close, it would cost
 * the square of their number. So after each writing the closer rests from it for 20 times as long
 * as it took, 10 s at most; a close meanwhile is booked, and told by the next one, or by what
 * disk.c asks for once a second. A recorder that is killed in between leaves closed files that
 * session.json does not list; they tell of themselves, and `daorec repair` has it from them. What
 * nobody else tells of does not wait: the start, a mark, a change, a file that failed, the end, and
 * what retention is about to remove.
 */
#ifndef DAOREC_RECORD_BOOKS_H
#define DAOREC_RECORD_BOOKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "record/stream.h"
#include "recording/copies.h"
#include "recording/ledger.h"
#include "recording/rewrite.h"

struct books {
    /* facts, set by the session before anything is booked; strings are borrowed */
    const char *session, *uuid, *host, *root;
    int64_t start_ns, end_ns; /* POSIX */
    struct record_stream *const *streams;
    unsigned count;
    struct copies copies; /* files beside the streams; owned */
    /* kept here */
    pthread_mutex_t lock;
    struct ledger_file **files; /* [count], each growing */
    size_t *file_counts;
    struct ledger_removed *removed; /* [count] */
    uint64_t *failed_frames; /* [count]: frames of closed files that never reached the disk */
    struct fits_mark *marks; /* growing */
    size_t mark_count;
    struct ledger_change *changes; /* growing, to LEDGER_CHANGES_MAX; their texts are owned */
    size_t change_count;
    uint64_t changes_left_out;      /* those beyond, and those for which there was no memory */
    size_t *marks_put;              /* [count]: of them, those that closed files tell of */
    struct ledger_awaited *awaited; /* [count], for a view */
    _Atomic uint64_t marks_written; /* of them, those that session.json tells of */
    _Atomic uint64_t changes_written;
    atomic_bool failed; /* a file could not be written as it should */
    /* session.json: one writes at a time, and does not hold up those who book */
    pthread_mutex_t write_lock;
    struct rewrite rewrite;
    bool is_written;                /* it is as it should be since the last try */
    bool trouble_said;              /* that it could not be written */
    _Atomic uint64_t told_lost;     /* frames lost to the disk that it tells of */
    atomic_bool is_owed;            /* files were closed that it does not tell of, or it failed */
    _Atomic int64_t rests_until_ns; /* monotonic: what can wait is not written before */
};

/* For `count` streams. 0 or -ENOMEM. books_fini() is safe on zeroed and half-built books. */
int books_init(struct books *books, struct record_stream *const *streams, unsigned count);
void books_fini(struct books *books);

/* Where session.json is; the folder is borrowed. Before anything is written. */
void books_place(struct books *books, int dir_fd);

void books_file_opened(struct books *books, const struct record_file *f);
/* Books the end of a file and writes session.json, now or soon (see above); result as
 * recording_file_close() gave it. A file that was removed is not listed any more. */
void books_file_closed(struct books *books, const struct record_file *f, int result);

/* A finished file of a stream is about to be removed to keep within a limit; it may not be known
 * any more. The ledger is to be written before it is. */
void books_file_retired(struct books *books, const struct record_stream *stream, const char *name,
                        uint64_t file_seq);

/* What a person noted. Returns the number of marks with it, 0: there are LEDGER_MARKS_MAX already,
 * or no memory. Any thread. */
size_t books_add_mark(struct books *books, int64_t time_ns, const char *text);

/* What a configuration that was read again has changed: "KEY: BEFORE -> NOW". It is counted
 * where it cannot be kept. Any thread. */
void books_add_change(struct books *books, int64_t time_ns, const char *text);

/*
 * Before a file is closed: the marks that no file of its stream tells of yet, but for later ones
 * than the file's end. At most FITS_MARK_CARDS of them are put into `ret`; *ret_more counts the
 * others.
 */
unsigned books_take_marks(struct books *books, const struct record_file *f,
                          struct fits_mark ret[FITS_MARK_CARDS], uint64_t *ret_more);

/* What is known of a stream's file, by its name. */
enum books_file {
    BOOKS_NO_FILE, /* not opened yet, removed, or nothing of it was whole */
    BOOKS_OPEN_FILE,
    BOOKS_CLOSED_FILE,
    BOOKS_FAILED_FILE, /* it could not be closed */
};
enum books_file books_find(struct books *books, unsigned stream, const char *name);

/* The file of a stream that is being written, or NULL: there is none. */
const char *books_current(struct books *books, unsigned stream, char ret[TREE_FILE_BYTES]);

/* Write session.json as things stand, with room kept for the next time; a failure is said once and
 * remembered. Blocks as long as the disk does. Is it written? */
bool books_write(struct books *books);
/* The same for the last time. */
void books_end(struct books *books);

/* Is there anything that session.json does not tell of - closed files, frames lost to the disk -,
 * and is it time to write it again? */
bool books_is_behind(struct books *books);
/* Then write it; also where a mark waits for it. */
void books_catch_up(struct books *books);

/* Everything as it stands, for printing; valid while nothing is booked. Release with
 * free(ledger.streams). 0 or -ENOMEM. */
int books_view(struct books *books, struct ledger *ret);

#endif
