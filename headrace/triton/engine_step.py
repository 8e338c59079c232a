"""The engine's client inside Triton: one request in, one response or a stream of them out."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from headrace.config import Config
from headrace.engine.interface import FinishReason
from headrace.errors import EngineUnavailable, InvalidRequest, RequestCancelled
from headrace.guard.verdict import MAX_VERDICT_BYTES
from headrace.triton import tensors
from headrace.triton.sampling import read_sampling
from headrace.triton.tensors import GetTensor, string_tensor
from headrace.worker.client import WorkerClient
from headrace.worker.protocol import Submit, Tokens

log = structlog.get_logger()

CANCEL_POLL_SECONDS = 0.02
MAX_SCOPE_BYTES = 256


@dataclass(frozen=True)
class Reply:
    stream_id: int
    """Names the stream within this server, for steps that keep state by stream."""
    prompt_tokens: int
    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    finish_reason: FinishReason | Literal["content_filter"] | None = None
    stop: tuple[str, ...] = ()
    """The request's stop strings, with its first reply: later steps see no tensor that does not come from here."""
    prompt_verdict: str = ""
    """As it came, with the first reply too: the answer's guard needs it."""


def reply_outputs(reply: Reply) -> dict[str, NDArray[Any]]:
    return {
        "output_ids": np.array([reply.token_ids], dtype=np.int32),
        "output_log_probs": np.array([reply.log_probs], dtype=np.float32),
        "engine_finish_reason": string_tensor(reply.finish_reason or ""),
        "engine_prompt_tokens": np.array([[reply.prompt_tokens]], dtype=np.int32),
        "stream_id": np.array([[reply.stream_id]], dtype=np.uint64),
        "answer_stop_words": string_tensor(*reply.stop),
    }


def stream_outputs(reply: Reply) -> dict[str, NDArray[Any]]:
    """What the steps behind the streaming model need besides."""
    return reply_outputs(reply) | {"engine_prompt_verdict": string_tensor(reply.prompt_verdict)}


def stream_tag(stream_id: int) -> str:
    """By it a step that has no request id can stop a stream: the worker knows each by both."""
    return f"stream-{stream_id}"


class Sender(Protocol):
    """Where the responses of one request go."""

    def send(self, reply: Reply, final: bool) -> None: ...

    def fail(self, error: Exception) -> None: ...

    def cancelled(self) -> bool:
        """True when the client that called this model directly has gone."""


class _Request:
    """One request at the worker: turns its tokens into replies."""

    def __init__(self, step: EngineStep, submit: Submit, opening: Reply, sender: Sender) -> None:
        self._step = step
        self._key = submit.key
        self._opening = opening
        self._sender = sender
        # Triton 2.51 crashes when a request is asked about its cancellation after its final response.
        self._lock = threading.Lock()
        self._ended = False

    def cancelled(self) -> bool:
        with self._lock:
            return not self._ended and self._sender.cancelled()

    def on_tokens(self, tokens: Tokens) -> None:
        final = tokens.finish_reason is not None
        if final:
            self._step.forget(self._key)
        if tokens.finish_reason == "cancelled" and not self._step.streams:
            # As a success it would go into the response cache and answer the next one who asks.
            self._fail(RequestCancelled("the request was stopped before its answer was complete"))
            return
        reply = replace(
            self._opening,
            token_ids=tokens.token_ids,
            log_probs=tokens.log_probs,
            finish_reason=tokens.finish_reason,
        )
        self._opening = replace(self._opening, stop=(), prompt_verdict="")
        with self._lock:
            self._ended = final
            self._sender.send(reply, final)

    def on_error(self, error: Exception) -> None:
        self._step.forget(self._key)
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._ended = True
            self._sender.fail(error)


class EngineStep:
    """Starts and stops requests at the worker. `start` is called by Triton's thread, results come on another."""

    def __init__(self, client: WorkerClient, config: Config, stream: bool) -> None:
        self.streams = stream
        self._client = client
        self._limits = config.limits
        self._watched: dict[int, _Request] = {}
        self._any_watched = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._watch_cancellations, name="cancellations", daemon=True).start()

    def start(self, get: GetTensor, request_id: str, sender: Sender) -> None:
        """Every request is answered through its sender, by an error at the worst."""
        try:
            if tensors.flag(get, "stop"):
                self._stop(request_id)
                sender.send(Reply(stream_id=0, prompt_tokens=0, finish_reason="cancelled"), final=True)
            else:
                self._submit(get, request_id, sender)
        except Exception as error:  # noqa: BLE001 - told to the client and logged by the sender
            sender.fail(error)

    def _stop(self, request_id: str) -> None:
        if not request_id:
            raise InvalidRequest("stop", "the request has no id; send the id of the request to stop")
        self._client.stop_tag(request_id)

    def _submit(self, get: GetTensor, request_id: str, sender: Sender) -> None:
        token_ids = tensors.integers(get, "input_ids", self._limits.max_prompt_tokens)
        if not token_ids or min(token_ids) < 0:  # which id is too high, the worker knows
            raise InvalidRequest("input_ids", "expected at least one token id, each 0 or more, shape [1, n]")
        sampling = read_sampling(get, self._limits)
        opening = Reply(
            stream_id=secrets.randbits(63),
            prompt_tokens=len(token_ids),
            stop=sampling.stop,
            prompt_verdict=tensors.text(get, "prompt_verdict", MAX_VERDICT_BYTES) or "",
        )
        if tensors.flag(get, "blocked"):
            sender.send(replace(opening, finish_reason="content_filter"), final=True)
            return
        key = self._client.new_key()
        scope = tensors.text(get, "cache_scope", MAX_SCOPE_BYTES) or ""
        tags = (request_id, stream_tag(opening.stream_id))
        first_tokens = tensors.integer(get, "first_tokens") or 1
        submit = Submit(key, tags, token_ids, sampling, scope, self.streams, first_tokens)
        request = _Request(self, submit, opening, sender)
        if tensors.flag(get, "watch_cancel", default=True):
            with self._lock:
                self._watched[key] = request
                self._any_watched.set()
        try:
            self._client.submit(submit, request)
        except Exception as error:  # noqa: BLE001 - it ends like every request that fails
            request.on_error(error)

    def forget(self, key: int) -> None:
        """The request has ended."""
        with self._lock:
            self._watched.pop(key, None)

    def _watch_cancellations(self) -> None:
        """Triton has to be asked for cancellations. Sleeps while there is no request to ask for."""
        while self._any_watched.wait() and not self._closed:
            with self._lock:
                watched = list(self._watched.items())
                if not watched:
                    self._any_watched.clear()
            for key, request in watched:
                self._abort_if_cancelled(key, request)
            time.sleep(CANCEL_POLL_SECONDS)

    def _abort_if_cancelled(self, key: int, request: _Request) -> None:
        """Asked again until the request's end has come: the first abort may overtake the request itself."""
        try:
            if request.cancelled():
                self._client.abort(key)
        except EngineUnavailable:
            pass  # the worker is gone, and the request with it
        except Exception:
            log.exception("a cancellation could not be looked up")
            self.forget(key)

    def close(self) -> None:
        self._closed = True
        self._any_watched.set()
        self._client.close()
