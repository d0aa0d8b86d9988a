/* reading.c - see reading.h. */
#include "recording/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "fits/sum.h"

#define CHUNK_BYTES (2u << 20) /* of pixels at a time; a multiple of 8 */

static int refuse(struct dao_text *text, const char *what)
{
    snprintf(text->s, sizeof text->s, "%s", what);
    return -EBADMSG;
}

/* ---- cards ---- */

#define CARD(member) offsetof(struct reading_cards, member)

static const struct {
    const char *key;
    size_t offset, bytes; /* bytes 0: an integer */
} card_table[] = {
    {"EXTNAME", CARD(stream), FITS_TEXT_BYTES},
    {"SHMNAME", CARD(segment), sizeof((struct reading_cards *)0)->segment},
    {"RECUUID", CARD(uuid), FITS_TEXT_BYTES},
    {"RECHOST", CARD(host), FITS_TEXT_BYTES},
    {"RECVERS", CARD(version), FITS_TEXT_BYTES},
    {"RECSTAT", CARD(status), FITS_TEXT_BYTES},
    {"ENDCAUSE", CARD(end_cause), FITS_TEXT_BYTES},
    {"PREVFILE", CARD(previous), FITS_TEXT_BYTES},
    {"NEXTFILE", CARD(next), FITS_TEXT_BYTES},
    {"FILESEQ", CARD(file_seq), 0},
    {"FRAME0", CARD(frame0), 0},
    {"NFRAMES", CARD(frames), 0},
    {"CNT0BEG", CARD(cnt0_begin), 0},
    {"CNT0END", CARD(cnt0_end), 0},
    {"NLOST", CARD(lost), 0},
    {"NGAPS", CARD(gaps), 0},
    {"NTORN", CARD(torn), 0},
    {"SESLOST", CARD(session_lost), 0},
};

static int read_time(const struct fits_bytes *header, const char *key, int64_t *ret_ns)
{
    char utc[FITS_TEXT_BYTES];
    int r = fits_card_text(header, key, utc, sizeof utc);

    return r < 0 ? r : units_parse_utc(utc, ret_ns);
}

static int read_cards(struct reading *reading, struct dao_text *text)
{
    const struct fits_bytes *header = &reading->unit[READING_CUBE].header;
    unsigned char *cards = (unsigned char *)&reading->cards;
    const char *key = NULL;
    int r = 0;

    for (size_t i = 0; i < sizeof card_table / sizeof card_table[0] && r == 0; i++) {
        void *to = cards + card_table[i].offset;

        key = card_table[i].key;
        r = card_table[i].bytes ? fits_card_text(header, key, to, card_table[i].bytes)
                                : fits_card_integer(header, key, to);
    }
    if (r == 0)
        r = fits_card_real(header, key = "FPS", &reading->cards.fps);
    if (r == 0)
        r = read_time(header, key = "DATE-BEG", &reading->cards.begin_ns);
    if (r == 0)
        r = read_time(header, key = "DATE-END", &reading->cards.end_ns);
    if (r == 0 && (reading->cards.file_seq < 1 || strlen(reading->cards.stream) == 0 ||
                   strlen(reading->cards.stream) > FITS_STREAM_NAME_MAX))
        r = -EINVAL, key = "FILESEQ or EXTNAME";
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "the primary header has no proper %s", key);
        return -EBADMSG;
    }
    return 0;
}

/* ---- the cube ---- */

static int read_geometry(struct reading *reading, struct dao_text *text)
{
    const struct fits_bytes *header = &reading->unit[READING_CUBE].header;
    const struct dao_dtype *dtype;
    char type[FITS_TEXT_BYTES] = "";
    uint32_t size[3] = {0};
    int64_t depth = 0;
    int naxis = 0;

    if (fits_card_text(header, "SHMTYPE", type, sizeof type) < 0 || !(dtype = dao_dtype_find(type)))
        return refuse(text, "SHMTYPE names no type that we know");
    for (int i = 0; i < 3; i++) {
        char key[24];
        int64_t value = -1;

        snprintf(key, sizeof key, "SHMSIZ%d", i + 1);
        if (fits_card_integer(header, key, &value) < 0 || value < 0 || value > UINT32_MAX)
            return refuse(text, "the primary header has no proper SHMSIZn");
        size[i] = (uint32_t)value;
        naxis += value > 0 && naxis == i;
    }
    if (fits_card_integer(header, "FIFOSIZE", &depth) < 0 || depth < 1 || depth > UINT32_MAX)
        return refuse(text, "the primary header has no proper FIFOSIZE");
    /* The depth is no matter of the file: a segment of that many slots need not be possible. */
    if (dao_geometry_make(&reading->geometry, naxis, size, dtype->atype, 1, 0, text) < 0)
        return -EBADMSG;
    reading->geometry.depth = (uint32_t)depth;
    reading->frame_bytes = reading->geometry.frame_bytes;
    return 0;
}

