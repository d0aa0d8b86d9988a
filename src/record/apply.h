/*
 * apply.h - a new configuration for a session that records: what can change without losing a frame
 * is changed, what cannot is told. In the session's thread.
 */
#ifndef DAOREC_RECORD_APPLY_H
#define DAOREC_RECORD_APPLY_H

#include <jansson.h>
#include <stdbool.h>

#include "record/session.h"

/* What can be told of two configurations. */
struct apply_lists {
    json_t *changed;   /* "file_rollover.size: 1GiB -> 2GiB" */
    json_t *unchanged; /* "root_storage: ./telemetry -> /data (stop and start)" */
};

/* Compare; pure. `has_ring`: the session removes files already. New references. */
struct apply_lists apply_compare(const struct setting_list *now, const struct setting_list *fresh,
                                 bool has_ring);

/* Does it go with what is recorded? 0, or -ERANGE with a text: then it must not be applied. */
int apply_check(const struct session *session, const struct session_config *fresh,
                struct dao_text *text);

/*
 * Compare, and take what can be taken: limits of rolling, of what is kept and of room, latency. A
 * new reference: {"changed": [...], "unchanged": [...]}. The streams take it between two frames;
 * those that are not among the fresh ones go on as they are.
 */
json_t *apply_config(struct session *session, const struct session_config *fresh);

/* Does the session borrow anything of this configuration: did it begin with it, or has it taken a
 * setting of it that no later one has replaced? */
bool apply_uses(const struct session *session, const struct session_config *config);

/* Have all streams taken what was applied last? */
bool apply_is_taken(struct session *session);

#endif
