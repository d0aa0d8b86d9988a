/*
 * kernels.h - what the kernels of encode.c and decode.c share: the wide sum, the order of bytes,
 * and one function for each word size, of which the best one is chosen. Private to these.
 *
 * A way ("encode", "decode") is two inline functions that take a constant word size and return an
 * unfolded sum: WAY_plain(dst, src, bytes, flip, word_bytes), and WAY_wide with the order of bytes
 * behind that. FITS_KERNELS(WAY) makes choose_WAY(dtype, level) of them.
 */
#ifndef DAOREC_FITS_KERNELS_H
#define DAOREC_FITS_KERNELS_H

#include <stdbool.h>

#include "fits/encode.h"
#include "fits/sum.h"
#include "fits/words.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2_KERNELS 1
#endif

#define FITS_KERNEL_INLINE static inline __attribute__((always_inline))

struct fits_kernel {
    uint32_t (*run)(unsigned char *dst, const unsigned char *src, size_t bytes, unsigned char flip);
    unsigned char flip;
    const char *name;
};

#define FITS_KERNEL(target, name, sum)                                                             \
    target static uint32_t name(unsigned char *dst, const unsigned char *src, size_t bytes,        \
                                unsigned char flip)                                                \
    {                                                                                              \
        return fits_sum_fold(sum);                                                                 \
    }

#define FITS_PLAIN
#define FITS_PLAIN_KERNEL(way, size)                                                               \
    FITS_KERNEL(FITS_PLAIN, way##_plain_##size, way##_plain(dst, src, bytes, flip, size))

#ifdef HAVE_AVX2_KERNELS
#define FITS_WIDE __attribute__((target("avx2")))

#define FITS_WIDE_TWICE(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define FITS_WIDE_ORDER_1    FITS_WIDE_TWICE(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define FITS_WIDE_ORDER_2    FITS_WIDE_TWICE(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#define FITS_WIDE_ORDER_4    FITS_WIDE_TWICE(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
#define FITS_WIDE_ORDER_8    FITS_WIDE_TWICE(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)

/* The sum of 32-bit words: the halves of each 64-bit lane in two accumulators, whose lanes hold
 * 2^32 words of 32 bits before they could overflow: 128 GB. */
struct fits_wide_sum {
    __m256i even, odd;
};

/* 32 more bytes. `native`: words of word_bytes in the processor's order. */
FITS_KERNEL_INLINE FITS_WIDE void fits_wide_add(struct fits_wide_sum *sum, __m256i native,
                                                unsigned word_bytes)
{
    __m256i words = word_bytes == 1 ? _mm256_shuffle_epi8(native, FITS_WIDE_ORDER_4) : native;

    sum->even =
        _mm256_add_epi64(sum->even, _mm256_and_si256(words, _mm256_set1_epi64x(0xffffffffll)));
    sum->odd = _mm256_add_epi64(sum->odd, _mm256_srli_epi64(words, 32));
}

/* Each lane is folded before it is added: four full ones would overflow. */
FITS_KERNEL_INLINE FITS_WIDE uint64_t fits_wide_fold(const struct fits_wide_sum *sum,
                                                     unsigned word_bytes)
{
    uint64_t lanes[8], folded = 0;

    _mm256_storeu_si256((__m256i *)(void *)lanes, sum->even);
    _mm256_storeu_si256((__m256i *)(void *)(lanes + 4), sum->odd);
    for (int i = 0; i < 8; i++)
        folded += fits_sum_fold(lanes[i]);
    /* Native pairs were summed: swap the halves. */
    return word_bytes == 2 ? fits_sum_at(fits_sum_fold(folded), 2) : folded;
}

#define FITS_WIDE_KERNEL(way, size)                                                                \
    FITS_KERNEL(FITS_WIDE, way##_wide_##size,                                                      \
                way##_wide(dst, src, bytes, flip, size, FITS_WIDE_ORDER_##size))
#define FITS_HAS_WIDE() __builtin_cpu_supports("avx2")
#else
#define FITS_WIDE_KERNEL(way, size)                                                                \
    FITS_KERNEL(FITS_PLAIN, way##_wide_##size, (way##_plain_##size)(dst, src, bytes, flip))
#define FITS_HAS_WIDE() 0
#endif

/* One column a word size: 1, 2, 4, 8. */
#define FITS_KERNELS(way)                                                                          \
    FITS_PLAIN_KERNEL(way, 1)                                                                      \
    FITS_WIDE_KERNEL(way, 1)                                                                       \
    FITS_PLAIN_KERNEL(way, 2)                                                                      \
    FITS_WIDE_KERNEL(way, 2)                                                                       \
    FITS_PLAIN_KERNEL(way, 4)                                                                      \
    FITS_WIDE_KERNEL(way, 4)                                                                       \
    FITS_PLAIN_KERNEL(way, 8)                                                                      \
    FITS_WIDE_KERNEL(way, 8)                                                                       \
    static struct fits_kernel choose_##way(const struct dao_dtype *dtype,                          \
                                           enum fits_encode_level level)                           \
    {                                                                                              \
        static uint32_t (*const kernels[2][4])(unsigned char *, const unsigned char *, size_t,     \
                                               unsigned char) = {                                  \
            {way##_plain_1, way##_plain_2, way##_plain_4, way##_plain_8},                          \
            {way##_wide_1, way##_wide_2, way##_wide_4, way##_wide_8},                              \
        };                                                                                         \
        bool is_wide = level == FITS_ENCODE_BEST && FITS_HAS_WIDE();                               \
                                                                                                   \
        return (struct fits_kernel){                                                               \
            .run = kernels[is_wide][__builtin_ctz(dtype->word_bytes)],                             \
            .flip = fits_words_flip(dtype),                                                        \
            .name = is_wide ? "avx2" : "portable",                                                 \
        };                                                                                         \
    }

#endif
