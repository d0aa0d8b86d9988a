/*
 * testbed.hpp - what the C++ tests share: a directory of their own, names of segments in it, frames
 * that can be told apart, and a thread that does something a moment later.
 *
 * A test program includes this once and ends in testbed::run(). Directory and semaphores have the
 * process's number in their names, so copies of the suite may run side by side, and both are
 * removed however the tests end.
 */
#ifndef TESTS_TESTBED_HPP
#define TESTS_TESTBED_HPP

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include <check.h>

#include "lib/daoShm.hpp"
#include "tests/support/suite.h"

namespace testbed
{

inline std::filesystem::path dir;
inline std::string prefix;

/* ---- directory ---- */

/* Path of a segment in the tests' directory. */
inline std::string path(const std::string &name)
{
    return dir / (prefix + "_" + name + ".im.shm");
}

inline void remove_everything()
{
    std::error_code ignored;

    std::filesystem::remove_all(dir, ignored);
    for (const auto &entry : std::filesystem::directory_iterator("/dev/shm", ignored))
        if (entry.path().filename().string().rfind("sem." + prefix + "_", 0) == 0)
            std::filesystem::remove(entry.path(), ignored);
}

/* Run a suite between making the directory and removing it. The program's exit status. */
inline int run(Suite *suite)
{
    const char *parent = std::getenv("TMPDIR");
    std::string name = std::string(parent && *parent ? parent : "/dev/shm") + "/daorec-test.XXXXXX";
    int failed;

    prefix = "dt" + std::to_string(getpid());
    /* Others may look in: some tests drop root's rights. */
    if (!mkdtemp(name.data()) || chmod(name.c_str(), 0711) < 0) {
        perror(name.c_str());
        return 1;
    }
    dir = name;
    failed = suite_run(suite);
    remove_everything();
    return failed;
}

/* ---- frames ---- */

inline const Dao::Shape four_by_two = {4, 2};
constexpr size_t elements = 8;

/* A frame whose elements are first, first + 1, ... */
template <typename T> std::vector<T> ramp(int first, size_t count = elements)
{
    std::vector<T> frame(count);

    for (size_t i = 0; i < count; i++)
        if constexpr (std::is_arithmetic_v<T>)
            frame[i] = static_cast<T>(first + static_cast<int>(i));
        else if constexpr (std::is_class_v<T> && sizeof(T) == sizeof(complex_float))
            frame[i] = T{static_cast<float>(first + static_cast<int>(i)), -1};
        else
            frame[i] = T{static_cast<double>(first + static_cast<int>(i)), -1};
    return frame;
}

template <typename T> bool is_ramp(const T *pixels, int first, size_t count = elements)
{
    return pixels && std::memcmp(pixels, ramp<T>(first, count).data(), count * sizeof(T)) == 0;
}

/* Publish the ramps first .. last. */
template <typename T> void put(Dao::Shm<T> &shm, int first, int last)
{
    for (int i = first; i <= last; i++)
        ck_assert_int_eq(shm.set_frame(ramp<T>(i, shm.get_element_count()).data()), DAO_SUCCESS);
}

template <typename T> void put(Dao::Shm<T> &shm, int first)
{
    put(shm, first, first);
}

/* ---- exceptions ---- */

/* What the runtime_error says; no other exception, and none at all, will do. */
template <typename Act> std::string thrown_by(Act act)
{
    try {
        act();
    } catch (const std::runtime_error &error) {
        return error.what();
    }
    ck_abort_msg("nothing was thrown");
    return "";
}

inline void check_says(const std::string &text, std::initializer_list<std::string> parts)
{
    for (const std::string &part : parts)
        ck_assert_msg(text.find(part) != std::string::npos, "\"%s\" is not in: %s", part.c_str(),
                      text.c_str());
}

/* ---- later ---- */

inline void rest(int ms)
{
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/* A thread that does something once, after a moment. Joined at the end of the scope. */
class Later
{
  public:
    template <typename Act>
    explicit Later(Act act)
        : thread_([act]() mutable {
              rest(15);
              act();
          })
    {
    }

    Later(const Later &) = delete;
    Later &operator=(const Later &) = delete;

    ~Later()
    {
        thread_.join();
    }

  private:
    std::thread thread_;
};

} // namespace testbed

#endif
