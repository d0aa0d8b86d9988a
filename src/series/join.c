/* join.c - which files belong to one series, and in which order. See files.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "recording/find.h"
#include "series/files.h"

/* ---- names ---- */

/* A file's name without what tells that it is FITS. */
void series_stem(char *ret, size_t ret_bytes, const char *name)
{
    static const char *const tails[] = {".part", ".fz", ".fits", ".fit", ".fts", NULL};

    snprintf(ret, ret_bytes, "%s", name);
    for (int i = 0; tails[i]; i++) {
        size_t length = strlen(ret), tail = strlen(tails[i]);

        if (length > tail && strcmp(ret + length - tail, tails[i]) == 0)
            ret[length - tail] = '\0';
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Take the last number out of a stem. A cube's counts only where no letter is in front of it: wfs_2
 * follows wfs_1, but dm2 is another mirror than dm1. */
uint64_t series_take_number(char *stem, bool is_any)
{
    size_t end = strlen(stem), from;
    unsigned long long number;

    while (end > 0 && !is_digit(stem[end - 1]))
        end--;
    for (from = end; from > 0 && is_digit(stem[from - 1]);)
        from--;
    if (from == end || (!is_any && from > 0 && !strchr("_-.+ ", stem[from - 1])))
        return 0;
    number = strtoull(stem + from, NULL, 10);
    stem[from] = '#';
    memmove(stem + from + 1, stem + end, strlen(stem + end) + 1);
    return number;
}

/* ---- which belong together ---- */

int series_set_key(struct series_file *file)
{
    const struct dao_geometry *geometry = &file->geometry;
    char folder[4096], stem[512];
    int n;

    if (file->is_ours) {
        n = asprintf(&file->key, "0\n%s\n%s", file->uuid, file->stream);
    } else {
        find_folder_of(file->path, folder, sizeof folder);
        series_stem(stem, sizeof stem, find_base_of(file->path));
        file->number = series_take_number(stem, file->kind == SERIES_UNITS);
        n = asprintf(&file->key, "1\n%s\n%s\n%s\n%u\n%u.%u.%u", folder, stem, file->stream,
                     geometry->dtype->atype, geometry->size[0], geometry->size[1],
                     geometry->size[2]);
    }
    if (n < 0)
        file->key = NULL;
    return n < 0 ? -ENOMEM : 0;
}

static int compare_files(const void *a, const void *b)
{
    const struct series_file *x = a, *y = b;
    int order = strcmp(x->key, y->key);

    if (order != 0)
        return order;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    order = strcmp(x->path, y->path);
    return order != 0 ? order : (int)x->run - (int)y->run;
}

static int compare_identity(const void *a, const void *b)
{
    const struct series_file *x = a, *y = b;

    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    if (x->run != y->run)
        return x->run < y->run ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* A file that is named twice, or by a link, is one; two that call themselves the same number of a
 * stream cannot both be it. */
int series_drop_doubles(struct series_pile *pile, struct dao_text *text)
{
    size_t kept = 0;

    if (pile->count > 0)
        qsort(pile->file, pile->count, sizeof *pile->file, compare_identity);
    for (size_t i = 0; i < pile->count; i++) {
        struct series_file *file = &pile->file[i];
        const struct series_file *before = kept ? &pile->file[kept - 1] : NULL;

        if (before && before->device == file->device && before->inode == file->inode &&
            before->run == file->run)
            series_file_free(file);
        else
            pile->file[kept++] = *file;
    }
    pile->count = kept;
    if (pile->count > 0)
        qsort(pile->file, pile->count, sizeof *pile->file, compare_files);
    for (size_t i = 1; i < pile->count; i++) {
        struct series_file *a = &pile->file[i - 1], *b = &pile->file[i];

        if (!b->is_ours || strcmp(a->key, b->key) != 0 || a->number != b->number)
            continue;
        if (a->is_part != b->is_part) {
            struct series_file *part = a->is_part ? a : b;

            log_warning("%s is left out: %s is the same file of its stream, finished", part->path,
                        (a->is_part ? b : a)->path);
            series_pile_drop(pile, (size_t)(part - pile->file));
            i--;
            continue;
        }
        snprintf(text->s, sizeof text->s,
                 "%.150s and %.150s are both file %llu of one stream: give one of them", a->path,
                 b->path, (unsigned long long)b->number);
        return -EINVAL;
    }
    return 0;
}

/* Files of others follow each other only where their times do. */
bool series_is_in_order(const struct series_file *file, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (!file[i].is_ours && file[i].has_times && file[i - 1].has_times &&
            file[i].begin_ns < file[i - 1].end_ns)
            return false;
    return true;
}
