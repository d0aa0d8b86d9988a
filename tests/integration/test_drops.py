#!/usr/bin/env python3
"""daorec drops on living segments: what was seen and lost adds up to what was published, in numbers
that are known."""
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import measured as m  # noqa: E402
from terminal import Terminal  # noqa: E402

MD_BYTES, ATIME, CNT0 = 4304, 136, 152  # of a slot, and where these lie in it


def field_writer(path, *arguments, size="16x16"):
    return h.start(h.FIELD_WRITER, path, "--size", size, "--type", "uint16", *arguments)


def go(writer):
    writer.send_signal(signal.SIGUSR1)


def done(writer):
    out, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    return out


def attach(path, *arguments):
    """Once the segment is there; returns when it is attached."""
    watching = m.Watching("--wait=30s", path, *arguments)
    watching.attached()
    return watching


def slots(path, depth):
    """(ATIME, CNT0) of every slot, in the order of the counts."""
    found = []
    with open(path, "rb") as f:
        for slot in range(depth):
            f.seek(slot * MD_BYTES)
            md = f.read(MD_BYTES)
            found.append((struct.unpack_from("<q", md, ATIME)[0],
                          struct.unpack_from("<q", md, CNT0)[0]))
    found.sort(key=lambda frame: frame[1])
    return np.array(found, dtype=np.int64)


# ---- numbers that are known ----

def a_jump_of_the_source_is_counted_and_intervals_are_those_of_the_time_stamps():
    for name, mode in (("jump", ()), ("each", ("--latency",))):
        path, depth, frames, jump = h.segment(name), 2048, 900, 77
        writer = field_writer(path, "--depth", depth, "--rate", 2000, "-n", frames, "--jump-at",
                              500, "--jump-by", jump, "--await")
        watching = attach(path, "--histogram", *mode)
        go(writer)
        done(writer)
        watching.seen(frames + jump)
        stream, = watching.end(3)["streams"]
        assert stream["expected"] == frames + jump and stream["seen"] == frames, stream
        assert stream["lost"] == stream["lost_by"]["source"] == jump, stream
        gap, = stream["gaps"]
        assert gap["first_cnt0"] == 500 and gap["count"] == jump and gap["cause"] == "source"
        assert stream["runs"] == [{"first_cnt0": 1, "last_cnt0": frames + jump,
                                   "expected": frames + jump}]
        published = slots(path, depth)[-frames:]
        assert published[0, 1] == 1 and published[-1, 1] == frames + jump
        intervals = np.diff(published[:, 0])[np.diff(published[:, 1]) == 1]
        m.same_distribution(stream["interval_ns"], intervals, m.reference_of(intervals))
        at = np.datetime64(gap["time"]).astype("datetime64[ns]").astype(np.int64)
        assert at >= published[499, 0]
        span = (published[-1, 0] - published[0, 0]) / 1e9
        assert np.isclose(stream["rate_hz"], (frames - 1) / span, rtol=1e-6)
        assert stream["latency_ns"]["count"] + stream["taken_before_atime"] == frames
        assert stream["latency_of"] == ("frame" if mode else "look")
        assert (stream["delay_ns"]["count"] == 0) == bool(mode)
        assert stream["torn"] == 0 and stream["restarts"] == 0 and stream["depth"] == depth


def a_reader_that_is_held_up_counts_what_it_has_not_seen_and_says_what_depth_it_needs():
    path, depth = h.segment("held"), 64
    writer = field_writer(path, "--depth", depth, "--rate", 2000, "-n", 0, "--await")
    watching = attach(path)
    go(writer)
    watching.seen(100)
    h.freeze(watching.process)
    begin = time.monotonic_ns()
    held = h.newest_count(path)
    h.wait_for(lambda: h.newest_count(path) > held + 5 * depth, what="laps")
    held_ns = time.monotonic_ns() - begin
    watching.process.send_signal(signal.SIGCONT)
    watching.seen(h.newest_count(path) + 100)
    writer.terminate()
    last = int(done(writer).split()[-1])  # "written N first 1 last N"
    watching.seen(last)
    stream, = watching.end(3)["streams"]
    assert stream["expected"] == last and stream["lost"] == stream["lost_by"]["lapped"], stream
    # It had seen no more than `held`, and went on within the FIFO; a busy machine may hold it up
    # once more.
    assert any(gap["first_cnt0"] <= held + 1 and
               gap["first_cnt0"] + gap["count"] > held + 4 * depth for gap in stream["gaps"]), (
        held, stream["gaps"])
    assert stream["backlog_max"] > 5 * depth
    assert stream["delay_ns"]["max"] > held_ns - 20_000_000  # less the sleep that was meant
    assert stream["is_too_shallow"] and stream["depth_needed"]["max"] > 5 * depth, stream


