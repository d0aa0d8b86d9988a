/*
 * request.h - one line of the control protocol: what is asked. Pure, any thread.
 */
#ifndef DAOREC_SERVE_REQUEST_H
#define DAOREC_SERVE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"

#define REQUEST_BYTES_MAX   2048u /* of a line, with its newline */
#define REQUEST_VERB_BYTES  32u
#define REQUEST_TEXT_BYTES  1024u
#define REQUEST_TIMEOUT_MS  30000 /* unless it says otherwise */
#define REQUEST_TIMEOUT_MAX 600000

struct request {
    char verb[REQUEST_VERB_BYTES];
    char text[REQUEST_TEXT_BYTES]; /* UTF-8; "" where there is none */
    int64_t timeout_ns;
};

/* From a line of so many bytes, without its newline. 0, or -EINVAL with a text. */
int request_read(struct request *ret, const char *line, size_t bytes, struct dao_text *why);

/* As a line with its newline, malloc'ed; text may be NULL. NULL: no memory, or no UTF-8. */
char *request_write(const char *verb, const char *text, int64_t timeout_ns);

#endif
