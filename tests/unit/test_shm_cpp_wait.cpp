/*
 * test_shm_cpp_wait.cpp - Dao::Shm: what a wait waits for, what ends it, and what it gives then.
 *
 * Nothing is said about how long a wait takes: whoever would wait for ever runs into Check's
 * time limit.
 */
#include "tests/support/testbed.hpp"

#include <atomic>
#include <csignal>
#include <limits>
#include <pthread.h>

using Dao::Shm;
using Dao::ShmSync;
using testbed::four_by_two;
using testbed::is_ramp;
using testbed::Later;
using testbed::path;
using testbed::put;
using testbed::ramp;
using testbed::rest;

static const uint32_t depths[] = {1, 2, 8};
constexpr int depth_count = static_cast<int>(std::size(depths));

static Shm<int32_t> make(uint32_t depth)
{
    return {path("wait"), four_by_two, nullptr, depth};
}

/* Publish a frame by a handle of one's own. */
static void publish()
{
    Shm<int32_t> writer(path("wait"));

    writer.set_frame(ramp<int32_t>(static_cast<int>(writer.get_counter()) + 1).data());
}

/* A thread that does something every few milliseconds until the end of the scope. */
class Again
{
  public:
    template <typename Act>
    explicit Again(Act act)
        : thread_([this, act]() mutable {
              while (!over_.load()) {
                  rest(5);
                  act();
              }
          })
    {
    }

    Again(const Again &) = delete;
    Again &operator=(const Again &) = delete;

    ~Again()
    {
        over_.store(true);
        thread_.join();
    }

  private:
    std::atomic<bool> over_{false};
    std::thread thread_;
};

/* ---- the next frame ---- */

START_TEST(a_blocked_reader_is_woken_by_the_next_frame)
{
    Shm<int32_t> reader = make(depths[_i]);

    for (int count = 1; count <= 5; count++) {
        Later writer(publish);
        int_fast8_t status = DAO_ERROR;
        uint64_t cnt0 = 0;
        const int32_t *frame = reader.get_next_frame(true, status, cnt0);

        ck_assert_int_eq(status, DAO_SUCCESS);
        ck_assert_uint_eq(cnt0, static_cast<uint64_t>(count));
        ck_assert(is_ramp(frame, count));
    }
}
END_TEST

START_TEST(a_restart_wakes_a_blocked_reader)
{
    Shm<int32_t> reader = make(depths[_i]);
    int_fast8_t status = DAO_ERROR;

    put(reader, 1, 3);
    reader.get_frame();
    Later restart([depth = depths[_i]] { make(depth); });
    ck_assert_ptr_nonnull(reader.get_next_frame(true, status));
    ck_assert_int_eq(status, DAO_OVERWRITE);
}
END_TEST

/* ---- semaphores ---- */

static const ShmSync semaphores[] = {
    ShmSync::SEM0, ShmSync::SEM1, ShmSync::SEM2, ShmSync::SEM3, ShmSync::SEM4, ShmSync::SEM5,
    ShmSync::SEM6, ShmSync::SEM7, ShmSync::SEM8, ShmSync::SEM9, ShmSync::SEM,
};
constexpr int semaphore_count = static_cast<int>(std::size(semaphores));

START_TEST(a_post_of_its_semaphore_wakes_a_reader)
{
    Shm<int32_t> reader = make(4);
    Later writer(publish);

    ck_assert(is_ramp(reader.get_frame(semaphores[_i]), 1));
}
END_TEST

START_TEST(a_post_of_its_semaphore_wakes_a_reader_in_time)
{
    Shm<int32_t> reader = make(4);
    Later writer(publish);

    ck_assert(is_ramp(reader.get_frame(semaphores[_i], 50), 1));
}
END_TEST

/* Of eleven names for ten semaphores, the last is the first. */
START_TEST(each_name_stands_for_one_semaphore_of_its_own)
{
    Shm<int32_t> reader = make(4);
    IMAGE image;

    ck_assert_int_eq(daoShmShm2Img(path("wait").c_str(), &image), DAO_SUCCESS);
    put(reader, 1);
    ck_assert_int_eq(daoSemPost(&image, _i), DAO_SUCCESS);
    for (int i = 0; i < semaphore_count - 1; i++)
        if (i != _i)
            ck_assert_ptr_nonnull(reader.get_frame(semaphores[i], 0)); /* the writer's post */
    for (int i = 0; i < semaphore_count - 1; i++)
        ck_assert(!reader.get_frame(semaphores[i], 0) == (i != _i));
    ck_assert_ptr_null(reader.get_frame(semaphores[_i], 0));
    ck_assert_int_eq(daoSemPost(&image, 0), DAO_SUCCESS);
    ck_assert_ptr_nonnull(reader.get_frame(ShmSync::SEM, 0));
    ck_assert_ptr_null(reader.get_frame(ShmSync::SEM0, 0));
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_post_that_is_there_ends_the_wait_at_once)
{
    Shm<int32_t> reader = make(4);

    put(reader, 1, 2);
    ck_assert(is_ramp(reader.get_frame(ShmSync::SEM4), 2));
    ck_assert(is_ramp(reader.get_frame(ShmSync::SEM5, 0), 2));
    ck_assert_ptr_null(reader.get_frame(ShmSync::SEM5, 0));
}
END_TEST

