/*
 * test_rebuild.c - a ledger rebuilt from files says what their recorder would have said; no
 * session.json gets more than an error.
 */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "recording/retire.h"
#include "repair/rebuild.h"
#include "repair/repair.h"
#include "verify/verify.h"

#define NAME "2026-11-24_16-00-00"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

/* What happens just before a lock is taken, once. */
static void (*before_lock)(void);

int flock(int fd, int operation)
{
    void (*happens)(void) = operation & LOCK_EX ? before_lock : NULL;

    if (happens) {
        before_lock = NULL;
        happens();
    }
    return (int)syscall(SYS_flock, fd, operation);
}

/* What happens just before a new ledger gets its name, once. */
static void (*before_rename)(void);

int renameat(int old_fd, const char *old_name, int new_fd, const char *new_name)
{
    void (*happens)(void) = strcmp(new_name, "session.json") == 0 ? before_rename : NULL;

    if (happens) {
        before_rename = NULL;
        happens();
    }
    return (int)syscall(SYS_renameat2, old_fd, old_name, new_fd, new_name, 0);
}

/* Three files: frames 0 to 9, 10 to 14, 15 to 19. */
static void make_files(void)
{
    struct take take;

    take_file(&take, stream_fd, 97, 10, 10, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 2, 10, true);
    take_file(&take, stream_fd, 97, 10, 5, 3, 15, false);
}

static void rebuild(bool anyway, enum rebuild_verdict expected)
{
    struct rebuild ledger;

    ck_assert_msg(
        rebuild_ledger(&ledger, session, (anyway ? REBUILD_ANYWAY : 0) | REBUILD_APPLY, NULL) == 0,
        "%s", ledger.text.s);
    ck_assert_int_eq(ledger.verdict, expected);
}

static void put_ledger(const char *text)
{
    int fd = openat(session_fd, "session.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void expect_stream(const struct ledger_document *document, uint64_t expected,
                          uint64_t recorded, uint64_t lapped, uint64_t disk, uint64_t source,
                          uint64_t restart)
{
    const struct ledger_stream *stream = &document->ledger.streams[0];

    ck_assert_uint_eq(document->ledger.stream_count, 1);
    ck_assert(ledger_balances(&stream->counts));
    ck_assert_uint_eq(ledger_expected(&stream->counts), expected);
    ck_assert_uint_eq(stream->counts.recorded, recorded);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_LAPPED], lapped);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_DISK], disk);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_SOURCE], source);
    ck_assert_uint_eq(stream->counts.lost_by[LEDGER_RESTART], restart);
}

static void read_ledger(struct ledger_document *ret)
{
    struct dao_text text = {""};

    ck_assert_msg(ledger_document_read(ret, session_fd, &text) == 0, "%s", text.s);
}

/* The ledger of a recorder that had taken frames up to count 20 of the second run when it was last
 * written: 8 and 9 lapped, 12 skipped by the source, the rest on its way to a disk. */
static const char old_ledger[] =
    "{\"session\": \"" NAME "\", \"uuid\": \"0123-4567\", \"host\": \"h\", \"version\": \"0\","
    " \"start\": \"2026-11-24T16:00:00.5\", \"end\": null, \"streams\": [{"
    "\"name\": \"wfs\", \"segment\": \"/tmp/wfs.im.shm\", \"geometry\": {\"type\": \"uint16\","
    " \"size\": [97], \"layout\": \"newer\", \"depth\": 16, \"frame_bytes\": 194},"
    "\"expected\": 39, \"recorded\": 30, \"torn\": 0, \"lost\": 9, \"lost_by\": {\"lapped\": 5,"
    " \"disk\": 1, \"source\": 1, \"restart\": 2}, \"restarts\": 1, \"runs\": [{\"first_cnt0\": "
    "1000,"
    " \"last_cnt0\": 1018, \"expected\": 19}, {\"first_cnt0\": 1, \"last_cnt0\": 20,"
    " \"expected\": 20}], \"runs_left_out\": 0, \"gaps\": ["
    "{\"first_cnt0\": 1005, \"count\": 3, \"cause\": \"lapped\", \"time\": null},"
    "{\"first_cnt0\": 1012, \"count\": 1, \"cause\": \"disk\", \"time\": null},"
    "{\"first_cnt0\": 1017, \"count\": 2, \"cause\": \"restart\", \"time\":"
    " \"2026-11-24T16:00:07.25\"},"
    "{\"first_cnt0\": 8, \"count\": 2, \"cause\": \"lapped\", \"time\": null},"
    "{\"first_cnt0\": 12, \"count\": 1, \"cause\": \"source\", \"time\": null}],"
    "\"gaps_left_out\": 0, \"files\": []}]}";

