/*
 * test_feed.c - what comes out of several series: in which order, due when, counted how.
 */
#include <check.h>

#include "base/log.h"
#include "replay/feed.h"
#include "tests/support/fake_series.h"
#include "tests/support/suite.h"

#define MS      1000000ll
#define S       1000000000ll
#define BEGIN   (1700000000 * S)
#define FRAMES  64
#define STREAMS 3

static struct fits_row rows[STREAMS][FRAMES];
static struct fake_series fakes[STREAMS];
static struct feed_stream streams[STREAMS];
static struct feed feed;
static struct ring ring;
static atomic_bool stop;
static unsigned used;

static void setup(void)
{
    log_set_level(LOG_ERROR);
    ck_assert_int_eq(ring_init(&ring, 1 << 20, 4096, 1024), 0);
    atomic_store(&stop, false);
    used = 0;
    feed = (struct feed){
        .rules = {.speed = 1.0, .passes = 1, .pause_ns_max = 60 * S},
        .streams = streams,
        .ring = &ring,
        .stop = &stop,
    };
}

static void teardown(void)
{
    for (unsigned i = 0; i < used; i++)
        feed_stream_close(&streams[i]);
    ring_fini(&ring);
}

static struct dao_geometry shape(uint32_t elements)
{
    const uint32_t size[] = {elements, 1};
    struct dao_geometry geo;

    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, _DATATYPE_UINT16, 8, 0, NULL), 0);
    return geo;
}

/* A stream of `count` frames: counts from `cnt0` on, one each interval from BEGIN + offset on. */
static struct fits_row *add_stream(const char *name, uint64_t count, int64_t cnt0,
                                   int64_t offset_ns, int64_t interval_ns)
{
    struct dao_geometry geo = shape(8);
    struct fits_row *row = rows[used];

    for (uint64_t i = 0; i < count; i++)
        row[i] = (struct fits_row){
            .atime_ns = BEGIN + offset_ns + (int64_t)i * interval_ns,
            .rtime_ns = BEGIN + offset_ns + (int64_t)i * interval_ns + MS,
            .cnt0 = cnt0 + (int64_t)i,
            .cnt1 = 1000 + (int64_t)i,
            .cnt2 = 2000 + (int64_t)i,
        };
    fake_series_init(&fakes[used], name, &geo, row, count);
    used++;
    return row;
}

/* Read all that there is; nothing takes it out meanwhile. */
static void run(void)
{
    const struct range everything = {0};
    struct dao_text text = {""};

    for (unsigned i = 0; i < used; i++) {
        ck_assert_int_eq(feed_stream_open(&streams[i], &fakes[i].series, 0, &text), 0);
        ck_assert_int_eq(feed_stream_limit(&streams[i], &everything, BEGIN, &text), 0);
    }
    feed.count = used;
    feed_run(&feed);
    ck_assert(atomic_load(&feed.is_over));
    ck_assert(atomic_load(&feed.is_ahead));
}

static const struct ring_item *take(enum ring_what what, unsigned stream)
{
    static struct ring_item copy;
    const struct ring_item *item = ring_peek(&ring);

    ck_assert_ptr_nonnull(item);
    copy = *item;
    ck_assert_int_eq(copy.what, what);
    ck_assert_uint_eq(copy.stream, stream);
    return &copy;
}

/* The next item is this frame. */
static void expect(unsigned stream, uint64_t index, uint64_t cnt0, int64_t due_ns)
{
    const struct ring_item *item = take(RING_FRAME, stream);
    uint16_t pixels[8];

    ck_assert_uint_eq(item->index, index);
    ck_assert_uint_eq(item->cnt0, cnt0);
    ck_assert_int_eq(item->due_ns, due_ns);
    ramp_fill(pixels, _DATATYPE_UINT16, (uint64_t)rows[stream][index].cnt0, 8);
    ck_assert_mem_eq(item->pixels, pixels, sizeof pixels);
    ring_pop(&ring);
}

