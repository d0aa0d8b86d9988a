/*
 * steering.h - the control socket of a recorder, and the orders that come over it for its
 * supervisor. Main thread.
 */
#ifndef DAOREC_CLI_STEERING_H
#define DAOREC_CLI_STEERING_H

#include "record/order.h"
#include "serve/control.h"

struct steering {
    struct order_queue orders;
    struct control *control;
};

/* Listen at `path` (NULL or "": the default one). 0 or negative errno with a text. */
int steering_open(struct steering *steering, const char *path, struct dao_text *text);

/* After the supervisor; safe on a zeroed one. */
void steering_close(struct steering *steering);

#endif
