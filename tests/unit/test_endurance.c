/*
 * test_endurance.c - thousands of segments created, opened and closed in one process: afterwards it
 * has as many descriptors, mappings, semaphores and as much memory as in the beginning, also where
 * something fails half-way.
 */
#include "tests/support/frozen.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#ifdef __SANITIZE_ADDRESS__ /* slower, and with a judge of its own for memory */
#define CYCLES 800
#else
#define CYCLES 10000
#endif
#define SETTLED 96 /* cycles after which nothing grows any more */

/* ---- what a process holds ---- */

struct holding {
    unsigned descriptors, mappings, files;
    size_t heap_bytes;
};

static unsigned count_entries(const char *dir_name, const char *prefix)
{
    DIR *dir = opendir(dir_name);
    struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return count;
}

static unsigned count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned count = 0;

    ck_assert_ptr_nonnull(maps);
    for (int c; (c = getc(maps)) != EOF;)
        count += c == '\n';
    fclose(maps);
    return count;
}

static struct holding look(void)
{
    char semaphores[100];

    snprintf(semaphores, sizeof semaphores, "sem.%s_", testbed_prefix);
    return (struct holding){
        .descriptors = count_entries("/proc/self/fd", ""),
        .mappings = count_mappings(),
        .files = count_entries("/dev/shm", semaphores) + count_entries(testbed_dir, ""),
        .heap_bytes = mallinfo2().uordblks,
    };
}

/* What the heap keeps at hand for chunks of each length counts as used, and is no leak. The
 * smallest one, lost in each cycle of a kind, comes to more. */
#define HEAP_SLACK 4096

static void expect_same(struct holding before)
{
    struct holding now = look();

    ck_assert_uint_eq(now.descriptors, before.descriptors);
    ck_assert_uint_eq(now.files, before.files);
    ck_assert_uint_le(now.heap_bytes, before.heap_bytes + HEAP_SLACK);
#ifndef __SANITIZE_ADDRESS__ /* which maps as it likes */
    ck_assert_uint_eq(now.mappings, before.mappings);
#endif
}

/* ---- cycles ---- */

static IMAGE create_cycle(const char *name, uint32_t width, uint32_t depth, int shared)
{
    uint32_t size[] = {width, 2};
    IMAGE image;

    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, testbed_path(name), 2, size, _DATATYPE_UINT16,
                                            shared, 2, depth),
                     DAO_SUCCESS);
    return image;
}

/* Path of a semaphore's file; 10: the one for the log. */
static const char *semaphore_file(const char *name, int index)
{
    static char path[200];

    if (index < 10)
        snprintf(path, sizeof path, "/dev/shm/sem.%s_%s_sem%02d", testbed_prefix, name, index);
    else
        snprintf(path, sizeof path, "/dev/shm/sem.%s_%s_semlog", testbed_prefix, name);
    return path;
}

static void remove_files(const char *name)
{
    unlink(testbed_path(name));
    for (int i = 0; i <= 10; i++)
        unlink(semaphore_file(name, i));
}

/* The C library opens a semaphore once in a process: one that is never closed shows by a name of
 * its own. */
static const char *name_of(const char *prefix, int cycle)
{
    static char name[40];

    snprintf(name, sizeof name, "%s%d", prefix, cycle);
    return name;
}

static void take_a_new_name(int cycle)
{
    const char *name = name_of("own", cycle);
    IMAGE writer = create_cycle(name, 4, 2, 1), reader = open_image(name);

    ck_assert_int_eq(daoShmImageCreateSem(&reader, 1 + cycle % 10), DAO_SUCCESS);
    close_images(&writer, &reader);
    remove_files(name);
}

static void set_back_in_place(int cycle)
{
    IMAGE image = create_cycle("place", 4, 2, 1);

    (void)cycle;
    close_images(&image, NULL);
}

static void open_a_second_time(int cycle)
{
    IMAGE writer = create_cycle("place", 4, 2, 1), reader = open_image("place");
    uint16_t pixels[FRAME_ELEMENTS] = {0};

    (void)cycle;
    ck_assert_int_eq(daoShmImage2Shm(pixels, FRAME_ELEMENTS, &writer), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, NULL), DAO_SUCCESS);
    close_images(&writer, &reader);
}

