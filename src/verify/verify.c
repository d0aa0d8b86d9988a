/* verify.c - see verify.h. */
#include "verify/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <fitsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fits/flips.h"
#include "fits/sum.h"

#define TRIES_MAX  4 /* of looking at a file while its recorder goes on */
#define TRY_NS     10000000l
#define AGREE_ROWS 3u

void verify_file_free(struct verify_file *file)
{
    verify_doubts_free(&file->doubts);
}

/* ---- frames and rows, in one pass ---- */

struct pass {
    struct verify_file *file;
    const struct reading *reading;
    const struct verify_progress *progress;
    struct reading_cursor cursor;
    struct rowcheck check;
    uint32_t cube_sum, rows_sum;
    uint64_t misfits, row_faults;
    uint64_t recovered_misfits;
};

static void on_row(void *ctx, uint64_t index, const struct fits_row *row, const char *what)
{
    struct pass *pass = ctx;
    struct verify_frame frame = {.index = index, .cnt0 = row->cnt0, .is_row = true, .what = what};

    pass->row_faults++;
    verify_doubts_add_frame(&pass->file->doubts, &frame);
}

static const char misfit[] = "pixels do not fit DSUM", missing[] = "missing between others";

static int on_frame(void *ctx, uint64_t index, uint32_t sum)
{
    struct pass *pass = ctx;
    const struct reading *reading = pass->reading;
    struct verify_frame frame = {
        .index = index,
        .off = reading->cube_off + index * reading->frame_bytes,
        .bytes = reading->frame_bytes,
        .what = misfit,
    };
    struct fits_row row;
    int error = 0;
    const unsigned char *packed = reading_cursor_row(&pass->cursor, index, &error);

    if (!packed)
        return error;
    fits_row_unpack(&row, packed);
    pass->rows_sum = fits_sum_add(pass->rows_sum, fits_sum_bytes(packed, FITS_ROW_BYTES));
    pass->cube_sum = fits_sum_add(pass->cube_sum, fits_sum_at(sum, index * reading->frame_bytes));
    if (row.rtime_ns == 0 && pass->file->state != VERIFY_FINISHED) {
        frame = (struct verify_frame){.index = index, .is_row = true, .what = missing};
        frame.has_no_cnt0 = true;
        verify_doubts_add_frame(&pass->file->doubts, &frame);
        return 0;
    }
    if (pass->file->frames++ == 0)
        pass->file->first = row;
    pass->file->last = row;
    rowcheck_feed(&pass->check, &row);
    if (row.dsum == sum)
        return 0;
    if (row.flags & FITS_FLAG_RECOVERED) { /* known, and flagged for it */
        pass->recovered_misfits++;
        return 0;
    }
    pass->misfits++;
    frame.cnt0 = row.cnt0;
    verify_doubts_add_frame(&pass->file->doubts, &frame);
    return 0;
}

static void on_progress(void *ctx, uint64_t bytes)
{
    struct pass *pass = ctx;

    if (pass->progress)
        pass->progress->bytes(pass->progress->ctx, bytes);
}

/* Rows that are there in a file that is not finished: up to the last one with RTIME. */
static int count_rows(struct pass *pass, uint64_t *ret)
{
    uint64_t rows = pass->reading->rows, count = 0;
    int error = 0;

    if (pass->file->state == VERIFY_FINISHED) {
        *ret = rows;
        return 0;
    }
    for (uint64_t i = 0; i < rows; i++) {
        const unsigned char *packed = reading_cursor_row(&pass->cursor, i, &error);
        struct fits_row row;

        if (!packed)
            return error;
        fits_row_unpack(&row, packed);
        count = row.rtime_ns != 0 ? i + 1 : count;
    }
    pass->cursor.count = 0; /* read afresh what may have changed */
    *ret = count;
    return 0;
}

/* Where the first rows agree on another DATEREF than their header it is the header that is wrong,
 * and no row is to be doubted for it. */
static int64_t find_dateref(struct pass *pass)
{
    const struct reading *reading = pass->reading;
    int64_t by_rows = 0;
    int error = 0;

    for (uint64_t i = 0; i < reading->rows && i < AGREE_ROWS; i++) {
        const unsigned char *packed = reading_cursor_row(&pass->cursor, i, &error);
        struct fits_row row = {0};
        int64_t own;

        if (packed)
            fits_row_unpack(&row, packed);
        own = rowcheck_dateref(&row);
        if (own == 0 || (i > 0 && own != by_rows))
            return reading->dateref_ns;
        by_rows = own;
    }
    if (reading->rows < AGREE_ROWS || by_rows == reading->dateref_ns)
        return reading->dateref_ns;
    verify_doubts_add(&pass->file->doubts, -1, "DATEREF is not what the rows count from");
    return by_rows;
}

