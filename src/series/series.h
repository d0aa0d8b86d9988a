/*
 * series.h - the frames of a stream one after the other, whichever files hold them: for replay and
 * extract. Opening and searching touch headers and tables only; pixels are read when asked for.
 *
 * What a member file can be:
 *   a recording of ours, finished, repaired or still under its .part name (frames up to the last
 *   row that reached the disk), rolled files joined by FILESEQ;
 *   any FITS image cube (the primary or the first image extension, tile-compressed ones too), one
 *   axis of which counts frames; BZERO, BSCALE, all BITPIX, complex numbers by CTYPE1;
 *   a file with one image HDU a frame, with cards CNT0 and ATIME.
 * Files of others that have the same name but for a number, the same type and shape, and times that
 * follow each other, are joined, too: sorted by that number, not by alphabet.
 *
 * What can go wrong: a file that is no FITS, or is damaged, cut short, or shrinks while it is read;
 * one that a ring of files removes: while the set is opened its folder is listed again, after that
 * it is an error when its turn comes;
 * members of one stream whose shapes or keywords differ (parts: a recording that was reshaped, or
 * whose segment got other keywords); rows that are missing in a crashed file; counts that restart,
 * times that run back.
 *
 * A set is opened by one thread and not changed afterwards; readers of it may then run in several
 * threads, one reader each.
 */
#ifndef DAOREC_SERIES_SERIES_H
#define DAOREC_SERIES_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fits/rows.h"
#include "lib/dao.h"
#include "lib/layout.h"

/* A stretch of frames of one shape, in a recording of ours also of one set of keywords: what a
 * segment that holds them is made from. A part may differ from the one before in keywords only. */
struct series_part {
    uint64_t first, frames;       /* indices in the series */
    struct dao_geometry geometry; /* FIFO layout; depth 0 where nothing tells it */
    IMAGE_KEYWORD *keywords;      /* the segment's, as SHMKW or cards have them */
    unsigned keyword_count;
};

struct series {
    char stream[128];   /* EXTNAME, or the file's name up to its first dot */
    char segment[4096]; /* SHMNAME; "" where nothing tells it */
    char uuid[72];      /* of the session; "" where it is none of ours */
    uint64_t frames;
    struct series_part *parts;
    unsigned part_count;        /* at least 1 */
    bool has_times;             /* else ATIME is 0 throughout */
    bool has_counts;            /* else CNT0 is index + 1 */
    struct series_files *files; /* private to src/series */
};

/* What the arguments of a command lead to, one series a stream; streams of one session keep the
 * order of their first frames' times. */
struct series_set {
    struct series *series;
    size_t count;
};

struct series_options {
    unsigned frame_axis;        /* 1 ... NAXIS as FITS counts them; 0: the last */
    const char *const *streams; /* NULL-terminated names to keep; NULL: all */
};

/*
 * Open what `paths` name: sessions, folders of streams, files. 0; -ENOENT: nothing to read there;
 * -EMEDIUMTYPE: a file that was named is no FITS; -EBADMSG: damaged beyond reading; -EINVAL: an
 * option that does not fit; -ESTALE: files of a folder went, or were replaced, between listing and
 * opening, also when it was listed again, three times; other errno. Always with a text naming file
 * and remedy. What was left out (a file cut short, rows without pixels) is told by log_warning(),
 * once a file and listing.
 */
int series_set_open(struct series_set *ret, char *const *paths, size_t path_count,
                    const struct series_options *options, struct dao_text *text);
void series_set_close(struct series_set *set); /* safe on a zeroed one */

/* Times of the first and the last frame of all of them, POSIX ns; 0, 0: none has times. */
void series_set_span(const struct series_set *set, int64_t *ret_begin_ns, int64_t *ret_end_ns);

const struct series_part *series_part_of(const struct series *series, uint64_t index);

/* One of the files of a series, in their order; more than one where a file has several stretches of
 * equal image units. */
