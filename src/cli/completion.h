/* completion.h - completion for bash, from the tables of options. */
#ifndef DAOREC_CLI_COMPLETION_H
#define DAOREC_CLI_COMPLETION_H

#include <stdio.h>

#include "cli/tables.h"

/* A script that defines the function _daorec and has bash call it. */
void completion_print(FILE *out, const struct verb_table *table);

#endif
