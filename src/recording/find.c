/* find.c - see find.h. */
#include "recording/find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *tail)
{
    size_t length = strlen(name), tail_length = strlen(tail);

    return length > tail_length && strcmp(name + length - tail_length, tail) == 0;
}

bool find_is_part(const char *name)
{
    return ends_with(name, ".fits.part");
}

const char *find_base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void find_folder_of(const char *path, char *ret, size_t ret_bytes)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        snprintf(ret, ret_bytes, ".");
    else
        snprintf(ret, ret_bytes, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* ---- one folder ---- */

struct listing {
    bool takes_any;
    char **files, **links, **odd, **folders;
    size_t file_count, link_count, odd_count, folder_count;
    bool has_ledger, has_odd_ledger;
};

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static int append_name(char ***names, size_t *count, const char *name)
{
    char **grown = realloc(*names, (*count + 1) * sizeof *grown), *copy = strdup(name);

    *names = grown ? grown : *names;
    if (!grown || !copy) {
        free(copy);
        return -ENOMEM;
    }
    grown[(*count)++] = copy;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_names(char **names, size_t count)
{
    if (count > 0)
        qsort(names, count, sizeof *names, compare_names);
}

/* S_IFREG, S_IFDIR, S_IFLNK or something else, links not followed. */
static mode_t kind_of(int dir_fd, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_type == DT_REG)
        return S_IFREG;
    if (entry->d_type == DT_DIR)
        return S_IFDIR;
    if (entry->d_type == DT_LNK)
        return S_IFLNK;
    if (entry->d_type != DT_UNKNOWN ||
        fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    return st.st_mode & S_IFMT;
}

static bool is_recording(const char *name)
{
    return ends_with(name, ".fits") || find_is_part(name);
}

/* As others name FITS files. */
static bool is_fits(const char *name)
{
    return ends_with(name, ".fits.fz") || ends_with(name, ".fit") || ends_with(name, ".fts");
}

static int take_entry(struct listing *listing, int dir_fd, const struct dirent *entry)
{
    const char *name = entry->d_name;
    bool is_ours = is_recording(name) || (listing->takes_any && is_fits(name));
    mode_t kind;

    if (name[0] == '.')
        return 0;
    kind = kind_of(dir_fd, entry);
    if (kind == S_IFDIR && strcmp(name, COPIES_FOLDER) == 0)
        return 0;
    if (kind == S_IFDIR)
        return append_name(&listing->folders, &listing->folder_count, name);
    if (kind == S_IFREG && is_ours)
        return append_name(&listing->files, &listing->file_count, name);
    if (kind == S_IFLNK && is_ours)
        return append_name(&listing->links, &listing->link_count, name);
    if (find_is_part(name))
        return append_name(&listing->odd, &listing->odd_count, name);
    if (strcmp(name, "session.json") == 0) {
        listing->has_ledger = kind == S_IFREG;
        listing->has_odd_ledger = kind != S_IFREG;
    }
    return 0;
}

static int list_folder(struct listing *ret, int dir_fd)
{
    DIR *dir = fdopendir(dir_fd);
    struct dirent *entry;
    int r = 0;

    if (!dir) {
        r = -errno;
        close(dir_fd);
        return r;
    }
    while (r == 0 && (errno = 0, entry = readdir(dir)))
        r = take_entry(ret, dirfd(dir), entry);
    closedir(dir);
    if (r == 0) {
        sort_names(ret->files, ret->file_count);
        sort_names(ret->links, ret->link_count);
        sort_names(ret->odd, ret->odd_count);
        sort_names(ret->folders, ret->folder_count);
    }
    return r;
}

/* ---- all of them ---- */

static void note_error(struct find_tree *tree, const char *path, int error)
{
    if (tree->error == 0) {
        tree->error = error;
        snprintf(tree->error_path, sizeof tree->error_path, "%.250s", path);
    }
}

/* The listing's names, but for folders, become the tree's. */
static int append_folder(struct find_tree *tree, const char *path, struct listing *listing)
{
    struct find_folder *grown = realloc(tree->folders, (tree->folder_count + 1) * sizeof *grown);
    char *copy = strdup(path);

    tree->folders = grown ? grown : tree->folders;
    if (!grown || !copy) {
        free(copy);
        return -ENOMEM;
    }
    tree->names += listing->file_count + listing->link_count;
    grown[tree->folder_count++] = (struct find_folder){.path = copy,
                                                       .names = listing->files,
                                                       .name_count = listing->file_count,
                                                       .links = listing->links,
                                                       .link_count = listing->link_count,
                                                       .odd = listing->odd,
                                                       .odd_count = listing->odd_count,
                                                       .has_ledger = listing->has_ledger,
                                                       .has_odd_ledger = listing->has_odd_ledger};
    listing->files = listing->links = listing->odd = NULL;
    listing->file_count = listing->link_count = listing->odd_count = 0;
    return 0;
}

static int visit(struct find_tree *tree, int parent_fd, const char *name, const char *path,
                 int depth, size_t folders_max)
{
    struct listing listing = {.takes_any = tree->takes_any};
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0);
    int fd = openat(parent_fd, name, flags), keep_fd = -1, r = 0;

    if (fd < 0)
        return -errno;
    tree->looked_at++;
    keep_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    r = keep_fd < 0 ? -errno : 0;
    if (r < 0)
        close(fd);
    else
        r = list_folder(&listing, fd);
    if (r == 0 && (listing.file_count + listing.link_count + listing.odd_count > 0 ||
                   listing.has_ledger || listing.has_odd_ledger))
        r = append_folder(tree, path, &listing);
    for (size_t i = listing.folder_count; i-- > 0 && r == 0 && depth < FIND_DEPTH_MAX;) {
        char below[4096];
        int error;

        if (tree->looked_at >= folders_max || tree->names >= FIND_NAMES_MAX) {
            tree->is_partial = true;
            break;
        }
        if (snprintf(below, sizeof below, "%s/%s", path, listing.folders[i]) >= (int)sizeof below)
            continue;
        error = visit(tree, keep_fd, listing.folders[i], below, depth + 1, folders_max);
        if (error == -ENOMEM)
            r = error;
        else if (error < 0)
            note_error(tree, below, error);
    }
    free_names(listing.files, listing.file_count);
    free_names(listing.links, listing.link_count);
    free_names(listing.odd, listing.odd_count);
    free_names(listing.folders, listing.folder_count);
    if (keep_fd >= 0)
        close(keep_fd);
    return r;
}

static int rank(char c)
{
    return c == '\0' ? 0 : c == '/' ? 1 : 2 + (unsigned char)c;
}

/* A folder is followed by all that is below it, also where other names begin with its own. */
static int compare_folders(const void *a, const void *b)
{
    const char *x = ((const struct find_folder *)a)->path;
    const char *y = ((const struct find_folder *)b)->path;

    while (*x && *x == *y) {
        x++;
        y++;
    }
    return rank(*x) - rank(*y);
}

static int scan(struct find_tree *ret, const char *path, size_t folders_max, bool takes_any)
{
    char start[4096];
    size_t length = strlen(path);
    int r;

    *ret = (struct find_tree){.takes_any = takes_any};
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0 || length >= sizeof start)
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    snprintf(start, sizeof start, "%.*s", (int)length, path);
    r = visit(ret, AT_FDCWD, start, strcmp(start, "/") == 0 ? "" : start, 0, folders_max);
    if (r == 0 && ret->folder_count > 0)
        qsort(ret->folders, ret->folder_count, sizeof *ret->folders, compare_folders);
    if (r < 0)
        find_tree_free(ret);
    return r;
}

