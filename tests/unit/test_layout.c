/*
 * test_layout.c - from a shape to a geometry, and from bytes to one of the three layouts.
 */
#include "tests/support/testbed.h"

#include <errno.h>

#include "lib/layout.h"

/* ---- from a shape ---- */

static int make(struct dao_geometry *ret, int naxis, uint32_t a, uint32_t b, uint32_t c,
                unsigned atype, uint32_t depth, int nbkw, struct dao_text *text)
{
    const uint32_t size[] = {a, b, c};

    return dao_geometry_make(ret, naxis, size, atype, depth, nbkw, text);
}

START_TEST(offsets_follow_from_the_shape_without_padding)
{
    struct dao_geometry geo;

    ck_assert_int_eq(make(&geo, 3, 5, 3, 2, _DATATYPE_UINT8, 4, 7, NULL), 0);
    ck_assert_uint_eq(geo.nelement, 30);
    ck_assert_uint_eq(geo.frame_bytes, 30);
    ck_assert_uint_eq(geo.data_off, 4 * 4304);
    ck_assert_uint_eq(geo.kw_off, 4 * 4304 + 4 * 30);
    ck_assert_uint_eq(geo.file_bytes, 4 * 4304 + 4 * 30 + 7 * 120);
    ck_assert_int_eq(geo.layout->kind, DAO_LAYOUT_FIFO);
}
END_TEST

START_TEST(unused_axes_are_0)
{
    struct dao_geometry geo;

    ck_assert_int_eq(make(&geo, 1, 97, 5, 6, _DATATYPE_FLOAT, 1, 0, NULL), 0);
    ck_assert_uint_eq(geo.size[0], 97);
    ck_assert_uint_eq(geo.size[1], 0);
    ck_assert_uint_eq(geo.size[2], 0);
    ck_assert_uint_eq(geo.nelement, 97);
}
END_TEST

START_TEST(every_type_has_its_frame_size)
{
    for (unsigned atype = 1; atype <= DAO_DTYPE_COUNT; atype++) {
        struct dao_geometry geo;

        ck_assert_int_eq(make(&geo, 2, 10, 10, 0, atype, 2, 0, NULL), 0);
        ck_assert_uint_eq(geo.frame_bytes, 100u * ramp_types[atype].bytes);
    }
}
END_TEST

START_TEST(segments_beyond_4_gib_are_counted_right)
{
    struct dao_geometry geo;

    ck_assert_int_eq(make(&geo, 2, 65536, 65536, 0, _DATATYPE_COMPLEX_DOUBLE, 3, 1, NULL), 0);
    ck_assert_uint_eq(geo.nelement, 1ull << 32);
    ck_assert_uint_eq(geo.frame_bytes, 1ull << 36);
    ck_assert_uint_eq(geo.file_bytes, 3 * 4304 + 3 * (1ull << 36) + 120);
}
END_TEST

START_TEST(a_size_that_overflows_is_refused)
{
    struct dao_geometry geo;
    struct dao_text text = {""};

    ck_assert_int_eq(make(&geo, 3, UINT32_MAX, UINT32_MAX, UINT32_MAX, 1, 1, 0, &text), -EOVERFLOW);
    ck_assert_int_eq(make(&geo, 2, 1u << 31, 1u << 31, 0, 1, 4, 0, &text), -EOVERFLOW);
    ck_assert_int_eq(make(&geo, 2, 1u << 31, 1u << 31, 0, 12, 1, 0, &text), -EOVERFLOW);
    ck_assert_int_eq(make(&geo, 2, 1u << 31, 1u << 31, 0, 1, 2, 0, &text), -EOVERFLOW); /* 2^63 */
    ck_assert_ptr_nonnull(strstr(text.s, "2^63"));
    ck_assert_int_eq(make(&geo, 2, 1u << 31, 1u << 31, 0, 1, 1, 0, &text), 0);
}
END_TEST

