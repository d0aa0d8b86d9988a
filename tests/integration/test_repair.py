#!/usr/bin/env python3
"""Recorders killed at random moments, and what repair makes of what they leave."""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import is_locked, snapshot  # noqa: E402

KILLS = int(os.environ.get("KILLS", "15"))
AT_ONCE = 3
SHAPES = {"fast": ((64, 64), "uint16"), "slow": ((97,), "float32")}


def run(verb, *arguments, status=0, **options):
    result = subprocess.run([os.path.abspath(h.DAOREC), verb, *map(str, arguments)],
                            capture_output=True, text=True, timeout=60, **options)
    assert result.returncode == status, (verb, arguments, result.returncode, result.stdout,
                                         result.stderr)
    return result.stdout


def sources():
    fast, slow = h.segment("fast"), h.segment("slow")
    for path, rate, depth in ((fast, 3000, 1024), (slow, 200, 64)):
        shape, dtype = SHAPES[os.path.basename(path).split("_")[0]]
        h.sim(path, "--size", "x".join(map(str, shape)), "--type", dtype, "--rate", rate, "--depth",
              depth, "--pattern", "ramp", "-d", "120s")
    h.wait_for(lambda: os.path.exists(fast) and os.path.exists(slow), what="the sources")
    return fast, slow


def parts_of(root):
    return sorted(glob.glob(os.path.join(root, "*", "*", "*.fits.part")))


def die(process):
    """SIGKILL; what it had in flight may keep its files locked for a moment longer."""
    process.kill()
    process.wait()


def rows_on_disk(part):
    """What a standard reader finds in an unfinished file: the rows of the frames that are there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(part, memmap=False) as hdus:
            rows = np.array(hdus["FRAMES"].data)
    there = np.flatnonzero(rows["RTIME"])
    return rows[:there[-1] + 1] if len(there) else rows[:0]


def check_frames(file, before):
    """A repaired file holds at least these rows, and the pixels they speak of."""
    shape, dtype = SHAPES[os.path.basename(file).split("_")[0]]
    with fits.open(file, memmap=False) as hdus:
        header, cube = hdus[0].header, hdus[0].data
        rows = np.array(hdus["FRAMES"].data)
    assert header["RECSTAT"] in ("RECOVERD", "CLOSED"), header["RECSTAT"]
    assert len(rows) == header["NFRAMES"] == max(len(before), 1), (len(rows), len(before))
    for column in before.dtype.names:
        assert np.array_equal(rows[column][:len(before)], before[column],
                              equal_nan=column == "TIME"), column
    good = rows["FLAGS"] & h.FLAG["TORN"] == 0
    assert good[:len(before)].all() and (len(before) > 0 or not good.any())
    wrong = cube[good] != h.ramp(rows["CNT0"][good], shape, dtype)
    assert not wrong.any(), f"{file}: wrong pixels"
    return len(rows)


def check_ledger(folder):
    with open(os.path.join(folder, "session.json"), encoding="utf-8") as f:
        ledger = json.load(f)
    assert ledger["recovered"] is True
    for stream in ledger["streams"]:
        files = sorted(glob.glob(os.path.join(folder, stream["name"], "*.fits")))
        assert [os.path.join(folder, entry["name"]) for entry in stream["files"]] == files
        assert stream["expected"] == stream["recorded"] + stream["lost"]
        assert stream["expected"] == sum(r["expected"] for r in stream["runs"])
        assert stream["lost"] == sum(stream["lost_by"].values())
        assert stream["lost"] == sum(gap["count"] for gap in stream["gaps"])
        rows = np.concatenate([fits.getdata(f, "FRAMES") for f in files]) if files else []
        assert stream["recorded"] == len(rows)
        if len(rows):
            assert stream["runs"][0]["first_cnt0"] == rows["CNT0"][0] - rows["LOST"][0]
            assert stream["runs"][-1]["last_cnt0"] >= rows["CNT0"][-1]
            assert stream["lost"] >= rows["LOST"].sum()


def check_after_kill(root):
    """Everything about one recorder's remains; returns the finished files."""
    parts = parts_of(root)
    folders = glob.glob(os.path.join(root, "*"))
    h.wait_for(lambda: not any(map(is_locked, parts)), what="locks to go")
    finished = glob.glob(os.path.join(root, "*", "*", "*.fits"))
    if parts or finished:
        h.fitsverify(*parts, *finished)
    before = {part: rows_on_disk(part) for part in parts}
    for part in parts:
        assert "unfinished" in run("verify", part, status=1) or "complete" in run(
            "verify", part, status=1)
    at_rest = snapshot(root)
    said = run("repair", root)
    for part in parts:
        assert part + ": " in said, said
    assert snapshot(root) == at_rest, "a dry run changed something"
    said = run("repair", "--apply", root)
    assert said.count("read back: good") == len(parts), said
    assert not parts_of(root)
    for part in parts:
        check_frames(part[:-5], before[part])
    for folder in folders:
        if os.path.exists(os.path.join(folder, "session.json")):
            check_ledger(folder)
    found = glob.glob(os.path.join(root, "*", "*", "*.fits"))
    # That nothing at all is there is a doubt; a ledger without files is none.
    is_there = found or glob.glob(os.path.join(root, "*", "session.json"))
    run("verify", "-q", root, status=0 if is_there else 1)
    at_rest = snapshot(root)
    assert "nothing to repair" in run("repair", "--apply", root)
    assert snapshot(root) == at_rest, "a second repair changed something"
    return found, parts, before


