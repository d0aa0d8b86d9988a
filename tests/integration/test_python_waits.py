#!/usr/bin/env python3
"""The Python class: waits, what ends them, sources that misbehave, threads, and the exit."""
import ctypes
import os
import signal
import sys
import threading
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import python_face as p  # noqa: E402
from python_face import daoShm, in_thread, raises, shm  # noqa: E402

LONG = 60  # seconds: what a test that fails waits


def frame(value, shape=(3, 4)):
    return h.ramp([value], shape, "int32")[0]


def value_of(got):
    """The value of a frame, after a look at all its elements."""
    value = int(got.flat[0])
    assert np.array_equal(got, frame(value, got.shape)), got
    return value


def pair(depth=4):
    writer = shm(p.path(), data=frame(1), depth=depth)
    return writer, shm(writer.fname)


def every_wait(reader, timeout):
    """name: a wait that returns None (or True where it cannot time out)."""
    return {
        "semaphore": lambda: reader.get_data(check=True, semNb=3, timeout=timeout),
        "counter": lambda: reader.get_data(check=True, spin=True, timeout=timeout),
        "history by semaphore": lambda: reader.get_history(2, check=True, timeout=timeout),
        "history by counter": lambda: reader.get_history(2, True, 0, timeout, True),
    }


def a_wait_without_a_frame_ends_at_its_timeout():
    writer, reader = pair()
    for name, wait in every_wait(reader, 0.15).items():
        begin = time.monotonic()
        assert wait() is None, name
        assert time.monotonic() - begin >= 0.15, name
    for bad in (-1, float("nan")):
        with raises(ValueError, "timeout"):
            reader.get_data(check=True, timeout=bad)
    for bad in (-1, 10):
        with raises(ValueError, "semNb"):
            reader.get_data(check=True, semNb=bad)


def a_wait_ends_with_the_next_frame():
    writer, reader = pair()
    value = 1
    for timeout in (0, LONG):
        waits = every_wait(reader, timeout)
        waits["next"] = lambda: reader.get_data_next(wait=True)[1]
        for name, wait in waits.items():
            result = in_thread(wait)
            time.sleep(0.03)
            assert result.is_alive(), f"{name} returned without a frame"
            value += 1
            writer.set_data(frame(value))
            got = result()
            assert value_of(got[-1] if got.ndim == 3 else got) == value, name


def a_new_frame_is_one_after_the_tail():
    writer, reader = pair()
    for wait in every_wait(reader, 0.05).values():
        assert wait() is None, "the frame at opening, and old posts, are not new"
    for spin in (False, True):
        writer.set_data(frame(2))
        writer.set_data(frame(3))
        assert value_of(reader.get_data(check=True, spin=spin, timeout=LONG)) == 3
        assert reader.get_data(check=True, spin=spin, timeout=0.05) is None, "a frame twice"
    assert value_of(writer.get_data(check=True, timeout=LONG)) == 3


def no_frame_is_seen_twice_by_a_reader_that_waits():
    writer, reader = pair()
    stop = threading.Event()

    def write():
        while not stop.is_set():
            writer.set_data(frame(writer.get_counter() + 1))
    writing = in_thread(write)
    try:
        for spin in (False, True):
            seen = [value_of(reader.get_data(check=True, spin=spin)) for _ in range(300)]
            assert seen == sorted(set(seen)), "a frame twice, or out of order"
    finally:
        stop.set()
        writing()


def a_wait_lives_without_semaphores():
    """With a source that posts none."""
    writer, reader = pair()
    result = in_thread(lambda: reader.get_data(check=True, timeout=LONG))
    time.sleep(0.03)
    writer.daoShmImage2ShmQuiet(frame(2).ctypes.data, 12, writer.image)
    slot = (writer.image.md[0].fifo_last_written + 1) % 4
    writer.image.md[slot].cnt0, writer.image.md[slot].write = 2, 0
    writer.image.md[0].fifo_last_written = slot  # published, and nobody is told
    assert value_of(result()) == 2


