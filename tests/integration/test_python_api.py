#!/usr/bin/env python3
"""The Python class: every method, every type and shape, and what is refused."""
import ctypes
import datetime
import glob
import os
import stat
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import python_face as p  # noqa: E402
from python_face import daoShm, raises, shm  # noqa: E402


def frame(value, shape=(3, 4), dtype="float32"):
    return h.ramp([value], shape, dtype)[0]


def pair(depth=4, frames=0, **options):
    """(writer, reader) of a segment with one frame of value 1, then `frames` more: 2, 3, ..."""
    writer = shm(p.path(), data=frame(1), depth=depth, **options)
    reader = shm(writer.fname)
    for value in range(2, 2 + frames):
        writer.set_data(frame(value))
    return writer, reader


def firsts(history):
    """The values of the frames in a history, after a look at all their elements."""
    values = [int(f.flat[0].real) for f in history]
    assert all(np.array_equal(f, frame(v)) for f, v in zip(history, values)), history
    return values


def the_constructor_and_the_constants_are_those_of_the_protocol():
    import inspect
    assert str(inspect.signature(shm)) == (
        "(fname=None, data=None, nbkw=0, pubPort=5555, subPort=5555, subHost='localhost', "
        "logLevel=0, depth=1)")
    for method, wanted in (
            ("get_data", "(self, check=False, reform=True, semNb=0, timeout=0, spin=False)"),
            ("get_history", "(self, num_items=1, check=False, semNb=0, timeout=0, spin=False, "
                            "buffer=False)"),
            ("get_data_next", "(self, wait=False, reform=True)"),
            ("get_meta_data", "(self, index=None)")):
        assert str(inspect.signature(getattr(shm, method))) == wanted, method
    assert (shm.DAO_SUCCESS, shm.DAO_ERROR, shm.DAO_TIMEOUT, shm.DAO_OVERWRITE,
            shm.DAO_NOTREADY) == (0, 1, -1, -2, -3)
    with shm(p.path(), data=frame(1), pubPort=7001, subPort=7002, subHost="10.0.0.1") as s:
        assert (s.pubPort, s.subPort, s.subHost) == (7001, 7002, "10.0.0.1")
        assert not s.pubEnable and not s.subEnable
        assert not s.pubThread.is_alive() and not s.subThread.is_alive()
        assert not s.pubEvent.is_set() and not s.subEvent.is_set()


def structures_lie_where_the_protocol_says():
    def offsets(structure, *names):
        return [getattr(structure, name).offset for name in names]
    assert ctypes.sizeof(daoShm.IMAGE_METADATA) == 4304
    assert ctypes.sizeof(daoShm.IMAGE) == 168
    assert ctypes.sizeof(daoShm.IMAGE_KEYWORD) == 120
    assert ctypes.sizeof(daoShm.timespec) == 16
    assert ctypes.sizeof(daoShm.DAO_FRAME) == 48
    names = ("name naxis size nelement atype creation_time last_access atime shared status logflag "
             "sem cnt0 cnt1 cnt2 write NBkw lastPos lastNb packetNb packetTotal lastNbArray "
             "fifo_size fifo_last_written").split()
    assert [f[0] for f in daoShm.IMAGE_METADATA._fields_] == names
    assert offsets(daoShm.IMAGE_METADATA, *names) == [
        0, 80, 84, 96, 104, 112, 120, 128, 144, 145, 146, 148, 152, 160, 168, 176, 178, 180, 184,
        188, 192, 200, 4296, 4300]
    assert offsets(daoShm.IMAGE, *(f[0] for f in daoShm.IMAGE._fields_)) == [
        0, 80, 84, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160]
    assert offsets(daoShm.IMAGE_KEYWORD, "name", "type", "value", "comment") == [0, 16, 24, 40]


