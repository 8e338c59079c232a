"""Compares the installed TensorRT-LLM with the names that this engine is written for.

`python -m headrace.engine.trtllm.contract` prints the differences, one a line. Exit code 0: none, 1: some,
2: skipped, because tensorrt_llm is not installed.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from headrace.engine.trtllm import api
from headrace.errors import EngineNotInstalled

NOT_INSTALLED = "tensorrt_llm is not installed"
_SCALARS = (bool, int, float, str, type(None))


@dataclasses.dataclass(frozen=True)
class _Found:
    default: Any
    status: str = "stable"


def differences() -> list[str]:
    """One line for each difference; empty when the installed package is as expected.

    Raises `EngineNotInstalled` where there is none.
    """
    try:
        package = import_module("tensorrt_llm")
        llmapi = import_module("tensorrt_llm.llmapi")
        llm_args = import_module("tensorrt_llm.llmapi.llm_args")
    except ImportError:
        raise EngineNotInstalled(NOT_INSTALLED) from None
    lines = [*_version(package), *_methods(package.LLM, llmapi.RequestOutput), *_errors(llmapi)]
    lines += _compare("LLM.__init__", _model_fields(llm_args.TorchLlmArgs))
    lines += _compare("LLM.generate_async", _arguments(package.LLM.generate_async))
    lines += _compare("SamplingParams", _dataclass_fields(package.SamplingParams))
    lines += _compare("GuidedDecodingParams", _dataclass_fields(llmapi.GuidedDecodingParams))
    lines += _compare("CompletionOutput", _dataclass_fields(llmapi.CompletionOutput))
    for section in api.NESTED.values():
        lines += _compare(section, _model_fields(getattr(llmapi, section)))
    return lines


def _version(package: Any) -> Iterator[str]:
    found = str(package.__version__).split("+")[0]
    if found != api.VERSION:
        yield f"version: expected {api.VERSION}, found {found}"


def _methods(llm: type, request_output: type) -> Iterator[str]:
    wanted = (("LLM", llm, "LLM.methods"), ("RequestOutput", request_output, "RequestOutput.methods"))
    for owner, found, section in wanted:
        for name in api.names(section):
            if not callable(getattr(found, name, None)):
                yield f"{owner}.{name}: missing"


def _errors(llmapi: Any) -> Iterator[str]:
    for name in api.names("llmapi.errors"):
        found = getattr(llmapi, name, None)
        if not (isinstance(found, type) and issubclass(found, Exception)):
            yield f"llmapi.{name}: missing"


def _compare(section: str, found: Mapping[str, _Found]) -> Iterator[str]:
    known = api.parameters(section)
    for name, parameter in known.items():
        if name not in found:
            if parameter.certain:
                yield f"{section}: {name} is missing"
        else:
            yield from _compare_one(section, parameter, found[name])
    for name in found:
        if name not in known:
            yield f"{section}: {name} is new"


def _compare_one(section: str, parameter: api.Parameter, found: _Found) -> Iterator[str]:
    wanted = parameter.default
    # Defaults that are objects upstream stand as text in the facts: only plain values can be compared.
    comparable = isinstance(found.default, _SCALARS) and isinstance(wanted, _SCALARS)
    if comparable and parameter.certain and not parameter.default_in and found.default != wanted:
        yield f"{section}: {parameter.name} defaults to {found.default!r}, expected {wanted!r}"
    if parameter.status == "stable" != found.status:
        yield f"{section}: {parameter.name} is {found.status}, expected stable"


def _arguments(function: Any) -> dict[str, _Found]:
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: _Found(api.REQUIRED if p.default is p.empty else p.default) for p in parameters if p.name != "self"
    }


def _dataclass_fields(found: Any) -> dict[str, _Found]:
    return {
        f.name: _Found(f.default if f.default is not dataclasses.MISSING else api.REQUIRED)
        if f.default_factory is dataclasses.MISSING
        else _Found(f.default_factory)
        for f in dataclasses.fields(found)
        if f.init and not f.name.startswith("_")
    }


def _model_fields(found: Any) -> dict[str, _Found]:
    """A pydantic model's. Upstream notes a field's stability in its JSON schema's extras."""
    return {
        name: _Found(
            api.REQUIRED if f.is_required() else f.get_default(call_default_factory=False),
            (f.json_schema_extra or {}).get("status", "stable"),
        )
        for name, f in found.model_fields.items()
    }


def main() -> int:
    try:
        lines = differences()
    except EngineNotInstalled as error:
        print(f"skipped: {error}")
        return 2
    print("\n".join(lines) or f"tensorrt_llm {api.VERSION} is as expected")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