START_TEST(rows_tell_what_their_drain_booked)
{
    struct ledger_document document;
    const struct ledger_stream *stream;
    struct stat before, after;

    begin();
    make_files();
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    expect_stream(&document, 26, 20, 3, 1, 0, 2);
    stream = &document.ledger.streams[0];
    ck_assert(document.ledger.recovered);
    ck_assert_str_eq(document.ledger.session, NAME);
    ck_assert_str_eq(document.ledger.uuid, "0123-4567");
    ck_assert_str_eq(stream->shm_path, "/tmp/wfs.im.shm");
    ck_assert_uint_eq(stream->counts.run_count, 2);
    ck_assert_int_eq(stream->runs[0].first_cnt0, 1000);
    ck_assert_int_eq(stream->runs[0].last_cnt0, 1018);
    ck_assert_int_eq(stream->runs[1].first_cnt0, 1);
    ck_assert_int_eq(stream->runs[1].last_cnt0, 7);
    ck_assert_uint_eq(stream->gaps_listed, 3);
    ck_assert_int_eq(stream->gaps[0].first_cnt0, 1005);
    ck_assert_int_eq(stream->gaps[2].first_cnt0, 1017);
    ck_assert_uint_eq(stream->file_count, 3);
    ledger_document_free(&document);
    /* Twice is once. */
    ck_assert_int_eq(fstatat(session_fd, "session.json", &before, 0), 0);
    rebuild(false, REBUILD_NOTHING);
    rebuild(true, REBUILD_NOTHING);
    ck_assert_int_eq(fstatat(session_fd, "session.json", &after, 0), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_ne(faccessat(session_fd, "session.json.before-repair", F_OK, 0), 0);
    end();
}
END_TEST

START_TEST(a_hole_between_two_files_is_the_disk_s)
{
    struct ledger_document document;
    struct take take;

    begin();
    take_file(&take, stream_fd, 97, 10, 8, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 2, 10, false); /* frames 8 and 9, and one lost between */
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    expect_stream(&document, 21, 13, 3, 3, 0, 2);
    ledger_document_free(&document);
    /* The old ledger knows why one of them is missing. */
    put_ledger(old_ledger);
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    expect_stream(&document, 39, 13, 5, 18, 1, 2);
    ck_assert_int_eq(document.ledger.streams[0].gaps[2].first_cnt0, 1012);
    ck_assert_uint_eq(document.ledger.streams[0].gaps[2].count, 1);
    ledger_document_free(&document);
    end();
}
END_TEST

START_TEST(no_ledger_is_made_without_a_file_that_the_old_one_names)
{
    struct stat before, after;
    struct rebuild ledger;

    begin();
    make_files();
    rebuild(false, REBUILD_WRITE);
    ck_assert_int_eq(fstatat(session_fd, "session.json", &before, 0), 0);
    ck_assert_int_eq(renameat(stream_fd, "wfs_000002.fits", session_fd, "elsewhere"), 0);
    ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL),
                     -ENOENT);
    ck_assert_int_eq(ledger.verdict, REBUILD_REFUSED);
    ck_assert_ptr_nonnull(strstr(ledger.text.s, "wfs_000002.fits"));
    ck_assert_int_eq(fstatat(session_fd, "session.json", &after, 0), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert_int_eq(renameat(session_fd, "elsewhere", stream_fd, "wfs_000002.fits"), 0);
    rebuild(true, REBUILD_NOTHING);
    end();
}
END_TEST

