"""How an attack is written, so that a filter of words does not see it.

A case holds plain words. Its technique rewrites what stands between « and » in them, or all of them without marks.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Callable

Rewrite = Callable[[str], str]
_MARKED = re.compile("«(.*?)»", re.DOTALL)
# Cyrillic letters that look like these.
_LOOKALIKES = str.maketrans(
    "aceiopsxyAEO", "\u0430\u0441\u0435\u0456\u043e\u0440\u0455\u0445\u0443\u0410\u0415\u041e"
)
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
_STROKES = "\u0335\u0336"
_HARMLESS = "The river runs past the old mill, and in the evening the cows come down to the meadow. "
_LONG = 2500
"""Characters that an attack hides behind."""

LETTER_BY_LETTER: dict[str, Rewrite] = {
    "zero-width": "\u200b".join,
    "homoglyph": lambda text: text.translate(_LOOKALIKES),
    "leetspeak": lambda text: text.translate(_LEET),
    "full-width": lambda text: text.translate(_FULL_WIDTH),
    "combining-marks": lambda text: "".join(c + _STROKES * c.isalpha() for c in text),
    "spaced-letters": " ".join,
    "dotted-letters": ".".join,
    "html-entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "rot13": lambda text: codecs.encode(text, "rot13"),
}
AS_A_WHOLE: dict[str, Rewrite] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "reversed": lambda text: text[::-1],
    "in-json": lambda text: json.dumps({"by": {"name": "R. Weaver"}, "notes": ["Tea at four.", text]}),
    "code-fence": lambda text: f"```python\ndef main():\n    # {text}\n    return None\n```",
    "long-prefix": lambda text: _HARMLESS * (_LONG // len(_HARMLESS)) + text,
}
BY_HAND = {
    "capitals",
    "fake-roles",
    "grouping",
    "in-document",
    "markup",
    "mixed-language",
    "other-language",
    "paraphrase",
    "plain",
    "role-play",
    "spelled-out",
    "split-messages",
    "trigger-words",
}
NAMES = LETTER_BY_LETTER.keys() | AS_A_WHOLE.keys() | BY_HAND


def rewritten(technique: str, text: str) -> str:
    """A message as it is sent."""
    rewrite = LETTER_BY_LETTER.get(technique) or AS_A_WHOLE.get(technique)
    if rewrite is None:
        return text
    if _MARKED.search(text):
        return _MARKED.sub(lambda match: rewrite(match[1]), text)
    return rewrite(text)


def letters(technique: str, text: str) -> str:
    """A part of a message as it stands in what is sent, as far as that can be said of a part."""
    rewrite = LETTER_BY_LETTER.get(technique)
    return rewrite(text) if rewrite else text


def unmarked(text: str) -> str:
    """The plain words."""
    return _MARKED.sub(lambda match: match[1], text)
