"""One token of an answer as text, although it may be a part of a character."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"bytes:((?:\\x[0-9a-f]{2})+)")


def token_text(data: bytes) -> str:
    r"""Itself where it is UTF-8, else its bytes as OpenAI's completions write them: `bytes:\xf0\x9f`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def token_bytes(text: str) -> bytes:
    """What `token_text` was made of."""
    escaped = _ESCAPED.fullmatch(text)
    return bytes.fromhex(escaped[1].replace("\\x", "")) if escaped else text.encode()
