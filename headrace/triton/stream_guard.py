"""The guard of streams: each chunk is judged with those of other streams, and shown once its windows are.

Triton lets a step behind a decoupled one see nothing but that one's outputs. So the prompt's verdict comes with a
stream's first chunk, and its state is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headrace.errors import InvalidRequest
from headrace.guard.answer import GuardedAnswer
from headrace.guard.judge import Asked, Judge, Judged
from headrace.guard.live import LivePolicy
from headrace.guard.policy import Policy
from headrace.guard.record import DecisionLog, TextHash
from headrace.guard.verdict import MAX_VERDICT_BYTES, PromptVerdict, guard_json
from headrace.triton import tensors
from headrace.triton.answer_guard import FILTERED, MAX_ANSWER_BYTES, MAX_REASON_BYTES
from headrace.triton.idle import Streams
from headrace.triton.log_probs import HeldLogProbs, LogProbs
from headrace.triton.tensors import Request

NO_LOG_PROBS = LogProbs()


@dataclass(frozen=True, slots=True)
class Chunk:
    text: str
    finish_reason: str
    """Empty until the last chunk."""
    prompt_tokens: int
    completion_tokens: int
    """Of the whole answer so far."""
    log_probs: LogProbs
    """Of the tokens since the last chunk."""
    guard: str = ""
    """JSON, with the last chunk."""


class Send(Protocol):
    def __call__(self, place: int, found: Chunk | Exception | None, final: bool) -> None:
        """To the request at this place of the batch; None: nothing to show."""


@dataclass(slots=True)
class _Stream:
    prompt: PromptVerdict
    policy: Policy
    answer: GuardedAnswer
    hash: TextHash
    unsent: str = ""
    """Shown unjudged, but with what the verdict brings: the last words of a stream in mode `async`."""
    log_probs: HeldLogProbs = field(default_factory=HeldLogProbs)
    over: bool = False
    """Blocked: the client has heard so, and the rest that the engine sends is dropped."""

    def take_log_probs(self, final: bool = False) -> LogProbs:
        """Of the tokens whose text is shown by now."""
        return self.log_probs.take(self.answer.place, self.answer.changed, final)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A chunk as it comes from the postprocessor."""

    place: int
    request_id: str
    stream_id: int
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    log_probs: LogProbs = NO_LOG_PROBS
    prompt_verdict: str = ""
    error: Exception | None = None
    """Why it could not be read. What follows it would have a hole: its stream is over."""

    @classmethod
    def read(cls, place: int, request: Request) -> _Arrival:
        stream_id = 0
        try:
            stream_id = tensors.integer(request.get, "stream_id") or 0
            return cls._read(place, request, stream_id)
        except Exception as error:  # noqa: BLE001 - told to the client
            return cls(place, request.id, stream_id, error=error)

    @classmethod
    def _read(cls, place: int, request: Request, stream_id: int) -> _Arrival:
        get = request.get
        return cls(
            place,
            request.id,
            stream_id,
            tensors.written(get, "text_output", MAX_ANSWER_BYTES),
            tensors.text(get, "finish_reason", MAX_REASON_BYTES) or "",
            tensors.integer(get, "prompt_tokens") or 0,
            tensors.integer(get, "completion_tokens") or 0,
            LogProbs.read(get),
            tensors.text(get, "prompt_verdict", MAX_VERDICT_BYTES) or "",
        )

    def chunk(self, text: str, finish_reason: str, log_probs: LogProbs, guard: str = "") -> Chunk:
        return Chunk(text, finish_reason, self.prompt_tokens, self.completion_tokens, log_probs, guard)


