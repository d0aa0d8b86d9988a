/* restore.c - see restore.h. Where the headers are, and those of the tables. The geometry is found
 * in restore_shape.c, the primary header made in restore_primary.c from the values that
 * restore_values.c settles; one header is compared with what it should be in restore_cards.c. */
#include "repair/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "fits/flips.h"
#include "fits/keywords.h"
#include "fits/plan.h"
#include "repair/restore_parts.h"

#define KEYWORDS_MAX  32767 /* NBkw of a segment */
#define BLOCKS(bytes) (((bytes) + FITS_BLOCK - 1) / FITS_BLOCK)

static const char sums[] = " CHECKSUM DATASUM ";

/* ---- bytes of headers ---- */

/* A header that begins there and ends with END, or nearly; of at least `length` bytes where that
 * cannot be found. 0, -ENODATA: the file ends before; other errno. */
static int read_header(const struct restore_look *look, uint64_t off, size_t length,
                       struct fits_bytes *ret)
{
    struct fits_bytes bytes = {0};
    int r = 0;

    for (unsigned blocks = 1; blocks <= FITS_SCAN_HEADER_BLOCKS && r == 0; blocks++) {
        unsigned char *grown = realloc(bytes.data, (size_t)blocks * FITS_BLOCK);

        if (!grown) {
            r = -ENOMEM;
            break;
        }
        bytes.data = grown;
        r = fits_read_at(look->fd, off + bytes.length, grown + bytes.length, FITS_BLOCK);
        bytes.length += r == 0 ? FITS_BLOCK : 0;
        if (r == 0 && restore_count_cards(&bytes) > 0)
            break;
    }
    if (r == 0 && restore_count_cards(&bytes) == 0)
        bytes.length = length;
    if (r == -ENODATA && bytes.length >= length && length > 0) {
        bytes.length = length;
        r = 0;
    }
    if (r == 0 && bytes.length > 0)
        *ret = bytes;
    else
        fits_bytes_free(&bytes);
    return r == 0 && bytes.length == 0 ? -ENODATA : r;
}

/* ---- SHMKW and what is behind it ---- */

/* The header of SHMKW for so many keywords; 0 or negative errno. */
static int model_keywords(struct restore_look *look, unsigned count, struct fits_bytes *ret)
{
    struct fits_facts facts = {.keywords = look->keywords, .keyword_count = count};
    struct dao_text text;
    int r = fits_build_shmkw(ret, &facts, &text);

    if (r == 0)
        ret->length -= fits_pad((uint64_t)count * FITS_SHMKW_ROW_BYTES);
    return r;
}

/* Behind SHMKW at `off` with `count` keywords: the end of the file, SPARE or FILLER? */
static bool is_end_at(struct restore_look *look, uint64_t off)
{
    static const char *const names[] = {"SPARE", "FILLER"};
    static const char leave_out[] = " NAXIS1 CHECKSUM DATASUM ";
    struct fits_bytes *header = restore_bytes(look, READING_SPARE);
    uint64_t data = off + FITS_BLOCK < look->file_bytes ? look->file_bytes - off - FITS_BLOCK : 0;
    unsigned least = RESTORE_DAMAGE_MAX + 1;
    struct dao_text text;

    if (off == look->file_bytes)
        return true;
    if (off > look->file_bytes || read_header(look, off, FITS_BLOCK, header) < 0)
        return false;
    for (int i = 0; i < 2 && least > 0; i++) {
        struct fits_bytes model = {0};
        unsigned distance = UINT32_MAX;

        if (fits_build_filler(&model, names[i], data, &text) == 0 &&
            fits_flips(model.data, header->data, FITS_CARD_BYTES) <= FITS_FLIPS_MAX)
            distance = restore_distance(&model, header, leave_out);
        fits_bytes_free(&model);
        if (distance < least) {
            least = distance;
            look->is_spare = i == 0;
            look->is_filler = i == 1;
        }
    }
    look->ret->header[READING_SPARE].off = off;
    if (least > RESTORE_DAMAGE_MAX)
        fits_bytes_free(header);
    return least <= RESTORE_DAMAGE_MAX;
}

