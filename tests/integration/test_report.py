#!/usr/bin/env python3
"""scripts/daorec-report: its page against the ledger, the rows and the pixels, and the program."""
import base64
import functools
import io
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults  # noqa: E402
import harness as h  # noqa: E402
from daorec_face import ROOT, daorec, recorded, root  # noqa: E402
from report_face import Page, copied, glanced, lossy, made, night, page, report  # noqa: E402
import daorec_file  # noqa: E402
from daorec_report import pictures, units  # noqa: E402
from daorec_report.losses import LEDGER_CAUSES as CAUSES  # noqa: E402


@functools.cache
def installed():
    """The program where `make install` put it."""
    place = os.path.join(root(), "installed")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    make = functools.partial(subprocess.run, check=True, capture_output=True,
                             env=dict(environment, PYTHON=sys.executable))
    make(["make", "-C", ROOT, "install", f"DESTDIR={place}", "prefix=/opt/dao"])
    return place, make


def the_page_says_what_the_ledger_says():
    session, image, slopes, idle = lossy()
    place, program = root(), os.path.join(installed()[0], "opt/dao/bin/daorec-report")
    out = os.path.join(place, "out.html")
    with open(out, "w", encoding="utf-8") as file:
        file.write("old")
    run = subprocess.run([program, session.folder, "-o", "out.html", "--force"], cwd=place,
                         capture_output=True, text=True, umask=0o027, timeout=100, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", ""), run
    assert os.listdir(place) == ["out.html"] and stat.S_IMODE(os.stat(out).st_mode) == 0o640
    with open(out, encoding="utf-8") as file:
        shown = Page(file.read())
    rows = shown.streams()
    assert set(rows) == {h.stream_name(path) for path in (image, slopes, idle)}
    for path in (image, slopes, idle):
        mine, row = session.ledger_of(path), rows[h.stream_name(path)]
        numbers = [len(mine["files"]), mine["expected"], mine["recorded"], mine["lost"]]
        assert row[3:7] == numbers, (row, mine)
        assert row[8:13] == [mine["lost_by"][cause] for cause in CAUSES] + [0], (row, mine)
        size = mine["recorded"] * (mine["geometry"]["frame_bytes"] + 64)
        assert row[-1] == size, (row, size)
    assert rows[h.stream_name(image)][1] == "24 × 20 uint16"
    assert rows[h.stream_name(slopes)][1] == "97 float32"
    assert rows[h.stream_name(idle)][13] == units.NONE
    told = sorted((gap["time"][11:23], stream["name"], gap["cause"], gap["count"],
                   gap["first_cnt0"]) for stream in session.ledger["streams"]
                  for gap in stream["gaps"])
    assert sorted(tuple(row[:5]) for row in shown.tables["gaps"]) == told
    lost = sum(stream["lost"] for stream in session.ledger["streams"])
    assert f"{units.count(lost)}frames lost" in shown.text
    assert "No frame came." in shown.text and "unfinished" not in shown.text
    assert session.ledger["host"] in shown.text


def losses_are_drawn_when_they_were():
    session, image, slopes, _ = lossy()
    found, shown = made(session.folder)
    for stream in found.streams:
        mine = next(s for s in session.ledger["streams"] if s["name"] == stream.name)
        for cause in CAUSES:
            assert stream.losses.by_time[cause].sum() == mine["lost_by"][cause]
        for gap in mine["gaps"]:
            at = (np.datetime64(gap["time"], "ns").astype(int) - found.bins.begin_ns) / 1e9
            assert stream.losses.by_time[gap["cause"]][int(at / found.bins.width_s)] >= gap["count"]
    assert {"var(--lapped)", "var(--source)"} <= set(re.findall(
        r'stroke="(var[^"]*)"', page._timeline(found)))
    assert "var(--disk)" not in re.findall(r'stroke="(var[^"]*)"', page._timeline(found))
    # wide and narrow, three lanes; of two streams rate, latency, backlog, interval, losses; curves
    assert shown.drawings == 2 + 3 + 2 * 5 + 1, shown.drawings


def noted(times_and_texts):
    """(ledger, night, page as text) of a copy of the recording, with these marks: (share of the
    span in which there were frames, text)."""
    folder = copied(lossy()[0].folder)
    path = os.path.join(folder, "session.json")
    with open(path, encoding="utf-8") as file:
        ledger = json.load(file)
    bins = night.Night(daorec.open(folder)).bins
    ledger["marks"] = [
        {"time": str(np.datetime64(bins.begin_ns + int(at * (bins.end_ns - bins.begin_ns)), "ns")),
         "text": text} for at, text in times_and_texts]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(ledger, file)
    found = night.Night(daorec.open(folder))
    return ledger, found, page.make(found, "marked")


def marks_are_drawn_where_they_were_and_listed():
    texts = ["loop closed", "<script>alert('&\"')</script>", "\" onload=\"</td></table><b>",
             "\u0160t\u011bp\u00e1n \u202e", "x" * 200]
    ledger, found, html = noted(list(zip((-0.2, 0.1, 0.5, 0.999, 1.5), texts)))
    shown = Page(html)
    rows = shown.tables["marks"]
    assert [row[0] for row in rows] == list("12345") and {f"m{i}" for i in range(1, 6)} < set(
        shown.ids)
    assert [row[1] for row in rows] == [mark["time"].replace("T", " ")[:23]
                                        for mark in ledger["marks"]]
    assert [row[2] for row in rows] == [text.replace("\u202e", "\ufffd") for text in texts]
    assert "2 marks before the first frame or behind the last one" in shown.text
    timeline = page._timeline(found)
    at = [float(x) for x in re.findall(r'<a href="#m\d"[^>]*left: ([0-9.]+)%', timeline)]
    assert np.allclose(at, [10, 50], atol=0.1) and "right: 0.1" in timeline, timeline
    count = found.bins.count  # in the row, and through each of the lanes
    for share, times in ((0.1, 4), (0.5, 4), (0.999, 4)):
        assert len(re.findall(rf"M{share * count:.2f} [-0-9]+V", timeline)) == times, timeline
    assert "Marks" not in Page(noted([])[2]).text


def many_marks_hide_nothing():
    ledger, found, html = noted([(i / 200, f"mark {i}") for i in range(200)])
    shown, timeline = Page(html), page._timeline(found)
    assert len(shown.tables["marks"]) == 200 and "200 marks" in shown.text
    at = [float(x) for x in re.findall(r'<a href="#m\d+"[^>]*left: ([0-9.]+)%', timeline)]
    assert 20 < len(at) <= 34 and np.diff(at).min() >= 2.9, at
    lanes = re.findall(r"<svg.*?</svg>", timeline, re.S)[:4]
    assert ["stroke-dasharray" in lane for lane in lanes] == [False] * 4
    ledger, found, html = noted([(i / 3000, "x") for i in range(3000)])
    linked = re.findall(r'<a href="#(m\d+|marks)"[^>]*style', page._timeline(found))
    assert {"m1", "marks"} < set(linked) <= set(Page(html).ids), linked
    assert "2\u202f000 more marks are not in this table" in Page(html).text
    assert len(html) < 3e6, len(html)


def damaged_marks_are_told_and_the_rest_is_shown():
    folder = copied(lossy()[0].folder)
    path = os.path.join(folder, "session.json")
    with open(path, encoding="utf-8") as file:
        ledger = json.load(file)
    for marks in ([{"time": "2026-11-24T02:01:08", "text": 7}], [{"text": "x"}], 7, [7],
                  [{"time": "9999-11-24T02:01:08", "text": "x"}],
                  [{"time": "2261-11-24T02:01:08", "text": "x" * 10**6}], {"time": "x"}):
        ledger["marks"] = marks
        with open(path, "w", encoding="utf-8") as file:
            json.dump(ledger, file)
        found, shown = glanced(folder)
        if found.marks:
            assert marks[0]["time"].startswith("2261") and len(page._marks(found)) < 2000
            assert "2261-11-24" in page._marks(found)
        else:
            assert "Marks are not shown" in shown.text, marks
        assert found.total("lost") > 0


# ---- numbers against the rows ----

def brute(stream):
    """Intervals, latencies (ns) and backlogs of a daorec.Stream, the slow way."""
    rows = stream.rows
    atime, rtime = rows["ATIME"].astype(int), rows["RTIME"].astype(int)
    fine = (atime != 0) & (rows["FLAGS"] & daorec.Flag.BADTIME == 0)
    follows = fine[1:] & fine[:-1] & (np.diff(rows["CNT0"]) == 1) & (rows["LOST"][1:] == 0)
    published = np.maximum.accumulate(np.minimum(atime, rtime))
    waiting = [np.count_nonzero(published[i + 1:] <= rtime[i]) for i in range(len(rows))]
    return np.diff(atime)[follows], (rtime - atime)[fine], np.array(waiting)


def check_numbers(found, session):
    for stream in found.streams:
        if not stream.recorded:
            continue
        interval, latency, waiting = brute(session[stream.name])
        for spread, values in ((stream.interval, interval), (stream.latency, latency)):
            assert (spread.count, spread.min, spread.max) == (
                len(values), values.min(), values.max())
            for quantile in (0.5, 0.99, 0.999):
                exact = np.quantile(values, quantile, method="inverted_cdf") * 1e-9
                assert abs(spread.at(quantile) / exact - 1) < 0.004, (quantile, exact)
        where = found.bins.index(session[stream.name].rows["RTIME"])
        assert stream.waiting.max() == waiting.max() > 0
        for part in np.unique(where):
            assert stream.waiting[part] == waiting[where == part].max()
            exact = latency[where == part].max() * 1e-9  # all times are good
            assert abs(stream.latency.largest[part] - exact) < 1e-12
            middle = np.quantile(latency[where == part], 0.5, method="inverted_cdf") * 1e-9
            assert abs(stream.latency.parts[0.5][part] / middle - 1) < 0.004
        assert np.array_equal(stream.taken, np.bincount(where, minlength=found.bins.count))
        check_rate(found.bins, stream)


def check_rate(bins, stream):
    """Frames over time: of a part in which the stream began or ended, the time it was there."""
    rate, edges = stream.per_second(stream.taken, 1)
    assert len(edges) == bins.count + 1
    begin, end = ((t - bins.begin_ns) / 1e9 for t in (stream.first_ns, stream.last_ns))
    is_whole = (edges[:-1] >= begin) & (edges[1:] <= end)
    assert np.allclose(rate[is_whole] * bins.width_s, stream.taken[is_whole], rtol=1e-6)
    partly = ~is_whole & ~np.isnan(rate)
    assert np.all(rate[partly] * bins.width_s >= stream.taken[partly] * (1 - 1e-6))
    assert np.all(rate[partly] * bins.width_s <= 2 * stream.taken[partly] * (1 + 1e-6))


def times_and_backlogs_are_those_of_the_rows():
    session, image, *_ = lossy()
    opened = daorec.open(session.folder)
    found = night.Night(opened)
    check_numbers(found, opened)
    stream = next(s for s in found.streams if s.name == h.stream_name(image))
    assert stream.waiting.max() >= 32, "a FIFO that was lapped was full"


def it_is_the_same_in_pieces_of_any_size():
    """Rows come in chunks: nothing is lost where one ends."""
    session = lossy()[0]
    opened = daorec.open(session.folder)
    whole = night.Night(opened)
    before, daorec_file.CHUNK = daorec_file.CHUNK, 64 * 7
    try:
        pieces = night.Night(opened)
    finally:
        daorec_file.CHUNK = before
    check_numbers(pieces, opened)
    for a, b in zip(whole.streams, pieces.streams):
        assert a.losses.largest == b.losses.largest and a.lost_by == b.lost_by
        assert np.array_equal(a.waiting, b.waiting)


def everything_is_read_once_and_pixels_only_of_a_sample():
    read = {"rows": 0, "pixels": 0}
    kept = daorec.File.read_rows, daorec.File.read_pixels

    def counting(key, function):
        def count(file, wanted, out):
            read[key] += len(wanted)
            return function(file, wanted, out)
        return count
    daorec.File.read_rows = counting("rows", kept[0])
    daorec.File.read_pixels = counting("pixels", kept[1])
    try:
        made(recorded()[0].folder)
    finally:
        daorec.File.read_rows, daorec.File.read_pixels = kept
    assert read["rows"] == 500 + 2 * 3, read
    assert read["pixels"] == 200, read


# ---- pictures ----

def shades(url):
    from PIL import Image
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.array(image.convert("RGBA")).astype(int)


def expected_shades(frames):
    """{name: grey levels} of first, mean and last frame, as the page promises them."""
    numbers = np.concatenate([frame[np.isfinite(frame)] for frame in frames.values()])
    low, high = np.percentile(numbers, (0.5, 99.5))
    with np.errstate(invalid="ignore"):
        return {name: np.clip((frame - low) / ((high - low) or 1), 0, 1)[::-1] * 255
                for name, frame in frames.items()}


def pictures_show_the_first_the_mean_and_the_last_frame():
    session, path = recorded()
    stream = daorec.open(session.folder).stream
    (shown,), left_out = pictures.of_stream(stream)
    sample = np.unique(np.linspace(0, 499, 200).astype(int))
    assert (shown.sampled, shown.count, left_out) == (200, 500, 0) and shown.curves is None
    everything = stream.array().astype(float)
    frames = {"first": everything[0], "mean": everything[sample].mean(axis=0),
              "last": everything[-1]}
    for name, wanted in expected_shades(frames).items():
        got = shades(shown.images[name])
        assert got.shape == (6, 5, 4) and (got[..., 3] == 255).all()
        assert np.abs(got[..., 0] - wanted).max() <= 2, (name, got[..., 0], wanted)
    session, _, slopes, _ = lossy()
    stream = daorec.open(session.folder)[h.stream_name(slopes)]
    (curves,), _ = pictures.of_stream(stream)
    everything = stream.array().astype(float)
    sample = np.unique(np.linspace(0, len(stream) - 1, min(len(stream), 200)).astype(int))
    assert curves.images is None
    for name, wanted in (("first", everything[0]), ("last", everything[-1]),
                         ("mean", everything[sample].mean(axis=0)),
                         ("lowest", everything[sample].min(axis=0)),
                         ("highest", everything[sample].max(axis=0))):
        assert np.allclose(curves.curves[name], wanted), name


class FakeStream:
    """A daorec.Stream of frames that nobody recorded."""

    def __init__(self, frames):
        self.frames, self.shape, self.dtype = frames, frames.shape[1:], frames.dtype

    @property
    def parts(self):
        return [self]

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames[index]


def pictures_take_frames_of_any_kind():
    nan = np.full((2, 9, 9), np.nan, np.float32)
    some = nan.copy()
    some[:, 2:, 2:] = 5
    wide = np.arange(2 * 900 * 1300, dtype=np.float64).reshape(2, 900, 1300)
    huge = np.array([[[1.7e308, -1.7e308] * 5] * 9] * 2)
    cases = ((nan, (9, 9)), (some, (9, 9)), (wide, (225, 325)), (huge, (9, 10)),
             (np.zeros((2, 9, 9), np.uint8), (9, 9)),
             (np.ones((1, 6, 5), np.complex64) * 3j, (6, 5)),
             (np.zeros((2, 7, 20, 40), np.int16), (20, 4 * 40 + 3)),
             (np.zeros((2, 1, 20, 40), np.int16), (20, 40)))
    for frames, size in cases:
        (shown,), _ = pictures.of_stream(FakeStream(frames))
        for url in shown.images.values():
            assert shades(url).shape[:2] == size, (frames.shape, size)
    (shown,), _ = pictures.of_stream(FakeStream(nan))
    assert shown.low is None and (shades(shown.images["mean"])[..., 3] == 0).all()
    (shown,), _ = pictures.of_stream(FakeStream(some))
    clear = shades(shown.images["mean"])[..., 3] == 0
    assert clear[-2:].all() and not clear[:-2, 2:].any(), "only what is no number is clear"
    (shown,), _ = pictures.of_stream(FakeStream(wide))

    def wide_mean(frame):
        return frame.reshape(225, 4, 325, 4).mean(axis=(1, 3))
    got = shades(shown.images["mean"])[::-1, :, 0]
    assert shown.shrunk == 4 and (np.diff(got[100]) >= 0).all() and (np.diff(got[:, 9]) >= 0).all()
    assert np.abs(got - expected_shades({
        "first": wide_mean(wide[0]), "mean": wide_mean(wide.mean(axis=0)),
        "last": wide_mean(wide[1])})["mean"][::-1]).max() <= 2
    for frames in (np.zeros((2, 5), np.float32), np.zeros((2, 3, 50), np.uint8), nan[:, :1],
                   np.zeros((2, 5000)), np.full((2, 30), np.inf), np.zeros((2, 1), np.uint64)):
        (shown,), _ = pictures.of_stream(FakeStream(frames))
        assert shown.images is None and len(shown.at) <= 600
        assert "<svg" in page.charts.curves(shown)


# ---- the program ----

def what_it_refuses_is_one_line_and_leaves_nothing():
    place, (session, _) = root(), recorded()
    text = os.path.join(place, "some.fits")
    with open(text, "w", encoding="utf-8") as file:
        file.write("no FITS")
    there = os.path.join(place, "there.html")
    with open(there, "w", encoding="utf-8") as file:
        file.write("precious")
    own = os.path.join(copied(session.folder), "session.json")
    pipe, out = os.path.join(place, "pipe"), os.path.join(place, "out.html")
    os.mkfifo(pipe)
    cases = (
        ((), 2, "SESSION"),
        ((session.folder,), 2, "-o"),
        ((session.folder, "-o", out, "--what"), 2, "--what"),
        ((os.path.join(place, "nothing"), "-o", out), 1, "nothing"),
        ((text, "-o", out), 1, "is no FITS file"),
        ((session.folder, "-o", there), 1, "--force"),
        ((session.folder, "-o", place), 1, "is a folder"),
        ((session.folder, "-o", place + "/"), 1, "names a folder"),
        ((session.folder, "-o", os.path.join(place, "no", "x.html")), 1, "there is no folder"),
        ((session.folder, "-o", pipe, "--force"), 1, "is no file"),
        ((session.folder, "-o", "/proc/report.html"), 1, "/proc/report.html"),
        ((os.path.dirname(own), "-o", own, "--force"), 1, "belongs to the recording"),
    )
    before = sorted(os.listdir(place))

    def refuses(case):
        arguments, status, words = case
        run = report(*arguments)
        assert run.returncode == status, (arguments, run)
        assert run.stderr.startswith("daorec-report: ") and run.stderr.count("\n") == 1, run
        assert words in run.stderr and not run.stdout, (words, run)
    faults.sweep(refuses, cases)
    assert sorted(os.listdir(place)) == before
    with open(there, encoding="utf-8") as file:
        assert file.read() == "precious"
    with open(own, encoding="utf-8") as file:
        json.load(file)


def uninstall_leaves_nothing():
    place, make = installed()
    with open(os.path.join(place, "opt/dao/bin/daorec-report"), encoding="utf-8") as file:
        assert ROOT not in file.read()
    make(["make", "-C", ROOT, "uninstall", f"DESTDIR={place}", "prefix=/opt/dao"])
    left = [name for _, _, files in os.walk(place) for name in files]
    assert not left, left


# ---- how it looks ----

MEASURE = """<script>
const scrolled = document.querySelector(".summary").parentElement
document.title = [scrolled.scrollWidth, scrolled.clientWidth, innerWidth,
                  getComputedStyle(scrolled).backgroundAttachment].join("|")
</script></body>"""


def measured(text, width):
    """[width of the table of streams, of what shows it, of the window, its background]"""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        return None
    place = root()
    with open(os.path.join(place, "page.html"), "w", encoding="utf-8") as file:
        file.write(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
                   .replace("</body>", MEASURE))
    run = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={place}/profile", f"--window-size={width},900", "--dump-dom",
         f"file://{place}/page.html"], capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "HOME": place})
    title = re.search("<title>(.*?)</title>", run.stdout)
    assert title, run.stdout[:500] + run.stderr
    *numbers, background = title[1].split("|")
    return [*map(int, numbers), background]