def every_type_and_shape_comes_back_as_it_went_in():
    for dtype in p.TYPES:
        for shape in ((5,), (5, 1), (3, 4), (2, 3, 4)):
            writer = shm(p.path(), data=frame(1, shape, dtype), depth=3)
            reader = shm(writer.fname)
            assert reader.shape == shape and reader.dtype == np.dtype(dtype) and reader.depth == 3
            for value in (1, 2, 250):
                if value > 1:
                    writer.set_data(frame(value, shape, dtype))
                got = reader.get_data()
                assert got.dtype == np.dtype(dtype) and got.shape == shape
                assert np.array_equal(got, frame(value, shape, dtype)), (dtype, shape)
            flat = reader.get_data(reform=False)
            assert flat.shape == (np.prod(shape),)
            assert np.array_equal(flat.reshape(shape), frame(250, shape, dtype))
            assert reader.get_history(3).shape == (3,) + shape
            md = reader.get_meta_data()
            assert md["naxis"] == len(shape) and md["size"] == list(shape) + [0] * (3 - len(shape))
            assert md["atype"] == daoShm.npType2DaoType(dtype) == p.TYPES.index(dtype) + 1
            writer.close()
            reader.close()


def frames_of_the_simulator_arrive_in_every_type():
    paths = {dtype: p.path() for dtype in p.TYPES}
    sims = [h.sim(path, "--size", "6x5", "--type", dtype, "--rate", 1000, "-n", 40, "--depth", 64,
                  "--pattern", "ramp", "--start-count", 7) for dtype, path in paths.items()]
    for process in sims:
        assert process.wait(timeout=60) == 0
    for dtype, path in paths.items():
        with shm(path) as reader:
            assert reader.get_counter() == 46
            assert np.array_equal(reader.get_data(), h.ramp([46], (6, 5), dtype)[0]), dtype
            assert np.array_equal(reader.get_history(40), h.ramp(range(7, 47), (6, 5), dtype))


def frames_of_python_are_recorded():
    with shm(p.path(), data=frame(1, dtype="complex64"), depth=256) as writer:
        recording = h.record("--wait=20s", "-n", 100, writer.fname)
        while recording.poll() is None:
            writer.set_data(frame(writer.get_counter() + 1, dtype="complex64"))
            time.sleep(0.0005)
        session = h.finish(recording)
        h.check_stream(session, writer.fname, (3, 4), "complex64")


def arrays_are_copies():
    writer, reader = pair()
    writer.set_data(frame(2))
    copies = [reader.get_data_next()[1], reader.get_data(), reader.get_data_arbitrary(1),
              reader.get_history(1)[0], reader.get_history(1, buffer=True)[0]]
    for value in range(3, 12):
        writer.set_data(frame(value))
    assert firsts(copies) == [2] * 5
    for copy in copies:
        copy[:] = 0
    assert firsts(reader.get_history(4)) == [8, 9, 10, 11]


def frames_are_read_one_after_the_other():
    writer, reader = pair(depth=4)
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
    for value in (2, 3, 4, 5):
        writer.set_data(frame(value))
    for value in (2, 3, 4, 5):  # four slots, four frames behind: that is no lap
        status, got = reader.get_data_next()
        assert status == shm.DAO_SUCCESS and firsts([got]) == [value]
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
    writer.set_data(frame(6))
    status, got = reader.get_data_next(wait=True, reform=False)
    assert status == shm.DAO_SUCCESS and np.array_equal(got, frame(6).ravel())


def a_creator_reads_its_first_frame_next():
    writer, _ = pair()
    status, got = writer.get_data_next()
    assert status == shm.DAO_SUCCESS and firsts([got]) == [1]


def a_lapped_reader_is_told_and_gets_the_newest():
    writer, reader = pair(depth=4, frames=5)
    status, got = reader.get_data_next()
    assert status == shm.DAO_OVERWRITE and firsts([got]) == [6]
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None)


def a_frame_overwritten_under_the_copy_is_replaced_by_the_newest():
    writer, reader = pair(depth=4, frames=1)
    copy = reader._copy

    def overtaken(array, slot):
        copy(array, slot)
        reader._copy = copy
        for value in range(3, 9):
            writer.set_data(frame(value))
    for method, status in ((reader.get_data_next, shm.DAO_OVERWRITE), (reader.get_data, None),
                           (reader.get_history, None)):
        writer.set_data(frame(2))
        reader._copy = overtaken
        got = method()
        if status is not None:
            assert got[0] == status
            got = got[1]
        assert firsts([got.reshape(3, 4)]) == [8], method


