"""The guards' verdict, as the last piece of an answer carries it."""

from __future__ import annotations

import json
from typing import Any


def read(said: str) -> dict[str, Any]:
    """{} for what cannot be read: an answer that came is not lost for that."""
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
