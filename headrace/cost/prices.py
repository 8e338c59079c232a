"""The price table: what a token costs, by model and by hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from headrace.cost.money import nano
from headrace.errors import ConfigError
from headrace.yaml_file import Section

_MILLION = 10**6


def _whole_for_a_token(price: str) -> str:
    if nano(price) % _MILLION:
        raise ValueError(f"expected at most 3 places behind the point, got {price}")
    return price


Amount = Annotated[str, AfterValidator(_whole_for_a_token)]
"""In quotes, such as "0.02"."""


class PriceConfig(Section):
    """Of a million tokens."""

    model: str
    hardware: str
    """A profile (`profile` in headrace.yaml)."""
    prompt: Amount
    completion: Amount


class CostConfig(Section):
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    prices: tuple[PriceConfig, ...] = (
        PriceConfig(model="assistant", hardware="cpu", prompt="0.02", completion="0.08"),
        PriceConfig(model="assistant", hardware="h100", prompt="0.10", completion="0.40"),
    )
    """Examples: what a token really costs, your own bills say."""


@dataclass(frozen=True, slots=True)
class Price:
    """Nano units a token."""

    prompt: int
    completion: int

    def of(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Nano units."""
        return self.prompt * prompt_tokens + self.completion * completion_tokens


def price(config: CostConfig, model: str, hardware: str) -> Price:
    """Raises `ConfigError` when the table has none, or two."""
    found = [entry for entry in config.prices if (entry.model, entry.hardware) == (model, hardware)]
    if len(found) != 1:
        raise ConfigError(
            f"cost.prices: {len(found)} prices of model {model} on {hardware}, expected one; without a price set "
            "prompt and completion to 0"
        )
    (entry,) = found
    return Price(nano(entry.prompt) // _MILLION, nano(entry.completion) // _MILLION)
