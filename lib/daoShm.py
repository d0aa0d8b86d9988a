"""daoShm - DAO FIFO shared memory for Python, over libdao (dao.h), ctypes and numpy.

One file, so that it can be put in the place of another daoShm.py by copying it.

    import numpy as np
    from daoShm import shm

    source = shm("/dev/shm/wfs.im.shm", data=np.zeros((64, 64), np.float32), depth=8)
    source.set_data(frame)                             # one frame, published to all readers

    reader = shm("/dev/shm/wfs.im.shm")
    newest = reader.get_data()                         # a copy of the newest frame
    status, frame = reader.get_data_next(wait=True)    # frame after frame, in order
    last = reader.get_history(num_items=4)             # shape (4, 64, 64), oldest first

A segment is a file which holds the last `depth` frames of a stream. One writer fills slot after
slot and never waits for a reader; any number of readers follow, each with its own tail, the frame
that it last read. A *new* frame, here, is one published after the tail. When a segment is opened
the tail is at the newest frame.

Arrays that are returned are copies, in C order, and belong to the caller. They are checked copies:
a frame that was overwritten while it was copied is not returned (what FIFO depth 1 cannot promise,
see get_data).

Seconds are floats. A wait without a frame ends at its timeout, and Ctrl-C interrupts every wait.
RuntimeError is raised where the segment was truncated, removed, replaced or reshaped (open it
again), and where the object is closed. A source that restarts with the same shape is followed.

Threads: all methods may be called by any thread. Two threads that read one object share its tail,
so that each frame goes to one of them; with an object each, both get every frame.

The library is looked for in $DAO_LIBRARY, beside this module, in the build tree of a checkout,
where `make install` put it, and by the linker, in this order. It writes its own messages to
stderr, see setLogLevel(); those of this module go to the logger "daoShm".
"""
import atexit
import collections
import ctypes
import datetime
import errno
import fcntl
import functools
import logging
import operator
import os
import threading
import time
import weakref

import numpy as np

__all__ = ["shm", "IMAGE", "IMAGE_METADATA", "IMAGE_KEYWORD", "timespec", "setLogLevel",
           "getLogLevel", "npType2DaoType", "daoType2NpType", "make_timespec_from_now"]

_log = logging.getLogger("daoShm")

# Where `make install` puts the library, as seen from this module's directory; it fills this in.
_LIBDIR_FROM_HERE = None

_SEMAPHORES = 10
_WAIT_SLICE_S = 0.1  # the longest time in C without a look at signals, the path and close()
_PROOF_S = 1.0  # how long a reader tries to copy a frame that is overwritten again and again
_PROOF_ALONE_S = 0.05  # the same at depth 1, where the copy is returned in the end
_MID_FRAME_S = 0.1  # how long get_history() waits for a frame that is being written


# ---- the structures of dao.h ----

class timespec(ctypes.Structure):
    """struct timespec: seconds and nanoseconds."""
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class TIMESPECFIXED(ctypes.Structure):
    """firstlong is 0 and secondlong nanoseconds since the Unix epoch, as writers have it."""
    _fields_ = [("firstlong", ctypes.c_int64), ("secondlong", ctypes.c_int64)]


class _ATIME(ctypes.Union):
    _fields_ = [("ts", timespec), ("tsfixed", TIMESPECFIXED)]


class complex_float(ctypes.Structure):
    """An element of type complex64."""
    _fields_ = [("re", ctypes.c_float), ("im", ctypes.c_float)]


class complex_double(ctypes.Structure):
    """An element of type complex128."""
    _fields_ = [("re", ctypes.c_double), ("im", ctypes.c_double)]


class IMAGE_METADATA(ctypes.Structure):
    """Metadata of one slot, 4304 bytes; dao.h explains the fields."""
    _fields_ = [
        ("name", ctypes.c_char * 80), ("naxis", ctypes.c_uint8), ("size", ctypes.c_uint32 * 3),
        ("nelement", ctypes.c_uint64), ("atype", ctypes.c_uint8),
        ("creation_time", ctypes.c_double), ("last_access", ctypes.c_double), ("atime", _ATIME),
        ("shared", ctypes.c_uint8), ("status", ctypes.c_uint8), ("logflag", ctypes.c_uint8),
        ("sem", ctypes.c_uint16), ("cnt0", ctypes.c_uint64), ("cnt1", ctypes.c_uint64),
        ("cnt2", ctypes.c_uint64), ("write", ctypes.c_uint8), ("NBkw", ctypes.c_uint16),
        ("lastPos", ctypes.c_uint32), ("lastNb", ctypes.c_uint32), ("packetNb", ctypes.c_uint32),
        ("packetTotal", ctypes.c_uint32), ("lastNbArray", ctypes.c_uint64 * 512),
        ("fifo_size", ctypes.c_uint32), ("fifo_last_written", ctypes.c_uint32)]


class _KEYWORD_VALUE(ctypes.Union):
    _fields_ = [("numl", ctypes.c_int64), ("numf", ctypes.c_double),
                ("valstr", ctypes.c_char * 16)]


class IMAGE_KEYWORD(ctypes.Structure):
    """One keyword, 120 bytes: type b'N' unused, b'L' numl, b'D' numf, b'S' valstr."""
    _fields_ = [("name", ctypes.c_char * 16), ("type", ctypes.c_char), ("value", _KEYWORD_VALUE),
                ("comment", ctypes.c_char * 80)]


class _ARRAY(ctypes.Union):
    _fields_ = [(name, ctypes.POINTER(kind)) for name, kind in (
        ("UI8", ctypes.c_uint8), ("SI8", ctypes.c_int8), ("UI16", ctypes.c_uint16),
        ("SI16", ctypes.c_int16), ("UI32", ctypes.c_uint32), ("SI32", ctypes.c_int32),
        ("UI64", ctypes.c_uint64), ("SI64", ctypes.c_int64), ("F", ctypes.c_float),
        ("D", ctypes.c_double), ("CF", complex_float), ("CD", complex_double))
    ] + [("V", ctypes.c_void_p)]


