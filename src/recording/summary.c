/* summary.c - see summary.h. */
#include "recording/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <fitsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits/rows.h"

#define ROWS_AT_ONCE 8192

bool recording_is_fits(const void *head, size_t head_bytes)
{
    return head_bytes >= 30 && memcmp(head, "SIMPLE  =", 9) == 0;
}

/* ---- keywords; one that is missing leaves the zero that is there ---- */

static void get_text(fitsfile *file, const char *key, char *ret)
{
    char *value = NULL; /* SHMNAME may go on over several cards */
    int status = 0;

    if (fits_read_key_longstr(file, key, &value, NULL, &status) == 0)
        snprintf(ret, SUMMARY_TEXT, "%s", value);
    if (value) {
        status = 0;
        fits_free_memory(value, &status);
    }
}

static void get_number(fitsfile *file, const char *key, uint64_t *ret)
{
    LONGLONG value = 0;
    int status = 0;

    if (fits_read_key(file, TLONGLONG, key, &value, NULL, &status) == 0 && value >= 0)
        *ret = (uint64_t)value;
}

static void get_real(fitsfile *file, const char *key, double *ret)
{
    double value = 0.0;
    int status = 0;

    if (fits_read_key(file, TDOUBLE, key, &value, NULL, &status) == 0)
        *ret = value;
}

/* ---- any FITS file ---- */

static const struct image_type {
    int code; /* as fits_get_img_equivtype() tells it */
    const char *name;
} image_types[] = {
    {BYTE_IMG, "uint8"},     {SBYTE_IMG, "int8"},     {USHORT_IMG, "uint16"},
    {SHORT_IMG, "int16"},    {ULONG_IMG, "uint32"},   {LONG_IMG, "int32"},
    {FLOAT_IMG, "float32"},  {DOUBLE_IMG, "float64"}, {ULONGLONG_IMG, "uint64"},
    {LONGLONG_IMG, "int64"},
};

