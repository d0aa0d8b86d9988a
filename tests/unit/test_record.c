/* test_record.c - staging, rolling and the account: the parts of recording that are arithmetic. */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/pace.h"
#include "record/absence.h"
#include "record/account.h"
#include "record/rolling.h"
#include "record/setup.h"
#include "record/staging.h"
#include "tests/support/suite.h"

#define BLOCK 8192u

/* ---- staging ---- */

static struct io_pool pool;
static struct staging staging;

static void open_staging(uint32_t blocks, uint64_t max_bytes)
{
    ck_assert_int_eq(io_pool_init(&pool, blocks, BLOCK), 0);
    ck_assert_int_eq(staging_init(&staging, &pool, max_bytes), 0);
}

static void close_staging(void)
{
    staging_drop(&staging);
    ck_assert_uint_eq(atomic_load(&pool.free_count), pool.count);
    staging_fini(&staging);
    io_pool_fini(&pool);
}

/* Put `bytes` of value into the stream, as a frame is: reserve, pieces, advance. */
static void put(uint64_t bytes, int value)
{
    ck_assert(staging_reserve(&staging, bytes));
    for (uint64_t done = 0, n; done < bytes; done += n) {
        unsigned char *piece = staging_piece(&staging, done, bytes - done, &n);

        memset(piece, value, n);
    }
    staging_advance(&staging, bytes);
}

START_TEST(a_frame_may_lie_across_blocks)
{
    uint64_t from, to;
    struct io_block *block;

    open_staging(4, 20000);
    staging_start(&staging, 5760); /* behind a header: not on a page boundary */
    put(10000, 1);
    block = staging_take_block(&staging, false, &from, &to);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(block->file_off, 4096);
    ck_assert_uint_eq(from, 4096);
    ck_assert_uint_eq(to, 4096 + BLOCK);
    ck_assert_uint_eq(block->data[5760 - 4096], 1);
    ck_assert_ptr_null(staging_take_block(&staging, false, &from, &to));
    io_pool_give(&pool, block);
    block = staging_take_block(&staging, true, &from, &to);
    ck_assert_uint_eq(from, 4096 + BLOCK);
    ck_assert_uint_eq(to, 15760);
    io_pool_give(&pool, block);
    close_staging();
}
END_TEST

START_TEST(what_is_refused_is_overwritten_by_the_next_frame)
{
    uint64_t n, from, to;
    struct io_block *block;

    open_staging(4, 3000);
    staging_start(&staging, 0);
    put(3000, 1);
    ck_assert(staging_reserve(&staging, 3000));
    memset(staging_piece(&staging, 0, 3000, &n), 9, 3000); /* copied, not proven: not advanced */
    put(3000, 2);
    block = staging_take_block(&staging, true, &from, &to);
    ck_assert_uint_eq(to, 6000);
    ck_assert_uint_eq(block->data[2999], 1);
    ck_assert_uint_eq(block->data[3000], 2);
    ck_assert_uint_eq(block->data[5999], 2);
    io_pool_give(&pool, block);
    close_staging();
}
END_TEST

START_TEST(without_a_free_block_nothing_is_lost)
{
    uint64_t from, to;
    struct io_block *block;

    open_staging(2, 2 * BLOCK);
    staging_start(&staging, 0);
    put(BLOCK + 100, 1);
    ck_assert(!staging_reserve(&staging, 2 * BLOCK));
    block = staging_take_block(&staging, false, &from, &to);
    io_pool_give(&pool, block);
    ck_assert(staging_reserve(&staging, BLOCK));
    close_staging();
}
END_TEST

START_TEST(a_flushed_page_is_written_again_whole_with_what_follows)
{
    uint64_t from, to;
    struct io_block *flushed, *block;

    open_staging(3, 1000);
    staging_start(&staging, 0);
    ck_assert_ptr_null(staging_flush(&staging, &from, &to));
    put(5000, 1);
    flushed = staging_flush(&staging, &from, &to);
    ck_assert_uint_eq(from, 0);
    ck_assert_uint_eq(to, 5000);
    ck_assert_ptr_null(staging_flush(&staging, &from, &to)); /* nothing new */
    put(4000, 2);
    block = staging_take_block(&staging, false, &from, &to);
    ck_assert_ptr_eq(block, flushed);
    ck_assert_uint_eq(from, 4096); /* the page that holds byte 4999 */
    ck_assert_uint_eq(to, BLOCK);
    io_pool_give(&pool, block);
    close_staging();
}
END_TEST

