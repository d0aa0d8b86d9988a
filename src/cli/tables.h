/* tables.h - the options of all verbs, for what is made from them: manual pages, completion. */
#ifndef DAOREC_CLI_TABLES_H
#define DAOREC_CLI_TABLES_H

#include "base/options.h"
#include "cli/cli.h"

/* The program's verbs, a row each. */
struct verb_table {
    const struct verb *verbs;
    size_t count;
};

/* The usage of a verb, as its --help would print it; NULL: it has none. Main thread. */
const struct verb_usage *tables_usage(const struct verb *verb);

#endif
