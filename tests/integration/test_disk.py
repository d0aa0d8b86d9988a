#!/usr/bin/env python3
"""A disk that fails, stalls, writes short or goes away: what is lost is counted, what is there is
valid, and recording goes on as soon as it can.

The faults come from preload_disk.so, so that the recorders write by pwrite. With --long every call
of a small recording fails once, and every one is the first of calls that fail for ever, with
several errors each; without, every few."""
import glob
import os
import shutil
import signal
import sys
import time

from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402

LONG = "--long" in sys.argv
CAMERA, ACTUATORS, STILL = h.segment("cam"), h.segment("dm"), h.segment("still")
PATIENT = h.segment("patient")  # a FIFO that lasts 16 s: nothing of it is lapped
ROOMY = h.segment("roomy")  # 20 s, so that a busy machine may be slow to make files
SHAPES = {CAMERA: ((64, 48), "uint16"), ACTUATORS: ((97,), "float32"),
          STILL: ((16, 16), "uint16"), PATIENT: ((97,), "float32"),
          ROOMY: ((64, 48), "uint16")}
PWRITE = ("--io", "pwrite")
tried = 0


def streams(*paths):
    return {path: SHAPES[path] for path in paths}


def begin_sources():
    """3 MB/s and 0.4 MB/s; and a segment that is written already, for recordings with --backlog."""
    h.sim(CAMERA, "--size", "64x48", "--type", "uint16", "--rate", 500, "--depth", 64,
          "--pattern", "ramp")
    h.sim(ACTUATORS, "--size", "97", "--type", "float32", "--rate", 1000, "--depth", 512,
          "--pattern", "ramp")
    h.sim(STILL, "--size", "16x16", "--type", "uint16", "--rate", 0, "--depth", 64, "--pattern",
          "ramp", "-n", 500).wait(timeout=60)
    h.sim(PATIENT, "--size", "97", "--type", "float32", "--rate", 1000, "--depth", 16384, "--pattern",
          "ramp")
    h.sim(ROOMY, "--size", "64x48", "--type", "uint16", "--rate", 200, "--depth", 4096,
          "--pattern", "ramp")
    h.wait_for(lambda: all(os.path.exists(path) for path in (CAMERA, ACTUATORS, PATIENT, ROOMY)),
               what="segments")


def small_recording(faults, root, *ends):
    """63 frames into four files, about 210 calls."""
    return f.start(root, *PWRITE, "--backlog", "--roll-frames", 20, *ends, STILL, faults=faults)


def calls_of_a_small_recording():
    root = f.new_root()
    faults = f.Faults(root, ops=f.OPS, first=0)
    session = f.end(small_recording(faults, root, "-n", 63), streams(STILL))
    assert session.status == 0 and session.stream(STILL)["recorded"] == 63
    assert faults.get("calls") > 150 and faults.get("hits") == 0
    return faults.get("calls")


