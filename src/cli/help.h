/* help.h - the verb `help`, which tells of the others. */
#ifndef DAOREC_CLI_HELP_H
#define DAOREC_CLI_HELP_H

#include <stdio.h>

#include "cli/tables.h"

void help_print_usage(FILE *out, const struct verb_table *table);
const struct verb *help_find_verb(const struct verb_table *table, const char *name);
int help_report_unknown_verb(const struct verb_table *table, const char *name);

/* The verb itself; argv as for the others. Returns the exit status. */
int help_run(const struct verb_table *table, int argc, char **argv);

#endif
