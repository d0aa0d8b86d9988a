#!/usr/bin/env python3
"""Whoever can name a segment, fill in its header, or put links into the output folder, gets nothing
outside that folder changed, and every file stays valid."""
import glob
import json
import os
import re
import signal
import stat
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402

SHAPE, DEPTH, FRAMES = (3, 2), 8, 5
FRAME_BYTES = 12  # uint16

KEYWORDS = (
    (b"../../../tmp/x", b"S", b"../../etc"), (b"/etc/passwd", b"S", b"/"),
    (b"NAXIS", b"L", 7), (b"NAXIS7", b"L", 7), (b"END", b"S", b"END"), (b"SIMPLE", b"S", b"F"),
    (b"XTENSION", b"S", b"IMAGE"), (b"CONTINUE", b"S", b"'more' &"),
    (b"HIERARCH", b"S", b"a b = 1"),
    (b"BSCALE", b"D", 0.0), (b"BZERO", b"D", 1e9), (b"CHECKSUM", b"S", b"0" * 16),
    (b"RECSTAT", b"S", b"CLOSED"), (b"PREVFILE", b"S", b"../../evil.fits"),
    (b"ESC", b"S", b"\x1b[2J\x1b]0;x\x07"), (b"BYTES", b"S", bytes(range(0xf0, 0x100))),
    (b"QUOTES", b"S", b"''''''''''''''''"), (b"AMP", b"S", b"&&&&&&&&&&&&&&&&"),
    (b"\n\r\t", b"L", 1), (b"a b", b"L", 1), (b"lower", b"D", 1.0), (b"", b"L", 3),
    (b"NAN", b"D", float("nan")), (b"INF", b"D", float("-inf")), (b"TINY", b"D", 5e-324),
    (b"HUGE", b"D", 1.7976931348623157e308), (b"TWICE", b"L", 1), (b"TWICE", b"L", 2),
    (b"FINE", b"L", -2**63), (b"ODDTYPE", b"\xff", b""))


def make_segment(path, md_name=b"", keywords=()):
    """A segment of which all is chosen, with the frames 1 ... FRAMES in its FIFO."""
    size = DEPTH * (4304 + FRAME_BYTES) + 120 * len(keywords)
    data = bytearray(size)
    for slot in range(DEPTH):
        at, count = 4304 * slot, slot + 1 if slot < FRAMES else 0
        data[at:at + 80] = md_name[:80].ljust(80, b"\0")
        struct.pack_into("<B3x3I", data, at + 80, 2, *SHAPE, 0)
        struct.pack_into("<QB", data, at + 96, SHAPE[0] * SHAPE[1], 3)
        struct.pack_into("<d", data, at + 112, 1.7e9)
        struct.pack_into("<qq", data, at + 128, 0, 10**18 + count)
        struct.pack_into("<QQQ", data, at + 152, count, count, count)
        struct.pack_into("<H", data, at + 178, len(keywords))
        if count:
            pixels = DEPTH * 4304 + slot * FRAME_BYTES
            data[pixels:pixels + FRAME_BYTES] = h.ramp([count], SHAPE, "uint16").tobytes()
    struct.pack_into("<II", data, 4296, DEPTH, FRAMES - 1)
    for number, (name, kind, value) in enumerate(keywords):
        packed = struct.pack({b"L": "<q", b"D": "<d"}.get(kind, "16s"), value)
        struct.pack_into("<16sc7x16s80s", data, size - 120 * (len(keywords) - number), name[:16],
                         kind, packed, b"comment / with 'quotes' & more\n\x1b[31m")
    with open(path, "wb") as f:
        f.write(data)


