/*
 * test_summary.c - what info says of FITS files, in which nothing can be relied upon: headers made
 * by hand, card by card.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fits/scan.h"
#include "recording/summary.h"
#include "tests/support/suite.h"

/* A header of these cards, END and padding behind them, and one block of zeros. */
static int make_file(char path[64], const char *const *cards)
{
    static char block[2 * FITS_BLOCK];
    int fd = memfd_create("summary", MFD_CLOEXEC);
    size_t at = 0;

    memset(block, ' ', FITS_BLOCK);
    for (; *cards; cards++, at += FITS_CARD_BYTES)
        memcpy(block + at, *cards, strlen(*cards));
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    ck_assert_int_eq(pwrite(fd, block, sizeof block, 0), (ssize_t)sizeof block);
    return fd;
}

#define CARD(key, value) key "= " value
#define HEAD                                                                                       \
    "SIMPLE  =                    T", CARD("BITPIX  ", "                  16"),                    \
        CARD("NAXIS   ", "                   2"), CARD("NAXIS1  ", "                   3"),        \
        CARD("NAXIS2  ", "                   4")

static struct recording_summary read_summary(const char *const *cards, int expected)
{
    struct recording_summary summary = {0};
    struct dao_text text = {""};
    char path[64];
    int fd = make_file(path, cards);

    ck_assert_int_eq(recording_summary_read(&summary, path, &text), expected);
    ck_assert((expected == 0) == (text.s[0] == '\0'));
    close(fd);
    return summary;
}

START_TEST(any_fits_file_has_a_type_a_shape_and_units)
{
    const char *const plain[] = {HEAD, "END", NULL};
    const char *const is_unsigned[] = {HEAD, CARD("BZERO   ", "               32768"), "END", NULL};
    const char *const is_scaled[] = {HEAD, CARD("BSCALE  ", "                 0.5"), "END", NULL};
    struct recording_summary summary = read_summary(plain, 0);

    ck_assert_int_eq(summary.hdus, 1);
    ck_assert_int_eq(summary.naxis, 2);
    ck_assert_uint_eq(summary.size[0], 4);
    ck_assert_uint_eq(summary.size[1], 3);
    ck_assert_str_eq(summary.type, "int16");
    ck_assert(!summary.is_recording);
    ck_assert_str_eq(read_summary(is_unsigned, 0).type, "uint16");
    ck_assert_str_eq(read_summary(is_scaled, 0).type, "float32");
}
END_TEST

START_TEST(a_text_in_the_place_of_a_number_does_no_harm)
{
    const char *const odd[] = {HEAD,
                               CARD("RECSTAT ", "'CLOSED  '"),
                               CARD("NFRAMES ", "'1E308'                                  /"),
                               CARD("FPS     ", "'NAN     '"),
                               "END",
                               NULL};

    read_summary(odd, -EBADMSG); /* it has no FRAMES */
}
END_TEST

START_TEST(a_card_behind_the_end_is_no_card)
{
    const char *const behind[] = {HEAD, "END", CARD("RECSTAT ", "'CLOSED  '"), NULL};
    const char *const open_end[] = {HEAD, NULL};

    ck_assert(!read_summary(behind, 0).is_recording);
    read_summary(open_end, -EBADMSG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("summary");
    TCase *tcase = tcase_create("summary");

    tcase_add_test(tcase, any_fits_file_has_a_type_a_shape_and_units);
    tcase_add_test(tcase, a_text_in_the_place_of_a_number_does_no_harm);
    tcase_add_test(tcase, a_card_behind_the_end_is_no_card);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
