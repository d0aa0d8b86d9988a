/*
 * test_reference_sharing.c - what the reference page promises of depths, of threads and processes
 * beside each other, and of older programs and segments, in its order. tests/README.md says which
 * sentence each test stands for.
 */
#include "tests/support/reference_bed.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

/* ---- depth ---- */

/* One that opens just now, and has kept nothing, at any moment. */
START_TEST(the_last_n_frames_can_be_read_back_at_any_time)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("window", depth);

    for (uint64_t newest = 1; newest <= 2 * depth; newest++) {
        uint64_t oldest = newest > depth ? newest - depth + 1 : 1;
        IMAGE reader;

        write_frames(&writer, newest, newest);
        reader = open_image("window");
        for (uint64_t cnt0 = oldest; cnt0 <= newest; cnt0++) {
            uint32_t slot = (uint32_t)((reader.fifo_last_read + depth - (newest - cnt0)) % depth);
            void *pixels;

            ck_assert_int_eq(daoShmGetArbitrarySegment(&reader, &pixels, slot), DAO_SUCCESS);
            ck_assert_uint_eq(reader.md[slot].cnt0, cnt0);
            ck_assert(holds(pixels, cnt0));
        }
        daoShmCloseShm(&reader);
    }
    daoShmCloseShm(&writer);
}
END_TEST

/* A filter of second order in another process: at each frame the two before it. */
static void filter_frames(const char *name, int ready, int go)
{
    IMAGE image = open_image(name);
    char byte;

    for (uint64_t cnt0 = 1; cnt0 <= 20; cnt0++) {
        uint32_t slot;
        uint64_t count;
        void *pixels;

        ck_assert_int_eq((int)write(ready, "r", 1), 1);
        ck_assert_int_eq((int)read(go, &byte, 1), 1);
        ck_assert_int_eq(daoShmGetNextSegment(&image, &pixels, &slot, &count), DAO_SUCCESS);
        ck_assert_uint_eq(count, cnt0);
        for (uint64_t back = 0; back <= 2 && back < cnt0; back++) {
            ck_assert_int_eq(daoShmGetArbitrarySegment(&image, &pixels, slot + 4 - back),
                             DAO_SUCCESS);
            ck_assert(holds(pixels, cnt0 - back));
        }
    }
    daoShmCloseShm(&image);
}

