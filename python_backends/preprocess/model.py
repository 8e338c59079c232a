"""Step `preprocess`: text or messages in, prompt token ids out."""

from __future__ import annotations

from typing import Any

import numpy as np

from headrace import config
from headrace.triton.adapter import answer_each
from headrace.triton.prompt import PromptReader
from headrace.triton.tensors import GetTensor, Outputs, row


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._prompts = PromptReader(config.load())

    def execute(self, requests: list[Any]) -> list[Any]:
        return answer_each(requests, self._answer)

    def _answer(self, get: GetTensor) -> Outputs:
        prompt = self._prompts.read(get)
        return {
            "input_ids": row(prompt.token_ids, np.int32),
            "engine_max_tokens": row(prompt.max_tokens, np.int32),
            # Triton carries no cancellation through an ensemble: looking for one would only cost.
            "watch_cancel": row(False, np.bool_),
        }
