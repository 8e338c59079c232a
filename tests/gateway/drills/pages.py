"""What a gateway says of itself."""

from __future__ import annotations

import json
from typing import Any

from tests.triton.http_port import call


def metric(port: int, name: str) -> float:
    """One without labels."""
    text = call(port, "GET", "/metrics", None, {"host": "localhost"})[1].decode()
    return float(
        next(line for line in text.splitlines() if line.startswith(f"headrace_gateway_{name} ")).split()[1]
    )


def status(port: int) -> dict[str, Any]:
    """What the page shows."""
    said: dict[str, Any] = json.loads(call(port, "GET", "/status", None, {"host": "localhost"})[1])
    return said
