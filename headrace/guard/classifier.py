"""Any text classifier of Hugging Face's format, from a folder of this machine: its labels give categories.

Only weights in safetensors are read, which hold no code; nothing is fetched, and no code of the folder is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.errors import ConfigError, StartupError
from headrace.guard.local_model import check_tokenizer, folder_with, loaded, located, package, sha256
from headrace.guard.policy import ClassifierConfig
from headrace.guard.rail import Scores
from headrace.guard.token_windows import TokenWindows

WEIGHTS = "model.safetensors"


class ClassifierRail:
    points = False

    def __init__(self, name: str, config: ClassifierConfig) -> None:
        """Raises `StartupError` and its children."""
        self.name = f"classifiers.{name}"
        key = f"rails.{self.name}"
        transformers = package("transformers", key)
        self._torch = package("torch", key)
        folder = located(config.model)
        _check(folder, f"{key}.model")
        self._model, self._tokenizer = _load(transformers, self._torch, folder)
        check_tokenizer(self._tokenizer, self._model, folder, f"{key}.model")
        self._columns = _columns(self._model.config, config.labels, f"{key}.labels")
        self._exclusive = _exclusive(self._model.config, f"{key}.model")
        self._windows = TokenWindows(self._tokenizer, self._model)
        self.categories = frozenset(self._columns)
        with (folder / WEIGHTS).open("rb") as file:
            self.backend = f"{name}: {type(self._model).__name__}, {sha256(file)[:16]}"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        if not texts:
            return []
        scores = self._windows.worst(texts, self._scores)
        return [Scores(dict(zip(self._columns, map(float, of_text), strict=True))) for of_text in scores]

    def _scores(self, texts: list[str]) -> NDArray[np.float64]:
        """[texts, categories]"""
        inputs = self._tokenizer(texts, return_tensors="pt", truncation=True, padding=True)
        with self._torch.inference_mode():
            logits = self._model(**inputs).logits.double()
        of_labels = (logits.softmax(-1) if self._exclusive else logits.sigmoid()).numpy()
        # One of two labels that exclude each other is as likely as both together.
        joined = np.add if self._exclusive else np.maximum
        by_category = [joined.reduce(of_labels[:, columns], axis=1) for columns in self._columns.values()]
        return np.clip(np.stack(by_category, axis=1, dtype=np.float64), 0, 1)


def _check(folder: Path, key: str) -> None:
    if not (folder / WEIGHTS).is_file() and (pickles := sorted(file.name for file in folder.glob("*.bin"))):
        raise StartupError(
            f"{key}: {folder} has {pickles[0]} and no {WEIGHTS}: a pickle can hold code and is not read; "
            "save the model as safetensors"
        )
    folder_with(folder, ["config.json", WEIGHTS], key)


def _load(transformers: Any, torch: Any, folder: Path) -> tuple[Any, Any]:
    here = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = loaded(lambda: transformers.AutoTokenizer.from_pretrained(str(folder), **here), folder)
    model, info = loaded(
        lambda: transformers.AutoModelForSequenceClassification.from_pretrained(
            str(folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **here
        ),
        folder,
    )
    # What is not in the file would be random numbers, and no error.
    if info["missing_keys"]:
        raise StartupError(f"{folder}: {WEIGHTS} has no {', '.join(sorted(info['missing_keys'])[:3])}")
    if tokenizer.pad_token is None:
        raise StartupError(f"{folder}: its tokenizer has no token to pad with")
    return model.eval(), tokenizer


def _columns(model: Any, labels: dict[str, str], key: str) -> dict[str, list[int]]:
    """Category → the model's labels that mean it."""
    places = {label: place for place, label in model.id2label.items()}
    if unknown := labels.keys() - places.keys():
        raise ConfigError(
            f"{key}: the model has no {', '.join(sorted(unknown))}; its labels are {', '.join(places)}"
        )
    columns: dict[str, list[int]] = {}
    for label, category in labels.items():
        columns.setdefault(category, []).append(places[label])
    return columns


def _exclusive(model: Any, key: str) -> bool:
    """Whether one label at most is true of a text. A single one would always be, so it is taken for itself."""
    if model.problem_type == "regression":
        raise ConfigError(f"{key}: a model of regression gives no scores from 0 to 1")
    return model.problem_type != "multi_label_classification" and len(model.id2label) > 1
