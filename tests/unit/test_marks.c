/* test_marks.c - what a person notes while a file is recorded, in its primary header. */
#include <check.h>
#include <fitsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fits/header.h"
#include "lib/dtype.h"
#include "tests/support/suite.h"

static struct dao_geometry geometry;
static struct fits_facts facts = {.geometry = &geometry,
                                  .stream = "wfs",
                                  .host = "rtc1",
                                  .session = "00000000-0000-4000-8000-000000000000",
                                  .shm_path = "/tmp/wfs.im.shm"};
static struct fits_state state;
static struct fits_mark marks[64];
static struct dao_text text;

static void describe(unsigned path_cards)
{
    static char path[2000];
    const uint32_t size[] = {8, 8};

    ck_assert_int_eq(dao_geometry_make(&geometry, 2, size, _DATATYPE_UINT16, 4, 0, &text), 0);
    memset(path, 'p', sizeof path);
    path[1 + path_cards * 60] = '\0';
    facts.shm_path = path;
    state = (struct fits_state){.planes = 1,
                                .begin_ns = 1,
                                .written_ns = 1,
                                .previous = "",
                                .next = "",
                                .end_cause = "",
                                .status = "OPEN"};
    for (unsigned i = 0; i < 64; i++) {
        marks[i].time_ns = 1764000000123456789ll + i;
        snprintf(marks[i].text, FITS_MARK_BYTES, "mark number %u", i);
    }
}

/* The n-th HISTORY card's text; "" where there is none. */
static const char *history(const struct fits_bytes *header, unsigned n)
{
    static char card[81];

    for (size_t at = 0; at + 80 <= header->length; at += 80)
        if (memcmp(header->data + at, "HISTORY ", 8) == 0 && n-- == 0) {
            snprintf(card, sizeof card, "%.72s", header->data + at + 8);
            for (size_t end = strlen(card); end > 0 && card[end - 1] == ' ';)
                card[--end] = '\0';
            return card;
        }
    return "";
}

static unsigned end_card(const struct fits_bytes *header)
{
    unsigned at = 0;

    while (memcmp(header->data + at * 80, "END     ", 8) != 0)
        at++;
    return at;
}

static void update(struct fits_bytes *header, unsigned count, uint64_t more)
{
    state.marks = marks;
    state.mark_count = count;
    state.marks_more = more;
    ck_assert_msg(fits_update_primary(header, "wfs", &state, NULL, &text) == 0, "%s", text.s);
}

START_TEST(a_header_keeps_its_length_and_its_end_whatever_is_marked)
{
    for (unsigned cards = 0; cards < 33; cards++) {
        struct fits_bytes header = {0};
        unsigned end, length;

        describe(cards);
        ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
        end = end_card(&header);
        length = (unsigned)header.length;
        ck_assert_uint_eq(fits_pad((end + 1) * 80), length);
        for (unsigned count = 0; count < 64; count += count < 20 ? 1 : 43) {
            update(&header, count, 0);
            ck_assert_uint_eq(end_card(&header), end);
            ck_assert_uint_eq(header.length, length);
        }
        fits_bytes_free(&header);
    }
}
END_TEST

START_TEST(a_mark_has_its_time_and_its_text)
{
    struct fits_bytes header = {0};

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    strcpy(marks[0].text, "na\xc3\xafve, seeing 0.6\" \xf0\x9f\x94\xad");
    update(&header, 2, 0);
    ck_assert_str_eq(history(&header, 0), "MARK 2025-11-24T16:00:00.123456 na?ve, seeing 0.6\" ?");
    ck_assert_str_eq(history(&header, 1), "MARK 2025-11-24T16:00:00.123456 mark number 1");
    ck_assert_str_eq(history(&header, 2), "");
    fits_bytes_free(&header);
}
END_TEST

START_TEST(a_long_text_goes_over_several_cards)
{
    struct fits_bytes header = {0};
    char whole[300] = "";

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    for (unsigned i = 0; i < FITS_MARK_BYTES - 1; i++)
        marks[0].text[i] = (char)('!' + i % 90);
    update(&header, 1, 0);
    for (unsigned i = 0; history(&header, i)[0]; i++)
        strcat(whole, history(&header, i) + (i ? 5 : 32));
    ck_assert_str_eq(whole, marks[0].text);
    fits_bytes_free(&header);
}
END_TEST

START_TEST(those_that_do_not_fit_are_counted)
{
    struct fits_bytes header = {0};
    char last[80];

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    update(&header, FITS_MARK_CARDS, 0); /* just so many */
    ck_assert_ptr_nonnull(strstr(history(&header, FITS_MARK_CARDS - 1), "mark number 17"));
    update(&header, FITS_MARK_CARDS, 5);
    ck_assert_ptr_nonnull(strstr(history(&header, FITS_MARK_CARDS - 2), "mark number 16"));
    strcpy(last, history(&header, FITS_MARK_CARDS - 1));
    ck_assert_str_eq(last, "MARK 6 more, see session.json");
    update(&header, FITS_MARK_CARDS + 1, 0);
    ck_assert_str_eq(history(&header, FITS_MARK_CARDS - 1), "MARK 2 more, see session.json");
    fits_bytes_free(&header);
}
END_TEST

START_TEST(marks_stay_without_new_ones_and_are_not_put_twice)
{
    struct fits_bytes header = {0}, copy = {0};

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    update(&header, 3, 0);
    ck_assert_int_eq(fits_bytes_copy(&copy, &header), 0);
    update(&header, 3, 0);
    ck_assert_mem_eq(header.data, copy.data, header.length);
    update(&header, 0, 0);
    ck_assert_mem_eq(header.data, copy.data, header.length);
    fits_bytes_free(&header);
    fits_bytes_free(&copy);
}
END_TEST