/* A copy that somebody made beside it, or a file of a name that no ledger has room for. */
START_TEST(a_file_that_would_be_counted_twice_or_not_at_all_is_refused)
{
    static const char *const names[] = {
        "wfs_000001.bak.fits", "wfs_000003.fits.fits",
        "wfs_000001_a_name_of_more_than_eighty_bytes_that_fits_into_no_entry_of_a_ledger.fits"};
    struct ledger_document document;
    struct rebuild ledger;
    char command[700];

    begin();
    make_files();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *original = i == 1 ? "wfs_000003.fits" : "wfs_000001.fits";

        snprintf(command, sizeof command, "%s '%s/wfs/%s' '%s/wfs/%s'", i == 2 ? "mv" : "cp",
                 session, original, session, names[i]);
        ck_assert_int_eq(system(command), 0);
        ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL),
                         i == 2 ? -ENAMETOOLONG : -EEXIST);
        ck_assert_int_eq(ledger.verdict, REBUILD_REFUSED);
        ck_assert_msg(i == 2 ? strstr(ledger.text.s, "wfs_000001_a_name") != NULL
                             : strstr(ledger.text.s, names[i]) && strstr(ledger.text.s, original),
                      "%s", ledger.text.s);
        ck_assert_msg(strstr(ledger.text.s, "then repair again") != NULL, "%s", ledger.text.s);
        ck_assert_int_ne(faccessat(session_fd, "session.json", F_OK, 0), 0);
        ck_assert_int_eq(i == 2 ? renameat(stream_fd, names[i], stream_fd, original)
                                : unlinkat(stream_fd, names[i], 0),
                         0);
    }
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    expect_stream(&document, 26, 20, 3, 1, 0, 2);
    ledger_document_free(&document);
    end();
}
END_TEST

static void expect_missing(const char *expected)
{
    struct rebuild ledger;

    ck_assert_int_eq(rebuild_ledger(&ledger, session, 0, NULL), 0);
    ck_assert_int_eq(ledger.verdict, REBUILD_WRITE);
    ck_assert_str_eq(ledger.missing.s, expected);
}

START_TEST(files_that_are_gone_with_their_ledger_are_named)
{
    struct take take;

    begin();
    make_files();
    expect_missing("");
    ck_assert_int_eq(unlinkat(stream_fd, "wfs_000003.fits", 0), 0);
    expect_missing("wfs/wfs_000003.fits");
    take_file(&take, stream_fd, 97, 10, 2, 6, 18, true);
    expect_missing("wfs/wfs_000003.fits to wfs_000005.fits, wfs/wfs_000007.fits");
    ck_assert_int_eq(unlinkat(stream_fd, "wfs_000001.fits", 0), 0);
    expect_missing("wfs/wfs_000001.fits, wfs/wfs_000003.fits to wfs_000005.fits, "
                   "wfs/wfs_000007.fits");
    for (uint64_t seq = 10; seq < 90; seq += 3)
        take_file(&take, stream_fd, 97, 10, 1, seq, 19 + seq, false);
    {
        struct rebuild ledger;
        size_t length;

        ck_assert_int_eq(rebuild_ledger(&ledger, session, 0, NULL), 0);
        length = strlen(ledger.missing.s);
        ck_assert_msg(length > 10 && strcmp(ledger.missing.s + length - 6, "s, ...") == 0, "%s",
                      ledger.missing.s);
    }
    end();
}
END_TEST

START_TEST(what_only_the_old_ledger_knows_is_kept)
{
    struct ledger_document document;
    const struct ledger_stream *stream;

    begin();
    make_files();
    put_ledger(old_ledger);
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    /* 13 more in the second run: 2 lapped, 1 the source's own, 10 that never reached the disk */
    expect_stream(&document, 39, 20, 5, 11, 1, 2);
    stream = &document.ledger.streams[0];
    ck_assert_int_eq(stream->counts.run.last_cnt0, 20);
    ck_assert_str_eq(stream->counts.shape.geometry.layout->name, "newer");
    ck_assert_int_eq(stream->gaps[2].time_ns % 1000000000, 250000000);
    ck_assert_int_eq(document.ledger.start_ns % 1000000000, 500000000);
    ledger_document_free(&document);
    ck_assert_int_eq(faccessat(session_fd, "session.json.before-repair", F_OK, 0), 0);
    rebuild(true, REBUILD_NOTHING);
    /* The next old one gets the next name. */
    put_ledger(old_ledger);
    rebuild(false, REBUILD_WRITE);
    ck_assert_int_eq(faccessat(session_fd, "session.json.before-repair.2", F_OK, 0), 0);
    end();
}
END_TEST

