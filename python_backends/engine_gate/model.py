"""A model that does nothing but load late: while it waits for the engine, Triton says it is not ready."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from headrace.errors import HeadraceError
from headrace.serving import gate


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        stop_file = gate.stop_file_of(Path(args["model_repository"]))
        try:
            gate.wait_for_engine(Path(os.environ["HEADRACE_SOCKET"]), stop_file)
        except HeadraceError as error:
            raise pb_utils.TritonModelException(str(error)) from None

    def execute(self, requests: list[Any]) -> list[Any]:
        error = pb_utils.TritonError("this model only tells readiness", pb_utils.TritonError.UNSUPPORTED)
        return [pb_utils.InferenceResponse(error=error) for _ in requests]
