/*
 * powercut.h - what may be on a disk after the power went: a sink's back end that logs every write,
 * sync and truncation, and images of a file made from such a log.
 *
 * What a sync was waited for is there; of what came after it any part may be missing: whole
 * requests, or sectors of 512 bytes of them.
 */
#ifndef TESTS_POWERCUT_H
#define TESTS_POWERCUT_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/sink.h"

#define CUT_SECTOR 512u

enum cut_kind { CUT_WRITE, CUT_TRUNCATE, CUT_SYNC };

struct cut_entry {
    enum cut_kind kind;
    uint64_t off; /* of a truncation: the length */
    size_t bytes;
    unsigned char *data;
};

struct cut_log {
    struct cut_entry *entries;
    size_t count;
};

static inline void cut_append(struct cut_log *log, struct cut_entry entry)
{
    log->entries = realloc(log->entries, (log->count + 1) * sizeof *log->entries);
    ck_assert_ptr_nonnull(log->entries);
    log->entries[log->count++] = entry;
}

static inline ssize_t cut_write_at(void *ctx, int fd, const void *buf, size_t bytes, off_t off)
{
    ssize_t n = pwrite(fd, buf, bytes, off);

    if (n > 0) {
        struct cut_entry entry = {CUT_WRITE, (uint64_t)off, (size_t)n, malloc((size_t)n)};

        memcpy(entry.data, buf, (size_t)n);
        cut_append(ctx, entry);
    }
    return n;
}

static inline ssize_t cut_read_at(void *ctx, int fd, void *buf, size_t bytes, off_t off)
{
    (void)ctx;
    return pread(fd, buf, bytes, off);
}

static inline int cut_datasync(void *ctx, int fd)
{
    (void)fd;
    cut_append(ctx, (struct cut_entry){.kind = CUT_SYNC});
    return 0;
}

static inline int cut_truncate(void *ctx, int fd, off_t bytes)
{
    if (ftruncate(fd, bytes) != 0)
        return -1;
    cut_append(ctx, (struct cut_entry){.kind = CUT_TRUNCATE, .off = (uint64_t)bytes});
    return 0;
}

static inline struct sink_backend cut_backend(struct cut_log *log)
{
    return (struct sink_backend){.write_at = cut_write_at,
                                 .read_at = cut_read_at,
                                 .datasync = cut_datasync,
                                 .truncate = cut_truncate,
                                 .ctx = log};
}

static inline void cut_log_free(struct cut_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        free(log->entries[i].data);
    free(log->entries);
    *log = (struct cut_log){0};
}

/* ---- images ---- */

struct cut_image {
    unsigned char *bytes;
    uint64_t length, room;
};

static inline void cut_resize(struct cut_image *image, uint64_t length)
{
    if (length > image->room) {
        image->bytes = realloc(image->bytes, length);
        ck_assert_ptr_nonnull(image->bytes);
        image->room = length;
    }
    if (length > image->length)
        memset(image->bytes + image->length, 0, length - image->length);
    image->length = length;
}

static inline void cut_copy(struct cut_image *to, const struct cut_image *from)
{
    cut_resize(to, from->length);
    memcpy(to->bytes, from->bytes, from->length);
}

static inline void cut_image_free(struct cut_image *image)
{
    free(image->bytes);
    *image = (struct cut_image){0};
}

static inline uint64_t cut_random(void)
{
    static uint64_t state = 0x2545f4914f6cdd1dull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

/* A request reaches the disk; of a write only each sector with a chance of `per_mille`. */
static inline void cut_apply(struct cut_image *image, const struct cut_entry *entry,
                             unsigned per_mille)
{
    if (entry->kind == CUT_TRUNCATE && (per_mille == 1000 || cut_random() % 1000 < per_mille))
        cut_resize(image, entry->off);
    if (entry->kind != CUT_WRITE)
        return;
    for (size_t at = 0; at < entry->bytes; at += CUT_SECTOR) {
        size_t part = entry->bytes - at < CUT_SECTOR ? entry->bytes - at : CUT_SECTOR;

        if (per_mille < 1000 && cut_random() % 1000 >= per_mille)
            continue;
        if (entry->off + at + part > image->length)
            cut_resize(image, entry->off + at + part);
        memcpy(image->bytes + entry->off + at, entry->data + at, part);
    }
}

/*
 * Call `look` with images for every instant from entry `from` of the log on. `base`: the file as it
 * was before that entry; it becomes the file at the log's end. Every subset of the requests between
 * two syncs where there are at most `exhaustive` of them (else as many random ones), then
 * `sectors` images in which sectors are missing.
 */
static inline void cut_visit(const struct cut_log *log, size_t from, struct cut_image *base,
                             unsigned exhaustive, unsigned sectors,
                             void (*look)(void *ctx, const struct cut_image *image), void *ctx)
{
    struct cut_image image = {0};

    while (from < log->count) {
        size_t to = from, count;
        uint64_t all;

        while (to < log->count && log->entries[to].kind != CUT_SYNC)
            to++;
        count = to - from;
        all = 1ull << (count < exhaustive ? count : exhaustive);
        for (uint64_t subset = 0; subset < all; subset++) {
            uint64_t mask = count <= exhaustive ? subset : cut_random();

            cut_copy(&image, base);
            for (size_t i = 0; i < count; i++)
                if (mask >> (i % 64) & 1)
                    cut_apply(&image, &log->entries[from + i], 1000);
            look(ctx, &image);
        }
        for (unsigned k = 0; k < sectors && count > 0; k++) {
            /* up to some request all is there but for a few sectors, then little is */
            size_t middle = cut_random() % (count + 1);
            unsigned kept = (unsigned)(cut_random() % 1000), rest = (unsigned)(cut_random() % 300);

            cut_copy(&image, base);
            for (size_t i = 0; i < count; i++)
                cut_apply(&image, &log->entries[from + i], i < middle ? kept : rest);
            look(ctx, &image);
        }
        for (; from < to; from++)
            cut_apply(base, &log->entries[from], 1000);
        from++; /* the sync */
    }
    look(ctx, base);
    cut_image_free(&image);
}

#endif
