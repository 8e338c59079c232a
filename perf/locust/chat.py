"""A client of `/v1/chat/completions` that streams over gevent, and says when what came."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError, HTTPSocketResponse

from headrace.errors import HeadraceError

_PATH = "/v1/chat/completions"
_DONE = b"[DONE]"
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 120.0
"""How long nothing may come."""


class ChatFailed(HeadraceError):
    """There was no answer, or not a whole one."""


class Refused(HeadraceError):
    """429."""

    retry_after: float

    def __init__(self, retry_after: float, ms: float) -> None:
        """`retry_after`: seconds."""
        super().__init__(f"refused; to be sent again after {retry_after:g} s")
        self.retry_after = retry_after
        self.ms = ms


@dataclass(frozen=True, slots=True)
class Answer:
    """Times in milliseconds from just before the request was sent; a new connection is made within them."""

    text: str
    tokens: int
    """By the server's count; 0 of an answer that was left."""
    finish_reason: str
    cache: str
    """What `x-headrace-cache` says."""
    first_ms: float
    """Until the first text; the end of an answer that has none."""
    last_ms: float
    """Until the last text."""
    end_ms: float
    left: bool

    @property
    def itl_ms(self) -> float | None:
        """Between tokens: (last - first) / (tokens - 1)."""
        return (self.last_ms - self.first_ms) / (self.tokens - 1) if self.tokens > 1 else None


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    completion_tokens: int


class _Event(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


class Chat:
    """One user's connection."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._client = HTTPClient.from_url(
            url, headers=headers, connection_timeout=_CONNECT_SECONDS, network_timeout=_SILENT_SECONDS
        )

    def close(self) -> None:
        self._client.close()

    def ask(self, wish: Mapping[str, object], leave_after: int | None = None) -> Answer:
        """`leave_after`: hang up after so many pieces of text. Raises `Refused`, `ChatFailed`."""
        body = msgspec.json.encode({**wish, "stream": True, "stream_options": {"include_usage": True}})
        began = time.perf_counter()
        try:
            response = self._client.post(_PATH, body)
            try:
                return _read(response, began, leave_after)
            finally:
                response.release()  # closes the connection of an answer that was not read to its end
        except (OSError, HTTPParseError, msgspec.MsgspecError) as error:
            raise ChatFailed(f"{type(error).__name__}: {error}") from None


def _read(response: HTTPSocketResponse, began: float, leave_after: int | None) -> Answer:
    _check(response, began)
    texts: list[str] = []
    first = last = None
    tokens, reason, left = 0, "", False
    for event in _events(response):
        if event.usage is not None:
            tokens = event.usage.completion_tokens
        for choice in event.choices:
            reason = choice.finish_reason or reason
            if choice.delta.content:
                last = _since(began)
                first = last if first is None else first
                texts.append(choice.delta.content)
        if left := leave_after is not None and len(texts) >= leave_after:
            break
    if not left and not reason:
        raise ChatFailed("the stream ended without a finish_reason")
    end = _since(began)
    cache = str(response.get("x-headrace-cache", ""))
    return Answer("".join(texts), tokens, reason, cache, first or end, last or end, end, left)


def _check(response: HTTPSocketResponse, began: float) -> None:
    if response.status_code == 429:
        response.read()
        raise Refused(_seconds(response.get("retry-after")), _since(began))
    if response.status_code != 200:
        said = response.read().decode("utf-8", "replace")[:200]
        raise ChatFailed(f"HTTP {response.status_code}: {said}")


def _events(response: HTTPSocketResponse) -> Iterator[_Event]:
    """Raises `ChatFailed` when the stream says so, or breaks off."""
    while line := response.readline(b"\n\n"):
        data = line.removeprefix(b"data: ").strip()
        if data == _DONE:
            response.read()  # the end of the body, so that the connection can be used again
            return
        event = msgspec.json.decode(data, type=_Event)
        if event.error is not None:
            raise ChatFailed(f"within the stream: {event.error.get('message')}")
        yield event
    raise ChatFailed("the stream broke off before [DONE]")


def _seconds(retry_after: object) -> float:
    try:
        return max(0.1, float(str(retry_after)))
    except ValueError:
        return 1.0


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
