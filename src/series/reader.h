/*
 * reader.h - one thread's way through a series: what reader.c, pixels.c and rows.c share. Private
 * to src/series.
 */
#ifndef DAOREC_SERIES_READER_H
#define DAOREC_SERIES_READER_H

#include "series/files.h"

#define SERIES_ROWS_AT_ONCE 1024u
#define SERIES_PIECE_BYTES  (256u << 10) /* of pixels; stays in the processor's cache */

struct series_reader {
    const struct series *series;
    uint64_t ahead_bytes, end;
    /* the open file */
    const struct series_file *file; /* NULL: none */
    int fd;
    struct series_tiles *tiles;
    struct fits_decoder decoder;
    uint64_t rows_off;               /* as the file stands now */
    unsigned char *head;             /* of a file that may be closed: its first block */
    uint64_t advised;                /* the kernel was asked for bytes up to here */
    const struct series_file *asked; /* the file whose beginning was asked for */
    /* rows [rows_first, rows_first + rows_count) of it, packed */
    uint64_t rows_first, rows_count, rows_step;
    bool keeps_lost;
    /* the stretch of it without rows that was looked at last; the rows around it, RTIME 0: none */
    uint64_t hole_begin, hole_end;
    struct fits_row hole_before, hole_behind;
    unsigned char rows[SERIES_ROWS_AT_ONCE * FITS_ROW_BYTES];
    /* bytes [piece_off, piece_off + piece_count) of it */
    uint64_t piece_off;
    size_t piece_count;
    unsigned char *piece;
    /* frames [band_first, band_first + band_count) of it, put together */
    uint64_t band_first, band_count;
    unsigned char *band;
    uint64_t last; /* frame asked for last, in the series; UINT64_MAX: none */
    bool is_in_order;
};

/* Have this file open. 0 or negative errno with a text. */
int series_reader_open_file(struct series_reader *reader, const struct series_file *file,
                            struct dao_text *text);

/* Where the rows of the open file lie, which may have been closed since it was probed. 0; -ENODATA:
 * it became shorter; -EMEDIUMTYPE: it is no recording any more; -EAGAIN: it changes again and
 * again. */
int series_reader_find_rows(struct series_reader *reader);

/* Has the open file been closed since its rows were found? Then they have moved. 1: yes; 0;
 * negative errno. */
int series_reader_has_moved(const struct series_reader *reader);

/* A text for an errno, and the errno to return: -EBADMSG is only what series.h says of it. */
int series_reader_fail(const struct series_file *file, int error, struct dao_text *text);

#endif
