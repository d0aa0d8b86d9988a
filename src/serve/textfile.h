/*
 * textfile.h - metrics as a file for node_exporter's textfile collector, written anew every ten
 * seconds by a thread of its own, always by rename. At the end it is removed: what is not recorded
 * is not to look as if it stood still. Who is killed leaves it; its time of change tells. Of two
 * recorders the second is refused the first one's file; once that was removed by somebody else, the
 * second has it, and the first says so and waits.
 */
#ifndef DAOREC_SERVE_TEXTFILE_H
#define DAOREC_SERVE_TEXTFILE_H

#include "lib/layout.h"
#include "recording/state.h"

struct textfile;

/* Write it, and go on. `source` is copied, what it leads to is borrowed. 0, or negative errno with
 * a text: it cannot be written, or (-EADDRINUSE) another recorder that lives does. Later on that it
 * cannot be written is said once, and tried again. */
int textfile_start(struct textfile **ret, const char *path, const struct state_source *source,
                   struct dao_text *why);

/* Removes it; NULL is fine. */
void textfile_stop(struct textfile *textfile);

#endif
