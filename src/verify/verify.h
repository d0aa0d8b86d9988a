/*
 * verify.h - is a recording as it was written? One file here; how files follow each other and what
 * the ledger says of them is in chain.h. Blocking, any thread, nothing is changed.
 *
 * What is found: a flipped bit anywhere. In pixels: named to the frame, by DSUM. In a row: named
 * to the row where it contradicts itself or its neighbours, else the table is named. In a header
 * or a padding: named to the unit. Cut-off and lengthened files; units that are missing or out of
 * place; cards that contradict the rows. A file that is being written is judged by what is there.
 */
#ifndef DAOREC_VERIFY_VERIFY_H
#define DAOREC_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verify/doubts.h"
#include "recording/reading.h"
#include "recording/rowcheck.h"

enum verify_state {
    VERIFY_UNREADABLE,    /* cannot be opened, no FITS, or a recording whose structure is broken */
    VERIFY_LINK,          /* a link that was not followed: only its name is known */
    VERIFY_FOREIGN,       /* FITS, but no recording of ours */
    VERIFY_FINISHED,      /* closed or recovered, under its final name */
    VERIFY_BEING_WRITTEN, /* its recorder lives */
    VERIFY_UNFINISHED,    /* a crash left it: a doubt in itself */
};

/* What was found in a file. Frames and rows: those that are there. */
struct verify_file {
    enum verify_state state;
    struct verify_doubts doubts;
    uint64_t file_bytes, bytes_read;
    char name[TREE_FILE_BYTES]; /* without folders and ".part" */
    bool is_part;
    bool is_gone; /* its name is: what is doubted may come of that */
    /* the rest: of recordings, FINISHED and up */
    char stream[FITS_TEXT_BYTES], uuid[FITS_TEXT_BYTES], end_cause[FITS_TEXT_BYTES];
    char previous[FITS_TEXT_BYTES], next[FITS_TEXT_BYTES];
    char segment[256]; /* SHMNAME, or as much of it */
    struct dao_geometry geometry;
    int64_t begin_ns, end_ns; /* DATE-BEG, DATE-END */
    bool is_recovered;
    uint64_t frames;
    int64_t file_seq, frame0, lost, session_lost; /* by its cards */
    struct row_totals totals;
    struct fits_row first, last; /* where frames > 0 */
    /* chain.h's own: the number in its name, and whether it is one of its stream's files */
    uint64_t name_seq;
    bool is_in_order;
};

/* Called now and then with the bytes of pixels read of this file. */
struct verify_progress {
    void (*bytes)(void *ctx, uint64_t bytes);
    void *ctx;
};

/* Look at the file of this path (a link is followed). progress may be NULL. Release with
 * verify_file_free(). */
void verify_file(struct verify_file *ret, const char *path, const struct verify_progress *progress);
void verify_file_free(struct verify_file *file);

/* What a path alone tells: file->name and is_part. */
void verify_note_name(struct verify_file *file, const char *path);
/* Does the name end in ".part"? */
bool verify_is_part(const char *path);

/* In state.c: what is it? Fills in what its header says, and file->state, which is
 * BEING_WRITTEN before where a recorder holds the file. */
void verify_state(struct verify_file *file, const struct reading *reading, const char *path);
/* Of a file named *.part that no recorder holds: a doubt that says what repair makes of it, which
 * is found out by repair's own look at it (the pixels are read once more). */
void verify_plan(struct verify_file *file, const char *path);
bool verify_is_repairable(const char *path); /* does repair see a recording in it? */
/* Has it units or rows that closing takes away? */
bool verify_is_uncut(const struct reading *reading);

/* In cards.c: the primary header against the rows. */
void verify_cards(struct verify_file *file, const struct reading *reading);

#endif
