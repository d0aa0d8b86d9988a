"""daorec_cut - what daorec extract wrote, for daorec.py: frames with their rows, as a File has
them. Any thread; files are open only while they are read from.

    NAME.fits                      a cube with FRAMES, laid out as a recording: daorec_file.py
    NAME.fits, one HDU a frame     a row is the frame's header; all headers have one length
    NAME.npy and NAME.frames.npy   frames, and their rows

What can go wrong, an Error of one line each: the table is not beside its frames, or of others; a
file was cut short, replaced, or written anew by a program that left out cards.
"""
import contextlib
import io
import os
import sys
import types

import numpy as np
from astropy.io import fits

from daorec_file import (
    BLOCK, CHUNK, ROW, Cards, Error, File, Flag, NotFits, NotOurs, fetch, fill, part_bytes,
    read_header)

_COLUMNS = ("ATIME", "CNT0", "CNT1", "CNT2", "RTIME", "LOST", "FLAGS", "SLOT")
_TABLE = np.dtype([(name, ROW[name].newbyteorder("<")) for name in _COLUMNS + ("DSUM",)])
_MAGIC = b"\x93NUMPY"


def open_file(path):
    """A File: recorded, or written by extract."""
    try:
        return File(path)
    except NotFits:
        if not _begins_with(path, _MAGIC):
            raise
        kind = ArrayFile
    except NotOurs:
        if not _begins_with(path, b"SIMPLE  ="):
            raise
        kind = UnitsFile
    return kind(path)


def _begins_with(path, magic):
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


class _CutFile(File):
    """What both forms have in common. Their kinds set _layout (what File asks of one), _frames,
    shape, dtype and stream."""
    is_cut = is_finished = True
    number, session = 1, ""

    def __init__(self, path):
        self.path, self.identity, self._planes, self._stretches = path, None, None, None
        with self._opened() as fd:
            self._identify(fd)
            self._look(fd)
        self.frame_bytes = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        self.reference_ns = 0
        if len(self):
            first = np.empty(1, ROW)
            self.read_rows(range(1), first)
            bad = first["FLAGS"][0] & Flag.BADTIME or not first["ATIME"][0]
            self.reference_ns = int(first["RTIME" if bad else "ATIME"][0]) // 10**9 * 10**9

    @property
    def keywords(self):
        """None are kept in this form."""
        return {}

    def _set_time(self, rows):
        good = (rows["ATIME"] != 0) & (rows["FLAGS"] & Flag.BADTIME == 0)
        seconds = (rows["ATIME"] - self.reference_ns) * 1e-9
        rows["TIME"] = np.where(good, seconds, np.nan)


