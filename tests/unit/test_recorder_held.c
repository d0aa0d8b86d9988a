/*
 * test_recorder_held.c - a recorder whose disk is held for a while, and whose segment goes away or
 * begins anew meanwhile: what was overwritten while the disk was waited for is lost to the disk,
 * what was overwritten before anybody could look is a lap, the rest that is lost a restart's. Ends
 * of files that are due while it is held cost nothing, as long as there is memory. And how often a
 * segment is tried that may not be opened.
 */
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "recording/ledger.h"
#include "tests/support/gate.h"
#include "tests/support/suite.h"

static void start_gated(uint64_t frames)
{
    config.stream.rolling.frames = 4000;
    start(IO_ENGINE_PWRITE, frames, gate_backend());
}

/* ---- what the test waits for ---- */

static int session_fd;

/* How many segments of this path has the recorder, which maps read-only? `is_there`: only those
 * that the path still leads to. */
static unsigned count_open(bool is_there)
{
    size_t length = strlen(path);
    char line[5000];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");

    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps)) {
        char *at = strstr(line, path);

        count += at && strstr(line, " r--s ") && (!is_there || at[length] == '\n');
    }
    fclose(maps);
    return count;
}

static void wait_until_open(void)
{
    for (int i = 0; count_open(true) == 0; i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        rest();
    }
    for (int i = 0; i < 20; i++) /* and has looked at it */
        rest();
}

struct told {
    uint64_t expected, recorded, lost_by[LEDGER_CAUSES];
};

/* What the ledger says, if there is one yet. */
static bool read_told(struct told *ret)
{
    struct ledger_document document;
    const struct ledger_counts *counts;
    struct dao_text text = {""};

    if (ledger_document_read(&document, session_fd, &text) < 0)
        return false;
    counts = &document.ledger.streams[0].counts;
    ck_assert(ledger_balances(counts));
    ret->expected = ledger_expected(counts);
    ret->recorded = counts->recorded;
    memcpy(ret->lost_by, counts->lost_by, sizeof ret->lost_by);
    ledger_document_free(&document);
    return true;
}

static struct told wait_for_told(int expected_status)
{
    struct told told;

    ck_assert_int_eq(wait_for_end(), expected_status);
    ck_assert(read_told(&told));
    close(session_fd);
    return told;
}

static void expect_lost(const struct told *told, uint64_t lapped, uint64_t disk, uint64_t restart)
{
    ck_assert_uint_eq(told->lost_by[LEDGER_LAPPED], lapped);
    ck_assert_uint_eq(told->lost_by[LEDGER_DISK], disk);
    ck_assert_uint_eq(told->lost_by[LEDGER_RESTART], restart);
    ck_assert_uint_eq(told->lost_by[LEDGER_SOURCE], 0);
}

/* ---- segments that take its place ---- */

static char *beside(void)
{
    static char name[4096];

    snprintf(name, sizeof name, "%s.new", path);
    return name;
}

/* Another one, of this width, which appears with so many frames in it. */
static void replace(uint32_t pixels, uint32_t depth, unsigned frames)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};

    width = pixels;
    dao_segment_close(&segment);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &width, _DATATYPE_UINT16, depth, 1, &text), 0);
    ck_assert_msg(dao_segment_create(&segment, beside(), &geometry, &text) == 0, "%s", text.s);
    publish(frames);
    ck_assert_int_eq(rename(beside(), path), 0);
}

static const uint32_t depths[] = {1, 2, 64};
#define DEPTHS (int)(sizeof depths / sizeof depths[0])

/* So many of a full FIFO can be taken. */
static uint64_t provable(uint32_t depth)
{
    return depth > 1 ? depth - 1 : 1;
}

/* ---- another shape ---- */

START_TEST(what_a_new_shape_overwrites_while_the_disk_is_held_is_lost_to_the_disk)
{
    uint64_t left = provable(depths[_i]);
    struct told told;

    begin(97);
    publish(30);
    start_gated(40 + left);
    session_fd = wait_for_file();
    hold_disk(true);
    publish(10);
    replace(50, depths[_i], 1);
    wait_until_open();
    publish(200);
    hold_disk(false);
    told = wait_for_told(3);
    expect_lost(&told, 0, 201 - left, 0);
    end();
}
END_TEST

START_TEST(what_a_new_shape_has_overwritten_before_it_is_noticed_is_a_lap)
{
    uint64_t left = provable(depths[_i]);
    struct told told;

    begin(97);
    publish(40);
    start_gated(40 + left);
    session_fd = wait_for_file();
    replace(50, depths[_i], 200);
    told = wait_for_told(3);
    expect_lost(&told, 200 - left, 0, 0);
    end();
}
END_TEST

