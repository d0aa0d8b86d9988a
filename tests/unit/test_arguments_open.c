/*
 * test_arguments_open.c - names and shapes that cannot be, for the functions of dao.h that create
 * and open: DAO_ERROR, one line that names the function, a zeroed image, and no trace in the file
 * system. The other functions are test_arguments.c.
 */
#include "tests/support/frozen.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>

static uint32_t good_size[] = {4, 2, 1};

/* ---- what a refusal looks like ---- */

static void expect_one_line(const char *function, const char *word)
{
    const char *text = messages(), *end = strchr(text, '\n');
    char begin[100];

    snprintf(begin, sizeof begin, "[error] %s: ", function);
    ck_assert_msg(strncmp(text, begin, strlen(begin)) == 0, "no \"%s\" in: %s", begin, text);
    ck_assert_msg(end && end[1] == '\0', "%s: not one line: %s", function, text);
    ck_assert_msg(!word || strstr(text, word), "%s: no \"%s\" in: %s", function, word, text);
    fflush(stdout);
    ck_assert_str_eq(frozen_output("stdout"), "");
    forget_messages();
}

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

/* Files and semaphores of this test. */
static unsigned count_files(void)
{
    char semaphores[100];

    snprintf(semaphores, sizeof semaphores, "sem.%s_", testbed_prefix);
    return count_entries(testbed_dir, "") + count_entries("/dev/shm", semaphores);
}

struct creation {
    const char *name;
    long naxis;
    uint32_t *size;
    uint8_t atype;
    int shared, nbkw;
    uint32_t depth;
};

static void expect_not_created(const struct creation *c, const char *word)
{
    static const IMAGE zeroed;
    unsigned before = count_files();
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    ck_assert_msg(daoShmImageCreate_FIFO(&image, c->name, c->naxis, c->size, c->atype, c->shared,
                                         c->nbkw, c->depth) == DAO_ERROR,
                  "created: naxis %ld, atype %u, NBkw %d, depth %u (%s)", c->naxis, c->atype,
                  c->nbkw, c->depth, word ? word : "");
    ck_assert_mem_eq(&image, &zeroed, sizeof image);
    expect_one_line("daoShmImageCreate_FIFO", word);
    ck_assert_uint_eq(count_files(), before);
    if (c->depth != 1)
        return;
    memset(&image, 0xa5, sizeof image);
    ck_assert_int_eq(
        daoShmImageCreate(&image, c->name, c->naxis, c->size, c->atype, c->shared, c->nbkw),
        DAO_ERROR);
    ck_assert_mem_eq(&image, &zeroed, sizeof image);
    forget_messages();
    ck_assert_uint_eq(count_files(), before);
}

/* ---- shapes ---- */

