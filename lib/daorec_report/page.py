"""page - the page of a night, as text: one HTML document that needs nothing from outside and no
script. Whatever comes from names, cards, keywords or the ledger goes through text(); numbers go
through units. Called once, after everything was read.
"""
import html
import re
import unicodedata

from daorec import Error, Flag

from . import charts, marks, pictures, units
from .losses import CAUSES, GAPS_MAX
from .night import card
from .style import STYLE

_TEXT_MAX = 200
_KEYWORDS_MAX = 100
_CAUSE_MEANS = {
    "lapped": "overwritten in the FIFO before it was taken",
    "disk": "the same, since the disk had fallen behind",
    "source": "the source’s own count jumped",
    "restart": "published before the source restarted, and not taken in time",
    "absent": "in files that are not here, between some that are",
}
_FLAG_MEANS = {
    Flag.TORN: "torn (may have changed while it was copied)",
    Flag.BADTIME: "with a bad time (zero, or going back)",
    Flag.PARTIAL: "partial (packets are missing)",
    Flag.RECOVERED: "recovered (not proven, after a crash)",
}
_FACTS = (("Telescope", "TELESCOP"), ("Instrument", "INSTRUME"), ("Observer", "OBSERVER"),
          ("Object", "OBJECT"), ("Origin", "ORIGIN"))


# ---- text ----

def text(value):
    """Anything as harmless text of bounded length."""
    value = str(value)
    if len(value) > _TEXT_MAX:
        value = value[:_TEXT_MAX] + "…"
    # Control characters, lone surrogates, and those that turn the direction of what follows.
    value = "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in value)
    return html.escape(value, quote=True)


def _number(value, shown=None, unit=""):
    """A number that programs can read, too."""
    if value is None:
        return units.NONE
    return f'<data value="{value}">{shown or units.count(value)}{unit}</data>'


def _shape(shape, dtype):
    return " × ".join(map(str, shape)) + f" {dtype}"


def _plural(count, one, many=None):
    return f"{units.count(count)} {one if count == 1 else many or one + 's'}"


def _swatch(colour, label="", kind=""):
    """A spot of a colour and what it stands for."""
    kind = f" {kind}" if kind else ""
    return (f'<span class="nowrap"><i class="swatch{kind}" style="background: var(--{colour})"></i>'
            f"{label}</span>")


def _figure(title, drawing, note="", kind=""):
    return (f'<figure class="{kind}"><figcaption><b>{title}</b> {note}</figcaption>\n'
            f"{drawing}</figure>\n")


def _table(kind, head, rows):
    return (f'<div class="scroll"><table class="{kind}"><thead>{head}</thead>\n<tbody>'
            + "\n".join(rows) + "</tbody></table></div>\n")


def _facts(pairs):
    """A list of (label, harmless text)."""
    return "<dl>" + "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>"
                            for label, value in pairs) + "</dl>\n"


# ---- the top ----

def _state(night):
    if not night.unfinished:
        recovered = (night.ledger or {}).get("recovered") is True
        return "recovered after a crash" if recovered else ""
    return "unfinished"


