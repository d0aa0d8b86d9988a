/*
 * header.h - the headers of a recording, built by cfitsio in memory and handed out as bytes.
 *
 * cfitsio is the authority on cards; the caller places the bytes. All functions may be called from
 * any thread (cfitsio is built reentrant in Debian; each call uses a memory file of its own), take
 * some 0.1 ms and allocate: not for the hot path. A header of the same facts always has the same
 * length, whatever the state says, so that it can be replaced in place.
 */
#ifndef DAOREC_FITS_HEADER_H
#define DAOREC_FITS_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "fits/bytes.h"
#include "fits/marks.h"
#include "lib/dtype.h"
#include "lib/layout.h"

#define FITS_KEYWORD_CARDS_MAX 64
/* A file's name stands in PREVFILE and NEXTFILE, which hold 68 characters: "_000001.fits". */
#define FITS_STREAM_NAME_MAX 56

/* What is true of every file of a stream. Strings are borrowed; NULL: no such card. */
struct fits_facts {
    const struct dao_geometry *geometry;
    const char *stream; /* EXTNAME */
    const char *bunit;
    const char *host;     /* RECHOST */
    const char *session;  /* RECUUID */
    const char *shm_path; /* SHMNAME */
    const char *origin, *telescope, *instrument, *observer, *object;
    const IMAGE_KEYWORD *keywords; /* the segment's, as they were at open */
    unsigned keyword_count;
};

/* What ENDCAUSE may be: "" before the end, then the causes; NULL is behind the last. */
extern const char *const fits_end_causes[];
/* The cause of this name, or NULL. */
const char *fits_find_end_cause(const char *name);

/* What is true of one file, now. Times in POSIX nanoseconds. */
struct fits_state {
    uint64_t planes;   /* NAXISn of the frame axis */
    uint64_t file_seq; /* 1, 2, ... */
    uint64_t frame0;   /* index of the file's first frame in the session */
    int64_t cnt0_begin;
    int64_t written_ns;   /* DATE: when the header was written */
    int64_t begin_ns;     /* first frame */
    const char *previous; /* name of the file before, "" for none */
    /* as they stand at close; zero and "" before */
    uint64_t frames;
    int64_t cnt0_end;
    int64_t end_ns;
    double fps;
    uint64_t lost, gaps, torn, session_lost;
    const char *next;
    const char *end_cause; /* one of fits_end_causes */
    const char *status;    /* OPEN, CLOSED, RECOVERD */
    const struct fits_mark *marks;
    unsigned mark_count;
    uint64_t marks_more; /* that are not among them */
};

/* All return 0, -ENOMEM or -EINVAL (cfitsio refused a value; its message goes to `text`). */

/* The primary header, with room for FITS_MARK_CARDS cards of marks. checksum_of_data: NULL leaves
 * CHECKSUM and DATASUM blank (undefined), else they are filled for data of that sum. */
int fits_build_primary(struct fits_bytes *ret, const struct fits_facts *facts,
                       const struct fits_state *state, const uint32_t *checksum_of_data,
                       struct dao_text *text);

/*
 * The same header with another state, card for card where it stood, and marks, if there are any, in
 * the room for them (those that it has already stay); what is no state (the facts,
 * the segment's keywords, whatever a person added) stays as it is. For a header of another version
 * of this program and for one read from a file; one that lacks a card is lengthened at most within
 * its last block, else -EPROTO. On failure `header` is untouched.
 */
int fits_update_primary(struct fits_bytes *header, const char *stream,
                        const struct fits_state *state, const uint32_t *checksum_of_data,
                        struct dao_text *text);

/* The header of FRAMES with `rows` rows; dateref_ns is a whole second. */
int fits_build_frames(struct fits_bytes *ret, uint64_t rows, int64_t dateref_ns,
                      const uint32_t *checksum_of_data, struct dao_text *text);

/* The same header for another number of rows; as fits_update_primary(). */
int fits_update_frames(struct fits_bytes *header, uint64_t rows, const uint32_t *checksum_of_data,
                       struct dao_text *text);

/* The whole SHMKW unit: header, rows, padding, checksums. */
int fits_build_shmkw(struct fits_bytes *ret, const struct fits_facts *facts, struct dao_text *text);

/* The header of an image of `data_bytes` bytes that mean nothing: SPARE and FILLER. Its checksums
 * stay undefined, since closing writes into that data while the header still rules. */
int fits_build_filler(struct fits_bytes *ret, const char *extname, uint64_t data_bytes,
                      struct dao_text *text);

#endif
