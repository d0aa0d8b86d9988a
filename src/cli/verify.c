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

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "lib/clock.h"
#include "recording/chain.h"
#include "recording/find.h"

#define SHOWN_MAX 20u /* doubts printed of one file; all are counted */
#define TICK_NS   500000000ll

struct verify_options {
    bool json, quiet;
};

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

/* One run of the verb. */
struct run {
    const struct verify_options *options;
    uint64_t files, frames, bytes, doubts;
    int64_t begin_ns, last_tick_ns;
    bool on_terminal;
};

/* ---- what is printed ---- */

/* Paths may hold any byte; JSON must stay UTF-8. */
static json_t *text_value(const char *text)
{
    json_t *value = json_string(text);
    char clean[4096];
    size_t i;

    if (value)
        return value;
    for (i = 0; text[i] && i + 1 < sizeof clean; i++)
        clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    clean[i] = '\0';
    return json_string(clean);
}

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
        json_object_set_new(doubt, "text", text_value(kept->text));
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
        printf("%s: ... and %" PRIu64 " more doubts\n", path, doubts->count - shown);
}

static const char *const state_names[] = {
    [VERIFY_UNREADABLE] = "unreadable", [VERIFY_FOREIGN] = "foreign",
    [VERIFY_FINISHED] = "finished",     [VERIFY_BEING_WRITTEN] = "being written",
    [VERIFY_UNFINISHED] = "unfinished",
};

