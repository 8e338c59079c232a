"""What gRPC alone can get wrong: each is answered with a code, and the server goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.stack import Stack
from tests.triton.answers import Refused, grpc_piece, refused
from tests.triton.doors import UNARY, Stub
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import grpc_request

GOOD: dict[str, Any] = {"text_input": "Good morning", "max_tokens": 12}
TEXT, MAX_TOKENS = 0, 1
"""Places of the inputs."""


@pytest.fixture(autouse=True)
def goes_on(mock_stack: Stack) -> Iterator[None]:
    yield
    assert UNARY.infer(mock_stack, GOOD).text == mock_answer("Good morning", 12)


def good() -> Any:
    return grpc_request("assistant", GOOD)


def typed(**max_tokens: list[Any]) -> Any:
    """Values in `contents` and not as raw bytes."""
    request = service_pb2.ModelInferRequest(model_name="assistant")
    text = request.inputs.add(name="text_input", datatype="BYTES", shape=[1, 1])
    text.contents.bytes_contents.append(b"Good morning")
    number = request.inputs.add(name="max_tokens", datatype="INT32", shape=[1, 1])
    for field, values in max_tokens.items():
        getattr(number.contents, field).extend(values)
    return request


def raw_and_typed() -> Any:
    request = good()
    request.inputs[MAX_TOKENS].contents.int_contents.append(12)
    return request


def raw(*contents: bytes) -> Any:
    request = good()
    del request.raw_input_contents[:]
    request.raw_input_contents.extend(contents)
    return request


def shaped(place: int, *shape: int) -> Any:
    request = good()
    del request.inputs[place].shape[:]
    request.inputs[place].shape.extend(shape)
    return request


def version(text: str) -> Any:
    request = good()
    request.model_version = text
    return request


def parameter(name: str, **value: Any) -> Any:
    request = good()
    for field, content in value.items():
        setattr(request.parameters[name], field, content)
    return request


def outputs(*names: str, **region: str) -> Any:
    request = good()
    for name in names:
        output = request.outputs.add(name=name)
        for key, value in region.items():
            output.parameters[key].string_param = value
    return request


def infer(stack: Stack, request: Any) -> Any:
    with Stub(stack) as stub:
        try:
            return stub.ModelInfer(request, timeout=10)
        except grpc.RpcError as error:
            raise refused(error) from None


Make = Callable[[], Any]
INVALID = "INVALID_ARGUMENT"
NUMBER = (12).to_bytes(4, "little")
STRING = b"\x02\0\0\0Hi"

# fmt: off
REFUSED: dict[str, tuple[Make, str, str]] = {
    "typed contents of another type": (lambda: typed(fp32_contents=[5.0]), INVALID, "'max_tokens'"),
    "too many typed contents": (lambda: typed(int_contents=[5, 6]), INVALID, "'max_tokens'"),
    "no typed contents": (typed, INVALID, "'max_tokens'"),
    "raw and typed": (raw_and_typed, INVALID, "'max_tokens'"),
    "one raw content missing": (lambda: raw(STRING), INVALID, "'max_tokens'"),
    "a string longer than its bytes": (lambda: raw(b"\xff\xff\xff\xff", NUMBER), INVALID, "'text_input'"),
    "a cut length of a string": (lambda: raw(b"\xff", NUMBER), INVALID, "'text_input'"),
    "no string": (lambda: raw(b"", NUMBER), INVALID, "'text_input'"),
    "half a number": (lambda: raw(STRING, b"\x05\0"), INVALID, "'max_tokens'"),
    "shape [-1, 1]": (lambda: shaped(TEXT, -1, 1), INVALID, "'text_input'"),
    "shape [0, 1]": (lambda: shaped(TEXT, 0, 1), INVALID, "'text_input'"),
    "shape [1, 1, 1]": (lambda: shaped(MAX_TOKENS, 1, 1, 1), INVALID, "'max_tokens'"),
    "shape []": (lambda: shaped(MAX_TOKENS), INVALID, "'max_tokens'"),
    "shape [2^40, 1]": (lambda: shaped(TEXT, 2**40, 1), INVALID, "'text_input'"),
    "shape [1, 2^62]": (lambda: shaped(MAX_TOKENS, 1, 2**62), INVALID, "'max_tokens'"),
    "version 9": (lambda: version("9"), "NOT_FOUND", "version 9 is not found"),
    "version -1": (lambda: version("-1"), INVALID, "model version"),
    "version abc": (lambda: version("abc"), INVALID, "model version"),
    "reserved parameter": (lambda: parameter("triton_x", bool_param=True), INVALID, "'triton_' are reserved"),
    "timeout of a wrong type": (lambda: parameter("timeout", string_param="soon"), INVALID, "'timeout'"),
    "priority of a wrong type": (lambda: parameter("priority", string_param="high"), INVALID, "'priority'"),
    "unknown output": (lambda: outputs("nonsense"), INVALID, "'nonsense'"),
    "unknown region": (lambda: outputs("text_output", shared_memory_region="x"), INVALID, "shared_memory"),
}
ANSWERED: dict[str, Make] = {
    "typed contents": lambda: typed(int_contents=[12]),
    "one raw content too many": lambda: raw(*good().raw_input_contents, b"more"),
    "extra parameter": lambda: parameter("anything", int64_param=5),
    "priority 99": lambda: parameter("priority", int64_param=99),
    # No element by its own word, one by its bytes: read as the request's only row.
    "max_tokens of shape [0, 1]": lambda: shaped(MAX_TOKENS, 0, 1),
}
# fmt: on


@pytest.mark.parametrize(("make", "code", "says"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_message_is_refused(mock_stack: Stack, make: Make, code: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        infer(mock_stack, make())
    assert caught.value.status == code


@pytest.mark.parametrize("make", ANSWERED.values(), ids=ANSWERED)
def test_an_odd_message_is_answered_as_if_it_were_not(mock_stack: Stack, make: Make) -> None:
    piece = grpc_piece(infer(mock_stack, make()))
    assert piece.text.decode() == mock_answer("Good morning", 12)


def test_an_output_asked_for_twice_comes_once(mock_stack: Stack) -> None:
    response = infer(mock_stack, outputs("text_output", "text_output"))
    assert [output.name for output in response.outputs] == ["text_output"]


@pytest.mark.parametrize(
    ("method", "code"), [("ModelInfer", "INTERNAL"), ("Nonsense", "UNIMPLEMENTED")], ids=["message", "method"]
)
def test_bytes_that_are_no_message(mock_stack: Stack, method: str, code: str) -> None:
    with grpc.insecure_channel(mock_stack.address) as channel:
        call: Callable[..., bytes] = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=10)
    assert refused(caught.value).status == code
