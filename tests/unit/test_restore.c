/*
 * test_restore.c - a bit flipped in a header of an unfinished file costs no frame, and is never
 * sealed under new checksums without a word: repair makes the same file as of the sound one, or
 * refuses and changes nothing.
 *
 * What is printed is measured; RESTORE_ALL=1 flips every bit there is, which takes minutes.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair/rebuild.h"
#include "repair/repair.h"
#include "repair/restore_parts.h"
#include "tests/support/suite.h"
#include "verify/verify.h"
#include "tests/support/powercut.h"
#include "tests/support/takes.h"

#if defined(__SANITIZE_ADDRESS__)
#define SAMPLE 90u /* slower */
#else
#define SAMPLE 300u
#endif
#define SESSION "2026-11-24_16-00-00"

static struct take_folder folder;
static int session_fd, stream_fd;
static char session[300], part[TREE_FILE_BYTES], final_name[TREE_FILE_BYTES];

static const IMAGE_KEYWORD keywords[] = {
    {.name = "GAIN", .type = 'D', .value.numf = 2.5, .comment = "[e-/ADU] gain"},
    {.name = "MODE", .type = 'S', .value.valstr = "closed", .comment = "of the loop"},
    {.name = "NMODES", .type = 'L', .value.numl = -17, .comment = "corrected"},
    {.name = "a longer name", .type = 'L', .value.numl = 1, .comment = "no card"},
};

/* ---- files ---- */

static void put_file(const char *name, const struct cut_image *image)
{
    int fd = openat(stream_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, image->bytes, image->length), (ssize_t)image->length);
    close(fd);
}

static void get_file(const char *name, struct cut_image *image)
{
    int fd = openat(stream_fd, name, O_RDONLY);
    struct stat st;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    image->length = 0;
    cut_resize(image, (uint64_t)st.st_size);
    ck_assert_int_eq(read(fd, image->bytes, image->length), (ssize_t)image->length);
    close(fd);
}

/* Cards of the first header that need not be the same: the time of day and what depends on it, and
 * whether repair had more to do than to change the name. */
static void clear_cards(struct cut_image *image)
{
    static const char *const keys[] = {"DATE    ", "CHECKSUM", "RECSTAT "};

    for (uint64_t at = 0; at < 5760; at += 80)
        for (int i = 0; i < 3; i++)
            if (memcmp(image->bytes + at, keys[i], 8) == 0)
                memset(image->bytes + at + 10, ' ', 70);
}

static bool repair(struct repair_file *ret)
{
    return repair_file(ret, stream_fd, part, true, &sink_backend_system, NULL) == 0;
}

/* ---- scenes ---- */

enum company { ALONE, WITH_FILES, WITH_FILES_AND_LEDGER };

static const struct scene {
    const char *what;
    enum company company;
    uint64_t seq, first;
    uint64_t rows;  /* that reached the disk, of 17 frames */
    const char *at; /* the step of closing that it died behind, or NULL */
    uint64_t closed_with;
    bool has_keywords;
    const char *believed; /* cards of which a wrong value may pass: nothing else tells it */
    uint32_t width;       /* of a frame */
} scenes[] = {
    {"the first file of a session", ALONE, 1, 0, 15, NULL, 0, true,
     "RECVERS RECHOST RECUUID SHMNAME FIFOSIZE ", 97},
    {"a file without any company", ALONE, 2, 20, 15, NULL, 0, false,
     "RECVERS RECHOST RECUUID SHMNAME FRAME0 ", 97},
    {"a file beside a finished one", WITH_FILES, 2, 10, 15, NULL, 0, true, "", 97},
    {"a file of a session with a ledger", WITH_FILES_AND_LEDGER, 2, 10, 15, NULL, 0, true, "", 97},
    {"a file with no row, with a ledger", WITH_FILES_AND_LEDGER, 2, 10, 0, NULL, 0, false,
     "CNT0BEG DATEREF ", 97},
    {"a file in the middle of closing", WITH_FILES, 2, 10, 17, "tables", 9, false, "NLOST ", 97},
    {"a file about to go by way of SPARE", WITH_FILES, 2, 10, 17, "detour-tables", 17, false, "",
     97},
    {"a file on its detour", WITH_FILES, 2, 10, 17, "detour-switch", 17, false, "NLOST ", 97},
    {"a file that was switched", WITH_FILES, 2, 10, 17, "switch", 9, true, "", 97},
    {"a file that only lacks its name", WITH_FILES, 2, 10, 17, "cut", 17, false, "", 97},
    {"a file of tiny frames", ALONE, 2, 20, 15, NULL, 0, true,
     "RECVERS RECHOST RECUUID SHMNAME FRAME0 ", 1},
    {"the same, in the middle of closing", WITH_FILES, 2, 10, 17, "switch", 12, false, "", 1},
    {"a file of large frames", WITH_FILES, 2, 10, 15, NULL, 0, true, "", 3000},
};