START_TEST(shapes_that_cannot_be_are_refused)
{
    static const struct {
        long naxis;
        uint32_t size[3];
        unsigned atype;
        int nbkw;
        uint32_t depth;
        const char *word;
    } shapes[] = {
        {0, {4, 2, 1}, 3, 0, 1, "naxis"},
        {4, {4, 2, 1}, 3, 0, 1, "naxis"},
        {-1, {4, 2, 1}, 3, 0, 1, "naxis"},
        {LONG_MAX, {4, 2, 1}, 3, 0, 1, "naxis"},
        {LONG_MIN, {4, 2, 1}, 3, 0, 1, "naxis"},
        {(1l << 32) + 2, {4, 2, 1}, 3, 0, 1, "naxis"}, /* 2, cut to 32 bits */
        {1, {0, 2, 1}, 3, 0, 1, "size[0]"},
        {2, {4, 0, 1}, 3, 0, 1, "size[1]"},
        {3, {4, 2, 0}, 3, 0, 1, "size[2]"},
        {3, {UINT32_MAX, UINT32_MAX, UINT32_MAX}, 3, 0, 1, "exceeds"},
        {3, {1u << 31, 1u << 31, 4}, 1, 0, 1, "exceeds"}, /* 0, cut to 64 bits */
        {2, {UINT32_MAX, UINT32_MAX, 1}, 12, 0, 1, "exceeds"},
        {2, {UINT32_MAX, UINT32_MAX, 1}, 1, 0, UINT32_MAX, "exceeds"},
        {2, {4, 2, 1}, 0, 0, 1, "atype"},
        {2, {4, 2, 1}, 13, 0, 1, "atype"},
        {2, {4, 2, 1}, 255, 0, 1, "atype"},
        {2, {4, 2, 1}, 3, -1, 1, "keywords"},
        {2, {4, 2, 1}, 3, 32768, 1, "keywords"},
        {2, {4, 2, 1}, 3, INT_MAX, 1, "keywords"},
        {2, {4, 2, 1}, 3, INT_MIN, 1, "keywords"},
        {2, {4, 2, 1}, 3, 0, 0, "depth"},
    };
    char name[400];

    snprintf(name, sizeof name, "%s", testbed_path("shape"));
    for (unsigned i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        uint32_t size[3];
        struct creation c = {name, shapes[i].naxis, size,           (uint8_t)shapes[i].atype,
                             _i,   shapes[i].nbkw,  shapes[i].depth};

        memcpy(size, shapes[i].size, sizeof size);
        expect_not_created(&c, shapes[i].word);
    }
    expect_not_created(&(struct creation){name, 2, NULL, 3, _i, 0, 1}, "size is NULL");
    expect_not_created(&(struct creation){name, 2, NULL, 3, _i, 0, 9}, "size is NULL");
}
END_TEST

/* Should a file system be willing to try, this limit stops it. */
static void limit_files(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1 << 30;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_ptr_ne((void *)(uintptr_t)signal(SIGXFSZ, SIG_IGN), (void *)(uintptr_t)SIG_ERR);
}

static const struct {
    uint32_t size[2], depth;
} huge[] = {
    {{1u << 20, 1u << 20}, 1}, /* 2 TB */
    {{UINT32_MAX, UINT32_MAX / 2}, 1}, {{1, 1}, UINT32_MAX}, {{4, 2}, UINT32_MAX},
    {{UINT32_MAX, 1}, 1u << 20},
};
#define HUGE_SHAPES (sizeof huge / sizeof huge[0])

START_TEST(what_no_file_system_has_room_for_is_refused)
{
    char name[400];

    limit_files();
    snprintf(name, sizeof name, "%s", testbed_path("huge"));
    for (unsigned i = 0; i < HUGE_SHAPES; i++) {
        uint32_t size[] = {huge[i].size[0], huge[i].size[1]};

        expect_not_created(&(struct creation){name, 2, size, 3, 1, 0, huge[i].depth}, name);
    }
}
END_TEST

/* A system that is told to promise any memory promises this too: then there is nothing to test. */
static bool memory_is_promised_unchecked(void)
{
    FILE *file = fopen("/proc/sys/vm/overcommit_memory", "r");
    int mode = 1;

    if (!file)
        return true;
    if (fscanf(file, "%d", &mode) != 1)
        mode = 1;
    fclose(file);
    return mode == 1;
}

START_TEST(what_no_memory_is_there_for_is_refused)
{
    if (memory_is_promised_unchecked())
        return;
    for (unsigned i = 0; i < HUGE_SHAPES; i++) {
        uint32_t size[] = {huge[i].size[0], huge[i].size[1]};

        expect_not_created(&(struct creation){"huge", 2, size, 3, 0, 0, huge[i].depth}, "huge");
    }
}
END_TEST

