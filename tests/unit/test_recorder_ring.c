/*
 * test_recorder_ring.c - a recorder with a real io_uring on a disk that fails, or takes little at a
 * time: completions are taken for what the test wants.
 */
#include <errno.h>

#include "recording/ledger.h"
#include "tests/support/suite.h"
#include "verify/verify.h"
#include "tests/support/has_ring.h"
#include "tests/support/recorder.h"

/* ---- a real ring on a disk that fails ---- */

/* What completions are taken for. */
struct fault {
    int result;           /* given to those of writes .. */
    unsigned skip, count; /* .. but for the first `skip`, and `count` of them */
    bool is_sync;         /* of syncs instead */
    int short_to;         /* bytes at most of any write; 0: any */
};

static struct {
    pthread_mutex_t lock;
    struct fault fault;
    unsigned seen, hits; /* of this fault */
    unsigned syncs;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_fault(struct fault fault)
{
    pthread_mutex_lock(&ring.lock);
    ring.fault = fault;
    ring.seen = ring.hits = 0;
    pthread_mutex_unlock(&ring.lock);
}

static unsigned count_syncs(void)
{
    unsigned syncs;

    pthread_mutex_lock(&ring.lock);
    syncs = ring.syncs;
    pthread_mutex_unlock(&ring.lock);
    return syncs;
}

static int spoil(void *ctx, int fd, off_t off, int result)
{
    const struct fault *fault = &ring.fault;

    (void)ctx;
    (void)fd;
    pthread_mutex_lock(&ring.lock);
    if (fault->short_to && off >= 0 && result > fault->short_to) {
        ring.hits++;
        result = fault->short_to;
    } else if (fault->is_sync == (off < 0)) {
        ring.seen++;
        if (ring.seen > fault->skip && ring.seen <= fault->skip + fault->count) {
            ring.hits++;
            result = fault->result;
        }
    }
    ring.syncs += off < 0;
    pthread_mutex_unlock(&ring.lock);
    return result;
}

struct books_found {
    uint64_t expected, recorded, lost, lost_disk, in_files, first_frames;
};

/* What the ledger says, and every file there: in order, frame by frame. */
static struct books_found check_session(void)
{
    struct ledger_document document;
    const struct ledger_stream *stream;
    struct books_found found = {0};
    struct dao_text text = {""};
    int fd = open_session();
    char name[700];

