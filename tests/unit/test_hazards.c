/*
 * test_hazards.c - what field writers do to a reader between two of their stores, frozen by hand
 * and looked at through dao.h: hazards 1 to 4 of the table in tests/README.md. Those of the
 * file are test_hazards_file.c, those of its content test_hazards_content.c.
 */
#include "tests/support/frozen.h"

static const uint32_t deep[] = {2, 3, 4, 64};
#define DEEP (int)(sizeof deep / sizeof deep[0])

/* ---- hazard 1: the head is published before its count ---- */

static const enum field_stage unstamped[] = {FIELD_LED, FIELD_TIMED};

START_TEST(hazard_1_a_head_before_its_count_is_no_frame_and_no_overwrite)
{
    uint32_t depth = deep[_i / 2], slot = 0, before;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1");
    IMAGE copier = open_image("h1"), late;
    uint64_t last = 2 * depth + 1;

    for (uint64_t cnt0 = 1; cnt0 <= last; cnt0++) {
        slot = field_write(&writer, depth, cnt0, FIELD_DONE);
        expect_next(&reader, DAO_SUCCESS, slot, cnt0);
        expect_copy(&copier, DAO_SUCCESS, cnt0, 0, 0);
    }
    before = slot;
    slot = field_write(&writer, depth, last + 1, unstamped[_i % 2]);
    late = open_image("h1");
    ck_assert_uint_eq(late.fifo_last_read_cnt0, last);
    for (int i = 0; i < 3; i++) {
        expect_no_next(&reader, DAO_NOTREADY);
        expect_no_copy(&copier, DAO_NOTREADY);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
        expect_newest(&late, before, last);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&late), DAO_SUCCESS);
        expect_no_next(&late, DAO_NOTREADY);
    }
    field_stages(&writer, slot, last + 1, unstamped[_i % 2] + 1, FIELD_DONE);
    expect_next(&reader, DAO_SUCCESS, slot, last + 1);
    expect_copy(&copier, DAO_SUCCESS, last + 1, 0, 0);
    expect_next(&late, DAO_SUCCESS, slot, last + 1);
    close_images(&writer, &reader);
    close_images(&copier, &late);
}
END_TEST

/* The reader wants the frame that the unstamped head has replaced. */
START_TEST(hazard_1_new_pixels_under_the_old_count_are_not_passed_as_good)
{
    uint32_t depth = deep[_i], slot;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1");
    IMAGE copier = open_image("h1");
    uint64_t cnt0 = 0;
    void *pixels;

    field_frames(&writer, depth, 1, depth);
    slot = field_write(&writer, depth, depth + 1, FIELD_LED);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    expect_no_copy(&copier, DAO_NOTREADY);
    field_stages(&writer, slot, depth + 1, FIELD_TIMED, FIELD_DONE);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    expect_copy(&copier, DAO_OVERWRITE, 3, 2, DAO_FRAME_LAPPED); /* 2 lies behind the head */
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

START_TEST(hazard_1_the_tail_under_an_unstamped_head_is_overwritten)
{
    uint32_t depth = deep[_i], slot;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1");

    field_frames(&writer, depth, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    field_frames(&writer, depth, 2, depth);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    slot = field_write(&writer, depth, depth + 1, FIELD_FILLED);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE); /* the flag */
    field_stages(&writer, slot, depth + 1, FIELD_CLEARED, FIELD_LED);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE); /* the slot before */
    field_stages(&writer, slot, depth + 1, FIELD_TIMED, FIELD_DONE);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE); /* the count */
    close_images(&writer, &reader);
}
END_TEST

