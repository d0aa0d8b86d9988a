/* rebuild_stream.c - a stream's entry in the ledger, from its rows. See rebuild.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recording/reading.h"
#include "repair/rebuild.h"
#include "recording/rowcheck.h"

#define JUMP_MAX (1ull << 31) /* more is a restart, as for a reader */

/* Go on from the end of the last file that was removed to keep within a limit: what the files up to
 * it had, only the old ledger tells. */
static void begin_behind_removed(struct rebuild_stream *rebuild, const struct ledger_stream *old)
{
    struct ledger_counts *counts = &rebuild->stream.counts;
    uint64_t runs = old->removed.counts.run_count - 1;
    uint64_t shapes = old->removed.counts.shape_count - 1;
    uint64_t gaps = old->removed.counts.gap_count;

    *counts = old->removed.counts;
    counts->shape =
        old->shapes && shapes < LEDGER_SHAPES_MAX ? old->shapes[shapes] : old->counts.shape;
    runs = runs < LEDGER_RUNS_MAX ? runs : LEDGER_RUNS_MAX;
    shapes = shapes < LEDGER_SHAPES_MAX ? shapes : LEDGER_SHAPES_MAX;
    gaps = gaps < old->gaps_listed ? gaps : old->gaps_listed;
    memcpy(rebuild->runs, old->runs, runs * sizeof *rebuild->runs);
    if (old->shapes)
        memcpy(rebuild->shapes, old->shapes, shapes * sizeof *rebuild->shapes);
    for (uint64_t i = 0; i < gaps && i < LEDGER_GAPS_MAX; i++) {
        rebuild->gaps[i] = old->gaps[i];
        rebuild->is_used[i] = true;
    }
}

int rebuild_stream_begin(struct rebuild_stream *rebuild, const char *name,
                         const struct ledger_stream *old)
{
    memset(rebuild, 0, sizeof *rebuild);
    snprintf(rebuild->name, sizeof rebuild->name, "%s", name);
    rebuild->stream.name = rebuild->name;
    rebuild->stream.shm_path = rebuild->segment;
    if (!old)
        return 0;
    snprintf(rebuild->segment, sizeof rebuild->segment, "%s", old->shm_path);
    rebuild->stream.counts.shape = old->counts.shape; /* until a file tells */
    rebuild->is_used = calloc(old->gaps_listed + 1, sizeof(bool));
    if (!rebuild->is_used)
        return -ENOMEM;
    rebuild->stream.removed = old->removed;
    if (old->removed.has_counts)
        begin_behind_removed(rebuild, old);
    return 0;
}

void rebuild_stream_free(struct rebuild_stream *rebuild)
{
    free(rebuild->files);
    free(rebuild->is_used);
    rebuild->files = NULL;
    rebuild->is_used = NULL;
}

