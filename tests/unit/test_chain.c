/*
 * test_chain.c - the files of a stream in their order, and what a ledger says of them: what is
 * whole raises no doubt, and whatever is changed raises one.
 */
#include <check.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/chain.h"
#include "repair/rebuild.h"

#define NAME "2025-11-24_16-00-00"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

#define FILES_MAX 8

/* Three files: frames 0 to 9, 10 to 14, 15 to 19; and their ledger. */
static void make_files(void)
{
    struct rebuild ledger;
    struct take take;

    take_file(&take, stream_fd, 97, 10, 10, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 2, 10, true);
    take_file(&take, stream_fd, 97, 10, 5, 3, 15, false);
    ck_assert_msg(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL) == 0, "%s",
                  ledger.text.s);
}

/* ---- judging what is there ---- */

static bool keeps_doubts; /* of the files, by themselves */

static void look(struct chain *chain)
{
    DIR *dir = opendir(chain->path);
    struct dirent *entry;

    while ((entry = readdir(dir))) {
        char path[600];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", chain->path, entry->d_name);
        ck_assert_uint_lt(chain->count, FILES_MAX);
        verify_file(&chain->files[chain->count], path, NULL);
        if (!keeps_doubts)
            verify_doubts_free(&chain->files[chain->count].doubts);
        chain->count++;
    }
    closedir(dir);
}

static void forget(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        verify_file_free(&chain->files[i]);
}

/* Everything about the session as it is; with its ledger if `with_ledger`. */
static void judge(struct verify_doubts *ret, bool with_ledger)
{
    static struct verify_file files[FILES_MAX];
    char path[400], uuid[FITS_TEXT_BYTES] = "";
    struct chain chain = {.path = path, .name = "wfs", .files = files};
    struct ledger_document document = {0};
    struct chain_session known = {.is_over = true};
    struct dao_text text = {""};

    *ret = (struct verify_doubts){0};
    snprintf(path, sizeof path, "%s/wfs", session);
    if (with_ledger) {
        ck_assert_msg(ledger_document_read(&document, session_fd, &text) == 0, "%s", text.s);
        known.ledger = &document.ledger.streams[0];
    }
    look(&chain);
    chain_find_session(uuid, &chain, 1, with_ledger ? document.ledger.uuid : NULL);
    chain_arrange(&chain, uuid, ret);
    chain_check(&chain, &known, ret);
    if (with_ledger) {
        chain_check_ledger(&chain, &known, ret);
        chain_check_span(&document.ledger, &chain, 1, ret);
    }
    forget(&chain);
    ledger_document_free(&document);
}

static void expect_none(bool with_ledger)
{
    struct verify_doubts doubts;

    judge(&doubts, with_ledger);
    ck_assert_msg(doubts.count == 0, "%s", doubts.kept ? doubts.kept[0].text : "?");
}

/* These words are in the first doubt; `count`: of how many. */
static void expect(bool with_ledger, uint64_t count, const char *words)
{
    struct verify_doubts doubts;

    judge(&doubts, with_ledger);
    ck_assert_msg(doubts.count > 0, "no doubt that '%s'", words);
    ck_assert_msg(strstr(doubts.kept[0].text, words), "'%s' is not in '%s'", words,
                  doubts.kept[0].text);
    ck_assert_msg(doubts.count == count, "%lu doubts, the second: %s", (unsigned long)doubts.count,
                  doubts.count > 1 ? doubts.kept[1].text : "none");
    verify_doubts_free(&doubts);
}

/* ---- files ---- */