def ctrl_c_ends_every_wait():
    code = """
        import sys
        from daoShm import shm
        reader = shm(sys.argv[1])
        for wait in sys.argv[2:]:
            try:
                print("waiting")
                eval(wait)
                print("not interrupted")
            except KeyboardInterrupt:
                print("interrupted")
    """
    writer, _ = pair()
    waits = ("reader.get_data(check=True)", "reader.get_data(check=True, spin=True)",
             "reader.get_data(check=True, timeout=60)", "reader.get_data_next(wait=True)",
             "reader.get_history(2, check=True)", "reader.get_history(2, check=True, spin=True)")
    process = p.child(code, writer.fname, *waits)
    for wait in waits:
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        answer = in_thread(process.stdout.readline)
        assert answer(LONG) == "interrupted\n", wait
    out, errors = process.communicate(timeout=LONG)
    assert not out and not errors, (out, errors)


def other_signals_do_not_end_a_wait():
    code = """
        import signal, sys
        from daoShm import shm
        reader = shm(sys.argv[1])
        signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
        print("waiting")
        print(reader.get_data(check=True, spin=eval(sys.argv[2]))[0, 0])
    """
    writer, _ = pair()
    children = [p.child(code, writer.fname, spin) for spin in ("False", "True")]
    for process in children:
        assert process.stdout.readline() == "waiting\n"
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == "handled\n"
    writer.set_data(frame(5))
    for process in children:
        out, errors = process.communicate(timeout=LONG)
        assert out == "5\n" and not errors and process.returncode == 0, (out, errors)


def closing_ends_the_waits_of_other_threads():
    for name in every_wait(None, 0):
        writer, reader = pair()
        result = in_thread(every_wait(reader, 0)[name])
        time.sleep(0.02)
        reader.close()
        assert not reader.image.used
        with raises(RuntimeError, "closed"):
            result()


def a_signal_handler_may_close():
    code = """
        import signal, sys
        from daoShm import shm
        reader = shm(sys.argv[1])
        signal.signal(signal.SIGUSR1, lambda *_: reader.close())
        print("waiting")
        try:
            reader.get_data(check=True)
        except RuntimeError as error:
            print("closed" in str(error), reader.image.used)
    """
    writer, _ = pair()
    process = p.child(code, writer.fname)
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    out, errors = process.communicate(timeout=LONG)
    assert out == "True 0\n" and not errors, (out, errors)


def a_restart_ends_the_waits():
    for name in list(every_wait(None, 0)) + ["next"]:
        writer, reader = pair()
        for value in range(2, 9):
            writer.set_data(frame(value))
        assert value_of(reader.get_data()) == 8
        waits = every_wait(reader, LONG)
        waits["next"] = lambda: reader.get_data_next(wait=True)[1]
        result = in_thread(waits[name])
        time.sleep(0.02)
        again = shm(writer.fname, data=frame(100), depth=4)  # in place: the count is 1 again
        got = result()
        if name != "next" or got.any():  # next may catch the moment before the first frame
            assert value_of(got[-1] if got.ndim == 3 else got) == 100, name
        again.set_data(frame(101))
        status, got = reader.get_data_next(wait=True)
        while value_of(got) != 101:
            status, got = reader.get_data_next(wait=True)


def a_restart_is_an_overwrite_once():
    writer, reader = pair()
    for value in range(2, 9):
        writer.set_data(frame(value))
    reader.get_data()
    again = shm(writer.fname, data=frame(100), depth=4)
    status, got = reader.get_data_next()
    assert status == shm.DAO_OVERWRITE and value_of(got) == 100
    assert reader.get_data_next() == (shm.DAO_NOTREADY, None)
    again.set_data(frame(101))
    status, got = reader.get_data_next()
    assert status == shm.DAO_SUCCESS and value_of(got) == 101
    assert [value_of(f) for f in reader.get_history(4)] == [100, 101]
    assert reader.get_counter() == 2