START_TEST(wrong_values_are_named_and_leave_the_output_alone)
{
    struct dao_geometry geo, before;
    struct dao_text text = {""};

    memset(&geo, 0x5a, sizeof geo);
    before = geo;
    ck_assert_int_eq(make(&geo, 0, 1, 1, 1, 1, 1, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "naxis is 0"));
    ck_assert_int_eq(make(&geo, 4, 1, 1, 1, 1, 1, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "naxis is 4"));
    ck_assert_int_eq(make(&geo, 2, 3, 0, 1, 1, 1, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "size[1] is 0"));
    ck_assert_int_eq(make(&geo, 2, 3, 3, 1, 13, 1, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "atype is 13"));
    ck_assert_int_eq(make(&geo, 2, 3, 3, 1, 1, 0, 0, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "depth is 0"));
    ck_assert_int_eq(make(&geo, 2, 3, 3, 1, 1, 1, -1, &text), -EINVAL);
    ck_assert_int_eq(make(&geo, 2, 3, 3, 1, 1, 1, 32768, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "32768"));
    ck_assert_int_eq(dao_geometry_make(&geo, 2, NULL, 1, 1, 0, &text), -EINVAL);
    ck_assert_mem_eq(&geo, &before, sizeof geo);
    ck_assert_int_eq(make(&geo, 2, 3, 3, 1, 1, 1, 32767, &text), 0);
}
END_TEST

START_TEST(geometries_are_equal_when_everything_is)
{
    struct dao_geometry a, b;

    ck_assert_int_eq(make(&a, 2, 4, 6, 0, 3, 2, 1, NULL), 0);
    ck_assert_int_eq(make(&b, 2, 4, 6, 9, 3, 2, 1, NULL), 0);
    ck_assert(dao_geometry_equal(&a, &b));
    make(&b, 2, 6, 4, 0, 3, 2, 1, NULL);
    ck_assert(!dao_geometry_equal(&a, &b));
    make(&b, 2, 4, 6, 0, 4, 2, 1, NULL);
    ck_assert(!dao_geometry_equal(&a, &b));
    make(&b, 2, 4, 6, 0, 3, 3, 1, NULL);
    ck_assert(!dao_geometry_equal(&a, &b));
    make(&b, 2, 4, 6, 0, 3, 2, 0, NULL);
    ck_assert(!dao_geometry_equal(&a, &b));
    make(&b, 3, 4, 6, 1, 3, 2, 1, NULL);
    ck_assert(!dao_geometry_equal(&a, &b));
}
END_TEST

/* ---- from bytes ---- */

/* The head of a file by hand: 4 x 2 of uint16 under any of the layouts. */
struct hand {
    unsigned char bytes[DAO_LAYOUT_PROBE_BYTES];
    uint64_t file_bytes;
};

static void put_u32(struct hand *h, size_t off, uint32_t value)
{
    memcpy(h->bytes + off, &value, sizeof value);
}

static IMAGE_METADATA *md_of(struct hand *h)
{
    return (IMAGE_METADATA *)(void *)h->bytes;
}

static struct hand hand_make(uint32_t md_bytes, uint32_t depth, uint16_t nbkw)
{
    static _Alignas(16) struct hand h;
    IMAGE_METADATA *md = md_of(&h);

    memset(&h, 0, sizeof h);
    md->naxis = 2;
    md->size[0] = 4;
    md->size[1] = 2;
    md->nelement = 8;
    md->atype = _DATATYPE_UINT16;
    md->creation_time = 1.7e9;
    md->NBkw = nbkw;
    if (md_bytes == 4304) {
        put_u32(&h, 4296, depth);
        put_u32(&h, 4300, depth - 1);
    } else if (md_bytes == 16448) {
        put_u32(&h, 16392, depth);
        put_u32(&h, 16396, depth - 1);
    }
    h.file_bytes = (uint64_t)depth * (md_bytes + 16) + nbkw * 120u;
    return h;
}

