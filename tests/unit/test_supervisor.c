/*
 * test_supervisor.c - what a recorder does with orders that it refuses: nothing of them. The orders
 * come from the supervisor's own thread, within the answer to another one, so that they are heard
 * one right after the other.
 */
#include <jansson.h>
#include <signal.h>

#include "tests/support/recorder.h"
#include "tests/support/suite.h"

enum { STATUS_TOKEN = 1, RELOAD_TOKEN, STOP_TOKEN, START_TOKEN, OTHER_TOKEN };

static struct order_queue orders;
static struct session_config fresh; /* what a reload reads */
static struct take_folder elsewhere;
static unsigned read_count; /* so often it was read */
static atomic_uint others;  /* that were answered */
static json_t *_Atomic answers[OTHER_TOKEN];
static bool reads_anew;      /* each reload reads another one, that is released */
static size_t setting_count; /* that it has */
static bool has_command; /* and one for each file that waits until the segment's folder has "go" */
static const struct session_config *latest;
static atomic_uint held; /* of these */
static bool is_full;     /* of the answers: post more orders than can be under way */

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

/* Its texts are its own, as those of a file that was read. */
struct read_config {
    struct session_config config;
    struct setting settings[2];
    char keys[2][32], values[2][32], root[256], path[256], command[300];
    char *paths[1];
};

static const struct session_config *read_anew(void)
{
    struct read_config *read = calloc(1, sizeof *read);

    ck_assert_ptr_nonnull(read);
    read->config = config;
    strcpy(read->keys[0], "buffer_limit");
    strcpy(read->keys[1], "latency");
    for (unsigned i = 0; i < 2; i++)
        snprintf(read->values[i], sizeof read->values[i], "%u", read_count);
    read->settings[0] = (struct setting){read->keys[0], read->values[0], .when = SETTING_AT_START};
    read->settings[1] = (struct setting){read->keys[1], read->values[1], .when = SETTING_AT_ONCE};
    snprintf(read->root, sizeof read->root, "%s", elsewhere.path);
    snprintf(read->path, sizeof read->path, "%s", config.paths[0]);
    read->paths[0] = read->path;
    read->config.root = read->root;
    read->config.paths = read->paths;
    read->config.settings = (struct setting_list){read->settings, setting_count};
    snprintf(read->command, sizeof read->command, "until [ -e %s/go ]; do sleep 0.02; done",
             place.path);
    read->config.hooks.commands[HOOK_FILE_CLOSED] = has_command ? read->command : NULL;
    latest = &read->config;
    atomic_fetch_add(&held, 1);
    return &read->config;
}

static const struct session_config *reload(void *ctx, char *why)
{
    (void)ctx;
    (void)why;
    read_count++;
    return reads_anew ? read_anew() : &fresh;
}

/* Who looks at it afterwards finds nonsense. */
static void release(void *ctx, const struct session_config *released)
{
    (void)ctx;
    memset((void *)(uintptr_t)released, 0xa5, sizeof(struct read_config));
    free((void *)(uintptr_t)released);
    atomic_fetch_sub(&held, 1);
}

static void *run_steered(void *arg)
{
    const struct supervisor_setup setup = {
        .orders = &orders, .reload = reload, .release = reads_anew ? release : NULL};

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

/* The answer, once it has come; its texts are looked at when it was made. */
static void ask(enum order_verb verb, uint64_t token)
{
    json_decref(atomic_exchange(&answers[token], NULL));
    post(verb, token);
    ck_assert(is_ok(token));
}

static void wait_until_held(unsigned count)
{
    for (int64_t hang_ns = hang_after(); atomic_load(&held) != count;) {
        is_running(); /* an order: it looks again */
        rest_until(hang_ns, "a configuration is not released");
    }
}

/* The first change that the reload is told of; number: of the reading. */
static void reload_and_expect(unsigned number, const char *change)
{
    const char *first;

    ask(ORDER_RELOAD, RELOAD_TOKEN);
    ck_assert_uint_eq(read_count, number);
    first = json_string_value(
        json_array_get(json_object_get(atomic_load(&answers[RELOAD_TOKEN]), "changed"), 0));
    ck_assert_pstr_eq(first, change);
}

static void begin_next(void)
{
    ask(ORDER_STOP, STOP_TOKEN);
    ask(ORDER_START, START_TOKEN);
    wait_until_running();
}

START_TEST(a_configuration_that_nobody_uses_is_released_and_no_other)
{
    reads_anew = true;
    begin_steered();
    wait_until_running();
    setting_count = 0;
    reload_and_expect(1, NULL);
    reload_and_expect(2, NULL);
    wait_until_held(1); /* the next session's */
    begin_next();
    setting_count = 2;
    reload_and_expect(3, NULL);
    wait_until_held(2); /* this session's, and the next one's */
    begin_next();
    wait_until_held(1); /* both are one */
    reload_and_expect(4, "latency: 3 -> 4");
    reload_and_expect(5, "latency: 4 -> 5");
    wait_until_held(2);
    setting_count = 1; /* without the latency: that of the fifth stays */
    reload_and_expect(6, NULL);
    wait_until_held(3);
    setting_count = 2;
    reload_and_expect(7, "latency: 5 -> 7");
    wait_until_held(2);
    ask(ORDER_STOP, STOP_TOKEN);
    wait_until_held(1);
    reload_and_expect(8, NULL);
    wait_until_held(1);
    ask(ORDER_START, START_TOKEN);
    end_steered();
    ck_assert_uint_eq(atomic_load(&held), 1);
    release(NULL, latest); /* once it has returned that is the caller's */
}
END_TEST

START_TEST(a_configuration_stays_until_the_last_command_of_its_session_has_been_told)
{
    int fd;

    reads_anew = has_command = true;
    begin_steered();
    wait_until_running();
    reload_and_expect(1, NULL);
    begin_next();
    publish(10);
    has_command = false;
    reload_and_expect(2, NULL);
    ask(ORDER_STOP, STOP_TOKEN);
    is_running(); /* it has looked since */
    ck_assert_uint_eq(atomic_load(&held), 2);
    fd = openat(place.fd, "go", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    close(fd);
    wait_until_held(1);
    ask(ORDER_START, START_TOKEN);
    end_steered();
    release(NULL, latest);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("supervisor");
    TCase *tcase = tcase_create("supervisor");

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_reload_that_finds_too_much_under_way_is_refused_and_not_done);
    tcase_add_test(tcase, a_reload_that_is_done_is_for_the_next_session);
    tcase_add_test(tcase, a_configuration_that_nobody_uses_is_released_and_no_other);
    tcase_add_test(tcase,
                   a_configuration_stays_until_the_last_command_of_its_session_has_been_told);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
