/*
 * test_shm_cpp.cpp - Dao::Shm: creating, opening, element types, exceptions. Moving and closing:
 * test_shm_cpp_move.cpp.
 */
#include "tests/support/testbed.hpp"

#include <functional>
#include <type_traits>

using Dao::Shm;
using testbed::check_says;
using testbed::elements;
using testbed::four_by_two;
using testbed::is_ramp;
using testbed::path;
using testbed::put;
using testbed::ramp;
using testbed::thrown_by;

/* ---- what the compiler can say ---- */

static_assert(std::is_same_v<Dao::Shape, std::vector<uint32_t>>);
static_assert(std::is_same_v<std::underlying_type_t<Dao::ShmSync>, int32_t>);
static_assert(static_cast<int>(Dao::ShmSync::SEM0) == 0);
static_assert(static_cast<int>(Dao::ShmSync::SEM9) == 9);
static_assert(Dao::ShmSync::SEM != Dao::ShmSync::SEM0);

static_assert(!std::is_copy_constructible_v<Shm<float>>);
static_assert(!std::is_copy_assignable_v<Shm<float>>);
static_assert(!std::is_default_constructible_v<Shm<float>>);
static_assert(std::is_nothrow_move_constructible_v<Shm<float>>);
static_assert(std::is_nothrow_move_assignable_v<Shm<float>>);
static_assert(std::is_nothrow_destructible_v<Shm<float>>);

static_assert(std::is_constructible_v<Shm<float>, const std::string &>);
static_assert(std::is_constructible_v<Shm<float>, const char *, Dao::Shape, float *, uint32_t>);
static_assert(!std::is_constructible_v<Shm<float>, const char *, Dao::Shape, double *>);

/* The types that programs write down. */
using Int8 = int_fast8_t;
using Sync = Dao::ShmSync;
#define GIVES(type, call)                                                                          \
    static_assert(std::is_same_v<type, decltype(std::declval<Shm<double> &>().call)>)
GIVES(double *, get_frame());
GIVES(double *, get_frame(Sync::SEM));
GIVES(double *, get_frame(Sync::SPIN, size_t{1}));
GIVES(double *, get_next_frame(true, std::declval<Int8 &>()));
GIVES(double *, get_next_frame(true, std::declval<Int8 &>(), std::declval<uint64_t &>()));
GIVES(double *, get_arbitrary_frame(1));
GIVES(Int8, check_segment_overwrite());
GIVES(uint64_t, get_counter());
GIVES(uint64_t, get_counter(1));
GIVES(uint64_t, get_cnt1());
GIVES(uint64_t, get_cnt1(1));
GIVES(uint64_t, get_frame_id());
GIVES(uint64_t, get_frame_id(1));
GIVES(int64_t, get_timestamp());
GIVES(int64_t, get_timestamp(1));
GIVES(IMAGE_METADATA *, get_meta_data());
GIVES(IMAGE_METADATA *, get_meta_data(1));

/* ---- creating and opening ---- */

START_TEST(a_created_segment_is_what_was_asked_for)
{
    const Dao::Shape shapes[] = {{4, 2}, {1, 1}, {5, 4, 3}};
    const Dao::Shape &wanted = shapes[_i];
    const Shm<float> shm(path("made"), wanted, nullptr, 8);
    const IMAGE_METADATA *md = shm.get_meta_data(0);

    ck_assert(shm.get_shape() == wanted);
    ck_assert_uint_eq(shm.get_element_count(),
                      std::accumulate(wanted.begin(), wanted.end(), 1u, std::multiplies<>()));
    ck_assert_ptr_nonnull(md);
    ck_assert_uint_eq(md->naxis, wanted.size());
    ck_assert_uint_eq(md->fifo_size, 8);
    ck_assert_uint_eq(md->atype, _DATATYPE_FLOAT);
    ck_assert_uint_eq(md->NBkw, 0);
    ck_assert_uint_eq(md->shared, 1);
    ck_assert_uint_eq(shm.get_counter(), 0);
}
END_TEST

START_TEST(an_opened_segment_has_the_shape_it_was_made_with)
{
    const Dao::Shape wanted = {5, 4, 3};
    Shm<float> made(path("found"), wanted, nullptr, 8);
    Shm<float> found(path("found"));

    ck_assert(found.get_shape() == wanted);
    ck_assert_uint_eq(found.get_element_count(), 60);
    ck_assert_uint_eq(found.get_meta_data(0)->fifo_size, 8);
}
END_TEST

