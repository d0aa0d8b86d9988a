/*
 * daoShm.hpp - DAO FIFO shared memory: the C++ class, Dao::Shm<T>. C++17, header only, over dao.h;
 * link with -ldao. dao.h says what a segment, a slot, a count and a tail are.
 *
 *     Dao::Shm<float> shm("/tmp/x.im.shm", {256, 256}, nullptr, 8);   // create, 8 frames deep
 *     Dao::Shm<float> shm("/tmp/x.im.shm");                           // open
 *
 * T is the element type: one of the twelve of dao.h, or std::complex<float> or
 * std::complex<double> in the place of complex_float and complex_double, which have the same
 * bytes. It can be deduced from a first frame: Dao::Shm shm(name, shape, pointer).
 *
 * Pointers. What the methods return points into the shared memory itself: nothing is copied,
 * nothing is to be freed, and a pointer is good until the Shm that it came from is destroyed or
 * assigned to (a Shm that is moved takes the mapping with it, and pointers stay good). A writer
 * overwrites a frame in time: copy what is needed, then ask check_segment_overwrite(). Writing
 * through a pointer changes the segment under everyone's eyes, and where the file could only be
 * opened read-only it is a segmentation fault.
 *
 * Errors. The constructors throw std::runtime_error, whose text names the segment, what is wrong
 * and what helps, and std::bad_alloc. No method throws: one that fails returns nullptr, a DAO_*
 * code or 0, and the library says why on stderr. Where the segment was truncated, removed, replaced
 * or reshaped every method fails; open it again.
 *
 * Threads. Different Shm objects are independent, also on one segment: each has its own tail.
 * Through one object one thread may call set_frame() while another reads, and any thread the
 * getters (those that are const). get_frame() and get_next_frame() move the tail: one thread at a
 * time. Nothing may run beside the destructor or a move.
 *
 * Signals. A signal whose handler ran ends a wait, which then has failed, with errno EINTR.
 */
#ifndef DAO_SHM_HPP
#define DAO_SHM_HPP

#include <algorithm>
#include <cerrno>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <iostream> // not for us: programs lean on it
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dao.h"

namespace Dao
{

/* Sizes of the axes, as in IMAGE_METADATA::size. */
using Shape = std::vector<uint32_t>;

/*
 * What Shm::get_frame() waits for: a post of one of the segment's ten semaphores (SEM is SEM0), a
 * new count (SPIN), or nothing (NONE). A semaphore wakes one waiter, so two readers need one each;
 * any number may wait for a count.
 */
enum class ShmSync : int32_t {
    SEM0,
    SEM1,
    SEM2,
    SEM3,
    SEM4,
    SEM5,
    SEM6,
    SEM7,
    SEM8,
    SEM9,
    SEM,
    SPIN,
    NONE
};

/* What does not depend on the element type. Not for programs. */
namespace detail
{

/* _DATATYPE_* of an element type; 0: not one. */
template <typename T> inline constexpr uint8_t element_code = 0;
template <> inline constexpr uint8_t element_code<uint8_t> = _DATATYPE_UINT8;
template <> inline constexpr uint8_t element_code<int8_t> = _DATATYPE_INT8;
template <> inline constexpr uint8_t element_code<uint16_t> = _DATATYPE_UINT16;
template <> inline constexpr uint8_t element_code<int16_t> = _DATATYPE_INT16;
template <> inline constexpr uint8_t element_code<uint32_t> = _DATATYPE_UINT32;
template <> inline constexpr uint8_t element_code<int32_t> = _DATATYPE_INT32;
template <> inline constexpr uint8_t element_code<uint64_t> = _DATATYPE_UINT64;
template <> inline constexpr uint8_t element_code<int64_t> = _DATATYPE_INT64;
template <> inline constexpr uint8_t element_code<float> = _DATATYPE_FLOAT;
template <> inline constexpr uint8_t element_code<double> = _DATATYPE_DOUBLE;
template <> inline constexpr uint8_t element_code<complex_float> = _DATATYPE_COMPLEX_FLOAT;
template <> inline constexpr uint8_t element_code<complex_double> = _DATATYPE_COMPLEX_DOUBLE;
template <> inline constexpr uint8_t element_code<std::complex<float>> = _DATATYPE_COMPLEX_FLOAT;
template <> inline constexpr uint8_t element_code<std::complex<double>> = _DATATYPE_COMPLEX_DOUBLE;

static_assert(sizeof(std::complex<float>) == SIZEOF_DATATYPE_COMPLEX_FLOAT);
static_assert(sizeof(std::complex<double>) == SIZEOF_DATATYPE_COMPLEX_DOUBLE);

struct Element {
    uint8_t code;
    size_t bytes;
};

/* The T of Shm<T> for a _DATATYPE_*. */
inline const char *element_name(uint8_t code)
{
    static constexpr const char *names[] = {
        "no type",  "uint8_t", "int8_t", "uint16_t", "int16_t",       "uint32_t",       "int32_t",
        "uint64_t", "int64_t", "float",  "double",   "complex_float", "complex_double",
    };

    return names[code < std::size(names) ? code : 0];
}

[[noreturn]] inline void refuse(const std::string &name, const std::string &why)
{
    throw std::runtime_error("Dao::Shm \"" + name + "\": " + why);
}

inline std::string text_of(const Shape &shape)
{
    std::string text = "{";

    for (uint32_t size : shape)
        text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "}";
}

/*
 * An open segment, or, moved from, a closed one: an IMAGE of zeros, with which every function of
 * dao.h returns DAO_ERROR.
 */
class Segment
{
  public:
    Segment(const std::string &name, Element element, const Shape &shape, uint32_t depth);
    Segment(const std::string &name, Element element);

