/*
 * pixels.c - pixels by index. See series.h.
 *
 * They pass through a piece that stays in the processor's cache: read from the page cache, decoded
 * into the caller's memory. The kernel is told what comes next; its own guesses are switched off,
 * so that a look at single frames and rows reads no more than those.
 *
 * What can fail: reading (see reader.c), and a sum that does not fit.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fits/sum.h"
#include "series/reader.h"

#define STEP_BYTES (64u << 10) /* frames this far apart are read through */
#define BAND_BYTES (64ull << 20)

/* ---- reading ahead ---- */

/* Where frame `at` of a file begins, and where its bytes end. */
static uint64_t frame_off(const struct series_file *file, uint64_t at)
{
    return file->units ? file->units[at].data_off
                       : file->store.data_off + at * series_store_bytes(&file->store);
}

static uint64_t end_of(const struct series_file *file, uint64_t end)
{
    uint64_t last = end - file->first < file->frames ? end - file->first : file->frames;

    return last == 0 ? 0 : frame_off(file, last - 1) + series_store_bytes(&file->store);
}

/* The first bytes of the next file, once. */
static void ask_for_next(struct series_reader *reader, uint64_t bytes)
{
    const struct series_file *next = reader->file + 1;
    const struct series_files *files = reader->series->files;
    uint64_t off;
    int fd;

    if (next == files->file + files->count || reader->asked == next || next->first >= reader->end ||
        next->kind == SERIES_TILES)
        return;
    reader->asked = next;
    fd = series_file_open(next);
    if (fd < 0)
        return; /* told when its turn comes */
    off = frame_off(next, 0);
    if (off + bytes > end_of(next, reader->end))
        bytes = end_of(next, reader->end) - off;
    posix_fadvise(fd, (off_t)off, (off_t)bytes, POSIX_FADV_WILLNEED);
    close(fd);
}

static void ask_ahead(struct series_reader *reader, uint64_t off)
{
    uint64_t end = end_of(reader->file, reader->end), target = off + reader->ahead_bytes;

    if (!reader->is_in_order || reader->ahead_bytes == 0)
        return;
    if (target > end) { /* of 0 bytes the kernel would take all */
        ask_for_next(reader, target - end);
        target = end;
    }
    if (reader->advised < off)
        reader->advised = off;
    /* Not for every frame: a quarter at a time, and what is left at the end. */
    if (target > reader->advised &&
        (target - reader->advised >= reader->ahead_bytes / 4 || target == end)) {
        posix_fadvise(reader->fd, (off_t)reader->advised, (off_t)(target - reader->advised),
                      POSIX_FADV_WILLNEED);
        reader->advised = target;
    }
}

/* Is this frame in order after the one before, also where some are left out? */
static void note_order(struct series_reader *reader, uint64_t index)
{
    uint64_t step = index - reader->last;

    reader->is_in_order = reader->last != UINT64_MAX && index >= reader->last &&
                          (step <= 1 || step < STEP_BYTES / reader->file->geometry.frame_bytes);
    reader->last = index;
    if (!reader->is_in_order) { /* what was asked for may have left the memory: say so again */
        reader->advised = 0;
        reader->asked = NULL;
    }
}

/* ---- pixels ---- */

/* Some of the `left` bytes of the current frame at `off`, at least 16 or all of them, a multiple of
 * 16 or all of them. */
static int get_piece(struct series_reader *reader, uint64_t off, uint64_t left,
                     const unsigned char **ret, size_t *ret_count)
{
    uint64_t skip = off - reader->piece_off, end;
    size_t count = off >= reader->piece_off && skip < reader->piece_count
                       ? reader->piece_count - (size_t)skip
                       : 0;

    if (count < left && count < 16) {
        end = reader->is_in_order ? end_of(reader->file, reader->end) : off + left;
        if (end < off + left)
            end = off + left;
        count = end - off < SERIES_PIECE_BYTES ? (size_t)(end - off) : SERIES_PIECE_BYTES;
        reader->piece_count = 0;
        int r = fits_read_at(reader->fd, off, reader->piece, count);
        if (r < 0)
            return r;
        reader->piece_off = off;
        reader->piece_count = count;
        skip = 0;
    }
    *ret = reader->piece + skip;
    *ret_count = count < left ? count & ~(size_t)15 : (size_t)left;
    return 0;
}

/* Stored bytes to the caller's; the sum is that of `decode`, 0 for scaled ones. */
static uint32_t convert(const struct series_reader *reader, unsigned char *dst,
                        const unsigned char *src, size_t bytes)
{
    const struct series_store *store = &reader->file->store;

    if (!store->is_scaled)
        return reader->decoder.decode(dst, src, bytes, reader->decoder.flip);
    fits_scale_words((double *)(void *)dst, src, bytes / store->word_bytes, &store->scale);
    return 0;
}

