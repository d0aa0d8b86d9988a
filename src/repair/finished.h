/*
 * finished.h - a file that repair has nothing to do with, by its name: is it all there? For repair
 * itself and for who tells of it; any thread, blocking.
 */
#ifndef DAOREC_REPAIR_FINISHED_H
#define DAOREC_REPAIR_FINISHED_H

#include "lib/layout.h"

/*
 * Is the file of another name, or of a final one, all there? 0: a finished recording, for all that
 * its headers' structure says. -EINPROGRESS: a recording that is not finished, under a wrong name;
 * -EMEDIUMTYPE: no recording; other errno. Else than 0 always with a text, that does not name it.
 */
int repair_look_at_finished(int dir_fd, const char *name, struct dao_text *text);

#endif
