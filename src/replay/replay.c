/* replay.c - see replay.h. */
#include "replay/replay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/exit_status.h"
#include "base/log.h"
#include "base/place.h"
#include "lib/clock.h"
#include "replay/keys.h"
#include "replay/setup.h"
#include "replay/tell.h"

#define TICK_NS       500000000ll
#define PLAIN_LINE_NS 60000000000ll /* not on a terminal: one line a minute */
#define POLL_MS       20
#define AHEAD_WAIT_NS 2000000000ll /* for frames to be read before the first one is due */

struct replay {
    const struct replay_config *config;
    struct replay_parts parts;
    struct feed feed;
    struct maker maker;
    struct player player;
    struct tell_live live;
    char step_line[512];
    int64_t last_line_ns;
    bool has_keys;
};

/* ---- signals ---- */

static volatile sig_atomic_t stop_signal; /* for who waits in the main thread */
static atomic_bool stop;                  /* for the threads */
static volatile sig_atomic_t begin_signal, resume_signal;

static void on_stop(int number)
{
    (void)number;
    stop_signal = 1;
    atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static void on_begin(int number)
{
    (void)number;
    begin_signal = 1;
}

static void on_resume(int number)
{
    (void)number;
    resume_signal = 1;
}

static void catch_signal(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}, before; /* no SA_RESTART: waits end */

    sigemptyset(&action.sa_mask);
    /* A terminal that is closed ends a replay, unless nohup asked for it to go on. */
    if (number == SIGHUP && sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
        return;
    sigaction(number, &action, NULL);
}

static void catch_signals(void)
{
    catch_signal(SIGINT, on_stop);
    catch_signal(SIGTERM, on_stop);
    catch_signal(SIGHUP, on_stop);
    catch_signal(SIGUSR1, on_begin);
    catch_signal(SIGCONT, on_resume);
}

/* Signals are for the main thread: it is the one that waits for something else. Not those that a
 * thread's own doing raises: a segment that is truncated under us raises SIGBUS (lib/guard.c). */
static int start_thread(pthread_t *ret, void *(*run)(void *), void *ctx)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCONT};
    sigset_t set, before;
    int r;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        sigaddset(&set, ours[i]);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    r = -pthread_create(ret, NULL, run, ctx);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        log_error("replay: cannot start a thread: %s", strerror(-r));
    return r;
}

/* ---- while it runs ---- */

/* Wait a little, for a key where there are any. */
static enum key wait_a_little(struct replay *replay)
{
    if (resume_signal) {
        resume_signal = 0;
        if (replay->has_keys)
            keys_resume();
    }
    if (replay->has_keys)
        return keys_read(POLL_MS);
    poll(NULL, 0, POLL_MS);
    return KEY_NONE;
}

