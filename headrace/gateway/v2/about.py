"""What Triton says of itself and of the public models; of the others nobody hears."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

from headrace import __version__
from headrace.client import PUBLIC_MODELS, Client
from headrace.errors import NotFound

VERSION = "1"
_EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics", "generate")


class About:
    """Every answer is one of Triton's messages."""

    def __init__(self, client: Client, seconds: float = 5.0) -> None:
        self._client = client
        self._seconds = seconds

    def server(self) -> Any:
        return service_pb2.ServerMetadataResponse(name="headrace", version=__version__, extensions=_EXTENSIONS)

    async def metadata(self, model: str, version: str = "") -> Any:
        """Raises `NotFound`, `Unavailable`."""
        _check(model, version)
        return await self._client.ask("ModelMetadata", service_pb2.ModelMetadataRequest(name=model), self._seconds)

    async def config(self, model: str, version: str = "") -> Any:
        """Raises `NotFound`, `Unavailable`."""
        _check(model, version)
        return await self._client.ask("ModelConfig", service_pb2.ModelConfigRequest(name=model), self._seconds)

    async def statistics(self, model: str = "", version: str = "") -> Any:
        """Of one model, or of both. Raises `NotFound`, `Unavailable`."""
        if model:
            _check(model, version)
        found = service_pb2.ModelStatisticsResponse()
        for name in (model,) if model else PUBLIC_MODELS:
            request = service_pb2.ModelStatisticsRequest(name=name)
            found.MergeFrom(await self._client.ask("ModelStatistics", request, self._seconds))
        return found


def _check(model: str, version: str) -> None:
    if model not in PUBLIC_MODELS or version not in {"", VERSION}:
        raise NotFound(f"model: there is no model {model[:100]!r} of version {version[:20] or VERSION!r}")


def as_json(message: Message) -> dict[str, Any]:
    """With the fields' own names and with numbers as numbers, as Triton's HTTP writes them."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _single(entry, value[key]) for key in value}
    if isinstance(value, str | bytes | int | float | Message):
        return _single(field, value)
    return [_single(field, item) for item in value]


def _single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return as_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
