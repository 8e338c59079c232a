"""Triton's messages and stubs for gRPC, without the rest of NVIDIA's client: that brings numpy, some 20 MB."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

_PACKAGE = "tritonclient.grpc"


def _generated(name: str) -> ModuleType:
    """One of the package's modules of generated code, though the package itself is not run."""
    if _PACKAGE in sys.modules:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"{_PACKAGE} is not installed; run make setup", name=_PACKAGE)
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    finally:
        del sys.modules[_PACKAGE]  # who imports it gets all of it


model_config_pb2: Any = _generated("model_config_pb2")
service_pb2: Any = _generated("service_pb2")
service_pb2_grpc: Any = _generated("service_pb2_grpc")
