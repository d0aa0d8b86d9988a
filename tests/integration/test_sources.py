#!/usr/bin/env python3
"""Sources that misbehave: replaced, truncated in place, dead in mid-frame. Shapes: test_writers."""
import ctypes
import json
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults as f  # noqa: E402
import harness as h  # noqa: E402
from source import asked, recording, wait_for_count, wait_for_newest  # noqa: E402
from test_layouts import SHAPE, Segment  # noqa: E402


def fifo(path, depth=8):
    return Segment(path, 4304, depth, 4296)


def taken(path):
    """Has the first frame reached a file?"""
    for folder, _, files in os.walk(h.output):
        if any(f.startswith(h.stream_name(path)) for f in files):
            return True
    return False


def publish(segment, frames):
    for _ in range(frames):
        segment.publish()
        h.time.sleep(0.004)


def what_a_replaced_segment_published_unseen_is_counted_from_one():
    path = h.segment("replaced")
    first = fifo(path)
    recorder = recording(path)
    publish(first, 50)
    os.unlink(path)
    second = fifo(path + ".new")
    for _ in range(100):  # the FIFO is lapped before anybody can have opened it
        second.publish()
    os.rename(path + ".new", path)
    publish(second, 200)
    h.wait_until_open(recorder, path)
    recorder.terminate()
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    ledger = session.ledger_of(path)
    assert [r["first_cnt0"] for r in ledger["runs"]] == [1, 1], ledger["runs"]
    assert ledger["runs"][1]["last_cnt0"] == 300, ledger["runs"]
    assert session.stream(path)["expected"] == 350
    assert session.status == 3 and session.stream(path)["lost"] >= 92
    again = rows[rows["FLAGS"] & h.FLAG["RESET"] != 0]
    assert len(again) == 1 and again["LOST"][0] == again["CNT0"][0] - 1


def what_is_given_up_at_the_end_is_booked_once():
    """Frame 21 is never whole; the end is asked for, the recorder stands still for longer than it
    waits for that frame, and is lapped meanwhile: two reasons to give the frame up."""
    path = h.segment("given_up")
    segment = fifo(path, 64)
    recorder = recording(path)
    publish(segment, 20)
    h.wait_for(lambda: taken(path), what="a file")
    segment.slot = (segment.slot + 1) % segment.depth
    at = segment.slot * segment.md_bytes
    segment.map[at + 176] = 1
    segment.store(ctypes.c_uint64, at + 152, 21)
    segment.store(ctypes.c_uint32, segment.fifo_off + 4, segment.slot)
    segment.count = 21
    h.time.sleep(0.2)
    recorder.terminate()
    h.time.sleep(0.3)
    h.freeze(recorder)
    h.time.sleep(1.2)
    for _ in range(100):
        segment.publish()
    recorder.send_signal(h.signal.SIGCONT)
    session = h.finish(recorder)
    assert session.stream(path)["recorded"] == 20, session.summary
    assert session.stream(path)["lost_by"]["lapped"] == 1, session.summary


def what_was_seen_before_a_restart_in_place_and_not_taken_is_lost_to_it():
    """A writer dies when its frame 21 is there but for its flag, and begins again at 1. How often
    the recorder has looked in between is a matter of chance; most times it has."""
    path, rounds = h.segment("restarts"), 8
    segment = fifo(path)
    recorder = asked(path)
    for number in range(1, rounds + 1):
        publish(segment, 20)
        wait_for_newest(recorder, path, number - 1)  # each run is seen, also by a busy machine
        segment.slot = (segment.slot + 1) % segment.depth
        at = segment.slot * segment.md_bytes
        segment.map[at + 176] = 1
        segment.store(ctypes.c_uint64, at + 152, 21)
        segment.store(ctypes.c_uint32, segment.fifo_off + 4, segment.slot)
        h.time.sleep(0.1)
        segment.count = 0
    publish(segment, 20)
    h.wait_for(lambda: taken(path), what="the first file")
    h.time.sleep(0.2)
    recorder.terminate()
    session = h.finish(recorder)
    _cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    mine, ledger = session.stream(path), session.ledger_of(path)
    lost = mine["lost_by"]["restart"]
    assert 0 < lost <= rounds and session.status == 3, mine
    gaps = [gap for gap in ledger["gaps"] if gap["cause"] == "restart"]
    assert len(gaps) == lost and all(g["first_cnt0"] == 21 and g["count"] == 1 for g in gaps), gaps
    assert ledger["restarts"] == rounds, ledger
    again = rows[rows["FLAGS"] & h.FLAG["RESET"] != 0]
    assert len(again) == rounds and again["LOST"].sum() >= lost, again


