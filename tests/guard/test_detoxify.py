"""The genuine detoxify, with a checkpoint of random weights in its layout."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import structlog

from headrace import paths
from headrace.errors import ConfigError, StartupError
from headrace.guard import local_model, rails
from headrace.guard.detoxify import DetoxifyRail
from headrace.guard.local_model import NotThere
from headrace.guard.policy import DetoxifyConfig, PolicyFile
from headrace.guard.rail import Rail
from tests.guard import tiny_models
from tests.guard.tiny_models import CALM, CLASSES, TEXTS, TRIGGER, Checkpoint, layout

tiny_models.needs_the_extra()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return Checkpoint.make(tmp_path_factory.mktemp("detoxify"))


@pytest.fixture(scope="module")
def rail(checkpoint: Checkpoint) -> DetoxifyRail:
    return DetoxifyRail(config(checkpoint))


@pytest.fixture(scope="module")
def genuine(checkpoint: Checkpoint) -> Any:
    """Loaded by detoxify's own loader, from the same weights."""
    import torch
    from detoxify import Detoxify

    content = torch.load(checkpoint.file, weights_only=True)
    local = layout(str(checkpoint.folder), content["state_dict"])
    return Detoxify(checkpoint=str(Checkpoint.save(checkpoint.file.parent, local).file))


def config(checkpoint: Checkpoint, **fallback: Any) -> DetoxifyConfig:
    return DetoxifyConfig(checkpoint=checkpoint.file, model=checkpoint.folder, **fallback)


def build(detoxify: DetoxifyConfig, category: str = "toxicity") -> list[Rail]:
    policy = {"default": "one", "policies": {"one": {"prompt": {category: {"block": 0.5}}}}}
    return rails.build(PolicyFile.model_validate(policy | {"rails": {"detoxify": detoxify}}), {})


def scored(rail: DetoxifyRail, text: str) -> dict[str, float]:
    return dict(rail.score_batch([text])[0].by_category)


@pytest.mark.parametrize("text", TEXTS)
def test_scores_are_those_of_the_genuine_predict(rail: DetoxifyRail, genuine: Any, text: str) -> None:
    names = dict(zip(CLASSES, ("toxicity", "severe_toxicity", *CLASSES[2:5], "identity_attack"), strict=True))
    assert set(scored(rail, text)) == set(names.values())
    assert scored(rail, text) == pytest.approx(genuine.predict(text), abs=1e-6)


def test_a_batch_of_mixed_lengths_scores_as_one_by_one(rail: DetoxifyRail) -> None:
    texts = [f"{TEXTS[place % len(TEXTS)]} {'rain ' * (place * 7 % 41)}" for place in range(40)]
    texts[3] = CALM * 200
    alone = [scored(rail, text) for text in texts]
    assert len({round(scores["toxicity"], 4) for scores in alone}) > 10
    together = [dict(scores.by_category) for scores in rail.score_batch(texts)]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert rail.score_batch([]) == []


def test_what_stands_after_512_tokens_counts(rail: DetoxifyRail, genuine: Any) -> None:
    calm, both = CALM * 120, CALM * 120 + TRIGGER * 1500 + CALM * 120
    assert genuine.predict(both) == pytest.approx(genuine.predict(calm), abs=1e-6), "it truncates"
    assert scored(rail, calm)["toxicity"] < 0.3
    assert scored(rail, both)["toxicity"] > 0.9
    windows = rail._windows.of(both)
    assert set("".join(windows).split()) == set(both.split())
    highest = {name: max(scores) for name, scores in genuine.predict(windows).items()}
    assert scored(rail, both) == pytest.approx(highest, abs=1e-5)


def test_the_backend_names_the_version_and_the_hash(rail: DetoxifyRail, checkpoint: Checkpoint) -> None:
    assert rail.backend.startswith(f"detoxify 0.5.4, checkpoint {checkpoint.file.stem[-8:]}")


def test_another_content_than_the_name_says_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    file = tmp_path / checkpoint.file.name
    file.write_bytes(checkpoint.file.read_bytes() + b" ")
    with pytest.raises(StartupError, match="is not what its name says") as caught:
        build(DetoxifyConfig(checkpoint=file, model=checkpoint.folder, fallback="builtin"))
    assert "\n" not in str(caught.value)


def test_a_name_without_a_hash_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    file.write_bytes(checkpoint.file.read_bytes())
    with pytest.raises(StartupError, match="does not end in -<first 8 hex digits of its sha256>"):
        DetoxifyRail(DetoxifyConfig(checkpoint=file, model=checkpoint.folder))


