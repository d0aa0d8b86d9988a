/*
 * test_hooks.c - commands that are run when something happens: which, how often, with which facts,
 * one at a time of a kind; and commands that hang, fail, or are too slow for what happens.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lib/clock.h"
#include "record/hooks.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

#define HANG_NS 40000000000ll
#define STREAMS 2u

static struct take_folder folder; /* what the commands write, and what is said */
static struct record_stream *streams[STREAMS];
static struct books books;
static struct room room;
static struct hooks *hooks;
static char commands[HOOK_KINDS][600], said_path[300];

static void begin(void)
{
    static const char *const names[] = {"wfs", "dm"};

    take_folder_make(&folder);
    for (unsigned i = 0; i < STREAMS; i++) {
        streams[i] = aligned_alloc(64, (sizeof *streams[i] + 63) / 64 * 64);
        ck_assert_ptr_nonnull(streams[i]);
        memset(streams[i], 0, sizeof *streams[i]);
        strcpy(streams[i]->name, names[i]);
        account_init(&streams[i]->account);
        account_begin_run(&streams[i]->account, 1);
        account_publish(&streams[i]->account);
    }
    books = (struct books){.session = "2026-11-24_02-01-08",
                           .root = folder.path,
                           .streams = streams,
                           .count = STREAMS};
    atomic_store(&room.free_bytes, 1000);
    atomic_store(&room.disk_bytes, 1000);
    snprintf(said_path, sizeof said_path, "%s/said", folder.path);
    ck_assert_ptr_nonnull(freopen(said_path, "w", stderr)); /* each test is its own process */
    ck_assert_int_eq(chdir(folder.path), 0);
}

/* A command that appends its facts to a file of the folder, and does what else is given. */
static void set(struct hooks_config *config, enum hook_kind kind, const char *facts,
                const char *more)
{
    snprintf(commands[kind], sizeof commands[kind], "%s; echo %s >> %s", more, facts,
             hook_kind_names[kind]);
    config->commands[kind] = commands[kind];
}

static void start(const struct hooks_config *config)
{
    ck_assert_int_eq(hooks_start(&hooks, config, &books, &room), 0);
}

static void stop(void)
{
    hooks_stop(hooks);
    hooks = NULL;
}

static void finish(void)
{
    stop();
    for (unsigned i = 0; i < STREAMS; i++) {
        account_fini(&streams[i]->account);
        free(streams[i]);
    }
    take_folder_remove(&folder);
}

static const char *read_file(const char *path)
{
    static char text[20000];
    FILE *file = fopen(path, "r");
    size_t bytes = file ? fread(text, 1, sizeof text - 1, file) : 0;

    text[bytes] = '\0';
    if (file)
        fclose(file);
    return text;
}

static const char *told(enum hook_kind kind)
{
    char path[400];

    snprintf(path, sizeof path, "%s/%s", folder.path, hook_kind_names[kind]);
    return read_file(path);
}

