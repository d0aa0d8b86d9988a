/*
 * test_engine.c - what an engine makes of completions, with a real io_uring: errors, short counts,
 * interruptions. The sink's back end says what a completion is taken for, so that no broken disk is
 * needed; the requests themselves are carried out.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/engine.h"
#include "io/pool.h"
#include "io/sink.h"
#include "tests/support/has_ring.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define REQUESTS 8u
#define BYTES    65536u

static struct take_folder folder;
static struct io_engine *engine;
static struct io_pool pool;
static struct sink sink;
static struct io_request requests[REQUESTS + 1];
static unsigned finished[REQUESTS + 1]; /* how often each was done */

/* What completions are taken for; counted from 1. What is not told as written is zeros then. */
static struct plan {
    int result;      /* given to .. */
    unsigned first;  /* .. this one and .. */
    unsigned count;  /* .. so many in all */
    int short_to;    /* bytes at most of a write; 0: any */
    off_t off;       /* only those of writes there; -2: all */
    unsigned seen;   /* completions */
    unsigned spoilt; /* of those, changed */
} plan;

static int spoil(void *ctx, int fd, off_t off, int result)
{
    ck_assert_ptr_eq(ctx, &plan);
    ck_assert_int_eq(fd, sink.fd);
    if (plan.off != -2 && off != plan.off)
        return result;
    plan.seen++;
    if (plan.seen >= plan.first && plan.seen < plan.first + plan.count) {
        static const unsigned char zeros[BYTES];

        plan.spoilt++;
        if (plan.result == -ECANCELED && off >= 0) /* it was not done */
            ck_assert_int_eq(pwrite(fd, zeros, BYTES, off), BYTES);
        return plan.result;
    }
    if (plan.short_to && off >= 0 && result > plan.short_to) {
        static const unsigned char zeros[BYTES];
        size_t rest = (size_t)(result - plan.short_to);

        ck_assert_int_eq(pwrite(fd, zeros, rest, off + plan.short_to), (ssize_t)rest);
        plan.spoilt++;
        return plan.short_to;
    }
    return result;
}

static void done(struct io_request *request)
{
    finished[request - requests]++;
}

static void begin(struct plan how, bool direct)
{
    static struct sink_backend backend;
    struct io_pool *pools[] = {&pool};

    ck_assert_int_eq(io_engine_create(&engine, IO_ENGINE_URING, 16, NULL), 0);
    plan = how;
    backend = sink_backend_system;
    backend.completed = spoil;
    backend.ctx = &plan;
    take_folder_make(&folder);
    ck_assert_int_eq(io_pool_init(&pool, REQUESTS, BYTES), 0);
    io_engine_register(engine, pools, 1);
    ck_assert_int_eq(sink_create(&sink, folder.fd, "file", REQUESTS * BYTES, false, &backend), 0);
    sink.direct = direct; /* as far as counts go */
}

static void end(void)
{
    sink_close(&sink);
    io_engine_destroy(engine);
    io_pool_fini(&pool);
    take_folder_remove(&folder);
}

static void submit(unsigned i, enum io_request_kind kind)
{
    bool is_write = kind == IO_REQUEST_WRITE;

    requests[i] = (struct io_request){.kind = kind,
                                      .sink = &sink,
                                      .data = is_write ? pool.blocks[i].data : NULL,
                                      .bytes = is_write ? BYTES : 0,
                                      .off = is_write ? i * BYTES : 0,
                                      .buffer_index = is_write ? pool.blocks[i].buffer_index : -1,
                                      .done = done};
    ck_assert_uint_gt(io_engine_room(engine), 0);
    io_engine_submit(engine, &requests[i]);
}

/* All blocks, then a sync; until all of them are done. */
static void run(void)
{
    memset(finished, 0, sizeof finished);
    for (unsigned i = 0; i < REQUESTS; i++) {
        for (unsigned k = 0; k < BYTES; k++)
            pool.blocks[i].data[k] = (unsigned char)(i * 31 + k * 7 + k / 4096);
        submit(i, IO_REQUEST_WRITE);
    }
    submit(REQUESTS, IO_REQUEST_DATASYNC);
    for (unsigned i = 0; i <= REQUESTS;) {
        if (finished[i])
            i++;
        else if (io_engine_reap(engine) == 0)
            io_engine_wait(engine);
    }
    ck_assert_uint_eq(io_engine_reap(engine), 0);
    ck_assert_uint_eq(io_engine_room(engine), 16);
    for (unsigned i = 0; i <= REQUESTS; i++)
        ck_assert_uint_eq(finished[i], 1);
}

