"""night - the numbers of a report: what happened to each stream, when.

Data path: daorec.Session -> TimeBins (the span of the night in at most BINS_MAX parts, from the
first and last row of each file) -> Stream, one pass over all rows in chunks, which fills counts and
histograms by time -> numbers and short arrays. Memory does not grow with the frames of a night: two
histograms a stream while it is read (some 15 MB), short arrays afterwards.

What can go wrong: files cannot be read, or a ring of files removes them meanwhile: they are left
out and told in `notes` (damaged ones in `left_out`, too); frames missing between others are absent.
A ledger that is damaged, older than the files or not of them is told in `notes`, and counts then
come from the rows; so they do where it tells that the recorder has removed files, to keep within a
limit. Times are believed as far as nothing overflows: what lies outside of the night is booked to
its first or last part. Sums balance always: lost = sum by cause, expected = recorded + lost.
"""
import collections
import contextlib
import math
import os
import warnings

import numpy as np

from daorec import Error, Flag, Gap, gaps_beside
from daorec_file import ROW, losses_at, unseen_cause

from . import marks
from .losses import CAUSES, GAPS_MAX, Losses, told_of

BINS_MAX = 360
BIN_MIN_S = 0.1
MARKS_MAX = 10000  # a recorder takes no more
WAITING_MAX = 1 << 16  # rows kept until it is known how many frames waited


class TimeBins:
    """The night in equal parts. begin_ns, end_ns (POSIX), count, width_s; marks: what is drawn over
    it, as marks.placed() gives it."""

    def __init__(self, begin_ns, end_ns):
        self.begin_ns, self.end_ns = begin_ns, max(end_ns, begin_ns + 10**6)
        span_s = (self.end_ns - begin_ns) / 1e9
        self.count = int(min(max(span_s / BIN_MIN_S, 1), BINS_MAX))
        self.width_s = span_s / self.count
        self.marks = []

    @classmethod
    def of(cls, streams):
        """From the first frame, or gap, of all streams to the last one; None where nothing is."""
        times = [int(row["RTIME"]) for stream in streams for row in stream.ends]
        times += [gap.time for stream in streams if stream.told
                  for gap in stream.told.gaps if gap.time]
        return cls(min(times), max(times)) if times else None

    def index(self, times_ns):
        """In which part each of the times is."""
        # As doubles, right to 256 ns: whatever the times are, nothing overflows.
        at = (np.asarray(times_ns, float) - float(self.begin_ns)) * (1e-9 / self.width_s)
        return np.clip(at, 0, self.count - 1).astype(np.int64)

    def edges_s(self, group=1):
        """Where (groups of) parts begin and end, in seconds after begin_ns."""
        edges = np.arange(0, self.count + group, group).clip(max=self.count)
        return np.unique(edges) * self.width_s


def _row(file, index):
    rows = np.empty(1, ROW)
    file.read_rows(range(index, index + 1), rows)
    return rows[0]


def _ends(file):
    """The first and the last row; times of a clock that was set back need not rise."""
    return [_row(file, index) for index in sorted({0, len(file) - 1})] if len(file) else []


def _is_gone(file):
    """Removed, or replaced, since it was opened?"""
    for path in (file.path, file.path.removesuffix(".part")):
        try:
            status = os.stat(path)
            return (status.st_dev, status.st_ino) != file.identity
        except OSError:
            continue
    return True


def _raise_to(largest, where, values):
    """largest[where] = the larger of it and the values; neighbours are mostly in one part."""
    begins = np.flatnonzero(np.diff(where, prepend=where[:1] - 1))
    np.maximum.at(largest, where[begins], np.maximum.reduceat(values, begins))


