/*
 * test_comeback.c - a segment that went away and came back: where a reader goes on, and what is
 * known to be lost.
 */
#include "tests/support/testbed.h"

#include <errno.h>

#include "lib/comeback.h"

static struct dao_segment writer, seg, back;
static struct dao_reader reader;
static struct dao_comeback comeback;
static uint64_t first;

static void open_for_reading(struct dao_segment *ret, const char *name)
{
    struct dao_text text = {""};

    ck_assert_msg(dao_segment_open(ret, testbed_path(name), DAO_ACCESS_READ, &text) == 0, "%s",
                  text.s);
}

/* A segment of this depth; `last` frames were published, a reader has taken the first `taken`. */
static void begin_with(const char *name, uint32_t depth, uint64_t last, uint64_t taken)
{
    testbed_create(&writer, name, depth);
    open_for_reading(&seg, name);
    reader = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 <= last; cnt0++) {
        put_frame(&writer, cnt0);
        if (cnt0 <= taken)
            take_frame(&reader, cnt0);
    }
    dao_reader_look(&reader);
}

/* It is removed, and one of this depth is made in its place. */
static void replace(const char *name, uint32_t depth)
{
    dao_segment_close(&writer);
    ck_assert_int_eq(unlink(testbed_path(name)), 0);
    testbed_create(&writer, name, depth);
}

static void reopen(const char *name)
{
    open_for_reading(&back, name);
    dao_comeback_begin(&comeback, &back);
}

static void end(void)
{
    dao_segment_close(&back);
    dao_segment_close(&seg);
    dao_segment_close(&writer);
}

START_TEST(a_new_run_is_expected_from_its_first_frame_on_and_given_from_there)
{
    begin_with("new", 64, 20, 20);
    replace("new", 64);
    put_frames(&writer, 1, 10);
    reopen("new");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(reader.cnt0, 0);
    for (uint64_t cnt0 = 1; cnt0 <= 10; cnt0++)
        take_frame(&reader, cnt0);
    expect_nothing(&reader);
    end();
}
END_TEST

START_TEST(what_a_new_run_has_overwritten_already_is_found_missing)
{
    struct dao_take take;

    begin_with("late", 8, 5, 5);
    replace("late", 8);
    put_frames(&writer, 1, 100);
    reopen("late");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 1);
    ck_assert_uint_eq(reader.cnt0, 0);
    ck_assert_int_eq(dao_reader_begin(&reader, &take), DAO_READ_FRAME);
    ck_assert(take.lapped);
    ck_assert_uint_eq(take.missing, take.cnt0 - 1);
    ck_assert_uint_ge(take.cnt0, 94);
    end();
}
END_TEST

/* What was overwritten before it was opened, and what was since. */
START_TEST(what_was_overwritten_before_it_was_opened_can_be_skipped)
{
    uint32_t depth = (uint32_t[]){1, 2, 3, 8}[_i];
    uint64_t left = depth > 1 ? depth - 1 : 1, skipped;
    struct dao_take take;

    begin_with("skip", 8, 5, 5);
    replace("skip", depth);
    put_frames(&writer, 1, 100);
    reopen("skip");
    put_frames(&writer, 101, 300);
    dao_comeback_look(&comeback, &back);
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 1);
    skipped = dao_comeback_skip(&comeback, &reader);
    ck_assert_uint_eq(skipped, 100 - left);
    ck_assert_uint_eq(reader.cnt0, skipped);
    ck_assert_uint_eq(reader.newest_seen, 300);
    ck_assert_int_eq(dao_reader_begin(&reader, &take), DAO_READ_FRAME);
    ck_assert_uint_eq(take.missing, take.cnt0 - 1 - skipped);
    ck_assert_uint_gt(take.cnt0, 300 - depth);
    ck_assert_uint_eq(dao_comeback_skip(&comeback, &reader), 0); /* once */
    end();
}
END_TEST

START_TEST(nothing_is_skipped_that_can_be_had)
{
    uint64_t published = (uint64_t)_i; /* of a FIFO of 8 that holds 7 for readers */

    begin_with("held", 8, 5, 5);
    replace("held", 8);
    put_frames(&writer, 1, published);
    reopen("held");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(dao_comeback_skip(&comeback, &reader), published < 8 ? 0 : published - 7);
    for (uint64_t cnt0 = reader.cnt0 + 1; cnt0 <= published; cnt0++)
        take_frame(&reader, cnt0);
    expect_nothing(&reader);
    end();
}
END_TEST

