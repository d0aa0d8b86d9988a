/*
 * test_close.c - a recording file through its whole life: it is valid FITS from the instant it has
 * a name and after every step of closing, wherever it ends. Judged by fitsverify and by cfitsio.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fitsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits/encode.h"
#include "fits/rows.h"
#include "fits/sum.h"
#include "recording/file.h"
#include "tests/support/suite.h"

static char folder[256];
static int folder_fd;

static void make_folder(void)
{
    const char *temp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/daorec-close-XXXXXX", temp ? temp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(folder_fd, 0);
}

static void remove_folder(void)
{
    char command[300];

    close(folder_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static void judge(const char *name, const char *when)
{
    char command[600];

    /* -q prints one line and its status counts errors and warnings alike */
    snprintf(command, sizeof command, "fitsverify -q '%s/%s' > '%s/verdict' 2>&1", folder, name,
             folder);
    if (system(command) != 0) {
        snprintf(command, sizeof command, "cat '%s/verdict' >&2; fitsverify '%s/%s' | tail -40 >&2",
                 folder, folder, name);
        if (system(command) != 0)
            fprintf(stderr, "fitsverify itself failed\n");
        ck_abort_msg("fitsverify refuses %s %s", name, when);
    }
}

struct trial {
    struct dao_geometry geometry;
    struct fits_facts facts;
    struct recording_file file;
    uint32_t data_sum, rows_sum;
    unsigned steps;
};

static uint16_t pixel(uint64_t frame, uint64_t index)
{
    return (uint16_t)(frame * 7 + index);
}

static void put_frames(struct trial *trial, uint64_t from, uint64_t to)
{
    uint64_t bytes = trial->geometry.frame_bytes, count = trial->geometry.nelement;
    struct fits_encoder encoder = fits_encoder_select(trial->geometry.dtype, FITS_ENCODE_BEST);
    uint16_t *native = malloc(bytes);
    unsigned char *stored = malloc(bytes), packed[FITS_ROW_BYTES];

    for (uint64_t f = from; f < to; f++) {
        struct fits_row row = {.rtime_ns = 1, .cnt0 = (int64_t)f + 1, .atime_ns = (int64_t)f};

        for (uint64_t i = 0; i < count; i++)
            native[i] = pixel(f, i);
        row.dsum = encoder.encode(stored, (unsigned char *)native, bytes, encoder.flip);
        fits_row_pack(packed, &row);
        ck_assert_int_eq(
            sink_write(&trial->file.sink, fits_plan_frame_end(&trial->file.plan, f), stored, bytes),
            0);
        ck_assert_int_eq(
            sink_write(&trial->file.sink, trial->file.plan.rows_off + f * 64, packed, 64), 0);
        trial->data_sum = fits_sum_add(trial->data_sum, fits_sum_at(row.dsum, f * bytes));
        trial->rows_sum = fits_sum_add(trial->rows_sum, fits_sum_bytes(packed, 64));
    }
    free(native);
    free(stored);
}

static uint64_t room_frames; /* of trials that are opened from here on; 0: all */

static void open_trial(struct trial *trial, uint32_t width, uint64_t capacity, bool direct)
{
    struct dao_text text;
    struct fits_parts parts;

    memset(trial, 0, sizeof *trial);
    ck_assert_int_eq(dao_geometry_make(&trial->geometry, 1, &width, _DATATYPE_UINT16, 4, 0, &text),
                     0);
    trial->facts = (struct fits_facts){.geometry = &trial->geometry,
                                       .stream = "wfs",
                                       .host = "host",
                                       .session = "uuid",
                                       .shm_path = "/tmp/wfs.im.shm"};
    trial->file.facts = &trial->facts;
    trial->file.state = (struct fits_state){
        .file_seq = 1, .previous = "", .next = "", .end_cause = "", .begin_ns = 1000000000};
    trial->file.dateref_ns = 1000000000;
    ck_assert_int_eq(recording_measure_parts(&parts, &trial->facts, &text), 0);
    fits_plan_make(&trial->file.plan, &parts, capacity);
    trial->file.room_frames = room_frames;
    ck_assert_int_eq(
        recording_file_prepare(&trial->file, folder_fd, direct, &sink_backend_system, &text), 0);
}

