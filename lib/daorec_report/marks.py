"""marks - what a person noted while it was recorded, on the page: a row above the lanes of the
streams, thin lines in all drawings over time, and a table. They are numbered in order of time, and
the number stands wherever there is room. Where there are many, lines would hide what is drawn: they
become ticks at the upper edge.

Texts come from anybody: they go through page.text(), which is given to those who need it.
"""
from . import units

LINES_MAX = 24  # more become ticks
TABLE_MAX = 1000
_WIDE, _NARROW = 0.03, 0.09  # of the width: the room that a number takes, there and on a telephone
_EDGE = 0.97  # behind it a number stands to the left of its line
_TEXT = 0.06  # where there is less, a number has no text beside it


def placed(marks, bins):
    """[(number, share of the night, Mark)] of those that lie within the night."""
    span = bins.end_ns - bins.begin_ns
    return [(number, (mark.time - bins.begin_ns) / span, mark)
            for number, mark in enumerate(marks, 1) if bins.begin_ns <= mark.time <= bins.end_ns]


def with_room(shares, room):
    """Indices of those (in order) that are at least so far from the one before that has room."""
    kept = []
    for index, share in enumerate(shares):
        if not kept or share - shares[kept[-1]] >= room:
            kept.append(index)
    return kept


def strokes(places, width):
    """Lines through a lane, which is stretched; none where they are too many."""
    if not 0 < len(places) <= LINES_MAX:
        return ""
    return _path(places, width, -6, 40, ' stroke-dasharray="1 3"')


def _path(places, width, top, bottom, more=""):
    seen = dict.fromkeys(f"{share:.3f}" for _, share, _ in places)  # a pixel or so
    path = "".join(f"M{float(share) * width:.2f} {top}V{bottom}" for share in seen)
    return f'<path d="{path}" stroke="var(--muted)" stroke-width="1"{more}/>'


def _labels(places, text):
    shares = [share for _, share, _ in places]
    wide = with_room(shares, _WIDE)
    if len(wide) > 1 and shares[wide[-1]] > _EDGE and shares[wide[-2]] > _EDGE - 2 * _WIDE:
        wide.pop()  # it would stand to the left of its line, where there is one already
    narrow = {wide[k] for k in with_room([shares[index] for index in wide], _NARROW)}
    labels = []
    for index, following in zip(wide, wide[1:] + [None]):
        number, share, mark = places[index]
        room = (1.0 if following is None else shares[following]) - share
        words = f" {text(mark.text)}" if room >= _TEXT else ""
        place = f"left: {100 * share:.2f}%; max-width: {100 * room:.2f}%"
        if share > _EDGE:
            words, place = "", f"right: {100 * (1 - share):.2f}%"
        kind = "" if index in narrow else ' class="tight"'
        place_of = f"m{number}" if number <= TABLE_MAX else "marks"  # the table ends before it
        labels.append(f'<a href="#{place_of}"{kind} style="{place}" title="{text(mark.text)}">'
                      f"<b>{number}</b>{words}</a>")
    return "".join(labels)


def row(places, width, text):
    """Above the lanes. Many are ticks below their numbers, few are lines beside them."""
    if not places:
        return ""
    count = f"{units.count(len(places))} mark{'' if len(places) == 1 else 's'}"
    is_many = len(places) > LINES_MAX
    kind, drawn = ("marked many", _path(places, width, 19, 26)) if is_many else (
        "marked", _path(places, width, 0, 26))
    return (f'<div class="lane {kind}"><a href="#marks">Marks</a><div><svg viewBox="0 0 {width} 26"'
            f' preserveAspectRatio="none" role="img" aria-label="{count}">{drawn}</svg>'
            f"{_labels(places, text)}</div><span>{count}</span></div>")


def table_rows(marks, text):
    """Of the table, (number, time, text); for at most TABLE_MAX."""
    return [f'<tr id="m{number}"><td class="n">{number}</td>'
            f'<td class="nowrap">{units.moment(mark.time, 3, date=True)}</td>'
            f"<td>{text(mark.text)}</td></tr>"
            for number, mark in enumerate(marks[:TABLE_MAX], 1)]