    ck_assert_msg(ledger_document_read(&document, fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(document.ledger.stream_count, 1);
    stream = &document.ledger.streams[0];
    ck_assert(ledger_balances(&stream->counts));
    found.expected = ledger_expected(&stream->counts);
    found.recorded = stream->counts.recorded;
    found.lost = ledger_lost(&stream->counts);
    found.lost_disk = stream->counts.lost_by[LEDGER_DISK];
    for (size_t i = 0; i < stream->file_count; i++) {
        struct verify_file file;

        ck_assert(stream->files[i].closed);
        snprintf(name, sizeof name, "%s/%s/wfs/%s", folder.path, document.ledger.session,
                 stream->files[i].name);
        verify_file(&file, name, NULL);
        ck_assert_msg(file.doubts.count == 0, "%s",
                      file.doubts.kept ? file.doubts.kept[0].text : "?");
        ck_assert_int_eq(file.state, VERIFY_FINISHED);
        found.in_files += file.frames;
        if (i == 0)
            found.first_frames = file.frames;
        verify_file_free(&file);
    }
    ck_assert_uint_eq(found.in_files, found.recorded);
    ledger_document_free(&document);
    close(fd);
    return found;
}

static void start_ring(bool direct)
{
    static struct sink_backend backend;

    backend = sink_backend_system;
    backend.completed = spoil;
    config.stream.rolling.frames = 100;
    config.stream.want_direct = direct;
    start(IO_ENGINE_URING, 350, &backend);
}

/* A source that goes on until the recorder has enough; how that ended. */
static int feed(struct books_found *ret)
{
    int r;

    for (int i = 0; atomic_load(&status) < 0; i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        publish(5);
        rest();
    }
    r = wait_for_end();
    *ret = check_session();
    return r;
}

static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS};
#define ERRORS (int)(sizeof errors / sizeof errors[0])

START_TEST(an_error_of_the_ring_ends_the_file_and_costs_what_is_counted)
{
    struct books_found found;

    begin(_i % 4 < 2 ? WIDTH_MAX : 97);
    set_fault((struct fault){.result = -errors[_i / 2], .count = 1, .skip = _i % 2 ? 3 : 0});
    start_ring(_i / 2 % 2);
    ck_assert_int_eq(feed(&found), 3);
    ck_assert_uint_eq(ring.hits, 1);
    ck_assert_uint_gt(found.lost_disk, 0);
    ck_assert_uint_gt(found.recorded, 0);
    ck_assert_uint_ge(found.expected, 350);
    end();
}
END_TEST

START_TEST(what_was_whole_before_an_error_is_kept)
{
    struct books_found found;

    begin(WIDTH_MAX);
    publish(60);
    start_ring(true);
    for (int i = 0; count_syncs() == 0; i++) { /* its rows are there, then */
        ck_assert_int_lt(i, HANG_S * 500);
        rest();
    }
    set_fault((struct fault){.result = -EIO, .count = 1});
    ck_assert_int_eq(feed(&found), 3);
    ck_assert_uint_gt(found.lost_disk, 0);
    ck_assert_uint_ge(found.first_frames, 60);
    ck_assert_uint_lt(found.first_frames, 100);
    end();
}
END_TEST

START_TEST(a_disk_that_fails_for_a_while_costs_what_is_counted)
{
    struct books_found found;

    begin(97);
    set_fault((struct fault){.result = -EIO, .count = 2, .skip = 4});
    start_ring(_i);
    ck_assert_int_eq(feed(&found), 3);
    ck_assert_uint_eq(ring.hits, 2);
    ck_assert_uint_gt(found.lost_disk, 0);
    ck_assert_uint_lt(found.recorded, found.expected);
    end();
}
END_TEST

START_TEST(a_sync_of_the_ring_that_fails_ends_its_file_and_costs_no_frame)
{
    struct books_found found;

    begin(97);
    publish(60);
    set_fault((struct fault){.result = -EIO, .count = 1, .is_sync = true});
    start_ring(false);
    for (int i = 0; count_syncs() == 0; i++) {
        ck_assert_int_lt(i, HANG_S * 500);
        rest();
    }
    ck_assert_int_eq(feed(&found), found.lost ? 3 : 1); /* not as it should have been written */
    ck_assert_uint_eq(ring.hits, 1);
    ck_assert_uint_eq(found.first_frames, 60);
    end();
}
END_TEST

START_TEST(short_writes_of_the_ring_are_continued)
{
    static const int sizes[] = {4096, 5000};
    struct books_found found;

    begin(WIDTH_MAX);
    set_fault((struct fault){.short_to = sizes[_i / 2]});
    start_ring(_i % 2);
    ck_assert_int_eq(feed(&found), 0);
    ck_assert_uint_gt(ring.hits, 30);
    ck_assert_uint_eq(found.recorded, 350);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recorder_ring");
    TCase *tcase = tcase_create("ring");

    if (!has_ring())
        return EXIT_SKIPPED;
    take_base_make();
    tcase_set_timeout(tcase, 3 * HANG_S);
    tcase_add_loop_test(tcase, an_error_of_the_ring_ends_the_file_and_costs_what_is_counted, 0,
                        2 * ERRORS);
    tcase_add_test(tcase, what_was_whole_before_an_error_is_kept);
    tcase_add_loop_test(tcase, a_disk_that_fails_for_a_while_costs_what_is_counted, 0, 2);
    tcase_add_test(tcase, a_sync_of_the_ring_that_fails_ends_its_file_and_costs_no_frame);
    tcase_add_loop_test(tcase, short_writes_of_the_ring_are_continued, 0, 4);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
