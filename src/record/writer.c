/* writer.c - see writer.h. */
#include "record/writer.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/place.h"
#include "lib/clock.h"

#define FAILED_REST_NS 1000000000ll
#define STEPS_OF_TURN  4u
#define NO_HURRY_NS    100000000ll

static uint64_t page_floor(uint64_t off)
{
    return off - off % SINK_PAGE;
}

static uint64_t page_ceil(uint64_t off)
{
    return page_floor(off + SINK_PAGE - 1);
}

/* ---- what the disk has ---- */

/* The disk moves when something is done, not when it is given more. */
static void give_to_disk(struct record_stream *s, struct io_request *request)
{
    if (s->requests_in_flight++ == 0)
        pulse_move(&s->disk_pulse);
    io_engine_submit(s->engine, request);
}

static void note_done(struct record_stream *s)
{
    if (--s->requests_in_flight == 0)
        pulse_rest(&s->disk_pulse);
    else
        pulse_move(&s->disk_pulse);
}

/* ---- what a message asks to be written, in one or two requests ---- */

static void submit(struct record_stream *s, struct record_write *w, struct record_file *f,
                   const unsigned char *data, uint64_t off, uint64_t bytes, int buffer_index,
                   void (*done)(struct io_request *))
{
    w->file = f;
    w->bytes = bytes;
    w->done = false;
    w->request = (struct io_request){
        .kind = IO_REQUEST_WRITE,
        .sink = &f->file.sink,
        .data = data,
        .bytes = (size_t)bytes,
        .off = off,
        .buffer_index = buffer_index,
        .done = done,
        .owner = s,
    };
    give_to_disk(s, &w->request);
}

/* A block that is the writer's: zeros and headers up to the end of its last page, in place. */
static void complete_block(const struct record_message *m)
{
    unsigned char *data = m->block->data;
    uint64_t base = m->block->file_off, end = page_ceil(m->to);

    memset(data + (m->to - base), 0, (size_t)(end - m->to));
    recording_file_overlay(&m->file->file, m->from, data + (m->from - base),
                           (size_t)(end - m->from));
}

/* The last page of a block that the drain goes on filling is composed in a page of its own. */
static void complete_page(const struct record_message *m, unsigned char *page)
{
    uint64_t begin = page_floor(m->to);
    uint64_t from = begin > m->block->file_off ? begin : m->block->file_off;

    memcpy(page, m->block->data + (from - m->block->file_off), (size_t)(m->to - from));
    memset(page + (m->to - begin), 0, (size_t)(SINK_PAGE - (m->to - begin)));
    recording_file_overlay(&m->file->file, begin, page, SINK_PAGE);
}

/* Files that fail one right after the other are not to follow each other at the disk's full speed:
 * frames wait in memory, and the disk gets a moment. The first failure costs no time. */
static void note_error(struct record_file *f, int result)
{
    struct record_stream *s = f->stream;
    int64_t now = dao_clock_mono_ns();

    if (result >= 0 || atomic_load(&f->error) != 0)
        return;
    if (s->failed_ns && now - s->failed_ns < 2 * FAILED_REST_NS)
        atomic_store(&s->not_before_ns, now + FAILED_REST_NS);
    s->failed_ns = now;
    atomic_store(&f->error, result); /* only here while the file is open */
}

static bool has_failed(const struct record_file *f)
{
    return atomic_load_explicit(&f->error, memory_order_acquire) != 0;
}

static void note_written(struct record_stream *s, const struct record_write *w)
{
    if (w->request.result >= 0)
        atomic_fetch_add_explicit(&s->bytes_written, w->bytes, memory_order_relaxed);
}

/* ---- data ---- */

static struct record_write *next_write(struct record_stream *s)
{
    return &s->writes[s->write_tail++ % STREAM_WRITES_MAX];
}

