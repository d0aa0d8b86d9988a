/* tables.c - see tables.h. A verb hands out its table where it is asked for --help, so that no
 * other file needs to know of it. */
#include "cli/tables.h"

#include <stdio.h>

static void keep(const struct verb_usage *usage, void *ctx)
{
    *(const struct verb_usage **)ctx = usage;
}

const struct verb_usage *tables_usage(const struct verb *verb)
{
    char name[32], option[] = "--help", *argv[] = {name, option, NULL};
    const struct verb_usage *usage = NULL;

    snprintf(name, sizeof name, "%s", verb->name);
    options_describe_with(keep, &usage);
    verb->run(2, argv);
    options_describe_with(NULL, NULL);
    return usage;
}
