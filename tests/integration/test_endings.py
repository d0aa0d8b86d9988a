#!/usr/bin/env python3
"""How a recording ends, and what it says when it cannot begin."""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402


def two_sources(name):
    camera, actuators = h.segment(f"{name}cam"), h.segment(f"{name}dm")
    sources = [h.sim(camera, "--size", "64x48", "--type", "uint16", "--rate", 500, "--depth", 256,
                     "--pattern", "ramp", "-d", "60s"),
               h.sim(actuators, "--size", "97", "--type", "float32", "--rate", 1000, "--depth", 512,
                     "--pattern", "ramp", "-d", "60s")]
    return camera, actuators, sources


def check_two(session, camera, actuators):
    h.judge(*(file for stream in session.summary["streams"] for file in stream["files"]))
    h.check_stream(session, camera, (64, 48), "uint16", judged=False)
    h.check_stream(session, actuators, (97,), "float32", judged=False)


def a_signal_in_the_middle_leaves_only_complete_files():
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
        camera, actuators, sources = two_sources(f"t{int(number)}")
        recorder = h.record("--wait=20s", "--roll-frames", 333, camera, actuators)
        pattern = os.path.join(h.output, "*", h.stream_name(actuators), "*.fits")
        h.wait_for(lambda: len(glob.glob(pattern)) >= 2, what="two closed files")
        recorder.send_signal(number)
        session = h.finish(recorder)
        for source in sources:
            source.terminate()
        check_two(session, camera, actuators)
        for stream in session.summary["streams"]:
            last = fits.getheader(stream["files"][-1])
            cause = "ROLL" if last["NFRAMES"] == 333 else "SIGNAL"  # full, and no frame came after
            assert last["ENDCAUSE"] == cause, (name, stream["name"], last["ENDCAUSE"])


def frames_and_duration_count_per_stream():
    camera, actuators, sources = two_sources("count")
    session = h.finish(h.record("--wait=20s", "-n", 700, camera, actuators))
    assert [s["recorded"] for s in session.summary["streams"]] == [700, 700]
    check_two(session, camera, actuators)
    session = h.finish(h.record("-d", "1s", camera, actuators))
    for source in sources:
        source.terminate()
    check_two(session, camera, actuators)
    for stream in session.summary["streams"]:
        assert stream["recorded"] > 50, stream


def a_session_s_name_that_is_taken_is_said_and_waited_for():
    path = h.segment("taken")
    h.sim(path, "--size", "8x8", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    for _ in range(5):  # until it comes in one of three seconds, not later
        root, now = tempfile.mkdtemp(dir=h.output), int(time.time())
        taken = [time.strftime("%Y-%m-%d_%H-%M-%S", time.gmtime(now + s)) for s in range(3)]
        for name in taken:
            os.mkdir(os.path.join(root, name))
        run = subprocess.run([h.DAOREC, "record", "--json", "-o", root, "-d", "10ms", path],
                             capture_output=True, text=True, timeout=60)
        assert run.returncode == 0 and json.loads(run.stdout)["session"] not in taken, run
        said = [line for line in run.stderr.splitlines() if "is there already: waiting" in line]
        if said:
            break
    assert said and all(any(name in line for name in taken) for line in said), run.stderr


def backlog_takes_what_is_already_there():
    path = h.segment("backlog")
    source = h.sim(path, "--size", "16x16", "--type", "int32", "--rate", 0, "--depth", 64,
                   "--pattern", "ramp", "-n", 1000)
    source.wait(timeout=60)
    recorder = h.record("--backlog", "-d", "500ms", path)
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, (16, 16), "int32")
    # slot head + 1 can never be proven: 63 of 64
    assert list(rows["CNT0"]) == list(range(938, 1001)), rows["CNT0"][[0, -1]]
    session = h.finish(h.record("-d", "300ms", path))
    assert session.summary["streams"][0]["expected"] == 0
    assert session.summary["streams"][0]["files"] == []


def a_source_that_stops_is_no_loss():
    path = h.segment("stops")
    source = h.sim(path, "--size", "16x16", "--type", "uint8", "--rate", 1000, "--depth", 64,
                   "--pattern", "ramp", "-d", "60s")
    recorder = h.record("--wait=20s", path)
    h.wait_for(lambda: glob.glob(os.path.join(h.output, "*", h.stream_name(path), "*.part")),
               what="the first frame")
    source.terminate()
    source.wait(timeout=60)
    time.sleep(0.5)
    recorder.terminate()
    session = h.finish(recorder)
    h.check_stream(session, path, (16, 16), "uint8")


