/*
 * takes.h - recording files made without a segment: every frame and row a function of its index,
 * so that a test can say what must be in a file after whatever was done to it.
 *
 * Rows are as a recorder writes them: 1 kHz, three frames lost to a lap before frame 5, one to the
 * disk before frame 9, a restart of the source at frame 13, a bad time stamp in frame 15.
 */
#ifndef TESTS_TAKES_H
#define TESTS_TAKES_H

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits/encode.h"
#include "fits/rows.h"
#include "fits/sum.h"
#include "recording/file.h"
#include "recording/rowcheck.h"

#define TAKE_START_NS 1764000000123456789ll
#define TAKE_DEPTH    16u

/* What the segment has, where a test wants it to have any. */
static const IMAGE_KEYWORD *take_keywords;
static unsigned take_keyword_count;
static const char *take_segment = "/tmp/wfs.im.shm";

struct take {
    struct dao_geometry geometry;
    struct fits_facts facts;
    struct recording_file file;
    uint64_t first; /* index in the stream of the file's first frame */
};

/* ---- folders to work in: in memory where there is such a place ---- */

struct take_folder {
    char path[256];
    int fd;
};

/* All of them lie in one that goes when the program ends, however it ends: a test that fails is a
 * process that exits in the middle. */
static char take_base[200];
static pid_t take_owner;

static inline void take_remove_base(void)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf '%s'", take_base);
    if (getpid() == take_owner && system(command) != 0)
        fprintf(stderr, "%s stays\n", take_base);
}

static inline void take_die(int number)
{
    exit(128 + number);
}

/* Once, in main(). */
static inline void take_base_make(void)
{
    const char *temp = getenv("TMPDIR");

    if (access("/dev/shm", W_OK) == 0)
        temp = "/dev/shm";
    snprintf(take_base, sizeof take_base, "%s/daorec-test-XXXXXX", temp ? temp : "/tmp");
    if (!mkdtemp(take_base)) {
        perror(take_base);
        exit(1);
    }
    take_owner = getpid();
    atexit(take_remove_base);
    signal(SIGTERM, take_die);
    signal(SIGHUP, take_die);
}

static inline void take_folder_make(struct take_folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "%s/XXXXXX", take_base);
    ck_assert_ptr_nonnull(mkdtemp(folder->path));
    folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(folder->fd, 0);
}

static inline void take_folder_remove(struct take_folder *folder)
{
    char command[300];

    close(folder->fd);
    snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
    ck_assert_int_eq(system(command), 0);
}

/* ---- frames and rows ---- */

static inline uint16_t take_pixel(uint64_t frame, uint64_t index)
{
    return (uint16_t)(frame * 7919u + index * 31u + 5u);
}

static inline int32_t take_lost(uint64_t frame)
{
    return frame == 5 ? 3 : frame == 9 ? 1 : frame == 13 ? 2 : 0;
}

static inline int64_t take_cnt0(uint64_t frame)
{
    if (frame >= 13)
        return (int64_t)frame - 12;
    return 1000 + (int64_t)frame + (frame >= 5 ? 3 : 0) + (frame >= 9 ? 1 : 0);
}

/* The stored bytes of a frame; returns DSUM. */
static inline uint32_t take_pixels(const struct dao_geometry *geometry, uint64_t frame,
                                   unsigned char *stored)
{
    struct fits_encoder encoder = fits_encoder_select(geometry->dtype, FITS_ENCODE_BEST);
    uint16_t *native = malloc(geometry->frame_bytes);
    uint32_t sum;

    for (uint64_t i = 0; i < geometry->frame_bytes / 2; i++)
        native[i] = take_pixel(frame, i);
    sum = encoder.encode(stored, (unsigned char *)native, geometry->frame_bytes, encoder.flip);
    free(native);
    return sum;
}

static inline void take_row(const struct take *take, uint64_t frame, uint32_t dsum,
                            struct fits_row *row)
{
    bool bad_time = frame == 15;

    *row = (struct fits_row){
        .atime_ns = bad_time ? 0 : TAKE_START_NS + (int64_t)frame * 1000000 + 17 * (int64_t)frame,
        .cnt0 = take_cnt0(frame),
        .cnt1 = take_cnt0(frame) % TAKE_DEPTH,
        .cnt2 = 70000 + take_cnt0(frame),
        .rtime_ns = TAKE_START_NS + (int64_t)frame * 1000000 + 50000,
        .lost = take_lost(frame),
        .slot = (int32_t)(take_cnt0(frame) % TAKE_DEPTH),
        .dsum = dsum,
    };
    row->time_s = (double)(row->atime_ns - take->file.dateref_ns) / 1e9;
    if (bad_time)
        row->time_s = (double)NAN;
    row->flags = (frame == 5    ? FITS_FLAG_GAP | FITS_FLAG_OVERWRITE
                  : frame == 9  ? FITS_FLAG_GAP | FITS_FLAG_OVERWRITE | FITS_FLAG_QUEUEFULL
                  : frame == 13 ? FITS_FLAG_GAP | FITS_FLAG_RESET
                  : bad_time    ? FITS_FLAG_BADTIME
                                : 0);
}

/* ---- files ---- */

/* File `seq` of a stream "wfs" of frames of `width` uint16 pixels, prepared and not published;
 * its first frame is frame `first` of the stream. */
