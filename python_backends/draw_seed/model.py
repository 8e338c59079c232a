"""Step `draw_seed`: a request that samples without a seed gets a fresh one.

The cached `completion` sees inputs only: without this, Triton's cache would answer every sampled request with
the first answer. A greedy request keeps a constant seed, so that it can be answered from the cache.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from headrace.triton import tensors
from headrace.triton.adapter import answer_each
from headrace.triton.tensors import GetTensor, Outputs, row


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        return answer_each(requests, self._answer)

    def _answer(self, get: GetTensor) -> Outputs:
        seed = tensors.integer(get, "random_seed")
        drawn = seed is None
        if seed is None:
            greedy = not tensors.number(get, "temperature")
            seed = 0 if greedy else secrets.randbits(63)
        return {"drawn_seed": row(seed, np.uint64), "seed_drawn": row(drawn, np.bool_)}
