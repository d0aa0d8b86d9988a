/*
 * reader.c - one thread's way through a series: opened and closed, and with it the file that it is
 * in. Pixels are pixels.c's, rows are rows.c's. See series.h and reader.h.
 *
 * One file is open at a time. One that is being written may be closed and renamed meanwhile: its
 * pixels stay where they are, and its rows are found again.
 *
 * What can fail: a file that became shorter (-ENODATA), was replaced (-ESTALE) or removed (-ENOENT,
 * as a ring of files does); one that is closed again and again (-EAGAIN).
 */
#include "series/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- open and close ---- */

static void close_file(struct series_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    series_tiles_close(reader->tiles);
    free(reader->band);
    reader->fd = -1;
    reader->file = NULL;
    reader->tiles = NULL;
    reader->band = NULL;
    reader->rows_count = reader->band_count = reader->piece_count = 0;
    reader->hole_begin = reader->hole_end = 0;
    reader->advised = 0;
}

int series_reader_open(struct series_reader **ret, const struct series *series,
                       uint64_t ahead_bytes, struct dao_text *text)
{
    struct series_reader *reader = calloc(1, sizeof *reader);

    if (reader) {
        reader->fd = -1;
        reader->piece = aligned_alloc(4096, SERIES_PIECE_BYTES);
        reader->head = malloc(FITS_BLOCK);
    }
    if (!reader || !reader->piece || !reader->head) {
        series_reader_close(reader);
        snprintf(text->s, sizeof text->s, "%s", strerror(ENOMEM));
        return -ENOMEM;
    }
    reader->series = series;
    reader->ahead_bytes = ahead_bytes;
    reader->end = series->frames;
    reader->last = UINT64_MAX;
    *ret = reader;
    return 0;
}

void series_reader_close(struct series_reader *reader)
{
    if (!reader)
        return;
    close_file(reader);
    free(reader->piece);
    free(reader->head);
    free(reader);
}

void series_reader_set_end(struct series_reader *reader, uint64_t end)
{
    reader->end = end < reader->series->frames ? end : reader->series->frames;
}

const struct series *series_reader_series(const struct series_reader *reader)
{
    return reader->series;
}

int series_reader_fail(const struct series_file *file, int error, struct dao_text *text)
{
    snprintf(text->s, sizeof text->s, "%.200s: %s", file->path,
             error == -ENOENT && file->is_ours
                 ? "was removed while it was read; daorec keep keeps it from a ring of files "
                   "(record --keep-files and the like)"
             : error == -ENOENT      ? "was removed while it was read"
             : error == -ENODATA     ? "became shorter while it was read"
             : error == -ESTALE      ? "was replaced by another file while it was read"
             : error == -EAGAIN      ? "changes again and again while it is read; try again"
             : error == -EMEDIUMTYPE ? "is no recording any more; daorec verify tells more"
                                     : strerror(-error));
    return error == -EBADMSG ? -EIO : error; /* some file systems' word for bytes they lost */
}

/* ---- the file it is in ---- */

int series_reader_has_moved(const struct series_reader *reader)
{
    unsigned char head[FITS_BLOCK];
    int r = fits_read_at(reader->fd, 0, head, sizeof head);

    return r < 0 ? r : memcmp(head, reader->head, sizeof head) != 0;
}

int series_reader_find_rows(struct series_reader *reader)
{
    struct reading reading;
    struct dao_text ignored;

    for (unsigned attempt = 0; attempt < SERIES_SWITCHES_MOST; attempt++) {
        int r = fits_read_at(reader->fd, 0, reader->head, FITS_BLOCK);

        if (r < 0)
            return r;
        r = reading_open(&reading, reader->fd, &ignored);
        if (r == 0) {
            if (reading.cube_off != reader->file->store.data_off ||
                reading.rows < reader->file->frames)
                r = -ENODATA;
            reader->rows_off = reading.rows_off;
            reader->rows_count = 0;
            reading_close(&reading);
            return r;
        }
        if (series_reader_has_moved(reader) != 1)
            return r == -EBADMSG ? -EMEDIUMTYPE : r;
        /* It was between two steps of closing. */
    }
    return -EAGAIN;
}

int series_reader_open_file(struct series_reader *reader, const struct series_file *file,
                            struct dao_text *text)
{
    int r = 0;

    if (reader->file == file)
        return 0;
    close_file(reader);
    reader->fd = series_file_open(file);
    if (reader->fd < 0) {
        r = reader->fd;
        reader->fd = -1;
        return series_reader_fail(file, r, text);
    }
    reader->file = file;
    reader->rows_off = file->rows_off;
    reader->decoder = fits_decoder_select(file->geometry.dtype, FITS_ENCODE_BEST);
    if (file->is_part)
        r = series_reader_find_rows(reader);
    if (r < 0) {
        close_file(reader);
        return series_reader_fail(file, r, text);
    }
    return 0;
}