START_TEST(laps_before_and_after_a_new_shape_is_noticed_are_told_apart)
{
    uint64_t left = provable(depths[_i]);
    struct told told;

    begin(97);
    publish(30);
    start_gated(40 + left);
    session_fd = wait_for_file();
    hold_disk(true);
    publish(10);
    replace(50, depths[_i], 200);
    wait_until_open();
    publish(100);
    hold_disk(false);
    told = wait_for_told(3);
    expect_lost(&told, 200 - left, 100, 0);
    end();
}
END_TEST

/* A copy of the segment in the same run, with another keyword, that has gone on. */
static void replace_keyword(unsigned frames)
{
    unsigned char *bytes = malloc(segment.geo.file_bytes);
    uint64_t total = segment.geo.file_bytes;
    struct dao_text text = {""};
    IMAGE_KEYWORD keyword = {.name = "GAIN", .type = 'L', .value.numl = 7};
    int fd = open(beside(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, segment.map, total);
    memcpy(bytes + segment.geo.kw_off, &keyword, sizeof keyword);
    ck_assert_int_eq(write(fd, bytes, total), (ssize_t)total);
    close(fd);
    free(bytes);
    dao_segment_close(&segment);
    ck_assert_msg(dao_segment_open(&segment, beside(), DAO_ACCESS_WRITE, &text) == 0, "%s", text.s);
    publish(frames);
    ck_assert_int_eq(rename(beside(), path), 0);
}

START_TEST(of_a_run_that_goes_on_with_other_keywords_what_was_waited_for_is_the_disks)
{
    struct told told;

    begin(97);
    replace(97, DEPTH, 30);
    start_gated(100);
    session_fd = wait_for_file();
    hold_disk(true);
    publish(10);
    replace_keyword(5);
    wait_until_open();
    publish(20);
    hold_disk(false);
    for (int i = 0; atomic_load(&status) < 0; i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        publish(5);
        rest();
    }
    told = wait_for_told(3);
    ck_assert_uint_eq(told.lost_by[LEDGER_RESTART], 5);
    ck_assert_uint_ge(told.lost_by[LEDGER_DISK], 20);
    end();
}
END_TEST

/* ---- a run that ends while the disk is held ---- */

/* It is lapped, and that is known; its run ends, in place or by a truncation. */
START_TEST(what_was_lapped_while_the_disk_was_held_stays_lost_to_it_when_the_run_ends)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};
    struct told told;
    uint64_t disk, more;

    block_stop();
    begin(WIDTH_MAX);
    publish(30);
    start_gated(0);
    session_fd = wait_for_file();
    hold_disk(true);
    for (int i = 0; i < 300; i++) {
        publish(10);
        rest();
    }
    for (int i = 0; !read_told(&told) || told.expected < 3030 - (DEPTH - 1); i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        rest();
    }
    disk = told.lost_by[LEDGER_DISK];
    ck_assert_uint_gt(disk, 0);
    geometry = segment.geo;
    if (_i) {
        ck_assert_int_eq(ftruncate(segment.fd, 0), 0);
        ck_assert_int_eq(unlink(path), 0);
    }
    dao_segment_close(&segment);
    ck_assert_msg(dao_segment_create(&segment, path, &geometry, &text) == 0, "%s", text.s);
    publish(20);
    hold_disk(false);
    kill(getpid(), SIGTERM);
    told = wait_for_told(3);
    more = told.lost_by[LEDGER_DISK] - disk; /* while it is emptied in place it is lapped, too */
    ck_assert_uint_le(more, _i ? 0 : DEPTH - 1);
    expect_lost(&told, 0, disk + more, DEPTH - 1 - more);
    ck_assert(told.expected == 3030 || told.expected == 3050); /* whether it came to the new run */
    end();
}
END_TEST

/* ---- ends that are due while the disk is held ---- */

/* Slowly enough that the recorder keeps up on a busy machine, too. */
static void publish_slowly(unsigned frames, bool asks)
{
    for (unsigned i = 0; i < frames; i += 5) {
        publish(5);
        rest();
        rest();
        if (asks && i % 25 == 0)
            kill(getpid(), SIGUSR1);
    }
}

static void block_roll(void)
{
    sigset_t asked;

    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &asked, NULL);
}

/* By time, together, on request: more ends than there are files, and more frames than the FIFO
 * holds, so that none may be left in it. The rate is known by then. */
