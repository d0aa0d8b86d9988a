/*
 * test_rewrite.c - a file that is written anew again and again, also when no fresh one can be made.
 * That is so here for want of a descriptor: as with a disk without room, a write then has only what
 * was kept for it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recording/rewrite.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define NAME "session.json"

static struct take_folder folder;
static int dir;
static struct rewrite rewrite;

static void begin(void)
{
    take_folder_make(&folder);
    dir = folder.fd;
    rewrite_init(&rewrite, dir, NAME);
}

static void end(void)
{
    rewrite_close(&rewrite);
    rewrite_close(&rewrite);
    unlinkat(dir, NAME, 0);
    close(dir);
    ck_assert_int_eq(rmdir(folder.path), 0); /* nothing else was left */
}

/* While `full`, nothing can be opened; each test is a process of its own. */
static void make_full(bool full)
{
    static struct rlimit before;
    struct rlimit limit;

    if (!full) {
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        return;
    }
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* `count` members of a JSON list, so that contents of many lengths can be told apart. */
static char *content(unsigned first, unsigned count)
{
    char *text = malloc(count * 12 + 3);
    size_t at = 1;

    strcpy(text, "[");
    for (unsigned i = 0; i < count; i++)
        at += (size_t)sprintf(text + at, i ? ",%u" : "%u", first + i);
    strcpy(text + at, "]");
    return text;
}

static int put(unsigned first, unsigned count)
{
    char *text = content(first, count);
    int r = rewrite_put(&rewrite, text, strlen(text));

    free(text);
    return r;
}

static char *read_all(int fd)
{
    struct stat st;
    char *text;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    text = calloc((size_t)st.st_size + 1, 1);
    ck_assert_int_eq(pread(fd, text, (size_t)st.st_size, 0), st.st_size);
    return text;
}

/* The content, and nothing but blanks behind it. */
static void expect(const char *name, unsigned first, unsigned count)
{
    char *text = content(first, count);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    char *found = read_all(fd);

    ck_assert_int_eq(strncmp(found, text, strlen(text)), 0);
    for (const char *rest = found + strlen(text); *rest; rest++)
        ck_assert_int_eq(*rest, '\n');
    free(found);
    free(text);
    close(fd);
}

static bool is_there(const char *name)
{
    return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint64_t blocks_of(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512u;
}

/* Does this file system keep blocks behind a file's end? */
static bool keeps_blocks(void)
{
    int fd = openat(dir, "trial", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool keeps = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536) == 0 && blocks_of(fd) >= 65536;

    close(fd);
    unlinkat(dir, "trial", 0);
    if (!keeps)
        printf("no blocks behind a file's end here: that room is kept is not tested\n");
    return keeps;
}

START_TEST(a_fresh_file_takes_the_name_and_who_reads_the_old_one_goes_on)
{
    int old;
    char *text, *same = content(1, 10);

    begin();
    ck_assert_int_eq(put(1, 10), 0);
    old = openat(dir, NAME, O_RDONLY | O_CLOEXEC);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(put(100 * i, 20 - i), 0);
        expect(NAME, 100 * i, 20 - i);
        ck_assert(!is_there("." NAME ".new") && !is_there("." NAME ".spare"));
    }
    text = read_all(old);
    ck_assert_str_eq(text, same);
    free(text);
    free(same);
    close(old);
    end();
}
END_TEST

START_TEST(without_room_for_a_fresh_file_it_is_still_written_anew)
{
    begin();
    ck_assert_int_eq(put(1, 10), 0);
    for (unsigned i = 0; i < 20; i++) { /* longer, shorter, longer */
        unsigned count = i % 3 == 1 ? 5 : 10 + 100 * i;

        make_full(true);
        ck_assert_int_eq(put(1000 * i, count), 0);
        make_full(false);
        expect(NAME, 1000 * i, count);
        ck_assert(!is_there("." NAME ".new"));
    }
    ck_assert_int_eq(put(7, 7), 0); /* there is room again */
    expect(NAME, 7, 7);
    make_full(true);
    ck_assert_int_eq(put(8, 8), 0);
    make_full(false);
    expect(NAME, 8, 8);
    ck_assert_int_eq(rewrite_end(&rewrite, "[]", 2), 0);
    expect(NAME, 0, 0);
    end();
}
END_TEST

START_TEST(the_last_content_is_as_long_as_it_is)
{
    struct stat st;

    begin();
    ck_assert_int_eq(put(1, 1000), 0);
    if (_i)
        make_full(true);
    ck_assert_int_eq(put(1, 900), 0);
    ck_assert_int_eq(put(1, 800), 0);
    ck_assert_int_eq(rewrite_end(&rewrite, "[1]", 3), 0);
    if (_i)
        make_full(false);
    ck_assert_int_eq(fstatat(dir, NAME, &st, 0), 0);
    ck_assert_int_eq(st.st_size, 3);
    expect(NAME, 1, 1);
    end();
}
END_TEST

START_TEST(both_files_have_room_for_twice_what_was_written)
{
    unsigned count = 20000;
    uint64_t room;
    char *text;

    begin();
    if (keeps_blocks()) {
        ck_assert_int_eq(put(1, 10), 0);
        ck_assert_uint_ge(blocks_of(rewrite.current.fd), 65536);
        ck_assert_uint_ge(blocks_of(rewrite.spare.fd), 65536);
        text = content(1, count);
        room = 2 * strlen(text);
        free(text);
        ck_assert_int_eq(put(1, count), 0);
        for (unsigned i = 0; i < 4; i++) {
            ck_assert_uint_ge(blocks_of(rewrite.current.fd), room);
            ck_assert_uint_ge(blocks_of(rewrite.spare.fd), room);
            make_full(true);
            ck_assert_int_eq(put(1, i % 2 ? count : 3), 0); /* also behind a short one */
            make_full(false);
        }
        ck_assert_int_eq(rewrite_end(&rewrite, "[]", 2), 0);
    }
    end();
}
END_TEST

/* Where somebody gave the file another name, that one keeps what it had. */
START_TEST(what_has_another_name_is_never_written_into)
{
    begin();
    ck_assert_int_eq(put(1, 50), 0);
    ck_assert_int_eq(linkat(dir, NAME, dir, "kept", 0), 0);
    for (unsigned i = 2; i < 6; i++) {
        make_full(true);
        ck_assert_int_eq(put(i, 60), i < 3 ? 0 : -EMFILE); /* the other one is not ours any more */
        make_full(false);
        expect(NAME, 2, 60);
        expect("kept", 1, 50);
    }
    ck_assert_int_eq(put(9, 9), 0);
    make_full(true);
    ck_assert_int_eq(put(10, 10), 0);
    make_full(false);
    expect(NAME, 10, 10);
    expect("kept", 1, 50);
    ck_assert_int_eq(rewrite_end(&rewrite, "[]", 2), 0);
    unlinkat(dir, "kept", 0);
    end();
}
END_TEST

/* Links and files that somebody puts where ours are for an instant. */
START_TEST(what_lies_in_the_way_is_replaced_and_not_followed)
{
    static const char *const in_the_way[] = {"." NAME ".new", "." NAME ".spare", NAME};
    int fd;

    begin();
    fd = openat(dir, "other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "[0]", 3), 3);
    close(fd);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(symlinkat("other", dir, in_the_way[i]), 0);
    ck_assert_int_eq(put(1, 3), 0);
    make_full(true);
    ck_assert_int_eq(put(2, 3), 0);
    ck_assert_int_eq(put(3, 3), 0);
    make_full(false);
    expect(NAME, 3, 3);
    unlinkat(dir, "." NAME ".spare", 0);
    ck_assert_int_eq(symlinkat("other", dir, "." NAME ".spare"), 0);
    make_full(true);
    ck_assert_int_eq(put(4, 3), -EMFILE); /* the spare is gone, and what is there is not touched */
    make_full(false);
    expect(NAME, 3, 3);
    expect("other", 0, 1);
    ck_assert_int_eq(put(5, 3), 0);
    ck_assert_int_eq(rewrite_end(&rewrite, "[]", 2), 0);
    unlinkat(dir, "." NAME ".spare", 0); /* that link is not ours */
    unlinkat(dir, "other", 0);
    end();
}
END_TEST

START_TEST(a_folder_that_is_gone_is_an_error_and_no_harm)
{
    begin();
    ck_assert_int_eq(put(1, 3), 0);
    unlinkat(dir, NAME, 0);
    ck_assert_int_eq(rmdir(folder.path), 0);
    ck_assert_int_lt(put(2, 3), 0);
    ck_assert_int_lt(rewrite_end(&rewrite, "[]", 2), 0);
    rewrite_close(&rewrite);
    close(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rewrite");
    TCase *tcase = tcase_create("rewrite");

    take_base_make();
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_fresh_file_takes_the_name_and_who_reads_the_old_one_goes_on);
    tcase_add_test(tcase, without_room_for_a_fresh_file_it_is_still_written_anew);
    tcase_add_loop_test(tcase, the_last_content_is_as_long_as_it_is, 0, 2);
    tcase_add_test(tcase, both_files_have_room_for_twice_what_was_written);
    tcase_add_test(tcase, what_has_another_name_is_never_written_into);
    tcase_add_test(tcase, what_lies_in_the_way_is_replaced_and_not_followed);
    tcase_add_test(tcase, a_folder_that_is_gone_is_an_error_and_no_harm);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
