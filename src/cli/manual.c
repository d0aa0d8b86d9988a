/*
 * manual.c - see manual.h. A page has the sections NAME, SYNOPSIS, DESCRIPTION, OPTIONS, those of
 * manual_prose.c in the order in which they stand there, EXIT STATUS, EXAMPLES and SEE ALSO. A verb
 * without prose has a page all the same.
 */
#include "cli/manual.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cli/manual_config.h"
#include "cli/manual_prose.h"
#include "cli/mdoc.h"

#define MEANINGLESS 1e9 /* an upper bound beyond this tells nobody anything */

/* ---- prose ---- */

static const char *find_prose(const char *verb, const char *title)
{
    for (const struct manual_prose *p = manual_prose; p->verb; p++) {
        if (strcmp(p->verb, verb) == 0 && strcmp(p->title, title) == 0)
            return p->text;
    }
    return NULL;
}

static void section(FILE *out, const char *verb, const char *title, const char *otherwise)
{
    const char *text = find_prose(verb, title);

    if (!text)
        text = otherwise;
    if (!text)
        return;
    fprintf(out, ".Sh %s\n", title);
    mdoc_prose(out, text);
}

/* Those which have no place of their own. */
static void other_sections(FILE *out, const char *verb)
{
    static const char *const placed[] = {"DESCRIPTION", "EXIT STATUS", "EXAMPLES", NULL};

    for (const struct manual_prose *p = manual_prose; p->verb; p++) {
        bool is_placed = false;

        for (unsigned i = 0; placed[i]; i++)
            is_placed = is_placed || strcmp(placed[i], p->title) == 0;
        if (strcmp(p->verb, verb) == 0 && !is_placed)
            section(out, verb, p->title, NULL);
    }
}

/* ---- options ---- */

static void option_head(FILE *out, char letter, const char *name, const char *arg,
                        enum option_value value)
{
    fputs(".It", out);
    if (letter)
        fprintf(out, " Fl %c ,", letter);
    fprintf(out, " Fl \\-%s", name);
    if (value == OPTION_VALUE_OPTIONAL)
        fprintf(out, " Ns Op = Ns Ar \\&%s", arg);
    else if (value == OPTION_VALUE_REQUIRED)
        fprintf(out, " Ar \\&%s", arg);
    fputc('\n', out);
}

static bool is_bounded_above(const struct option_spec *s)
{
    bool is_time = s->kind == OPTION_DURATION || s->kind == OPTION_DURATION_OR_FLAG;

    return s->max > s->min && s->max <= (is_time ? MEANINGLESS * 1e3 : MEANINGLESS);
}

/* "From 1 to 99.": what the table allows, where that is not a matter of course. */
static void option_range(FILE *out, const struct verb_usage *usage, const struct option_spec *s)
{
    const char *zero = options_takes_zero(usage, s) ? ", or 0" : "";
    char low[48], high[48];

    options_format_bound(low, sizeof low, s->kind, s->min);
    options_format_bound(high, sizeof high, s->kind, s->max);
    if (is_bounded_above(s))
        fprintf(out, "From %s to %s%s.\n", low, high, zero);
    else if (s->min > 1.0)
        fprintf(out, "At least %s%s.\n", low, zero);
}

static void options(FILE *out, const struct verb_usage *usage)
{
    fputs(".Sh OPTIONS\n.Bl -tag -width Ds\n", out);
    for (const struct option_spec *s = usage->specs; s->name; s++) {
        option_head(out, s->letter, s->name, s->arg ? s->arg : "", options_value_of(s->kind));
        mdoc_sentence(out, s->help);
        option_range(out, usage, s);
    }
    option_head(out, 'h', "help", "", OPTION_VALUE_NONE);
    mdoc_sentence(out, "print the options");
    option_head(out, 0, "version", "", OPTION_VALUE_NONE);
    mdoc_sentence(out, "print the version");
    fputs(".El\n.Pp\n"
          "Sizes are written as 64MiB or 1.5GB, durations as 500ms, 10s or 5min.\n",
          out);
}

/* ---- pages ---- */

/* Those that take a configuration file name its page. */
static void see_also(FILE *out, const struct verb *verb, const struct verb_usage *usage)
{
    bool takes_file = strcmp(verb->name, "check") == 0;

    for (const struct option_spec *s = usage->specs; s->name; s++)
        takes_file = takes_file || strcmp(s->name, "config") == 0;
    fprintf(out, ".Sh SEE ALSO\n.Xr daorec 1%s\n", takes_file ? " ,\n.Xr daorec.yaml 5" : "");
}

