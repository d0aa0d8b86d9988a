#!/usr/bin/env python3
"""Writers at their worst: other shapes, killed in mid-frame, silent, clocks and counts that jump,
a damaged depth, two at once. What is lost is stated exactly wherever it can be known."""
import ctypes
import os
import resource
import struct
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402
from source import (  # noqa: E402
    MD_BYTES, Source, asked, check_files, files_of, lines, recording, rows_there, told,
    wait_for_count)

# ---- shapes ----

GAIN = (b"GAIN", b"L", 7, b"camera gain")


def every_change_of_shape_goes_on_in_a_new_file_and_disturbs_no_other_stream():
    path, other = h.segment("shapes"), h.segment("steady")
    frames = 30
    shapes = [dict(), dict(dtype="f4"), dict(dtype="f4", depth=80), dict(shape=(30,), dtype="f4"),
              dict(shape=(2, 3, 5), dtype="c8"), dict(keywords=[GAIN]),
              dict(keywords=[(b"GAIN", b"L", 8)]),
              dict(shape=(5, 6), keywords=[GAIN], in_place=True),
              dict(shape=(6, 5), keywords=[GAIN], in_place=True)]
    steady = h.sim(other, "--size", "16x16", "--type", "uint16", "--rate", 1000, "--depth", 4096,
                   "--pattern", "ramp", "-d", "60s")
    Source(path)
    recorder = recording("--roll-frames", 5000, path, other)
    for number, shape in enumerate(shapes, 1):
        source = Source(path, **shape)
        source.publish()
        h.wait_for(lambda: len(files_of(path)) == number, what=f"file {number}")
        source.publish_many(frames - 1)
        if number < len(shapes) and shapes[number].get("in_place"):
            h.wait_for(lambda: rows_there(path, number) == frames, what="all of it to be taken")
        else:
            time.sleep(0.1)
    recorder.terminate()
    session = h.finish(recorder)
    steady.terminate()
    assert session.status == 0, session.errors
    found, ledger = check_files(session, path), session.ledger_of(path)
    assert len(found) == len(shapes) == len(ledger["geometries"]) + 1
    for (header, cube, rows), shape in zip(found, shapes):
        assert list(rows["CNT0"]) == list(range(1, frames + 1))
        assert cube.shape[1:] == shape.get("shape", (6, 5)), cube.shape
        assert cube.dtype == shape.get("dtype", "u2")
        assert header["FIFOSIZE"] == shape.get("depth", 64)
        assert rows["FLAGS"][0] == h.FLAG["RESET"] and not rows["FLAGS"][1:].any()
    gains = [h.fits.getdata(f, "SHMKW")["LVAL"] for f in session.stream(path)["files"]]
    assert [list(g) for g in gains] == [[]] * 5 + [[7], [8], [7], [7]], gains
    causes = [header["ENDCAUSE"] for header, _, _ in found]
    assert causes == ["RESHAPE"] * 5 + ["SHMGONE", "RESHAPE", "RESHAPE", "SIGNAL"], causes
    assert [header["NEXTFILE"] != "" for header, _, _ in found] == [True] * 8 + [False]
    assert [g["first_file"] for g in ledger["geometries"]] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert ledger["geometry"]["size"] == [6, 5] and ledger["restarts"] == len(shapes)
    assert [r["expected"] for r in ledger["runs"]] == [0] + [frames] * len(shapes)
    assert 1 <= told(session, "in another shape") < len(shapes), session.errors
    mine = session.stream(other)
    assert mine["lost"] == 0 and session.ledger_of(other)["restarts"] == 0, mine
    h.check_stream(session, other, (16, 16), "uint16")


def frames_larger_than_all_the_memory_before_are_recorded():
    all_shapes = [(64, 64), (700, 700), (3,), (1000, 1100), (64, 64)]
    for shapes, options in ((all_shapes, ()), (all_shapes[:3], ("--io", "pwrite", "--no-direct"))):
        path = h.segment(f"larger{len(options)}")
        Source(path, shapes[0], depth=16)
        recorder = recording("--buffer", "1MiB", *options, path)
        for number, shape in enumerate(shapes, 1):
            source = Source(path, shape, depth=16)
            source.publish()
            h.wait_for(lambda: len(files_of(path)) == number, what=f"file {number}")
            source.publish_many(4, pause=0.02)
            time.sleep(0.05)
        recorder.terminate()
        session = h.finish(recorder)
        found = check_files(session, path)
        assert [cube.shape[1:] for _, cube, _ in found] == shapes
        assert session.stream(path)["expected"] == 5 * len(shapes)
        assert session.stream(path)["recorded"] + session.stream(path)["lost_by"]["disk"] + \
            session.stream(path)["lost_by"]["lapped"] == 5 * len(shapes)


