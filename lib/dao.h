/*
 * dao.h - DAO FIFO shared memory: the C interface.
 *
 * A segment is a file, by habit /tmp/<name>.im.shm or /dev/shm/<name>.im.shm, which holds the
 * last N frames of a stream (N is the FIFO's depth):
 *
 *     [ IMAGE_METADATA x N ][ pixels of slot 0 .. N-1 ][ IMAGE_KEYWORD x NBkw ]
 *
 * One writer fills slot after slot; any number of readers follow, each with its own tail (slot and
 * count of the frame last read) in its own IMAGE. A writer never waits for a reader: who is more
 * than a whole cycle behind is told so by DAO_OVERWRITE.
 *
 * Return values. Functions return DAO_SUCCESS or one of the other DAO_* codes; those that fail
 * say why on stderr (see daoSetLogLevel). Outputs are untouched unless the text says otherwise.
 * No function exits the process.
 *
 * Threads. Different IMAGEs are independent. Through one IMAGE one thread may read while another
 * writes; two readers or two writers on one IMAGE need a lock of their own (or an IMAGE each). An
 * IMAGE may be copied as a struct: the copy has a tail of its own and shares everything else, so
 * close only one of them, the last one used.
 *
 * SIGBUS. Where a foreign program truncates a segment's file, a load through a pointer given out
 * here would kill the process. The first open or create installs a handler that puts zero pages
 * under our own mappings in that case and hands every other fault to the handler that was there
 * before. Later calls then return DAO_ERROR.
 *
 * The structures are fixed to the byte (64-bit little-endian Linux) and shared by C11 and C++17.
 */
#ifndef DAO_H
#define DAO_H

#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DLL_EXPORT __attribute__((__visibility__("default")))

#define __FILENAME__                                                                               \
    (__builtin_strrchr(__FILE__, '/') ? __builtin_strrchr(__FILE__, '/') + 1 : __FILE__)

/* ---- return codes ---- */

#define DAO_SUCCESS   0
#define DAO_ERROR     1
#define DAO_TIMEOUT   (-1)
#define DAO_OVERWRITE (-2) /* frames were overwritten before they were read */
#define DAO_NOTREADY  (-3) /* no new frame yet */

/* ---- limits and defaults ---- */

#define IMAGE_NB_SEMAPHORE       10 /* semaphores beside a segment */
#define SEMAPHORE_MAXVAL         1  /* a writer posts a semaphore while it is below this */
#define DAO_MAX_COMBINE_CHANNELS 1024
#define CIRCULAR_BUFFER_SIZE     1000
#define SHAREDMEMDIR             "" /* names are paths as they stand */

/* ---- element types ---- */

#define _DATATYPE_UINT8          1
#define _DATATYPE_INT8           2
#define _DATATYPE_UINT16         3
#define _DATATYPE_INT16          4
#define _DATATYPE_UINT32         5
#define _DATATYPE_INT32          6
#define _DATATYPE_UINT64         7
#define _DATATYPE_INT64          8
#define _DATATYPE_FLOAT          9
#define _DATATYPE_DOUBLE         10
#define _DATATYPE_COMPLEX_FLOAT  11
#define _DATATYPE_COMPLEX_DOUBLE 12

#define SIZEOF_DATATYPE_UINT8          1
#define SIZEOF_DATATYPE_INT8           1
#define SIZEOF_DATATYPE_UINT16         2
#define SIZEOF_DATATYPE_INT16          2
#define SIZEOF_DATATYPE_UINT32         4
#define SIZEOF_DATATYPE_INT32          4
#define SIZEOF_DATATYPE_UINT64         8
#define SIZEOF_DATATYPE_INT64          8
#define SIZEOF_DATATYPE_FLOAT          4
#define SIZEOF_DATATYPE_DOUBLE         8
#define SIZEOF_DATATYPE_COMPLEX_FLOAT  8
#define SIZEOF_DATATYPE_COMPLEX_DOUBLE 16

#define Dtype  9  /* default real type: _DATATYPE_FLOAT */
#define CDtype 11 /* default complex type: _DATATYPE_COMPLEX_FLOAT */

/* ---- log levels ---- */

#define LOG_LEVEL_ERROR   0
#define LOG_LEVEL_WARNING 1
#define LOG_LEVEL_INFO    2
#define LOG_LEVEL_DEBUG   3
#define LOG_LEVEL_TRACE   4
#define DEFAULT_LOG_LEVEL LOG_LEVEL_INFO

