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
    json_t *changed;   /* "roll_size: 1 GiB -> 2 GiB" */
    json_t *unchanged; /* "output: ./telemetry -> /data (stop and start)" */
};

/* Compare; pure. `has_retention`: the session removes files already. New references. */
struct apply_lists apply_compare(const struct session_config *now,
                                 const struct session_config *fresh, bool has_retention);

/*
 * Compare, and take what can be taken: limits of rolling, of what is kept and of room, latency. A
 * new reference: {"changed": [...], "unchanged": [...]}. The streams take it between two frames.
 */
json_t *apply_config(struct session *session, const struct session_config *fresh);

/* Have all streams taken what was applied last? */
bool apply_is_taken(struct session *session);

#endif