def the_table_of_streams_fits_a_screen_and_tells_where_it_does_not():
    session = lossy()[0]
    found = night.Night(daorec.open(session.folder))
    for stream in found.streams:
        if stream.recorded:  # a night of it
            stream.recorded, stream.expected = stream.recorded + 10**7, stream.expected + 10**7
    text = page.make(found, "s")
    wide = measured(text, 1280)
    if wide is None:
        print("not tested: there is no chromium")
        return
    assert wide[2] >= 1200 and wide[0] <= wide[1], wide
    narrow = measured(text, 500)
    assert narrow[2] < 700 and narrow[0] > narrow[1], narrow
    assert narrow[3] == "local, local, scroll, scroll", narrow


# ---- words ----

def numbers_are_written_as_people_do():
    space = units.SPACE
    for got, wanted in (
            (units.count(1234567), "1 234 567"), (units.seconds(0.00128), "1.28 ms"),
            (units.seconds(0.9999), "1.00 s"), (units.seconds(0), "0 s"),
            (units.seconds(float("nan")), "–"), (units.seconds(3e-10), "0.300 ns"),
            (units.amount(1500), "1.50 k"), (units.amount(0), "0"), (units.data(1.28e9), "1.28 GB"),
            (units.rate(999.96), "1.000 kHz"), (units.rate(0.5), "500.0 mHz"),
            (units.percent(0, 9), "0 %"), (units.percent(9, 9), "100 %"),
            (units.percent(1, 10**9), "< 0.001 %"), (units.percent(10**9 - 1, 10**9), "> 99.9 %"),
            (units.percent(1, 23), "4.3 %"), (units.percent(1, 0), "–"),
            (units.duration(40.04), "40.0 s"), (units.duration(725), "12 min 5 s"),
            (units.duration(33120), "9 h 12 min"), (units.number(1e9), "1.00e+09"),
            (units.number(0), "0"), (units.number(-45.06), "-45.1"),
            (units.short(units.seconds)(0.01), "10 ms"), (units.short(units.data_rate)(2.5e6),
                                                          "2.5 MB/s"),
            (units.short(units.amount)(100), "100"), (units.short(units.amount)(1000), "1 k")):
        assert got == wanted.replace(" ", space), (got, wanted)
    begin = np.datetime64("2026-11-24T22:59:58.5", "ns").astype(int).item()
    for span_s, most, labels in (
            (4, 5, ["22:59:59", "23:00:00", "23:00:01", "23:00:02"]),
            (9 * 3600, 5, ["00:00", "02:00", "04:00", "06:00"]),
            (86400 * 3, 5, ["11-25", "11-26", "11-27"]), (0.4, 5, [
                "22:59:58.5", "22:59:58.6", "22:59:58.7", "22:59:58.8", "22:59:58.9"])):
        ticks = units.time_ticks(begin, begin + round(span_s * 1e9), most)
        assert [label for _, label in ticks] == labels, (span_s, ticks)
    for span_s, most in itertools.product((1e-3, 7.0, 1e5, 1e9), (2, 5, 10)):
        assert len(units.time_ticks(begin, begin + round(span_s * 1e9), most)) <= most + 1


if __name__ == "__main__":
    h.main([the_page_says_what_the_ledger_says, losses_are_drawn_when_they_were,
            marks_are_drawn_where_they_were_and_listed, many_marks_hide_nothing,
            damaged_marks_are_told_and_the_rest_is_shown,
            times_and_backlogs_are_those_of_the_rows, it_is_the_same_in_pieces_of_any_size,
            everything_is_read_once_and_pixels_only_of_a_sample,
            pictures_show_the_first_the_mean_and_the_last_frame, pictures_take_frames_of_any_kind,
            what_it_refuses_is_one_line_and_leaves_nothing, uninstall_leaves_nothing,
            the_table_of_streams_fits_a_screen_and_tells_where_it_does_not,
            numbers_are_written_as_people_do])
