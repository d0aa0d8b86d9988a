"""losses.py - what is lost above the highest lossless rate: by rate, frame size and depth.

Once a point, not a median; turns are short, and staging memory is kept small, so that what it can
absorb does not hide what the disk cannot take. Drawn where matplotlib is installed.
"""
import os

import turns as t
import disk

TITLE = "losses by rate, frame size and depth"
STAGING = "64MiB"
SECONDS = 0.6
SHARES = (0.4, 0.7, 0.9, 1.0, 1.2)  # of what the disk takes bare
SMALL_RATES = (0.3e6, 0.6e6, 1.0e6, 1.5e6, 2.5e6)  # frames a second
CASES = (("800x800", "uint16", (8, 64)), ("256x256", "uint16", (32, 256)),
         ("97x1", "float32", (256, 4096)))
COLORS = {"800x800": "#c0392b", "256x256": "#2471a3", "97x1": "#1e8449"}
DASHES = ("dashed", "solid")  # the deeper one is solid


def need_bytes(bed):
    return disk.need_bytes(bed)


def points(bed):
    """Every turn, as a dict."""
    bare_rate = disk.bare(bed, 2000)
    for size, dtype, depths in CASES:
        for depth in depths:
            stream = t.Stream(size, dtype, depth)
            rates = SMALL_RATES if size == "97x1" else [
                share * bare_rate / stream.frame_bytes for share in SHARES]
            for rate in rates[:1] if bed.is_quick else rates:
                yield point(bed, stream, rate)


def point(bed, stream, rate):
    frames = max(2, round(rate * (0.02 if bed.is_quick else SECONDS)))
    turn = t.record(bed, stream, round(rate, 3), frames, "--buffer", STAGING)
    reached = turn.source["frames"] / turn.source["seconds"]
    return {"size": stream.size, "dtype": stream.dtype, "depth": stream.depth, "frames": frames,
            "wanted_hz": rate, "reached_hz": reached,
            "GB_per_s": reached * stream.frame_bytes / 1e9, "lost": turn.lost,
            "loss": turn.lost / turn.frames}


def series(curve):
    found = {}
    for p in curve:
        found.setdefault((p["size"], p["dtype"], p["depth"]), []).append(p)
    return found


def draw(curve, path):
    """False: there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), sharey=True, layout="constrained")
    for panel, (size, dtype, depths) in zip(axes, CASES):
        is_small = size == "97x1"
        for (s, _, depth), line in series(curve).items():
            if s == size:
                panel.plot([p["reached_hz"] / 1e6 if is_small else p["GB_per_s"] for p in line],
                           [100 * p["loss"] for p in line], marker="o", markersize=4,
                           color=COLORS[size], linestyle=DASHES[depths.index(depth)],
                           label=f"depth {depth}")
        panel.set_title(str(t.Stream(size, dtype, 1)))
        panel.set_xlabel("source, million frames/s" if is_small else "source, GB/s")
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
        panel.legend(loc="upper left")
    axes[0].set_ylabel("frames lost, %")
    axes[0].set_ylim(-1, max(10, 115 * max(p["loss"] for p in curve)))
    figure.suptitle(f"daorec record, staging {STAGING}, {SECONDS} s a point")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


def run(bed, section):
    curve = section.more["curve"] = list(points(bed))
    for (size, dtype, depth), line in series(curve).items():
        cells = "  ".join(f"{p['GB_per_s']:5.2f}: {100 * p['loss']:4.1f}" for p in line)
        section.note(f"{str(t.Stream(size, dtype, depth)) + ',':<16} depth {depth:>4}   "
                     f"GB/s: % lost   {cells}")
    path = os.path.join(bed.results, "losses.png")
    if draw(curve, path):
        section.more["plot"] = path
        section.note(f"drawn in {path}")
    else:
        section.note("not drawn: matplotlib is not installed (python3-matplotlib)")
