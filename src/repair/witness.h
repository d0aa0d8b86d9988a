/*
 * witness.h - what tells of an unfinished file beside its own headers: its name, the ledger, the
 * finished files of its stream, other files of its session, its rows. And how it is settled where
 * these do not say the same. Repair's; blocking, any thread.
 *
 * None of it need be there, and none of it is believed alone: a witness is counted with a weight, 2
 * where a checksum holds it, else 1, and a card of the header itself counts 1.
 */
#ifndef DAOREC_REPAIR_WITNESS_H
#define DAOREC_REPAIR_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "recording/ledger.h"
#include "recording/reading.h"

#define WITNESS_MATES_MAX 8u

/* A file of another stream. */
struct witness_mate {
    char uuid[FITS_TEXT_BYTES], host[FITS_TEXT_BYTES], version[FITS_TEXT_BYTES];
    unsigned weight;
};

struct witness {
    char stream[FITS_STREAM_NAME_MAX + 1]; /* by the file's name; "" where that is none of ours */
    uint64_t seq;
    struct ledger_document document;
    const struct ledger_stream *ledger; /* NULL: it tells nothing of the stream */
    const struct ledger_file *entry;    /* ... of the file */
    /* The next finished files of the stream on either side whose header's checksum holds; closed
     * again. unit_count 0: none. */
    struct reading before, after;
    struct witness_mate mates[WITNESS_MATES_MAX];
    unsigned mate_count;
};

/* Look around the file `name` in dir_fd. Release with witness_free(), safe on a zeroed one. */
void witness_gather(struct witness *ret, int dir_fd, const char *name);
void witness_free(struct witness *witness);

/* The shape that the ledger gives to this file, or NULL. */
const struct dao_geometry *witness_ledger_shape(const struct witness *witness);
/* Is the file before this one's neighbour, and of the same shape and depth? */
bool witness_has_same_before(const struct witness *witness);

/* What the rows that are there say. */
struct witness_rows {
    bool has_first; /* the first one is there */
    int64_t first_cnt0, first_ns;
    bool has_dateref;
    int64_t dateref_ns; /* a whole second */
    uint32_t depth;     /* where a wrap of SLOT tells it, else 0 */
    int32_t slot_max;   /* -1: no row */
};
/* The first `rows` rows at rows_off, as many of them as it takes. 0 or negative errno. */
int witness_read_rows(struct witness_rows *ret, int fd, uint64_t rows_off, uint64_t rows);

/* ---- settling ---- */

#define BALLOT_RIVALS 16u

struct ballot {
    const char *own; /* what the card says; NULL: no value */
    struct {
        const char *value, *who;
        unsigned weight;
    } rivals[BALLOT_RIVALS]; /* all different */
    unsigned count;
};

/* Strings are borrowed. A NULL or "" value is no vote. */
void ballot_add(struct ballot *ballot, const char *value, unsigned weight, const char *who);

/*
 * The value: the card's own, unless it is nearly another one for which more speaks. 0; -EINVAL with
 * a text that begins with `card`: it has none, or as much speaks for one as for the other.
 */
int ballot_settle(const struct ballot *ballot, const char *card, const char **ret,
                  struct dao_text *text);

#endif