def _top(night, name):
    begin, end = night.text("start"), night.text("end")
    if night.bins:
        begin = begin or units.moment(night.bins.begin_ns, 3, date=True)
        end = end or units.moment(night.bins.end_ns, 3, date=True)
    facts = [("From", begin), ("Until", end), ("Host", night.text("host") or night.card("RECHOST")),
             ("Recorder", night.text("version") or night.card("RECVERS"))]
    facts += [(label, night.card(key)) for label, key in _FACTS]
    for index in (0, 1):
        label, value = facts[index]
        if value:
            facts[index] = label, re.sub(r"(\d)T(\d)", r"\1 \2", value.split(".")[0][:23]) + " UTC"
    state = _state(night)
    chip = f' <span class="chip">{state}</span>' if state else ""
    parts = [f'<header><p class="kicker">daorec report</p><h1>{text(name)}{chip}</h1>\n',
             _facts((label, text(value)) for label, value in facts if value), "</header>\n"]
    lost, expected = night.total("lost"), night.total("expected")
    span = (night.bins.end_ns - night.bins.begin_ns) / 1e9 if night.bins else None
    data = night.total("data_bytes")
    tiles = [("stream" if len(night.streams) == 1 else "streams", _number(len(night.streams)), ""),
             ("frames recorded", _number(night.total("recorded")),
              f"of {units.count(expected)} expected"),
             ("frames lost", _number(lost), units.percent(lost, expected) if lost else "none"),
             ("data", _number(data, units.data(data)),
              f"{units.data_rate(data / span)} on average" if span else ""),
             ("duration", units.duration(span), "first to last frame")]
    parts.append('<ul class="tiles">')
    for label, value, note in tiles:
        kind = ' class="bad"' if label == "frames lost" and lost else ""
        parts.append(f"<li{kind}><strong>{value}</strong><span>{label}</span>"
                     f"<small>{note}</small></li>")
    parts.append("</ul>\n")
    return "".join(parts)


def _notes(night):
    notes = [text(note) for note in night.notes]
    if night.unfinished:
        names = ", ".join(f"<b>{text(s.name)}</b>" for s in night.streams if s.unfinished)
        notes.append(f"{names}: {_plural(night.unfinished, 'unfinished file')}, being written, or "
                     "its recorder died (<code>daorec repair</code> tells, and finishes it). "
                     "Counts are those of the rows that are in it by now.")
    for stream in night.streams:
        name = f"<b>{text(stream.name)}</b>: "
        notes += [name + text(note) for note in stream.notes]
        if stream.before_publication:
            notes.append(name + _plural(stream.before_publication, "frame") + " taken before "
                         "published, by their times: the clocks of source and recorder differ.")
    if not notes:
        return ""
    return "<ul class=\"notes\">" + "".join(f"<li>{note}</li>" for note in notes) + "</ul>\n"


# ---- all streams ----

def _frame_kind(stream):
    if stream.geometries:
        kinds = list(dict.fromkeys(_shape(g.shape, g.dtype) for g in stream.geometries))
        if len(kinds) > pictures.PARTS_MAX:
            kinds[pictures.PARTS_MAX:] = [f"{len(kinds) - pictures.PARTS_MAX} more"]
    else:
        kinds = [stream.told.geometry] if stream.told else [units.NONE]
    return ", then ".join(f'<span class="nowrap">{text(kind)}</span>' for kind in kinds)


def _depth(stream):
    depths = list(dict.fromkeys(g.depth for g in stream.geometries))
    if not depths and stream.told:
        depths = [stream.told.depth]
    return ", ".join(units.NONE if d is None else units.count(d) for d in depths) or units.NONE


def _summary(night):
    head = ('<tr><th rowspan="2">Stream</th><th rowspan="2">Frame</th>'
            '<th rowspan="2" class="n">FIFO<small>slots</small></th>'
            '<th rowspan="2" class="n">Files</th><th rowspan="2" class="n">Expected</th>'
            '<th rowspan="2" class="n">Recorded</th>'
            f'<th colspan="{2 + len(CAUSES)}" class="span">Lost</th>'
            '<th rowspan="2" class="n">Rate</th><th rowspan="2" class="n">Duration</th>'
            '<th rowspan="2" class="n">Data</th></tr>'
            '<tr><th class="n">all</th><th class="n">share</th>'
            + "".join(f'<th class="n">{_swatch(cause, cause)}</th>' for cause in CAUSES) + "</tr>")
    rows, zero = [], (_number(0), units.percent(0, 1))
    for index, stream in enumerate(night.streams):
        cells = [_depth(stream), _number(len(stream.source.files)), _number(stream.expected),
                 _number(stream.recorded), _number(stream.lost),
                 units.percent(stream.lost, stream.expected)]
        cells += [_number(stream.lost_by[cause]) for cause in CAUSES]
        cells += [units.rate(stream.rate_hz), units.duration(stream.span_s or None),
                  _number(stream.data_bytes, units.data(stream.data_bytes))]
        rows.append(f'<tr><th scope="row"><a href="#s{index}">{text(stream.name)}</a></th>'
                    f"<td>{_frame_kind(stream)}</td>"
                    + "".join(f'<td class="n{" zero" if cell in zero else ""}">{cell}</td>'
                              for cell in cells) + "</tr>")
    return "<section><h2>Streams</h2>\n" + _table("summary", head, rows) + "</section>\n"