int find_tree_scan(struct find_tree *ret, const char *path, size_t folders_max)
{
    return scan(ret, path, folders_max, false);
}

int find_tree_scan_any(struct find_tree *ret, const char *path, size_t folders_max)
{
    return scan(ret, path, folders_max, true);
}

void find_tree_free(struct find_tree *tree)
{
    for (size_t i = 0; i < tree->folder_count; i++) {
        free_names(tree->folders[i].names, tree->folders[i].name_count);
        free_names(tree->folders[i].links, tree->folders[i].link_count);
        free_names(tree->folders[i].odd, tree->folders[i].odd_count);
        free(tree->folders[i].path);
    }
    free(tree->folders);
    *tree = (struct find_tree){0};
}

static bool is_orphan(const char *folder, const char *name)
{
    char path[4096];
    bool orphan;
    int fd;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    orphan = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return orphan;
}

size_t find_count_orphans(const char *root, size_t folders_max, bool *ret_partial)
{
    struct find_tree tree;
    size_t count = 0;

    *ret_partial = false;
    if (find_tree_scan(&tree, root, folders_max) < 0)
        return 0;
    for (size_t i = 0; i < tree.folder_count; i++)
        for (size_t k = 0; k < tree.folders[i].name_count; k++)
            count += find_is_part(tree.folders[i].names[k]) &&
                     is_orphan(tree.folders[i].path, tree.folders[i].names[k]);
    *ret_partial = tree.is_partial;
    find_tree_free(&tree);
    return count;
}