static void verb_page(FILE *out, const struct verb *verb, const struct verb_usage *usage)
{
    const char *description = find_prose(verb->name, "DESCRIPTION");
    char title[64];

    snprintf(title, sizeof title, "daorec-%s", verb->name);
    mdoc_begin(out, title, "1");
    fprintf(out, ".Sh NAME\n.Nm %s\n.Nd ", title);
    mdoc_words(out, verb->summary, strlen(verb->summary));
    fprintf(out, "\n.Sh SYNOPSIS\n.Nm daorec %s\n.Op Ar OPTION ...\n", verb->name);
    if (usage->arguments && *usage->arguments) {
        fputs(".Ar \\&", out);
        mdoc_words(out, usage->arguments, strlen(usage->arguments));
        fputc('\n', out);
    }
    fputs(".Sh DESCRIPTION\n", out);
    mdoc_prose(out, usage->summary);
    if (description) {
        fputs(".Pp\n", out);
        mdoc_prose(out, description);
    }
    options(out, usage);
    other_sections(out, verb->name);
    section(out, verb->name, "EXIT STATUS", find_prose("*", "EXIT STATUS"));
    section(out, verb->name, "EXAMPLES", NULL);
    see_also(out, verb, usage);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Other pages are told in the order of the alphabet; one is of a program beside this. */
static void see_all(FILE *out, const struct verb_table *table)
{
    const char **names = calloc(table->count + 1, sizeof *names);

    fputs(".Sh SEE ALSO\n", out);
    for (size_t i = 0; names && i < table->count; i++)
        names[i] = table->verbs[i].name;
    if (names) {
        names[table->count] = "report";
        qsort(names, table->count + 1, sizeof *names, compare_names);
    }
    for (size_t i = 0; names && i <= table->count; i++)
        fprintf(out, ".Xr daorec-%s 1 ,\n", names[i]);
    fputs(".Xr libdao 3 ,\n.Xr daorec.yaml 5\n", out);
    free(names);
}

static void program_page(FILE *out, const struct verb_table *table)
{
    mdoc_begin(out, "daorec", "1");
    fputs(".Sh NAME\n.Nm daorec\n"
          ".Nd record telemetry of adaptive optics from DAO shared memory\n"
          ".Sh SYNOPSIS\n.Nm daorec Ar VERB\n.Op Ar OPTION ...\n.Op Ar ARGUMENT ...\n"
          ".Nm daorec help\n.Op Ar VERB\n.Nm daorec Fl \\-version\n.Sh DESCRIPTION\n",
          out);
    mdoc_prose(out, find_prose("", "DESCRIPTION"));
    fputs(".Sh VERBS\nEach has a manual page of its own.\n.Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < table->count; i++) {
        fprintf(out, ".It Xr daorec-%s 1\n", table->verbs[i].name);
        mdoc_sentence(out, table->verbs[i].summary);
    }
    fputs(".El\n", out);
    other_sections(out, "");
    section(out, "", "EXIT STATUS", NULL);
    section(out, "", "EXAMPLES", NULL);
    see_all(out, table);
}

/* ---- files ---- */

static FILE *open_page(const char *folder, const char *name, int number, char *path,
                       size_t path_bytes)
{
    FILE *out;

    snprintf(path, path_bytes, "%s/%s.%d", folder, name, number);
    out = fopen(path, "we");
    if (!out)
        log_error("help: %s: %s", path, strerror(errno));
    return out;
}

static int close_page(FILE *out, const char *path)
{
    bool failed = ferror(out);
    int error;

    errno = 0;
    failed = fclose(out) != 0 || failed;
    error = failed ? (errno ? errno : EIO) : 0;
    if (error)
        log_error("help: %s: %s", path, strerror(error));
    return -error;
}

static int write_config_page(const char *folder)
{
    char path[4352];
    FILE *out = open_page(folder, "daorec.yaml", 5, path, sizeof path);
    int r, closed;

    if (!out)
        return -EIO;
    r = manual_config_print(out);
    if (r < 0)
        log_error("help: %s: %s", path, strerror(-r));
    closed = close_page(out, path);
    return r < 0 ? r : closed;
}

int manual_write(const struct verb_table *table, const char *folder)
{
    char path[4352], name[64];
    FILE *out;
    int r;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        r = -errno;
        log_error("help: %s: %s", folder, strerror(-r));
        return r;
    }
    out = open_page(folder, "daorec", 1, path, sizeof path);
    if (!out)
        return -EIO;
    program_page(out, table);
    r = close_page(out, path);
    for (size_t i = 0; i < table->count && r == 0; i++) {
        const struct verb_usage *usage = tables_usage(&table->verbs[i]);

        if (!usage)
            continue;
        snprintf(name, sizeof name, "daorec-%s", table->verbs[i].name);
        out = open_page(folder, name, 1, path, sizeof path);
        if (!out)
            return -EIO;
        verb_page(out, &table->verbs[i], usage);
        r = close_page(out, path);
    }
    return r < 0 ? r : write_config_page(folder);
}
