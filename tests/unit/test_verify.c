/* test_verify.c - what is whole passes, and a flipped bit anywhere is found and named. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "tests/support/suite.h"
#include "verify/verify.h"
#include "tests/support/takes.h"

#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 13 /* slower: some of the bytes */
#else
#define STRIDE 1
#endif

static struct take_folder folder;
static char path[300];

static void begin(void)
{
    take_folder_make(&folder);
    snprintf(path, sizeof path, "%s/wfs_000001.fits", folder.path);
}

static void end(void)
{
    take_folder_remove(&folder);
}

static void expect_whole(uint64_t frames)
{
    struct verify_file file;

    verify_file(&file, path, NULL);
    ck_assert_msg(file.doubts.count == 0, "%s", file.doubts.kept ? file.doubts.kept[0].text : "?");
    ck_assert_int_eq(file.state, VERIFY_FINISHED);
    ck_assert_uint_eq(file.frames, frames);
    verify_file_free(&file);
}

START_TEST(what_is_whole_passes)
{
    struct take take;

    begin();
    take_file(&take, folder.fd, _i ? 1 : 97, 40, 20, 1, 0, false);
    expect_whole(20);
    end();
}
END_TEST

/* Where a flipped byte lies. */
enum place { IN_CUBE, IN_ROWS, IN_ELSE };

static enum place find_place(const struct fits_plan *plan, uint64_t n, uint64_t off,
                             uint64_t *ret_frame)
{
    uint64_t rows = fits_plan_cube_end(plan, n) + plan->parts.frames_header_bytes;

    if (off >= plan->cube_off && off < fits_plan_frame_end(plan, n)) {
        *ret_frame = (off - plan->cube_off) / plan->parts.frame_bytes;
        return IN_CUBE;
    }
    if (off >= rows && off < rows + n * FITS_ROW_BYTES) {
        *ret_frame = (off - rows) / FITS_ROW_BYTES;
        return IN_ROWS;
    }
    return IN_ELSE;
}

/* Is this doubt about the frame, perhaps with the one behind it? */
static bool is_about(const struct verify_doubt *doubt, uint64_t frame)
{
    return doubt->frame == (int64_t)frame || (doubt->frames == 2 && doubt->last.index == frame);
}

static bool is_named(const struct verify_doubts *doubts, uint64_t frame)
{
    for (size_t i = 0; i < doubts->kept_count; i++)
        if (is_about(&doubts->kept[i], frame))
            return true;
    return false;
}

static bool only_named(const struct verify_doubts *doubts, uint64_t frame)
{
    for (size_t i = 0; i < doubts->kept_count; i++)
        if (doubts->kept[i].frame >= 0 &&
            (doubts->kept[i].frame != (int64_t)frame || doubts->kept[i].frames > 1))
            return false;
    return true;
}

START_TEST(a_flipped_bit_anywhere_is_found_and_named)
{
    struct take take;
    struct stat st;
    unsigned flips = 0, rows = 0, rows_named = 0, rows_alone = 0;
    int fd;

    begin();
    take_file(&take, folder.fd, 97, 40, 20, 1, 0, false);
    fd = open(path, O_RDWR);
    ck_assert_int_eq(fstat(fd, &st), 0);
    for (off_t off = 0; off < st.st_size; off += STRIDE) {
        unsigned char right, wrong;
        struct verify_file file;
        uint64_t frame = 0;
        enum place place = find_place(&take.file.plan, 20, (uint64_t)off, &frame);

        ck_assert_int_eq(pread(fd, &right, 1, off), 1);
        wrong = (unsigned char)(right ^ (1u << ((unsigned)off * 5u / 3u % 8u)));
        ck_assert_int_eq(pwrite(fd, &wrong, 1, off), 1);
        verify_file(&file, path, NULL);
        ck_assert_msg(file.doubts.count > 0, "a bit flipped at byte %ld is not found", (long)off);
        if (place == IN_CUBE)
            ck_assert_msg(is_named(&file.doubts, frame) && only_named(&file.doubts, frame),
                          "a bit flipped at byte %ld of frame %lu is not named", (long)off,
                          (unsigned long)frame);
        rows += place == IN_ROWS;
        rows_named += place == IN_ROWS && is_named(&file.doubts, frame);
        rows_alone +=
            place == IN_ROWS && is_named(&file.doubts, frame) && only_named(&file.doubts, frame);
        if (place == IN_ROWS && !is_named(&file.doubts, frame) && getenv("SHOW_FLIPS"))
            printf("byte %d of row %lu: %s\n",
                   (int)((uint64_t)off - fits_plan_cube_end(&take.file.plan, 20) -
                         take.file.plan.parts.frames_header_bytes) %
                       64,
                   (unsigned long)frame, file.doubts.kept[0].text);
        verify_file_free(&file);
        ck_assert_int_eq(pwrite(fd, &right, 1, off), 1);
        flips++;
    }
    close(fd);
    expect_whole(20);
    printf("%u flips, all found; of %u in rows %u named, %u of them alone\n", flips, rows,
           rows_named, rows_alone);
    /* RTIME within its neighbours', TORN and PARTIAL nobody can know. */
    ck_assert_uint_ge(rows_named * 10, rows * 9);
    end();
}
END_TEST

