#!/usr/bin/env python3
"""Real time: each kind of thread on the CPUs it was given, with its priority, in memory that is
locked; and by an ordinary user, who may have none of it, all the same recorded."""
import glob
import json
import os
import re
import resource
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import harness as h  # noqa: E402

CPUS = sorted(os.sched_getaffinity(0))
NOBODY = 65534  # whoever that is here: who has no rights needs no name


def status_of(path, key):
    with open(path, encoding="ascii", errors="replace") as f:
        return re.search(rf"^{key}:\s*(.*)$", f.read(), re.M).group(1)


def threads(process):
    """(CPUs, is in real time) of each thread but the first."""
    found = []
    for task in glob.glob(f"/proc/{process.pid}/task/*"):
        if os.path.basename(task) != str(process.pid):
            with open(f"{task}/stat", encoding="ascii", errors="replace") as f:
                policy = int(f.read().rpartition(")")[2].split()[38])
            found.append((status_of(f"{task}/status", "Cpus_allowed_list"), policy == os.SCHED_FIFO))
    return sorted(found)


def each_kind_of_thread_has_its_cpus():
    path, drain, writer = h.segment("placed"), str(CPUS[0]), str(CPUS[-1])
    h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 1).wait(timeout=30)
    process = h.record("--backlog", "--cpu", drain, "--cpu-writer", writer, path)
    wanted = sorted([(drain, False)] + 3 * [(writer, False)])
    h.wait_for(lambda: [t for t in threads(process) if t[0] in (drain, writer)] == wanted
               or (drain == writer and len(threads(process)) >= 4),
               what=f"threads on {wanted}; there are {threads(process)}")
    process.terminate()
    h.finish(process)


def a_cpu_that_is_not_there_is_refused():
    for option in ("--cpu", "--cpu-writer"):
        process = h.record(option, "1023", h.segment("nowhere"))
        out, errors = process.communicate(timeout=30)
        assert process.returncode == 2 and not out, errors
        assert len(errors.splitlines()) == 1 and option in errors and " 1023:" in errors, errors


def root_has_priority_and_locked_memory():
    if os.geteuid() != 0:
        print("not tested: priority and locked memory (not root)")
        return
    path = h.segment("locked")
    h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 1).wait(timeout=30)
    process = h.record("--backlog", "--priority", 3, "--lock-memory", "--buffer", "2MiB", path)
    try:
        os.sched_setscheduler(os.getpid(), os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(os.getpid(), os.SCHED_OTHER, os.sched_param(0))
        h.wait_for(lambda: sum(rt for _, rt in threads(process)) == 1, what="one in real time")
    except PermissionError:
        print("not tested: priority (root may not have one here)")
    h.wait_for(lambda: int(status_of(f"/proc/{process.pid}/status", "VmLck").split()[0]) > 2048,
               what="locked memory")
    process.terminate()
    assert "not locked" not in h.finish(process).errors


def who_may_have_none_of_it_records_after_one_line_each():
    path = h.segment("ordinary")
    h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 20).wait(timeout=30)
    options = {}
    if os.geteuid() == 0:
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        os.chmod(h.segments, 0o711)
        os.chmod(h.output, 0o777)
        os.chmod(path, 0o644)

    def give_up_rights():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))

    process = h.record("--backlog", "-n", 10, "--priority", 3, "--lock-memory", "--cpu", CPUS[0],
                       path, preexec_fn=give_up_rights, **options)
    session = h.finish(process)
    assert session.stream(path)["recorded"] == 10
    warnings = [line for line in session.errors.splitlines() if "warning: " in line]
    for part in ("memory is not locked", "cannot have priority 3"):
        assert sum(part in line for line in warnings) == 1, (part, session.errors)


def with_too_few_threads_it_records_everything_or_begins_nothing():
    """What a user may have is counted with io_uring's workers; root may have any number."""
    if os.geteuid() != 0:
        print("not tested: a limit of threads (other processes of this user count, too)")
        return
    nobody = 100000 + os.getpid()
    paths = [h.segment(f"few{i}") for i in range(3)]
    os.chmod(h.segments, 0o711)
    root = os.path.join(h.output, "few")
    os.mkdir(root)
    os.chmod(root, 0o777)
    for path in paths:
        h.sim(path, "--size", "16x16", "--rate", 0, "--depth", 64, "-n", 20).wait(timeout=30)
        os.chmod(path, 0o644)
    began = []
    for limit in range(1, 12):
        process = h.start(h.DAOREC, "record", "--json", "-o", root, "--backlog", "-n", 10, *paths,
                          user=nobody, group=nobody, extra_groups=[],
                          preexec_fn=lambda: resource.setrlimit(
                              resource.RLIMIT_NPROC, (limit, limit)))  # noqa: B023
        out, errors = process.communicate(timeout=60)
        began.append(process.returncode == 0)
        if began[-1]:
            assert [s["recorded"] for s in json.loads(out)["streams"]] == 3 * [10], (limit, errors)
        else:
            assert process.returncode == 1 and "ulimit -u" in errors, (limit, errors)
            assert os.listdir(root) == [], (limit, os.listdir(root))
        for session in os.listdir(root):
            shutil.rmtree(os.path.join(root, session))
    assert began == sorted(began) and not began[0] and began[-1], began


if __name__ == "__main__":
    h.main([each_kind_of_thread_has_its_cpus, a_cpu_that_is_not_there_is_refused,
            root_has_priority_and_locked_memory,
            who_may_have_none_of_it_records_after_one_line_each,
            with_too_few_threads_it_records_everything_or_begins_nothing])
