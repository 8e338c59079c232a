"""The steps' end of the worker's socket: submit from any thread, results arrive on one reader thread."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from headrace.errors import EngineFailed, EngineUnavailable, HeadraceError, InvalidRequest, QueueFull
from headrace.worker import protocol

RETRY_SECONDS = 0.05
_RECEIVE_BYTES = 1 << 18

log = structlog.get_logger()


class Listener(Protocol):
    """Who waits for the tokens of one request. Called on the reader thread."""

    def on_tokens(self, tokens: protocol.Tokens) -> None: ...

    def on_error(self, error: HeadraceError) -> None: ...


class WorkerClient:
    """Connects, and connects again after the worker was restarted.

    Every submitted request ends in exactly one of: a `Tokens` with a finish reason, or one error.
    """

    def __init__(self, socket_path: Path) -> None:
        self._path = str(socket_path)
        self._keys = itertools.count(1)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._live: dict[int, Listener] = {}
        self.on_stats: Callable[[protocol.WorkerStats], None] = lambda stats: None
        """Called on the reader thread with the answer to `ask_stats`."""
        self._closed = threading.Event()
        self._connected = threading.Event()
        self._reader = threading.Thread(target=self._run, name="engine-worker-reader", daemon=True)
        self._reader.start()

    def wait_until_connected(self, timeout: float | None = None) -> bool:
        """True once the worker listens, which it does only after a real generation."""
        return self._connected.wait(timeout)

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def new_key(self) -> int:
        return next(self._keys)

    def submit(self, request: protocol.Submit, listener: Listener) -> None:
        """Send a request whose key came from `new_key`. Raises `EngineUnavailable` when no worker is there."""
        self._send(request, listener)

    def abort(self, key: int) -> None:
        self._send(protocol.Abort(key))

    def stop_tag(self, tag: str) -> None:
        """Stop every live request with this tag."""
        self._send(protocol.StopTag(tag))

    def ask_stats(self) -> None:
        self._send(protocol.AskStats())

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            if self._socket is not None:
                _shut_down(self._socket)
        self._reader.join(timeout=1)

    def _send(self, message: protocol.ToWorker, listener: Listener | None = None) -> None:
        frame = protocol.encode([message])
        with self._lock:
            if self._socket is None:
                raise EngineUnavailable("the engine worker is not running; it restarts, try again in a moment")
            if listener is not None and isinstance(message, protocol.Submit):
                self._live[message.key] = listener
            try:
                self._socket.sendall(frame)
            except OSError:
                # The reader sees the broken socket too and fails every live request, this one among them.
                _shut_down(self._socket)

    def _run(self) -> None:
        while not self._closed.is_set():
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._path)
            except OSError:
                connection.close()
                time.sleep(RETRY_SECONDS)
                continue
            with self._lock:
                self._socket = connection
            self._connected.set()
            self._read(connection)
            self._disconnect(connection)

    def _read(self, connection: socket.socket) -> None:
        """Until the connection ends, or brings what no worker of ours would send."""
        frames = protocol.FrameReader()
        while True:
            try:
                data = connection.recv(_RECEIVE_BYTES)
                messages = [m for frame in frames.feed(data) for m in protocol.decode_from_worker(frame)]
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                log.warning("connection to the engine worker lost", problem=str(error))
                return
            if not data:
                return
            for message in messages:
                self._deliver(message)

    def _deliver(self, message: protocol.FromWorker) -> None:
        """A listener that fails loses its own request only: the thread serves all of them."""
        match message:
            case protocol.Tokens(key=key, finish_reason=finish_reason):
                listener = self._live.get(key) if finish_reason is None else self._live.pop(key, None)
                if listener is not None:
                    self._tell_tokens(listener, message)
            case protocol.Failure(key=key):
                listener = self._live.pop(key, None)
                if listener is not None:
                    _tell_error(listener, _error(message))
            case protocol.WorkerStats():
                with _logged("the statistics could not be shown"):
                    self.on_stats(message)

    def _tell_tokens(self, listener: Listener, tokens: protocol.Tokens) -> None:
        try:
            listener.on_tokens(tokens)
        except Exception:
            log.exception("an answer could not be delivered")
            self._live.pop(tokens.key, None)
            with contextlib.suppress(EngineUnavailable):
                self.abort(tokens.key)
            _tell_error(listener, HeadraceError("the answer could not be delivered; see the server's log"))

    def _disconnect(self, connection: socket.socket) -> None:
        self._connected.clear()
        with self._lock:
            self._socket = None
            lost, self._live = self._live, {}
        connection.close()
        for listener in lost.values():
            _tell_error(listener, EngineUnavailable("the engine worker ended during this request; send it again"))


def _tell_error(listener: Listener, error: HeadraceError) -> None:
    with _logged("an error could not be delivered"):
        listener.on_error(error)


@contextlib.contextmanager
def _logged(problem: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception(problem)


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _error(failure: protocol.Failure) -> HeadraceError:
    match failure.code:
        case "invalid":
            field, _, problem = failure.message.partition(": ")
            return InvalidRequest(field, problem)
        case "queue_full":
            return QueueFull(failure.message)
        case "unavailable":
            return EngineUnavailable(failure.message)
        case "failed":
            return EngineFailed(failure.message)
