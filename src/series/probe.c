/* probe.c - what a file is, and where its frames lie. See files.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "fits/keywords.h"
#include "recording/find.h"
#include "recording/rowcheck.h"
#include "series/files.h"
#include "series/units.h"

#define UNITS_BEHIND_CUBE 8u     /* looked at for FRAMES and SHMKW */
#define ROWS_IN_FLIGHT    65536u /* at most so many rows may have overtaken one that is missing */
#define NOWHERE           ((uint64_t)INT64_MAX)

/* ---- one file on its way ---- */

static int refuse(const struct series_probe *probe, int error, const char *what,
                  struct dao_text *text)
{
    snprintf(text->s, sizeof text->s, "%.200s: %.160s", probe->path, what);
    return error;
}

static int64_t time_of_row(int fd, uint64_t off)
{
    unsigned char packed[FITS_ROW_BYTES];
    struct fits_row row;

    if (fits_read_at(fd, off, packed, sizeof packed) < 0)
        return 0;
    fits_row_unpack(&row, packed);
    return row.rtime_ns ? rowcheck_time(&row) : 0;
}

/* The first time that rows tell: a power cut may have left out the first of them. */
static int64_t first_time(int fd, uint64_t off, uint64_t rows)
{
    uint64_t most = rows < ROWS_IN_FLIGHT ? rows : ROWS_IN_FLIGHT;
    int64_t time_ns = 0;

    for (uint64_t i = 0; i < most && time_ns == 0; i++)
        time_ns = time_of_row(fd, off + i * FITS_ROW_BYTES);
    return time_ns;
}

/* ---- ours ---- */

/* How many rows, from the first on, are there? Rows reach the disk in their order but for those in
 * flight, which a power cut may have left out. */
static int count_rows(const struct reading *reading, uint64_t *ret)
{
    uint64_t known = 0; /* the row before is there */
    unsigned char packed[FITS_ROW_BYTES];
    struct reading_cursor *cursor = malloc(sizeof *cursor);
    int error = cursor ? 0 : -ENOMEM;

    if (cursor)
        reading_cursor_init(cursor, reading);
    while (error == 0 && known < reading->rows) {
        uint64_t low = known, high = reading->rows, end, before = known;
        struct fits_row row;

        while (low < high && error == 0) {
            uint64_t mid = low + (high - low) / 2;

            error = reading_rows(reading, mid, 1, packed);
            fits_row_unpack(&row, packed);
            if (error == 0 && row.rtime_ns != 0)
                low = mid + 1;
            else
                high = mid;
        }
        known = low;
        end = reading->rows - known < ROWS_IN_FLIGHT ? reading->rows : known + ROWS_IN_FLIGHT;
        for (uint64_t i = known; i < end && error == 0; i++) {
            const unsigned char *bytes = reading_cursor_row(cursor, i, &error);

            if (!bytes)
                break;
            fits_row_unpack(&row, bytes);
            if (row.rtime_ns != 0)
                known = i + 1;
        }
        if (known == low || known == before)
            break;
    }
    free(cursor);
    *ret = known;
    return error;
}

static void tell_unfinished(const char *path, int fd, uint64_t frames)
{
    bool is_locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

    flock(fd, LOCK_UN);
    if (is_locked)
        log_info("%s is being written: its first %llu frames are taken", path,
                 (unsigned long long)frames);
    else
        log_warning("%s is not finished: the %llu frames whose rows reached the disk are taken; "
                    "daorec repair finishes it",
                    path, (unsigned long long)frames);
}

static int add_recording(struct series_probe *probe, const struct reading *reading,
                         struct dao_text *text)
{
    const struct reading_cards *cards = &reading->cards;
    struct series_file *file = series_probe_add(probe, &reading->unit[READING_CUBE].header);
    struct dao_geometry geometry;
    int r;

