"""The smallest JSON value that a schema allows, for the engine that has no grammar of its own."""

from __future__ import annotations

from typing import Any

_SMALLEST: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "null": None}


def smallest(schema: dict[str, Any]) -> Any:
    """Of a schema that `headrace.engine.json_schema` let through."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0])
    match schema["type"]:
        case "object":
            properties = schema.get("properties", {})
            return {name: smallest(properties[name]) for name in schema.get("required", ())}
        case "array":
            return [smallest(schema["items"]) for _ in range(schema.get("minItems", 0))]
        case "string":
            return "x" * schema.get("minLength", 0)
        case simple:
            return _SMALLEST[simple]
