/*
 * supervisor.h - a recorder's life: one session after the other, the signals, and what is asked of
 * it by order. Runs in the thread that calls it, which is the sessions' thread; once a process.
 *
 * What happens at                     SIGINT, SIGTERM     the session ends by itself   `stop`
 *   without orders                  the process ends    the process ends             -
 *   with, a session from the start    the process ends    the process ends             waits on
 *   with, idle or after a `start`     the process ends    waits on                     waits on
 *
 * SIGINT or SIGTERM once more gives up what is still in the FIFOs; when the sessions have ended,
 * what their commands are still to be told. SIGUSR1 starts the next files.
 * SIGHUP ends like SIGTERM, as a terminal that is closed does; of a service (orders, or a
 * configuration that can be read again) it means reload, but for one whose terminal is gone.
 */
#ifndef DAOREC_RECORD_SUPERVISOR_H
#define DAOREC_RECORD_SUPERVISOR_H

#include <stdbool.h>

#include "record/order.h"
#include "record/session.h"

struct supervisor_setup {
    struct order_queue *orders; /* NULL: nobody asks; else its reply() is set */
    bool idle;                  /* wait for `start`; only with orders */
    /*
     * Read the configuration again. Returns it, valid until it is released or supervisor_run() has
     * returned; or NULL with a text that says what is wrong with it, and in which file: then the
     * old one stays. It may be one that was returned before. NULL: there is nothing to read.
     * why[ORDER_WHY_BYTES].
     */
    const struct session_config *(*reload)(void *ctx, char *why);
    /* Nobody uses this one any more, which reload() returned; never that of supervisor_run(). NULL:
     * all of them stay. */
    void (*release)(void *ctx, const struct session_config *config);
    void *ctx;
};

/*
 * Record as `config` has it, borrowed; setup: NULL for a recorder that nobody asks anything. Blocks
 * and handles SIGINT, SIGTERM, SIGHUP and SIGUSR1. Returns the exit status: that of its session;
 * of several: 1 if one failed, else 3 if one lost frames, else 0.
 */
int supervisor_run(const struct session_config *config, const struct supervisor_setup *setup);

#endif