/* The next item is a segment made anew, with this count before its first frame. */
static const struct series_part *expect_segment(unsigned stream, uint64_t cnt0, int64_t due_ns)
{
    const struct ring_item *item = take(RING_RECREATE, stream);

    ck_assert_uint_eq(item->cnt0, cnt0);
    ck_assert_int_eq(item->due_ns, due_ns);
    ring_pop(&ring);
    return item->part;
}

static void expect_end(void)
{
    ck_assert_ptr_null(ring_peek(&ring));
}

/* ---- times ---- */

START_TEST(frames_are_due_as_they_were)
{
    add_stream("wfs", 5, 101, 0, MS);
    run();
    ck_assert_uint_eq(streams[0].first_cnt0, 101);
    ck_assert_uint_eq(ring_peek(&ring)->cnt1, 1000);
    ck_assert_uint_eq(ring_peek(&ring)->cnt2, 2000);
    ck_assert_int_eq(ring_peek(&ring)->atime_ns, BEGIN);
    for (uint64_t i = 0; i < 5; i++)
        expect(0, i, 101 + i, (int64_t)i * MS);
    expect_end();
}
END_TEST

START_TEST(streams_are_merged_by_time_on_one_clock)
{
    add_stream("wfs", 4, 1, 0, 2 * MS);
    add_stream("dm", 2, 50, MS, 4 * MS);
    run();
    expect(0, 0, 1, 0);
    expect(1, 0, 50, MS);
    expect(0, 1, 2, 2 * MS);
    expect(0, 2, 3, 4 * MS);
    expect(1, 1, 51, 5 * MS);
    expect(0, 3, 4, 6 * MS);
    expect_end();
}
END_TEST

START_TEST(a_speed_divides_the_intervals)
{
    add_stream("wfs", 3, 1, 0, MS);
    feed.rules.speed = 4.0;
    run();
    ck_assert_int_eq(ring_peek(&ring)->patience_ns, MS); /* nothing is known of the first */
    expect(0, 0, 1, 0);
    expect(0, 1, 2, MS / 4);
    ck_assert_int_eq(ring_peek(&ring)->patience_ns, MS / 4);
    expect(0, 2, 3, MS / 2);
}
END_TEST

START_TEST(a_rate_makes_every_stream_even_whatever_was_recorded)
{
    struct fits_row *wfs = add_stream("wfs", 3, 1, 0, MS);

    add_stream("dm", 3, 10, 5 * S, 7 * MS);
    wfs[2].atime_ns = 0;
    wfs[2].lost = 5;
    wfs[2].cnt0 += 5;
    feed.rules.rate_hz = 100.0;
    run();
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(ring_peek(&ring)->patience_ns, 10 * MS);
        expect(0, i, i < 2 ? i + 1 : 8, (int64_t)i * 10 * MS);
        expect(1, i, 10 + i, (int64_t)i * 10 * MS);
    }
}
END_TEST

START_TEST(rates_do_not_drift)
{
    add_stream("wfs", FRAMES, 1, 0, MS);
    feed.rules.rate_hz = 3.0;
    run();
    for (uint64_t i = 0; i < FRAMES; i++)
        expect(0, i, i + 1, (int64_t)(i * S / 3));
}
END_TEST

START_TEST(a_long_pause_of_all_streams_is_cut_for_all)
{
    struct fits_row *wfs = add_stream("wfs", 4, 1, 0, MS);
    struct fits_row *dm = add_stream("dm", 4, 1, MS / 2, MS);

    for (int i = 2; i < 4; i++) { /* both clocks jumped by an hour */
        wfs[i].atime_ns += 3600 * S;
        wfs[i].rtime_ns += 3600 * S;
        dm[i].atime_ns += 3600 * S;
        dm[i].rtime_ns += 3600 * S;
    }
    feed.rules.pause_ns_max = 100 * MS;
    run();
    for (uint64_t i = 0; i < 4; i++) {
        int64_t due = (int64_t)i * MS + (i < 2 ? 0 : 99 * MS + MS / 2);

        expect(0, i, i + 1, due);
        expect(1, i, i + 1, due + MS / 2);
    }
    ck_assert_int_eq(feed.cut_ns, 3600 * S + MS / 2 - 100 * MS);
}
END_TEST

