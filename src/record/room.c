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

static uint64_t free_of(const struct room_limits *limits, const struct statvfs *fs)
{
    uint64_t free_bytes = (uint64_t)fs->f_bavail * fs->f_frsize;
    uint64_t kept = kept_of(limits, fs) + LEDGER_BYTES;

    return free_bytes > kept ? free_bytes - kept : 0;
}

uint64_t room_free(const struct room *room)
{
    struct statvfs fs;

    return fstatvfs(room->dir_fd, &fs) == 0 && fs.f_blocks > 0 ? free_of(&room->limits, &fs)
                                                               : UINT64_MAX;
}

uint64_t room_of_ring(const struct room *room)
{
    uint64_t left = atomic_load_explicit(&room->left_bytes, memory_order_relaxed);

    return left == UINT64_MAX
               ? left
               : left - atomic_load(&room->ring_spare) + atomic_load(&room->ring_bytes);
}

void room_set_ring(struct room *room, uint64_t bytes, uint64_t spare)
{
    uint64_t before = atomic_exchange(&room->ring_spare, spare);
    uint64_t left = atomic_load_explicit(&room->left_bytes, memory_order_relaxed);

    atomic_store(&room->ring_bytes, bytes);
    /* Of a file that goes the room is there all the same: it is free now, or used again. */
    while (spare > before && left != UINT64_MAX &&
           !atomic_compare_exchange_weak_explicit(&room->left_bytes, &left, left + spare - before,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t most_of_file(const struct room *room, uint64_t ring)
{
    unsigned files = atomic_load(&room->ring_files); /* it may be 0 the next moment */

    return files == 0 || ring >= atomic_load(&room->ring_limit) ? UINT64_MAX : ring / files;
}

void room_promise(struct room *room, uint64_t bytes)
{
    atomic_fetch_add(&room->promised, bytes);
}

void room_fulfil(struct room *room, uint64_t bytes)
{
    atomic_fetch_sub(&room->promised, bytes);
}

void room_look_again(struct room *room)
{
    uint64_t left = UINT64_MAX, free_bytes = UINT64_MAX, disk_bytes = UINT64_MAX, ring = UINT64_MAX;
    uint64_t to_fill = UINT64_MAX, promised = atomic_load(&room->promised);
    struct statvfs fs;

    /* no blocks: a file system that does not tell */
    if (fstatvfs(room->dir_fd, &fs) == 0 && fs.f_blocks > 0) {
        free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        disk_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
        left = free_of(&room->limits, &fs);
        ring = left + atomic_load(&room->ring_bytes);
        to_fill = atomic_load(&room->ring_files) > 0 ? UINT64_MAX : left;
        left += atomic_load(&room->ring_spare);
        left -= promised < left ? promised : left;
    }
    atomic_store(&room->file_most, most_of_file(room, ring));
    atomic_store_explicit(&room->left_bytes, left, memory_order_relaxed);
    atomic_store_explicit(&room->to_fill_bytes, to_fill, memory_order_relaxed);
    atomic_store_explicit(&room->free_bytes, free_bytes, memory_order_relaxed);
    atomic_store_explicit(&room->disk_bytes, disk_bytes, memory_order_relaxed);
}

void room_look(struct room *room, int dir_fd)
{
    if (room->dir_fd != dir_fd) /* others read it */
        room->dir_fd = dir_fd;
    room_look_again(room);
    atomic_fetch_add(&room->looks, 1);
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
