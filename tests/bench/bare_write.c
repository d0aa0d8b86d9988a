/*
 * bare_write.c - what the disk can do: sequential O_DIRECT writes through io_uring, nothing else.
 *
 *     bare_write FILE MEGABYTES [swap|keep|again]
 *
 * Preallocates FILE, writes it in blocks of 4 MiB, as record does, 16 in flight, from registered
 * buffers (where `ulimit -l` allows it); with `swap` each block is first filled from 80 MB of
 * source memory with its 16-bit words swapped, which is the least that recording asks for; `keep`
 * leaves the file there, and `again` writes into one that was left. Prints "bytes_per_second
 * cpu_seconds_per_gigabyte".
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BLOCK         (4u << 20)
#define IN_FLIGHT     16u
#define SOURCE_BLOCKS 20u

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned char *memory(size_t bytes)
{
    unsigned char *m =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (m == MAP_FAILED) {
        perror("bare_write: memory");
        exit(1);
    }
    madvise(m, bytes, MADV_HUGEPAGE);
    memset(m, 1, bytes);
    return m;
}

static void swap_block(unsigned char *to, const unsigned char *from)
{
    const uint16_t *in = (const uint16_t *)(const void *)from;
    uint16_t *out = (uint16_t *)(void *)to;

    for (size_t i = 0; i < BLOCK / 2; i++)
        out[i] = (uint16_t)(__builtin_bswap16(in[i]) ^ 0x80u);
}

int main(int argc, char **argv)
{
    unsigned free_blocks[IN_FLIGHT], free_count = IN_FLIGHT;
    uint64_t blocks = argc > 2 ? (strtoull(argv[2], NULL, 10) << 20) / BLOCK : 0, submitted = 0,
             done = 0;
    const char *how = argc > 3 ? argv[3] : "";
    bool swap = strcmp(how, "swap") == 0, again = strcmp(how, "again") == 0;
    int flags = O_CREAT | O_RDWR | O_DIRECT | (again ? 0 : O_TRUNC);
    int fd = argc > 1 ? open(argv[1], flags, 0644) : -1;
    unsigned char *buffers, *source;
    struct iovec vectors[IN_FLIGHT];
    struct io_uring ring;
    bool is_registered;
    double begin, span, cpu;

    if (fd < 0 || blocks == 0 || io_uring_queue_init(64, &ring, 0) < 0 ||
        fallocate(fd, 0, 0, (off_t)(blocks * BLOCK)) != 0) {
        fprintf(
            stderr,
            "usage: bare_write FILE MEGABYTES [swap|keep|again]; needs O_DIRECT, io_uring, room "
            "(%s)\n",
            strerror(errno));
        return 77;
    }
    buffers = memory((size_t)IN_FLIGHT * BLOCK);
    source = memory((size_t)SOURCE_BLOCKS * BLOCK);
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        vectors[i] = (struct iovec){buffers + (size_t)i * BLOCK, BLOCK};
        free_blocks[i] = i;
    }
    is_registered = io_uring_register_buffers(&ring, vectors, IN_FLIGHT) == 0;
    begin = seconds(CLOCK_MONOTONIC);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    while (done < blocks) {
        struct io_uring_cqe *cqe;

        while (free_count > 0 && submitted < blocks) {
            unsigned b = free_blocks[--free_count];
            unsigned char *data = buffers + (size_t)b * BLOCK;
            struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

            if (swap)
                swap_block(data, source + (submitted % SOURCE_BLOCKS) * BLOCK);
            if (is_registered)
                io_uring_prep_write_fixed(sqe, fd, data, BLOCK, submitted * BLOCK, (int)b);
            else
                io_uring_prep_write(sqe, fd, data, BLOCK, submitted * BLOCK);
            io_uring_sqe_set_data64(sqe, b);
            io_uring_submit(&ring);
            submitted++;
        }
        io_uring_submit_and_wait(&ring, 1);
        while (io_uring_peek_cqe(&ring, &cqe) == 0) {
            if (cqe->res != (int)BLOCK) {
                fprintf(stderr, "bare_write: %s: %s\n", argv[1], strerror(-cqe->res));
                return 1;
            }
            free_blocks[free_count++] = (unsigned)cqe->user_data;
            io_uring_cqe_seen(&ring, cqe);
            done++;
        }
    }
    fdatasync(fd);
    span = seconds(CLOCK_MONOTONIC) - begin;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f %.4f\n", (double)blocks * BLOCK / span, cpu / ((double)blocks * BLOCK / 1e9));
    if (strcmp(how, "keep") != 0)
        unlink(argv[1]);
    return 0;
}
