"""The system's Chromium, headless, for the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from headrace.errors import StartupError

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing that it would ask of its maker: whatever leaves is the page's.
_ARGUMENTS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """Raises `StartupError`."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    raise StartupError("there is no Chromium; install the system's package `chromium` (apt-get install chromium)")


@contextmanager
def chromium() -> Iterator[Browser]:
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
