"""What comes out of Triton, with one shape whatever the protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headrace.client import tensors


@dataclass(frozen=True)
class Piece:
    """One response."""

    text: bytes
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    log_probs: tuple[float, ...]
    log_prob_tokens: tuple[str, ...]
    guard: str = field(default="", compare=False)
    """The verdict, of the public models."""


@dataclass(frozen=True)
class Answer:
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return b"".join(piece.text for piece in self.pieces).decode("utf-8", "strict")

    @property
    def last(self) -> Piece:
        return self.pieces[-1]

    @property
    def log_probs(self) -> tuple[float, ...]:
        return tuple(p for piece in self.pieces for p in piece.log_probs)


class Refused(Exception):
    """An error as the client sees it."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        """A gRPC code's name or an HTTP status."""
        self.message = message


def check_stream(answer: Answer) -> None:
    """What holds for every stream: text in every chunk but perhaps the last, which alone has a finish reason."""
    *pieces, last = answer.pieces
    for piece in answer.pieces:
        piece.text.decode("utf-8", "strict")
    for piece in pieces:
        assert piece.text
        assert piece.finish_reason == ""
    assert last.finish_reason in {"stop", "length"}
    counts = [piece.completion_tokens for piece in answer.pieces]
    assert counts == sorted(counts)
    assert len({piece.prompt_tokens for piece in answer.pieces}) == 1


def refused(error: Any) -> Refused:
    """gRPC's error in this module's words; its type promises neither code nor details, but it has both."""
    return Refused(error.code().name, error.details() or "")


def grpc_piece(response: Any) -> Piece:
    raw = {
        output.name: content
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    log_probs = np.frombuffer(raw["log_probs"], dtype=np.float32).tolist()
    return Piece(
        text=_only_string(raw["text_output"]),
        finish_reason=_only_string(raw["finish_reason"]).decode(),
        prompt_tokens=int.from_bytes(raw["prompt_tokens"], "little"),
        completion_tokens=int.from_bytes(raw["completion_tokens"], "little"),
        log_probs=tuple(log_probs),
        log_prob_tokens=tensors.texts(raw, "log_prob_tokens"),
        guard=_only_string(raw["guard"]).decode() if "guard" in raw else "",
    )


def _only_string(data: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", data)
    assert len(data) == 4 + length
    return data[4:]


def infer_text(body: bytes) -> str:
    """The text in the body of an /infer answer."""
    outputs = {output["name"]: output["data"] for output in json.loads(body)["outputs"]}
    text: str = outputs["text_output"][0]
    return text


def http_refused(status: int, body: bytes) -> Refused:
    try:
        return Refused(str(status), json.loads(body)["error"])
    except (ValueError, KeyError):
        return Refused(str(status), body.decode("utf-8", "replace"))


def _many(values: Any) -> tuple[Any, ...]:
    """Triton's JSON has one value without its list."""
    return tuple(values) if isinstance(values, list) else (values,)


def json_piece(values: Mapping[str, Any]) -> Piece:
    log_probs = values["log_probs"]
    return Piece(
        text=values["text_output"].encode("utf-8"),
        finish_reason=values["finish_reason"],
        prompt_tokens=values["prompt_tokens"],
        completion_tokens=values["completion_tokens"],
        log_probs=_many(log_probs),
        log_prob_tokens=_many(values["log_prob_tokens"]),
        guard=values.get("guard", ""),
    )
