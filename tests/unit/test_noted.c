/*
 * test_noted.c - which marks of the ledger a file that its recorder did not finish gets from a
 * repair: those that the recorder would have put into it, whatever files are beside it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "recording/find.h"
#include "recording/ledger.h"
#include "recording/noted.h"
#include "recording/reading.h"
#include "repair/repair.h"

#define NAME "20251124T160000Z_0123"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

#define FRAMES   10u                                     /* of each file */
#define RTIME(f) (TAKE_START_NS + 1000000 * (f) + 50000) /* of frame f of the stream */

/* Two that the first file has, and some in each place around the second one's frames. */
static const struct fits_mark marks[] = {
    {RTIME(-5), "before the first frame"},
    {RTIME(9) + 100000, "as the first file ended"},
    {RTIME(9) + 200000, "before the next one began"},
    {RTIME(10) + 200000, "in the second"},
    {RTIME(19), "with its last frame"},
    {RTIME(19) + 100000, "behind its end"},
    {RTIME(19) + 200000, "before the third began"},
    {RTIME(25), "in the third"},
};
#define MARKS (sizeof marks / sizeof marks[0])

static void write_ledger(const char *uuid)
{
    struct ledger ledger = {.session = NAME,
                            .uuid = uuid,
                            .host = "host",
                            .root = "",
                            .start_ns = TAKE_START_NS,
                            .marks = marks,
                            .mark_count = MARKS};
    char *text = ledger_to_json(&ledger, false);

    ck_assert_int_eq(tree_replace_file(session_fd, "session.json", text, strlen(text)), 0);
    free(text);
}

/* File `seq`, finished with marks [from, to), or left behind by its recorder. */
static void put_file_of(uint64_t rows, uint64_t seq, bool is_finished, size_t from, size_t to)
{
    struct take take;

    take_prepare(&take, stream_fd, 97, FRAMES, seq, (seq - 1) * FRAMES, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, FRAMES);
    take_put_rows(&take, 0, rows);
    take.file.state.marks = marks + from;
    take.file.state.mark_count = (unsigned)(to - from);
    if (is_finished)
        ck_assert_int_eq(take_close(&take, FRAMES, "ROLL", true, NULL), 0);
    else
        recording_file_discard(&take.file);
}

static void put_file(uint64_t seq, bool is_finished, size_t from, size_t to)
{
    put_file_of(FRAMES, seq, is_finished, from, to);
}

/* What the cards of a finished file tell of: marks [from, to) and no others. */
static void expect_cards(const char *name, size_t from, size_t to)
{
    struct fits_mark cards[FITS_MARK_CARDS];
    struct reading reading = {0};
    struct dao_text text;
    uint64_t more;
    int fd = openat(stream_fd, name, O_RDONLY);

    ck_assert_msg(reading_open(&reading, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(fits_marks_read(&reading.unit[READING_CUBE].header, cards, &more), to - from);
    ck_assert_uint_eq(more, 0);
    for (size_t i = from; i < to; i++)
        ck_assert_str_eq(cards[i - from].text, marks[i].text);
    reading_close(&reading);
    close(fd);
}

/* What is told of the file before it is repaired is what it has then. */
static void expect_repaired(size_t from, size_t to)
{
    struct repair_file result;
    struct noted noted;
    char path[400];

    snprintf(path, sizeof path, "%s/wfs/wfs_000002.fits.part", session);
    ck_assert_int_eq(noted_read(&noted, path), 0);
    ck_assert_uint_eq(noted.count, to - from);
    for (size_t i = from; i < to; i++)
        ck_assert_str_eq(noted.marks[i - from].mark.text, marks[i].text);
    noted_free(&noted);
    ck_assert_msg(repair_file(&result, stream_fd, "wfs_000002.fits.part", true,
                              &sink_backend_system, NULL) == 0,
                  "%s", result.text.s);
    expect_cards("wfs_000002.fits", from, to);
}

START_TEST(a_last_file_has_all_that_the_one_before_does_not_tell_of)
{
    begin();
    write_ledger("0123-4567");
    put_file(1, true, 0, 2);
    put_file(2, false, 0, 0);
    expect_repaired(2, MARKS);
    end();
}
END_TEST

START_TEST(where_a_finished_file_follows_what_that_one_does_not_tell_of_is_its_own)
{
    begin();
    write_ledger("0123-4567");
    put_file(1, true, 0, 2);
    put_file(2, false, 0, 0);
    put_file(3, true, 6, 8);
    expect_repaired(2, 6);
    expect_cards("wfs_000003.fits", 6, 8);
    end();
}
END_TEST

START_TEST(a_file_that_took_over_its_marks_keeps_them)
{
    begin();
    write_ledger("0123-4567");
    put_file(1, true, 0, 2);
    put_file(2, false, 0, 0);
    put_file(3, true, 2, 8); /* its recorder could not close the second one */
    expect_repaired(2, 2);
    end();
}
END_TEST

START_TEST(of_two_unfinished_files_each_gets_what_was_noted_up_to_its_end)
{
    struct repair_file result;

    begin();
    write_ledger("0123-4567");
    put_file(1, true, 0, 2);
    put_file(2, false, 0, 0);
    put_file(3, false, 0, 0);
    expect_repaired(2, 5);
    ck_assert_int_eq(
        repair_file(&result, stream_fd, "wfs_000003.fits.part", true, &sink_backend_system, NULL),
        0);
    expect_cards("wfs_000003.fits", 5, MARKS);
    end();
}
END_TEST

START_TEST(of_a_file_whose_predecessor_is_gone_its_first_frame_tells_where_it_begins)
{
    begin();
    write_ledger("0123-4567");
    put_file(2, false, 0, 0);
    expect_repaired(3, MARKS);
    end();
}
END_TEST

START_TEST(a_file_without_a_row_has_none_that_were_noted_after_the_next_one_began)
{
    begin();
    write_ledger("0123-4567");
    put_file(1, true, 0, 2);
    put_file_of(0, 2, false, 0, 0);
    put_file(3, true, 0, 0);
    expect_repaired(2, 7);
    end();
}
END_TEST

START_TEST(marks_of_another_session_are_not_its_own)
{
    begin();
    write_ledger("0123-4568");
    put_file(1, true, 0, 2);
    put_file(2, false, 0, 0);
    expect_repaired(0, 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("noted");
    TCase *tcase = tcase_create("noted");

    take_base_make();
    tcase_add_test(tcase, a_last_file_has_all_that_the_one_before_does_not_tell_of);
    tcase_add_test(tcase, where_a_finished_file_follows_what_that_one_does_not_tell_of_is_its_own);
    tcase_add_test(tcase, a_file_that_took_over_its_marks_keeps_them);
    tcase_add_test(tcase, of_two_unfinished_files_each_gets_what_was_noted_up_to_its_end);
    tcase_add_test(tcase,
                   of_a_file_whose_predecessor_is_gone_its_first_frame_tells_where_it_begins);
    tcase_add_test(tcase, a_file_without_a_row_has_none_that_were_noted_after_the_next_one_began);
    tcase_add_test(tcase, marks_of_another_session_are_not_its_own);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