/* Which layout a segment had no file tells: each shape keeps that of the old ledger. */
START_TEST(a_shape_keeps_its_layout)
{
    static const char told[] = "\"size\": [97], \"layout\": \"newer\", \"depth\": 16, "
                               "\"frame_bytes\": 194}";
    static const char shapes[] =
        "\"size\": [5], \"layout\": \"FIFO\", \"depth\": 8, \"frame_bytes\": 10},"
        "\"geometries\": [{\"first_file\": 1, \"type\": \"uint16\", \"size\": [97],"
        " \"layout\": \"newer\", \"depth\": 16, \"frame_bytes\": 194}, {\"first_file\": 4,"
        " \"type\": \"uint16\", \"size\": [5], \"layout\": \"FIFO\", \"depth\": 8,"
        " \"frame_bytes\": 10}], \"geometries_left_out\": 0";
    char text[sizeof old_ledger + sizeof shapes];
    const char *at = strstr(old_ledger, told);
    struct ledger_document document;

    ck_assert_ptr_nonnull(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - old_ledger), old_ledger, shapes,
             at + strlen(told));
    begin();
    make_files(); /* all of the first shape */
    put_ledger(text);
    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    ck_assert_uint_eq(document.ledger.streams[0].counts.shape_count, 1);
    ck_assert_str_eq(document.ledger.streams[0].counts.shape.geometry.layout->name, "newer");
    ledger_document_free(&document);
    end();
}
END_TEST

START_TEST(a_ledger_that_is_none_or_of_another_session_is_replaced)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"streams\": 3}",
        "null",
        "{\"session\": \"x\", \"uuid\": \"other\", \"host\": \"\", \"version\": \"\", \"start\": "
        "null,"
        " \"end\": \"2026-11-24T16:00:00\", \"recovered\": true, \"streams\": []}",
    };

    begin();
    make_files();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ledger_document document;

        put_ledger(bad[i]);
        rebuild(false, REBUILD_WRITE);
        read_ledger(&document);
        expect_stream(&document, 26, 20, 3, 1, 0, 2);
        ledger_document_free(&document);
    }
    end();
}
END_TEST

START_TEST(the_ledger_of_a_session_that_lives_is_left_alone)
{
    begin();
    make_files();
    ck_assert_int_eq(flock(session_fd, LOCK_SH), 0); /* as a recorder does */
    rebuild(true, REBUILD_OWNED);
    ck_assert_int_ne(faccessat(session_fd, "session.json", F_OK, 0), 0);
    flock(session_fd, LOCK_UN);
    rebuild(true, REBUILD_WRITE);
    end();
}
END_TEST

static void finish_the_last_file(void)
{
    struct take take;

    take_file(&take, stream_fd, 97, 10, 5, 3, 15, false);
}

/* Another repair, or a recorder that just ends, has the session until then. */
START_TEST(what_changes_before_the_lock_is_had_is_in_the_ledger)
{
    struct ledger_document document;
    struct take take;

    begin();
    take_file(&take, stream_fd, 97, 10, 10, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 2, 10, true);
    before_lock = finish_the_last_file;
    rebuild(false, REBUILD_WRITE);
    ck_assert(!before_lock);
    read_ledger(&document);
    expect_stream(&document, 26, 20, 3, 1, 0, 2);
    ck_assert_uint_eq(document.ledger.streams[0].file_count, 3);
    ledger_document_free(&document);
    end();
}
END_TEST

/* ---- files that go meanwhile, to keep within a limit ---- */

