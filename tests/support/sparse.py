"""sparse.py - recordings of any length that take no room: the frames are holes, the rows are there.

Made from a finished recording of the same shape, whose headers they get with other numbers in them.
"""
import os

import numpy as np
from astropy.io import fits

ROW = np.dtype([("TIME", ">f8")]
               + [(name, ">i8") for name in ("ATIME", "CNT0", "CNT1", "CNT2", "RTIME")]
               + [(name, ">i4") for name in ("LOST", "FLAGS", "SLOT", "DSUM")])


def plain_rows(frames, rate, begin_ns=1_764_000_000_123_456_789, count=1000):
    """Rows of a source without losses; `frames` rows, `rate` a second."""
    rows = np.zeros(frames, ROW)
    index = np.arange(frames)
    rows["ATIME"] = begin_ns + index * (1_000_000_000 // rate)
    rows["TIME"] = (rows["ATIME"] - begin_ns // 10**9 * 10**9) / 1e9
    rows["CNT0"] = count + index
    rows["RTIME"] = rows["ATIME"] + 50_000
    rows["SLOT"] = rows["CNT0"] % 16
    rows["DSUM"] = -2**31  # the sum of zeros, less TZERO
    return rows


def _header(template, unit, **values):
    """The bytes of a unit's header with other values in its cards; checksums undefined."""
    info = template[unit].fileinfo()
    with open(template.filename(), "rb") as f:
        f.seek(info["hdrLoc"])
        header = bytearray(f.read(info["datLoc"] - info["hdrLoc"]))
    values.update(DATASUM="          ", CHECKSUM="                ")
    for key, value in values.items():
        at = next(i for i in range(0, len(header), 80)
                  if header[i:i + 8].decode().rstrip() == key)
        text = f"'{value}'".ljust(20) if isinstance(value, str) else f"{value:20d}"
        header[at + 10:at + 10 + len(text)] = text.encode()
    return bytes(header)


def make(path, template, rows, number=1, first=0):
    """A finished recording at `path` with these rows, file `number` of its stream, whose first
    frame has index `first`."""
    def utc(ns):
        return f"{np.datetime64(int(ns), 'ns')}"
    with fits.open(template) as hdus:
        primary = hdus[0].header
        frame_bytes = abs(primary["BITPIX"]) // 8
        for axis in range(1, primary["NAXIS"]):
            frame_bytes *= primary[f"NAXIS{axis}"]
        head = _header(hdus, 0, **{
            f"NAXIS{primary['NAXIS']}": len(rows), "NFRAMES": len(rows), "FILESEQ": number,
            "FRAME0": first, "CNT0BEG": int(rows["CNT0"][0]), "CNT0END": int(rows["CNT0"][-1]),
            "DATE-BEG": utc(rows["ATIME"][0]), "DATE-END": utc(rows["ATIME"][-1]),
            "NLOST": int(rows["LOST"].sum()), "NGAPS": int((rows["LOST"] > 0).sum())})
        table = _header(hdus, "FRAMES", NAXIS2=len(rows),
                        DATEREF=utc(rows["ATIME"][0] // 10**9 * 10**9))
        info = hdus["SHMKW"].fileinfo()
        with open(template, "rb") as f:
            f.seek(info["hdrLoc"])
            keywords = f.read(info["datLoc"] + info["datSpan"] - info["hdrLoc"])

    def pad(count):
        return -(-count // 2880) * 2880
    with open(path, "wb") as f:
        f.write(head)
        f.seek(len(head) + pad(len(rows) * frame_bytes))
        f.write(table)
        f.write(rows.tobytes().ljust(pad(rows.nbytes), b"\0"))
        f.write(keywords)
    return os.path.getsize(path)
