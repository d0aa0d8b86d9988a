/*
 * cutout.h - headers for frames that are cut out of a recording, or out of anyone's cube: what was
 * said of the origin goes on being said where it is still true, the rest is dropped or adjusted.
 *
 * Dropped: structure, scaling, checksums, ranges of values, what a file is within its session
 * (RECSTAT among them: a cutout is no recording that repair would finish). Adjusted: dates, counts,
 * SHMSIZn, and coordinates where the axes stayed what they were. Any thread; some 0.1 ms.
 */
#ifndef DAOREC_FITS_CUTOUT_H
#define DAOREC_FITS_CUTOUT_H

#include <stdbool.h>

#include "fits/header.h"
#include "fits/rows.h"

/* What is true of a cutout from the beginning. All is borrowed. */
struct fits_cutout {
    const struct dao_geometry *geometry; /* of the frames as they are cut out */
    const char *stream;                  /* EXTNAME */
    const struct fits_bytes *origin;     /* the header of the image they come from */
    bool keeps_axes;                     /* the frame axis was the last, and no axis is left out */
    uint32_t region_from[3];             /* first element of each axis of `size` */
    uint64_t first, every;               /* frames of the origin: first, first + every, ... */
    bool has_times;
    const char *const *history; /* NULL-terminated */
};

/* What is known at the end; placeholders before do not change the header's length. */
struct fits_cutout_state {
    uint64_t planes;
    int64_t written_ns, begin_ns, end_ns;
    int64_t cnt0_begin, cnt0_end;
    uint64_t lost, gaps, torn;
    double fps;
};

/* Both return 0, -ENOMEM or -EINVAL (cfitsio refused something; its message goes to `text`). */

/* The primary header: of the cube of `planes` frames, or (is_empty) of a file whose frames are in
 * units behind it. */
int fits_build_cutout(struct fits_bytes *ret, const struct fits_cutout *cutout,
                      const struct fits_cutout_state *state, bool is_empty,
                      const uint32_t *checksum_of_data, struct dao_text *text);

/* The header of one image unit that is a frame, to be filled in by fits_fill_unit(). */
int fits_build_unit(struct fits_bytes *ret, const struct fits_cutout *cutout,
                    struct dao_text *text);
/* Its cards for one frame, the `number`th (from 1). The row's DSUM is that of the data. */
void fits_fill_unit(struct fits_bytes *header, uint64_t number, const struct fits_row *row);

#endif