/* Up to the ledger, which is told. */
static int begin_to_remove(struct retire *ret)
{
    struct dao_text text = {""};
    int r = retire_begin(ret, session_fd, "wfs", "wfs_000001.fits", &text);

    ck_assert_msg(r == 0, "%s", text.s);
    r = retire_note(ret, 1, session_fd, "wfs", &text);
    ck_assert_int_eq(text.s[0] != '\0', r < 0);
    return r;
}

static void remove_is_held_off(void)
{
    struct retire old;

    ck_assert_int_eq(begin_to_remove(&old), -EWOULDBLOCK);
    retire_end(&old);
}

static void expect_first_file(bool is_listed, uint64_t removed)
{
    struct ledger_document document;
    const struct ledger_stream *stream;

    read_ledger(&document);
    stream = &document.ledger.streams[0];
    ck_assert_uint_eq(stream->file_count, is_listed ? 3 : 2);
    ck_assert_int_eq(strcmp(stream->files[0].name, "wfs_000001.fits") == 0, is_listed);
    ck_assert_uint_eq(stream->removed.files, removed);
    ck_assert_uint_eq(stream->counts.recorded, 20);
    ledger_document_free(&document);
}

/* Else the new ledger would be put over one that was told of it. */
START_TEST(nothing_is_removed_while_the_ledger_is_rebuilt)
{
    struct retire old;

    begin();
    make_files();
    before_rename = remove_is_held_off;
    rebuild(false, REBUILD_WRITE);
    ck_assert(!before_rename);
    expect_first_file(true, 0);
    ck_assert_int_eq(begin_to_remove(&old), 0);
    ck_assert_int_eq(retire_unlink(&old), 0);
    retire_end(&old);
    expect_first_file(false, 1);
    end();
}
END_TEST

/* As a recorder that dies leaves it: with the stream's numbers up to the first file. */
static void make_ledger_of_the_dead(void)
{
    static const struct ledger_change change = {1764000000000000000ll, "latency: 100ms -> 20ms"};
    struct ledger_document document;
    struct ledger_file files[3];
    char *text;

    rebuild(false, REBUILD_WRITE);
    read_ledger(&document);
    ck_assert_uint_eq(document.ledger.streams[0].file_count, 3);
    memcpy(files, document.ledger.streams[0].files, sizeof files);
    files[0].so_far = (struct ledger_counts){.recorded = 10,
                                             .lost_by = {[LEDGER_LAPPED] = 3, [LEDGER_DISK] = 1},
                                             .run_count = 1,
                                             .run = {take_cnt0(0), take_cnt0(9)},
                                             .gap_count = 2,
                                             .shape_count = 1};
    document.ledger.streams[0].files = files;
    document.ledger.changes = &change;
    document.ledger.change_count = 1;
    document.ledger.changes_left_out = 3;
    document.ledger.recovered = false;
    text = ledger_to_json(&document.ledger, false);
    put_ledger(text);
    free(text);
    ledger_document_free(&document);
}

/* Neither taking a file out nor rebuilding loses it. */
static void expect_change(void)
{
    struct ledger_document document;

    read_ledger(&document);
    ck_assert_uint_eq(document.ledger.change_count, 1);
    ck_assert_uint_eq(document.ledger.changes_left_out, 3);
    ck_assert_str_eq(document.ledger.changes[0].text, "latency: 100ms -> 20ms");
    ck_assert_int_eq(document.ledger.changes[0].time_ns, 1764000000000000000ll);
    ledger_document_free(&document);
}

/* The ledger was told before the rebuilding began, and the file is there yet. */
START_TEST(a_file_that_is_about_to_be_removed_is_not_listed_again)
{
    struct retire old;

    begin();
    make_files();
    make_ledger_of_the_dead();
    ck_assert_int_eq(begin_to_remove(&old), 0);
    expect_change();
    rebuild(true, REBUILD_WRITE);
    expect_first_file(false, 1);
    expect_change();
    ck_assert_int_eq(retire_unlink(&old), 0);
    retire_end(&old);
    rebuild(true, REBUILD_NOTHING);
    expect_first_file(false, 1);
    end();
}
END_TEST

