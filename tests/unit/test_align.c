/*
 * test_align.c - frames without a partner, against looking at all pairs.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "measure/align.h"
#include "tests/support/suite.h"

#define MS         1000000ll
#define START      (1764000000ll * 1000000000)
#define FRAMES_MAX 400u
#define STRETCHES  5u

struct list {
    int64_t times[FRAMES_MAX];
    uint64_t count, next;
    uint64_t fails_at; /* 0: never */
};

static struct list a, b;
static struct align align;
static struct align_stretch stretches[STRETCHES];

static void begin(void)
{
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&align, 0, sizeof align);
    align.stretches = stretches;
    align.stretches_most = STRETCHES;
    align.tolerance_ns = MS;
}

static void add(struct list *list, int64_t at_ns)
{
    list->times[list->count++] = START + at_ns;
}

static int next(void *ctx, struct align_frame *ret)
{
    struct list *list = ctx;

    if (list->fails_at && list->next == list->fails_at)
        return -EIO;
    if (list->next == list->count)
        return 0;
    *ret = (struct align_frame){list->times[list->next], (int64_t)(1000 + list->next), list->next};
    list->next++;
    return 1;
}

static int run(void)
{
    struct align_source sources[] = {{next, &a}, {next, &b}};

    return align_run(&align, &sources[0], &sources[1]);
}

static void expect(uint64_t matched, uint64_t alone, uint64_t outside)
{
    ck_assert_int_eq(run(), 0);
    ck_assert_uint_eq(align.matched, matched);
    ck_assert_uint_eq(align.alone, alone);
    ck_assert_uint_eq(align.outside, outside);
    ck_assert_uint_eq(align.frames, matched + alone);
}

START_TEST(each_frame_has_the_one_beside_it)
{
    for (int64_t i = 0; i < 100; i++) {
        add(&a, i * 10 * MS);
        add(&b, i * 10 * MS + MS / 2);
    }
    expect(100, 0, 0);
    ck_assert_int_eq(spread_quantile(&align.offset, 0.0), MS / 2);
    ck_assert_int_eq(spread_quantile(&align.offset, 1.0), MS / 2);
}
END_TEST

START_TEST(the_tolerance_itself_is_within_it_and_a_ns_more_is_not)
{
    add(&a, 10 * MS);
    add(&a, 20 * MS);
    add(&a, 30 * MS);
    add(&a, 40 * MS);
    add(&b, 9 * MS);
    add(&b, 21 * MS);
    add(&b, 29 * MS - 1);
    add(&b, 41 * MS + 1);
    expect(2, 2, 0);
}
END_TEST

START_TEST(frames_that_are_alone_are_listed_in_stretches)
{
    for (int64_t i = 0; i < 30; i++)
        add(&a, i * 10 * MS);
    for (int64_t i = 5; i < 25; i++)
        if (i != 10 && (i < 12 || i > 14))
            add(&b, i * 10 * MS);
    expect(16, 14, 10);
    ck_assert_uint_eq(align.stretch_count, 4);
    ck_assert_int_eq(stretches[0].first_cnt0, 1000);
    ck_assert_uint_eq(stretches[0].count, 5);
    ck_assert_int_eq(stretches[1].first_cnt0, 1010);
    ck_assert_uint_eq(stretches[1].count, 1);
    ck_assert_int_eq(stretches[2].atime_ns, START + 120 * MS);
    ck_assert_uint_eq(stretches[2].count, 3);
    ck_assert_uint_eq(stretches[3].first_index, 25);
    ck_assert_uint_eq(stretches[3].count, 5);
}
END_TEST

START_TEST(stretches_beyond_the_list_are_counted)
{
    for (int64_t i = 0; i < 40; i++) {
        add(&a, i * 10 * MS);
        if (i % 2)
            add(&b, i * 10 * MS);
    }
    expect(20, 20, 1);
    ck_assert_uint_eq(align.stretch_count, 20);
    ck_assert_int_eq(stretches[STRETCHES - 1].first_cnt0, 1008);
    ck_assert_uint_eq(stretches[STRETCHES - 1].count, 1);
}
END_TEST