static int read_keywords(struct restore_look *look, uint64_t off, unsigned count)
{
    size_t bytes = (size_t)count * FITS_SHMKW_ROW_BYTES;
    unsigned char *packed = malloc(bytes ? bytes : 1);
    int r = packed ? fits_read_at(look->fd, off, packed, bytes) : -ENOMEM;

    free(look->keywords);
    look->keywords = calloc(count ? count : 1, sizeof *look->keywords);
    for (unsigned i = 0; i < count && r == 0 && look->keywords; i++) {
        unsigned char again[FITS_SHMKW_ROW_BYTES];

        fits_keyword_unpack(&look->keywords[i], packed + (size_t)i * FITS_SHMKW_ROW_BYTES);
        fits_keyword_pack(again, &look->keywords[i]);
        if (memcmp(again, packed + (size_t)i * FITS_SHMKW_ROW_BYTES, sizeof again) != 0)
            r = -EBADMSG;
    }
    free(packed);
    return look->keywords ? r : -ENOMEM;
}

/* The unit by its own rows: as it was made, but for a few bits of its header? Then both are proven,
 * since the checksums in it are those of the rows. */
static bool prove_keywords(struct restore_look *look, uint64_t off, unsigned count)
{
    struct fits_bytes *header = restore_bytes(look, READING_SHMKW), model = {0};
    bool good = read_keywords(look, off + header->length, count) == 0 &&
                model_keywords(look, count, &model) == 0 && model.length == header->length &&
                restore_distance(&model, header, "") <= FITS_FLIPS_MAX;

    if (good && restore_mend(look->ret, &look->ret->header[READING_SHMKW], &model, "", "SHMKW ",
                             look->text) < 0)
        good = false;
    look->keyword_count = good ? count : 0;
    fits_bytes_free(&model);
    return good;
}

/* Rows, or header, that are not what the checksums say: what is constant is restored; the sums
 * stay, so that the damage shows. */
static int mend_keywords(struct restore_look *look, unsigned count)
{
    struct fits_bytes model = {0};
    int r;

    free(look->keywords);
    look->keywords = calloc(count ? count : 1, sizeof *look->keywords);
    r = look->keywords ? model_keywords(look, count, &model) : -ENOMEM;
    if (r == 0 && model.length == restore_bytes(look, READING_SHMKW)->length)
        r = restore_mend(look->ret, &look->ret->header[READING_SHMKW], &model, sums, "SHMKW ",
                         look->text);
    fits_bytes_free(&model);
    return r;
}

/* Blocks of rows behind the header of SHMKW; UINT64_MAX: its end is nowhere. */
static uint64_t count_keyword_blocks(struct restore_look *look, uint64_t from, int64_t own)
{
    uint64_t most = BLOCKS((uint64_t)KEYWORDS_MAX * FITS_SHMKW_ROW_BYTES);

    if (own >= 0 && own <= KEYWORDS_MAX) {
        uint64_t blocks = BLOCKS((uint64_t)own * FITS_SHMKW_ROW_BYTES);

        if (is_end_at(look, from + blocks * FITS_BLOCK))
            return blocks;
    }
    for (uint64_t blocks = 0; blocks <= most; blocks++)
        if (is_end_at(look, from + blocks * FITS_BLOCK))
            return blocks;
    return UINT64_MAX;
}

