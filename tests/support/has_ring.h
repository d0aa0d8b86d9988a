/*
 * has_ring.h - whether this machine has an io_uring: programs that test nothing else are skipped
 * where there is none, in main() by exit status 77 (see tests/run).
 */
#ifndef TESTS_HAS_RING_H
#define TESTS_HAS_RING_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "io/engine.h"

#define EXIT_SKIPPED 77

/* If not it says so. */
static inline bool has_ring(void)
{
    struct io_engine *engine;
    int r = io_engine_create(&engine, IO_ENGINE_URING, 4, NULL);

    if (r < 0)
        fprintf(stderr, "no io_uring on this machine: %s\n", strerror(-r));
    else
        io_engine_destroy(engine);
    return r == 0;
}

#endif
