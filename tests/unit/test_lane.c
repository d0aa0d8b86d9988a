/*
 * test_lane.c - whose turn it is in a thread that drains many streams, which streams share one, and
 * that they are handed from one to another without a lost frame.
 */
#include "record/crew.h"
#include "recording/ledger.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

#define MS     1000000ll
#define SECOND 1000000000ll

/* ---- turns ---- */

static struct lane_seat seats[4];
static struct lane lane = {.seats = seats, .capacity = 4, .tell_fd = -1};

static struct lane_seat *choose(int64_t now_ns)
{
    int64_t wake_ns;

    return lane_choose(&lane, now_ns, &wake_ns);
}

START_TEST(nobody_has_a_turn_before_it_is_due)
{
    int64_t wake_ns;

    ck_assert_ptr_null(lane_choose(&lane, SECOND, &wake_ns));
    ck_assert_int_eq(wake_ns, INT64_MAX);
    seats[0] = (struct lane_seat){
        .due_ns = SECOND + 50 * MS, .rest_ns = 100 * MS, .patience_ns = 400 * MS};
    seats[1] =
        (struct lane_seat){.due_ns = SECOND + 30 * MS, .rest_ns = 20 * MS, .patience_ns = 80 * MS};
    lane.count = 2;
    ck_assert_ptr_null(lane_choose(&lane, SECOND, &wake_ns));
    ck_assert_int_eq(wake_ns, SECOND + 30 * MS);
    ck_assert_ptr_eq(choose(wake_ns), &seats[1]);
}
END_TEST

START_TEST(of_those_that_are_due_the_one_whose_fifo_is_full_first_has_its_turn)
{
    seats[0] = (struct lane_seat){
        .due_ns = SECOND - 90 * MS, .rest_ns = 100 * MS, .patience_ns = 400 * MS};
    seats[1] = (struct lane_seat){.due_ns = SECOND - MS, .rest_ns = 2 * MS, .patience_ns = 8 * MS};
    seats[2] =
        (struct lane_seat){.due_ns = SECOND - 10 * MS, .rest_ns = 50 * MS, .patience_ns = 200 * MS};
    lane.count = 3;
    ck_assert_ptr_eq(choose(SECOND), &seats[1]);
    seats[1].due_ns = SECOND + 2 * MS;
    ck_assert_ptr_eq(choose(SECOND), &seats[2]);
}
END_TEST

START_TEST(who_is_awake_takes_those_that_would_be_due_soon)
{
    seats[0] = (struct lane_seat){
        .due_ns = SECOND + 20 * MS, .rest_ns = 100 * MS, .patience_ns = 400 * MS};
    seats[1] = (struct lane_seat){
        .due_ns = SECOND + 30 * MS, .rest_ns = 100 * MS, .patience_ns = 400 * MS};
    lane.count = 2;
    ck_assert_ptr_eq(choose(SECOND), &seats[0]);
    seats[0].due_ns = SECOND + 100 * MS;
    ck_assert_ptr_null(choose(SECOND));
}
END_TEST

/* Time passes by turns of half a millisecond. */
START_TEST(one_that_always_has_more_keeps_none_waiting_until_its_fifo_is_full)
{
    int64_t now_ns = SECOND, last_ns = now_ns;
    unsigned turns = 0;

    seats[0] = (struct lane_seat){
        .due_ns = now_ns, .rest_ns = 20000, .patience_ns = 80000}; /* never at its end */
    seats[1] = (struct lane_seat){.due_ns = now_ns, .rest_ns = 2 * MS, .patience_ns = 8 * MS};
    lane.count = 2;
    while (now_ns < 2 * SECOND) {
        struct lane_seat *seat = choose(now_ns);

        now_ns += MS / 2;
        seat->due_ns = now_ns;
        if (seat == &seats[0])
            continue;
        turns++;
        ck_assert_int_lt(now_ns - last_ns, 16 * MS); /* rests are an eighth of its FIFO */
        last_ns = now_ns;
        seat->due_ns += seat->rest_ns;
    }
    ck_assert_uint_gt(turns, 1000 / 16);
}
END_TEST

/* ---- who shares ---- */

#define STREAMS 40u

static struct record_stream streams[STREAMS];
static struct record_stream *all[STREAMS];
static struct stream_shape shapes[STREAMS];
static struct crew crew = {.tell_fd = -1};

