/*
 * room.h - how much of the disk a session may still claim: what is free, less what is to be kept.
 *
 * Apart from that some room is left for the ledger, which is written as the last thing.
 *
 * Where old files are removed to keep within a limit (retention.h), those that may go for the next
 * file are room, too: what is more than the disk has never comes to be. Files are a fraction of it
 * then, so that there is always one to go.
 *
 * Files claim their whole length when they are prepared. A plan claims it at once, so that two
 * streams do not plan with the same room; every look at the disk then sets the figure right, less
 * what is promised and not there yet. Drains call room_claim() and room_promise() (no system call),
 * keepers room_fulfil(), room_look_again(), room_free() and room_set_ring(), the session's thread
 * the others.
 */
#ifndef DAOREC_RECORD_ROOM_H
#define DAOREC_RECORD_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct room_limits {
    /* To be kept free, or this part of the file system, where that is above 0. In use both may
     * change: see room_keep(). */
    uint64_t keep_bytes;
    double keep_percent;
    /* RLIMIT_FSIZE in whole pages, as files are written; UINT64_MAX: none */
    uint64_t file_bytes_max;
};

struct room {
    struct room_limits limits;
    int dir_fd;
    unsigned streams;            /* that share it */
    _Atomic uint64_t left_bytes; /* UINT64_MAX: not known */
    _Atomic uint64_t promised;   /* claimed for files that have it not on the disk yet */
    _Atomic uint64_t returning;  /* ended files have more than they need, until they are closed */
    /* Of a ring of files, else 0; written by the session's thread. */
    _Atomic unsigned ring_files; /* it holds so many at least, if the disk is what bounds it */
    _Atomic uint64_t ring_limit; /* what its limits allow it; UINT64_MAX: not known */
    _Atomic uint64_t ring_bytes; /* of its files, with those that are being written */
    _Atomic uint64_t ring_spare; /* ... of those that may go */
    _Atomic uint64_t file_most;  /* so long may a file be for that; UINT64_MAX: as it likes */
    _Atomic unsigned looks;      /* of the session's thread: how often */
    /* As last looked at, for whoever watches; UINT64_MAX: not known. */
    _Atomic uint64_t free_bytes, disk_bytes;
    /* Until no more may be written; UINT64_MAX also for a ring: old files go first. */
    _Atomic uint64_t to_fill_bytes;
};

/* Where the limits of this process lie; keep_* are the caller's. */
void room_read_limits(struct room_limits *limits);

/* Session's thread: keep so much from here on, beside drains that claim. */
void room_keep(struct room *room, uint64_t bytes, double percent);

/* Session's thread: look at the file system of dir_fd, which is borrowed. */
void room_look(struct room *room, int dir_fd);

/* Keeper: the same beside others, when a file has given back what it did not need. */
void room_look_again(struct room *room);

/* A file of so many bytes is to be made, which were claimed: until it has them on the disk, or is
 * given up (room_fulfil(), of as many), no look at the disk takes them for free. Any thread. */
void room_promise(struct room *room, uint64_t bytes);
void room_fulfil(struct room *room, uint64_t bytes);

/* So much is in the ring now, and may go from it. Any thread, one at a time. */
void room_set_ring(struct room *room, uint64_t bytes, uint64_t spare);

/* What the ring has and could have beside it, as last looked at; UINT64_MAX: not known. */
uint64_t room_of_ring(const struct room *room);

/* Is free at this instant, and need not be kept so; UINT64_MAX: not known. Any thread. */
uint64_t room_free(const struct room *room);

/* Bytes to be kept free there; for messages. */
uint64_t room_kept(const struct room *room);

/* Is nothing to be kept free there? Then a disk that is full is waited for. */
bool room_keeps_nothing(const struct room *room);

/*
 * Claim up to `bytes`, at least `least`: how much was granted, 0 where there is less. Where nothing
 * is to be kept free (both limits 0) `least` is granted in any case: then a full disk is waited
 * for.
 */
uint64_t room_claim(struct room *room, uint64_t least, uint64_t bytes);

#endif
