/*
 * sound.h - can the rows of a file be believed? Fed with all of them, in order, by who reads them
 * anyway. Pure arithmetic; one thread.
 *
 * A finished file states the sum of its table (DATASUM). One that does not, such as an unfinished
 * one, may hold nothing that no recorder writes.
 */
#ifndef DAOREC_MEASURE_SOUND_H
#define DAOREC_MEASURE_SOUND_H

#include "fits/rows.h"
#include "series/series.h"

struct sound {
    bool has_sum, is_ours;
    uint32_t depth, stated, sum;
    const char *fault; /* of a row, NULL: none yet */
};

/* depth: of the FIFO, 0 where nothing tells it. */
void sound_begin(struct sound *sound, const struct series_member *member, uint32_t depth);
void sound_row(struct sound *sound, const struct fits_row *row);
/* After the last row: what is wrong; NULL: nothing. */
const char *sound_end(const struct sound *sound);

#endif