def what_was_waiting_when_a_segment_is_cut_off_is_lost_to_the_restart():
    """A disk stalls: frames wait in the FIFO, are seen there, and go with the segment's bytes."""
    path, root = h.segment("waiting"), f.new_root()
    size = ["--size", "64x48", "--type", "uint16", "--depth", 64, "--pattern", "ramp"]
    first = h.sim(path, *size, "--rate", 1000)
    faults = f.Faults(root)
    recorder = f.start(root, "--io", "pwrite", "--buffer", "1MiB", "--wait=20s", path,
                       faults=faults)
    recorder.has_files(path, 1, ".part")
    faults.set(ops=["pwrite"], stall_ms=1000)
    h.wait_for(lambda: recorder.known_lost(path) > 0, what="frames that are lapped")
    first.terminate()
    first.wait(timeout=60)
    os.truncate(path, 0)
    os.unlink(path)
    recorder.says("waiting for it to come back")
    h.sim(path, *size, "--rate", 200)
    recorder.says("is back")
    faults.set()
    recorder.has_files(path, 1)
    recorder.stop()
    out, _ = recorder.process.communicate(timeout=60)
    (mine,), (ledger,) = json.loads(out)["streams"], recorder.ledger()["streams"]
    h.verified(recorder.folder())
    assert recorder.process.returncode == 3 and mine["lost_by"]["restart"] > 0, mine
    assert mine["expected"] == ledger["expected"] == mine["recorded"] + mine["lost"], mine
    gap, = [gap for gap in ledger["gaps"] if gap["cause"] == "restart"]
    assert gap["count"] == mine["lost_by"]["restart"]
    assert gap["first_cnt0"] + gap["count"] - 1 == ledger["runs"][0]["last_cnt0"], ledger


def a_segment_truncated_in_place_balances_and_goes_on():
    path = h.segment("truncated")
    first = fifo(path, 64)
    recorder = asked(path)
    publish(first, 50)
    wait_for_count(recorder, path, 50)
    os.truncate(path, 0)
    h.time.sleep(0.2)
    second = fifo(path, 64)
    publish(second, 50)
    wait_for_count(recorder, path, 100)
    recorder.terminate()
    session = h.finish(recorder)
    h.check_stream(session, path, SHAPE, "uint16")
    assert session.stream(path)["recorded"] == 100, session.stream(path)
    assert session.ledger_of(path)["restarts"] == 1
    assert "is back" in session.errors


def every_new_shape_is_said():
    path = h.segment("shapes")
    recorder = f.start(f.new_root(), "--wait=20s", path)
    for number, size in enumerate(("8x8", "9x9", "10x10", "8x8", "9x9")):
        source = h.sim(path, "--size", size, "--rate", 500, "--pattern", "ramp", "--remove")
        if number:
            h.wait_for(lambda: recorder.errors().count("another shape") == number, what=size)
            said = [line for line in recorder.errors().splitlines() if "another shape" in line]
            assert f"(uint16 {size}, " in said[-1], said
        recorder.has_files(path, number + 1, ".fits*")
        source.terminate()
        source.wait(timeout=60)
    recorder.stop()
    out, _ = recorder.process.communicate(timeout=60)
    mine, = json.loads(out)["streams"]
    assert mine["expected"] == mine["recorded"] + mine["lost"] and len(mine["files"]) == 5, mine


