"""No key, token or text of a client is in a file of the stack: of good requests and bad ones, in all dialects."""

from __future__ import annotations

import json
import uuid
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from headrace.client import Question
from tests.gateway.drills.clients import Clients
from tests.gateway.drills.leaks import leaks, secret_of
from tests.gateway.drills.waiting import until
from tests.gateway_stack import GatewayStack, body
from tests.triton.http_port import call

CHAT, TEXT, MODELS = "/v1/chat/completions", "/v1/completions", "/v2/models"
WORD = f"word{uuid.uuid4().hex}"
"""What is sent wherever a client can send something."""
SAID = [{"role": "user", "content": WORD}]
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.{WORD}.{WORD}"
HEADERS = {"host": "localhost", "content-type": "application/json"}


def tensor(name: str, value: Any, datatype: str = "BYTES") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [1, 1], "data": [value]}


def infer(*tensors: dict[str, Any]) -> bytes:
    return json.dumps({"id": WORD, "inputs": tensors}).encode()


BODIES = [
    (CHAT, body(messages=SAID)),
    (CHAT, body(messages=SAID, stream=True, user=WORD, stop=[WORD], metadata={WORD: WORD})),
    (CHAT, body(messages=SAID, model=WORD)),
    (CHAT, body(messages=SAID, n=99)),
    (CHAT, body(messages=SAID, max_tokens=-1)),
    (CHAT, body(messages=[{"role": WORD, "content": WORD}])),
    (CHAT, body(messages=[{"role": "user", "content": f"{WORD} \0"}])),
    (CHAT, body(messages=[{"role": "user", "content": f"{WORD} " * 10_000}])),
    (CHAT, body(messages=SAID, response_format={"type": "json_schema", "json_schema": {"name": WORD}})),
    (CHAT, body(messages=SAID, tools=[{"type": "function", "function": {"name": WORD}}])),
    (CHAT, body(messages=SAID)[:-5]),
    (CHAT, WORD.encode() + b"\xff"),
    (TEXT, json.dumps({"model": "assistant", "prompt": WORD, "max_tokens": 4}).encode()),
    (TEXT, json.dumps({"model": "assistant", "prompt": [WORD, WORD], WORD: 1}).encode()),
    (f"{MODELS}/assistant/generate", json.dumps({"text_input": WORD, "max_tokens": 4}).encode()),
    (f"{MODELS}/assistant/generate", json.dumps({"text_input": WORD, WORD: WORD}).encode()),
    (f"{MODELS}/assistant/generate", json.dumps({"messages": WORD}).encode()),
    (f"{MODELS}/assistant_stream/generate_stream", json.dumps({"text_input": WORD, "max_tokens": 4}).encode()),
    (f"{MODELS}/{WORD}/generate", json.dumps({"text_input": WORD}).encode()),
    (f"{MODELS}/assistant/infer", infer(tensor("text_input", WORD), tensor("max_tokens", 4, "INT32"))),
    (f"{MODELS}/assistant/infer", infer(tensor("text_input", WORD), tensor(WORD, WORD))),
    (f"{MODELS}/assistant/infer", infer(tensor("text_input", WORD, WORD))),
    (f"/{WORD}", b"{}"),
    (f"{CHAT}?key={WORD}", body(messages=SAID)),
    (f"{CHAT}?{WORD}={WORD}", body(messages=SAID)),
]  # fmt: skip
HEADERS_SENT: list[dict[str, str]] = [
    {},
    {"authorization": f"Bearer {TOKEN}"},
    {"authorization": f"Bearer {WORD}", "api-key": f"{WORD}2"},
    {"authorization": f"Basic {WORD}"},
    {"x-api-key": WORD},
    {"cookie": WORD, "user-agent": WORD, "x-forwarded-for": WORD, "traceparent": WORD, "referer": WORD},
    {"origin": f"https://{WORD}.example"},
    {"host": f"{WORD}.example"},
    {"content-type": WORD},
    {"x-request-timeout": WORD},
    {"x-request-id": f"{WORD} {WORD}"},
    {"x-headrace-policy": WORD, "cache-control": WORD},
]


@pytest.fixture(scope="module")
def key(gateway_stack: GatewayStack) -> str:
    return gateway_stack.keys["acme"]


async def test_no_key_and_no_text_is_in_any_file(gateway_stack: GatewayStack, key: str) -> None:
    port = gateway_stack.gateway_port
    with_key = {"authorization": f"Bearer {key}"}
    statuses = {call(port, "POST", path, data, HEADERS | with_key)[0] for path, data in BODIES}
    assert {200, 400, 404} <= statuses
    for headers in HEADERS_SENT:
        for path, data in (BODIES[0], BODIES[14]):
            statuses.add(call(port, "POST", path, data, HEADERS | headers)[0])
    assert {401, 403, 415} <= statuses
    assert not [status for status in statuses if status >= 500]
    async with Clients(gateway_stack.url, gateway_stack.grpc, with_key) as clients:
        for ask in clients.ways.values():
            assert (await ask(WORD, 4)).whole
    await _over_grpc(gateway_stack, with_key)
    last = f"last-{uuid.uuid4().hex}"
    call(port, "POST", CHAT, body(), HEADERS | {"x-request-id": last})
    await until(lambda: len(gateway_stack.records(last)) == 1)
    assert not leaks(gateway_stack.folder.root, [WORD, secret_of(key)])
    for page in ("/metrics", "/status"):
        assert WORD.encode() not in call(port, "GET", page, None, HEADERS)[1]


async def _over_grpc(stack: GatewayStack, with_key: dict[str, str]) -> None:
    """Refused ones."""
    good = Question(text_input=WORD, max_tokens=4).message("assistant", WORD)
    other = Question(text_input=WORD).message(WORD, WORD)
    odd = Question(text_input=WORD).message("assistant", WORD)
    odd.inputs.add(name=WORD, datatype=WORD, shape=[1])
    odd.raw_input_contents.append(WORD.encode())
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        triton = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for message, metadata in (
            (other, with_key),
            (odd, with_key),
            (good, {"authorization": f"Bearer {TOKEN}"}),
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                await triton.ModelInfer(message, metadata=tuple(metadata.items()))
        with pytest.raises(grpc.aio.AioRpcError):
            await triton.ModelMetadata(service_pb2.ModelMetadataRequest(name=WORD))
