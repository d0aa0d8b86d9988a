/*
 * decode.c - the decoding kernels. See decode.h; how sums are taken is told in encode.c.
 */
#include "fits/decode.h"

#include <math.h>
#include <string.h>

#include "fits/kernels.h"

/* The portable kernel. The tail of fewer than eight bytes goes through the same arithmetic,
 * zero-padded. */
FITS_KERNEL_INLINE uint64_t decode_plain(unsigned char *dst, const unsigned char *src, size_t bytes,
                                         unsigned char flip, unsigned word_bytes)
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

#ifdef HAVE_AVX2_KERNELS
/* 32 bytes a step, summed as encode.c does it: of the swapped words, before the sign. */
FITS_KERNEL_INLINE FITS_WIDE uint64_t decode_wide(unsigned char *dst, const unsigned char *src,
                                                  size_t bytes, unsigned char flip,
                                                  unsigned word_bytes, __m256i order)
{
    const __m256i pattern = _mm256_set1_epi64x((long long)fits_words_pattern(word_bytes, flip));
    struct fits_wide_sum sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t whole = bytes & ~(size_t)31;

    for (size_t i = 0; i < whole; i += 32) {
        __m256i stored = _mm256_loadu_si256((const __m256i *)(const void *)(src + i));
        __m256i native = word_bytes == 1 ? stored : _mm256_shuffle_epi8(stored, order);

        fits_wide_add(&sum, native, word_bytes);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), _mm256_xor_si256(native, pattern));
    }
    return fits_wide_fold(&sum, word_bytes) +
           decode_plain(dst + whole, src + whole, bytes - whole, flip, word_bytes);
}
#endif

FITS_KERNELS(decode)

struct fits_decoder fits_decoder_select(const struct dao_dtype *dtype, enum fits_encode_level level)
{
    struct fits_kernel kernel = choose_decode(dtype, level);

    return (struct fits_decoder){.decode = kernel.run, .flip = kernel.flip, .name = kernel.name};
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

FITS_KERNEL_INLINE void scale_all(double *dst, const unsigned char *src, size_t count,
                                  const struct fits_scale *scale, int bitpix)
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
