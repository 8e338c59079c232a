"""What Triton says of itself and of the public models; of the others nobody hears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from headrace import __version__
from headrace.client import PUBLIC_MODELS, STREAM_MODEL, Client
from headrace.client.protocol import service_pb2
from headrace.errors import NotFound
from headrace.gateway.metrics import Hits

VERSION = "1"
BACKEND = "headrace"
_EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics", "generate")


class About:
    """Every answer is one of Triton's messages."""

    def __init__(self, client: Client, hits: Mapping[str, Hits], seconds: float = 5.0) -> None:
        """`hits`: by public model."""
        self._client = client
        self._hits = hits
        self._seconds = seconds

    def server(self) -> Any:
        return service_pb2.ServerMetadataResponse(name="headrace", version=__version__, extensions=_EXTENSIONS)

    async def metadata(self, model: str, version: str = "") -> Any:
        """Raises `NotFound`, `Unavailable`."""
        _check(model, version)
        request = service_pb2.ModelMetadataRequest(name=model)
        found = await self._client.ask("ModelMetadata", request, self._seconds)
        found.platform = BACKEND
        return found

    async def config(self, model: str, version: str = "") -> Any:
        """Raises `NotFound`, `Unavailable`."""
        _check(model, version)
        request = service_pb2.ModelConfigRequest(name=model)
        found = await self._client.ask("ModelConfig", request, self._seconds)
        _as_one_model(found.config)
        return found

    async def statistics(self, model: str = "", version: str = "") -> Any:
        """Of one model, or of both, with what was answered without Triton. Raises `NotFound`, `Unavailable`."""
        if model:
            _check(model, version)
        found = service_pb2.ModelStatisticsResponse()
        for name in (model,) if model else PUBLIC_MODELS:
            request = service_pb2.ModelStatisticsRequest(name=name)
            found.MergeFrom(await self._client.ask("ModelStatistics", request, self._seconds))
        for one in found.model_stats:
            _add_hits(one.inference_stats, self._hits[one.name])
        return found


def _add_hits(statistics: Any, hits: Hits) -> None:
    """As Triton counts those of its own cache. perf_analyzer refuses a model whose statistics stand still."""
    for part in (statistics.success, statistics.queue, statistics.cache_hit):
        part.count += hits.count
    for part in (statistics.success, statistics.cache_hit):
        part.ns += round(hits.seconds * 1e9)


def _as_one_model(config: Any) -> None:
    """Without its steps: nobody may ask about them, and perf_analyzer would. Whether it is decoupled, which Triton
    leaves to the steps, is said here.
    """
    config.ClearField("ensemble_scheduling")
    config.ClearField("platform")
    config.backend = BACKEND
    config.model_transaction_policy.decoupled = config.name == STREAM_MODEL


def _check(model: str, version: str) -> None:
    if model not in PUBLIC_MODELS or version not in {"", VERSION}:
        raise NotFound(f"model: there is no model {model[:100]!r} of version {version[:20] or VERSION!r}")


def as_json(message: Message) -> dict[str, Any]:
    """With the fields' own names, numbers as numbers, and zeros too, as Triton's HTTP writes them."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: Any, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _single(entry, value[key]) for key in value}
    if isinstance(value, str | bytes | int | float | Message):
        return _single(field, value)
    return [_single(field, item) for item in value]


def _single(field: Any, value: Any) -> Any:
    if isinstance(value, Message):
        return as_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
