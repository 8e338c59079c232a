from __future__ import annotations

from headrace.serving.first_errors import FirstErrors

# As Triton 2.51 prints them.
START = "2026-11-24T00:17:46Z "
NOISE = START + 'E 26 server.cc:241] "CudaDriverHelper has not been initialized."'
STUB = START + (
    'E 26 backend_model.cc:692] "ERROR: Failed to create instance: ModuleNotFoundError: No module named '
    "'nothing_there'\\n\\nAt:\\n  /backends/postprocess/model.py(1): <module>\\n\""
)
LOAD = START + (
    "E 26 model_lifecycle.cc:642] \"failed to load 'postprocess' version 1: Internal: ModuleNotFoundError: "
    "No module named 'nothing_there'\\n\\nAt:\\n  /backends/postprocess/model.py(1): <module>\\n\""
)
ENSEMBLE = START + (
    "E 26 model_repository_manager.cc:703] \"Invalid argument: ensemble 'completion' depends on 'postprocess' "
    'which has no loaded version."'
)
END = "error: creating server: Internal - failed to load all models"


def cause(*lines: str) -> str | None:
    errors = FirstErrors()
    for line in lines:
        errors.add(line)
    return errors.cause()


def test_the_model_that_could_not_be_loaded_is_named_with_its_reason() -> None:
    reason = "ModuleNotFoundError: No module named 'nothing_there'"
    expected = f"failed to load 'postprocess' version 1: Internal: {reason}"
    assert cause(NOISE, STUB, LOAD, ENSEMBLE, END) == expected
    table = ["| postprocess | UNAVAILABLE |"] * 500
    assert cause(NOISE, STUB, LOAD, *table, *[ENSEMBLE] * 200, END) == expected


def test_without_such_a_line_the_first_error_that_means_something() -> None:
    poll = START + "E 26 model_repository_manager.cc:1460] \"Poll failed for model directory 'preprocess'\""
    assert cause(NOISE, poll, ENSEMBLE, END) == "Poll failed for model directory 'preprocess'"
    assert cause(NOISE, END) == END
    assert cause(NOISE, START + 'I 26 server.cc:1] "failed to load nothing"') is None