START_TEST(a_wait_for_a_semaphore_ends_when_its_time_is_over)
{
    Shm<int32_t> reader = make(4);
    int_fast8_t status = DAO_SUCCESS;

    ck_assert_ptr_null(reader.get_frame(ShmSync::SEM3, 0));
    ck_assert_ptr_null(reader.get_frame(ShmSync::SEM3, 1));
    ck_assert_ptr_null(reader.get_next_frame(false, status));
    ck_assert_int_eq(status, DAO_NOTREADY);
}
END_TEST

/* The sum with the time of day must not wrap: that would be a time in the past. */
START_TEST(any_number_of_seconds_is_a_time_to_come)
{
    const size_t seconds[] = {
        1000,
        1000000000,
        static_cast<size_t>(std::numeric_limits<time_t>::max()),
        static_cast<size_t>(std::numeric_limits<time_t>::max()) + 1,
        SIZE_MAX - 1700000000,
        SIZE_MAX,
    };

    for (size_t number : seconds) {
        Shm<int32_t> reader = make(4);
        Later writer(publish);

        ck_assert(is_ramp(reader.get_frame(ShmSync::SEM1, number), 1));
    }
}
END_TEST

/* ---- counts ---- */

START_TEST(spin_gives_a_frame_that_was_not_there_before)
{
    Shm<int32_t> reader = make(depths[_i]);

    put(reader, 1, 3);
    Again writer(publish);
    for (int round = 0; round < 5; round++) {
        const uint64_t before = reader.get_counter();

        ck_assert_ptr_nonnull(reader.get_frame(ShmSync::SPIN));
        ck_assert_uint_gt(reader.get_counter(), before);
    }
}
END_TEST

START_TEST(spin_outlives_a_restart_of_the_source)
{
    Shm<int32_t> reader = make(4);
    std::atomic<bool> is_published{false};

    put(reader, 1, 1000);
    Again source([&, restarts = 0]() mutable {
        if (restarts++ < 5) {
            make(4);
        } else {
            is_published.store(true);
            publish();
        }
    });
    ck_assert_ptr_nonnull(reader.get_frame(ShmSync::SPIN));
    ck_assert(is_published.load());
}
END_TEST

START_TEST(spin_for_a_count_that_is_there_ends_at_once)
{
    Shm<int32_t> reader = make(4);

    ck_assert_ptr_nonnull(reader.get_frame(ShmSync::SPIN, 0));
    put(reader, 1, 7);
    ck_assert(is_ramp(reader.get_frame(ShmSync::SPIN, 7), 7));
    ck_assert(is_ramp(reader.get_frame(ShmSync::SPIN, 2), 7));
}
END_TEST

START_TEST(spin_for_a_count_waits_until_it_is_reached)
{
    Shm<int32_t> reader = make(depths[_i]);
    Again writer(publish);

    ck_assert_ptr_nonnull(reader.get_frame(ShmSync::SPIN, 9));
    ck_assert_uint_ge(reader.get_counter(), 9);
}
END_TEST

START_TEST(spin_for_a_count_fails_when_the_source_restarts)
{
    Shm<int32_t> reader = make(4);

    put(reader, 1, 7);
    {
        Again restarts([] { make(4); });

        ck_assert_ptr_null(reader.get_frame(ShmSync::SPIN, 1000));
    }
    ck_assert_ptr_nonnull(reader.get_frame());
}
END_TEST

/* ---- what ends every wait ---- */

static int_fast8_t next_status;

static int32_t *wait_for_next(Shm<int32_t> &reader)
{
    return reader.get_next_frame(true, next_status);
}

static int32_t *wait_for_semaphore(Shm<int32_t> &reader)
{
    next_status = DAO_ERROR;
    return reader.get_frame(ShmSync::SEM2);
}