static void open_read_only(int cycle)
{
    IMAGE image;

    (void)cycle;
    ck_assert_int_eq(daoShmShm2ImgReadOnly(testbed_path("place"), &image), DAO_SUCCESS);
    close_images(&image, NULL);
}

static void replace_by_another_shape(int cycle)
{
    IMAGE image = create_cycle("replaced", 4 + (uint32_t)cycle % 2, 1 + (uint32_t)cycle % 3, 1);

    close_images(&image, NULL);
}

static void make_anew(int cycle)
{
    IMAGE image;

    (void)cycle;
    unlink(testbed_path("anew"));
    image = create_cycle("anew", 4, 3, 1);
    ck_assert_int_eq(daoShmLockWriter(&image), DAO_SUCCESS);
    close_images(&image, NULL);
}

static void take_private_memory(int cycle)
{
    IMAGE image = create_cycle("private", 4, 1 + (uint32_t)cycle % 5, 0);

    close_images(&image, NULL);
}

static void make_a_line(int cycle)
{
    IMAGE *image;

    ck_assert_int_eq(daoShmInit1D(testbed_path("line"), 5 + (uint32_t)cycle % 2, &image),
                     DAO_SUCCESS);
    close_images(image, NULL);
    free(image);
}

static void (*const good[])(int cycle) = {
    set_back_in_place, open_a_second_time,  open_read_only, replace_by_another_shape,
    make_anew,         take_private_memory, make_a_line,    take_a_new_name,
};
#define GOOD (int)(sizeof good / sizeof good[0])

START_TEST(ten_thousand_cycles_leave_nothing_behind)
{
    struct holding before = {0};

    for (int cycle = 0; cycle < CYCLES; cycle++) {
        if (cycle == SETTLED)
            before = look();
        good[cycle % GOOD](cycle);
    }
    expect_same(before);
    expect_silence();
}
END_TEST

/* ---- failures ---- */

static void fail_to_create(const char *path, uint32_t width, uint32_t depth, int shared)
{
    uint32_t size[] = {width, width};
    IMAGE image;

    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&image, path, 2, size, _DATATYPE_UINT16, shared, 0, depth),
        DAO_ERROR);
}

static void fail_to_open(const char *path)
{
    IMAGE image;

    ck_assert_int_eq(daoShmShm2Img(path, &image), DAO_ERROR);
    ck_assert_int_eq(daoShmShm2ImgReadOnly(path, &image), DAO_ERROR);
}

static void fail_for_want_of_room(int cycle)
{
    (void)cycle;
    fail_to_create(testbed_path("room"), 1u << 20, 4, 1);
    fail_to_create(testbed_path("room"), UINT32_MAX, 1, 1);
}

static void fail_by_shape(int cycle)
{
    (void)cycle;
    fail_to_create(testbed_path("shape"), 4, 0, 1);
    fail_to_create("", 4, 1, 0);
}

static void fail_by_directory(int cycle)
{
    (void)cycle;
    fail_to_create(testbed_dir, 4, 1, 1);
    fail_to_open(testbed_dir);
    fail_to_open(testbed_path("missing"));
}

/* The sixth semaphore cannot be had: what is there is left as it is, and can still be opened. */
static void fail_by_semaphore(int cycle)
{
    const char *name = name_of("failed", cycle);
    IMAGE there = create_cycle(name, 4, 2, 1), image;
    uint16_t frame[4] = {7};

    ck_assert_int_eq(daoShmImage2Shm(frame, 4, &there), DAO_SUCCESS);
    ck_assert_int_eq(unlink(semaphore_file(name, 5)), 0);
    ck_assert_int_eq(mkdir(semaphore_file(name, 5), 0700), 0);
    fail_to_create(testbed_path(name), 4, 2, 1);
    fail_to_create(testbed_path(name), 5, 2, 1);
    ck_assert_uint_eq(daoShmGetCounter(&there), 1);
    ck_assert_uint_eq(there.array.UI16[0], 7);
    ck_assert_int_eq(daoShmShm2Img(testbed_path(name), &image), DAO_SUCCESS); /* a warning */
    ck_assert_int_eq(daoShmImageCreateSem(&image, 10), DAO_ERROR);
    close_images(&image, NULL);
    close_images(&there, NULL);
    ck_assert_int_eq(rmdir(semaphore_file(name, 5)), 0);
    remove_files(name);
}

