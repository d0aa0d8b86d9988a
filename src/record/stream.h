/*
 * stream.h - one segment being recorded: what its drain, the writer and the keepers share.
 *
 *     segment --drain--> blocks --data_queue, row_queue--> writer --requests--> file
 *                           ^------------- pools <-----------/
 *     free_files: keeper --> drain;   close jobs: writer --> keeper
 *
 * Threads. drain: that of its lane, which may drain others beside it (lane.h); never waits for a
 * disk, a lock or memory. writer: one in all;
 * submits and reaps. keepers: prepare, publish and close files (blocking calls). A file belongs to
 * the drain from its planning on; what others need of it is handed over by a message in a queue
 * (release/acquire), apart from the atomics in struct record_file.
 */
#ifndef DAOREC_RECORD_STREAM_H
#define DAOREC_RECORD_STREAM_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/latency.h"
#include "base/pace.h"
#include "base/pulse.h"
#include "fits/encode.h"
#include "io/engine.h"
#include "io/pool.h"
#include "io/queue.h"
#include "lib/comeback.h"
#include "record/account.h"
#include "record/rolling.h"
#include "record/room.h"
#include "record/staging.h"
#include "recording/file.h"

#define STREAM_FILES      8u  /* files of a stream in any state of life */
#define STREAM_WRITES_MAX 16u /* data requests of a stream in flight */

struct lane;
struct record_stream;
struct retention;

/* What files of one shape of the segment have in common. A segment can come back in another; files
 * of the old one may still be with the keepers then. Made by the drain, not changed while a file
 * refers to it. */
struct stream_shape {
    struct dao_geometry geometry;
    IMAGE_KEYWORD *keywords; /* as they were when the segment was opened */
    struct fits_facts facts;
    struct fits_parts parts;
    _Atomic unsigned file_count; /* files that refer to it; the drain adds, keepers take away */
};

/* One file on its way. */
struct record_file {
    struct recording_file file;
    struct record_stream *stream;
    struct stream_shape *shape;
    /* drain, when it is planned */
    uint64_t capacity; /* frames that it will hold at most; the drain makes it less if asked to */
    uint64_t least;    /* with room for fewer it is not worth making */
    uint64_t modest;   /* enough, while the disk is waited for */
    /* drain, handed over with the END message */
    uint64_t frames;
    uint32_t data_sum, rows_sum;
    int64_t first_cnt0, last_cnt0;
    int64_t first_ns, last_ns; /* atime, or rtime where that is bad */
    int64_t opened_mono_ns;
    /* POSIX: frames that were published from there on are not for it, and the clock by which it
     * ends in any case; INT64_MAX: none */
    int64_t boundary_ns, boundary_clock_ns;
    uint64_t lost, gaps, torn, session_lost;
    uint64_t index0;             /* session index of the first frame */
    struct ledger_counts so_far; /* of the stream, with this file */
    int64_t ended_ns;            /* POSIX: when all of it was staged */
    const char *end_cause;
    bool has_next;
    uint64_t returning; /* bytes that it was given, and that its frames do not need */
    /* writer */
    uint64_t consumed;     /* file offset: messages for data before it are dealt with */
    uint64_t written;      /* file offset: data before it are written */
    uint64_t rows_written; /* file offset: rows before it are written */
    uint32_t writes_in_flight;
    bool sync_in_flight;
    /* keeper */
    uint64_t promised; /* bytes: see room_promise(); the drain's until it is handed over */
    bool asked;        /* to hold less: see opener.c */
    bool removed;      /* it is not there any more, or never was */
    uint64_t failed;   /* frames that were counted, and are not in it */
    /* shared */
    _Atomic uint64_t most;   /* drain: its capacity, for others */
    atomic_bool is_complete; /* drain: all of its frames are staged */
    _Atomic uint64_t wish;   /* keeper: a capacity to be had; drain: 0, once it has heeded it */
    _Atomic int state;       /* enum record_file_state; keepers write, writer and drain read */
    _Atomic uint64_t
        claimed_bytes; /* room that it takes of --keep-size, while it is not finished */
    _Atomic int error; /* first negative errno of a write, a sync or of publishing */
};

enum record_file_state {
    RECORD_FILE_IDLE,
    RECORD_FILE_PREPARED, /* on disk, without a name */
    RECORD_FILE_OPEN,     /* named .part: data may be written */
};

