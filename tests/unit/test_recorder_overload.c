/*
 * test_recorder_overload.c - whole recorders whose disk takes nothing, or one write at a time: what
 * the overload policies make of it, in the files and in the ledger.
 */
#include <signal.h>

#include "recording/ledger.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"
#include "verify/verify.h"

static struct board board;

static void start_gated(enum overload_policy policy, uint64_t each)
{
    block_stop();
    begin(WIDTH_MAX);
    board_init(&board);
    config.board = &board;
    config.stream.overload = policy;
    config.stream.each = each;
    config.stream.rolling.frames = 5000;
    publish(30);
    start(IO_ENGINE_PWRITE, 0, gate_backend());
}

static int session_fd;

/* So many in all, slowly enough for a recorder that takes them. */
static void publish_slowly(unsigned frames)
{
    for (unsigned i = 0; i < frames; i += 10) {
        publish(10);
        rest();
    }
}

static struct ledger_document document;

static const struct ledger_stream *read_ledger(int expected_status)
{
    struct dao_text text = {""};

    ck_assert_int_eq(wait_for_end(), expected_status);
    ck_assert_int_eq(ledger_document_read(&document, session_fd, &text), 0);
    ck_assert(ledger_balances(&document.ledger.streams[0].counts));
    return &document.ledger.streams[0];
}

static void finish(void)
{
    ledger_document_free(&document);
    close(session_fd);
    end();
    board_fini(&board);
}

/* ---- the policies ---- */

/* Every file of it is good; the rows are looked at by the caller. */
static void check_file(const char *name, uint64_t frames)
{
    struct verify_file file;
    char *at;

    ck_assert_int_ge(asprintf(&at, "/proc/self/fd/%d/%s", session_fd, name), 0);
    verify_file(&file, at, NULL);
    ck_assert_msg(file.doubts.count == 0, "%s", file.doubts.kept ? file.doubts.kept[0].text : "");
    ck_assert_uint_eq(file.frames, frames);
    verify_file_free(&file);
    free(at);
}

START_TEST(drop_newest_keeps_what_is_in_memory_and_what_is_left_in_the_fifo)
{
    const struct ledger_stream *stream;

    start_gated(OVERLOAD_DROP_NEWEST, 0);
    session_fd = wait_for_file();
    hold_disk(true);
    publish_slowly(3000);
    hold_disk(false);
    kill(getpid(), SIGTERM);
    stream = read_ledger(3);
    ck_assert_uint_eq(ledger_expected(&stream->counts), 3030);
    ck_assert_uint_gt(stream->counts.lost_by[LEDGER_DISK], 0);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_DISK], ledger_lost(&stream->counts));
    ck_assert_uint_ge(stream->counts.recorded, DEPTH);
    finish();
}
END_TEST

START_TEST(stop_ends_the_recording_before_a_frame_is_lost)
{
    const struct ledger_stream *stream;
    uint64_t recorded;

    start_gated(OVERLOAD_STOP, 0);
    session_fd = wait_for_file();
    hold_disk(true);
    publish_slowly(3000);
    hold_disk(false); /* nobody asks it to end */
    stream = read_ledger(1);
    recorded = stream->counts.recorded;
    ck_assert_uint_eq(ledger_lost(&stream->counts), 0);
    ck_assert_uint_eq(ledger_expected(&stream->counts), recorded);
    ck_assert_uint_ge(recorded, 30);
    ck_assert_uint_lt(recorded, 3030);
    ck_assert_uint_eq(stream->file_count, 1);
    ck_assert_str_eq(stream->files[0].end_cause, "STOP");
    check_file("wfs/wfs_000001.fits", recorded);
    finish();
}
END_TEST

static uint64_t lost_so_far(void)
{
    return look_at_stream(&board).lost_by[LEDGER_DISK];
}

/* And give the drain the time to fill what it has given back. It may be too little for a frame. */
static void let_one_write_through(void)
{
    struct stream_state before = look_at_stream(&board), now = before;
    int64_t hang_ns = hang_after();

    gate_allow(1);
    while (gate_left() > 0)
        rest_until(hang_ns, "the recorder writes nothing");
    for (int i = 0; i < 200 && now.frames == before.frames && now.lost == before.lost; i++) {
        rest();
        now = look_at_stream(&board);
    }
}

START_TEST(decimate_spreads_the_losses_evenly_and_ends_when_the_disk_is_back)
{
    const struct ledger_stream *stream;
    uint64_t last = 0, in_rows = 0;

    start_gated(OVERLOAD_DECIMATE, 4);
    session_fd = wait_for_file();
    hold_disk(true);
    publish_slowly(1000); /* memory takes some 170; more than half of the FIFO is full, not all */
    while (lost_so_far() <= 30)
        let_one_write_through();
    hold_disk(false);
    publish_slowly(1000);
    kill(getpid(), SIGTERM);
    stream = read_ledger(3);
    ck_assert_uint_eq(ledger_expected(&stream->counts), 2030);
    ck_assert_uint_gt(stream->counts.lost_by[LEDGER_DISK], 30);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_DISK], ledger_lost(&stream->counts));
    for (uint64_t i = 0; i < stream->gaps_listed; i++) {
        const struct ledger_gap *gap = &stream->gaps[i];

        ck_assert_uint_le(gap->count, 3);
        last = (uint64_t)gap->first_cnt0 + gap->count; /* the one behind it */
        /* As soon as the disk keeps up the very next frame is recorded, and those behind it: that
         * is the end of a row of gaps with one frame between. */
        if (i + 1 < stream->gaps_listed && (uint64_t)gap[1].first_cnt0 <= last + 4) {
            ck_assert_uint_eq(last % 4, 0);
            in_rows++;
        }
    }
    ck_assert_uint_ge(in_rows, 5); /* while the disk stood still */
    ck_assert_uint_lt(last, 2030);
    ck_assert_uint_eq(stream->file_count, 1);
    check_file("wfs/wfs_000001.fits", stream->counts.recorded);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_overload");
    TCase *tcase = tcase_create("overload");

    take_base_make();
    tcase_set_timeout(tcase, 3 * HANG_S);
    tcase_add_test(tcase, drop_newest_keeps_what_is_in_memory_and_what_is_left_in_the_fifo);
    tcase_add_test(tcase, stop_ends_the_recording_before_a_frame_is_lost);
    tcase_add_test(tcase, decimate_spreads_the_losses_evenly_and_ends_when_the_disk_is_back);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
