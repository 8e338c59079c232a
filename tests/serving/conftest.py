from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.serving.drill_stack import DrillStack

MakeStack = Callable[..., DrillStack]


@pytest.fixture(scope="module")
def new_stack() -> Iterator[MakeStack]:
    """Stacks not yet started; taken down, and checked for leftovers, when the module's tests are done."""
    stacks: list[DrillStack] = []

    def make(**settings: str) -> DrillStack:
        stacks.append(DrillStack(**settings))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.headrace("down", "--now")
    dirty = [stack.http_port for stack in stacks if not stack.is_clean()]
    for stack in stacks:
        shutil.rmtree(stack.folder.root)
    assert not dirty


@pytest.fixture(scope="module")
def make_stack(new_stack: MakeStack) -> MakeStack:
    """Stacks that have answered."""

    def make(**settings: str) -> DrillStack:
        stack = new_stack(**settings)
        stack.up()
        return stack

    return make
