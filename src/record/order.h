/*
 * order.h - what is asked of a running recorder, on its way from whoever hears it to the thread
 * that runs the session, and the answer back.
 *
 *     any thread --order_post()--> queue --event_fd, order_take()--> supervisor
 *     reply(), in the supervisor's thread <---------- order_answer() -------/
 *
 * The queue is bounded, nobody waits: what finds it full is refused.
 */
#ifndef DAOREC_RECORD_ORDER_H
#define DAOREC_RECORD_ORDER_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "recording/ledger.h"

#define ORDERS_MAX      32u   /* waiting or being done */
#define ORDER_WHY_BYTES 2048u /* of a reason: no line of the log is longer */

enum order_verb {
    ORDER_STATUS,
    ORDER_START,
    ORDER_STOP,
    ORDER_ROLL,
    ORDER_MARK,
    ORDER_RELOAD,
};
extern const char *const order_names[]; /* by verb; NULL-terminated */

struct order {
    enum order_verb verb;
    char text[LEDGER_MARK_BYTES]; /* of a mark; else "" */
    int64_t deadline_ns;          /* monotonic: by then it is answered, done or not */
    uint64_t token;               /* the asker's, for the answer */
};

struct order_queue {
    pthread_mutex_t lock;
    struct order items[ORDERS_MAX];
    unsigned count;
    int event_fd; /* readable while there may be any */
    /* Where answers go: one line of JSON without its newline, malloc'ed, the receiver's to free;
     * NULL without memory. Set before anything is posted. */
    void (*reply)(void *ctx, uint64_t token, char *json);
    void *ctx;
};

/* 0 or negative errno. order_queue_fini() is safe on a zeroed one. */
int order_queue_init(struct order_queue *queue);
void order_queue_fini(struct order_queue *queue);

/*
 * The order that was asked for by these words; text may be NULL. 0, or -EINVAL with a text: there
 * is no such verb, it takes a text and has none or has one and takes none, or the text is too long,
 * no UTF-8, or holds control characters.
 */
int order_parse(struct order *ret, const char *verb, const char *text, struct dao_text *why);

/* Any thread. False: there are too many. */
bool order_post(struct order_queue *queue, const struct order *order);

/* Supervisor: the next one; false: none. Clears the event. */
bool order_take(struct order_queue *queue, struct order *ret);

/* Supervisor: this is the answer; takes the reference. "ok" and "verb" are put in front. */
void order_answer(struct order_queue *queue, const struct order *order, bool ok, json_t *answer);
/* The same for what was not done: {"error": ...}, up to ORDER_WHY_BYTES. */
void order_refuse(struct order_queue *queue, const struct order *order, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
