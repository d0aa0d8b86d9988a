/*
 * ledger.h - what a session recorded and lost: the numbers, and their JSON form.
 *
 * expected = recorded + lost, always: expected comes from the counts of the runs (last - first + 1
 * of each), recorded and lost are counted one by one, so that the equation can fail and is checked.
 */
#ifndef DAOREC_RECORDING_LEDGER_H
#define DAOREC_RECORDING_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "lib/layout.h"
#include "recording/tree.h"

enum ledger_cause {
    LEDGER_LAPPED,  /* overwritten in the FIFO before it was taken */
    LEDGER_DISK,    /* the same, while no staging block was free */
    LEDGER_SOURCE,  /* the source's own count jumped */
    LEDGER_RESTART, /* published before a restart and not taken in time */
};
#define LEDGER_CAUSES 4
extern const char *const ledger_cause_names[LEDGER_CAUSES];

#define LEDGER_GAPS_MAX    1000
#define LEDGER_RUNS_MAX    256
#define LEDGER_FAILED_MAX  100
#define LEDGER_SHAPES_MAX  256
#define LEDGER_MARKS_MAX   10000 /* no more are taken */
#define LEDGER_MARK_BYTES  FITS_MARK_BYTES
#define LEDGER_CHANGES_MAX 1000

struct ledger_gap {
    int64_t first_cnt0; /* first missing count */
    uint64_t count;
    int64_t time_ns; /* when it was noticed, POSIX */
    enum ledger_cause cause;
};

struct ledger_run {
    int64_t first_cnt0; /* count expected first, also where that frame was lost */
    int64_t last_cnt0;  /* first - 1: nothing was published in this run */
};

struct ledger_shape {
    struct dao_geometry geometry; /* its layout may be NULL: not known */
    uint64_t first_file;          /* number of the first file of this shape */
};

struct ledger_counts {
    uint64_t recorded, torn;
    uint64_t lost_by[LEDGER_CAUSES];
    uint64_t gap_count;        /* all, also those beyond LEDGER_GAPS_MAX */
    uint64_t run_count;        /* >= 1 */
    uint64_t past_runs;        /* frames expected in the runs before the current one */
    struct ledger_run run;     /* the current one */
    uint64_t shape_count;      /* >= 1; one that got no file is not counted */
    struct ledger_shape shape; /* the current one */
};

struct ledger_file {
    char name[TREE_FILE_BYTES];
    uint64_t frames, lost;
    int64_t cnt0_begin, cnt0_end;
    int64_t begin_ns, end_ns;
    const char *end_cause;
    bool closed;
    /* Of the stream up to the end of this file; run_count 0: not known. Told as long as the ledger
     * has no end: should the recorder die, a ring of files goes on with it. */
    struct ledger_counts so_far;
};

/* Finished files that were removed to keep within a limit (--keep-files and the like). Their frames
 * were recorded, and stay counted so. */
struct ledger_removed {
    uint64_t files, frames;
    uint64_t
        last_file; /* the highest number; of those below it, the files that are listed are there */
    bool has_counts;
    struct ledger_counts counts; /* of the stream up to the end of last_file */
};

struct ledger_stream {
    const char *name, *shm_path;
    struct ledger_counts counts;
    const struct ledger_gap *gaps;   /* min(gap_count, LEDGER_GAPS_MAX) entries */
    const struct ledger_gap *failed; /* frames that were taken, and then lost by a failing disk */
    struct ledger_gap waiting; /* the gap that is still growing; counted, but not one of gaps; of
                                  count 0: none */
    uint64_t gaps_listed;      /* of a ledger that was read: entries of gaps */
    struct dao_geometry
        geometry_told;             /* of such a one: "geometry", which is to be the last shape */
    uint64_t failed_count;         /* all; min(failed_count, LEDGER_FAILED_MAX) entries */
    const struct ledger_run *runs; /* finished runs: min(run_count - 1, LEDGER_RUNS_MAX) */
    const struct ledger_shape *shapes; /* earlier ones: min(shape_count - 1, LEDGER_SHAPES_MAX) */
    const struct ledger_file *files;   /* those that are there */
    size_t file_count;
    struct ledger_removed removed; /* those that were there */
};

/* A file that was copied into the session: see copies.h. */
struct ledger_copy {
    const char *name;   /* below the session's folder */
    const char *source; /* its path at that time */
    uint64_t bytes;
    char sha256[SHA256_TEXT_BYTES];
};

