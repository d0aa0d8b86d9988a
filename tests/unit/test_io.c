/* test_io.c - queue, pool, sink and engine: what carries blocks to the disk. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/engine.h"
#include "io/pool.h"
#include "io/queue.h"
#include "io/sink.h"
#include "tests/support/suite.h"

#define ITEMS 5000u

/* ---- queue ---- */

static struct io_queue queue;

static void *produce(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ITEMS;)
        i += io_queue_push(&queue, &i);
    return NULL;
}

START_TEST(a_queue_hands_every_item_over_once_and_in_order)
{
    pthread_t thread;

    ck_assert_int_eq(io_queue_init(&queue, 5, sizeof(uint64_t)), 0);
    ck_assert_uint_eq(queue.capacity, 8);
    pthread_create(&thread, NULL, produce, NULL);
    for (uint64_t expected = 0; expected < ITEMS;) {
        const uint64_t *item = io_queue_peek(&queue);

        if (!item)
            continue;
        ck_assert_uint_eq(*item, expected);
        io_queue_pop(&queue);
        expected++;
    }
    ck_assert_ptr_null(io_queue_peek(&queue));
    pthread_join(thread, NULL);
    io_queue_fini(&queue);
}
END_TEST

START_TEST(a_full_queue_refuses_and_loses_nothing)
{
    uint64_t item;

    ck_assert_int_eq(io_queue_init(&queue, 4, sizeof item), 0);
    for (item = 0; item < 4; item++) {
        ck_assert_uint_eq(io_queue_room(&queue), 4 - item);
        ck_assert(io_queue_push(&queue, &item));
    }
    ck_assert(!io_queue_push(&queue, &item));
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(*(const uint64_t *)io_queue_peek(&queue), i);
        io_queue_pop(&queue);
    }
    io_queue_fini(&queue);
}
END_TEST

/* ---- pool ---- */

static struct io_pool pool;
static struct io_queue taken;

/* Gives back what the taker took, as the writer does; two of them, to have contention. */
static void *give_back(void *arg)
{
    struct io_queue *from = arg;

    for (uint32_t i = 0; i < ITEMS;) {
        struct io_block *const *block = io_queue_peek(from);

        if (!block)
            continue;
        ck_assert_uint_eq((*block)->file_off, i);
        ck_assert_uint_eq((*block)->data[0], (unsigned char)i);
        (*block)->data[0] = 0;
        io_pool_give(&pool, *block);
        io_queue_pop(from);
        i++;
    }
    return NULL;
}

