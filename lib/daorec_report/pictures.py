"""pictures - first, mean and last frame of a stream, for people's eyes.

Images come as PNG with 255 shades of grey, all of one scale; frames of one axis, or of a few rows,
as curves. At most SAMPLE_MAX frames (and SAMPLE_BYTES) are read for a mean, one at a time. Complex
numbers are shown by their modulus. What can go wrong: a frame cannot be read, since its file is
damaged or has gone: it is not among the sample, and the first and last that can be are shown;
MemoryError where one alone is too large.
"""
import base64
import dataclasses
import struct
import zlib

import numpy as np

from daorec import Error

SAMPLE_MAX = 200
SAMPLE_BYTES = 256 << 20
PARTS_MAX = 4  # shapes of a stream that was reshaped
_PIXELS_MAX = 400  # of an image's side
_CURVE_ROWS_MAX = 4  # with so few rows, or columns, an image says nothing
_POINTS_MAX = 600
_PLANES_MAX = 4
_CLEAR = 255  # colour of what is no number


@dataclasses.dataclass
class Pictures:
    """Of frames of one shape. Either images (URLs) or curves {name: array}, points `at` elements.

    low, high: what is black and what is white; None: there is no finite number
    sampled: frames that the mean is of; count: of how many
    """
    shape: tuple
    dtype: np.dtype
    sampled: int
    count: int
    shrunk: int = 1  # pixels to one, along each axis
    planes: int = 1  # side by side
    images: dict = None
    curves: dict = None
    at: np.ndarray = None
    low: float = None
    high: float = None


def of_stream(stream):
    """([Pictures], shapes left out) of a daorec.Stream: one for each shape that it had."""
    parts = [part for part in stream.parts if len(part)]
    shown = [_of_part(part) for part in parts[:PARTS_MAX]]
    return [part for part in shown if part], max(0, len(parts) - PARTS_MAX)


def _real(pixels):
    """As doubles; -0 and what overflows is nobody's fault here."""
    with np.errstate(all="ignore"):
        return (np.abs(pixels) if pixels.dtype.kind == "c" else pixels).astype(float)


def _of_part(part):
    """None where no frame can be read."""
    frame_bytes = max(1, part.dtype.itemsize * int(np.prod(part.shape, dtype=object)))
    most = int(min(len(part), SAMPLE_MAX, max(3, SAMPLE_BYTES // frame_bytes)))
    sample = np.unique(np.linspace(0, len(part) - 1, most).astype(np.int64))
    total, count = 0.0, 0
    low, high = np.inf, -np.inf
    first = last = None
    with np.errstate(all="ignore"):
        for index in sample:
            try:
                last = _real(part[int(index)])
            except Error:
                continue
            first = last if first is None else first
            total, count = total + last, count + 1
            low, high = np.fmin(low, last), np.fmax(high, last)
        if not count:
            return None
        mean = total / count
    frames = {"first": first, "mean": mean, "last": last}
    pictures = Pictures(part.shape, part.dtype, count, len(part))
    axes = [size for size in part.shape if size > 1]
    if len(axes) < 2 or (len(axes) == 2 and min(axes) <= _CURVE_ROWS_MAX):
        _draw_curves(pictures, {**frames, "lowest": low, "highest": high})
    else:
        _draw_images(pictures, frames, axes)
    return pictures


# ---- curves ----

def _draw_curves(pictures, frames):
    """Every n-th element where there are too many; of the extremes the extremes."""
    size = next(iter(frames.values())).size
    step = -(-size // _POINTS_MAX)
    begins = np.arange(0, size, step)
    pictures.shrunk, pictures.at, pictures.curves = step, begins, {}
    for name, frame in frames.items():
        reduce = {"lowest": np.fmin.reduceat, "highest": np.fmax.reduceat}.get(name)
        flat = frame.reshape(-1)
        curve = reduce(flat, begins) if reduce else flat[begins]
        pictures.curves[name] = np.where(np.isfinite(curve), curve, np.nan)


# ---- images ----

def _draw_images(pictures, frames, axes):
    frames = {name: _montage(frame.reshape(axes), pictures) for name, frame in frames.items()}
    pictures.shrunk = max(1, -(-max(next(iter(frames.values())).shape) // _PIXELS_MAX))
    frames = {name: _shrink(frame, pictures.shrunk) for name, frame in frames.items()}
    numbers = np.concatenate([frame[np.isfinite(frame)] for frame in frames.values()])
    if numbers.size:
        pictures.low, pictures.high = map(float, np.percentile(numbers, (0.5, 99.5)))
    pictures.images = {name: _png(_shade(frame, pictures.low, pictures.high))
                       for name, frame in frames.items()}


def _montage(frame, pictures):
    """The first planes of three axes side by side, nothing between them but a line of no number."""
    if frame.ndim == 2:
        return frame
    pictures.planes = min(len(frame), _PLANES_MAX)
    line = np.full((frame.shape[1], max(1, frame.shape[2] // 40)), np.nan)
    pieces = [piece for plane in frame[:pictures.planes] for piece in (plane, line)]
    return np.concatenate(pieces[:-1], axis=1)


def _shrink(image, by):
    """The mean of blocks; those at the edges are smaller."""
    if by == 1:
        return image
    counts = np.ones_like(image)
    for axis in (0, 1):
        begins = np.arange(0, image.shape[axis], by)
        image = np.add.reduceat(image, begins, axis=axis)
        counts = np.add.reduceat(counts, begins, axis=axis)
    return image / counts


def _shade(image, low, high):
    """0 (low and below) to 254 (high and above), 255 for what is no number."""
    if low is None:
        return np.full(image.shape, _CLEAR, np.uint8)
    with np.errstate(all="ignore"):
        # Halves, so that the whole range of doubles has a width.
        scaled = (image / 2 - low / 2) / ((high / 2 - low / 2) or 1.0) * 254
    scaled = np.clip(np.where(np.isnan(image), 0, scaled), 0, 254)
    return np.where(np.isnan(image), _CLEAR, np.nan_to_num(scaled)).astype(np.uint8)


def _png(shades):
    """A data URL; row 0 is at the bottom, as FITS viewers show it."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))
    rows, columns = shades.shape
    body = np.zeros((rows, columns + 1), np.uint8)  # each row begins with its filter: none
    body[:, 1:] = shades[::-1]
    palette = bytes(value * 255 // 254 for value in range(255) for _ in range(3)) + b"\0\0\0"
    png = (b"\x89PNG\r\n\x1a\n"
           + chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0))
           + chunk(b"PLTE", palette) + chunk(b"tRNS", b"\xff" * 255 + b"\0")
           + chunk(b"IDAT", zlib.compress(body.tobytes(), 9)) + chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