/* Frames 3 ... 5 are of a new run, an hour later. */
static void add_long_restart(const char *name, int64_t offset_ns)
{
    struct fits_row *row = add_stream(name, 6, 101, offset_ns, MS);

    for (int i = 3; i < 6; i++) {
        row[i].cnt0 = 1 + i - 3;
        row[i].atime_ns += 3600 * S;
        row[i].rtime_ns += 3600 * S;
    }
    row[3].flags = FITS_FLAG_RESET;
}

START_TEST(a_pause_with_a_restart_in_it_is_no_longer_than_any_other)
{
    add_long_restart("wfs", 0);
    feed.rules.pause_ns_max = 100 * MS;
    run();
    for (uint64_t i = 0; i < 3; i++)
        expect(0, i, 101 + i, (int64_t)i * MS);
    expect_segment(0, 0, 52 * MS);
    for (uint64_t i = 3; i < 6; i++)
        expect(0, i, i - 2, (int64_t)(i - 3) * MS + 102 * MS);
    expect_end();
    ck_assert_int_eq(feed.cut_ns, 3600 * S + MS - 100 * MS);
}
END_TEST

START_TEST(a_pause_in_which_several_streams_restart_is_no_longer_either)
{
    add_long_restart("wfs", 0);
    add_long_restart("dm", MS / 2);
    feed.rules.pause_ns_max = 100 * MS;
    run();
    for (uint64_t i = 0; i < 3; i++) {
        expect(0, i, 101 + i, (int64_t)i * MS);
        expect(1, i, 101 + i, (int64_t)i * MS + MS / 2);
    }
    expect_segment(0, 0, 52 * MS + MS / 2);
    expect_segment(1, 0, 52 * MS + MS / 2);
    expect(0, 3, 1, 102 * MS + MS / 2);
    expect(1, 3, 1, 103 * MS);
}
END_TEST

/* A pause of 50 ms, that is; the segment comes late in it since its stream's is longer. */
START_TEST(a_pause_that_is_short_enough_is_played_whole_whatever_is_made_anew_in_it)
{
    struct fits_row *wfs = add_stream("wfs", 2, 101, 0, 90 * MS);

    add_stream("dm", 2, 1, 50 * MS, 60 * MS);
    wfs[1].flags = FITS_FLAG_RESET;
    feed.rules.pause_ns_max = 60 * MS;
    run();
    expect(0, 0, 101, 0);
    expect_segment(0, 101, 30 * MS);
    expect(1, 0, 1, 50 * MS);
    expect(0, 1, 102, 90 * MS);
    expect(1, 1, 2, 110 * MS);
    ck_assert_int_eq(feed.cut_ns, 0);
}
END_TEST

START_TEST(a_slow_stream_beside_a_fast_one_is_no_pause)
{
    add_stream("fast", FRAMES, 1, 0, 50 * MS);
    add_stream("slow", 2, 1, 0, 3 * S);
    feed.rules.pause_ns_max = 100 * MS;
    run();
    ck_assert_int_eq(feed.cut_ns, 0);
}
END_TEST

START_TEST(without_times_streams_take_turns)
{
    for (int k = 0; k < 2; k++) {
        struct fits_row *row = add_stream(k ? "b" : "a", 3, 1, 0, 0);

        for (int i = 0; i < 3; i++)
            row[i].atime_ns = 0, row[i].rtime_ns = 1;
    }
    run();
    for (uint64_t i = 0; i < 3; i++) {
        expect(0, i, i + 1, 0);
        expect(1, i, i + 1, 0);
    }
}
END_TEST

/* ---- counts and gaps ---- */

static void add_gap(struct fits_row *row, int at, int count, int32_t lost, int32_t flags)
{
    row[at].lost = lost;
    row[at].flags = flags;
    for (int i = at; i < count; i++) {
        row[i].cnt0 += lost;
        row[i].atime_ns += lost * MS;
        row[i].rtime_ns += lost * MS;
    }
}

