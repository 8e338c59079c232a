"""What a gRPC client may do with its calls, connections and streams."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import psutil
import pytest
from tritonclient.grpc import service_pb2_grpc

from tests.gateway.hazards.conftest import until_free
from tests.gateway.hazards.dialects import GRPC, GRPC_STREAM, refused, streamed
from tests.gateway_stack import GatewayStack
from tests.triton.tensors import grpc_request

SECONDS = 30.0
GOOD: dict[str, Any] = {"text_input": "Hi", "max_tokens": 4}
LONG: dict[str, Any] = {"text_input": "Hi", "max_tokens": 4000, "min_tokens": 4000, "temperature": 1.0}
DIALECTS = (GRPC, GRPC_STREAM)


@pytest.fixture
def channel(gateway_stack: GatewayStack) -> Iterator[Any]:
    with grpc.insecure_channel(gateway_stack.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


@pytest.fixture
def stub(channel: Any) -> Any:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def code(error: Any) -> str:
    return str(error.value.code().name)


@pytest.mark.parametrize("seconds", [0.001, 0.0, -5.0])
def test_a_deadline_that_nothing_meets(stub: Any, seconds: float) -> None:
    with pytest.raises(grpc.RpcError) as whole:
        stub.ModelInfer(grpc_request("assistant", LONG), timeout=seconds)
    assert code(whole) == "DEADLINE_EXCEEDED"
    try:  # whichever is first, the server's word or the client's own
        outcome = streamed(stub.ModelStreamInfer(iter([grpc_request("assistant_stream", LONG)]), timeout=seconds))
    except grpc.RpcError as error:
        outcome = refused(error)
    assert outcome.status == 504


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_timeout_of_its_own_holds(gateway_stack: GatewayStack, dialect: Any) -> None:
    message = grpc_request(dialect.model, LONG)
    message.parameters["timeout"].int64_param = 300_000
    assert dialect.send(gateway_stack, message).status == 504
    for name, value in (("string_param", "soon"), ("int64_param", 0), ("int64_param", -1), ("bool_param", True)):
        message = grpc_request(dialect.model, GOOD)
        setattr(message.parameters["timeout"], name, value)
        outcome = dialect.send(gateway_stack, message)
        assert (outcome.status, "timeout: expected microseconds" in outcome.says) == (400, True)


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("version", ["2", "-1", "abc", "\0", "1" * 10_000])
def test_a_version_that_is_not_there(gateway_stack: GatewayStack, dialect: Any, version: str) -> None:
    message = grpc_request(dialect.model, GOOD)
    message.model_version = version
    assert dialect.send(gateway_stack, message).status == 404


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize(
    ("field", "says"),
    [("parameters", "'triton_x'"), ("outputs", "'nonsense'"), ("of an input", "'shared_memory_region'")],
)
def test_what_is_not_served(gateway_stack: GatewayStack, dialect: Any, field: str, says: str) -> None:
    message = grpc_request(dialect.model, GOOD)
    match field:
        case "parameters":
            message.parameters["triton_x"].bool_param = True
        case "outputs":
            message.outputs.add(name="nonsense")
        case _:
            message.inputs[0].parameters["shared_memory_region"].string_param = "x"
    outcome = dialect.send(gateway_stack, message)
    assert (outcome.status, says in outcome.says) == (400, True)


def test_the_wrong_model_for_the_way(gateway_stack: GatewayStack, stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(grpc_request("assistant_stream", GOOD), timeout=SECONDS)
    assert code(caught) == "INVALID_ARGUMENT"
    assert streamed(stub.ModelStreamInfer(iter([grpc_request("assistant", GOOD)]), timeout=SECONDS)).status == 200


def test_bytes_that_are_no_message(channel: Any) -> None:
    nonsense = b"\xff\xff\xff"
    path = "/inference.GRPCInferenceService/"
    with pytest.raises(grpc.RpcError) as whole:
        channel.unary_unary(f"{path}ModelInfer")(nonsense, timeout=SECONDS)
    with pytest.raises(grpc.RpcError) as stream:
        list(channel.stream_stream(f"{path}ModelStreamInfer")(iter([nonsense]), timeout=SECONDS))
    assert (code(whole), code(stream)) == ("UNKNOWN", "INVALID_ARGUMENT")  # the first is the library's own


def test_a_method_that_is_not_there(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/inference.GRPCInferenceService/Nonsense")(b"", timeout=SECONDS)
    assert code(caught) == "UNIMPLEMENTED"


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_a_bomb_that_is_small_on_the_wire(gateway_stack: GatewayStack, channel: Any, dialect: Any) -> None:
    """256 MiB of zeros come as 256 KiB: they are refused before they are there."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    bomb = grpc_request(dialect.model, {"text_input": "0" * 2**28})
    small: Any = {"timeout": SECONDS, "compression": grpc.Compression.Gzip}
    before = resident(gateway_stack)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.ModelStreamInfer(iter([bomb]), **small)) if dialect.streams else stub.ModelInfer(bomb, **small)
    assert code(caught) == "RESOURCE_EXHAUSTED"
    assert resident(gateway_stack) - before < 64 * 2**20


