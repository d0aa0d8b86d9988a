/* file.c - see file.h. Closing is in close.c. */
#include "recording/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"

int recording_measure_parts(struct fits_parts *ret, const struct fits_facts *facts,
                            struct dao_text *text)
{
    struct fits_state state = {.previous = "", .next = "", .end_cause = "", .status = "OPEN"};
    struct fits_bytes primary = {0}, frames = {0}, shmkw = {0};
    int r = fits_build_primary(&primary, facts, &state, NULL, text);

    if (r == 0)
        r = fits_build_frames(&frames, 1, 0, NULL, text);
    if (r == 0)
        r = fits_build_shmkw(&shmkw, facts, text);
    if (r == 0)
        *ret = (struct fits_parts){
            .primary_bytes = primary.length,
            .frame_bytes = facts->geometry->frame_bytes,
            .frames_header_bytes = frames.length,
            .shmkw_bytes = shmkw.length,
        };
    fits_bytes_free(&primary);
    fits_bytes_free(&frames);
    fits_bytes_free(&shmkw);
    return r;
}

static int build_headers(struct recording_file *file, struct dao_text *text)
{
    int r;

    file->state.planes = file->plan.capacity;
    file->state.written_ns = dao_clock_real_ns();
    file->state.status = "OPEN";
    r = fits_build_primary(&file->primary, file->facts, &file->state, NULL, text);
    if (r == 0)
        r = fits_build_frames(&file->frames_header, file->plan.capacity, file->dateref_ns, NULL,
                              text);
    if (r == 0)
        r = fits_build_shmkw(&file->shmkw, file->facts, text);
    if (r == 0)
        r = fits_build_filler(&file->spare_header, "SPARE", file->plan.spare_data_bytes, text);
    return r;
}

static int write_headers(struct recording_file *file)
{
    struct sink *sink = &file->sink;
    int r = sink_write(sink, 0, file->primary.data, file->primary.length);

    if (r == 0)
        r = sink_write(sink, file->plan.frames_header_off, file->frames_header.data,
                       file->frames_header.length);
    if (r == 0)
        r = sink_write(sink, file->plan.shmkw_off, file->shmkw.data, file->shmkw.length);
    if (r == 0)
        r = sink_write(sink, file->plan.spare_off, file->spare_header.data,
                       file->spare_header.length);
    return r == 0 ? sink_sync(sink) : r;
}

/* ---- room on the disk ---- */

struct range {
    uint64_t off, end;
};

/* What is written of a file that gets no more than `frames` frames: the cube up to the end of the
 * final tables and the header of FILLER behind them, and the rows. The units behind the rows have
 * little in them, and are written before the file is used. */
static unsigned find_ranges(const struct fits_plan *plan, uint64_t frames, struct range ret[2])
{
    uint64_t end = fits_plan_closed_bytes(plan, frames) + FITS_BLOCK;
    uint64_t rows_end = plan->rows_off + frames * 64u;

    ret[0] = (struct range){0, plan->file_bytes};
    /* Where closing would go by way of SPARE, all of it is needed. */
    if (frames >= plan->capacity || fits_plan_detour_planes(plan, frames) > 0)
        return 1;
    ret[0].end = (end + SINK_PAGE - 1) / SINK_PAGE * SINK_PAGE;
    ret[1] = (struct range){plan->frames_header_off / SINK_PAGE * SINK_PAGE,
                            (rows_end + SINK_PAGE - 1) / SINK_PAGE * SINK_PAGE};
    if (ret[0].end < ret[1].off)
        return 2;
    ret[0].end = ret[1].end;
    return 1;
}

uint64_t recording_file_room_bytes(const struct fits_plan *plan, uint64_t frames)
{
    struct range ranges[2];
    uint64_t bytes = 0;

    for (unsigned i = find_ranges(plan, frames, ranges); i-- > 0;)
        bytes += ranges[i].end - ranges[i].off;
    return bytes;
}

static int reserve_ranges(struct recording_file *file, uint64_t frames)
{
    struct range ranges[2];
    unsigned count = find_ranges(&file->plan, frames, ranges);
    int r = 0;

    for (unsigned i = 0; i < count && r == 0; i++)
        r = sink_reserve(&file->sink, ranges[i].off, ranges[i].end - ranges[i].off);
    return r;
}

