/*
 * test_api_log.c - dao.h: messages, and which of them are printed.
 *
 * A socket that keeps writes apart takes the place of stderr, so that a line in two writes shows.
 */
#include "tests/support/api_bed.h"

#include <sys/socket.h>

#define ALWAYS (-1)

static int lines_fd;

static void catch_lines(void)
{
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    close(ends[1]);
    lines_fd = ends[0];
}

/* The next write to stderr, or NULL. */
static const char *next_line(void)
{
    static char line[8192];
    ssize_t n = recv(lines_fd, line, sizeof line - 1, MSG_DONTWAIT);

    if (n < 0)
        return NULL;
    line[n] = '\0';
    return line;
}

static void expect_line(const char *line)
{
    const char *found = next_line();

    ck_assert_msg(found != NULL, "no line instead of: %s", line);
    ck_assert_str_eq(found, line);
    ck_assert_ptr_null(next_line());
}

static void expect_line_if(bool expected, const char *line)
{
    if (expected)
        expect_line(line);
    else
        ck_assert_ptr_null(next_line());
}

/* "[label] function:line: text\n" of the caller's line. */
#define PREFIXED(label, line_number, text) prefixed(label, __func__, line_number, text)

static const char *prefixed(const char *label, const char *function, int line_number,
                            const char *text)
{
    static char line[400];

    snprintf(line, sizeof line, "[%s] %s:%d: %s\n", label, function, line_number, text);
    return line;
}

/* Let stdout go to a file; what comes in is given by printed(). */
static void catch_stdout(void)
{
    int fd = open(testbed_path("stdout"), O_CREAT | O_TRUNC | O_RDWR, 0644);

    fflush(stdout);
    ck_assert_int_ge(dup2(fd, STDOUT_FILENO), 0);
    close(fd);
}

