"""at_rest.py - what lies in a folder, to be compared with what lies there later; and whether a
recorder holds a file."""
import fcntl
import hashlib
import os
import stat


def snapshot(root):
    """{path: (mode, modification time, content)} of everything below it; of folders the mode alone,
    of links where they lead."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            time_ns = content = None
            if stat.S_ISREG(status.st_mode):
                time_ns = status.st_mtime_ns
                with open(path, "rb") as f:
                    content = hashlib.sha1(f.read()).digest()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[path] = (status.st_mode, time_ns, content)
    return found


def is_locked(path):
    with open(path, "rb") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
