/*
 * test_seed.c - segments created with a count: readers of the old run, of the new one, and those
 * that come in between expect the first frame and find none missing.
 */
#include "tests/support/api_bed.h"

#include <pthread.h>
#include <stdatomic.h>

#include "lib/shared.h"
#include "lib/slots.h"

#define SEED 1000u /* the first frame's count is 1001 */

static IMAGE_KEYWORD keywords[2] = {
    {.name = "GAIN", .type = 'D', .value.numf = 0.5, .comment = "of the loop"},
    {.name = "MODE", .type = 'S', .value.valstr = "sixteen letters!"},
};

static void create_seeded(struct dao_segment *seg, const char *name, uint32_t depth, uint64_t cnt0)
{
    const struct dao_seed seed = {cnt0, NULL};
    struct dao_geometry geo = testbed_geometry(depth, 0);
    struct dao_text text = {""};

    ck_assert_msg(dao_segment_create_seeded(seg, testbed_path(name), &geo, &seed, &text) == 0, "%s",
                  text.s);
}

static void publish(struct dao_segment *seg, uint64_t first, uint64_t last)
{
    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++) {
        struct dao_write w;

        ck_assert_int_eq(dao_writer_begin(seg, &w), 0);
        ck_assert_uint_eq(w.cnt0, cnt0);
        ramp_fill(w.pixels, _DATATYPE_UINT16, cnt0, TESTBED_ELEMENTS);
        dao_writer_publish(seg, &w, testbed_time_ns += TESTBED_INTERVAL_NS);
    }
}

/* The next frame, which follows the one before it without a loss. */
static void take_next(struct dao_reader *r, uint64_t cnt0)
{
    struct dao_take take = take_frame(r, cnt0);

    ck_assert(!take.lapped && !take.jumped);
    ck_assert_uint_eq(take.missing, 0);
}

static void expect_restart(struct dao_reader *r, uint64_t lost)
{
    struct dao_take take;

    ck_assert_int_eq(dao_reader_begin(r, &take), DAO_READ_RESTART);
    ck_assert_uint_eq(take.restart_lost, lost);
}

/* ---- what is created ---- */

START_TEST(the_slot_before_the_first_frame_carries_its_count_less_one)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;

    create_seeded(&seg, "fresh", depth, SEED);
    for (uint32_t slot = 0; slot < depth; slot++) {
        ck_assert_uint_eq(dao_segment_md(&seg, slot)->cnt0, slot + 1 == depth ? SEED : 0);
        ck_assert_uint_eq(dao_segment_md(&seg, slot)->write, 0);
        ck_assert(dao_slots_is_seed(&seg, slot) == (slot + 1 == depth));
    }
    ck_assert_uint_eq(get_head(&seg), depth - 1);
    ck_assert_uint_eq(dao_segment_seed(&seg), SEED);
    publish(&seg, SEED + 1, SEED + 1);
    ck_assert_uint_eq(get_head(&seg), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_frame_in_the_last_slot_ends_the_seed)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;

    create_seeded(&seg, "ends", depth, SEED);
    publish(&seg, SEED + 1, SEED + depth - 1);
    ck_assert_uint_eq(dao_segment_seed(&seg), SEED);
    publish(&seg, SEED + depth, SEED + depth);
    ck_assert_uint_eq(dao_segment_seed(&seg), 0);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_seed_of_zero_is_none)
{
    struct dao_segment seg;

    create_seeded(&seg, "zero", 3, 0);
    ck_assert_uint_eq(dao_segment_seed(&seg), 0);
    ck_assert_int_eq(dao_segment_md(&seg, 2)->atime.tsfixed.secondlong, 0);
    dao_segment_close(&seg);
}
END_TEST

/* A time of -1 may come from a program that fills in nonsense; its frames are frames. */
START_TEST(a_frame_of_an_unseeded_segment_is_no_seed_in_another_slot)
{
    struct dao_segment seg;

    testbed_create(&seg, "nonsense", 3);
    publish(&seg, 1, 2);
    dao_segment_md(&seg, 1)->atime.tsfixed.secondlong = -1;
    ck_assert(!dao_slots_is_seed(&seg, 1));
    dao_segment_close(&seg);
}
END_TEST

START_TEST(keywords_are_there_from_the_first_instant)
{
    const struct dao_seed seed = {5, keywords};
    struct dao_geometry geo = testbed_geometry(3, 2);

    for (int round = 0; round < 2; round++) { /* a new file, and one set back in place */
        struct dao_segment seg;

        ck_assert_int_eq(
            dao_segment_create_seeded(&seg, testbed_path("keywords"), &geo, &seed, NULL), 0);
        for (unsigned i = 0; i < 2; i++) {
            IMAGE_KEYWORD found;

            dao_segment_keyword(&seg, i, &found);
            ck_assert_mem_eq(&found, &keywords[i], sizeof found);
        }
        dao_segment_close(&seg);
    }
}
END_TEST

