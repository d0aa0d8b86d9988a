/*
 * session_inside.h - what a session is made of; for session.c and its parts, session_run.c and
 * session_end.c, and for asking.c and apply.c, which do what is asked of it while it runs.
 */
#ifndef DAOREC_RECORD_SESSION_INSIDE_H
#define DAOREC_RECORD_SESSION_INSIDE_H

#include "record/board.h"
#include "record/books.h"
#include "record/crew.h"
#include "record/disk.h"
#include "record/hooks.h"
#include "record/keeper.h"
#include "record/live.h"
#include "record/report.h"
#include "record/session.h"
#include "record/tell.h"
#include "record/writer.h"

struct session {
    struct session_config own;   /* as it was given, and changed since */
    struct stream_config *taken; /* own.each: [path_count] */
    struct setting *settings;    /* own.settings */
    const struct session_listener *listener;
    char id[TREE_SESSION_BYTES];
    char uuid[40];
    char host[72];
    int dir_fd;
    struct record_stream **streams;
    unsigned count;
    struct io_engine *engine;
    struct keeper opener, closer;
    struct keeper_events events;
    struct report report;
    struct hooks *hooks; /* NULL: none, or taken */
    struct writer writer;
    struct books books;
    pthread_mutex_t files_lock; /* free_files' producers */
    int over_fd;                /* an event, when the writer has ended, or a lane wants a look */
    bool stopping;
    int64_t begin_ns, end_ns; /* monotonic: of what was recorded */
    struct room room;
    struct disk disk;
    struct retention retention;
    struct crew crew;
    bool writer_started;
    bool workers_said;
    struct board *board, own_board; /* own: where the configuration has none */
    struct live live, service_live;
    int64_t last_line_ns;
    struct teller teller;
    char *summary;
};

#endif
