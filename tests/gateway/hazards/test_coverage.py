"""Every bad input of the list is tried by a test that is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.gateway.hazards import coverage
from tests.gateway.hazards.listed import LISTED

TESTS = Path(__file__).parents[2]
LISTS = {name: value for name, value in vars(coverage).items() if name.isupper() and not name.startswith("_")}


@pytest.mark.parametrize("name", LISTS)
def test_each_is_tried(name: str) -> None:
    for hazard, place in LISTS[name].items():
        file, _, test = place.partition("::")
        assert test in functions(TESTS / file), hazard


def functions(file: Path) -> set[str]:
    found = ast.walk(ast.parse(file.read_text("utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_nothing_of_the_list_is_missing() -> None:
    assert LISTS.keys() == LISTED.keys()
    assert {name: [item for item in items if item not in LISTS[name]] for name, items in LISTED.items()} == {
        name: [] for name in LISTED
    }
