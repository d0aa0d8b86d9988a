/*
 * test_api_combine.c - dao.h: sums of several segments' newest frames.
 *
 * Where nothing else is said, frames are ramps of their counts, and a sum is the ramps' sum.
 */
#include "tests/support/api_bed.h"

#define LONGEST 4103u /* elements: more than one of the blocks that a sum is made in, and a rest */

static IMAGE create_typed(const char *name, uint8_t atype, uint32_t nelement, uint32_t depth)
{
    uint32_t size[] = {nelement, 1};
    IMAGE image;

    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&image, testbed_path(name), 2, size, atype, 1, 0, depth),
        DAO_SUCCESS);
    return image;
}

/* Publish the ramp of this number, whatever count it gets. */
static void write_ramp(IMAGE *image, uint64_t number)
{
    static unsigned char frame[LONGEST * 16];

    ramp_fill(frame, image->md->atype, number, image->md->nelement);
    ck_assert_int_eq(daoShmImage2Shm(frame, (uint32_t)image->md->nelement, image), DAO_SUCCESS);
}

/* What `terms` ramps, whose numbers have this sum, add up to at one index. */
static void put_expected(unsigned char *to, uint8_t atype, uint64_t value)
{
    complex_float cf = {(float)value, -(float)value};
    complex_double cd = {(double)value, -(double)value};
    float f = (float)value;
    double d = (double)value;

    switch (atype) {
    case _DATATYPE_FLOAT:
        memcpy(to, &f, sizeof f);
        break;
    case _DATATYPE_DOUBLE:
        memcpy(to, &d, sizeof d);
        break;
    case _DATATYPE_COMPLEX_FLOAT:
        memcpy(to, &cf, sizeof cf);
        break;
    case _DATATYPE_COMPLEX_DOUBLE:
        memcpy(to, &cd, sizeof cd);
        break;
    default:
        memcpy(to, &value, ramp_types[atype].bytes); /* little-endian: cut to the type */
    }
}

/* Slot `slot` holds, in its first `count` elements, the sum of ramps. */
static void expect_sum(const IMAGE *image, uint32_t slot, uint64_t numbers, uint64_t terms,
                       uint64_t count)
{
    uint8_t atype = image->md->atype;
    unsigned bytes = ramp_types[atype].bytes;
    const unsigned char *pixels = image->array.UI8 + slot * image->md->nelement * bytes;

    for (uint64_t i = 0; i < count; i++) {
        unsigned char expected[16];

        put_expected(expected, atype, numbers + terms * i);
        ck_assert_msg(memcmp(pixels + i * bytes, expected, bytes) == 0, "%s, element %llu",
                      ramp_types[atype].name, (unsigned long long)i);
    }
}

static int_fast8_t combine2(IMAGE *a, IMAGE *b, IMAGE *image, int count)
{
    IMAGE *cubes[] = {a, b};

    return daoShmCombineShm2Shm(cubes, image, 2, count);
}

/* ---- sums ---- */

START_TEST(channels_of_every_type_are_added_element_by_element)
{
    static const uint32_t lengths[] = {1, 7, LONGEST};
    uint8_t atype = (uint8_t)(_i / 3 + 1);
    uint32_t count = lengths[_i % 3];
    IMAGE a = create_typed("a", atype, count, 1), b = create_typed("b", atype, count, 3);
    IMAGE c = create_typed("c", atype, count, 2), sum = create_typed("s", atype, count, 2);
    IMAGE *cubes[] = {&a, &b, &c};

    for (uint32_t i = 0; i < 3; i++) { /* each time the newest */
        write_ramp(&a, 100 + i);
        write_ramp(&b, 1000 * i);
        write_ramp(&c, 7);
        ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &sum, 3, (int)count), DAO_SUCCESS);
        expect_sum(&sum, i % 2, 107 + 1001 * i, 3, count);
        ck_assert_uint_eq(daoShmGetCounter(&sum), i + 1);
    }
    ck_assert_str_eq(messages(), "");
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&c);
    daoShmCloseShm(&sum);
}
END_TEST

