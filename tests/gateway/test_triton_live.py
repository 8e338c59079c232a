"""Triton's own clients against the gateway, over HTTP and gRPC."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.gateway_stack import GatewayStack
from tests.triton.http_port import call
from tests.triton.mock_answer import mock_answer

JSON = {"content-type": "application/json", "host": "localhost"}
SECONDS = 60.0


@pytest.fixture(scope="module")
def http(gateway_stack: GatewayStack) -> Iterator[Any]:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{gateway_stack.gateway_port}") as client:
        yield client


@pytest.fixture(scope="module")
def rpc(gateway_stack: GatewayStack) -> Iterator[Any]:
    with tritonclient.grpc.InferenceServerClient(gateway_stack.grpc) as client:
        yield client


def inputs(module: Any, **values: Any) -> list[Any]:
    kinds = {str: ("BYTES", np.object_), int: ("INT32", np.int32), float: ("FP32", np.float32)}
    found = []
    for name, value in values.items():
        datatype, dtype = kinds[type(value)]
        tensor = module.InferInput(name, [1, 1], datatype)
        tensor.set_data_from_numpy(np.array([[value.encode() if isinstance(value, str) else value]], dtype=dtype))
        found.append(tensor)
    return found


def text(result: Any) -> str:
    return bytes(result.as_numpy("text_output").flat[0]).decode()


@pytest.mark.parametrize("way", ["http", "rpc"])
def test_a_whole_answer(http: Any, rpc: Any, way: str) -> None:
    client, module = {"http": (http, tritonclient.http), "rpc": (rpc, tritonclient.grpc)}[way]
    result = client.infer("assistant", inputs(module, text_input="Hello there", max_tokens=12), request_id="mine")
    assert text(result) == mock_answer("Hello there", 12)
    assert result.as_numpy("completion_tokens").flat[0] == 12
    verdict = json.loads(bytes(result.as_numpy("guard").flat[0]))
    assert verdict["action"] == "allow"


def test_outputs_in_bytes_and_in_json_at_once(http: Any) -> None:
    wanted = [
        tritonclient.http.InferRequestedOutput("text_output", binary_data=True),
        tritonclient.http.InferRequestedOutput("completion_tokens", binary_data=False),
    ]
    asked = inputs(tritonclient.http, text_input="Hello there", max_tokens=7)
    result = http.infer("assistant", asked, outputs=wanted)
    assert (text(result), result.as_numpy("completion_tokens").flat[0]) == (mock_answer("Hello there", 7), 7)
    assert result.as_numpy("guard") is None


def test_streams_of_one_connection_are_answered_each_for_itself(rpc: Any) -> None:
    ready: queue.Queue[Any] = queue.Queue()
    rpc.start_stream(lambda result, error: ready.put((result, error)))
    for number, tokens in enumerate((5, 30, 0)):
        asked = inputs(tritonclient.grpc, text_input="Hello there", max_tokens=tokens)
        rpc.async_stream_infer("assistant_stream", asked, request_id=str(number))
    texts: dict[str, str] = {}
    ended: set[str] = set()
    errors: list[str] = []
    while len(ended) + len(errors) < 3:
        result, error = ready.get(timeout=SECONDS)
        if error is not None:
            errors.append(str(error))
            continue
        response = result.get_response()
        texts[response.id] = texts.get(response.id, "") + text(result)
        if response.parameters["triton_final_response"].bool_param:
            ended.add(response.id)
    rpc.stop_stream()
    assert texts == {"0": mock_answer("Hello there", 5), "1": mock_answer("Hello there", 30)}
    assert errors == ["max_tokens: got 0, expected 1 or more"]


def test_generate_and_its_stream(gateway_stack: GatewayStack) -> None:
    body = json.dumps({"text_input": "Hello there", "max_tokens": 20, "id": "mine"}).encode()
    port = gateway_stack.gateway_port
    status, whole = call(port, "POST", "/v2/models/assistant/generate", body, JSON)
    said = json.loads(whole)
    assert (status, said["text_output"], said["id"]) == (200, mock_answer("Hello there", 20), "mine")
    status, events = call(port, "POST", "/v2/models/assistant_stream/generate_stream", body, JSON)
    pieces = [json.loads(event.removeprefix(b"data: ")) for event in events.strip().split(b"\n\n")]
    assert "".join(piece["text_output"] for piece in pieces) == said["text_output"]
    assert [piece["finish_reason"] for piece in pieces if piece["finish_reason"]] == ["length"]


def test_what_it_says_of_itself(http: Any, rpc: Any) -> None:
    for client in (http, rpc):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("assistant")
        assert not client.is_model_ready("completion")
    assert http.get_server_metadata()["name"] == rpc.get_server_metadata().name == "headrace"
    for model in ("assistant", "assistant_stream"):
        over_http, over_grpc = http.get_model_metadata(model), rpc.get_model_metadata(model)
        assert over_http["name"] == over_grpc.name == model
        assert [one["name"] for one in over_http["inputs"]] == [one.name for one in over_grpc.inputs]
        assert http.get_model_config(model)["max_batch_size"] == rpc.get_model_config(model).config.max_batch_size
    names = {one["name"] for one in http.get_inference_statistics()["model_stats"]}
    assert names == {one.name for one in rpc.get_inference_statistics().model_stats}
    assert names == {"assistant", "assistant_stream"}


@pytest.mark.parametrize("model", ["completion", "tensorrt_llm", "safety_filter_prompt", "engine_gate", "x" * 300])
def test_no_other_model_is_there(http: Any, rpc: Any, model: str) -> None:
    for client, module in ((http, tritonclient.http), (rpc, tritonclient.grpc)):
        with pytest.raises(InferenceServerException, match="there is no model"):
            client.infer(model, inputs(module, text_input="Hi"))
        with pytest.raises(InferenceServerException):
            client.get_model_metadata(model)


def test_no_administration_is_there(gateway_stack: GatewayStack) -> None:
    for method, path in (
        ("GET", "/v2/repository/index"),
        ("POST", "/v2/repository/models/assistant/load"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/systemsharedmemory/region/x/register"),
        ("GET", "/v2/trace/setting"),
        ("POST", "/v2/logging"),
    ):
        status, body = call(gateway_stack.gateway_port, method, path, b"{}", JSON)
        assert (status, "error" in json.loads(body)) == (404, True), path
    with grpc.insecure_channel(gateway_stack.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        asks: Any = (
            lambda: stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=SECONDS),
            lambda: stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest(), timeout=SECONDS),
            lambda: stub.LogSettings(service_pb2.LogSettingsRequest(), timeout=SECONDS),
            lambda: stub.RepositoryModelLoad(service_pb2.RepositoryModelLoadRequest(), timeout=SECONDS),
        )
        for ask in asks:
            with pytest.raises(grpc.RpcError) as caught:
                ask()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown input": ({"text_input": ["Hi"], "colour": ["red"]}, "there is no input 'colour'"),
    "no prompt": ({"max_tokens": [5]}, "neither was sent"),
    "another datatype": ({"text_input": ["Hi"], "max_tokens": ["5"]}, "max_tokens: expected"),
    "true for a number": ({"text_input": ["Hi"], "max_tokens": [True]}, "max_tokens: expected"),
    "too big a number": ({"text_input": ["Hi"], "max_tokens": [2**31]}, "max_tokens: must be between"),
    "a hundred bits": ({"text_input": ["Hi"], "max_tokens": [2**100]}, "max_tokens: must be between"),
    "two values": ({"text_input": ["Hi", "Ho"]}, r"text_input: expected the shape \[1, 1\]"),
    "a number for a text": ({"text_input": [5]}, "text_input: expected values of BYTES"),
    "an infinite number": ({"text_input": ["Hi"], "temperature": [1e300]}, "temperature: must be a finite number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_json_is_named(gateway_stack: GatewayStack, mistake: str) -> None:
    values, says = MISTAKES[mistake]
    datatypes = {"max_tokens": "INT32", "temperature": "FP32"}
    sent = [
        {"name": name, "datatype": datatypes.get(name, "BYTES"), "shape": [1, len(data)], "data": data}
        for name, data in values.items()
    ]
    body = json.dumps({"inputs": sent}).encode()
    status, answer = call(gateway_stack.gateway_port, "POST", "/v2/models/assistant/infer", body, JSON)
    assert status == 400
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(json.loads(answer)["error"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\x05\0\0\0Hi", "its bytes end within a string"),
        (b"\x02\0\0\0\xff\xfe", "text_input: not valid UTF-8"),
        (b"\x02\0\0\0H\0", "NUL"),
        (b"", "its shape says 1 values, 0 were sent"),
        (b"\x02\0\0\0Hi\x02\0\0\0Hi", "its shape says 1 values, 2 were sent"),
    ],
)
def test_a_mistake_in_bytes_is_named(gateway_stack: GatewayStack, raw: bytes, says: str, stream: bool) -> None:
    request = service_pb2.ModelInferRequest(model_name="assistant_stream" if stream else "assistant")
    request.inputs.add(name="text_input", datatype="BYTES", shape=[1, 1])
    request.raw_input_contents.append(raw)
    with grpc.insecure_channel(gateway_stack.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        if stream:
            (response,) = stub.ModelStreamInfer(iter([request]), timeout=SECONDS)
            assert says in response.error_message
            return
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=SECONDS)
    assert (caught.value.code(), says in (caught.value.details() or "")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        True,
    )


def test_a_key_in_the_metadata_names_the_tenant_and_a_wrong_one_is_refused(
    gateway_stack: GatewayStack, rpc: Any
) -> None:
    asked = inputs(tritonclient.grpc, text_input="Hello there", max_tokens=40)
    result = rpc.infer("assistant", asked, headers={"authorization": f"Bearer {gateway_stack.keys['short']}"})
    assert text(result) == mock_answer("Hello there", 5)
    with pytest.raises(InferenceServerException) as caught:
        rpc.infer("assistant", asked, headers={"authorization": "Bearer hr_no_" + "x" * 43})
    assert caught.value.status() == "StatusCode.UNAUTHENTICATED"
    with pytest.raises(InferenceServerException, match="is not one of this tenant's models") as caught:
        rpc.infer("assistant", asked, headers={"authorization": f"Bearer {gateway_stack.keys['other']}"})
    assert caught.value.status() == "StatusCode.PERMISSION_DENIED"


def test_a_limit_comes_with_the_time_to_come_back(gateway_stack: GatewayStack) -> None:
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    request = service_pb2.ModelInferRequest(model_name="assistant")
    for name, datatype, raw in (("text_input", "BYTES", b"\x02\0\0\0Hi"), ("max_tokens", "INT32", b"\xff\0\0\0")):
        request.inputs.add(name=name, datatype=datatype, shape=[1, 1])
        request.raw_input_contents.append(raw)
    with grpc.insecure_channel(gateway_stack.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        key = (("authorization", f"Bearer {gateway_stack.keys['poor']}"),)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request, timeout=SECONDS, metadata=key)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    (detail,) = rpc_status.from_call(caught.value).details
    retry = error_details_pb2.RetryInfo()
    assert detail.Unpack(retry)
    assert retry.retry_delay.seconds > 0


def test_a_deadline_of_grpc_stops_the_engine(gateway_stack: GatewayStack) -> None:
    request = service_pb2.ModelInferRequest(model_name="assistant_stream")
    for name, datatype, raw in (
        ("text_input", "BYTES", b"\x02\0\0\0Hi"),
        ("max_tokens", "INT32", (4000).to_bytes(4, "little")),
        ("min_tokens", "INT32", (4000).to_bytes(4, "little")),
    ):
        request.inputs.add(name=name, datatype=datatype, shape=[1, 1])
        request.raw_input_contents.append(raw)
    with grpc.insecure_channel(gateway_stack.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            for _ in stub.ModelStreamInfer(iter([request]), timeout=0.5):
                pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gateway_stack.until(lambda stats: stats.live == 0, 10.0, "the engine is free")