START_TEST(a_block_that_was_flushed_to_its_last_byte_is_still_handed_over_at_the_end)
{
    uint64_t from, to;
    struct io_block *block;

    /* A flush may still be reading it: the drain must not fill it again for the next file. */
    open_staging(3, 1000);
    staging_start(&staging, 0);
    put(5000, 1);
    ck_assert_ptr_nonnull(staging_flush(&staging, &from, &to));
    block = staging_take_block(&staging, true, &from, &to);
    ck_assert_ptr_nonnull(block);
    ck_assert_ptr_null(staging_take_block(&staging, true, &from, &to));
    io_pool_give(&pool, block);
    close_staging();
}
END_TEST

START_TEST(blocks_held_ahead_move_to_the_next_file)
{
    uint64_t from, to;
    struct io_block *block;

    open_staging(4, 3 * BLOCK);
    staging_start(&staging, 0);
    put(100, 1);
    ck_assert(staging_reserve(&staging, 2 * BLOCK)); /* for a frame that was then refused */
    block = staging_take_block(&staging, true, &from, &to);
    io_pool_give(&pool, block);
    staging_start(&staging, 2880);
    put(BLOCK, 7);
    block = staging_take_block(&staging, false, &from, &to);
    ck_assert_uint_eq(block->file_off, 0);
    ck_assert_uint_eq(block->data[2880], 7);
    io_pool_give(&pool, block);
    close_staging();
}
END_TEST

/* ---- rolling ---- */

static const struct fits_parts camera = {.primary_bytes = 5760,
                                         .frame_bytes = 1280000,
                                         .frames_header_bytes = 5760,
                                         .shmkw_bytes = 2880};
static const struct fits_parts vector = {
    .primary_bytes = 5760, .frame_bytes = 388, .frames_header_bytes = 5760, .shmkw_bytes = 2880};
static const struct rolling_limits defaults = {.bytes = ROLLING_BYTES_DEFAULT,
                                               .time_ns = ROLLING_TIME_NS_DEFAULT};

START_TEST(the_first_file_is_small_until_the_rate_is_known)
{
    ck_assert_uint_eq(rolling_capacity(&defaults, &camera, 0.0), (64u << 20) / 1280000);
    ck_assert_uint_eq(rolling_capacity(&defaults, &vector, 0.0), 10000);
}
END_TEST

START_TEST(a_first_file_that_is_to_end_with_others_reaches_the_boundary)
{
    struct rolling_limits limits = {.time_ns = 60000000000ll, .together = true};

    /* not before the size limit, at 100 kHz all the same */
    ck_assert_uint_eq(rolling_capacity(&limits, &camera, 0.0),
                      fits_plan_capacity_within(&camera, ROLLING_BYTES_DEFAULT));
    limits.time_ns = 1000000000;
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 0.0), 100000);
    limits.time_ns = 1000000; /* never smaller than one alone */
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 0.0), 10000);
    limits = (struct rolling_limits){.time_ns = 1000000000, .frames = 77, .together = true};
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 0.0), 77);
    limits = (struct rolling_limits){.together = true}; /* there is no boundary */
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 0.0), 10000);
}
END_TEST

/* The first files of so many streams, each made of what those before it left. */
START_TEST(the_first_files_of_many_streams_find_room_on_a_small_disk)
{
    struct rolling_limits limits = {.time_ns = 60000000000ll, .together = _i};
    const struct fits_parts *parts = &vector;
    uint64_t left = 100u << 20, frames = 0;
    struct fits_plan plan;

    for (int i = 0; i < 40; i++) {
        frames = rolling_fair(&limits, parts, rolling_capacity(&limits, parts, 0.0), left);
        fits_plan_make(&plan, parts, frames);
        ck_assert_uint_lt(plan.file_bytes, left);
        left -= plan.file_bytes;
    }
    ck_assert_uint_ge(frames, 32);
}
END_TEST