/* Two terms and their sum, of each kind of wrap and of fractions. */
static const struct {
    uint8_t atype;
    union {
        uint64_t u;
        int64_t i;
        float f[2];
        double d[2];
    } a, b, sum;
} pairs[] = {
    {_DATATYPE_UINT8, {.u = 200}, {.u = 100}, {.u = 44}},
    {_DATATYPE_INT8, {.i = 100}, {.i = 100}, {.i = -56}},
    {_DATATYPE_INT8, {.i = -5}, {.i = 3}, {.i = -2}},
    {_DATATYPE_UINT16, {.u = 65535}, {.u = 2}, {.u = 1}},
    {_DATATYPE_INT16, {.i = INT16_MAX}, {.i = 1}, {.i = INT16_MIN}},
    {_DATATYPE_UINT32, {.u = UINT32_MAX}, {.u = 5}, {.u = 4}},
    {_DATATYPE_INT32, {.i = INT32_MIN}, {.i = -1}, {.i = INT32_MAX}},
    {_DATATYPE_UINT64, {.u = UINT64_MAX}, {.u = 8}, {.u = 7}},
    {_DATATYPE_INT64, {.i = INT64_MAX}, {.i = 1}, {.i = INT64_MIN}},
    {_DATATYPE_FLOAT, {.f = {0.5f}}, {.f = {-2.75f}}, {.f = {-2.25f}}},
    {_DATATYPE_DOUBLE, {.d = {0.5}}, {.d = {1e-9}}, {.d = {0.500000001}}},
    {_DATATYPE_COMPLEX_FLOAT, {.f = {1, 20}}, {.f = {3, 400.5f}}, {.f = {4, 420.5f}}},
    {_DATATYPE_COMPLEX_DOUBLE, {.d = {1, 20}}, {.d = {3, 400.5}}, {.d = {4, 420.5}}},
};
#define PAIRS (int)(sizeof pairs / sizeof pairs[0])

START_TEST(integers_wrap_and_complex_numbers_add_by_component)
{
    uint8_t atype = pairs[_i].atype;
    IMAGE a = create_typed("a", atype, 1, 1), b = create_typed("b", atype, 1, 1);
    IMAGE sum = create_typed("s", atype, 1, 1);
    union {
        uint64_t u;
        double d[2];
    } x, y;

    memcpy(&x, &pairs[_i].a, sizeof x);
    memcpy(&y, &pairs[_i].b, sizeof y);
    ck_assert_int_eq(daoShmImage2Shm(&x, 1, &a), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImage2Shm(&y, 1, &b), DAO_SUCCESS);
    ck_assert_int_eq(combine2(&a, &b, &sum, 1), DAO_SUCCESS);
    ck_assert_mem_eq(sum.array.V, &pairs[_i].sum, ramp_types[atype].bytes);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
}
END_TEST

START_TEST(one_channel_is_a_copy)
{
    IMAGE a = create("a", 2), image = create("s", 2);
    IMAGE *cubes[] = {&a};

    write_frames(&a, 1, 3);
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &image, 1, 8), DAO_SUCCESS);
    expect_sum(&image, 0, 3, 1, 8);
    daoShmCloseShm(&a);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(up_to_1024_channels_are_added)
{
    static IMAGE channels[DAO_MAX_COMBINE_CHANNELS];
    IMAGE *cubes[DAO_MAX_COMBINE_CHANNELS + 1];
    IMAGE sum = create_typed("s", _DATATYPE_UINT32, 5, 2);
    uint32_t size[] = {5};

    for (int i = 0; i < DAO_MAX_COMBINE_CHANNELS; i++) {
        ck_assert_int_eq(
            daoShmImageCreate(&channels[i], "private", 1, size, _DATATYPE_UINT32, 0, 0),
            DAO_SUCCESS);
        write_ramp(&channels[i], (uint64_t)i);
        cubes[i] = &channels[i];
    }
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &sum, 1024, 5), DAO_SUCCESS);
    expect_sum(&sum, 0, 1023 * 1024 / 2, 1024, 5);
    cubes[1024] = cubes[0];
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &sum, 1025, 5), DAO_ERROR);
    expect_message("nbChannel 1025, allowed are 1 to 1024");
    for (int i = 0; i < DAO_MAX_COMBINE_CHANNELS; i++)
        daoShmCloseShm(&channels[i]);
    daoShmCloseShm(&sum);
}
END_TEST

START_TEST(a_sum_of_the_first_elements_leaves_the_slots_rest)
{
    IMAGE a = create_typed("a", _DATATYPE_UINT16, 5, 1), b = create("b", 1), sum = create("s", 2);
    uint16_t old[8];

    write_frames(&sum, 1, 2);
    ramp_fill(old, _DATATYPE_UINT16, 1, 8);
    write_ramp(&a, 50);
    write_ramp(&b, 60);
    ck_assert_int_eq(combine2(&a, &b, &sum, 3), DAO_SUCCESS);
    expect_sum(&sum, 0, 110, 2, 3);
    ck_assert_mem_eq(sum.array.UI16 + 3, old + 3, 5 * sizeof old[0]);
    ck_assert_int_eq(combine2(&a, &b, &sum, 5), DAO_SUCCESS); /* a has five, the others eight */
    expect_sum(&sum, 1, 110, 2, 5);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
}
END_TEST

