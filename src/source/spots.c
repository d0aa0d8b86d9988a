/*
 * spots.c - see spots.h. Lengths are in pixels unless they are called pupil coordinates, where the
 * pupil's edge is at radius 1.
 */
#include "source/spots.h"

#include <math.h>
#include <string.h>

#define TWO_PI       6.28318530717958647692f
#define SUBAPERTURES 20u /* across the pupil, where there are pixels enough */
#define PITCH_MAX    64u
#define OBSTRUCTION  0.22f  /* pupil coordinates */
#define SPOT_SIGMA   0.125f /* of the pitch */
#define WOBBLE       0.10f  /* of the pitch */
#define JITTER       0.05f  /* of the pitch, each wave */
#define WINDOW_MAX   (2 * (4 * PITCH_MAX / 8 + 1) + 1)

/* The turbulent field: waves across the pupil whose phase goes round a whole number of times in a
 * cycle, so that the last moment leads back to the first. */
static const struct wave {
    float kx, ky; /* radians per pupil radius */
    float turns;  /* per cycle */
    float ax, ay; /* how far it moves a spot, in units of JITTER */
    float offset; /* radians */
} waves[] = {
    {2.1f, 0.7f, 1.0f, 1.0f, 0.4f, 0.3f},
    {-1.3f, 2.6f, 2.0f, -0.5f, 1.0f, 1.9f},
    {4.4f, -3.1f, -1.0f, 0.7f, -0.6f, 4.1f},
    {-5.2f, -4.3f, 3.0f, -0.4f, -0.5f, 2.6f},
};
#define WAVE_COUNT (sizeof(waves) / sizeof(waves[0]))

uint32_t spots_pitch(uint32_t rows, uint32_t columns)
{
    uint32_t across = rows < columns ? rows : columns;
    uint32_t pitch = across / SUBAPERTURES;

    if (across < 2 * SPOTS_PITCH_MIN)
        return 0;
    return pitch < SPOTS_PITCH_MIN ? SPOTS_PITCH_MIN : pitch > PITCH_MAX ? PITCH_MAX : pitch;
}

/* One Gaussian spot, cut off where it ends and at the image's edge. */
static void draw_spot(float *image, uint32_t rows, uint32_t columns, float x, float y, float sigma,
                      float brightness)
{
    float profile[WINDOW_MAX];
    long reach = (long)(4.0f * sigma) + 1;
    long x0 = lrintf(x) - reach, x1 = x0 + 2 * reach, y0 = lrintf(y) - reach, y1 = y0 + 2 * reach;
    float scale = -0.5f / (sigma * sigma);

    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 >= (long)columns ? (long)columns - 1 : x1;
    y1 = y1 >= (long)rows ? (long)rows - 1 : y1;
    for (long i = x0; i <= x1; i++)
        profile[i - x0] = expf(scale * ((float)i - x) * ((float)i - x));
    for (long j = y0; j <= y1; j++) {
        float *row = image + (uint64_t)j * columns;
        float height = brightness * expf(scale * ((float)j - y) * ((float)j - y));

        for (long i = x0; i <= x1; i++)
            row[i] += height * profile[i - x0];
    }
}

/* Where the spot of the subaperture at pupil coordinates (u, v) is moved to, in pitches. */
static void displace(float *dx, float *dy, float u, float v, uint32_t plane, float phase)
{
    float turn = TWO_PI * phase, lag = 1.7f * (float)plane;

    *dx = WOBBLE * (sinf(turn + lag) + 0.4f * sinf(2.0f * turn + 0.8f));
    *dy = WOBBLE * (cosf(turn + lag) + 0.3f * sinf(3.0f * turn + 2.0f));
    for (size_t i = 0; i < WAVE_COUNT; i++) {
        const struct wave *w = &waves[i];
        float s = sinf(w->kx * u + w->ky * v + w->turns * turn + w->offset + lag);

        *dx += JITTER * w->ax * s;
        *dy += JITTER * w->ay * s;
    }
}

void spots_draw(float *image, uint32_t rows, uint32_t columns, uint32_t plane, float phase)
{
    uint32_t pitch = spots_pitch(rows, columns), across = rows < columns ? rows : columns;
    uint32_t grid = pitch ? across / pitch : 0;
    float half = 0.5f * (float)grid;

    memset(image, 0, sizeof(*image) * rows * columns);
    for (uint32_t j = 0; j < grid; j++) {
        for (uint32_t i = 0; i < grid; i++) {
            float u = ((float)i + 0.5f - half) / half, v = ((float)j + 0.5f - half) / half;
            float radius = sqrtf(u * u + v * v), dx, dy, x, y;

            if (radius > 1.0f || radius < OBSTRUCTION)
                continue;
            displace(&dx, &dy, u, v, plane, phase);
            x = 0.5f * (float)(columns - 1) + ((float)i + 0.5f - half + dx) * (float)pitch;
            y = 0.5f * (float)(rows - 1) + ((float)j + 0.5f - half + dy) * (float)pitch;
            draw_spot(image, rows, columns, x, y, SPOT_SIGMA * (float)pitch,
                      1.0f - 0.25f * radius * radius);
        }
    }
}

void spots_draw_modes(float *values, uint64_t count, float phase)
{
    float turn = TWO_PI * phase;

    for (uint64_t i = 0; i < count; i++) {
        float s = TWO_PI * (float)i / (float)count;

        values[i] = 0.5f * sinf(s + turn) + 0.3f * sinf(3.0f * s - 2.0f * turn + 1.0f) +
                    0.2f * sinf(7.0f * s + 3.0f * turn + 2.0f);
    }
}
