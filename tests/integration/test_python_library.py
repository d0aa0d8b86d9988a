#!/usr/bin/env python3
"""The Python module: finding its library, what it needs, installing it, and leaking nothing."""
import glob
import os
import shutil
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import python_face as p  # noqa: E402
from python_face import raises, shm  # noqa: E402

USE = """
import sys, numpy as np
import daoShm
from daoShm import shm
with shm(sys.argv[1], data=np.ones((2, 3), "i2"), depth=2) as writer:
    writer.set_data(np.full((2, 3), 7, "i2"))
    assert shm(sys.argv[1]).get_data().sum() == 42
print(daoShm.__file__, daoShm._lib._name)
"""


def places(code, **options):
    """(file of the module, file of the library) that a child takes."""
    return p.run(code, p.path(), **options).split()


def folder(*parts):
    path = os.path.join(h.output, *parts)
    os.makedirs(path, exist_ok=True)
    return path


def it_works_from_a_source_tree():
    """A checkout of any name: lib/ with dao.h, and build/release/ beside it."""
    lib, build = folder("tree", "lib"), folder("tree", "build", "release")
    for name in ("daoShm.py", "dao.h"):
        shutil.copy(os.path.join(p.LIB, name), lib)
    shutil.copy(p.LIBRARY, os.path.join(build, "libdao.so.0"))
    for name in ("libdao.so.0", "libdao.so"):
        if name == "libdao.so":
            os.symlink("libdao.so.0", os.path.join(build, name))
        module, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": lib}, cwd="/")
        assert module == os.path.join(lib, "daoShm.py")
        assert library == os.path.join(os.path.realpath(build), name)
    # Also through a link to the module.
    elsewhere = folder("linked")
    os.symlink(os.path.join(lib, "daoShm.py"), os.path.join(elsewhere, "daoShm.py"))
    _, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": elsewhere}, cwd="/")
    assert library == os.path.join(os.path.realpath(build), "libdao.so")


def it_works_beside_its_library():
    place = folder("beside")
    shutil.copy(os.path.join(p.LIB, "daoShm.py"), place)
    shutil.copy(p.LIBRARY, os.path.join(place, "libdao.so"))
    _, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": place}, cwd="/")
    assert library == os.path.join(os.path.realpath(place), "libdao.so")


def it_works_by_the_linker():
    place, links = folder("alone"), folder("links")
    shutil.copy(os.path.join(p.LIB, "daoShm.py"), place)
    for name in ("libdao.so.0", "libdao.so"):  # the second is asked for first
        shutil.copy(p.LIBRARY, os.path.join(links, name))
        _, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": place,
                                      "LD_LIBRARY_PATH": links}, cwd="/")
        assert library == name


def an_override_is_taken_before_all_and_alone():
    _, library = places(USE, env={"DAO_LIBRARY": p.LIBRARY})
    assert library == p.LIBRARY
    other = os.path.join(folder("other"), "libdao.so")
    subprocess.run(["gcc", "-shared", "-xc", "/dev/null", "-o", other], check=True)
    for wrong, text in (("/nowhere/libdao.so", "No such file"), (other, "another DAO library")):
        process = p.child("import daoShm", env={"DAO_LIBRARY": wrong})
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "ImportError" in errors, errors
        assert wrong in errors and text in errors, errors


def a_library_that_is_nowhere_is_an_import_error_with_the_places():
    place = folder("lost")
    shutil.copy(os.path.join(p.LIB, "daoShm.py"), place)
    shutil.copy(os.path.join(h.output, "other", "libdao.so"), place)  # one that will not do
    links = folder("lost-links")
    for name in ("libdao.so", "libdao.so.0"):
        shutil.copy(os.path.join(place, "libdao.so"), links)
    shutil.copy(os.path.join(place, "libdao.so"), os.path.join(links, "libdao.so.0"))
    process = p.child("import daoShm", cwd="/", env={
        "DAO_LIBRARY": None, "PYTHONPATH": place, "LD_LIBRARY_PATH": links})
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "ImportError: daoShm: no libdao.so" in errors, errors
    assert f"{place}/libdao.so: another DAO library" in errors, errors
    assert f"{place}/libdao.so.0: not there" in errors, errors


