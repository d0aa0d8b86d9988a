#!/usr/bin/env python3
"""A reader held up on purpose: the loss is exact, in the file, the ledger and the exit status."""
import os
import signal
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402


def begun(process):
    h.wait_for(lambda: len(os.listdir(f"/proc/{process.pid}/task")) >= 5, what="threads")


def a_held_reader_counts_exactly_and_resumes_at_the_oldest_intact_frame():
    path, shape, depth = h.segment("held"), (16, 16), 64
    source = h.sim(path, "--size", "16x16", "--type", "uint16", "--rate", 2000, "--depth", depth,
                   "--pattern", "ramp", "-d", "60s")
    recorder = h.record("--wait=20s", path)
    begun(recorder)
    for _ in range(3):
        h.wait_for_frames(path, 300)
        h.freeze(recorder)
        h.wait_for_frames(path, 5 * depth, "laps")
        os.kill(recorder.pid, signal.SIGCONT)
    h.wait_for_frames(path, 300)
    recorder.send_signal(signal.SIGINT)
    session = h.finish(recorder)
    source.terminate()
    cube, rows = h.check_stream(session, path, shape, "uint16")
    mine = session.stream(path)
    assert session.status == 3
    assert mine["lost_by"]["lapped"] == mine["lost"], mine
    jumps = np.diff(rows["CNT0"]) - 1
    assert mine["lost"] == jumps.sum() + rows["LOST"][0] == rows["LOST"].sum(), mine
    assert (rows["RTIME"] > rows["ATIME"]).all(), "taken before it was there"
    gaps = np.flatnonzero(jumps > 2 * depth)
    # A busy machine may hold it up once more, or not let it go on in between.
    assert len(gaps) > 0 and jumps[gaps].sum() >= 3 * 4 * depth, jumps[jumps > 0]
    assert (rows["FLAGS"][gaps + 1] == h.FLAG["GAP"] | h.FLAG["OVERWRITE"]).all()
    # Resumed at the oldest intact frame: when it was taken, the one half a FIFO later was there
    # already; a reader that resumed at the newest would have taken it before.
    half = depth // 2
    ends = [g + 1 for g in gaps if (jumps[g + 1:g + 1 + half] == 0).sum() == half]
    assert ends, jumps[jumps > 0]
    assert (rows["ATIME"][np.add(ends, half)] < rows["RTIME"][ends]).all(), (
        rows["ATIME"][np.add(ends, half)] - rows["RTIME"][ends])


def a_reader_held_until_the_end_counts_what_it_can_no_longer_take():
    path = h.segment("last")
    source = h.sim(path, "--size", "16x16", "--type", "uint16", "--rate", 2000, "--depth", 16,
                   "--pattern", "ramp", "-d", "60s")
    recorder = h.record("--wait=20s", path)
    begun(recorder)
    h.wait_for_frames(path, 100)
    os.kill(recorder.pid, signal.SIGSTOP)
    h.wait_for_frames(path, 100, "laps")
    source.terminate()
    source.wait(timeout=60)
    last = h.newest_count(path)
    recorder.send_signal(signal.SIGTERM)  # pending while it is stopped
    os.kill(recorder.pid, signal.SIGCONT)
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, (16, 16), "uint16")
    mine = session.stream(path)
    assert rows["CNT0"][-1] == last  # the newest frame is still there, and taken
    assert mine["lost"] == rows["LOST"].sum() and session.status == 3
    run = session.ledger_of(path)["runs"][0]
    assert run["last_cnt0"] == last and run["expected"] == mine["expected"]


def a_restarted_source_begins_a_new_run():
    path = h.segment("again")
    arguments = ("--size", "16x16", "--type", "uint16", "--rate", 1000, "--depth", 512,
                 "--pattern", "ramp")
    source = h.sim(path, *arguments, "-d", "60s")
    recorder = h.record("--wait=20s", path)
    begun(recorder)
    h.wait_for_frames(path, 100)
    source.terminate()
    source.wait(timeout=60)
    time.sleep(0.2)  # so that most of the first run is taken
    source = h.sim(path, *arguments, "-n", 400)
    source.wait(timeout=60)
    assert h.newest_count(path) == 400
    h.wait_until_open(recorder, path)
    recorder.terminate()
    session = h.finish(recorder)
    cube, rows = h.check_stream(session, path, (16, 16), "uint16")
    mine, ledger = session.stream(path), session.ledger_of(path)
    assert ledger["restarts"] == 1, ledger
    reset = np.flatnonzero(rows["FLAGS"] & h.FLAG["RESET"])
    assert len(reset) == 1 and rows["CNT0"][reset[0]] == 1 and rows["CNT0"][-1] == 400
    assert ledger["runs"][1]["first_cnt0"] == 1 and ledger["runs"][1]["last_cnt0"] == 400
    assert mine["lost"] == mine["lost_by"]["lapped"] + mine["lost_by"]["restart"], mine


if __name__ == "__main__":
    h.main([a_held_reader_counts_exactly_and_resumes_at_the_oldest_intact_frame,
            a_reader_held_until_the_end_counts_what_it_can_no_longer_take,
            a_restarted_source_begins_a_new_run])
