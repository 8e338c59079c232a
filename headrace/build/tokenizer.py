"""Writes the Hugging Face files of a model from its GGUF metadata: no hub, no torch, no transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from headrace.errors import StartupError

_ADDED = {TokenType.CONTROL: True, TokenType.USER_DEFINED: False}
"""Token types that stand outside the merges → whether they are hidden from answers."""


def write_files(source: Path, eos_token_ids: tuple[int, ...], folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, config.json and generation_config.json into `folder`."""
    metadata = _Metadata(source)
    build_tokenizer(metadata).save(str(folder / "tokenizer.json"))
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    bos, eos, unk, pad = (
        metadata[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "unknown", "padding")
    )
    architecture = metadata["general.architecture"]
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": tokens[bos],
            "eos_token": tokens[eos],
            "unk_token": tokens[unk],
            "pad_token": tokens[pad],
            "add_bos_token": metadata["tokenizer.ggml.add_bos_token"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": metadata[f"{architecture}.context_length"],
            "chat_template": metadata["tokenizer.chat_template"],
        },
    )
    ends = {"bos_token_id": bos, "eos_token_id": list(eos_token_ids), "pad_token_id": pad}
    _write(folder / "generation_config.json", ends)
    _write(folder / "config.json", _model_config(metadata, architecture, len(tokens)) | ends)


def build_tokenizer(metadata: _Metadata) -> Tokenizer:
    """The byte-level BPE tokenizer that the metadata describe; raises `StartupError` for any other kind."""
    kind = (metadata["tokenizer.ggml.model"], metadata["tokenizer.ggml.pre"])
    if kind != ("gpt2", "smollm"):
        raise StartupError(f"{metadata.file}: tokenizer {'/'.join(kind)} is not known here, only gpt2/smollm")
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: n for n, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind_of_token in zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True):
        if (special := _ADDED.get(kind_of_token)) is not None:
            added = AddedToken(token, normalized=False, special=special)
            (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([added])
    return tokenizer


class _Metadata:
    """A GGUF's key-value part."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._fields = GGUFReader(file).fields

    def __getitem__(self, name: str) -> Any:
        if name not in self._fields:
            raise StartupError(f"{self.file}: the metadata have no {name}")
        return self._fields[name].contents()


def _model_config(metadata: _Metadata, architecture: str, vocab_size: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": architecture,
        "vocab_size": vocab_size,
        "max_position_embeddings": metadata[f"{architecture}.context_length"],
        "hidden_size": metadata[f"{architecture}.embedding_length"],
        "intermediate_size": metadata[f"{architecture}.feed_forward_length"],
        "num_hidden_layers": metadata[f"{architecture}.block_count"],
        "num_attention_heads": metadata[f"{architecture}.attention.head_count"],
        "num_key_value_heads": metadata[f"{architecture}.attention.head_count_kv"],
        "rope_theta": metadata[f"{architecture}.rope.freq_base"],
        "rms_norm_eps": metadata[f"{architecture}.attention.layer_norm_rms_epsilon"],
    }


def _write(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
