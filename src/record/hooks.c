/* hooks.c - see hooks.h. */
#include "record/hooks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/units.h"
#include "lib/clock.h"

#define LIMIT_NS    30000000000ll
#define TOGETHER_NS 1000000000ll /* losses of a stream within this are one event */
#define AGAIN_NS    10000000000ll
#define LOOK_NS     20000000ll /* at a command that runs */
#define FACTS_MAX   16u

const char *const hook_kind_names[HOOK_KINDS] = {
    [HOOK_FILE_CLOSED] = "file-closed",
    [HOOK_LOSS] = "loss",
    [HOOK_LOW_DISK] = "low-disk",
};

/* ---- what a command is told ---- */

struct facts {
    char *text[FACTS_MAX]; /* "NAME=value"; those that got no memory are left out */
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void tell(struct facts *facts, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (facts->count < FACTS_MAX && vasprintf(&facts->text[facts->count], format, arguments) >= 0)
        facts->count++;
    va_end(arguments);
}

static void tell_number(struct facts *facts, const char *name, uint64_t value)
{
    tell(facts, "DAOREC_%s=%llu", name, (unsigned long long)value);
}

static void tell_common(struct facts *facts, const struct hooks *hooks, enum hook_kind kind)
{
    char utc[48];

    tell(facts, "DAOREC_EVENT=%s", hook_kind_names[kind]);
    tell(facts, "DAOREC_TIME=%sZ", units_format_utc(utc, sizeof utc, dao_clock_real_ns(), 3));
    tell(facts, "DAOREC_SESSION=%s", hooks->session);
    tell(facts, "DAOREC_FOLDER=%s", hooks->folder);
    tell_number(facts, "FREE_BYTES", hooks->free_bytes);
}

static void tell_file(struct facts *facts, const struct hooks *hooks, const struct hook_file *file,
                      uint64_t missed)
{
    tell(facts, "DAOREC_STREAM=%s", file->stream);
    tell(facts, "DAOREC_FILE=%s/%s/%s", hooks->folder, file->stream, file->name);
    tell(facts, "DAOREC_CAUSE=%s", file->end_cause);
    tell_number(facts, "FRAMES", file->frames);
    tell_number(facts, "BYTES", file->bytes);
    tell_number(facts, "LOST", file->lost);
    tell_number(facts, "MISSED", missed);
}

static void tell_loss(struct facts *facts, const struct hooks *hooks, unsigned stream,
                      const struct hook_loss *loss)
{
    char causes[128] = "";
    size_t at = 0;
    uint64_t lost = 0, total = 0;

    for (int i = 0; i < LEDGER_CAUSES; i++) {
        lost += loss->lost_by[i];
        total += loss->seen_by[i];
        if (loss->lost_by[i] > 0)
            at = units_append(causes, sizeof causes, at, "%s%s", at ? "," : "",
                              ledger_cause_names[i]);
    }
    tell(facts, "DAOREC_STREAM=%s", hooks->names[stream]);
    tell(facts, "DAOREC_CAUSE=%s", causes);
    tell_number(facts, "LOST", lost);
    tell_number(facts, "LOST_TOTAL", total);
}

/* ---- what is pending; with the lock held ---- */

static bool take_file(struct hooks *hooks, struct facts *facts)
{
    if (hooks->file_count == 0)
        return false;
    tell_common(facts, hooks, HOOK_FILE_CLOSED);
    tell_file(facts, hooks, &hooks->files[hooks->file_head], hooks->files_missed);
    hooks->file_head = (hooks->file_head + 1) % HOOKS_FILES_MAX;
    hooks->file_count--;
    hooks->files_missed = 0;
    return true;
}

static bool is_due(const struct hooks *hooks, const struct hook_loss *loss, int64_t now_ns)
{
    return loss->since_ns > 0 && (hooks->ending || now_ns - loss->since_ns >= TOGETHER_NS);
}

static bool take_loss(struct hooks *hooks, struct facts *facts, int64_t now_ns)
{
    for (unsigned i = 0; i < hooks->count; i++) {
        unsigned stream = (hooks->next_stream + i) % hooks->count;
        struct hook_loss *loss = &hooks->losses[stream];

        if (!is_due(hooks, loss, now_ns))
            continue;
        tell_common(facts, hooks, HOOK_LOSS);
        tell_loss(facts, hooks, stream, loss);
        loss->since_ns = 0;
        memset(loss->lost_by, 0, sizeof loss->lost_by);
        hooks->next_stream = stream + 1;
        return true;
    }
    return false;
}

static bool take_low_disk(struct hooks *hooks, struct facts *facts)
{
    if (!hooks->is_low_pending)
        return false;
    hooks->is_low_pending = false;
    tell_common(facts, hooks, HOOK_LOW_DISK);
    return true;
}

static bool take(struct hooks *hooks, enum hook_kind kind, struct facts *facts, int64_t now_ns)
{
    switch (kind) {
    case HOOK_FILE_CLOSED:
        return take_file(hooks, facts);
    case HOOK_LOSS:
        return take_loss(hooks, facts, now_ns);
    case HOOK_LOW_DISK:
        return take_low_disk(hooks, facts);
    }
    return false;
}

static uint64_t count_pending(const struct hooks *hooks)
{
    uint64_t count = (uint64_t)hooks->file_count + hooks->is_low_pending;

    for (unsigned i = 0; i < hooks->count; i++)
        count += hooks->losses[i].since_ns > 0;
    return count;
}

/* ---- the thread ---- */

static void say_failure(struct hooks *hooks, enum hook_kind kind, int64_t now_ns, const char *what)
{
    if (hooks->said_ns[kind] && now_ns - hooks->said_ns[kind] < AGAIN_NS)
        return;
    hooks->said_ns[kind] = now_ns;
    log_warning("--on-%s '%s': %s", hook_kind_names[kind], hooks->config.commands[kind], what);
}

/* One that runs: has it ended, or to be ended? True: none runs any more. */
static bool look_at_command(struct hooks *hooks, enum hook_kind kind, int64_t now_ns)
{
    struct command *command = &hooks->running[kind];
    char what[96], took[32];
    int status;

    if (command->pid == 0)
        return true;
    if (command_has_ended(command, &status)) {
        if (status != 0)
            say_failure(hooks, kind, now_ns, command_format_status(what, sizeof what, status));
        return true;
    }
    if (now_ns - command->since_ns < hooks->config.limit_ns)
        return false;
    command_kill(command);
    snprintf(what, sizeof what, "killed, since it did not end within %s",
             units_format_duration(took, sizeof took, hooks->config.limit_ns));
    say_failure(hooks, kind, now_ns, what);
    return true;
}

static void start_command(struct hooks *hooks, enum hook_kind kind, struct facts *facts,
                          int64_t now_ns)
{
    int r = command_start(&hooks->running[kind], hooks->config.commands[kind], "DAOREC_",
                          facts->text, facts->count);
    char what[128];

    if (r == 0)
        return;
    snprintf(what, sizeof what, "cannot be started: %s", strerror(-r));
    say_failure(hooks, kind, now_ns, what);
}

/* With the lock held, which is left while a command is started. Does any run? */
static bool step(struct hooks *hooks, int64_t now_ns)
{
    bool any = false;

    for (int i = 0; i < HOOK_KINDS; i++) {
        enum hook_kind kind = (enum hook_kind)i;
        struct facts facts = {.count = 0};

        if (look_at_command(hooks, kind, now_ns) && !hooks->is_hurried &&
            take(hooks, kind, &facts, now_ns)) {
            pthread_mutex_unlock(&hooks->lock);
            start_command(hooks, kind, &facts, now_ns);
            pthread_mutex_lock(&hooks->lock);
        }
        while (facts.count > 0)
            free(facts.text[--facts.count]);
        any = any || hooks->running[kind].pid != 0;
    }
    return any;
}

/* Until something is posted, or it is time to look again: at a command, or at losses that were to
 * come together. */
static void rest(struct hooks *hooks, bool any_runs, int64_t now_ns)
{
    int64_t wake_ns = now_ns + (any_runs ? LOOK_NS : TOGETHER_NS / 4);
    struct timespec until = {.tv_sec = wake_ns / 1000000000ll, .tv_nsec = wake_ns % 1000000000ll};

    if (any_runs || (!hooks->ending && count_pending(hooks) > 0))
        pthread_cond_timedwait(&hooks->wake, &hooks->lock, &until);
    else if (!hooks->ending)
        pthread_cond_wait(&hooks->wake, &hooks->lock);
}

/* What runs yet has had its time. */
static void give_up(struct hooks *hooks)
{
    uint64_t pending = count_pending(hooks) + hooks->files_missed;

    for (int i = 0; i < HOOK_KINDS; i++) {
        pending += hooks->running[i].pid != 0;
        command_kill(&hooks->running[i]);
    }
    if (pending > 0)
        log_warning("session %s: %llu event%s not told to the end to the --on-... commands%s",
                    hooks->session, (unsigned long long)pending, pending == 1 ? " was" : "s were",
                    hooks->is_hurried ? ": a signal ended the waiting" : ", which take too long");
}

static void *run(void *arg)
{
    struct hooks *hooks = arg;

    pthread_mutex_lock(&hooks->lock);
    for (;;) {
        int64_t now_ns = dao_clock_mono_ns();
        bool any_runs = step(hooks, now_ns);

        if (hooks->ending && ((!any_runs && count_pending(hooks) == 0) || now_ns >= hooks->end_ns))
            break;
        rest(hooks, any_runs, now_ns);
    }
    pthread_mutex_unlock(&hooks->lock);
    give_up(hooks); /* nobody posts any more */
    atomic_store(&hooks->is_over, true);
    return NULL;
}

/* ---- start and end ---- */

static bool is_wanted(const struct hooks_config *config)
{
    for (int i = 0; i < HOOK_KINDS; i++)
        if (config->commands[i])
            return true;
    return false;
}

static char *make_folder_path(const struct books *books)
{
    char *root = realpath(books->root, NULL), *path = NULL;

    if (asprintf(&path, "%s/%s", root ? root : books->root, books->session) < 0)
        path = NULL;
    free(root);
    return path;
}

static void release(struct hooks *hooks)
{
    pthread_cond_destroy(&hooks->wake);
    pthread_mutex_destroy(&hooks->lock);
    free(hooks->folder);
    free(hooks->names);
    free(hooks->losses);
    free(hooks);
}

/* What the thread needs is there also when the session is not. */
static int copy_names(struct hooks *hooks, const struct books *books)
{
    snprintf(hooks->session, sizeof hooks->session, "%s", books->session);
    hooks->folder = make_folder_path(books);
    hooks->count = books->count;
    hooks->names = calloc(books->count, sizeof *hooks->names);
    hooks->losses = calloc(books->count, sizeof *hooks->losses);
    if (!hooks->folder || !hooks->names || !hooks->losses)
        return -ENOMEM;
    for (unsigned i = 0; i < books->count; i++)
        strcpy(hooks->names[i], books->streams[i]->name);
    return 0;
}

int hooks_start(struct hooks **ret, const struct hooks_config *config, const struct books *books,
                const struct room *room)
{
    pthread_condattr_t monotonic;
    struct hooks *hooks;
    int r;

    *ret = NULL;
    if (!is_wanted(config))
        return 0;
    hooks = calloc(1, sizeof *hooks);
    if (!hooks)
        return -ENOMEM;
    hooks->config = *config;
    hooks->books = books;
    hooks->room = room;
    hooks->free_bytes = atomic_load_explicit(&room->free_bytes, memory_order_relaxed);
    if (hooks->config.limit_ns == 0)
        hooks->config.limit_ns = LIMIT_NS;
    pthread_mutex_init(&hooks->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&hooks->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r = copy_names(hooks, books);
    if (r == 0)
        r = -pthread_create(&hooks->thread, NULL, run, hooks);
    if (r < 0)
        release(hooks);
    else
        *ret = hooks;
    return r;
}

void hooks_end(struct hooks *hooks)
{
    if (!hooks)
        return;
    pthread_mutex_lock(&hooks->lock);
    if (!hooks->ending)
        hooks->end_ns = dao_clock_mono_ns() + hooks->config.limit_ns;
    hooks->ending = true;
    pthread_cond_signal(&hooks->wake);
    pthread_mutex_unlock(&hooks->lock);
}

void hooks_hurry(struct hooks *hooks)
{
    if (!hooks)
        return;
    pthread_mutex_lock(&hooks->lock);
    hooks->is_hurried = true;
    hooks->end_ns = 0;
    pthread_cond_signal(&hooks->wake);
    pthread_mutex_unlock(&hooks->lock);
}

bool hooks_are_over(const struct hooks *hooks)
{
    return !hooks || atomic_load(&hooks->is_over);
}

void hooks_stop(struct hooks *hooks)
{
    if (!hooks)
        return;
    hooks_end(hooks);
    pthread_join(hooks->thread, NULL);
    release(hooks);
}

/* ---- what happens ---- */

void hooks_post_file(struct hooks *hooks, const struct record_file *file, uint64_t bytes)
{
    struct hook_file *to;
    unsigned stream = 0;

    if (!hooks || !hooks->config.commands[HOOK_FILE_CLOSED])
        return;
    while (hooks->books->streams[stream] != file->stream)
        stream++;
    pthread_mutex_lock(&hooks->lock);
    if (hooks->file_count < HOOKS_FILES_MAX) {
        to = &hooks->files[(hooks->file_head + hooks->file_count++) % HOOKS_FILES_MAX];
        *to = (struct hook_file){.stream = hooks->names[stream],
                                 .end_cause = file->end_cause,
                                 .frames = file->frames,
                                 .bytes = bytes,
                                 .lost = file->lost};
        strcpy(to->name, file->file.name);
    } else {
        hooks->files_missed++;
    }
    pthread_cond_signal(&hooks->wake);
    pthread_mutex_unlock(&hooks->lock);
}

/* With the lock held. */
static void look_at_losses(struct hooks *hooks, unsigned stream, int64_t now_ns)
{
    struct hook_loss *loss = &hooks->losses[stream];
    struct account_view view;

    account_read(&hooks->books->streams[stream]->account, &view);
    for (int i = 0; i < LEDGER_CAUSES; i++) {
        uint64_t lost = view.counts.lost_by[i];

        if (lost <= loss->seen_by[i])
            continue;
        loss->lost_by[i] += lost - loss->seen_by[i];
        loss->seen_by[i] = lost;
        if (loss->since_ns == 0)
            loss->since_ns = now_ns;
    }
}

/* Told once when it gets low, and again only after it was not. */
static void look_at_disk(struct hooks *hooks)
{
    uint64_t left = hooks->free_bytes;
    uint64_t all = atomic_load_explicit(&hooks->room->disk_bytes, memory_order_relaxed);
    double low = hooks->config.low_percent > 0.0 ? (double)all * hooks->config.low_percent / 100.0
                                                 : (double)hooks->config.low_bytes;

    if (left == UINT64_MAX)
        return;
    if (!hooks->is_low && (double)left < low)
        hooks->is_low = hooks->is_low_pending = true;
    else if ((double)left > low * 1.1)
        hooks->is_low = false;
}

void hooks_look(struct hooks *hooks, int64_t now_ns)
{
    if (!hooks)
        return;
    pthread_mutex_lock(&hooks->lock);
    hooks->free_bytes = atomic_load_explicit(&hooks->room->free_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < hooks->count && hooks->config.commands[HOOK_LOSS]; i++)
        look_at_losses(hooks, i, now_ns);
    if (hooks->config.commands[HOOK_LOW_DISK])
        look_at_disk(hooks);
    if (count_pending(hooks) > 0)
        pthread_cond_signal(&hooks->wake);
    pthread_mutex_unlock(&hooks->lock);
}
