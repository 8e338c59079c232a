from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from headrace import yaml_file
from headrace.errors import ConfigError


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sizes: tuple[int, ...]
    name: str = ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:\n  sizes: [1]\n  nme: x\n", r":3: a\.nme: Extra inputs"),
        ("a:\n  sizes:\n    - 1\n    - two\n", r":4: a\.sizes\.1: Input should be a valid integer"),
        ("a:\n  sizes: [1]\nb:\n  name: x\n", r":3: b\.sizes: Field required"),
        ("a:\n  sizes: [1]\n  sizes: [2]\n", r"sizes is there twice .* line 3"),
        ("a: {sizes: [1]}\na: {sizes: [2]}\n", r"a is there twice .* line 2"),
        ("a: [\n", r"cannot be read as YAML"),
        ("- 1\n", r"/f\.yaml: file: Input should be a valid dictionary"),
        ("", r"/f\.yaml: file: Input should be a valid dictionary"),
        ("a: !!python/object/apply:os.getcwd []\n", r"cannot be read as YAML.*constructor"),
    ],
)
def test_the_error_names_the_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as refusal:
        yaml_file.read_as(tmp_path / "f.yaml", dict[str, Entry])
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_right(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("x: &x {sizes: [1, 2]}\ny:\n  <<: *x\n  name: why\n", encoding="utf-8")
    found = yaml_file.read_as(tmp_path / "f.yaml", dict[str, Entry])
    assert found == {"x": Entry(sizes=(1, 2)), "y": Entry(sizes=(1, 2), name="why")}
