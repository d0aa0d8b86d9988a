/*
 * http.h - metrics and the status page over HTTP, read only, from a thread of its own:
 *
 *     /             the status page (page.html), which needs nothing else
 *     /status.json  the state (recording/state.h)
 *     /metrics      the same for Prometheus
 *
 * Whoever connects and is silent keeps his place for ever, until it is needed: then the one that
 * has been silent for longest is cut off. Built on libmicrohttpd where there is one at build time.
 */
#ifndef DAOREC_SERVE_HTTP_H
#define DAOREC_SERVE_HTTP_H

#include <stdbool.h>

#include "base/address.h"
#include "lib/layout.h"
#include "recording/state.h"

#define HTTP_CONNECTIONS_MAX 32u /* at once: so many descriptors it takes beside its own */

struct http;

/* Is it part of this program? */
bool http_is_built(void);

/* Listen and answer. `source` is copied, what it leads to is borrowed. 0, or negative errno with a
 * text: -ENOTSUP: this program has no HTTP; -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, ... */
int http_start(struct http **ret, const struct address *address, const struct state_source *source,
               struct dao_text *why);

/* Where it listens, with the port that it got. */
const char *http_address(const struct http *http);

/* Ends its thread; NULL is fine. */
void http_stop(struct http *http);

#endif
