"""W3C trace context: the id that one request has in every system that it passes.

https://www.w3.org/TR/trace-context/: `traceparent` is version-trace-parent-flags, in small hex digits.
`tracestate`, a list of key=value, is what the systems on the way keep there for themselves: it is passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.gateway.ids import new_id

PARENT, STATE = "traceparent", "tracestate"
_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_MOST_STATE = 512
"""Characters; more need not be passed on (3.3.1.5)."""
_MEMBER = re.compile(r"[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True)
class Trace:
    trace_id: str
    span_id: str
    """Of what happens here."""
    parent_id: str = ""
    """Of the caller; empty when the trace begins here."""
    flags: str = "00"
    state: str = ""
    """Of the caller."""

    @property
    def header(self) -> str:
        """For those who are called from here."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def of(parent: str | None, state: str = "") -> Trace:
    """Goes on with the caller's trace; begins one when there is none, or none that can be read."""
    found = _FORM.fullmatch(parent.strip()) if parent else None
    if found is None or not _is_valid(found):
        return Trace(new_id(32), new_id(16))
    # Of a later version only what this one has is understood, its last bit for instance.
    flags = f"{int(found['flags'], 16) & 1:02x}"
    return Trace(found["trace"], new_id(16), found["parent"], flags, _kept(state))


def _kept(state: str) -> str:
    """All of it or, when it is none, nothing."""
    if len(state) > _MOST_STATE:
        return ""
    members = [stripped for member in state.split(",") if (stripped := member.strip(" \t"))]
    return ",".join(members) if all(map(_MEMBER.fullmatch, members)) else ""


def _is_valid(found: re.Match[str]) -> bool:
    whole = found["version"] != "00" or found["more"] is None
    return whole and found["version"] != "ff" and found["trace"] != _NO_TRACE and found["parent"] != _NO_PARENT
