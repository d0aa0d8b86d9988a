/*
 * test_shm_cpp_read.cpp - Dao::Shm: next, newest and arbitrary frames, history, overwrites and
 * metadata. Race windows are frozen by setting counts by hand.
 */
#include "tests/support/testbed.hpp"

using Dao::Shm;
using testbed::elements;
using testbed::four_by_two;
using testbed::is_ramp;
using testbed::path;
using testbed::put;
using testbed::ramp;

/* Two hands on one segment of eight int32. */
struct Pair {
    Shm<int32_t> writer, reader;

    explicit Pair(uint32_t depth)
        : writer(path("pair"), four_by_two, nullptr, depth), reader(path("pair"))
    {
    }
};

/* The next frame must be there, in this state, with this count. */
static void take(Shm<int32_t> &reader, int_fast8_t wanted, int count)
{
    int_fast8_t status = DAO_ERROR;
    uint64_t cnt0 = 0;
    const int32_t *frame = reader.get_next_frame(false, status, cnt0);

    ck_assert_int_eq(status, wanted);
    ck_assert_uint_eq(cnt0, static_cast<uint64_t>(count));
    ck_assert(is_ramp(frame, count));
}

static void take_none(Shm<int32_t> &reader, int_fast8_t wanted)
{
    int_fast8_t status = DAO_SUCCESS;
    uint64_t cnt0 = 77;

    ck_assert_ptr_null(reader.get_next_frame(false, status, cnt0));
    ck_assert_int_eq(status, wanted);
    ck_assert_uint_eq(cnt0, 77);
    status = DAO_SUCCESS;
    ck_assert_ptr_null(reader.get_next_frame(false, status));
    ck_assert_int_eq(status, wanted);
}

/* ---- frames ---- */

static const uint32_t depths[] = {1, 2, 3, 8};

START_TEST(next_frames_come_one_by_one_in_order)
{
    Pair pair(depths[_i]);
    int_fast8_t status = DAO_ERROR;

    take_none(pair.reader, DAO_NOTREADY);
    for (int count = 1; count <= 20; count++) {
        put(pair.writer, count);
        take(pair.reader, DAO_SUCCESS, count);
        take_none(pair.reader, DAO_NOTREADY);
    }
    put(pair.writer, 21);
    ck_assert(is_ramp(pair.reader.get_next_frame(false, status), 21));
    ck_assert_int_eq(status, DAO_SUCCESS);
}
END_TEST

START_TEST(next_frames_that_wait_in_the_fifo_are_all_read)
{
    Pair pair(8);

    put(pair.writer, 1, 7);
    for (int count = 1; count <= 7; count++)
        take(pair.reader, DAO_SUCCESS, count);
    take_none(pair.reader, DAO_NOTREADY);
}
END_TEST

START_TEST(a_reader_that_was_lapped_is_told_and_gets_the_newest)
{
    Pair pair(depths[_i]);

    put(pair.writer, 1);
    take(pair.reader, DAO_SUCCESS, 1);
    put(pair.writer, 2, 30);
    take(pair.reader, DAO_OVERWRITE, 30);
    take_none(pair.reader, DAO_NOTREADY);
    put(pair.writer, 31);
    take(pair.reader, DAO_SUCCESS, 31);
}
END_TEST

START_TEST(with_wait_a_frame_that_is_there_comes_at_once)
{
    Pair pair(4);
    int_fast8_t status = DAO_ERROR;
    uint64_t cnt0 = 0;

    put(pair.writer, 1, 3);
    ck_assert(is_ramp(pair.reader.get_next_frame(true, status, cnt0), 1));
    ck_assert_int_eq(status, DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 1);
    ck_assert(is_ramp(pair.reader.get_next_frame(true, status), 2));
    put(pair.writer, 4, 20);
    ck_assert(is_ramp(pair.reader.get_next_frame(true, status), 20));
    ck_assert_int_eq(status, DAO_OVERWRITE);
}
END_TEST