START_TEST(past_frames_are_at_hand_for_every_process_that_has_an_image)
{
    IMAGE writer = create("past", 4);
    int ready[2], go[2], status;
    pid_t child;
    char byte;

    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(go), 0);
    child = fork();
    if (child == 0) {
        close(go[1]);
        filter_frames("past", ready[1], go[0]);
        _exit(0);
    }
    close(ready[1]); /* so that the end of one is seen by the other */
    close(go[0]);
    for (uint64_t cnt0 = 1; cnt0 <= 20; cnt0++) {
        ck_assert_int_eq((int)read(ready[0], &byte, 1), 1);
        write_frames(&writer, cnt0, cnt0);
        ck_assert_int_eq((int)write(go[1], "g", 1), 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    daoShmCloseShm(&writer);
}
END_TEST

static uint64_t file_bytes(const char *name, uint64_t *ret_allocated)
{
    struct stat st;

    ck_assert_int_eq(stat(testbed_path(name), &st), 0);
    *ret_allocated = (uint64_t)st.st_blocks * 512;
    return (uint64_t)st.st_size;
}

/* N x (metadata + elements) + keywords; the semaphores are files of their own. The memory is there
 * from the beginning. */
START_TEST(the_size_is_that_of_the_parts_times_the_depth)
{
    static const uint32_t depths[] = {1, 2, 8, 100, 1000};
    uint32_t size[] = {7, 5, 3};
    unsigned atype = (unsigned)_i + 1;

    for (unsigned i = 0; i < 5; i++)
        for (int nbkw = 0; nbkw <= 3; nbkw += 3) {
            uint64_t frame = 7 * 5 * 3 * (uint64_t)ramp_types[atype].bytes, allocated, bytes;
            uint64_t wanted = depths[i] * (4304 + frame) + (unsigned)nbkw * 120;
            IMAGE image;

            ck_assert_int_eq(daoShmImageCreate_FIFO(&image, testbed_path("size"), 3, size,
                                                    (uint8_t)atype, 1, nbkw, depths[i]),
                             DAO_SUCCESS);
            bytes = file_bytes("size", &allocated);
            ck_assert_uint_eq(bytes, wanted);
            ck_assert_uint_eq(image.memsize, wanted);
            ck_assert_uint_ge(allocated, wanted);
            daoShmCloseShm(&image);
        }
}
END_TEST

START_TEST(the_semaphores_are_outside_of_the_segment)
{
    IMAGE image = create("posts", 8);
    char path[400];

    for (int i = 0; i <= IMAGE_NB_SEMAPHORE; i++) {
        snprintf(path, sizeof path, "/dev/shm/sem.%s_posts_sem", testbed_prefix);
        snprintf(path + strlen(path), 8, i < IMAGE_NB_SEMAPHORE ? "%02d" : "log", i);
        ck_assert_int_eq(access(path, F_OK), 0);
    }
    ck_assert_uint_eq(image.memsize, 8 * (4304 + 16));
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(a_depth_of_a_thousand_keeps_a_thousand_frames)
{
    IMAGE writer = create("thousand", 1000), reader = open_image("thousand");

    write_frames(&writer, 1, 1000);
    for (uint64_t cnt0 = 1; cnt0 <= 1000; cnt0++)
        expect_next(&reader, DAO_SUCCESS, (uint32_t)cnt0 - 1, cnt0);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- threads ---- */

#define THREAD_FRAMES 2000u /* no more than the depth: then nothing can be lost */

struct follower {
    IMAGE image;
    uint64_t in_order, wrong;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    uint64_t cnt0 = 0;

    while (cnt0 < THREAD_FRAMES && daoShmWaitForNextSegment(&f->image) == DAO_SUCCESS) {
        uint64_t last = cnt0;
        void *pixels;

        if (daoShmGetNextSegment(&f->image, &pixels, NULL, &cnt0) != DAO_SUCCESS)
            break;
        f->in_order += cnt0 == last + 1;
        f->wrong += !holds(pixels, cnt0) || daoShmCheckSegmentOverwrite(&f->image) != DAO_SUCCESS;
    }
    return NULL;
}

static void *write_all(void *arg)
{
    write_frames(arg, 1, THREAD_FRAMES);
    return NULL;
}

START_TEST(one_writing_thread_and_several_reading_threads_are_safe)
{
    IMAGE writer = create("threads", 2048);
    struct follower followers[3] = {0};
    pthread_t threads[4];

    for (int i = 0; i < 3; i++) {
        followers[i].image = i == 2 ? writer : open_image("threads"); /* also through one IMAGE */
        ck_assert_int_eq(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
    }
    ck_assert_int_eq(pthread_create(&threads[3], NULL, write_all, &writer), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(followers[i].in_order, THREAD_FRAMES);
        ck_assert_uint_eq(followers[i].wrong, 0);
    }
    daoShmCloseShm(&followers[0].image);
    daoShmCloseShm(&followers[1].image);
    daoShmCloseShm(&writer);
}
END_TEST

static void read_in_every_way(IMAGE *reader, uint64_t newest)
{
    const struct timespec past = {0};
    uint16_t copy[8];
    void *pixels;

    ck_assert_int_eq(daoShmWaitForNextSegment(reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmWaitForNextSegmentUntil(reader, &past), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(reader, &pixels, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCheckSegmentOverwrite(reader), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCopyNextSegment(reader, copy, sizeof copy, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetArbitrarySegment(reader, &pixels, 3), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNewestSegment(reader, &pixels, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmGetNextSegment(reader, &pixels, NULL, NULL), DAO_NOTREADY);
    ck_assert_int_eq(daoShmWaitForTargetCounter(reader, newest), DAO_SUCCESS);
    ck_assert_uint_eq(daoShmGetCounter(reader), newest);
    ck_assert_int_eq(daoShmResetTailOldest(reader, NULL, NULL), DAO_SUCCESS);
    ck_assert_int_eq(daoShmResetTail(reader, NULL, NULL), DAO_SUCCESS);
}

/* A store would be a fault: the reader's mapping is made read-only under its feet. */
START_TEST(readers_never_modify_shared_memory)
{
    IMAGE writer = create("untouched", 4);
    struct memory memory = remember(&writer);
    IMAGE reader = open_image("untouched");

    expect_unchanged(memory); /* by the open, either */
    ck_assert_int_eq(mprotect(reader.md, reader.memsize, PROT_READ), 0);
    for (uint64_t newest = 3; newest <= 9; newest += 3) {
        write_frames(&writer, newest - 2, newest);
        memory = remember(&writer);
        read_in_every_way(&reader, newest);
        expect_unchanged(memory);
    }
    write_frames(&writer, 10, 20);
    memory = remember(&writer);
    expect_next(&reader, DAO_OVERWRITE, 3, 20);
    daoShmCloseShm(&reader);
    expect_unchanged(memory);
    daoShmCloseShm(&writer);
}
END_TEST

START_TEST(the_write_flag_is_1_while_its_slot_is_written_and_0_after)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("write", depth), reader = open_image("write");

    for (uint64_t cnt0 = 1; cnt0 <= depth + 1; cnt0++) {
        uint32_t slot = (uint32_t)((cnt0 - 1) % depth);

        ck_assert_int_eq(call_part(&writer), DAO_SUCCESS);
        ck_assert_uint_eq(reader.md[slot].write, 1);
        ck_assert_int_eq(daoShmImagePart2ShmFinalize(&writer), DAO_SUCCESS);
        ck_assert_uint_eq(reader.md[slot].write, 0);
        ck_assert_int_eq(daoShmGetNextSegment(&reader, &(void *){NULL}, NULL, NULL), DAO_SUCCESS);
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- older programs and segments ---- */

/* One program for any depth. */
START_TEST(opening_takes_the_depth_from_the_segment)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("adapts", depth), reader = open_image("adapts");

    ck_assert_uint_eq(reader.md[0].fifo_size, depth);
    ck_assert_uint_eq(reader.memsize, writer.memsize);
    ck_assert_ptr_eq(reader.array.V, (char *)reader.md + depth * sizeof(IMAGE_METADATA));
    write_frames(&writer, 1, depth);
    for (uint32_t slot = 0; slot < depth; slot++)
        expect_next(&reader, DAO_SUCCESS, slot, slot + 1);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* Its metadata are shorter: what would be fifo_size is the first pixels, most often 0. */
START_TEST(a_segment_of_an_old_library_is_refused_until_it_is_recreated)
{
    static const uint16_t pixels[][8] = {{0}, {1}, {2, 0, 1}};
    IMAGE_METADATA md;
    IMAGE image = create("old", 1);
    int fd;

    memcpy(&md, image.md, sizeof md);
    daoShmCloseShm(&image);
    ck_assert_int_eq(unlink(testbed_path("old")), 0);
    fd = open(testbed_path("old"), O_CREAT | O_WRONLY, 0644);
    ck_assert_int_eq((int)write(fd, &md, 4296), 4296);
    ck_assert_int_eq((int)write(fd, pixels[_i], 16), 16);
    close(fd);
    ck_assert_int_eq(daoShmShm2Img(testbed_path("old"), &image), DAO_ERROR);
    expect_message(testbed_path("old"));
    expect_message("delete and recreate it");
    ck_assert_int_eq(unlink(testbed_path("old")), 0);
    image = create("old", 1);
    daoShmCloseShm(&image);
    image = open_image("old");
    daoShmCloseShm(&image);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reference: sharing");
    TCase *depth = api_add(suite, "depth"), *threads = api_add(suite, "threads");
    TCase *older = api_add(suite, "older programs");

    tcase_add_loop_test(depth, the_last_n_frames_can_be_read_back_at_any_time, 0, DEPTHS);
    tcase_add_test(depth, past_frames_are_at_hand_for_every_process_that_has_an_image);
    tcase_add_loop_test(depth, the_size_is_that_of_the_parts_times_the_depth, 0, RAMP_TYPES);
    tcase_add_test(depth, the_semaphores_are_outside_of_the_segment);
    tcase_add_test(depth, a_depth_of_a_thousand_keeps_a_thousand_frames);
    tcase_add_test(threads, one_writing_thread_and_several_reading_threads_are_safe);
    tcase_add_test(threads, readers_never_modify_shared_memory);
    tcase_add_loop_test(threads, the_write_flag_is_1_while_its_slot_is_written_and_0_after, 0,
                        DEPTHS);
    tcase_add_loop_test(older, opening_takes_the_depth_from_the_segment, 0, DEPTHS);
    tcase_add_loop_test(older, a_segment_of_an_old_library_is_refused_until_it_is_recreated, 0, 3);
    return testbed_run(suite);
}