static void print_file(const struct run *run, const char *path, const struct verify_file *file)
{
    if (run->options->json) {
        print_json(json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", text_value(path), "state",
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
               file->is_recovered ? ", recovered" : "", file->frames, file->frames == 1 ? "" : "s");
}

/* Doubts of a stream or a ledger, under the name of its folder or file. */
static void print_whole(struct run *run, const char *path, const char *kind,
                        struct verify_doubts *doubts)
{
    run->doubts += doubts->count;
    if (run->options->json)
        print_json(json_pack("{s:o, s:s}", "path", text_value(path), "kind", kind), doubts);
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
    struct run *run = ctx;
    int64_t now_ns = dao_clock_mono_ns();
    double span_s = (double)(now_ns - run->begin_ns) / 1e9;
    char line[160], size[32];

    if (!run->on_terminal || now_ns - run->last_tick_ns < TICK_NS)
        return;
    run->last_tick_ns = now_ns;
    snprintf(line, sizeof line, "verify: %" PRIu64 " files, %s, %.0f MB/s", run->files,
             units_format_bytes(size, sizeof size, run->bytes + bytes),
             (double)(run->bytes + bytes) / 1e6 / span_s);
    log_live(line);
}

static void check_file(struct run *run, const char *path, struct verify_file *ret)
{
    struct verify_progress progress = {show_progress, run};

    verify_file(ret, path, &progress);
    run->files++;
    run->frames += ret->frames;
    run->bytes += ret->bytes_read;
    run->doubts += ret->doubts.count;
    if (run->on_terminal)
        log_live(NULL);
    print_file(run, path, ret);
}

/* ---- folders ---- */

/* The files of a stream's folder that were looked at. */
struct group {
    const char *path, *name; /* name: of the folder */
    struct verify_file *files;
    size_t count;
};

static void free_group(struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        verify_file_free(&group->files[i]);
    free(group->files);
    *group = (struct group){0};
}

static int check_folder(struct run *run, const struct find_folder *folder, struct group *ret)
{
    const char *slash = strrchr(folder->path, '/');

    *ret = (struct group){.path = folder->path, .name = slash ? slash + 1 : folder->path};
    ret->files = calloc(folder->name_count ? folder->name_count : 1, sizeof *ret->files);
    if (!ret->files)
        return -ENOMEM;
    for (size_t i = 0; i < folder->name_count; i++) {
        char path[4096];

        if (snprintf(path, sizeof path, "%s/%s", folder->path, folder->names[i]) >=
            (int)sizeof path)
            continue;
        check_file(run, path, &ret->files[ret->count++]);
        /* What one file says is printed; what is kept of a thousand is small. */
        verify_doubts_free(&ret->files[ret->count - 1].doubts);
    }
    chain_sort(ret->files, ret->count);
    return 0;
}

static bool has_recordings(const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (group->files[i].state >= VERIFY_FINISHED)
            return true;
    return false;
}

static bool is_being_written(const struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (group->files[i].state == VERIFY_BEING_WRITTEN)
            return true;
    return false;
}

static const struct ledger_stream *find_stream(const struct ledger_document *document,
                                               const char *name)
{
    for (size_t i = 0; i < document->ledger.stream_count; i++)
        if (strcmp(document->ledger.streams[i].name, name) == 0)
            return &document->ledger.streams[i];
    return NULL;
}

/* The ledger against the streams' files; groups are those of the session. */
static void check_ledger(struct run *run, const char *session, struct ledger_document *document,
                         int error, const struct dao_text *text, bool is_alive,
                         const struct group *groups, size_t count)
{
    const struct ledger *ledger = &document->ledger;
    struct verify_doubts doubts = {0};
    char path[4096];
    bool is_over = ledger->end_ns != 0 || ledger->recovered;

    snprintf(path, sizeof path, "%.4000s/session.json", session);
    if (error == -ENOENT && is_alive)
        return; /* it is first written when a file is finished */
    if (error < 0)
        verify_doubts_add(&doubts, -1, "%s",
                          error == -ENOENT ? "is missing; daorec repair rebuilds it" : text->s);
    else if (!is_over && !is_alive)
        verify_doubts_add(&doubts, -1,
                          "a crash left it unfinished; daorec repair rebuilds it from the files");
    for (size_t i = 0; i < ledger->stream_count; i++) {
        const struct group *group = NULL;

        for (size_t k = 0; k < count; k++)
            if (strcmp(groups[k].name, ledger->streams[i].name) == 0)
                group = &groups[k];
        chain_check_ledger(&ledger->streams[i], group ? group->files : NULL,
                           group ? group->count : 0, is_over, &doubts);
    }
    for (size_t k = 0; k < count && error == 0; k++) {
        const struct verify_file *last =
            groups[k].count ? &groups[k].files[groups[k].count - 1] : NULL;

        if (!has_recordings(&groups[k]))
            continue;
        if (is_over && !find_stream(document, groups[k].name))
            verify_doubts_add(&doubts, -1, "stream %.60s is not in it", groups[k].name);
        if (last && strcmp(last->uuid, ledger->uuid) != 0)
            verify_doubts_add(&doubts, -1, "stream %.60s is of another session", groups[k].name);
    }
    print_whole(run, path, "ledger", &doubts);
}

/* A session's streams, or the only folder there is: each in its order, then the ledger. */
static void check_session(struct run *run, const char *session, bool is_in_scope,
                          const struct group *groups, size_t count)
{
    struct ledger_document document = {0};
    struct dao_text text = {""};
    bool is_alive = false, any = false;
    int fd = open(session, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;
    const char *slash;

    error = fd < 0 ? -errno : ledger_document_read(&document, fd, &text);
    is_alive = fd >= 0 && tree_session_is_alive(fd);
    for (size_t i = 0; i < count; i++) {
        is_alive = is_alive || is_being_written(&groups[i]);
        any = any || has_recordings(&groups[i]);
    }
    for (size_t i = 0; i < count; i++) {
        struct verify_doubts doubts = {0};

        /* Of a session that was cut short the last file may name one that never came to be. */
        chain_check(groups[i].files, groups[i].count, find_stream(&document, groups[i].name),
                    !is_alive && !document.ledger.recovered, &doubts);
        if (doubts.count > 0 || run->options->json)
            print_whole(run, groups[i].path, "stream", &doubts);
    }
    slash = strrchr(session, '/');
    any = any && tree_session_start(slash ? slash + 1 : session) != 0;
    if (is_in_scope && (any || error != -ENOENT))
        check_ledger(run, session, &document, error, &text, is_alive, groups, count);
    ledger_document_free(&document);
    if (fd >= 0)
        close(fd);
}

/* Is it the root, or in it? As paths go: one was made from the other. */
static bool is_below(const char *path, const char *root)
{
    size_t length = strlen(root);

    while (length > 1 && root[length - 1] == '/')
        length--;
    return strncmp(path, root, length) == 0;
}

/* Folders are sorted: those of one session follow each other, the session's own first. */
static int check_tree(struct run *run, const struct find_tree *tree, const char *root)
{
    struct group *groups = calloc(tree->folder_count ? tree->folder_count : 1, sizeof *groups);
    char session[4096], own[4096];
    int r = groups ? 0 : -ENOMEM;

    for (size_t i = 0; i < tree->folder_count && r == 0;) {
        size_t count = 0;
        bool is_in_scope = tree->folders[i].has_ledger;

        if (is_in_scope) {
            snprintf(session, sizeof session, "%s", tree->folders[i].path);
        } else {
            find_folder_of(tree->folders[i].path, session, sizeof session);
            is_in_scope = is_below(session, root) && strcmp(session, tree->folders[i].path) != 0;
        }
        for (; i < tree->folder_count && r == 0; i++) {
            find_folder_of(tree->folders[i].path, own, sizeof own);
            if (strcmp(own, session) != 0 && strcmp(tree->folders[i].path, session) != 0)
                break;
            if (tree->folders[i].name_count > 0)
                r = check_folder(run, &tree->folders[i], &groups[count++]);
        }
        if (r == 0)
            check_session(run, session, is_in_scope, groups, count);
        while (count > 0)
            free_group(&groups[--count]);
    }
    free(groups);
    return r;
}

static int check_argument(struct run *run, const char *path)
{
    struct find_tree tree;
    struct verify_file file;
    struct stat st;
    int r;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        check_file(run, path, &file);
        verify_file_free(&file);
        return 0;
    }
    r = find_tree_scan(&tree, path, FIND_FOLDERS_MAX);
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
    r = check_tree(run, &tree, path);
    find_tree_free(&tree);
    return r;
}

int cli_verify(int argc, char **argv)
{
    struct verify_options options = {0};
    struct run run = {.options = &options};
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
        printf("%" PRIu64 " file%s, %" PRIu64 " frames, %s read at %.0f MB/s: %s\n", run.files,
               run.files == 1 ? "" : "s", run.frames,
               units_format_bytes(size, sizeof size, run.bytes), (double)run.bytes / 1e6 / span_s,
               run.doubts ? "doubts, see above"
               : status   ? "not all could be read"
                          : "no doubt");
    return run.doubts ? EXIT_FAILED : status;
}
