"""Any text classifier from a folder: a BERT of random weights, saved as Hugging Face saves them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import ConfigError, StartupError
from headrace.guard import rails
from headrace.guard.classifier import ClassifierRail
from headrace.guard.local_model import NotThere
from headrace.guard.policy import ClassifierConfig, PolicyFile
from headrace.guard.token_windows import OVERLAP, TokenWindows
from tests.guard import tiny_models
from tests.guard.tiny_models import CALM, TEXTS, TRIGGER

tiny_models.needs_the_extra()

LABELS = {0: "ok", 1: "rude", 2: "hateful"}
CATEGORIES = {"rude": "insult", "hateful": "hate"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("classifier") / "model")


@pytest.fixture(scope="module")
def rail(folder: Path) -> ClassifierRail:
    return ClassifierRail("tone", config(folder))


def saved(folder: Path, **config: Any) -> Path:
    model = tiny_models.bert(
        folder, id2label=LABELS, label2id={name: place for place, name in LABELS.items()}, **config
    )
    tiny_models.teach(model, folder)
    model.save_pretrained(folder)
    return folder


def config(folder: Path, **labels: str) -> ClassifierConfig:
    return ClassifierConfig(model=folder, labels=labels or CATEGORIES)


def changed(folder: Path, copy: Path, **said: Any) -> Path:
    """A copy of the folder with other values in its config.json."""
    shutil.copytree(folder, copy)
    file = copy / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | said))
    return copy


def logits(folder: Path, texts: list[str]) -> Any:
    """By transformers alone."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits


def scored(rail: ClassifierRail, text: str) -> dict[str, float]:
    return dict(rail.score_batch([text])[0].by_category)


def test_one_label_of_several_is_a_softmax(rail: ClassifierRail, folder: Path) -> None:
    expected = logits(folder, list(TEXTS)).softmax(-1)[:, 1:].numpy()
    given = [[scores.by_category["insult"], scores.by_category["hate"]] for scores in rail.score_batch(TEXTS)]
    assert np.array(given) == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.05


def test_labels_that_may_all_be_true_are_sigmoids(folder: Path, tmp_path: Path) -> None:
    several = changed(folder, tmp_path / "several", problem_type="multi_label_classification")
    expected = logits(folder, list(TEXTS)).sigmoid().numpy()
    rail = ClassifierRail("tone", config(several))
    assert [s.by_category["insult"] for s in rail.score_batch(TEXTS)] == pytest.approx(expected[:, 1], abs=1e-5)
    both = ClassifierRail("tone", config(several, rude="bad", hateful="bad"))
    highest = expected[:, 1:].max(axis=1)
    assert [s.by_category["bad"] for s in both.score_batch(TEXTS)] == pytest.approx(highest, abs=1e-5)


def test_labels_of_one_category_that_exclude_each_other_add_up(rail: ClassifierRail, folder: Path) -> None:
    both = ClassifierRail("tone", config(folder, rude="bad", hateful="bad"))
    assert scored(both, "you are a fool") == {"bad": pytest.approx(sum(scored(rail, "you are a fool").values()))}


def test_a_single_label_is_taken_for_itself(tmp_path: Path) -> None:
    model = tiny_models.bert(tmp_path / "single", labels=1)
    model.save_pretrained(tmp_path / "single")
    rail = ClassifierRail("tone", config(tmp_path / "single", LABEL_0="bad"))
    expected = logits(tmp_path / "single", ["you are a fool"]).sigmoid().item()
    assert 0.001 < expected < 0.999
    assert scored(rail, "you are a fool") == {"bad": pytest.approx(expected, abs=1e-5)}


def test_a_batch_of_mixed_lengths_scores_as_one_by_one(rail: ClassifierRail) -> None:
    texts = [f"{TEXTS[place % len(TEXTS)]} {'rain ' * (place * 7 % 41)}" for place in range(40)]
    texts[3] = CALM * 200
    alone = [scored(rail, text) for text in texts]
    assert len({round(scores["insult"], 4) for scores in alone}) > 10
    together = [dict(scores.by_category) for scores in rail.score_batch(texts)]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert rail.score_batch([]) == []


def test_the_worst_window_of_a_long_text_counts(folder: Path) -> None:
    rail = ClassifierRail("tone", config(folder, ok="first"))
    calm, both = CALM * 120, CALM * 120 + TRIGGER * 1500 + CALM * 120
    assert scored(rail, both)["first"] > scored(rail, calm)["first"] + 0.3
    highest = logits(folder, rail._windows.of(both)).softmax(-1)[:, 0].max().item()
    assert scored(rail, both) == {"first": pytest.approx(highest, abs=1e-5)}


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"word{place} " for place in range(3000)),
        "".join(f"{place}, " for place in range(1000, 3000)),
        "".join(chr(0x4E00 + place) for place in range(1800)),  # no spaces, a token each
        "".join(f"{place:x}" for place in range(1500)),  # one word
    ],
    ids=["words", "numbers", "ideographs", "one word"],
)
def test_no_window_is_truncated_and_none_is_lost(rail: ClassifierRail, text: str) -> None:
    windows = rail._windows.of(text)
    assert max(len(rail._tokenizer(window)["input_ids"]) for window in windows) <= 512
    place = 0
    for window in windows:
        start = text.find(window, max(0, place - OVERLAP))
        assert 0 <= start <= place, "a gap"
        place = start + len(window)
    assert place == len(text)


