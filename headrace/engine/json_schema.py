"""Which JSON schemas may reach an engine's grammar compiler.

Measured: a schema that the compiler refuses breaks OpenVINO's pipeline for every request, and a deep or
self-referring one can stop the process. Long strings and arrays take it minutes to compile, while everybody
waits. So only the part of JSON Schema that structured output needs gets through, bounded in size, depth and
counts, with names and numbers that the compiler keeps as they are; everything else is refused with its place.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from headrace.errors import InvalidRequest

FIELD = "response_format"
MAX_DEPTH = 16
MAX_NODES = 512
MAX_COUNT = 256
MAX_COUNTS_TOGETHER = 512
MAX_INTEGER = 2**53
"""Beyond it a double loses digits, and the compiler refuses some."""

_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_NOTES = frozenset({"title", "description", "$schema", "default", "examples"})
_MISREAD = re.compile(r"[\x80-\xff](?=[0-9A-Fa-f])")
"""The compiler reads these two characters as one: `é0` becomes U+0E90."""
_NAME = re.compile(r"[A-Za-z0-9_.$@ -]{1,64}")
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
_KEYWORDS = _NOTES | _COUNTS | {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
}  # fmt: skip


def check_schema(text: str, max_bytes: int) -> str:
    """Returns the schema in one normal form. Raises `InvalidRequest` naming the place of the mistake."""
    if len(text.encode()) > max_bytes:
        raise InvalidRequest(FIELD, f"{len(text.encode())} bytes of schema, at most {max_bytes} are allowed")
    try:
        schema = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(FIELD, f"not valid JSON: {error}") from None
    return json.dumps(_Checker().check(schema, "$", 0), separators=(",", ":"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


class _Checker:
    def __init__(self) -> None:
        self._nodes = 0
        self._counts = 0

    def check(self, schema: Any, place: str, depth: int) -> dict[str, Any]:
        """The schema without its notes, which no compiler needs to read."""
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
        return self._without_notes(schema) | self._checked_children(schema, place, depth + 1)

    @staticmethod
    def _without_notes(schema: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in schema.items() if name not in _NOTES}

    def _check_values(self, schema: dict[str, Any], place: str) -> None:
        if "type" in schema and (not isinstance(schema["type"], str) or schema["type"] not in _TYPES):
            raise InvalidRequest(FIELD, f"{place}.type: expected one of {', '.join(sorted(_TYPES))}")
        for name in _COUNTS & schema.keys():
            value = schema[name]
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
                raise InvalidRequest(FIELD, f"{place}.{name}: expected a whole number from 0 to {MAX_COUNT}")
            self._counts += value
        if self._counts > MAX_COUNTS_TOGETHER:
            raise InvalidRequest(FIELD, f"{place}: item and length bounds above {MAX_COUNTS_TOGETHER} together")
        for low, high in (("minItems", "maxItems"), ("minLength", "maxLength")):
            if schema.get(low, 0) > schema.get(high, MAX_COUNT):
                raise InvalidRequest(FIELD, f"{place}: {low} is above {high}")
        if "enum" in schema:
            self._check_enum(schema["enum"], f"{place}.enum")
        if "const" in schema:
            _check_scalar(schema["const"], f"{place}.const")

    def _check_enum(self, values: Any, place: str) -> None:
        if not isinstance(values, list) or not values or len(values) > MAX_NODES:
            raise InvalidRequest(FIELD, f"{place}: expected a list of 1 to {MAX_NODES} values")
        for number, value in enumerate(values):
            _check_scalar(value, f"{place}[{number}]")

    def _checked_children(self, schema: dict[str, Any], place: str, depth: int) -> dict[str, Any]:
        children: dict[str, Any] = {}
        if "properties" in schema:
            children["properties"] = self._properties(schema["properties"], f"{place}.properties", depth)
        required = schema.get("required", [])
        names = children.get("properties", {})
        if not isinstance(required, list) or any(not isinstance(n, str) or n not in names for n in required):
            raise InvalidRequest(FIELD, f"{place}.required: expected a list of names from properties")
        if "items" in schema:
            children["items"] = self.check(schema["items"], f"{place}.items", depth)
        elif schema.get("type") == "array":
            raise InvalidRequest(FIELD, f"{place}: an array needs items")
        more = schema.get("additionalProperties", False)
        if not isinstance(more, bool):
            children["additionalProperties"] = self.check(more, f"{place}.additionalProperties", depth)
        if "anyOf" in schema:
            choices = schema["anyOf"]
            if not isinstance(choices, list) or not choices:
                raise InvalidRequest(FIELD, f"{place}.anyOf: expected a list of schemas")
            children["anyOf"] = [
                self.check(child, f"{place}.anyOf[{number}]", depth) for number, child in enumerate(choices)
            ]
        return children

    def _properties(self, properties: Any, place: str, depth: int) -> dict[str, Any]:
        if not isinstance(properties, dict):
            raise InvalidRequest(FIELD, f"{place}: expected an object")
        for name in properties:
            if not _NAME.fullmatch(name):
                shown = name.encode("ascii", "backslashreplace").decode()[:64]
                raise InvalidRequest(
                    FIELD, f"{place}: the name {shown!r} is not supported; use up to 64 letters, digits, _ . $ @ -"
                )
        return {name: self.check(child, f"{place}.{name}", depth) for name, child in properties.items()}


def _check_scalar(value: Any, place: str) -> None:
    if isinstance(value, dict | list):
        raise InvalidRequest(FIELD, f"{place}: expected a string, number, boolean or null")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidRequest(FIELD, f"{place}: half a surrogate pair is no character")
    if isinstance(value, str) and (misread := _MISREAD.search(value)):
        character = misread[0]
        raise InvalidRequest(FIELD, f"{place}: {character!r} before a hexadecimal digit is not supported")
    too_large = isinstance(value, int) and abs(value) > MAX_INTEGER
    if too_large or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidRequest(FIELD, f"{place}: the number is too large; at most 2^53, or a finite double")


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