def a_frame_that_can_never_be_copied_whole_is_an_error_but_at_depth_1():
    patience = daoShm._PROOF_S
    daoShm._PROOF_S = 0.05
    try:
        for depth in (1, 2):
            writer, reader = pair(depth=depth)
            copy = reader._copy

            def overtaken(array, slot):
                copy(array, slot)
                for _ in range(depth):
                    writer.set_data(frame(2))
            reader._copy = overtaken
            if depth == 2:
                with raises(RuntimeError, "overwritten", "more than 2"):
                    reader.get_data()
            else:
                with LogOf() as records:
                    assert reader.get_data().shape == reader.get_data().shape == (3, 4)
                assert len(records) == 1 and "depth 2 or more" in records[0].getMessage()
    finally:
        daoShm._PROOF_S = patience


def a_slot_that_is_being_written_is_not_taken_for_the_newest():
    """Head first, count later, as field writers do: new pixels under a count of one lap ago."""
    writer, reader = pair(depth=3, frames=3)
    md = reader.image.md
    head = md[0].fifo_last_written
    slot = (head + 1) % 3
    writer.daoShmImage2ShmQuiet(frame(77).ctypes.data, 12, writer.image)
    writer.image.md[slot].write = 0
    assert firsts(reader.get_history(2)) == [3, 4]
    writer.image.md[0].fifo_last_written = slot
    assert reader.get_counter() == reader.get_meta_data()["cnt0"] == 4
    assert firsts([reader.get_data()]) == [4]
    assert firsts(reader.get_history(3)) == [4], "2 is gone, and 3 cannot be proven any more"
    reader.reset_tail()
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
    writer.image.md[slot].cnt0 = 5
    assert reader.get_counter() == 5 and firsts([reader.get_data()]) == [77]


def the_newest_is_not_taken_from_a_slot_that_the_writer_may_have_begun():
    writer, reader = pair(depth=2)
    copy = reader._copy
    calls = []

    def slow(array, slot):
        copy(array, slot)
        if not calls:
            writer.set_data(frame(2))  # now the slot copied from is the one to be written next
        calls.append(slot)
    reader._copy = slow
    assert firsts([reader.get_data()]) == [2] and calls == [0, 1]


def history_is_ordered_whole_and_no_longer_than_the_fifo():
    writer, reader = pair(depth=4)
    assert firsts(reader.get_history(4)) == [1], "there has been one frame"
    for value in range(2, 11):
        writer.set_data(frame(value))
    assert firsts(reader.get_history()) == [10]
    assert firsts(reader.get_history(num_items=3)) == [8, 9, 10]
    assert firsts(reader.get_history(4)) == [7, 8, 9, 10]
    assert firsts(reader.get_history(400)) == [7, 8, 9, 10]
    assert reader.get_history(4).shape == (4, 3, 4)
    for bad in (0, -1):
        with raises(ValueError, "num_items"):
            reader.get_history(bad)


def history_at_depth_1_is_the_newest_frame():
    writer, reader = pair(depth=1, frames=2)
    assert firsts(reader.get_history(5)) == [3]


def history_of_a_segment_without_a_frame_is_empty():
    for depth in (1, 3):
        path, image = p.path(), daoShm.IMAGE()
        size = (ctypes.c_uint32 * 2)(3, 4)
        assert shm.daoShmImageCreate_FIFO(image, path.encode(), 2, size, 9, 1, 0, depth) == 0
        with shm(path) as reader:
            assert reader.get_history(2).shape == (0, 3, 4)
            assert not reader.get_data().any() and reader.get_counter() == 0
        assert shm.daoShmCloseShm(image) == 0


def history_waits_for_the_frame_that_overwrites_its_oldest():
    writer, reader = pair(depth=3, frames=3)
    assert writer.daoShmImage2ShmQuiet(frame(5).ctypes.data, 12, writer.image) == 0
    wait = reader._wait_after

    def finish_and_wait(*arguments):
        assert writer.daoShmImagePart2ShmFinalize(writer.image) == 0
        return wait(*arguments)
    reader._wait_after = finish_and_wait
    assert firsts(reader.get_history(3)) == [3, 4, 5]
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None), "the tail is at the last of them"
    reader._wait_after = wait
    # A writer that stays in mid-frame: without the oldest, then.
    assert writer.daoShmImage2ShmQuiet(frame(6).ctypes.data, 12, writer.image) == 0
    assert firsts(reader.get_history(3)) == [4, 5]


