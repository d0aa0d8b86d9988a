/*
 * plan.h - where everything lies in a recording: offsets from a capacity, and the room that
 * closing needs. Pure arithmetic, any thread.
 *
 *     [primary header][cube: N planes][FRAMES: N rows][SHMKW][SPARE]      each padded to 2880
 *
 * SPARE is there for two reasons: it keeps the file's last page, which direct I/O cannot rewrite,
 * away from everything that changes; and where a file ends so close to its capacity that the final
 * tables do not fit into the planes left over, the tables go there first (see recording/close.c).
 */
#ifndef DAOREC_FITS_PLAN_H
#define DAOREC_FITS_PLAN_H

#include <stdint.h>

/* What is the same for every file of a stream: lengths in bytes, headers padded. */
struct fits_parts {
    uint64_t primary_bytes; /* primary header */
    uint64_t frame_bytes;
    uint64_t frames_header_bytes;
    uint64_t shmkw_bytes; /* whole unit */
};

struct fits_plan {
    struct fits_parts parts;
    uint64_t capacity; /* planes and rows, >= 1 */
    uint64_t cube_off; /* = primary_bytes */
    uint64_t frames_header_off;
    uint64_t rows_off;
    uint64_t shmkw_off;
    uint64_t spare_off; /* header of SPARE */
    uint64_t spare_data_bytes;
    uint64_t file_bytes;
};

void fits_plan_make(struct fits_plan *ret, const struct fits_parts *parts, uint64_t capacity);

/* End of frame `n` (n frames): first byte behind its pixels; and the padded end of a cube of n. */
uint64_t fits_plan_frame_end(const struct fits_plan *plan, uint64_t n);
uint64_t fits_plan_cube_end(const struct fits_plan *plan, uint64_t n);

/* Bytes of FRAMES with n rows and SHMKW, padded. */
uint64_t fits_plan_tables_bytes(const struct fits_plan *plan, uint64_t n);

/* Length of a finished file of n frames. */
uint64_t fits_plan_closed_bytes(const struct fits_plan *plan, uint64_t n);

/* The largest capacity whose finished file stays within `bytes` (0: not even one frame fits). */
uint64_t fits_plan_capacity_within(const struct fits_parts *parts, uint64_t bytes);

/* The largest capacity whose file, as it is prepared, stays within `bytes` (0: none does). */
uint64_t fits_plan_capacity_of(const struct fits_parts *parts, uint64_t bytes);

/*
 * Closing a file of n < capacity frames writes its tables behind frame n. Is there room within the
 * planes of the cube? Then 0. Otherwise the number of planes n' > capacity so that the tables, put
 * behind plane n', lie within SPARE's data with room for a FILLER header and the last page.
 */
uint64_t fits_plan_detour_planes(const struct fits_plan *plan, uint64_t n);

#endif
