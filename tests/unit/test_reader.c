/*
 * test_reader.c - the reader core against every race window of the protocol, each one frozen by
 * setting the counters by hand: no threads, so that a failure is one every time.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "lib/wait.h"

static uint32_t depth_of(int i)
{
    return testbed_depths[i];
}

/* The oldest count that can be proven, counts being consecutive up to `newest`. */
static uint64_t oldest_provable(uint32_t depth, uint64_t newest)
{
    return depth <= 2 ? newest : newest - (depth - 2);
}

static struct dao_take begin_frame(struct dao_reader *r)
{
    struct dao_take take;

    ck_assert_int_eq(dao_reader_begin(r, &take), DAO_READ_FRAME);
    return take;
}

static struct dao_take begin_restart(struct dao_reader *r)
{
    struct dao_take take;

    ck_assert_int_eq(dao_reader_begin(r, &take), DAO_READ_RESTART);
    return take;
}

static void set_creation(const struct dao_segment *seg, double time)
{
    dao_segment_md(seg, 0)->creation_time = time;
}

/* ---- one frame after the other ---- */

START_TEST(a_fresh_segment_has_nothing_to_read)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "fresh", depth_of(_i));
    r = testbed_reader(&seg);
    ck_assert_uint_eq(r.slot, depth_of(_i) - 1);
    ck_assert_uint_eq(r.cnt0, 0);
    expect_nothing(&r);
    ck_assert(!dao_reader_is_ready(&r));
    ck_assert_uint_eq(dao_reader_backlog(&r), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(every_frame_comes_once_and_in_order)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "order", depth_of(_i));
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 <= 200; cnt0++) {
        struct dao_take take;

        put_frame(&seg, cnt0);
        ck_assert(dao_reader_is_ready(&r));
        take = take_frame(&r, cnt0);
        ck_assert_uint_eq(take.slot, (cnt0 - 1) % depth_of(_i));
        ck_assert_int_eq(take.atime_ns, testbed_time_ns);
        ck_assert_uint_eq(take.missing, 0);
        ck_assert(!take.lapped && !take.jumped && !take.partial);
        expect_nothing(&r);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(attaching_begins_after_the_newest_frame)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "attach", depth_of(_i));
    put_frames(&seg, 1, 100);
    r = testbed_reader(&seg);
    expect_nothing(&r);
    put_frame(&seg, 101);
    take_frame(&r, 101);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_backlog_begins_at_the_oldest_frame_that_can_be_proven)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "backlog", depth);
    put_frames(&seg, 1, 200);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    ck_assert_uint_eq(dao_reader_backlog(&r), 201 - oldest_provable(depth, 200));
    for (uint64_t cnt0 = oldest_provable(depth, 200); cnt0 <= 200; cnt0++) {
        take = take_frame(&r, cnt0);
        ck_assert_uint_eq(take.missing, 0);
    }
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_backlog_does_not_reach_into_empty_slots_or_an_older_run)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "backlog_run", 64);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    expect_nothing(&r);
    put_frames(&seg, 1, 3);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    take_frame(&r, 1);
    put_frames(&seg, 4, 20);
    put_frame(&seg, 20); /* the same count again: where the one run ends and the other begins */
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    ck_assert_uint_eq(r.cnt0, 19);
    ck_assert_uint_eq(dao_reader_backlog(&r), 1);
    put_frames(&seg, 1, 5); /* the source went back */
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    for (uint64_t cnt0 = 1; cnt0 <= 5; cnt0++)
        take_frame(&r, cnt0);
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_begin_without_finish_changes_nothing)
{
    struct dao_segment seg;
    struct dao_reader r, before;
    struct dao_take take;

    testbed_create(&seg, "begin", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 10);
    before = r;
    for (int i = 0; i < 5; i++) {
        take = begin_frame(&r);
        ck_assert_uint_eq(take.cnt0, 8);
        ck_assert_uint_eq(take.missing, 7);
        ck_assert_mem_eq(&r, &before, sizeof r);
    }
    ck_assert_int_eq(dao_reader_peek(&r), DAO_READ_FRAME);
    ck_assert_mem_eq(&r, &before, sizeof r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_snapshot_has_the_metadata_of_the_slot)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;
    IMAGE_METADATA *md;

    testbed_create(&seg, "snapshot", 3);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    md = dao_segment_md(&seg, 0);
    md->cnt1 = 11;
    md->cnt2 = 22;
    md->atime.ts = (struct timespec){.tv_sec = 5, .tv_nsec = 7};
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt1, 11);
    ck_assert_uint_eq(take.cnt2, 22);
    ck_assert_int_eq(take.atime_ns, 5000000007);
    ck_assert_ptr_eq(take.pixels, dao_segment_pixels(&seg, 0));
    md->atime.tsfixed.firstlong = INT64_MAX; /* nonsense is no time, and no overflow */
    ck_assert_int_eq(begin_frame(&r).atime_ns, 0);
    md->atime.tsfixed.firstlong = 5;
    md->atime.tsfixed.secondlong = 1000000000;
    ck_assert_int_eq(begin_frame(&r).atime_ns, 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_frame_with_packets_missing_is_partial)
{
    struct dao_segment seg;
    struct dao_reader r;
    IMAGE_METADATA *md;

    testbed_create(&seg, "packets", 3);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    md = dao_segment_md(&seg, 0);
    md->packetTotal = 4;
    md->packetNb = 3;
    for (int i = 0; i < 4; i++)
        md->lastNbArray[i] = 1000;
    ck_assert(!begin_frame(&r).partial);
    md->lastNbArray[1] = 999;
    ck_assert(begin_frame(&r).partial);
    md->packetNb = 512; /* out of range: nothing is known */
    ck_assert(!begin_frame(&r).partial);
    md->packetNb = 3;
    md->packetTotal = 513;
    ck_assert(!begin_frame(&r).partial);
    md->packetTotal = 0;
    ck_assert(!begin_frame(&r).partial);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazard 1: the head is published before the count ---- */

START_TEST(a_head_ahead_of_its_count_is_no_overwrite_and_no_frame)
{
    struct dao_segment seg;
    struct dao_reader r;
    uint32_t slot;

    testbed_create(&seg, "unstamped", depth_of(_i));
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 <= 150; cnt0++) {
        slot = put_unstamped_frame(&seg, cnt0);
        expect_nothing(&r);
        ck_assert_int_eq(dao_reader_look(&r), 0);
        ck_assert_uint_eq(r.newest_seen, cnt0 - 1);
        set_cnt0(&seg, slot, cnt0);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(new_pixels_under_an_old_count_at_the_head_are_refused)
{
    uint32_t depth = depth_of(_i), slot;
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    if (depth == 1)
        return; /* there, only the second look can tell */
    testbed_create(&seg, "newpixels", depth);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, depth);
    r.slot = depth - 2; /* as if frame depth-1 had been taken: the last one is next */
    r.cnt0 = depth - 1;
    take = begin_frame(&r);
    ck_assert_uint_eq(take.slot, depth - 1);
    put_frames(&seg, depth + 1, 2 * depth - 1);
    slot = put_unstamped_frame(&seg, 2 * depth); /* over ours: same count, write 0, head here */
    ck_assert_uint_eq(slot, take.slot);
    ck_assert_uint_eq(dao_segment_md(&seg, slot)->cnt0, take.cnt0);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    ck_assert_uint_eq(r.cnt0, depth - 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(attaching_and_the_newest_see_through_an_unstamped_head)
{
    struct dao_segment seg;
    struct dao_reader r;
    uint32_t slot, newest_slot;
    uint64_t newest;

    if (depth_of(_i) == 1)
        return;
    testbed_create(&seg, "attach1", depth_of(_i));
    put_frames(&seg, 1, 200);
    slot = put_unstamped_frame(&seg, 201);
    dao_segment_newest(&seg, &newest_slot, &newest);
    ck_assert_uint_eq(newest, 200);
    ck_assert_uint_eq(slot_after(&seg, newest_slot), slot);
    r = testbed_reader(&seg);
    ck_assert_uint_eq(r.cnt0, 200);
    expect_nothing(&r);
    set_cnt0(&seg, slot, 201);
    take_frame(&r, 201);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(at_depth_2_a_frame_of_ours_stamped_and_not_published_is_not_the_newest)
{
    struct dao_segment seg;
    uint32_t slot;
    uint64_t cnt0;

    testbed_create(&seg, "stamped", 2);
    put_frames(&seg, 1, 2);
    set_write(&seg, 0, 1); /* slot 0, which held frame 1 */
    set_cnt0(&seg, 0, 3);
    dao_segment_newest(&seg, &slot, &cnt0);
    ck_assert_uint_eq(slot, 1);
    ck_assert_uint_eq(cnt0, 2);
    set_write(&seg, 0, 0); /* a field writer's: frame 3 is whole, the head of frame 4 unstamped */
    dao_segment_newest(&seg, &slot, &cnt0);
    ck_assert_uint_eq(cnt0, 3);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_resume_never_lands_on_an_unstamped_head)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    uint32_t slot;

    if (depth == 1)
        return;
    testbed_create(&seg, "resume1", depth);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 200);
    slot = put_unstamped_frame(&seg, 201);
    if (depth == 2) {
        expect_nothing(&r); /* the head is the only slot that can be proven */
        set_cnt0(&seg, slot, 201);
        take_frame(&r, 201);
    } else {
        struct dao_take take = begin_frame(&r);

        ck_assert_uint_eq(take.cnt0, oldest_provable(depth, 201));
        ck_assert_uint_ne(take.slot, slot);
        ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(attaching_while_the_very_first_frame_is_unstamped_does_not_lose_it)
{
    uint32_t depth = depth_of(_i), slot;
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "attach0", depth);
    slot = put_unstamped_frame(&seg, 1);
    r = testbed_reader(&seg);
    ck_assert_uint_eq(r.slot, depth - 1);
    set_cnt0(&seg, slot, 1);
    if (depth > 2)
        put_frame(&seg, 2);
    take_frame(&r, 1);
    dao_segment_close(&seg);
}
END_TEST

/* Attached at a frame that our writer had stamped and not yet published; while went_back() looks,
 * the head moves and the next frame's time is stored. Here all of that is there at once. */
START_TEST(the_time_of_a_frame_in_the_making_makes_no_restart)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "making", 3);
    put_frames(&seg, 1, 3);
    r = testbed_reader(&seg);
    set_head(&seg, 1);
    set_write(&seg, 0, 1);
    dao_segment_md(&seg, 0)->atime.tsfixed.secondlong = testbed_time_ns + 1;
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazards 2, 3, 4: what the flags do not say ---- */

START_TEST(a_slot_being_rewritten_is_refused_whatever_its_flags_say)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    if (depth < 2)
        return;
    testbed_create(&seg, "rewritten", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    put_frames(&seg, 2, depth); /* now slot 0 is head+1: packets may be in it, write is 0 */
    testbed_fill(&seg, 0, 777);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->cnt0, 1);
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->write, 0);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_frame_beside_the_writer_is_not_handed_out_but_lapped)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    if (depth < 2)
        return;
    testbed_create(&seg, "beside", depth);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, depth); /* frame 1 is intact, in slot head+1 */
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, 2);
    ck_assert_uint_eq(take.missing, 1);
    ck_assert(take.lapped && !take.jumped);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_raised_write_flag_is_refused)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "flag", 4);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    set_write(&seg, take.slot, 1);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    set_write(&seg, take.slot, 0);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_count_that_changed_is_refused)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "changed", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 2);
    take = begin_frame(&r);
    set_cnt0(&seg, take.slot, 5);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_frame_stamped_but_not_yet_published_is_waited_for)
{
    struct dao_segment seg;
    struct dao_reader r;
    uint32_t slot;

    if (depth_of(_i) == 1)
        return; /* no head there */
    testbed_create(&seg, "unpublished", depth_of(_i));
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 <= 150; cnt0++) { /* the order of a writer of ours */
        slot = slot_after(&seg, get_head(&seg));
        testbed_fill(&seg, slot, cnt0);
        set_write(&seg, slot, 1);
        set_cnt0(&seg, slot, cnt0);
        expect_nothing(&r);
        set_write(&seg, slot, 0);
        expect_nothing(&r);
        set_head(&seg, slot);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(at_the_head_the_slot_before_must_have_a_smaller_count)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "equal", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 2);
    take_frame(&r, 1);
    take = begin_frame(&r);
    set_cnt0(&seg, 0, 2);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    set_cnt0(&seg, 0, 1);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(at_depth_1_what_is_copied_when_its_successor_is_due_is_torn)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "late", 1);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
    r.unchanged_ns -= 2 * TESTBED_INTERVAL_NS;
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(!take.torn); /* no interval is known yet */
    put_frame(&seg, 2);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
    r.unchanged_ns -= TESTBED_INTERVAL_NS / 2;
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(!take.torn); /* half of it */
    put_frame(&seg, 3);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_FRAME);
    r.unchanged_ns -= TESTBED_INTERVAL_NS;
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(take.torn);
    ck_assert_uint_eq(r.cnt0, 3); /* taken all the same */
    dao_segment_close(&seg);
}
END_TEST

