/*
 * opener.h - from a planned file to one with a name: what the opening keeper does. Blocking calls.
 */
#ifndef DAOREC_RECORD_OPENER_H
#define DAOREC_RECORD_OPENER_H

#include <stdbool.h>

#include "record/stream.h"

/* It has the room that it was promised, or needs it no more. */
void opener_fulfil(struct record_file *file);

/*
 * Prepare a file, with room on the disk for as many of its frames as can be had: half of them, a
 * quarter, ... but not fewer than file->least. 0; -EBUSY: not now; negative errno with a text.
 */
int opener_prepare(struct record_file *file, struct dao_text *text);

/*
 * The same where it is not prepared yet, then give it its name; `is_last`: with however little
 * room. 0; -EBUSY: the drain is asked to put less in it, or an earlier file is to be closed first,
 * come again in a moment; else negative errno with a text.
 */
int opener_open(struct record_file *file, bool is_last, struct dao_text *text);

/* Before the drain runs: a file that has less room than planned is planned with as much. */
void opener_settle(struct record_file *file);

#endif