    if (!file)
        return refuse(probe, -ENOMEM, strerror(ENOMEM), text);
    file->is_ours = file->has_times = file->has_counts = true;
    file->is_part = find_is_part(probe->path);
    file->number = (uint64_t)cards->file_seq;
    file->geometry = reading->geometry;
    r = series_image_read(&geometry, &file->store, &reading->unit[READING_CUBE], 0, text);
    if (r < 0 || file->store.is_scaled || geometry.dtype != reading->geometry.dtype)
        return refuse(probe, -EBADMSG, "BZERO does not fit SHMTYPE", text);
    file->rows_off = reading->rows_off;
    file->keywords_off = reading->unit[READING_SHMKW].data_off;
    file->keywords = reading->unit[READING_SHMKW].data_bytes / FITS_SHMKW_ROW_BYTES;
    file->gaps = file->is_part ? -1 : cards->gaps;
    file->frames = reading->rows;
    file->has_rows_sum =
        fits_card_datasum(&reading->unit[READING_FRAMES].header, &file->rows_sum) == 0;
    if (strcmp(cards->status, "OPEN") == 0) {
        file->has_rows_sum = false; /* of rows that are still to come */
        file->gaps = -1;
        r = count_rows(reading, &file->frames);
        if (r < 0)
            return refuse(probe, r, r == -ENODATA ? "became shorter meanwhile" : strerror(-r),
                          text);
        tell_unfinished(probe->path, probe->fd, file->frames);
    }
    file->begin_ns = first_time(probe->fd, file->rows_off, file->frames);
    if (file->frames > 0)
        file->end_ns = time_of_row(probe->fd, file->rows_off + (file->frames - 1) * FITS_ROW_BYTES);
    return 0;
}

/* Are what follows the cube, or parts of it, gone? */
static bool is_cut_off(const struct series_probe *probe)
{
    struct fits_unit cube = {0}, next = {0};
    struct dao_text ignored;
    bool is_cut = true;

    if (fits_scan_unit(&cube, probe->fd, NOWHERE, 0, &ignored) < 0)
        return false;
    if (fits_scan_unit(&next, probe->fd, (uint64_t)probe->st.st_size, cube.end, &ignored) == 0)
        is_cut = false;
    fits_unit_free(&next);
    fits_unit_free(&cube);
    return is_cut;
}

/* Open, once more where the file was between two steps of closing. */
static int open_reading(struct reading *ret, int fd, struct dao_text *what)
{
    unsigned char head[FITS_BLOCK], after[FITS_BLOCK];
    int r = -EBADMSG;

    for (unsigned attempt = 0; attempt < SERIES_SWITCHES_MOST && r < 0; attempt++) {
        bool is_read = fits_read_at(fd, 0, head, sizeof head) == 0;

        r = reading_open(ret, fd, what);
        if (!is_read || fits_read_at(fd, 0, after, sizeof after) < 0 ||
            memcmp(head, after, sizeof head) == 0)
            break;
    }
    return r;
}

static int probe_recording(struct series_probe *probe, struct dao_text *text)
{
    struct reading reading;
    struct dao_text what = {""};
    size_t before = probe->pile->count;
    int r = open_reading(&reading, probe->fd, &what);

    if (r == -EBADMSG || r == -ENODATA) {
        char line[256];

        snprintf(line, sizeof line, "a damaged recording: %.120s; daorec verify tells more",
                 what.s);
        return refuse(probe, -EBADMSG, line, text);
    }
    if (r < 0)
        return refuse(probe, r, what.s, text);
    r = add_recording(probe, &reading, text);
    if (r < 0 && probe->pile->count > before)
        series_file_free(&probe->pile->file[--probe->pile->count]);
    reading_close(&reading);
    return r;
}

/* ---- cubes of others ---- */

/* What a cube that was cut out of a recording has behind it: rows, and the segment's keywords. */
static void find_tables(struct series_probe *probe, struct series_file *file, uint64_t off)
{
    struct fits_unit unit = {0};
    struct dao_text ignored;

    for (unsigned i = 0; i < UNITS_BEHIND_CUBE; i++) {
        if (fits_scan_unit(&unit, probe->fd, (uint64_t)probe->st.st_size, off, &ignored) < 0)
            return;
        off = unit.end;
        if (reading_check_columns(&unit, &ignored) == 0 && unit.axis[1] == file->store.count &&
            file->store.outer == 1) {
            file->rows_off = unit.data_off;
            file->has_rows_sum = fits_card_datasum(&unit.header, &file->rows_sum) == 0;
        }
        if (unit.is_table && strcmp(unit.extname, "SHMKW") == 0 && unit.naxis == 2 &&
            unit.axis[0] == FITS_SHMKW_ROW_BYTES) {
            file->keywords_off = unit.data_off;
            file->keywords = unit.axis[1];
        }
        fits_unit_free(&unit);
    }
}