static int run_pass(struct pass *pass)
{
    struct reading_visitor visitor = {on_frame, on_progress, pass};
    const struct fits_bytes *header = &pass->reading->unit[READING_CUBE].header;
    uint32_t depth = pass->reading->geometry.depth, datasum;
    uint64_t rows = 0;
    int r;

    reading_cursor_init(&pass->cursor, pass->reading);
    if (fits_has_checksum(header) && fits_card_datasum(header, &datasum) == 0 &&
        !fits_header_sums_up(header, &datasum))
        depth = UINT32_MAX; /* FIFOSIZE may be what is wrong in it */
    rowcheck_init(&pass->check, find_dateref(pass), depth, on_row, pass);
    r = count_rows(pass, &rows);
    if (r == 0)
        r = reading_visit_frames(pass->reading, 0, rows, &visitor);
    rowcheck_end(&pass->check);
    pass->file->totals = pass->check.totals;
    pass->file->bytes_read += rows * pass->reading->frame_bytes;
    return r;
}

/* ---- checksums ---- */

static const char *const unit_names[READING_UNITS] = {"the primary header", "FRAMES", "SHMKW",
                                                      "SPARE"};
static const char *const data_names[READING_UNITS] = {"the cube", "the rows of FRAMES",
                                                      "the rows of SHMKW", "SPARE"};

/* The header by the DATASUM it states, the data by their own sum: so that each is named for what
 * it is. True where the data fit. */
static bool check_sums(struct verify_file *file, const struct reading *reading,
                       enum reading_unit which, uint32_t data_sum)
{
    const struct fits_bytes *header = &reading->unit[which].header;
    uint32_t stated = 0;

    if (!fits_has_checksum(header) || fits_card_datasum(header, &stated) < 0) {
        verify_doubts_add(&file->doubts, -1, "%s has no CHECKSUM and DATASUM", unit_names[which]);
        return true;
    }
    if (!fits_header_sums_up(header, &stated))
        verify_doubts_add(&file->doubts, -1, "%s%s does not fit its CHECKSUM", unit_names[which],
                          which == READING_CUBE ? "" : ", its header,");
    if (fits_sum_is_same(stated, data_sum))
        return true;
    verify_doubts_add(&file->doubts, -1, "%s (bytes %llu to %llu): DATASUM does not fit",
                      data_names[which], (unsigned long long)reading->unit[which].data_off,
                      (unsigned long long)reading->unit[which].end - 1);
    return false;
}

/* Zeros behind the data of a unit; their sum is part of the unit's. */
static int check_padding(struct verify_file *file, const struct reading *reading,
                         enum reading_unit which, uint32_t *sum)
{
    const struct fits_unit *unit = &reading->unit[which];
    uint64_t from = unit->data_off + unit->data_bytes;
    uint32_t padding;
    bool zero;
    int r = reading_sum_bytes(reading, from, unit->end - from, &padding, &zero);

    if (r < 0)
        return r;
    *sum = fits_sum_add(*sum, fits_sum_at(padding, unit->data_bytes));
    if (!zero)
        verify_doubts_add(&file->doubts, -1, "the padding behind %s (bytes %llu to %llu): not 0",
                          data_names[which], (unsigned long long)from,
                          (unsigned long long)unit->end - 1);
    return 0;
}

static int check_keywords(struct verify_file *file, const struct reading *reading)
{
    const struct fits_unit *unit = &reading->unit[READING_SHMKW];
    uint32_t sum;
    int r = reading_sum_bytes(reading, unit->data_off, unit->end - unit->data_off, &sum, NULL);

    if (r == 0)
        check_sums(file, reading, READING_SHMKW, sum);
    return r;
}

/* The table's sum fails and no row contradicts itself: which one stands out? */
static int look_for_row(struct pass *pass)
{
    uint64_t rows = pass->reading->rows;
    uint32_t depth = pass->reading->geometry.depth;
    struct fits_row row[3];
    int error = 0;

    for (uint64_t i = 0; i < rows && rows >= 3; i++) {
        uint64_t first = i == 0 ? 0 : i + 1 == rows ? rows - 3 : i - 1, own = i - first;
        const char *what;

        for (uint64_t k = 0; k < 3; k++) {
            const unsigned char *packed = reading_cursor_row(&pass->cursor, first + k, &error);

            if (!packed)
                return error;
            fits_row_unpack(&row[k], packed);
        }
        what =
            rowcheck_stands_out(&row[own], &row[own == 0], &row[own == 2 ? 1 : 2], own == 1, depth);
        if (what)
            on_row(pass, i, &row[own], what);
    }
    if (pass->row_faults == 0)
        verify_doubts_add(&pass->file->doubts, -1, "no row can be told to be the wrong one");
    return 0;
}

