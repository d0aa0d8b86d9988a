/*
 * control.h - a recorder's control socket: one thread that hears what clients ask, hands it on, and
 * gives them the answers.
 *
 * The protocol: a request is a line with one JSON object, and so is its answer.
 *
 *     {"verb": "mark", "text": "loop closed", "timeout_ms": 30000}     the last two: if need be
 *     {"ok": true, "verb": "mark", ...}                or {"ok": false, "error": "why", ...}
 *
 * Several clients may be connected; each gets its answers in the order of its requests. The thread
 * sleeps while nobody asks. What clients may do wrong, without any harm to the recorder:
 *
 *   nonsense, unknown keys or verbs        an answer that says so
 *   a line without an end                  refused at REQUEST_BYTES_MAX, the client is closed
 *   more and more requests, connections    a budget for all of them together; what is beyond waits
 *                                          in the system's buffers, which are bounded
 *   answers are not read                   nothing more of that client is read; it is closed after
 *                                          CONTROL_SLOW_NS
 *   silence                                for ever, until its place is needed: CONTROL_CLIENTS_MAX
 *   closing one direction, or both         what was asked is done, answers go out if they can
 */
#ifndef DAOREC_SERVE_CONTROL_H
#define DAOREC_SERVE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/layout.h"
#include "serve/request.h"

#define CONTROL_CLIENTS_MAX 16u
#define CONTROL_SLOW_NS     10000000000ll
#define CONTROL_BURST       50.0 /* requests and connections at once ... */
#define CONTROL_PER_S       50.0 /* ... and on average */

struct control;

/* Who does what is asked. */
struct control_handler {
    /* The control thread; must not block. True: taken, control_reply() follows. False: why not. */
    bool (*take)(void *ctx, const struct request *request, uint64_t token, struct dao_text *why);
    void *ctx;
};

/* Listen at `path` (NULL: the default one) and start the thread, which takes no signals. The
 * handler is copied. 0 or negative errno with a text. */
int control_open(struct control **ret, const char *path, const struct control_handler *handler,
                 struct dao_text *text);

/* Where it listens. */
const char *control_path(const struct control *control);

/* Any thread: the answer to a request that was taken, one line of JSON without its newline,
 * malloc'ed, freed here; NULL: there was no memory for it. Dropped where the client is gone. */
void control_reply(struct control *control, uint64_t token, char *json);

/* Give out the answers that there are, end the thread, remove the socket. NULL is allowed. */
void control_close(struct control *control);

#endif
