"""From OpenAI's requests to what Triton is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TypeVar

import msgspec
from pydantic import ValidationError

from headrace.client import Question
from headrace.errors import InvalidRequest
from headrace.gateway.openai.requests import (
    ChatCompletionRequest,
    ChatMessage,
    CompletionRequest,
    Generation,
    ResponseFormat,
)

_Request = TypeVar("_Request", bound=Generation)
_ANY_OBJECT = '{"type":"object"}'


def chat(body: bytes) -> tuple[Generation, Question]:
    """Raises `InvalidRequest`."""
    request = _read(ChatCompletionRequest, body)
    question = replace(
        _common(request),
        messages=msgspec.json.encode([_message(one) for one in request.messages]).decode(),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        return_log_probs=request.logprobs or None,
        response_format=_schema(request.response_format),
    )
    return request, question


def completion(body: bytes) -> tuple[Generation, Question]:
    """Raises `InvalidRequest`."""
    request = _read(CompletionRequest, body)
    wants_log_probs = request.logprobs is not None or None
    return request, replace(_common(request), text_input=request.text, return_log_probs=wants_log_probs)


def _read(kind: type[_Request], body: bytes) -> _Request:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def _common(request: Generation) -> Question:
    return Question(
        max_tokens=request.max_tokens,
        min_tokens=request.min_tokens,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        random_seed=request.seed,
        stop_words=request.stop_words,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        repetition_penalty=request.repetition_penalty,
        guard_policy=request.guard_policy,
    )


def _message(message: ChatMessage) -> dict[str, str]:
    content = message.content
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    role = "system" if message.role == "developer" else message.role
    said = {"role": role, "content": text}
    return said if message.name is None else said | {"name": message.name}


def _schema(wanted: ResponseFormat | None) -> str | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.json_schema is None:
        return _ANY_OBJECT
    try:
        return json.dumps(wanted.json_schema.schema_, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise InvalidRequest("response_format.json_schema.schema", "holds a number that is not finite") from None


def invalid(error: ValidationError) -> InvalidRequest:
    """The first mistake, with its place. What was sent is not repeated: it may be a text.

    Where several types are allowed, each of them has mistakes of its own: the one that went furthest counts.
    """
    found = max(error.errors(include_url=False, include_input=False), key=lambda one: len(one["loc"]))
    context = found.get("ctx", {})
    places = [str(part) for place, part in enumerate(found["loc"]) if not (place and _is_type(part))]
    if found["type"] == "of_field":
        places.append(context["field"])
    problem = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        problem = "there is no such field; remove it"
    return InvalidRequest(".".join(places)[:200] or "body", problem[:500])


def _is_type(part: int | str) -> bool:
    """pydantic's places name which of several types was tried."""
    return isinstance(part, str) and (part == "str" or part.startswith("list["))