enum record_message_kind {
    /* data_queue */
    RECORD_PREPARE,    /* file: planned, make it ready */
    RECORD_OPEN,       /* file: its first frame is staged, publish it */
    RECORD_DATA,       /* block: write [from, to), then give it back */
    RECORD_FLUSH_DATA, /* block: write [from, to), it stays with the drain */
    /* row_queue */
    RECORD_ROWS,       /* like DATA, once the data up to `need` are written */
    RECORD_FLUSH_ROWS, /* like FLUSH_DATA, then a datasync */
    RECORD_END,        /* file: nothing more will come; close it */
    RECORD_DISCARD,    /* file: it got no frame */
    RECORD_DONE,       /* the drain has ended */
};

struct record_message {
    enum record_message_kind kind;
    struct record_file *file;
    struct io_block *block;
    uint64_t from, to, need;
};

/* One request of the writer for this stream. */
struct record_write {
    struct io_request request;
    struct record_file *file;
    struct io_block *give_back; /* NULL: the drain keeps it */
    uint64_t to;
    uint64_t bytes;
    bool done;
};

/* What the source is doing, as the drain sees it. */
enum stream_condition {
    STREAM_RUNNING,
    STREAM_GONE,    /* segment removed, replaced or truncated; waiting for it to come back */
    STREAM_UNFIT,   /* it came back in a shape that cannot be recorded: the stream has ended */
    STREAM_AWAITED, /* it was not there yet when recording began, and is waited for */
};

/* Cards of every file of a session. Borrowed; NULL or "": no such card. */
struct stream_keywords {
    const char *origin, *telescope, *instrument, *observer, *object;
};

/* What happens where the disk does not keep up, see overload.h. */
enum overload_policy {
    OVERLOAD_DROP_NEWEST,
    OVERLOAD_DECIMATE,
    OVERLOAD_STOP,
};

struct stream_config {
    enum overload_policy overload;
    uint64_t each; /* with OVERLOAD_DECIMATE: frames are recorded whose count is a multiple of it */
    const char *name;                       /* NULL or "": after the segment */
    const char *unit;                       /* BUNIT; NULL or "": none */
    const struct stream_keywords *keywords; /* NULL: none */
    struct rolling_limits rolling;
    uint64_t frames_wanted; /* 0: no end */
    int64_t duration_ns;    /* 0: no end */
    bool backlog;
    int64_t
        latency_ns; /* frames are taken no later after they were published; 0: as pace.h has it */
    cpu_set_t cpus; /* of the drain; empty: anywhere */
    int priority;   /* SCHED_FIFO, 0: none */
    bool want_direct;
    const struct sink_backend *backend; /* NULL: the system's; for tests of a failing disk */
};

struct record_stream {
    /* fixed before the threads start */
    char name[FITS_STREAM_NAME_MAX + 1];
    const char *path;
    struct stream_config config;
    const char *host, *session;
    uint64_t buffer_bytes;
    struct record_file files[STREAM_FILES];
    struct io_pool data_pool, row_pool;
    struct io_queue data_queue, row_queue, free_files;
    struct io_engine *engine;    /* to kick the writer */
    struct room *room;           /* the session's */
    struct retention *retention; /* the session's; NULL: files are kept */
    int dir_fd;
    struct account account;
    struct latency latency; /* the drain counts: RTIME - ATIME */

    /* lanes; `lane`: the session's thread, see crew.h */
    _Atomic(struct lane *) lane;        /* where it belongs */
    struct record_stream *next_arrival; /* of the lane that it was handed to */
    atomic_bool wants_own;              /* it leaves others no time, or has none for them */
    _Atomic unsigned load;              /* of a core, per mille */

