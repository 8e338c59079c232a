"""`headrace guard eval`: the counts are right, and a bad file is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli import app

POLICY = """\
default: one
rails: {terms: {fruit: {terms: [apple]}, tree: {terms: [oak]}}}
policies:
  one: {prompt: {fruit: {block: 0.5}}, response: {tree: {flag: 0.5}}}
"""
ROWS = """\
text,label,rail
an apple,1,
an apple pie,1,
a pear,1,
the oak,0,
the elm,0,
apple,1,fruit
oak,0,fruit
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    data = tmp_path / "data"
    data.mkdir()
    return data


def evaluate(folder: Path) -> tuple[int, str]:
    policy = str(folder.parent / "policy.yaml")
    done = CliRunner().invoke(app, ["guard", "eval", str(folder), "--policy", policy, "--json"])
    return done.exit_code, done.output


def test_counts_by_file_and_rail(folder: Path) -> None:
    (folder / "a.csv").write_text(ROWS)
    (folder / "b.jsonl").write_text('{"text": "oak", "label": 1, "rail": "tree"}\n')
    code, output = evaluate(folder)
    assert code == 0, output
    found = {(line["file"], line["rail"]): line for line in map(json.loads, output.splitlines())}
    assert set(found) == {("a.csv", "any"), ("a.csv", "fruit"), ("a.csv", "tree"), ("b.jsonl", "tree")}
    any_rail = found["a.csv", "any"]
    assert any_rail["precision"]["value"] == pytest.approx(2 / 3)
    assert any_rail["recall"]["value"] == pytest.approx(2 / 3)
    assert any_rail["false_positives"]["value"] == pytest.approx(1 / 2)
    low, high = any_rail["recall"]["interval"]
    assert low < 2 / 3 < high
    fruit = found["a.csv", "fruit"]
    assert (fruit["recall"]["of"], fruit["recall"]["value"], fruit["false_positives"]["value"]) == (4, 0.75, 0)
    assert fruit["auc"][0] == pytest.approx(0.875)
    assert found["b.jsonl", "tree"]["auc"] is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "text,label\nx,2\n", "error: a.csv:2: label is '2', expected 1 (should be flagged) or 0"),
        ("a.csv", "words,label\nx,1\n", "error: a.csv:2: expected a column `text`"),
        ("a.jsonl", "{\n", "error: a.jsonl:1: not valid JSON"),
        ("a.csv", "text,label,rail\nx,1,smell\n", "error: rail: a.csv: no rail smell; there are fruit, tree"),
        ("a.txt", "", "error: DIR: "),
        ("a.csv", "text,label\n\xff,1\n", "error: a.csv: not a file of UTF-8 text"),
        ("a.jsonl", "\xff\n", "error: a.jsonl: not a file of UTF-8 text"),
    ],
)
def test_a_bad_file_is_named(folder: Path, name: str, content: str, says: str) -> None:
    (folder / name).write_text(content, encoding="latin-1")
    code, output = evaluate(folder)
    assert code == 1
    assert output.startswith(says)


def test_an_empty_text_is_allowed(folder: Path) -> None:
    done = CliRunner().invoke(app, ["guard", "check", "", "--policy", str(folder.parent / "policy.yaml")])
    assert (done.exit_code, json.loads(done.output)["action"]) == (0, "allow")


def test_check_prints_the_verdict_and_what_may_be_shown(folder: Path) -> None:
    policy = str(folder.parent / "policy.yaml")
    allowed = CliRunner().invoke(app, ["guard", "check", "a pear", "--policy", policy])
    assert (allowed.exit_code, allowed.output.splitlines()[1]) == (0, "a pear")
    blocked = CliRunner().invoke(app, ["guard", "check", "an apple", "--policy", policy])
    verdict = json.loads(blocked.output)
    assert (blocked.exit_code, verdict["action"], verdict["scores"]) == (4, "block", {"fruit": 1.0})