#define DAO_WARNING 0
#define DAO_INFO    1
#define DAO_DEBUG   2
#define DAO_TRACE   3

#define ANSI_COLOR_RED     "\x1b[31m"
#define ANSI_COLOR_GREEN   "\x1b[32m"
#define ANSI_COLOR_YELLOW  "\x1b[33m"
#define ANSI_COLOR_BLUE    "\x1b[34m"
#define ANSI_COLOR_MAGENTA "\x1b[35m"
#define ANSI_COLOR_CYAN    "\x1b[36m"
#define ANSI_COLOR_RESET   "\x1b[0m"

/* ---- structures ---- */

typedef struct {
    float re;
    float im;
} complex_float;

typedef struct {
    double re;
    double im;
} complex_double;

typedef struct {
    int64_t firstlong;  /* 0, or (a program filled atime.ts) seconds */
    int64_t secondlong; /* nanoseconds since the Unix epoch, CLOCK_REALTIME */
} TIMESPECFIXED;

/* One keyword, 120 bytes. In a segment it can be misaligned: copy it out before use. */
typedef struct {
    char name[16];
    char type; /* 'N' unused, 'L' int64, 'D' double, 'S' string of 16, perhaps without NUL */
    union {
        int64_t numl;
        double numf;
        char valstr[16];
    } value;
    char comment[80];
} IMAGE_KEYWORD;

/* Metadata of one slot, 4304 bytes. Shared by processes: values may change under you. */
typedef struct {
    char name[80];
    uint8_t naxis;        /* 1..3 */
    uint32_t size[3];     /* unused axes 0 */
    uint64_t nelement;    /* product of the sizes */
    uint8_t atype;        /* _DATATYPE_* */
    double creation_time; /* s since the Unix epoch; the same in every slot */
    double last_access;   /* s since the Unix epoch */
    union {
        struct timespec ts;
        TIMESPECFIXED tsfixed;
    } atime;        /* when the frame was published; see TIMESPECFIXED */
    uint8_t shared; /* 1: in a file, 0: private memory */
    uint8_t status;
    uint8_t logflag;
    uint16_t sem;  /* number of semaphores; slot 0 only */
    uint64_t cnt0; /* count of the frame in this slot, 0: none yet */
    uint64_t cnt1;
    uint64_t cnt2; /* frame id of the source, where it has one */
    uint8_t write; /* 1 while the slot is being written */
    uint16_t NBkw; /* number of keywords */
    uint32_t lastPos;
    uint32_t lastNb;
    uint32_t packetNb;
    uint32_t packetTotal; /* packets in a frame; 0 where frames are written whole */
    uint64_t lastNbArray[512];
    uint32_t fifo_size;         /* depth N; slot 0 only */
    uint32_t fifo_last_written; /* slot of the newest frame; slot 0 only */
} IMAGE_METADATA;

/* A process's handle of a segment, 168 bytes. */
typedef struct {
    char name[80];
    uint8_t used;       /* 1 while open */
    int32_t shmfd;      /* -1 for private memory */
    uint64_t memsize;   /* bytes of the mapping */
    sem_t *semlog;      /* NULL where there is none */
    IMAGE_METADATA *md; /* metadata of slot 0; of slot i: md[i] */
    union {
        uint8_t *UI8;
        int8_t *SI8;
        uint16_t *UI16;
        int16_t *SI16;
        uint32_t *UI32;
        int32_t *SI32;
        uint64_t *UI64;
        int64_t *SI64;
        float *F;
        double *D;
        complex_float *CF;
        complex_double *CD;
        void *V;
    } array;                      /* pixels of slot 0; the other slots follow */
    sem_t **semptr;               /* IMAGE_NB_SEMAPHORE of them, each NULL where there is none */
    IMAGE_KEYWORD *kw;            /* NULL where NBkw is 0; may be misaligned */
    pid_t *semReadPID;            /* IMAGE_NB_SEMAPHORE entries; the library finds its own data */
    pid_t *semWritePID;           /* through this pointer: do not change it */
    uint32_t fifo_last_read;      /* the tail: slot of the frame last read ... */
    uint64_t fifo_last_read_cnt0; /* ... and its count */
} IMAGE;

