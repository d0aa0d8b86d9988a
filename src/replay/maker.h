/*
 * maker.h - the thread that makes segments anew, so that the one that publishes does not: memory is
 * reserved, cleared and faulted in, and a lock may have to be waited for (target.h). Other streams
 * go on meanwhile.
 *
 *     player:  maker_ask(), then nothing with that target     maker: target_create()
 *              until maker_is_done()
 *
 * What can go wrong is in the order, and for the player to tell. At the end an order that is being
 * carried out is finished, and those behind it are left.
 */
#ifndef DAOREC_REPLAY_MAKER_H
#define DAOREC_REPLAY_MAKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/queue.h"
#include "replay/target.h"

/* One of each stream at a time. */
struct maker_order {
    struct target *target;
    const struct series_part *part;
    uint64_t cnt0; /* of the slot before the first frame */
    /* valid once it is done: */
    int64_t done_ns;      /* monotonic */
    int error;            /* negative errno */
    struct dao_text text; /* why; empty: the target is no longer whole, as target_check() says */
    atomic_bool is_done;
};

struct maker {
    struct io_queue orders; /* of pointers */
    sem_t wake;
    atomic_bool ends;
    pthread_t thread;
};

/* For so many streams. 0 or -ENOMEM; without the thread, whose function is maker_run(). */
int maker_init(struct maker *maker, unsigned streams);
void *maker_run(void *ctx);

/* The thread is to end; the caller then joins it. */
void maker_end(struct maker *maker);
void maker_fini(struct maker *maker); /* after the thread has ended; safe on a zeroed one */

/* Player: carry this out; it stays where it is until it is done. */
void maker_ask(struct maker *maker, struct maker_order *order);

/* Player: is it, or was there none? Then the target is the player's again. */
bool maker_is_done(const struct maker_order *order);

#endif
