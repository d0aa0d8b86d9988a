/*
 * supervisor_orders.h - what is asked of a recorder by order, from where it is heard to its answer:
 * at once, or after looking again and again at what is under way. For supervisor.c only, in its
 * thread; nothing here waits.
 */
#ifndef DAOREC_RECORD_SUPERVISOR_ORDERS_H
#define DAOREC_RECORD_SUPERVISOR_ORDERS_H

#include <stdbool.h>

struct session_config;
struct supervisor;

/* Read the configuration again, which is what the next session begins with. NULL with a text,
 * why[ORDER_WHY_BYTES]: it stays as it is. */
const struct session_config *supervisor_read_again(struct supervisor *sv, char *why);

/* All that was posted meanwhile. This one, and the two that go on and answer all: where there is a
 * queue of orders. */
void supervisor_hear_orders(struct supervisor *sv);

/* One look at everything that is under way; of each verb one at a time, in their order. */
void supervisor_go_on(struct supervisor *sv);

/* Is there anything that is to be looked at again soon? */
bool supervisor_is_under_way(const struct supervisor *sv);

/* A session began (0), or could not (negative errno, and why: "" or a text): whoever asked for it,
 * if anybody did, gets the answer. */
void supervisor_answer_start(struct supervisor *sv, int error, const char *why);

/* Its session is over, with this exit status: all that was asked of it gets an answer. */
void supervisor_answer_all(struct supervisor *sv, int status);

#endif
