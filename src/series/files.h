/*
 * files.h - the files behind a series: private to src/series, which tell in series.h what
 * can go wrong. Filled when a set is opened, constant afterwards.
 *
 *     files.c     a file as such, on the pile and in a series
 *     collect.c   the files that paths lead to
 *     probe.c     what a file is, and where its frames lie
 *     units.c     the same, of files with a unit a frame
 *     image.c     an image header: shape, type, how pixels are stored
 *     keywords.c  the segment's keywords, from SHMKW or cards
 *     join.c      which files belong together, and in which order
 *     series.c    one series, made of them
 *     set.c       all of them: of collected files, joined and named
 *     reader.c    one thread's way through a series, and the file that it is in
 *     pixels.c    pixels by index; tiles.c: of compressed cubes
 *     rows.c      rows by index
 *     find.c      by time, count and gap
 */
#ifndef DAOREC_SERIES_FILES_H
#define DAOREC_SERIES_FILES_H

#include <sys/stat.h>

#include "fits/decode.h"
#include "fits/scan.h"
#include "recording/reading.h"
#include "series/series.h"

enum series_kind {
    SERIES_CUBE,  /* an image, one axis of which counts frames; ours, too */
    SERIES_UNITS, /* an image unit a frame */
    SERIES_TILES, /* a tile-compressed cube: pixels come through cfitsio */
};

/* How an image's pixels are stored. In words, FITS order: `inner` words of a frame lie side by
 * side, `count` frames of them one behind the other, and that `outer` times. */
struct series_store {
    uint64_t data_off;
    uint64_t inner, count, outer;
    unsigned word_bytes;
    bool is_scaled; /* to doubles, by `scale`; else decoded as the dtype says */
    struct fits_scale scale;
};

/* One image unit that is a frame. */
struct series_unit {
    uint64_t data_off;
    int64_t atime_ns, cnt0, cnt1, cnt2, rtime_ns;
    int32_t lost, flags, slot;
};

struct series_file {
    char *path, *stream, *segment, *key; /* key: files with the same one are one series */
    char uuid[FITS_TEXT_BYTES];
    enum series_kind kind;
    bool is_ours;  /* a recording, finished or not */
    bool is_part;  /* ours, not finished: it may be closed and renamed at any time */
    bool is_named; /* by the user, not found in a folder */
    bool has_times, has_counts;
    dev_t device;
    ino_t inode;
    uint64_t number; /* FILESEQ, or the number in the name */
    unsigned run;    /* which stretch of equal units in the file, 0, 1, ... */
    int hdu;         /* tiles: as cfitsio counts, from 1 */
    uint64_t first, frames;
    struct dao_geometry geometry; /* depth 0 where nothing tells it */
    struct series_store store;
    uint64_t header_off; /* of the (first) image */
    uint64_t rows_off;   /* FRAMES; 0: there is none */
    bool has_rows_sum;   /* which states its DATASUM */
    uint32_t rows_sum;
    uint64_t keywords_off; /* rows of SHMKW; 0: there is none */
    uint64_t keywords;     /* their number */
    int64_t gaps;          /* NGAPS, and one more for `missing`; -1: not known */
    int32_t missing;       /* frames of files before it that are not here */
    struct series_unit *units;
    int64_t begin_ns, end_ns; /* times of the first and last frame; 0 where not known */
};

struct series_files {
    struct series_file *file;
    size_t count;
};

/* Files being collected. */
struct series_pile {
    struct series_file *file;
    size_t count, room;
};

/* A zeroed place for one more file, valid until the next call; NULL: no memory. */
struct series_file *series_pile_add(struct series_pile *pile);
/* Free file `at` and close the gap it leaves. */
void series_pile_drop(struct series_pile *pile, size_t at);
void series_file_free(struct series_file *file); /* safe on a zeroed one */

/* A file on its way to the pile; path and fd are borrowed. */
struct series_probe {
    struct series_pile *pile;
    const char *path;
    bool is_named;       /* as in series_file */
    unsigned frame_axis; /* as series_image_read() takes it */
    int fd;
    struct stat st;
};

/* One more file on the pile, with what its header tells; NULL: no memory. */
struct series_file *series_probe_add(struct series_probe *probe, const struct fits_bytes *header);

