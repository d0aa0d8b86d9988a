/* extract.c - see extract.h. Formats are in fits.c and npy.c. */
#include "extract/extract.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "base/version.h"
#include "lib/clock.h"
#include "extract/job.h"
#include "recording/find.h"
#include "recording/rowcheck.h"
#include "series/files.h"

#define AHEAD_BYTES (16u << 20)
#define S_NS        1000000000ll

static int refuse(struct dao_text *text, int error, const char *what)
{
    snprintf(text->s, sizeof text->s, "%s", what);
    return error;
}

/* ---- what comes out ---- */

static char *shape_text(char *ret, size_t ret_bytes, const struct dao_geometry *geometry)
{
    size_t used = 0;

    ret[0] = '\0';
    for (int i = 0; i < geometry->naxis && used < ret_bytes; i++)
        used +=
            (size_t)snprintf(ret + used, ret_bytes - used, "%s%u", i ? "x" : "", geometry->size[i]);
    return ret;
}

static int set_geometry(struct extract_job *job, struct dao_text *text)
{
    const struct dao_geometry *whole = &job->part->geometry;
    struct extract_region *region = &job->order.region;
    uint32_t size[3] = {whole->size[0], whole->size[1], whole->size[2]};
    char shape[64];

    shape_text(shape, sizeof shape, whole);
    if (region->axes != 0 && region->axes != whole->naxis) {
        snprintf(
            text->s, sizeof text->s,
            "the region has %d range%s, but the frames of %.100s are %s: give one for each axis",
            region->axes, units_plural((uint64_t)region->axes), job->order.series->stream, shape);
        return -EINVAL;
    }
    for (int i = 0; i < region->axes; i++) {
        if (region->to[i] == UINT32_MAX)
            region->to[i] = whole->size[i];
        if (region->from[i] >= region->to[i] || region->to[i] > whole->size[i]) {
            snprintf(text->s, sizeof text->s,
                     "the region's %u:%u does not lie in the frames of %.100s, which are %s",
                     region->from[i], region->to[i], job->order.series->stream, shape);
            return -EINVAL;
        }
        size[i] = region->to[i] - region->from[i];
    }
    return dao_geometry_make(&job->geometry, whole->naxis, size, whole->dtype->atype, 1, 0, text);
}

/* The first part behind the one of frame `from`, up to that of frame `last`, that has another shape
 * (or, with by_keywords, is another one at all); NULL: none. */
static const struct series_part *find_border(const struct series *series, uint64_t from,
                                             uint64_t last, bool by_keywords)
{
    const struct series_part *first = series_part_of(series, from);
    const struct series_part *end = series_part_of(series, last);

    for (const struct series_part *part = first + 1; part <= end; part++)
        if (by_keywords || !dao_geometry_same_shape(&first->geometry, &part->geometry))
            return part;
    return NULL;
}

/* All frames have one shape, or there is no cube of them. */
static int set_part(struct extract_job *job, struct dao_text *text)
{
    const struct extract_order *order = &job->order;
    const struct series_part *other;
    uint64_t border;

    if (order->from >= order->until || order->until > order->series->frames || order->every == 0)
        return refuse(text, -EINVAL, "there are no such frames");
    job->count = (order->until - order->from - 1) / order->every + 1;
    job->part = series_part_of(order->series, order->from);
    other = find_border(order->series, order->from, order->from + (job->count - 1) * order->every,
                        false);
    if (!other)
        return 0;
    border = other->first;
    snprintf(text->s, sizeof text->s,
             "%.100s has another shape or type from frame %" PRIu64 " on; take what comes before "
             "(--until %" PRIu64 ") and after (--from %" PRIu64 ") one by one",
             order->series->stream, border, border, border);
    return -EINVAL;
}

/* ---- where it comes from ---- */

static int read_origin(struct extract_job *job, const struct series_file *file,
                       struct dao_text *text)
{
    struct fits_unit unit = {0};
    struct dao_text ignored;
    int64_t axes = 0;
    int fd = series_file_open(file), r = fd;

    if (fd >= 0) {
        r = fits_scan_unit(&unit, fd, (uint64_t)INT64_MAX, file->header_off, &ignored);
        close(fd);
    }
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%.200s: its header cannot be read: %s", file->path,
                 strerror(-r));
        return r;
    }
    if (fits_card_integer(&unit.header, "ZNAXIS", &axes) < 0)
        axes = unit.naxis;
    if (file->kind != SERIES_UNITS)
        axes--;
    job->origin = unit.header;
    job->cutout.keeps_axes =
        file->store.outer == 1 && axes == job->geometry.naxis + job->geometry.dtype->is_complex;
    return 0;
}

