/*
 * decode.c - the decoding kernels. See decode.h; how sums are taken is told in encode.c.
 */
#include "fits/decode.h"

#include <math.h>
#include <string.h>

#include "fits/sum.h"
#include "fits/words.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2_KERNELS 1
#endif

/* The portable kernel. The tail of fewer than eight bytes goes through the same arithmetic,
 * zero-padded. */
static inline __attribute__((always_inline)) uint64_t decode_plain(unsigned char *dst,
                                                                   const unsigned char *src,
                                                                   size_t bytes, unsigned char flip,
                                                                   unsigned word_bytes)
{
    const uint64_t pattern = fits_words_pattern(word_bytes, flip);
    uint64_t sum = 0, word;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        memcpy(&word, src + i, 8);
        sum += fits_words_sum(word);
        word = fits_words_swap(word, word_bytes) ^ pattern;
        memcpy(dst + i, &word, 8);
    }
    if (i < bytes) {
        word = 0;
        memcpy(&word, src + i, bytes - i);
        sum += fits_words_sum(word);
        word = fits_words_swap(word, word_bytes) ^ pattern;
        memcpy(dst + i, &word, bytes - i);
    }
    return sum;
}

#define PORTABLE_KERNEL(word_bytes)                                                                \
    static uint32_t decode_portable_##word_bytes(unsigned char *dst, const unsigned char *src,     \
                                                 size_t bytes, unsigned char flip)                 \
    {                                                                                              \
        return fits_sum_fold(decode_plain(dst, src, bytes, flip, word_bytes));                     \
    }
PORTABLE_KERNEL(1)
PORTABLE_KERNEL(2)
PORTABLE_KERNEL(4)
PORTABLE_KERNEL(8)

#ifdef HAVE_AVX2_KERNELS
/* 32 bytes a step, summed as encode.c does it: of the swapped words, before the sign. */
static inline __attribute__((always_inline, target("avx2"))) uint64_t
decode_wide(unsigned char *dst, const unsigned char *src, size_t bytes, unsigned char flip,
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
        __m256i stored = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));
        __m256i native = word_bytes == 1 ? stored : _mm256_shuffle_epi8(stored, order);
        __m256i words = word_bytes == 1 ? _mm256_shuffle_epi8(stored, quads) : native;

        even = _mm256_add_epi64(even, _mm256_and_si256(words, low));
        odd = _mm256_add_epi64(odd, _mm256_srli_epi64(words, 32));
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_xor_si256(native, pattern));
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
    return sum + decode_plain(dst + whole, src + whole, bytes - whole, flip, word_bytes);
}

#define WIDE_KERNEL(word_bytes, ...)                                                               \
    __attribute__((target("avx2"))) static uint32_t decode_avx2_##word_bytes(                      \
        unsigned char *dst, const unsigned char *src, size_t bytes, unsigned char flip)            \
    {                                                                                              \
        return fits_sum_fold(decode_wide(dst, src, bytes, flip, word_bytes,                        \
                                         _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)));             \
    }
WIDE_KERNEL(1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
WIDE_KERNEL(2, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
WIDE_KERNEL(4, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
WIDE_KERNEL(8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
#endif

struct fits_decoder fits_decoder_select(const struct dao_dtype *dtype, enum fits_encode_level level)
{
    /* One row a word size: 1, 2, 4, 8. */
    static const struct {
        uint32_t (*portable)(unsigned char *, const unsigned char *, size_t, unsigned char);
#ifdef HAVE_AVX2_KERNELS
        uint32_t (*avx2)(unsigned char *, const unsigned char *, size_t, unsigned char);
#endif
    } kernels[4] = {
#ifdef HAVE_AVX2_KERNELS
        {decode_portable_1, decode_avx2_1},
        {decode_portable_2, decode_avx2_2},
        {decode_portable_4, decode_avx2_4},
        {decode_portable_8, decode_avx2_8},
#else
        {decode_portable_1},
        {decode_portable_2},
        {decode_portable_4},
        {decode_portable_8},
#endif
    };
    unsigned row = (unsigned)__builtin_ctz(dtype->word_bytes);
    struct fits_decoder decoder = {
        .decode = kernels[row].portable,
        .flip = fits_words_flip(dtype),
        .name = "portable",
    };

#ifdef HAVE_AVX2_KERNELS
    if (level == FITS_ENCODE_BEST && __builtin_cpu_supports("avx2")) {
        decoder.decode = kernels[row].avx2;
        decoder.name = "avx2";
    }
#else
    (void)level;
#endif
    return decoder;
}

/* ---- scaled values ---- */

static uint64_t load_big(const unsigned char *src, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | src[i];
    return value;
}

static int64_t load_integer(const unsigned char *src, int bitpix)
{
    switch (bitpix) {
    case 8:
        return src[0];
    case 16:
        return (int16_t)load_big(src, 2);
    case 32:
        return (int32_t)load_big(src, 4);
    default:
        return (int64_t)load_big(src, 8);
    }
}

static double load_real(const unsigned char *src, int bitpix)
{
    uint64_t wide = load_big(src, bitpix == -32 ? 4 : 8);
    uint32_t narrow = (uint32_t)wide;
    double value;
    float single;

    if (bitpix == -32) {
        memcpy(&single, &narrow, 4);
        return (double)single;
    }
    memcpy(&value, &wide, 8);
    return value;
}

static inline __attribute__((always_inline)) void scale_all(double *dst, const unsigned char *src,
                                                            size_t count,
                                                            const struct fits_scale *scale,
                                                            int bitpix)
{
    size_t step = (size_t)(bitpix < 0 ? -bitpix : bitpix) / 8;

    for (size_t i = 0; i < count; i++, src += step) {
        double value;

        if (bitpix < 0) {
            value = load_real(src, bitpix);
        } else {
            int64_t integer = load_integer(src, bitpix);

            value = scale->has_blank && integer == scale->blank ? (double)NAN : (double)integer;
        }
        dst[i] = value * scale->bscale + scale->bzero;
    }
}

void fits_scale_words(double *dst, const unsigned char *src, size_t count,
                      const struct fits_scale *scale)
{
    switch (scale->bitpix) {
    case 8:
        scale_all(dst, src, count, scale, 8);
        break;
    case 16:
        scale_all(dst, src, count, scale, 16);
        break;
    case 32:
        scale_all(dst, src, count, scale, 32);
        break;
    case 64:
        scale_all(dst, src, count, scale, 64);
        break;
    case -32:
        scale_all(dst, src, count, scale, -32);
        break;
    default:
        scale_all(dst, src, count, scale, -64);
        break;
    }
}
