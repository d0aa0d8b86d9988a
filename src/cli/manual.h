/* manual.h - manual pages, in mdoc: what the tables of options say, and manual_prose.c. */
#ifndef DAOREC_CLI_MANUAL_H
#define DAOREC_CLI_MANUAL_H

#include "cli/tables.h"

/* Write daorec.1, daorec-VERB.1 for every verb and daorec.yaml.5 into `folder`, which is made where
 * it is missing. 0, or -errno after a message. */
int manual_write(const struct verb_table *table, const char *folder);

#endif
