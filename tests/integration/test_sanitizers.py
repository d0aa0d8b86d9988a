#!/usr/bin/env python3
"""Recorder, replay and drops under ASan + UBSan and ThreadSanitizer: rolling, losses, restarts."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import measured  # noqa: E402

# Some compilers' ThreadSanitizer cannot live with a randomised address space.
PLAIN = ["setarch", "-R"] if os.system("setarch -R true 2>/dev/null") == 0 else []


def program_of(build):
    program = os.environ.get(f"DAOREC_{build}", f"build/{build.lower()}/daorec")
    assert os.access(program, os.X_OK), f"{program} was not built"
    return (PLAIN if build == "TSAN" else []) + [program]


def exercise(build, *options):
    program = program_of(build)
    camera, vector = h.segment(f"{build}cam{len(options)}"), h.segment(f"{build}dm{len(options)}")
    sources = [h.sim(camera, "--size", "64x64", "--type", "uint16", "--rate", 500, "--depth", 64,
                     "--pattern", "ramp", "-d", "60s"),
               h.sim(vector, "--size", "97", "--type", "float32", "--rate", 1000, "--depth", 64,
                     "--pattern", "ramp", "-d", "60s")]
    recorder = h.start(*program, "record", "--json", "-o", h.output, "--wait=20s", "--buffer",
                       "4MiB", "--roll-frames", 150, "--roll-time", "400ms", *options, camera,
                       vector)
    pattern = lambda path: [os.path.join(d, f) for d, _, files in os.walk(h.output) for f in files
                            if f.startswith(h.stream_name(path)) and f.endswith(".fits")]
    h.wait_for(lambda: len(pattern(camera)) > 3, what="closed files")
    os.kill(recorder.pid, signal.SIGSTOP)  # lapped
    sources[1].terminate()
    sources[1].wait()
    sources[1] = h.sim(vector, "--size", "97", "--type", "float32", "--rate", 1000, "--depth", 64,
                       "--pattern", "ramp", "-d", "60s")
    h.wait_for(lambda: os.path.exists(vector), what="the restarted source")
    h.time.sleep(1.5)
    os.kill(recorder.pid, signal.SIGCONT)
    count = len(pattern(camera))
    recorder.send_signal(signal.SIGUSR1)
    h.wait_for(lambda: len(pattern(camera)) > count + 2, what="more closed files")
    recorder.terminate()
    session = h.finish(recorder)
    for source in sources:
        source.terminate()
    assert session.errors.count("Sanitizer") == 0, session.errors
    h.check_stream(session, camera, (64, 64), "uint16", judged=False)
    h.check_stream(session, vector, (97,), "float32", judged=False)
    assert session.stream(camera)["lost_by"]["lapped"] > 0
    assert session.ledger_of(vector)["restarts"] == 1, session.ledger_of(vector)


def replay(build):
    """Two streams, one of which begins anew, as they were and as fast as it goes."""
    camera, vector = h.segment(f"{build}again"), h.segment(f"{build}evenly")
    small = ("--size", "16x16", "--rate", 500, "--pattern", "ramp")
    steady = h.sim(vector, "--size", "97", "--type", "float32", "--rate", 500, "-d", "60s")
    h.sim(camera, *small, "-n", 0).wait(60)
    recorder = h.record("--wait=20s", camera, vector)
    h.wait_for(lambda: len(os.listdir(f"/proc/{recorder.pid}/task")) >= 5, what="threads")
    for _ in range(2):  # either begins anew, since the segment is there
        h.sim(camera, *small, "-n", 100).wait(60)
        h.time.sleep(0.3)
    recorder.terminate()
    session = h.finish(recorder)
    steady.terminate()
    for options in ((), ("--asap", "--loop", 3)):
        run = h.subprocess.run([*program_of(build), "replay", "-q", "--json", "--remove",
                                "--prefix", f"{h.segments}/again_", session.folder,
                                *map(str, options)],
                               capture_output=True, text=True, timeout=120)
        assert run.returncode == 0 and not run.stderr, (options, run.stderr)
        assert '"restarts":%d' % (3 if options else 1) in run.stdout


def drops(build, *options):
    """Two segments; one begins anew, twice, and goes away."""
    camera, vector = h.segment(f"{build}look"), h.segment(f"{build}seen")
    steady = h.sim(vector, "--size", "97", "--type", "float32", "--rate", 1000, "-d", "60s")
    h.sim(camera, "--size", "16x16", "-n", 0).wait(60)
    watching = measured.Watching("--wait=30s", *options, camera, vector, program=program_of(build))
    watching.attached()
    for total in (200, 400):
        h.sim(camera, "--size", "16x16", "--rate", 1000, "-n", 200).wait(60)
        watching.wait_for(lambda now: now["streams"][0]["expected"] == total, "its frames")
    os.unlink(camera)
    watching.wait_for(lambda now: now["streams"][0]["condition"] == "gone", "it to be gone")
    watching.process.send_signal(signal.SIGINT)
    out, errors = watching.process.communicate(timeout=60)
    steady.terminate()
    assert watching.process.returncode in (0, 3) and "Sanitizer" not in errors, errors
    first, second = h.json.loads(out.splitlines()[-1])["streams"]
    assert first["restarts"] == 2 and first["expected"] == 400, first
    assert second["seen"] > 0


def under_asan_with_io_uring():
    exercise("ASAN")


def under_asan_with_pwrite():
    exercise("ASAN", "--io", "pwrite")


def under_tsan_with_io_uring():
    exercise("TSAN")


def under_tsan_with_pwrite_and_the_page_cache():
    exercise("TSAN", "--io", "pwrite", "--no-direct")


def a_replay_under_asan():
    replay("ASAN")


def a_replay_under_tsan():
    replay("TSAN")


def drops_under_asan():
    drops("ASAN")


def drops_under_tsan():
    drops("TSAN", "--latency")


if __name__ == "__main__":
    h.main([under_asan_with_io_uring, under_asan_with_pwrite, under_tsan_with_io_uring,
            under_tsan_with_pwrite_and_the_page_cache, a_replay_under_asan, a_replay_under_tsan,
            drops_under_asan, drops_under_tsan])
