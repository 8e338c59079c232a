"""An issuer's web server, which can be slow, broken and talkative."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any


class KeyServer:
    def __init__(self) -> None:
        self.body = b'{"keys": []}'
        self.status = 200
        self.headers: dict[str, str] | None = None
        """Instead of a right `Content-Length`."""
        self.requests: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        """Until then it is silent."""
        self.drips = False
        """A byte every 20 ms, for ever."""
        self.drips_headers = False
        self.url = ""


@contextlib.contextmanager
def running() -> Iterator[KeyServer]:
    state = KeyServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            state.may_answer.wait(20)
            with contextlib.suppress(OSError):
                if state.drips_headers:
                    self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                self.send_response(state.status)
                length = {"Content-Length": str(len(state.body))}
                for name, value in (length if state.headers is None else state.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if state.drips:
                    self._drip(b"")
                self.wfile.write(state.body)

        def _drip(self, first: bytes) -> None:
            self.wfile.write(first)
            while not ended.wait(0.02):
                self.wfile.write(b" ")
                self.wfile.flush()

        def log_message(self, *_: Any) -> None: ...

    ended = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/keys?v=1"
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    try:
        yield state
    finally:
        ended.set()
        state.may_answer.set()
        server.shutdown()
        server.server_close()
        serving.join()


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