START_TEST(a_file_takes_no_more_than_its_stream_s_part_of_what_is_left)
{
    struct rolling_limits limits = {.time_ns = 60000000000ll};
    struct fits_plan plan;
    uint64_t share = rolling_share(&limits, &camera, 700, 10, 1000u << 20, 10);

    fits_plan_make(&plan, &camera, share);
    ck_assert_uint_le(plan.file_bytes, 100u << 20);
    ck_assert_uint_gt(plan.file_bytes, 90u << 20);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 10, 100ull << 30, 10), 700);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 10, 1000u << 20, 1), 700);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 10, UINT64_MAX, 10), 700);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 10, 1000, 10), 32);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 500, 1000u << 20, 10), 500);
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 1e300, 1000u << 20, 10), 700);
    limits.frames = 700;
    ck_assert_uint_eq(rolling_share(&limits, &camera, 700, 10, 1000u << 20, 10), 700);
}
END_TEST

START_TEST(a_first_file_that_ends_with_others_leaves_them_room)
{
    struct rolling_limits limits = {.time_ns = 60000000000ll, .together = true};
    uint64_t capacity = rolling_capacity(&limits, &camera, 0.0);
    struct fits_plan plan;
    uint64_t fair = rolling_fair(&limits, &camera, capacity, 3ull << 30);

    fits_plan_make(&plan, &camera, fair);
    ck_assert_uint_le(plan.file_bytes, (3ull << 30) / 16);
    ck_assert_uint_gt(fair, (64u << 20) / 1280000);
    ck_assert_uint_lt(fair, capacity);
    ck_assert_uint_eq(rolling_fair(&limits, &camera, capacity, 100u << 20), 32);
    ck_assert_uint_eq(rolling_fair(&limits, &camera, capacity, 64ull << 30), capacity);
    ck_assert_uint_eq(rolling_fair(&limits, &camera, capacity, UINT64_MAX), capacity);
    limits.together = false;
    ck_assert_uint_eq(rolling_fair(&limits, &camera, 50, 100u << 20), 32);
    ck_assert_uint_eq(rolling_fair(&limits, &camera, 20, 1), 20);
    limits.frames = 50;
    ck_assert_uint_eq(rolling_fair(&limits, &camera, 50, 1), 50);
}
END_TEST

START_TEST(a_first_file_holds_two_frames_however_large_they_are)
{
    struct fits_parts huge = camera;

    huge.frame_bytes = 200u << 20;
    ck_assert_uint_eq(rolling_capacity(&defaults, &huge, 0.0), 2);
}
END_TEST

START_TEST(the_smallest_limit_gives_the_capacity)
{
    struct rolling_limits limits = defaults;
    struct fits_plan plan;
    uint64_t capacity = rolling_capacity(&defaults, &camera, 1000.0);

    /* size: as many frames as fit into 1 GiB, tables included */
    fits_plan_make(&plan, &camera, capacity);
    ck_assert_uint_le(fits_plan_closed_bytes(&plan, capacity), 1u << 30);
    ck_assert_uint_gt(fits_plan_closed_bytes(&plan, capacity + 2), 1u << 30);
    /* time: rate x time and five percent */
    capacity = rolling_capacity(&defaults, &vector, 10.0);
    ck_assert_uint_ge(capacity, 6300);
    ck_assert_uint_le(capacity, 6400);
    /* frames: also before the rate is known */
    limits.frames = 77;
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 0.0), 77);
    ck_assert_uint_eq(rolling_capacity(&limits, &vector, 1000.0), 77);
}
END_TEST

START_TEST(a_frame_larger_than_the_size_limit_still_gets_a_file)
{
    struct rolling_limits limits = {.bytes = 100000};

    ck_assert_uint_eq(rolling_capacity(&limits, &camera, 1000.0), 1);
}
END_TEST