START_TEST(hazard_1_the_oldest_frame_is_not_the_one_under_an_unstamped_head)
{
    uint32_t depth = deep[_i], slot, idx;
    uint64_t last = depth + 3, oldest = depth == 2 ? last : last + 3 - depth, cnt0;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1");

    field_frames(&writer, depth, 1, last);
    slot = field_write(&writer, depth, last + 1, FIELD_LED);
    ck_assert_int_eq(daoShmResetTailOldest(&reader, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, oldest);
    ck_assert_uint_eq(writer.md[idx].cnt0, oldest);
    if (depth == 2) { /* that one is behind the head, and nothing can be proven at all */
        expect_no_copy(&reader, DAO_NOTREADY);
        field_stages(&writer, slot, last + 1, FIELD_TIMED, FIELD_DONE);
        expect_copy(&reader, DAO_OVERWRITE, last + 1, 1, DAO_FRAME_LAPPED);
    } else {
        expect_copy(&reader, DAO_SUCCESS, oldest, 0, 0);
    }
    close_images(&writer, &reader);
}
END_TEST

START_TEST(hazard_1_who_attaches_under_the_very_first_head_gets_the_first_frame)
{
    uint32_t depth = deep[_i], slot;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1"), late;

    ck_assert_int_eq(daoShmResetTail(&reader, NULL, NULL), DAO_SUCCESS);
    slot = field_write(&writer, depth, 1, FIELD_LED);
    late = open_image("h1");
    expect_newest(&reader, depth - 1, 0);
    expect_no_next(&late, DAO_NOTREADY);
    field_stages(&writer, slot, 1, FIELD_TIMED, FIELD_DONE);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_next(&late, DAO_SUCCESS, 0, 1);
    close_images(&writer, &reader);
    close_images(&late, NULL);
}
END_TEST

START_TEST(hazard_1_at_depth_1_a_count_to_come_is_nothing_yet)
{
    IMAGE writer = create_image("h1", 1), reader = open_image("h1"), copier = open_image("h1");

    field_frames(&writer, 1, 1, 1);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    field_write(&writer, 1, 2, FIELD_TIMED);
    expect_no_next(&reader, DAO_NOTREADY);
    expect_no_copy(&copier, DAO_NOTREADY);
    ck_assert_uint_eq(daoShmGetCounter(&reader), 1);
    field_store(&writer, 0, 2, FIELD_DONE);
    expect_next(&reader, DAO_SUCCESS, 0, 2);
    expect_copy(&copier, DAO_SUCCESS, 2, 0, 0);
    close_images(&writer, &reader);
    close_images(&copier, NULL);
}
END_TEST

/* ---- all moments, one after the other ---- */

/* A field writer that goes on by one store at a time. */
struct source {
    IMAGE *image;
    uint32_t depth, slot;
    uint64_t done; /* count of the last frame that is complete */
    int next;      /* stage */
};

static void source_step(struct source *s)
{
    if (s->next == FIELD_BEGUN)
        s->slot = field_next_slot(s->image, s->depth);
    field_store(s->image, s->slot, s->done + 1, (enum field_stage)s->next);
    if (s->next++ == FIELD_DONE) {
        s->next = FIELD_BEGUN;
        s->done++;
    }
}

static bool source_has_led(const struct source *s)
{
    return s->next > FIELD_LED;
}

/* The count up to which frames are overwritten, or are being, as far as anybody can see. */
static uint64_t source_begun(const struct source *s)
{
    uint64_t frame = s->done + (s->next > FIELD_BEGUN);

    return frame > s->depth ? frame - s->depth : 0;
}

/* The count up to which frames are beyond proof: overwritten, or in the slot behind the head. */
static uint64_t source_unprovable(const struct source *s)
{
    uint64_t frame = s->done + 1 + source_has_led(s);

    return frame > s->depth ? frame - s->depth : 0;
}

static void look_by_get_next(const struct source *s, IMAGE *reader)
{
    uint64_t before = reader->fifo_last_read_cnt0, cnt0 = 0;
    void *pixels;
    uint32_t idx;

    switch (daoShmGetNextSegment(reader, &pixels, &idx, &cnt0)) {
    case DAO_SUCCESS:
        ck_assert_uint_eq(cnt0, before + 1);
        ck_assert_uint_le(cnt0, s->done);
        if (cnt0 > source_unprovable(s))
            expect_pixels(pixels, cnt0);
        break;
    case DAO_OVERWRITE:
        ck_assert_uint_le(before + 1, source_begun(s));
        ck_assert_uint_eq(cnt0, s->done);
        expect_pixels(pixels, cnt0);
        break;
    case DAO_NOTREADY:
        ck_assert(before == s->done || source_has_led(s));
        break;
    default:
        ck_abort_msg("DAO_ERROR");
    }
}

static void look_by_copy(const struct source *s, IMAGE *copier)
{
    uint64_t before = copier->fifo_last_read_cnt0;
    uint16_t pixels[FRAME_ELEMENTS];
    DAO_FRAME frame;
    int status = daoShmCopyNextSegment(copier, pixels, sizeof pixels, &frame);

    if (status == DAO_NOTREADY) {
        ck_assert(before == s->done || source_has_led(s));
        return;
    }
    ck_assert_int_eq(status, frame.lost ? DAO_OVERWRITE : DAO_SUCCESS);
    ck_assert_uint_eq(frame.flags, frame.lost ? DAO_FRAME_LAPPED : 0);
    ck_assert_uint_eq(frame.cnt0, before + frame.lost + 1);
    ck_assert_uint_le(frame.cnt0, s->done);
    ck_assert_uint_gt(frame.cnt0, source_unprovable(s));
    expect_pixels(pixels, frame.cnt0);
    if (frame.lost)
        ck_assert_uint_le(before + 1, source_unprovable(s));
}

static void look_at_tail(const struct source *s, IMAGE *reader)
{
    uint64_t tail = reader->fifo_last_read_cnt0;
    bool found = daoShmCheckSegmentOverwrite(reader) == DAO_OVERWRITE;

    if (tail > 0 && s->done + source_has_led(s) >= tail + s->depth)
        ck_assert(found);
    if (tail > source_begun(s))
        ck_assert(!found);
}

static void look_at_newest(const struct source *s, IMAGE *image)
{
    uint32_t slot =
        source_has_led(s) ? (s->slot + s->depth - 1) % s->depth : s->image->md[0].fifo_last_written;

    expect_newest(image, slot, s->done);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(image), DAO_SUCCESS);
}