START_TEST(at_depth_1_what_fails_the_first_look_is_taken_as_torn)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "torn", 1);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    set_write(&seg, 0, 1);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(take.torn);
    ck_assert_uint_eq(r.cnt0, 1);
    set_write(&seg, 0, 0);
    put_frame(&seg, 2);
    take = begin_frame(&r);
    set_cnt0(&seg, 0, 3);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(take.torn);
    ck_assert_uint_eq(r.cnt0, 2);
    testbed_fill(&seg, 0, 3);
    take_frame(&r, 3);
    dao_segment_close(&seg);
}
END_TEST

enum disturbance { CHANGE_COUNT, RAISE_WRITE, CLEAR_WRITE, DISTURBANCES };

struct later {
    const struct dao_segment *seg;
    enum disturbance what;
};

static void *disturb_later(void *arg)
{
    const struct later *later = arg;
    struct timespec rest = {.tv_nsec = 30000000};

    nanosleep(&rest, NULL);
    if (later->what == CHANGE_COUNT)
        __atomic_store_n(&dao_segment_md(later->seg, 0)->cnt0, 99, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&dao_segment_md(later->seg, 0)->write, later->what == RAISE_WRITE,
                         __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(at_depth_1_what_fails_one_of_two_looks_is_torn)
{
    struct dao_segment seg;
    struct later later = {&seg, (enum disturbance)_i};
    struct dao_reader r;
    struct dao_take take;
    pthread_t thread;

    testbed_create(&seg, "second", 1);
    r = testbed_reader(&seg);
    r.torn_look_ns = 300000000; /* long enough for the other thread */
    put_frame(&seg, 1);
    take = begin_frame(&r);
    set_write(&seg, 0, later.what == CLEAR_WRITE); /* fails the first look only */
    ck_assert_int_eq(pthread_create(&thread, NULL, disturb_later, &later), 0);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert(take.torn);
    pthread_join(thread, NULL);
    dao_segment_close(&seg);
}
END_TEST

/* ---- laps ---- */

START_TEST(a_lap_resumes_at_the_oldest_provable_frame_with_an_exact_loss)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "lap", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take_frame(&r, 1);
    put_frames(&seg, 2, 200);
    ck_assert_uint_eq(dao_reader_backlog(&r), 199);
    take = take_frame(&r, oldest_provable(depth, 200));
    ck_assert_uint_eq(take.missing, take.cnt0 - 2);
    ck_assert(take.lapped && !take.jumped);
    for (uint64_t cnt0 = take.cnt0 + 1; cnt0 <= 200; cnt0++) {
        struct dao_take next = take_frame(&r, cnt0);

        ck_assert_uint_eq(next.missing, 0);
        ck_assert(!next.lapped);
    }
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(whatever_the_distance_taken_and_missing_add_up)
{
    uint32_t depth = depth_of(_i);

    for (uint64_t burst = 1; burst <= 2 * depth + 3; burst++) {
        struct dao_segment seg;
        struct dao_reader r;
        uint64_t newest = 0, accounted = 0;

        testbed_create(&seg, "sums", depth);
        r = testbed_reader(&seg);
        for (int round = 0; round < 6; round++) {
            struct dao_take take;

            put_frames(&seg, newest + 1, newest + burst);
            newest += burst;
            while (dao_reader_begin(&r, &take) == DAO_READ_FRAME) {
                ck_assert(testbed_is_ramp(&seg, take.pixels, take.cnt0));
                ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
                accounted += 1 + take.missing;
                ck_assert_uint_eq(accounted, take.cnt0);
            }
            ck_assert_uint_eq(accounted, newest);
        }
        dao_segment_close(&seg);
    }
}
END_TEST

START_TEST(a_resume_passes_over_slots_that_hold_something_else)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "else", 8);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 100); /* the head is in slot 3, and 5 holds 94, the oldest provable */
    ck_assert_uint_eq(begin_frame(&r).cnt0, 94);
    set_cnt0(&seg, 5, 0);
    ck_assert_uint_eq(begin_frame(&r).cnt0, 95);
    set_cnt0(&seg, 6, 5000); /* of an older run */
    ck_assert_uint_eq(begin_frame(&r).cnt0, 96);
    set_write(&seg, 7, 1);
    ck_assert_uint_eq(begin_frame(&r).cnt0, 97);
    take = take_frame(&r, 97);
    ck_assert_uint_eq(take.missing, 96);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(refusals_are_not_counted_twice)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "refusals", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 10);
    for (int i = 0; i < 5; i++) {
        take = begin_frame(&r);
        set_write(&seg, take.slot, 1);
        ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
        set_write(&seg, take.slot, 0);
        ck_assert_uint_eq(r.cnt0, 0);
    }
    take = begin_frame(&r);
    ck_assert_uint_eq(take.missing, take.cnt0 - 1);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_lap_under_the_copy_shows_as_lapped_afterwards)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "under", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 2);
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, 1);
    put_frames(&seg, 3, 12);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    take = take_frame(&r, 10);
    ck_assert_uint_eq(take.missing, 9);
    ck_assert(take.lapped);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_margin_grows_while_resumes_do_not_last)
{
    static const uint32_t expected[] = {0, 1, 2, 4, 8, 8};
    struct dao_segment seg;
    struct dao_reader r;
    uint64_t newest = 0;

    testbed_create(&seg, "margin", 16);
    r = testbed_reader(&seg);
    for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct dao_take take;

        put_frames(&seg, newest + 1, newest + 100); /* lapped again at once */
        newest += 100;
        take = take_frame(&r, oldest_provable(16, newest) + expected[i]);
        ck_assert(take.lapped);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_margin_grows_when_a_resume_is_refused)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "margin2", 16);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 100);
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, 86);
    put_frame(&seg, 101); /* over it, or about to be */
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    take = take_frame(&r, 88); /* oldest provable 87, margin 1 */
    ck_assert_uint_eq(take.missing, 87);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_margin_halves_after_a_clean_lap)
{
    struct dao_segment seg;
    struct dao_reader r;
    uint64_t newest = 0;

    testbed_create(&seg, "margin3", 16);
    r = testbed_reader(&seg);
    for (int i = 0; i < 4; i++) { /* margins 0, 1, 2, 4 */
        put_frames(&seg, newest + 1, newest + 100);
        newest += 100;
        dao_reader_finish(&r, (struct dao_take[]){begin_frame(&r)});
    }
    ck_assert_uint_eq(r.margin, 4);
    for (uint64_t cnt0 = r.cnt0 + 1; cnt0 <= newest; cnt0++)
        take_frame(&r, cnt0);
    for (int i = 0; i < 64; i++) {
        put_frame(&seg, ++newest);
        take_frame(&r, newest);
    }
    ck_assert_uint_eq(r.margin, 0);
    put_frames(&seg, newest + 1, newest + 100); /* and the next resume is exact again */
    take_frame(&r, oldest_provable(16, newest + 100));
    dao_segment_close(&seg);
}
END_TEST

