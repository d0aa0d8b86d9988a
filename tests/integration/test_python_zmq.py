#!/usr/bin/env python3
"""publish() and subscribe() of the Python class, over loopback."""
import json
import os
import sys
import threading
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import harness as h  # noqa: E402
import python_face as p  # noqa: E402
from python_face import raises, shm  # noqa: E402

try:
    import zmq
except ImportError:
    print("no zmq module here (python3-zmq): publish() and subscribe() are not tested")
    sys.exit(77)

HOST = "127.0.0.1"


def frame(value, shape=(3, 4), dtype="float32"):
    return h.ramp([value], shape, dtype)[0]


def published(shape=(3, 4), dtype="float32", depth=16):
    source = shm(p.path(), data=frame(1, shape, dtype), depth=depth, pubPort=0)
    source.publish()
    return source


def subscribed(port, shape=(3, 4), dtype="float32", depth=64):
    copy = shm(p.path(), data=np.zeros(shape, dtype), depth=depth, subHost=HOST, subPort=port)
    copy.subscribe()
    return copy


def write_until(source, condition):
    """A subscriber is connected some time after it asked: go on until it got something."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "nothing arrived"
        shape, dtype = source.shape, source.dtype
        source.set_data(frame(source.get_counter() + 1, shape, dtype))
        time.sleep(0.002)


def no_thread_is_left():
    h.wait_for(lambda: not [t for t in threading.enumerate() if t.name.startswith("daoShm")])


def frames_arrive_with_what_the_source_knew_of_them():
    for dtype, shape in (("float32", (3, 4)), ("complex128", (2, 3, 4)), ("uint8", (7, 1))):
        source = published(shape, dtype)
        copy = subscribed(source.pubPort, shape, dtype)
        write_until(source, lambda: copy.get_counter() > 5)
        stamped = p.daoShm.DAO_FRAME(cnt0=100000, cnt2=4242, atime_ns=1700000000_123456789)
        array = frame(99, shape, dtype)
        assert source.daoShmImage2ShmStamped(array.ctypes.data, array.size, source.image,
                                             stamped) == 0
        h.wait_for(lambda: copy.get_meta_data()["cnt1"] == 100000, what="the last frame")
        assert np.array_equal(copy.get_data(), array)
        assert copy.get_frame_id() == 4242 and copy.get_timestamp() == source.get_timestamp()
        for slot in range(1, copy.get_counter() - 1):  # the first frame of the copy is its own
            count = copy.get_meta_data(slot)["cnt1"]
            value = 99 if count == 100000 else count  # where many came, it is among the slots
            assert np.array_equal(copy.get_data_arbitrary(slot), frame(value, shape, dtype))
        assert source.pubEnable and copy.subEnable
        source.close()
        copy.close()
        no_thread_is_left()


def publishing_leaves_the_tail():
    source = published()
    copy = subscribed(source.pubPort)
    write_until(source, lambda: copy.get_counter() > 3)
    source.reset_tail()
    source.set_data(frame(77))
    assert np.array_equal(source.get_data_next()[1], frame(77))
    source.close()
    copy.close()


def a_frame_that_arrives_while_it_closes_is_not_stored():
    source = published()
    copy = subscribed(source.pubPort)
    source.close()
    copy.close()
    entered, enter = [], copy._enter
    copy._enter = lambda: (entered.append(True), enter())
    with h.Raises(RuntimeError, "closed"):  # its segment is not mapped any more
        copy._store_received(b"", {})
    assert entered  # so close() waits for it, too


def it_can_be_stopped_and_begun_again():
    source = published()
    port = source.pubPort
    copy = subscribed(port)
    write_until(source, lambda: copy.get_counter() > 3)
    for _ in range(2):
        source.publish()  # already: nothing happens
    for which, one in (("pub", source), ("sub", copy)):
        setattr(one, which + "Enable", False)
        h.wait_for(lambda: not getattr(one, which + "Thread").is_alive())
        (source.publish if which == "pub" else copy.subscribe)()
        assert getattr(one, which + "Enable")
    assert source.pubPort == port
    count = copy.get_counter()
    write_until(source, lambda: copy.get_counter() > count + 3)
    source.close()
    copy.close()
    no_thread_is_left()


def the_threads_can_be_started_by_hand():
    source = shm(p.path(), data=frame(1), depth=16, pubPort=0)
    source.pubThread.start()
    source.pubThread.started.wait(60)
    copy = shm(p.path(), data=frame(0), depth=16, subHost=HOST, subPort=source.pubPort)
    copy.subThread.start()
    write_until(source, lambda: copy.get_counter() > 3)
    source.close()
    copy.close()
    no_thread_is_left()


def messages_that_do_not_fit_are_dropped():
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.LINGER, 0)
    port = socket.bind_to_random_port(f"tcp://{HOST}")
    copy = subscribed(port)
    good = {"dtype": "<f4", "shape": [3, 4], "cnt0": 5, "cnt1": 0, "cnt2": 6, "atime_ns": 10**18}
    pixels, bad = frame(50).tobytes(), frame(66).tobytes()

    def header(**changes):
        return json.dumps({**good, **changes}).encode()
    magic = b"daoShm1"
    wrong = [[magic], [magic, header()], [magic, header(), bad, bad], [magic, header(), bad[:-1]],
             [magic, header(), bad + b"x"], [magic, b"", bad], [magic, b"[" * 4000, bad],
             [magic, b"\xff\xfe", bad], [magic, b"5", bad], [magic + b"x", header(), bad],
             [magic, header(dtype=">f4"), bad], [magic, header(dtype="<i4"), bad],
             [magic, header(shape=[4, 3]), bad], [magic, header(shape=12), bad],
             [magic, header(cnt0=-1), bad], [magic, header(cnt0=2**64), bad],
             [magic, header(cnt2="7"), bad], [magic, header(atime_ns=2**63), bad],
             [magic, header(atime_ns=1.5), bad]]
    end = time.monotonic() + 60
    while copy.get_counter() < 8:  # its own, then good ones
        assert time.monotonic() < end and copy.subEnable, "the subscriber is gone"
        for message in wrong:
            socket.send_multipart(message)
        socket.send_multipart([magic, header(), pixels])
        time.sleep(0.01)
    # One that is too long ends the connection; ZeroMQ makes another.
    socket.send_multipart([magic, header() + b" " * 5000, bad])
    count = copy.get_counter() + 5
    while copy.get_counter() < count:
        assert time.monotonic() < end and copy.subEnable, "the subscriber is gone"
        socket.send_multipart([magic, header(), pixels])
        time.sleep(0.01)
    history = copy.get_history(64)[1:]
    assert all(np.array_equal(got, frame(50)) for got in history)
    assert copy.get_meta_data()["cnt1"] == 5 and copy.get_frame_id() == 6
    copy.close()
    socket.close()
    context.term()


def a_port_in_use_is_an_error():
    source = published()
    with shm(p.path(), data=frame(1), pubPort=source.pubPort) as other:
        with raises(OSError, str(source.pubPort)):
            other.publish()
        assert not other.pubEnable and not other.pubThread.is_alive()
        other.pubPort = 0
        other.publish()
        assert other.pubEnable
    with shm(p.path(), data=frame(1), subHost="not a host", subPort=5) as other:
        with raises(OSError, "not a host"):
            other.subscribe()
    source.close()


def an_object_does_not_subscribe_to_itself():
    source = published()
    source.subHost, source.subPort = "localhost", source.pubPort
    with raises(ValueError, "this object"):
        source.subscribe()
    assert source.get_counter() == 1
    source.close()


def the_interpreter_leaves_in_silence_while_publishing():
    assert p.run("""
        import sys, numpy as np
        from daoShm import shm
        source = shm(sys.argv[1], data=np.ones((2, 3)), depth=4, pubPort=0)
        source.publish()
        copy = shm(sys.argv[2], data=np.ones((2, 3)), depth=4, subPort=source.pubPort)
        copy.subscribe()
        """, p.path(), p.path()) == ""


def a_segment_that_goes_ends_the_publisher():
    source = published()
    os.unlink(source.fname)
    h.wait_for(lambda: not source.pubEnable, what="the publisher to notice")
    source.close()
    no_thread_is_left()


if __name__ == "__main__":
    h.main([frames_arrive_with_what_the_source_knew_of_them, publishing_leaves_the_tail,
            a_frame_that_arrives_while_it_closes_is_not_stored,
            it_can_be_stopped_and_begun_again, the_threads_can_be_started_by_hand,
            messages_that_do_not_fit_are_dropped, a_port_in_use_is_an_error,
            an_object_does_not_subscribe_to_itself,
            the_interpreter_leaves_in_silence_while_publishing,
            a_segment_that_goes_ends_the_publisher])
