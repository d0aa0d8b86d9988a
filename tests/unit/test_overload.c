/*
 * test_overload.c - record/overload.h by itself: a stream without threads, whose pool and FIFO are
 * set by hand, so that every threshold can be stood on.
 */
#include <fcntl.h>

#include "fits/rows.h"
#include "record/disk.h"
#include "record/loss.h"
#include "record/overload.h"
#include "tests/support/testbed.h"

#define DEPTH  16u
#define BLOCKS 8u

static struct record_stream stream;
static struct stream_shape shape;
static struct dao_segment segment;

static void begin(enum overload_policy policy, uint64_t each)
{
    memset(&stream, 0, sizeof stream);
    memset(&shape, 0, sizeof shape);
    testbed_create(&segment, "overload", DEPTH);
    shape.geometry = segment.geo;
    stream.shape = &shape;
    stream.config.overload = policy;
    stream.config.each = each;
    stream.data_pool.count = stream.row_pool.count = BLOCKS;
    account_init(&stream.account);
    ck_assert_int_eq(dao_reader_init(&stream.reader, &segment, DAO_LAP_OLDEST, false), 0);
    account_begin_run(&stream.account, 1);
}

static void end(void)
{
    dao_segment_close(&segment);
    account_fini(&stream.account);
}

static void publish(unsigned frames)
{
    while (frames-- > 0) {
        struct dao_write w;

        ck_assert_int_eq(dao_writer_begin(&segment, &w), 0);
        dao_writer_publish(&segment, &w, 0);
    }
}

static struct dao_take candidate(uint64_t cnt0, uint64_t missing)
{
    return (struct dao_take){.cnt0 = cnt0, .missing = missing, .lapped = missing > 0};
}

static bool leaves_out(uint64_t cnt0)
{
    struct dao_take take = candidate(cnt0, 0);

    return overload_leaves_out(&stream, &take);
}

static uint64_t lost_to_disk(void)
{
    return stream.account.now.counts.lost_by[LEDGER_DISK];
}

START_TEST(nothing_is_left_out_before_the_fifo_is_half_full_too)
{
    begin(OVERLOAD_DECIMATE, 4);
    publish(DEPTH / 2 - 1);
    overload_note_starved(&stream);
    ck_assert(!leaves_out(1));
    publish(1);
    overload_note_starved(&stream);
    ck_assert(leaves_out(1));
    end();
}
END_TEST

START_TEST(with_another_policy_nothing_is_left_out)
{
    begin(_i ? OVERLOAD_STOP : OVERLOAD_DROP_NEWEST, 0);
    publish(DEPTH);
    overload_note_starved(&stream);
    ck_assert(!leaves_out(1));
    end();
}
END_TEST

START_TEST(frames_are_recorded_whose_count_is_a_multiple)
{
    begin(OVERLOAD_DECIMATE, 4);
    publish(DEPTH);
    overload_note_starved(&stream);
    for (uint64_t cnt0 = 1; cnt0 <= 12; cnt0++)
        ck_assert_msg(leaves_out(cnt0) == (cnt0 % 4 != 0), "%d", (int)cnt0);
    end();
}
END_TEST

START_TEST(where_no_count_is_a_multiple_every_nth_is_recorded)
{
    unsigned recorded = 0;

    begin(OVERLOAD_DECIMATE, 4);
    publish(DEPTH);
    overload_note_starved(&stream);
    for (uint64_t cnt0 = 1; cnt0 <= 41 * 4; cnt0 += 4) {
        struct dao_take take = candidate(cnt0, 0);

        if (overload_leaves_out(&stream, &take)) {
            overload_leave_out(&stream, &take, cnt0 - 1, LEDGER_SOURCE);
        } else {
            loss_book_left_out(&stream);
            recorded++;
        }
    }
    ck_assert_uint_eq(recorded, 10);
    end();
}
END_TEST

START_TEST(it_ends_when_half_of_the_blocks_are_free)
{
    begin(OVERLOAD_DECIMATE, 4);
    publish(DEPTH);
    overload_note_starved(&stream);
    atomic_store(&stream.row_pool.free_count, BLOCKS);
    atomic_store(&stream.data_pool.free_count, BLOCKS / 2 - 1);
    ck_assert(leaves_out(1));
    atomic_store(&stream.data_pool.free_count, BLOCKS / 2);
    atomic_store(&stream.row_pool.free_count, BLOCKS / 2 - 1);
    ck_assert(leaves_out(1));
    atomic_store(&stream.row_pool.free_count, BLOCKS / 2);
    ck_assert(!leaves_out(1));
    atomic_store(&stream.data_pool.free_count, 0); /* and begins when it is starved again */
    ck_assert(!leaves_out(1));
    overload_note_starved(&stream);
    ck_assert(leaves_out(1));
    end();
}
END_TEST

START_TEST(nothing_is_left_out_of_what_was_there_when_the_end_was_asked_for)
{
    begin(OVERLOAD_DECIMATE, 4);
    publish(DEPTH);
    overload_note_starved(&stream);
    stream.stopping = true;
    ck_assert(!leaves_out(1));
    overload_note_starved(&stream);
    ck_assert(!leaves_out(1));
    end();
}
END_TEST

