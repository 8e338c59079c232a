"""JSON log lines: one object a line with `ts`, `level`, `part`, `message` and what the event adds."""

from __future__ import annotations

import sys
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger


class _LineWriter:
    """What structlog hands a rendered line to."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def msg(self, line: str) -> None:
        self._write(line)

    log = debug = info = warning = warn = error = critical = exception = fatal = msg


def _to_stderr(line: str) -> None:
    # Looked up at each call, so that a replaced stderr is used; one write: lines of threads never mix.
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def configure(part: str, write: Callable[[str], None] = _to_stderr, least: str = "debug") -> None:
    """Send every structlog event of this process to `write` as one JSON line without its line end.

    `part` names the process in every line, such as "worker" or "supervisor". What is below `least` is left out.
    """

    def add_part(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("part", part)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            add_part,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: _LineWriter(write),
        cache_logger_on_first_use=False,
    )