static void publish(struct trial *trial)
{
    struct dao_text text;

    ck_assert_int_eq(recording_file_publish(&trial->file, &text), 0);
    judge("wfs_000001.fits.part", "when it got its name");
}

static void after_step(void *ctx, const char *step)
{
    struct trial *trial = ctx;

    trial->steps++;
    judge(strcmp(step, "name") == 0 ? "wfs_000001.fits" : "wfs_000001.fits.part", step);
}

static void check_closed(uint32_t width, uint64_t frames)
{
    char path[400], value[FLEN_VALUE];
    fitsfile *file;
    int status = 0, naxis = 0, dataok = 0, hduok = 0;
    LONGLONG axes[3], rows = 0;
    uint16_t *pixels = malloc(2 * width * frames);
    struct stat st;

    snprintf(path, sizeof path, "%s/wfs_000001.fits", folder);
    ck_assert_int_eq(fits_open_diskfile(&file, path, READONLY, &status), 0);
    fits_get_img_dim(file, &naxis, &status);
    fits_get_img_sizell(file, 2, axes, &status);
    ck_assert_int_eq(naxis, 2);
    ck_assert_int_eq(axes[0], width);
    ck_assert_uint_eq((uint64_t)axes[1], frames);
    fits_read_img(file, TUSHORT, 1, (LONGLONG)(width * frames), NULL, pixels, NULL, &status);
    ck_assert_int_eq(status, 0);
    for (uint64_t f = 0; f < frames; f++)
        for (uint64_t i = 0; i < width; i++)
            ck_assert_uint_eq(pixels[f * width + i], pixel(f, i));
    fits_read_key_str(file, "RECSTAT", value, NULL, &status);
    ck_assert_str_eq(value, "CLOSED");
    for (int hdu = 1; hdu <= 3; hdu++) {
        fits_movabs_hdu(file, hdu, NULL, &status);
        fits_verify_chksum(file, &dataok, &hduok, &status);
        ck_assert_int_eq(dataok, 1);
        ck_assert_int_eq(hduok, 1);
        if (hdu == 2)
            fits_get_num_rowsll(file, &rows, &status);
    }
    ck_assert_uint_eq((uint64_t)rows, frames);
    fits_get_num_hdus(file, &hduok, &status);
    ck_assert_int_eq(hduok, 3);
    ck_assert_int_eq(status, 0);
    fits_close_file(file, &status);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size % 2880, 0);
    free(pixels);
}

static void live_a_life(uint32_t width, uint64_t capacity, uint64_t frames, bool direct,
                        unsigned steps_expected)
{
    struct trial trial;
    struct recording_hooks hooks = {after_step, &trial};
    struct dao_text text = {""};

    make_folder();
    open_trial(&trial, width, capacity, direct);
    ck_assert_int_ne(faccessat(folder_fd, "wfs_000001.fits.part", F_OK, 0), 0);
    publish(&trial);
    put_frames(&trial, 0, frames);
    judge("wfs_000001.fits.part", "when filled");
    ck_assert_msg(recording_file_close(&trial.file, frames, trial.data_sum, trial.rows_sum,
                                       "CLOSED", &hooks, &text) == 0,
                  "%s", text.s);
    ck_assert_uint_eq(trial.steps, steps_expected);
    check_closed(width, frames);
    remove_folder();
}

START_TEST(a_full_file_is_closed_by_changing_headers_only)
{
    live_a_life(97, 1000, 1000, _i, 4);
    live_a_life(3000, 7, 7, _i, 4);
}
END_TEST

START_TEST(a_file_ended_early_gets_its_tables_behind_the_last_frame)
{
    live_a_life(97, 1000, 1, _i, 4);
    live_a_life(97, 1000, 500, _i, 4);
    live_a_life(3000, 40, 20, _i, 4);
}
END_TEST