START_TEST(a_line_without_elements_or_of_too_many_is_refused)
{
    IMAGE *image = (IMAGE *)&image;
    unsigned before = count_files();

    limit_files();
    ck_assert_int_eq(daoShmInit1D(testbed_path("line"), 0, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    expect_one_line("daoShmImageCreate_FIFO", "size[0]");
    ck_assert_int_eq(daoShmInit1D(testbed_path("line"), UINT32_MAX, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    expect_one_line("daoShmImageCreate_FIFO", "line");
    ck_assert_int_eq(daoShmInit1D(testbed_path("line"), 4, NULL), DAO_ERROR);
    expect_one_line("daoShmInit1D", "NULL");
    ck_assert_int_eq(daoShmInit1D(NULL, 4, &image), DAO_ERROR);
    ck_assert_ptr_null(image);
    expect_one_line("daoShmImageCreate_FIFO", "name");
    ck_assert_int_eq(daoShmInit1D(NULL, 4, NULL), DAO_ERROR);
    expect_one_line("daoShmInit1D", "NULL");
    ck_assert_uint_eq(count_files(), before);
}
END_TEST

START_TEST(an_image_that_is_null_is_refused)
{
    char name[400];
    unsigned before = count_files();

    snprintf(name, sizeof name, "%s", testbed_path("null"));
    ck_assert_int_eq(daoShmImageCreate_FIFO(NULL, name, 2, good_size, 3, 1, 0, 1), DAO_ERROR);
    expect_one_line("daoShmImageCreate_FIFO", "NULL");
    ck_assert_int_eq(daoShmImageCreate(NULL, name, 2, good_size, 3, 1, 0), DAO_ERROR);
    expect_one_line("daoShmImageCreate_FIFO", "NULL");
    ck_assert_int_eq(daoShmImageCreate_FIFO(NULL, NULL, 9, NULL, 99, 1, -1, 0), DAO_ERROR);
    expect_one_line("daoShmImageCreate_FIFO", "NULL");
    ck_assert_int_eq(daoShmShm2Img(name, NULL), DAO_ERROR);
    expect_one_line("daoShmShm2Img", "NULL");
    ck_assert_int_eq(daoShmShm2ImgReadOnly(NULL, NULL), DAO_ERROR);
    expect_one_line("daoShmShm2ImgReadOnly", "NULL");
    ck_assert_uint_eq(count_files(), before);
}
END_TEST

/* ---- names ---- */

static void expect_not_opened(const char *name, const char *word)
{
    static const IMAGE zeroed;
    IMAGE image;

    memset(&image, 0xa5, sizeof image);
    ck_assert_msg(daoShmShm2Img(name, &image) == DAO_ERROR, "%s", name);
    ck_assert_mem_eq(&image, &zeroed, sizeof image);
    expect_one_line("daoShmShm2Img", word);
    memset(&image, 0xa5, sizeof image);
    ck_assert_int_eq(daoShmShm2ImgReadOnly(name, &image), DAO_ERROR);
    ck_assert_mem_eq(&image, &zeroed, sizeof image);
    expect_one_line("daoShmShm2ImgReadOnly", word);
}

static void expect_bad_name(const char *name, const char *word)
{
    uint32_t size[] = {4, 2};

    expect_not_created(&(struct creation){name, 2, size, 3, 1, 0, 1}, word);
    expect_not_created(&(struct creation){name, 2, size, 3, 1, 0, 4}, word);
    expect_not_opened(name, word);
}

START_TEST(names_that_name_no_file_are_refused)
{
    static char huge_name[100000];
    char name[6000];

    expect_bad_name(NULL, "name is empty");
    expect_bad_name("", "name is empty");
    memset(huge_name, 'a', sizeof huge_name - 1);
    expect_not_created(&(struct creation){huge_name, 2, good_size, 3, 1, 0, 1}, "aaaaaaaa");
    expect_not_opened(huge_name, "99999 characters");
    for (int length = 4094; length <= 4097; length++) { /* around PATH_MAX, a path of many parts */
        snprintf(name, sizeof name, "%s", testbed_dir);
        while ((int)strlen(name) < length)
            strcat(name, strlen(name) % 100 == 0 ? "/" : "b");
        expect_bad_name(name, NULL);
    }
    snprintf(name, sizeof name, "%s/%.256s", testbed_dir, huge_name); /* one part too long */
    expect_bad_name(name, "too long");
    snprintf(name, sizeof name, "%s/none/x.im.shm", testbed_dir);
    expect_bad_name(name, "No such file");
    snprintf(name, sizeof name, "%s/x.im.shm/", testbed_dir);
    expect_bad_name(name, testbed_dir);
    snprintf(name, sizeof name, "%s/y.im.shm", testbed_path("stderr")); /* a file as directory */
    expect_bad_name(name, "Not a directory");
}
END_TEST

START_TEST(private_memory_needs_a_name_too)
{
    uint32_t size[] = {4, 2};

    expect_not_created(&(struct creation){NULL, 2, size, 3, 0, 0, 1}, "name is empty");
    expect_not_created(&(struct creation){"", 2, size, 3, 0, 0, 1}, "name is empty");
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_and_left_alone)
{
    char name[400];
    struct stat st;

    expect_bad_name(testbed_dir, "directory");
    snprintf(name, sizeof name, "%s", testbed_path("fifo"));
    ck_assert_int_eq(mkfifo(name, 0666), 0);
    expect_bad_name(name, "not a regular file"); /* and nobody waits for its other end */
    ck_assert(stat(name, &st) == 0 && S_ISFIFO(st.st_mode));
    expect_bad_name("/dev/null", "not a regular file");
    ck_assert(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    snprintf(name, sizeof name, "%s", testbed_path("loop"));
    ck_assert_int_eq(symlink(name, name), 0);
    expect_bad_name(name, "symbolic links");
}
END_TEST

/* Not there to be opened; to create it is to make what it should lead to, or itself, a file. */
START_TEST(a_dangling_link_is_not_opened_and_can_be_created)
{
    char name[400];
    IMAGE image;

    snprintf(name, sizeof name, "%s", testbed_path("dangling"));
    ck_assert_int_eq(symlink(testbed_path("nowhere"), name), 0);
    expect_not_opened(name, "No such file");
    ck_assert_int_eq(daoShmImageCreate_FIFO(&image, name, 2, good_size, 3, 1, 0, 2), DAO_SUCCESS);
    close_images(&image, NULL);
    image = open_image("dangling");
    close_images(&image, NULL);
    expect_silence();
}
END_TEST

START_TEST(files_of_any_content_are_not_opened_and_can_be_replaced)
{
    static const unsigned lengths[] = {0, 1, 80, 4095, 4296, 4304, 4320, 16448, 50000};

    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (int fill = 0; fill < 256; fill += 51) {
            unsigned char content[50000];
            FILE *file = fopen(testbed_path("content"), "w");
            IMAGE image;

            memset(content, fill, sizeof content);
            ck_assert_ptr_nonnull(file);
            ck_assert_uint_eq(fwrite(content, 1, lengths[i], file), lengths[i]);
            fclose(file);
            expect_not_opened(testbed_path("content"), testbed_path("content"));
            image = create_image("content", 2);
            close_images(&image, NULL);
            ck_assert_int_eq(unlink(testbed_path("content")), 0);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments of create and open");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, catch_output, release_output);
    tcase_add_loop_test(all, shapes_that_cannot_be_are_refused, 0, 2);
    tcase_add_test(all, what_no_file_system_has_room_for_is_refused);
    tcase_add_test(all, what_no_memory_is_there_for_is_refused);
    tcase_add_test(all, a_line_without_elements_or_of_too_many_is_refused);
    tcase_add_test(all, an_image_that_is_null_is_refused);
    tcase_add_test(all, names_that_name_no_file_are_refused);
    tcase_add_test(all, private_memory_needs_a_name_too);
    tcase_add_test(all, what_is_no_regular_file_is_refused_and_left_alone);
    tcase_add_test(all, a_dangling_link_is_not_opened_and_can_be_created);
    tcase_add_test(all, files_of_any_content_are_not_opened_and_can_be_replaced);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
