/*
 * bare_reader.c - takes every frame of a segment and copies it, nothing else: what recording small
 * frames is measured against.
 *
 *     bare_reader SHM COUNT       until the frame with this count
 *
 * Says "ready" once it is attached; at the end one line of JSON: frames taken and lost.
 */
#include "tests/bench/sequential.h"

#define COPIES 4096u /* frames of memory that are filled in turn */

struct copies {
    unsigned char *memory;
    size_t frame_bytes;
    uint64_t count;
};

static bool copy(void *ctx, const IMAGE *image, void *pixels, uint32_t slot, uint64_t count)
{
    struct copies *c = ctx;

    (void)image;
    (void)slot;
    (void)count;
    memcpy(c->memory + (c->count++ % COPIES) * c->frame_bytes, pixels, c->frame_bytes);
    return true;
}

int main(int argc, char **argv)
{
    static struct sequential s;
    struct copies c = {0};

    if (argc != 3 || strtoull(argv[2], NULL, 10) == 0) {
        fprintf(stderr, "usage: bare_reader SHM COUNT\n");
        return 2;
    }
    sequential_open(&s, argv[1]);
    c.frame_bytes = s.image.md[0].nelement * (s.image.md[0].atype == _DATATYPE_UINT16 ? 2 : 4);
    c.memory = malloc(COPIES * c.frame_bytes);
    if (!c.memory)
        return 1;
    sequential_say_ready();
    if (!sequential_run(&s, strtoull(argv[2], NULL, 10), copy, &c))
        return 1;
    free(c.memory);
    sequential_report(&s);
    daoShmCloseShm(&s.image);
    return 0;
}