START_TEST(the_newest_frame_moves_the_tail)
{
    Pair pair(8);

    put(pair.writer, 1, 4);
    ck_assert(is_ramp(pair.reader.get_frame(), 4));
    ck_assert(is_ramp(pair.reader.get_frame(Dao::ShmSync::NONE), 4));
    ck_assert(is_ramp(pair.reader.get_frame(Dao::ShmSync::NONE, 99), 4));
    take_none(pair.reader, DAO_NOTREADY);
    put(pair.writer, 5);
    take(pair.reader, DAO_SUCCESS, 5);
}
END_TEST

START_TEST(readers_have_tails_of_their_own)
{
    Pair pair(8);
    Shm<int32_t> other(path("pair"));

    put(pair.writer, 1, 3);
    take(pair.reader, DAO_SUCCESS, 1);
    ck_assert(is_ramp(other.get_frame(), 3));
    take(pair.reader, DAO_SUCCESS, 2);
    take_none(other, DAO_NOTREADY);
}
END_TEST

START_TEST(arbitrary_frames_wrap_and_leave_the_tail)
{
    Pair pair(4);

    put(pair.writer, 1, 3);
    for (uint_fast32_t slot = 0; slot < 3; slot++) {
        const int count = static_cast<int>(slot) + 1;

        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(slot), count));
        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(slot + 4), count));
        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(slot + (1ul << 32)), count));
    }
    ck_assert_int_eq(pair.reader.get_arbitrary_frame(3)[1], 0);
    take(pair.reader, DAO_SUCCESS, 1);
}
END_TEST

START_TEST(the_last_frames_are_a_history)
{
    Pair pair(8);
    uint32_t head;

    put(pair.writer, 1, 21);
    head = pair.reader.get_meta_data(0)->fifo_last_written;
    for (uint32_t back = 0; back < 7; back++) {
        const uint32_t slot = head + 8 - back;

        ck_assert_uint_eq(pair.reader.get_counter(slot), 21 - back);
        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(slot), 21 - static_cast<int>(back)));
    }
}
END_TEST

START_TEST(an_overwrite_after_the_read_is_noticed)
{
    Pair pair(depths[_i]);
    const int depth = static_cast<int>(depths[_i]);

    put(pair.writer, 1);
    take(pair.reader, DAO_SUCCESS, 1);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_SUCCESS);
    put(pair.writer, 2, depth);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_SUCCESS);
    put(pair.writer, depth + 1);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_OVERWRITE);
    pair.reader.get_frame();
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_SUCCESS);
    pair.reader.get_meta_data()->write = 1;
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_OVERWRITE);
}
END_TEST

START_TEST(no_frame_is_published_from_nowhere)
{
    Pair pair(2);

    ck_assert_int_eq(pair.writer.set_frame(nullptr), DAO_ERROR);
    ck_assert_uint_eq(pair.reader.get_counter(), 0);
    take_none(pair.reader, DAO_NOTREADY);
}
END_TEST

/* More than an nbVal can say. The file is one large hole. */
START_TEST(a_frame_too_large_to_be_written_is_refused)
{
    const uint32_t wide = 65536, high = 65537;
    const off_t pixels = static_cast<off_t>(wide) * high;

    {
        Shm<uint8_t> small(path("large"), four_by_two);
        IMAGE_METADATA *md = small.get_meta_data(0);

        md->size[0] = wide;
        md->size[1] = high;
        md->nelement = static_cast<uint64_t>(pixels);
    }
    ck_assert_int_eq(truncate(path("large").c_str(), 4304 + pixels), 0);
    Shm<uint8_t> large(path("large"));
    const std::vector<uint8_t> frame(1);

    ck_assert_uint_eq(large.get_element_count(), static_cast<size_t>(pixels));
    ck_assert_int_eq(large.set_frame(frame.data()), DAO_ERROR);
    ck_assert_uint_eq(large.get_counter(), 0);
}
END_TEST

/* ---- metadata ---- */

