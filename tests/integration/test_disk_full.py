#!/usr/bin/env python3
"""A disk that is full, really: small file systems of our own, by io_uring, pwrite and page cache.

Mounting needs root, or a user namespace that may be had; the test runs itself again in a mount
namespace of its own, so that nothing is ever left mounted."""
import atexit
import ctypes
import glob
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from mounts import mount  # noqa: E402  (runs the test again in a namespace)

from astropy.io import fits  # noqa: E402

import faults as f  # noqa: E402
import harness as h  # noqa: E402
from source import Source  # noqa: E402

CAMERA, ACTUATORS = h.segment("cam"), h.segment("dm")
STREAMS = {CAMERA: ((64, 48), "uint16"), ACTUATORS: ((97,), "float32")}
WAYS = {"io_uring": [], "pwrite": ["--io", "pwrite"], "page cache": ["--no-direct"]}


def begin_sources():
    h.sim(CAMERA, "--size", "64x48", "--type", "uint16", "--rate", 500, "--depth", 64,
          "--pattern", "ramp")
    h.sim(ACTUATORS, "--size", "97", "--type", "float32", "--rate", 500, "--depth", 512,
          "--pattern", "ramp")
    h.wait_for(lambda: os.path.exists(CAMERA) and os.path.exists(ACTUATORS), what="segments")


def not_tested(what, why):
    print(f"        {what} was not tested: {why}", flush=True)  # tests/run tells it


def free(root):
    fs = os.statvfs(root)
    return fs.f_bavail * fs.f_frsize


def fill(root, but=0):
    """A file that leaves `but` bytes."""
    path = os.path.join(root, "others")
    piece, size = 1 << 20, 0
    with open(path, "wb") as other:
        while piece >= 4096:  # the recorder takes of it meanwhile
            if free(root) < but + piece:
                piece //= 2
                continue
            try:
                os.posix_fallocate(other.fileno(), size, piece)
                size += piece
            except OSError:
                piece //= 2
    return path


def full_from_the_start_is_one_line_and_nothing_is_left():
    def record(job):
        options, keep = job
        root = mount(f.new_root(), 8)
        other = fill(root)
        recorder = f.start(root, *options, "--keep-free", keep, CAMERA)
        recorder.process.communicate(timeout=60)
        assert recorder.process.returncode == 1
        assert recorder.errors().count("\n") == 1 and "room" in recorder.errors(), recorder.errors()
        assert os.listdir(root) == [os.path.basename(other)], os.listdir(root)
    f.sweep(record, [(options, keep) for options in WAYS.values() for keep in ("0", "2%")])


def full_in_the_middle_is_waited_for_and_recording_resumes():
    def record(options):
        root = mount(f.new_root(), 24)
        recorder = f.start(root, *options, "--keep-free", "0", "--buffer", "1MiB", "--roll-frames",
                           150, *STREAMS)
        recorder.has_files(CAMERA, 1)
        other = fill(root)
        recorder.says(h.stream_name(CAMERA) + ": ")
        recorder.says("make room")
        time.sleep(1)  # 1 MiB and 64 frames hold for half of that
        os.unlink(other)
        recorder.says("the disk is back")
        before = len(os.listdir(os.path.join(recorder.folder(), h.stream_name(CAMERA))))
        recorder.has_files(CAMERA, before + 1)
        recorder.stop()
        session = f.end(recorder, STREAMS, allow_part=True)
        mine = session.stream(CAMERA)
        assert session.status == 3 and mine["lost_by"]["disk"] > 0, (mine, session.errors)
        # Said once when it begins, and once when it is over, with what it has cost.
        told = dict(re.findall(r"stream (\w+): the disk is back.*; (\d+) frames? lost",
                               session.errors))
        for stream in session.summary["streams"]:
            name = stream["name"]
            assert session.errors.count(f"/{name}: ") == 1, session.errors
            assert session.errors.count(f"stream {name}: the disk is back") == 1, session.errors
            assert int(told.get(name, 0)) == stream["lost_by"]["disk"], (told, stream)
    f.sweep(record, WAYS.values(), at_once=3)


