#!/usr/bin/env python3
"""Only so many files, so many bytes or so long a time are kept: what goes, what never does, what
the ledger tells of it, and that no row or pixel of a file that went is ever taken for a new one."""
import fcntl
import glob
import json
import mmap
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import numpy as np  # noqa: E402
from astropy.io import fits  # noqa: E402

import faults as f  # noqa: E402
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402

CAMERA, ACTUATORS = h.segment("cam"), h.segment("dm")
SHAPES = {CAMERA: ((64, 48), "uint16"), ACTUATORS: ((97,), "float32")}
SOURCES = []


def begin_sources():
    SOURCES.append(h.sim(CAMERA, "--size", "64x48", "--type", "uint16", "--rate", 1000, "--depth",
                         512, "--pattern", "ramp"))
    SOURCES.append(h.sim(ACTUATORS, "--size", "97", "--type", "float32", "--rate", 1000, "--depth",
                         512, "--pattern", "ramp"))
    h.wait_for(lambda: os.path.exists(CAMERA) and os.path.exists(ACTUATORS), what="segments")


def run(*arguments):
    return subprocess.run([h.DAOREC, *map(str, arguments)], capture_output=True, text=True,
                          check=False)


def files_of(root, path=CAMERA, ending=".fits"):
    return sorted(glob.glob(os.path.join(root, "*", h.stream_name(path), "*" + ending)))


def number(file):
    return int(re.search(r"_(\d+)\.fits", file).group(1))


def used(root):
    """At one instant at least: of the files that are the same before it and after it."""
    def look(files):
        for file in files:
            try:
                status = os.stat(file)
            except FileNotFoundError:
                continue
            yield file, (status.st_ino, status.st_blocks)
    before = dict(look(glob.glob(os.path.join(root, "*", "*", "*"))))
    after = dict(look(before))
    return sum(512 * before[file][1] for file in after if after[file] == before[file])


def count_at_once(root, path):
    """A listing takes its time: what went meanwhile does not count."""
    return sum(os.path.exists(file) for file in files_of(root, path))


class Watch:
    """Looks again and again while a recorder runs, and keeps the largest of what it saw."""

    def __init__(self, look):
        self.most, self._look, self._over = 0, look, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            try:
                self.most = max(self.most, self._look())
            except FileNotFoundError:
                pass
            time.sleep(0.002)

    def end(self):
        self._over = True
        self._thread.join()
        return self.most


def ended(recorder, path=CAMERA):
    """Its ledger's entry, after the books, every file left, and every pixel were checked."""
    out, _ = recorder.process.communicate(timeout=120)
    assert recorder.process.returncode in (0, 3), recorder.errors()
    summary = json.loads(out)
    ledger = recorder_ledger(recorder.root, summary["session"])
    for mine, told in zip(summary["streams"], ledger["streams"]):
        assert mine["expected"] == mine["recorded"] + mine["lost"], mine
        for key in ("expected", "recorded", "torn", "lost", "lost_by"):
            assert mine[key] == told[key], (key, mine, told)
        check_stream(recorder.root, summary["session"], told)
    h.verified(os.path.join(recorder.root, summary["session"]))
    return next(s for s in ledger["streams"] if s["name"] == h.stream_name(path))


def recorder_ledger(root, session):
    with open(os.path.join(root, session, "session.json"), encoding="utf-8") as file:
        return json.load(file)


def check_stream(root, session, told):
    shape, dtype = next(SHAPES[p] for p in SHAPES if h.stream_name(p) == told["name"])
    there = sorted(glob.glob(os.path.join(root, session, told["name"], "*.fits")))
    listed = sorted(os.path.join(root, session, file["name"]) for file in told["files"])
    assert there == listed, (there, listed)
    if not there:
        return
    h.judge(*there)
    cube, rows = h.load(there)
    good = (rows["FLAGS"] & h.FLAG["TORN"]) == 0
    assert (cube == h.ramp(rows["CNT0"].astype(np.int64), shape, dtype))[good].all()
    gone = told.get("removed", {"files": 0, "frames": 0})
    assert told["recorded"] == len(rows) + gone["frames"], told
    assert told["expected"] == told["recorded"] + told["lost"], told
    if "so_far" in gone:
        so_far = gone["so_far"]
        assert so_far["expected"] == so_far["recorded"] + so_far["lost"], so_far


