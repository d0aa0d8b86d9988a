/*
 * asker.h - asks a recorder over its control socket without making anybody wait: one thread asks
 * for the state again and again, another one, while there is something to be done, for that, since
 * a roll may take its time. For top.c; its functions are for the main thread.
 *
 * Nothing here is waited for at the end, when an answer may be seconds away: an asker lives as long
 * as the process.
 */
#ifndef DAOREC_CLI_ASKER_H
#define DAOREC_CLI_ASKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"

#define ASKER_TEXT_BYTES 200u
#define ASKER_WHY_BYTES  400u

/* One thing that is to be done. */
struct errand {
    const char *verb;
    char text[ASKER_TEXT_BYTES];
};

struct asker {
    /* set before anything else; borrowed. NULL: where daorec ctl looks */
    const char *socket;
    int64_t every_ns; /* so often */
    /* kept here */
    pthread_mutex_t lock; /* of the next six */
    pthread_cond_t wake;
    char *answer;                  /* the newest, not taken over yet; NULL: none */
    char silence[ASKER_WHY_BYTES]; /* why there is none; empty: there is */
    char message[ASKER_WHY_BYTES];
    bool is_busy; /* with the errand */
    bool ending;
    struct errand errand; /* the main thread's, while it is not busy */
};

/* Ask for the state once, and wait; also before asker_start(). free() it; NULL with a text. */
char *asker_ask(const struct asker *asker, struct dao_text *why);

/* False: no thread can be started. */
bool asker_start(struct asker *asker);

/* The newest answer, to be freed; NULL: none since the last one. why[ASKER_WHY_BYTES], as it was at
 * the last look: why none comes; empty: they come. Is there anything that is worth drawing? */
char *asker_take(struct asker *asker, char *why, bool *ret_is_new);

/* Have something done; one thing at a time, while another is under way it is passed over. */
void asker_do(struct asker *asker, const char *verb, const char *text);

/* What became of that, message[ASKER_WHY_BYTES]: "" if there is nothing to say. */
void asker_copy_message(struct asker *asker, char *message);

/* It was read. */
void asker_clear_message(struct asker *asker);

/* No more is asked for. */
void asker_end(struct asker *asker);

#endif
