/*
 * test_api_log.c - dao.h: messages, and which of them are printed.
 */
#include "tests/support/api_bed.h"

/* ---- levels ---- */

START_TEST(messages_are_filtered_by_the_level)
{
    IMAGE image;
    uint32_t size[] = {4, 2};

    ck_assert_int_eq(daoGetLogLevel(), DAO_WARNING);
    ck_assert_int_eq(daoLogLevel, 0);
    daoSetLogLevel(DAO_INFO);
    ck_assert_int_eq(daoGetLogLevel(), DAO_INFO);
    image = create("level", 2);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    daoSetLogLevel(-5); /* errors come at any level */
    forget_messages();
    ck_assert_int_eq(daoShmImageCreate(&image, testbed_path("level"), 9, size, 3, 1, 0), DAO_ERROR);
    ck_assert_ptr_nonnull(strstr(messages(), "[error]"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_log");
    TCase *tcase;

    tcase = api_add(suite, "levels");
    tcase_add_test(tcase, messages_are_filtered_by_the_level);
    return testbed_run(suite);
}
