"""No schema that passes the check may harm the engine: one that its compiler refuses ends it for everybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.config import EngineConfig, OpenVinoConfig
from headrace.engine.interface import EngineRequest, SamplingParams
from headrace.engine.json_schema import check_schema
from headrace.engine.openvino import OpenVinoEngine
from headrace.errors import InvalidRequest

MAX_BYTES = 16_384
PROMPT = (504, 3575, 282, 4649, 314)
COMPILE_SECONDS = 10.0
"""Every request waits while a schema is compiled."""


class Engine:
    """The real engine and its event loop, started again after it broke."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._count = 0
        self._start()

    def _start(self) -> None:
        self._engine = OpenVinoEngine()
        self._runner.run(self._engine.start(EngineConfig(openvino=OpenVinoConfig(precision="f32"))))

    def generate(self, schema: str) -> None:
        """Two tokens of an answer in this form. Raises what the engine raises."""
        self._count += 1
        request = EngineRequest(
            id=str(self._count), token_ids=PROMPT, sampling=SamplingParams(max_tokens=2, json_schema=schema)
        )

        async def run() -> None:
            async with asyncio.timeout(COMPILE_SECONDS):
                async for _ in self._engine.submit(request):
                    pass

        try:
            self._runner.run(run())
        except Exception:
            self._runner.run(self._engine.stop())
            self._start()
            raise

    def close(self) -> None:
        self._runner.run(self._engine.stop())
        self._runner.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


# Every way to write a value that has ever been trouble, beside plain ones.
strings = st.one_of(
    st.sampled_from(["", "a", "é0", 'a"b', "a\\b", "a\nb", "\0", "\x1b", "\u2028", "👩‍👧"]), st.text(max_size=4)
)
numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -0.0, 1e308, 2**63]))
scalars = st.one_of(st.none(), st.booleans(), numbers, strings)
counts = st.one_of(st.integers(0, 12), st.integers(0, 1000))


def _with_children(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(strings, inner, max_size=4)
    objects = st.builds(
        lambda properties, required, more: {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:required],
            **more,
        },
        properties,
        st.integers(0, 4),
        st.fixed_dictionaries(
            {}, optional={"additionalProperties": st.booleans() | inner, "description": scalars}
        ),
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner}, optional={"minItems": counts, "maxItems": counts}
    )
    return st.one_of(objects, arrays, st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}))


schemas = st.recursive(
    st.one_of(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["string", "integer", "number", "boolean", "null", "object"])},
            optional={"minLength": counts, "maxLength": counts, "default": scalars, "title": strings},
        ),
        st.fixed_dictionaries({"const": scalars}),
        st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=5)}),
    ),
    _with_children,
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(schema=schemas)
def test_whatever_passes_the_check_is_taken_by_the_real_engine(engine: Engine, schema: dict[str, Any]) -> None:
    try:
        checked = check_schema(json.dumps(schema), MAX_BYTES)
    except InvalidRequest:
        return
    engine.generate(checked)


array_of_numbers = {"type": "array", "items": {"type": "number"}, "minItems": 10, "maxItems": 1000}
# Each of these ended the engine, or held it up for minutes.
HARMFUL = {
    "NaN": '{"const": NaN}',
    "infinity in an enum": '{"enum": [1, -Infinity]}',
    "a number beyond doubles": '{"const": 1e999}',
    "NaN in a note": '{"type": "string", "default": NaN}',
    "half a surrogate pair": r'{"const": "\ud800"}',
    "half a surrogate pair in a name": r'{"type": "object", "properties": {"\udc00": {"type": "null"}}}',
    "a quote in a name": r'{"type": "object", "properties": {"a\"b": {"type": "null"}}}',
    "a line break in a name": r'{"type": "object", "properties": {"a\nb": {"type": "null"}}}',
    "NUL in a name": r'{"type": "object", "properties": {"a\u0000b": {"type": "null"}}}',
    "an integer of 400 digits": '{"const": 1%s}' % ("0" * 400),
    "one that a double cannot hold": '{"enum": [12345678901234567890]}',
    "150 long arrays": json.dumps(
        {"type": "object", "properties": {f"p{n}": array_of_numbers for n in range(150)}}
    ),
    "250 long strings": json.dumps(
        {"anyOf": [{"type": "string", "minLength": n, "maxLength": n + 500} for n in range(250)]}
    ),
    "a list as a type": '{"type": ["string", "null"]}',
    "a list as a required name": '{"type": "object", "properties": {}, "required": [[]]}',
    "100 levels": '{"type":"array","items":' * 100 + '{"type":"null"}' + "}" * 100,
}


@pytest.mark.parametrize("schema", HARMFUL.values(), ids=HARMFUL)
def test_a_harmful_schema_is_refused(schema: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_schema(schema, MAX_BYTES)
    assert caught.value.field == "response_format"


def test_notes_do_not_reach_the_compiler() -> None:
    """It never came back from a `default` of 400 digits."""
    schema = '{"type": "object", "properties": {"title": {"type": "null", "default": 1%s}}}' % ("0" * 400)
    assert json.loads(check_schema(schema, MAX_BYTES)) == {
        "type": "object",
        "properties": {"title": {"type": "null"}},
    }


@pytest.mark.parametrize("name", ["é0", "ÿf", "a\\b", "\x7f0"])
def test_a_name_that_the_compiler_would_change_is_refused(name: str) -> None:
    """Measured: where the schema says "é0", it answers with the one character U+0E90."""
    schema = {"type": "object", "properties": {name: {"type": "null"}}}
    with pytest.raises(InvalidRequest, match=r"response_format: .*is not supported"):
        check_schema(json.dumps(schema), MAX_BYTES)