START_TEST(nothing_is_skipped_in_the_same_run)
{
    begin_with("goes_on", 8, 20, 12);
    put_frames(&writer, 21, 60);
    reopen("goes_on");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(dao_comeback_skip(&comeback, &reader), 0);
    ck_assert_uint_eq(reader.cnt0, 60);
    end();
}
END_TEST

START_TEST(a_run_that_cannot_have_begun_at_0_is_expected_from_its_oldest_frame_on)
{
    uint64_t begin = 5000000000ull;
    struct dao_take take;

    begin_with("far", 16, 5, 5);
    replace("far", 16);
    put_frames(&writer, begin, begin + 5);
    reopen("far");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, reader.cnt0 + 1); /* none is known to be lost */
    ck_assert_int_eq(dao_reader_begin(&reader, &take), DAO_READ_RESTART);
    ck_assert_uint_eq(take.restart_lost, 0);
    for (uint64_t cnt0 = begin; cnt0 <= begin + 5; cnt0++)
        take_frame(&reader, cnt0);
    end();
}
END_TEST

START_TEST(the_same_run_goes_on_behind_what_was_seen_of_it)
{
    begin_with("same", 64, 20, 12);
    ck_assert_uint_eq(reader.newest_seen, 20);
    put_frames(&writer, 21, 30); /* while nobody looks */
    reopen("same");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 21);
    ck_assert_uint_eq(reader.cnt0, 30); /* 21 ... 30 are lost */
    put_frame(&writer, 31);
    take_frame(&reader, 31);
    end();
}
END_TEST

START_TEST(the_same_run_without_a_new_frame_has_lost_nothing)
{
    begin_with("still", 64, 20, 20);
    reopen("still");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, reader.cnt0 + 1);
    ck_assert_uint_eq(reader.cnt0, 20);
    end();
}
END_TEST

START_TEST(what_is_given_up_has_published_so_much)
{
    begin_with("unseen", 8, 5, 5);
    replace("unseen", 8);
    reopen("unseen");
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 0);
    put_frames(&writer, 1, 30);
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 0);
    dao_comeback_look(&comeback, &back);
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 30);
    ck_assert_uint_eq(first, 1);
    end();
}
END_TEST

START_TEST(of_the_same_run_only_what_was_not_seen_before_is_given_up)
{
    begin_with("part", 64, 20, 12);
    put_frames(&writer, 21, 25);
    reopen("part");
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 5);
    ck_assert_uint_eq(first, 21);
    end();
}
END_TEST

START_TEST(of_a_count_that_did_not_begin_at_0_only_the_newest_is_known)
{
    begin_with("huge", 8, 5, 5);
    replace("huge", 8);
    put_frames(&writer, 5000000000ull, 5000000003ull);
    reopen("huge");
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 1);
    ck_assert_uint_eq(first, 5000000003ull);
    end();
}
END_TEST

START_TEST(one_that_is_gone_again_leaves_the_reader_where_it_stood)
{
    begin_with("gone", 8, 5, 3);
    replace("gone", 8);
    put_frames(&writer, 1, 4);
    reopen("gone");
    ck_assert_int_eq(ftruncate(writer.fd, 100), 0);
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), -ESTALE);
    ck_assert_uint_eq(reader.cnt0, 3);
    ck_assert_uint_eq(reader.newest_seen, 5);
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 4);
    end();
}
END_TEST

/* A segment of depth 8 whose counts go on behind 1000, in place of another. */
static void replace_seeded(const char *name)
{
    struct dao_geometry geo = testbed_geometry(8, 0);
    struct dao_seed seed = {.cnt0 = 1000};
    struct dao_text text = {""};

    begin_with(name, 8, 5, 5);
    dao_segment_close(&writer);
    ck_assert_int_eq(unlink(testbed_path(name)), 0);
    ck_assert_msg(dao_segment_create_seeded(&writer, testbed_path(name), &geo, &seed, &text) == 0,
                  "%s", text.s);
}

START_TEST(a_run_with_a_seed_is_expected_from_behind_it_on)
{
    replace_seeded("seed");
    reopen("seed");
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 0);
    put_frames(&writer, 1001, 1003);
    dao_comeback_look(&comeback, &back);
    ck_assert_uint_eq(dao_comeback_unseen(&comeback, &reader, &back, &first), 3);
    ck_assert_uint_eq(first, 1001);
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 1001);
    for (uint64_t cnt0 = 1001; cnt0 <= 1003; cnt0++)
        take_frame(&reader, cnt0);
    end();
}
END_TEST