START_TEST(with_the_newest_policy_a_lap_leads_to_the_newest_frame)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "newest", depth);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_NEWEST, false), 0);
    put_frames(&seg, 1, depth); /* exactly a full cycle: nothing is lapped yet */
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, 1);
    ck_assert(!take.lapped);
    put_frame(&seg, depth + 1);
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, depth + 1);
    ck_assert_uint_eq(take.missing, depth);
    ck_assert(take.lapped);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(with_the_newest_policy_a_slot_being_written_is_an_overwrite)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "newest2", 4);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_NEWEST, false), 0);
    put_frames(&seg, 1, 4);
    set_write(&seg, 0, 1);
    take = begin_frame(&r);
    ck_assert_uint_eq(take.cnt0, 4);
    ck_assert(take.lapped);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazard 10: counts that jump ---- */

START_TEST(a_count_that_jumps_is_booked_to_the_source)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "jump", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 5001); /* it begins elsewhere */
    take = take_frame(&r, 5001);
    ck_assert_uint_eq(take.missing, 5000);
    ck_assert(take.jumped == (depth > 1));
    ck_assert(take.lapped == (depth == 1));
    put_frame(&seg, 5002);
    take_frame(&r, 5002);
    put_frame(&seg, 6000);
    take = take_frame(&r, 6000);
    ck_assert_uint_eq(take.missing, 997);
    ck_assert(take.jumped == (depth > 1));
    put_frame(&seg, 6001);
    take = take_frame(&r, 6001);
    ck_assert(!take.jumped && !take.lapped && take.missing == 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_jump_and_a_lap_together_still_add_up)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "jumplap", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 2);
    take_frame(&r, 1);
    put_frames(&seg, 100, 109);
    take = take_frame(&r, 107);
    ck_assert_uint_eq(take.missing, 105);
    ck_assert(take.lapped);
    put_frame(&seg, 200); /* in the slots: 108, 109, 200 */
    take_frame(&r, 108);
    take_frame(&r, 109);
    take = take_frame(&r, 200);
    ck_assert_uint_eq(take.missing, 90);
    ck_assert(take.jumped);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_jump_beyond_2_to_the_31_is_a_restart)
{
    uint32_t depth = depth_of(_i);
    uint64_t far = 1000 + (1ull << 31);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "far", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 10);
    take_frame(&r, 10);
    put_frame(&seg, far);
    take = begin_restart(&r);
    ck_assert_uint_eq(take.restart_lost, 0);
    ck_assert_uint_eq(r.cnt0 + 1, far);
    take = take_frame(&r, far);
    ck_assert_uint_eq(take.missing, 0);
    put_frame(&seg, far + (1ull << 31)); /* as far as it may be */
    take = take_frame(&r, far + (1ull << 31));
    ck_assert_uint_eq(take.missing, (1ull << 31) - 1);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazard 5: restarts ---- */

