/*
 * test_lane_end.c - what happens before a stream's first turn in a lane, while that is held up:
 * frames come, signals come, the session ends. What is touched then is
 * there yet, which the build with AddressSanitizer sees.
 */
#include <dlfcn.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>

#include "recording/ledger.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

static atomic_bool is_slow, is_ringing;
static atomic_uint published_late; /* frames between attaching and the first turn */

/* That of the C library, held up where a drain hands a stream on; and a look at it that is seen. */
int sem_post(sem_t *bell)
{
    int (*real)(sem_t *) = (int (*)(sem_t *))dlsym(RTLD_NEXT, "sem_post");
    char name[17] = "";

    prctl(PR_GET_NAME, name);
    if (strcmp(name, "drain") == 0 && atomic_load(&is_slow)) {
        atomic_store(&is_ringing, true);
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    (void)*(volatile char *)bell;
    return real(bell);
}

/* The session's thread calls it for a lane: attached to the segments it has, none is given yet. */
int pthread_setname_np(pthread_t named, const char *name)
{
    int (*real)(pthread_t, const char *) =
        (int (*)(pthread_t, const char *))dlsym(RTLD_NEXT, "pthread_setname_np");

    if (strcmp(name, "drain") == 0)
        publish(atomic_exchange(&published_late, 0));
    return real(named, name);
}

START_TEST(a_lane_is_there_until_nobody_rings_its_bell_any_more)
{
    char *paths[2];

    block_stop();
    begin(64);
    paths[0] = path;
    ck_assert_int_ge(asprintf(&paths[1], "%s/never.im.shm", place.path), 0);
    config.paths = paths;
    config.path_count = 2;
    start(IO_ENGINE_PWRITE, 0, NULL);
    publish(10);
    wait_for_file();
    atomic_store(&is_slow, true);
    ck_assert_int_eq(unlink(path), 0);
    for (int64_t hang_ns = hang_after(); !atomic_load(&is_ringing);)
        rest_until(hang_ns, "the stream is not handed on");
    kill(getpid(), SIGTERM);
    ck_assert_int_eq(wait_for_end(), 0);
    free(paths[1]);
    end();
}
END_TEST

/* What was wanted at the first signal is booked when its segment is found cut, in one lane, and
 * given up by the second signal before its turn in the other. */
START_TEST(what_is_booked_as_gone_is_not_booked_again_when_it_is_given_up)
{
    struct dao_segment first, other;
    struct dao_geometry geometry;
    uint32_t pixels = 4096;
    char *paths[2];

    block_stop();
    begin(pixels);
    first = segment;
    paths[0] = path;
    ck_assert_int_ge(asprintf(&paths[1], "%s/other.im.shm", place.path), 0);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &pixels, _DATATYPE_UINT16, DEPTH, 0, NULL), 0);
    ck_assert_int_eq(dao_segment_create(&other, paths[1], &geometry, NULL), 0);
    config.paths = paths;
    config.path_count = 2;
    config.stream.rolling.frames = 4000;
    start(IO_ENGINE_PWRITE, 0, gate_backend());
    publish(10);
    wait_for_file();
    hold_disk(true);
    publish(DEPTH - 10); /* more than there is memory for */
    kill(getpid(), SIGTERM);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    atomic_store(&is_slow, true);
    ck_assert_int_eq(truncate(path, 0), 0);
    for (int64_t hang_ns = hang_after(); !atomic_load(&is_ringing);)
        rest_until(hang_ns, "the stream is not handed on");
    kill(getpid(), SIGTERM);
    hold_disk(false);
    ck_assert_int_eq(wait_for_end(), 3); /* 1: the ledger does not balance */
    dao_segment_close(&other);
    segment = first;
    free(paths[1]);
    end();
}
END_TEST

/* A FIFO holds a frame less than it is deep. _i: of those that come late none is lost, or some. */
START_TEST(a_backlog_is_what_is_still_there_at_the_first_turn)
{
    static const unsigned late[] = {5, DEPTH - 1, DEPTH + 9};
    unsigned lost = _i == 2 ? 10 : 0;
    struct ledger_document document;
    struct dao_text text = {""};
    const struct ledger_counts *counts;
    int fd;

    block_stop();
    begin(64);
    publish(DEPTH + 100);
    atomic_store(&published_late, late[_i]);
    config.stream.rolling.frames = 4000;
    start(IO_ENGINE_PWRITE, DEPTH - 1, NULL);
    fd = open_session();
    ck_assert_int_eq(wait_for_end(), lost ? 3 : 0);
    ck_assert_uint_eq(atomic_load(&published_late), 0);
    ck_assert_msg(ledger_document_read(&document, fd, &text) == 0, "%s", text.s);
    counts = &document.ledger.streams[0].counts;
    ck_assert_uint_eq(counts->recorded, DEPTH - 1);
    ck_assert_uint_eq(counts->lost_by[LEDGER_LAPPED], lost);
    ck_assert_uint_eq(ledger_lost(counts), lost);
    ck_assert_int_eq(counts->run.last_cnt0, DEPTH + 100 + late[_i]);
    ledger_document_free(&document);
    close(fd);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lane_end");
    TCase *tc = tcase_create("lane_end");

    take_base_make();
    tcase_set_timeout(tc, 90);
    tcase_add_test(tc, a_lane_is_there_until_nobody_rings_its_bell_any_more);
    tcase_add_test(tc, what_is_booked_as_gone_is_not_booked_again_when_it_is_given_up);
    tcase_add_loop_test(tc, a_backlog_is_what_is_still_there_at_the_first_turn, 0, 3);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
