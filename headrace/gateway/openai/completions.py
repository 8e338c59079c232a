"""`POST /v1/chat/completions` and `POST /v1/completions`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from starlette.requests import Request
from starlette.types import Send

from headrace.client import Chunk, Question
from headrace.errors import TryLater
from headrace.gateway import answers, bodies, connection
from headrace.gateway.answers import Body
from headrace.gateway.ask import Ask
from headrace.gateway.door import Door
from headrace.gateway.exchange import Exchange, Piece
from headrace.gateway.http_exchange import HttpExchange
from headrace.gateway.openai import questions
from headrace.gateway.openai.replies import DONE, Kind, Reply
from headrace.gateway.openai.requests import Generation


class _Completion(HttpExchange):
    dialect = "openai"
    kind: Kind

    def __init__(self, door: Door, request: Request, send: Send) -> None:
        super().__init__(door, request, send)
        self._reply = Reply(self.kind, self.call.request_id, door.model_version, door.currency)

    @abstractmethod
    def parsed(self, body: bytes) -> tuple[Generation, Question]:
        """Raises `InvalidRequest`."""

    async def read(self) -> Ask:
        body = await bodies.read(self.request, self.door.config.max_body_bytes, self.door.config.read_seconds)
        wish, question = self.parsed(body)
        self._reply.tells_usage = wish.stream_options is not None and wish.stream_options.include_usage
        self._reply.shows_log_probs = bool(question.return_log_probs)
        return Ask(
            question=question,
            model=wish.model,
            stream=wish.stream,
            choices=wish.n,
            deadline=connection.deadline(self.request.headers, self.arrived),
            cache=connection.cache_wish(self.request.headers),
        )

    def whole(self, exchange: Exchange, chunks: list[Chunk]) -> Body:
        for chunk in chunks:
            _check(chunk)
        return answers.json_body(self._reply.whole(exchange, chunks))

    def events(self, piece: Piece) -> Iterator[bytes]:
        _check(piece.chunk)
        return self._reply.events(piece)

    def last_events(self, exchange: Exchange) -> Iterator[bytes]:
        if self._reply.tells_usage:
            yield self._reply.usage_event(exchange)
        yield DONE


def _check(chunk: Chunk) -> None:
    """OpenAI's API has no word for an answer that was stopped by another than its client, such as the engine.

    Raises `TryLater`.
    """
    if chunk.finish_reason == "cancelled":
        raise TryLater("the engine stopped the answer before it was complete; send the request again")


class ChatCompletion(_Completion):
    operation = "chat.completions"
    kind = "chat"

    def parsed(self, body: bytes) -> tuple[Generation, Question]:
        return questions.chat(body)


class TextCompletion(_Completion):
    operation = "completions"
    kind = "text"

    def parsed(self, body: bytes) -> tuple[Generation, Question]:
        return questions.completion(body)