def killed_at_random_moments():
    random.seed(20261124)
    segments = sources()
    files, parts, empty, rows = [], 0, 0, 0
    roots = []
    for kill in range(0, KILLS, AT_ONCE):
        recorders = []
        for i in range(min(AT_ONCE, KILLS - kill)):
            root = os.path.join(h.output, f"kill{kill + i}")
            os.mkdir(root)
            more = [["--io", "auto"], ["--io", "pwrite"], ["--no-direct"]][(kill + i) % 3]
            rolling = random.choice(["60", "300", "1500"])
            recorders.append((time.monotonic() + random.uniform(0.05, 1.7), root, h.start(
                h.DAOREC, "record", "-q", "-o", root, "--roll-frames", rolling, "--buffer", "8MiB",
                *more, *segments)))
        for moment, root, recorder in sorted(recorders, key=lambda r: r[0]):
            time.sleep(max(0, moment - time.monotonic()))
            die(recorder)
        for _, root, recorder in recorders:
            found, left, before = check_after_kill(root)
            repaired = [part[:-5] for part in left]
            files += repaired + [f for f in found if f not in repaired][:2]
            roots.append(root)
            parts += len(left)
            empty += sum(len(b) == 0 for b in before.values())
            rows += sum(map(len, before.values()))
    if files:
        h.judge(*files)
    print(f"  {KILLS} kills left {parts} unfinished files, {empty} of them without a row, {rows} "
          f"frames saved; {len(files)} files judged")
    assert parts > KILLS / 2
    for root in roots:
        shutil.rmtree(root)


def one_left_behind(name):
    """A root with one unfinished file, and that file."""
    root = os.path.join(h.output, name)
    fast = h.segment(name)
    source = h.sim(fast, "--size", "64x64", "--type", "uint16", "--rate", 500, "--depth", 512,
                   "--pattern", "ramp", "-d", "60s")
    recorder = h.start(h.DAOREC, "record", "-q", "--wait=20s", "-o", root, "--buffer", "8MiB",
                       "--roll-frames", 5000, fast)
    h.wait_for(lambda: any(len(rows_on_disk(part)) for part in parts_of(root)), what="rows")
    die(recorder)
    source.kill()
    part = parts_of(root)[0]
    h.wait_for(lambda: not is_locked(part), what="its lock to go")
    return root, part


def a_living_recorder_is_left_alone():
    root = os.path.join(h.output, "alive")
    path = h.segment("alive")
    source = h.sim(path, "--size", "64x64", "--type", "uint16", "--rate", 2000, "--depth", 512,
                   "--pattern", "ramp", "-d", "60s")
    recorder = h.start(h.DAOREC, "record", "-q", "--json", "--wait=20s", "--roll-frames", 500, "-o",
                       root, path)
    h.wait_for(lambda: len(glob.glob(os.path.join(root, "*", "*", "*.fits"))) > 2, what="files")
    for _ in range(5):
        said = run("repair", "--apply", root)
        assert "its recorder lives" in said or "nothing to repair" in said, said
        run("verify", "-q", root)
    recorder.terminate()
    recorder.communicate(timeout=60)
    assert recorder.returncode in (0, 3)
    source.kill()
    run("verify", "-q", root)
    assert "nothing to repair" in run("repair", root)


