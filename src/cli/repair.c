/*
 * repair.c - daorec repair: finish what a crash left. Without --apply it only says what it would
 * do. Files first, in their order; each is read back and verified; then the ledgers of their
 * sessions. What was given twice is taken once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/cli.h"
#include "cli/repair_say.h"
#include "recording/find.h"
#include "repair/finished.h"
#include "verify/verify.h"

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

/* A folder, whatever path leads to it. */
struct identity {
    dev_t dev;
    ino_t ino;
};

/* A name in a folder: a file of two names is looked at under both. */
struct entry {
    struct identity folder;
    char *name;
};

struct session {
    struct identity identity;
    char *path;
    char *refused; /* the first of its files that cannot be repaired, below `path`; or NULL */
    bool any;      /* of its files was, or would be, repaired */
    bool is_given; /* not only some file of it */
};

/* One run of the verb. */
struct run {
    const struct repair_options *options;
    uint64_t to_do, failed;
    bool any;            /* recording or ledger, or what is named as one, is there */
    struct entry *files; /* looked at */
    size_t file_count;
    struct session *sessions; /* in the order in which they were found */
    size_t session_count;
};

static void note_refused(struct session *session, const char *path)
{
    size_t length = strlen(session->path);

    if (session->refused)
        return;
    if (strncmp(path, session->path, length) == 0 && path[length] == '/')
        path += length + 1;
    session->refused = strdup(path);
}

static void refuse(struct run *run, struct session *session, const char *path, const char *why)
{
    repair_say_refused(run->options, path, why);
    run->failed++;
    if (session)
        note_refused(session, path);
}

/* ---- what was looked at ---- */

static bool is_same(const struct identity *a, const struct stat *b)
{
    return a->dev == b->st_dev && a->ino == b->st_ino;
}

/* Without memory: true. */
static bool is_first_time(struct run *run, int dir_fd, const char *name)
{
    struct entry *grown, *entry;
    struct stat st;

    if (fstat(dir_fd, &st) != 0)
        return true;
    for (size_t i = 0; i < run->file_count; i++)
        if (is_same(&run->files[i].folder, &st) && strcmp(run->files[i].name, name) == 0)
            return false;
    grown = realloc(run->files, (run->file_count + 1) * sizeof *grown);
    if (!grown)
        return true;
    run->files = grown;
    entry = &grown[run->file_count];
    *entry = (struct entry){{st.st_dev, st.st_ino}, strdup(name)};
    run->file_count += entry->name != NULL;
    return true;
}

/* NULL: there is no such folder, or no memory. The pointer is good until the next call. */
static struct session *find_session(struct run *run, const char *path)
{
    struct session *grown, *session;
    struct stat st;

