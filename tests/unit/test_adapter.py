"""What the steps share, with a stand-in for the module that exists only inside Triton's stub."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from headrace.errors import InvalidRequest, QueueFull
from headrace.triton import tensors


class TritonError(Exception):
    INVALID_ARG, UNAVAILABLE, INTERNAL = "invalid argument", "unavailable", "internal"

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    backend = SimpleNamespace(TritonError=TritonError, InferenceResponse=lambda error: error)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)
    before = structlog.get_config()
    yield import_module("headrace.triton.adapter")
    structlog.configure(**before)
    del sys.modules["headrace.triton.adapter"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InvalidRequest("top_p", "must be at most 1"), "invalid argument", "top_p: must be at most 1"),
        (QueueFull("the engine is full"), "unavailable", "the engine is full [QUEUE_FULL]"),
        (IndexError("list index out of range"), "internal", "internal error; see the server's log [INTERNAL]"),
    ],
)
def test_an_error_has_its_code_and_a_defect_tells_nothing(
    adapter: Any, error: Exception, code: str, message: str
) -> None:
    told = adapter.error_response(error)
    assert (told.code, str(told)) == (code, message)


def test_a_defect_is_one_line_of_the_log(adapter: Any, capsys: pytest.CaptureFixture[str]) -> None:
    adapter.error_response(InvalidRequest("top_p", "must be at most 1"))
    adapter.error_response(IndexError("list index out of range"))
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["level"], event["message"]) == ("error", "defect in a step")
    assert "IndexError: list index out of range" in event["exception"]


def test_one_request_that_fails_disturbs_no_other_of_its_batch(adapter: Any) -> None:
    adapter.pb_utils.InferenceResponse = lambda outputs=None, error=None: error or outputs
    adapter.pb_utils.Tensor = lambda name, value: (name, value.tolist())
    adapter.pb_utils.get_input_tensor_by_name = lambda request, name: request.get(name)

    def answer(get: Any) -> Any:
        if get("bad") is not None:
            raise InvalidRequest("bad", "left out, please")
        return {"out": tensors.row([1, 2], "int32")}

    bad = SimpleNamespace(as_numpy=lambda: [True])
    first, second, third = adapter.answer_each([{}, {"bad": bad}, {}], answer)
    assert first == third == [("out", [[1, 2]])]
    assert str(second) == "bad: left out, please"


class Request:
    def __init__(self, request_id: bytes) -> None:
        self._id = request_id

    def request_id(self) -> str:
        return self._id.decode()


def test_a_request_id(adapter: Any) -> None:
    assert adapter.request_id(Request("naïve".encode())) == "naïve"
    with pytest.raises(InvalidRequest, match=r"^id: not valid UTF-8"):
        adapter.request_id(Request(b"a\xff"))
    with pytest.raises(InvalidRequest, match=r"^id: 1025 characters, at most 1024"):
        adapter.request_id(Request(b"a" * 1025))
