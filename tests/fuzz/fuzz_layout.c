/*
 * fuzz_layout.c - a segment's bytes, any bytes: told apart, opened, read as record does and through
 * the public interface, while they go on changing.
 *
 * What must hold: no crash, nothing read or given out beyond the file, no endless loop.
 */
#include "lib/reader.h"
#include "tests/fuzz/fuzz.h"

static volatile uint64_t sink; /* so that reading pixels is not optimised away */

/* ---- bytes that change while they are read ---- */

struct poker {
    unsigned char *map;
    size_t size;
    uint32_t stride; /* of metadata blocks */
    uint64_t state;
};

/* Where a field that matters lies in a metadata block, and its bytes. */
static const struct {
    uint16_t off, bytes;
} fields[] = {
    {80, 1},  {84, 4},   {88, 4},   {92, 4},   {96, 8},    {104, 1},   {112, 8},   {128, 8},
    {136, 8}, {152, 8},  {160, 8},  {168, 8},  {176, 1},   {178, 2},   {188, 4},   {192, 4},
    {200, 8}, {4288, 8}, {4296, 4}, {4300, 4}, {16392, 4}, {16396, 4}, {16400, 4},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static void change_field(unsigned char *map, size_t size, uint32_t stride, uint64_t *state)
{
    unsigned i = (unsigned)(fuzz_next(state) % FIELDS);
    size_t blocks = size / stride ? size / stride : 1;
    size_t at = (fuzz_next(state) % 2 ? fuzz_next(state) % blocks * stride : 0) + fields[i].off;
    uint64_t value;

    if (at + fields[i].bytes > size)
        return;
    switch (fuzz_next(state) % 3) {
    case 0:
        value = fuzz_odd_number(state);
        break;
    case 1:
        memset(&value, 0, sizeof value);
        memcpy(&value, map + at, fields[i].bytes);
        value += fuzz_next(state) % 7 - 3;
        break;
    default:
        value = fuzz_next(state) % 8;
        break;
    }
    memcpy(map + at, &value, fields[i].bytes);
}

static void poke(struct poker *poker)
{
    if (fuzz_next(&poker->state) % 3 == 0)
        change_field(poker->map, poker->size, poker->stride, &poker->state);
}

/* ---- the core's reader ---- */

static void look_at_pixels(const struct dao_segment *seg, const struct dao_take *take)
{
    const unsigned char *pixels = take->pixels, *first = seg->map + seg->geo.data_off;

    FUZZ_MUST(take->slot < seg->geo.depth);
    FUZZ_MUST(pixels == first + take->slot * seg->geo.frame_bytes);
    FUZZ_MUST(pixels + seg->geo.frame_bytes <= seg->map + seg->geo.file_bytes);
    for (uint64_t i = 0; i < seg->geo.frame_bytes; i += 997)
        sink += pixels[i];
}

static void read_frames(const struct dao_segment *seg, struct poker *poker,
                        enum dao_lap_policy policy, bool backlog)
{
    struct dao_reader reader;
    struct dao_take take;

    if (dao_reader_init(&reader, seg, policy, backlog) < 0)
        return;
    reader.torn_look_ns = 0;
    for (unsigned turn = 0; turn < 24; turn++) {
        memset(&take, 0, sizeof take);
        poke(poker);
        switch (dao_reader_begin(&reader, &take)) {
        case DAO_READ_FRAME:
            look_at_pixels(seg, &take);
            poke(poker);
            dao_reader_finish(&reader, &take);
            break;
        case DAO_READ_NONE:
            if (dao_reader_look(&reader) < 0)
                return;
            break;
        case DAO_READ_RESTART:
            break;
        default:
            return;
        }
        FUZZ_MUST(reader.slot < seg->geo.depth);
        dao_reader_note_newest(&reader);
        sink += dao_reader_backlog(&reader) + dao_reader_is_ready(&reader);
        dao_reader_peek(&reader);
    }
}

static void read_all(const char *path, struct poker *poker)
{
    struct dao_text text = {""};
    struct dao_segment seg;
    struct dao_take take;
    IMAGE_KEYWORD keyword;
    uint64_t cnt0;
    uint32_t slot;

    if (dao_segment_open(&seg, path, DAO_ACCESS_READ, &text) < 0) {
        FUZZ_MUST(text.s[0] != '\0');
        return;
    }
    FUZZ_MUST(seg.geo.file_bytes == poker->size);
    poker->stride = seg.geo.layout->md_bytes;
    dao_segment_newest(&seg, &slot, &cnt0);
    FUZZ_MUST(slot < seg.geo.depth);
    for (slot = 0; slot < seg.geo.depth; slot++) {
        dao_segment_snapshot(&seg, slot, &take);
        look_at_pixels(&seg, &take);
    }
    for (unsigned i = 0; i < seg.geo.nbkw; i++)
        dao_segment_keyword(&seg, i, &keyword);
    for (unsigned i = 0; i < 4; i++)
        read_frames(&seg, poker, i & 1 ? DAO_LAP_NEWEST : DAO_LAP_OLDEST, i & 2);
    dao_segment_close(&seg);
}

/* ---- the public interface ---- */

static void read_public(const char *path, struct poker *poker)
{
    unsigned char *frame;
    DAO_FRAME told;
    void *pixels;
    uint64_t bytes, cnt0;
    uint32_t slot;
    IMAGE image;

    if (daoShmShm2ImgReadOnly(path, &image) != DAO_SUCCESS)
        return;
    bytes = poker->size;
    frame = malloc(bytes);
    for (unsigned turn = 0; frame && turn < 16; turn++) {
        int_fast8_t status;

        poke(poker);
        status = daoShmGetNextSegment(&image, &pixels, &slot, &cnt0);
        if (status == DAO_SUCCESS || status == DAO_OVERWRITE) {
            FUZZ_MUST(slot < bytes / sizeof(IMAGE_METADATA));
            sink += *(unsigned char *)pixels;
            daoShmCheckSegmentOverwrite(&image);
        }
        poke(poker);
        daoShmCopyNextSegment(&image, frame, bytes, &told);
        if (daoShmGetNewestSegment(&image, &pixels, NULL, NULL) == DAO_SUCCESS)
            sink += *(unsigned char *)pixels;
        if (daoShmGetArbitrarySegment(&image, &pixels, (uint_fast32_t)poker->state) == DAO_SUCCESS)
            sink += *(unsigned char *)pixels;
        sink += daoShmGetCounter(&image);
        daoShmResetTailOldest(&image, &slot, &cnt0);
        daoShmResetTail(&image, &slot, &cnt0);
        FUZZ_MUST(daoShmImage2Shm(frame, 1, &image) == DAO_ERROR); /* it was opened to read */
    }
    free(frame);
    daoShmCloseShm(&image);
}

/* ---- the target ---- */

static void identify(const uint8_t *data, size_t size)
{
    static const int64_t steps[] = {0, 1, -1, 8, -8, 120, -120, 4096};
    struct dao_text text = {""};
    struct dao_geometry geo;
    bool ambiguous;

    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uint64_t bytes = (uint64_t)((int64_t)size + steps[i]);

        if (dao_layout_identify(&geo, data, size, bytes, &ambiguous, &text) == 0)
            FUZZ_MUST(geo.file_bytes == bytes && geo.depth >= 1 && geo.nelement >= 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct poker poker = {.size = size, .stride = 4304, .state = fuzz_seed_of(data, size)};
    char path[64];
    int fd;

    identify(data, size);
    if (size == 0)
        return 0;
    fd = fuzz_file(path, data, size);
    poker.map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FUZZ_MUST(poker.map != MAP_FAILED);
    read_all(path, &poker);
    memcpy(poker.map, data, size);
    read_public(path, &poker);
    munmap(poker.map, size);
    close(fd);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    uint64_t state = seed * 2654435761ull + 1;

    if (size < 4296 || fuzz_next(&state) % 8 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    for (unsigned changes = 1 + (unsigned)(fuzz_next(&state) % 3); changes > 0; changes--)
        change_field(data, size, size % 16448 < 16448 / 2 ? 16448 : 4304, &state);
    return size;
}
