/*
 * verify.c - daorec verify: are recordings as they were written? Files one by one, then each
 * stream's files in their order, then the ledger of each session. Nothing is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/verify.h"
#include "lib/clock.h"

#define SHOWN_MAX 20u /* doubts printed of one file; all are counted */
#define TICK_NS   500000000ll

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

/* ---- what is printed ---- */

static void print_json(json_t *object, const struct verify_doubts *doubts)
{
    json_t *list = json_array();

    for (size_t i = 0; i < doubts->kept_count; i++) {
        const struct verify_doubt *kept = &doubts->kept[i];
        json_t *doubt = json_object();

        json_object_set_new(doubt, "frame",
                            kept->frame < 0 ? json_null() : json_integer(kept->frame));
        if (kept->frames > 1) {
            json_object_set_new(doubt, "last_frame", json_integer((json_int_t)kept->last.index));
            json_object_set_new(doubt, "frames", json_integer((json_int_t)kept->frames));
        }
        json_object_set_new(doubt, "text", json_text_value(kept->text));
        json_array_append_new(list, doubt);
    }
    json_object_set_new(object, "doubt_count", json_integer((json_int_t)doubts->count));
    json_object_set_new(object, "doubts", list);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(object);
}

static void print_doubts(const char *path, const struct verify_doubts *doubts)
{
    size_t shown = doubts->kept_count < SHOWN_MAX ? doubts->kept_count : SHOWN_MAX;

    for (size_t i = 0; i < shown; i++)
        printf("%s: %s\n", path, doubts->kept[i].text);
    if (doubts->count > shown)
        printf("%s: ... and %" PRIu64 " more doubt%s\n", path, doubts->count - shown,
               units_plural(doubts->count - shown));
}

static const char *const state_names[] = {
    [VERIFY_UNREADABLE] = "unreadable", [VERIFY_LINK] = "link",
    [VERIFY_FOREIGN] = "foreign",       [VERIFY_FINISHED] = "finished",
    [VERIFY_UNFINISHED] = "unfinished", [VERIFY_BEING_WRITTEN] = "being written",
};

static void print_file(const struct verify_run *run, const char *path,
                       const struct verify_file *file)
{
    if (run->options->json) {
        print_json(json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", json_text_value(path), "state",
                             state_names[file->state], "frames", (json_int_t)file->frames, "lost",
                             (json_int_t)file->totals.lost, "torn", (json_int_t)file->totals.torn),
                   &file->doubts);
        return;
    }
    print_doubts(path, &file->doubts);
    if (run->options->quiet || file->doubts.count > 0)
        return;
    if (file->state == VERIFY_FOREIGN)
        printf("%s: no recording of daorec; its checksums hold\n", path);
    else
        printf("%s: %s%s, %" PRIu64 " frame%s\n", path,
               file->state == VERIFY_BEING_WRITTEN ? "being written, good so far" : "good",
               file->is_recovered ? ", recovered" : "", file->frames, units_plural(file->frames));
}

void verify_print_whole(struct verify_run *run, const char *path, const char *kind,
                        struct verify_doubts *doubts)
{
    run->doubts += doubts->count;
    if (run->options->json)
        print_json(json_pack("{s:o, s:s}", "path", json_text_value(path), "kind", kind), doubts);
    else
        print_doubts(path, doubts);
    if (!run->options->json && !run->options->quiet && doubts->count == 0 &&
        strcmp(kind, "ledger") == 0)
        printf("%s: good\n", path);
    verify_doubts_free(doubts);
}

/* ---- while it runs ---- */

static void show_progress(void *ctx, uint64_t bytes)
{
    struct verify_run *run = ctx;
    int64_t now_ns = dao_clock_mono_ns();
    double span_s = (double)(now_ns - run->begin_ns) / 1e9;
    char line[160], size[32];

    if (!run->on_terminal || now_ns - run->last_tick_ns < TICK_NS)
        return;
    run->last_tick_ns = now_ns;
    snprintf(line, sizeof line, "verify: %" PRIu64 " file%s, %s, %.0f MB/s", run->files,
             units_plural(run->files), units_format_bytes(size, sizeof size, run->bytes + bytes),
             (double)(run->bytes + bytes) / 1e6 / span_s);
    log_live(line);
}

bool verify_check_file(struct verify_run *run, const char *path, const char *shown, bool was_listed,
                       struct verify_file *ret)
{
    struct verify_progress progress = {show_progress, run};

    verify_file(ret, path, &progress);
    if (was_listed && ret->is_gone) {
        verify_file_free(ret);
        return false;
    }
    run->files++;
    run->frames += ret->frames;
    run->bytes += ret->bytes_read;
    run->doubts += ret->doubts.count;
    run->recordings += ret->state != VERIFY_FOREIGN;
    run->foreign += ret->state == VERIFY_FOREIGN;
    if (run->on_terminal)
        log_live(NULL);
    print_file(run, shown, ret);
    return true;
}

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
