/* test_decode.c - the way back from FITS's bytes to the segment's, and scaled values. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits/decode.h"
#include "fits/sum.h"
#include "tests/support/suite.h"

static unsigned char native[4096 + 64], stored[4096 + 64], wide[4096 + 64], plain[4096 + 64];

static void fill_native(void)
{
    uint32_t x = 4711;

    for (size_t i = 0; i < sizeof native; i++) {
        x = x * 1664525u + 1013904223u;
        native[i] = (unsigned char)(x >> 24);
    }
}

START_TEST(every_type_comes_back_as_it_was_with_the_sum_of_what_is_stored)
{
    const struct dao_dtype *dtype = dao_dtype_get((unsigned)_i);
    struct fits_encoder encoder = fits_encoder_select(dtype, FITS_ENCODE_PORTABLE);
    struct fits_decoder best = fits_decoder_select(dtype, FITS_ENCODE_BEST);
    struct fits_decoder portable = fits_decoder_select(dtype, FITS_ENCODE_PORTABLE);
    size_t step = dtype->word_bytes;

    fill_native();
    for (size_t bytes = 0; bytes <= 300 || bytes == 4096; bytes += step) {
        for (size_t shift = 0; shift < 3 * step; shift += step) {
            uint32_t sum = encoder.encode(stored + shift, native + shift, bytes, encoder.flip);

            ck_assert_uint_eq(sum, fits_sum_bytes(stored + shift, bytes));
            memset(wide, 0xee, sizeof wide);
            memset(plain, 0xee, sizeof plain);
            ck_assert_uint_eq(best.decode(wide, stored + shift, bytes, best.flip), sum);
            ck_assert_uint_eq(portable.decode(plain + shift, stored + shift, bytes, portable.flip),
                              sum);
            ck_assert_mem_eq(wide, native + shift, bytes);
            ck_assert_mem_eq(plain + shift, native + shift, bytes);
            ck_assert_uint_eq(wide[bytes], 0xee); /* not one byte further */
            ck_assert_uint_eq(plain[shift + bytes], 0xee);
        }
        if (bytes >= 300 && bytes < 4096 - step)
            bytes = 4096 - step;
    }
}
END_TEST

START_TEST(the_smallest_and_the_largest_are_what_fits_means)
{
    /* 0x8000 stored is -32768; with BZERO = 32768 it is 0. */
    static const unsigned char bytes[] = {0x80, 0x00, 0x7f, 0xff};
    const struct dao_dtype *u16 = dao_dtype_find("uint16"), *i16 = dao_dtype_find("int16");
    const struct dao_dtype *u8 = dao_dtype_find("uint8"), *i8 = dao_dtype_find("int8");
    struct fits_decoder d;
    uint16_t u[2];
    int16_t s[2];
    uint8_t ub[4];
    int8_t sb[4];

    d = fits_decoder_select(u16, FITS_ENCODE_BEST);
    d.decode((unsigned char *)u, bytes, 4, d.flip);
    ck_assert(u[0] == 0 && u[1] == 65535);
    d = fits_decoder_select(i16, FITS_ENCODE_BEST);
    d.decode((unsigned char *)s, bytes, 4, d.flip);
    ck_assert(s[0] == -32768 && s[1] == 32767);
    d = fits_decoder_select(u8, FITS_ENCODE_BEST);
    d.decode(ub, bytes, 4, d.flip);
    ck_assert(ub[0] == 0x80 && ub[3] == 0xff);
    d = fits_decoder_select(i8, FITS_ENCODE_BEST);
    d.decode((unsigned char *)sb, bytes, 4, d.flip);
    ck_assert(sb[0] == 0 && sb[1] == -128 && sb[2] == -1 && sb[3] == 127);
}
END_TEST

START_TEST(scaled_words_of_every_bitpix_become_doubles)
{
    static const unsigned char minus_two[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe};
    static const unsigned char single[4] = {0x3f, 0xc0, 0, 0}, twice[8] = {0xc0, 0x04};
    struct fits_scale scale = {.bscale = 0.5, .bzero = 10.0};
    double value;

    scale.bitpix = 8;
    fits_scale_words(&value, minus_two + 7, 1, &scale);
    ck_assert(value == 137.0);
    for (int bitpix = 16; bitpix <= 64; bitpix *= 2) {
        scale.bitpix = bitpix;
        fits_scale_words(&value, minus_two + 8 - bitpix / 8, 1, &scale);
        ck_assert(value == 9.0);
    }
    scale.bitpix = -32;
    fits_scale_words(&value, single, 1, &scale);
    ck_assert(value == 10.75);
    scale.bitpix = -64;
    fits_scale_words(&value, twice, 1, &scale);
    ck_assert(value == 8.75);
    scale = (struct fits_scale){
        .bitpix = 16, .bscale = 1.0, .bzero = 0.0, .has_blank = true, .blank = -2};
    fits_scale_words(&value, minus_two + 6, 1, &scale);
    ck_assert(isnan(value));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decode");
    TCase *tcase = tcase_create("decode");

    tcase_add_loop_test(tcase, every_type_comes_back_as_it_was_with_the_sum_of_what_is_stored, 1,
                        DAO_DTYPE_COUNT + 1);
    tcase_add_test(tcase, the_smallest_and_the_largest_are_what_fits_means);
    tcase_add_test(tcase, scaled_words_of_every_bitpix_become_doubles);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
