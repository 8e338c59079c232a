"""The page as a user has it: controls are found by their roles and labels, as a screen reader finds them."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, expect

SECONDS = 60.0
"""For anything: the machine may be busy."""
expect.set_options(timeout=1000 * SECONDS)
_REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What the browser says of every refusal; the page's own mistakes read otherwise."""


class Playground:
    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        """Errors and warnings in the console, and requests that left for somewhere else."""
        page.set_default_timeout(1000 * SECONDS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def open(self) -> None:
        self.page.goto(self.url)
        expect(self.badge).to_have_text("ready")

    @property
    def badge(self) -> Locator:
        return self.page.get_by_role("banner").get_by_role("status")

    @property
    def text(self) -> Locator:
        return self.page.get_by_role("textbox", name="Your message")

    @property
    def key(self) -> Locator:
        return self.page.get_by_label("API key")

    @property
    def policy(self) -> Locator:
        return self.page.get_by_role("combobox", name="Policy")

    @property
    def max_tokens(self) -> Locator:
        return self.page.get_by_role("spinbutton", name="Max tokens")

    @property
    def temperature(self) -> Locator:
        return self.page.get_by_role("spinbutton", name="Temperature")

    @property
    def announced(self) -> Locator:
        return self.page.get_by_role("region", name="Chat").get_by_role("status")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    @property
    def last(self) -> Locator:
        """The last message."""
        return self.page.get_by_role("list", name="Messages").locator("> li").last

    def said(self) -> str:
        """The text of the last message."""
        return self.last.locator("p").inner_text()

    def figure(self, part: str, name: str) -> Locator:
        """One of those at the side, such as `Cost` of `Last answer`."""
        rows = self.page.get_by_role("region", name=part)
        return rows.locator(f"dt:text-is('{name}') + dd")

    def send(self, text: str, **settings: str) -> None:
        """Does not wait for the answer. `settings`: `max_tokens`, `temperature`, `key`, `policy`."""
        if "max_tokens" in settings:
            self.max_tokens.fill(settings["max_tokens"])
        if "temperature" in settings:
            self.temperature.fill(settings["temperature"])
        if "key" in settings:
            self.key.fill(settings["key"])
        if "policy" in settings:
            self.policy.select_option(settings["policy"])
        self.text.fill(text)
        self.text.press("Enter")

    def ask(self, text: str, **settings: str) -> None:
        """Returns once the answer, or an error, is there."""
        self.send(text, **settings)
        expect(self.button("Send")).to_be_visible()

    def too_wide(self) -> Sequence[str]:
        """Parts of the page that scroll sideways, or would if they could."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("html, body, #messages, aside, form")]
                .filter((part) => part.scrollWidth > part.clientWidth)
                .map((part) => part.id || part.tagName)"""
        )
        return found

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REFUSED):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(f"{self.url}/"):
            self.complaints.append(f"a request to {request.url}")
