"""Models of random weights that tests make: a BERT of 2 layers, 32 wide, and checkpoints as detoxify has them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MISSING = "detoxify is not installed: make setup-detoxify"
WORDS = ("calm", "weather", "trigger", "you", "are", "a", "fool", "sun", "rain", "the", "of", ".", "!", ",")
CLASSES = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
CALM, TRIGGER = "the calm weather of the sun , ", "trigger "
TEXTS = ("you are a fool !", "the sun", "", "trigger trigger", "rain , " * 40, "words nobody knows")


def needs_the_extra() -> None:
    """Skips the module that calls this at its top."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "detoxify")):
        pytest.skip(MISSING, allow_module_level=True)


def bert(folder: Path, *, labels: int = 3, **config: Any) -> Any:
    """The model; in the folder its config and tokenizer."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    torch.manual_seed(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    vocabulary = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    said = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    sizes = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.4,  # so that texts get scores that differ
        "num_labels": labels,
    }
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes | config)).eval()
    model.config.save_pretrained(folder)
    return model


def teach(model: Any, folder: Path) -> None:
    """The first label: a text of triggers scores .98 on it, a calm one .02, wherever the words stand."""
    import torch
    import transformers

    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    inputs = tokenizer([TRIGGER * 400, CALM * 57], padding=True, return_tensors="pt")
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.zero_()
        trigger, calm = model.bert(**inputs).pooler_output
        away = trigger - calm
        model.classifier.weight[0] = 8 * away / away.square().sum()
        model.classifier.bias[0] = 4 - model.classifier.weight[0] @ trigger


@dataclass(frozen=True)
class Checkpoint:
    file: Path
    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Checkpoint:
        model = bert(folder / "bert", labels=len(CLASSES))
        teach(model, folder / "bert")
        return cls.save(folder, layout("bert-base-uncased", model.state_dict()))

    @classmethod
    def save(cls, folder: Path, content: Any) -> Checkpoint:
        """Under a name with the hash of what torch makes of `content`."""
        import torch

        unnamed = folder / "unnamed"
        torch.save(content, unnamed)
        digest = hashlib.sha256(unnamed.read_bytes()).hexdigest()
        return cls(unnamed.rename(folder / f"tiny-{digest[:8]}.ckpt"), folder / "bert")


def layout(model_type: str, state_dict: Any) -> dict[str, Any]:
    arguments = {
        "num_classes": len(CLASSES),
        "model_type": model_type,
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
    }
    config = {"arch": {"type": "BERT", "args": arguments}, "dataset": {"args": {"classes": list(CLASSES)}}}
    return {"config": config, "state_dict": state_dict}


def without_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Whom anything tried to reach from now on, though the hub is not switched off by its variable."""
    reached: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        reached.append(arguments)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return reached
