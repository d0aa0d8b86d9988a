#!/usr/bin/env python3
"""Nobody reads what a recorder says: it records, answers and ends all the same."""
import fcntl
import glob
import json
import os
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

PIPE_BYTES = 4096
LINE_BYTES = 256  # none of the lines is longer
FILES = 120  # each a line: more than the pipe has room for, and than may be waited for
LISTED = 60  # in a summary: more than the pipe has room for
EVERY = 5    # frames a file
PATIENCE = 6  # seconds: longer than a service waits for the reader of a summary


class Unheard:
    """A recording of two sources whose standard error is a pipe that nobody reads."""

    def __init__(self, name, *arguments):
        self.paths = [h.segment(f"{name}{i}") for i in range(2)]
        self.sources = [h.sim(path, "--size", "16x16", "--rate", 200, "--depth", 1024, "--pattern",
                              "ramp", "--type", "uint16", "-d", "120s") for path in self.paths]
        self.control = os.path.join(h.segments, name)
        self.unread, said = os.pipe()
        fcntl.fcntl(said, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.process = subprocess.Popen(
            [h.DAOREC, "record", "--json", "-o", h.output, "--wait=60s", "--roll-frames",
             str(EVERY), f"--control={self.control}", *arguments, *self.paths],
            stdout=subprocess.PIPE, stderr=said, text=True)
        h._processes.append(self.process)
        self.said = said  # kept, so that it has no end before end()

    def is_full(self):
        """Without room for one more line. (poll() says so from the first byte on: a pipe of a page
        promises no room to it.)"""
        held = fcntl.ioctl(self.unread, termios.FIONREAD, bytes(4))
        return PIPE_BYTES - struct.unpack("i", held)[0] < LINE_BYTES

    def files(self):
        return sum(len(glob.glob(os.path.join(h.output, "*", h.stream_name(path), "*.fits")))
                   for path in self.paths)

    def status(self):
        run = subprocess.run([h.DAOREC, "ctl", "--socket", self.control, "--json", "status"],
                             capture_output=True, text=True, check=False, timeout=90)
        assert run.returncode == 0, (run.stdout, run.stderr)
        return json.loads(run.stdout)

    def end(self):
        """All was recorded; what it had said is returned."""
        self.process.send_signal(signal.SIGTERM)
        os.close(self.said)
        session = h.finish(self.process, errors=lambda: "(nobody has read it)")
        with open(self.unread, encoding="utf-8") as unread:
            lines = unread.read().split("\n")
        for source in self.sources:
            source.terminate()
        assert session.status == 0, session.summary
        for path in self.paths:
            h.check_stream(session, path, (16, 16), "uint16", judged=False)
            assert session.stream(path)["lost"] == 0, session.summary
        return lines


def a_pipe_that_nobody_reads_costs_no_frame_and_the_recorder_hears():
    recorder = Unheard("unread")
    h.wait_for(lambda: recorder.files() >= FILES, what=f"{FILES} files")
    assert recorder.is_full()
    before = recorder.files()
    assert recorder.status()["ok"]
    h.wait_for(lambda: recorder.files() >= before + FILES, what=f"{FILES} more files")
    lines = recorder.end()
    assert lines[-1] == "", "half a line"
    assert all(line.startswith("daorec: ") for line in lines[:-1]), lines
    assert max(map(len, lines)) < LINE_BYTES, lines


def a_hook_that_floods_it_costs_no_frame():
    once = os.path.join(h.segments, "flood")  # others would wait for their turn at the end
    flood = "exec timeout 2 sh -c 'while echo y; do :; done'"  # small writes fill the last byte
    recorder = Unheard("flooded", "-q", "--on-file-closed",
                       f"if mkdir {once} 2>/dev/null; then {flood}; fi")
    h.wait_for(lambda: recorder.files() >= FILES and recorder.is_full(), what="files and a flood")
    recorder.process.send_signal(signal.SIGHUP)  # nothing to read again: an error is said
    before = recorder.files()
    h.wait_for(lambda: recorder.files() >= before + FILES, what=f"{FILES} more files")
    assert recorder.status()["ok"]
    assert "y" in recorder.end()


class Untold:
    """A recorder whose standard output is a pipe that has room for a part of a summary only."""

    def __init__(self, name, *arguments):
        self.path = h.segment(name)
        self.source = h.sim(self.path, "--size", "16x16", "--rate", 1000, "--depth", 4096, "-d",
                            "300s")
        self.folder = os.path.join(h.output, name)
        self.unread, printed = os.pipe()
        fcntl.fcntl(printed, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.process = subprocess.Popen(
            [h.DAOREC, "record", "--json", "-o", self.folder, "--wait=60s", "--roll-frames",
             str(EVERY), *arguments, self.path], stdout=printed, stderr=subprocess.PIPE, text=True)
        h._processes.append(self.process)
        os.close(printed)

    def held(self):
        return struct.unpack("i", fcntl.ioctl(self.unread, termios.FIONREAD, bytes(4)))[0]

    def await_files(self, sessions):
        """Enough of them in so many sessions for a summary that the pipe cannot hold."""
        def are_there():
            folders = glob.glob(os.path.join(self.folder, "*", h.stream_name(self.path)))
            return len(folders) == sessions and all(
                len(glob.glob(os.path.join(folder, "*.fits"))) >= LISTED for folder in folders)
        h.wait_for(are_there, what=f"{LISTED} files in {sessions} sessions")

    def read(self, until):
        """What it has printed, until that is so."""
        text = b""
        while not until(text):
            piece = os.read(self.unread, 65536)
            if not piece:
                break
            text += piece
        return text.decode()


def a_service_goes_on_whose_summary_nobody_reads():
    control = os.path.join(h.segments, "untold")
    recorder = Untold("untold", "--idle", f"--control={control}")
    h.wait_for(lambda: os.path.exists(control), what="the control socket")

    def ask(verb):
        run = subprocess.run([h.DAOREC, "ctl", "--socket", control, "--timeout=60s", verb],
                             capture_output=True, text=True, check=False, timeout=90)
        return run.returncode
    for session in 1, 2:
        assert ask("start") == 0
        recorder.await_files(session)
        assert ask("stop") == 1, "output that did not arrive is a failure"
        assert ask("status") == 0
        assert recorder.held() == PIPE_BYTES, "it was not full"
    assert len(os.read(recorder.unread, PIPE_BYTES)) == PIPE_BYTES
    assert ask("start") == 0
    recorder.process.send_signal(signal.SIGTERM)
    lines = recorder.read(lambda _: False).split("\n")
    assert lines[0] == "" and lines[2:] == [""], lines
    assert len(json.loads(lines[1])["streams"]) == 1
    errors = recorder.process.communicate(timeout=90)[1]
    assert recorder.process.returncode == 1, errors
    assert errors.count("standard output: nobody took what was written") == 2, errors
    recorder.source.terminate()


def a_recording_that_ends_waits_for_the_reader_of_its_summary_or_for_a_signal():
    read, stopped = (Untold(name, "-n", str(EVERY * LISTED)) for name in ("awaited", "stopped"))
    for recorder in read, stopped:
        h.wait_for(lambda r=recorder: r.held() == PIPE_BYTES, what="a full pipe")
    time.sleep(PATIENCE)
    for recorder in read, stopped:
        assert recorder.process.poll() is None, "it has not waited for the reader"
    stopped.process.send_signal(signal.SIGTERM)
    errors = stopped.process.communicate(timeout=90)[1]
    assert stopped.process.returncode == 1, errors
    assert errors.count("standard output: nobody took what was written") == 1, errors
    text = read.read(lambda text: text.endswith(b"\n"))
    assert len(json.loads(text)["streams"][0]["files"]) >= LISTED, text
    errors = read.process.communicate(timeout=90)[1]
    assert read.process.returncode in (0, 3), errors
    for recorder in read, stopped:
        recorder.source.terminate()


def a_summary_that_cannot_be_written_is_a_failure_with_its_reason_unless_it_is_not_wanted():
    path = h.segment("full")
    source = h.sim(path, "--size", "16x16", "--rate", 1000, "--depth", 4096, "-d", "300s")
    h.wait_for(lambda: os.path.exists(path), what="a segment")
    unread, gone = os.pipe()
    os.close(unread)
    with open("/dev/full", "wb") as full, os.fdopen(gone, "wb") as gone:
        for form in [], ["--json"]:
            for to, status, said in (
                    (full, 1, "daorec: standard output: No space left on device\n"), (gone, 0, "")):
                run = subprocess.run([h.DAOREC, "record", "-q", *form, "-o", h.output, "-n", "20",
                                      path], stdout=to, stderr=subprocess.PIPE, text=True,
                                     timeout=90)
                assert (run.returncode, run.stderr) == (status, said), (form, to, run)
    source.terminate()


if __name__ == "__main__":
    h.main([a_pipe_that_nobody_reads_costs_no_frame_and_the_recorder_hears,
            a_hook_that_floods_it_costs_no_frame,
            a_service_goes_on_whose_summary_nobody_reads,
            a_recording_that_ends_waits_for_the_reader_of_its_summary_or_for_a_signal,
            a_summary_that_cannot_be_written_is_a_failure_with_its_reason_unless_it_is_not_wanted])
