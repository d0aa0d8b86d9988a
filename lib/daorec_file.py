"""daorec_file - one file of a recording, for daorec.py: where its frames and rows lie, and reading
them. Any thread; a file is open only while it is read from.

    [primary header][cube: a plane a frame][FRAMES: a row a frame][SHMKW][...]

What can go wrong: the file is missing, no FITS, no recording, cut short, another one under the same
name: an Error of one line. Nothing that a header says is believed before it was checked against the
file's length. An unfinished file (.part) has planes and rows that are still zero; a row with RTIME
says that the plane is there. When its recorder closes it, planes stay where they are, but the rows
move behind the last frame, and what is behind them is cut off; see _settled().
"""
import contextlib
import datetime
import enum
import errno
import mmap
import operator
import os
import re
import stat
import sys

import numpy as np
from astropy.io import fits

BLOCK = 2880  # of a FITS file
_HEADER_MAX = 128 * BLOCK
CHUNK = 1 << 20  # bytes read at once where that can be chosen
_JUMP_MAX = 2**31  # a larger step of CNT0 is a new run
_LOST_MAX = 2**31 - 1  # LOST saturates here
_TRIES = 10  # looks at a file that changes under the eyes

# A row of FRAMES, in memory and as stored; README.md explains the columns.
ROW = np.dtype([("TIME", "f8"), ("ATIME", "i8"), ("CNT0", "i8"), ("CNT1", "i8"), ("CNT2", "i8"),
                ("RTIME", "i8"), ("LOST", "i4"), ("FLAGS", "i4"), ("SLOT", "i4"), ("DSUM", "u4")])
_STORED_ROW = ROW.newbyteorder(">")
_RTIME_AT = ROW.fields["RTIME"][1]
_KEYWORD_ROW = np.dtype([("NAME", "S16"), ("TYPE", "S1"), ("LVAL", ">i8"), ("DVAL", ">f8"),
                         ("SVAL", "S16"), ("COMMENT", "S80")])

# The card that a mark begins on; the rest of a longer text is on the next ones.
_MARK = re.compile(r"HISTORY MARK (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}) (.{40})")

# (BITPIX, BZERO): type of the elements, or of the two parts of a complex one
_TYPES = {(8, 0): "u1", (8, -128): "i1", (16, 2**15): "u2", (16, 0): "i2", (32, 2**31): "u4",
          (32, 0): "i4", (64, 2**63): "u8", (64, 0): "i8", (-32, 0): "f4", (-64, 0): "f8"}


class Error(Exception):
    """A recording that cannot be read: one line with the file, what is wrong and the remedy."""


class NotOurs(Error):
    """A FITS file, but no recording."""


class NotFits(Error):
    """A file, but no FITS file."""


class Flag(enum.IntFlag):
    """The bits of FLAGS."""
    GAP = 1  # frames are missing before this one; alone: the source's own count jumped
    OVERWRITE = 2  # ... because the reader was lapped
    TORN = 4  # rewritten while it was copied
    RESET = 8  # the count restarted here
    BADTIME = 16  # ATIME is zero or goes back
    PARTIAL = 32  # packets are missing in it
    RECOVERED = 64  # not proven, after a crash
    QUEUEFULL = 128  # lost because the disk fell behind


def _whole_ns(ns, seconds):
    """numpy lets what does not fit into 64 bits wrap; in seconds it would not be the same."""
    if ns.astype("M8[s]") != seconds:  # nor is what is no time (NaT)
        raise _beyond(seconds)
    return int(ns.astype(np.int64))


def _beyond(when):
    return ValueError(f"the time {when}: nanoseconds in 64 bits go from 1677 to 2262")