def killed_while_the_disk_is_full_the_ledger_tells_what_was_lost():
    def record(options):
        root = mount(f.new_root(), 24)
        recorder = f.start(root, *options, "--keep-free", "0", "--buffer", "1MiB", "--roll-frames",
                           150, *STREAMS)
        recorder.has_files(CAMERA, 1)
        other = fill(root)
        recorder.says("make room")
        f.killed_while_it_waits(recorder, STREAMS, lambda: os.unlink(other))
    f.sweep(record, WAYS.values(), at_once=3)


def frames_of(session, path):
    return [fits.getheader(file)["NFRAMES"] for file in session.stream(path)["files"]]


def what_others_leave_of_the_disk_is_used_by_smaller_files():
    """Files of 600 frames are planned, 4 MB; with two there the disk is filled but for 2 MiB."""
    def record(options):
        root = mount(f.new_root(), 16)
        recorder = f.start(root, *options, "--keep-free", "0", "--buffer", "1MiB", "--roll-frames",
                           600, CAMERA)
        recorder.has_files(CAMERA, 1, ".part")
        h.wait_for(lambda: free(root) < 9 << 20, what="the next file to be prepared")
        other = fill(root, but=2 << 20)
        recorder.has_files(CAMERA, 3)
        assert "make room" not in recorder.errors() or recorder.part_number(CAMERA) > 3
        recorder.says("make room")
        assert free(root) < 512 << 10, free(root)  # it is used up
        # A little room, for less than there is in memory by now, is enough to go on.
        h.wait_for(lambda: recorder.known_lost(CAMERA) > 0, what="memory to be full")
        before = len(os.listdir(os.path.join(recorder.folder(), h.stream_name(CAMERA))))
        os.truncate(other, os.path.getsize(other) - (700 << 10))
        recorder.has_files(CAMERA, before + 1)
        os.unlink(other)
        recorder.says("the disk is back")
        before = len(os.listdir(os.path.join(recorder.folder(), h.stream_name(CAMERA))))
        recorder.has_files(CAMERA, before + 1)
        recorder.stop()
        session = f.end(recorder, {CAMERA: STREAMS[CAMERA]}, allow_part=True)
        frames = frames_of(session, CAMERA)
        assert frames[:2] == [600, 600] and 9 <= frames[2] <= 350, frames
        assert len({n for n in frames[2:] if n < 350}) > 1, frames  # smaller and smaller
    f.sweep(record, WAYS.values(), at_once=3)


def the_end_comes_before_less_is_free_than_is_to_be_kept():
    def record(job):
        options, keep, kept = job
        root = mount(f.new_root(), 12)
        recorder = f.start(root, *options, "--keep-free", keep, "--roll-frames", 200, *STREAMS)
        session = f.end(recorder, STREAMS)
        assert session.status == (3 if session.lost() else 1), session.errors
        assert all(s["lost_by"]["disk"] == 0 for s in session.summary["streams"]), session.summary
        assert session.errors.count("the recording ends here") == 1, session.errors
        assert free(root) >= kept, (free(root), kept)
        assert session.stream(CAMERA)["recorded"] > 300, session.summary
        for stream in session.summary["streams"]:  # it ends as if by --duration
            causes = [fits.getheader(file)["ENDCAUSE"] for file in stream["files"]]
            assert causes[-1] == "STOP" and set(causes[:-1]) <= {"ROLL"}, causes
    jobs = [(options, "3MiB", 3 << 20) for options in WAYS.values()]
    f.sweep(record, [jobs[0], jobs[2], ([], "25%", 3 << 20)])


