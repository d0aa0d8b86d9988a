/*
 * fits.c - frames into FITS: a cube with FRAMES and SHMKW behind it, or one image unit a
 * frame. See extract.h.
 *
 * All lengths are known beforehand, so rows are written where they belong while frames go on. The
 * headers come last: they hold the sums.
 */
#include <errno.h>
#include <string.h>

#include "fits/sum.h"
#include "extract/job.h"

/* ---- the file and its first header ---- */

/* `bytes`: of the whole file. */
static int create_with_primary(struct extract_job *job, uint64_t bytes, struct dao_text *text)
{
    int r = extract_out_create(&job->out[0], job->order.path, bytes, job->order.force, text);

    if (r < 0)
        return r;
    r = extract_out_put(&job->out[0], job->primary.data, job->primary.length);
    if (r < 0)
        extract_out_explain(&job->out[0], r, text);
    return r;
}

/* The first header with what is known at the end only, once all else was put. */
static int put_primary_again(struct extract_job *job, bool is_empty, const uint32_t *data_sum,
                             struct dao_text *text)
{
    size_t length = job->primary.length;
    int r;

    fits_bytes_free(&job->primary);
    r = fits_build_cutout(&job->primary, &job->cutout, &job->state, is_empty, data_sum, text);
    if (r == 0 && job->primary.length != length) {
        dao_text_set(text, "the header would change its length");
        r = -EPROTO;
    }
    if (r < 0)
        return r;
    r = extract_out_flush(&job->out[0]); /* it may still be in the buffer */
    if (r == 0)
        r = extract_out_write_at(&job->out[0], 0, job->primary.data, length);
    if (r < 0)
        extract_out_explain(&job->out[0], r, text);
    return r;
}

/* ---- a cube ---- */

static uint64_t cube_bytes(const struct extract_job *job)
{
    return job->count * job->geometry.frame_bytes;
}

static int begin_cube(struct extract_job *job, struct dao_text *text)
{
    struct fits_facts facts = {.geometry = &job->geometry,
                               .keywords = job->part->keywords,
                               .keyword_count = job->part->keyword_count};
    uint64_t frames_off, end;
    int r = fits_build_cutout(&job->primary, &job->cutout, &job->state, false, NULL, text);

    if (r == 0)
        r = fits_build_frames(&job->frames_header, job->count, job->dateref_ns, NULL, text);
    if (r == 0)
        r = fits_build_shmkw(&job->shmkw, &facts, text);
    if (r < 0)
        return r;
    frames_off = job->primary.length + fits_pad(cube_bytes(job));
    job->rows_off = frames_off + job->frames_header.length;
    end = job->rows_off + fits_pad(job->count * FITS_ROW_BYTES) + job->shmkw.length;
    return create_with_primary(job, end, text);
}

/* The rows that have gathered, up to frame `end`. */
static int put_rows(struct extract_job *job, uint64_t end)
{
    uint64_t first = (end - 1) / EXTRACT_ROWS_AT_ONCE * EXTRACT_ROWS_AT_ONCE;
    size_t bytes = (size_t)(end - first) * FITS_ROW_BYTES;

    job->rows_sum = fits_sum_add(job->rows_sum, fits_sum_bytes(job->rows, bytes));
    return extract_out_write_at(&job->out[0], job->rows_off + first * FITS_ROW_BYTES, job->rows,
                                bytes);
}

static int put_frame(struct extract_job *job, struct fits_row *row, const unsigned char *pixels)
{
    uint64_t bytes = job->geometry.frame_bytes;
    size_t at = (size_t)(job->done % EXTRACT_ROWS_AT_ONCE);
    int r;

    row->dsum = job->encoder.encode(job->stored, pixels, bytes, job->encoder.flip);
    job->data_sum = fits_sum_add(job->data_sum, fits_sum_at(row->dsum, job->done * bytes));
    fits_row_pack(job->rows + at * FITS_ROW_BYTES, row);
    r = extract_out_put(&job->out[0], job->stored, bytes);
    if (r == 0 && at + 1 == EXTRACT_ROWS_AT_ONCE)
        r = put_rows(job, job->done + 1);
    return r;
}

/* The tables' headers and what pads the data. */
static int finish_cube(struct extract_job *job)
{
    struct extract_out *out = &job->out[0];
    uint64_t frames_off = job->rows_off - job->frames_header.length;
    uint64_t rows_bytes = job->count * FITS_ROW_BYTES;
    static const unsigned char zeros[FITS_BLOCK];
    int r = extract_out_put(out, NULL, (size_t)(fits_pad(cube_bytes(job)) - cube_bytes(job)));

    if (r == 0)
        r = extract_out_write_at(out, frames_off, job->frames_header.data,
                                 job->frames_header.length);
    if (r == 0)
        r = extract_out_write_at(out, job->rows_off + rows_bytes, zeros,
                                 (size_t)(fits_pad(rows_bytes) - rows_bytes));
    if (r == 0)
        r = extract_out_write_at(out, job->rows_off + fits_pad(rows_bytes), job->shmkw.data,
                                 job->shmkw.length);
    return r;
}

static int end_cube(struct extract_job *job, struct dao_text *text)
{
    int r = job->count % EXTRACT_ROWS_AT_ONCE != 0 ? put_rows(job, job->count) : 0;

    if (r < 0) {
        extract_out_explain(&job->out[0], r, text);
        return r;
    }
    r = fits_update_frames(&job->frames_header, job->count, &job->rows_sum, text);
    if (r < 0)
        return r;
    r = finish_cube(job);
    if (r < 0) {
        extract_out_explain(&job->out[0], r, text);
        return r;
    }
    return put_primary_again(job, false, &job->data_sum, text);
}

const struct extract_way extract_way_fits = {begin_cube, put_frame, end_cube};

/* ---- units ---- */

static int begin_units(struct extract_job *job, struct dao_text *text)
{
    static const uint32_t no_data = 0;
    uint64_t unit_bytes;
    int r = fits_build_cutout(&job->primary, &job->cutout, &job->state, true, &no_data, text);

    if (r == 0)
        r = fits_build_unit(&job->unit, &job->cutout, text);
    if (r < 0)
        return r;
    unit_bytes = job->unit.length + fits_pad(job->geometry.frame_bytes);
    if (__builtin_mul_overflow(unit_bytes, job->count, &unit_bytes))
        unit_bytes = UINT64_MAX / 2;
    return create_with_primary(job, job->primary.length + unit_bytes, text);
}

static int put_unit(struct extract_job *job, struct fits_row *row, const unsigned char *pixels)
{
    uint64_t bytes = job->geometry.frame_bytes;
    int r;

    row->dsum = job->encoder.encode(job->stored, pixels, bytes, job->encoder.flip);
    fits_fill_unit(&job->unit, job->done + 1, row);
    r = extract_out_put(&job->out[0], job->unit.data, job->unit.length);
    if (r == 0)
        r = extract_out_put(&job->out[0], job->stored, bytes);
    if (r == 0)
        r = extract_out_put(&job->out[0], NULL, (size_t)(fits_pad(bytes) - bytes));
    return r;
}

static int end_units(struct extract_job *job, struct dao_text *text)
{
    static const uint32_t no_data = 0;

    return put_primary_again(job, true, &no_data, text);
}

const struct extract_way extract_way_hdus = {begin_units, put_unit, end_units};