/*
 * Add what a file holds to the pile (nothing on failure). 0; -EMEDIUMTYPE: no FITS, or no image in
 * it; -EBADMSG: damaged; -EINVAL: the option does not fit; other errno. Text names the file. What
 * is usable of a damaged file is taken, with a warning.
 */
int series_probe(struct series_pile *pile, const char *path, bool is_named, unsigned frame_axis,
                 struct dao_text *text);

/* How folders are looked at. */
struct series_look {
    unsigned frame_axis; /* as series_probe() takes it */
    bool is_last;        /* what goes meanwhile is left out with a warning; else it is -ESTALE */
};

/*
 * Add what `paths`, files and folders, hold to the pile, each with its key. 0; -ESTALE: a file (or
 * folder) in a folder has gone since that was listed, which is worth another look; other errno.
 * Always with a text, but for -ENOMEM.
 */
int series_collect(struct series_pile *pile, char *const *paths, size_t path_count,
                   const struct series_look *look, struct dao_text *text);

#define SERIES_SWITCHES_MOST 8u /* changes of a file's structure while it is looked at */
#define SERIES_NO_AXIS       UINT32_MAX

/*
 * Shape, type and storage of the image in `unit`, plain or tile-compressed. frame_axis: from 1, 0
 * the last, SERIES_NO_AXIS: the whole image is one frame. The store's data_off is the unit's. 0, or
 * -EINVAL with a text that does not name the file.
 */
int series_image_read(struct dao_geometry *ret_geometry, struct series_store *ret_store,
                      const struct fits_unit *unit, unsigned frame_axis, struct dao_text *text);
bool series_image_is_tiled(const struct fits_unit *unit);
/* Does the unit hold an image with pixels, tiled or not? */
bool series_image_is_there(const struct fits_unit *unit);

/* Bytes of one frame as they are stored. */
static inline uint64_t series_store_bytes(const struct series_store *store)
{
    return store->inner * store->outer * store->word_bytes;
}

/* ---- which belong together ---- */

/* A file's name without what tells that it is FITS. */
void series_stem(char *ret, size_t ret_bytes, const char *name);
/* Take the last number out of a stem ('#' takes its place) and return it, 0 where there is none. A
 * cube's counts (unless is_any) only where no letter is in front of it: wfs_2 follows wfs_1, but
 * dm2 is another mirror than dm1. */
uint64_t series_take_number(char *stem, bool is_any);
int series_set_key(struct series_file *file); /* and its number; 0 or -ENOMEM */
/* Sort the pile, and see to it that no file is in it twice. 0, or -EINVAL with a text. */
int series_drop_doubles(struct series_pile *pile, struct dao_text *text);
/* Files of others follow each other only where their times do. */
bool series_is_in_order(const struct series_file *file, size_t count);

/* Make a series of the files, which become its own (the places they lay in are zeroed). 0; -ESTALE:
 * one in a folder has gone since it was listed; other errno, with a text but for -ENOMEM. Then,
 * too, series_free() is for what is there. */
int series_make(struct series *series, struct series_file *file, size_t count,
                struct dao_text *text);
void series_free(struct series *series); /* safe on a zeroed one */

/* The keywords of a file, malloc'ed: SHMKW, or what its cards could have been. 0 or errno. */
int series_keywords_read(const struct series_file *file, IMAGE_KEYWORD **ret, unsigned *ret_count);

/* Open a file of a series for reading: the one that was probed, also if its name has lost its
 * ".part" since. A descriptor, the caller's to close; -ESTALE (another file has taken its name) or
 * other errno. Any thread. */
int series_file_open(const struct series_file *file);

/* The file that has frame `index` of the series (which is less than its number of frames);
 * borrowed from the series. Any thread. */
const struct series_file *series_file_of(const struct series *series, uint64_t index);

/* One row without reading ahead; for bisection. */
int series_reader_peek(struct series_reader *reader, uint64_t index, struct fits_row *ret,
                       struct dao_text *text);
const struct series *series_reader_series(const struct series_reader *reader);

/* ---- tile-compressed cubes ---- */

struct series_tiles; /* one thread's */
int series_tiles_open(struct series_tiles **ret, const struct series_file *file,
                      struct dao_text *text);
void series_tiles_close(struct series_tiles *tiles); /* NULL is allowed */
int series_tiles_read(struct series_tiles *tiles, uint64_t frame, void *ret_pixels,
                      struct dao_text *text);

#endif
