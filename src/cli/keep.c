/*
 * keep.c - daorec keep: mark recordings that --keep-files and the like must not remove, or take the
 * mark away. Of a folder all that is there now, also what is being recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "cli/cli.h"
#include "recording/find.h"
#include "recording/mark.h"

struct keep_options {
    bool undo, quiet;
};

static const struct option_spec specs[] = {
    {"undo", 0, OPTION_FLAG, offsetof(struct keep_options, undo), NULL, "take the mark away", 0, 0},
    {"quiet", 'q', OPTION_FLAG, offsetof(struct keep_options, quiet), NULL, "errors only", 0, 0},
    {NULL, 0, 0, 0, NULL, NULL, 0, 0},
};

static const struct verb_usage usage = {
    .verb = "keep",
    .arguments = "FILE|DIR...",
    .summary = "Mark recordings so that `record --keep-files`, --keep-size and --keep-time never "
               "remove\nthem: a file FILE.keep beside each. Of a folder, all that is in it now.",
    .specs = specs,
};

static const char *reason(int error)
{
    switch (error) {
    case -EINVAL:
        return "is no recording: a file named *.fits or *.fits.part is wanted";
    case -ENOENT:
        return "is not there (any more)";
    case -EWOULDBLOCK:
        return "is being removed or repaired by somebody; try again";
    default:
        return strerror(-error);
    }
}

/* True: it is as it was asked for. */
static bool keep_file(const struct keep_options *options, int dir_fd, const char *path,
                      const char *name)
{
    int r = options->undo ? mark_clear(dir_fd, name) : mark_set(dir_fd, name);

    if (r < 0)
        log_error("%s: %s", path, reason(r));
    else if (!options->quiet)
        printf("%s: %s\n", path, options->undo ? "may be removed again" : "is kept");
    return r == 0;
}

static bool keep_folder(const struct keep_options *options, const struct find_folder *folder)
{
    int dir_fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[4096];
    bool all = true;

    if (dir_fd < 0) {
        log_error("%s: %s", folder->path, strerror(errno));
        return false;
    }
    for (size_t i = 0; i < folder->name_count; i++) {
        snprintf(path, sizeof path, "%.3800s/%.250s", folder->path, folder->names[i]);
        all = keep_file(options, dir_fd, path, folder->names[i]) && all;
    }
    close(dir_fd);
    return all;
}

static bool keep_tree(const struct keep_options *options, const char *path)
{
    struct find_tree tree;
    size_t names = 0;
    int r = find_tree_scan(&tree, path, FIND_FOLDERS_MAX);
    bool all = r == 0 && tree.error == 0;

    if (!all)
        log_error("%s: %s", tree.error ? tree.error_path : path,
                  strerror(tree.error ? -tree.error : -r));
    for (size_t i = 0; i < tree.folder_count && r == 0; i++) {
        names += tree.folders[i].name_count;
        all = keep_folder(options, &tree.folders[i]) && all;
    }
    if (all && names == 0) {
        log_error("%s: there is no recording in it", path);
        all = false;
    }
    find_tree_free(&tree);
    return all;
}

static bool keep(const struct keep_options *options, const char *path)
{
    char folder[4096];
    struct stat st;
    int dir_fd;
    bool done;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return keep_tree(options, path);
    find_folder_of(path, folder, sizeof folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        log_error("%s: %s", path, strerror(errno));
        return false;
    }
    done = keep_file(options, dir_fd, path, find_base_of(path));
    close(dir_fd);
    return done;
}

int cli_keep(int argc, char **argv)
{
    struct keep_options options = {0};
    int first = options_parse(&usage, argc, argv, &options);
    bool all = true;

    if (first < 0)
        return cli_status_of_parse(first);
    if (first == argc) {
        log_error("keep: which recording? Give files, or folders with files");
        return EXIT_WRONG_USAGE;
    }
    for (int i = first; i < argc; i++)
        all = keep(&options, argv[i]) && all;
    return all ? EXIT_DONE : EXIT_FAILED;
}