static void make_streams(void)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        all[i] = &streams[i];
        streams[i].shape = &shapes[i];
        shapes[i].geometry.frame_bytes = 388;
        snprintf(streams[i].name, sizeof streams[i].name, "wfs%u", i);
    }
}

static void assign(unsigned count)
{
    ck_assert_int_eq(crew_assign(&crew, all, count), 0);
}

static struct lane *lane_of(unsigned i)
{
    return atomic_load(&streams[i].lane);
}

START_TEST(streams_that_run_alike_share_lanes_of_16_and_one_quiet_one)
{
    make_streams();
    assign(STREAMS);
    ck_assert_uint_eq(crew.lane_count, 4);
    for (unsigned i = 0; i < STREAMS; i++)
        ck_assert_ptr_eq(lane_of(i), lane_of(i / 16 * 16));
    ck_assert_ptr_ne(lane_of(0), lane_of(16));
    ck_assert_ptr_nonnull(lane_of(0)->quiet);
    ck_assert_ptr_eq(lane_of(0)->quiet, lane_of(32)->quiet);
    ck_assert(!lane_is_shared(lane_of(0)->quiet));
    crew_stop(&crew);
}
END_TEST

START_TEST(streams_of_other_cpus_or_another_priority_share_nothing)
{
    make_streams();
    streams[1].config.priority = streams[3].config.priority = 20;
    CPU_SET(0, &streams[4].config.cpus);
    assign(5);
    ck_assert_ptr_eq(lane_of(0), lane_of(2));
    ck_assert_ptr_eq(lane_of(1), lane_of(3));
    ck_assert_ptr_ne(lane_of(0), lane_of(1));
    ck_assert_int_eq(lane_of(1)->priority, 20);
    ck_assert_int_eq(lane_of(1)->quiet->priority, 20);
    ck_assert(!lane_is_shared(lane_of(4)));
    ck_assert(CPU_ISSET(0, &lane_of(4)->cpus));
    ck_assert_uint_eq(crew.lane_count, 5);
    crew_stop(&crew);
}
END_TEST

START_TEST(one_with_large_frames_and_one_that_has_nobody_to_share_with_are_alone)
{
    make_streams();
    shapes[1].geometry.frame_bytes = 2 << 20;
    streams[2].shape = NULL; /* it is not there yet */
    assign(2);
    ck_assert(!lane_is_shared(lane_of(0)) && !lane_is_shared(lane_of(1)));
    ck_assert_ptr_ne(lane_of(0), lane_of(1));
    crew_stop(&crew);
    crew = (struct crew){.tell_fd = -1};
    assign(3);
    ck_assert_ptr_eq(lane_of(0), lane_of(2));
    ck_assert(lane_is_shared(lane_of(0)));
    ck_assert(!lane_is_shared(lane_of(1)));
    crew_stop(&crew);
}
END_TEST

START_TEST(one_that_wants_a_lane_of_its_own_gets_it_and_the_others_stay)
{
    struct lane *first, *own;

    make_streams();
    assign(3);
    first = lane_of(0);
    crew_look(&crew, SECOND);
    ck_assert_uint_eq(crew.lane_count, 2);
    atomic_store(&streams[1].wants_own, true);
    crew_look(&crew, SECOND);
    own = lane_of(1);
    ck_assert_ptr_ne(own, first);
    ck_assert(!lane_is_shared(own) && own->is_started);
    ck_assert(lane_of(0) == first && lane_of(2) == first);
    crew_look(&crew, 9 * SECOND);
    ck_assert_ptr_eq(lane_of(1), own);
    ck_assert_uint_eq(crew.lane_count, 3);
    crew_stop(&crew);
}
END_TEST

static void set_loads(unsigned of_lane, const unsigned *of_streams, unsigned count)
{
    atomic_store(&lane_of(0)->load, of_lane);
    for (unsigned i = 0; i < count; i++)
        atomic_store(&streams[i].load, of_streams[i]);
}

