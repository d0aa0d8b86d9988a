/*
 * test_extract.c - frames of recordings made without a segment into files of their own, where the
 * command line has no way to such a recording.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fits/scan.h"
#include "extract/extract.h"
#include "recording/reading.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define WIDTH 97u

static struct take_folder folder;
static struct series_set set;
static struct dao_text text;
static char out[400];

/* In place of libc's: a file system that cannot exchange names. */
static bool cannot_exchange;

int renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags)
{
    if (cannot_exchange && flags == RENAME_EXCHANGE) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
}

static void begin(void)
{
    take_folder_make(&folder);
    snprintf(out, sizeof out, "%s/x.fits", folder.path);
}

static void end(void)
{
    series_set_close(&set);
    take_keywords = NULL;
    take_keyword_count = 0;
    take_folder_remove(&folder);
}

static void open_folder(void)
{
    char *paths[] = {folder.path};

    ck_assert_msg(series_set_open(&set, paths, 1, NULL, &text) == 0, "%s", text.s);
}

/* Frames [from, until) of the only stream; extract_write()'s result. */
static int extract(uint64_t from, uint64_t until, uint64_t every)
{
    struct extract_order order = {.series = &set.series[0],
                                  .from = from,
                                  .until = until,
                                  .every = every,
                                  .format = EXTRACT_FITS,
                                  .path = out,
                                  .force = true};
    struct extract_result result;
    struct extract_job *job = NULL;
    int r = extract_write(&job, &order, &result, &text);

    if (r == 0)
        ck_assert_int_eq(extract_commit(job, &text), 0);
    extract_close(job, false);
    return r;
}

/* Is this in the primary header? */
static bool is_said(const char *words)
{
    struct fits_unit unit = {0};
    int fd = open(out, O_RDONLY | O_CLOEXEC);
    bool is_there;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fits_scan_unit(&unit, fd, INT64_MAX, 0, &text), 0);
    is_there = memmem(unit.header.data, unit.header.length, words, strlen(words)) != NULL;
    fits_unit_free(&unit);
    close(fd);
    return is_there;
}

/* Rows of the table FRAMES of what came out; how many. */
static uint64_t read_rows(struct fits_row *ret, uint64_t most)
{
    struct fits_unit unit = {0}, frames = {0};
    int fd = open(out, O_RDONLY | O_CLOEXEC);
    unsigned char packed[FITS_ROW_BYTES];
    uint64_t count;

    ck_assert_int_eq(fits_scan_unit(&unit, fd, INT64_MAX, 0, &text), 0);
    ck_assert_int_eq(fits_scan_unit(&frames, fd, INT64_MAX, unit.end, &text), 0);
    ck_assert_str_eq(frames.extname, "FRAMES");
    count = frames.axis[1];
    ck_assert_uint_le(count, most);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_int_eq(
            fits_read_at(fd, frames.data_off + i * FITS_ROW_BYTES, packed, sizeof packed), 0);
        fits_row_unpack(&ret[i], packed);
    }
    fits_unit_free(&frames);
    fits_unit_free(&unit);
    close(fd);
    return count;
}

START_TEST(frames_with_other_keywords_are_one_cube_which_says_so)
{
    IMAGE_KEYWORD gain[1] = {{.name = "GAIN", .type = 'L'}};
    struct take take;

    take_keywords = gain;
    take_keyword_count = 1;
    for (uint64_t i = 0; i < 3; i++) {
        gain[0].value.numl = i < 2 ? 5 : 6;
        take_file(&take, folder.fd, WIDTH, 4, 4, i + 1, i * 4, i < 2);
    }
    open_folder();
    ck_assert_uint_eq(set.series[0].part_count, 2);
    ck_assert_msg(extract(1, 12, 1) == 0, "%s", text.s);
    ck_assert(is_said("from frame 8 on"));
    ck_assert_msg(extract(1, 8, 1) == 0, "%s", text.s);
    ck_assert(!is_said("from frame 8 on"));
}
END_TEST

START_TEST(another_shape_within_the_range_is_refused_also_where_the_first_comes_again)
{
    struct take take;

    take_file(&take, folder.fd, WIDTH, 4, 4, 1, 0, true);
    take_file(&take, folder.fd, 2 * WIDTH, 4, 4, 2, 4, true);
    take_file(&take, folder.fd, WIDTH, 4, 4, 3, 8, false);
    open_folder();
    ck_assert_int_eq(extract(0, 6, 1), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "--until 4"));
    ck_assert_int_eq(extract(0, 12, 1), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "--until 4"));
    ck_assert_int_eq(extract(0, 12, 11), -EINVAL); /* also where no frame of it is taken */
    ck_assert_int_eq(extract(4, 8, 1), 0);
    ck_assert_int_ne(access(out, F_OK), -1);
}
END_TEST

