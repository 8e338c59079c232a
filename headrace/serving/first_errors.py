"""Why Triton did not start: the one of its errors that helps. The later ones are its consequences."""

from __future__ import annotations

from headrace.serving.log_file import parse

_KEPT = 50


class FirstErrors:
    """The first errors among a server's log lines."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def add(self, line: str) -> None:
        """A line as the server printed it."""
        if len(self._errors) >= _KEPT:
            return
        event = parse("tritonserver", line)
        message = str(event["message"])
        if event["level"] in ("error", "critical"):
            # A step's own trace follows after the first line.
            self._errors.append(message.partition("\n")[0])

    def cause(self) -> str | None:
        """The first that says which model could not be loaded and why, else the first of all."""
        named = (error for error in self._errors if error.startswith("failed to load '"))
        return next(named, self._errors[0] if self._errors else None)
