/*
 * test_series.c - a stream's frames from files of ours: finished, rolled, crashed, damaged, being
 * closed under the reader.
 */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "series/series.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define WIDTH 97u

static struct take_folder folder;
static struct series_set set;
static struct series_reader *reader;
static struct dao_text text;

/* In place of libc's, for what happens between two steps of the code under test. */
static void (*before_open)(const char *path);

int open(const char *path, int flags, ...)
{
    void (*hook)(const char *) = before_open;
    mode_t mode = 0;
    va_list list;

    va_start(list, flags);
    if (flags & O_CREAT)
        mode = va_arg(list, mode_t);
    va_end(list);
    before_open = NULL;
    if (hook)
        hook(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static const char *path_of(const char *name)
{
    static char path[3][400];
    static unsigned turn;

    turn = (turn + 1) % 3;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder.path, name);
    return path[turn];
}

static int open_paths(const char *a, const char *b)
{
    char *paths[2] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b};

    return series_set_open(&set, paths, b ? 2 : 1, NULL, &text);
}

static void open_reader(void)
{
    ck_assert_int_eq(series_reader_open(&reader, &set.series[0], 1u << 20, &text), 0);
}

static void begin(void)
{
    take_folder_make(&folder);
    reader = NULL;
}

static void end(void)
{
    series_reader_close(reader);
    series_set_close(&set);
    take_folder_remove(&folder);
}

/* Frame `index` of the series is frame `frame` of the takes: row and pixels. */
static void expect_frame(uint64_t index, uint64_t frame, uint32_t width)
{
    uint16_t pixels[2 * WIDTH];
    struct fits_row row = {0};

    ck_assert_msg(series_reader_row(reader, index, &row, &text) == 0, "%s", text.s);
    ck_assert_int_eq(row.cnt0, take_cnt0(frame));
    ck_assert_int_eq(row.lost, take_lost(frame));
    ck_assert_int_eq(row.cnt2, 70000 + take_cnt0(frame));
    ck_assert_int_ne(row.rtime_ns, 0);
    ck_assert_msg(series_reader_pixels(reader, index, pixels, &text) == 0, "%s", text.s);
    for (uint32_t i = 0; i < width; i++)
        ck_assert_uint_eq(pixels[i], take_pixel(frame, i));
}

/* Three files of 8, 6 and 12 frames. */
static void make_rolled(void)
{
    struct take take;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_file(&take, folder.fd, WIDTH, 20, 6, 2, 8, true);
    take_file(&take, folder.fd, WIDTH, 20, 12, 3, 14, false);
}

START_TEST(rolled_files_are_one_row_of_frames_in_any_order_asked_for)
{
    make_rolled();
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    ck_assert_uint_eq(set.count, 1);
    ck_assert_str_eq(set.series[0].stream, "wfs");
    ck_assert_str_eq(set.series[0].segment, "/tmp/wfs.im.shm");
    ck_assert_str_eq(set.series[0].uuid, "0123-4567");
    ck_assert_uint_eq(set.series[0].frames, 26);
    ck_assert_uint_eq(set.series[0].part_count, 1);
    ck_assert_uint_eq(set.series[0].parts[0].frames, 26);
    ck_assert_uint_eq(set.series[0].parts[0].geometry.depth, TAKE_DEPTH);
    ck_assert(set.series[0].has_times && set.series[0].has_counts);
    open_reader();
    for (uint64_t i = 0; i < 26; i++)
        expect_frame(i, i, WIDTH);
    for (uint64_t i = 26; i-- > 0;)
        expect_frame(i, i, WIDTH);
    for (uint64_t i = 0; i < 100; i++)
        expect_frame(i * 7 % 26, i * 7 % 26, WIDTH);
}
END_TEST

