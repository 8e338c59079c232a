"""The model that `make setup` built."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace import paths
from headrace.build import manifest, model, parts, recipes
from headrace.build.check import check
from headrace.build.convert import IR_FILES, convert
from headrace.build.progress import Progress
from headrace.errors import StartupError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The default model, with the large file shared: copy it before you change it."""

    def link_or_copy(source: str, target: str) -> None:
        if (stat := Path(source).stat()).st_size > 10_000_000 and stat.st_dev == tmp_path.stat().st_dev:
            os.link(source, target)
        else:
            shutil.copy(source, target)  # with a new time

    return Path(shutil.copytree(paths.default_model(), tmp_path / "model", copy_function=link_or_copy))


def test_it_is_whole() -> None:
    built = model.verify(paths.default_model(), deep=True)
    assert built.files.keys() > {*IR_FILES, "tokenizer.json", "config.json"}
    assert built.details["licence"] == "Apache-2.0"
    assert model.ready(model.default_recipe(), paths.default_model())


def test_a_copy_is_whole(copy: Path) -> None:
    model.verify(copy)


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def _edit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _edit, Path.unlink])
@pytest.mark.parametrize("name", ["tokenizer.json", "openvino_model.xml", "config.json"])
def test_damage_is_found(copy: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(copy / name)
    with pytest.raises(manifest.Incomplete, match=name):
        model.verify(copy)


def test_another_recipe_is_not_this_model() -> None:
    changed = model.default_recipe().model_copy(update={"eos_token_ids": (1, 2)})
    assert not model.ready(changed, paths.default_model())


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"tokens": 36}, r"has 37 tokens, expected 36"),
        ({"answer_contains": "Lyon"}, r"it answers 'The capital of France is Paris\.'.*expected 'Lyon'"),
    ],
)
def test_a_wrong_answer_is_said_in_one_line(expected: dict[str, object], complaint: str) -> None:
    known = model.default_recipe().known_prompt.model_copy(update=expected)
    with pytest.raises(StartupError, match=rf"^the model that was built is wrong: .*{complaint}"):
        check(paths.default_model(), known)


def test_a_tokenizer_that_differs_is_found(copy: Path) -> None:
    file = copy / "tokenizer.json"
    file.write_text(file.read_text().replace('"individual_digits":true', '"individual_digits":false'))
    text = file.read_text().replace('"ĠFrance":', '"ĠFrancx":', 1)
    file.write_text(text)
    with pytest.raises(StartupError):
        check(copy, model.default_recipe().known_prompt)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ ''.__class__.__mro__ }}{{ messages[0].content.__class__.__init__.__globals__ }}", "is unsafe"),
        ("{% for m in messages %}\n{{ m.content }}\n{% endfor %}\n", "has 8 tokens, expected 37"),
        ("{% for", "chat_template is not valid"),
    ],
    ids=["unsafe", "trimmed as it is served", "broken"],
)
def test_the_chat_template_runs_as_it_is_served(copy: Path, template: str, complaint: str) -> None:
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    with pytest.raises(StartupError, match=rf"^the model that was built is wrong: .*{complaint}"):
        check(copy, model.default_recipe().known_prompt)


def test_what_openvino_cannot_convert_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a model")
    with pytest.raises(StartupError, match=r"^OpenVINO did not convert bad\.gguf \(exit 1, .*it said: [^\n]+$"):
        convert(tmp_path / "bad.gguf", tmp_path)


def test_the_recipe_builds_it_anew(home: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = model.default_recipe()
    with monkeypatch.context() as outside:
        outside.delenv("HEADRACE_HOME")
        real = parts.part(recipe.source.part).folder
    home.mkdir()
    (home / "parts").symlink_to(real.parent)
    model.build(recipe, paths.default_model(), progress)
    assert model.ready(recipe, paths.default_model(), deep=True)
    assert [path.name for path in paths.default_model().parent.iterdir()] == [paths.DEFAULT_MODEL]


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(StartupError, match=r"no recipe for llama; it has smollm2-135m-instruct"):
        recipes.recipe("llama")
