/* test_retention.c - a ring of files whose limits are other ones from some moment on
 * (record/retention.h). */
#include <check.h>
#include <stdlib.h>

#include "record/retention.h"
#include "repair/rebuild.h"

#define NAME "2026-11-24_16-00-00"
#include "tests/support/session_folder.h"
#include "tests/support/suite.h"

static struct record_stream *stream;
static struct room room;
static struct retention retention;

/* Four finished files of an earlier session, and a recorder that keeps five. */
static void begin_ring(void)
{
    struct rebuild ledger;
    struct dao_text text;

    begin();
    for (unsigned i = 0; i < 4; i++)
        take_file(&(struct take){0}, stream_fd, 8, 3, 3, i + 1, 3 * i, i == 0);
    ck_assert_int_eq(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL), 0);
    stream = calloc(1, sizeof *stream);
    ck_assert_ptr_nonnull(stream);
    strcpy(stream->name, "wfs");
    room = (struct room){.left_bytes = 1 << 20, .dir_fd = folder.fd};
    retention = (struct retention){.limits.files = 5,
                                   .root = folder.path,
                                   .session = "2026-11-24_17-00-00",
                                   .room = &room,
                                   .streams = &stream,
                                   .count = 1,
                                   .root_fd = -1};
    ck_assert_msg(retention_start(&retention, &text) == 0, "%s", text.s);
}

static void end_ring(void)
{
    retention_fini(&retention);
    free(stream);
    end();
}

static void set_limits(struct retention_limits limits)
{
    retention_set_limits(&retention, &limits, &(struct stream_config){.rolling.frames = 100});
}

static unsigned count_files(void)
{
    unsigned count = 0;

    for (unsigned seq = 1; seq <= 4; seq++) {
        char name[TREE_FILE_BYTES];

        tree_file_name(name, "wfs", seq, 0);
        count += faccessat(stream_fd, name, F_OK, 0) == 0;
    }
    return count;
}

START_TEST(where_the_disk_is_full_the_oldest_goes_but_not_without_a_limit)
{
    ck_assert_uint_gt(retention_remove_one(&retention), 0);
    ck_assert_uint_eq(count_files(), 3);
    set_limits((struct retention_limits){0});
    ck_assert_uint_eq(retention_remove_one(&retention), 0);
    ck_assert_uint_eq(count_files(), 3);
    set_limits((struct retention_limits){.files = 4});
    ck_assert_uint_gt(retention_remove_one(&retention), 0);
    ck_assert_uint_eq(count_files(), 2);
}
END_TEST

/* Else a session plans with room that it does not get. */
START_TEST(without_a_limit_files_that_are_there_are_no_room)
{
    ck_assert_uint_gt(room.ring_spare, 0);
    set_limits((struct retention_limits){0});
    ck_assert_uint_eq(room.ring_spare, 0);
    room_look(&room, folder.fd);
    ck_assert_uint_eq(room.file_most, UINT64_MAX);
    set_limits((struct retention_limits){.files = 5});
    ck_assert_uint_gt(room.ring_spare, 0);
}
END_TEST

START_TEST(what_other_limits_come_to_is_known_as_at_the_beginning)
{
    uint64_t two;

    set_limits((struct retention_limits){.files = 1});
    ck_assert_uint_eq(room.ring_limit, UINT64_MAX); /* its segment is not there yet */
    retention.known[0] =
        (struct retention_stream){.parts = {5760, 800, 2880, 2880}, .is_known = true};
    set_limits((struct retention_limits){.files = 1});
    two = room.ring_limit;
    ck_assert_uint_gt(two, 2 * 100 * 800);
    set_limits((struct retention_limits){.files = 3});
    ck_assert_uint_eq(room.ring_limit, 2 * two);
    set_limits((struct retention_limits){.files = 3, .bytes = two});
    ck_assert_uint_eq(room.ring_limit, two);
}
END_TEST

/* Files that wait to be closed may not go: one more would be beyond the limit. */
START_TEST(a_file_waits_for_an_earlier_one_where_no_other_may_go)
{
    struct record_file *earlier = &stream->files[0], *next = &stream->files[1];
    struct kept_file *old;

    earlier->stream = next->stream = stream;
    next->file.plan.file_bytes = 1000;
    earlier->file.state.file_seq = 1;
    next->file.state.file_seq = 2;
    set_limits((struct retention_limits){.bytes = 1500});
    atomic_store(&earlier->claimed_bytes, 1000);
    ck_assert(!retention_has_to_wait(&retention, next)); /* an old one goes */
    while ((old = kept_oldest(&retention.lists[0])) != NULL)
        kept_remove(&retention.lists[0], old);
    ck_assert(retention_has_to_wait(&retention, next));
    set_limits((struct retention_limits){.bytes = 2000});
    ck_assert(!retention_has_to_wait(&retention, next)); /* there is room */
    set_limits((struct retention_limits){.files = 1});
    ck_assert(!retention_has_to_wait(&retention, next));
    set_limits((struct retention_limits){.bytes = 500});
    ck_assert(retention_has_to_wait(&retention, next));
    earlier->file.state.file_seq = 3; /* a later one waits for this one */
    ck_assert(!retention_has_to_wait(&retention, next));
    atomic_store(&earlier->claimed_bytes, 0); /* none would make room */
    ck_assert(!retention_has_to_wait(&retention, next));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("retention");
    TCase *tests = tcase_create("limits");

    take_base_make();
    tcase_add_checked_fixture(tests, begin_ring, end_ring);
    tcase_add_test(tests, where_the_disk_is_full_the_oldest_goes_but_not_without_a_limit);
    tcase_add_test(tests, without_a_limit_files_that_are_there_are_no_room);
    tcase_add_test(tests, what_other_limits_come_to_is_known_as_at_the_beginning);
    tcase_add_test(tests, a_file_waits_for_an_earlier_one_where_no_other_may_go);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
