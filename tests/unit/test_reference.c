/*
 * test_reference.c - what the reference page promises of segments, slots, tails, the layout,
 * creation and writing, in its order. tests/README.md says which sentence each test stands for.
 */
#include "tests/support/reference_bed.h"

#include <time.h>

static const uint16_t *slot_pixels(const IMAGE *image, uint32_t slot)
{
    return image->array.UI16 + 8 * slot;
}

/* ---- overview ---- */

START_TEST(a_segment_is_one_frame_deep_unless_a_depth_is_asked_for)
{
    uint32_t size[] = {4, 2};
    IMAGE image, *vector;

    ck_assert_int_eq(
        daoShmImageCreate(&image, testbed_path("default"), 2, size, _DATATYPE_UINT16, 1, 0),
        DAO_SUCCESS);
    ck_assert_int_eq(daoShmInit1D(testbed_path("vector"), 5, &vector), DAO_SUCCESS);
    ck_assert_uint_eq(image.md[0].fifo_size, 1);
    ck_assert_uint_eq(vector->md[0].fifo_size, 1);
    write_frames(&image, 1, 3);
    ck_assert(holds(image.array.UI16, 3));
    daoShmCloseShm(&image);
    daoShmCloseShm(vector);
    free(vector);
}
END_TEST

START_TEST(the_last_n_frames_are_kept_each_in_a_slot_of_its_own)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("slots", depth);

    write_frames(&image, 1, 2 * depth + 1);
    for (uint64_t cnt0 = depth + 2; cnt0 <= 2 * depth + 1; cnt0++) {
        uint32_t slot = (uint32_t)((cnt0 - 1) % depth);

        ck_assert_uint_eq(image.md[slot].cnt0, cnt0);
        ck_assert(holds(slot_pixels(&image, slot), cnt0));
    }
    daoShmCloseShm(&image);
}
END_TEST

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* Everything of a slot's metadata but what slot 0 says of the whole FIFO. */
static bool metadata_is(const IMAGE *image, uint32_t slot, const IMAGE_METADATA *wanted)
{
    return memcmp(&image->md[slot], wanted, offsetof(IMAGE_METADATA, fifo_size)) == 0;
}

START_TEST(count_time_and_write_flag_are_tracked_for_each_slot)
{
    IMAGE image = create("tracked", 4);
    IMAGE_METADATA before[4];

    for (uint32_t n = 0; n < 9; n++) {
        int64_t began_ns = now_ns(), stamp_ns;

        memcpy(before, image.md, sizeof before);
        write_frames(&image, n + 1, n + 1);
        for (uint32_t slot = 0; slot < 4; slot++)
            ck_assert_int_eq(metadata_is(&image, slot, &before[slot]), slot != n % 4);
        stamp_ns = image.md[n % 4].atime.tsfixed.secondlong;
        ck_assert(stamp_ns >= began_ns && stamp_ns <= now_ns());
        ck_assert_uint_eq(image.md[n % 4].cnt0, n + 1);
    }
    ck_assert_int_eq(call_part(&image), DAO_SUCCESS);
    for (uint32_t slot = 0; slot < 4; slot++)
        ck_assert_uint_eq(image.md[slot].write, slot == 1);
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(fifo_last_written_advances_with_every_commit)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("advance", depth), other = open_image("advance");

    for (uint64_t cnt0 = 1; cnt0 <= 2 * depth + 1; cnt0++) {
        write_frames(&image, cnt0, cnt0);
        ck_assert_uint_eq(image.md[0].fifo_last_written, (cnt0 - 1) % depth);
        ck_assert_uint_eq(other.md[0].fifo_last_written, (cnt0 - 1) % depth);
    }
    daoShmCloseShm(&image);
    daoShmCloseShm(&other);
}
END_TEST

