"""Prices and amounts: exact, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from headrace.config import Config
from headrace.cost import money
from headrace.cost.prices import CostConfig, PriceConfig, price
from headrace.errors import ConfigError
from headrace.yaml_file import read_as


def test_a_million_tokens_cost_what_the_table_says() -> None:
    found = price(_table("0.02", "0.081"), "assistant", "cpu")
    assert money.written(found.of(10**6, 0)) == "0.02"
    assert money.written(found.of(0, 10**6)) == "0.081"
    assert found.of(1, 1) == 101


def test_a_table_without_the_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 prices of model assistant on h100"):
        price(_table("0.02", "0.08"), "assistant", "h100")


def test_two_prices_of_one_model_are_refused() -> None:
    table = _table("0.02", "0.08")
    with pytest.raises(ConfigError, match="2 prices of model assistant on cpu"):
        price(table.model_copy(update={"prices": table.prices * 2}), "assistant", "cpu")


@pytest.mark.parametrize("wrong", ['"0.0001"', '"-1"', "cheap", "0.02"])
def test_a_price_that_no_token_can_have_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "cost.yaml"
    file.write_text(f"prices:\n- {{model: a, hardware: cpu, prompt: '0', completion: {wrong}}}\n")
    with pytest.raises(ConfigError, match=r"cost\.yaml:2: prices\.0\.completion: "):
        read_as(file, CostConfig)


@pytest.mark.parametrize("profile", get_args(Config.model_fields["profile"].annotation))
def test_every_profile_has_a_price(profile: str) -> None:
    assert price(CostConfig(), "assistant", profile).completion > 0


def _table(prompt: str, completion: str) -> CostConfig:
    entry = PriceConfig(model="assistant", hardware="cpu", prompt=prompt, completion=completion)
    return CostConfig(prices=(entry,))
