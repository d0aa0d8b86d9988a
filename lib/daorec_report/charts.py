"""charts - curves and histograms as SVG for the page, drawn by matplotlib.

All have one size, which is that of a telephone's screen, and one place for their axes, so that
times stand below each other. Colours are the page's (CSS variables): the same picture serves paper,
light and dark. No text that comes from a recording gets in here: names are the page's matter.
"""
import io
import logging
import math
import re

import numpy as np

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its talk of caches is nobody's matter
import matplotlib  # noqa: E402
from matplotlib import ticker  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from . import marks, units  # noqa: E402

_WIDTH, _HEIGHT, _WIDE = 450, 175, 940  # points; CSS scales them to what there is
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 8, 30
_BARS_MAX = 140

# Stand-ins for the page's colours, which matplotlib does not know.
_COLOURS = {"ink": "#010101", "muted": "#020202", "line": "#030303", "mid": "#040404",
            "soft": "#050505", "lapped": "#060606", "disk": "#070707", "source": "#080808",
            "restart": "#090909", "absent": "#0a0a0a"}
INK, MUTED, LINE, MID, SOFT = (_COLOURS[name] for name in ("ink", "muted", "line", "mid", "soft"))

matplotlib.rcdefaults()  # whatever this user's own settings are
matplotlib.rcParams.update({
    "font.size": 10, "axes.edgecolor": LINE, "axes.linewidth": 0.8, "axes.labelcolor": MUTED,
    "axes.spines.top": False, "axes.spines.right": False, "xtick.color": LINE,
    "ytick.color": LINE, "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "grid.color": LINE,
    "grid.linewidth": 0.5, "text.color": MUTED, "svg.fonttype": "none", "path.simplify": True,
    "axes.axisbelow": True, "xtick.major.size": 3, "ytick.major.size": 0, "axes.labelsize": 10,
    "xtick.labelsize": 10, "ytick.labelsize": 10, "lines.linewidth": 1.1,
    "axes.formatter.useoffset": False})


class _Chart:
    """A figure with its axes; counts, so that names within the page differ."""
    made = 0

    def __init__(self, width=_WIDTH, height=_HEIGHT, right=_RIGHT):
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self.axes = self.figure.add_axes(
            [_LEFT / width, _BOTTOM / height, (width - _LEFT - right) / width,
             (height - _TOP - _BOTTOM) / height])
        self.axes.patch.set_visible(False)
        self.figure.patch.set_visible(False)
        self.axes.grid(axis="y")
        self.axes.margins(x=0)
        self.width = width

    def label(self, text):
        """What the vertical axis is of, along it."""
        self.axes.set_ylabel(text, labelpad=4)
        self.axes.yaxis.set_label_coords(-(_LEFT - 11) / (self.width - _LEFT - _RIGHT), 0.5)

    def time(self, bins):
        ticks = units.time_ticks(bins.begin_ns, bins.end_ns, 5 if self.width == _WIDTH else 10)
        self.axes.set_xlim(0, bins.count * bins.width_s)
        self.axes.set_xticks([(ns - bins.begin_ns) / 1e9 for ns, _ in ticks],
                             [label for _, label in ticks])
        self._marks(bins)

    def _marks(self, bins):
        """A thin line with a number for each mark; many are ticks, numbered where there is room."""
        span_s = (bins.end_ns - bins.begin_ns) / 1e9
        shares = [share for _, share, _ in bins.marks]
        if not shares:
            return
        lowest = 0.0 if len(shares) <= marks.LINES_MAX else 0.94
        across = self.axes.get_xaxis_transform()
        seen = sorted({round(share * self.width) / self.width for share in shares})
        self.axes.vlines([share * span_s for share in seen], lowest, 1.0, transform=across,
                         colors=MUTED, linewidth=0.7, zorder=1.5,
                         linestyles=(0, (1, 2)) if lowest == 0.0 else "solid")
        for index in marks.with_room(shares, 0.06 if self.width == _WIDTH else 0.03):
            self.axes.text(shares[index] * span_s, 1.01, str(bins.marks[index][0]), fontsize=8,
                           transform=across, ha="center", va="bottom")

    def svg(self, title):
        """The text, ready to stand in a page. title: what it shows, for those who cannot see it."""
        file = io.StringIO()
        self.figure.savefig(file, format="svg", metadata=dict.fromkeys(
            ("Date", "Creator", "Format", "Type"), None))
        _Chart.made += 1
        return _cleaned(file.getvalue(), f"c{_Chart.made}-", title)


def _cleaned(text, prefix, title):
    """Only the drawing: no prolog, no metadata, no names but those that are used in it, which get a
    prefix of their own."""
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.S)
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    used = {name for pair in used for name in pair if name}
    text = re.sub(r' id="([^"]+)"',
                  lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r"url\(#", f"url(#{prefix}", text)
    text = re.sub(r'(?:xlink:)?href="#', f'href="#{prefix}', text)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.S)
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font: \1px var(--font)", text)
    for name, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    text = re.sub(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>",
                  rf'<svg viewBox="\1" role="img" aria-label="{title}">', text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()


def _whole_decades(axes, low, high):
    """A logarithmic vertical axis with a labelled line below and above everything."""
    low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
    axes.set_yscale("log")
    axes.set_ylim(10.0 ** low, 10.0 ** max(high, low + 1))
    axes.yaxis.set_major_locator(ticker.LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(ticker.NullLocator())


def _format(axis, function):
    function = units.short(function)
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: function(value)))


def _from_zero(axes, high):
    axes.set_ylim(0, high * 1.08 if high > 0 else 1)
    axes.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))


# ---- over time ----

