"""The tenants in force: read anew when their file changes, and kept when the new one is bad."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from headrace.errors import ConfigError
from headrace.file_stamp import stamp
from headrace.tenants.file import Tenants, read

LOOK_SECONDS = 0.5
"""A look at the file, which comes at most so often."""

log = structlog.get_logger()


class LiveTenants:
    """`current` is looked at before every request; it never reads the file itself, since many tenants take long.
    A change holds for the requests after it was read, on the side.
    """

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `ConfigError`: nothing serves without tenants."""
        self._file = file
        self._clock = clock
        self._stamp = stamp(file)
        self._tenants = read(file)
        self._look_at = clock() + LOOK_SECONDS
        self._reading: threading.Thread | None = None

    def current(self) -> Tenants:
        """Called from one thread. All of a file, or all of the one before."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        return self._tenants

    def _look(self) -> None:
        if self._reading is not None and self._reading.is_alive():
            return
        if (found := stamp(self._file)) != self._stamp:
            self._stamp = found
            self._reading = threading.Thread(target=self._read, name="tenants", daemon=True)
            self._reading.start()

    def _read(self) -> None:
        try:
            self._tenants = read(self._file)
        except ConfigError as error:
            _keep_old(error)
        except Exception:
            log.exception("the new tenants were not read; the old ones go on")
        else:
            log.info("tenants read", file=str(self._file), tenants=len(self._tenants.settings))

    def close(self) -> None:
        if self._reading is not None:
            self._reading.join()


def _keep_old(error: ConfigError) -> None:
    log.error("the new tenants are bad; the old ones go on", problem=str(error))