/* Values that tell the slots apart. */
static void mark(Shm<int32_t> &shm, uint32_t depth)
{
    for (uint32_t slot = 0; slot < depth; slot++) {
        IMAGE_METADATA *md = shm.get_meta_data(slot);

        md->cnt1 = 100 + slot;
        md->cnt2 = 200 + slot;
        md->atime.tsfixed.firstlong = 0;
        md->atime.tsfixed.secondlong = 300 + slot;
    }
}

static void check_newest_is(const Shm<int32_t> &shm, uint32_t slot, uint64_t cnt0)
{
    ck_assert_uint_eq(shm.get_counter(), cnt0);
    ck_assert_uint_eq(shm.get_cnt1(), 100 + slot);
    ck_assert_uint_eq(shm.get_frame_id(), 200 + slot);
    ck_assert_int_eq(shm.get_timestamp(), 300 + slot);
    ck_assert_ptr_eq(shm.get_meta_data(), shm.get_meta_data(slot));
}

START_TEST(metadata_without_a_slot_are_the_newest_frames)
{
    Pair pair(depths[_i]);
    const uint32_t depth = depths[_i];

    mark(pair.writer, depth);
    check_newest_is(pair.reader, depth - 1, 0);
    for (int count = 1; count <= 20; count++) {
        put(pair.writer, count);
        mark(pair.writer, depth);
        check_newest_is(pair.reader, static_cast<uint32_t>(count - 1) % depth,
                        static_cast<uint64_t>(count));
    }
}
END_TEST

START_TEST(metadata_of_a_slot_wrap_at_the_depth)
{
    Pair pair(4);
    const Shm<int32_t> &reader = pair.reader;

    put(pair.writer, 1, 5);
    mark(pair.writer, 4);
    for (uint_fast32_t slot = 0; slot < 4; slot++)
        for (uint_fast32_t idx : {slot, slot + 4, slot + (1ul << 32)}) {
            ck_assert_uint_eq(reader.get_counter(idx), slot == 0 ? 5 : slot + 1);
            ck_assert_uint_eq(reader.get_cnt1(idx), 100 + slot);
            ck_assert_uint_eq(reader.get_frame_id(idx), 200 + slot);
            ck_assert_int_eq(reader.get_timestamp(idx), static_cast<int64_t>(300 + slot));
            ck_assert_ptr_eq(reader.get_meta_data(idx), reader.get_meta_data(0) + slot);
        }
}
END_TEST

START_TEST(looking_at_metadata_leaves_the_tail)
{
    Pair pair(8);

    put(pair.writer, 1, 3);
    for (uint_fast32_t slot : {0u, 2u, 5u}) {
        pair.reader.get_counter(slot);
        pair.reader.get_cnt1(slot);
        pair.reader.get_frame_id(slot);
        pair.reader.get_timestamp(slot);
        pair.reader.get_meta_data(slot);
    }
    pair.reader.get_counter();
    pair.reader.get_cnt1();
    pair.reader.get_frame_id();
    pair.reader.get_timestamp();
    pair.reader.get_meta_data();
    for (int count = 1; count <= 3; count++)
        take(pair.reader, DAO_SUCCESS, count);
}
END_TEST

/* A field writer's frame, stopped after it published the head: the count is still to come. */
START_TEST(a_head_without_its_count_is_not_the_newest)
{
    Pair pair(depths[_i]);
    const uint32_t depth = depths[_i];
    IMAGE_METADATA *first = pair.writer.get_meta_data(0);

    put(pair.writer, 1, 21);
    mark(pair.writer, depth);
    first->fifo_last_written = (first->fifo_last_written + 1) % depth;
    check_newest_is(pair.reader, 20 % depth, 21);
    ck_assert(is_ramp(pair.reader.get_frame(), 21));
    take_none(pair.reader, DAO_NOTREADY);
}
END_TEST

START_TEST(a_damaged_head_and_depth_lead_to_the_largest_count)
{
    const uint32_t heads[] = {4, UINT32_MAX};
    Pair pair(4);
    IMAGE_METADATA *first = pair.writer.get_meta_data(0);

    put(pair.writer, 1, 7);
    mark(pair.writer, 4);
    first->fifo_last_written = heads[_i];
    first->fifo_size = 0;
    check_newest_is(pair.reader, 2, 7);
    ck_assert_uint_eq(pair.reader.get_counter(5), 6);
}
END_TEST

