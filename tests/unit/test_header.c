/* test_header.c - headers keep their length, keywords are clean, checksums fit. */
#include <check.h>
#include <fitsio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits/header.h"
#include "fits/keywords.h"
#include "fits/plan.h"
#include "fits/rows.h"
#include "fits/sum.h"
#include "recording/tree.h"
#include "tests/support/suite.h"

static IMAGE_KEYWORD keyword(const char *name, char type)
{
    IMAGE_KEYWORD k;

    memset(&k, 0, sizeof k);
    memcpy(k.name, name, strlen(name) < 16 ? strlen(name) : 16);
    k.type = type;
    return k;
}

static struct dao_geometry geometry;
static struct fits_facts facts;

static void describe(unsigned atype)
{
    uint32_t size[3] = {5, 4, 3};
    struct dao_text text;

    ck_assert_int_eq(dao_geometry_make(&geometry, 3, size, atype, 8, 0, &text), 0);
    facts = (struct fits_facts){.geometry = &geometry,
                                .stream = "wfs",
                                .host = "host",
                                .session = "0000",
                                .shm_path = "/tmp/wfs.im.shm"};
}

static const struct fits_state empty = {
    .planes = 10, .file_seq = 1, .previous = "", .next = "", .end_cause = "", .status = "OPEN"};

static bool has_card(const struct fits_bytes *header, const char *start)
{
    for (size_t at = 0; at + 80 <= header->length; at += 80)
        if (memcmp(header->data + at, start, strlen(start)) == 0)
            return true;
    return false;
}