struct stop {
    const char *at;
    int fd;
    struct cut_image *image;
};

static void take_picture(void *ctx, const char *step)
{
    struct stop *stop = ctx;

    if (stop->at && strcmp(step, stop->at) == 0)
        get_file(part, stop->image);
}

static void begin(const struct scene *scene)
{
    take_folder_make(&folder);
    snprintf(session, sizeof session, "%s/" SESSION, folder.path);
    ck_assert_int_eq(mkdirat(folder.fd, SESSION, 0700), 0);
    session_fd = openat(folder.fd, SESSION, O_RDONLY | O_DIRECTORY);
    ck_assert_int_eq(mkdirat(session_fd, "wfs", 0700), 0);
    stream_fd = openat(session_fd, "wfs", O_RDONLY | O_DIRECTORY);
    tree_file_name(part, "wfs", scene->seq, 1);
    tree_file_name(final_name, "wfs", scene->seq, 0);
    take_keywords = scene->has_keywords ? keywords : NULL;
    take_keyword_count = scene->has_keywords ? 4 : 0;
}

static void end(void)
{
    close(stream_fd);
    close(session_fd);
    take_folder_remove(&folder);
    take_keywords = NULL;
    take_keyword_count = 0;
}

/* Its company, and the file as it was left; the headers' places in `take`. */
static void make_scene(const struct scene *scene, struct take *take, struct cut_image *image)
{
    struct stop stop = {.at = scene->at, .image = image};
    struct recording_hooks hooks = {take_picture, &stop};
    struct fits_plan plan;
    uint32_t width = scene->width;

    if (scene->company != ALONE)
        take_file(take, stream_fd, width, 20, 10, 1, 0, true);
    if (scene->company == WITH_FILES_AND_LEDGER) {
        struct rebuild ledger;

        ck_assert_msg(rebuild_ledger(&ledger, session, REBUILD_ANYWAY | REBUILD_APPLY, NULL) == 0,
                      "%s", ledger.text.s);
    }
    take_prepare(take, stream_fd, width, 20, scene->seq, scene->first, &sink_backend_system);
    take_publish(take);
    take_put_pixels(take, 0, 17);
    if (scene->rows > 0)
        take_put_rows(take, 0, scene->rows);
    plan = take->file.plan;
    if (scene->at) {
        ck_assert_int_eq(take_close(take, scene->closed_with, "STOP", false, &hooks), 0);
        ck_assert_int_eq(unlinkat(stream_fd, final_name, 0), 0);
    } else {
        recording_file_discard(&take->file);
        get_file(part, image);
    }
    take->file.plan = plan;
}

/* ---- flipping ---- */

struct tally {
    unsigned flips, exact, refused, wrong;
    char refusals[1000], wrongs[1000]; /* keywords */
};

/* Append a card's keyword and a blank, once. */
static void note(char *list, size_t list_bytes, const unsigned char *card)
{
    char key[12];
    size_t used = strlen(list);

    snprintf(key, sizeof key, "%.8s", (const char *)card);
    key[strcspn(key, " ")] = '\0';
    strcat(key, " ");
    if (!strstr(list, key) && used + 12 < list_bytes)
        strcat(list, key);
}

/* Every keyword of `list` is in `most`. */
static void expect_among(const char *list, const char *most, const char *what)
{
    char key[12];

    for (; *list; list += strlen(key)) {
        sscanf(list, "%10s", key);
        strcat(key, " ");
        ck_assert_msg(strstr(most, key) != NULL, "%s: %s", what, key);
    }
}