START_TEST(a_time_limit_counts_from_the_first_frame)
{
    struct rolling_limits limits = {.time_ns = 1000};

    ck_assert(!rolling_is_due(&limits, 999));
    ck_assert(rolling_is_due(&limits, 1000));
    limits.time_ns = 0;
    ck_assert(!rolling_is_due(&limits, INT64_MAX));
}
END_TEST

/* ---- pace ---- */

#define MS     1000000ll
#define SECOND 1000000000ll

START_TEST(a_drain_sleeps_for_an_eighth_of_the_fifo)
{
    struct pace pace = {0};

    for (int64_t i = 0; i < 100; i++)
        pace_note(&pace, 1, true, SECOND + i * MS);
    ck_assert_int_eq(pace_sleep_ns(&pace, 16, 388, SECOND + 100 * MS), 2 * MS);
    ck_assert_int_eq(pace_sleep_ns(&pace, 1, 388, SECOND + 100 * MS), MS / 8);
    ck_assert_int_eq(pace_sleep_ns(&pace, 128, 388, SECOND + 100 * MS),
                     6400000); /* half at 10 kHz */
    pace.sleep_max_ns = 4 * MS;
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, SECOND + 100 * MS), 4 * MS); /* at most */
    pace.sleep_max_ns = 0;
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, SECOND + 100 * MS), PACE_SLEEP_MAX_NS);
    pace.bytes_max = 10 << 20;
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 1 << 20, SECOND + 100 * MS), 10 * MS);
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 8 << 20, SECOND + 100 * MS), 4 * MS);
    pace.bytes_max = 0;
    pace.sleep_max_ns = 20 * MS;
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, SECOND + 100 * MS), 20 * MS);
    ck_assert_int_eq(pace_sleep_ns(&pace, 16, 388, SECOND + 100 * MS), 2 * MS);
}
END_TEST

START_TEST(a_pause_does_not_make_a_drain_sleep_through_what_follows)
{
    struct pace pace = {0};

    for (int64_t i = 0; i < 100; i++)
        pace_note(&pace, 1, true, SECOND + i * MS);
    pace_note(&pace, 1, true, 3 * SECOND);
    ck_assert_int_le(pace_sleep_ns(&pace, 8, 388, 3 * SECOND), 11 * MS / 10);
}
END_TEST

/* Else frames that were waiting would look like a source that is as fast as the reader. */
START_TEST(frames_taken_in_several_looks_are_as_fast_as_they_came)
{
    struct pace pace = {0};
    int64_t now = SECOND;

    pace_note(&pace, 1, true, now);
    for (int i = 0; i < 10; i++) {
        now += 100 * MS;
        pace_note(&pace, 64, false, now);
        pace_note(&pace, 64, false, now + 1000);
        pace_note(&pace, 72, true, now + 2000);
    }
    ck_assert_int_ge(pace_sleep_ns(&pace, 64, 388, now), 399 * MS / 100);
    ck_assert_int_le(pace_sleep_ns(&pace, 64, 388, now), 401 * MS / 100);
}
END_TEST

START_TEST(a_faster_pace_is_followed_at_once_and_a_slower_one_in_time)
{
    struct pace pace = {0};
    int64_t now = SECOND;

    for (int i = 0; i < 50; i++)
        pace_note(&pace, 1, true, now += 10 * MS);
    pace_note(&pace, 10, true, now += MS);
    ck_assert_int_le(pace_sleep_ns(&pace, 8, 388, now), MS / 10);
    for (int i = 0; i < 200; i++)
        pace_note(&pace, 1, true, now += MS);
    ck_assert_int_eq(pace_sleep_ns(&pace, 8, 388, now), MS);
}
END_TEST

