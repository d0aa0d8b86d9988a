/*
 * screen.h - what a person sees while segments are watched: a screen of so many rows (24 of 80
 * columns are enough for seven streams), or one line. The main thread.
 */
#ifndef DAOREC_MEASURE_SCREEN_H
#define DAOREC_MEASURE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure/watch.h"

/* One stream, as it stands, and what it was when it was shown last. */
struct screen_stream {
    const char *name;
    struct watch_view view;
    bool each_frame;
    uint64_t seen_before;   /* at time_before_ns; kept here */
    int64_t time_before_ns; /* monotonic, of the view; 0: never shown */
    double rate_hz;         /* frames seen a second since then */
};

/* To be called with each new view, before one of the others. */
void screen_note(struct screen_stream *stream);

/* What fits into so many rows, lines separated by newlines, into ret of ret_bytes. Who shows it
 * cuts the lines. */
void screen_format(char *ret, size_t ret_bytes, const struct screen_stream *streams, unsigned count,
                   int64_t elapsed_ns, unsigned rows);

/* All streams in one line. */
void screen_format_line(char *ret, size_t ret_bytes, const struct screen_stream *streams,
                        unsigned count);

/* Is the FIFO too shallow for this reader? A sentence, "" where it is deep enough. */
void screen_format_depth(char *ret, size_t ret_bytes, const struct watch_view *view,
                         bool each_frame);

/* The depth that is needed: for all but one in a thousand looks (or frames), and for all of them.
 * 0: the rate is not known. */
void screen_depth_needed(const struct watch_view *view, bool each_frame, uint32_t *ret_usual,
                         uint32_t *ret_most);

#endif