/* ---- messages ----
 *
 * Two families, each with a level of its own.
 *
 * The macros daoError() ... daoTrace() and the library itself: errors always, warnings where
 * daoLogLevel >= DAO_WARNING (0, the default), informations where it is >= DAO_INFO, and so on. A
 * negative level leaves errors alone. One line on stderr, "[warning] function:line: text", in one
 * write, so that threads and processes do not mix within a line; it is cut at about 2000
 * characters, and a newline is added where the text ends without one. daoPrint() goes to stdout,
 * always, as it stands after "function:line: ".
 *
 * The functions daoLog(), daoLogError() ... daoLogTrace(): filtered by the level of
 * daoLogSetLevel(), LOG_LEVEL_INFO by default, "[warning] text" on stderr. daoLogPrint(): stdout,
 * always, as it stands.
 *
 * errno is kept. Any thread. Those that return something return DAO_SUCCESS, or DAO_ERROR where
 * the format is NULL, the level is none of the five, or the line could not be written.
 */
extern DLL_EXPORT int daoLogLevel;

DLL_EXPORT void daoSetLogLevel(int logLevel);
DLL_EXPORT int daoGetLogLevel(void);
DLL_EXPORT void daoLogSetLevel(int level);

#define DAO_PRINTF_LIKE(at, first) __attribute__((__format__(__printf__, at, first)))

DLL_EXPORT int_fast8_t daoLog(int level, const char *fmt, ...) DAO_PRINTF_LIKE(2, 3);
DLL_EXPORT int_fast8_t daoLogError(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);
DLL_EXPORT int_fast8_t daoLogWarning(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);
DLL_EXPORT int_fast8_t daoLogInfo(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);
DLL_EXPORT int_fast8_t daoLogDebug(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);
DLL_EXPORT int_fast8_t daoLogTrace(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);
DLL_EXPORT int_fast8_t daoLogPrint(const char *fmt, ...) DAO_PRINTF_LIKE(1, 2);

/* (addition) What the macros below call: level DAO_WARNING ... DAO_TRACE, or -1 for an error. */
DLL_EXPORT int_fast8_t daoLogAt(int level, const char *function, int line, const char *fmt, ...)
    DAO_PRINTF_LIKE(4, 5);
/* (addition) The same for daoPrint(). */
DLL_EXPORT int_fast8_t daoPrintAt(const char *function, int line, const char *fmt, ...)
    DAO_PRINTF_LIKE(3, 4);

#define daoError(...)   ((void)daoLogAt(-1, __func__, __LINE__, __VA_ARGS__))
#define daoWarning(...) ((void)daoLogAt(DAO_WARNING, __func__, __LINE__, __VA_ARGS__))
#define daoInfo(...)    ((void)daoLogAt(DAO_INFO, __func__, __LINE__, __VA_ARGS__))
#define daoDebug(...)   ((void)daoLogAt(DAO_DEBUG, __func__, __LINE__, __VA_ARGS__))
#define daoTrace(...)   ((void)daoLogAt(DAO_TRACE, __func__, __LINE__, __VA_ARGS__))
#define daoPrint(...)   ((void)daoPrintAt(__func__, __LINE__, __VA_ARGS__))

/* ---- create, open, close ---- */

/*
 * Create a segment of fifo_size slots and open it read-write. *image is output only: it need not
 * be initialised, and what it refers to is not closed.
 *
 *   name       path of the file; with shared = 0 only a name
 *   naxis      1..3;  size: naxis entries, each at least 1
 *   atype      _DATATYPE_*
 *   shared     1: a file that others open, with its semaphores; 0: private memory, no semaphores
 *   NBkw       0..32767 keywords, all created of type 'N'
 *   fifo_size  depth N, at least 1
 *
 * Afterwards every count is 0, the pixels are 0, fifo_last_written is N-1 (so the first frame goes
 * to slot 0, with count 1) and the tail is at (slot N-1, count 0). A file of the same geometry is
 * set back in place, and readers that have it open go on; any other regular file is replaced.
 * Mode 0666 under the umask. Memory of a new file is reserved here: no surprise later.
 *
 * DAO_SUCCESS, or DAO_ERROR: an argument is wrong, no room, no permission (also for one of the
 * semaphores), not a regular file; then image->used is 0 and image->md NULL, and a segment that was
 * there is as it was. Free with daoShmCloseShm: until then an IMAGE holds a descriptor and a
 * mapping, also where the same name is created again.
 */