def record_says_that_there_is_something_to_repair():
    root, part = one_left_behind("offer")
    path = h.segment("offer2")
    source = h.sim(path, "--size", "8x8", "--rate", 500, "--depth", 64, "-d", "60s")

    def record():
        recorder = h.start(h.DAOREC, "record", "-q", "-n", 10, "--wait=20s", "-o", root, path)
        _, errors = recorder.communicate(timeout=60)
        assert recorder.returncode in (0, 3), errors
        return [line for line in errors.splitlines() if "repair" in line]
    lines = record()
    assert len(lines) == 1 and root in lines[0] and " 1 unfinished file " in lines[0], lines
    run("repair", "--apply", root)
    assert record() == []
    source.kill()


def what_cannot_be_repaired_is_named_and_left_alone():
    root, part = one_left_behind("refused")
    with open(part, "rb") as f:
        whole = f.read()

    def refused(words, path=part):
        at_rest = snapshot(root)
        result = subprocess.run([h.DAOREC, "repair", "--apply", path], capture_output=True,
                                text=True)
        assert result.returncode == 1, result
        lines = result.stderr.splitlines()
        assert len(lines) == 1 and path in lines[0] and all(w in lines[0] for w in words), lines
        assert snapshot(root) == at_rest
    with open(part[:-5], "wb") as f:
        f.write(b"mine")
    refused([os.path.basename(part[:-5]), "another file"])
    os.unlink(part[:-5])
    for length in (0, 100, 2880, 20000, len(whole) // 2, len(whole) - 2880, len(whole) - 1):
        with open(part, "wb") as f:
            f.write(whole[:length])
        refused([])
    for garbage in (os.urandom(50000), b"SIMPLE  =                    T" + bytes(100000),
                    b" " * 2880 * 200, whole[:30] + b" " * 2880 * 200):
        with open(part, "wb") as f:
            f.write(garbage)
        refused([])
    os.rename(part, part + ".x")
    os.symlink(part + ".x", part)
    refused(["link"])
    os.unlink(part)
    refused([], os.path.join(root, "missing.fits.part"))
    run("repair", status=2)
    run("verify", status=2)


def a_folder_that_cannot_be_written_is_named():
    root, part = one_left_behind("readonly")
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    for folder in (h.output, root, os.path.dirname(os.path.dirname(part)), os.path.dirname(part)):
        os.chmod(folder, 0o555 if folder != h.output else 0o755)
    os.chmod(part, 0o444)
    try:
        at_rest = snapshot(root)
        result = subprocess.run([h.DAOREC, "repair", "--apply", root], capture_output=True,
                                text=True, **user)
        assert result.returncode == 1 and part in result.stderr, result
        run("repair", root, **user)  # to look it is enough
        assert snapshot(root) == at_rest
    finally:
        for folder in (os.path.dirname(part), os.path.dirname(os.path.dirname(part)), root):
            os.chmod(folder, 0o755)
        os.chmod(part, 0o644)


def one_file_alone_is_repaired_with_its_ledger():
    root, part = one_left_behind("alone")
    before = rows_on_disk(part)
    stdout = run("repair", "--apply", "--json", os.path.basename(part), cwd=os.path.dirname(part))
    file, ledger = map(json.loads, stdout.splitlines())
    assert file["action"] == "close" and file["applied"] and file["frames"] == len(before)
    assert ledger["action"] == "rebuild ledger" and ledger["applied"]
    assert ledger["expected"] == ledger["recorded"] + ledger["lost"]
    assert ledger["recorded"] == len(before)
    run("verify", "-q", root)
    stdout = run("verify", "--json", root)
    for line in stdout.splitlines():
        assert json.loads(line)["doubt_count"] == 0, line


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    SHAPES["alone"] = SHAPES["readonly"] = SHAPES["fast"]
    h.main([killed_at_random_moments, a_living_recorder_is_left_alone,
            record_says_that_there_is_something_to_repair,
            what_cannot_be_repaired_is_named_and_left_alone,
            a_folder_that_cannot_be_written_is_named, one_file_alone_is_repaired_with_its_ledger])