START_TEST(a_gap_that_is_kept_takes_time_and_counts)
{
    add_gap(add_stream("wfs", 6, 1, 0, MS), 3, 6, 10, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE);
    run();
    for (uint64_t i = 0; i < 6; i++)
        expect(0, i, i + 1 + (i < 3 ? 0 : 10), (int64_t)(i + (i < 3 ? 0 : 10)) * MS);
    ck_assert_uint_eq(streams[0].tally.gaps, 1);
    ck_assert_uint_eq(streams[0].tally.lost, 10);
}
END_TEST

START_TEST(a_gap_that_is_closed_takes_neither)
{
    add_gap(add_stream("wfs", 6, 1, 0, MS), 3, 6, 10, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE);
    feed.rules.close_gaps = true;
    run();
    for (uint64_t i = 0; i < 6; i++)
        expect(0, i, i + 1, (int64_t)i * MS);
}
END_TEST

START_TEST(with_several_streams_only_the_counts_of_a_gap_are_closed)
{
    add_gap(add_stream("wfs", 4, 1, 0, MS), 2, 4, 10, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE);
    add_stream("dm", 1, 1, 12 * MS + 1, MS);
    feed.rules.close_gaps = true;
    run();
    expect(0, 0, 1, 0);
    expect(0, 1, 2, MS);
    expect(0, 2, 3, 12 * MS); /* beside the frame of the other stream, as it was */
    expect(1, 0, 1, 12 * MS + 1);
    expect(0, 3, 4, 13 * MS);
}
END_TEST

START_TEST(losses_before_the_first_frame_are_none_of_the_replay)
{
    struct fits_row *row = add_stream("wfs", 2, 500, 0, MS);

    row[0].lost = 99;
    row[0].flags = FITS_FLAG_GAP | FITS_FLAG_RESET;
    run();
    expect(0, 0, 500, 0);
    expect(0, 1, 501, MS);
    ck_assert_uint_eq(streams[0].tally.gaps, 0);
}
END_TEST

/* Frames 3 ... 5 are of a new run that begins with this count, so many lost before it. */
static void add_restart(int64_t cnt0, int32_t lost)
{
    struct fits_row *row = add_stream("wfs", 6, 101, 0, MS);

    for (int i = 3; i < 6; i++) {
        row[i].cnt0 = cnt0 + i - 3;
        row[i].atime_ns += 9 * MS;
    }
    row[3].flags = FITS_FLAG_RESET | (lost ? FITS_FLAG_GAP : 0);
    row[3].lost = lost;
}

START_TEST(at_a_restart_the_segment_is_made_anew_midway)
{
    static const struct {
        int64_t cnt0;
        int32_t lost;
        uint64_t seed;
    } cases[] = {
        {1, 0, 0},     {1, 7, 0}, /* frames of the old run were lost */
        {50, 0, 49},              /* the count went back by itself */
        {50, 49, 0},              /* the first ones of the new run were lost */
        {500, 0, 499},            /* or ahead */
    };

    add_restart(cases[_i].cnt0, cases[_i].lost);
    run();
    for (uint64_t i = 0; i < 3; i++)
        expect(0, i, 101 + i, (int64_t)i * MS);
    ck_assert_ptr_eq(expect_segment(0, cases[_i].seed, 7 * MS), &fakes[0].parts[0]);
    for (uint64_t i = 3; i < 6; i++)
        expect(0, i, (uint64_t)cases[_i].cnt0 + i - 3, (int64_t)(i + 9) * MS);
    expect_end();
    ck_assert_uint_eq(streams[0].tally.restarts, 1);
}
END_TEST

START_TEST(a_closed_restart_is_none)
{
    add_restart(1, 0);
    feed.rules.close_gaps = true;
    run();
    for (uint64_t i = 0; i < 6; i++)
        expect(0, i, 101 + i, (int64_t)i * MS);
    expect_end();
}
END_TEST

START_TEST(the_segment_is_made_anew_in_the_order_of_all_streams)
{
    add_restart(1, 0);
    add_stream("dm", 20, 1, 0, MS);
    run();
    for (uint64_t i = 0; i < 8; i++) {
        if (i < 3)
            expect(0, i, 101 + i, (int64_t)i * MS);
        if (i == 7)
            expect_segment(0, 0, 7 * MS);
        expect(1, i, i + 1, (int64_t)i * MS);
    }
}
END_TEST

