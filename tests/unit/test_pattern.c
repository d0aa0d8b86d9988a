/* test_pattern.c - what simulated frames hold, for all twelve types. */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "source/pattern.h"
#include "source/spots.h"
#include "tests/support/suite.h"

#define COUNTS_TO_TRY 4
static const uint64_t counts[COUNTS_TO_TRY] = {1, 250, 0xFFFFFFF0u, UINT64_MAX - 20};

static struct dao_geometry make_geometry(unsigned atype, int naxis, uint32_t a, uint32_t b,
                                         uint32_t c)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};
    uint32_t size[3] = {a, b, c};

    ck_assert_msg(dao_geometry_make(&geometry, naxis, size, atype, 4, 0, &text) == 0, "%s", text.s);
    return geometry;
}

/* Element `i` of a frame as a number; complex: part 0 is the real one. */
static double value_at(const void *pixels, const struct dao_dtype *dtype, uint64_t i, unsigned part)
{
    const unsigned char *p =
        (const unsigned char *)pixels + i * dtype->element_bytes + part * dtype->word_bytes;
    uint64_t bits = 0;
    int shift = 64 - 8 * dtype->word_bytes;
    float f;
    double d;

    memcpy(&bits, p, dtype->word_bytes);
    if (dtype->is_float && dtype->word_bytes == 4) {
        memcpy(&f, p, sizeof(f));
        return (double)f;
    }
    if (dtype->is_float) {
        memcpy(&d, p, sizeof(d));
        return d;
    }
    return dtype->is_unsigned ? (double)bits : (double)((int64_t)(bits << shift) >> shift);
}

/* The contract of the ramp in one line a case, told in another way than the code under test. */
static void expect_ramp(const void *pixels, const struct dao_dtype *dtype, uint64_t cnt0,
                        uint64_t nelement)
{
    for (uint64_t i = 0; i < nelement; i++) {
        const unsigned char *p = (const unsigned char *)pixels + i * dtype->element_bytes;
        uint64_t sum = cnt0 + i, bits = 0;

        if (dtype->is_float) {
            ck_assert(value_at(pixels, dtype, i, 0) == (double)(sum % 1048576));
            if (dtype->is_complex)
                ck_assert(value_at(pixels, dtype, i, 1) == -(double)(sum % 1048576));
            continue;
        }
        memcpy(&bits, p, dtype->element_bytes); /* little-endian: the low bytes */
        if (dtype->element_bytes < 8)
            sum &= (1ull << (8 * dtype->element_bytes)) - 1;
        ck_assert_uint_eq(bits, sum);
    }
}

START_TEST(the_ramp_is_a_function_of_count_and_index)
{
    static const uint32_t lengths[] = {1, 63, 64, 65, 97, 333};

    for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
        struct dao_geometry g = make_geometry((unsigned)_i, 1, lengths[n], 0, 0);
        unsigned char *pixels = malloc(g.frame_bytes + 16);
        struct pattern p;

        memset(pixels, 0xA5, g.frame_bytes + 16);
        ck_assert_int_eq(pattern_init(&p, "ramp", &g, 1), 0);
        for (int c = 0; c < COUNTS_TO_TRY; c++) {
            pattern_fill(&p, pixels, counts[c]);
            expect_ramp(pixels, g.dtype, counts[c], g.nelement);
        }
        for (unsigned i = 0; i < 16; i++)
            ck_assert_uint_eq(pixels[g.frame_bytes + i], 0xA5);
        pattern_fini(&p);
        free(pixels);
    }
}
END_TEST

static void sum_up(const void *pixels, const struct dao_geometry *g, double *mean, double *sigma)
{
    double sum = 0.0, square = 0.0;

    for (uint64_t i = 0; i < g->nelement; i++) {
        double v = value_at(pixels, g->dtype, i, 0);

        sum += v;
        square += v * v;
    }
    *mean = sum / (double)g->nelement;
    *sigma = sqrt(square / (double)g->nelement - *mean * *mean);
}