/* Do the image's axes say the same as the segment's? The last one counts frames. */
static int check_axes(struct reading *reading, struct dao_text *text)
{
    const struct fits_unit *cube = &reading->unit[READING_CUBE];
    const struct dao_geometry *geometry = &reading->geometry;
    int bits = 8 * geometry->dtype->word_bytes, axis = 0;

    if (cube->bitpix != (geometry->dtype->is_float ? -bits : bits))
        return refuse(text, "BITPIX does not fit SHMTYPE");
    if (cube->naxis != geometry->naxis + geometry->dtype->is_complex + 1)
        return refuse(text, "NAXIS does not fit SHMSIZn");
    if (geometry->dtype->is_complex && cube->axis[axis++] != 2)
        return refuse(text, "the first axis is no pair of a complex number");
    for (int i = geometry->naxis - 1; i >= 0; i--)
        if (cube->axis[axis++] != geometry->size[i])
            return refuse(text, "NAXISn do not fit SHMSIZn");
    reading->planes = cube->axis[axis];
    if (reading->planes == 0)
        return refuse(text, "it has no room for frames");
    reading->cube_off = cube->data_off;
    return 0;
}

/* ---- the tables ---- */

int reading_check_columns(const struct fits_unit *unit, struct dao_text *text)
{
    const struct fits_bytes *header = &unit->header;
    int64_t fields = 0, zero = 0;

    if (!unit->is_table || strcmp(unit->extname, "FRAMES") != 0 || unit->bitpix != 8 ||
        unit->naxis != 2 || unit->axis[0] != FITS_ROW_BYTES ||
        unit->data_bytes != unit->axis[1] * FITS_ROW_BYTES)
        return refuse(text, "what follows the cube is not the table FRAMES");
    if (fits_card_integer(header, "TFIELDS", &fields) < 0 || fields != FITS_ROW_COLUMNS)
        return refuse(text, "FRAMES has not the columns it should have");
    for (int i = 0; i < FITS_ROW_COLUMNS; i++) {
        const struct fits_column *column = &fits_row_columns[i];
        const char *form = strcmp(column->tform, "1V") == 0 ? "1J" : column->tform;
        char key[24], value[FITS_TEXT_BYTES] = "";

        snprintf(key, sizeof key, "TTYPE%d", i + 1);
        if (fits_card_text(header, key, value, sizeof value) < 0 ||
            strcmp(value, column->ttype) != 0)
            return refuse(text, "FRAMES has not the columns it should have");
        snprintf(key, sizeof key, "TFORM%d", i + 1);
        if (fits_card_text(header, key, value, sizeof value) < 0 ||
            (strcmp(value, form) != 0 && strcmp(value, form + 1) != 0)) /* "1K" is "K" */
            return refuse(text, "FRAMES has not the columns it should have");
    }
    if (fits_card_integer(header, "TZERO10", &zero) < 0 || zero != 2147483648ll)
        return refuse(text, "FRAMES has not the columns it should have");
    return 0;
}

static int check_frames(struct reading *reading, struct dao_text *text)
{
    const struct fits_unit *frames = &reading->unit[READING_FRAMES];
    int r = reading_check_columns(frames, text);

    if (r < 0)
        return r;
    reading->rows = frames->axis[1];
    reading->rows_off = frames->data_off;
    if (reading->rows == 0 || reading->rows > reading->planes)
        return refuse(text, "FRAMES has not as many rows as there are frames");
    if (read_time(&frames->header, "DATEREF", &reading->dateref_ns) < 0)
        return refuse(text, "FRAMES has no proper DATEREF");
    return 0;
}

static bool is_spare(const struct fits_unit *unit)
{
    return !unit->is_table && unit->bitpix == 8 && unit->naxis == 1 &&
           (strcmp(unit->extname, "SPARE") == 0 || strcmp(unit->extname, "FILLER") == 0);
}

static int check_rest(const struct reading *reading, struct dao_text *text)
{
    const struct fits_unit *keywords = &reading->unit[READING_SHMKW];

    if (!keywords->is_table || strcmp(keywords->extname, "SHMKW") != 0)
        return refuse(text, "what follows FRAMES is not the table SHMKW");
    if (reading->unit_count == READING_UNITS && !is_spare(&reading->unit[READING_SPARE]))
        return refuse(text, "what follows SHMKW is neither SPARE nor FILLER");
    return 0;
}

/* ---- opening ---- */

