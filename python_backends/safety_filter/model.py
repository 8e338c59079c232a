"""Steps `safety_filter_prompt`, `safety_filter_response` and `safety_filter_response_stream`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace import config
from headrace.errors import EngineUnavailable
from headrace.guard.live import LivePolicy
from headrace.guard.record import DecisionLog
from headrace.triton.adapter import FINAL, error_response, known_id, reader, response
from headrace.triton.answer_guard import AnswerGuard, GuardedText
from headrace.triton.engine_step import stream_tag
from headrace.triton.guard_metrics import GuardMetrics
from headrace.triton.prompt import PromptReader
from headrace.triton.prompt_guard import GuardedPrompt, PromptGuard
from headrace.triton.stream_guard import Chunk, StreamGuard
from headrace.triton.tensors import Outputs, Request, row, string_tensor
from headrace.worker.client import WorkerClient


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        settings = config.load()
        metrics = GuardMetrics(args["model_name"])
        decisions = DecisionLog.from_environment(count=metrics.verdict)
        model = json.loads(args["model_config"])
        self._policy = LivePolicy(settings.guard.policy, metrics)
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._policy.close)
        self.execute: Callable[[list[Any]], list[Any] | None]
        if model.get("model_transaction_policy", {}).get("decoupled"):
            client = WorkerClient(Path(os.environ["HEADRACE_SOCKET"]))
            self._closing.callback(client.close)
            streams = StreamGuard(self._policy, decisions, lambda stream_id: _stop(client, stream_id))
            self.execute = lambda requests: _answer_chunks(requests, streams)
        elif model["parameters"]["direction"]["string_value"] == "prompt":
            prompts = PromptGuard(self._policy, settings.limits, decisions, PromptReader(settings).encode)
            self.execute = lambda requests: _answer_all(requests, prompts.judge, _prompt_outputs)
        else:
            answers = AnswerGuard(self._policy, decisions)
            self.execute = lambda requests: _answer_all(requests, answers.judge, _answer_outputs)

    def finalize(self) -> None:
        self._closing.close()


def _answer_all(
    requests: list[Any],
    judge: Callable[[Sequence[Request]], Sequence[Any]],
    outputs: Callable[[Any], Outputs],
) -> list[Any]:
    try:
        found: Sequence[Any] = judge(_read(requests))
    except Exception as error:  # noqa: BLE001 - a step must answer every request
        found = [error] * len(requests)
    return [_response(one, outputs) for one in found]


def _answer_chunks(requests: list[Any], streams: StreamGuard) -> None:
    senders = [request.get_response_sender() for request in requests]

    def send(place: int, found: Chunk | Exception | None, final: bool) -> None:
        flags = FINAL if final else 0
        if found is None:
            senders[place].send(flags=flags)
        else:
            senders[place].send(_response(found, _chunk_outputs), flags=flags)

    streams.judge(_read(requests), send)


def _read(requests: list[Any]) -> list[Request]:
    return [Request(reader(request), known_id(request)) for request in requests]


def _stop(client: WorkerClient, stream_id: int) -> None:
    with contextlib.suppress(EngineUnavailable):  # then there is nothing left to stop
        client.stop_tag(stream_tag(stream_id))


def _response(found: Any, outputs: Callable[[Any], Outputs]) -> Any:
    return error_response(found) if isinstance(found, Exception) else response(outputs(found))


def _prompt_outputs(found: GuardedPrompt) -> Outputs:
    return {
        "prompt": string_tensor(found.prompt),
        "blocked": row(found.blocked, np.bool_),
        "prompt_verdict": string_tensor(found.verdict.json()),
        "first_tokens": row(found.first_tokens, np.int32),
    }


def _answer_outputs(found: GuardedText) -> Outputs:
    return {
        "text_output": string_tensor(found.text),
        "finish_reason": string_tensor(found.finish_reason),
        **found.log_probs.outputs(whole=True),
        "guard": string_tensor(found.guard),
    }


def _chunk_outputs(found: Chunk) -> Outputs:
    return {
        "text_output": string_tensor(found.text),
        "finish_reason": string_tensor(found.finish_reason),
        "prompt_tokens": row(found.prompt_tokens, np.int32),
        "completion_tokens": row(found.completion_tokens, np.int32),
        **found.log_probs.outputs(whole=False),
        "guard": string_tensor(found.guard),
    }
