#!/usr/bin/env python3
"""daorec drops on recordings: its numbers are those of the FRAMES tables, by numpy, and those of
the ledger; and no pixel is read."""
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402
import measured as m  # noqa: E402
import sparse  # noqa: E402

BEGIN = 1_764_000_000_123_456_789
_session = []


def folder(name):
    path = os.path.join(h.output, name)
    os.mkdir(path)
    return path


def session():
    """Two streams in several files: one is lapped, jumps and restarts, one is quiet."""
    if _session:
        return _session[0]
    busy, quiet = h.segment("busy"), h.segment("quiet")
    size = ("--size", "16x16", "--type", "uint16", "--depth", 64)
    h.sim(quiet, "--size", "12", "--type", "float32", "--rate", 500, "--depth", 512, "-d", "90s")
    writer = h.start(h.FIELD_WRITER, busy, *size, "--rate", 2000, "-n", 0, "--jump-at", 300,
                     "--jump-by", 1000, "--await")
    recorder = h.record("--wait=30s", "--roll-frames", 300, busy, quiet)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 6, what="threads")
    writer.send_signal(signal.SIGUSR1)
    h.wait_for(lambda: h.newest_count(busy) > 1400, what="frames behind the jump")
    for _ in range(2):
        h.freeze(recorder)
        h.wait_for_frames(busy, 200, "laps")
        recorder.send_signal(signal.SIGCONT)
        h.wait_for_frames(busy, 300)
    writer.terminate()
    writer.wait(timeout=60)
    again = h.start(h.FIELD_WRITER, busy, *size, "--rate", 1000, "-n", 300)
    assert again.wait(timeout=60) == 0
    recorder.send_signal(signal.SIGINT)
    _session.append((h.finish(recorder), h.stream_name(busy), h.stream_name(quiet), busy, quiet))
    return _session[0]


def same_ledger(stream, ledger, has_times=True):
    """The numbers of session.json, gap by gap and run by run."""
    assert stream["expected"] == ledger["expected"] and stream["seen"] == ledger["recorded"]
    for cause in ("lapped", "disk", "source", "restart"):
        assert stream["lost_by"][cause] == ledger["lost_by"][cause], (cause, stream, ledger)
    assert stream["lost_by"]["unknown"] == 0 and stream["lost"] == ledger["lost"]
    assert stream["restarts"] == ledger["restarts"] and stream["torn"] == ledger["torn"]
    assert stream["runs"] == ledger["runs"]

    def key(gap):
        return (gap["time"] or "", gap["first_cnt0"])
    mine, theirs = sorted(stream["gaps"], key=key), sorted(ledger["gaps"], key=key)
    assert len(mine) == len(theirs)
    for gap, other in zip(mine, theirs):
        assert gap["first_cnt0"] == other["first_cnt0"] and gap["count"] == other["count"]
        assert gap["cause"] == other["cause"], (gap, other)
        assert not has_times or gap["time"] == other["time"], (gap, other)


# ---- a session ----

def a_sessions_numbers_are_those_of_its_tables_and_of_its_ledger():
    made, busy, quiet, *paths = session()
    result = m.measure(made.folder, "--histogram", status=3)
    assert len(result["streams"]) == 2 and result["final"]
    for name, path in ((busy, paths[0]), (quiet, paths[1])):
        stream, files = m.stream_of(result, name), made.stream(path)["files"]
        _, rows = h.load(files)
        m.same_rows(stream, rows)
        same_ledger(stream, made.ledger_of(path))
        assert stream["ledger"] == "used" and stream["absent"] == 0
        assert [os.path.realpath(f) for f in stream["files"]] == list(map(os.path.realpath, files))
        assert len(files) > (name == busy)
        assert stream["lost"] == rows["LOST"].sum()
        assert stream["uuid"] == made.ledger["uuid"]
    stream = m.stream_of(result, busy)
    assert stream["restarts"] >= 1 and stream["lost_by"]["lapped"] > 200
    assert stream["lost_by"]["source"] == 1000


def its_gaps_are_listed_and_the_rest_is_counted():
    made, busy, _quiet, path, _ = session()
    stream = m.stream_of(m.measure(made.folder, "--gaps", 1, status=3), busy)
    ledger = made.ledger_of(path)
    assert len(stream["gaps"]) == 1 and stream["gaps"][0] == ledger["gaps"][0]
    assert stream["gaps_left_out"] == len(ledger["gaps"]) - 1 > 0
    out, _ = m.drops(made.folder, "--gaps", 1, "--stream", busy, "--histogram", status=3)
    gap = ledger["gaps"][0]
    for word in (f"{gap['count']} frame", f"count {gap['first_cnt0']} on, {gap['cause']}",
                 "--gaps N", f"{ledger['recorded']} seen of {ledger['expected']} expected",
                 "interval", "latency", "####"):
        assert word in out, (word, out)
    assert max(len(line) for line in out.splitlines()[1:]) <= 80, out


