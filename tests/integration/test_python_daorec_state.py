#!/usr/bin/env python3
"""The Python module daorec where not all is well: losses, unfinished, growing and reshaped
recordings, and what cannot be read."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402
from at_rest import wait_for_locks  # noqa: E402
from daorec_face import (  # noqa: E402
    BytesRead, begun, check_against_source, daorec, end, fails, is_ramp, recorded, root, source)
import daorec_file  # noqa: E402


# ---- losses ----

def check_gaps(session, path):
    """By ledger and by rows, the same."""
    mine, ledger = session.stream(path), session.ledger_of(path)
    stream = daorec.open(session.folder)[h.stream_name(path)]
    told = [(g["first_cnt0"], g["count"], g["cause"], np.datetime64(g["time"], "ns").astype(int))
            for g in ledger["gaps"]]
    assert [gap[:4] for gap in stream.gaps] == told, (stream.gaps, told)
    assert sum(gap.count for gap in stream.gaps) == mine["lost"]
    alone = daorec.open(mine["files"]).stream
    assert alone.ledger is None
    lost_of_row = [(gap.first_cnt0, gap.count, gap.index) for gap in alone.gaps]
    counts, lost = stream.rows["CNT0"], stream.rows["LOST"]
    assert lost_of_row == [(counts[i] - lost[i], lost[i], i) for i in np.flatnonzero(lost)]
    for gap in alone.gaps:
        assert gap.time == stream.rows["RTIME"][gap.index]
    return stream, alone


def gaps_of_the_source_are_told():
    session, path = recorded()
    stream, alone = check_gaps(session, path)
    (gap,) = stream.gaps
    assert gap == alone.gaps[0]._replace(time=gap.time)
    assert (gap.count, gap.cause) == (7, "source")
    assert stream[gap.index].flat[0] == (gap.first_cnt0 + 7) % 65536
    with BytesRead() as read:
        assert len(daorec.open(session.folder).stream.gaps) == 1
    headers = 3 * (2 * 5760 + 2 * 2880 + 5760)
    assert read.bytes < headers + 64 * 201 + 4 * 64, (read.bytes, "files without losses were read")


def gaps_of_a_held_recorder_are_told():
    path, process = source("-d", "60s", shape=(16, 16), depth=64, rate=2000)
    recorder = h.record("--wait=20s", path)
    begun(recorder)
    shown = os.path.join(h.output, "*", h.stream_name(path), "*.part")
    h.wait_for(lambda: glob.glob(shown), what="the first file")
    for _ in range(3):
        h.freeze(recorder)
        h.wait_for_frames(path, 200, "laps")
        recorder.send_signal(signal.SIGCONT)
        h.wait_for_frames(path, 200)
    recorder.terminate()
    session = h.finish(recorder)
    end(process)
    stream, alone = check_gaps(session, path)
    assert session.stream(path)["lost"] > 0 and len(stream.gaps) >= 1
    assert {gap.cause for gap in stream.gaps} == {gap.cause for gap in alone.gaps} == {"lapped"}
    check_against_source(stream, (16, 16))


def losses_over_a_restart_are_told_of_both_runs():
    path, first = source("-d", "60s", depth=256)
    recorder = h.record("--wait=20s", path)
    begun(recorder)
    shown = os.path.join(h.output, "*", h.stream_name(path), "*.part")
    h.wait_for(lambda: glob.glob(shown), what="the first file")
    h.freeze(recorder)
    h.wait_for_frames(path, 600, "laps")
    end(first)
    _, second = source("-n", 700, depth=256, name=path)
    assert second.wait(timeout=60) == 0
    recorder.send_signal(signal.SIGCONT)
    recorder.terminate()
    session = h.finish(recorder)
    stream = daorec.open(session.folder)[h.stream_name(path)]
    told = [(g["first_cnt0"], g["count"], g["cause"]) for g in session.ledger_of(path)["gaps"]]
    alone = daorec.open(session.stream(path)["files"]).stream
    assert [gap[:3] for gap in stream.gaps] == told, (stream.gaps, told)
    # Where it ends before it comes to a frame of the second run, no row tells of that.
    seen = [gap for gap in stream.gaps if gap.index < len(stream)]
    assert [gap[:3] for gap in seen] == [gap[:3] for gap in alone.gaps], (seen, alone.gaps)
    restart = np.flatnonzero(alone.rows["FLAGS"] & daorec.Flag.RESET)
    assert list(restart) == [gap.index for gap in seen if gap.first_cnt0 == 1], told


def a_row_s_losses_are_divided_as_repair_divides_them():
    gap, lap, disk, reset = (daorec.Flag[name].value for name in (
        "GAP", "OVERWRITE", "QUEUEFULL", "RESET"))
    most = 2**31 - 1
    for cnt0, lost, flags, before, restarts, wanted in (
            (20, 5, gap, None, {}, [(15, 5, "source")]),
            (20, 5, gap, 14, {}, [(15, 5, "source")]),
            (20, 5, gap | lap, 14, {}, [(15, 5, "lapped")]),
            (20, 5, gap | lap | disk, 14, {}, [(15, 5, "disk")]),
            (20, 2, gap | lap, 14, {}, [(15, 3, "disk"), (18, 2, "lapped")]),
            (20, 0, 0, 14, {}, [(15, 5, "disk")]),
            (20, 0, 0, 40, {}, []),
            (20, 2, gap, 40, {}, [(18, 2, "source")]),
            (most + 15, most, gap, 14, {}, [(15, most, "source")]),
            (most + 16, most, gap, 14, {}, [(15, most + 1, "source")]),
            (20, 3, gap | reset, 40, {}, [(41, 3, "restart")]),
            (4, 5, gap | lap | reset, 40, {}, [(41, 2, "restart"), (1, 3, "lapped")]),
            (9, 5, gap | lap | reset, 40, {}, [(4, 5, "lapped")]),
            (9, 5, gap | lap | reset, 40, {41: 1}, [(41, 1, "restart"), (5, 4, "lapped")]),
            (9, 5, gap | lap | reset, 40, {41: 6, 42: 1}, [(4, 5, "lapped")])):
        row = np.zeros(1, daorec_file.ROW)[0]
        row["CNT0"], row["LOST"], row["FLAGS"] = cnt0, lost, flags
        found = [loss for loss in daorec_file.losses_at(row, before, restarts) if loss[1]]
        assert found == wanted, (cnt0, lost, flags, before, restarts, found)


def losses_that_no_row_tells_come_from_the_ledger():
    """The disk fails, for good: what was taken last never reaches a file."""
    path, process = source("--rate", 0, "-n", 500, depth=64)
    process.communicate(timeout=60)

    def record(call):
        place = root()
        faults = f.Faults("/" + h.stream_name(path), ops=["pwrite"], first=call, error="EIO")
        ended = f.end(f.start(place, "--io", "pwrite", "--backlog", "--roll-frames", 20, "-d",
                              "500ms", path, faults=faults), {path: ((6, 5), "uint16")},
                      allow_part=True)
        if not ended or not ended.ledger:
            return 0
        stream = daorec.open(ended.folder)[h.stream_name(path)]
        assert sum(gap.count for gap in stream.gaps) == stream.ledger["lost"], stream.gaps
        behind = [gap for gap in stream.gaps if gap.index == len(stream)]
        assert all(gap.cause == "disk" for gap in behind)
        if not stream.files:
            with fails(daorec.Error, h.stream_name(path), "has no file"):
                stream[:]
        return len(behind) if len(stream) else 0
    assert max(f.sweep(record, (6, 12, 24, 36))) > 0


def a_ledger_can_tell_more_and_can_be_damaged():
    session, path = recorded()
    name = h.stream_name(path)
    place = os.path.join(root(), "copy")
    shutil.copytree(session.folder, place)
    ledger = json.loads(json.dumps(session.ledger))
    last = int(daorec.open(place).stream.rows["CNT0"][-1])
    more = [{"first_cnt0": last + 1, "count": 5, "cause": "lapped", "time": None},
            {"first_cnt0": last + 6, "count": 2, "cause": "disk",
             "time": "2036-01-02T03:04:05.000000006"}]
    gap = ledger["streams"][0]["gaps"][0]
    divided = [{**gap, "count": 3, "cause": "lapped"},
               {**gap, "first_cnt0": gap["first_cnt0"] + 3, "count": 4}]

    def write(text):
        with open(os.path.join(place, "session.json"), "w", encoding="utf-8") as file:
            file.write(text)
    ledger["streams"][0]["gaps"] = divided + more
    write(json.dumps(ledger))
    gaps = daorec.open(place)[name].gaps
    assert [(g.first_cnt0, g.count, g.cause) for g in gaps] == [
        (g["first_cnt0"], g["count"], g["cause"]) for g in divided + more]
    assert [g.index for g in gaps][2:] == [500, 500] and gaps[0].index == gaps[1].index < 200
    assert gaps[2].time == 0 and gaps[3].time == 2082855845000000006
    ledger["streams"][0]["gaps"] = [{"first_cnt0": "x"}]
    for text in ("", "[]", "{", json.dumps({"uuid": ledger["uuid"]}), "[" * 100000,
                 json.dumps(ledger)):
        write(text)
        stream = daorec.open(place)[name]
        assert is_ramp(stream[:], stream.rows["CNT0"])
        with fails(daorec.Error, "session.json", "move"):
            stream.gaps
    write(json.dumps({"uuid": "another", "streams": []}))
    assert daorec.open(place).ledger is None and len(daorec.open(place)[name].gaps) == 1


# ---- unfinished and growing ones ----

def killed(*options, files_min=1):
    """Folder of a session whose recorder was killed: so many files, 100 rows in the last."""
    path, process = source("-d", "60s", depth=8192)  # nothing is lapped
    recorder = f.start(root(), "--wait=20s", *options, path)
    recorder.has_files(path, 1, ".part")

    def is_enough():
        files = daorec.open(recorder.folder()).stream.files
        return len(files) >= files_min and len(files[-1]) >= 100 and not files[-1].is_finished

    def is_held():
        h.wait_for(is_enough, what="rows")
        h.freeze(recorder.process)
        if is_enough():
            return True
        recorder.process.send_signal(signal.SIGCONT)  # it has just begun the next file
        return False
    h.wait_for(is_held, what="a file with rows")
    recorder.process.kill()
    recorder.process.communicate(timeout=60)
    end(process)
    wait_for_locks(recorder.root)
    return recorder.folder()


def there(file):
    """(cube, rows) that are there, by astropy."""
    with fits.open(file, memmap=False) as hdus:
        rows = np.array(hdus["FRAMES"].data)
        keep = rows["RTIME"] != 0
        return hdus[0].data[:len(rows)][keep], rows[keep]


def check_like_astropy_part(folder, files):
    stream = daorec.open(folder).stream
    cubes, tables = zip(*map(there, files))
    cube, rows = np.concatenate(cubes), np.concatenate(tables)
    assert len(stream) == len(cube) and np.array_equal(stream[:], cube)
    assert np.array_equal(stream.rows["CNT0"], rows["CNT0"])
    assert np.array_equal(stream[::-3], cube[::-3])
    assert [frame.cnt0 for frame in stream.frames(None, None, 2)] == rows["CNT0"][::2].tolist()
    assert np.array_equal(stream.mapped(2, 40), cube[2:40])
    for i in (0, len(cube) // 2, len(cube) - 1):
        assert stream.at_count(int(rows["CNT0"][i])) == i
        assert stream.at_time(int(rows["ATIME"][i])) == i
    return stream


def what_a_killed_recorder_left_is_read_before_and_after_repair():
    folder = killed("--roll-frames", 600, files_min=2)
    files = sorted(glob.glob(os.path.join(folder, "*", "*.fits*")))
    stream = check_like_astropy_part(folder, files)
    check_against_source(stream)
    assert [file.is_finished for file in stream.files][-1] is False
    before, rows, fetch = stream[:], stream.read_rows(), daorec_file.fetch

    def late(fd, path, start, wanted, into):
        """The file is closed, and its rows are moved, between a look at its headers and reading."""
        if path.endswith(".part"):
            daorec_file.fetch = fetch
            subprocess.run([h.DAOREC, "repair", "--apply", folder], check=True, capture_output=True)
        fetch(fd, path, start, wanted, into)
    daorec_file.fetch = late
    assert np.array_equal(stream.read_rows(), rows) and daorec_file.fetch is fetch
    assert len(daorec.open(folder).stream) >= len(before)
    # The object of before follows its files to their new names.
    assert np.array_equal(stream[:], before) and stream.files[-1].path.endswith(".part")
    after = daorec.open(folder).stream
    assert after.header["RECSTAT"] == "CLOSED" and after.files[-1].header["RECSTAT"] == "RECOVERD"
    assert np.array_equal(after[:len(before)], before)
    made_up = np.flatnonzero(after.rows["FLAGS"] & daorec.Flag.RECOVERED)  # no row reached the disk
    assert all(i >= len(before) for i in made_up)
    assert is_ramp(after[:len(before)], after.rows["CNT0"][:len(before)])


def frames_that_repair_drops_are_missed():
    folder = killed()
    stream = daorec.open(folder).stream
    (part,) = stream.files
    count, before = len(stream), stream[:]
    with fits.open(part.path) as hdus:
        at = hdus[0].fileinfo()["datLoc"]
    with open(part.path, "r+b") as file:  # rows are there, their pixels are not
        file.seek(at + 60 * (count - 3))
        file.write(bytes(3 * 60))
    subprocess.run([h.DAOREC, "repair", "--apply", folder], check=True, capture_output=True)
    assert len(daorec.open(folder).stream) == count - 3
    assert np.array_equal(stream[:-3], before[:-3]) and is_ramp(stream[count - 4], stream.read_rows(
        range(count - 4, count - 3))["CNT0"])
    for read in (lambda: stream[-3], lambda: stream[:], lambda: stream.rows,
                 lambda: list(stream.frames())):
        with fails(daorec.Error, part.path, "was cut since it was opened", "open it again"):
            read()


def rows_that_a_power_cut_left_out_are_left_out():
    folder = killed()
    (part,) = glob.glob(os.path.join(folder, "*", "*.part"))
    header = fits.getheader(part, "FRAMES")
    with fits.open(part) as hdus:
        at = hdus["FRAMES"].fileinfo()["datLoc"]
    assert header["NAXIS1"] == 64
    with open(part, "r+b") as file:
        for row in (0, 17, 18, 40):
            file.seek(at + 64 * row)
            file.write(bytes(64))
    stream = check_like_astropy_part(folder, [part])
    check_against_source(stream)
    assert (np.diff(stream.rows["CNT0"]) - 1).sum() == 3
    # Nobody recorded these losses: they are the crash's.
    gaps = [(gap.count, gap.cause, gap.index) for gap in stream.gaps]
    assert (2, "disk", 16) in gaps and (1, "disk", 37) in gaps, gaps


def a_running_recording_grows():
    path, process = source("-d", "60s")
    place = root()
    recorder = f.start(place, "--wait=20s", "--roll-frames", 300, path)
    recorder.has_files(path, 1, ".part")
    session = daorec.open(recorder.folder())
    stream = session[h.stream_name(path)]
    lengths = [0]

    def grown():
        assert session.refresh()[h.stream_name(path)] is stream
        lengths.append(len(stream))
        assert lengths[-1] >= lengths[-2], lengths
        if lengths[-1] > lengths[-2]:
            new = slice(lengths[-2], lengths[-1])
            assert is_ramp(stream[new], stream.rows["CNT0"][new])
        return lengths[-1] > 700 and len({file.reference_ns for file in stream.files}) > 1
    h.wait_for(grown, seconds=60, what="frames in several files")
    assert len(stream.files) > 2 and stream.files[0] is session.refresh()[stream.name].files[0]
    recorder.stop()
    done = f.end(recorder, {path: ((6, 5), "uint16")})
    end(process)
    assert len(session.refresh().stream) == done.stream(path)["recorded"]
    assert session.ledger["end"] is not None and all(file.is_finished for file in stream.files)
    # Each file counts TIME from a second of its own, the stream from that of the first.
    seconds = (stream.times - stream.reference_ns) * 1e-9
    assert np.allclose(stream.rows["TIME"], seconds, rtol=0, atol=1e-7)


def a_ring(count=3, spares=8):
    """(session's folder, turn): a ring of `count` files, as --keep-files makes one; turn() removes
    its oldest and adds one, as long as there are spares."""
    path, process = source("--rate", 0, "-n", 10 * (count + spares), depth=256)
    process.communicate(timeout=60)
    ended = h.finish(h.record("--backlog", "--roll-frames", 10, "-n", 10 * (count + spares), path))
    files = sorted(ended.stream(path)["files"])
    here, later = files[:count], files[count:]
    assert len(later) == spares, files
    for file in later:
        os.rename(file, file + ".later")

    def turn():
        newest = later.pop(0)
        os.unlink(here.pop(0))
        os.rename(newest + ".later", newest)
        here.append(newest)
    return ended.folder, here, turn


def a_folder_whose_oldest_file_goes_before_it_is_opened_is_listed_again():
    folder, here, turn = a_ring()
    open_file, turns = daorec.open_file, [3]

    def late(path):
        if turns[0] and path == here[0]:
            turns[0] -= 1
            turn()
        return open_file(path)
    daorec.open_file = late
    try:
        stream = daorec.open(folder).stream
        assert turns == [0] and [file.path for file in stream.files] == here
        assert [file.number for file in stream.files] == [4, 5, 6] and len(stream) == 30
        assert is_ramp(stream[:], stream.rows["CNT0"])
        turns[0] = 1
        with fails(daorec.Error, here[0], "not there"):
            daorec.open(here[0])
        turns[0] = 1
        folder = os.path.dirname(here[0])
        assert [file.path for file in daorec.open(folder).stream.files] == here
    finally:
        daorec.open_file = open_file
    stream, gone = daorec.open(folder).stream, here[0]
    turn()
    with fails(daorec.Error, gone, "not there any more", "daorec keep"):
        stream[0]
    assert is_ramp(stream[10:], stream.read_rows(range(10, 30))["CNT0"])


def folders_that_go_while_they_are_listed_hold_nothing():
    place = root()
    for name in ("2026-11-24_02-01-08/wfs", "2026-11-25_02-01-08/wfs", "2026-11-26_02-01-08/wfs"):
        os.makedirs(os.path.join(place, name))
        with open(os.path.join(place, name, "wfs_000001.fits"), "wb"):
            pass
    first, second, last = sorted(glob.glob(os.path.join(place, "*")))
    scandir = os.scandir

    def late(folder):
        if folder in (first, os.path.join(second, "wfs")):
            shutil.rmtree(folder)
        return scandir(folder)
    os.scandir = late
    try:
        assert daorec.sessions(place) == [last]
        with fails(daorec.Error, second, "no recording"):
            os.makedirs(os.path.join(second, "wfs"))
            daorec.open(second)
    finally:
        os.scandir = scandir


def files_that_are_closed_while_they_are_read_stay_whole():
    looks = [0, 0]
    for _ in range(5):  # a look after a file has got its final name is a matter of chance
        read_while_files_are_closed(looks)
        if all(looks):
            break
    print(f"  {looks[0]} looks, {looks[1]} of them after a file had got its final name")
    assert all(looks), looks


def read_while_files_are_closed(looks):
    path, process = source("-d", "60s", rate=2000)
    place = root()
    recorder = f.start(place, "--wait=20s", "-d", "2s", "--roll-frames", 170, path)
    recorder.has_files(path, 1, ".part")
    session, stop, errors = daorec.open(recorder.folder()), threading.Event(), []

    def read():
        """Old objects and new ones, as fast as they can."""
        try:
            while not stop.is_set():
                stream = daorec.open(session.path).stream
                for _ in range(4):
                    rows = stream.read_rows()
                    assert is_ramp(stream[-50:], rows["CNT0"][-50:])
                    assert (np.diff(rows["CNT0"]) > 0).all() and (rows["RTIME"] > 0).all()
                    looks[0] += 1
                    looks[1] += not all(os.path.exists(file.path) for file in stream.files)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)
    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    f.end(recorder, {path: ((6, 5), "uint16")})
    stop.set()
    for thread in threads:
        thread.join(60)
    end(process)
    assert not errors, errors


def a_reshaped_stream_has_parts():
    path, process = source("-d", "60s")
    place = root()
    recorder = f.start(place, "--wait=20s", "--roll-frames", 100, path)
    recorder.has_files(path, 1)
    end(process)
    _, process = source("-d", "60s", shape=(4, 4), dtype="float32", name=path)
    h.wait_for(lambda: any(file.shape == (4, 4) and len(file) for file
                           in daorec.open(recorder.folder()).stream.files), what="the new shape")
    recorder.stop()
    recorder.process.communicate(timeout=60)
    end(process)
    stream = daorec.open(recorder.folder()).stream
    first, second = stream.parts
    border = len(first)
    assert (first.shape, second.shape) == ((6, 5), (4, 4)) and len(stream) == border + len(second)
    check_against_source(first)
    check_against_source(second, (4, 4), "float32")
    for whole in (lambda: stream[:], stream.array, lambda: stream.shape, lambda: stream.dtype,
                  lambda: stream[border - 1:border + 1]):
        with fails(daorec.Error, stream.name, "reshaped", "parts"):
            whole()
    assert np.array_equal(stream[:border], first[:])
    assert np.array_equal(stream[border:], second[:]) and stream[border].dtype == np.float32
    assert np.array_equal(stream.rows["CNT0"][border:], second.rows["CNT0"])
    shapes = [frame.pixels.shape for frame in stream.frames(border - 3, border + 3)]
    assert shapes == [(6, 5)] * 3 + [(4, 4)] * 3
    assert "(6, 5) uint16, then (4, 4) float32" in repr(stream)


# ---- bad input ----

def what_cannot_be_read_is_named_with_a_remedy():
    session, path = recorded()
    name, files = h.stream_name(path), session.stream(path)["files"]
    place = root()

    def made(name, content):
        with open(os.path.join(place, name), "wb") as file:
            file.write(content)
        return os.path.join(place, name)
    with open(files[0], "rb") as file:
        whole = file.read()
    image = os.path.join(place, "image.fits")
    fits.PrimaryHDU(np.zeros((3, 4), "f4")).writeto(image)
    with fails(daorec.Error, "/nowhere", "not there"):
        daorec.open("/nowhere/x.fits")
    for empty in ([], iter(())):
        with fails(daorec.Error, "no file was named"):
            daorec.open(empty)
    with fails(daorec.Error, "no recording", "*.fits"):
        daorec.open(os.path.dirname(made("none.txt", b"")) + "/../" + os.path.basename(root()))
    with fails(daorec.Error, h.output, "sessions", "open one of them"):
        daorec.open(h.output)
    with fails(daorec.Error, "text.fits", "is no FITS"):
        daorec.open(made("text.fits", b"hello"))
    with fails(daorec.Error, "empty.fits", "is no FITS"):
        daorec.open(made("empty.fits", b""))
    with fails(daorec.Error, "image.fits", "no recording of daorec", "astropy"):
        daorec.open(image)
    for cut in (100, 3000, 5760, len(whole) // 2, len(whole) - 2880 * 4, len(whole) - 2880 * 6):
        with fails(daorec.Error, "cut.fits", "cut short", "copy it again"):
            daorec.open(made("cut.fits", whole[:cut]))
    with fails(daorec.Error, place, "is no file"):
        daorec.open([place])
    with fails(KeyError, "'nobody'", name):
        daorec.open(session.folder)["nobody"]
    stream = daorec.open(session.folder).stream
    with fails(IndexError, "frame 500", "has 500"):
        stream[500]
    with fails(IndexError, "frame -501"):
        stream[-501]
    for key in (1.5, "x", [1, 2]):
        with fails(TypeError):
            stream[key]


def files_that_do_not_belong_together_are_refused():
    session, path = recorded()
    files = session.stream(path)["files"]
    place = os.path.join(root(), "copy")
    shutil.copytree(os.path.dirname(files[0]), place)
    stream = daorec.open(place).stream  # without its ledger, and the copy is a stream by itself
    assert len(stream) == 500 and stream.ledger is None
    fits.PrimaryHDU(np.zeros((3, 4), "f4")).writeto(os.path.join(place, "average.fits"))
    assert len(daorec.open(place).stream) == 500, "somebody's file beside ours is left alone"
    copies = sorted(glob.glob(os.path.join(place, "*_0*.fits")))
    os.link(copies[2], copies[2] + ".part")  # both names, as a crash can leave it
    assert len(daorec.open(place).stream) == 500
    shutil.copy(copies[1], copies[1].replace("_000002", "_000009"))
    with fails(daorec.Error, "_000009.fits", "the number 2", "take one of them away"):
        daorec.open(place)
    os.unlink(copies[1].replace("_000002", "_000009"))
    with open(copies[1], "r+b") as file:
        text = file.read()
        file.seek(0)
        file.write(re.sub(rb"(RECUUID = ')........", rb"\1ffffffff", text, count=1))
    with fails(daorec.Error, "several sessions", "by itself"):
        daorec.open(place)
    shutil.copy(files[1], copies[1] + "x")
    before = stream[210]
    os.rename(copies[1] + "x", copies[1])
    with fails(daorec.Error, copies[1], "another file has taken this name"):
        stream[210]
    os.unlink(copies[1])
    with fails(daorec.Error, copies[1], "not there"):
        stream[210]
    assert is_ramp(before, daorec.open(files).stream.rows["CNT0"][210])
    with open(copies[0], "r+b") as file:
        file.truncate(9000)
    with fails(daorec.Error, copies[0], "cut short"):
        stream[:200]
    assert len(stream[:2]) == 2, "what is there is still read"


def headers_are_not_believed():
    """Any byte of the headers changed: it is read, or refused in one line; nothing else."""
    session, path = recorded()
    with open(session.stream(path)["files"][0], "rb") as file:
        whole = bytearray(file.read())
    target = os.path.join(root(), "x.fits")
    random, refused = np.random.default_rng(5), 0
    frames_at = whole.index(b"XTENSION")
    places = np.concatenate([random.integers(0, 80 * 50, 150),
                             frames_at + random.integers(0, 80 * 50, 100)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at in places:
            changed = bytearray(whole)
            likely = random.choice(list(b"0192-T'= /E."))
            changed[at] = random.integers(0, 256) if at % 2 else likely
            with open(target, "wb") as file:
                file.write(changed)
            try:
                stream = daorec.open(target).stream
                stream.keywords, stream.gaps, stream.at_count(300), len(stream[:10])
            except daorec.Error as error:
                assert "\n" not in str(error) and "x.fits" in str(error), error
                refused += 1
            except MemoryError as error:
                assert "GB" in str(error)
    assert 20 < refused < 250, refused


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # of processes that were killed
    h.main([gaps_of_the_source_are_told, gaps_of_a_held_recorder_are_told,
            losses_over_a_restart_are_told_of_both_runs,
            a_row_s_losses_are_divided_as_repair_divides_them,
            losses_that_no_row_tells_come_from_the_ledger,
            a_ledger_can_tell_more_and_can_be_damaged,
            what_a_killed_recorder_left_is_read_before_and_after_repair,
            frames_that_repair_drops_are_missed, rows_that_a_power_cut_left_out_are_left_out,
            a_running_recording_grows,
            a_folder_whose_oldest_file_goes_before_it_is_opened_is_listed_again,
            folders_that_go_while_they_are_listed_hold_nothing,
            files_that_are_closed_while_they_are_read_stay_whole, a_reshaped_stream_has_parts,
            what_cannot_be_read_is_named_with_a_remedy,
            files_that_do_not_belong_together_are_refused, headers_are_not_believed])