    Segment(const Segment &) = delete;
    Segment &operator=(const Segment &) = delete;

    Segment(Segment &&other) noexcept : Segment()
    {
        swap(other);
    }

    Segment &operator=(Segment &&other) noexcept
    {
        Segment taken(std::move(other));

        swap(taken);
        return *this;
    }

    ~Segment()
    {
        if (image_.used)
            daoShmCloseShm(&image_);
    }

    int_fast8_t write(const void *frame);
    bool wait(ShmSync sync);
    bool wait(ShmSync sync, size_t number);
    void *newest();
    void *next(bool wait, int_fast8_t &status, uint64_t *cnt0);
    void *slot(uint_fast32_t idx);

    int_fast8_t check_overwrite()
    {
        return daoShmCheckSegmentOverwrite(&image_);
    }

    const Shape &shape() const
    {
        return shape_;
    }

    size_t element_count() const
    {
        return element_count_;
    }

    uint64_t counter() const
    {
        return daoShmGetCounter(&image_);
    }

    IMAGE_METADATA *metadata() const;
    IMAGE_METADATA *metadata(uint_fast32_t idx) const;

  private:
    /* The others delegate to this one, so that what they throw runs the destructor. */
    Segment() noexcept = default;

    void swap(Segment &other) noexcept
    {
        std::swap(image_, other.image_);
        std::swap(shape_, other.shape_);
        std::swap(depth_, other.depth_);
        std::swap(element_count_, other.element_count_);
    }

    void take_geometry(const std::string &name, Element element);
    bool wait_for_counter();