/* ---- many doubts ---- */

static const char misfit[] = "pixels do not fit", late[] = "late";

static void doubt_frame(struct verify_doubts *doubts, uint64_t index, const char *what)
{
    struct verify_frame frame = {
        .index = index, .cnt0 = 1000 + (int64_t)index, .is_row = what == late, .what = what};

    verify_doubts_add_frame(doubts, &frame);
}

static void expect_texts(struct verify_doubts *doubts, const char *const *texts)
{
    size_t count = 0;

    for (; texts[count]; count++)
        if (count < doubts->kept_count)
            ck_assert_str_eq(doubts->kept[count].text, texts[count]);
    ck_assert_uint_eq(doubts->kept_count, count);
    ck_assert_uint_eq(doubts->count, count);
    verify_doubts_free(doubts);
}

START_TEST(frame_after_frame_is_one_doubt_of_each_kind)
{
    static const char *const texts[] = {
        "frames 12 to 4711 (CNT0 1012 to 5711): pixels do not fit",
        "frames 12 to 4711 (CNT0 1012 to 5711), their rows: late",
        "frame 5000 (CNT0 6000): pixels do not fit",
        NULL,
    };
    struct verify_doubts doubts = {0};

    for (uint64_t i = 12; i <= 4711; i++) {
        doubt_frame(&doubts, i, misfit);
        doubt_frame(&doubts, i, late);
    }
    doubt_frame(&doubts, 5000, misfit);
    expect_texts(&doubts, texts);
}
END_TEST

START_TEST(frames_here_and_there_are_few_doubts_and_all_are_counted)
{
    char text[VERIFY_DOUBTS_OF_KIND][80];
    const char *texts[VERIFY_DOUBTS_OF_KIND + 1] = {NULL};
    struct verify_doubts doubts = {0};

    for (uint64_t i = 0; i < 5000; i++)
        doubt_frame(&doubts, 3 * i, misfit);
    for (int i = 0; i < VERIFY_DOUBTS_OF_KIND; i++) {
        texts[i] = text[i];
        snprintf(text[i], sizeof text[i], "frame %d (CNT0 %d): pixels do not fit", 3 * i,
                 1000 + 3 * i);
    }
    snprintf(text[VERIFY_DOUBTS_OF_KIND - 1], sizeof text[0],
             "4991 of the frames 27 to 14997 (CNT0 1027 to 15997): pixels do not fit");
    expect_texts(&doubts, texts);
}
END_TEST

START_TEST(what_is_kept_is_bounded_and_what_is_not_is_counted)
{
    static const char kinds[100] = "";
    struct verify_doubts doubts = {0};

    for (int i = 0; i < VERIFY_DOUBTS_KEPT / 2; i++)
        verify_doubts_add(&doubts, -1, "%d", i);
    for (int i = 0; i < 10000; i++)
        doubt_frame(&doubts, (uint64_t)(2 * i), &kinds[i % 100]);
    ck_assert_uint_eq(doubts.kept_count, VERIFY_DOUBTS_KEPT);
    ck_assert_uint_gt(doubts.count, VERIFY_DOUBTS_KEPT);
    verify_doubts_free(&doubts);
}
END_TEST

/* Every frame of a file: pixels that are others. */
START_TEST(a_file_full_of_other_pixels_is_told_in_two_lines)
{
    struct verify_file file;
    struct take take;
    char zeros[97 * 2] = "";
    int fd;

    begin();
    take_file(&take, folder.fd, 97, 40, 20, 1, 0, false);
    fd = open(path, O_RDWR);
    for (uint64_t i = 1; i < 20; i++)
        ck_assert_int_eq(
            pwrite(fd, zeros, sizeof zeros, (off_t)fits_plan_frame_end(&take.file.plan, i)),
            sizeof zeros);
    close(fd);
    verify_file(&file, path, NULL);
    ck_assert_uint_eq(file.doubts.count, 2); /* and DATASUM */
    ck_assert_str_eq(file.doubts.kept[0].text,
                     "frames 1 to 19 (CNT0 1001 to 7): pixels do not fit DSUM");
    verify_file_free(&file);
    end();
}
END_TEST

