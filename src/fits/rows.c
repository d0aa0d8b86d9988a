/* rows.c - packing rows of the FRAMES table. See rows.h. */
#include "fits/rows.h"

#include <string.h>

#include "fits/sum.h"

const struct fits_column fits_row_columns[FITS_ROW_COLUMNS] = {
    {"TIME", "1D", "s", "publication, after DATEREF"},
    {"ATIME", "1K", "ns", "publication, POSIX time"},
    {"CNT0", "1K", "", "frame counter"},
    {"CNT1", "1K", "", "second counter"},
    {"CNT2", "1K", "", "third counter (frame id)"},
    {"RTIME", "1K", "ns", "taken by the recorder, POSIX time"},
    {"LOST", "1J", "", "frames lost just before this one"},
    {"FLAGS", "1J", "", "bits, see FLG0 ... FLG7"},
    {"SLOT", "1J", "", "FIFO slot"},
    {"DSUM", "1V", "", "checksum of the frame's stored bytes"},
};

const char *const fits_flag_meaning[FITS_FLAG_COUNT] = {
    "bit 0 GAP: frames are missing before this one",
    "bit 1 OVERWRITE: the reader was lapped",
    "bit 2 TORN: rewritten while it was copied",
    "bit 3 RESET: the count restarted here",
    "bit 4 BADTIME: ATIME is zero or goes back",
    "bit 5 PARTIAL: packets are missing in it",
    "bit 6 RECOVERED: not proven, after a crash",
    "bit 7 QUEUEFULL: lost as the disk fell behind",
};

/* Both add what they store to a sum of big-endian words. */
static unsigned char *put64(unsigned char *dst, uint64_t value, uint64_t *sum)
{
    *sum += (value >> 32) + (value & 0xffffffffu);
    value = __builtin_bswap64(value);
    memcpy(dst, &value, 8);
    return dst + 8;
}

static unsigned char *put32(unsigned char *dst, uint32_t value, uint64_t *sum)
{
    *sum += value;
    value = __builtin_bswap32(value);
    memcpy(dst, &value, 4);
    return dst + 4;
}

uint32_t fits_row_pack(unsigned char dst[FITS_ROW_BYTES], const struct fits_row *row)
{
    uint64_t time_bits, sum = 0;

    memcpy(&time_bits, &row->time_s, 8);
    dst = put64(dst, time_bits, &sum);
    dst = put64(dst, (uint64_t)row->atime_ns, &sum);
    dst = put64(dst, (uint64_t)row->cnt0, &sum);
    dst = put64(dst, (uint64_t)row->cnt1, &sum);
    dst = put64(dst, (uint64_t)row->cnt2, &sum);
    dst = put64(dst, (uint64_t)row->rtime_ns, &sum);
    dst = put32(dst, (uint32_t)row->lost, &sum);
    dst = put32(dst, (uint32_t)row->flags, &sum);
    dst = put32(dst, (uint32_t)row->slot, &sum);
    put32(dst, row->dsum ^ 0x80000000u, &sum); /* TZERO = 2^31 */
    return fits_sum_fold(sum);
}

static uint64_t get64(const unsigned char *src)
{
    uint64_t value;

    memcpy(&value, src, 8);
    return __builtin_bswap64(value);
}

static uint32_t get32(const unsigned char *src)
{
    uint32_t value;

    memcpy(&value, src, 4);
    return __builtin_bswap32(value);
}

void fits_row_unpack(struct fits_row *ret, const unsigned char src[FITS_ROW_BYTES])
{
    uint64_t time_bits = get64(src);

    memcpy(&ret->time_s, &time_bits, 8);
    ret->atime_ns = (int64_t)get64(src + 8);
    ret->cnt0 = (int64_t)get64(src + 16);
    ret->cnt1 = (int64_t)get64(src + 24);
    ret->cnt2 = (int64_t)get64(src + 32);
    ret->rtime_ns = (int64_t)get64(src + 40);
    ret->lost = (int32_t)get32(src + 48);
    ret->flags = (int32_t)get32(src + 52);
    ret->slot = (int32_t)get32(src + 56);
    ret->dsum = get32(src + 60) ^ 0x80000000u;
}