DLL_EXPORT int_fast8_t daoShmImageCreate_FIFO(IMAGE *image, const char *name, long naxis,
                                              uint32_t *size, uint8_t atype, int shared, int NBkw,
                                              uint32_t fifo_size);

/* The same with a depth of 1. */
DLL_EXPORT int_fast8_t daoShmImageCreate(IMAGE *image, const char *name, long naxis, uint32_t *size,
                                         uint8_t atype, int shared, int NBkw);

/*
 * Create a shared float segment of nbVal x 1, depth 1, no keywords, with an IMAGE allocated here:
 * *image, to be given to free() after daoShmCloseShm(). On failure *image is NULL.
 */
DLL_EXPORT int_fast8_t daoShmInit1D(const char *name, uint32_t nbVal, IMAGE **image);

/*
 * Open an existing segment; read-write, or where that is not permitted read-only (writing calls
 * then return DAO_ERROR). *image is output only. The tail is at the newest frame: the first
 * daoShmGetNextSegment gives the next one published.
 *
 * DAO_SUCCESS, or DAO_ERROR: missing, not permitted, not a FIFO segment, still being created; then
 * image->used is 0 and image->md NULL. Free with daoShmCloseShm.
 */
DLL_EXPORT int_fast8_t daoShmShm2Img(const char *name, IMAGE *image);

/*
 * Unmap and close; the file and its semaphores stay. Pointers into the segment become invalid.
 * *image is zeroed. DAO_SUCCESS, or DAO_ERROR where the image is zeroed or closed already.
 */
DLL_EXPORT int_fast8_t daoShmCloseShm(IMAGE *image);

/*
 * Open the first NBsem (1..IMAGE_NB_SEMAPHORE) semaphores beside a segment, creating those that
 * are missing, and note the number in md[0].sem where the segment is writable. Creating and opening
 * a segment do this with all of them; it is for a handle whose semaphores could not be had then,
 * or were removed since; nobody may be waiting on one of them meanwhile. Two names for one
 * function. DAO_SUCCESS, or DAO_ERROR: a number out of range, private memory, no permission.
 */
DLL_EXPORT int_fast8_t daoShmImageCreateSem(IMAGE *image, long NBsem);
DLL_EXPORT int_fast8_t daoImageCreateSem(IMAGE *image, long NBsem);

/* ---- writing ---- */

/*
 * Write one frame into the next slot, publish it and post the semaphores. im: nbVal elements of
 * the segment's type. nbVal below nelement writes the first ones and leaves the slot's old rest.
 * The frame's count is that of the slot before it plus 1, its atime is now. Does not block.
 * One writer at a time is the caller's affair.
 *
 * DAO_SUCCESS, or DAO_ERROR with nothing written: nbVal above nelement, opened read-only, the
 * segment was truncated or holds a damaged fifo_last_written. A segment that was removed or
 * replaced is still written to: nobody who opens it anew sees that.
 */
DLL_EXPORT int_fast8_t daoShmImage2Shm(void *im, uint32_t nbVal, IMAGE *image);

/*
 * The same into the next slot without publishing anything: no count, no time, no semaphore. It is
 * published by daoShmImagePart2ShmFinalize(), or overwritten by the next frame. At a depth of 2
 * and more the slot, which held the oldest frame, keeps write = 1 until then, so that no reader
 * takes the new pixels for the old frame. At depth 1 the pixels change under the readers' eyes.
 */
DLL_EXPORT int_fast8_t daoShmImage2ShmQuiet(void *im, uint32_t nbVal, IMAGE *image);

/*
 * Write a part of the next frame, as packets of a camera arrive: nbVal elements from `position`
 * (in elements). Notes position, nbVal, packetId and packetTotal in the slot's metadata, and
 * frameNumber in lastNbArray[packetId] and cnt2; from these a reader knows whether all packets of
 * a frame came. Publishes nothing; write stays 1 until daoShmImagePart2ShmFinalize().
 * DAO_SUCCESS, or DAO_ERROR with nothing written: beyond nelement, packetId above 511, and as for
 * daoShmImage2Shm.
 */
DLL_EXPORT int_fast8_t daoShmImagePart2Shm(char *im, uint32_t nbVal, IMAGE *image,
                                           uint32_t position, uint16_t packetId,
                                           uint16_t packetTotal, uint64_t frameNumber);