static void data_done(struct io_request *request)
{
    struct record_stream *s = request->owner;
    struct record_write *w = (struct record_write *)(void *)request;

    note_done(s);
    note_error(w->file, request->result);
    note_written(s, w);
    w->file->writes_in_flight--;
    w->done = true;
    if (w->give_back)
        io_pool_give(&s->data_pool, w->give_back);
    else
        s->flushes_in_flight--;
    for (; s->write_head != s->write_tail; s->write_head++) {
        struct record_write *first = &s->writes[s->write_head % STREAM_WRITES_MAX];

        if (!first->done)
            break;
        if (!has_failed(first->file))
            first->file->written = first->to;
    }
}

static void start_write(struct record_stream *s, const struct record_message *m,
                        const unsigned char *data, uint64_t off, uint64_t bytes, uint64_t to,
                        struct io_block *give_back, int buffer_index)
{
    struct record_write *w = next_write(s);

    w->give_back = give_back;
    w->to = to;
    m->file->writes_in_flight++;
    if (!give_back)
        s->flushes_in_flight++;
    submit(s, w, m->file, data, off, bytes, buffer_index, data_done);
}

static void write_data(struct record_stream *s, const struct record_message *m)
{
    unsigned char *data = m->block->data + (m->from - m->block->file_off);

    if (m->from == m->to) { /* all of it was flushed */
        io_pool_give(&s->data_pool, m->block);
        return;
    }
    complete_block(m);
    start_write(s, m, data, m->from, page_ceil(m->to) - m->from, m->to, m->block,
                m->block->buffer_index);
}

static void flush_data(struct record_stream *s, const struct record_message *m)
{
    unsigned char *data = m->block->data + (m->from - m->block->file_off);
    uint64_t last = page_floor(m->to);

    if (last > m->from) {
        recording_file_overlay(&m->file->file, m->from, data, (size_t)(last - m->from));
        start_write(s, m, data, m->from, last - m->from, last, NULL, m->block->buffer_index);
    }
    if (last < m->to) {
        complete_page(m, s->data_page);
        start_write(s, m, s->data_page, last, SINK_PAGE, m->to, NULL, -1);
    }
}

/* May the block of this message be written now? A file without a name is not written to, a page
 * that is being flushed not written again, and what is in flight is bounded. */
static bool may_write(struct record_stream *s, const struct record_file *f)
{
    return atomic_load_explicit(&f->state, memory_order_acquire) == RECORD_FILE_OPEN &&
           s->flushes_in_flight == 0 && s->write_tail - s->write_head + 2 <= STREAM_WRITES_MAX &&
           io_engine_room(s->engine) >= 2;
}

static bool step_data(struct record_stream *s, struct writer *writer)
{
    const struct record_message *m = io_queue_peek(&s->data_queue);

    if (!m)
        return false;
    switch (m->kind) {
    case RECORD_PREPARE:
        keeper_post(writer->opener, KEEPER_PREPARE, m->file);
        break;
    case RECORD_OPEN:
        keeper_post(writer->opener, KEEPER_OPEN, m->file);
        break;
    case RECORD_DATA:
        if (has_failed(m->file)) {
            if (s->flushes_in_flight > 0) /* perhaps of this very block */
                return false;
            io_pool_give(&s->data_pool, m->block);
        } else if (may_write(s, m->file)) {
            write_data(s, m);
        } else {
            return false;
        }
        m->file->consumed = m->to;
        break;
    default:
        assert(m->kind == RECORD_FLUSH_DATA);
        if (!has_failed(m->file)) {
            if (!may_write(s, m->file))
                return false;
            flush_data(s, m);
        }
        m->file->consumed = m->to;
        break;
    }
    io_queue_pop(&s->data_queue);
    return true;
}

/* ---- rows ---- */

static void sync_done(struct io_request *request)
{
    struct record_file *f = request->owner;

    note_done(f->stream);
    note_error(f, request->result);
    f->sync_in_flight = f->stream->sync_in_flight = false;
}

