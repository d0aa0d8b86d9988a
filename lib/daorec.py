"""daorec - what daorec has recorded, for Python: numpy and astropy, no libdao.

    import daorec

    with daorec.open("telemetry/2026-11-24_02-01-08") as session:
        wfs = session["wfs"]                         # the files of wfs as one
        print(wfs.shape, wfs.dtype, len(wfs))        # of a frame; frames in all files
        first, some = wfs[0], wfs[1000:2000:10]      # numpy arrays, read when asked for
        for frame in wfs.frames(-5000):              # the last 5000, one by one, in little memory
            print(frame.cnt0, frame.time, frame.pixels.mean())
        print(wfs.gaps)                              # what was lost, and why
        print(session.marks)                         # what was noted (daorec ctl mark), and when

A stream is one row of frames, whichever files hold them. An index counts the frames that are there;
frames lost have none. Opening reads headers only; pixels and rows are read when asked for. No file
is kept open, so that thousands of them take no descriptors (but for mapped(), one each). Finished,
repaired and unfinished (.part) files are read alike; what a running recorder adds is seen after
session.refresh(). What daorec extract wrote is opened by its files' names: a cube, one HDU a frame,
or an array with its table beside it.

Arrays belong to the caller and are in the processor's byte order. Times are POSIX nanoseconds, int.

What can go wrong, each an Error of one line that names the file and the remedy: a file that is
missing, no FITS, no recording, cut short, replaced or removed while it was in use; files that do
not belong together; a stream that was reshaped where one shape is needed. An array that would take
more than half of the free memory is a MemoryError.

Threads: reading may be done by several at once; refresh() by one while no other reads.

One file is the matter of daorec_file.py, and of daorec_cut.py where extract wrote it, which lie
beside this module; streams and sessions are here.
"""
import bisect
import collections
import collections.abc
import contextlib
import json
import operator
import os

import numpy as np

from daorec_cut import open_file
from daorec_file import CHUNK, ROW, Error, File, Flag, NotOurs, losses_at, to_ns, unseen_cause

__all__ = ["Error", "Flag", "Gap", "Mark", "Frame", "File", "Stream", "Session", "sessions",
           "to_datetime64"]  # and open, which would hide Python's own after import *

_SMALL = 64 << 20  # an array of so many bytes is made without a look at what is free
_TRIES = 10  # looks at a folder that changes under the eyes
_COPIES = "files.d"  # of a session: files that were copied into it


class Gap(collections.namedtuple("Gap", "first_cnt0 count cause time index")):
    """Frames that are missing: the first one's CNT0, how many, the cause ("lapped", "disk",
    "source" or "restart"; "absent": they are in files that are not here), when it was noticed
    (POSIX ns; 0: nothing tells), and the index of the frame that follows (the stream's length where
    none does)."""
    __slots__ = ()


class Mark(collections.namedtuple("Mark", "time text")):
    """What a person noted while it was recorded: when (POSIX ns), and a line of text.
    stream.at_time(mark.time) is the index of the frame that follows."""
    __slots__ = ()


def _column(name, text):
    return property(lambda frame: int(frame.row[name]), doc=text)


class Frame:
    """A frame: `index` in the stream, `pixels` (an array, shape and type the stream's), `row` (its
    row of FRAMES) and the row's columns as Python numbers. numpy takes it as its pixels."""
    __slots__ = ("index", "pixels", "row")
    time = _column("ATIME", "published, POSIX ns by the source's clock; 0 where it sets none")
    rtime = _column("RTIME", "taken by the recorder, POSIX ns")
    cnt0 = _column("CNT0", "the source's frame counter")
    cnt1 = _column("CNT1", "its second counter")
    cnt2 = _column("CNT2", "its third counter (frame id)")
    lost = _column("LOST", "frames lost just before this one")
    slot = _column("SLOT", "FIFO slot that it was taken from")

    def __init__(self, index, pixels, row):
        self.index, self.pixels, self.row = index, pixels, row

    @property
    def flags(self):
        """A Flag."""
        return Flag(int(self.row["FLAGS"]))

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.pixels, dtype)

    def __repr__(self):
        return f"<frame {self.index}, cnt0 {self.cnt0}, {to_datetime64(self.time)}>"


