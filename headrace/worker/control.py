"""Ask a worker how it is, or tell it to take no more requests. Blocking, one connection a call."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import msgspec

from headrace.errors import EngineUnavailable
from headrace.worker import protocol


def stats(socket_path: Path, timeout: float) -> protocol.WorkerStats:
    """The worker's counters. Raises `EngineUnavailable` when it does not answer within `timeout` seconds."""
    return _ask(socket_path, protocol.AskStats(), timeout)


def drain(socket_path: Path, timeout: float) -> protocol.WorkerStats:
    """From now on the worker refuses new requests; running ones finish. Raises `EngineUnavailable`."""
    return _ask(socket_path, protocol.Drain(), timeout)


def _ask(socket_path: Path, message: protocol.ToWorker, timeout: float) -> protocol.WorkerStats:
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(socket_path))
            connection.sendall(protocol.encode([message]))
            return _receive(connection, deadline)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise EngineUnavailable(f"the engine worker at {socket_path} does not answer: {error}") from None


def _receive(connection: socket.socket, deadline: float) -> protocol.WorkerStats:
    frames = protocol.FrameReader()
    while True:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("it closed the connection")
        for frame in frames.feed(data):
            for answer in protocol.decode_from_worker(frame):
                if isinstance(answer, protocol.WorkerStats):
                    return answer
