#!/usr/bin/env python3
"""daorec top on a terminal of 80 columns and 24 lines, as a terminal emulator shows it: what is on
the screen is what the recorder says, and its keys ask for what they are said to."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import pyte

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402


def stream(name, **other):
    """As state.h has it, with losses, a long name, and so on where a test wants them."""
    return {"name": name, "segment": f"/tmp/{name}.im.shm", "condition": "running",
            "shape": "uint16 80x80", "frame_bytes": 12800, "frames": 123456, "rate_hz": 998.7,
            "lost": 0, "lost_by": {"lapped": 0, "disk": 0, "source": 0, "restart": 0}, "gaps": 0,
            "torn": 0, "fifo_depth": 64, "fifo_backlog": 8, "buffer_bytes": 1000,
            "buffer_fill": 0.31, "bytes_written": 10, "bytes_per_s": 12.8e6,
            "file": {"name": f"{name}_000078.fits.part", "frames": 5, "bytes": 218688000},
            "files_closed": 77, "restarts": 0,
            "latency": {"count": 100, "sum_s": 1, "p50_s": 1, "p99_s": 1, "p999_s": 1, "max_s": 1,
                        "buckets_ns": [[98303, 100]]}, **other}


def state(*streams, **other):
    return {"ok": True, "program": "daorec", "version": "0", "condition": "running",
            "session": "2026-11-26_05-29-35", "uuid": "u", "host": "rtc1", "root": "/data",
            "recording_s": 100.0, "bytes_written": 1, "bytes_per_s": 25.6e6,
            "disk_free_bytes": 2 * 10**12, "full_in_s": 79200, "disk_bytes": 8 * 10**12, "buffer_bytes": 1000,
            "buffer_fill": 0.31, "streams": list(streams), **other}


class Recorder:
    """A control socket that answers what a test says, and keeps what it was asked."""

    def __init__(self, first):
        self.path = os.path.join(tempfile.mkdtemp(dir=h.output), "control")
        self.state, self.asked, self.answers = first, [], {}
        self.listen()

    def listen(self):
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(8)
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def vanish(self):
        os.unlink(self.path)
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def _accept(self, server):
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            try:
                self._answer(connection)
            except OSError:
                pass  # who asked is gone

    def _answer(self, connection):
        with connection, connection.makefile("rwb", buffering=0) as file:
            request = json.loads(file.readline())
            if request["verb"] != "status":
                self.asked.append((request["verb"], request.get("text")))
            answer = self.answers.get(request["verb"], {"ok": True})
            if request["verb"] == "status":
                answer = self.state() if callable(self.state) else self.state
            connection.sendall(json.dumps(answer).encode() + b"\n")


class Top:
    """daorec top, and the screen that it draws."""

    def __init__(self, recorder, columns=80, lines=24, language="C.UTF-8", nohup=False):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.fd, inside = pty.openpty()
        self.resize(columns, lines, inside)
        self.process = subprocess.Popen(
            [h.DAOREC, "top", "--socket", recorder.path, "--every", "100ms"], stdin=inside,
            stdout=inside, stderr=inside, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": language},
            preexec_fn=lambda: (fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                nohup and signal.signal(signal.SIGHUP, signal.SIG_IGN)))
        os.close(inside)
        h._processes.append(self.process)

    def resize(self, columns, lines, fd=None):
        fcntl.ioctl(self.fd if fd is None else fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def read(self):
        if select.select([self.fd], [], [], 0.05)[0]:
            try:
                self.stream.feed(os.read(self.fd, 65536))
            except OSError:  # it has ended
                return False
        return True

    def shows(self, *texts, seconds=30):
        """Until all of them are on the screen, which is returned."""
        return self.shows_that(lambda display: all(text in "\n".join(display) for text in texts),
                               *texts, seconds=seconds)

    def shows_that(self, holds, *what, seconds=30):
        end = time.monotonic() + seconds
        while not holds(self.screen.display):
            assert time.monotonic() < end and self.read(), (what, *self.screen.display)
        return self.screen.display

    def row(self, name):
        return next(line for line in self.screen.display[3:] if line.startswith(name))

    def press(self, keys):
        os.write(self.fd, keys)

    def end(self):
        self.press(b"q")
        while self.read() and self.process.poll() is None:
            pass
        assert self.process.wait(timeout=30) == 0


def at_80_columns_a_row_has_all_of_a_stream():
    lossy = stream("slopes", lost=3586, fifo_backlog=60, buffer_fill=0.91, rate_hz=12345.0,
                   lost_by={"lapped": 3000, "disk": 586, "source": 0, "restart": 0},
                   frames=1234567890)
    gone = stream("a_stream_with_quite_a_long_name", condition="gone", file=None, rate_hz=0.0)
    recorder = Recorder(state(stream("wfs"), lossy, gone))
    top = Top(recorder)
    display = top.shows("wfs", "slopes", "LOST 3586", "gone", "q quit")
    assert display[0].startswith("daorec running  2026-11-26_05-29-35, "), display[0]
    assert "rtc1:/data" in display[0] and "3 streams" in display[1], display
    assert "25.6 MB/s" in display[1] and "2.00 TB free, full in 22 h" in display[1], display[1]
    titles = display[3].split()
    assert titles == "stream rate/s frames lost backlog buf MB/s p99 latency file".split(), titles
    wfs = top.row("wfs").split()
    assert wfs[1:4] == ["998.7", "123456", "0"] and wfs[-1] == "#78", wfs
    assert wfs[5:7] == ["31%", "12.8"], wfs
    lost = top.row("slopes")
    assert lost.split()[1:4] == ["12.3k", "1.23G", "3586"] and "91%" in lost, lost
    assert lost.count("█") == 6, lost  # 60 of 64 in seven columns
    red = [top.screen.buffer[5][x].fg for x in range(80) if lost[x:x + 4] == "3586"]
    assert red == ["red"], red
    assert top.row("a_stream_wit").split()[1] == "gone"
    assert "wfs: uint16 80x80, backlog 8/64, latency p50 98us" in "\n".join(display), display
    assert "wfs_000078.fits.part, 219 MB, 77 closed" in "\n".join(display), display
    assert all(key in display[23] for key in ("quit", "next file", "mark", "stop")), display[23]
    top.press(b"\x1bOB")  # down, as a terminal sends it that was asked for its keypad
    top.shows("lost: lapped 3000, disk 586")
    top.end()


def the_latency_is_that_of_the_last_look_and_its_line_moves():
    looks = {"count": 0}

    def growing():
        looks["count"] += 1
        n, slow = looks["count"], max(0, looks["count"] - 20)
        buckets = [[98303, 100 * n], [3932159, 100 * slow]]
        return state(stream("wfs", latency={"buckets_ns": buckets}))
    recorder = Recorder(growing)
    top = Top(recorder)
    top.shows("98us")
    top.shows("3.9ms")
    top.shows("▁█")  # from the lowest to the highest in one step
    top.end()


def its_keys_ask_for_what_they_say():
    recorder = Recorder(state(stream("wfs")))
    recorder.answers["roll"] = {"ok": False, "error": "no file is open"}
    top = Top(recorder)
    top.shows("wfs")
    top.press(b"r")
    top.shows("roll: no file is open")
    top.press(b"m")
    top.shows("mark: _")
    top.press(b"loop closex\x7fd\r")
    top.shows("mark: done")
    top.press(b"s")
    top.shows("Stop this recording?")
    top.press(b"n")
    top.shows("q quit")
    top.press(b"m")
    top.shows("mark: _")
    top.press(b"not this\x1b")
    top.shows("q quit")
    assert recorder.asked == [("roll", None), ("mark", "loop closed")], recorder.asked
    top.press(b"s")
    top.shows("Stop this recording?")
    top.press(b"y")
    top.shows("stop: done")
    assert recorder.asked[2:] == [("stop", None)], recorder.asked
    top.end()


def who_does_not_answer_any_more_is_said_until_he_does():
    recorder = Recorder(state(stream("wfs")))
    top = Top(recorder)
    top.shows("wfs", "running")
    recorder.vanish()
    display = top.shows("daorec silent", "\nno answer, and this is what it said last", "q quit")
    assert any(line.startswith("wfs ") for line in display), display
    recorder.listen()
    top.shows("daorec running")
    top.end()


def whole_rows(display):
    """What does not fit a row is not in the next one; the last row is of a stream."""
    return (display[0].startswith("daorec running") and display[1].startswith("40 streams") and
            not display[2].strip() and display[3].startswith("stream") and
            all(re.match(r"s\d\d ", line) for line in display[4:]))


def more_streams_than_rows_are_scrolled_and_other_sizes_do():
    recorder = Recorder(state(*[stream(f"s{i:02}") for i in range(40)]))
    top = Top(recorder)
    display = top.shows("s00", "1 of 40", "q quit")
    shown = [line for line in display if line.startswith("s")]
    assert len(shown) >= 14 and not any(line.startswith("s39") for line in shown), display
    top.press(b"j" * 39)
    top.shows("s39", "40 of 40")
    top.resize(160, 50)
    top.shows("s00_000078.fits.part", "s38_000078.fits.part", "█▌", "40 of 40", "q quit")
    assert sum(line.startswith("s") for line in top.screen.display[4:44]) == 40, top.screen.display
    top.resize(40, 6)
    top.shows("s39")
    top.shows_that(whole_rows)
    top.resize(20, 5)
    top.shows_that(whole_rows)
    top.end()


def without_utf_8_it_draws_with_ascii():
    recorder = Recorder(state(stream("wfs", fifo_backlog=32)))
    top = Top(recorder, language="C")
    top.shows("wfs")
    top.shows("###|")
    assert all(ord(c) < 128 for c in top.row("wfs")), top.row("wfs")
    top.end()


def it_ends_with_its_terminal_also_under_nohup():
    recorder = Recorder(state(stream("wfs")))
    for nohup in (False, True):
        top = Top(recorder, nohup=nohup)
        top.shows("wfs", "q quit")
        os.close(top.fd)
        top.process.wait(timeout=30)


def nothing_to_watch_is_a_line():
    def refused(arguments, status, says, **options):
        run = subprocess.run([h.DAOREC, "top", *arguments], text=True, timeout=60,
                             stderr=subprocess.PIPE, **options)
        assert run.returncode == status and run.stderr.count("\n") == 1, run
        assert says in run.stderr, run.stderr
    outside, inside = pty.openpty()
    on_terminal = {"stdin": inside, "stdout": inside}
    refused([], 2, "terminal", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    refused(["wfs"], 2, "'wfs'", **on_terminal)
    refused(["--socket", h.output + "/nobody"], 1, "nobody", **on_terminal)
    refused(["--socket", "x" * 108], 2, "has 108 bytes", **on_terminal)
    os.close(inside)
    os.close(outside)
    stranger = Recorder({"hello": 1})
    top = Top(stranger)
    while top.read() and top.process.poll() is None:
        pass
    assert top.process.wait(timeout=30) == 1
    assert "no recorder" in "\n".join(top.screen.display), top.screen.display


if __name__ == "__main__":
    if "built without the verb top" in subprocess.run([h.DAOREC, "--version"], capture_output=True,
                                                      text=True, check=True).stdout:
        print("this daorec was built without ncurses")
        sys.exit(77)
    h.main([
        at_80_columns_a_row_has_all_of_a_stream,
        the_latency_is_that_of_the_last_look_and_its_line_moves,
        its_keys_ask_for_what_they_say,
        who_does_not_answer_any_more_is_said_until_he_does,
        more_streams_than_rows_are_scrolled_and_other_sizes_do,
        without_utf_8_it_draws_with_ascii,
        it_ends_with_its_terminal_also_under_nohup,
        nothing_to_watch_is_a_line,
    ])