def _lane(stream, bins, tallest, places=()):
    """A drawing that is stretched to whatever width there is: a line where frames were recorded,
    and a stroke on it for each part of the night in which some were lost."""
    width, base, height = bins.count, 39, 34
    drawn = [marks.strokes(places, width)]
    if stream.recorded:
        hole = max(2, 3 * bins.width_s and 3 / (stream.recorded / max(stream.span_s, 1e-3))
                   / bins.width_s)
        runs = []
        for at in stream.taken.nonzero()[0].tolist():
            if runs and at - runs[-1][1] <= hole:
                runs[-1][1] = at + 1
            else:
                runs.append([at, at + 1])
        path = "".join(f"M{a} {base}H{b}" for a, b in runs)
        drawn.append(f'<path d="{path}" stroke="var(--mid)" stroke-width="2"/>')
    # Where a part has several causes the largest stands behind; so they are drawn by rank.
    ranks = [dict.fromkeys(CAUSES, "") for _ in CAUSES]
    by_time = stream.losses.by_time
    for at in sum(by_time.values()).nonzero()[0].tolist():
        here = sorted(((by_time[cause][at], cause) for cause in CAUSES if by_time[cause][at]),
                      reverse=True)
        for rank, (count, cause) in zip(ranks, here):
            rank[cause] += f"M{at + 0.5} {base}V{base - height * _height(count, tallest):.1f}"
    for rank in ranks:
        drawn += [f'<path d="{path}" stroke="var(--{cause})" stroke-width="2.5"/>'
                  for cause, path in rank.items() if path]
    told = ", ".join(f"{count} {cause}" for cause, count in stream.losses.by_cause.items() if count)
    return (f'<svg viewBox="0 0 {width} 40" preserveAspectRatio="none" role="img" '
            f'aria-label="Lost: {told or "none"}">' + "".join(drawn) + "</svg>")


def _height(count, tallest):
    return (1 + count.item().bit_length()) / (1 + tallest.bit_length())


def _timeline(night):
    if not night.bins:
        return ""
    bins = night.bins
    tallest = max([int(values.max()) for stream in night.streams
                   for values in stream.losses.by_time.values()] + [1])
    places = marks.placed(night.marks, bins)
    lanes = [marks.row(places, bins.count, text)]
    for index, stream in enumerate(night.streams):
        lost = f"{units.count(stream.lost)} lost" if stream.lost else "none lost"
        lost = lost if stream.expected else "no frames"
        lanes.append(f'<div class="lane"><a href="#s{index}">{text(stream.name)}</a>'
                     f'{_lane(stream, bins, tallest, places)}<span>{lost}</span></div>')
    ticks = [((ns - bins.begin_ns) / (bins.end_ns - bins.begin_ns), label)
             for ns, label in units.time_ticks(bins.begin_ns, bins.end_ns, 8)]
    axis = "".join(f'<span style="left: {100 * at:.2f}%">{label}</span>'
                   for at, label in ticks if 0.05 < at < 0.95)  # a telephone has no room beside it
    legend = "".join(f"<li>{_swatch(cause, f'<b>{cause}</b>')} {_CAUSE_MEANS[cause]}</li>"
                     for cause in CAUSES)
    tall = (f", as tall as the logarithm of their number: the tallest is {units.count(tallest)} in "
            f"{units.seconds(bins.width_s)}" if night.total("lost") else "")
    marked = (" Numbers are what was noted (<a href=\"#marks\">marks</a>)." if places else "")
    parts = ["<section><h2>Losses</h2>\n"
             '<p class="lead">Times are UTC. The line is there where frames were recorded; strokes '
             f"are frames lost{tall}.{marked}</p>\n"
             f'<div class="lanes">{"".join(lanes)}<div class="axis"><div>{axis}</div></div></div>\n'
             f'<ul class="legend">{legend}</ul></section>\n']
    if night.total("recorded"):
        peak = night.disk_rate()[0].max()
        note = (f"of all streams, frames and rows, when they were taken; highest "
                f"{units.data_rate(peak)}")
        parts.append('<section class="whole"><h2>Disk rate</h2>\n'
                     f'<p class="lead">Bytes a second {note}. They reach the disk within a second '
                     "or so.</p>\n"
                     f'<div class="wide">{charts.disk_rate(night, True)}</div>'
                     f'<div class="narrow">{charts.disk_rate(night, False)}</div></section>\n')
    return "".join(parts)


