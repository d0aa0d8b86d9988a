/*
 * record.h - a configuration as the session takes it. Main thread, before the session.
 */
#ifndef DAOREC_CLI_RECORD_H
#define DAOREC_CLI_RECORD_H

#include "config/config.h"
#include "record/session.h"

struct record_plan {
    struct session_config session;
    struct stream_keywords keywords;
    char **paths, **files;
    struct stream_config *each;
};

/* Everything in the plan is borrowed from the configuration, or freed by record_plan_free(). 0;
 * -EINVAL after a line that says what does not go together on this machine; -ENOMEM. */
int record_plan_make(struct record_plan *ret, const struct config *config);
void record_plan_free(struct record_plan *plan); /* safe on a zeroed one */

#endif
