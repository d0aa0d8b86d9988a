/*
 * test_recorder_start.c - a segment that is truncated in the moment between its opening and the
 * first look for frames costs no other stream a frame, and is recorded from when it comes back.
 */
#include <signal.h>

#include "recording/ledger.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

#define PIXELS 64u
#define FRAMES 100u

static struct dao_segment other;
static char *paths[2];
static atomic_bool is_cut;

/* The first files are made once all segments are open. */
static ssize_t cut_and_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    if (!atomic_exchange(&is_cut, true))
        ck_assert_int_eq(truncate(paths[1], 0), 0);
    return pwrite(fd, buf, bytes, off);
}

static void make_other(uint32_t pixels)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};

    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &pixels, _DATATYPE_UINT16, DEPTH, 0, &text),
                     0);
    ck_assert_msg(dao_segment_create(&other, paths[1], &geometry, &text) == 0, "%s", text.s);
}

static void publish_both(uint32_t pixels)
{
    struct dao_segment first = segment;

    publish(FRAMES);
    segment = other;
    width = pixels;
    publish(FRAMES);
    width = PIXELS;
    segment = first;
}

/* _i: as it was, or larger. */
START_TEST(what_is_truncated_between_opening_and_attaching_is_recorded_when_it_is_back)
{
    struct sink_backend backend = sink_backend_system;
    struct ledger_document document;
    struct dao_text text = {""};
    uint32_t pixels = PIXELS << _i;
    int fd;

    block_stop();
    begin(PIXELS);
    paths[0] = path;
    ck_assert_int_ge(asprintf(&paths[1], "%s/second.im.shm", place.path), 0);
    make_other(PIXELS);
    config.paths = paths;
    config.path_count = 2;
    backend.write_at = cut_and_write_at;
    start(IO_ENGINE_PWRITE, FRAMES, &backend);
    for (int64_t hang_ns = hang_after(); !atomic_load(&is_cut);)
        rest_until(hang_ns, "no file is made");
    fd = open_session();
    dao_segment_close(&other);
    make_other(pixels);
    publish_both(pixels);
    ck_assert_int_eq(wait_for_end(), 0);
    ck_assert_msg(ledger_document_read(&document, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(document.ledger.stream_count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(document.ledger.streams[i].counts.recorded, FRAMES);
        ck_assert_uint_eq(ledger_lost(&document.ledger.streams[i].counts), 0);
        ck_assert(ledger_balances(&document.ledger.streams[i].counts));
    }
    ledger_document_free(&document);
    close(fd);
    dao_segment_close(&other);
    free(paths[1]);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_start");
    TCase *tc = tcase_create("recorder_start");

    take_base_make();
    tcase_set_timeout(tc, 90);
    tcase_add_loop_test(
        tc, what_is_truncated_between_opening_and_attaching_is_recorded_when_it_is_back, 0, 2);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
