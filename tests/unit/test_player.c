/*
 * test_player.c - what is published while a segment is made anew, and when that fails. The segments
 * are none: the functions of target.h are here, and making one takes as long as a test wants.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "replay/player.h"
#include "tests/support/suite.h"

#define MS      1000000ll
#define STREAMS 3
#define EVENTS  64

static struct target targets[STREAMS];
static struct player_stream streams[STREAMS];
static struct series_part part;
static struct ring ring;
static struct maker maker;
static struct player player;
static atomic_bool stop, feed_is_over;

static uint64_t published[EVENTS]; /* counts, by the player's thread */
static atomic_uint publications;
static atomic_uint creations, is_making;
static unsigned wanted;     /* publications before a segment is made */
static bool waits_for_stop; /* making ends only then */
static int create_error, check_error;
static bool met;                 /* a frame and the making of its segment */
static unsigned checks[STREAMS]; /* by the player's thread, and the maker's where it makes one */

/* ---- in place of segments ---- */

static void wait_a_little(void)
{
    poll(NULL, 0, 1);
}

int target_create(struct target *target, const struct series_part *made_for, uint64_t cnt0,
                  struct dao_text *text)
{
    int64_t end_ns = dao_clock_mono_ns() + 40000 * MS; /* a hang's time-out */

    ck_assert_ptr_eq(target, &targets[0]);
    ck_assert_ptr_eq(made_for, &part);
    ck_assert_uint_eq(cnt0, 99);
    atomic_store(&is_making, 1);
    while ((atomic_load(&publications) < wanted || (waits_for_stop && !atomic_load(&stop))) &&
           dao_clock_mono_ns() < end_ns)
        wait_a_little();
    if (atomic_load(&publications) < wanted)
        create_error = -ETIME;
    atomic_store(&is_making, 0);
    atomic_fetch_add(&creations, 1);
    if (create_error < 0)
        dao_text_set(text, "no room for it");
    return create_error;
}

int target_fill(struct target *target, const void *pixels, struct dao_write *ret)
{
    (void)pixels;
    *ret = (struct dao_write){0};
    met = met || (target == &targets[0] && atomic_load(&is_making));
    return 0;
}

void target_publish(struct target *target, const struct dao_write *w, uint64_t cnt1, uint64_t cnt2,
                    int64_t atime_ns)
{
    unsigned at = atomic_load(&publications);

    (void)target;
    (void)cnt1;
    (void)cnt2;
    (void)atime_ns;
    ck_assert_uint_lt(at, EVENTS);
    published[at] = w->cnt0;
    atomic_store(&publications, at + 1);
}

int target_check(const struct target *target)
{
    checks[target - targets]++;
    return target == &targets[0] ? check_error : 0;
}

/* ---- a player ---- */

static void setup(void)
{
    const uint32_t size[] = {8, 1};

    ck_assert_int_eq(dao_geometry_make(&part.geometry, 2, size, _DATATYPE_UINT16, 8, 0, NULL), 0);
    ck_assert_int_eq(ring_init(&ring, 1 << 16, 16, EVENTS), 0);
    ck_assert_int_eq(maker_init(&maker, STREAMS), 0);
    for (unsigned i = 0; i < STREAMS; i++) {
        snprintf(targets[i].path, sizeof targets[i].path, "/dev/shm/target%u", i);
        targets[i].segment.geo = part.geometry;
        streams[i].target = &targets[i];
    }
    player = (struct player){
        .ring = &ring,
        .maker = &maker,
        .streams = streams,
        .count = STREAMS,
        .stop = &stop,
        .feed_is_over = &feed_is_over,
    };
}

static void teardown(void)
{
    ring_fini(&ring);
    maker_fini(&maker);
}

static void add(enum ring_what what, unsigned stream, uint64_t cnt0, int64_t due_ns)
{
    struct ring_item item = {
        .what = what,
        .stream = stream,
        .due_ns = due_ns,
        .patience_ns = MS,
        .cnt0 = cnt0,
        .part = &part,
    };

    item.pixels = ring_reserve(&ring, what == RING_FRAME ? 16 : 0, &item.end);
    ck_assert_ptr_nonnull(item.pixels);
    ring_push(&ring, &item);
}

static void run(enum player_pace pace)
{
    player.pace = pace;
    atomic_store(&feed_is_over, true);
    ck_assert_int_eq(pthread_create(&maker.thread, NULL, maker_run, &maker), 0);
    ck_assert_int_eq(pthread_create(&player.thread, NULL, player_run, &player), 0);
    if (waits_for_stop) {
        while (!atomic_load(&is_making))
            wait_a_little();
        atomic_store(&stop, true);
    }
    pthread_join(player.thread, NULL);
    maker_end(&maker);
    pthread_join(maker.thread, NULL);
}

