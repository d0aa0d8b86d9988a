/*
 * mixed_writer.c - writes frames as it is told to; mixed.h has the commands. One thread.
 */
#include <time.h>

#include "tests/support/mixed.h"

static IMAGE image;
static union {
    char bytes[MIXED_BYTES_MAX];
    complex_double alignment;
} frame;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "mixed_writer: %s\n", what);
    exit(1);
}

/* The next frame, in `frame`. */
static void make_frame(void)
{
    ramp_fill(&frame, image.md[0].atype, daoShmGetCounter(&image) + 1, image.md[0].nelement);
}

static uint32_t nelement(void)
{
    return (uint32_t)image.md[0].nelement;
}

static void write_frames(uint64_t frames, long pause_us)
{
    const struct timespec pause = {.tv_nsec = pause_us * 1000};

    while (frames-- > 0) {
        make_frame();
        if (daoShmImage2Shm(&frame, nelement(), &image) != DAO_SUCCESS)
            fail("a frame was refused");
        if (pause_us)
            nanosleep(&pause, NULL);
    }
}

static void create(const char *path, const char *type, uint32_t depth, int nbkw, uint32_t *size)
{
    if (daoShmImageCreate_FIFO(&image, path, 2, size, ramp_find(type), 1, nbkw, depth) !=
        DAO_SUCCESS)
        fail("no segment");
    if (nbkw)
        mixed_fill_keywords(&image);
    write_frames(1, 0);
}

static void write_parts(uint64_t id)
{
    uint32_t half = nelement() / 2;
    size_t element = ramp_types[image.md[0].atype].bytes;

    make_frame();
    if (daoShmImagePart2Shm(frame.bytes, half, &image, 0, 0, 2, id) != DAO_SUCCESS ||
        daoShmImagePart2Shm(frame.bytes + half * element, nelement() - half, &image, half, 1, 2,
                            id) != DAO_SUCCESS ||
        daoShmImagePart2ShmFinalize(&image) != DAO_SUCCESS)
        fail("a part was refused");
}

int main(void)
{
    char line[MIXED_LINE_MAX], path[MIXED_LINE_MAX], type[16];
    uint32_t depth, size[2];
    uint64_t number;
    int nbkw;
    long pause_us;

    while (fgets(line, sizeof line, stdin)) {
        bool is_frame = true;

        if (sscanf(line, "create " MIXED_NAME_FORMAT " %15s %u %d %u %u", path, type, &depth, &nbkw,
                   &size[0], &size[1]) == 6) {
            create(path, type, depth, nbkw, size);
            is_frame = false;
        } else if (sscanf(line, "write %" SCNu64, &number) == 1) {
            write_frames(number, 0);
        } else if (sscanf(line, "run %" SCNu64 " %ld", &number, &pause_us) == 2) {
            write_frames(number, pause_us);
        } else if (sscanf(line, "parts %" SCNu64, &number) == 1) {
            write_parts(number);
        } else if (strcmp(line, "close\n") == 0 && daoShmCloseShm(&image) == DAO_SUCCESS) {
            is_frame = false;
        } else {
            fail(line);
        }
        if (is_frame)
            printf("at %" PRIu64 "\n", daoShmGetCounter(&image));
        else
            printf("ok\n");
        fflush(stdout);
    }
    return 0;
}
