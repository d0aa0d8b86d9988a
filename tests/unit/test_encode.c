/* test_encode.c - byte order, sign and DSUM in one pass. */
#include <check.h>
#include <fitsio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/encode.h"
#include "fits/sum.h"
#include "tests/support/suite.h"

static unsigned char source[4096 + 64], wide[4096 + 64], plain[4096 + 64];

static void fill_source(void)
{
    uint32_t x = 12345;

    for (size_t i = 0; i < sizeof source; i++) {
        x = x * 1664525u + 1013904223u;
        source[i] = (unsigned char)(x >> 24);
    }
}

/* What FITS asks for, word by word and byte by byte. */
static void encode_by_hand(const struct dao_dtype *dtype, unsigned char *dst,
                           const unsigned char *src, size_t bytes)
{
    unsigned w = dtype->word_bytes;
    int flip = w == 1 ? !dtype->is_unsigned : dtype->is_unsigned;

    for (size_t i = 0; i < bytes; i += w)
        for (unsigned b = 0; b < w; b++)
            dst[i + b] = (unsigned char)(src[i + w - 1 - b] ^ (b == 0 && flip ? 0x80 : 0));
}

static uint32_t sum_by_hand(const unsigned char *bytes, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += (uint64_t)bytes[i] << (8 * (3 - i % 4));
    while (sum >> 32)
        sum = (sum & 0xffffffffu) + (sum >> 32);
    return (uint32_t)sum;
}

START_TEST(every_type_is_encoded_as_fits_stores_it_and_summed)
{
    const struct dao_dtype *dtype = dao_dtype_get((unsigned)_i);
    struct fits_encoder best = fits_encoder_select(dtype, FITS_ENCODE_BEST);
    struct fits_encoder portable = fits_encoder_select(dtype, FITS_ENCODE_PORTABLE);
    size_t step = dtype->word_bytes;

    fill_source();
    for (size_t bytes = 0; bytes <= 300 || bytes == 4096; bytes += step) {
        for (size_t shift = 0; shift < 3 * step; shift += step) {
            unsigned char expected[4096 + 64];
            uint32_t sum;

            encode_by_hand(dtype, expected, source + shift, bytes);
            sum = sum_by_hand(expected, bytes);
            memset(wide, 0xee, sizeof wide);
            memset(plain, 0xee, sizeof plain);
            ck_assert_uint_eq(best.encode(wide + shift, source + shift, bytes, best.flip), sum);
            ck_assert_uint_eq(portable.encode(plain, source + shift, bytes, portable.flip), sum);
            ck_assert_mem_eq(wide + shift, expected, bytes);
            ck_assert_mem_eq(plain, expected, bytes);
            ck_assert_uint_eq(wide[shift + bytes], 0xee); /* not one byte further */
            ck_assert_uint_eq(plain[bytes], 0xee);
        }
        if (bytes >= 300 && bytes < 4096 - step)
            bytes = 4096 - step;
    }
}
END_TEST

/* Large ones are stored past the cache, where the address allows it. */
START_TEST(large_pieces_come_out_the_same_wherever_they_begin)
{
    const struct dao_dtype *dtype = dao_dtype_get((unsigned)_i);
    struct fits_encoder best = fits_encoder_select(dtype, FITS_ENCODE_BEST);
    size_t bytes = 20000u * dtype->word_bytes + 8;
    unsigned char *from = malloc(bytes), *to = malloc(bytes + 128), *expected = malloc(bytes);

    for (size_t i = 0; i < bytes; i++)
        from[i] = (unsigned char)(i * 37 + i / 256);
    encode_by_hand(dtype, expected, from, bytes);
    for (size_t at = 0; at < 64; at++) {
        memset(to, 0xee, bytes + 128);
        ck_assert_uint_eq(best.encode(to + at, from, bytes, best.flip),
                          sum_by_hand(expected, bytes));
        ck_assert(memcmp(to + at, expected, bytes) == 0);
        ck_assert_uint_eq(to[at + bytes], 0xee);
        ck_assert(at == 0 || to[at - 1] == 0xee);
    }
    free(from);
    free(to);
    free(expected);
}
END_TEST

START_TEST(a_sum_of_pieces_is_the_sum_of_the_whole_wherever_it_is_cut)
{
    fill_source();
    for (size_t cut = 0; cut <= 97; cut++) {
        uint32_t head = fits_sum_bytes(source, cut), tail = fits_sum_bytes(source + cut, 97 - cut);

        ck_assert_uint_eq(fits_sum_add(head, fits_sum_at(tail, cut)), sum_by_hand(source, 97));
    }
}
END_TEST

START_TEST(a_sum_of_all_ones_does_not_overflow)
{
    const struct dao_dtype *dtype = dao_dtype_find("uint16");
    struct fits_encoder best = fits_encoder_select(dtype, FITS_ENCODE_BEST);
    size_t bytes = 64u << 20;
    unsigned char *from = malloc(bytes), *to = malloc(bytes);
    uint32_t sum;

    memset(from, 0xff, bytes);
    sum = best.encode(to, from, bytes, 0);
    ck_assert_uint_eq(sum, 0xffffffffu);
    ck_assert_uint_eq(fits_sum_bytes(to, bytes), 0xffffffffu);
    free(from);
    free(to);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");
    TCase *tcase = tcase_create("encode");

    tcase_add_loop_test(tcase, every_type_is_encoded_as_fits_stores_it_and_summed, 1,
                        DAO_DTYPE_COUNT + 1);
    tcase_add_loop_test(tcase, large_pieces_come_out_the_same_wherever_they_begin, 1,
                        DAO_DTYPE_COUNT + 1);
    tcase_add_test(tcase, a_sum_of_pieces_is_the_sum_of_the_whole_wherever_it_is_cut);
    tcase_add_test(tcase, a_sum_of_all_ones_does_not_overflow);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
