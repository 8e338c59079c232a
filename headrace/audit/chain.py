"""The hash chain: each line holds the hash of the line before and its own.

A line is `{"schema":1,"kind":"request","sequence":7,` + the record's fields + `,"prev":"…","hash":"…"}` and a line
feed. `hash` is over all the bytes of the line before `,"hash"`: HMAC-SHA256 (RFC 2104) when there is a key, else
SHA-256. Nothing is parsed and written again to check it: fields of later versions do no harm, and each byte of a
line is either hashed or fixed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal, NamedTuple

import msgspec

SCHEMA = 1
Kind = Literal["request", "recovered"]

_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"}\n')
_SEAL_BYTES = 76


class Position(NamedTuple):
    """A place in the chain: the last line's number and hash."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


START = Position(0, "0" * 64)
"""Before the first line."""


class Link(msgspec.Struct):
    """What a line says of its place in the chain."""

    schema: int
    kind: str
    sequence: int
    time: str
    prev: str
    hash: str

    @property
    def day(self) -> str:
        return self.time[:10]

    @property
    def position(self) -> Position:
        return Position(self.sequence, self.hash)


class Flaw(ValueError):
    """What is wrong with one line by itself."""

    def __init__(self, kind: Literal["bad", "changed"], problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


_links = msgspec.json.Decoder(Link)


def digest(content: bytes, key: bytes | None) -> str:
    return hashlib.sha256(content).hexdigest() if key is None else hmac.digest(key, content, "sha256").hex()


def sealed(content: bytes, key: bytes | None) -> bytes:
    """A JSON object that lacks its closing brace, as a line with its hash."""
    return b'%b,"hash":"%b"}\n' % (content, digest(content, key).encode())


def check_seal(line: bytes, key: bytes | None) -> None:
    """Raises `Flaw`."""
    seal = _SEAL.fullmatch(line, max(0, len(line) - _SEAL_BYTES))
    if seal is None:
        raise Flaw("bad", "does not end in a hash")
    if digest(line[:-_SEAL_BYTES], key).encode() != seal[1]:
        raise Flaw("changed", "does not fit its hash")


def line(kind: Kind, fields: bytes, after: Position, key: bytes | None) -> tuple[bytes, Position]:
    """The line that follows `after`, and its own place. `fields`: JSON without braces."""
    sequence = after.sequence + 1
    head = b'{"schema":%d,"kind":"%b","sequence":%d,' % (SCHEMA, kind.encode(), sequence)
    written = sealed(b'%b%b,"prev":"%b"' % (head, fields, after.hash.encode()), key)
    return written, Position(sequence, written[-67:-3].decode())


def read(line: bytes, key: bytes | None) -> Link:
    """Raises `Flaw` for what is no line of a log, or does not fit its hash."""
    try:
        link = _links.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Flaw("bad", f"not a line of an audit log: {error}") from None
    check_seal(line, key)
    return link
