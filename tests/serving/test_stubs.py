from __future__ import annotations

import asyncio
import contextlib

from headrace.serving import stubs


async def test_a_dead_stub_is_seen_at_once() -> None:
    one, other = [await asyncio.create_subprocess_exec("sleep", "60") for _ in range(2)]
    watch = asyncio.create_task(stubs.first_death({one.pid: "preprocess", other.pid: "postprocess"}, 2))
    try:
        await asyncio.sleep(0)
        other.kill()
        async with asyncio.timeout(5):
            assert await watch == "its Python step postprocess died"
    finally:
        for process in (one, other):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    async with asyncio.timeout(5):
        assert await stubs.first_death({one.pid: "gone before we looked"}, 1) == (
            "its Python step gone before we looked died"
        )


async def test_a_stub_that_died_before_it_was_listed_is_missed() -> None:
    one = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        async with asyncio.timeout(5):
            line = await stubs.first_death({one.pid: "preprocess"}, 3)
        assert line == "2 of its 3 Python steps died at its start"
    finally:
        one.kill()
        await one.wait()
