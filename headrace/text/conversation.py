"""A prompt, however it was sent, and its tokens within the limits: for the steps in Triton and for the gateway."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from headrace.config import Config, LimitsConfig
from headrace.errors import InvalidRequest, PromptTooLong
from headrace.text.chat import ChatTemplate
from headrace.text.messages import FIELD as MESSAGES
from headrace.text.messages import Message, parse_messages
from headrace.text.model_folder import context_length
from headrace.text.tokenizer import Tokenizer

TEXT = "text_input"


@dataclass(frozen=True)
class Conversation:
    field: str
    """The public input that it came by."""
    messages: list[Message]

    def as_prompt(self) -> str:
        """A JSON string of `text_input`, a JSON list of `messages`."""
        said: object = self.messages[0].text if self.field == TEXT else self.messages
        return msgspec.json.encode(said).decode()


def conversation(text: str | None, messages: str | None, limits: LimitsConfig) -> Conversation:
    """Exactly one of `text_input` and `messages` is sent. Raises `InvalidRequest` that names one of them."""
    if (text is None) == (messages is None):
        found = "both were sent" if text is not None else "neither was sent"
        raise InvalidRequest(TEXT, f"send either {TEXT} or {MESSAGES}; {found}")
    if messages is not None:
        return Conversation(MESSAGES, parse_messages(messages.encode(), limits.max_messages))
    if not text:
        raise InvalidRequest(TEXT, "the prompt is empty")
    return Conversation(TEXT, [Message("user", text)])


class PromptEncoder:
    """Of one model, by its chat template."""

    def __init__(self, config: Config) -> None:
        self._template = ChatTemplate(config.engine.model, Tokenizer(config.engine.model))
        self.context = context_length(config.engine.model)
        """Tokens that prompt and answer may have together."""
        self._most = min(config.limits.max_prompt_tokens, self.context - 1)

    def encode(self, asked: Conversation) -> list[int]:
        """Token ids. Raises `PromptTooLong` for more than fit."""
        token_ids = self._template.encode(asked.messages)
        if len(token_ids) > self._most:
            problem = f"{len(token_ids)} tokens with the chat template, at most {self._most} fit"
            raise PromptTooLong(asked.field, problem)
        return token_ids
