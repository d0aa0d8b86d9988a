/*
 * test_booking.c - losses from rows, with and without the ledger. A recorder in miniature books as
 * the real one does: its rows must give back its ledger.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "measure/booking.h"
#include "tests/support/suite.h"

#define SECOND   1000000000ll
#define START    (1764000000ll * SECOND)
#define ROWS_MAX 4000u
#define GAPS_MAX 2000u

static struct tally tally;
static struct tally_gap gaps[GAPS_MAX];
static struct booking booking;

/* ---- a recorder in miniature ---- */

static struct recorder {
    struct ledger_counts counts;
    struct ledger_gap gaps[LEDGER_GAPS_MAX + LEDGER_FAILED_MAX];
    struct ledger_run runs[LEDGER_RUNS_MAX + 1];
    struct ledger_gap failed[LEDGER_FAILED_MAX];
    uint64_t failed_count;
    struct fits_row rows[ROWS_MAX];
    bool is_swallowed[ROWS_MAX]; /* by a disk: not in any file */
    uint32_t row_count;
    uint64_t pending;
    bool is_reset;
    int64_t cnt0, now_ns;
    struct ledger_stream stream;
} rec;

static void begin(void)
{
    memset(&tally, 0, sizeof tally);
    memset(&rec, 0, sizeof rec);
    memset(&booking, 0, sizeof booking);
    tally.gaps = gaps;
    tally.gaps_most = GAPS_MAX;
    rec.now_ns = START;
}

static void end(void)
{
    booking_free(&booking);
}

static void rec_begin(int64_t first)
{
    ledger_begin_run(&rec.counts, rec.runs, first);
    rec.cnt0 = first - 1;
}

static void rec_lose(enum ledger_cause cause, uint64_t count, int64_t time_ns)
{
    struct ledger_gap gap = {
        .first_cnt0 = rec.cnt0 + 1, .count = count, .time_ns = time_ns, .cause = cause};

    ledger_lose(&rec.counts, rec.gaps, &gap);
    rec.cnt0 += (int64_t)count;
}

/* The next frame, `missing` of them behind the last one. */
static void rec_take(enum ledger_cause cause, uint64_t missing)
{
    static const int32_t flags[LEDGER_CAUSES] = {
        [LEDGER_LAPPED] = FITS_FLAG_GAP | FITS_FLAG_OVERWRITE,
        [LEDGER_DISK] = FITS_FLAG_GAP | FITS_FLAG_OVERWRITE | FITS_FLAG_QUEUEFULL,
        [LEDGER_SOURCE] = FITS_FLAG_GAP,
    };
    struct fits_row *row = &rec.rows[rec.row_count++];

    rec.now_ns += 1000000 * (int64_t)(1 + missing);
    rec_lose(cause, missing, rec.now_ns + 50000);
    rec.cnt0++;
    ledger_take(&rec.counts, rec.cnt0, false);
    *row = (struct fits_row){
        .atime_ns = rec.now_ns,
        .rtime_ns = rec.now_ns + 50000,
        .cnt0 = rec.cnt0,
        .lost = (int32_t)(rec.pending + missing),
        .flags = (missing ? flags[cause] : 0) | (rec.pending ? FITS_FLAG_GAP : 0) |
                 (rec.is_reset ? FITS_FLAG_RESET : 0),
    };
    rec.pending = 0;
    rec.is_reset = false;
}

static void rec_take_many(uint64_t count)
{
    while (count-- > 0)
        rec_take(LEDGER_LAPPED, 0);
}

/* The source restarts: so many of the old run are lost, so many of the new one, which begins at
 * `first`, before its first frame. */
static void rec_restart(uint64_t lost, int64_t first, uint64_t lost_then)
{
    rec_lose(LEDGER_RESTART, lost, rec.now_ns + 7);
    rec_begin(first);
    rec_lose(LEDGER_RESTART, lost_then, rec.now_ns + 8);
    rec.pending += lost + lost_then;
    rec.is_reset = true;
}

