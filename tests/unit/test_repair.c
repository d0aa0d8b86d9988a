/*
 * test_repair.c - whatever a power cut leaves of a file, it is FITS, and repair makes a closed file
 * of it that holds every frame whose row had reached the disk, pixel by pixel. Also of what the
 * next power cut leaves of the repair.
 */
#include <check.h>
#include <fitsio.h>
#include <stdlib.h>
#include <string.h>

#include "repair/repair.h"
#include "tests/support/suite.h"
#include "verify/verify.h"
#include "tests/support/powercut.h"
#include "tests/support/takes.h"

#if defined(__SANITIZE_ADDRESS__)
#define EXHAUSTIVE 4u /* slower */
#define SECTORS    10u
#else
#define EXHAUSTIVE 10u
#define SECTORS    100u
#endif
#define SAMPLE 150u /* of so many images one is shown to fitsverify, and its repair cut as well */

#define PART  "wfs_000001.fits.part"
#define FINAL "wfs_000001.fits"

static struct take_folder folder;

/* ---- files from images ---- */

static void put_file(const char *name, const struct cut_image *image)
{
    int fd = openat(folder.fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, image->bytes, image->length), (ssize_t)image->length);
    close(fd);
}

static void get_file(const char *name, struct cut_image *image)
{
    int fd = openat(folder.fd, name, O_RDONLY);
    struct stat st;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    cut_resize(image, (uint64_t)st.st_size);
    ck_assert_int_eq(read(fd, image->bytes, image->length), (ssize_t)image->length);
    close(fd);
}

static void judge(const char *name)
{
    char command[600];

    snprintf(command, sizeof command, "fitsverify -q '%s/%s' > /dev/null 2>&1", folder.path, name);
    if (system(command) != 0) {
        snprintf(command, sizeof command, "fitsverify '%s/%s' >&2", folder.path, name);
        ck_abort_msg("fitsverify refuses %s (%d)", name, system(command));
    }
}

/* The fill behind the last plane and the last row is zeros, as FITS wants it. */
static void expect_fill(const char *name)
{
    int fd = openat(folder.fd, name, O_RDONLY);
    struct reading *reading = calloc(1, sizeof *reading);
    struct dao_text text = {""};

    ck_assert_msg(reading_open(reading, fd, &text) == 0, "%s", text.s);
    for (int i = READING_CUBE; i <= READING_FRAMES; i++) {
        uint64_t from = reading->unit[i].data_off + reading->unit[i].data_bytes;
        bool zero = false;
        uint32_t sum;

        ck_assert_int_eq(reading_sum_bytes(reading, from, reading->unit[i].end - from, &sum, &zero),
                         0);
        ck_assert_msg(zero, "the fill of unit %d is not zeros", i);
    }
    reading_close(reading);
    free(reading);
    close(fd);
}

/* cfitsio opens it and finds every unit, each with its size within the file. */
static void expect_fits(const char *name)
{
    char path[400], message[FLEN_STATUS] = "";
    fitsfile *file = NULL;
    int status = 0, units = 0;

    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    fits_open_diskfile(&file, path, READONLY, &status);
    fits_get_num_hdus(file, &units, &status);
    for (int i = 1; i <= units && !status; i++) {
        int keys = 0;

        fits_movabs_hdu(file, i, NULL, &status);
        fits_get_hdrspace(file, &keys, NULL, &status);
        for (int k = 1; k <= keys && !status; k++) {
            char key[FLEN_KEYWORD], value[FLEN_VALUE], comment[FLEN_COMMENT];

            fits_read_keyn(file, k, key, value, comment, &status);
        }
    }
    fits_get_errstatus(status, message);
    ck_assert_msg(status == 0 && units >= 3, "%s: %d units, %s", name, units, message);
    fits_close_file(file, &status);
    expect_fill(name);
}

/* ---- what must come out ---- */

struct scene {
    struct take take;
    uint64_t closed_with; /* frames, once closing has begun */
    unsigned images, repaired_again;
    bool in_repair;         /* images are of a repair that was cut */
    struct cut_image start; /* ... of this image */
};

static struct fits_row row_at(const unsigned char *packed)
{
    struct fits_row row;