START_TEST(another_shape_makes_the_segment_anew)
{
    struct fits_row *row = add_stream("wfs", 4, 101, 0, MS);
    struct fake_series *fake = &fakes[0];

    fake->parts[0].frames = 2;
    fake->parts[1] = (struct series_part){.first = 2, .frames = 2, .geometry = shape(16)};
    fake->series.part_count = 2;
    row[2].cnt0 = 1;
    row[3].cnt0 = 2;
    row[2].flags = FITS_FLAG_RESET;
    run();
    expect(0, 0, 101, 0);
    expect(0, 1, 102, MS);
    ck_assert_ptr_eq(expect_segment(0, 0, MS + MS / 2), &fake->parts[1]);
    ck_assert_uint_eq(ring_peek(&ring)->part->geometry.frame_bytes, 32);
    expect(0, 2, 1, 2 * MS);
    expect(0, 3, 2, 3 * MS);
    ck_assert_uint_eq(streams[0].tally.reshapes, 1);
    ck_assert_uint_eq(streams[0].tally.restarts, 0);
}
END_TEST

/* As a series has them whose source was restarted with other keywords, or more of them. */
START_TEST(other_keywords_make_the_segment_anew_and_are_a_restart)
{
    static IMAGE_KEYWORD before[1] = {{.name = "GAIN", .type = 'L', .value.numl = 1}};
    static IMAGE_KEYWORD behind[2] = {{.name = "GAIN", .type = 'L', .value.numl = 2}};
    struct fits_row *row = add_stream("wfs", 4, 101, 0, MS);
    struct fake_series *fake = &fakes[0];

    fake->parts[0].frames = 2;
    fake->parts[0].keywords = before;
    fake->parts[0].keyword_count = 1;
    fake->parts[1] = (struct series_part){.first = 2, .frames = 2, .geometry = shape(8)};
    fake->parts[1].keywords = behind;
    fake->parts[1].keyword_count = fake->parts[1].geometry.nbkw = 2;
    fake->series.part_count = 2;
    row[2].cnt0 = 1;
    row[3].cnt0 = 2;
    row[2].flags = FITS_FLAG_RESET;
    run();
    expect(0, 0, 101, 0);
    expect(0, 1, 102, MS);
    ck_assert_ptr_eq(expect_segment(0, 0, MS + MS / 2)->keywords, behind);
    expect(0, 2, 1, 2 * MS);
    expect(0, 3, 2, 3 * MS);
    expect_end();
    ck_assert_uint_eq(streams[0].tally.restarts, 1);
    ck_assert_uint_eq(streams[0].tally.reshapes, 0);
}
END_TEST

/* The first part has a frame that cannot be read: the segment was made for it all the same. */
START_TEST(a_segment_made_anew_before_any_frame_takes_no_time)
{
    struct fake_series *fake = &fakes[0];

    add_stream("wfs", 2, 1, 0, MS);
    fake->parts[0].frames = 1;
    fake->parts[1] = (struct series_part){.first = 1, .frames = 1, .geometry = shape(16)};
    fake->series.part_count = 2;
    fake->unreadable_first = true;
    run();
    expect_segment(0, 1, 0);
    expect(0, 1, 2, 0);
    ck_assert_int_eq(feed.cut_ns, 0);
}
END_TEST

START_TEST(counts_that_do_not_rise_without_a_restart_are_numbered_on)
{
    struct fits_row *row = add_stream("wfs", 6, 1, 0, MS);

    row[2].cnt0 = 2; /* twice */
    row[3].cnt0 = 0;
    row[4].cnt0 = 10;
    row[5].cnt0 = 11;
    run();
    expect(0, 0, 1, 0);
    expect(0, 1, 2, MS);
    expect(0, 2, 3, 2 * MS);
    expect(0, 3, 4, 3 * MS);
    expect(0, 4, 14, 4 * MS); /* jumps stay what they were */
    expect(0, 5, 15, 5 * MS);
    expect_end();
    ck_assert_uint_eq(streams[0].tally.renumbered, 2);
}
END_TEST

