/*
 * asking.h - what is asked of a session while it runs, and the answers, as JSON. In the session's
 * thread; nothing here waits: what takes time is looked at again and again until it is done.
 */
#ifndef DAOREC_RECORD_ASKING_H
#define DAOREC_RECORD_ASKING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/order.h"
#include "record/session.h"

/* One request under way. */
struct asked {
    struct order order;
    const struct session_config *config; /* of a reload: the new one, before it begins */
    /* kept here; zero before the first look */
    bool has_begun;
    int64_t time_ns;      /* of a mark, POSIX */
    uint64_t mark_number; /* of a mark */
    bool *is_over;        /* of a roll, [streams]: it had ended before */
    json_t *changes;      /* of a reload */
};

void asked_free(struct asked *asked);

/*
 * Begin a roll, a mark or a reload, or go on with it: a new reference to the answer once it has
 * happened, with *ret_ok; NULL: not yet. `is_last`: this is the last look, there is an answer in
 * any case; what has not begun then is refused.
 */
json_t *asking_look(struct session *session, struct asked *asked, bool is_last, bool *ret_ok);

/* How it ended: its summary and exit status. A new reference. */
json_t *asking_end(const struct session *session, int status);

/* Begin the next files, without an answer. */
void asking_roll(struct session *session);

/* Take what can be taken of a new configuration while it records, and say so in lines. NULL: there
 * is no session, only what the program began with stays. */
void asking_apply_and_say(struct session *session, const struct session_config *fresh);

#endif
