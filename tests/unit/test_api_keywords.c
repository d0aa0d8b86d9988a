/*
 * test_api_keywords.c - dao.h: keywords behind the pixels, where odd sizes misalign them.
 */
#include "tests/support/api_bed.h"

#include <stddef.h>

static IMAGE create_with_keywords(const char *name, uint8_t atype, uint32_t nelement,
                                  uint32_t depth, int nbkw, int shared)
{
    uint32_t size[] = {nelement, 1};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, shared ? testbed_path(name) : name, 2, size,
                                            atype, shared, nbkw, depth),
                     DAO_SUCCESS);
    return image;
}

/* Misaligned keywords must not be used in place: copied in and out. */
static IMAGE_KEYWORD get_keyword(const IMAGE *image, int index)
{
    IMAGE_KEYWORD kw;

    memcpy(&kw, (const char *)image->kw + (size_t)index * sizeof kw, sizeof kw);
    return kw;
}

static void set_keyword(IMAGE *image, int index, const IMAGE_KEYWORD *kw)
{
    memcpy((char *)image->kw + (size_t)index * sizeof *kw, kw, sizeof *kw);
}

static IMAGE_KEYWORD make_keyword(const char *name, char type, const char *comment)
{
    IMAGE_KEYWORD kw;

    memset(&kw, 0, sizeof kw);
    memcpy(kw.name, name, strlen(name));
    memcpy(kw.comment, comment, strlen(comment));
    kw.type = type;
    return kw;
}

/* Shapes whose keywords lie at 0, 1, 3 and 7 bytes from a multiple of eight. */
static const struct {
    uint32_t nelement, depth, odd;
} shapes[] = {{8, 2, 0}, {9, 1, 1}, {1, 3, 3}, {5, 3, 7}};
#define SHAPES (int)(sizeof shapes / sizeof shapes[0])