def resident(stack: GatewayStack) -> int:
    """Bytes, of the gateway's process."""
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    (gateway,) = {one.pid for one in listening if one.laddr[1:2] == (stack.gateway_port,)}
    return int(psutil.Process(gateway).memory_info().rss)


@pytest.mark.parametrize("count", [1, 10_000])
def test_too_much_metadata(stub: Any, count: int) -> None:
    metadata = [(f"x-{number}", "y" * (1_000_000 // count)) for number in range(count)]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(grpc_request("assistant", GOOD), timeout=SECONDS, metadata=metadata)
    assert code(caught) == "RESOURCE_EXHAUSTED"


def test_metadata_of_bytes_is_borne(stub: Any) -> None:
    metadata = [("x-request-id-bin", b"\xff\0"), ("traceparent", "nonsense"), ("x-request-id", "a b")]
    assert stub.ModelInfer(grpc_request("assistant", GOOD), timeout=SECONDS, metadata=metadata).outputs


def test_a_stream_without_a_request_ends(stub: Any) -> None:
    assert list(stub.ModelStreamInfer(iter([]), timeout=SECONDS)) == []


def test_an_id_can_be_used_again_and_twice_at_once(gateway_stack: GatewayStack, stub: Any) -> None:
    """Each has one of its own inside: who stops one stops no other."""
    sent: queue.Queue[Any] = queue.Queue()
    calls = [stub.ModelStreamInfer(iter(sent.get, None), timeout=SECONDS) for _ in range(2)]
    for _ in calls:
        sent.put(grpc_request("assistant_stream", LONG, "same"))
    for call in calls:
        next(call)
    calls[0].cancel()
    gateway_stack.until(lambda stats: stats.live == 1, SECONDS, "one was stopped and one was not")
    for _ in range(5):
        assert next(calls[1]).infer_response.id == "same"
    calls[1].cancel()
    gateway_stack.until(lambda stats: stats.live == 0, SECONDS, "both were")
    for _ in calls:
        sent.put(None)
    again = streamed(
        stub.ModelStreamInfer(iter([grpc_request("assistant_stream", GOOD, "same")]), timeout=SECONDS)
    )
    assert again.status == 200


def test_a_mistake_ends_no_stream(stub: Any) -> None:
    asked: dict[str, dict[str, Any]] = {
        "bad": {"text_input": "Hi", "top_p": 7.0},
        "none": {},
        "good": GOOD,
        "worse": {"text_input": b"\xff"},
    }
    requests = [grpc_request("assistant_stream", inputs, name) for name, inputs in asked.items()]
    errors, ended = set(), set()
    for response in stub.ModelStreamInfer(iter(requests), timeout=SECONDS):
        about = response.infer_response
        if response.error_message:
            errors.add(about.id)
        elif about.parameters["triton_final_response"].bool_param:
            ended.add(about.id)
    assert (errors, ended) == ({"bad", "none", "worse"}, {"good"})


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_who_cancels_frees_the_engine(gateway_stack: GatewayStack, stub: Any, dialect: Any) -> None:
    message = grpc_request(dialect.model, LONG)
    if dialect.streams:
        call = stub.ModelStreamInfer(iter([message]), timeout=SECONDS)
        next(call)
    else:
        call = stub.ModelInfer.future(message, timeout=SECONDS)
    gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
    call.cancel()
    gateway_stack.until(lambda stats: stats.live == 0, 3.0, "the engine is free, long before all is made")


def test_who_sends_and_never_reads_holds_up_itself_alone(gateway_stack: GatewayStack, stub: Any) -> None:
    ended = threading.Event()

    def requests() -> Iterator[Any]:
        for number in range(2000):
            yield grpc_request("assistant_stream", {"text_input": "Hi", "top_p": 7.0}, f"{number}{'x' * 250}")
        ended.wait(SECONDS)

    call = stub.ModelStreamInfer(requests(), timeout=SECONDS)
    before = resident(gateway_stack)
    for _ in range(5):
        assert GRPC.ask(gateway_stack, GOOD).status == 200
    until_free(gateway_stack)
    assert resident(gateway_stack) - before < 32 * 2**20
    assert "top_p" in next(call).error_message
    ended.set()
    call.cancel()
