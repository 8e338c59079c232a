"""What OpenAI's clients get: whole completions, and the events of streamed ones."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from headrace.client import Chunk
from headrace.cost import money
from headrace.gateway import verdict
from headrace.gateway.answers import event
from headrace.gateway.exchange import Exchange, Piece
from headrace.gateway.openai.log_probs import TextLogProbs, of_chat
from headrace.gateway.rules import PUBLIC

Kind = Literal["chat", "text"]
DONE = b"data: [DONE]\n\n"
_OBJECTS = {"chat": "chat.completion", "text": "text_completion"}
_PREFIXES = {"chat": "chatcmpl", "text": "cmpl"}


class Reply:
    """Of one request. `currency` is of the cost that the usage tells, a field of our own."""

    def __init__(self, kind: Kind, request_id: str, model_version: str, currency: str) -> None:
        self._kind = kind
        self._currency = currency
        self._head = {
            "id": f"{_PREFIXES[kind]}-{request_id}",
            "object": _OBJECTS[kind],
            "created": int(time.time()),
            "model": PUBLIC,
            "system_fingerprint": model_version,
        }
        self._opened: set[int] = set()
        self.shows_log_probs = False
        self.tells_usage = False
        """At the end of a stream; the events before have a null for it."""
        self._text_log_probs: defaultdict[int, TextLogProbs] = defaultdict(TextLogProbs)

    def whole(self, exchange: Exchange, chunks: Sequence[Chunk]) -> dict[str, Any]:
        """`chunks` has the one of each choice."""
        choices = [self._whole_choice(index, chunk) for index, chunk in enumerate(chunks)]
        return self._head | {
            "choices": choices,
            "usage": self.usage(exchange),
            "headrace": {"cache": exchange.cache, "guard": [verdict.read(chunk.guard) for chunk in chunks]},
        }

    def events(self, piece: Piece) -> Iterator[bytes]:
        """Of one piece: a chat's first one names the role before, and the last one has a reason and no text."""
        chunk, index = piece.chunk, piece.index
        if self._kind == "chat" and index not in self._opened:
            self._opened.add(index)
            yield self._event(index, {"delta": {"role": "assistant", "content": ""}}, None, None)
        log_probs = self._log_probs(index, chunk)
        if chunk.text:
            yield self._event(index, self._text(chunk), log_probs, None)
            log_probs = None
        if chunk.finish_reason is not None:
            yield self._event(index, {"delta": {}} if self._kind == "chat" else {"text": ""}, log_probs, chunk)

    def usage_event(self, exchange: Exchange) -> bytes:
        """`stream_options.include_usage`: the last event before the end."""
        return event(self._chunk([]) | {"usage": self.usage(exchange)})

    def usage(self, exchange: Exchange) -> dict[str, Any]:
        usage = exchange.usage
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "cost": money.written(usage.cost),
            "currency": self._currency,
        }

    def _whole_choice(self, index: int, chunk: Chunk) -> dict[str, Any]:
        said: dict[str, Any] = (
            {"message": {"role": "assistant", "content": chunk.text, "refusal": None}}
            if self._kind == "chat"
            else {"text": chunk.text}
        )
        log_probs = self._log_probs(index, chunk)
        return {"index": index, **said, "logprobs": log_probs, "finish_reason": chunk.finish_reason}

    def _log_probs(self, index: int, chunk: Chunk) -> dict[str, Any] | None:
        if not self.shows_log_probs:
            return None
        return of_chat(chunk) if self._kind == "chat" else self._text_log_probs[index].of(chunk)

    def _text(self, chunk: Chunk) -> dict[str, Any]:
        return {"delta": {"content": chunk.text}} if self._kind == "chat" else {"text": chunk.text}

    def _event(
        self, index: int, said: dict[str, Any], log_probs: dict[str, Any] | None, last: Chunk | None
    ) -> bytes:
        reason = None if last is None else last.finish_reason
        body = self._chunk([{"index": index, **said, "logprobs": log_probs, "finish_reason": reason}])
        if last is not None and (guard := verdict.read(last.guard)):
            body["headrace"] = {"guard": guard}
        return event(body)

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        head: dict[str, Any] = dict(self._head)
        if self._kind == "chat":
            head["object"] = "chat.completion.chunk"
        if self.tells_usage:
            head["usage"] = None
        return head | {"choices": choices}
