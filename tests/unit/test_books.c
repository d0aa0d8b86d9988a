/*
 * test_books.c - when session.json is written: not at every close, since it is written whole, but
 * always soon; and at once for what nobody else tells of. The time of rest is set by the tests.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "record/books.h"
#include "tests/support/suite.h"
#include "tests/support/takes.h"

static struct take_folder folder;
static struct record_stream *stream;
static struct record_file *files[4];
static struct books books;
static bool is_without_memory;

/* In place of libc's: it is what books_add_change() keeps a text with. */
char *strdup(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = is_without_memory ? NULL : malloc(bytes);

    return copy ? memcpy(copy, text, bytes) : NULL;
}

static void begin(void)
{
    struct dao_geometry geometry;
    struct dao_text text = {""};
    uint32_t width = 4;

    take_folder_make(&folder);
    stream = aligned_alloc(64, (sizeof *stream + 63) / 64 * 64);
    ck_assert_ptr_nonnull(stream);
    memset(stream, 0, sizeof *stream);
    strcpy(stream->name, "wfs");
    stream->path = "/tmp/wfs.im.shm";
    account_init(&stream->account);
    ck_assert_int_eq(dao_geometry_make(&geometry, 1, &width, _DATATYPE_UINT16, 8, 0, &text), 0);
    account_begin_shape(&stream->account, &geometry, 1);
    account_begin_run(&stream->account, 1);
    account_publish(&stream->account);
    ck_assert_int_eq(books_init(&books, &stream, 1), 0);
    books.session = "2026-11-24_02-01-08";
    books.uuid = "0f0e";
    books.host = "here";
    books.root = folder.path;
    books_place(&books, folder.fd);
    for (unsigned i = 0; i < 4; i++) {
        files[i] = &stream->files[i];
        files[i]->stream = stream;
        files[i]->end_cause = "ROLL";
        files[i]->frames = 5;
        tree_file_name(files[i]->file.name, stream->name, i + 1, 0);
        books_file_opened(&books, files[i]);
    }
}

static void end(void)
{
    books_fini(&books);
    account_fini(&stream->account);
    free(stream);
    take_folder_remove(&folder);
}

static void rest(bool is_resting)
{
    atomic_store(&books.rests_until_ns, is_resting ? INT64_MAX : 0);
}

/* How many files does session.json say are closed? -1: there is none. */
static int count_told(void)
{
    static const char closed[] = "\"closed\": true";
    static char text[1 << 16];
    int fd = openat(folder.fd, "session.json", O_RDONLY | O_CLOEXEC), count = 0;
    ssize_t bytes;

    if (fd < 0)
        return -1;
    bytes = read(fd, text, sizeof text - 1);
    ck_assert_int_gt(bytes, 0);
    close(fd);
    text[bytes] = '\0';
    for (const char *at = text; (at = strstr(at, closed)); at++)
        count++;
    return count;
}

START_TEST(a_file_that_is_closed_is_told_at_once_where_nothing_was_written_for_long)
{
    books_file_closed(&books, files[0], 0);
    ck_assert_int_eq(count_told(), 1);
    rest(false);
    books_file_closed(&books, files[1], 0);
    ck_assert_int_eq(count_told(), 2);
}
END_TEST

START_TEST(files_that_are_closed_soon_after_a_writing_are_told_with_the_next_one)
{
    books_file_closed(&books, files[0], 0);
    rest(true);
    books_file_closed(&books, files[1], 0);
    books_file_closed(&books, files[2], 0);
    ck_assert_int_eq(count_told(), 1);
    rest(false);
    books_file_closed(&books, files[3], 0);
    ck_assert_int_eq(count_told(), 4);
    rest(false);
    ck_assert(!books_is_behind(&books));
}
END_TEST

