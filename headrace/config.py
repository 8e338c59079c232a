"""The one configuration file, `headrace.yaml`: typed, unknown keys refused, env overrides.

Environment variables override the file: `HEADRACE_ENGINE__NAME=mock` sets `engine.name`. The ports can also be
set by plain names: `TRITON_HTTP_PORT`, `TRITON_GRPC_PORT`, `TRITON_METRICS_PORT`, `GATEWAY_PORT`,
`GATEWAY_GRPC_PORT`. A `HEADRACE_` name that is neither is refused.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from headrace import cpus, paths, yaml_file
from headrace.admission.config import AdmissionConfig
from headrace.audit.config import AuditConfig
from headrace.cost.prices import CostConfig
from headrace.errors import ConfigError
from headrace.gateway.config import GatewayConfig
from headrace.limits.config import LimitStoreConfig
from headrace.yaml_file import Document, Location, Section

ENV_PREFIX = "HEADRACE_"
CONFIG_FILE_ENV = "HEADRACE_CONFIG"
API_KEY_ENV = "HEADRACE_API_KEY"
OTHER_ENVS = (
    CONFIG_FILE_ENV,
    "HEADRACE_HOME",
    "HEADRACE_SOCKET",
    "HEADRACE_CANARY",
    "HEADRACE_GUARD_KEY",
    "HEADRACE_AUDIT_KEY",
    "HEADRACE_REDIS_URL",
    API_KEY_ENV,
)
"""Names with the prefix that set no key: this file, where things lie, the engine's socket in a running stack,
words of the system prompt that no answer may hold, the keys of the hashes of texts and of the audit log, where
Redis is, and as whom `headrace ask` asks the gateway."""
PORT_ENVS: dict[tuple[str, str], str] = {
    ("server", "http_port"): "TRITON_HTTP_PORT",
    ("server", "grpc_port"): "TRITON_GRPC_PORT",
    ("server", "metrics_port"): "TRITON_METRICS_PORT",
    ("gateway", "port"): "GATEWAY_PORT",
    ("gateway", "grpc_port"): "GATEWAY_GRPC_PORT",
}
"""Section and key of each port, and the plain name that sets it."""


# What Kubernetes puts into every container for each service whose name starts with `headrace`.
_KUBERNETES = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)?$")


class OpenVinoConfig(Section):
    """Settings of the embedded CPU engine (OpenVINO GenAI continuous batching)."""

    threads: int = Field(default_factory=cpus.available, ge=1)
    precision: Literal["auto", "bf16", "f32"] = "auto"
    """auto: bf16 where the CPU has it. f32 also turns dynamic quantization off, so that an answer does not
    depend on what else is in the batch; about half the speed."""
    kv_cache_gb: int = Field(1, ge=1)
    max_batch_tokens: int = Field(256, ge=16)
    """Tokens a step may compute: bounds how long a long prompt holds up running answers and cancels. Fewer make
    shorter steps and less throughput; docs/benchmarks.md has what each gives."""
    prefix_cache: bool = True
    prompt_lookup_tokens: int = Field(0, ge=0, le=16)
    """Draft tokens by prompt lookup; 0 turns speculation off. With it, `min_tokens` is refused."""
    prompt_lookup_ngram: int = Field(3, ge=1, le=8)


class MockConfig(Section):
    """Settings of the deterministic engine without a model."""

    first_token_ms: float = Field(0.0, ge=0)
    step_ms: float = Field(1.0, ge=0)
    tokens_per_step: int = Field(1, ge=1)
    answer_tokens: int = Field(0, ge=0)
    """After how many tokens an answer ends of itself; 0: only `max_tokens` ends it."""
    fail_on_token: int | None = Field(None, ge=0)
    """Breaks the engine when a prompt holds this token id: for drills."""


class TrtLlmConfig(Section):
    """Engine-neutral settings of TensorRT-LLM; `trtllm` passes the rest through, names checked."""

    tensor_parallel: int = Field(1, ge=1)
    pipeline_parallel: int = Field(1, ge=1)
    dtype: Literal["auto", "bfloat16", "float16"] = "auto"
    kv_cache_memory_fraction: float = Field(0.9, gt=0, le=1)
    kv_cache_dtype: Literal["auto", "fp8"] = "auto"
    prefix_cache: bool = True
    max_batch_tokens: int = Field(8192, ge=16)
    sampler: Literal["TRTLLMSampler", "TorchSampler"] = "TRTLLMSampler"
    """Release 1.2's TorchSampler takes penalties and seeds but does not apply them: with it, such requests
    are refused."""
    trtllm: dict[str, Any] = Field(default_factory=dict)
    """Further keyword arguments of `tensorrt_llm.LLM`, checked against the names of the pinned release."""
    allow_unstable: tuple[str, ...] = ()
    """Names of beta or prototype arguments that `trtllm` may use: they may change in any release."""
    allow_remote_code: bool = False
    """Lets `trtllm` set `trust_remote_code`: Python code in the model's folder then runs in the engine."""


