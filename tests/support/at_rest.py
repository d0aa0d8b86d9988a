"""at_rest.py - what lies in a folder, to be compared with what lies there later; and whether a
recorder holds a file."""
import fcntl
import hashlib
import os
import stat

import harness as h


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
    """A file, or a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def wait_for_locks(root):
    """Of a recorder that was killed: what it had in flight keeps its files locked for a moment."""
    def held():
        return [path for folder, _, names in os.walk(root)
                for path in [folder] + [os.path.join(folder, name) for name in names
                                        if name.endswith(".part")] if is_locked(path)]
    h.wait_for(lambda: not held(), what="the locks of the dead to go")
