"""How many tokens a prompt has, remembered: what the cache answers would else wait for the tokenizer."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

_MOST = 8192


class TokenCounts:
    """Of the prompts that came last; of each a hash is kept, no text."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    def get(self, prompt: str) -> int | None:
        key = _key(prompt)
        found = self._counts.get(key)
        if found is not None:
            self._counts.move_to_end(key)
        return found

    def put(self, prompt: str, count: int) -> None:
        self._counts[_key(prompt)] = count
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)


def _key(prompt: str) -> bytes:
    return hashlib.blake2b(prompt.encode(errors="surrogatepass"), digest_size=16).digest()