static bool is_same(const char *name, const struct cut_image *wanted)
{
    struct cut_image now = {0};
    bool same;

    get_file(name, &now);
    clear_cards(&now);
    same = now.length == wanted->length && memcmp(now.bytes, wanted->bytes, now.length) == 0;
    cut_image_free(&now);
    return same;
}

static void try_flipped(struct cut_image *image, const struct cut_image *wanted,
                        const unsigned char *sound_card, struct tally *tally)
{
    struct repair_file result;

    put_file(part, image);
    tally->flips++;
    if (!repair(&result)) {
        struct cut_image after = {0};

        get_file(part, &after);
        ck_assert_int_eq(result.verdict, REPAIR_REFUSED);
        ck_assert_uint_eq(after.length, image->length);
        ck_assert_mem_eq(after.bytes, image->bytes, image->length);
        cut_image_free(&after);
        tally->refused++;
        note(tally->refusals, sizeof tally->refusals, sound_card);
        ck_assert_int_eq(unlinkat(stream_fd, part, 0), 0);
        return;
    }
    if (is_same(final_name, wanted)) {
        tally->exact++;
    } else {
        tally->wrong++;
        note(tally->wrongs, sizeof tally->wrongs, sound_card);
    }
    ck_assert_int_eq(unlinkat(stream_fd, final_name, 0), 0);
}

static void flip(struct cut_image *image, const struct cut_image *wanted, uint64_t byte,
                 unsigned bit, struct tally *tally)
{
    unsigned char sound[80];

    memcpy(sound, image->bytes + byte / 80 * 80, 80);
    image->bytes[byte] ^= (unsigned char)(1u << bit);
    try_flipped(image, wanted, sound, tally);
    image->bytes[byte] ^= (unsigned char)(1u << bit);
}

/* Where headers begin in an image, by their first cards. */
static unsigned find_headers(const struct cut_image *image, uint64_t ret[8])
{
    unsigned count = 0;

    for (uint64_t at = 0; at + 2880 <= image->length && count < 8; at += 2880)
        if (memcmp(image->bytes + at, "SIMPLE  =", 9) == 0 ||
            memcmp(image->bytes + at, "XTENSION=", 9) == 0)
            ret[count++] = at;
    return count;
}

/* With END. */
static uint64_t count_cards(const struct cut_image *image, uint64_t header)
{
    uint64_t cards = 0;

    while (memcmp(image->bytes + header + cards * 80, "END     ", 8) != 0)
        cards++;
    return cards + 1;
}

static void flip_header(struct cut_image *image, const struct cut_image *wanted, uint64_t from,
                        struct tally *tally)
{
    uint64_t cards = count_cards(image, from);
    bool all = getenv("RESTORE_ALL") != NULL;
    unsigned rounds;

    rounds = all ? (unsigned)cards * 640 : SAMPLE / 15;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t which = i;

        /* Where there is something written, mostly. */
        for (int tries = 0; !all && tries < 3; tries++) {
            which = cut_random() % (cards * 640);
            if (image->bytes[from + which / 8] != ' ')
                break;
        }
        flip(image, wanted, from + which / 8, (unsigned)(which % 8), tally);
    }
}

/* The scene, its file on its own in memory, and what repair makes of it. */
static void begin_flipping(const struct scene *scene, struct take *take, struct cut_image *image,
                           struct cut_image *wanted)
{
    struct repair_file result;

    begin(scene);
    make_scene(scene, take, image);
    put_file(part, image);
    ck_assert_msg(repair(&result), "%s", result.text.s);
    ck_assert_msg(result.restored == 0, "%s", result.cards);
    get_file(final_name, wanted);
    clear_cards(wanted);
    ck_assert_int_eq(unlinkat(stream_fd, final_name, 0), 0);
}