START_TEST(a_recreated_segment_is_a_restart_with_what_is_known_to_be_lost)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg, again;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "recreated", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take_frame(&r, 1);
    put_frames(&seg, 2, 6);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    ck_assert_uint_eq(r.newest_seen, 6);
    testbed_create(&again, "recreated", depth);
    ck_assert(dao_reader_is_ready(&r));
    ck_assert_int_eq(dao_reader_look(&r), 1);
    take = begin_restart(&r);
    ck_assert_uint_eq(take.restart_lost, 5);
    ck_assert_uint_eq(take.restart_first, 2);
    ck_assert_uint_eq(r.cnt0, 0);
    ck_assert_uint_eq(r.slot, depth - 1);
    expect_nothing(&r); /* once */
    ck_assert(!dao_reader_is_ready(&r));
    ck_assert_int_eq(dao_reader_look(&r), 0);
    put_frame(&again, 1);
    take = take_frame(&r, 1);
    ck_assert_uint_eq(take.missing, 0);
    dao_segment_close(&seg);
    dao_segment_close(&again);
}
END_TEST

START_TEST(a_second_restart_does_not_count_the_first_run_again)
{
    struct dao_segment seg, again;
    struct dao_reader r;

    testbed_create(&seg, "second", 8);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 100);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    testbed_create(&again, "second", 8);
    dao_segment_close(&again);
    ck_assert_uint_eq(begin_restart(&r).restart_lost, 100);
    put_frames(&seg, 1, 3);
    take_frame(&r, 1);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    testbed_create(&again, "second", 8);
    ck_assert_uint_eq(begin_restart(&r).restart_lost, 2);
    dao_segment_close(&seg);
    dao_segment_close(&again);
}
END_TEST

