"""Models of torch from folders of this machine: what is missing is named, and nothing is fetched."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Iterable
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from headrace import paths
from headrace.errors import StartupError

T = TypeVar("T")
SETUP = "make setup-detoxify"


class NotThere(StartupError):
    """A package or a file is missing: what a fallback is for, unlike one that is wrong."""


def package(name: str, needed_by: str) -> Any:
    """The module of this name, which takes seconds the first time. Raises `NotThere` without it."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # read when it is imported
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise NotThere(f"{needed_by}: {missing} is not installed; run {SETUP}") from None
    except ImportError as error:
        raise NotThere(f"{needed_by}: {name} cannot be imported ({one_line(error)}); run {SETUP}") from None


def located(path: Path) -> Path:
    """Relative ones are in the project: Triton's processes run in folders of their own."""
    return paths.PROJECT / path.expanduser()


def folder_with(folder: Path, files: Iterable[str], needed_by: str) -> Path:
    """The folder, when it holds these files. Raises `NotThere`."""
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise NotThere(f"{needed_by}: {folder} has no {', '.join(missing)}")
    return folder


def check_tokenizer(tokenizer: Any, model: Any, folder: Path, needed_by: str) -> None:
    """Without its files transformers makes one that knows no word, and says nothing. Raises `StartupError`."""
    names = dict(type(tokenizer).vocab_files_names)
    whole = names.pop("tokenizer_file", "tokenizer.json")
    if not (folder / whole).is_file():
        folder_with(folder, names.values() or [whole], needed_by)
    known, seen = len(tokenizer), model.get_input_embeddings().num_embeddings
    if known > seen:
        raise StartupError(f"{needed_by}: {folder}: its tokenizer has {known} tokens, its model {seen}")


def sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def loaded(load: Callable[[], T], what: object) -> T:
    """What `load` gives. Raises `StartupError` in one line, whatever is wrong with the files."""
    try:
        return load()
    except Exception as error:
        raise StartupError(f"{what}: cannot be loaded: {type(error).__name__}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