START_TEST(a_silent_source_costs_little_and_the_wait_for_it_is_no_pace)
{
    struct pace pace = {0};

    ck_assert_int_eq(pace_sleep_ns(&pace, 1, 4, 0), MS / 4);
    ck_assert_int_eq(pace_sleep_ns(&pace, 64, 388, 0), MS / 4);
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, 0), 2048000);   /* half at 1 MHz */
    ck_assert_int_eq(pace_sleep_ns(&pace, 16, 1 << 20, 0), 8 << 17); /* at 8 GB/s */
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, 9 * SECOND), 2048000);
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, 20 * SECOND), 20480000); /* at 100 kHz */
    ck_assert_int_eq(pace_sleep_ns(&pace, 2, 388, 20 * SECOND), MS);
    pace_note(&pace, 1, true, 100 * SECOND); /* after a long wait, the first frame */
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, 100 * SECOND), 2048000);
    pace_note(&pace, 5, true, 100 * SECOND + 50000); /* 100 kHz */
    ck_assert_int_eq(pace_sleep_ns(&pace, 64, 388, 100 * SECOND + 60000), 80000);
    ck_assert_int_eq(pace_sleep_ns(&pace, 64, 388, 102 * SECOND), 320000);
    ck_assert_int_eq(pace_sleep_ns(&pace, 64, 388, 120 * SECOND), 320000); /* half of it */
    ck_assert_int_eq(pace_sleep_ns(&pace, 2, 388, 120 * SECOND), MS / 4);
    ck_assert_int_eq(pace_sleep_ns(&pace, 4096, 388, 120 * SECOND), 20480000);
}
END_TEST

/* ---- a segment that appears late ---- */

START_TEST(a_segment_that_is_away_for_long_is_looked_for_less_often)
{
    static struct record_stream s = {.fresh.fd = -1, .start_ns = 100 * SECOND};

    ck_assert_int_eq(absence_sleep_ns(&s, 101 * SECOND), MS);
    ck_assert_int_eq(absence_sleep_ns(&s, 103 * SECOND), 10 * MS);
    s.gone_since_ns = 200 * SECOND;
    ck_assert_int_eq(absence_sleep_ns(&s, 201 * SECOND), MS);
    ck_assert_int_eq(absence_sleep_ns(&s, 203 * SECOND), 10 * MS);
    s.fresh.fd = 5; /* it is there, and will be gone on with */
    ck_assert_int_eq(absence_sleep_ns(&s, 203 * SECOND), MS);
}
END_TEST

/* How many blocks of memory there are after a stream was set up for slopes and a camera came. */
static uint32_t blocks_for_camera(uint64_t buffer_bytes, uint32_t width, const void **ret_old,
                                  const void **ret_new)
{
    static struct record_stream s;
    struct dao_text text;
    uint32_t count;

    memset(&s, 0, sizeof s);
    s = (struct record_stream){
        .path = "/dev/shm/wfs.im.shm", .host = "h", .session = "s", .dir_fd = -1};
    s.segment = s.fresh = (struct dao_segment){.fd = -1, .guard_index = -1};
    account_init(&s.account);
    ck_assert_int_eq(stream_name(&s, &text), 0);
    ck_assert_int_eq(stream_allocate_later(&s, 388, buffer_bytes, &text), 0);
    *ret_old = s.data_pool.memory;
    ck_assert_int_eq(dao_geometry_make(&s.fresh.geo, 2, (uint32_t[]){width, width, 0},
                                       _DATATYPE_UINT16, 32, 0, NULL),
                     0);
    ck_assert_int_eq(stream_reshape(&s, &text), 0);
    *ret_new = s.data_pool.memory;
    count = s.data_pool.count;
    ck_assert_uint_ge(count * s.data_pool.block_bytes, 2 * 2 * width * width);
    stream_close(&s);
    account_fini(&s.account);
    return count;
}

START_TEST(what_a_late_segment_needs_is_cut_of_the_memory_that_is_there)
{
    const void *before, *after;

    ck_assert_uint_eq(blocks_for_camera(64 << 20, 800, &before, &after), 27); /* not 31 */
    ck_assert_ptr_eq(before, after);
    /* Two frames fit always. */
    ck_assert_uint_ge(blocks_for_camera(1 << 20, 2000, &before, &after), 6);
}
END_TEST

/* ---- the account ---- */

