/*
 * npy.c - frames into an array that numpy loads or maps, and their rows into a second one
 * beside it, with named fields. See extract.h.
 */
#include <stdio.h>
#include <string.h>

#include "extract/job.h"

#define HEADER_BYTES 512u /* room for any of ours */
#define ROW_BYTES    56u

/* Version 1.0: magic, length, a dictionary, padded with blanks to 64 and ended by a newline. */
static int put_header(struct extract_out *out, const char *dictionary, uint64_t *ret_bytes)
{
    unsigned char header[HEADER_BYTES];
    size_t used = strlen(dictionary), bytes = (10 + used + 1 + 63) / 64 * 64;

    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (unsigned char)((bytes - 10) & 0xff);
    header[9] = (unsigned char)((bytes - 10) >> 8);
    memcpy(header + 10, dictionary, used);
    header[bytes - 1] = '\n';
    *ret_bytes = bytes;
    return out ? extract_out_put(out, header, bytes) : 0;
}

/* "<u2", as numpy writes a type; single bytes have no order. */
static void type_text(char ret[8], const struct dao_dtype *dtype)
{
    char kind = dtype->is_complex ? 'c' : dtype->is_float ? 'f' : dtype->is_unsigned ? 'u' : 'i';

    snprintf(ret, 8, "%c%c%u", dtype->element_bytes == 1 ? '|' : '<', kind, dtype->element_bytes);
}

static void frames_dictionary(char ret[HEADER_BYTES], const struct extract_job *job)
{
    char type[8];
    int used;

    type_text(type, job->geometry.dtype);
    used = snprintf(ret, HEADER_BYTES, "{'descr': '%s', 'fortran_order': False, 'shape': (%llu,",
                    type, (unsigned long long)job->count);
    for (int i = 0; i < job->geometry.naxis; i++)
        used += snprintf(ret + used, HEADER_BYTES - (size_t)used, " %u,", job->geometry.size[i]);
    snprintf(ret + used, HEADER_BYTES - (size_t)used, "), }");
}

static void rows_dictionary(char ret[HEADER_BYTES], const struct extract_job *job)
{
    snprintf(ret, HEADER_BYTES,
             "{'descr': [('ATIME', '<i8'), ('CNT0', '<i8'), ('CNT1', '<i8'), ('CNT2', '<i8'), "
             "('RTIME', '<i8'), ('LOST', '<i4'), ('FLAGS', '<i4'), ('SLOT', '<i4'), "
             "('DSUM', '<u4')], 'fortran_order': False, 'shape': (%llu,), }",
             (unsigned long long)job->count);
}

static int begin_arrays(struct extract_job *job, struct dao_text *text)
{
    char dictionary[HEADER_BYTES], second[4096];
    uint64_t bytes = 0;
    int r;

    extract_second_path(&job->order, second);
    frames_dictionary(dictionary, job);
    put_header(NULL, dictionary, &bytes);
    r = extract_out_create(&job->out[0], job->order.path,
                           bytes + job->count * job->geometry.frame_bytes, job->order.force, text);
    if (r < 0)
        return r;
    r = put_header(&job->out[0], dictionary, &bytes);
    rows_dictionary(dictionary, job);
    put_header(NULL, dictionary, &bytes);
    if (r == 0)
        r = extract_out_create(&job->out[1], second, bytes + job->count * ROW_BYTES,
                               job->order.force, text);
    if (r < 0)
        return r;
    r = put_header(&job->out[1], dictionary, &bytes);
    if (r < 0)
        extract_out_explain(&job->out[1], r, text);
    return r;
}

static int put_element(struct extract_job *job, struct fits_row *row, const unsigned char *pixels)
{
    unsigned char packed[ROW_BYTES];
    int r = extract_out_put(&job->out[0], pixels, job->geometry.frame_bytes);

    row->dsum =
        job->encoder.encode(job->stored, pixels, job->geometry.frame_bytes, job->encoder.flip);
    memcpy(packed, &row->atime_ns, 40); /* five of 8 bytes side by side, then four of 4 */
    memcpy(packed + 40, &row->lost, 16);
    return r == 0 ? extract_out_put(&job->out[1], packed, sizeof packed) : r;
}

static int end_arrays(struct extract_job *job, struct dao_text *text)
{
    (void)job;
    (void)text;
    return 0;
}

_Static_assert(offsetof(struct fits_row, rtime_ns) - offsetof(struct fits_row, atime_ns) == 32 &&
                   offsetof(struct fits_row, dsum) - offsetof(struct fits_row, lost) == 12,
               "members of a row are copied together");

const struct extract_way extract_way_npy = {begin_arrays, put_element, end_arrays};
