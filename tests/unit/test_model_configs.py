"""What the models' configurations repeat, they repeat alike."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from headrace import paths

FOLDERS = ("model_repository", "ensembles")
FILES = sorted(file for folder in FOLDERS for file in (paths.PROJECT / folder).glob("**/*.pbtxt"))
PROFILED = [file for file in FILES if file.parent.name == "configs"]

ENGINE = {"input_ids", "stop", "watch_cancel", "blocked"}
# By which policy to judge must not be in the cache's key.
INSIDE = {"guard_policy"}
REPEATS: dict[str, tuple[set[str], set[str]]] = {
    "ensembles/assistant/config.pbtxt": (set(), set()),
    "ensembles/assistant_stream/config.pbtxt": (set(), set()),
    "ensembles/completion/config.pbtxt": ({"seed_drawn", "prompt", "blocked"}, INSIDE),
    "model_repository/preprocess/config.pbtxt": ({"prompt"}, INSIDE),
    "model_repository/preprocess/configs/h100.pbtxt": ({"prompt"}, INSIDE),
    "model_repository/safety_filter_prompt/config.pbtxt": (set(), set()),
    "model_repository/safety_filter_prompt/configs/h100.pbtxt": (set(), set()),
    "model_repository/tensorrt_llm/config.pbtxt": (ENGINE | {"seed_drawn"}, INSIDE | {"text_input", "messages"}),
    "model_repository/tensorrt_llm_stream/config.pbtxt": (
        ENGINE | {"prompt_verdict", "first_tokens"},
        INSIDE | {"text_input", "messages"},
    ),
}
"""The files that repeat the public inputs: what each takes besides, and what it does without."""


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


@pytest.mark.parametrize("name", REPEATS)
def test_the_public_inputs_are_the_same_everywhere(name: str) -> None:
    besides, without = REPEATS[name]
    public = [t for t in inputs("ensembles/assistant/config.pbtxt") if t.name not in without]
    assert [tensor for tensor in inputs(name) if tensor.name not in besides] == public
    assert besides <= {tensor.name for tensor in inputs(name)}


@pytest.mark.parametrize("file", sorted((paths.PROJECT / "ensembles").glob("*/config.pbtxt")), ids=name_of)
def test_the_steps_of_an_ensemble_run_one_after_the_other(file: Path) -> None:
    """Of two steps at once, one of which fails, Triton 2.51 hangs: so a bad request would stop the server."""
    steps = read(file).ensemble_scheduling.step
    for before, after in pairwise(steps):
        assert set(after.input_map.values()) & set(before.output_map.values())
    assert len(steps) > 1
