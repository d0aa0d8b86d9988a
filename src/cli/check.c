/*
 * check.c - the verb `check`: is a configuration file right? All mistakes, a line each, and nothing
 * starts; or a short summary of what would be recorded. A segment that is not there is no mistake,
 * nor is a file, of which there is a note.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/options.h"
#include "base/place.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/record.h"
#include "config/config.h"
#include "lib/segment.h"
#include "recording/copies.h"

struct check_options {
    bool list_keys, quiet;
};

#define AT(member) offsetof(struct check_options, member)

static const struct option_spec specs[] = {
    {"list-keys", 0, OPTION_FLAG, AT(list_keys), NULL,
     "print all keys, a line each with tabs: key, type, allowed, default, alias, option, meaning",
     0, 0},
    {"quiet", 'q', OPTION_FLAG, AT(quiet), NULL, "only say what is wrong", 0, 0},
    {0},
};

static const struct verb_usage usage = {
    .verb = "check",
    .arguments = "FILE...",
    .summary = "Say what is wrong with a configuration file, or what it would record. Exit status "
               "2: it is wrong.",
    .specs = specs,
};

/* ---- what would be recorded ---- */

static void print_segment(const struct config_source *source)
{
    static struct dao_segment segment; /* the library may keep its address while it is open */
    struct dao_text text = {""};
    char size[32] = "";
    size_t at = 0;
    int r = dao_segment_open(&segment, source->path, DAO_ACCESS_READ, &text);

    if (r < 0) {
        size_t length = strlen(source->path); /* a text begins with it */
        bool is_named = strncmp(text.s, source->path, length) == 0 && text.s[length] == ':';

        printf("  %-16s %s: %s\n", source->stream, source->path,
               r == -ENOENT ? "not there (yet)" : text.s + (is_named ? length + 2 : 0));
        return;
    }
    for (int i = 0; i < segment.geo.naxis; i++)
        at = units_append(size, sizeof size, at, i ? "x%u" : "%u", segment.geo.size[i]);
    printf("  %-16s %s: %s %s, depth %u\n", source->stream, source->path, size,
           segment.geo.dtype->name, segment.geo.depth);
    dao_segment_close(&segment);
}

static void print_file(const struct config_source *source)
{
    struct stat st;
    char bytes[32];

    if (stat(source->path, &st) != 0)
        printf("  (file)           %s: not there\n", source->path);
    else
        printf("  (file)           %s: %s, copied\n", source->path,
               units_format_bytes(bytes, sizeof bytes, (uint64_t)st.st_size));
}

/* Nor are files: but here a recording would not begin. */
static void note_file(const struct config *config, const struct config_source *source)
{
    char *path = (char *)(uintptr_t)source->path;
    struct dao_text text = {""};

    if (copies_look(&path, 1, &text) < 0)
        printf("note: %s:%u: sources.uri: %s: nothing would be recorded\n", config->file,
               source->line, text.s);
}

/* A folder that is not there is made; what is none is in the way. */
static void note_folder(const char *path)
{
    struct stat st;
    int r = stat(path, &st) == 0 ? 0 : -errno;

    if (r == -ENOTDIR || (r == 0 && !S_ISDIR(st.st_mode)))
        printf("note: root_storage: %s: %s: nothing would be recorded\n", path, strerror(ENOTDIR));
}

/* CPUs that are not here are no mistake of the file; it may be for another machine. */
static void note_cpus(const char *key, const cpu_set_t *set)
{
    char list[256];

    if (*place_missing_cpus(set, list, sizeof list))
        printf("note: %s: this machine does not have CPU %s for us\n", key, list);
}

static void print_summary(const struct config *config)
{
    size_t files = 0, streams;

    for (size_t i = 0; i < config->source_count; i++)
        files += config->sources[i].is_file;
    streams = config->source_count - files;
    printf("%s is right: %zu stream%s", config->file, streams, units_plural(streams));
    if (files > 0)
        printf(" and %zu file%s", files, units_plural(files));
    printf(" into %s\n", config->root_storage);
    for (size_t i = 0; i < config->source_count; i++) {
        if (config->sources[i].is_file)
            print_file(&config->sources[i]);
        else
            print_segment(&config->sources[i]);
    }
    note_folder(config->root_storage);
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].is_file)
            note_file(config, &config->sources[i]);
    if (!config->eager_start && !*config->control)
        printf("note: eager_start: false waits for `daorec ctl start`: give control, or record's "
               "option --control\n");
    note_cpus("daq_affinity", &config->daq_cpus);
    note_cpus("sink_affinity", &config->sink_cpus);
}

static int check_file(const char *path, bool quiet)
{
    struct config_mistakes mistakes = {0};
    struct record_plan plan = {0};
    struct config config;
    char why[RECORD_WHY_BYTES] = "";
    int r = config_load(&config, path, true, &mistakes);

    config_mistakes_print(&mistakes);
    config_mistakes_free(&mistakes);
    if (r == 0) /* each value is right; do they go together? */
        r = record_plan_make(&plan, &config, why);
    if (why[0])
        fprintf(stderr, "%s\n", why);
    record_plan_free(&plan);
    if (r == -ENOMEM)
        log_error("check: %s", strerror(ENOMEM));
    if (r == 0 && !quiet)
        print_summary(&config);
    config_free(&config);
    return r == 0 ? EXIT_DONE : r == -ENOMEM ? EXIT_FAILED : EXIT_WRONG_USAGE;
}

int cli_check(int argc, char **argv)
{
    struct check_options options = {0};
    int first = options_parse(&usage, argc, argv, &options), status = EXIT_DONE;

    if (first < 0)
        return cli_status_of_parse(first);
    if (options.list_keys) {
        config_print_keys(stdout);
        return EXIT_DONE;
    }
    if (first == argc) {
        log_error("check: which file? Give at least one; `daorec record --print-config` prints "
                  "one to begin with");
        return EXIT_WRONG_USAGE;
    }
    for (int i = first; i < argc; i++) {
        int one = check_file(argv[i], options.quiet);

        status = one > status ? one : status;
    }
    return status;
}
