/*
 * test_recorder_cuts.c - power cuts while a recorder writes: every write, sync and truncation that
 * it does by pwrite is logged, what may be on the disk at any instant is made from that, and
 * repaired.
 */
#include <errno.h>

#include "recording/reading.h"
#include "repair/repair.h"
#include "tests/support/suite.h"
#include "verify/verify.h"
#include "tests/support/powercut.h"
#include "tests/support/recorder.h"

/* ---- the log of a disk ---- */

#define LOGS 8u

static struct {
    pthread_mutex_t lock;
    ino_t files[LOGS]; /* in the order in which they were seen */
    struct cut_log logs[LOGS];
    unsigned count;
    off_t refuse_off; /* not 0: the first write of several pages behind this is refused */
    unsigned refused;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* With the lock held. A file that was closed leaves its descriptor's number to another one, and
 * would leave its inode, too, if that were not held by a look at it that stays open. */
static struct cut_log *log_of(int fd)
{
    char name[40];
    unsigned i = 0;
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    while (i < disk.count && disk.files[i] != st.st_ino)
        i++;
    if (i == disk.count) {
        ck_assert_uint_lt(i, LOGS);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ck_assert_int_ge(open(name, O_PATH | O_CLOEXEC), 0);
        disk.files[disk.count++] = st.st_ino;
    }
    return &disk.logs[i];
}

static ssize_t log_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    ssize_t n;

    (void)ctx;
    pthread_mutex_lock(&disk.lock);
    if (disk.refuse_off && !disk.refused && off > disk.refuse_off && bytes > SINK_PAGE) {
        disk.refused++;
        errno = EIO;
        n = -1;
    } else {
        n = cut_write_at(log_of(fd), fd, buf, bytes, off);
    }
    pthread_mutex_unlock(&disk.lock);
    return n;
}

static ssize_t log_read_at(void *ctx, int fd, void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    return pread(fd, buf, bytes, off);
}

static int log_datasync(void *ctx, int fd)
{
    int r;

    (void)ctx;
    pthread_mutex_lock(&disk.lock);
    r = cut_datasync(log_of(fd), fd);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

static int log_truncate(void *ctx, int fd, off_t bytes)
{
    int r;

    (void)ctx;
    pthread_mutex_lock(&disk.lock);
    r = cut_truncate(log_of(fd), fd, bytes);
    pthread_mutex_unlock(&disk.lock);
    return r;
}

static const struct sink_backend logging = {.write_at = log_write_at,
                                            .read_at = log_read_at,
                                            .datasync = log_datasync,
                                            .truncate = log_truncate};

/* The first file's log so far, to be looked at while the recorder runs. */
static struct cut_log snapshot(void)
{
    struct cut_log copy = {0};

    pthread_mutex_lock(&disk.lock);
    copy.count = disk.logs[0].count;
    copy.entries = malloc((copy.count + 1) * sizeof *copy.entries);
    if (copy.count > 0)
        memcpy(copy.entries, disk.logs[0].entries, copy.count * sizeof *copy.entries);
    pthread_mutex_unlock(&disk.lock);
    return copy;
}

/* Entry behind the n-th sync (1: the first), or 0. */
static size_t behind_sync(const struct cut_log *log, unsigned n)
{
    for (size_t i = 0; i < log->count; i++)
        if (log->entries[i].kind == CUT_SYNC && --n == 0)
            return i + 1;
    return 0;
}

/* ---- images of the first file ---- */

#define PART  "wfs_000001.fits.part"
#define FINAL "wfs_000001.fits"

static uint64_t file_bytes; /* of the file as it was made: what is not written reads as zeros */

static void put_image(const struct cut_image *image)
{
    int fd = openat(place.fd, PART, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, image->bytes, image->length), (ssize_t)image->length);
    close(fd);
}

static struct cut_image image_of(const struct cut_log *log, size_t to)
{
    struct cut_image image = {0};

    cut_resize(&image, file_bytes);
    for (size_t i = 0; i < to; i++)
        cut_apply(&image, &log->entries[i], 1000);
    cut_resize(&image, file_bytes);
    return image;
}

static struct repair_file repair(void)
{
    struct repair_file result;
    struct verify_file file;
    char name[400];

    ck_assert_msg(repair_file(&result, place.fd, PART, true, &sink_backend_system, NULL) == 0, "%s",
                  result.text.s);
    snprintf(name, sizeof name, "%s/" FINAL, place.path);
    verify_file(&file, name, NULL);
    ck_assert_msg(file.doubts.count == 0, "%s", file.doubts.kept ? file.doubts.kept[0].text : "?");
    ck_assert_uint_eq(file.frames, result.frames);
    verify_file_free(&file);
    return result;
}

/* Rows and pixels of what repair made; frame i has count i + 1. Rows of frames in [missing, end)
 * were not there: they are made up. */
