"""Rewrites a GGUF's weights as Q8_0.

OpenVINO's GGUF reader loses precision on Q4_1 until answers loop; Q8_0 it reads well. Going from 4 to 8 bits
loses next to nothing and keeps the file small.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

_TARGET = GGMLQuantizationType.Q8_0
_WRITER_ADDS = {"general.architecture", "general.file_type"}


def requantize(source: Path, target: Path) -> int:
    """Copy `source` to `target` with every quantized or half-precision tensor as Q8_0; returns how many.

    Tensors in F32 (norms) stay as they are, and so do all metadata but the file type.
    """
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    _copy_metadata(reader, writer)
    changed = 0
    for tensor in reader.tensors:
        if tensor.tensor_type in (GGMLQuantizationType.F32, _TARGET):
            writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
            continue
        weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        writer.add_tensor(tensor.name, gguf.quants.quantize(weights, _TARGET), raw_dtype=_TARGET)
        changed += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return changed


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in _WRITER_ADDS:
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, element)