/* As a power cut leaves it: sectors of before and of after. A card is a legal one then, too. */
START_TEST(half_written_marks_are_legal_cards)
{
    struct fits_bytes before = {0}, after = {0};

    describe(0);
    ck_assert_int_eq(fits_build_primary(&before, &facts, &state, NULL, &text), 0);
    ck_assert_int_eq(fits_bytes_copy(&after, &before), 0);
    update(&after, 40, 0);
    for (size_t boundary = 512; boundary < before.length; boundary += 512) {
        size_t at = boundary / 80 * 80;
        char card[81] = "";

        if (memcmp(after.data + at, "HISTORY ", 8) != 0)
            continue;
        memcpy(card, after.data + at, boundary - at);
        memcpy(card + (boundary - at), before.data + boundary, 80 - (boundary - at));
        ck_assert(memcmp(card, "HISTORY ", 8) == 0 || boundary == at || boundary - at < 8);
        memcpy(card, before.data + at, boundary - at);
        memcpy(card + (boundary - at), after.data + boundary, 80 - (boundary - at));
        ck_assert(memcmp(card, "        ", 8) == 0 || memcmp(card, "HISTORY ", 8) == 0 ||
                  boundary - at < 8);
    }
    fits_bytes_free(&before);
    fits_bytes_free(&after);
}
END_TEST

START_TEST(cfitsio_reads_a_header_with_marks)
{
    struct fits_bytes header = {0};
    char card[FLEN_CARD];
    int status = 0;

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    update(&header, 4, 0);
    for (size_t at = 0; at + 80 <= header.length; at += 80) {
        memcpy(card, header.data + at, 80);
        card[80] = '\0';
        ffpsvc(card, (char[FLEN_VALUE]){""}, (char[FLEN_COMMENT]){""}, &status);
        ck_assert_int_eq(status, 0);
    }
    fits_bytes_free(&header);
}
END_TEST

static struct fits_mark found[FITS_MARK_CARDS];

START_TEST(what_was_put_is_read_back)
{
    struct fits_bytes header = {0};
    uint64_t more = 9;

    describe(0);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &state, NULL, &text), 0);
    ck_assert_uint_eq(fits_marks_read(&header, found, &more), 0);
    ck_assert_uint_eq(more, 0);
    /* Blanks where a card ends, a text that looks like the last card, and a long one at the end. */
    snprintf(marks[0].text, FITS_MARK_BYTES, "%-41s%-67sx", "a", "b");
    strcpy(marks[1].text, "3 more, see session.json");
    strcpy(marks[2].text, "caf\xc3\xa9");
    memset(marks[3].text, 'z', FITS_MARK_BYTES - 1);
    update(&header, 5, 0);
    ck_assert_uint_eq(fits_marks_read(&header, found, &more), 5);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(found[i].time_ns, marks[i].time_ns / 1000 * 1000);
        ck_assert_str_eq(found[i].text, i == 2 ? "caf?" : marks[i].text);
    }
    update(&header, 64, 7);
    ck_assert_uint_eq(fits_marks_read(&header, found, &more) + more, 64 + 7);
    fits_bytes_free(&header);
}
END_TEST

/* Cards of anybody: none is believed, none costs more than itself. */
START_TEST(cards_that_are_no_marks_are_passed_by)
{
    static const char *const others[] = {
        "HISTORY MARK",
        "HISTORY MARK of a pencil",
        "HISTORY MARK 2025-11-24T16:00:00",
        "HISTORY MARK 2025-13-24T16:00:00.123456 month 13",
        "HISTORY      goes on from nothing",
        "HISTORY MARK -1 more, see session",
        "HISTORY MARK 2025-11-24T16:00:00.123456\x1b[2J",
    };
    struct fits_bytes header = {0};
    uint64_t more;

    header.length = FITS_BLOCK;
    header.data = malloc(FITS_BLOCK);
    memset(header.data, ' ', FITS_BLOCK);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
        memcpy(header.data + i * 80, others[i], strlen(others[i]));
    memcpy(header.data + 20 * 80, "HISTORY MARK 2025-11-24T16:00:00.123456 \x1b[2J\xff", 45);
    memcpy(header.data + 21 * 80, "END", 3);
    ck_assert_uint_eq(fits_marks_read(&header, found, &more), 1);
    ck_assert_str_eq(found[0].text, "?[2J?");
    ck_assert_uint_eq(more, 0);
    memcpy(header.data + 21 * 80, "   ", 3); /* without END: to the last byte, not further */
    ck_assert_uint_eq(fits_marks_read(&header, found, &more), 1);
    for (unsigned i = 0; i < 36; i++)
        memcpy(header.data + i * 80, "HISTORY MARK 2025-11-24T16:00:00.123456 x", 41);
    ck_assert_uint_eq(fits_marks_read(&header, found, &more), FITS_MARK_CARDS);
    fits_bytes_free(&header);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("marks");
    TCase *tc = tcase_create("marks");

    tcase_add_test(tc, a_header_keeps_its_length_and_its_end_whatever_is_marked);
    tcase_add_test(tc, a_mark_has_its_time_and_its_text);
    tcase_add_test(tc, a_long_text_goes_over_several_cards);
    tcase_add_test(tc, those_that_do_not_fit_are_counted);
    tcase_add_test(tc, marks_stay_without_new_ones_and_are_not_put_twice);
    tcase_add_test(tc, half_written_marks_are_legal_cards);
    tcase_add_test(tc, cfitsio_reads_a_header_with_marks);
    tcase_add_test(tc, what_was_put_is_read_back);
    tcase_add_test(tc, cards_that_are_no_marks_are_passed_by);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
