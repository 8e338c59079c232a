"""`policy.yaml`: named policies that say what each rail's finding leads to, and how the rails are built.

A policy's version is a hash of what it and the section `rails` say, not of how it is written: comments and order
do not count.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from headrace import yaml_file
from headrace.errors import ConfigError
from headrace.yaml_file import Section

Action = Literal["allow", "flag", "redact", "block"]
Direction = Literal["prompt", "response"]
StreamMode = Literal["buffered", "windowed", "async"]
SEVERITY: dict[Action, int] = {"allow": 0, "flag": 1, "redact": 2, "block": 3}


class Thresholds(Section):
    """From which score on a category leads to what. The most severe one that is reached counts."""

    flag: float | None = Field(None, gt=0, le=1)
    """Noted in the verdict, nothing else."""
    redact: float | None = Field(None, gt=0, le=1)
    """What was found is replaced by a tag such as `[EMAIL_ADDRESS]`."""
    block: float | None = Field(None, gt=0, le=1)
    """The answer is the policy's refusal."""

    @model_validator(mode="after")
    def _rising(self) -> Thresholds:
        given = [level for level in (self.flag, self.redact, self.block) if level is not None]
        if not given:
            raise ValueError("give at least one of flag, redact and block")
        if given != sorted(given):
            raise ValueError(f"flag, redact and block must rise, got {given}")
        return self

    @property
    def lowest(self) -> float:
        return min(level for level in (self.flag, self.redact, self.block) if level is not None)

    def action(self, score: float) -> Action:
        levels: tuple[tuple[Action, float | None], ...] = (
            ("block", self.block),
            ("redact", self.redact),
            ("flag", self.flag),
        )
        return next((action for action, level in levels if level is not None and score >= level), "allow")


class Policy(Section):
    """What holds for one group of requests."""

    prompt: dict[str, Thresholds] = Field(default_factory=dict)
    """By category. A category that is not named is not looked for."""
    response: dict[str, Thresholds] = Field(default_factory=dict)
    stream: StreamMode = "buffered"
    """buffered: an answer is sent when all of it is judged. windowed: window by window, each once it is judged.
    async: at once, and stopped when a window turns out to be bad, which was then already sent."""
    detect_only: bool = False
    """Everything is judged and told in the verdict; nothing is redacted or blocked."""
    on_error: Literal["block", "allow"] = "block"
    """When a rail fails or takes too long: block what it should have judged, or let it pass."""
    time_limit_ms: float = Field(2000.0, gt=0, le=600_000)
    """For one rail and one call of it."""
    refusal: str = Field("I cannot help with that.", pattern=r"\S")
    """The answer instead of one that is blocked."""
    trust_system: bool = True
    """Who writes a `system` message instructs the model by right: it is not taken for an injection. False where
    those who are not trusted can write one."""

    _rails: RailsConfig | None = PrivateAttr(None)
    """Of its file: a list of terms is a part of what it says."""

    @model_validator(mode="after")
    def _async_cannot_redact(self) -> Policy:
        redacted = [category for category, levels in self.response.items() if levels.redact is not None]
        if self.stream == "async" and redacted:
            raise ValueError(f"stream: async has sent what it would redact ({', '.join(redacted)}); use windowed")
        return self

    def judged_by(self, rails: RailsConfig) -> None:
        self._rails = rails

    @cached_property
    def version(self) -> str:
        rails = self._rails and self._rails.model_dump(mode="json")
        said = msgspec.json.encode([self.model_dump(mode="json"), rails], order="deterministic")
        return hashlib.sha256(said).hexdigest()[:16]

    def thresholds(self, direction: Direction) -> dict[str, Thresholds]:
        return self.prompt if direction == "prompt" else self.response

    @property
    def taken_out(self) -> set[str]:
        """Categories of answers that it redacts or blocks."""
        return {category for category, levels in self.response.items() if levels.redact or levels.block}

    def lowest(self, category: str) -> float | None:
        """The score from which anything follows, in a prompt or an answer; None when nothing ever does."""
        found = [levels[category].lowest for levels in (self.prompt, self.response) if category in levels]
        return min(found, default=None)


