/*
 * test_series_reader.c - how a reader goes through files: what it asks of the kernel, how often it
 * reads, and what it says when the file system fails or a file will not stand still.
 */
#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "series/series.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define WIDTH 97u

static struct take_folder folder;
static struct series_set set;
static struct series_reader *reader;
static struct dao_text text;

/* ---- in place of libc's ---- */

static uint64_t asked_bytes, reads;
static unsigned long broken_from = ULONG_MAX; /* reads at or behind this offset fail */
static bool is_restless;                      /* the first block is another one at each look */

int posix_fadvise(int fd, off_t off, off_t length, int advice)
{
    (void)fd;
    (void)off;
    if (advice == POSIX_FADV_WILLNEED)
        asked_bytes += (uint64_t)length;
    return 0;
}

ssize_t pread(int fd, void *bytes, size_t count, off_t off)
{
    static unsigned char turn;
    ssize_t n = syscall(SYS_pread64, fd, bytes, count, off);

    reads++;
    if ((unsigned long)off >= broken_from) {
        errno = EBADMSG;
        return -1;
    }
    if (is_restless && off == 0 && n == FITS_BLOCK)
        ((unsigned char *)bytes)[FITS_BLOCK - 1] ^= ++turn;
    return n;
}

/* ---- scenes ---- */

static void begin(void)
{
    take_folder_make(&folder);
}

static void end(void)
{
    series_reader_close(reader);
    series_set_close(&set);
    take_folder_remove(&folder);
}

static void open_folder(uint64_t ahead_bytes)
{
    char *paths[] = {folder.path};

    ck_assert_msg(series_set_open(&set, paths, 1, NULL, &text) == 0, "%s", text.s);
    ck_assert_int_eq(series_reader_open(&reader, &set.series[0], ahead_bytes, &text), 0);
}

static uint64_t play(void)
{
    uint16_t pixels[WIDTH];

    asked_bytes = 0;
    for (uint64_t i = 0; i < set.series[0].frames; i++)
        ck_assert_int_eq(series_reader_pixels(reader, i, pixels, &text), 0);
    return asked_bytes;
}

START_TEST(each_pass_of_a_loop_is_read_ahead)
{
    struct take take;
    uint64_t first;

    take_file(&take, folder.fd, WIDTH, 400, 400, 1, 0, _i > 0);
    if (_i > 0)
        take_file(&take, folder.fd, WIDTH, 400, 300, 2, 400, false);
    open_folder(8192);
    first = play();
    ck_assert_uint_ge(first, (set.series[0].frames - 2) * 2 * WIDTH);
    for (int pass = 1; pass < 4; pass++)
        ck_assert_uint_eq(play(), first);
}
END_TEST

START_TEST(a_stretch_of_missing_rows_is_gone_through_once)
{
    const uint64_t frames = 6000, begin_of = _i > 1 ? 0 : 500, end_of = 5900;
    struct fits_row row;
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, frames, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, frames);
    take_put_rows(&take, 0, begin_of);
    take_put_rows(&take, end_of, frames);
    open_folder(0);
    ck_assert_uint_eq(set.series[0].frames, frames);
    reads = 0;
    for (uint64_t i = 0; i < frames; i++) {
        uint64_t index = _i % 2 ? frames - 1 - i : i;

        ck_assert_int_eq(series_reader_row(reader, index, &row, &text), 0);
        ck_assert_int_ne(row.rtime_ns, 0);
        if (index >= begin_of && index < end_of)
            ck_assert_int_eq(
                row.cnt0, begin_of
                              ? take_cnt0(begin_of - 1) + (int64_t)(index - begin_of + 1)
                              : take_cnt0(end_of) - take_lost(end_of) - (int64_t)(end_of - index));
    }
    /* One way or the other, some reads a row (and two looks at the head for each) at the most. */
    ck_assert_uint_le(reads, _i % 2 ? 4 * frames : frames / 10);
    recording_file_discard(&take.file);
}
END_TEST