START_TEST(a_flipped_bit_in_a_header_is_undone_or_named)
{
    const struct scene *scene = &scenes[_i];
    static const char *const names[] = {"primary", "FRAMES", "SHMKW", "the rest"};
    struct cut_image image = {0}, wanted = {0};
    struct take take;
    uint64_t headers[8];
    unsigned count;

    begin_flipping(scene, &take, &image, &wanted);
    count = find_headers(&image, headers);
    for (int i = 0; i < 7 * _i; i++)
        cut_random();
    for (unsigned i = 0; i < count; i++) {
        struct tally tally = {0};

        flip_header(&image, &wanted, headers[i], &tally);
        printf("%-36s %-9s %6u flips: %6u exact, %4u refused (%s), %u wrong (%s)\n", scene->what,
               names[i < 3 ? i : 3], tally.flips, tally.exact, tally.refused, tally.refusals,
               tally.wrong, tally.wrongs);
        fflush(stdout);
        expect_among(tally.wrongs, scene->believed, "a wrong value was sealed");
        expect_among(tally.refusals, scene->believed, "refused, although something tells it");
    }
    cut_image_free(&image);
    cut_image_free(&wanted);
    end();
}
END_TEST

/* What takes more than to compare a card. */
START_TEST(what_the_rest_of_the_file_tells_is_believed)
{
    static const struct {
        unsigned scene, header;
        const char *key;
        unsigned column, bit;
    } flips[] = {
        {7, 0, "DATE-END", 11, 3}, /* no date: closing knows better */
        {7, 0, "NFRAMES", 29, 4},  /* no number */
        {7, 4, "NAXIS2", 29, 0},   /* 16 rows for 17, within the same block */
        {4, 0, "NAXIS1", 29, 0},   /* 96 pixels or 97: the file before has 97 */
        {4, 0, "SHMSIZ1", 29, 0},  {0, 0, "NAXIS1", 29, 0},  /* the sums of the frames tell */
        {0, 0, "SHMSIZ1", 29, 0},  {10, 0, "NAXIS2", 28, 0}, /* 30 planes for 20 */
        {10, 1, "NAXIS2", 28, 0},                            /* 30 rows */
        {8, 0, "NLOST", 29, 0},  /* the checksum does not fit: rows are believed */
        {8, 0, "NAXIS2", 29, 0}, /* 8 planes for 9 rows */
        {8, 1, "NAXIS2", 29, 0},   {11, 0, "NAXIS2", 28, 1}, /* 32 planes for 12 */
        {9, 0, "NAXIS2", 28, 1},  /* 37 planes, and no room for any more */
        {0, 0, "NAXIS2", 18, 4},  /* far too many planes: where is the table? */
        {0, 1, "DATEREF", 25, 1}, /* every row tells */
        {2, 0, "FIFOSIZE", 29, 0},
    };

    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        struct cut_image image = {0}, wanted = {0};
        struct tally tally = {0};
        struct take take;
        uint64_t headers[8], at;

        begin_flipping(&scenes[flips[i].scene], &take, &image, &wanted);
        find_headers(&image, headers);
        at = headers[flips[i].header];
        while (strncmp((char *)image.bytes + at, flips[i].key, strlen(flips[i].key)) != 0)
            at += 80;
        flip(&image, &wanted, at + flips[i].column, flips[i].bit, &tally);
        ck_assert_msg(tally.exact == 1, "%s of header %u, scene %u: %s", flips[i].key,
                      flips[i].header, flips[i].scene, tally.refused ? "refused" : "wrong");
        cut_image_free(&image);
        cut_image_free(&wanted);
        end();
    }
}
END_TEST

/* Several at once, anywhere in the headers: what is made of them is right, or nothing is made. */
START_TEST(several_flipped_bits_are_undone_or_refused)
{
    const struct scene *scene = &scenes[3];
    struct cut_image image = {0}, wanted = {0}, wrong = {0};
    struct tally tally = {0};
    struct take take;
    uint64_t headers[8];
    unsigned count, rounds = getenv("RESTORE_ALL") ? 20000 : SAMPLE / 2;

    begin_flipping(scene, &take, &image, &wanted);
    count = find_headers(&image, headers);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned char card[80];

        wrong.length = 0;
        cut_copy(&wrong, &image);
        for (unsigned k = 0; k < 2 + i % 3; k++) {
            uint64_t header = headers[cut_random() % count];
            uint64_t at = header + cut_random() % (80 * count_cards(&image, header));

            memcpy(card, image.bytes + at / 80 * 80, 80);
            wrong.bytes[at] ^= (unsigned char)(1u << cut_random() % 8);
        }
        if (memcmp(wrong.bytes, image.bytes, image.length) != 0)
            try_flipped(&wrong, &wanted, card, &tally);
    }
    printf("several flips: %u tries, %u exact, %u refused, %u wrong (%s)\n", tally.flips,
           tally.exact, tally.refused, tally.wrong, tally.wrongs);
    ck_assert_uint_gt(tally.exact, 0);
    expect_among(tally.wrongs, scene->believed, "a wrong value was sealed");
    cut_image_free(&wrong);
    cut_image_free(&image);
    cut_image_free(&wanted);
    end();
}
END_TEST

