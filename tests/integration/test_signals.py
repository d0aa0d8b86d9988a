#!/usr/bin/env python3
"""Signals, limits of the process, and a wall clock that jumps."""
import glob
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402

CAMERA, DEEP = h.segment("cam"), h.segment("deep")
SHAPE = ((64, 48), "uint16")


def begin_sources():
    """3 MB/s each; DEEP keeps five seconds and more."""
    for path, depth in ((CAMERA, 256), (DEEP, 4096)):
        h.sim(path, "--size", "64x48", "--type", "uint16", "--rate", 500, "--depth", depth,
              "--pattern", "ramp")
    h.wait_for(lambda: os.path.exists(CAMERA) and os.path.exists(DEEP), what="segments")


def as_a_user(root):
    """Options that take root's rights away, where there are any."""
    os.chmod(h.output, 0o711)
    os.chmod(h.segments, 0o711)
    if os.geteuid() != 0:
        return {}
    os.chown(root, 65534, 65534)
    return {"user": 65534, "group": 65534, "extra_groups": []}


def limited(**limits):
    """preexec_fn that sets RLIMIT_*: both the soft and the hard one."""
    def set_them():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
    return {"preexec_fn": set_them}


def end_causes(session, path):
    return [fits.getheader(file)["ENDCAUSE"] for file in session.stream(path)["files"]]


# ---- signals ----

