/*
 * collect.c - the files that paths lead to. See files.h.
 *
 * What can go wrong: a file of a folder is renamed, or removed by a ring of files, between listing
 * and opening; it is no FITS, or damaged: it is left out with a warning, unless it was named.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "recording/find.h"
#include "series/files.h"

/* A file that is being recorded may be closed, and lose ".part", between listing and opening. */
static int probe_file(struct series_pile *pile, const char *path, bool is_named,
                      unsigned frame_axis, struct dao_text *text)
{
    int r = series_probe(pile, path, is_named, frame_axis, text);
    char closed[4096];

    if (r != -ENOENT || !find_is_part(path) || strlen(path) >= sizeof closed)
        return r;
    snprintf(closed, sizeof closed, "%.*s", (int)(strlen(path) - strlen(".part")), path);
    return series_probe(pile, closed, is_named, frame_axis, text);
}

static int take_file(struct series_pile *pile, const char *path, bool is_named,
                     const struct series_look *look, struct dao_text *text)
{
    struct dao_text what = {""};
    int r = probe_file(pile, path, is_named, look->frame_axis, &what);
    bool is_gone = r == -ENOENT && !is_named;

    if (r < 0 && (is_named || r == -ENOMEM || (is_gone && !look->is_last))) {
        *text = what;
        return is_gone ? -ESTALE : r;
    }
    if (r < 0)
        log_warning("%s; left out", what.s);
    return 0;
}

static int take_folder(struct series_pile *pile, const char *path, const struct series_look *look,
                       struct dao_text *text)
{
    struct find_tree tree;
    int r = find_tree_scan_any(&tree, path, FIND_FOLDERS_MAX);

    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: %s", path, strerror(-r));
        return r;
    }
    if (tree.error == -ENOENT && !look->is_last) { /* a folder in it went */
        snprintf(text->s, sizeof text->s, "%.200s: %s", tree.error_path, strerror(ENOENT));
        find_tree_free(&tree);
        return -ESTALE;
    }
    if (tree.error < 0)
        log_warning("%s: %s; left out", tree.error_path, strerror(-tree.error));
    if (tree.is_partial)
        log_warning("%s: too many folders; the oldest are left out", path);
    for (size_t i = 0; i < tree.folder_count && r == 0; i++) {
        const struct find_folder *folder = &tree.folders[i];

        for (size_t k = 0; k < folder->name_count && r == 0; k++) {
            char file[4096];

            if (snprintf(file, sizeof file, "%s/%s", folder->path, folder->names[k]) <
                (int)sizeof file)
                r = take_file(pile, file, false, look, text);
        }
    }
    find_tree_free(&tree);
    return r;
}

int series_collect(struct series_pile *pile, char *const *paths, size_t path_count,
                   const struct series_look *look, struct dao_text *text)
{
    int r = 0;

    for (size_t i = 0; i < path_count && r == 0; i++) {
        struct stat st;

        if (stat(paths[i], &st) != 0) {
            r = -errno;
            snprintf(text->s, sizeof text->s, "%.250s: %s", paths[i], strerror(-r));
        } else if (S_ISDIR(st.st_mode)) {
            r = take_folder(pile, paths[i], look, text);
        } else {
            r = take_file(pile, paths[i], true, look, text);
        }
    }
    for (size_t i = pile->count; i-- > 0;)
        if (pile->file[i].frames == 0)
            series_pile_drop(pile, i);
    for (size_t i = 0; i < pile->count && r == 0; i++)
        r = series_set_key(&pile->file[i]);
    return r;
}