def so_many_files_are_kept_and_no_more_at_any_instant():
    root = f.new_root()
    recorder = f.start(root, "--keep-files", 3, "--roll-frames", 100, "-n", 1500, CAMERA, ACTUATORS)
    watch = Watch(lambda: max(count_at_once(root, path) for path in SHAPES))
    told = ended(recorder)
    assert watch.end() == 3, watch.most
    numbers = [number(file) for file in files_of(root)]
    assert len(numbers) == 3 and numbers == list(range(numbers[0], numbers[0] + 3)), numbers
    assert told["removed"]["files"] == told["removed"]["last_file"] == numbers[0] - 1, told
    assert told["recorded"] == 1500
    assert "so_far" in told["removed"]


def so_many_bytes_are_kept_of_all_streams_together():
    root = f.new_root()
    limit = 4 << 20
    recorder = f.start(root, "--keep-size", limit, "-n", 2400, CAMERA, ACTUATORS)
    watch = Watch(lambda: used(root))
    ended(recorder)
    # The ledgers come on top.
    assert limit // 4 < watch.end() <= limit + (1 << 19), watch.most
    assert files_of(root) or files_of(root, ACTUATORS)


def what_is_older_than_so_long_goes():
    root = f.new_root()
    recorder = f.start(root, "--keep-time", "1s", "--roll-time", "200ms", CAMERA)
    recorder.has_files(CAMERA, 2)
    first = files_of(root)[0]
    h.wait_for(lambda: not os.path.exists(first), what="the first file to go")
    recorder.stop()
    told = ended(recorder)
    assert told["removed"]["files"] >= 1, told


def earlier_sessions_go_first_and_leave_no_folder():
    root = f.new_root()
    ended(f.start(root, "--roll-frames", 100, "-n", 500, CAMERA, ACTUATORS))
    old = os.path.dirname(os.path.dirname(files_of(root)[0]))
    assert len(files_of(root)) == 5
    recorder = f.start(root, "--keep-files", 4, "--roll-frames", 100, "-n", 200, CAMERA)
    told = ended(recorder)
    left = [file for file in files_of(root) if file.startswith(old)]
    assert [number(file) for file in left] == [4, 5] and len(files_of(root)) == 4, files_of(root)
    assert "removed" not in told
    # The stream that is not recorded now is not touched, and the ledger of then knows.
    assert len(files_of(root, ACTUATORS)) == 5
    ledger = recorder_ledger(root, os.path.basename(old))
    gone = next(s for s in ledger["streams"] if s["name"] == h.stream_name(CAMERA))["removed"]
    assert (gone["files"], gone["frames"], gone["last_file"]) == (3, 300, 3), gone
    h.verified(root)
    ended(f.start(root, "--keep-files", 2, "--roll-frames", 100, "-n", 600, CAMERA, ACTUATORS))
    assert not os.path.exists(old), os.listdir(old)
    h.verified(root)


def marked_locked_and_foreign_files_are_never_touched():
    root = f.new_root()
    ended(f.start(root, "--roll-frames", 50, "-n", 300, CAMERA))
    files = files_of(root)
    marked, locked, foreign, linked = files[0], files[1], files[2], files[3]
    kept = run("keep", marked)
    assert kept.returncode == 0 and kept.stdout == f"{marked}: is kept\n", kept
    lock = open(locked, "rb")
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.unlink(foreign)
    fits.PrimaryHDU(np.arange(6.0)).writeto(foreign)
    outside = os.path.join(root, "outside.fits")
    os.rename(linked, outside)
    os.symlink(outside, linked)
    before = {file: open(file, "rb").read() for file in (marked, locked, foreign, outside)}
    recorder = f.start(root, "--keep-files", 1, "--roll-frames", 100, "-n", 1000, CAMERA)
    recorder.process.communicate(timeout=60)
    errors = recorder.errors()
    assert recorder.process.returncode in (0, 3), errors
    assert "is left: " in errors and errors.count("is left") == 1, errors
    for file, content in before.items():
        assert open(file, "rb").read() == content, file
    assert os.path.islink(linked) and not os.path.exists(files[4]) and not os.path.exists(files[5])
    lock.close()
    # The mark taken away, it goes like any other.
    assert run("keep", "--undo", marked).returncode == 0
    recorder = f.start(root, "--keep-files", 1, "--roll-frames", 100, "-n", 300, CAMERA)
    recorder.process.communicate(timeout=60)
    assert not os.path.exists(marked) and not os.path.exists(locked) and os.path.exists(foreign)


