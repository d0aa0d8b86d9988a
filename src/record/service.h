/*
 * service.h - what a service manager hears of a recorder: READY=1 once it records or waits for
 * segments, STATUS= with the live line, WATCHDOG=1 as long as everything moves, STOPPING=1. Of
 * nothing but a datagram now and then; without a manager nothing at all. Main thread.
 *
 * The watchdog is fed by progress, not by the clock: only if every drain, the writer, both keepers
 * and the disk (for each stream, what was sent to it) have moved, or had nothing to do, within half
 * of the time that the manager allows. A source that is silent is none of that: its drain looks on.
 */
#ifndef DAOREC_RECORD_SERVICE_H
#define DAOREC_RECORD_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/notify.h"
#include "record/writer.h"

struct service {
    struct notify notify;
    /* whose pulses are looked at, while it records; borrowed */
    struct record_stream *const *streams;
    unsigned count;
    struct writer *writer;
    int64_t fed_ns, told_ns; /* monotonic: when it was fed, and told its status */
    const char *waits_for;   /* NULL: it records */
    bool is_ready, is_stuck, is_stopping;
};

void service_open(struct service *service);
void service_close(struct service *service);

/* Nothing is recorded, since what `line` says is waited for: a constant text, told at once when it
 * is another. May be called as often as one likes. */
void service_wait(struct service *service, const char *line, int64_t now_ns);

/* Is a line wanted, at the next call of the following? */
bool service_is_due(const struct service *service, int64_t now_ns);

/* It records: once or twice a second. `line`: how it goes, where that is due. */
void service_look(struct service *service, const char *line, int64_t now_ns);

/* The end has come, or was asked for; the manager does not watch from here on. */
void service_stop(struct service *service);

/* Which of the pulses has not moved for `most_ns`, for a message; false: none. */
bool service_find_stuck(struct service *service, int64_t most_ns, int64_t now_ns, char *text,
                        size_t text_bytes);

#endif
