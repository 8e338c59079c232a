"""What a server's responses are read as."""

from __future__ import annotations

import json
import struct

import pytest

from redteam import door
from redteam.door import NoAnswer

VERDICT = json.dumps({"action": "allow"})


def outputs(text: str, finish_reason: str = "", guard: str = "") -> dict[str, bytes]:
    said = {"text_output": text, "finish_reason": finish_reason, "guard": guard}
    tensors = {name: struct.pack("<I", len(value.encode())) + value.encode() for name, value in said.items()}
    return tensors | {"completion_tokens": struct.pack("<i", len(text))}


def test_a_stream_is_its_pieces_and_what_the_last_one_says() -> None:
    found = door._answer([outputs("Grüße"), outputs(", Ruth", "length", VERDICT)])
    assert (found.pieces, found.text) == (("Grüße", ", Ruth"), "Grüße, Ruth")
    assert (found.finish_reason, found.completion_tokens, found.guard) == ("length", 6, {"action": "allow"})


def test_an_answer_without_a_verdict_says_nothing_of_the_guards() -> None:
    unguarded = {name: raw for name, raw in outputs("Hi", "length").items() if name != "guard"}
    for last in (outputs("Hi", "length"), unguarded):
        with pytest.raises(NoAnswer, match="without a verdict"):
            door._answer([outputs("Oh"), last])


def test_an_empty_stream_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="ended without a word"):
        door._answer([])
