"""What comes over a connection that no library would send, and clients that leave, wait or do not read."""

from __future__ import annotations

import gzip
import json
import select
import socket
import time
import uuid
from contextlib import ExitStack

import pytest

from tests.gateway.hazards.dialects import (
    CHAT,
    CHAT_STREAM,
    COMPLETION_STREAM,
    GENERATE_STREAM,
    INFER,
    OVER_HTTP,
    Dialect,
)
from tests.gateway.hazards.raw import SECONDS, Connection, head, request
from tests.gateway_stack import GatewayStack, body

GOOD = {"text_input": "Hi", "max_tokens": 4}
LONG = {"text_input": "Hi", "max_tokens": 4000, "min_tokens": 4000, "temperature": 1.0}
STREAMS = (CHAT_STREAM, COMPLETION_STREAM, GENERATE_STREAM)
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_a_body_of_another_kind(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    good = dialect.body(GOOD)
    for kind, sent in (
        (FORM, b"a=" + b"b" * 2**22),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n" + good + b"\r\n--x--"),
        ("text/plain", good),
        ("application/json; charset=utf-16", good.decode().encode("utf-16")),
        ("application/json, application/json", good),
    ):  # fmt: skip
        assert dialect.post(gateway_stack, sent, content_type=kind).status == 415
    bomb = gzip.compress(bytes(2**26))
    for encoding in ("gzip", "br", "deflate", "zstd", "gzip, gzip"):
        assert dialect.post(gateway_stack, bomb, content_encoding=encoding).status == 415


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_a_body_of_no_kind_is_read_where_triton_s_client_sends_it(
    gateway_stack: GatewayStack, dialect: Dialect
) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(request(data=dialect.body(GOOD), dialect=dialect, json=False))
        assert connection.answer()[0] == (200 if dialect is INFER else 415)


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_64_mib_are_not_read_to_their_end(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    with Connection(gateway_stack) as connection:
        try:
            connection.send(request(data=bytes(2**26), dialect=dialect))
            assert connection.answer()[0] == 413
        except (BrokenPipeError, ConnectionResetError):
            return  # it hung up in the middle


def test_a_body_that_comes_byte_by_byte_has_an_end(gateway_stack: GatewayStack) -> None:
    with ExitStack() as stack:
        slow = {one: stack.enter_context(Connection(gateway_stack)) for one in OVER_HTTP}
        for dialect, connection in slow.items():
            connection.send(head("content-length: 1000", dialect=dialect))
        began = time.monotonic()
        while len(select.select([one.socket for one in slow.values()], [], [], 0)[0]) < len(slow):
            assert time.monotonic() - began < SECONDS
            for connection in slow.values():
                connection.send(b" ")
            time.sleep(0.2)
        for dialect, connection in slow.items():
            status, answer = connection.answer()
            assert dialect.outcome(status, answer).status == 408
            assert connection.rest() == b""  # and no second answer


@pytest.mark.parametrize("dialect", OVER_HTTP, ids=str)
def test_a_hundred_thousand_tiny_pieces(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    data = dialect.body(GOOD).ljust(100_000)
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
    with Connection(gateway_stack) as connection:
        connection.send(head("transfer-encoding: chunked", dialect=dialect), pieces, b"0\r\n\r\n")
        status, answer = connection.answer()
    assert dialect.outcome(status, answer).status == 200


def test_who_is_refused_before_its_body_came_goes_on_with_its_connection(gateway_stack: GatewayStack) -> None:
    refused = head(f"authorization: Bearer hr_none_{'x' * 43}", "content-length: 300000")
    with Connection(gateway_stack) as connection:
        connection.send(refused)
        assert connection.answer()[0] == 401
        connection.send(*[b" " * 1000] * 300, request())
        assert connection.answer()[0] == 200


def test_a_body_that_nobody_wants_is_read_for_a_while_only(gateway_stack: GatewayStack) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(head("authorization: Basic eDp5", "content-length: 300000"))
        began = time.monotonic()
        assert connection.answer()[0] == 401
        assert connection.rest() == b""
        assert time.monotonic() - began < SECONDS / 2
    with Connection(gateway_stack) as connection:
        connection.send(head("authorization: Basic eDp5", "content-length: 99999999999"))
        assert connection.answer()[0] == 401
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            connection.send(*[bytes(2**20)] * 1000)


def test_a_trailer_is_no_header(gateway_stack: GatewayStack) -> None:
    data = body()
    whole = head("transfer-encoding: chunked") + b"%x\r\n%s\r\n0\r\n" % (len(data), data)
    with Connection(gateway_stack) as connection:
        for trailer in ("authorization: Bearer hr_none", "x-request-timeout: 0", "origin: https://evil.example"):
            connection.send(whole + f"{trailer}\r\n\r\n".encode())
            assert connection.answer()[0] == 200
        connection.send(whole)
        try:
            connection.send(*[b"x-%d: y\r\n" % number for number in range(10_000)])
            assert connection.rest().startswith(b"HTTP/1.1 431")
        except (BrokenPipeError, ConnectionResetError):
            return


@pytest.mark.parametrize(
    "lines",
    [
        ("content-length: 5", "content-length: 6"),
        ("content-length: 5", "transfer-encoding: chunked"),
        ("transfer-encoding: xchunked",),
        ("transfer-encoding: chunked, identity",),
        ("transfer-encoding: identity",),
        ("content-length: -1",),
        ("content-length: +5",),
        ("content-length: 0x5",),
        ("content-length: 99999999999999999999999",),
        ("content-length : 5",),
        ("content-length: 5\r\n\tx",),
        ("x: a\nauthorization: b",),
        ("x: a\rb",),
        ("x\0y: a",),
    ],
    ids=lambda lines: ", ".join(lines).encode("unicode_escape").decode(),
)
def test_a_head_that_others_may_read_differently(gateway_stack: GatewayStack, lines: tuple[str, ...]) -> None:
    """Request smuggling: what stands behind it is not a request."""
    with Connection(gateway_stack) as connection:
        connection.send(head(*lines) + b"0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = connection.rest()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("second", ["localhost", "evil.example"])
def test_two_hosts_are_refused(gateway_stack: GatewayStack, second: str) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(request(f"host: {second}"))
        assert connection.answer()[0] == 400


@pytest.mark.parametrize("size", ["-1", "fffffffffffffffff", "xyz", "5 5", ""])
def test_a_piece_of_a_wrong_size(gateway_stack: GatewayStack, size: str) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(head("transfer-encoding: chunked") + f"{size}\r\n{{}}\r\n0\r\n\r\n".encode())
        assert connection.answer()[0] == 400


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100,
        bytes.fromhex("16030100a5010000a10303") + b"a" * 160,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nhost: localhost\r\n\r\nGET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
    ids=["zeros", "TLS", "HTTP/2", "CONNECT", "CONNECT to a path", "a path of bytes"],
)
def test_what_is_no_request_is_refused_and_hung_up_on(gateway_stack: GatewayStack, sent: bytes) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(sent)
        answer = connection.rest()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_offer_of_another_protocol_is_not_taken_and_changes_nothing(gateway_stack: GatewayStack) -> None:
    """Java's client makes it with each request, with its body behind it."""
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAEAAEAAAAIAAAAB")
    data = body()
    chunks = [head(*offer, "transfer-encoding: chunked"), b"%x\r\n%s\r\n" % (len(data), data), b"0\r\n\r\n"]
    with Connection(gateway_stack) as connection:
        for parts in (
            [request(*offer)],
            chunks,
            [request("connection: upgrade", "upgrade: websocket")],
            [request()],
        ):
            connection.send(*parts, pause=0.01)
            status, answer = connection.answer()
            assert CHAT.outcome(status, answer).status == 200
        connection.send(request(*offer) * 50)
        assert [connection.answer()[0] for _ in range(50)] == [200] * 50


def test_requests_that_do_not_wait_are_answered_in_their_order(gateway_stack: GatewayStack) -> None:
    texts = ["first", "second", "third"]
    bodies = {f"{text}-{uuid.uuid4()}": CHAT.body(GOOD | {"text_input": text}) for text in texts}
    with Connection(gateway_stack) as connection:
        connection.send(b"".join(request(f"x-request-id: {name}", data=data) for name, data in bodies.items()))
        found = [json.loads(connection.answer()[1])["id"] for _ in texts]
    assert [one.split("-")[1] for one in found] == texts


@pytest.mark.parametrize("dialect", STREAMS, ids=str)
def test_who_leaves_frees_the_engine(gateway_stack: GatewayStack, dialect: Dialect) -> None:
    data = dialect.body(LONG)
    for sent in (b"", data[:20], data):
        with Connection(gateway_stack) as connection:
            connection.send(head(f"content-length: {len(data)}", dialect=dialect) + sent)
    for few in (1, 2000):  # the first token, and later ones
        with Connection(gateway_stack) as connection:
            connection.send(request(data=data, dialect=dialect))
            received = 0
            while received < few:
                received += len(connection.socket.recv(65_536))
            gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
        gateway_stack.until(lambda stats: stats.live == 0, 3.0, "the engine is free, long before all is made")


@pytest.mark.parametrize("dialect", [INFER, CHAT], ids=str)
def test_who_leaves_before_its_whole_answer_frees_the_engine(
    gateway_stack: GatewayStack, dialect: Dialect
) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(request(data=dialect.body(LONG), dialect=dialect))
        gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
    gateway_stack.until(lambda stats: stats.live == 0, 3.0, "the engine is free, long before all is made")


def test_who_has_said_all_and_half_closes_is_taken_for_gone(gateway_stack: GatewayStack) -> None:
    """A client that leaves cannot be told from it, and its places must be free again."""
    with Connection(gateway_stack) as connection:
        connection.send(request(data=CHAT_STREAM.body(LONG)))
        gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
        connection.socket.shutdown(socket.SHUT_WR)
        connection.rest()
    gateway_stack.until(lambda stats: stats.live == 0, 3.0, "the engine is free, long before all is made")


def test_who_leaves_with_a_second_request_behind_frees_the_engine(gateway_stack: GatewayStack) -> None:
    with Connection(gateway_stack) as connection:
        connection.send(request(data=CHAT_STREAM.body(LONG)) + request())
        assert connection.socket.recv(1000).startswith(b"HTTP/1.1 200")
        gateway_stack.until(lambda stats: stats.live >= 1, SECONDS, "it runs")
    gateway_stack.until(lambda stats: stats.live == 0, 3.0, "the engine is free, long before all is made")


def test_who_sends_without_end_and_reads_nothing_is_hung_up_on(gateway_stack: GatewayStack) -> None:
    """uvicorn alone would take a gigabyte of requests from it, and keep them."""
    asked = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 1000
    hung_up = pytest.raises((ConnectionResetError, BrokenPipeError))
    with Connection(gateway_stack, receive_buffer=4096) as connection, hung_up:
        for _ in range(1000):
            connection.send(asked)