    fits_row_unpack(&row, packed);
    return row;
}

/* What an image holds of frame i of the file: its row, its pixels. */
static void look_at_frame(const struct scene *scene, const struct cut_image *image, uint64_t i,
                          bool *ret_row, bool *ret_pixels)
{
    const struct fits_plan *plan = &scene->take.file.plan;
    unsigned char *stored = malloc(plan->parts.frame_bytes), packed[FITS_ROW_BYTES];
    struct fits_row row;

    take_row(&scene->take, i, take_pixels(&scene->take.geometry, i, stored), &row);
    fits_row_pack(packed, &row);
    *ret_row =
        plan->rows_off + (i + 1) * FITS_ROW_BYTES <= image->length &&
        memcmp(image->bytes + plan->rows_off + i * FITS_ROW_BYTES, packed, FITS_ROW_BYTES) == 0;
    *ret_pixels =
        memcmp(image->bytes + fits_plan_frame_end(plan, i), stored, plan->parts.frame_bytes) == 0;
    free(stored);
}

/* The planes that the image's primary header tells. */
static uint64_t planes_of(const struct cut_image *image)
{
    struct fits_bytes header = {image->bytes, 2880};
    int64_t planes = 0;

    ck_assert_int_eq(fits_card_integer(&header, "NAXIS2", &planes), 0);
    return (uint64_t)planes;
}

/* Frames to be kept of an image. Once the header has been switched: those it was closed with. */
static uint64_t expect_frames(const struct scene *scene, const struct cut_image *image)
{
    uint64_t capacity = scene->take.file.plan.capacity, frames = 1;

    if (planes_of(image) != capacity)
        return scene->closed_with;
    for (uint64_t i = 0; i < capacity; i++) {
        bool row, pixels;

        look_at_frame(scene, image, i, &row, &pixels);
        if (row && pixels)
            frames = i + 1;
    }
    return frames;
}

static void check_result(const struct scene *scene, const struct cut_image *before)
{
    const struct fits_plan *plan = &scene->take.file.plan;
    uint64_t frames = expect_frames(scene, before);
    bool is_switched = planes_of(before) != plan->capacity;
    uint64_t rows_off = fits_plan_cube_end(plan, frames) + plan->parts.frames_header_bytes;
    struct cut_image after = {0};
    struct verify_file file;
    char path[400];

    snprintf(path, sizeof path, "%s/" FINAL, folder.path);
    verify_file(&file, path, NULL);
    ck_assert_msg(file.doubts.count == 0, "%s", file.doubts.kept ? file.doubts.kept[0].text : "?");
    ck_assert_uint_eq(file.frames, frames);
    verify_file_free(&file);
    get_file(FINAL, &after);
    ck_assert_uint_eq(after.length, fits_plan_closed_bytes(plan, frames));
    for (uint64_t i = 0; i < frames; i++) {
        uint64_t off = fits_plan_frame_end(plan, i);
        struct fits_row row = row_at(after.bytes + rows_off + i * FITS_ROW_BYTES), right;
        unsigned char *stored = malloc(plan->parts.frame_bytes);
        bool has_row = true, has_pixels = true;

        if (!is_switched)
            look_at_frame(scene, before, i, &has_row, &has_pixels);
        take_row(&scene->take, i, take_pixels(&scene->take.geometry, i, stored), &right);
        if (has_pixels) /* whatever its row says, a plane is never touched */
            ck_assert_mem_eq(after.bytes + off, stored, plan->parts.frame_bytes);
        else
            ck_assert_mem_eq(after.bytes + off, before->bytes + off, plan->parts.frame_bytes);
        if (has_row && has_pixels) {
            ck_assert_int_eq(row.flags, right.flags);
        } else {
            ck_assert_int_eq(row.flags & (FITS_FLAG_TORN | FITS_FLAG_RECOVERED),
                             FITS_FLAG_TORN | FITS_FLAG_RECOVERED);
        }
        if (has_row) {
            ck_assert_int_eq(row.cnt0, right.cnt0);
            ck_assert_int_eq(row.atime_ns, right.atime_ns);
            ck_assert_int_eq(row.rtime_ns, right.rtime_ns);
            ck_assert_int_eq(row.lost, right.lost);
            ck_assert_uint_eq(row.dsum, right.dsum);
        } else {
            ck_assert_int_eq(row.atime_ns, 0);
            ck_assert_int_eq(row.slot, -1);
            ck_assert_int_gt(row.rtime_ns, 0);
        }
        free(stored);
    }
    cut_image_free(&after);
}

