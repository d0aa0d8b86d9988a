#!/usr/bin/env python3
"""Commands that are run when something happens to a recording: what they are told is true."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import source as s  # noqa: E402

NO_FACTS = ("DAOREC_ASAN", "DAOREC_TSAN")  # the tests' own


class Told:
    """A command that keeps what it is told of each event in a file of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(dir=h.output)
        self.command = f"env -0 > {self.folder}/.$$ && mv {self.folder}/.$$ {self.folder}/$$"

    def events(self):
        """As dictionaries, in the order in which they were told."""
        files = [os.path.join(self.folder, name) for name in os.listdir(self.folder)
                 if not name.startswith(".")]
        result = []
        for file in sorted(files, key=lambda file: os.stat(file).st_mtime_ns):
            with open(file, encoding="utf-8") as f:
                pairs = (line.partition("=") for line in f.read().split("\0") if line)
                result.append({key[7:]: value for key, _, value in pairs
                               if key.startswith("DAOREC_") and key not in NO_FACTS})
        return result


def every_closed_file_is_told_with_its_facts_also_the_last_one():
    path, told = h.segment("files"), Told()
    source = s.Source(path)
    recorder = s.recording("--roll-frames", 50, "--on-file-closed", told.command, path)
    source.publish_many(130)
    h.wait_for(lambda: len(told.events()) >= 2, what="two files to be told")
    recorder.terminate()
    session = h.finish(recorder)
    files, events = session.ledger_of(path)["files"], told.events()
    assert len(events) == len(files) == 3, (events, files)
    for event, file in zip(events, files):
        where = os.path.join(session.folder, file["name"])
        where = where if os.path.exists(where) else os.path.join(
            session.folder, h.stream_name(path), file["name"])
        assert event["EVENT"] == "file-closed" and event["STREAM"] == h.stream_name(path), event
        assert os.path.realpath(event["FILE"]) == os.path.realpath(where), (event, where)
        assert event["SESSION"] == session.summary["session"] and event["MISSED"] == "0", event
        assert int(event["FRAMES"]) == file["frames"], (event, file)
        assert int(event["BYTES"]) == os.path.getsize(where), (event, os.path.getsize(where))
    assert [event["CAUSE"] for event in events] == ["ROLL", "ROLL", "SIGNAL"], events


def lost_frames_are_told_with_their_cause_as_many_as_the_ledger_has():
    path, told = h.segment("lost"), Told()
    source = s.Source(path, depth=16)
    recorder = s.recording("--on-loss", told.command, path)
    for _ in range(2):
        source.publish_many(20)
        h.freeze(recorder)
        for _ in range(100):
            source.publish()
        recorder.send_signal(h.signal.SIGCONT)
        source.publish_many(20)
    recorder.terminate()
    session = h.finish(recorder)
    stream, events = session.stream(path), told.events()
    assert stream["lost"] > 0 and events, (stream, events)
    assert sum(int(event["LOST"]) for event in events) == stream["lost"], (stream, events)
    assert int(events[-1]["LOST_TOTAL"]) == stream["lost"], (stream, events)
    assert {event["CAUSE"] for event in events} == {"lapped"}, events
    assert {event["EVENT"] for event in events} == {"loss"}, events


def a_low_disk_is_told():
    path, told = h.segment("low"), Told()
    source = s.Source(path)
    recorder = s.recording("--low-disk", "9PB", "--on-low-disk", told.command, path)
    source.publish_many(20)
    h.wait_for(told.events, what="the disk to be told of")
    recorder.terminate()
    h.finish(recorder)
    events = told.events()
    assert len(events) == 1 and events[0]["EVENT"] == "low-disk", events
    assert int(events[0]["FREE_BYTES"]) > 0 and os.path.isdir(events[0]["FOLDER"]), events


def a_command_that_fails_is_a_line_and_the_recording_goes_on():
    path = h.segment("fails")
    source = s.Source(path)
    recorder = s.recording("--roll-frames", 10, "--on-file-closed", "echo out; exit 7", path)
    source.publish_many(45)
    recorder.terminate()
    session = h.finish(recorder)
    assert len(s.lines(session, "--on-file-closed", "exit status 7")) == 1, session.errors
    assert "out" in session.errors.splitlines()  # finish() would have choked on it in the summary


def an_empty_command_is_wrong_usage():
    for option in ("--on-loss", "--on-file-closed", "--on-low-disk"):
        run = subprocess.run([h.DAOREC, "record", option, " ", "x"], capture_output=True, text=True)
        assert run.returncode == 2 and run.stderr.count("\n") == 1, run
        assert option in run.stderr, run.stderr


if __name__ == "__main__":
    h.main([
        every_closed_file_is_told_with_its_facts_also_the_last_one,
        lost_frames_are_told_with_their_cause_as_many_as_the_ledger_has,
        a_low_disk_is_told,
        a_command_that_fails_is_a_line_and_the_recording_goes_on,
        an_empty_command_is_wrong_usage,
    ])