START_TEST(a_lane_that_has_too_much_to_do_gives_its_heaviest_to_another_once_a_second)
{
    struct lane *first, *second;

    make_streams();
    assign(4);
    first = lane_of(0);
    set_loads(CREW_BUSY, (unsigned[]){60, 90, 80, 70}, 4);
    crew_look(&crew, 10 * SECOND);
    ck_assert_ptr_eq(lane_of(1), first); /* not too much yet */
    set_loads(CREW_BUSY + 50, (unsigned[]){80, 110, 90, 70}, 4);
    crew_look(&crew, 10 * SECOND);
    second = lane_of(1);
    ck_assert_ptr_ne(second, first);
    ck_assert(lane_is_shared(second) && second->quiet == first->quiet);
    crew_look(&crew, 10 * SECOND + 900 * MS); /* what was measured is from before the move */
    ck_assert_ptr_eq(lane_of(2), first);
    atomic_store(&second->load, 110);
    crew_look(&crew, 11 * SECOND);
    ck_assert_ptr_eq(lane_of(2), second); /* that has time for it */
    ck_assert_uint_eq(crew.lane_count, 3);
    crew_stop(&crew);
}
END_TEST

static void hurry(struct lane *hurried)
{
    atomic_store(&hurried->is_hurried, true);
}

START_TEST(a_lane_that_comes_late_again_and_again_is_halved_until_each_has_its_own)
{
    struct lane *first;
    int64_t now_ns = 100 * SECOND;

    make_streams();
    assign(4);
    first = lane_of(0);
    hurry(first);
    crew_look(&crew, now_ns);
    ck_assert_uint_eq(crew.lane_count, 2); /* that was once */
    hurry(first);
    crew_look(&crew, now_ns += 6 * SECOND);
    ck_assert_uint_eq(crew.lane_count, 2); /* and now again, long after */
    hurry(first);
    crew_look(&crew, now_ns += SECOND);
    ck_assert_uint_eq(crew.lane_count, 3);
    ck_assert(lane_of(0) == first && lane_of(2) == first);
    ck_assert(lane_of(1) == lane_of(3) && lane_of(1) != first);
    ck_assert(lane_of(1)->quiet == first->quiet);
    hurry(first);
    crew_look(&crew, now_ns += SECOND / 2); /* what came late is from before */
    ck_assert_ptr_eq(lane_of(2), first);
    for (unsigned i = 0; i < 4; i++) {
        hurry(lane_of(i));
        crew_look(&crew, now_ns += SECOND);
    }
    for (unsigned i = 0; i < 4; i++)
        for (unsigned k = 0; k < i; k++)
            ck_assert_ptr_ne(lane_of(i), lane_of(k));
    hurry(first);
    crew_look(&crew, now_ns += SECOND);
    ck_assert_uint_eq(crew.lane_count, 5);
    crew_stop(&crew);
}
END_TEST

START_TEST(of_a_lane_that_comes_late_those_are_halved_that_are_at_work)
{
    struct lane *first;

    make_streams();
    assign(4);
    first = lane_of(0);
    atomic_store(&streams[1].is_over, true);
    atomic_store(&streams[2].condition, STREAM_GONE);
    for (int64_t now_ns = SECOND; now_ns <= 5 * SECOND; now_ns += SECOND) {
        hurry(first);
        crew_look(&crew, now_ns);
    }
    for (unsigned i = 0; i < 3; i++)
        ck_assert_ptr_eq(lane_of(i), first);
    ck_assert_ptr_ne(lane_of(3), first);
    ck_assert_uint_eq(crew.lane_count, 3); /* one that has itself alone is not halved */
    crew_stop(&crew);
}
END_TEST

START_TEST(the_last_one_stays_and_one_that_needs_much_goes_alone)
{
    struct lane *first;

    make_streams();
    assign(2);
    first = lane_of(0);
    set_loads(900, (unsigned[]){700, 200}, 2);
    crew_look(&crew, 10 * SECOND);
    ck_assert(!lane_is_shared(lane_of(0)));
    ck_assert_ptr_eq(lane_of(1), first);
    atomic_store(&first->load, 900);
    atomic_store(&streams[1].load, 900);
    crew_look(&crew, 20 * SECOND);
    ck_assert_ptr_eq(lane_of(1), first);
    crew_stop(&crew);
}
END_TEST

/* ---- what a stream wants ---- */

/* The lane is weighed half a second after it was last, with these frames since. */
static bool wants_own(unsigned frames)
{
    static struct lane quiet;

    lane.quiet = &quiet;
    lane.count = 1;
    seats[0] = (struct lane_seat){.stream = &streams[0]};
    atomic_store(&streams[0].wants_own, false);
    streams[0].account.now.counts.recorded = frames;
    lane.weighed_ns = SECOND;
    lane_weigh(&lane, SECOND + 500 * MS);
    return atomic_load(&streams[0].wants_own);
}