/* A finished file ends with its third unit; what else may follow there somebody has appended. */
static bool is_appended(struct reading *reading, int scanned)
{
    struct fits_unit *last = &reading->unit[READING_SPARE];

    if (reading->unit_count < READING_SPARE || strcmp(reading->cards.status, "OPEN") == 0)
        return false;
    if (scanned == 0 ? is_spare(last) : scanned != -EBADMSG)
        return false;
    if (scanned == 0)
        fits_unit_free(last);
    reading->unit_count = READING_SPARE;
    return true;
}

static int scan_units(struct reading *reading, struct dao_text *text)
{
    uint64_t off = reading->unit[READING_CUBE].end;
    int r = 0;

    while (reading->unit_count < READING_UNITS) {
        r = fits_scan_unit(&reading->unit[reading->unit_count], reading->fd, reading->file_bytes,
                           off, text);
        if (r < 0)
            break;
        off = reading->unit[reading->unit_count++].end;
    }
    if (is_appended(reading, r)) {
        text->s[0] = '\0';
        r = 0;
    }
    if (r < 0 && r != -ENODATA)
        return r;
    if (reading->unit_count < 3)
        return refuse(text, "the file ends before its tables: it was cut off");
    reading->behind_bytes = reading->file_bytes - reading->unit[reading->unit_count - 1].end;
    return 0;
}

static int open_first(struct reading *reading, struct dao_text *text)
{
    unsigned char head[80];
    struct stat st;
    int r;

    if (fstat(reading->fd, &st) != 0)
        r = -errno;
    else
        r = S_ISREG(st.st_mode) ? fits_read_at(reading->fd, 0, head, sizeof head) : -EINVAL;
    if (r == -EINVAL || (r == -ENODATA && st.st_size == 0)) {
        snprintf(text->s, sizeof text->s, r == -EINVAL ? "is no regular file" : "is empty");
        return -EMEDIUMTYPE;
    }
    if (r == -ENODATA || (r == 0 && !fits_scan_is_fits(head, sizeof head))) {
        snprintf(text->s, sizeof text->s, "is no FITS file");
        return -EMEDIUMTYPE;
    }
    if (r < 0) {
        snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        return r;
    }
    reading->file_bytes = (uint64_t)st.st_size;
    r = fits_scan_unit(&reading->unit[READING_CUBE], reading->fd, reading->file_bytes, 0, text);
    if (r < 0)
        return r;
    reading->unit_count = 1;
    if (!fits_card_find(&reading->unit[READING_CUBE].header, "RECSTAT")) {
        snprintf(text->s, sizeof text->s, "is no recording of daorec");
        return -EMEDIUMTYPE;
    }
    return 0;
}

int reading_open_anyway(struct reading *ret, int fd, struct dao_text *text)
{
    int r;

    *ret = (struct reading){.fd = fd};
    text->s[0] = '\0';
    r = open_first(ret, text);
    if (r == 0)
        r = read_geometry(ret, text);
    if (r == 0)
        r = check_axes(ret, text);
    if (r == 0)
        r = read_cards(ret, text);
    if (r == 0)
        r = scan_units(ret, text);
    if (r == 0)
        r = check_frames(ret, text);
    if (r == 0)
        r = check_rest(ret, text);
    if (r < 0) {
        if (text->s[0] == '\0')
            snprintf(text->s, sizeof text->s, "%s", strerror(-r));
        reading_close(ret);
    }
    return r;
}

int reading_open(struct reading *ret, int fd, struct dao_text *text)
{
    int r = reading_open_anyway(ret, fd, text);

    if (r == 0 && ret->behind_bytes > 0) {
        fits_scan_describe_behind(text, ret->behind_bytes, ret->file_bytes);
        reading_close(ret);
        r = -EBADMSG;
    }
    return r;
}

int reading_open_neighbour(struct reading *ret, int dir_fd, const struct reading *own, uint64_t seq,
                           int *ret_fd)
{
    char stream[FITS_STREAM_NAME_MAX + 1], name[TREE_FILE_BYTES];
    struct dao_text ignored;

    snprintf(stream, sizeof stream, "%.*s", FITS_STREAM_NAME_MAX, own->cards.stream);
    for (int part = 0; part < 2 && !strchr(stream, '/'); part++) {
        int fd, r;

        tree_file_name(name, stream, seq, part);
        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            continue;
        r = reading_open(ret, fd, &ignored);
        if (r == 0 && strcmp(ret->cards.uuid, own->cards.uuid) == 0 &&
            ret->cards.file_seq == (int64_t)seq) {
            *ret_fd = fd;
            return 0;
        }
        reading_close(ret);
        close(fd);
    }
    return -ENOENT;
}