class EngineConfig(Section):
    name: Literal["openvino", "mock", "trtllm"] = "openvino"
    model: Path = Field(default_factory=paths.default_model)
    """Folder with tokenizer.json, tokenizer_config.json and what the engine loads."""
    python: Path | None = None
    """Interpreter of the worker, where the engine needs packages that Triton's steps cannot have (numpy 2 for
    GPU stacks). It must be able to import `headrace`. None: the one that runs the stack."""
    max_running: int = Field(16, ge=1)
    """Requests in one batch."""
    max_waiting: int = Field(128, ge=0)
    """Requests that may wait for a place in the batch; one more is refused."""
    openvino: OpenVinoConfig = Field(default_factory=OpenVinoConfig)
    mock: MockConfig = Field(default_factory=MockConfig)
    trtllm: TrtLlmConfig = Field(default_factory=TrtLlmConfig)


class CoalescingConfig(Section):
    """How many tokens travel in one response. The first token always goes at once."""

    max_tokens: int = Field(8, ge=1)
    max_delay_ms: float = Field(250.0, ge=0)
    """Between two departures of what has gathered, of all streams together."""


class LimitsConfig(Section):
    """What one request may ask for."""

    max_prompt_bytes: int = Field(262_144, ge=1)
    max_prompt_tokens: int = Field(4096, ge=1)
    max_output_tokens: int = Field(2048, ge=1)
    default_output_tokens: int = Field(256, ge=1)
    max_messages: int = Field(256, ge=1)
    max_stop_words: int = Field(1024, ge=0)
    max_stop_bytes: int = Field(16_384, ge=1)
    """Of all stop words of a request together."""
    max_schema_bytes: int = Field(16_384, ge=2)


class ServerConfig(Section):
    """The Triton Inference Server."""

    host: str = "127.0.0.1"
    http_port: int = Field(8000, ge=1, le=65535)
    grpc_port: int = Field(8001, ge=1, le=65535)
    metrics_port: int = Field(8002, ge=1, le=65535)
    response_cache_mb: int = Field(64, ge=1)
    unready_seconds: float = Field(2.0, ge=0)
    """At the end: how long to go on serving once readiness is withdrawn, so that balancers look elsewhere. Triton
    needs up to a second of it to say so."""
    drain_seconds: float = Field(30.0, ge=0)
    """At the end: how long running requests may take to finish, while new ones are refused."""
    start_seconds: float = Field(120.0, gt=0)
    settled_seconds: float = Field(30.0, ge=0)
    """A part that served this long is restarted at once when it dies; after 8 shorter services in a row the stack
    gives up. Loading does not count."""
    probe_seconds: float = Field(10.0, gt=0)
    """Between two inferences of the supervisor, to see whether the stack lives, and how long one may take."""

    @model_validator(mode="after")
    def _distinct_ports(self) -> ServerConfig:
        ports = (self.http_port, self.grpc_port, self.metrics_port)
        if len(set(ports)) != len(ports):
            raise ValueError(f"http_port, grpc_port and metrics_port must differ, got {ports}")
        return self


class GuardConfig(Section):
    """The safety filters."""

    policy: Path = paths.PROJECT / "policy.yaml"
    """What they do: docs/guardrails.md. Read anew when it changes."""


