/*
 * test_reference_cpp.cpp - what the reference page promises of the C++ class, in its order.
 * tests/README.md says which sentence each test stands for.
 */
#include "tests/support/testbed.hpp"

#include <sys/mman.h>

using Dao::Shm;
using Dao::ShmSync;
using testbed::four_by_two;
using testbed::is_ramp;
using testbed::path;
using testbed::put;
using testbed::ramp;

static const uint32_t depths[] = {1, 2, 3, 8};
#define DEPTHS static_cast<int>(std::size(depths))

/* Two hands on one segment of eight int32; the reader, a second one, knows nothing of the depth. */
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

    ck_assert(is_ramp(reader.get_next_frame(false, status, cnt0), count));
    ck_assert_int_eq(status, wanted);
    ck_assert_uint_eq(cnt0, static_cast<uint64_t>(count));
}

static void take_none(Shm<int32_t> &reader)
{
    int_fast8_t status = DAO_ERROR;

    ck_assert_ptr_null(reader.get_next_frame(false, status));
    ck_assert_int_eq(status, DAO_NOTREADY);
}

/* ---- creating and writing ---- */

START_TEST(cpp_the_depth_is_an_optional_argument)
{
    const auto first = ramp<float>(1);
    Shm<float> plain(path("plain"), four_by_two), framed(path("framed"), four_by_two, first.data());
    Shm<float> deep(path("deep"), four_by_two, nullptr, 8);

    ck_assert_uint_eq(plain.get_meta_data(0)->fifo_size, 1);
    ck_assert_uint_eq(framed.get_meta_data(0)->fifo_size, 1);
    ck_assert_uint_eq(deep.get_meta_data(0)->fifo_size, 8);
}
END_TEST

START_TEST(cpp_set_frame_advances_the_fifo_by_itself)
{
    const uint32_t depth = depths[_i];
    Pair pair(depth);

    for (int count = 1; count <= 17; count++) {
        const uint32_t slot = static_cast<uint32_t>(count - 1) % depth;

        put(pair.writer, count);
        ck_assert_uint_eq(pair.reader.get_meta_data(0)->fifo_last_written, slot);
        ck_assert_uint_eq(pair.reader.get_counter(slot), static_cast<uint64_t>(count));
        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(slot), count));
    }
}
END_TEST

/* ---- reading ---- */

START_TEST(cpp_get_frame_gives_the_newest)
{
    Pair pair(depths[_i]);

    for (int count = 1; count <= 20; count += 3) {
        put(pair.writer, count, count + 2);
        ck_assert(is_ramp(pair.reader.get_frame(), count + 2));
    }
}
END_TEST

START_TEST(cpp_get_frame_still_synchronises_by_semaphore_and_by_counter)
{
    static const ShmSync syncs[] = {ShmSync::SEM, ShmSync::SEM3, ShmSync::SPIN};
    Pair pair(4);
    int count = 0;

    for (const ShmSync sync : syncs) {
        while (sync != ShmSync::SPIN && pair.reader.get_frame(sync, 0))
            ; /* posts of earlier frames, which nobody has taken */
        const testbed::Later later([&pair, count] { put(pair.writer, count + 1); });

        ck_assert(is_ramp(pair.reader.get_frame(sync), ++count));
    }
}
END_TEST

START_TEST(cpp_get_next_frame_moves_the_tail_by_one_and_gives_the_count)
{
    const int depth = static_cast<int>(depths[_i]);
    Pair pair(depths[_i]);

    take_none(pair.reader);
    put(pair.writer, 1, depth);
    for (int count = 1; count <= depth; count++)
        take(pair.reader, DAO_SUCCESS, count);
    take_none(pair.reader);
}
END_TEST

START_TEST(cpp_get_next_frame_waits_if_asked_to)
{
    Pair pair(depths[_i]);
    const testbed::Later later([&] { put(pair.writer, 1); });
    int_fast8_t status = DAO_ERROR;

    ck_assert(is_ramp(pair.reader.get_next_frame(true, status), 1));
    ck_assert_int_eq(status, DAO_SUCCESS);
}
END_TEST

START_TEST(cpp_each_object_has_a_tail_of_its_own)
{
    Pair pair(8);
    Shm<int32_t> other(path("pair"));

    put(pair.writer, 1, 3);
    take(pair.reader, DAO_SUCCESS, 1);
    take(pair.reader, DAO_SUCCESS, 2);
    take(other, DAO_SUCCESS, 1);
    take(pair.writer, DAO_SUCCESS, 1);
    take(pair.reader, DAO_SUCCESS, 3);
    take(other, DAO_SUCCESS, 2);
}
END_TEST

