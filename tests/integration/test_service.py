#!/usr/bin/env python3
"""daorec as a service: what the manager hears of it, what the journal gets, and the unit itself."""
import os
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import harness as h  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Manager:
    """A socket that hears what a service tells."""

    def __init__(self):
        self.path = os.path.join(h.segments, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)
        self.environment = {**os.environ, "NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "60000000"}
        self.environment.pop("WATCHDOG_PID", None)

    def hear(self, part):
        """The first message with this part; those before it are forgotten."""
        while True:
            message = self.socket.recv(65536).decode()
            if part in message:
                return message

    def rest(self):
        """What was said and not heard."""
        self.socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self.socket.recv(65536).decode())
        except BlockingIOError:
            return messages

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def the_manager_hears_ready_then_how_it_goes_then_stopping():
    manager, path = Manager(), h.segment("served")
    process = h.record("--wait", path, env=manager.environment)
    assert manager.hear("READY=1") == "READY=1\nSTATUS=waiting for segments to appear"
    manager.hear("WATCHDOG=1")
    source = h.sim(path, "--size", "16x16", "--rate", 200, "--depth", 64)
    status = manager.hear(h.stream_name(path))
    assert status.startswith("STATUS=") and "MB/s" in status and "\n" not in status, status
    assert "READY" not in status
    process.terminate()
    assert manager.hear("STOPPING=1")
    h.finish(process)
    source.terminate()
    assert not any("WATCHDOG" in m or "READY" in m for m in manager.rest())
    manager.close()


def the_manager_hears_that_it_is_idle():
    manager, path = Manager(), h.segment("idle")
    source = h.sim(path, "--size", "16x16", "--rate", 200, "--depth", 64)
    control = os.path.join(h.segments, "control")
    process = h.record(f"--control={control}", "--wait", path, env=manager.environment)
    manager.hear("MB/s")
    subprocess.run([h.DAOREC, "ctl", "--socket", control, "stop"], check=True,
                   stdout=subprocess.DEVNULL)
    assert manager.hear("STATUS=").startswith("STATUS=idle")
    process.terminate()
    manager.hear("STOPPING=1")
    assert process.wait(timeout=60) == 0
    source.terminate()
    manager.close()


def the_configuration_to_begin_with_waits_for_segments():
    """A service may begin before the loop does, and is not started again for ever."""
    manager, folder = Manager(), os.path.join(h.output, "begin")
    name = os.path.join(h.output, "begin.yaml")
    with open(os.path.join(ROOT, "config/minimal.yaml"), encoding="utf-8") as f:
        text = f.read()
    assert text.count("/tmp/") == 2 and text.count("/data/telemetry") == 1, text
    with open(name, "w", encoding="utf-8") as f:
        f.write(text.replace("/data/telemetry", folder).replace("/tmp/", h.segments + "/"))
    process = h.start(h.DAOREC, "record", "-c", name, env=manager.environment)
    assert manager.hear("READY=1") == "READY=1\nSTATUS=waiting for segments to appear"
    process.terminate()
    assert process.wait(timeout=60) == 0
    manager.close()


def without_a_manager_that_listens_recording_is_the_same():
    path = h.segment("unheard")
    h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 20).wait(timeout=30)
    nowhere = {**os.environ, "NOTIFY_SOCKET": os.path.join(h.segments, "nobody")}
    session = h.finish(h.record("--backlog", "-n", 10, path, env=nowhere))
    assert session.stream(path)["recorded"] == 10


def errors_of(arguments, environment_of):
    """What is said on standard error, where that is a file; its device and inode make the
    environment."""
    place = os.path.join(h.output, "stderr")
    with open(place, "w+", encoding="utf-8") as f:
        stat = os.fstat(f.fileno())
        environment = {**os.environ, **environment_of(f"{stat.st_dev}:{stat.st_ino}")}
        subprocess.run([h.DAOREC, *arguments], stderr=f, stdout=subprocess.DEVNULL, timeout=60,
                       env=environment, check=False)
        f.seek(0)
        lines = f.read().splitlines()
    os.unlink(place)
    return lines


def lines_for_the_journal_have_a_priority_and_no_name():
    path = h.segment("told")
    h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 20).wait(timeout=30)
    arguments = ["record", "--backlog", "-n", "10", "--priority", "99", "-o", h.output, path]
    lines = errors_of(arguments, lambda stream: {"JOURNAL_STREAM": stream})
    assert lines and all(line[:3] in ("<4>", "<6>") for line in lines), lines
    assert any(line.startswith("<6>session ") for line in lines), lines
    assert not any("daorec: " in line for line in lines), lines
    lines = errors_of(["info", os.path.join(h.output, "nothing")],
                      lambda stream: {"JOURNAL_STREAM": stream})
    assert len(lines) == 1 and lines[0].startswith("<3>"), lines
    # Standard error is not the stream that the variable names: it was sent elsewhere since.
    for other in ("1:2", "nonsense", ""):
        lines = errors_of(["info", os.path.join(h.output, "nothing")],
                          lambda _, other=other: {"JOURNAL_STREAM": other})
        assert len(lines) == 1 and lines[0].startswith("daorec: "), lines


def the_unit_is_one_that_systemd_accepts():
    with open(os.path.join(ROOT, "config/daorec.service"), encoding="utf-8") as f:
        text = f.read()
    for line in ("Type=notify", "Restart=on-failure", "SuccessExitStatus=3",
                 "RestartPreventExitStatus=2", "PrivateTmp=no", "RemoveIPC=no",
                 "ReadWritePaths=-/var/lib/prometheus/node-exporter"):
        assert line in text.splitlines(), line
    if not shutil.which("systemd-analyze"):
        print("not tested: what systemd says about the unit (systemd-analyze is not here)")
        return
    unit = os.path.join(h.output, "daorec.service")
    with open(unit, "w", encoding="utf-8") as f:
        f.write(text.replace("/usr/bin/daorec", os.path.abspath(h.DAOREC)))
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                         text=True, timeout=60)
    os.unlink(unit)
    assert run.returncode == 0 and not run.stderr.strip(), run.stderr


if __name__ == "__main__":
    h.main([the_manager_hears_ready_then_how_it_goes_then_stopping,
            the_manager_hears_that_it_is_idle,
            the_configuration_to_begin_with_waits_for_segments,
            without_a_manager_that_listens_recording_is_the_same,
            lines_for_the_journal_have_a_priority_and_no_name,
            the_unit_is_one_that_systemd_accepts])