/* SHMKW at `off`, and where it ends. 0, also where nothing can be told; negative. */
static int look_at_keywords(struct restore_look *look, uint64_t off)
{
    struct fits_bytes *header = restore_bytes(look, READING_SHMKW);
    const unsigned char *card;
    uint64_t blocks, first, last, nearest = 0;
    int64_t own = -1;

    look->ret->header[READING_SHMKW].off = off;
    if (read_header(look, off, FITS_BLOCK, header) < 0)
        return 0;
    card = header->data + 4 * FITS_CARD_BYTES;
    if (fits_flipped_integer(card, &own) != 0)
        own = -1;
    blocks = count_keyword_blocks(look, off + header->length, own);
    if (blocks == UINT64_MAX)
        return 0;
    first = blocks ? (blocks - 1) * FITS_BLOCK / FITS_SHMKW_ROW_BYTES + 1 : 0;
    last = blocks * FITS_BLOCK / FITS_SHMKW_ROW_BYTES;
    for (uint64_t count = first; count <= last; count++)
        if (prove_keywords(look, off, (unsigned)count))
            return 0;
    restore_nearest_number(card, first, last, &nearest);
    return mend_keywords(look, (unsigned)nearest);
}

/* ---- FRAMES ---- */

static bool is_keywords_at(struct restore_look *look, uint64_t off)
{
    return restore_is_like(look, off, &look->keywords_model, " NAXIS2 CHECKSUM DATASUM ");
}

/* Rows of the table, by its card and by where SHMKW is. False: it is nowhere. */
static bool count_rows(struct restore_look *look, uint64_t rows_off, uint64_t *ret_shmkw_off)
{
    const struct fits_bytes *header = restore_bytes(look, READING_FRAMES);
    const unsigned char *card = header->data + 4 * FITS_CARD_BYTES;
    int64_t own = 0;

    if (fits_flipped_integer(card, &own) == 0 && own > 0 &&
        (uint64_t)own <= look->file_bytes / FITS_ROW_BYTES) {
        look->rows = (uint64_t)own;
        *ret_shmkw_off = rows_off + fits_pad(look->rows * FITS_ROW_BYTES);
        if (is_keywords_at(look, *ret_shmkw_off))
            return true;
    }
    for (uint64_t off = rows_off + FITS_BLOCK; off < look->file_bytes; off += FITS_BLOCK) {
        uint64_t most = (off - rows_off) / FITS_ROW_BYTES;

        if (!is_keywords_at(look, off))
            continue;
        *ret_shmkw_off = off;
        return restore_nearest_number(card, most - FITS_BLOCK / FITS_ROW_BYTES + 1, most,
                                      &look->rows) <= 2 * FITS_FLIPS_MAX;
    }
    return false;
}

static bool is_same_block(uint64_t a, uint64_t b)
{
    return fits_pad(a) == fits_pad(b);
}

/* But between two steps of closing there are as many rows as planes: where two cards differ, and
 * mean the same blocks, one of them is wrong. Of a file that still has SPARE the larger number
 * loses no frame; of one that was switched the rows tell, from the smaller one on. */
static void agree(struct restore_look *look)
{
    uint64_t frame = look->geometry.frame_bytes, planes = look->planes, rows = look->rows;
    uint64_t less = rows < planes ? rows : planes, more = rows < planes ? planes : rows;
    bool is_same_cube = is_same_block(rows * frame, planes * frame);
    bool is_same_table = is_same_block(rows * FITS_ROW_BYTES, planes * FITS_ROW_BYTES);

    if (planes == rows || (look->is_filler && rows < planes && !is_same_cube))
        return;
    if (is_same_cube && is_same_table)
        look->planes = look->rows = look->is_spare ? more : less;
    else if (is_same_cube)
        look->planes = rows;
    else if (is_same_table)
        look->rows = planes;
}

/* Behind the last row there are zeros: a row in them says that the table has more of them. */
static int find_more_rows(struct restore_look *look, uint64_t rows_off)
{
    uint64_t end = fits_pad(look->rows * FITS_ROW_BYTES) / FITS_ROW_BYTES, rows = look->rows;
    uint64_t frame = look->geometry.frame_bytes;
    unsigned char packed[FITS_ROW_BYTES];
    int r = 0;

    for (uint64_t i = rows; i < end && r == 0; i++) {
        struct fits_row row;

        r = fits_read_at(look->fd, rows_off + i * FITS_ROW_BYTES, packed, sizeof packed);
        fits_row_unpack(&row, packed);
        if (r == 0 && row.rtime_ns != 0)
            rows = i + 1;
    }
    if (rows > look->planes && is_same_block(rows * frame, look->planes * frame))
        look->planes = rows;
    if (rows <= look->planes)
        look->rows = rows;
    return r;
}

