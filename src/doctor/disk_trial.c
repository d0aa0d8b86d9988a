/*
 * disk_trial.c - see disk_trial.h.
 *
 *     requests[16], each with a block  --submit-->  ring  --done()-->  submitted again
 *
 * A short burst first says how large a file the time will fill: that one is preallocated as a
 * whole, as a recording is, and no block is written twice, which would be faster. If it is full
 * before its time it is removed, and a fresh one is written: little room, or a fast disk, makes no
 * short trial. What making and removing them takes does not count. A write that fails ends it with
 * that error; that the room is gone meanwhile ends it with what was measured.
 */
#include "doctor/disk_trial.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "doctor/folder.h"
#include "io/engine.h"
#include "io/pool.h"
#include "io/sink.h"
#include "lib/clock.h"

#define BLOCK_BYTES  (4ull << 20) /* as record has them, see record/setup.c */
#define IN_FLIGHT    16u
#define ENGINE_DEPTH 32u
#define BURST_BYTES  (256ull << 20)
#define BURST_PART   8   /* of the time, at most */
#define SPARE        1.5 /* the disk may be faster than in the burst */
#define SYNC_NS      1000000000ll
#define PATIENCE     2 /* times the time: all of it, files made and removed, takes no longer */

struct run {
    struct io_engine *engine;
    struct io_pool pool;
    struct sink sink;
    struct io_request writes[IN_FLIGHT], sync;
    struct io_block *blocks[IN_FLIGHT];
    bool is_busy[IN_FLIGHT], sync_is_busy;
    unsigned in_flight; /* writes */
    uint64_t off, limit, done_bytes;
    int64_t since_ns; /* when a write finished last, or the first of them was submitted */
    int64_t stall_ns;
    int error;
};

static void write_done(struct io_request *request)
{
    struct run *run = request->owner;
    int64_t now_ns = dao_clock_mono_ns(), gap_ns = now_ns - run->since_ns;

    run->stall_ns = gap_ns > run->stall_ns ? gap_ns : run->stall_ns;
    run->since_ns = now_ns;
    run->in_flight--;
    run->is_busy[request - run->writes] = false;
    if (request->result < 0)
        run->error = request->result;
    else
        run->done_bytes += BLOCK_BYTES;
}

static void sync_done(struct io_request *request)
{
    struct run *run = request->owner;

    run->sync_is_busy = false;
    if (request->result < 0)
        run->error = request->result;
}

static void submit_write(struct run *run, unsigned i)
{
    run->writes[i] = (struct io_request){
        .kind = IO_REQUEST_WRITE,
        .sink = &run->sink,
        .data = run->blocks[i]->data,
        .bytes = BLOCK_BYTES,
        .off = run->off,
        .buffer_index = run->blocks[i]->buffer_index,
        .done = write_done,
        .owner = run,
    };
    if (run->in_flight++ == 0)
        run->since_ns = dao_clock_mono_ns();
    run->is_busy[i] = true;
    run->off += BLOCK_BYTES;
    io_engine_submit(run->engine, &run->writes[i]);
}

static void submit_sync(struct run *run)
{
    run->sync = (struct io_request){
        .kind = IO_REQUEST_DATASYNC,
        .sink = &run->sink,
        .buffer_index = -1,
        .done = sync_done,
        .owner = run,
    };
    run->sync_is_busy = true;
    io_engine_submit(run->engine, &run->sync);
}

/* Until something has finished; nothing has to be in flight with pwrite, which is done at once. */
static void reap(struct run *run)
{
    if (io_engine_reap(run->engine) > 0 || (run->in_flight == 0 && !run->sync_is_busy))
        return;
    io_engine_arm(run->engine);
    io_engine_wait(run->engine);
    io_engine_reap(run->engine);
}

/* Write for that long, or to the limit; then wait for all of it, and sync. */
static void write_for(struct run *run, int64_t time_ns)
{
    int64_t begin_ns = dao_clock_mono_ns(), now_ns, synced_ns = begin_ns;

    do { /* once at least, however short the time */
        for (unsigned i = 0; i < IN_FLIGHT && run->off < run->limit && run->error == 0; i++)
            if (!run->is_busy[i])
                submit_write(run, i);
        now_ns = dao_clock_mono_ns();
        if (now_ns - synced_ns >= SYNC_NS && !run->sync_is_busy) {
            submit_sync(run);
            synced_ns = now_ns;
        }
        reap(run);
    } while (run->error == 0 && now_ns - begin_ns < time_ns && run->off < run->limit);
    while (run->in_flight > 0 || run->sync_is_busy)
        reap(run);
    if (run->error == 0)
        run->error = sink_sync(&run->sink);
}

