/*
 * test_state.c - what whoever watches a session sees of it: the latencies' buckets, the copy of a
 * stream's books beside a drain that goes on booking, the board from waiting to the end, and the
 * JSON text.
 */
#include <jansson.h>
#include <signal.h>

#include "base/latency.h"
#include "record/account.h"
#include "record/board.h"
#include "tests/support/recorder.h"
#include "tests/support/suite.h"

/* ---- latencies ---- */

START_TEST(every_latency_is_in_a_bucket_that_is_at_most_an_eighth_wider)
{
    for (uint64_t ns = 0; ns < 1ull << LATENCY_TOP_BITS; ns += ns / 97 + 1) {
        uint32_t i = latency_bucket_of(ns);

        ck_assert_uint_lt(i, LATENCY_BUCKETS);
        ck_assert_uint_ge(latency_last_of(i), ns);
        ck_assert_uint_le(latency_last_of(i) - ns, ns / 8);
        ck_assert(i == 0 || latency_last_of(i - 1) < ns);
    }
    ck_assert_uint_eq(latency_last_of(LATENCY_BUCKETS - 1), (1ull << LATENCY_TOP_BITS) - 1);
}
END_TEST

START_TEST(latencies_beyond_both_ends_are_counted_in_the_outer_buckets)
{
    static struct latency latency;
    struct latency_counts counts;

    latency_add(&latency, -5);
    latency_add(&latency, INT64_MIN);
    latency_add(&latency, INT64_MAX);
    latency_read(&latency, &counts);
    ck_assert_uint_eq(counts.count, 3);
    ck_assert_uint_eq(counts.bucket[0], 2);
    ck_assert_uint_eq(counts.bucket[LATENCY_BUCKETS - 1], 1);
    ck_assert_uint_eq(counts.sum_ns, (1ull << LATENCY_TOP_BITS) - 1);
}
END_TEST

START_TEST(a_quantile_is_the_largest_value_of_its_bucket)
{
    static struct latency latency;
    struct latency_counts counts;

    latency_read(&latency, &counts);
    ck_assert_uint_eq(latency_quantile(&counts, 0.5), 0);
    for (int64_t ns = 1000; ns <= 100000; ns += 1000)
        latency_add(&latency, ns);
    latency_read(&latency, &counts);
    ck_assert_uint_eq(latency_quantile(&counts, 0.5), latency_last_of(latency_bucket_of(50000)));
    ck_assert_uint_eq(latency_quantile(&counts, 1.0), latency_last_of(latency_bucket_of(100000)));
    ck_assert_uint_eq(latency_quantile(&counts, 1e-9), latency_last_of(latency_bucket_of(1000)));
}
END_TEST

/* ---- the copy of the books ---- */

#define BOOKINGS 1500000

static struct account account;
static atomic_bool is_booked;

static void *book(void *arg)
{
    (void)arg;
    for (int64_t i = 1; i <= BOOKINGS; i++) {
        account_take(&account, i, true, 10);
        account_note_file(&account, (uint64_t)i, (uint64_t)i);
        account_publish(&account);
    }
    atomic_store(&is_booked, true);
    return NULL;
}

START_TEST(a_reader_beside_the_drain_sees_one_moment_and_never_an_older_one)
{
    struct account_view view = {.bytes = 0};
    uint64_t before = 0;
    pthread_t drain;

    account_init(&account);
    account_begin_run(&account, 1);
    account_publish(&account);
    ck_assert_int_eq(pthread_create(&drain, NULL, book, NULL), 0);
    while (!atomic_load(&is_booked)) {
        account_read(&account, &view);
        ck_assert_uint_eq(view.counts.torn, view.counts.recorded);
        ck_assert_uint_eq(view.bytes, 10 * view.counts.recorded);
        ck_assert_uint_eq(view.file_frames, view.counts.recorded);
        ck_assert(ledger_balances(&view.counts));
        ck_assert_uint_ge(view.counts.recorded, before);
        before = view.counts.recorded;
    }
    pthread_join(drain, NULL);
    account_read(&account, &view);
    ck_assert_uint_eq(view.counts.recorded, BOOKINGS);
    account_fini(&account);
}
END_TEST

/* ---- the board ---- */

static struct board board;
static atomic_bool is_held; /* the disk */

static ssize_t held_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    while (atomic_load(&is_held))
        rest();
    return pwrite(fd, buf, bytes, off);
}

/* Until it says so; to be released. */
static struct session_state wait_for(enum session_condition condition, uint64_t frames)
{
    struct session_state state;

    for (int64_t hang_ns = hang_after();; rest_until(hang_ns, "the session is not as it should")) {
        ck_assert_int_eq(board_take(&board, &state), 0);
        if (state.condition == condition && (frames == 0 || state.streams[0].frames == frames))
            return state;
        state_free(&state);
    }
}

