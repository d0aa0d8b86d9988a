#!/usr/bin/env python3
"""Several streams in one recorder: segments that are not there yet, and files that end together."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402

SHAPE = (24, 16)


def begin(path, rate=500, *arguments):
    process = h.sim(path, "--size", "24x16", "--type", "uint16", "--rate", rate, "--depth", 4096,
                    "--pattern", "ramp", *arguments)
    h.wait_for(lambda: os.path.exists(path), what="a segment")
    return process


class Run:
    """A recorder in a root of its own; one that is no superuser, where that is wanted."""

    def __init__(self, *arguments, is_plain=False):
        self.root, user = f.new_root(), {}
        if is_plain and os.geteuid() == 0:
            os.chown(self.root, 65534, 65534)
            os.chmod(h.output, 0o711)
            os.chmod(h.segments, 0o711)
            user = {"user": 65534, "group": 65534, "extra_groups": []}
        self.process = h.start(h.DAOREC, "record", "--json", "-o", self.root, *arguments, **user)

    def ledger(self):
        """None: there is none yet."""
        for name in os.listdir(self.root):
            try:
                with open(os.path.join(self.root, name, "session.json"), encoding="utf-8") as file:
                    return json.load(file)
            except FileNotFoundError:
                pass
        return None

    def has_frames(self, path, number=1):
        folder = h.stream_name(path)

        def is_there():
            status = self.process.poll()
            assert status is None, (status, self.process.stderr.read())
            return any(os.path.exists(os.path.join(
                self.root, session, folder, f"{folder}_{number:06d}.fits{end}"))
                for session in os.listdir(self.root) for end in ("", ".part"))
        h.wait_for(is_there, what="a file")

    def end(self, status=0):
        """The summary; what was said."""
        self.process.terminate()
        out, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == status, (self.process.returncode, errors)
        if os.listdir(self.root):
            h.verified(self.root)
        return json.loads(out) if out else None, errors


def rows_of(summary, path):
    mine = next(s for s in summary["streams"] if s["name"] == h.stream_name(path))
    h.judge(*mine["files"])
    cube, rows = h.load(mine["files"])
    counts = rows["CNT0"].astype(np.int64)
    assert (cube == h.ramp(counts, SHAPE, "uint16")).all()
    assert mine["lost"] == 0 and (np.diff(counts) == 1).all(), mine
    return counts, rows


def what_appears_late_is_recorded_from_its_first_frame():
    there, late, never = h.segment("there"), h.segment("late"), h.segment("never")
    source = begin(there)
    run = Run(there, late, never)
    run.has_frames(there)
    h.wait_for(lambda: run.ledger() and "awaited" in run.ledger(), what="a ledger")
    assert [a["segment"] for a in run.ledger()["awaited"]] == [late, never]
    other = begin(late)
    run.has_frames(late)
    time.sleep(0.5)
    summary, errors = run.end()
    counts, rows = rows_of(summary, late)
    assert counts[0] == 1 and (rows["FLAGS"] == 0).all()
    rows_of(summary, there)
    assert [s["name"] for s in summary["streams"]] == [h.stream_name(p) for p in (there, late)]
    assert f"{late} is there" in errors and f"{never} never appeared" in errors, errors
    assert len(os.listdir(os.path.join(run.root, summary["session"]))) == 3, "a folder too many"
    assert [a["segment"] for a in run.ledger()["awaited"]] == [never]
    for process in (source, other):
        process.kill()


def what_appears_late_may_go_and_come_back_in_another_shape():
    there, late = h.segment("stays"), h.segment("goes")
    source = begin(there)
    run = Run("--backlog", there, late)
    run.has_frames(there)
    for size, number in (("24x16", 1), ("8x8", 2)):
        h.sim(late, "--size", size, "--type", "uint16", "--rate", 500, "--depth", 1024,
              "--pattern", "ramp", "-n", 100).wait(timeout=60)
        run.has_frames(late, number)
        os.unlink(late)  # what it holds is recorded all the same
    summary, errors = run.end()
    mine = next(s for s in summary["streams"] if s["name"] == h.stream_name(late))
    assert mine["expected"] == mine["recorded"] == 200 and mine["lost"] == 0, (mine, errors)
    source.kill()


def all_or_nothing_is_what_all_says():
    there, late = h.segment("one"), h.segment("other")
    source = begin(there)
    run = Run("--all", there, late)
    out, errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 1 and late in errors and not out, errors
    assert os.listdir(run.root) == []
    run = Run("--all", "--wait", there, late)
    time.sleep(0.3)
    assert os.listdir(run.root) == [] and run.process.poll() is None
    other = begin(late)
    run.has_frames(there)
    run.has_frames(late)
    summary, _ = run.end()
    assert len(summary["streams"]) == 2
    for process in (source, other):
        process.kill()


def with_none_of_several_there_is_nothing_to_record():
    paths = [h.segment("none1"), h.segment("none2")]
    run = Run(*paths)
    _, errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 1 and errors.count("\n") == 1 and "--wait" in errors, errors
    run = Run("--wait", *paths)
    time.sleep(0.2)
    assert run.process.poll() is None and os.listdir(run.root) == []
    source = begin(paths[1])
    run.has_frames(paths[1])
    summary, _ = run.end()
    assert rows_of(summary, paths[1])[0][0] >= 1
    source.kill()
    os.unlink(paths[1])
    with open(h.segment("begun"), "wb") as begun:
        begun.truncate(8192)  # its header is still to come
    for wait, alone, none, unmade in (
            ((), "; start its source, or wait for it with --wait",
             "; start their sources, or wait with --wait", "; wait for its creator with --wait"),
            (("--wait=200ms",), "; it did not appear within 200ms: start its source",
             "; none appeared within 200ms: start their sources",
             "; wait longer for its creator with --wait")):
        for segments, says in (
                (paths[:1], f"{paths[0]}: No such file or directory{alone}"),
                (paths, f"none of 2 segments is there, such as {paths[0]}{none}"),
                ([begun.name], f"the segment is still being created{unmade}")):
            record = subprocess.run([h.DAOREC, "record", "-q", "-o", run.root, *wait, *segments],
                                    capture_output=True, text=True, check=False, timeout=60)
            assert record.returncode == 1 and record.stderr.count("\n") == 1, record
            assert says in record.stderr, record


def what_is_no_segment_yet_is_recorded_from_when_it_is_one():
    there, grown, replaced, foreign = (h.segment(n) for n in ("right", "grown", "new", "foreign"))
    source = begin(there, 50)  # its FIFO lasts for longer than three recorders on a busy machine
    for path in (grown, replaced, foreign):
        with open(path, "wb") as file:
            file.write(b"x" * 100)
    inode = os.stat(grown).st_ino
    made = h.segment("made")
    h.sim(made, "--size", "24x16", "--type", "uint16", "--rate", 0, "--depth", 1024,
          "--pattern", "ramp", "-n", 100).wait(timeout=60)
    for arguments in ((), ("--wait",)):
        run = Run("--backlog", *arguments, foreign, there)
        run.has_frames(there)
        _, errors = run.end()
        assert f"{foreign}: not a DAO segment: too short" in errors, errors
        assert "it is recorded from when it becomes a segment" in errors, errors
    run = Run("--backlog", "--wait", grown, there, replaced, foreign)
    run.has_frames(there)
    with open(made, "rb") as file:
        content = file.read()
    with open(grown, "r+b") as file:
        file.write(content)
    assert os.stat(grown).st_ino == inode
    os.rename(made, replaced)
    for path in (grown, replaced):
        run.has_frames(path)
    summary, errors = run.end()
    for path in (grown, replaced):
        assert list(rows_of(summary, path)[0]) == list(range(1, 101)), errors
    assert re.search(foreign + ": not a DAO segment: too short.*; nothing of it was recorded",
                     errors) and "never appeared" not in errors, errors
    source.kill()


def what_may_not_be_opened_is_recorded_from_when_it_may():
    there, folder, secret, foreign = (h.segment(n) for n in ("read", "folder", "secret", "locked"))
    source = begin(there)
    os.chmod(there, 0o644)
    for path in (secret, made := h.segment("filled")):
        h.sim(path, "--size", "24x16", "--type", "uint16", "--rate", 0, "--depth", 1024,
              "--pattern", "ramp", "-n", 100).wait(timeout=60)
    os.chmod(made, 0o644)
    with open(foreign, "wb") as file:
        file.write(b"x" * 100)
    for path in (secret, foreign):
        os.chmod(path, 0)
    os.mkdir(folder)
    for odd, says in ((folder, "Is a directory"), (secret, "Permission denied: it belongs to ")):
        run = Run("--all", there, odd, is_plain=True)
        _, errors = run.process.communicate(timeout=60)
        assert run.process.returncode == 1 and os.listdir(run.root) == [], errors
        assert errors.splitlines()[-1].startswith(f"daorec: {odd}: {says}"), errors
    run = Run("--backlog", folder, secret, there, foreign, is_plain=True)
    run.has_frames(there)
    os.rmdir(folder)
    os.rename(made, folder)
    os.chmod(secret, 0o644)
    for path in (folder, secret):
        run.has_frames(path)
    summary, errors = run.end()
    for path in (folder, secret):
        assert list(rows_of(summary, path)[0]) == list(range(1, 101)), errors
    assert f"{folder}: Is a directory; it is recorded from when it becomes a segment" in errors
    for path in (secret, foreign):
        assert re.search(
            path + ": Permission denied: .*; it is recorded from when it may be opened", errors), errors
    assert re.search(
        foreign + ": Permission denied: .*; nothing of it was recorded", errors), errors
    source.kill()
    os.unlink(folder)
    os.mkdir(folder)
    for other, says in ((h.segment("absent"), f"{folder}: Is a directory"),
                        (foreign, f"{foreign}: Permission denied")):
        run = Run(folder, other, is_plain=True)  # nothing that could be recorded
        _, errors = run.process.communicate(timeout=60)
        assert run.process.returncode == 1 and os.listdir(run.root) == [], errors
        assert f"none of 2 segments is there: {says}" in errors, errors
    os.rmdir(folder)


def of_what_may_not_be_opened_at_first_only_new_frames_are_recorded():
    there, shut = h.segment("open"), h.segment("shut")
    sources = [begin(path, 200) for path in (there, shut)]
    os.chmod(there, 0o644)
    h.wait_for(lambda: h.newest_count(shut) > 20, what="frames")
    before = h.newest_count(shut)
    os.chmod(shut, 0)
    run = Run(there, shut, is_plain=True)
    run.has_frames(there)
    os.chmod(shut, 0o644)
    run.has_frames(shut)
    summary, _ = run.end()
    assert rows_of(summary, shut)[0][0] > before
    for process in sources:
        process.kill()


def what_replaces_one_that_may_not_be_opened_is_recorded_from_its_first_frame():
    there, shut, made = h.segment("beside"), h.segment("replaced"), h.segment("anew")
    source = begin(there)
    os.chmod(there, 0o644)
    for path in (shut, made):
        h.sim(path, "--size", "24x16", "--type", "uint16", "--rate", 0, "--depth", 1024,
              "--pattern", "ramp", "-n", 100).wait(timeout=60)
    os.chmod(shut, 0)
    os.chmod(made, 0o644)
    run = Run(there, shut, is_plain=True)
    run.has_frames(there)
    os.rename(made, shut)
    run.has_frames(shut)
    summary, errors = run.end()
    assert list(rows_of(summary, shut)[0]) == list(range(1, 101)), errors
    source.kill()


def with_no_segment_among_several_files_nothing_is_recorded():
    paths = [h.segment("odd1"), h.segment("odd2")]
    for path in paths:
        with open(path, "wb") as file:
            file.write(b"x" * 100)
    for arguments in ((), ("--wait",), ("--all",), ("--all", "--wait")):
        run = Run(*arguments, *paths)
        _, errors = run.process.communicate(timeout=60)
        assert run.process.returncode == 1 and os.listdir(run.root) == [], errors
        assert "not a DAO segment: too short" in errors.splitlines()[-1], errors


def two_segments_of_one_name_are_refused():
    path = h.segment("once")
    other = os.path.join(h.output, os.path.basename(path))
    for second, said in ((path, f"{path} is given twice; give it once"),
                         (other, f"{path} and {other} would both be stream "
                          f"'{h.stream_name(path)}'; link one of them under another name")):
        run = Run(path, second)
        _, errors = run.process.communicate(timeout=60)
        assert run.process.returncode == 2 and os.listdir(run.root) == [], errors
        assert errors == f"daorec: {said}\n", errors


def drains_of(process):
    """How many threads take frames."""
    folder, count = f"/proc/{process.pid}/task", 0
    for task in os.listdir(folder):
        with open(f"{folder}/{task}/comm", encoding="ascii") as file:
            count += file.read() == "drain\n"
    return count


def a_dozen_streams_share_a_thread_also_when_they_go_and_come_back():
    paths = [h.segment(f"many{i}") for i in range(12)]
    sources = [begin(path, 100) for path in paths[1:]]
    run = Run(*paths)
    for path in paths[1:]:
        run.has_frames(path)
    sources.append(begin(paths[0], 100))
    run.has_frames(paths[0])
    assert drains_of(run.process) == 2  # one for those that are away
    sources.pop(0).kill()
    os.unlink(paths[1])
    sources.append(begin(paths[1], 100))
    run.has_frames(paths[1], 2)
    assert drains_of(run.process) == 2
    summary, _ = run.end()
    for path in paths[:1] + paths[2:]:
        assert rows_of(summary, path)[0].size > 0
    back = next(s for s in summary["streams"] if s["name"] == h.stream_name(paths[1]))
    assert back["lost"] == 0 and len(back["files"]) == 2, back
    for process in sources:
        process.kill()


def a_thread_that_comes_late_again_and_again_shares_its_streams_with_another():
    paths = [h.segment(f"late{i}") for i in range(4)]
    sources = [h.sim(path, "--size", "24x16", "--type", "uint16", "--rate", 200, "--depth", 512,
                     "--pattern", "ramp") for path in paths]
    run = Run("--wait", "--all", *paths)
    for path in paths:
        run.has_frames(path)
    assert drains_of(run.process) == 2

    def is_shared_after_a_stall():
        h.freeze(run.process)
        time.sleep(1.2)  # more than a third of what the FIFOs hold
        run.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        return drains_of(run.process) > 2
    h.wait_for(is_shared_after_a_stall, what="another thread")
    run.process.terminate()
    out, errors = run.process.communicate(timeout=60)
    assert run.process.returncode in (0, 3), errors  # a source that was held up, too, may lap it
    h.verified(run.root)
    for mine in json.loads(out)["streams"]:
        h.judge(*mine["files"])
        assert mine["recorded"] > 200 and mine["recorded"] + mine["lost"] == mine["expected"], mine
    for process in sources:
        process.kill()


def files_end_together_at_the_same_second():
    paths = {h.segment("quick"): 1000, h.segment("slow"): 60, h.segment("slower"): 3}
    sources = [begin(path, rate) for path, rate in paths.items()]
    run = Run("--roll-time=1s", "--roll-together", *paths)
    h.wait_for(lambda: run.ledger() and all(
        len(s["files"]) > 4 for s in run.ledger()["streams"]), what="files of each")
    summary, _ = run.end()
    for path in paths:
        mine = next(s for s in summary["streams"] if s["name"] == h.stream_name(path))
        assert mine["lost"] == 0
        seconds = []
        for file in mine["files"]:
            rows = fits.getdata(file, "FRAMES")
            within = set(rows["ATIME"] // 1000000000)
            assert len(within) == 1, (file, within)
            seconds += within
        assert seconds == sorted(seconds) and len(seconds) >= 4, (path, seconds)
        counts, rows = rows_of(summary, path)
        assert len(counts) == mine["recorded"]
        # One that is held up makes up for it: its file may be full before the second is over.
        longest_ns = max(np.diff(rows[column]).max() for column in ("ATIME", "RTIME"))
        was_held_up = longest_ns > 2e9 / paths[path] + 1e8
        assert was_held_up or len(set(seconds)) == len(seconds), (path, seconds, longest_ns)
    for process in sources:
        process.kill()


def the_first_file_ends_with_the_others_too():
    """Its stream's rate is not known yet; alone it would end after 10000 frames."""
    path = h.segment("first")
    h.sim(path, "--size", "8", "--rate", 0, "--depth", 16384, "-n", 12000).wait(timeout=60)
    run = Run("--backlog", "-n12000", "--roll-time=1h", "--roll-together", path)
    out, errors = run.process.communicate(timeout=60)
    assert run.process.returncode == 0, errors
    files = json.loads(out)["streams"][0]["files"]
    hours = [set(fits.getdata(file, "FRAMES")["ATIME"] // 3600000000000) for file in files]
    assert sum(len(fits.getdata(file, "FRAMES")) for file in files) == 12000
    assert all(len(hour) == 1 for hour in hours), hours
    assert len(files) == len(set.union(*hours)), hours


if __name__ == "__main__":
    h.main([
        f.together(what_appears_late_is_recorded_from_its_first_frame,
                   what_appears_late_may_go_and_come_back_in_another_shape,
                   all_or_nothing_is_what_all_says,
                   with_none_of_several_there_is_nothing_to_record,
                   what_is_no_segment_yet_is_recorded_from_when_it_is_one,
                   what_may_not_be_opened_is_recorded_from_when_it_may,
                   of_what_may_not_be_opened_at_first_only_new_frames_are_recorded,
                   what_replaces_one_that_may_not_be_opened_is_recorded_from_its_first_frame,
                   with_no_segment_among_several_files_nothing_is_recorded,
                   two_segments_of_one_name_are_refused,
                   a_dozen_streams_share_a_thread_also_when_they_go_and_come_back,
                   a_thread_that_comes_late_again_and_again_shares_its_streams_with_another,
                   files_end_together_at_the_same_second,
                   the_first_file_ends_with_the_others_too),
    ])