/* The last `count` rows never reached the disk. */
static void rec_swallow(uint32_t count)
{
    uint32_t first = rec.row_count - count;

    rec.failed[rec.failed_count++] = (struct ledger_gap){.first_cnt0 = rec.rows[first].cnt0,
                                                         .count = count,
                                                         .time_ns = rec.now_ns + 9,
                                                         .cause = LEDGER_DISK};
    rec.counts.recorded -= count;
    rec.counts.lost_by[LEDGER_DISK] += count;
    while (count-- > 0)
        rec.is_swallowed[first + count] = true;
}

/* The ledger as it would be read back, with at most `most` gaps listed. */
static const struct ledger_stream *rec_ledger(uint64_t most)
{
    uint64_t all = rec.counts.gap_count, listed = all < most ? all : most;

    memcpy(rec.gaps + listed, rec.failed, rec.failed_count * sizeof *rec.failed);
    rec.runs[rec.counts.run_count - 1] = rec.counts.run;
    rec.stream = (struct ledger_stream){.counts = rec.counts,
                                        .gaps = rec.gaps,
                                        .gaps_listed = listed + rec.failed_count,
                                        .runs = rec.runs};
    rec.stream.counts.gap_count += rec.failed_count;
    ck_assert(ledger_balances(&rec.counts));
    return &rec.stream;
}

/* ---- booking it ---- */

static void book(const struct ledger_stream *ledger)
{
    ck_assert_int_eq(booking_begin(&booking, &tally, ledger), 0);
    for (uint32_t i = 0; i < rec.row_count; i++)
        if (!rec.is_swallowed[i])
            booking_row(&booking, &rec.rows[i], false);
    booking_end(&booking);
    ck_assert_uint_eq(tally.seen + tally_lost(&tally), tally_expected(&tally));
}

static int compare_gaps(const void *a, const void *b)
{
    const struct tally_gap *x = a, *y = b;

    return x->time_ns != y->time_ns
               ? (x->time_ns < y->time_ns ? -1 : 1)
               : (x->first_cnt0 > y->first_cnt0) - (x->first_cnt0 < y->first_cnt0);
}

/* The tally says what the ledger says, gap by gap. */
static void expect_ledger(const struct ledger_stream *ledger, bool with_gaps)
{
    const struct ledger_counts *counts = &ledger->counts;
    static struct tally_gap told[GAPS_MAX];

    ck_assert_uint_eq(tally.seen, counts->recorded);
    ck_assert_uint_eq(tally_expected(&tally), ledger_expected(counts));
    for (unsigned i = 0; i < LEDGER_CAUSES; i++)
        ck_assert_msg(tally.lost_by[i] == counts->lost_by[i], "%s: %llu, not %llu",
                      ledger_cause_names[i], (unsigned long long)tally.lost_by[i],
                      (unsigned long long)counts->lost_by[i]);
    ck_assert_uint_eq(tally.lost_by[TALLY_UNKNOWN], 0);
    ck_assert_uint_eq(tally.run_count, counts->run_count);
    ck_assert_uint_eq(tally.restarts, counts->run_count - 1);
    for (uint64_t i = 0; i + 1 < counts->run_count; i++) {
        ck_assert_int_eq(tally.runs[i].first_cnt0, ledger->runs[i].first_cnt0);
        ck_assert_int_eq(tally.runs[i].last_cnt0, ledger->runs[i].last_cnt0);
    }
    ck_assert(!booking.has_ledger_failed);
    if (!with_gaps)
        return;
    ck_assert_uint_eq(tally.gap_count, ledger->gaps_listed);
    for (uint64_t i = 0; i < ledger->gaps_listed; i++)
        told[i] = (struct tally_gap){ledger->gaps[i].first_cnt0, ledger->gaps[i].count,
                                     ledger->gaps[i].time_ns, ledger->gaps[i].cause};
    qsort(told, ledger->gaps_listed, sizeof *told, compare_gaps);
    qsort(gaps, tally.gap_count, sizeof *gaps, compare_gaps);
    for (uint64_t i = 0; i < ledger->gaps_listed; i++) {
        ck_assert_int_eq(gaps[i].first_cnt0, told[i].first_cnt0);
        ck_assert_uint_eq(gaps[i].count, told[i].count);
        ck_assert_int_eq(gaps[i].time_ns, told[i].time_ns);
        ck_assert_uint_eq(gaps[i].cause, told[i].cause);
    }
}