static void repair(const struct sink_backend *backend)
{
    struct repair_file result;

    ck_assert_msg(repair_file(&result, folder.fd, PART, true, backend, NULL) == 0, "%s",
                  result.text.s);
    ck_assert_int_ne(faccessat(folder.fd, PART, F_OK, 0), 0);
}

static void remove_result(void)
{
    ck_assert_int_eq(unlinkat(folder.fd, FINAL, 0), 0);
}

static void check_image(void *ctx, const struct cut_image *image);

/* The repair of this image is cut in turn, and what that leaves repaired. */
static void cut_repair(struct scene *scene, const struct cut_image *image)
{
    struct cut_log log = {0};
    struct sink_backend backend = cut_backend(&log);
    struct cut_image base = {0};

    put_file(PART, image);
    repair(&backend);
    remove_result();
    cut_copy(&scene->start, image);
    cut_copy(&base, image);
    scene->in_repair = true;
    cut_visit(&log, 0, &base, 4, 4, check_image, scene);
    scene->in_repair = false;
    cut_image_free(&base);
    cut_log_free(&log);
}

static void check_image(void *ctx, const struct cut_image *image)
{
    struct scene *scene = ctx;
    const struct cut_image *truth = scene->in_repair ? &scene->start : image;
    struct cut_log log = {0};
    struct sink_backend backend = cut_backend(&log);

    scene->images++;
    put_file(PART, image);
    expect_fits(PART);
    repair(&backend);
    check_result(scene, truth);
    if (scene->images % SAMPLE == 0)
        judge(FINAL);
    remove_result();
    cut_log_free(&log);
    if (!scene->in_repair && scene->images % SAMPLE == 1) {
        cut_repair(scene, image);
        scene->repaired_again++;
    }
}

/* ---- a file's life, cut at every instant ---- */

static const struct life {
    uint32_t width;
    uint64_t capacity, frames, group;
} lives[] = {
    {97, 40, 40, 10}, /* full */
    {97, 40, 20, 5},  /* ended early */
    {97, 40, 38, 19}, /* by way of SPARE */
    {1, 30, 29, 7},   /* the same, of the smallest frames */
    {3000, 7, 3, 1},  /* frames larger than a page */
    {1500, 5, 5, 2},  {700, 9, 8, 8},
};

START_TEST(after_a_power_cut_every_frame_that_was_there_is_there)
{
    const struct life *life = &lives[_i];
    struct cut_log log = {0};
    struct sink_backend backend = cut_backend(&log);
    struct cut_image base = {0};
    struct scene scene = {.closed_with = life->frames};
    struct take *take = &scene.take;
    size_t published;
    struct fits_plan plan;

    take_folder_make(&folder);
    take_prepare(take, folder.fd, life->width, life->capacity, 1, 0, &backend);
    take_publish(take);
    published = log.count;
    for (uint64_t f = 0; f < life->frames; f += life->group) {
        uint64_t to = f + life->group < life->frames ? f + life->group : life->frames;

        take_put_pixels(take, f, to);
        take_put_rows(take, f, to);
        if (f / life->group % 2 == 1) /* a sync for every two flushes */
            ck_assert_int_eq(sink_sync(&take->file.sink), 0);
    }
    plan = take->file.plan;
    ck_assert_int_eq(take_close(take, life->frames, "STOP", false, NULL), 0);
    take->file.plan = plan;
    remove_result();

    cut_resize(&base, plan.file_bytes);
    for (size_t i = 0; i < published; i++)
        cut_apply(&base, &log.entries[i], 1000);
    ck_assert_int_eq(log.entries[published - 1].kind, CUT_SYNC);
    cut_visit(&log, published, &base, EXHAUSTIVE, SECTORS, check_image, &scene);
    printf("life %d: %u images, the repair of %u of them was cut as well\n", _i, scene.images,
           scene.repaired_again);
    cut_image_free(&base);
    cut_image_free(&scene.start);
    cut_log_free(&log);
    take_folder_remove(&folder);
}
END_TEST