    /* drain, once it runs */
    bool was_denied; /* when recording began, it was there and might not be opened */
    dev_t denied_dev;
    ino_t denied_ino;           /* 0: not known, in a folder that is closed, too */
    bool is_begun, has_company; /* had a turn; others wait for theirs in this thread */
    struct pulse pulse;
    struct dao_segment segment;
    struct stream_shape shapes[STREAM_FILES + 2]; /* every file's, the old one, the new one */
    struct stream_shape *shape;
    struct fits_encoder encoder;
    struct dao_reader reader;
    struct staging data, rows;
    struct record_file *current; /* being filled, NULL between files */
    struct record_file *ending;  /* full; its END waits until it is known whether another follows */
    struct record_file *next;    /* planned ahead */
    unsigned untold_blocks;      /* handed on since the writer was told last */
    uint64_t next_seq, next_index;
    int64_t ending_since_ns; /* monotonic */
    int64_t last_flush_ns;   /* monotonic */
    int64_t last_look_ns;    /* monotonic: at its path, or frames came */
    int64_t last_taken_ns;   /* monotonic: frames came, or it was not stopping */
    int64_t time_ns;         /* POSIX time as it was read last */
    uint64_t timed_bytes;    /* of frames that were taken since */
    int64_t last_atime_ns;   /* of the frame last taken in this run, 0 at its start */
    uint64_t pending_lost;   /* the next row tells of it: see loss.h */
    int32_t pending_flags;
    bool pending_reset;
    bool starved;                      /* no block or file was free since the frame last taken */
    uint64_t left_out_first, left_out; /* frames on purpose, since the one last taken: overload.h */
    bool no_room;                      /* the next file would go beyond what is to be kept free */
    unsigned no_room_looks;            /* room->looks, when that began */
    bool stopping, finished;
    uint64_t last_wanted_cnt0; /* while stopping: what was newest at the request */
    int64_t start_ns;          /* monotonic */
    double rate_hz;            /* 0: unknown */
    struct pace pace;
    int64_t gone_since_ns;    /* monotonic, while the segment is gone */
    struct dao_segment fresh; /* what came back, until it is recorded; fd -1: nothing yet */
    struct dao_comeback comeback;
    int64_t fresh_since_ns;   /* monotonic */
    bool is_expected;         /* a run of it was begun: what it publishes is recorded, or lost */
    bool is_retired;          /* nothing of the old shape is in the drain's hands any more */
    bool is_recut;            /* buffers and `shape` are made for `fresh` already */
    enum account_event event; /* once they are: what there is to tell of it */
    int64_t
        no_room_since_ns; /* monotonic; what was kept for files of the old shape is back since */
    int64_t refused_sleep_ns; /* how long to rest while a frame is refused again and again */
    const char *stop_cause;

    /* writer */
    struct record_write writes[STREAM_WRITES_MAX]; /* a ring in file order */
    uint32_t write_head, write_tail;
    struct record_write row_write; /* one at a time: no row before an earlier one */
    bool row_write_in_flight;
    unsigned flush_step; /* of the flush of rows at the head of row_queue */
    struct io_request sync_request;
    bool sync_in_flight;
    unsigned char *data_page, *row_page; /* for flushed last pages */
    uint32_t flushes_in_flight;          /* data writes whose block the drain still fills */
    uint32_t requests_in_flight;
    struct pulse disk_pulse; /* of what is in flight */
    bool drain_done;
    int64_t failed_ns;                /* monotonic: when a file failed last, 0: none did */
    _Atomic int64_t not_before_ns;    /* monotonic: no file is opened before */
    _Atomic uint64_t file_bytes_most; /* keeper: longer files are refused here */
    _Atomic uint64_t bytes_per_s;     /* drain: of pixels, for the writer; 0: not known */
    atomic_bool is_waiting;           /* keeper: no file can be made at present */
    _Atomic uint64_t bytes_written;   /* writer, for whoever watches */

    /* keeper */
    _Atomic uint64_t files_closed; /* for whoever watches */
    int64_t patience_ends_ns;      /* monotonic, once it stops: until then files are tried again */
    bool removal_said;         /* that a file was removed was said, and no other was closed since */
    bool trouble_said;         /* that no file can be made was said, and none was made since */
    int64_t trouble_ns;        /* monotonic: when it was said last, 0: never */
    _Atomic uint64_t troubles; /* how often it was said */
    atomic_bool gone_said;     /* that its folder was removed */

    /* requests from outside */
    atomic_bool stop_requested, roll_requested;
    pthread_mutex_t wish_lock; /* of the three below; the drain only tries it */
    struct rolling_limits wished_rolling;
    int64_t wished_latency_ns;
    atomic_bool has_wishes;
    _Atomic uint64_t rolled_seq;  /* drain, before it lowers roll_requested: number of the file that
                                     it ended for that, 0: there was nothing to end */
    _Atomic uint64_t closed_file; /* keeper: 2 x number of the file closed last, + 1: one follows */
    atomic_bool hurry;            /* asked twice: what is still in the FIFO is given up */
    _Atomic(const char *) stop_cause_requested;
    atomic_bool is_stopping;          /* set by the drain: the end was asked for or has come */
    atomic_bool ran_out;              /* of room: this stream has ended for that */
    atomic_bool overloaded;           /* the disk did not keep up: this stream has ended for that */
    atomic_bool all_end_for_overload; /* of one, or more: nobody asked for what is there still */
    atomic_bool is_thinning; /* the drain: the disk does not keep up, most frames are left out */
    _Atomic uint64_t all_left_out; /* the drain: frames that were left out on purpose so far */
    atomic_bool is_over;           /* drained, written, nothing in flight */
    _Atomic int condition;         /* enum stream_condition, for whoever reports */
    struct dao_text unfit;         /* why; set before the condition */
};

#endif