START_TEST(rows_alone_tell_gaps_and_causes)
{
    rec_begin(101);
    rec_take(LEDGER_LAPPED, 3);
    rec_take_many(10);
    rec_take(LEDGER_DISK, 7);
    rec_take(LEDGER_SOURCE, 1000);
    rec_take_many(5);
    rec_restart(2, 1, 0);
    rec_take_many(5);
    book(NULL);
    expect_ledger(rec_ledger(100), false);
    ck_assert_int_eq(tally.run.first_cnt0, 1);
    ck_assert_uint_eq(tally.gap_count, 4);
    ck_assert_int_eq(gaps[1].first_cnt0, 115);
    ck_assert_uint_eq(gaps[1].cause, LEDGER_DISK);
    ck_assert_int_eq(gaps[1].time_ns, rec.rows[11].rtime_ns);
}
END_TEST

START_TEST(a_new_run_that_was_lapped_at_once_is_expected_from_1_on)
{
    rec_begin(101);
    rec_take_many(10);
    rec_restart(2, 1, 0);
    rec_take(LEDGER_LAPPED, 30);
    book(NULL);
    expect_ledger(rec_ledger(100), false);
    ck_assert_uint_eq(tally.lost_by[LEDGER_RESTART], 2);
    ck_assert_uint_eq(tally.lost_by[LEDGER_LAPPED], 30);
}
END_TEST

START_TEST(with_the_ledger_what_is_behind_the_last_row_is_counted_too)
{
    const struct ledger_stream *ledger;

    rec_begin(101);
    rec_take_many(10);
    rec_lose(LEDGER_LAPPED, 25, rec.now_ns + 5);
    ledger = rec_ledger(100);
    book(ledger);
    expect_ledger(ledger, true);
    ck_assert_uint_eq(tally_lost(&tally), 25);
}
END_TEST

START_TEST(with_the_ledger_runs_without_a_frame_and_what_a_disk_swallowed_are_counted_too)
{
    const struct ledger_stream *ledger;

    rec_begin(101);
    rec_take_many(10);
    rec_swallow(4);
    rec_take_many(3);
    rec_restart(2, 1, 6);
    rec_restart(1, 1, 8);
    rec_restart(0, 500000, 0);
    rec_take(LEDGER_LAPPED, 2);
    rec_take_many(3);
    rec_restart(5, 1, 3);
    ledger = rec_ledger(100);
    book(ledger);
    expect_ledger(ledger, true);
}
END_TEST

static uint64_t state;

static uint64_t random_below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

/* Runs whose counts come again, and files that a disk has swallowed with the rows that told of it,
 * cannot always be told apart: one or the other. */
enum luck { COUNTS_COME_AGAIN = 1, DISK_FAILS = 2 };

static void record_at_random(int luck)
{
    int64_t first = 1;

    rec_begin((int64_t)random_below(1000) + 1);
    for (int i = 0; i < 150; i++) {
        switch (random_below(9)) {
        case 0:
            rec_take(LEDGER_LAPPED, 1 + random_below(100));
            break;
        case 1:
            rec_take(LEDGER_DISK, 1 + random_below(100));
            break;
        case 2:
            rec_take(LEDGER_SOURCE, 1 + random_below(100000));
            break;
        case 3:
            first = luck & COUNTS_COME_AGAIN ? 1 : first + 10000000;
            rec_restart(random_below(5), first, random_below(3));
            if (random_below(2))
                rec_take(LEDGER_LAPPED, random_below(20));
            break;
        case 4:
            if (luck & DISK_FAILS && rec.row_count > 5 && !rec.is_reset &&
                rec.failed_count < LEDGER_FAILED_MAX && !rec.is_swallowed[rec.row_count - 1]) {
                uint32_t count = 1;

                while (count < 4 && !(rec.rows[rec.row_count - count].flags & FITS_FLAG_RESET) &&
                       rec.rows[rec.row_count - count].lost == 0 &&
                       !rec.is_swallowed[rec.row_count - count - 1])
                    count++;
                rec_swallow(count);
            }
            break;
        default:
            rec_take_many(1 + random_below(12));
        }
    }
}

