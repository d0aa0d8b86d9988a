/* random.c - see random.h. */
#include "source/random.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Box and Muller, then the sample's own mean and variance taken out. */
static void fill_normals(struct random_source *r)
{
    double sum = 0.0, square = 0.0, mean, scale;

    for (unsigned i = 0; i < RANDOM_NORMALS; i += 2) {
        double u = 1.0 - (double)random_uniform(r); /* never 0 */
        double radius = sqrt(-2.0 * log(u)), angle = 2.0 * M_PI * (double)random_uniform(r);

        r->normals[i] = (float)(radius * cos(angle));
        r->normals[i + 1] = (float)(radius * sin(angle));
    }
    for (unsigned i = 0; i < RANDOM_NORMALS; i++) {
        sum += (double)r->normals[i];
        square += (double)r->normals[i] * (double)r->normals[i];
    }
    mean = sum / RANDOM_NORMALS;
    scale = 1.0 / sqrt(square / RANDOM_NORMALS - mean * mean);
    for (unsigned i = 0; i < RANDOM_NORMALS; i++)
        r->normals[i] = (float)(((double)r->normals[i] - mean) * scale);
}

void random_init(struct random_source *r, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
    fill_normals(r);
}
