"""What the models' configurations repeat, they repeat alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from headrace import paths

FOLDERS = ("model_repository", "ensembles")
FILES = sorted(file for folder in FOLDERS for file in (paths.PROJECT / folder).glob("**/*.pbtxt"))
PROFILED = [file for file in FILES if file.parent.name == "configs"]

ENGINE = {"input_ids", "stop", "watch_cancel"}
REPEATS: dict[str, set[str]] = {
    "ensembles/assistant/config.pbtxt": set(),
    "ensembles/assistant_stream/config.pbtxt": set(),
    "ensembles/completion/config.pbtxt": {"seed_drawn"},
    "model_repository/draw_seed/config.pbtxt": set(),
    "model_repository/preprocess/config.pbtxt": set(),
    "model_repository/preprocess/configs/h100.pbtxt": set(),
    "model_repository/tensorrt_llm/config.pbtxt": ENGINE | {"seed_drawn"},
    "model_repository/tensorrt_llm_stream/config.pbtxt": ENGINE,
}
"""The files that repeat the public inputs, and what each takes besides."""


def read(file: Path) -> Any:
    return text_format.Parse(file.read_text("utf-8"), model_config_pb2.ModelConfig())


def name_of(file: Path) -> str:
    return str(file.relative_to(paths.PROJECT))


def inputs(name: str) -> list[Any]:
    return list(read(paths.PROJECT / name).input)


@pytest.mark.parametrize("file", PROFILED, ids=name_of)
def test_a_profile_changes_nothing_but_the_instances(file: Path) -> None:
    profiled, plain = read(file), read(file.parent.parent / "config.pbtxt")
    assert profiled.instance_group != plain.instance_group
    for config in (profiled, plain):
        config.ClearField("instance_group")
    assert profiled == plain


def test_no_other_file_repeats_the_public_inputs() -> None:
    found = {name_of(file) for file in FILES if any(tensor.name == "top_p" for tensor in read(file).input)}
    assert found == REPEATS.keys()


@pytest.mark.parametrize(("name", "besides"), REPEATS.items(), ids=REPEATS)
def test_the_public_inputs_are_the_same_everywhere(name: str, besides: set[str]) -> None:
    public = inputs("ensembles/assistant/config.pbtxt")
    if besides >= ENGINE:
        public = [tensor for tensor in public if tensor.name not in {"text_input", "messages"}]
    assert [tensor for tensor in inputs(name) if tensor.name not in besides] == public
    assert besides <= {tensor.name for tensor in inputs(name)}