class IMAGE(ctypes.Structure):
    """A process's handle of a segment, 168 bytes. A copy of one has a tail of its own."""
    _fields_ = [
        ("name", ctypes.c_char * 80), ("used", ctypes.c_uint8), ("shmfd", ctypes.c_int32),
        ("memsize", ctypes.c_uint64), ("semlog", ctypes.c_void_p),
        ("md", ctypes.POINTER(IMAGE_METADATA)), ("array", _ARRAY),
        ("semptr", ctypes.POINTER(ctypes.c_void_p)), ("kw", ctypes.POINTER(IMAGE_KEYWORD)),
        ("semReadPID", ctypes.POINTER(ctypes.c_int)),
        ("semWritePID", ctypes.POINTER(ctypes.c_int)),
        ("fifo_last_read", ctypes.c_uint32), ("fifo_last_read_cnt0", ctypes.c_uint64)]


class DAO_FRAME(ctypes.Structure):
    """What daoShmCopyNextSegment() tells about a frame; dao.h explains the fields."""
    LAPPED, JUMPED, RESTART, TORN, PARTIAL = 1, 2, 4, 8, 16  # flags
    _fields_ = [("cnt0", ctypes.c_uint64), ("cnt1", ctypes.c_uint64), ("cnt2", ctypes.c_uint64),
                ("atime_ns", ctypes.c_int64), ("slot", ctypes.c_uint32), ("flags", ctypes.c_uint32),
                ("lost", ctypes.c_uint64)]


# ---- the functions of dao.h ----

_status = ctypes.c_int8
_image = ctypes.POINTER(IMAGE)
_slot_out = ctypes.POINTER(ctypes.c_uint32)
_count_out = ctypes.POINTER(ctypes.c_uint64)
_pointer_out = ctypes.POINTER(ctypes.c_void_p)
_time = ctypes.POINTER(timespec)

# name: what it returns, its arguments (those of a printf-like function up to the format)
_PROTOTYPES = {
    "daoShmImageCreate_FIFO": (_status, _image, ctypes.c_char_p, ctypes.c_long, _slot_out,
                               ctypes.c_uint8, ctypes.c_int, ctypes.c_int, ctypes.c_uint32),
    "daoShmImageCreate": (_status, _image, ctypes.c_char_p, ctypes.c_long, _slot_out,
                          ctypes.c_uint8, ctypes.c_int, ctypes.c_int),
    "daoShmImageCreateSeeded": (_status, _image, ctypes.c_char_p, ctypes.c_long, _slot_out,
                                ctypes.c_uint8, ctypes.c_int, ctypes.c_uint32, ctypes.c_uint64,
                                ctypes.POINTER(IMAGE_KEYWORD)),
    "daoShmInit1D": (_status, ctypes.c_char_p, ctypes.c_uint32, ctypes.POINTER(_image)),
    "daoShmShm2Img": (_status, ctypes.c_char_p, _image),
    "daoShmShm2ImgReadOnly": (_status, ctypes.c_char_p, _image),
    "daoShmCloseShm": (_status, _image),
    "daoShmImageCreateSem": (_status, _image, ctypes.c_long),
    "daoImageCreateSem": (_status, _image, ctypes.c_long),
    "daoShmImage2Shm": (_status, ctypes.c_void_p, ctypes.c_uint32, _image),
    "daoShmImage2ShmQuiet": (_status, ctypes.c_void_p, ctypes.c_uint32, _image),
    "daoShmImage2ShmStamped": (_status, ctypes.c_void_p, ctypes.c_uint32, _image,
                               ctypes.POINTER(DAO_FRAME)),
    "daoShmImagePart2Shm": (_status, ctypes.c_void_p, ctypes.c_uint32, _image, ctypes.c_uint32,
                            ctypes.c_uint16, ctypes.c_uint16, ctypes.c_uint64),
    "daoShmImagePart2ShmFinalize": (_status, _image),
    "daoShmCombineShm2Shm": (_status, ctypes.POINTER(_image), _image, ctypes.c_int, ctypes.c_int),
    "daoShmTimestampShm": (_status, _image),
    "daoShmLockWriter": (_status, _image),
    "daoSemPost": (_status, _image, ctypes.c_int32),
    "daoSemPostAll": (_status, _image),
    "daoSemLogPost": (_status, _image),
    "daoShmWaitForSemaphore": (_status, _image, ctypes.c_int32),
    "daoShmWaitForSemaphoreTimeout": (_status, _image, ctypes.c_int32, _time),
    "daoShmGetNextSegment": (_status, _image, _pointer_out, _slot_out, _count_out),
    "daoShmGetNewestSegment": (_status, _image, _pointer_out, _slot_out, _count_out),
    "daoShmGetArbitrarySegment": (_status, _image, _pointer_out, ctypes.c_ulong),
    "daoShmCopyNextSegment": (_status, _image, ctypes.c_void_p, ctypes.c_uint64,
                              ctypes.POINTER(DAO_FRAME)),
    "daoShmCheckSegmentOverwrite": (_status, _image),
    "daoShmResetTail": (_status, _image, _slot_out, _count_out),
    "daoShmResetTailOldest": (_status, _image, _slot_out, _count_out),
    "daoShmGetNewestSlot": (_status, _image, _slot_out, _count_out),
    "daoShmGetCounter": (ctypes.c_uint64, _image),
    "daoShmWaitForNextSegment": (_status, _image),
    "daoShmWaitForNextSegmentUntil": (_status, _image, _time),
    "daoShmWaitForCounter": (_status, _image),
    "daoShmWaitForTargetCounter": (_status, _image, ctypes.c_uint64),
    "daoShmWaitForTargetCounterUntil": (_status, _image, ctypes.c_uint64, _time),
    "daoShmSetSigbusGuard": (None, ctypes.c_int),
    "daoSetLogLevel": (None, ctypes.c_int),
    "daoGetLogLevel": (ctypes.c_int,),
    "daoLogSetLevel": (None, ctypes.c_int),
    "daoLog": (_status, ctypes.c_int, ctypes.c_char_p),
    "daoLogError": (_status, ctypes.c_char_p),
    "daoLogWarning": (_status, ctypes.c_char_p),
    "daoLogInfo": (_status, ctypes.c_char_p),
    "daoLogDebug": (_status, ctypes.c_char_p),
    "daoLogTrace": (_status, ctypes.c_char_p),
    "daoLogPrint": (_status, ctypes.c_char_p),
    "daoBaseIp2Int": (ctypes.c_uint, ctypes.c_char_p),
    "daoBaseGetTimeStamp": (ctypes.c_void_p,),
}


