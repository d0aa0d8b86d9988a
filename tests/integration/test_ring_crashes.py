#!/usr/bin/env python3
"""A ring of files goes on over what crashes left: finished files of sessions whose recorder died go
like those of others, their ledgers say so in a way that repair goes on from, and what is unfinished
is not touched. What repair makes of a session must be the same whether files of it went or not."""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

import faults as f  # noqa: E402
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402

CAMERA = h.segment("cam")
DEPTH = 512
SOURCES = []
SHIM = os.path.join(h.BUILD, "tests", "support", "preload_kill.so")


def begin_source():
    SOURCES.append(h.sim(CAMERA, "--size", "64x48", "--type", "uint16", "--rate", 1000, "--depth",
                         DEPTH, "--pattern", "ramp"))
    h.wait_for(lambda: os.path.exists(CAMERA), what="a segment")


def run(*arguments, status=0, **options):
    done = subprocess.run([h.DAOREC, *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=60, **options)
    assert status is None or done.returncode == status, done
    return done


def files_of(root, ending=".fits"):
    return sorted(glob.glob(os.path.join(root, "*", h.stream_name(CAMERA), "*" + ending)))


def ledger_of(session):
    with open(os.path.join(session, "session.json"), encoding="utf-8") as file:
        return json.load(file)


def crash(root, *arguments, files=10, disturb=None):
    """The folder of a session whose recorder was killed."""
    before = set(glob.glob(os.path.join(root, "*-*")))
    recorder = f.start(root, "--roll-frames", 50, *arguments, CAMERA)

    def newest():
        parts = glob.glob(os.path.join(root, "*-*", "*", "*.part"))
        return max((int(part.rsplit("_", 1)[1].split(".")[0]) for part in parts
                    if os.path.dirname(os.path.dirname(part)) not in before), default=0)

    h.wait_for(lambda: newest() >= min(3, files), what="files")
    if disturb:
        disturb(recorder)
    last = max(files, newest() + 3 * bool(disturb))
    h.wait_for(lambda: newest() >= last, what="more files")
    recorder.process.kill()
    recorder.process.communicate()
    (session,) = set(glob.glob(os.path.join(root, "*-*"))) - before
    wait_for_locks(session)
    return session


def lose_frames_and_begin_anew(recorder):
    """Frames are lapped, and then the source starts again, with counts of its own."""
    h.freeze(recorder.process)
    h.wait_for_frames(CAMERA, 2 * DEPTH, "laps")
    recorder.process.send_signal(signal.SIGCONT)
    h.wait_for(lambda: any(s["lost_by"]["lapped"] for s in recorder.ledger().get("streams", ())),
               what="frames to be lost")
    source = SOURCES.pop()
    source.terminate()
    source.communicate()
    begin_source()
    h.wait_for(lambda: any(s["restarts"] for s in recorder.ledger().get("streams", ())),
               what="a restart")


def doubts(root):
    """Of all that verify says, what is not about a crash as such."""
    said = run("verify", root, status=None).stdout.splitlines()
    usual = ("a crash left it unfinished", "unfinished", ": good, ",
             ": doubts, see above", ".fits.part: ")
    return [line for line in said if not any(words in line for words in usual)]


def repaired(session):
    """The stream in the ledger that repair makes of it, which is verified."""
    run("repair", "--apply", session)
    h.verified(session)
    ledger = ledger_of(session)
    assert ledger["recovered"] is True
    (told,) = ledger["streams"]
    assert told["expected"] == told["recorded"] + told["lost"], told
    return told


NUMBERS = ("expected", "recorded", "torn", "lost", "lost_by", "restarts", "runs", "gaps",
           "geometries")


def check_same_books(session, whole):
    """As in a copy of it of which nothing was removed."""
    told, want = repaired(session), repaired(whole)
    for key in NUMBERS:
        assert told[key] == want[key], (key, told[key], want[key])
    left = {file["name"] for file in told["files"]}
    gone = [file for file in want["files"] if file["name"] not in left]
    assert told["removed"]["files"] == len(gone), (told["removed"], len(gone))
    assert told["removed"]["frames"] == sum(file["frames"] for file in gone)


def copy_of(session):
    other = os.path.join(f.new_root(), os.path.basename(session))
    shutil.copytree(session, other)
    return other


def finished_files_of_a_crashed_session_go_and_repair_makes_the_same_of_it():
    root = f.new_root()
    session = crash(root, disturb=lose_frames_and_begin_anew)
    whole, before, parts = copy_of(session), files_of(root), files_of(root, ".part")
    assert parts and len(before) >= 6, (parts, before)
    content = {part: open(part, "rb").read() for part in parts}
    # All but the last two, then all of them: 'follows' from each of the files that lost frames. On
    # a slow disk there are hundreds, since the ledger is written seldom and was waited for.
    for keep in range(len(before) - 1, 0, -max(4, len(before) // 6)):
        run("record", "-q", "-o", root, "--keep-files", keep, "--roll-frames", 1000, "-n", 50,
            CAMERA)
        for other in set(glob.glob(os.path.join(root, "*-*"))) - {session}:
            shutil.rmtree(other)
        assert files_of(root) == before[len(before) - keep + 1:], (keep, files_of(root))
        (told,) = ledger_of(session)["streams"]
        assert told["removed"]["files"] == len(before) - keep + 1 and told["removed"]["so_far"]
        assert not doubts(root), doubts(root)
        assert {part: open(part, "rb").read() for part in parts} == content
        check_same_books(copy_of(session), copy_of(whole))
    check_same_books(session, whole)


def used(root):
    return sum(512 * os.stat(path).st_blocks for path in files_of(root) + files_of(root, ".part"))


def what_crashes_left_unfinished_counts_and_is_said():
    root = f.new_root()
    parts = []
    for _ in range(2):
        parts = files_of(crash(root, "--roll-size", "1MiB", files=1) and root, ".part")
    recorder = f.start(root, "--keep-size", "2MiB", "--roll-frames", 50, "-n", 600, CAMERA)
    recorder.process.communicate(timeout=60)
    assert "of --keep-size, and are not removed" in recorder.errors(), recorder.errors()
    assert files_of(root, ".part") == parts and len(parts) >= 2
    assert files_of(root) and used(root) <= 2 << 20, (files_of(root), used(root))
    run("repair", "--apply", root)
    h.verified(root)


def who_removes_them_may_be_killed_himself():
    root = f.new_root()
    session = crash(root)
    first, told_before_it_went, removed = files_of(root), 0, 0
    # Files go by unlinkat, after leftovers of others were looked for in the same way: how many
    # calls that takes is for the disk to say, too.
    kills = ("renameat:1", "renameat:2", *(f"unlinkat:{i}" for i in range(3, 60)))
    for number, at in enumerate(kills):
        if number >= 8 and told_before_it_went and removed:
            break
        other = os.path.join(f.new_root(), os.path.basename(session))
        shutil.copytree(session, other)
        environment = dict(os.environ, LD_PRELOAD=os.path.abspath(SHIM), KILL_AT=at)
        run("record", "-q", "-o", os.path.dirname(other), "--keep-files", 3, "--roll-frames", 1000,
            "-n", 50, CAMERA, status=None, env=environment)
        went = len(first) - len(files_of(other + "/.."))
        assert not doubts(other), (at, went, doubts(other))
        whole = copy_of(session)
        noted = ledger_of(other)["streams"][0].get("removed", {"files": 0})["files"]
        told_before_it_went += noted > went
        removed += went
        told, want = repaired(other), repaired(whole)
        for key in NUMBERS:
            assert told[key] == want[key], (at, key, told[key], want[key])
        assert told.get("removed", {"files": 0})["files"] == went, (at, told["removed"], went)
    assert told_before_it_went and removed, (told_before_it_went, removed)


if __name__ == "__main__":
    begin_source()
    h.main([finished_files_of_a_crashed_session_go_and_repair_makes_the_same_of_it,
            what_crashes_left_unfinished_counts_and_is_said,
            who_removes_them_may_be_killed_himself])