static void check_frames(uint64_t frames, uint64_t missing, uint64_t missing_end)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text = {""};
    int fd = openat(place.fd, FINAL, O_RDONLY | O_CLOEXEC);

    ck_assert_msg(reading_open(reading, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(reading->rows, frames);
    for (uint64_t i = 0; i < frames; i++) {
        unsigned char packed[FITS_ROW_BYTES], stored[2 * WIDTH_MAX];
        bool made_up = i >= missing && i < missing_end;
        uint16_t pixels[WIDTH_MAX];
        struct fits_row row;

        ck_assert_int_eq(reading_rows(reading, i, 1, packed), 0);
        fits_row_unpack(&row, packed);
        ck_assert_int_eq(row.cnt0, (int64_t)i + 1);
        ck_assert_int_eq(row.lost, 0);
        ck_assert_int_eq(row.flags & (FITS_FLAG_TORN | FITS_FLAG_RECOVERED),
                         made_up ? FITS_FLAG_TORN | FITS_FLAG_RECOVERED : 0);
        ck_assert_int_eq(row.slot, made_up ? -1 : (int32_t)(i % DEPTH));
        ck_assert_int_eq(row.atime_ns == 0, made_up);
        ck_assert_int_gt(row.rtime_ns, 0);
        ramp_fill((unsigned char *)pixels, _DATATYPE_UINT16, i + 1, width);
        ck_assert_int_eq(pread(fd, stored, 2 * width,
                               (off_t)(reading->unit[READING_CUBE].data_off + i * 2 * width)),
                         2 * width);
        for (unsigned k = 0; k < width; k++)
            ck_assert_int_eq((stored[2 * k] << 8 | stored[2 * k + 1]) ^ 0x8000, pixels[k]);
    }
    reading_close(reading);
    free(reading);
    close(fd);
    ck_assert_int_eq(unlinkat(place.fd, FINAL, 0), 0);
}

static void learn_file_bytes(void)
{
    int64_t hang_ns = hang_after();
    int fd = open_session();
    struct stat st;

    while (fstatat(fd, "wfs/" PART, &st, 0) != 0)
        rest_until(hang_ns, "the first file has no name");
    file_bytes = (uint64_t)st.st_size;
    close(fd);
}

/* Wait until a sync is done that makes all these frames safe; the entry behind it. The first two
 * syncs are those of making the file and of naming it. */
static size_t wait_for_safety(uint64_t frames)
{
    char what[80];

    snprintf(what, sizeof what, "no sync after the rows of %llu frames",
             (unsigned long long)frames);
    for (int64_t hang_ns = hang_after();; rest_until(hang_ns, what)) {
        struct cut_log log = snapshot();
        size_t at = 0, next;

        for (unsigned n = 3; (next = behind_sync(&log, n)) > 0; n++)
            at = next;
        if (at > 0) {
            struct cut_image image = image_of(&log, at);
            struct repair_file result;

            put_image(&image);
            cut_image_free(&image);
            result = repair();
            if (result.frames == frames && !result.no_rows) {
                ck_assert_uint_eq(result.flagged + result.dropped, 0);
                check_frames(frames, 0, 0);
                free(log.entries);
                return at;
            }
            ck_assert_int_eq(unlinkat(place.fd, FINAL, 0), 0);
        }
        free(log.entries);
    }
}

START_TEST(while_nothing_more_comes_what_was_recorded_is_made_safe)
{
    begin(97);
    publish(30);
    config.stream.rolling.frames = 400;
    start(IO_ENGINE_PWRITE, 200, &logging);
    learn_file_bytes();
    wait_for_safety(30);
    publish(70); /* and what is added to it */
    wait_for_safety(100);
    ck_assert_int_eq(atomic_load(&status), -1); /* it was not for its end */
    publish(100);
    ck_assert_int_eq(wait_for_end(), 0);
    end();
}
END_TEST

/* ---- rows of one flush, in any order ---- */

struct flush {
    size_t from; /* entry */
    uint64_t rows_off;
    unsigned images, made_up;
};

static bool is_row_write(const struct flush *flush, const struct cut_entry *entry)
{
    return entry->kind == CUT_WRITE && entry->off + entry->bytes > flush->rows_off;
}

/* Where the file's rows are, as its headers have it. */
static uint64_t find_rows(const struct cut_image *image)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text = {""};
    uint64_t off;
    int fd;

    put_image(image);
    fd = openat(place.fd, PART, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(reading_open(reading, fd, &text) == 0, "%s", text.s);
    off = reading->rows_off;
    reading_close(reading);
    free(reading);
    close(fd);
    return off;
}

/*
 * A flush of many rows is two requests, the whole pages and then the last one, with no sync between
 * them: after a power cut later rows may be there without earlier ones. Their pixels are: repair
 * makes the rows up, each with its count.
 */
START_TEST(a_later_row_without_an_earlier_one_costs_no_frame)
{
    struct flush flush = {0};
    struct cut_log log;
    struct cut_image base, image = {0};
    size_t to, rows[2], count = 0;
    uint64_t page_rows;

    begin(97);
    publish(200);
    config.stream.rolling.frames = 400;
    start(IO_ENGINE_PWRITE, 300, &logging);
    learn_file_bytes();
    to = wait_for_safety(200);
    publish(100);
    ck_assert_int_eq(wait_for_end(), 0);

    log = snapshot();
    flush.from = behind_sync(&log, 2);
    base = image_of(&log, flush.from);
    flush.rows_off = find_rows(&base);
    for (size_t i = flush.from; i < to; i++)
        if (is_row_write(&flush, &log.entries[i])) {
            ck_assert_uint_lt(count, 2);
            rows[count++] = i;
        }
    ck_assert_uint_eq(count, 2); /* there it is */
    ck_assert_uint_lt(log.entries[rows[0]].off, log.entries[rows[1]].off);
    page_rows = (log.entries[rows[1]].off - flush.rows_off) / FITS_ROW_BYTES;
    ck_assert_uint_gt(page_rows, 64);
    for (unsigned subset = 0; subset < 4; subset++) {
        bool first = subset & 1, last = subset & 2;
        struct repair_file result;

        cut_copy(&image, &base);
        for (size_t i = flush.from; i < to; i++)
            if ((i != rows[0] || first) && (i != rows[1] || last))
                cut_apply(&image, &log.entries[i], 1000);
        put_image(&image);
        result = repair();
        if (last) {
            ck_assert_uint_eq(result.frames, 200);
            ck_assert_uint_eq(result.flagged, first ? 0 : page_rows);
            check_frames(200, 0, first ? 0 : page_rows);
        } else if (first) {
            ck_assert_uint_eq(result.frames, page_rows);
            ck_assert_uint_eq(result.flagged, 0);
            check_frames(page_rows, 0, 0);
        } else {
            ck_assert(result.no_rows);
            ck_assert_uint_eq(result.frames, 1); /* the header tells of it */
            ck_assert_int_eq(unlinkat(place.fd, FINAL, 0), 0);
        }
    }
    cut_image_free(&image);
    cut_image_free(&base);
    free(log.entries);
    end();
}
END_TEST

/* So that whoever is killed leaves no row without the rows before it. */
START_TEST(no_row_is_written_before_the_rows_before_it_are)
{
    struct cut_log log;

    begin(97);
    publish(200);
    config.stream.rolling.frames = 400;
    disk.refuse_off = 60000; /* behind 200 of 400 planes: rows */
    start(IO_ENGINE_PWRITE, 250, &logging);
    for (int64_t hang_ns = hang_after(); atomic_load(&status) < 0;) {
        bool is_refused;

        pthread_mutex_lock(&disk.lock);
        is_refused = disk.refused > 0;
        pthread_mutex_unlock(&disk.lock);
        publish(is_refused ? 5 : 0);
        rest_until(hang_ns, is_refused ? "the recorder does not end" : "no row was written");
    }
    ck_assert_int_eq(wait_for_end(), 3);
    log = snapshot();
    for (size_t i = behind_sync(&log, 2); i < log.count; i++)
        ck_assert(log.entries[i].kind != CUT_WRITE || log.entries[i].off <= 60000);
    free(log.entries);
    end();
}
END_TEST

/* Whatever part of what was sent since the last sync is there, also by sectors. */
static void check_any(void *ctx, const struct cut_image *image)
{
    struct flush *flush = ctx;
    struct repair_file result;

    put_image(image);
    result = repair();
    flush->images++;
    flush->made_up += result.flagged > 0;
    ck_assert_int_eq(unlinkat(place.fd, FINAL, 0), 0);
}

START_TEST(a_power_cut_at_any_instant_of_a_recording_leaves_what_can_be_repaired)
{
    struct flush flush = {0};
    struct cut_log log;
    struct cut_image base;

    begin(97);
    publish(150);
    config.stream.rolling.frames = 400;
    start(IO_ENGINE_PWRITE, 300, &logging);
    learn_file_bytes();
    wait_for_safety(150);
    publish(100);
    wait_for_safety(250);
    publish(50);
    ck_assert_int_eq(wait_for_end(), 0);
    log = snapshot();
    flush.from = behind_sync(&log, 2);
    base = image_of(&log, flush.from);
    cut_visit(&log, flush.from, &base, 5, 15, check_any, &flush);
    ck_assert_uint_gt(flush.images, 100);
    ck_assert_uint_gt(flush.made_up, 3);
    cut_image_free(&base);
    free(log.entries);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_cuts");
    TCase *tcase = tcase_create("power cuts");

    take_base_make();
    tcase_set_timeout(tcase, 3 * HANG_S);
    tcase_add_test(tcase, while_nothing_more_comes_what_was_recorded_is_made_safe);
    tcase_add_test(tcase, no_row_is_written_before_the_rows_before_it_are);
    tcase_add_test(tcase, a_later_row_without_an_earlier_one_costs_no_frame);
    tcase_add_test(tcase, a_power_cut_at_any_instant_of_a_recording_leaves_what_can_be_repaired);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