def a_buffered_history_goes_beyond_the_fifo():
    writer, reader = pair(depth=4, frames=1)
    assert firsts(reader.get_history(10, buffer=True)) == [1, 2]
    for value in range(3, 13):
        writer.set_data(frame(value))
        if value % 2 == 0:
            reader.get_history(10, buffer=True)
    assert firsts(reader.get_history(10, buffer=True)) == list(range(3, 13))
    assert firsts(reader.get_history(5, buffer=True)) == list(range(8, 13))
    for value in range(13, 24):
        writer.set_data(frame(value))
    after = firsts(reader.get_history(10, buffer=True))
    assert after[-1] == 23 and after == list(range(24 - len(after), 24)) and len(after) <= 4
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None), "the tail follows"
    writer.set_data(frame(24))
    md = writer.image.md[writer.image.md[0].fifo_last_written]
    md.write = 1  # as after each packet of a field writer: nothing is proven
    assert firsts(reader.get_history(10, buffer=True))[-1] == 23
    md.write = 0
    assert firsts([reader.get_data_next()[1]]) == [24], "the tail was at the last one returned"


def reading_moves_the_tail_and_looking_does_not():
    writer, reader = pair(depth=8, frames=3)
    reader.get_meta_data()
    reader.get_counter()
    reader.get_timestamp()
    reader.get_data_arbitrary(0)
    assert firsts([reader.get_data_next()[1]]) == [2]
    for move in (reader.get_data, reader.reset_tail, lambda: reader.get_history(2)):
        writer.set_data(frame(5))
        writer.set_data(frame(6))
        move()
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)


def slots_are_read_by_index():
    writer, reader = pair(depth=4, frames=5)  # six frames: slots hold 5 6 3 4
    assert [firsts([reader.get_data_arbitrary(i)])[0] for i in range(4)] == [5, 6, 3, 4]
    assert firsts([reader.get_data_arbitrary(-1)]) == [4]
    assert firsts([reader.get_data_arbitrary(9)]) == [6]
    assert reader.get_data_arbitrary(np.int64(1), reform=False).shape == (12,)
    assert [reader.get_counter(i) for i in range(4)] == [5, 6, 3, 4]
    with raises(TypeError):
        reader.get_data_arbitrary(1.5)
    writer = shm(writer.fname, data=frame(1), depth=4)  # a new run
    assert not reader.get_data_arbitrary(2).any() and firsts([reader.get_data_arbitrary(0)]) == [1]


def metadata_is_a_dict_of_the_structs_fields():
    before = time.time()
    writer, reader = pair(depth=4, frames=5, nbkw=3)
    md = reader.get_meta_data()
    assert md is reader.mtdata
    assert list(md) == [f[0] for f in daoShm.IMAGE_METADATA._fields_]
    assert md["name"] == writer.fname.encode()[:79]
    assert md["size"] == [3, 4, 0] and md["nelement"] == 12 and md["atype"] == 9
    assert md["cnt0"] == 6 and md["NBkw"] == 3 and md["shared"] == 1 and md["write"] == 0
    assert md["lastNbArray"] == [0] * 512
    for index, count in ((0, 5), (1, 6), (2, 3), (3, 4), (None, 6), (7, 4), (-1, 4)):
        md = reader.get_meta_data(index)
        assert md["cnt0"] == count
        assert md["fifo_size"] == 4 and md["fifo_last_written"] == 1 and md["sem"] == 10
    atime = reader.get_meta_data()["atime"]
    assert set(atime) == {"ts", "tsfixed"} and set(atime["ts"]) == {"tv_sec", "tv_nsec"}
    assert atime["tsfixed"]["firstlong"] == 0
    assert before <= atime["tsfixed"]["secondlong"] / 1e9 <= time.time()
    assert before - 1 <= md["creation_time"] <= time.time() + 1


