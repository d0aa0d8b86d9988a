/* series.c - one series, made of files that belong together in their order. See series.h; which of
 * them do is join.c's and set.c's to tell. */
#include "series/series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "recording/find.h"
#include "series/reader.h"

/* ---- made of files ---- */

static void set_names(struct series *series, const struct series_file *file, bool is_joined)
{
    char stem[512];
    size_t length;

    snprintf(series->segment, sizeof series->segment, "%s", file->segment);
    snprintf(series->uuid, sizeof series->uuid, "%s", file->uuid);
    if (file->stream[0] != '\0') {
        snprintf(series->stream, sizeof series->stream, "%s", file->stream);
        return;
    }
    series_stem(stem, sizeof stem, find_base_of(file->path));
    if (is_joined) {
        series_take_number(stem, file->kind == SERIES_UNITS);
        length = strcspn(stem, "#");
        while (length > 0 && strchr("_-.+ ", stem[length - 1]))
            length--;
        stem[length] = '\0';
    }
    length = strcspn(stem, ".");
    if (length == 0) {
        series_stem(stem, sizeof stem, find_base_of(file->path));
        length = strlen(stem);
    }
    snprintf(series->stream, sizeof series->stream, "%.*s", length > 100 ? 100 : (int)length, stem);
}

static bool has_same_keywords(const struct series_part *part, const IMAGE_KEYWORD *keywords,
                              unsigned count)
{
    return part->keyword_count == count &&
           (count == 0 || memcmp(part->keywords, keywords, count * sizeof *keywords) == 0);
}

/* Removed, or replaced, since it was listed? */
static bool is_gone(int error)
{
    return error == -ENOENT || error == -ESTALE;
}

/* A file's frames go on with the last part, or begin another one: where the shape is another, and
 * in a recording where the segment's keywords are. Cards of others say many things of a file. */
static int add_to_parts(struct series *series, const struct series_file *file,
                        struct dao_text *text)
{
    struct series_part *part = series->part_count ? &series->parts[series->part_count - 1] : NULL;
    bool is_same = part && dao_geometry_same_shape(&part->geometry, &file->geometry);
    IMAGE_KEYWORD *keywords = NULL;
    struct series_part *grown;
    unsigned count = 0;
    int r = 0;

    if (!is_same || file->is_ours)
        r = series_keywords_read(file, &keywords, &count);
    if (is_gone(r)) {
        series_reader_fail(file, r, text);
        return file->is_named ? r : -ESTALE;
    }
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: cannot read its keywords: %s", file->path,
                 r == -ENODATA ? "it became shorter" : strerror(-r));
        return r;
    }
    if (is_same && (!file->is_ours || has_same_keywords(part, keywords, count))) {
        free(keywords);
        part->frames += file->frames;
        return 0;
    }
    grown = realloc(series->parts, (series->part_count + 1) * sizeof *series->parts);
    if (!grown) {
        free(keywords);
        return -ENOMEM;
    }
    series->parts = grown;
    series->parts[series->part_count++] = (struct series_part){.first = file->first,
                                                               .frames = file->frames,
                                                               .geometry = file->geometry,
                                                               .keywords = keywords,
                                                               .keyword_count = count};
    return 0;
}

/* How many frames the file `b` of a recording misses before its first one that its row does not
 * know of: they were in files that are not here. *ret_is_known: its row tells of a gap there. 0
 * where that cannot be told, or -ESTALE: one that was not named has gone. */
static int32_t missing_between(struct series_reader *reader, const struct series_file *a,
                               const struct series_file *b, bool *ret_is_known,
                               struct dao_text *text)
{
    struct dao_text what;
    struct fits_row last, first;
    uint64_t count;
    int r;

    if (a->frames == 0 || b->frames == 0)
        return 0;
    r = series_reader_peek(reader, b->first - 1, &last, &what);
    if (r == 0)
        r = series_reader_peek(reader, b->first, &first, &what);
    if (is_gone(r) && !(a->is_named && b->is_named)) {
        *text = what;
        return -ESTALE;
    }
    if (r < 0 || (first.flags & FITS_FLAG_RESET) || first.cnt0 <= last.cnt0)
        return 0;
    *ret_is_known = first.lost > 0;
    count = (uint64_t)first.cnt0 - (uint64_t)last.cnt0 - 1;
    if (count > INT32_MAX || count <= (uint64_t)first.lost)
        return 0;
    return (int32_t)(count - (uint64_t)first.lost);
}

static int note_missing(struct series *series, struct dao_text *text)
{
    struct series_file *file = series->files->file;
    struct series_reader *reader = NULL;
    int r = 0;

    for (size_t i = 1; i < series->files->count && r == 0; i++) {
        bool is_known = false;
        int32_t missing = 0;

        if (!file[i].is_ours || !file[i].rows_off || !file[i - 1].rows_off ||
            file[i].number <= file[i - 1].number + 1)
            continue;
        if (!reader)
            r = series_reader_open(&reader, series, 0, text);
        if (r == 0)
            missing = missing_between(reader, &file[i - 1], &file[i], &is_known, text);
        if (missing < 0)
            r = missing;
        else
            file[i].missing = missing;
        if (file[i].missing > 0 && !is_known && file[i].gaps >= 0)
            file[i].gaps++; /* which the header cannot know of */
        if (file[i].missing > 0)
            log_warning("%s: files before it are not here: %d frames are missing", file[i].path,
                        (int)file[i].missing);
    }
    series_reader_close(reader);
    return r;
}

int series_make(struct series *series, struct series_file *file, size_t count,
                struct dao_text *text)
{
    int r = 0;

    *series = (struct series){.files = calloc(1, sizeof *series->files)};
    if (series->files)
        series->files->file = calloc(count, sizeof *file);
    if (!series->files || !series->files->file)
        return -ENOMEM;
    set_names(series, file, count > 1);
    memcpy(series->files->file, file, count * sizeof *file);
    memset(file, 0, count * sizeof *file);
    series->files->count = count;
    file = series->files->file;
    for (size_t i = 0; i < count && r == 0; i++) {
        file[i].first = series->frames;
        series->frames += file[i].frames;
        series->has_times = series->has_times || file[i].has_times;
        series->has_counts = series->has_counts || file[i].has_counts;
        r = add_to_parts(series, &file[i], text);
    }
    return r == 0 ? note_missing(series, text) : r;
}

void series_free(struct series *series)
{
    for (unsigned i = 0; i < series->part_count; i++)
        free(series->parts[i].keywords);
    free(series->parts);
    for (size_t i = 0; series->files && i < series->files->count; i++)
        series_file_free(&series->files->file[i]);
    if (series->files)
        free(series->files->file);
    free(series->files);
    *series = (struct series){0};
}

/* ---- by index ---- */

const struct series_part *series_part_of(const struct series *series, uint64_t index)
{
    for (unsigned i = series->part_count; i-- > 0;)
        if (index >= series->parts[i].first)
            return &series->parts[i];
    return &series->parts[0];
}

/* ---- its files ---- */

size_t series_member_count(const struct series *series)
{
    return series->files->count;
}

struct series_member series_member_at(const struct series *series, size_t at)
{
    const struct series_file *file = &series->files->file[at];

    return (struct series_member){.path = file->path,
                                  .first = file->first,
                                  .frames = file->frames,
                                  .number = file->number,
                                  .is_ours = file->is_ours,
                                  .is_part = file->is_part,
                                  .has_counts = file->has_counts,
                                  .has_rows_sum = file->has_rows_sum,
                                  .rows_sum = file->rows_sum};
}