/* Of a finished file: all sums, all paddings. */
static int check_finished(struct pass *pass)
{
    struct verify_file *file = pass->file;
    const struct reading *reading = pass->reading;
    bool cube_fits, rows_fit;
    int r = check_padding(file, reading, READING_CUBE, &pass->cube_sum);

    if (r == 0)
        r = check_padding(file, reading, READING_FRAMES, &pass->rows_sum);
    if (r < 0)
        return r;
    cube_fits = check_sums(file, reading, READING_CUBE, pass->cube_sum);
    rows_fit = check_sums(file, reading, READING_FRAMES, pass->rows_sum);
    if (cube_fits && pass->misfits > 0)
        verify_doubts_add(&file->doubts, -1,
                          "the cube as a whole fits DATASUM: DSUM was changed, not the pixels");
    if (!cube_fits && pass->misfits == 0 && pass->recovered_misfits == 1)
        verify_doubts_add(&file->doubts, -1, "it is the frame flagged RECOVERED, or the padding");
    else if (!cube_fits && pass->misfits == 0 && pass->recovered_misfits > 1)
        verify_doubts_add(&file->doubts, -1,
                          "it is one of the %llu frames flagged RECOVERED, or the padding",
                          (unsigned long long)pass->recovered_misfits);
    if (!rows_fit && pass->row_faults + pass->misfits == 0)
        r = look_for_row(pass);
    return r;
}

/* ---- as others see it ---- */

static void doubt_of_cfitsio(struct verify_file *file, int status)
{
    char message[FLEN_STATUS] = "";

    fits_get_errstatus(status, message);
    fits_clear_errmsg();
    verify_doubts_add(&file->doubts, -1, "cfitsio cannot read it: %s", message);
}

/* Does the standard reader find the same units and sizes? */
static void ask_cfitsio(struct verify_file *file, const char *path, const struct reading *reading)
{
    LONGLONG axes[FITS_SCAN_AXES] = {0}, rows = 0;
    char frames[] = "FRAMES";
    fitsfile *fits = NULL;
    int status = 0, ignored = 0, units = 0, naxis = 0;

    fits_open_diskfile(&fits, path, READONLY, &status);
    fits_get_num_hdus(fits, &units, &status);
    fits_get_img_dim(fits, &naxis, &status);
    fits_get_img_sizell(fits, FITS_SCAN_AXES, axes, &status);
    fits_movnam_hdu(fits, BINARY_TBL, frames, 0, &status);
    fits_get_num_rowsll(fits, &rows, &status);
    if (status)
        doubt_of_cfitsio(file, status);
    else if (units != 3 || naxis != reading->unit[READING_CUBE].naxis ||
             (uint64_t)axes[naxis - 1] != reading->planes || (uint64_t)rows != reading->rows)
        verify_doubts_add(&file->doubts, -1, "cfitsio finds another structure in it");
    if (fits)
        fits_close_file(fits, &ignored);
}

/* A file that is not ours: the checksums it has. */
static void check_foreign_unit(struct verify_file *file, int number, const struct fits_unit *unit,
                               uint32_t data_sum)
{
    const struct fits_bytes *header = &unit->header;
    uint32_t stated = 0, whole = fits_sum_bytes(header->data, header->length);

    if (fits_card_datasum(header, &stated) == 0 && !fits_sum_is_same(stated, data_sum))
        verify_doubts_add(&file->doubts, -1, "unit %d does not fit its DATASUM", number);
    whole = fits_sum_add(whole, data_sum);
    if (fits_has_checksum(header) && !fits_sum_is_same(whole, 0))
        verify_doubts_add(&file->doubts, -1, "unit %d does not fit its CHECKSUM", number);
}