def the_timestamp_is_local_time():
    writer, reader = pair()
    now = datetime.datetime.now()
    writer.set_data(frame(2))
    got = reader.get_timestamp()
    assert got.tzinfo is None and abs(got - now) < datetime.timedelta(seconds=30)
    stamped = daoShm.DAO_FRAME(cnt0=3, cnt2=42, atime_ns=1700000000_123456789)
    assert writer.daoShmImage2ShmStamped(frame(3).ctypes.data, 12, writer.image, stamped) == 0
    wanted = datetime.datetime.fromtimestamp(1700000000).replace(microsecond=123456)
    assert reader.get_timestamp() == wanted and reader.get_frame_id() == 42
    atime = writer.image.md[reader.get_meta_data()["fifo_last_written"]].atime
    atime.ts.tv_sec, atime.ts.tv_nsec = 1700000000, 123456789  # as some programs have it
    assert reader.get_timestamp() == wanted


def the_count_that_a_segment_was_created_with_is_no_frame():
    for depth in (1, 4):
        path, size, image = p.path(), (ctypes.c_uint32 * 2)(3, 4), daoShm.IMAGE()
        writer = shm(path, data=frame(1), depth=depth)
        reader = shm(path)
        keyword = daoShm.IMAGE_KEYWORD(name=b"GAIN", type=b"L")
        assert writer.daoShmImageCreateSeeded(image, path.encode(), 2, size, 9, 0, depth, 41,
                                              keyword) == shm.DAO_SUCCESS
        assert reader.get_counter() == 41 and len(reader.get_history(4)) == 0
        assert reader.get_data(check=True, spin=True, timeout=0.01) is None
        writer.set_data(frame(9))
        assert reader.get_counter() == 42
        assert list(firsts(reader.get_history(4))) == [9]
        assert writer.daoShmCloseShm(image) == shm.DAO_SUCCESS


def data_of_another_memory_layout_is_converted():
    writer, reader = pair()
    base = frame(50, (6, 8))
    for data in (base[::2, ::2], frame(5, (4, 3)).T, frame(6).astype(">f4"),
                 np.asfortranarray(frame(7))):
        writer.set_data(data)
        assert np.array_equal(reader.get_data(), data.astype("=f4"))
    with shm(p.path(), data=frame(1, (4, 3)).T.astype(">f4")) as other:
        assert np.array_equal(other.get_data(), frame(1, (4, 3)).T)


def data_of_another_shape_or_type_is_refused_by_name():
    writer, reader = pair()
    for wrong in ((4, 3), (12,), (3, 5), (3, 4, 2), ()):
        with raises(ValueError, "(3, 4)", str(wrong), writer.fname):
            writer.set_data(np.zeros(wrong, "float32"))
    for wrong in ("float64", "int32", "complex64", "bool"):
        with raises(TypeError, "float32", wrong, writer.fname):
            writer.set_data(np.zeros((3, 4), wrong))
    assert reader.get_counter() == 1, "nothing was written"


def axes_of_length_1_do_not_matter_for_what_is_written():
    path = p.path()
    writer = shm(path, data=np.zeros((5, 1), "float32"), depth=2)
    for count, shape in enumerate(((5,), (1, 5), (5, 1, 1)), 2):
        writer.set_data(np.full(shape, count, "float32"))
        assert writer.get_counter() == count
        assert (writer.get_data() == np.full((5, 1), count)).all()
    with raises(ValueError, "(5, 1)", "(6,)"):
        writer.set_data(np.zeros(6, "float32"))
    writer.close()


def what_no_segment_can_hold_is_refused():
    path = p.path()
    for data, kind in ((np.float32(1), ValueError), (np.zeros((1, 2, 3, 4)), ValueError),
                       (np.zeros((0, 3)), ValueError), (np.zeros((3, 4), bool), TypeError),
                       (np.zeros(3, "float16"), TypeError), (["a"], TypeError)):
        with raises(kind):
            shm(path, data=data)
    with raises(ValueError, "0 axes"):
        shm(path, data=np.float32(1))
    with raises(ValueError, "4 axes"):
        shm(path, data=np.zeros((1, 2, 3, 4)))
    with raises(TypeError, "bool", "uint8"):
        shm(path, data=np.zeros((3, 4), bool))
    for options in ({"depth": 0}, {"depth": 2**32}, {"nbkw": -1}, {"nbkw": 32768}):
        with raises(ValueError, list(options)[0]):
            shm(path, data=frame(1), **options)
    with raises(TypeError):
        shm(path, data=frame(1), depth=1.5)
    assert not os.path.exists(path)