START_TEST(cpp_get_arbitrary_frame_gives_any_slot)
{
    Pair pair(4);

    put(pair.writer, 1, 6);
    for (uint32_t i = 0; i < 8; i++) {
        static const int in_slot[] = {5, 6, 3, 4};

        ck_assert(is_ramp(pair.reader.get_arbitrary_frame(i), in_slot[i % 4]));
    }
}
END_TEST

START_TEST(cpp_the_last_frames_are_a_rolling_window)
{
    Pair pair(8);

    for (int newest = 1; newest <= 30; newest++) {
        put(pair.writer, newest);
        for (int count = std::max(1, newest - 7); count <= newest; count++)
            ck_assert(is_ramp(pair.reader.get_arbitrary_frame(static_cast<unsigned>(count - 1) % 8),
                              count));
    }
}
END_TEST

START_TEST(cpp_check_segment_overwrite_tells_of_the_frame_last_read)
{
    const int depth = static_cast<int>(depths[_i]);
    Pair pair(depths[_i]);

    put(pair.writer, 1);
    take(pair.reader, DAO_SUCCESS, 1);
    put(pair.writer, 2, depth);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_SUCCESS);
    put(pair.writer, depth + 1);
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_OVERWRITE);
}
END_TEST

START_TEST(cpp_counts_and_times_are_those_of_the_newest_or_of_a_slot)
{
    Pair pair(4);

    put(pair.writer, 1, 6);
    pair.writer.get_meta_data(2)->cnt1 = 31;
    pair.writer.get_meta_data(2)->cnt2 = 32;
    pair.writer.get_meta_data(1)->cnt1 = 61;
    pair.writer.get_meta_data(1)->cnt2 = 62;
    ck_assert_uint_eq(pair.reader.get_counter(), 6);
    ck_assert_uint_eq(pair.reader.get_cnt1(), 61);
    ck_assert_uint_eq(pair.reader.get_frame_id(), 62);
    ck_assert_uint_eq(pair.reader.get_counter(2), 3);
    ck_assert_uint_eq(pair.reader.get_cnt1(2), 31);
    ck_assert_uint_eq(pair.reader.get_frame_id(2), 32);
    ck_assert(pair.reader.get_timestamp() == pair.reader.get_timestamp(1));
    ck_assert(pair.reader.get_timestamp(2) <= pair.reader.get_timestamp(3));
    ck_assert(pair.reader.get_timestamp(3) <= pair.reader.get_timestamp(0));
    ck_assert(pair.reader.get_timestamp(0) <= pair.reader.get_timestamp(1));
}
END_TEST

START_TEST(cpp_get_meta_data_points_to_the_metadata_of_a_slot)
{
    Pair pair(4);

    put(pair.writer, 1, 6);
    for (uint32_t slot = 0; slot < 4; slot++) {
        ck_assert_ptr_eq(pair.reader.get_meta_data(slot), pair.reader.get_meta_data(0) + slot);
        ck_assert_uint_eq(pair.reader.get_meta_data(slot)->cnt0, pair.reader.get_counter(slot));
    }
    ck_assert_ptr_eq(pair.reader.get_meta_data(), pair.reader.get_meta_data(1));
}
END_TEST

/* ---- overwrites ---- */

START_TEST(cpp_more_than_one_cycle_behind_is_an_overwrite_with_the_newest_frame)
{
    const int depth = static_cast<int>(depths[_i]);
    Pair pair(depths[_i]);

    put(pair.writer, 1, depth + 1);
    take(pair.reader, DAO_OVERWRITE, depth + 1);
    take_none(pair.reader);
    put(pair.writer, depth + 2, 2 * depth + 1); /* a cycle: none is lost */
    for (int count = depth + 2; count <= 2 * depth + 1; count++)
        take(pair.reader, DAO_SUCCESS, count);
}
END_TEST

/* ---- sharing ---- */

static std::vector<char> bytes_of(const std::string &name)
{
    std::ifstream file(path(name), std::ios::binary);

    return {std::istreambuf_iterator<char>(file), {}};
}

