"""A process whose disk is full for a while: `python -m tests.audit.full_disk FOLDER FSYNC HOW`.

HOW is `limit` (no file may grow beyond a size) or `filler` (FOLDER's parent is a small file system, which a file
fills). Prints JSON: what was written, in numbers of requests, and what was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from headrace.audit.errors import AuditUnavailable
from headrace.audit.writer import AuditLog
from tests.audit.logs import KEY, config, record

GROUP = 20


@contextlib.contextmanager
def limit(_: Path) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def filler(folder: Path) -> Iterator[None]:
    file = folder.parent / "filler"
    try:
        with file.open("wb", buffering=0) as stream:
            while True:
                stream.write(bytes(1024))
    except OSError as error:
        assert error.errno == errno.ENOSPC
    yield
    file.unlink()


async def main(folder: Path, fsync: str, how: str) -> None:
    log = await AuditLog.open(config(fsync=fsync, interval_ms=5, segment_mb=64), folder, KEY)
    written: list[int] = []
    refused: list[int] = []
    problems: set[str] = set()
    number = 0

    async def ask(number: int) -> None:
        try:
            await log.append(record(number))
        except AuditUnavailable as error:
            refused.append(number)
            problems.add(str(error))
        else:
            written.append(number)

    async def group() -> None:
        nonlocal number
        await asyncio.gather(*(ask(number + place) for place in range(GROUP)))
        number += GROUP

    await group()
    with limit(folder) if how == "limit" else filler(folder):
        for _ in range(10):
            await group()
        full = log.problem
    await group()
    after = log.problem
    await log.close()
    said = {"written": written, "refused": refused, "problems": sorted(problems), "full": full, "after": after}
    os.write(1, json.dumps(said).encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
