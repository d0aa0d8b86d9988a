#!/usr/bin/env python3
"""scripts/daorec-report where not all is well: unfinished, repaired and reshaped recordings, bad
times, many gaps, ledgers that do not fit, and hostile names."""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from daorec_face import daorec, end, recorded, root, source  # noqa: E402
from report_face import (  # noqa: E402
    Page, copied, edit_rows, glanced, lossy, made, night, page, report)
from daorec_report import units  # noqa: E402
from test_python_daorec_state import killed, there  # noqa: E402


def unfinished_and_repaired_sessions_are_told():
    folder = killed("--roll-frames", 600, files_min=2)
    stream = daorec.open(folder).stream
    found, shown = made(folder)
    # On a busy machine the file before the last one may not have been closed yet, either.
    count = sum(len(there(part)[1]) > 0 for part in glob.glob(os.path.join(folder, "*", "*.part")))
    assert f"{count} unfinished file{'s' * (count > 1)}, being written" in shown.text, shown.text
    assert "daorec repair" in shown.text, shown.text
    (row,) = shown.tables["summary"]
    assert row[5] == len(stream) and row[4] == row[5] + row[6], row
    assert row[6] == sum(gap.count for gap in stream.gaps)
    subprocess.run([h.DAOREC, "repair", "--apply", folder], check=True, capture_output=True)
    _, shown = made(folder)
    assert "recovered after a crash" in shown.text and "unfinished" not in shown.text
    with open(os.path.join(folder, "session.json"), encoding="utf-8") as file:
        (mine,) = json.load(file)["streams"]
    assert shown.tables["summary"][0][4:7] == [mine["expected"], mine["recorded"], mine["lost"]]


def restarts_and_shapes_are_told():
    path, process = source("-d", "60s")
    recorder = h.record("--wait=30s", "--roll-frames", 100, path)

    def has_come(shape):
        folders = glob.glob(os.path.join(h.output, "*", h.stream_name(path)))
        files = daorec.open(folders[0]).stream.files if folders and os.listdir(folders[0]) else ()
        return any(file.shape == shape and len(file) for file in files)
    h.wait_for(lambda: has_come((6, 5)), what="frames")
    end(process)
    _, process = source("-n", 150, shape=(7,), dtype="float32", name=path)
    h.wait_for(lambda: has_come((7,)), what="the new shape")
    recorder.send_signal(signal.SIGINT)
    session = h.finish(recorder)
    end(process)
    found, shown = made(session.folder)
    (stream,) = found.streams
    assert stream.restarts == session.ledger_of(path)["restarts"] == 1
    (row,) = shown.tables["summary"]
    assert row[1] == "6 × 5 uint16, then 7 float32" and row[4] == session.stream(path)["expected"]
    assert "restarted 1 time" in shown.text
    assert len(shown.images) == 3 and "Frames 7 float32" in shown.text, "one shape is not shown"
    sizes = [(6 * 5 * 2 + 64, (6, 5)), (7 * 4 + 64, (7,))]
    assert row[-1] == sum(size * sum(len(f) for f in stream.source.files if f.shape == shape)
                          for size, shape in sizes)


def bad_times_are_counted_and_left_out():
    folder = copied(recorded()[0].folder)
    stream = daorec.open(folder).stream

    def spoil(rows):
        rows["ATIME"][10:30], rows["FLAGS"][10:30] = 0, rows["FLAGS"][10:30] | daorec.Flag.BADTIME
    edit_rows(stream.files[0].path, spoil)
    found, shown = made(folder)
    assert "20 with a bad time" in shown.text
    assert found.streams[0].latency.count == 480
    # 499 neighbours, less the one with the gap between, less those of bad times
    assert found.streams[0].interval.count == 499 - 1 - 21
    assert found.streams[0].interval.max < 10**12

    def spoil_all(rows):
        rows["ATIME"], rows["FLAGS"] = 0, rows["FLAGS"] | daorec.Flag.BADTIME
    for file in stream.files:
        edit_rows(file.path, spoil_all)
    found, shown = made(folder)
    assert "No frame has a good time" in shown.text and "spread" not in shown.tables
    assert shown.streams()[stream.name][5] == 500


