"""`headrace gateway` under clocks that a file shifts while it runs: `{"wall": seconds, "monotonic": seconds}`.

The machine's own clock is everybody's; so Python's is replaced, before anything else is imported. The event loop
keeps its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time
from pathlib import Path

SHIFTS_ENV = "DRILL_SHIFTS"
_file = Path(os.environ[SHIFTS_ENV])
_wall, _monotonic = time.time, time.monotonic


def _shift(clock: str) -> float:
    shifts: dict[str, float] = json.loads(_file.read_text("ascii"))
    return shifts.get(clock, 0.0)


class _Shifted(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return cls.fromtimestamp(time.time(), tz)


time.time = lambda: _wall() + _shift("wall")
time.monotonic = lambda: _monotonic() + _shift("monotonic")
dt.datetime = _Shifted  # type: ignore[misc]

if __name__ == "__main__":
    from headrace.__main__ import main

    sys.argv.insert(1, "gateway")
    main()
