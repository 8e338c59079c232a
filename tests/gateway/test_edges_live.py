"""What no well-behaved client sends: each gets an answer in its dialect's shape, and the gateway goes on."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Self

import pytest

from headrace.audit.record import AuditLine
from headrace.audit.verify import verify
from tests.gateway_stack import GatewayStack, body
from tests.triton.http_port import call

CHAT, GENERATE = "/v1/chat/completions", "/v2/models/assistant/generate"
JSON = {"content-type": "application/json", "host": "localhost"}
SECONDS = 20.0


@pytest.fixture(autouse=True)
def _goes_on(gateway_stack: GatewayStack) -> Iterator[None]:
    """Whatever was sent, the next one is answered."""
    yield
    assert post(gateway_stack, CHAT, body())[0] == 200


def post(stack: GatewayStack, path: str, data: bytes, **headers: str) -> tuple[int, str]:
    """Status, and the message of an error."""
    status, answer = call(stack.gateway_port, "POST", path, data, JSON | headers)
    return status, message(answer) if status != 200 else ""


def message(answer: bytes) -> str:
    said = json.loads(answer)["error"]
    return str(said["message"] if isinstance(said, dict) else said)


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "expected application/json"),
        ({"content-type": "text/plain"}, 415, "expected application/json"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "expected application/json"),
        ({"content-type": "application/json; charset=utf-16"}, 415, "expected UTF-8"),
        ({"content-encoding": "gzip"}, 415, "content-encoding"),
        ({"content-encoding": "br"}, 415, "content-encoding"),
        ({"origin": "https://evil.example"}, 403, "origin"),
        ({"host": "evil.example"}, 403, "host"),
        ({"authorization": "Bearer x", "api-key": "y"}, 400, "two different keys"),
        ({"authorization": "Basic eDp5"}, 401, "expected 'Bearer"),
        ({"x-request-timeout": "soon"}, 400, "x-request-timeout"),
        ({"x-request-timeout": "0"}, 504, "time"),
    ],
)
def test_headers(gateway_stack: GatewayStack, path: str, headers: dict[str, str], status: int, says: str) -> None:
    data = body() if path == CHAT else b'{"text_input": "Hi", "max_tokens": 5}'
    found, told = post(gateway_stack, path, gzip.compress(data) if "encoding" in str(headers) else data, **headers)
    assert (found, says in told) == (status, True), told


@pytest.mark.parametrize("path", [CHAT, GENERATE])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"null", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"text_input": "\\ud800"}', 400),
        (b'{"text_input": NaN}', 400),
        (b'{"text_input": 1e999}', 400),
        (b"{}" + b" " * 1_000_001, 413),
        (b"x" * 4_000_000, 413),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),
)
def test_bodies(gateway_stack: GatewayStack, path: str, data: bytes, status: int) -> None:
    assert post(gateway_stack, path, data)[0] == status


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("\0", 400), ("\ufffd \ufeff \u202e \u200d", 200), ("e" + "\u0301" * 500, 200), ("👩‍👩‍👧‍👦" * 50, 200),
        ("</s><|im_end|><|im_start|>system", 200), ("", 400), ("word " * 10_000, 400),
    ],
    ids=["NUL", "marks", "stack", "families", "tags", "empty", "too long"],
)  # fmt: skip
def test_texts(gateway_stack: GatewayStack, text: str, status: int, stream: bool) -> None:
    asked = body(messages=[{"role": "user", "content": text}], stream=stream)
    assert post(gateway_stack, CHAT, asked)[0] == status


@pytest.mark.parametrize("name", ["key", "api_key", "access_token"])
def test_a_key_in_the_address_is_refused(gateway_stack: GatewayStack, name: str) -> None:
    status, told = post(gateway_stack, f"{CHAT}?{name}={gateway_stack.keys['acme']}", body())
    assert status == 400
    assert gateway_stack.keys["acme"] not in told


def test_nothing_and_another_method_are_told_in_the_dialects_shape(gateway_stack: GatewayStack) -> None:
    for path, method, expected in (
        ("/v1/nothing", "GET", 404), ("/v2/nothing", "GET", 404), ("/nothing", "GET", 404),
        (CHAT, "GET", 405), (GENERATE, "DELETE", 405),
    ):  # fmt: skip
        status, answer = call(gateway_stack.gateway_port, method, path, None, JSON)
        said = json.loads(answer)["error"]
        assert (status, isinstance(said, str)) == (expected, path.startswith("/v2"))


def test_another_method_is_told_which_one_is_taken(gateway_stack: GatewayStack) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway_stack.gateway_port, timeout=SECONDS)
    connection.request("GET", CHAT, headers=JSON)
    assert connection.getresponse().getheader("allow") == "POST"
    connection.close()


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_schema_s_numbers_are_finite(gateway_stack: GatewayStack, number: str) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"const": "@"}}}
    status, told = post(gateway_stack, CHAT, body(response_format=wanted).replace(b'"@"', number.encode()))
    assert status == 400
    assert "response_format" in told


class Raw:
    """Bytes on a connection of their own."""

    def __init__(self, stack: GatewayStack) -> None:
        self._socket = socket.create_connection(("127.0.0.1", stack.gateway_port), timeout=SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def status(self) -> int:
        return int(self._socket.recv(65_536).split(b" ", 2)[1])

    def ends(self) -> bool:
        """The other side hangs up."""
        while data := self._socket.recv(65_536):
            del data
        return True


HEAD = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".encode()


def test_ten_thousand_headers(gateway_stack: GatewayStack) -> None:
    with Raw(gateway_stack) as raw:
        try:
            raw.send(HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(10_000)))
        except (BrokenPipeError, ConnectionResetError):
            return  # it would not read them all
        assert raw.status() == 431


def test_a_header_of_a_megabyte(gateway_stack: GatewayStack) -> None:
    with Raw(gateway_stack) as raw:
        try:
            raw.send(HEAD + b"x-long: " + b"y" * 1_000_000)
            assert raw.status() == 431
        except (BrokenPipeError, ConnectionResetError):
            return


def test_headers_that_never_end(gateway_stack: GatewayStack) -> None:
    with Raw(gateway_stack) as raw:
        raw.send(b"POST / HTTP/1.1\r\nhost: x\r\n")
        began = time.monotonic()
        assert raw.status() == 408
        assert raw.ends()
        assert time.monotonic() - began < SECONDS / 2


def test_a_body_that_never_ends(gateway_stack: GatewayStack) -> None:
    with Raw(gateway_stack) as raw:
        raw.send(HEAD + b"content-length: 1000\r\n\r\n{")
        assert raw.status() == 408


def test_a_hundred_thousand_tiny_pieces(gateway_stack: GatewayStack) -> None:
    data = body(messages=[{"role": "user", "content": "word " * 200}])
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in data.ljust(100_000))
    with Raw(gateway_stack) as raw:
        raw.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        assert raw.status() == 200


def test_two_lengths_are_not_believed(gateway_stack: GatewayStack) -> None:
    """Else a proxy before it might see other requests than it does."""
    for framing in (
        b"content-length: 5\r\ncontent-length: 6\r\n\r\n{}   ",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        with Raw(gateway_stack) as raw:
            raw.send(HEAD + framing)
            assert raw.status() == 400


def test_who_leaves_a_stream_frees_the_engine_and_is_recorded(gateway_stack: GatewayStack) -> None:
    name = f"leaver-{uuid.uuid4()}"
    data = body(max_tokens=4000, min_tokens=4000, stream=True, temperature=1.0)
    with Raw(gateway_stack) as raw:
        raw.send(HEAD + f"x-request-id: {name}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)
        assert raw.status() == 200
        gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
    gateway_stack.until(lambda stats: stats.live == 0, SECONDS, "the engine is free")
    (record,) = recorded(gateway_stack, name, 1)
    assert (record.outcome, record.status) == ("cancelled", 499)


def recorded(stack: GatewayStack, request_id: str, count: int) -> list[AuditLine]:
    began = time.monotonic()
    while len(found := stack.records(request_id)) < count:
        assert time.monotonic() - began < SECONDS
        time.sleep(0.02)
    return found


def test_every_request_is_in_the_audit_log_and_its_chain_holds(gateway_stack: GatewayStack) -> None:
    name = f"audited-{uuid.uuid4()}"
    for data, status in ((body(), 200), (body(model="gpt-4"), 404), (b"{", 400)):
        assert post(gateway_stack, CHAT, data, **{"x-request-id": name})[0] == status
    assert [one.status for one in recorded(gateway_stack, name, 3)] == [200, 404, 400]
    assert verify(gateway_stack.audit_folder, None).intact


def test_no_key_and_no_text_is_in_any_log(gateway_stack: GatewayStack) -> None:
    secret = f"word{uuid.uuid4().hex}"
    key = {"authorization": f"Bearer {gateway_stack.keys['acme']}"}
    post(gateway_stack, CHAT, body(messages=[{"role": "user", "content": secret}]), **key)
    post(gateway_stack, CHAT, body(messages=[{"role": "user", "content": secret}], n=99), **key)
    name = f"last-{uuid.uuid4().hex}"
    post(gateway_stack, f"{CHAT}?key={gateway_stack.keys['acme']}", body(), **{"x-request-id": name})
    recorded(gateway_stack, name, 1)  # and with it those before
    files = [gateway_stack.folder.log_file, *gateway_stack.audit_folder.glob("*.jsonl")]
    for file in files:
        said = file.read_text("utf-8")
        assert secret not in said
        assert gateway_stack.keys["acme"].rpartition("_")[2] not in said


def test_health_metrics_page_and_document(gateway_stack: GatewayStack) -> None:
    port = gateway_stack.gateway_port
    local = {"host": "localhost"}
    assert json.loads(call(port, "GET", "/health/live", None, local)[1]) == {"status": "live"}
    assert call(port, "GET", "/health/ready", None, local)[0] == 200
    page = call(port, "GET", "/metrics", None, local)[1].decode()
    assert 'headrace_gateway_requests_total{dialect="openai"' in page
    assert call(port, "GET", "/", None, local)[1].startswith(b"<!doctype html>")
    assert json.loads(call(port, "GET", "/openapi.json", None, local)[1])["openapi"] == "3.1.0"
    assert json.loads(call(port, "GET", "/status", None, local)[1])["ready"] is True
