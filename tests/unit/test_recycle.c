/* test_recycle.c - blocks of a file that goes, used again for a new one (io/sink.h). */
#include <dirent.h>
#include <errno.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "io/recycle.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define OLD_BYTES (10u * SINK_PAGE + 100u)

static struct take_folder folder;

static void make_old(const char *name)
{
    int fd = openat(folder.fd, name, O_RDWR | O_CREAT | O_EXCL, 0666);
    unsigned char bytes[OLD_BYTES];
    struct stat st;

    /* The folder of a test is made with rights of its own. */
    ck_assert_int_eq(fstat(folder.fd, &st), 0);
    ck_assert_int_eq(fchmod(fd, st.st_mode & 0666), 0);
    memset(bytes, 'o', sizeof bytes);
    ck_assert_int_eq(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
}

static struct sink_old take_old(const char *name, uint64_t keep_off, uint64_t keep_end)
{
    struct sink_old old = {.fd = openat(folder.fd, name, O_RDWR | O_CLOEXEC),
                           .dir_fd = folder.fd,
                           .name = name,
                           .keep_off = keep_off,
                           .keep_end = keep_end};

    ck_assert_int_ge(old.fd, 0);
    ck_assert_int_eq(flock(old.fd, LOCK_EX | LOCK_NB), 0);
    return old;
}

static int recycle(struct sink *sink, uint64_t bytes, const struct sink_old *old)
{
    return sink_recycle(sink, folder.fd, "new", bytes, false, &sink_backend_system, old);
}

static unsigned count_names(void)
{
    DIR *dir = opendir(folder.path);
    unsigned count = 0;
    struct dirent *entry;

    while ((entry = readdir(dir)))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

/* Old bytes in the kept range, zeros everywhere else, the length that was asked for. */
static void check_contents(struct sink *sink, uint64_t bytes, uint64_t keep_off, uint64_t keep_end)
{
    struct stat st;

    ck_assert_int_eq(fstat(sink->fd, &st), 0);
    ck_assert_uint_eq((uint64_t)st.st_size, bytes);
    ck_assert_uint_ge((uint64_t)st.st_blocks * 512, bytes); /* all of it is allocated */
    for (uint64_t i = 0; i < bytes; i++) {
        unsigned char byte = 1, wanted = i >= keep_off && i < keep_end ? 'o' : 0;

        ck_assert_int_eq(pread(sink->fd, &byte, 1, (off_t)i), 1);
        if (byte != wanted)
            ck_abort_msg("byte %llu is %u", (unsigned long long)i, byte);
    }
}

static void setup(void)
{
    take_folder_make(&folder);
}

static void teardown(void)
{
    take_folder_remove(&folder);
}

START_TEST(nothing_of_the_old_file_stays_but_what_is_to_be_kept)
{
    static const uint64_t lengths[] = {OLD_BYTES, 30 * SINK_PAGE + 5, 7 * SINK_PAGE + 1};
    uint64_t bytes = lengths[_i];
    struct sink_old old;
    struct sink sink;

    make_old("old");
    old = take_old("old", 2 * SINK_PAGE, 6 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, bytes, &old), 0);
    ck_assert_int_ne(faccessat(folder.fd, "old", F_OK, 0), 0);
    check_contents(&sink, bytes, 2 * SINK_PAGE, 6 * SINK_PAGE);
    ck_assert_int_eq(sink_publish(&sink, "new"), 0);
    sink_close(&sink);
    ck_assert_int_eq(faccessat(folder.fd, "new", F_OK, 0), 0);
    ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(a_file_that_is_never_published_leaves_nothing)
{
    struct sink_old old;
    struct sink sink;

    make_old("old");
    old = take_old("old", 0, 4 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, OLD_BYTES, &old), 0);
    sink_close(&sink);
    ck_assert_uint_eq(count_names(), 0);
}
END_TEST

/* Whoever reads the old file goes on to read what was in it. */
START_TEST(blocks_that_somebody_reads_are_not_taken)
{
    struct sink_old old;
    struct sink sink;
    unsigned char byte = 0, *map;
    int reader;

    make_old("old");
    reader = openat(folder.fd, "old", O_RDONLY);
    map = mmap(NULL, OLD_BYTES, PROT_READ, MAP_SHARED, reader, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    if (_i == 1)
        close(reader); /* mapped only */
    old = take_old("old", 0, 4 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, OLD_BYTES, &old), -EBUSY);
    ck_assert_uint_eq(count_names(), 0); /* its name is gone all the same */
    ck_assert_int_eq(map[9 * SINK_PAGE], 'o');
    if (_i == 0) {
        ck_assert_int_eq(pread(reader, &byte, 1, 9 * SINK_PAGE), 1);
        ck_assert_int_eq(byte, 'o');
        close(reader);
    }
    munmap(map, OLD_BYTES);
}
END_TEST

START_TEST(blocks_that_have_another_name_are_not_taken)
{
    struct sink_old old;
    struct sink sink;
    unsigned char byte = 0;
    int fd;

    make_old("old");
    ck_assert_int_eq(linkat(folder.fd, "old", folder.fd, "other", 0), 0);
    old = take_old("old", 0, 4 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, OLD_BYTES, &old), -EBUSY);
    fd = openat(folder.fd, "other", O_RDONLY);
    ck_assert_int_eq(pread(fd, &byte, 1, 9 * SINK_PAGE), 1);
    ck_assert_int_eq(byte, 'o');
    close(fd);
    ck_assert_uint_eq(count_names(), 1);
}
END_TEST

/* Else what is recorded next would have them. */
START_TEST(blocks_of_a_file_with_rights_of_its_own_are_not_taken)
{
    struct sink_old old;
    struct sink sink;

    make_old("old");
    ck_assert_int_eq(fchmodat(folder.fd, "old", 0666, 0), 0);
    ck_assert_int_eq(fchmod(folder.fd, 0700), 0);
    old = take_old("old", 0, 4 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, OLD_BYTES, &old), -EBUSY);
    ck_assert_uint_eq(count_names(), 0);
}
END_TEST

START_TEST(a_range_to_be_kept_that_is_not_there_is_refused)
{
    struct sink_old old;
    struct sink sink;

    make_old("old");
    old = take_old("old", 0, 30 * SINK_PAGE);
    ck_assert_int_eq(recycle(&sink, 40 * SINK_PAGE, &old), -EINVAL);
    ck_assert_uint_eq(count_names(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recycle");
    TCase *tests = tcase_create("blocks used again");

    take_base_make();
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, nothing_of_the_old_file_stays_but_what_is_to_be_kept, 0, 3);
    tcase_add_test(tests, a_file_that_is_never_published_leaves_nothing);
    tcase_add_loop_test(tests, blocks_that_somebody_reads_are_not_taken, 0, 2);
    tcase_add_test(tests, blocks_that_have_another_name_are_not_taken);
    tcase_add_test(tests, blocks_of_a_file_with_rights_of_its_own_are_not_taken);
    tcase_add_test(tests, a_range_to_be_kept_that_is_not_there_is_refused);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