static void expect_content(void)
{
    static unsigned char found[BYTES];

    for (unsigned i = 0; i < REQUESTS; i++) {
        ck_assert_int_eq(pread(sink.fd, found, BYTES, (off_t)i * BYTES), BYTES);
        ck_assert_mem_eq(found, pool.blocks[i].data, BYTES);
    }
}

static const int errors[] = {EIO, ENOSPC, EDQUOT, EFBIG, EROFS};
#define ERRORS (int)(sizeof errors / sizeof errors[0])

START_TEST(an_error_is_that_of_its_request_alone_and_told_once)
{
    begin((struct plan){.result = -errors[_i], .first = 1, .count = 1, .off = 5 * BYTES}, true);
    run();
    for (unsigned i = 0; i <= REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, i == 5 ? -errors[_i] : 0);
    ck_assert_uint_eq(plan.spoilt, 1); /* not tried again: what the disk refused it has refused */
    end();
}
END_TEST

START_TEST(a_sync_that_fails_is_told_and_costs_no_write)
{
    begin((struct plan){.result = -errors[_i], .first = 1, .count = 1, .off = -1}, true);
    run();
    for (unsigned i = 0; i < REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, 0);
    ck_assert_int_eq(requests[REQUESTS].result, -errors[_i]);
    end();
}
END_TEST

START_TEST(what_was_interrupted_goes_out_again)
{
    begin((struct plan){.result = _i ? -EAGAIN : -EINTR, .first = 1, .count = 20, .off = -2}, _i);
    run();
    for (unsigned i = 0; i <= REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, 0);
    ck_assert_uint_eq(plan.spoilt, 20);
    ck_assert_uint_eq(plan.seen, 20 + REQUESTS + 1);
    expect_content();
    end();
}
END_TEST

START_TEST(what_the_kernel_has_no_thread_for_is_done_without_it)
{
    begin((struct plan){.result = -ECANCELED, .first = 2, .count = _i ? 3 : 20, .off = -2}, false);
    run();
    for (unsigned i = 0; i <= REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, 0);
    ck_assert_uint_eq(plan.spoilt, _i ? 3 : REQUESTS);
    ck_assert_uint_eq(io_engine_refusals(engine), plan.spoilt);
    expect_content();
    end();
}
END_TEST

static const int short_sizes[] = {1000, 4095, 4096, 4097, 12288, 20000};
#define SHORTS (int)(sizeof short_sizes / sizeof short_sizes[0])

START_TEST(a_short_count_is_continued_from_where_it_may_be)
{
    int short_to = short_sizes[_i / 2];
    bool direct = _i % 2, hopeless = direct && short_to < (int)SINK_PAGE;

    begin((struct plan){.short_to = short_to, .off = -2}, direct);
    run();
    /* A direct write that never gets a page out is not tried for ever. */
    for (unsigned i = 0; i < REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, hopeless ? -EIO : 0);
    ck_assert_int_eq(requests[REQUESTS].result, 0);
    ck_assert_uint_ge(plan.spoilt, REQUESTS);
    if (!hopeless)
        expect_content();
    end();
}
END_TEST

START_TEST(an_error_behind_a_short_count_is_an_error)
{
    unsigned failed = 0;

    begin((struct plan){.result = -EIO, .first = 14, .count = 1, .short_to = 8192, .off = -2},
          true);
    run();
    for (unsigned i = 0; i <= REQUESTS; i++)
        failed += requests[i].result == -EIO;
    ck_assert_uint_eq(failed, 1);
    end();
}
END_TEST

START_TEST(a_write_of_nothing_is_an_error)
{
    begin((struct plan){.result = 0, .first = 1, .count = 1, .off = 3 * BYTES}, _i);
    run();
    for (unsigned i = 0; i <= REQUESTS; i++)
        ck_assert_int_eq(requests[i].result, i == 3 ? -EIO : 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *tcase = tcase_create("completions");

    if (!has_ring())
        return EXIT_SKIPPED;
    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, what_the_kernel_has_no_thread_for_is_done_without_it, 0, 2);
    tcase_add_loop_test(tcase, an_error_is_that_of_its_request_alone_and_told_once, 0, ERRORS);
    tcase_add_loop_test(tcase, a_sync_that_fails_is_told_and_costs_no_write, 0, ERRORS);
    tcase_add_loop_test(tcase, what_was_interrupted_goes_out_again, 0, 2);
    tcase_add_loop_test(tcase, a_short_count_is_continued_from_where_it_may_be, 0, 2 * SHORTS);
    tcase_add_test(tcase, an_error_behind_a_short_count_is_an_error);
    tcase_add_loop_test(tcase, a_write_of_nothing_is_an_error, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