def a_writer_dead_under_its_newest_frame_neither_blocks_nor_burns():
    path = h.segment("dead")
    segment = fifo(path, 64)
    recorder = recording(path)
    publish(segment, 20)
    h.wait_for(lambda: taken(path), what="the first file")
    slot = (segment.slot + 1) % segment.depth
    segment.map[slot * segment.md_bytes + 176] = 1
    segment.publish()
    segment.map[slot * segment.md_bytes + 176] = 1  # published, and the flag never cleared
    before, begin = h.time.clock_gettime((~recorder.pid << 3) | 2), h.time.monotonic()
    h.time.sleep(1.0)
    used = h.time.clock_gettime((~recorder.pid << 3) | 2) - before
    lasted = h.time.monotonic() - begin
    recorder.terminate()
    session = h.finish(recorder)
    mine = session.stream(path)
    assert mine["expected"] == 21 and mine["recorded"] == 20 and mine["lost"] == 1, mine
    assert used < 0.5 * lasted, f"{used} s of CPU in {lasted} s"


def bad_times_and_missing_packets_are_flagged():
    path = h.segment("flags")
    segment = fifo(path)
    recorder = recording(path)
    for number in range(1, 61):
        slot = (segment.slot + 1) % segment.depth
        at = slot * segment.md_bytes
        arrived = 3 if number % 20 == 5 else 4
        packets = [number] * arrived + [number - 1] * (4 - arrived)
        struct.pack_into("<II", segment.map, at + 188, 0, 4 if number > 2 else 0)  # packetNb, Total
        struct.pack_into("<4Q", segment.map, at + 200, *packets)
        segment.publish({10: 0, 30: 1}.get(number))
        h.time.sleep(0.004)
    recorder.terminate()
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    there = set(rows["CNT0"])
    for name, expected in (("BADTIME", {10, 30}), ("PARTIAL", {5, 25, 45})):
        flagged = set(rows["CNT0"][rows["FLAGS"] & h.FLAG[name] != 0])
        assert flagged == expected & there, (name, flagged)
    bad = np.isin(rows["CNT0"], [10, 30])
    assert np.isnan(rows["TIME"][bad]).all() and np.isfinite(rows["TIME"][~bad]).all()


def a_writer_that_wakes_takes_the_core_from_nobody():
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        return  # which threads inherit
    path = h.segment("behind")
    segment = fifo(path)
    recorder = recording(path)
    publish(segment, 5)

    def policies():
        return sorted(os.sched_getscheduler(int(thread))
                      for thread in os.listdir(f"/proc/{recorder.pid}/task"))
    h.wait_for(lambda: policies().count(os.SCHED_BATCH) == 1, what="a thread of SCHED_BATCH")
    assert policies().count(os.SCHED_OTHER) >= 4, policies()
    recorder.terminate()
    assert h.finish(recorder).stream(path)["recorded"] == 5


def what_the_disk_costs_is_booked_to_the_disk_and_flagged():
    path, shape = h.segment("slow"), (512, 512)
    source = h.sim(path, "--size", "512x512", "--type", "uint16", "--rate", 0, "--depth", 8,
                   "--pattern", "ramp", "-d", "60s")
    # two frames of memory and plain writes against a source as fast as memory
    recorder = h.record("--wait=20s", "--buffer", "1MiB", "--io", "pwrite", "--no-direct", "-n",
                        400, path)
    session = h.finish(recorder)
    source.terminate()
    cube, rows = h.check_stream(session, path, shape, "uint16", judged=False)
    mine = session.stream(path)
    disk = rows["FLAGS"] & h.FLAG["QUEUEFULL"] != 0
    lapped = (rows["FLAGS"] & h.FLAG["OVERWRITE"] != 0) & ~disk
    assert mine["lost_by"]["disk"] == rows["LOST"][disk].sum() > 0, mine
    assert mine["lost_by"]["lapped"] == rows["LOST"][lapped].sum(), mine
    assert mine["lost_by"]["source"] == mine["lost_by"]["restart"] == 0, mine


if __name__ == "__main__":
    h.main([what_the_disk_costs_is_booked_to_the_disk_and_flagged,
            bad_times_and_missing_packets_are_flagged,
            what_a_replaced_segment_published_unseen_is_counted_from_one,
            what_is_given_up_at_the_end_is_booked_once,
            what_was_seen_before_a_restart_in_place_and_not_taken_is_lost_to_it,
            what_was_waiting_when_a_segment_is_cut_off_is_lost_to_the_restart,
            a_segment_truncated_in_place_balances_and_goes_on, every_new_shape_is_said,
            a_writer_that_wakes_takes_the_core_from_nobody,
            a_writer_dead_under_its_newest_frame_neither_blocks_nor_burns])
