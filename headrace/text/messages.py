"""Chat messages as users send them: a JSON list of `{"role": …, "content": …}`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headrace.errors import InvalidRequest

FIELD = "messages"
# As OpenAI has it. No sentence: the guards judge what is said, not by whom, and a chat template may show it.
_NAME = r"^[^\s<|\\/>]{1,64}\Z"


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """OpenAI's list form of `content`; only text parts are served."""

    type: Literal["text"]
    text: str


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart]
    name: Annotated[str, msgspec.Meta(pattern=_NAME)] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


_decoder = msgspec.json.Decoder(list[Message])


def parse_messages(data: bytes, max_messages: int) -> list[Message]:
    """Raises `InvalidRequest` that names the place of the first mistake."""
    try:
        messages = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise InvalidRequest(FIELD, f"{_said(error)}; expected a list of {{role, content}}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(FIELD, f"not valid JSON: {error}") from None
    if not messages:
        raise InvalidRequest(FIELD, "the list is empty; send at least one message")
    if len(messages) > max_messages:
        raise InvalidRequest(FIELD, f"{len(messages)} messages, at most {max_messages} are allowed")
    for place, message in enumerate(messages):
        if "\0" in message.text:
            raise InvalidRequest(FIELD, f"$[{place}].content holds a NUL character; remove it")
    if not any(message.text for message in messages):
        raise InvalidRequest(FIELD, "all messages are empty")
    return messages


def _said(error: msgspec.ValidationError) -> str:
    """Without the value that was sent: it may be a text."""
    said = str(error)
    if not said.startswith(("Invalid enum value", "Invalid value")):
        return said
    return f"no value that is known here at {said.rpartition(' - at ')[2]}"
