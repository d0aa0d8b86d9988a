/*
 * disk_trial.h - how fast the disk takes what a recorder writes: blocks of 4 MiB, 16 in flight,
 * through io/, into a preallocated file without a name, a sync a second. One thread, blocking.
 *
 * The room that it takes for a moment is bounded by the caller; nothing stays, however it ends.
 * Where that is full before the time is over another file takes its place, as often as it takes.
 */
#ifndef DAOREC_DOCTOR_DISK_TRIAL_H
#define DAOREC_DOCTOR_DISK_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

struct disk_trial {
    /* set by the caller */
    int dir_fd;
    int64_t time_ns;    /* for about that long; a disk that stalls is waited for */
    uint64_t bytes_max; /* and no more than this at once */
    /* found */
    uint64_t bytes;         /* of all files */
    unsigned files;         /* one after the other */
    uint64_t file_bytes;    /* the room that each of them took */
    int64_t took_ns;        /* of writing them, each with its last sync */
    int64_t stall_ns;       /* the longest time in which none of the writes in flight finished */
    double cpu_ns_per_byte; /* of the whole process */
    bool used_ring, used_direct;
};

#define DISK_TRIAL_BYTES_LEAST (16ull << 20) /* less says nothing */

/* 0 or negative errno: -ENOSPC also where bytes_max is less than DISK_TRIAL_BYTES_LEAST. */
int disk_trial_run(struct disk_trial *trial);

#endif