/* ---- one thing at a time ---- */

/* A file left open after `frames` of 20 frames, of which `rows` rows are there. */
static void leave_part(struct take *take, uint64_t seq, uint64_t first, uint64_t frames,
                       uint64_t rows)
{
    take_prepare(take, folder.fd, 97, 20, seq, first, &sink_backend_system);
    take_publish(take);
    if (frames > 0)
        take_put_pixels(take, 0, frames);
    if (rows > 0)
        take_put_rows(take, 0, rows);
    recording_file_discard(&take->file);
}

static void expect_good(const char *name, uint64_t frames)
{
    struct verify_file file;
    char path[400];

    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    verify_file(&file, path, NULL);
    ck_assert_msg(file.doubts.count == 0, "%s", file.doubts.kept ? file.doubts.kept[0].text : "?");
    ck_assert_uint_eq(file.frames, frames);
    ck_assert_int_eq(file.state, VERIFY_FINISHED);
    verify_file_free(&file);
    judge(name);
}

static void expect_unchanged(const char *name, const struct cut_image *image)
{
    struct cut_image now = {0};

    get_file(name, &now);
    ck_assert_uint_eq(now.length, image->length);
    ck_assert_mem_eq(now.bytes, image->bytes, image->length);
    cut_image_free(&now);
}

START_TEST(looking_changes_nothing_and_says_what_would_be_done)
{
    struct repair_file result;
    struct cut_image image = {0};
    struct take take;

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 17, 12);
    get_file(PART, &image);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, false, &sink_backend_system, NULL), 0);
    ck_assert_int_eq(result.verdict, REPAIR_CLOSE);
    ck_assert_uint_eq(result.frames, 12);
    ck_assert_uint_eq(result.flagged, 0);
    ck_assert_str_eq(result.final_name, FINAL);
    expect_unchanged(PART, &image);
    repair(&sink_backend_system);
    expect_good(FINAL, 12);
    cut_image_free(&image);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_whose_recorder_lives_is_left_alone)
{
    struct repair_file result;
    struct take take;

    take_folder_make(&folder);
    take_prepare(&take, folder.fd, 97, 20, 1, 0, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 5);
    take_put_rows(&take, 0, 5);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL),
                     -EWOULDBLOCK);
    ck_assert_int_eq(result.verdict, REPAIR_OWNED);
    ck_assert_int_eq(take_close(&take, 5, "STOP", false, NULL), 0);
    expect_good(FINAL, 5);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_final_name_that_is_taken_is_never_replaced)
{
    struct cut_image mine = {0}, part = {0};
    struct repair_file result;
    struct take take;

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 10, 10);
    get_file(PART, &part);
    cut_resize(&mine, 5);
    put_file(FINAL, &mine);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL),
                     -EEXIST);
    ck_assert_int_eq(result.verdict, REPAIR_REFUSED);
    ck_assert_ptr_nonnull(strstr(result.text.s, FINAL));
    expect_unchanged(FINAL, &mine);
    expect_unchanged(PART, &part);
    cut_image_free(&mine);
    cut_image_free(&part);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_that_has_both_names_keeps_the_final_one)
{
    struct take take;

    take_folder_make(&folder);
    take_file(&take, folder.fd, 97, 20, 10, 1, 0, false);
    ck_assert_int_eq(linkat(folder.fd, FINAL, folder.fd, PART, 0), 0);
    repair(&sink_backend_system);
    expect_good(FINAL, 10);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_that_is_not_finished_keeps_its_part_name)
{
    struct cut_image image = {0};
    struct repair_file result;
    struct take take;

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 10, 10);
    get_file(PART, &image);
    ck_assert_int_eq(linkat(folder.fd, PART, folder.fd, FINAL, 0), 0);
    ck_assert_int_lt(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL), 0);
    ck_assert_int_eq(result.verdict, REPAIR_REFUSED);
    ck_assert_ptr_nonnull(strstr(result.text.s, "remove the name " FINAL ", then repair again"));
    expect_unchanged(PART, &image);
    ck_assert_int_eq(unlinkat(folder.fd, FINAL, 0), 0);
    repair(&sink_backend_system);
    expect_good(FINAL, 10);
    cut_image_free(&image);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_that_only_lacks_its_name_gets_it_and_stays_as_it_is)
{
    struct cut_image image = {0};
    struct repair_file result;
    struct take take;

    take_folder_make(&folder);
    take_file(&take, folder.fd, 97, 20, 10, 1, 0, false);
    get_file(FINAL, &image);
    ck_assert_int_eq(renameat(folder.fd, FINAL, folder.fd, PART), 0);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL), 0);
    ck_assert_int_eq(result.verdict, REPAIR_RENAME);
    expect_unchanged(FINAL, &image); /* CLOSED, not RECOVERD */
    cut_image_free(&image);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(a_file_without_a_row_keeps_the_frame_its_header_tells_of)
{
    struct repair_file result;
    struct take take;

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 0, 0);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL), 0);
    ck_assert(result.no_rows);
    ck_assert_uint_eq(result.flagged, 1);
    expect_good(FINAL, 1);
    take_folder_remove(&folder);
}
END_TEST