/* ---- a flipped bit in LOST, or the flag GAP ---- */

#define OF_FLIPS 12u

/* The bytes of a file of frames 0 to 11, none of them after a restart, whose recorder died. */
static void make_part(struct take *take)
{
    take_prepare(take, stream_fd, 97, OF_FLIPS, 1, 0, &sink_backend_system);
    take_publish(take);
    take_put_pixels(take, 0, OF_FLIPS);
    take_put_rows(take, 0, OF_FLIPS);
}

static void flip_lost(const struct take *take, uint64_t frame, unsigned bit)
{
    unsigned char packed[FITS_ROW_BYTES];
    off_t at = (off_t)(take->file.plan.rows_off + frame * FITS_ROW_BYTES);
    struct fits_row row;

    ck_assert_int_eq(pread(take->file.sink.fd, packed, sizeof packed, at), sizeof packed);
    fits_row_unpack(&row, packed);
    if (bit < 32)
        row.lost = (int32_t)((uint32_t)row.lost ^ (1u << bit));
    else
        row.flags ^= FITS_FLAG_GAP;
    fits_row_pack(packed, &row);
    ck_assert_int_eq(pwrite(take->file.sink.fd, packed, sizeof packed, at), sizeof packed);
}

/* Is a doubt of the finished file about this row, or the pair that it begins or ends? */
static void expect_row_named(uint64_t frame, unsigned bit)
{
    struct verify_file file;
    char path[400];
    bool named = false;

    snprintf(path, sizeof path, "%s/wfs/wfs_000001.fits", session);
    verify_file(&file, path, NULL);
    for (size_t i = 0; i < file.doubts.kept_count; i++)
        named = named || (file.doubts.kept[i].first.index <= frame && file.doubts.kept[i].frames &&
                          file.doubts.kept[i].last.index >= frame);
    ck_assert_msg(named, "bit %u of frame %lu is not named", bit, (unsigned long)frame);
    verify_file_free(&file);
}

/* What the recorder of that file lost: 3 lapped before frame 5, one to the disk before frame 9. */
static const char old_of_flips[] =
    "{\"session\": \"" NAME "\", \"uuid\": \"0123-4567\", \"host\": \"h\", \"version\": \"0\","
    " \"start\": \"2026-11-24T16:00:00.5\", \"end\": null, \"streams\": [{"
    "\"name\": \"wfs\", \"segment\": \"/tmp/wfs.im.shm\", \"geometry\": {\"type\": \"uint16\","
    " \"size\": [97], \"layout\": \"newer\", \"depth\": 16, \"frame_bytes\": 194},"
    "\"expected\": 8, \"recorded\": 5, \"torn\": 0, \"lost\": 3, \"lost_by\": {\"lapped\": 3,"
    " \"disk\": 0, \"source\": 0, \"restart\": 0}, \"restarts\": 0, \"runs\": [{\"first_cnt0\": "
    "1000, \"last_cnt0\": 1007, \"expected\": 8}], \"runs_left_out\": 0, \"gaps\": ["
    "{\"first_cnt0\": 1005, \"count\": 3, \"cause\": \"lapped\", \"time\": null}],"
    "\"gaps_left_out\": 0, \"files\": []}]}";

static void expect_same_ledger(bool has_old, uint64_t frame, unsigned bit)
{
    struct ledger_document document;
    const struct ledger_counts *counts;
    struct repair_file file;

    ck_assert_msg(repair_file(&file, stream_fd, "wfs_000001.fits.part", true, &sink_backend_system,
                              NULL) == 0,
                  "%s", file.text.s);
    if (has_old)
        put_ledger(old_of_flips);
    rebuild(true, REBUILD_WRITE);
    read_ledger(&document);
    counts = &document.ledger.streams[0].counts;
    ck_assert(ledger_balances(counts));
    ck_assert_msg(ledger_expected(counts) == OF_FLIPS + 4 && counts->recorded == OF_FLIPS &&
                      ledger_lost(counts) == 4 && counts->run_count == 1,
                  "bit %u of frame %lu: %lu expected, %lu lost, %lu runs", bit,
                  (unsigned long)frame, (unsigned long)ledger_expected(counts),
                  (unsigned long)ledger_lost(counts), (unsigned long)counts->run_count);
    if (take_lost(frame) == 0)
        ck_assert_uint_eq(document.ledger.streams[0].files[0].lost, 4);
    ledger_document_free(&document);
}