/* A cube whose first axis counts frames: frame f has the pixels 10 f, 10 f + 1, ... */
static void make_across(unsigned frames, unsigned pixels)
{
    unsigned char header[FITS_BLOCK];
    char cards[5][81];
    FILE *file;
    char path[400];

    snprintf(path, sizeof path, "%s/across.fits", folder.path);
    memset(header, ' ', sizeof header);
    snprintf(cards[0], 81, "%-8s= %20s", "SIMPLE", "T");
    snprintf(cards[1], 81, "%-8s= %20d", "BITPIX", 16);
    snprintf(cards[2], 81, "%-8s= %20d", "NAXIS", 2);
    snprintf(cards[3], 81, "%-8s= %20u", "NAXIS1", frames);
    snprintf(cards[4], 81, "%-8s= %20u", "NAXIS2", pixels);
    for (int i = 0; i < 5; i++)
        memcpy(header + (size_t)i * 80, cards[i], strlen(cards[i]));
    memcpy(header + 400, "END", 3);
    file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(header, 1, sizeof header, file), sizeof header);
    for (unsigned p = 0; p < pixels; p++)
        for (unsigned f = 0; f < frames; f++) {
            fputc((int)((10 * f + p) >> 8), file);
            fputc((int)((10 * f + p) & 0xff), file);
        }
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(frames_that_lie_across_a_file_come_in_any_order)
{
    const struct series_options options = {.frame_axis = 1};
    const uint64_t order[] = {2999, 0, 1500, 2998, 7};
    char *paths[] = {folder.path};
    int16_t pixels[7];

    make_across(3000, 7);
    ck_assert_msg(series_set_open(&set, paths, 1, &options, &text) == 0, "%s", text.s);
    ck_assert_int_eq(series_reader_open(&reader, &set.series[0], 0, &text), 0);
    ck_assert_uint_eq(set.series[0].frames, 3000);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        ck_assert_int_eq(series_reader_pixels(reader, order[i], pixels, &text), 0);
        for (int p = 0; p < 7; p++)
            ck_assert_int_eq(pixels[p], (int16_t)(10 * order[i] + (uint64_t)p));
    }
}
END_TEST

/* ---- what is no damage of a frame ---- */

START_TEST(an_error_of_the_file_system_is_not_taken_for_a_checksum_that_does_not_fit)
{
    uint16_t pixels[WIDTH];
    struct take take;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, false);
    open_folder(0);
    broken_from = 1;
    ck_assert_int_eq(series_reader_pixels(reader, 3, pixels, &text), -EIO);
}
END_TEST

START_TEST(a_file_that_will_not_stand_still_is_an_error_and_no_frame_of_it_damaged)
{
    uint16_t pixels[WIDTH];
    struct fits_row row = {0};
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 400);
    take_put_rows(&take, 0, 400);
    open_folder(0);
    ck_assert_int_eq(series_reader_pixels(reader, 3, pixels, &text), 0);
    is_restless = true;
    ck_assert_int_eq(series_reader_row(reader, 300, &row, &text), -EAGAIN);
    ck_assert_ptr_nonnull(strstr(text.s, "again"));
    ck_assert_int_eq(series_reader_pixels(reader, 200, pixels, &text), -EAGAIN);
    is_restless = false;
    ck_assert_int_eq(series_reader_pixels(reader, 200, pixels, &text), 0);
    ck_assert_int_eq(series_reader_row(reader, 300, &row, &text), 0);
    ck_assert_int_eq(row.cnt0, take_cnt0(300));
    recording_file_discard(&take.file);
}
END_TEST

START_TEST(a_file_that_is_no_recording_any_more_is_an_error_and_no_frame_of_it_damaged)
{
    uint16_t pixels[WIDTH];
    struct take take;
    char path[400];
    int fd;

    take_prepare(&take, folder.fd, WIDTH, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 400);
    take_put_rows(&take, 0, 400);
    open_folder(0);
    snprintf(path, sizeof path, "%s", series_member_at(&set.series[0], 0).path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, "XXXXXXXX", 8, 80), 8);
    close(fd);
    ck_assert_int_eq(series_reader_pixels(reader, 3, pixels, &text), -EMEDIUMTYPE);
    recording_file_discard(&take.file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("series_reader");
    TCase *tcase = tcase_create("series_reader");

    take_base_make();
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_loop_test(tcase, each_pass_of_a_loop_is_read_ahead, 0, 2);
    tcase_add_loop_test(tcase, a_stretch_of_missing_rows_is_gone_through_once, 0, 4);
    tcase_add_test(tcase, frames_that_lie_across_a_file_come_in_any_order);
    tcase_add_test(tcase,
                   an_error_of_the_file_system_is_not_taken_for_a_checksum_that_does_not_fit);
    tcase_add_test(tcase, a_file_that_will_not_stand_still_is_an_error_and_no_frame_of_it_damaged);
    tcase_add_test(tcase,
                   a_file_that_is_no_recording_any_more_is_an_error_and_no_frame_of_it_damaged);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
