/*
 * repair.c - daorec repair: finish what a crash left. Without --apply it only says what it would
 * do. Files first, in their order; each is read back and verified; then the ledger of the session.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "base/units.h"
#include "cli/cli.h"
#include "recording/find.h"
#include "recording/rebuild.h"
#include "recording/repair.h"
#include "recording/verify.h"

struct repair_options {
    bool apply, json;
};

static const struct option_spec specs[] = {
    {"apply", 0, OPTION_FLAG, offsetof(struct repair_options, apply), NULL,
     "do it, read back what was written, rebuild the ledger", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct repair_options, json), NULL,
     "print one JSON object a line instead", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "repair",
    .arguments = "FILE|DIR...",
    .summary =
        "Finish the *.fits.part files of recorders that do not live any more, and the ledgers "
        "of\ntheir sessions. Says what it would do; --apply does it. Nothing is ever deleted "
        "or replaced.",
    .specs = specs,
};

/* One run of the verb. */
struct run {
    const struct repair_options *options;
    uint64_t to_do, failed, owned;
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

static const char *const actions[] = {
    [REPAIR_CLOSE] = "close", [REPAIR_RENAME] = "name",     [REPAIR_UNNAME] = "drop second name",
    [REPAIR_OWNED] = "none",  [REPAIR_REFUSED] = "refused",
};

static void print_json(const struct run *run, const char *path, const struct repair_file *file,
                       const struct verify_doubts *doubts)
{
    json_t *object = json_object(), *list = json_array();

    json_object_set_new(object, "path", text_value(path));
    json_object_set_new(object, "action", json_string(actions[file->verdict]));
    json_object_set_new(object, "owned", json_boolean(file->verdict == REPAIR_OWNED));
    json_object_set_new(object, "applied",
                        json_boolean(run->options->apply && file->verdict < REPAIR_OWNED));
    json_object_set_new(object, "final", text_value(file->final_name));
    json_object_set_new(object, "frames", json_integer((json_int_t)file->frames));
    json_object_set_new(object, "flagged", json_integer((json_int_t)file->flagged));
    json_object_set_new(object, "dropped", json_integer((json_int_t)file->dropped));
    json_object_set_new(object, "text", text_value(file->text.s));
    for (size_t i = 0; i < doubts->kept_count; i++)
        json_array_append_new(list, text_value(doubts->kept[i].text));
    json_object_set_new(object, "doubts", list);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("\n");
    json_decref(object);
}

static void print_frames(const struct repair_file *file)
{
    printf("%" PRIu64 " frame%s", file->frames, units_plural(file->frames));
    if (file->no_rows)
        printf(" (no row reached the disk: the first frame, flagged)");
    else if (file->flagged)
        printf(" (%" PRIu64 " of them incomplete: flagged TORN and RECOVERED)", file->flagged);
    if (file->dropped)
        printf(", %" PRIu64 " behind them incomplete and left out", file->dropped);
}

static void print_file(const struct run *run, const char *path, const struct repair_file *file,
                       const struct verify_doubts *doubts)
{
    bool done = run->options->apply;

    if (file->verdict == REPAIR_REFUSED) {
        log_error("repair: %s: %s", path, file->text.s);
        return;
    }
    printf("%s: ", path);
    switch (file->verdict) {
    case REPAIR_CLOSE:
        printf("unfinished; %s as %s with ", done ? "closed" : "would be closed", file->final_name);
        print_frames(file);
        break;
    case REPAIR_RENAME:
        printf("complete; %s its name %s", done ? "got" : "would get", file->final_name);
        break;
    case REPAIR_UNNAME:
        printf("complete and named %s; its second name %s", file->final_name,
               done ? "was dropped" : "would be dropped");
        break;
    default:
        printf("its recorder lives; left alone");
        break;
    }
    if (done && file->verdict != REPAIR_OWNED)
        printf("; read back: %s", doubts->count ? "doubts" : "good");
    printf("\n");
    for (size_t i = 0; i < doubts->kept_count; i++)
        printf("%s: %s\n", file->final_name, doubts->kept[i].text);
}

static void print_ledger(const struct run *run, const char *session, const struct rebuild *ledger)
{
    if (run->options->json) {
        json_t *object = json_object();

        json_object_set_new(object, "session", text_value(session));
        json_object_set_new(
            object, "action",
            json_string(ledger->verdict == REBUILD_REFUSED ? "refused" : "rebuild ledger"));
        json_object_set_new(object, "applied",
                            json_boolean(run->options->apply && ledger->verdict == REBUILD_WRITE));
        json_object_set_new(object, "expected", json_integer((json_int_t)ledger->expected));
        json_object_set_new(object, "recorded", json_integer((json_int_t)ledger->recorded));
        json_object_set_new(object, "lost", json_integer((json_int_t)ledger->lost));
        json_object_set_new(object, "kept_as", text_value(ledger->kept_as));
        json_object_set_new(object, "text", text_value(ledger->text.s));
        json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(object);
        return;
    }
    if (ledger->verdict == REBUILD_REFUSED) {
        log_error("repair: %s: %s", session, ledger->text.s);
        return;
    }
    printf("%s/session.json: %s rebuilt", session, run->options->apply ? "was" : "would be");
    if (run->options->apply) /* before, files are still to be repaired */
        printf(": %" PRIu64 " stream%s, %" PRIu64 " file%s, %" PRIu64 " expected = %" PRIu64
               " recorded + %" PRIu64 " lost",
               ledger->streams, units_plural(ledger->streams), ledger->files,
               units_plural(ledger->files), ledger->expected, ledger->recorded, ledger->lost);
    if (ledger->kept_as[0])
        printf("; the old one is %s", ledger->kept_as);
    printf("\n");
}

/* ---- one file, one ledger ---- */

/* From the disk, not from what is in memory of it. */
static void read_back(const char *folder, const struct repair_file *file, struct verify_doubts *ret)
{
    struct verify_file verdict;
    char path[4096];
    int fd;

    snprintf(path, sizeof path, "%.3900s/%s", folder, file->final_name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    verify_file(&verdict, path, NULL);
    *ret = verdict.doubts;
}

/* Returns whether it was, or would be, repaired. */
static bool repair_one(struct run *run, const char *folder, int dir_fd, const char *name)
{
    struct verify_doubts doubts = {0};
    struct repair_file file;
    char path[4096];
    int r = repair_file(&file, dir_fd, name, run->options->apply, &sink_backend_system, NULL);

    snprintf(path, sizeof path, "%.3900s/%.180s", folder, name);
    if (r == 0 && run->options->apply)
        read_back(folder, &file, &doubts);
    run->owned += file.verdict == REPAIR_OWNED;
    run->failed += file.verdict == REPAIR_REFUSED || doubts.count > 0;
    run->to_do += r == 0;
    if (run->options->json)
        print_json(run, path, &file, &doubts);
    else
        print_file(run, path, &file, &doubts);
    verify_doubts_free(&doubts);
    return r == 0;
}

/* A folder is a session by its ledger or by its name; no other gets a ledger from us. */
static bool is_session(const char *path)
{
    char ledger[4200], whole[4096];
    const char *name = strrchr(path, '/');
    struct stat st;

    snprintf(ledger, sizeof ledger, "%.4090s/session.json", path);
    if (lstat(ledger, &st) == 0)
        return S_ISREG(st.st_mode);
    if (strcmp(path, ".") == 0 || strcmp(path, "..") == 0) /* its name is not in the path */
        name = realpath(path, whole) ? strrchr(whole, '/') : NULL;
    return tree_session_start(name ? name + 1 : path) != 0;
}

static void repair_ledger(struct run *run, const char *session, bool anyway)
{
    struct rebuild ledger;

    if (!is_session(session))
        return;
    rebuild_ledger(&ledger, session, anyway, run->options->apply);
    run->to_do += ledger.verdict == REBUILD_WRITE;
    run->failed += ledger.verdict == REBUILD_REFUSED;
    if (ledger.verdict == REBUILD_WRITE || ledger.verdict == REBUILD_REFUSED)
        print_ledger(run, session, &ledger);
}

/* ---- arguments ---- */

static bool repair_folder(struct run *run, const struct find_folder *folder)
{
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool any = false;

    if (fd < 0) {
        log_error("repair: %s: %s", folder->path, strerror(errno));
        run->failed++;
        return false;
    }
    for (size_t i = 0; i < folder->name_count; i++)
        if (find_is_part(folder->names[i]) && repair_one(run, folder->path, fd, folder->names[i]))
            any = true;
    close(fd);
    return any;
}

/* Where the session of a stream's folder is: "" where its path does not tell. */
static void session_of(const char *folder, char *ret, size_t ret_bytes)
{
    find_folder_of(folder, ret, ret_bytes);
    if (!strchr(folder, '/')) /* "wfs" is in ".", "." is in ".." */
        snprintf(ret, ret_bytes, "%s", strcmp(folder, ".") == 0 ? ".." : ".");
    if (strcmp(folder, "..") == 0)
        ret[0] = '\0';
}

/* Folders are sorted: those of one session follow each other, the session's own first. */
static void repair_tree(struct run *run, const struct find_tree *tree)
{
    for (size_t i = 0; i < tree->folder_count;) {
        char session[4096], own[4096];
        bool any = false;

        if (tree->folders[i].has_ledger)
            snprintf(session, sizeof session, "%s", tree->folders[i].path);
        else
            session_of(tree->folders[i].path, session, sizeof session);
        for (; i < tree->folder_count; i++) {
            session_of(tree->folders[i].path, own, sizeof own);
            if (strcmp(own, session) != 0 && strcmp(tree->folders[i].path, session) != 0)
                break;
            any = repair_folder(run, &tree->folders[i]) || any;
        }
        if (session[0] != '\0')
            repair_ledger(run, session, any);
    }
}

static void repair_path_of_file(struct run *run, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096], session[4096];
    int fd;

    if (!find_is_part(path))
        return; /* finished ones need none */
    find_folder_of(path, folder, sizeof folder);
    session_of(folder, session, sizeof session);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        log_error("repair: %s: %s", path, strerror(errno));
        run->failed++;
        return;
    }
    if (repair_one(run, folder, fd, slash ? slash + 1 : path) && session[0] != '\0')
        repair_ledger(run, session, true);
    close(fd);
}