static bool is_second(const char *value)
{
    return strlen(value) == 29 && strcmp(value + 19, ".000000000") == 0;
}

static int64_t second_of_begin(const struct restore_look *look)
{
    char utc[FITS_TEXT_BYTES];
    int64_t ns = 0;

    if (fits_card_text(restore_bytes(look, READING_CUBE), "DATE-BEG", utc, sizeof utc) == 0)
        units_parse_utc(utc, &ns);
    return ns - (ns % 1000000000 + 1000000000) % 1000000000;
}

static int mend_frames(struct restore_look *look, const struct witness_rows *rows)
{
    struct restore_header *header = &look->ret->header[READING_FRAMES];
    const unsigned char *card = restore_near_card(&header->bytes, "DATEREF");
    int64_t dateref_ns = rows->dateref_ns;
    char utc[FITS_FLIPS_TEXT];
    struct fits_bytes model = {0};
    int r;

    if (!rows->has_dateref &&
        (!card || fits_flipped_text(card, "TIME counts from here", is_second, utc) != 0 ||
         units_parse_utc(utc, &dateref_ns) != 0))
        dateref_ns = second_of_begin(look); /* no row has a TIME: it counts for nobody */
    r = fits_build_frames(&model, look->rows, dateref_ns, NULL, look->text);
    if (r == 0)
        r = restore_mend(look->ret, header, &model, sums, "FRAMES ", look->text);
    fits_bytes_free(&model);
    return r;
}

/* Has the file the length that one of so many planes is given? Else it was cut, or made by somebody
 * else, and its length tells nothing of SPARE or FILLER. */
static bool has_planned_length(const struct restore_look *look)
{
    const struct restore_header *header = look->ret->header;
    struct fits_parts parts = {
        .primary_bytes = header[READING_CUBE].bytes.length,
        .frame_bytes = look->geometry.frame_bytes,
        .frames_header_bytes = header[READING_FRAMES].bytes.length,
        .shmkw_bytes = header[READING_SPARE].off - header[READING_SHMKW].off,
    };
    struct fits_plan plan;

    fits_plan_make(&plan, &parts,
                   look->is_spare ? look->planes : fits_plan_capacity_of(&parts, look->file_bytes));
    return plan.file_bytes == look->file_bytes;
}

static int mend_spare(struct restore_look *look)
{
    struct restore_header *header = &look->ret->header[READING_SPARE];
    struct fits_bytes model = {0};
    int r;

    if (!header->bytes.data)
        return 0;
    r = fits_build_filler(&model, look->is_spare ? "SPARE" : "FILLER",
                          look->file_bytes - header->off - header->bytes.length, look->text);
    if (r == 0)
        r = restore_mend(look->ret, header, &model, has_planned_length(look) ? "" : " NAXIS1 ",
                         look->is_spare ? "SPARE " : "FILLER ", look->text);
    fits_bytes_free(&model);
    return r;
}

/* ---- one file ---- */

static int look_at_all(struct restore_look *look, uint64_t frames_off)
{
    struct restore_header *frames = &look->ret->header[READING_FRAMES];
    struct witness_rows rows;
    uint64_t rows_off, shmkw_off = 0;
    uint32_t datasum;
    int r;

    frames->off = frames_off;
    if (read_header(look, frames_off, look->frames_model.length, &frames->bytes) < 0)
        return -ENODATA;
    rows_off = frames_off + frames->bytes.length;
    if (!count_rows(look, rows_off, &shmkw_off))
        return -ENODATA;
    r = look_at_keywords(look, shmkw_off);
    agree(look);
    if (r == 0)
        r = find_more_rows(look, rows_off);
    if (r == 0)
        r = witness_read_rows(&rows, look->fd, rows_off, look->rows);
    if (r == 0 && !fits_header_sums_up(restore_bytes(look, READING_CUBE), &datasum))
        r = restore_primary(look, &rows);
    if (r == 0 && !fits_header_sums_up(&frames->bytes, &datasum))
        r = mend_frames(look, &rows);
    if (r == 0)
        r = mend_spare(look);
    return r;
}

