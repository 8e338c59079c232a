"""One tree of errors. Each class maps to one gRPC code, one HTTP status and one OpenAI error type."""

from __future__ import annotations


class HeadraceError(Exception):
    """Base of every error that a user may see. The message says what to do."""

    grpc_code: str = "INTERNAL"
    http_status: int = 500
    openai_type: str = "server_error"
    openai_code: str | None = None
    """What programs look at in OpenAI's errors."""
    retry_after: float | None = None
    """Seconds after which the same request may be sent again; None: nobody knows."""
    public: str | None = "the service failed at this request; tell those who run it"
    """What a gateway tells its clients instead of the message, which may name what is inside: addresses, paths,
    other people's words. None: the message itself, which is for them."""


class InvalidRequest(HeadraceError):
    """The request cannot be served as it is. Names the field that is wrong."""

    grpc_code = "INVALID_ARGUMENT"
    http_status = 400
    openai_type = "invalid_request_error"
    public = None

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class IdTaken(InvalidRequest):
    """A live request already has this id."""

    def __init__(self, request_id: str) -> None:
        super().__init__("id", f"a request {request_id!r} is already running; give each its own id")


class TooLarge(InvalidRequest):
    """The request is bigger than may be sent."""

    http_status = 413


class PromptTooLong(InvalidRequest):
    """More tokens than there is room for."""

    openai_code = "context_length_exceeded"


class TooSlow(InvalidRequest):
    """The request did not come in the time that it may take."""

    http_status = 408


class WrongMediaType(InvalidRequest):
    """The body is of a kind that this address does not read."""

    http_status = 415


class NotFound(HeadraceError):
    """Nothing of this name is served."""

    grpc_code = "NOT_FOUND"
    http_status = 404
    openai_type = "not_found_error"
    openai_code = "model_not_found"
    public = None


class Unauthenticated(HeadraceError):
    """Who asks is not known."""

    grpc_code = "UNAUTHENTICATED"
    http_status = 401
    openai_type = "authentication_error"
    openai_code = "invalid_api_key"
    public = None


class Forbidden(HeadraceError):
    """Who asks may not do so."""

    grpc_code = "PERMISSION_DENIED"
    http_status = 403
    openai_type = "permission_error"
    public = None


class RateLimited(HeadraceError):
    """A limit is reached; the same request may be sent after `retry_after` seconds."""

    grpc_code = "RESOURCE_EXHAUSTED"
    http_status = 429
    openai_type = "rate_limit_error"
    openai_code = "rate_limit_exceeded"
    public = None

    retry_after: float

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BudgetSpent(RateLimited):
    """The money of this period is spent, or would be."""

    openai_type = openai_code = "insufficient_quota"


class Overloaded(RateLimited):
    """More is asked than can be answered in time. Not 503: meshes take that for a broken replica."""

    openai_type = openai_code = "overloaded_error"


class DeadlineExceeded(HeadraceError):
    """There is no answer within the time that the client has, or cannot be."""

    grpc_code = "DEADLINE_EXCEEDED"
    http_status = 504
    openai_type = "timeout_error"
    public = None


class Unavailable(HeadraceError):
    """The service cannot answer now; the same request may work later."""

    grpc_code = "UNAVAILABLE"
    http_status = 503
    openai_type = "service_unavailable_error"
    public: str | None = "the service cannot answer this request now; send it again in a moment"
    retry_after: float

    def __init__(self, *said: object, retry_after: float = 1.0) -> None:
        super().__init__(*said)
        self.retry_after = retry_after


class TryLater(Unavailable):
    """The service cannot answer now, and tells its clients why."""

    public = None


class EngineUnavailable(Unavailable):
    """The engine worker is down, restarting or shutting down."""


class QueueFull(Unavailable):
    """The engine already holds as many requests as its limits allow."""


class RequestCancelled(HeadraceError):
    """The request was stopped before it had an answer."""

    grpc_code = "CANCELLED"
    http_status = 499
    openai_type = "request_cancelled"
    public = "the request was stopped before its answer was complete"


class EngineFailed(HeadraceError):
    """The engine broke while it worked on this request."""

    public = "the engine failed at this request; send it again"


class StartupError(HeadraceError):
    """Something that the platform needs is missing or wrong, so it does not start."""


class ConfigError(StartupError):
    """The configuration is not usable. Names the key."""


class EngineNotInstalled(StartupError):
    """The configured engine's package is absent. Says what to install."""
