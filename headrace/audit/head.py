"""The head: a small file that says how far the chain goes, so that lines dropped from its end are missed."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from headrace.audit import chain
from headrace.audit.chain import Flaw, Position
from headrace.audit.segments import opener

NAME = "head.json"


class _Head(msgspec.Struct):
    sequence: int
    last: str


def write(folder: Path, position: Position, key: bytes | None, durable: bool) -> None:
    """Replaces it as a whole; `durable`: on disk. Raises `OSError`."""
    content = b'{"schema":%d,"sequence":%d,"last":"%b"' % (
        chain.SCHEMA, position.sequence, position.hash.encode(),
    )  # fmt: skip
    draft = folder / f"{NAME}.new"
    with open(draft, "wb", buffering=0, opener=opener) as file:
        file.write(chain.sealed(content, key))
        if durable:
            os.fsync(file)
    draft.replace(folder / NAME)


def read(folder: Path, key: bytes | None) -> Position | None:
    """None when there is none. Raises `Flaw`."""
    try:
        text = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Flaw("bad", f"not a head: {error}") from None
    chain.check_seal(text, key)
    return Position(head.sequence, head.last)