static void repair_argument(struct run *run, const char *path)
{
    struct find_tree tree;
    struct stat st;
    int r;

    if (lstat(path, &st) != 0) {
        log_error("repair: %s: %s", path, strerror(errno));
        run->failed++;
        return;
    }
    if (S_ISLNK(st.st_mode) && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        log_error("repair: %s: is a link; give the file itself", path);
        run->failed++;
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        repair_path_of_file(run, path);
        return;
    }
    r = find_tree_scan(&tree, path, FIND_FOLDERS_MAX);
    if (r < 0 || tree.error < 0 || tree.is_partial) {
        log_error("repair: %s: %s",
                  r < 0        ? path
                  : tree.error ? tree.error_path
                               : path,
                  r < 0            ? strerror(-r)
                  : tree.error < 0 ? strerror(-tree.error)
                                   : "too many folders; give some of them");
        run->failed++;
    }
    if (r < 0)
        return;
    repair_tree(run, &tree);
    find_tree_free(&tree);
}

int cli_repair(int argc, char **argv)
{
    struct repair_options options = {0};
    struct run run = {.options = &options};
    int first = options_parse(&usage, argc, argv, &options);

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("repair: give a file, or a folder to look through");
        return EXIT_WRONG_USAGE;
    }
    for (int i = first; i < argc; i++)
        repair_argument(&run, argv[i]);
    if (run.to_do == 0 && run.failed == 0 && !options.json)
        printf("nothing to repair\n");
    else if (run.to_do > 0 && !options.apply)
        log_info("nothing was changed; with --apply it is done");
    return run.failed ? EXIT_FAILED : EXIT_DONE;
}