START_TEST(expected_is_recorded_and_lost_over_every_run)
{
    static struct account account;
    struct account_view view;

    account_init(&account);
    account_begin_run(&account, 101);
    ck_assert_uint_eq(ledger_expected(&account.now.counts), 0);
    account_take(&account, 101, false, 10);
    account_lose(&account, LEDGER_LAPPED, 102, 5, 1);
    account_take(&account, 107, true, 10);
    ck_assert(ledger_balances(&account.now.counts));
    account_lose(&account, LEDGER_RESTART, 108, 3, 2);
    account_begin_run(&account, 1);
    account_lose(&account, LEDGER_SOURCE, 1, 5000, 3);
    account_take(&account, 5001, false, 10);
    account_publish(&account);
    account_read(&account, &view);
    ck_assert(ledger_balances(&view.counts));
    ck_assert_uint_eq(ledger_expected(&view.counts), 10 + 5001);
    ck_assert_uint_eq(view.counts.recorded, 3);
    ck_assert_uint_eq(view.counts.torn, 1);
    ck_assert_uint_eq(ledger_lost(&view.counts), 5 + 3 + 5000);
    ck_assert_int_eq(account.runs[0].first_cnt0, 101);
    ck_assert_int_eq(account.runs[0].last_cnt0, 110);
    account_fini(&account);
}
END_TEST

START_TEST(counts_may_pass_the_sign_bit)
{
    static struct account account;
    uint64_t first = (1ull << 63) - 2;

    account_init(&account);
    account_begin_run(&account, (int64_t)first);
    for (uint64_t i = 0; i < 3; i++)
        account_take(&account, (int64_t)(first + i), false, 1);
    account_lose(&account, LEDGER_LAPPED, (int64_t)(first + 3), 4, 1);
    ck_assert_uint_eq(ledger_expected(&account.now.counts), 7);
    ck_assert(ledger_balances(&account.now.counts));
    account_fini(&account);
}
END_TEST

START_TEST(frames_that_failed_on_disk_move_from_recorded_to_lost)
{
    static struct account account;
    struct account_view view;

    account_init(&account);
    account_begin_run(&account, 1);
    for (int64_t i = 1; i <= 10; i++)
        account_take(&account, i, false, 10);
    account_publish(&account);
    account_fail(&account, 8, 3, 1);
    account_read(&account, &view);
    ck_assert_uint_eq(view.counts.recorded, 7);
    ck_assert_uint_eq(view.counts.lost_by[LEDGER_DISK], 3);
    ck_assert(ledger_balances(&view.counts));
    account_fini(&account);
}
END_TEST

static struct ledger_gap disk_gap(int64_t first, uint64_t count, int64_t time_ns)
{
    return (struct ledger_gap){first, count, time_ns, LEDGER_DISK};
}

static struct account_view publish_and_read(struct account *account)
{
    struct account_view view;

    account_publish(account);
    account_read(account, &view);
    ck_assert(ledger_balances(&view.counts));
    return view;
}

START_TEST(what_is_lost_while_the_disk_is_waited_for_is_told_and_booked_once)
{
    static struct account account;
    struct account_view view;
    struct ledger_gap gap = disk_gap(3, 10, 77);

    account_init(&account);
    account_begin_run(&account, 1);
    account_take(&account, 1, false, 10);
    account_take(&account, 2, false, 10);
    account_wait(&account, &gap);
    view = publish_and_read(&account);
    ck_assert_uint_eq(view.counts.lost_by[LEDGER_DISK], 10);
    ck_assert_uint_eq(ledger_expected(&view.counts), 12);
    ck_assert_int_eq(view.counts.run.last_cnt0, 12);
    ck_assert_uint_eq(view.counts.gap_count, 0);
    gap = disk_gap(3, 25, 99); /* it grows, and has the time at which it was noticed */
    account_wait(&account, &gap);
    view = publish_and_read(&account);
    ck_assert_uint_eq(view.counts.lost_by[LEDGER_DISK], 25);
    ck_assert_int_eq(view.waiting.time_ns, 77);
    account_lose(&account, LEDGER_DISK, 3, 30, 100);
    view = publish_and_read(&account);
    ck_assert_uint_eq(view.counts.lost_by[LEDGER_DISK], 30);
    account_take(&account, 33, false, 10);
    view = publish_and_read(&account);
    ck_assert_uint_eq(ledger_expected(&view.counts), 33);
    ck_assert_uint_eq(view.counts.lost_by[LEDGER_DISK], 30);
    ck_assert_uint_eq(view.counts.gap_count, 1);
    gap = disk_gap(34, 2, 101);
    account_wait(&account, &gap);
    ck_assert_uint_eq(publish_and_read(&account).counts.lost_by[LEDGER_DISK], 32);
    if (_i == 0)
        account_wait(&account, NULL);
    else if (_i == 1)
        account_take(&account, 34, false, 10); /* it was still to be had */
    else
        account_begin_run(&account, 1);
    ck_assert_uint_eq(publish_and_read(&account).counts.lost_by[LEDGER_DISK], 30);
    account_fini(&account);
}
END_TEST

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;

    for (text = strstr(text, what); text; text = strstr(text + 1, what))
        n++;
    return n;
}