START_TEST(a_first_frame_without_a_count_is_the_first)
{
    add_stream("wfs", 2, -1, 0, MS)[1].cnt0 = 7;
    run();
    ck_assert_uint_eq(streams[0].first_cnt0, 1);
    expect(0, 0, 1, 0);
    expect(0, 1, 9, MS);
}
END_TEST

/* ---- again and again ---- */

START_TEST(in_the_next_pass_counts_and_times_go_on)
{
    add_stream("wfs", 3, 101, 0, MS);
    feed.rules.passes = 3;
    run();
    for (uint64_t pass = 0; pass < 3; pass++)
        for (uint64_t i = 0; i < 3; i++) {
            ck_assert_int_eq(ring_peek(&ring)->atime_ns, BEGIN + (int64_t)(3 * pass + i) * MS);
            expect(0, i, 101 + 3 * pass + i, (int64_t)(3 * pass + i) * MS);
        }
    expect_end();
}
END_TEST

START_TEST(streams_begin_a_pass_together)
{
    add_stream("long", 4, 1, 0, 2 * MS);
    add_stream("short", 1, 1, MS, MS);
    feed.rules.passes = 2;
    run();
    for (uint64_t pass = 0; pass < 2; pass++) {
        int64_t base = (int64_t)pass * 8 * MS; /* 6 ms and an interval */

        expect(0, 0, 1 + 4 * pass, base);
        expect(1, 0, 1 + pass, base + MS);
        for (uint64_t i = 1; i < 4; i++)
            expect(0, i, 1 + 4 * pass + i, base + (int64_t)i * 2 * MS);
    }
    expect_end();
}
END_TEST

START_TEST(a_restart_within_a_pass_is_one_in_each_and_none_between)
{
    add_restart(1, 0);
    feed.rules.passes = 2;
    run();
    for (uint64_t pass = 0; pass < 2; pass++) {
        int64_t base = (int64_t)pass * 15 * MS;

        for (uint64_t i = 0; i < 3; i++)
            expect(0, i, (pass ? 4 : 101) + i, base + (int64_t)i * MS);
        expect_segment(0, 0, base + 7 * MS);
        for (uint64_t i = 3; i < 6; i++)
            expect(0, i, i - 2, base + (int64_t)(i + 9) * MS);
    }
    expect_end();
}
END_TEST

START_TEST(a_pass_that_begins_with_another_shape_makes_the_segment_anew)
{
    struct fake_series *fake = &fakes[0];

    add_stream("wfs", 2, 101, 0, MS);
    fake->parts[0].frames = 1;
    fake->parts[1] = (struct series_part){.first = 1, .frames = 1, .geometry = shape(16)};
    fake->series.part_count = 2;
    feed.rules.passes = 2;
    run();
    expect(0, 0, 101, 0);
    expect_segment(0, 101, MS / 2);
    expect(0, 1, 102, MS);
    ck_assert_ptr_eq(take(RING_RECREATE, 0)->part, &fake->parts[0]);
    ck_assert_uint_eq(take(RING_RECREATE, 0)->cnt0, 102);
}
END_TEST

