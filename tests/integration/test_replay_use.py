#!/usr/bin/env python3
"""What can be asked of a replay, how it ends, what it refuses, and files of others."""
import fcntl
import os
import signal
import subprocess
import sys
import time

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from python_face import shm  # noqa: E402
from replays import Replay, of  # noqa: E402
from source import MD_BYTES  # noqa: E402
from terminal import Terminal  # noqa: E402

BEGIN = 1_700_000_000 * 10**9
BLOCK = 2880


def card(name, value):
    return f"{name:<8}= {value:>20}".ljust(80).encode()


def padded(data, fill):
    return data + fill * (-len(data) % BLOCK)


def unit(cards, is_first):
    head = card("SIMPLE", "T") if is_first else b"XTENSION= 'IMAGE   '".ljust(80)
    tail = card("EXTEND", "T") if is_first else card("PCOUNT", "0") + card("GCOUNT", "1")
    return padded(head + b"".join(cards[:-1]) + tail + cards[-1] + b"END".ljust(80), b" ")


def frame_units(path, count, per_second=1000, gap_at=None):
    """A file with one image unit a frame, as DAO extraction tools write it: 6 x 8 of int16, the
    frame's index in every pixel; counts from 101 on, and 10 missing before frame gap_at."""
    with open(path, "wb") as f:
        for i in range(count):
            count0 = 101 + i + (10 if gap_at is not None and i >= gap_at else 0)
            f.write(unit([card("BITPIX", "16"), card("NAXIS", "2"), card("NAXIS1", "8"),
                          card("NAXIS2", "6"),
                          card("CNT0", count0) + card("ATIME", BEGIN + i * 10**9 // per_second)],
                         i == 0))
            f.write(padded(np.full(48, i % 30000, ">i2").tobytes(), b"\0"))
    return path


def temporary(name):
    return os.path.join(h.output, name)


def replay(*arguments, hold=False, **options):
    return Replay("-q", *arguments, hold=hold, **options)


def play(*arguments, status=0):
    return replay(*arguments).finish(status)


def first_count(path):
    """The count in slot 0, from the file's bytes: it may be in the making."""
    with open(path, "rb") as f:
        f.seek(152)
        return int.from_bytes(f.read(8), "little")


def stamps(path, depth):
    """When each frame was published, in order."""
    with open(path, "rb") as f:
        head = f.read(depth * MD_BYTES)
    found = (int.from_bytes(head[at + 136:at + 144], "little", signed=True)
             for at in range(0, len(head), MD_BYTES))
    return sorted(time_ns for time_ns in found if time_ns > BEGIN)  # one slot has that of the seed


# ---- which frames, how fast, where to ----

def fifty_thousand_units_are_played_in_a_moment():
    file, to = frame_units(temporary("units.fits"), 50000), h.segment("units")
    summary = play(file, "--to", to, "--asap")
    played = summary["streams"][0]
    assert (played["frames"], played["cnt0_first"], played["cnt0_last"]) == (50000, 101, 50100)
    assert played["missed"] is None and played["late_ns"] is None
    with shm(to) as segment:
        assert segment.shape == (6, 8) and segment.dtype == np.int16
        assert segment.get_counter() == 50100 and (segment.get_data() == 49999 % 30000).all()
    os.unlink(file)


def ranges_are_half_open():
    file = frame_units(temporary("range.fits"), 100)
    for arguments, first, last in (
            (["--from", "10", "--until", "20"], 111, 120),
            (["--from", "cnt0:150"], 150, 200),
            (["--until", "cnt0:150"], 101, 149),
            (["--from", "+50ms", "--until", "+0.06s"], 151, 160),
            (["--from", "2023-11-14T22:13:20.09"], 191, 200),
            (["--until", "2023-11-14T22:13:20.01Z"], 101, 110),
            (["--from", "22:13:20.05", "--until", "22:13:20.06"], 151, 160)):
        to = h.segment(f"range{first}to{last}")  # what is there is watched for a second
        played = play(file, "--to", to, "--asap", *arguments)["streams"][0]
        assert (played["cnt0_first"], played["cnt0_last"]) == (first, last), arguments
        assert played["frames"] == last - first + 1
        with shm(to) as segment:
            assert segment.get_counter() == last
            assert (segment.get_data() == last - 101).all()


def the_pace_is_as_recorded_or_as_asked_for():
    """A busy machine may be late, and must then say by how much."""
    file, depth = frame_units(temporary("pace.fits"), 200, per_second=1000), 256
    for number, (arguments, interval_ns) in enumerate((
            ([], 1_000_000), (["--speed", "4"], 250_000), (["--speed", "0.5"], 2_000_000),
            (["--rate", "2000"], 500_000))):
        to, due_ns = h.segment(f"pace{number}"), 199 * interval_ns
        summary = play(file, "--to", to, "--depth", depth, *arguments)
        played, times = summary["streams"][0], stamps(to, depth)
        assert played["frames"] == len(times) == 200, (played, len(times))
        assert summary["elapsed_s"] >= due_ns / 1e9, (arguments, summary)
        took_ns, late_ns = times[-1] - times[0], played["late_ns"]["max"]
        slack_ns = due_ns // 1000  # of the clock of the stamps, which may be slewed
        assert due_ns - late_ns - slack_ns <= took_ns, (arguments, took_ns, summary)
        assert took_ns <= due_ns + late_ns + summary["held_s"] * 1e9 + slack_ns, (
            arguments, took_ns, summary)
        # Missed is what is later than an interval; than a millisecond while none is known.
        if played["missed"]:
            assert late_ns > min(interval_ns, 1_000_000) * 0.99, (arguments, summary)
        else:
            assert late_ns < max(interval_ns, 1_000_000) * 1.01, (arguments, summary)


def a_gap_takes_time_or_none():
    file = frame_units(temporary("gap.fits"), 50, gap_at=25)
    options = ("--to", h.segment("gap"), "--asap", "--remove")
    assert play(file, *options)["streams"][0]["cnt0_last"] == 160
    assert play(file, *options, "--gaps", "close")["streams"][0]["cnt0_last"] == 150


def the_depth_and_the_name_can_be_chosen():
    name = f"where_{os.getpid()}"  # semaphores are named by it
    file = frame_units(temporary(name + ".fits"), 20)
    folder = os.path.join(h.segments, "folder")
    os.mkdir(folder)
    for arguments, path, depth in (
            (["--to", h.segment("to"), "--depth", "3"], h.segment("to"), 3),
            (["--prefix", folder + "/"], os.path.join(folder, name + ".im.shm"), 64),
            (["--prefix", h.segments + "/p_"], h.segments + f"/p_{name}.im.shm", 64)):
        process = Replay(file, "--asap", "--remove", *arguments)
        with shm(path) as segment:
            assert segment.depth == depth
            process.begin()
            process.finish()
            assert segment.image.md[19 % depth].cnt0 == 120
        assert not os.path.exists(path)
        assert not os.path.exists(f"/dev/shm/sem.{h.stream_name(path)}_sem00")


def cubes_of_others_are_played_at_a_rate():
    kinds = ("uint16", True), ("float64", False), ("int32", False)
    for number, (dtype, bzero) in enumerate(kinds):
        cube = np.arange(7 * 5 * 3).reshape(7, 5, 3).astype(dtype)
        file, to = temporary(f"cube{number}.fits"), h.segment(f"cube{number}")
        fits.PrimaryHDU(cube).writeto(file)
        assert ("BZERO" in fits.getheader(file)) == bzero
        summary = play(file, "--to", to, "--rate", "500")
        assert summary["streams"][0]["frames"] == 7
        with shm(to) as segment:
            assert segment.dtype == cube.dtype
            assert np.array_equal(segment.get_data(), cube[-1])
            assert np.array_equal(segment.get_history(5), cube[2:])
    play(file, "--to", to, "--asap", "--frame-axis", "1")
    with shm(to) as segment:
        assert np.array_equal(segment.get_data(), cube[:, :, 2])


def one_stream_of_several_can_be_chosen():
    paths = [h.segment("one"), h.segment("two")]
    sims = [h.sim(p, "--size", "4x4", "--rate", 500, "--depth", 256, "-d", "60s") for p in paths]
    session = h.finish(h.record("--wait=20s", "-n", 30, *paths))
    for source in sims:
        source.terminate()
        source.wait()
    name, to = h.stream_name(paths[1]), h.segment("chosen")
    summary = play(session.folder, "--asap", "--stream", name, "--to", to)
    assert [s["name"] for s in summary["streams"]] == [name]
    assert of(summary, paths[1])["frames"] == 30
    summary = play(session.folder, "--asap")  # to where they were
    assert sorted(s["segment"] for s in summary["streams"]) == sorted(paths)
    error = refused(session.folder, "--to", to, status=2)
    assert "--prefix" in error and "2 streams" in error
    error = refused(session.folder, "--stream", f"three,{name}", "--to", to, status=1)
    assert "'three'" in error and name in error


# ---- by hand ----

def steps_are_taken_at_keys():
    file, to = frame_units(temporary("step.fits"), 50), h.segment("step")
    terminal = Terminal("replay", file, "--to", to, "--step")
    terminal.read_until("next frame")
    with shm(to) as segment:
        assert segment.get_counter() == 100 and len(segment.get_history(1)) == 0
        for count, keys in ((101, b" "), (102, b"\x1b[C"), (105, b"   "), (106, b"\x1bOC")):
            terminal.press(keys)
            terminal.read_until(f"frame {count - 101} (0 to 49), count {count}")
            assert segment.get_counter() == count
        terminal.press(b"\x1b[D")
        terminal.read_until("cannot be taken back")
        assert segment.get_counter() == 106
    terminal.press(b"q")
    assert terminal.wait() == 0


# ---- when something goes wrong meanwhile ----

def a_replay_that_was_suspended_goes_on_with_its_distances():
    file, to = frame_units(temporary("held.fits"), 2000), h.segment("held")
    process = Replay(file, "--to", to)
    with shm(to) as segment:
        process.begin()
        h.wait_for(lambda: segment.get_counter() > 200, what="frames")
        h.freeze(process.process)
        time.sleep(0.3)
        process.process.send_signal(signal.SIGCONT)
        summary = process.finish()
    assert summary["held_s"] >= 0.25 and summary["elapsed_s"] >= 1.999 + 0.25, summary
    assert summary["streams"][0]["frames"] == 2000 and summary["streams"][0]["missed"] >= 1


def a_segment_that_vanishes_ends_it_with_an_error():
    file = frame_units(temporary("vanish.fits"), 3000)
    for how in (os.unlink, lambda path: os.truncate(path, 100)):
        to = h.segment("vanish")
        process = Replay(file, "--to", to)
        process.begin()
        with shm(to) as segment:
            h.wait_for(lambda: segment.get_counter() > 110, what="frames")
        how(to)
        summary = process.finish(status=1)
        assert 0 < summary["streams"][0]["frames"] < 3000
        assert to in process.errors() and "truncated, removed or replaced" in process.errors()
        if os.path.exists(to):
            os.unlink(to)


def frames_that_cannot_be_read_are_counted():
    file, to = temporary("cut.fits"), h.segment("cut")
    fits.PrimaryHDU(np.zeros((2000, 64, 64), "int16")).writeto(file)
    process = Replay(file, "--to", to, "--asap", "--buffer", "64KiB")
    os.truncate(file, BLOCK + 1000 * 64 * 64 * 2)
    process.begin()
    played = process.finish(status=3)["streams"][0]
    assert played["frames"] + played["unreadable"] == 2000, played
    assert 0 < played["frames"] <= 1000, played
    assert len([e for e in process.errors().splitlines() if "left out" in e]) == 1


def memory_is_bounded_whatever_the_file():
    """2 GB, all holes: what is read ahead and a few buffers are all that may be taken."""
    file, to = temporary("holes.fits"), h.segment("holes")
    with open(file, "wb") as f:
        f.write(padded(b"".join([card("SIMPLE", "T"), card("BITPIX", "16"), card("NAXIS", "3"),
                                 card("NAXIS1", "1024"), card("NAXIS2", "512"),
                                 card("NAXIS3", "2000"), b"END".ljust(80)]), b" "))
        f.truncate(BLOCK + 2000 * 1024 * 1024 + BLOCK - 2000 * 1024 * 1024 % BLOCK)
    process = Replay(file, "--to", to, "--asap", "--depth", "4", "--buffer", "8MiB", "--loop", "0")
    with shm(to) as segment:
        process.begin()
        h.wait_for(lambda: segment.get_counter() > 2500, what="frames")
        with open(f"/proc/{process.process.pid}/status", encoding="ascii") as f:
            most = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    process.process.send_signal(signal.SIGINT)
    process.finish()
    assert most < 40 * 1024, f"{most} KiB"
    os.unlink(file)


def a_signal_before_the_beginning_is_no_error():
    file, to = frame_units(temporary("early.fits"), 10), h.segment("early")
    for number in (signal.SIGINT, signal.SIGTERM):
        process = Replay(file, "--to", to)
        process.process.send_signal(number)
        assert process.finish()["streams"][0]["frames"] == 0


def the_summary_says_how_it_ended():
    file, to = frame_units(temporary("how.fits"), 3000), h.segment("how")
    process = Replay(file, "--to", to, json=False)
    process.begin()
    with shm(to) as segment:
        h.wait_for(lambda: segment.get_counter() > 110, what="frames")
    os.unlink(to)
    assert "\nended after " in process.told(status=1)
    for is_watched in (False, True):  # what is there is watched for a second first
        process = Replay(file, "--to", to, hold=not is_watched, json=False)
        if is_watched:
            h.wait_for(lambda: caught(process.process.pid, signal.SIGINT), what="a handler")
        process.process.send_signal(signal.SIGINT)
        text = process.told()
        assert ": 0 frames," in text and "\nstopped after " in text, text
    assert "\ndone after " in Replay(file, "--to", to, "--asap", hold=False, json=False).told()


def caught(pid, number):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        mask = next(int(line.split()[1], 16) for line in f if line.startswith("SigCgt"))
    return mask & 1 << number - 1


# ---- what is refused: one line, the right status, nothing written ----

def refused(*arguments, status):
    run = subprocess.run([h.DAOREC, "replay", *map(str, arguments)], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, timeout=60)
    assert run.returncode == status, (arguments, run.returncode, run.stderr)
    lines = [line for line in run.stderr.splitlines() if line]
    assert len(lines) == 1 and not run.stdout, (arguments, run.stderr)
    return lines[0]


def wrong_usage_is_one_line_and_nothing_is_made():
    file, to = frame_units(temporary("usage.fits"), 10), h.segment("usage")
    cube = temporary("timeless.fits")
    fits.PrimaryHDU(np.zeros((3, 4, 5), "int16")).writeto(cube)
    text = temporary("notes.txt")
    with open(text, "w", encoding="utf-8") as f:
        f.write("notes\n")
    empty = temporary("empty")
    os.mkdir(empty)
    cases = [
        ([], 2, ["which recording"]),
        ([file], 2, ["usage", "--to"]),
        ([file, "--to", ""], 2, ["--to"]),
        ([file, "--prefix", ""], 2, ["--prefix"]),
        ([file, "--to", to, "--prefix", "x"], 2, ["--to", "--prefix"]),
        ([file, "--to", to, "--asap", "--rate", "5"], 2, ["--asap", "--rate"]),
        ([file, "--to", to, "--step", "--speed", "5"], 2, ["--step", "--speed"]),
        ([file, "--to", to, "--step"], 2, ["--step", "terminal"]),
        ([file, "--to", to, "--rate", "0"], 2, ["rate", "0"]),
        ([file, "--to", to, "--rate", "fast"], 2, ["rate", "fast"]),
        ([file, "--to", to, "--speed", "-1"], 2, ["speed", "-1"]),
        ([file, "--to", to, "--depth", "0"], 2, ["depth", "0"]),
        ([file, "--to", to, "--gaps", "fill"], 2, ["fill", "keep", "close"]),
        ([file, "--to", to, "--atime", "then"], 2, ["then", "now", "recorded"]),
        ([file, "--to", to, "--from", "yesterday"], 2, ["yesterday", "cnt0:N"]),
        ([file, "--to", to, "--until", "cnt0:"], 2, ["cnt0:", "--until"]),
        ([file, "--to", to, "--from", "2100-01-01T00:00:00"], 1,
         ["no frame", "--from", "; the recording is from 20", " to 20"]),
        ([file, "--to", to, "--stream", "a,,b"], 2, ["--stream"]),
        ([file, "--to", to, "--stream", "wfs"], 1, ["wfs"]),
        ([file, "--to", to, "--loops", "2"], 2, ["loops", "loop"]),
        ([file, "--to", to, "--cpu", "999"], 2, ["999"]),
        ([file, "--to", to, "--from", "20", "--asap"], 1, ["--from"]),
        ([cube, "--to", to], 2, ["timeless", "--rate"]),
        ([cube, "--to", to, "--rate", "5", "--from", "+1s"], 2, ["timeless"]),
        ([cube, "--to", to, "--rate", "5", "--frame-axis", "7"], 2, ["7"]),
        ([text, "--to", to], 1, [text]),
        ([empty, "--to", to], 1, [empty]),
        ([temporary("missing.fits"), "--to", to], 1, ["missing.fits"]),
        ([file, "--to", os.path.join(h.segments, "no", "x.im.shm")], 1, ["/no/"]),
        ([file, "--to", h.segments], 1, [h.segments]),
        ([file, "--to", text, "--asap"], 1, [text]),
        ([file, "--to", to, "--depth", "4000000000"], 1, [to]),
    ]
    before = sorted(os.listdir(h.segments))
    for arguments, status, words in cases:
        line = refused("-q", *arguments, status=status)
        for word in words:
            assert word in line, (word, line)
    assert sorted(os.listdir(h.segments)) == before
    base = h.stream_name(to)
    assert not [name for name in os.listdir("/dev/shm") if base in name]
    with open(text, encoding="utf-8") as f:
        assert f.read() == "notes\n"


def a_segment_with_a_live_writer_is_not_touched():
    file, path = frame_units(temporary("live.fits"), 10), h.segment("live")
    source = h.sim(path, "--size", "4x4", "--rate", 100, "--depth", 8, "-d", "60s")
    h.wait_for(lambda: os.path.exists(path), what="a segment")
    error = refused("-q", file, "--to", path, status=1)
    assert "holds its writer's lock" in error and path in error
    source.terminate()
    source.wait()
    os.truncate(path, 0)
    writer = h.start(h.FIELD_WRITER, path, "--size", "4x4", "--type", "uint16", "--depth", 8,
                     "--rate", 50, "-n", 0)
    h.wait_for(lambda: first_count(path) > 8, what="frames")
    assert "count is moving" in refused("-q", file, "--to", path, status=1)
    with shm(path) as segment:
        assert segment.shape == (4, 4)
    writer.terminate()
    writer.wait()
    play(file, "--to", path, "--asap")
    with shm(path) as segment:
        assert segment.shape == (6, 8) and segment.get_counter() == 110
    # ... nor does another program write while a replay does
    process = Replay(file, "--to", path)
    with open(path, "rb") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            raise AssertionError("the writer's lock was free")
        except BlockingIOError:
            pass
    assert "lock" in refused("-q", file, "--to", path, status=1)
    process.begin()
    process.finish()


if __name__ == "__main__":
    h.main([fifty_thousand_units_are_played_in_a_moment, ranges_are_half_open,
            the_pace_is_as_recorded_or_as_asked_for, a_gap_takes_time_or_none,
            the_depth_and_the_name_can_be_chosen, cubes_of_others_are_played_at_a_rate,
            one_stream_of_several_can_be_chosen, steps_are_taken_at_keys,
            a_replay_that_was_suspended_goes_on_with_its_distances,
            a_segment_that_vanishes_ends_it_with_an_error, frames_that_cannot_be_read_are_counted,
            memory_is_bounded_whatever_the_file, a_signal_before_the_beginning_is_no_error,
            the_summary_says_how_it_ended,
            wrong_usage_is_one_line_and_nothing_is_made,
            a_segment_with_a_live_writer_is_not_touched])