def room_that_files_of_the_old_shape_hold_is_waited_for():
    """Of 10 MiB 2 are kept, and a file of 6 is being filled when frames of another size come: two
    of 1 MiB fit in once that is closed, two of 4 MiB never do."""
    def record(shape):
        path, root = h.segment(f"shape{shape[0]}"), mount(f.new_root(), 10)
        fits_in = shape[0] == 512
        source = Source(path, (128, 256), depth=8)
        recorder = f.start(root, "--keep-free", "2MiB", "--roll-frames", 100, path)

        def publish(frames):
            for _ in range(frames):
                source.publish()
            time.sleep(0.02)

        def has_file(number):
            return glob.glob(os.path.join(recorder.folder(), "*", f"*_{number:06}.fits*"))
        while not has_file(1):
            assert recorder.process.poll() is None, recorder.errors()
            publish(1)
        source = Source(path, shape, depth=4)
        end = time.monotonic() + 90
        while recorder.process.poll() is None and not (fits_in and has_file(2)):
            assert time.monotonic() < end, recorder.errors()
            publish(8)
        if fits_in:
            recorder.stop()
        out, _ = recorder.process.communicate(timeout=60)
        errors, stream = recorder.errors(), json.loads(out)["streams"][0]
        assert recorder.process.returncode == 3, errors
        assert stream["expected"] == stream["recorded"] + stream["lost"], stream
        shapes = [fits.getdata(file).shape[1:] for file in stream["files"]]
        assert shapes[0] == (128, 256) and len(shapes) == (2 if fits_in else 1), shapes
        assert fits_in or "no room for a file of such frames beside what --keep-free" in errors, errors
        assert fits_in or stream["lost_by"]["disk"] >= 3, stream  # what the FIFO held, at least
        assert free(root) >= 2 << 20, free(root)
        h.verified(os.path.dirname(os.path.dirname(stream["files"][0])))
    f.sweep(record, [(512, 1024), (1024, 2048)])


def loop_device(what, maker, mib, back_mib, mount_options="noatime"):
    """(root, back): a file system on a file in a memory file system `back`, which may have less
    room than it says. None where the machine has no such device, or cannot make or mount it: then
    `what` is not tested."""
    back, root = mount(f.new_root(), back_mib), f.new_root()
    image = os.path.join(back, "image")
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    for command in ([*maker, image], ["mount", "-o", "loop," + mount_options, image, root]):
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            not_tested(what, error)
            return None
        if made.returncode:  # the device goes when it is unmounted, also with the namespace
            not_tested(what, " ".join(made.stderr.replace(root, "it").split()).split(",")[0])
            return None
    atexit.register(subprocess.run, ["umount", root], check=False)
    return root, back


def a_device_that_fails_costs_what_is_counted():
    """The device has no room behind blocks that the file system has granted: writes, by io_uring
    directly, and syncs fail. What the file system itself loses then is not ours to tell: the books
    are looked at, and the files that were made when the device was well again."""
    def record(options):
        places = loop_device("a device that fails", [
            "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0,nodiscard"],
            64, 32)
        if not places:
            return
        root, back = places
        recorder = f.start(root, *options, "--buffer", "1MiB", "--roll-frames", 200, CAMERA)
        recorder.has_files(CAMERA, 1)
        other = fill(back)
        recorder.says("/" + h.stream_name(CAMERA) + ": ")
        os.unlink(other)
        first = recorder.part_number(CAMERA) + 2
        pattern = os.path.join(recorder.folder(), h.stream_name(CAMERA), "*.fits")
        number = re.compile(r"_(\d+)\.fits$")

        def made_since():
            return [p for p in glob.glob(pattern) if int(number.search(p).group(1)) >= first]
        h.wait_for(lambda: len(made_since()) >= 2 or recorder.process.poll() is not None,
                   what="files again")
        recorder.stop()
        out, _ = recorder.process.communicate(timeout=60)
        mine, = json.loads(out)["streams"]
        errors = recorder.errors()
        assert mine["expected"] == mine["recorded"] + mine["lost"] and mine["recorded"] > 0, mine
        assert recorder.process.returncode in ((3,) if mine["lost"] else (0, 1)), errors
        assert "Input/output error" in errors or "No space left" in errors, errors
        assert len(made_since()) >= 2, errors
        h.verified(*made_since())
    f.sweep(record, WAYS.values(), at_once=3)


