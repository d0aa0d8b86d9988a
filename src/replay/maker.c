/* maker.c - see maker.h. */
#include "replay/maker.h"

#include <errno.h>

#include "lib/clock.h"

int maker_init(struct maker *maker, unsigned streams)
{
    int r;

    *maker = (struct maker){0};
    r = io_queue_init(&maker->orders, streams, sizeof(struct maker_order *));
    if (r == 0)
        sem_init(&maker->wake, 0, 0);
    return r;
}

void maker_fini(struct maker *maker)
{
    if (maker->orders.items)
        sem_destroy(&maker->wake);
    io_queue_fini(&maker->orders);
}

void maker_ask(struct maker *maker, struct maker_order *order)
{
    atomic_store_explicit(&order->is_done, false, memory_order_relaxed);
    io_queue_push(&maker->orders, &order); /* there is a place for each stream */
    sem_post(&maker->wake);
}

bool maker_is_done(const struct maker_order *order)
{
    /* acquire: pairs with the release in carry_out() */
    return !order->target || atomic_load_explicit(&order->is_done, memory_order_acquire);
}

static void carry_out(struct maker_order *order)
{
    order->text.s[0] = '\0';
    order->error = target_check(order->target);
    if (order->error == 0)
        order->error = target_create(order->target, order->part, order->cnt0, &order->text);
    order->done_ns = dao_clock_mono_ns();
    /* release: the target, and what became of the order; pairs with the acquire in
     * maker_is_done() */
    atomic_store_explicit(&order->is_done, true, memory_order_release);
}

void *maker_run(void *ctx)
{
    struct maker *maker = ctx;
    struct maker_order *const *place, *order;

    for (;;) {
        while (sem_wait(&maker->wake) < 0 && errno == EINTR)
            ;
        if (atomic_load_explicit(&maker->ends, memory_order_relaxed))
            return NULL;
        place = io_queue_peek(&maker->orders);
        if (!place)
            continue;
        order = *place;
        io_queue_pop(&maker->orders); /* before it is done, when the next one may be asked for */
        carry_out(order);
    }
}

void maker_end(struct maker *maker)
{
    atomic_store_explicit(&maker->ends, true, memory_order_relaxed);
    sem_post(&maker->wake);
}