static int measure_cube(struct series_probe *probe, struct series_file *file, struct dao_text *text)
{
    uint64_t size = (uint64_t)probe->st.st_size, there;
    uint64_t frame_bytes = series_store_bytes(&file->store);

    file->frames = file->store.count;
    if (file->kind == SERIES_TILES)
        return 0;
    there = size > file->store.data_off ? size - file->store.data_off : 0;
    if (file->frames <= there / frame_bytes)
        return 0;
    if (file->store.outer > 1 || there < frame_bytes)
        return refuse(probe, -EBADMSG, "was cut off: no whole frame is there", text);
    log_warning("%s was cut off: of its %llu frames the first %llu are there", probe->path,
                (unsigned long long)file->frames, (unsigned long long)(there / frame_bytes));
    file->frames = there / frame_bytes;
    return 0;
}

static int probe_cube(struct series_probe *probe, const struct fits_unit *unit, int hdu,
                      struct dao_text *text)
{
    struct series_file *file = series_probe_add(probe, &unit->header);
    struct dao_text what = {""};
    int64_t depth = 0;
    int r;

    if (!file)
        return refuse(probe, -ENOMEM, strerror(ENOMEM), text);
    file->kind = series_image_is_tiled(unit) ? SERIES_TILES : SERIES_CUBE;
    file->header_off = unit->header_off;
    file->hdu = hdu;
    r = series_image_read(&file->geometry, &file->store, unit, probe->frame_axis, &what);
    if (r < 0)
        refuse(probe, r, what.s, text);
    if (r == 0)
        r = measure_cube(probe, file, text);
    if (r < 0) {
        series_file_free(&probe->pile->file[--probe->pile->count]);
        return r;
    }
    if (fits_card_integer(&unit->header, "FIFOSIZE", &depth) == 0 && depth > 0 &&
        depth <= UINT32_MAX)
        file->geometry.depth = (uint32_t)depth;
    if (file->frames == file->store.count)
        find_tables(probe, file, unit->end);
    if (file->rows_off) {
        file->has_times = file->has_counts = true;
        file->begin_ns = time_of_row(probe->fd, file->rows_off);
        file->end_ns = time_of_row(probe->fd, file->rows_off + (file->frames - 1) * FITS_ROW_BYTES);
    }
    return 0;
}

struct images {
    uint64_t count, frames; /* frames: not compressed, and with the cards of one */
};

static struct images count_images(const struct series_probe *probe, uint64_t off)
{
    struct images images = {0};
    struct fits_unit unit = {0};
    struct dao_text ignored;

    while (fits_scan_unit(&unit, probe->fd, (uint64_t)probe->st.st_size, off, &ignored) == 0) {
        bool is_there = series_image_is_there(&unit);

        images.count += is_there;
        images.frames +=
            is_there && !series_image_is_tiled(&unit) && series_units_are_frames(&unit.header);
        off = unit.end;
        fits_unit_free(&unit);
    }
    return images;
}

/* The first image with pixels decides what the file is, but for one that differs from the others;
 * an axis that was asked for makes a lone image a cube, whatever cards it has. */
static int probe_image(struct series_probe *probe, const struct fits_unit *unit, int hdu,
                       struct dao_text *text)
{
    bool is_tiled = series_image_is_tiled(unit), is_frame = series_units_are_frames(&unit->header);
    struct images behind;
    int r;