/* ---- readers that attach ---- */

START_TEST(a_reader_that_attaches_before_the_first_frame_gets_it_without_a_loss)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;
    struct dao_reader plain, backlog, rewound;

    create_seeded(&seg, "before", depth, SEED);
    plain = rewound = testbed_reader(&seg);
    ck_assert_int_eq(dao_reader_init(&backlog, &seg, DAO_LAP_OLDEST, true), 0);
    dao_reader_rewind(&rewound);
    expect_nothing(&plain);
    expect_nothing(&backlog); /* the count alone is no frame */
    expect_nothing(&rewound);
    publish(&seg, SEED + 1, SEED + 1);
    take_next(&plain, SEED + 1);
    take_next(&backlog, SEED + 1);
    take_next(&rewound, SEED + 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(the_backlog_begins_with_the_first_frame_and_not_with_the_seed)
{
    uint32_t depth = 8;
    struct dao_segment seg;
    struct dao_reader r;

    create_seeded(&seg, "backlog", depth, SEED);
    publish(&seg, SEED + 1, SEED + 3);
    ck_assert_int_eq(dao_reader_init(&r, &seg, DAO_LAP_OLDEST, true), 0);
    for (uint64_t cnt0 = SEED + 1; cnt0 <= SEED + 3; cnt0++)
        take_next(&r, cnt0);
    expect_nothing(&r);
    dao_segment_close(&seg);
}
END_TEST

/* ---- readers of the run before ---- */

START_TEST(for_an_attached_reader_a_seeded_run_is_a_restart_and_nothing_is_missing)
{
    uint32_t depth = testbed_depths[_i], published = depth == 1 ? 1 : depth - 1;
    struct dao_segment seg, again;
    struct dao_reader r;

    testbed_create(&seg, "restart", depth);
    r = testbed_reader(&seg);
    publish(&seg, 1, 1);
    take_next(&r, 1);
    create_seeded(&again, "restart", depth, SEED);
    ck_assert_uint_eq(again.ino, seg.ino);
    publish(&again, SEED + 1, SEED + published);
    expect_restart(&r, 0);
    /* At depth 1 the frame has taken the seed's place: how many came before it is not known. */
    if (depth > 1)
        for (uint64_t cnt0 = SEED + 1; cnt0 <= SEED + published; cnt0++)
            take_next(&r, cnt0);
    dao_segment_close(&again);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_reader_that_sees_the_restart_before_its_first_frame_loses_nothing_at_any_depth)
{
    static const uint64_t seeds[] = {1, 4, 5, SEED,
                                     UINT64_MAX / 2}; /* below, at, above the count */
    uint32_t depth = testbed_depths[_i];

    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        struct dao_segment seg, again;
        struct dao_reader r;

        testbed_create(&seg, "seen", depth);
        r = testbed_reader(&seg);
        for (uint64_t cnt0 = 1; cnt0 <= 5; cnt0++) {
            publish(&seg, cnt0, cnt0);
            take_next(&r, cnt0);
        }
        create_seeded(&again, "seen", depth, seeds[i]);
        expect_restart(&r, 0);
        expect_nothing(&r);
        for (uint64_t k = 1; k <= 3ull * depth; k++) {
            publish(&again, seeds[i] + k, seeds[i] + k);
            take_next(&r, seeds[i] + k);
        }
        dao_segment_close(&again);
        dao_segment_close(&seg);
    }
}
END_TEST

