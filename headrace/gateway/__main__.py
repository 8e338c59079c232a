"""`python -m headrace.gateway`: the gateway without the rest of the command line, which loads 15 MB more."""

from __future__ import annotations

import typer

from headrace.gateway.cli import gateway

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(gateway)

if __name__ == "__main__":
    app()
