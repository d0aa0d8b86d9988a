#!/usr/bin/env python3
"""daorec doctor on the machine that it runs on: what it says, with which exit status, of folders of
every kind, and that it leaves nothing behind. How fast anything is, is never judged."""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import faults as f  # noqa: E402
import harness as h  # noqa: E402

SHORT = ("--disk-time", "50ms")  # given, so that recordings of other tests do not matter
STATES = ("ok", "note", "problem")


def new_folder():
    folder = tempfile.mkdtemp(prefix="doctor-", dir=h.output)
    os.chmod(folder, 0o755)
    os.chmod(h.output, 0o755)
    return folder


def run(*arguments, **options):
    command = [os.path.abspath(h.DAOREC), "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          **options)


class Result:
    """The JSON of a run whose exit status fits it."""

    def __init__(self, *arguments, **options):
        self.ran = run("--json", *arguments, **options)
        assert self.ran.stderr == "", self.ran.stderr
        assert self.ran.stdout.count("\n") == 1, self.ran.stdout
        self.all = json.loads(self.ran.stdout)
        assert list(self.all) == ["folder", "state", "problems", "notes", "fits", "findings"]
        states = [finding["state"] for finding in self.all["findings"]]
        assert self.all["problems"] == states.count("problem"), self.all
        assert self.all["notes"] == states.count("note"), self.all
        assert self.all["state"] == max(states, key=STATES.index), self.all
        assert self.ran.returncode == (1 if "problem" in states else 0), self.all
        for finding in self.all["findings"]:
            assert list(finding) == ["check", "state", "found", "remedy", "values"], finding
            assert finding["found"] and "\n" not in finding["found"], finding
            assert finding["state"] != "problem" or finding["remedy"], finding

    def of(self, check):
        return [finding for finding in self.all["findings"] if finding["check"] == check]

    def one(self, check):
        found = self.of(check)
        assert len(found) == 1, (check, self.all)
        return found[0]


def every_check_is_told_and_the_disk_is_measured():
    folder = new_folder()
    result = Result(*SHORT, folder)
    checks = {finding["check"] for finding in result.all["findings"]}
    assert {"folder", "io_uring", "memlock", "open files", "file size", "priority", "kernel",
            "cpus", "governor", "isolation", "hugepages", "memory", "/dev/shm", "recordings",
            "disk", "wake-up", "encoding"} <= checks, checks
    assert result.all["folder"] == folder and result.all["fits"] is None
    disk = result.one("disk")["values"]
    assert disk["bytes_per_s"] > 0 and disk["bytes"] > 0 and disk["stall_ns"] > 0, disk
    assert os.listdir(folder) == []


def every_line_begins_with_its_state_and_the_last_one_sums_up():
    ran = run("--no-disk", "--stream", "8x8:uint8@10:64", new_folder())
    lines = ran.stdout.splitlines()
    assert all(line.split()[0] in STATES for line in lines[:-1]), ran.stdout
    problems = sum(line.startswith("problem ") for line in lines)
    assert lines[-1].startswith(f"{problems} problem"), lines[-1]
    assert "load" in lines[-1] and ran.stderr == "", ran
    assert ran.returncode == (1 if problems else 0)


def the_folder_is_the_current_one_unless_another_is_given():
    folder = new_folder()
    found = Result("--no-disk", cwd=folder).one("folder")
    assert found["found"].startswith(".: "), found
    assert os.listdir(folder) == []


def a_load_that_is_light_fits():
    result = Result(*SHORT, "--stream", "3*8x8:uint16@1:1000", "--stream", "97:float32@1:1000",
                    new_folder())
    assert result.all["fits"] is True and result.ran.returncode == 0, result.all
    assert [s["values"]["depth"] for s in result.of("stream")] == [1000, 1000]
    assert result.one("load: disk")["values"]["needed_bytes_per_s"] == 3 * (128 + 64) + 388 + 64


def a_load_that_no_machine_could_take_does_not_fit():
    for disk in (SHORT, ("--no-disk",)):
        result = Result(*disk, "--stream", "100*4096x4096:float32@10000", new_folder())
        assert result.all["fits"] is False and result.ran.returncode == 1, result.all
        assert result.one("load: cpu")["state"] == "problem", result.all
        if disk == SHORT:
            assert result.one("load: disk")["state"] == "problem", result.all


def a_fifo_that_no_reader_could_follow_does_not_fit():
    result = Result("--no-disk", "--stream", "8:uint8@100000:2", new_folder())
    stream = result.one("stream")
    assert stream["state"] == "problem" and stream["values"]["depth_needed"] > 2, stream
    assert result.ran.returncode == 1


def without_the_disk_it_stays_open_whether_a_load_fits():
    result = Result("--no-disk", "--stream", "8x8:uint16@1:1000", new_folder())
    assert result.all["fits"] is None and result.ran.returncode == 0, result.all
    assert result.one("disk")["found"].startswith("not measured"), result.all


def living_segments_are_a_load_with_rate_and_depth():
    path = h.segment("doctor")
    source = h.sim(path, "--size", "8x8", "--rate", 500, "--depth", 4096)
    h.wait_for(lambda: os.path.exists(path), what="the segment")
    result = Result("--no-disk", path, new_folder())
    while result.one("stream")["values"] == {}:  # nothing came: the source had no processor
        assert source.poll() is None
        result = Result("--no-disk", path, new_folder())
    stream = result.one("stream")
    assert path in stream["found"] and stream["values"]["depth"] == 4096, stream
    assert stream["values"]["rate_hz"] > 0, stream
    source.send_signal(signal.SIGTERM)
    source.wait()


def files_that_are_no_segments_are_problems_and_those_on_a_disk_notes():
    folder, path = new_folder(), h.segment("quiet")
    assert h.sim(path, "--size", "8x8", "-n", 0).wait() == 0
    result = Result("--no-disk", path, folder)
    assert result.ran.returncode == 0 and path in result.one("stream")["found"], result.all
    assert not result.of("segment"), result.all
    copy = shutil.copy(path, os.path.join(folder, "copy.im.shm"))
    on_disk = subprocess.run(["stat", "-fc", "%T", folder], capture_output=True, text=True,
                             check=True).stdout.strip() not in ("tmpfs", "ramfs")
    assert bool(Result("--no-disk", copy, folder).of("segment")) == on_disk
    result = Result("--no-disk", __file__, folder)
    assert result.ran.returncode == 1 and result.one("segment")["state"] == "problem", result.all


def beside_a_recording_the_disk_is_tried_only_if_asked_for():
    path, folder = h.segment("busy"), new_folder()
    h.sim(path, "--size", "8x8", "--rate", 100, "--depth", 1000)
    recorder = h.start(h.DAOREC, "record", "--json", "-q", "-o", os.path.join(folder, "telemetry"),
                       "--wait", path)
    h.wait_for(lambda: any(name.endswith(".part") for _, _, names in os.walk(folder)
                           for name in names), what="a file")
    for at in (folder, os.path.join(folder, "telemetry")):
        result = Result(at)
        assert result.one("recordings")["values"]["running"] >= 1, result.all
        assert result.one("disk")["state"] == "note" and result.one("disk")["values"] == {}
        assert "--disk-time" in result.one("disk")["remedy"], result.all
    assert Result(*SHORT, folder).one("disk")["values"]["bytes"] > 0
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=60)
    assert recorder.returncode in (0, 3)