START_TEST(losses_and_restarts_of_frames_that_are_left_out_go_on_to_the_next)
{
    static const unsigned steps[] = {1, 2, 3, 4, 7, 23};
    const int32_t flags =
        FITS_FLAG_GAP | FITS_FLAG_OVERWRITE | FITS_FLAG_QUEUEFULL | FITS_FLAG_RESET;
    uint64_t every = steps[_i];
    struct fits_row rows[40], own;
    struct take take;
    uint64_t count;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_file(&take, folder.fd, WIDTH, 20, 18, 2, 8, false);
    open_folder();
    ck_assert_msg(extract(2, 26, every) == 0, "%s", text.s);
    count = read_rows(rows, 40);
    ck_assert_uint_eq(count, (26 - 2 - 1) / every + 1);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t frame = 2 + i * every;
        int32_t lost = 0, told = 0;

        for (uint64_t f = i ? frame - every + 1 : frame; f <= frame; f++) {
            take_row(&take, f, 0, &own);
            lost += own.lost;
            told |= own.flags & flags;
        }
        ck_assert_int_eq(rows[i].cnt0, take_cnt0(frame));
        ck_assert_int_eq(rows[i].lost, lost);
        ck_assert_int_eq(rows[i].flags & flags, told);
        ck_assert_int_eq(rows[i].flags & ~flags, frame == 15 ? FITS_FLAG_BADTIME : 0);
    }
}
END_TEST

/* ---- outputs of which one cannot get its name ---- */

static void put_words(const char *path, const char *words)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(words, file);
    ck_assert_int_eq(fclose(file), 0);
}

static bool has_words(const char *path, const char *words)
{
    char line[40] = "";
    FILE *file = fopen(path, "r");

    ck_assert_ptr_nonnull(file);
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    return strcmp(line, words) == 0;
}

/* How many entries there are beside the recording and what was put there; hidden ones, too. */
static unsigned count_entries(void)
{
    DIR *dir = opendir(folder.path);
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

START_TEST(what_was_to_be_replaced_is_there_again_where_another_output_fails)
{
    bool is_replaced = _i != 1, exchanges = _i != 2;
    struct extract_order order = {.from = 0, .until = 4, .every = 1, .force = true};
    struct extract_result result;
    struct extract_job *jobs[2] = {NULL, NULL};
    char second[400];
    struct take take;

    take_file(&take, folder.fd, WIDTH, 4, 4, 1, 0, false);
    open_folder();
    snprintf(second, sizeof second, "%s/y.npy", folder.path);
    if (is_replaced)
        put_words(out, "precious");
    order.series = &set.series[0];
    order.path = out;
    ck_assert_int_eq(extract_write(&jobs[0], &order, &result, &text), 0);
    order.path = second;
    order.format = EXTRACT_NPY;
    ck_assert_int_eq(extract_write(&jobs[1], &order, &result, &text), 0);
    ck_assert_int_eq(mkdir(second, 0777), 0);
    cannot_exchange = !exchanges;
    ck_assert_int_eq(extract_commit(jobs[0], &text), 0);
    ck_assert(!is_replaced || !has_words(out, "precious"));
    ck_assert_int_eq(extract_commit(jobs[1], &text), -EISDIR);
    extract_close(jobs[0], true);
    extract_close(jobs[1], true);
    if (is_replaced && exchanges)
        ck_assert(has_words(out, "precious"));
    else
        ck_assert_int_eq(access(out, F_OK), is_replaced ? 0 : -1);
    /* The recording and the folder, and what was or could not be replaced. */
    ck_assert_uint_eq(count_entries(), 2 + is_replaced);
}
END_TEST

START_TEST(what_was_replaced_is_gone_at_the_end)
{
    struct take take;

    take_file(&take, folder.fd, WIDTH, 4, 4, 1, 0, false);
    open_folder();
    put_words(out, "old");
    ck_assert_msg(extract(0, 4, 1) == 0, "%s", text.s);
    ck_assert(!has_words(out, "old"));
    ck_assert_uint_eq(count_entries(), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("extract");
    TCase *tcase = tcase_create("extract");

    take_base_make();
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, frames_with_other_keywords_are_one_cube_which_says_so);
    tcase_add_test(tcase,
                   another_shape_within_the_range_is_refused_also_where_the_first_comes_again);
    tcase_add_loop_test(tcase, losses_and_restarts_of_frames_that_are_left_out_go_on_to_the_next, 0,
                        6);
    tcase_add_loop_test(tcase, what_was_to_be_replaced_is_there_again_where_another_output_fails, 0,
                        3);
    tcase_add_test(tcase, what_was_replaced_is_gone_at_the_end);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