START_TEST(a_sum_is_published_as_the_next_frame)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE a = create("a", depth), b = create("b", 1), sum = create("s", depth);
    IMAGE reader = open_image("s");
    void *pixels;
    uint32_t slot = 99;
    uint64_t cnt0 = 99;

    write_frames(&a, 1, depth);
    write_frames(&b, 1, 3);
    write_frames(&sum, 1, 1);
    take_posts(&sum);
    take_posts(&a);
    sum.md[1 % depth].atime.tsfixed.secondlong = 5;
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ck_assert_int_eq(combine2(&a, &b, &sum, 8), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, &slot, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(slot, 1 % depth);
    ck_assert_uint_eq(cnt0, 2);
    expect_sum(&reader, slot, depth + 3, 2, 8);
    ck_assert_int_gt(sum.md[slot].atime.tsfixed.secondlong, 5);
    ck_assert_uint_eq(sum.md[slot].write, 0);
    expect_semaphores(&sum, 1);
    expect_semaphores(&a, 0);
    ck_assert_uint_eq(a.fifo_last_read_cnt0, 0); /* tails stay where they are */
    ck_assert_uint_eq(a.fifo_last_read, depth - 1);
    ck_assert_uint_eq(b.fifo_last_read_cnt0, 0);
    ck_assert_uint_eq(sum.fifo_last_read_cnt0, 0);
    ck_assert_uint_eq(sum.fifo_last_read, depth - 1);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- the image among its channels ---- */

START_TEST(an_image_among_its_channels_adds_up)
{
    uint32_t depth = testbed_depths[_i % DEPTHS];
    IMAGE a = create_typed("a", _DATATYPE_UINT8, LONGEST, 1);
    IMAGE sum = create_typed("s", _DATATYPE_UINT8, LONGEST, depth), other = open_image("s");
    IMAGE *same = _i < DEPTHS ? &sum : &other; /* through the same handle, or another one */

    write_ramp(&sum, 9);
    for (uint32_t i = 1; i <= 5; i++) {
        write_ramp(&a, i);
        /* Its place in the list must not matter. */
        ck_assert_int_eq(i % 2 ? combine2(&a, same, &sum, LONGEST)
                               : combine2(same, &a, &sum, LONGEST),
                         DAO_SUCCESS);
        expect_sum(&sum, i % depth, 9 + i * (i + 1) / 2, i + 1, LONGEST);
    }
    daoShmCloseShm(&a);
    daoShmCloseShm(&sum);
    daoShmCloseShm(&other);
}
END_TEST

START_TEST(an_image_that_is_all_its_channels_is_doubled)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE sum = create_typed("s", _DATATYPE_INT16, LONGEST, depth);

    write_ramp(&sum, 5);
    for (uint32_t i = 1; i <= 3; i++) {
        ck_assert_int_eq(combine2(&sum, &sum, &sum, LONGEST), DAO_SUCCESS);
        expect_sum(&sum, i % depth, 5ull << i, 1ull << i, LONGEST);
    }
    daoShmCloseShm(&sum);
}
END_TEST

/* ---- channels that change ---- */

START_TEST(an_unstamped_head_of_a_channel_is_not_summed)
{
    IMAGE a = create("a", 3), b = create("b", 1), sum = create("s", 1);

    write_frames(&a, 1, 5);
    write_frames(&b, 1, 1);
    a.md[0].fifo_last_written = 2; /* a field writer's head, its count still to come */
    ck_assert_int_eq(combine2(&a, &b, &sum, 8), DAO_SUCCESS);
    expect_sum(&sum, 0, 6, 2, 8);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
}
END_TEST

START_TEST(a_fresh_channel_counts_as_zeros)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE a = create("a", depth), b = create("b", 1), sum = create("s", 1);

    write_frames(&b, 1, 4);
    ck_assert_int_eq(combine2(&a, &b, &sum, 8), DAO_SUCCESS);
    expect_sum(&sum, 0, 4, 1, 8);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
}
END_TEST