START_TEST(hazard_1_whatever_the_moment_nothing_is_false_repeated_or_old)
{
    uint32_t depth = deep[_i], random = 2463534242u + depth;
    IMAGE writer = create_image("h1", depth), reader = open_image("h1");
    IMAGE copier = open_image("h1"), newest = open_image("h1");
    struct source source = {.image = &writer, .depth = depth};

    for (int i = 0; i < 3000; i++) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        /* Mostly store by store; now and then so many that somebody is lapped. */
        for (uint32_t n = random % 97 == 0 ? random % (9 * depth) : random % 4; n > 0; n--)
            source_step(&source);
        if (random & 0x10000)
            look_by_get_next(&source, &reader);
        if (random & 0x20000)
            look_by_copy(&source, &copier);
        if (random & 0x40000)
            look_at_tail(&source, &reader);
        if (random & 0x80000)
            look_at_newest(&source, &newest);
    }
    expect_silence();
    close_images(&writer, &reader);
    close_images(&copier, &newest);
}
END_TEST

/* ---- hazard 2: write goes down before the count changes ---- */

START_TEST(hazard_2_a_rewritten_slot_that_looks_untouched_is_not_copied)
{
    uint32_t depth = deep[_i];
    IMAGE writer = create_image("h2", depth), copier = open_image("h2");

    field_frames(&writer, depth, 1, depth);
    field_write(&writer, depth, depth + 1, FIELD_CLEARED);
    ck_assert_uint_eq(writer.md[0].cnt0, 1);
    ck_assert_uint_eq(writer.md[0].write, 0);
    expect_copy(&copier, DAO_OVERWRITE, 2, 1, DAO_FRAME_LAPPED);
    close_images(&writer, &copier);
}
END_TEST

/* daoShmGetNextSegment cannot know; what it gave out is found out when the head has moved. */
START_TEST(hazard_2_a_rewritten_slot_is_found_by_the_check_once_the_head_has_moved)
{
    uint32_t depth = deep[_i], slot, idx;
    IMAGE writer = create_image("h2", depth), reader = open_image("h2");
    uint64_t cnt0;
    void *pixels;

    field_frames(&writer, depth, 1, depth);
    slot = field_write(&writer, depth, depth + 1, FIELD_CLEARED);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    for (unsigned stage = FIELD_LED; stage <= FIELD_DONE; stage++) {
        field_store(&writer, slot, depth + 1, stage);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_OVERWRITE);
    }
    close_images(&writer, &reader);
}
END_TEST

