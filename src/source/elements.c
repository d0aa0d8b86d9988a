/*
 * elements.c - see elements.h.
 *
 * The ramp must not cost more than writing memory does: its loops run over blocks of a constant
 * length, which compilers turn into vectors at any level of optimisation.
 */
#include "source/elements.h"

#include <stddef.h>

#include "lib/dtype.h"

#define BLOCK     64u
#define RAMP_MASK 0xFFFFFu

/* ---- integers ---- */

/* Signed types share the unsigned ones' ramp: the bits are the same. */
#define DEFINE_RAMP_INTEGER(name, type)                                                            \
    static void name(void *pixels, uint64_t cnt0, uint64_t count)                                  \
    {                                                                                              \
        type *out = pixels;                                                                        \
        uint64_t i = 0;                                                                            \
                                                                                                   \
        for (; i + BLOCK <= count; i += BLOCK) {                                                   \
            type first = (type)(cnt0 + i);                                                         \
                                                                                                   \
            for (unsigned j = 0; j < BLOCK; j++)                                                   \
                out[i + j] = (type)(first + (type)j);                                              \
        }                                                                                          \
        for (; i < count; i++)                                                                     \
            out[i] = (type)(cnt0 + i);                                                             \
    }

DEFINE_RAMP_INTEGER(ramp_8, uint8_t)
DEFINE_RAMP_INTEGER(ramp_16, uint16_t)
DEFINE_RAMP_INTEGER(ramp_32, uint32_t)
DEFINE_RAMP_INTEGER(ramp_64, uint64_t)

/* `low` and `high` as floats within the type's range (2^31 - 1 is no float). */
#define DEFINE_STORE_INTEGER(name, type, low, high)                                                \
    static void name(void *pixels, const float *scene, uint64_t count)                             \
    {                                                                                              \
        type *out = pixels;                                                                        \
                                                                                                   \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            float value = floorf(scene[i] + 0.5f);                                                 \
                                                                                                   \
            out[i] = (type)(value < (low) ? (low) : value > (high) ? (high) : value);              \
        }                                                                                          \
    }

DEFINE_STORE_INTEGER(store_u8, uint8_t, 0.0f, 255.0f)
DEFINE_STORE_INTEGER(store_i8, int8_t, -128.0f, 127.0f)
DEFINE_STORE_INTEGER(store_u16, uint16_t, 0.0f, 65535.0f)
DEFINE_STORE_INTEGER(store_i16, int16_t, -32768.0f, 32767.0f)
DEFINE_STORE_INTEGER(store_u32, uint32_t, 0.0f, 0x1p31f)
DEFINE_STORE_INTEGER(store_i32, int32_t, -0x1p30f, 0x1p30f)
DEFINE_STORE_INTEGER(store_u64, uint64_t, 0.0f, 0x1p62f)
DEFINE_STORE_INTEGER(store_i64, int64_t, -0x1p62f, 0x1p62f)

#define DEFINE_NOISE_INTEGER(name, type)                                                           \
    static void name(void *pixels, struct random_source *random, uint64_t count)                   \
    {                                                                                              \
        type *out = pixels;                                                                        \
        uint64_t bits = 0;                                                                         \
                                                                                                   \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            bits = i % (8 / sizeof(type)) ? bits >> (8 * sizeof(type) % 64) : random_bits(random); \
            out[i] = (type)bits;                                                                   \
        }                                                                                          \
    }

DEFINE_NOISE_INTEGER(noise_8, uint8_t)
DEFINE_NOISE_INTEGER(noise_16, uint16_t)
DEFINE_NOISE_INTEGER(noise_32, uint32_t)
DEFINE_NOISE_INTEGER(noise_64, uint64_t)

/* ---- floating point and complex ---- */