static int append_file(struct rebuild_stream *rebuild, const struct ledger_file *file)
{
    size_t count = rebuild->stream.file_count;
    struct ledger_file *grown = realloc(rebuild->files, (count + 1) * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    grown[count] = *file;
    rebuild->files = grown;
    rebuild->stream.file_count++;
    return 0;
}

/* ---- booking ---- */

/* The old ledger's gap of this first count and, where it is not 0, this length. */
static const struct ledger_gap *find_old(const struct rebuild_stream *rebuild,
                                         const struct ledger_stream *old, int64_t first_cnt0,
                                         uint64_t count, uint64_t *ret_index)
{
    for (uint64_t i = 0; old && i < old->gaps_listed; i++) {
        if (rebuild->is_used[i] || old->gaps[i].first_cnt0 != first_cnt0 ||
            (count && old->gaps[i].count != count))
            continue;
        *ret_index = i;
        return &old->gaps[i];
    }
    return NULL;
}

/* Book a loss; what the old ledger says of the same one is nearer to the truth than rows can be. */
static void lose(struct rebuild_stream *rebuild, const struct ledger_stream *old,
                 enum ledger_cause cause, uint64_t count, int64_t time_ns)
{
    struct ledger_counts *counts = &rebuild->stream.counts;
    struct ledger_gap gap = {.first_cnt0 = (int64_t)((uint64_t)counts->run.last_cnt0 + 1),
                             .count = count,
                             .time_ns = time_ns,
                             .cause = cause};
    const struct ledger_gap *known;
    uint64_t i;

    known = count ? find_old(rebuild, old, gap.first_cnt0, count, &i) : NULL;
    if (known) {
        rebuild->is_used[i] = true;
        gap = *known;
    }
    ledger_lose(counts, rebuild->gaps, &gap);
}

/* In the current run, up to `last`: gaps that the old ledger knows, the rest was lost by the
 * crash. */
static void fill_up(struct rebuild_stream *rebuild, const struct ledger_stream *old, int64_t last)
{
    const struct ledger_run *run = &rebuild->stream.counts.run;

    for (;;) {
        uint64_t left = (uint64_t)last - (uint64_t)run->last_cnt0, part, i;
        const struct ledger_gap *next = NULL;

        if (left == 0 || left > JUMP_MAX)
            return;
        part = left;
        for (i = 0; i < old->gaps_listed; i++) { /* the next one from here on */
            uint64_t ahead = (uint64_t)old->gaps[i].first_cnt0 - (uint64_t)run->last_cnt0 - 1;

            if (rebuild->is_used[i] || ahead >= part || old->gaps[i].count == 0 ||
                old->gaps[i].count > left - ahead)
                continue;
            next = &old->gaps[i];
            part = ahead;
        }
        if (next && part == 0)
            lose(rebuild, old, next->cause, next->count, next->time_ns);
        else
            lose(rebuild, old, LEDGER_DISK, part, next ? next->time_ns : 0);
    }
}

static enum ledger_cause cause_of(const struct fits_row *row)
{
    return row->flags & FITS_FLAG_QUEUEFULL   ? LEDGER_DISK
           : row->flags & FITS_FLAG_OVERWRITE ? LEDGER_LAPPED
                                              : LEDGER_SOURCE;
}

/* Of the frames that a row with RESET says are lost: how many belong to the run before? A new run
 * is expected from count 1 on; what it is known to have lost was lapped. */
static uint64_t lost_in_old_run(const struct rebuild_stream *rebuild,
                                const struct ledger_stream *old, const struct fits_row *row)
{
    uint64_t lost = (uint64_t)row->lost, i;
    int64_t next = (int64_t)((uint64_t)rebuild->stream.counts.run.last_cnt0 + 1);
    const struct ledger_gap *known = find_old(rebuild, old, next, 0, &i);

    if (known && known->cause == LEDGER_RESTART && known->count <= lost)
        return known->count;
    if (!(row->flags & FITS_FLAG_OVERWRITE))
        return lost;
    return row->cnt0 >= 1 && (uint64_t)row->cnt0 - 1 <= lost ? lost - ((uint64_t)row->cnt0 - 1) : 0;
}

static void begin_run(struct rebuild_stream *rebuild, int64_t first_cnt0)
{
    ledger_begin_run(&rebuild->stream.counts, rebuild->runs, first_cnt0);
}

/* Runs that the old ledger knows before this one, and of which there is no frame, come first. */
static void begin_known_run(struct rebuild_stream *rebuild, const struct ledger_stream *old,
                            int64_t first_cnt0)
{
    const struct ledger_counts *counts = &rebuild->stream.counts;
    uint64_t all = old && old->counts.run_count <= LEDGER_RUNS_MAX ? old->counts.run_count : 0;
    uint64_t same = counts->run_count;

    while (same < all && old->runs[same].first_cnt0 != first_cnt0)
        same++;
    while (same < all && counts->run_count < same)
        begin_run(rebuild, old->runs[counts->run_count].first_cnt0);
    begin_run(rebuild, first_cnt0);
}

static void book_restart(struct rebuild_stream *rebuild, const struct ledger_stream *old,
                         const struct fits_row *row)
{
    uint64_t lost = (uint64_t)row->lost, before;

    if (rebuild->stream.counts.run_count == 0 && (lost > 0 || old)) /* a run without a frame */
        begin_run(rebuild, old ? old->runs[0].first_cnt0 : 1);
    before = rebuild->stream.counts.run_count ? lost_in_old_run(rebuild, old, row) : 0;
    if (before > 0)
        lose(rebuild, old, LEDGER_RESTART, before, row->rtime_ns);
    begin_known_run(rebuild, old, (int64_t)((uint64_t)row->cnt0 - (lost - before)));
    lose(rebuild, old, cause_of(row), lost - before, row->rtime_ns);
}

static void book_row(struct rebuild_stream *rebuild, const struct ledger_stream *old,
                     struct fits_row *row)
{
    struct ledger_counts *counts = &rebuild->stream.counts;
    uint64_t step, lost;

    row->lost = rowcheck_lost(counts->run_count > 0, counts->run.last_cnt0, row);
    lost = (uint64_t)row->lost;
    if (row->flags & FITS_FLAG_RESET) {
        book_restart(rebuild, old, row);
    } else {
        if (counts->run_count == 0)
            begin_run(rebuild, (int64_t)((uint64_t)row->cnt0 - lost));
        step = (uint64_t)row->cnt0 - (uint64_t)counts->run.last_cnt0 - 1;
        if (step > JUMP_MAX) { /* rows that contradict each other */
            begin_run(rebuild, (int64_t)((uint64_t)row->cnt0 - lost));
            step = lost;
        }
        if (lost > step) /* LOST is wrong: there is no room for more */
            lost = step;
        if (lost == INT32_MAX) /* or more */
            lost = step;
        /* taken, and then swallowed by a failing disk, or by the crash */
        if (old)
            fill_up(rebuild, old, (int64_t)((uint64_t)row->cnt0 - lost - 1));
        else
            lose(rebuild, old, LEDGER_DISK, step - lost, row->rtime_ns);
        lose(rebuild, old, cause_of(row), lost, row->rtime_ns);
    }
    ledger_take(counts, row->cnt0, row->flags & FITS_FLAG_TORN);
}

/* ---- files ---- */

/* The layout that the old ledger gives to this shape. */
static const struct dao_layout *find_layout(const struct ledger_stream *old,
                                            const struct dao_geometry *shape)
{
    uint64_t past = old ? old->counts.shape_count - 1 : 0;

    if (!old || dao_geometry_same_shape(&old->counts.shape.geometry, shape))
        return old ? old->counts.shape.geometry.layout : NULL;
    for (uint64_t i = 0; i < past && i < LEDGER_SHAPES_MAX; i++)
        if (dao_geometry_same_shape(&old->shapes[i].geometry, shape))
            return old->shapes[i].geometry.layout;
    return NULL;
}

static void describe(struct rebuild_stream *rebuild, const struct reading *reading,
                     const struct ledger_stream *old)
{
    struct ledger_counts *counts = &rebuild->stream.counts;
    uint64_t past = counts->shape_count;

    snprintf(rebuild->segment, sizeof rebuild->segment, "%s", reading->cards.segment);
    if (past > 0 && dao_geometry_same_shape(&counts->shape.geometry, &reading->geometry))
        return;
    if (past > 0 && past <= LEDGER_SHAPES_MAX)
        rebuild->shapes[past - 1] = counts->shape;
    counts->shape_count++;
    counts->shape = (struct ledger_shape){reading->geometry, (uint64_t)reading->cards.file_seq};
    counts->shape.geometry.layout = find_layout(old, &reading->geometry); /* no file tells */
}

/* Is it one of those that begin_behind_removed() has counted? If the ledger does not list it, who
 * told it of the removal was killed before the file was gone. */
static bool is_counted(struct rebuild_stream *rebuild, const struct ledger_file *file,
                       uint64_t file_seq, const struct ledger_stream *old)
{
    struct ledger_removed *removed = &rebuild->stream.removed;
    bool is_listed = false;

    if (!removed->has_counts || file_seq > removed->last_file)
        return false;
    for (size_t i = 0; i < old->file_count && !is_listed; i++)
        is_listed = strcmp(old->files[i].name, file->name) == 0;
    if (!is_listed && removed->files > 0) {
        removed->files--;
        removed->frames -= file->frames < removed->frames ? file->frames : removed->frames;
    }
    return true;
}

int rebuild_stream_add(struct rebuild_stream *rebuild, const char *file_name,
                       const struct reading *reading, const struct ledger_stream *old)
{
    const struct reading_cards *cards = &reading->cards;
    struct ledger_file file = {.frames = reading->rows,
                               .lost = cards->lost > 0 ? (uint64_t)cards->lost : 0,
                               .cnt0_begin = cards->cnt0_begin,
                               .cnt0_end = cards->cnt0_end,
                               .begin_ns = cards->begin_ns,
                               .end_ns = cards->end_ns,
                               .closed = true};
    const char *cause = fits_find_end_cause(cards->end_cause);
    struct reading_cursor *cursor;
    uint64_t lost = 0;
    int error;

    snprintf(file.name, sizeof file.name, "%s", file_name);
    file.end_cause = cause ? cause : "";
    if (is_counted(rebuild, &file, (uint64_t)cards->file_seq, old))
        return append_file(rebuild, &file);
    cursor = malloc(sizeof *cursor);
    error = cursor ? 0 : -ENOMEM;
    describe(rebuild, reading, old);
    if (cursor)
        reading_cursor_init(cursor, reading);
    for (uint64_t i = 0; i < reading->rows && error == 0; i++) {
        const unsigned char *packed = reading_cursor_row(cursor, i, &error);
        struct fits_row row;

        if (!packed)
            break;
        fits_row_unpack(&row, packed);
        book_row(rebuild, old, &row);
        lost += (uint64_t)row.lost;
        if (i == 0)
            file.cnt0_begin = row.cnt0;
        file.cnt0_end = row.cnt0;
    }
    free(cursor);
    if (error < 0)
        return error;
    rebuild->behind = file.lost > lost && file.lost - lost <= JUMP_MAX ? file.lost - lost : 0;
    rebuild->is_behind_disk = strcmp(file.end_cause, "ERROR") == 0;
    return append_file(rebuild, &file);
}

/* ---- what no row tells ---- */

void rebuild_stream_end(struct rebuild_stream *rebuild, const struct ledger_stream *old)
{
    struct ledger_counts *counts = &rebuild->stream.counts;
    const struct ledger_file *last = rebuild->stream.file_count && rebuild->files
                                         ? &rebuild->files[rebuild->stream.file_count - 1]
                                         : NULL;
    uint64_t past = old ? old->counts.run_count : 0;

    if (rebuild->behind > 0)
        lose(rebuild, old, rebuild->is_behind_disk ? LEDGER_DISK : LEDGER_LAPPED, rebuild->behind,
             last ? last->end_ns : 0);
    if (old && past <= LEDGER_RUNS_MAX) {
        if (counts->run_count == 0)
            begin_run(rebuild, old->runs[0].first_cnt0);
        /* the same run as far as both know it? */
        if (counts->run_count <= past &&
            old->runs[counts->run_count - 1].first_cnt0 == counts->run.first_cnt0) {
            fill_up(rebuild, old, old->runs[counts->run_count - 1].last_cnt0);
            while (counts->run_count < past) {
                begin_run(rebuild, old->runs[counts->run_count].first_cnt0);
                fill_up(rebuild, old, old->runs[counts->run_count - 1].last_cnt0);
            }
        }
    }
    if (counts->run_count == 0)
        begin_run(rebuild, 1);
    if (counts->shape_count == 0) { /* no file: as the old ledger has it */
        counts->shape_count = 1;
        counts->shape.first_file = 1;
    }
    rebuild->stream.shapes = rebuild->shapes;
    rebuild->stream.gaps = rebuild->gaps;
    rebuild->stream.runs = rebuild->runs;
    rebuild->stream.files = rebuild->files;
}