static void write_history(struct extract_job *job, const struct series_file *first,
                          const struct series_file *last)
{
    const struct extract_order *order = &job->order;
    const struct extract_region *region = &order->region;
    const struct series_part *border = find_border(
        order->series, order->from, order->from + (job->count - 1) * order->every, true);
    char shape[64], ranges[96] = "";
    size_t used = 0;
    int lines = 0;

    snprintf(job->history[lines++], sizeof job->history[0],
             "daorec %s extract: frames %" PRIu64 " to %" PRIu64 " (from 0) of %" PRIu64
             " of %.60s%s",
             DAOREC_VERSION, order->from, order->from + (job->count - 1) * order->every,
             order->series->frames, order->series->stream, order->every > 1 ? ", not all" : "");
    snprintf(job->history[lines++], sizeof job->history[0], "from %.100s%s%.100s",
             find_base_of(first->path), first == last ? "" : " to ",
             first == last ? "" : find_base_of(last->path));
    for (int i = 0; i < region->axes; i++)
        used += (size_t)snprintf(ranges + used, sizeof ranges - used, "%s%u:%u", i ? "," : "",
                                 region->from[i], region->to[i]);
    if (region->axes > 0 || order->every > 1)
        snprintf(job->history[lines++], sizeof job->history[0],
                 "%s%s%severy %" PRIu64 ". frame, whole frames are %s",
                 region->axes ? "region " : "", ranges, region->axes ? ", " : "", order->every,
                 shape_text(shape, sizeof shape, &job->part->geometry));
    if (border)
        snprintf(job->history[lines++], sizeof job->history[0],
                 "SHMKW is that of the first frame; it was another one from frame %" PRIu64 " on",
                 border->first);
    for (int i = 0; i < lines; i++)
        job->history_lines[i] = job->history[i];
}

/* What the headers say, but for what only the frames tell. */
static int set_cutout(struct extract_job *job, struct dao_text *text)
{
    const struct extract_order *order = &job->order;
    const struct series_file *first = series_file_of(order->series, order->from);
    const struct series_file *last =
        series_file_of(order->series, order->from + (job->count - 1) * order->every);
    struct fits_row row = {0};
    int r = series_reader_row(job->reader, order->from, &row, text);

    if (r == 0)
        r = read_origin(job, first, text);
    if (r < 0)
        return r;
    write_history(job, first, last);
    job->cutout.geometry = &job->geometry;
    job->cutout.stream = order->series->stream;
    job->cutout.origin = &job->origin;
    job->cutout.has_times = order->series->has_times;
    job->cutout.history = job->history_lines;
    job->cutout.every = first->kind == SERIES_UNITS ? 1 : order->every;
    job->cutout.first = first->kind == SERIES_UNITS ? 0 : order->from - first->first;
    for (int i = 0; i < order->region.axes; i++)
        job->cutout.region_from[i] = order->region.from[i];
    job->state = (struct fits_cutout_state){
        .planes = job->count, .written_ns = dao_clock_real_ns(), .cnt0_begin = row.cnt0};
    job->state.begin_ns = order->series->has_times ? rowcheck_time(&row) : 0;
    job->dateref_ns = job->state.begin_ns - ((job->state.begin_ns % S_NS) + S_NS) % S_NS;
    return 0;
}

/* A recording must not be replaced by a part of itself. */
static int check_inputs(const struct extract_order *order, const char *path, struct dao_text *text)
{
    const struct series_files *files = order->series->files;
    struct stat st;

    if (stat(path, &st) != 0)
        return 0;
    for (size_t i = 0; i < files->count; i++)
        if (files->file[i].device == st.st_dev && files->file[i].inode == st.st_ino) {
            snprintf(text->s, sizeof text->s, "%.250s is read from; choose another name with -o",
                     path);
            return -EEXIST;
        }
    return 0;
}