/* Keywords stand behind the pixels, and one axis is what only other programs make. */
START_TEST(segments_made_through_c_are_opened)
{
    const struct {
        long naxis;
        int keywords;
        Dao::Shape shape;
    } cases[] = {{1, 0, {7}}, {1, 3, {7}}, {2, 5, {7, 3}}, {3, 1, {7, 3, 2}}};
    const auto &c = cases[_i];
    Dao::Shape size = c.shape;
    IMAGE image;
    size_t count = 1;

    for (uint32_t n : size)
        count *= n;
    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, path("c").c_str(), c.naxis, size.data(),
                                            _DATATYPE_UINT8, 1, c.keywords, 3),
                     DAO_SUCCESS);
    {
        Shm<uint8_t> shm(path("c"));

        ck_assert(shm.get_shape() == c.shape);
        ck_assert_uint_eq(shm.get_element_count(), count);
        put(shm, 1, 5);
        ck_assert(is_ramp(shm.get_frame(), 5, count));
        ck_assert(is_ramp(shm.get_arbitrary_frame(2), 3, count));
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_first_frame_is_published)
{
    std::vector<float> frame = ramp<float>(7);
    Shm<float> shm(path("first"), four_by_two, frame.data(), 4);

    ck_assert_uint_eq(shm.get_counter(), 1);
    ck_assert_uint_eq(shm.get_counter(0), 1);
    ck_assert(is_ramp(shm.get_frame(), 7));
    ck_assert(is_ramp(shm.get_arbitrary_frame(0), 7));
}
END_TEST

START_TEST(without_a_first_frame_there_is_one_of_zeros)
{
    Shm<uint32_t> shm(path("zeros"), four_by_two, nullptr, 4);
    const uint32_t *frame = shm.get_frame();

    ck_assert_uint_eq(shm.get_counter(), 0);
    ck_assert_ptr_eq(frame, shm.get_arbitrary_frame(3));
    for (size_t i = 0; i < elements; i++)
        ck_assert_uint_eq(frame[i], 0);
}
END_TEST

START_TEST(the_depth_is_1_where_none_is_given)
{
    std::vector<int16_t> frame = ramp<int16_t>(1);

    ck_assert_uint_eq(Shm<int16_t>(path("d1"), four_by_two).get_meta_data(0)->fifo_size, 1);
    ck_assert_uint_eq(Shm(path("d1"), four_by_two, frame.data()).get_meta_data(0)->fifo_size, 1);
}
END_TEST

START_TEST(the_element_type_is_deduced_from_the_frame)
{
    std::vector<uint16_t> frame = ramp<uint16_t>(3);
    const uint16_t *constant = frame.data();
    std::complex<float> numbers[elements] = {};
    Shm from_pointer(path("deduced"), four_by_two, frame.data());
    Shm from_constant(path("deduced"), {4, 2}, constant, 3);
    Shm from_array{path("deduced_too"), {4, 2}, numbers, 3};

    static_assert(std::is_same_v<decltype(from_pointer), Shm<uint16_t>>);
    static_assert(std::is_same_v<decltype(from_constant), Shm<uint16_t>>);
    static_assert(std::is_same_v<decltype(from_array), Shm<std::complex<float>>>);
    ck_assert(is_ramp(from_constant.get_frame(), 3));
    ck_assert_uint_eq(from_array.get_counter(), 1);
}
END_TEST

/* ---- element types ---- */

template <typename T> void expect_refusal(const std::string &name, const char *found)
{
    check_says(thrown_by([&] { Shm<T> shm(name); }),
               {name, found, std::string("open it as Dao::Shm<") + found + ">"});
}

struct Kind {
    uint8_t code;
    const char *name;
    void (*round)(const Kind &kind);
    void (*refuse)(const std::string &name, const char *found);
};

template <typename T> void round_trip(const Kind &kind)
{
    std::vector<T> frame = ramp<T>(11);
    Shm<T> writer(path(kind.name), four_by_two, frame.data(), 3);
    Shm<T> reader(path(kind.name));
    int_fast8_t status = DAO_ERROR;

    ck_assert_uint_eq(reader.get_meta_data()->atype, kind.code);
    ck_assert(is_ramp(reader.get_frame(), 11));
    put(writer, 12, 13);
    ck_assert(is_ramp(reader.get_next_frame(false, status), 12));
    ck_assert(is_ramp(reader.get_next_frame(false, status), 13));
    ck_assert(is_ramp(reader.get_arbitrary_frame(0), 11));
}

