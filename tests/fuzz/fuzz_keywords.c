/*
 * fuzz_keywords.c - a segment's name, shape and keywords, any bytes, on their way into a file.
 *
 * What must hold: the stream's name is harmless; the headers are valid, whatever was put into
 * them: legal cards only, no keyword twice, nothing of ours overwritten, checksums that fit; and
 * every header of a stream has the same length.
 */
#include <fitsio.h>

#include "fits/header.h"
#include "fits/keywords.h"
#include "fits/sum.h"
#include "recording/tree.h"
#include "tests/fuzz/fuzz.h"

#define KEYWORDS_MAX 90u

struct input {
    struct dao_geometry geometry;
    char path[600];
    char stream[FITS_STREAM_NAME_MAX + 1];
    IMAGE_KEYWORD keywords[KEYWORDS_MAX];
    unsigned keyword_count;
};

/* False where these bytes make no segment, or a name that is refused. */
static bool take_input(struct input *in, struct fuzz_bytes *from)
{
    uint32_t size[3];
    unsigned length;

    for (unsigned i = 0; i < 3; i++)
        size[i] = 1 + fuzz_byte(from) % 4;
    if (dao_geometry_make(&in->geometry, 1 + (int)(fuzz_byte(from) % 3), size,
                          1 + fuzz_byte(from) % 12, 1 + fuzz_byte(from), 0, NULL) < 0)
        return false;
    length = fuzz_byte(from) * 2;
    fuzz_take(from, in->path, length);
    in->path[length] = '\0';
    if (tree_stream_name(in->stream, in->path) < 0)
        return false;
    in->keyword_count = 0;
    while (from->left > 0 && in->keyword_count < KEYWORDS_MAX)
        fuzz_take(from, &in->keywords[in->keyword_count++], sizeof(IMAGE_KEYWORD));
    return true;
}

static void check_stream_name(const char *name)
{
    char file[TREE_FILE_BYTES];

    FUZZ_MUST(*name && *name != '-' && *name != '.');
    FUZZ_MUST(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
              strlen(name));
    tree_file_name(file, name, UINT64_MAX, 1);
    FUZZ_MUST(strlen(file) + 1 < sizeof file && strcmp(file + strlen(file) - 5, ".part") == 0);
}

/* ---- what cfitsio reads of the file ---- */

static void check_text(fitsfile *file, const char *key, const char *expected)
{
    char value[FLEN_VALUE];
    int status = 0;

    fits_read_key(file, TSTRING, key, value, NULL, &status);
    FUZZ_MUST(status == 0 && strcmp(value, expected) == 0);
}

/* Every card is legal, no keyword stands there twice, and those of the segment, which come behind
 * DATASUM, mean nothing to a reader of FITS. */
static void check_cards(fitsfile *file)
{
    char(*names)[FLEN_KEYWORD];
    int count = 0, more = 0, status = 0;
    bool is_users = false;

    fits_get_hdrspace(file, &count, &more, &status);
    FUZZ_MUST(status == 0 && count > 0);
    names = calloc((size_t)count, sizeof *names);
    FUZZ_MUST(names);
    for (int i = 0; i < count; i++) {
        char card[FLEN_CARD], name[FLEN_KEYWORD], value[FLEN_VALUE], comment[FLEN_COMMENT];

        fits_read_record(file, i + 1, card, &status);
        fits_test_record(card, &status);
        fits_read_keyn(file, i + 1, name, value, comment, &status);
        fits_test_keyword(name, &status);
        FUZZ_MUST(status == 0);
        if (strcmp(name, "COMMENT") == 0 || strcmp(name, "HISTORY") == 0 ||
            strcmp(name, "CONTINUE") == 0 || name[0] == '\0')
            continue;
        for (int k = 0; k < i; k++)
            FUZZ_MUST(strcmp(names[k], name) != 0);
        FUZZ_MUST(!is_users || fits_get_keyclass(card) == TYP_USER_KEY);
        is_users = is_users || strcmp(name, "DATASUM") == 0;
        memcpy(names[i], name, sizeof names[i]);
    }
    free(names);
}

static void check_file(const struct input *in, unsigned char *bytes, size_t size, uint64_t planes)
{
    int status = 0, units = 0, naxis = 0, data_ok = 0, unit_ok = 0;
    LONGLONG axes[9] = {0}, rows = 0;
    fitsfile *file = NULL;
    void *memory = bytes;

    fits_open_memfile(&file, "fuzz", READONLY, &memory, &size, 0, NULL, &status);
    fits_get_num_hdus(file, &units, &status);
    FUZZ_MUST(status == 0 && units == 3);
    for (int i = 1; i <= units; i++) {
        fits_movabs_hdu(file, i, NULL, &status);
        FUZZ_MUST(status == 0);
        check_cards(file);
        fits_verify_chksum(file, &data_ok, &unit_ok, &status);
        FUZZ_MUST(status == 0 && data_ok == 1 && unit_ok == 1);
    }
    fits_get_num_rowsll(file, &rows, &status);
    FUZZ_MUST(rows == in->keyword_count);
    fits_movabs_hdu(file, 1, NULL, &status);
    fits_get_img_dim(file, &naxis, &status);
    fits_get_img_sizell(file, 9, axes, &status);
    FUZZ_MUST(status == 0);
    FUZZ_MUST(naxis == in->geometry.naxis + 1 + in->geometry.dtype->is_complex);
    FUZZ_MUST((uint64_t)axes[naxis - 1] == planes);
    check_text(file, "EXTNAME", in->stream);
    check_text(file, "RECSTAT", "OPEN");
    check_text(file, "RECUUID", "uuid");
    check_text(file, "CREATOR", "daorec");
    fits_close_file(file, &status);
    FUZZ_MUST(status == 0);
}