def a_folder_that_is_missing_or_none_is_a_problem_with_its_remedy():
    folder = new_folder()
    missing = os.path.join(folder, "not here")
    result = Result("--no-disk", missing)
    assert result.ran.returncode == 1, result.all
    assert result.one("folder")["remedy"] == f"mkdir -p '{missing}'", result.all
    assert "record would make it" in result.one("folder")["found"], result.all
    assert not result.of("disk") and result.of("cpus"), result.all
    below = os.path.join(folder, "file", "below")
    with open(os.path.join(folder, "file"), "w", encoding="ascii"):
        pass
    result = Result("--no-disk", below)
    assert result.ran.returncode == 1 and "Not a directory" in result.one("folder")["found"]
    assert os.listdir(folder) == ["file"]


def ordinary():
    """Options for a run as an ordinary user."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


def an_ordinary_user_is_told_what_is_not_allowed_and_can_look_all_the_same():
    folder = new_folder()
    os.chmod(folder, 0o777)
    result = Result(*SHORT, folder, **ordinary())
    assert result.ran.returncode == 0 and result.one("disk")["values"]["bytes"] > 0, result.all
    os.chmod(folder, 0o555)
    result = Result(*SHORT, folder, **ordinary())
    assert result.ran.returncode == 1 and not result.of("disk"), result.all
    assert "Permission denied" in result.one("folder")["found"], result.all
    assert result.one("folder")["remedy"] == f'sudo chown "$USER" {folder}', result.all
    assert os.listdir(folder) == []


def limits_of_the_process_are_seen():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    folder = new_folder()
    os.chmod(folder, 0o777)
    result = Result(*SHORT, "--stream", "5*8x8:uint8@1:1000", folder, preexec_fn=limit,
                    **ordinary())
    assert result.one("open files")["state"] == "problem", result.all
    assert "ulimit -n 42" in result.one("open files")["remedy"], result.all
    assert result.one("file size")["state"] == "note", result.all
    assert result.one("disk")["state"] == "note" and not result.one("disk")["values"], result.all
    assert result.all["fits"] is False and result.ran.returncode == 1, result.all
    if "allowed" in result.one("io_uring")["found"]:
        assert result.one("memlock")["state"] == "note", result.all


def a_limit_of_small_files_is_no_reason_not_to_record():
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000 << 10, 1000 << 10))
    folder = new_folder()
    result = Result(*SHORT, folder, preexec_fn=limit)
    assert result.one("folder")["state"] != "problem", result.all
    assert result.one("file size")["state"] == "note", result.all
    assert result.one("disk")["state"] == "note", result.all
    assert "files" in result.one("disk")["found"], result.all
    assert os.listdir(folder) == []


# ---- file systems of our own ----

ENTER = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]


def mounted(script, *arguments):
    """Run doctor on a tmpfs in a mount namespace of its own, mounted and prepared by `script`; None
    where that is not allowed."""
    folder = new_folder()
    shell = [*ENTER, "sh", "-c", f'{script} || exit 99\nexec "$@"', "sh"]
    ran = subprocess.run([*shell, h.DAOREC, "doctor", "--json", *arguments, folder],
                         capture_output=True, text=True, timeout=60, check=False,
                         env={**os.environ, "FOLDER": folder})
    if ran.returncode == 99 or "unshare" in ran.stderr:
        print("        no file system can be mounted here: " + ran.stderr.strip())
        return None
    assert ran.stderr == "", ran.stderr
    found = {finding["check"]: finding for finding in json.loads(ran.stdout)["findings"]}
    return ran.returncode, found


def a_small_file_system_is_not_filled_for_a_measurement():
    ran = mounted('mount -t tmpfs -o size=24m none "$FOLDER"', *SHORT)
    if ran:
        status, found = ran
        assert status == 0 and found["disk"]["state"] == "note", ran
        assert "tmpfs" in found["folder"]["found"] and found["folder"]["state"] == "note", ran
    ran = mounted('mount -t tmpfs -o size=100m none "$FOLDER"', *SHORT)
    if ran:
        status, found = ran
        values = found["disk"]["values"]
        assert 0 < values["file_bytes"] <= 25 << 20, ran  # a quarter, in one file after the other
        assert 0 < values["bytes"] <= values["files"] * values["file_bytes"], ran


def a_full_file_system_is_a_problem():
    fill = 'mount -t tmpfs -o size=4m none "$FOLDER" && head -c 4194304 /dev/zero > "$FOLDER/x"'
    for keep in ("2%", "0"):
        ran = mounted(fill, *SHORT, "--keep-free", keep)
        if ran:
            status, found = ran
            assert status == 1 and found["folder"]["state"] == "problem", ran
            assert "disk" not in found and found["folder"]["remedy"], ran


def a_read_only_file_system_is_a_problem():
    ran = mounted('mount -t tmpfs -o ro none "$FOLDER"', *SHORT)
    if ran:
        status, found = ran
        assert status == 1 and "Read-only" in found["folder"]["found"], ran
        assert "remount,rw" in found["folder"]["remedy"], ran


# ---- nothing stays ----

def links(pid, folder):
    """Where the descriptors of a process lead to, of those below a folder."""
    fds, found = f"/proc/{pid}/fd", []
    for fd in os.listdir(fds):
        try:
            found.append(os.readlink(os.path.join(fds, fd)))
        except FileNotFoundError:
            pass
    return [link for link in found if link.startswith(folder + "/")]


def killed_in_the_middle_it_leaves_nothing():
    folder = os.path.realpath(new_folder())
    fault = f.Faults(folder, ops=["sync"], stall_ms=60000)
    doctor = h.start(h.DAOREC, "doctor", *SHORT, folder, env=fault.environment())
    h.wait_for(lambda: doctor.poll() is not None or fault.get("hits") > 0, what="the trial's sync")
    assert len(links(doctor.pid, folder)) == 1
    doctor.kill()
    doctor.communicate()
    assert doctor.returncode == -signal.SIGKILL, doctor.returncode
    assert os.listdir(folder) == []


def where_no_file_is_without_a_name_it_has_one_for_an_instant_only():
    folder = os.path.realpath(new_folder())
    fault = f.Faults(folder, ops=["nameless"], error="EOPNOTSUPP")
    doctor = h.start(h.DAOREC, "doctor", "--disk-time", "2s", folder, env=fault.environment())
    h.wait_for(lambda: doctor.poll() is not None or
               any(link.endswith(" (deleted)") for link in links(doctor.pid, folder)),
               what="the file")
    doctor.kill()
    doctor.communicate()
    assert doctor.returncode == -signal.SIGKILL, doctor.returncode
    assert fault.get("hits") > 0
    assert os.listdir(folder) == []


# ---- wrong usage ----

def wrong_usage_is_one_line_and_says_what_would_be_right():
    for arguments, words in (
            (["--stream", "800x800"], "such as 800x800:uint16@1000"),
            (["--stream", "800x800:uint61@1"], "did you mean 'uint16'?"),
            (["--stream", "8:uint8@fast"], "'fast' is no rate"),
            (["--stream", "8:uint8@1", "--stream", "8x:uint8@1"], "'8x' is no size"),
            (["--strem", "8:uint8@1"], "did you mean '--stream'?"),
            (["--disk-time", "soon"], "--disk-time 'soon'"),
            (["--disk-time", "1ns"], "too small"),
            (["--no-disk", "--disk-time", "1s"], "exclude each other"),
            ([new_folder(), new_folder()], "give one folder")):
        ran = run(*arguments)
        assert ran.returncode == 2 and ran.stdout == "", (arguments, ran)
        assert ran.stderr.count("\n") == 1 and words in ran.stderr, (arguments, ran)
        assert ran.stderr.startswith("daorec: doctor: "), ran.stderr


def help_lists_the_verb_and_its_options():
    ran = subprocess.run([h.DAOREC, "help"], capture_output=True, text=True, check=True)
    assert any(line.split()[:1] == ["doctor"] for line in ran.stdout.splitlines()), ran.stdout
    ran = run("--help")
    assert ran.returncode == 0 and "--stream" in ran.stdout and "--no-disk" in ran.stdout, ran


if __name__ == "__main__":
    h.main([
        f.together(every_check_is_told_and_the_disk_is_measured,
                   every_line_begins_with_its_state_and_the_last_one_sums_up,
                   the_folder_is_the_current_one_unless_another_is_given,
                   a_load_that_is_light_fits,
                   a_load_that_no_machine_could_take_does_not_fit),
        f.together(a_fifo_that_no_reader_could_follow_does_not_fit,
                   without_the_disk_it_stays_open_whether_a_load_fits,
                   living_segments_are_a_load_with_rate_and_depth,
                   files_that_are_no_segments_are_problems_and_those_on_a_disk_notes),
        beside_a_recording_the_disk_is_tried_only_if_asked_for,
        f.together(a_folder_that_is_missing_or_none_is_a_problem_with_its_remedy,
                   an_ordinary_user_is_told_what_is_not_allowed_and_can_look_all_the_same,
                   a_small_file_system_is_not_filled_for_a_measurement,
                   a_full_file_system_is_a_problem,
                   a_read_only_file_system_is_a_problem),
        limits_of_the_process_are_seen,
        a_limit_of_small_files_is_no_reason_not_to_record,
        killed_in_the_middle_it_leaves_nothing,
        where_no_file_is_without_a_name_it_has_one_for_an_instant_only,
        wrong_usage_is_one_line_and_says_what_would_be_right,
        help_lists_the_verb_and_its_options,
    ])