void extract_second_path(const struct extract_order *order, char ret[4096])
{
    size_t length = strlen(order->path);

    ret[0] = '\0';
    if (order->format != EXTRACT_NPY)
        return;
    if (length > 4 && strcmp(order->path + length - 4, ".npy") == 0)
        length -= 4;
    snprintf(ret, 4096, "%.*s.frames.npy", length > 4000 ? 4000 : (int)length, order->path);
}

/* ---- a job ---- */

static int begin_job(struct extract_job *job, struct dao_text *text)
{
    static const struct extract_way *const ways[] = {
        [EXTRACT_FITS] = &extract_way_fits,
        [EXTRACT_NPY] = &extract_way_npy,
        [EXTRACT_HDUS] = &extract_way_hdus,
    };
    char second[4096];
    int r = set_part(job, text);

    if (r == 0)
        r = set_geometry(job, text);
    if (r == 0)
        r = series_reader_open(&job->reader, job->order.series, AHEAD_BYTES, text);
    if (r == 0)
        r = check_inputs(&job->order, job->order.path, text);
    extract_second_path(&job->order, second);
    if (r == 0 && second[0] != '\0')
        r = check_inputs(&job->order, second, text);
    if (r < 0)
        return r;
    series_reader_set_end(job->reader, job->order.until);
    job->whole = malloc(job->part->geometry.frame_bytes);
    job->cut = job->order.region.axes ? malloc(job->geometry.frame_bytes) : NULL;
    job->stored = malloc(job->geometry.frame_bytes);
    if (!job->whole || !job->stored || (job->order.region.axes && !job->cut))
        return refuse(text, -ENOMEM, strerror(ENOMEM));
    job->encoder = fits_encoder_select(job->geometry.dtype, FITS_ENCODE_BEST);
    job->way = ways[job->order.format];
    r = set_cutout(job, text);
    return r == 0 ? job->way->begin(job, text) : r;
}

/* The region of a frame, row by row of its last axis. */
static const unsigned char *cut_region(struct extract_job *job)
{
    const struct dao_geometry *whole = &job->part->geometry, *cut = &job->geometry;
    const struct extract_region *region = &job->order.region;
    uint64_t element = whole->dtype->element_bytes, from[3] = {0}, size[3] = {1, 1, 1};
    uint64_t length[3] = {1, 1, 1};
    unsigned char *to = job->cut;

    if (region->axes == 0)
        return job->whole;
    for (int i = 0; i < region->axes; i++) { /* to the right, so that the last axis is the third */
        int at = i + 3 - region->axes;

        from[at] = region->from[i];
        size[at] = cut->size[i];
        length[at] = whole->size[i];
    }
    for (uint64_t z = 0; z < size[0]; z++)
        for (uint64_t y = 0; y < size[1]; y++) {
            uint64_t at = ((from[0] + z) * length[1] + from[1] + y) * length[2] + from[2];

            memcpy(to, job->whole + at * element, size[2] * element);
            to += size[2] * element;
        }
    return job->cut;
}

static void note_row(struct extract_job *job, struct fits_row *row)
{
    struct fits_cutout_state *state = &job->state;

    if (row->atime_ns <= 0)
        row->flags |= FITS_FLAG_BADTIME;
    row->time_s = row->flags & FITS_FLAG_BADTIME ? (double)NAN
                                                 : (double)(row->atime_ns - job->dateref_ns) / 1e9;
    state->cnt0_end = row->cnt0;
    state->end_ns = job->cutout.has_times ? rowcheck_time(row) : 0;
    state->lost += row->lost > 0 ? (uint64_t)row->lost : 0;
    state->gaps += row->lost > 0;
    state->torn += (row->flags & FITS_FLAG_TORN) != 0;
}

/* Can the rows of the frames between `from` and `to` be known to tell nothing, without being read?
 * The counts grew as the index did, and no file's header or table knows of a gap. */
static bool is_plain_between(const struct series *series, uint64_t from, uint64_t to,
                             uint64_t count_step)
{
    const struct series_file *file = series_file_of(series, from);
    const struct series_file *last = series_file_of(series, to);
    bool is_plain = count_step == to - from;

    for (; is_plain && file <= last; file++)
        is_plain = file->gaps == 0 || (!file->rows_off && !file->units);
    return is_plain;
}

/* What the rows between the frame taken before and this one tell of losses and restarts goes on to
 * this one's. */
