/*
 * test_watchdog.c - what a service manager hears of a recorder, through a socket of the test's own:
 * it is fed while everything moves, also without a frame, and not while the disk, and with it the
 * writer, hangs. And the pulses of threads, by themselves.
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/pulse.h"
#include "record/service.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

/* ---- pulses ---- */

START_TEST(a_pulse_that_was_never_moved_is_at_rest_and_never_late)
{
    struct pulse pulse = {0};

    ck_assert_int_eq(pulse_look(&pulse, 1000), 0);
    ck_assert_int_eq(pulse_look(&pulse, 1000000), 0);
}
END_TEST

START_TEST(a_thread_at_work_is_late_by_the_time_since_it_was_last_seen_to_move)
{
    struct pulse pulse = {0};

    pulse_move(&pulse);
    ck_assert_int_eq(pulse_look(&pulse, 1000), 0);
    ck_assert_int_eq(pulse_look(&pulse, 1700), 700);
    ck_assert_int_eq(pulse_look(&pulse, 9000), 8000);
    pulse_move(&pulse);
    ck_assert_int_eq(pulse_look(&pulse, 9500), 0);
    ck_assert_int_eq(pulse_look(&pulse, 9600), 100);
}
END_TEST

START_TEST(a_thread_at_rest_is_not_late_however_often_it_rests)
{
    struct pulse pulse = {0};

    pulse_move(&pulse);
    pulse_look(&pulse, 1000);
    pulse_rest(&pulse);
    ck_assert_int_eq(pulse_look(&pulse, 5000), 0);
    pulse_rest(&pulse);
    ck_assert_int_eq(pulse_look(&pulse, 9000), 0);
    pulse_move(&pulse);
    ck_assert_int_eq(pulse_look(&pulse, 9100), 0);
    ck_assert_int_eq(pulse_look(&pulse, 9300), 200);
}
END_TEST

static struct record_stream stream;
static struct record_stream *const streams[] = {&stream};
static struct keeper opener, closer;
static struct writer writer = {.opener = &opener, .closer = &closer};

/* Alone it moves, and then not: who is it that the message names? */
static void check_stuck(struct pulse *pulse, const char *name)
{
    struct service service = {.streams = streams, .count = 1, .writer = &writer};
    char text[160] = "";

    pulse_move(pulse);
    ck_assert(!service_find_stuck(&service, 500, 1000, text, sizeof text));
    ck_assert(!service_find_stuck(&service, 500, 1500, text, sizeof text));
    ck_assert(service_find_stuck(&service, 500, 1501, text, sizeof text));
    ck_assert_msg(strstr(text, name), "'%s' does not name %s", text, name);
    pulse_move(pulse);
    ck_assert(!service_find_stuck(&service, 500, 1502, text, sizeof text));
    pulse_rest(pulse);
    ck_assert(!service_find_stuck(&service, 500, 9999, text, sizeof text));
}

START_TEST(whichever_thread_stands_still_is_named)
{
    snprintf(stream.name, sizeof stream.name, "wfs");
    check_stuck(&stream.pulse, "drain of wfs");
    check_stuck(&stream.disk_pulse, "disk was given of wfs");
    check_stuck(&writer.pulse, "writer");
    check_stuck(&opener.pulse, "opens");
    check_stuck(&closer.pulse, "closes");
}
END_TEST

/* ---- a manager ---- */

static int manager_fd;

static void start_manager(const char *watchdog_us)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval hang = {.tv_sec = HANG_S};
    char name[64];
    socklen_t bytes;
    int length;

    /* An abstract one: a folder's name may be too long for an address. */
    length = snprintf(name, sizeof name, "@daorec-watchdog-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
    bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
    manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(manager_fd, (struct sockaddr *)&address, bytes), 0);
    setsockopt(manager_fd, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang);
    setenv("NOTIFY_SOCKET", name, 1);
    setenv("WATCHDOG_USEC", watchdog_us, 1);
    unsetenv("WATCHDOG_PID");
}

static void stop_manager(void)
{
    close(manager_fd);
    unsetenv("NOTIFY_SOCKET");
}

