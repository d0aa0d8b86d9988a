#!/usr/bin/env python3
"""What repair refuses, how it says so, and that it leaves everything alone then; a session whose
segment changed its shape; ledgers that are garbage; two repairs at once."""
import fcntl
import glob
import itertools
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
from at_rest import is_locked, snapshot  # noqa: E402
from source import Source, files_of, recording  # noqa: E402

numbers = itertools.count()


def run(verb, *arguments, **options):
    return subprocess.run([os.path.abspath(h.DAOREC), verb, *map(str, arguments)], text=True,
                          capture_output=True, timeout=60, check=False, **options)


# ---- one session that a SIGKILL has ended; every test works on a copy of it ----

FRAMES = 12


def record_a_session():
    """Two streams: one whose segment has three shapes, one that stays as it is."""
    path, steady = h.segment("shapes"), h.segment("steady")
    shapes = [{}, {"dtype": "f4", "depth": 80}, {"shape": (30,), "dtype": "f4"}]
    first = Source(steady, shape=(4, 4))
    Source(path)
    recorder = recording("--roll-frames", 500, path, steady)
    for number, shape in enumerate(shapes, 1):
        source = Source(path, **shape)
        source.publish()
        first.publish_many(3)
        h.wait_for(lambda: len(files_of(path)) == number, what=f"file {number}")
        source.publish_many(FRAMES - 1)
        h.wait_for(lambda: glob.glob(f"{h.output}/*/*/shapes*_{number - 1:06}.fits")
                   or number == 1, what="the file before to be closed")
    h.wait_for(lambda: all(rows_of(part) for part in parts_of(h.output)), what="rows on the disk")
    time.sleep(1.2)  # they go out once a second
    recorder.kill()
    recorder.communicate()
    parts = parts_of(h.output)
    assert len(parts) == 2, parts
    h.wait_for(lambda: not any(map(is_locked, parts)), what="locks to go")
    return glob.glob(os.path.join(h.output, "2*"))[0]


def rows_of(file):
    with h.fits.open(file, memmap=False) as hdus:
        return int((hdus["FRAMES"].data["RTIME"] != 0).sum())


def parts_of(folder):
    return sorted(glob.glob(os.path.join(folder, "**", "*.fits.part"), recursive=True))


def copy():
    """A copy of the session, and its unfinished files: of the one with shapes, of the other."""
    folder = os.path.join(h.output, f"copy{next(numbers)}", os.path.basename(session))
    shutil.copytree(session, folder)
    return folder, *parts_of(folder)


def ledger_of(folder):
    with open(os.path.join(folder, "session.json"), encoding="utf-8") as f:
        return json.load(f)


def expect_repaired(folder):
    done = run("repair", "--apply", folder)
    assert done.returncode == 0, done
    assert not parts_of(folder)
    for stream in ledger_of(folder)["streams"]:
        assert stream["expected"] == stream["recorded"] + stream["lost"], stream
        files = sorted(glob.glob(os.path.join(folder, stream["name"], "*.fits")))
        assert [os.path.join(folder, f["name"]) for f in stream["files"]] == files
        assert stream["recorded"] == sum(map(rows_of, files))
    checked = run("verify", "-q", folder)
    assert checked.returncode == 0, checked


# ---- shapes ----

def the_shapes_of_a_stream_are_kept():
    folder, part, _ = copy()
    kept = rows_of(part)
    before = next(s for s in ledger_of(folder)["streams"] if s["name"].startswith("shapes"))
    expect_repaired(folder)
    h.judge(*glob.glob(f"{folder}/*/*.fits"))
    after = next(s for s in ledger_of(folder)["streams"] if s["name"].startswith("shapes"))
    shapes = [(g["first_file"], g["type"], tuple(g["size"]), g["depth"], g["layout"])
              for g in after["geometries"]]
    assert shapes == [(1, "uint16", (6, 5), 64, "FIFO"), (2, "float32", (6, 5), 80, "FIFO"),
                      (3, "float32", (30,), 64, "FIFO")], shapes
    assert after["geometry"]["size"] == [30]
    assert after["geometries"][:2] == before["geometries"][:2]
    assert after["recorded"] == 2 * FRAMES + kept
    assert after["expected"] >= before["expected"]
    assert [r["expected"] for r in after["runs"]][:3] == [r["expected"] for r in before["runs"]][:3]
    # Without the old ledger, too, as far as files tell.
    folder, _, _ = copy()
    os.unlink(os.path.join(folder, "session.json"))
    expect_repaired(folder)
    alone = next(s for s in ledger_of(folder)["streams"] if s["name"].startswith("shapes"))
    assert [g["first_file"] for g in alone["geometries"]] == [1, 2, 3]
    assert [g["layout"] for g in alone["geometries"]] == [None] * 3