def it_needs_numpy_and_nothing_else():
    p.run("""
        import importlib.abc, sys
        allowed = set(sys.stdlib_module_names) | {"numpy", "daoShm", "daoShmZmq"}

        class Guard(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] not in allowed:
                    raise ImportError(f"{name} is not allowed", name=name)

        sys.meta_path.insert(0, Guard())
        import numpy as np
        before = set(sys.modules)
        import daoShm
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        assert new <= set(sys.stdlib_module_names) | {"daoShm"}, new
        with daoShm.shm(sys.argv[1], data=np.zeros((2, 3), np.complex64), depth=3) as s:
            s.get_history(3)
            for method in (s.publish, s.subscribe):
                try:
                    method()
                except ImportError as error:
                    assert "zmq" in str(error) and "python3-zmq" in str(error), error
                else:
                    raise AssertionError("no ImportError")
            s.get_data()
        """, p.path())


def make(*arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment.pop("MFLAGS", None)
    environment["PYTHON"] = sys.executable
    run = subprocess.run(["make", "-C", p.ROOT, *arguments], env=environment, capture_output=True,
                         text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def files_in(place):
    return sorted(glob.glob(os.path.join(place, "**", "daoShm*.py"), recursive=True))


def it_works_installed():
    """Under a DESTDIR, with a prefix of its own: no linker knows this library."""
    place = folder("installed")
    make("install", f"DESTDIR={place}", "prefix=/opt/dao")
    (module,) = glob.glob(f"{place}/opt/dao/lib/python3*/*/daoShm.py")
    assert os.path.basename(os.path.dirname(module)) in ("dist-packages", "site-packages")
    assert sorted(map(os.path.basename, files_in(place))) == ["daoShm.py", "daoShmZmq.py"]
    found, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": os.path.dirname(module)},
                            cwd="/")
    assert found == module
    assert library == os.path.join(os.path.realpath(place), "opt/dao/lib/libdao.so")
    make("uninstall", f"DESTDIR={place}", "prefix=/opt/dao")
    assert not files_in(place)


def it_is_installed_where_the_system_looks():
    """/usr/local, and anywhere that pythondir says."""
    import site
    place = folder("system")
    make("install", f"DESTDIR={place}")
    (module,) = [f for f in files_in(place) if f.endswith("daoShm.py")]
    found = os.path.dirname(module)[len(place):]
    local = [d for d in site.getsitepackages() if d.startswith("/usr/local/lib/")]
    assert found in local or not local, (found, local)
    _, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": os.path.dirname(module)},
                        cwd="/")
    assert library == os.path.join(os.path.realpath(place), "usr/local/lib/libdao.so")
    make("uninstall", f"DESTDIR={place}")
    assert not files_in(place)
    make("install", f"DESTDIR={place}", "pythondir=/py", "libdir=/far/away")
    assert os.path.dirname(files_in(place)[0]) == os.path.join(place, "py")
    _, library = places(USE, env={"DAO_LIBRARY": None, "PYTHONPATH": os.path.join(place, "py")},
                        cwd="/")
    assert library == os.path.join(os.path.realpath(place), "far/away/libdao.so")


def kept():
    """What this process holds: descriptors, mappings of segments and semaphores, threads."""
    import threading
    with open("/proc/self/maps", encoding="ascii", errors="replace") as f:
        maps = sum(".im.shm" in line or "/sem." in line for line in f)
    return len(os.listdir("/proc/self/fd")), maps, threading.active_count()


def thousands_of_cycles_leave_nothing():
    path = p.path()
    data = np.zeros((4, 5), np.float32)

    def cycle(i):
        writer = shm(path, data=data, depth=1 + i % 3)
        with shm(path) as reader:
            reader.get_history(2, buffer=True)
        if i % 2:
            writer.close()
        del writer, reader  # closes what is open
        for wrong in (lambda: shm(path + ".none"), lambda: shm(path, data=data, depth=0)):
            with raises((FileNotFoundError, ValueError)):
                wrong()
    with quiet():
        cycle(0)
        before = kept()
        with shm(path):
            one = kept()
            assert one[0] > before[0] and one[1] > 1 + before[1], (before, one)
        for i in range(1000):
            cycle(i)
        after = kept()
    assert after == before, (before, after)


class quiet:
    """No messages of the C library in the block."""

    def __enter__(self):
        self.stderr = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *_):
        os.dup2(self.stderr, 2)
        os.close(self.stderr)


if __name__ == "__main__":
    h.main([it_works_from_a_source_tree, it_works_beside_its_library, it_works_by_the_linker,
            an_override_is_taken_before_all_and_alone,
            a_library_that_is_nowhere_is_an_import_error_with_the_places,
            it_needs_numpy_and_nothing_else, it_works_installed,
            it_is_installed_where_the_system_looks, thousands_of_cycles_leave_nothing])
