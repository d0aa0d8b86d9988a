/*
 * find.h - recordings below a folder: which files and ledgers there are. Any thread, blocking.
 *
 * Links are never followed, hidden names never taken, nor files that were copied into a session;
 * how deep and how much is bounded. Links and other things with a recording's name are told apart,
 * so that they can be named.
 */
#ifndef DAOREC_RECORDING_FIND_H
#define DAOREC_RECORDING_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"

#define FIND_DEPTH_MAX   4 /* folders below the one given: a root has sessions, they have streams */
#define FIND_FOLDERS_MAX 200000u
#define FIND_NAMES_MAX   4000000u

/* Of a session's copies (copies.h): what is in it may be FITS, too, and is passed by. */
#define COPIES_FOLDER "files.d"

/* A folder with *.fits or *.fits.part in it, or a session.json. */
struct find_folder {
    char *path;
    char **names; /* of the files, sorted; without session.json */
    size_t name_count;
    char **links; /* names of that kind that are links, sorted */
    size_t link_count;
    char **odd; /* named *.fits.part, and neither file, link nor folder: pipes, devices; sorted */
    size_t odd_count;
    bool has_ledger;     /* session.json is a file */
    bool has_odd_ledger; /* or something else but a folder */
};

struct find_tree {
    struct find_folder *folders; /* sorted by path */
    size_t folder_count;
    bool takes_any;
    size_t looked_at; /* folders opened */
    size_t names;
    bool is_partial; /* the limit on folders was reached */
    int error;       /* the first errno of a folder that could not be read, negative */
    char error_path[256];
};

/* Collect what is below `path`. Sessions are visited newest first, so that what a limit leaves out
 * is old. 0; negative errno where `path` itself cannot be read. */
int find_tree_scan(struct find_tree *ret, const char *path, size_t folders_max);
/* The same with FITS files as others name them, too: *.fits.fz, *.fit, *.fts. */
int find_tree_scan_any(struct find_tree *ret, const char *path, size_t folders_max);
void find_tree_free(struct find_tree *tree); /* safe on a zeroed one */

/* Unfinished files below `root` whose recorder does not live any more, in the first folders_max
 * folders, the newest sessions first; *ret_partial: there are more. Asking takes each file's lock
 * for an instant. */
size_t find_count_orphans(const char *root, size_t folders_max, bool *ret_partial);

bool find_is_part(const char *name); /* ends in ".fits.part" */

/* The name of a file behind its folders: what follows the last slash. */
const char *find_base_of(const char *path);
/* The folder of a path ("." where it has none) into ret, of ret_bytes. */
void find_folder_of(const char *path, char *ret, size_t ret_bytes);

#endif