static void ask_to_stop(void)
{
    atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static struct tell_replay view_of(const struct replay *replay)
{
    const struct replay_config *config = replay->config;

    return (struct tell_replay){
        .feed = &replay->feed,
        .player = &replay->player,
        .frames = replay->parts.frames * config->passes,
        .is_stopped = atomic_load_explicit(&stop, memory_order_relaxed),
    };
}

static void report_progress(struct replay *replay)
{
    struct tell_replay view = view_of(replay);
    bool terminal = isatty(STDERR_FILENO);
    int64_t now_ns = dao_clock_mono_ns();
    char line[512];

    if (replay->config->quiet ||
        now_ns - replay->last_line_ns < (terminal ? TICK_NS : PLAIN_LINE_NS))
        return;
    replay->last_line_ns = now_ns;
    tell_format_live(&replay->live, line, sizeof line, &view, now_ns);
    if (terminal)
        log_live(line);
    else
        log_info("%s", line);
}

/* The frame played last, where it is another one than the line says. */
static void show_step(struct replay *replay)
{
    struct tell_replay view = view_of(replay);
    char line[sizeof replay->step_line];

    tell_format_step(line, sizeof line, &view);
    if (strcmp(line, replay->step_line) != 0)
        log_live(line);
    strcpy(replay->step_line, line);
}

static void handle_key(struct replay *replay, enum key key)
{
    if (key == KEY_QUIT)
        ask_to_stop();
    if (replay->config->pace != PLAYER_STEP)
        return;
    if (key == KEY_NEXT)
        sem_post(&replay->player.step);
    if (key == KEY_BACK) {
        log_info("what was published cannot be taken back: steps go forward only");
        replay->step_line[0] = '\0'; /* a message has wiped it */
    }
    show_step(replay);
}

static bool is_over(struct replay *replay)
{
    /* pairs with the release in player_run() */
    return atomic_load_explicit(&replay->player.is_over, memory_order_acquire);
}

static void watch(struct replay *replay)
{
    replay->last_line_ns = dao_clock_mono_ns();
    while (!is_over(replay)) {
        enum key key = wait_a_little(replay);

        if (key != KEY_NONE || replay->config->pace == PLAYER_STEP)
            handle_key(replay, key);
        else
            report_progress(replay);
    }
    if (replay->config->pace == PLAYER_STEP)
        show_step(replay);
    log_live(NULL);
}

/* ---- the beginning ---- */

/* Until frames are read ahead, so that the first ones are not late. */
static void wait_for_feed(struct replay *replay)
{
    int64_t end_ns = dao_clock_mono_ns() + AHEAD_WAIT_NS;

    while (!atomic_load_explicit(&replay->feed.is_ahead, memory_order_relaxed) && !stop_signal &&
           dao_clock_mono_ns() < end_ns)
        poll(NULL, 0, 1);
}

/* Until somebody says so; the segments are there. */
static void wait_for_begin(struct replay *replay)
{
    log_info("the segments are ready; kill -USR1 %ld%s begins", (long)getpid(),
             replay->has_keys ? ", or any key," : "");
    while (!begin_signal && !stop_signal) {
        enum key key = wait_a_little(replay);

        if (key == KEY_QUIT)
            on_stop(0);
        else if (key != KEY_NONE)
            break;
    }
}

static int open_keys(struct replay *replay)
{
    const struct replay_config *config = replay->config;
    int r = config->pace == PLAYER_STEP || config->hold ? keys_open() : -ENOTTY;

    replay->has_keys = r == 0;
    if (r == 0 || config->pace != PLAYER_STEP)
        return 0;
    log_error("replay: --step takes its keys from a terminal, and standard input is none");
    return r;
}

static void connect(struct replay *replay)
{
    const struct replay_config *config = replay->config;
    struct replay_parts *parts = &replay->parts;

    replay->feed = (struct feed){
        .rules =
            {
                .rate_hz = config->rate_hz,
                .speed = config->speed,
                .close_gaps = config->close_gaps,
                .passes = config->passes,
                .pause_ns_max = config->pause_ns_max,
            },
        .streams = parts->streams,
        .count = parts->count,
        .ring = &parts->ring,
        .stop = &stop,
    };
    replay->player = (struct player){
        .pace = config->pace,
        .recorded_atime = config->recorded_atime,
        .ring = &parts->ring,
        .maker = &replay->maker,
        .streams = parts->players,
        .count = parts->count,
        .stop = &stop,
        .feed_is_over = &replay->feed.is_over,
    };
    sem_init(&replay->player.step, 0, 0);
}

/* The threads that publish, until they are over. */
static int run_player(struct replay *replay)
{
    const struct replay_config *config = replay->config;
    struct maker *maker = &replay->maker;
    int r = maker_init(maker, replay->parts.count);

    if (r < 0)
        log_error("replay: no memory for %u streams", replay->parts.count);
    else
        r = start_thread(&maker->thread, maker_run, maker);
    if (r < 0) {
        maker_fini(maker);
        return r;
    }
    r = start_thread(&replay->player.thread, player_run, &replay->player);
    if (r == 0) {
        place_thread(replay->player.thread, config->cpu, config->priority);
        watch(replay);
        pthread_join(replay->player.thread, NULL);
    }
    maker_end(maker);
    pthread_join(maker->thread, NULL);
    maker_fini(maker);
    return r;
}

static int play(struct replay *replay)
{
    const struct replay_config *config = replay->config;
    int r = start_thread(&replay->feed.thread, feed_run, &replay->feed);

    if (r < 0)
        return r;
    if (config->hold || config->pace == PLAYER_TIMED)
        wait_for_feed(replay);
    if (config->hold)
        wait_for_begin(replay);
    r = run_player(replay);
    /* The feed ends by itself, unless the player has given up. */
    if (r < 0 || replay->player.error < 0)
        ask_to_stop();
    pthread_join(replay->feed.thread, NULL);
    return r;
}

/* ---- the end ---- */

static int finish(struct replay *replay)
{
    struct tell_replay view = view_of(replay);
    uint64_t unreadable = 0, damaged = 0, played = 0;

    for (unsigned i = 0; i < replay->parts.count; i++) {
        unreadable += replay->parts.streams[i].tally.unreadable;
        damaged += replay->parts.streams[i].tally.damaged;
        played += replay->parts.players[i].played;
    }
    view.is_failed = replay->player.error < 0 || (unreadable > 0 && played == 0);
    view.is_stopped = stop_signal || (view.is_stopped && replay->player.error == 0);
    if (replay->player.error < 0)
        log_error("replay: %s", replay->player.text.s);
    if (replay->config->json)
        tell_print_json(stdout, &view);
    else if (!replay->config->quiet)
        tell_print_summary(stdout, &view);
    if (view.is_failed)
        return EXIT_FAILED;
    return unreadable > 0 || damaged > 0 ? EXIT_FRAMES_LOST : EXIT_DONE;
}

/* Set up, play, tell. Negative errno after a message, or the exit status. */
static int run(struct replay *replay)
{
    const struct replay_config *config = replay->config;
    int r = setup_open(&replay->parts, config);

    if (r == 0)
        r = open_keys(replay);
    if (r == 0)
        r = setup_allocate(&replay->parts, config);
    if (r < 0)
        return r;
    connect(replay);
    r = setup_create_segments(&replay->parts, &stop_signal);
    if (r == 0)
        r = play(replay);
    return r == 0 || r == -ECANCELED ? finish(replay) : r;
}

int replay_run(const struct replay_config *config)
{
    static struct replay replay; /* large */
    int r;

    replay.config = config;
    catch_signals();
    r = run(&replay);
    keys_close();
    setup_close(&replay.parts, config->remove);
    if (r >= 0)
        return r;
    return r == -EINVAL || r == -ENOTTY ? EXIT_WRONG_USAGE : EXIT_FAILED;
}