/* Publish the frame that parts (or a quiet write) have filled in the next slot, as
 * daoShmImage2Shm() does. */
DLL_EXPORT int_fast8_t daoShmImagePart2ShmFinalize(IMAGE *image);

/*
 * Write the element-wise sum of the newest frames of `nbChannel` (1..DAO_MAX_COMBINE_CHANNELS)
 * segments as the next frame of `image`, and publish it: the first nbVal elements, all of image's
 * type. Integers wrap; complex numbers add by component. `image` may be one of the channels. Tails
 * stay where they are.
 * DAO_SUCCESS; DAO_OVERWRITE: published, but a channel's frame was overwritten under the sum three
 * times in a row; DAO_ERROR with nothing written: types differ, nbVal exceeds a segment's elements.
 */
DLL_EXPORT int_fast8_t daoShmCombineShm2Shm(IMAGE **cubes, IMAGE *image, int nbChannel, int nbVal);

/*
 * Stamp the newest frame anew, the one in slot fifo_last_written: atime now, cnt0 that of the slot
 * before it plus 1 (at depth 1 its own plus 1, at every call), write 0. For programs that have
 * filled a slot themselves, or quietly; post the semaphores with daoSemPostAll(). A count that the
 * source had made jump goes back by it, which readers take for a restart.
 */
DLL_EXPORT int_fast8_t daoShmTimestampShm(IMAGE *image);

/* ---- semaphores ----
 *
 * Ten beside each segment, semNb 0..9, and one for a logger. A writer posts every one of the ten at
 * every frame while its value is below SEMAPHORE_MAXVAL: they wake, they do not count, and two
 * waiters on one index steal each other's posts. All return DAO_ERROR for private memory, a semNb
 * out of range, or a semaphore that could not be opened.
 */
DLL_EXPORT int_fast8_t daoSemPost(IMAGE *image, int32_t semNb);
DLL_EXPORT int_fast8_t daoSemPostAll(IMAGE *image);
DLL_EXPORT int_fast8_t daoSemLogPost(IMAGE *image);

/*
 * Block until the semaphore is posted, and take the post; with `timeout`, at most until that time
 * (absolute, CLOCK_REALTIME). DAO_SUCCESS; DAO_TIMEOUT: the time is over, or a signal handler ran
 * (errno EINTR, also without a timeout); DAO_ERROR also where the segment was truncated, removed,
 * replaced or reshaped (looked at every 100 ms), or where the timeout is no time (tv_nsec).
 */
DLL_EXPORT int_fast8_t daoShmWaitForSemaphore(IMAGE *image, int32_t semNb);
DLL_EXPORT int_fast8_t daoShmWaitForSemaphoreTimeout(IMAGE *image, int32_t semNb,
                                                     const struct timespec *timeout);

/* ---- reading ----
 *
 * *segment_ptr becomes a pointer to nelement elements in shared memory, which a writer overwrites
 * in time: copy, then ask daoShmCheckSegmentOverwrite. segment_idx and segment_cnt0 may be NULL.
 * All of these return DAO_ERROR where the segment was truncated, removed, replaced or reshaped:
 * close it and open it again. What was published before a removal or replacement can still be read
 * to its end with daoShmGetNextSegment() and daoShmCopyNextSegment(), and checked.
 */

/*
 * The next frame after the tail; moves the tail to it. Does not block.
 * DAO_SUCCESS; DAO_NOTREADY: none yet, nothing changed; DAO_OVERWRITE: more than a full cycle
 * behind, or the source restarted: outputs and tail are the newest frame's, frames in between are
 * lost; DAO_ERROR. A source that skips counts itself is no overwrite: the counts show it.
 */
DLL_EXPORT int_fast8_t daoShmGetNextSegment(IMAGE *image, void **segment_ptr, uint32_t *segment_idx,
                                            uint64_t *segment_cnt0);

/*
 * The newest frame; moves the tail to it. Does not block. On a fresh segment that is slot N-1 with
 * count 0 and zero pixels. DAO_SUCCESS or DAO_ERROR.
 */
DLL_EXPORT int_fast8_t daoShmGetNewestSegment(IMAGE *image, void **segment_ptr,
                                              uint32_t *segment_idx, uint64_t *segment_cnt0);

/* The pixels of slot fifo_idx modulo N, whatever they hold; the tail stays. DAO_SUCCESS/ERROR. */
DLL_EXPORT int_fast8_t daoShmGetArbitrarySegment(IMAGE *image, void **segment_ptr,
                                                 uint_fast32_t fifo_idx);