def to_ns(when):
    """POSIX ns of a time: an int is that already; datetime64, datetime (without a zone: UTC), an
    ISO 8601 text in UTC, or an astropy Time. ValueError: 64 bits do not hold it."""
    if isinstance(when, str):
        when = when.strip().removesuffix("Z")
        return _whole_ns(np.datetime64(when, "ns"), np.datetime64(when, "s"))
    if isinstance(when, datetime.datetime):
        if when.tzinfo is not None:
            when = when.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        when = np.datetime64(when)
    elif hasattr(when, "to_value") and hasattr(when, "utc"):
        given, when = when, when.utc.to_value("datetime64")
        if isinstance(when, np.datetime64) and abs(given.unix) >= 2**63 / 1e9:  # it has wrapped
            raise _beyond(given)
    if isinstance(when, np.datetime64):
        return _whole_ns(when.astype("M8[ns]"), when.astype("M8[s]"))
    try:
        return operator.index(when)
    except TypeError:
        raise TypeError(f"a time of type {type(when).__name__}: give POSIX nanoseconds as an int, "
                        "or a datetime64, datetime or ISO text in UTC") from None


# ---- bytes ----

def fill(fd, path, at, into):
    """Read all of `into`, a contiguous array of bytes, from `at` on."""
    view, done = memoryview(into).cast("B") if into.size else b"", 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], at + done)
        if count == 0:
            raise Error(f"{path}: ends at byte {at + done}, its headers tell of more: it was cut "
                        "short; copy it again, or see daorec verify")
        done += count


