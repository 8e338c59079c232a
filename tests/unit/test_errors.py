"""Every error says one thing in three languages: gRPC, HTTP and OpenAI's."""

from __future__ import annotations

import grpc
import pytest

from headrace import client, config, errors  # noqa: F401 - any of our modules may add an error
from headrace.build import manifest  # noqa: F401
from headrace.errors import HeadraceError

# gRPC code → HTTP status and OpenAI error type.
MEANINGS = {
    "INVALID_ARGUMENT": (400, "invalid_request_error"),
    "CANCELLED": (499, "request_cancelled"),
    "UNAVAILABLE": (503, "service_unavailable_error"),
    "INTERNAL": (500, "server_error"),
}


def _tree(root: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [root, *(error for child in root.__subclasses__() for error in _tree(child))]


CASES = {
    "HeadraceError": "INTERNAL",
    "InvalidRequest": "INVALID_ARGUMENT",
    "IdTaken": "INVALID_ARGUMENT",
    "Unavailable": "UNAVAILABLE",
    "EngineUnavailable": "UNAVAILABLE",
    "QueueFull": "UNAVAILABLE",
    "RequestCancelled": "CANCELLED",
    "EngineFailed": "INTERNAL",
    "StartupError": "INTERNAL",
    "ConfigError": "INTERNAL",
    "EngineNotInstalled": "INTERNAL",
}


@pytest.mark.parametrize("error", _tree(HeadraceError), ids=lambda error: error.__name__)
def test_each_means_the_same_in_every_protocol(error: type[HeadraceError]) -> None:
    assert error.grpc_code in grpc.StatusCode.__members__
    assert (error.http_status, error.openai_type) == MEANINGS[error.grpc_code]


@pytest.mark.parametrize(("name", "grpc_code"), CASES.items())
def test_each_has_its_code(name: str, grpc_code: str) -> None:
    assert getattr(errors, name).grpc_code == grpc_code


def test_no_error_is_without_a_case() -> None:
    own = {error.__name__ for error in _tree(HeadraceError) if error.__module__ == errors.__name__}
    assert own == CASES.keys()


def test_an_invalid_request_names_its_field() -> None:
    error = errors.InvalidRequest("top_p", "must be above 0")
    assert (error.field, str(error)) == ("top_p", "top_p: must be above 0")
