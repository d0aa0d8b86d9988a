/*
 * reading.h - a recording opened for reading, finished or not: its units, its primary cards, rows
 * and pixels by index. One thread a reading; nothing is written, no lock is kept.
 *
 * What can be wrong: anything. Units in another order, sizes that do not fit each other or the
 * file, cards that are missing or of the wrong kind, a file that shrinks while it is read (-ENODATA
 * then). Nothing is believed that was not checked; memory is bounded whatever the file says.
 *
 *     [primary header][cube: planes][FRAMES: rows][SHMKW][SPARE or FILLER, or nothing]
 *
 * planes and rows are equal but for a moment in closing (see close.c), when there are fewer rows.
 */
#ifndef DAOREC_RECORDING_READING_H
#define DAOREC_RECORDING_READING_H

#include <stdbool.h>
#include <stdint.h>

#include "fits/rows.h"
#include "fits/scan.h"
#include "lib/layout.h"
#include "recording/tree.h"

#define READING_ROWS_AT_ONCE 2048u

enum reading_unit { READING_CUBE, READING_FRAMES, READING_SHMKW, READING_SPARE };
#define READING_UNITS 4

/* What the primary header says, as it stands there. */
struct reading_cards {
    char stream[FITS_TEXT_BYTES];
    char segment[4096];
    char uuid[FITS_TEXT_BYTES], host[FITS_TEXT_BYTES], version[FITS_TEXT_BYTES];
    char status[FITS_TEXT_BYTES], end_cause[FITS_TEXT_BYTES];
    char previous[FITS_TEXT_BYTES], next[FITS_TEXT_BYTES];
    int64_t file_seq, frame0, frames, cnt0_begin, cnt0_end;
    int64_t lost, gaps, torn, session_lost;
    int64_t begin_ns, end_ns;
    double fps;
};

struct reading {
    int fd;
    uint64_t file_bytes;
    struct fits_unit unit[READING_UNITS];
    unsigned unit_count;   /* 3 or 4 */
    uint64_t behind_bytes; /* that lie behind the last unit; 0 but after reading_open_anyway() */
    struct dao_geometry geometry;
    uint64_t frame_bytes, planes, rows;
    uint64_t cube_off, rows_off;
    int64_t dateref_ns;
    struct reading_cards cards;
};

/*
 * Read the structure of the file behind fd, which stays the caller's and must stay open.
 * 0; -EMEDIUMTYPE: no FITS, or no recording of ours; -EBADMSG: a recording that is damaged; other
 * errno. Always with a text that does not name the file.
 */
int reading_open(struct reading *ret, int fd, struct dao_text *text);
/* The same, but a file with something behind its last unit is read, too. */
int reading_open_anyway(struct reading *ret, int fd, struct dao_text *text);
/*
 * File `seq` of the same stream and session as `own`, which lies in dir_fd under its final name or
 * that of an unfinished one. 0 with a descriptor to close behind reading_close(), or -ENOENT.
 */
int reading_open_neighbour(struct reading *ret, int dir_fd, const struct reading *own, uint64_t seq,
                           int *ret_fd);
void reading_close(struct reading *reading); /* safe on a zeroed one; leaves fd alone */

/* Is this the table FRAMES, with the columns of fits/rows.h? 0, or -EBADMSG with a text. */
int reading_check_columns(const struct fits_unit *unit, struct dao_text *text);

/* `count` rows from `first` on, packed, within the table. 0 or negative errno. */
int reading_rows(const struct reading *reading, uint64_t first, uint64_t count,
                 unsigned char *ret_packed);

/* Rows one after the other, read in pieces; for loops. */
struct reading_cursor {
    const struct reading *reading;
    uint64_t first, count; /* what the chunk holds */
    unsigned char chunk[READING_ROWS_AT_ONCE * FITS_ROW_BYTES];
};
void reading_cursor_init(struct reading_cursor *cursor, const struct reading *reading);
/* The packed row `index` < rows, valid until the next call; NULL with *ret_error set. */
const unsigned char *reading_cursor_row(struct reading_cursor *cursor, uint64_t index,
                                        int *ret_error);

/* Called for each frame in turn with the sum of its bytes, as DSUM has it; negative ends it. */
struct reading_visitor {
    int (*frame)(void *ctx, uint64_t index, uint32_t sum);
    void (*progress)(void *ctx, uint64_t bytes); /* NULL, or called now and then: bytes read */
    void *ctx;
};
/* Frames [first, first + count) within the cube, read in large pieces. 0 or negative errno. */
int reading_visit_frames(const struct reading *reading, uint64_t first, uint64_t count,
                         const struct reading_visitor *visitor);

/* The sum of any bytes of the file, as if they began on a 4-byte boundary. *ret_zero (may be NULL)
 * tells whether all of them are zero. 0 or negative errno. */
int reading_sum_bytes(const struct reading *reading, uint64_t off, uint64_t bytes, uint32_t *ret,
                      bool *ret_zero);

#endif
