/*
 * test_api_readonly.c - dao.h: daoShmShm2ImgReadOnly, which leaves no trace.
 */
#include "tests/support/api_bed.h"

#include "lib/semset.h"

static IMAGE open_read_only(const char *name)
{
    IMAGE image;

    memset(&image, 0xa5, sizeof image); /* output only */
    ck_assert_int_eq(daoShmShm2ImgReadOnly(testbed_path(name), &image), DAO_SUCCESS);
    return image;
}

/* How many of the semaphores of a segment there are in the system. */
static int count_semaphores(const char *name)
{
    char prefix[120];
    struct dirent *entry;
    DIR *dir = opendir("/dev/shm");
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    snprintf(prefix, sizeof prefix, "sem.%s_%s_", testbed_prefix, name);
    while ((entry = readdir(dir)))
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return count;
}

START_TEST(an_image_opened_read_only_is_filled_in)
{
    IMAGE image = create("filled", 4), reader;

    write_frames(&image, 1, 6);
    reader = open_read_only("filled");
    ck_assert_uint_eq(reader.used, 1);
    ck_assert_int_eq(strncmp(reader.name, testbed_path("filled"), sizeof reader.name - 1), 0);
    ck_assert_int_ge(reader.shmfd, 0);
    ck_assert_uint_eq(reader.memsize, image.memsize);
    ck_assert_ptr_eq(reader.array.V, (char *)reader.md + 4 * 4304);
    ck_assert_ptr_null(reader.kw);
    ck_assert_uint_eq(reader.fifo_last_read, 1); /* at the newest */
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 6);
    ck_assert_str_eq(messages(), ""); /* it was asked for, and is nothing to talk about */
    ck_assert_int_eq(daoShmCloseShm(&reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCloseShm(&reader), DAO_ERROR);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(no_semaphore_is_created_or_opened)
{
    IMAGE image = create("nosem", 2), reader;

    ck_assert_int_eq(count_semaphores("nosem"), IMAGE_NB_SEMAPHORE + 1);
    dao_semset_unlink(testbed_path("nosem"));
    reader = open_read_only("nosem");
    ck_assert_int_eq(count_semaphores("nosem"), 0);
    ck_assert_ptr_null(reader.semlog);
    for (int i = 0; i < IMAGE_NB_SEMAPHORE; i++)
        ck_assert_ptr_null(reader.semptr[i]);
    daoShmCloseShm(&reader);
    daoShmCloseShm(&image);
    ck_assert_int_eq(count_semaphores("nosem"), 0);
}
END_TEST

START_TEST(semaphore_calls_say_that_there_is_none)
{
    const struct timespec past = {0};
    IMAGE image = create("semcalls", 2), reader = open_read_only("semcalls");

    ck_assert_int_eq(daoSemPost(&reader, 0), DAO_ERROR);
    ck_assert_int_eq(daoSemPostAll(&reader), DAO_ERROR);
    ck_assert_int_eq(daoSemLogPost(&reader), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphore(&reader, 0), DAO_ERROR);
    ck_assert_int_eq(daoShmWaitForSemaphoreTimeout(&reader, 0, &past), DAO_ERROR);
    expect_message("call daoShmImageCreateSem");
    expect_semaphores(&image, 0);
    daoShmCloseShm(&reader);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(the_mapping_cannot_be_written)
{
    IMAGE image = create("mapping", 2), reader = open_read_only("mapping");
    unsigned long from, to, address = (unsigned long)(uintptr_t)reader.md;
    char line[600], rights[8] = "";
    FILE *maps = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && from <= address && address < to)
            break;
    fclose(maps);
    ck_assert_str_eq(rights, "r--s");
    daoShmCloseShm(&reader);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(every_writing_call_is_refused_and_changes_nothing)
{
    IMAGE image = create("refused", 2), reader;
    struct memory before;

    write_frames(&image, 1, 3);
    take_posts(&image);
    reader = open_read_only("refused");
    before = remember(&image);
    expect_refused(&reader, _i, "opened read-only");
    expect_unchanged(before);
    expect_semaphores(&image, 0);
    daoShmCloseShm(&reader);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_read_only_channel_can_be_summed)
{
    IMAGE image = create("channel", 2), sum = create("sum", 2), reader;
    IMAGE *cubes[] = {&reader};

    write_frames(&image, 1, 3);
    reader = open_read_only("channel");
    ck_assert_int_eq(daoShmCombineShm2Shm(cubes, &sum, 1, 8), DAO_SUCCESS);
    ck_assert_mem_eq(sum.array.UI16, image.array.UI16, 16);
    daoShmCloseShm(&reader);
    daoShmCloseShm(&sum);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(reading_and_waiting_for_frames_go_as_ever)
{
    const struct timespec deadline = {0};
    IMAGE image = create("reading", 2), reader = open_read_only("reading");
    struct memory before;
    uint16_t pixels[8];
    uint64_t cnt0;

    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(&reader, &deadline), DAO_TIMEOUT);
    write_frames(&image, 1, 2);
    before = remember(&image);
    ck_assert_int_eq(daoShmWaitForNextSegment(&reader), DAO_SUCCESS);
    expect_next(&reader, DAO_SUCCESS, 0, 1);
    ck_assert_int_eq(daoShmCopyNextSegment(&reader, pixels, sizeof pixels, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(&reader), DAO_SUCCESS);
    expect_no_next(&reader, DAO_NOTREADY);
    expect_newest(&reader, 1, 2);
    ck_assert_int_eq(daoShmResetTailOldest(&reader, NULL, &cnt0), DAO_SUCCESS);
    ck_assert_uint_eq(cnt0, 2);
    expect_unchanged(before); /* a reader is not seen */
    daoShmCloseShm(&reader);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(what_cannot_be_opened_is_named)
{
    IMAGE image;
    const char *const names[] = {testbed_path("missing"), testbed_dir, "", NULL};
    static const char *const words[] = {"No such file", "directory", "empty", "empty"};

    memset(&image, 0xa5, sizeof image);
    ck_assert_int_eq(daoShmShm2ImgReadOnly(names[_i], &image), DAO_ERROR);
    expect_message("daoShmShm2ImgReadOnly: ");
    expect_message(words[_i]);
    ck_assert_uint_eq(image.used, 0);
    ck_assert_ptr_null(image.md);
    ck_assert_int_eq(daoShmShm2ImgReadOnly(testbed_path("missing"), NULL), DAO_ERROR);
    expect_message("the image is NULL");
}
END_TEST

START_TEST(a_file_that_only_may_be_read_is_opened)
{
    IMAGE image = create("mayread", 2), reader;

    ck_assert_int_eq(chmod(testbed_dir, 0755), 0);
    ck_assert_int_eq(chmod(testbed_path("mayread"), 0444), 0);
    write_frames(&image, 1, 1);
    if (geteuid() == 0)
        ck_assert_int_eq(setuid(65534), 0);
    reader = open_read_only("mayread");
    ck_assert_uint_eq(daoShmGetCounter(&reader), 1);
    _exit(0); /* not our user any more */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_readonly");
    TCase *tcase = api_add(suite, "read-only");

    tcase_add_test(tcase, an_image_opened_read_only_is_filled_in);
    tcase_add_test(tcase, no_semaphore_is_created_or_opened);
    tcase_add_test(tcase, semaphore_calls_say_that_there_is_none);
    tcase_add_test(tcase, the_mapping_cannot_be_written);
    tcase_add_loop_test(tcase, every_writing_call_is_refused_and_changes_nothing, 0, API_WRITERS);
    tcase_add_test(tcase, a_read_only_channel_can_be_summed);
    tcase_add_test(tcase, reading_and_waiting_for_frames_go_as_ever);
    tcase_add_loop_test(tcase, what_cannot_be_opened_is_named, 0, 4);
    tcase_add_test(tcase, a_file_that_only_may_be_read_is_opened);
    return testbed_run(suite);
}