/* `parts` 1: real; 2: complex, the imaginary part `sign` times the real one. */
#define DEFINE_RAMP_FLOAT(name, type, parts)                                                       \
    static void name(void *pixels, uint64_t cnt0, uint64_t count)                                  \
    {                                                                                              \
        type *out = pixels;                                                                        \
        uint64_t i = 0;                                                                            \
                                                                                                   \
        for (; i + BLOCK <= count; i += BLOCK) {                                                   \
            uint32_t first = (uint32_t)(cnt0 + i);                                                 \
                                                                                                   \
            for (unsigned j = 0; j < BLOCK; j++) {                                                 \
                type value = (type)(int32_t)((first + j) & RAMP_MASK);                             \
                                                                                                   \
                out[(parts) * (i + j)] = value;                                                    \
                if ((parts) == 2)                                                                  \
                    out[(parts) * (i + j) + 1] = -value;                                           \
            }                                                                                      \
        }                                                                                          \
        for (; i < count; i++) {                                                                   \
            out[(parts)*i] = (type)(int32_t)((cnt0 + i) & RAMP_MASK);                              \
            if ((parts) == 2)                                                                      \
                out[(parts)*i + 1] = -out[(parts)*i];                                              \
        }                                                                                          \
    }

DEFINE_RAMP_FLOAT(ramp_f, float, 1u)
DEFINE_RAMP_FLOAT(ramp_d, double, 1u)
DEFINE_RAMP_FLOAT(ramp_cf, float, 2u)
DEFINE_RAMP_FLOAT(ramp_cd, double, 2u)

#define DEFINE_STORE_FLOAT(name, type, parts)                                                      \
    static void name(void *pixels, const float *scene, uint64_t count)                             \
    {                                                                                              \
        type *out = pixels;                                                                        \
                                                                                                   \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            out[(parts)*i] = (type)scene[i];                                                       \
            if ((parts) == 2)                                                                      \
                out[(parts)*i + 1] = 0;                                                            \
        }                                                                                          \
    }

DEFINE_STORE_FLOAT(store_f, float, 1u)
DEFINE_STORE_FLOAT(store_d, double, 1u)
DEFINE_STORE_FLOAT(store_cf, float, 2u)
DEFINE_STORE_FLOAT(store_cd, double, 2u)

#define DEFINE_NOISE_FLOAT(name, type, parts)                                                      \
    static void name(void *pixels, struct random_source *random, uint64_t count)                   \
    {                                                                                              \
        type *out = pixels;                                                                        \
                                                                                                   \
        for (uint64_t i = 0; i < (parts)*count; i++)                                               \
            out[i] = (type)random_normal(random);                                                  \
    }

DEFINE_NOISE_FLOAT(noise_f, float, 1u)
DEFINE_NOISE_FLOAT(noise_d, double, 1u)
DEFINE_NOISE_FLOAT(noise_cf, float, 2u)
DEFINE_NOISE_FLOAT(noise_cd, double, 2u)

/* ---- the table, in the order of the type codes ---- */

static const struct elements table[DAO_DTYPE_COUNT] = {
    {ramp_8, store_u8, noise_8, 8.0f, 160.0f, 128.0f, 100.0f},
    {ramp_8, store_i8, noise_8, 4.0f, 90.0f, 0.0f, 100.0f},
    {ramp_16, store_u16, noise_16, 200.0f, 6000.0f, 32768.0f, 20000.0f},
    {ramp_16, store_i16, noise_16, 200.0f, 6000.0f, 0.0f, 20000.0f},
    {ramp_32, store_u32, noise_32, 200.0f, 6000.0f, 1e6f, 5e5f},
    {ramp_32, store_i32, noise_32, 200.0f, 6000.0f, 0.0f, 5e5f},
    {ramp_64, store_u64, noise_64, 200.0f, 6000.0f, 1e6f, 5e5f},
    {ramp_64, store_i64, noise_64, 200.0f, 6000.0f, 0.0f, 5e5f},
    {ramp_f, store_f, noise_f, 200.0f, 6000.0f, 0.0f, 1.0f},
    {ramp_d, store_d, noise_d, 200.0f, 6000.0f, 0.0f, 1.0f},
    {ramp_cf, store_cf, noise_cf, 200.0f, 6000.0f, 0.0f, 1.0f},
    {ramp_cd, store_cd, noise_cd, 200.0f, 6000.0f, 0.0f, 1.0f},
};

const struct elements *elements_get(unsigned atype)
{
    return atype >= 1 && atype <= DAO_DTYPE_COUNT ? &table[atype - 1] : NULL;
}
