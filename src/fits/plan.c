/* plan.c - see plan.h. */
#include "fits/plan.h"

#include "fits/header.h"

/* Pages at the end that stay untouched, generously: a page may be as large as a DIO alignment. */
#define SLACK_BYTES (8u * 4096u)

static uint64_t tables_bytes(const struct fits_parts *parts, uint64_t rows)
{
    return parts->frames_header_bytes + fits_pad(rows * 64u) + parts->shmkw_bytes;
}

void fits_plan_make(struct fits_plan *ret, const struct fits_parts *parts, uint64_t capacity)
{
    struct fits_plan plan = {.parts = *parts, .capacity = capacity};

    plan.cube_off = parts->primary_bytes;
    plan.frames_header_off = plan.cube_off + fits_pad(capacity * parts->frame_bytes);
    plan.rows_off = plan.frames_header_off + parts->frames_header_bytes;
    plan.shmkw_off = plan.rows_off + fits_pad(capacity * 64u);
    plan.spare_off = plan.shmkw_off + parts->shmkw_bytes;
    plan.spare_data_bytes =
        fits_pad(2 * parts->frame_bytes + tables_bytes(parts, capacity) + SLACK_BYTES);
    plan.file_bytes = plan.spare_off + FITS_BLOCK + plan.spare_data_bytes;
    *ret = plan;
}

uint64_t fits_plan_frame_end(const struct fits_plan *plan, uint64_t n)
{
    return plan->cube_off + n * plan->parts.frame_bytes;
}

uint64_t fits_plan_cube_end(const struct fits_plan *plan, uint64_t n)
{
    return plan->cube_off + fits_pad(n * plan->parts.frame_bytes);
}

uint64_t fits_plan_tables_bytes(const struct fits_plan *plan, uint64_t n)
{
    return tables_bytes(&plan->parts, n);
}

uint64_t fits_plan_closed_bytes(const struct fits_plan *plan, uint64_t n)
{
    return fits_plan_cube_end(plan, n) + fits_plan_tables_bytes(plan, n);
}

uint64_t fits_plan_capacity_within(const struct fits_parts *parts, uint64_t bytes)
{
    uint64_t fixed = parts->primary_bytes + tables_bytes(parts, 0) + 2 * FITS_BLOCK;

    /* Two paddings at most are lost, so this can be short by a frame or two, never too large. */
    return bytes > fixed ? (bytes - fixed) / (parts->frame_bytes + 64u) : 0;
}

uint64_t fits_plan_capacity_of(const struct fits_parts *parts, uint64_t bytes)
{
    uint64_t fits = 0, too_large = bytes / (parts->frame_bytes + 64u) + 1;
    struct fits_plan plan;

    while (fits + 1 < too_large) {
        uint64_t capacity = fits + (too_large - fits) / 2;

        fits_plan_make(&plan, parts, capacity);
        if (plan.file_bytes <= bytes)
            fits = capacity;
        else
            too_large = capacity;
    }
    return fits;
}

uint64_t fits_plan_detour_planes(const struct fits_plan *plan, uint64_t n)
{
    uint64_t end = fits_plan_closed_bytes(plan, n) + FITS_BLOCK;
    uint64_t spare_data = plan->spare_off + FITS_BLOCK;
    uint64_t frame = plan->parts.frame_bytes, planes;

    /* Not into the fill behind the last plane either: it has to be zeros. */
    if (end <= fits_plan_frame_end(plan, plan->capacity))
        return 0;
    /* Beyond the SPARE header, which still rules; that is also beyond the final tables' end. */
    planes = (spare_data - plan->cube_off + frame - 1) / frame;
    return planes;
}
