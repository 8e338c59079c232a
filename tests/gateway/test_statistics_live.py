"""What Triton's tools read of the public models before and after a load, and how a request is recorded."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.gateway_stack import GatewayStack

SECONDS = 60.0


@pytest.fixture
def stub(gateway_stack: GatewayStack) -> Any:
    with grpc.insecure_channel(gateway_stack.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def request(model: str, text: str, request_id: str = "") -> Any:
    asked = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    sent = text.encode()
    for name, datatype, raw in (
        ("text_input", "BYTES", len(sent).to_bytes(4, "little") + sent),
        ("max_tokens", "INT32", (6).to_bytes(4, "little")),
    ):
        asked.inputs.add(name=name, datatype=datatype, shape=[1, 1])
        asked.raw_input_contents.append(raw)
    return asked


@pytest.mark.parametrize(("model", "decoupled"), [("assistant", False), ("assistant_stream", True)])
def test_a_public_model_shows_no_steps(stub: Any, model: str, decoupled: bool) -> None:
    found = stub.ModelConfig(service_pb2.ModelConfigRequest(name=model), timeout=SECONDS).config
    assert not found.HasField("ensemble_scheduling")
    assert found.model_transaction_policy.decoupled is decoupled
    about = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=model), timeout=SECONDS)
    assert about.platform == found.backend == "headrace"


@pytest.mark.parametrize("model", ["assistant", "assistant_stream"])
def test_statistics_count_answers_of_the_gateway_s_cache(stub: Any, model: str) -> None:
    def ask() -> None:
        asked = request(model, f"Counted by {model}?")
        if model == "assistant":
            stub.ModelInfer(asked, timeout=SECONDS)
        else:
            assert not [one for one in stub.ModelStreamInfer(iter([asked]), timeout=SECONDS) if one.error_message]

    def counts() -> tuple[int, int, int]:
        found = stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=model), timeout=SECONDS)
        (one,) = found.model_stats
        statistics = one.inference_stats
        return statistics.success.count, statistics.queue.count, statistics.cache_hit.count

    ask()
    before = counts()
    for _ in range(3):
        ask()
    deadline = time.monotonic() + SECONDS
    while counts()[2] < before[2] + 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert counts() == tuple(count + 3 for count in before)


def test_a_whole_answer_over_grpc_is_recorded_as_one(gateway_stack: GatewayStack, stub: Any) -> None:
    metadata = (("x-request-id", "whole-over-grpc"),)
    stub.ModelInfer(request("assistant", "Who am I?"), timeout=SECONDS, metadata=metadata)
    deadline = time.monotonic() + SECONDS
    while not (records := gateway_stack.records("whole-over-grpc")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [record.outcome for record in records] == ["ok"]
