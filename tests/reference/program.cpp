/*
 * program.cpp - the C++ snippets of the reference page; see program.c. One thread.
 *
 *     program create N | sequential N | newest N | history N
 */
#include <string>

#include "daoShm.hpp"
#include "tests/reference/report.h"

static void create_and_write(unsigned long wanted)
{
#include "cpp_create.inc"
    static float frame[REPORT_PIXELS];

    for (unsigned long count = 1; count <= wanted; count++) {
        report_fill(frame, count);
#include "cpp_write.inc"
    }
}

static void read_in_sequence(unsigned long wanted)
{
#include "cpp_sequential.inc"
}

/* `wanted` looks, one at every line on stdin. */
static void read_the_newest(unsigned long wanted)
{
    Dao::Shm<float> shm(SHM_PATH);

    for (unsigned long n = 0; n < wanted && std::cin.get() == '\n'; n++) {
#include "cpp_newest.inc"
        report_frame(data);
    }
}

static void read_past_frames(unsigned long wanted)
{
    Dao::Shm<float> shm(SHM_PATH);

    for (unsigned long fifo_idx = 0; fifo_idx < wanted; fifo_idx++) {
#include "cpp_history.inc"
        report_frame(data);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        std::string name;
        void (*run)(unsigned long wanted);
    } snippets[] = {
        {"create", create_and_write},
        {"sequential", read_in_sequence},
        {"newest", read_the_newest},
        {"history", read_past_frames},
    };

    for (const auto &snippet : snippets)
        if (argc == 3 && snippet.name == argv[1]) {
            snippet.run(std::stoul(argv[2]));
            return 0;
        }
    return 2;
}