class Code:
    """What a pickle runs when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_code_in_a_checkpoint_is_refused_and_not_run(checkpoint: Checkpoint, tmp_path: Path) -> None:
    import torch

    marker = tmp_path / "ran"
    bad = Checkpoint.save(tmp_path, layout("bert-base-uncased", {}) | {"extra": Code(marker)})
    with pytest.raises(
        StartupError, match=r"tiny-\w{8}.ckpt holds code \(posix.mkdir\), which is not run"
    ) as caught:
        build(DetoxifyConfig(checkpoint=bad.file, model=checkpoint.folder, fallback="builtin"))
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    torch.load(bad.file, weights_only=False)  # as detoxify's own loader does
    assert marker.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda content: content.pop("config"), "another layout: 'config'"),
        (lambda content: content["config"].pop("dataset"), "another layout: .*dataset"),
        (lambda content: content["config"]["dataset"]["args"]["classes"].extend("ab"), "8 names for 6 classes"),
        (lambda content: content["config"]["arch"]["args"].update(model_name="Trainer"), "is no text classifier"),
        (lambda content: content["state_dict"].pop("classifier.weight"), "it has no classifier.weight"),
        (lambda content: content["config"]["arch"]["args"].update(num_classes=7), "cannot be loaded: .*size"),
    ],
)
def test_another_layout_is_named(checkpoint: Checkpoint, tmp_path: Path, change: Any, says: str) -> None:
    import torch

    content = torch.load(checkpoint.file, weights_only=True)
    change(content)
    with pytest.raises(StartupError, match=says) as caught:
        DetoxifyRail(DetoxifyConfig(checkpoint=Checkpoint.save(tmp_path, content).file, model=checkpoint.folder))
    assert "\n" not in str(caught.value)


def test_nothing_reaches_for_the_network(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    DetoxifyRail(config(checkpoint))  # imports
    reached = tiny_models.without_network(monkeypatch)
    assert scored(DetoxifyRail(config(checkpoint)), "you are a fool")
    assert reached == []


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt"])
def test_a_folder_with_a_gap_is_not_filled_from_the_network(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for file in checkpoint.folder.iterdir():
        if file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    reached = tiny_models.without_network(monkeypatch)
    with pytest.raises(NotThere, match=f"{tmp_path} has no {missing}"):
        DetoxifyRail(DetoxifyConfig(checkpoint=checkpoint.file, model=tmp_path))
    assert reached == []


def test_a_missing_checkpoint_stops_the_start_and_is_named_with_its_source(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(StartupError) as caught:
        build(DetoxifyConfig(checkpoint=tmp_path / "toxic_original-c1212f89.ckpt", model=checkpoint.folder))
    message = str(caught.value)
    assert str(tmp_path / "toxic_original-c1212f89.ckpt") in message
    assert "*-<8 hex digits>.ckpt of https://github.com/unitaryai/detoxify/releases" in message
    assert "\n" not in message


def test_a_relative_path_is_in_the_project(checkpoint: Checkpoint) -> None:
    with pytest.raises(StartupError, match=re.escape(str(paths.PROJECT / "models" / "toxic-c1212f89.ckpt"))):
        build(DetoxifyConfig(checkpoint=Path("models/toxic-c1212f89.ckpt"), model=checkpoint.folder))


def test_with_a_fallback_the_built_in_rail_judges_and_says_so(checkpoint: Checkpoint, tmp_path: Path) -> None:
    missing = tmp_path / "toxic_original-c1212f89.ckpt"
    with structlog.testing.capture_logs() as logs:
        (built,) = build(DetoxifyConfig(checkpoint=missing, model=checkpoint.folder, fallback="builtin"))
    assert built.backend.startswith("fallback for detoxify: alt-profanity-check")
    assert built.score_batch(["shut up you stupid idiot"])[0].by_category["toxicity"] > 0.7
    (warning,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert str(missing) in warning["problem"]


def test_detoxify_takes_the_place_of_the_built_in_rail(checkpoint: Checkpoint) -> None:
    (built,) = build(config(checkpoint))
    assert (built.name, "insult" in built.categories) == ("detoxify", True)
    with pytest.raises(ConfigError, match="no rail finds sexual_explicit"):  # which this checkpoint lacks
        build(config(checkpoint), "sexual_explicit")


@pytest.mark.parametrize("digits", [slice(1, 9), slice(8, 16), slice(56, 64)], ids=["one later", "next", "last"])
def test_a_hash_elsewhere_than_at_its_beginning_is_refused(
    checkpoint: Checkpoint, tmp_path: Path, digits: slice
) -> None:
    content = checkpoint.file.read_bytes()
    file = tmp_path / f"tiny-{hashlib.sha256(content).hexdigest()[digits]}.ckpt"
    file.write_bytes(content)
    with pytest.raises(StartupError, match="is not what its name says"):
        DetoxifyRail(DetoxifyConfig(checkpoint=file, model=checkpoint.folder))


@pytest.mark.parametrize("place", range(8))
def test_every_digit_of_the_hash_in_the_name_counts(checkpoint: Checkpoint, tmp_path: Path, place: int) -> None:
    content = checkpoint.file.read_bytes()
    digits = list(hashlib.sha256(content).hexdigest()[:8])
    digits[place] = "0" if digits[place] != "0" else "1"
    file = tmp_path / f"tiny-{''.join(digits)}.ckpt"
    file.write_bytes(content)
    with pytest.raises(StartupError, match="is not what its name says"):
        DetoxifyRail(DetoxifyConfig(checkpoint=file, model=checkpoint.folder))


def test_a_file_that_is_changed_after_its_hash_was_taken_is_not_read(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / checkpoint.file.name
    file.write_bytes(checkpoint.file.read_bytes())
    marker = tmp_path / "ran"
    bad = Checkpoint.save(tmp_path, layout("bert-base-uncased", {}) | {"extra": Code(marker)})

    def swapped(opened: Any) -> str:
        found = local_model.sha256(opened)
        bad.file.replace(file)
        return found

    monkeypatch.setattr("headrace.guard.detoxify.sha256", swapped)
    rail = DetoxifyRail(DetoxifyConfig(checkpoint=file, model=checkpoint.folder))
    assert rail.score_batch(["you are a fool"])


def test_what_is_loaded_is_told_to_stay_off_the_hub() -> None:
    os.environ.pop("HF_HUB_OFFLINE", None)
    local_model.package("torch", "here")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
