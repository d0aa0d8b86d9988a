/*
 * decode.h - pixels from FITS's bytes to the segment's: byte order, sign and DSUM in one pass, the
 * way back of encode.h; and, for files of others, physical values from scaled ones.
 *
 * Which kernel runs is a function pointer set once at start. Pure functions, any thread; `dst` may
 * be shared memory.
 */
#ifndef DAOREC_FITS_DECODE_H
#define DAOREC_FITS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/encode.h"
#include "lib/dtype.h"

/*
 * Decode `bytes` (a multiple of the word size) from src to dst, which do not overlap.
 * Returns the ones'-complement sum of the stored bytes as if they began on a 4-byte boundary.
 */
struct fits_decoder {
    uint32_t (*decode)(unsigned char *dst, const unsigned char *src, size_t bytes,
                       unsigned char flip);
    unsigned char flip; /* 0x80 where the top bit of each word is flipped, else 0 */
    const char *name;   /* "avx2" or "portable" */
};

struct fits_decoder fits_decoder_select(const struct dao_dtype *dtype,
                                        enum fits_encode_level level);

/* What turns stored words into doubles. */
struct fits_scale {
    int bitpix; /* 8, 16, 32, 64, -32, -64 */
    double bscale, bzero;
    bool has_blank; /* integers: this one is no number */
    int64_t blank;
};

/* `count` stored words to doubles: bzero + bscale * word, NaN where BLANK. */
void fits_scale_words(double *dst, const unsigned char *src, size_t count,
                      const struct fits_scale *scale);

#endif