/* Its checksums, by our own means: it need not be the file that a library was made for. */
static void look_at_foreign(struct verify_file *file, int fd)
{
    struct fits_unit unit = {0};
    struct dao_text text = {""};
    struct stat st;
    uint64_t off = 0;
    uint32_t sum = 0;
    int r = fstat(fd, &st) == 0 ? 0 : -errno;

    file->state = VERIFY_FOREIGN;
    file->file_bytes = r == 0 ? (uint64_t)st.st_size : 0;
    for (int number = 1; r == 0; number++) {
        struct reading bytes = {.fd = fd, .file_bytes = file->file_bytes};

        r = fits_scan_unit(&unit, fd, file->file_bytes, off, &text);
        if (r == -EBADMSG && off > 0 && !fits_scan_is_extension(fd, file->file_bytes, off))
            fits_scan_describe_behind(&text, file->file_bytes - off, file->file_bytes);
        if (r == 0)
            r = reading_sum_bytes(&bytes, unit.data_off, unit.end - unit.data_off, &sum, NULL);
        if (r == 0)
            check_foreign_unit(file, number, &unit, sum);
        off = unit.end;
        fits_unit_free(&unit);
    }
    if (r != -ENODATA)
        verify_doubts_add(&file->doubts, -1, "%s", text.s[0] ? text.s : strerror(-r));
}

/* ---- one file ---- */

static int look_inside(struct verify_file *file, const char *path, const struct reading *reading,
                       const struct verify_progress *progress)
{
    struct pass *pass = calloc(1, sizeof *pass);
    int r = pass ? 0 : -ENOMEM;

    if (r == 0) {
        pass->file = file;
        pass->reading = reading;
        pass->progress = progress;
        r = run_pass(pass);
    }
    if (r == 0)
        r = check_keywords(file, reading);
    if (r == 0 && file->state == VERIFY_FINISHED) {
        r = check_finished(pass);
        verify_cards(file, reading);
        if (reading->behind_bytes == 0 && !verify_is_uncut(reading)) /* both is said already */
            ask_cfitsio(file, path, reading);
    }
    free(pass);
    return r;
}

static bool begins_like_fits(int fd)
{
    unsigned char head[FITS_CARD_BYTES];

    return fits_read_at(fd, 0, head, sizeof head) == 0 && fits_scan_is_fits(head, sizeof head);
}

/* Once. Returns whether a recorder held the file, so that doubts may come from its going on. */
static bool look_once(struct verify_file *file, const char *path,
                      const struct verify_progress *progress)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text = {""};
    bool is_held, is_orphan = false;

    verify_note_name(file, path);
    r = fd < 0 ? -errno : reading ? 0 : -ENOMEM;
    is_held = r == 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (r == 0) {
        flock(fd, LOCK_UN);
        file->state = is_held ? VERIFY_BEING_WRITTEN : VERIFY_UNREADABLE;
        r = reading_open_anyway(reading, fd, &text);
        is_orphan = file->is_part && !is_held;
        if (r == -EMEDIUMTYPE && begins_like_fits(fd) &&
            !(is_orphan && verify_is_repairable(path))) {
            look_at_foreign(file, fd);
        } else if (r < 0) {
            file->state = VERIFY_UNREADABLE;
        } else {
            file->file_bytes = reading->file_bytes;
            verify_state(file, reading, path);
            if (reading->behind_bytes > 0) {
                fits_scan_describe_behind(&text, reading->behind_bytes, reading->file_bytes);
                verify_doubts_add(&file->doubts, -1, "%s", text.s);
            }
            r = look_inside(file, path, reading, progress);
        }
    }
    if (r < 0 && file->state != VERIFY_FOREIGN)
        verify_doubts_add(&file->doubts, -1, "%s", text.s[0] ? text.s : strerror(-r));
    if ((r == -EBADMSG || r == -EMEDIUMTYPE) && file->state != VERIFY_FOREIGN && is_orphan)
        verify_plan(file, path);
    if (reading)
        reading_close(reading);
    free(reading);
    if (fd >= 0)
        close(fd);
    return is_held && verify_is_part(path);
}

/* A page that was read while it was being written may be kept as it was in that instant. */
static void forget_cached(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static bool is_gone(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

void verify_file(struct verify_file *ret, const char *path, const struct verify_progress *progress)
{
    char final_name[4096];

    for (int tries = 0;; tries++) {
        bool was_held;

        *ret = (struct verify_file){0};
        was_held = look_once(ret, path, progress);
        ret->is_gone = ret->doubts.count > 0 && is_gone(path);
        if (ret->doubts.count == 0 || tries == TRIES_MAX)
            return;
        /* Its recorder may have closed it meanwhile: then the final name is what to look at. */
        if (verify_is_part(path) && ret->is_gone && strlen(path) < sizeof final_name) {
            snprintf(final_name, sizeof final_name, "%.*s", (int)strlen(path) - 5, path);
            if (access(final_name, F_OK) == 0)
                path = final_name;
        } else if (!was_held) {
            return;
        } else {
            forget_cached(path);
            nanosleep(&(struct timespec){.tv_nsec = TRY_NS << tries}, NULL);
        }
        verify_file_free(ret);
    }
}