/* A card of the primary header. */
static unsigned char *find_card(struct cut_image *image, const char *key)
{
    for (uint64_t at = 0; at < 5760; at += 80)
        if (strncmp((char *)image->bytes + at, key, strlen(key)) == 0)
            return image->bytes + at;
    ck_abort_msg("no %s", key);
    return NULL;
}

START_TEST(what_nothing_tells_is_refused_and_named)
{
    static const struct {
        const char *key;
        unsigned column, bit;
        const char *words[2];
    } flips[] = {
        /* bytes that are no text, or no digit, and two that they could have been */
        {"RECUUID", 12, 5, {"RECUUID", "FITS editor"}},
        {"SHMNAME", 11, 5, {"SHMNAME", "FITS editor"}},
        {"FRAME0", 28, 3, {"FRAME0", "FITS editor"}},
    };
    struct cut_image image = {0}, wanted = {0}, after = {0};
    struct repair_file would, did;
    struct take take;

    begin_flipping(&scenes[1], &take, &image, &wanted);
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        unsigned char *byte = find_card(&image, flips[i].key) + flips[i].column;

        *byte ^= (unsigned char)(1u << flips[i].bit);
        put_file(part, &image);
        ck_assert_int_lt(repair_file(&would, stream_fd, part, false, &sink_backend_system, NULL),
                         0);
        ck_assert(!repair(&did));
        ck_assert_str_eq(would.text.s, did.text.s);
        for (int k = 0; k < 2; k++)
            ck_assert_msg(strstr(did.text.s, flips[i].words[k]) != NULL, "%s", did.text.s);
        get_file(part, &after);
        ck_assert_mem_eq(after.bytes, image.bytes, image.length);
        *byte ^= (unsigned char)(1u << flips[i].bit);
    }
    cut_image_free(&after);
    cut_image_free(&image);
    cut_image_free(&wanted);
    end();
}
END_TEST

START_TEST(witnesses_that_disagree_are_both_named)
{
    struct ballot with_own = {.own = "7"}, without = {0}, weak = {.own = "7"};
    struct dao_text text = {""};
    const char *value;

    ballot_add(&with_own, "5", 2, "the file before");
    ballot_add(&with_own, "3", 2, "the rows");
    ck_assert_int_eq(ballot_settle(&with_own, "FIFOSIZE", &value, &text), -EINVAL);
    ck_assert_str_eq(text.s, "FIFOSIZE is damaged, and is 5 by the file before and 3 by the rows");
    ballot_add(&without, "9", 1, "this program");
    ballot_add(&without, "5", 2, "the file before");
    ballot_add(&without, "3", 2, "the rows");
    ck_assert_int_eq(ballot_settle(&without, "FIFOSIZE", &value, &text), -EINVAL);
    ck_assert_str_eq(text.s, "FIFOSIZE is damaged, and is 5 by the file before and 3 by the rows");
    ballot_add(&weak, "5", 1, "session.json");
    ck_assert_int_eq(ballot_settle(&weak, "FIFOSIZE", &value, &text), -EINVAL);
    ck_assert_str_eq(text.s, "FIFOSIZE is 7 in the header and 5 by session.json");
}
END_TEST

