/*
 * ask.h - the other end of control.h: ask a recorder, and wait for its answer. Any thread; blocks.
 */
#ifndef DAOREC_SERVE_ASK_H
#define DAOREC_SERVE_ASK_H

#include <stdint.h>

#include "lib/layout.h"

/* Of the time that is given so much, and a quarter at most, is for the answer: the recorder is
 * asked to answer before, that it is not done yet if need be. Without an answer nobody knows: it
 * may be done later, and the text says so. */
#define ASK_PATIENCE_NS 2000000000ll

/*
 * Ask for `verb` (text: NULL for none) at the socket `path` (NULL: the default one). The answer,
 * one line of JSON without its newline, malloc'ed, or NULL with a text: nobody listens there, or
 * there was no answer within timeout_ns.
 */
char *ask(const char *path, const char *verb, const char *text, int64_t timeout_ns,
          struct dao_text *why);

#endif
