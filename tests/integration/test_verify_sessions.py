#!/usr/bin/env python3
"""What verify says of sessions in which a file, a folder or the ledger is not what it should be:
each fault by its name, once, in a line that somebody understands who was not there."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from astropy.io import fits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import is_locked  # noqa: E402

FRAMES, ROLL = 60, 15  # four files a stream


def run(*paths, status=1, user=None, errors=""):
    """The lines it prints; quiet, so that they are doubts."""
    more = {"user": user, "group": user, "extra_groups": []} if user else {}
    result = subprocess.run([os.path.abspath(h.DAOREC), "verify", "-q", *paths], text=True,
                            capture_output=True, timeout=60, **more)
    assert result.returncode == status, (paths, result)
    assert result.stderr == errors, result.stderr
    return result.stdout.splitlines()


def record_session():
    """A finished session of the streams a and b, four files each; its folder."""
    paths = [h.segment(name) for name in ("a", "b")]
    sources = [h.sim(path, "--size", size, "--type", "uint16", "--rate", 1000, "--depth", 64,
                     "--pattern", "ramp", "-d", "60s") for path, size in zip(paths, ("8x8", "9"))]
    session = h.finish(h.record("--wait=20s", "-n", FRAMES, "--roll-frames", ROLL, *paths))
    for source in sources:
        source.kill()
    return session.folder


class Session:
    """A session to change, or to take from: s.a(2) is the second file of stream a."""

    def __init__(self, folder):
        self.folder, self.root = folder, os.path.dirname(folder)
        self.ledger = os.path.join(folder, "session.json")
        self.names = {name[0]: name for name in os.listdir(folder) if name != "session.json"}

    def copy(self):
        """Alone in a folder of its own, in memory."""
        root = os.path.join(h.segments, f"copy_{os.getpid()}")
        shutil.rmtree(root, ignore_errors=True)
        folder = os.path.join(root, os.path.basename(self.folder))
        return Session(shutil.copytree(self.folder, folder))

    def stream(self, letter):
        return os.path.join(self.folder, self.names[letter])

    def file(self, letter, number):
        return os.path.join(self.stream(letter), self.name(letter, number))

    def name(self, letter, number):
        return f"{self.names[letter]}_{number:06}.fits"

    def a(self, number):
        return self.file("a", number)

    def b(self, number):
        return self.file("b", number)

    def edit(self, right, wrong):
        with open(self.ledger, encoding="utf-8") as f:
            text = f.read()
        assert right in text
        with open(self.ledger, "w", encoding="utf-8") as f:
            f.write(text.replace(right, wrong, 1))


def put(path, content):
    with open(path, "wb") as f:
        f.write(content)


def exchange(one, other):
    os.rename(one, one + ".x")
    os.rename(other, one)
    os.rename(one + ".x", other)


def flip_pixel(path):
    with open(path, "r+b") as f:
        f.seek(2880 * 2 + 10)  # behind the primary header
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 4]))


# What is done to a session (s), with another session (o) beside it; where the doubts are said (S
# is the session's folder), and what they say. {a2} is the name of file 2 of stream a, {a} that of
# the stream.
TABLE = [
    ("the ledger is gone", lambda s, o: os.unlink(s.ledger),
     ["S/session.json: is missing; daorec repair rebuilds it"]),
    ("the ledger is garbage", lambda s, o: put(s.ledger, os.urandom(500)),
     ["S/session.json: it is no JSON; daorec repair rebuilds it"]),
    ("the ledger is empty", lambda s, o: put(s.ledger, b""),
     ["S/session.json: it is no JSON; daorec repair rebuilds it"]),
    ("the ledger is of another session", lambda s, o: shutil.copy(o.ledger, s.ledger),
     ["S/session.json: is of session {other}, the files beside it are of another"]),
    ("the ledger is a link", lambda s, o: (os.unlink(s.ledger), os.symlink(o.ledger, s.ledger)),
     ["S/session.json: is a link, which is not followed here"]),
    ("the ledger has another segment", lambda s, o: s.edit('"segment": "/', '"segment": "/x/'),
     ["S/session.json: the ledger of {a}: its segment is /x/.*; in {a1} it is /.*, and so in 3 "
      "other files"]),
    ("the ledger has another depth", lambda s, o: s.edit('"depth": 64', '"depth": 65'),
     ["S/session.json: the ledger of {a}: its geometry .*8x8, depth 65.* is not the last .*64.*"]),
    ("the ledger has another frame size",
     lambda s, o: s.edit('"frame_bytes": 128', '"frame_bytes": 12'),
     ["S/session.json: frame_bytes is not what size and type make; daorec repair rebuilds it"]),
    ("the folder of a stream is gone", lambda s, o: shutil.rmtree(s.stream("a")),
     ["S/session.json: stream {a} is missing: 4 files with 60 frames"]),
    ("the folder of a stream is empty", lambda s, o: [os.unlink(s.a(i)) for i in (1, 2, 3, 4)],
     ["S/session.json: stream {a} is missing: 4 files with 60 frames"]),
    ("the folder of a stream is a link", lambda s, o: (
        os.rename(s.stream("a"), s.root + "/moved"), os.symlink(s.root + "/moved", s.stream("a"))),
     ["S/session.json: stream {a}: its folder is a link, which is not followed"]),
    ("the folder of a stream is renamed", lambda s, o: os.rename(s.stream("a"), s.folder + "/old"),
     ["S/old: its files are of stream {a}, and the folder is named old"]),
    ("the folder of a stream is there twice",
     lambda s, o: shutil.copytree(s.stream("a"), s.folder + "/copy"),
     ["S/copy: its files are of stream {a}, which has a folder of its own"]),
    ("two folders are exchanged", lambda s, o: exchange(s.stream("a"), s.stream("b")),
     ["S/{a}: its files are of stream {b}, and the folder is named {a}",
      "S/{b}: its files are of stream {a}, and the folder is named {b}"]),
    ("a file is gone from the middle", lambda s, o: os.unlink(s.a(2)),
     ["S/{a}: {a2} is missing, with 15 frames by the ledger"]),
    ("two files are gone from the middle", lambda s, o: (os.unlink(s.a(2)), os.unlink(s.a(3))),
     ["S/{a}: {a2} to {a3} are missing: 2 files, with 30 frames by the ledger"]),
    ("a file is gone from the end", lambda s, o: os.unlink(s.a(4)),
     ["S/{a}: {a4} is missing, with 15 frames by the ledger"]),
    ("a file is gone from the beginning", lambda s, o: os.unlink(s.a(1)),
     ["S/{a}: {a1} is missing, with 15 frames by the ledger"]),
    ("a file is gone from the middle, and the ledger",
     lambda s, o: (os.unlink(s.a(2)), os.unlink(s.ledger)),
     ["S/{a}: {a2} is missing", "S/session.json: is missing; daorec repair rebuilds it"]),
    ("a file is gone from the end, and the ledger",
     lambda s, o: (os.unlink(s.a(4)), os.unlink(s.ledger)),
     ["S/{a}: {a4} is missing", "S/session.json: is missing; daorec repair rebuilds it"]),
    ("a file is there twice", lambda s, o: shutil.copy(s.a(2), s.a(5)),
     ["S/{a}: {a2} is there twice: {a5} is file 2 of {a} as well"]),
    ("a file is in the place of another", lambda s, o: shutil.copy(s.a(2), s.a(3)),
     ["S/{a}: {a2} is there twice: {a3} is file 2 of {a} as well"]),
    ("a file is there twice, under a name of its own",
     lambda s, o: shutil.copy(s.a(2), s.stream("a") + "/mine.fits"),
     ["S/{a}: {a2} is there twice: mine.fits is file 2 of {a} as well"]),
    ("a file is renamed", lambda s, o: os.rename(s.a(2), s.stream("a") + "/mine.fits"),
     ["S/{a}: mine.fits calls itself {a2}; rename it"]),
    ("two files are exchanged", lambda s, o: exchange(s.a(2), s.a(3)),
     ["S/{a}: {a2} and {a3} are exchanged"]),
    ("a file of another session is there", lambda s, o: shutil.copy(o.a(3), s.a(5)),
     ["S/{a}: {a5} is of another session: file 3 of {a}, RECUUID [-0-9a-f]{{36}}"]),
    ("a file of another session is in the place of its own",
     lambda s, o: shutil.copy(o.a(2), s.a(2)),
     ["S/{a}: {a2} is of another session: file 2 of {a}, RECUUID [-0-9a-f]{{36}}"]),
    ("a file of another stream is there", lambda s, o: shutil.copy(s.b(3), s.a(5)),
     ["S/{a}: {a5} is of another stream: file 3 of {b}"]),
    ("a file that the ledger does not name", lambda s, o: s.edit(
        s.name("a", 4), s.name("a", 9)),
     ["S/{a}: {a9} is missing, with 15 frames by the ledger",
      "S/session.json: {a4} is not in the ledger"]),
    ("a file is cut off", lambda s, o: os.truncate(s.a(2), 17000),
     ["S/{a}/{a2}: FRAMES should reach to byte .*: it was cut off"]),
    ("a file is cut off in a header", lambda s, o: os.truncate(s.a(2), 9000),
     ["S/{a}/{a2}: the header at byte 8640 is cut off: the file ends in it"]),
    ("a file is lengthened", lambda s, o: os.truncate(s.a(2), os.path.getsize(s.a(2)) + 7),
     ["S/{a}/{a2}: 7 bytes lie behind the last HDU .*"]),
    ("a file is emptied", lambda s, o: os.truncate(s.a(2), 0), ["S/{a}/{a2}: is empty"]),
    ("a file is a text", lambda s, o: put(s.a(2), b"moved to the archive\n" * 9),
     ["S/{a}/{a2}: is no FITS file"]),
    ("the last file is garbage", lambda s, o: put(s.a(4), os.urandom(9000)),
     ["S/{a}/{a4}: is no FITS file"]),
    ("all files are garbage", lambda s, o: [put(s.a(i), b"x" * 99) for i in (1, 2, 3, 4)],
     ["S/{a}/{a%d}: is no FITS file" % i for i in (1, 2, 3, 4)]),
    ("a file is a link to elsewhere", lambda s, o: (
        os.rename(s.a(2), s.root + ".fits"), os.symlink(s.root + ".fits", s.a(2))),
     ["S/{a}/{a2}: is a link, which is not followed here; give it by itself"]),
    ("a .part is a link to elsewhere", lambda s, o: os.symlink("/etc/passwd", s.a(5) + ".part"),
     ["S/{a}/{a5}.part: is a link, which is not followed here; give it by itself"]),
    ("all files are links to elsewhere", lambda s, o: [
        (os.unlink(s.b(i)), os.symlink(o.b(i), s.b(i))) for i in (1, 2, 3, 4)],
     ["S/{b}/{b%d}: is a link, which is not followed here; give it by itself" % i
      for i in (1, 2, 3, 4)]),
    ("a second name within the session",
     lambda s, o: os.symlink(s.a(4), s.folder + "/last.fits"), []),
    ("another file has the name of one", lambda s, o: put(
        s.a(2), b"".join(c.ljust(80) for c in (
            b"SIMPLE  =                    T", b"BITPIX  =                    8",
            b"NAXIS   =                    0", b"END")).ljust(2880)),
     ["S/{a}: {a2} is missing, with 15 frames by the ledger"]),
    ("something else is there as well", lambda s, o: put(s.stream("a") + "/notes.txt", b"?"), []),
    ("the session is there twice", lambda s, o: shutil.copytree(s.folder, s.folder + "-copy"), []),
    ("its folder has another name", lambda s, o: os.rename(s.folder, s.root + "/best"), []),
    ("a stream has a folder below", lambda s, o: (
        os.mkdir(s.stream("a") + "/x"), put(s.stream("a") + "/x/x.fits", b"")),
     ["S/{a}/x/x.fits: is empty"]),
]


def expand(line, session, other):
    names = {letter + str(i): session.name(letter, i) for letter in "ab" for i in range(1, 10)}
    path, colon, rest = line.format(**session.names, **names,
                                    other=os.path.basename(other.folder)).partition(": ")
    return re.escape(path.replace("S", session.folder, 1)) + colon + rest


def every_fault_is_named_once():
    original, other = Session(record_session()), Session(record_session())
    for fault, change, expected in TABLE:
        session = original.copy()
        change(session, other)
        said = run(session.root, status=1 if expected else 0)
        wanted = [expand(line, session, other) for line in expected]
        assert len(said) == len(wanted), (fault, said)
        for line, pattern in zip(said, wanted):
            assert re.fullmatch(pattern, line), (fault, line, pattern)
    print(f"  {len(TABLE)} faults")


def what_a_crash_left_is_two_lines():
    path = h.segment("crash")
    root = os.path.join(h.output, "crash")
    source = h.sim(path, "--size", "8x8", "--type", "uint16", "--rate", 1000, "--depth", 256, "-d",
                   "60s")
    recorder = h.start(h.DAOREC, "record", "-q", "--wait=20s", "-o", root, path)
    h.wait_for(lambda: glob.glob(root + "/*/*/*_000001.fits.part"), what="a file")
    recorder.send_signal(signal.SIGUSR1)  # starts the next one

    def is_booked():  # what is missing later is told with its frames by the ledger
        for ledger in glob.glob(root + "/*/session.json"):
            with open(ledger, encoding="utf-8") as f:
                (stream,) = json.load(f)["streams"]
            return any(file["closed"] for file in stream["files"])
        return False
    h.wait_for(lambda: glob.glob(root + "/*/*/*_000002.fits.part") and
               glob.glob(root + "/*/*/*_000001.fits") and is_booked(), what="a second file")
    recorder.kill()
    recorder.wait()
    source.kill()
    (part,) = glob.glob(root + "/*/*/*_000002.fits.part")
    h.wait_for(lambda: not is_locked(part), what="its lock to go")
    folder = os.path.dirname(os.path.dirname(part))
    unfinished = (folder + "/session.json: a crash left it unfinished; daorec repair rebuilds it "
                  "from the files")
    said = run(root)
    assert said[0].startswith(
        part + ": unfinished, and no recorder holds it; daorec repair finishes it with "), said
    assert said[1:] == [unfinished]
    os.rename(part, part[:-5])
    assert run(root) == [
        part[:-5] + ": unfinished, but named as a finished file; rename it to "
        + os.path.basename(part) + ", then daorec repair finishes it", unfinished]
    os.rename(part[:-5], part)
    first = part.replace("_000002.fits.part", "_000001.fits")
    os.rename(first, first + ".away")
    said = run(root)
    assert said[1].startswith(
        f"{os.path.dirname(part)}: {os.path.basename(first)} is missing, "), said
    assert said[2:] == [unfinished]
    os.rename(first + ".away", first)
    subprocess.run([h.DAOREC, "repair", "--apply", root], check=True, stdout=subprocess.DEVNULL)
    assert run(root, status=0) == []
    os.rename(part[:-5], part[:-5] + ".away")
    (line,) = run(root)
    assert f"{os.path.basename(part[:-5])} is missing, with " in line, line


# ---- what it is given ----

def nothing_to_judge_is_no_good_verdict():
    folder = tempfile.mkdtemp(dir=h.output)
    os.mkdir(os.path.join(folder, "empty"))
    os.mkdir(os.path.join(folder, "2026-11-24_02-01-08"))
    text = os.path.join(folder, "notes.txt")
    put(text, b"no recording\n")
    put(os.path.join(folder, "zero.fits"), b"")
    for path, words in (
            (folder + "/empty", "no recording is there (folders were looked into 4 deep)"),
            (folder + "/2026-11-24_02-01-08", "no recording is there .*"),
            (text, "is no FITS file"),
            (folder + "/zero.fits", "is empty"), ("/dev/null", "is no regular file"),
            (folder + "/none", "No such file or directory")):
        (line,) = run(path)
        assert re.fullmatch(re.escape(path) + ": " + words.replace("(", r"\(").replace(")", r"\)"),
                            line), line
    os.unlink(folder + "/zero.fits")
    assert len(run(folder)) == 1
    fits.PrimaryHDU().writeto(folder + "/foreign.fits")
    (line,) = run(folder)
    assert line.endswith("no recording is there (folders were looked into 4 deep); "
                         "1 FITS file of others"), line
    assert run(folder + "/foreign.fits", status=0) == []  # asked for by itself
    result = subprocess.run([h.DAOREC, "verify", "--json", folder + "/empty"], capture_output=True,
                            text=True)
    found = json.loads(result.stdout)
    assert result.returncode == 1 and found["kind"] == "folder" and found["doubt_count"] == 1


def a_link_that_is_given_is_followed_and_named():
    session = Session(record_session()).copy()
    link = os.path.join(session.root, "link.fits")

    def says(words, target, status, quiet=()):
        os.symlink(target, link)
        result = subprocess.run([h.DAOREC, "verify", *quiet, link], capture_output=True, text=True)
        os.unlink(link)
        assert result.returncode == status, result
        line = result.stdout.splitlines()[0]
        assert re.fullmatch(re.escape(link) + words, line), (line, words)
    says(re.escape(f" -> {session.a(2)}: good, 15 frames"), session.a(2), 0)
    says(": is a link to /nowhere/at-all: No such file or directory", "/nowhere/at-all", 1)
    says(": is a link to link.fits: Too many levels of symbolic links", "link.fits", 1)
    says(" -> /dev/null: is no regular file", "/dev/null", 1)
    flip_pixel(session.a(2))
    says(re.escape(f" -> {session.a(2)}: frame ") + ".*", session.a(2), 1)
    os.symlink(session.folder, link)  # of a folder
    assert all(line.startswith(f"{link}/{session.names['a']}/{session.name('a', 2)}: ")
               for line in run(link))
    os.unlink(link)


def what_may_not_be_read_is_said_once():
    session = Session(record_session()).copy()
    user = 65534 if os.getuid() == 0 else None
    for folder in (h.segments, session.root, session.folder, session.stream("a"),
                   session.stream("b")):
        os.chmod(folder, 0o755)
    assert run(session.root, status=0, user=user) == []
    os.chmod(session.a(2), 0)
    assert run(session.root, user=user) == [session.a(2) + ": Permission denied"]
    os.chmod(session.a(2), 0o644)
    os.chmod(session.ledger, 0)
    assert run(session.root, user=user) == [session.ledger + ": Permission denied"]
    os.chmod(session.ledger, 0o644)
    os.chmod(session.stream("b"), 0)
    said = f"daorec: verify: {session.stream('b')}: Permission denied\n"
    assert run(session.root, user=user, errors=said) == []
    os.chmod(session.stream("b"), 0o755)


if __name__ == "__main__":
    h.main([every_fault_is_named_once, what_a_crash_left_is_two_lines,
            nothing_to_judge_is_no_good_verdict, a_link_that_is_given_is_followed_and_named,
            what_may_not_be_read_is_said_once])
