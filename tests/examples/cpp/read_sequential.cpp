/*
 * read_sequential.cpp - read every frame, one after the other, as they are published.
 *
 *     g++ -std=c++17 -o read_sequential read_sequential.cpp $(pkg-config --cflags --libs dao)
 *     ./read_sequential /dev/shm/example.im.shm [FRAMES]
 */
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <vector>

#include "daoShm.hpp"

static void read(const std::string &name, int frames)
{
    Dao::Shm<float> shm(name); // throws where the elements are not floats
    std::vector<float> frame(shm.get_element_count());

    for (int taken = 0; taken < frames; taken++) {
        int_fast8_t status;
        uint64_t cnt0 = 0;
        const float *pixels = shm.get_next_frame(/*wait=*/true, status, cnt0);

        if (!pixels)
            throw std::runtime_error(name + ": removed or replaced, or a signal came");
        // Too slow, or the source restarted: this is the newest frame, some are lost.
        if (status == DAO_OVERWRITE)
            std::cerr << "frames were lost before " << cnt0 << '\n';

        // The pixels are in shared memory, where the writer comes round again: copy, then ask.
        std::copy(pixels, pixels + frame.size(), frame.begin());
        if (shm.check_segment_overwrite() != DAO_SUCCESS) {
            std::cerr << "overwritten while it was copied: " << cnt0 << '\n';
            continue;
        }
        std::cout << cnt0 << ' '
                  << std::accumulate(frame.begin(), frame.end(), 0.0) /
                         static_cast<double>(frame.size())
                  << std::endl;
    }
}

int main(int argc, char **argv)
{
    try {
        read(argc > 1 ? argv[1] : "/dev/shm/example.im.shm", argc > 2 ? std::atoi(argv[2]) : 1000);
    } catch (const std::runtime_error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
