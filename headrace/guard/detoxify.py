"""Toxicity by context: the real detoxify, with a checkpoint from a file of this machine.

Its own loader runs whatever code the file holds and asks a model hub for a folder. Here the file is checked
against the hash in its name and read without code, the folder is a local one, and only then does detoxify see it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from headrace.errors import StartupError
from headrace.guard.local_model import (
    NotThere,
    check_tokenizer,
    folder_with,
    loaded,
    located,
    one_line,
    package,
    sha256,
)
from headrace.guard.policy import DetoxifyConfig
from headrace.guard.rail import Scores
from headrace.guard.token_windows import TokenWindows

CATEGORIES = frozenset(
    {"toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit"}
)
"""Of all its checkpoints; one of the first kind has no sexual_explicit."""
RELEASES = "https://github.com/unitaryai/detoxify/releases"
_NEEDED_BY = "rails.detoxify"
_RENAMED = {"toxic": "toxicity", "severe_toxic": "severe_toxicity", "identity_hate": "identity_attack"}
_NAME = re.compile(r"-([0-9a-f]{8})\.\w+$")
_CODE = re.compile(r"GLOBAL (\S+)")
"""What torch calls a function that a pickle wants to have called."""


class _ModelArguments(msgspec.Struct):
    model_name: str
    tokenizer_name: str
    num_classes: int


class _Model(msgspec.Struct):
    args: _ModelArguments


class _DatasetArguments(msgspec.Struct):
    classes: list[str]


class _Dataset(msgspec.Struct):
    args: _DatasetArguments


class _Said(msgspec.Struct):
    """What a checkpoint says of itself."""

    arch: _Model
    dataset: _Dataset


class DetoxifyRail:
    name = "detoxify"
    points = False

    def __init__(self, config: DetoxifyConfig) -> None:
        """Raises `NotThere` for what is missing, `StartupError` for what is wrong."""
        torch = package("torch", _NEEDED_BY)
        detoxify = package("detoxify.detoxify", _NEEDED_BY)
        file, folder = located(config.checkpoint), located(config.model)
        checkpoint, digest = _read(file, torch)
        said = _said(file, checkpoint)
        folder_with(folder, ["config.json"], f"{_NEEDED_BY}.model")
        model, tokenizer = _model(detoxify, file, folder, said.arch.args, checkpoint["state_dict"])
        # Of the genuine class, without its `__init__`, which would load all of it once more in its own way.
        self._detoxify: Any = detoxify.Detoxify.__new__(detoxify.Detoxify)
        self._detoxify.model, self._detoxify.tokenizer, self._detoxify.device = model, tokenizer, "cpu"
        self._classes = [_RENAMED.get(name, name) for name in said.dataset.args.classes]
        self._detoxify.class_names = self._classes
        check_tokenizer(tokenizer, model, folder, f"{_NEEDED_BY}.model")
        self._windows = TokenWindows(tokenizer, model)
        self.categories = frozenset(self._classes)
        self.backend = f"detoxify {metadata.version('detoxify')}, checkpoint {digest[:16]}"

    def score_batch(self, texts: Sequence[str]) -> list[Scores]:
        if not texts:
            return []
        scores = self._windows.worst(texts, self._predict)
        return [Scores(dict(zip(self._classes, map(float, of_text), strict=True))) for of_text in scores]

    def _predict(self, texts: list[str]) -> NDArray[np.float64]:
        by_class = self._detoxify.predict(texts)
        # Of one text it gives numbers, not lists.
        return np.stack([np.atleast_1d(by_class[name]) for name in self._classes], axis=1)


def _read(file: Path, torch: Any) -> tuple[Any, str]:
    """What the file holds, and its hash. Nothing of it is looked at before the hash is right."""
    named = _NAME.search(file.name)
    if named is None:
        raise StartupError(
            f"{_NEEDED_BY}.checkpoint: {file.name} does not end in -<first 8 hex digits of its sha256>.ckpt, "
            f"as the files of {RELEASES} do"
        )
    try:
        opened = file.open("rb")
    except OSError as error:
        raise NotThere(
            f"{_NEEDED_BY}.checkpoint: {file} cannot be opened ({error.strerror}); bring one of the files "
            f"*-<8 hex digits>.ckpt of {RELEASES}, such as toxic_original-c1212f89.ckpt"
        ) from None
    with opened:
        digest = sha256(opened)
        if not digest.startswith(named[1]):
            raise StartupError(
                f"{_NEEDED_BY}.checkpoint: {file} is not what its name says: its sha256 begins with {digest[:8]}; "
                f"bring it again from {RELEASES}"
            )
        opened.seek(0)
        try:
            return torch.load(opened, map_location="cpu", weights_only=True), digest
        except Exception as error:
            code = _CODE.search(str(error))
            problem = f"holds code ({code[1]}), which is not run" if code else "is no checkpoint of torch"
            raise StartupError(f"{_NEEDED_BY}.checkpoint: {file} {problem}") from error


def _said(file: Path, checkpoint: Any) -> _Said:
    try:
        if not isinstance(checkpoint["state_dict"], dict):
            raise TypeError("state_dict is no mapping")  # noqa: TRY301 - said in one place
        said = msgspec.convert(checkpoint["config"], _Said)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise StartupError(f"{_NEEDED_BY}.checkpoint: {file} has another layout: {one_line(error)}") from None
    names = said.arch.args
    if not names.model_name.endswith("ForSequenceClassification") or "Tokenizer" not in names.tokenizer_name:
        raise StartupError(f"{file}: {names.model_name} with {names.tokenizer_name} is no text classifier")
    if not 0 < len(said.dataset.args.classes) <= names.num_classes:
        raise StartupError(f"{file}: {len(said.dataset.args.classes)} names for {names.num_classes} classes")
    return said


def _model(detoxify: Any, file: Path, folder: Path, names: _ModelArguments, weights: Any) -> tuple[Any, Any]:
    arguments = msgspec.to_builtins(names) | {"model_type": str(folder), "state_dict": weights}
    model, tokenizer = loaded(lambda: detoxify.get_model_and_tokenizer(**arguments), f"{file} with {folder}")
    # What is not in the file would be random numbers, and no error.
    if missing := sorted(dict(model.named_parameters()).keys() - weights.keys()):
        raise StartupError(f"{file} does not fit {folder}: it has no {', '.join(missing[:3])}")
    return model, tokenizer