static void fail_by_content(int cycle)
{
    (void)cycle;
    foreign_resize("content", 0);
    fail_to_open(testbed_path("content"));
    foreign_resize("content", 100);
    fail_to_open(testbed_path("content"));
    foreign_resize("content", 20000);
    fail_to_open(testbed_path("content"));
}

/* Pages under a mapping are replaced by the guard; closing gives those back too. */
static void fail_by_truncation(int cycle)
{
    IMAGE writer = create_cycle("cut", 4, 3, 1), reader = open_image("cut");
    void *pixels;

    (void)cycle;
    foreign_resize("cut", 0);
    ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, NULL, NULL), DAO_ERROR);
    ck_assert_uint_eq(((volatile IMAGE_METADATA *)writer.md)[2].cnt0, 0);
    close_images(&writer, &reader);
}

static void (*const bad[])(int cycle) = {
    fail_for_want_of_room, fail_by_shape,   fail_by_directory,
    fail_by_semaphore,     fail_by_content, fail_by_truncation,
};
#define BAD (int)(sizeof bad / sizeof bad[0])

START_TEST(a_thousand_failures_leave_nothing_behind)
{
    struct rlimit limit = {1 << 30, 1 << 30}; /* should a file system be willing to try */
    struct holding before = {0};

    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGXFSZ, SIG_IGN), (void *)(uintptr_t)SIG_ERR);
    close(open(testbed_path("content"), O_CREAT | O_WRONLY, 0600));
    for (int cycle = 0; cycle < CYCLES / 10 / BAD * BAD; cycle++) {
        if (cycle == SETTLED / BAD * BAD / 2)
            before = look();
        bad[cycle % BAD](cycle);
    }
    forget_messages();
    expect_same(before);
}
END_TEST

/* ---- many at once ---- */

#define HANDLES 300 /* more than one chunk of the SIGBUS guard's table */

static void open_and_close(int count)
{
    static IMAGE images[HANDLES];
    IMAGE writer = create_cycle("many", 4, 4, 1);

    for (int i = 0; i < count; i++)
        images[i] = open_image("many");
    write_frames(&writer, 1, 2);
    for (int i = 0; i < count; i++) {
        expect_next(&images[i], DAO_SUCCESS, 0, 1);
        expect_copy(&images[i], DAO_SUCCESS, 2, 0, 0);
    }
    foreign_resize("many", 0); /* each of them is guarded */
    for (int i = count; i-- > 0;)
        expect_no_next(&images[i], DAO_ERROR);
    for (int first = 0; first < 3; first++) /* not in the order in which they were opened */
        for (int i = first; i < count; i += 3)
            close_images(&images[i], NULL);
    close_images(&writer, NULL);
}

START_TEST(hundreds_of_handles_are_open_at_once)
{
    struct holding before;
    struct rlimit limit;
    int count = HANDLES;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < HANDLES + 50)
        count = (int)limit.rlim_cur - 50;
    open_and_close(count); /* the guard's table grows once */
    before = look();
    open_and_close(count);
    expect_same(before);
}
END_TEST

START_TEST(a_process_out_of_descriptors_is_told_and_loses_none)
{
    struct rlimit limit, few;
    IMAGE images[64], writer = create_cycle("few", 4, 2, 1);
    struct holding before;
    int count = 0;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = look();
    few = limit;
    few.rlim_cur = before.descriptors + 10;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && daoShmShm2ImgReadOnly(testbed_path("few"), &images[count]) == DAO_SUCCESS)
        count++;
    ck_assert_int_lt(count, 64);
    ck_assert_int_gt(count, 0);
    fail_to_open(testbed_path("few"));
    fail_to_create(testbed_path("few"), 4, 2, 1);
    fail_to_create(testbed_path("more"), 4, 2, 1);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count > 0)
        close_images(&images[--count], NULL);
    expect_same(before);
    close_images(&writer, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("endurance");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, catch_output, release_output);
    tcase_add_test(all, ten_thousand_cycles_leave_nothing_behind);
    tcase_add_test(all, a_thousand_failures_leave_nothing_behind);
    tcase_add_test(all, hundreds_of_handles_are_open_at_once);
    tcase_add_test(all, a_process_out_of_descriptors_is_told_and_loses_none);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
