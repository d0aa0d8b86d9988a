/*
 * job.h - what the formats of extract share; private to src/extract.
 */
#ifndef DAOREC_EXTRACT_JOB_H
#define DAOREC_EXTRACT_JOB_H

#include "fits/cutout.h"
#include "fits/encode.h"
#include "extract/extract.h"
#include "extract/out.h"

#define EXTRACT_ROWS_AT_ONCE 512u

/* A format: what is done before the first frame, for each, and after the last. 0 or negative errno;
 * with a text where they have one to fill. */
struct extract_way {
    int (*begin)(struct extract_job *job, struct dao_text *text);
    int (*frame)(struct extract_job *job, struct fits_row *row, const unsigned char *pixels);
    int (*end)(struct extract_job *job, struct dao_text *text);
};

extern const struct extract_way extract_way_fits, extract_way_hdus, extract_way_npy;

struct extract_job {
    struct extract_order order;
    const struct extract_way *way;
    const struct series_part *part;
    struct series_reader *reader;
    struct dao_geometry geometry; /* of the frames that come out */
    struct fits_encoder encoder;
    uint64_t count, done; /* frames */
    unsigned char *whole, *cut, *stored;
    struct extract_out out[2]; /* the second one: the npy format's table */
    /* headers */
    struct fits_bytes origin;
    struct fits_cutout cutout;
    struct fits_cutout_state state;
    char history[4][256];
    const char *history_lines[5];
    int64_t dateref_ns;
    struct fits_bytes primary, frames_header, shmkw, unit;
    /* rows on their way, packed, and sums */
    uint64_t rows_off;
    unsigned char rows[EXTRACT_ROWS_AT_ONCE * FITS_ROW_BYTES];
    uint32_t data_sum, rows_sum;
};

#endif