def fetch(fd, path, start, wanted, into):
    """Items `wanted` (a range, or an array of indices) into the rows of `into`, an array of bytes;
    item 0 begins at `start`. Reads little more than that, and never more than a chunk at once."""
    size = into.shape[1]
    step = wanted.step if isinstance(wanted, range) else 0
    if step == 1 and len(wanted):
        fill(fd, path, start + wanted[0] * size, into)
        return
    at_once = max(1, CHUNK // (abs(step) * size)) if step else 1
    for begin in range(0, len(wanted), at_once):
        part, to = wanted[begin:begin + at_once], into[begin:begin + at_once]
        low, high = int(min(part[0], part[-1])), int(max(part[0], part[-1]))
        cover = to if low == high else np.empty((high - low + 1, size), np.uint8)
        fill(fd, path, start + low * size, cover)
        if cover is not to:
            to[:] = cover[::step]


# ---- headers ----

def read_header(fd, path, at):
    """The bytes of a header with its padding."""
    text = b""
    while len(text) < _HEADER_MAX:
        block = os.pread(fd, BLOCK, at + len(text))
        if at == 0 and not text and not block.startswith(b"SIMPLE  ="):
            raise NotFits(f"{path}: is no FITS file")
        if len(block) < BLOCK:
            break
        text += block
        if any(block[i:i + 8] == b"END     " for i in range(0, BLOCK, 80)):
            return text
    raise Error(f"{path}: the header at byte {at} has no end: the file was cut short or damaged; "
                "copy it again, or see daorec verify")


class Cards:
    """The cards of a header, of which none is believed."""

    def __init__(self, path, text):
        self.path = path
        try:
            self.header = fits.Header.fromstring(text)
        except Exception as error:  # noqa: BLE001 - whatever astropy says of bad bytes
            raise self.bad(f"a header cannot be read ({error})") from None

    def bad(self, what):
        return Error(f"{self.path}: {what}: it is damaged (see daorec verify) or no recording of "
                     "daorec (read it with astropy.io.fits)")

    def get(self, key, kind=None, default=None):
        """The value, of type `kind` (None: any); Error where there is no such value."""
        try:
            value = self.header[key]
        except KeyError:
            value = default
        except Exception as error:  # noqa: BLE001 - whatever astropy says of a bad card
            raise self.bad(f"the card {key} cannot be read ({error})") from None
        if (kind and type(value) is not kind) or (kind is int and abs(value) > 2**63):
            raise self.bad(f"{key} is {value!r}" if value is not None else f"it has no {key}")
        return value

    def axes(self, least=2):
        """NAXIS1, NAXIS2, ..., at least so many."""
        axes = [self.get(f"NAXIS{i + 1}", int) for i in range(min(self.get("NAXIS", int), 9))]
        if len(axes) < least or min(axes[:-1], default=1) < 1 or axes[-1] < 0:
            raise self.bad(f"its axes are {axes}")
        return axes

    def shape_of(self, axes):
        """(shape, dtype, bit that BZERO flips or 0) of frames with these axes of the image: the
        last one is the first for numpy; a complex number is an axis of 2."""
        key = self.get("BITPIX", int), self.get("BZERO", default=0)
        kind = _TYPES.get(key) if self.get("BSCALE", default=1) == 1 else None
        if self.get("CTYPE1") == "COMPLEX" and axes[0] == 2:
            axes, kind = axes[1:], {"f4": "c8", "f8": "c16"}.get(kind)
        if kind is None or not axes:
            raise self.bad(f"BITPIX and BZERO are {key}, which is no type that daorec writes")
        dtype = np.dtype(kind)
        return tuple(reversed(axes)), dtype, 1 << (8 * dtype.itemsize - 1) if key[1] else 0

    @property
    def is_cut(self):
        """Was it written by daorec extract?"""
        return any(str(line).startswith("daorec ") and " extract: " in str(line)
                   for line in self.header.get("HISTORY", ()))


class _Layout:
    """Where everything lies in a file, by the headers that rule it now, and what else they tell.
    `head`: the bytes of the primary header; a Header of all files would take much memory."""

    def __init__(self, fd, path, head):
        self.head, cards = head, Cards(path, head)
        self.is_cut = cards.get("RECSTAT") is None
        if self.is_cut and not (cards.is_cut and cards.get("NAXIS")):
            raise NotOurs(f"{path}: is no recording of daorec; read it with astropy.io.fits")
        self.is_final = self.is_cut or cards.get("RECSTAT", str) != "OPEN"
        of_session = "" if self.is_cut else None  # cards that a cutout need not have
        self.stream = cards.get("EXTNAME", str)
        self.session = cards.get("RECUUID", str, of_session)
        self.number, self.counts = 1 if self.is_cut else cards.get("FILESEQ", int), None
        if self.is_final:
            self.counts = [cards.get(k, int) for k in ("CNT0BEG", "CNT0END", "NLOST", "NGAPS")]
        self._read_shape(cards)
        self.cube_at = len(head)
        frames_at = self._next(self.cube_at + self.planes * self.frame_bytes)
        length = os.fstat(fd).st_size
        cut = Error(f"{path}: {length} bytes, of which {frames_at} should be frames: the file was "
                    "cut short or damaged; copy it again, or see daorec verify")
        if frames_at >= length:
            raise cut
        text = read_header(fd, path, frames_at)
        self._read_table(Cards(path, text))
        self.rows_at = frames_at + len(text)
        self.end = self._next(self.rows_at + self.rows * ROW.itemsize)
        if self.end > length or self.rows > self.planes:
            raise cut

    def _read_shape(self, cards):
        *axes, self.planes = cards.axes()
        self.shape, self.dtype, self.sign = cards.shape_of(axes)
        self.frame_bytes = int(np.prod(axes, dtype=object)) * part_bytes(self.dtype)

    def _read_table(self, table):
        names = tuple(table.get(f"TTYPE{i + 1}") for i in range(len(ROW)))
        width, self.rows = table.axes()[:2]
        if names != ROW.names or width != ROW.itemsize:
            raise table.bad("behind its cube is no table FRAMES of the columns known here")
        try:
            self.dateref_ns = to_ns(table.get("DATEREF", str))
        except ValueError:
            raise table.bad(f"DATEREF is {table.get('DATEREF')!r}") from None

    @staticmethod
    def _next(offset):
        return -(-offset // BLOCK) * BLOCK


def part_bytes(dtype):
    """Of an element, or of one of the two parts of a complex one."""
    return dtype.itemsize // (2 if dtype.kind == "c" else 1)


def _settled(fd, path, action, known=None):
    """action(layout), once more where the file was closed meanwhile: its recorder moves the tables
    towards the last frame, and after that it replaces the primary header in one go. `known`: a
    layout that may still rule."""
    for _ in range(_TRIES):
        head, error, result = read_header(fd, path, 0), None, None
        try:
            result = action(known if known and known.head == head else _Layout(fd, path, head))
        except Error as e:
            error = e
        if read_header(fd, path, 0) == head:
            if error:
                raise error
            return result
    raise Error(f"{path}: changes again and again while it is read; try again")


def _rows_there(fd, path, layout):
    """(frames, planes) of an unfinished file: rows with RTIME; planes: their numbers, or None where
    these are 0, 1, 2 ... (a power cut leaves holes). Unwritten stretches are skipped unread."""
    there, row, size = [np.empty(0, np.int64)], 0, ROW.itemsize
    while row < layout.rows:
        try:
            data_at = os.lseek(fd, layout.rows_at + row * size, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            data_at = 0  # no such search here: read everything
        row = max(row, (data_at - layout.rows_at) // size)
        count = min(CHUNK // 4 // size, layout.rows - row)
        if count > 0:
            chunk = np.empty((count, size), np.uint8)
            fill(fd, path, layout.rows_at + row * size, chunk)
            there.append(row + np.flatnonzero(chunk[:, _RTIME_AT:_RTIME_AT + 8].any(axis=1)))
        row += max(count, 1)
    planes = np.concatenate(there)
    whole = len(planes) == 0 or planes[-1] == len(planes) - 1
    return len(planes), None if whole else planes


class File:
    """One file of a stream; len(file) is its number of frames, `path` where it was found.

    shape, dtype     of a frame, native
    number           FILESEQ
    is_finished      False: it is being written, or its recorder died
    is_cut           True: not recorded, but written by daorec extract
    """

    def __init__(self, path):
        self.path, self.identity = path, None
        with self._opened() as fd:
            self._identify(fd)
            self._layout, (self._frames, self._planes) = _settled(fd, path, lambda layout: (
                layout, (layout.rows, None) if layout.is_final else _rows_there(fd, path, layout)))
        layout = self._layout
        self.is_cut = layout.is_cut
        self.shape, self.dtype, self.is_finished = layout.shape, layout.dtype, layout.is_final
        self.stream, self.session, self.number = layout.stream, layout.session, layout.number
        self.reference_ns, self.frame_bytes = layout.dateref_ns, layout.frame_bytes
        self._stretches = None

    def _identify(self, fd):
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Error(f"{self.path}: is no file")
        self.identity = (status.st_dev, status.st_ino)

    def __len__(self):
        return self._frames

    def __repr__(self):
        return f"<{os.path.basename(self.path)}: {len(self)} frames of {self.shape} {self.dtype}>"

    @property
    def header(self):
        """The primary header, an astropy Header."""
        return fits.Header.fromstring(self._layout.head)

    def marks(self):
        """[(POSIX ns, text)] of the HISTORY MARK cards: what was noted while it was recorded."""
        found, goes_on = [], False
        head = self._layout.head
        for card in (head[at:at + 80] for at in range(0, len(head), 80)):
            line = "".join(c if " " <= c <= "~" else "?" for c in card.decode("latin-1"))
            mark = _MARK.fullmatch(line)
            if mark:
                goes_on = False
                with contextlib.suppress(ValueError):
                    found.append([to_ns(mark[1]), mark[2]])
                    goes_on = True
            elif goes_on and line.startswith("HISTORY      "):
                found[-1][1] += line[13:]
            else:
                goes_on = False
        return [(time, text.rstrip()) for time, text in found]

    @contextlib.contextmanager
    def _opened(self):
        """A descriptor, for as long as it is needed; the name may have been finished meanwhile."""
        for path in (self.path, self.path.removesuffix(".part")):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
                break
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Error(f"{path}: {error.strerror}") from None
        else:
            raise Error(f"{self.path}: is not there" + (
                "" if self.identity is None else
                " any more; daorec keep keeps it from a ring of files (record --keep-files and the "
                "like)"))
        try:
            status = os.fstat(fd)
            if self.identity not in (None, (status.st_dev, status.st_ino)):
                raise Error(f"{path}: another file has taken this name; open the session again")
            yield fd
        finally:
            os.close(fd)

    def _ruled(self, fd, action):
        """action(layout) of the layout that rules now."""
        layout = self._layout
        return action(layout) if layout.is_final else _settled(fd, self.path, action, layout)

    def _plane_numbers(self, wanted):
        """Where the frames `wanted` (a range) are; where there are holes, an array."""
        return wanted if self._planes is None else self._planes[np.array(wanted, np.int64)]

    def _fetch_frames(self, fd, wanted, into, are_rows=False):
        """Pixels or rows of the frames `wanted` (a range) as stored."""
        planes = self._plane_numbers(wanted)

        def fetch_by(layout):
            if len(planes) and max(planes[0], planes[-1]) >= layout.rows:
                raise Error(f"{self.path}: was cut since it was opened, as repair does where "
                            "pixels are missing; open it again")
            fetch(fd, self.path, layout.rows_at if are_rows else layout.cube_at, planes, into)
        self._ruled(fd, fetch_by)

    # ---- pixels ----

    def read_pixels(self, wanted, out):
        """Frames `wanted` (a range) into `out`, a contiguous array of that many."""
        raw = out.reshape(len(wanted), -1).view(np.uint8)
        at_once = max(1, CHUNK // self.frame_bytes)  # converted while in the cache
        with self._opened() as fd:
            for begin in range(0, len(wanted), at_once):
                to = raw[begin:begin + at_once]
                self._fetch_frames(fd, wanted[begin:begin + at_once], to)
                self._convert(to.reshape(-1))

    def _convert(self, raw):
        """From the file's byte order and offset to the processor's, in place."""
        part = part_bytes(self.dtype)
        words = raw.view(f"u{part}")
        if part > 1 and sys.byteorder == "little":
            words.byteswap(inplace=True)
        if self._layout.sign:
            words ^= words.dtype.type(self._layout.sign)

    def map_pixels(self, wanted):
        """A read-only view of the file where that is what the frames are; else None."""
        if self._layout.sign or self._planes is not None or wanted.step != 1 or not wanted:
            return None
        return self._map(self._layout.cube_at, wanted, ">")

    def _map(self, at, wanted, order):
        """Frames `wanted` (a range of step 1) of those that begin at byte `at`."""
        begin, end = at + wanted.start * self.frame_bytes, at + wanted.stop * self.frame_bytes
        page = begin - begin % mmap.ALLOCATIONGRANULARITY
        with self._opened() as fd:
            # Up to the last frame that is there and no further: what is behind it may be cut off.
            pages = mmap.mmap(fd, end - page, prot=mmap.PROT_READ, offset=page)
        array = np.frombuffer(pages, np.uint8, end - begin, begin - page)
        return array.view(self.dtype.newbyteorder(order)).reshape((-1,) + self.shape)

    # ---- tables ----

    def read_rows(self, wanted, out):
        """Rows of FRAMES of the frames `wanted` (a range) into `out`, of type ROW."""
        at_once = CHUNK // ROW.itemsize
        with self._opened() as fd:
            for begin in range(0, len(wanted), at_once):
                part = wanted[begin:begin + at_once]
                stored = np.empty(len(part), _STORED_ROW)
                raw = stored.view(np.uint8).reshape(-1, ROW.itemsize)
                self._fetch_frames(fd, part, raw, are_rows=True)
                out[begin:begin + at_once] = stored
        out["DSUM"] ^= np.uint32(2**31)  # TZERO

    def row_chunks(self):
        """(index of the first, rows) again and again, in bounded memory."""
        at_once = CHUNK // ROW.itemsize
        for begin in range(0, len(self), at_once):
            rows = np.empty(min(at_once, len(self) - begin), ROW)
            self.read_rows(range(begin, begin + len(rows)), rows)
            yield begin, rows

    @property
    def keywords(self):
        """The segment's keywords as they were when it was opened: {name: int, float or str}."""
        with self._opened() as fd:
            return self._ruled(fd, lambda ruling: self._read_keywords(fd, ruling.end))

    def _read_keywords(self, fd, at):
        text = read_header(fd, self.path, at)
        table = Cards(self.path, text)
        width, count = table.axes()[:2]
        if table.get("EXTNAME") != "SHMKW" or width != _KEYWORD_ROW.itemsize or count > 2**16:
            raise table.bad("behind FRAMES is no table SHMKW")
        rows = np.empty(count, _KEYWORD_ROW)
        fill(fd, self.path, at + len(text), rows.view(np.uint8))
        take = {b"L": lambda row: int(row["LVAL"]), b"D": lambda row: float(row["DVAL"]),
                b"S": lambda row: row["SVAL"].decode("ascii", "replace").rstrip()}
        return {row["NAME"].decode("ascii", "replace").rstrip(): take[row["TYPE"]](row)
                for row in rows if row["TYPE"] in take}

    # ---- what headers tell without a look at the rows ----

    def last_cnt0_if_whole(self, cnt0_before):
        """The last CNT0 of a finished file in which and before which no frame is missing; None."""
        if not self.is_finished:
            return None
        begin, end, lost, gaps = self._layout.counts
        return None if lost or gaps or begin > cnt0_before + 1 else end

    def stretches(self):
        """[(index, frames, first CNT0, last CNT0)] of the stretches in which CNT0 rises. A file
        whose sum of frames and losses is the span of its counts is one; else rows are read."""
        if self._stretches is None and self.is_finished and len(self):
            begin, end, lost, _ = self._layout.counts
            if len(self) + lost == end - begin + 1:
                self._stretches = [(0, len(self), begin, end)]
        if self._stretches is None:
            self._stretches = self._scan_stretches()
        return self._stretches

    def _scan_stretches(self):
        starts, firsts, lasts, last = [], [], [], None
        for at, rows in self.row_chunks():
            counts = rows["CNT0"]
            before = np.insert(counts[:-1], 0, counts[0] if last is None else last)
            falls = np.flatnonzero(counts <= before)  # among them the very first one
            starts += (at + falls).tolist()
            firsts += counts[falls].tolist()
            lasts += before[falls].tolist()
            last = int(counts[-1])
        sizes = np.diff(starts + [len(self)]).tolist()
        return list(zip(starts, sizes, firsts, lasts[1:] + [last]))


def unseen_cause(file, before):
    """For losses_at(): why frames that no row tells of are missing between a frame of the File
    `before` (None: there is none) and one of `file`. None: they were left out on purpose."""
    if file.is_cut:
        return None
    return "absent" if before is not None and file.number > before.number + 1 else "disk"


def losses_at(row, before, restarts, unseen="disk"):
    """[(first missing CNT0, count, cause)] by a row and the CNT0 before it (None: it is the first).
    restarts: {first CNT0: count} of the ledger's gaps before a restart. unseen: the cause where
    more frames are missing than the row knows of: they were taken, and swallowed by a failing disk,
    or their files are not here ("absent")."""
    lost, cnt0, flags = int(row["LOST"]), int(row["CNT0"]), int(row["FLAGS"])
    cause = "disk" if flags & Flag.QUEUEFULL else "lapped" if flags & Flag.OVERWRITE else "source"
    if before is None:
        return [(cnt0 - lost, lost, cause)]
    if flags & Flag.RESET:  # how many belong to the run before? A new one is expected from 1 on.
        old = restarts.get(before + 1, -1)
        if not 0 <= old <= lost:
            old = lost if not flags & Flag.OVERWRITE else max(0, lost - max(cnt0 - 1, 0))
        return [(before + 1, old, "restart"), (cnt0 - (lost - old), lost - old, cause)]
    step = cnt0 - before - 1
    if not lost <= step <= _JUMP_MAX:
        step = lost  # rows that contradict each other: as if a run began
    if lost == _LOST_MAX:
        lost = step
    # What the row does not know of comes first.
    return [(cnt0 - step, step - lost, unseen), (cnt0 - lost, lost, cause)]