def the_largest_of_many_gaps_are_shown_and_the_rest_is_counted():
    file = shutil.copy(recorded()[0].stream(recorded()[1])["files"][1], root())

    def riddle(rows):
        rows["LOST"] = 2
        rows["LOST"][50] = 70
        rows["FLAGS"] = daorec.Flag.GAP | daorec.Flag.OVERWRITE
        rows["CNT0"] = 5000 + np.cumsum(rows["LOST"] + 1)
    edit_rows(file, riddle)
    found, shown = made(file)
    rows = shown.tables["gaps"]
    assert len(rows) == 100 and rows[50][3] == 70 and {row[3] for row in rows} == {2, 70}
    assert rows[0][4] == 5001 and rows[0][2] == "lapped"
    assert "Left out: 100 gaps of 200 frames in all." in shown.text
    assert shown.tables["summary"][0][4:10] == [200 + 468, 200, 468, "70.1\u202f%", 468, 0]


def a_ledger_that_does_not_fit_is_told_and_not_used():
    folder = copied(recorded()[0].folder)
    ledger = os.path.join(folder, "session.json")
    with open(ledger, encoding="utf-8") as file:
        good = json.load(file)

    def check(text, lost=7, frames=500):
        _, shown = glanced(folder)
        assert shown.tables["summary"][0][4:7] == [frames + lost, frames, lost]
        assert text in shown.text, (text, shown.text[:2000])

    def with_entry(**changed):
        with open(ledger, "w", encoding="utf-8") as file:
            json.dump({**good, "streams": [{**good["streams"][0], **changed}]}, file)

    def gap(first, count, cause):
        return {**good["streams"][0]["gaps"][0], "first_cnt0": first, "count": count,
                "cause": cause}
    first = good["streams"][0]["gaps"][0]["first_cnt0"]
    with_entry(gaps=[gap(first, 3, "disk"), gap(first + 3, 4, "source")],
               lost_by=dict(good["streams"][0]["lost_by"], disk=3, source=4))
    found, shown = made(folder)
    assert not found.streams[0].notes and shown.tables["summary"][0][8:12] == [0, 3, 4, 0]
    assert [row[2:5] for row in shown.tables["gaps"]] == [
        ["disk", 3, first], ["source", 4, first + 3]], "it knows better than the rows"
    with_entry(gaps=[], gaps_left_out=1,
               lost_by=dict(good["streams"][0]["lost_by"], disk=3, source=4))
    _, shown = glanced(folder)
    assert shown.tables["summary"][0][8:12] == [0, 3, 4, 0], "also where its list is capped"
    huge = {"first_cnt0": 1, "count": 2**70, "cause": "disk", "time": None}
    for changed in ({"lost": 8}, {"recorded": "many"}, {"removed": 3}, {"gaps": 3},
                    {"removed": {"files": 1, "frames": 501}}, {"gaps": [{"count": -1}]},
                    {"lost_by": None}, {"geometry": []}, {"gaps": [huge]},
                    {"gaps": [{**huge, "count": 2, "time": 2**63}]}):
        with_entry(**changed)
        check("entry in the ledger is damaged")
    with open(ledger, "w", encoding="utf-8") as file:
        file.write("{")
    check("The ledger cannot be read")
    os.unlink(ledger)
    check("")
    with_entry()
    os.unlink(daorec.open(folder).stream.files[-1].path)
    check("The ledger tells of 500 frames, 400 are here: files were taken away", frames=400)


def frames_of_absent_files_are_told_as_such():
    folder = copied(recorded()[0].folder)
    files = daorec.open(folder).stream.files
    os.unlink(files[1].path)
    found, shown = made(folder)
    missing = len(files[1])
    assert shown.tables["summary"][0][8:13] == [0, 0, 7, 0, missing]
    assert [row[2:4] for row in shown.tables["gaps"]] == [["source", 7], ["absent", missing]]
    assert "files were taken away" in shown.text
    assert found.streams[0].losses.by_time["absent"].sum() == missing
    gaps = daorec.open(folder).stream.gaps
    assert [(gap.cause, gap.count) for gap in gaps] == [("source", 7), ("absent", missing)]