def _places():
    """Where the library may be, in order: (path or name, must it be a file)."""
    here = os.path.dirname(os.path.realpath(__file__))
    names = ("libdao.so", "libdao.so.0")
    folders = [here]
    if os.path.exists(os.path.join(here, "dao.h")):
        folders.append(os.path.join(os.path.dirname(here), "build", "release"))
    if _LIBDIR_FROM_HERE:
        folders.append(os.path.normpath(os.path.join(here, _LIBDIR_FROM_HERE)))
    return [(os.path.join(folder, name), True) for folder in folders for name in names] + \
        [(name, False) for name in names]


def _declare(library):
    """Set the types of all functions; AttributeError where one is missing."""
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _load():
    override = os.environ.get("DAO_LIBRARY")
    places = [(override, False)] if override else _places()
    tried = []
    for place, must_exist in places:
        if must_exist and not os.path.exists(place):
            tried.append(f"{place}: not there")
            continue
        try:
            library = ctypes.CDLL(place, use_errno=True)
            _declare(library)
            return library
        except OSError as error:
            tried.append(f"{place}: {error}")
        except AttributeError as error:
            tried.append(f"{place}: another DAO library, which this module cannot use ({error})")
    raise ImportError("daoShm: no libdao.so" + (" at $DAO_LIBRARY" if override else "") +
                      "; looked for it here:\n  " + "\n  ".join(tried))


_lib = _load()


def _take_string(pointer, _function, _arguments):
    """The string of daoBaseGetTimeStamp(), as bytes; its memory is the caller's to free."""
    if not pointer:
        return None
    text = ctypes.string_at(pointer)
    _free(pointer)
    return text


_free = ctypes.CDLL(None).free
_free.restype, _free.argtypes = None, [ctypes.c_void_p]
_lib.daoBaseGetTimeStamp.errcheck = _take_string


# ---- element types, log levels, times ----

_TYPES = {1: np.uint8, 2: np.int8, 3: np.uint16, 4: np.int16, 5: np.uint32, 6: np.int32,
          7: np.uint64, 8: np.int64, 9: np.float32, 10: np.float64, 11: np.complex64,
          12: np.complex128}
_ATYPES = {np.dtype(kind): atype for atype, kind in _TYPES.items()}


def npType2DaoType(npType):
    """The _DATATYPE_* number (1 to 12) of a numpy type, dtype or array; TypeError where there is
    none. Byte order does not matter."""
    dtype = npType.dtype if isinstance(npType, (np.ndarray, np.generic)) else np.dtype(npType)
    atype = _ATYPES.get(dtype.newbyteorder("="))
    if atype is None:
        raise TypeError(f"a segment cannot hold elements of type {dtype}; it can be any of " +
                        ", ".join(str(known) for known in _ATYPES))
    return atype


def daoType2NpType(daoType):
    """The numpy type (as np.float32) of a _DATATYPE_* number; ValueError where it is none."""
    try:
        return _TYPES[operator.index(daoType)]
    except KeyError:
        raise ValueError(f"data type {daoType!r}: there are 1 to 12") from None


_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG,
           3: logging.DEBUG - 5}


def setLogLevel(logLevel):
    """How much the library writes to stderr and this module to its logger, in the whole process:
    -1 errors only, 0 warnings too (the default), 1 informations, 2 debugging, 3 everything."""
    _lib.daoSetLogLevel(logLevel)
    _log.setLevel(_LEVELS[min(max(logLevel, -1), 3)])


def getLogLevel():
    """The level that setLogLevel() has set."""
    return _lib.daoGetLogLevel()


def _to_timespec(ns):
    return timespec(*divmod(ns, 10**9))


def make_timespec_from_now(seconds):
    """The absolute time (CLOCK_REALTIME) `seconds` from now, as daoShmWaitForSemaphoreTimeout()
    takes it."""
    return _to_timespec(time.clock_gettime_ns(time.CLOCK_REALTIME) + round(seconds * 1e9))


class _Timer:
    """The end of a wait. Timeout None or 0: never."""

    def __init__(self, timeout):
        seconds = 0.0 if timeout is None else float(timeout)
        if not seconds >= 0:
            raise ValueError(f"timeout is {timeout!r}: seconds are wanted, 0 means for ever")
        self._end = time.monotonic() + seconds if seconds else None

    def slice(self):
        """Seconds until the wait must look around; 0 once it is over."""
        if self._end is None:
            return _WAIT_SLICE_S
        return min(max(self._end - time.monotonic(), 0.0), _WAIT_SLICE_S)


def _struct_to_python(value):
    """Structures and unions as dicts, arrays as lists, char arrays as bytes."""
    if isinstance(value, (ctypes.Structure, ctypes.Union)):
        return {field[0]: _struct_to_python(getattr(value, field[0])) for field in value._fields_}
    return list(value) if isinstance(value, ctypes.Array) else value


# ---- opening ----

class _SegmentGone(RuntimeError):
    """Truncated, removed, replaced or reshaped."""


def _why_not(path, wanted):
    """The exception for a segment that could not be opened or created; libdao has told more on
    stderr. `wanted`: "open" or "create"."""
    text = os.fsdecode(path)
    folder = os.path.dirname(path) or b"."
    missing = FileNotFoundError(errno.ENOENT, f"cannot {wanted} the segment: not there", text)
    refused = PermissionError(errno.EACCES, f"cannot {wanted} the segment: no permission", text)
    if os.path.isdir(path):
        return IsADirectoryError(errno.EISDIR, f"cannot {wanted} the segment: a directory", text)
    if wanted == "open":
        if not os.path.exists(path):
            return missing
        if not os.access(path, os.R_OK):
            return refused
        return RuntimeError(f"{text}: not a FIFO segment, or still being created")
    if not os.path.isdir(folder):
        return FileNotFoundError(errno.ENOENT, "cannot create the segment: no such directory", text)
    if not os.access(folder, os.W_OK | os.X_OK):
        return refused
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return refused
    return RuntimeError(f"{text}: the segment could not be created")