START_TEST(a_file_ended_almost_full_goes_by_way_of_spare)
{
    live_a_life(97, 1000, 999, _i, 6);
    live_a_life(97, 1000, 800, _i, 6);
    live_a_life(3000, 8, 7, _i, 6);
    live_a_life(1, 5000, 4000, _i, 6);
    live_a_life(1, 2, 1, _i, 6);
}
END_TEST

START_TEST(final_tables_never_reach_into_the_fill_of_the_ruling_cube)
{
    struct trial trial;
    struct fits_plan plan;
    uint64_t tried = 0;

    make_folder();
    open_trial(&trial, 1536, 25, false);
    plan = trial.file.plan;
    recording_file_discard(&trial.file);
    remove_folder();
    for (uint64_t n = 1; n < plan.capacity; n++) {
        uint64_t end = fits_plan_closed_bytes(&plan, n) + FITS_BLOCK;

        if (end <= fits_plan_frame_end(&plan, plan.capacity) || end > plan.frames_header_off)
            continue;
        live_a_life(1536, 25, n, _i, 6);
        tried++;
    }
    ck_assert_uint_gt(tried, 0);
}
END_TEST

/* ---- less room than planned ---- */

#define TREE_BYTES 8192u /* what a file system may need to note where the parts of a file are */

static struct {
    int fd;
    uint64_t bytes; /* on the disk */
} room;

static uint64_t bytes_on_disk(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512u;
}

static void no_more_is_needed(void *ctx, const char *step)
{
    struct trial *trial = ctx;
    uint64_t now = bytes_on_disk(room.fd);

    ck_assert_msg(now <= room.bytes + TREE_BYTES, "%llu bytes instead of %llu after %s",
                  (unsigned long long)now, (unsigned long long)room.bytes, step);
    trial->steps++;
}

/* A file with room for some of its frames, filled with `frames` of them and closed. */
static void live_with_little_room(uint32_t width, uint64_t capacity, uint64_t some, uint64_t frames,
                                  bool direct)
{
    struct trial trial;
    struct recording_hooks hooks = {no_more_is_needed, &trial};
    struct dao_text text = {""};

    make_folder();
    room_frames = some;
    open_trial(&trial, width, capacity, direct);
    room_frames = 0;
    room.fd = dup(trial.file.sink.fd); /* closing closes its own */
    room.bytes = bytes_on_disk(room.fd);
    ck_assert_uint_le(room.bytes, recording_file_room_bytes(&trial.file.plan, some) + 65536);
    ck_assert_int_eq(recording_file_publish(&trial.file, &text), 0);
    put_frames(&trial, 0, frames);
    ck_assert_msg(recording_file_close(&trial.file, frames, trial.data_sum, trial.rows_sum,
                                       "CLOSED", &hooks, &text) == 0,
                  "%s", text.s);
    close(room.fd);
    ck_assert_uint_ge(trial.steps, 4);
    check_closed(width, frames);
    judge("wfs_000001.fits", "when closed");
    remove_folder();
}

START_TEST(a_file_with_less_room_is_filled_and_closed_within_it)
{
    static const uint64_t rooms[] = {2, 20, 90}; /* 97 wide the last needs all */

    for (unsigned i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        live_with_little_room(3000, 100, rooms[i], rooms[i], _i);
        if (_i == 0)
            live_with_little_room(97, 100, rooms[i], rooms[i] - 1, false);
    }
    live_with_little_room(97, 1000, 300, 300, _i); /* many rows */
}
END_TEST

