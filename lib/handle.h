/*
 * handle.h - what an IMAGE stands for: the segment, its semaphores, and what is known of the run.
 * For the functions of dao.h (api_*.c) only.
 *
 * An IMAGE has a fixed size, so what the core needs is in an allocation of its own, found through
 * image->semReadPID, which points into it: copies of an IMAGE share it. The tail is in the IMAGE.
 *
 * Threads: one that reads and one that writes may use a handle at once, so what both touch is
 * atomic. Functions that fail print why and return DAO_ERROR, so that a caller can return at once.
 */
#ifndef DAO_HANDLE_H
#define DAO_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/reader.h"
#include "lib/segment.h"
#include "lib/semset.h"
#include "lib/wait.h"

struct dao_handle {
    uint64_t magic;
    struct dao_segment seg;
    struct dao_semset sems;
    pid_t read_pid[IMAGE_NB_SEMAPHORE]; /* image->semReadPID points here */
    pid_t write_pid[IMAGE_NB_SEMAPHORE];
    _Atomic uint64_t creation_bits; /* of the run that the tails are in */
    atomic_bool stale_was_told;     /* a segment that is gone is reported once */
    struct dao_cadence cadence;     /* of the frames that were waited for */
    /* daoShmCopyNextSegment() only: */
    struct dao_reader copier; /* its position follows the tail; seg is NULL before the first */
    uint64_t copier_lost;     /* of a run that ended, not told yet */
    bool copier_saw_restart;  /* likewise */
};

struct dao_handle *dao_handle_create(void);

/* Close everything; NULL is allowed. */
void dao_handle_destroy(struct dao_handle *h);

/* The handle of an open image, or NULL without a message. */
struct dao_handle *dao_handle_find(const IMAGE *image);

/* The same, with a message in the name of `function` where there is none ... */
struct dao_handle *dao_handle_get(const IMAGE *image, const char *function);

/* ... and also where the tail is out of range. */
struct dao_handle *dao_handle_get_reading(const IMAGE *image, const char *function);

/* Has it been made anew in place, with another shape? No system call as long as it is the run that
 * the tails are in. */
bool dao_handle_is_reshaped(const struct dao_handle *h);

/* That, or is the segment no longer the one that the path names, or not whole? Two system calls. */
bool dao_handle_is_stale(const struct dao_handle *h);

/* Say once that a segment is gone. */
int_fast8_t dao_handle_fail_stale(struct dao_handle *h, const char *function);

/* Set the tail. */
static inline void dao_image_move_tail(IMAGE *image, uint32_t slot, uint64_t cnt0)
{
    image->fifo_last_read = slot;
    image->fifo_last_read_cnt0 = cnt0;
}

/* Enter the run that there is now, with the tail at its newest frame. */
void dao_image_enter_run(IMAGE *image, struct dao_handle *h);

/* A reader where the tail is, for one call. */
struct dao_reader dao_image_reader(const IMAGE *image, const struct dao_handle *h,
                                   enum dao_lap_policy policy);

#endif