static int read_whole(struct series_reader *reader, uint64_t at, unsigned char *dst,
                      uint32_t *ret_sum)
{
    const struct series_store *store = &reader->file->store;
    uint64_t off = frame_off(reader->file, at), left = series_store_bytes(store), done = 0;
    unsigned grows = store->is_scaled ? 8 / store->word_bytes : 1;

    *ret_sum = 0;
    ask_ahead(reader, off);
    while (left > 0) {
        const unsigned char *piece = NULL;
        size_t count = 0;
        int r = get_piece(reader, off + done, left, &piece, &count);

        if (r < 0)
            return r;
        *ret_sum = fits_sum_add(
            *ret_sum, fits_sum_at(convert(reader, dst + done * grows, piece, count), done));
        done += count;
        left -= count;
    }
    return 0;
}

/* ---- frames that lie across the file ---- */

/* Read a band of frames from `first` on and put the parts of each side by side. */
static int load_band(struct series_reader *reader, uint64_t first)
{
    const struct series_store *store = &reader->file->store;
    uint64_t part = store->inner * store->word_bytes, stride = store->count * part;
    uint64_t frame_bytes = series_store_bytes(store);
    uint64_t room = reader->ahead_bytes > BAND_BYTES ? reader->ahead_bytes : BAND_BYTES;
    uint64_t count = room / frame_bytes ? room / frame_bytes : 1;
    bool is_in_order = reader->is_in_order;
    int r = 0;

    if (count > reader->file->frames)
        count = reader->file->frames;
    if (!reader->band)
        reader->band = malloc(count * frame_bytes); /* no band is larger */
    if (!reader->band)
        return -ENOMEM;
    if (count > reader->file->frames - first)
        count = reader->file->frames - first;
    reader->band_count = 0;
    /* Read through where little lies between. */
    reader->is_in_order = stride <= STEP_BYTES;
    for (uint64_t o = 0; o < store->outer && r == 0; o++) {
        uint64_t off = store->data_off + o * stride + first * part, left = count * part, done = 0;

        while (left > 0 && r == 0) {
            const unsigned char *piece = NULL;
            size_t got = 0;

            r = get_piece(reader, off + done, left, &piece, &got);
            for (size_t i = 0; r == 0 && i < got;) {
                uint64_t frame = (done + i) / part, in = (done + i) % part;
                size_t n = part - in < got - i ? (size_t)(part - in) : got - i;

                memcpy(reader->band + frame * frame_bytes + o * part + in, piece + i, n);
                i += n;
            }
            done += got;
            left -= got;
        }
    }
    reader->is_in_order = is_in_order;
    if (r == 0) {
        reader->band_first = first;
        reader->band_count = count;
    }
    return r;
}

static int read_across(struct series_reader *reader, uint64_t at, unsigned char *dst)
{
    uint64_t frame_bytes = series_store_bytes(&reader->file->store);
    int r = 0;

    if (at < reader->band_first || at - reader->band_first >= reader->band_count)
        r = load_band(reader, at);
    if (r == 0)
        convert(reader, dst, reader->band + (at - reader->band_first) * frame_bytes, frame_bytes);
    return r;
}

/* ---- a frame ---- */

static int check_sum(struct series_reader *reader, uint64_t index, uint32_t sum,
                     struct dao_text *text)
{
    struct fits_row row = {0};
    int r = series_reader_row(reader, index, &row, text);
    bool is_made_up = row.rtime_ns != 0 && (row.flags & FITS_FLAG_RECOVERED) && row.dsum == 0;

    if (r < 0 || row.dsum == sum || is_made_up)
        return r;
    snprintf(text->s, sizeof text->s,
             "%.200s: the pixels of frame %" PRIu64 " (CNT0 %" PRId64 ") do not fit their checksum",
             reader->file->path, index - reader->file->first, row.cnt0);
    return -EBADMSG;
}

int series_reader_pixels(struct series_reader *reader, uint64_t index, void *ret_pixels,
                         struct dao_text *text)
{
    const struct series_file *file = series_file_of(reader->series, index);
    uint32_t sum = 0;
    int r;

    if (index >= reader->series->frames) {
        snprintf(text->s, sizeof text->s, "there is no frame %" PRIu64, index);
        return -ERANGE;
    }
    r = series_reader_open_file(reader, file, text);
    if (r < 0)
        return r;
    note_order(reader, index);
    if (file->kind == SERIES_TILES) {
        if (!reader->tiles)
            r = series_tiles_open(&reader->tiles, file, text);
        return r < 0 ? r : series_tiles_read(reader->tiles, index - file->first, ret_pixels, text);
    }
    r = file->store.outer > 1 ? read_across(reader, index - file->first, ret_pixels)
                              : read_whole(reader, index - file->first, ret_pixels, &sum);
    if (r < 0)
        return series_reader_fail(file, r, text);
    return file->rows_off && file->store.outer == 1 && !file->store.is_scaled
               ? check_sum(reader, index, sum, text)
               : 0;
}