static const char *printed(void)
{
    static char text[1000];
    ssize_t n;

    fflush(stdout);
    n = pread(STDOUT_FILENO, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static const char *volatile no_format; /* NULL, which a compiler need not know */

/* ---- the library's own ---- */

START_TEST(messages_are_filtered_by_the_level)
{
    IMAGE image;
    uint32_t size[] = {4, 2};

    ck_assert_int_eq(daoGetLogLevel(), DAO_WARNING);
    ck_assert_int_eq(daoLogLevel, 0);
    daoSetLogLevel(DAO_INFO);
    ck_assert_int_eq(daoGetLogLevel(), DAO_INFO);
    image = create("level", 2);
    ck_assert_int_eq(daoShmCloseShm(&image), DAO_SUCCESS);
    daoSetLogLevel(-5); /* errors come at any level */
    forget_messages();
    ck_assert_int_eq(daoShmImageCreate(&image, testbed_path("level"), 9, size, 3, 1, 0), DAO_ERROR);
    ck_assert_ptr_nonnull(strstr(messages(), "[error]"));
}
END_TEST

/* ---- macros ---- */

START_TEST(a_macro_prints_where_the_level_reaches_it)
{
    static const int levels[] = {-5, -1, DAO_WARNING, DAO_INFO, DAO_DEBUG, DAO_TRACE, 100};
    int level = levels[_i];

    catch_lines();
    daoSetLogLevel(level);
    ck_assert_int_eq(daoGetLogLevel(), level);
    ck_assert_int_eq(daoLogLevel, level);
    daoError("text %d", 1);
    expect_line(PREFIXED("error", __LINE__ - 1, "text 1"));
    daoWarning("text %d", 2);
    expect_line_if(level >= 0, PREFIXED("warning", __LINE__ - 1, "text 2"));
    daoInfo("text %d", 3);
    expect_line_if(level >= 1, PREFIXED("info", __LINE__ - 1, "text 3"));
    daoDebug("text %d", 4);
    expect_line_if(level >= 2, PREFIXED("debug", __LINE__ - 1, "text 4"));
    daoTrace("text %d", 5);
    expect_line_if(level >= 3, PREFIXED("trace", __LINE__ - 1, "text 5"));
}
END_TEST

START_TEST(programs_may_set_the_level_by_its_variable)
{
    catch_lines();
    daoLogLevel = DAO_INFO;
    ck_assert_int_eq(daoGetLogLevel(), DAO_INFO);
    daoInfo("seen");
    expect_line(PREFIXED("info", __LINE__ - 1, "seen"));
    daoLogSetLevel(LOG_LEVEL_TRACE); /* that of the functions is another */
    daoDebug("not seen");
    ck_assert_ptr_null(next_line());
}
END_TEST

START_TEST(a_macro_is_one_statement_and_evaluates_once)
{
    int count = 0;

    catch_lines();
    if (count)
        daoError("no");
    else
        daoError("%d", ++count);
    expect_line(PREFIXED("error", __LINE__ - 1, "1"));
    ck_assert_int_eq(count, 1);
}
END_TEST

START_TEST(a_newline_is_added_where_there_is_none)
{
    catch_lines();
    daoError("with\n");
    expect_line(PREFIXED("error", __LINE__ - 1, "with"));
    daoError("without");
    expect_line(PREFIXED("error", __LINE__ - 1, "without"));
    daoError("in\nside");
    expect_line(PREFIXED("error", __LINE__ - 1, "in\nside"));
    daoError("%s", "");
    expect_line(PREFIXED("error", __LINE__ - 1, ""));
    ck_assert_int_eq(daoLog(LOG_LEVEL_ERROR, "with\n"), DAO_SUCCESS);
    expect_line("[error] with\n");
    ck_assert_int_eq(daoLog(LOG_LEVEL_ERROR, "%s", ""), DAO_SUCCESS);
    expect_line("[error] \n");
}
END_TEST

/* Lengths on both sides of every place where a line could be cut. */
START_TEST(a_line_of_any_length_is_one_write_and_one_line)
{
    static char text[5001];
    const char *line;

    catch_lines();
    for (size_t length = 1; length <= 5000; length += length >= 1950 && length < 2100 ? 1 : 50) {
        memset(text, 'x', length);
        if (length > 1 && _i)
            text[length - 1] = '\n';
        text[length] = '\0';
        ck_assert_int_eq(daoLogError("%s", text), DAO_SUCCESS);
        line = next_line();
        ck_assert_ptr_nonnull(line);
        ck_assert_ptr_null(next_line());
        ck_assert_int_eq(strncmp(line, "[error] xx", length > 2 ? 10 : 9), 0);
        ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
        ck_assert_uint_eq(strspn(line + 8, "x"), strlen(line) - 9);
        if (length <= 2000)
            ck_assert_uint_eq(strlen(line), 8 + length + (_i == 0 || length == 1));
        ck_assert_uint_le(strlen(line), 8 + length + 1);
    }
    memset(text, 'x', 5000);
    daoWarning("%s", text);
    line = next_line();
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(strncmp(line, "[warning] a_line_of_any_length", 30), 0);
    ck_assert_int_eq(line[strlen(line) - 1], '\n');
    ck_assert_ptr_null(next_line());
}
END_TEST

START_TEST(errno_is_kept)
{
    int full = open("/dev/full", O_WRONLY);

    catch_stdout();
    daoSetLogLevel(DAO_TRACE);
    for (int i = 0; i < 2; i++) {
        errno = 1234;
        daoError("%s", "x");
        daoTrace("%s", "x");
        daoPrint("%s", "");
        (void)daoLog(LOG_LEVEL_ERROR, "x");
        (void)daoLogError("x");
        (void)daoLogTrace("x");
        (void)daoLogPrint("%s", "");
        daoSetLogLevel(DAO_TRACE);
        daoLogSetLevel(LOG_LEVEL_TRACE);
        ck_assert_int_eq(errno, 1234);
        ck_assert_int_ge(dup2(full, STDERR_FILENO), 0); /* again, where writing fails */
    }
    close(full);
}
END_TEST

START_TEST(what_the_macros_call_returns_whether_the_line_was_written)
{
    int full = open("/dev/full", O_WRONLY);

    catch_lines();
    ck_assert_int_eq(daoLogAt(ALWAYS, "f", 7, "text"), DAO_SUCCESS);
    expect_line("[error] f:7: text\n");
    ck_assert_int_eq(daoLogAt(DAO_WARNING, NULL, 7, "text"), DAO_SUCCESS);
    expect_line("[warning] ?:7: text\n");
    ck_assert_int_eq(daoLogAt(DAO_INFO, "f", 7, "text"), DAO_SUCCESS); /* filtered */
    ck_assert_int_eq(daoLogAt(DAO_WARNING, "f", 7, no_format, 0), DAO_ERROR);
    daoSetLogLevel(100);
    ck_assert_int_eq(daoLogAt(ALWAYS - 1, "f", 7, "text"), DAO_ERROR);
    ck_assert_int_eq(daoLogAt(DAO_TRACE + 1, "f", 7, "text"), DAO_ERROR);
    ck_assert_ptr_null(next_line());
    ck_assert_int_ge(dup2(full, STDERR_FILENO), 0);
    ck_assert_int_eq(daoLogAt(ALWAYS, "f", 7, "text"), DAO_ERROR);
    ck_assert_int_eq(daoLogError("text"), DAO_ERROR);
    close(full);
}
END_TEST

/* ---- functions ---- */

/* Each with its own level, by its own name and through daoLog(). */
static const struct {
    int_fast8_t (*log)(const char *fmt, ...);
    const char *label;
} functions[] = {{daoLogError, "error"},
                 {daoLogWarning, "warning"},
                 {daoLogInfo, "info"},
                 {daoLogDebug, "debug"},
                 {daoLogTrace, "trace"}};

START_TEST(a_function_prints_where_its_level_is_reached)
{
    int level = _i - 1; /* -1: none */
    char line[80];

    catch_lines();
    daoSetLogLevel(level % 2 ? 100 : -5); /* that of the macros is another */
    daoLogSetLevel(level);
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_TRACE; i++) {
        snprintf(line, sizeof line, "[%s] text %d\n", functions[i].label, i);
        ck_assert_int_eq(functions[i].log("text %d", i), DAO_SUCCESS);
        expect_line_if(i <= level, line);
        ck_assert_int_eq(daoLog(i, "text %d", i), DAO_SUCCESS);
        expect_line_if(i <= level, line);
    }
}
END_TEST

START_TEST(the_functions_level_is_info_by_default)
{
    catch_lines();
    ck_assert_int_eq(DEFAULT_LOG_LEVEL, LOG_LEVEL_INFO);
    ck_assert_int_eq(daoLogInfo("seen"), DAO_SUCCESS);
    expect_line("[info] seen\n");
    ck_assert_int_eq(daoLogDebug("not seen"), DAO_SUCCESS);
    ck_assert_ptr_null(next_line());
}
END_TEST

START_TEST(no_format_and_no_level_are_errors)
{
    catch_lines();
    daoLogSetLevel(100);
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_TRACE; i++) {
        ck_assert_int_eq(functions[i].log(no_format), DAO_ERROR);
        ck_assert_int_eq(daoLog(i, no_format, 0), DAO_ERROR);
    }
    ck_assert_int_eq(daoLog(LOG_LEVEL_ERROR - 1, "text"), DAO_ERROR);
    ck_assert_int_eq(daoLog(LOG_LEVEL_TRACE + 1, "text"), DAO_ERROR);
    ck_assert_int_eq(daoLogPrint(no_format, 0), DAO_ERROR);
    ck_assert_int_eq(daoPrintAt("f", 7, no_format, 0), DAO_ERROR);
    ck_assert_ptr_null(next_line());
}
END_TEST

