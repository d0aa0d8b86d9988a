"""terminal.py - daorec on a terminal of its own: its keys, and what is on its screen."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import harness as h


class Terminal:
    """A terminal of 24 lines and 80 columns with a program in its foreground, killed at the end of
    the test at the latest. `text`: all that it has printed so far."""

    def __init__(self, *arguments):
        self.fd, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [h.DAOREC, *map(str, arguments)], stdin=inside, stdout=inside, stderr=inside,
            env={**os.environ, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(inside)
        h._processes.append(self.process)
        self._bytes = b""

    @property
    def text(self):
        return self._bytes.decode(errors="replace")

    def _read(self):
        """What there is within a moment; False at the end."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # nobody is there any more
            return False
        self._bytes += piece
        return bool(piece)

    def read_until(self, wanted, count=1, seconds=60):
        """Until this was printed so often."""
        end = time.monotonic() + seconds
        while self.text.count(wanted) < count:
            assert time.monotonic() < end and self._read(), (wanted, self.text[-2000:])

    def press(self, keys):
        os.write(self.fd, keys)

    def wait(self, seconds=60):
        """Its exit status. What it says must be read meanwhile, or it waits for us."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, self.text[-2000:]
        status = self.process.wait(timeout=seconds)
        os.close(self.fd)
        return status