static int identify(struct dao_geometry *ret, const struct hand *h, bool *ambiguous,
                    struct dao_text *text)
{
    size_t head = h->file_bytes < sizeof h->bytes ? (size_t)h->file_bytes : sizeof h->bytes;

    return dao_layout_identify(ret, h->bytes, head, h->file_bytes, ambiguous, text);
}

START_TEST(the_three_layouts_are_told_apart_by_their_sizes)
{
    static const struct {
        uint32_t md_bytes, depth;
        enum dao_layout_kind kind;
    } cases[] = {{4304, 1, DAO_LAYOUT_FIFO},
                 {4304, 64, DAO_LAYOUT_FIFO},
                 {4296, 1, DAO_LAYOUT_PREFIFO},
                 {16448, 1, DAO_LAYOUT_NEWER},
                 {16448, 3, DAO_LAYOUT_NEWER}};

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct hand h = hand_make(cases[i].md_bytes, cases[i].depth, 5);
        bool ambiguous = true;
        struct dao_geometry geo;

        ck_assert_int_eq(identify(&geo, &h, &ambiguous, NULL), 0);
        ck_assert_int_eq(geo.layout->kind, cases[i].kind);
        ck_assert_uint_eq(geo.depth, cases[i].depth);
        ck_assert_uint_eq(geo.nbkw, 5);
        ck_assert_uint_eq(geo.data_off, (uint64_t)cases[i].depth * cases[i].md_bytes);
        ck_assert_uint_eq(geo.file_bytes, h.file_bytes);
        ck_assert(!ambiguous);
    }
}
END_TEST

START_TEST(fifo_wins_where_two_layouts_fit)
{
    /* 4 x (4304 + X) = 3 x (16448 + X) where X = 32128 */
    struct hand h = hand_make(4304, 4, 0);
    bool ambiguous = false;
    struct dao_geometry geo;

    md_of(&h)->naxis = 1;
    md_of(&h)->size[0] = 32128;
    md_of(&h)->size[1] = 0;
    md_of(&h)->nelement = 32128;
    md_of(&h)->atype = _DATATYPE_UINT8;
    put_u32(&h, 16392, 3); /* pixels that look like a depth */
    put_u32(&h, 16396, 2);
    h.file_bytes = 4 * (4304 + 32128);
    ck_assert_uint_eq(h.file_bytes, 3 * (16448 + 32128));
    ck_assert_int_eq(identify(&geo, &h, &ambiguous, NULL), 0);
    ck_assert_int_eq(geo.layout->kind, DAO_LAYOUT_FIFO);
    ck_assert(ambiguous);
    put_u32(&h, 4296, 9); /* and the other one where FIFO does not fit */
    ck_assert_int_eq(identify(&geo, &h, &ambiguous, NULL), 0);
    ck_assert_int_eq(geo.layout->kind, DAO_LAYOUT_NEWER);
    ck_assert(!ambiguous);
}
END_TEST

START_TEST(a_payload_on_a_gpu_is_said_to_be_one)
{
    struct hand h = hand_make(16448, 2, 0);
    struct dao_geometry geo;
    struct dao_text text = {""};

    put_u32(&h, 16400, 1);
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(text.s, "GPU"));
    h.file_bytes = 2 * 16448; /* the pixels need not have room in the file */
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -ENOTSUP);
}
END_TEST

START_TEST(a_header_of_zeros_is_being_created)
{
    struct hand h = hand_make(4304, 2, 0);
    struct dao_geometry geo;
    struct dao_text text = {""};

    memset(h.bytes, 0, sizeof h.bytes);
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -ENODATA);
    ck_assert_ptr_nonnull(strstr(text.s, "being created"));
    md_of(&h)->naxis = 2; /* and so is one that is filled in half */
    md_of(&h)->size[0] = 4;
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -ENODATA);
    md_of(&h)->creation_time = 1.7e9; /* the last field: now it is what it is */
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -EMEDIUMTYPE);
}
END_TEST