def a_restart_without_a_frame_is_no_frame():
    writer, reader = pair()
    for value in range(2, 9):
        writer.set_data(frame(value))
    reader.get_data()
    size = (ctypes.c_uint32 * 2)(3, 4)
    again = daoShm.IMAGE()
    assert shm.daoShmImageCreate_FIFO(again, writer.fname.encode(), 2, size, 6, 1, 0, 4) == 0
    for name, wait in every_wait(reader, 0.05).items():
        assert wait() is None, name
    assert shm.daoShmImage2Shm(frame(100).ctypes.data, 12, again) == 0
    assert value_of(reader.get_data(check=True, timeout=LONG)) == 100
    shm.daoShmCloseShm(again)


def a_restart_begins_a_buffered_history_anew():
    writer, reader = pair()
    writer.set_data(frame(2))
    assert len(reader.get_history(9, buffer=True)) == 2
    again = shm(writer.fname, data=frame(100), depth=4)
    again.set_data(frame(101))
    assert [value_of(f) for f in reader.get_history(9, buffer=True)] == [100, 101]


def a_segment_that_is_gone_is_an_error_until_opened_again():
    def truncate(path):
        os.truncate(path, 100)

    def reshape(path):
        shm(path, data=np.zeros((7, 7)), depth=2).close()
    for spoil in (truncate, os.unlink, reshape):
        writer, reader = pair()
        waiting = shm(writer.fname)
        result = in_thread(lambda: waiting.get_data(check=True, spin=spoil is truncate))
        nexts = shm(writer.fname)
        following = in_thread(lambda: nexts.get_data_next(wait=True))
        time.sleep(0.02)
        spoil(writer.fname)
        with raises(RuntimeError, "open it again", writer.fname):
            result()
        assert following() == (shm.DAO_ERROR, None)
        for use in (reader.get_data, reader.get_history, reader.get_meta_data, reader.get_counter,
                    reader.reset_tail, lambda: reader.get_data_arbitrary(1),
                    lambda: reader.get_history(2, buffer=True)):
            with raises(RuntimeError, "open it again"):
                use()
        assert reader.get_data_next() == (shm.DAO_ERROR, None)
        if spoil is truncate:
            with raises(RuntimeError):
                writer.set_data(frame(2))
        shm(writer.fname, data=frame(50), depth=4).close()
        for old in (reader, waiting, nexts, writer):
            old.close()
        with shm(writer.fname) as again:
            assert value_of(again.get_data()) == 50


def a_damaged_head_does_not_hide_the_newest_frame():
    writer, reader = pair()
    writer.set_data(frame(2))
    writer.image.md[0].fifo_last_written = 77
    assert value_of(reader.get_data()) == 2
    assert reader.get_counter() == reader.get_meta_data()["cnt0"] == 2
    with raises(RuntimeError, writer.fname):
        writer.set_data(frame(3))


def open_when_there(path):
    end = time.monotonic() + LONG
    while True:
        try:
            return shm(path)
        except (RuntimeError, FileNotFoundError):  # not there, or being created
            assert time.monotonic() < end
            time.sleep(0.005)


def frames_are_whole_beside_a_writer_that_never_rests():
    """The field's order, unthrottled; large frames, so that copies are overtaken."""
    path = p.path()
    source = h.start(h.FIELD_WRITER, path, "--size", "150x200", "--type", "int32", "--depth", 6,
                     "--rate", 0, "-n", 0)
    reader = open_when_there(path)
    h.wait_for(lambda: reader.get_counter() > 0, what="the first frame")
    counts = {}
    for name, read in {
            "newest": lambda: [reader.get_data()], "history": lambda: reader.get_history(3),
            "new": lambda: [reader.get_data(check=True, spin=True)],
            "next": lambda: [reader.get_data_next(wait=True)[1]],
            "buffer": lambda: reader.get_history(20, buffer=True)}.items():
        last, counts[name] = 0, 0
        end = time.monotonic() + 0.25
        while time.monotonic() < end or not counts[name]:
            frames = read()
            values = [value_of(f) for f in frames]
            if name == "buffer" and not values:
                continue  # every copy was overtaken
            assert values == list(range(values[0], values[0] + len(values))), (name, values)
            assert values[-1] >= last, f"{name}: a frame of the past"
            last = values[-1]
            counts[name] += len(values)
    source.terminate()
    source.communicate(timeout=LONG)
    print("       ", counts)


