"""The model's tokenizer, from the files of its folder (Hugging Face layout), without torch or transformers."""

from __future__ import annotations

import json
import os
import re
from functools import cached_property
from pathlib import Path

import tokenizers

from headrace.errors import StartupError

# Else a text alone would be given to a pool of threads, as if it were many.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte, inverted: printable Latin-1 stands for itself, the others for
    U+0100 onwards in order."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _ids(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """Without the places of the tokens in the text, which nobody asks for and which take a quarter of the time."""
    return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids


class Tokenizer:
    """Encodes prompts and gives each token's bytes. Thread-safe."""

    def __init__(self, model: Path) -> None:
        file = model / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
            decoder = json.loads(file.read_text(encoding="utf-8")).get("decoder") or {}
        except Exception as error:  # noqa: BLE001 - the library raises plain Exception
            raise StartupError(f"{file}: cannot be read as a tokenizer: {error}") from None
        self._byte_level = "ByteLevel" in json.dumps(decoder)
        self._alphabet = _byte_level_alphabet()
        added = self._tokenizer.get_added_tokens_decoder()
        self._special = {token.content: token_id for token_id, token in added.items() if token.special}
        self._hidden = frozenset(self._special.values())
        self._literal = {token_id: token.content.encode() for token_id, token in added.items()}
        self._bytes: dict[int, bytes] = {}

    @cached_property
    def special_tokens(self) -> tuple[str, ...]:
        """Control tokens such as `<|im_start|>`, longest first."""
        return tuple(sorted(self._special, key=len, reverse=True))

    @cached_property
    def vocabulary_size(self) -> int:
        """Ids are below it, those of added tokens too."""
        return max(self._tokenizer.get_vocab().values()) + 1

    def encode(self, text: str) -> list[int]:
        """Ids of a text in which control tokens count as such."""
        return _ids(self._tokenizer, text)

    @cached_property
    def _plain(self) -> tokenizers.Tokenizer:
        """Only who writes control tokens into a text needs it; it takes 11 MB."""
        plain = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
        plain.encode_special_tokens = True
        return plain

    def encode_plain(self, text: str) -> list[int]:
        """Ids of a text in which control tokens are nothing but characters."""
        return _ids(self._plain, text)

    def special_id(self, token: str) -> int:
        return self._special[token]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that this token adds to an answer; none for control tokens and unknown ids."""
        data = self._bytes.get(token_id)
        if data is None:
            if not 0 <= token_id < self.vocabulary_size:
                return b""  # not kept: there is no end of them
            data = self._bytes[token_id] = self._compute_bytes(token_id)
        return data

    def _compute_bytes(self, token_id: int) -> bytes:
        if token_id in self._hidden:
            return b""
        if token_id in self._literal:
            return self._literal[token_id]
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        if self._byte_level:
            # A token that is not made of the alphabet is taken as it stands.
            stood_for = [self._alphabet.get(character) for character in token]
            return token.encode() if None in stood_for else bytes(byte for byte in stood_for if byte is not None)
        if byte := _BYTE_TOKEN.fullmatch(token):
            return bytes([int(byte[1], 16)])
        return token.replace("\u2581", " ").encode()