/* Messages up to the first with `part`; how many held `counted`, of those before. */
static unsigned hear(const char *part, const char *counted)
{
    char message[2048];
    unsigned count = 0;

    for (int64_t hang_ns = hang_after();;) {
        ssize_t n = recv(manager_fd, message, sizeof message - 1, 0);

        check_hang(hang_ns, part);
        ck_assert_msg(n >= 0, "%d s, and nobody has said %s", HANG_S, part);
        message[n] = '\0';
        if (strstr(message, part))
            return count;
        count += counted && strstr(message, counted);
    }
}

/* What has been said by now, and not heard. */
static bool is_said(const char *part)
{
    char message[2048];
    ssize_t n;

    while ((n = recv(manager_fd, message, sizeof message - 1, MSG_DONTWAIT)) >= 0) {
        message[n] = '\0';
        if (strstr(message, part))
            return true;
    }
    return false;
}

/* ---- a recorder that is watched ---- */

START_TEST(a_recorder_says_ready_is_fed_without_a_frame_and_says_that_it_stops)
{
    begin(100);
    start_manager("2000000");
    start(IO_ENGINE_AUTO, 100, NULL);
    hear("READY=1\nSTATUS=", NULL);
    for (unsigned i = 0; i < 4; i++) /* half a second apart: for longer than it may stand still */
        hear("WATCHDOG=1", NULL);
    publish(100);
    ck_assert_uint_eq(hear("STOPPING=1", "drain of"), 0);
    ck_assert_int_eq(wait_for_end(), 0);
    ck_assert(!is_said("WATCHDOG=1"));
    stop_manager();
    end();
}
END_TEST

START_TEST(while_the_disk_hangs_the_watchdog_is_not_fed)
{
    begin(100);
    start_manager("2000000");
    config.stream.rolling.frames = 100;
    start(IO_ENGINE_PWRITE, 900, gate_backend());
    hear("READY=1", NULL);
    publish(150);
    hear("WATCHDOG=1", NULL);
    hold_disk(true);
    publish(150);
    hear("has not moved for", NULL);
    for (unsigned i = 0; i < 500; i++) { /* a second, in which it would have been fed */
        ck_assert(!is_said("WATCHDOG=1"));
        rest();
    }
    hold_disk(false);
    hear("WATCHDOG=1", NULL);
    publish(600);
    hear("STOPPING=1", NULL);
    ck_assert_int_eq(wait_for_end(), 0);
    stop_manager();
    end();
}
END_TEST

START_TEST(who_is_not_the_watched_process_feeds_nobody)
{
    struct notify notify;

    begin(100);
    start_manager("2000000");
    notify_open(&notify);
    ck_assert_int_eq(notify.watchdog_ns, 2000000000ll);
    close(manager_fd); /* one that has gone stops nobody */
    notify_send(&notify, "WATCHDOG=1");
    notify_close(&notify);
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&notify);
    ck_assert_int_ge(notify.fd, 0);
    ck_assert_int_eq(notify.watchdog_ns, 0);
    notify_close(&notify);
    setenv("NOTIFY_SOCKET", "relative/path", 1);
    notify_open(&notify);
    ck_assert_int_eq(notify.fd, -1);
    notify_send(&notify, "WATCHDOG=1");
    notify_close(&notify);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("watchdog");
    TCase *pulses = tcase_create("pulses"), *manager = tcase_create("manager");

    take_base_make();
    tcase_set_timeout(manager, 3 * HANG_S);
    tcase_add_test(pulses, a_pulse_that_was_never_moved_is_at_rest_and_never_late);
    tcase_add_test(pulses, a_thread_at_work_is_late_by_the_time_since_it_was_last_seen_to_move);
    tcase_add_test(pulses, a_thread_at_rest_is_not_late_however_often_it_rests);
    tcase_add_test(pulses, whichever_thread_stands_still_is_named);
    tcase_add_test(manager, a_recorder_says_ready_is_fed_without_a_frame_and_says_that_it_stops);
    tcase_add_test(manager, while_the_disk_hangs_the_watchdog_is_not_fed);
    tcase_add_test(manager, who_is_not_the_watched_process_feeds_nobody);
    suite_add_tcase(suite, pulses);
    suite_add_tcase(suite, manager);
    return suite_run(suite);
}