/* Of a file in which one card holds something else. */
static void expect_card(const char *card, const char *wrong, uint64_t doubts, const char *words)
{
    int fd = open(path, O_RDWR);
    struct verify_file file;
    static char whole[200000];
    ssize_t length = pread(fd, whole, sizeof whole, 0);
    char *at = memmem(whole, (size_t)length, card, strlen(card));

    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(pwrite(fd, wrong, strlen(wrong), at - whole), (ssize_t)strlen(wrong));
    verify_file(&file, path, NULL);
    ck_assert_int_eq(pwrite(fd, card, strlen(card), at - whole), (ssize_t)strlen(card));
    close(fd);
    ck_assert_uint_eq(file.doubts.count, doubts);
    ck_assert_msg(strstr(file.doubts.kept[0].text, words), "'%s' is not in '%s'", words,
                  file.doubts.kept[0].text);
    for (size_t i = 0; i < file.doubts.kept_count; i++)
        ck_assert_int_eq(file.doubts.kept[i].frame, -1);
    verify_file_free(&file);
}

START_TEST(a_card_that_rows_are_judged_by_makes_no_row_look_wrong)
{
    struct take take;

    begin();
    take_file(&take, folder.fd, 97, 40, 20, 1, 0, false);
    expect_card("DATEREF = '2025-11-24T16:00:00", "DATEREF = '2025-11-24T16:00:08", 2,
                "DATEREF is not what the rows count from");
    expect_card("FIFOSIZE=                   16", "FIFOSIZE=                    6", 1,
                "the primary header does not fit its CHECKSUM");
    expect_whole(20);
    end();
}
END_TEST

/* ---- more than there should be ---- */

/* Its frames are judged all the same, and the one doubt says how much is too much. */
static void expect_behind(const char *words)
{
    struct verify_file file;

    verify_file(&file, path, NULL);
    ck_assert_int_eq(file.state, VERIFY_FINISHED);
    ck_assert_uint_eq(file.frames, 20);
    ck_assert_uint_eq(file.doubts.count, 1);
    ck_assert_msg(strncmp(file.doubts.kept[0].text, words, strlen(words)) == 0, "'%s' says '%s'",
                  words, file.doubts.kept[0].text);
    verify_file_free(&file);
}

START_TEST(what_was_appended_is_counted_in_bytes)
{
    static const struct {
        size_t bytes;
        char fill;
        const char *words;
    } tails[] = {
        {1, 'x', "1 byte lies behind the last HDU"},
        {80, 0, "80 bytes lie behind the last HDU"},
        {2880, ' ', "2880 bytes lie behind the last HDU"},
        {2881, (char)0xff, "2881 bytes lie behind the last HDU"},
        {100000, 0, "100000 bytes lie behind the last HDU"},
    };
    static char tail[100000];
    struct take take;
    struct stat st;
    int fd;

    begin();
    take_file(&take, folder.fd, 97, 40, 20, 1, 0, false);
    fd = open(path, O_RDWR);
    ck_assert_int_eq(fstat(fd, &st), 0);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        memset(tail, tails[i].fill, tails[i].bytes);
        ck_assert_int_eq(pwrite(fd, tail, tails[i].bytes, st.st_size), (ssize_t)tails[i].bytes);
        expect_behind(tails[i].words);
        ck_assert_int_eq(ftruncate(fd, st.st_size), 0);
    }
    /* a unit that anybody may have appended: a copy of SHMKW */
    ck_assert_int_gt(pread(fd, tail, 2880, st.st_size - 2880), 0);
    ck_assert_int_eq(memcmp(tail, "XTENSION=", 9), 0);
    ck_assert_int_eq(pwrite(fd, tail, 2880, st.st_size), 2880);
    expect_behind("2880 bytes lie behind the last HDU");
    close(fd);
    end();
}
END_TEST

/* ---- names that say something else ---- */

static void expect_one(const char *name, enum verify_state state, uint64_t frames,
                       const char *words)
{
    struct verify_file file;
    char whole[400];

    snprintf(whole, sizeof whole, "%s/%s", folder.path, name);
    verify_file(&file, whole, NULL);
    ck_assert_int_eq(file.state, state);
    ck_assert_uint_eq(file.frames, frames);
    ck_assert_uint_eq(file.doubts.count, 1);
    ck_assert_msg(strstr(file.doubts.kept[0].text, words), "'%s' is not in '%s'", words,
                  file.doubts.kept[0].text);
    verify_file_free(&file);
}

