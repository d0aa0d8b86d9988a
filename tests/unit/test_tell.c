/* test_tell.c - which lines are said when sources and the disk come and go: a clock by hand. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/live.h"
#include "record/tell.h"
#include "tests/support/suite.h"

#define SECOND 1000000000ll

static struct record_stream *stream;
static struct teller teller;
static FILE *said;
static int64_t now_ns;

static void begin(bool quiet)
{
    uint32_t size[] = {4, 2};
    struct dao_geometry geometry;

    stream = aligned_alloc(64, (sizeof *stream + 63) / 64 * 64);
    ck_assert_ptr_nonnull(stream);
    memset(stream, 0, sizeof *stream);
    strcpy(stream->name, "wfs");
    stream->path = "/tmp/wfs.im.shm";
    ck_assert_int_eq(dao_geometry_make(&geometry, 2, size, _DATATYPE_UINT16, 8, 0, NULL), 0);
    account_init(&stream->account);
    account_begin_shape(&stream->account, &geometry, 1);
    account_begin_run(&stream->account, 1);
    account_publish(&stream->account);
    ck_assert_int_eq(teller_init(&teller, &stream, 1, quiet), 0);
    said = tmpfile();
    ck_assert_ptr_nonnull(said);
    ck_assert_int_ge(dup2(fileno(said), STDERR_FILENO), 0); /* each test is a process of its own */
    now_ns = 100 * SECOND;
}

static void end(void)
{
    teller_fini(&teller);
    account_fini(&stream->account);
    free(stream);
    fclose(said);
}

/* What is said at this look; good until the next. */
static const char *look(bool is_last)
{
    static char text[4096];
    ssize_t n;

    ck_assert_int_eq(ftruncate(fileno(said), 0), 0);
    ck_assert_int_eq(lseek(fileno(said), 0, SEEK_SET), 0);
    teller_look(&teller, now_ns, is_last);
    n = pread(fileno(said), text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    now_ns += SECOND / 2;
    return text;
}

static void expect_said(const char *text, const char *words)
{
    ck_assert_msg(strstr(text, words), "'%s' is not in '%s'", words, text);
}

static void note(enum account_event event)
{
    account_note_event(&stream->account, event);
    account_publish(&stream->account);
}

START_TEST(shapes_that_follow_each_other_are_each_said)
{
    begin(_i);
    ck_assert_str_eq(look(false), "");
    for (int i = 0; i < 4; i++) {
        note(ACCOUNT_RESHAPED);
        expect_said(look(false), "another shape (uint16 4x2, depth 8)");
        ck_assert_str_eq(look(false), "");
    }
    end();
}
END_TEST

/* The drain has adopted the shape, and what it publishes can be a moment old. */
START_TEST(a_shape_is_said_once_it_is_known_what_it_is)
{
    uint32_t size[] = {7};
    struct dao_geometry geometry;

    begin(_i);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, size, _DATATYPE_FLOAT, 3, 0, NULL), 0);
    account_begin_shape(&stream->account, &geometry, 2);
    account_note_event(&stream->account, ACCOUNT_RESHAPED);
    ck_assert_str_eq(look(false), "");
    account_publish(&stream->account);
    expect_said(look(false), "another shape (float32 7, depth 3)");
    end();
}
END_TEST

START_TEST(that_it_is_back_is_said_once_and_not_again_at_once)
{
    unsigned lines = 0;

    begin(_i);
    for (int i = 0; i < 10; i++) { /* 5 s */
        note(ACCOUNT_BACK);
        lines += strlen(look(false)) > 0;
    }
    ck_assert_uint_eq(lines, _i ? 0 : 1);
    if (_i == 0)
        expect_said(look(true), "is back, recording goes on (9 times since this was said last)");
    end();
}
END_TEST

START_TEST(a_source_that_comes_and_goes_does_not_fill_the_screen)
{
    unsigned lines = 0;

    begin(false);
    for (int i = 0; i < 200; i++) { /* 100 s */
        note(ACCOUNT_RESHAPED);
        lines += strlen(look(false)) > 0;
    }
    ck_assert_uint_ge(lines, 4 + 9);
    ck_assert_uint_le(lines, 4 + 11);
    note(ACCOUNT_RESHAPED);
    expect_said(look(true), "times since this was said last)");
    end();
}
END_TEST

/* ---- the disk ---- */

static int64_t next_cnt0;

static void take(uint64_t count)
{
    while (count-- > 0)
        account_take(&stream->account, ++next_cnt0, false, 1);
    account_publish(&stream->account);
}

static void lose(uint64_t count)
{
    account_lose(&stream->account, LEDGER_DISK, next_cnt0 + 1, count, 1);
    next_cnt0 += (int64_t)count;
    account_publish(&stream->account);
}

