#!/usr/bin/env python3
"""Round trips: what is recorded of a replay is what was recorded first: pixels, counters, keywords,
intervals; gaps and restarts where they were."""
import glob
import os
import signal
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import replays  # noqa: E402
from python_face import shm  # noqa: E402
from replays import Source, Replay, attached, of, play_and_record, replayed  # noqa: E402

SHAPES = [(97,), (13, 7), (5, 3, 4)]
BEGIN = 1_700_000_000 * 10**9


def finish_first(recorder):
    recorder.send_signal(signal.SIGINT)
    return h.finish(recorder)


def record_types():
    """One session with 36 streams: all types with one, two and three axes, counters and keywords."""
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


def gaps_and_jumps_come_back_where_they_were():
    source = Source("gap")
    recorder = attached(source.path)
    for count in list(range(1, 51)) + list(range(61, 101)) + list(range(5101, 5131)):
        source.publish(count)
        time.sleep(0.002)
    session = finish_first(recorder)
    assert session.status == 3 and session.stream(source.path)["lost"] == 5010
    first = h.load(session.stream(source.path)["files"])
    summary, again = play_and_record(session.folder, [source.path])
    found = h.load(again.stream(replayed(source.path))["files"])
    replays.same_frames(first, found)
    assert (first[1]["LOST"] == found[1]["LOST"]).all()
    assert (first[1]["FLAGS"] == found[1]["FLAGS"]).all()
    assert of(summary, source.path)["gaps"] == 2
    assert again.stream(replayed(source.path))["lost_by"]["source"] == 5010
    # ... or not at all
    summary, again = play_and_record(session.folder, [source.path], "--gaps", "close",
                                     prefix="closed_")
    found = h.load(again.stream(replayed(source.path, "closed_"))["files"])
    assert again.status == 0
    assert found[0].tobytes() == first[0].tobytes()
    assert list(found[1]["CNT0"]) == list(range(1, 121))
    assert list(found[1]["CNT1"]) == list(first[1]["CNT1"])


def rows_there(path):
    """How many rows of a stream's first file are on the disk: they go there once a second."""
    for file in glob.glob(f"{h.output}/*/{h.stream_name(path)}/*_000001.fits.part"):
        with h.fits.open(file, memmap=False) as hdus:
            return np.count_nonzero(hdus["FRAMES"].data["RTIME"])
    return 0


def record_three_files(name, pause_s):
    """30 frames a file, 2 ms apart, and a pause before the third; (session, source, files)."""
    source = Source(name, before=700)
    recorder = attached("--roll-frames", 30, source.path)
    for i in range(90):
        source.publish(atime=BEGIN + i * 2_000_000 + (pause_s * 10**9 if i >= 60 else 0))
    session = finish_first(recorder)
    files = session.stream(source.path)["files"]
    assert len(files) == 3 and session.status == 0
    return session, source, files


def a_file_that_is_missing_is_a_gap():
    _, source, files = record_three_files("holey", 55)
    first = h.load([files[0], files[2]])
    options = (files[2], "--max-pause", "1h")
    summary, again = play_and_record(files[0], [source.path], *options, "--speed", 100)
    told, found = of(summary, source.path), h.load(again.stream(replayed(source.path))["files"])
    replays.same_frames(first, found)
    assert list(found[1]["CNT0"]) == list(range(701, 731)) + list(range(761, 791))
    assert (told["frames"], told["gaps"], told["lost_in_recording"]) == (60, 1, 30)
    assert again.status == 3 and again.stream(replayed(source.path))["lost_by"]["source"] == 30
    assert list(np.flatnonzero(found[1]["LOST"])) == [30] and found[1]["LOST"][30] == 30
    assert found[1]["ATIME"][30] - found[1]["ATIME"][29] >= 0.549e9 - told["late_ns"]["max"]
    # ... or none, for which nobody waits
    replay = Replay(files[0], *options, "--gaps", "close", "--prefix", replayed("", "closed_"))
    recorder = attached("-n", 60, replayed(source.path, "closed_"))
    replay.begin()
    told = of(replay.finish(seconds=45), source.path)
    again = h.finish(recorder)
    assert again.status == 0 and (told["gaps"], told["lost_in_recording"]) == (1, 30)
    found = h.load(again.stream(replayed(source.path, "closed_"))["files"])
    assert found[0].tobytes() == first[0].tobytes()
    assert list(found[1]["CNT0"]) == list(range(701, 761))


