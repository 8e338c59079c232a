"""Packages that others import only because they are there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """As if they were not installed, for what this thread imports in here. One that is already loaded stays."""
    finder = _Finder(packages)
    # None in `sys.modules` would hide them too, but scipy, in any thread, takes that for the module.
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Asked before all others where a module is that is not loaded."""

    def __init__(self, packages: tuple[str, ...]) -> None:
        self._packages = packages
        self._thread = threading.get_ident()

    def find_spec(self, name: str, *_: object) -> None:
        if name in self._packages and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
