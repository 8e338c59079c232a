from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, quants

from headrace.build.quantize import requantize

Weights = npt.NDArray[np.float32]


@pytest.fixture
def weights() -> Weights:
    return np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path, weights: Weights) -> Path:
    writer = GGUFWriter(tmp_path / "source.gguf", "llama")
    writer.add_context_length(8192)
    writer.add_token_list(["a", "é", "<|im_end|>"])
    writer.add_token_types([1, 1, 3])
    writer.add_add_bos_token(False)
    for kind in (Type.Q4_1, Type.Q8_0, Type.F16):
        writer.add_tensor(kind.name, quants.quantize(weights, kind), raw_dtype=kind)
    writer.add_tensor("norm", weights[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "source.gguf"


def test_weights_become_q8_0_and_keep_their_values(source: Path, tmp_path: Path, weights: Weights) -> None:
    assert requantize(source, tmp_path / "q8.gguf") == 2
    before = {tensor.name: tensor for tensor in GGUFReader(source).tensors}
    after = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "q8.gguf").tensors}
    assert {name: tensor.tensor_type for name, tensor in after.items()} == {
        "Q4_1": Type.Q8_0,
        "Q8_0": Type.Q8_0,
        "F16": Type.Q8_0,
        "norm": Type.F32,
    }
    for name, tensor in after.items():
        assert tensor.shape.tolist() == before[name].shape.tolist()
        was = quants.dequantize(before[name].data, before[name].tensor_type)
        now = quants.dequantize(tensor.data, tensor.tensor_type)
        # half a step of 8 bits, and the scale is kept in 16
        np.testing.assert_allclose(now, was, atol=np.abs(weights).max() / 127 * 0.55)
    assert after["Q8_0"].data.tobytes() == before["Q8_0"].data.tobytes()


def test_metadata_stay_as_they_were(source: Path, tmp_path: Path) -> None:
    requantize(source, tmp_path / "q8.gguf")
    before, after = GGUFReader(source).fields, GGUFReader(tmp_path / "q8.gguf").fields
    kept = {name for name in before if not name.startswith("GGUF.")}
    assert {name for name in after if not name.startswith("GGUF.")} == kept | {"general.file_type"}
    for name in kept:
        assert (after[name].contents(), after[name].types) == (before[name].contents(), before[name].types)
