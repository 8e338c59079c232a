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


def parsed(name: str) -> Any:
    text = (paths.PROJECT / name).read_text("utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


KEEPS_STATE = ("postprocess_stream", "safety_filter_response_stream")


@pytest.mark.parametrize("step", KEEPS_STATE)
def test_a_step_that_keeps_streams_is_one_instance_and_keeps_their_order(step: str) -> None:
    folder = paths.PROJECT / "model_repository" / step
    files = [folder / "config.pbtxt", *folder.glob("configs/*.pbtxt")]
    for one in files:
        config = parsed(str(one.relative_to(paths.PROJECT)))
        assert [group.count for group in config.instance_group] == [1]
        assert config.dynamic_batching.preserve_ordering
        assert config.model_transaction_policy.decoupled


def test_the_cache_lies_within_the_guards() -> None:
    cached = {
        file.parent.name
        for folder in ("model_repository", "ensembles")
        for file in (paths.PROJECT / folder).glob("*/config.pbtxt")
        if parsed(str(file.relative_to(paths.PROJECT))).response_cache.enable
    }
    assert cached == {"completion"}
    steps = [step.model_name for step in parsed("ensembles/assistant/config.pbtxt").ensemble_scheduling.step]
    assert (steps[0], steps[-1]) == ("safety_filter_prompt", "safety_filter_response")


@pytest.mark.parametrize(
    ("ensemble", "step"), [("completion", "tensorrt_llm"), ("assistant_stream", "tensorrt_llm_stream")]
)
def test_the_engines_step_is_told_what_is_blocked(ensemble: str, step: str) -> None:
    steps = parsed(f"ensembles/{ensemble}/config.pbtxt").ensemble_scheduling.step
    (maps,) = [dict(one.input_map) for one in steps if one.model_name == step]
    assert maps["blocked"] == "blocked"


@pytest.mark.parametrize("ensemble", ["assistant", "assistant_stream"])
def test_behind_the_prompts_guard_nobody_sees_the_prompt_as_it_came_in(ensemble: str) -> None:
    first, *others = parsed(f"ensembles/{ensemble}/config.pbtxt").ensemble_scheduling.step
    assert first.model_name == "safety_filter_prompt"
    for step in others:
        assert not {"text_input", "messages"} & set(step.input_map.values())