static int add_skipped(struct extract_job *job, uint64_t index, struct fits_row *row,
                       struct dao_text *text)
{
    const int32_t flags =
        FITS_FLAG_GAP | FITS_FLAG_OVERWRITE | FITS_FLAG_QUEUEFULL | FITS_FLAG_RESET;
    uint64_t at = index - job->order.every;
    int r = 0;

    if (job->done == 0 || job->order.every == 1 ||
        is_plain_between(job->order.series, at, index,
                         (uint64_t)row->cnt0 - (uint64_t)job->state.cnt0_end))
        return 0;
    while (r == 0 && ++at < index) {
        struct fits_row between = {0};

        r = series_reader_row(job->reader, at, &between, text);
        row->flags |= between.flags & flags;
        if (between.lost > 0 && __builtin_add_overflow(row->lost, between.lost, &row->lost))
            row->lost = INT32_MAX;
    }
    return r;
}

static int copy_frame(struct extract_job *job, struct extract_result *result, struct dao_text *text)
{
    uint64_t index = job->order.from + job->done * job->order.every;
    struct fits_row row = {0};
    int r = series_reader_pixels(job->reader, index, job->whole, text);

    if (r == -EBADMSG) {
        if (result->damaged++ == 0)
            result->damage = *text;
        row.flags = FITS_FLAG_TORN | FITS_FLAG_RECOVERED;
        r = 0;
    }
    if (r == 0) {
        int flags = row.flags;

        r = series_reader_row(job->reader, index, &row, text);
        row.flags |= flags;
    }
    if (r == 0)
        r = add_skipped(job, index, &row, text);
    if (r < 0)
        return r;
    note_row(job, &row);
    r = job->way->frame(job, &row, cut_region(job));
    if (r < 0)
        extract_out_explain(&job->out[0], r, text);
    job->done++;
    return r;
}

static void finish_state(struct extract_job *job)
{
    struct fits_cutout_state *state = &job->state;
    double span_s = (double)(state->end_ns - state->begin_ns) / 1e9;

    state->fps = job->count > 1 && span_s > 0.0 ? (double)(job->count - 1) / span_s : 0.0;
}

static int run_job(struct extract_job *job, struct extract_result *result, struct dao_text *text)
{
    int r = begin_job(job, text);

    while (r == 0 && job->done < job->count) {
        r = copy_frame(job, result, text);
        if (r == 0 && job->order.progress &&
            job->order.progress(job->order.ctx, job->done, job->done * job->geometry.frame_bytes) !=
                0)
            r = -ECANCELED;
    }
    if (r < 0)
        return r;
    finish_state(job);
    r = job->way->end(job, text);
    for (int i = 0; i < 2 && r == 0; i++)
        if (job->out[i].path[0] != '\0')
            r = extract_out_sync(&job->out[i], text);
    result->frames = job->count;
    result->bytes = job->count * job->geometry.frame_bytes;
    result->cnt0_begin = job->state.cnt0_begin;
    result->cnt0_end = job->state.cnt0_end;
    result->begin_ns = job->state.begin_ns;
    result->end_ns = job->state.end_ns;
    return r;
}

int extract_write(struct extract_job **ret, const struct extract_order *order,
                  struct extract_result *ret_result, struct dao_text *text)
{
    struct extract_job *job = calloc(1, sizeof *job);
    int r;

    *ret_result = (struct extract_result){0};
    if (!job)
        return refuse(text, -ENOMEM, strerror(ENOMEM));
    job->order = *order;
    r = run_job(job, ret_result, text);
    if (r < 0) {
        extract_close(job, false);
        return r;
    }
    *ret = job;
    return 0;
}

int extract_commit(struct extract_job *job, struct dao_text *text)
{
    int r = 0;

    /* The table first: who sees the frames finds it, too. */
    for (int i = 1; i >= 0 && r == 0; i--)
        if (job->out[i].path[0] != '\0')
            r = extract_out_commit(&job->out[i], job->order.force, text);
    return r;
}

void extract_close(struct extract_job *job, bool undo)
{
    if (!job)
        return;
    for (int i = 0; i < 2; i++)
        extract_out_drop(&job->out[i], undo);
    series_reader_close(job->reader);
    fits_bytes_free(&job->origin);
    fits_bytes_free(&job->primary);
    fits_bytes_free(&job->frames_header);
    fits_bytes_free(&job->shmkw);
    fits_bytes_free(&job->unit);
    free(job->whole);
    free(job->cut);
    free(job->stored);
    free(job);
}