START_TEST(a_lane_of_its_own_is_for_a_fifo_that_is_full_within_8_ms)
{
    make_streams();
    shapes[0].geometry.depth = 16;
    ck_assert(!wants_own(0));
    ck_assert(!wants_own(1000));
    ck_assert(wants_own(1001));
    shapes[0].geometry.depth = 1024;
    ck_assert(!wants_own(64000));
    ck_assert(wants_own(64001));
}
END_TEST

START_TEST(a_lane_of_its_own_is_for_frames_above_a_mib_and_a_latency_of_a_millisecond)
{
    make_streams();
    shapes[0].geometry.depth = 64;
    shapes[0].geometry.frame_bytes = 1 << 20;
    ck_assert(!wants_own(1));
    shapes[0].geometry.frame_bytes++;
    ck_assert(wants_own(1));
    ck_assert(!wants_own(0));
    shapes[0].geometry.frame_bytes = 388;
    streams[0].config.latency_ns = MS + 1;
    ck_assert(!wants_own(1));
    streams[0].config.latency_ns = MS;
    ck_assert(wants_own(1));
}
END_TEST

START_TEST(a_lane_is_weighed_no_sooner_than_it_takes_to_tell_anything)
{
    make_streams();
    ck_assert(wants_own(1001 * 1000));
    atomic_store(&streams[0].wants_own, false);
    streams[0].account.now.counts.recorded *= 2;
    lane_weigh(&lane, SECOND + 500 * MS + LANE_WEIGH_NS - 1);
    ck_assert(!atomic_load(&streams[0].wants_own));
    lane_weigh(&lane, SECOND + 500 * MS + LANE_WEIGH_NS);
    ck_assert(atomic_load(&streams[0].wants_own));
}
END_TEST

/* ---- real streams ---- */

#define SEGMENTS 3u

static struct dao_segment others[SEGMENTS];
static char *paths[SEGMENTS];

static void make_segment(unsigned i, uint32_t pixels)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};

    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &pixels, _DATATYPE_UINT16, DEPTH, 0, &text),
                     0);
    ck_assert_msg(dao_segment_create(&others[i], paths[i], &geometry, &text) == 0, "%s", text.s);
}

static void make_segments(void)
{
    begin(64);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        ck_assert_int_ge(asprintf(&paths[i], "%s/dm%u.im.shm", place.path, i), 0);
        make_segment(i, width);
    }
    config.paths = paths;
    config.path_count = SEGMENTS;
    config.stream.rolling.frames = 4000; /* each file takes its room at once */
}

static void publish_to(unsigned i, unsigned count)
{
    segment = others[i];
    publish(count);
}

/* Recorded of a stream by what its ledger says, and that nothing was lost. */
static uint64_t recorded_of(int fd, unsigned i)
{
    struct ledger_document document;
    struct dao_text text = {""};
    uint64_t recorded;

    ck_assert_msg(ledger_document_read(&document, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(document.ledger.stream_count, SEGMENTS);
    recorded = document.ledger.streams[i].counts.recorded;
    ck_assert_uint_eq(ledger_lost(&document.ledger.streams[i].counts), 0);
    ledger_document_free(&document);
    return recorded;
}

/* Threads of this process that drain. */
static unsigned count_drains(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir))) {
        char name[300], comm[16] = "";
        FILE *file;

        snprintf(name, sizeof name, "/proc/self/task/%s/comm", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(name, "re");
        if (!file)
            continue;
        count += fgets(comm, sizeof comm, file) && strcmp(comm, "drain\n") == 0;
        fclose(file);
    }
    closedir(dir);
    return count;
}