class PiiConfig(Section):
    entities: tuple[str, ...] = (
        "CREDIT_CARD",
        "CRYPTO",
        "EMAIL_ADDRESS",
        "IBAN_CODE",
        "IP_ADDRESS",
        "MEDICAL_LICENSE",
        "PHONE_NUMBER",
        "US_BANK_NUMBER",
        "US_ITIN",
        "US_PASSPORT",
        "US_SSN",
    )
    spacy_model: str | None = None
    """An installed spaCy model finds names and places too (`PERSON`, `LOCATION`)."""
    phone_regions: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...] = ("US", "GB", "DE", "FR", "IN")


class TermsConfig(Section):
    """A list of words and phrases, found as whole words in any writing."""

    terms: tuple[str, ...] = Field(min_length=1)

    @field_validator("terms")
    @classmethod
    def _can_be_found(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        for place, term in enumerate(terms):
            if not any(unicodedata.category(character)[0] in "LNPS" for character in term):
                raise ValueError(f"entry {place + 1}, {term!r}, shows nothing that could be found")
        return terms


class DetoxifyConfig(Section):
    """The package detoxify instead of the built-in toxicity rail. Paths are absolute, or in the project."""

    checkpoint: Path
    """A release file, which ends in the first 8 hex digits of its sha256."""
    model: Path
    """Folder with config.json and the tokenizer's files of the model that the checkpoint was made from."""
    fallback: Literal["builtin"] | None = None
    """What judges when a file or a package is missing, instead of a failed start."""


class ClassifierConfig(Section):
    """A text classifier in Hugging Face's format."""

    model: Path
    """Folder with config.json, model.safetensors and the tokenizer's files; absolute, or in the project."""
    labels: dict[str, str] = Field(min_length=1)
    """Label of the model → category. Others are not looked at."""


class RailsConfig(Section):
    pii: PiiConfig = Field(default_factory=PiiConfig)
    detoxify: DetoxifyConfig | None = None
    classifiers: dict[str, ClassifierConfig] = Field(default_factory=dict)
    """Name → classifier. These two need `make setup-detoxify`."""
    terms: dict[str, TermsConfig] = Field(default_factory=dict)
    """Category → list."""
    canary_env: str = "HEADRACE_CANARY"
    """Variable with words, one a line, that stand in the system prompt and nowhere else."""


class PolicyFile(Section):
    """The whole of `policy.yaml`."""

    policies: dict[str, Policy] = Field(min_length=1)
    default: str
    """The policy of requests that name none."""
    rails: RailsConfig = Field(default_factory=RailsConfig)

    @field_validator("default")
    @classmethod
    def _is_there(cls, name: str, info: ValidationInfo) -> str:
        names = info.data.get("policies", {name: None})
        if name not in names:
            raise ValueError(f"no policy {name}; there are {', '.join(sorted(names))}")
        return name

    @model_validator(mode="after")
    def _policies_know_their_rails(self) -> PolicyFile:
        for policy in self.policies.values():
            policy.judged_by(self.rails)
        return self

    @property
    def categories(self) -> dict[str, set[str]]:
        """Every category that a policy looks for → the policies that do."""
        found: dict[str, set[str]] = {}
        for name, policy in self.policies.items():
            for category in (*policy.prompt, *policy.response):
                found.setdefault(category, set()).add(name)
        return found

    def check_found(self, known: Collection[str]) -> None:
        """Raises `ConfigError` for categories that no rail finds: they would pass in silence."""
        if missing := self.categories.keys() - known:
            names = sorted({name for category in missing for name in self.categories[category]})
            raise ConfigError(
                f"policy {', '.join(names)}: no rail finds {', '.join(sorted(missing))}; "
                f"there are {', '.join(sorted(known))}"
            )


def read(file: Path) -> PolicyFile:
    """Raises `ConfigError` that names the line and the key of every mistake."""
    return yaml_file.read_as(file, PolicyFile)