/* Behind the others; where the list is full it is one that is left out. */
START_TEST(the_gap_that_is_growing_is_one_of_the_ledger_s)
{
    static struct account account;
    struct dao_geometry geometry;
    uint32_t size[] = {4, 2};
    uint64_t gaps = _i ? LEDGER_GAPS_MAX : 2;
    struct ledger_gap gap = disk_gap(1000000, 5, 1);
    struct account_view view;
    struct ledger_stream stream = {.name = "wfs", .shm_path = "/tmp/wfs.im.shm"};
    struct ledger ledger = {
        .session = "", .uuid = "", .host = "", .root = "", .streams = &stream, .stream_count = 1};
    char *text;

    ck_assert_int_eq(dao_geometry_make(&geometry, 2, size, _DATATYPE_UINT16, 4, 0, NULL), 0);
    account_init(&account);
    account_begin_shape(&account, &geometry, 1);
    account_begin_run(&account, 1);
    for (uint64_t i = 0; i < gaps; i++)
        account_lose(&account, LEDGER_LAPPED, (int64_t)i + 1, 1, 1);
    gap.first_cnt0 = (int64_t)gaps + 1;
    account_wait(&account, &gap);
    view = publish_and_read(&account);
    stream.counts = view.counts;
    stream.gaps = account.gaps;
    stream.waiting = view.waiting;
    text = ledger_to_json(&ledger, false);
    ck_assert_uint_eq(count_of(text, "\"cause\": \"lapped\""), (unsigned)gaps);
    ck_assert_uint_eq(count_of(text, "\"cause\": \"disk\""), _i ? 0 : 1);
    ck_assert_uint_eq(count_of(text, "\"gaps_left_out\": 1"), _i ? 1 : 0);
    free(text);
    account_fini(&account);
}
END_TEST

START_TEST(a_wrong_book_is_noticed)
{
    static struct account account;

    account_init(&account);
    account_begin_run(&account, 1);
    account_take(&account, 1, false, 10);
    account_take(&account, 3, false, 10); /* one skipped and not booked */
    ck_assert(!ledger_balances(&account.now.counts));
    account_fini(&account);
}
END_TEST

START_TEST(a_shape_that_got_no_file_is_left_out)
{
    static struct account account;
    struct dao_geometry a, b, c;

    ck_assert_int_eq(dao_geometry_make(&a, 1, (uint32_t[]){5, 0, 0}, 3, 1, 0, NULL), 0);
    ck_assert_int_eq(dao_geometry_make(&b, 1, (uint32_t[]){6, 0, 0}, 3, 1, 0, NULL), 0);
    ck_assert_int_eq(dao_geometry_make(&c, 1, (uint32_t[]){7, 0, 0}, 3, 9, 0, NULL), 0);
    account_init(&account);
    account_begin_shape(&account, &a, 1);
    account_begin_shape(&account, &b, 4);
    account_begin_shape(&account, &c, 4); /* none was made of b */
    account_begin_shape(&account, &c, 6); /* the same */
    ck_assert_uint_eq(account.now.counts.shape_count, 2);
    ck_assert(dao_geometry_equal(&account.shapes[0].geometry, &a));
    ck_assert(dao_geometry_equal(&account.now.counts.shape.geometry, &c));
    ck_assert_uint_eq(account.now.counts.shape.first_file, 4);
    ck_assert_uint_eq(account.now.depth, 9);
    account_fini(&account);
}
END_TEST

