/*
 * testbed.h - what the tests of lib/ share: a directory of their own, segments in it, and hands to
 * set counters with, so that a race window stands still while it is looked at.
 *
 * A test program includes this once and ends in testbed_run(). Directory and semaphores have the
 * process's number in their names, so copies of the suite may run side by side, and both are
 * removed however the tests end.
 */
#ifndef TESTS_TESTBED_H
#define TESTS_TESTBED_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/reader.h"
#include "lib/writer.h"
#include "tests/support/ramp.h"
#include "tests/support/suite.h"

#define UNUSED_HELPER __attribute__((unused))

static const uint32_t testbed_depths[] = {1, 2, 3, 4, 64};
#define DEPTHS (int)(sizeof testbed_depths / sizeof testbed_depths[0])

static char testbed_dir[256], testbed_prefix[64];

/* ---- directory ---- */

/* Path of a file in the tests' directory; good for the next seven calls. */
UNUSED_HELPER static const char *testbed_path(const char *name)
{
    static char paths[8][400];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s_%s.im.shm", testbed_dir, testbed_prefix, name);
    return path;
}

static void testbed_remove_all(const char *dir_name, const char *prefix)
{
    DIR *dir = opendir(dir_name);
    struct dirent *entry;
    char path[600];

    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir_name, entry->d_name);
        if (unlink(path) < 0)
            rmdir(path);
    }
    if (dir)
        closedir(dir);
}

/* Run a suite between making the directory and removing it. The program's exit status. */
static int testbed_run(Suite *suite)
{
    const char *parent = getenv("TMPDIR");
    char semaphores[80];
    int failed;

    snprintf(testbed_dir, sizeof testbed_dir, "%s/daorec-test.XXXXXX",
             parent && *parent ? parent : "/dev/shm");
    snprintf(testbed_prefix, sizeof testbed_prefix, "dt%ld", (long)getpid());
    if (!mkdtemp(testbed_dir)) {
        perror(testbed_dir);
        return 1;
    }
    failed = suite_run(suite);
    testbed_remove_all(testbed_dir, "");
    rmdir(testbed_dir);
    snprintf(semaphores, sizeof semaphores, "sem.%s_", testbed_prefix);
    testbed_remove_all("/dev/shm", semaphores);
    return failed;
}

/* ---- segments ---- */

#define TESTBED_ELEMENTS 8u /* 4 x 2 of uint16 */

UNUSED_HELPER static struct dao_geometry testbed_geometry(uint32_t depth, int nbkw)
{
    static const uint32_t size[] = {4, 2};
    struct dao_geometry geo;

    ck_assert_int_eq(dao_geometry_make(&geo, 2, size, _DATATYPE_UINT16, depth, nbkw, NULL), 0);
    return geo;
}

/* A fresh segment of 4 x 2 uint16. */
UNUSED_HELPER static void testbed_create(struct dao_segment *seg, const char *name, uint32_t depth)
{
    struct dao_geometry geo = testbed_geometry(depth, 0);
    struct dao_text text = {""};

    ck_assert_msg(dao_segment_create(seg, testbed_path(name), &geo, &text) == 0, "%s", text.s);
}

UNUSED_HELPER static void testbed_fill(const struct dao_segment *seg, uint32_t slot, uint64_t cnt0)
{
    ramp_fill(dao_segment_pixels(seg, slot), seg->geo.dtype->atype, cnt0, seg->geo.nelement);
}

UNUSED_HELPER static bool testbed_is_ramp(const struct dao_segment *seg, const void *pixels,
                                          uint64_t cnt0)
{
    static _Alignas(16) unsigned char expected[65536];

    ck_assert_uint_le(seg->geo.frame_bytes, sizeof expected);
    ramp_fill(expected, seg->geo.dtype->atype, cnt0, seg->geo.nelement);
    return memcmp(pixels, expected, seg->geo.frame_bytes) == 0;
}

/* ---- counters by hand ---- */

UNUSED_HELPER static void set_cnt0(const struct dao_segment *seg, uint32_t slot, uint64_t cnt0)
{
    dao_segment_md(seg, slot)->cnt0 = cnt0;
}

UNUSED_HELPER static void set_write(const struct dao_segment *seg, uint32_t slot, uint8_t write)
{
    dao_segment_md(seg, slot)->write = write;
}

UNUSED_HELPER static void set_head(const struct dao_segment *seg, uint32_t head)
{
    dao_segment_md(seg, 0)->fifo_last_written = head;
}

UNUSED_HELPER static uint32_t get_head(const struct dao_segment *seg)
{
    return dao_segment_md(seg, 0)->fifo_last_written;
}

UNUSED_HELPER static uint32_t slot_after(const struct dao_segment *seg, uint32_t slot)
{
    return (slot + 1) % seg->geo.depth;
}

/* atime of the last frame put. A frame a minute: a reader at depth 1 is never late. */
#define TESTBED_INTERVAL_NS 60000000000ll
static int64_t testbed_time_ns = 1000000000;

/* One whole frame in the next slot, with the count given. */
UNUSED_HELPER static void put_frame(const struct dao_segment *seg, uint64_t cnt0)
{
    uint32_t slot = slot_after(seg, get_head(seg));

    testbed_fill(seg, slot, cnt0);
    dao_segment_md(seg, slot)->atime.tsfixed.secondlong = testbed_time_ns += TESTBED_INTERVAL_NS;
    set_cnt0(seg, slot, cnt0);
    set_head(seg, slot);
}

/* Frames with the counts first .. last. */
UNUSED_HELPER static void put_frames(const struct dao_segment *seg, uint64_t first, uint64_t last)
{
    for (uint64_t cnt0 = first; cnt0 <= last; cnt0++)
        put_frame(seg, cnt0);
}

/* A field writer's frame, stopped after it published the head: new pixels, the old count. */
UNUSED_HELPER static uint32_t put_unstamped_frame(const struct dao_segment *seg, uint64_t cnt0)
{
    uint32_t slot = slot_after(seg, get_head(seg));

    testbed_fill(seg, slot, cnt0);
    set_head(seg, slot);
    return slot;
}

/* ---- reading ---- */

UNUSED_HELPER static struct dao_reader testbed_reader(const struct dao_segment *seg)
{
    struct dao_reader r;

    ck_assert_int_eq(dao_reader_init(&r, seg, DAO_LAP_OLDEST, false), 0);
    return r;
}

/* begin, look at the pixels, finish: the frame must be there, whole, and have this count. */
UNUSED_HELPER static struct dao_take take_frame(struct dao_reader *r, uint64_t cnt0)
{
    struct dao_take take;

    ck_assert_int_eq(dao_reader_begin(r, &take), DAO_READ_FRAME);
    ck_assert_uint_eq(take.cnt0, cnt0);
    ck_assert(testbed_is_ramp(r->seg, take.pixels, cnt0));
    ck_assert_int_eq(dao_reader_finish(r, &take), 1);
    ck_assert(!take.torn);
    return take;
}

UNUSED_HELPER static void expect_nothing(struct dao_reader *r)
{
    struct dao_take take;

    ck_assert_int_eq(dao_reader_begin(r, &take), DAO_READ_NONE);
}

#endif
