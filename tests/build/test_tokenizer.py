"""tokenizer.json, written from the GGUF, against OpenVINO's own tokenizer of the same model."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import openvino_genai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from headrace import paths
from headrace.build.tokenizer import write_files
from headrace.errors import StartupError

MODEL = paths.default_model()

# The vocabulary has no token for these characters' bytes, nor for the first byte of those from U+40000 to U+BFFFF
# (none is assigned): OpenVINO puts <|endoftext|> there, we drop them.
UNKNOWN = "\x04\x06\x13\x14\x16\x1d"

CODE = "def f(x: int) -> str:\n    return f'{x!r:>10}'  # \t tabs\n\n\nclass A(B): ...\nx[0] != y[1:]\n"
CORPUS = [
    "",
    " ",
    "a   b\t\tc\n\n\n  d   ",
    "1234567890 3.14 1,000,000 1e-9 ²½ ٣٤ १२",
    "don't I'll WE'VE they'd 'S",
    "Ĳ ﬁ e\u0301 é ß İ ı ſ",
    "日本語のテキスト と 한국어, русский, العربية, עברית",
    "👩‍👩‍👧‍👦 🇫🇷 🏳️‍🌈 👍🏽",
    "\u00a0x\u2003y\u3000z\u200b\ufeff\u2028",
    "\r\n\x00\x01\x1f\x7f\x85",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|><|im_start|<repo_name>",
    "!!!???...—–“”‘’",
    CODE,
    CODE * 40,
]

characters = st.one_of(
    st.characters(exclude_categories=["Cs"], exclude_characters=UNKNOWN, max_codepoint=0x3FFFF),
    st.characters(min_codepoint=0xC0000),
)
words = st.sampled_from(
    [" ", "  ", "\n", "\t", "0", "42", "'s", "the", "Ġ", "é", "🇫🇷", "<|im_end|>", "{", "\u3000"]
)
texts = st.lists(st.one_of(st.text(characters, max_size=8), words), max_size=20).map("".join)


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


@pytest.fixture(scope="module")
def theirs() -> openvino_genai.Tokenizer:
    return openvino_genai.Tokenizer(str(MODEL))


def _theirs(tokenizer: openvino_genai.Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist()
    return ids


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_a_corpus_has_the_same_ids(ours: Tokenizer, theirs: openvino_genai.Tokenizer, text: str) -> None:
    assert ours.encode(text, add_special_tokens=False).ids == _theirs(theirs, text)


@settings(max_examples=400)
@given(text=texts)
def test_any_text_has_the_same_ids(ours: Tokenizer, theirs: openvino_genai.Tokenizer, text: str) -> None:
    assert ours.encode(text, add_special_tokens=False).ids == _theirs(theirs, text)


@given(text=texts)
def test_any_text_comes_back(ours: Tokenizer, text: str) -> None:
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ours.decode(ids, skip_special_tokens=False) == text


@given(text=st.text(st.sampled_from(UNKNOWN + "a! 1"), max_size=12))
def test_a_byte_without_a_token_is_dropped(ours: Tokenizer, text: str) -> None:
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ours.decode(ids, skip_special_tokens=False) == "".join(c for c in text if c not in UNKNOWN)


def test_the_known_prompt_has_37_tokens(ours: Tokenizer) -> None:
    template = json.loads((MODEL / "tokenizer_config.json").read_text())["chat_template"]
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = jinja2.Template(template).render(messages=question, add_generation_prompt=True)
    assert len(ours.encode(prompt, add_special_tokens=False).ids) == 37


def test_the_other_files_say_what_serving_needs() -> None:
    generation = json.loads((MODEL / "generation_config.json").read_text())
    config = json.loads((MODEL / "config.json").read_text())
    tokens = json.loads((MODEL / "tokenizer_config.json").read_text())
    assert generation["eos_token_id"] == [2]
    assert (config["model_type"], config["vocab_size"], config["max_position_embeddings"]) == (
        "llama",
        49152,
        8192,
    )
    assert (tokens["bos_token"], tokens["eos_token"]) == ("<|im_start|>", "<|im_end|>")


def test_another_kind_of_tokenizer_is_refused(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "other.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(StartupError, match=r"other\.gguf: tokenizer llama/default is not known"):
        write_files(tmp_path / "other.gguf", (2,), tmp_path)
