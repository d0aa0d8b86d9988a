/* summary.c - see summary.h. */
#include "recording/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits/rows.h"
#include "fits/scan.h"

#define ROWS_AT_ONCE 4096u

bool recording_is_fits(const void *head, size_t head_bytes)
{
    return fits_scan_is_fits(head, head_bytes);
}

/* ---- keywords; one that is missing leaves the zero that is there ---- */

static void get_text(const struct fits_bytes *header, const char *key, char *ret)
{
    fits_card_text(header, key, ret, SUMMARY_TEXT);
}

static void get_number(const struct fits_bytes *header, const char *key, uint64_t *ret)
{
    int64_t value = 0;

    if (fits_card_integer(header, key, &value) == 0 && value >= 0)
        *ret = (uint64_t)value;
}

/* ---- any FITS file ---- */

/* As numpy spells what the pixels are once BSCALE and BZERO are applied. */
static const struct image_type {
    int bitpix;
    double bzero;
    const char *name;
} image_types[] = {
    {8, 0.0, "uint8"},     {8, -128.0, "int8"},
    {16, 0.0, "int16"},    {16, 32768.0, "uint16"},
    {32, 0.0, "int32"},    {32, 2147483648.0, "uint32"},
    {64, 0.0, "int64"},    {64, 9223372036854775808.0, "uint64"},
    {-32, 0.0, "float32"}, {-64, 0.0, "float64"},
};

static void read_type(struct recording_summary *s, const struct fits_unit *unit)
{
    double bscale = 1.0, bzero = 0.0;
    const char *name =
        unit->bitpix == 8 || unit->bitpix == 16 || unit->bitpix == -32 ? "float32" : "float64";

    fits_card_real(&unit->header, "BSCALE", &bscale);
    fits_card_real(&unit->header, "BZERO", &bzero);
    for (size_t i = 0; i < sizeof(image_types) / sizeof(image_types[0]); i++)
        if (bscale == 1.0 && image_types[i].bitpix == unit->bitpix && image_types[i].bzero == bzero)
            name = image_types[i].name;
    snprintf(s->type, sizeof(s->type), "%s", name);
}

static void read_image(struct recording_summary *s, const struct fits_unit *unit)
{
    _Static_assert(SUMMARY_AXES_MAX >= FITS_SCAN_AXES, "room for all axes");

    read_type(s, unit);
    s->naxis = unit->naxis;
    for (int i = 0; i < s->naxis; i++)
        s->size[i] = unit->axis[s->naxis - 1 - i];
}

/* ---- recordings ---- */

/* Type and shape as the segment had them: the frame axis first, and complex numbers whole. */
static void restore_shape(struct recording_summary *s)
{
    const struct dao_dtype *dtype = dao_dtype_find(s->type);

    if (dtype) {
        snprintf(s->type, sizeof(s->type), "%s", dtype->name);
        if (dtype->is_complex && s->naxis > 1)
            s->naxis--; /* the last of numpy's axes is the pair */
    }
    if (s->naxis > 0)
        s->capacity = s->size[0];
}

static void read_keywords(struct recording_summary *s, const struct fits_bytes *header)
{
    char creator[SUMMARY_TEXT] = "";

    get_text(header, "RECSTAT", s->status);
    s->is_recording = s->status[0] != '\0';
    get_text(header, "CREATOR", creator);
    s->is_extract = !s->is_recording && strcmp(creator, "daorec") == 0;
    if (!s->is_recording)
        return;
    get_text(header, "EXTNAME", s->stream);
    get_text(header, "SHMNAME", s->segment);
    get_text(header, "SHMTYPE", s->type);
    get_text(header, "RECUUID", s->session);
    get_text(header, "RECHOST", s->host);
    get_text(header, "RECVERS", s->version);
    get_text(header, "ENDCAUSE", s->end_cause);
    get_number(header, "FILESEQ", &s->file_seq);
    get_number(header, "NFRAMES", &s->frames);
    get_number(header, "NLOST", &s->lost);
    get_number(header, "NGAPS", &s->gaps);
    get_number(header, "NTORN", &s->torn);
    get_number(header, "SESLOST", &s->session_lost);
    fits_card_real(header, "FPS", &s->fps);
    restore_shape(s);
}

/* The rows of FRAMES, as they stand in the file. */
struct row_table {
    int fd;
    uint64_t off, count;
    unsigned char packed[ROWS_AT_ONCE * FITS_ROW_BYTES];
};

static void note_row(struct recording_summary *s, uint64_t index, const struct fits_row *row)
{
    if (row->rtime_ns == 0)
        return;
    s->frames = index + 1;
    s->lost += row->lost > 0 ? (uint64_t)row->lost : 0;
    s->gaps += (row->flags & FITS_FLAG_GAP) != 0;
    s->torn += (row->flags & FITS_FLAG_TORN) != 0;
}