START_TEST(a_new_run_may_begin_with_a_jump_or_have_lapped_already)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg, again;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "newrun", depth);
    r = testbed_reader(&seg);
    testbed_create(&again, "newrun", depth);
    put_frame(&again, 301);
    begin_restart(&r);
    take = take_frame(&r, 301);
    ck_assert_uint_eq(take.missing, 300);
    ck_assert(take.jumped == (depth > 1));
    dao_segment_close(&again);
    testbed_create(&again, "newrun", depth);
    put_frames(&again, 1, 3 * depth);
    begin_restart(&r);
    take = take_frame(&r, oldest_provable(depth, 3 * depth));
    ck_assert_uint_eq(take.missing, take.cnt0 - 1);
    ck_assert(take.lapped);
    dao_segment_close(&seg);
    dao_segment_close(&again);
}
END_TEST

START_TEST(a_recreation_at_work_never_gives_an_old_frame)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "atwork", depth);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 3);
    for (uint32_t i = 0; i < depth; i++)
        set_write(&seg, i, 1);
    set_creation(&seg, 1.8e9); /* new time, old counts */
    expect_nothing(&r);
    for (uint32_t i = 0; i < depth; i++) { /* counts cleared one by one */
        set_cnt0(&seg, i, 0);
        expect_nothing(&r);
    }
    set_head(&seg, depth - 1);
    expect_nothing(&r);
    for (uint32_t i = 0; i < depth; i++) {
        expect_nothing(&r);
        set_write(&seg, i, 0);
    }
    begin_restart(&r);
    expect_nothing(&r);
    put_frame(&seg, 1);
    take_frame(&r, 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_recreation_under_the_copy_is_refused_even_where_counts_come_round)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg, again;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "round", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    testbed_create(&again, "round", depth);
    put_frame(&again, 1); /* the same slot, the same count, another run */
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    begin_restart(&r);
    take_frame(&r, 1);
    dao_segment_close(&seg);
    dao_segment_close(&again);
}
END_TEST

START_TEST(counts_that_go_back_are_a_restart_at_the_oldest_frame_of_the_new_run)
{
    uint32_t depth = depth_of(_i);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "back", depth);
    r = testbed_reader(&seg);
    put_frames(&seg, 1000, 1000 + 2 * depth);
    while (dao_reader_begin(&r, &take) == DAO_READ_FRAME)
        ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert_uint_eq(r.cnt0, 1000 + 2 * depth);
    put_frame(&seg, 1);
    if (depth >= 2) {
        expect_nothing(&r); /* not to be told from a slot still to be stamped */
        put_frame(&seg, 2);
    }
    take = begin_restart(&r);
    ck_assert_uint_eq(take.restart_lost, 0);
    /* At depth 2 frame 1 is in slot head+1 already. */
    take_frame(&r, depth == 2 ? 2 : 1);
    if (depth > 2)
        take_frame(&r, 2);
    expect_nothing(&r);
    put_frame(&seg, depth == 1 ? 2 : 3);
    take_frame(&r, depth == 1 ? 2 : 3);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(what_is_left_over_of_a_far_run_is_no_restart)
{
    uint64_t far = 1ull << 40;
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;
    uint32_t head;

    testbed_create(&seg, "leftover", 8);
    r = testbed_reader(&seg);
    put_frames(&seg, far + 1, far + 8);
    begin_restart(&r);
    while (dao_reader_begin(&r, &take) == DAO_READ_FRAME)
        ck_assert_int_eq(dao_reader_finish(&r, &take), 1);
    ck_assert_uint_eq(r.cnt0, far + 8);
    put_frames(&seg, 1, 3);
    begin_restart(&r);
    for (uint64_t cnt0 = 1; cnt0 <= 12; cnt0++) {
        if (cnt0 > 3)
            put_frame(&seg, cnt0);
        take_frame(&r, cnt0);
        if (cnt0 >= 3)
            expect_nothing(&r); /* the next slot holds a count of the far run, or is older */
    }
    /* A field writer that is about to stamp the count: the head says more than the slot does. */
    put_frames(&seg, far + 21, far + 23);
    begin_restart(&r);
    for (uint64_t cnt0 = far + 21; cnt0 <= far + 23; cnt0++)
        take_frame(&r, cnt0);
    put_frames(&seg, 1, 5);
    begin_restart(&r);
    for (uint64_t cnt0 = 1; cnt0 <= 5; cnt0++)
        take_frame(&r, cnt0);
    head = dao_segment_md(&seg, 0)->fifo_last_written;
    dao_segment_md(&seg, 0)->fifo_last_written = (head + 1) % 8;
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_new_run_that_has_gone_round_is_found_by_the_slot_last_taken)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "roundback", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1000, 1002);
    for (uint64_t cnt0 = 1000; cnt0 <= 1002; cnt0++)
        take_frame(&r, cnt0);
    put_frames(&seg, 1, 11);
    take = begin_restart(&r);
    ck_assert_uint_eq(take.restart_lost, 0);
    take_frame(&r, 9); /* the slots hold 8 9 10 11, 8 beside the writer */
    take_frame(&r, 10);
    take_frame(&r, 11);
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

