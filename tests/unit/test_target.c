/*
 * test_target.c - the segment that a stream is played into: where it is, what it is like, and what
 * a reader sees of it.
 */
#include "tests/support/testbed.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "lib/slots.h"
#include "replay/target.h"

/* ---- names ---- */

static const struct {
    const char *stream, *segment, *to, *prefix, *path; /* %s: a folder that is there */
} names[] = {
    {"wfs", "/tmp/wfs.im.shm", NULL, NULL, "/tmp/wfs.im.shm"},
    {"wfs", "wfs.im.shm", NULL, NULL, "wfs.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", "/dev/shm/other.im.shm", NULL, "/dev/shm/other.im.shm"},
    {"wfs", "", "/dev/shm/other.im.shm", NULL, "/dev/shm/other.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", NULL, "replay_", "/tmp/replay_wfs.im.shm"},
    {"wfs", "wfs.im.shm", NULL, "replay_", "replay_wfs.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", NULL, "/dev/shm/replay_", "/dev/shm/replay_wfs.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", NULL, "/not/there/", "/not/there/wfs.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", NULL, "%s", "%s/wfs.im.shm"},
    {"wfs", "/tmp/wfs.im.shm", NULL, "%s/", "%s/wfs.im.shm"},
    {"cube", "", NULL, "%s", "%s/cube.im.shm"},
    {"cube", "", NULL, "replay_", "replay_cube.im.shm"},
    {"cube", "/tmp/", NULL, "replay_", "/tmp/replay_cube.im.shm"},
};
#define NAMES (int)(sizeof names / sizeof names[0])

static const char *with_folder(char *text, const char *format)
{
    const char *mark = format ? strstr(format, "%s") : NULL;

    if (!mark)
        return format;
    snprintf(text, 600, "%s%s", testbed_dir, mark + 2);
    return text;
}

START_TEST(a_stream_goes_where_it_was_or_is_told_to)
{
    char prefix[600], path[600], found[TARGET_PATH_BYTES];
    const struct target_naming naming = {names[_i].to, with_folder(prefix, names[_i].prefix)};
    static struct series series;

    snprintf(series.stream, sizeof series.stream, "%s", names[_i].stream);
    snprintf(series.segment, sizeof series.segment, "%s", names[_i].segment);
    ck_assert_int_eq(target_choose_path(found, &series, &naming, NULL), 0);
    ck_assert_str_eq(found, with_folder(path, names[_i].path));
}
END_TEST

START_TEST(a_stream_of_which_nothing_tells_where_is_refused_by_name)
{
    const struct target_naming naming = {NULL, NULL};
    static struct series series;
    struct dao_text text = {""};
    char found[TARGET_PATH_BYTES] = "untouched";

    snprintf(series.stream, sizeof series.stream, "cube");
    ck_assert_int_eq(target_choose_path(found, &series, &naming, &text), -EINVAL);
    ck_assert_ptr_nonnull(strstr(text.s, "cube"));
    ck_assert_ptr_nonnull(strstr(text.s, "--to"));
    memset(series.segment, 'x', sizeof series.segment - 1);
    ck_assert_int_eq(target_choose_path(found, &series, &(struct target_naming){NULL, "p"}, &text),
                     -ENAMETOOLONG);
}
END_TEST

/* ---- shapes ---- */

static struct series_part part_of(uint32_t rows, uint32_t columns, uint32_t depth)
{
    const uint32_t size[] = {rows, columns};
    struct series_part part = {.frames = 10};

    ck_assert_int_eq(
        dao_geometry_make(&part.geometry, 2, size, _DATATYPE_UINT16, depth ? depth : 1, 0, NULL),
        0);
    part.geometry.depth = depth;
    return part;
}