def a_shape_too_large_for_memory_or_disk_ends_its_stream_alone():
    memory, disk, other = h.segment("memory"), h.segment("disk"), h.segment("unharmed")
    for path in (memory, disk):
        Source(path)
    steady = h.sim(other, "--size", "16x16", "--type", "uint16", "--rate", 500, "--depth", 4096,
                   "--pattern", "ramp", "-d", "60s")
    limit = 8 << 20
    recorder = f.start(
        h.output, "--wait=20s", "--roll-size", "4MiB", memory, disk, other,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.process.pid}/task")) >= 6, what="threads")
    Source(memory, (1 << 18, 1 << 18), "f8", depth=1)  # half a terabyte, all holes
    Source(disk + ".made", (3000, 3000), "u1", depth=2).publish()
    os.rename(disk + ".made", disk)
    recorder.says("cannot be recorded: no memory for")
    recorder.says("cannot be recorded: a file of one")
    h.wait_for_frames(other, 500, "frames that go on")
    recorder.process.terminate()
    session = h.finish(recorder.process, failed=True, errors=recorder.errors)
    steady.terminate()
    assert len(lines(session, memory, "cannot be recorded: no memory for")) == 1, session.errors
    assert len(lines(session, disk, "cannot be recorded: a file of one")) == 1, session.errors
    assert session.stream(memory)["expected"] == 0
    assert session.stream(disk)["expected"] == session.stream(disk)["lost"] == 1
    mine = session.stream(other)
    assert mine["lost"] == 0 and mine["recorded"] > 400, mine


# ---- writers that die ----

def has_write_flag(path):
    with open(path, "rb") as f:
        head = f.read()
    depth = struct.unpack_from("<I", head, 4296)[0]
    return any(head[slot * MD_BYTES + 176] for slot in range(depth))


SIZE = ("--size", "64x64", "--type", "uint16", "--depth", 24)


def field_writer(path, *more):
    return h.start(h.FIELD_WRITER, path, *SIZE, "--rate", 0, "-n", 0, *more)


def our_writer(path):
    return h.sim(path, *SIZE, "--rate", 0, "--pattern", "ramp", "-d", "60s")


def killed(process, random):
    """Somewhere in a frame: it does nothing but write frames."""
    time.sleep(random.random() * 0.02)
    process.kill()
    process.wait()


def what_writers_killed_in_mid_frame_had_published_is_all_in_the_books():
    random = np.random.default_rng(1)
    for name, begin, kills in (("field", field_writer, 6), ("ours", our_writer, 3)):
        path = h.segment(f"killed{name}")
        Source(path, (64, 64), depth=24)
        recorder = asked(path)
        newest, flags = [], 0
        for _ in range(kills):
            process = begin(path)
            h.wait_for(lambda: h.newest_count(path) not in (0, *newest[-1:]), what="frames")
            killed(process, random)
            newest.append(h.newest_count(path))
            flags += has_write_flag(path)
            # The last one may stay under its flag: then a look at it is all that can be had.
            wait_for_count(recorder, path, sum(newest) - 1)
            time.sleep(0.15)
        recorder.terminate()
        session = h.finish(recorder)
        check_files(session, path)
        runs = session.ledger_of(path)["runs"]
        assert [r["last_cnt0"] for r in runs if r["expected"]] == newest, (runs, newest, name)
        assert all(r["first_cnt0"] == 1 for r in runs), runs
        print(f"        {name}: {len(newest)} kills, {flags} with a write flag left up, "
              f"{session.stream(path)['recorded']} frames recorded")


def a_writer_killed_and_going_on_in_its_segment_is_one_run():
    path = h.segment("goeson")
    random = np.random.default_rng(2)
    Source(path, (64, 64), depth=24)
    recorder = recording(path)
    for _ in range(3):
        process = field_writer(path, "--hold")
        h.wait_for_frames(path, 0)
        killed(process, random)
    newest = h.newest_count(path)
    recorder.terminate()
    session = h.finish(recorder)
    found = check_files(session, path)
    ledger = session.ledger_of(path)
    assert ledger["restarts"] == 0 and ledger["expected"] == newest, (ledger["runs"], newest)
    counts = np.concatenate([rows["CNT0"] for _, _, rows in found])
    assert (np.diff(counts) > 0).all()


# ---- silence, clocks, counts ----

def cpu_seconds(process):
    return time.clock_gettime((~process.pid << 3) | 2)


silent = {}


