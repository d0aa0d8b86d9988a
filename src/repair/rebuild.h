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
 * Failure cases:
 *
 *   the recorder lives, or another repair is at it       left alone
 *   the old ledger is missing, cut off, nonsense, or     done without
 *   of another session
 *   it is no file, or cannot be read                     refused
 *   it differs from the new one                          kept as session.json.before-repair (.2
 *                                                        and so on)
 *   a file of the session is not finished, could not     refused: its frames would be counted lost,
 *   be repaired, cannot be read, or was taken away       or not at all
 *   files of other sessions or streams among ours        left out, but where the old ledger names
 *                                                        them
 *   without an old ledger a file is not here: its        said by its name; what was in it counts as
 *   number is left out, or the last file names it        lost only where a later row tells of it
 *   two files of one number, or a name that is too       refused: frames would be counted twice, or
 *   long for an entry                                    not at all
 *   rows that contradict each other                      expected = recorded + lost holds whatever
 *                                                        they say
 */
#ifndef DAOREC_REPAIR_REBUILD_H
#define DAOREC_REPAIR_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/scan.h"
#include "recording/find.h"
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
    struct dao_text missing;           /* files that others tell of, and that are not here */
    struct dao_text text;
};

enum rebuild_how {
    REBUILD_APPLY = 1,  /* do it */
    REBUILD_ANYWAY = 2, /* also where it looks right: files were, or would be, repaired */
};

/*
 * Look at the session in this folder; with REBUILD_APPLY, rebuild its ledger where it needs it: it
 * is missing, no ledger, without an end, or does not name the files that are there. `how`: bits of
 * enum rebuild_how. `held`: a file of the session that cannot be repaired, for which a ledger that
 * is needed is refused (NULL: there is none). 0 or negative errno with REBUILD_REFUSED.
 */
int rebuild_ledger(struct rebuild *ret, const char *session, unsigned how, const char *held);

/* In rebuild_files.c: what is there of a session. */
struct rebuild_job {
    struct rebuild *ret;
    const char *path; /* of its folder, without a slash at the end */
    int dir_fd;
    struct find_tree tree;
    struct ledger_document old; /* empty where there is none that is any good */
    bool has_old_file;
    struct rebuild_stream **streams;
    size_t stream_count;
    char uuid[FITS_TEXT_BYTES], host[FITS_TEXT_BYTES], version[FITS_TEXT_BYTES];
    char name[256]; /* of the session's folder */
    char part[300]; /* what rebuild_find_part() found */
};

/* Refuse with "session.json: left as it is: ..."; returns `error`. */
int rebuild_refuse(struct rebuild_job *job, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Lock the session's folder, before anything is read in it; false: a recorder has it. It stays
 * locked while dir_fd is open only where `is_kept`. */
bool rebuild_take(struct rebuild_job *job, bool is_kept);
/* Has somebody else one of its unfinished files? */
bool rebuild_is_held(struct rebuild_job *job);
bool rebuild_has_streams(const struct rebuild_job *job);
/* Does the old ledger name the finished files that are there, and no others? */
bool rebuild_names_its_files(const struct rebuild_job *job);
/* The first file that is not finished, "stream/name", or NULL. */
const char *rebuild_find_part(struct rebuild_job *job);
/* Which session is it? That of the old ledger if any of its files is; that one is dropped if only
 * files of another are there. */
void rebuild_identify(struct rebuild_job *job);
/* Fill job->streams from the files; those of the old ledger first, in its order. 0 or negative
 * errno, perhaps with a text. */
int rebuild_add_streams(struct rebuild_job *job);

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
/* Nothing more comes: book what the old ledger knows beyond the rows. */
void rebuild_stream_end(struct rebuild_stream *rebuild, const struct ledger_stream *old);
void rebuild_stream_free(struct rebuild_stream *rebuild);

#endif