static unsigned count_lines(const char *text)
{
    unsigned count = 0;

    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void wait_for_lines(enum hook_kind kind, unsigned count)
{
    int64_t end_ns = dao_clock_mono_ns() + HANG_NS;

    while (count_lines(told(kind)) < count) {
        ck_assert_msg(dao_clock_mono_ns() < end_ns, "told: %s", told(kind));
        usleep(2000);
    }
}

static void post_file(unsigned stream, unsigned number)
{
    static struct record_file file;

    file = (struct record_file){
        .stream = streams[stream], .frames = 10 + number, .lost = number, .end_cause = "ROLL"};
    tree_file_name(file.file.name, streams[stream]->name, number, 0);
    hooks_post_file(hooks, &file, 1000 + number);
}

static void lose(unsigned stream, enum ledger_cause cause, uint64_t count)
{
    struct account *account = &streams[stream]->account;

    account_lose(account, cause, account->now.counts.run.last_cnt0 + 1, count, 1);
    account_publish(account);
}

/* ---- what is told ---- */

START_TEST(each_file_is_told_once_and_in_order_with_its_facts)
{
    struct hooks_config config = {.low_bytes = 0};

    begin();
    set(&config, HOOK_FILE_CLOSED,
        "$DAOREC_EVENT $DAOREC_STREAM ${DAOREC_FILE##*/} $DAOREC_FRAMES $DAOREC_BYTES "
        "$DAOREC_LOST $DAOREC_CAUSE $DAOREC_SESSION $DAOREC_MISSED [$DAOREC_STALE]",
        "case $DAOREC_FILE in $DAOREC_FOLDER/*);; *) exit 1;; esac; "
        "DAOREC_FILE=${DAOREC_FILE##*/}");
    setenv("DAOREC_STALE", "1", 1);
    start(&config);
    post_file(0, 1);
    post_file(1, 7);
    stop();
    ck_assert_str_eq(told(HOOK_FILE_CLOSED),
                     "file-closed wfs wfs_000001.fits 11 1001 1 ROLL 2026-11-24_02-01-08 0 []\n"
                     "file-closed dm dm_000007.fits 17 1007 7 ROLL 2026-11-24_02-01-08 0 []\n");
    ck_assert_str_eq(read_file(said_path), "");
    finish();
}
END_TEST

START_TEST(losses_of_a_stream_within_a_second_are_one_event)
{
    struct hooks_config config = {.low_bytes = 0};
    int64_t later_ns = dao_clock_mono_ns() + 1000000000000; /* the second has not begun yet */

    begin();
    set(&config, HOOK_LOSS,
        "$DAOREC_EVENT $DAOREC_STREAM $DAOREC_LOST $DAOREC_LOST_TOTAL $DAOREC_CAUSE", ":");
    start(&config);
    lose(0, LEDGER_DISK, 5);
    hooks_look(hooks, later_ns);
    usleep(100000); /* in which it could be told */
    lose(0, LEDGER_LAPPED, 2);
    hooks_look(hooks, later_ns);
    hooks_look(hooks, later_ns); /* nothing new */
    lose(1, LEDGER_SOURCE, 1);
    hooks_look(hooks, dao_clock_mono_ns());
    wait_for_lines(HOOK_LOSS, 1); /* once the second is over */
    ck_assert_str_eq(told(HOOK_LOSS), "loss dm 1 1 source\n");
    stop();
    ck_assert_str_eq(told(HOOK_LOSS), "loss dm 1 1 source\nloss wfs 7 7 lapped,disk\n");
    finish();
}
END_TEST

START_TEST(a_low_disk_is_told_once_and_again_only_after_it_was_not)
{
    struct hooks_config config = {.low_percent = 10};
    static const uint64_t left[] = {101, 99, 98, 105, 99, 200, 99};

    begin();
    set(&config, HOOK_LOW_DISK, "$DAOREC_EVENT $DAOREC_FREE_BYTES", ":");
    start(&config);
    for (unsigned i = 0; i < sizeof left / sizeof left[0]; i++) {
        atomic_store(&room.free_bytes, left[i]);
        hooks_look(hooks, dao_clock_mono_ns());
        if (i == 1)
            wait_for_lines(HOOK_LOW_DISK, 1);
    }
    stop();
    ck_assert_uint_eq(count_lines(told(HOOK_LOW_DISK)), 2);
    ck_assert_int_eq(strncmp(told(HOOK_LOW_DISK), "low-disk 9", 10), 0);
    finish();
}
END_TEST

START_TEST(a_disk_that_does_not_tell_is_not_low)
{
    struct hooks_config config = {.low_percent = 10};

    begin();
    set(&config, HOOK_LOW_DISK, "low", ":");
    start(&config);
    atomic_store(&room.free_bytes, UINT64_MAX);
    atomic_store(&room.disk_bytes, UINT64_MAX);
    hooks_look(hooks, dao_clock_mono_ns());
    stop();
    ck_assert_str_eq(told(HOOK_LOW_DISK), "");
    finish();
}
END_TEST

/* ---- commands that are slow, hang or fail ---- */

START_TEST(of_a_kind_one_runs_at_a_time_and_kinds_do_not_wait_for_each_other)
{
    struct hooks_config config = {.low_percent = 10};

    begin();
    start(&(struct hooks_config){.low_bytes = 0});
    stop(); /* without a command nothing is started, and nothing to be stopped */
    /* A file's command ends only once the disk's has been told; two at once would collide. */
    set(&config, HOOK_LOW_DISK, "low", ":");
    set(&config, HOOK_FILE_CLOSED, "file",
        "mkdir here || echo overlap >> said; "
        "while [ ! -e low-disk ]; do sleep 0.01; done; rmdir here");
    start(&config);
    for (unsigned i = 1; i <= 3; i++)
        post_file(0, i);
    usleep(100000); /* in which one could be started that is not to be */
    atomic_store(&room.free_bytes, 1);
    hooks_look(hooks, dao_clock_mono_ns());
    wait_for_lines(HOOK_FILE_CLOSED, 3);
    stop();
    ck_assert_str_eq(read_file(said_path), "");
    finish();
}
END_TEST

START_TEST(files_beyond_what_can_wait_are_told_as_a_number)
{
    struct hooks_config config = {.low_bytes = 0};
    unsigned posted = HOOKS_FILES_MAX + 5;

    begin();
    set(&config, HOOK_FILE_CLOSED, "$DAOREC_MISSED", "while [ ! -e go ]; do sleep 0.01; done");
    start(&config);
    post_file(0, 1);
    for (int64_t end_ns = dao_clock_mono_ns() + HANG_NS; hooks->file_count > 0; usleep(1000)) {
        ck_assert_int_lt(dao_clock_mono_ns(), end_ns); /* until it runs */
        pthread_mutex_lock(&hooks->lock);
        pthread_mutex_unlock(&hooks->lock);
    }
    for (unsigned i = 2; i <= posted; i++)
        post_file(0, i);
    ck_assert_int_eq(system("touch go"), 0);
    wait_for_lines(HOOK_FILE_CLOSED, HOOKS_FILES_MAX + 1);
    stop();
    ck_assert_str_eq(read_file(said_path), "");
    ck_assert_int_eq(strncmp(told(HOOK_FILE_CLOSED), "0\n4\n0\n", 6), 0);
    finish();
}
END_TEST

/* Who was killed, by its number in `pid`, needs a moment to die. */
static void wait_until_dead(void)
{
    for (int64_t end_ns = dao_clock_mono_ns() + HANG_NS;; usleep(2000)) {
        if (system("! grep -qs '^State:.[^Z]' /proc/$(cat pid)/status") == 0)
            return;
        ck_assert_int_lt(dao_clock_mono_ns(), end_ns);
    }
}

START_TEST(one_that_hangs_is_killed_with_what_it_has_started_and_said_once)
{
    struct hooks_config config = {.limit_ns = 200000000};

    begin();
    set(&config, HOOK_FILE_CLOSED, "file", "sleep 1000 & echo $! > pid; wait");
    start(&config);
    post_file(0, 1);
    post_file(0, 2);
    for (int64_t end_ns = dao_clock_mono_ns() + HANG_NS;; usleep(2000)) {
        ck_assert_int_lt(dao_clock_mono_ns(), end_ns);
        if (strstr(read_file(said_path), "killed, since it did not end within"))
            break;
    }
    stop();
    ck_assert_str_eq(told(HOOK_FILE_CLOSED), "");
    wait_until_dead();
    ck_assert_ptr_null(strstr(strstr(read_file(said_path), "killed, since") + 1, "killed, since"));
    finish();
}
END_TEST

START_TEST(one_that_fails_again_and_again_is_said_once)
{
    struct hooks_config config = {.commands = {[HOOK_FILE_CLOSED] = "exit 3"}};

    begin();
    start(&config);
    for (unsigned i = 1; i <= 5; i++)
        post_file(0, i);
    stop();
    ck_assert_str_eq(read_file(said_path),
                     "daorec: warning: --on-file-closed 'exit 3': exit status 3\n");
    finish();
}
END_TEST

START_TEST(a_command_has_no_descriptor_signal_or_priority_of_ours)
{
    struct hooks_config config = {.low_bytes = 0};
    sigset_t all;
    unsigned long long blocked, ignored;

    begin();
    set(&config, HOOK_FILE_CLOSED,
        "$(ls /proc/self/fd | tr -d '\\n') "
        "$(sed -n 's/^Sig\\(Blk\\|Ign\\):.//p' /proc/self/status)",
        ":");
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    ck_assert_int_ge(dup(fileno(stderr)), 3); /* to be inherited, if it could be */
    ck_assert_int_ge(dup(fileno(stderr)), 3);
    start(&config);
    post_file(0, 1);
    stop();
    /* 3: ls itself */
    ck_assert_int_eq(sscanf(told(HOOK_FILE_CLOSED), "0123 %llx %llx", &blocked, &ignored), 2);
    ck_assert_uint_eq(blocked, 0);
    ck_assert_uint_eq(ignored & ~(3ull << 31), 0); /* 32 and 33 are the C library's own */
    finish();
}
END_TEST

START_TEST(at_the_end_a_command_that_hangs_is_not_waited_for_longer_than_its_limit)
{
    struct hooks_config config = {.commands = {[HOOK_FILE_CLOSED] = "sleep 1000"},
                                  .limit_ns = 300000000};

    begin();
    start(&config);
    for (unsigned i = 1; i <= 4; i++)
        post_file(0, i);
    stop();
    ck_assert_ptr_nonnull(strstr(read_file(said_path), "not told to the end"));
    finish();
}
END_TEST

START_TEST(in_a_hurry_what_runs_is_killed_and_nothing_more_is_started)
{
    struct hooks_config config = {.limit_ns = HANG_NS};

    begin();
    set(&config, HOOK_FILE_CLOSED, "file", "echo $$ >> started; sleep 1000 & echo $! > pid; wait");
    start(&config);
    for (unsigned i = 1; i <= 3; i++)
        post_file(0, i);
    for (int64_t end_ns = dao_clock_mono_ns() + HANG_NS; !*read_file("pid"); usleep(2000))
        ck_assert_int_lt(dao_clock_mono_ns(), end_ns);
    hooks_end(hooks);
    hooks_hurry(hooks);
    hooks_hurry(NULL);
    stop();
    ck_assert_str_eq(read_file(said_path),
                     "daorec: warning: session 2026-11-24_02-01-08: 3 events were not told to the "
                     "end to the --on-... commands: a signal ended the waiting\n");
    ck_assert_str_eq(told(HOOK_FILE_CLOSED), "");
    ck_assert_uint_eq(count_lines(read_file("started")), 1);
    wait_until_dead();
    finish();
}
END_TEST

START_TEST(what_is_pending_is_told_when_the_session_is_gone_and_nobody_waits)
{
    struct hooks_config config = {.low_bytes = 500};

    begin();
    set(&config, HOOK_FILE_CLOSED, "$DAOREC_STREAM $DAOREC_SESSION $DAOREC_FREE_BYTES",
        "while [ ! -e go ]; do sleep 0.01; done");
    set(&config, HOOK_LOSS, "$DAOREC_STREAM $DAOREC_LOST",
        "while [ ! -e go ]; do sleep 0.01; done");
    start(&config);
    post_file(0, 1);
    post_file(1, 2);
    lose(1, LEDGER_DISK, 3);
    hooks_look(hooks, dao_clock_mono_ns());
    hooks_end(hooks);
    for (unsigned i = 0; i < STREAMS; i++)
        strcpy(streams[i]->name, "gone");
    memset(&books, 0, sizeof books);
    atomic_store(&room.free_bytes, 7);
    ck_assert(!hooks_are_over(hooks));
    ck_assert_int_eq(system("touch go"), 0);
    for (int64_t end_ns = dao_clock_mono_ns() + HANG_NS; !hooks_are_over(hooks); usleep(2000))
        ck_assert_int_lt(dao_clock_mono_ns(), end_ns);
    ck_assert_str_eq(told(HOOK_FILE_CLOSED),
                     "wfs 2026-11-24_02-01-08 1000\ndm 2026-11-24_02-01-08 1000\n");
    ck_assert_str_eq(told(HOOK_LOSS), "dm 3\n");
    ck_assert_str_eq(read_file(said_path), "");
    ck_assert(hooks_are_over(NULL));
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hooks");
    TCase *tcase = tcase_create("hooks");

    take_base_make();
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, each_file_is_told_once_and_in_order_with_its_facts);
    tcase_add_test(tcase, losses_of_a_stream_within_a_second_are_one_event);
    tcase_add_test(tcase, a_low_disk_is_told_once_and_again_only_after_it_was_not);
    tcase_add_test(tcase, a_disk_that_does_not_tell_is_not_low);
    tcase_add_test(tcase, of_a_kind_one_runs_at_a_time_and_kinds_do_not_wait_for_each_other);
    tcase_add_test(tcase, files_beyond_what_can_wait_are_told_as_a_number);
    tcase_add_test(tcase, one_that_hangs_is_killed_with_what_it_has_started_and_said_once);
    tcase_add_test(tcase, one_that_fails_again_and_again_is_said_once);
    tcase_add_test(tcase, a_command_has_no_descriptor_signal_or_priority_of_ours);
    tcase_add_test(tcase, at_the_end_a_command_that_hangs_is_not_waited_for_longer_than_its_limit);
    tcase_add_test(tcase, in_a_hurry_what_runs_is_killed_and_nothing_more_is_started);
    tcase_add_test(tcase, what_is_pending_is_told_when_the_session_is_gone_and_nobody_waits);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