START_TEST(what_is_not_a_segment_is_refused_with_what_was_found)
{
    struct dao_geometry geo, before;
    struct dao_text text = {""};
    struct hand h = hand_make(4304, 2, 0);

    memset(&geo, 0x5a, sizeof geo);
    before = geo;
    ck_assert_int_eq(dao_layout_identify(&geo, h.bytes, 0, 0, NULL, &text), -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "empty"));
    ck_assert_int_eq(dao_layout_identify(&geo, h.bytes, 100, 100, NULL, &text), -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "too short"));
    ck_assert_ptr_nonnull(strstr(text.s, "100 bytes"));
    h.file_bytes--;
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "8639 bytes"));
    ck_assert_ptr_nonnull(strstr(text.s, "8640"));
    h.file_bytes += 2;
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -EMEDIUMTYPE);
    memset(h.bytes, 'S', sizeof h.bytes);
    ck_assert_int_eq(identify(&geo, &h, NULL, &text), -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "naxis 83"));
    ck_assert_mem_eq(&geo, &before, sizeof geo);
}
END_TEST

/* Each value of a good header made bad in its turn. */
START_TEST(each_field_of_the_header_is_checked)
{
    struct dao_geometry geo;

    for (int i = 0; i < 9; i++) {
        struct hand h = hand_make(4304, 2, 0);
        IMAGE_METADATA *md = md_of(&h);

        ck_assert_int_eq(identify(&geo, &h, NULL, NULL), 0);
        switch (i) {
        case 0:
            md->naxis = 0;
            break;
        case 1:
            md->naxis = 4;
            break;
        case 2:
            md->size[1] = 0;
            break;
        case 3:
            md->size[0] = 5;
            break;
        case 4:
            md->nelement = 9;
            break;
        case 5:
            md->atype = 0;
            break;
        case 6:
            md->atype = 13;
            break;
        case 7:
            put_u32(&h, 4296, 0);
            break;
        default:
            put_u32(&h, 4300, 2);
            break; /* fifo_last_written = N */
        }
        ck_assert_int_eq(identify(&geo, &h, NULL, NULL), -EMEDIUMTYPE);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_not_taken_for_a_fit)
{
    struct hand h = hand_make(4304, 2, 0);
    IMAGE_METADATA *md = md_of(&h);
    struct dao_geometry geo;

    md->naxis = 3; /* 2^32 x 2^32 elements, 0 modulo 2^64 */
    md->size[0] = 1u << 31;
    md->size[1] = 1u << 31;
    md->size[2] = 4;
    md->nelement = 0;
    h.file_bytes = 2 * 4304;
    ck_assert_int_eq(identify(&geo, &h, NULL, NULL), -EMEDIUMTYPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layout");
    TCase *shape = tcase_create("from a shape"), *bytes = tcase_create("from bytes");

    tcase_add_test(shape, offsets_follow_from_the_shape_without_padding);
    tcase_add_test(shape, unused_axes_are_0);
    tcase_add_test(shape, every_type_has_its_frame_size);
    tcase_add_test(shape, segments_beyond_4_gib_are_counted_right);
    tcase_add_test(shape, a_size_that_overflows_is_refused);
    tcase_add_test(shape, wrong_values_are_named_and_leave_the_output_alone);
    tcase_add_test(shape, geometries_are_equal_when_everything_is);
    tcase_add_test(bytes, the_three_layouts_are_told_apart_by_their_sizes);
    tcase_add_test(bytes, fifo_wins_where_two_layouts_fit);
    tcase_add_test(bytes, a_payload_on_a_gpu_is_said_to_be_one);
    tcase_add_test(bytes, a_header_of_zeros_is_being_created);
    tcase_add_test(bytes, what_is_not_a_segment_is_refused_with_what_was_found);
    tcase_add_test(bytes, each_field_of_the_header_is_checked);
    tcase_add_test(bytes, sizes_that_overflow_are_not_taken_for_a_fit);
    suite_add_tcase(suite, shape);
    suite_add_tcase(suite, bytes);
    return testbed_run(suite);
}
