"""A worker that answers control messages only: enough for the gate and the supervisor's questions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.engine.interface import EngineStats
from headrace.worker import protocol


class FakeWorker:
    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self.draining = False
        self.silent = False
        self.asked = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def stats(self) -> protocol.WorkerStats:
        return protocol.WorkerStats(engine=EngineStats(), live=2, draining=self.draining, refused=0, cancelled=0)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        frames = protocol.FrameReader()
        while data := connection.recv(4096):
            for frame in frames.feed(data):
                for message in protocol.decode_to_worker(frame):
                    self.draining = self.draining or isinstance(message, protocol.Drain)
                    self.asked.set()
                    if not self.silent:
                        # In two pieces: a reader must wait for the whole frame.
                        answers: list[protocol.FromWorker] = [self.stats()]
                        answer = protocol.encode(answers)
                        connection.sendall(answer[:3])
                        connection.sendall(answer[3:])


@contextmanager
def fake_worker(path: Path) -> Iterator[FakeWorker]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        try:
            yield FakeWorker(server)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            path.unlink()