/* ---- hazard 3: packets and quiet writes, always behind the head ---- */

START_TEST(hazard_3_packets_of_a_field_writer_are_neither_frames_nor_overwrites)
{
    uint32_t depth = deep[_i], slot;
    IMAGE writer = create_image("h3", depth), reader = open_image("h3");
    IMAGE slow = open_image("h3"), newest = open_image("h3");
    uint16_t frame[FRAME_ELEMENTS];

    field_frames(&writer, depth, 1, depth);
    for (uint64_t cnt0 = 1; cnt0 <= depth; cnt0++)
        expect_next(&reader, DAO_SUCCESS, (uint32_t)cnt0 - 1, cnt0);
    slot = field_next_slot(&writer, depth);
    ramp_fill(frame, _DATATYPE_UINT16, depth + 1, FRAME_ELEMENTS);
    for (unsigned packet = 0; packet < 4; packet++) {
        writer.md[slot].write = 1;
        expect_no_next(&reader, DAO_NOTREADY);
        memcpy(writer.array.UI16 + slot * FRAME_ELEMENTS + 2 * packet, frame + 2 * packet, 4);
        writer.md[slot].lastNbArray[packet] = depth + 1;
        writer.md[slot].write = 0;
        expect_no_next(&reader, DAO_NOTREADY);
        ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
        expect_newest(&newest, depth - 1, depth);
    }
    expect_copy(&slow, DAO_OVERWRITE, 2, 1, DAO_FRAME_LAPPED); /* frame 1 has been there */
    field_stages(&writer, slot, depth + 1, FIELD_LED, FIELD_DONE);
    expect_next(&reader, DAO_SUCCESS, slot, depth + 1);
    close_images(&writer, &reader);
    close_images(&slow, &newest);
}
END_TEST

START_TEST(hazard_3_a_quiet_write_of_a_field_writer_changes_nothing_that_is_given_out)
{
    uint32_t depth = deep[_i];
    IMAGE writer = create_image("h3", depth), reader = open_image("h3");
    IMAGE slow = open_image("h3"), newest = open_image("h3");

    field_frames(&writer, depth, 1, depth - 1);
    for (uint64_t cnt0 = 1; cnt0 < depth; cnt0++)
        expect_next(&reader, DAO_SUCCESS, (uint32_t)cnt0 - 1, cnt0);
    field_frames(&writer, depth, depth, depth);
    for (int i = 0; i < 3; i++) {
        field_write(&writer, depth, 4711, FIELD_CLEARED);
        expect_newest(&newest, depth - 1, depth);
    }
    expect_next(&reader, DAO_SUCCESS, depth - 1, depth);
    expect_copy(&slow, DAO_OVERWRITE, 2, 1, DAO_FRAME_LAPPED);
    close_images(&writer, &reader);
    close_images(&slow, &newest);
}
END_TEST

/* Our own leave the flag up, so that not even daoShmGetNextSegment takes the slot. */
START_TEST(hazard_3_packets_and_quiet_writes_of_ours_are_seen_by_every_reader)
{
    uint32_t depth = deep[_i / 2];
    IMAGE writer = create_image("h3", depth), reader = open_image("h3");
    uint16_t frame[FRAME_ELEMENTS];

    write_frames(&writer, 1, depth);
    ramp_fill(frame, _DATATYPE_UINT16, depth + 1, FRAME_ELEMENTS);
    if (_i % 2)
        ck_assert_int_eq(daoShmImage2ShmQuiet(frame, FRAME_ELEMENTS, &writer), DAO_SUCCESS);
    else
        ck_assert_int_eq(daoShmImagePart2Shm((char *)frame, 4, &writer, 0, 0, 2, 1), DAO_SUCCESS);
    expect_next(&reader, DAO_OVERWRITE, depth - 1, depth);
    ck_assert_int_eq(daoShmImagePart2Shm((char *)(frame + 4), 4, &writer, 4, 1, 2, 1), DAO_SUCCESS);
    expect_no_next(&reader, DAO_NOTREADY);
    ck_assert_int_eq(daoShmImagePart2ShmFinalize(&writer), DAO_SUCCESS);
    expect_next(&reader, DAO_SUCCESS, 0, depth + 1);
    close_images(&writer, &reader);
}
END_TEST