static int32_t *wait_for_semaphore_in_time(Shm<int32_t> &reader)
{
    next_status = DAO_ERROR;
    return reader.get_frame(ShmSync::SEM2, 1000);
}

static int32_t *wait_for_counter(Shm<int32_t> &reader)
{
    next_status = DAO_ERROR;
    return reader.get_frame(ShmSync::SPIN);
}

static int32_t *wait_for_target(Shm<int32_t> &reader)
{
    next_status = DAO_ERROR;
    return reader.get_frame(ShmSync::SPIN, 1000);
}

static int32_t *(*const waits[])(Shm<int32_t> &reader) = {
    wait_for_next,    wait_for_semaphore, wait_for_semaphore_in_time,
    wait_for_counter, wait_for_target,
};
constexpr int wait_count = static_cast<int>(std::size(waits));

static void truncate_it()
{
    if (truncate(path("wait").c_str(), 100) < 0)
        perror("truncate");
}

static void remove_it()
{
    std::filesystem::remove(path("wait"));
}

static void (*const endings[])() = {truncate_it, remove_it};
constexpr int ending_count = static_cast<int>(std::size(endings));

START_TEST(a_segment_that_goes_away_ends_every_wait)
{
    Shm<int32_t> reader = make(4);
    Later ending(endings[_i / wait_count]);

    ck_assert_ptr_null(waits[_i % wait_count](reader));
    ck_assert_int_eq(next_status, DAO_ERROR);
}
END_TEST

static void note_nothing(int)
{
}

START_TEST(a_signal_whose_handler_ran_ends_every_wait)
{
    Shm<int32_t> reader = make(4);
    const pthread_t waiter = pthread_self();
    struct sigaction action = {};
    int32_t *frame;
    int error;

    action.sa_handler = note_nothing;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, nullptr), 0);
    {
        Again signals([waiter] { pthread_kill(waiter, SIGUSR1); });

        frame = waits[_i](reader);
        error = errno;
    }
    ck_assert_ptr_null(frame);
    ck_assert_int_eq(next_status, DAO_ERROR);
    ck_assert_int_eq(error, EINTR);
    put(reader, 1);
    ck_assert(is_ramp(reader.get_next_frame(true, next_status), 1));
}
END_TEST

START_TEST(a_sync_that_is_none_is_refused)
{
    Shm<int32_t> reader = make(4);
    const int32_t values[] = {-1, 13, INT32_MIN, INT32_MAX};

    put(reader, 1);
    for (int32_t value : values) {
        ck_assert_ptr_null(reader.get_frame(static_cast<ShmSync>(value)));
        ck_assert_ptr_null(reader.get_frame(static_cast<ShmSync>(value), 1));
    }
}
END_TEST

int main()
{
    Suite *suite = suite_create("shm_cpp_wait");
    TCase *all = tcase_create("all");

    tcase_add_loop_test(all, a_blocked_reader_is_woken_by_the_next_frame, 0, depth_count);
    tcase_add_loop_test(all, a_restart_wakes_a_blocked_reader, 0, depth_count);
    tcase_add_loop_test(all, a_post_of_its_semaphore_wakes_a_reader, 0, semaphore_count);
    tcase_add_loop_test(all, a_post_of_its_semaphore_wakes_a_reader_in_time, 0, semaphore_count);
    tcase_add_loop_test(all, each_name_stands_for_one_semaphore_of_its_own, 0, IMAGE_NB_SEMAPHORE);
    tcase_add_test(all, a_post_that_is_there_ends_the_wait_at_once);
    tcase_add_test(all, a_wait_for_a_semaphore_ends_when_its_time_is_over);
    tcase_add_test(all, any_number_of_seconds_is_a_time_to_come);
    tcase_add_loop_test(all, spin_gives_a_frame_that_was_not_there_before, 0, depth_count);
    tcase_add_test(all, spin_outlives_a_restart_of_the_source);
    tcase_add_test(all, spin_for_a_count_that_is_there_ends_at_once);
    tcase_add_loop_test(all, spin_for_a_count_waits_until_it_is_reached, 0, depth_count);
    tcase_add_test(all, spin_for_a_count_fails_when_the_source_restarts);
    tcase_add_loop_test(all, a_segment_that_goes_away_ends_every_wait, 0,
                        wait_count * ending_count);
    tcase_add_loop_test(all, a_signal_whose_handler_ran_ends_every_wait, 0, wait_count);
    tcase_add_test(all, a_sync_that_is_none_is_refused);
    suite_add_tcase(suite, all);
    return testbed::run(suite);
}