def a_file_that_is_marked_while_it_is_recorded_stays():
    root = f.new_root()
    recorder = f.start(root, "--keep-files", 2, "--roll-frames", 200, CAMERA)
    recorder.has_files(CAMERA, 1, ".part")
    part = files_of(root, ending=".part")[0]
    kept = run("keep", "-q", os.path.dirname(part))
    assert kept.returncode in (0, 1), kept  # it may be finished by now, under its other name
    marks = glob.glob(os.path.join(os.path.dirname(part), "*.keep"))
    assert marks
    last = number(part) + 8
    h.wait_for(lambda: files_of(root) and number(files_of(root)[-1]) >= last, what="more files")
    recorder.stop()
    told = ended(recorder)
    assert all(os.path.exists(mark[:-len(".keep")]) for mark in marks), (marks, told)
    assert len(files_of(root)) == 2 + len(marks)


def who_reads_a_file_goes_on_to_read_what_was_in_it():
    root = f.new_root()
    recorder = f.start(root, "--keep-files", 2, "--roll-frames", 300, ACTUATORS)
    recorder.has_files(ACTUATORS, 2)
    file = files_of(root, ACTUATORS)[0]
    with fits.open(file, memmap=True) as hdus:
        rows = np.array(hdus["FRAMES"].data)
        last = number(file) + 6
        h.wait_for(lambda: number(files_of(root, ACTUATORS)[-1]) >= last, what="more files")
        assert not os.path.exists(file)
        shape, dtype = SHAPES[ACTUATORS]
        ramp = h.ramp(rows["CNT0"].astype(np.int64), shape, dtype)
        assert (hdus[0].data == ramp).all()  # pages that were not read before
    recorder.stop()
    ended(recorder, ACTUATORS)


def what_goes_while_it_is_looked_at_is_not_called_missing():
    root = f.new_root()
    f.start(root, "--roll-frames", 10, "-n", 1500, CAMERA).process.communicate(timeout=60)
    # What it has to say fills the pipe long before it has looked at all of them.
    verify = h.start(h.DAOREC, "verify", root)
    fcntl.fcntl(verify.stdout, fcntl.F_SETPIPE_SZ, 4096)
    h.wait_for(lambda: struct.unpack("i", fcntl.ioctl(verify.stdout, termios.FIONREAD,
                                                      bytes(4)))[0] >= 4096, what="a full pipe")
    calls = f.Faults(root, ops=["name"])
    ended(f.start(root, "--keep-files", 2, "--roll-frames", 100, "-n", 100, CAMERA,
                  env=calls.environment()))
    assert len(files_of(root)) == 2
    assert calls.get("calls") < 50, "the ledger is not written for each file of thousands"
    said, _ = verify.communicate(timeout=60)
    assert verify.returncode == 0 and said.endswith(": no doubt\n"), said[-500:]


def set_times(seconds, *files):
    for file in files:
        os.utime(file, (seconds, seconds))


def a_session_of_a_later_date_is_the_older_one_all_the_same():
    root = f.new_root()
    f.start(root, "--roll-frames", 50, "-n", 150, CAMERA).process.communicate(timeout=60)
    later = os.path.join(root, "2096-01-01_00-00-00")
    os.rename(glob.glob(os.path.join(root, "*"))[0], later)
    set_times(4e9, *files_of(root))
    told = ended(f.start(root, "--keep-files", 2, "--roll-frames", 50, "-n", 100, CAMERA))
    assert "removed" not in told and len(files_of(root)) == 2, (told, files_of(root))
    assert not os.path.exists(later)


