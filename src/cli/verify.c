/*
 * verify.c - daorec verify: are recordings as they were written? Files one by one, then each
 * stream's files in their order, then the ledger of each session. Nothing is changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/verify_say.h"
#include "cli/verify_tree.h"
#include "lib/clock.h"

static const struct option_spec specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct verify_options, json), NULL,
     "print one JSON object a line instead", 0, 0},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct verify_options, quiet), NULL, "print doubts only",
     0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "verify",
    .arguments = "FILE|DIR...",
    .summary = "Check recordings: structure, checksums, every frame, counters, order of files, "
               "ledger.\nExit status 1 on any doubt; nothing is changed.",
    .specs = specs,
};

/* ---- arguments ---- */

/* A link that is given is followed: what it leads to is what is meant. */
static void check_link(struct verify_run *run, const char *path)
{
    char target[4096], shown[8300];
    struct verify_file file;

    if (!realpath(path, target)) {
        struct verify_doubts doubts = {0};
        int error = errno;
        ssize_t length = readlink(path, target, sizeof target - 1);

        target[length > 0 ? length : 0] = '\0';
        verify_doubts_add(&doubts, -1, "is a link to %.200s: %s", target, strerror(error));
        verify_print_whole(run, path, "link", &doubts);
        return;
    }
    snprintf(shown, sizeof shown, "%s -> %s", path, target);
    verify_check_file(run, target, shown, false, &file);
    verify_file_free(&file);
}

/* Nothing to judge is not what somebody who asks for a verdict expects. */
static void check_that_there_is_one(struct verify_run *run, const char *path, uint64_t foreign)
{
    struct verify_doubts doubts = {0};
    char others[64] = "";

    if (foreign > 0)
        snprintf(others, sizeof others, "; %" PRIu64 " FITS file%s of others", foreign,
                 units_plural(foreign));
    verify_doubts_add(&doubts, -1, "no recording is there (folders were looked into %d deep)%s",
                      FIND_DEPTH_MAX, others);
    verify_print_whole(run, path, "folder", &doubts);
}

static int check_folder(struct verify_run *run, const char *path)
{
    uint64_t recordings = run->recordings, foreign = run->foreign;
    struct find_tree tree;
    int r = find_tree_scan(&tree, path, FIND_FOLDERS_MAX);

    if (r < 0) {
        log_error("verify: %s: %s", path, strerror(-r));
        return r;
    }
    if (tree.error < 0) {
        log_error("verify: %s: %s", tree.error_path, strerror(-tree.error));
        run->doubts++;
    }
    if (tree.is_partial) {
        log_error("verify: %s: too many folders; give some of them", path);
        run->doubts++;
    }
    run->unread = tree.error_path;
    r = verify_check_tree(run, &tree, path);
    if (r == 0 && run->recordings == recordings && tree.error == 0 && !tree.is_partial)
        check_that_there_is_one(run, path, run->foreign - foreign);
    find_tree_free(&tree);
    return r;
}

static int check_argument(struct verify_run *run, const char *path)
{
    struct verify_file file;
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return check_folder(run, path);
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        check_link(run, path);
        return 0;
    }
    verify_check_file(run, path, path, false, &file);
    verify_file_free(&file);
    return 0;
}

int cli_verify(int argc, char **argv)
{
    struct verify_options options = {0};
    struct verify_run run = {.options = &options};
    int first = options_parse(&usage, argc, argv, &options), status = EXIT_DONE;
    double span_s;
    char size[32];

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("verify: give a recording, or a folder with recordings");
        return EXIT_WRONG_USAGE;
    }
    run.begin_ns = run.last_tick_ns = dao_clock_mono_ns();
    run.on_terminal = isatty(STDERR_FILENO);
    for (int i = first; i < argc; i++)
        if (check_argument(&run, argv[i]) < 0)
            status = EXIT_FAILED;
    span_s = (double)(dao_clock_mono_ns() - run.begin_ns) / 1e9;
    if (!options.quiet && !options.json)
        printf("%" PRIu64 " file%s, %" PRIu64 " frame%s, %s read at %.0f MB/s: %s\n", run.files,
               units_plural(run.files), run.frames, units_plural(run.frames),
               units_format_bytes(size, sizeof size, run.bytes), (double)run.bytes / 1e6 / span_s,
               run.doubts ? "doubts, see above"
               : status   ? "not all could be read"
                          : "no doubt");
    return run.doubts ? EXIT_FAILED : status;
}