def a_source_falls_silent():
    """In a recording of its own, that goes on while the other tests run."""
    silent["path"] = h.segment("silent")
    silent["source"] = Source(silent["path"])
    silent["recorder"] = recording(silent["path"])
    silent["source"].publish_many(20)
    time.sleep(0.1)
    silent["since"] = time.monotonic(), cpu_seconds(silent["recorder"])


def a_silent_source_costs_little_and_is_told_once():
    if not silent:
        a_source_falls_silent()
    path, recorder, since = silent["path"], silent["recorder"], silent["since"]
    time.sleep(max(0.0, 6.0 - (time.monotonic() - since[0])))
    lasted, used = time.monotonic() - since[0], cpu_seconds(recorder) - since[1]
    silent["source"].publish_many(20)
    time.sleep(0.7)
    recorder.terminate()
    session = h.finish(recorder)
    assert used < 0.2 * lasted, f"{used} s of CPU in {lasted} silent seconds"
    assert len(lines(session, path, "no new frame for")) == 1, session.errors
    assert len(lines(session, path, "frames again after")) == 1, session.errors
    assert session.stream(path)["expected"] == session.stream(path)["recorded"] == 40
    print(f"        {used:.2f} s of CPU in {lasted:.0f} silent seconds")


def clocks_and_counts_that_jump_and_a_damaged_depth_are_counted_exactly():
    clock, counts, depth = (h.segment(n) for n in ("clock", "counts", "fifo"))
    sources = {path: Source(path, depth=256) for path in (clock, counts, depth)}  # none is lapped
    recorder = recording(clock, counts, depth)
    hour, far = 3600 * 10**9, 3 * 10**9
    offsets = [0] * 20 + [hour] * 20 + [0] * 20 + [-hour] * 20
    jumps = [*range(1, 21), *range(26, 41), *range(far + 41, far + 61), *range(far + 51, far + 71),
             *range(1, 31)]
    for frame in range(max(len(offsets), len(jumps))):
        if frame < len(offsets):
            sources[clock].publish(atime=time.time_ns() + offsets[frame])
        if frame < len(jumps):
            sources[counts].publish(jumps[frame])
        if frame == 30:  # packet id 512: the frame number over fifo_size and fifo_last_written
            sources[depth].store(ctypes.c_uint64, 4296, 31)
        if frame == 60:
            sources[depth].store(ctypes.c_uint32, 4296, 0xFFFFFFFF)
        if frame == 90:
            sources[depth].store(ctypes.c_uint32, 4296, 256)
        sources[depth].publish()
        time.sleep(0.004)
    time.sleep(0.7)
    recorder.terminate()
    session = h.finish(recorder)
    check_clock(session, clock, offsets)
    check_counts(session, counts, far)
    mine = session.stream(depth)
    assert mine["expected"] == mine["recorded"] == sources[depth].count, mine
    assert session.ledger_of(depth)["restarts"] == 0
    check_files(session, depth)


def check_clock(session, path, offsets):
    found = check_files(session, path)
    rows = np.concatenate([rows for _, _, rows in found])
    assert len(rows) == len(offsets) and session.stream(path)["lost"] == 0
    back = [i for i in range(1, len(offsets)) if offsets[i] < offsets[i - 1]]
    assert list(np.flatnonzero(rows["FLAGS"] & h.FLAG["BADTIME"])) == back, rows["FLAGS"]
    assert list(np.flatnonzero(np.isnan(rows["TIME"]))) == back
    for header, _, part in found:
        file = next(f for f in session.stream(path)["files"]
                    if h.fits.getheader(f)["FILESEQ"] == header["FILESEQ"])
        dateref = h.fits.getheader(file, "FRAMES")["DATEREF"]
        reference = int(np.datetime64(dateref, "ns").astype(np.int64))
        good = ~np.isnan(part["TIME"])
        assert np.allclose(part["TIME"][good], (part["ATIME"][good] - reference) / 1e9, atol=1e-6)


def check_counts(session, path, far):
    rows = np.concatenate([rows for _, _, rows in check_files(session, path)])
    mine, ledger = session.stream(path), session.ledger_of(path)
    assert mine["lost"] == mine["lost_by"]["source"] == 5, (mine, ledger["runs"], ledger["gaps"])
    assert mine["recorded"] == len(rows) == 105
    runs = [(r["first_cnt0"], r["last_cnt0"]) for r in ledger["runs"]]
    assert runs == [(1, 40), (far + 41, far + 60), (far + 51, far + 70), (1, 30)], runs
    assert len(ledger["gaps"]) == 1 and ledger["gaps"][0]["first_cnt0"] == 21
    jumped = np.flatnonzero(rows["LOST"])
    assert list(rows["CNT0"][jumped]) == [26] and rows["FLAGS"][jumped[0]] == h.FLAG["GAP"]
    reset = rows["CNT0"][rows["FLAGS"] & h.FLAG["RESET"] != 0]
    assert list(reset) == [far + 41, far + 51, 1], reset
    assert 1 <= len(lines(session, path, "count anew")) <= 2, session.errors