class UnitsFile(_CutFile):
    """One image HDU a frame, with the cards CNT0, ATIME, ..."""

    def _look(self, fd):
        head = read_header(fd, self.path, 0)
        cards = Cards(self.path, head)
        if not cards.is_cut:
            raise NotOurs(f"{self.path}: is no recording of daorec; read it with astropy.io.fits")
        text = read_header(fd, self.path, len(head))
        unit = Cards(self.path, text)
        axes = unit.axes(1)
        self.shape, self.dtype, sign = unit.shape_of(axes)
        self.stream = cards.get("EXTNAME", str)
        self.session = cards.get("RECUUID", str, "")
        self._frames = cards.get("NFRAMES", int)
        self._layout = types.SimpleNamespace(head=head, sign=sign, is_final=True, counts=[
            cards.get(key, int) for key in ("CNT0BEG", "CNT0END", "NLOST", "NGAPS")])
        data = int(np.prod(axes, dtype=object)) * part_bytes(self.dtype)
        self._units_at, self._head_bytes = len(head), len(text)
        self._stride = len(text) + -(-data // BLOCK) * BLOCK
        self._cards = {text[i:i + 8].decode().rstrip(): i for i in range(0, len(text), 80)}
        self._text = np.frombuffer(text, np.uint8)
        missing = [key for key in _COLUMNS + ("DATASUM",) if key not in self._cards]
        if missing:
            raise unit.bad(f"a frame has no {missing[0]}")
        wanted = len(head) + self._frames * self._stride
        if self._frames < 1 or os.fstat(fd).st_size < wanted:
            raise Error(f"{self.path}: has less than the {wanted} bytes that its headers tell of: "
                        "it was cut short or written anew; cut it out again")

    def _fetch_parts(self, fd, wanted, offset, into):
        """Bytes from `offset` on of the units `wanted` (a range) into the rows of `into`."""
        start, size = self._units_at + offset, into.shape[1]
        at_once = max(1, CHUNK // (self._stride * abs(wanted.step)))
        for begin in range(0, len(wanted), at_once):
            part, to = wanted[begin:begin + at_once], into[begin:begin + at_once]
            low, high = min(part[0], part[-1]), max(part[0], part[-1])
            if low == high:
                fill(fd, self.path, start + low * self._stride, to)
                continue
            cover = np.empty((high - low) * self._stride + size, np.uint8)
            fill(fd, self.path, start + low * self._stride, cover)
            units = np.lib.stride_tricks.as_strided(cover, (high - low + 1, size),
                                                    (self._stride, 1))
            to[:] = units[::part.step]

    def _fetch_frames(self, fd, wanted, into, are_rows=False):
        self._fetch_parts(fd, wanted, self._head_bytes, into)

    def map_pixels(self, wanted):
        """There is no such view: headers lie between."""
        return None

    def _column(self, heads, key, begin, end, first):
        """Values of a card, whose digits are at [begin, end) of it, in all headers."""
        at = self._cards[key]
        if not (heads[:, at:at + 10] == self._text[at:at + 10]).all():
            wrong = np.flatnonzero((heads[:, at:at + 10] != self._text[at:at + 10]).any(axis=1))[0]
            raise self._bad(first, wrong, key)
        digits = np.ascontiguousarray(heads[:, at + begin:at + end]).view(f"S{end - begin}")[:, 0]
        try:
            return digits.astype(np.int64)
        except (ValueError, OverflowError):
            raise self._bad(first, 0, key) from None

    def _bad(self, first, at, key):
        return Error(f"{self.path}: behind frame {first[at]} a header has no {key} where the first "
                     "one has it: the file was changed; cut it out again")

    def read_rows(self, wanted, out):
        """Rows of the frames `wanted` (a range) into `out`, of type ROW, from their cards."""
        at_once = max(1, CHUNK // self._head_bytes)
        with self._opened() as fd:
            for begin in range(0, len(wanted), at_once):
                part, to = wanted[begin:begin + at_once], out[begin:begin + at_once]
                heads = np.empty((len(part), self._head_bytes), np.uint8)
                self._fetch_parts(fd, part, 0, heads)
                for key in _COLUMNS:
                    to[key] = self._column(heads, key, 10, 30, part)
                to["DSUM"] = self._column(heads, "DATASUM", 11, 21, part)
        self._set_time(out)


class ArrayFile(_CutFile):
    """An array of frames, and one of their rows beside it."""

    def _look(self, fd):
        self._table_path = self.path.removesuffix(".npy") + ".frames.npy"
        shape, dtype, self._at = _read_array(fd, self.path)
        if dtype == _TABLE:
            of = self.path.removesuffix(".frames.npy")
            raise Error(f"{self.path}: holds the rows of {of}.npy: open that")
        if len(shape) < 2 or dtype.newbyteorder("=") not in _DTYPES:
            raise Error(f"{self.path}: an array of {shape} {dtype}, which daorec extract does not "
                        "write; read it with numpy.load()")
        self._frames, self.shape, self.dtype = shape[0], shape[1:], dtype.newbyteorder("=")
        self.stream = os.path.basename(self.path).removesuffix(".npy")
        self._layout = types.SimpleNamespace(is_final=True, counts=None)
        self._table_identity = None
        with self._table() as table:
            status = os.fstat(table)
            self._table_identity = (status.st_dev, status.st_ino)
            rows, kind, self._rows_at = _read_array(table, self._table_path)
        if kind != _TABLE or rows != (self._frames,):
            raise Error(f"{self._table_path}: does not hold the rows of the {self._frames} frames "
                        f"in {self.path}; cut both out again")

    def marks(self):
        """None are kept in this form."""
        return []

    @contextlib.contextmanager
    def _table(self):
        try:
            fd = os.open(self._table_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Error(f"{self._table_path}: the rows of {self.path}: {error.strerror}; daorec "
                        "extract writes both; numpy.load() reads the frames alone") from None
        try:
            status = os.fstat(fd)
            if self._table_identity not in (None, (status.st_dev, status.st_ino)):
                raise Error(f"{self._table_path}: another file has taken this name; open it again")
            yield fd
        finally:
            os.close(fd)

    @property
    def header(self):
        """There is none: an empty one."""
        return fits.Header()

    def stretches(self):
        """As File has it, from the rows."""
        if self._stretches is None:
            self._stretches = self._scan_stretches() if len(self) else []
        return self._stretches

    def last_cnt0_if_whole(self, cnt0_before):
        """Nothing tells without a look at the rows."""
        return None

    def read_pixels(self, wanted, out):
        """Frames `wanted` (a range) into `out`, a contiguous array of that many."""
        with self._opened() as fd:
            fetch(fd, self.path, self._at, wanted, out.reshape(len(wanted), -1).view(np.uint8))
        if sys.byteorder != "little":
            out.byteswap(inplace=True)

    def map_pixels(self, wanted):
        """A read-only view of the file."""
        return self._map(self._at, wanted, "<") if wanted and wanted.step == 1 else None

    def read_rows(self, wanted, out):
        """Rows of the frames `wanted` (a range) into `out`, of type ROW."""
        at_once = CHUNK // _TABLE.itemsize
        with self._table() as fd:
            for begin in range(0, len(wanted), at_once):
                part = wanted[begin:begin + at_once]
                stored = np.empty(len(part), _TABLE)
                fetch(fd, self._table_path, self._rows_at, part,
                      stored.view(np.uint8).reshape(-1, _TABLE.itemsize))
                for name in _TABLE.names:
                    out[name][begin:begin + at_once] = stored[name]
        self._set_time(out)


_DTYPES = {np.dtype(kind) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8",
                                       "c8", "c16")}


def _read_array(fd, path):
    """(shape, dtype, where the data begin) of a file of numpy's, whose length is checked."""
    try:
        head = io.BytesIO(os.pread(fd, 4096, 0))
        np.lib.format.read_magic(head)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(head)
    except Exception as error:  # noqa: BLE001 - whatever numpy says of bad bytes
        what = " ".join(str(error).split())
        raise Error(f"{path}: is no array that daorec extract wrote: {what}") from None
    if min(shape, default=1) < 1:
        raise Error(f"{path}: is no array that daorec extract wrote: its shape is {shape}")
    wanted = head.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if is_fortran or dtype.hasobject or os.fstat(fd).st_size < wanted:
        raise Error(f"{path}: has less than the {wanted} bytes that its header tells of, or "
                    "another order: it was cut short or written anew; cut it out again")
    return shape, dtype, head.tell()
