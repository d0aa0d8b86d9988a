/*
 * test_shm_cpp_move.cpp - Dao::Shm: moving, what is left behind, and closing.
 */
#include "tests/support/testbed.hpp"

using Dao::Shm;
using Sync = Dao::ShmSync;
using testbed::elements;
using testbed::four_by_two;
using testbed::is_ramp;
using testbed::path;
using testbed::put;
using testbed::ramp;
using testbed::thrown_by;

/* Every method of one that holds no segment. */
static void check_closed(Shm<float> &shm)
{
    const std::vector<float> frame = ramp<float>(1);
    int_fast8_t status = DAO_SUCCESS;
    uint64_t cnt0 = 77;

    ck_assert_int_eq(shm.set_frame(frame.data()), DAO_ERROR);
    ck_assert_ptr_null(shm.get_frame());
    ck_assert_ptr_null(shm.get_frame(Sync::SEM));
    ck_assert_ptr_null(shm.get_frame(Sync::SPIN));
    ck_assert_ptr_null(shm.get_frame(Sync::SEM9, 1000));
    ck_assert_ptr_null(shm.get_frame(Sync::SPIN, 1000));
    ck_assert_ptr_null(shm.get_next_frame(false, status, cnt0));
    ck_assert_int_eq(status, DAO_ERROR);
    status = DAO_SUCCESS;
    ck_assert_ptr_null(shm.get_next_frame(true, status));
    ck_assert_int_eq(status, DAO_ERROR);
    ck_assert_uint_eq(cnt0, 77);
    ck_assert_ptr_null(shm.get_arbitrary_frame(0));
    ck_assert_int_eq(shm.check_segment_overwrite(), DAO_ERROR);
    ck_assert(shm.get_shape().empty());
    ck_assert_uint_eq(shm.get_element_count(), 0);
    ck_assert_uint_eq(shm.get_counter() + shm.get_counter(1), 0);
    ck_assert_uint_eq(shm.get_cnt1() + shm.get_cnt1(1), 0);
    ck_assert_uint_eq(shm.get_frame_id() + shm.get_frame_id(1), 0);
    ck_assert_int_eq(shm.get_timestamp() + shm.get_timestamp(1), 0);
    ck_assert_ptr_null(shm.get_meta_data());
    ck_assert_ptr_null(shm.get_meta_data(1));
}

/* How often the tests' segments are mapped here. */
static int count_mappings()
{
    std::ifstream maps("/proc/self/maps");
    int count = 0;

    for (std::string line; std::getline(maps, line);)
        count += line.find(testbed::prefix + "_") != std::string::npos;
    return count;
}

static long count_descriptors()
{
    const std::filesystem::directory_iterator all("/proc/self/fd");

    return std::distance(begin(all), end(all));
}

START_TEST(a_move_takes_the_segment_and_the_tail_along)
{
    std::vector<float> frame = ramp<float>(1);
    Shm<float> from(path("moved"), four_by_two, frame.data(), 4);
    const float *pixels = from.get_frame();
    int_fast8_t status = DAO_ERROR;
    uint64_t cnt0 = 0;

    put(from, 2, 3);
    Shm<float> to(std::move(from));
    ck_assert(is_ramp(pixels, 1));
    ck_assert_ptr_eq(to.get_arbitrary_frame(0), pixels);
    ck_assert(to.get_shape() == four_by_two);
    ck_assert_uint_eq(to.get_element_count(), elements);
    ck_assert(is_ramp(to.get_next_frame(false, status, cnt0), 2));
    ck_assert_uint_eq(cnt0, 2);
    put(to, 4);
    ck_assert_uint_eq(to.get_counter(), 4);
    ck_assert_uint_eq(to.get_counter(6), 3);
    ck_assert_ptr_eq(to.get_meta_data(), to.get_meta_data(3));
    check_closed(from);
}
END_TEST

START_TEST(a_move_assignment_closes_what_was_there)
{
    Shm<float> to(path("old"), {1, 1});
    Shm<float> from(path("new"), four_by_two);
    int before = count_mappings();

    to = std::move(from);
    ck_assert_int_lt(count_mappings(), before);
    ck_assert(to.get_shape() == four_by_two);
    put(to, 1);
    check_closed(from);
    from = std::move(to);
    ck_assert_uint_eq(from.get_counter(), 1);
    check_closed(to);
}
END_TEST

START_TEST(a_move_to_itself_changes_nothing)
{
    Shm<float> shm(path("self"), four_by_two);
    Shm<float> &same = shm;

    put(shm, 1);
    shm = std::move(same);
    ck_assert_uint_eq(shm.get_counter(), 1);
    ck_assert(is_ramp(shm.get_frame(), 1));
}
END_TEST

static Shm<float> open_by_name(const std::string &name)
{
    return {name};
}

START_TEST(segments_live_in_containers_and_come_from_functions)
{
    std::vector<Shm<float>> all;

    for (int i = 0; i < 9; i++) {
        std::vector<float> frame = ramp<float>(i);

        all.emplace_back(path("v" + std::to_string(i)), four_by_two, frame.data());
    }
    std::swap(all[2], all[3]);
    all.erase(all.begin());
    ck_assert(is_ramp(all[1].get_frame(), 3));
    ck_assert(is_ramp(all[2].get_frame(), 2));
    ck_assert(is_ramp(all[7].get_frame(), 8));
    ck_assert(is_ramp(open_by_name(path("v0")).get_frame(), 0));
}
END_TEST

START_TEST(nothing_is_left_open)
{
    long descriptors;
    int mappings;

    {
        Shm<float> made(path("closed"),
                        four_by_two); /* what the library keeps is there after the first */
    }
    descriptors = count_descriptors();
    mappings = count_mappings();
    for (int i = 0; i < 50; i++) {
        Shm<float> made(path("closed"), four_by_two);
        Shm<float> found(path("closed"));
        Shm<float> moved(std::move(found));

        thrown_by([] { Shm<double> shm(path("closed")); });
        thrown_by([] { Shm<double> shm(path("missing")); });
    }
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_int_eq(count_mappings(), mappings);
}
END_TEST

START_TEST(the_file_outlives_the_object)
{
    {
        Shm<float> made(path("outlives"), four_by_two, nullptr, 2);

        put(made, 1, 2);
    }
    Shm<float> found(path("outlives"));

    ck_assert_uint_eq(found.get_counter(), 2);
    ck_assert(is_ramp(found.get_frame(), 2));
}
END_TEST

int main()
{
    Suite *suite = suite_create("shm_cpp_move");
    TCase *all = tcase_create("all");

    tcase_add_test(all, a_move_takes_the_segment_and_the_tail_along);
    tcase_add_test(all, a_move_assignment_closes_what_was_there);
    tcase_add_test(all, a_move_to_itself_changes_nothing);
    tcase_add_test(all, segments_live_in_containers_and_come_from_functions);
    tcase_add_test(all, nothing_is_left_open);
    tcase_add_test(all, the_file_outlives_the_object);
    suite_add_tcase(suite, all);
    return testbed::run(suite);
}
