/* room.c - see room.h. */
#include "record/room.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "io/sink.h"

#define LEDGER_BYTES (256u << 10)

void room_read_limits(struct room_limits *limits)
{
    struct rlimit limit;

    limits->file_bytes_max = UINT64_MAX;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        limits->file_bytes_max = limit.rlim_cur - limit.rlim_cur % SINK_PAGE;
}

/* relaxed: a claim by the old limits is as good as one made a moment before */
static double percent_of(const struct room_limits *limits)
{
    double percent;

    __atomic_load(&limits->keep_percent, &percent, __ATOMIC_RELAXED);
    return percent;
}

static uint64_t bytes_of(const struct room_limits *limits)
{
    return __atomic_load_n(&limits->keep_bytes, __ATOMIC_RELAXED);
}

void room_keep(struct room *room, uint64_t bytes, double percent)
{
    __atomic_store_n(&room->limits.keep_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_store(&room->limits.keep_percent, &percent, __ATOMIC_RELAXED);
}

static uint64_t kept_of(const struct room_limits *limits, const struct statvfs *fs)
{
    double percent = percent_of(limits);

    if (percent > 0.0)
        return (uint64_t)((double)fs->f_blocks * (double)fs->f_frsize * percent / 100);
    return bytes_of(limits);
}

void room_look(struct room *room, int dir_fd)
{
    uint64_t left = UINT64_MAX, free_bytes = UINT64_MAX, disk_bytes = UINT64_MAX, kept;
    struct statvfs fs;

    room->dir_fd = dir_fd;
    if (fstatvfs(dir_fd, &fs) == 0 && fs.f_blocks > 0) { /* 0: a file system that does not tell */
        free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
        kept = kept_of(&room->limits, &fs) + LEDGER_BYTES;
        left = free_bytes > kept ? free_bytes - kept : 0;
    }
    atomic_store_explicit(&room->left_bytes, left, memory_order_relaxed);
    atomic_store_explicit(&room->free_bytes, free_bytes, memory_order_relaxed);
    atomic_store_explicit(&room->disk_bytes, disk_bytes, memory_order_relaxed);
}

uint64_t room_kept(const struct room *room)
{
    struct statvfs fs;

    return fstatvfs(room->dir_fd, &fs) == 0 ? kept_of(&room->limits, &fs) : bytes_of(&room->limits);
}

bool room_keeps_nothing(const struct room *room)
{
    return bytes_of(&room->limits) == 0 && percent_of(&room->limits) <= 0.0;
}

uint64_t room_claim(struct room *room, uint64_t least, uint64_t bytes)
{
    uint64_t left = atomic_load_explicit(&room->left_bytes, memory_order_relaxed), granted;

    if (bytes > room->limits.file_bytes_max)
        bytes = room->limits.file_bytes_max;
    do {
        granted = bytes < left ? bytes : left;
        if (granted < least)
            return room_keeps_nothing(room) && least <= bytes ? least : 0;
        if (left == UINT64_MAX)
            break;
    } while (!atomic_compare_exchange_weak_explicit(&room->left_bytes, &left, left - granted,
                                                    memory_order_relaxed, memory_order_relaxed));
    return granted;
}
