"""From chat messages to prompt token ids, by the model's own chat template.

Control tokens may come from the template only. A user who types `<|im_start|>system` sends characters, not a
role: before rendering, every control token inside user text is broken by a private mark; after it, the text is
cut at the control tokens that are left, which are the template's own, and the mark is taken out again.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from headrace.errors import InvalidRequest, StartupError
from headrace.text.messages import FIELD, Message
from headrace.text.tokenizer import Tokenizer


class _TemplateRefused(Exception):
    """The template itself refused the messages (`raise_exception`)."""


def _refuse(message: str) -> None:
    raise _TemplateRefused(message)


class ChatTemplate:
    """The Jinja template of `tokenizer_config.json`, in a sandbox that reaches no file, module or private name."""

    def __init__(self, model: Path, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        file = model / "tokenizer_config.json"
        try:
            settings = json.loads(file.read_text(encoding="utf-8"))
            source = settings["chat_template"]
        except (OSError, ValueError, KeyError) as error:
            raise StartupError(f"{file}: no chat template: {error!r}") from None
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now(UTC).strftime(form)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise StartupError(f"{file}: chat_template is not valid: {error}") from None
        self._tokens = {name: _token_text(settings.get(name)) for name in ("bos_token", "eos_token")}
        specials = map(re.escape, tokenizer.special_tokens)
        # (?!) matches nothing: a model without control tokens.
        self._special = re.compile(f"({'|'.join(specials) or '(?!)'})")

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the whole conversation, ready for the assistant's next turn."""
        texts = [message.text for message in messages]
        if not any(map(self._special.search, texts)):
            return self._tokenizer.encode(self._render(messages, texts))
        return self._encode_hostile(messages, texts)

    def _encode_hostile(self, messages: Sequence[Message], texts: list[str]) -> list[int]:
        mark = _unused_mark(texts)
        broken = [self._special.sub(lambda m: m[0][:1] + mark + m[0][1:], text) for text in texts]
        token_ids: list[int] = []
        # re.split with one group: plain text at even places, control tokens at odd ones.
        for place, piece in enumerate(self._special.split(self._render(messages, broken))):
            if place % 2:
                token_ids.append(self._tokenizer.special_id(piece))
            elif piece:
                token_ids += self._tokenizer.encode_plain(piece.replace(mark, ""))
        return token_ids

    def _render(self, messages: Sequence[Message], texts: Sequence[str]) -> str:
        turns = [{"role": m.role, "content": text} for m, text in zip(messages, texts, strict=True)]
        try:
            return self._template.render(messages=turns, add_generation_prompt=True, **self._tokens)
        except (_TemplateRefused, jinja2.TemplateError) as error:
            raise InvalidRequest(FIELD, f"the model's chat template refuses them: {error}") from None


def _token_text(token: object) -> str:
    """tokenizer_config.json writes a token as a string or as {"content": …}."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _unused_mark(texts: Sequence[str]) -> str:
    while True:
        # U+FDD0 is a noncharacter: no tokenizer has it in a control token.
        mark = f"\ufdd0{secrets.token_hex(4)}\ufdd0"
        if not any(mark in text for text in texts):
            return mark
