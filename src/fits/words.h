/*
 * words.h - what encoding and decoding share: byte order and sign of eight bytes at a time, and
 * their sum. Inlined with a constant word size. Pure functions, any thread.
 */
#ifndef DAOREC_FITS_WORDS_H
#define DAOREC_FITS_WORDS_H

#include <stdint.h>

#include "lib/dtype.h"

/* 0x80 where the stored form of a type differs in the top bit of each word, else 0. FITS's 8-bit
 * type is unsigned, all others are signed. */
static inline unsigned char fits_words_flip(const struct dao_dtype *dtype)
{
    int flips = dtype->word_bytes == 1 ? !dtype->is_unsigned : dtype->is_unsigned;

    return flips ? 0x80 : 0;
}

/* Flip the top bit of the most significant byte of each word? The pattern for 8 bytes of native
 * words. */
static inline uint64_t fits_words_pattern(unsigned word_bytes, unsigned char flip)
{
    switch (word_bytes) {
    case 1:
        return 0x0101010101010101ull * flip;
    case 2:
        return 0x0100010001000100ull * flip;
    case 4:
        return 0x0100000001000000ull * flip;
    default:
        return 0x0100000000000000ull * flip;
    }
}

static inline uint64_t fits_words_swap(uint64_t words, unsigned word_bytes)
{
    switch (word_bytes) {
    case 1:
        return words;
    case 2:
        return ((words & 0x00ff00ff00ff00ffull) << 8) | ((words >> 8) & 0x00ff00ff00ff00ffull);
    case 4:
        words = __builtin_bswap64(words);
        return (words << 32) | (words >> 32);
    default:
        return __builtin_bswap64(words);
    }
}

/* Sum of up to eight stored bytes, zero-padded. */
static inline uint64_t fits_words_sum(uint64_t stored)
{
    uint64_t big = __builtin_bswap64(stored);

    return (big >> 32) + (big & 0xffffffffu);
}

#endif