template <typename T> constexpr Kind kind(uint8_t code, const char *name)
{
    return {code, name, round_trip<T>, expect_refusal<T>};
}

static const Kind kinds[] = {
    kind<uint8_t>(1, "uint8_t"),
    kind<int8_t>(2, "int8_t"),
    kind<uint16_t>(3, "uint16_t"),
    kind<int16_t>(4, "int16_t"),
    kind<uint32_t>(5, "uint32_t"),
    kind<int32_t>(6, "int32_t"),
    kind<uint64_t>(7, "uint64_t"),
    kind<int64_t>(8, "int64_t"),
    kind<float>(9, "float"),
    kind<double>(10, "double"),
    kind<complex_float>(11, "complex_float"),
    kind<complex_double>(12, "complex_double"),
    kind<std::complex<float>>(11, "complex_float"),
    kind<std::complex<double>>(12, "complex_double"),
};
constexpr int kind_count = static_cast<int>(std::size(kinds));

START_TEST(frames_of_each_element_type_come_back)
{
    kinds[_i].round(kinds[_i]);
}
END_TEST

START_TEST(a_segment_of_another_element_type_is_refused)
{
    const Kind &made = kinds[_i];

    made.round(made);
    for (const Kind &other : kinds)
        if (other.code != made.code)
            other.refuse(path(made.name), made.name);
}
END_TEST

START_TEST(both_kinds_of_complex_numbers_are_the_same_bytes)
{
    const std::complex<double> number(1.5, -2.5);
    Shm writer(path("complex"), {1, 1}, &number);
    Shm<complex_double> reader(path("complex"));

    ck_assert_double_eq(reader.get_frame()->re, 1.5);
    ck_assert_double_eq(reader.get_frame()->im, -2.5);
}
END_TEST

/* ---- exceptions ---- */

START_TEST(a_missing_file_is_named_with_a_remedy)
{
    check_says(thrown_by([] { Shm<float> shm(path("missing")); }),
               {path("missing"), "No such file", "start the program that creates it"});
}
END_TEST

START_TEST(what_is_not_a_segment_is_refused)
{
    std::ofstream(path("text")) << "no segment";
    check_says(thrown_by([] { Shm<float> shm(path("text")); }), {path("text"), "stderr"});
    check_says(thrown_by([] { Shm<float> shm(testbed::dir); }), {testbed::dir, "stderr"});
    check_says(thrown_by([] { Shm<float> shm(""); }), {"the name is empty"});
    check_says(thrown_by([] { Shm<float> shm(std::string("/tmp/a\0b", 8)); }), {"NUL"});
}
END_TEST

START_TEST(shapes_of_other_than_2_or_3_axes_are_refused)
{
    const std::string name = path("axes");

    check_says(thrown_by([&] { Shm<float> shm(name, {}); }), {name, "{}", "0 axes", "2 or 3"});
    check_says(thrown_by([&] { Shm<float> shm(name, {5}); }), {name, "{5}", "1 axes", "{n, 1}"});
    check_says(thrown_by([&] {
                   Shm<float> shm(name, {1, 2, 3, 4});
               }),
               {name, "{1, 2, 3, 4}", "4 axes", "2 or 3"});
    ck_assert(!std::filesystem::exists(name));
}
END_TEST

START_TEST(an_axis_of_0_and_a_depth_of_0_are_refused)
{
    const std::string name = path("nothing");

    check_says(thrown_by([&] { Shm<float> shm(name, {4, 0}); }), {name, "{4, 0}", "1 or more"});
    check_says(thrown_by([&] { Shm<float> shm(name, {0, 4, 4}); }), {name, "{0, 4, 4}"});
    check_says(thrown_by([&] { Shm<float> shm(name, four_by_two, nullptr, 0); }),
               {name, "depth is 0"});
    ck_assert(!std::filesystem::exists(name));
}
END_TEST

