"""Whether the platform answers, as the gateway says it."""

from __future__ import annotations

import pytest

from headrace.client import Client
from headrace.gateway.readiness import Readiness
from headrace.serving import probe


async def test_what_goes_wrong_once_does_not_go_wrong_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def ask_once(client: Client, seconds: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ValueError("a mistake of ours")

    monkeypatch.setattr(probe, "ask_once", ask_once)
    async with Client("127.0.0.1:1") as client:
        readiness = Readiness(client)
        with pytest.raises(ValueError, match="a mistake of ours"):
            await readiness.ready()
        assert await readiness.ready()
        assert await readiness.ready()
    assert asked == 2