/* A stream whose segment has not appeared. */
struct ledger_awaited {
    const char *name, *shm_path;
};

/* What a configuration that was read again has changed in the session. */
struct ledger_change {
    int64_t time_ns;  /* POSIX */
    const char *text; /* "file_rollover.size: 1GiB -> 2GiB" */
};

struct ledger {
    const char *session, *uuid, *host, *root;
    const char *version;           /* NULL: this program's */
    int64_t start_ns, end_ns;      /* end 0: still recording, or (recovered) nobody knows */
    bool recovered;                /* rebuilt from the files after a crash */
    const struct fits_mark *marks; /* what was noted by `daorec ctl mark`, in their order */
    size_t mark_count;
    const struct ledger_change *changes; /* LEDGER_CHANGES_MAX at most, in their order */
    size_t change_count;
    uint64_t changes_left_out;            /* for which there was no room, or no memory */
    const struct ledger_awaited *awaited; /* while recording: not there yet */
    size_t awaited_count;
    struct ledger_stream *streams;
    size_t stream_count;
    const struct ledger_copy *copies; /* NULL where there are none */
    size_t copy_count;
};

/*
 * Booking, in the order in which things happen. `runs` holds LEDGER_RUNS_MAX, `gaps` holds
 * LEDGER_GAPS_MAX entries; what is beyond is counted only.
 */
/* A run begins; `first` is the count expected first. */
void ledger_begin_run(struct ledger_counts *counts, struct ledger_run *runs, int64_t first_cnt0);
/* Frames are lost: they are part of the run's expectation. */
void ledger_lose(struct ledger_counts *counts, struct ledger_gap *gaps,
                 const struct ledger_gap *gap);
/* A frame was taken. */
void ledger_take(struct ledger_counts *counts, int64_t cnt0, bool torn);

uint64_t ledger_run_expected(const struct ledger_run *run);
uint64_t ledger_expected(const struct ledger_counts *counts);
uint64_t ledger_lost(const struct ledger_counts *counts);
bool ledger_balances(const struct ledger_counts *counts);

/* The JSON text of session.json (pretty) or of --json (brief: the summary alone, on one line, file
 * names below root). malloc'ed, NUL-terminated; NULL without memory. */
char *ledger_to_json(const struct ledger *ledger, bool brief);

struct ledger_retired {
    const char *name; /* of the file, without its folder */
    uint64_t seq;
    /* Where the recorder died: of the stream up to the end of this file, and frames of it, for one
     * that was finished after the ledger was written last. NULL: the session is over. */
    const struct ledger_counts *so_far;
    uint64_t frames;
};

/*
 * In the JSON text of a ledger: these files of `stream` are to be removed; one that is not listed
 * was told before. malloc'ed, or NULL with a negative errno in *ret_error: -EBADMSG: no ledger,
 * or one without the stream; -EUCLEAN: it never knew one of them; -EALREADY: it was told of all.
 */
char *ledger_retire_files(const char *json, const char *stream, const struct ledger_retired *files,
                          size_t count, int *ret_error);

/*
 * The numbers behind a file that goes on right where they ended, and lost nothing, as most do.
 * False: it does not.
 */
bool ledger_go_on(struct ledger_counts *ret, const struct ledger_counts *before,
                  const struct ledger_file *file);
bool ledger_same_counts(const struct ledger_counts *a, const struct ledger_counts *b);

/* What `so_far` of this file of the stream goes on from: that of the one before, as listed, or of
 * the last one that was removed. NULL: not known. */
const struct ledger_counts *ledger_counts_before(const struct ledger_stream *stream, size_t index);

/* ---- reading session.json, which may have been written by anybody ---- */

/* What the file says, in memory of its own; a stream's `failed` is part of its `gaps`, and its
 * gap_count counts those left out as well. */
struct ledger_document {
    struct ledger ledger;
    char *text; /* the file as it is, NUL-terminated */
    void **blocks;
    size_t block_count;
};

/* Read session.json in dir_fd. 0; -ENOENT; -EBADMSG: it is no ledger; -ENOTSUP: it is no regular
 * file; -ELOOP: a link; other errno. Always with a text, that does not name the file.
 * Release with ledger_document_free(), which is safe on a zeroed one. */
int ledger_document_read(struct ledger_document *ret, int dir_fd, struct dao_text *text);
void ledger_document_free(struct ledger_document *document);

#endif