START_TEST(less_room_is_less_on_the_disk_and_can_be_made_more)
{
    struct trial trial;
    struct dao_text text = {""};
    uint64_t all, some, more;

    make_folder();
    open_trial(&trial, 3000, 1000, false);
    all = bytes_on_disk(trial.file.sink.fd);
    ck_assert_uint_eq(trial.file.room_frames, 1000);
    ck_assert_uint_ge(all, recording_file_room_bytes(&trial.file.plan, 1000));
    recording_file_discard(&trial.file);
    room_frames = 100;
    open_trial(&trial, 3000, 1000, false);
    some = bytes_on_disk(trial.file.sink.fd);
    ck_assert_uint_lt(some, all / 8);
    ck_assert_int_eq(recording_file_reserve(&trial.file, 300, &text), 0);
    ck_assert_uint_eq(trial.file.room_frames, 300);
    more = bytes_on_disk(trial.file.sink.fd);
    ck_assert_uint_ge(more, some + 200 * 6000);
    ck_assert_uint_lt(more, all / 2);
    ck_assert_int_eq(recording_file_reserve(&trial.file, 1000, &text), 0);
    ck_assert_uint_ge(bytes_on_disk(trial.file.sink.fd), all - 4096);
    recording_file_discard(&trial.file);
    room_frames = 0;
    remove_folder();
}
END_TEST

START_TEST(a_prepared_file_that_got_no_frame_leaves_nothing_behind)
{
    struct trial trial;
    struct dirent *entry;
    DIR *dir;

    make_folder();
    open_trial(&trial, 97, 100, true);
    recording_file_discard(&trial.file);
    dir = opendir(folder);
    while ((entry = readdir(dir)))
        ck_assert_int_eq(entry->d_name[0], '.');
    closedir(dir);
    remove_folder();
}
END_TEST

START_TEST(a_file_never_replaces_another)
{
    struct trial trial;
    struct dao_text text = {""};
    int fd;

    make_folder();
    open_trial(&trial, 97, 100, true);
    fd = openat(folder_fd, "wfs_000001.fits.part", O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(recording_file_publish(&trial.file, &text), -EEXIST);
    ck_assert_ptr_nonnull(strstr(text.s, "wfs_000001.fits.part"));
    close(fd);
    recording_file_discard(&trial.file);

    ck_assert_int_eq(unlinkat(folder_fd, "wfs_000001.fits.part", 0), 0);
    open_trial(&trial, 97, 100, true);
    publish(&trial);
    put_frames(&trial, 0, 3);
    fd = openat(folder_fd, "wfs_000001.fits", O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(fd, "mine", 4), 4);
    ck_assert_int_eq(
        recording_file_close(&trial.file, 3, trial.data_sum, trial.rows_sum, "CLOSED", NULL, &text),
        -EEXIST);
    ck_assert_int_eq(lseek(fd, 0, SEEK_END), 4);
    judge("wfs_000001.fits.part", "after closing was refused");
    close(fd);
    remove_folder();
}
END_TEST

START_TEST(rows_on_disk_give_the_sums_again)
{
    struct trial trial;
    uint32_t data_sum, rows_sum;
    int64_t cnt0, ns;

    make_folder();
    open_trial(&trial, 97, 5000, true);
    put_frames(&trial, 0, 4500);
    ck_assert_int_eq(recording_file_sum_rows(&trial.file, 4500, &data_sum, &rows_sum, &cnt0, &ns),
                     0);
    ck_assert_uint_eq(data_sum, trial.data_sum);
    ck_assert_uint_eq(rows_sum, trial.rows_sum);
    ck_assert_int_eq(cnt0, 4500);
    recording_file_discard(&trial.file);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("close");
    TCase *tcase = tcase_create("close");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_full_file_is_closed_by_changing_headers_only, 0, 2);
    tcase_add_loop_test(tcase, a_file_ended_early_gets_its_tables_behind_the_last_frame, 0, 2);
    tcase_add_loop_test(tcase, a_file_ended_almost_full_goes_by_way_of_spare, 0, 2);
    tcase_add_loop_test(tcase, final_tables_never_reach_into_the_fill_of_the_ruling_cube, 0, 2);
    tcase_add_loop_test(tcase, a_file_with_less_room_is_filled_and_closed_within_it, 0, 2);
    tcase_add_test(tcase, less_room_is_less_on_the_disk_and_can_be_made_more);
    tcase_add_test(tcase, a_prepared_file_that_got_no_frame_leaves_nothing_behind);
    tcase_add_test(tcase, a_file_never_replaces_another);
    tcase_add_test(tcase, rows_on_disk_give_the_sums_again);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
