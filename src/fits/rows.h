/*
 * rows.h - the FRAMES table: one 64-byte big-endian row a frame. Pure functions, any thread.
 */
#ifndef DAOREC_FITS_ROWS_H
#define DAOREC_FITS_ROWS_H

#include <stdint.h>

#define FITS_ROW_BYTES 64u

enum fits_flag {
    FITS_FLAG_GAP = 1 << 0,       /* frames are missing before this one */
    FITS_FLAG_OVERWRITE = 1 << 1, /* ... because the reader was lapped */
    FITS_FLAG_TORN = 1 << 2,      /* rewritten while it was copied (depth 1) */
    FITS_FLAG_RESET = 1 << 3,     /* the count restarted here */
    FITS_FLAG_BADTIME = 1 << 4,   /* atime zero or going back */
    FITS_FLAG_PARTIAL = 1 << 5,   /* packets are missing in it */
    FITS_FLAG_RECOVERED = 1 << 6, /* not proven after a crash: see repair/repair.h */
    FITS_FLAG_QUEUEFULL = 1 << 7, /* ... because the disk fell behind */
};
#define FITS_FLAG_COUNT 8

struct fits_row {
    double time_s;    /* atime - DATEREF; NaN with BADTIME */
    int64_t atime_ns; /* the segment's timestamp, POSIX */
    int64_t cnt0, cnt1, cnt2;
    int64_t rtime_ns; /* the recorder's clock; never 0 in a valid row */
    int32_t lost;     /* frames lost just before this one, saturated */
    int32_t flags;    /* enum fits_flag */
    int32_t slot;
    uint32_t dsum; /* ones'-complement sum of the frame's stored bytes */
};

/* Returns the ones'-complement sum of the packed bytes: cheaper here than from memory that was
 * written a moment ago. */
uint32_t fits_row_pack(unsigned char dst[FITS_ROW_BYTES], const struct fits_row *row);
void fits_row_unpack(struct fits_row *ret, const unsigned char src[FITS_ROW_BYTES]);

/* One column a row of this array; header.c builds the table's cards from it. */
struct fits_column {
    const char *ttype, *tform, *tunit, *comment;
};
#define FITS_ROW_COLUMNS 10
extern const struct fits_column fits_row_columns[FITS_ROW_COLUMNS];

/* What bit 0, 1, ... of FLAGS means: cards FLG0 ... FLG7. */
extern const char *const fits_flag_meaning[FITS_FLAG_COUNT];

#endif
