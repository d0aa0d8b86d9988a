"""daoShmZmq - frames of a segment over ZeroMQ: what publish() and subscribe() of daoShm.shm run.

Imported by daoShm when one of them is called; of that this module knows only the object that it is
given. Each function here runs in a thread of its own, with sockets that no other thread touches.

A message has three parts:

    b"daoShm1"   what it is; subscribers filter by it
    JSON         {"dtype": "<f4", "shape": [64, 64], "cnt0": 7, "cnt1": 0, "cnt2": 0,
                 "atime_ns": 1795633556000000000, "lost": 0, "flags": 0}
                 dtype as numpy writes it, little-endian; the rest as DAO_FRAME in dao.h
    pixels       of one frame, C order

The connection is neither encrypted nor authenticated. Nothing that is received is believed before
it is checked: number of parts, sizes, types, ranges.
"""
import json
import logging

import numpy as np
import zmq

_log = logging.getLogger("daoShm")

_MAGIC = b"daoShm1"
_HEADER_MAX = 4096  # bytes
_QUEUE_BYTES = 64 << 20  # what may wait in a socket, in frames of this size
_POLL_MS = 100


def _queue_frames(frame_bytes):
    return min(max(_QUEUE_BYTES // frame_bytes, 2), 1000)


def _socket(context, kind, owner, set_queue):
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)  # close() does not wait for a slow receiver
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(set_queue, _queue_frames(owner._frame_bytes))
    return socket


# ---- publishing ----

def _bind(socket, owner):
    try:
        socket.bind(f"tcp://*:{owner.pubPort or '*'}")
    except zmq.ZMQError as error:
        raise OSError(error.errno, f"cannot publish on TCP port {owner.pubPort}: {error}") from None
    endpoint = socket.getsockopt(zmq.LAST_ENDPOINT).decode()
    owner.pubPort = int(endpoint.rstrip("\0").rpartition(":")[2])


def _describe(owner, frame):
    header = {"dtype": owner.dtype.str, "shape": owner.shape}
    for key in ("cnt0", "cnt1", "cnt2", "atime_ns", "lost", "flags"):
        header[key] = getattr(frame, key)
    return json.dumps(header).encode()


def run_publisher(owner, started):
    """Send frames until owner.pubEvent is set or owner.pubEnable cleared. Calls started() once
    frames are read and the port is open; raises where that fails, or the segment is gone."""
    source = owner._follow()
    context = zmq.Context()
    try:
        with _socket(context, zmq.PUB, owner, zmq.SNDHWM) as socket:
            _bind(socket, owner)
            started()
            array = np.empty(owner._nelement, owner.dtype)
            while owner.pubEnable and not owner.pubEvent.is_set():
                frame = source.copy_next(array)
                if frame is None:
                    source.wait()
                else:
                    socket.send_multipart([_MAGIC, _describe(owner, frame), array.tobytes()])
    finally:
        context.term()
        source.close()


# ---- subscribing ----

def _integer(header, key, most):
    value = header.get(key, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{key} is {value!r}")
    return value


def _parse(parts, owner):
    """(what a DAO_FRAME is to have, pixels) of a message; ValueError says what is wrong with it."""
    if len(parts) != 3 or parts[0] != _MAGIC or len(parts[1]) > _HEADER_MAX:
        raise ValueError("not a frame of daoShm")
    try:
        header = json.loads(parts[1])
    except RecursionError:
        raise ValueError("not a frame of daoShm") from None
    if not isinstance(header, dict):
        raise ValueError("not a frame of daoShm")
    if header.get("dtype") != owner.dtype.str or header.get("shape") != list(owner.shape):
        raise ValueError(f"it holds {header.get('dtype')} of shape {header.get('shape')}, "
                         f"wanted are {owner.dtype.str} and {list(owner.shape)}")
    if len(parts[2]) != owner._frame_bytes:
        raise ValueError(f"{len(parts[2])} bytes of pixels, wanted are {owner._frame_bytes}")
    stamp = {"cnt1": _integer(header, "cnt0", 2**64 - 1),
             "cnt2": _integer(header, "cnt2", 2**64 - 1),
             "atime_ns": _integer(header, "atime_ns", 2**63 - 1)}
    return stamp, parts[2]


def _refuse_echo(owner):
    """An object that subscribes to itself would write each frame again and again."""
    host = str(owner.subHost).lower()
    if owner.pubEnable and owner.subPort == owner.pubPort and (
            host in ("localhost", "::1") or host.startswith("127.")):
        raise ValueError(f"subscribing to {host}:{owner.subPort}, which this object publishes on")


def _connect(socket, owner):
    host = f"[{owner.subHost}]" if ":" in str(owner.subHost) else owner.subHost
    endpoint = f"tcp://{host}:{owner.subPort}"
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise OSError(error.errno, f"cannot subscribe to {host}:{owner.subPort}: {error}") from None
    return endpoint


def _reconnect(socket, endpoint, monitor):
    """A connection ended. ZeroMQ makes a new one, but not after a message that was too long."""
    while monitor.poll(0):
        monitor.recv_multipart()
    try:
        socket.disconnect(endpoint)
    except zmq.ZMQError:  # it knows already
        pass
    socket.connect(endpoint)


def _receive(owner, socket, monitor, endpoint):
    while owner.subEnable and not owner.subEvent.is_set():
        if not socket.poll(_POLL_MS):
            if monitor.poll(0):
                _reconnect(socket, endpoint, monitor)
            continue
        try:
            stamp, pixels = _parse(socket.recv_multipart(), owner)
        except ValueError as error:
            owner._warn_once("received", "%s: a message from %s was dropped: %s",
                             owner.fname, owner.subHost, error)
            continue
        owner._store_received(pixels, stamp)


def run_subscriber(owner, started):
    """Write what is received until owner.subEvent is set or owner.subEnable cleared. Calls
    started() once the connection is asked for; raises where writing fails."""
    _refuse_echo(owner)
    context = zmq.Context()
    try:
        with _socket(context, zmq.SUB, owner, zmq.RCVHWM) as socket:
            socket.setsockopt(zmq.MAXMSGSIZE, max(owner._frame_bytes, _HEADER_MAX))
            socket.setsockopt(zmq.SUBSCRIBE, _MAGIC)
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            try:
                endpoint = _connect(socket, owner)
                started()
                _receive(owner, socket, monitor, endpoint)
            finally:
                socket.disable_monitor()
                monitor.close()
    finally:
        context.term()
