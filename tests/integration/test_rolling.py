#!/usr/bin/env python3
"""Rolling by frames, size, time and signal; files that are valid at any moment."""
import glob
import os
import signal
import sys
import time

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

SHAPE = (64, 64)
LOOKS = 10  # at least


def camera(name, rate=1000, *more):
    path = h.segment(name)
    source = h.sim(path, "--size", "64x64", "--type", "uint16", "--rate", rate, "--depth", 512,
                   "--pattern", "ramp", "-d", "60s", *more)
    return path, source


def run(name, *arguments, rate=1000):
    path, source = camera(name, rate)
    session = h.finish(h.record("--wait=20s", *arguments, path))
    source.terminate()
    cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    lengths = [fits.getheader(f)["NFRAMES"] for f in session.stream(path)["files"]]
    causes = [fits.getheader(f)["ENDCAUSE"] for f in session.stream(path)["files"]]
    assert causes[:-1] == ["ROLL"] * (len(causes) - 1), causes
    return session, path, lengths, causes


def by_frames():
    session, path, lengths, causes = run("frames", "-n", 1000, "--roll-frames", 300)
    assert lengths == [300, 300, 300, 100], lengths
    assert causes[-1] == "STOP"
    following = [fits.getheader(f)["NEXTFILE"] for f in session.stream(path)["files"]]
    assert all(following[:-1]) and not following[-1], following


def by_size():
    session, path, lengths, causes = run("size", "-n", 1000, "--roll-size", "2MiB")
    for file in session.stream(path)["files"]:
        assert os.path.getsize(file) <= 2 << 20, os.path.getsize(file)
    assert max(lengths) > (2 << 20) // 8192 - 6, lengths  # and not needlessly small


def by_time():
    session, path, lengths, causes = run("time", "-d", "2.5s", "--roll-time", "500ms")
    assert 2 <= len(lengths) <= 8, lengths
    # From first frame to first frame: 500 ms and what comes between looking and stamping. A file
    # may be full before, where the source of a busy machine makes up for lost time: not most.
    begins = [fits.getdata(f, "FRAMES")["RTIME"][0] for f in session.stream(path)["files"]]
    assert np.median(np.diff(begins)) >= 400_000_000, begins


def a_frame_larger_than_the_size_limit_gets_a_file_of_its_own():
    path = h.segment("large")
    source = h.sim(path, "--size", "512x512", "--type", "float32", "--rate", 50, "--depth", 8,
                   "--pattern", "ramp", "-d", "60s")
    session = h.finish(h.record("--wait=20s", "-n", 4, "--roll-size", "100kB", path))
    source.terminate()
    h.check_stream(session, path, (512, 512), "float32")
    assert len(session.stream(path)["files"]) == 4


def sigusr1_starts_the_next_file():
    path, source = camera("signal")
    recorder = h.record("--wait=20s", path)
    pattern = os.path.join(h.output, "*", h.stream_name(path), "*.fits*")
    h.wait_for(lambda: glob.glob(pattern), what="the first file")
    for count in (2, 3):
        recorder.send_signal(signal.SIGUSR1)
        h.wait_for(lambda: len(glob.glob(pattern)) >= count, what="the next file")
    recorder.terminate()
    session = h.finish(recorder)
    source.terminate()
    h.check_stream(session, path, SHAPE, "uint16")
    causes = [fits.getheader(f)["ENDCAUSE"] for f in session.stream(path)["files"]]
    assert causes[:2] == ["ROLL", "ROLL"] and causes[-1] == "SIGNAL", causes


def every_part_is_valid_at_any_moment_of_fast_rolling():
    """Freeze the recorder again and again, at whatever it is doing, and judge every file there.
    (A judge that reads while files are being closed would see two moments at once.)"""
    path, source = camera("valid", 2000)
    recorder = h.record("--wait=20s", "--roll-frames", 150, path)
    parts = os.path.join(h.output, "*", h.stream_name(path), "*.part")
    done = parts.replace("*.part", "*.fits")
    looked, hang = 0, time.monotonic() + 120
    while looked < LOOKS or len(glob.glob(done)) < 6:
        assert time.monotonic() < hang, (looked, glob.glob(done))
        h.freeze(recorder)
        for file in glob.glob(parts):
            h.fitsverify(file)
            check_unfinished(file)
            looked += 1
        recorder.send_signal(signal.SIGCONT)
        time.sleep(0.03)
    recorder.terminate()
    session = h.finish(recorder)
    source.terminate()
    h.check_stream(session, path, SHAPE, "uint16")
    # What it cost to be frozen depends on the machine.
    print(f"  {looked} looks at unfinished files, {len(session.stream(path)['files'])} files")


def fast_rolling_loses_nothing_to_the_disk():
    """Left alone, with a FIFO that lasts eight seconds: a file is ready before it is needed."""
    path = h.segment("fast")
    source = h.sim(path, "--size", "64x64", "--type", "uint16", "--rate", 2000, "--depth", 16384,
                   "--pattern", "ramp", "-d", "60s")
    session = h.finish(h.record("--wait=20s", "-n", 4000, "--roll-frames", 150, path))
    source.terminate()
    mine = session.stream(path)
    assert mine["lost_by"]["disk"] == 0 and len(mine["files"]) >= 4000 // 150, mine


def forget_cached(file):
    """A write in flight when the recorder was frozen is on the disk in a moment, but the page cache
    hears of it only when the recorder goes on."""
    with open(file, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def check_unfinished(file):
    """A row that is there speaks of pixels that are there."""
    def holds():
        forget_cached(file)
        with fits.open(file, memmap=False) as hdus:
            rows = hdus["FRAMES"].data
            taken = int(np.count_nonzero(rows["RTIME"]))
            if not taken:
                return True
            frame = hdus[0].data[taken - 1]
            return (rows["RTIME"][:taken] > 0).all() and np.array_equal(
                frame, h.ramp([rows["CNT0"][taken - 1]], SHAPE, "uint16")[0])
    time.sleep(0.02)  # for a write in flight; a busy disk may need more
    h.wait_for(holds, what=f"pixels of the last row of {file}")


def an_idle_stream_closes_its_file_in_time():
    path = h.segment("idle")
    source = h.sim(path, "--size", "64x64", "--type", "uint16", "--rate", 500, "--depth", 512,
                   "--pattern", "ramp", "-n", 400)
    recorder = h.record("--wait=20s", "--roll-time", "1s", path)
    done = os.path.join(h.output, "*", h.stream_name(path), "*.fits")
    source.wait(timeout=60)
    h.wait_for(lambda: glob.glob(done), what="a file closed without another frame")
    time.sleep(1.5)
    recorder.terminate()
    session = h.finish(recorder)
    h.check_stream(session, path, SHAPE, "uint16")


if __name__ == "__main__":
    h.main([by_frames, by_size, by_time, a_frame_larger_than_the_size_limit_gets_a_file_of_its_own,
            sigusr1_starts_the_next_file,
            fast_rolling_loses_nothing_to_the_disk,
            every_part_is_valid_at_any_moment_of_fast_rolling,
            an_idle_stream_closes_its_file_in_time])
