"""Steps `tensorrt_llm` (one response) and `tensorrt_llm_stream` (decoupled): the engine worker's client.

The input `stop` = true stops every live request that has the same Triton request id, as in NVIDIA's own model:
Triton does not carry a cancellation through an ensemble.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace import config
from headrace.errors import InvalidRequest, StartupError
from headrace.triton.adapter import FINAL, error_response, reader, request_id, response
from headrace.triton.engine_metrics import EngineMetrics
from headrace.triton.engine_step import EngineStep, Reply, reply_outputs, stream_outputs
from headrace.triton.tensors import Outputs
from headrace.worker.client import WorkerClient


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        settings = config.load()
        policy = json.loads(args["model_config"]).get("model_transaction_policy", {})
        client = WorkerClient(Path(os.environ["HEADRACE_SOCKET"]))
        # The worker listens only after a real generation: Triton is not ready before that.
        if not client.wait_until_connected(settings.server.start_seconds):
            raise StartupError("the engine worker did not answer in server.start_seconds; see its log")
        streams = bool(policy.get("decoupled"))
        self._step = EngineStep(client, settings, stream=streams)
        # One of the two steps speaks for the worker that both share.
        self._metrics = EngineMetrics(client, settings.engine.name) if streams else None

    def execute(self, requests: list[Any]) -> None:
        for request in requests:
            sender = _ResponseSender(request, stream_outputs if self._step.streams else reply_outputs)
            try:
                self._step.start(reader(request), request_id(request), sender)
            except InvalidRequest as error:
                sender.fail(error)

    def finalize(self) -> None:
        if self._metrics:
            self._metrics.close()
        self._step.close()


class _ResponseSender:
    """`headrace.triton.engine_step.Sender` over Triton's response sender."""

    def __init__(self, request: Any, outputs: Callable[[Reply], Outputs]) -> None:
        self._sender = request.get_response_sender()
        self._outputs = outputs

    def send(self, reply: Reply, final: bool) -> None:
        self._sender.send(response(self._outputs(reply)), flags=FINAL if final else 0)

    def fail(self, error: Exception) -> None:
        self._sender.send(error_response(error), flags=FINAL)

    def cancelled(self) -> bool:
        return bool(self._sender.is_cancelled())