static inline void take_prepare(struct take *take, int dir_fd, uint32_t width, uint64_t capacity,
                                uint64_t seq, uint64_t first, const struct sink_backend *backend)
{
    struct dao_text text = {""};
    struct fits_parts parts;

    memset(take, 0, sizeof *take);
    take->first = first;
    ck_assert_int_eq(
        dao_geometry_make(&take->geometry, 1, &width, _DATATYPE_UINT16, TAKE_DEPTH, 0, &text), 0);
    take->facts = (struct fits_facts){.geometry = &take->geometry,
                                      .stream = "wfs",
                                      .host = "host",
                                      .session = "0123-4567",
                                      .shm_path = take_segment,
                                      .keywords = take_keywords,
                                      .keyword_count = take_keyword_count};
    take->file.facts = &take->facts;
    take->file.state = (struct fits_state){
        .file_seq = seq, .previous = "", .next = "", .end_cause = "", .status = "OPEN"};
    take->file.dateref_ns = TAKE_START_NS / 1000000000 * 1000000000;
    ck_assert_int_eq(recording_measure_parts(&parts, &take->facts, &text), 0);
    fits_plan_make(&take->file.plan, &parts, capacity);
    ck_assert_msg(recording_file_prepare(&take->file, dir_fd, false, backend, &text) == 0, "%s",
                  text.s);
}

static inline void take_publish(struct take *take)
{
    struct fits_state *state = &take->file.state;
    char previous[TREE_FILE_BYTES] = "";
    struct dao_text text = {""};
    struct fits_row row;

    take_row(take, take->first, 0, &row);
    if (state->file_seq > 1)
        tree_file_name(previous, "wfs", state->file_seq - 1, 0);
    state->previous = previous;
    state->frame0 = take->first;
    state->cnt0_begin = row.cnt0;
    state->begin_ns = rowcheck_time(&row);
    ck_assert_msg(recording_file_publish(&take->file, &text) == 0, "%s", text.s);
    state->previous = "";
}

/* The pixels, or the rows, of frames [from, to) of the file, in one write. */
static inline void take_put_pixels(struct take *take, uint64_t from, uint64_t to)
{
    uint64_t bytes = take->geometry.frame_bytes;
    unsigned char *stored = malloc((to - from) * bytes);

    for (uint64_t f = from; f < to; f++)
        take_pixels(&take->geometry, take->first + f, stored + (f - from) * bytes);
    ck_assert_int_eq(sink_write(&take->file.sink, fits_plan_frame_end(&take->file.plan, from),
                                stored, (to - from) * bytes),
                     0);
    free(stored);
}

static inline void take_put_rows(struct take *take, uint64_t from, uint64_t to)
{
    unsigned char *stored = malloc(take->geometry.frame_bytes);
    unsigned char *packed = malloc((to - from) * FITS_ROW_BYTES);

    for (uint64_t f = from; f < to; f++) {
        struct fits_row row;

        take_row(take, take->first + f, take_pixels(&take->geometry, take->first + f, stored),
                 &row);
        fits_row_pack(packed + (f - from) * FITS_ROW_BYTES, &row);
    }
    ck_assert_int_eq(sink_write(&take->file.sink, take->file.plan.rows_off + from * FITS_ROW_BYTES,
                                packed, (to - from) * FITS_ROW_BYTES),
                     0);
    free(stored);
    free(packed);
}

/* Close with `frames` frames that are there, as a keeper does. */
static inline int take_close(struct take *take, uint64_t frames, const char *cause, bool has_next,
                             const struct recording_hooks *hooks)
{
    struct fits_state *state = &take->file.state;
    char previous[TREE_FILE_BYTES] = "", next[TREE_FILE_BYTES] = "";
    struct dao_text text = {""};
    uint32_t data_sum, rows_sum;
    struct fits_row first, last;

    ck_assert_int_eq(recording_file_sum_rows(&take->file, frames, &data_sum, &rows_sum,
                                             &state->cnt0_end, &state->end_ns),
                     0);
    if (state->file_seq > 1)
        tree_file_name(previous, "wfs", state->file_seq - 1, 0);
    if (has_next)
        tree_file_name(next, "wfs", state->file_seq + 1, 0);
    state->previous = previous;
    state->next = next;
    take_row(take, take->first, 0, &first);
    take_row(take, take->first + frames - 1, 0, &last);
    state->end_ns = rowcheck_time(&last);
    state->fps = frames > 1
                     ? (double)(frames - 1) * 1e9 / (double)(state->end_ns - rowcheck_time(&first))
                     : 0.0;
    for (uint64_t f = take->first; f < take->first + frames; f++) {
        state->lost += (uint64_t)take_lost(f);
        state->gaps += take_lost(f) > 0;
    }
    for (uint64_t f = 0; f < take->first + frames; f++)
        state->session_lost += (uint64_t)take_lost(f);
    state->end_cause = cause;
    return recording_file_close(&take->file, frames, data_sum, rows_sum, "CLOSED", hooks, &text);
}

/* A whole life: a finished file of `frames` frames. */
static inline void take_file(struct take *take, int dir_fd, uint32_t width, uint64_t capacity,
                             uint64_t frames, uint64_t seq, uint64_t first, bool has_next)
{
    take_prepare(take, dir_fd, width, capacity, seq, first, &sink_backend_system);
    take_publish(take);
    take_put_pixels(take, 0, frames);
    take_put_rows(take, 0, frames);
    ck_assert_int_eq(take_close(take, frames, has_next ? "ROLL" : "STOP", has_next, NULL), 0);
}

#endif