    /* Mutable: dao.h takes it as such everywhere. The const methods do not change it. */
    mutable IMAGE image_{};
    /* As they were when it was opened: in shared memory they may be overwritten. */
    Shape shape_;
    uint32_t depth_ = 0;
    size_t element_count_ = 0;
};

/* ---- create and open ---- */

inline void check_name(const std::string &name)
{
    if (name.empty())
        refuse(name, "the name is empty: give the path of a file, such as /tmp/x.im.shm");
    if (name.find('\0') != std::string::npos)
        refuse(name.c_str(), "a NUL character follows in the name: give a path without one");
}

inline void check_request(const std::string &name, const Shape &shape, uint32_t depth)
{
    check_name(name);
    if (shape.size() != 2 && shape.size() != 3)
        refuse(name, "the shape " + text_of(shape) + " has " + std::to_string(shape.size()) +
                         " axes: give 2 or 3 (a vector of n elements is {n, 1})");
    if (std::find(shape.begin(), shape.end(), 0u) != shape.end())
        refuse(name, "the shape " + text_of(shape) + " has an axis of 0: each must be 1 or more");
    if (depth == 0)
        refuse(name, "the depth is 0: give 1 for one frame, or more for a history");
}

/* With the rights that an open would have: 0, or an errno. */
inline int access_error(const std::string &path, int mode)
{
    return faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* The part of a path that must exist before a file in it can be made. */
inline std::string directory_of(const std::string &path)
{
    const size_t slash = path.rfind('/');

    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

inline Segment::Segment(const std::string &name, Element element, const Shape &shape,
                        uint32_t depth)
    : Segment()
{
    Shape size = shape;

    check_request(name, shape, depth);
    if (daoShmImageCreate_FIFO(&image_, name.c_str(), static_cast<long>(size.size()), size.data(),
                               element.code, 1, 0, depth) != DAO_SUCCESS) {
        const std::string directory = directory_of(name);
        const int error = access_error(directory, W_OK | X_OK);

        if (error != 0)
            refuse(name, "cannot be created: " + directory + ": " + std::strerror(error) +
                             ": choose a directory that exists and can be written to");
        refuse(name, "cannot be created as " + text_of(shape) + " of " +
                         element_name(element.code) + ", depth " + std::to_string(depth) +
                         ": the line on stderr says why: remove what is in the way, or ask for "
                         "less");
    }
    take_geometry(name, element);
}

inline Segment::Segment(const std::string &name, Element element) : Segment()
{
    check_name(name);
    if (daoShmShm2Img(name.c_str(), &image_) != DAO_SUCCESS) {
        const int error = access_error(name, R_OK);

        if (error != 0)
            refuse(name,
                   std::string("cannot be opened: ") + std::strerror(error) +
                       (error == EACCES ? ": let its owner make it readable (chmod)"
                                        : ": start the program that creates it, or mend the name"));
        refuse(name, "cannot be opened: the line on stderr says why: wait where it is still being "
                     "created, else delete it and create it again");
    }
    take_geometry(name, element);
}

/*
 * Shape and depth, from what the library has checked at the open: the places of the three parts of
 * the mapping, and a header that must agree with them (it may change at any moment).
 */
inline void Segment::take_geometry(const std::string &name, Element element)
{
    const char *const first = reinterpret_cast<const char *>(image_.md);
    const char *const pixels = static_cast<const char *>(image_.array.V);
    const char *const end =
        image_.kw ? reinterpret_cast<const char *>(image_.kw) : first + image_.memsize;
    const uint8_t found = image_.md->atype;
    const size_t axes = std::min<size_t>(image_.md->naxis, std::size(image_.md->size));
    size_t count = 1;

    if (found != element.code)
        refuse(name, std::string("its elements are ") + element_name(found) + " (_DATATYPE_ " +
                         std::to_string(found) + "), not " + element_name(element.code) +
                         ": open it as Dao::Shm<" + element_name(found) + ">");
    shape_.assign(image_.md->size, image_.md->size + axes);
    depth_ = static_cast<uint32_t>(static_cast<size_t>(pixels - first) / sizeof(IMAGE_METADATA));
    element_count_ = static_cast<size_t>(end - pixels) / depth_ / element.bytes;
    for (uint32_t size : shape_)
        if (__builtin_mul_overflow(count, size, &count))
            count = 0;
    if (count != element_count_)
        refuse(name, "its header says " + text_of(shape_) + ", but a frame has " +
                         std::to_string(element_count_) +
                         " elements: another program is changing it: open it again");
}

/* ---- write ---- */

inline int_fast8_t Segment::write(const void *frame)
{
    if (element_count_ > UINT32_MAX) {
        daoError("%s: %zu elements a frame: no more than %u can be written at once", image_.name,
                 element_count_, UINT32_MAX);
        return DAO_ERROR;
    }
    /* It is only read there. */
    return daoShmImage2Shm(const_cast<void *>(frame), static_cast<uint32_t>(element_count_),
                           &image_);
}

/* ---- wait ---- */

/* Number of a semaphore, -1: this is none. */
inline int32_t semaphore_of(ShmSync sync)
{
    const int32_t number = sync == ShmSync::SEM ? 0 : static_cast<int32_t>(sync);

    return number >= 0 && number < IMAGE_NB_SEMAPHORE ? number : -1;
}

/* CLOCK_REALTIME in so many seconds, of which a thousand million (31 years) are as good as more. */
inline timespec seconds_from_now(size_t seconds)
{
    constexpr size_t for_ever = 1000000000;
    timespec at{};

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += static_cast<time_t>(std::min(seconds, for_ever));
    return at;
}

inline bool fail_sync(ShmSync sync)
{
    daoError("ShmSync %d: there are SEM0 to SEM9, SEM, SPIN and NONE", static_cast<int>(sync));
    return false;
}

/* Until a frame comes that is newer than what is there; of a new run, where the source restarts. */
inline bool Segment::wait_for_counter()
{
    int_fast8_t status;

    do
        status = daoShmWaitForCounter(&image_);
    while (status == DAO_OVERWRITE);
    return status == DAO_SUCCESS;
}

inline bool Segment::wait(ShmSync sync)
{
    const int32_t semaphore = semaphore_of(sync);

    if (semaphore >= 0)
        return daoShmWaitForSemaphore(&image_, semaphore) == DAO_SUCCESS;
    if (sync == ShmSync::SPIN)
        return wait_for_counter();
    return sync == ShmSync::NONE || fail_sync(sync);
}

inline bool Segment::wait(ShmSync sync, size_t number)
{
    const int32_t semaphore = semaphore_of(sync);

    if (semaphore >= 0) {
        const timespec until = seconds_from_now(number);

        return daoShmWaitForSemaphoreTimeout(&image_, semaphore, &until) == DAO_SUCCESS;
    }
    if (sync == ShmSync::SPIN)
        return daoShmWaitForTargetCounter(&image_, number) == DAO_SUCCESS;
    return sync == ShmSync::NONE || fail_sync(sync);
}

/* ---- read ---- */

inline void *Segment::newest()
{
    void *pixels = nullptr;

    return daoShmGetNewestSegment(&image_, &pixels, nullptr, nullptr) == DAO_SUCCESS ? pixels
                                                                                     : nullptr;
}

inline void *Segment::next(bool wait, int_fast8_t &status, uint64_t *cnt0)
{
    void *pixels = nullptr;

    do {
        if (wait && daoShmWaitForNextSegment(&image_) != DAO_SUCCESS) {
            status = DAO_ERROR;
            return nullptr;
        }
        status = daoShmGetNextSegment(&image_, &pixels, nullptr, cnt0);
    } while (wait && status == DAO_NOTREADY); // gone again: the source restarted in between
    return status == DAO_SUCCESS || status == DAO_OVERWRITE ? pixels : nullptr;
}

inline void *Segment::slot(uint_fast32_t idx)
{
    void *pixels = nullptr;

    return daoShmGetArbitrarySegment(&image_, &pixels, idx) == DAO_SUCCESS ? pixels : nullptr;
}

/* ---- metadata ---- */

inline IMAGE_METADATA *Segment::metadata(uint_fast32_t idx) const
{
    void *pixels = nullptr;

    /* Only to know whether the segment is still there. */
    if (daoShmGetArbitrarySegment(&image_, &pixels, 0) != DAO_SUCCESS)
        return nullptr;
    return &image_.md[idx % depth_];
}

inline IMAGE_METADATA *Segment::metadata() const
{
    uint32_t slot = 0;

    return daoShmGetNewestSlot(&image_, &slot, nullptr) == DAO_SUCCESS ? &image_.md[slot] : nullptr;
}

/* A member of one slot's metadata; 0 where there is none. */
inline uint64_t load_count(const IMAGE_METADATA *md, const uint64_t IMAGE_METADATA::*member)
{
    /* acquire: pairs with the release of cnt0 in dao_writer_publish() (lib/writer.c) */
    return md ? __atomic_load_n(&(md->*member), __ATOMIC_ACQUIRE) : 0;
}

/* Nanoseconds since the Unix epoch; 0 where a program left nonsense. */
inline int64_t load_atime(const IMAGE_METADATA *md)
{
    const int64_t first = md ? __atomic_load_n(&md->atime.tsfixed.firstlong, __ATOMIC_RELAXED) : 0;
    const int64_t second =
        md ? __atomic_load_n(&md->atime.tsfixed.secondlong, __ATOMIC_RELAXED) : 0;
    int64_t ns = 0;

    if (first == 0)
        return second;
    /* The program filled atime.ts: seconds and nanoseconds. */
    if (second < 0 || second >= 1000000000 || __builtin_mul_overflow(first, 1000000000, &ns) ||
        __builtin_add_overflow(ns, second, &ns))
        return 0;
    return ns;
}

} // namespace detail

template <typename T> class Shm
{
    static_assert(detail::element_code<T> != 0,
                  "T must be an element type: uint8_t ... int64_t, float, double, complex_float, "
                  "complex_double, std::complex<float> or std::complex<double>");

  public:
    /* ---- create, open, move ---- */

    /*
     * Create a segment and open it; `frame`, of get_element_count() elements, is published as its
     * first one. The new segment is as daoShmImageCreate_FIFO() describes it: a file of the same
     * geometry is set back in place, any other is replaced.
     *
     *   name   path of the file
     *   shape  2 or 3 axes, each at least 1
     *   depth  frames that it holds, at least 1
     *
     * Throws std::runtime_error: an argument is none of these, no room, no permission.
     */
    Shm(const std::string &name, const Shape &shape, const T *frame = nullptr, uint32_t depth = 1)
        : segment_(name, {detail::element_code<T>, sizeof(T)}, shape, depth)
    {
        if (frame && set_frame(frame) != DAO_SUCCESS)
            detail::refuse(name, "the first frame cannot be written: the line on stderr says why: "
                                 "create it without one, or smaller");
    }

    /*
     * Open an existing segment; where writing is not permitted, read-only. The tail is at the
     * newest frame: get_next_frame() gives the next one published.
     * Throws std::runtime_error: missing, not permitted, not a segment, still being created, or its
     * elements are not T.
     */
    Shm(const std::string &name) : segment_(name, {detail::element_code<T>, sizeof(T)})
    {
    }

    /*
     * Move-only. What was moved from holds no segment: it can be destroyed and assigned to, its
     * shape is empty, and its methods fail as those of a segment that is gone.
     */
    Shm(const Shm &) = delete;
    Shm &operator=(const Shm &) = delete;
    Shm(Shm &&) noexcept = default;
    Shm &operator=(Shm &&) noexcept = default;
    ~Shm() = default; // closes; file and semaphores stay

    /* ---- write ---- */

    /*
     * Copy a frame of get_element_count() elements into the next slot and publish it: count one
     * up, time now, semaphores posted. Does not block. One writer at a time is the caller's affair.
     * DAO_SUCCESS, or DAO_ERROR with nothing written: nullptr, opened read-only, segment gone.
     */
    int_fast8_t set_frame(const T *frame)
    {
        return segment_.write(frame);
    }

    /* ---- read ---- */

    /*
     * The newest frame, after a wait; moves the tail to it. Blocks as long as it takes:
     *
     *   NONE        not at all; before the first frame it is a frame of zeros
     *   SEM0..SEM9  until that semaphore is posted, and takes the post; a post that nobody has
     *   SEM         taken since an earlier frame ends the wait at once
     *   SPIN        until a frame newer than the newest one at the call is published; where the
     *               source restarts its counts meanwhile, until its first frame
     *
     * nullptr: the wait failed: segment gone, or a signal handler ran.
     */
    T *get_frame(ShmSync sync = ShmSync::NONE)
    {
        return segment_.wait(sync) ? static_cast<T *>(segment_.newest()) : nullptr;
    }

    /*
     * The same with a limit.
     *
     *   SEM0..SEM9, SEM  wait at most `number` seconds (of CLOCK_REALTIME); 0 is one look
     *   SPIN             wait until the newest count is at least `number`, however long that takes
     *   NONE             `number` means nothing
     *
     * nullptr also where the time is over, or the source restarted its counts below `number`.
     */
    T *get_frame(ShmSync sync, size_t number)
    {
        return segment_.wait(sync, number) ? static_cast<T *>(segment_.newest()) : nullptr;
    }

    /*
     * The next frame after the tail; moves the tail to it. With `wait` blocks until there is one.
     * `status` becomes
     *
     *   DAO_SUCCESS    the next frame
     *   DAO_OVERWRITE  this is the newest frame: those before it were overwritten before they were
     *                  read, or the source restarted
     *   DAO_NOTREADY   nullptr: none yet (never with `wait`)
     *   DAO_ERROR      nullptr: segment gone, or, with `wait`, a signal handler ran
     */
    T *get_next_frame(bool wait, int_fast8_t &status)
    {
        return static_cast<T *>(segment_.next(wait, status, nullptr));
    }

    /* The same; `cnt0` becomes the frame's count, and is untouched where there is none. */
    T *get_next_frame(bool wait, int_fast8_t &status, uint64_t &cnt0)
    {
        return static_cast<T *>(segment_.next(wait, status, &cnt0));
    }

    /* The pixels of slot idx modulo the depth, whatever they hold; the tail stays. */
    T *get_arbitrary_frame(uint_fast32_t idx)
    {
        return static_cast<T *>(segment_.slot(idx));
    }

    /*
     * Has the frame that get_frame() or get_next_frame() gave last been overwritten since? As
     * daoShmCheckSegmentOverwrite(): DAO_SUCCESS, DAO_OVERWRITE or DAO_ERROR.
     */
    int_fast8_t check_segment_overwrite()
    {
        return segment_.check_overwrite();
    }

    /* ---- what it is ---- */

    /* The axes; a segment made elsewhere may have one. */
    const Shape &get_shape() const
    {
        return segment_.shape();
    }

    /* Elements in a frame. */
    size_t get_element_count() const
    {
        return segment_.element_count();
    }

    /* ---- metadata ----
     *
     * Of the newest frame at this moment, or of slot idx modulo the depth. They never move the
     * tail, and do not block; each costs about a microsecond, to see whether the segment is still
     * there. 0 or nullptr where it is gone. Two calls without a slot may speak of two frames:
     * get_meta_data() gives all that is known of one.
     */

    /* cnt0: 1 for the first frame, 0 before it. */
    uint64_t get_counter() const
    {
        return segment_.counter();
    }

    uint64_t get_counter(uint_fast32_t idx) const
    {
        return detail::load_count(segment_.metadata(idx), &IMAGE_METADATA::cnt0);
    }

    /* cnt1: the writer's to use. */
    uint64_t get_cnt1() const
    {
        return detail::load_count(segment_.metadata(), &IMAGE_METADATA::cnt1);
    }

    uint64_t get_cnt1(uint_fast32_t idx) const
    {
        return detail::load_count(segment_.metadata(idx), &IMAGE_METADATA::cnt1);
    }

    /* cnt2: the number that the frame has at its source, where it has one. */
    uint64_t get_frame_id() const
    {
        return detail::load_count(segment_.metadata(), &IMAGE_METADATA::cnt2);
    }

    uint64_t get_frame_id(uint_fast32_t idx) const
    {
        return detail::load_count(segment_.metadata(idx), &IMAGE_METADATA::cnt2);
    }

    /* When the frame was published: nanoseconds since the Unix epoch, CLOCK_REALTIME. */
    int64_t get_timestamp() const
    {
        return detail::load_atime(segment_.metadata());
    }

    int64_t get_timestamp(uint_fast32_t idx) const
    {
        return detail::load_atime(segment_.metadata(idx));
    }

    /* The metadata themselves, in shared memory: they change under your eyes. sem, fifo_size and
     * fifo_last_written are in slot 0 only. */
    IMAGE_METADATA *get_meta_data() const
    {
        return segment_.metadata();
    }

    IMAGE_METADATA *get_meta_data(uint_fast32_t idx) const
    {
        return segment_.metadata(idx);
    }

  private:
    detail::Segment segment_;
};

} // namespace Dao

#endif
