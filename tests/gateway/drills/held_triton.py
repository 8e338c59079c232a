"""A Triton whose streams say a word and wait, where their prompt asks for it, until they are let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tritonclient.grpc import service_pb2

from tests.fake_triton import FakeTriton


class HeldTriton(FakeTriton):
    """A prompt with the word `held` waits for `release`; `flood` in it has far more text than sockets keep."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces = tuple(f"word{number} " for number in range(8))
        self.release = asyncio.Event()
        self.held = 0
        """So many wait."""
        self.flood = 0
        """Bytes of each piece of a flood."""
        self.flood_pieces = 0

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        request = await anext(aiter(requests))
        prompt = b" ".join(request.raw_input_contents)
        if b"held" in prompt:
            self._begin(request, context)
            yield self._streamed("word0 ", "", 1)
            self.held += 1
            await self.release.wait()
            self.held -= 1
            yield self._streamed("last", "stop", 2)
        elif b"flood" in prompt:
            self._begin(request, context)
            for number in range(1, self.flood_pieces + 1):
                last = number == self.flood_pieces
                yield self._streamed("x" * self.flood, "stop" if last else "", number)
        else:
            async for response in super().ModelStreamInfer(_again(request), context):
                yield response
            return
        self.running.discard(request.id)

    def _streamed(self, text: str, reason: str, tokens: int) -> Any:
        return service_pb2.ModelStreamInferResponse(infer_response=self._response(text, reason, tokens))


async def _again(request: Any) -> AsyncIterator[Any]:
    yield request