# ---- removed again and again, two at once ----

def a_segment_removed_and_created_again_is_said_once_and_counted_exactly():
    path = h.segment("removed")
    source, published = Source(path), []
    recorder = recording(path)
    for _ in range(5):
        source.publish_many(15)
        h.wait_until_open(recorder, path)
        published.append(source.count)
        os.unlink(path)
        time.sleep(0.25)
        source = Source(path)
    h.wait_until_open(recorder, path)
    recorder.terminate()
    session = h.finish(recorder)
    check_files(session, path)
    ledger = session.ledger_of(path)
    assert [r["expected"] for r in ledger["runs"]] == published + [0], ledger["runs"]
    assert session.stream(path)["lost"] == 0
    assert len(lines(session, "was removed, replaced or truncated")) <= 1, session.errors
    assert 1 <= told(session, "is back") <= 5, session.errors


def what_came_and_went_while_it_was_prepared_for_is_counted():
    """Other shapes, opened, published and gone within milliseconds, perhaps before their first
    frame can have been taken; the last of them at the very end."""
    replaced, truncated = h.segment("replaced"), h.segment("truncated")
    for path in (replaced, truncated):
        Source(path, (16, 16))
    recorder = recording(replaced, truncated)
    published = 0
    for number in range(6):
        shape = (20 + 4 * number, 16)
        sources = [Source(replaced, shape, keywords=[GAIN]),
                   Source(truncated, shape, in_place=True)]
        for path in (replaced, truncated):
            h.wait_until_open(recorder, path)
        for source in sources:
            source.publish_many(1 + number % 4, pause=0.0)
        published += sources[0].count
        time.sleep(0.003)
    recorder.terminate()
    session = h.finish(recorder)
    for path in (replaced, truncated):
        if session.stream(path)["files"]:
            check_files(session, path)
    mine, other = session.stream(replaced), session.stream(truncated)
    assert mine["expected"] == published, (mine, published, session.ledger_of(replaced)["runs"])
    assert mine["lost"] <= sources[0].count, mine
    assert other["expected"] <= published, (other, published)  # what nobody saw, nobody can count
    print(f"        {published} published; replaced: {mine['recorded']} recorded, "
          f"{mine['lost']} lost; truncated: {other['recorded']} and {other['lost']}")


def two_writers_at_once_do_no_harm():
    """Of their frames nothing can be promised: either clears the flags of the other."""
    path = h.segment("two")
    Source(path, (32, 32))
    recorder = recording("--roll-frames", 2000, path)
    writers = [h.start(h.FIELD_WRITER, path, "--size", "32x32", "--type", "uint16", "--depth", 64,
                       "--rate", rate, "-n", 0, "--hold") for rate in (1500, 2000)]
    time.sleep(2)
    for writer in writers:
        writer.terminate()
        writer.wait()
    time.sleep(0.2)
    recorder.terminate()
    session = h.finish(recorder)
    h.judge(*session.stream(path)["files"])
    h.check_headers(session.stream(path)["files"])
    cube, rows = h.load(session.stream(path)["files"])
    assert len(rows) > 100
    wrong = (cube != h.ramp(rows["CNT0"], (32, 32), "u2")).any(axis=(1, 2)).sum()
    assert len(session.errors.splitlines()) < 40, session.errors
    print(f"        two writers: {len(rows)} frames, {wrong} of them mixed, "
          f"{session.ledger_of(path)['restarts']} restarts seen")


if __name__ == "__main__":
    h.main([a_source_falls_silent,
            every_change_of_shape_goes_on_in_a_new_file_and_disturbs_no_other_stream,
            frames_larger_than_all_the_memory_before_are_recorded,
            a_shape_too_large_for_memory_or_disk_ends_its_stream_alone,
            what_writers_killed_in_mid_frame_had_published_is_all_in_the_books,
            a_writer_killed_and_going_on_in_its_segment_is_one_run,
            clocks_and_counts_that_jump_and_a_damaged_depth_are_counted_exactly,
            a_segment_removed_and_created_again_is_said_once_and_counted_exactly,
            what_came_and_went_while_it_was_prepared_for_is_counted,
            two_writers_at_once_do_no_harm,
            a_silent_source_costs_little_and_is_told_once])
