"""`make locust`: locust with our users against the gateway of the configuration, with its UI or `--headless`."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from headrace import config, paths
from headrace.errors import HeadraceError, StartupError
from headrace.serving.status import addresses

_LOCUSTFILE = Path(__file__).parent / "locustfile.py"
_SECONDS = 5.0
_SAYS_SOMETHING = frozenset({"-h", "--help", "-V", "--version", "-l", "--list"})
"""And starts no load."""


def command(arguments: list[str]) -> list[str]:
    """Of locust. Raises `ConfigError`, or `StartupError` when no gateway answers."""
    if not _SAYS_SOMETHING.intersection(arguments):
        host = _given(arguments, "-H", "--host") or os.environ.get("LOCUST_HOST") or _configured()
        _answers(host)
        arguments = [*arguments, "--host", host]
    if _given(arguments, "--web-host") is None:
        arguments = ["--web-host", "127.0.0.1", *arguments]
    return [sys.executable, "-m", "locust", "--locustfile", str(_LOCUSTFILE), *arguments]


def _configured() -> str:
    host = addresses(config.load()).get("gateway")
    if host is None:
        raise StartupError("the configuration has no gateway: set gateway.enabled to true, or give --host URL")
    return host


def _given(arguments: list[str], *names: str) -> str | None:
    for place, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in names:
            return value or next(iter(arguments[place + 1 :]), None)
    return None


def _answers(url: str) -> None:
    place = urlsplit(url)
    if place.scheme not in {"http", "https"} or place.hostname is None:
        raise StartupError(f"--host: expected http://HOST:PORT, got {url!r}")
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname, place.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/health/live")
        connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise StartupError(f"no gateway answers at {url} ({error}); start it with `make up`") from None
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        started = command(sys.argv[1:])
    except HeadraceError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(1)
    os.chdir(paths.PROJECT)
    os.execv(started[0], started)  # noqa: S606 - locust patches sockets, which must come before all imports