static void expect_running(const struct session_state *state, uint64_t frames)
{
    const struct stream_state *s = &state->streams[0];

    ck_assert_uint_eq(state->count, 1);
    ck_assert_uint_eq(strlen(state->name), TREE_SESSION_BYTES - 1);
    ck_assert_uint_eq(strlen(state->uuid), 36);
    ck_assert_str_eq(state->root, folder.path);
    ck_assert_int_gt(state->start_ns, 0);
    ck_assert_int_ge(state->now_ns, state->start_ns);
    ck_assert_uint_gt(state->disk_free_bytes, 0);
    ck_assert_uint_ge(state->disk_bytes, state->disk_free_bytes);
    ck_assert(state->full_in_s < 0.0 || state->bytes_per_s >= 1.0);
    ck_assert_uint_gt(state->buffer_bytes, 0);
    ck_assert_str_eq(s->name, "left");
    ck_assert_str_eq(s->segment, path);
    ck_assert_int_eq(s->condition, STATE_RUNNING);
    ck_assert_uint_eq(s->depth, DEPTH);
    ck_assert_uint_eq(s->frame_bytes, 2 * width);
    ck_assert_uint_eq(s->latency.count, frames);
    ck_assert_str_eq(s->file, "left_000002.fits.part");
    ck_assert_uint_eq(s->file_frames, frames - 100);
    ck_assert_uint_eq(s->file_bytes, (frames - 100) * (2 * width + 64));
    ck_assert_uint_eq(s->lost, 0);
}

static void wait_for_closed_file(void)
{
    struct session_state state;
    uint64_t closed = 0;

    for (int64_t hang_ns = hang_after(); closed == 0; rest_until(hang_ns, "no file is closed")) {
        ck_assert_int_eq(board_take(&board, &state), 0);
        closed = state.streams[0].files_closed;
        if (closed > 0) /* all of it was written then */
            ck_assert_uint_ge(state.bytes_written, 100 * (2 * width + 64));
        state_free(&state);
    }
}

/* A stream that has its last frame is ended, and has the file in hand for a moment still. */
static void wait_for_last_file_to_be_given(void)
{
    bool is_given = false;

    for (int64_t hang_ns = hang_after(); !is_given; rest_until(hang_ns, "a file stays in hand")) {
        struct session_state state = wait_for(SESSION_STOPPING, 150);

        ck_assert_int_eq(state.streams[0].condition, STATE_ENDED);
        is_given = strcmp(state.streams[0].file, "") == 0;
        state_free(&state);
    }
}

START_TEST(a_session_is_seen_from_waiting_for_its_segment_to_its_end)
{
    struct sink_backend backend = sink_backend_system;
    struct session_state state;
    char aside[600];

    backend.write_at = held_write_at;
    begin(100);
    board_init(&board);
    config.board = &board;
    config.wait_ns = INT64_MAX;
    config.stream.rolling.frames = 100;
    config.stream.name = "left"; /* which the segment is not called */
    snprintf(aside, sizeof aside, "%s.aside", path);
    ck_assert_int_eq(rename(path, aside), 0);
    ck_assert_int_eq(board_take(&board, &state), 0);
    ck_assert_int_eq(state.condition, SESSION_IDLE);
    state_free(&state);

    start(IO_ENGINE_PWRITE, 150, &backend);
    state = wait_for(SESSION_WAITING, 0);
    ck_assert_str_eq(state.streams[0].name, "left");
    ck_assert_str_eq(state.streams[0].segment, path);
    ck_assert_int_eq(state.streams[0].condition, STATE_WAITING);
    state_free(&state);

    ck_assert_int_eq(rename(aside, path), 0);
    publish(140);
    state = wait_for(SESSION_RUNNING, 140);
    expect_running(&state, 140);
    state_free(&state);
    wait_for_closed_file();

    atomic_store(&is_held, true);
    publish(10);
    wait_for_last_file_to_be_given();
    atomic_store(&is_held, false);
    ck_assert_int_eq(wait_for_end(), 0);
    state = wait_for(SESSION_IDLE, 0);
    ck_assert_uint_eq(state.count, 0);
    state_free(&state);
    board_fini(&board);
    end();
}
END_TEST

/* A session of one stream that records nothing: what it counts is the test's. */

