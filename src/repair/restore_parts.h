/*
 * restore_parts.h - the parts of restore.c: the shape of the file, one header against the one it
 * should be, and the primary header, whose values have to be settled first. See restore.h.
 */
#ifndef DAOREC_REPAIR_RESTORE_PARTS_H
#define DAOREC_REPAIR_RESTORE_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "fits/flips.h"
#include "repair/restore.h"
#include "repair/witness.h"

#define RESTORE_CARDS_MAX  4096u /* of a header */
#define RESTORE_DAMAGE_MAX 24u   /* bits by which a header may differ and still be meant */

#define RESTORE_SHAPES_MAX 8u

/* One file. */
struct restore_look {
    struct restore *ret;
    struct dao_text *text;
    int fd;
    uint64_t file_bytes;
    struct witness witness;
    struct fits_bytes frames_model;                 /* the header of FRAMES, of one row */
    struct fits_bytes keywords_model;               /* ... of SHMKW, of none */
    struct dao_geometry shapes[RESTORE_SHAPES_MAX]; /* that it may have */
    unsigned shape_count;
    struct dao_geometry geometry;
    uint64_t planes, rows; /* as their cards, or the places of the tables, say */
    IMAGE_KEYWORD *keywords;
    unsigned keyword_count;   /* proven ones */
    bool is_spare, is_filler; /* behind SHMKW: closing has not begun to switch, or has */
};

static inline struct fits_bytes *restore_bytes(const struct restore_look *look,
                                               enum reading_unit which)
{
    return &look->ret->header[which].bytes;
}

/* ---- one header ---- */

/* Cards of `bytes` before END, or near END where that has a wrong bit; 0: it has none. */
size_t restore_count_cards(const struct fits_bytes *bytes);

/*
 * Which card of `bytes` is which of `model`: map[i] for card i of the model, -1 where there is
 * none. By keywords, but for a few bits, and in their order. map holds RESTORE_CARDS_MAX.
 */
void restore_align(const struct fits_bytes *model, const struct fits_bytes *bytes, int *map);

/* The first card of the model with this keyword, or -1. */
int restore_find(const struct fits_bytes *model, const char *key);

/* Bits by which `bytes` is not the model, cards of `leave_out` (" DATE BUNIT ": keywords)
 * not counted; one that is not there counts 40, one that is somebody's does not. */
unsigned restore_distance(const struct fits_bytes *model, const struct fits_bytes *bytes,
                          const char *leave_out);

/*
 * Make header->bytes what the model says, as restore.h tells. Of the cards in `free_keys` the value
 * stays what it is, if it is one. Counts and names what changed, with `unit` ("FRAMES ") in front.
 * 0 or -EBADMSG with a text.
 */
int restore_mend(struct restore *restore, struct restore_header *header,
                 const struct fits_bytes *model, const char *free_keys, const char *unit,
                 struct dao_text *text);

/* ---- shape and places ---- */

/* Is there a header like the model, but for some bits and for what cards of `leave_out` say? */
bool restore_is_like(const struct restore_look *look, uint64_t off, const struct fits_bytes *model,
                     const char *leave_out);

/* The first card with this keyword, or nearly; NULL. */
const unsigned char *restore_near_card(const struct fits_bytes *header, const char *key);

/* Of the numbers first to last, that whose digits are nearest to a card's, the larger of two.
 * Returns the bits in which they differ. */
unsigned restore_nearest_number(const unsigned char *card, uint64_t first, uint64_t last,
                                uint64_t *ret);

/* Where the cube of so many planes of this shape ends; UINT64_MAX: beyond the file. */
uint64_t restore_cube_end(const struct restore_look *look, const struct dao_geometry *shape,
                          uint64_t planes);

/* Set look->geometry and look->planes so that FRAMES follows the cube. False: nothing is near, or
 * more than one is. */
bool restore_find_shape(struct restore_look *look);

/* ---- the primary header ---- */

/* A primary header of a recording of this geometry whose values are whatever was at hand. */
int restore_model_primary(struct fits_bytes *ret, const struct fits_bytes *bytes,
                          const struct witness *witness, const struct dao_geometry *geometry);

/* Cards that a person may have configured. */
#define RESTORE_OPTIONAL 6
extern const char *const restore_optional_keys[RESTORE_OPTIONAL];

/* What a primary header is built of. */
struct restore_draft {
    struct dao_geometry geometry;
    char stream[FITS_STREAM_NAME_MAX + 1], segment[4096];
    char host[FITS_FLIPS_TEXT], uuid[FITS_FLIPS_TEXT], version[FITS_FLIPS_TEXT];
    char optional[RESTORE_OPTIONAL][FITS_FLIPS_TEXT]; /* "": no such card */
    char previous[TREE_FILE_BYTES];
    struct fits_state state;
    const IMAGE_KEYWORD *keywords;
    unsigned keyword_count;
};

/* One header whose values are being settled. */
struct restore_job {
    const struct witness *witness;
    const struct witness_rows *rows;
    const struct fits_bytes *bytes;
    struct fits_bytes model; /* of a draft: only its keywords count */
    int map[RESTORE_CARDS_MAX];
    struct restore_draft draft;
    struct dao_text *text;
};

/* Settle all values of job->draft but planes and keywords. 0, -EBADMSG with a text, or other errno.
 * In restore_values.c. */
int restore_settle(struct restore_job *job);

/* Restore it, once shape, planes and keywords are known. 0, -EBADMSG with a text, or other
 * errno. */
int restore_primary(struct restore_look *look, const struct witness_rows *rows);

#endif
