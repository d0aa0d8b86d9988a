/*
 * test_supervisor.c - what a recorder does with orders that it refuses: nothing of them. The orders
 * come from the supervisor's own thread, within the answer to another one, so that they are heard
 * one right after the other.
 */
#include <jansson.h>
#include <signal.h>

#include "tests/support/recorder.h"

enum { STATUS_TOKEN = 1, RELOAD_TOKEN, STOP_TOKEN, START_TOKEN, OTHER_TOKEN };

static struct order_queue orders;
static struct session_config fresh; /* what a reload reads */
static struct take_folder elsewhere;
static unsigned read_count; /* so often it was read */
static atomic_uint others;  /* that were answered */
static json_t *_Atomic answers[OTHER_TOKEN];
static bool is_full; /* of the answers: post more orders than can be under way */

/* Before it starts, or in its thread. */
static void post(enum order_verb verb, uint64_t token)
{
    struct order order = {
        .verb = verb, .deadline_ns = dao_clock_mono_ns() + HANG_S * 1000000000ll, .token = token};

    ck_assert(order_post(&orders, &order));
}

static void reply(void *ctx, uint64_t token, char *json)
{
    /* before the answer is there: then it is the other thread's */
    bool is_to_fill = token == STATUS_TOKEN && is_full;

    (void)ctx;
    ck_assert_ptr_nonnull(json);
    if (token < OTHER_TOKEN)
        atomic_store(&answers[token], json_loads(json, 0, NULL));
    free(json);
    atomic_fetch_add(&others, token == OTHER_TOKEN);
    if (is_to_fill) {
        for (unsigned i = 0; i + 1 < ORDERS_MAX; i++)
            post(ORDER_ROLL, OTHER_TOKEN);
        post(ORDER_STATUS, OTHER_TOKEN + 1);
    } else if (token == OTHER_TOKEN + 1) { /* all but one are under way */
        post(ORDER_ROLL, OTHER_TOKEN);
        post(ORDER_RELOAD, RELOAD_TOKEN);
    }
}

static const struct session_config *reload(void *ctx, struct dao_text *text)
{
    (void)ctx;
    (void)text;
    read_count++;
    return &fresh;
}

static void *run_steered(void *arg)
{
    const struct supervisor_setup setup = {.orders = &orders, .reload = reload};

    (void)arg;
    atomic_store(&status, supervisor_run(&config, &setup));
    return NULL;
}

/* What was answered, once it is. */
static bool is_ok(uint64_t token)
{
    for (int64_t hang_ns = hang_after(); !atomic_load(&answers[token]);)
        rest_until(hang_ns, "an order has no answer");
    return json_is_true(json_object_get(atomic_load(&answers[token]), "ok"));
}

static void begin_steered(void)
{
    begin(64);
    take_folder_make(&elsewhere);
    ck_assert_int_eq(order_queue_init(&orders), 0);
    orders.reply = reply;
    fresh = config;
    fresh.root = elsewhere.path;
    atomic_store(&status, -1);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_steered, NULL), 0);
    close(open_session());
}

static bool is_running(void)
{
    json_t *answer;

    json_decref(atomic_exchange(&answers[STATUS_TOKEN], NULL));
    post(ORDER_STATUS, STATUS_TOKEN);
    ck_assert(is_ok(STATUS_TOKEN));
    answer = atomic_load(&answers[STATUS_TOKEN]);
    return strcmp(json_string_value(json_object_get(answer, "condition")), "running") == 0;
}

static void wait_until_running(void)
{
    for (int64_t hang_ns = hang_after(); !is_running();)
        rest_until(hang_ns, "it does not record");
}

/* Another session; how many folders are there where the fresh configuration has them? */
static unsigned begin_another(void)
{
    DIR *dir;
    struct dirent *entry;
    unsigned count = 0;

    post(ORDER_STOP, STOP_TOKEN);
    ck_assert(is_ok(STOP_TOKEN));
    post(ORDER_START, START_TOKEN);
    ck_assert(is_ok(START_TOKEN));
    dir = opendir(elsewhere.path);
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void end_steered(void)
{
    pthread_kill(thread, SIGTERM); /* blocked there; this thread would end the test */
    ck_assert_int_eq(wait_for_end(), 0);
    for (unsigned i = 0; i < OTHER_TOKEN; i++)
        json_decref(atomic_load(&answers[i]));
    order_queue_fini(&orders);
    take_folder_remove(&elsewhere);
    end();
}

START_TEST(a_reload_that_finds_too_much_under_way_is_refused_and_not_done)
{
    begin_steered();
    wait_until_running();
    is_full = true;
    ck_assert(is_running());
    ck_assert(!is_ok(RELOAD_TOKEN));
    ck_assert_uint_eq(read_count, 0);
    is_full = false;
    for (int64_t hang_ns = hang_after(); atomic_load(&others) < ORDERS_MAX;)
        rest_until(hang_ns, "not all have their answers");
    ck_assert_uint_eq(begin_another(), 0);
    end_steered();
}
END_TEST

START_TEST(a_reload_that_is_done_is_for_the_next_session)
{
    begin_steered();
    wait_until_running();
    post(ORDER_RELOAD, RELOAD_TOKEN);
    ck_assert(is_ok(RELOAD_TOKEN));
    ck_assert_uint_eq(read_count, 1);
    ck_assert_uint_eq(begin_another(), 1);
    end_steered();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("supervisor");
    TCase *tcase = tcase_create("supervisor");
    SRunner *runner = srunner_create(suite);
    int failed;

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_reload_that_finds_too_much_under_way_is_refused_and_not_done);
    tcase_add_test(tcase, a_reload_that_is_done_is_for_the_next_session);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
