/*
 * test_control.c - the control socket, with a recorder that answers when the test says so: clients
 * that ask, wait, go away, or sit there.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "serve/ask.h"
#include "serve/control.h"
#include "serve/socket.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define HANG_MS 30000

static struct take_folder folder;
static char path[SOCKET_PATH_BYTES];
static struct control *control;
static struct dao_text text;

/* ---- a recorder ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct request last;
    uint64_t token;
    unsigned count;
} taken = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* "now" is answered at once, "never" refused, all else when the test says so. */
static bool take(void *ctx, const struct request *request, uint64_t token, struct dao_text *why)
{
    ck_assert_ptr_eq(ctx, &taken);
    if (strcmp(request->verb, "never") == 0) {
        snprintf(why->s, sizeof why->s, "never");
        return false;
    }
    pthread_mutex_lock(&taken.lock);
    taken.last = *request;
    taken.token = token;
    taken.count++;
    pthread_cond_broadcast(&taken.changed);
    pthread_mutex_unlock(&taken.lock);
    if (strcmp(request->verb, "now") == 0)
        control_reply(control, token, strdup("{\"ok\":true}"));
    return true;
}

static uint64_t wait_for_taken(unsigned count)
{
    uint64_t token;

    pthread_mutex_lock(&taken.lock);
    while (taken.count < count)
        pthread_cond_wait(&taken.changed, &taken.lock);
    token = taken.token;
    pthread_mutex_unlock(&taken.lock);
    return token;
}

static void begin(void)
{
    const struct control_handler handler = {.take = take, .ctx = &taken};

    take_folder_make(&folder);
    snprintf(path, sizeof path, "%.100s/ctl", folder.path);
    ck_assert_msg(control_open(&control, path, &handler, &text) == 0, "%s", text.s);
    ck_assert_str_eq(control_path(control), path);
}

static void end(void)
{
    struct stat st;

    control_close(control);
    ck_assert_int_ne(lstat(path, &st), 0);
    take_folder_remove(&folder);
}

/* ---- clients ---- */

static int new_client(void)
{
    int fd = socket_connect(path, HANG_MS * 1000000ll, &text);

    ck_assert_msg(fd >= 0, "%s", text.s);
    return fd;
}

static void say(int fd, const char *line)
{
    ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
}

/* What there is to be read, up to a newline; "" at the end. */
static const char *hear(int fd)
{
    static char line[4096];
    struct pollfd item = {.fd = fd, .events = POLLIN};
    size_t used = 0;

    while (used < sizeof line - 1) {
        ssize_t n;

        ck_assert_int_eq(poll(&item, 1, HANG_MS), 1);
        n = recv(fd, line + used, 1, 0);
        if (n <= 0 || line[used] == '\n')
            break;
        used++;
    }
    line[used] = '\0';
    return line;
}

START_TEST(an_answer_comes_when_it_has_happened_and_not_before)
{
    struct pollfd item = {.events = POLLIN};
    uint64_t token;
    int fd;

    begin();
    item.fd = fd = new_client();
    say(fd, "{\"verb\":\"roll\",\"text\":\"x\",\"timeout_ms\":5}\n");
    token = wait_for_taken(1);
    ck_assert_str_eq(taken.last.verb, "roll");
    ck_assert_str_eq(taken.last.text, "x");
    ck_assert_int_eq(taken.last.timeout_ns, 5000000);
    ck_assert_int_eq(poll(&item, 1, 50), 0);
    control_reply(control, token, strdup("{\"ok\":true,\"done\":1}"));
    ck_assert_str_eq(hear(fd), "{\"ok\":true,\"done\":1}");
    say(fd, "{\"verb\":\"never\"}\n");
    ck_assert_str_eq(hear(fd), "{\"ok\":false,\"error\":\"never\"}");
    close(fd);
    end();
}
END_TEST