/* A file that failed takes its rows with it, LOST and RESET of the first one, too. */
START_TEST(whatever_happened_the_rows_and_the_ledger_give_back_the_ledger)
{
    const struct ledger_stream *ledger;

    state = 1000 + (uint64_t)_i;
    record_at_random(_i % 2 ? COUNTS_COME_AGAIN : DISK_FAILS);
    ledger = rec_ledger(LEDGER_GAPS_MAX);
    book(ledger);
    expect_ledger(ledger, true);
}
END_TEST

START_TEST(whatever_happened_it_balances)
{
    uint64_t rows = 0;

    state = 1000 + (uint64_t)_i;
    record_at_random(COUNTS_COME_AGAIN | DISK_FAILS);
    book(_i % 2 ? NULL : rec_ledger(LEDGER_GAPS_MAX));
    for (uint32_t i = 0; i < rec.row_count; i++)
        rows += !rec.is_swallowed[i];
    ck_assert_uint_eq(tally.seen, rows);
}
END_TEST

START_TEST(a_list_of_gaps_that_is_cut_still_gives_the_sums_of_the_ledger)
{
    const struct ledger_stream *ledger;

    rec_begin(1);
    for (int i = 0; i < 30; i++) {
        rec_take(i % 3 ? LEDGER_LAPPED : LEDGER_SOURCE, 2);
        rec_take_many(3);
    }
    rec_lose(LEDGER_LAPPED, 11, rec.now_ns);
    ledger = rec_ledger(10);
    book(ledger);
    expect_ledger(ledger, false);
}
END_TEST

START_TEST(what_a_disk_swallowed_is_not_taken_for_a_lap_at_the_same_counts_in_another_run)
{
    const struct ledger_stream *ledger;

    rec_begin(1);
    rec_take_many(25);
    rec_swallow(6); /* 20 to 25 */
    rec_take_many(10);
    rec_restart(0, 1, 0);
    rec_take_many(19);
    rec_take(LEDGER_LAPPED, 3); /* 20 to 22 */
    ledger = rec_ledger(100);
    book(ledger);
    expect_ledger(ledger, true);
}
END_TEST

START_TEST(what_nobody_knows_of_is_not_taken_for_a_later_lap)
{
    const struct ledger_stream *ledger;

    rec_begin(1);
    rec_take_many(25);
    rec_swallow(6); /* 20 to 25; the ledger's list has no room for it */
    rec_take_many(10);
    rec_restart(0, 1, 0);
    rec_take_many(4);
    rec_take(LEDGER_LAPPED, 2);
    rec_take_many(14);
    rec_take(LEDGER_LAPPED, 2); /* 22 and 23 */
    rec.failed_count = 0;
    ledger = rec_ledger(100);
    book(ledger);
    ck_assert_uint_eq(tally.gap_count, 3);
    ck_assert_int_eq(gaps[0].first_cnt0, 20);
    ck_assert_uint_eq(gaps[0].count, 6);
    ck_assert_uint_eq(gaps[0].cause, TALLY_UNKNOWN);
    ck_assert_uint_eq(tally.lost_by[LEDGER_DISK], 6); /* its sums tell */
}
END_TEST

START_TEST(a_ledger_that_contradicts_the_rows_is_left_and_the_rows_balance)
{
    const struct ledger_stream *ledger;

    rec_begin(1);
    rec_take_many(10);
    ledger = rec_ledger(10);
    rec.runs[0] = (struct ledger_run){1000000, 1000009};
    book(ledger);
    ck_assert(booking.has_ledger_failed);
    ck_assert_uint_eq(tally_expected(&tally), 10);
    ck_assert_uint_eq(tally_lost(&tally), 0);
}
END_TEST

/* ---- rows of others, files that are missing ---- */

static void row(int64_t cnt0, int32_t lost, int flags, bool is_behind_hole)
{
    int64_t time_ns = (int64_t)((uint64_t)cnt0 + START);
    struct fits_row r = {
        .atime_ns = time_ns, .rtime_ns = time_ns, .cnt0 = cnt0, .lost = lost, .flags = flags};

    booking_row(&booking, &r, is_behind_hole);
    ck_assert_uint_eq(tally.seen + tally_lost(&tally), tally_expected(&tally));
}

