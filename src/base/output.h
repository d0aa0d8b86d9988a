/*
 * output.h - has what was printed to stdout arrived? For verbs that go on for long, and for main()
 * at the end. One thread.
 */
#ifndef DAOREC_BASE_OUTPUT_H
#define DAOREC_BASE_OUTPUT_H

#include <stdbool.h>

/* Has the other end of a pipe, or of a terminal, been closed? */
bool output_reader_is_gone(void);

/*
 * Hand on what was printed to stdout. False: it cannot be written; that was said in one line, which
 * begins with `who`, and what is left of it is thrown away. At the end (is_last) a reader that
 * wanted no more of it, such as head, is no failure.
 */
bool output_flush(const char *who, bool is_last);

#endif
