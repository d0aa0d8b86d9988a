/* test_order.c - orders for a running recorder: their words, their queue, their answers; requests
 * of the control protocol. */
#include <check.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "record/order.h"
#include "serve/request.h"
#include "tests/support/suite.h"

#define TEXT_MAX (LEDGER_MARK_BYTES - 1)

static struct dao_text why;
static struct order order;

/* ---- words ---- */

START_TEST(every_verb_is_known_and_only_a_mark_has_a_text)
{
    for (int i = 0; order_names[i]; i++) {
        const char *right = i == ORDER_MARK ? "loop closed" : NULL;
        const char *wrong = i == ORDER_MARK ? NULL : "loop closed";

        ck_assert_msg(order_parse(&order, order_names[i], right, &why) == 0, "%s", why.s);
        ck_assert_int_eq(order.verb, i);
        ck_assert_str_eq(order.text, right ? right : "");
        ck_assert_int_lt(order_parse(&order, order_names[i], wrong, &why), 0);
    }
    ck_assert_int_lt(order_parse(&order, "mark", "", &why), 0);
    ck_assert_int_lt(order_parse(&order, "mark", "   ", &why), 0);
    ck_assert_int_lt(order_parse(&order, "roll", " ", &why), 0);
    ck_assert_int_eq(order_parse(&order, "status", "", &why), 0);
}
END_TEST

START_TEST(a_misspelt_verb_is_answered_with_the_nearest)
{
    ck_assert_int_lt(order_parse(&order, "rol", NULL, &why), 0);
    ck_assert_ptr_nonnull(strstr(why.s, "did you mean 'roll'?"));
    ck_assert_int_lt(order_parse(&order, "explode", NULL, &why), 0);
    ck_assert_ptr_nonnull(strstr(why.s, "status, start, stop, roll, mark, reload"));
}
END_TEST

static const struct {
    const char *text;
    int good;
} texts[] = {
    {"M2 flattened, seeing 0.6\"", 1},
    {"na\xc3\xafve \xe2\x82\xac \xf0\x9f\x94\xad", 1},
    {"two\nlines", 0},
    {"tab\there", 0},
    {"\x7f", 0},
    {"\xc2\x85", 0},         /* a control character beyond ASCII */
    {"\xff", 0},             /* no UTF-8 */
    {"cut \xe2\x82", 0},     /* within a character */
    {"\xc0\xaf", 0},         /* a slash in two bytes */
    {"\xed\xa0\x80", 0},     /* half of a pair */
    {"\xf4\x90\x80\x80", 0}, /* beyond the last one */
};

START_TEST(a_text_is_printable_utf_8_on_one_line)
{
    ck_assert_int_eq(order_parse(&order, "mark", texts[_i].text, &why) == 0, texts[_i].good);
    if (texts[_i].good)
        ck_assert_str_eq(order.text, texts[_i].text);
}
END_TEST

START_TEST(a_text_is_of_200_bytes_at_most)
{
    char text[TEXT_MAX + 2];

    memset(text, 'x', sizeof text);
    text[TEXT_MAX] = '\0';
    ck_assert_int_eq(order_parse(&order, "mark", text, &why), 0);
    text[TEXT_MAX] = 'x';
    text[TEXT_MAX + 1] = '\0';
    ck_assert_int_lt(order_parse(&order, "mark", text, &why), 0);
    ck_assert_ptr_nonnull(strstr(why.s, "200"));
}
END_TEST

/* ---- the queue ---- */

static uint64_t told_token;
static char *told;

static void keep_reply(void *ctx, uint64_t token, char *json)
{
    ck_assert_ptr_eq(ctx, &told_token);
    free(told);
    told_token = token;
    told = json;
}

static struct order_queue new_queue(void)
{
    struct order_queue queue;

    ck_assert_int_eq(order_queue_init(&queue), 0);
    queue.reply = keep_reply;
    queue.ctx = &told_token;
    return queue;
}

static int is_readable(const struct order_queue *queue)
{
    struct pollfd fd = {.fd = queue->event_fd, .events = POLLIN};

    return poll(&fd, 1, 0);
}