START_TEST(a_seed_that_was_overwritten_since_it_was_opened_is_remembered)
{
    struct dao_take take;

    replace_seeded("over");
    reopen("over");
    put_frames(&writer, 1001, 1100);
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(first, 1001);
    ck_assert_int_eq(dao_reader_begin(&reader, &take), DAO_READ_FRAME);
    ck_assert(take.lapped);
    ck_assert_uint_eq(take.missing, take.cnt0 - 1001);
    end();
}
END_TEST

START_TEST(what_was_known_before_it_was_attached_stays_known)
{
    begin_with("known", 8, 5, 5);
    replace("known", 8);
    put_frames(&writer, 1, 30);
    reopen("known");
    ck_assert_int_eq(dao_comeback_attach(&comeback, &reader, &back, &first), 0);
    ck_assert_uint_eq(reader.newest_seen, 30);
    end();
}
END_TEST

/* What is refused otherwise: a link that leads to itself, for root as well. */
START_TEST(what_is_refused_is_tried_less_and_less_often)
{
    const char *path = testbed_path("refused");
    int64_t rest_ns = 0, now_ns = 1000;

    comeback = (struct dao_comeback){0};
    back = (struct dao_segment){.fd = -1, .guard_index = -1};
    ck_assert_int_eq(dao_comeback_open(&comeback, &back, path, now_ns), -ENOENT);
    ck_assert_int_eq(dao_comeback_open(&comeback, &back, path, now_ns), -ENOENT);
    ck_assert_int_eq(symlink(path, path), 0);
    for (int i = 0; i < 20; i++) {
        int64_t before_ns = rest_ns;

        ck_assert_int_lt(dao_comeback_open(&comeback, &back, path, now_ns), 0);
        rest_ns = comeback.open_rest_ns;
        ck_assert(before_ns < rest_ns || rest_ns == 100000000);
        ck_assert_int_eq(dao_comeback_open(&comeback, &back, path, now_ns + rest_ns - 1), -EAGAIN);
        now_ns += rest_ns;
    }
    ck_assert_int_eq(rest_ns, 100000000);
    ck_assert_int_eq(unlink(path), 0);
    testbed_create(&writer, "refused", 4);
    ck_assert_int_eq(dao_comeback_open(&comeback, &back, path, now_ns), 0);
    ck_assert_int_eq(comeback.open_rest_ns, 0);
    dao_segment_close(&back);
    dao_segment_close(&writer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("comeback");
    TCase *tcase = tcase_create("comeback");

    tcase_add_test(tcase, a_new_run_is_expected_from_its_first_frame_on_and_given_from_there);
    tcase_add_test(tcase, what_a_new_run_has_overwritten_already_is_found_missing);
    tcase_add_loop_test(tcase, what_was_overwritten_before_it_was_opened_can_be_skipped, 0, 4);
    tcase_add_loop_test(tcase, nothing_is_skipped_that_can_be_had, 0, 20);
    tcase_add_test(tcase, nothing_is_skipped_in_the_same_run);
    tcase_add_test(tcase, a_run_that_cannot_have_begun_at_0_is_expected_from_its_oldest_frame_on);
    tcase_add_test(tcase, the_same_run_goes_on_behind_what_was_seen_of_it);
    tcase_add_test(tcase, the_same_run_without_a_new_frame_has_lost_nothing);
    tcase_add_test(tcase, what_is_given_up_has_published_so_much);
    tcase_add_test(tcase, of_the_same_run_only_what_was_not_seen_before_is_given_up);
    tcase_add_test(tcase, of_a_count_that_did_not_begin_at_0_only_the_newest_is_known);
    tcase_add_test(tcase, one_that_is_gone_again_leaves_the_reader_where_it_stood);
    tcase_add_test(tcase, a_run_with_a_seed_is_expected_from_behind_it_on);
    tcase_add_test(tcase, a_seed_that_was_overwritten_since_it_was_opened_is_remembered);
    tcase_add_test(tcase, what_was_known_before_it_was_attached_stays_known);
    tcase_add_test(tcase, what_is_refused_is_tried_less_and_less_often);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