static void say_room(const struct recording_file *file, uint64_t frames, int error,
                     struct dao_text *text)
{
    snprintf(text->s, sizeof text->s, "%s: cannot prepare a file of %llu bytes: %s",
             file->part_name, (unsigned long long)recording_file_room_bytes(&file->plan, frames),
             strerror(-error));
}

int recording_file_reserve(struct recording_file *file, uint64_t frames, struct dao_text *text)
{
    int r = reserve_ranges(file, frames);

    if (r < 0)
        say_room(file, frames, r, text);
    else if (frames > file->room_frames)
        file->room_frames = frames;
    return r;
}

static int create_file(struct recording_file *file, int dir_fd, bool want_direct,
                       const struct sink_backend *backend)
{
    uint64_t bytes = file->plan.file_bytes;
    const struct sink_old *old = file->old;
    int r;

    file->old = NULL;
    if (old &&
        sink_recycle(&file->sink, dir_fd, file->name, bytes, want_direct, backend, old) == 0) {
        file->room_frames = file->plan.capacity;
        return 0;
    }
    if (file->room_frames == file->plan.capacity)
        return sink_create(&file->sink, dir_fd, file->name, bytes, want_direct, backend);
    r = sink_create_sparse(&file->sink, dir_fd, file->name, bytes, want_direct, backend);
    return r == 0 ? reserve_ranges(file, file->room_frames) : r;
}

int recording_file_prepare(struct recording_file *file, int dir_fd, bool want_direct,
                           const struct sink_backend *backend, struct dao_text *text)
{
    const char *stream = file->facts->stream;
    int r;

    snprintf(file->stream, sizeof file->stream, "%s", stream);
    if (file->room_frames == 0 || file->room_frames > file->plan.capacity)
        file->room_frames = file->plan.capacity;
    file->sink.fd = -1;
    tree_file_name(file->name, stream, file->state.file_seq, 0);
    tree_file_name(file->part_name, stream, file->state.file_seq, 1);
    r = build_headers(file, text);
    if (r == 0) {
        r = create_file(file, dir_fd, want_direct, backend);
        if (r == 0)
            r = write_headers(file);
        if (r < 0)
            say_room(file, file->room_frames, r, text);
    }
    if (r < 0)
        recording_file_discard(file);
    return r;
}

int recording_file_publish(struct recording_file *file, struct dao_text *text)
{
    int r;

    file->state.written_ns = dao_clock_real_ns();
    r = fits_update_primary(&file->primary, file->stream, &file->state, NULL, text);
    if (r < 0)
        return r;
    r = sink_write(&file->sink, 0, file->primary.data, file->primary.length);
    if (r == 0) /* a name must never stand for a header that is half there */
        r = sink_sync(&file->sink);
    if (r == 0)
        r = sink_publish(&file->sink, file->part_name);
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s: cannot put the file in place: %s", file->part_name,
                 strerror(-r));
    return r;
}

static void overlay_part(uint64_t part_off, const struct fits_bytes *part, uint64_t off,
                         unsigned char *buf, size_t count)
{
    uint64_t begin = part_off > off ? part_off : off;
    uint64_t part_end = part_off + part->length, end = off + count;

    if (part_end < end)
        end = part_end;
    if (begin < end)
        memcpy(buf + (begin - off), part->data + (begin - part_off), (size_t)(end - begin));
}

void recording_file_overlay(const struct recording_file *file, uint64_t off, unsigned char *buf,
                            size_t count)
{
    overlay_part(0, &file->primary, off, buf, count);
    overlay_part(file->plan.frames_header_off, &file->frames_header, off, buf, count);
    overlay_part(file->plan.shmkw_off, &file->shmkw, off, buf, count);
    overlay_part(file->plan.spare_off, &file->spare_header, off, buf, count);
}

void recording_file_remove(const struct recording_file *file)
{
    unlinkat(file->sink.dir_fd, file->part_name, 0);
}

bool recording_file_is_gone(const struct recording_file *file, int dir_fd)
{
    struct stat st;

    return fstatat(dir_fd, file->part_name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT &&
           fstatat(dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

void recording_file_discard(struct recording_file *file)
{
    sink_close(&file->sink);
    fits_bytes_free(&file->primary);
    fits_bytes_free(&file->frames_header);
    fits_bytes_free(&file->shmkw);
    fits_bytes_free(&file->spare_header);
}