START_TEST(what_is_taken_back_of_frames_and_losses_was_once_as_much_as_it_was)
{
    static char segment_path[] = "/tmp/wfs.im.shm";
    static struct record_stream stream = {.path = segment_path};
    struct record_stream *const streams[] = {&stream};
    struct books books = {.session = "s", .uuid = "u", .host = "h", .start_ns = 1};
    struct ledger_gap gap = {.first_cnt0 = 11, .count = 7, .cause = LEDGER_LAPPED};
    struct room room = {0};
    struct stream_state s;

    board_init(&board);
    account_init(&stream.account);
    account_begin_run(&stream.account, 1);
    for (int64_t i = 1; i <= 10; i++)
        account_take(&stream.account, i, false, 1);
    account_wait(&stream.account, &gap);
    account_publish(&stream.account);
    board_show_waiting(&board, streams, 1, "/r");
    board_show_running(&board, &books, &room);
    s = look_at_stream(&board);
    ck_assert_uint_eq(s.frames, 10);
    ck_assert_uint_eq(s.lost_by[LEDGER_LAPPED], 7);
    account_fail(&stream.account, 1, 4, 1);
    account_wait(&stream.account, NULL);
    account_publish(&stream.account);
    s = look_at_stream(&board);
    ck_assert_uint_eq(s.frames, 6);
    ck_assert_uint_eq(s.frames_most, 10);
    ck_assert_uint_eq(s.lost_by[LEDGER_LAPPED], 0);
    ck_assert_uint_eq(s.lost_by_most[LEDGER_LAPPED], 7);
    ck_assert_uint_eq(s.lost_by_most[LEDGER_DISK], 4);
    board_show_running(&board, &books, &room); /* another session */
    ck_assert_uint_eq(look_at_stream(&board).frames_most, 6);
    board_clear(&board);
    board_fini(&board);
    account_fini(&stream.account);
}
END_TEST

/* One session more of this stream has ended; what is told then. The caller frees it. */
static struct session_state end_session(struct record_stream *stream)
{
    struct record_stream *const streams[] = {stream};
    struct books books = {.session = "s", .uuid = "u", .host = "h", .start_ns = 1};
    struct room room = {0};
    struct session_state state;

    board_show_waiting(&board, streams, 1, "/r");
    board_show_running(&board, &books, &room);
    board_clear(&board);
    ck_assert_int_eq(board_take(&board, &state), 0);
    ck_assert_int_eq(state.condition, SESSION_IDLE);
    ck_assert_uint_eq(state.count, 0);
    return state;
}

START_TEST(what_was_counted_in_sessions_that_have_ended_is_kept_by_name)
{
    static char wfs[] = "/tmp/wfs.im.shm", dm[] = "/tmp/dm.im.shm";
    static struct record_stream stream = {.path = wfs};
    struct session_state state;

    board_init(&board);
    account_init(&stream.account);
    account_begin_run(&stream.account, 1);
    for (int64_t i = 1; i <= 10; i++)
        account_take(&stream.account, i, false, 1);
    account_lose(&stream.account, LEDGER_LAPPED, 11, 7, 1);
    account_publish(&stream.account);
    latency_add(&stream.latency, 1000);
    atomic_store(&stream.bytes_written, 99);
    state = end_session(&stream);
    state_free(&state);
    state = end_session(&stream);
    state_free(&state);
    stream.path = dm;
    state = end_session(&stream);
    ck_assert_uint_eq(state.past_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct stream_totals *past = &state.past[i];
        uint64_t times = i == 0 ? 2 : 1;

        ck_assert_str_eq(past->name, i == 0 ? "wfs" : "dm");
        ck_assert_uint_eq(past->frames, times * 10);
        ck_assert_uint_eq(past->lost_by[LEDGER_LAPPED], times * 7);
        ck_assert_uint_eq(past->bytes_written, times * 99);
        ck_assert_uint_eq(past->latency.count, times);
        ck_assert_uint_eq(past->latency.sum_ns, times * 1000);
    }
    state_free(&state);
    board_fini(&board);
    account_fini(&stream.account);
}
END_TEST

START_TEST(no_more_frames_wait_in_a_fifo_than_it_holds)
{
    static char segment_path[] = "/tmp/wfs.im.shm";
    static struct record_stream stream = {.path = segment_path};
    struct record_stream *const streams[] = {&stream};
    struct books books = {.session = "s", .uuid = "u", .host = "h", .start_ns = 1};
    struct room room = {0};

    board_init(&board);
    account_init(&stream.account);
    stream.account.now.depth = 1024;
    board_show_waiting(&board, streams, 1, "/r");
    board_show_running(&board, &books, &room);
    for (uint64_t backlog = 1020; backlog < 1030; backlog++) {
        stream.account.now.backlog = backlog;
        account_publish(&stream.account);
        ck_assert_uint_eq(look_at_stream(&board).backlog, backlog < 1024 ? backlog : 1024);
    }
    board_fini(&board);
    account_fini(&stream.account);
}
END_TEST

/* ---- JSON ---- */

static json_t *to_json(const struct session_state *state)
{
    char *text = state_to_json(state);
    json_t *object = json_loads(text, 0, NULL);

    ck_assert_ptr_nonnull(object);
    ck_assert_ptr_null(strchr(text, '\n'));
    free(text);
    return object;
}