def fails(*arguments, status, says):
    run = subprocess.run([h.DAOREC, *map(str, arguments)], capture_output=True, text=True,
                         timeout=60)
    assert run.returncode == status, (arguments, run.returncode, run.stderr)
    lines = [line for line in run.stderr.splitlines() if line]
    assert len(lines) == 1, (arguments, run.stderr)
    for word in says:
        assert word in lines[0], (word, lines[0])
    return lines[0]


def what_is_no_segment_is_named_in_one_line():
    empty, short, folder = (os.path.join(h.segments, n) for n in ("empty", "short", "folder"))
    open(empty, "w").close()
    with open(short, "wb") as f:
        f.write(b"SIMPLE" * 100)
    os.mkdir(folder)
    wrong = os.path.join(h.segments, "wrong.im.shm")
    good = h.segment("good")
    h.sim(good, "--size", "8x8", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    with open(good, "rb") as f, open(wrong, "wb") as g:
        g.write(f.read() + b"x")
    before = os.listdir(h.output)
    for path in (empty, short, folder, wrong, os.path.join(h.segments, "missing")):
        fails("record", "-o", h.output, path, status=1, says=[path])
        fails("info", path, status=1, says=[path])
    assert os.listdir(h.output) == before, "a session folder for nothing"


def wrong_usage_is_one_line_and_status_two():
    good = h.segment("usage")
    h.sim(good, "--size", "8x8", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    twin = os.path.join(h.segments, "twin")
    os.mkdir(twin)
    twin = os.path.join(twin, os.path.basename(good))
    os.symlink(good, twin)
    fails("record", status=2, says=["segment"])
    fails("record", "--roll-sise", "1GB", good, status=2, says=["roll-sise", "roll-size"])
    fails("record", "--roll-size", "1XB", good, status=2, says=["roll-size", "1XB"])
    fails("record", "-d", "ten", good, status=2, says=["duration", "ten"])
    fails("record", "-n", "-5", good, status=2, says=["frames", "-5"])
    fails("record", "--io", "magic", good, status=2, says=["magic", "pwrite"])
    fails("record", "-o", h.output, good, twin, status=2, says=[good, twin])
    fails("recrod", good, status=2, says=["recrod", "record"])


def a_source_that_cannot_be_set_up_leaves_nothing():
    nameless = os.path.join(h.segments, ".im.shm")
    fails("sim", nameless, "-n", 1, status=1, says=[nameless, "semaphores"])
    assert not os.path.exists(nameless)
    under = os.path.join(h.segments, "no-folder", os.path.basename(h.segment("under")))
    fails("sim", under, "-n", 1, status=1, says=[under])
    left = glob.glob(f"/dev/shm/sem.{h.stream_name(under)}_sem*")
    for semaphore in left:
        os.unlink(semaphore)
    assert not left, left


def an_output_folder_that_cannot_be_made_is_named():
    good = h.segment("folder")
    h.sim(good, "--size", "8x8", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    blocked = os.path.join(h.output, "a-file")
    open(blocked, "w").close()
    fails("record", "-q", "-o", os.path.join(blocked, "x"), good, status=1,
          says=[blocked, "--output"])


def help_and_version_are_on_stdout():
    for arguments in (["--help"], ["record", "--help"], ["sim", "--help"], ["info", "--help"],
                      ["--version"], ["record", "--version"]):
        run = subprocess.run([h.DAOREC, *arguments], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0 and run.stdout and not run.stderr, arguments


def info_tells_what_a_file_and_a_segment_are():
    path = h.segment("info")
    source = h.sim(path, "--size", "12x10", "--type", "float32", "--rate", 500, "--depth", 32,
                   "--pattern", "ramp", "-d", "60s")
    session = h.finish(h.record("--wait=20s", "-n", 200, path))
    file = session.stream(path)["files"][0]
    run = subprocess.run([h.DAOREC, "info", path, file], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    for word in ("float32", "12", "10", "32", "200", "CLOSED", session.summary["session"][:4]):
        assert word in run.stdout, (word, run.stdout)
    run = subprocess.run([h.DAOREC, "info", "--json", path, file], capture_output=True, text=True,
                         timeout=60)
    assert [bool(json.loads(line)) for line in run.stdout.splitlines()] == [True, True]
    source.terminate()


if __name__ == "__main__":
    h.main([a_signal_in_the_middle_leaves_only_complete_files,
            frames_and_duration_count_per_stream,
            a_session_s_name_that_is_taken_is_said_and_waited_for,
            backlog_takes_what_is_already_there, a_source_that_stops_is_no_loss,
            what_is_no_segment_is_named_in_one_line,
            wrong_usage_is_one_line_and_status_two, a_source_that_cannot_be_set_up_leaves_nothing,
            an_output_folder_that_cannot_be_made_is_named,
            help_and_version_are_on_stdout, info_tells_what_a_file_and_a_segment_are])
