"""units - numbers as people write them: times, counts, bytes, rates. Pure functions."""
import math
import re

import numpy as np

SPACE = "\u202f"  # narrow, and no line is broken there
NONE = "–"


def _is_number(value):
    return value is not None and math.isfinite(value)


def count(value):
    """12 345"""
    return f"{value:,}".replace(",", SPACE) if value is not None else NONE


def number(value, digits=3):
    """So many significant digits, without an exponent where that is short: 1.28, 45.1, 1 204."""
    if not _is_number(value):
        return NONE
    if value == 0:
        return "0"
    value = float(f"{value:.{digits - 1}e}")  # 0.9996 is 1.00, which has another magnitude
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 7:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}".replace(",", SPACE)


def scaled(value, unit, digits=3, prefixes=(("n", 1e-9), ("µ", 1e-6), ("m", 1e-3), ("", 1.0))):
    """A value in its unit with a prefix: 1.28 ms."""
    if not _is_number(value):
        return NONE
    prefix, factor = prefixes[0]
    for prefix, factor in reversed(prefixes):
        # What would be rounded up to 1000 already has the larger prefix.
        if abs(value) >= factor * (1 - 0.5 * 10.0 ** -digits):
            break
    if value == 0:
        prefix, factor = "", 1.0
    return f"{number(value / factor, digits)}{SPACE}{prefix}{unit}"


def short(function):
    """The same without zeros behind the point, for axes: 1 ms, 2.5 MB/s."""
    def shortened(value):
        return re.sub(r"\.0+(?!\d)|(\.\d*?[1-9])0+(?!\d)", r"\1", function(value))
    return shortened


_LARGE = (("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12))


def seconds(value, digits=3):
    """1.28 ms; up to minutes."""
    return scaled(value, "s", digits)


def amount(value, digits=3):
    """1.5 k"""
    return scaled(value, "", digits, _LARGE).rstrip(SPACE)


def data(value, digits=3):
    """1.28 GB"""
    return scaled(value, "B", digits, _LARGE)


def data_rate(value, digits=3):
    """1.28 GB/s"""
    return scaled(value, "B/s", digits, _LARGE)


def rate(value, digits=4):
    """1.28 kHz"""
    return scaled(value, "Hz", digits, (("m", 1e-3),) + _LARGE)


def percent(part, whole):
    """Of a whole: 0 %, < 0.001 %, 4.3 %, > 99.9 %, 100 %; 0 and 100 only where it is just that."""
    if not whole:
        return NONE
    value = 100.0 * part / whole
    if part in (0, whole):
        text = f"{value:.0f}"
    elif value < 0.001:
        text = f"<{SPACE}0.001"
    elif value > 99.9:
        text = f">{SPACE}99.9"
    else:
        text = number(value, 2 if value < 10 else 3)
    return f"{text}{SPACE}%"


def duration(value):
    """40.1 s, 12 min 5 s, 9 h 12 min"""
    if not _is_number(value):
        return NONE
    if value < 60:
        return seconds(value)
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}{SPACE}min{SPACE}{rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h{SPACE}{minutes % 60}{SPACE}min"


def moment(ns, digits=0, date=False):
    """A time in UTC: 02:01:08.5"""
    text = str(np.int64(ns).view("M8[ns]"))  # 2026-11-24T02:01:08.500000000
    day, _, clock = text.partition("T")
    clock = clock[:9 + digits] if digits else clock[:8]
    return f"{day} {clock}" if date else clock


# ---- axes of time ----

_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800,
            21600, 43200, 86400)


def time_ticks(begin_ns, end_ns, most):
    """[(POSIX ns, label)] at whole seconds, minutes or hours of UTC, at most so many."""
    span_s = (end_ns - begin_ns) / 1e9
    step_s = next((step for step in _STEPS_S if span_s / step <= most), None)
    if step_s is None:
        step_s = 86400 * math.ceil(span_s / 86400 / most)
    step = round(step_s * 1e9)
    first = -(-begin_ns // step) * step
    ticks = []
    for ns in range(first, end_ns + 1, step):
        if step_s < 1:
            label = moment(ns, 1)
        elif step_s < 60:
            label = moment(ns)
        elif step_s < 86400:
            label = moment(ns)[:5]
        else:
            label = moment(ns, date=True)[5:10]
        ticks.append((ns, label))
    return ticks