def only_time_that_went_by_makes_a_file_old():
    root, now = f.new_root(), time.time()
    f.start(root, "--roll-frames", 50, "-n", 150, CAMERA).process.communicate(timeout=60)
    touched, *old = files_of(root)
    set_times(now - 7200, *old)
    control = os.path.join(h.segments, "clock")
    with open(control, "w+b") as page_file:
        page_file.truncate(mmap.PAGESIZE)
        page = mmap.mmap(page_file.fileno(), mmap.PAGESIZE)
    environment = {**os.environ, "LD_PRELOAD": os.path.abspath(f.PRELOAD_CLOCK),
                   "CLOCK_CONTROL": control}
    recorder = f.start(root, "--keep-time", "1h", "--roll-time", "200ms", CAMERA, env=environment)
    h.wait_for(lambda: not any(map(os.path.exists, old)), what="old files to go")
    recorder.has_files(CAMERA, 3)
    first = files_of(root)
    assert touched in first, first
    page[0:8] = (86400 * 10**9).to_bytes(8, "little", signed=True)
    recorder.has_files(CAMERA, len(first) + 3)
    assert all(map(os.path.exists, first)), first
    page[0:8] = bytes(8)
    recorder.stop()
    recorder.process.communicate(timeout=60)


def a_recorder_that_is_killed_leaves_rows_of_its_own_only_and_repair_balances_the_books():
    root = f.new_root()
    recorder = f.start(root, "--keep-files", 2, "--roll-frames", 400, "-v", CAMERA)
    recorder.says("is written into the blocks of", 60)
    h.wait_for(lambda: recorder.part_number(CAMERA) >= 7 and
               f"_{recorder.part_number(CAMERA):06d}.fits is written into" in recorder.errors(),
               what="file 7, or a later one, in blocks of an older one")
    recorder.process.send_signal(signal.SIGKILL)
    recorder.process.communicate()
    wait_for_locks(root)
    for part in files_of(root, ending=".part"):
        with fits.open(part, memmap=False) as hdus:
            rows, first = hdus["FRAMES"].data, hdus[0].header["CNT0BEG"]
            there = rows["RTIME"] != 0
            if not there.any():  # the one that repair keeps all the same
                plane, (shape, dtype) = hdus[0].section[0], SHAPES[CAMERA]
                ramp = h.ramp(np.array([first]), shape, dtype)[0]
                nothing = hdus[0].header["BZERO"]  # zeros in the file
                assert ((plane == nothing) | (plane == ramp)).all(), "pixels of another night"
            counts, lost = rows["CNT0"][there].astype(np.int64), rows["LOST"][there]
            assert not counts.size or counts[0] == first, (counts[:3], first)
            assert (np.diff(counts) - 1 == lost[1:]).all(), part
            assert not rows[~there]["CNT0"].any() and (rows[~there]["DSUM"] == 1 << 31).all()
    before = json.load(open(glob.glob(os.path.join(root, "*", "session.json"))[0], encoding="utf-8"))
    assert before["end"] is None and before["streams"][0]["removed"]["files"] >= 3
    crashed = os.path.dirname(glob.glob(os.path.join(root, "*", "*", "*.part"))[0])
    assert len(glob.glob(os.path.join(crashed, "*.fits"))) >= 1
    repaired = run("repair", "--apply", root)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    h.verified(root)
    session = os.path.basename(os.path.dirname(crashed))
    after = recorder_ledger(root, session)
    assert after["recovered"] is True
    told, was = after["streams"][0], before["streams"][0]
    gone, went = told["removed"], was["removed"]
    assert gone["so_far"] == went["so_far"], (told, was)
    # Killed between the ledger and the file, it leaves one that is there yet.
    assert went["files"] - gone["files"] in (0, 1), (told, was)
    assert told["runs"][0]["first_cnt0"] == was["runs"][0]["first_cnt0"]
    assert told["recorded"] + told["lost"] == told["expected"] >= was["expected"] - 1024
    check_stream(root, session, told)
    # And now they are, like any others.
    ended(f.start(root, "--keep-files", 1, "--roll-frames", 100, "-n", 300, CAMERA))
    assert not os.path.exists(os.path.dirname(crashed)), os.listdir(os.path.dirname(crashed))
    h.verified(root)