START_TEST(its_files_are_told_in_their_order)
{
    static const uint64_t firsts[] = {0, 8, 14}, frames[] = {8, 6, 12};

    make_rolled();
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    ck_assert_uint_eq(series_member_count(&set.series[0]), 3);
    for (size_t i = 0; i < 3; i++) {
        struct series_member member = series_member_at(&set.series[0], i);
        char name[32];

        snprintf(name, sizeof name, "/wfs_%06zu.fits", i + 1);
        ck_assert_ptr_nonnull(strstr(member.path, name));
        ck_assert_uint_eq(member.number, i + 1);
        ck_assert_uint_eq(member.first, firsts[i]);
        ck_assert_uint_eq(member.frames, frames[i]);
        ck_assert(member.is_ours && !member.is_part);
    }
}
END_TEST

START_TEST(files_named_in_any_order_and_twice_come_in_theirs_and_once)
{
    make_rolled();
    ck_assert_int_eq(open_paths(path_of("wfs_000003.fits"), path_of("wfs_000001.fits")), 0);
    ck_assert_uint_eq(set.series[0].frames, 20);
    open_reader();
    expect_frame(7, 7, WIDTH);
    expect_frame(8, 14, WIDTH);
    series_reader_close(reader);
    series_set_close(&set);
    ck_assert_int_eq(symlink("wfs_000003.fits", path_of("link.fits")), 0);
    ck_assert_int_eq(open_paths(path_of("wfs_000003.fits"), path_of("link.fits")), 0);
    ck_assert_uint_eq(set.series[0].frames, 12);
    open_reader();
    expect_frame(0, 14, WIDTH);
}
END_TEST

START_TEST(two_files_of_one_number_are_refused_by_name_and_a_finished_one_wins_over_its_part)
{
    struct take take;
    char command[900];

    make_rolled();
    snprintf(command, sizeof command, "cp '%s' '%s'", path_of("wfs_000001.fits"),
             path_of("copy.fits"));
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(open_paths(folder.path, NULL), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "copy.fits"));
    ck_assert_int_eq(unlink(path_of("copy.fits")), 0);
    ck_assert_int_eq(unlink(path_of("wfs_000002.fits")), 0);
    take_prepare(&take, folder.fd, WIDTH, 20, 3, 14, &sink_backend_system);
    /* A recorder would not: its name is taken. */
    ck_assert_int_eq(rename(path_of("wfs_000003.fits"), path_of("x.fits")), 0);
    take_publish(&take);
    take_put_pixels(&take, 0, 3);
    take_put_rows(&take, 0, 3);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    ck_assert_uint_eq(set.series[0].frames, 20);
    recording_file_discard(&take.file);
}
END_TEST

START_TEST(of_an_unfinished_file_the_frames_whose_rows_are_there_are_read)
{
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, 3000, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 700);
    take_put_rows(&take, 0, 613);
    ck_assert_int_eq(open_paths(path_of("wfs_000001.fits.part"), NULL), 0);
    ck_assert_uint_eq(set.series[0].frames, 613);
    open_reader();
    for (uint64_t i = 0; i < 613; i++)
        expect_frame(i, i, WIDTH);
    recording_file_discard(&take.file);
}
END_TEST

START_TEST(an_unfinished_file_without_any_row_holds_nothing)
{
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, 30, 1, 0, &sink_backend_system);
    take_publish(&take);
    ck_assert_int_eq(open_paths(folder.path, NULL), -ENOENT);
    ck_assert_uint_eq(set.count, 0);
    recording_file_discard(&take.file);
}
END_TEST

