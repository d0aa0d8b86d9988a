/*
 * recorder.h - a whole recorder in a thread of the test's own process, so that its disk may be one
 * that the test makes: see stream_config.backend. One a process; a test of Check is one.
 */
#ifndef TESTS_RECORDER_H
#define TESTS_RECORDER_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/writer.h"
#include "record/board.h"
#include "record/supervisor.h"
#include "tests/support/ramp.h"
#include "tests/support/takes.h"

#define WIDTH_MAX 3000u
#define DEPTH     1024u
#define HANG_S    40 /* then something hangs; a program of tests that takes 120 s is ended */

static struct take_folder folder, place; /* of the recording; of images */
static struct dao_segment segment;
static uint32_t width; /* pixels of a frame */
static struct session_config config;
static char *path;
static pthread_t thread;
static atomic_int status; /* -1: it runs */

static inline void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* ---- waits that end ---- */

static inline int64_t hang_after(void)
{
    return dao_clock_mono_ns() + HANG_S * 1000000000ll;
}

/* Said at once, since Check tells only at the end, and the program may be ended before. */
static inline void check_hang(int64_t hang_ns, const char *what)
{
    if (dao_clock_mono_ns() < hang_ns)
        return;
    fprintf(stderr, "%d s, and %s\n", HANG_S, what);
    ck_abort_msg("%d s, and %s", HANG_S, what);
}

/* In a loop that waits: `hang_ns` is hang_after() before it, `what` what there is not yet. */
static inline void rest_until(int64_t hang_ns, const char *what)
{
    check_hang(hang_ns, what);
    rest();
}

/* ---- a source and a recorder ---- */

static inline void begin(uint32_t pixels)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};

    width = pixels;
    take_folder_make(&folder);
    take_folder_make(&place);
    ck_assert_int_ge(asprintf(&path, "%s/wfs.im.shm", place.path), 0);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &width, _DATATYPE_UINT16, DEPTH, 0, &text), 0);
    ck_assert_msg(dao_segment_create(&segment, path, &geometry, &text) == 0, "%s", text.s);
    config = (struct session_config){
        .paths = &path, .path_count = 1, .root = folder.path, .quiet = true};
    config.stream.backlog = true;
    config.buffer_bytes = 1 << 20;
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout)); /* each test is its own process */
}

static inline void end(void)
{
    dao_segment_close(&segment);
    take_folder_remove(&folder);
    take_folder_remove(&place);
    free(path);
}

static inline void publish(unsigned count)
{
    while (count-- > 0) {
        struct dao_write w;

        ck_assert_int_eq(dao_writer_begin(&segment, &w), 0);
        ramp_fill(w.pixels, _DATATYPE_UINT16, w.cnt0, width);
        dao_writer_publish(&segment, &w, 0);
    }
}

static inline void *run_session(void *arg)
{
    int r = supervisor_run(&config, NULL);

    (void)arg;
    atomic_store(&status, r);
    return NULL;
}

static inline void start(enum io_engine_kind engine, uint64_t frames,
                         const struct sink_backend *backend)
{
    config.engine = engine;
    config.stream.frames_wanted = frames;
    config.stream.backend = backend;
    atomic_store(&status, -1);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_session, NULL), 0);
}

static inline int wait_for_end(void)
{
    for (int64_t hang_ns = hang_after(); atomic_load(&status) < 0;)
        rest_until(hang_ns, "the recorder does not end");
    pthread_join(thread, NULL);
    return atomic_load(&status);
}

/* What whoever watches sees of its first stream. */
static inline struct stream_state look_at_stream(struct board *board)
{
    struct session_state state;
    struct stream_state stream;

    ck_assert_int_eq(board_take(board, &state), 0);
    stream = state.streams[0];
    state_free(&state);
    return stream;
}

/* The session's folder, as a descriptor; waited for. */
static inline int open_session(void)
{
    for (int64_t hang_ns = hang_after();; rest_until(hang_ns, "there is no session")) {
        DIR *dir = opendir(folder.path);
        struct dirent *entry;
        int fd = -1;

        while (fd < 0 && (entry = readdir(dir)))
            if (entry->d_name[0] != '.')
                fd = openat(folder.fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        closedir(dir);
        if (fd >= 0)
            return fd;
    }
}

#endif
