/*
 * sum.h - the 32-bit ones'-complement sum of FITS checksums, as plain arithmetic.
 *
 * The sum of a byte string is that of its big-endian 32-bit words, with end-around carry; a string
 * whose length is no multiple of four counts as zero-padded. Since the sum is arithmetic modulo
 * 2^32 - 1, moving a string by one byte is a rotation of its sum by eight bits. Pure functions.
 */
#ifndef DAOREC_FITS_SUM_H
#define DAOREC_FITS_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fold a 64-bit accumulation of 32-bit words into one ones'-complement word. */
static inline uint32_t fits_sum_fold(uint64_t wide)
{
    wide = (wide & 0xffffffffu) + (wide >> 32);
    wide = (wide & 0xffffffffu) + (wide >> 32);
    return (uint32_t)wide;
}

static inline uint32_t fits_sum_add(uint32_t a, uint32_t b)
{
    return fits_sum_fold((uint64_t)a + b);
}

/* Are these the same sum? 0 and all ones are the same number. */
static inline bool fits_sum_is_same(uint32_t a, uint32_t b)
{
    return a % 0xffffffffu == b % 0xffffffffu;
}

/* The sum of a string that begins `offset` bytes behind a 4-byte boundary, from its sum as if it
 * began on one. */
static inline uint32_t fits_sum_at(uint32_t sum, uint64_t offset)
{
    unsigned bits = 8u * (unsigned)(offset & 3u);

    return bits ? (sum >> bits) | (sum << (32u - bits)) : sum;
}

/* The sum of bytes as they stand. */
uint32_t fits_sum_bytes(const void *bytes, size_t count);

#endif