/* Two of it do not fit into a short line: what to do must be told all the same. */
START_TEST(the_remedy_is_told_however_long_the_segment_s_name_is)
{
    static const char segment[] =
        "/dev/shm/instrument/adaptive-optics/real-time/wavefronts/wfs.im.shm";
    struct cut_image image = {0};
    struct verify_file file;
    struct take take;
    char text[600], path[400];
    int fd;

    take_segment = segment;
    begin(&scenes[0]);
    make_scene(&scenes[0], &take, &image);
    fd = openat(session_fd, "session.json", O_WRONLY | O_CREAT, 0600);
    snprintf(
        text, sizeof text,
        "{\"session\": \"" SESSION "\", \"uuid\": \"0123-4567\", \"host\": \"host\","
        " \"version\": \"0\", \"start\": null, \"end\": null, \"streams\": [{\"name\": \"wfs\","
        " \"segment\": \"%s\", \"geometry\": {\"type\": \"uint16\", \"size\": [97],"
        " \"layout\": \"newer\", \"depth\": 16, \"frame_bytes\": 194}, \"expected\": 0,"
        " \"recorded\": 0, \"torn\": 0, \"lost\": 0, \"lost_by\": {\"lapped\": 0, \"disk\": 0,"
        " \"source\": 0, \"restart\": 0}, \"restarts\": 0, \"runs\": [{\"first_cnt0\": 1000,"
        " \"last_cnt0\": 999, \"expected\": 0}], \"runs_left_out\": 0, \"gaps\": [],"
        " \"gaps_left_out\": 0, \"files\": []}]}",
        segment);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    find_card(&image, "SHMNAME")[20] ^= 1;
    put_file(part, &image);
    snprintf(path, sizeof path, "%s/wfs/%s", session, part);
    verify_file(&file, path, NULL);
    ck_assert_uint_ge(file.doubts.kept_count, 1);
    ck_assert_msg(strstr(file.doubts.kept[0].text, "then repair again") != NULL, "%s",
                  file.doubts.kept[0].text);
    verify_file_free(&file);
    cut_image_free(&image);
    take_segment = "/tmp/wfs.im.shm";
    end();
}
END_TEST