def files_that_go_while_the_page_is_made_do_not_cost_it():
    """As a ring of files removes them: at each step at which they can go."""
    session, _ = recorded()
    sizes = [len(file) for file in daorec.open(session.folder).stream.files]
    for step, which in (("opened", 0), ("opened", 1), ("begun", 1), ("counted", 0)):
        opened = daorec.open(copied(session.folder))
        gone = opened.stream.files[which].path

        def remove(now, step=step, gone=gone):
            if now == step and os.path.exists(gone):
                os.unlink(gone)
        remove("opened")
        found = night.Night(opened, lambda *_, remove=remove: remove("begun"))
        remove("counted")
        shown = Page(page.make(found, "s"))
        (row,) = shown.tables["summary"]
        assert len(shown.images) == 3 and not found.left_out, "no pictures of what is left"
        if step == "counted":
            assert row[3:6] == [len(sizes), sum(sizes) + 7, sum(sizes)]
            continue
        assert row[3] == len(sizes) - 1 and row[5] == sum(sizes) - sizes[which], (step, row)
        # What was before all that is left is not lost: it was removed.
        assert row[12] == (sizes[which] if which else 0), (step, which, row)
        assert row[4] == row[5] + row[6] and row[6] == row[10] + row[12], row
        assert f"1 of its files ({os.path.basename(gone)}) went" in shown.text, shown.text[:900]
    for file in opened.stream.files[1:]:
        os.unlink(file.path)
    found = night.Night(opened)  # all of them
    assert Page(page.make(found, "s")).tables["summary"][0][3:6] == [0, 7, 0]