class Spread:
    """How times (ns) are spread, over all and by parts of the night: a histogram with 400 buckets a
    decade, so that percentiles are right to 0.3 %; the extremes are exact."""
    PER_DECADE, DECADES = 400, 14  # from 1 ns to a day
    BUCKETS = PER_DECADE * DECADES

    def __init__(self, bins):
        self._counts = np.zeros((bins.count, self.BUCKETS), np.uint32)
        self.largest = np.full(bins.count, np.iinfo(np.int64).min)  # by part
        self.count, self.min, self.max = 0, None, None

    def add(self, where, values):
        """Values (int64, ns), and in which part each is."""
        if not len(values):
            return
        at = np.log10(np.maximum(values, 1)) * self.PER_DECADE
        low, high = int(where.min()), int(where.max())
        flat = (where - low) * self.BUCKETS + np.minimum(at.astype(np.int64), self.BUCKETS - 1)
        shape = (high - low + 1, self.BUCKETS)
        self._counts[low:high + 1] += np.bincount(
            flat, minlength=shape[0] * shape[1]).reshape(shape).astype(np.uint32)
        _raise_to(self.largest, where, values)
        ends = int(values.min()), int(values.max())
        self.min = ends[0] if self.min is None else min(ends[0], self.min)
        self.max = ends[1] if self.max is None else max(ends[1], self.max)
        self.count += len(values)

    def close(self, *quantiles):
        """Turn it into what is asked of it: `total` (over all buckets), quantiles by part in
        `parts` {quantile: array of s, NaN where there is nothing}. The rest is let go."""
        self.total = self._counts.sum(axis=0, dtype=np.int64)
        sums = np.cumsum(self._counts, axis=1, dtype=np.int64)
        there = sums[:, -1] > 0
        self.parts = {}
        for quantile in quantiles:
            bucket = (sums >= np.maximum(sums[:, -1:] * quantile, 1)).argmax(axis=1)
            self.parts[quantile] = np.where(there, self._middle_s(bucket), np.nan)
        self.largest = np.where(there, self.largest * 1e-9, np.nan)
        del self._counts

    def _middle_s(self, bucket):
        return 10 ** ((bucket + 0.5) / self.PER_DECADE - 9)

    def at(self, quantile):
        """A quantile over all, s; None where there is nothing."""
        if not self.count:
            return None
        bucket = np.searchsorted(np.cumsum(self.total), max(quantile * self.count, 1))
        return float(min(max(self._middle_s(bucket), self.min * 1e-9), self.max * 1e-9))

    def bars(self, most):
        """(counts, edges in s) from the first to the last bucket that holds something, of equal
        width on a logarithmic axis, at most so many."""
        there = np.flatnonzero(self.total)
        merge = -(-(there[-1] + 1 - there[0]) // most)
        edges = np.arange(there[0], there[-1] + 1 + merge, merge)
        counts = np.add.reduceat(self.total, edges[:-1])
        return counts, 10.0 ** (edges / self.PER_DECADE - 9)


# ---- a stream ----

Geometry = collections.namedtuple("Geometry", "shape dtype depth first_file last_file frames")


def card(file, key):
    """Of the primary header; None where it is missing, empty or cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = file.header.get(key)
    except Exception:  # noqa: BLE001 - whatever astropy says of a bad card
        return None
    return value if isinstance(value, (str, int, float)) and value != "" else None


def _geometries(stream):
    """What the stream's frames were, in order."""
    found = []
    for file in stream.files:
        depth = card(file, "FIFOSIZE")
        depth = depth if type(depth) is int and depth > 0 else None
        if found and found[-1][:3] == (file.shape, file.dtype, depth):
            last = found.pop()
            found.append(last._replace(last_file=file.number, frames=last.frames + len(file)))
        elif len(file) or len(stream.files) == 1:
            found.append(Geometry(file.shape, file.dtype, depth, file.number, file.number,
                                  len(file)))
    return found


class Stream:
    """One stream's night. Times in s, by parts of the night where they are arrays.

    name, source (the daorec.Stream, of the files that can be read), notes (sentences)
    left_out (texts of Errors), ends (first and last rows of files), geometries, unfinished (files)
    recorded, lost, lost_by {cause: frames}, expected, restarts, flags {Flag: frames}
    first_ns, last_ns          when the first and the last frame were taken; None without frames
    taken, data                frames, bytes (pixels and rows) by part; sums: recorded, data_bytes
    interval, latency          Spreads, of frames with a good time, neighbours where it takes two
    waiting                    most frames waiting in the FIFO, by part
    losses                     Losses
    """

    def __init__(self, source):
        self.name, self._bins = source.name, None
        self.notes, self.left_out, self.ends = [], [], []
        self._unread = {}  # File: Error
        for file in source.files:
            with self._leaving_out(file):
                self.ends += _ends(file)
        self.source = source.without(self._unread)
        self.told = told_of(self.source, self.ends[0] if self.ends else None, self.notes)
        self.recorded = len(self.source)
        self.flags = dict.fromkeys(Flag, 0)
        self.first_ns = self.last_ns = None
        self.before_publication = 0

    @contextlib.contextmanager
    def _leaving_out(self, file):
        """Where the file cannot be read, that is what is known of it."""
        try:
            yield
        except Error as error:
            self._unread[file] = error

    # ---- the pass over the rows ----

    def scan(self, bins, progress):
        """Read all rows. bins: None where the night has neither a frame nor a gap."""
        self._bins = bins
        if bins is not None:
            self._scan(bins, progress)
        if self._unread:
            self.source = self.source.without(self._unread)
            self.recorded = int(self.taken.sum()) if bins is not None else 0
            self._tell_unread()
        self.geometries = _geometries(self.source)
        self.unfinished = sum(not file.is_finished for file in self.source.files)
        self._settle()

    def _scan(self, bins, progress):
        self.taken, self.data = np.zeros(bins.count, np.int64), np.zeros(bins.count, np.int64)
        self.interval, self.latency, self.losses = Spread(bins), Spread(bins), Losses(bins)
        self._waiting = collections.defaultdict(collections.deque)  # gaps told, not yet met
        for gap in self.told.gaps if self.told else ():
            self._waiting[gap.first_cnt0].append(gap)
        self._restarts = {gap.first_cnt0: gap.count for queue in self._waiting.values()
                          for gap in queue if gap.cause == "restart"}
        self._before = self._file = None  # the row before, and its file
        self.waiting = np.zeros(bins.count, np.int64)
        self._open = np.empty((3, 0), np.int64)  # of _count_waiting()
        for file in self.source.files:
            with self._leaving_out(file), np.errstate(over="ignore"):
                for _, rows in file.row_chunks():
                    self._take(rows, file)
                    progress(len(rows))
        self._count_waiting(self._open[:, :0], 0)
        self.latency.close(0.5, 0.99)
        self.interval.close()
        self._add_gaps_without_row()

    def _take(self, rows, file):
        where = self._bins.index(rows["RTIME"])
        counts = np.bincount(where, minlength=self._bins.count)
        self.taken += counts
        self.data += counts * (file.frame_bytes + ROW.itemsize)
        for flag in Flag:
            self.flags[flag] += int(np.count_nonzero(rows["FLAGS"] & flag))
        before = self._before if self._before is not None else rows[:1]
        previous = np.concatenate((before, rows[:-1]))
        steps = rows["CNT0"] - previous["CNT0"] - 1
        if self._before is None:
            steps[0] = 0
            self.first_ns = int(rows["RTIME"][0])
        self.last_ns = int(rows["RTIME"][-1])
        self._take_times(rows, previous, steps, where)
        for k in np.flatnonzero((rows["LOST"] > 0) | (steps > 0)):
            is_first = k == 0 and self._before is None
            self._take_losses(rows[k], None if is_first else int(previous["CNT0"][k]),
                              unseen_cause(file, file if k else self._file))
        self._before, self._file = rows[-1:].copy(), file

    def _take_losses(self, row, last, unseen):
        for first, count, cause in losses_at(row, last, self._restarts, unseen):
            gap = Gap(first, count, cause, int(row["RTIME"]), None)
            if count > 0 and cause == "absent":
                for part in gaps_beside(gap, self.told.gaps if self.told else ()):
                    self._take_gap(part)
            elif count > 0 and cause:
                self._take_gap(gap)

    def _take_times(self, rows, previous, steps, where):
        def good(rows):
            return (rows["ATIME"] != 0) & (rows["FLAGS"] & Flag.BADTIME == 0)
        fine = good(rows)
        latency = rows["RTIME"] - rows["ATIME"]
        self.latency.add(where[fine], latency[fine])
        self.before_publication += int(np.count_nonzero(latency[fine] < 0))
        follows = fine & good(previous) & (steps == 0) & (rows["LOST"] == 0)
        follows &= rows["FLAGS"] & Flag.RESET == 0
        follows[0] &= self._before is not None
        interval = rows["ATIME"] - previous["ATIME"]
        self.interval.add(where[follows], interval[follows])
        published = np.minimum(np.where(fine, rows["ATIME"], rows["RTIME"]), rows["RTIME"])
        self._count_waiting(np.stack((published, rows["RTIME"], where)), WAITING_MAX)

    def _count_waiting(self, rows, keep):
        """When a frame was taken, how many behind it were published already? For the last ones that
        is not known before more rows come; at most `keep` rows wait for that."""
        rows = np.concatenate((self._open, rows), axis=1)
        published, taken, where = np.maximum.accumulate(rows[0]), rows[1], rows[2]
        until = np.searchsorted(published, taken, "right")
        known = int(np.count_nonzero(np.minimum.accumulate(until < len(published))))
        known = max(known, len(published) - keep)
        if known:
            waiting = (until - np.arange(1, len(until) + 1))[:known]
            _raise_to(self.waiting, where[:known], waiting)
        self._open = rows[:, known:]

    def _take_gap(self, gap):
        """The ledger knows better how a loss of several causes divides, and when it was noticed."""
        parts, at = [], gap.first_cnt0
        while at < gap.first_cnt0 + gap.count and self._waiting.get(at):  # adds no empty ones
            parts.append(self._waiting[at].popleft())
            at += max(parts[-1].count, 1)
        for part in parts if sum(part.count for part in parts) == gap.count else [gap]:
            self.losses.add(part)

    def _add_gaps_without_row(self):
        """Behind the last frame, or swallowed by a disk. Those of files that are not here any more
        are left out."""
        left = [gap for queue in self._waiting.values() for gap in queue if gap.count > 0]
        is_whole = self.told is not None and self.told.recorded == self.recorded
        for gap in sorted(left, key=lambda gap: gap.time):
            if is_whole or self.last_ns is None or gap.time >= self.last_ns:
                self.losses.add(gap)

    # ---- sums ----

    def _settle(self):
        told, by_rows = self.told, self.losses.by_cause if self._bins else dict.fromkeys(CAUSES, 0)
        self.by_ledger = told is not None and told.recorded == self.recorded
        self.lost_by = told.lost_by if self.by_ledger else by_rows
        self.lost = sum(self.lost_by.values())
        self.expected = self.recorded + self.lost
        self.restarts = told.restarts if self.by_ledger else self.flags[Flag.RESET]
        self.data_bytes = int(self.data.sum()) if self._bins else 0
        if told is not None and not self.by_ledger:
            self._tell_missing(told)
        if self.by_ledger and self._bins and self.lost != self.losses.total:
            self.notes.append(f"The ledger tells of {self.lost} lost frames, the rows of "
                              f"{self.losses.total}; the table has the ledger's.")

    def _tell_unread(self):
        """What went while it was read is no damage: a ring of files does that."""
        gone = [file for file in self._unread if _is_gone(file)]
        if gone:
            names = ", ".join(os.path.basename(file.path) for file in gone[:3])
            self.notes.append(
                f"{len(gone)} of its files ({names}{', ...' if len(gone) > 3 else ''}) went while "
                "this page was made, removed to keep within a limit or by hand. All that is shown "
                "is of what is left; frames missing between others are absent.")
        self.left_out = [str(error) for file, error in self._unread.items() if file not in gone]

    def _tell_missing(self, told):
        of_left = told.recorded - told.removed_frames
        if told.removed_files:
            self.notes.append(
                f"{told.removed_files} of its files, of {told.removed_frames} frames, were removed "
                "to keep within a limit. All that is shown is of what is left.")
        if of_left != self.recorded and not self.unfinished:
            but = " that were not removed" if told.removed_files else ""
            self.notes.append(f"The ledger tells of {of_left} frames{but}, {self.recorded} are "
                              "here: files were taken away or added. Counts are those of the rows.")

    @property
    def span_s(self):
        """From the first frame to the last one."""
        return (self.last_ns - self.first_ns) / 1e9 if self.first_ns is not None else 0.0

    @property
    def rate_hz(self):
        """By the median interval; by the mean where there is none."""
        median = self.interval.at(0.5) if self._bins else None
        if median:
            return 1 / median
        return (self.recorded - 1) / self.span_s if self.recorded > 1 and self.span_s > 0 else None

    @property
    def depth(self):
        """Slots of the FIFO, where that did not change; else None."""
        depths = {geometry.depth for geometry in self.geometries}
        return depths.pop() if len(depths) == 1 else None

    def group(self):
        """How many parts make one in which a rate means something: a second, twenty frames."""
        mean_hz = self.recorded / max(self.span_s, 1e-3)
        wanted_s = max(1.0, 20 / mean_hz)
        return max(1, min(math.ceil(wanted_s / self._bins.width_s), self._bins.count // 4))

    def per_second(self, what, group):
        """(rate, edges in s) of `taken` or `data`. The first and the last part count as far as
        there were frames; NaN where that is less than half of one."""
        bins = self._bins
        edges = bins.edges_s(group)
        begin, end = ((t - bins.begin_ns) / 1e9 for t in (self.first_ns, self.last_ns))
        covered = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0, None)
        sums = np.add.reduceat(what, np.arange(0, bins.count, group)).astype(float)
        covered[covered < 0.5 * np.diff(edges)] = np.nan
        return sums / covered, edges


class Night:
    """All of a session: path, bins, streams, notes, marks (daorec.Marks); ledger (dict or None)."""

    def __init__(self, session, progress=lambda name, done, total: None):
        self.path = session.path
        self.notes, self.ledger = [], None
        self.left_out = [str(error) for error in session.left_out or ()]
        try:
            self.ledger = session.ledger
        except Error as error:
            self.notes.append(f"The ledger cannot be read, so counts come from the rows: {error}")
        self.marks = self._marks_of(session)
        self.streams = [Stream(source) for source in session.values()]
        self.bins = TimeBins.of(self.streams)
        if self.bins:
            self.bins.marks = marks.placed(self.marks, self.bins)
        for stream in self.streams:
            done = 0

            def tell(frames, stream=stream):
                nonlocal done
                done += frames
                progress(stream.name, done, stream.recorded)
            stream.scan(self.bins, tell)
            self.left_out += stream.left_out
        self.notes += [f"Left out: {error}. Its frames, where others tell of them, are absent."
                       for error in self.left_out]

    def _marks_of(self, session):
        try:
            return session.marks[:MARKS_MAX]
        except Error as error:
            if self.ledger is not None:  # else that is told already
                self.notes.append(f"Marks are not shown: {error}.")
            return []

    @property
    def unfinished(self):
        return sum(stream.unfinished for stream in self.streams)

    def text(self, key):
        """What the ledger says of the session, as it stands there; else None."""
        value = (self.ledger or {}).get(key)
        return value if isinstance(value, str) and value else None

    def card(self, key):
        """Of the first file that has it; else None."""
        firsts = [stream.source.files[0] for stream in self.streams if stream.source.files]
        values = (card(file, key) for file in firsts)
        return next((str(value) for value in values if value is not None), None)

    def total(self, what):
        """Sum of a number over the streams."""
        return sum(getattr(stream, what) for stream in self.streams)

    def disk_rate(self):
        """(bytes a second of all streams, edges in s): parts of at least a second."""
        group = max(1, min(math.ceil(1.0 / self.bins.width_s), self.bins.count // 4))
        edges = self.bins.edges_s(group)
        data = sum(stream.data for stream in self.streams)
        return np.add.reduceat(data, np.arange(0, self.bins.count, group)) / np.diff(edges), edges

    def gaps(self):
        """([(Stream, Gap)] in order of time, gaps left out, frames in these)."""
        streams = [stream for stream in self.streams if stream.lost and self.bins]
        found = [(stream, gap) for stream in streams for gap in stream.losses.largest]
        total = sum(stream.losses.gap_count for stream in streams)
        found = sorted(found, key=lambda pair: -pair[1].count)[:GAPS_MAX]
        shown = sum(gap.count for _, gap in found)
        found.sort(key=lambda pair: (pair[1].time or 0, pair[0].name, pair[1].first_cnt0))
        return found, total - len(found), sum(s.losses.total for s in streams) - shown
