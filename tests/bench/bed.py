"""bed.py - what the comparisons run on: folders, the programs they start, and their end.

Used by bench.py and its sections, in one thread. What can go wrong and what comes of it: a program
that fails ends the run with its message (Failure); so do a missing program and too little room,
before anything is measured. On SIGTERM, SIGHUP and Ctrl-C, and after a failure, close() ends
everything that was started, the last one first, and removes segments, semaphores and files; a
signal that comes while a program is being started unwinds once the program is listed. Where this
process is killed, what it has started gets SIGTERM, and sources remove their segments; files stay.
"""
import contextlib
import ctypes
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time

BUILD = os.environ.get("BUILD", "build/release")
DAOREC = os.path.join(BUILD, "daorec")
PROGRAMS = os.path.join(BUILD, "tests", "bench")
PATIENCE_S = 60  # with a program that has nothing to say
SPARE_BYTES = 1 << 30  # of the disk are left alone
MEMORY_BYTES = 400 << 20  # that segments take at most

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """What a person reads in one line."""


class Bed:
    """Folders and processes. `rounds`: how often each comparison is repeated; `is_quick`: only to
    see that everything works, with next to no data."""

    def __init__(self, work, rounds, is_quick, results):
        self.rounds, self.is_quick, self.results = rounds, is_quick, results
        self.processes, self.folders = [], []
        self.serial = 0
        self.output = self._folder(work)
        self.segments = self._folder("/dev/shm")

    def _folder(self, parent):
        try:
            self.folders.append(tempfile.mkdtemp(prefix="daorec-bench-", dir=parent))
        except OSError as error:
            self.close()
            raise Failure(f"no folder can be made in {parent}: {error.strerror}; "
                          "give another one with --work") from error
        return self.folders[-1]

    def check_room(self, need_bytes):
        """Both places must have room for what is needed at once."""
        for place, need in ((self.output, need_bytes + SPARE_BYTES),
                            (self.segments, MEMORY_BYTES)):
            free = shutil.disk_usage(place).free
            if free < need:
                raise Failure(f"{os.path.dirname(place)} has {free / 1e9:.1f} GB free, and "
                              f"{need / 1e9:.1f} GB are needed; make room, or give another folder "
                              "with --work")

    # ---- names ----

    def segment(self):
        """A path for a segment that was never used before."""
        self.serial += 1
        return os.path.join(self.segments, f"bench{os.getpid()}x{self.serial}.im.shm")

    def file(self, name):
        return os.path.join(self.output, name)

    def clear(self):
        """Remove what a turn has written, and wait until the disk has nothing left to do for it:
        freed blocks are discarded when the journal is committed."""
        for entry in os.scandir(self.output):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        fd = os.open(self.output, os.O_RDONLY)
        try:
            LIBC.syncfs(fd)
        finally:
            os.close(fd)

    # ---- programs ----

    def start(self, *arguments, **options):
        """A program in a session of its own: Ctrl-C is ours to pass on."""
        def prepare():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        try:
            with signals_held_back():
                process = subprocess.Popen([str(a) for a in arguments], start_new_session=True,
                                           preexec_fn=prepare, text=True, **options)
                self.processes.append(process)
        except OSError as error:
            raise Failure(f"{arguments[0]}: {error.strerror}; run make bench") from error
        return process

    def program(self, name, *arguments, **options):
        return self.start(os.path.join(PROGRAMS, name), *arguments, **options)

    def wait(self, process, accepted=(0,)):
        """(stdout, CPU seconds) of a program at its end; user and system time of all its
        threads."""
        out = process.stdout.read()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except ChildProcessError as error:
            raise Failure(f"{' '.join(process.args[:3])} ... was waited for by another") from error
        process.returncode = os.waitstatus_to_exitcode(status)
        self._forget(process)
        if process.returncode not in accepted:
            raise Failure(f"{' '.join(process.args[:3])} ... ended with status "
                          f"{process.returncode}")
        return out, usage.ru_utime + usage.ru_stime

    def run(self, name, *arguments):
        """What one of our programs prints."""
        return self.wait(self.program(name, *arguments, stdout=subprocess.PIPE))[0]

    def _forget(self, process):
        self.processes.remove(process)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()

    def end(self, process):
        """Whatever it does. What a program of ours names by its process number goes, too."""
        if process.returncode is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._forget(process)
        remove_segment(f"/dev/shm/bench{process.pid}.im.shm")

    def close(self):
        for process in reversed(self.processes[:]):
            self.end(process)
        for folder in self.folders:
            for path in glob.glob(os.path.join(folder, "*.im.shm")):
                remove_segment(path)
            shutil.rmtree(folder, ignore_errors=True)


def remove_segment(path):
    """With its semaphores, where they are."""
    base = os.path.basename(path).split(".")[0]
    for name in glob.glob(f"/dev/shm/sem.{glob.escape(base)}_sem*") + [path]:
        try:
            os.unlink(name)
        except FileNotFoundError:
            pass


_held_back = None  # numbers of signals; None: they unwind at once


def _unwind(number, _=None):
    if _held_back is not None:
        _held_back.append(number)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise SystemExit(128 + number)


def catch_signals():
    """SIGTERM and SIGHUP unwind as Ctrl-C does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _unwind)


@contextlib.contextmanager
def signals_held_back():
    """Those that catch_signals() catches unwind at the end of the block. (No mask of the thread:
    libraries have threads that would take them.)"""
    global _held_back
    _held_back = []
    try:
        yield
    finally:
        came, _held_back = _held_back, None
        if came:
            _unwind(came[0])


def read_line(process):
    """The next line that it prints. It must come: a program that hangs ends the run."""
    def give_up(*_):
        raise Failure(f"{' '.join(process.args[:2])} has said nothing for {PATIENCE_S} s")
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        line = process.stdout.readline()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if not line:
        raise Failure(f"{' '.join(process.args[:2])} ended before it had said anything")
    return line


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.002)


def has_ended(process):
    """It is still to be waited for."""
    try:
        return bool(os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    except ChildProcessError:
        return True


def cpu_seconds(pid):
    """CPU time of all threads of another process so far, to the nanosecond
    (clock_getcpuclockid() by hand)."""
    return time.clock_gettime((~pid << 3) | 2)
