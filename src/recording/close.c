/*
 * close.c - the steps from a .part file to a finished one. See file.h.
 *
 * The file is valid FITS after every step, and each step is on disk before the next begins:
 *
 *   n = capacity                        n < capacity
 *   1 tables: the FRAMES header gets    1 tables: FRAMES (n rows) and SHMKW are written behind
 *     its checksums, in place             frame n, into planes that were never filled, and behind
 *                                         them a FILLER unit that reaches the old end; the old
 *                                         primary header still rules
 *   2 switch: the primary header        2 switch: the primary header says n planes
 *   3 cut: SPARE goes                   3 cut: FILLER goes
 *   4 name: without .part               4 name: without .part
 *
 * Where fewer planes are free than the tables need, they would overwrite the ruling FRAMES unit.
 * Then two steps come first (detour): the tables and a FILLER are written into SPARE's data, behind
 * plane n' > capacity, and the primary header is switched to n' planes; now what lies between frame
 * n and there is cube, and the steps above can be taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/rows.h"
#include "fits/sum.h"
#include "lib/clock.h"
#include "recording/file.h"

#define ROWS_CHUNK 2048u

static void step_done(const struct recording_hooks *hooks, const char *step)
{
    if (hooks && hooks->after_step)
        hooks->after_step(hooks->ctx, step);
}

/* ---- is there room? ---- */

bool recording_file_has_room(const struct recording_file *file, uint64_t frames)
{
    const struct fits_plan *plan = &file->plan;
    uint64_t planes = frames, need = fits_plan_tables_bytes(plan, frames) + FITS_BLOCK;

    if (frames == plan->capacity)
        return true;
    /* By way of SPARE, or behind the last frame: with a FILLER header behind the tables. */
    if (fits_plan_detour_planes(plan, frames) > 0)
        planes = fits_plan_detour_planes(plan, frames);
    return fits_plan_cube_end(plan, planes) <= plan->file_bytes &&
           plan->file_bytes - fits_plan_cube_end(plan, planes) >= need;
}

/* ---- do the headers take it? ---- */

int recording_file_check(const struct recording_file *file, uint64_t frames, struct dao_text *text)
{
    uint64_t planes[2] = {frames, fits_plan_detour_planes(&file->plan, frames)};
    struct fits_bytes primary = {0}, table = {0};
    struct fits_state state = file->state;
    const uint32_t sum = 0;
    int r = fits_bytes_copy(&table, &file->frames_header);

    if (r == 0)
        r = fits_update_frames(&table, frames, &sum, text);
    state.frames = frames;
    for (int i = 0; i < 2 && r == 0; i++) {
        if (planes[i] == 0)
            continue;
        state.planes = planes[i];
        r = fits_bytes_copy(&primary, &file->primary);
        if (r == 0)
            r = fits_update_primary(&primary, file->stream, &state, i == 0 ? &sum : NULL, text);
        fits_bytes_free(&primary);
    }
    fits_bytes_free(&table);
    return r;
}

/* ---- step 1: tables ---- */

static int copy_rows(struct sink_run *run, struct sink *sink, uint64_t rows_off, uint64_t rows)
{
    unsigned char *chunk = malloc(ROWS_CHUNK * FITS_ROW_BYTES);
    int r = chunk ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < rows && r == 0; at += ROWS_CHUNK) {
        uint64_t count = rows - at < ROWS_CHUNK ? rows - at : ROWS_CHUNK;
        size_t bytes = (size_t)count * FITS_ROW_BYTES;

        r = sink_read(sink, rows_off + at * FITS_ROW_BYTES, chunk, bytes);
        if (r == 0)
            r = sink_run_put(run, chunk, bytes);
    }
    free(chunk);
    return r;
}

/* Everything behind a cube that ends (unpadded) at `from` and padded at `at`: zeros, FRAMES header,
 * n rows from rows_off, SHMKW, FILLER header. */