START_TEST(a_timestamp_is_the_time_of_publication)
{
    Pair pair(2);
    timespec now{};
    double apart_s;

    put(pair.writer, 1);
    clock_gettime(CLOCK_REALTIME, &now);
    apart_s =
        static_cast<double>(now.tv_sec) - static_cast<double>(pair.reader.get_timestamp()) / 1e9;
    ck_assert_int_eq(pair.reader.get_timestamp(), pair.reader.get_timestamp(0));
    ck_assert_double_lt(std::abs(apart_s), 3600); /* the unit: a clock may be stepped */
}
END_TEST

START_TEST(a_timestamp_of_seconds_and_nanoseconds_is_understood)
{
    const struct {
        int64_t first, second, ns;
    } cases[] = {
        {2, 5, 2000000005},
        {0, 7, 7},
        {-2, 999999999, -1000000001},
        {2, 1000000000, 0},
        {2, -1, 0},
        {INT64_MAX, 5, 0},
        {INT64_MIN, 5, 0},
        {9223372036, 854775807, INT64_MAX},
        {9223372036, 854775808, 0},
    };
    Pair pair(2);

    put(pair.writer, 1);
    for (const auto &c : cases) {
        pair.writer.get_meta_data()->atime.tsfixed = {c.first, c.second};
        ck_assert_int_eq(pair.reader.get_timestamp(), c.ns);
        ck_assert_int_eq(pair.reader.get_timestamp(0), c.ns);
    }
}
END_TEST

/* ---- what happens to a segment ---- */

START_TEST(after_a_restart_of_the_same_shape_reading_goes_on)
{
    const uint32_t depth = depths[_i];
    Pair pair(depth);
    int_fast8_t status = DAO_ERROR;

    put(pair.writer, 1, 9);
    pair.reader.get_frame();
    Shm<int32_t> again(path("pair"), four_by_two, nullptr, depth);
    ck_assert_ptr_nonnull(pair.reader.get_next_frame(false, status));
    ck_assert_int_eq(status, DAO_OVERWRITE);
    take_none(pair.reader, DAO_NOTREADY);
    put(again, 1);
    take(pair.reader, DAO_SUCCESS, 1);
    ck_assert_uint_eq(pair.reader.get_counter(), 1);
}
END_TEST

static void truncate_it(const int32_t *)
{
    ck_assert_int_eq(truncate(path("pair").c_str(), 100), 0);
}

/* As a restarted foreign writer does. The load falls in between: from then on this mapping holds
 * pages of zeros that are nobody's. */
static void empty_look_and_regrow_it(const int32_t *pixels)
{
    ck_assert_int_eq(truncate(path("pair").c_str(), 0), 0);
    ck_assert_int_eq(*const_cast<const volatile int32_t *>(pixels), 0);
    ck_assert_int_eq(truncate(path("pair").c_str(), 4 * (4304 + 32)), 0);
}

static void remove_it(const int32_t *)
{
    ck_assert(std::filesystem::remove(path("pair")));
}

static void reshape_it(const int32_t *)
{
    Shm<int32_t> other(path("pair"), {3, 3}, nullptr, 4);
}

static void make_it_deeper(const int32_t *)
{
    Shm<int32_t> other(path("pair"), four_by_two, nullptr, 5);
}

static void (*const endings[])(const int32_t *pixels) = {truncate_it, empty_look_and_regrow_it,
                                                         remove_it, reshape_it, make_it_deeper};

