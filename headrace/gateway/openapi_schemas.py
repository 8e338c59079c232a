"""What goes over HTTP, as JSON schemas: requests by the types that read them, answers as they are written."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from headrace.client.question import INPUTS
from headrace.gateway.openai.requests import ChatCompletionRequest, CompletionRequest
from headrace.gateway.v2.requests import InferBody
from headrace.gateway.v2.tensors import OUTPUTS

Schema = dict[str, Any]
_REF = "#/components/schemas/{model}"
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_REASONS = ["stop", "length", "content_filter", "cancelled"]
_DATATYPES: dict[str, Schema] = {
    "BYTES": _TEXT,
    "BOOL": {"type": "boolean"},
    "INT32": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "UINT64": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
    "FP32": {"type": "number"},
}


def named(schema: str) -> Schema:
    return {"$ref": _REF.format(model=schema)}


def schemas() -> dict[str, Schema]:
    """Name → schema, of all that `named` may name."""
    _, read = models_json_schema(
        [(ChatCompletionRequest, "validation"), (CompletionRequest, "validation")], ref_template=_REF
    )
    _, infer = msgspec.json.schema_components([InferBody], ref_template="#/components/schemas/{name}")
    found: dict[str, Schema] = read["$defs"] | infer
    return found | _answers() | _of_triton() | _errors()


def _answers() -> dict[str, Schema]:
    message = _object({"role": {"const": "assistant"}, "content": _TEXT, "refusal": {"type": "null"}})
    usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), _COUNT)
    model = {"id": _TEXT, "object": {"const": "model"}, "created": _COUNT, "owned_by": _TEXT}
    return {
        "Usage": _object(usage | {"cost": _TEXT, "currency": _TEXT}),
        "Message": message,
        "ChatCompletion": _completion("chat.completion", {"message": named("Message")}, _whole()),
        "Completion": _completion("text_completion", {"text": _TEXT}, _whole()),
        "ChatCompletionChunk": _completion("chat.completion.chunk", {"delta": {"type": "object"}}, {}),
        "CompletionChunk": _completion("text_completion", {"text": _TEXT}, {}),
        "Model": _object(model),
        "ModelList": _object({"object": {"const": "list"}, "data": _list(named("Model"))}),
        "Health": _object({"status": {"enum": ["live", "ready", "not ready"]}}),
    }


def _completion(kind: str, said: dict[str, Schema], more: dict[str, Schema]) -> Schema:
    reason = {"enum": [*_REASONS, None]}
    choice = {"index": _COUNT, **said, "logprobs": {"type": ["object", "null"]}, "finish_reason": reason}
    head = {"id": _TEXT, "object": {"const": kind}, "created": _COUNT, "model": _TEXT, "system_fingerprint": _TEXT}
    return _object(head | {"choices": _list(_object(choice))} | more)


def _whole() -> dict[str, Schema]:
    guards = _list({"type": "object"})
    told = _object({"cache": {"enum": ["hit", "miss", "join", "bypass"]}, "guard": guards})
    return {"usage": named("Usage"), "headrace": told}


def _of_triton() -> dict[str, Schema]:
    inputs = {name: _DATATYPES[kind.datatype] for name, kind in INPUTS.items()}
    inputs["stop_words"] = _list(_TEXT)
    outputs = {name: _one_or_many(_DATATYPES[datatype]) for name, (datatype, _) in OUTPUTS.items()}
    head = {"model_name": _TEXT, "model_version": _TEXT}
    output = _object({"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT)})
    asked = {"type": "object", "properties": inputs | {"id": _TEXT}, "additionalProperties": False}
    return {
        "GenerateRequest": asked,
        "Generated": _object(head | outputs),
        "Inferred": _object(head | {"outputs": _list(output)}),
        "Metadata": {"type": "object", "properties": {"name": _TEXT}, "required": ["name"]},
        "Statistics": _object({"model_stats": _list({"type": "object"})}),
    }


def _errors() -> dict[str, Schema]:
    either = {"type": ["string", "null"]}
    error = {"message": _TEXT, "type": _TEXT, "param": either, "code": either}
    return {
        "OpenAiError": _object({"error": _object(error)}),
        "TritonError": _object({"error": _TEXT}),
    }


def _object(properties: dict[str, Schema]) -> Schema:
    """All of them are there; others may be."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _one_or_many(value: Schema) -> Schema:
    return {"anyOf": [value, _list(value)]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}