START_TEST(a_block_is_never_in_two_hands)
{
    static struct io_queue second;
    pthread_t threads[2];

    ck_assert_int_eq(io_pool_init(&pool, 5, 4096), 0);
    io_queue_init(&taken, 8, sizeof(struct io_block *));
    io_queue_init(&second, 8, sizeof(struct io_block *));
    pthread_create(&threads[0], NULL, give_back, &taken);
    pthread_create(&threads[1], NULL, give_back, &second);
    for (uint32_t i = 0; i < 2 * ITEMS;) {
        struct io_block *block = io_pool_take(&pool);

        if (!block)
            continue;
        ck_assert_uint_eq(block->data[0], 0);
        block->file_off = i / 2;
        block->data[0] = (unsigned char)(i / 2);
        ck_assert(io_queue_push(i % 2 ? &second : &taken, &block));
        i++;
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_uint_eq(atomic_load(&pool.free_count), 5);
    io_queue_fini(&taken);
    io_queue_fini(&second);
    io_pool_fini(&pool);
}
END_TEST

START_TEST(the_block_given_last_is_taken_first)
{
    struct io_block *a, *b;

    ck_assert_int_eq(io_pool_init(&pool, 2, 8192), 0);
    a = io_pool_take(&pool);
    b = io_pool_take(&pool);
    ck_assert_ptr_null(io_pool_take(&pool));
    ck_assert_int_eq((uintptr_t)a->data % 4096, 0);
    io_pool_give(&pool, b);
    io_pool_give(&pool, a);
    ck_assert_ptr_eq(io_pool_take(&pool), a);
    ck_assert_ptr_eq(io_pool_take(&pool), b);
    io_pool_fini(&pool);
}
END_TEST

static bool is_mapped(const unsigned char *page)
{
    unsigned char there;

    return mincore((void *)(uintptr_t)page, 4096, &there) == 0;
}

START_TEST(a_pool_is_cut_anew_and_gives_back_what_it_had)
{
    const unsigned char *first, *second;
    struct io_block *block;

    ck_assert_int_eq(io_pool_init(&pool, 4, 8192), 0);
    first = pool.memory;
    pool.blocks[0].buffer_index = 7;
    block = io_pool_take(&pool);
    ck_assert(!io_pool_is_whole(&pool));
    io_pool_give(&pool, block);
    ck_assert(io_pool_is_whole(&pool));
    ck_assert_int_eq(io_pool_recut(&pool, 8, 4096), 0); /* fits: the same memory */
    ck_assert_ptr_eq(pool.memory, first);
    ck_assert_int_eq(io_pool_recut(&pool, 3, 65536), 0);
    second = pool.memory;
    ck_assert_ptr_ne(second, first);
    ck_assert(!is_mapped(first));
    ck_assert_int_eq(io_pool_recut(&pool, 5, 65536), 0);
    ck_assert(!is_mapped(second));
    for (int i = 0; i < 5; i++) {
        block = io_pool_take(&pool);
        ck_assert_int_eq(block->buffer_index, -1);
        memset(block->data, i, 65536);
    }
    ck_assert_ptr_null(io_pool_take(&pool));
    ck_assert_int_eq(io_pool_recut(&pool, UINT32_MAX, (size_t)1 << 40), -ENOMEM);
    ck_assert_int_eq(io_pool_recut(&pool, 1, 100), -EINVAL);
    io_pool_give(&pool, block);
    ck_assert_ptr_eq(io_pool_take(&pool), block); /* refused: as it was */
    io_pool_fini(&pool);
}
END_TEST

/* What is there is not counted on: it goes after the new is there. */
START_TEST(memory_for_larger_blocks_is_needed_whole)
{
    pool = (struct io_pool){0};
    ck_assert_uint_eq(io_pool_growth(&pool, 4, 8192), 4 * 8192);
    ck_assert_int_eq(io_pool_init(&pool, 4, 8192), 0);
    ck_assert_uint_eq(io_pool_growth(&pool, 8, 4096), 0);
    ck_assert_uint_eq(io_pool_growth(&pool, 9, 4096), 9 * 4096);
    ck_assert_uint_eq(io_pool_growth(&pool, UINT32_MAX, 1ull << 40), UINT64_MAX);
    io_pool_fini(&pool);
}
END_TEST

/* ---- sink ---- */

static int open_folder(char *folder, size_t bytes)
{
    const char *temp = getenv("TMPDIR");
    int fd;

    snprintf(folder, bytes, "%s/daorec-io-XXXXXX", temp ? temp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void check_file(int dir, const char *name, const unsigned char *expected, size_t bytes)
{
    int fd = openat(dir, name, O_RDONLY);
    unsigned char *content = malloc(bytes + 1);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, content, bytes + 1), (ssize_t)bytes);
    ck_assert_mem_eq(content, expected, bytes);
    close(fd);
    free(content);
}

START_TEST(a_sink_writes_any_range_and_leaves_its_neighbours_alone)
{
    static unsigned char mirror[3 * 1024 * 1024 + 123], piece[900000];
    char folder[200];
    int dir = open_folder(folder, sizeof folder);
    struct sink sink;
    uint32_t x = 1;

    ck_assert_int_eq(sink_create(&sink, dir, "file", sizeof mirror, _i == 1, &sink_backend_system),
                     0);
    for (int round = 0; round < 40; round++) {
        size_t off, bytes;

        x = x * 1664525u + 1013904223u;
        off = x % (sizeof mirror - sizeof piece);
        x = x * 1664525u + 1013904223u;
        bytes = round % 4 == 0 ? x % sizeof piece : x % 9000;
        memset(piece, round + 1, bytes);
        memcpy(mirror + off, piece, bytes);
        ck_assert_int_eq(sink_write(&sink, off, piece, bytes), 0);
    }
    memset(piece, 0x5a, 300); /* the last page, which is not whole */
    memcpy(mirror + sizeof mirror - 300, piece, 300);
    ck_assert_int_eq(sink_write(&sink, sizeof mirror - 300, piece, 300), 0);
    ck_assert_int_eq(sink_read(&sink, 12345, piece, 700001), 0);
    ck_assert_mem_eq(piece, mirror + 12345, 700001);
    ck_assert_int_ne(faccessat(dir, "file", F_OK, 0), 0);
    ck_assert_int_eq(sink_publish(&sink, "file"), 0);
    sink_close(&sink);
    check_file(dir, "file", mirror, sizeof mirror);
    unlinkat(dir, "file", 0);
    close(dir);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- a disk that takes little at a time ---- */

static size_t short_to;
static bool must_be_pages;

/* As direct I/O: whole pages only. */
static ssize_t write_little(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    if (must_be_pages && (off % SINK_PAGE != 0 || bytes % SINK_PAGE != 0)) {
        errno = EINVAL;
        return -1;
    }
    return sink_backend_system.write_at(NULL, fd, buf, bytes < short_to ? bytes : short_to, off);
}

static struct sink_backend little(void)
{
    struct sink_backend backend = sink_backend_system;

    backend.write_at = write_little;
    return backend;
}

static const size_t short_sizes[] = {1, 1000, 4095, 4096, 4097, 10000};

START_TEST(a_short_write_of_a_sink_is_continued_from_where_it_may_be)
{
    static unsigned char content[40000];
    struct sink_backend backend = little();
    char folder[200];
    int dir = open_folder(folder, sizeof folder), r;
    struct sink sink;
    bool direct = _i % 2;

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 7);
    ck_assert_int_eq(sink_create(&sink, dir, "file", sizeof content, false, &backend), 0);
    sink.direct = must_be_pages = direct;
    short_to = short_sizes[_i / 2];
    r = sink_write(&sink, 0, content, sizeof content);
    /* A direct write that never gets a page out is not tried for ever. */
    ck_assert_int_eq(r, direct && short_to < SINK_PAGE ? -EIO : 0);
    ck_assert_int_eq(sink_publish(&sink, "file"), 0);
    sink_close(&sink);
    if (r == 0)
        check_file(dir, "file", content, sizeof content);
    unlinkat(dir, "file", 0);
    close(dir);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- engine ---- */

static unsigned finished;
static int worst;

static void count_done(struct io_request *request)
{
    finished++;
    if (request->result < worst)
        worst = request->result;
}

START_TEST(an_engine_writes_and_syncs_and_says_how_it_went)
{
    enum io_engine_kind kind = _i ? IO_ENGINE_PWRITE : IO_ENGINE_AUTO;
    char folder[200];
    int dir = open_folder(folder, sizeof folder);
    struct io_engine *engine = NULL;
    struct io_pool *pools[] = {&pool};
    struct io_request requests[9];
    static unsigned char expected[8 * 65536];
    struct sink sink;

    ck_assert_int_eq(io_pool_init(&pool, 8, 65536), 0);
    ck_assert_int_eq(io_engine_create(&engine, kind, 16, NULL), 0);
    io_engine_register(engine, pools, 1);
    ck_assert_int_eq(sink_create(&sink, dir, "file", sizeof expected, true, &sink_backend_system),
                     0);
    finished = 0;
    worst = 0;
    for (unsigned i = 0; i < 8; i++) {
        memset(pool.blocks[i].data, (int)i + 1, 65536);
        memset(expected + i * 65536, (int)i + 1, 65536);
        requests[i] = (struct io_request){.kind = IO_REQUEST_WRITE,
                                          .sink = &sink,
                                          .data = pool.blocks[i].data,
                                          .bytes = 65536,
                                          .off = i * 65536,
                                          .buffer_index = pool.blocks[i].buffer_index,
                                          .done = count_done};
        ck_assert_uint_gt(io_engine_room(engine), 0);
        io_engine_submit(engine, &requests[i]);
    }
    while (finished < 8 && io_engine_reap(engine) == 0)
        io_engine_wait(engine);
    while (finished < 8)
        io_engine_reap(engine);
    requests[8] = (struct io_request){
        .kind = IO_REQUEST_DATASYNC, .sink = &sink, .buffer_index = -1, .done = count_done};
    io_engine_submit(engine, &requests[8]);
    while (finished < 9)
        io_engine_reap(engine);
    ck_assert_int_eq(worst, 0);
    ck_assert_int_eq(sink_publish(&sink, "file"), 0);
    check_file(dir, "file", expected, sizeof expected);
    sink_close(&sink);
    io_engine_destroy(engine);
    io_pool_fini(&pool);
    unlinkat(dir, "file", 0);
    close(dir);
    rmdir(folder);
}
END_TEST

START_TEST(a_short_write_of_an_engine_is_continued_from_where_it_may_be)
{
    static unsigned char content[40960];
    struct sink_backend backend = little();
    char folder[200];
    int dir = open_folder(folder, sizeof folder);
    struct io_engine *engine = NULL;
    struct sink sink;
    struct io_request request = {.kind = IO_REQUEST_WRITE,
                                 .sink = &sink,
                                 .data = content,
                                 .bytes = sizeof content,
                                 .buffer_index = -1,
                                 .done = count_done};
    bool direct = _i % 2;

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 7);
    ck_assert_int_eq(io_engine_create(&engine, IO_ENGINE_PWRITE, 4, NULL), 0);
    ck_assert_int_eq(sink_create(&sink, dir, "file", sizeof content, false, &backend), 0);
    sink.direct = must_be_pages = direct;
    short_to = short_sizes[_i / 2];
    finished = 0;
    worst = 0;
    io_engine_submit(engine, &request);
    ck_assert_uint_eq(finished, 1);
    ck_assert_int_eq(worst, direct && short_to < SINK_PAGE ? -EIO : 0);
    ck_assert_int_eq(sink_publish(&sink, "file"), 0);
    sink_close(&sink);
    if (worst == 0)
        check_file(dir, "file", content, sizeof content);
    io_engine_destroy(engine);
    unlinkat(dir, "file", 0);
    close(dir);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(a_failing_write_is_reported_once_with_its_errno)
{
    enum io_engine_kind kind = _i ? IO_ENGINE_PWRITE : IO_ENGINE_AUTO;
    static unsigned char page[4096];
    struct io_engine *engine = NULL;
    struct sink sink = {.backend = &sink_backend_system, .fd = open("/dev/full", O_WRONLY)};
    struct io_request request = {.kind = IO_REQUEST_WRITE,
                                 .sink = &sink,
                                 .data = page,
                                 .bytes = sizeof page,
                                 .buffer_index = -1,
                                 .done = count_done};

    ck_assert_int_ge(sink.fd, 0);
    ck_assert_int_eq(io_engine_create(&engine, kind, 16, NULL), 0);
    finished = 0;
    worst = 0;
    io_engine_submit(engine, &request);
    while (finished < 1)
        io_engine_reap(engine);
    ck_assert_int_eq(worst, -ENOSPC);
    io_engine_reap(engine);
    ck_assert_uint_eq(finished, 1);
    close(sink.fd);
    io_engine_destroy(engine);
}
END_TEST

/* Consumer sleeps by arm/look/wait; each kick must end the sleep, or this test hangs. */
static struct io_engine *kicked;
static _Atomic uint32_t work;

static void *kick(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 1500; i++) {
        atomic_fetch_add(&work, 1);
        io_engine_kick(kicked);
        if (i % 64 == 0)
            usleep(50);
    }
    return NULL;
}

START_TEST(no_kick_is_lost_between_looking_and_sleeping)
{
    enum io_engine_kind kind = _i ? IO_ENGINE_PWRITE : IO_ENGINE_AUTO;
    pthread_t thread;
    uint32_t seen = 0;

    atomic_store(&work, 0);
    ck_assert_int_eq(io_engine_create(&kicked, kind, 16, NULL), 0);
    pthread_create(&thread, NULL, kick, NULL);
    while (seen < 1500) {
        io_engine_reap(kicked);
        io_engine_arm(kicked);
        if (atomic_load(&work) != seen)
            io_engine_disarm(kicked);
        else
            io_engine_wait(kicked);
        seen = atomic_load(&work);
    }
    pthread_join(thread, NULL);
    io_engine_destroy(kicked);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *tcase = tcase_create("io");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_queue_hands_every_item_over_once_and_in_order);
    tcase_add_test(tcase, a_full_queue_refuses_and_loses_nothing);
    tcase_add_test(tcase, a_block_is_never_in_two_hands);
    tcase_add_test(tcase, the_block_given_last_is_taken_first);
    tcase_add_test(tcase, a_pool_is_cut_anew_and_gives_back_what_it_had);
    tcase_add_test(tcase, memory_for_larger_blocks_is_needed_whole);
    tcase_add_loop_test(tcase, a_sink_writes_any_range_and_leaves_its_neighbours_alone, 0, 2);
    tcase_add_loop_test(tcase, an_engine_writes_and_syncs_and_says_how_it_went, 0, 2);
    tcase_add_loop_test(tcase, a_short_write_of_a_sink_is_continued_from_where_it_may_be, 0, 12);
    tcase_add_loop_test(tcase, a_short_write_of_an_engine_is_continued_from_where_it_may_be, 0, 12);
    tcase_add_loop_test(tcase, a_failing_write_is_reported_once_with_its_errno, 0, 2);
    tcase_add_loop_test(tcase, no_kick_is_lost_between_looking_and_sleeping, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
