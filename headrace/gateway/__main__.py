"""`python -m headrace.gateway`: the gateway without the rest of the command line, which loads 15 MB more."""

from __future__ import annotations

import typer

from headrace.gateway.cli import gateway

if __name__ == "__main__":
    typer.run(gateway)
