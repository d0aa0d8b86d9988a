/* pattern.c - see pattern.h. */
#include "source/pattern.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "source/spots.h"

#define PHOTONS_PEAK 400.0f /* in the brightest pixel of a spot: enough, and the noise is seen */
#define READ_NOISE   0.004f /* of the peak */

struct workshop {
    const struct dao_geometry *geometry;
    const struct elements *elements;
    struct random_source *random;
    float *scene; /* nelement floats; NULL for patterns that need none */
};

typedef void prepare_fn(struct workshop *w, unsigned char *frame, float phase);

/* ---- spots ---- */

/* Expected brightness becomes counts: photons are Poisson, the amplifier adds its own. */
static void expose(struct workshop *w)
{
    float gain = w->elements->peak / PHOTONS_PEAK;

    for (uint64_t i = 0; i < w->geometry->nelement; i++) {
        float photons = random_poisson(w->random, w->scene[i] * PHOTONS_PEAK);

        w->scene[i] = w->elements->bias + gain * photons +
                      w->elements->peak * READ_NOISE * random_normal(w->random);
    }
}

/* The last two axes are an image; what is before them counts planes. */
static void prepare_image(struct workshop *w, float phase)
{
    const struct dao_geometry *g = w->geometry;
    uint32_t columns = g->size[g->naxis - 1], rows = g->size[g->naxis - 2];
    uint32_t planes = g->naxis == 3 ? g->size[0] : 1;

    for (uint32_t plane = 0; plane < planes; plane++)
        spots_draw(w->scene + (uint64_t)plane * rows * columns, rows, columns, plane, phase);
    expose(w);
}

static void prepare_modes(struct workshop *w, float phase)
{
    spots_draw_modes(w->scene, w->geometry->nelement, phase);
    for (uint64_t i = 0; i < w->geometry->nelement; i++)
        w->scene[i] = w->elements->rest + w->elements->stroke * w->scene[i];
}

static bool is_image(const struct dao_geometry *g)
{
    return g->naxis >= 2 && spots_pitch(g->size[g->naxis - 2], g->size[g->naxis - 1]) != 0;
}

static void prepare_spots(struct workshop *w, unsigned char *frame, float phase)
{
    if (is_image(w->geometry))
        prepare_image(w, phase);
    else /* a vector, or too small for spots */
        prepare_modes(w, phase);
    w->elements->store(frame, w->scene, w->geometry->nelement);
}

/* ---- noise ---- */

static void prepare_noise(struct workshop *w, unsigned char *frame, float phase)
{
    (void)phase;
    w->elements->noise(frame, w->random, w->geometry->nelement);
}

/* ---- the table ---- */

static const struct kind {
    prepare_fn *prepare; /* one frame of the cycle; NULL: the ramp, computed each time */
    bool needs_scene;
} kinds[] = {
    {prepare_spots, true},
    {NULL, false},
    {prepare_noise, false},
};
const char *const pattern_names[] = {"spots", "ramp", "noise", NULL};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; pattern_names[i]; i++) {
        if (strcmp(pattern_names[i], name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static uint32_t choose_cycle(uint64_t frame_bytes)
{
    uint64_t frames = PATTERN_CYCLE_BYTES / frame_bytes;

    return frames < 1 ? 1 : frames > PATTERN_CYCLE_FRAMES ? PATTERN_CYCLE_FRAMES : (uint32_t)frames;
}

static int prepare_cycle(struct pattern *p, const struct kind *kind,
                         const struct dao_geometry *geometry, uint64_t seed)
{
    struct workshop w = {.geometry = geometry, .elements = p->elements};
    int r = -ENOMEM;

    p->cycle_frames = choose_cycle(p->frame_bytes);
    p->cycle = malloc(p->cycle_frames * p->frame_bytes);
    w.random = malloc(sizeof(*w.random));
    if (kind->needs_scene)
        w.scene = malloc(p->nelement * sizeof(*w.scene));
    if (!p->cycle || !w.random || (kind->needs_scene && !w.scene))
        goto out;
    random_init(w.random, seed);
    for (uint32_t i = 0; i < p->cycle_frames; i++)
        kind->prepare(&w, p->cycle + i * p->frame_bytes, (float)i / (float)p->cycle_frames);
    r = 0;
out:
    free(w.scene);
    free(w.random);
    return r;
}

int pattern_init(struct pattern *p, const char *name, const struct dao_geometry *geometry,
                 uint64_t seed)
{
    const struct kind *kind = find_kind(name);
    int r;

    *p = (struct pattern){.elements = elements_get(geometry->dtype->atype),
                          .nelement = geometry->nelement,
                          .frame_bytes = geometry->frame_bytes};
    if (!kind || !p->elements)
        return -EINVAL;
    if (!kind->prepare)
        return 0;
    r = prepare_cycle(p, kind, geometry, seed);
    if (r < 0)
        pattern_fini(p);
    return r;
}

void pattern_fill(const struct pattern *p, void *pixels, uint64_t cnt0)
{
    if (p->cycle)
        memcpy(pixels, p->cycle + (cnt0 % p->cycle_frames) * p->frame_bytes, p->frame_bytes);
    else
        p->elements->ramp(pixels, cnt0, p->nelement);
}

void pattern_fini(struct pattern *p)
{
    free(p->cycle);
    *p = (struct pattern){0};
}