def some_of_its_files_tell_what_their_rows_tell():
    made, busy, _quiet, path, _ = session()
    files = made.stream(path)["files"]
    rows = [h.load([file])[1] for file in files]
    stream = m.stream_of(m.measure(files[1], files[0], status=3 if any(
        r["LOST"].sum() for r in rows[:2]) else 0), busy)
    both = np.concatenate(rows[:2])
    m.same_rows(stream, both)
    assert stream["ledger"] == "partial" and stream["absent"] == 0
    assert stream["lost"] == both["LOST"].sum()
    # Without the second one, whose frames are then elsewhere.
    both = np.concatenate([rows[0], rows[2]])
    stream = m.stream_of(m.measure(files[2], files[0], status=3 if both["LOST"].sum() else 0), busy)
    assert stream["seen"] == len(both) and stream["lost"] == both["LOST"].sum(), stream
    between = rows[2]["CNT0"][0] - rows[2]["LOST"][0] - rows[0]["CNT0"][-1] - 1
    assert stream["absent"] == between > 0 and stream["restarts"] == 0


def what_is_lost_behind_the_last_row_is_told_by_the_ledger():
    made, busy, _quiet, path, _ = session()
    copy = os.path.join(folder("behind"), os.path.basename(made.folder))
    shutil.copytree(made.folder, copy)
    with open(f"{copy}/session.json", encoding="utf-8") as f:
        ledger = json.load(f)
    entry = next(s for s in ledger["streams"] if s["name"] == busy)
    run = entry["runs"][-1]
    entry["gaps"].append({"first_cnt0": run["last_cnt0"] + 1, "count": 17, "cause": "lapped",
                          "time": "2026-11-24T02:01:08.123456789"})
    for numbers, key in ((entry, "expected"), (entry, "lost"), (entry["lost_by"], "lapped"),
                         (run, "expected"), (run, "last_cnt0")):
        numbers[key] += 17
    with open(f"{copy}/session.json", "w", encoding="utf-8") as f:
        json.dump(ledger, f)
    stream = m.stream_of(m.measure(copy, status=3), busy)
    same_ledger(stream, entry)
    # A ledger of another session is none.
    ledger["uuid"] = "11111111-2222-4333-8444-555555555555"
    with open(f"{copy}/session.json", "w", encoding="utf-8") as f:
        json.dump(ledger, f)
    stream = m.stream_of(m.measure(copy, status=3), busy)
    assert stream["ledger"] == "none" and stream["lost"] == entry["lost"] - 17
    # Nor is nonsense.
    with open(f"{copy}/session.json", "w", encoding="utf-8") as f:
        f.write('{"streams": 7')
    assert m.stream_of(m.measure(copy, status=3), busy)["ledger"] == "none"


def a_recording_that_goes_on_or_crashed_is_read_as_far_as_its_rows_go():
    path, root = h.segment("crash"), folder("crash")
    h.sim(path, "--size", "8x8", "--rate", 1000, "--depth", 4096, "-d", "60s")
    recorder = h.start(h.DAOREC, "record", "--wait=30s", "--roll-frames", 250, "-o", root, path)
    name = h.stream_name(path)

    def rows():
        sessions = [os.path.join(root, s, name) for s in os.listdir(root)]
        if not sessions or not os.path.isdir(sessions[0]) or len(os.listdir(sessions[0])) < 3:
            return 0
        out, _ = m.drops("--json", root, status=(0, 1))  # 1: no row is on disk yet
        return m.stream_of(json.loads(out), name)["seen"] if out else 0
    h.wait_for(lambda: rows() > 300, what="rows")
    stream = m.stream_of(m.measure(root), name)
    assert stream["ledger"] == "unfinished" and stream["lost"] == 0, stream
    recorder.kill()
    recorder.wait(timeout=60)
    wait_for_locks(root)
    stream = m.stream_of(m.measure(root), name)
    assert stream["ledger"] == "unfinished" and stream["seen"] > 300
    unfinished = sum(file.endswith(".part") for _, _, files in os.walk(root) for file in files)
    assert subprocess.run([h.DAOREC, "repair", "--apply", root],
                          capture_output=True).returncode in (0, 3)
    again = m.stream_of(m.measure(root, status=(0, 3)), name)
    # Of a file none of whose rows reached the disk repair keeps one frame; a slow disk has several.
    assert again["ledger"] == "used", again
    assert 0 <= again["seen"] - stream["seen"] <= unfinished, (again, stream, unfinished)
    with open(os.path.join(root, os.listdir(root)[0], "session.json"), encoding="utf-8") as f:
        same_ledger(again, json.load(f)["streams"][0], has_times=False)