def held_up_until_all_is_over_it_goes_on_at_the_oldest_frame_that_is_whole():
    path, depth, frames = h.segment("over"), 128, 1000
    writer = field_writer(path, "--depth", depth, "--rate", 2000, "-n", frames, "--await")
    watching = attach(path)
    h.freeze(watching.process)
    go(writer)
    done(writer)
    watching.process.send_signal(signal.SIGCONT)
    watching.seen(frames)
    stream, = watching.end(3)["streams"]
    gap, = stream["gaps"]
    assert gap["first_cnt0"] == 1 and gap["cause"] == "lapped", gap
    assert stream["seen"] == frames - gap["count"] and stream["expected"] == frames
    # A slot is the writer's; a reader that was lapped leaves some more behind it free.
    assert frames - depth < gap["count"] <= frames - depth + 2, gap


def restarts_and_other_shapes_are_followed():
    path = h.segment("shapes")
    begins = [("8x8", 400, 300), ("8x8", 400, 200), ("12x10", 300, 250)]
    watching, total = m.Watching("--wait", path), 0
    for number, (size, depth, frames) in enumerate(begins):
        # The field's way: truncated where it stands, and filled again.
        writer = field_writer(path, "--depth", depth, "--rate", 0, "-n", frames, "--await",
                              size=size)
        watching.wait_for(lambda now: now["streams"][0]["restarts"] == number, "it to be back")
        go(writer)
        done(writer)
        total += frames
        watching.seen(total)
    os.unlink(path)
    now = watching.wait_for(lambda now: now["streams"][0]["condition"] == "gone", "it to be gone")
    assert now["streams"][0]["expected"] == total
    h.sim(path, "--size", "12x10", "--rate", 0, "--depth", 64, "-n", 50).wait(timeout=60)
    watching.seen(total + 50)
    stream, = watching.end(0)["streams"]
    assert stream["seen"] == total + 50 and stream["restarts"] == len(begins), stream
    assert [run["expected"] for run in stream["runs"]] == [300, 200, 250, 50]
    assert stream["size"] == [12, 10] and stream["depth"] == 64
    assert "another shape" in watching.errors and "removed" in watching.errors, watching.errors
    assert "waiting for" in watching.errors


def a_source_that_falls_silent_is_told():
    path, frames = h.segment("silent"), 300
    writer = field_writer(path, "--depth", 512, "--rate", 1000, "-n", frames, "--await")
    watching = attach(path)
    go(writer)
    first, = watching.seen(frames)["streams"]
    done(writer)
    assert first["rate_now_hz"] > 0, first
    now = watching.wait_for(lambda now: now["streams"][0]["condition"] == "silent"
                            and now["streams"][0]["rate_now_hz"] == 0, "silence")
    # The mean is that between the first frame and the last one, and stays.
    assert now["streams"][0]["rate_hz"] > 0 and not now["final"], now
    go_on = h.start(h.DAOREC, "sim", path, "-q", "--size", "16x16", "--type", "uint16", "--depth",
                    512, "--rate", 500, "-d", "60s")
    watching.wait_for(lambda now: now["streams"][0]["condition"] == "running"
                      and 0 < now["streams"][0]["rate_now_hz"], "frames again")
    go_on.terminate()
    watching.process.send_signal(signal.SIGINT)
    assert json.loads(watching.process.communicate(timeout=60)[0].splitlines()[-1])["final"]


def several_segments_each_have_their_own_numbers():
    paths = [h.segment(f"many{i}") for i in range(3)]
    writers = [field_writer(path, "--depth", 512, "--rate", 500, "-n", 100 * (i + 1), "--await")
               for i, path in enumerate(paths)]
    watching = m.Watching("--wait=30s", *paths)
    watching.attached()
    for writer in writers:
        go(writer)
    for writer in writers:
        done(writer)
    watching.seen(600)
    result = watching.end(0, signal.SIGTERM)
    for i, path in enumerate(paths):
        stream = m.stream_of(result, h.stream_name(path))
        assert stream["seen"] == 100 * (i + 1) and stream["segment"] == path, stream


def at_depth_1_every_frame_is_seen_or_counted():
    path = h.segment("alone")
    writer = field_writer(path, "--depth", 1, "--rate", 200, "-n", 100, "--await")
    watching = attach(path)
    go(writer)
    done(writer)
    watching.seen(100)
    watching.process.send_signal(signal.SIGINT)
    out, errors = watching.process.communicate(timeout=60)
    stream, = json.loads(out.splitlines()[-1])["streams"]
    m.balanced(stream)
    assert stream["expected"] == 100 and stream["depth"] == 1, stream
    assert watching.process.returncode == (3 if stream["lost"] else 0)


