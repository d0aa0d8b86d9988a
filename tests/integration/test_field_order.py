#!/usr/bin/env python3
"""Sources that write in the field's order of stores: head first, cnt0 last, no barriers."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

SHAPE = (40, 50)  # 4000 bytes: frames that have piled up share a reading of the clock
LARGER = (40, 60)  # 4800 bytes: an RTIME of its own for every frame


def field_writer(path, shape, *arguments):
    return h.start(h.FIELD_WRITER, path, "--size", "x".join(map(str, shape)), "--type", "uint16",
                   *arguments)


def record_field(name, writer_arguments, record_arguments=(), shape=SHAPE):
    """Record until the writer is done; (session, path, writer's output)."""
    path = h.segment(name)
    # It awaits until the recorder is attached.
    writer = field_writer(path, shape, "--await", *writer_arguments)
    recorder = h.record("--wait=20s", *record_arguments, path)
    h.wait_for(lambda: session_has_begun(recorder), what="the recording to begin")
    os.kill(writer.pid, h.signal.SIGUSR1)
    out, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    recorder.terminate()
    return h.finish(recorder), path, out


def session_has_begun(recorder):
    """Its threads run: a stream's drain thread has been started."""
    tasks = f"/proc/{recorder.pid}/task"
    return os.path.isdir(tasks) and len(os.listdir(tasks)) >= 5


def check_whole(name, rate, frames, *more, depth=64, shape=SHAPE):
    session, path, _ = record_field(name, ("--depth", depth, "--rate", rate, "-n", frames, *more),
                                    shape=shape)
    cube, rows = h.check_stream(session, path, shape, "uint16")
    return session, path, rows


def every_frame_once_and_in_order_at_1_khz_and_10_khz():
    for rate, frames in ((1000, 2000), (10000, 20000)):
        session, path, rows = check_whole(f"whole{rate}", rate, frames, shape=LARGER)
        mine = session.stream(path)
        # A shared machine may stop the recorder for longer than the FIFO holds. Then frames are
        # lapped, truly: that is counted, and it is the only thing that may happen.
        assert mine["expected"] == frames, mine
        assert mine["lost"] == mine["lost_by"]["lapped"] + mine["lost_by"]["disk"], mine
        assert mine["torn"] == 0 and not session.ledger_of(path)["restarts"]
        what_is_lost_was_far_behind(rows, 64, frames)


def what_is_lost_was_far_behind(rows, depth, frames):
    """However seldom the recorder ran: behind a gap it goes on at most half a FIFO from the slot
    that is written next, so nearly half a FIFO that is newer was there by then. And nothing is
    written over the last frames of all, so of those none is lost. Three fewer than half: the slot
    being written, the oldest one, and a head that has moved before its frame is stamped."""
    counts, half = rows["CNT0"], depth // 2 - 3
    assert np.isin(np.arange(frames - half + 1, frames + 1), counts).all(), counts[-depth:]
    for row in np.flatnonzero(rows["LOST"]):
        newer = np.searchsorted(counts, counts[row] + half, side="right") - 1
        assert rows["ATIME"][newer] <= rows["RTIME"][row], (counts[row], rows["LOST"][row])


def a_fifo_that_holds_them_all_loses_none():
    for rate, frames in ((1000, 1000), (10000, 10000)):
        session, path, rows = check_whole(f"deep{rate}", rate, frames, depth=frames + 2)
        mine = session.stream(path)
        assert mine["lost"] == 0 and mine["recorded"] == mine["expected"] == frames, mine
        assert (rows["CNT0"] == np.arange(1, frames + 1)).all()


def unthrottled_no_torn_frame_is_recorded_as_good():
    for depth in (2, 3, 4, 64):
        session, path, _ = record_field(f"free{depth}", ("--depth", depth, "--rate", 0,
                                                         "-n", 150000), ("--roll-size", "256MiB"))
        cube, rows = h.check_stream(session, path, SHAPE, "uint16", judged=False)
        mine = session.stream(path)
        assert mine["torn"] == 0, mine
        assert mine["expected"] == 150000, mine
        assert not session.ledger_of(path)["restarts"]
        assert mine["recorded"] > 0
        # Frames share readings of the clock, but never one from before they were there.
        assert (rows["RTIME"] > rows["ATIME"]).all(), (rows["RTIME"] - rows["ATIME"]).min()
        print(f"  depth {depth}: {mine['recorded']} of {mine['expected']} recorded, none torn")


def at_depth_one_frames_are_right_at_5_khz_and_the_figure_is_told_unthrottled():
    session, path, _ = record_field("one5k", ("--depth", 1, "--rate", 5000, "-n", 15000))
    cube, rows = h.check_stream(session, path, SHAPE, "uint16")
    assert session.stream(path)["recorded"] > 0
    session, path, _ = record_field("onefree", ("--depth", 1, "--rate", 0, "-n", 300000))
    mine = session.stream(path)
    if mine["files"]:
        cube, rows = h.load(mine["files"])
        good = rows["FLAGS"] & h.FLAG["TORN"] == 0
        wrong = (cube != h.ramp(rows["CNT0"], SHAPE, "uint16")).reshape(len(cube), -1).any(axis=1)
        print(f"  depth 1, unthrottled: {mine['recorded']} recorded, {mine['torn']} flagged torn, "
              f"{np.count_nonzero(wrong & good)} torn and not flagged")


def a_count_that_starts_at_5001_is_booked_to_the_source():
    session, path, rows = check_whole("start", 1000, 500, "--start", 5001, depth=512)
    mine = session.stream(path)
    assert mine["lost_by"]["source"] == 5000, mine
    assert mine["lost"] == 5000 and mine["recorded"] == 500 and mine["expected"] == 5500, mine
    assert rows["CNT0"][0] == 5001 and rows["LOST"][0] == 5000
    assert rows["FLAGS"][0] == h.FLAG["GAP"]


def a_count_that_jumps_is_booked_to_the_source():
    session, path, rows = check_whole("jump", 1000, 500, "--jump-at", 200, "--jump-by", 77,
                                      depth=512)
    mine = session.stream(path)
    assert mine["lost_by"]["source"] == mine["lost"] == 77, mine
    assert mine["recorded"] == 500
    at = int(np.flatnonzero(rows["LOST"])[0])
    assert rows["LOST"][at] == 77 and rows["FLAGS"][at] == h.FLAG["GAP"]


if __name__ == "__main__":
    h.main([every_frame_once_and_in_order_at_1_khz_and_10_khz,
            a_fifo_that_holds_them_all_loses_none,
            unthrottled_no_torn_frame_is_recorded_as_good,
            at_depth_one_frames_are_right_at_5_khz_and_the_figure_is_told_unthrottled,
            a_count_that_starts_at_5001_is_booked_to_the_source,
            a_count_that_jumps_is_booked_to_the_source])
