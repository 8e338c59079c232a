"""What a stranger on the ports can and cannot do, and what the models promise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from headrace import paths
from tests.stack import Stack
from tests.triton.answers import refused
from tests.triton.doors import UNARY, Stub
from tests.triton.http_port import call, http_get, http_post
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import DATATYPES, PUBLIC, infer_body

GOOD = {"text_input": "Good morning", "max_tokens": 4}

CONFIGS = sorted(
    file
    for folder in ("model_repository", "ensembles")
    for pattern in ("*/config.pbtxt", "*/configs/*.pbtxt")
    for file in (paths.PROJECT / folder).glob(pattern)
)
OUTPUTS = {
    "text_output": "BYTES",
    "finish_reason": "BYTES",
    "prompt_tokens": "INT32",
    "completion_tokens": "INT32",
    "log_probs": "FP32",
    "log_prob_tokens": "BYTES",
    "guard": "BYTES",
}

HTTP_ADMIN = [
    ("POST", "repository/index"),
    ("POST", "repository/models/preprocess/load"),
    ("GET", "logging"),
    ("POST", "logging"),
    ("GET", "trace/setting"),
    ("POST", "trace/setting"),
    ("GET", "models/assistant/trace/setting"),
    ("POST", "models/assistant/trace/setting"),
    ("GET", "systemsharedmemory/status"),
    ("POST", "systemsharedmemory/region/a/register"),
    ("POST", "systemsharedmemory/unregister"),
    ("GET", "cudasharedmemory/status"),
    ("POST", "cudasharedmemory/region/a/register"),
    ("POST", "cudasharedmemory/unregister"),
]
NO_KEYS: tuple[dict[str, str], ...] = ({}, {"headrace-admin": ""}, {"headrace-admin": "1"})
# Unloading, and what the process list shows of the key: tests/serving/test_live_stack.py.
GRPC_ADMIN = {
    "RepositoryIndex": service_pb2.RepositoryIndexRequest(),
    "RepositoryModelLoad": service_pb2.RepositoryModelLoadRequest(model_name="preprocess"),
    "LogSettings": service_pb2.LogSettingsRequest(),
    "TraceSetting": service_pb2.TraceSettingRequest(),
    "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusRequest(),
    "SystemSharedMemoryRegister": service_pb2.SystemSharedMemoryRegisterRequest(name="a", key="/a", byte_size=1),
    "SystemSharedMemoryUnregister": service_pb2.SystemSharedMemoryUnregisterRequest(),
    "CudaSharedMemoryStatus": service_pb2.CudaSharedMemoryStatusRequest(),
    "CudaSharedMemoryRegister": service_pb2.CudaSharedMemoryRegisterRequest(name="a", byte_size=1),
    "CudaSharedMemoryUnregister": service_pb2.CudaSharedMemoryUnregisterRequest(),
}


@pytest.mark.parametrize(("method", "path"), HTTP_ADMIN, ids=[f"{m}-{p}" for m, p in HTTP_ADMIN])
def test_http_admin_is_shut(mock_stack: Stack, method: str, path: str) -> None:
    body = b"{}" if method == "POST" else None
    for headers in NO_KEYS:
        status, answer = call(mock_stack.http_port, method, f"/v2/{path}", body, headers)
        assert (status, b"restricted" in answer) == (403, True), (headers, answer)


@pytest.mark.parametrize(("method", "request_"), GRPC_ADMIN.items(), ids=GRPC_ADMIN)
def test_grpc_admin_is_shut(mock_stack: Stack, method: str, request_: Any) -> None:
    for metadata in ((), (("triton-grpc-protocol-headrace-admin", "1"),)):
        with Stub(mock_stack) as stub, pytest.raises(grpc.RpcError) as caught:
            getattr(stub, method)(request_, timeout=10, metadata=metadata)
        error = refused(caught.value)
        assert (error.status, "restricted" in error.message) == ("UNAVAILABLE", True)


def test_only_loopback_is_listened_to(mock_stack: Stack) -> None:
    listening = [
        connection.laddr
        for process in mock_stack.processes()
        for connection in process.net_connections("tcp")
        if connection.status == "LISTEN"
    ]
    # gRPC listens on an IPv6 socket at loopback's IPv4 address.
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == {
        mock_stack.http_port,
        mock_stack.grpc_port,
        mock_stack.metrics_port,
    }


def test_the_engines_socket_is_private(mock_stack: Stack) -> None:
    folder: Path = mock_stack.folder.socket.parent
    assert folder.stat().st_mode & 0o077 == 0


def test_ready_and_live_are_true(mock_stack: Stack) -> None:
    for path in ("health/live", "health/ready", "models/assistant/ready", "models/assistant_stream/ready"):
        assert http_get(mock_stack, f"/v2/{path}")[0] == 200, path


def test_sagemaker_and_vertex_are_off(mock_stack: Stack) -> None:
    assert http_get(mock_stack, "/ping")[0] in {400, 404}
    assert http_post(mock_stack, "/invocations", b"{}")[0] in {400, 404}


@pytest.mark.parametrize("file", CONFIGS, ids=[str(file.relative_to(paths.PROJECT)) for file in CONFIGS])
def test_a_config_is_one_that_triton_reads(file: Path) -> None:
    config = text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    model = file.parent if file.name == "config.pbtxt" else file.parent.parent
    assert config.name == model.name
    for tensors in (config.input, config.output):
        names = [tensor.name for tensor in tensors]
        assert len(names) == len(set(names))
    for step in config.ensemble_scheduling.step:
        assert (paths.PROJECT / "model_repository" / step.model_name).is_dir() or (
            paths.PROJECT / "ensembles" / step.model_name
        ).is_dir()
    assert "${" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", CONFIGS, ids=[str(file.relative_to(paths.PROJECT)) for file in CONFIGS])
def test_a_step_has_a_batcher(file: Path) -> None:
    """Without one, each waiting request takes a place in Triton's pool of batches. When that is full, 2.51's
    batchers write into freed memory: 24 000 requests at once, then usual load, and it aborted."""
    config = text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    assert config.HasField("dynamic_batching") == bool(config.instance_group)
    assert bool(config.instance_group) != bool(config.ensemble_scheduling.step)


@pytest.mark.parametrize("model", ["assistant", "assistant_stream", "completion"])
def test_a_public_model_has_the_contracts_tensors_all_optional(mock_stack: Stack, model: str) -> None:
    with Stub(mock_stack) as stub:
        config = stub.ModelConfig(service_pb2.ModelConfigRequest(name=model), timeout=10).config
        metadata = stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=model), timeout=10)
    inputs, outputs = dict(PUBLIC), dict(OUTPUTS)
    if model == "completion":
        # It learns from the steps before it what may go to the engine, and whether the seed was the caller's.
        inputs |= {"prompt": "BYTES", "blocked": "BOOL", "seed_drawn": "BOOL"}
        # It lies inside the guards: an answer in the cache has not been judged.
        del inputs["guard_policy"], outputs["guard"]
    assert {tensor.name: tensor.datatype for tensor in metadata.inputs} == inputs
    assert {tensor.name: tensor.datatype for tensor in metadata.outputs} == outputs
    assert all(tensor.optional for tensor in config.input)
    many = {tensor.name for tensor in config.input if list(tensor.dims) != [1]}
    assert many == {"stop_words"}
    assert config.model_transaction_policy.decoupled == (model == "assistant_stream")
    assert config.response_cache.enable == (model == "completion")


@pytest.mark.parametrize("kind", [tritonclient.grpc, tritonclient.http], ids=["grpc", "http"])
def test_nvidias_client_works_unchanged(mock_stack: Stack, kind: Any) -> None:
    """Its binary tensors too, and the request's id comes back."""
    port = mock_stack.grpc_port if kind is tritonclient.grpc else mock_stack.http_port
    inputs = [
        tritonclient_input(kind, "text_input", np.array([["héllo"]], dtype=np.object_)),
        tritonclient_input(kind, "max_tokens", np.array([[20]], dtype=np.int32)),
        tritonclient_input(kind, "stop_words", np.array([["a b c", "d e f"]], dtype=np.object_)),
    ]
    with kind.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_server_ready()
        result = client.infer("assistant", inputs, request_id="my-id")
    assert result.as_numpy("text_output").flat[0].decode() == mock_answer("héllo", 20)
    assert result.as_numpy("completion_tokens").tolist() == [[20]]
    response = result.get_response()
    assert (response["id"] if isinstance(response, dict) else response.id) == "my-id"