static void set_starved(bool starved)
{
    stream->account.now.starved = starved;
    account_publish(&stream->account);
}

static void begin_trouble(void)
{
    atomic_store(&stream->is_waiting, true);
    atomic_fetch_add(&stream->troubles, 1);
}

START_TEST(that_the_disk_is_back_is_said_once_with_what_it_has_cost)
{
    begin(_i);
    next_cnt0 = 0;
    take(5);
    lose(3); /* of a slow disk, before */
    ck_assert_str_eq(look(false), "");
    begin_trouble();
    ck_assert_str_eq(look(false), "");
    set_starved(true);
    ck_assert_str_eq(look(false), "");
    atomic_store(&stream->is_waiting, false); /* what was lapped is not booked yet */
    ck_assert_str_eq(look(false), "");
    lose(70);
    take(1);
    set_starved(false);
    expect_said(look(false),
                "stream wfs: the disk is back, recording goes on; 70 frames lost to it");
    ck_assert_str_eq(look(false), "");
    begin_trouble();
    atomic_store(&stream->is_waiting, false); /* over before anybody looked */
    expect_said(look(false), "the disk is back, recording goes on; nothing was lost");
    begin_trouble();
    lose(2);
    expect_said(look(true), "ended before the disk was back; 2 frames lost to it");
    end();
}
END_TEST

START_TEST(a_disk_that_is_back_when_the_recording_ends_is_not_gone_on_with)
{
    for (unsigned i = 0; i < 4; i++) {
        begin(false);
        begin_trouble();
        atomic_store(&stream->is_waiting, false);
        atomic_store(&stream->overloaded, i == 0);
        atomic_store(&stream->ran_out, i == 1);
        atomic_store(&stream->is_stopping, i == 2);
        expect_said(look(i == 3), "stream wfs: the disk is back; nothing was lost");
        end();
    }
}
END_TEST

START_TEST(what_was_taken_for_the_disks_and_was_not_does_not_wrap)
{
    struct ledger_gap gap = {.first_cnt0 = 1, .count = 8, .time_ns = 1, .cause = LEDGER_DISK};

    begin(false);
    account_wait(&stream->account, &gap);
    account_publish(&stream->account);
    ck_assert_str_eq(look(false), "");
    begin_trouble();
    atomic_store(&stream->is_waiting, true);
    ck_assert_str_eq(look(false), "");
    account_wait(&stream->account, NULL);
    account_publish(&stream->account);
    atomic_store(&stream->is_waiting, false);
    expect_said(look(false), "the disk is back, recording goes on; nothing was lost");
    end();
}
END_TEST

/* ---- frames that are left out on purpose ---- */

static void leave_out(uint64_t count, bool is_thinning)
{
    atomic_fetch_add(&stream->all_left_out, count);
    atomic_store(&stream->is_thinning, is_thinning);
}

START_TEST(frames_that_are_left_out_are_said_at_the_beginning_and_counted_at_the_end)
{
    begin(_i);
    stream->config.each = 4;
    atomic_store(&stream->is_thinning, true); /* none is left out yet */
    ck_assert_str_eq(look(false), "");
    leave_out(3, true);
    expect_said(look(false), "stream wfs: the disk does not keep up: only one frame of 4 is "
                             "recorded until it does");
    leave_out(60, true);
    ck_assert_str_eq(look(false), "");
    leave_out(6, false);
    expect_said(look(false), "stream wfs: 69 frames were left out for that");
    ck_assert_str_eq(look(false), "");
    leave_out(1, true); /* the recording ends in the middle of it, soon after */
    ck_assert_str_eq(look(false), "");
    expect_said(look(true), "stream wfs: 1 frame was left out for that");
    end();
}
END_TEST

START_TEST(frames_that_are_left_out_now_and_then_do_not_fill_the_screen)
{
    unsigned begins = 0, told = 0, counted;
    const char *said_last;

    begin(false);
    stream->config.each = 4;
    for (int i = 0; i <= 200; i++) { /* 100 s */
        leave_out(3, i % 2 == 0);
        said_last = look(i == 200);
        begins += strstr(said_last, "does not keep up") != NULL;
        said_last = strstr(said_last, "stream wfs: ");
        for (; said_last; said_last = strstr(said_last + 1, "stream wfs: "))
            if (sscanf(said_last, "stream wfs: %u frames were", &counted) == 1)
                told += counted;
    }
    ck_assert_uint_ge(begins, 10);
    ck_assert_uint_le(begins, 12);
    ck_assert_uint_eq(told, 201 * 3); /* each of them once */
    end();
}
END_TEST

/* ---- no frames ---- */

static void set_backlog(uint64_t frames, bool starved)
{
    stream->account.now.backlog = frames;
    set_starved(starved);
}