/* ---- hazard 4: nothing proves a frame in the slot behind the head ---- */

START_TEST(hazard_4_the_frame_behind_the_head_is_given_but_never_copied)
{
    uint32_t depth = deep[_i], idx = 99;
    IMAGE writer = create_image("h4", depth), reader = open_image("h4");
    IMAGE copier = open_image("h4"), oldest = open_image("h4");
    uint64_t cnt0 = 0;

    field_frames(&writer, depth, 1, depth); /* untouched by any writer, but who is to know */
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ck_assert_int_eq(daoShmResetTailOldest(&oldest, &idx, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 2);
    ck_assert_uint_eq(idx, 1);
    expect_copy(&oldest, DAO_SUCCESS, 2, 0, 0);
    expect_copy(&copier, DAO_OVERWRITE, 2, 1, DAO_FRAME_LAPPED);
    close_images(&writer, &reader);
    close_images(&copier, &oldest);
}
END_TEST

START_TEST(hazard_4_at_depth_1_what_may_be_torn_is_told)
{
    IMAGE writer = create_image("h4", 1), copier = open_image("h4");

    field_frames(&writer, 1, 1, 1);
    expect_copy(&copier, DAO_SUCCESS, 1, 0, 0);
    field_frames(&writer, 1, 2, 2);
    field_write(&writer, 1, 3, FIELD_BEGUN); /* half of 3 over 2 */
    expect_copy(&copier, DAO_SUCCESS, 2, 0, DAO_FRAME_TORN);
    field_stages(&writer, 0, 3, FIELD_FILLED, FIELD_DONE);
    expect_copy(&copier, DAO_SUCCESS, 3, 0, 0);
    close_images(&writer, &copier);
}
END_TEST

/* ---- */

static void add_windows(TCase *all)
{
    tcase_add_loop_test(all, hazard_1_a_head_before_its_count_is_no_frame_and_no_overwrite, 0,
                        2 * DEEP);
    tcase_add_loop_test(all, hazard_1_new_pixels_under_the_old_count_are_not_passed_as_good, 0,
                        DEEP);
    tcase_add_loop_test(all, hazard_1_the_tail_under_an_unstamped_head_is_overwritten, 0, DEEP);
    tcase_add_loop_test(all, hazard_1_the_oldest_frame_is_not_the_one_under_an_unstamped_head, 0,
                        DEEP);
    tcase_add_loop_test(all, hazard_1_who_attaches_under_the_very_first_head_gets_the_first_frame,
                        0, DEEP);
    tcase_add_test(all, hazard_1_at_depth_1_a_count_to_come_is_nothing_yet);
    tcase_add_loop_test(all, hazard_1_whatever_the_moment_nothing_is_false_repeated_or_old, 0,
                        DEEP);
    tcase_add_loop_test(all, hazard_2_a_rewritten_slot_that_looks_untouched_is_not_copied, 0, DEEP);
    tcase_add_loop_test(
        all, hazard_2_a_rewritten_slot_is_found_by_the_check_once_the_head_has_moved, 0, DEEP);
}

int main(void)
{
    Suite *suite = suite_create("hazards: between two stores");
    TCase *all = tcase_create("windows");

    tcase_add_checked_fixture(all, catch_output, release_output);
    add_windows(all);
    tcase_add_loop_test(all, hazard_3_packets_of_a_field_writer_are_neither_frames_nor_overwrites,
                        0, DEEP);
    tcase_add_loop_test(
        all, hazard_3_a_quiet_write_of_a_field_writer_changes_nothing_that_is_given_out, 0, DEEP);
    tcase_add_loop_test(all, hazard_3_packets_and_quiet_writes_of_ours_are_seen_by_every_reader, 0,
                        2 * DEEP);
    tcase_add_loop_test(all, hazard_4_the_frame_behind_the_head_is_given_but_never_copied, 0, DEEP);
    tcase_add_test(all, hazard_4_at_depth_1_what_may_be_torn_is_told);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
