"""Where the command line prints tables: as wide as the terminal, and whole where there is none, as in a pipe."""

from __future__ import annotations

from rich.console import Console

_WIDE = 400


def console() -> Console:
    usual = Console(highlight=False)
    return usual if usual.is_terminal else Console(highlight=False, width=_WIDE)