START_TEST(the_number_in_a_name_is_the_one_that_makes_it)
{
    static const uint64_t numbers[] = {1, 9, 999999, 1000000, 999999999999ull};
    static const char *const others[] = {"wfs_00001.fits",
                                         "wfs_0000001.fits",
                                         "wfs_000001.fit",
                                         "wfs_000001.fits.x",
                                         "wfs2_000001.fits",
                                         "wfs_.fits",
                                         "wfs_1000000000000.fits",
                                         "wfs",
                                         "",
                                         "wfs_-00001.fits"};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char name[TREE_FILE_BYTES];

        tree_file_name(name, "wfs", numbers[i], 0);
        ck_assert_uint_eq(chain_name_seq(name, "wfs"), numbers[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_uint_eq(chain_name_seq(others[i], "wfs"), 0);
}
END_TEST

START_TEST(files_in_their_order_raise_no_doubt_and_a_missing_one_does)
{
    begin();
    make_files();
    expect_none(false);
    expect_none(true);
    ck_assert_int_eq(unlinkat(stream_fd, "wfs_000003.fits", 0), 0);
    expect(false, 1, "wfs_000003.fits is missing");
    ck_assert_int_eq(unlinkat(stream_fd, "wfs_000001.fits", 0), 0);
    expect(false, 2, "wfs_000001.fits is missing");
    end();
}
END_TEST

START_TEST(files_that_do_not_follow_each_other_raise_a_doubt)
{
    struct take take;

    begin();
    take_file(&take, stream_fd, 97, 10, 10, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 3, 15, false);
    expect(false, 1, "wfs_000002.fits is missing");
    take_file(&take, stream_fd, 97, 10, 4, 2, 11, true); /* frame 10 is in none */
    expect(false, 2, "wfs_000002.fits: FRAME0");
    end();
}
END_TEST

/* What a file that is not ours to read might say. */
START_TEST(a_number_beyond_all_bounds_is_one_doubt)
{
    struct take take;

    begin();
    take_file(&take, stream_fd, 97, 10, 10, 1, 0, false);
    take_file(&take, stream_fd, 97, 10, 5, 900000000000ull, 10, false);
    expect(false, 1, "wfs_000002.fits to wfs_899999999999.fits are missing: 899999999998 files");
    end();
}
END_TEST

START_TEST(a_file_that_is_missing_where_a_disk_failed_is_none)
{
    struct take take;
    struct rebuild ledger;

    begin();
    take_file(&take, stream_fd, 97, 10, 10, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 5, 3, 15, false);
    ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL), 0);
    expect(true, 1, "wfs_000002.fits is missing"); /* RESET lies between: nobody can know */
    end();
    begin();
    take_file(&take, stream_fd, 97, 10, 5, 1, 0, true);
    take_file(&take, stream_fd, 97, 10, 3, 3, 10, false);
    ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL), 0);
    expect_none(true); /* frames 5 to 9 stand in the ledger as lost */
    end();
}
END_TEST

/* A bit of LOST in a row that has the flag GAP: the row is named, the ledger is right. */
START_TEST(what_a_damaged_row_has_lost_is_no_doubt_of_the_ledger)
{
    const uint64_t frame = 5;
    bool is_damaged = false;
    struct rebuild ledger;
    struct take take;
    unsigned char lost;
    off_t at;
    int fd;

    begin();
    take_file(&take, stream_fd, 97, 10, 10, 1, 0, false);
    ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL), 0);
    expect_none(true);
    fd = openat(stream_fd, "wfs_000001.fits", O_RDWR);
    at = (off_t)(fits_plan_cube_end(&take.file.plan, 10) +
                 take.file.plan.parts.frames_header_bytes + frame * FITS_ROW_BYTES);
    for (uint64_t byte = 0; byte < FITS_ROW_BYTES; byte++) { /* where LOST is */
        unsigned char packed[FITS_ROW_BYTES];
        struct fits_row row;

        ck_assert_int_eq(pread(fd, packed, sizeof packed, at), sizeof packed);
        packed[byte] ^= 4;
        fits_row_unpack(&row, packed);
        if (row.lost != (take_lost(frame) ^ 4))
            continue;
        lost = packed[byte];
        ck_assert_int_eq(pwrite(fd, &lost, 1, at + (off_t)byte), 1);
        is_damaged = true;
        break;
    }
    ck_assert(is_damaged);
    close(fd);
    keeps_doubts = true;
    expect_none(true);
    end();
}
END_TEST

/* ---- a ledger in which one thing was changed ---- */

struct change {
    const char *key; /* a list of the stream, or an object; NULL: the stream, "": the session */
    int index;       /* in the list */
    const char *member, *value;
    uint64_t count; /* of doubts */
    const char *words;
};