def a_call_that_fails_once_costs_at_most_what_is_counted():
    def fail(job):
        call, error = job
        root = f.new_root()
        faults = f.Faults(root, ops=f.OPS, first=call, count=1, error=error)
        session = f.end(small_recording(faults, root, "-n", 63), streams(STILL), allow_part=True)
        # Writings of the ledger that can wait are put off or not, as the clock has it: there may be
        # fewer calls than were counted, and then, and only then, the one that is to fail is none.
        calls, hits = faults.get("calls"), faults.get("hits")
        assert hits == (calls >= call) and (hits or calls > last - 40), (call, calls, hits, last)
        return session and session.lost() > 0
    global tried
    last = calls_of_a_small_recording()
    errors = ("EIO", "ENOSPC", "EDQUOT")
    jobs = [(call, error) for call in range(1, last + 1) for error in errors]
    if LONG:
        lost = f.sweep(fail, jobs)
        tried += len(jobs)
    else:  # every ninth call; others until one was hit that costs frames
        lost = []
        for first in range(1, 10):
            jobs = [(call, errors[call // 9 % 3]) for call in range(first, last + 1, 9)]
            lost += f.sweep(fail, jobs)
            tried += len(jobs)
            if True in lost:
                break
    assert None in lost and False in lost and True in lost  # not begun; no loss; some


def calls_that_fail_for_ever_cost_what_is_counted():
    def fail(job):
        call, error = job
        root = f.new_root()
        faults = f.Faults(root, ops=f.OPS, first=call, error=error)
        session = f.end(small_recording(faults, root, "-d", "200ms"), streams(STILL),
                        allow_part=True)
        assert session is None or session.status == 1 or faults.get("hits") == 0 or (
            call > last - 40), session.errors
    global tried
    last = calls_of_a_small_recording()
    jobs = [(call, error) for call in range(1, last + 1) for error in ("EIO", "EROFS")]
    if not LONG:
        jobs = [(call, ("EIO", "EROFS")[call // 23 % 2]) for call in range(1, last + 1, 23)]
    f.sweep(fail, jobs)
    tried += len(jobs)


def short_writes_are_continued():
    def record(job):
        short_to, ops, options = job
        root = f.new_root()
        faults = f.Faults(root, ops=ops, short_to=short_to)
        session = f.end(f.start(root, *PWRITE, *options, "--backlog", "-n", 63, "--roll-frames", 20,
                                STILL, faults=faults), streams(STILL))
        assert session.status == 0 and session.stream(STILL)["recorded"] == 63, session.errors
        assert faults.get("hits") > 0
    jobs = [(7, ["pwrite"], ["--no-direct"]), (4096, ["pwrite"], []), (5000, ["pwrite"], []),
            (4095, ["pwrite"], ["--no-direct"]), (100, ["pwrite"], ["--no-direct"])]
    global tried
    f.sweep(record, jobs)
    tried += len(jobs)


def killed_while_it_waits_for_the_disk_the_ledger_tells_what_was_lost():
    """Nothing new can be had of the disk: no file, no room."""
    def record(error):
        root = f.new_root()
        faults = f.Faults(root)
        recorder = f.start(root, "--buffer", "1MiB", "--roll-frames", 100, CAMERA, ACTUATORS,
                           faults=faults)
        recorder.has_files(CAMERA, 1)
        faults.set(ops=["allocate", "create"], error=error)
        f.killed_while_it_waits(recorder, streams(CAMERA, ACTUATORS), faults.set)
    global tried
    tried += len(f.sweep(record, ("ENOSPC", "EDQUOT")))


def a_disk_that_grants_little_gets_small_files():
    """A quota, say: nobody is told how much is left. From the start, or later; files of 400 frames
    are planned, 2.6 MB, and a MiB is granted, which is some 150 frames."""
    def files_of(recorder, frames):
        folder = os.path.join(recorder.folder(), h.stream_name(ROOMY))
        return [fits.getheader(file)["NFRAMES"]
                for file in glob.glob(os.path.join(folder, "*.fits"))].count(frames)

    def gets_files_of(recorder, frames):
        """Some of the other kind may have been prepared before."""
        before = files_of(recorder, frames)
        h.wait_for(lambda: files_of(recorder, frames) > before, what=f"a file of {frames} frames")

    def record(job):
        when, error = job
        root, little = f.new_root(), {"ops": ["allocate"], "bytes_min": 1 << 20, "error": error}
        faults = f.Faults(root, **little) if when == "from the start" else f.Faults(root)
        recorder = f.start(root, "--roll-frames", 400, ROOMY, faults=faults)
        if when == "later":
            recorder.has_files(ROOMY, 1)
            faults.set(**little)
            h.wait_for(lambda: faults.get("hits") > 0, what="a refusal")
        gets_files_of(recorder, 100)
        faults.set()
        gets_files_of(recorder, 400)
        recorder.stop()
        session = f.end(recorder, streams(ROOMY))
        assert session.stream(ROOMY)["lost_by"]["disk"] == 0, session.summary
        assert "cannot prepare" not in session.errors, session.errors
        frames = [fits.getheader(file)["NFRAMES"] for file in session.stream(ROOMY)["files"]]
        assert frames[0] == (100 if when == "from the start" else 400), frames
    global tried
    tried += len(f.sweep(record, [("from the start", "EDQUOT"), ("later", "EDQUOT"),
                                  ("later", "ENOSPC")]))


def one_stream_s_trouble_is_not_the_other_s():
    """Each kind of fault for a while, on the camera alone; then the disk is well again."""
    def record(job):
        members, roll = job
        root = f.new_root()
        faults = f.Faults("/" + h.stream_name(CAMERA))
        recorder = f.start(root, *PWRITE, "--buffer", "1MiB", "--roll-frames", roll, CAMERA,
                           ACTUATORS, faults=faults)
        recorder.has_files(CAMERA, 1)
        faults.set(**members)
        h.wait_for(lambda: faults.get("hits") >= 2, what="two faults")
        recorder.says(h.stream_name(CAMERA) + ": ")
        faults.set()
        before = len(glob.glob(os.path.join(recorder.folder(), h.stream_name(CAMERA), "*.fits")))
        recorder.has_files(CAMERA, before + 2)  # it goes on
        recorder.stop()
        session = f.end(recorder, streams(CAMERA, ACTUATORS), allow_part=True)
        assert session.stream(ACTUATORS)["lost_by"]["disk"] == 0, session.summary
        mine = session.stream(CAMERA)
        assert mine["recorded"] > 0, mine  # not by how many: a file that a fault ended is short
        return mine["lost_by"]["disk"]
    camera_rows_off = 64 * 48 * 2 * 120
    jobs = [({"ops": ["pwrite"], "error": "EIO", "off_min": 32768, "off_max": 700_000}, 120),
            ({"ops": ["pwrite"], "error": "EIO", "off_min": camera_rows_off,
              "off_max": 1 << 40}, 120),
            ({"ops": ["sync"], "error": "EIO"}, 600),
            ({"ops": ["allocate"], "error": "EDQUOT"}, 120),
            ({"ops": ["name"], "error": "ENOSPC"}, 120),
            ({"ops": ["create"], "error": "EMFILE"}, 120)]
    global tried
    lost = f.sweep(record, jobs, at_once=3)
    assert lost[0] > 0, lost
    tried += len(jobs)


def a_disk_that_stays_broken_is_said_once_and_not_filled_with_files():
    """At its full speed the recorder would go through a hundred files in this time, and say so."""
    global tried
    root = f.new_root()
    faults = f.Faults(root)
    recorder = f.start(root, *PWRITE, "--buffer", "1MiB", CAMERA, faults=faults)
    recorder.has_files(CAMERA, 1, ".part")
    # The cube behind its first pages: files can be made, but not filled.
    faults.set(ops=["pwrite"], error="EIO", off_min=32768, off_max=1 << 24)
    h.wait_for(lambda: faults.get("hits") >= 1, what="a failure")
    time.sleep(2.5)
    faults.set()
    recorder.says("nothing of it was whole")
    h.wait_for(lambda: recorder.part_number(CAMERA) > 1, what="another file")
    assert recorder.part_number(CAMERA) < 15, recorder.part_number(CAMERA)
    recorder.stop(signal.SIGUSR1)
    recorder.has_files(CAMERA, 1)
    recorder.stop()
    session = f.end(recorder, streams(CAMERA))
    assert session.status == 3, session.errors
    assert session.errors.count("nothing of it was whole") == 1, session.errors
    tried += 1


def a_stall_is_absorbed_by_memory_and_costs_only_what_does_not_fit():
    def record(job):
        options, members = job
        root = f.new_root()
        faults = f.Faults(root)
        recorder = f.start(root, *PWRITE, *options, CAMERA, faults=faults)
        recorder.has_files(CAMERA, 1, ".fits*")
        faults.set(stall_ms=1200, count=1, **members)
        h.wait_for(lambda: faults.get("hits") >= 1, what="the stall")
        recorder.has_files(CAMERA, 3)
        recorder.stop()
        return f.end(recorder, streams(CAMERA))
    pixels = {"ops": ["pwrite"], "off_min": 65536, "off_max": 2 << 20}
    jobs = [(["--roll-frames", 400], pixels), (["--roll-frames", 400], {"ops": ["sync"]}),
            (["--roll-frames", 400, "--buffer", "1MiB"], pixels)]
    global tried
    sessions = f.sweep(record, jobs)
    disk = [session.stream(CAMERA)["lost_by"]["disk"] for session in sessions]
    assert disk[:2] == [0, 0] and disk[2] > 0, disk
    tried += len(jobs)


def stop_ends_every_stream_before_it_loses_a_frame():
    """A FIFO that is filled later than another one is full of what nobody has asked for."""
    deep = h.segment("deep")
    source = h.sim(deep, "--size", "64x48", "--type", "uint16", "--rate", 500, "--depth", 256,
                   "--pattern", "ramp")
    h.wait_for(lambda: os.path.exists(deep), what="a segment")
    root = f.new_root()
    config = os.path.join(root, "stop.yaml")
    with open(config, "w", encoding="utf-8") as out:
        out.write("overload: stop\nbuffer_limit: 1MiB\nlatency: 5ms\n")
    faults = f.Faults(root)
    recorder = f.start(root, *PWRITE, "-c", config, CAMERA, deep, faults=faults)
    for path in (CAMERA, deep):
        recorder.has_files(path, 1, ".fits*")
    faults.set(ops=["pwrite"], stall_ms=2500)
    recorder.says("by the overload policy")
    h.wait_for_frames(deep, 600, what="more frames than a FIFO holds")
    faults.set()
    both = {path: SHAPES[CAMERA] for path in (CAMERA, deep)}
    session = f.end(recorder, both)
    assert session.status in (1, 3), session.errors
    assert not any(s["lost_by"]["disk"] for s in session.summary["streams"]), session.errors
    source.kill()
    global tried
    tried += 1


def remove_whole(folder):
    """Also while the recorder puts one more file in."""
    for left in range(1000, -1, -1):
        try:
            return shutil.rmtree(folder)
        except OSError:
            if not left:
                raise


def a_folder_that_goes_away_is_said_once_and_its_frames_are_lost():
    """Without the session's the recording ends; without a stream's the other stream goes on."""
    def record(job):
        what, replace = job
        root = f.new_root()
        recorder = f.start(root, "--roll-frames", 100, "--buffer", "1MiB", CAMERA, PATIENT)
        recorder.has_files(CAMERA, 2)
        folder = recorder.folder()
        target = os.path.join(folder, h.stream_name(CAMERA)) if what == "stream" else folder
        away = f.new_root()
        os.rename(target, os.path.join(away, "it"))  # else the recorder puts files in meanwhile
        remove_whole(away)
        if replace:
            open(target, "w").close()
        recorder.says(f"the {what}'s folder was removed")
        if what == "stream":
            recorder.has_files(PATIENT, recorder.count_files(PATIENT) + 2)
            recorder.stop()
        out, _ = recorder.process.communicate(timeout=60)
        return out, recorder.errors(), recorder.process.returncode
    global tried
    jobs = [("session", False), ("stream", False), ("stream", True)]
    for (what, _), (out, errors, status) in zip(jobs, f.sweep(record, jobs)):
        mine, other = f.json.loads(out)["streams"]
        for stream in (mine, other):
            assert stream["expected"] == stream["recorded"] + stream["lost"], stream
        assert mine["lost_by"]["disk"] > 0, mine
        assert status == (1 if what == "session" else 3), (status, errors)
        assert what == "session" or other["lost"] == 0, other
        # Nothing else is said but what was recorded well, or closed while its folder was emptied. A
        # session's folder goes after its streams': who looks in between says of each that it is
        # gone, once.
        lines = [line for line in errors.splitlines() if not any(words in line for words in (
            ", ROLL", ", SIGNAL", ": session ", "was removed while it was recorded"))]
        assert len(set(lines)) == len(lines), lines
        said = [line for line in lines if f"the {what}'s folder was removed" in line]
        others = [line for line in lines if line not in said]
        assert len(said) == 1 and len(others) <= (2 if what == "session" else 0), lines
        assert all("the stream's folder was removed" in line for line in others), lines
    tried += len(jobs)


def a_file_that_is_removed_while_it_is_recorded_has_lost_its_frames():
    root = f.new_root()
    recorder = f.start(root, "--roll-frames", 400, CAMERA)
    recorder.has_files(CAMERA, 1, ".part")
    os.unlink(glob.glob(os.path.join(recorder.folder(), "*", "*_000001.fits.part"))[0])
    recorder.says("was removed while it was recorded")
    recorder.stop()
    session = f.end(recorder, streams(CAMERA))
    assert session.status == 3 and session.stream(CAMERA)["lost_by"]["disk"] >= 400


def a_folder_that_becomes_read_only_is_waited_for():
    os.chmod(h.output, 0o711)
    os.chmod(h.segments, 0o711)
    root = f.new_root()
    options = {}
    if os.geteuid() == 0:  # root may write anywhere
        os.chown(root, 65534, 65534)
        options = {"user": 65534, "group": 65534, "extra_groups": []}
    recorder = f.start(root, "--roll-frames", 100, "--buffer", "1MiB", CAMERA, **options)
    recorder.has_files(CAMERA, 1)
    folder = os.path.join(recorder.folder(), h.stream_name(CAMERA))
    os.chmod(folder, 0o555)
    recorder.says("make room or check the folder")
    os.chmod(folder, 0o755)
    recorder.says("the disk is back")
    before = len(os.listdir(folder))
    recorder.has_files(CAMERA, before + 1)
    recorder.stop()
    session = f.end(recorder, streams(CAMERA), allow_part=True)
    assert session.stream(CAMERA)["recorded"] > 200


def everything_that_was_left_is_valid():
    print(f"        {tried} faults, {f.judge_all(1 if LONG else 4)} files")


if __name__ == "__main__":
    begin_sources()
    h.main([a_call_that_fails_once_costs_at_most_what_is_counted,
            calls_that_fail_for_ever_cost_what_is_counted, short_writes_are_continued,
            f.together(killed_while_it_waits_for_the_disk_the_ledger_tells_what_was_lost,
                       a_disk_that_grants_little_gets_small_files),
            one_stream_s_trouble_is_not_the_other_s,
            a_disk_that_stays_broken_is_said_once_and_not_filled_with_files,
            a_stall_is_absorbed_by_memory_and_costs_only_what_does_not_fit,
            stop_ends_every_stream_before_it_loses_a_frame,
            a_folder_that_goes_away_is_said_once_and_its_frames_are_lost,
            a_file_that_is_removed_while_it_is_recorded_has_lost_its_frames,
            a_folder_that_becomes_read_only_is_waited_for, everything_that_was_left_is_valid])
