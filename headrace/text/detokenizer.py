"""Token ids to text as they arrive, byte for byte what decoding them all at once gives.

A token is a run of bytes, not of characters: one emoji may span four tokens. So tokens become bytes, and bytes
become text only when they complete a character. Invalid bytes become U+FFFD by the same rule (Unicode 3.9,
maximal subparts) whether they arrive together or apart.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from headrace.text.tokenizer import Tokenizer


class Detokenizer:
    """State of one answer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_ids: Iterable[int], final: bool = False) -> str:
        """Text that these tokens complete; with `final`, also what an unfinished character leaves."""
        data = b"".join(map(self._tokenizer.token_bytes, token_ids))
        return self._utf8.decode(data, final)