# ---- one stream ----

def _spread_table(stream):
    head = ('<tr><th></th><th class="n">least</th><th class="n">median</th><th class="n">99 %</th>'
            '<th class="n">99.9 %</th><th class="n">most</th></tr>')
    rows = []
    for label, spread in (("Interval", stream.interval), ("Latency", stream.latency)):
        if spread.count:
            values = (spread.min * 1e-9, spread.at(0.5), spread.at(0.99), spread.at(0.999),
                      spread.max * 1e-9)
            rows.append(f'<tr><th scope="row">{label}</th>'
                        + "".join(f'<td class="n">{units.seconds(v)}</td>' for v in values)
                        + "</tr>")
    return _table("spread", head, rows) if rows else ""


def _stream_facts(stream):
    facts = []
    name = card(stream.source.files[0], "SHMNAME") if stream.source.files else None
    if name is not None:
        facts.append(("Segment", text(name)))
    facts.append(("Frame", _frame_kind(stream)))
    facts.append(("FIFO", f"{_depth(stream)} slots"))
    if stream.first_ns is not None:
        facts.append(("Taken", f"{units.moment(stream.first_ns, 3)} to "
                               f"{units.moment(stream.last_ns, 3)}"))
    facts.append(("Recorded", f"{units.count(stream.recorded)} of {units.count(stream.expected)}"))
    if stream.lost:
        causes = ", ".join(f"{units.count(stream.lost_by[c])} {c}"
                           for c in CAUSES if stream.lost_by[c])
        facts.append(("Lost", f"{causes} ({units.percent(stream.lost, stream.expected)})"))
    if stream.restarts:
        facts.append(("Source", f"restarted {_plural(stream.restarts, 'time')}"))
    flagged = [f"{_number(stream.flags[flag])} {words}" for flag, words in _FLAG_MEANS.items()
               if stream.flags[flag]]
    if flagged:
        facts.append(("Frames", "; ".join(flagged)))
    return _facts(facts)


def _charts(stream, bins, curves):
    parts = []
    width = units.seconds(bins.width_s)
    if stream.losses.total:
        legend = " ".join(_swatch(c, c) for c in CAUSES if stream.losses.by_cause[c])
        parts.append(_figure("Lost", charts.losses(stream, bins), f"per {width}: {legend}"))
    if stream.recorded > 1:
        per = units.seconds(stream.group() * bins.width_s)
        parts.append(_figure("Recorded", charts.rate(stream, bins), f"mean of {per}"))
    if stream.latency.count:
        parts.append(_figure(
            "Latency", charts.latency(stream, bins),
            f"published to taken, per {width}: {_swatch('ink', 'median', 'line')} "
            f"{_swatch('mid', '99 %', 'line')} {_swatch('soft', 'most', 'line')}"))
        depth = f"; dashed: depth {units.count(stream.depth)}" if stream.depth else ""
        parts.append(_figure("Backlog", charts.backlog(stream, bins),
                             f"waiting in the FIFO, most per {width}{depth}"))
    if stream.interval.count:
        drawing = charts.histogram(stream.interval, "Histogram of intervals")
        parts.append(_figure("Interval", drawing, "between publications, "
                             f"{units.count(stream.interval.count)} of them"))
    parts += curves
    table = _spread_table(stream)
    if table:
        parts.append(_figure("Percentiles", table))
    elif stream.recorded:
        parts.append('<p class="lead">No frame has a good time: there is neither interval nor '
                     "latency.</p>\n")
    return f'<div class="grid">{"".join(parts)}</div>\n'


