/*
 * files.c - a file of a series as such: collected on a pile, opened again, found by the index of a
 * frame. See files.h; whatever else is here stands on this.
 *
 * What can fail: no memory (the pile is as it was); a file that was removed or replaced since.
 */
#include "series/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- on the pile ---- */

void series_file_free(struct series_file *file)
{
    free(file->path);
    free(file->stream);
    free(file->segment);
    free(file->key);
    free(file->units);
    *file = (struct series_file){0};
}

struct series_file *series_pile_add(struct series_pile *pile)
{
    if (pile->count == pile->room) {
        size_t room = pile->room ? 2 * pile->room : 16;
        struct series_file *grown = realloc(pile->file, room * sizeof *grown);

        if (!grown)
            return NULL;
        pile->file = grown;
        pile->room = room;
    }
    pile->file[pile->count] = (struct series_file){.gaps = -1};
    return &pile->file[pile->count++];
}

void series_pile_drop(struct series_pile *pile, size_t at)
{
    series_file_free(&pile->file[at]);
    pile->count--;
    memmove(&pile->file[at], &pile->file[at + 1], (pile->count - at) * sizeof *pile->file);
}

struct series_file *series_probe_add(struct series_probe *probe, const struct fits_bytes *header)
{
    struct series_file *file = series_pile_add(probe->pile);
    char stream[FITS_TEXT_BYTES] = "", segment[4096] = "";

    if (!file)
        return NULL;
    fits_card_text(header, "EXTNAME", stream, sizeof stream);
    if (strcmp(stream, "COMPRESSED_IMAGE") == 0)
        stream[0] = '\0'; /* what cfitsio calls any */
    fits_card_text(header, "SHMNAME", segment, sizeof segment);
    fits_card_text(header, "RECUUID", file->uuid, sizeof file->uuid);
    file->path = strdup(probe->path);
    file->stream = strdup(stream);
    file->segment = strdup(segment);
    file->is_named = probe->is_named;
    file->device = probe->st.st_dev;
    file->inode = probe->st.st_ino;
    if (!file->path || !file->stream || !file->segment) {
        series_file_free(file);
        probe->pile->count--;
        return NULL;
    }
    return file;
}

/* ---- in a series ---- */

const struct series_file *series_file_of(const struct series *series, uint64_t index)
{
    size_t low = 0, high = series->files->count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (series->files->file[mid].first <= index)
            low = mid;
        else
            high = mid;
    }
    return &series->files->file[low];
}

int series_file_open(const struct series_file *file)
{
    char path[4096];
    size_t length = strlen(file->path);
    struct stat st;
    int fd = -1;

    for (int attempt = 0; attempt < 2; attempt++) {
        /* Closed since: the name is the one without ".part". */
        if (attempt == 1 && (!file->is_part || length < 6 || length >= sizeof path))
            break;
        snprintf(path, sizeof path, "%.*s", (int)(attempt ? length - 5 : length), file->path);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd >= 0 || errno != ENOENT)
            break;
    }
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || st.st_dev != file->device || st.st_ino != file->inode) {
        close(fd);
        return -ESTALE;
    }
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    return fd;
}
