/*
 * extract.h - frames of a series into a file of their own: a cube with its table FRAMES, .npy with
 * its table beside it, or FITS with one image unit a frame. Blocking, one thread a job.
 *
 * Everything is written before anything gets its name (see out.h). What can fail: a frame
 * that cannot be read ends it, nothing is left; one that does not fit its checksum is taken,
 * flagged TORN and RECOVERED, and counted. Memory: two frames and some MB, however many frames.
 */
#ifndef DAOREC_EXTRACT_EXTRACT_H
#define DAOREC_EXTRACT_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "series/series.h"

enum extract_format {
    EXTRACT_FITS, /* a cube, FRAMES, SHMKW */
    EXTRACT_NPY,  /* and NAME.frames.npy */
    EXTRACT_HDUS, /* one image unit a frame */
};

/* Elements [from, to) of each axis, in the order of `size` and numpy. */
struct extract_region {
    int axes;                /* 0: all of the frame; else as many as the frame has */
    uint32_t from[3], to[3]; /* to UINT32_MAX: to the end */
};

/* "10:20,30:40": "A:B" an axis, where either may be left out, or one index. NULL: the whole frame.
 * 0 or -EINVAL. */
int extract_region_parse(struct extract_region *ret, const char *words);

struct extract_order {
    const struct series *series;
    /* Frames from, from + every, ... below until; one at least. What the rows in between tell of
     * losses and restarts goes on to the next frame's row. */
    uint64_t from, until, every;
    struct extract_region region;
    enum extract_format format;
    const char *path;
    bool force; /* replace what has this name */
    /* Called after each frame with frames and stored bytes so far; not 0: give up. */
    int (*progress)(void *ctx, uint64_t frames, uint64_t bytes);
    void *ctx;
};

struct extract_result {
    uint64_t frames, bytes;
    uint64_t damaged; /* frames that did not fit their checksum */
    struct dao_text damage;
    int64_t cnt0_begin, cnt0_end;
    int64_t begin_ns, end_ns; /* 0: no times */
};

struct extract_job;

/* The second file of a format, "" where there is none: NAME.frames.npy. */
void extract_second_path(const struct extract_order *order, char ret[4096]);

/*
 * Write everything, under no name yet. 0; -ECANCELED: progress() said so; -EINVAL: the region or
 * the frames do not suit; -EEXIST: the name is taken; other errno. With a text but for -ECANCELED.
 */
int extract_write(struct extract_job **ret, const struct extract_order *order,
                  struct extract_result *ret_result, struct dao_text *text);

/* Give the files their names. 0 or negative errno with a text. */
int extract_commit(struct extract_job *job, struct dao_text *text);

/* Release a job; NULL is allowed. What was not committed is gone; with `undo` all of it. */
void extract_close(struct extract_job *job, bool undo);

/* Is this file, if it is there, one that was given to be read: one of `paths`, or a FITS file below
 * one that is a folder, also of a stream that was not asked for? Blocking; any thread. */
bool extract_is_input(const char *file, char *const *paths, size_t count);

#endif