/* The new run is a lap long, and its counts reach above the one last taken. */
START_TEST(a_new_run_may_overlap_the_counts_of_the_old_one)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "overlap", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 999, 1000);
    take_frame(&r, 999);
    take_frame(&r, 1000);
    put_frames(&seg, 998, 1001);
    begin_restart(&r);
    take = take_frame(&r, 999);
    ck_assert_uint_eq(take.missing, 1);
    take_frame(&r, 1000);
    take_frame(&r, 1001);
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_head_behind_after_a_whole_lap_is_no_restart)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "behind", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 3);
    for (uint64_t cnt0 = 1; cnt0 <= 3; cnt0++)
        take_frame(&r, cnt0);
    put_frames(&seg, 4, 5); /* the head is in slot 0, ours is slot 2 */
    ck_assert_uint_eq(get_head(&seg), 0);
    take_frame(&r, 4);
    take_frame(&r, 5);
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_dead_writers_flag_stops_nobody)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "dead", 4);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    set_write(&seg, 1, 1); /* it died over slot 1 */
    take_frame(&r, 1);
    expect_nothing(&r);
    set_write(&seg, 1, 0); /* its successor goes on there */
    put_frame(&seg, 2);
    take_frame(&r, 2);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazard 6: truncated in place ---- */

START_TEST(a_truncated_segment_is_stale)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "cut", depth_of(_i));
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    ck_assert_int_eq(ftruncate(seg.fd, 0), 0);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0); /* never zeros for a frame */
    ck_assert_int_eq(dao_reader_begin(&r, &take), -ESTALE);
    ck_assert_int_eq(dao_reader_look(&r), -ESTALE);
    ck_assert_int_eq(dao_reader_peek(&r), -ESTALE);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, false), -ESTALE);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(pixels_cut_off_under_the_copy_are_refused)
{
    static const uint32_t size[] = {4096, 4};
    static unsigned char copy[32768];
    struct dao_geometry geo;
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, _DATATYPE_UINT16, 4, 0, NULL), 0);
    ck_assert_int_eq(dao_segment_create(&seg, testbed_path("cutcopy"), &geo, NULL), 0);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    ck_assert_int_eq(ftruncate(seg.fd, 5 * 4096), 0); /* all metadata stay */
    memcpy(copy, take.pixels, sizeof copy);
    ck_assert_uint_eq(copy[sizeof copy - 1], 0); /* the last pixel was not */
    ck_assert_uint_eq(dao_segment_md(&seg, 0)->cnt0, 1);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    ck_assert_int_eq(dao_reader_begin(&r, &take), -ESTALE);
    dao_segment_close(&seg);
}
END_TEST

/* Truncated and grown again, as a restarted field writer does. */
static void truncate_and_grow(const struct dao_segment *seg)
{
    ck_assert_int_eq(ftruncate(seg->fd, 0), 0);
    ck_assert_int_eq(ftruncate(seg->fd, (off_t)seg->geo.file_bytes), 0);
}

static void fill_header(const struct dao_segment *seg, uint32_t width, uint32_t height)
{
    IMAGE_METADATA *md = dao_segment_md(seg, 0);

    md->naxis = 2;
    md->size[0] = width;
    md->size[1] = height;
    md->nelement = (uint64_t)width * height;
    md->atype = _DATATYPE_UINT16;
    md->fifo_size = seg->geo.depth;
    md->fifo_last_written = seg->geo.depth - 1;
}

START_TEST(zeros_are_not_ready_until_the_creation_time_is_there)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "zeros", depth_of(_i));
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 3);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    truncate_and_grow(&seg);
    expect_nothing(&r);
    ck_assert(!dao_reader_is_ready(&r));
    ck_assert_int_eq(dao_reader_look(&r), 0);
    fill_header(&seg, 4, 2);
    expect_nothing(&r);
    set_creation(&seg, 1.9e9);
    take = begin_restart(&r);
    ck_assert_uint_eq(take.restart_lost, 3);
    put_frame(&seg, 1);
    take_frame(&r, 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(zeros_under_the_copy_are_refused)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "zeros2", 4);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    truncate_and_grow(&seg);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(another_shape_of_the_same_length_is_stale)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    testbed_create(&seg, "shape", 4);
    r = testbed_reader(&seg);
    truncate_and_grow(&seg);
    fill_header(&seg, 2, 4);
    set_creation(&seg, 1.9e9);
    ck_assert_int_eq(dao_reader_begin(&r, &take), -ESTALE);
    ck_assert_int_eq(dao_reader_look(&r), -ESTALE);
    ck_assert_int_eq(dao_reader_begin(&r, &take), -ESTALE); /* and stays so */
    dao_segment_close(&seg);
}
END_TEST

START_TEST(attaching_while_the_segment_is_made_is_no_restart)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "made", 4);
    set_creation(&seg, 0.0);
    set_head(&seg, 0);
    r = testbed_reader(&seg);
    expect_nothing(&r);
    set_head(&seg, 3);
    set_creation(&seg, 1.9e9);
    put_frame(&seg, 1);
    take_frame(&r, 1);
    dao_segment_close(&seg);
}
END_TEST

/* ---- hazard 7: metadata that cannot be trusted ---- */