START_TEST(ends_that_are_due_while_the_disk_is_held_cost_no_frame)
{
    struct told told;

    block_roll();
    begin(97);
    publish(30);
    config.buffer_bytes = 8 << 20;
    config.stream.rolling.time_ns = _i == 2 ? 0 : 20000000;
    config.stream.rolling.together = _i == 1;
    start(IO_ENGINE_PWRITE, 30 + 300 + 2000 + 100, gate_backend());
    session_fd = wait_for_file();
    publish_slowly(300, _i == 2);
    hold_disk(true);
    publish_slowly(2000, _i == 2);
    hold_disk(false);
    publish_slowly(100, _i == 2);
    told = wait_for_told(0);
    ck_assert_uint_eq(told.recorded, 2430);
    expect_lost(&told, 0, 0, 0);
    end();
}
END_TEST

/* ---- one that may not be opened ---- */

static atomic_uint owner_lookups;

/* In place of libc's: called each time that it is said whose a segment is. */
int getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t bytes, struct passwd **ret)
{
    (void)uid, (void)entry, (void)buffer, (void)bytes;
    atomic_fetch_add(&owner_lookups, 1);
    *ret = NULL;
    return 0;
}

START_TEST(one_that_may_not_be_opened_is_tried_less_and_less_often)
{
    int64_t begin_ns, spent_ns;
    struct told told;
    unsigned tries;
    int fd;

    if (geteuid() == 0) { /* who may open anything */
        ck_assert_int_eq(chown(take_base, 65534, (gid_t)-1), 0);
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    }
    begin(97);
    publish(30);
    start_gated(50);
    session_fd = wait_for_file();
    fd = open(beside(), O_RDWR | O_CREAT | O_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    begin_ns = dao_clock_mono_ns();
    ck_assert_int_eq(rename(beside(), path), 0);
    for (int i = 0; i < 300; i++)
        rest();
    tries = atomic_load(&owner_lookups);
    spent_ns = dao_clock_mono_ns() - begin_ns;
    ck_assert_int_ge(tries, 1);
    ck_assert_int_le(tries, 8 + spent_ns / 100000000);
    close(fd);
    replace(97, DEPTH, 20); /* and when it may be */
    told = wait_for_told(0);
    ck_assert_uint_eq(told.recorded, 50);
    end();
}
END_TEST

/* ---- one that is given up again, while the disk is held ---- */

/* By a truncation, or by the end of the recording. What was published last before a truncation may
 * not be known. */
START_TEST(of_one_that_was_never_recorded_each_loss_has_its_cause)
{
    struct told told;
    uint64_t known;

    block_stop();
    begin(97);
    publish(30);
    start_gated(0);
    session_fd = wait_for_file();
    hold_disk(true);
    publish(10);
    replace(50, 64, 200);
    wait_until_open();
    publish(100);
    for (int i = 0; i < 20; i++)
        rest();
    if (_i) {
        ck_assert_int_eq(ftruncate(segment.fd, 0), 0);
        ck_assert_int_eq(unlink(path), 0);
    } else {
        kill(getpid(), SIGTERM);
    }
    for (int i = 0; count_open(false) > 1; i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        rest();
    }
    if (_i)
        kill(getpid(), SIGTERM);
    hold_disk(false);
    told = wait_for_told(3);
    ck_assert_uint_eq(told.recorded, 40);
    known = told.expected - 40;
    ck_assert_uint_ge(known, 200);
    ck_assert_uint_le(known, 300);
    if (_i)
        expect_lost(&told, 137, known - 200, 63);
    else
        expect_lost(&told, 137, 163, 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_held");
    TCase *tcase = tcase_create("held");

    take_base_make();
    tcase_set_timeout(tcase, 3 * HANG_S);
    tcase_add_loop_test(
        tcase, what_a_new_shape_overwrites_while_the_disk_is_held_is_lost_to_the_disk, 0, DEPTHS);
    tcase_add_loop_test(tcase, what_a_new_shape_has_overwritten_before_it_is_noticed_is_a_lap, 0,
                        DEPTHS);
    tcase_add_loop_test(tcase, laps_before_and_after_a_new_shape_is_noticed_are_told_apart, 0,
                        DEPTHS);
    tcase_add_test(tcase,
                   of_a_run_that_goes_on_with_other_keywords_what_was_waited_for_is_the_disks);
    tcase_add_loop_test(
        tcase, what_was_lapped_while_the_disk_was_held_stays_lost_to_it_when_the_run_ends, 0, 2);
    tcase_add_loop_test(tcase, of_one_that_was_never_recorded_each_loss_has_its_cause, 0, 2);
    tcase_add_loop_test(tcase, ends_that_are_due_while_the_disk_is_held_cost_no_frame, 0, 3);
    tcase_add_test(tcase, one_that_may_not_be_opened_is_tried_less_and_less_often);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
