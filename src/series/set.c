/*
 * set.c - what the arguments of a command lead to: files are collected, joined to series, told
 * apart by name, and put in order. See series.h.
 *
 * What can fail: a file that goes between two of these steps; then the folders are looked at again.
 */
#include "series/series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/units.h"
#include "series/files.h"

#define LOOKS_AGAIN 3u /* at folders, a file of which was removed between two steps */

/* ---- from the pile ---- */

static int append_series(struct series_set *set, struct series_file *file, size_t count,
                         struct dao_text *text)
{
    struct series *grown = realloc(set->series, (set->count + 1) * sizeof *set->series);

    if (!grown)
        return -ENOMEM;
    set->series = grown;
    return series_make(&set->series[set->count++], file, count, text);
}

static int join(struct series_set *set, struct series_pile *pile, struct dao_text *text)
{
    int r = 0;

    for (size_t i = 0; i < pile->count && r == 0;) {
        size_t count = 1, step;

        while (i + count < pile->count && strcmp(pile->file[i].key, pile->file[i + count].key) == 0)
            count++;
        step = series_is_in_order(&pile->file[i], count) ? count : 1;
        for (size_t k = 0; k < count && r == 0; k += step)
            r = append_series(set, &pile->file[i + k], step, text);
        i += count;
    }
    return r;
}

/* ---- their names ---- */

static bool shares_name(const struct series_set *set, size_t at)
{
    const struct series *series = &set->series[at];

    for (size_t i = 0; i < set->count; i++)
        if (i != at && strcmp(set->series[i].stream, series->stream) == 0 &&
            strcmp(set->series[i].files->file[0].path, series->files->file[0].path) == 0)
            return true;
    return false;
}

/* Images of several shapes in one file: without the shape in their names nobody could ask for one
 * of them. */
static int tell_apart(struct series_set *set)
{
    bool *is_shared = calloc(set->count + 1, sizeof *is_shared);

    if (!is_shared)
        return -ENOMEM;
    for (size_t i = 0; i < set->count; i++)
        is_shared[i] = shares_name(set, i);
    for (size_t i = 0; i < set->count; i++) {
        struct series *series = &set->series[i];
        const struct dao_geometry *geometry = &series->parts[0].geometry;
        size_t length = strlen(series->stream);

        for (int axis = 0; axis < geometry->naxis && is_shared[i]; axis++)
            length = units_append(series->stream, sizeof series->stream, length, "%c%u",
                                  axis ? 'x' : '_', geometry->size[axis]);
        if (is_shared[i])
            units_append(series->stream, sizeof series->stream, length, "_%s",
                         geometry->dtype->name);
    }
    free(is_shared);
    return 0;
}

static int compare_series(const void *a, const void *b)
{
    const struct series *x = a, *y = b;
    int64_t left = x->files->file[0].begin_ns, right = y->files->file[0].begin_ns;

    return left != right ? (left < right ? -1 : 1) : strcmp(x->stream, y->stream);
}

static bool is_wanted(const char *stream, const char *const *streams)
{
    for (size_t i = 0; streams[i]; i++)
        if (strcmp(stream, streams[i]) == 0)
            return true;
    return false;
}

static int keep_streams(struct series_set *set, const char *const *streams, struct dao_text *text)
{
    char names[256] = "";
    size_t kept = 0;

    for (size_t i = 0; streams[i]; i++) {
        bool is_there = false;

        for (size_t k = 0; k < set->count; k++)
            is_there = is_there || strcmp(set->series[k].stream, streams[i]) == 0;
        for (size_t k = 0; k < set->count && !is_there; k++) {
            size_t used = strlen(names);

            snprintf(names + used, sizeof names - used, "%s%.60s", k ? ", " : "",
                     set->series[k].stream);
        }
        if (is_there)
            continue;
        snprintf(text->s, sizeof text->s, "there is no stream '%.60s', but %s", streams[i], names);
        return -ENOENT;
    }
    for (size_t k = 0; k < set->count; k++) {
        if (is_wanted(set->series[k].stream, streams))
            set->series[kept++] = set->series[k];
        else
            series_free(&set->series[k]);
    }
    set->count = kept;
    return 0;
}

/* ---- all of it ---- */

static int open_set(struct series_set *set, char *const *paths, size_t path_count,
                    const struct series_options *options, bool is_last, struct dao_text *text)
{
    const struct series_look look = {options ? options->frame_axis : 0, is_last};
    struct series_pile pile = {0};
    int r = series_collect(&pile, paths, path_count, &look, text);

    if (r == 0)
        r = series_drop_doubles(&pile, text);
    if (r == 0)
        r = join(set, &pile, text);
    for (size_t i = 0; i < pile.count; i++)
        series_file_free(&pile.file[i]);
    free(pile.file);
    if (r == 0 && set->count == 0) {
        snprintf(text->s, sizeof text->s,
                 "%.250s: no frames there; give a recording, a folder with recordings or another "
                 "FITS file",
                 path_count > 0 ? paths[0] : "");
        return -ENOENT;
    }
    if (r == 0)
        r = tell_apart(set);
    if (r == 0 && options && options->streams)
        r = keep_streams(set, options->streams, text);
    if (r == 0)
        qsort(set->series, set->count, sizeof *set->series, compare_series);
    return r;
}

int series_set_open(struct series_set *ret, char *const *paths, size_t path_count,
                    const struct series_options *options, struct dao_text *text)
{
    int r = -ESTALE;

    *ret = (struct series_set){0};
    for (unsigned look = 0; look <= LOOKS_AGAIN && r == -ESTALE; look++) {
        if (look > 0)
            log_info("%s; its folder is listed again", text->s);
        series_set_close(ret);
        text->s[0] = '\0';
        r = open_set(ret, paths, path_count, options, look == LOOKS_AGAIN, text);
    }
    if (r < 0) {
        if (text->s[0] == '\0')
            snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        series_set_close(ret);
    }
    return r;
}

void series_set_close(struct series_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        series_free(&set->series[i]);
    free(set->series);
    *set = (struct series_set){0};
}

void series_set_span(const struct series_set *set, int64_t *ret_begin_ns, int64_t *ret_end_ns)
{
    *ret_begin_ns = *ret_end_ns = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct series_files *files = set->series[i].files;
        int64_t begin_ns = 0, end_ns = 0;

        /* Files of others among them may have no times. */
        for (size_t k = 0; k < files->count && begin_ns == 0; k++)
            begin_ns = files->file[k].begin_ns;
        for (size_t k = files->count; k > 0 && end_ns == 0; k--)
            end_ns = files->file[k - 1].end_ns;
        if (begin_ns > 0 && (*ret_begin_ns == 0 || begin_ns < *ret_begin_ns))
            *ret_begin_ns = begin_ns;
        if (end_ns > *ret_end_ns)
            *ret_end_ns = end_ns;
    }
}
