#!/usr/bin/env python3
"""Round trips: what is recorded of a replay is what was recorded first: pixels, counters, keywords,
intervals. Gaps and restarts are in test_replay_gaps.py."""
import os
import signal
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import replays  # noqa: E402
from python_face import shm  # noqa: E402
from replays import (Source, Replay, attached, finish_first, of, play_and_record,  # noqa: E402
                     replayed)

SHAPES = [(97,), (13, 7), (5, 3, 4)]


def record_types():
    """One session, 36 streams: all types with one, two and three axes, counters and keywords."""
    sources = [Source(f"{t}x{len(shape)}", shape, t, before=10**9 * i)
               for i, t in enumerate(replays.TYPES) for shape in SHAPES]
    recorder = attached(*(s.path for s in sources))
    for number in range(100):
        for source in sources:
            source.publish()
        time.sleep(0.3 if number == 50 else 0.002)
    return finish_first(recorder), sources


def all_types_come_back_as_they_were_on_one_clock():
    session, sources = record_types()
    summary, again = play_and_record(session.folder, [s.path for s in sources], frames=100)
    assert again.status == 0 and not summary["stopped"]
    h.judge(*(s["files"][0] for s in again.summary["streams"][::3]))
    recorded, played = [], []
    for source in sources:
        files = again.stream(replayed(source.path))["files"]
        first = h.load(session.stream(source.path)["files"])
        found = h.load(files)
        replays.same_frames(first, found)
        assert replays.keywords_in(files[0]) == \
            replays.keywords_in(session.stream(source.path)["files"][0])
        assert first[0][3].tobytes() == source.pixels(int(first[1]["CNT0"][3])).tobytes()
        assert (found[1]["LOST"] == 0).all() and (found[1]["FLAGS"] == 0).all()
        assert first[1]["CNT0"][0] % 10**9 == 1
        told = of(summary, source.path)
        assert told["frames"] == 100 and told["cnt0_last"] == first[1]["CNT0"][-1]
        replays.same_intervals(first[1], found[1], told)
        recorded.append(first[1]["ATIME"])
        played.append(found[1]["ATIME"])
    # What came first in the night comes first now.
    recorded, played = np.concatenate(recorded), np.concatenate(played)
    order = np.argsort(recorded, kind="stable")
    assert (np.diff(played[order])[np.diff(recorded[order]) > 0] >= 0).all()


def at_depths_1_and_2_too():
    """There a busy machine may lose frames, and must then say so."""
    for depth in (1, 2):
        source = Source(f"depth{depth}", depth=depth, before=70)
        recorder = attached(source.path)
        for _ in range(12):
            source.publish()
            time.sleep(0.04)
        session = finish_first(recorder)
        first = h.load(session.stream(source.path)["files"])
        _, again = play_and_record(session.folder, [source.path])
        found = h.load(again.stream(replayed(source.path))["files"])
        for index, count in enumerate(found[1]["CNT0"]):
            at = list(first[1]["CNT0"]).index(count)
            if not (first[1]["FLAGS"][at] | found[1]["FLAGS"][index]) & h.FLAG["TORN"]:
                assert found[0][index].tobytes() == first[0][at].tobytes()
                assert found[1]["CNT2"][index] == first[1]["CNT2"][at]
        assert len(found[1]) > 0
        assert len(first[1]) - len(found[1]) <= again.stream(replayed(source.path))["lost"]


def recorded_times_can_be_given_to_the_frames():
    source = Source("times")
    recorder = attached(source.path)
    begin = 1_600_000_000 * 10**9
    for i in range(40):
        source.publish(atime=begin + i * 1_000_000 + i % 7)
    session = finish_first(recorder)
    first = h.load(session.stream(source.path)["files"])
    _, again = play_and_record(session.folder, [source.path], "--atime", "recorded", frames=40)
    found = h.load(again.stream(replayed(source.path))["files"])
    assert (first[1]["ATIME"] == found[1]["ATIME"]).all() and found[1]["ATIME"][0] == begin