START_TEST(frames_whose_rows_a_power_cut_has_left_out_keep_their_place_and_are_flagged)
{
    uint16_t pixels[WIDTH];
    int64_t begin_ns, end_ns;
    struct fits_row row;
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, 3000, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 200);
    take_put_rows(&take, 3, 180); /* the first rows are missing, and some where bisection looks */
    take_put_rows(&take, 195, 200);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    series_set_span(&set, &begin_ns, &end_ns);
    ck_assert_int_eq(begin_ns, TAKE_START_NS + 3 * 1000017); /* the first that is known */
    ck_assert_int_eq(end_ns, TAKE_START_NS + 199 * 1000017);
    ck_assert_uint_eq(set.series[0].frames, 200);
    open_reader();
    expect_frame(179, 179, WIDTH);
    expect_frame(195, 195, WIDTH);
    expect_frame(199, 199, WIDTH);
    for (uint64_t i = 0; i < 195; i++) {
        if (i >= 3 && i < 180)
            continue;
        ck_assert_int_eq(series_reader_row(reader, i, &row, &text), 0);
        ck_assert_int_eq(row.cnt0, take_cnt0(i));
        ck_assert_int_eq(row.flags, FITS_FLAG_TORN | FITS_FLAG_RECOVERED | FITS_FLAG_BADTIME);
        ck_assert_int_ne(row.rtime_ns, 0);
        ck_assert(isnan(row.time_s));
        ck_assert_int_eq(series_reader_pixels(reader, i, pixels, &text), 0);
        ck_assert_uint_eq(pixels[5], take_pixel(i, 5));
    }
    recording_file_discard(&take.file);
}
END_TEST

/* ---- closed under the reader ---- */

static unsigned steps;

static void after_step(void *ctx, const char *step)
{
    uint64_t frames = *(uint64_t *)ctx;

    (void)step;
    steps++;
    for (uint64_t i = frames; i-- > 0;)
        expect_frame(i, i, WIDTH);
}

START_TEST(a_file_that_is_closed_while_it_is_read_gives_its_frames_at_every_step)
{
    /* All planes filled; room behind the last frame; none, so that tables go by way of SPARE. */
    static const uint64_t frames_of[] = {400, 100, 398};
    uint64_t frames = frames_of[_i];
    struct recording_hooks hooks = {after_step, &frames};
    struct take take;

    take_prepare(&take, folder.fd, WIDTH, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, frames);
    take_put_rows(&take, 0, frames);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    ck_assert_uint_eq(set.series[0].frames, frames);
    open_reader();
    expect_frame(0, 0, WIDTH);
    ck_assert_int_eq(take_close(&take, frames, "STOP", false, &hooks), 0);
    ck_assert_uint_ge(steps, 3);
    expect_frame(3, 3, WIDTH);
    /* A reader that opens it only now finds it under its final name. */
    series_reader_close(reader);
    open_reader();
    for (uint64_t i = 0; i < frames; i++)
        expect_frame(i, i, WIDTH);
    steps = 0;
}
END_TEST

static void close_before_open(const char *path)
{
    char closed[400];

    if (!strstr(path, ".part")) {
        before_open = close_before_open; /* not yet */
        return;
    }
    snprintf(closed, sizeof closed, "%.*s", (int)(strlen(path) - 5), path);
    ck_assert_int_eq(rename(path, closed), 0);
}

START_TEST(a_file_that_gets_its_final_name_between_listing_and_opening_is_taken)
{
    struct take take;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_prepare(&take, folder.fd, WIDTH, 12, 2, 8, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 12);
    take_put_rows(&take, 0, 12);
    before_open = close_before_open;
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    ck_assert_ptr_null(before_open);
    ck_assert_uint_eq(set.series[0].frames, 20);
    open_reader();
    expect_frame(19, 19, WIDTH);
    recording_file_discard(&take.file);
}
END_TEST

/* ---- a ring, whose oldest files go ---- */

#define RING_FILES  3u
#define RING_FRAMES 5u
#define RING_SPARES 4u

static unsigned ring_oldest, ring_turns_left, ring_opens, ring_goes_at;

/* The oldest file goes just before it is opened the ring_goes_at'th time: 1 to be looked at, 2 for
 * its keywords. The next one comes. */
