/*
 * encode.h - pixels from the segment's bytes to FITS's: byte order, sign and DSUM in one pass.
 *
 * FITS stores big-endian, and unsigned integers (and INT8) with the top bit flipped, which is what
 * subtracting BZERO amounts to. The sum is taken of the stored bytes while they are in registers.
 * Which kernel runs is a function pointer set once at start. Pure functions, any thread; `src` may
 * be shared memory that changes meanwhile (the caller proves afterwards that it did not).
 */
#ifndef DAOREC_FITS_ENCODE_H
#define DAOREC_FITS_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/dtype.h"

/*
 * Encode `bytes` (a multiple of the word size) from src to dst, which do not overlap.
 * Returns the ones'-complement sum of the stored bytes as if they began on a 4-byte boundary.
 */
struct fits_encoder {
    uint32_t (*encode)(unsigned char *dst, const unsigned char *src, size_t bytes,
                       unsigned char flip);
    unsigned char flip; /* 0x80 where the top bit of each word is flipped, else 0 */
    const char *name;   /* "avx2" or "portable" */
};

enum fits_encode_level {
    FITS_ENCODE_BEST,     /* what this processor can */
    FITS_ENCODE_PORTABLE, /* plain C, for machines without AVX2 and as the tests' yardstick */
};

struct fits_encoder fits_encoder_select(const struct dao_dtype *dtype,
                                        enum fits_encode_level level);

#endif
