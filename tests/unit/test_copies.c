/* test_copies.c - files that are copied into a session (recording/copies.h), and their sums. */
#include <errno.h>

#include "recording/copies.h"
#include "recording/retire.h"

#define NAME "2026-11-24_16-00-00"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

/* ---- sums ---- */

static void expect_sum(const char *text, size_t repeat, const char *expected)
{
    char sum[SHA256_TEXT_BYTES];
    struct sha256 s;

    sha256_begin(&s);
    while (repeat-- > 0)
        sha256_add(&s, text, strlen(text));
    sha256_end(&s, sum);
    ck_assert_str_eq(sum, expected);
}

START_TEST(sums_are_those_of_the_standard)
{
    expect_sum("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sum("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sum("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_sum("a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

/* ---- copies ---- */

static char source[600];

static char *make_source(const char *name, const char *text)
{
    FILE *f;

    snprintf(source, sizeof source, "%s/%s", folder.path, name);
    f = fopen(source, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    return source;
}

static bool is_there(const char *name)
{
    return faccessat(session_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

START_TEST(a_copy_has_its_name_its_size_and_its_sum)
{
    char *paths[1];
    struct copies copies;
    struct dao_text text = {""};

    begin();
    paths[0] = make_source("matrix.fits", "abc");
    ck_assert_int_eq(copies_make(&copies, session_fd, paths, 1, &text), 0);
    ck_assert_uint_eq(copies.count, 1);
    ck_assert_str_eq(copies.list[0].name, "files.d/matrix.fits");
    ck_assert_uint_eq(copies.list[0].bytes, 3);
    ck_assert_str_eq(copies.list[0].sha256,
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_assert_int_eq(copies_check(session_fd, &copies.list[0], &text), 0);
    ck_assert(is_there("files.d/matrix.fits") && !is_there("files.d/.copy.new"));
    copies_remove(session_fd);
    ck_assert(!is_there("files.d"));
    copies_free(&copies);
    end();
}
END_TEST

START_TEST(a_copy_that_was_changed_cut_or_removed_is_found)
{
    char *paths[1];
    struct copies copies;
    struct dao_text text = {""};
    int fd;

    begin();
    paths[0] = make_source("matrix.fits", "abc");
    ck_assert_int_eq(copies_make(&copies, session_fd, paths, 1, &text), 0);
    fd = openat(session_fd, "files.d/matrix.fits", O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "x", 1, 1), 1);
    ck_assert_int_eq(copies_check(session_fd, &copies.list[0], &text), -EUCLEAN);
    ck_assert_ptr_nonnull(strstr(text.s, "SHA-256"));
    ck_assert_int_eq(ftruncate(fd, 2), 0);
    ck_assert_int_eq(copies_check(session_fd, &copies.list[0], &text), -EUCLEAN);
    ck_assert_ptr_nonnull(strstr(text.s, "has 2 bytes"));
    close(fd);
    ck_assert_int_eq(unlinkat(session_fd, "files.d/matrix.fits", 0), 0);
    ck_assert_int_eq(copies_check(session_fd, &copies.list[0], &text), -ENOENT);
    ck_assert_int_eq(symlinkat(source, session_fd, "files.d/matrix.fits"), 0);
    ck_assert_int_lt(copies_check(session_fd, &copies.list[0], &text), 0);
    copies_remove(session_fd);
    copies_free(&copies);
    end();
}
END_TEST

START_TEST(what_could_not_be_copied_is_seen_before)
{
    char *paths[2];
    struct dao_text text = {""};

    begin();
    paths[0] = make_source("matrix.fits", "abc");
    paths[1] = folder.path;
    ck_assert_int_eq(copies_look(paths, 1, &text), 0);
    ck_assert_int_eq(copies_look(paths, 2, &text), -EMEDIUMTYPE);
    ck_assert_ptr_nonnull(strstr(text.s, "it is no regular file"));
    ck_assert_int_eq(unlink(source), 0);
    ck_assert_int_eq(copies_look(paths, 2, &text), -ENOENT);
    ck_assert_ptr_nonnull(strstr(text.s, source));
    ck_assert(!is_there("files.d"));
    end();
}
END_TEST

START_TEST(where_one_cannot_be_copied_nothing_is_left)
{
    char *paths[2], *last;
    struct copies copies;
    struct dao_text text = {""};

    begin();
    last = strdup(make_source("first.txt", "abc"));
    paths[0] = last;
    paths[1] = _i == 0 ? (char[]){"/dev/null"} : _i == 1 ? folder.path : (char[]){"/none/x"};
    ck_assert_int_lt(copies_make(&copies, session_fd, paths, 2, &text), 0);
    ck_assert_ptr_nonnull(strstr(text.s, paths[1]));
    ck_assert(!is_there("files.d"));
    ck_assert_uint_eq(copies.count, 0);
    free(last);
    end();
}
END_TEST

START_TEST(copies_go_with_the_last_of_a_session_but_for_what_is_none)
{
    char *paths[1];
    struct copies copies;
    struct dao_text text = {""};
    int root_fd;

    begin();
    root_fd = openat(session_fd, "..", O_RDONLY | O_DIRECTORY);
    paths[0] = make_source("matrix.fits", "abc");
    ck_assert_int_eq(copies_make(&copies, session_fd, paths, 1, &text), 0);
    copies_free(&copies);
    retire_folders(root_fd, NAME, "wfs");
    ck_assert_int_ne(faccessat(root_fd, NAME, F_OK, 0), 0);
    close(root_fd);
    unlink(source);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copies");
    TCase *tcase = tcase_create("copies");

    take_base_make();
    tcase_add_test(tcase, sums_are_those_of_the_standard);
    tcase_add_test(tcase, a_copy_has_its_name_its_size_and_its_sum);
    tcase_add_test(tcase, a_copy_that_was_changed_cut_or_removed_is_found);
    tcase_add_test(tcase, what_could_not_be_copied_is_seen_before);
    tcase_add_loop_test(tcase, where_one_cannot_be_copied_nothing_is_left, 0, 3);
    tcase_add_test(tcase, copies_go_with_the_last_of_a_session_but_for_what_is_none);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
