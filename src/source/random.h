/*
 * random.h - fast pseudo-random numbers for simulated frames (xoshiro256++; not for secrets).
 *
 * The same seed gives the same numbers. One generator is for one thread.
 */
#ifndef DAOREC_SOURCE_RANDOM_H
#define DAOREC_SOURCE_RANDOM_H

#include <math.h>
#include <stdint.h>

#define RANDOM_NORMALS 4096u /* a power of two */

struct random_source {
    uint64_t s[4];
    float normals[RANDOM_NORMALS]; /* a sample of mean 0 and variance 1, drawn from by index */
};

static inline uint64_t random_rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t random_bits(struct random_source *r)
{
    uint64_t *s = r->s, result = random_rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = random_rotate(s[3], 45);
    return result;
}

/* Uniform in [0, 1). */
static inline float random_uniform(struct random_source *r)
{
    return (float)(random_bits(r) >> 40) * 0x1p-24f;
}

/* Normal with mean 0 and variance 1, from the table: good to the eye and quick. */
static inline float random_normal(struct random_source *r)
{
    return r->normals[random_bits(r) >> 52];
}

/* Poisson of mean `mean` >= 0: by inversion where it is small, else nearly normal. */
static inline float random_poisson(struct random_source *r, float mean)
{
    float u, p, sum, k = 0.0f;

    if (mean > 16.0f) {
        k = floorf(mean + sqrtf(mean) * random_normal(r) + 0.5f);
        return k > 0.0f ? k : 0.0f;
    }
    u = random_uniform(r);
    if (u < 1.0f - mean) /* exp(-mean) is at least that: none, without the exponential */
        return 0.0f;
    p = expf(-mean);
    for (sum = p; u >= sum && k < 64.0f; sum += p) {
        k += 1.0f;
        p *= mean / k;
    }
    return k;
}

void random_init(struct random_source *r, uint64_t seed);

#endif
