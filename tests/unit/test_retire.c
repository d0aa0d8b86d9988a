/* test_retire.c - removing a finished file in order (recording/retire.h): what is left alone, and
 * what the ledger of its session is told. */
#include <errno.h>
#include <sys/file.h>

#include "recording/ledger.h"
#include "recording/mark.h"
#include "recording/retire.h"

#define NAME "2026-11-24_16-00-00"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

static const char ledger_text[] =
    "{\"session\": \"" NAME "\", \"end\": %s, \"note\": \"kept\", \"uuid\": \"0123-4567\", "
    "\"host\": \"host\", \"version\": \"0\", \"start\": null, \"streams\": [{\"name\": \"wfs\", "
    "\"segment\": \"/tmp/wfs.im.shm\", \"geometry\": {\"type\": \"uint16\", \"size\": [8], "
    "\"layout\": null, \"depth\": 16, \"frame_bytes\": 16}, \"expected\": 9, \"recorded\": 5, "
    "\"torn\": 0, \"lost\": 4, \"lost_by\": {\"lapped\": 4, \"disk\": 0, \"source\": 0, "
    "\"restart\": 0}, \"restarts\": 0, \"runs\": [{\"first_cnt0\": 1000, \"last_cnt0\": 1008, "
    "\"expected\": 9}], \"runs_left_out\": 0, \"gaps\": [], \"gaps_left_out\": 1, \"files\": ["
    "{\"name\": \"wfs/wfs_000001.fits\", \"closed\": true, \"frames\": 3, \"lost\": 0, "
    "\"cnt0_begin\": 1000, \"cnt0_end\": 1002, \"begin\": null, \"end\": null, \"end_cause\": "
    "\"ROLL\"}, {\"name\": \"wfs/wfs_000002.fits\", \"closed\": true, \"frames\": 2, \"lost\": 0, "
    "\"cnt0_begin\": 1003, \"cnt0_end\": 1004, \"begin\": null, \"end\": null, \"end_cause\": "
    "\"STOP\"}]}]}";

static void write_ledger(const char *end)
{
    char text[4096];

    snprintf(text, sizeof text, ledger_text, end);
    ck_assert_int_eq(tree_replace_file(session_fd, "session.json", text, strlen(text)), 0);
}

static void make_files(void)
{
    struct take take;

    begin();
    take_file(&take, stream_fd, 8, 3, 3, 1, 0, true);
    take_file(&take, stream_fd, 8, 2, 2, 2, 3, false);
    write_ledger("\"2026-11-24T17:00:00\"");
}

static int retire(const char *name)
{
    struct retire retire;
    struct dao_text text = {""};
    int r = retire_begin(&retire, session_fd, "wfs", name, &text);

    if (r == 0)
        r = retire_note(&retire, 1, session_fd, "wfs", &text);
    if (r == 0)
        r = retire_unlink(&retire);
    if (r < 0)
        ck_assert_str_ne(text.s, "");
    retire_end(&retire);
    return r;
}

