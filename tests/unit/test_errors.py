"""Every error says one thing in three languages: gRPC, HTTP and OpenAI's."""

from __future__ import annotations

import grpc
import pytest

from headrace import client, config, errors  # noqa: F401 - any of our modules may add an error
from headrace.build import manifest  # noqa: F401
from headrace.errors import HeadraceError


def _tree(root: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [root, *(error for child in root.__subclasses__() for error in _tree(child))]


CASES = {
    "HeadraceError": ("INTERNAL", 500, "server_error"),
    "InvalidRequest": ("INVALID_ARGUMENT", 400, "invalid_request_error"),
    "IdTaken": ("INVALID_ARGUMENT", 400, "invalid_request_error"),
    "TooLarge": ("INVALID_ARGUMENT", 413, "invalid_request_error"),
    "PromptTooLong": ("INVALID_ARGUMENT", 400, "invalid_request_error"),
    "TooSlow": ("INVALID_ARGUMENT", 408, "invalid_request_error"),
    "WrongMediaType": ("INVALID_ARGUMENT", 415, "invalid_request_error"),
    "NotFound": ("NOT_FOUND", 404, "not_found_error"),
    "Unauthenticated": ("UNAUTHENTICATED", 401, "authentication_error"),
    "Forbidden": ("PERMISSION_DENIED", 403, "permission_error"),
    "RateLimited": ("RESOURCE_EXHAUSTED", 429, "rate_limit_error"),
    "BudgetSpent": ("RESOURCE_EXHAUSTED", 429, "insufficient_quota"),
    "Overloaded": ("RESOURCE_EXHAUSTED", 429, "overloaded_error"),
    "DeadlineExceeded": ("DEADLINE_EXCEEDED", 504, "timeout_error"),
    "Unavailable": ("UNAVAILABLE", 503, "service_unavailable_error"),
    "TryLater": ("UNAVAILABLE", 503, "service_unavailable_error"),
    "EngineUnavailable": ("UNAVAILABLE", 503, "service_unavailable_error"),
    "QueueFull": ("UNAVAILABLE", 503, "service_unavailable_error"),
    "RequestCancelled": ("CANCELLED", 499, "request_cancelled"),
    "EngineFailed": ("INTERNAL", 500, "server_error"),
    "StartupError": ("INTERNAL", 500, "server_error"),
    "ConfigError": ("INTERNAL", 500, "server_error"),
    "EngineNotInstalled": ("INTERNAL", 500, "server_error"),
}
"""gRPC code, HTTP status and OpenAI error type."""


@pytest.mark.parametrize(("name", "meaning"), CASES.items())
def test_each_has_its_meaning_in_every_protocol(name: str, meaning: tuple[str, int, str]) -> None:
    error = getattr(errors, name)
    assert (error.grpc_code, error.http_status, error.openai_type) == meaning
    assert error.grpc_code in grpc.StatusCode.__members__


@pytest.mark.parametrize("error", _tree(HeadraceError), ids=lambda error: error.__name__)
def test_one_of_another_module_means_what_its_parent_means(error: type[HeadraceError]) -> None:
    """But for HTTP's status, of which it may have a more exact one."""
    parents = [parent for parent in error.__mro__ if parent.__name__ in CASES]
    code, status, kind = CASES[parents[0].__name__]
    assert (error.grpc_code, error.openai_type) == (code, kind)
    assert error.http_status == vars(error).get("http_status", status)


def test_no_error_is_without_a_case() -> None:
    own = {error.__name__ for error in _tree(HeadraceError) if error.__module__ == errors.__name__}
    assert own == CASES.keys()


def test_an_invalid_request_names_its_field() -> None:
    error = errors.InvalidRequest("top_p", "must be above 0")
    assert (error.field, str(error)) == ("top_p", "top_p: must be above 0")