def _check_integer(name, value, least, most):
    number = operator.index(value)
    if not least <= number <= most:
        raise ValueError(f"{name} is {number}: {least} to {most} is wanted")
    return number


def _check_new_frame(data):
    """An array that a segment can be created for."""
    data = np.asarray(data)
    npType2DaoType(data)
    if not 1 <= data.ndim <= 3:
        raise ValueError(f"data has {data.ndim} axes (shape {data.shape}): a segment has 1 to 3")
    if not 1 <= data.size <= 0xFFFFFFFF:
        raise ValueError(f"data has {data.size} elements (shape {data.shape}): a frame has 1 to "
                         f"{0xFFFFFFFF}")
    return data


class _Follower:
    """A reader of its own beside an object's: it does not disturb that one's tail. One thread."""

    def __init__(self, path):
        self.image = IMAGE()
        if _lib.daoShmShm2ImgReadOnly(path, ctypes.byref(self.image)) != 0:
            raise _why_not(path, "open")

    def begin_at_oldest(self):
        if _lib.daoShmResetTailOldest(ctypes.byref(self.image), None, None) != 0:
            raise _SegmentGone("the segment is gone")

    def copy_next(self, array):
        """Fill `array`; DAO_FRAME, or None where there is no frame yet."""
        frame = DAO_FRAME()
        status = _lib.daoShmCopyNextSegment(ctypes.byref(self.image), array.ctypes.data,
                                            array.nbytes, ctypes.byref(frame))
        if status == shm.DAO_ERROR:
            raise _SegmentGone("the segment was truncated, removed, replaced or reshaped")
        return None if status == shm.DAO_NOTREADY else frame

    def wait(self):
        """Until there is a frame, for a moment at most."""
        until = _to_timespec(time.monotonic_ns() + round(_WAIT_SLICE_S * 1e9))
        _lib.daoShmWaitForNextSegmentUntil(ctypes.byref(self.image), ctypes.byref(until))

    def close(self):
        if self.image.used:
            _lib.daoShmCloseShm(ctypes.byref(self.image))


def _while_open(method):
    """A method that needs the segment: close() lets it finish, and it raises when closed."""
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        self._enter()
        try:
            return method(self, *args, **kwargs)
        finally:
            self._leave()
    return call


# ---- the class ----