static void turn_ring(const char *path)
{
    char oldest[32], newest[32], spare[32];

    before_open = turn_ring;
    snprintf(oldest, sizeof oldest, "wfs_%06u.fits", ring_oldest);
    if (ring_turns_left == 0 || !strstr(path, oldest) || ++ring_opens < ring_goes_at)
        return;
    snprintf(newest, sizeof newest, "wfs_%06u.fits", ring_oldest + RING_FILES);
    snprintf(spare, sizeof spare, "spare_%u", ring_oldest + RING_FILES);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rename(path_of(spare), path_of(newest)), 0);
    ring_turns_left--;
    ring_oldest++;
    ring_opens = 0;
}

static void make_ring(unsigned turns, unsigned goes_at)
{
    struct take take;

    for (unsigned i = 1; i <= RING_FILES + RING_SPARES; i++) {
        char name[32], spare[32];

        take_file(&take, folder.fd, WIDTH, RING_FRAMES, RING_FRAMES, i, (i - 1) * RING_FRAMES,
                  true);
        snprintf(name, sizeof name, "wfs_%06u.fits", i);
        snprintf(spare, sizeof spare, "spare_%u", i);
        if (i > RING_FILES)
            ck_assert_int_eq(rename(path_of(name), path_of(spare)), 0);
    }
    ring_oldest = 1;
    ring_turns_left = turns;
    ring_goes_at = goes_at;
    ring_opens = 0;
    before_open = turn_ring;
}

START_TEST(a_folder_whose_oldest_file_goes_before_it_is_opened_is_listed_again)
{
    unsigned turns = (unsigned)_i % 3 + 1;

    make_ring(turns, (unsigned)_i / 3 + 1);
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    before_open = NULL;
    ck_assert_uint_eq(ring_turns_left, 0);
    ck_assert_uint_eq(set.count, 1);
    ck_assert_uint_eq(set.series[0].frames, RING_FILES * RING_FRAMES);
    open_reader();
    for (uint64_t i = 0; i < RING_FILES * RING_FRAMES; i++)
        expect_frame(i, turns * RING_FRAMES + i, WIDTH);
}
END_TEST

START_TEST(a_file_that_goes_at_each_look_at_its_folder_is_left_out_at_last)
{
    make_ring(4, 1);
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    before_open = NULL;
    ck_assert_uint_eq(ring_turns_left, 0);
    ck_assert_uint_eq(set.series[0].frames, (RING_FILES - 1) * RING_FRAMES);
    open_reader();
    expect_frame(0, 4 * RING_FRAMES, WIDTH);
}
END_TEST

START_TEST(a_ring_that_turns_faster_than_it_is_looked_at_is_refused_with_the_remedy)
{
    make_ring(4, 2);
    ck_assert_int_eq(open_paths(folder.path, NULL), -ESTALE);
    before_open = NULL;
    ck_assert_uint_eq(ring_turns_left, 0);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000004.fits: "));
    ck_assert_ptr_nonnull(strstr(text.s, "daorec keep"));
    ck_assert_uint_eq(set.count, 0);
}
END_TEST

START_TEST(a_file_that_was_named_and_goes_is_refused_at_once_with_the_remedy)
{
    make_ring(4, 2);
    ck_assert_int_eq(open_paths(path_of("wfs_000001.fits"), path_of("wfs_000002.fits")), -ENOENT);
    before_open = NULL;
    ck_assert_uint_eq(ring_turns_left, 3);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000001.fits: "));
    ck_assert_ptr_nonnull(strstr(text.s, "daorec keep"));
}
END_TEST

START_TEST(a_file_that_goes_while_frames_missing_behind_it_are_counted_is_noticed)
{
    make_ring(1, 3); /* to see its last row, since the next one is not the second */
    ck_assert_int_eq(unlink(path_of("wfs_000002.fits")), 0);
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    before_open = NULL;
    ck_assert_uint_eq(ring_turns_left, 0);
    ck_assert_uint_eq(set.series[0].frames, 2 * RING_FRAMES);
    open_reader();
    expect_frame(0, 2 * RING_FRAMES, WIDTH);
}
END_TEST

