"""The engine worker: one engine, many connections, admission, stop strings and coalescing.

Everything runs in one event loop. A connection's messages are handled as they arrive, and what the engine makes
for all streams of a connection leaves in one frame per turn of the loop.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import structlog
from msgspec.structs import replace

from headrace.config import Config
from headrace.engine.interface import Engine, EngineRequest, SamplingParams, TokenDelta
from headrace.errors import EngineFailed, HeadraceError, InvalidRequest, QueueFull, Unavailable
from headrace.text.answer import AnswerText
from headrace.text.model_folder import context_length
from headrace.text.tokenizer import Tokenizer
from headrace.worker import protocol
from headrace.worker.coalescing import Coalescer
from headrace.worker.outbox import Outbox

log = structlog.get_logger("worker")


@dataclass
class _Live:
    """One admitted request."""

    connection: Connection
    submit: protocol.Submit
    engine_id: str
    task: asyncio.Task[None] | None = None


class Worker:
    """Admits requests to the engine and carries their tokens to the connections that asked."""

    def __init__(self, engine: Engine, config: Config, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._policy = config.coalescing
        self._limits = config.limits
        self._context = context_length(config.engine.model)
        self._places = config.engine.max_running + config.engine.max_waiting
        self._ids = itertools.count()
        self._live: dict[str, _Live] = {}
        self._by_tag: dict[str, set[str]] = {}
        self.connections: set[Connection] = set()
        self._draining = False
        self._refused = 0
        self._cancelled = 0
        self._cancelled_at = 0.0
        self._started_at = time.monotonic()
        self.broken = asyncio.Event()
        """Set when the engine broke: the process should end, so that a new one starts."""

    async def listen(self, socket_path: Path) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(lambda: Connection(self), str(socket_path))

    def stats(self) -> protocol.WorkerStats:
        return protocol.WorkerStats(
            engine=self._engine.stats(),
            live=len(self._live),
            draining=self._draining,
            refused=self._refused,
            cancelled=self._cancelled,
            started_at=self._started_at,
            cancelled_at=self._cancelled_at,
        )

    def drain(self) -> None:
        self._draining = True

    def admit(self, connection: Connection, submit: protocol.Submit) -> str:
        """Give the request to the engine; returns the engine's id for it. Raises `HeadraceError`."""
        try:
            self._check_room()
            sampling = self._fit(submit)
            engine_id = f"{next(self._ids)}"
            request = EngineRequest(
                id=engine_id,
                token_ids=submit.token_ids,
                sampling=sampling,
                cache_scope=submit.cache_scope,
            )
            deltas = self._engine.submit(request)
        except Exception:
            self._refused += 1
            raise
        live = _Live(connection, submit, engine_id)
        self._live[engine_id] = live
        for tag in submit.tags:
            self._by_tag.setdefault(tag, set()).add(engine_id)
        live.task = asyncio.create_task(self._carry(live, deltas))
        return engine_id

    def _check_room(self) -> None:
        if self._draining:
            raise Unavailable("the server is shutting down; send the request to another replica or later")
        if len(self._live) >= self._places:
            raise QueueFull(f"the engine holds {self._places} requests, its limit; try again in a moment")

    def _fit(self, submit: protocol.Submit) -> SamplingParams:
        """The sampling, cut to what the context has left. Raises `InvalidRequest`.

        The steps before have seen to all of it; who calls the engine's models directly comes with anything.
        """
        count, context = len(submit.token_ids), self._context
        most = min(self._limits.max_prompt_tokens, context - 1)
        if count > most:
            raise InvalidRequest("input_ids", f"{count} tokens, at most {most} fit")
        if (highest := max(submit.token_ids)) >= self._tokenizer.vocabulary_size:
            known = self._tokenizer.vocabulary_size
            raise InvalidRequest("input_ids", f"holds {highest}; the model knows the ids 0 to {known - 1}")
        sampling = submit.sampling
        if count + sampling.max_tokens <= context:
            return sampling
        max_tokens = context - count
        return replace(sampling, max_tokens=max_tokens, min_tokens=min(sampling.min_tokens, max_tokens))

    def abort(self, engine_id: str) -> None:
        if engine_id in self._live:
            self._cancelled += 1
            self._cancelled_at = time.monotonic()
            self._forget(engine_id)
            _keep(asyncio.create_task(self._engine.abort(engine_id)))

    def stop_tag(self, tag: str) -> None:
        for engine_id in list(self._by_tag.get(tag, ())):
            self.abort(engine_id)

    def _forget(self, engine_id: str) -> None:
        live = self._live.pop(engine_id, None)
        if live is None:
            return
        for tag in live.submit.tags:
            ids = self._by_tag[tag]
            ids.discard(engine_id)
            if not ids:
                del self._by_tag[tag]

    async def _carry(self, live: _Live, deltas: AsyncIterator[TokenDelta]) -> None:
        """From the engine's deltas to the connection's frames, until the request has ended."""
        connection, key = live.connection, live.submit.key
        outbox = Outbox(
            key, Coalescer(self._policy, live.submit.stream, live.submit.first_tokens), connection.send
        )
        try:
            await self._forward(live, deltas, outbox)
        except Exception as error:  # noqa: BLE001 - the client must hear of every end
            connection.send(self.failure(key, error))
        finally:
            outbox.close()
            connection.done(key)
            if live.engine_id in self._live:
                self._forget(live.engine_id)
                # Harmless when the engine has ended it; needed when a stop string ended it here.
                await self._engine.abort(live.engine_id)

    async def _forward(self, live: _Live, deltas: AsyncIterator[TokenDelta], outbox: Outbox) -> None:
        clock = asyncio.get_running_loop().time
        answer = AnswerText(self._tokenizer, live.submit.sampling.stop) if live.submit.sampling.stop else None
        async for delta in deltas:
            kept = delta if answer is None else _cut_at_stop(answer, delta)
            outbox.add(kept, clock())
            if kept.finish_reason is not None:
                return
        raise EngineFailed("the engine ended the request without a finish reason")

    def failure(self, key: int, error: Exception) -> protocol.Failure:
        """What the step hears of an error, wherever it came up; an engine that broke ends the worker."""
        match error:
            case InvalidRequest():
                return protocol.Failure(key, "invalid", str(error))
            case QueueFull():
                return protocol.Failure(key, "queue_full", str(error))
            case Unavailable():
                return protocol.Failure(key, "unavailable", str(error))
            case HeadraceError():
                if isinstance(error, EngineFailed):
                    self.broken.set()
                return protocol.Failure(key, "failed", str(error))
        # Not one of ours, so a defect: logged whole, told in one line.
        log.error("defect in the engine worker", exc_info=error)
        return protocol.Failure(key, "failed", "internal error in the engine worker; see the server's log")