/* Not zeros: some disks and file systems make nothing of them. */
static void fill_with_noise(unsigned char *data, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word;

        seed += 0x9e3779b97f4a7c15ull;
        word = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
        word = (word ^ word >> 27) * 0x94d049bb133111ebull;
        memcpy(data + i, &word, 8);
    }
}

static int prepare(struct run *run)
{
    struct io_pool *pools[] = {&run->pool};
    int r = io_pool_init(&run->pool, IN_FLIGHT, BLOCK_BYTES);

    if (r == 0)
        r = io_engine_create(&run->engine, IO_ENGINE_AUTO, ENGINE_DEPTH, NULL);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        run->blocks[i] = io_pool_take(&run->pool);
        fill_with_noise(run->blocks[i]->data, BLOCK_BYTES, i + 1);
    }
    io_engine_register(run->engine, pools, 1);
    return 0;
}

static double process_cpu_ns(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e9 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e3;
}

/* One file, of `bytes`, for that long. */
static int write_file(struct run *run, struct disk_trial *trial, uint64_t bytes, int64_t time_ns)
{
    double cpu_ns = process_cpu_ns();
    int64_t begin_ns;
    int r;

    run->off = run->done_bytes = 0;
    run->stall_ns = 0;
    run->limit = bytes - bytes % BLOCK_BYTES;
    r = doctor_folder_create(&run->sink, trial->dir_fd, run->limit);
    if (r < 0)
        return r;
    begin_ns = dao_clock_mono_ns();
    write_for(run, time_ns);
    trial->took_ns = dao_clock_mono_ns() - begin_ns;
    trial->bytes = run->done_bytes;
    trial->stall_ns = run->stall_ns;
    trial->used_direct = run->sink.direct;
    trial->used_ring = io_engine_kind(run->engine) == IO_ENGINE_URING;
    if (run->done_bytes > 0)
        trial->cpu_ns_per_byte = (process_cpu_ns() - cpu_ns) / (double)run->done_bytes;
    sink_close(&run->sink);
    return run->error;
}

static uint64_t bytes_for(const struct disk_trial *trial)
{
    double bytes = (double)trial->bytes / (double)(trial->took_ns + 1) * (double)trial->time_ns;
    uint64_t most = trial->bytes_max;

    bytes = bytes * SPARE + (double)BURST_BYTES;
    return bytes < (double)most ? (uint64_t)bytes : most;
}

/* Files of that size, one after the other, until the time is over. */
static int write_files(struct run *run, struct disk_trial *trial, uint64_t bytes)
{
    struct disk_trial sum = *trial;
    int64_t begin_ns = dao_clock_mono_ns();
    double cpu_ns = 0.0;
    int r;

    sum.bytes = sum.files = 0;
    sum.took_ns = sum.stall_ns = 0;
    sum.file_bytes = bytes - bytes % BLOCK_BYTES;
    do {
        r = write_file(run, trial, bytes, trial->time_ns - sum.took_ns);
        if (r < 0 || trial->bytes == 0)
            break;
        sum.bytes += trial->bytes;
        sum.took_ns += trial->took_ns;
        sum.stall_ns = trial->stall_ns > sum.stall_ns ? trial->stall_ns : sum.stall_ns;
        sum.used_ring = trial->used_ring;
        sum.used_direct = trial->used_direct;
        cpu_ns += trial->cpu_ns_per_byte * (double)trial->bytes;
        sum.files++;
    } while (sum.took_ns < trial->time_ns &&
             dao_clock_mono_ns() - begin_ns < PATIENCE * trial->time_ns);
    if (sum.files > 0 && (r == -ENOSPC || r == -EDQUOT))
        r = 0;
    if (sum.bytes > 0)
        sum.cpu_ns_per_byte = cpu_ns / (double)sum.bytes;
    *trial = sum;
    return r;
}

int disk_trial_run(struct disk_trial *trial)
{
    struct run run = {.sink.fd = -1};
    uint64_t burst = trial->bytes_max < BURST_BYTES ? trial->bytes_max : BURST_BYTES;
    int r;

    if (trial->bytes_max < DISK_TRIAL_BYTES_LEAST)
        return -ENOSPC;
    r = prepare(&run);
    if (r == 0)
        r = write_file(&run, trial, burst, trial->time_ns / BURST_PART);
    if (r == 0 && trial->bytes > 0)
        r = write_files(&run, trial, bytes_for(trial));
    io_engine_destroy(run.engine);
    io_pool_fini(&run.pool);
    return r;
}
