"""Tensors as the filters' steps receive them, and the policies that their tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.triton.tensors import Request

POLICY = """\
default: windowed
rails:
  terms:
    fruit: {terms: [apple]}
    weapon: {terms: [bomb]}
    word: {terms: [please]}
policies:
  windowed: &rules
    stream: windowed
    refusal: No.
    prompt: {weapon: {block: 0.5}, fruit: {flag: 0.5}, word: {redact: 0.5}}
    response: {weapon: {block: 0.5}, fruit: {flag: 0.5}, word: {redact: 0.5}}
  buffered: {<<: *rules, stream: buffered}
  async: {stream: async, refusal: No., response: {weapon: {block: 0.5}}}
  "off": {stream: async}
"""


def inputs(**values: Any) -> Request:
    """Each value as a [1, 1] tensor, a tuple as [1, n]."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in values.items():
        row = value if isinstance(value, tuple) else (value,)
        texts = [item.encode() if isinstance(item, str) else item for item in row]
        kind = np.object_ if any(isinstance(item, bytes) for item in texts) else None
        arrays[name] = np.array([texts], dtype=kind)
    return Request(arrays.get, "an-id")
