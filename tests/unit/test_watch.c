/*
 * test_watch.c - a segment watched by its thread while frames are published by hand: whatever
 * happens, what was seen and lost adds up to what was published.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/clock.h"
#include "measure/watch.h"

#define HANG_NS 30000000000ll

static struct dao_segment writer;
static struct watch *w;
static struct watch_view view;
static int over_fd;

static void begin_with(const char *name, uint32_t depth, const struct watch_config *config)
{
    static const struct watch_config usual = {0};
    struct dao_text text = {""};

    testbed_create(&writer, name, depth);
    over_fd = eventfd(0, EFD_CLOEXEC);
    w = watch_create(testbed_path(name), config ? config : &usual, over_fd);
    ck_assert_ptr_nonnull(w);
    w->path = strdup(w->path); /* the other one is overwritten soon */
    ck_assert_int_eq(dao_segment_open(&w->segment, w->path, DAO_ACCESS_READ, &text), 0);
}

static void start(void)
{
    ck_assert_int_eq(watch_attach(w), 0);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, watch_run, w), 0);
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Until this holds of the view. */
#define WAIT_FOR(what)                                                                             \
    do {                                                                                           \
        int64_t until_ns = dao_clock_mono_ns() + HANG_NS;                                          \
                                                                                                   \
        for (watch_read(w, &view); !(what); watch_read(w, &view)) {                                \
            ck_assert_msg(dao_clock_mono_ns() < until_ns, "waited for %s", #what);                 \
            rest();                                                                                \
        }                                                                                          \
    } while (0)

static void stop(void)
{
    uint64_t over = 0;

    atomic_store(&w->stop_requested, true);
    ck_assert_int_eq(read(over_fd, &over, sizeof over), sizeof over);
    ck_assert_uint_eq(over, 1);
    ck_assert(atomic_load(&w->is_over));
    ck_assert_int_eq(pthread_join(w->thread, NULL), 0);
    watch_read(w, &view);
}

static void end(void)
{
    free((char *)(uintptr_t)w->path);
    watch_destroy(w);
    dao_segment_close(&writer);
    close(over_fd);
}

static void expect(uint64_t expected, uint64_t lost)
{
    ck_assert_uint_eq(tally_expected(&view.tally), expected);
    ck_assert_uint_eq(tally_lost(&view.tally), lost);
    ck_assert_uint_eq(view.tally.seen, expected - lost);
}

START_TEST(frames_are_seen_and_what_is_in_the_fifo_at_the_end_too)
{
    begin_with("seen", 64, NULL);
    put_frames(&writer, 1, 10); /* before it is watched */
    start();
    put_frames(&writer, 11, 40);
    WAIT_FOR(view.tally.seen == 30);
    put_frames(&writer, 41, 60);
    stop();
    expect(50, 0);
    ck_assert_int_eq(view.tally.run.first_cnt0, 11);
    ck_assert_uint_eq(view.depth, 64);
    end();
}
END_TEST

START_TEST(a_jump_of_the_source_is_counted_where_it_was)
{
    begin_with("jump", 64, NULL);
    start();
    put_frames(&writer, 1, 20);
    put_frames(&writer, 1021, 1030);
    WAIT_FOR(view.tally.seen == 30);
    stop();
    expect(1030, 1000);
    ck_assert_uint_eq(view.tally.lost_by[LEDGER_SOURCE], 1000);
    ck_assert_uint_eq(view.tally.gap_count, 1);
    ck_assert_int_eq(view.tally.gaps[0].first_cnt0, 21);
    ck_assert_uint_eq(view.tally.gaps[0].count, 1000);
    ck_assert_int_gt(view.tally.gaps[0].time_ns, 0);
    ck_assert_uint_le(view.backlog_max, 63); /* counts left out are no frames that waited */
    end();
}
END_TEST

START_TEST(whoever_is_lapped_has_lost_what_he_has_not_seen)
{
    begin_with("lap", 8, NULL);
    ck_assert_int_eq(watch_attach(w), 0);
    put_frames(&writer, 1, 100); /* before its thread runs at all */
    ck_assert_int_eq(pthread_create(&w->thread, NULL, watch_run, w), 0);
    WAIT_FOR(view.tally.run.last_cnt0 == 100);
    stop();
    ck_assert_uint_eq(tally_expected(&view.tally), 100);
    ck_assert_uint_eq(view.tally.seen + view.tally.lost_by[LEDGER_LAPPED], 100);
    ck_assert_uint_le(view.tally.seen, 7);
    ck_assert_uint_ge(view.tally.seen, 1);
    ck_assert_uint_eq(view.backlog_max, 100);
    end();
}
END_TEST

START_TEST(a_restart_in_place_begins_a_new_run)
{
    struct dao_geometry geo = testbed_geometry(64, 0);
    struct dao_segment again;
    struct dao_text text = {""};

    begin_with("again", 64, NULL);
    start();
    put_frames(&writer, 1, 20);
    WAIT_FOR(view.tally.seen == 20);
    ck_assert_int_eq(dao_segment_create(&again, w->path, &geo, &text), 0);
    put_frames(&again, 1, 5);
    WAIT_FOR(view.tally.seen == 25);
    stop();
    expect(25, 0);
    ck_assert_uint_eq(view.tally.restarts, 1);
    ck_assert_uint_eq(view.events[WATCH_RESTART], 1);
    dao_segment_close(&again);
    end();
}
END_TEST

/* In this depth it comes back. */
static void come_back(uint32_t depth)
{
    struct dao_geometry geo = testbed_geometry(depth, 0);
    struct dao_text text = {""};

    dao_segment_close(&writer);
    ck_assert_int_eq(dao_segment_create(&writer, w->path, &geo, &text), 0);
}

START_TEST(a_segment_that_went_away_is_waited_for_and_comes_back_in_whatever_shape)
{
    static const uint32_t depths[] = {64, 16};

    begin_with("back", 64, NULL);
    start();
    put_frames(&writer, 1, 20);
    WAIT_FOR(view.tally.seen == 20);
    ck_assert_int_eq(unlink(w->path), 0);
    put_frames(&writer, 21, 22); /* who holds it still publishes, and is heard */
    WAIT_FOR(view.condition == WATCH_GONE);
    ck_assert_uint_eq(view.tally.seen, 22);
    come_back(depths[_i]);
    put_frames(&writer, 1, 5);
    WAIT_FOR(view.tally.seen == 27);
    stop();
    expect(27, 0);
    ck_assert_uint_eq(view.depth, depths[_i]);
    ck_assert_uint_eq(view.events[_i ? WATCH_RESHAPED : WATCH_BACK], 1);
    ck_assert_uint_eq(view.events[_i ? WATCH_BACK : WATCH_RESHAPED], 0);
    ck_assert_uint_eq(view.tally.restarts, 1);
    end();
}
END_TEST

START_TEST(the_end_may_come_while_the_segment_is_away)
{
    begin_with("away", 64, NULL);
    start();
    put_frames(&writer, 1, 20);
    WAIT_FOR(view.tally.seen == 20);
    ck_assert_int_eq(unlink(w->path), 0);
    WAIT_FOR(view.condition == WATCH_GONE);
    stop();
    expect(20, 0);
    end();
}
END_TEST

START_TEST(a_segment_that_is_truncated_takes_what_was_published_in_it_along)
{
    struct dao_geometry geo = testbed_geometry(64, 0);

    begin_with("cut", 64, NULL);
    ck_assert_int_eq(watch_attach(w), 0);
    put_frames(&writer, 1, 20);
    dao_reader_note_newest(&w->reader);
    ck_assert_int_eq(ftruncate(writer.fd, 100), 0);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, watch_run, w), 0);
    WAIT_FOR(view.condition == WATCH_GONE);
    stop();
    expect(20, 20);
    ck_assert_uint_eq(view.tally.lost_by[LEDGER_RESTART], 20);
    ck_assert_int_eq(ftruncate(writer.fd, (off_t)geo.file_bytes), 0);
    end();
}
END_TEST

