"""One log for the whole stack: every line of every part becomes a JSON object in one rotated file."""

from __future__ import annotations

import datetime as dt
import json
import logging
import logging.handlers
import re
import sys
from pathlib import Path
from typing import Any

_ROTATE_BYTES = 16 * 1024 * 1024
_KEPT_FILES = 3
_TRITON_LINE = re.compile(
    r"(?P<ts>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<level>[IWEF]) (?P<pid>\d+) "
    r"(?P<source>[^\]\s]+)\] ?(?P<message>.*)",
    re.DOTALL,
)
# Logged as warnings and errors on every machine without a GPU, by servers that are well.
_NOISE = ("CudaDriverHelper", "CUDA driver version", "CUDA memory pool disabled")
_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}


class _RotatingFile(logging.handlers.RotatingFileHandler):
    """Says once that it cannot write, when for example the disk is full, and again after it could."""

    _failed = False

    def emit(self, record: logging.LogRecord) -> None:
        self._failing = False
        super().emit(record)
        self._failed = self._failing

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self._failing = True
        if not self._failed:
            print(f"warning: the log is not written: {sys.exc_info()[1]}", file=sys.stderr)


class LogFile:
    """Appends lines and starts a new file when this one is full. Private to this user."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._handler = _RotatingFile(
            path, maxBytes=_ROTATE_BYTES, backupCount=_KEPT_FILES, encoding="utf-8", errors="replace"
        )

    def write(self, line: str) -> None:
        """One line, already a JSON object."""
        self._handler.emit(logging.makeLogRecord({"msg": line}))

    def write_raw(self, part: str, line: str) -> None:
        """One line as a part printed it."""
        if not line.strip():
            return
        try:
            text = json.dumps(parse(part, line), ensure_ascii=False)
        except RecursionError:
            # Read, but too deep to be written.
            text = json.dumps(_message(part, line), ensure_ascii=False)
        self.write(text)

    def close(self) -> None:
        self._handler.close()


def parse(part: str, line: str) -> dict[str, Any]:
    """A printed line as an object with at least `ts`, `level`, `part` and `message`.

    Understands JSON lines and Triton's own format; anything else is the message itself.
    """
    defaults = _message(part, line)
    if line.startswith("{"):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            return defaults | {"level": "info", "message": ""} | event
    if match := _TRITON_LINE.fullmatch(line):
        message = _unquoted(match["message"])
        # Without a message: the head of a table.
        noise = not message or any(said in message for said in _NOISE)
        return defaults | {
            "ts": match["ts"],
            "level": "debug" if noise else _LEVELS[match["level"]],
            "message": message,
            "source": match["source"],
        }
    return defaults


def _message(part: str, line: str) -> dict[str, Any]:
    """The line itself as the message."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    level = "error" if line.startswith("error: ") else "debug" if line.startswith(("|", "+--")) else "info"
    return {"ts": now, "level": level, "part": part, "message": line}


def _unquoted(message: str) -> str:
    """Triton writes its own messages as JSON strings."""
    try:
        text = json.loads(message)
    except (ValueError, RecursionError):
        return message
    return text if isinstance(text, str) else message