    if (path[0] == '\0' || stat(path, &st) != 0)
        return NULL;
    for (size_t i = 0; i < run->session_count; i++)
        if (is_same(&run->sessions[i].identity, &st))
            return &run->sessions[i];
    grown = realloc(run->sessions, (run->session_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    run->sessions = grown;
    session = &grown[run->session_count];
    *session = (struct session){.identity = {st.st_dev, st.st_ino}, .path = strdup(path)};
    if (!session->path)
        return NULL;
    run->session_count++;
    return session;
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

/* A *.fits.part. */
static void repair_one(struct run *run, struct session *session, const char *folder, int dir_fd,
                       const char *name)
{
    struct verify_doubts doubts = {0};
    struct repair_file file;
    char path[4096];
    int r;

    if (!is_first_time(run, dir_fd, name))
        return;
    r = repair_file(&file, dir_fd, name, run->options->apply, &sink_backend_system, NULL);
    snprintf(path, sizeof path, "%.3900s/%.180s", folder, name);
    if (r == 0 && run->options->apply)
        read_back(folder, &file, &doubts);
    run->failed += file.verdict == REPAIR_REFUSED || doubts.count > 0;
    run->to_do += r == 0;
    if (session)
        session->any = session->any || r == 0;
    if (session && file.verdict == REPAIR_REFUSED)
        note_refused(session, path);
    repair_say_file(run->options, path, &file, &doubts);
    verify_doubts_free(&doubts);
}

/* Anything else. In a folder others' files are none of our business; one that was named is. */
static void look_at_one(struct run *run, struct session *session, const char *folder, int dir_fd,
                        const char *name, bool is_argument)
{
    struct dao_text text;
    char path[4096];
    int r = repair_look_at_finished(dir_fd, name, &text);

    if (r == 0 || (r != -EINPROGRESS && !is_argument) || !is_first_time(run, dir_fd, name))
        return;
    snprintf(path, sizeof path, "%.3900s/%.180s", folder, name);
    refuse(run, session, path, text.s);
}

/* A folder is a session by its ledger or by its name; no other gets a ledger from us. */
static bool is_session(const char *path)
{
    char ledger[4200], whole[4096];
    const char *name = find_base_of(path);
    struct stat st;

    snprintf(ledger, sizeof ledger, "%.4090s/session.json", path);
    if (lstat(ledger, &st) == 0)
        return true;
    if (strcmp(path, ".") == 0 || strcmp(path, "..") == 0) /* its name is not in the path */
        name = realpath(path, whole) ? find_base_of(whole) : path;
    return tree_session_start(name) != 0;
}

static void repair_ledger(struct run *run, const struct session *session)
{
    unsigned how = (run->options->apply ? REBUILD_APPLY : 0) | (session->any ? REBUILD_ANYWAY : 0);
    struct rebuild ledger;

    if (!is_session(session->path) || (!session->is_given && !session->any))
        return;
    rebuild_ledger(&ledger, session->path, how, session->refused);
    run->to_do += ledger.verdict == REBUILD_WRITE;
    run->failed += ledger.verdict == REBUILD_REFUSED;
    if (ledger.verdict == REBUILD_WRITE || ledger.verdict == REBUILD_REFUSED)
        repair_say_ledger(run->options, session->path, &ledger);
}

/* ---- arguments ---- */

static void repair_folder(struct run *run, struct session *session,
                          const struct find_folder *folder)
{
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        refuse(run, session, folder->path, strerror(errno));
        return;
    }
    for (size_t i = 0; i < folder->name_count; i++)
        if (find_is_part(folder->names[i]))
            repair_one(run, session, folder->path, fd, folder->names[i]);
        else
            look_at_one(run, session, folder->path, fd, folder->names[i], false);
    for (size_t i = 0; i < folder->link_count; i++) /* these are refused, which names them */
        if (find_is_part(folder->links[i]))
            repair_one(run, session, folder->path, fd, folder->links[i]);
    for (size_t i = 0; i < folder->odd_count; i++)
        repair_one(run, session, folder->path, fd, folder->odd[i]);
    close(fd);
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

static void repair_tree(struct run *run, const struct find_tree *tree)
{
    run->any = run->any || tree->folder_count > 0;
    for (size_t i = 0; i < tree->folder_count; i++) {
        const struct find_folder *folder = &tree->folders[i];
        struct session *session;
        char path[4096];

        if (folder->has_ledger || folder->has_odd_ledger)
            snprintf(path, sizeof path, "%s", folder->path);
        else
            session_of(folder->path, path, sizeof path);
        session = find_session(run, path);
        if (session)
            session->is_given = true;
        repair_folder(run, session, folder);
    }
}

static void repair_named_file(struct run *run, const char *path)
{
    const char *name = find_base_of(path);
    char folder[4096], session[4096];
    int fd;

    find_folder_of(path, folder, sizeof folder);
    session_of(folder, session, sizeof session);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        refuse(run, NULL, path, strerror(errno));
        return;
    }
    if (find_is_part(path))
        repair_one(run, find_session(run, session), folder, fd, name);
    else
        look_at_one(run, NULL, folder, fd, name, true);
    close(fd);
}

static void repair_argument(struct run *run, const char *path)
{
    struct find_tree tree;
    struct stat st;
    int r;

    if (lstat(path, &st) != 0) {
        refuse(run, NULL, path, strerror(errno));
        return;
    }
    if (S_ISLNK(st.st_mode) && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        refuse(run, NULL, path, "is a link; give the file itself");
        return;
    }
    if (!S_ISDIR(st.st_mode) && strcmp(find_base_of(path), "session.json") == 0) {
        refuse(run, NULL, path, "is a ledger; give the folder that it is in");
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        run->any = true;
        repair_named_file(run, path);
        return;
    }
    r = find_tree_scan(&tree, path, FIND_FOLDERS_MAX);
    if (r < 0)
        refuse(run, NULL, path, strerror(-r));
    else if (tree.error < 0)
        refuse(run, NULL, tree.error_path, strerror(-tree.error));
    else if (tree.is_partial)
        refuse(run, NULL, path, "too many folders; give some of them");
    if (r < 0)
        return;
    repair_tree(run, &tree);
    find_tree_free(&tree);
}

static void free_run(struct run *run)
{
    for (size_t i = 0; i < run->session_count; i++) {
        free(run->sessions[i].path);
        free(run->sessions[i].refused);
    }
    for (size_t i = 0; i < run->file_count; i++)
        free(run->files[i].name);
    free(run->sessions);
    free(run->files);
}

int cli_repair(int argc, char **argv)
{
    struct repair_options options = {0};
    struct run run = {.options = &options};
    int first = options_parse(&usage, argc, argv, &options), status;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("repair: give a file, or a folder to look through");
        return EXIT_WRONG_USAGE;
    }
    for (int i = first; i < argc; i++)
        repair_argument(&run, argv[i]);
    for (size_t i = 0; i < run.session_count; i++)
        repair_ledger(&run, &run.sessions[i]);
    if (run.to_do == 0 && run.failed == 0 && !options.json)
        printf("nothing to repair%s\n", run.any ? "" : ": no recording and no ledger is there");
    else if (run.to_do > 0 && !options.apply)
        log_info("nothing was changed; with --apply it is done");
    status = run.failed ? EXIT_FAILED : EXIT_DONE;
    free_run(&run);
    return status;
}