static const struct change changes[] = {
    {NULL, 0, "recorded", "21", 2, "expected, but"},
    {NULL, 0, "torn", "1", 1, "torn: 1, the files say 0"},
    {"gaps", 1, "count", "2", 1, "do not add up"},
    {"files", 0, "frames", "9", 1, "wfs_000001.fits: frames 9 (the file: 10)"},
    {"files", 1, "cnt0_begin", "1", 1, "wfs_000002.fits: cnt0_begin 1 (the file: 1014)"},
    {"files", 2, "cnt0_end", "1", 1, "wfs_000003.fits: cnt0_end 1 (the file: 7)"},
    {"files", 1, "lost", "1", 1, "wfs_000002.fits: lost 1 (the file: 2)"},
    {"files", 1, "end_cause", "\"STOP\"", 1, "wfs_000002.fits: end_cause STOP (the file: ROLL)"},
    {"files", 1, "begin", "\"2025-11-24T16:00:00.133456960\"", 1,
     "wfs_000002.fits: begin 2025-11-24T16:00:00.133456960 (the file: "
     "2025-11-24T16:00:00.133456959)"},
    {"files", 2, "end", "null", 1, "wfs_000003.fits: end 1970"},
    {NULL, 0, "segment", "\"/tmp/wfs.im.shn\"", 1,
     "its segment is /tmp/wfs.im.shn; in wfs_000001.fits it is /tmp/wfs.im.shm, and so in 2 other "
     "files"},
    {NULL, 0, "segment", "\"/tmp/wfs.im.shm.too\"", 1, "its segment is"},
    {NULL, 0, "segment", "\"/tmp/wfs\"", 1, "its segment is"},
    {"geometries", 0, "depth", "17", 2,
     "wfs_000001.fits: uint16 97, depth 17; the file says: uint16 97, depth 16, and so in 2 other "
     "files"},
    {"geometries", 0, "type", "\"int16\"", 2, "wfs_000001.fits: int16 97"},
    {"geometries", 0, "first_file", "2", 1, "wfs_000001.fits: no geometry; the file says: uint16"},
    {"geometry", 0, "depth", "17", 1, "not the last of its geometries"},
    {"geometry", 0, "type", "\"int16\"", 1, "not the last of its geometries"},
    {"", 0, "start", "\"2025-11-24T16:00:02\"", 1, "its start is 2025-11-24T16:00:02"},
    {"", 0, "start", "\"2024-11-24T16:00:00\"", 1, "but the session is"},
    {"", 0, "end", "\"2025-11-24T15:00:00\"", 1, "its end is 2025-11-24T15:00:00"},
};

static void put_ledger(const json_t *root)
{
    char path[400];

    snprintf(path, sizeof path, "%s/session.json", session);
    ck_assert_int_eq(json_dump_file(root, path, 0), 0);
}

static json_t *read_ledger(void)
{
    char path[400];
    json_t *root;

    snprintf(path, sizeof path, "%s/session.json", session);
    root = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(root);
    json_object_set_new(root, "start", json_string("2025-11-24T16:00:00.1"));
    json_object_set_new(root, "end", json_string("2025-11-24T16:00:01"));
    return root;
}

START_TEST(a_ledger_that_says_anything_else_raises_a_doubt)
{
    const struct change *change = &changes[_i];
    json_t *root, *object, *value;

    begin();
    make_files();
    root = read_ledger();
    put_ledger(root);
    expect_none(true);
    object = json_array_get(json_object_get(root, "streams"), 0);
    if (change->key)
        object = change->key[0] ? json_object_get(object, change->key) : root;
    if (json_is_array(object))
        object = json_array_get(object, (size_t)change->index);
    value = json_loads(change->value, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(json_object_get(object, change->member));
    ck_assert(!json_equal(json_object_get(object, change->member), value));
    json_object_set_new(object, change->member, value);
    put_ledger(root);
    json_decref(root);
    expect(true, change->count, change->words);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *tcase = tcase_create("chain");

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, the_number_in_a_name_is_the_one_that_makes_it);
    tcase_add_test(tcase, files_in_their_order_raise_no_doubt_and_a_missing_one_does);
    tcase_add_test(tcase, files_that_do_not_follow_each_other_raise_a_doubt);
    tcase_add_test(tcase, a_number_beyond_all_bounds_is_one_doubt);
    tcase_add_test(tcase, a_file_that_is_missing_where_a_disk_failed_is_none);
    tcase_add_test(tcase, what_a_damaged_row_has_lost_is_no_doubt_of_the_ledger);
    tcase_add_loop_test(tcase, a_ledger_that_says_anything_else_raises_a_doubt, 0,
                        (int)(sizeof changes / sizeof changes[0]));
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
