"""A process that appends until it is killed: `python -m tests.audit.busy_writer FOLDER FSYNC`.

Prints the number of each record whose append returned. Every record is long, so that a kill may tear one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from headrace.audit.writer import AuditLog
from tests.audit.logs import KEY, config, record


async def main(folder: Path, fsync: str) -> None:
    log = await AuditLog.open(config(fsync=fsync, interval_ms=5, segment_mb=2, queue=8), folder, KEY)
    numbers = itertools.count()

    async def ask() -> None:
        for number in numbers:
            sequence = await log.append(record(number, prompt="x" * 100_000))
            os.write(1, f"{sequence} request-{number}\n".encode())

    await asyncio.gather(*(ask() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