/*
 * Block until daoShmGetNextSegment has something other than DAO_NOTREADY to say. Looks at counts,
 * waits on no semaphore, so any number of readers may wait at once.
 * DAO_SUCCESS, or DAO_ERROR; with errno EINTR where a signal handler ran. The tail stays.
 *
 * CPU against latency. It learns the source's cadence from the frames waited for, sleeps until
 * shortly before the next one is due and spins from there; where a source is too irregular for
 * that, it looks every sixteenth of the mean interval, at most every 0.5 ms, and less often the
 * longer nothing comes. Frames of 388 bytes, another process writing, two cores of an AMD EPYC,
 * nothing else running; microseconds from publication to return (median, 99 %), and the waiting
 * thread's part of a core:
 *
 *     source                 this function      a loop that spins   daoShmWaitForSemaphore
 *     100 Hz                 3.0   11    0.7 %    0.2  1.6  100 %      53   76   0.4 %
 *     1 kHz                  1.7  184    5.5 %    0.5  2.5  100 %      23   59   1.7 %
 *     5 kHz                  1.1   33     18 %    0.2  0.5  100 %      23   32     7 %
 *     20 kHz                 0.9   11     64 %    0.2  0.5  100 %      21   27    26 %
 *     irregular, 200 Hz      197  522    6.5 %    0.2  1.8  100 %      43   86   0.5 %
 *
 * (`make bench`, or build/release/tests/bench/wait_cost alone.)
 */
DLL_EXPORT int_fast8_t daoShmWaitForNextSegment(IMAGE *image);

/* Block until a frame newer than the newest one at the call is published. DAO_SUCCESS;
 * DAO_OVERWRITE: the source restarted instead; DAO_ERROR as above. The tail stays. */
DLL_EXPORT int_fast8_t daoShmWaitForCounter(IMAGE *image);

/* Block until the newest frame's count is at least targetCnt0. Otherwise the same. */
DLL_EXPORT int_fast8_t daoShmWaitForTargetCounter(IMAGE *image, uint64_t targetCnt0);

/*
 * Has the frame at the tail been overwritten since it was read? DAO_SUCCESS: not as far as its
 * write flag, its count and those around it tell; DAO_OVERWRITE; DAO_ERROR. A writer that has just
 * begun on the oldest slot cannot be excluded, and at depth 1 nothing is a proof. At depth 2 it may
 * say DAO_OVERWRITE of a frame that is still whole, in the moment when the next one is published.
 */
DLL_EXPORT int_fast8_t daoShmCheckSegmentOverwrite(IMAGE *image);

/* Move the tail to the newest frame, whose slot and count are given out. DAO_SUCCESS/ERROR. */
DLL_EXPORT int_fast8_t daoShmResetTail(IMAGE *image, uint32_t *segment_idx, uint64_t *segment_cnt0);

/* Count of the newest frame; 0 before the first one, and on error. */
DLL_EXPORT uint64_t daoShmGetCounter(IMAGE *image);

/* ---- odds and ends ---- */

/* "10.1.2.3" as a number, 0x0a010203; 0 where that is no IPv4 address. */
DLL_EXPORT unsigned daoBaseIp2Int(const char *ip);

/* Now, as "2026-11-25T18:55:56.123456" in UTC, in memory that the caller gives to free(). NULL: out
 * of memory. */
DLL_EXPORT char *daoBaseGetTimeStamp(void);

/* ---- additions ----
 *
 * What the library does beyond the interface that other DAO libraries have. A program that is to
 * run with those as well must do without.
 */

/* Open an existing segment without the right, or the wish, to write: mapped read-only, no
 * semaphore is created, posted or opened. Otherwise as daoShmShm2Img(). */
DLL_EXPORT int_fast8_t daoShmShm2ImgReadOnly(const char *name, IMAGE *image);

/* daoShmWaitForNextSegment() and daoShmWaitForTargetCounter() with a deadline: absolute,
 * CLOCK_MONOTONIC, which no one can step. DAO_TIMEOUT: nothing until then. A deadline in the past
 * is one look. */
DLL_EXPORT int_fast8_t daoShmWaitForNextSegmentUntil(IMAGE *image, const struct timespec *deadline);
DLL_EXPORT int_fast8_t daoShmWaitForTargetCounterUntil(IMAGE *image, uint64_t targetCnt0,
                                                       const struct timespec *deadline);

