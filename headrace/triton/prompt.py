"""From the text tensors of a request to prompt tokens within the limits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headrace.config import Config, LimitsConfig
from headrace.errors import InvalidRequest
from headrace.text.conversation import TEXT, Conversation, PromptEncoder, conversation
from headrace.text.messages import FIELD as MESSAGES
from headrace.text.messages import Message, parse_messages
from headrace.triton import tensors
from headrace.triton.sampling import read_max_tokens
from headrace.triton.tensors import GetTensor

PROMPT = "prompt"
"""What the prompt's guard makes of either: a JSON string of `text_input`, a JSON list of `messages`. Internal."""
_LONGEST_PROMPT = 2**24


def read_conversation(get: GetTensor, limits: LimitsConfig) -> Conversation:
    """Raises `InvalidRequest` that names text_input or messages."""
    messages = tensors.text(get, MESSAGES, limits.max_prompt_bytes)
    return conversation(tensors.text(get, TEXT, limits.max_prompt_bytes), messages, limits)


def _read_prompt(prompt: bytes, limits: LimitsConfig) -> Conversation:
    if prompt.startswith(b'"'):
        try:
            return Conversation(TEXT, [Message("user", msgspec.json.decode(prompt, type=str))])
        except msgspec.MsgspecError as error:
            raise InvalidRequest(PROMPT, f"not valid JSON: {error}") from None
    return Conversation(MESSAGES, parse_messages(prompt, limits.max_messages))


@dataclass(frozen=True)
class Prompt:
    token_ids: list[int]
    max_tokens: int
    """What was asked for, cut to what the context has left."""


class PromptReader:
    """`text_input` is one user message, `messages` a whole conversation; behind the prompt's guard there is only
    `prompt`, which is one of them."""

    def __init__(self, config: Config) -> None:
        self._encoder = PromptEncoder(config)
        self._limits = config.limits

    def read(self, get: GetTensor) -> Prompt:
        """Raises `InvalidRequest` that names text_input, messages or max_tokens."""
        asked = self._conversation(get)
        max_tokens = read_max_tokens(get, self._limits)
        token_ids = self.encode(asked)
        return Prompt(token_ids, min(max_tokens, self._encoder.context - len(token_ids)))

    def encode(self, asked: Conversation) -> list[int]:
        """Raises `InvalidRequest` for more tokens than fit."""
        return self._encoder.encode(asked)

    def _conversation(self, get: GetTensor) -> Conversation:
        if (prompt := tensors.raw_text(get, PROMPT, _LONGEST_PROMPT)) is not None:
            return _read_prompt(prompt, self._limits)
        return read_conversation(get, self._limits)
