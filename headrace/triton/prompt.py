"""From the text tensors of a request to prompt tokens within the limits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headrace.config import Config, LimitsConfig
from headrace.errors import InvalidRequest
from headrace.text.chat import ChatTemplate
from headrace.text.messages import FIELD as MESSAGES
from headrace.text.messages import Message, parse_messages
from headrace.text.model_folder import context_length
from headrace.text.tokenizer import Tokenizer
from headrace.triton import tensors
from headrace.triton.sampling import read_max_tokens
from headrace.triton.tensors import GetTensor

TEXT = "text_input"
PROMPT = "prompt"
"""What the prompt's guard makes of either: a JSON string of `text_input`, a JSON list of `messages`. Internal."""
_LONGEST_PROMPT = 2**24


@dataclass(frozen=True)
class Conversation:
    field: str
    """The public input that it came by."""
    messages: list[Message]

    def as_prompt(self) -> str:
        """For the input `prompt`."""
        said: object = self.messages[0].text if self.field == TEXT else self.messages
        return msgspec.json.encode(said).decode()


def read_conversation(get: GetTensor, limits: LimitsConfig) -> Conversation:
    """Exactly one of `text_input` and `messages` is sent. Raises `InvalidRequest` that names one of them."""
    messages = tensors.text(get, MESSAGES, limits.max_prompt_bytes)
    text = tensors.text(get, TEXT, limits.max_prompt_bytes)
    if (text is None) == (messages is None):
        found = "both were sent" if text is not None else "neither was sent"
        raise InvalidRequest(TEXT, f"send either {TEXT} or {MESSAGES}; {found}")
    if messages is not None:
        return Conversation(MESSAGES, parse_messages(messages.encode(), limits.max_messages))
    if not text:
        raise InvalidRequest(TEXT, "the prompt is empty")
    return Conversation(TEXT, [Message("user", text)])


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
        tokenizer = Tokenizer(config.engine.model)
        self._template = ChatTemplate(config.engine.model, tokenizer)
        self._context = context_length(config.engine.model)
        self._limits = config.limits

    def read(self, get: GetTensor) -> Prompt:
        """Raises `InvalidRequest` that names text_input, messages or max_tokens."""
        conversation = self._conversation(get)
        max_tokens = read_max_tokens(get, self._limits)
        token_ids = self.encode(conversation)
        return Prompt(token_ids, min(max_tokens, self._context - len(token_ids)))

    def encode(self, conversation: Conversation) -> list[int]:
        """Raises `InvalidRequest` for more tokens than fit."""
        token_ids = self._template.encode(conversation.messages)
        most = min(self._limits.max_prompt_tokens, self._context - 1)
        if len(token_ids) > most:
            problem = f"{len(token_ids)} tokens with the chat template, at most {most} fit"
            raise InvalidRequest(conversation.field, problem)
        return token_ids

    def _conversation(self, get: GetTensor) -> Conversation:
        if (prompt := tensors.raw_text(get, PROMPT, _LONGEST_PROMPT)) is not None:
            return _read_prompt(prompt, self._limits)
        return read_conversation(get, self._limits)