START_TEST(a_tail_lives_in_its_image_and_nowhere_else)
{
    IMAGE writer = create("tail", 4), first = open_image("tail"), second = open_image("tail");
    struct memory memory;
    IMAGE untouched;

    write_frames(&writer, 1, 3);
    untouched = second;
    memory = remember(&writer);
    for (uint32_t slot = 0; slot < 3; slot++) {
        expect_next(&first, DAO_SUCCESS, slot, slot + 1);
        ck_assert_uint_eq(first.fifo_last_read, slot);
        ck_assert_uint_eq(first.fifo_last_read_cnt0, slot + 1);
    }
    expect_unchanged(memory);
    ck_assert_int_eq(memcmp(&second, &untouched, sizeof second), 0);
    ck_assert_uint_eq(writer.fifo_last_read_cnt0, 0);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&first);
    daoShmCloseShm(&second);
}
END_TEST

START_TEST(frames_can_be_consumed_one_by_one_in_order)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("order", depth), reader = open_image("order");
    uint64_t read = 0;

    for (uint32_t burst = 1; burst <= depth; burst = burst * 2 + 1) {
        write_frames(&writer, read + 1, read + burst);
        for (uint32_t i = 0; i < burst; i++, read++)
            expect_next(&reader, DAO_SUCCESS, (uint32_t)(read % depth), read + 1);
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(one_can_always_jump_to_the_newest)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("jump", depth), reader = open_image("jump");
    uint64_t written = 0;

    for (uint32_t burst = 1; burst <= 3 * depth; burst = burst * 2 + 1) {
        void *pixels;
        uint32_t slot;
        uint64_t cnt0;

        write_frames(&writer, written + 1, written + burst);
        written += burst;
        ck_assert_int_eq(daoShmGetNewestSegment(&reader, &pixels, &slot, &cnt0), DAO_SUCCESS);
        ck_assert_uint_eq(cnt0, written);
        ck_assert_uint_eq(slot, (written - 1) % depth);
        ck_assert(holds(pixels, written));
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(any_slot_can_be_read_by_its_index)
{
    IMAGE writer = create("index", 4), reader;

    write_frames(&writer, 1, 6);
    reader = open_image("index");
    for (uint_fast32_t i = 0; i < 12; i++) {
        static const uint64_t in_slot[] = {5, 6, 3, 4};
        void *pixels;

        ck_assert_int_eq(daoShmGetArbitrarySegment(&reader, &pixels, i), DAO_SUCCESS);
        ck_assert(holds(pixels, in_slot[i % 4]));
        ck_assert_ptr_eq(pixels, slot_pixels(&reader, (uint32_t)(i % 4)));
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* Beside a reader of every frame, one of the newest at times, one that is lapped and one that does
 * nothing: what each gets is what it would get alone. */
START_TEST(readers_interfere_neither_with_each_other_nor_with_the_writer)
{
    IMAGE writer = create("many", 4), every = open_image("many"), newest = open_image("many");
    IMAGE lapped = open_image("many"), idle = open_image("many");

    for (uint64_t cnt0 = 1; cnt0 <= 21; cnt0++) {
        uint32_t slot = (uint32_t)((cnt0 - 1) % 4);
        uint64_t count;
        void *pixels;

        write_frames(&writer, cnt0, cnt0);
        ck_assert_uint_eq(writer.md[0].fifo_last_written, slot);
        ck_assert_uint_eq(writer.md[slot].cnt0, cnt0);
        expect_next(&every, DAO_SUCCESS, slot, cnt0);
        expect_no_next(&every, DAO_NOTREADY);
        if (cnt0 % 3 == 0) {
            ck_assert_int_eq(daoShmGetNewestSegment(&newest, &pixels, NULL, &count), DAO_SUCCESS);
            ck_assert_uint_eq(count, cnt0);
        }
        if (cnt0 % 7 == 0)
            expect_next(&lapped, DAO_OVERWRITE, slot, cnt0);
        ck_assert_uint_eq(idle.fifo_last_read_cnt0, 0);
    }
    daoShmCloseShm(&writer);
    daoShmCloseShm(&every);
    daoShmCloseShm(&newest);
    daoShmCloseShm(&lapped);
    daoShmCloseShm(&idle);
}
END_TEST

/* ---- memory layout ---- */

static void read_file(const char *name, void *to, size_t bytes, uint64_t at)
{
    int fd = open(testbed_path(name), O_RDONLY);

    ck_assert_int_eq((int)pread(fd, to, bytes, (off_t)at), (int)bytes);
    close(fd);
}

START_TEST(all_metadata_come_first_then_all_frames_without_gaps)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("layout", depth);

    write_frames(&image, 1, depth);
    for (uint32_t slot = 0; slot < depth; slot++) {
        IMAGE_METADATA md;
        uint16_t frame[8];

        read_file("layout", &md, sizeof md, slot * 4304ul);
        read_file("layout", frame, sizeof frame, depth * 4304ul + slot * sizeof frame);
        ck_assert_uint_eq(md.cnt0, slot + 1);
        ck_assert_uint_eq(md.nelement, 8);
        ck_assert(holds(frame, slot + 1));
    }
    ck_assert_uint_eq(image.memsize, depth * (4304 + sizeof(uint16_t[8])));
    daoShmCloseShm(&image);
}
END_TEST

START_TEST(fifo_size_of_slot_0_is_the_depth_for_every_process)
{
    IMAGE writer = create("depth", 4), reader;

    ck_assert_uint_eq(writer.md[0].fifo_size, 4);
    for (uint32_t slot = 1; slot < 4; slot++)
        writer.md[slot].fifo_size = 77;
    reader = open_image("depth");
    ck_assert_ptr_eq(reader.array.V, (char *)reader.md + 4 * sizeof(IMAGE_METADATA));
    write_frames(&writer, 1, 6);
    expect_next(&reader, DAO_OVERWRITE, 1, 6);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(fifo_last_written_of_slot_0_is_where_the_newest_is)
{
    IMAGE writer = create("head", 4), reader = open_image("head");

    write_frames(&writer, 1, 6);
    for (uint32_t slot = 1; slot < 4; slot++)
        writer.md[slot].fifo_last_written = 3;
    ck_assert_uint_eq(writer.md[0].fifo_last_written, 1);
    expect_newest(&reader, 1, 6);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(at_depth_1_the_layout_is_that_of_a_single_frame)
{
    IMAGE image = create("single", 1);
    IMAGE_METADATA md;
    uint16_t frame[8];

    write_frames(&image, 1, 2);
    ck_assert(holds(image.array.V, 2));
    ck_assert_ptr_eq(image.array.V, (char *)image.md + sizeof md);
    ck_assert_uint_eq(image.memsize, sizeof md + sizeof frame);
    read_file("single", &md, sizeof md, 0);
    read_file("single", frame, sizeof frame, sizeof md);
    ck_assert_uint_eq(md.cnt0, 2);
    ck_assert(holds(frame, 2));
    daoShmCloseShm(&image);
}
END_TEST

/* As programs did before there were FIFOs: nothing but md[0], array.V and semaphores. */
START_TEST(code_that_knows_of_no_fifo_works_with_depth_1)
{
    uint32_t size[] = {4, 2};
    IMAGE *writer = malloc(sizeof *writer), *reader = malloc(sizeof *reader);
    uint16_t frame[8], copy[8];

    ck_assert_int_eq(
        daoShmImageCreate(writer, testbed_path("old"), 2, size, _DATATYPE_UINT16, 1, 0),
        DAO_SUCCESS);
    ck_assert_int_eq(daoShmShm2Img(testbed_path("old"), reader), DAO_SUCCESS);
    for (uint64_t cnt0 = 1; cnt0 <= 5; cnt0++) {
        ramp_fill(frame, _DATATYPE_UINT16, cnt0, 8);
        ck_assert_int_eq(daoShmImage2Shm(frame, 8, writer), DAO_SUCCESS);
        ck_assert_int_eq(daoShmWaitForSemaphore(reader, 3), DAO_SUCCESS);
        ck_assert_uint_eq(reader->md[0].cnt0, cnt0);
        ck_assert_uint_eq(reader->md->write, 0);
        memcpy(copy, reader->array.V, sizeof copy);
        ck_assert_mem_eq(copy, frame, sizeof frame);
    }
    ck_assert_int_eq(daoShmCloseShm(writer), DAO_SUCCESS);
    ck_assert_int_eq(daoShmCloseShm(reader), DAO_SUCCESS);
    free(writer);
    free(reader);
}
END_TEST

/* The page's warning: there, the newest frame is elsewhere than a program that knows of no FIFO
 * looks for it. */
START_TEST(at_depth_n_array_v_is_slot_0_and_not_the_newest)
{
    IMAGE image = create("deep", 4);

    write_frames(&image, 1, 6);
    ck_assert(holds(image.array.V, 5));
    expect_newest(&image, 1, 6);
    daoShmCloseShm(&image);
}
END_TEST

/* ---- return codes ---- */

START_TEST(the_new_return_codes_differ_from_the_old_ones)
{
    static const int codes[] = {DAO_SUCCESS, DAO_ERROR, DAO_TIMEOUT, DAO_OVERWRITE, DAO_NOTREADY};

    for (unsigned i = 0; i < 5; i++)
        for (unsigned j = 0; j < i; j++)
            ck_assert_int_ne(codes[i], codes[j]);
    ck_assert_int_eq(DAO_OVERWRITE, -2);
    ck_assert_int_eq(DAO_NOTREADY, -3);
}
END_TEST

START_TEST(a_lapped_reader_gets_overwrite_a_valid_pointer_and_the_newest_as_tail)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("lapped", depth), reader = open_image("lapped");
    uint32_t newest = (2 * depth) % depth;

    write_frames(&writer, 1, 2 * depth + 1);
    expect_next(&reader, DAO_OVERWRITE, newest, 2 * depth + 1); /* looks at the pixels, too */
    ck_assert_uint_eq(reader.fifo_last_read, newest);
    ck_assert_uint_eq(reader.fifo_last_read_cnt0, 2 * depth + 1);
    write_frames(&writer, 2 * depth + 2, 2 * depth + 2);
    expect_next(&reader, DAO_SUCCESS, (newest + 1) % depth, 2 * depth + 2);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

START_TEST(at_the_head_of_the_fifo_nothing_is_ready)
{
    uint32_t depth = testbed_depths[_i];
    IMAGE writer = create("ready", depth), reader = open_image("ready");

    for (uint64_t cnt0 = 1; cnt0 <= depth + 1; cnt0++) {
        expect_no_next(&reader, DAO_NOTREADY);
        write_frames(&writer, cnt0, cnt0);
        expect_next(&reader, DAO_SUCCESS, (uint32_t)((cnt0 - 1) % depth), cnt0);
    }
    expect_no_next(&reader, DAO_NOTREADY);
    daoShmCloseShm(&writer);
    daoShmCloseShm(&reader);
}
END_TEST

/* ---- creating and writing ---- */

/* Both calls make the same file, but for the name in it and the time. */
START_TEST(the_plain_create_is_the_fifo_create_of_depth_1)
{
    uint32_t size[] = {5, 3};
    IMAGE plain, fifo;

    ck_assert_int_eq(
        daoShmImageCreate(&plain, testbed_path("plain"), 2, size, _DATATYPE_DOUBLE, 1, 2),
        DAO_SUCCESS);
    ck_assert_int_eq(
        daoShmImageCreate_FIFO(&fifo, testbed_path("fifo"), 2, size, _DATATYPE_DOUBLE, 1, 2, 1),
        DAO_SUCCESS);
    ck_assert_uint_eq(plain.memsize, fifo.memsize);
    memcpy(plain.md->name, fifo.md->name, sizeof fifo.md->name);
    plain.md->creation_time = fifo.md->creation_time;
    plain.md->last_access = fifo.md->last_access;
    plain.md->atime = fifo.md->atime;
    ck_assert_mem_eq(plain.md, fifo.md, fifo.memsize);
    daoShmCloseShm(&plain);
    daoShmCloseShm(&fifo);
}
END_TEST

static int_fast8_t write_in_parts(IMAGE *image)
{
    uint16_t frame[8];

    ramp_fill(frame, _DATATYPE_UINT16, 5, 8);
    ck_assert_int_eq(daoShmImagePart2Shm((char *)frame, 3, image, 0, 0, 2, 5), DAO_SUCCESS);
    ck_assert_int_eq(daoShmImagePart2Shm((char *)(frame + 3), 5, image, 3, 1, 2, 5), DAO_SUCCESS);
    return daoShmImagePart2ShmFinalize(image);
}

static int_fast8_t write_quietly(IMAGE *image)
{
    ck_assert_int_eq(call_quiet(image), DAO_SUCCESS);
    return daoShmImagePart2ShmFinalize(image);
}

START_TEST(every_writing_function_fills_the_next_slot_and_advances_the_fifo)
{
    static int_fast8_t (*const functions[])(IMAGE *) = {
        call_image2shm,
        write_in_parts,
        write_quietly,
        call_combine,
    };
    uint32_t depth = testbed_depths[_i];
    IMAGE image = create("writers", depth), reader = open_image("writers");

    for (unsigned n = 0; n < 10; n++) {
        uint32_t slot;
        void *pixels;
        uint64_t cnt0;

        ck_assert_int_eq(functions[n % 4](&image), DAO_SUCCESS);
        ck_assert_uint_eq(image.md[0].fifo_last_written, n % depth);
        ck_assert_int_eq(daoShmGetNextSegment(&reader, &pixels, &slot, &cnt0), DAO_SUCCESS);
        ck_assert_uint_eq(cnt0, n + 1);
        ck_assert_uint_eq(slot, n % depth);
        ck_assert_uint_eq(image.md[slot].cnt0, cnt0);
        ck_assert_uint_eq(image.md[slot].write, 0);
    }
    daoShmCloseShm(&image);
    daoShmCloseShm(&reader);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reference");
    TCase *overview = api_add(suite, "overview"), *layout = api_add(suite, "memory layout");
    TCase *codes = api_add(suite, "return codes"), *writing = api_add(suite, "writing");

    tcase_add_test(overview, a_segment_is_one_frame_deep_unless_a_depth_is_asked_for);
    tcase_add_loop_test(overview, the_last_n_frames_are_kept_each_in_a_slot_of_its_own, 0, DEPTHS);
    tcase_add_test(overview, count_time_and_write_flag_are_tracked_for_each_slot);
    tcase_add_loop_test(overview, fifo_last_written_advances_with_every_commit, 0, DEPTHS);
    tcase_add_test(overview, a_tail_lives_in_its_image_and_nowhere_else);
    tcase_add_loop_test(overview, frames_can_be_consumed_one_by_one_in_order, 0, DEPTHS);
    tcase_add_loop_test(overview, one_can_always_jump_to_the_newest, 0, DEPTHS);
    tcase_add_test(overview, any_slot_can_be_read_by_its_index);
    tcase_add_test(overview, readers_interfere_neither_with_each_other_nor_with_the_writer);
    tcase_add_loop_test(layout, all_metadata_come_first_then_all_frames_without_gaps, 0, DEPTHS);
    tcase_add_test(layout, fifo_size_of_slot_0_is_the_depth_for_every_process);
    tcase_add_test(layout, fifo_last_written_of_slot_0_is_where_the_newest_is);
    tcase_add_test(layout, at_depth_1_the_layout_is_that_of_a_single_frame);
    tcase_add_test(layout, code_that_knows_of_no_fifo_works_with_depth_1);
    tcase_add_test(layout, at_depth_n_array_v_is_slot_0_and_not_the_newest);
    tcase_add_test(codes, the_new_return_codes_differ_from_the_old_ones);
    tcase_add_loop_test(
        codes, a_lapped_reader_gets_overwrite_a_valid_pointer_and_the_newest_as_tail, 0, DEPTHS);
    tcase_add_loop_test(codes, at_the_head_of_the_fifo_nothing_is_ready, 0, DEPTHS);
    tcase_add_test(writing, the_plain_create_is_the_fifo_create_of_depth_1);
    tcase_add_loop_test(writing, every_writing_function_fills_the_next_slot_and_advances_the_fifo,
                        0, DEPTHS);
    return testbed_run(suite);
}