START_TEST(a_segment_that_is_gone_is_an_error_and_no_crash)
{
    Pair pair(4);
    const std::vector<int32_t> frame = ramp<int32_t>(9);
    const int32_t *old;
    int_fast8_t status = DAO_ERROR;

    put(pair.writer, 1, 5);
    old = pair.reader.get_next_frame(false, status);
    ck_assert_ptr_nonnull(old);
    endings[_i](old);
    for (size_t i = 0; i < elements; i++)
        ck_assert_int_le(old[i], 20); /* zeros, or the old frame: no fault */
    for (int round = 0; round < 2; round++) {
        take_none(pair.reader, DAO_ERROR);
        ck_assert_ptr_null(pair.reader.get_frame());
        ck_assert_ptr_null(pair.reader.get_arbitrary_frame(0));
        ck_assert_ptr_null(pair.reader.get_meta_data());
        ck_assert_ptr_null(pair.reader.get_meta_data(0));
        ck_assert_uint_eq(pair.reader.get_counter() + pair.reader.get_counter(1), 0);
        ck_assert_uint_eq(pair.reader.get_cnt1() + pair.reader.get_cnt1(1), 0);
        ck_assert_uint_eq(pair.reader.get_frame_id() + pair.reader.get_frame_id(1), 0);
        ck_assert_int_eq(pair.reader.get_timestamp() + pair.reader.get_timestamp(1), 0);
    }
    ck_assert(pair.reader.get_shape() == four_by_two);
    Shm<int32_t> again(path("pair"), four_by_two, nullptr, 4);
    put(again, 1);
    pair.reader = Shm<int32_t>(path("pair"));
    ck_assert(is_ramp(pair.reader.get_frame(), 1));
}
END_TEST

START_TEST(writing_to_and_checking_a_truncated_segment_is_an_error)
{
    Pair pair(4);
    const std::vector<int32_t> frame = ramp<int32_t>(9);

    put(pair.writer, 1, 5);
    pair.reader.get_frame();
    truncate_it(nullptr);
    ck_assert_int_eq(pair.writer.set_frame(frame.data()), DAO_ERROR);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_ERROR);
}
END_TEST

int main()
{
    Suite *suite = suite_create("shm_cpp_read");
    TCase *all = tcase_create("all");
    const int depth_count = static_cast<int>(std::size(depths));

    tcase_add_loop_test(all, next_frames_come_one_by_one_in_order, 0, depth_count);
    tcase_add_test(all, next_frames_that_wait_in_the_fifo_are_all_read);
    tcase_add_loop_test(all, a_reader_that_was_lapped_is_told_and_gets_the_newest, 0, depth_count);
    tcase_add_test(all, with_wait_a_frame_that_is_there_comes_at_once);
    tcase_add_test(all, the_newest_frame_moves_the_tail);
    tcase_add_test(all, readers_have_tails_of_their_own);
    tcase_add_test(all, arbitrary_frames_wrap_and_leave_the_tail);
    tcase_add_test(all, the_last_frames_are_a_history);
    tcase_add_loop_test(all, an_overwrite_after_the_read_is_noticed, 0, depth_count);
    tcase_add_test(all, no_frame_is_published_from_nowhere);
    tcase_add_test(all, a_frame_too_large_to_be_written_is_refused);
    tcase_add_loop_test(all, metadata_without_a_slot_are_the_newest_frames, 0, depth_count);
    tcase_add_test(all, metadata_of_a_slot_wrap_at_the_depth);
    tcase_add_test(all, looking_at_metadata_leaves_the_tail);
    tcase_add_loop_test(all, a_head_without_its_count_is_not_the_newest, 1, depth_count);
    tcase_add_loop_test(all, a_damaged_head_and_depth_lead_to_the_largest_count, 0, 2);
    tcase_add_test(all, a_timestamp_is_the_time_of_publication);
    tcase_add_test(all, a_timestamp_of_seconds_and_nanoseconds_is_understood);
    tcase_add_loop_test(all, after_a_restart_of_the_same_shape_reading_goes_on, 0, depth_count);
    tcase_add_loop_test(all, a_segment_that_is_gone_is_an_error_and_no_crash, 0,
                        static_cast<int>(std::size(endings)));
    tcase_add_test(all, writing_to_and_checking_a_truncated_segment_is_an_error);
    suite_add_tcase(suite, all);
    return testbed::run(suite);
}