/* A file that was not finished: a row with RTIME set says that its frame is there. */
static int count_rows(struct recording_summary *s, struct row_table *table)
{
    s->frames = s->lost = s->gaps = s->torn = 0;
    for (uint64_t first = 0; first < table->count; first += ROWS_AT_ONCE) {
        uint64_t left = table->count - first, n = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        struct fits_row row;
        int r = fits_read_at(table->fd, table->off + first * FITS_ROW_BYTES, table->packed,
                             (size_t)n * FITS_ROW_BYTES);

        if (r < 0)
            return r;
        for (uint64_t i = 0; i < n; i++) {
            fits_row_unpack(&row, table->packed + i * FITS_ROW_BYTES);
            note_row(s, first + i, &row);
        }
    }
    return 0;
}

static int read_row(struct row_table *table, uint64_t index, int64_t *ret_cnt0,
                    int64_t *ret_atime_ns)
{
    struct fits_row row;
    int r =
        fits_read_at(table->fd, table->off + index * FITS_ROW_BYTES, table->packed, FITS_ROW_BYTES);

    if (r < 0)
        return r;
    fits_row_unpack(&row, table->packed);
    *ret_cnt0 = row.cnt0;
    *ret_atime_ns = row.atime_ns;
    return 0;
}

static int read_rows(struct recording_summary *s, int fd, const struct fits_unit *unit)
{
    struct row_table *table = malloc(sizeof(*table));
    double span_s;
    int r = 0;

    if (!table)
        return -ENOMEM;
    table->fd = fd;
    table->off = unit->data_off;
    table->count = unit->axis[1];
    if (strcmp(s->status, "OPEN") == 0)
        r = count_rows(s, table);
    if (s->frames > table->count)
        s->frames = table->count;
    if (r == 0 && s->frames > 0)
        r = read_row(table, 0, &s->cnt0_first, &s->atime_first_ns);
    if (r == 0 && s->frames > 0)
        r = read_row(table, s->frames - 1, &s->cnt0_last, &s->atime_last_ns);
    span_s = ((double)s->atime_last_ns - (double)s->atime_first_ns) / 1e9;
    if (s->fps == 0.0 && s->frames > 1 && span_s > 0.0)
        s->fps = (double)(s->frames - 1) / span_s;
    free(table);
    return r;
}

/* ---- the file ---- */

static bool is_rows(const struct fits_unit *unit)
{
    return unit->is_table && strcmp(unit->extname, "FRAMES") == 0 && unit->naxis == 2 &&
           unit->axis[0] == FITS_ROW_BYTES;
}

/* What lies behind a damaged unit is not told: there is verify for that. */
static int read_units(struct recording_summary *s, int fd, struct dao_text *text)
{
    struct fits_unit unit = {0};
    uint64_t off = 0;
    bool has_rows = false;
    int r;

    while ((r = fits_scan_unit(&unit, fd, s->file_bytes, off, text)) == 0) {
        if (s->hdus == 0) {
            read_image(s, &unit);
            read_keywords(s, &unit.header);
        } else if (s->is_recording && !has_rows && is_rows(&unit)) {
            has_rows = true;
            r = read_rows(s, fd, &unit);
        }
        s->hdus++;
        off = unit.end;
        fits_unit_free(&unit);
        if (r < 0)
            return r;
    }
    if (r == -ENODATA && (has_rows || !s->is_recording))
        return 0;
    if (r == -EBADMSG && s->hdus > 0 && (has_rows || !s->is_recording))
        return 0;
    if (r == -ENODATA)
        snprintf(text->s, sizeof(text->s), "a recording without its table FRAMES");
    return r == -ENODATA ? -EBADMSG : r;
}

static bool ends_in_part(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".part") == 0;
}

int recording_summary_read(struct recording_summary *ret, const char *path, struct dao_text *text)
{
    struct recording_summary s = {0};
    struct dao_text found = {""};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0) {
        s.file_bytes = (uint64_t)st.st_size;
        s.is_part = ends_in_part(path);
        /* Asking takes a shared lock for an instant. */
        s.is_locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
        flock(fd, LOCK_UN);
        r = read_units(&s, fd, &found);
        if (r == -EBADMSG)
            snprintf(text->s, sizeof(text->s),
                     "%.200s: begins like FITS, but cannot be read: %.100s", path, found.s);
    }
    if (r < 0 && r != -EBADMSG)
        snprintf(text->s, sizeof(text->s), "%.250s: %s", path, strerror(-r));
    if (fd >= 0)
        close(fd);
    if (r == 0)
        *ret = s;
    return r;
}