START_TEST(a_state_as_json_has_all_losses_by_name_and_null_for_what_is_not_known)
{
    static struct stream_state stream = {.name = "wfs",
                                         .segment = "/tmp/\xff\"wfs.im.shm",
                                         .condition = STATE_GONE,
                                         .lost_by = {1, 2, 3, 4},
                                         .lost = 10,
                                         .buffer_bytes = 200,
                                         .buffer_used_bytes = 50};
    struct session_state state = {.condition = SESSION_RUNNING,
                                  .disk_free_bytes = STATE_UNKNOWN,
                                  .disk_bytes = 7,
                                  .full_in_s = -1.0,
                                  .count = 1,
                                  .streams = &stream};
    json_t *object, *first, *lost;

    stream.latency.bucket[3] = stream.latency.count = 2;
    object = to_json(&state);
    first = json_array_get(json_object_get(object, "streams"), 0);
    lost = json_object_get(first, "lost_by");
    ck_assert(json_is_null(json_object_get(object, "disk_free_bytes")));
    ck_assert(json_is_null(json_object_get(object, "session")));
    ck_assert_int_eq(json_integer_value(json_object_get(object, "disk_bytes")), 7);
    ck_assert(json_is_null(json_object_get(object, "full_in_s")));
    ck_assert_str_eq(json_string_value(json_object_get(object, "condition")), "running");
    ck_assert_str_eq(json_string_value(json_object_get(first, "condition")), "gone");
    ck_assert_str_eq(json_string_value(json_object_get(first, "segment")), "/tmp/?\"wfs.im.shm");
    ck_assert(json_is_null(json_object_get(first, "file")));
    ck_assert_double_eq(json_real_value(json_object_get(first, "buffer_fill")), 0.25);
    ck_assert_uint_eq(json_object_size(lost), LEDGER_CAUSES);
    for (int i = 0; i < LEDGER_CAUSES; i++)
        ck_assert_int_eq(json_integer_value(json_object_get(lost, ledger_cause_names[i])), i + 1);
    first = json_object_get(json_object_get(first, "latency"), "buckets_ns");
    ck_assert_uint_eq(json_array_size(first), 1);
    ck_assert_int_eq(json_integer_value(json_array_get(json_array_get(first, 0), 1)), 2);
    json_decref(object);
}
END_TEST

START_TEST(when_the_disk_will_be_full_is_told_where_it_will)
{
    char line[64] = "now";

    ck_assert_uint_eq(state_append_full(line, sizeof line, 3, -1.0), 3);
    ck_assert_str_eq(line, "now");
    ck_assert_uint_eq(state_append_full(line, sizeof line, 3, 1e9), 3);
    state_append_full(line, sizeof line, 3, 7300.0);
    ck_assert_str_eq(line, "now, full in 122 min");
    state_append_full(line, sizeof line, 3, 79200.0);
    ck_assert_str_eq(line, "now, full in 22 h");
    state_append_full(line, sizeof line, 3, 0.0);
    ck_assert_str_eq(line, "now, full in 0 min");
}
END_TEST

START_TEST(without_a_session_there_is_json_as_well)
{
    struct session_state state = {.disk_free_bytes = STATE_UNKNOWN};
    json_t *object = to_json(&state);

    ck_assert_str_eq(json_string_value(json_object_get(object, "condition")), "idle");
    ck_assert_uint_eq(json_array_size(json_object_get(object, "streams")), 0);
    json_decref(object);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tcase = tcase_create("state");

    take_base_make();
    tcase_set_timeout(tcase, 3 * HANG_S);
    tcase_add_test(tcase, every_latency_is_in_a_bucket_that_is_at_most_an_eighth_wider);
    tcase_add_test(tcase, latencies_beyond_both_ends_are_counted_in_the_outer_buckets);
    tcase_add_test(tcase, a_quantile_is_the_largest_value_of_its_bucket);
    tcase_add_test(tcase, a_reader_beside_the_drain_sees_one_moment_and_never_an_older_one);
    tcase_add_test(tcase, a_session_is_seen_from_waiting_for_its_segment_to_its_end);
    tcase_add_test(tcase, what_is_taken_back_of_frames_and_losses_was_once_as_much_as_it_was);
    tcase_add_test(tcase, what_was_counted_in_sessions_that_have_ended_is_kept_by_name);
    tcase_add_test(tcase, no_more_frames_wait_in_a_fifo_than_it_holds);
    tcase_add_test(tcase, a_state_as_json_has_all_losses_by_name_and_null_for_what_is_not_known);
    tcase_add_test(tcase, when_the_disk_will_be_full_is_told_where_it_will);
    tcase_add_test(tcase, without_a_session_there_is_json_as_well);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
