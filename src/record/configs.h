/*
 * configs.h - the configurations that were read again, and which of them are still used: a session
 * borrows texts from the one that it began with and from those that it took settings of, commands
 * of a session that has ended borrow theirs, and the next session begins with the latest. In the
 * supervisor's thread.
 */
#ifndef DAOREC_RECORD_CONFIGS_H
#define DAOREC_RECORD_CONFIGS_H

#include <stdbool.h>
#include <stddef.h>

#include "record/asking.h"
#include "record/hooks.h"
#include "record/session.h"

struct configs {
    const struct session_config **items; /* each once */
    size_t count;
};

/* Who may use them. */
struct configs_users {
    const struct session_config *next; /* of the next session */
    const struct session *session;     /* NULL: none */
    const struct hooks *telling;       /* a list */
    const struct asked *asked;
    unsigned asked_count;
};

/* One was read, perhaps the same again. Without memory it is not known, and never released. */
void configs_add(struct configs *configs, const struct session_config *config);
/* Give back those that nobody uses. */
void configs_release(struct configs *configs, const struct configs_users *users,
                     void (*release)(void *ctx, const struct session_config *config), void *ctx);
void configs_fini(struct configs *configs); /* releases none of them */

#endif
