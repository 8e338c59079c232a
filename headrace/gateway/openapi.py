"""`/openapi.json`: what the HTTP side takes and gives, made of the types that read it (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from headrace import __version__
from headrace.client import PUBLIC_MODELS
from headrace.client.question import INPUTS
from headrace.gateway.openai.requests import ChatCompletionRequest, CompletionRequest
from headrace.gateway.v2.tensors import OUTPUTS

_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_REF = "#/components/schemas/{model}"
_TYPES = {
    "BYTES": {"type": "string"},
    "BOOL": {"type": "boolean"},
    "INT32": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "UINT64": {"type": "integer", "minimum": 0, "maximum": 2**64 - 1},
    "FP32": {"type": "number"},
}
_ERRORS = {
    "400": "The request cannot be served as it is; the message names the field.",
    "401": "The key or token is not known.",
    "403": "This is not allowed.",
    "404": "There is no such model.",
    "413": "The body is too big.",
    "415": "The body is of another kind.",
    "429": "A limit is reached, or there is too much to do; `retry-after` says when to come back.",
    "503": "Triton or its engine is away.",
    "504": "There was no answer in time.",
}


def document() -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(ChatCompletionRequest, "validation"), (CompletionRequest, "validation")], ref_template=_REF
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}, {}],
        "paths": _openai() | _triton() | _health(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas["$defs"] | _own_schemas(),
        },
    }


def _openai() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {"post": _completion("ChatCompletionRequest", "createChatCompletion")},
        "/v1/completions": {"post": _completion("CompletionRequest", "createCompletion")},
        "/v1/models": {"get": _read("listModels", {"$ref": _named("ModelList")}, "OpenAiError")},
        "/v1/models/{model}": {
            "parameters": [_parameter("model")],
            "get": _read("getModel", {"$ref": _named("Model")}, "OpenAiError"),
        },
    }


def _completion(request: str, operation: str) -> dict[str, Any]:
    whole = {"schema": {"$ref": _named("Completion")}}
    return {
        "operationId": operation,
        "requestBody": _json_body({"$ref": _named(request)}),
        "responses": {
            "200": _response("The answer, or its events.", {"application/json": whole, "text/event-stream": {}})
        }
        | _errors("OpenAiError"),
    }


def _triton() -> dict[str, Any]:
    model = "/v2/models/{model}"
    generated = {"application/json": {"schema": {"$ref": _named("Generated")}}}
    inferred = {"application/json": {"schema": {"type": "object"}}}
    found: dict[str, Any] = {
        "/v2": {"get": _read("serverMetadata", {"type": "object"}, "TritonError")},
        f"{model}/infer": _inference("infer", "InferRequest", inferred),
        f"{model}/generate": _inference("generate", "GenerateRequest", generated),
        f"{model}/generate_stream": _inference("generateStream", "GenerateRequest", {"text/event-stream": {}}),
    }
    for place, operation in (("", "modelMetadata"), ("/config", "modelConfig"), ("/stats", "modelStatistics")):
        told = _read(operation, {"type": "object"}, "TritonError")
        found[f"{model}{place}"] = {"parameters": [_parameter("model", _MODELS)], "get": told}
    return found


_MODELS = {"type": "string", "enum": list(PUBLIC_MODELS)}


def _inference(operation: str, request: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "parameters": [_parameter("model", _MODELS)],
        "post": {
            "operationId": operation,
            "requestBody": _json_body({"$ref": _named(request)}),
            "responses": {"200": _response("The answer.", content)} | _errors("TritonError"),
        },
    }


def _health() -> dict[str, Any]:
    status = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
    shown = {"application/json": {"schema": status}}
    return {
        "/health/live": {"get": {"operationId": "live", "responses": {"200": _response("It runs.", shown)}}},
        "/health/ready": {
            "get": {
                "operationId": "ready",
                "responses": {"200": _response("It answers.", shown), "503": _response("It does not.", shown)},
            }
        },
    }


def _own_schemas() -> dict[str, Any]:
    inputs = {name: _TYPES[kind.datatype] for name, kind in INPUTS.items()}
    inputs["stop_words"] = {"type": "array", "items": {"type": "string"}}
    outputs: dict[str, Any] = {name: _TYPES[datatype] for name, (datatype, _) in OUTPUTS.items()}
    outputs["log_probs"] = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}
    text = {"type": "string"}
    error = _object({"message": text, "type": text}, ["message", "type"])
    model = _object(
        {"id": text, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": text}, ["id"]
    )
    tensor = _object(
        {
            "name": {"enum": list(INPUTS)},
            "datatype": {"enum": list(_TYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
            "data": {"type": "array"},
        },
        ["name", "datatype", "shape", "data"],
    )
    return {
        "OpenAiError": _object({"error": error}, ["error"]),
        "TritonError": _object({"error": text}, ["error"]),
        "Model": model,
        "ModelList": _object({"data": {"type": "array", "items": {"$ref": _named("Model")}}}, ["data"]),
        "Completion": _object(
            {"id": text, "choices": {"type": "array"}, "usage": {"type": "object"}}, ["id", "choices", "usage"]
        ),
        "GenerateRequest": {"type": "object", "properties": inputs | {"id": text}, "additionalProperties": False},
        "Generated": _object(outputs, list(OUTPUTS)),
        "InferRequest": _object({"id": text, "inputs": {"type": "array", "items": tensor}}, ["inputs"]),
    }


def _named(schema: str) -> str:
    return _REF.format(model=schema)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _parameter(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema or {"type": "string"}}


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _response(says: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "content": content}


def _read(operation: str, schema: dict[str, Any], error: str) -> dict[str, Any]:
    found = {"200": _response("What was asked for.", {"application/json": {"schema": schema}})}
    return {"operationId": operation, "responses": found | _errors(error)}


def _errors(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _named(schema)}}}
    return {status: _response(says, content) for status, says in _ERRORS.items()}