def once_all_that_was_there_is_recorded_although_the_disk_stalls():
    def record(number):
        root = f.new_root()
        faults = f.Faults(root)
        recorder = f.start(root, "--io", "pwrite", CAMERA, DEEP, faults=faults)
        recorder.has_files(DEEP, 1, ".part")
        faults.set(ops=["pwrite"], stall_ms=700, count=2)
        h.wait_for(lambda: faults.get("hits") >= 1, what="the stall")
        recorder.stop(number)
        session = f.end(recorder, {CAMERA: SHAPE, DEEP: SHAPE})
        assert all(s["lost_by"]["disk"] == 0 for s in session.summary["streams"]), session.summary
        assert end_causes(session, CAMERA)[-1] == end_causes(session, DEEP)[-1] == "SIGNAL"
    f.sweep(record, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def twice_what_is_in_memory_is_recorded_and_the_rest_counted():
    """25 MB are in the FIFO. Without the second signal this would take a minute: pieces of 64 KiB,
    120 ms each."""
    path, root = h.segment("full"), f.new_root()
    h.sim(path, "--size", "64x48", "--type", "uint16", "--rate", 0, "--depth", 4096, "--pattern",
          "ramp", "-n", 4100).wait(timeout=60)
    faults = f.Faults(root, ops=["pwrite"], stall_ms=120, off_min=65536, off_max=40 << 20)
    recorder = f.start(root, "--io", "pwrite", "--buffer", "1MiB", "--backlog", path, faults=faults)
    recorder.has_files(path, 1, ".part")
    h.wait_for(lambda: faults.get("hits") >= 2, what="stalls")
    recorder.stop()
    time.sleep(1)
    assert recorder.process.poll() is None
    recorder.stop()
    session = f.end(recorder, {path: SHAPE}, seconds=60)
    mine = session.stream(path)
    assert session.status == 3 and mine["lost"] == mine["lost_by"]["disk"] > 3000, mine
    assert mine["recorded"] > 50 and end_causes(session, path)[-1] == "SIGNAL", mine


def under_nohup_a_hangup_ends_nothing():
    root = f.new_root()
    recorder = f.start(root, "--roll-frames", 100, CAMERA,
                       preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    recorder.has_files(CAMERA, 1)
    recorder.stop(signal.SIGHUP)
    before = len(glob.glob(os.path.join(root, "*", "*", "*.fits")))
    recorder.has_files(CAMERA, before + 2)
    recorder.stop()
    f.end(recorder, {CAMERA: SHAPE})


def a_storm_of_signals_is_harmless():
    root = f.new_root()
    recorder = f.start(root, CAMERA)
    recorder.has_files(CAMERA, 1, ".part")
    for number in range(100):
        recorder.stop((signal.SIGUSR1, signal.SIGUSR1, signal.SIGPIPE, signal.SIGXFSZ)[number % 4])
        time.sleep(0.005)
    recorder.stop()
    session = f.end(recorder, {CAMERA: SHAPE})
    causes = end_causes(session, CAMERA)
    assert session.stream(CAMERA)["lost_by"]["disk"] == 0, session.summary
    assert len(causes) > 5 and causes[-1] in ("SIGNAL", "ROLL"), causes
    assert set(causes[:-1]) == {"ROLL"}, causes


def nobody_who_reads_the_summary_is_no_failure_and_the_files_are_fine():
    for options in ([], ["-q"]):
        root = f.new_root()
        read_end, write_end = os.pipe()
        recorder = f.start(root, *options, "-n", 100, CAMERA, stdout=write_end)
        os.close(write_end)
        os.close(read_end)
        assert recorder.process.wait(timeout=60) == 0, recorder.errors()
        assert not glob.glob(os.path.join(root, "*", "*", "*.part"))
        h.judge(*glob.glob(os.path.join(root, "*", "*", "*.fits")))
        with open(os.path.join(recorder.folder(), "session.json"), encoding="utf-8") as ledger:
            assert json.load(ledger)["streams"][0]["recorded"] == 100


def before_there_is_a_segment_a_signal_ends_the_wait():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        root = f.new_root()
        recorder = f.start(root, "--wait", h.segment("never"))
        recorder.says("waiting for")
        recorder.stop(number)
        assert recorder.process.wait(timeout=60) == 0, recorder.errors()
        assert os.listdir(root) == []


def a_time_to_wait_without_its_sign_is_told_from_a_segment():
    run = subprocess.run([h.DAOREC, "record", "--wait", "2s", CAMERA], capture_output=True,
                         text=True, timeout=60, check=False)
    assert run.returncode == 2 and run.stderr.count("\n") == 1, run.stderr
    assert "--wait=2s" in run.stderr, run.stderr


# ---- limits ----

def a_small_file_limit_makes_small_files():
    def record(options):
        root = f.new_root()
        recorder = f.start(root, *options, "-n", 300, CAMERA, **limited(FSIZE=400_000))
        session = f.end(recorder, {CAMERA: SHAPE})
        mine = session.stream(CAMERA)
        assert mine["recorded"] == 300 and len(mine["files"]) > 4, mine
        assert mine["lost_by"]["disk"] == 0, mine
    f.sweep(record, [[], ["--io", "pwrite"], ["--no-direct"]])


def a_file_limit_that_sinks_while_it_records_makes_smaller_files():
    """As with a quota, what a file system grants is found out by trying; 200 frames take 1.3 MB."""
    def record(options):
        root = f.new_root()
        recorder = f.start(root, *options, "--roll-frames", 200, CAMERA)
        recorder.has_files(CAMERA, 1)
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (900_000, 900_000))
        before = len(glob.glob(os.path.join(root, "*", h.stream_name(CAMERA), "*.fits")))
        recorder.has_files(CAMERA, before + 6)
        recorder.stop()
        # One that was nearly full when that came may not be closed any more.
        session = f.end(recorder, {CAMERA: SHAPE}, allow_part=True)
        frames = [fits.getheader(file)["NFRAMES"] for file in session.stream(CAMERA)["files"]]
        assert frames[0] == 200 and max(frames[-3:]) <= 100, frames
        assert "File too large" in session.errors, session.errors
    f.sweep(record, [[], ["--io", "pwrite"], ["--no-direct"]])


def fails_in_one_line(root, *arguments, says, **options):
    recorder = f.start(root, *arguments, CAMERA, **options)
    assert recorder.process.wait(timeout=60) == 1, recorder.errors()
    errors = recorder.errors()
    assert errors.count("\n") == 1 and all(word in errors for word in says), errors
    assert os.listdir(root) == [], os.listdir(root)


def limits_that_are_too_small_are_named_in_one_line():
    says = ["a file of one frame takes", "no more than 16.4 kB", "ulimit -f"]
    fails_in_one_line(f.new_root(), says=says, **limited(FSIZE=20_000))
    fails_in_one_line(f.new_root(), "--buffer", "1GiB", says=["memory", "--buffer"],
                      **limited(AS=300 << 20))


def few_descriptors_are_enough_or_named_in_one_line():
    def record(job):
        count, paths = job
        root = f.new_root()
        recorder = f.start(root, "-n", 300, "--roll-frames", 100, *paths, **limited(NOFILE=count))
        recorder.process.wait(timeout=60)
        need = 12 + 6 * len(paths)
        if count < need:
            assert recorder.process.returncode == 1
            errors = recorder.errors()
            assert errors.count("\n") == 1 and "ulimit -n" in errors, errors
            assert f" {need} open files" in errors and f" {count};" in errors, errors
            assert os.listdir(root) == [], os.listdir(root)
        else:
            session = f.end(recorder, {path: SHAPE for path in paths})
            assert session.lost() == 0, session.errors
    f.sweep(record, [(count, [CAMERA]) for count in (4, 8, 12, 17, 18, 24)] +
            [(count, [CAMERA, DEEP]) for count in (18, 23, 24)], at_once=3)


def a_soft_limit_of_descriptors_is_raised_as_far_as_it_may_be():
    root = f.new_root()
    recorder = f.start(root, "-n", 100, CAMERA, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (8, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    assert f.end(recorder, {CAMERA: SHAPE}).status == 0


def no_locked_memory_and_no_priority_cost_one_warning_at_most():
    for options, locked, warnings in (([], 256 << 10, 0), (["--priority", 50, "--cpu", 0], 0, 1)):
        root = f.new_root()
        recorder = f.start(root, *options, "-n", 200, CAMERA, DEEP,
                           **limited(MEMLOCK=locked, RTPRIO=0), **as_a_user(root))
        session = f.end(recorder, {CAMERA: SHAPE, DEEP: SHAPE})
        assert [s["recorded"] for s in session.summary["streams"]] == [200, 200]
        assert session.errors.count("cannot have priority") == warnings, session.errors
        # New kernels count the ring itself as locked memory, some machines have no io_uring.
        rings = session.errors.count("io_uring cannot be had here")
        assert rings <= 1 and session.errors.count("cannot") == warnings + rings, session.errors


# ---- the wall clock ----

def a_wall_clock_that_jumps_flags_frames_and_changes_nothing_else():
    control = os.path.join(h.segments, "clock")
    with open(control, "w+b") as page_file:
        page_file.truncate(mmap.PAGESIZE)
        page = mmap.mmap(page_file.fileno(), mmap.PAGESIZE)
    environment = {**os.environ, "LD_PRELOAD": os.path.abspath(f.PRELOAD_CLOCK),
                   "CLOCK_CONTROL": control}
    path = h.segment("jumps")
    source = h.start(h.DAOREC, "sim", path, "-q", "--size", "64x48", "--type", "uint16", "--rate",
                     500, "--depth", 256, "--pattern", "ramp", env=environment)
    root = f.new_root()
    recorder = f.start(root, "--wait=20s", "--roll-time", "300ms", path, env=environment)
    recorder.has_files(path, 2)
    hour = 3600 * 10**9
    for shift in (hour, -hour, 0):
        before = len(glob.glob(os.path.join(root, "*", "*", "*.fits")))
        page[0:8] = shift.to_bytes(8, "little", signed=True)
        recorder.has_files(path, before + 2)
    recorder.stop()
    session = f.end(recorder, {path: SHAPE})
    source.terminate()
    files = session.stream(path)["files"]
    cube, rows = h.load(files)
    assert session.stream(path)["lost_by"]["disk"] == 0, session.summary
    back = np.flatnonzero(np.diff(rows["ATIME"]) < 0) + 1
    flagged = np.flatnonzero(rows["FLAGS"] & h.FLAG["BADTIME"])
    assert len(back) == 1 and list(flagged) == list(back), (back, flagged)
    assert list(np.flatnonzero(np.isnan(rows["TIME"]))) == list(back)
    assert abs(np.diff(rows["ATIME"])).max() > hour * 0.99
    # 0.3 s of frames in each file, whatever the wall clock says (thrice that if it is busy).
    frames = [fits.getheader(file)["NFRAMES"] for file in files]
    assert max(frames) <= 450 and len(frames) >= 8, frames


def a_wall_clock_that_was_set_back_makes_no_session_of_less_than_nothing():
    control, path, root = os.path.join(h.segments, "day"), h.segment("back"), f.new_root()
    with open(control, "w+b") as page_file:
        page_file.truncate(mmap.PAGESIZE)
        page = mmap.mmap(page_file.fileno(), mmap.PAGESIZE)
    h.sim(path, "--size", "4x4", "--rate", 500, "--depth", 256, "-d", "90s")
    recorder = h.start(h.DAOREC, "record", "--wait=20s", "--roll-frames", 20, "-o", root, path,
                       env={**os.environ, "LD_PRELOAD": os.path.abspath(f.PRELOAD_CLOCK),
                            "CLOCK_CONTROL": control})
    h.wait_for(lambda: glob.glob(os.path.join(root, "*", "*", "*_000002.fits*")), what="files")
    page[0:8] = (-86400 * 10**9).to_bytes(8, "little", signed=True)
    recorder.send_signal(signal.SIGINT)
    out, errors = recorder.communicate(timeout=60)
    assert recorder.returncode in (0, 3), errors
    took = out.splitlines()[0].rpartition(", ")[2]
    assert took.endswith((" s", " ms")) and "-" not in took, out


def everything_that_was_left_is_valid():
    print(f"        {f.judge_all()} files")


if __name__ == "__main__":
    begin_sources()
    h.main([once_all_that_was_there_is_recorded_although_the_disk_stalls,
            twice_what_is_in_memory_is_recorded_and_the_rest_counted,
            under_nohup_a_hangup_ends_nothing, a_storm_of_signals_is_harmless,
            nobody_who_reads_the_summary_is_no_failure_and_the_files_are_fine,
            before_there_is_a_segment_a_signal_ends_the_wait,
            a_time_to_wait_without_its_sign_is_told_from_a_segment,
            a_small_file_limit_makes_small_files,
            a_file_limit_that_sinks_while_it_records_makes_smaller_files,
            limits_that_are_too_small_are_named_in_one_line,
            few_descriptors_are_enough_or_named_in_one_line,
            a_soft_limit_of_descriptors_is_raised_as_far_as_it_may_be,
            no_locked_memory_and_no_priority_cost_one_warning_at_most,
            a_wall_clock_that_jumps_flags_frames_and_changes_nothing_else,
            a_wall_clock_that_was_set_back_makes_no_session_of_less_than_nothing,
            everything_that_was_left_is_valid])
