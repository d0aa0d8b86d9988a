/*
 * metrics.h - a session's state as text for Prometheus (exposition format 0.0.4): what the metrics
 * are called and what they mean is one table in metrics.c. Pure functions, any thread.
 */
#ifndef DAOREC_SERVE_METRICS_H
#define DAOREC_SERVE_METRICS_H

#include <stddef.h>

#include "recording/state.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* malloc'ed, NUL-terminated; NULL without memory. Without a session only what is of the program,
 * and the counts of those that have ended. */
char *metrics_format(const struct session_state *state, size_t *ret_bytes);

/* A label's value as it stands between its quotes, cut to bytes - 1, never within an escape.
 * Returns text. */
char *metrics_escape(char *text, size_t bytes, const char *value);

#endif
