/*
 * encode.c - the encoding kernels. See encode.h.
 *
 * Sums: a big-endian 32-bit word of the output is, for 4-byte words, the native word itself; for
 * 2-byte words the native pair with its halves swapped, and since swapping halves is a rotation by
 * 16, native pairs are summed and the sum is rotated once at the end; for 8-byte words the two
 * halves, in either order; for single bytes the byte-swapped quadruple.
 */
#include "fits/encode.h"

#include <string.h>

#include "fits/kernels.h"

/* The portable kernel, inlined with a constant word size so that each type gets its own loop. The
 * tail of fewer than eight bytes goes through the same arithmetic, zero-padded. */
FITS_KERNEL_INLINE uint64_t encode_plain(unsigned char *dst, const unsigned char *src, size_t bytes,
                                         unsigned char flip, unsigned word_bytes)
{
    const uint64_t pattern = fits_words_pattern(word_bytes, flip);
    uint64_t sum = 0;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;

        memcpy(&word, src + i, 8);
        word = fits_words_swap(word ^ pattern, word_bytes);
        memcpy(dst + i, &word, 8);
        sum += fits_words_sum(word);
    }
    if (i < bytes) {
        uint64_t word = 0, mask = ~0ull >> (8 * (8 - (bytes - i)));

        memcpy(&word, src + i, bytes - i);
        word = fits_words_swap((word ^ pattern) & mask, word_bytes);
        memcpy(dst + i, &word, bytes - i);
        sum += fits_words_sum(word);
    }
    return sum;
}

#ifdef HAVE_AVX2_KERNELS
/* Sanitizers do not see what is stored past the cache. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FITS_IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FITS_IS_WATCHED 1
#endif
#endif
#ifndef FITS_IS_WATCHED
#define FITS_IS_WATCHED 0
#endif

/* From here on what is written goes past the cache, which then keeps what the source and its other
 * readers work on. */
#define PAST_CACHE_BYTES 16384u

/* 32 bytes a step: flip, shuffle, store, sum. */
FITS_KERNEL_INLINE FITS_WIDE uint64_t encode_steps(unsigned char *dst, const unsigned char *src,
                                                   size_t bytes, unsigned char flip,
                                                   unsigned word_bytes, __m256i order,
                                                   bool past_cache)
{
    const __m256i pattern = _mm256_set1_epi64x((long long)fits_words_pattern(word_bytes, flip));
    struct fits_wide_sum sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t whole = bytes & ~(size_t)31;

    for (size_t i = 0; i < whole; i += 32) {
        __m256i native = _mm256_loadu_si256((const __m256i *)(const void *)(src + i)), stored;
        __m256i *to = (__m256i *)(void *)(dst + i);

        native = _mm256_xor_si256(native, pattern);
        stored = word_bytes == 1 ? native : _mm256_shuffle_epi8(native, order);
        if (past_cache && !FITS_IS_WATCHED)
            _mm256_stream_si256(to, stored);
        else
            _mm256_storeu_si256(to, stored);
        fits_wide_add(&sum, native, word_bytes);
    }
    if (past_cache)
        _mm_sfence(); /* nothing else orders them before the block is handed on */
    return fits_wide_fold(&sum, word_bytes) +
           encode_plain(dst + whole, src + whole, bytes - whole, flip, word_bytes);
}

/* Stores past the cache want a multiple of 32 bytes as address: what comes before it is copied
 * apart. */
FITS_KERNEL_INLINE FITS_WIDE uint64_t encode_wide(unsigned char *dst, const unsigned char *src,
                                                  size_t bytes, unsigned char flip,
                                                  unsigned word_bytes, __m256i order)
{
    size_t head = -(uintptr_t)dst % 32;
    uint64_t sum;

    if (bytes < PAST_CACHE_BYTES || head % word_bytes != 0)
        return encode_steps(dst, src, bytes, flip, word_bytes, order, false);
    sum = encode_steps(dst + head, src + head, bytes - head, flip, word_bytes, order, true);
    return fits_sum_at(fits_sum_fold(sum), head) + encode_plain(dst, src, head, flip, word_bytes);
}
#endif

FITS_KERNELS(encode)

struct fits_encoder fits_encoder_select(const struct dao_dtype *dtype, enum fits_encode_level level)
{
    struct fits_kernel kernel = choose_encode(dtype, level);

    return (struct fits_encoder){.encode = kernel.run, .flip = kernel.flip, .name = kernel.name};
}

uint32_t fits_sum_bytes(const void *bytes, size_t count)
{
    const unsigned char *p = bytes;
    uint64_t sum = 0;
    size_t i = 0;

    for (; i + 8 <= count; i += 8) {
        uint64_t word;

        memcpy(&word, p + i, 8);
        sum += fits_words_sum(word);
    }
    if (i < count) {
        uint64_t word = 0;

        memcpy(&word, p + i, count - i);
        sum += fits_words_sum(word);
    }
    return fits_sum_fold(sum);
}
