/* test_output.c - what is printed to a terminal that takes no more of it for a while. */
#include <check.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/output.h"
#include "tests/support/suite.h"

#define MANY 100000u /* bytes: more than a terminal holds */

static int master, terminal;
static char taken[2 * MANY];

/* Each test is its own process. */
static void begin(void)
{
    struct termios raw = {.c_cflag = CS8 | CREAD};

    ck_assert_int_eq(openpty(&master, &terminal, NULL, &raw, NULL), 0);
    ck_assert_int_eq(dup2(terminal, STDOUT_FILENO), STDOUT_FILENO);
    ck_assert_int_eq(output_guard(), 0);
    output_wait_at_most(1000000);
}

static bool is_ready(int fd, short what)
{
    struct pollfd event = {.fd = fd, .events = what};

    return poll(&event, 1, 10) > 0 && (event.revents & what);
}

/* What comes, up to this (else the test times out); NULL: until there is room for more. The system
 * hands it on when it likes. */
static const char *take(const char *end)
{
    static size_t used;
    size_t tail = end ? strlen(end) : 0;

    while (end ? used < tail || strcmp(taken + used - tail, end) != 0
               : !is_ready(terminal, POLLOUT)) {
        ssize_t n =
            is_ready(master, POLLIN) ? read(master, taken + used, sizeof taken - used - 1) : 0;

        ck_assert_int_ge(n, 0);
        used += (size_t)n;
        taken[used] = '\0';
    }
    return taken;
}

START_TEST(after_a_summary_that_was_given_up_the_next_one_arrives_and_is_no_failure)
{
    begin();
    for (unsigned i = 0; i < MANY; i++)
        putchar('x');
    ck_assert(!output_flush("", false));
    take(NULL);
    printf("next\n");
    ck_assert(output_flush("", false));
    ck_assert_str_eq(take("next\n") + strspn(taken, "x"), "\nnext\n");
}
END_TEST

/* Nothing of it is waited for, and it is told each time. */
START_TEST(a_terminal_that_is_stopped_is_tried_again_by_each)
{
    begin();
    ck_assert_int_eq(tcflow(terminal, TCOOFF), 0);
    for (unsigned i = 0; i < 3; i++) {
        printf("one\ntwo\n");
        ck_assert(!output_flush("", false));
    }
    ck_assert_int_eq(tcflow(terminal, TCOON), 0);
    printf("next\n");
    ck_assert(output_flush("", true));
    ck_assert_str_eq(take("next\n"), "next\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("output");
    TCase *tcase = tcase_create("output");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, after_a_summary_that_was_given_up_the_next_one_arrives_and_is_no_failure);
    tcase_add_test(tcase, a_terminal_that_is_stopped_is_tried_again_by_each);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