def test_a_word_is_not_cut(rail: ClassifierRail) -> None:
    text = "classes " * 2000
    assert {word for window in rail._windows.of(text) for word in window.split()} == {"classes"}


def test_a_character_that_is_no_text_does_no_harm(rail: ClassifierRail) -> None:
    assert scored(rail, "you are \ud800 fool")["insult"] == pytest.approx(scored(rail, "you are ? fool")["insult"])


def test_positions_that_begin_after_the_padding_are_not_exceeded(tmp_path: Path) -> None:
    import transformers

    tiny_models.bert(tmp_path / "roberta")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    small = transformers.RobertaConfig(vocab_size=100, max_position_embeddings=66, pad_token_id=1, **sizes)
    model = transformers.RobertaForSequenceClassification(small)
    model.save_pretrained(tmp_path / "roberta")
    rail = ClassifierRail("tone", config(tmp_path / "roberta", LABEL_1="bad"))
    assert rail._windows.longest == 64
    assert 0 < scored(rail, "you are a fool " * 100)["bad"] < 1


def test_a_score_that_is_no_number_is_a_failure(rail: ClassifierRail) -> None:
    windows = TokenWindows(rail._tokenizer, rail._model)
    with pytest.raises(ValueError, match="no number"):
        windows.worst(["one", "two"], lambda texts: np.full((len(texts), 1), np.nan))


def test_the_backend_names_architecture_and_hash(rail: ClassifierRail, folder: Path) -> None:
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert rail.backend == f"tone: BertForSequenceClassification, {digest[:16]}"


def test_an_unknown_label_is_named_with_those_there_are(folder: Path) -> None:
    expected = r"rails\.classifiers\.tone\.labels: the model has no nice; its labels are ok, rude, hateful"
    with pytest.raises(ConfigError, match=expected):
        ClassifierRail("tone", config(folder, nice="kindness", rude="insult"))


def test_a_pickle_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = changed(folder, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(StartupError, match=r"has pytorch_model\.bin and no model\.safetensors: a pickle can hold"):
        ClassifierRail("tone", config(copy))


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "vocab.txt"])
def test_what_is_missing_is_named_and_not_fetched(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    copy = changed(folder, tmp_path / "copy")
    (copy / missing).unlink()
    reached = tiny_models.without_network(monkeypatch)
    with pytest.raises(NotThere, match=f"{copy} has no {missing}"):
        ClassifierRail("tone", config(copy))
    assert reached == []


def test_nothing_reaches_for_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = tiny_models.without_network(monkeypatch)
    assert scored(ClassifierRail("tone", config(folder)), "you are a fool")
    assert reached == []


def test_weights_without_a_head_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = changed(folder, tmp_path / "copy")
    weights = {
        name: one for name, one in load_file(copy / "model.safetensors").items() if "classifier" not in name
    }
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StartupError, match=r"has no classifier\.bias, classifier\.weight"):
        ClassifierRail("tone", config(copy))


def test_code_in_the_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    automatic = {"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"}
    copy = changed(folder, tmp_path / "copy", auto_map=automatic, model_type="of_its_own")
    (copy / "code.py").write_text(f"import os; os.mkdir({str(marker)!r})\n")
    with pytest.raises(StartupError) as caught:
        ClassifierRail("tone", config(copy))
    assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"problem_type": "regression"}, "a model of regression gives no scores"),
        ({"vocab_size": 20}, "cannot be loaded"),
        ({"hidden_size": 33}, "cannot be loaded"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_one_line(
    folder: Path, tmp_path: Path, said: dict[str, Any], says: str
) -> None:
    with pytest.raises(StartupError, match=says) as caught:
        ClassifierRail("tone", config(changed(folder, tmp_path / "copy", **said)))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_with_more_words_than_the_model_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = changed(folder, tmp_path / "copy")
    with (copy / "vocab.txt").open("a") as file:
        file.write("\nanother\nword")
    with pytest.raises(StartupError, match=r"its tokenizer has \d+ tokens, its model \d+"):
        ClassifierRail("tone", config(copy))


def test_a_policy_finds_its_classifier_by_the_categories(folder: Path) -> None:
    file = {
        "default": "one",
        "policies": {"one": {"prompt": {"insult": {"block": 0.5}}}},
        "rails": {"classifiers": {"tone": {"model": str(folder), "labels": CATEGORIES}}},
    }
    (rail,) = rails.build(PolicyFile.model_validate(file), {})
    assert (rail.name, set(rail.categories), rail.points) == ("classifiers.tone", {"insult", "hate"}, False)