/* A store would be a fault: the reader's mapping is made read-only under its feet. */
START_TEST(cpp_readers_never_modify_shared_memory)
{
    Pair pair(4);
    const auto all = 4 * (sizeof(IMAGE_METADATA) + testbed::elements * sizeof(int32_t));
    int_fast8_t status = DAO_ERROR;

    put(pair.writer, 1, 3);
    const auto before = bytes_of("pair");
    ck_assert_uint_eq(before.size(), all);
    ck_assert_int_eq(mprotect(pair.reader.get_meta_data(0), all, PROT_READ), 0);
    take(pair.reader, DAO_SUCCESS, 1);
    ck_assert(is_ramp(pair.reader.get_next_frame(true, status), 2));
    ck_assert_int_eq(pair.reader.check_segment_overwrite(), DAO_SUCCESS);
    ck_assert(is_ramp(pair.reader.get_arbitrary_frame(0), 1));
    ck_assert(is_ramp(pair.reader.get_frame(), 3));
    ck_assert(is_ramp(pair.reader.get_frame(ShmSync::SEM2, 0), 3));
    ck_assert(is_ramp(pair.reader.get_frame(ShmSync::SPIN, 3), 3));
    ck_assert_uint_eq(pair.reader.get_counter(), 3);
    take_none(pair.reader);
    ck_assert(bytes_of("pair") == before);
}
END_TEST

START_TEST(cpp_opening_takes_the_depth_from_the_segment)
{
    const int depth = static_cast<int>(depths[_i]);
    Pair pair(depths[_i]);

    ck_assert_uint_eq(pair.reader.get_meta_data(0)->fifo_size, depths[_i]);
    put(pair.writer, 1, depth);
    for (int count = 1; count <= depth; count++)
        take(pair.reader, DAO_SUCCESS, count);
}
END_TEST

START_TEST(cpp_a_segment_of_an_old_library_is_refused)
{
    const Shm<int32_t> model(path("model"), four_by_two);
    const auto name = path("old");
    std::vector<char> bytes = bytes_of("model");

    /* Its metadata are 8 bytes shorter. */
    bytes.erase(bytes.begin() + 4296, bytes.begin() + 4304);
    std::ofstream(name, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    testbed::check_says(testbed::thrown_by([&] { Shm<int32_t> old(name); }),
                        {name, "delete it and create it again"});
    std::filesystem::remove(name);
    Shm<int32_t> anew(name, four_by_two);
    ck_assert_uint_eq(Shm<int32_t>(name).get_counter(), 0);
}
END_TEST

int main()
{
    Suite *suite = suite_create("reference: C++");
    TCase *promises = tcase_create("promises");

    tcase_add_test(promises, cpp_the_depth_is_an_optional_argument);
    tcase_add_loop_test(promises, cpp_set_frame_advances_the_fifo_by_itself, 0, DEPTHS);
    tcase_add_loop_test(promises, cpp_get_frame_gives_the_newest, 0, DEPTHS);
    tcase_add_test(promises, cpp_get_frame_still_synchronises_by_semaphore_and_by_counter);
    tcase_add_loop_test(promises, cpp_get_next_frame_moves_the_tail_by_one_and_gives_the_count, 0,
                        DEPTHS);
    tcase_add_loop_test(promises, cpp_get_next_frame_waits_if_asked_to, 0, DEPTHS);
    tcase_add_test(promises, cpp_each_object_has_a_tail_of_its_own);
    tcase_add_test(promises, cpp_get_arbitrary_frame_gives_any_slot);
    tcase_add_test(promises, cpp_the_last_frames_are_a_rolling_window);
    tcase_add_loop_test(promises, cpp_check_segment_overwrite_tells_of_the_frame_last_read, 0,
                        DEPTHS);
    tcase_add_test(promises, cpp_counts_and_times_are_those_of_the_newest_or_of_a_slot);
    tcase_add_test(promises, cpp_get_meta_data_points_to_the_metadata_of_a_slot);
    tcase_add_loop_test(
        promises, cpp_more_than_one_cycle_behind_is_an_overwrite_with_the_newest_frame, 0, DEPTHS);
    tcase_add_test(promises, cpp_readers_never_modify_shared_memory);
    tcase_add_loop_test(promises, cpp_opening_takes_the_depth_from_the_segment, 0, DEPTHS);
    tcase_add_test(promises, cpp_a_segment_of_an_old_library_is_refused);
    tcase_set_timeout(promises, 60);
    suite_add_tcase(suite, promises);
    return testbed::run(suite);
}