def _cut_at_stop(answer: AnswerText, delta: TokenDelta) -> TokenDelta:
    """The delta up to and with the token that completes a stop string, then finished."""
    for count, token_id in enumerate(delta.token_ids, start=1):
        answer.feed([token_id])
        if answer.stopped:
            return TokenDelta(delta.token_ids[:count], delta.log_probs[:count], "stop")
    return delta


class Connection(asyncio.Protocol):
    """One Triton step, or a tool that asks for stats."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._frames = protocol.FrameReader()
        self._engine_ids: dict[int, str] = {}
        self._outgoing: list[protocol.FromWorker] = []
        self._flush_planned = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._worker.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._worker.connections.discard(self)
        for engine_id in list(self._engine_ids.values()):
            self._worker.abort(engine_id)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            messages = [m for frame in self._frames.feed(data) for m in protocol.decode_to_worker(frame)]
        except (ValueError, msgspec.MsgspecError) as error:
            log.error("bad frame, connection closed", problem=str(error))  # noqa: TRY400 - no trace needed
            self.close()
            return
        for message in messages:
            try:
                self._handle(message)
            except Exception:
                # Raised from here, it would close the connection and end every request of the step.
                log.exception("a message could not be handled", message=type(message).__name__)

    def _handle(self, message: protocol.ToWorker) -> None:
        match message:
            case protocol.Submit():
                self._submit(message)
            case protocol.Abort(key=key):
                if engine_id := self._engine_ids.get(key):
                    self._worker.abort(engine_id)
            case protocol.StopTag(tag=tag):
                self._worker.stop_tag(tag)
            case protocol.AskStats():
                self.send(self._worker.stats())
            case protocol.Drain():
                self._worker.drain()
                self.send(self._worker.stats())

    def _submit(self, submit: protocol.Submit) -> None:
        try:
            self._engine_ids[submit.key] = self._worker.admit(self, submit)
        except Exception as error:  # noqa: BLE001 - one request's fault must not end the others' connection
            self.send(self._worker.failure(submit.key, error))

    def send(self, message: protocol.FromWorker) -> None:
        """Queue a message; all of one turn of the loop leave in one frame."""
        self._outgoing.append(message)
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        messages, self._outgoing = self._outgoing, []
        if self._transport is not None:
            self._transport.write(protocol.encode(messages))

    def done(self, key: int) -> None:
        self._engine_ids.pop(key, None)


_tasks: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    """Hold a reference until the task ends: the event loop itself holds only a weak one."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