static void read_image(struct recording_summary *s, fitsfile *file, int *status)
{
    LONGLONG axes[SUMMARY_AXES_MAX] = {0};
    int code = 0;

    fits_get_num_hdus(file, &s->hdus, status);
    fits_get_img_equivtype(file, &code, status);
    fits_get_img_dim(file, &s->naxis, status);
    fits_get_img_sizell(file, SUMMARY_AXES_MAX, axes, status);
    if (*status)
        return;
    if (s->naxis > SUMMARY_AXES_MAX)
        s->naxis = SUMMARY_AXES_MAX;
    for (int i = 0; i < s->naxis; i++)
        s->size[i] = (uint64_t)axes[s->naxis - 1 - i];
    for (size_t i = 0; i < sizeof(image_types) / sizeof(image_types[0]); i++) {
        if (image_types[i].code == code)
            snprintf(s->type, sizeof(s->type), "%s", image_types[i].name);
    }
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

static void read_keywords(struct recording_summary *s, fitsfile *file)
{
    get_text(file, "RECSTAT", s->status);
    s->is_recording = s->status[0] != '\0';
    if (!s->is_recording)
        return;
    get_text(file, "EXTNAME", s->stream);
    get_text(file, "SHMNAME", s->segment);
    get_text(file, "SHMTYPE", s->type);
    get_text(file, "RECUUID", s->session);
    get_text(file, "RECHOST", s->host);
    get_text(file, "RECVERS", s->version);
    get_text(file, "ENDCAUSE", s->end_cause);
    get_number(file, "FILESEQ", &s->file_seq);
    get_number(file, "NFRAMES", &s->frames);
    get_number(file, "NLOST", &s->lost);
    get_number(file, "NGAPS", &s->gaps);
    get_number(file, "NTORN", &s->torn);
    get_number(file, "SESLOST", &s->session_lost);
    get_real(file, "FPS", &s->fps);
    restore_shape(s);
}

/* One column of some rows, by name. */
static void read_column(fitsfile *file, const char *name, LONGLONG row, LONGLONG count,
                        LONGLONG *ret, int *status)
{
    char key[FLEN_KEYWORD];
    int column = 0;

    snprintf(key, sizeof(key), "%s", name);
    fits_get_colnum(file, CASEINSEN, key, &column, status);
    fits_read_col(file, TLONGLONG, column, row, 1, count, NULL, ret, NULL, status);
}

struct row_block {
    LONGLONG rtime[ROWS_AT_ONCE], lost[ROWS_AT_ONCE], flags[ROWS_AT_ONCE];
};

/* A file that was not finished: a row with RTIME set says that its frame is there. */
static void count_rows(struct recording_summary *s, fitsfile *file, LONGLONG rows, int *status)
{
    struct row_block *b = malloc(sizeof(*b));
    uint64_t lost = 0, gaps = 0, torn = 0;

    if (!b) {
        *status = MEMORY_ALLOCATION;
        return;
    }
    for (LONGLONG first = 0; first < rows && !*status; first += ROWS_AT_ONCE) {
        LONGLONG n = rows - first < ROWS_AT_ONCE ? rows - first : ROWS_AT_ONCE;

        read_column(file, "RTIME", first + 1, n, b->rtime, status);
        read_column(file, "LOST", first + 1, n, b->lost, status);
        read_column(file, "FLAGS", first + 1, n, b->flags, status);
        for (LONGLONG i = 0; i < n && !*status; i++) {
            if (b->rtime[i] == 0)
                continue;
            s->frames = (uint64_t)(first + i + 1);
            lost += b->lost[i] > 0 ? (uint64_t)b->lost[i] : 0;
            gaps += (b->flags[i] & FITS_FLAG_GAP) != 0;
            torn += (b->flags[i] & FITS_FLAG_TORN) != 0;
        }
    }
    s->lost = lost;
    s->gaps = gaps;
    s->torn = torn;
    free(b);
}

static void read_row(fitsfile *file, LONGLONG row, int64_t *ret_cnt0, int64_t *ret_atime_ns,
                     int *status)
{
    LONGLONG cnt0 = 0, atime = 0;

    read_column(file, "CNT0", row, 1, &cnt0, status);
    read_column(file, "ATIME", row, 1, &atime, status);
    *ret_cnt0 = cnt0;
    *ret_atime_ns = atime;
}

static void read_rows(struct recording_summary *s, fitsfile *file, int *status)
{
    char name[] = "FRAMES";
    LONGLONG rows = 0;

    fits_movnam_hdu(file, BINARY_TBL, name, 0, status);
    fits_get_num_rowsll(file, &rows, status);
    if (strcmp(s->status, "OPEN") == 0) {
        s->frames = 0;
        count_rows(s, file, rows, status);
    }
    if (s->frames > (uint64_t)rows)
        s->frames = (uint64_t)rows;
    if (s->frames == 0)
        return;
    read_row(file, 1, &s->cnt0_first, &s->atime_first_ns, status);
    read_row(file, (LONGLONG)s->frames, &s->cnt0_last, &s->atime_last_ns, status);
    if (s->fps == 0.0 && s->frames > 1 && s->atime_last_ns > s->atime_first_ns)
        s->fps = (double)(s->frames - 1) * 1e9 / (double)(s->atime_last_ns - s->atime_first_ns);
}

static bool ends_in_part(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".part") == 0;
}

/* Length, and whether a writer holds its lock; asking takes a shared one for an instant. */
static int look_at_file(struct recording_summary *s, const char *path, struct dao_text *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        r = -errno;
        snprintf(text->s, sizeof(text->s), "%.250s: %s", path, strerror(errno));
    } else {
        s->file_bytes = (uint64_t)st.st_size;
        s->is_part = ends_in_part(path);
        s->is_locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    }
    if (fd >= 0)
        close(fd);
    return r;
}

int recording_summary_read(struct recording_summary *ret, const char *path, struct dao_text *text)
{
    struct recording_summary s = {0};
    char message[FLEN_STATUS] = "";
    fitsfile *file = NULL;
    int status = 0, ignored = 0, r = look_at_file(&s, path, text);

    if (r < 0)
        return r;
    fits_open_diskfile(&file, path, READONLY, &status); /* the name is taken as it stands */
    read_image(&s, file, &status);
    if (status == 0)
        read_keywords(&s, file);
    if (status == 0 && s.is_recording)
        read_rows(&s, file, &status);
    if (file)
        fits_close_file(file, &ignored);
    fits_clear_errmsg();
    if (status) {
        fits_get_errstatus(status, message);
        snprintf(text->s, sizeof(text->s), "%.250s: begins like FITS, but cannot be read: %s", path,
                 message);
        return -EBADMSG;
    }
    *ret = s;
    return 0;
}
