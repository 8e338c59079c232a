"""What a user did wrong or lacks is one line on stderr, never a stack trace."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import typer

from headrace.errors import HeadraceError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 128 + signal.SIGINT


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    try:
        yield
    except HeadraceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:
        if error.filename is None:  # a closed pipe, which typer knows how to take
            raise
        typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