START_TEST(a_head_out_of_range_proves_nothing_and_hurts_nobody)
{
    uint32_t depth = depth_of(_i), slot;
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;
    uint64_t newest;

    if (depth == 1)
        return; /* the head says nothing there */
    testbed_create(&seg, "garbage", depth);
    r = testbed_reader(&seg);
    put_frame(&seg, 1);
    take = begin_frame(&r);
    set_head(&seg, depth);
    ck_assert_int_eq(dao_reader_finish(&r, &take), 0);
    expect_nothing(&r);
    set_head(&seg, UINT32_MAX);
    expect_nothing(&r);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    ck_assert_uint_eq(dao_reader_backlog(&r), 0);
    dao_segment_newest(&seg, &slot, &newest);
    ck_assert_uint_eq(slot, 0); /* by the largest count */
    ck_assert_uint_eq(newest, 1);
    set_head(&seg, 0);
    take_frame(&r, 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_head_out_of_range_stops_a_resume_too)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "garbage2", 4);
    r = testbed_reader(&seg);
    put_frames(&seg, 1, 10);
    set_head(&seg, 77);
    expect_nothing(&r);
    set_head(&seg, 1);
    take_frame(&r, 8);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_depth_is_that_of_the_open)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "depth", 4);
    r = testbed_reader(&seg);
    dao_segment_md(&seg, 0)->fifo_size = 1000000;
    for (uint64_t cnt0 = 1; cnt0 <= 20; cnt0++) {
        put_frame(&seg, cnt0);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

/* Packet id 512 of a field writer: fifo_size and the head become halves of a frame number. */
START_TEST(a_head_thrown_back_to_0_is_no_restart)
{
    struct dao_segment seg;
    struct dao_reader r;

    testbed_create(&seg, "thrown", 64);
    put_frames(&seg, 1, 169); /* the head is in slot 40 */
    r = testbed_reader(&seg);
    dao_segment_md(&seg, 0)->fifo_size = 169;
    set_head(&seg, 0);
    expect_nothing(&r);
    dao_segment_md(&seg, 40)->atime.tsfixed.secondlong = 0; /* a source without times */
    expect_nothing(&r);
    dao_segment_md(&seg, 40)->atime.tsfixed.secondlong = testbed_time_ns;
    dao_segment_md(&seg, 0)->fifo_size = 64; /* even then: its frames are older */
    expect_nothing(&r);
    set_head(&seg, 40);
    put_frame(&seg, 170);
    take_frame(&r, 170);
    dao_segment_close(&seg);
}
END_TEST

/* ---- the other layouts ---- */

static void open_layout(struct dao_segment *seg, uint32_t md_bytes, uint32_t depth)
{
    uint32_t bytes = depth * (md_bytes + 16), head = depth - 1;
    unsigned char *file = calloc(1, bytes);
    IMAGE_METADATA *md = (IMAGE_METADATA *)(void *)file;
    int fd = open(testbed_path("layout"), O_CREAT | O_TRUNC | O_WRONLY, 0644);

    md->naxis = 2;
    md->size[0] = 4;
    md->size[1] = 2;
    md->nelement = 8;
    md->atype = _DATATYPE_UINT16;
    md->creation_time = 1.7e9;
    if (md_bytes == 16448) {
        memcpy(file + 16392, &depth, 4);
        memcpy(file + 16396, &head, 4);
    }
    ck_assert_int_eq((int)write(fd, file, bytes), (int)bytes);
    close(fd);
    free(file);
    ck_assert_int_eq(dao_segment_open(seg, testbed_path("layout"), DAO_ACCESS_WRITE, NULL), 0);
}

START_TEST(a_pre_fifo_segment_is_read_as_depth_1)
{
    struct dao_segment seg;
    struct dao_reader r;

    open_layout(&seg, 4296, 1);
    ck_assert_int_eq(seg.geo.layout->kind, DAO_LAYOUT_PREFIFO);
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 < 10; cnt0++) {
        expect_nothing(&r);
        testbed_fill(&seg, 0, cnt0 + 0x7000); /* where FIFO has its head there are pixels */
        testbed_fill(&seg, 0, cnt0);
        set_cnt0(&seg, 0, cnt0);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_newer_segment_is_read_by_its_own_head)
{
    struct dao_segment seg;
    struct dao_reader r;

    open_layout(&seg, 16448, 3);
    ck_assert_int_eq(seg.geo.layout->kind, DAO_LAYOUT_NEWER);
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 1; cnt0 < 20; cnt0++) {
        uint32_t slot = (uint32_t)((cnt0 - 1) % 3);

        dao_segment_md(&seg, 0)->fifo_last_written = 4000000; /* part of lastNbArray here */
        testbed_fill(&seg, slot, cnt0);
        set_cnt0(&seg, slot, cnt0);
        expect_nothing(&r);
        memcpy(seg.map + 16396, &slot, 4);
        take_frame(&r, cnt0);
    }
    dao_segment_close(&seg);
}
END_TEST