/* A row that is nonsense tells nothing, and those that are none outvote it. */
START_TEST(times_of_rows_tell_what_they_count_from)
{
    struct fits_row rows[4] = {
        {.rtime_ns = 1, .atime_ns = INT64_MAX, .time_s = -1e9},
        {.rtime_ns = 1, .atime_ns = INT64_MAX, .time_s = 1e300},
        {.rtime_ns = 1, .atime_ns = 1764000000123456789, .time_s = 0.123456789},
        {.rtime_ns = 1, .atime_ns = 1764000003000000000, .time_s = 3.0}};
    unsigned char packed[sizeof rows / sizeof rows[0] * FITS_ROW_BYTES];
    struct witness_rows told;
    int fd;

    begin(&scenes[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        fits_row_pack(packed + i * FITS_ROW_BYTES, &rows[i]);
    fd = openat(stream_fd, "rows", O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(fd, packed, sizeof packed), sizeof packed);
    ck_assert_int_eq(witness_read_rows(&told, fd, 0, sizeof rows / sizeof rows[0]), 0);
    ck_assert(told.has_dateref);
    ck_assert_int_eq(told.dateref_ns, 1764000000000000000);
    close(fd);
    end();
}
END_TEST

/* A header without END has no length that could be trusted. */
START_TEST(a_header_without_an_end_is_left_as_it_is)
{
    struct fits_bytes model = {0};
    struct restore_header header = {.off = 0};
    struct restore *restore = calloc(1, sizeof *restore);
    struct dao_text text = {""};
    unsigned char *before;
    size_t end;

    ck_assert_int_eq(fits_build_frames(&model, 10, 0, NULL, &text), 0);
    header.bytes.length = model.length;
    header.bytes.data = malloc(model.length);
    before = malloc(model.length);
    memcpy(header.bytes.data, model.data, model.length);
    end = restore_count_cards(&model);
    memset(header.bytes.data + end * 80, '#', 80);
    header.bytes.data[85] ^= 1;
    memcpy(before, header.bytes.data, model.length);
    ck_assert_int_eq(restore_mend(restore, &header, &model, "", "FRAMES ", &text), 0);
    ck_assert_mem_eq(header.bytes.data, before, model.length);
    ck_assert(!header.is_changed);
    ck_assert_uint_eq(restore->count, 0);
    fits_bytes_free(&header.bytes);
    fits_bytes_free(&model);
    free(before);
    free(restore);
}
END_TEST

START_TEST(a_header_that_cannot_be_made_final_is_refused_before_a_row_is_flagged)
{
    struct cut_image image = {0}, after = {0};
    struct repair_file result;
    unsigned char *card;
    struct take take;

    begin(&scenes[1]);
    take_prepare(&take, stream_fd, 97, 20, 2, 20, &sink_backend_system);
    take_publish(&take);
    take_put_pixels(&take, 0, 12);
    take_put_rows(&take, 4, 12); /* the first four have to be made up */
    recording_file_discard(&take.file);
    get_file(part, &image);
    /* No room for the card that closing would add. */
    card = find_card(&image, "MJD-END");
    memset(card, ' ', 80);
    memcpy(card, "COMMENT a person's", 18);
    for (card = find_card(&image, "END     "); card < image.bytes + 5760 - 80; card += 80) {
        memset(card, ' ', 80);
        memcpy(card, "HISTORY of a person", 19);
    }
    memcpy(card, "END     ", 8);
    put_file(part, &image);
    ck_assert_int_lt(repair_file(&result, stream_fd, part, false, &sink_backend_system, NULL), 0);
    ck_assert(!repair(&result));
    ck_assert_msg(strstr(result.text.s, "length") != NULL, "%s", result.text.s);
    get_file(part, &after);
    ck_assert_uint_eq(after.length, image.length);
    ck_assert_mem_eq(after.bytes, image.bytes, image.length);
    cut_image_free(&image);
    cut_image_free(&after);
    end();
}
END_TEST

START_TEST(what_a_person_added_stays)
{
    static const char added[] = "OBSERVER= 'Ada     '           / on shift";
    static const char noted[] = "HISTORY rescued from the old server";
    struct cut_image image = {0}, after = {0};
    struct repair_file result;
    struct take take;
    unsigned char *end_card;

    begin(&scenes[1]);
    make_scene(&scenes[1], &take, &image);
    end_card = find_card(&image, "END     ");
    memcpy(end_card + 160, end_card, 80);
    memcpy(end_card, added, sizeof added - 1);
    memcpy(end_card + 80, noted, sizeof noted - 1);
    find_card(&image, "SHMTYPE")[15] ^= 4;
    put_file(part, &image);
    ck_assert_msg(repair(&result), "%s", result.text.s);
    ck_assert_str_eq(result.cards, "SHMTYPE");
    get_file(final_name, &after);
    ck_assert_mem_eq(find_card(&after, "OBSERVER"), added, sizeof added - 1);
    ck_assert_mem_eq(find_card(&after, "HISTORY"), noted, sizeof noted - 1);
    ck_assert_mem_eq(find_card(&after, "SHMTYPE"), "SHMTYPE = 'UINT16  '", 20);
    /* What only that person could put right is shown. */
    ck_assert_int_eq(unlinkat(stream_fd, final_name, 0), 0);
    find_card(&image, "HISTORY")[13] ^= 128;
    put_file(part, &image);
    ck_assert(!repair(&result));
    ck_assert_msg(strstr(result.text.s, "(HISTORY rescu?d from the old server)") != NULL, "%s",
                  result.text.s);
    cut_image_free(&image);
    cut_image_free(&after);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("restore");
    TCase *tcase = tcase_create("restore");

    take_base_make();
    tcase_set_timeout(tcase, getenv("RESTORE_ALL") ? 3600 : 120);
    tcase_add_loop_test(tcase, a_flipped_bit_in_a_header_is_undone_or_named, 0,
                        (int)(sizeof scenes / sizeof scenes[0]));
    tcase_add_test(tcase, what_the_rest_of_the_file_tells_is_believed);
    tcase_add_test(tcase, several_flipped_bits_are_undone_or_refused);
    tcase_add_test(tcase, what_nothing_tells_is_refused_and_named);
    tcase_add_test(tcase, witnesses_that_disagree_are_both_named);
    tcase_add_test(tcase, the_remedy_is_told_however_long_the_segment_s_name_is);
    tcase_add_test(tcase, times_of_rows_tell_what_they_count_from);
    tcase_add_test(tcase, a_header_without_an_end_is_left_as_it_is);
    tcase_add_test(tcase, a_header_that_cannot_be_made_final_is_refused_before_a_row_is_flagged);
    tcase_add_test(tcase, what_a_person_added_stays);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