/* ---- the target ---- */

/* Text in a table: printable characters, then NULs. */
static void check_row_text(const unsigned char *text, size_t count)
{
    size_t length = strnlen((const char *)text, count);

    for (size_t i = 0; i < count; i++)
        FUZZ_MUST(i < length ? text[i] >= ' ' && text[i] <= '~' : text[i] == 0);
}

static void check_row(const IMAGE_KEYWORD *keyword)
{
    unsigned char row[FITS_SHMKW_ROW_BYTES];

    fits_keyword_pack(row, keyword);
    check_row_text(row, 16);
    check_row_text(row + 16, 1);
    check_row_text(row + 33, 16);
    check_row_text(row + 49, 80);
}

static void put(unsigned char *bytes, size_t *used, const struct fits_bytes *part)
{
    if (bytes)
        memcpy(bytes + *used, part->data, part->length);
    *used += part->length;
}

static void build(const struct input *in)
{
    struct fits_facts facts = {.geometry = &in->geometry,
                               .stream = in->stream,
                               .host = "host",
                               .session = "uuid",
                               .shm_path = in->path,
                               .keywords = in->keywords,
                               .keyword_count = in->keyword_count};
    struct fits_state state = {
        .planes = 3, .file_seq = 1, .previous = "", .next = "", .end_cause = "", .status = "OPEN"};
    struct fits_bytes primary = {0}, late = {0}, frames = {0}, shmkw = {0};
    struct dao_text text = {""};
    uint32_t no_sum = 0;
    size_t used = 0, cube = fits_pad(3 * in->geometry.frame_bytes);
    unsigned char *bytes;

    FUZZ_MUST(fits_build_primary(&primary, &facts, &state, &no_sum, &text) == 0);
    FUZZ_MUST(fits_build_frames(&frames, 0, 0, &no_sum, &text) == 0);
    FUZZ_MUST(fits_build_shmkw(&shmkw, &facts, &text) == 0);
    bytes = calloc(1, primary.length + cube + frames.length + shmkw.length);
    FUZZ_MUST(bytes);
    put(bytes, &used, &primary);
    used += cube;
    put(bytes, &used, &frames);
    put(bytes, &used, &shmkw);
    check_file(in, bytes, used, 3);
    free(bytes);

    state = (struct fits_state){.planes = UINT32_MAX,
                                .file_seq = 999999,
                                .frame0 = INT64_MAX,
                                .cnt0_begin = INT64_MIN,
                                .cnt0_end = INT64_MAX,
                                .written_ns = INT64_MAX,
                                .begin_ns = INT64_MAX,
                                .end_ns = INT64_MIN,
                                .frames = INT64_MAX,
                                .fps = 1e300,
                                .lost = INT64_MAX,
                                .previous = "previous_000001.fits",
                                .next = "next_000001.fits",
                                .end_cause = "SHMGONE",
                                .status = "RECOVERD"};
    FUZZ_MUST(fits_build_primary(&late, &facts, &state, NULL, &text) == 0);
    FUZZ_MUST(late.length == primary.length);
    fits_bytes_free(&primary);
    fits_bytes_free(&late);
    fits_bytes_free(&frames);
    fits_bytes_free(&shmkw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bytes from = {data, size};
    static struct input in;

    if (!take_input(&in, &from))
        return 0;
    check_stream_name(in.stream);
    for (unsigned i = 0; i < in.keyword_count; i++)
        check_row(&in.keywords[i]);
    build(&in);
    return 0;
}

/* Names that mean something to a reader of FITS, types and values of keywords; now and then any
 * bytes. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const char names[][9] = {
        "NAXIS1",   "XTENSION", "SIMPLE", "BZERO",   "CHECKSUM", "DATASUM",  "CONTINUE",
        "HIERARCH", "COMMENT",  "END",    "RECSTAT", "EXTNAME",  "DATE-OBS", "TFORM1",
        "GAIN",     "GAIN",     "A_0_1",  "BLANK",   "lower",    "WITH SP",  "TIMESYS",
        "LONGSTRN", "PCOUNT",   "-",      "CRPIX1",  "_",        "123",      "NAXIS999",
        "MJDREF",   "BSCALE",   "CD1_1",  "ZIMAGE",  "INHERIT"};
    uint64_t state = seed * 2654435761ull + 1;
    size_t first, count, at;

    if (size < 8 || fuzz_next(&state) % 4 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    first = 7 + 2 * (size_t)data[6];
    count = size > first ? (size - first) / sizeof(IMAGE_KEYWORD) : 0;
    if (count == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    at = first + fuzz_next(&state) % count * sizeof(IMAGE_KEYWORD);
    switch (fuzz_next(&state) % 4) {
    case 0:
        memset(data + at, 0, 16);
        memcpy(data + at, names[fuzz_next(&state) % (sizeof names / sizeof names[0])], 8);
        break;
    case 1:
        data[at + 16] = (uint8_t) "LDSN?"[fuzz_next(&state) % 5];
        break;
    case 2: {
        uint64_t value = fuzz_odd_number(&state) << fuzz_next(&state) % 64;

        memcpy(data + at + 24, &value, sizeof value);
        break;
    }
    default:
        data[at + fuzz_next(&state) % sizeof(IMAGE_KEYWORD)] = (uint8_t)fuzz_next(&state);
        break;
    }
    return size;
}
