"""The program `headrace`, as a command or by `python -m headrace`."""

from __future__ import annotations

import signal


def main() -> None:
    """While the command line loads, which takes a moment, Ctrl-C ends the process without a stack trace."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # else it is ignored, as for a shell's background jobs
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from headrace.cli import app

    signal.signal(signal.SIGINT, handler)
    app()


if __name__ == "__main__":
    main()