static void start_sync(struct record_stream *s, struct record_file *f)
{
    f->sync_in_flight = s->sync_in_flight = true;
    s->sync_request = (struct io_request){.kind = IO_REQUEST_DATASYNC,
                                          .sink = &f->file.sink,
                                          .buffer_index = -1,
                                          .done = sync_done,
                                          .owner = f};
    give_to_disk(s, &s->sync_request);
}

static void rows_done(struct io_request *request)
{
    struct record_stream *s = request->owner;
    struct record_write *w = &s->row_write;

    note_done(s);
    note_error(w->file, request->result);
    note_written(s, w);
    if (w->give_back)
        io_pool_give(&s->row_pool, w->give_back);
    s->row_write_in_flight = false;
    if (!has_failed(w->file))
        w->file->rows_written = w->to;
}

static void start_rows(struct record_stream *s, const struct record_message *m,
                       const unsigned char *data, uint64_t off, uint64_t bytes, uint64_t to,
                       struct io_block *give_back, int buffer_index)
{
    s->row_write.give_back = give_back;
    s->row_write.to = to;
    s->row_write_in_flight = true;
    submit(s, &s->row_write, m->file, data, off, bytes, buffer_index, rows_done);
}

static void write_rows(struct record_stream *s, const struct record_message *m)
{
    unsigned char *data = m->block->data + (m->from - m->block->file_off);

    if (m->from == m->to) {
        io_pool_give(&s->row_pool, m->block);
        return;
    }
    complete_block(m);
    start_rows(s, m, data, m->from, page_ceil(m->to) - m->from, m->to, m->block,
               m->block->buffer_index);
}

/* The whole pages of a flush; then, once they are written, its last one. So whoever is killed
 * leaves no row without the rows before it. After a power cut one page may be there and the other
 * not: for frames without a row whose pixels are there repair makes one up (see repair/mend.c). */
static void flush_whole_rows(struct record_stream *s, const struct record_message *m)
{
    unsigned char *data = m->block->data + (m->from - m->block->file_off);
    uint64_t last = page_floor(m->to);

    if (last == m->from)
        return;
    recording_file_overlay(&m->file->file, m->from, data, (size_t)(last - m->from));
    start_rows(s, m, data, m->from, last - m->from, last, NULL, m->block->buffer_index);
}

static void flush_last_rows(struct record_stream *s, const struct record_message *m)
{
    uint64_t last = page_floor(m->to);

    if (last == m->to)
        return;
    complete_page(m, s->row_page);
    start_rows(s, m, s->row_page, last, SINK_PAGE, m->to, NULL, -1);
}

/* Is the file quiet and all that was sent for it dealt with? */
static bool is_settled(const struct record_stream *s, const struct record_message *end)
{
    const struct record_file *f = end->file;
    uint64_t rows_to = f->file.plan.rows_off + f->frames * 64u;

    if (f->consumed < end->need || f->writes_in_flight > 0 || s->row_write_in_flight ||
        f->sync_in_flight)
        return false;
    return has_failed(f) || (f->written >= end->need && f->rows_written >= rows_to);
}

/* A flush of rows is followed by a datasync. It is taken from the queue only once its rows are
 * written and the sync is under way, so that rows of the next block wait for neither. */
static bool step_flush_rows(struct record_stream *s, const struct record_message *m)
{
    struct record_file *f = m->file;

    if (f->written < m->need || io_engine_room(s->engine) < 3)
        return false;
    switch (s->flush_step++) {
    case 0:
        flush_whole_rows(s, m);
        break;
    case 1:
        flush_last_rows(s, m);
        break;
    default:
        s->flush_step = 0;
        if (!s->sync_in_flight && !has_failed(f)) /* else the next second's will do */
            start_sync(s, f);
        io_queue_pop(&s->row_queue);
        break;
    }
    return true;
}

