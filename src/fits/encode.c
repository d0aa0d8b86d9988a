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

#include "fits/sum.h"
#include "fits/words.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2_KERNELS 1
#endif

/* The portable kernel, inlined with a constant word size so that each type gets its own loop. The
 * tail of fewer than eight bytes goes through the same arithmetic, zero-padded. */
static inline __attribute__((always_inline)) uint64_t encode_plain(unsigned char *dst,
                                                                   const unsigned char *src,
                                                                   size_t bytes, unsigned char flip,
                                                                   unsigned word_bytes)
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

#define PORTABLE_KERNEL(word_bytes)                                                                \
    static uint32_t encode_portable_##word_bytes(unsigned char *dst, const unsigned char *src,     \
                                                 size_t bytes, unsigned char flip)                 \
    {                                                                                              \
        return fits_sum_fold(encode_plain(dst, src, bytes, flip, word_bytes));                     \
    }
PORTABLE_KERNEL(1)
PORTABLE_KERNEL(2)
PORTABLE_KERNEL(4)
PORTABLE_KERNEL(8)

#ifdef HAVE_AVX2_KERNELS
/*
 * 32 bytes a step: flip, shuffle, store, and add the halves of each 64-bit lane to two 64-bit
 * accumulators. `sum_shuffled` is a constant: sum the shuffled bytes (word size 1) or the native
 * ones. 64-bit lanes hold 2^32 words of 32 bits before they could overflow: 128 GB.
 */
static inline __attribute__((always_inline, target("avx2"))) uint64_t
encode_wide(unsigned char *dst, const unsigned char *src, size_t bytes, unsigned char flip,
            unsigned word_bytes, __m256i order)
{
    const __m256i pattern = _mm256_set1_epi64x((long long)fits_words_pattern(word_bytes, flip));
    const __m256i low = _mm256_set1_epi64x(0xffffffffll);
    const __m256i quads = _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3,
                                           2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    __m256i even = _mm256_setzero_si256(), odd = _mm256_setzero_si256();
    size_t whole = bytes & ~(size_t)31, i;
    uint64_t lanes[4], sum = 0;

    for (i = 0; i < whole; i += 32) {
        __m256i native = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));
        __m256i words;

        native = _mm256_xor_si256(native, pattern);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i),
                            word_bytes == 1 ? native : _mm256_shuffle_epi8(native, order));
        words = word_bytes == 1 ? _mm256_shuffle_epi8(native, quads) : native;
        even = _mm256_add_epi64(even, _mm256_and_si256(words, low));
        odd = _mm256_add_epi64(odd, _mm256_srli_epi64(words, 32));
    }
    /* Fold each lane before adding: four full lanes would overflow. */
    _mm256_storeu_si256((__m256i *)(void *)lanes, even);
    for (i = 0; i < 4; i++)
        sum += fits_sum_fold(lanes[i]);
    _mm256_storeu_si256((__m256i *)(void *)lanes, odd);
    for (i = 0; i < 4; i++)
        sum += fits_sum_fold(lanes[i]);
    if (word_bytes == 2) /* native pairs were summed: swap the halves */
        sum = fits_sum_at(fits_sum_fold(sum), 2);
    return sum + encode_plain(dst + whole, src + whole, bytes - whole, flip, word_bytes);
}

#define WIDE_KERNEL(word_bytes, ...)                                                               \
    __attribute__((target("avx2"))) static uint32_t encode_avx2_##word_bytes(                      \
        unsigned char *dst, const unsigned char *src, size_t bytes, unsigned char flip)            \
    {                                                                                              \
        return fits_sum_fold(encode_wide(dst, src, bytes, flip, word_bytes,                        \
                                         _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)));             \
    }
WIDE_KERNEL(1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
WIDE_KERNEL(2, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
WIDE_KERNEL(4, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
WIDE_KERNEL(8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
#endif

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

struct fits_encoder fits_encoder_select(const struct dao_dtype *dtype, enum fits_encode_level level)
{
    /* One row a word size: 1, 2, 4, 8. */
    static const struct {
        uint32_t (*portable)(unsigned char *, const unsigned char *, size_t, unsigned char);
#ifdef HAVE_AVX2_KERNELS
        uint32_t (*avx2)(unsigned char *, const unsigned char *, size_t, unsigned char);
#endif
    } kernels[4] = {
#ifdef HAVE_AVX2_KERNELS
        {encode_portable_1, encode_avx2_1},
        {encode_portable_2, encode_avx2_2},
        {encode_portable_4, encode_avx2_4},
        {encode_portable_8, encode_avx2_8},
#else
        {encode_portable_1},
        {encode_portable_2},
        {encode_portable_4},
        {encode_portable_8},
#endif
    };
    unsigned row = (unsigned)__builtin_ctz(dtype->word_bytes);
    struct fits_encoder encoder = {
        .encode = kernels[row].portable,
        .flip = fits_words_flip(dtype),
        .name = "portable",
    };

#ifdef HAVE_AVX2_KERNELS
    if (level == FITS_ENCODE_BEST && __builtin_cpu_supports("avx2")) {
        encoder.encode = kernels[row].avx2;
        encoder.name = "avx2";
    }
#else
    (void)level;
#endif
    return encoder;
}