START_TEST(frames_of_the_old_run_that_were_not_taken_are_counted)
{
    struct dao_segment seg, again;
    struct dao_reader r;

    testbed_create(&seg, "untaken", 4);
    r = testbed_reader(&seg);
    publish(&seg, 1, 3);
    take_next(&r, 1);
    ck_assert_int_eq(dao_reader_look(&r), 0);
    create_seeded(&again, "untaken", 4, SEED);
    expect_restart(&r, 2);
    publish(&again, SEED + 1, SEED + 1);
    take_next(&r, SEED + 1);
    dao_segment_close(&again);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(a_count_that_jumps_behind_a_seed_is_the_sources_doing)
{
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;
    struct dao_write w;

    create_seeded(&seg, "jump", 4, SEED);
    r = testbed_reader(&seg);
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    w.cnt0 += 7;
    ramp_fill(w.pixels, _DATATYPE_UINT16, w.cnt0, TESTBED_ELEMENTS);
    dao_writer_publish(&seg, &w, 1);
    take = take_frame(&r, SEED + 8);
    ck_assert(take.jumped && !take.lapped);
    ck_assert_uint_eq(take.missing, 7);
    dao_segment_close(&seg);
}
END_TEST

/* ---- while a segment is being set back ---- */

START_TEST(a_reader_that_attaches_while_the_segment_is_set_back_waits_for_the_new_run)
{
    uint32_t depth = testbed_depths[_i];
    struct dao_segment seg;
    struct dao_reader r;

    /* Frozen after the counts were cleared and before the seed is there. */
    testbed_create(&seg, "midway", depth);
    for (uint32_t slot = 0; slot < depth; slot++)
        set_write(&seg, slot, 1);
    dao_segment_md(&seg, depth - 1)->status = DAO_STATUS_RESET;
    r = testbed_reader(&seg);
    expect_nothing(&r);
    dao_segment_md(&seg, depth - 1)->atime.tsfixed.secondlong = DAO_SEED_ATIME_NS;
    set_cnt0(&seg, depth - 1, SEED);
    expect_nothing(&r);
    dao_segment_md(&seg, depth - 1)->status = 0;
    for (uint32_t slot = 0; slot < depth; slot++)
        set_write(&seg, slot, 0);
    expect_nothing(&r);
    publish(&seg, SEED + 1, SEED + 1);
    take_next(&r, SEED + 1);
    dao_segment_close(&seg);
}
END_TEST

START_TEST(what_a_killed_creator_left_does_no_harm_once_a_writer_is_there)
{
    struct dao_segment seg;

    testbed_create(&seg, "killed", 2);
    dao_segment_md(&seg, 1)->status = DAO_STATUS_RESET;
    set_write(&seg, 1, 1);
    ck_assert_uint_eq(dao_slots_run(&seg), 0);
    publish(&seg, 1, 2);
    ck_assert_uint_ne(dao_slots_run(&seg), 0);
    dao_segment_close(&seg);
}
END_TEST

/* Programs in the field compare the flag with 1: any other value would pass for a frame at rest. */
struct flag_watch {
    const struct dao_segment *seg;
    atomic_bool ends;
    atomic_uint raised; /* looks at a raised flag of the last slot */
    unsigned odd;       /* looks at a value that is neither 0 nor 1 */
};

static void *watch_flags(void *ctx)
{
    struct flag_watch *watch = ctx;
    uint32_t depth = watch->seg->geo.depth;

    while (!atomic_load(&watch->ends)) {
        for (uint32_t slot = 0; slot < depth; slot++) {
            uint8_t write = dao_shared_write(watch->seg, slot, __ATOMIC_RELAXED);

            watch->odd += write > 1;
            if (write && slot + 1 == depth)
                atomic_fetch_add(&watch->raised, 1);
        }
    }
    return NULL;
}

START_TEST(the_write_flag_is_0_or_1_also_while_the_segment_is_set_back)
{
    struct dao_segment seg, again;
    struct flag_watch watch = {.seg = &seg};
    pthread_t thread;

    create_seeded(&seg, "flags", 3, SEED);
    ck_assert_int_eq(pthread_create(&thread, NULL, watch_flags, &watch), 0);
    while (atomic_load(&watch.raised) < 100) {
        create_seeded(&again, "flags", 3, SEED);
        dao_segment_close(&again);
    }
    atomic_store(&watch.ends, true);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(watch.odd, 0);
    dao_segment_close(&seg);
}
END_TEST

/* ---- through dao.h ---- */

START_TEST(dao_h_creates_a_seeded_segment)
{
    uint32_t depth = testbed_depths[_i], size[] = {4, 2};
    IMAGE image, reader, old = create("api", depth); /* the same geometry but for keywords */

    ck_assert_int_eq(daoShmImageCreateSeeded(&image, testbed_path("api"), 2, size, _DATATYPE_UINT16,
                                             2, depth, SEED, keywords),
                     DAO_SUCCESS);
    reader = open_image("api");
    ck_assert_mem_eq(image.kw, keywords, sizeof keywords);
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, SEED);
    expect_no_next(&reader, DAO_NOTREADY);
    write_frames(&image, SEED + 1, SEED + 1);
    expect_next(&reader, DAO_SUCCESS, 0, SEED + 1);
    expect_newest(&image, 0, SEED + 1);
    daoShmCloseShm(&old);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_copying_reader_sees_a_restart_and_no_loss)
{
    uint32_t size[] = {4, 2};
    IMAGE image = create("copy", 4), reader = open_image("copy"), again;
    uint16_t pixels[8];
    DAO_FRAME frame;

    write_frames(&image, 1, 1);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImageCreateSeeded(&again, testbed_path("copy"), 2, size,
                                             _DATATYPE_UINT16, 0, 4, SEED, NULL),
                     DAO_SUCCESS);
    write_frames(&again, SEED + 1, SEED + 2);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, &frame), DAO_OVERWRITE);
    ck_assert_uint_eq(frame.cnt0, SEED + 1);
    ck_assert_uint_eq(frame.flags, DAO_FRAME_RESTART);
    ck_assert_uint_eq(frame.lost, 0);
    daoShmCloseShm(&again);
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(a_count_that_would_wrap_is_refused)
{
    uint32_t size[] = {4, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreateSeeded(&image, testbed_path("wrap"), 2, size,
                                             _DATATYPE_UINT16, 0, 4, UINT64_MAX, NULL),
                     DAO_ERROR);
    expect_message("daoShmImageCreateSeeded");
    expect_message("counts begin with 1");
    ck_assert_int_eq(access(testbed_path("wrap"), F_OK), -1);
    ck_assert_int_eq(daoShmImageCreateSeeded(NULL, testbed_path("wrap"), 2, size, _DATATYPE_UINT16,
                                             0, 4, 1, NULL),
                     DAO_ERROR);
    ck_assert_int_eq(daoShmImageCreateSeeded(&image, testbed_path("wrap"), 9, size,
                                             _DATATYPE_UINT16, 0, 4, 1, NULL),
                     DAO_ERROR);
    expect_message("naxis");
}
END_TEST