# ---- made up ----

def templates():
    """A finished file of each of the two streams, of one session."""
    made, _busy, _quiet, *paths = session()
    return [made.stream(path)["files"][0] for path in paths]


def made_up(name, *tables):
    """A session of streams with these rows, in files of at most 40 % of them."""
    place = folder(name)
    for template, rows in zip(templates(), tables):
        stem = os.path.basename(template).rsplit("_", 1)[0]
        os.mkdir(f"{place}/{stem}")
        step = max(1, len(rows) * 2 // 5)
        for number, first in enumerate(range(0, len(rows), step)):
            sparse.make(f"{place}/{stem}/{stem}_{number + 1:06}.fits", template,
                        rows[first:first + step], number + 1, first)
    return place


def noisy_rows(frames, rate, seed):
    rng = np.random.default_rng(seed)
    rows = sparse.plain_rows(frames, rate)
    rows["ATIME"] += np.sort(rng.normal(0, 3000, frames)).astype(np.int64)
    late = rng.integers(0, frames, frames // 50)
    rows["ATIME"][late] += rng.integers(0, 200_000, len(late))
    rows["RTIME"] = rows["ATIME"] + rng.gamma(2.0, 400_000, frames).astype(np.int64)
    return rows


def every_kind_of_row_is_measured_as_numpy_measures_it():
    rows = noisy_rows(50_000, 1000, 3)
    rng = np.random.default_rng(9)
    flags = rows["FLAGS"]
    at = np.sort(rng.choice(np.arange(100, 49_900), 300, replace=False))
    kinds = {"lapped": h.FLAG["GAP"] | h.FLAG["OVERWRITE"], "source": h.FLAG["GAP"],
             "disk": h.FLAG["GAP"] | h.FLAG["OVERWRITE"] | h.FLAG["QUEUEFULL"]}
    lost = dict.fromkeys(kinds, 0)
    for index, kind in zip(at, rng.choice(list(kinds), len(at))):
        count = int(rng.integers(1, 5000))
        rows["LOST"][index], lost[kind] = count, lost[kind] + count
        flags[index] |= kinds[kind]
        rows["CNT0"][index:] += count
    bad = rng.choice(np.arange(49_900), 40, replace=False)
    flags[bad] |= h.FLAG["BADTIME"]
    rows["TIME"][bad] = np.nan
    rows["ATIME"][bad[:20]] = 0
    early = np.setdiff1d(rng.choice(np.arange(49_900), 30, replace=False), bad)
    rows["RTIME"][early] = rows["ATIME"][early] - 77
    resets = [20_000, 33_333]
    for index in resets:
        flags[index] = h.FLAG["RESET"]
        rows["LOST"][index] = 0
        rows["CNT0"][index:] -= rows["CNT0"][index] - 1
    # What was lost to a gap where a run begins now is not any more.
    for kind, flag in kinds.items():
        lost[kind] = int(rows["LOST"][(flags & ~h.FLAG["BADTIME"]) == flag].sum())
    place = made_up("kinds", rows)
    stream, = m.measure(place, "--histogram", status=3)["streams"]
    m.balanced(stream)
    m.same_rows(stream, rows)
    assert {kind: stream["lost_by"][kind] for kind in lost} == lost
    assert stream["lost"] == rows["LOST"].sum() and stream["restarts"] == len(resets)
    assert stream["ledger"] == "none" and len(stream["files"]) == 3
    assert len(stream["gaps"]) == np.count_nonzero(rows["LOST"])
    for gap, index in zip(stream["gaps"], np.flatnonzero(rows["LOST"])):
        assert gap["count"] == rows["LOST"][index]
        assert gap["first_cnt0"] == rows["CNT0"][index] - rows["LOST"][index]
    # The spread is told although it is less than a bucket of the intervals themselves.
    intervals = m.intervals_of({name: rows[name].astype(np.int64)
                                for name in ("ATIME", "CNT0", "FLAGS")})
    told, spread = stream["interval_ns"], m.exact(intervals, 0.9) - m.exact(intervals, 0.1)
    assert 0 < spread < 1_000_000 * m.ERROR, spread
    assert abs(told["p90"] - told["p10"] - spread) <= max(1, spread * m.ERROR), (told, spread)


def no_pixel_is_read():
    """What is read of 100 MB of frames, which are holes, is the rows and some headers."""
    rows = sparse.plain_rows(200_000, 1000)
    place = made_up("holes", rows)
    # What a shell's children have read is the shell's as well, once they have ended.
    run = subprocess.run(["sh", "-c", '"$@" && cat /proc/$$/io', "sh", h.DAOREC, "drops", "-q",
                          "--json", place], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert json.loads(lines[0])["streams"][0]["seen"] == len(rows)
    read = next(int(line.split()[1]) for line in lines if line.startswith("rchar"))
    assert rows.nbytes < read < rows.nbytes + 400_000, (read, rows.nbytes)
    assert os.stat(m.measure(place)["streams"][0]["files"][0]).st_size > 8 * rows.nbytes / 3


def others_files_are_measured_by_their_counts():
    place = folder("others")
    hdus = [h.fits.PrimaryHDU()]
    for index, count in enumerate([10, 11, 12, 20, 21, 5, 6]):
        hdu = h.fits.ImageHDU(np.zeros((3, 4), "f4"))
        hdu.header["CNT0"], hdu.header["ATIME"] = count, BEGIN + index * 1_000_000
        hdus.append(hdu)
    h.fits.HDUList(hdus).writeto(f"{place}/units.fits")
    stream, = m.measure(f"{place}/units.fits", status=3)["streams"]
    m.balanced(stream)
    assert stream["lost"] == stream["lost_by"]["unknown"] == 7 and stream["restarts"] == 1
    assert stream["gaps"][0]["first_cnt0"] == 13 and stream["ledger"] == "none"
    m.same_distribution(stream["interval_ns"], [1_000_000] * 4, 1_000_000)
    assert stream["latency_ns"] == {"count": 0} and stream["uuid"] is None
    h.fits.writeto(f"{place}/cube.fits", np.zeros((5, 4, 7), "f4"))
    stream, = m.measure(f"{place}/cube.fits")["streams"]
    assert not stream["has_counts"] and stream["seen"] == 5 and stream["lost"] == 0
    assert "losses cannot be told" in m.drops(f"{place}/cube.fits")[0]
    stream, = m.measure(f"{place}/cube.fits", "--frame-axis", 1)["streams"]
    assert stream["seen"] == 7


# ---- damage ----

def spoilt(file, share=0.5):
    """Noise over part of its rows; the path."""
    with h.fits.open(file) as hdus:
        info, rows = hdus["FRAMES"].fileinfo(), len(hdus["FRAMES"].data)
    with open(file, "r+b") as f:
        f.seek(info["datLoc"] + 64 * (rows // 4))
        f.write(np.random.default_rng(4).bytes(64 * int(rows * share)))
    return file


def damaged_rows_are_left_out_and_told():
    made, busy, quiet, path, _ = session()
    copy = shutil.copytree(made.folder, os.path.join(folder("damage"), "s"))
    files = sorted(f"{copy}/{busy}/{name}" for name in os.listdir(f"{copy}/{busy}"))
    whole = [h.load([file])[1] for file in files]
    spoilt(files[1])
    left = np.concatenate(whole[:1] + whole[2:])
    out, errors = m.drops("--json", copy, "--align", f"{busy},{quiet}", "--tolerance", "1s",
                          status=(0, 3))
    told, = [line for line in errors.splitlines() if "left out" in line]
    assert files[1] in told and "daorec verify" in told, errors
    result = json.loads(out)
    stream = m.stream_of(result, busy)
    m.same_rows(stream, left)
    assert stream["damaged"] == [files[1]] and files[1] not in stream["files"]
    assert stream["absent"] >= len(whole[1]) and stream["ledger"] == "partial", stream
    assert stream["lost"] == left["LOST"].sum() and stream["lost_by"]["unknown"] == 0, stream
    assert stream["restarts"] == np.count_nonzero(left["FLAGS"] & h.FLAG["RESET"])
    assert result["alignments"][0]["frames"] + result["alignments"][0]["untimed_a"] == len(left)
    assert not m.stream_of(result, quiet)["damaged"]
    assert "damaged     1 of the files" in m.drops(copy, status=(0, 3))[0]
    # The last one: nobody behind it tells what is missing.
    spoilt(files[-1])
    stream = m.stream_of(m.measure(*files[-2:], status=(0, 3)), busy)
    assert stream["seen"] == len(whole[-2]) and stream["absent"] == len(whole[-1]), stream
    # All of them.
    stream = m.stream_of(m.measure(files[1], status=1), busy)
    assert stream["seen"] == 0 and stream["absent"] == len(whole[1])


def an_unfinished_file_of_noise_is_left_out():
    path, root = h.segment("noise"), folder("noise")
    h.sim(path, "--size", "8x8", "--rate", 1000, "--depth", 4096, "-d", "60s")
    recorder = h.start(h.DAOREC, "record", "--wait=30s", "-o", root, path)

    def seen():
        out, _ = m.drops("--json", root, status=(0, 1)) if os.listdir(root) else ("", "")
        return json.loads(out)["streams"][0]["seen"] if out else 0
    h.wait_for(lambda: seen() > 100, what="rows")
    recorder.kill()
    recorder.wait(timeout=60)
    part, = [os.path.join(top, name) for top, _, names in os.walk(root) for name in names
             if name.endswith(".part")]
    assert m.measure(root)["streams"][0]["seen"] > 100
    with h.fits.open(part, ignore_missing_end=True) as hdus:
        at = hdus["FRAMES"].fileinfo()["datLoc"]
    with open(part, "r+b") as f:
        f.seek(at + 64 * 50)
        f.write(np.random.default_rng(5).bytes(64))
    out, errors = m.drops("--json", root, status=1)
    stream, = json.loads(out)["streams"]
    assert stream["seen"] == 0 and stream["damaged"] == [part], stream
    assert part in errors and "daorec verify" in errors, errors


def what_is_no_fits_file_is_called_that():
    place = folder("nofits")
    for name, content in (("empty.fits", b""), ("noise.fits", os.urandom(100_000)),
                          ("noise.fits.part", os.urandom(100_000))):
        with open(f"{place}/{name}", "wb") as f:
            f.write(content)
        _, errors = m.drops(f"{place}/{name}", status=1)
        assert "is no FITS file" in errors and "segment" not in errors, errors
    path = os.path.join(h.segments, "named.fits")  # a segment nevertheless
    h.sim(path, "--size", "4x4", "--rate", 0, "--depth", 4, "-n", 4).wait(timeout=60)
    assert m.measure("-d", "50ms", path)["streams"][0]["segment"] == path


# ---- alignment ----

def partners(a, b, tolerance):
    """Which of a have one in b, by looking at both neighbours; and how far away the nearest is."""
    at = np.searchsorted(b, a, side="right")
    before = np.where(at > 0, a - b[np.maximum(at - 1, 0)], np.iinfo(np.int64).max)
    after = np.where(at < len(b), b[np.minimum(at, len(b) - 1)] - a, np.iinfo(np.int64).max)
    offset = np.where(before <= after, -before, after)
    return np.abs(offset) <= tolerance, offset


def align(place, a, b, *options, status=0):
    result, = m.measure(place, "--align", f"{a},{b}", *options, status=status)["alignments"]
    assert result["frames"] == result["matched"] + result["alone"]
    assert result["a"] == a and result["b"] == b
    if not result["list_left_out"]:
        assert result["alone"] == sum(entry["count"] for entry in result["list"])
    return result


def frames_without_a_partner_are_those_that_numpy_finds():
    a, b = noisy_rows(20_000, 1000, 5), noisy_rows(9_500, 500, 6)
    b["ATIME"] += 500_000_000  # it begins later
    keep = np.random.default_rng(7).random(len(b)) > 0.1
    keep[4000:4100] = False
    b = b[keep]
    b["CNT0"] = 1000 + np.arange(len(b))
    place = made_up("align", a, b)
    _, name_a, name_b, *_ = session()
    for tolerance in (1_000, 400_000, 1_500_000):
        for first, second, rows, others in ((name_a, name_b, a, b), (name_b, name_a, b, a)):
            # A time that goes back is not looked at: the streams here have some.
            times = rows["ATIME"][rows["ATIME"] >= np.maximum.accumulate(rows["ATIME"])]
            is_timed = others["ATIME"] >= np.maximum.accumulate(others["ATIME"])
            other = others["ATIME"][is_timed]
            has, offset = partners(times.astype(np.int64), other.astype(np.int64), tolerance)
            got = align(place, first, second, "--tolerance", f"{tolerance}ns", "--gaps", 100_000)
            assert got["tolerance_ns"] == tolerance
            assert got["matched"] == np.count_nonzero(has), (got["matched"], np.count_nonzero(has))
            assert got["untimed_a"] == len(rows) - len(times)
            # B is read up to the first that is behind all of A.
            behind = np.flatnonzero(is_timed & (others["ATIME"] > times[-1]))
            end = behind[0] if len(behind) else len(others)
            assert got["untimed_b"] == np.count_nonzero(~is_timed[:end])
            outside = (times < other[0]) | (times >= other[-1])
            assert got["outside"] == np.count_nonzero(outside & ~has)
            if has.any():
                m.same_distribution(got["offset_ns"], offset[has], m.reference_of(offset[has]))


def exactly_the_frames_that_were_left_out_are_alone():
    a = sparse.plain_rows(1000, 1000)
    b = a.copy()
    b["ATIME"] += 20_000
    left_out = [0, 1, 10, 500, 501, 502, 999]
    b = np.delete(b, left_out)
    place = made_up("exact", a, b)
    _, name_a, name_b, *_ = session()
    got = align(place, name_a, name_b, status=3)  # half of B's median interval
    assert got["tolerance_ns"] == 500_000 and got["alone"] == len(left_out)
    assert [(e["first_cnt0"], e["count"]) for e in got["list"]] == [
        (1000, 2), (1010, 1), (1500, 3), (1999, 1)]
    assert got["outside"] == 3 and got["matched"] == 1000 - len(left_out)
    assert got["offset_ns"]["min"] == got["offset_ns"]["max"] == 20_000
    b["FLAGS"][300] |= h.FLAG["BADTIME"]  # what has no time is no partner: another one is alone
    bad = align(made_up("bad", a, b), name_a, name_b, status=3)
    assert bad["alone"] == len(left_out) + 1 and bad["untimed_b"] == 1, bad
    got = align(place, name_a, name_b, "--gaps", 2, status=3)
    assert len(got["list"]) == 2 and got["list_left_out"] == 2 and got["alone"] == len(left_out)
    out, _ = m.drops(place, "--align", f"{name_a},{name_b}", status=3)
    assert "993 of 1000 frames" in out and "3 frames from count 1500 on" in out, out
    got = align(place, name_b, name_a, status=3)
    assert got["alone"] == 0 and got["matched"] == 993
    assert got["offset_ns"]["max"] == -20_000


def streams_of_other_sessions_are_no_partners():
    made, busy, quiet, *_ = session()
    out, errors = m.drops(made.folder, "--align", f"{busy},nobody", status=2)
    assert out == "", "a report, and the mistake behind it"
    assert "no two such streams" in errors and quiet in errors, errors
    foreign = os.path.join(folder("foreign"), "foreign.fits")
    hdus = [h.fits.PrimaryHDU()] + [h.fits.ImageHDU(np.zeros((2, 2), "i2")) for _ in range(3)]
    for index, hdu in enumerate(hdus[1:]):
        hdu.header["CNT0"], hdu.header["ATIME"] = index, BEGIN + index * 1_000_000
    h.fits.HDUList(hdus).writeto(foreign)
    _, errors = m.drops(made.folder, foreign, "--align", f"{busy},foreign", status=2)
    assert "of one session" in errors, errors
    got = align(made.folder, quiet, busy, "--tolerance", "1s", "--stream", f"{busy},{quiet}",
                status=3)
    assert got["frames"] > 0


if __name__ == "__main__":
    h.main([a_sessions_numbers_are_those_of_its_tables_and_of_its_ledger,
            its_gaps_are_listed_and_the_rest_is_counted,
            some_of_its_files_tell_what_their_rows_tell,
            what_is_lost_behind_the_last_row_is_told_by_the_ledger,
            a_recording_that_goes_on_or_crashed_is_read_as_far_as_its_rows_go,
            every_kind_of_row_is_measured_as_numpy_measures_it,
            no_pixel_is_read,
            others_files_are_measured_by_their_counts,
            damaged_rows_are_left_out_and_told,
            an_unfinished_file_of_noise_is_left_out,
            what_is_no_fits_file_is_called_that,
            frames_without_a_partner_are_those_that_numpy_finds,
            exactly_the_frames_that_were_left_out_are_alone,
            streams_of_other_sessions_are_no_partners])