START_TEST(what_was_put_off_is_made_up_for_once_it_is_time)
{
    ck_assert(books_is_behind(&books)); /* there is none yet */
    books_catch_up(&books);
    ck_assert_int_eq(count_told(), 0);
    rest(true);
    books_file_closed(&books, files[0], 0);
    ck_assert(!books_is_behind(&books));
    books_catch_up(&books);
    ck_assert_int_eq(count_told(), 0);
    rest(false);
    ck_assert(books_is_behind(&books));
    books_catch_up(&books);
    ck_assert_int_eq(count_told(), 1);
    rest(false);
    ck_assert(!books_is_behind(&books));
}
END_TEST

START_TEST(frames_lost_to_the_disk_wait_for_their_time_too)
{
    books_catch_up(&books);
    account_lose(&stream->account, LEDGER_DISK, 1, 7, 0);
    account_publish(&stream->account);
    rest(true);
    ck_assert(!books_is_behind(&books));
    rest(false);
    ck_assert(books_is_behind(&books));
}
END_TEST

START_TEST(what_nobody_else_tells_of_does_not_wait)
{
    books_file_closed(&books, files[0], 0);
    rest(true);
    books_file_closed(&books, files[1], 0);
    ck_assert_int_eq(count_told(), 1);
    if (_i == 0) { /* before files go */
        books_file_retired(&books, stream, files[0]->file.name, 1);
        ck_assert(books_write(&books));
        ck_assert_int_eq(count_told(), 1); /* the other one */
    } else if (_i == 1) {
        ck_assert_uint_eq(books_add_mark(&books, 1, "here"), 1);
        books_catch_up(&books);
        ck_assert_uint_eq(atomic_load(&books.marks_written), 1);
        ck_assert_int_eq(count_told(), 2);
    } else if (_i == 2) {
        books_end(&books);
        ck_assert_int_eq(count_told(), 2);
    } else if (_i == 3) {
        books_file_closed(&books, files[2], -EIO);
        ck_assert_int_eq(count_told(), 2);
    } else {
        files[2]->failed = 3;
        books_file_closed(&books, files[2], 0);
        ck_assert_int_eq(count_told(), 3);
    }
}
END_TEST

/* As long as 20 writings, and the whole of this call is no shorter than one. */
START_TEST(the_rest_is_measured_by_how_long_the_writing_took)
{
    int64_t before_ns = dao_clock_mono_ns(), after_ns, until_ns;

    ck_assert(books_write(&books));
    after_ns = dao_clock_mono_ns();
    until_ns = atomic_load(&books.rests_until_ns);
    ck_assert_int_gt(until_ns, before_ns);
    ck_assert_int_le(until_ns, after_ns + 20 * (after_ns - before_ns));
    ck_assert_int_le(until_ns, after_ns + 10000000000ll);
}
END_TEST

static void *write_books(void *ctx)
{
    (void)ctx;
    ck_assert(books_write(&books));
    return NULL;
}

/* A writing that takes at least so long; until when is rested after it, and when it went on. */
static int64_t rest_after(useconds_t held_us, int64_t *ret_held_until_ns)
{
    pthread_t thread;

    pthread_mutex_lock(&books.lock); /* what it tells of cannot be seen */
    atomic_store(&books.is_owed, true);
    ck_assert_int_eq(pthread_create(&thread, NULL, write_books, NULL), 0);
    while (atomic_load(&books.is_owed)) /* until it has begun */
        usleep(1000);
    usleep(held_us);
    *ret_held_until_ns = dao_clock_mono_ns();
    pthread_mutex_unlock(&books.lock);
    pthread_join(thread, NULL);
    return atomic_load(&books.rests_until_ns);
}

START_TEST(the_rest_is_longer_where_the_writing_took_longer_but_has_an_end)
{
    int64_t held_until_ns, until_ns = rest_after(50000, &held_until_ns);

    ck_assert_int_ge(until_ns, held_until_ns + 20 * 50000000ll);
    until_ns = rest_after(600000, &held_until_ns); /* 20 of them were 12 s */
    ck_assert_int_ge(until_ns, held_until_ns + 10000000000ll);
    ck_assert_int_le(until_ns, dao_clock_mono_ns() + 10000000000ll);
}
END_TEST