static unsigned count_files(int fd, const char *stream)
{
    int folder_fd = openat(fd, stream, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = folder_fd >= 0 ? fdopendir(folder_fd) : NULL;
    struct dirent *entry;
    unsigned count = 0;

    while (dir && (entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return count;
}

static void end_recorder(void)
{
    kill(getpid(), SIGTERM);
    ck_assert_int_eq(wait_for_end(), 0);
}

static void end_segments(int fd)
{
    close(fd);
    for (unsigned i = 0; i < SEGMENTS; i++) {
        dao_segment_close(&others[i]);
        free(paths[i]);
    }
    end();
}

/* A drain that may rest for half a millisecond only says so once it was weighed. */
START_TEST(a_stream_that_is_parted_while_frames_come_loses_none)
{
    struct stream_config each[SEGMENTS];
    unsigned published = 0, more = 200;
    int fd;

    make_segments();
    block_stop();
    for (unsigned i = 0; i < SEGMENTS; i++)
        each[i] = config.stream;
    each[0].latency_ns = MS / 2;
    config.each = each;
    start(IO_ENGINE_PWRITE, 0, NULL);
    fd = open_session();
    for (int64_t hang_ns = hang_after(); more > 0; published++) {
        for (unsigned i = 0; i < SEGMENTS; i++)
            publish_to(i, 1);
        rest_until(hang_ns, "it has no thread of its own");
        more -= count_drains() > 2;
    }
    ck_assert_uint_eq(count_drains(), 3);
    end_recorder();
    for (unsigned i = 0; i < SEGMENTS; i++)
        ck_assert_uint_eq(recorded_of(fd, i), published);
    end_segments(fd);
}
END_TEST

/* It is opened, and memory is made for it, in the quiet lane. */
START_TEST(one_that_goes_and_comes_back_larger_costs_nobody_a_frame)
{
    unsigned published = 0, back = 0;
    int fd;

    make_segments();
    block_stop();
    start(IO_ENGINE_PWRITE, 0, NULL);
    fd = open_session();
    for (uint32_t pixels = 64; pixels <= 4096; pixels *= 4) {
        unsigned files = count_files(fd, "dm1");

        if (pixels > 64) {
            dao_segment_close(&others[1]);
            make_segment(1, width = pixels);
        }
        publish_to(1, 500);
        back += 500;
        width = 64;
        for (int64_t hang_ns = hang_after(); count_files(fd, "dm1") <= files; published++) {
            publish_to(0, 1);
            publish_to(2, 1);
            rest_until(hang_ns, "what came back is not recorded");
        }
    }
    ck_assert_uint_eq(count_drains(), 2);
    end_recorder();
    ck_assert_uint_eq(recorded_of(fd, 1), back);
    ck_assert_uint_eq(recorded_of(fd, 0), published);
    ck_assert_uint_eq(recorded_of(fd, 2), published);
    end_segments(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lane");
    TCase *tc = tcase_create("lane");

    take_base_make();
    tcase_set_timeout(tc, 90);
    tcase_add_test(tc, nobody_has_a_turn_before_it_is_due);
    tcase_add_test(tc, of_those_that_are_due_the_one_whose_fifo_is_full_first_has_its_turn);
    tcase_add_test(tc, who_is_awake_takes_those_that_would_be_due_soon);
    tcase_add_test(tc, one_that_always_has_more_keeps_none_waiting_until_its_fifo_is_full);
    tcase_add_test(tc, streams_that_run_alike_share_lanes_of_16_and_one_quiet_one);
    tcase_add_test(tc, streams_of_other_cpus_or_another_priority_share_nothing);
    tcase_add_test(tc, one_with_large_frames_and_one_that_has_nobody_to_share_with_are_alone);
    tcase_add_test(tc, one_that_wants_a_lane_of_its_own_gets_it_and_the_others_stay);
    tcase_add_test(tc, a_lane_that_has_too_much_to_do_gives_its_heaviest_to_another_once_a_second);
    tcase_add_test(tc, a_lane_that_comes_late_again_and_again_is_halved_until_each_has_its_own);
    tcase_add_test(tc, of_a_lane_that_comes_late_those_are_halved_that_are_at_work);
    tcase_add_test(tc, a_lane_of_its_own_is_for_a_fifo_that_is_full_within_8_ms);
    tcase_add_test(tc, a_lane_of_its_own_is_for_frames_above_a_mib_and_a_latency_of_a_millisecond);
    tcase_add_test(tc, a_lane_is_weighed_no_sooner_than_it_takes_to_tell_anything);
    tcase_add_test(tc, the_last_one_stays_and_one_that_needs_much_goes_alone);
    tcase_add_test(tc, a_stream_that_is_parted_while_frames_come_loses_none);
    tcase_add_test(tc, one_that_goes_and_comes_back_larger_costs_nobody_a_frame);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
