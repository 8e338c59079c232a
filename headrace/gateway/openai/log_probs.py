"""Log probabilities as OpenAI's clients get them: of the chosen tokens, without alternatives.

A token whose text is not shown, since a guard took it out or since it is a control token, is left out.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from headrace.client import Chunk
from headrace.text.token_text import token_bytes


def of_chat(chunk: Chunk) -> dict[str, Any]:
    """`choices[].logprobs` of a chat completion, or of a piece of one."""
    content = [
        {"token": token, "logprob": value, "bytes": list(token_bytes(token)), "top_logprobs": []}
        for token, value in _shown(chunk)
    ]
    return {"content": content, "refusal": None}


class TextLogProbs:
    """`choices[].logprobs` of one text completion: the places of its tokens count from its beginning."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._characters = 0

    def of(self, chunk: Chunk) -> dict[str, Any]:
        tokens, values, offsets = [], [], []
        for token, value in _shown(chunk):
            tokens.append(token)
            values.append(value)
            offsets.append(self._characters)
            self._characters += len(self._utf8.decode(token_bytes(token)))
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": None, "text_offset": offsets}


def _shown(chunk: Chunk) -> Iterator[tuple[str, float]]:
    pairs = zip(chunk.log_prob_tokens, chunk.log_probs, strict=True)
    return ((token, value) for token, value in pairs if token)
