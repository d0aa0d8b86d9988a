/*
 * create_write.cpp - create a segment of 64 x 64 floats that holds the last 8 frames, and write
 * frames into it, 100 a second.
 *
 *     g++ -std=c++17 -o create_write create_write.cpp $(pkg-config --cflags --libs dao)
 *     ./create_write /dev/shm/example.im.shm [FRAMES]
 */
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <vector>

#include "daoShm.hpp"

static void write(const std::string &name, int frames)
{
    // Over a segment of the same shape this begins a new run; readers go on. The file stays
    // afterwards; remove it (and /dev/shm/sem.example_sem*) when nobody needs it any more.
    Dao::Shm<float> shm(name, {64, 64}, nullptr, /*depth=*/8);
    std::vector<float> frame(shm.get_element_count());

    for (int i = 1; i <= frames; i++) {
        std::fill(frame.begin(), frame.end(), static_cast<float>(i));
        if (shm.set_frame(frame.data()) != DAO_SUCCESS)
            throw std::runtime_error(name + ": the segment was truncated");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::cout << "last count " << shm.get_counter() << " at " << shm.get_timestamp() << " ns\n";
}

int main(int argc, char **argv)
{
    try {
        write(argc > 1 ? argv[1] : "/dev/shm/example.im.shm", argc > 2 ? std::atoi(argv[2]) : 1000);
    } catch (const std::runtime_error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
