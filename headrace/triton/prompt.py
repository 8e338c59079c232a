"""From the text tensors of a request to prompt tokens within the limits."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.config import Config
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


@dataclass(frozen=True)
class Prompt:
    token_ids: list[int]
    max_tokens: int
    """What was asked for, cut to what the context has left."""


class PromptReader:
    """`text_input` is one user message; `messages` is a whole conversation. Exactly one of them is sent."""

    def __init__(self, config: Config) -> None:
        tokenizer = Tokenizer(config.engine.model)
        self._template = ChatTemplate(config.engine.model, tokenizer)
        self._context = context_length(config.engine.model)
        self._limits = config.limits

    def read(self, get: GetTensor) -> Prompt:
        """Raises `InvalidRequest` that names text_input, messages or max_tokens."""
        field, messages = self._messages(get)
        max_tokens = read_max_tokens(get, self._limits)
        token_ids = self._template.encode(messages)
        most = min(self._limits.max_prompt_tokens, self._context - 1)
        if len(token_ids) > most:
            raise InvalidRequest(field, f"{len(token_ids)} tokens with the chat template, at most {most} fit")
        return Prompt(token_ids, min(max_tokens, self._context - len(token_ids)))

    def _messages(self, get: GetTensor) -> tuple[str, list[Message]]:
        limit = self._limits.max_prompt_bytes
        conversation = tensors.text(get, MESSAGES, limit)
        text = tensors.text(get, TEXT, limit)
        if (text is None) == (conversation is None):
            found = "both were sent" if text is not None else "neither was sent"
            raise InvalidRequest(TEXT, f"send either {TEXT} or {MESSAGES}; {found}")
        if conversation is not None:
            return MESSAGES, parse_messages(conversation.encode(), self._limits.max_messages)
        if not text:
            raise InvalidRequest(TEXT, "the prompt is empty")
        return TEXT, [Message("user", text)]
