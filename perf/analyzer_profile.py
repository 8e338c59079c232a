"""The profiles of `perf/profiles/`, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from headrace import yaml_file
from headrace.yaml_file import Section

_FOLDER = Path(__file__).resolve().parent / "profiles"
PROFILES = _FOLDER / "perf_analyzer.yaml"
GATEWAY_PROFILES = _FOLDER / "perf_analyzer_gateway.yaml"


class Profile(Section):
    """One way to put load on one model."""

    model: Literal["assistant", "assistant_stream", "completion"]
    protocol: Literal["grpc", "http"]
    streaming: bool = False
    prompts: Literal["distinct", "same"]
    prompt_tokens: int = Field(ge=1)
    new_tokens: int = Field(ge=1)
    concurrency: tuple[int, ...] = Field(min_length=1)
    requests: int = Field(ge=1, le=100_000)
    """In one run."""

    @model_validator(mode="after")
    def _possible(self) -> Profile:
        if self.streaming != (self.model == "assistant_stream"):
            raise ValueError("streaming: true goes with assistant_stream, and only with it")
        if self.streaming and self.protocol == "http":
            raise ValueError("perf_analyzer streams over grpc only")
        if max(self.concurrency) > self.requests:
            raise ValueError(f"{self.requests} requests cannot keep {max(self.concurrency)} places busy")
        return self


def load_profiles(file: Path = PROFILES) -> dict[str, Profile]:
    """By name. Raises `ConfigError` that names the profile and the key."""
    return yaml_file.read_as(file, dict[str, Profile])