static void move(const char *from, const char *to)
{
    ck_assert_int_eq(renameat(folder.fd, from, folder.fd, to), 0);
}

static bool is_told(const struct verify_doubts *doubts, const char *words)
{
    for (size_t i = 0; i < doubts->kept_count; i++)
        if (strcmp(doubts->kept[i].text, words) == 0)
            return true;
    return false;
}

START_TEST(an_unfinished_file_is_told_in_one_line_whatever_its_name)
{
    struct take take;
    int fd;

    begin();
    take_prepare(&take, folder.fd, 97, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 20);
    take_put_rows(&take, 0, 20);
    recording_file_discard(&take.file);
    expect_one("wfs_000001.fits.part", VERIFY_UNFINISHED, 20, "unfinished, and no recorder");
    move("wfs_000001.fits.part", "wfs_000001.fits");
    expect_one("wfs_000001.fits", VERIFY_UNFINISHED, 20, "rename it to wfs_000001.fits.part");
    fd = open(path, O_RDONLY);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    expect_one("wfs_000001.fits", VERIFY_BEING_WRITTEN, 20, "still being recorded, but renamed");
    close(fd);
    end();
}
END_TEST

START_TEST(rows_that_are_missing_between_others_are_named)
{
    struct verify_file file;
    struct take take;
    char part[400];

    begin();
    take_prepare(&take, folder.fd, 97, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 20);
    take_put_rows(&take, 0, 3);
    take_put_rows(&take, 6, 12);
    take_put_rows(&take, 13, 20);
    recording_file_discard(&take.file);
    snprintf(part, sizeof part, "%s.part", path);
    verify_file(&file, part, NULL);
    ck_assert_uint_eq(file.frames, 16);
    ck_assert(is_told(&file.doubts, "frames 3 to 5, their rows: missing between others"));
    ck_assert(is_told(&file.doubts, "frame 12, its row: missing between others"));
    verify_file_free(&file);
    end();
}
END_TEST

