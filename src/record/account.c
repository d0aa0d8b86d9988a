/* account.c - see account.h. */
#include "record/account.h"

#include <assert.h>
#include <string.h>

#include "base/pace.h"

#define READ_TRIES    1000u
#define READ_SLEEP_NS 50000ll

void account_init(struct account *account)
{
    memset(account, 0, sizeof *account);
    pthread_mutex_init(&account->lock, NULL);
}

void account_fini(struct account *account)
{
    pthread_mutex_destroy(&account->lock);
}

void account_begin_shape(struct account *account, const struct dao_geometry *geometry,
                         uint64_t first_file)
{
    struct ledger_counts *counts = &account->now.counts;

    if (counts->shape_count > 0 && dao_geometry_equal(geometry, &counts->shape.geometry))
        return; /* other keywords only */
    if (counts->shape_count == 0 || first_file > counts->shape.first_file) {
        if (counts->shape_count > 0 && counts->shape_count <= LEDGER_SHAPES_MAX)
            account->shapes[counts->shape_count - 1] = counts->shape;
        counts->shape_count++;
    }
    counts->shape = (struct ledger_shape){.geometry = *geometry, .first_file = first_file};
    account->now.depth = geometry->depth;
}

void account_begin_run(struct account *account, int64_t first_cnt0)
{
    account->now.waiting.count = 0;
    ledger_begin_run(&account->now.counts, account->runs, first_cnt0);
}

void account_move_run(struct account *account, int64_t first_cnt0)
{
    struct ledger_run *run = &account->now.counts.run;

    assert(ledger_run_expected(run) == 0);
    *run = (struct ledger_run){.first_cnt0 = first_cnt0,
                               .last_cnt0 = (int64_t)((uint64_t)first_cnt0 - 1)};
}

void account_lose(struct account *account, enum ledger_cause cause, int64_t first_cnt0,
                  uint64_t count, int64_t time_ns)
{
    struct ledger_gap gap = {
        .first_cnt0 = first_cnt0, .count = count, .time_ns = time_ns, .cause = cause};

    account->now.waiting.count = 0;
    ledger_lose(&account->now.counts, account->gaps, &gap);
}

void account_wait(struct account *account, const struct ledger_gap *gap)
{
    struct ledger_gap *waiting = &account->now.waiting;
    bool is_same = gap && waiting->count > 0 && waiting->first_cnt0 == gap->first_cnt0;
    int64_t noticed_ns = is_same ? waiting->time_ns : 0;

    *waiting = gap ? *gap : (struct ledger_gap){0};
    if (is_same)
        waiting->time_ns = noticed_ns;
}

struct ledger_gap account_settle(struct account *account)
{
    struct ledger_gap gap = account->now.waiting;

    account->now.waiting.count = 0;
    ledger_lose(&account->now.counts, account->gaps, &gap);
    return gap;
}

void account_note_event(struct account *account, enum account_event event)
{
    account->now.events[event]++;
}

void account_take(struct account *account, int64_t cnt0, bool torn, uint64_t bytes)
{
    account->now.waiting.count = 0;
    ledger_take(&account->now.counts, cnt0, torn);
    account->now.bytes += bytes;
}

void account_note_file(struct account *account, uint64_t file_seq, uint64_t frames)
{
    account->now.file_seq = frames > 0 ? file_seq : 0;
    account->now.file_frames = frames;
}

/* ---- the copy that others read ---- */

#define VIEW_WORDS (sizeof(struct account_view) / sizeof(uint64_t))

/* A view word by word, so that a reader beside the drain reads no half a word. */
struct view_words {
    uint64_t word[VIEW_WORDS];
} __attribute__((may_alias));
static_assert(sizeof(struct view_words) == sizeof(struct account_view), "whole words");

void account_publish(struct account *account)
{
    uint64_t version = atomic_load_explicit(&account->version, memory_order_relaxed);
    const struct view_words *from = (const struct view_words *)&account->now;
    struct view_words *to = (struct view_words *)&account->shown;

    atomic_store_explicit(&account->version, version + 1, memory_order_relaxed);
    /* release: a reader that sees one of the words sees that the version was odd before */
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < VIEW_WORDS; i++)
        __atomic_store_n(&to->word[i], from->word[i], __ATOMIC_RELAXED);
    /* release: pairs with the first load in read_shown(), also for gaps, runs and shapes */
    atomic_store_explicit(&account->version, version + 2, memory_order_release);
}

static bool try_read_shown(struct account *account, struct account_view *ret)
{
    uint64_t version = atomic_load_explicit(&account->version, memory_order_acquire);
    const struct view_words *from = (const struct view_words *)&account->shown;
    struct view_words *to = (struct view_words *)ret;

    if (version % 2 != 0)
        return false;
    for (size_t i = 0; i < VIEW_WORDS; i++)
        to->word[i] = __atomic_load_n(&from->word[i], __ATOMIC_RELAXED);
    /* acquire: pairs with the fence in account_publish() */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&account->version, memory_order_relaxed) == version;
}

/* A drain that was interrupted in the middle of it is given the processor. */
static void read_shown(struct account *account, struct account_view *ret)
{
    for (unsigned tries = 1; !try_read_shown(account, ret); tries++)
        if (tries % READ_TRIES == 0)
            pace_sleep_for(READ_SLEEP_NS);
}

/* ---- what failed behind its back ---- */

void account_fail(struct account *account, int64_t first_cnt0, uint64_t frames, int64_t time_ns)
{
    if (frames == 0)
        return;
    pthread_mutex_lock(&account->lock);
    if (account->failed_count < LEDGER_FAILED_MAX)
        account->failed[account->failed_count] = (struct ledger_gap){
            .first_cnt0 = first_cnt0, .count = frames, .time_ns = time_ns, .cause = LEDGER_DISK};
    account->failed_count++;
    account->failed_frames += frames;
    pthread_mutex_unlock(&account->lock);
}

void account_read(struct account *account, struct account_view *ret)
{
    uint64_t failed;

    read_shown(account, ret);
    pthread_mutex_lock(&account->lock);
    failed = account->failed_frames;
    ret->failed_count = account->failed_count;
    pthread_mutex_unlock(&account->lock);
    /* The drain may not have published the frames yet that failed already. */
    if (failed > ret->counts.recorded)
        failed = ret->counts.recorded;
    ret->counts.recorded -= failed;
    ret->counts.lost_by[LEDGER_DISK] += failed;
    if (ret->waiting.count > 0) {
        ret->counts.lost_by[ret->waiting.cause] += ret->waiting.count;
        ret->counts.run.last_cnt0 =
            (int64_t)((uint64_t)ret->waiting.first_cnt0 + ret->waiting.count - 1);
    }
}
