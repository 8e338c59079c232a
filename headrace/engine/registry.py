"""Engines by name. A module is imported only when its engine is chosen, so absent packages hurt no one else."""

from __future__ import annotations

from importlib import import_module

from headrace.engine.interface import Engine
from headrace.errors import ConfigError

ENGINES = {
    "openvino": ("headrace.engine.openvino", "OpenVinoEngine"),
    "mock": ("headrace.engine.mock", "MockEngine"),
    "trtllm": ("headrace.engine.trtllm", "TrtLlmEngine"),
}


def create(name: str) -> Engine:
    """A new engine that has not been started."""
    try:
        module, class_name = ENGINES[name]
    except KeyError:
        raise ConfigError(f"engine.name: {name!r} is unknown; choose one of {', '.join(ENGINES)}") from None
    engine: Engine = getattr(import_module(module), class_name)()
    return engine