/* Rows that are missing between others: what is made up goes on where the rows before end. */
START_TEST(a_row_that_is_missing_is_made_up_to_fit_its_neighbours)
{
    /* which rows; with losses in them or behind them, and with the restart */
    static const struct {
        uint64_t from, to;
    } holes[] = {{2, 4}, {4, 6}, {5, 6}, {8, 10}, {12, 15}, {13, 14}, {0, 3}, {0, 14}, {1, 16}};
    struct take take;

    for (size_t i = 0; i < sizeof holes / sizeof holes[0]; i++) {
        struct repair_file result;

        take_folder_make(&folder);
        take_prepare(&take, folder.fd, 97, 20, 1, 0, &sink_backend_system);
        take_publish(&take);
        take_put_pixels(&take, 0, 18);
        if (holes[i].from > 0)
            take_put_rows(&take, 0, holes[i].from);
        take_put_rows(&take, holes[i].to, 18);
        recording_file_discard(&take.file);
        ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL),
                         0);
        ck_assert_uint_eq(result.frames, 18);
        ck_assert_uint_eq(result.flagged, holes[i].to - holes[i].from);
        expect_good(FINAL, 18);
        take_folder_remove(&folder);
    }
}
END_TEST

START_TEST(what_was_lost_between_two_files_is_counted)
{
    struct verify_file file;
    struct take take;
    char path[400];

    take_folder_make(&folder);
    leave_part(&take, 1, 14, 4, 2); /* frames 14, 15, and two whose rows are not there */
    take_file(&take, folder.fd, 97, 20, 3, 2, 18, false);
    repair(&sink_backend_system);
    expect_good(FINAL, 2);
    snprintf(path, sizeof path, "%s/" FINAL, folder.path);
    verify_file(&file, path, NULL);
    ck_assert_int_eq(file.lost, 2);
    ck_assert_str_eq(file.next, "wfs_000002.fits");
    ck_assert_str_eq(file.end_cause, "ERROR");
    verify_file_free(&file);
    take_folder_remove(&folder);
}
END_TEST

START_TEST(what_is_no_recording_or_damaged_is_refused_and_left_alone)
{
    struct cut_image image = {0}, piece = {0};
    struct repair_file result;
    struct take take;
    unsigned refused = 0;

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 15, 15);
    get_file(PART, &image);
    for (uint64_t length = 1; length < image.length; length += 997) { /* cut off */
        piece.length = 0;
        cut_resize(&piece, length);
        memcpy(piece.bytes, image.bytes, length);
        put_file(PART, &piece);
        ck_assert_int_lt(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL),
                         0);
        ck_assert_int_eq(result.verdict, REPAIR_REFUSED);
        ck_assert_int_ne(result.text.s[0], '\0');
        expect_unchanged(PART, &piece);
        refused++;
    }
    ck_assert_uint_gt(refused, 50);
    ck_assert_int_eq(unlinkat(folder.fd, PART, 0), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", folder.fd, PART), 0);
    ck_assert_int_eq(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL),
                     -ELOOP);
    ck_assert_int_eq(unlinkat(folder.fd, PART, 0), 0);
    ck_assert_int_eq(mkfifoat(folder.fd, PART, 0600), 0);
    ck_assert_int_lt(repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL), 0);
    ck_assert_int_lt(repair_file(&result, folder.fd, FINAL, true, &sink_backend_system, NULL), 0);
    cut_image_free(&image);
    cut_image_free(&piece);
    take_folder_remove(&folder);
}
END_TEST

