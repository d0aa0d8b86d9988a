/*
 * rebuild.h - session.json from the files of a session whose recorder is dead. Blocking; any
 * thread.
 *
 * The rows of a stream's files tell what its drain booked: frames, gaps with their causes, runs.
 * What they cannot tell is taken from the ledger as the crash left it, where that fits them: what
 * happened before the first and after the last row on disk, causes and times. Frames that it knows
 * to have been published and that are in no file are lost to the disk. Frames that nobody knows of
 * are not counted: "recovered": true marks such a ledger, its end is null unless it is known.
 *
 * Failure cases: the recorder lives: left alone. The old ledger is missing, cut off, of another
 * session or nonsense: done without. It differs from the new one: it is kept as
 * session.json.before-repair (.2, .3, ...). Files of other sessions or streams among ours: left
 * out. Rows that contradict each other: expected = recorded + lost holds whatever they say.
 */
#ifndef DAOREC_RECORDING_REBUILD_H
#define DAOREC_RECORDING_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/ledger.h"

enum rebuild_verdict {
    REBUILD_NOTHING, /* it is as it should be, or this is no session */
    REBUILD_WRITE,   /* to be written, or written */
    REBUILD_OWNED,   /* its recorder lives */
    REBUILD_REFUSED, /* cannot be written; text says why */
};

struct rebuild {
    enum rebuild_verdict verdict;
    uint64_t streams, files;
    uint64_t expected, recorded, lost; /* of all streams */
    char kept_as[48];                  /* the old ledger's new name; "" where there was none */
    struct dao_text text;
};

/*
 * Look at the session in this folder; with `apply`, rebuild its ledger where it needs it: it is
 * missing, no ledger, without an end, or does not name the files that are there. `anyway`: also
 * where it looks right (files were repaired). 0 or negative errno with REBUILD_REFUSED.
 */
int rebuild_ledger(struct rebuild *ret, const char *session, bool anyway, bool apply);

/* In rebuild_stream.c: one stream, from its files in their order and the old ledger's entry. */
struct rebuild_stream {
    struct ledger_stream stream; /* points into this struct */
    char name[FITS_STREAM_NAME_MAX + 1];
    char segment[4096];
    struct ledger_shape shapes[LEDGER_SHAPES_MAX];
    struct ledger_gap gaps[LEDGER_GAPS_MAX];
    struct ledger_run runs[LEDGER_RUNS_MAX];
    struct ledger_file *files;
    bool *is_used;   /* gaps of the old ledger that were found in the rows */
    uint64_t behind; /* lost behind the last row of the last file, as that file tells */
    bool is_behind_disk;
};

struct reading;

/* Begin with what the old ledger knows (NULL: nothing). 0 or -ENOMEM. */
int rebuild_stream_begin(struct rebuild_stream *rebuild, const char *name,
                         const struct ledger_stream *old);
/* The stream's next file. 0 or negative errno. */
int rebuild_stream_add(struct rebuild_stream *rebuild, const char *file_name,
                       const struct reading *reading, const struct ledger_stream *old);
/* A file that is not finished and stays so: it is named, its frames are not counted. */
int rebuild_stream_name(struct rebuild_stream *rebuild, const char *file_name,
                        const struct reading *reading, const struct ledger_stream *old);
/* Nothing more comes: book what the old ledger knows beyond the rows. */
void rebuild_stream_end(struct rebuild_stream *rebuild, const struct ledger_stream *old);
void rebuild_stream_free(struct rebuild_stream *rebuild);

#endif