START_TEST(gaps_beyond_the_list_are_counted)
{
    static struct account account;

    account_init(&account);
    account_begin_run(&account, 1);
    for (int64_t i = 0; i < LEDGER_GAPS_MAX + 5; i++) {
        account_lose(&account, LEDGER_LAPPED, 2 * i + 1, 1, i);
        account_take(&account, 2 * i + 2, false, 1);
    }
    ck_assert_uint_eq(account.now.counts.gap_count, LEDGER_GAPS_MAX + 5);
    ck_assert_int_eq(account.gaps[LEDGER_GAPS_MAX - 1].first_cnt0, 2 * LEDGER_GAPS_MAX - 1);
    ck_assert(ledger_balances(&account.now.counts));
    account_fini(&account);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record");
    TCase *tcase = tcase_create("record");

    tcase_add_test(tcase, a_frame_may_lie_across_blocks);
    tcase_add_test(tcase, what_is_refused_is_overwritten_by_the_next_frame);
    tcase_add_test(tcase, without_a_free_block_nothing_is_lost);
    tcase_add_test(tcase, a_flushed_page_is_written_again_whole_with_what_follows);
    tcase_add_test(tcase,
                   a_block_that_was_flushed_to_its_last_byte_is_still_handed_over_at_the_end);
    tcase_add_test(tcase, blocks_held_ahead_move_to_the_next_file);
    tcase_add_test(tcase, the_first_file_is_small_until_the_rate_is_known);
    tcase_add_test(tcase, a_first_file_that_is_to_end_with_others_reaches_the_boundary);
    tcase_add_test(tcase, a_first_file_that_ends_with_others_leaves_them_room);
    tcase_add_test(tcase, a_file_takes_no_more_than_its_stream_s_part_of_what_is_left);
    tcase_add_loop_test(tcase, the_first_files_of_many_streams_find_room_on_a_small_disk, 0, 2);
    tcase_add_test(tcase, a_first_file_holds_two_frames_however_large_they_are);
    tcase_add_test(tcase, the_smallest_limit_gives_the_capacity);
    tcase_add_test(tcase, a_frame_larger_than_the_size_limit_still_gets_a_file);
    tcase_add_test(tcase, a_time_limit_counts_from_the_first_frame);
    tcase_add_test(tcase, a_drain_sleeps_for_an_eighth_of_the_fifo);
    tcase_add_test(tcase, a_pause_does_not_make_a_drain_sleep_through_what_follows);
    tcase_add_test(tcase, frames_taken_in_several_looks_are_as_fast_as_they_came);
    tcase_add_test(tcase, a_faster_pace_is_followed_at_once_and_a_slower_one_in_time);
    tcase_add_test(tcase, a_segment_that_is_away_for_long_is_looked_for_less_often);
    tcase_add_test(tcase, what_a_late_segment_needs_is_cut_of_the_memory_that_is_there);
    tcase_add_test(tcase, a_silent_source_costs_little_and_the_wait_for_it_is_no_pace);
    tcase_add_test(tcase, counts_may_pass_the_sign_bit);
    tcase_add_test(tcase, expected_is_recorded_and_lost_over_every_run);
    tcase_add_test(tcase, frames_that_failed_on_disk_move_from_recorded_to_lost);
    tcase_add_loop_test(tcase, what_is_lost_while_the_disk_is_waited_for_is_told_and_booked_once, 0,
                        3);
    tcase_add_loop_test(tcase, the_gap_that_is_growing_is_one_of_the_ledger_s, 0, 2);
    tcase_add_test(tcase, a_wrong_book_is_noticed);
    tcase_add_test(tcase, gaps_beyond_the_list_are_counted);
    tcase_add_test(tcase, a_shape_that_got_no_file_is_left_out);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