START_TEST(a_header_keeps_its_length_whatever_the_state_says)
{
    struct fits_state full = {
        .planes = INT64_MAX / 1000,
        .file_seq = 999999,
        .frame0 = INT64_MAX,
        .cnt0_begin = INT64_MIN,
        .cnt0_end = INT64_MAX,
        .written_ns = INT64_MAX,
        .begin_ns = 1,
        .end_ns = INT64_MAX,
        .frames = INT64_MAX,
        .fps = 1.23456789e12,
        .lost = INT64_MAX,
        .gaps = INT64_MAX,
        .torn = INT64_MAX,
        .session_lost = INT64_MAX,
        .end_cause = "SHMGONE",
        .status = "RECOVERD",
    };
    char stream[FITS_STREAM_NAME_MAX + 1], name[TREE_FILE_BYTES];
    struct fits_bytes a = {0}, b = {0};
    struct dao_text text = {""};
    uint32_t sum = 0xfffffffe;

    memset(stream, 's', sizeof stream - 1);
    stream[sizeof stream - 1] = '\0';
    tree_file_name(name, stream, 999999, 0);
    ck_assert_uint_le(strlen(name), 68);
    full.previous = full.next = name;
    describe((unsigned)_i);
    facts.stream = stream;
    ck_assert_msg(fits_build_primary(&a, &facts, &empty, NULL, &text) == 0, "%s", text.s);
    ck_assert_msg(fits_build_primary(&b, &facts, &full, &sum, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(a.length, b.length);
    ck_assert_uint_eq(a.length % FITS_BLOCK, 0);
    ck_assert(has_card(&b, "NEXTFILE= 's"));
    ck_assert(!has_card(&b, "CONTINUE"));
    fits_bytes_free(&a);
    fits_bytes_free(&b);
}
END_TEST

/* Two states of one file: as it was prepared, and as it is closed. */
static const struct fits_state closed = {
    .planes = 7,
    .file_seq = 12,
    .frame0 = 4711,
    .cnt0_begin = 815,
    .cnt0_end = 123456789012,
    .written_ns = 1700000009123456789,
    .begin_ns = 1700000000123456789,
    .end_ns = 1700000007987654321,
    .previous = "wavefront_sensor_number_one_000011.fits",
    .next = "wavefront_sensor_number_one_000013.fits",
    .frames = 7,
    .fps = 1999.875,
    .lost = 12345,
    .gaps = 12,
    .torn = 3,
    .session_lost = 99999,
    .end_cause = "SIGNAL",
    .status = "CLOSED",
};

/* A segment path long enough for `cards` cards of continuation. */
static char long_path[2000];
static void describe_long(unsigned atype, unsigned cards)
{
    describe(atype);
    memset(long_path, 'p', sizeof long_path);
    long_path[1 + cards * 60] = '\0';
    facts.shm_path = long_path;
}

START_TEST(a_header_brought_up_to_date_is_the_one_that_would_be_built)
{
    IMAGE_KEYWORD keywords[2] = {keyword("GAIN", 'D'), keyword("FILTER", 'S')};
    struct fits_bytes updated = {0}, built = {0};
    struct dao_text text = {""};
    uint32_t sum = 0x12345678;

    for (unsigned cards = 0; cards < 33; cards++) {
        describe_long((unsigned)_i, cards);
        facts.keywords = keywords;
        facts.keyword_count = 2;
        ck_assert_int_eq(fits_build_primary(&updated, &facts, &empty, NULL, &text), 0);
        ck_assert_int_eq(fits_build_primary(&built, &facts, &closed, &sum, &text), 0);
        ck_assert_msg(fits_update_primary(&updated, "wfs", &closed, &sum, &text) == 0, "%s",
                      text.s);
        ck_assert_uint_eq(updated.length, built.length);
        ck_assert_mem_eq(updated.data, built.data, built.length);
        fits_bytes_free(&built);
        /* and back: what is empty keeps its card */
        ck_assert_int_eq(fits_build_primary(&built, &facts, &empty, NULL, &text), 0);
        ck_assert_int_eq(fits_update_primary(&updated, "wfs", &empty, NULL, &text), 0);
        ck_assert_mem_eq(updated.data, built.data, built.length);
        fits_bytes_free(&updated);
        fits_bytes_free(&built);
    }
}
END_TEST

START_TEST(a_table_header_brought_up_to_date_is_the_one_that_would_be_built)
{
    struct fits_bytes updated = {0}, built = {0};
    struct dao_text text = {""};
    uint32_t sum = 0x12345678;

    ck_assert_int_eq(fits_build_frames(&updated, 10000, 1700000000000000000, NULL, &text), 0);
    ck_assert_int_eq(fits_build_frames(&built, 7, 1700000000000000000, &sum, &text), 0);
    ck_assert_int_eq(fits_update_frames(&updated, 7, &sum, &text), 0);
    ck_assert_uint_eq(updated.length, built.length);
    ck_assert_mem_eq(updated.data, built.data, built.length);
    fits_bytes_free(&updated);
    fits_bytes_free(&built);
}
END_TEST

/* As FITS has it: a text in quotes, a letter or one number; then nothing or a comment. */
static bool is_legal_card(const char *card)
{
    const char *p = card + 10;
    char *end = NULL;

    if (memcmp(card + 8, "= ", 2) != 0)
        return true;
    p += strspn(p, " ");
    if (*p == '\'') {
        do { /* a quote in a text stands twice */
            p = strchr(p + 1, '\'');
            p = p && p[1] == '\'' ? p + 1 : p;
        } while (p && *p == '\'' && p[-1] == '\'' && p[1] == '\'');
        end = p ? (char *)(uintptr_t)p + 1 : NULL;
    } else if (*p == 'T' || *p == 'F') {
        end = (char *)(uintptr_t)p + 1;
    } else {
        strtod(p, &end);
        end = end == p ? NULL : end;
    }
    if (!end)
        return false;
    end += strspn(end, " ");
    return *end == '\0' || *end == '/';
}

START_TEST(a_header_rewritten_by_half_has_legal_cards_only)
{
    struct fits_bytes before = {0}, after = {0};
    struct dao_text text = {""};
    uint32_t sum = 0x12345678;

    for (unsigned cards = 0; cards < 33; cards++) {
        describe_long(_DATATYPE_UINT16, cards);
        facts.stream = "wavefront_sensor_number_one";
        ck_assert_int_eq(fits_build_primary(&before, &facts, &empty, NULL, &text), 0);
        ck_assert_int_eq(fits_build_primary(&after, &facts, &closed, &sum, &text), 0);
        for (size_t boundary = 512; boundary < before.length; boundary += 512) {
            size_t at = boundary / 80 * 80;

            for (int order = 0; order < 2; order++) {
                const struct fits_bytes *first = order ? &after : &before;
                const struct fits_bytes *second = order ? &before : &after;
                char card[81] = "";

                memcpy(card, first->data + at, boundary - at);
                memcpy(card + (boundary - at), second->data + boundary, 80 - (boundary - at));
                ck_assert_msg(is_legal_card(card), "%s", card);
            }
        }
        fits_bytes_free(&before);
        fits_bytes_free(&after);
    }
}
END_TEST

START_TEST(a_checksummed_header_and_its_data_sum_to_all_ones)
{
    struct fits_bytes header = {0};
    struct dao_text text;
    uint32_t sum = 0x12345678;

    describe(_DATATYPE_UINT16);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &empty, &sum, &text), 0);
    ck_assert_uint_eq(fits_sum_add(fits_sum_bytes(header.data, header.length), sum), 0xffffffffu);
    fits_bytes_free(&header);
    ck_assert_int_eq(fits_build_shmkw(&header, &facts, &text), 0);
    ck_assert_uint_eq(fits_sum_bytes(header.data, header.length), 0xffffffffu);
    fits_bytes_free(&header);
}
END_TEST