START_TEST(a_source_that_pauses_is_said_and_that_it_goes_on)
{
    begin(_i);
    next_cnt0 = 0;
    take(5);
    for (int i = 0; i < 10; i++) /* up to 4.5 s */
        ck_assert_str_eq(look(false), "");
    if (_i == 0)
        expect_said(look(false), "/tmp/wfs.im.shm: no new frame for 5");
    ck_assert_str_eq(look(false), "");
    take(1);
    if (_i == 0)
        expect_said(look(false), "/tmp/wfs.im.shm: frames again after");
    ck_assert_str_eq(look(false), "");
    end();
}
END_TEST

START_TEST(a_disk_that_takes_nothing_is_no_silence_of_the_source)
{
    begin(_i);
    next_cnt0 = 0;
    take(5);
    lose(3); /* before */
    ck_assert_str_eq(look(false), "");
    set_backlog(4568, true);
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(look(false), "");
    expect_said(look(false), "stream wfs: memory is full, and no frame could be taken for 5");
    for (int i = 0; i < 30; i++)
        ck_assert_str_eq(look(false), "");
    lose(70);
    take(1);
    set_backlog(0, false);
    expect_said(look(false),
                "stream wfs: the disk is back, recording goes on; 70 frames lost to it");
    for (int i = 0; i < 9; i++)
        ck_assert_str_eq(look(false), "");
    end();
}
END_TEST

/* The stall is shorter than what is said, and the source pauses right behind it. */
START_TEST(a_pause_behind_a_stall_is_as_long_as_the_pause)
{
    begin(false);
    next_cnt0 = 0;
    take(5);
    ck_assert_str_eq(look(false), "");
    set_backlog(3, true);
    for (int i = 0; i < 9; i++)
        ck_assert_str_eq(look(false), "");
    set_backlog(0, true); /* its source began anew: nothing is waited for any more */
    for (int i = 0; i < 10; i++)
        ck_assert_str_eq(look(false), "");
    expect_said(look(false), "no new frame for 5.00 s");
    set_backlog(1, true);
    expect_said(look(false), "frames again after");
    end();
}
END_TEST

/* ---- the summary ---- */

START_TEST(adjoining_gaps_of_one_cause_are_one_in_the_summary)
{
    struct ledger_gap gaps[] = {{494, 2, 1, LEDGER_DISK},
                                {496, 1, 1, LEDGER_DISK},
                                {497, 3, 1, LEDGER_DISK},
                                {500, 1, 1, LEDGER_LAPPED},
                                {502, 1, 1, LEDGER_LAPPED}};
    struct ledger_stream entry = {.name = "wfs", .gaps = gaps, .counts = {.gap_count = 5}};
    struct ledger ledger = {.root = "r", .session = "s", .streams = &entry, .stream_count = 1};
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    live_print_summary(out, &ledger, SECOND);
    fclose(out);
    expect_said(text, "gap: 6 from count 494, disk");
    expect_said(text, "gap: 1 from count 500, lapped");
    expect_said(text, "gap: 1 from count 502, lapped");
    ck_assert_ptr_null(strstr(text, "from count 496"));
    ck_assert_ptr_null(strstr(text, "more gap"));
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tell");
    TCase *tcase = tcase_create("tell");

    tcase_add_loop_test(tcase, shapes_that_follow_each_other_are_each_said, 0, 2);
    tcase_add_loop_test(tcase, a_shape_is_said_once_it_is_known_what_it_is, 0, 2);
    tcase_add_loop_test(tcase, that_it_is_back_is_said_once_and_not_again_at_once, 0, 2);
    tcase_add_test(tcase, a_source_that_comes_and_goes_does_not_fill_the_screen);
    tcase_add_loop_test(tcase, that_the_disk_is_back_is_said_once_with_what_it_has_cost, 0, 2);
    tcase_add_test(tcase, what_was_taken_for_the_disks_and_was_not_does_not_wrap);
    tcase_add_test(tcase, a_disk_that_is_back_when_the_recording_ends_is_not_gone_on_with);
    tcase_add_loop_test(
        tcase, frames_that_are_left_out_are_said_at_the_beginning_and_counted_at_the_end, 0, 2);
    tcase_add_test(tcase, frames_that_are_left_out_now_and_then_do_not_fill_the_screen);
    tcase_add_loop_test(tcase, a_source_that_pauses_is_said_and_that_it_goes_on, 0, 2);
    tcase_add_loop_test(tcase, a_disk_that_takes_nothing_is_no_silence_of_the_source, 0, 2);
    tcase_add_test(tcase, a_pause_behind_a_stall_is_as_long_as_the_pause);
    tcase_add_test(tcase, adjoining_gaps_of_one_cause_are_one_in_the_summary);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
