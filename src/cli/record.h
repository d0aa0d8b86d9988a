/*
 * record.h - a configuration as the session takes it, for `record`, and for `check` and `doctor` to
 * know whether it does. Main thread, before the session, and at each reload.
 */
#ifndef DAOREC_CLI_RECORD_H
#define DAOREC_CLI_RECORD_H

#include "config/config.h"
#include "record/session.h"

#define RECORD_WHY_BYTES 1800 /* a mistake of a configuration is no longer, see mistakes.c */

struct record_plan {
    struct session_config session;
    struct stream_keywords keywords;
    char **paths, **files;
    struct stream_config *each;
};

/* Everything in the plan is borrowed from the configuration, or freed by record_plan_free(). 0;
 * -EINVAL with a line that says what does not go together; -ENOMEM. why[RECORD_WHY_BYTES]. */
int record_plan_make(struct record_plan *ret, struct config *config, char *why);
/* Has this machine the CPUs? 0; -EINVAL with a line that says which not. */
int record_plan_check_cpus(const struct config *config, char *why);
void record_plan_free(struct record_plan *plan); /* safe on a zeroed one */

#endif
