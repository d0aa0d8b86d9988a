"""mounts.py - small file systems of a test's own, in a mount namespace of its own, so that nothing
is ever left mounted. To be imported before what makes folders (harness, faults), since it runs the
program again in that namespace; where none may be had, which needs root or a user namespace, it
ends it as skipped."""
import atexit
import os
import subprocess
import sys

_MARK = "DAOREC_TEST_MOUNTS"

if _MARK not in os.environ:
    _enter = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    _trial = subprocess.run([*_enter, "mount", "-t", "tmpfs", "none", "/tmp"], capture_output=True,
                            check=False)
    if _trial.returncode:
        print("no file system can be mounted here: " + _trial.stderr.decode().strip())
        sys.exit(77)
    os.execvpe("unshare", [*_enter, sys.executable, *sys.argv], {**os.environ, _MARK: "1"})


def mount(folder, mib):
    """A tmpfs of that size there, until the test ends. Returns the folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", folder], check=True)
    atexit.register(subprocess.run, ["umount", "-l", folder], check=False)
    return folder
