/*
 * test_live.c - the line that is shown while it is recorded.
 */
#include "tests/support/testbed.h"

#include "record/live.h"

/* A line, so long after the one before it and with so much more written. */
static const char *line_after(struct live *live, struct session_state *state, double s,
                              uint64_t bytes, uint64_t frames)
{
    static char line[256];

    state->now_mono_ns += (int64_t)(s * 1e9);
    state->bytes_written += bytes;
    state->streams[0].frames += frames;
    live_format(live, line, sizeof line, state);
    return line;
}

static struct session_state begin(struct stream_state *stream)
{
    *stream = (struct stream_state){
        .name = "wfs", .depth = 64, .backlog = 2, .buffer_bytes = 200, .buffer_used_bytes = 13};
    return (struct session_state){
        .now_mono_ns = 1000000000, .full_in_s = -1.0, .count = 1, .streams = stream};
}

START_TEST(the_byte_rate_is_steady_where_blocks_reach_the_disk_once_a_second)
{
    struct stream_state stream;
    struct session_state state = begin(&stream);
    struct live live = {0};

    ck_assert_str_eq(line_after(&live, &state, 0.0, 0, 0), "0.0 MB/s | wfs 0/s 0 fifo 2/64 buf 6%");
    state.bytes_per_s = 6.4e6; /* over two seconds, as whoever asks is told */
    ck_assert_str_eq(line_after(&live, &state, 0.5, 0, 250),
                     "6.4 MB/s | wfs 500/s 250 fifo 2/64 buf 6%");
    ck_assert_str_eq(line_after(&live, &state, 0.5, 6400000, 250),
                     "6.4 MB/s | wfs 500/s 500 fifo 2/64 buf 6%");
}
END_TEST

START_TEST(of_a_line_a_minute_it_is_the_mean)
{
    struct stream_state stream;
    struct session_state state = begin(&stream);
    struct live live = {0};

    line_after(&live, &state, 0.0, 0, 0);
    state.bytes_per_s = 0.0; /* nothing in the last two seconds */
    ck_assert_str_eq(line_after(&live, &state, 60.0, 600000000, 30000),
                     "10.0 MB/s | wfs 500/s 30000 fifo 2/64 buf 6%");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("live");
    TCase *all = tcase_create("all");

    tcase_add_test(all, the_byte_rate_is_steady_where_blocks_reach_the_disk_once_a_second);
    tcase_add_test(all, of_a_line_a_minute_it_is_the_mean);
    suite_add_tcase(suite, all);
    return testbed_run(suite);
}
