/*
 * output.h - has what was printed to stdout arrived? For verbs that go on for long, and for main()
 * at the end. One thread.
 *
 * Who prints waits until somebody reads it, which is for ever where nobody does: a pager that was
 * stopped, a pipe whose reader hangs. A recorder that goes on must not wait for that, and one that
 * ends must end all the same when it is asked to: see output_guard().
 */
#ifndef DAOREC_BASE_OUTPUT_H
#define DAOREC_BASE_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

/* Has the other end of a pipe, or of a terminal, been closed? */
bool output_reader_is_gone(void);

/* From now on what is printed to stdout waits for its reader until SIGINT or SIGTERM is pending,
 * which are to be blocked, and for as long as output_wait_at_most() allows after the last byte that
 * was taken. Then the rest is left out, and output_flush() says so. Once, after signals are
 * blocked. 0 or -ENOMEM: then it is as before. */
int output_guard(void);

/* INT64_MAX, as it is at first: without a limit. */
void output_wait_at_most(int64_t ns);

/*
 * Hand on what was printed to stdout. False: it cannot be written; that was said in one line, which
 * begins with `who`, and what is left of it is thrown away. At the end (is_last) a reader that
 * wanted no more of it, such as head, is no failure.
 */
bool output_flush(const char *who, bool is_last);

#endif
