"""A server that does as Triton does, for what stands before it: who hangs up stops nothing, a `stop` does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headrace.client import tensors

PROMPT_TOKENS = 31


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers with its `pieces`, of a token each; without a last one it goes on until it is stopped."""

    def __init__(self) -> None:
        self.pieces: tuple[str, ...] = ()
        self.ends = True
        """The last piece has a finish reason."""
        self.breaks_off = False
        """A stream ends after its pieces, without a finish reason."""
        self.pause = 0.0
        """Seconds before each piece."""
        self.error = ""
        """What a stream says instead of an answer, and a whole answer by the code UNAVAILABLE."""
        self.version = "1"
        """Of the policy that its verdicts name."""
        self.verdict: str | None = None
        """What the last piece has instead of a verdict."""
        self.deaf_to = 0
        """So many stops come too early to be heard."""
        self.runs = 0
        self.seeds: list[int] = []
        self.traces: list[str | None] = []
        self.trace_states: list[str | None] = []
        self.running: set[str] = set()
        self.stops: Counter[str] = Counter()
        self.came = asyncio.Event()
        self._stopped: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if request.model_name == "tensorrt_llm":
            return self._stop(request.id)
        self._begin(request, context)
        if self.error:
            self.running.discard(request.id)
            await context.abort(grpc.StatusCode.UNAVAILABLE, self.error)
        await asyncio.sleep(self.pause)
        if not self.ends:
            await self._stopped[request.id].wait()
            await context.abort(grpc.StatusCode.CANCELLED, "the request was stopped")
        self.running.discard(request.id)
        return self._response("".join(self.pieces), "stop", len(self.pieces))

    async def ModelStreamInfer(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        request = await anext(aiter(requests))
        self._begin(request, context)
        if self.error:
            self.running.discard(request.id)
            yield service_pb2.ModelStreamInferResponse(error_message=self.error)
            return
        for place, piece in enumerate(self.pieces, 1):
            await asyncio.sleep(self.pause)
            last = self.ends and place == len(self.pieces)
            response = self._response(piece, "stop" if last else "", place)
            yield service_pb2.ModelStreamInferResponse(infer_response=response)
        if not (self.ends or self.breaks_off):
            await self._stopped[request.id].wait()
            response = self._response("", "cancelled", len(self.pieces))
            yield service_pb2.ModelStreamInferResponse(infer_response=response)
        self.running.discard(request.id)

    def _begin(self, request: Any, context: Any) -> None:
        self.runs += 1
        metadata = dict(context.invocation_metadata())
        self.traces.append(metadata.get("traceparent"))
        self.trace_states.append(metadata.get("tracestate"))
        self.running.add(request.id)
        self.came.set()
        for sent, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            if sent.name == "random_seed":
                self.seeds.append(int.from_bytes(raw, "little"))

    def _stop(self, request_id: str) -> Any:
        self.stops[request_id] += 1
        if self.stops[request_id] > self.deaf_to:
            self.running.discard(request_id)
            self._stopped[request_id].set()
        return service_pb2.ModelInferResponse(model_name="tensorrt_llm", id=request_id)

    def _response(self, text: str, reason: str, tokens: int) -> Any:
        half = {"action": "allow", "scores": {}}
        prompt = {"version": self.version, **half}
        verdict: dict[str, Any] = {
            "action": "allow",
            "policy": "usual",
            "version": self.version,
            "prompt": prompt,
            "response": half,
        }
        said = json.dumps(verdict) if self.verdict is None else self.verdict
        response = service_pb2.ModelInferResponse(model_name="assistant")
        for name, kind, value in (
            ("text_output", tensors.BYTES, text),
            ("finish_reason", tensors.BYTES, reason),
            ("prompt_tokens", tensors.INT32, PROMPT_TOKENS),
            ("completion_tokens", tensors.INT32, tokens),
            ("guard", tensors.BYTES, said if reason else ""),
        ):
            response.outputs.add(name=name, datatype=kind.datatype, shape=[1, 1])
            response.raw_output_contents.append(kind.encode(value))
        return response


@asynccontextmanager
async def serving(triton: FakeTriton) -> AsyncIterator[str]:
    """Its address."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(triton, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)