START_TEST(requests_of_one_client_are_taken_one_after_the_other)
{
    uint64_t first;
    int a, b;

    begin();
    a = new_client();
    b = new_client();
    say(a, "{\"verb\":\"one\"}\n{\"verb\":\"now\"}\n");
    first = wait_for_taken(1);
    say(b, "{\"verb\":\"now\"}\n"); /* another does not wait for it */
    ck_assert_str_eq(hear(b), "{\"ok\":true}");
    ck_assert_uint_eq(taken.count, 2);
    control_reply(control, first, strdup("{\"first\":1}"));
    ck_assert_str_eq(hear(a), "{\"first\":1}");
    ck_assert_str_eq(hear(a), "{\"ok\":true}");
    close(a);
    close(b);
    end();
}
END_TEST

START_TEST(an_answer_whose_client_is_gone_goes_nowhere)
{
    uint64_t token;
    int a, b;

    begin();
    a = new_client();
    say(a, "{\"verb\":\"slow\"}\n");
    token = wait_for_taken(1);
    close(a);
    b = new_client(); /* in its place, perhaps with its descriptor */
    say(b, "{\"verb\":\"now\"}\n");
    ck_assert_str_eq(hear(b), "{\"ok\":true}");
    say(b, "{\"verb\":\"slow\"}\n");
    ck_assert_uint_ne(wait_for_taken(3), token);
    control_reply(control, token, strdup("{\"wrong\":1}"));
    control_reply(control, taken.token, strdup("{\"right\":1}"));
    ck_assert_str_eq(hear(b), "{\"right\":1}");
    control_reply(control, 12345, NULL);
    close(b);
    end();
}
END_TEST

START_TEST(a_silent_client_makes_way_when_its_place_is_needed)
{
    int silent[CONTROL_CLIENTS_MAX], busy, late;

    begin();
    busy = new_client();
    say(busy, "{\"verb\":\"slow\"}\n");
    wait_for_taken(1);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX - 1; i++) {
        silent[i] = new_client();
        say(silent[i], "{\"verb\":\"now\"}\n");
        ck_assert_str_eq(hear(silent[i]), "{\"ok\":true}");
    }
    late = new_client();
    say(late, "{\"verb\":\"now\"}\n");
    ck_assert_str_eq(hear(late), "{\"ok\":true}");
    ck_assert_str_eq(hear(silent[0]), ""); /* who was silent for longest */
    control_reply(control, 1, strdup("{\"busy\":1}"));
    ck_assert_str_eq(hear(busy), "{\"busy\":1}");
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX - 1; i++)
        close(silent[i]);
    close(busy);
    close(late);
    end();
}
END_TEST

START_TEST(who_waits_at_the_end_is_told_that_it_has_come)
{
    uint64_t token;
    int a, b;

    begin();
    a = new_client();
    say(a, "{\"verb\":\"slow\"}\n");
    token = wait_for_taken(1);
    b = new_client();
    say(b, "{\"verb\":\"slow\"}\n");
    wait_for_taken(2);
    control_reply(control, token, strdup("{\"last\":1}"));
    end();
    ck_assert_str_eq(hear(a), "{\"last\":1}");
    ck_assert_ptr_nonnull(strstr(hear(b), "the recorder has ended"));
    close(a);
    close(b);
}
END_TEST

START_TEST(a_client_that_does_not_read_is_no_longer_heard)
{
    char *large = malloc(1 << 20);
    uint64_t token;
    int a, b;

    begin();
    a = new_client();
    say(a, "{\"verb\":\"slow\"}\n{\"verb\":\"slow\"}\n");
    token = wait_for_taken(1);
    memset(large, 'x', 1 << 20);
    large[(1 << 20) - 1] = '\0';
    control_reply(control, token, large); /* more than the system takes for it */
    b = new_client();
    for (int i = 0; i < 20; i++) {
        say(b, "{\"verb\":\"now\"}\n");
        ck_assert_str_eq(hear(b), "{\"ok\":true}");
    }
    ck_assert_uint_eq(taken.count, 21); /* its second request waits until it has read */
    close(a);
    close(b);
    end();
}
END_TEST