def one_axis_is_created_as_such_with_a_warning():
    with LogOf() as records:
        writer = shm(p.path(), data=np.arange(5, dtype="int16"))
    assert len(records) == 1 and "one axis" in records[0].getMessage()
    md = writer.get_meta_data()
    assert md["naxis"] == 1 and md["size"] == [5, 0, 0]
    with LogOf() as records:
        shm(p.path(), data=np.arange(5, dtype="int16").reshape(-1, 1))
    assert not records


class LogOf:
    """The records that the module's logger gets in the block."""

    def __enter__(self):
        import logging
        self.records = []
        self.handler = logging.Handler()
        self.handler.emit = self.records.append
        daoShm._log.addHandler(self.handler)
        return self.records

    def __exit__(self, *_):
        daoShm._log.removeHandler(self.handler)


def what_cannot_be_opened_raises_the_fitting_exception():
    with raises(FileNotFoundError, "open"):
        shm(p.path())
    with raises(FileNotFoundError, "directory"):
        shm(os.path.join(h.segments, "none", "x.im.shm"), data=frame(1))
    with raises(IsADirectoryError):
        shm(h.segments)
    with raises(IsADirectoryError):
        shm(h.segments, data=frame(1))
    path = p.path()
    with open(path, "wb") as f:
        f.write(b"no segment" * 1000)
    with raises(RuntimeError, path):
        shm(path)
    with raises(ValueError, "fname"):
        shm()
    with raises(ValueError, "NUL"):
        shm("a\0b")
    with raises(TypeError):
        shm(5)


def paths_may_be_bytes_or_path_objects():
    import pathlib
    writer, _ = pair()
    for path in (writer.fname.encode(), pathlib.Path(writer.fname)):
        with shm(path) as reader:
            assert firsts([reader.get_data()]) == [1]


def a_relative_path_survives_a_change_of_directory():
    writer, _ = pair()
    before = os.getcwd()
    os.chdir(h.segments)
    try:
        reader = shm(os.path.basename(writer.fname))
        os.chdir("/")
        assert firsts([reader.get_data()]) == [1]
        assert firsts(reader.get_history(2, buffer=True)) == [1]
    finally:
        os.chdir(before)


def without_permission_it_is_refused_or_read_only():
    writer, _ = pair()
    code = """
        import os, sys
        import numpy as np
        from daoShm import shm
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        reader = shm(sys.argv[1])
        assert reader.get_data()[0, 0] == 1
        assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
        assert reader.get_history(1, buffer=True).shape == (1, 3, 4)
        for spin in (True, False):
            assert reader.get_data(check=True, timeout=0.05, spin=spin) is None
        for attempt in (lambda: reader.set_data(np.zeros((3, 4), np.float32)),
                        lambda: shm(sys.argv[2]), lambda: shm(sys.argv[3], data=reader.get_data())):
            try:
                attempt()
            except PermissionError as error:
                print(error)
    """
    os.chmod(h.segments, 0o755)
    os.chmod(writer.fname, 0o444)
    for semaphore in glob.glob(f"/dev/shm/sem.{h.stream_name(writer.fname)}_sem*"):
        os.chmod(semaphore, 0)
    secret, _ = pair()
    os.chmod(secret.fname, 0)
    nowhere = os.path.join(h.segments, "closed")
    os.mkdir(nowhere, 0o555)
    process = p.child(code, writer.fname, secret.fname, os.path.join(nowhere, "x.im.shm"))
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "semaphore 0 cannot be used, waiting by counts" in errors, errors
    assert len(out.splitlines()) == 3 and writer.fname in out and secret.fname in out, (out, errors)


def a_closed_object_raises():
    writer, reader = pair()
    reader.close()
    reader.close()
    for use in (reader.get_data, reader.get_data_next, reader.get_history, reader.get_counter,
                reader.get_frame_id, reader.get_timestamp, reader.get_meta_data, reader.reset_tail,
                lambda: reader.get_data_arbitrary(0), lambda: reader.set_data(frame(1)),
                reader.publish, reader.subscribe, lambda: reader.get_data(check=True)):
        with raises(RuntimeError, "closed", reader.fname):
            use()
    assert reader.daoShmCloseShm(reader.image) == shm.DAO_ERROR
    with shm(writer.fname) as inner:
        assert inner.get_counter() == 1
    with raises(RuntimeError, "closed"):
        inner.get_counter()
    assert os.path.exists(writer.fname)


