"""Find stop strings in text that arrives in pieces, and never show a part of one.

Matching is on text, not on tokens, since the same string tokenizes differently in different contexts.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Text in, text out; what could still become a stop string is held back.

    An Aho-Corasick automaton: one state follows the text, however many strings there are. The state's depth is
    the length of the longest tail that begins some stop string, which is just what must be held back.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fail = [0]
        self._depth = [0]
        self._match_length = [0]
        for string in stop:
            self._insert(string)
        self._link()
        self._state = 0
        self._held = ""
        self.matched = False

    def _insert(self, string: str) -> None:
        if not string:
            raise ValueError("a stop string must not be empty")
        state = 0
        for character in string:
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._fail.append(0)
                self._depth.append(self._depth[state] + 1)
                self._match_length.append(0)
            state = self._next[state][character]
        self._match_length[state] = len(string)

    def _link(self) -> None:
        queue = list(self._next[0].values())
        for state in queue:
            for character, child in self._next[state].items():
                self._fail[child] = self._step(self._fail[state], character)
                # Of two strings that end here, the longer began earlier: cut there.
                self._match_length[child] = self._match_length[child] or self._match_length[self._fail[child]]
                queue.append(child)

    def _step(self, state: int, character: str) -> int:
        while state and character not in self._next[state]:
            state = self._fail[state]
        return self._next[state].get(character, 0)

    def feed(self, text: str, final: bool = False) -> str:
        """Text that is safe to show. After a match `matched` is True and nothing more comes out."""
        if self.matched:
            return ""
        if len(self._next) == 1:
            return text
        pending = self._held + text
        for position, character in enumerate(text, start=len(self._held) + 1):
            self._state = self._step(self._state, character)
            if length := self._match_length[self._state]:
                self.matched = True
                self._held = ""
                return pending[: position - length]
        keep = 0 if final else self._depth[self._state]
        self._held = pending[len(pending) - keep :]
        return pending[: len(pending) - keep]