static int write_tables(struct recording_file *file, uint64_t from, uint64_t at, uint64_t n,
                        uint64_t rows_off, const struct fits_bytes *frames_header,
                        struct dao_text *text)
{
    uint64_t rows_bytes = n * FITS_ROW_BYTES;
    uint64_t filler_off = at + fits_plan_tables_bytes(&file->plan, n);
    struct fits_bytes filler = {0};
    struct sink_run run;
    int r = 0;

    if (filler_off > file->plan.file_bytes || file->plan.file_bytes - filler_off < FITS_BLOCK) {
        snprintf(text->s, sizeof text->s,
                 "%s: there is no room in the file for its final tables; it stays as it is",
                 file->part_name);
        return -ENOSPC;
    }
    r = fits_build_filler(&filler, "FILLER", file->plan.file_bytes - filler_off - FITS_BLOCK, text);
    if (r == 0)
        r = sink_run_begin(&run, &file->sink, from);
    if (r == 0)
        r = sink_run_put(&run, NULL, (size_t)(at - from));
    if (r == 0)
        r = sink_run_put(&run, frames_header->data, frames_header->length);
    if (r == 0)
        r = copy_rows(&run, &file->sink, rows_off, n);
    if (r == 0)
        r = sink_run_put(&run, NULL, (size_t)(fits_pad(rows_bytes) - rows_bytes));
    if (r == 0)
        r = sink_run_put(&run, file->shmkw.data, file->shmkw.length);
    if (r == 0)
        r = sink_run_put(&run, filler.data, filler.length);
    if (r == 0)
        r = sink_run_end(&run);
    if (r == 0)
        r = sink_sync(&file->sink);
    fits_bytes_free(&filler);
    return r;
}

/* ---- step 2: switch ---- */

static int switch_primary(struct recording_file *file, uint64_t planes, const uint32_t *data_sum,
                          struct dao_text *text)
{
    int r;

    file->state.planes = planes;
    file->state.written_ns = dao_clock_real_ns();
    r = fits_update_primary(&file->primary, file->stream, &file->state, data_sum, text);
    if (r == 0)
        r = sink_write(&file->sink, 0, file->primary.data, file->primary.length);
    return r == 0 ? sink_sync(&file->sink) : r;
}

static int detour(struct recording_file *file, uint64_t n, uint64_t *rows_off,
                  const struct fits_bytes *frames_header, const struct recording_hooks *hooks,
                  struct dao_text *text)
{
    uint64_t planes = fits_plan_detour_planes(&file->plan, n);
    uint64_t at = fits_plan_cube_end(&file->plan, planes);
    int r;

    if (planes == 0)
        return 0;
    r = write_tables(file, at, at, n, *rows_off, frames_header, text);
    if (r < 0)
        return r;
    step_done(hooks, "detour-tables");
    r = switch_primary(file, planes, NULL, text);
    if (r < 0)
        return r;
    step_done(hooks, "detour-switch");
    *rows_off = at + file->plan.parts.frames_header_bytes;
    return 0;
}

static int finish_name(struct recording_file *file, struct dao_text *text)
{
    int r = sink_sync(&file->sink), synced;

    if (r == 0)
        r = sink_rename(&file->sink, file->part_name, file->name);
    if (r < 0)
        return r;
    synced = sink_sync_dir(&file->sink);
    if (synced < 0)
        snprintf(
            text->s, sizeof text->s,
            "%s: finished, but its folder cannot be synced: %s; a power cut may leave it under "
            "its .part name",
            file->name, strerror(-synced));
    return 0;
}

/* Steps 3 and 4. */
static int cut_and_name(struct recording_file *file, uint64_t n,
                        const struct recording_hooks *hooks, struct dao_text *text)
{
    uint64_t bytes = fits_plan_closed_bytes(&file->plan, n);
    int r = file->sink.length == bytes ? 0 : sink_truncate(&file->sink, bytes);

    if (r < 0)
        return r;
    step_done(hooks, "cut");
    r = finish_name(file, text);
    if (r == 0)
        step_done(hooks, "name");
    return r;
}