START_TEST(bzero_is_an_integer_card)
{
    struct fits_bytes header = {0};
    struct dao_text text;

    describe(_DATATYPE_UINT64);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &empty, NULL, &text), 0);
    ck_assert(has_card(&header, "BZERO   =  9223372036854775808"));
    fits_bytes_free(&header);
    describe(_DATATYPE_INT8);
    ck_assert_int_eq(fits_build_primary(&header, &facts, &empty, NULL, &text), 0);
    ck_assert(has_card(&header, "BZERO   =                 -128"));
    fits_bytes_free(&header);
}
END_TEST

START_TEST(no_keyword_of_the_segment_takes_the_place_of_ours)
{
    static const char *const refused[] = {
        "SIMPLE",      "NAXIS",    "NAXIS3",  "BZERO",   "TTYPE12",  "TFORM1",  "EXTNAME",
        "ATIME",       "DATE-OBS", "NLOST",   "FLG3",    "END",      "lower",   "WITH SP",
        "TOOLONGNAME", "",         "CD1_1",   "ZIMAGE",  "CHECKSUM", "COMMENT", "SHMSIZ1",
        "CTYPE1",      "PREVFILE", "MJDREF",  "DATEX",   "DATE-FOO", "CTYPE1A", "CRPIX1A",
        "RADESYSA",    "RESTFRQ",  "SPECSYS", "VELOSYS", "DP1",      "A_ORDER",
    };
    IMAGE_KEYWORD k;

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        k = keyword(refused[i], 'L');
        ck_assert_msg(!fits_keyword_is_card(&k), "%s", refused[i]);
    }
    k = keyword("GAIN", 'D');
    k.value.numf = 2.5;
    ck_assert(fits_keyword_is_card(&k));
    k.value.numf = (double)NAN;
    ck_assert(!fits_keyword_is_card(&k));
    k.value.numf = (double)INFINITY;
    ck_assert(!fits_keyword_is_card(&k));
    k = keyword("TTYPE", 'L'); /* without a number it is nobody's */
    ck_assert(fits_keyword_is_card(&k));
    k = keyword("GAIN", 'N');
    ck_assert(!fits_keyword_is_card(&k));
}
END_TEST

START_TEST(dirty_strings_become_printable_ascii)
{
    struct fits_bytes header = {0};
    struct dao_text text;
    IMAGE_KEYWORD keywords[3] = {keyword("FILTER", 'S'), keyword("FILTER", 'L'),
                                 keyword("SIXTEEN_LETTERS_", 'S')};

    memcpy(keywords[0].value.valstr, "a\x01'b\xff 3456789ABC", 16); /* no NUL */
    memset(keywords[0].comment, 'c', 80);
    keywords[0].comment[3] = '\n';
    describe(_DATATYPE_UINT16);
    facts.keywords = keywords;
    facts.keyword_count = 3;
    ck_assert_int_eq(fits_build_primary(&header, &facts, &empty, NULL, &text), 0);
    ck_assert(has_card(&header, "FILTER  = 'a?''b? 3456789ABC'"));
    for (size_t i = 0; i < header.length; i++)
        ck_assert(header.data[i] >= ' ' && header.data[i] <= '~');
    fits_bytes_free(&header);
    ck_assert_int_eq(fits_build_shmkw(&header, &facts, &text), 0);
    ck_assert(has_card(&header, "NAXIS2  =                    3"));
    fits_bytes_free(&header);
}
END_TEST

START_TEST(at_most_64_keywords_become_cards)
{
    IMAGE_KEYWORD keywords[100];
    struct fits_bytes header = {0};
    struct dao_text text;
    char name[17];

    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "KEY%d", i);
        keywords[i] = keyword(name, 'L');
    }
    describe(_DATATYPE_UINT16);
    facts.keywords = keywords;
    facts.keyword_count = 100;
    ck_assert_int_eq(fits_build_primary(&header, &facts, &empty, NULL, &text), 0);
    ck_assert(has_card(&header, "KEY63   ="));
    ck_assert(!has_card(&header, "KEY64   ="));
    fits_bytes_free(&header);
}
END_TEST