static void expect_published(const uint64_t *counts, unsigned count)
{
    ck_assert_uint_eq(publications, count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_uint_eq(published[i], counts[i]);
}

/* A frame of stream 0, its segment made anew, frames of the others, and then one of stream 0. */
static void add_restart(void)
{
    add(RING_FRAME, 0, 7, 0);
    add(RING_RECREATE, 0, 99, MS);
    for (unsigned i = 0; i < 10; i++)
        add(RING_FRAME, 1 + i % 2, 1001 + i, (2 + i) * MS);
    add(RING_FRAME, 0, 100, 20 * MS);
}

/* ---- */

START_TEST(other_streams_go_on_while_a_segment_is_made_anew)
{
    static const uint64_t counts[] = {7,    1001, 1002, 1003, 1004, 1005,
                                      1006, 1007, 1008, 1009, 1010, 100};

    add_restart();
    wanted = 11; /* it is not made before they are all published */
    run(_i ? PLAYER_ASAP : PLAYER_TIMED);
    ck_assert_int_eq(player.error, 0);
    ck_assert_uint_eq(creations, 1);
    expect_published(counts, 12);
    ck_assert(!met);
}
END_TEST

START_TEST(readers_have_their_time_after_a_segment_was_made)
{
    add_restart();
    wanted = 11;
    run(_i ? PLAYER_ASAP : PLAYER_TIMED);
    ck_assert_int_ge(player.end_ns - streams[0].order.done_ns, PLAYER_SETTLE_NS);
    if (_i == 0)
        ck_assert_int_gt(player.held_ns, 0);
}
END_TEST

START_TEST(a_segment_that_cannot_be_made_is_the_end_and_is_told)
{
    add_restart();
    create_error = -ENOSPC;
    run(PLAYER_TIMED);
    ck_assert_int_eq(player.error, -ENOSPC);
    ck_assert_str_eq(player.text.s, "no room for it");
    ck_assert_uint_eq(published[publications - 1], 1010);
}
END_TEST

START_TEST(it_is_told_also_where_no_frame_follows)
{
    add(RING_FRAME, 0, 7, 0);
    add(RING_RECREATE, 0, 99, MS);
    create_error = -ENOSPC;
    run(PLAYER_ASAP);
    ck_assert_int_eq(player.error, -ENOSPC);
}
END_TEST

START_TEST(a_segment_that_is_gone_is_not_made_anew)
{
    add(RING_RECREATE, 0, 99, 0);
    add(RING_FRAME, 0, 100, 0);
    check_error = -ESTALE;
    run(PLAYER_ASAP);
    ck_assert_int_eq(player.error, -ESTALE);
    ck_assert_ptr_nonnull(strstr(player.text.s, targets[0].path));
    ck_assert_uint_eq(creations, 0);
    ck_assert_uint_eq(publications, 0);
}
END_TEST

START_TEST(one_can_be_made_again_before_any_frame)
{
    for (int i = 0; i < 3; i++)
        add(RING_RECREATE, 0, 99, i * MS);
    add(RING_FRAME, 0, 100, 3 * MS);
    run(PLAYER_TIMED);
    ck_assert_int_eq(player.error, 0);
    ck_assert_uint_eq(creations, 3);
    ck_assert_uint_eq(publications, 1);
}
END_TEST

START_TEST(a_stop_does_not_wait_for_a_segment)
{
    add_restart();
    waits_for_stop = true;
    run(PLAYER_TIMED);
    ck_assert_int_eq(player.error, 0);
    ck_assert_uint_lt(publications, 12);
}
END_TEST

/* Each at its own moment of a second, also after they were looked at. */
START_TEST(paths_are_not_looked_at_all_in_one_instant)
{
    for (int turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < STREAMS; i++)
            add(RING_FRAME, i, 1 + (uint64_t)turn, turn * 1100 * MS);
    run(PLAYER_TIMED);
    ck_assert_uint_eq(publications, 2 * STREAMS);
    for (unsigned i = 0; i < STREAMS; i++) {
        int64_t phase_ns = (streams[i].checked_ns - player.begin_ns) % (1000 * MS);

        ck_assert_uint_gt(checks[i], 0);
        if (phase_ns > 0)
            phase_ns -= 1000 * MS;
        ck_assert_int_eq(phase_ns, -1000 * MS * i / STREAMS);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("player");
    TCase *tcase = tcase_create("player");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, other_streams_go_on_while_a_segment_is_made_anew, 0, 2);
    tcase_add_loop_test(tcase, readers_have_their_time_after_a_segment_was_made, 0, 2);
    tcase_add_test(tcase, a_segment_that_cannot_be_made_is_the_end_and_is_told);
    tcase_add_test(tcase, it_is_told_also_where_no_frame_follows);
    tcase_add_test(tcase, a_segment_that_is_gone_is_not_made_anew);
    tcase_add_test(tcase, one_can_be_made_again_before_any_frame);
    tcase_add_test(tcase, a_stop_does_not_wait_for_a_segment);
    tcase_add_test(tcase, paths_are_not_looked_at_all_in_one_instant);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
