/*
 * wait.h - waiting for the next frame by looking at its count: no semaphore, no burnt core.
 */
#ifndef DAO_WAIT_H
#define DAO_WAIT_H

#include <stdint.h>

#include "lib/reader.h"

struct dao_wait_policy {
    int64_t spin_ns;  /* poll without sleeping for this long first */
    int64_t sleep_ns; /* then sleep this long between looks (CLOCK_MONOTONIC) */
};

#define DAO_WAIT_FOREVER INT64_MAX

/*
 * Wait until a frame or a restart is there. deadline_ns: CLOCK_MONOTONIC, or DAO_WAIT_FOREVER.
 * 1: begin() has something to say. 0: deadline. -EINTR: a signal handler ran. -ESTALE: truncated,
 * replaced or gone (the path is compared after 100 ms without a frame, then every 100 ms).
 */
int dao_reader_wait(struct dao_reader *r, int64_t deadline_ns,
                    const struct dao_wait_policy *policy);

#endif
