"""`/openapi.json`: what the HTTP side takes and gives (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from headrace import __version__
from headrace.client import STREAM_MODEL, UNARY_MODEL
from headrace.gateway.openapi_schemas import Schema, named, schemas

_ERRORS = {
    "400": "The request cannot be served as it is; the message names the field.",
    "401": "The key or token is not known.",
    "403": "This is not allowed.",
    "404": "There is no such model.",
    "408": "The body did not come in time.",
    "413": "The body is too big.",
    "415": "The body is of another kind.",
    "429": "A limit is reached, or there is too much to do; `retry-after` says when to come back.",
    "499": "The request was stopped.",
    "500": "The engine, or this gateway, broke; its log says why.",
    "503": "Triton or its engine is away.",
    "504": "There was no answer in time.",
}
_ALWAYS = ("400", "403", "503")
"""Headers too many or too odd, a page of another site, too many connections."""
_JSON, _EVENTS = "application/json", "text/event-stream"
_CHAT = {"model": UNARY_MODEL, "messages": [{"role": "user", "content": "What is a headrace?"}], "max_tokens": 64}
_PROMPT = {"model": UNARY_MODEL, "prompt": "A headrace is", "max_tokens": 64}
_GENERATE = {"text_input": "What is a headrace?", "max_tokens": 64}
_ASKED = {"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": ["What is a headrace?"]}
_INFER = {"inputs": [_ASKED]}
_MODELS = {"type": "string", "enum": [UNARY_MODEL, STREAM_MODEL]}


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}, {"apiKey": []}, {}],
        "paths": _openai() | _triton() | _operations(),
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
            "parameters": _headers(),
            "schemas": schemas(),
        },
    }


def _openai() -> dict[str, Any]:
    error = "OpenAiError"
    chat = _answered("ChatCompletion", "ChatCompletionChunk")
    text = _answered("Completion", "CompletionChunk")
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}, "example": UNARY_MODEL}
    return {
        "/v1/chat/completions": _ask("createChatCompletion", "ChatCompletionRequest", _CHAT, chat, error),
        "/v1/completions": _ask("createCompletion", "CompletionRequest", _PROMPT, text, error),
        "/v1/models": _read("listModels", "ModelList", error),
        "/v1/models/{model}": {"parameters": [model]} | _read("getModel", "Model", error),
    }


def _triton() -> dict[str, Any]:
    error = "TritonError"
    found = {
        "/v2": _read("serverMetadata", "Metadata", error),
        "/v2/health/live": _probe("serverLive"),
        "/v2/health/ready": _probe("serverReady"),
        "/v2/models/stats": _read("allStatistics", "Statistics", error),
    }
    for suffix, place in (("", ""), ("OfVersion", "/versions/{version}")):
        path = f"/v2/models/{{model}}{place}"
        where = {"parameters": [_place("model", _MODELS), *([_place("version", {"const": "1"})] if place else [])]}
        ways = {
            "": _read(f"modelMetadata{suffix}", "Metadata", error),
            "/ready": _probe(f"modelReady{suffix}"),
            "/config": _read(f"modelConfig{suffix}", "Metadata", error),
            "/stats": _read(f"modelStatistics{suffix}", "Statistics", error),
            "/infer": _ask(f"infer{suffix}", "InferBody", _INFER, _inferred(), error),
            "/generate": _ask(f"generate{suffix}", "GenerateRequest", _GENERATE, _answered("Generated"), error),
            "/generate_stream": _ask(
                f"generateStream{suffix}", "GenerateRequest", _GENERATE, _events("Generated"), error
            ),
        }
        found |= {path + way: where | asked for way, asked in ways.items()}
    return found


def _operations() -> dict[str, Any]:
    page = {"200": _response("For Prometheus.", {"text/plain": {"schema": {"type": "string"}}})}
    status = _responses("What the page at / shows.", {_JSON: {"schema": {"type": "object"}}}, "OpenAiError")
    return {
        "/health/live": _health("live", "200"),
        "/health/ready": _health("ready", "200", "503"),
        "/metrics": {"get": {"operationId": "metrics", "responses": page | _refused(("401", *_ALWAYS))}},
        "/status": {"get": {"operationId": "status", "responses": status}},
        "/openapi.json": _read("document", None, "OpenAiError"),
    }


def _headers() -> dict[str, Any]:
    """That every inference takes."""
    seconds = {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?(ms|s)?$"}
    wishes: dict[str, tuple[str, Schema]] = {
        "x-request-id": ("Comes back, and is in the audit log, if it is one.", {"type": "string"}),
        "x-request-timeout": ("Seconds, or milliseconds with `ms`.", seconds),
        "cache-control": ("`no-cache` and `no-store` are heard.", {"type": "string"}),
        "traceparent": ("W3C's trace context.", {"type": "string"}),
        "tracestate": ("Goes on to Triton with it.", {"type": "string"}),
    }
    return {
        name: {"name": name, "in": "header", "description": says, "schema": schema}
        for name, (says, schema) in wishes.items()
    }


def _ask(operation: str, request: str, example: object, content: dict[str, Any], error: str) -> dict[str, Any]:
    body = {"required": True, "content": {_JSON: {"schema": named(request), "example": example}}}
    asked = {
        "operationId": operation,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _headers()],
        "requestBody": body,
        "responses": _responses("The answer.", content, error),
    }
    return {"post": asked}


def _read(operation: str, schema: str | None, error: str) -> dict[str, Any]:
    content = {_JSON: _content(schema)} if schema else {_JSON: {"schema": {"type": "object"}}}
    return {"get": {"operationId": operation, "responses": _responses("What was asked for.", content, error)}}


def _probe(operation: str) -> dict[str, Any]:
    """Its status says all."""
    found = {"200": {"description": "Yes."}, "400": {"description": "No."}}
    return {"get": {"operationId": operation, "security": [], "responses": found}}


def _health(operation: str, *statuses: str) -> dict[str, Any]:
    found = {status: _response("How it is.", {_JSON: _content("Health")}) for status in statuses}
    return {"get": {"operationId": operation, "security": [], "responses": found}}


def _answered(whole: str, event: str | None = None) -> dict[str, Any]:
    return {_JSON: _content(whole)} | (_events(event) if event else {})


def _events(schema: str) -> dict[str, Any]:
    """Each one's `data` is JSON."""
    data = {"type": "string", "contentMediaType": _JSON, "contentSchema": named(schema)}
    return {_EVENTS: {"schema": {"type": "object", "properties": {"data": data}, "required": ["data"]}}}


def _inferred() -> dict[str, Any]:
    return _answered("Inferred") | {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _content(schema: str) -> dict[str, Any]:
    return {"schema": named(schema)}


def _place(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(says: str, content: dict[str, Any], error: str) -> dict[str, Any]:
    return {"200": _response(says, content)} | _refused(tuple(_ERRORS), error)


def _refused(statuses: tuple[str, ...], error: str = "OpenAiError") -> dict[str, Any]:
    return {status: _response(_ERRORS[status], {_JSON: _content(error)}) for status in statuses}


def _response(says: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "content": content}