def a_clock_that_jumped_is_not_waited_for():
    source = Source("jumpy")
    recorder = attached(source.path)
    for i in range(60):
        hours = 3 if 20 <= i < 40 else 0
        atime = time.time_ns() + hours * 3600 * 10**9
        source.publish(atime=atime)
        time.sleep(0.002)
    session = finish_first(recorder)
    first = h.load(session.stream(source.path)["files"])
    summary, again = play_and_record(session.folder, [source.path], frames=60)
    found = h.load(again.stream(replayed(source.path))["files"])
    replays.same_frames(first, found)
    assert summary["pauses_cut_s"] == 0  # RTIME knew better
    assert (np.diff(found[1]["ATIME"]) < 3600 * 10**9).all()


def a_reader_in_python_gets_every_frame_in_order():
    source = Source("python", (3, 4), "complex64", before=20)
    recorder = attached(source.path)
    for i in range(100):
        source.publish()
        time.sleep(0.001)
    session = finish_first(recorder)
    path = replayed(source.path)
    replay = Replay(session.folder, "--prefix", os.path.join(h.segments, "again_"))
    with shm(path) as reader:
        replay.begin()
        for count in range(21, 121):
            status, frame = reader.get_data_next(wait=True)
            assert status == shm.DAO_SUCCESS
            assert frame.tobytes() == source.pixels(count).tobytes()
        replay.finish()
        assert reader.get_counter() == 120 and reader.get_frame_id() == 2**40 + 120
        history = reader.get_history(5)
        assert history[-1].tobytes() == source.pixels(120).tobytes()


def a_damaged_frame_is_played_and_told():
    source = Source("damaged")
    recorder = attached(source.path)
    for _ in range(20):
        source.publish()
    session = finish_first(recorder)
    file = session.stream(source.path)["files"][0]
    frame = int(np.prod(source.shape)) * source.dtype.itemsize
    with open(file, "r+b") as f:
        f.seek(h.fits.open(file)[0]._data_offset + 7 * frame)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))
    replay = Replay(session.folder, "--asap", "--to", h.segment("undamaged"), hold=False)
    played = replay.finish(status=3)["streams"][0]
    assert (played["frames"], played["damaged"], played["unreadable"]) == (20, 1, 0)
    assert "frame 7" in replay.errors() and file in replay.errors(), replay.errors()


def a_loop_goes_on_counting_and_a_signal_ends_it():
    source = Source("loop", before=500)
    recorder = attached(source.path)
    for i in range(20):
        source.publish()
        time.sleep(0.002)
    session = finish_first(recorder)
    first = h.load(session.stream(source.path)["files"])
    summary, again = play_and_record(session.folder, [source.path], "--loop", 3, frames=60)
    assert again.status == 0 and of(summary, source.path)["frames"] == 60
    found = h.load(again.stream(replayed(source.path))["files"])
    assert list(found[1]["CNT0"]) == list(range(501, 561))
    assert found[0].tobytes() == first[0].tobytes() * 3
    replay = Replay(session.folder, "--prefix", os.path.join(h.segments, "endless_"), "--loop", 0)
    with shm(replayed(source.path, "endless_")) as reader:
        replay.begin()
        h.wait_for(lambda: reader.get_counter() > 560, what="a fourth pass")
    replay.process.send_signal(signal.SIGINT)
    summary = replay.finish()
    assert summary["stopped"] and of(summary, source.path)["frames"] > 60


if __name__ == "__main__":
    h.main([all_types_come_back_as_they_were_on_one_clock, at_depths_1_and_2_too,
            recorded_times_can_be_given_to_the_frames, a_clock_that_jumped_is_not_waited_for,
            a_reader_in_python_gets_every_frame_in_order, a_damaged_frame_is_played_and_told,
            a_loop_goes_on_counting_and_a_signal_ends_it])