class StreamGuard:
    """`stop` is called with the id of a stream whose rest nobody may see. Used from one thread."""

    def __init__(self, policy: LivePolicy, decisions: DecisionLog, stop: Callable[[int], None]) -> None:
        self._policy = policy
        self._decisions = decisions
        self._stop = stop
        self._streams: Streams[_Stream] = Streams()

    def __len__(self) -> int:
        return len(self._streams)

    def judge(self, batch: Sequence[Request], send: Send) -> None:
        """Every request of the batch gets one final send, and at most one before it."""
        for together in _rounds([_Arrival.read(place, request) for place, request in enumerate(batch)]):
            self._judge(together, send)

    def _judge(self, arrivals: Sequence[_Arrival], send: Send) -> None:
        """Chunks of as many streams. Whatever fails ends its stream: what is not judged is not shown."""
        judge = self._policy.judge()
        waiting: list[tuple[_Arrival, _Stream, list[Asked]]] = []
        for arrival in arrivals:
            try:
                stream = self._state(judge, arrival)
                windows = self._feed(arrival, stream, send)
            except Exception as error:  # noqa: BLE001 - told to the client
                self._fail(arrival, error, send)
                continue
            if windows is not None:
                waiting.append((arrival, stream, windows))
        try:
            found = judge.judge_each(windows for _, _, windows in waiting)
        except Exception as error:  # noqa: BLE001 - told to all clients
            for arrival, _, _ in waiting:
                self._fail(arrival, error, send)
            return
        for (arrival, stream, _), judged in zip(waiting, found, strict=True):
            self._settle(judge, arrival, stream, judged, send)

    def _state(self, judge: Judge, arrival: _Arrival) -> _Stream:
        """Of the stream that it belongs to, no longer kept here. Raises what ends the stream."""
        known = self._streams.take(arrival.stream_id)
        if arrival.error is not None:
            raise arrival.error
        stream = known or self._opened(judge, arrival)
        _, stream.policy = judge.policy(stream.prompt.policy)  # it may have changed since the last chunk, or gone
        return stream

    def _feed(self, arrival: _Arrival, stream: _Stream, send: Send) -> list[Asked] | None:
        """What has to be judged; None when the request is answered already."""
        if stream.over or stream.prompt.blocked:
            return []
        stream.log_probs.add(arrival.log_probs)
        stream.hash.add(arrival.text)
        early, windows = stream.answer.feed(arrival.text, final=bool(arrival.finish_reason))
        if arrival.finish_reason:
            stream.unsent = early
        elif early:
            if not windows:
                self._streams.keep(arrival.stream_id, stream)
            send(arrival.place, arrival.chunk(early, "", stream.take_log_probs()), final=not windows)
            return windows or None
        return windows

    def _settle(
        self, judge: Judge, arrival: _Arrival, stream: _Stream, judged: Sequence[Judged], send: Send
    ) -> None:
        ended = bool(arrival.finish_reason)
        found: Chunk | None = None
        if not stream.over:
            shown = stream.answer.settle(judged)
            if stream.prompt.blocked or shown.blocked:
                text = stream.policy.refusal if stream.prompt.blocked else shown.text
                found = arrival.chunk(
                    text, FILTERED, NO_LOG_PROBS, guard_json(stream.prompt, stream.answer.verdict)
                )
                stream.over = True
                if not ended:
                    self._stop(arrival.stream_id)
            elif ended:
                guard = guard_json(stream.prompt, stream.answer.verdict)
                text = stream.unsent + shown.text
                log_probs = stream.take_log_probs(final=True)
                found = arrival.chunk(text, arrival.finish_reason, log_probs, guard)
            elif shown.text:
                found = arrival.chunk(shown.text, "", stream.take_log_probs())
        if not ended:
            self._streams.keep(arrival.stream_id, stream)
        if found is not None and found.guard and not stream.prompt.blocked:
            name = stream.prompt.policy
            backends = judge.backends(name, "response")
            self._decisions.write(arrival.request_id, stream.answer.verdict, stream.policy, backends, stream.hash)
        send(arrival.place, found, final=True)

    def _fail(self, arrival: _Arrival, error: Exception, send: Send) -> None:
        if not arrival.finish_reason:
            self._stop(arrival.stream_id)
        send(arrival.place, error, final=True)

    def _opened(self, judge: Judge, arrival: _Arrival) -> _Stream:
        if not arrival.prompt_verdict:
            raise InvalidRequest(
                "stream_id", "a stream that does not run here, or was silent for too long; send it again"
            )
        prompt = PromptVerdict.read(arrival.prompt_verdict)
        name, policy = judge.policy(prompt.policy)
        answer = GuardedAnswer(name, policy, terms=judge.terms(name))
        return _Stream(prompt, policy, answer, self._decisions.hash())


def _rounds(arrivals: Sequence[_Arrival]) -> Iterator[list[_Arrival]]:
    """In order, no stream twice in one."""
    together: dict[int, _Arrival] = {}
    for arrival in arrivals:
        if arrival.stream_id in together:
            yield list(together.values())
            together = {}
        together[arrival.stream_id] = arrival
    if together:
        yield list(together.values())