START_TEST(a_writer_that_died_under_a_frame_does_not_keep_the_end_away)
{
    begin_with("dead", 8, NULL);
    start();
    put_frames(&writer, 1, 3);
    WAIT_FOR(view.tally.seen == 3);
    set_cnt0(&writer, 3, 4);
    set_write(&writer, 3, 1); /* and for ever */
    set_head(&writer, 3);
    stop(); /* it was published, as far as is known, and never seen */
    expect(4, 1);
    end();
}
END_TEST

START_TEST(it_ends_by_itself_after_its_time)
{
    struct watch_config config = {.duration_ns = 20000000};
    uint64_t over;

    begin_with("time", 64, &config);
    ck_assert_int_eq(watch_attach(w), 0);
    put_frames(&writer, 1, 5);
    ck_assert_int_eq(pthread_create(&w->thread, NULL, watch_run, w), 0);
    ck_assert_int_eq(read(over_fd, &over, sizeof over), sizeof over);
    ck_assert_int_eq(pthread_join(w->thread, NULL), 0);
    watch_read(w, &view);
    expect(5, 0);
    ck_assert_int_ge(view.time_ns - view.begin_ns, 20000000);
    end();
}
END_TEST

START_TEST(each_frame_can_be_waited_for)
{
    struct watch_config config = {.each_frame = true};

    begin_with("each", 64, &config);
    start();
    for (uint64_t cnt0 = 1; cnt0 <= 50; cnt0++) {
        put_frame(&writer, cnt0);
        rest();
    }
    stop();
    expect(50, 0);
    ck_assert_uint_eq(view.delay.count, 0);
    end();
}
END_TEST

START_TEST(a_path_that_makes_no_name_of_a_stream_has_one_to_show)
{
    struct watch_config config = {0};
    struct watch *other;
    char path[120] = "/dev/shm/";

    memset(path + strlen(path), 'x', 70);
    other = watch_create(path, &config, -1);
    ck_assert_ptr_nonnull(other);
    ck_assert_str_eq(other->name, path + 9);
    watch_destroy(other);
    other = watch_create("wfs.im.shm", &config, -1);
    ck_assert_str_eq(other->name, "wfs");
    watch_destroy(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watch");
    TCase *tcase = tcase_create("watch");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, frames_are_seen_and_what_is_in_the_fifo_at_the_end_too);
    tcase_add_test(tcase, a_jump_of_the_source_is_counted_where_it_was);
    tcase_add_test(tcase, whoever_is_lapped_has_lost_what_he_has_not_seen);
    tcase_add_test(tcase, a_restart_in_place_begins_a_new_run);
    tcase_add_loop_test(
        tcase, a_segment_that_went_away_is_waited_for_and_comes_back_in_whatever_shape, 0, 2);
    tcase_add_test(tcase, the_end_may_come_while_the_segment_is_away);
    tcase_add_test(tcase, a_segment_that_is_truncated_takes_what_was_published_in_it_along);
    tcase_add_test(tcase, a_writer_that_died_under_a_frame_does_not_keep_the_end_away);
    tcase_add_test(tcase, it_ends_by_itself_after_its_time);
    tcase_add_test(tcase, each_frame_can_be_waited_for);
    tcase_add_test(tcase, a_path_that_makes_no_name_of_a_stream_has_one_to_show);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
