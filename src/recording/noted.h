/*
 * noted.h - what a person noted while a file was recorded (`daorec ctl mark`), for those who tell
 * what a file is. Any thread, blocking; nothing is written, no lock is kept.
 *
 * The cards of the file's header say which marks are its own; session.json in the folder above has
 * their whole text, in UTF-8, and those for which the header had no room. A file that its recorder
 * did not finish has no such cards: its marks are those of the ledger that the recorder would have
 * given it, noted after the last frame of the file before and up to its own last one, or to any
 * time where no file follows, but for those that a file beside it tells of.
 *
 * What can fail: the file is damaged (then nothing is known of its marks); the ledger is not there,
 * damaged or of another session (then there is what the cards say).
 */
#ifndef DAOREC_RECORDING_NOTED_H
#define DAOREC_RECORDING_NOTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/marks.h"

struct reading;

struct noted_mark {
    struct fits_mark mark; /* its text may hold any byte but NUL */
    bool has_cnt0;
    int64_t cnt0; /* of the last frame of the file that was taken before it */
};

struct noted {
    struct noted_mark *marks;
    size_t count;
    uint64_t more; /* that only session.json would tell of */
};

/* The marks of the recording at `path`. 0 or negative errno; release with noted_free(), which is
 * safe on a zeroed one, and after a failure. */
int noted_read(struct noted *ret, const char *path);
/* The same for the file behind `reading` in dir_fd of which `frames` frames are whole: what the
 * ledger has for it, where its header has no cards; without counts. */
int noted_find_untold(struct noted *ret, int dir_fd, const struct reading *reading,
                      uint64_t frames);
void noted_free(struct noted *noted);

#endif