START_TEST(an_even_rate_goes_on_over_the_passes)
{
    add_stream("long", 3, 1, 0, MS);
    add_stream("short", 1, 1, 0, MS);
    feed.rules.passes = 2;
    feed.rules.rate_hz = 1000.0;
    run();
    for (uint64_t pass = 0; pass < 2; pass++) {
        expect(0, 0, 3 * pass + 1, (int64_t)pass * 3 * MS);
        expect(1, 0, pass + 1, (int64_t)pass * 3 * MS);
        for (uint64_t i = 1; i < 3; i++)
            expect(0, i, 3 * pass + i + 1, (int64_t)(3 * pass + i) * MS);
    }
    expect_end();
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(a_frame_that_cannot_be_read_is_left_out_and_counted)
{
    add_stream("wfs", 4, 1, 0, MS);
    fakes[0].unreadable = 2;
    run();
    expect(0, 0, 1, 0);
    expect(0, 1, 2, MS);
    expect(0, 3, 4, 3 * MS);
    expect_end();
    ck_assert_uint_eq(streams[0].tally.unreadable, 1);
}
END_TEST

START_TEST(a_damaged_frame_is_played_and_counted)
{
    add_stream("wfs", 3, 1, 0, MS);
    fakes[0].damaged = 1;
    run();
    for (uint64_t i = 0; i < 3; i++)
        expect(0, i, i + 1, (int64_t)i * MS);
    ck_assert_uint_eq(streams[0].tally.damaged, 1);
    ck_assert_uint_eq(streams[0].tally.unreadable, 0);
}
END_TEST

START_TEST(a_stop_ends_it_also_while_there_is_no_room)
{
    pthread_t thread;

    add_stream("wfs", FRAMES, 1, 0, MS);
    ring_fini(&ring);
    ck_assert_int_eq(ring_init(&ring, 0, 16, 4), 0);
    ck_assert_int_eq(feed_stream_open(&streams[0], &fakes[0].series, 0, NULL), 0);
    streams[0].part = fakes[0].parts;
    feed.count = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, feed_run, &feed), 0);
    while (!atomic_load(&feed.is_ahead))
        ;
    ck_assert(!atomic_load(&feed.is_over));
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    ck_assert(atomic_load(&feed.is_over));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("feed");
    TCase *tcase = tcase_create("feed");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, frames_are_due_as_they_were);
    tcase_add_test(tcase, streams_are_merged_by_time_on_one_clock);
    tcase_add_test(tcase, a_speed_divides_the_intervals);
    tcase_add_test(tcase, a_rate_makes_every_stream_even_whatever_was_recorded);
    tcase_add_test(tcase, rates_do_not_drift);
    tcase_add_test(tcase, a_long_pause_of_all_streams_is_cut_for_all);
    tcase_add_test(tcase, a_pause_with_a_restart_in_it_is_no_longer_than_any_other);
    tcase_add_test(tcase, a_pause_in_which_several_streams_restart_is_no_longer_either);
    tcase_add_test(tcase, a_pause_that_is_short_enough_is_played_whole_whatever_is_made_anew_in_it);
    tcase_add_test(tcase, a_slow_stream_beside_a_fast_one_is_no_pause);
    tcase_add_test(tcase, without_times_streams_take_turns);
    tcase_add_test(tcase, a_gap_that_is_kept_takes_time_and_counts);
    tcase_add_test(tcase, a_gap_that_is_closed_takes_neither);
    tcase_add_test(tcase, with_several_streams_only_the_counts_of_a_gap_are_closed);
    tcase_add_test(tcase, losses_before_the_first_frame_are_none_of_the_replay);
    tcase_add_loop_test(tcase, at_a_restart_the_segment_is_made_anew_midway, 0, 5);
    tcase_add_test(tcase, a_closed_restart_is_none);
    tcase_add_test(tcase, the_segment_is_made_anew_in_the_order_of_all_streams);
    tcase_add_test(tcase, another_shape_makes_the_segment_anew);
    tcase_add_test(tcase, other_keywords_make_the_segment_anew_and_are_a_restart);
    tcase_add_test(tcase, a_segment_made_anew_before_any_frame_takes_no_time);
    tcase_add_test(tcase, counts_that_do_not_rise_without_a_restart_are_numbered_on);
    tcase_add_test(tcase, a_first_frame_without_a_count_is_the_first);
    tcase_add_test(tcase, in_the_next_pass_counts_and_times_go_on);
    tcase_add_test(tcase, streams_begin_a_pass_together);
    tcase_add_test(tcase, a_restart_within_a_pass_is_one_in_each_and_none_between);
    tcase_add_test(tcase, a_pass_that_begins_with_another_shape_makes_the_segment_anew);
    tcase_add_test(tcase, an_even_rate_goes_on_over_the_passes);
    tcase_add_test(tcase, a_frame_that_cannot_be_read_is_left_out_and_counted);
    tcase_add_test(tcase, a_damaged_frame_is_played_and_counted);
    tcase_add_test(tcase, a_stop_ends_it_also_while_there_is_no_room);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