static int close_steps(struct recording_file *file, uint64_t n, uint32_t data_sum,
                       const char *status, const struct fits_bytes *frames_header,
                       const struct recording_hooks *hooks, struct dao_text *text)
{
    const struct fits_plan *plan = &file->plan;
    uint64_t rows_off = plan->rows_off;
    int r;

    if (n == plan->capacity) {
        r = sink_write(&file->sink, plan->frames_header_off, frames_header->data,
                       frames_header->length);
        if (r == 0)
            r = sink_sync(&file->sink);
    } else {
        r = detour(file, n, &rows_off, frames_header, hooks, text);
        if (r == 0)
            r = write_tables(file, fits_plan_frame_end(plan, n), fits_plan_cube_end(plan, n), n,
                             rows_off, frames_header, text);
    }
    if (r < 0)
        return r;
    step_done(hooks, "tables");
    file->state.status = status;
    file->state.frames = n;
    r = switch_primary(file, n, &data_sum, text);
    if (r < 0)
        return r;
    step_done(hooks, "switch");
    return cut_and_name(file, n, hooks, text);
}

/* How an attempt ended: a text where there is none yet, and nothing stays open. */
static int conclude(struct recording_file *file, int result, struct dao_text *text)
{
    if (result < 0 && text->s[0] == '\0')
        snprintf(text->s, sizeof text->s,
                 "%s: cannot close the file: %s; it keeps this name and stays readable",
                 file->part_name, strerror(-result));
    recording_file_discard(file);
    return result;
}

int recording_file_finish(struct recording_file *file, uint64_t frames,
                          const struct recording_hooks *hooks, struct dao_text *text)
{
    text->s[0] = '\0';
    return conclude(file, cut_and_name(file, frames, hooks, text), text);
}

int recording_file_close(struct recording_file *file, uint64_t frames, uint32_t data_sum,
                         uint32_t rows_sum, const char *status, const struct recording_hooks *hooks,
                         struct dao_text *text)
{
    struct fits_bytes frames_header = {0};
    int r;

    text->s[0] = '\0';
    r = fits_bytes_copy(&frames_header, &file->frames_header);
    if (r == 0)
        r = fits_update_frames(&frames_header, frames, &rows_sum, text);
    if (r == 0)
        r = close_steps(file, frames, data_sum, status, &frames_header, hooks, text);
    fits_bytes_free(&frames_header);
    return conclude(file, r, text);
}

int recording_file_sum_rows(struct recording_file *file, uint64_t frames, uint32_t *ret_data_sum,
                            uint32_t *ret_rows_sum, int64_t *ret_last_cnt0, int64_t *ret_last_ns)
{
    unsigned char *chunk = malloc(ROWS_CHUNK * FITS_ROW_BYTES);
    uint32_t data_sum = 0, rows_sum = 0;
    struct fits_row row = {0};
    int r = chunk ? 0 : -ENOMEM;

    for (uint64_t i = 0; i < frames && r == 0; i++) {
        const unsigned char *packed = chunk + i % ROWS_CHUNK * FITS_ROW_BYTES;

        if (i % ROWS_CHUNK == 0) {
            uint64_t count = frames - i < ROWS_CHUNK ? frames - i : ROWS_CHUNK;

            r = sink_read(&file->sink, file->plan.rows_off + i * FITS_ROW_BYTES, chunk,
                          (size_t)count * FITS_ROW_BYTES);
            if (r < 0)
                break;
        }
        fits_row_unpack(&row, packed);
        rows_sum = fits_sum_add(rows_sum, fits_sum_bytes(packed, FITS_ROW_BYTES));
        data_sum = fits_sum_add(data_sum, fits_sum_at(row.dsum, i * file->plan.parts.frame_bytes));
    }
    free(chunk);
    if (r < 0)
        return r;
    *ret_data_sum = data_sum;
    *ret_rows_sum = rows_sum;
    *ret_last_cnt0 = row.cnt0;
    *ret_last_ns = row.atime_ns;
    return 0;
}