static bool step_rows(struct record_stream *s, struct writer *writer)
{
    const struct record_message *m = io_queue_peek(&s->row_queue);

    if (!m || s->row_write_in_flight)
        return false;
    switch (m->kind) {
    case RECORD_ROWS:
        if (has_failed(m->file))
            io_pool_give(&s->row_pool, m->block);
        else if (m->file->written >= m->need && io_engine_room(s->engine) >= 2)
            write_rows(s, m);
        else
            return false;
        break;
    case RECORD_FLUSH_ROWS:
        if (has_failed(m->file)) {
            s->flush_step = 0;
            break;
        }
        return step_flush_rows(s, m);
    case RECORD_END:
        if (!is_settled(s, m))
            return false;
        keeper_post(writer->closer, KEEPER_CLOSE, m->file);
        break;
    case RECORD_DISCARD:
        if (io_queue_peek(&s->data_queue)) /* its PREPARE comes first */
            return false;
        keeper_post(writer->opener, KEEPER_DISCARD, m->file);
        break;
    default:
        assert(m->kind == RECORD_DONE);
        s->drain_done = true;
        atomic_store_explicit(&s->is_over, true, memory_order_release);
        break;
    }
    io_queue_pop(&s->row_queue);
    return true;
}

/* ---- the loop ---- */

/* A stream that brings more than the disk takes always has something to do, and may fill the ring:
 * each gets a few steps in its turn, and another one is first each time. */
static bool step_all(struct writer *writer, bool *ret_over)
{
    bool progress = false;

    *ret_over = true;
    writer->first = (writer->first + 1) % writer->stream_count;
    for (unsigned i = 0; i < writer->stream_count; i++) {
        struct record_stream *s = writer->streams[(writer->first + i) % writer->stream_count];

        for (unsigned steps = 0; steps < STEPS_OF_TURN && step_data(s, writer); steps++)
            progress = true;
        for (unsigned steps = 0; steps < STEPS_OF_TURN && step_rows(s, writer); steps++)
            progress = true;
        *ret_over = *ret_over && s->drain_done;
    }
    return progress;
}

/* Are there free blocks enough: half of them, and for twice as long as may be waited? */
static bool has_plenty(struct record_stream *s)
{
    double bytes_per_s = (double)atomic_load_explicit(&s->bytes_per_s, memory_order_relaxed);
    uint32_t free_blocks = atomic_load_explicit(&s->data_pool.free_count, memory_order_relaxed);
    uint32_t blocks = __atomic_load_n(&s->data_pool.count, __ATOMIC_RELAXED);

    return free_blocks >= blocks / 2 &&
           (double)free_blocks *
                   (double)__atomic_load_n(&s->data_pool.block_bytes, __ATOMIC_RELAXED) >=
               bytes_per_s * 1e-9 * 2 * NO_HURRY_NS;
}

/* Blocks that are written are given back with the next ones that come, where that is soon enough:
 * there are plenty, and nothing waits for what is in flight. */
static bool is_in_no_hurry(const struct writer *writer)
{
    for (unsigned i = 0; i < writer->stream_count; i++) {
        struct record_stream *s = writer->streams[i];

        if (s->drain_done)
            continue;
        if (!has_plenty(s) || s->sync_in_flight || s->row_write_in_flight ||
            io_queue_peek(&s->data_queue) || io_queue_peek(&s->row_queue))
            return false;
    }
    return true;
}

void *writer_run(void *arg)
{
    struct writer *writer = arg;
    bool over = false;

    place_behind();
    for (;;) {
        bool progress;

        pulse_move(&writer->pulse);
        progress = step_all(writer, &over);
        if (over)
            break;
        if (io_engine_reap(writer->engine) > 0 || progress)
            continue;
        io_engine_arm(writer->engine);
        if (step_all(writer, &over) || over) {
            io_engine_disarm(writer->engine);
            continue;
        }
        pulse_rest(&writer->pulse); /* what the disk has, has a pulse of its own */
        if (is_in_no_hurry(writer))
            io_engine_wait_for_all(writer->engine, NO_HURRY_NS);
        else
            io_engine_wait(writer->engine);
    }
    pulse_rest(&writer->pulse);
    if (write(writer->over_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0) {
        /* full: it is readable anyway */
    }
    return NULL;
}