START_TEST(a_segment_that_no_memory_can_hold_is_refused)
{
    const std::string name = path("huge");

    check_says(thrown_by([&] {
                   Shm<double> shm(name, {UINT32_MAX, UINT32_MAX, UINT32_MAX});
               }),
               {name, "4294967295", "double", "ask for less"});
    check_says(thrown_by([&] {
                   Shm<double> shm(name, {65536, 65536}, nullptr, UINT32_MAX);
               }),
               {name, "depth 4294967295"});
    ck_assert(!std::filesystem::exists(name));
}
END_TEST

START_TEST(a_name_that_cannot_be_created_is_refused)
{
    const std::string nowhere = testbed::dir / "no such" / "x.im.shm";

    check_says(thrown_by([&] { Shm<float> shm(nowhere, four_by_two); }),
               {nowhere, "No such file", "choose a directory"});
    check_says(thrown_by([] { Shm<float> shm(testbed::dir, four_by_two); }),
               {testbed::dir, "what is in the way"});
    check_says(thrown_by([] { Shm<float> shm("", four_by_two); }), {"the name is empty"});
    check_says(thrown_by([] { Shm<float> shm(std::string("/tmp/a\0b", 8), four_by_two); }),
               {"NUL"});
}
END_TEST

/* Without root's rights until the end of the scope: what looks for leaks at exit needs them. */
class OrdinaryUser
{
  public:
    OrdinaryUser()
    {
        if (was_root_)
            ck_assert_int_eq(seteuid(65534), 0);
    }

    OrdinaryUser(const OrdinaryUser &) = delete;
    OrdinaryUser &operator=(const OrdinaryUser &) = delete;

    ~OrdinaryUser()
    {
        if (was_root_ && seteuid(0) < 0)
            abort();
    }

  private:
    const bool was_root_ = geteuid() == 0;
};

START_TEST(a_file_that_may_not_be_read_is_refused)
{
    Shm<float> made(path("secret"), four_by_two);

    ck_assert_int_eq(chmod(path("secret").c_str(), 0), 0);
    const OrdinaryUser ordinary;
    check_says(thrown_by([] { Shm<float> shm(path("secret")); }),
               {path("secret"), "Permission denied", "chmod"});
}
END_TEST

START_TEST(a_file_that_may_not_be_written_is_opened_for_reading)
{
    std::vector<float> frame = ramp<float>(5);
    Shm<float> made(path("read_only"), four_by_two, frame.data(), 2);

    ck_assert_int_eq(chmod(path("read_only").c_str(), 0444), 0);
    const OrdinaryUser ordinary;
    Shm<float> shm(path("read_only"));
    ck_assert(is_ramp(shm.get_frame(), 5));
    ck_assert_int_eq(shm.set_frame(frame.data()), DAO_ERROR);
    ck_assert_uint_eq(shm.get_counter(), 1);
}
END_TEST

int main()
{
    Suite *suite = suite_create("shm_cpp");
    TCase *all = tcase_create("all");

    tcase_add_loop_test(all, a_created_segment_is_what_was_asked_for, 0, 3);
    tcase_add_test(all, an_opened_segment_has_the_shape_it_was_made_with);
    tcase_add_loop_test(all, segments_made_through_c_are_opened, 0, 4);
    tcase_add_test(all, a_first_frame_is_published);
    tcase_add_test(all, without_a_first_frame_there_is_one_of_zeros);
    tcase_add_test(all, the_depth_is_1_where_none_is_given);
    tcase_add_test(all, the_element_type_is_deduced_from_the_frame);
    tcase_add_loop_test(all, frames_of_each_element_type_come_back, 0, kind_count);
    tcase_add_loop_test(all, a_segment_of_another_element_type_is_refused, 0, kind_count);
    tcase_add_test(all, both_kinds_of_complex_numbers_are_the_same_bytes);
    tcase_add_test(all, a_missing_file_is_named_with_a_remedy);
    tcase_add_test(all, what_is_not_a_segment_is_refused);
    tcase_add_test(all, shapes_of_other_than_2_or_3_axes_are_refused);
    tcase_add_test(all, an_axis_of_0_and_a_depth_of_0_are_refused);
    tcase_add_test(all, a_segment_that_no_memory_can_hold_is_refused);
    tcase_add_test(all, a_name_that_cannot_be_created_is_refused);
    tcase_add_test(all, a_file_that_may_not_be_read_is_refused);
    tcase_add_test(all, a_file_that_may_not_be_written_is_opened_for_reading);
    suite_add_tcase(suite, all);
    return testbed::run(suite);
}
