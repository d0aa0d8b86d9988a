"""machine.py - the name of the machine, since figures mean nothing without it."""
import os
import platform
import shutil
import subprocess

import bed as b


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return default


def processor():
    lines = [line.partition(":") for line in read("/proc/cpuinfo").splitlines()]
    found = {key.strip(): value.strip() for key, _, value in lines}
    name = found.get("model name") or found.get("Model") or platform.machine()
    return name, "hypervisor" in found.get("flags", "").split()


def mount_of(path):
    """(type, device, options) of the file system that a path is on."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    best = ("unknown", number, "")
    for line in read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        kind, source, options = (right.split(" ", 2) + ["", "", ""])[:3]
        if left.split()[2] == number:
            best = (kind, source, f"{left.split()[5]},{options}")
    return best


def device_model(device):
    """What the kernel knows about a block device."""
    name = os.path.basename(os.path.realpath(device))
    base = f"/sys/class/block/{name}"
    if os.path.exists(f"{base}/partition"):
        base = os.path.dirname(os.path.realpath(base))
    return read(f"{base}/device/model")


def describe(work):
    cpu, is_virtual = processor()
    kind, device, options = mount_of(work)
    memory = next((int(line.split()[1]) * 1024 for line in read("/proc/meminfo").splitlines()
                   if line.startswith("MemTotal")), 0)
    version = subprocess.run([b.DAOREC, "--version"], capture_output=True, text=True, check=False)
    return {
        "host": platform.node(),
        "processor": cpu,
        "virtual": is_virtual,
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "memory_bytes": memory,
        "kernel": platform.release(),
        "file_system": kind,
        "mount_options": options,
        "device": device,
        "device_model": device_model(device) or None,
        "free_bytes": shutil.disk_usage(work).free,
        "segments_on": mount_of("/dev/shm")[0],
        "load_before": os.getloadavg()[0],
        "daorec": version.stdout.strip(),
    }


def as_text(m):
    kind = "virtual machine, " if m["virtual"] else ""
    model = f" ({m['device_model']})" if m["device_model"] else ""
    return (f"{m['host']}: {kind}{m['processor']}, {m['cores']} cores, "
            f"{m['memory_bytes'] / 2**30:.0f} GiB, Linux {m['kernel']}\n"
            f"disk: {m['file_system']} on {m['device']}{model}, "
            f"{m['free_bytes'] / 1e9:.0f} GB free; segments on {m['segments_on']}; "
            f"load before: {m['load_before']:.1f}")