/* ---- stdout ---- */

START_TEST(prints_go_to_stdout_as_they_stand_at_any_level)
{
    char expected[200];
    int line;

    catch_stdout();
    catch_lines();
    daoSetLogLevel(-5);
    daoLogSetLevel(-5);
    printf("a ");
    daoPrint("b %d ", 1);
    line = __LINE__ - 1;
    printf("c ");
    ck_assert_int_eq(daoLogPrint("d %d ", 2), DAO_SUCCESS);
    printf("e ");
    ck_assert_int_eq(daoPrintAt("f", 7, "g\n\n"), DAO_SUCCESS);
    ck_assert_int_eq(daoPrintAt(NULL, 7, "%s", ""), DAO_SUCCESS);
    snprintf(expected, sizeof expected, "a %s:%d: b 1 c d 2 e f:7: g\n\n?:7: ", __func__, line);
    ck_assert_str_eq(printed(), expected);
    ck_assert_ptr_null(next_line()); /* nothing on stderr */
}
END_TEST

START_TEST(a_print_that_cannot_be_written_is_an_error)
{
    int full = open("/dev/full", O_WRONLY);

    fflush(stdout);
    ck_assert_int_ge(dup2(full, STDOUT_FILENO), 0);
    setvbuf(stdout, NULL, _IONBF, 0); /* otherwise it is written later */
    ck_assert_int_eq(daoLogPrint("text"), DAO_ERROR);
    ck_assert_int_eq(daoPrintAt("f", 7, "text"), DAO_ERROR);
    close(full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api_log");
    TCase *tcase;

    tcase = api_add(suite, "the library's own");
    tcase_add_test(tcase, messages_are_filtered_by_the_level);
    tcase = api_add(suite, "macros");
    tcase_add_loop_test(tcase, a_macro_prints_where_the_level_reaches_it, 0, 7);
    tcase_add_test(tcase, programs_may_set_the_level_by_its_variable);
    tcase_add_test(tcase, a_macro_is_one_statement_and_evaluates_once);
    tcase_add_test(tcase, a_newline_is_added_where_there_is_none);
    tcase_add_loop_test(tcase, a_line_of_any_length_is_one_write_and_one_line, 0, 2);
    tcase_add_test(tcase, errno_is_kept);
    tcase_add_test(tcase, what_the_macros_call_returns_whether_the_line_was_written);
    tcase = api_add(suite, "functions");
    tcase_add_loop_test(tcase, a_function_prints_where_its_level_is_reached, 0, 6);
    tcase_add_test(tcase, the_functions_level_is_info_by_default);
    tcase_add_test(tcase, no_format_and_no_level_are_errors);
    tcase = api_add(suite, "stdout");
    tcase_add_test(tcase, prints_go_to_stdout_as_they_stand_at_any_level);
    tcase_add_test(tcase, a_print_that_cannot_be_written_is_an_error);
    return testbed_run(suite);
}