START_TEST(several_frames_may_have_the_same_partner)
{
    for (int64_t i = 0; i < 10; i++)
        add(&a, 10 * MS + i * MS / 10);
    add(&b, 10 * MS);
    expect(10, 0, 0);
}
END_TEST

START_TEST(nobody_has_a_partner_in_an_empty_stream)
{
    add(&a, 0);
    add(&a, MS);
    expect(0, 2, 2);
    ck_assert_uint_eq(align.stretch_count, 1);
    ck_assert_uint_eq(spread_count(&align.offset), 0);
}
END_TEST

START_TEST(bad_times_and_such_that_go_back_are_counted_and_not_looked_at)
{
    add(&a, 10 * MS);
    a.times[a.count++] = 0;
    add(&a, 20 * MS);
    add(&a, 15 * MS); /* a clock that was set back */
    add(&a, 30 * MS);
    add(&b, 10 * MS);
    b.times[b.count++] = -1;
    add(&b, 20 * MS);
    add(&b, 19 * MS);
    add(&b, 30 * MS);
    add(&b, 31 * MS);
    expect(3, 0, 0);
    ck_assert_uint_eq(align.untimed_a, 2);
    ck_assert_uint_eq(align.untimed_b, 2);
}
END_TEST

START_TEST(a_stretch_ends_at_a_frame_that_is_not_looked_at)
{
    add(&a, 10 * MS);
    a.times[a.count++] = 0;
    add(&a, 20 * MS);
    expect(0, 2, 2);
    ck_assert_uint_eq(align.stretch_count, 2);
}
END_TEST

START_TEST(an_error_of_either_source_ends_it)
{
    add(&a, 0);
    add(&a, 10 * MS);
    add(&b, 0);
    add(&b, 10 * MS);
    add(&b, 20 * MS);
    if (_i)
        a.fails_at = 1;
    else
        b.fails_at = 2;
    ck_assert_int_eq(run(), -EIO);
}
END_TEST

static uint64_t state;

static int64_t random_below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int64_t)(state % limit);
}

START_TEST(it_finds_what_looking_at_all_pairs_finds)
{
    uint64_t matched = 0, outside = 0;
    int64_t at[2] = {0, 0};

    state = 5 + (uint64_t)_i;
    for (unsigned i = 0; i < FRAMES_MAX; i++) {
        add(&a, at[0] += random_below(5 * MS));
        if (random_below(10))
            add(&b, at[1] += random_below(6 * MS));
    }
    for (uint64_t i = 0; i < a.count; i++) {
        int64_t nearest = INT64_MAX;

        for (uint64_t k = 0; k < b.count; k++)
            if (llabs(a.times[i] - b.times[k]) < nearest)
                nearest = llabs(a.times[i] - b.times[k]);
        matched += nearest <= align.tolerance_ns;
        outside += nearest > align.tolerance_ns &&
                   (a.times[i] < b.times[0] || a.times[i] >= b.times[b.count - 1]);
    }
    expect(matched, a.count - matched, outside);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("align");
    TCase *tcase = tcase_create("align");

    tcase_add_checked_fixture(tcase, begin, NULL);
    tcase_add_test(tcase, each_frame_has_the_one_beside_it);
    tcase_add_test(tcase, the_tolerance_itself_is_within_it_and_a_ns_more_is_not);
    tcase_add_test(tcase, frames_that_are_alone_are_listed_in_stretches);
    tcase_add_test(tcase, stretches_beyond_the_list_are_counted);
    tcase_add_test(tcase, several_frames_may_have_the_same_partner);
    tcase_add_test(tcase, nobody_has_a_partner_in_an_empty_stream);
    tcase_add_test(tcase, bad_times_and_such_that_go_back_are_counted_and_not_looked_at);
    tcase_add_test(tcase, a_stretch_ends_at_a_frame_that_is_not_looked_at);
    tcase_add_loop_test(tcase, an_error_of_either_source_ends_it, 0, 2);
    tcase_add_loop_test(tcase, it_finds_what_looking_at_all_pairs_finds, 0, 50);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
