/*
 * watched.h - what lets others watch a recording, as options ask for it: the board that its session
 * shows itself on, and what looks at it. The main thread.
 */
#ifndef DAOREC_CLI_WATCHED_H
#define DAOREC_CLI_WATCHED_H

#include <stdbool.h>

#include "record/board.h"
#include "serve/http.h"
#include "serve/textfile.h"

struct watched_options {
    const char *metrics;      /* [ADDRESS:]PORT; NULL: no HTTP */
    const char *metrics_file; /* ends in .prom, see config.h; NULL: none */
    bool quiet;
};

struct watched {
    struct board board; /* for session_config */
    struct http *http;
    struct textfile *textfile;
};

/* Is what the options say possible at all? EXIT_DONE, or EXIT_WRONG_USAGE after a line. */
int watched_check(const struct watched_options *options);

/* Before the session. EXIT_DONE; or an exit status after a line, with nothing left to stop. */
int watched_start(struct watched *watched, const struct watched_options *options);

/* After it. */
void watched_stop(struct watched *watched);

#endif
