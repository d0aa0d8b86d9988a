/*
 * disk.h - what the session's thread looks at on the disk twice a second: is there room for what is
 * to come, is the folder still there, does the ledger tell what was lost meanwhile, are there files
 * to be removed?
 *
 * A stream that waits for the disk closes no file, so that nobody would write the ledger: while
 * there are frames lost to the disk, or closed files, that it does not tell of, a keeper is asked
 * for it once a second, or less often where writing it takes long (see books.h). A recorder that is
 * killed then leaves one that tells all but the last two seconds, where the disk took it.
 * disk_look() writes nothing; it asks the file system for its room and the folder's links.
 */
#ifndef DAOREC_RECORD_DISK_H
#define DAOREC_RECORD_DISK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/books.h"
#include "record/keeper.h"
#include "record/retention.h"

struct disk {
    /* set by the session; borrowed */
    struct room *room;
    struct books *books;
    struct keeper *keeper;       /* to write the ledger, and to give blocks back */
    struct keeper *opener;       /* to remove files */
    struct retention *retention; /* NULL: files are kept */
    struct record_stream *const *streams;
    unsigned count;
    const char *root, *session;
    int dir_fd;
    /* kept here */
    bool has_ended;       /* why the recording is to end was said */
    int64_t written_ns;   /* monotonic: when the ledger was asked for last */
    atomic_bool is_asked; /* for the ledger, and it is not written yet */
    int64_t retention_ns; /* monotonic: when files to be removed were looked for last */
    atomic_bool is_retention_asked, is_sweep_asked;
};

/* Look. Returns the ENDCAUSE with which the recording is to end now, said once and counted as a
 * failure; else NULL. */
const char *disk_look(struct disk *disk, int64_t now_ns);

/* Session's thread: have the ledger written, with what is known by now. */
void disk_ask_for_ledger(struct disk *disk);

/* The keepers that were asked: write the ledger, remove files, give their blocks back. */
void disk_write_ledger(struct disk *disk);
void disk_look_at_retention(struct disk *disk);
void disk_sweep(struct disk *disk);

#endif