def to_datetime64(times):
    """POSIX nanoseconds (stream.times, frame.time, a gap's time) as numpy's datetime64[ns], UTC."""
    return np.asarray(times, np.int64).view("M8[ns]")[()]


def _open_text(path):
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), encoding="utf-8")


def _free_bytes():
    with _open_text("/proc/meminfo") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("MemAvailable"))


def _allocate(shape, dtype, remedy):
    """An empty array; MemoryError where it would take more than half of the free memory."""
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > _SMALL and wanted > _free_bytes() // 2:
        raise MemoryError(f"{wanted / 1e9:.1f} GB are asked for, {_free_bytes() / 1e9:.1f} GB of "
                          f"memory are free: {remedy}")
    return np.empty(shape, dtype)


class Stream:
    """The frames of a stream in the order in which they were recorded, over all its files.

    stream[i]         frame i: an array of shape stream.shape, type stream.dtype; -1 is the last
    stream[a:b:c]     frames joined: (frames,) + stream.shape
    for pixels in stream, np.asarray(stream), len(stream)
    name, files       the stream's name; its Files, in order
    """

    def __init__(self, name, files, ledger=None):
        self.name = name
        self._set(files, ledger)

    def _set(self, files, ledger):
        self.files, self._ledger = list(files), ledger
        ends = np.cumsum([0] + [len(file) for file in self.files]).tolist()
        self._first, self._length = ends[:-1], ends[-1]
        self._rows = self._gaps = self._runs = None

    def __len__(self):
        return self._length

    def __repr__(self):
        kinds = ", then ".join(dict.fromkeys(f"{f.shape} {f.dtype}" for f in self._used()))
        return f"<stream {self.name}: {len(self)} frames of {kinds} in {len(self.files)} files>"

    # ---- geometry ----

    def _used(self):
        return [file for file in self.files if len(file)] or self.files[:1]

    def _one_shape(self, files):
        shapes = {(file.shape, file.dtype) for file in files}
        if len(shapes) != 1:
            what = ("was reshaped; take one of stream.parts, or frame by frame" if shapes
                    else "has no file, so nobody knows a shape")
            raise Error(f"stream {self.name}: {what}")
        return shapes.pop()

    @property
    def shape(self):
        """Of a frame, as the Python binding of the segment gives it. Error where it changed."""
        return self._one_shape(self._used())[0]

    @property
    def dtype(self):
        """Type of the elements, in native byte order. Error where it changed."""
        return self._one_shape(self._used())[1]

    @property
    def parts(self):
        """Streams of one shape each, in order: one, unless the segment was reshaped."""
        parts = []
        for file in self._used():
            if parts and (parts[-1][0].shape, parts[-1][0].dtype) == (file.shape, file.dtype):
                parts[-1].append(file)
            else:
                parts.append([file])
        return [Stream(self.name, files) for files in parts]

    @property
    def header(self):
        """The first file's primary header (SHMNAME, FIFOSIZE, TELESCOP, ...); None: no file."""
        return self.files[0].header if self.files else None

    @property
    def keywords(self):
        """The segment's keywords, by the first file (a segment made anew may have others:
        file.keywords): {name: int, float or str}."""
        return self.files[0].keywords if self.files else {}

    @property
    def ledger(self):
        """The stream's entry in session.json: a dict, or None. Error: it is damaged."""
        return _told(self._ledger)

    def without(self, files):
        """The same stream without some of its Files, such as those that are not there any more."""
        return Stream(self.name, [file for file in self.files if file not in files], self._ledger)

    # ---- frames ----

    def _pieces(self, wanted):
        """(file, range within it) for each file that holds some of `wanted`, a range."""
        while wanted:
            k = bisect.bisect_right(self._first, wanted[0]) - 1
            first, end = self._first[k], self._first[k] + len(self.files[k])
            count = len(range(wanted[0], end if wanted.step > 0 else first - 1, wanted.step))
            here = wanted[:count]
            yield self.files[k], range(here.start - first, here.stop - first, here.step)
            wanted = wanted[count:]

    def _range(self, start, stop, step):
        return range(len(self))[slice(start, stop, step)]

    def _read(self, wanted, remedy="read less at once, or iterate over stream.frames()"):
        pieces = list(self._pieces(wanted))
        shape, dtype = self._one_shape([file for file, _ in pieces] or self._used())
        out, done = _allocate((len(wanted),) + shape, dtype, remedy), 0
        for file, here in pieces:
            file.read_pixels(here, out[done:done + len(here)])
            done += len(here)
        return out

    def __getitem__(self, key):
        if isinstance(key, slice):
            return self._read(self._range(key.start, key.stop, key.step))
        try:
            index = range(len(self))[key]
        except IndexError:
            raise IndexError(f"frame {key}: stream {self.name} has {len(self)}") from None
        return self._read(range(index, index + 1))[0]

    def __iter__(self):
        return (frame.pixels for frame in self.frames())

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array(), dtype)

    def frames(self, start=None, stop=None, step=None):
        """Iterate over Frames [start:stop:step], as slices count. About a megabyte, or one frame,
        is read at a time."""
        wanted = self._range(start, stop, step)
        while wanted:
            file, _ = next(self._pieces(wanted))
            at_once = max(1, CHUNK // ((file.frame_bytes + ROW.itemsize) * abs(wanted.step)))
            _, here = next(self._pieces(wanted[:at_once]))
            chunk, wanted = wanted[:len(here)], wanted[len(here):]
            pixels, rows = self._read(chunk), self.read_rows(chunk)
            for k, index in enumerate(chunk):
                # A frame that is kept does not keep its neighbours.
                own = pixels[k].copy() if len(chunk) > 1 else pixels[k]
                yield Frame(index, own, rows[k].copy())

    def array(self, start=None, stop=None, step=None, out=None):
        """All frames (or [start:stop:step]) of all files in one array, (frames,) + shape. `out`: an
        array of that shape to fill piece by piece (numpy.lib.format.open_memmap(...), where it does
        not fit into memory), of a type that holds all values."""
        wanted = self._range(start, stop, step)
        if out is None:
            return self._read(wanted, "take a part, iterate over stream.frames(), or give out=")
        shape = (len(wanted),) + self.shape
        if out.shape != shape:
            raise ValueError(f"out has shape {out.shape}: {shape} is needed")
        at_once = max(1, 8 * CHUNK // self._used()[0].frame_bytes)
        for begin in range(0, len(wanted), at_once):
            np.copyto(out[begin:begin + at_once], self._read(wanted[begin:begin + at_once]), "safe")
        return out

    def mapped(self, start=None, stop=None):
        """Frames [start:stop] without reading them: a read-only view of the file in its big-endian
        byte order, which holds a descriptor while it lives. Where that cannot be (unsigned types of
        2 bytes and more and int8 are stored with BZERO; frames in several files) a converted copy,
        as stream[start:stop]. Who cuts a file short ends every process that looks at such a view
        (SIGBUS); what is read by index is an Error then."""
        wanted = self._range(start, stop, None)
        pieces = list(self._pieces(wanted))
        view = pieces[0][0].map_pixels(pieces[0][1]) if len(pieces) == 1 else None
        return self._read(wanted) if view is None else view

    # ---- rows ----

    def read_rows(self, wanted=None):
        """Rows of FRAMES of frames `wanted` (a range; None: all), as stream.rows has them, but not
        kept."""
        wanted = range(len(self)) if wanted is None else wanted
        rows, done = _allocate(len(wanted), ROW, "read some: stream.read_rows(range(a, b))"), 0
        for file, here in self._pieces(wanted):
            piece = rows[done:done + len(here)]
            file.read_rows(here, piece)
            piece["TIME"] += (file.reference_ns - self.reference_ns) * 1e-9
            done += len(here)
        return rows

    @property
    def rows(self):
        """All rows of FRAMES, of frames that are there, in one structured array: TIME (s after
        reference_ns, NaN where the time is bad), ATIME, RTIME (POSIX ns), CNT0, CNT1, CNT2, LOST,
        FLAGS, SLOT, DSUM. 64 bytes a frame, read once and kept; read-only."""
        if self._rows is None:
            self._rows = self.read_rows()
            self._rows.flags.writeable = False
        return self._rows

    @property
    def reference_ns(self):
        """What TIME counts from: DATEREF of the first file, POSIX ns."""
        return self.files[0].reference_ns if self.files else 0

    @property
    def times(self):
        """When the frames were published: int64, POSIX ns; see to_datetime64()."""
        return np.ascontiguousarray(self.rows["ATIME"])

    # ---- search ----

    def _row(self, index):
        return self.read_rows(range(index, index + 1))[0]

    def _first_from(self, wanted, key, low, high):
        """The first index in [low, high) whose key is `wanted` or more; `high`: there is none."""
        while low < high:
            middle = (low + high) // 2
            if key(self._row(middle)) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def at_time(self, when):
        """Index of the first frame published at or after a time (POSIX ns as int, datetime64,
        datetime, ISO text in UTC, astropy Time); len(stream) where there is none. Reads some thirty
        rows. A frame with BADTIME counts with the time at which it was taken."""
        def time_of(row):
            return row["RTIME"] if row["FLAGS"] & Flag.BADTIME or not row["ATIME"] else row["ATIME"]
        return self._first_from(to_ns(when), time_of, 0, len(self))

    def at_count(self, cnt0):
        """Index of the frame of this CNT0, or of the first one behind it where that was lost; of
        the first run that has it, where the source restarted; len(stream) where none has. Reads
        some rows by bisection, and all of a file only where the count restarts in it."""
        cnt0 = operator.index(cnt0)
        runs = self._find_runs()
        run = next((r for r in runs if r[2] <= cnt0 <= r[3]), None)
        run = run or next((r for r in runs if cnt0 < r[2]), None)
        if run is None:
            return len(self)
        return self._first_from(cnt0, lambda row: row["CNT0"], run[0], run[0] + run[1])

    def _find_runs(self):
        """[[index, frames, first CNT0, last CNT0]]: the stretches of the files, joined."""
        if self._runs is None:
            runs = []
            for at, file in zip(self._first, self.files):
                for index, frames, begin, end in file.stretches():
                    if runs and begin > runs[-1][3]:
                        runs[-1][1], runs[-1][3] = runs[-1][1] + frames, end
                    else:
                        runs.append([at + index, frames, begin, end])
            self._runs = runs
        return self._runs

    # ---- losses ----

    @property
    def gaps(self):
        """What was lost: Gaps in the order of the frames. From the rows; from the ledger, where
        there is one, what no row tells (losses behind the last frame) and how a loss of several
        causes divides. Files without losses are not read. Of what extract wrote only what its rows
        tell: frames that were left out (--every) are not lost."""
        if self._gaps is None:
            try:
                told = [Gap(operator.index(gap["first_cnt0"]), operator.index(gap["count"]),
                            gap["cause"], to_ns(gap["time"] or 0), None)
                        for gap in (self.ledger or {}).get("gaps", ())]
            except (KeyError, TypeError, ValueError) as error:
                raise Error(f"the ledger of stream {self.name} is damaged ({error}): move "
                            "session.json away, and gaps come from the rows alone") from None
            self._gaps = self._with_ledger(list(self._row_gaps(told)), told)
        return list(self._gaps)

    def _row_gaps(self, told):
        """By the rules that daorec repair rebuilds a ledger by."""
        last = previous = None
        restarts = {gap.first_cnt0: gap.count for gap in told if gap.cause == "restart"}
        for at, file in zip(self._first, self.files):
            before_it, previous = previous, file
            whole_to = file.last_cnt0_if_whole(last) if last is not None else None
            if whole_to is not None:
                last = whole_to
                continue
            for begin, rows in file.row_chunks():
                counts = rows["CNT0"]
                steps = np.diff(counts, prepend=counts[0] - 1 if last is None else last) - 1
                for k in np.flatnonzero((rows["LOST"] > 0) | (steps > 0)).tolist():
                    before = int(counts[k - 1]) if k else last
                    unseen = unseen_cause(file, file if begin + k else before_it)
                    for first, count, cause in losses_at(rows[k], before, restarts, unseen):
                        gap = Gap(first, count, cause, int(rows[k]["RTIME"]), at + begin + k)
                        if count > 0 and cause:
                            yield from gaps_beside(gap, told) if cause == "absent" else [gap]
                last = int(counts[-1])

    def _with_ledger(self, gaps, told):
        """Each gap that the ledger tells in full becomes what it tells; the others are added."""
        waiting, parts, behind = collections.defaultdict(collections.deque), [], []
        for number, gap in enumerate(gaps):
            waiting[gap.first_cnt0].append((number, gap.count))
            parts.append([])
        for gap in told:
            if not waiting[gap.first_cnt0]:
                behind.append(gap)
                continue
            number, left = waiting[gap.first_cnt0].popleft()
            parts[number].append(gap._replace(index=gaps[number].index))
            if left > gap.count:
                waiting[gap.first_cnt0 + gap.count].append((number, left - gap.count))
        merged = []
        for gap, part in zip(gaps, parts):
            merged += part if sum(known.count for known in part) == gap.count else [gap]
        last = self._row(len(self) - 1) if len(self) else None
        next_cnt0 = int(last["CNT0"]) + 1 if len(self) else None
        for gap in behind:
            is_last = last is None or gap.first_cnt0 == next_cnt0 or gap.time >= last["RTIME"]
            next_cnt0 = gap.first_cnt0 + gap.count if is_last else next_cnt0
            index = len(self) if is_last else self.at_count(gap.first_cnt0)
            merged.append(gap._replace(index=index))
        return sorted(merged, key=lambda gap: gap.index)


def gaps_beside(absent, told):
    """What of an absent gap is left beside the ledger's gaps within it, and these."""
    at, end = absent.first_cnt0, absent.first_cnt0 + absent.count
    for gap in sorted(told):
        if at <= gap.first_cnt0 and gap.first_cnt0 + gap.count <= end and gap.time <= absent.time:
            if gap.first_cnt0 > at:
                yield absent._replace(first_cnt0=at, count=gap.first_cnt0 - at)
            yield gap._replace(index=absent.index)
            at = gap.first_cnt0 + gap.count
    if at < end:
        yield absent._replace(first_cnt0=at, count=end - at)


# ---- sessions ----

def _told(ledger):
    if isinstance(ledger, Error):
        raise Error(str(ledger))
    return ledger


class Session(collections.abc.Mapping):
    """What open() gives: {name: Stream}. Nothing is kept open; `with` is a matter of taste.

    path      what was opened
    left_out  Errors of files in the folder that were left out; None: none may be
    """

    def __init__(self, path, leave_out=False):
        self.path, self._ledger = path, None
        self.left_out = [] if leave_out else None
        self._streams, self._known = {}, {}
        self.refresh()

    def __getitem__(self, name):
        try:
            return self._streams[name]
        except KeyError:
            raise KeyError(f"no stream {name!r} in {self.path}; there are: "
                           + ", ".join(self._streams)) from None

    def __iter__(self):
        return iter(self._streams)

    def __len__(self):
        return len(self._streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __repr__(self):
        return f"<session {self.path}: {', '.join(self._streams)}>"

    @property
    def ledger(self):
        """session.json as a dict; None where there is none (files by themselves). Error: it is
        damaged."""
        return _told(self._ledger)

    @property
    def marks(self):
        """What was noted with daorec ctl mark: Marks, in order of time. From the ledger; where
        there is none (files by themselves) from the headers, which have a '?' for a character that
        is no ASCII, times to the microsecond, and room for some only. Error: they are damaged."""
        if self.ledger is None:
            found = {mark for stream in self.values() for file in stream.files
                     for mark in map(Mark._make, file.marks())}
            return sorted(found)
        try:
            found = [Mark(to_ns(mark["time"]), mark["text"])
                     for mark in self.ledger.get("marks", ())]
            if not all(isinstance(mark.text, str) and abs(mark.time) < 2**63 for mark in found):
                raise TypeError("a text is none, or a time is none")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise Error(f"{self.path}: the marks in session.json are damaged ({error}): move it "
                        "away, and they come from the files' headers") from None
        return sorted(found, key=lambda mark: mark.time)

    @property
    def stream(self):
        """The only stream there is; Error where there are several."""
        if len(self) != 1:
            raise Error(f"{self.path}: holds {len(self)} streams ({', '.join(self)}): take one by "
                        "its name, as session[name]")
        return next(iter(self._streams.values()))

    def refresh(self):
        """Look again: a running recorder has added frames and files. The streams stay the objects
        they were. Finished files are not read again. Returns the session."""
        for attempt in range(_TRIES):
            paths, folder = _find(self.path)
            left_out, is_last = [], attempt == _TRIES - 1
            try:
                files = [self._open_file(path, left_out, is_last) for path in paths]
                files = [file for file in files if file is not None]
                break
            except Error:
                # Between listing and opening its recorder gives a file its final name, or a ring
                # of files removes it.
                if all(map(os.path.exists, paths)) or is_last:
                    raise
        if self.left_out is not None:
            self.left_out = left_out
        self._known = {file.identity: file for file in files if file.is_finished}
        by_name = {}
        for file in files:
            by_name.setdefault(file.stream, {})[file.identity] = file
        self._ledger = _read_ledger(folder, {file.session for file in files}) if folder else None
        entries = {}
        if isinstance(self._ledger, dict):
            entries = {entry["name"]: entry for entry in self._ledger["streams"]}
            if folder == self.path:  # all of the session, streams without a file, too
                by_name = {**{name: {} for name in entries}, **by_name}
        if not by_name and left_out:
            raise left_out[0]
        if not by_name:
            _refuse_folder(self.path)
        for name, members in sorted(by_name.items()):
            ordered = _in_order(self.path, name, members.values())
            entry = entries.get(name) if entries else self._ledger
            if name in self._streams:
                self._streams[name]._set(ordered, entry)
            else:
                self._streams[name] = Stream(name, ordered, entry)
        return self

    def _open_file(self, path, left_out, is_last):
        """None for what is not to be among the files. is_last: it is not looked for again."""
        with contextlib.suppress(OSError):
            status = os.stat(path)
            known = self._known.get((status.st_dev, status.st_ino))
            if known is not None and known.path == path:
                return known
        is_listed = isinstance(self.path, str) and os.path.isdir(self.path)
        try:
            file = open_file(path)
        except NotOurs:
            if not is_listed:
                raise
            return None  # somebody's FITS file beside ours
        except Error as error:
            if self.left_out is None or not is_listed or not (is_last or os.path.exists(path)):
                raise
            left_out.append(error)
            return None
        return None if is_listed and file.is_cut else file


def _in_order(path, name, files):
    """By number; Error where the files are not of one session, or two have one number."""
    files = sorted(files, key=lambda file: file.number)
    cut = [file.path for file in files if file.is_cut]
    if cut and len(files) > 1:
        other = next(file.path for file in files if file.path != cut[0])
        raise Error(f"{cut[0]}: was cut out of stream {name}, of which {other} is, too; open each "
                    "by itself")
    if len({file.session for file in files}) > 1:
        raise Error(f"{path}: files of stream {name} are of several sessions; open each by itself")
    for a, b in zip(files, files[1:]):
        if a.number == b.number:
            raise Error(f"{b.path}: has the number {b.number} of {a.path}; take one of them away")
    return files


def _list(folder, is_found=False):
    """(recordings, folders) in a folder, as paths, sorted. `is_found`: in another folder, and it
    may have gone since: it holds nothing then."""
    try:
        with os.scandir(folder) as entries:
            entries = sorted((entry.name, entry.is_dir()) for entry in entries
                             if not entry.name.startswith(".") and entry.name != _COPIES)
    except OSError as error:
        if is_found and isinstance(error, FileNotFoundError):
            return [], []
        raise Error(f"{folder}: {error.strerror}") from None
    return ([os.path.join(folder, name) for name, is_dir in entries
             if not is_dir and name.endswith((".fits", ".fits.part"))],
            [os.path.join(folder, name) for name, is_dir in entries if is_dir])


def _find(path):
    """(paths of files, folder of the ledger or None) that a path, or a list of files, leads to."""
    if not isinstance(path, str):
        if not path:
            raise Error("no file was named")
        return [os.fspath(file) for file in path], None
    if not os.path.isdir(path):
        return [path], None
    files, folders = _list(path)
    if files:
        return files, os.path.dirname(os.path.realpath(path))
    files = [file for folder in folders for file in _list(folder, True)[0]]
    if files or os.path.exists(os.path.join(path, "session.json")):
        return files, path
    _refuse_folder(path)


def _refuse_folder(path):
    inside = sessions(path)
    raise Error(f"{path}: " + (
        f"holds {len(inside)} sessions; open one of them, such as {inside[-1]}" if inside else
        "no recording (*.fits, *.fits.part) in this folder or the folders in it; what extract "
        "wrote is opened by its file's name"))


def _read_ledger(folder, uuids):
    """session.json of the session that the files are of; None where there is none; an Error, which
    is raised when it is asked for: the frames can be read without it."""
    path = os.path.join(folder, "session.json")
    try:
        with _open_text(path) as f:
            ledger = json.load(f)
        if uuids and {ledger["uuid"]} != uuids:
            return None  # of another session: these files were brought here
        if not all(isinstance(entry["name"], str) for entry in ledger["streams"]):
            raise TypeError("a stream's name is no text")
        return ledger
    except FileNotFoundError:
        return None
    except OSError as error:
        return Error(f"{path}: {error.strerror}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Error(f"{path}: is no ledger ({type(error).__name__}: {error}); move it away, and "
                     "gaps come from the rows alone")


def sessions(root):
    """The sessions (paths of their folders) in an output folder of daorec record, oldest first."""
    return [folder for folder in _list(os.fspath(root))[1]
            if os.path.exists(os.path.join(folder, "session.json"))
            or any(_list(below, True)[0] for below in _list(folder, True)[1])]


def open(path, leave_out=False):  # noqa: A001 - daorec.open(...) is how it is used
    """Open a recording: the folder of a session or of one of its streams, a file, or a list of
    files of one session, in any order; or files that extract wrote. Reads headers only. Returns a
    Session, {name: Stream}; session.stream is the stream where there is one only. leave_out: files
    of a folder that cannot be read are left out, and their Errors are in session.left_out; else the
    first of them is raised."""
    return Session(os.fspath(path) if isinstance(path, (str, os.PathLike)) else list(path),
                   leave_out)