START_TEST(the_depth_is_the_one_asked_for_or_recorded_or_fits_into_memory)
{
    static const struct {
        uint32_t rows, columns, recorded, asked, depth;
    } cases[] = {
        {4, 2, 8, 0, 8}, {4, 2, 8, 3, 3},       {4, 2, 0, 0, 64},
        {4, 2, 0, 1, 1}, {4096, 4096, 0, 0, 8}, {8192, 8192, 0, 0, 4},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct series_part part = part_of(cases[i].rows, cases[i].columns, cases[i].recorded);
        struct dao_geometry geo;

        ck_assert_int_eq(target_geometry(&geo, &part, cases[i].asked, NULL), 0);
        ck_assert_uint_eq(geo.depth, cases[i].depth);
        ck_assert_int_eq(geo.layout->kind, DAO_LAYOUT_FIFO);
    }
}
END_TEST

/* ---- as a reader sees it ---- */

static struct target target;

static void open_target(const char *name, struct series_part *part, uint64_t cnt0)
{
    struct dao_text text = {""};

    target_init(&target, 0);
    snprintf(target.path, sizeof target.path, "%s", testbed_path(name));
    ck_assert_msg(target_create(&target, part, cnt0, &text) == 0, "%s", text.s);
}

static void play(uint64_t cnt0, int64_t atime_ns)
{
    uint16_t pixels[TESTBED_ELEMENTS];
    struct dao_write w;

    ramp_fill(pixels, _DATATYPE_UINT16, cnt0, TESTBED_ELEMENTS);
    ck_assert_int_eq(target_fill(&target, pixels, &w), 0);
    w.cnt0 = cnt0;
    target_publish(&target, &w, cnt0 + 1, cnt0 + 2, atime_ns);
}

START_TEST(a_reader_gets_what_is_played_with_its_counters)
{
    struct series_part part = part_of(4, 2, 4);
    IMAGE_KEYWORD keyword = {.name = "GAIN", .type = 'L', .value.numl = 7};
    struct dao_segment seg;
    struct dao_reader r;
    IMAGE_KEYWORD found;

    part.keywords = &keyword;
    part.keyword_count = 1;
    open_target("plays", &part, 100);
    ck_assert_int_eq(dao_segment_open(&seg, target.path, DAO_ACCESS_READ, NULL), 0);
    ck_assert_uint_eq(seg.geo.depth, 4);
    dao_segment_keyword(&seg, 0, &found);
    ck_assert_mem_eq(&found, &keyword, sizeof found);
    r = testbed_reader(&seg);
    for (uint64_t cnt0 = 101; cnt0 < 110; cnt0++) {
        struct dao_take take;

        play(cnt0, 5000000 + (int64_t)cnt0);
        take = take_frame(&r, cnt0);
        ck_assert_uint_eq(take.missing, 0);
        ck_assert_uint_eq(take.cnt1, cnt0 + 1);
        ck_assert_uint_eq(take.cnt2, cnt0 + 2);
        ck_assert_int_eq(take.atime_ns, 5000000 + (int64_t)cnt0);
    }
    dao_segment_close(&seg);
    target_close(&target, true);
    ck_assert_int_eq(access(testbed_path("plays"), F_OK), -1);
}
END_TEST

START_TEST(made_anew_it_is_a_restart_for_a_reader_and_nothing_is_missing)
{
    struct series_part part = part_of(4, 2, 4);
    struct dao_segment seg;
    struct dao_reader r;
    struct dao_take take;

    open_target("again", &part, 0);
    ck_assert_int_eq(dao_segment_open(&seg, target.path, DAO_ACCESS_READ, NULL), 0);
    r = testbed_reader(&seg);
    play(1, 0);
    take_frame(&r, 1);
    ck_assert_int_eq(target_create(&target, &part, 41, NULL), 0);
    ck_assert_int_eq(target_check(&target), 0);
    play(42, 0);
    ck_assert_int_eq(dao_reader_begin(&r, &take), DAO_READ_RESTART);
    ck_assert_uint_eq(take.restart_lost, 0);
    take = take_frame(&r, 42);
    ck_assert_uint_eq(take.missing, 0);
    dao_segment_close(&seg);
    target_close(&target, true);
}
END_TEST