# ---- a file that is refused ----

def the_ledger_is_left_alone_while_a_file_is_refused():
    def cut_short(part):
        os.truncate(part, os.path.getsize(part) // 2)

    def header_gone(part):
        with open(part, "r+b") as f:
            f.write(bytes(2880))

    def name_taken(part):
        with open(part[:-5], "wb") as f:
            f.write(b"mine")

    def a_link(part):
        os.rename(part, part + ".away")
        os.symlink(part + ".away", part)

    def wrongly_named(part):
        os.rename(part, part[:-5])

    for damage in (cut_short, header_gone, name_taken, a_link, wrongly_named):
        folder, part, steady = copy()
        whole = open(part, "rb").read()
        damage(part)
        at_rest = snapshot(folder)
        looked = run("verify", "-q", part)
        if damage in (cut_short, header_gone):
            assert f"{part}: daorec repair does not finish it: " in looked.stdout, looked
        look = run("repair", folder)
        assert look.returncode == 1 and snapshot(folder) == at_rest, (damage, look)
        done = run("repair", "--apply", folder)
        said = done.stderr.splitlines()
        assert done.returncode == 1 and len(said) == 2, (damage, done)
        assert part[:-5] in said[0]
        assert f"{folder}/session.json: left as it is: {os.path.relpath(part[:-5], folder)}" in \
            said[1] and "repair again" in said[1], said
        assert steady + ": unfinished; closed" in done.stdout, done
        after = snapshot(folder)
        del at_rest[steady]
        assert all(after[path] == at_rest[path] for path in at_rest), damage
        assert set(after) - set(at_rest) == {steady[:-5]}, damage
        # What was wrong is put right: now it goes on to the end.
        for path in (part, part[:-5]):
            if os.path.lexists(path):
                os.unlink(path)
        with open(part, "wb") as f:
            f.write(whole)
        expect_repaired(folder)


def the_ledger_is_left_alone_until_the_last_file_is_repaired():
    folder, part, steady = copy()
    before = snapshot(folder)[os.path.join(folder, "session.json")]
    done = run("repair", "--apply", part)
    assert done.returncode == 1 and "closed as" in done.stdout, done
    assert "left as it is" in done.stderr and os.path.basename(steady) in done.stderr, done
    assert snapshot(folder)[os.path.join(folder, "session.json")] == before
    done = run("repair", "--apply", steady)
    assert done.returncode == 0 and "session.json: was rebuilt" in done.stdout, done
    expect_repaired(folder)


def a_finished_file_that_cannot_be_read_keeps_its_place_in_the_ledger():
    folder, _, _ = copy()
    finished = sorted(glob.glob(f"{folder}/shapes*/*.fits"))[0]
    with open(finished, "r+b") as f:
        f.write(bytes(2880))
    ledger = os.path.join(folder, "session.json")
    before = snapshot(folder)[ledger]
    done = run("repair", "--apply", folder)
    assert done.returncode == 1 and os.path.basename(finished) in done.stderr, done
    assert snapshot(folder)[ledger] == before


def what_is_gone_with_its_ledger_is_said():
    folder, part, _ = copy()
    run("repair", "--apply", folder)
    last = part[:-len(".part")]
    os.unlink(last)
    os.unlink(os.path.join(folder, "session.json"))
    lost = f"{os.path.basename(os.path.dirname(part))}/{os.path.basename(last)}"
    for options in ([], ["--apply"]):
        told = json.loads(run("repair", "--json", folder).stdout)
        assert told["action"] == "rebuild ledger" and told["missing"] == lost, told
        done = run("repair", *options, folder)
        assert done.returncode == 0, done
        assert f"{folder}: not here, though others tell of it: {lost}; " in done.stdout, done
    # Nothing at all is left.
    shutil.rmtree(folder)
    os.makedirs(os.path.dirname(part))
    done = run("repair", folder)
    assert done.returncode == 0, done
    assert done.stdout == "nothing to repair: no recording and no ledger is there\n", done


# ---- bits ----

def a_flipped_bit_in_a_header_is_undone():
    files = []
    for key, replaced in ((b"NAXIS2  =", b"NAXIS2  ="), (b"SHMSIZ1 =", b"SHMSIZ1 \x3f"),
                          (b"END  ", b"EN\x54  "), (b"TTYPE3  = 'CNT0", b"TTYPE3  = 'CNT1"),
                          (b"XTENSION= 'BIN", b"XTENSION= 'BIO"), (b"RECSTAT =", b"RECSTAU ="),
                          (b"SIMPLE  =", b"SIMPLA  =")):
        folder, part, _ = copy()
        with open(part, "r+b") as f:
            data = bytearray(f.read())
            at = data.index(key)
            if key == replaced:  # the number of planes: a digit of it
                data[at + 29] ^= 4
            data[at:at + len(key)] = replaced
            f.seek(0)
            f.write(data)
        kept = rows_of(parts_of(session)[0])
        looked = run("verify", part)
        assert looked.returncode == 1 and f"daorec repair finishes it with {kept} frames, and " \
            "restores what is damaged in its headers" in looked.stdout, looked
        name = key.split(b" ")[0].split(b"=")[0].decode()
        said = run("repair", folder).stdout
        assert "would be restored: " in said and name in said, (key, said)
        expect_repaired(folder)
        assert rows_of(part[:-5]) == kept
        files.append(part[:-5])
    h.judge(*files)


# ---- words ----

def what_is_no_recording_is_named():
    folder, part, steady = copy()
    finished = sorted(glob.glob(f"{folder}/shapes*/*.fits"))[0]
    text = os.path.join(h.output, "text")
    with open(text, "w", encoding="ascii") as f:
        f.write("not a recording\n")
    pipe = os.path.join(h.output, "pipe.fits.part")
    os.mkfifo(pipe)
    for path, words in ((text, "is no FITS file"), ("/dev/null", "is not a regular file"),
                        (pipe, "is not a regular file"), (h.output + "/missing", "No such file"),
                        (os.path.join(folder, "session.json"), "is a ledger")):
        done = run("repair", "--apply", path)
        assert done.returncode == 1 and done.stdout == "", done
        assert done.stderr.splitlines() == [f"daorec: repair: {path}: {words}"] or \
            words in done.stderr and len(done.stderr.splitlines()) == 1, done
        told = json.loads(run("repair", "--json", path).stdout)
        assert told["action"] == "refused" and words in told["text"], told
    os.unlink(pipe)
    done = run("repair", finished)
    assert done.returncode == 0 and done.stdout == "nothing to repair\n", done
    # Among others, in a folder: named, and the others are repaired.
    link = os.path.join(os.path.dirname(part), "link_000001.fits.part")
    os.symlink(steady, link)
    os.mkfifo(os.path.join(os.path.dirname(part), "pipe_000001.fits.part"))
    done = run("repair", folder)
    assert f"{link}: is a link; give the file itself" in done.stderr, done
    assert "pipe_000001.fits.part: is not a regular file" in done.stderr, done
    assert done.returncode == 1 and part + ": unfinished" in done.stdout, done


def a_part_under_a_finished_name_is_told_what_to_do():
    folder, part, _ = copy()
    os.rename(part, part[:-5])
    for argument in (part[:-5], os.path.dirname(part)):
        done = run("repair", "--apply", argument)
        said = [line for line in done.stderr.splitlines() if "whatever its name says" in line]
        assert done.returncode == 1 and len(said) == 1, done
        assert said[0].startswith(f"daorec: repair: {part[:-5]}: is not finished"), said
        assert f"rename it to {os.path.basename(part)}" in said[0], said
    os.rename(part[:-5], part)
    expect_repaired(folder)


def what_is_given_twice_is_taken_once():
    folder, part, _ = copy()
    stream = os.path.dirname(part)
    done = run("repair", folder, part, stream + "/../" + os.path.basename(stream), folder + "/")
    assert done.returncode == 0 and done.stdout.count(os.path.basename(part)) == 1, done
    assert done.stdout.count("session.json") == 1, done
    done = run("repair", "--apply", part, folder, part)
    # Gone under that name by then, which is told.
    assert done.stdout.count("closed as") == 2 and done.stdout.count("was rebuilt") == 1, done
    assert ": 2 streams, 4 files," in done.stdout, done


def one_is_not_many():
    folder, part, steady = copy()
    shutil.rmtree(os.path.dirname(steady))
    os.unlink(os.path.join(folder, "session.json"))
    for file in glob.glob(f"{os.path.dirname(part)}/*.fits"):
        os.unlink(file)
    done = run("repair", "--apply", folder)
    assert done.returncode == 0 and ": 1 stream, 1 file, " in done.stdout, done


# ---- two at once ----

def another_repair_is_told_from_a_recorder():
    folder, part, steady = copy()
    at_rest = snapshot(folder)
    with open(part, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = run("repair", "--apply", part)
        assert done.returncode == 0, done
        assert f"{part}: held by another repair, or by a recorder" in done.stdout, done
        session_fd = os.open(folder, os.O_RDONLY)
        fcntl.flock(session_fd, fcntl.LOCK_SH)  # as a recorder does
        done = run("repair", "--apply", part)
        assert f"{part}: its recorder lives; left alone" in done.stdout, done
        os.close(session_fd)
    assert snapshot(folder) == at_rest
    expect_repaired(folder)


def repairs_at_once_do_not_disturb_each_other():
    for _ in range(4):
        folder, part, steady = copy()
        several = [h.start(h.DAOREC, "repair", "--apply", folder) for _ in range(3)]
        said = [(r.communicate(timeout=60), r.returncode) for r in several]
        assert not parts_of(folder), said
        assert sum(out.count("closed as") for (out, _), _ in said) == 2, said
        assert all(code == 0 for _, code in said), said
        expect_repaired(folder)
        assert len(glob.glob(f"{folder}/session.json.before-repair*")) <= 2


# ---- ledgers that are none ----

def garbage():
    with open(os.path.join(session, "session.json"), encoding="utf-8") as f:
        good = f.read()
    parsed = json.loads(good)
    yield "empty", ""
    yield "cut", good[:len(good) // 2]
    yield "no JSON", "SIMPLE  =                    T" * 100
    yield "a list", "[1, 2, 3]"
    yield "no streams", '{"session": "x"}'
    yield "deep", "[" * 100000
    yield "deep and closed", '{"a": ' * 5000 + "1" + "}" * 5000
    yield "huge", good.replace('"recorded": ', '"recorded": 1' + "0" * 400, 1)
    yield "twice", good.replace('"session"', '"uuid"', 1)
    yield "bytes", good.replace("uint16", "\udcff\udcfe", 1)
    for key, value in (("streams", {}), ("session", 7), ("uuid", None), ("start", "yesterday")):
        yield key, json.dumps({**parsed, key: value})
    for key, value in (("name", "../../elsewhere"), ("name", "x" * 300), ("recorded", -1),
                       ("recorded", 1e300), ("runs", []), ("runs_left_out", 5),
                       ("geometries_left_out", 2**62), ("gaps", [[]]), ("geometry", None),
                       ("files", [{"name": "shapes/../../x.fits"}]), ("lost_by", 3),
                       ("lost", 2**63 - 1), ("restarts", 99)):
        changed = json.loads(good)
        changed["streams"][0][key] = value
        yield f"{key} {value}", json.dumps(changed)


def a_ledger_that_is_garbage_gets_one_line_and_is_kept():
    folder, part, steady = copy()
    run("repair", "--apply", part, steady)
    ledger = os.path.join(folder, "session.json")
    for what, text in garbage():
        for old in glob.glob(ledger + ".*"):
            os.unlink(old)
        with open(ledger, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)
        at_rest = snapshot(folder)
        done = run("verify", "-q", folder)
        said = [line for line in done.stdout.splitlines() if ledger in line]
        assert done.returncode == 1 and len(said) == 1 and done.stderr == "", (what, done)
        assert said[0].count("session.json") == 1, (what, said)
        done = run("repair", folder)
        assert done.returncode == 0, (what, done)
        assert done.stdout.splitlines() == [f"{ledger}: would be rebuilt"], (what, done)
        assert snapshot(folder) == at_rest, what
        done = run("repair", "--apply", folder)
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1, (what, done)
        with open(ledger + ".before-repair", "rb") as f:
            assert f.read() == text.encode("utf-8", "surrogateescape"), what
        expect_repaired(folder)


def a_ledger_that_is_no_file_is_left_alone():
    folder, part, steady = copy()
    ledger = os.path.join(folder, "session.json")

    def pipe():
        os.mkfifo(ledger)

    def link():
        os.symlink("/etc/passwd", ledger)

    def nothing():
        os.mkdir(ledger)

    for make in (pipe, link, nothing):
        os.rmdir(ledger) if os.path.isdir(ledger) else os.unlink(ledger)
        make()
        at_rest = snapshot(folder)
        done = run("verify", folder)
        assert done.returncode == 1, done
        said = [line for line in done.stdout.splitlines() if ledger in line]
        assert len(said) == 1 and "too large" not in said[0], (make, said)
        done = run("repair", folder)
        said = [line for line in done.stderr.splitlines() if ledger in line]
        assert done.returncode == 1 and len(said) == 1, (make, done)
        assert "move it away, then repair again" in said[0], said
        assert snapshot(folder) == at_rest


if __name__ == "__main__":
    session = record_a_session()
    h.main([the_shapes_of_a_stream_are_kept, the_ledger_is_left_alone_while_a_file_is_refused,
            the_ledger_is_left_alone_until_the_last_file_is_repaired,
            a_finished_file_that_cannot_be_read_keeps_its_place_in_the_ledger,
            what_is_gone_with_its_ledger_is_said, a_flipped_bit_in_a_header_is_undone,
            what_is_no_recording_is_named,
            a_part_under_a_finished_name_is_told_what_to_do, what_is_given_twice_is_taken_once,
            one_is_not_many, another_repair_is_told_from_a_recorder,
            repairs_at_once_do_not_disturb_each_other,
            a_ledger_that_is_garbage_gets_one_line_and_is_kept,
            a_ledger_that_is_no_file_is_left_alone])
