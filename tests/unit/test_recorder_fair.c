/*
 * test_recorder_fair.c - streams beside each other in one recorder, on a disk that is slower than
 * each of them: none is written before the other.
 */
#include <signal.h>
#include <sys/stat.h>

#include "recording/ledger.h"
#include "tests/support/recorder.h"
#include "tests/support/suite.h"

#define PIXELS   8192u
#define FRAMES   800u
#define WRITE_NS 2000000l                       /* for each one, of 64 KiB */
#define WRITES   (FRAMES * PIXELS * 2 / 65536u) /* of a stream, at least */

/* ---- a slow disk that counts ---- */

static atomic_uint first_writes, second_writes;

static ssize_t slow_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    char link[64], to[4096];
    ssize_t length;

    (void)ctx;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, to, sizeof to - 1);
    to[length > 0 ? length : 0] = '\0';
    atomic_fetch_add(strstr(to, "/second/") ? &second_writes : &first_writes, 1);
    nanosleep(&(struct timespec){.tv_nsec = WRITE_NS}, NULL);
    return pwrite(fd, buf, bytes, off);
}

static unsigned more_of_both(void)
{
    unsigned a = atomic_load(&first_writes), b = atomic_load(&second_writes);

    return a > b ? a : b;
}

/* ---- a second source ---- */

static struct dao_segment second;

static char *begin_second(void)
{
    struct dao_segment first = segment;
    uint32_t pixels = PIXELS;
    struct dao_geometry geometry;
    struct dao_text text = {""};
    char *name;

    ck_assert_int_ge(asprintf(&name, "%s/second.im.shm", place.path), 0);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &pixels, _DATATYPE_UINT16, DEPTH, 0, &text),
                     0);
    ck_assert_msg(dao_segment_create(&second, name, &geometry, &text) == 0, "%s", text.s);
    publish(FRAMES);
    segment = second;
    publish(FRAMES);
    segment = first;
    return name;
}

/* The more both have in memory, the less it takes to write one before the other: what is asked for
 * is that the one that is behind has a quarter of what the other has. */
START_TEST(on_a_slow_disk_no_stream_is_written_before_the_other)
{
    struct sink_backend backend = sink_backend_system;
    struct ledger_document document;
    struct dao_text text = {""};
    unsigned first, behind;
    char *paths[2];
    int fd;

    backend.write_at = slow_write_at;
    begin(PIXELS);
    paths[0] = path;
    paths[1] = begin_second();
    config.paths = paths;
    config.path_count = 2;
    start(IO_ENGINE_PWRITE, FRAMES, &backend);
    fd = open_session();
    for (int64_t hang_ns = hang_after(); more_of_both() < WRITES * 9 / 10;)
        rest_until(hang_ns, "nothing is written");
    first = atomic_load(&first_writes);
    behind = atomic_load(&second_writes);
    behind = first < behind ? first : behind;
    ck_assert_uint_ge(4 * behind, WRITES * 9 / 10);
    ck_assert_int_eq(wait_for_end(), 0);
    ck_assert_msg(ledger_document_read(&document, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(document.ledger.stream_count, 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_eq(document.ledger.streams[i].counts.recorded, FRAMES);
    ledger_document_free(&document);
    close(fd);
    dao_segment_close(&second);
    free(paths[1]);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_fair");
    TCase *tc = tcase_create("recorder_fair");

    take_base_make();
    tcase_set_timeout(tc, 90);
    tcase_add_test(tc, on_a_slow_disk_no_stream_is_written_before_the_other);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