START_TEST(a_row_is_packed_and_unpacked_without_loss)
{
    struct fits_row row = {.time_s = -1.5,
                           .atime_ns = INT64_MIN,
                           .cnt0 = -1,
                           .cnt1 = 2,
                           .cnt2 = INT64_MAX,
                           .rtime_ns = 42,
                           .lost = INT32_MAX,
                           .flags = 0x81,
                           .slot = 7,
                           .dsum = 0xfedcba98u},
                    back;
    unsigned char packed[FITS_ROW_BYTES];
    uint32_t sum;

    sum = fits_row_pack(packed, &row);
    ck_assert(fits_sum_is_same(sum, fits_sum_bytes(packed, FITS_ROW_BYTES)));
    ck_assert_uint_eq(packed[63], 0x98);
    ck_assert_uint_eq(packed[60], 0x7e); /* TZERO = 2^31 */
    fits_row_unpack(&back, packed);
    ck_assert_mem_eq(&back, &row, sizeof row);
}
END_TEST

START_TEST(closing_always_finds_room)
{
    static const uint64_t frames[] = {1, 3, 388, 2880, 4096, 100000, 1280000};

    for (size_t f = 0; f < sizeof frames / sizeof frames[0]; f++) {
        struct fits_parts parts = {.primary_bytes = 5760,
                                   .frame_bytes = frames[f],
                                   .frames_header_bytes = 5760,
                                   .shmkw_bytes = 2880};

        for (uint64_t capacity = 1; capacity < 3000; capacity = capacity * 2 + 1) {
            struct fits_plan plan;

            fits_plan_make(&plan, &parts, capacity);
            for (uint64_t n = 1; n < capacity; n++) {
                uint64_t planes = fits_plan_detour_planes(&plan, n);
                uint64_t own_end = fits_plan_closed_bytes(&plan, n) + FITS_BLOCK, at;

                if (planes == 0) {
                    ck_assert_uint_le(own_end, plan.frames_header_off);
                    continue;
                }
                at = fits_plan_cube_end(&plan, planes);
                ck_assert_uint_ge(at, plan.spare_off + FITS_BLOCK); /* SPARE's header still rules */
                ck_assert_uint_ge(at, own_end); /* the tables there while those here are written */
                ck_assert_uint_le(at + fits_plan_tables_bytes(&plan, n) + FITS_BLOCK + 4096,
                                  plan.file_bytes); /* and the last page stays untouched */
            }
        }
    }
}
END_TEST

START_TEST(a_stream_is_named_after_its_segment)
{
    char name[FITS_STREAM_NAME_MAX + 1];

    ck_assert_int_eq(tree_stream_name(name, "/tmp/wfs.im.shm"), 0);
    ck_assert_str_eq(name, "wfs");
    ck_assert_int_eq(tree_stream_name(name, "a b[1](x).shm"), 0);
    ck_assert_str_eq(name, "a_b_1__x_");
    ck_assert_int_eq(tree_stream_name(name, "/tmp/.hidden"), 0);
    ck_assert_str_eq(name, "shm_");
    ck_assert_int_eq(tree_stream_name(name, "/tmp/-rf.shm"), 0);
    ck_assert_str_eq(name, "shm_-rf");
    ck_assert_int_ne(
        tree_stream_name(name, "/tmp/0123456789012345678901234567890123456789012345678901234567"),
        0);
    ck_assert_str_eq(name, "shm_-rf");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("header");
    TCase *tcase = tcase_create("header");

    tcase_add_loop_test(tcase, a_header_keeps_its_length_whatever_the_state_says, 1, 13);
    tcase_add_loop_test(tcase, a_header_brought_up_to_date_is_the_one_that_would_be_built, 1, 13);
    tcase_add_test(tcase, a_table_header_brought_up_to_date_is_the_one_that_would_be_built);
    tcase_add_test(tcase, a_header_rewritten_by_half_has_legal_cards_only);
    tcase_add_test(tcase, a_checksummed_header_and_its_data_sum_to_all_ones);
    tcase_add_test(tcase, bzero_is_an_integer_card);
    tcase_add_test(tcase, no_keyword_of_the_segment_takes_the_place_of_ours);
    tcase_add_test(tcase, dirty_strings_become_printable_ascii);
    tcase_add_test(tcase, at_most_64_keywords_become_cards);
    tcase_add_test(tcase, a_row_is_packed_and_unpacked_without_loss);
    tcase_add_test(tcase, closing_always_finds_room);
    tcase_add_test(tcase, a_stream_is_named_after_its_segment);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
