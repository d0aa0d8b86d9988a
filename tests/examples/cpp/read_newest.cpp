/*
 * read_newest.cpp - show the newest frame, at the reader's own pace: what is published in between
 * is skipped.
 *
 *     g++ -std=c++17 -o read_newest read_newest.cpp $(pkg-config --cflags --libs dao)
 *     ./read_newest /dev/shm/example.im.shm [TIMES]
 */
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "daoShm.hpp"

static void show(const std::string &name, int times)
{
    Dao::Shm<float> shm(name);

    for (const uint32_t size : shm.get_shape())
        std::cout << size << ' ';
    std::cout << "now " << shm.get_counter() << ' ' << shm.get_frame()[0] << '\n';

    for (int i = 0; i < times; i++) {
        // Wait at most 2 seconds for a post. A semaphore wakes one reader: take one that no other
        // program waits for. ShmSync::SPIN waits for the count, as many readers as you like.
        const float *pixels = shm.get_frame(Dao::ShmSync::SEM3, 2);

        if (!pixels)
            throw std::runtime_error(name + ": no frame for 2 seconds, or removed");
        std::cout << pixels[0] << std::endl;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

int main(int argc, char **argv)
{
    try {
        show(argc > 1 ? argv[1] : "/dev/shm/example.im.shm", argc > 2 ? std::atoi(argv[2]) : 10);
    } catch (const std::runtime_error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
