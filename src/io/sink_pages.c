/*
 * sink_pages.c - any range of a file, in whole pages. See sink.h.
 *
 * What can fail: a write that gets only a part out (gone on with from the last whole page), again
 * and again (-EIO); a file that ends within a page (the rest reads as zeros, and its length is set
 * back after a write).
 */
#include "io/sink.h"

#include <errno.h>
#include <string.h>

#define STUCK_MAX 16u /* direct writes in a row that got no whole page out */

/* ---- whole pages ---- */

static int write_pages(struct sink *sink, const unsigned char *buf, size_t bytes, uint64_t off)
{
    uint64_t end = off + bytes;
    unsigned stuck = 0;

    while (bytes > 0) {
        ssize_t n = sink->backend->write_at(sink->backend->ctx, sink->fd, buf, bytes, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        if (sink->direct && (size_t)n < bytes) { /* from the last whole page on */
            n -= n % (ssize_t)SINK_PAGE;
            stuck = n > 0 ? 0 : stuck + 1;
            if (stuck > STUCK_MAX)
                return -EIO;
        }
        buf += n;
        bytes -= (size_t)n;
        off += (uint64_t)n;
    }
    /* The last page of a file whose length is no multiple of a page has grown it: set it back. */
    return end > sink->length ? sink_truncate(sink, sink->length) : 0;
}

/* Pages; what lies behind the end of the file reads as zeros. */
static int read_pages(struct sink *sink, unsigned char *buf, size_t bytes, uint64_t off)
{
    while (bytes > 0) {
        ssize_t n = sink->backend->read_at(sink->backend->ctx, sink->fd, buf, bytes, (off_t)off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            memset(buf, 0, bytes);
            return 0;
        }
        buf += n;
        bytes -= (size_t)n;
        off += (uint64_t)n;
        if (n % SINK_PAGE != 0) { /* the end of the file: the next read could not be aligned */
            memset(buf, 0, bytes);
            return 0;
        }
    }
    return 0;
}

/* ---- runs ---- */

int sink_run_begin(struct sink_run *run, struct sink *sink, uint64_t off)
{
    *run = (struct sink_run){.sink = sink, .page_off = off - off % SINK_PAGE};
    run->used = (size_t)(off - run->page_off);
    return run->used ? read_pages(sink, sink->scratch, SINK_PAGE, run->page_off) : 0;
}

/* Write out the whole pages gathered so far; the rest moves to the front. */
static int run_flush(struct sink_run *run)
{
    size_t whole = run->used - run->used % SINK_PAGE;
    int r = write_pages(run->sink, run->sink->scratch, whole, run->page_off);

    memmove(run->sink->scratch, run->sink->scratch + whole, run->used - whole);
    run->page_off += whole;
    run->used -= whole;
    return r;
}

int sink_run_put(struct sink_run *run, const void *bytes, size_t count)
{
    const unsigned char *from = bytes;

    while (count > 0) {
        size_t part =
            SINK_SCRATCH_BYTES - run->used < count ? SINK_SCRATCH_BYTES - run->used : count;
        int r;

        if (from) {
            memcpy(run->sink->scratch + run->used, from, part);
            from += part;
        } else {
            memset(run->sink->scratch + run->used, 0, part);
        }
        run->used += part;
        count -= part;
        if (run->used == SINK_SCRATCH_BYTES && (r = run_flush(run)) < 0)
            return r;
    }
    return 0;
}

int sink_run_end(struct sink_run *run)
{
    unsigned char *scratch = run->sink->scratch;
    unsigned char page[SINK_PAGE] __attribute__((aligned(SINK_PAGE)));
    size_t tail;
    int r = run_flush(run);

    tail = run->used;
    if (r < 0 || tail == 0)
        return r;
    r = read_pages(run->sink, page, SINK_PAGE, run->page_off);
    if (r < 0)
        return r;
    memcpy(scratch + tail, page + tail, SINK_PAGE - tail);
    return write_pages(run->sink, scratch, SINK_PAGE, run->page_off);
}

int sink_write(struct sink *sink, uint64_t off, const void *bytes, size_t count)
{
    struct sink_run run;
    int r = sink_run_begin(&run, sink, off);

    if (r == 0)
        r = sink_run_put(&run, bytes, count);
    return r == 0 ? sink_run_end(&run) : r;
}

int sink_read(struct sink *sink, uint64_t off, void *ret_bytes, size_t count)
{
    unsigned char *to = ret_bytes;

    while (count > 0) {
        uint64_t page = off - off % SINK_PAGE;
        size_t lead = (size_t)(off - page);
        size_t part = SINK_SCRATCH_BYTES - lead < count ? SINK_SCRATCH_BYTES - lead : count;
        size_t pages = (lead + part + SINK_PAGE - 1) / SINK_PAGE * SINK_PAGE;
        unsigned char *scratch = sink->scratch + SINK_SCRATCH_BYTES; /* the first half is a run's */
        int r = read_pages(sink, scratch, pages, page);

        if (r < 0)
            return r;
        memcpy(to, scratch + lead, part);
        to += part;
        off += part;
        count -= part;
    }
    return 0;
}