def snapshot(folder):
    """Every name below a folder, with what is in it."""
    found = {}
    for where, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(where, name)
            status = os.lstat(path)
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as f:
                    content = f.read()
            found[os.path.relpath(path, folder)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def run_in(root, *arguments, **options):
    return h.start(os.path.abspath(h.DAOREC), "record", "--json", "-o", root, *arguments, **options)


def check_tree(root):
    """Nothing but sessions, their ledger and their streams' files."""
    for path in snapshot(root):
        assert re.fullmatch(r"[0-9_-]{19}(/session\.json|/[A-Za-z0-9_-]+"
                            r"(/[A-Za-z0-9_-]+_\d{6}\.fits)?)?", path), path


def new_root(name):
    path = os.path.join(h.output, name, "root")
    os.makedirs(path)
    victim = os.path.join(h.output, name, "victim")
    os.makedirs(os.path.join(victim, "folder", "deeper"))
    for file in ("precious", "folder/deeper/.x_000001.fits.new", "folder/.x_000001.fits.new"):
        with open(os.path.join(victim, file), "w", encoding="ascii") as f:
            f.write("precious")
    return path, victim


def names_and_keywords_do_no_harm():
    root, victim = new_root("names")
    # A victim of a short name, too: names and values of keywords are of 16 bytes.
    around = os.path.dirname(root)
    os.mkdir(os.path.join(around, "v"))
    with open(os.path.join(around, "v", "p"), "w", encoding="ascii") as f:
        f.write("precious")
    victims = (victim, os.path.join(around, "v"))
    before = [snapshot(folder) for folder in victims]
    # From the folders of the output, of a session (and where the recorder runs) and of a stream.
    keywords = KEYWORDS + tuple((up + name, b"S", up + name)
                                for up in (b"../", b"../../", b"../../../")
                                for name in (b"v/p", b"v/new"))
    names = ["..", ".hidden", "-rf", "a b", "a\nb", "\x1b[31m", "x'\"`$(id)", "[0+n(1", "ü€",
             "con", "a" * 56]
    paths = [os.path.join(h.segments, f"{name}.im.shm") for name in names]
    md_names = [b"../victim/precious", b"../../victim/precious", b"../../../victim/precious",
                os.fsencode(os.path.join(victim, "precious")), os.fsencode(victim),
                b"../../../victim/new", b"../../../v/p", b"\xff" * 80, b"%s%n%s%n",
                b"\x1b[2J", b"."]
    assert len(os.path.join(victim, "precious")) <= 80
    for number, path in enumerate(paths):
        make_segment(path, md_names[number % len(md_names)], keywords)
    streams = []
    # Different names may become one stream's: not these in one session.
    for group in (paths[:1] + paths[2:4] + paths[5:], [paths[1], paths[4]]):
        recorder = run_in(root, "--backlog", "-n", FRAMES, "--", *group, cwd=root)
        out, errors = recorder.communicate(timeout=60)
        assert recorder.returncode == 0, (group, recorder.returncode, errors)
        for stream in json.loads(out)["streams"]:
            assert stream["recorded"] == FRAMES, stream
            streams += stream["files"]
            cube, _rows = h.load(stream["files"])
            assert (cube == h.ramp(range(1, FRAMES + 1), SHAPE, "uint16")).all()
    assert len(streams) == len(paths)
    check_tree(root)
    h.judge(*streams)
    for file in streams:
        with h.fits.open(file) as hdus:
            header = hdus[0].header
            assert header["RECSTAT"] == "CLOSED" and header["NAXIS"] == 3
            assert header["BZERO"] == 32768
            assert header["BSCALE"] == 1 and header["PREVFILE"] == ""
            assert header["FINE"] == -2**63 and header["TWICE"] == 1
            assert len(hdus["SHMKW"].data) == len(keywords) - 1  # but the one of no known type
    too_long = os.path.join(h.segments, "a" * 57 + ".im.shm")
    make_segment(too_long)
    assert run_in(root, too_long).wait(60) == 1
    assert [snapshot(folder) for folder in victims] == before
    assert sorted(os.listdir(around)) == ["root", "v", "victim"]


def two_streams_of_one_name_are_refused():
    root, _victim = new_root("same")
    paths = [os.path.join(h.segments, name) for name in ("a?b.im.shm", "a*b.im.shm")]
    for path in paths:
        make_segment(path)
    recorder = run_in(root, *paths)
    _out, errors = recorder.communicate(timeout=60)
    assert recorder.returncode in (1, 2) and all(path in errors for path in paths), errors
    assert not os.listdir(root)


def links_lead_nowhere():
    """Links where sessions will be, links to folders that leftovers are looked for in, links in
    place of files to come."""
    for attempt in range(5):  # until it comes in one of three seconds, not later
        errors = record_among_links(f"links{attempt}")
        if "is there already: waiting" in errors:
            break
    else:
        raise AssertionError(f"no link in place of a session was met: {errors}")


def record_among_links(name):
    """What the recorder says."""
    root, victim = new_root(name)
    before = snapshot(victim)
    os.symlink(victim, os.path.join(root, "session"))
    os.mkdir(os.path.join(root, "other"))
    os.symlink(os.path.join(victim, "folder"), os.path.join(root, "other", "stream"))
    path = h.segment(name)
    source = h.sim(path, "--size", "3x2", "--rate", 200, "--pattern", "ramp")
    h.wait_for(lambda: os.path.exists(path), what="the source")
    now = int(time.time())
    planted = [time.strftime("%Y-%m-%d_%H-%M-%S", time.gmtime(now + s)) for s in range(3)]
    for session_name in planted:
        os.symlink(victim, os.path.join(root, session_name))
    # The root itself may be a link: that is the user's own doing.
    link = os.path.join(h.output, name, "by-link")
    os.symlink(root, link)
    recorder = run_in(link, "--wait=20s", "--roll-frames", 100000, path)
    h.wait_for(lambda: glob.glob(f"{root}/*/*/*_000001.fits.part"), what="the first file")
    first = glob.glob(f"{root}/*/*/*_000001.fits.part")[0]
    session = os.path.dirname(os.path.dirname(first))
    assert os.path.basename(session) not in planted
    stream = h.stream_name(path)
    target = os.path.join(victim, "precious")
    folder = os.path.dirname(first)
    os.symlink(target, os.path.join(folder, f"{stream}_000002.fits.part"))
    os.symlink(target, os.path.join(folder, f".{stream}_000003.fits.new"))
    os.symlink(os.path.join(victim, "missing"), os.path.join(folder, f"{stream}_000003.fits"))
    os.link(target, os.path.join(session, ".session.json.new"))
    end = time.monotonic() + 60
    while not glob.glob(f"{folder}/*_000004.fits*"):
        assert recorder.poll() is None and time.monotonic() < end, "the fourth file"
        recorder.send_signal(signal.SIGUSR1)  # next file
        time.sleep(0.3)
    time.sleep(0.2)
    recorder.send_signal(signal.SIGINT)
    out, errors = recorder.communicate(timeout=60)
    source.terminate()
    assert recorder.returncode in (0, 3), (recorder.returncode, errors)
    stream, = json.loads(out)["streams"]
    assert stream["expected"] == stream["recorded"] + stream["lost"] and stream["recorded"] > 0
    after = snapshot(victim)
    assert {k: v[2] for k, v in after.items()} == {k: v[2] for k, v in before.items()}
    assert os.path.islink(os.path.join(folder, f"{stream['name']}_000002.fits.part"))
    assert not os.path.islink(os.path.join(session, "session.json"))
    closed = [f for f in glob.glob(f"{folder}/*.fits") if not os.path.islink(f)]
    h.judge(*closed)
    return errors


def modes_honour_the_umask():
    path = h.segment("modes")
    make_segment(path)
    for umask in (0o077, 0o027, 0o022):
        for extra in ((), ("--no-direct",)):
            root = os.path.join(h.output, f"modes{umask:o}{len(extra)}", "below")
            recorder = run_in(root, "--backlog", "-n", FRAMES, *extra, path, umask=umask)
            _, errors = recorder.communicate(timeout=60)
            assert recorder.returncode == 0, (recorder.returncode, errors)
            modes = snapshot(os.path.dirname(root))
            for name, (mode, _time, _content) in modes.items():
                wanted = 0o777 if stat.S_ISDIR(mode) else 0o666
                assert stat.S_IMODE(mode) == wanted & ~umask, (name, oct(mode), oct(umask))
            assert len(modes) == 5, modes


if __name__ == "__main__":
    h.main([names_and_keywords_do_no_harm, two_streams_of_one_name_are_refused, links_lead_nowhere,
            modes_honour_the_umask])