/* ---- damage ---- */

static void poke(const char *name, uint64_t off, unsigned char bits)
{
    int fd = open(path_of(name), O_RDWR);
    unsigned char byte;

    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)off), 1);
    byte ^= bits;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)off), 1);
    close(fd);
}

START_TEST(a_frame_that_does_not_fit_its_checksum_is_given_and_named)
{
    uint16_t pixels[WIDTH];
    struct take take;

    take_file(&take, folder.fd, WIDTH, 20, 20, 1, 0, false);
    poke("wfs_000001.fits", fits_plan_frame_end(&take.file.plan, 7) + 3, 0x10);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    open_reader();
    expect_frame(6, 6, WIDTH);
    ck_assert_int_eq(series_reader_pixels(reader, 7, pixels, &text), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(text.s, "frame 7 (CNT0 1010)"));
    ck_assert_uint_eq(pixels[0], take_pixel(7, 0));
    ck_assert_uint_ne(pixels[1], take_pixel(7, 1));
    expect_frame(8, 8, WIDTH);
}
END_TEST

START_TEST(a_file_that_shrinks_or_is_replaced_under_the_reader_is_an_error_that_names_it)
{
    uint16_t pixels[WIDTH];
    struct fits_row row;

    make_rolled();
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    open_reader();
    expect_frame(8, 8, WIDTH);
    ck_assert_int_eq(truncate(path_of("wfs_000001.fits"), 12000), 0);
    ck_assert_int_eq(series_reader_pixels(reader, 7, pixels, &text), -ENODATA);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000001.fits"));
    ck_assert_int_eq(series_reader_row(reader, 3, &row, &text), -ENODATA);
    ck_assert_int_eq(rename(path_of("wfs_000003.fits"), path_of("wfs_000001.fits")), 0);
    expect_frame(9, 9, WIDTH);
    ck_assert_int_eq(series_reader_row(reader, 3, &row, &text), -ESTALE);
    ck_assert_int_eq(series_reader_row(reader, 20, &row, &text), -ENOENT);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000003.fits: was removed"));
    ck_assert_ptr_nonnull(strstr(text.s, "daorec keep"));
}
END_TEST