/*
 * daoShmImageCreate_FIFO(), shared, for a source whose counts go on from elsewhere: the first frame
 * gets the count cnt0 + 1, and readers, attached to the old run or opened before that frame comes,
 * find none missing. Slot N-1 carries cnt0 until a frame comes there; its atime is -1 then, for it
 * holds none. kw: NBkw keywords that the segment has from the first instant on, or NULL.
 */
DLL_EXPORT int_fast8_t daoShmImageCreateSeeded(IMAGE *image, const char *name, long naxis,
                                               uint32_t *size, uint8_t atype, int NBkw,
                                               uint32_t fifo_size, uint64_t cnt0,
                                               const IMAGE_KEYWORD *kw);

/* What daoShmCopyNextSegment() tells about a frame; `lost` counts exclude it. */
typedef struct {
    uint64_t cnt0, cnt1, cnt2;
    int64_t atime_ns; /* when it was published, ns since the Unix epoch; 0: not known */
    uint32_t slot;
    uint32_t flags; /* DAO_FRAME_* */
    uint64_t lost;  /* frames between the one before and this one that this reader never got */
} DAO_FRAME;

#define DAO_FRAME_LAPPED  1u  /* the lost ones were overwritten before they were read */
#define DAO_FRAME_JUMPED  2u  /* the source itself skipped their counts */
#define DAO_FRAME_RESTART 4u  /* first frame after the source restarted its counts */
#define DAO_FRAME_TORN    8u  /* depth 1 only: copied, but perhaps not whole */
#define DAO_FRAME_PARTIAL 16u /* packets are missing in it */

/*
 * Copy the next frame after the tail into `pixels` (bytes: room there, at least a frame's) and
 * prove that the copy is of one whole frame, also with writers that publish the head before the
 * count; moves the tail. After a lap it goes on at the oldest frame that can still be proven, and
 * says exactly how many were lost. Does not block. `frame` may be NULL.
 * DAO_SUCCESS; DAO_NOTREADY: none yet (`pixels` may have been written to, all else is untouched);
 * DAO_OVERWRITE: a frame was copied, and frames before it were lapped, or the source restarted;
 * DAO_ERROR. At depth 1 there is no proof: see DAO_FRAME_TORN. A loop on one IMAGE is exact;
 * copies of it share the knowledge of what the source had published before it restarted.
 */
DLL_EXPORT int_fast8_t daoShmCopyNextSegment(IMAGE *image, void *pixels, uint64_t bytes,
                                             DAO_FRAME *frame);

/* Slot and count of the newest frame, as for daoShmGetNewestSegment(), and the tail stays; for its
 * metadata. DAO_SUCCESS or DAO_ERROR. */
DLL_EXPORT int_fast8_t daoShmGetNewestSlot(IMAGE *image, uint32_t *segment_idx,
                                           uint64_t *segment_cnt0);

/* Move the tail behind the oldest frame that can still be proven, which is then the next one; gives
 * out its slot and count (the tail's, where there is none yet). DAO_SUCCESS/ERROR. */
DLL_EXPORT int_fast8_t daoShmResetTailOldest(IMAGE *image, uint32_t *segment_idx,
                                             uint64_t *segment_cnt0);

/*
 * daoShmImage2Shm() with a count and a time of one's own, for replays and sources that have
 * theirs: cnt0 (at least 1; one that is not above the newest begins a new run for readers, which at
 * a depth of 2 and more they may see only with the frame after it), cnt1, cnt2, atime_ns (0: now;
 * not negative). The other members of `frame` are ignored.
 */
DLL_EXPORT int_fast8_t daoShmImage2ShmStamped(void *im, uint32_t nbVal, IMAGE *image,
                                              const DAO_FRAME *frame);

/* Take the segment's advisory writer lock, until close: two programs that ask for it do not write
 * at once. Writing does not need it. DAO_SUCCESS, or DAO_ERROR: another holds it. */
DLL_EXPORT int_fast8_t daoShmLockWriter(IMAGE *image);

/* Switch the SIGBUS guard (see the top) off, or on again, for segments opened from now on. */
DLL_EXPORT void daoShmSetSigbusGuard(int enabled);

#ifdef __cplusplus
}
#endif

#endif
