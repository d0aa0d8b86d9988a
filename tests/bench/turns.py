"""turns.py - one turn of a comparison: a source, and a recorder or a plain loop that reads it.

Called by the sections. Every turn has a fresh segment; the reader is attached before the first
frame.
"""
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import time

import bed as b

LIMIT_S = 120  # no turn is as long
GRACE_S = 0.5  # for a recorder to take what is in the FIFO, and to end
THREADS_BESIDE_DRAINS = 4  # of a recorder that has attached: main, writer, two keepers


@dataclasses.dataclass(frozen=True)
class Stream:
    """What the source publishes: `size` as in 800x800, `dtype`, `depth` slots."""
    size: str
    dtype: str
    depth: int

    @property
    def frame_bytes(self):
        rows, columns = map(int, self.size.split("x"))
        return rows * columns * {"uint16": 2, "float32": 4}[self.dtype]

    def __str__(self):
        rows, columns = self.size.split("x")
        return f"{rows if columns == '1' else self.size} {self.dtype}"


CAMERA = Stream("800x800", "uint16", 64)
SENSOR = Stream("256x256", "uint16", 256)
SLOPES = Stream("97x1", "float32", 4096)


@dataclasses.dataclass
class Turn:
    """What came of it. `seconds`: from the first publication until the last frame is on disk (the
    ledger was written for the last time), or in memory. `running_cpu_s`: of the reader, between
    attaching and the source's last frame; `whole_cpu_s`: from its start to its end."""
    frames: int
    lost: int
    seconds: float
    source: dict
    running_cpu_s: float = 0.0
    whole_cpu_s: float = 0.0

    @property
    def rate(self):
        return self.frames / self.seconds


class Source:
    """A running source.c."""

    def __init__(self, bed, stream, rate, frames, *options, count=1):
        self.bed, self.paths = bed, [bed.segment() for _ in range(count)]
        self.process = bed.program(
            "source", "--size", stream.size, "--type", stream.dtype, "--depth", stream.depth,
            "--rate", rate, "--frames", frames, *options, *self.paths, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        b.read_line(self.process)

    def go(self):
        """Publish everything; its report."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(b.read_line(self.process))

    def close(self):
        """Remove the segments."""
        self.process.stdin.close()
        self.bed.wait(self.process)


@contextlib.contextmanager
def source(*arguments, **options):
    made = Source(*arguments, **options)
    yield made  # after a failure the bed ends it
    made.close()


def record(bed, stream, rate, frames, *options, count=1, source_options=()):
    """A turn of daorec record, of `count` segments with so many `frames` each."""
    with source(bed, stream, rate, frames, *source_options, count=count) as src:
        recorder = start_recorder(bed, src, frames, *options)
        before = b.cpu_seconds(recorder.pid)
        report = src.go()
        running = b.cpu_seconds(recorder.pid) - before
        stop_recording(recorder)
        out, whole = bed.wait(recorder, accepted=(0, 3))
        summary = json.loads(out)
        ledger = os.path.join(bed.output, summary["session"], "session.json")
        seconds = (os.stat(ledger).st_mtime_ns - report["begin_ns"]) / 1e9
    bed.clear()
    expected = sum(s["expected"] for s in summary["streams"])
    if expected != frames * count:
        raise b.Failure(f"daorec record expected {expected} frames, and {frames * count} came")
    return Turn(expected, sum(s["lost"] for s in summary["streams"]), seconds, report, running,
                whole)


def start_recorder(bed, src, frames, *options):
    """Of all segments of a source; it is attached when this returns."""
    if bed.is_quick:
        options += ("--buffer", "16MiB")  # which is had sooner
    recorder = bed.start(b.DAOREC, "record", "-q", "--json", "--keep-free", 0, "-d", f"{LIMIT_S}s",
                         "-n", frames, "-o", bed.output, *options, *src.paths,
                         stdout=subprocess.PIPE)
    b.wait_until(lambda: is_recording(recorder, len(src.paths)), "the recorder's threads")
    return recorder


def stop_recording(recorder):
    """The source has ended. A recorder that has every frame ends by itself (-n) once it has taken
    them; one that has lost some would wait for more."""
    end = time.monotonic() + GRACE_S
    while time.monotonic() < end:
        if b.has_ended(recorder):
            return
        time.sleep(0.01)
    recorder.send_signal(signal.SIGINT)


def is_recording(recorder, count):
    if b.has_ended(recorder):
        raise b.Failure("daorec record ended before it had begun")
    drains = min(count, 2)  # at first: one that many share, one for those that are away
    try:
        return len(os.listdir(f"/proc/{recorder.pid}/task")) >= drains + THREADS_BESIDE_DRAINS
    except FileNotFoundError:
        return False


def read(bed, stream, rate, frames, program, *options, source_options=()):
    """A turn of a plain loop, bare_reader or bare_cfitsio_write. SHM and FRAMES among its options
    stand for the segment and the number of the last frame."""
    with source(bed, stream, rate, frames, *source_options) as src:
        given = {"SHM": src.paths[0], "FRAMES": frames}
        loop = bed.program(program, *[given.get(o, o) for o in options], stdout=subprocess.PIPE)
        b.read_line(loop)
        before = b.cpu_seconds(loop.pid)
        report = src.go()
        running = b.cpu_seconds(loop.pid) - before  # also of one that has ended
        out, whole = bed.wait(loop)
        told = json.loads(out)
    bed.clear()
    seconds = (told["end_ns"] - report["begin_ns"]) / 1e9
    return Turn(told["taken"] + told["lost"], told["lost"], seconds, report, running, whole)


def publish(bed, stream, rate, frames, *options):
    """A turn without a reader; the source's report."""
    with source(bed, stream, rate, frames, *options) as src:
        return src.go()


def highest_lossless(attempt, low, high, steps):
    """The highest rate, in frames a second until all were stored, of the turns that lost nothing:
    attempt(rate) is made at `steps` rates between these bounds, halving the interval each time,
    and below them where all lost. (rate, source's rate of that turn, turns); 0: none."""
    best, source_rate, turns = 0.0, 0.0, 0
    floor = low

    def is_lossless(rate):
        nonlocal best, source_rate, turns
        turns += 1
        turn = attempt(rate)
        if turn.lost == 0 and turn.rate > best:
            best, source_rate = turn.rate, turn.frames / turn.source["seconds"]
        return turn.lost == 0

    for _ in range(steps):
        middle = (low + high) / 2
        if is_lossless(middle):
            low = middle
        else:
            high = middle
    for share in (1.0, 0.7, 0.4, 0.2) if steps > 1 else ():
        if best == 0.0:
            is_lossless(floor * share)
    return best, source_rate, turns