struct series_member {
    const char *path;       /* as it was opened; borrowed from the series */
    uint64_t first, frames; /* indices in the series */
    uint64_t number;        /* FILESEQ, or the number in its name; 0: none */
    bool is_ours;           /* a recording, finished or not */
    bool is_part;           /* not finished */
    bool has_counts;        /* else CNT0 is index + 1 */
    bool has_rows_sum;      /* FRAMES states its DATASUM: of rows as they are, packed */
    uint32_t rows_sum;
};
size_t series_member_count(const struct series *series);
struct series_member series_member_at(const struct series *series, size_t at);

/* ---- one thread's way through a series ---- */

struct series_reader;

/* `ahead_bytes`: how much the kernel is asked to read ahead of the frame asked for last, while they
 * are asked for one after the other. That is page cache; the memory taken here is some 300 KB. Two
 * kinds take more: compressed cubes (cfitsio's: a tile or a frame), and cubes whose frame axis is
 * not the last, of which as many frames as fit into `ahead_bytes`, but at least 64 MiB, are read in
 * one go. 0 or negative errno. */
int series_reader_open(struct series_reader **ret, const struct series *series,
                       uint64_t ahead_bytes, struct dao_text *text);
void series_reader_close(struct series_reader *reader); /* NULL is allowed */

/* Nothing is read ahead of the frames below `end` (by default: all of the series). */
void series_reader_set_end(struct series_reader *reader, uint64_t end);

/* From here on LOST is as the files have it: not raised at the border of two files between which
 * others, that were not given, belong. */
void series_reader_keep_lost(struct series_reader *reader);

/* The row of a frame; LOST and FLAGS 0, SLOT -1 where the file has none. RTIME is never 0. */
int series_reader_row(struct series_reader *reader, uint64_t index, struct fits_row *ret,
                      struct dao_text *text);

/* A frame's pixels as the segment had them (native byte order, the part's dtype) into ret_pixels,
 * which has geometry.frame_bytes; decoded straight into it. -EBADMSG: DSUM does not fit (the pixels
 * are there nevertheless, and a caller may go on), and nothing else; other errno: they are not,
 * -ENODATA: the file has become shorter. */
int series_reader_pixels(struct series_reader *reader, uint64_t index, void *ret_pixels,
                         struct dao_text *text);

/*
 * Where frames are, by bisection of headers and rows: some KB a call. *ret_index is series->frames
 * where there is no such frame. 0 or negative errno.
 *
 * find_time: the first frame at or after a time (POSIX ns): ATIME, or RTIME where that is bad.
 * Times that run back within the series are searched for as if they did not. -ENOTSUP: the series
 * has no times.
 * find_count: from frame `from` on (find_count_from) the first frame of a count, or beyond it where
 * that one is lost, in the first run of the source that reaches from below to beyond it; where no
 * run does, the first frame of the first run that begins beyond it. A restart is seen where counts
 * grow less than the index between two frames that are looked at. One that is hidden by losses, of
 * at least as many frames as the count fell, before the next frame that is looked at, is not seen:
 * both runs are then searched as one, and what is found may be a frame of the other run, or one
 * beyond the count although a frame has it.
 * find_gap: the frame that follows gap `number` (1, 2, ...) of the series: rows with LOST, or where
 * there are none a count that jumps, within a file and from one file of others to the next.
 */
int series_reader_find_time(struct series_reader *reader, int64_t atime_ns, uint64_t *ret_index,
                            struct dao_text *text);
int series_reader_find_count(struct series_reader *reader, int64_t cnt0, uint64_t *ret_index,
                             struct dao_text *text);
int series_reader_find_count_from(struct series_reader *reader, uint64_t from, int64_t cnt0,
                                  uint64_t *ret_index, struct dao_text *text);
int series_reader_find_gap(struct series_reader *reader, uint64_t number, uint64_t *ret_index,
                           struct dao_text *text);

#endif