/* Counts and the flag GAP tell against it: no loss and no restart is invented. */
START_TEST(a_flipped_bit_in_lost_changes_no_ledger)
{
    static const uint64_t frames[] = {0, 3, 5, 9, OF_FLIPS - 1};
    uint64_t frame = frames[_i / 2];
    bool has_old = _i % 2;

    begin();
    for (unsigned bit = 0; bit <= 32; bit++) {
        struct take take;

        make_part(&take);
        flip_lost(&take, frame, bit);
        recording_file_discard(&take.file);
        expect_same_ledger(has_old, frame, bit);
        expect_row_named(frame, bit);
        ck_assert_int_eq(unlinkat(stream_fd, "wfs_000001.fits", 0), 0);
        ck_assert_int_eq(unlinkat(session_fd, "session.json", 0), 0);
    }
    end();
}
END_TEST

START_TEST(no_session_json_gets_more_than_an_error)
{
    struct dao_text text;
    size_t length = sizeof old_ledger - 1;
    unsigned good = 0, bad = 0;
    uint32_t x = 1;

    begin();
    make_files();
    for (unsigned round = 0; round < 3000; round++) {
        struct ledger_document document;
        char wrong[sizeof old_ledger];

        memcpy(wrong, old_ledger, sizeof wrong);
        for (unsigned k = 0; k <= round % 3; k++) {
            size_t at;

            x = x * 1664525u + 1013904223u;
            at = x % length;
            /* digits for digits mostly, so that it stays JSON */
            wrong[at] =
                (char)(wrong[at] >= '0' && wrong[at] <= '9' ? '0' + (x >> 20) % 10
                                                            : (round % 2 ? (x >> 24) : '-'));
        }
        wrong[round % 50 == 0 ? x % length : length] = '\0';
        put_ledger(wrong);
        if (ledger_document_read(&document, session_fd, &text) == 0)
            good++;
        else
            bad++;
        ledger_document_free(&document);
        if (round % 10 == 0) {
            rebuild(true, REBUILD_WRITE);
            read_ledger(&document);
            ck_assert(ledger_balances(&document.ledger.streams[0].counts));
            ledger_document_free(&document);
        }
    }
    ck_assert_uint_gt(good, 100);
    ck_assert_uint_gt(bad, 100);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rebuild");
    TCase *tcase = tcase_create("rebuild");

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, rows_tell_what_their_drain_booked);
    tcase_add_test(tcase, a_hole_between_two_files_is_the_disk_s);
    tcase_add_test(tcase, no_ledger_is_made_without_a_file_that_the_old_one_names);
    tcase_add_test(tcase, a_file_that_would_be_counted_twice_or_not_at_all_is_refused);
    tcase_add_test(tcase, files_that_are_gone_with_their_ledger_are_named);
    tcase_add_test(tcase, what_only_the_old_ledger_knows_is_kept);
    tcase_add_test(tcase, a_shape_keeps_its_layout);
    tcase_add_test(tcase, a_ledger_that_is_none_or_of_another_session_is_replaced);
    tcase_add_test(tcase, the_ledger_of_a_session_that_lives_is_left_alone);
    tcase_add_test(tcase, what_changes_before_the_lock_is_had_is_in_the_ledger);
    tcase_add_test(tcase, nothing_is_removed_while_the_ledger_is_rebuilt);
    tcase_add_test(tcase, a_file_that_is_about_to_be_removed_is_not_listed_again);
    tcase_add_loop_test(tcase, a_flipped_bit_in_lost_changes_no_ledger, 0, 10);
    tcase_add_test(tcase, no_session_json_gets_more_than_an_error);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