def ext4_with_quota():
    """(root, set_limit, options): what user 65534 may have on it, and how to be that."""
    places = loop_device("a quota", ["mkfs.ext4", "-q", "-F", "-O", "quota", "-E",
                                     "quotatype=usrquota"], 128, 160, "noatime,usrquota")
    if not places:
        return None
    root = places[0]
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        device = next(line.split()[0] for line in mounts if line.split()[1] == root)

    def set_limit(mib):
        # struct dqblk of the kernel: limits in KiB, and in the end which of them are meant
        limit = struct.pack("8QI4x", mib << 10, mib << 10, 0, 0, 0, 0, 0, 0, 1)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.quotactl(0x800008 << 8, device.encode(), 65534, limit):
            raise OSError(ctypes.get_errno(), "quotactl")
    for folder in (h.output, h.segments):
        os.chmod(folder, 0o711)
    os.chown(root, 65534, 65534)
    return root, set_limit, {"user": 65534, "group": 65534, "extra_groups": []}


def a_quota_that_is_used_up_is_waited_for():
    """A real one, where this machine has any: nobody is told how much is left. First files become
    smaller, then they are waited for; whoever is killed then has told what was lost."""
    def record(is_killed):
        places = ext4_with_quota()
        if not places:
            return
        root, set_limit, options = places
        try:
            set_limit(16)
        except OSError as error:
            not_tested("a quota", error)
            return
        recorder = f.start(root, "--buffer", "1MiB", "--roll-frames", 600, CAMERA, **options)
        recorder.says("Disk quota exceeded; make room")
        if is_killed:
            f.killed_while_it_waits(recorder, {CAMERA: STREAMS[CAMERA]}, lambda: set_limit(100))
            return
        set_limit(100)
        recorder.says("the disk is back")
        before = len(os.listdir(os.path.join(recorder.folder(), h.stream_name(CAMERA))))
        recorder.has_files(CAMERA, before + 1)
        recorder.stop()
        session = f.end(recorder, {CAMERA: STREAMS[CAMERA]}, allow_part=True)
        frames = frames_of(session, CAMERA)
        assert frames[0] == 600 and min(frames[1:-2]) < 600, frames
    f.sweep(record, (False, True))


def without_a_way_to_reserve_what_was_written_stays_valid():
    """A file system without fallocate: files are sparse, and a full disk is met by a write."""
    def record(options):
        root = mount(f.new_root(), 24)
        faults = f.Faults(root, ops=["allocate"], error="EOPNOTSUPP")
        recorder = f.start(root, *options, "--keep-free", "0", "--buffer", "1MiB", "--roll-frames",
                           1000, CAMERA, faults=faults)
        recorder.has_files(CAMERA, 1, ".part")
        other = fill(root, but=1 << 20)
        recorder.says("No space left")
        os.unlink(other)
        recorder.has_files(CAMERA, 1)
        recorder.stop()
        session = f.end(recorder, {CAMERA: STREAMS[CAMERA]}, allow_part=True)
        assert session.status == 3, session.errors
    f.sweep(record, [WAYS["io_uring"], WAYS["pwrite"]])


def files_that_were_ended_early_give_back_what_they_do_not_need():
    """Each file takes room for its 600 frames, 4 MB, until it is closed: rolls, one after the
    other, are not what fills the disk."""
    def record(options):
        root = mount(f.new_root(), 16)
        recorder = f.start(root, *options, "--keep-free", "1MiB", "--roll-frames", 600, "-n", 1500,
                           CAMERA)
        recorder.has_files(CAMERA, 1, ".part")
        while recorder.process.poll() is None:
            recorder.process.send_signal(signal.SIGUSR1)
            time.sleep(0.01)
        session = f.end(recorder, {CAMERA: STREAMS[CAMERA]})
        assert session.status == (3 if session.lost() else 0), session.errors
        assert "no room" not in session.errors, session.errors
        frames = frames_of(session, CAMERA)
        assert sum(frames) == 1500 and len(frames) > 10, frames
    f.sweep(record, WAYS.values())