def a_damaged_file_is_left_out_and_told():
    folder = copied(recorded()[0].folder)
    files = daorec.open(folder).stream.files
    missing = len(files[1])
    os.truncate(files[1].path, os.path.getsize(files[1].path) // 3)
    with h.Raises(daorec.Error, files[1].path, in_one_line=True):
        daorec.open(folder)
    out = os.path.join(root(), "out.html")
    run = report(folder, "-o", out)
    assert (run.returncode, run.stdout) == (0, ""), run
    assert run.stderr.startswith(f"daorec-report: warning: {files[1].path}: "), run
    assert run.stderr.endswith("; left out\n") and run.stderr.count("\n") == 1, run
    with open(out, encoding="utf-8") as file:
        shown = Page(file.read())
    assert "Left out: " + files[1].path in shown.text
    assert shown.tables["summary"][0][8:13] == [0, 0, 7, 0, missing]
    assert report(folder, "-o", out, "--force", "-q").stderr == ""
    run = report(files[1].path, "-o", out, "--force")
    assert run.returncode == 1 and files[1].path in run.stderr, run


def removed_files_are_told_and_the_rest_is_shown():
    """Losses among what was removed do not count, nor make the night longer."""
    path, process = source("--jump-at", 30, "--jump-by", 7, depth=8192)
    recorder = h.record("--wait=30s", "--backlog", "-n", 500, "--roll-frames", 100, path,
                        "--keep-files", 2)
    session = h.finish(recorder)
    end(process)
    removed = session.ledger_of(path)["removed"]
    assert (removed["files"], removed["frames"]) == (3, 300)
    assert [gap["count"] for gap in session.ledger_of(path)["gaps"]] == [7]
    found, shown = made(session.folder)
    (stream,) = found.streams
    assert stream.notes == ["3 of its files, of 300 frames, were removed to keep within a limit. "
                            "All that is shown is of what is left."]
    assert stream.notes[0] in shown.text
    assert shown.tables["summary"][0][4:7] == [200, 200, 0] and "gaps" not in shown.tables
    assert found.bins.begin_ns == stream.source.rows["RTIME"][0]
    os.unlink(stream.source.files[0].path)
    _, shown = made(session.folder)
    assert "tells of 200 frames that were not removed, 100 are here" in shown.text


def what_nobody_recorded_has_a_page_too():
    session, _, _, idle = lossy()
    folder = copied(session.folder)
    for name in os.listdir(folder):
        if name != "session.json" and name != h.stream_name(idle):
            shutil.rmtree(os.path.join(folder, name))
    with open(os.path.join(folder, "session.json"), encoding="utf-8") as file:
        ledger = json.load(file)
    ledger["streams"] = [s for s in ledger["streams"] if s["name"] == h.stream_name(idle)]
    with open(os.path.join(folder, "session.json"), "w", encoding="utf-8") as file:
        json.dump(ledger, file)
    _, shown = made(folder)
    assert "No frame came." in shown.text and shown.tables["summary"][0][4:7] == [0, 0, 0]
    entry = ledger["streams"][0]
    entry.update(expected=5, lost=5, lost_by={**entry["lost_by"], "disk": 5}, gaps=[
        {"first_cnt0": 1, "count": 5, "cause": "disk", "time": "2026-11-24T02:01:08.25"}])
    with open(os.path.join(folder, "session.json"), "w", encoding="utf-8") as file:
        json.dump(ledger, file)
    _, shown = made(folder)
    assert shown.tables["gaps"] == [["02:01:08.250", entry["name"], "disk", 5, 1, units.NONE]]


# ---- hostile names ----

def what_names_and_keywords_say_is_text_and_nothing_else():
    folder = copied(recorded()[0].folder)
    clean = made(folder)[1]
    evil = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
            "</style></figure><b onclick=x>", "$\\frac{1}{0}$ &lt; &amp;", "'-->]]><svg/onload=x>")
    for file in glob.glob(os.path.join(folder, "*", "*.fits")):
        with fits.open(file, mode="update", memmap=False) as hdus:
            header = hdus[0].header
            for key, value in zip(("EXTNAME", "SHMNAME", "BUNIT", "TELESCOP", "OBSERVER"), evil):
                header[key] = value
    with open(os.path.join(folder, "session.json"), encoding="utf-8") as file:
        ledger = json.load(file)
    ledger.update(session=evil[1], host=evil[0] + "\u202e\x1b[2J\ud800", version=evil[4],
                  start=evil[2], end=evil[3])
    ledger["streams"].append({
        **ledger["streams"][0], "name": evil[4], "recorded": 0, "expected": 2, "lost": 2,
        "lost_by": {"lapped": 0, "disk": 0, "source": 2, "restart": 0}, "restarts": 0,
        "geometry": {"type": evil[0], "size": [evil[1]], "depth": 4},
        "gaps": [{"first_cnt0": 1, "count": 2, "cause": evil[1], "time": None}]})
    with open(os.path.join(folder, "session.json"), "w", encoding="utf-8") as file:
        json.dump(ledger, file)
    opened = daorec.open(folder)
    keywords = dict(zip(evil, evil)) | {"<i>": 1}
    kept, daorec.File.keywords = daorec.File.keywords, property(lambda file: keywords)
    try:
        found = night.Night(opened)
        text = page.make(found, evil[1])
    finally:
        daorec.File.keywords = kept
    shown = Page(text)  # no script, no event, nothing from outside, balanced
    # A table of keywords, notes and a chip may come in addition; nothing that was injected.
    added = shown.tags - clean.tags
    assert added <= {"details", "summary", "code"}, added
    assert set(shown.attributes) <= set(clean.attributes) | {"id"}, "an attribute was injected"
    for piece in evil:
        assert piece in shown.text, piece
    assert "\x1b" not in text and "\u202e" not in text and "\ud800" not in text
    text.encode("utf-8")


if __name__ == "__main__":
    h.main([unfinished_and_repaired_sessions_are_told, restarts_and_shapes_are_told,
            bad_times_are_counted_and_left_out,
            the_largest_of_many_gaps_are_shown_and_the_rest_is_counted,
            a_ledger_that_does_not_fit_is_told_and_not_used,
            frames_of_absent_files_are_told_as_such,
            files_that_go_while_the_page_is_made_do_not_cost_it,
            a_damaged_file_is_left_out_and_told, removed_files_are_told_and_the_rest_is_shown,
            what_nobody_recorded_has_a_page_too,
            what_names_and_keywords_say_is_text_and_nothing_else])
