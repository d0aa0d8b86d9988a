#!/usr/bin/env python3
"""Replay of recordings with holes: gaps, files that are missing and restarts come back where they
were, or not at all; parts of a recording are those asked for."""
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import replays  # noqa: E402
from python_face import shm  # noqa: E402
from replays import (Source, Replay, attached, finish_first, of, play_and_record,  # noqa: E402
                     replayed)
from source import rows_there  # noqa: E402

BEGIN = 1_700_000_000 * 10**9


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


if __name__ == "__main__":
    h.main([gaps_and_jumps_come_back_where_they_were, a_file_that_is_missing_is_a_gap,
            a_part_of_a_recording_is_played, restarts_and_other_shapes_come_back_where_they_were])