    if (is_frame && !is_tiled && probe->frame_axis == 0)
        return series_units_probe(probe, unit, text);
    behind = count_images(probe, unit->end);
    if (is_frame ? !is_tiled && behind.count > 0 : behind.frames > behind.count - behind.frames + 1)
        return series_units_probe(probe, unit, text);
    if (is_frame && behind.count > 0)
        return refuse(probe, -EBADMSG, "its frames are compressed one by one: funpack it first",
                      text);
    r = probe_cube(probe, unit, hdu, text);
    if (r == 0 && behind.count > 0)
        log_warning("%s: of its %llu images the first one is taken", probe->path,
                    (unsigned long long)behind.count + 1);
    return r;
}

static int probe_foreign(struct series_probe *probe, struct dao_text *text)
{
    struct fits_unit unit = {0};
    struct dao_text what = {""};
    uint64_t off = 0;
    int hdu = 1, r;

    for (;; hdu++) {
        r = fits_scan_unit(&unit, probe->fd, NOWHERE, off, &what);
        if (r < 0 || series_image_is_there(&unit))
            break;
        off = unit.end;
        fits_unit_free(&unit);
    }
    if (r == -ENODATA)
        return refuse(probe, -EMEDIUMTYPE, "holds no image", text);
    if (r < 0)
        return refuse(probe, r, r == -EBADMSG ? what.s : strerror(-r), text);
    r = probe_image(probe, &unit, hdu, text);
    fits_unit_free(&unit);
    return r;
}

/* ---- any file ---- */

static int check_head(struct series_probe *probe, bool *ret_is_ours, bool *ret_is_open,
                      struct dao_text *text)
{
    unsigned char head[FITS_CARD_BYTES] = "";
    struct fits_unit unit = {0};
    struct dao_text what = {""};
    char status[FITS_TEXT_BYTES] = "";
    int r = fits_read_at(probe->fd, 0, head, sizeof head);

    if (r < 0 && r != -ENODATA)
        return refuse(probe, r, strerror(-r), text);
    if (head[0] == 0x1f && (head[1] == 0x8b || head[1] == 0x9d))
        return refuse(probe, -EMEDIUMTYPE, "is compressed as a whole: gunzip it first", text);
    if (r < 0 || !fits_scan_is_fits(head, sizeof head))
        return refuse(probe, -EMEDIUMTYPE, "is no FITS file", text);
    r = fits_scan_unit(&unit, probe->fd, NOWHERE, 0, &what);
    if (r < 0)
        return refuse(probe, -EBADMSG, what.s[0] ? what.s : "was cut off in its first header",
                      text);
    *ret_is_ours = fits_card_text(&unit.header, "RECSTAT", status, sizeof status) == 0;
    *ret_is_open = strcmp(status, "OPEN") == 0;
    fits_unit_free(&unit);
    return 0;
}

static int probe_open(struct series_probe *probe, struct dao_text *text)
{
    bool is_ours = false, is_open = false;
    int r = check_head(probe, &is_ours, &is_open, text);

    if (r < 0 || !is_ours)
        return r < 0 ? r : probe_foreign(probe, text);
    r = probe_recording(probe, text);
    if (r != -EBADMSG || is_open || !probe->is_named || !is_cut_off(probe))
        return r;
    /* Finished once, and its tables are gone: the pixels are there all the same. */
    log_warning("%s; its pixels are taken, without times and counts", text->s);
    return probe_foreign(probe, text);
}

int series_probe(struct series_pile *pile, const char *path, bool is_named, unsigned frame_axis,
                 struct dao_text *text)
{
    struct series_probe probe = {
        .pile = pile, .path = path, .is_named = is_named, .frame_axis = frame_axis};
    int r = 0;

    probe.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (probe.fd < 0 || fstat(probe.fd, &probe.st) != 0)
        r = refuse(&probe, -errno, strerror(errno), text);
    else if (!S_ISREG(probe.st.st_mode))
        r = refuse(&probe, -EMEDIUMTYPE, "is no FITS file", text);
    if (r == 0) {
        posix_fadvise(probe.fd, 0, 0, POSIX_FADV_RANDOM);
        r = probe_open(&probe, text);
    }
    if (probe.fd >= 0)
        close(probe.fd);
    return r;
}
