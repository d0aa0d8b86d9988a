/*
 * bare_sleep.c - how evenly a thread wakes that does nothing but clock_nanosleep() until absolute
 * deadlines: what replay is measured against.
 *
 *     bare_sleep RATE_HZ FRAMES       prints p50, p99 and max of the interval error, ns
 */
#include <sys/prctl.h>

#include "tests/bench/common.h"

int main(int argc, char **argv)
{
    double rate_hz = argc > 2 ? atof(argv[1]) : 0.0;
    size_t frames = argc > 2 ? (size_t)atoll(argv[2]) : 0;
    double *errors = calloc(frames + 1, sizeof *errors);
    int64_t begin_ns, before_ns = 0;

    if (rate_hz <= 0.0 || frames < 2 || !errors) {
        fprintf(stderr, "usage: bare_sleep RATE_HZ FRAMES\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1ul);
    begin_ns = bench_clock_ns(CLOCK_MONOTONIC) + 10000000;
    for (size_t i = 0; i < frames; i++) {
        int64_t due_ns = begin_ns + (int64_t)((double)i * 1e9 / rate_hz), now_ns;
        struct timespec due = {due_ns / NS_PER_S, due_ns % NS_PER_S};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        now_ns = bench_clock_ns(CLOCK_MONOTONIC);
        if (i > 0) {
            double error_ns = (double)(now_ns - before_ns) - 1e9 / rate_hz;

            errors[i - 1] = error_ns < 0 ? -error_ns : error_ns;
        }
        before_ns = now_ns;
    }
    printf("%.0f %.0f ", bench_quantile(errors, frames - 1, 0.5),
           bench_quantile(errors, frames - 1, 0.99));
    printf("%.0f\n", bench_quantile(errors, frames - 1, 1.0));
    free(errors);
    return 0;
}