START_TEST(its_thread_takes_no_signal)
{
    struct timespec rest = {.tv_nsec = 1000000};
    sigset_t asked, pending;

    begin();
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &asked, NULL);
    kill(getpid(), SIGTERM);
    for (int i = 0; i < 20; i++)
        nanosleep(&rest, NULL);
    sigpending(&pending);
    ck_assert_int_eq(sigismember(&pending, SIGTERM), 1);
    end();
}
END_TEST

/* ---- where it is ---- */

START_TEST(two_that_start_at_once_do_not_both_listen)
{
    struct socket_place places[2];
    int first, second;

    take_folder_make(&folder);
    snprintf(path, sizeof path, "%.100s/ctl", folder.path);
    first = socket_listen(&places[0], path, &text);
    ck_assert_msg(first >= 0, "%s", text.s);
    second = socket_listen(&places[1], path, &text);
    ck_assert_int_eq(second, -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(text.s, "another recorder"));
    close(first); /* as a process that was killed leaves it */
    second = socket_listen(&places[1], path, &text);
    ck_assert_msg(second >= 0, "%s", text.s);
    socket_remove(&places[0]); /* not its own any more, unless its inode was used again */
    close(second);
    socket_remove(&places[1]);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(who_asks_waits_for_the_time_it_gave_and_the_recorder_has_less)
{
    const int64_t given_ns[] = {1000000, 400000000};

    begin();
    for (unsigned i = 0; i < 2; i++) {
        int64_t begin_ns = dao_clock_mono_ns();
        struct dao_text why = {""};

        ck_assert_ptr_null(ask(path, "later", NULL, given_ns[i], &why)); /* never answered */
        ck_assert_int_ge(dao_clock_mono_ns() - begin_ns, given_ns[i]);
        ck_assert_ptr_nonnull(strstr(why.s, "not answered in time, and may still do"));
        wait_for_taken(i + 1);
        ck_assert_int_le(taken.last.timeout_ns, given_ns[i] == 1000000 ? 1000000 : 300000000);
    }
    end();
}
END_TEST

START_TEST(who_asks_a_recorder_that_takes_no_connections_waits_no_longer_than_it_gave)
{
    struct socket_place place;
    struct dao_text why = {""};
    int fds[64], listener;

    take_folder_make(&folder);
    snprintf(path, sizeof path, "%.100s/ctl", folder.path);
    listener = socket_listen(&place, path, &text);
    ck_assert_int_ge(listener, 0);
    for (unsigned i = 0; i < 64; i++) /* until no more can wait */
        fds[i] = socket_connect(path, 1000000, &text);
    ck_assert_int_eq(fds[63], -EAGAIN);
    ck_assert_ptr_null(ask(path, "now", NULL, 100000000, &why));
    ck_assert_ptr_nonnull(strstr(why.s, "not answered in time"));
    for (unsigned i = 0; i < 64 && fds[i] >= 0; i++)
        close(fds[i]);
    close(listener);
    socket_remove(&place);
    take_folder_remove(&folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tc = tcase_create("control");

    take_base_make();
    tcase_add_test(tc, an_answer_comes_when_it_has_happened_and_not_before);
    tcase_add_test(tc, requests_of_one_client_are_taken_one_after_the_other);
    tcase_add_test(tc, an_answer_whose_client_is_gone_goes_nowhere);
    tcase_add_test(tc, a_silent_client_makes_way_when_its_place_is_needed);
    tcase_add_test(tc, who_waits_at_the_end_is_told_that_it_has_come);
    tcase_add_test(tc, a_client_that_does_not_read_is_no_longer_heard);
    tcase_add_test(tc, its_thread_takes_no_signal);
    tcase_add_test(tc, who_asks_waits_for_the_time_it_gave_and_the_recorder_has_less);
    tcase_add_test(tc, who_asks_a_recorder_that_takes_no_connections_waits_no_longer_than_it_gave);
    tcase_add_test(tc, two_that_start_at_once_do_not_both_listen);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