/* How many of the segment's pages would not fault. */
static size_t count_pages_present(const struct dao_segment *seg, size_t pages, size_t page_bytes)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    size_t present = 0;

    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < pages; i++) {
        uint64_t entry;

        ck_assert_int_eq(pread(fd, &entry, sizeof entry,
                               (off_t)(((uintptr_t)seg->map / page_bytes + i) * sizeof entry)),
                         sizeof entry);
        present += entry >> 63;
    }
    close(fd);
    return present;
}

START_TEST(the_first_lap_faults_no_pages_in)
{
    struct series_part part = part_of(512, 512, 4);
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), pages;
    void *probe =
        mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can_populate = madvise(probe, page_bytes, 23) == 0; /* MADV_POPULATE_WRITE, Linux 5.14 */

    munmap(probe, page_bytes);
    open_target("faults", &part, 0);
    for (int round = 0; round < 2; round++) {
        pages = target.segment.geo.file_bytes / page_bytes;
        if (can_populate)
            ck_assert_uint_eq(count_pages_present(&target.segment, pages, page_bytes), pages);
        ck_assert_int_eq(target_create(&target, &part, 9, NULL), 0); /* in place: another mapping */
    }
    target_close(&target, true);
}
END_TEST

START_TEST(the_writers_lock_is_held_also_after_it_was_made_anew)
{
    struct series_part part = part_of(4, 2, 4), other = part_of(4, 4, 4);

    open_target("lock", &part, 0);
    for (int round = 0; round < 3; round++) {
        int fd = open(target.path, O_RDONLY);

        ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
        close(fd);
        ck_assert_int_eq(target_create(&target, round ? &other : &part, 9, NULL), 0);
    }
    target_close(&target, true);
}
END_TEST

START_TEST(a_segment_that_was_removed_or_truncated_is_found_out)
{
    struct series_part part = part_of(4, 2, 4);

    open_target("removed", &part, 0);
    ck_assert_int_eq(target_check(&target), 0);
    ck_assert_int_eq(unlink(target.path), 0);
    ck_assert_int_eq(target_check(&target), -ESTALE);
    target_close(&target, true);
    open_target("short", &part, 0);
    ck_assert_int_eq(truncate(target.path, 100), 0);
    ck_assert_int_eq(target_check(&target), -ESTALE);
    target_close(&target, true);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_named_and_leaves_no_semaphores)
{
    struct series_part part = part_of(4, 2, 4);
    struct dao_text text = {""};
    char semaphore[400];

    target_init(&target, 0);
    snprintf(target.path, sizeof target.path, "%s/none/%s_x.im.shm", testbed_dir, testbed_prefix);
    ck_assert_int_lt(target_create(&target, &part, 0, &text), 0);
    ck_assert_ptr_nonnull(strstr(text.s, "/none/"));
    snprintf(semaphore, sizeof semaphore, "/dev/shm/sem.%s_x_sem00", testbed_prefix);
    ck_assert_int_eq(access(semaphore, F_OK), -1);
    target_close(&target, true);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("target");
    TCase *tcase = tcase_create("target");

    tcase_add_loop_test(tcase, a_stream_goes_where_it_was_or_is_told_to, 0, NAMES);
    tcase_add_test(tcase, a_stream_of_which_nothing_tells_where_is_refused_by_name);
    tcase_add_test(tcase, the_depth_is_the_one_asked_for_or_recorded_or_fits_into_memory);
    tcase_add_test(tcase, a_reader_gets_what_is_played_with_its_counters);
    tcase_add_test(tcase, made_anew_it_is_a_restart_for_a_reader_and_nothing_is_missing);
    tcase_add_test(tcase, the_first_lap_faults_no_pages_in);
    tcase_add_test(tcase, the_writers_lock_is_held_also_after_it_was_made_anew);
    tcase_add_test(tcase, a_segment_that_was_removed_or_truncated_is_found_out);
    tcase_add_test(tcase, a_folder_that_is_not_there_is_named_and_leaves_no_semaphores);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