class shm:
    """A segment of DAO FIFO shared memory, created or opened. See the module's text.

    shm(fname)            opens an existing segment; the tail is at its newest frame.
    shm(fname, data=...)  creates one with the shape (1 to 3 axes, C order) and type of `data`, any
                          of the twelve types, and publishes `data` as its first frame.

    fname     path of the segment's file, by habit /tmp/<name>.im.shm or /dev/shm/<name>.im.shm
    data      array to create the segment for
    nbkw      keywords to make room for (0 to 32767), when creating
    pubPort, subPort, subHost
              TCP ports and host for publish() and subscribe(); nothing starts by itself
    logLevel  see setLogLevel(); applied when it is not 0
    depth     frames that the FIFO holds, when creating

    Creating over a segment of the same shape, type and depth resets it in place, and readers that
    have it open go on; with another one a new file replaces it. The file stays after close().

    A segment with one axis is created as such. Programs that use other DAO libraries exit when
    they open one: give data.reshape(-1, 1) where those are to read it.

    Raises FileNotFoundError, PermissionError or IsADirectoryError where these fit, RuntimeError for
    a file that is no FIFO segment, ValueError and TypeError for data that no segment can hold.

    Attributes: fname; shape, dtype and depth of the segment; image, the ctypes IMAGE; mtdata, the
    last result of get_meta_data(). The functions of dao.h are attributes under their own names,
    as in obj.daoShmGetCounter(obj.image). Usable as a context manager.
    """

    DAO_SUCCESS = 0
    DAO_ERROR = 1
    DAO_TIMEOUT = -1
    DAO_OVERWRITE = -2
    DAO_NOTREADY = -3

    def __init__(self, fname=None, data=None, nbkw=0, pubPort=5555, subPort=5555,
                 subHost='localhost', logLevel=0, depth=1):
        self._closed = self._closing = False
        self._state = threading.Condition()  # guards the next one
        self._users = []  # the threads inside a method that needs the segment
        self._reading = threading.RLock()  # whoever reads or moves the tail
        self._writing = threading.RLock()
        self._warned = set()
        self._rolling = None  # see get_history()
        self.image = IMAGE()
        self.mtdata = {}
        self.fname, self.pubPort, self.subPort, self.subHost = fname, pubPort, subPort, subHost
        self.pubEnable = self.subEnable = False
        self.pubEvent, self.subEvent = threading.Event(), threading.Event()
        self.pubThread, self.subThread = _Transfer(self, "pub"), _Transfer(self, "sub")
        if fname is None:
            raise ValueError("fname is None: the path of a segment is wanted")
        if logLevel:
            setLogLevel(logLevel)
        if b"\0" in os.fsencode(fname):
            raise ValueError(f"fname {fname!r} contains a NUL")
        self._path = os.path.abspath(os.fsencode(fname))
        if data is None:
            if _lib.daoShmShm2Img(self._path, ctypes.byref(self.image)) != 0:
                raise _why_not(self._path, "open")
        else:
            data = _check_new_frame(data)
            self._create(data, _check_integer("nbkw", nbkw, 0, 32767),
                         _check_integer("depth", depth, 1, 0xFFFFFFFF))
        self._note_geometry()
        try:
            if data is not None:
                self.set_data(data)
            self.get_meta_data()
        except BaseException:
            self.close()
            raise

    def _create(self, data, nbkw, depth):
        size = (ctypes.c_uint32 * 3)(*data.shape)
        status = _lib.daoShmImageCreate_FIFO(ctypes.byref(self.image), self._path, data.ndim, size,
                                             npType2DaoType(data), 1, nbkw, depth)
        if status != 0:
            raise _why_not(self._path, "create")
        if data.ndim == 1:
            _log.warning("%s has one axis: programs that use other DAO libraries exit when they "
                         "open it; give data.reshape(-1, 1) to be readable for them", self.fname)

    def _note_geometry(self):
        """What stays as long as the segment is open; libdao has checked it."""
        md = self.image.md[0]
        self.shape = tuple(md.size[:md.naxis])
        self.dtype = np.dtype(daoType2NpType(md.atype))
        self.depth = md.fifo_size
        self._nelement = md.nelement
        self._frame_bytes = md.nelement * self.dtype.itemsize

    # -- being open --

    def _enter(self):
        # First in, then the look: a signal handler that closes in between finds nobody or us.
        me = threading.get_ident()
        with self._state:
            self._users.append(me)
        if self._closing:
            self._leave()
            raise RuntimeError(f"{self.fname}: closed")

    def _leave(self):
        with self._state:
            self._users.remove(threading.get_ident())
            if self._closing:
                self._state.notify_all()
                if not self._users:
                    self._finish_close()

    def _finish_close(self):
        if self._closed:
            return
        self._closed = True
        if self._rolling:
            self._rolling.source.close()
            self._rolling = None
        if self.image.used:
            _lib.daoShmCloseShm(ctypes.byref(self.image))

    def close(self):
        """Close the segment and end publishing and subscribing; the file stays. Waits of other
        threads on this object end with RuntimeError, and are waited for. From within a signal
        handler that interrupted a method, the segment is closed when that method returns. Twice
        is fine."""
        me = threading.get_ident()
        with self._state:
            self._closing = True
            while any(user != me for user in self._users):
                self._state.wait(_WAIT_SLICE_S)
            if not self._users:
                self._finish_close()
        self._end_transfers()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def __del__(self):
        try:
            self.close()
        except Exception:  # half-built, or the interpreter is on its way out
            pass

    def _gone(self):
        return _SegmentGone(f"{self.fname}: the segment was truncated, removed, replaced or "
                            "reshaped: open it again")

    def _check_alive(self):
        """Raise where the object is being closed or the segment is gone."""
        if self._closing:
            raise RuntimeError(f"{self.fname}: closed")
        pointer = ctypes.c_void_p()
        if _lib.daoShmGetArbitrarySegment(ctypes.byref(self.image), ctypes.byref(pointer), 0) != 0:
            raise self._gone()

    def _warn_once(self, key, text, *args):
        if key not in self._warned:
            self._warned.add(key)
            _log.warning(text, *args)

    # -- writing --

    def _fit(self, data):
        """`data` as the segment has it: type and shape must be right, the memory need not be."""
        data = np.asarray(data)
        if data.dtype.newbyteorder("=") != self.dtype:
            raise TypeError(f"{self.fname} holds {self.dtype}, but the data is {data.dtype}: "
                            f"convert it with astype(np.{self.dtype})")
        # Axes of length 1 do not count: a vector is (n,), (n, 1) or (1, n).
        if tuple(n for n in data.shape if n != 1) != tuple(n for n in self.shape if n != 1):
            raise ValueError(f"{self.fname} has shape {self.shape}, but the data has {data.shape}")
        return np.ascontiguousarray(data, dtype=self.dtype)

    def _refuse_write(self):
        self._check_alive()
        if fcntl.fcntl(self.image.shmfd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise PermissionError(errno.EACCES, "the segment could be opened for reading only",
                                  os.fsdecode(self._path))
        raise RuntimeError(f"{self.fname}: the frame could not be written")

    @_while_open
    def set_data(self, data):
        """Write one frame into the next slot and publish it. Does not block.

        data: array of the segment's type and shape, axes of length 1 apart. It may be
        non-contiguous or of the other byte order; another shape is a ValueError, another type a
        TypeError, and nothing is written.
        One writer at a time is the user's affair; threads that share this object may all write.
        PermissionError where the segment could be opened for reading only.
        """
        array = self._fit(data)
        with self._writing:
            status = _lib.daoShmImage2Shm(array.ctypes.data, self._nelement,
                                          ctypes.byref(self.image))
        if status != 0:
            self._refuse_write()

    # -- waiting --

    def _probe(self, slot=None, cnt0=None):
        """A copy of the image, whose tail (the same, or as given) is nobody else's."""
        with self._reading:
            probe = IMAGE.from_buffer_copy(self.image)
        if slot is not None:
            probe.fifo_last_read, probe.fifo_last_read_cnt0 = slot, cnt0
        return probe

    def _wait_count(self, seconds, probe=None):
        """True where a frame after the tail (or a restart) is there; waits, by counts, `seconds`
        (at most a slice). 0 is one look."""
        until = _to_timespec(time.monotonic_ns() + round(seconds * 1e9))
        ctypes.set_errno(0)
        status = _lib.daoShmWaitForNextSegmentUntil(ctypes.byref(probe or self._probe()),
                                                    ctypes.byref(until))
        if status == self.DAO_SUCCESS:
            return True
        if status == self.DAO_TIMEOUT or ctypes.get_errno() == errno.EINTR:
            self._check_alive()
            return False
        raise self._gone()

    def _wait_semaphore(self, semNb, seconds):
        """Sleep until the semaphore is posted, `seconds` at most; by counts where there is none."""
        if "semaphore" not in self._warned:
            until = make_timespec_from_now(seconds)
            status = _lib.daoShmWaitForSemaphoreTimeout(ctypes.byref(self.image), semNb,
                                                        ctypes.byref(until))
            if status != self.DAO_ERROR:
                return
            self._check_alive()
            self._warn_once("semaphore", "%s: semaphore %d cannot be used, waiting by counts",
                            self.fname, semNb)
        self._wait_count(seconds)

    def _wait_new(self, semNb, timeout, spin):
        """True when a frame newer than the tail is there, False at the timeout."""
        semNb = _check_integer("semNb", semNb, 0, _SEMAPHORES - 1)
        timer = _Timer(timeout)
        while True:
            seconds = timer.slice()
            # A post without a new frame is an old one: it is taken, and the wait goes on.
            if self._wait_count(seconds if spin else 0):
                if self._is_published(self._newest_slot()):
                    return True
                self.reset_tail()  # a source that restarted, and has not published yet
            elif seconds == 0:
                return False
            elif not spin:
                self._wait_semaphore(semNb, seconds)

    # -- copying --

    def _shaped(self, flat, reform):
        return flat.reshape(self.shape) if reform else flat

    def _copy(self, array, slot):
        ctypes.memmove(array.ctypes.data, self.image.array.V + slot * self._frame_bytes,
                       self._frame_bytes)

    def _is_whole(self, slot, cnt0, strict=False):
        """Was what was copied from the slot the whole frame of this count? Strict: also not where
        the writer fills next, and may have begun without a trace. At depth 1 a second look some
        microseconds later finds what a first one may not."""
        probe = self._probe(slot, cnt0)
        if _lib.daoShmCheckSegmentOverwrite(ctypes.byref(probe)) == self.DAO_SUCCESS:
            if not strict and self.depth > 1:
                return True
            # Between two checks, whose loads are ordered, so that this one is too.
            head = self.image.md[0].fifo_last_written
            if self.depth == 1 or (head + 1) % self.depth != slot:
                if _lib.daoShmCheckSegmentOverwrite(ctypes.byref(probe)) == self.DAO_SUCCESS:
                    return True
        self._check_alive()
        return False

    def _get(self, function):
        """(status, slot, cnt0) of daoShmGetNextSegment or daoShmGetNewestSegment."""
        pointer, slot, cnt0 = ctypes.c_void_p(), ctypes.c_uint32(), ctypes.c_uint64()
        status = function(ctypes.byref(self.image), ctypes.byref(pointer), ctypes.byref(slot),
                          ctypes.byref(cnt0))
        return status, slot.value, cnt0.value

    def _copy_newest(self):
        """A whole copy of the newest frame, flat; moves the tail to it. Under self._reading."""
        array = np.empty(self._nelement, self.dtype)
        end = time.monotonic() + (_PROOF_ALONE_S if self.depth == 1 else _PROOF_S)
        while True:
            status, slot, cnt0 = self._get(_lib.daoShmGetNewestSegment)
            if status != self.DAO_SUCCESS:
                raise self._gone()
            self._copy(array, slot)
            if self._is_whole(slot, cnt0, strict=True):
                return array
            if time.monotonic() < end:
                continue
            if self.depth > 1:
                raise RuntimeError(f"{self.fname}: every frame is overwritten before it can be "
                                   f"copied; a depth of more than {self.depth} is needed")
            self._warn_once("torn", "%s: frames change while they are copied, so that one may be "
                            "made of two; create the segment with depth 2 or more", self.fname)
            return array

    @_while_open
    def get_data(self, check=False, reform=True, semNb=0, timeout=0, spin=False):
        """The newest frame, as a new array; moves the tail to it.

        check    wait for a new frame first, one published after the tail: at once where there is
                 one already. The semaphore is what wakes; an old post of it is no new frame.
        reform   False: one axis with all elements, instead of the segment's shape
        semNb    semaphore to wait on, 0 to 9. Two programs that wait on the same one take each
                 other's posts, and then notice a frame up to 0.1 s late.
        timeout  seconds; 0: for ever
        spin     wait by looking at the frame's count instead, without a semaphore: more CPU, less
                 delay, and any number of readers

        Returns None at the timeout. The frame is whole: a copy that was overwritten is repeated
        with the newest (RuntimeError if that fails for a second). At depth 1 a frame that changes
        again and again is returned nevertheless, and the log warns once. A segment that was just
        created without a frame holds zeros.
        """
        if check and not self._wait_new(semNb, timeout, spin):
            return None
        with self._reading:
            return self._shaped(self._copy_newest(), reform)

    def _next_now(self):
        """(status, flat array or None) of the frame after the tail."""
        with self._reading:
            status, slot, cnt0 = self._get(_lib.daoShmGetNextSegment)
            if status in (self.DAO_NOTREADY, self.DAO_ERROR):
                return status, None
            array = np.empty(self._nelement, self.dtype)
            self._copy(array, slot)
            if self._is_whole(slot, cnt0):
                return status, array
            return self.DAO_OVERWRITE, self._copy_newest()

    @_while_open
    def get_data_next(self, wait=False, reform=True):
        """The frame after the tail, for reading every frame in order; moves the tail to it.

        Returns (status, array):
        DAO_SUCCESS    the next frame
        DAO_OVERWRITE  frames were overwritten before they were read, or the source restarted: the
                       array is the newest frame, those in between are lost
        DAO_NOTREADY   no new frame yet, array is None; never with wait=True, which blocks until
                       there is one
        DAO_ERROR      the segment was truncated, removed, replaced or reshaped, array is None: open
                       it again

        The oldest frame in a FIFO, which the writer overwrites next, is given out while nothing
        shows that it has begun to: a writer whose packets clear the write flag would not show. A
        reader who is never that far behind has certainty.
        """
        try:
            while True:
                status, array = self._next_now()
                if status != self.DAO_NOTREADY or not wait:
                    break
                self._wait_count(_WAIT_SLICE_S)
        except _SegmentGone:
            return self.DAO_ERROR, None
        return status, None if array is None else self._shaped(array, reform)

    @_while_open
    def get_data_arbitrary(self, index, reform=True):
        """What slot `index` (modulo the depth) holds, as a new array: an old frame, or zeros where
        none was written. The tail stays. A slot that is being written is looked at again for a
        moment, and then returned as it is; get_history() returns whole frames only."""
        slot = operator.index(index) % self.depth
        array = np.empty(self._nelement, self.dtype)
        for _ in range(5):
            self._check_alive()
            before = self._look_at(slot)
            self._copy(array, slot)
            if self._look_at(slot) == before and not before[1]:
                break
            time.sleep(0.001)
        return self._shaped(array, reform)

    def _look_at(self, slot):
        """(count, is it being written) of a slot, after all that was loaded before."""
        _lib.daoShmCheckSegmentOverwrite(ctypes.byref(self._probe(slot, 0)))  # as a fence
        md = self.image.md[slot]
        return md.cnt0, md.write

    # -- history --

    def _walk_back(self, slot, cnt0, count):
        """Up to `count` frames of the newest one's run that ends with it: (slot, cnt0), oldest
        first."""
        frames = collections.deque()
        while len(frames) < count and 0 < cnt0 and not self._is_seed(slot) and (
                not frames or 0 < frames[0][1] - cnt0 < 1 << 31):
            frames.appendleft((slot, cnt0))
            slot = (slot - 1) % self.depth
            cnt0 = self.image.md[slot].cnt0
        return frames

    def _wait_after(self, slot, cnt0, seconds):
        """The frame after this one as (slot, cnt0), waiting for it if need be; None: none."""
        probe = self._probe(slot, cnt0)
        pointer, slot, cnt0 = ctypes.c_void_p(), ctypes.c_uint32(), ctypes.c_uint64()
        if self._wait_count(seconds, probe) and _lib.daoShmGetNextSegment(
                ctypes.byref(probe), ctypes.byref(pointer), ctypes.byref(slot),
                ctypes.byref(cnt0)) == self.DAO_SUCCESS:
            return slot.value, cnt0.value
        return None

    def _copy_history(self, count):
        """The last frames as (rows, elements), none missing in between. Under self._reading."""
        rows = np.empty((count, self._nelement), self.dtype)
        filled, last, left = 0, None, 4 * self.depth
        self.reset_tail()
        wanted = self._walk_back(self.image.fifo_last_read, self.image.fifo_last_read_cnt0, count)
        oldest_slot = wanted[0] if len(wanted) == self.depth else None
        was_overtaken = False
        while wanted and left > 0:
            slot, cnt0 = last = wanted.popleft()
            self._copy(rows[filled], slot)
            if self._is_whole(slot, cnt0, strict=last != oldest_slot):
                filled += 1
            else:  # the writer is here: what is older is of no use without it
                filled, was_overtaken = 0, True
            left -= 1
            if not wanted and was_overtaken and filled < count:
                after = self._wait_after(slot, cnt0, _MID_FRAME_S)
                wanted.extend([after] if after else [])
        if filled:
            self._stand_at(*last)
        elif was_overtaken:
            rows[0], filled = self._copy_newest(), 1
        return rows[:filled]

    def _stand_at(self, slot, cnt0):
        """Set the tail, in the run that the last reset_tail() entered."""
        self.image.fifo_last_read, self.image.fifo_last_read_cnt0 = slot, cnt0

    def _roll(self, count):
        """The same from frames that were kept. Under self._reading."""
        self.reset_tail()
        if self._rolling is None:
            self._rolling = _Rolling(self._path)
        roll = self._rolling
        newest = self.image.fifo_last_read_cnt0
        roll.frames = collections.deque(roll.frames, maxlen=count)
        for _ in range(2 * self.depth + 2):
            array = np.empty(self._nelement, self.dtype)
            frame = roll.source.copy_next(array)
            if frame is None:
                break
            if frame.flags & (DAO_FRAME.LAPPED | DAO_FRAME.RESTART):
                roll.frames.clear()
            roll.frames.append(array)
            roll.last = frame.slot, frame.cnt0
            if frame.cnt0 == newest:
                break
        if roll.last:
            self._stand_at(*roll.last)
        return np.stack(roll.frames) if roll.frames else np.empty((0, self._nelement), self.dtype)

    @_while_open
    def get_history(self, num_items=1, check=False, semNb=0, timeout=0, spin=False, buffer=False):
        """The last `num_items` frames, stacked along axis 0, oldest first: an array of shape
        (num_items,) + shape. Moves the tail to the last of them.

        check, semNb, timeout, spin: as for get_data(); None at the timeout.

        The frames are whole (of as many as the FIFO's depth, the oldest is so as get_data_next()
        describes it) and none is missing between them. There are fewer than num_items where
        fewer have been published, and never more than the FIFO holds: num_items above the depth
        gives `depth` frames. The first axis of the result tells. Where the oldest one is being
        overwritten, the frame that does it is waited for, 0.1 s at most.

        buffer=True keeps frames in this object, so that there can be more than the FIFO holds:
        each call takes those that were published since the last such call and returns the last
        num_items of all that were taken without a gap. A call must come before the FIFO has gone
        round, or else, and after a restart of the source, history begins anew. The first call
        finds what the FIFO holds, but for its oldest slot. As many frames are kept as the last
        call asked for. The result is empty where the writer overtook every copy that the first
        call made.
        """
        num_items = _check_integer("num_items", num_items, 1, 1 << 40)
        if check and not self._wait_new(semNb, timeout, spin):
            return None
        with self._reading:
            if buffer:
                rows = self._roll(num_items)
            elif self.depth == 1:
                rows = self._copy_newest()[np.newaxis]
                if not self._is_published(0):
                    rows = rows[:0]
            else:
                rows = self._copy_history(min(num_items, self.depth))
        return rows.reshape((len(rows),) + self.shape)

    # -- metadata --

    def _is_seed(self, slot):
        """Does the slot carry the count that the segment was created with, and no frame? That is
        what daoShmImageCreateSeeded() leaves in the last one."""
        atime = self.image.md[slot].atime.tsfixed
        return slot == self.depth - 1 and atime.firstlong == 0 and atime.secondlong == -1

    def _is_published(self, slot):
        """Does the slot hold a frame?"""
        return self.image.md[slot].cnt0 > 0 and not self._is_seed(slot)

    def _newest_slot(self):
        """The slot of the newest frame; the tail stays."""
        slot = ctypes.c_uint32()
        if _lib.daoShmGetNewestSlot(ctypes.byref(self.image), ctypes.byref(slot), None) != 0:
            raise self._gone()
        return slot.value

    def _snapshot(self, index):
        """A copy of a slot's metadata (None: the newest frame's) that did not change meanwhile."""
        self._check_alive()
        for _ in range(100):
            slot = self._newest_slot() if index is None else operator.index(index) % self.depth
            before = self._look_at(slot)
            copy = IMAGE_METADATA.from_buffer_copy(self.image.md[slot])
            if self._look_at(slot) == before and not before[1]:
                break
        first = self.image.md[0]
        copy.sem, copy.fifo_size = first.sem, first.fifo_size
        copy.fifo_last_written = first.fifo_last_written
        return copy

    @_while_open
    def get_meta_data(self, index=None):
        """Metadata of the newest frame, or of slot `index` (modulo the depth), as a dict with the
        field names of IMAGE_METADATA: name as bytes, size and lastNbArray as lists, atime as
        {'ts': {...}, 'tsfixed': {...}}. sem, fifo_size and fifo_last_written are the segment's,
        whichever slot it is. Also kept in the attribute mtdata. The tail stays."""
        self.mtdata = _struct_to_python(self._snapshot(index))
        return self.mtdata

    @_while_open
    def get_counter(self, index=None):
        """cnt0, the count of the newest frame (or of that in slot `index`): 1 for the first one, 0
        before it."""
        return self._snapshot(index).cnt0

    @_while_open
    def get_frame_id(self, index=None):
        """cnt2, the number that the source itself gave the newest frame (or that in slot `index`),
        where it has one."""
        return self._snapshot(index).cnt2

    @_while_open
    def get_timestamp(self, index=None):
        """When the newest frame (or that in slot `index`) was published: a naive datetime in local
        time, with microseconds."""
        atime = self._snapshot(index).atime
        seconds, ns = divmod(atime.tsfixed.secondlong, 10**9)
        if atime.tsfixed.firstlong:  # a program that filled atime.ts
            seconds, ns = atime.ts.tv_sec, atime.ts.tv_nsec
        whole = datetime.datetime.fromtimestamp(seconds)
        return whole + datetime.timedelta(microseconds=ns // 1000)

    @_while_open
    def reset_tail(self):
        """Move the tail to the newest frame: get_data_next() goes on with the one after it."""
        with self._reading:
            if _lib.daoShmResetTail(ctypes.byref(self.image), None, None) != 0:
                raise self._gone()

    # -- over the network --

    @_while_open
    def publish(self):
        """Send each new frame of the segment to whoever subscribes, from a thread (pubThread) that
        ends with close(), with the process, or when pubEnable is set to False.

        ZeroMQ PUB on TCP port pubPort, on all interfaces, without encryption or authentication:
        for networks that are trusted. pubPort 0 takes a free port and notes it in pubPort. The
        tail stays. Needs the zmq module: ImportError where it is not there. OSError where the port
        is in use. Publishing already: nothing happens.
        """
        self._begin_transfer("pub")

    @_while_open
    def subscribe(self):
        """Write each frame that is received from subHost, port subPort, into the segment, from a
        thread (subThread) that ends with close(), with the process, or when subEnable is set to
        False. The other side is an object that called publish(), of the same shape and type;
        anything else that arrives is dropped, and the log warns once.

        The frames get counts of this segment. What the source had is kept: its cnt0 becomes cnt1,
        cnt2 and atime stay. Frames can be lost on the way; cnt1 then jumps. Needs the zmq module.
        """
        self._begin_transfer("sub")

    def _begin_transfer(self, which):
        _import_transfer()
        thread = getattr(self, which + "Thread")
        if thread.is_alive():
            return
        if thread.ident is not None:  # it ran, and cannot run again
            thread = _Transfer(self, which)
            setattr(self, which + "Thread", thread)
        getattr(self, which + "Event").clear()
        thread.is_awaited = True
        thread.start()
        thread.started.wait()
        if thread.error is not None:
            thread.join()
            raise thread.error

    def _end_transfers(self):
        self.pubEvent.set()
        self.subEvent.set()
        for thread in (self.pubThread, self.subThread):
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()

    def _follow(self):
        """A reader of one's own, for the publishing thread."""
        return _Follower(self._path)

    @_while_open
    def _store_received(self, pixels, stamp):
        """One received frame: bytes, and what its DAO_FRAME is to have but for cnt0, both checked
        by the caller. The subscribing thread."""
        frame = DAO_FRAME(**stamp)
        with self._writing:
            frame.cnt0 = _lib.daoShmGetCounter(ctypes.byref(self.image)) + 1
            status = _lib.daoShmImage2ShmStamped(pixels, self._nelement, ctypes.byref(self.image),
                                                 ctypes.byref(frame))
        if status != 0:
            self._refuse_write()


for _name in _PROTOTYPES:
    setattr(shm, _name, getattr(_lib, _name))


class _Rolling:
    """The frames of get_history(buffer=True)."""

    def __init__(self, path):
        self.source = _Follower(path)
        self.frames = collections.deque()
        self.last = None  # (slot, cnt0) of the last of them
        self.source.begin_at_oldest()


# ---- threads of publish() and subscribe() ----

def _import_transfer():
    """The module that does it; it is the one that needs zmq."""
    try:
        import daoShmZmq
    except ImportError as error:
        raise ImportError("publish() and subscribe() need the zmq module (python3-zmq on Debian "
                          f"and Fedora), which cannot be imported: {error}") from error
    return daoShmZmq


class _Transfer(threading.Thread):
    """pubThread or subThread. Holds its object weakly until it runs."""

    def __init__(self, owner, which):
        super().__init__(name=f"daoShm-{which}", daemon=True)
        self._owner, self._which = weakref.ref(owner), which
        self.started, self.error, self.is_awaited = threading.Event(), None, False

    def run(self):
        owner = self._owner()
        if owner is None:
            return
        setattr(owner, self._which + "Enable", True)
        _running.add(owner)
        try:
            transfer = _import_transfer()
            run = transfer.run_publisher if self._which == "pub" else transfer.run_subscriber
            run(owner, self.started.set)
        except Exception as exception:
            self.error = exception
            tells = self.is_awaited and not self.started.is_set()  # _begin_transfer() raises it
            if not tells and not owner._closing:
                _log.error("%s: %s ended: %s", owner.fname, self.name, exception)
        finally:
            setattr(owner, self._which + "Enable", False)
            self.started.set()


_running = weakref.WeakSet()


@atexit.register
def _end_transfers():
    """Leave no thread inside the library when the interpreter goes."""
    for owner in list(_running):
        owner._end_transfers()