# ---- what people see ----

def the_report_says_what_the_json_says():
    path = h.segment("text")
    writer = field_writer(path, "--depth", 512, "--rate", 2000, "-n", 400, "--jump-at", 100,
                          "--jump-by", 9, "--await")
    process = h.start(h.DAOREC, "drops", "--wait=30s", "--every", "50ms", "--histogram", path)
    lines = []
    while not any(" 0 seen" in line for line in lines):  # it is attached
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    go(writer)
    done(writer)
    while " 400 seen" not in lines[-1]:
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    for word in ("400 seen of 409 expected", "9 lost", "source 9", "interval", "age", "late looks",
                 "9 frames from count 100 on", "Hz", "####"):
        assert word in out, (word, out)
    assert "/s" in lines[-1] and "fifo" in lines[-1] and "LOST 9" in lines[-1], lines
    assert "\x1b" not in out + errors + "".join(lines)
    assert max(len(line) for line in out.splitlines()[1:]) <= 80, out


def frames_of_several_laps_are_not_said_to_wait():
    path = h.segment("laps")
    writer = field_writer(path, "--depth", 2, "--rate", 0, "-n", 500, "--await")
    process = h.start(h.DAOREC, "drops", "--wait=30s", "--every", "50ms", path)
    while " 0 seen" not in process.stderr.readline():
        assert process.poll() is None
    h.freeze(process)
    go(writer)
    done(writer)
    process.send_signal(signal.SIGCONT)
    for line in process.stderr:
        assert int(re.search(r"fifo (\d+)/2", line)[1]) <= 2, line
        if "LOST" in line:
            break
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 3, errors
    assert "up to 500 frames published between two looks; 2 can wait" in out, out


def on_a_terminal_there_is_a_screen():
    path = h.segment("screen")
    h.sim(path, "--size", "8x8", "--rate", 500, "--depth", 512, "-d", "60s")
    h.wait_for(lambda: os.path.exists(path), what="the segment")
    terminal = Terminal("drops", "--wait=30s", path)
    terminal.read_until("Ctrl-C ends it", count=3)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() in (0, 3)
    text = terminal.text
    # Each is drawn over the one before: up by as many lines as that had, no message in between.
    screens = text.split("daorec drops, ")
    for before, screen in zip(screens[:-1], screens[1:]):
        lines = screen.split("\x1b[K")
        assert len(lines) <= 24 and h.stream_name(path)[:14] in screen and "FIFO" in screen, screen
        up = re.search(r"\r\x1b\[(\d+)A$", before)
        if "Ctrl-C" in before:
            assert up and int(up[1]) == before.count("\n"), (before, up)
    assert "frames" in text and "expected" in text  # the report at the end