static int run(struct restore_look *look, int dir_fd, const char *name)
{
    struct fits_bytes *primary = restore_bytes(look, READING_CUBE);
    struct stat st;
    int r = fstat(look->fd, &st) == 0 ? 0 : -errno;

    if (r == 0 && (!S_ISREG(st.st_mode) || st.st_size < (off_t)(3 * FITS_BLOCK)))
        return 0;
    look->file_bytes = r == 0 ? (uint64_t)st.st_size : 0;
    if (r == 0)
        r = read_header(look, 0, 0, primary);
    if (r == 0 && primary->length < 10 * FITS_CARD_BYTES)
        r = -ENODATA;
    if (r == 0)
        r = fits_build_frames(&look->frames_model, 1, 0, NULL, look->text);
    if (r == 0)
        r = model_keywords(look, 0, &look->keywords_model);
    if (r == 0) {
        witness_gather(&look->witness, dir_fd, name);
        r = restore_find_shape(look) ? 0 : -ENODATA;
    }
    if (r == 0)
        r = look_at_all(look, restore_cube_end(look, &look->geometry, look->planes));
    return r;
}

int restore_look(struct restore *ret, int fd, int dir_fd, const char *name, struct dao_text *text)
{
    struct restore_look *look = calloc(1, sizeof *look);
    int r = look ? 0 : -ENOMEM;

    *ret = (struct restore){0};
    text->s[0] = '\0';
    if (r == 0) {
        look->ret = ret;
        look->text = text;
        look->fd = fd;
        r = run(look, dir_fd, name);
        witness_free(&look->witness);
        fits_bytes_free(&look->frames_model);
        fits_bytes_free(&look->keywords_model);
        free(look->keywords);
    }
    free(look);
    if (r == -EBADMSG || r == -ENOMEM || r == -EIO)
        return r;
    if (r < 0) /* nothing that we could judge */
        restore_free(ret);
    return 0;
}

void restore_free(struct restore *restore)
{
    for (unsigned i = 0; i < READING_UNITS; i++)
        fits_bytes_free(&restore->header[i].bytes);
    *restore = (struct restore){0};
}

int restore_open(const struct restore *restore, struct reading *ret, int fd, struct dao_text *text)
{
    struct stat st;
    int copy, r = 0;

    if (restore->count == 0)
        return reading_open(ret, fd, text);
    /* A file of holes, of the same length, with the headers that the real one should have. */
    copy = memfd_create("headers", MFD_CLOEXEC);
    if (copy < 0 || fstat(fd, &st) != 0 || ftruncate(copy, st.st_size) != 0)
        r = -errno;
    for (unsigned i = 0; i < READING_UNITS && r == 0; i++) {
        const struct restore_header *header = &restore->header[i];

        if (header->bytes.data && pwrite(copy, header->bytes.data, header->bytes.length,
                                         (off_t)header->off) != (ssize_t)header->bytes.length)
            r = -EIO;
    }
    if (r < 0)
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
    else
        r = reading_open(ret, copy, text);
    ret->fd = fd;
    if (copy >= 0)
        close(copy);
    return r;
}

int restore_apply(const struct restore *restore, struct sink *sink)
{
    bool changed = false;
    int r = 0;

    for (unsigned i = 0; i < READING_UNITS && r == 0; i++) {
        if (!restore->header[i].is_changed)
            continue;
        r = sink_write(sink, restore->header[i].off, restore->header[i].bytes.data,
                       restore->header[i].bytes.length);
        changed = true;
    }
    return r == 0 && changed ? sink_sync(sink) : r;
}