def a_full_file_waits_for_what_those_that_were_ended_give_back():
    """The first two are ended at once, and closed only when the next two, for which there is room,
    have been full for a while."""
    def record(options):
        root = mount(f.new_root(), 16)
        faults = f.Faults(root, ops=["truncate"], count=2, stall_ms=4000)
        recorder = f.start(root, *options, "--keep-free", "1MiB", "--roll-frames", 600, "-n", 1500,
                           CAMERA, faults=faults)
        for number in (1, 2):
            recorder.has_files(CAMERA, number, ".part")
            recorder.process.send_signal(signal.SIGUSR1)
        session = f.end(recorder, {CAMERA: STREAMS[CAMERA]})
        assert faults.get("hits") == 2
        assert session.status == (3 if session.lost() else 0), session.errors
        assert "no room" not in session.errors, session.errors
        assert sum(frames_of(session, CAMERA)) == 1500, frames_of(session, CAMERA)
    f.sweep(record, [WAYS["io_uring"], WAYS["pwrite"]])


def a_disk_that_earlier_sessions_fill_is_room_enough_for_a_ring():
    root = mount(f.new_root(), 16)
    f.start(root, "--roll-size", "2MiB", "-n", 1500, CAMERA).process.communicate(timeout=60)
    fill(root, but=1 << 19)
    recorder = f.start(root, "--keep-files", 2, "--roll-size", "2MiB", "-n", 900, CAMERA)
    recorder.process.communicate(timeout=60)
    errors = recorder.errors()
    assert recorder.process.returncode in (0, 3) and "make room" not in errors, errors
    assert len(glob.glob(os.path.join(root, "*", "*", "*.fits"))) == 2


def no_room_for_a_segment_is_one_line_and_nothing_is_left():
    """A /dev/shm of one MiB, in a mount namespace of its own."""
    for size, status in (("1000x1000", 1), ("16x16", 0)):
        script = ('mount -t tmpfs -o size=1m none /dev/shm && '
                  '"$1" sim -q /dev/shm/x.im.shm --size $2 --depth 4 -n 4; s=$?; ls -A /dev/shm; '
                  'exit $s')
        run = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", h.DAOREC, size],
                             capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == status, run.stderr
        assert run.stderr.count("\n") == status, run.stderr
        assert bool(run.stdout) == (status == 0), run.stdout
        assert status == 0 or "x.im.shm" in run.stderr and "No space" in run.stderr, run.stderr


def everything_that_was_left_is_valid():
    print(f"        {f.judge_all()} files")


if __name__ == "__main__":
    begin_sources()
    h.main([full_from_the_start_is_one_line_and_nothing_is_left,
            full_in_the_middle_is_waited_for_and_recording_resumes,
            f.together(killed_while_the_disk_is_full_the_ledger_tells_what_was_lost,
                       what_others_leave_of_the_disk_is_used_by_smaller_files,
                       a_device_that_fails_costs_what_is_counted,
                       a_quota_that_is_used_up_is_waited_for),
            f.together(the_end_comes_before_less_is_free_than_is_to_be_kept,
                       room_that_files_of_the_old_shape_hold_is_waited_for),
            without_a_way_to_reserve_what_was_written_stays_valid,
            files_that_were_ended_early_give_back_what_they_do_not_need,
            a_full_file_waits_for_what_those_that_were_ended_give_back,
            a_disk_that_earlier_sessions_fill_is_room_enough_for_a_ring,
            no_room_for_a_segment_is_one_line_and_nothing_is_left,
            everything_that_was_left_is_valid])