START_TEST(orders_come_out_in_their_order_and_a_full_queue_takes_no_more)
{
    struct order_queue queue = new_queue();

    ck_assert_int_eq(is_readable(&queue), 0);
    for (unsigned i = 0; i < ORDERS_MAX; i++) {
        order.token = i + 1;
        ck_assert(order_post(&queue, &order));
    }
    ck_assert(!order_post(&queue, &order));
    ck_assert_int_eq(is_readable(&queue), 1);
    for (unsigned i = 0; i < ORDERS_MAX; i++) {
        ck_assert(order_take(&queue, &order));
        ck_assert_uint_eq(order.token, i + 1);
    }
    ck_assert(!order_take(&queue, &order));
    ck_assert_int_eq(is_readable(&queue), 0);
    order_queue_fini(&queue);
}
END_TEST

START_TEST(an_answer_is_one_line_that_says_whether_it_was_done)
{
    struct order_queue queue = new_queue();

    ck_assert_int_eq(order_parse(&order, "roll", NULL, &why), 0);
    order.token = 7;
    order_answer(&queue, &order, true, json_pack("{s:s}", "session", "now"));
    ck_assert_uint_eq(told_token, 7);
    ck_assert_str_eq(told, "{\"ok\":true,\"verb\":\"roll\",\"session\":\"now\"}");
    order_refuse(&queue, &order, "%s", "a \"quoted\"\nreason \xff");
    ck_assert_ptr_null(strchr(told, '\n'));
    ck_assert_ptr_nonnull(strstr(told, "\"ok\":false"));
    free(told);
    told = NULL;
    order_queue_fini(&queue);
}
END_TEST

/* ---- requests ---- */

static const char *const bad[] = {
    "",
    "status",
    "{",
    "[]",
    "{}",
    "{\"verb\": 5}",
    "{\"verb\": \"\"}",
    "{\"verb\": \"status\", \"verb\": \"stop\"}",
    "{\"verb\": \"status\"} {\"verb\": \"stop\"}",
    "{\"verb\": \"status\", \"timeout_ms\": 0}",
    "{\"verb\": \"status\", \"timeout_ms\": 600001}",
    "{\"verb\": \"status\", \"timeout_ms\": 1.5}",
    "{\"verb\": \"status\", \"texts\": \"x\"}",
    "{\"verb\": \"mark\", \"text\": \"a\\u0000b\"}",
    "{\"verb\": \"mark\", \"text\": \"\xff\"}",
    "{\"verb\": \"a verb that is far too long for any verb\"}",
};

START_TEST(what_is_no_request_is_refused_with_a_reason)
{
    struct request request;

    why.s[0] = '\0';
    ck_assert_int_lt(request_read(&request, bad[_i], strlen(bad[_i]), &why), 0);
    ck_assert_str_ne(why.s, "");
}
END_TEST

START_TEST(a_request_that_is_written_is_the_one_that_is_read)
{
    struct request request;
    char *line = request_write("mark", "a \"quote\", na\xc3\xafve", 1500000000ll);

    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_int_eq(request_read(&request, line, strlen(line) - 1, &why), 0);
    ck_assert_str_eq(request.verb, "mark");
    ck_assert_str_eq(request.text, "a \"quote\", na\xc3\xafve");
    ck_assert_int_eq(request.timeout_ns, 1500000000ll);
    free(line);
    line = request_write("status", NULL, 1000000);
    ck_assert_int_eq(request_read(&request, line, strlen(line) - 1, &why), 0);
    ck_assert_str_eq(request.text, "");
    free(line);
    ck_assert_ptr_null(request_write("mark", "\xff", 1000000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("order");
    TCase *tc = tcase_create("order");

    tcase_add_test(tc, every_verb_is_known_and_only_a_mark_has_a_text);
    tcase_add_test(tc, a_misspelt_verb_is_answered_with_the_nearest);
    tcase_add_loop_test(tc, a_text_is_printable_utf_8_on_one_line, 0,
                        (int)(sizeof texts / sizeof texts[0]));
    tcase_add_test(tc, a_text_is_of_200_bytes_at_most);
    tcase_add_test(tc, orders_come_out_in_their_order_and_a_full_queue_takes_no_more);
    tcase_add_test(tc, an_answer_is_one_line_that_says_whether_it_was_done);
    tcase_add_loop_test(tc, what_is_no_request_is_refused_with_a_reason, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tc, a_request_that_is_written_is_the_one_that_is_read);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