def utc(atime, form="%Y-%m-%dT%H:%M:%S"):
    return time.strftime(form, time.gmtime(atime // 10**9)) + f".{atime % 10**9:09d}"


def a_part_of_a_recording_is_played():
    session, source, files = record_three_files("part", 5)
    rows = h.load(files)[1]
    at, count = rows["ATIME"], rows["CNT0"]
    for number, (begin, end, arguments) in enumerate((
            (10, 45, ["--from", utc(at[10]), "--until", f"cnt0:{count[45]}"]),
            (40, 75, ["--from", f"cnt0:{count[40]}", "--until", utc(at[75]) + "Z"]),
            (60, 90, ["--from", utc(at[59] + 1, "%H:%M:%S")]),
            (0, 61, ["--until", utc(at[60] + 1, "%H:%M:%S")]),
            (89, 90, ["--from", "cnt0:790"]))):
        to = h.segment(f"part{number}")  # what is there is watched for a second
        replay = Replay(session.folder, "--asap", "--to", to, *arguments)
        with shm(to) as reader:
            assert reader.get_counter() == 700 + begin, arguments
            replay.begin()
            played = replay.finish()["streams"][0]
            assert played["frames"] == end - begin, (arguments, played)
            assert (played["cnt0_first"], played["cnt0_last"]) == (count[begin], count[end - 1])
            assert reader.get_data().tobytes() == source.pixels(700 + end).tobytes()


def restarts_and_other_shapes_come_back_where_they_were():
    begins_anew, reshaped = Source("anew"), Source("reshaped", (6, 5), "float32")
    recorder = attached("-n", 100, begins_anew.path, reshaped.path)  # ends when it has them all
    for _ in range(60):
        begins_anew.publish()
        reshaped.publish()
        time.sleep(0.002)
    for source in (begins_anew, reshaped):
        h.wait_for(lambda: rows_there(source.path) == 60, what="all of the first run to be taken")
    begins_anew = Source("anew")
    reshaped = Source("reshaped", (4, 3, 2), "int16", before=900, keywords=[])
    for _ in range(40):
        begins_anew.publish()
        reshaped.publish()
        time.sleep(0.002)
    session = h.finish(recorder)
    assert session.status == 0, session.summary
    paths = [begins_anew.path, reshaped.path]
    summary, again = play_and_record(session.folder, paths, frames=100)
    assert again.status == 0, again.summary
    first = h.load(session.stream(paths[0])["files"])
    found = h.load(again.stream(replayed(paths[0]))["files"])
    replays.same_frames(first, found)
    assert list(found[1]["CNT0"]) == list(range(1, 61)) + list(range(1, 41))
    for rows in (first[1], found[1]):
        assert list(np.flatnonzero(rows["FLAGS"] & h.FLAG["RESET"])) == [60]
    files = [session.stream(paths[1])["files"], again.stream(replayed(paths[1]))["files"]]
    assert len(files[0]) == len(files[1]) == 2
    for file, file_again in zip(*files):
        replays.same_frames(h.load([file]), h.load([file_again]))
        assert replays.keywords_in(file) == replays.keywords_in(file_again)
    assert h.load([files[1][1]])[1]["CNT0"][0] == 901
    assert of(summary, paths[0])["restarts"] == 1 and of(summary, paths[1])["reshapes"] == 1


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
    h.main([all_types_come_back_as_they_were_on_one_clock, gaps_and_jumps_come_back_where_they_were,
            a_file_that_is_missing_is_a_gap, a_part_of_a_recording_is_played,
            restarts_and_other_shapes_come_back_where_they_were, at_depths_1_and_2_too,
            recorded_times_can_be_given_to_the_frames, a_clock_that_jumped_is_not_waited_for,
            a_reader_in_python_gets_every_frame_in_order, a_damaged_frame_is_played_and_told,
            a_loop_goes_on_counting_and_a_signal_ends_it])
