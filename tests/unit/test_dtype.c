/*
 * test_dtype.c - the table of element types.
 */
#include "tests/support/testbed.h"

#include "lib/dtype.h"

START_TEST(there_is_a_row_for_each_of_the_twelve_codes_and_no_other)
{
    for (unsigned atype = 1; atype <= DAO_DTYPE_COUNT; atype++) {
        ck_assert_ptr_nonnull(dao_dtype_get(atype));
        ck_assert_uint_eq(dao_dtype_get(atype)->atype, atype);
    }
    ck_assert_ptr_null(dao_dtype_get(0));
    ck_assert_ptr_null(dao_dtype_get(13));
    ck_assert_ptr_null(dao_dtype_get(UINT32_MAX));
}
END_TEST

START_TEST(sizes_are_those_of_the_header)
{
    static const unsigned bytes[] = {
        SIZEOF_DATATYPE_UINT8,  SIZEOF_DATATYPE_INT8,          SIZEOF_DATATYPE_UINT16,
        SIZEOF_DATATYPE_INT16,  SIZEOF_DATATYPE_UINT32,        SIZEOF_DATATYPE_INT32,
        SIZEOF_DATATYPE_UINT64, SIZEOF_DATATYPE_INT64,         SIZEOF_DATATYPE_FLOAT,
        SIZEOF_DATATYPE_DOUBLE, SIZEOF_DATATYPE_COMPLEX_FLOAT, SIZEOF_DATATYPE_COMPLEX_DOUBLE};

    for (unsigned i = 0; i < DAO_DTYPE_COUNT; i++) {
        const struct dao_dtype *t = dao_dtype_get(i + 1);

        ck_assert_uint_eq(t->element_bytes, bytes[i]);
        ck_assert_uint_eq(t->word_bytes, t->is_complex ? bytes[i] / 2 : bytes[i]);
    }
}
END_TEST

START_TEST(kinds_are_told_apart)
{
    for (unsigned i = 1; i <= DAO_DTYPE_COUNT; i++) {
        const struct dao_dtype *t = dao_dtype_get(i);

        ck_assert_uint_eq(t->is_unsigned, strncmp(t->name, "uint", 4) == 0);
        ck_assert_uint_eq(t->is_complex, strncmp(t->name, "complex", 7) == 0);
        ck_assert_uint_eq(t->is_float, !strstr(t->name, "int"));
    }
}
END_TEST

START_TEST(both_spellings_are_found_in_any_case)
{
    for (unsigned i = 1; i <= DAO_DTYPE_COUNT; i++) {
        ck_assert_ptr_eq(dao_dtype_find(dao_dtype_get(i)->name), dao_dtype_get(i));
        ck_assert_ptr_eq(dao_dtype_find(dao_dtype_get(i)->dao_name), dao_dtype_get(i));
    }
    ck_assert_uint_eq(dao_dtype_find("Float")->atype, _DATATYPE_FLOAT);
    ck_assert_uint_eq(dao_dtype_find("FLOAT32")->atype, _DATATYPE_FLOAT);
    ck_assert_uint_eq(dao_dtype_find("complex_double")->atype, _DATATYPE_COMPLEX_DOUBLE);
}
END_TEST

START_TEST(an_unknown_name_is_not_found)
{
    ck_assert_ptr_null(dao_dtype_find("uint1"));
    ck_assert_ptr_null(dao_dtype_find("uint160"));
    ck_assert_ptr_null(dao_dtype_find(""));
    ck_assert_ptr_null(dao_dtype_find(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dtype");
    TCase *all = tcase_create("all");

    tcase_add_test(all, there_is_a_row_for_each_of_the_twelve_codes_and_no_other);
    tcase_add_test(all, sizes_are_those_of_the_header);
    tcase_add_test(all, kinds_are_told_apart);
    tcase_add_test(all, both_spellings_are_found_in_any_case);
    tcase_add_test(all, an_unknown_name_is_not_found);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