def nothing_is_written_and_no_lock_is_taken():
    path, folder = h.segment("still"), os.path.join(h.output, "still")
    h.sim(path, "--size", "8x8", "--rate", 0, "--depth", 16, "-n", 40).wait(timeout=60)
    os.mkdir(folder)
    with open(path, "rb") as f:
        before = f.read(), os.stat(path)
    os.chmod(path, 0o444)
    run = subprocess.run([os.path.abspath(h.DAOREC), "drops", "--json", "-d", "100ms", path],
                         cwd=folder, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    with open(path, "rb") as f:
        assert f.read() == before[0]
    assert os.stat(path).st_mtime_ns == before[1].st_mtime_ns
    assert not os.listdir(folder)
    watching = attach(path)
    with open(path, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free, also of readers' locks
    watching.end(0)
    stream, = json.loads(run.stdout)["streams"]
    assert stream["expected"] == 0 and stream["rate_hz"] == 0, stream
    assert stream["interval_ns"] == {"count": 0} and stream["depth_needed"]["max"] == 0


# ---- wrong use ----

def output_that_cannot_be_written_ends_it():
    path = h.segment("unheard")
    h.sim(path, "--size", "8x8", "--rate", 500, "--depth", 4096, "-d", "90s")
    h.wait_for(lambda: os.path.exists(path), what="the segment")
    for arguments in (("--json", "--every", "20ms"), ("--every", "20ms")):
        lines = "stdout" if "--json" in arguments else "stderr"
        for to in ("pipe", "/dev/full"):
            if to == "pipe":
                read_end, write_end = os.pipe()
            else:
                read_end, write_end = None, os.open(to, os.O_WRONLY)
            process = subprocess.Popen(
                [h.DAOREC, "drops", "--wait=30s", *arguments, path], text=True,
                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, lines: write_end})
            os.close(write_end)
            if read_end is not None:
                assert os.read(read_end, 1)
                os.close(read_end)
            try:
                _, errors = process.communicate(timeout=60)
            finally:
                process.kill()
            assert process.returncode == 1, (arguments, to, process.returncode, errors)
            if lines == "stdout":
                said = [line for line in errors.splitlines() if "waiting for" not in line]
                assert len(said) == 1 and "standard output: " in said[0], (to, errors)
    # What comes at the end only: a full disk has cost it, who wanted a part of it has that.
    with open("/dev/full", "wb") as full:
        for mode in ((), ("--json",)):
            run = subprocess.run([h.DAOREC, "drops", "-d", "50ms", *mode, path], stdout=full,
                                 stderr=subprocess.PIPE, text=True, timeout=60)
            assert run.returncode == 1 and "standard output: No space" in run.stderr, run


def wrong_use_gets_one_line_and_the_right_status():
    path, text = h.segment("wrong"), os.path.join(h.output, "note.txt")
    fits_file = os.path.join(h.output, "some.fits")
    h.sim(path, "--size", "8x8", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    with open(text, "w", encoding="ascii") as f:
        f.write("no segment")
    h.fits.writeto(fits_file, np.zeros((3, 2, 2), "i2"))
    missing = os.path.join(h.output, "missing")
    os.mkdir(os.path.join(h.output, "empty"))
    table = [
        ((), 2, "give a segment"),
        ((missing,), 1, "--wait"),
        ((path, missing), 1, missing),
        ((text,), 1, "not a DAO segment"),
        ((os.path.join(h.output, "empty"),), 1, "no frames"),
        ((path, fits_file), 2, "not both"),
        (("--wait", "2s", path), 2, "--wait=2s"),
        (("--wait=200ms", missing), 1, missing),
        (("--align", "a,b", path), 2, "--align is for recordings"),
        (("--stream", "a", path), 2, "--stream is for recordings"),
        (("--tolerance", "1ms", path), 2, "--tolerance is for recordings"),
        (("--frame-axis", 1, path), 2, "--frame-axis is for recordings"),
        (("-d", "1s", fits_file), 2, "--duration is for segments"),
        (("--every", "1s", fits_file), 2, "--every is for segments"),
        (("--latency", fits_file), 2, "--latency is for segments"),
        (("--wait", fits_file), 2, "--wait is for segments"),
        (("--tolerance", "1ms", fits_file), 2, "--tolerance goes with --align"),
        (("--align", "a", fits_file), 2, "give two streams"),
        (("--align", "a,b,c", fits_file), 2, "give two streams"),
        (("--align", "a,b", fits_file), 2, "no two such streams"),
        (("--stream", "a,,b", fits_file), 2, "separated by commas"),
        (("--stream", "nobody", fits_file), 1, "nobody"),
        (("--gaps", "many", path), 2, "--gaps"),
        (("--gaps", -1, path), 2, "--gaps"),
        (("--every", "1us", path), 2, "--every"),
        (("--duration", "0", path), 2, "--duration"),
        (("--json=1", path), 2, "--json"),
        (("--latencies", path), 2, "--latency"),
    ]
    for arguments, status, words in table:
        run = subprocess.run([h.DAOREC, "drops", *[str(a) for a in arguments]],
                             capture_output=True, text=True, timeout=60)
        lines = run.stderr.splitlines()
        assert run.returncode == status, (arguments, run.returncode, run.stdout, run.stderr)
        assert words in lines[-1], (arguments, lines)
        assert len([line for line in lines if "waiting for" not in line]) == 1, (arguments, lines)


def the_end_may_be_asked_for_while_a_segment_is_waited_for():
    process = h.start(h.DAOREC, "drops", "--wait", h.segment("never"))
    line = process.stderr.readline()
    assert "waiting for" in line, line
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0


if __name__ == "__main__":
    h.main([a_jump_of_the_source_is_counted_and_intervals_are_those_of_the_time_stamps,
            a_reader_that_is_held_up_counts_what_it_has_not_seen_and_says_what_depth_it_needs,
            held_up_until_all_is_over_it_goes_on_at_the_oldest_frame_that_is_whole,
            restarts_and_other_shapes_are_followed,
            a_source_that_falls_silent_is_told,
            several_segments_each_have_their_own_numbers,
            at_depth_1_every_frame_is_seen_or_counted,
            the_report_says_what_the_json_says,
            frames_of_several_laps_are_not_said_to_wait,
            on_a_terminal_there_is_a_screen,
            nothing_is_written_and_no_lock_is_taken,
            output_that_cannot_be_written_ends_it,
            wrong_use_gets_one_line_and_the_right_status,
            the_end_may_be_asked_for_while_a_segment_is_waited_for])