START_TEST(a_damaged_file_is_left_out_of_a_folder_and_refused_by_name)
{
    char *type;
    int fd;

    make_rolled();
    fd = open(path_of("wfs_000002.fits"), O_RDWR);
    type = mmap(NULL, 5760, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(type, MAP_FAILED);
    memcpy(memmem(type, 5760, "'UINT16", 7), "'UINT17", 7);
    munmap(type, 5760);
    close(fd);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    ck_assert_uint_eq(set.series[0].frames, 20);
    series_set_close(&set);
    ck_assert_int_eq(open_paths(path_of("wfs_000002.fits"), NULL), -EBADMSG);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000002.fits"));
}
END_TEST

START_TEST(a_finished_file_whose_tables_are_gone_still_gives_its_pixels)
{
    uint16_t pixels[WIDTH];
    struct fits_row row;
    struct take take;

    take_file(&take, folder.fd, WIDTH, 40, 40, 1, 0, false);
    ck_assert_int_eq(
        truncate(path_of("wfs_000001.fits"), (off_t)fits_plan_frame_end(&take.file.plan, 30) + 5),
        0);
    ck_assert_int_eq(open_paths(path_of("wfs_000001.fits"), NULL), 0);
    ck_assert_uint_eq(set.series[0].frames, 30);
    ck_assert(!set.series[0].has_times && !set.series[0].has_counts);
    open_reader();
    ck_assert_int_eq(series_reader_pixels(reader, 29, pixels, &text), 0);
    ck_assert_uint_eq(pixels[9], take_pixel(29, 9));
    ck_assert_int_eq(series_reader_row(reader, 29, &row, &text), 0);
    ck_assert(row.cnt0 == 30 && row.atime_ns == 0 && row.rtime_ns != 0 && row.slot == -1);
}
END_TEST

/* ---- shapes ---- */

START_TEST(a_recording_that_was_reshaped_has_a_part_for_each_shape)
{
    const struct series *series = &set.series[0];
    struct take take;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_file(&take, folder.fd, 2 * WIDTH, 20, 6, 2, 8, true);
    take_file(&take, folder.fd, 2 * WIDTH, 20, 6, 3, 14, false);
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    series = &set.series[0];
    ck_assert_uint_eq(set.count, 1);
    ck_assert_uint_eq(series->part_count, 2);
    ck_assert(series->parts[0].first == 0 && series->parts[0].frames == 8);
    ck_assert(series->parts[1].first == 8 && series->parts[1].frames == 12);
    ck_assert_uint_eq(series_part_of(series, 7)->geometry.size[0], WIDTH);
    ck_assert_uint_eq(series_part_of(series, 8)->geometry.size[0], 2 * WIDTH);
    open_reader();
    expect_frame(7, 7, WIDTH);
    expect_frame(8, 8, 2 * WIDTH);
    expect_frame(19, 19, 2 * WIDTH);
}
END_TEST

START_TEST(a_recording_whose_keywords_changed_has_a_part_for_each_set_of_them)
{
    IMAGE_KEYWORD gain[2] = {{.name = "GAIN", .type = 'L'}, {.name = "LOOP", .type = 'L'}};
    static const struct {
        unsigned count;
        int64_t value, part;
    } files[] = {{1, 5, 0}, {1, 5, 0}, {1, 6, 1}, {2, 6, 2}, {0, 0, 3}, {0, 0, 3}, {1, 6, 4}};
    struct take take;

    for (uint64_t i = 0; i < 7; i++) {
        gain[0].value.numl = files[i].value;
        take_keywords = gain;
        take_keyword_count = files[i].count;
        if (i < 6)
            take_file(&take, folder.fd, WIDTH, 4, 4, i + 1, i * 4, true);
    }
    take_prepare(&take, folder.fd, WIDTH, 4, 7, 24, &sink_backend_system); /* not finished */
    take_publish(&take);
    take_put_pixels(&take, 0, 4);
    take_put_rows(&take, 0, 4);
    take_keywords = NULL;
    take_keyword_count = 0;
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    ck_assert_uint_eq(set.series[0].part_count, 5);
    for (uint64_t i = 0; i < 7; i++) {
        const struct series_part *part = series_part_of(&set.series[0], i * 4 + 2);

        ck_assert_int_eq(part - set.series[0].parts, files[i].part);
        ck_assert_uint_eq(part->keyword_count, files[i].count);
        if (files[i].count > 0)
            ck_assert_int_eq(part->keywords[0].value.numl, files[i].value);
        ck_assert_uint_eq(part->geometry.size[0], WIDTH);
    }
    ck_assert_uint_eq(set.series[0].parts[0].frames, 8);
    ck_assert_uint_eq(set.series[0].parts[4].first, 24);
    recording_file_discard(&take.file);
}
END_TEST

/* ---- finding ---- */

START_TEST(a_time_a_count_and_a_gap_are_found_in_every_file)
{
    uint64_t index = 0;

    make_rolled();
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    open_reader();
    for (uint64_t f = 0; f < 26; f++) {
        int64_t at = TAKE_START_NS + (int64_t)f * 1000017;

        if (f == 15)
            continue; /* has none; it is at its RTIME */
        ck_assert_int_eq(series_reader_find_time(reader, at, &index, &text), 0);
        ck_assert_uint_eq(index, f);
        ck_assert_int_eq(series_reader_find_time(reader, at + 1, &index, &text), 0);
        ck_assert_uint_eq(index, f + 1);
    }
    ck_assert_int_eq(series_reader_find_time(reader, 0, &index, &text), 0);
    ck_assert_uint_eq(index, 0);
    for (uint64_t f = 0; f < 26; f++) { /* 1000 ... 1016, a restart, 1 ... */
        ck_assert_int_eq(series_reader_find_count(reader, take_cnt0(f), &index, &text), 0);
        ck_assert_uint_eq(index, f);
    }
    ck_assert_int_eq(series_reader_find_count(reader, 1006, &index, &text), 0);
    ck_assert_uint_eq(index, 5); /* lost: the next one */
    ck_assert_int_eq(series_reader_find_count(reader, 0, &index, &text), 0);
    ck_assert_uint_eq(index, 0); /* no run reaches it: the first that begins beyond */
    ck_assert_int_eq(series_reader_find_count(reader, 500, &index, &text), 0);
    ck_assert_uint_eq(index, 0);
    ck_assert_int_eq(series_reader_find_count(reader, 5000, &index, &text), 0);
    ck_assert_uint_eq(index, 26);
    ck_assert_int_eq(series_reader_find_count_from(reader, 13, 0, &index, &text), 0);
    ck_assert_uint_eq(index, 13);
    ck_assert_int_eq(series_reader_find_count_from(reader, 6, 4, &index, &text), 0);
    ck_assert_uint_eq(index, 16);
    for (uint64_t gap = 1; gap <= 4; gap++) {
        static const uint64_t behind[] = {0, 5, 9, 13, 26};

        ck_assert_int_eq(series_reader_find_gap(reader, gap, &index, &text), 0);
        ck_assert_uint_eq(index, behind[gap]);
    }
}
END_TEST

START_TEST(frames_of_a_rolled_file_that_is_not_here_are_missing_before_the_next)
{
    struct take take;
    struct fits_row row = {0};
    uint64_t index = 0;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_file(&take, folder.fd, WIDTH, 20, 12, 3, 10, true);
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    open_reader();
    ck_assert_int_eq(series_reader_row(reader, 8, &row, &text), 0);
    ck_assert_int_eq(row.cnt0, take_cnt0(10));
    ck_assert_int_eq(row.lost, take_cnt0(10) - take_cnt0(7) - 1);
    ck_assert(row.flags & FITS_FLAG_GAP);
    ck_assert_int_eq(series_reader_row(reader, 9, &row, &text), 0);
    ck_assert_int_eq(row.lost, take_lost(11));
    ck_assert_int_eq(series_reader_find_gap(reader, 2, &index, &text), 0);
    ck_assert_uint_eq(index, 8);
}
END_TEST

START_TEST(gaps_behind_frames_of_files_that_are_not_here_are_counted_once)
{
    /* The file begins behind no gap of its own, or behind one that its header counts. */
    static const uint64_t firsts[] = {10, 9}, gaps[2][5] = {{5, 8, 11, 20, 20}, {5, 8, 12, 20, 20}};
    struct take take;

    take_file(&take, folder.fd, WIDTH, 8, 8, 1, 0, true);
    take_file(&take, folder.fd, WIDTH, 20, 12, 3, firsts[_i], true);
    ck_assert_msg(open_paths(folder.path, NULL) == 0, "%s", text.s);
    open_reader();
    for (uint64_t gap = 1; gap <= 5; gap++) {
        uint64_t index = 0;

        ck_assert_int_eq(series_reader_find_gap(reader, gap, &index, &text), 0);
        ck_assert_uint_eq(index, gaps[_i][gap - 1]);
    }
}
END_TEST

START_TEST(the_frame_that_was_found_has_its_own_row)
{
    make_rolled();
    ck_assert_int_eq(open_paths(folder.path, NULL), 0);
    for (uint64_t f = 0; f < 26; f++) {
        uint64_t index = 0;

        for (int by_time = 0; by_time < (f == 15 ? 1 : 2); by_time++) {
            open_reader(); /* one that has done nothing but look for it */
            if (by_time)
                ck_assert_int_eq(series_reader_find_time(
                                     reader, TAKE_START_NS + (int64_t)f * 1000017, &index, &text),
                                 0);
            else
                ck_assert_int_eq(series_reader_find_count(reader, take_cnt0(f), &index, &text), 0);
            for (; index < 26; index++)
                expect_frame(index, index, WIDTH);
            series_reader_close(reader);
            reader = NULL;
        }
    }
}
END_TEST

START_TEST(a_stream_that_is_not_there_is_refused_with_those_that_are)
{
    const char *const wanted[] = {"dm", NULL}, *const there[] = {"wfs", NULL};
    struct series_options options = {.streams = wanted};
    char *paths[] = {folder.path};

    make_rolled();
    ck_assert_int_eq(series_set_open(&set, paths, 1, &options, &text), -ENOENT);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs"));
    options.streams = there;
    ck_assert_int_eq(series_set_open(&set, paths, 1, &options, &text), 0);
    ck_assert_uint_eq(set.count, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("series");
    TCase *tcase = tcase_create("series");

    take_base_make();
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, rolled_files_are_one_row_of_frames_in_any_order_asked_for);
    tcase_add_test(tcase, its_files_are_told_in_their_order);
    tcase_add_test(tcase, files_named_in_any_order_and_twice_come_in_theirs_and_once);
    tcase_add_test(
        tcase, two_files_of_one_number_are_refused_by_name_and_a_finished_one_wins_over_its_part);
    tcase_add_test(tcase, of_an_unfinished_file_the_frames_whose_rows_are_there_are_read);
    tcase_add_test(tcase, an_unfinished_file_without_any_row_holds_nothing);
    tcase_add_test(tcase,
                   frames_whose_rows_a_power_cut_has_left_out_keep_their_place_and_are_flagged);
    tcase_add_loop_test(
        tcase, a_file_that_is_closed_while_it_is_read_gives_its_frames_at_every_step, 0, 3);
    tcase_add_test(tcase, a_file_that_gets_its_final_name_between_listing_and_opening_is_taken);
    tcase_add_loop_test(tcase, a_folder_whose_oldest_file_goes_before_it_is_opened_is_listed_again,
                        0, 6);
    tcase_add_test(tcase, a_file_that_goes_at_each_look_at_its_folder_is_left_out_at_last);
    tcase_add_test(tcase, a_ring_that_turns_faster_than_it_is_looked_at_is_refused_with_the_remedy);
    tcase_add_test(tcase, a_file_that_was_named_and_goes_is_refused_at_once_with_the_remedy);
    tcase_add_test(tcase, a_file_that_goes_while_frames_missing_behind_it_are_counted_is_noticed);
    tcase_add_test(tcase, a_frame_that_does_not_fit_its_checksum_is_given_and_named);
    tcase_add_test(tcase,
                   a_file_that_shrinks_or_is_replaced_under_the_reader_is_an_error_that_names_it);
    tcase_add_test(tcase, a_damaged_file_is_left_out_of_a_folder_and_refused_by_name);
    tcase_add_test(tcase, a_finished_file_whose_tables_are_gone_still_gives_its_pixels);
    tcase_add_test(tcase, a_recording_that_was_reshaped_has_a_part_for_each_shape);
    tcase_add_test(tcase, a_recording_whose_keywords_changed_has_a_part_for_each_set_of_them);
    tcase_add_test(tcase, a_time_a_count_and_a_gap_are_found_in_every_file);
    tcase_add_test(tcase, frames_of_a_rolled_file_that_is_not_here_are_missing_before_the_next);
    tcase_add_loop_test(tcase, gaps_behind_frames_of_files_that_are_not_here_are_counted_once, 0,
                        2);
    tcase_add_test(tcase, the_frame_that_was_found_has_its_own_row);
    tcase_add_test(tcase, a_stream_that_is_not_there_is_refused_with_those_that_are);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