static bool is_there(const char *name)
{
    return faccessat(stream_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct ledger_document read_ledger(void)
{
    struct ledger_document document;
    struct dao_text text;

    ck_assert_msg(ledger_document_read(&document, session_fd, &text) == 0, "%s", text.s);
    return document;
}

START_TEST(the_ledger_tells_of_what_was_removed)
{
    struct ledger_document document;
    const struct ledger_removed *removed;

    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
    ck_assert(!is_there("wfs_000001.fits"));
    document = read_ledger();
    removed = &document.ledger.streams[0].removed;
    ck_assert_uint_eq(removed->files, 1);
    ck_assert_uint_eq(removed->frames, 3);
    ck_assert_uint_eq(removed->last_file, 1);
    ck_assert(!removed->has_counts);
    ck_assert_uint_eq(document.ledger.streams[0].file_count, 1);
    ck_assert_uint_eq(document.ledger.streams[0].counts.recorded, 5);
    ck_assert_ptr_nonnull(strstr(document.text, "\"note\": \"kept\"")); /* what others put in it */
    ledger_document_free(&document);
    ck_assert_int_eq(retire("wfs_000002.fits"), 0);
    document = read_ledger();
    ck_assert_uint_eq(document.ledger.streams[0].removed.files, 2);
    ck_assert_uint_eq(document.ledger.streams[0].removed.last_file, 2);
    ledger_document_free(&document);
    close(stream_fd);
    retire_folders(folder.fd, NAME, "wfs");
    ck_assert_int_ne(faccessat(folder.fd, NAME, F_OK, 0), 0);
    stream_fd = dup(folder.fd);
}
END_TEST

/* As whoever was killed between the ledger and the file left it. */
START_TEST(a_file_that_the_ledger_has_as_removed_goes_now)
{
    struct ledger_document document;
    struct retire retire_it;
    struct dao_text text;

    ck_assert_int_eq(retire_begin(&retire_it, session_fd, "wfs", "wfs_000001.fits", &text), 0);
    ck_assert_int_eq(retire_note(&retire_it, 1, session_fd, "wfs", &text), 0);
    retire_end(&retire_it);
    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
    ck_assert(!is_there("wfs_000001.fits"));
    document = read_ledger();
    ck_assert_uint_eq(document.ledger.streams[0].removed.files, 1);
    ledger_document_free(&document);
}
END_TEST

START_TEST(what_must_not_go_is_left)
{
    int lock = openat(stream_fd, "wfs_000002.fits", O_RDONLY);

    ck_assert_int_eq(mark_set(stream_fd, "wfs_000001.fits"), 0);
    ck_assert_int_eq(retire("wfs_000001.fits"), -EPERM);
    ck_assert_int_eq(flock(lock, LOCK_SH), 0);
    ck_assert_int_eq(retire("wfs_000002.fits"), -EWOULDBLOCK);
    close(lock);
    ck_assert_int_eq(renameat(stream_fd, "wfs_000002.fits", stream_fd, "wfs_000003.fits"), 0);
    ck_assert_int_eq(retire("wfs_000003.fits"), -EMEDIUMTYPE); /* not its own name */
    ck_assert_int_eq(symlinkat("wfs_000003.fits", stream_fd, "wfs_000002.fits"), 0);
    ck_assert_int_eq(retire("wfs_000002.fits"), -EMEDIUMTYPE);
    close(openat(stream_fd, "wfs_000004.fits", O_WRONLY | O_CREAT, 0666));
    ck_assert_int_eq(retire("wfs_000004.fits"), -EMEDIUMTYPE);
    ck_assert_int_eq(retire("wfs_000005.fits"), -ENOENT);
    ck_assert(is_there("wfs_000001.fits") && is_there("wfs_000003.fits"));
    retire_folders(folder.fd, NAME, "wfs");
    ck_assert_int_eq(faccessat(folder.fd, NAME "/session.json", F_OK, 0), 0);
}
END_TEST

START_TEST(nothing_goes_without_a_ledger_that_tells)
{
    static const struct {
        const char *ledger; /* NULL: none */
        int error;
    } cases[] = {{NULL, -ENOENT},
                 {"", -EBADMSG},
                 {"{\"streams\": []}", -EBADMSG},
                 {ledger_text, -EBADMSG}}; /* "%s" is no time */

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlinkat(session_fd, "session.json", 0);
        if (cases[i].ledger)
            ck_assert_int_eq(tree_replace_file(session_fd, "session.json", cases[i].ledger,
                                               strlen(cases[i].ledger)),
                             0);
        ck_assert_msg(retire("wfs_000001.fits") == cases[i].error, "case %zu", i);
        ck_assert(is_there("wfs_000001.fits"));
    }
    write_ledger("null"); /* a crash, and not told what came up to the file */
    ck_assert_int_eq(retire("wfs_000001.fits"), -EUCLEAN);
    write_ledger("\"2026-11-24T17:00:00\"");
    {
        int recorder = open(session, O_RDONLY | O_DIRECTORY);

        ck_assert_int_eq(flock(recorder, LOCK_SH), 0);
        ck_assert_int_eq(retire("wfs_000001.fits"), -EWOULDBLOCK);
        close(recorder);
    }
    ck_assert_int_eq(renameat(stream_fd, "wfs_000001.fits", stream_fd, "kept"), 0);
    take_file(&(struct take){0}, stream_fd, 8, 3, 3, 7, 0, true); /* of which it never knew */
    ck_assert_int_eq(retire("wfs_000007.fits"), -EUCLEAN);
    ck_assert(is_there("wfs_000007.fits"));
    ck_assert_int_eq(renameat(stream_fd, "kept", stream_fd, "wfs_000001.fits"), 0);
    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
}
END_TEST

/* As a crash leaves the ledger: `so_far` of the first file is told, that of others follows. `more`:
 * a comma and entries of files behind the first. */
static void write_crashed(const char *recorded, const char *more)
{
    static const char begin[] =
        "{\"session\": \"" NAME "\", \"end\": null, \"uuid\": \"0123-4567\", \"host\": \"host\", "
        "\"version\": \"0\", \"start\": null, \"streams\": [{\"name\": \"wfs\", \"segment\": "
        "\"/tmp/wfs.im.shm\", \"geometry\": {\"type\": \"uint16\", \"size\": [8], \"layout\": "
        "null, "
        "\"depth\": 16, \"frame_bytes\": 16}, \"expected\": %s, \"recorded\": %s, \"torn\": 0, "
        "\"lost\": 0, \"lost_by\": {\"lapped\": 0, \"disk\": 0, \"source\": 0, \"restart\": 0}, "
        "\"restarts\": 0, \"runs\": [{\"first_cnt0\": 1000, \"last_cnt0\": 100%d, \"expected\": "
        "%s}], "
        "\"runs_left_out\": 0, \"gaps\": [], \"gaps_left_out\": 0, \"files\": [{\"name\": "
        "\"wfs/wfs_000001.fits\", \"closed\": true, \"frames\": 3, \"lost\": 0, \"cnt0_begin\": "
        "1000, \"cnt0_end\": 1002, \"begin\": null, \"end\": null, \"end_cause\": \"ROLL\", "
        "\"so_far\": {\"expected\": 3, \"recorded\": 3, \"torn\": 0, \"lost\": 0, \"lost_by\": "
        "{\"lapped\": 0, \"disk\": 0, \"source\": 0, \"restart\": 0}, \"runs\": 1, \"run\": "
        "{\"first_cnt0\": 1000, \"last_cnt0\": 1002, \"expected\": 3}, \"gaps\": 0, \"shapes\": "
        "1}}%s]}]}";
    char text[4096];

    snprintf(text, sizeof text, begin, recorded, recorded, atoi(recorded) - 1, recorded, more);
    ck_assert_int_eq(tree_replace_file(session_fd, "session.json", text, strlen(text)), 0);
}

static void check_removed(uint64_t files, uint64_t frames, uint64_t recorded, int64_t last_cnt0)
{
    struct ledger_document document = read_ledger();
    const struct ledger_stream *stream = &document.ledger.streams[0];
    const struct ledger_removed *removed = &stream->removed;

    ck_assert_uint_eq(removed->files, files);
    ck_assert_uint_eq(removed->frames, frames);
    ck_assert(removed->has_counts && ledger_balances(&removed->counts));
    ck_assert_uint_eq(removed->counts.recorded, (uint64_t)(last_cnt0 - 999));
    ck_assert_int_eq(removed->counts.run.last_cnt0, last_cnt0);
    ck_assert_uint_eq(stream->counts.recorded, recorded);
    ck_assert(ledger_balances(&stream->counts));
    ledger_document_free(&document);
}

START_TEST(after_a_crash_the_ledger_tells_what_came_up_to_the_file_that_goes)
{
    static const char second[] =
        ", {\"name\": \"wfs/wfs_000002.fits\", \"closed\": true, \"frames\": 2, \"lost\": 0, "
        "\"cnt0_begin\": 1003, \"cnt0_end\": 1004, \"begin\": null, \"end\": null, "
        "\"end_cause\": \"ROLL\"}";

    write_crashed("7", second);
    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
    check_removed(1, 3, 7, 1002);
    ck_assert_int_eq(retire("wfs_000002.fits"), 0); /* it goes on from the other */
    check_removed(2, 5, 7, 1004);
}
END_TEST

/* The ledger has no entry of it, or one of a file that is being written. */
START_TEST(a_file_that_was_finished_behind_the_ledger_goes_where_nothing_was_lost_in_it)
{
    static const char *const cases[] = {
        "", ", {\"name\": \"wfs/wfs_000002.fits\", \"closed\": false, \"frames\": 0, \"lost\": 0, "
            "\"cnt0_begin\": 1003, \"cnt0_end\": 0, \"begin\": null, \"end\": null, "
            "\"end_cause\": \"\"}"};

    for (size_t i = 0; i < 2; i++) {
        write_crashed("4", cases[i]);
        ck_assert_int_eq(retire("wfs_000002.fits"), 0);
        check_removed(1, 2, 5, 1004);
        unlinkat(session_fd, "session.json", 0);
        take_file(&(struct take){0}, stream_fd, 8, 2, 2, 2, 3, false);
    }
    unlinkat(stream_fd, "wfs_000002.fits", 0);
    take_file(&(struct take){0}, stream_fd, 8, 2, 2, 2, 4, false); /* one is lost before it */
    write_crashed("4", "");
    ck_assert_int_eq(retire("wfs_000002.fits"), -EUCLEAN);
    take_file(&(struct take){0}, stream_fd, 8, 2, 2, 4, 3, false); /* what was file 3? */
    ck_assert_int_eq(retire("wfs_000004.fits"), -EUCLEAN);
    ck_assert(is_there("wfs_000002.fits") && is_there("wfs_000004.fits"));
    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
}
END_TEST

START_TEST(who_may_not_remove_it_tells_no_ledger)
{
    struct ledger_document document;

    ck_assert_int_eq(fchmod(session_fd, 0777), 0); /* all may be written but the stream's folder */
    ck_assert_int_eq(fchmodat(session_fd, "session.json", 0666, 0), 0);
    ck_assert_int_eq(fchmodat(stream_fd, "wfs_000001.fits", 0666, 0), 0);
    ck_assert_int_eq(fchmod(stream_fd, 0555), 0);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(retire("wfs_000001.fits"), -EACCES);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(fchmod(stream_fd, 0700), 0);
    document = read_ledger();
    ck_assert_uint_eq(document.ledger.streams[0].removed.files, 0);
    ledger_document_free(&document);
}
END_TEST

START_TEST(numbers_of_what_was_removed_that_make_no_sense_are_no_ledger)
{
    static const char *const wrong[] = {
        "{\"files\": -1, \"frames\": 0, \"last_file\": 1}",
        "{\"files\": 1, \"frames\": \"x\", \"last_file\": 1}", "{\"files\": 1, \"frames\": 3}",
        "{\"files\": 1, \"frames\": 3, \"last_file\": 1, \"so_far\": {}}",
        "{\"files\": 1, \"frames\": 3, \"last_file\": 1, \"so_far\": {\"expected\": 4, "
        "\"recorded\": 3, \"torn\": 0, \"lost\": 0, \"lost_by\": {\"lapped\": 0, \"disk\": 0, "
        "\"source\": 0, \"restart\": 0}, \"runs\": 1, \"run\": {\"first_cnt0\": 1000, "
        "\"last_cnt0\": 1002}, \"gaps\": 0, \"shapes\": 1}}",
        /* a run before the only one */
        "{\"files\": 1, \"frames\": 3, \"last_file\": 1, \"so_far\": {\"expected\": 3, "
        "\"recorded\": 3, \"torn\": 0, \"lost\": 0, \"lost_by\": {\"lapped\": 0, \"disk\": 0, "
        "\"source\": 0, \"restart\": 0}, \"runs\": 1, \"run\": {\"first_cnt0\": 1000, "
        "\"last_cnt0\": 1000}, \"gaps\": 0, \"shapes\": 1}}"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ledger_document document;
        struct dao_text text;
        char whole[5000], ledger[4096];
        char *at;

        snprintf(ledger, sizeof ledger, ledger_text, "null");
        at = strstr(ledger, "\"files\": [");
        snprintf(whole, sizeof whole, "%.*s\"removed\": %s, %s", (int)(at - ledger), ledger,
                 wrong[i], at);
        ck_assert_int_eq(tree_replace_file(session_fd, "session.json", whole, strlen(whole)), 0);
        ck_assert_msg(ledger_document_read(&document, session_fd, &text) == -EBADMSG, "case %zu",
                      i);
        ledger_document_free(&document);
    }
}
END_TEST

/* A ledger may have been written by anybody; it can be read afterwards all the same. */
START_TEST(numbers_of_what_was_removed_stay_where_they_are_at_their_largest)
{
    static const char most[] = "9223372036854775807";
    char whole[5000], ledger[4096], *at;
    struct ledger_document document;

    snprintf(ledger, sizeof ledger, ledger_text, "\"2026-11-24T17:00:00\"");
    at = strstr(ledger, "\"files\": [");
    snprintf(whole, sizeof whole,
             "%.*s\"removed\": {\"files\": %s, \"frames\": %s, \"last_file\": 0}, %s",
             (int)(at - ledger), ledger, most, most, at);
    ck_assert_int_eq(tree_replace_file(session_fd, "session.json", whole, strlen(whole)), 0);
    ck_assert_int_eq(retire("wfs_000001.fits"), 0);
    document = read_ledger();
    ck_assert_uint_eq(document.ledger.streams[0].removed.files, INT64_MAX);
    ck_assert_uint_eq(document.ledger.streams[0].removed.frames, INT64_MAX);
    ledger_document_free(&document);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retire");
    TCase *tests = tcase_create("removed to keep within a limit");

    take_base_make();
    tcase_add_checked_fixture(tests, make_files, end);
    tcase_add_test(tests, the_ledger_tells_of_what_was_removed);
    tcase_add_test(tests, a_file_that_the_ledger_has_as_removed_goes_now);
    tcase_add_test(tests, what_must_not_go_is_left);
    tcase_add_test(tests, nothing_goes_without_a_ledger_that_tells);
    tcase_add_test(tests, after_a_crash_the_ledger_tells_what_came_up_to_the_file_that_goes);
    tcase_add_test(tests,
                   a_file_that_was_finished_behind_the_ledger_goes_where_nothing_was_lost_in_it);
    tcase_add_test(tests, who_may_not_remove_it_tells_no_ledger);
    tcase_add_test(tests, numbers_of_what_was_removed_that_make_no_sense_are_no_ledger);
    tcase_add_test(tests, numbers_of_what_was_removed_stay_where_they_are_at_their_largest);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
