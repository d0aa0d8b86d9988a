/*
 * guard.c - a foreign program may truncate a segment's file under our mapping: the next load from
 * it is a SIGBUS. This handler turns that into zeros and a mark on the segment.
 *
 * The table grows in chunks that are never freed, so that the handler can walk it at any moment
 * without a lock. Entering and leaving take a mutex; the handler only loads and stores atomics and
 * calls mmap. Entries are addressed by index, so a struct dao_segment may be moved.
 */
#include "lib/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK_ENTRIES 256
#define CHUNKS_MAX    1024

struct entry {
    _Atomic uintptr_t start; /* 0: free; stored last on entering (release), first on leaving */
    _Atomic size_t bytes;
    _Atomic int prot;
    atomic_bool fired;
};

struct chunk {
    struct entry entries[CHUNK_ENTRIES];
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct chunk first_chunk;
static _Atomic(struct chunk *) chunks[CHUNKS_MAX] = {&first_chunk};
static bool is_enabled = true, is_installed; /* under table_lock */
static uintptr_t page_bytes;                 /* set before the handler is installed */
static struct sigaction previous;            /* likewise */

static struct entry *entry_at(int index)
{
    /* acquire: pairs with the release in find_free(); the chunk's zeros are visible */
    struct chunk *chunk =
        atomic_load_explicit(&chunks[index / CHUNK_ENTRIES], memory_order_acquire);

    return chunk ? &chunk->entries[index % CHUNK_ENTRIES] : NULL;
}

/* The entry whose mapping holds this address. Async-signal-safe. */
static struct entry *find_address(uintptr_t address)
{
    for (int i = 0; i < CHUNKS_MAX * CHUNK_ENTRIES; i++) {
        struct entry *entry = entry_at(i);
        uintptr_t start;

        if (!entry)
            return NULL;
        /* acquire: pairs with the release in dao_guard_enter() */
        start = atomic_load_explicit(&entry->start, memory_order_acquire);
        if (start && /* an address before it wraps */
            address - start < atomic_load_explicit(&entry->bytes, memory_order_relaxed))
            return entry;
    }
    return NULL;
}

/* Zero pages from the page of this address to the end of its mapping. */
static bool replace_pages(struct entry *entry, uintptr_t address)
{
    uintptr_t end = atomic_load_explicit(&entry->start, memory_order_relaxed) +
                    atomic_load_explicit(&entry->bytes, memory_order_relaxed);
    uintptr_t from = address & ~(page_bytes - 1);

    /* The mark comes first: whoever reads a zero of ours can know it (release, with the acquire
     * in dao_segment_is_gone()). */
    atomic_store_explicit(&entry->fired, true, memory_order_release);
    return mmap((void *)from, end - from, atomic_load_explicit(&entry->prot, memory_order_relaxed),
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

/* The fault is not ours: what would have happened without us. */
static void pass_on(int signo, siginfo_t *info, void *context)
{
    struct sigaction fallback = {.sa_handler = SIG_DFL};

    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(signo, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signo);
    } else if (info->si_code > 0) {
        /* A real fault cannot be ignored: returning repeats it, and then it kills. */
        sigaction(SIGBUS, &fallback, NULL);
    } else if (previous.sa_handler == SIG_DFL) {
        sigaction(SIGBUS, &fallback, NULL);
        raise(SIGBUS); /* sent by someone, so nothing repeats it; delivered on return */
    }
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct entry *entry = info->si_code > 0 ? find_address(address) : NULL;

    if (!entry || !replace_pages(entry, address))
        pass_on(signo, info, context);
    errno = saved;
}

static void install_handler(void)
{
    struct sigaction action;

    page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    /* Looked up first: from the moment ours is in place `previous` must be right. */
    is_installed = sigaction(SIGBUS, NULL, &previous) == 0 && sigaction(SIGBUS, &action, NULL) == 0;
}

/* Index of a free entry, with a new chunk where all are taken; -1: none to be had. */
static int find_free(void)
{
    for (int i = 0; i < CHUNKS_MAX * CHUNK_ENTRIES; i++) {
        struct entry *entry = entry_at(i);

        if (!entry) {
            struct chunk *fresh = calloc(1, sizeof *fresh);

            if (!fresh)
                return -1;
            atomic_store_explicit(&chunks[i / CHUNK_ENTRIES], fresh, memory_order_release);
            return i;
        }
        if (!atomic_load_explicit(&entry->start, memory_order_relaxed))
            return i;
    }
    return -1;
}

int dao_guard_enter(void *map, size_t bytes, int prot)
{
    int index = -1;

    pthread_mutex_lock(&table_lock);
    if (is_enabled && !is_installed)
        install_handler();
    if (is_enabled && is_installed)
        index = find_free();
    if (index >= 0) {
        struct entry *entry = entry_at(index);

        atomic_store_explicit(&entry->bytes, bytes, memory_order_relaxed);
        atomic_store_explicit(&entry->prot, prot, memory_order_relaxed);
        atomic_store_explicit(&entry->fired, false, memory_order_relaxed);
        /* release: pairs with the acquire in find_address() */
        atomic_store_explicit(&entry->start, (uintptr_t)map, memory_order_release);
    }
    pthread_mutex_unlock(&table_lock);
    return index;
}

void dao_guard_leave(int index)
{
    if (index < 0)
        return;
    pthread_mutex_lock(&table_lock);
    atomic_store_explicit(&entry_at(index)->start, 0, memory_order_relaxed);
    pthread_mutex_unlock(&table_lock);
}

const atomic_bool *dao_guard_flag(int index)
{
    return index < 0 ? NULL : &entry_at(index)->fired;
}

void dao_guard_enable(bool enabled)
{
    pthread_mutex_lock(&table_lock);
    is_enabled = enabled;
    pthread_mutex_unlock(&table_lock);
}
