/* help.c - see help.h. */
#include "cli/help.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/completion.h"
#include "cli/manual.h"

struct help_options {
    const char *manual;
    bool completion;
};

static const struct option_spec specs[] = {
    {"man-pages", 0, OPTION_STRING, offsetof(struct help_options, manual), "DIR",
     "write the manual pages into this folder instead", 0, 0},
    {"bash-completion", 0, OPTION_FLAG, offsetof(struct help_options, completion), NULL,
     "print completion for bash instead", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "help",
    .arguments = "[VERB]",
    .summary = "Print what the program does, or the options of a verb.",
    .specs = specs,
};

void help_print_usage(FILE *out, const struct verb_table *table)
{
    fprintf(out, "Usage: daorec VERB [OPTION]... [ARGUMENT]...\n"
                 "Record telemetry of adaptive optics from DAO shared memory.\n\n");
    for (size_t i = 0; i < table->count; i++)
        fprintf(out, "  %-8s %s\n", table->verbs[i].name, table->verbs[i].summary);
    fprintf(out, "\n'daorec help VERB' or 'daorec VERB --help' tells its options; "
                 "'daorec --version' the version.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage, 3 done, but frames were lost.\n");
}

const struct verb *help_find_verb(const struct verb_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->verbs[i].name, name) == 0)
            return &table->verbs[i];
    }
    return NULL;
}

int help_report_unknown_verb(const struct verb_table *table, const char *name)
{
    const char **names = calloc(table->count + 1, sizeof *names), *nearest = NULL;

    for (size_t i = 0; names && i < table->count; i++)
        names[i] = table->verbs[i].name;
    if (names)
        nearest = options_nearest(name, names);
    if (nearest)
        log_error("no verb '%s'; did you mean '%s'?", name, nearest);
    else
        log_error("no verb '%s'; see daorec --help", name);
    free(names);
    return EXIT_WRONG_USAGE;
}

static int print_verb(const struct verb_table *table, const char *verb_name)
{
    const struct verb *verb = help_find_verb(table, verb_name);
    char name[32], option[] = "--help", *argv[] = {name, option, NULL};

    if (!verb)
        return help_report_unknown_verb(table, verb_name);
    snprintf(name, sizeof name, "%s", verb->name);
    return verb->run(2, argv);
}

int help_run(const struct verb_table *table, int argc, char **argv)
{
    struct help_options options = {0};
    int first = options_parse(&usage, argc, argv, &options);

    if (first < 0)
        return cli_status_of_parse(first);
    if (argc - first > (options.manual || options.completion ? 0 : 1)) {
        log_error("help: '%s' is one argument too many; see daorec help --help", argv[argc - 1]);
        return EXIT_WRONG_USAGE;
    }
    if (options.manual)
        return manual_write(table, options.manual) < 0 ? EXIT_FAILED : EXIT_DONE;
    if (options.completion)
        completion_print(stdout, table);
    else if (first < argc)
        return print_verb(table, argv[first]);
    else
        help_print_usage(stdout, table);
    return EXIT_DONE;
}