START_TEST(a_channel_whose_newest_frame_cannot_be_proven_is_told_and_summed)
{
    IMAGE a = create("a", 2), b = create("b", 1), sum = create("s", 2);

    write_frames(&a, 1, 4);
    write_frames(&b, 1, 1);
    switch (_i) {
    case 0: /* being written over */
        b.md[0].write = 1;
        break;
    case 1:
        a.md[1].write = 1;
        break;
    default: /* a head without its count: the newest is in the slot that comes next */
        a.md[0].fifo_last_written = 0;
    }
    ck_assert_int_eq(combine2(&a, &b, &sum, 8), DAO_OVERWRITE);
    expect_newest(&sum, 0, 1);
    expect_sum(&sum, 0, 5, 2, 8);
    ck_assert_uint_eq(sum.md[0].write, 0);
    expect_semaphores(&sum, 1);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&sum);
}
END_TEST

/* ---- what is refused ---- */

static void expect_no_sum(IMAGE **cubes, IMAGE *image, int channels, int count, const char *word)
{
    struct memory before = remember(image);

    forget_messages();
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, image, channels, count), DAO_ERROR);
    expect_message("daoShmCombineShm2Shm: ");
    expect_message(word);
    expect_unchanged(before);
    expect_semaphores(image, 0);
}

START_TEST(what_cannot_be_summed_changes_nothing)
{
    IMAGE a = create("a", 1), b = create("b", 1), image = create("s", 2);
    IMAGE shorter = create_typed("short", _DATATYPE_UINT16, 5, 1);
    IMAGE typed = create_typed("typed", _DATATYPE_INT16, 8, 1);
    IMAGE gone = create("gone", 1), closed = create("closed", 1);
    IMAGE *good[] = {&a, &b}, *cubes[] = {&a, NULL};

    write_frames(&image, 1, 3);
    take_posts(&image);
    daoShmCloseShm(&closed);
    ck_assert_int_eq(unlink(testbed_path("gone")), 0);
    expect_no_sum(NULL, &image, 2, 8, "cubes is NULL");
    expect_no_sum(good, &image, 0, 8, "nbChannel 0, allowed are 1 to 1024");
    expect_no_sum(good, &image, -1, 8, "nbChannel -1");
    expect_no_sum(good, &image, INT32_MAX, 8, "nbChannel 2147483647");
    expect_no_sum(good, &image, 2, 9, "nbVal is 9, the segment has 8 elements");
    expect_no_sum(good, &image, 2, -1, "nbVal is -1");
    expect_no_sum(cubes, &image, 2, 8, "channel 1 is NULL or not open");
    cubes[1] = &closed;
    expect_no_sum(cubes, &image, 2, 8, "channel 1 is NULL or not open");
    cubes[1] = &typed;
    expect_no_sum(cubes, &image, 2, 8, "is of type int16 instead of uint16");
    cubes[1] = &shorter;
    expect_no_sum(cubes, &image, 2, 6, "nbVal is 6, but channel 1");
    cubes[1] = &gone;
    expect_no_sum(cubes, &image, 2, 8, "close it and open it again");
    ck_assert_int_eq(daoShmCombineShm2Shm(good, &image, 2, 8), DAO_SUCCESS);
    daoShmCloseShm(&a);
    daoShmCloseShm(&b);
    daoShmCloseShm(&image);
    daoShmCloseShm(&shorter);
    daoShmCloseShm(&typed);
    daoShmCloseShm(&gone);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_combine");
    TCase *tcase;

    tcase = api_add(suite, "sums");
    tcase_add_loop_test(tcase, channels_of_every_type_are_added_element_by_element, 0, 36);
    tcase_add_loop_test(tcase, integers_wrap_and_complex_numbers_add_by_component, 0, PAIRS);
    tcase_add_test(tcase, one_channel_is_a_copy);
    tcase_add_test(tcase, up_to_1024_channels_are_added);
    tcase_add_test(tcase, a_sum_of_the_first_elements_leaves_the_slots_rest);
    tcase_add_loop_test(tcase, a_sum_is_published_as_the_next_frame, 0, DEPTHS);
    tcase = api_add(suite, "the image among its channels");
    tcase_add_loop_test(tcase, an_image_among_its_channels_adds_up, 0, 2 * DEPTHS);
    tcase_add_loop_test(tcase, an_image_that_is_all_its_channels_is_doubled, 0, DEPTHS);
    tcase = api_add(suite, "channels that change");
    tcase_add_test(tcase, an_unstamped_head_of_a_channel_is_not_summed);
    tcase_add_loop_test(tcase, a_fresh_channel_counts_as_zeros, 0, DEPTHS);
    tcase_add_loop_test(tcase, a_channel_whose_newest_frame_cannot_be_proven_is_told_and_summed, 0,
                        3);
    tcase = api_add(suite, "what is refused");
    tcase_add_test(tcase, what_cannot_be_summed_changes_nothing);
    return testbed_run(suite);
}