START_TEST(counts_that_jump_without_a_word_are_lost_to_a_cause_unknown)
{
    ck_assert_int_eq(booking_begin(&booking, &tally, NULL), 0);
    row(10, 0, 0, false);
    row(11, 0, 0, false);
    row(20, 0, 0, false);
    row(30, 4, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE, false); /* 21 ... 25 as well */
    row(5, 0, 0, false);                                    /* goes back: a restart */
    booking_end(&booking);
    ck_assert_uint_eq(tally.lost_by[TALLY_UNKNOWN], 8 + 5);
    ck_assert_uint_eq(tally.lost_by[LEDGER_LAPPED], 4);
    ck_assert_uint_eq(tally.restarts, 1);
    ck_assert_int_eq(gaps[0].first_cnt0, 12);
    ck_assert_int_eq(gaps[1].first_cnt0, 21);
    ck_assert_int_eq(gaps[2].first_cnt0, 26);
}
END_TEST

START_TEST(frames_in_files_that_are_not_here_are_not_lost)
{
    ck_assert_int_eq(booking_begin(&booking, &tally, NULL), 0);
    row(10, 0, 0, false);
    row(11, 0, 0, false);
    row(50, 3, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE, true); /* 12 ... 46 are elsewhere */
    row(51, 0, 0, false);
    row(60, 0, 0, true);
    booking_end(&booking);
    ck_assert_uint_eq(tally.absent, 35 + 8);
    ck_assert_uint_eq(tally_lost(&tally), 3);
    ck_assert_uint_eq(tally.lost_by[LEDGER_LAPPED], 3);
    ck_assert_uint_eq(tally.restarts, 0);
    ck_assert_int_eq(gaps[0].first_cnt0, 47);
}
END_TEST

START_TEST(a_saturated_loss_is_told_by_the_counts)
{
    ck_assert_int_eq(booking_begin(&booking, &tally, NULL), 0);
    row(10, 0, 0, false);
    row(11 + 2147483648ll, INT32_MAX, FITS_FLAG_GAP | FITS_FLAG_OVERWRITE, false);
    ck_assert_uint_eq(tally.lost_by[LEDGER_LAPPED], 2147483648ull);
}
END_TEST

START_TEST(nonsense_in_rows_balances_too)
{
    state = 77 + (uint64_t)_i;
    ck_assert_int_eq(booking_begin(&booking, &tally, NULL), 0);
    for (int i = 0; i < 300; i++) {
        static const int64_t counts[] = {0, -1, INT64_MIN, INT64_MAX, 5};
        static const int32_t losses[] = {0, 1, -1, INT32_MAX, INT32_MIN};

        row(random_below(2) ? counts[random_below(5)] : (int64_t)random_below(1000),
            random_below(3) ? losses[random_below(5)] : (int32_t)random_below(100),
            (int)random_below(256), random_below(10) == 0);
    }
    booking_end(&booking);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("booking");
    TCase *tcase = tcase_create("booking");

    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, rows_alone_tell_gaps_and_causes);
    tcase_add_test(tcase, a_new_run_that_was_lapped_at_once_is_expected_from_1_on);
    tcase_add_test(tcase, with_the_ledger_what_is_behind_the_last_row_is_counted_too);
    tcase_add_test(tcase,
                   with_the_ledger_runs_without_a_frame_and_what_a_disk_swallowed_are_counted_too);
    tcase_add_loop_test(tcase, whatever_happened_the_rows_and_the_ledger_give_back_the_ledger, 0,
                        300);
    tcase_add_loop_test(tcase, whatever_happened_it_balances, 0, 100);
    tcase_add_test(tcase, a_list_of_gaps_that_is_cut_still_gives_the_sums_of_the_ledger);
    tcase_add_test(tcase,
                   what_a_disk_swallowed_is_not_taken_for_a_lap_at_the_same_counts_in_another_run);
    tcase_add_test(tcase, what_nobody_knows_of_is_not_taken_for_a_later_lap);
    tcase_add_test(tcase, a_ledger_that_contradicts_the_rows_is_left_and_the_rows_balance);
    tcase_add_test(tcase, counts_that_jump_without_a_word_are_lost_to_a_cause_unknown);
    tcase_add_test(tcase, frames_in_files_that_are_not_here_are_not_lost);
    tcase_add_test(tcase, a_saturated_loss_is_told_by_the_counts);
    tcase_add_loop_test(tcase, nonsense_in_rows_balances_too, 0, 100);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
