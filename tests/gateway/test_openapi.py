"""`/openapi.json` against the standard, against the routes that there are, and against what they answer."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest.mock import MagicMock

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from headrace.gateway.app import app
from headrace.gateway.openapi import document
from headrace.gateway.site import _File
from tests.gateway_stack import GatewayStack
from tests.triton.http_port import call

EXAMPLES = 12
TOKENS = 4
"""At most, so that no example takes long."""
LENGTHS = {"max_tokens", "max_completion_tokens", "min_tokens"}
DEADLINE = re.compile(document()["components"]["parameters"]["x-request-timeout"]["schema"]["pattern"])
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
HOST = {"host": "localhost"}


def operations(said: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method) for path, asked in said["paths"].items() for method in asked if method != "parameters"}


OPERATIONS = sorted(operations(document()))


def routes() -> set[tuple[str, str]]:
    """Of the app, without the files of its page."""
    edge: Any = app(MagicMock(), MagicMock())
    found: list[Route] = edge._inner.routes
    return {
        (route.path, method.lower())
        for route in found
        for method in (route.methods or set()) - {"HEAD"}
        if not isinstance(route.endpoint, _File)
    }


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_every_route_is_in_it_and_it_has_no_other() -> None:
    assert operations(document()) == routes()


def test_every_operation_has_a_name_of_its_own_and_says_how_it_fails() -> None:
    asked = [document()["paths"][path][method] for path, method in OPERATIONS]
    names = [one["operationId"] for one in asked]
    assert len(set(names)) == len(names)
    for one in asked:
        assert set(one["responses"]) - {"200"} or one["operationId"] == "live"


def test_every_example_is_answered(gateway_stack: GatewayStack) -> None:
    for path, method in OPERATIONS:
        asked = document()["paths"][path][method]
        if method == "post":
            example = asked["requestBody"]["content"]["application/json"]["example"]
            model = "assistant_stream" if path.endswith("stream") else "assistant"
            place = path.replace("{model}", model).replace("{version}", "1")
            headers = HOST | {"content-type": "application/json"}
            assert call(gateway_stack.gateway_port, "POST", place, json.dumps(example).encode(), headers)[0] == 200


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: value.lstrip("/"))
def test_what_is_answered_is_what_it_says(gateway_stack: GatewayStack, path: str, method: str) -> None:
    schema = openapi.from_dict(document())
    schema.config.update(base_url=gateway_stack.url)
    operation = schema[path][method.upper()]
    modes = [schemathesis.GenerationMode.POSITIVE] + [schemathesis.GenerationMode.NEGATIVE] * (method == "post")
    few = settings(
        max_examples=EXAMPLES if method == "post" else 4,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for mode in modes:

        @few
        @given(case=operation.as_strategy(generation_mode=mode))
        def asks(case: Any) -> None:
            made_short(case)
            rejects = [negative_data_rejection] if path.startswith("/v2") else []
            case.call_and_validate(checks=[*CHECKS, *rejects], headers=HOST)

        asks()


def made_short(case: Any) -> None:
    """Few tokens and no deadline: neither is what this is about."""
    if DEADLINE.fullmatch(str((case.headers or {}).get("x-request-timeout", ""))):
        del case.headers["x-request-timeout"]
    body = case.body
    if isinstance(body, dict):
        for name in LENGTHS & set(body):
            if isinstance(body[name], int) and body[name] > TOKENS:
                body[name] = TOKENS
        if {"model", "text_input"} & set(body) and not LENGTHS & set(body):
            body["max_tokens"] = TOKENS