def the_c_functions_are_there_by_their_names():
    writer, reader = pair()
    for name in daoShm._PROTOTYPES:
        function = getattr(reader, name)
        assert function.argtypes is not None and function is getattr(daoShm._lib, name)
    with open(os.path.join(p.LIB, "dao.h"), encoding="utf-8") as f:
        header = f.read()
    import re
    declared = set(re.findall(r"DLL_EXPORT [^;(]*?\b\*?(dao\w+)\(", header))
    left_out = declared - set(daoShm._PROTOTYPES)
    assert left_out == {"daoLogAt", "daoPrintAt"}, left_out  # what the macros of C call
    assert writer.daoShmGetCounter(ctypes.byref(writer.image)) == 1
    assert writer.daoShmGetCounter(writer.image) == 1
    assert writer.image.md.contents.naxis == 2 and writer.image.md[0].size[1] == 4
    assert writer.image.array.F[5] == frame(1).flat[5]
    assert len(shm.daoBaseGetTimeStamp()) == 26 and shm.daoBaseIp2Int(b"10.1.2.3") == 0x0a010203
    until = daoShm.make_timespec_from_now(0)
    while reader.daoShmWaitForSemaphoreTimeout(reader.image, 4, until) == shm.DAO_SUCCESS:
        pass
    assert writer.daoSemPost(writer.image, 4) == 0
    assert reader.daoShmWaitForSemaphoreTimeout(reader.image, 4, until) == shm.DAO_SUCCESS
    assert reader.daoShmWaitForSemaphoreTimeout(reader.image, 4, until) == shm.DAO_TIMEOUT


def types_levels_and_times_have_functions():
    for atype, name in enumerate(p.TYPES, 1):
        assert daoShm.daoType2NpType(atype) is getattr(np, name)
        for given in (name, getattr(np, name), np.dtype(name), np.zeros(2, name)):
            assert daoShm.npType2DaoType(given) == atype
    for bad in (0, 13, -1):
        with raises(ValueError):
            daoShm.daoType2NpType(bad)
    with raises(TypeError):
        daoShm.npType2DaoType("float16")
    before = daoShm.getLogLevel()
    daoShm.setLogLevel(2)
    assert daoShm.getLogLevel() == 2
    daoShm.setLogLevel(before)
    shm(p.path(), data=frame(1), logLevel=1)
    assert daoShm.getLogLevel() == 1
    daoShm.setLogLevel(before)
    soon = daoShm.make_timespec_from_now(1.5)
    assert 1 < soon.tv_sec + soon.tv_nsec / 1e9 - time.time() <= 1.5
    assert 0 <= soon.tv_nsec < 10**9


def a_segment_is_created_with_the_umask():
    before = os.umask(0o022)
    try:
        writer, _ = pair()
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(writer.fname).st_mode) == 0o644


def the_python_examples_of_the_reference_page_run():
    name = p.path()
    data = np.zeros((256, 256), dtype=np.float32)
    shm_obj = shm(name, data=data, depth=8)
    source, shm_obj = shm_obj, shm(name)
    for i in range(1, 5):
        source.set_data(data + i)
    seen = []
    while len(seen) < 4:
        status, data = shm_obj.get_data_next(wait=True)
        if status == shm.DAO_OVERWRITE:
            raise AssertionError("overwritten")
        elif status == shm.DAO_NOTREADY:
            continue
        seen.append(data[0, 0])
    assert seen == [1, 2, 3, 4]
    history = shm_obj.get_history(num_items=4)
    assert history.shape == (4, 256, 256) and list(history[:, 9, 9]) == [1, 2, 3, 4]


if __name__ == "__main__":
    h.main([value for value in list(globals().values())
            if callable(value) and getattr(value, "__module__", "") == "__main__"
            and value.__name__ not in ("frame", "pair", "firsts", "LogOf")])