START_TEST(a_writing_that_failed_is_made_up_for)
{
    books_place(&books, -1);
    ck_assert(!books_write(&books));
    rest(false);
    ck_assert(books_is_behind(&books));
    books_place(&books, folder.fd);
    books_catch_up(&books);
    ck_assert_int_eq(count_told(), 0);
}
END_TEST

START_TEST(what_a_reload_changed_is_told_at_once_and_read_back_and_the_rest_is_counted)
{
    struct ledger_document document;
    struct dao_text text = {""};
    char line[80];

    ck_assert(books_write(&books));
    rest(true);
    for (unsigned i = 0; i < LEDGER_CHANGES_MAX + 2; i++) {
        snprintf(line, sizeof line, "file_rollover.frames: %u -> %u", i, i + 1);
        books_add_change(&books, TAKE_START_NS + i, line);
        if (i > 0 && i < LEDGER_CHANGES_MAX)
            continue;
        books_catch_up(&books);
        ck_assert_msg(ledger_document_read(&document, folder.fd, &text) == 0, "%s", text.s);
        ck_assert_uint_eq(document.ledger.change_count + document.ledger.changes_left_out, i + 1);
        ledger_document_free(&document);
    }
    ck_assert_msg(ledger_document_read(&document, folder.fd, &text) == 0, "%s", text.s);
    ck_assert_uint_eq(document.ledger.changes_left_out, 2);
    for (unsigned i = 0; i < LEDGER_CHANGES_MAX; i++) {
        snprintf(line, sizeof line, "file_rollover.frames: %u -> %u", i, i + 1);
        ck_assert_str_eq(document.ledger.changes[i].text, line);
        ck_assert_int_eq(document.ledger.changes[i].time_ns, TAKE_START_NS + i);
    }
    ledger_document_free(&document);
}
END_TEST

START_TEST(a_change_for_which_there_is_no_memory_is_counted)
{
    struct ledger_document document;
    struct dao_text text = {""};

    ck_assert(books_write(&books));
    rest(true);
    is_without_memory = true;
    books_add_change(&books, TAKE_START_NS, "latency: 100ms -> 20ms");
    is_without_memory = false;
    for (unsigned i = 0; i < 2; i++) {
        books_catch_up(&books);
        ck_assert_msg(ledger_document_read(&document, folder.fd, &text) == 0, "%s", text.s);
        ck_assert_uint_eq(document.ledger.change_count, i);
        ck_assert_uint_eq(document.ledger.changes_left_out, 1);
        if (i > 0)
            ck_assert_str_eq(document.ledger.changes[0].text, "latency: 20ms -> 50ms");
        ledger_document_free(&document);
        books_add_change(&books, TAKE_START_NS + 1, "latency: 20ms -> 50ms");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("books");
    TCase *tcase = tcase_create("books");

    take_base_make();
    tcase_set_timeout(tcase, 40);
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_file_that_is_closed_is_told_at_once_where_nothing_was_written_for_long);
    tcase_add_test(tcase, files_that_are_closed_soon_after_a_writing_are_told_with_the_next_one);
    tcase_add_test(tcase, what_was_put_off_is_made_up_for_once_it_is_time);
    tcase_add_test(tcase, frames_lost_to_the_disk_wait_for_their_time_too);
    tcase_add_loop_test(tcase, what_nobody_else_tells_of_does_not_wait, 0, 5);
    tcase_add_test(tcase, the_rest_is_measured_by_how_long_the_writing_took);
    tcase_add_test(tcase, the_rest_is_longer_where_the_writing_took_longer_but_has_an_end);
    tcase_add_test(tcase, a_writing_that_failed_is_made_up_for);
    tcase_add_test(tcase,
                   what_a_reload_changed_is_told_at_once_and_read_back_and_the_rest_is_counted);
    tcase_add_test(tcase, a_change_for_which_there_is_no_memory_is_counted);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