def _pictures(stream):
    """(curves for the grid, images for below it)"""
    shown, left_out = pictures.of_stream(stream.source)
    unit = card(stream.source.files[0], "BUNIT")
    unit = " " + text(unit) if isinstance(unit, str) else ""
    curves, parts = [], []
    for picture in shown:
        kind = text(_shape(picture.shape, picture.dtype))
        of = ("all frames" if picture.sampled == picture.count else
              f"{picture.sampled} frames of {units.count(picture.count)}, evenly spaced")
        modulus = ", modulus" if picture.dtype.kind == "c" else ""
        if picture.images is None:
            every = f", one of {picture.shrunk} elements" if picture.shrunk > 1 else ""
            flat = ", one row after the other" if len(picture.shape) > 1 else ""
            note = (f"{kind}{modulus}{flat}{every}{unit and f', in{unit}'}: "
                    f"{_swatch('mid', 'first', 'dash')} {_swatch('ink', 'mean', 'line')} "
                    f"{_swatch('mid', 'last', 'line')} {_swatch('soft', 'range')}; "
                    f"mean and range of {of}")
            curves.append(_figure("Frames", charts.curves(picture), note))
            continue
        shrunk = f", 1 pixel of {picture.shrunk} × {picture.shrunk}" if picture.shrunk > 1 else ""
        planes = f", {picture.planes} planes side by side" if picture.planes > 1 else ""
        scale = ("no finite number" if picture.low is None else
                 f'<span class="nowrap">{units.number(picture.low, 4)}{unit} <i class="ramp"></i> '
                 f"{units.number(picture.high, 4)}{unit}</span>")
        images = "".join(
            f'<figure><img src="{url}" alt="{name} frame"><figcaption>{name}</figcaption></figure>'
            for name, url in picture.images.items())
        parts.append('<div class="pictures">'
                     f"<p><b>Frames</b> {kind}{modulus}{planes}{shrunk}; mean of {of}; first row "
                     f"at the bottom. {scale}</p>"
                     f'<div class="three">{images}</div></div>\n')
    if left_out:
        parts.append(f'<p class="lead">{_plural(left_out, "more shape")} not shown.</p>\n')
    return curves, parts


def _first_keywords(stream):
    """Of the first file that is still there."""
    for file in stream.source.files:
        try:
            return file.keywords
        except Error:
            continue
    return {}


def _keywords(stream):
    keywords = _first_keywords(stream)
    if not keywords:
        return ""
    rows = [f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
            for name, value in list(keywords.items())[:_KEYWORDS_MAX]]
    left_out = len(keywords) - len(rows)
    more = f"<p>{_plural(left_out, 'more keyword')} not shown.</p>" if left_out > 0 else ""
    return (f"<details><summary>{_plural(len(keywords), 'keyword')} of the segment, as opened"
            f"</summary>{_table('keywords', '', rows)}{more}</details>\n")


def _stream(stream, index, bins):
    parts = [f'<section class="stream" id="s{index}"><h2>{text(stream.name)}</h2>\n',
             _stream_facts(stream)]
    is_there = stream.recorded and stream.source.files  # else they went while they were read
    curves, images = _pictures(stream) if is_there else ([], [])
    if stream.recorded or stream.lost:
        parts += [_charts(stream, bins, curves), *images]
    else:
        is_gone = stream.told is not None and stream.told.removed_files
        parts.append(f'<p class="lead">No frame {"is left" if is_gone else "came"}.</p>\n')
    if stream.source.files:
        parts.append(_keywords(stream))
    return "".join(parts) + "</section>\n"


# ---- the end ----

