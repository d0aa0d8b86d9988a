/*
 * units.h - files with one image unit a frame; private to src/series.
 *
 * Their units carry CNT0, perhaps CNT1, CNT2, and ATIME: whole nanoseconds, seconds with decimals,
 * or a date, since they come from programs of several kinds. Tens of thousands of units are looked
 * at one by one, with one read each; cfitsio takes five times as long for that.
 */
#ifndef DAOREC_SERIES_UNITS_H
#define DAOREC_SERIES_UNITS_H

#include "series/files.h"

/* Is an image with this header one frame, by its cards? */
bool series_units_are_frames(const struct fits_bytes *header);

/* Take the file's units from `first` on: a file on the pile for each stretch of equal ones. 0 or
 * errno with a text. */
int series_units_probe(struct series_probe *probe, const struct fits_unit *first,
                       struct dao_text *text);

#endif