START_TEST(keywords_are_created_unused_and_behind_the_pixels)
{
    uint32_t nelement = shapes[_i].nelement, depth = shapes[_i].depth;
    IMAGE image = create_with_keywords("fresh", _DATATYPE_INT8, nelement, depth, 5, 1);
    IMAGE_KEYWORD unused = make_keyword("", 'N', "");

    ck_assert_ptr_eq(image.kw, image.array.UI8 + nelement * depth);
    ck_assert_uint_eq((uintptr_t)image.kw % 8, shapes[_i].odd);
    ck_assert_ptr_eq((char *)image.kw + 5 * 120, (char *)image.md + image.memsize);
    for (uint32_t i = 0; i < depth; i++)
        ck_assert_uint_eq(image.md[i].NBkw, 5);
    for (int i = 0; i < 5; i++) {
        IMAGE_KEYWORD kw = get_keyword(&image, i);

        ck_assert_mem_eq(&kw, &unused, sizeof kw);
    }
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(keywords_of_every_type_are_seen_by_another_handle)
{
    static const char text[16] = "sixteen letters!"; /* fills the string: no NUL */
    IMAGE image =
        create_with_keywords("seen", _DATATYPE_UINT8, shapes[_i].nelement, shapes[_i].depth, 4, 1);
    IMAGE reader = open_image("seen");
    IMAGE_KEYWORD number = make_keyword("NUMBER", 'L', "a whole number");
    IMAGE_KEYWORD real = make_keyword("REAL", 'D', "a real one");
    IMAGE_KEYWORD string = make_keyword("STRING", 'S', "sixteen characters"), kw;

    number.value.numl = INT64_MIN + 1;
    real.value.numf = -0.1;
    memcpy(string.value.valstr, text, sizeof text);
    set_keyword(&image, 0, &number);
    set_keyword(&image, 1, &real);
    set_keyword(&image, 3, &string);
    kw = get_keyword(&reader, 0);
    ck_assert_str_eq(kw.name, "NUMBER");
    ck_assert_int_eq(kw.type, 'L');
    ck_assert_int_eq(kw.value.numl, INT64_MIN + 1);
    ck_assert_str_eq(kw.comment, "a whole number");
    kw = get_keyword(&reader, 1);
    ck_assert_str_eq(kw.name, "REAL");
    ck_assert_int_eq(kw.type, 'D');
    ck_assert_double_eq(kw.value.numf, -0.1);
    kw = get_keyword(&reader, 2);
    ck_assert_int_eq(kw.type, 'N');
    kw = get_keyword(&reader, 3);
    ck_assert_int_eq(kw.type, 'S');
    ck_assert_mem_eq(kw.value.valstr, text, sizeof text);
    ck_assert_str_eq(kw.comment, "sixteen characters");
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(frames_leave_keywords_alone)
{
    uint32_t nelement = shapes[_i].nelement;
    IMAGE image = create_with_keywords("frames", _DATATYPE_UINT8, nelement, shapes[_i].depth, 1, 1);
    IMAGE_KEYWORD set = make_keyword("KEPT", 'L', ""), kw;
    unsigned char frame[16];

    set_keyword(&image, 0, &set);
    memset(frame, 0xff, sizeof frame);
    for (uint32_t i = 0; i < 2 * shapes[_i].depth; i++)
        ck_assert_int_eq(daoShmImage2Shm(frame, nelement, &image), DAO_SUCCESS);
    kw = get_keyword(&image, 0);
    ck_assert_mem_eq(&kw, &set, sizeof kw);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_segment_created_again_has_unused_keywords)
{
    IMAGE first = create_with_keywords("again", _DATATYPE_UINT8, 5, 3, 2, 1), second;
    IMAGE_KEYWORD set = make_keyword("OLD", 'S', "of the first run"), kw;
    IMAGE_KEYWORD unused = make_keyword("", 'N', "");

    set_keyword(&first, 1, &set);
    second = create_with_keywords("again", _DATATYPE_UINT8, 5, 3, 2, 1);
    kw = get_keyword(&first, 1); /* the same file: set back in place */
    ck_assert_mem_eq(&kw, &unused, sizeof kw);
    daoShmCloseShm(&first);
    daoShmCloseShm(&second);
}
END_TEST

START_TEST(private_memory_has_keywords_too)
{
    IMAGE image = create_with_keywords("own", _DATATYPE_UINT8, 5, 3, 2, 0);
    IMAGE_KEYWORD set = make_keyword("OWN", 'L', ""), kw = get_keyword(&image, 1);

    ck_assert_int_eq(kw.type, 'N');
    set_keyword(&image, 1, &set);
    kw = get_keyword(&image, 1);
    ck_assert_str_eq(kw.name, "OWN");
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_number_of_keywords_has_a_limit)
{
    uint32_t size[] = {5, 1};
    IMAGE image = create_with_keywords("most", _DATATYPE_UINT8, 5, 1, 32767, 1), reader;

    ck_assert_uint_eq(image.md[0].NBkw, 32767);
    ck_assert_int_eq(get_keyword(&image, 32766).type, 'N');
    reader = open_image("most");
    ck_assert_int_eq(get_keyword(&reader, 32766).type, 'N');
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
    ck_assert_int_eq(
        daoShmImageCreate(&image, testbed_path("more"), 2, size, _DATATYPE_UINT8, 1, 32768),
        DAO_ERROR);
    expect_message("keywords");
    image = create_with_keywords("none", _DATATYPE_UINT8, 5, 1, 0, 1);
    ck_assert_ptr_null(image.kw);
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_keywords");
    TCase *tcase = api_add(suite, "keywords");

    tcase_add_loop_test(tcase, keywords_are_created_unused_and_behind_the_pixels, 0, SHAPES);
    tcase_add_loop_test(tcase, keywords_of_every_type_are_seen_by_another_handle, 0, SHAPES);
    tcase_add_loop_test(tcase, frames_leave_keywords_alone, 0, SHAPES);
    tcase_add_test(tcase, a_segment_created_again_has_unused_keywords);
    tcase_add_test(tcase, private_memory_has_keywords_too);
    tcase_add_test(tcase, the_number_of_keywords_has_a_limit);
    return testbed_run(suite);
}