START_TEST(what_is_left_out_is_one_gap_that_the_next_row_tells_of)
{
    begin(OVERLOAD_DECIMATE, 4);
    for (uint64_t cnt0 = 1; cnt0 < 4; cnt0++) {
        struct dao_take take = candidate(cnt0, 0);

        overload_leave_out(&stream, &take, cnt0 - 1, LEDGER_LAPPED);
    }
    ck_assert_uint_eq(lost_to_disk(), 0);
    loss_book_left_out(&stream);
    loss_book_left_out(&stream);
    ck_assert_uint_eq(lost_to_disk(), 3);
    ck_assert_uint_eq(stream.account.now.counts.gap_count, 1);
    ck_assert_int_eq(stream.account.gaps[0].first_cnt0, 1);
    ck_assert_uint_eq(stream.pending_lost, 3);
    ck_assert(stream.pending_flags & FITS_FLAG_QUEUEFULL);
    ck_assert(ledger_balances(&stream.account.now.counts));
    end();
}
END_TEST

START_TEST(what_is_missing_before_a_frame_that_is_left_out_has_its_own_cause)
{
    struct dao_take first = candidate(1, 0), second = candidate(5, 3);

    begin(OVERLOAD_DECIMATE, 4);
    overload_leave_out(&stream, &first, 0, LEDGER_DISK);
    overload_leave_out(&stream, &second, 1, LEDGER_SOURCE);
    loss_book_left_out(&stream);
    ck_assert_uint_eq(lost_to_disk(), 2);
    ck_assert_uint_eq(stream.account.now.counts.lost_by[LEDGER_SOURCE], 3);
    ck_assert_uint_eq(stream.account.now.counts.gap_count, 3);
    ck_assert(ledger_balances(&stream.account.now.counts));
    end();
}
END_TEST

START_TEST(what_waits_to_be_booked_goes_on_waiting_where_nothing_was_left_out)
{
    struct ledger_gap gap = {.first_cnt0 = 1, .count = 5, .cause = LEDGER_DISK};

    begin(OVERLOAD_DECIMATE, 4);
    account_wait(&stream.account, &gap);
    loss_book_left_out(&stream);
    ck_assert_uint_eq(overload_book_at_end(&stream), 0);
    ck_assert_uint_eq(account_settle(&stream.account).count, 5);
    end();
}
END_TEST

START_TEST(it_stops_before_a_frame_is_lost_and_for_the_disk_only)
{
    struct dao_take whole = candidate(5, 0), lapped = candidate(9, 4), jumped = candidate(9, 4);

    jumped.jumped = true;
    begin(_i ? OVERLOAD_STOP : OVERLOAD_DECIMATE, 2);
    ck_assert(!overload_ends(&stream, &lapped)); /* it was the reader that came late */
    stream.starved = true;
    ck_assert(!overload_ends(&stream, &whole));
    ck_assert(!overload_ends(&stream, &jumped));
    ck_assert_int_eq(overload_ends(&stream, &lapped), _i);
    stream.stopping = true;
    ck_assert(!overload_ends(&stream, &lapped)); /* somebody asked for what was there then */
    atomic_store(&stream.all_end_for_overload, true);
    ck_assert_int_eq(overload_ends(&stream, &lapped), _i); /* nobody did */
    end();
}
END_TEST

/* What the session's thread sees, half a second later perhaps. */
START_TEST(only_streams_that_nobody_has_ended_by_then_end_with_one_that_did_for_the_disk)
{
    static struct record_stream streams[4];
    struct record_stream *all[4];
    struct room room = {0};
    struct books books = {0};
    struct disk disk = {.room = &room, .books = &books, .streams = all, .count = 4};

    memset(streams, 0, sizeof streams);
    for (unsigned i = 0; i < 4; i++)
        all[i] = &streams[i];
    disk.dir_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(disk.dir_fd, 0);
    atomic_store(&disk.is_asked, true); /* for the ledger: nobody writes one here */
    atomic_store(&streams[1].stop_requested, true);
    atomic_store(&streams[2].is_stopping, true); /* its time is over */
    ck_assert_ptr_null(disk_look(&disk, 1));
    atomic_store(&streams[3].overloaded, true);
    atomic_store(&streams[3].is_stopping, true);
    ck_assert_str_eq(disk_look(&disk, 1), "STOP");
    ck_assert(atomic_load(&streams[0].all_end_for_overload));
    ck_assert(!atomic_load(&streams[1].all_end_for_overload));
    ck_assert(!atomic_load(&streams[2].all_end_for_overload));
    ck_assert(books.failed);
    close(disk.dir_fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overload");
    TCase *tcase = tcase_create("policies");

    tcase_add_test(tcase, nothing_is_left_out_before_the_fifo_is_half_full_too);
    tcase_add_loop_test(tcase, with_another_policy_nothing_is_left_out, 0, 2);
    tcase_add_test(tcase, frames_are_recorded_whose_count_is_a_multiple);
    tcase_add_test(tcase, where_no_count_is_a_multiple_every_nth_is_recorded);
    tcase_add_test(tcase, it_ends_when_half_of_the_blocks_are_free);
    tcase_add_test(tcase, nothing_is_left_out_of_what_was_there_when_the_end_was_asked_for);
    tcase_add_test(tcase, what_is_left_out_is_one_gap_that_the_next_row_tells_of);
    tcase_add_test(tcase, what_is_missing_before_a_frame_that_is_left_out_has_its_own_cause);
    tcase_add_test(tcase, what_waits_to_be_booked_goes_on_waiting_where_nothing_was_left_out);
    tcase_add_loop_test(tcase, it_stops_before_a_frame_is_lost_and_for_the_disk_only, 0, 2);
    tcase_add_test(tcase,
                   only_streams_that_nobody_has_ended_by_then_end_with_one_that_did_for_the_disk);
    suite_add_tcase(suite, tcase);
    return testbed_run(suite);
}