void reading_close(struct reading *reading)
{
    for (unsigned i = 0; i < READING_UNITS; i++)
        fits_unit_free(&reading->unit[i]);
    reading->unit_count = 0;
}

/* ---- rows ---- */

int reading_rows(const struct reading *reading, uint64_t first, uint64_t count,
                 unsigned char *ret_packed)
{
    if (first > reading->rows || count > reading->rows - first)
        return -ERANGE;
    return fits_read_at(reading->fd, reading->rows_off + first * FITS_ROW_BYTES, ret_packed,
                        (size_t)count * FITS_ROW_BYTES);
}

void reading_cursor_init(struct reading_cursor *cursor, const struct reading *reading)
{
    cursor->reading = reading;
    cursor->first = cursor->count = 0;
}

const unsigned char *reading_cursor_row(struct reading_cursor *cursor, uint64_t index,
                                        int *ret_error)
{
    uint64_t rows = cursor->reading->rows;

    if (index < cursor->first || index - cursor->first >= cursor->count) {
        uint64_t count = index < rows ? rows - index : 0;

        cursor->first = index;
        cursor->count = count < READING_ROWS_AT_ONCE ? count : READING_ROWS_AT_ONCE;
        *ret_error = index < rows
                         ? reading_rows(cursor->reading, index, cursor->count, cursor->chunk)
                         : -ERANGE;
        if (*ret_error < 0) {
            cursor->count = 0;
            return NULL;
        }
    }
    return cursor->chunk + (index - cursor->first) * FITS_ROW_BYTES;
}

/* ---- pixels ---- */

struct walk {
    const struct reading_visitor *visitor;
    uint64_t frame_bytes, index, filled; /* bytes of the current frame that are summed */
    uint32_t sum;
};

/* Hand a piece of the cube to the frames it belongs to. */
static int walk_piece(struct walk *walk, const unsigned char *bytes, size_t count)
{
    while (count > 0) {
        uint64_t left = walk->frame_bytes - walk->filled;
        size_t part = left < count ? (size_t)left : count;
        int r;

        walk->sum = fits_sum_add(walk->sum, fits_sum_at(fits_sum_bytes(bytes, part), walk->filled));
        walk->filled += part;
        bytes += part;
        count -= part;
        if (walk->filled < walk->frame_bytes)
            return 0;
        r = walk->visitor->frame(walk->visitor->ctx, walk->index, walk->sum);
        if (r < 0)
            return r;
        walk->index++;
        walk->filled = 0;
        walk->sum = 0;
    }
    return 0;
}

int reading_visit_frames(const struct reading *reading, uint64_t first, uint64_t count,
                         const struct reading_visitor *visitor)
{
    struct walk walk = {.visitor = visitor, .frame_bytes = reading->frame_bytes, .index = first};
    uint64_t off, end, done = 0;
    unsigned char *chunk;
    int r = 0;

    if (first > reading->planes || count > reading->planes - first)
        return -ERANGE;
    chunk = aligned_alloc(4096, CHUNK_BYTES);
    if (!chunk)
        return -ENOMEM;
    off = reading->cube_off + first * reading->frame_bytes;
    end = off + count * reading->frame_bytes;
    posix_fadvise(reading->fd, (off_t)off, (off_t)(end - off), POSIX_FADV_SEQUENTIAL);
    while (off < end && r == 0) {
        size_t part = CHUNK_BYTES - (size_t)(off % CHUNK_BYTES); /* to a boundary of the file */

        part = end - off < part ? (size_t)(end - off) : part;
        r = fits_read_at(reading->fd, off, chunk, part);
        if (r == 0)
            r = walk_piece(&walk, chunk, part);
        off += part;
        done += part;
        if (r == 0 && visitor->progress)
            visitor->progress(visitor->ctx, done);
    }
    free(chunk);
    return r;
}

int reading_sum_bytes(const struct reading *reading, uint64_t off, uint64_t bytes, uint32_t *ret,
                      bool *ret_zero)
{
    unsigned char chunk[16384];
    uint32_t sum = 0;
    bool zero = true;

    for (uint64_t done = 0; done < bytes;) {
        size_t part = bytes - done < sizeof chunk ? (size_t)(bytes - done) : sizeof chunk;
        int r = fits_read_at(reading->fd, off + done, chunk, part);

        if (r < 0)
            return r;
        sum = fits_sum_add(sum, fits_sum_bytes(chunk, part));
        for (size_t i = 0; i < part && zero; i++)
            zero = chunk[i] == 0;
        done += part;
    }
    *ret = sum;
    if (ret_zero)
        *ret_zero = zero;
    return 0;
}
