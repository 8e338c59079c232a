"""Valid tenants files in many ways to write them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

COMMENTS = ("", "", "", "# a note", "#- id: no", "# tenants: {a: b} - 'x", "  # far right")


@st.composite
def files(draw: Callable[[Any], Any]) -> str:
    """Its text, with `\\n` or `\\r\\n`."""
    names = draw(st.lists(st.sampled_from(["acme", "beta", "on", "123", "x-y_z", "null", "1e3"]), unique=True))
    step = draw(st.sampled_from([1, 2, 4]))
    lines = draw(notes(0))
    if draw(st.booleans()):
        lines += ["anonymous:", f"{' ' * step}priority: 4{draw(trailing())}"]
    tenants = draw(flow_tenants(names)) if draw(st.booleans()) else draw(block_tenants(names, step))
    issuers = ["issuers:", "- issuer: 'https://a/'", "  audience: b", "  jwks: c.json"]
    parts = [tenants, issuers] if draw(st.booleans()) else [issuers, tenants]
    if draw(st.booleans()):
        parts.remove(issuers)
    for part in parts:
        lines += [*part, *draw(notes(0))]
    text = "\n".join(lines) + draw(st.sampled_from(["\n", "\n", "", "\n\n", "\n...\n"]))
    if draw(st.booleans()):
        text = "---\n" + text
    found: str = text.replace("\n", "\r\n") if draw(st.booleans()) else text
    return found


def notes(column: int) -> Any:
    note = st.sampled_from(["", "# a note", "# - 'quoted\" [", f"{' ' * 7}# deep"])
    return st.lists(note.map(lambda text: text and " " * column + text), max_size=2)


def trailing() -> Any:
    return st.sampled_from(["", "", " # why - so", "   "])


def quoted(name: str) -> Any:
    plain = name not in ("on", "123", "null", "1e3")
    return st.sampled_from([f'"{name}"', f"'{name}'", *([name] if plain else [])])


@st.composite
def block_tenants(draw: Callable[[Any], Any], names: list[str], step: int) -> list[str]:
    if not names:
        return [
            draw(st.sampled_from(["tenants:", "tenants: {}", "tenants: ~", "tenants: {} # none", "tenants: { }"]))
        ]
    lines = ["tenants:" + draw(trailing()), *draw(notes(step))]
    for place, name in enumerate(names):
        lead = " " * step + draw(quoted(name)) + ":"
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"{lead} {draw(flow_tenant(name))}{draw(trailing())}")
        elif place and draw(st.integers(0, 4)) == 0:
            lines.append(lead + draw(trailing()))
        else:
            lines += [lead + draw(trailing()), *draw(block_tenant(name, step))]
        lines += draw(notes(step))
    return lines


@st.composite
def block_tenant(draw: Callable[[Any], Any], name: str, step: int) -> list[str]:
    indent = " " * 2 * step
    display = draw(
        st.sampled_from(["Plain text", "'single # quote'", '"dou-ble: x"', "two\n" + indent + "  lines"])
    )
    settings = [
        f"display_name: {display}",
        f"budgets: [{{amount: '1.50', period: day}},\n{indent}  {{amount: '9', period: month}}]",
        "models:\n" + "\n".join(f"{indent}- {model}" for model in ("one", "two # second")),
        "priority: 2" + draw(trailing()),
    ]
    chosen = draw(st.lists(st.sampled_from(settings), unique=True, min_size=1))
    keys = draw(key_lists(name, indent))
    order = draw(st.permutations([*chosen, *keys]))
    lines: list[str] = []
    for one in order:
        lines += [f"{indent}{one}", *draw(notes(2 * step))]
    return lines


@st.composite
def key_lists(draw: Callable[[Any], Any], name: str, indent: str) -> list[str]:
    count = draw(st.integers(0, 2))
    if count == 0:
        return draw(st.sampled_from([[], ["keys: []"], ["keys:"], ["keys: null # none"]]))  # type: ignore[no-any-return]
    entries = [draw(key(name, place)) for place in range(count)]
    if draw(st.booleans()):
        return [
            "keys: ["
            + f",\n{indent}  ".join(_flow(entry) for entry in entries)
            + draw(st.sampled_from(["]", ", ]"]))
        ]
    inner = indent + draw(st.sampled_from(["", "  ", "    "]))
    items = []
    for entry in entries:
        if draw(st.booleans()):
            items.append(f"{inner}- {_flow(entry)}{draw(trailing())}")
        else:
            pairs = [f"{one}: {value}{draw(trailing())}" for one, value in entry.items()]
            items.append(f"{inner}- " + f"\n{inner}  ".join(pairs))
        items += draw(notes(len(inner)))
    return ["\n".join(["keys:" + draw(trailing()), *items])]


def _flow(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in pairs.items()) + "}"


@st.composite
def key(draw: Callable[[Any], Any], name: str, place: int) -> dict[str, str]:
    digest = hashlib.sha256(f"{name}{place}".encode()).hexdigest()
    entry = {"id": f"'{digest[:12]}'", "sha256": f"'{digest}'", "created": f"2026-01-0{place + 1}T00:00:00Z"}
    expires = draw(st.sampled_from([None, "null", '"2030-01-01T00:00:00Z"', "2026-01-05T00:00:00+02:00"]))
    return entry | ({"expires": expires} if expires else {})


@st.composite
def flow_tenant(draw: Callable[[Any], Any], name: str) -> str:
    pairs = draw(st.lists(st.sampled_from(["priority: 1", "display_name: 'a, b'", "models: [x, y]"]), unique=True))
    count = draw(st.integers(0, 2))
    if count or draw(st.booleans()):
        keys = ", ".join([_flow(draw(key(name, place))) for place in range(count)])
        pairs.append(f"keys: [{keys}]")
    found: str = "{" + ", ".join(draw(st.permutations(pairs))) + draw(st.sampled_from(["}", " }"]))
    return found


@st.composite
def flow_tenants(draw: Callable[[Any], Any], names: list[str]) -> list[str]:
    pairs = [f"{draw(quoted(name))}: {draw(flow_tenant(name))}" for name in names]
    if draw(st.booleans()):
        return ["tenants: {" + ", ".join(pairs) + "}" + draw(trailing())]
    return ["tenants: { # all", *(f"  {pair}," for pair in pairs), "  # the end", "}"]