def _gaps(night):
    gaps, left_out, frames = night.gaps()
    if not gaps:
        return ""
    head = ('<tr><th>Noticed<small>UTC</small></th><th>Stream</th><th>Cause</th>'
            '<th class="n">Frames</th><th class="n">First missing<small>CNT0</small></th>'
            '<th class="n">Time<small>frames / rate</small></th></tr>')
    rows = []
    for stream, gap in gaps:
        time = units.moment(gap.time, 3) if gap.time else units.NONE
        lasted = units.seconds(gap.count / stream.rate_hz) if stream.rate_hz else units.NONE
        colour = gap.cause if gap.cause in CAUSES else "source"
        rows.append(f"<tr><td>{time}</td><td>{text(stream.name)}</td>"
                    f"<td>{_swatch(colour, text(gap.cause))}</td>"
                    f'<td class="n">{_number(gap.count)}</td>'
                    f'<td class="n">{_number(gap.first_cnt0)}</td><td class="n">{lasted}</td></tr>')
    more = (f'<p class="lead" id="left-out">The {GAPS_MAX} largest. Left out: '
            f"{_number(left_out)} gaps of {_number(frames)} frames in all.</p>" if left_out else "")
    return f"<section><h2>Gaps</h2>\n{more}{_table('gaps', head, rows)}</section>\n"


def _marks(night):
    if not night.marks:
        return ""
    drawn = len(marks.placed(night.marks, night.bins)) if night.bins else 0
    outside = _plural(len(night.marks) - drawn, "mark")
    more = f" {outside} before the first frame or behind the last one: drawn nowhere." \
        if drawn < len(night.marks) else ""
    if len(night.marks) > marks.TABLE_MAX:
        more += (f" {units.count(len(night.marks) - marks.TABLE_MAX)} more marks are not in this "
                 "table.")
    head = '<tr><th class="n">No.</th><th>Noted<small>UTC</small></th><th>Text</th></tr>'
    return ('<section id="marks"><h2>Marks</h2>\n<p class="lead">What was noted while it was '
            f"recorded (<code>daorec ctl mark</code>).{more}</p>\n"
            + _table("marks", head, marks.table_rows(night.marks, text)) + "</section>\n")


def _about(night):
    width = units.seconds(night.bins.width_s) if night.bins else units.NONE
    return f"""<section class="about"><h2>How the numbers are made</h2>
<dl>
<div><dt>Expected</dt><dd>recorded + lost, as the ledger has it where it fits the files, else by the
rows.</dd></div>
<div><dt>Time</dt><dd>UTC, when the recorder took the frame (RTIME). The night is drawn in parts of
{width}.</dd></div>
<div><dt>Rate</dt><dd>one by the median interval. <em>Duration</em>: first to last frame taken.
<em>Data</em>: pixels, and 64 bytes of table, of the frames recorded.</dd></div>
<div><dt>Interval</dt><dd>between the publication times (ATIME) of frames that follow each other
with nothing lost between them. Percentiles are right to 0.3&#8239;%; least and most are
exact.</dd></div>
<div><dt>Latency</dt><dd>RTIME − ATIME, by the clocks of recorder and source. The recorder sleeps
between looks for a part of the time in which the FIFO would fill, so that a deep FIFO has a large
latency on purpose.</dd></div>
<div><dt>Backlog</dt><dd>for each frame, how many of those behind it had been published (ATIME) when
it was taken (RTIME); the most in a part. Where it reaches the FIFO’s depth frames are
lost.</dd></div>
<div><dt>Disk rate</dt><dd>bytes of the frames taken, by RTIME; not measured at the disk.</dd></div>
<div><dt>Pictures</dt><dd>one scale for first, mean and last frame: of a thousand pixels five are
below black, and five above white.</dd></div>
</dl></section>
"""


def make(night, name):
    """The page. name: the session's."""
    title = text(name)
    streams = "".join(_stream(stream, index, night.bins)
                      for index, stream in enumerate(night.streams))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<title>{title} – daorec report</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
{_top(night, name)}{_notes(night)}{_summary(night)}{_timeline(night)}{streams}{_marks(night)}\
{_gaps(night)}{_about(night)}</main>
</body>
</html>
"""