def tritonclient_input(kind: Any, name: str, values: Any) -> Any:
    tensor = kind.InferInput(name, list(values.shape), DATATYPES[name])
    tensor.set_data_from_numpy(values)
    return tensor


def test_no_error_tells_the_name_of_shared_memory(mock_stack: Stack) -> None:
    """CVE-2025-23319: such a name in an error lets a stranger into the Python backend's memory."""
    prefix = mock_stack.folder.shared_memory_prefix
    for body in (b"", b"{", b'{"text_input": ""}', b'{"text_input": "' + b"a" * 2**21 + b'"}'):
        _, answer = http_post(mock_stack, "/v2/models/assistant/generate", body)
        assert prefix.encode() not in answer
        assert not re.search(rb"/dev/shm|shm_region|Traceback", answer)


@pytest.mark.parametrize(
    ("request_id", "says"),
    [(b"a\xffb", b"id: not valid UTF-8"), (b"a" * 2000, b"id: 2000 characters, at most 1024")],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("assistant/infer", infer_body(GOOD)),
        ("tensorrt_llm/infer", infer_body({"stop": True})),
        ("assistant/generate", json.dumps(GOOD).encode()),
        ("assistant_stream/generate_stream", json.dumps(GOOD).encode()),
    ],
)
def test_a_request_id_that_is_none_is_refused_by_name(
    mock_stack: Stack, path: str, body: bytes, request_id: bytes, says: bytes
) -> None:
    status, answer = http_post(mock_stack, f"/v2/models/{path}", b'{"id": "%s", %s' % (request_id, body[1:]))
    assert status == 400
    assert says in answer
    assert str(mock_stack.folder.root).encode() not in answer


def test_a_large_answer_comes_whole(mock_stack: Stack) -> None:
    prompt = "long words " * 200
    assert UNARY.infer(mock_stack, {"text_input": prompt, "max_tokens": 4000}).text == mock_answer(prompt, 4000)
