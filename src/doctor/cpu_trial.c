/* cpu_trial.c - see cpu_trial.h. */
#include "doctor/cpu_trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fits/encode.h"
#include "lib/clock.h"

#define SOURCE_BYTES (64ull << 20) /* more than most caches hold, as a FIFO is */
#define BLOCK_BYTES  (1ull << 20)
#define SLEEP_NS     1000000

static int64_t thread_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000ll + t.tv_nsec;
}

double cpu_trial_encode(const struct dao_dtype *dtype, int64_t time_ns)
{
    struct fits_encoder encoder = fits_encoder_select(dtype, FITS_ENCODE_BEST);
    unsigned char *source = malloc(SOURCE_BYTES), *block = malloc(BLOCK_BYTES);
    int64_t end_ns, begin_ns, took_ns = 0;
    uint64_t bytes = 0;

    if (source && block) {
        memset(source, 0x5a, SOURCE_BYTES);
        memset(block, 0, BLOCK_BYTES);
        end_ns = dao_clock_mono_ns() + time_ns;
        begin_ns = thread_cpu_ns();
        do {
            encoder.encode(block, source + bytes % SOURCE_BYTES, BLOCK_BYTES, encoder.flip);
            bytes += BLOCK_BYTES;
        } while (dao_clock_mono_ns() < end_ns);
        took_ns = thread_cpu_ns() - begin_ns;
    }
    free(source);
    free(block);
    return bytes > 0 ? (double)took_ns / (double)bytes : 0.0;
}

static void *sleep_again_and_again(void *arg)
{
    struct wake_trial *trial = arg;
    const struct timespec sleep = {0, SLEEP_NS};

    while (!atomic_load(&trial->stop)) {
        int64_t begin_ns = dao_clock_mono_ns(), late_ns;

        nanosleep(&sleep, NULL);
        late_ns = dao_clock_mono_ns() - begin_ns - SLEEP_NS;
        trial->lateness_ns = late_ns > trial->lateness_ns ? late_ns : trial->lateness_ns;
        trial->count++;
    }
    return NULL;
}

int wake_trial_begin(struct wake_trial *trial)
{
    *trial = (struct wake_trial){.count = 0};
    return -pthread_create(&trial->thread, NULL, sleep_again_and_again, trial);
}

void wake_trial_end(struct wake_trial *trial)
{
    atomic_store(&trial->stop, true);
    pthread_join(trial->thread, NULL);
}