/* The file as it is after this step of closing, under a final name. */
static void copy_early(void *ctx, const char *step)
{
    char command[700];

    if (strcmp(step, ctx) != 0)
        return;
    snprintf(command, sizeof command, "cp '%s.part' '%s/early.fits'", path, folder.path);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(a_file_that_was_not_cut_is_told_in_one_line)
{
    char step[] = "switch";
    struct recording_hooks hooks = {copy_early, step};
    struct take take;

    begin();
    take_prepare(&take, folder.fd, 97, 400, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 20);
    take_put_rows(&take, 0, 20);
    ck_assert_int_eq(take_close(&take, 20, "STOP", false, &hooks), 0);
    expect_one("early.fits", VERIFY_FINISHED, 20, "it still has the room");
    end();
}
END_TEST

START_TEST(a_second_name_and_a_taken_one_are_told_in_one_line)
{
    struct take take;

    begin();
    take_file(&take, folder.fd, 97, 40, 20, 1, 0, false);
    ck_assert_int_eq(linkat(folder.fd, "wfs_000001.fits", folder.fd, "wfs_000001.fits.part", 0), 0);
    expect_one("wfs_000001.fits.part", VERIFY_UNFINISHED, 20, "a second name of wfs_000001.fits");
    expect_whole(20);
    ck_assert_int_eq(unlinkat(folder.fd, "wfs_000001.fits", 0), 0);
    expect_one("wfs_000001.fits.part", VERIFY_UNFINISHED, 20, "complete but for its name");
    close(openat(folder.fd, "wfs_000001.fits", O_CREAT | O_WRONLY, 0600));
    expect_one("wfs_000001.fits.part", VERIFY_UNFINISHED, 20, "another file has its final name");
    end();
}
END_TEST

/* ---- rows ---- */

static struct {
    unsigned count;
    uint64_t index;
    const char *what;
} told;

static void on_report(void *ctx, uint64_t index, const struct fits_row *row, const char *what)
{
    (void)ctx;
    (void)row;
    told.count++;
    told.index = index;
    told.what = what;
}

/* Rows 0 to 19 as they should be, but for what `change` does to one. */
static void feed_rows(uint64_t which, void (*change)(struct fits_row *row))
{
    struct take take = {.file.dateref_ns = TAKE_START_NS / 1000000000 * 1000000000};
    struct rowcheck check;

    memset(&told, 0, sizeof told);
    rowcheck_init(&check, take.file.dateref_ns, TAKE_DEPTH, on_report, NULL);
    for (uint64_t f = 0; f < 20; f++) {
        struct fits_row row;

        take_row(&take, f, 1, &row);
        if (change && f == which)
            change(&row);
        rowcheck_feed(&check, &row);
    }
    rowcheck_end(&check);
}

#define CHANGE(name, statement)                                                                    \
    static void name(struct fits_row *row)                                                         \
    {                                                                                              \
        statement;                                                                                 \
    }
CHANGE(count_up, row->cnt0 += 64)
CHANGE(more_lost, row->lost += 1; row->flags |= FITS_FLAG_GAP)
CHANGE(negative_lost, row->lost = -1)
CHANGE(no_rtime, row->rtime_ns = 0)
CHANGE(far_slot, row->slot = TAKE_DEPTH)
CHANGE(gap_flag, row->flags ^= FITS_FLAG_GAP)
CHANGE(overwrite_flag, row->flags ^= FITS_FLAG_OVERWRITE)
CHANGE(full_flag, row->flags ^= FITS_FLAG_QUEUEFULL)
CHANGE(recovered_flag, row->flags ^= FITS_FLAG_RECOVERED)
CHANGE(unknown_flag, row->flags ^= 1 << 20)
CHANGE(bad_time_flag, row->flags ^= FITS_FLAG_BADTIME)
CHANGE(later, row->atime_ns += 1)
CHANGE(time_off, row->time_s += 1e-9)
CHANGE(back_in_time, row->atime_ns -= 1ll << 22;
       row->time_s = (double)(row->atime_ns - TAKE_START_NS / 1000000000 * 1000000000) / 1e9)
CHANGE(no_reset, row->flags ^= FITS_FLAG_RESET)

START_TEST(a_row_that_contradicts_anything_is_reported_and_it_alone)
{
    static const struct {
        uint64_t row;
        void (*change)(struct fits_row *row);
        const char *word;
    } faults[] = {
        {3, count_up, "CNT0"},
        {19, count_up, "CNT0"},
        {7, more_lost, "CNT0"},
        {7, negative_lost, "LOST"},
        {7, no_rtime, "RTIME"},
        {7, far_slot, "SLOT"},
        {7, gap_flag, "GAP"},
        {5, gap_flag, "GAP"},
        {7, overwrite_flag, "OVERWRITE"},
        {7, full_flag, "QUEUEFULL"},
        {7, recovered_flag, "RECOVERED"},
        {7, unknown_flag, "FLAGS"},
        {7, bad_time_flag, "TIME"},
        {15, bad_time_flag, "TIME"},
        {7, later, "TIME"},
        {7, time_off, "TIME"},
        {7, back_in_time, "ATIME"},
        {13, no_reset, "CNT0"},
    };

    feed_rows(0, NULL);
    ck_assert_msg(told.count == 0, "row %lu: %s", (unsigned long)told.index, told.what);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        feed_rows(faults[i].row, faults[i].change);
        ck_assert_msg(
            told.count >= 1 && told.index == faults[i].row && strstr(told.what, faults[i].word),
            "fault %zu: row %lu, %s", i, (unsigned long)told.index, told.what ? told.what : "none");
        ck_assert_uint_le(told.count, 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tcase = tcase_create("verify");

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, what_is_whole_passes, 0, 2);
    tcase_add_test(tcase, frame_after_frame_is_one_doubt_of_each_kind);
    tcase_add_test(tcase, frames_here_and_there_are_few_doubts_and_all_are_counted);
    tcase_add_test(tcase, what_is_kept_is_bounded_and_what_is_not_is_counted);
    tcase_add_test(tcase, a_file_full_of_other_pixels_is_told_in_two_lines);
    tcase_add_test(tcase, a_card_that_rows_are_judged_by_makes_no_row_look_wrong);
    tcase_add_test(tcase, what_was_appended_is_counted_in_bytes);
    tcase_add_test(tcase, an_unfinished_file_is_told_in_one_line_whatever_its_name);
    tcase_add_test(tcase, rows_that_are_missing_between_others_are_named);
    tcase_add_test(tcase, a_file_that_was_not_cut_is_told_in_one_line);
    tcase_add_test(tcase, a_second_name_and_a_taken_one_are_told_in_one_line);
    tcase_add_test(tcase, a_row_that_contradicts_anything_is_reported_and_it_alone);
    tcase_add_test(tcase, a_flipped_bit_anywhere_is_found_and_named);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