def losses(stream, bins):
    """Frames lost by part of the night, by cause, on a logarithmic axis; causes stand in front of
    each other, the larger behind."""
    chart = _Chart()
    by_time = stream.losses.by_time
    centres = (np.arange(bins.count) + 0.5) * bins.width_s
    most = max(values.max() for values in by_time.values())
    _whole_decades(chart.axes, 0.5, max(most, 2))
    chart.axes.set_ylim(bottom=0.7)
    for cause in sorted(by_time, key=lambda cause: -by_time[cause].max()):
        there = by_time[cause] > 0
        chart.axes.vlines(centres[there], 0.7, by_time[cause][there], colors=_COLOURS[cause],
                          linewidth=max(1.5, (_WIDTH - _LEFT) / bins.count))
    chart.time(bins)
    _format(chart.axes.yaxis, units.amount)
    chart.label("frames")
    return chart.svg("Frames lost over time")


def rate(stream, bins):
    """Frames recorded a second; on the right the bytes, where all frames have one size."""
    values, edges = stream.per_second(stream.taken, stream.group())
    sizes = {file.frame_bytes + 64 for file in stream.source.files if len(file)}
    chart = _Chart(right=_RIGHT + 40 if len(sizes) == 1 else _RIGHT)
    chart.axes.stairs(values, edges, color=INK, baseline=None)
    _from_zero(chart.axes, np.nanmax(values, initial=0))
    chart.time(bins)
    _format(chart.axes.yaxis, units.amount)
    chart.label("frames/s")
    if len(sizes) == 1:
        right = chart.axes.twinx()
        right.set_ylim(0, chart.axes.get_ylim()[1] * sizes.pop())
        right.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        right.tick_params(axis="y", length=3)
        _format(right.yaxis, units.data_rate)
    return chart.svg("Frames recorded a second")


def latency(stream, bins):
    """Median, 99 % and maximum by part of the night."""
    chart, spread = _Chart(), stream.latency
    edges = bins.edges_s()
    shown = ((spread.largest, SOFT), (spread.parts[0.99], MID), (spread.parts[0.5], INK))
    low, high = np.inf, 0.0
    for values, colour in shown:
        values = np.where(values > 0, values, np.nan)
        if np.isfinite(values).any():
            low, high = min(low, np.nanmin(values)), max(high, np.nanmax(values))
        chart.axes.stairs(values, edges, color=colour, baseline=None)
    if high:
        _whole_decades(chart.axes, low, high)
    chart.time(bins)
    _format(chart.axes.yaxis, units.seconds)
    return chart.svg("Latency over time")


def backlog(stream, bins):
    """Most frames waiting by part of the night, and the FIFO's depth."""
    chart, high = _Chart(), stream.waiting.max(initial=0)
    chart.axes.stairs(stream.waiting, bins.edges_s(), color=SOFT, fill=True)
    chart.axes.stairs(stream.waiting, bins.edges_s(), color=INK, baseline=None, linewidth=0.9)
    if stream.depth:
        chart.axes.axhline(stream.depth, color=MUTED, linewidth=0.9, dashes=(4, 3))
        high = max(high, stream.depth)
    _from_zero(chart.axes, high)
    chart.time(bins)
    _format(chart.axes.yaxis, units.amount)
    chart.label("frames")
    return chart.svg("Backlog over time")


def disk_rate(night, wide):
    """Bytes a second of all streams."""
    chart = _Chart(_WIDE, 150) if wide else _Chart()
    values, edges = night.disk_rate()
    chart.axes.stairs(values, edges, color=SOFT, fill=True)
    chart.axes.stairs(values, edges, color=INK, baseline=None)
    _from_zero(chart.axes, values.max(initial=0))
    chart.time(night.bins)
    _format(chart.axes.yaxis, units.data_rate)
    return chart.svg("Disk rate of all streams")


# ---- histograms and curves ----

def histogram(spread, what):
    """Both axes logarithmic."""
    chart = _Chart()
    counts, edges = spread.bars(_BARS_MAX)
    chart.axes.stairs(counts, edges, fill=True, color=MID, baseline=0.7)
    chart.axes.set_xscale("log")
    low, high = edges[0], edges[-1]
    room = max(1.05, (high / low) ** 0.03)
    chart.axes.set_xlim(low / room, high * room)
    decades = math.log10(high / low)
    chart.axes.xaxis.set_major_locator(
        ticker.MaxNLocator(5) if decades < 0.5 else
        ticker.LogLocator(subs=(1, 2, 5) if decades < 2 else (1,), numticks=7))
    chart.axes.xaxis.set_minor_locator(ticker.NullLocator())
    _format(chart.axes.xaxis, units.seconds)
    _whole_decades(chart.axes, 0.9, max(counts.max(), 2))
    chart.axes.set_ylim(bottom=0.7)
    _format(chart.axes.yaxis, units.amount)
    chart.label("frames")
    return chart.svg(what)


def curves(pictures):
    """First, mean and last frame of one axis, and the range of the frames sampled."""
    chart, shown = _Chart(), pictures.curves
    chart.axes.fill_between(pictures.at, shown["lowest"], shown["highest"], color=SOFT, linewidth=0)
    chart.axes.plot(pictures.at, shown["first"], color=MID, dashes=(3, 2), linewidth=0.9)
    chart.axes.plot(pictures.at, shown["last"], color=MID, linewidth=0.9)
    chart.axes.plot(pictures.at, shown["mean"], color=INK, linewidth=1.3)
    chart.axes.set_xlim(pictures.at[0] - 0.5, pictures.at[-1] + 0.5)
    chart.axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
    chart.axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    _format(chart.axes.xaxis, lambda value: units.count(int(value)))
    _format(chart.axes.yaxis, lambda value: units.number(value, 4))
    return chart.svg("First, mean and last frame")
