"""What set-up shows while it works: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress:
    """Announces steps and follows downloads."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        self._console.print(f"→ {text}", markup=False)

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A step of unknown length: a spinner, then the seconds it took."""
        began = time.monotonic()
        spinner = self._console.status(text) if self._console.is_terminal else contextlib.nullcontext()
        with spinner:
            yield
        self.say(f"{text} ({time.monotonic() - began:.1f} s)")

    @contextlib.contextmanager
    def bytes(self, text: str, total: int, folder: Path) -> Iterator[None]:
        """Follow a download by what lies in `folder`."""
        if not self._console.is_terminal:
            with self.step(f"{text}, {total / 1e6:.0f} MB"):
                yield
            return
        columns = (TextColumn("→ {task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(text, total=total)
            finished = threading.Event()
            follower = threading.Thread(target=_follow, args=(bars, task, folder, total, finished))
            follower.start()
            try:
                yield
                bars.update(task, completed=total)
            finally:
                finished.set()
                follower.join()


def _follow(bars: Bars, task: TaskID, folder: Path, total: int, finished: threading.Event) -> None:
    while not finished.wait(0.2):
        bars.update(task, completed=min(total, _size(folder)))


def _size(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files while we look
            size += file.stat().st_size
    return size