/* Headers with bytes changed at random, some of them digits for digits: whatever repair makes of
 * them, it ends, and what it closes is a file that verify can read. */
START_TEST(a_header_that_lies_gets_no_more_than_an_error)
{
    struct cut_image image = {0}, wrong = {0};
    struct repair_file result;
    struct take take;
    unsigned repaired = 0, rounds = 2000;
    char path[400];

    take_folder_make(&folder);
    leave_part(&take, 1, 0, 15, 15);
    get_file(PART, &image);
    for (unsigned i = 0; i < rounds; i++) {
        const struct fits_plan *plan = &take.file.plan;
        uint64_t headers[3][2] = {{0, plan->parts.primary_bytes},
                                  {plan->frames_header_off, plan->parts.frames_header_bytes},
                                  {plan->shmkw_off, plan->file_bytes - plan->shmkw_off}};

        wrong.length = 0;
        cut_resize(&wrong, image.length);
        memcpy(wrong.bytes, image.bytes, image.length);
        for (unsigned k = 0; k <= i % 4; k++) {
            const uint64_t *header = headers[cut_random() % 3];
            uint64_t at = header[0] + cut_random() % (header[1] < 5760 ? header[1] : 5760);
            unsigned char *byte = &wrong.bytes[at];

            *byte = (*byte >= '0' && *byte <= '9') || i % 2 == 0
                        ? (unsigned char)('0' + cut_random() % 10)
                        : (unsigned char)cut_random();
        }
        put_file(PART, &wrong);
        if (repair_file(&result, folder.fd, PART, true, &sink_backend_system, NULL) == 0) {
            struct verify_file file;

            snprintf(path, sizeof path, "%s/" FINAL, folder.path);
            verify_file(&file, path, NULL);
            ck_assert_int_eq(file.state, VERIFY_FINISHED);
            verify_file_free(&file);
            remove_result();
            repaired++;
        }
    }
    ck_assert_uint_gt(repaired, 0);
    ck_assert_uint_lt(repaired, rounds);
    printf("%u lying headers, %u repaired, the others refused\n", rounds, repaired);
    cut_image_free(&image);
    cut_image_free(&wrong);
    take_folder_remove(&folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("repair");
    TCase *tcase = tcase_create("repair");

    take_base_make();
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, after_a_power_cut_every_frame_that_was_there_is_there, 0,
                        (int)(sizeof lives / sizeof lives[0]));
    tcase_add_test(tcase, looking_changes_nothing_and_says_what_would_be_done);
    tcase_add_test(tcase, a_file_whose_recorder_lives_is_left_alone);
    tcase_add_test(tcase, a_final_name_that_is_taken_is_never_replaced);
    tcase_add_test(tcase, a_file_that_has_both_names_keeps_the_final_one);
    tcase_add_test(tcase, a_file_that_is_not_finished_keeps_its_part_name);
    tcase_add_test(tcase, a_file_that_only_lacks_its_name_gets_it_and_stays_as_it_is);
    tcase_add_test(tcase, a_file_without_a_row_keeps_the_frame_its_header_tells_of);
    tcase_add_test(tcase, a_row_that_is_missing_is_made_up_to_fit_its_neighbours);
    tcase_add_test(tcase, what_was_lost_between_two_files_is_counted);
    tcase_add_test(tcase, what_is_no_recording_or_damaged_is_refused_and_left_alone);
    tcase_add_test(tcase, a_header_that_lies_gets_no_more_than_an_error);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
