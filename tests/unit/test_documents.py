"""What documents name is there."""

from __future__ import annotations

import re

import pytest

from headrace import paths

OWASP = (paths.PROJECT / "docs" / "owasp-llm-top-10.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", OWASP)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_is_there(file: str, test: str) -> None:
    code = (paths.PROJECT / file).read_text("utf-8")
    assert f"def {test or 'test_'}" in code


def test_every_entry_of_the_list_is_there() -> None:
    rows = [line for line in OWASP.splitlines() if line.startswith("| LLM")]
    assert [row[2:7] for row in rows] == [f"LLM{number:02}" for number in range(1, 11)]
    assert all("`tests/" in row or "nothing to test" in row for row in rows)