def what_must_stay_is_not_counted_and_costs_no_other_file():
    """Newer than those that may go, or in a session whose ledger a crash did not leave whole."""
    root = f.new_root()
    ended(f.start(root, "--roll-frames", 50, "-n", 250, CAMERA))
    files = files_of(root)
    locks = [open(file, "rb") for file in files[3:]]
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_SH)
    assert run("keep", files[2]).returncode == 0
    ended(f.start(root, "--keep-files", 3, "--roll-frames", 1000, "-n", 50, CAMERA))
    assert files_of(root)[:5] == files and len(files_of(root)) == 6, files_of(root)
    for lock in locks:
        lock.close()
    crashed = f.start(root, "--roll-frames", 50, CAMERA)
    crashed.has_files(CAMERA, 12)
    crashed.process.kill()
    crashed.process.communicate()
    before = files_of(root)
    os.truncate(os.path.join(os.path.dirname(os.path.dirname(before[-1])), "session.json"), 100)
    recorder = f.start(root, "--keep-files", 6, "--roll-frames", 1000, "-n", 50, CAMERA)
    recorder.process.communicate(timeout=60)
    assert len(before) >= 12 and set(before) <= set(files_of(root)), before
    assert "is not removed to make room: it is no JSON" in recorder.errors(), recorder.errors()


def what_makes_no_sense_is_one_line():
    root = f.new_root()
    cases = {("--keep-size", "1MiB", "--roll-size", "1MiB"): "--roll-size",
             ("--keep-files", "0"): "--keep-files",
             ("--keep-time", "0s"): "--keep-time",
             ("--keep-size", "10"): "--keep-size"}
    for arguments, named in cases.items():
        wrong = run("record", "-o", root, *arguments, CAMERA)
        assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1, wrong
        assert named in wrong.stderr, wrong.stderr
    large = h.segment("large")
    SOURCES.append(h.sim(large, "--size", "800x800", "--rate", 10, "--depth", 2))
    h.wait_for(lambda: os.path.exists(large), what="a segment")
    wrong = run("record", "-o", root, "--keep-size", "2MiB", large)
    assert wrong.returncode == 2 and "three files of two frames" in wrong.stderr, wrong
    assert os.listdir(root) == [], os.listdir(root)
    for path, words in ((os.path.join(root, "no_000001.fits"), "not there"),
                        (os.path.join(root, "x.txt"), "no recording"), (root, "no recording")):
        wrong = run("keep", path)
        assert wrong.returncode == 1 and words in wrong.stderr, wrong
        assert wrong.stderr.count("\n") == 1, wrong
    assert run("keep").returncode == 2


if __name__ == "__main__":
    begin_sources()
    h.main([so_many_files_are_kept_and_no_more_at_any_instant,
            so_many_bytes_are_kept_of_all_streams_together,
            what_is_older_than_so_long_goes,
            earlier_sessions_go_first_and_leave_no_folder,
            marked_locked_and_foreign_files_are_never_touched,
            a_file_that_is_marked_while_it_is_recorded_stays,
            who_reads_a_file_goes_on_to_read_what_was_in_it,
            what_goes_while_it_is_looked_at_is_not_called_missing,
            a_session_of_a_later_date_is_the_older_one_all_the_same,
            only_time_that_went_by_makes_a_file_old,
            a_recorder_that_is_killed_leaves_rows_of_its_own_only_and_repair_balances_the_books,
            what_must_stay_is_not_counted_and_costs_no_other_file,
            what_makes_no_sense_is_one_line])
