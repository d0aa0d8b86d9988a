/* steering.c - see steering.h. */
#include "cli/steering.h"

#include <stdio.h>
#include <string.h>

#include "lib/clock.h"

/* The control thread. */
static bool take(void *ctx, const struct request *request, uint64_t token, struct dao_text *why)
{
    struct steering *steering = ctx;
    struct order order;

    if (order_parse(&order, request->verb, request->text, why) < 0)
        return false;
    order.token = token;
    order.deadline_ns = dao_clock_mono_ns() + request->timeout_ns;
    if (order_post(&steering->orders, &order))
        return true;
    snprintf(why->s, sizeof why->s, "too much is asked at a time; try again");
    return false;
}

static void reply(void *ctx, uint64_t token, char *json)
{
    struct steering *steering = ctx;

    control_reply(steering->control, token, json);
}

int steering_open(struct steering *steering, const char *path, struct dao_text *text)
{
    const struct control_handler handler = {.take = take, .ctx = steering};
    int r = order_queue_init(&steering->orders);

    steering->control = NULL;
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "cannot hear orders: %s", strerror(-r));
        return r;
    }
    steering->orders.reply = reply;
    steering->orders.ctx = steering;
    r = control_open(&steering->control, path && path[0] ? path : NULL, &handler, text);
    if (r < 0)
        order_queue_fini(&steering->orders);
    return r;
}

void steering_close(struct steering *steering)
{
    control_close(steering->control);
    order_queue_fini(&steering->orders);
    steering->control = NULL;
}
