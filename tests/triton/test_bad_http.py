"""What HTTP and JSON alone can get wrong: each is answered, and the server goes on.

Triton 2.51 calls JSON that it cannot read a 500: a known mistake of that server, harmless. What kills it is in
`test_deadly_input`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack import Stack
from tests.triton.answers import Refused, infer_text
from tests.triton.doors import DOORS, UNARY, Door
from tests.triton.http_port import RawPost, http_get, http_post
from tests.triton.mock_answer import mock_answer
from tests.triton.tensors import infer_body

GOOD: dict[str, Any] = {"text_input": "Good morning", "max_tokens": 12}
GOOD_BODY = infer_body(GOOD)
INFER = "/v2/models/assistant/infer"
GENERATE = "/v2/models/assistant/generate"
GENERATE_STREAM = "/v2/models/assistant_stream/generate_stream"
JSON_DOORS = [door for door in DOORS if door.protocol != "grpc"]


@pytest.fixture(autouse=True)
def goes_on(mock_stack: Stack) -> Iterator[None]:
    yield
    assert UNARY.infer(mock_stack, GOOD).text == mock_answer("Good morning", 12)


def body_for(path: str, inputs: dict[str, Any]) -> bytes:
    return infer_body(inputs) if path == INFER else json.dumps(inputs).encode()


# The rest of an /infer body, after a good text_input.
TAILS = {
    "max_tokens 2^31": (b'"max_tokens","datatype":"INT32","shape":[1,1],"data":[2147483648]', 400, "max_tokens"),
    "seed 2^64": (
        b'"random_seed","datatype":"UINT64","shape":[1,1],"data":[18446744073709551616]',
        500,
        "integer",
    ),
    "seed -1": (b'"random_seed","datatype":"UINT64","shape":[1,1],"data":[-1]', 500, "unsigned-integer"),
    "lone surrogate": (b'"cache_scope","datatype":"BYTES","shape":[1,1],"data":["a \\ud800 b"]', 500, "surrogate"),
    "fewer numbers than the shape": (b'"top_k","datatype":"INT32","shape":[1,1],"data":[]', 500, "data"),
    "shape [-1, 1]": (b'"cache_scope","datatype":"BYTES","shape":[-1,1],"data":["a"]', 500, "'shape'"),
    "no data": (b'"cache_scope","datatype":"BYTES","shape":[1,1]', 400, "'data'"),
    "unknown region": (
        b'"cache_scope","datatype":"BYTES","shape":[1,1],"parameters":{"shared_memory_region":"x"}',
        404,
        "region",
    ),
    "twice the same input": (b'"text_input","datatype":"BYTES","shape":[1,1],"data":["a"]', 400, "text_input"),
    "truncated": (b'"max_tokens"', 500, "JSON"),
}


@pytest.mark.parametrize(("tail", "status", "says"), TAILS.values(), ids=TAILS)
def test_an_input_that_triton_cannot_read(mock_stack: Stack, tail: bytes, status: int, says: str) -> None:
    body = b'{"inputs":[{"name":"text_input","datatype":"BYTES","shape":[1,1],"data":["Hi"]},{"name":%s}]}' % tail
    if says == "JSON":
        body = body[:-6]
    found, answer = http_post(mock_stack, INFER, body)
    assert (found, says in answer.decode()) == (status, True), answer


@pytest.mark.parametrize("path", [INFER, GENERATE, GENERATE_STREAM], ids=["infer", "generate", "stream"])
@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("9223372036854775808", "non-signed-integer"),
        ("1e309", "Number too big"),
        ('"5"', "non-signed-integer"),
        ("true", "non-signed-integer"),
        ("5.5", "non-signed-integer"),
        ("5.0", "non-signed-integer"),
        ("null", "non-signed-integer"),
        ("{}", "non-signed-integer"),
    ],
)
def test_max_tokens_that_is_no_whole_number(mock_stack: Stack, path: str, number: str, says: str) -> None:
    if path == INFER:
        body = GOOD_BODY.replace(b'"data": [12]', b'"data": [%s]' % number.encode())
    else:
        body = b'{"text_input": "Hi", "max_tokens": %s}' % number.encode()
    assert number.encode() in body
    status, answer = http_post(mock_stack, path, body)
    assert (status, says in json.loads(answer)["error"]) == (500, True), answer


@pytest.mark.parametrize("path", [INFER, GENERATE, GENERATE_STREAM], ids=["infer", "generate", "stream"])
@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("random_seed", [-1, 2**64, 1.5, "5", True, None, {}], "non-unsigned-integer"),
        ("temperature", ["5", True, None], "non-number"),
        ("return_log_probs", [0, 1, "true", None], "non-boolean"),
        ("cache_scope", [5, True, None, {}], "non-string"),
    ],
)
def test_a_value_of_the_wrong_type(mock_stack: Stack, path: str, name: str, values: list[Any], says: str) -> None:
    for value in values:
        inputs = {**GOOD, name: value}
        status, answer = http_post(mock_stack, path, body_for(path, inputs))
        error = json.loads(answer)["error"]
        assert (status, says in error, name in error) == (500, True, False), (value, answer)


@pytest.mark.parametrize("door", JSON_DOORS, ids=str)
class TestAWholeNumberBeyond32Bits:
    """Triton 2.51 keeps its low 32 bits and says nothing: no step can see what the client wrote."""

    def test_is_refused_when_they_are_out_of_range(self, mock_stack: Stack, door: Door) -> None:
        with pytest.raises(Refused, match="max_tokens: got -2147483648, expected 1 or more") as caught:
            door.infer(mock_stack, {**GOOD, "max_tokens": 2**31})
        assert caught.value.status == "400"

    @pytest.mark.parametrize("number", [2**32 + 12, -(2**32) + 12])
    def test_is_taken_for_another_when_they_are_not(self, mock_stack: Stack, door: Door, number: int) -> None:
        answer = door.infer(mock_stack, {**GOOD, "max_tokens": number})
        assert (answer.text, answer.last.completion_tokens) == (mock_answer("Good morning", 12), 12)

    def test_is_the_highest_when_it_is_just_too_low(self, mock_stack: Stack, door: Door) -> None:
        """With a stop string, since that many tokens take a while."""
        whole = mock_answer("Good morning", 40)
        word = whole.split()[-1]
        answer = door.infer(mock_stack, {**GOOD, "max_tokens": -(2**31) - 1, "stop_words": [word]})
        assert (answer.text, answer.last.finish_reason) == (whole[: whole.index(word)], "stop")


@pytest.mark.parametrize("path", [GENERATE, GENERATE_STREAM], ids=["generate", "stream"])
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b'{"text_input": "a \\ud800 b"}', 500, "surrogate pair in string is invalid"),
        (b'{"text_input": "a \xff b"}', 400, "text_input: not valid UTF-8 at byte 2"),
        (b'{"text_input": "Hi", "text_input": "Ho"}', 400, "'text_input' already exists"),
        (b'{"text_input": ["Hi", "Ho"]}', 400, "batch-size must be <= 1"),
        (b'{"text_input": {"a": "Hi"}}', 500, ""),
        (b'{"text_input": "Hi", "nonsense": {"a": 1}}', 400, "'nonsense' has invalid type"),
        (b"[1]", 500, "non-object"),
        (b'{"text_input": ' + b"[" * 100_000, 500, "Invalid value"),
    ],
    ids=["surrogate", "bytes", "twice", "two", "object", "parameter", "list", "deep"],
)
def test_json_of_generate(mock_stack: Stack, path: str, body: bytes, status: int, says: str) -> None:
    found, answer = http_post(mock_stack, path, body)
    assert found == status, answer
    assert says in json.loads(answer.removeprefix(b"data: "))["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("assistant/infer", b"", 400),
        ("assistant/infer", b"\x00\xff", 500),
        ("assistant/infer", b"[" * 100_000, 500),
        ("assistant/generate", b"", 500),
        ("assistant/generate", b'{"text_input": 5}', 500),
        ("assistant/versions/9/infer", GOOD_BODY, 404),
        ("assistant/versions/-1/infer", GOOD_BODY, 404),
        ("nonsense/infer", GOOD_BODY, 404),
        ("assistant_stream/infer", GOOD_BODY, 501),
    ],
    ids=["empty", "bytes", "deep", "generate-empty", "generate-number", "version", "minus", "model", "decoupled"],
)
def test_a_wrong_call(mock_stack: Stack, path: str, body: bytes, status: int) -> None:
    found, answer = http_post(mock_stack, f"/v2/models/{path}", body)
    assert found == status, answer
    assert json.loads(answer)["error"]
    assert http_get(mock_stack, "/v2/health/ready")[0] == 200


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"parameters": {"triton_enable_empty_final_response": True}}, 400, "'triton_' are reserved"),
        ({"parameters": {"timeout": "soon"}}, 500, "'timeout'"),
        ({"parameters": {"timeout": -1}}, 500, "'timeout'"),
        ({"parameters": {"priority": "high"}}, 500, "'priority'"),
        ({"parameters": {"binary_data_output": "yes"}}, 500, "'binary_data_output'"),
        ({"parameters": {"nested": {"a": 1}}}, 400, "'nested' has invalid type"),
        ({"parameters": [1]}, 500, "params"),
        ({"outputs": [{"name": "nonsense"}]}, 400, "unexpected inference output 'nonsense'"),
    ],
    ids=["reserved", "timeout", "timeout -1", "priority", "binary", "nested", "list", "output"],
)
def test_wrong_parameters(mock_stack: Stack, more: dict[str, Any], status: int, says: str) -> None:
    found, answer = http_post(mock_stack, INFER, json.dumps(json.loads(GOOD_BODY) | more).encode())
    assert (found, says in json.loads(answer)["error"]) == (status, True), answer


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"anything": 5, "other": "x"}},
        {"parameters": {"priority": 99}},
        {"parameters": {"sequence_id": 5, "sequence_start": True}},
        {"outputs": [{"name": "text_output"}, {"name": "text_output"}]},
    ],
    ids=["extra", "priority 99", "sequence", "output twice"],
)
def test_parameters_that_change_nothing(mock_stack: Stack, more: dict[str, Any]) -> None:
    status, answer = http_post(mock_stack, INFER, json.dumps(json.loads(GOOD_BODY) | more).encode())
    assert status == 200, answer
    assert infer_text(answer) == mock_answer("Good morning", 12)


def test_of_a_key_that_stands_twice_the_first_counts(mock_stack: Stack) -> None:
    body = GOOD_BODY[:-1] + b"," + infer_body({"text_input": "Other", "max_tokens": 12})[1:]
    status, answer = http_post(mock_stack, INFER, body)
    assert (status, infer_text(answer)) == (200, mock_answer("Good morning", 12))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Content-Type: text/plain"],
        ["Content-Type: application/x-www-form-urlencoded"],
        [f"X-{number}: a" for number in range(10_000)],
    ],
    ids=["none", "text", "form", "10 000"],
)
def test_headers_that_do_not_matter(mock_stack: Stack, headers: list[str]) -> None:
    with RawPost(mock_stack, INFER, f"Content-Length: {len(GOOD_BODY)}", *headers) as post:
        post.send(GOOD_BODY)
        status, answer = post.answer()
    assert (status, infer_text(answer)) == (200, mock_answer("Good morning", 12))


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n--x--\r\n' % GOOD_BODY,
            {"Content-Type": "multipart/form-data; boundary=x"},
            500,
            "JSON",
        ),
        (gzip.compress(GOOD_BODY)[:-20], {"Content-Encoding": "gzip"}, 500, "JSON"),
        (GOOD_BODY, {"Content-Encoding": "gzip"}, 400, "request"),
        (GOOD_BODY, {"Inference-Header-Content-Length": "99999"}, 400, "header size"),
        (GOOD_BODY, {"Inference-Header-Content-Length": "-1"}, 400, "header size"),
    ],
    ids=["multipart", "gzip-cut", "no-gzip", "length", "length -1"],
)
def test_headers_that_lie(mock_stack: Stack, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    found, answer = http_post(mock_stack, INFER, body, headers)
    assert (found, says in json.loads(answer)["error"]) == (status, True), answer


def test_a_hundred_thousand_chunks(mock_stack: Stack) -> None:
    """CVE-2025-23310: each once took some of the stack."""
    body = GOOD_BODY[:-1].ljust(100_000) + b"}"
    with RawPost(mock_stack, INFER, "Transfer-Encoding: chunked") as post:
        post.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        status, answer = post.answer()
    assert (status, infer_text(answer)) == (200, mock_answer("Good morning", 12))


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip-bomb"])
def test_a_body_of_64_mib(mock_stack: Stack, zipped: bool) -> None:
    body = infer_body({"text_input": "a" * 2**26})
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    status, answer = http_post(mock_stack, INFER, gzip.compress(body, 1) if zipped else body, headers)
    assert (status, b"text_input: 67108864 bytes, at most 262144" in answer) == (400, True)
