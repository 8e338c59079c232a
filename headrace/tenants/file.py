"""`tenants.yaml`: who may ask, with which keys or tokens, and how much."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from headrace import yaml_file
from headrace.cost.money import nano
from headrace.errors import ConfigError
from headrace.limits.budget import Budget, Period
from headrace.tenants.keys import LIVE_KEYS, KeyRing, StoredKey, hidden
from headrace.tenants.settings import ANONYMOUS, OWN_SCOPE, Settings
from headrace.yaml_file import Location, Section

NAME = r"^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$"
"""Safe in a log, a metric's label, a key of Redis and a file name."""
Name = Annotated[str, Field(pattern=NAME)]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""Those of a private and a public key: with HS256 whoever can check a token could make one."""

_MOST = 10**12


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("expected a time such as 2026-12-31T00:00:00Z")  # noqa: TRY004 - pydantic's way
    return value


def _nothing(value: Any) -> Any:
    """A list that was emptied is null in YAML."""
    return () if value is None else value


def _off(value: Any) -> Any:
    return None if value is False else value


def _nobody(value: Any) -> Any:
    return {} if value is None else value


Count = Annotated[int, Field(strict=True, ge=1, le=_MOST)]
Time = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Amount = Annotated[int, BeforeValidator(nano), Field(ge=1)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*$", max_length=200)]


class BudgetSection(Section):
    amount: Amount
    """In quotes, in the currency of the price table: "12.50"."""
    period: Period


class SettingsSection(Section):
    """What is left out is not limited."""

    display_name: Text = ""
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    budgets: tuple[BudgetSection, ...] = ()
    models: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(None, min_length=1)
    guard_policy: Annotated[str, Field(min_length=1)] | None = None
    cache_scope: Name = OWN_SCOPE
    """own, or a name: those that give the same one share cached answers."""
    priority: int = Field(3, strict=True, ge=1, le=5)
    """1 comes first."""
    max_prompt_tokens: Count | None = None
    max_output_tokens: Count | None = None
    store_text: bool = Field(False, strict=True)
    """True: the audit log may hold its prompts and answers."""

    @field_validator("budgets")
    @classmethod
    def _one_a_period(cls, budgets: tuple[BudgetSection, ...]) -> tuple[BudgetSection, ...]:
        periods = [budget.period for budget in budgets]
        if len(set(periods)) < len(periods):
            raise ValueError("give one budget for a period")
        return budgets

    def settings(self, tenant: str) -> Settings:
        return Settings(
            tenant=tenant,
            display_name=self.display_name or tenant,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            concurrent_requests=self.concurrent_requests,
            budgets=tuple(Budget(budget.amount, budget.period) for budget in self.budgets),
            models=None if self.models is None else frozenset(self.models),
            guard_policy=self.guard_policy,
            cache_scope=f"tenant:{tenant}" if self.cache_scope == OWN_SCOPE else f"shared:{self.cache_scope}",
            priority=self.priority,
            max_prompt_tokens=self.max_prompt_tokens,
            max_output_tokens=self.max_output_tokens,
            store_text=self.store_text,
        )


class KeySection(Section):
    id: str = Field(pattern=r"^[a-z0-9]{4,32}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the whole key. The key itself is kept nowhere."""
    created: Time
    expires: Time | None = None

    def is_live(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires


class TenantSection(SettingsSection):
    keys: Annotated[tuple[KeySection, ...], BeforeValidator(_nothing)] = ()

    @field_validator("keys")
    @classmethod
    def _few_live(cls, keys: tuple[KeySection, ...]) -> tuple[KeySection, ...]:
        for key in keys:
            live = [other for other in keys if other.created <= key.created and other.is_live(key.created)]
            if len(live) > LIVE_KEYS:
                raise ValueError(f"at most {LIVE_KEYS} keys may be live at a time; let one expire or remove it")
        return keys


class IssuerSection(Section):
    """Whose JSON Web Tokens (RFC 7519) are accepted."""

    issuer: str = Field(min_length=1)
    """The claim `iss`, to the letter."""
    audience: str = Field(min_length=1)
    """What the claim `aud` must hold: the name of this gateway at the issuer."""
    jwks: str = Field(min_length=1)
    """The issuer's public keys (RFC 7517): a URL, or a file, seen from the folder of tenants.yaml."""
    algorithms: tuple[Algorithm, ...] = Field(("RS256", "ES256"), min_length=1)
    tenant_claim: str = Field("tenant", min_length=1)
    """The claim that names the tenant."""
    tenants: tuple[Name, ...] | None = Field(None, min_length=1)
    """The only ones that it may name. None: all."""
    required_claims: tuple[str, ...] = ()
    """Besides iss, aud, exp, sub and the one that names the tenant."""
    clock_skew_seconds: float = Field(30.0, ge=0, le=300)
    refresh_seconds: float = Field(300.0, ge=1, le=86_400)
    """How often its keys are fetched."""
    plain_http: bool = Field(False, strict=True)
    """Lets its keys come over http:// from another machine: whoever is on the way can then be any tenant."""

    @model_validator(mode="before")
    @classmethod
    def _safe_url(cls, values: Any) -> Any:
        url = values.get("jwks") if isinstance(values, dict) else None
        if isinstance(url, str) and "://" in url and (problem := _url_problem(url, values.get("plain_http"))):
            raise _found_at(values, [(("jwks",), problem)])
        return values

    @property
    def is_remote(self) -> bool:
        return "://" in self.jwks


class TenantsFile(Section):
    """The whole of `tenants.yaml`."""

    anonymous: Annotated[SettingsSection | None, BeforeValidator(_off)] = None
    """What holds for those who show nothing; false: they are refused. Only ever used for clients on the gateway's
    own machine, while it listens on loopback only."""
    issuers: Annotated[tuple[IssuerSection, ...], BeforeValidator(_nothing)] = ()
    tenants: Annotated[dict[Name, TenantSection], BeforeValidator(_nobody)]

    @field_validator("issuers")
    @classmethod
    def _each_once(cls, issuers: tuple[IssuerSection, ...]) -> tuple[IssuerSection, ...]:
        names = [issuer.issuer for issuer in issuers]
        twice = [place for place, name in enumerate(names) if name in names[:place]]
        if twice:
            raise _found_at(issuers, [((place, "issuer"), "is there twice") for place in twice])
        return issuers

    @field_validator("tenants")
    @classmethod
    def _no_key_twice(cls, tenants: dict[str, TenantSection]) -> dict[str, TenantSection]:
        if twice := list(_twice(tenants)):
            raise _found_at(tenants, twice)
        return tenants


def _twice(tenants: dict[str, TenantSection]) -> Iterator[tuple[Location, str]]:
    if ANONYMOUS in tenants:
        yield (ANONYMOUS,), "is the name of those who show nothing; choose another"
    owners: dict[str, str] = {}
    for name, tenant in tenants.items():
        for place, key in enumerate(tenant.keys):
            for what, value in (("id", key.id), ("sha256", key.sha256)):
                if value in owners:
                    yield (name, "keys", place, what), f"is that of a key of {owners[value]} too; make a new key"
                owners[value] = name


def _url_problem(url: str, plain_http: object) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("https", "http") or not host:
        return "expected https://host/path, or the path of a file"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "leave user, password and fragment out of the URL"
    if parts.scheme == "http" and plain_http is not True and not _is_here(host):
        return "use https, or say plain_http: true if the network between is trusted"
    return None


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _found_at(value: object, problems: list[tuple[Location, str]]) -> ValidationError:
    """What pydantic would raise had it found them itself: so each has its line."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("tenants", "{problem}", {"problem": problem}), loc=at, input=value
        )
        for at, problem in problems
    ]
    return ValidationError.from_exception_data("tenants", details)


@dataclass(frozen=True, slots=True)
class Tenants:
    """A file, ready for use."""

    settings: dict[str, Settings]
    anonymous: Settings | None
    keys: KeyRing
    issuers: tuple[IssuerSection, ...] = ()
    folder: Path = field(default_factory=Path)
    """Of the file: where the files of its issuers are looked for."""


def parse(file: Path) -> TenantsFile:
    """Raises `ConfigError` that names the line and the key of every mistake."""
    try:
        return yaml_file.read_as(file, TenantsFile)
    except ConfigError as error:
        raise ConfigError(hidden(str(error))) from None


def read(file: Path) -> Tenants:
    """The same, ready for use. Raises `ConfigError`."""
    said = parse(file)
    settings = {name: tenant.settings(name) for name, tenant in said.tenants.items()}
    keys = KeyRing(
        StoredKey(key.id, bytes.fromhex(key.sha256), settings[name], key.expires.timestamp())
        if key.expires
        else StoredKey(key.id, bytes.fromhex(key.sha256), settings[name])
        for name, tenant in said.tenants.items()
        for key in tenant.keys
    )
    anonymous = None if said.anonymous is None else said.anonymous.settings(ANONYMOUS)
    return Tenants(settings, anonymous, keys, said.issuers, file.parent)