static void add_windows(TCase *laps, TCase *hazards)
{
    tcase_add_loop_test(hazards, a_head_ahead_of_its_count_is_no_overwrite_and_no_frame, 0, DEPTHS);
    tcase_add_loop_test(hazards, new_pixels_under_an_old_count_at_the_head_are_refused, 0, DEPTHS);
    tcase_add_loop_test(hazards, attaching_and_the_newest_see_through_an_unstamped_head, 0, DEPTHS);
    tcase_add_loop_test(hazards, attaching_while_the_very_first_frame_is_unstamped_does_not_lose_it,
                        0, DEPTHS);
    tcase_add_test(hazards, the_time_of_a_frame_in_the_making_makes_no_restart);
    tcase_add_test(hazards, at_depth_2_a_frame_of_ours_stamped_and_not_published_is_not_the_newest);
    tcase_add_loop_test(hazards, a_resume_never_lands_on_an_unstamped_head, 0, DEPTHS);
    tcase_add_loop_test(hazards, a_slot_being_rewritten_is_refused_whatever_its_flags_say, 0,
                        DEPTHS);
    tcase_add_loop_test(hazards, a_frame_beside_the_writer_is_not_handed_out_but_lapped, 0, DEPTHS);
    tcase_add_test(hazards, a_raised_write_flag_is_refused);
    tcase_add_test(hazards, a_count_that_changed_is_refused);
    tcase_add_loop_test(hazards, a_frame_stamped_but_not_yet_published_is_waited_for, 0, DEPTHS);
    tcase_add_test(hazards, at_depth_1_what_is_copied_when_its_successor_is_due_is_torn);
    tcase_add_test(hazards, at_depth_1_what_fails_the_first_look_is_taken_as_torn);
    tcase_add_loop_test(hazards, at_depth_1_what_fails_one_of_two_looks_is_torn, 0, DISTURBANCES);
    tcase_add_test(hazards, at_the_head_the_slot_before_must_have_a_smaller_count);
    tcase_add_loop_test(hazards, a_head_out_of_range_proves_nothing_and_hurts_nobody, 0, DEPTHS);
    tcase_add_test(hazards, a_head_out_of_range_stops_a_resume_too);
    tcase_add_test(hazards, the_depth_is_that_of_the_open);
    tcase_add_test(hazards, a_head_thrown_back_to_0_is_no_restart);
    tcase_add_loop_test(laps, a_lap_resumes_at_the_oldest_provable_frame_with_an_exact_loss, 0,
                        DEPTHS);
    tcase_add_loop_test(laps, whatever_the_distance_taken_and_missing_add_up, 0, DEPTHS);
    tcase_add_test(laps, a_resume_passes_over_slots_that_hold_something_else);
    tcase_add_test(laps, refusals_are_not_counted_twice);
    tcase_add_test(laps, a_lap_under_the_copy_shows_as_lapped_afterwards);
    tcase_add_test(laps, the_margin_grows_while_resumes_do_not_last);
    tcase_add_test(laps, the_margin_grows_when_a_resume_is_refused);
    tcase_add_test(laps, the_margin_halves_after_a_clean_lap);
    tcase_add_loop_test(laps, with_the_newest_policy_a_lap_leads_to_the_newest_frame, 0, DEPTHS);
    tcase_add_test(laps, with_the_newest_policy_a_slot_being_written_is_an_overwrite);
    tcase_add_loop_test(laps, a_count_that_jumps_is_booked_to_the_source, 0, DEPTHS);
    tcase_add_test(laps, a_jump_and_a_lap_together_still_add_up);
    tcase_add_loop_test(laps, a_jump_beyond_2_to_the_31_is_a_restart, 0, DEPTHS);
}

static void add_restarts(TCase *restarts)
{
    tcase_add_loop_test(restarts, a_recreated_segment_is_a_restart_with_what_is_known_to_be_lost, 0,
                        DEPTHS);
    tcase_add_loop_test(restarts, a_new_run_may_begin_with_a_jump_or_have_lapped_already, 0,
                        DEPTHS);
    tcase_add_loop_test(restarts, a_recreation_at_work_never_gives_an_old_frame, 0, DEPTHS);
    tcase_add_loop_test(
        restarts, a_recreation_under_the_copy_is_refused_even_where_counts_come_round, 0, DEPTHS);
    tcase_add_loop_test(
        restarts, counts_that_go_back_are_a_restart_at_the_oldest_frame_of_the_new_run, 0, DEPTHS);
    tcase_add_test(restarts, what_is_left_over_of_a_far_run_is_no_restart);
    tcase_add_test(restarts, a_new_run_that_has_gone_round_is_found_by_the_slot_last_taken);
    tcase_add_test(restarts, a_second_restart_does_not_count_the_first_run_again);
    tcase_add_test(restarts, a_new_run_may_overlap_the_counts_of_the_old_one);
    tcase_add_test(restarts, a_head_behind_after_a_whole_lap_is_no_restart);
    tcase_add_test(restarts, a_dead_writers_flag_stops_nobody);
    tcase_add_loop_test(restarts, a_truncated_segment_is_stale, 0, DEPTHS);
    tcase_add_test(restarts, pixels_cut_off_under_the_copy_are_refused);
    tcase_add_loop_test(restarts, zeros_are_not_ready_until_the_creation_time_is_there, 0, DEPTHS);
    tcase_add_test(restarts, zeros_under_the_copy_are_refused);
    tcase_add_test(restarts, another_shape_of_the_same_length_is_stale);
    tcase_add_test(restarts, attaching_while_the_segment_is_made_is_no_restart);
}

int main(void)
{
    Suite *suite = suite_create("reader");
    TCase *order = tcase_create("in order"), *hazards = tcase_create("hazards");
    TCase *laps = tcase_create("laps and jumps"), *restarts = tcase_create("restarts");
    TCase *layouts = tcase_create("layouts");

    tcase_add_loop_test(order, a_fresh_segment_has_nothing_to_read, 0, DEPTHS);
    tcase_add_loop_test(order, every_frame_comes_once_and_in_order, 0, DEPTHS);
    tcase_add_loop_test(order, attaching_begins_after_the_newest_frame, 0, DEPTHS);
    tcase_add_loop_test(order, a_backlog_begins_at_the_oldest_frame_that_can_be_proven, 0, DEPTHS);
    tcase_add_test(order, a_backlog_does_not_reach_into_empty_slots_or_an_older_run);
    tcase_add_test(order, a_begin_without_finish_changes_nothing);
    tcase_add_test(order, the_snapshot_has_the_metadata_of_the_slot);
    tcase_add_test(order, a_frame_with_packets_missing_is_partial);
    add_windows(laps, hazards);
    add_restarts(restarts);
    tcase_add_test(layouts, a_pre_fifo_segment_is_read_as_depth_1);
    tcase_add_test(layouts, a_newer_segment_is_read_by_its_own_head);
    suite_add_tcase(suite, order);
    suite_add_tcase(suite, hazards);
    suite_add_tcase(suite, laps);
    suite_add_tcase(suite, restarts);
    suite_add_tcase(suite, layouts);
    return testbed_run(suite);
}
