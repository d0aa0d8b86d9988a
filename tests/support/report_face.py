"""report_face.py - what the tests of daorec-report share: the program and its modules, reading a
page, and a recording with losses."""
import functools
import glob
import html.parser
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from astropy.io import fits

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration")]
import harness as h  # noqa: E402
from daorec_face import ROOT, daorec, end, root  # noqa: E402

# matplotlib keeps a list of fonts; not in the home of who runs the tests.
os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="matplotlib-", dir=h.output)
from daorec_report import night, page  # noqa: E402

REPORT = os.path.join(ROOT, "scripts", "daorec-report")
VOID = {"meta", "img", "br"}


def report(*arguments, **options):
    return subprocess.run([sys.executable, REPORT, *arguments], capture_output=True, text=True,
                          timeout=100, check=False, **options)


class Page(html.parser.HTMLParser):
    """A page that was read: well-formed, complete in itself, without script; else an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.images, self.attributes = [], set(), [], [], []
        self.tables, self.words = {}, []
        self.feed(text)
        self.close()
        assert not self.open, self.open
        assert len(set(self.ids)) == len(self.ids), "an id twice"
        without_data = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", text)
        assert not re.search(r"https?:|//[a-z]|@import", without_data), "something from outside"
        for name in re.findall(r"url\(([^)]*)\)", without_data):
            assert name.startswith("#") and name[1:] in self.ids, name
        for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
            xml.etree.ElementTree.fromstring(drawing)
        self.drawings = text.count("<svg")
        self.text = "".join(self.words)

    def handle_startendtag(self, tag, attrs):
        self.take(tag, dict(attrs))

    def handle_starttag(self, tag, attrs):
        self.take(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def take(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form"), tag
        assert not any(name.startswith("on") for name in attributes), attributes
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for key in ("href", "src", "xlink:href"):
            if key in attributes:
                assert re.match("#|data:image/png;base64,", attributes[key]), attributes
        if tag == "img":
            self.images.append(attributes["src"])
        if tag == "table":
            self.table = self.tables.setdefault(attributes["class"], [])
        if tag == "tr" and "tbody" in self.open:
            self.table.append([])
        if tag in ("td", "th") and "tbody" in self.open:
            self.table[-1].append("")
        if tag == "data" and "tbody" in self.open:
            self.table[-1][-1] = int(attributes["value"])

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if "tbody" in self.open and "tr" in self.open and isinstance(self.table[-1][-1], str):
            self.table[-1][-1] += data

    def streams(self):
        """{name: cells} of the summary."""
        return {row[0]: row for row in self.tables["summary"]}


def made(path):
    """(the night, the page) of a recording, without the program."""
    found = night.Night(daorec.open(path))
    return found, Page(page.make(found, os.path.basename(path)))


def glanced(path):
    """The same without what takes time: numbers and notes only."""
    found = night.Night(daorec.open(path))
    return found, Page(page._notes(found) + page._summary(found))


def copied(folder):
    return shutil.copytree(folder, os.path.join(root(), os.path.basename(folder)))


def edit_rows(file, edit):
    """edit(rows) in a finished file; its checksums are not kept."""
    with fits.open(file, mode="update", memmap=False) as hdus:
        rows = hdus["FRAMES"].data
        edit(rows)
        hdus["FRAMES"].data = rows


# ---- a night with losses ----

@functools.cache
def lossy():
    """A session of three streams: lapped, with a jump of the source, and without a frame."""
    image, slopes, idle = (h.segment(name) for name in ("image", "slopes", "idle"))
    sources = [h.sim(idle, "--size", "4x4", "-n", 0)]
    sources[0].wait(timeout=60)
    recorder = h.record("--wait=30s", "--backlog", "--roll-frames", 300, image, slopes, idle)
    sources += [h.sim(image, "--size", "24x20", "--rate", 500, "--depth", 64),
                h.sim(slopes, "--size", 97, "--type", "float32", "--rate", 500, "--depth", 4096,
                      "--jump-at", 100, "--jump-by", 9)]
    files = os.path.join(h.output, "*", h.stream_name(image), "*")
    h.wait_for(lambda: glob.glob(files), what="frames")
    for _ in range(2):
        h.freeze(recorder)
        h.wait_for_frames(image, 200, "laps")
        recorder.send_signal(signal.SIGCONT)
        h.wait_for_frames(image, 150)
    recorder.send_signal(signal.SIGINT)
    session = h.finish(recorder)
    end(*sources)
    assert session.status == 3
    return session, image, slopes, idle