/* ---- stamps of the writer's core ---- */

START_TEST(a_frame_can_be_published_without_a_time_and_with_counters_of_its_own)
{
    struct dao_segment seg;
    struct dao_write w;
    struct dao_take take;

    testbed_create(&seg, "timeless", 2);
    dao_segment_md(&seg, 0)->atime.tsfixed.secondlong = 77;
    ck_assert_int_eq(dao_writer_begin(&seg, &w), 0);
    dao_writer_note_counters(&seg, &w, 11, 22);
    dao_writer_publish(&seg, &w, DAO_ATIME_NONE);
    dao_segment_snapshot(&seg, 0, &take);
    ck_assert_int_eq(take.atime_ns, 0);
    ck_assert_uint_eq(take.cnt1, 11);
    ck_assert_uint_eq(take.cnt2, 22);
    dao_segment_close(&seg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seed");
    TCase *tcase = api_add(suite, "seed");

    tcase_add_loop_test(tcase, the_slot_before_the_first_frame_carries_its_count_less_one, 0,
                        DEPTHS);
    tcase_add_loop_test(tcase, a_frame_in_the_last_slot_ends_the_seed, 0, DEPTHS);
    tcase_add_test(tcase, a_seed_of_zero_is_none);
    tcase_add_test(tcase, a_frame_of_an_unseeded_segment_is_no_seed_in_another_slot);
    tcase_add_test(tcase, keywords_are_there_from_the_first_instant);
    tcase_add_loop_test(tcase, a_reader_that_attaches_before_the_first_frame_gets_it_without_a_loss,
                        0, DEPTHS);
    tcase_add_test(tcase, the_backlog_begins_with_the_first_frame_and_not_with_the_seed);
    tcase_add_loop_test(
        tcase, for_an_attached_reader_a_seeded_run_is_a_restart_and_nothing_is_missing, 0, DEPTHS);
    tcase_add_loop_test(
        tcase, a_reader_that_sees_the_restart_before_its_first_frame_loses_nothing_at_any_depth, 0,
        DEPTHS);
    tcase_add_test(tcase, frames_of_the_old_run_that_were_not_taken_are_counted);
    tcase_add_test(tcase, a_count_that_jumps_behind_a_seed_is_the_sources_doing);
    tcase_add_loop_test(tcase,
                        a_reader_that_attaches_while_the_segment_is_set_back_waits_for_the_new_run,
                        0, DEPTHS);
    tcase_add_test(tcase, what_a_killed_creator_left_does_no_harm_once_a_writer_is_there);
    tcase_add_test(tcase, the_write_flag_is_0_or_1_also_while_the_segment_is_set_back);
    tcase_add_loop_test(tcase, dao_h_creates_a_seeded_segment, 0, DEPTHS);
    tcase_add_test(tcase, a_copying_reader_sees_a_restart_and_no_loss);
    tcase_add_test(tcase, a_count_that_would_wrap_is_refused);
    tcase_add_test(tcase, a_frame_can_be_published_without_a_time_and_with_counters_of_its_own);
    return testbed_run(suite);
}
