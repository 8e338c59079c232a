"""`headrace gateway`: the front door alone, before a Triton that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace import config, logs
from headrace.cli_errors import one_line_errors
from headrace.serving.run_folder import RunFolder
from headrace.serving.status import addresses


def gateway(
    config_file: Annotated[
        Path | None, typer.Option("--config", help="Instead of the project's headrace.yaml.")
    ] = None,
    triton: Annotated[
        str | None, typer.Option(help="Triton's gRPC address, HOST:PORT; else the one of the configuration.")
    ] = None,
    audit: Annotated[Path | None, typer.Option(help="Folder of the audit log; else the stack's.")] = None,
) -> None:
    """Run the gateway alone, before a Triton that runs; the stack starts one by itself."""
    from headrace.gateway.serve import serve  # its packages take half a second to import

    with one_line_errors():
        settings = config.load(config_file)
        logs.configure("gateway")
        folder = audit or RunFolder.of(settings).root / "audit"
        serve(settings, triton or addresses(settings)["grpc"], folder)
