"""Steps `postprocess` (one answer) and `postprocess_stream` (an answer in pieces): token ids in, text out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from headrace import config
from headrace.text.tokenizer import Tokenizer
from headrace.triton.adapter import FINAL, answer_each, error_response, reader, response
from headrace.triton.postprocessing import AnswerPiece, Postprocessor
from headrace.triton.tensors import GetTensor, Outputs, row, string_tensor


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        policy = json.loads(args["model_config"]).get("model_transaction_policy", {})
        self._streams = bool(policy.get("decoupled"))
        settings = config.load()
        self._postprocessor = Postprocessor(Tokenizer(settings.engine.model), settings.limits)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        if not self._streams:
            return answer_each(requests, self._whole)
        for request in requests:
            self._send_piece(reader(request), request.get_response_sender())
        return None

    def _whole(self, get: GetTensor) -> Outputs:
        return _outputs(self._postprocessor.whole(get), whole=True)

    def _send_piece(self, get: GetTensor, sender: Any) -> None:
        try:
            piece = self._postprocessor.piece(get)
        except Exception as error:  # noqa: BLE001 - a step must answer every request
            sender.send(error_response(error), flags=FINAL)
            return
        if piece is None:
            sender.send(flags=FINAL)  # all of it is held back: the client sees nothing
        else:
            outputs = _outputs(piece, whole=False) | {
                "stream_id": row(piece.stream_id, np.uint64),
                "prompt_verdict": string_tensor(piece.prompt_verdict),
            }
            sender.send(response(outputs), flags=FINAL)


def _outputs(piece: AnswerPiece, whole: bool) -> Outputs:
    return {
        "text_output": string_tensor(piece.text),
        "finish_reason": string_tensor(piece.finish_reason),
        "prompt_tokens": row(piece.prompt_tokens, np.int32),
        "completion_tokens": row(piece.completion_tokens, np.int32),
        **piece.log_probs.outputs(whole),
    }