START_TEST(spots_of_every_type_stand_out_of_their_background)
{
    struct dao_geometry g = make_geometry((unsigned)_i, 2, 64, 80, 0);
    const struct elements *e = elements_get((unsigned)_i);
    unsigned char *pixels = malloc(g.frame_bytes);
    double low = INFINITY, high = -INFINITY, mean, sigma;
    struct pattern p;

    ck_assert_int_eq(pattern_init(&p, "spots", &g, 1), 0);
    ck_assert_uint_eq(p.cycle_frames, PATTERN_CYCLE_FRAMES);
    pattern_fill(&p, pixels, 5);
    for (uint64_t i = 0; i < g.nelement; i++) {
        double v = value_at(pixels, g.dtype, i, 0);

        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    sum_up(pixels, &g, &mean, &sigma);
    ck_assert(low > (double)e->bias - 0.1 * (double)e->peak);
    ck_assert(high > (double)e->bias + 0.7 * (double)e->peak);
    ck_assert(high < (double)e->bias + 1.5 * (double)e->peak);
    ck_assert(mean > (double)e->bias && mean < (double)e->bias + 0.4 * (double)e->peak);
    pattern_fini(&p);
    free(pixels);
}
END_TEST

/* Centre of light of the box of one spot, above the background. */
static double centre_column(const float *image, uint32_t columns, uint32_t row0, uint32_t col0,
                            uint32_t pitch)
{
    double light = 0.0, moment = 0.0;

    for (uint32_t j = row0; j < row0 + pitch; j++) {
        for (uint32_t i = col0; i < col0 + pitch; i++) {
            light += (double)image[j * columns + i];
            moment += (double)image[j * columns + i] * (double)(i - col0);
        }
    }
    ck_assert(light > 0.0);
    return moment / light;
}

START_TEST(spots_move_and_come_back_at_the_end_of_the_cycle)
{
    enum { ROWS = 160, COLUMNS = 160 };
    static float now[ROWS * COLUMNS], later[ROWS * COLUMNS], round[ROWS * COLUMNS];
    uint32_t pitch = spots_pitch(ROWS, COLUMNS);
    double x;

    ck_assert_uint_eq(pitch, 8);
    spots_draw(now, ROWS, COLUMNS, 0, 0.0f);
    spots_draw(later, ROWS, COLUMNS, 0, 0.25f);
    spots_draw(round, ROWS, COLUMNS, 0, 1.0f);
    x = centre_column(now, COLUMNS, 32, 80, pitch);
    ck_assert(fabs(centre_column(later, COLUMNS, 32, 80, pitch) - x) > 0.2);
    ck_assert(fabs(centre_column(round, COLUMNS, 32, 80, pitch) - x) < 0.01);
}
END_TEST

START_TEST(the_pupil_is_round_and_obstructed)
{
    enum { ROWS = 160, COLUMNS = 200 };
    static float image[ROWS * COLUMNS];
    double corner = 0.0, centre = 0.0, ring = 0.0;

    spots_draw(image, ROWS, COLUMNS, 0, 0.5f);
    for (uint32_t j = 0; j < 8; j++) {
        for (uint32_t i = 0; i < 8; i++) {
            corner += (double)image[j * COLUMNS + i];
            centre += (double)image[(76 + j) * COLUMNS + 96 + i];
            ring += (double)image[(76 + j) * COLUMNS + 40 + i];
        }
    }
    ck_assert(corner < 0.01);
    ck_assert(centre < 0.5);
    ck_assert(ring > 2.0);
}
END_TEST

START_TEST(an_image_too_small_for_spots_and_a_vector_show_modes)
{
    static const struct shape {
        int naxis;
        uint32_t a, b, c;
    } shapes[] = {{1, 97, 0, 0}, {2, 97, 1, 0}, {2, 4, 4, 0}, {3, 8, 16, 4}, {1, 1, 0, 0}};

    for (size_t n = 0; n < sizeof(shapes) / sizeof(shapes[0]); n++) {
        struct dao_geometry g =
            make_geometry(9, shapes[n].naxis, shapes[n].a, shapes[n].b, shapes[n].c);
        float *first = malloc(g.frame_bytes), *second = malloc(g.frame_bytes);
        struct pattern p;

        ck_assert_int_eq(pattern_init(&p, "spots", &g, 1), 0);
        pattern_fill(&p, first, 0);
        pattern_fill(&p, second, 5);
        for (uint64_t i = 0; i < g.nelement; i++)
            ck_assert(fabsf(first[i]) <= 1.0f);
        ck_assert_mem_ne(first, second, g.frame_bytes);
        pattern_fini(&p);
        free(first);
        free(second);
    }
}
END_TEST

START_TEST(the_planes_of_a_third_axis_differ)
{
    struct dao_geometry g = make_geometry(3, 3, 3, 32, 32);
    uint16_t *pixels = malloc(g.frame_bytes);
    struct pattern p;

    ck_assert_int_eq(pattern_init(&p, "spots", &g, 1), 0);
    pattern_fill(&p, pixels, 0);
    ck_assert_mem_ne(pixels, pixels + 1024, 2048);
    ck_assert_mem_ne(pixels + 1024, pixels + 2048, 2048);
    pattern_fini(&p);
    free(pixels);
}
END_TEST

START_TEST(noise_is_white_and_of_the_right_width)
{
    struct dao_geometry g = make_geometry((unsigned)_i, 2, 100, 100, 0);
    const struct dao_dtype *dtype = g.dtype;
    unsigned char *pixels = malloc(g.frame_bytes);
    double mean, sigma, next = 0.0, range = pow(2.0, 8.0 * dtype->word_bytes);
    double right_mean = dtype->is_float || !dtype->is_unsigned ? 0.0 : range / 2.0;
    double right_sigma = dtype->is_float ? 1.0 : range / sqrt(12.0);
    struct pattern p;

    ck_assert_int_eq(pattern_init(&p, "noise", &g, 1), 0);
    pattern_fill(&p, pixels, 3);
    sum_up(pixels, &g, &mean, &sigma);
    ck_assert(fabs(mean - right_mean) < 0.05 * right_sigma);
    ck_assert(fabs(sigma / right_sigma - 1.0) < 0.05);
    for (uint64_t i = 0; i + 1 < g.nelement; i++)
        next += (value_at(pixels, dtype, i, 0) - mean) * (value_at(pixels, dtype, i + 1, 0) - mean);
    ck_assert(fabs(next / (double)g.nelement) < 0.05 * right_sigma * right_sigma);
    pattern_fini(&p);
    free(pixels);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_frames_and_another_others)
{
    struct dao_geometry g = make_geometry(3, 2, 48, 48, 0);
    unsigned char *a = malloc(g.frame_bytes), *b = malloc(g.frame_bytes);

    for (int i = 0; pattern_names[i]; i++) {
        struct pattern p, same, other;
        bool random = strcmp(pattern_names[i], "ramp") != 0;

        ck_assert_int_eq(pattern_init(&p, pattern_names[i], &g, 1), 0);
        ck_assert_int_eq(pattern_init(&same, pattern_names[i], &g, 1), 0);
        ck_assert_int_eq(pattern_init(&other, pattern_names[i], &g, 2), 0);
        pattern_fill(&p, a, 1000);
        pattern_fill(&same, b, 1000);
        ck_assert_mem_eq(a, b, g.frame_bytes);
        pattern_fill(&other, b, 1000);
        ck_assert(!random || memcmp(a, b, g.frame_bytes) != 0);
        pattern_fini(&p);
        pattern_fini(&same);
        pattern_fini(&other);
    }
    free(a);
    free(b);
}
END_TEST

START_TEST(the_cycle_is_bounded_in_memory)
{
    struct dao_geometry g = make_geometry(3, 2, 4096, 4096, 0);
    struct pattern p;

    ck_assert_int_eq(pattern_init(&p, "noise", &g, 1), 0);
    ck_assert_uint_eq(p.cycle_frames, 8);
    pattern_fini(&p);
}
END_TEST

START_TEST(an_unknown_pattern_is_refused)
{
    struct dao_geometry g = make_geometry(3, 1, 10, 0, 0);
    struct pattern p;

    ck_assert_int_eq(pattern_init(&p, "stripes", &g, 1), -EINVAL);
    pattern_fini(&p);
    pattern_fini(&p);
}
END_TEST

START_TEST(photons_have_the_mean_and_variance_of_poisson)
{
    static const float means[] = {0.05f, 0.7f, 4.0f, 15.9f, 16.1f, 400.0f};
    static struct random_source random;
    const int draws = 40000;

    random_init(&random, 3);
    for (size_t m = 0; m < sizeof(means) / sizeof(means[0]); m++) {
        double sum = 0.0, square = 0.0, mean, variance, expected = (double)means[m];

        for (int i = 0; i < draws; i++) {
            double k = (double)random_poisson(&random, means[m]);

            ck_assert(k >= 0.0 && k == floor(k));
            sum += k;
            square += k * k;
        }
        mean = sum / draws;
        variance = square / draws - mean * mean;
        ck_assert(fabs(mean - expected) < 5.0 * sqrt(expected / draws) + 0.003 * expected);
        ck_assert(fabs(variance / expected - 1.0) <
                  4.0 * sqrt(2.0 / draws + 1.0 / (expected * draws)) + 0.01);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pattern");
    TCase *tc = tcase_create("pattern");

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, the_ramp_is_a_function_of_count_and_index, 1, 13);
    tcase_add_loop_test(tc, spots_of_every_type_stand_out_of_their_background, 1, 13);
    tcase_add_test(tc, spots_move_and_come_back_at_the_end_of_the_cycle);
    tcase_add_test(tc, the_pupil_is_round_and_obstructed);
    tcase_add_test(tc, an_image_too_small_for_spots_and_a_vector_show_modes);
    tcase_add_test(tc, the_planes_of_a_third_axis_differ);
    tcase_add_loop_test(tc, noise_is_white_and_of_the_right_width, 1, 13);
    tcase_add_test(tc, the_same_seed_gives_the_same_frames_and_another_others);
    tcase_add_test(tc, the_cycle_is_bounded_in_memory);
    tcase_add_test(tc, an_unknown_pattern_is_refused);
    tcase_add_test(tc, photons_have_the_mean_and_variance_of_poisson);
    return suite_run(suite);
}