def a_field_writer_that_restarts_is_followed_or_reported():
    """It truncates the file under the reader, and fills it again."""
    path = p.path()
    reader = None
    for frames in (400, 401, 402):
        source = h.start(h.FIELD_WRITER, path, "--size", "30x40", "--type", "int32", "--depth", 8,
                         "--rate", 2000, "-n", frames)
        reader = reader or open_when_there(path)
        while source.poll() is None:
            try:
                got = reader.get_data(check=True, timeout=0.05)
                assert got is None or value_of(got) <= frames
            except RuntimeError:
                reader.close()
                reader = open_when_there(path)
        assert reader.get_counter() == frames and value_of(reader.get_data()) == frames


def one_object_serves_a_writing_and_a_reading_thread():
    both = shm(p.path(), data=frame(1, (20, 30)), depth=64)
    frames = 3000
    done = threading.Event()

    def write():
        for value in range(2, frames + 1):
            both.set_data(frame(value, (20, 30)))
            if value % 32 == 0:
                time.sleep(0.001)
        done.set()

    def look():
        while not done.is_set():
            md = both.get_meta_data()
            assert md["cnt0"] <= frames and md["write"] == 0
            assert value_of(both.get_data_arbitrary(0)) > 0
            time.sleep(0.002)
    threads = [in_thread(write), in_thread(look)]
    last = 0
    while last < frames:
        status, got = both.get_data_next(wait=True)
        value = value_of(got)
        assert value == last + 1 or (status == shm.DAO_OVERWRITE and value > last), (status, value)
        last = value
    for thread in threads:
        thread()


def two_readers_on_one_object_share_the_frames():
    writer, reader = pair(depth=256)
    for value in range(2, 202):
        writer.set_data(frame(value))

    def drain():
        values = []
        while True:
            status, got = reader.get_data_next()
            if status == shm.DAO_NOTREADY:
                return values
            assert status == shm.DAO_SUCCESS
            values.append(value_of(got))
    threads = [in_thread(drain) for _ in range(3)]
    parts = [thread() for thread in threads]
    assert sorted(sum(parts, [])) == list(range(2, 202))


def the_interpreter_leaves_in_silence():
    writer, _ = pair()
    begin = "import sys, threading, time\nfrom daoShm import shm\nreader = shm(sys.argv[1])\n"
    thread = "threading.Thread(target=lambda: reader.%s, daemon=True).start()\ntime.sleep(0.05)\n"
    for end in ("", "keep = [reader]; keep.append(keep)\n",
                thread % "get_data(check=True)", thread % "get_data_next(wait=True)"):
        assert p.run(begin + end, writer.fname) == "", end


if __name__ == "__main__":
    h.main([a_wait_without_a_frame_ends_at_its_timeout, a_wait_ends_with_the_next_frame,
            a_new_frame_is_one_after_the_tail, no_frame_is_seen_twice_by_a_reader_that_waits,
            a_wait_lives_without_semaphores, ctrl_c_ends_every_wait,
            other_signals_do_not_end_a_wait, closing_ends_the_waits_of_other_threads,
            a_signal_handler_may_close, a_restart_ends_the_waits, a_restart_is_an_overwrite_once,
            a_restart_without_a_frame_is_no_frame, a_restart_begins_a_buffered_history_anew,
            a_segment_that_is_gone_is_an_error_until_opened_again,
            a_damaged_head_does_not_hide_the_newest_frame,
            frames_are_whole_beside_a_writer_that_never_rests,
            a_field_writer_that_restarts_is_followed_or_reported,
            one_object_serves_a_writing_and_a_reading_thread,
            two_readers_on_one_object_share_the_frames, the_interpreter_leaves_in_silence])
