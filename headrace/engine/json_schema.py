"""Which JSON schemas may reach an engine's grammar compiler.

Measured: a schema that the compiler refuses breaks OpenVINO's pipeline for every request, and a deep or
self-referring one can stop the process. So only the part of JSON Schema that structured output needs gets
through, bounded in size and depth; everything else is refused with its place.
"""

from __future__ import annotations

import json
from typing import Any

from headrace.errors import InvalidRequest

FIELD = "response_format"
MAX_DEPTH = 16
MAX_NODES = 512
MAX_COUNT = 1000

_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_NOTES = frozenset({"title", "description", "$schema", "default", "examples"})
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
_KEYWORDS = _NOTES | _COUNTS | {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
}  # fmt: skip


def check_schema(text: str, max_bytes: int) -> str:
    """Returns the schema in one normal form. Raises `InvalidRequest` naming the place of the mistake."""
    if len(text.encode()) > max_bytes:
        raise InvalidRequest(FIELD, f"{len(text.encode())} bytes of schema, at most {max_bytes} are allowed")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(FIELD, f"not valid JSON: {error}") from None
    _Checker().check(schema, "$", 0)
    return json.dumps(schema, separators=(",", ":"))


class _Checker:
    def __init__(self) -> None:
        self._nodes = 0

    def check(self, schema: Any, place: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise InvalidRequest(FIELD, f"{place}: nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise InvalidRequest(FIELD, f"{place}: more than {MAX_NODES} parts")
        if not isinstance(schema, dict):
            raise InvalidRequest(FIELD, f"{place}: expected a schema object, got {_kind(schema)}")
        if unknown := sorted(schema.keys() - _KEYWORDS):
            allowed = ", ".join(sorted(_KEYWORDS - _NOTES))
            raise InvalidRequest(FIELD, f"{place}: {unknown[0]!r} is not supported; use {allowed}")
        if not schema.keys() & {"type", "enum", "const", "anyOf"}:
            raise InvalidRequest(FIELD, f"{place}: says no type; add type, enum, const or anyOf")
        self._check_values(schema, place)
        self._check_children(schema, place, depth + 1)

    def _check_values(self, schema: dict[str, Any], place: str) -> None:
        if "type" in schema and (not isinstance(schema["type"], str) or schema["type"] not in _TYPES):
            raise InvalidRequest(FIELD, f"{place}.type: expected one of {', '.join(sorted(_TYPES))}")
        for name in _COUNTS & schema.keys():
            value = schema[name]
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
                raise InvalidRequest(FIELD, f"{place}.{name}: expected a whole number from 0 to {MAX_COUNT}")
        for low, high in (("minItems", "maxItems"), ("minLength", "maxLength")):
            if schema.get(low, 0) > schema.get(high, MAX_COUNT):
                raise InvalidRequest(FIELD, f"{place}: {low} is above {high}")
        if "enum" in schema:
            self._check_enum(schema["enum"], f"{place}.enum")
        if "const" in schema and isinstance(schema["const"], dict | list):
            raise InvalidRequest(FIELD, f"{place}.const: expected a string, number, boolean or null")

    def _check_enum(self, values: Any, place: str) -> None:
        if not isinstance(values, list) or not values or len(values) > MAX_NODES:
            raise InvalidRequest(FIELD, f"{place}: expected a list of 1 to {MAX_NODES} values")
        if any(isinstance(value, dict | list) for value in values):
            raise InvalidRequest(FIELD, f"{place}: expected strings, numbers, booleans or null")

    def _check_children(self, schema: dict[str, Any], place: str, depth: int) -> None:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise InvalidRequest(FIELD, f"{place}.properties: expected an object")
        for name, child in properties.items():
            self.check(child, f"{place}.properties.{name}", depth)
        required = schema.get("required", [])
        if not isinstance(required, list) or any(name not in properties for name in required):
            raise InvalidRequest(FIELD, f"{place}.required: expected a list of names from properties")
        if "items" in schema:
            self.check(schema["items"], f"{place}.items", depth)
        elif schema.get("type") == "array":
            raise InvalidRequest(FIELD, f"{place}: an array needs items")
        if not isinstance(schema.get("additionalProperties", False), bool):
            self.check(schema["additionalProperties"], f"{place}.additionalProperties", depth)
        if "anyOf" in schema:
            choices = schema["anyOf"]
            if not isinstance(choices, list) or not choices:
                raise InvalidRequest(FIELD, f"{place}.anyOf: expected a list of schemas")
            for number, child in enumerate(choices):
                self.check(child, f"{place}.anyOf[{number}]", depth)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
