/*
 * retention.h - of the streams that are recorded, only so many files, so many bytes, or so long a
 * time are kept below the output folder. The oldest finished files go, of this session and of
 * earlier ones; what is being written, locked by anybody, or marked (recording/mark.h) is neither
 * touched nor counted. Sessions whose recorder died are like others; what they have unfinished is
 * not touched, but counts as bytes, though not at the cost of a stream's last finished file.
 *
 *     opener --retention_make_way()--> the oldest files: ledger told, then the name gone
 *                                 the blocks of one of them --> the next file, see sink_recycle()
 *     closer --retention_add()-------> one more
 *
 * The blocks of others are freed by whoever calls retention_sweep(), since that takes its time.
 *
 * How old a file is, is told by the clock as it was when the recording began: one that is set
 * meanwhile, forth or back, removes nothing.
 *
 * A limit is kept before a file is prepared, and before one is finished, so that it holds at every
 * instant: with N files, N - 1 or N are finished. A disk that has less room than the limits allow
 * is a limit like them, but for one finished file of each stream, which stays. A limit is exceeded
 * rather than anything be removed that must not be.
 */
#ifndef DAOREC_RECORD_RETENTION_H
#define DAOREC_RECORD_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "record/retention_limits.h"
#include "record/retention_state.h"
#include "recording/retire.h"

/* One warning, where the disk has not room for what the limits allow. It was looked at. */
void retention_say_room(const struct retention *retention);

/* Find the files that are there, and remove what is beyond the limits already. The streams have
 * their shapes. 0 or negative errno with a text. */
int retention_start(struct retention *retention, struct dao_text *text);
void retention_fini(struct retention *retention); /* safe on a zeroed one */

/* Session's thread: would these limits do? 0; -ERANGE with a text: they are too narrow for what is
 * recorded. */
int retention_check(const struct retention *retention, const struct retention_limits *limits,
                    struct dao_text *text);

/* Session's thread: other limits from here on, that were checked; without any nothing is removed
 * any more. `configs`: what the streams are to roll by now, one each. */
void retention_set_limits(struct retention *retention, const struct retention_limits *limits,
                          const struct stream_config *configs);

/* Keeper: is there no room for this file within a limit in bytes, and nothing that may go, while an
 * earlier one of its stream is about to be closed, and may go then? Its frames wait in memory. */
bool retention_has_to_wait(struct retention *retention, const struct record_file *file);

/* Keeper: before `file` is prepared, make way for it: by the limits once a file, and at each try
 * for the bytes that it needs on a disk that has not so many. True: *ret holds one that is about to
 * be removed, for its blocks, retention->held.bytes. Until it is given to retention_drop() no other
 * is removed, and none is closed, since it is there yet. */
bool retention_make_way(struct retention *retention, struct record_file *file, uint64_t need,
                        struct retire *ret);
/* Remove what is left of it: its name, or, with its descriptor given away (fd -1), an empty
 * folder. */
void retention_drop(struct retention *retention, struct retire *old);

/* Keeper: there is no room for a file, though the disk says otherwise: the oldest goes. The bytes
 * that it had; 0: none may go. */
uint64_t retention_remove_one(struct retention *retention);

/* Keeper: would a file that is about to be closed cost an old one, whose blocks the next file,
 * about to be prepared, has use for? Then that may be waited for, a while. */
bool retention_should_wait(struct retention *retention, const struct record_file *file);

/* Keeper: before a file is closed, and is one more. */
void retention_before_close(struct retention *retention, const struct record_file *file);

/* Keeper: this file is finished (result 0, and not removed), or will not be. */
void retention_add(struct retention *retention, struct record_file *file, bool is_finished);

/* Keeper: once in a while, for limits that time alone passes. */
void retention_look(struct retention *retention);

/* Anyone: give the blocks of removed files back to the file system. Takes its time. */
void retention_sweep(struct retention *retention);
bool retention_has_to_sweep(struct retention *retention);

#endif