class Config(BaseSettings):
    """The whole of `headrace.yaml`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__"
    )

    profile: Literal["cpu", "h100"] = "cpu"
    """Which `configs/<profile>.pbtxt` Triton reads (`--model-config-name`)."""
    server: ServerConfig = Field(default_factory=ServerConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    coalescing: CoalescingConfig = Field(default_factory=CoalescingConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    guard: GuardConfig = Field(default_factory=GuardConfig)
    gateway: GatewayConfig = Field(default_factory=GatewayConfig)
    admission: AdmissionConfig = Field(default_factory=AdmissionConfig)
    limit_store: LimitStoreConfig = Field(default_factory=LimitStoreConfig)
    audit: AuditConfig = Field(default_factory=AuditConfig)
    cost: CostConfig = Field(default_factory=CostConfig)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(path: Path | None = None) -> Config:
    """Read the configuration: `path`, else $HEADRACE_CONFIG, else headrace.yaml of the project if present.

    Raises `ConfigError` that names the file and the key, or the environment variable.
    """
    _refuse_misspelt(os.environ)
    named = path or (Path(os.environ[CONFIG_FILE_ENV]) if os.environ.get(CONFIG_FILE_ENV) else None)
    file = named or paths.PROJECT / "headrace.yaml"
    document = _read(file, must_exist=named is not None)
    values = dict(document.values)
    for (section, key), env in PORT_ENVS.items():
        if os.environ.get(env) and isinstance(said := values.get(section), dict | None):
            values[section] = (said or {}) | {key: os.environ[env]}
    try:
        return Config(**values)
    except ValidationError as error:
        raise replace(document, places=document.places | _overrides()).errors(error) from None
    except SettingsError as error:
        raise ConfigError(_not_json(os.environ) or str(error)) from None


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """An override whose name sets nothing would be ignored in silence."""
    settings = {_env(key): dict in kinds for key, kinds in _keys(Config)}
    for name, value in environment.items():
        key = name.upper()  # pydantic does not mind the case
        if not key.startswith(ENV_PREFIX) or name in OTHER_ENVS or key in settings:
            continue
        if any(open_ended and key.startswith(f"{mapping}__") for mapping, open_ended in settings.items()):
            continue
        if _KUBERNETES.search(name) and (not name.endswith("_PORT") or "://" in value):
            continue
        known = {name.removeprefix(ENV_PREFIX): name for name in (*settings, *OTHER_ENVS)}
        near = difflib.get_close_matches(key.removeprefix(ENV_PREFIX), known, n=1)
        hint = f"did you mean {known[near[0]]}?" if near else "see headrace/config.py for the keys"
        raise ConfigError(f"${name}: sets no key of the configuration; {hint}")


def _not_json(environment: Mapping[str, str]) -> str | None:
    """Which variable is a word where pydantic wants JSON; it does not say it itself."""
    settings = list(_keys(Config))
    for key, kinds in settings:
        within = next((_env(other) for other, _ in settings if other[:-1] == key), None)
        hint = f"is a section: set its keys, such as {within}" if within else "is not one word: give it as JSON"
        for name, value in environment.items():
            if name.upper() == _env(key) and (within or kinds & {dict, tuple}) and not _is_json(value):
                return f"${name}: {'.'.join(map(str, key))} {hint}; got {value!r}"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _keys(section: type[BaseModel], around: Location = ()) -> Iterator[tuple[Location, set[Any]]]:
    """Every key that may be set, sections among them, and its types; below a `dict` any name may stand."""
    for name, field in section.model_fields.items():
        key = (*around, name)
        kinds = {get_origin(kind) or kind for kind in (field.annotation, *get_args(field.annotation))}
        yield key, kinds
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, key)


def _env(key: Location) -> str:
    return ENV_PREFIX + "__".join(map(str, key)).upper()


def _overrides() -> dict[Location, str]:
    """What the environment says instead of the file, so that an error does not blame the file."""
    found: dict[Location, str] = {}
    for name in os.environ:
        if name.startswith(ENV_PREFIX):
            found[tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))] = f"${name}"
    return found | {place: f"${name}" for place, name in PORT_ENVS.items() if os.environ.get(name)}


def _read(file: Path, must_exist: bool) -> Document:
    try:
        document = yaml_file.read(file)
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{file}: no such file; give a headrace.yaml that exists") from None
        return Document(file, {}, {})
    values = {} if document.values is None else document.values
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{file}: expected a mapping of sections, got {type(values).__name__}")
    return replace(document, values=values)
